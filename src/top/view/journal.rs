//! Pure: the journal: how full it is, for whom it is kept, and what compaction would leave out.

use ratatui::layout::Rect;

use super::super::message::Target;
use super::super::model::{Data, SiteSort, rows};
use super::super::theme::{Tone, of_state};
use super::Pen;
use super::table::{Column, Row};
use super::words::{self, known};
use crate::admin::view::path_text;
use crate::admin::view::preview::{OpPreview, Sums};
use crate::text::{bytes, count, duration};

/// The growth of the journal is measured over this time.
const GROWTH_US: u64 = 900_000_000;
const WAITS: &[Column] = &[
    Column::rest("KEPT FOR", 10),
    Column {
        goes: 1,
        ..Column::rest("STATE", 12)
    },
    Column::right("ENTRIES", 9, 0),
    Column::right("BYTES", 9, 0),
    Column::right("OLDEST", 8, 0),
];
const TAIL: &[Column] = &[
    Column::left("TIME", 9, 0),
    Column::right("STREAM", 6, 2),
    Column::right("SEQ", 8, 3),
    Column::left("OP", 9, 0),
    Column::right("BYTES", 9, 1),
    Column::rest("WHAT", 8),
];
/// From which width on tail and retention stand side by side.
const WIDE: u16 = 110;
/// Below this height only one of compaction and tail has room below the retention.
const LOW: u16 = 24;
const SAVINGS: &[Column] = &[
    Column::left("OP", 10, 0),
    Column::right("IN", 11, 0),
    Column::right("OUT", 11, 0),
    Column::right("LEFT OUT", 11, 0),
    Column::right("BYTES IN", 9, 2),
    Column::right("BYTES OUT", 9, 2),
    Column::rest("WHY", 10),
];

/// Time until the journal is full at the rate of the last quarter of an hour. None: it does not grow, or nobody knows.
pub(super) fn full_in(data: &Data) -> Option<u64> {
    let journal = &data.look.as_deref()?.status.journal;
    let left = journal.budget_bytes?.checked_sub(journal.bytes)?;
    let columns = data
        .history
        .journal_bytes
        .columns(data.now.wall_us, GROWTH_US, 90);
    let mut known = columns
        .iter()
        .enumerate()
        .filter_map(|(at, value)| Some((at, (*value)?)));
    let (from, first) = known.next()?;
    let (to, last) = known.next_back()?;
    let passed = (to.checked_sub(from)? as u64) * (GROWTH_US / 90);
    // Less than a minute tells nothing.
    if passed < 60_000_000 {
        return None;
    }
    let grown = last.checked_sub(first).filter(|grown| *grown > 0)?;
    u64::try_from(u128::from(left) * u128::from(passed) / u128::from(grown)).ok()
}

/// The site for which most is kept, and how much.
pub(super) fn pinned_by(data: &Data) -> Option<(String, Option<u64>)> {
    let status = &data.look.as_deref()?.status;
    let most = status.sites.iter().max_by_key(|site| site.behind_bytes)?;
    // Whole segments are pinned; what is in the one that is written counts as well.
    let size = status.journal.pinned_bytes.max(most.behind_bytes);
    (size? > 0).then(|| (most.site.clone(), size))
}

