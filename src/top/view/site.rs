//! Pure: one site: how it is reached, both directions step by step, its worst shards, and its events.

use ratatui::layout::Rect;

use super::super::model::is_unmeasured;
use super::super::theme::{Tone, glyph, of_state};
use super::Pen;
use super::chart::Line;
use super::table::{Column, Row};
use super::words::{self, known};
use crate::admin::view::{ContactView, Lag, ShardLag, SiteView, StageLag, path_text, plural};
use crate::cli::human::{self, milliseconds};
use crate::text::{bytes, count, duration};

/// A line of a panel: a word in front, what it means, and what it says.
type Said = (&'static str, Tone, String);

/// Below this width one panel is as wide as the screen.
const NARROW: u16 = 100;
const STAGES: &[Column] = &[
    Column::left("STEP", 10, 0),
    Column::right("ENTRIES NOT AS FAR", 18, 0),
    Column::right("OLDEST", 10, 0),
];
const SHARDS: &[Column] = &[
    Column::right("STREAM", 6, 0),
    Column::right("APPLIED", 10, 2),
    Column::right("HEAD", 10, 1),
    Column::right("BEHIND", 8, 0),
    Column::right("OLDEST", 8, 0),
];

impl Pen<'_> {
    pub(super) fn site_screen(&mut self, area: Rect) {
        let half = area.width / 2;
        let part = |x: u16, y: u16, width: u16, height: u16| Rect {
            x: area.x + x,
            y: area.y + y,
            width,
            height,
        };
        if area.width < NARROW {
            return self.narrow_site(area);
        }
        if area.height < 24 {
            let top = 9.min(area.height.saturating_sub(4));
            self.site_panel(0, part(0, 0, half, top));
            self.site_panel(1, part(half, 0, area.width - half, top));
            self.site_panel(4, part(0, top, area.width, area.height - top));
            return;
        }
        let top = 11;
        let middle = 9.max((area.height - top) / 2).min(14);
        self.site_panel(0, part(0, 0, half, top));
        self.site_panel(1, part(half, 0, area.width - half, top));
        self.site_panel(2, part(0, top, half, middle));
        self.site_panel(3, part(half, top, area.width - half, middle));
        let used = top + middle;
        self.site_panel(4, part(0, used, area.width, area.height - used));
    }

    /// Where two panels have no room side by side: how it is reached, and below it the panel to which Tab leads.
    fn narrow_site(&mut self, area: Rect) {
        let part = |y: u16, height: u16| Rect {
            y: area.y + y,
            height,
            ..area
        };
        let chosen = self.model.choice.panel;
        let is_low = area.height < 24;
        let top = if is_low {
            9.min(area.height.saturating_sub(4))
        } else {
            11
        };
        self.site_panel(0, part(0, top));
        let rest = area.height - top;
        let (below, middle) = match chosen {
            1..=3 => (chosen, if is_low { rest } else { 10 }),
            _ => (1, if is_low { 0 } else { 10 }),
        };
        if middle > 0 {
            self.site_panel(below, part(top, middle));
        }
        if rest > middle {
            self.site_panel(4, part(top + middle, rest - middle));
        }
    }

    pub(super) fn site_panel(&mut self, panel: usize, area: Rect) {
        match panel {
            0 => self.reach(area),
            1 => self.directions(area),
            2 => self.applied_chart(area),
            3 => self.worst_shards(area),
            _ => {
                let site = self.model.choice.site.as_deref().unwrap_or("");
                let title = format!("What happened to {site}");
                self.what_happened(area, Some(4), &title);
            }
        }
    }

    /// One line of a panel: a word in front, and what it is.
    fn pair(&mut self, inner: Rect, line: u16, head: &str, (tone, text): (Tone, &str)) {
        const HEAD: u16 = 12;
        if line >= inner.height {
            return;
        }
        let (y, dim) = (inner.y + line, self.style(Tone::Dim));
        self.put(inner.x + 1, y, HEAD, head, dim);
        let style = self.style(tone);
        self.put(
            inner.x + 1 + HEAD,
            y,
            inner.width.saturating_sub(HEAD + 2),
            text,
            style,
        );
    }

    fn reach(&mut self, area: Rect) {
        let title = "How it is reached";
        let right = if self.is_narrow() {
            "Tab: other panels below"
        } else {
            "r reconnect  p pause"
        };
        let inner = self.panel(area, title, right, Some(0));
        let Some(site) = self.model.selected_site() else {
            return;
        };
        let mut lines = self.standing(site);
        match &site.contact {
            Some(contact) => lines.extend(self.contact(site, contact)),
            None => {
                let endpoint = site.endpoint.clone();
                let endpoint = endpoint.unwrap_or_else(|| "it dials this site".to_owned());
                lines.push(("endpoint", Tone::Plain, endpoint));
            }
        }
        lines.extend(troubles(site));
        for (line, (head, tone, text)) in lines.iter().enumerate() {
            self.pair(inner, u16::try_from(line).unwrap_or(0), head, (*tone, text));
        }
    }

    const fn is_narrow(&self) -> bool {
        self.buffer.area.width < NARROW && !self.model.choice.zoom
    }

    /// How it stands, since when, and what is measured of it.
    fn standing(&self, site: &SiteView) -> Vec<Said> {
        let now_us = self.data.now.wall_us;
        let since = words::down_since(self.data, &site.site).map_or_else(String::new, |us| {
            let at = words::moment(us, now_us, self.zone());
            format!("   since {at} ({})", duration(now_us.saturating_sub(us)))
        });
        let state = format!("{}{since}", self.state(site.state));
        // Without a connection nothing is measured: it is what it was.
        let measured = |text: String| {
            let is_old = is_unmeasured(site.state) && text != words::UNKNOWN;
            if is_old {
                format!("was {text}")
            } else {
                self.was(text)
            }
        };
        let round_trip = measured(known(site.round_trip_us, milliseconds));
        let skew = measured(known(site.clock_skew_us, human::skew));
        vec![
            ("state", of_state(site.state), state),
            (
                "round trip",
                Tone::Plain,
                format!("{round_trip}   its clock {skew}"),
            ),
        ]
    }

    /// Its endpoints with what came of each, the pauses between tries, and who answered.
    fn contact(&self, site: &SiteView, contact: &ContactView) -> Vec<Said> {
        let now_us = self.data.now.wall_us;
        let mut lines = Vec::new();
        if contact.endpoints.is_empty() {
            lines.push(("endpoint", Tone::Plain, "it dials this site".to_owned()));
        }
        for endpoint in &contact.endpoints {
            let tried = known(endpoint.tried_us, |us| {
                format!("{} ago", duration(now_us.saturating_sub(us)))
            });
            let is_connected = of_state(site.state) == Tone::Good;
            let (tone, result) = match (&endpoint.error, endpoint.tried_us) {
                (Some(error), _) => {
                    let own = format!("{}: ", endpoint.endpoint);
                    let error = error.strip_prefix(&own).unwrap_or(error);
                    // It came to us meanwhile.
                    let tone = if is_connected { Tone::Dim } else { Tone::Bad };
                    (tone, format!("{}x: {error}", endpoint.failures))
                }
                (None, Some(_)) => (Tone::Good, "no failure".to_owned()),
                (None, None) => (Tone::Dim, "not dialled yet".to_owned()),
            };
            let mark = glyph(tone);
            let text = format!("{mark} {}  {result}  {tried}", endpoint.endpoint);
            lines.push(("endpoint", tone, text));
        }
        let next = match words::next_try(site, now_us) {
            Some(us) => format!("next in {}", duration(us)),
            None => "none is planned".to_owned(),
        };
        // What was planned then may be done, or not.
        let next = if self.data.is_stale() {
            "the next is not known".to_owned()
        } else {
            next
        };
        if contact.attempts > 0 || contact.next_us.is_some() {
            let text = format!("{} since it was lost, {next}", count(contact.attempts));
            lines.push(("tries", Tone::Plain, text));
        }
        if !contact.pauses_us.is_empty() {
            let pauses = contact.pauses_us.iter().map(|us| duration(*us));
            let pauses: Vec<String> = pauses.collect();
            lines.push(("pauses", Tone::Dim, pauses.join(" ")));
        }
        let last = if of_state(site.state) == Tone::Good {
            ""
        } else {
            " when it was connected last"
        };
        let (tone, seen) = match &contact.certificate_site {
            Some(seen) if *seen == site.site => (Tone::Plain, format!("of {seen}{last}")),
            Some(seen) => (Tone::Bad, format!("of {seen}, which is another site{last}")),
            None => (Tone::Dim, "none was shown".to_owned()),
        };
        let wanted = format!("{seen}   wanted {}", site.site);
        lines.push(("certificate", tone, wanted));
        lines
    }

    fn directions(&mut self, area: Rect) {
        let inner = self.panel(area, "Both directions", "", Some(1));
        let Some(site) = self.model.selected_site() else {
            return;
        };
        let lag = self
            .data
            .look
            .as_deref()
            .and_then(|look| look.lag.sites.iter().find(|lag| lag.site == site.site));
        let all: &[StageLag] = lag.map_or(&[], |lag| &lag.stages);
        // Heading of the panel, heading of the table, and the two lines below it; where there is no room for all steps,
        // the last ones tell most.
        let room = usize::from(inner.height.saturating_sub(4));
        let stages = all.get(all.len().saturating_sub(room)..).unwrap_or(all);
        let data = self.data;
        let row = |at: usize| {
            let stage = stages.get(at)?;
            let tone = if stage.entries == 0 {
                Tone::Good
            } else {
                Tone::Attention
            };
            let oldest = match (stage.entries, stage.lag) {
                (0, _) => "—".to_owned(),
                (_, lag) => words::lag_of(data, lag),
            };
            Some(Row {
                cells: vec![
                    (Tone::Plain, stage.stage.to_string()),
                    (tone, count(stage.entries)),
                    (tone, oldest),
                ],
                target: None,
            })
        };
        let heading = self.style(Tone::Strong);
        self.note(inner, "us → them, step by step", heading);
        let steps = Rect {
            y: inner.y + 1,
            height: inner.height.saturating_sub(3).min(6),
            ..inner
        };
        if all.is_empty() {
            let dim = self.style(Tone::Dim);
            self.put(
                inner.x + 1,
                inner.y + 1,
                inner.width.saturating_sub(1),
                "it was not heard since the daemon started",
                dim,
            );
        } else {
            self.table(steps, STAGES, stages.len(), None, &row);
        }
        self.inbound(inner, site, lag.map(|lag| lag.inbound.lag));
    }

    fn inbound(&mut self, inner: Rect, site: &SiteView, lag: Option<Lag>) {
        let line = inner.height.saturating_sub(2).max(2);
        let waiting = known(site.waiting_entries, count);
        let lag = known(lag, |lag| self.lag(lag));
        let text = format!("{lag} behind, {waiting} entries wait here");
        self.pair(inner, line, "them → us", (Tone::Plain, &text));
        let noticed = known(site.unnoticed_us, |us| {
            self.was(format!("complete {} ago", duration(us)))
        });
        let looking = site.looking_us.map_or_else(String::new, |us| {
            format!(", looks at all of it for {}", duration(us))
        });
        self.pair(
            inner,
            line + 1,
            "its tree",
            (Tone::Plain, &format!("{noticed}{looking}")),
        );
    }

    fn applied_chart(&mut self, area: Rect) {
        let range = self.model.range_us();
        let title = format!(
            "Entries that it applied in a second, last {}",
            duration(range)
        );
        let inner = self.panel(area, &title, "", Some(2));
        let Some(name) = self.model.choice.site.as_deref() else {
            return;
        };
        let Some(history) = self.data.history.sites.get(name) else {
            return;
        };
        let width = usize::from(inner.width.saturating_sub(7));
        let values = history.applied.columns(self.data.now.wall_us, range, width);
        let greatest = values.iter().flatten().copied().max();
        let Some(greatest) = greatest else {
            let style = self.style(Tone::Dim);
            self.note(inner, "no data in this range", style);
            return;
        };
        let scale = super::overview::scale(super::super::model::Units::Entries, greatest);
        let lines = [Line { name, values }];
        self.chart(inner, &scale, &lines, &duration(range));
    }

    fn worst_shards(&mut self, area: Rect) {
        let site = self.model.selected_site();
        let lag = self
            .data
            .look
            .as_deref()
            .zip(site)
            .and_then(|(look, site)| look.lag.sites.iter().find(|lag| lag.site == site.site));
        let mut behind: Vec<&ShardLag> = lag
            .map_or(&[][..], |lag| &lag.shards)
            .iter()
            .filter(|shard| shard.behind_entries > 0)
            .collect();
        behind.sort_by_key(|shard| {
            (
                u64::MAX - shard.lag.us().unwrap_or(u64::MAX),
                u64::MAX - shard.behind_entries,
            )
        });
        let size = known(site.and_then(|site| site.behind_bytes), bytes);
        let all = lag.map_or(0, |lag| lag.shards.len());
        let right = format!("{} of {all} behind, {size}", behind.len());
        let title = "Worst streams  (shards, and ctrl)";
        let inner = self.panel(area, title, &right, Some(3));
        if behind.is_empty() {
            let style = self.style(Tone::Dim);
            let text = if lag.is_some_and(|lag| !lag.shards.is_empty()) {
                "none is behind"
            } else {
                "not known"
            };
            self.note(inner, text, style);
            return;
        }
        let data = self.data;
        let row = |at: usize| {
            let shard = behind.get(at)?;
            let name = super::journal::stream_name(shard.shard);
            Some(Row {
                cells: vec![
                    (Tone::Plain, name),
                    (Tone::Plain, count(shard.applied)),
                    (Tone::Plain, count(shard.head)),
                    (Tone::Attention, count(shard.behind_entries)),
                    (Tone::Attention, words::lag_of(data, shard.lag)),
                ],
                target: None,
            })
        };
        self.table(inner, SHARDS, behind.len(), None, &row);
    }
}

