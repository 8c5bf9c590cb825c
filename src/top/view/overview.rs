//! Pure: the incident screen: which site, since when, why, and what happened.

use std::borrow::Cow;
use std::collections::VecDeque;

use ratatui::layout::Rect;

use super::super::message::Target;
use super::super::model::{Screen, SiteSort, Units, is_unmeasured, rows};
use super::super::theme::{Tone, glyph, of_level, of_state};
use super::Pen;
use super::chart::Line;
use super::table::{Column, Row};
use super::words::{self, known};
use crate::admin::view::{EventView, SiteState, StatusView, TreeView, path_text, plural};
use crate::cli::human::{self, milliseconds};
use crate::text::{bytes, count, duration};

/// Columns of sites: the first ones stay, and what tells least goes first.
const SITES: &[Column] = &[
    Column::left("", 1, 0),
    Column::rest("SITE", 10),
    Column::left("STATE", 15, 0),
    Column::right("LAG", 8, 0),
    Column::right("ENTRIES", 8, 1),
    Column::right("BYTES", 8, 2),
    Column::right("APPL/s", 7, 6),
    Column::right("CATCH-UP", 8, 4),
    Column::right("WAIT IN", 7, 9),
    Column::right("RTT", 7, 8),
    Column::right("SKEW", 7, 7),
    Column::right("CONFL", 5, 3),
    Column::left("LAG 5 MIN", 10, 5),
    Column {
        goes: 10,
        ..Column::rest("WHY", 20)
    },
];
/// Columns of a sparkline, and how far it goes back.
const SPARK: u16 = 10;
const SPARK_US: u64 = 300_000_000;
/// Lines of a chart.
const LINES_MAX: usize = 4;
/// Rows that the charts want.
const MIDDLE_ROWS: u16 = 10;

