//! Pure: the heat map: one cell for each shard of each peer, and what is known of the one under the cursor.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::super::message::Target;
use super::super::model::{Metric, SiteSort, rows};
use super::super::theme::{self, Tone, of_state};
use super::Pen;
use super::table::{Column, Row, offset};
use super::words::{self, known};
use crate::admin::view::{Lag, ShardLag, SiteLag};
use crate::text::{bytes, count};

/// Columns of a map with its frame: a heading of four and two for each of sixteen cells.
const MAP_COLUMNS: u16 = 40;
/// Rows: headings, sixteen rows, a summary and the frame.
const MAP_ROWS: u16 = 20;
const SIDE: u32 = 16;
const CELLS: u32 = SIDE * SIDE;
/// From which value on a cell is stronger, in microseconds, in entries and in bytes.
const AGES_US: [u64; 4] = [1, 5_000_000, 30_000_000, 300_000_000];
const ENTRIES: [u64; 4] = [1, 100, 1_000, 10_000];
const BYTES: [u64; 4] = [1, 64 << 10, 1 << 20, 16 << 20];
const GLYPHS: [&str; 5] = ["·", "░", "▒", "▓", "█"];
/// Columns of the details.
const DETAIL: &[Column] = &[
    Column::left("SITE", 12, 0),
    Column::right("HEAD", 10, 0),
    Column::right("SENT", 10, 5),
    Column::right("SAFE THERE", 10, 3),
    Column::right("MERGED", 10, 6),
    Column::right("APPLIED", 10, 0),
    Column::right("BEHIND", 9, 0),
    Column::right("BYTES", 9, 2),
    Column::right("OLDEST", 9, 0),
];

/// What the glyphs mean.
pub(super) fn legend(metric: Metric) -> String {
    match metric {
        Metric::Age => {
            "· in step  ░ < 5s  ▒ < 30s  ▓ < 5m  █ older  × unknown  blank: empty".to_owned()
        }
        Metric::Bytes => {
            "· none  ░ <64 KiB  ▒ <1 MiB  ▓ <16 MiB  █ more  × unknown  blank: empty".to_owned()
        }
        Metric::Entries | Metric::Unsafe => {
            "· none  ░ < 100  ▒ < 1,000  ▓ < 10,000  █ more  × unknown  blank: empty".to_owned()
        }
    }
}

/// How strong a cell is. None: it is not known.
fn strength(shard: &ShardLag, metric: Metric) -> Option<usize> {
    let (value, steps) = match metric {
        Metric::Age => match (shard.behind_entries, shard.lag) {
            (0, _) => (0, AGES_US),
            (_, Lag::Unknown) => return None,
            (_, Lag::Known(us) | Lag::AtLeast(us)) => (us.max(1), AGES_US),
        },
        Metric::Entries => (shard.behind_entries, ENTRIES),
        Metric::Bytes => (shard.behind_bytes?, BYTES),
        Metric::Unsafe => (shard.head.saturating_sub(shard.received), ENTRIES),
    };
    Some(steps.iter().filter(|step| value >= **step).count())
}

/// Shards of the map that are behind.
pub(super) fn behind(lag: &SiteLag) -> impl Iterator<Item = &ShardLag> {
    let of_map = lag.shards.iter().filter(|one| one.shard < CELLS);
    of_map.filter(|one| one.behind_entries > 0)
}

/// Whether the control stream is behind, which is none of the shards.
pub(super) fn control(lag: &SiteLag) -> bool {
    let of_all = |one: &ShardLag| one.shard >= CELLS && one.behind_entries > 0;
    lag.shards.iter().any(of_all)
}