impl Pen<'_> {
    pub(super) fn journal(&mut self, area: Rect) {
        let sites = self
            .data
            .look
            .as_deref()
            .map_or(0, |look| look.status.sites.len());
        let wanted = u16::try_from(sites).unwrap_or(u16::MAX).saturating_add(7);
        let half = area.height / 2;
        let top = wanted.clamp(8.min(half), half.max(1));
        let part = |x: u16, y: u16, width: u16, height: u16| Rect {
            x: area.x + x,
            y: area.y + y,
            width,
            height,
        };
        let (width, rest) = (area.width, area.height - top);
        if width >= WIDE {
            let left = width / 2;
            // The tail fills what compaction leaves.
            let site = self.model.choice.site.as_deref();
            let previews = self.data.preview.iter().flat_map(|(_, previews)| previews);
            let of_site = previews.filter(|one| one.site.as_deref() == site);
            let ops = of_site.map(|one| one.ops.len()).max().unwrap_or(0);
            let below = u16::try_from(ops).unwrap_or(half).saturating_add(5);
            let top = top.max(area.height - below.clamp(8.min(half), half));
            self.journal_panel(2, part(0, 0, left, top));
            self.journal_panel(0, part(left, 0, width - left, top));
            self.journal_panel(1, part(0, top, width, area.height - top));
        } else if area.height < LOW {
            // One of both can be read, and not both.
            let below = if self.model.choice.panel == 1 { 1 } else { 2 };
            self.journal_panel(0, part(0, 0, width, top));
            self.journal_panel(below, part(0, top, width, rest));
        } else {
            let third = rest / 2;
            self.journal_panel(0, part(0, 0, width, top));
            self.journal_panel(1, part(0, top, width, rest - third));
            self.journal_panel(2, part(0, area.height - third, width, third));
        }
    }

    pub(super) fn journal_panel(&mut self, panel: usize, area: Rect) {
        match panel {
            0 => self.retention(area),
            1 => self.savings(area),
            _ => self.tail(area),
        }
    }

    /// The last entries, the newest first.
    fn tail(&mut self, area: Rect) {
        let inner = self.panel(
            area,
            "Tail  (newest first)",
            "cfs-repl journal tail",
            Some(2),
        );
        let entries = self.data.tail.as_ref().map(|(_, entries)| entries);
        let Some(entries) = entries.filter(|entries| !entries.is_empty()) else {
            let dim = self.style(Tone::Dim);
            let text = match entries {
                None => "the end is on its way",
                Some(_) => "there is no entry, or the daemon did not tell",
            };
            self.note(inner, text, dim);
            return;
        };
        let cells: Vec<Vec<(Tone, String)>> = entries
            .iter()
            .rev()
            .take(usize::from(inner.height.saturating_sub(1)))
            .map(|entry| {
                let name = entry.name.as_deref().map(path_text);
                let inode = entry.inode.map(|inode| format!("inode {inode}"));
                let what = name.or(inode).unwrap_or_default();
                let size = entry.size_bytes.map_or_else(|| "—".to_owned(), bytes);
                vec![
                    (
                        Tone::Dim,
                        words::time_of_day(entry.timestamp_us, self.zone()),
                    ),
                    (Tone::Plain, stream_name(entry.stream)),
                    (Tone::Plain, count(entry.seq)),
                    (Tone::Strong, entry.op.clone()),
                    (Tone::Plain, size),
                    (Tone::Plain, what),
                ]
            })
            .collect();
        let row = |at: usize| {
            Some(Row {
                cells: cells.get(at)?.clone(),
                target: None,
            })
        };
        self.table(inner, TAIL, cells.len(), None, &row);
    }

    fn retention(&mut self, area: Rect) {
        let title = "How full it is, and for whom it is kept";
        let screen = self.buffer.area;
        // Head, tabs, foot and the box on top.
        let is_low = screen.width < WIDE && screen.height < LOW + 8 && !self.model.choice.zoom;
        let right = if is_low { "Tab: compaction, tail" } else { "" };
        let inner = self.panel(area, title, right, Some(0));
        let Some(look) = self.data.look.as_deref() else {
            return;
        };
        let journal = &look.status.journal;
        let (x, width) = (inner.x + 1, inner.width.saturating_sub(2));
        let (plain, dim) = (self.style(Tone::Plain), self.style(Tone::Dim));
        match journal.budget_bytes {
            Some(budget) => {
                let part = (journal.bytes, budget);
                let room = (width / 3).min(40);
                self.gauge(x, inner.y, room, part, words::fullness(part));
                let share = words::percent(journal.bytes, budget);
                let text = format!("{share}%  {} of {}", bytes(journal.bytes), bytes(budget));
                self.put(
                    x + room + 2,
                    inner.y,
                    width.saturating_sub(room + 2),
                    &text,
                    plain,
                );
            }
            None => {
                let text = format!("{}, no budget is told", bytes(journal.bytes));
                self.put(x, inner.y, width, &text, plain);
            }
        }
        let full = full_in(self.data).map(duration);
        let full = full.unwrap_or_else(|| "? (not known yet, or it does not grow)".to_owned());
        let pinned = pinned_by(self.data).map_or(journal.pinned_bytes, |(_, size)| size);
        let pinned = known(pinned, bytes);
        let written = known(self.data.history.written_per_s, count);
        let second = format!("full in {full}   kept for a site {pinned}   {written} entries/s");
        self.put(x, inner.y + 1, width, &second, dim);
        let list = Rect {
            y: inner.y + 2,
            height: inner.height.saturating_sub(2),
            ..inner
        };
        self.waiting(list);
    }

    /// The sites for which something is kept, the one for which most is first.
    fn waiting(&mut self, list: Rect) {
        let data = self.data;
        let mut rows = rows::sites(data, SiteSort::Name, "");
        rows.sort_by_key(|row| u64::MAX - row.site.behind_bytes.unwrap_or(0));
        let chosen = self.model.choice.site.as_ref();
        let selected = rows.iter().position(|row| Some(&row.site.site) == chosen);
        let cells: Vec<Vec<(Tone, String)>> = rows
            .iter()
            .map(|row| {
                let tone = of_state(row.site.state);
                vec![
                    (Tone::Strong, row.site.site.clone()),
                    (tone, self.state(row.site.state)),
                    (Tone::Plain, known(row.site.behind_entries, count)),
                    (Tone::Plain, known(row.site.behind_bytes, bytes)),
                    (tone, self.lag(row.site.lag)),
                ]
            })
            .collect();
        let row = |at: usize| {
            let target = rows.get(at).map(|row| Target::Site(row.site.site.clone()));
            Some(Row {
                cells: cells.get(at)?.clone(),
                target,
            })
        };
        self.table(list, WAITS, rows.len(), selected, &row);
    }

    fn savings(&mut self, area: Rect) {
        let site = self.model.choice.site.as_deref().unwrap_or("");
        let title = format!("What compaction leaves out before sending to {site}");
        let age = self.data.preview.as_ref().map(|(at_us, _)| {
            let age = self.data.now.mono_us.saturating_sub(*at_us);
            format!("{} ago   cfs-repl compact --dry-run", duration(age))
        });
        let inner = self.panel(area, &title, &age.unwrap_or_default(), Some(1));
        let dim = self.style(Tone::Dim);
        let Some((_, previews)) = &self.data.preview else {
            let text = if self.data.preview_asked {
                "the daemon reads its journal"
            } else {
                "not asked yet"
            };
            self.note(inner, text, dim);
            return;
        };
        let preview = previews
            .iter()
            .find(|preview| preview.site.as_deref() == Some(site));
        let Some(preview) = preview.filter(|preview| preview.total.in_entries > 0) else {
            self.note(inner, "nothing is to be sent to it", dim);
            return;
        };
        let total = preview.total;
        let last = preview.ops.len();
        let row = |at: usize| match preview.ops.get(at) {
            Some(op) => Some(op_row(op)),
            None => (at == last).then(|| total_row(total)),
        };
        self.table(inner, SAVINGS, last + 1, None, &row);
    }
}