impl Pen<'_> {
    pub(super) fn overview(&mut self, area: Rect) {
        let sites = self
            .data
            .look
            .as_deref()
            .map_or(0, |look| look.status.sites.len());
        let wanted = u16::try_from(sites.max(1))
            .unwrap_or(u16::MAX)
            .saturating_add(3);
        let has_middle = area.height >= 24;
        let middle = if has_middle {
            MIDDLE_ROWS.max(area.height / 3).min(18)
        } else {
            0
        };
        let events_min = 5;
        let top = wanted
            .min(area.height.saturating_sub(middle + events_min))
            .max(4);
        let part = |y: u16, height: u16| Rect {
            y: area.y + y,
            height,
            ..area
        };
        self.overview_panel(0, part(0, top));
        if has_middle {
            let row = part(top, middle);
            let left = Rect {
                width: area.width / 2,
                ..row
            };
            let right = Rect {
                x: left.right(),
                width: area.width - left.width,
                ..row
            };
            self.overview_panel(1, left);
            self.overview_panel(2, right);
        }
        let used = top + middle;
        self.overview_panel(3, part(used, area.height.saturating_sub(used)));
    }

    pub(super) fn overview_panel(&mut self, panel: usize, area: Rect) {
        match panel {
            0 => self.sites(area),
            1 => self.lag_chart(area, 1),
            2 => self.this_site(area),
            _ => self.what_happened(area, Some(3), "What happened  (newest first)"),
        }
    }

    fn sites(&mut self, area: Rect) {
        let filter = self.model.choice.filters.first().map_or("", String::as_str);
        let sort = self.model.choice.site_sort;
        let data = self.data;
        let rows = rows::sites(data, sort, filter);
        let all = data
            .look
            .as_deref()
            .map_or(0, |look| look.status.sites.len());
        let right = if rows.len() == all {
            plural(all as u64, "site")
        } else {
            format!("{} of {all} sites", rows.len())
        };
        let old = if data.is_stale() { "as it was   " } else { "" };
        let title = match sort {
            SiteSort::Worst => "Sites  (worst first)".to_owned(),
            SiteSort::Name | SiteSort::Lag | SiteSort::Entries => {
                format!("Sites  (by {})", sort.title())
            }
        };
        let inner = self.panel(area, &title, &format!("{old}s sorts   {right}"), Some(0));
        if rows.is_empty() {
            let style = self.style(Tone::Dim);
            let text = match (all, &data.look) {
                (_, None) => "nothing was told yet",
                (0, Some(_)) => "no other site is known to this one",
                (_, Some(_)) => "the filter lets none through",
            };
            self.note(inner, text, style);
            return;
        }
        let selected = rows
            .iter()
            .position(|row| Some(&row.site.site) == self.model.choice.site.as_ref());
        let cells = |at: usize| -> Option<Row> {
            let row = rows.get(at)?;
            Some(Row {
                cells: self.site_cells(row),
                target: Some(Target::Site(row.site.site.clone())),
            })
        };
        let made: Vec<Option<Row>> = (0..rows.len()).map(cells).collect();
        let taken = std::cell::RefCell::new(made);
        let row = |at: usize| taken.borrow_mut().get_mut(at).and_then(Option::take);
        self.table(inner, SITES, rows.len(), selected, &row);
    }

    fn site_cells(&self, row: &rows::SiteRow<'_>) -> Vec<(Tone, String)> {
        let (site, is_stale) = (row.site, self.data.is_stale());
        let mut tone = of_state(site.state);
        if row.is_critical() {
            tone = Tone::Bad;
        } else if row.cause.is_some() && tone == Tone::Good {
            tone = Tone::Attention;
        }
        let plus = if is_stale { "+" } else { "" };
        let mark = if site.state == SiteState::Paused {
            "‖"
        } else {
            glyph(tone)
        };
        let mut state = self.state(site.state);
        if let Some(us) = words::next_try(site, self.data.now.wall_us)
            && !is_stale
        {
            state = format!("{state} {}", duration(us));
        }
        let plain = |text: String| {
            let tone = if text == words::UNKNOWN {
                Tone::Dim
            } else {
                Tone::Plain
            };
            (tone, text)
        };
        let is_old = is_stale || is_unmeasured(site.state);
        let live = |text: String| plain(if is_old { "—".to_owned() } else { text });
        let lag = row.lag;
        let eta = lag.and_then(|lag| lag.catch_up_eta_us).map(duration);
        let nothing_behind = site.behind_entries == Some(0);
        let conflicts = self.data.inbox.tally.by_site.get(&site.site);
        let conflicts = conflicts.copied().unwrap_or(0);
        let why = match (row.cause, &site.last_error) {
            (Some(cause), _) => cause.text.clone(),
            (None, Some(error)) if of_state(site.state) != Tone::Good => error.clone(),
            (None, Some(_) | None) => String::new(),
        };
        vec![
            (tone, mark.to_owned()),
            (Tone::Strong, site.site.clone()),
            (tone, state),
            (tone, self.lag(site.lag)),
            plain(known(site.behind_entries, count) + plus),
            plain(known(site.behind_bytes, bytes) + plus),
            live(known(lag.and_then(|lag| lag.applied_per_s), count)),
            live(match eta {
                Some(eta) => eta,
                None if nothing_behind => "—".to_owned(),
                None => words::UNKNOWN.to_owned(),
            }),
            plain(known(site.waiting_entries, count)),
            live(known(site.round_trip_us, milliseconds)),
            live(known(site.clock_skew_us, human::skew)),
            match &self.data.inbox.list {
                None => plain(words::UNKNOWN.to_owned()),
                Some(_) if conflicts > 0 => (Tone::Attention, count(conflicts)),
                Some(_) => plain("0".to_owned()),
            },
            (tone, self.lag_spark(&site.site)),
            (Tone::Dim, why),
        ]
    }

    /// The lag of the last minutes as bars.
    fn lag_spark(&self, site: &str) -> String {
        let history = self.data.history.sites.get(site);
        let columns = history.map(|history| {
            let now_us = self.data.now.wall_us;
            history.lag_us.columns(now_us, SPARK_US, usize::from(SPARK))
        });
        super::chart::bars(&columns.unwrap_or_default())
    }

    /// Lag of the worst sites over time.
    pub(super) fn lag_chart(&mut self, area: Rect, nth: usize) {
        let units = self.model.choice.units;
        let range = self.model.range_us();
        let title = match units {
            Units::Time => "Lag",
            Units::Entries => "Entries behind",
            Units::Bytes => "Bytes behind",
        };
        let title = format!("{title}, last {}", duration(range));
        let inner = self.panel(area, &title, "u units  + - range", Some(nth));
        let data = self.data;
        let rows = rows::sites(data, SiteSort::Worst, "");
        let width = usize::from(inner.width.saturating_sub(7));
        let now_us = data.now.wall_us;
        let lines: Vec<Line<'_>> = rows
            .iter()
            .take(LINES_MAX)
            .filter_map(|row| {
                let history = data.history.sites.get(&row.site.site)?;
                let series = match units {
                    Units::Time => &history.lag_us,
                    Units::Entries => &history.entries,
                    Units::Bytes => &history.bytes,
                };
                Some(Line {
                    name: &row.site.site,
                    values: series.columns(now_us, range, width),
                })
            })
            .collect();
        let greatest = lines.iter().flat_map(|line| &line.values).flatten().max();
        let scale = scale(units, greatest.copied().unwrap_or(0));
        if lines
            .iter()
            .all(|line| line.values.iter().all(Option::is_none))
        {
            let style = self.style(Tone::Dim);
            self.note(inner, "no data in this range", style);
            return;
        }
        self.chart(inner, &scale, &lines, &duration(range));
    }

    /// What there is to know of the site that answers.
    fn this_site(&mut self, area: Rect) {
        let inner = self.panel(area, "This site", "", Some(2));
        let Some(look) = self.data.look.as_deref() else {
            return;
        };
        let status = &look.status;
        let (x, width) = (inner.x + 1, inner.width.saturating_sub(2));
        let mut lines = self.journal_lines(status);
        lines.extend(self.tree_lines(status));
        for (line, (head, tone, text)) in lines.iter().take(usize::from(inner.height)).enumerate() {
            let y = inner.y + u16::try_from(line).unwrap_or(0);
            let dim = self.style(Tone::Dim);
            self.put(x, y, 9, head, dim);
            let style = self.style(*tone);
            let used = self.put(x + 10, y, width.saturating_sub(10), text, style);
            let (x, room) = (x + 11 + used, width.saturating_sub(used + 11));
            match (*head, status.journal.budget_bytes) {
                ("journal", Some(budget)) if room >= 8 => {
                    let part = (status.journal.bytes, budget);
                    self.gauge(x, y, room.min(20), part, words::fullness(part));
                }
                ("written", _) if room >= SPARK => {
                    let written = &self.data.history.written;
                    let now_us = self.data.now.wall_us;
                    let values = written.columns(now_us, SPARK_US, usize::from(SPARK));
                    let style = self.style(Tone::Good);
                    self.put(x, y, SPARK, &super::chart::bars(&values), style);
                }
                _ => {}
            }
        }
    }

    fn journal_lines(&self, status: &StatusView) -> Vec<Said> {
        let journal = &status.journal;
        let size = match journal.budget_bytes {
            Some(budget) => {
                let share = words::percent(journal.bytes, budget);
                format!("{share}%  {} of {}", bytes(journal.bytes), bytes(budget))
            }
            None => bytes(journal.bytes),
        };
        let mut lines = vec![("journal", Tone::Plain, size)];
        if let Some(full) = super::journal::full_in(self.data) {
            let text = format!("full in {} at this rate", duration(full));
            lines.push(("", Tone::Dim, text));
        }
        let written = known(self.data.history.written_per_s, count);
        lines.push(("written", Tone::Plain, format!("{written} entries/s")));
        lines
    }

    /// The tree, what waits for it, and the clocks.
    fn tree_lines(&self, status: &StatusView) -> Vec<Said> {
        let tree = &status.tree;
        let noticed = known(tree.unnoticed_us, |us| {
            self.was(format!("complete {} ago", duration(us)))
        });
        let (tone, waits) = waits(tree);
        let mut lines = vec![
            ("tree", Tone::Plain, path_text(&tree.root)),
            (
                "watched",
                Tone::Plain,
                format!("by {}, {noticed}", tree.watch),
            ),
            ("apply", tone, waits),
        ];
        if let Some(brake) = &tree.brake {
            lines.push(("brake", Tone::Bad, brake.clone()));
        }
        if let Some(reason) = &tree.blocked_reason {
            lines.push(("blocked", Tone::Attention, reason.clone()));
        }
        // Of those that are heard: what others had may be anything by now.
        let heard = status
            .sites
            .iter()
            .filter(|site| !is_unmeasured(site.state));
        let skew = heard.filter_map(|site| site.clock_skew_us);
        let skew = known(skew.max_by_key(|us| us.unsigned_abs()), |us| {
            self.was(format!("furthest peer {}", human::skew(us)))
        });
        lines.push(("clocks", Tone::Plain, skew));
        let engine = duration(status.engine_age_us);
        lines.push(("engine", Tone::Plain, format!("told {engine} before that")));
        lines
    }

    /// Events in short, the newest first.
    pub(super) fn what_happened(&mut self, area: Rect, nth: Option<usize>, title: &str) {
        let has_focus = nth == Some(self.model.choice.panel);
        let of_site = self.model.choice.screen == Screen::Site;
        let site = of_site.then_some(self.model.choice.site.as_deref());
        let numbers: Cow<'_, VecDeque<u64>> = match site {
            Some(site) => Cow::Owned(self.events_of(site)),
            None => Cow::Borrowed(&self.model.rows.events),
        };
        let seen = match site {
            Some(_) => numbers.len(),
            None => self.data.events.len(),
        };
        let inner = self.panel(area, title, &format!("{} kept", count(seen as u64)), nth);
        if numbers.is_empty() {
            let style = self.style(Tone::Dim);
            self.note(inner, "nothing that is kept", style);
            return;
        }
        let room = usize::from(inner.height);
        let chosen = self.model.selected_event().map(|event| event.number);
        let selected = chosen
            .filter(|_| has_focus)
            .and_then(|chosen| numbers.iter().position(|number| *number == chosen));
        let first = super::table::offset(selected.unwrap_or(0), numbers.len(), room);
        let shown = numbers.iter().enumerate().skip(first).take(room);
        for (y, (at, number)) in (inner.y..).zip(shown) {
            let Some(event) = rows::event(&self.data.events, *number) else {
                continue;
            };
            let row = Rect {
                y,
                height: 1,
                ..inner
            };
            self.event_line(row, event, selected == Some(at));
        }
        self.more_below(inner, numbers.len().saturating_sub(first + room));
    }

    /// Numbers of the events of a site, the latest first.
    fn events_of(&self, site: Option<&str>) -> VecDeque<u64> {
        let events = self.data.events.iter().rev();
        let of_site = events.filter(|event| event.site.as_deref() == site);
        of_site.map(|event| event.number).collect()
    }

    /// One event in one line.
    pub(super) fn event_line(&mut self, row: Rect, event: &EventView, is_selected: bool) {
        let now_us = self.data.now.wall_us;
        let at = words::moment(event.at_us, now_us, self.zone());
        let tone = of_level(event.level);
        let mark = glyph(tone);
        let site = event.site.as_deref().unwrap_or("—");
        let (x, width) = (row.x + 1, row.width.saturating_sub(1));
        let name_width = if width > 90 { 24 } else { 0 };
        let dim = self.style(Tone::Dim);
        let style = self.style(tone);
        self.put(x, row.y, 12, &at, dim);
        self.put(x + 12, row.y, 1, mark, style);
        let strong = self.style(Tone::Strong);
        self.put(x + 14, row.y, 11, site, strong);
        if name_width > 0 {
            self.put(x + 26, row.y, name_width - 1, &event.name, dim);
        }
        let from = 26 + name_width;
        self.put(
            x + from,
            row.y,
            width.saturating_sub(from + 1),
            &event.text,
            style,
        );
        if is_selected {
            self.select(row);
        }
        self.hits.push((row, Target::Event(event.number)));
    }
}

