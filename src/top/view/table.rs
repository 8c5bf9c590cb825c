//! Pure: lists: columns that go by priority where there is no room, and rows that stay where they are.

use ratatui::layout::Rect;
use ratatui::style::Modifier;
use unicode_width::UnicodeWidthStr as _;

use super::super::message::Target;
use super::super::theme::Tone;
use super::Pen;

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) head: &'static str,
    /// Columns that it takes; of the one that stretches, at least.
    pub(super) width: u16,
    pub(super) right: bool,
    /// The greatest goes first; zero stays.
    pub(super) goes: u8,
    /// It takes what is left.
    pub(super) stretches: bool,
}

impl Column {
    pub(super) const fn left(head: &'static str, width: u16, goes: u8) -> Self {
        Self {
            head,
            width,
            right: false,
            goes,
            stretches: false,
        }
    }

    pub(super) const fn right(head: &'static str, width: u16, goes: u8) -> Self {
        Self {
            right: true,
            ..Self::left(head, width, goes)
        }
    }

    pub(super) const fn rest(head: &'static str, width: u16) -> Self {
        Self {
            stretches: true,
            ..Self::left(head, width, 0)
        }
    }
}

/// A column that stretches leaves the rest to the last one that does.
const STRETCH_MAX: u16 = 12;

/// A row: its cells with what they mean, and what a click on it selects.
pub(super) struct Row {
    pub(super) cells: Vec<(Tone, String)>,
    pub(super) target: Option<Target>,
}

/// The first of `count` rows that is shown when `selected` is to be seen in `room` rows. It depends on nothing else, so
/// that a picture drawn anew is the same.
pub(super) fn offset(selected: usize, count: usize, room: usize) -> usize {
    if count <= room {
        return 0;
    }
    selected.saturating_sub(room / 2).min(count - room)
}

/// Which columns are shown in `width`, and how wide each is.
fn fitting(columns: &[Column], width: u16) -> Vec<(usize, u16)> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let needed = |shown: &[usize]| -> u16 {
        let widths = shown
            .iter()
            .filter_map(|at| columns.get(*at))
            .map(|one| one.width + 2);
        widths.sum::<u16>().saturating_sub(2)
    };
    while needed(&shown) > width {
        let goes = |at: &usize| columns.get(*at).map_or(0, |column| column.goes);
        let Some(worst) = shown.iter().copied().max_by_key(|at| (goes(at), *at)) else {
            break;
        };
        if goes(&worst) == 0 {
            break;
        }
        shown.retain(|at| *at != worst);
    }
    let mut left = width.saturating_sub(needed(&shown));
    let stretches = |at: &usize| columns.get(*at).is_some_and(|column| column.stretches);
    let last = shown.iter().copied().rfind(stretches);
    let mut widths = Vec::new();
    for at in shown {
        let Some(column) = columns.get(at) else {
            continue;
        };
        let more = match (column.stretches, last == Some(at)) {
            (true, true) => left,
            (true, false) => left.min(STRETCH_MAX),
            (false, _) => 0,
        };
        left -= more;
        widths.push((at, column.width + more));
    }
    widths
}

impl Pen<'_> {
    /// Draws headings and those rows for which there is room; `row` makes the one at a place.
    pub(super) fn table(
        &mut self,
        area: Rect,
        columns: &[Column],
        count: usize,
        selected: Option<usize>,
        row: &dyn Fn(usize) -> Option<Row>,
    ) {
        if area.height < 2 || area.width < 4 {
            return;
        }
        // Two columns for the mark of the selected row.
        let (x, width) = (area.x + 2, area.width - 2);
        let fitting = fitting(columns, width);
        let place = |column: usize| -> u16 {
            let before = fitting.iter().take(column).map(|(_, width)| width + 2);
            x + before.sum::<u16>()
        };
        let dim = self.style(Tone::Dim);
        for (nth, (at, width)) in fitting.iter().enumerate() {
            if let Some(column) = columns.get(*at) {
                let x = place(nth);
                let width = (*width).min(area.right().saturating_sub(x));
                if column.right {
                    self.put_right(x, area.y, width, column.head, dim);
                } else {
                    self.put(x, area.y, width, column.head, dim);
                }
            }
        }
        let heading = Rect { height: 1, ..area };
        self.hits.push((heading, Target::Heading));
        let room = usize::from(area.height - 1);
        let first = offset(selected.unwrap_or(0), count, room);
        for (line, at) in (first..count.min(first + room)).enumerate() {
            let Some(row) = row(at) else { continue };
            let y = area.y + 1 + u16::try_from(line).unwrap_or(0);
            let is_selected = selected == Some(at);
            for (nth, (at, width)) in fitting.iter().enumerate() {
                let (Some(column), Some((tone, text))) = (columns.get(*at), row.cells.get(*at))
                else {
                    continue;
                };
                let mut style = self.style(*tone);
                if is_selected {
                    style = style.add_modifier(Modifier::BOLD);
                }
                let x = place(nth);
                let width = (*width).min(area.right().saturating_sub(x));
                if column.right {
                    self.put_right(x, y, width, text, style);
                } else {
                    self.put(x, y, width, text, style);
                }
            }
            let whole = Rect {
                y,
                height: 1,
                ..area
            };
            if is_selected {
                let style = self.style(Tone::Strong);
                self.put(area.x, y, 1, "▶", style);
                self.select(whole);
            }
            self.hits.extend(row.target.map(|target| (whole, target)));
        }
        self.more_below(area, count.saturating_sub(first + room));
    }

    /// Says on the frame below a list how many rows have no room.
    pub(super) fn more_below(&mut self, area: Rect, hidden: usize) {
        let text = format!(" ↓ {} more ", crate::text::count(hidden as u64));
        let width = u16::try_from(text.width()).unwrap_or(u16::MAX);
        // What stands there is the frame, unless the list ends in the middle of its panel.
        let is_frame = |x| {
            let cell = self.buffer.cell((x, area.bottom()));
            cell.is_some_and(|cell| cell.symbol() == "─")
        };
        if hidden == 0 || width + 2 > area.width {
            return;
        }
        let x = area.right() - 1 - width;
        if (x..x + width).all(is_frame) {
            let dim = self.style(Tone::Dim);
            self.put(x, area.bottom(), width, &text, dim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_is_always_shown() {
        for count in 0..30 {
            for room in 1..12 {
                for selected in 0..count {
                    let first = offset(selected, count, room);
                    assert!(
                        (first..first + room).contains(&selected),
                        "{selected} {count} {room}"
                    );
                    assert!(first == 0 || first + room <= count);
                }
            }
        }
    }

    #[test]
    fn columns_go_by_priority_and_what_is_left_is_one_column_s() {
        let columns = [
            Column::left("A", 10, 0),
            Column::right("B", 10, 2),
            Column::right("C", 10, 1),
            Column::rest("D", 5),
        ];
        assert_eq!(fitting(&columns, 60), [(0, 10), (1, 10), (2, 10), (3, 24)]);
        assert_eq!(fitting(&columns, 35), [(0, 10), (2, 10), (3, 11)]);
        assert_eq!(fitting(&columns, 5), [(0, 10), (3, 5)]);
    }
}