/// A stream as people know it: those of shards by the number, and the control stream by a name.
pub(super) fn stream_name(stream: u32) -> String {
    if stream < 256 {
        stream.to_string()
    } else {
        "ctrl".to_owned()
    }
}

fn sums(name: &str, sums: Sums, why: String, tone: Tone) -> Row {
    let dropped = if sums.dropped_entries > 0 {
        Tone::Good
    } else {
        Tone::Dim
    };
    Row {
        cells: vec![
            (tone, name.to_owned()),
            (tone, count(sums.in_entries)),
            (tone, count(sums.out_entries)),
            (dropped, count(sums.dropped_entries)),
            (tone, bytes(sums.in_bytes)),
            (tone, bytes(sums.out_bytes)),
            (Tone::Dim, why),
        ],
        target: None,
    }
}

fn op_row(op: &OpPreview) -> Row {
    let why = op.why.first().map_or(String::new(), |why| why.why.clone());
    sums(&op.op, op.sums, why, Tone::Plain)
}

fn total_row(total: Sums) -> Row {
    let entries = words::percent(total.dropped_entries, total.in_entries);
    let saved = total.in_bytes.saturating_sub(total.out_bytes);
    let saved = words::percent(saved, total.in_bytes);
    let why = format!("{entries}% of entries and {saved}% of bytes are not sent");
    sums("total", total, why, Tone::Strong)
}