impl Pen<'_> {
    pub(super) fn shards(&mut self, area: Rect) {
        let data = self.data;
        let Some(look) = data.look.as_deref() else {
            self.panel(area, "Shards", "", None);
            return;
        };
        let rows = rows::sites(data, SiteSort::Worst, "");
        let lags: Vec<&SiteLag> = rows.iter().filter_map(|row| row.lag).collect();
        if lags.is_empty() {
            let inner = self.panel(area, "Shards", "", None);
            let style = self.style(Tone::Dim);
            let text = if look.status.sites.is_empty() {
                "no other site is known to this one"
            } else {
                "no shard was told yet"
            };
            self.note(inner, text, style);
            return;
        }
        let map_rows = MAP_ROWS.min(area.height);
        let many = usize::from((area.width / MAP_COLUMNS).max(1));
        let selected = lags
            .iter()
            .position(|lag| Some(&lag.site) == self.model.choice.site.as_ref());
        let first = offset(selected.unwrap_or(0), lags.len(), many);
        let shown = many.min(lags.len());
        let width = (area.width / u16::try_from(shown.max(1)).unwrap_or(1))
            .clamp(MAP_COLUMNS, 60)
            .min(area.width);
        for (nth, lag) in lags.iter().skip(first).take(shown).enumerate() {
            let map = Rect {
                x: area.x + width * u16::try_from(nth).unwrap_or(0),
                width,
                height: map_rows,
                ..area
            };
            self.map(map, lag, selected == Some(first + nth), lags.len() - shown);
        }
        let detail = Rect {
            y: area.y + map_rows,
            height: area.height - map_rows,
            ..area
        };
        if detail.height >= 4 {
            self.shard_detail(detail, &lags);
        } else {
            // Beside the map, where there is no room below.
            let used = width * u16::try_from(shown).unwrap_or(1);
            let beside = Rect {
                x: area.x + used,
                width: area.width.saturating_sub(used),
                ..area
            };
            self.shard_beside(beside, &lags);
        }
    }

    fn map(&mut self, area: Rect, lag: &SiteLag, is_selected: bool, hidden: usize) {
        let title = format!("{}  {}", lag.site, self.state(lag.state));
        let right = if is_selected && hidden > 0 {
            format!("Tab: {hidden} more")
        } else {
            String::new()
        };
        let inner = self.panel(
            area,
            &title,
            &right,
            is_selected.then_some(self.model.choice.panel),
        );
        let dim = self.style(Tone::Dim);
        let wide = inner.width >= 54;
        let step = if wide { 3 } else { 2 };
        let left = inner.x + 5;
        for column in 0..SIDE {
            let x = left + u16::try_from(column).unwrap_or(0) * step;
            self.put(x, inner.y, 1, &format!("{column:x}"), dim);
        }
        let rows = u32::from(inner.height.saturating_sub(1)).min(SIDE);
        let cursor_row = usize::try_from(self.model.choice.shard / SIDE).unwrap_or(0);
        let first = offset(cursor_row, 16, usize::try_from(rows).unwrap_or(16).max(1));
        let first = u32::try_from(first).unwrap_or(0);
        for line in 0..rows {
            let row = first + line;
            let y = inner.y + 1 + u16::try_from(line).unwrap_or(0);
            self.put(inner.x + 1, y, 2, &format!("{row:x}0"), dim);
            for column in 0..SIDE {
                let shard = row * SIDE + column;
                let x = left + u16::try_from(column).unwrap_or(0) * step;
                let (glyph, style) = self.heat(lag, shard);
                let is_cursor = is_selected && shard == self.model.choice.shard;
                self.map_cell((x, y), glyph, style, is_cursor);
                let hit = Rect {
                    x,
                    y,
                    width: step,
                    height: 1,
                };
                self.hits.push((hit, Target::Cell(lag.site.clone(), shard)));
            }
        }
        self.hidden_rows(area, lag, first, rows);
        if inner.height >= 18 {
            let y = inner.y + 17;
            let text = self.summary(lag);
            let style = self.style(of_state(lag.state));
            self.put(inner.x + 1, y, inner.width.saturating_sub(1), &text, style);
        }
    }

    /// How far a site is behind, in the shards of the map; the control stream has no cell.
    fn summary(&self, lag: &SiteLag) -> String {
        let oldest = behind(lag).filter_map(|one| one.lag.us()).max();
        let oldest = oldest.map_or_else(|| "—".to_owned(), |us| self.lag(Lag::Known(us)));
        let many = behind(lag).count();
        let all = lag.shards.iter().filter(|one| one.shard < CELLS).count();
        let control = if control(lag) { ", ctrl" } else { "" };
        format!("oldest {oldest}  behind {many} of {all}{control}")
    }

    /// Says on the frame which rows have no room, and how many of their shards are behind.
    fn hidden_rows(&mut self, area: Rect, lag: &SiteLag, first: u32, rows: u32) {
        let (x, width) = (area.x + 2, area.width.saturating_sub(4));
        let last = first + rows;
        let behind = |from: u32, to: u32| {
            let within = |one: &&ShardLag| (from * SIDE..to * SIDE).contains(&one.shard);
            match behind(lag).filter(within).count() {
                0 => String::new(),
                many => format!(", {many} behind"),
            }
        };
        let style = self.style(Tone::Attention);
        if last < SIDE {
            let text = format!(" ↓ {} more rows{} ", SIDE - last, behind(last, SIDE));
            self.put(x, area.bottom() - 1, width, &text, style);
        }
        if first > 0 {
            let text = format!(" ↑ {first} more rows{} ", behind(0, first));
            self.put_right(x, area.bottom() - 1, width, &text, style);
        }
    }

    /// What a shard looks like. One without entries has none that could be behind.
    fn heat(&self, lag: &SiteLag, shard: u32) -> (&'static str, Style) {
        let dim = self.style(Tone::Dim);
        let found = lag.shards.iter().find(|one| one.shard == shard);
        match found.map(|one| strength(one, self.model.choice.metric)) {
            Some(Some(level)) => {
                let glyph = GLYPHS.get(level).copied().unwrap_or("█");
                (glyph, theme::heat(self.model.choice.theme, level))
            }
            None if !lag.shards.is_empty() => (" ", dim),
            Some(None) | None => ("×", dim),
        }
    }

    fn map_cell(&mut self, (x, y): (u16, u16), glyph: &str, style: Style, is_cursor: bool) {
        if !is_cursor {
            return self.cell(x, y, glyph, style);
        }
        self.cell(
            x,
            y,
            glyph,
            style.add_modifier(Modifier::REVERSED | Modifier::BOLD),
        );
        let strong = self.style(Tone::Strong);
        self.cell(x - 1, y, "[", strong);
        self.cell(x + 1, y, "]", strong);
    }

    fn shard_detail(&mut self, area: Rect, lags: &[&SiteLag]) {
        let shard = self.model.choice.shard;
        let title = format!(
            "Shard {shard}  (row {:x}, column {:x})",
            shard / SIDE,
            shard % SIDE
        );
        let inner = self.panel(
            area,
            &title,
            "arrows move   Tab site   m metric   ! worst",
            None,
        );
        let selected = lags
            .iter()
            .position(|lag| Some(&lag.site) == self.model.choice.site.as_ref());
        let made: Vec<_> = lags
            .iter()
            .map(|lag| {
                let one = lag.shards.iter().find(|one| one.shard == shard);
                self.shard_cells(lag, one)
            })
            .collect();
        let row = |at: usize| {
            let lag = lags.get(at)?;
            Some(Row {
                cells: made.get(at)?.clone(),
                target: Some(Target::Site(lag.site.clone())),
            })
        };
        self.table(inner, DETAIL, lags.len(), selected, &row);
    }

    fn shard_beside(&mut self, area: Rect, lags: &[&SiteLag]) {
        if area.width < 20 || area.height < 4 {
            return;
        }
        let shard = self.model.choice.shard;
        let inner = self.panel(area, &format!("Shard {shard}"), "", None);
        let Some(lag) = lags
            .iter()
            .find(|lag| Some(&lag.site) == self.model.choice.site.as_ref())
        else {
            return;
        };
        let one = lag.shards.iter().find(|one| one.shard == shard);
        let cells = self.shard_cells(lag, one);
        for (line, (column, (tone, text))) in DETAIL.iter().zip(&cells).enumerate() {
            let y = inner.y + u16::try_from(line).unwrap_or(0);
            if y >= inner.bottom() {
                break;
            }
            let dim = self.style(Tone::Dim);
            self.put(inner.x + 1, y, 11, column.head, dim);
            let style = self.style(*tone);
            self.put(inner.x + 13, y, inner.width.saturating_sub(13), text, style);
        }
    }

    fn shard_cells(&self, lag: &SiteLag, one: Option<&ShardLag>) -> Vec<(Tone, String)> {
        let seq = |take: fn(&ShardLag) -> u64| (Tone::Plain, known(one, |one| count(take(one))));
        let behind = one.map(|one| one.behind_entries);
        let tone = match behind {
            Some(0) => Tone::Good,
            Some(_) => Tone::Attention,
            None => Tone::Dim,
        };
        let oldest = match one {
            Some(one) if one.behind_entries == 0 => "—".to_owned(),
            Some(one) => self.lag(one.lag),
            None => words::UNKNOWN.to_owned(),
        };
        vec![
            (of_state(lag.state), lag.site.clone()),
            seq(|one| one.head),
            seq(|one| one.sent),
            seq(|one| one.received),
            seq(|one| one.merged),
            seq(|one| one.applied),
            (tone, known(behind, count)),
            (tone, known(one.and_then(|one| one.behind_bytes), bytes)),
            (tone, oldest),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_as_strong_as_what_it_shows_and_what_is_not_known_is_no_zero() {
        let shard = ShardLag {
            head: 300,
            received: 100,
            behind_entries: 250,
            lag: Lag::Known(40_000_000),
            ..ShardLag::default()
        };
        assert_eq!(strength(&shard, Metric::Age), Some(3));
        assert_eq!(strength(&shard, Metric::Entries), Some(2));
        assert_eq!(strength(&shard, Metric::Unsafe), Some(2));
        let unknown = ShardLag {
            lag: Lag::Unknown,
            ..shard
        };
        assert_eq!(strength(&unknown, Metric::Age), None);
        assert_eq!(strength(&unknown, Metric::Bytes), None);
        let some = ShardLag {
            behind_bytes: Some(1 << 20),
            ..shard
        };
        assert_eq!(strength(&some, Metric::Bytes), Some(3));
        assert_eq!(strength(&ShardLag::default(), Metric::Age), Some(0));
    }
}