/// A line of a panel: a word in front, what it means, and what it says.
type Said = (&'static str, Tone, String);

/// What waits for the tree.
fn waits(tree: &TreeView) -> (Tone, String) {
    let waits = [
        (tree.fetching, "on their way"),
        (tree.busy, "busy"),
        (tree.blocked, "blocked"),
        (tree.parked, "parked"),
        (tree.diverged, "diverged"),
    ];
    let waits: Vec<String> = waits
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", count(*number)))
        .collect();
    if waits.is_empty() {
        (Tone::Good, "nothing waits".to_owned())
    } else {
        (Tone::Attention, waits.join(", "))
    }
}

/// Marks of a scale that reaches beyond the greatest value: each is about ten times the one before.
pub(super) fn scale(units: Units, greatest: u64) -> Vec<(u64, String)> {
    const S: u64 = 1_000_000;
    let (steps, show): (&[u64], fn(u64) -> String) = match units {
        Units::Time => (
            &[
                0,
                S / 10,
                S,
                10 * S,
                60 * S,
                600 * S,
                3_600 * S,
                86_400 * S,
                30 * 86_400 * S,
            ],
            duration,
        ),
        Units::Entries => (
            &[
                0,
                10,
                100,
                1_000,
                10_000,
                100_000,
                1_000_000,
                10_000_000,
                1_000_000_000,
            ],
            |number| match number {
                0..1_000 => number.to_string(),
                1_000..1_000_000 => format!("{}k", number / 1_000),
                1_000_000.. => format!("{}M", number / 1_000_000),
            },
        ),
        Units::Bytes => (
            &[
                0,
                1 << 10,
                16 << 10,
                256 << 10,
                4 << 20,
                64 << 20,
                1 << 30,
                16 << 30,
                1 << 40,
            ],
            |size| {
                let text = bytes(size);
                text.replace(" ", "").replace("iB", "")
            },
        ),
    };
    let needed = steps
        .iter()
        .position(|step| *step > greatest)
        .unwrap_or(steps.len());
    let shown = needed.max(2) + 1;
    steps
        .iter()
        .take(shown)
        .map(|step| (*step, show(*step)))
        .collect()
}