/// What stands in the way, and what went over its connections.
fn troubles(site: &SiteView) -> Vec<Said> {
    let mut lines = Vec::new();
    if let Some(traffic) = &site.traffic {
        let text = format!(
            "sent {} ({})   received {} ({})   {}",
            count(traffic.sent_entries),
            bytes(traffic.sent_bytes),
            count(traffic.received_entries),
            bytes(traffic.received_bytes),
            plural(traffic.reconnects, "reconnect")
        );
        lines.push(("entries", Tone::Plain, text));
    }
    let has_errors = site.contact.as_ref().is_some_and(|contact| {
        contact
            .endpoints
            .iter()
            .any(|endpoint| endpoint.error.is_some())
    });
    if let Some(error) = site.last_error.as_ref().filter(|_| !has_errors) {
        let tone = match of_state(site.state) {
            Tone::Good => Tone::Dim,
            Tone::Plain | Tone::Attention | Tone::Bad | Tone::Dim | Tone::Strong => Tone::Bad,
        };
        lines.push(("last error", tone, error.clone()));
    }
    if let Some(held) = &site.held_there {
        lines.push(("held there", Tone::Bad, held.clone()));
    }
    if let Some(first) = site.parked.first() {
        let inode = || format!("inode {}", first.inode);
        let path = first.path.as_deref().map_or_else(inode, path_text);
        let text = format!("{}: {path}: {}", site.parked.len(), first.reason);
        lines.push(("parked", Tone::Attention, text));
    }
    lines
}
