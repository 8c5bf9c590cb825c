//! Pure: the help as lines, and how many of them a window has room for: the view draws them, and keys scroll them.

use super::keys::{BINDINGS, Binding, Group, REPLAY_BINDINGS};
use super::model::rows;

/// Columns and rows that the window wants, its frame included.
pub const WINDOW: (u16, u16) = (112, 34);
/// Columns and rows of the frame, and of what lies around the window.
const FRAME: (u16, u16) = (4, 2);
const AROUND: u16 = 2;
/// Lines below the keys.
const FOOT: u16 = 3;
/// From which width on keys stand in two columns.
const WIDE: u16 = 90;

/// A line.
#[derive(Debug, Clone, Copy)]
pub enum Line {
    /// An empty one.
    Gap,
    /// Above a group.
    Heading(&'static str),
    /// A key.
    Key(&'static Binding),
}

/// The lines that are left by what was typed.
#[must_use]
pub fn lines(typed: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for group in Group::ALL {
        let all = BINDINGS.iter().chain(REPLAY_BINDINGS);
        let of_group = all.filter(|binding| {
            binding.group == group
                && !binding.what.is_empty()
                && rows::fits(typed, &[binding.what, binding.shown])
        });
        let mut is_first = true;
        for binding in of_group {
            if std::mem::take(&mut is_first) {
                if !lines.is_empty() {
                    lines.push(Line::Gap);
                }
                lines.push(Line::Heading(group.heading()));
            }
            lines.push(Line::Key(binding));
        }
    }
    lines
}

/// Room for lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Columns of lines.
    pub columns: usize,
    /// Lines in each.
    pub rows: usize,
}

impl Room {
    /// The last line at which the window can begin.
    #[must_use]
    pub const fn last(self, count: usize) -> usize {
        count.saturating_sub(self.columns * self.rows)
    }
}

/// How many of so many lines have room on a terminal. Those that have room all are spread evenly.
#[must_use]
pub fn room((width, height): (u16, u16), count: usize) -> Room {
    let width = width.saturating_sub(AROUND).min(WINDOW.0);
    let height = height.saturating_sub(AROUND).min(WINDOW.1);
    let columns = if width.saturating_sub(FRAME.0) >= WIDE {
        2
    } else {
        1
    };
    let rows = usize::from(height.saturating_sub(FRAME.1 + FOOT)).max(1);
    Room {
        columns,
        rows: count.div_ceil(columns).clamp(1, rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_reached_by_scrolling_and_what_has_is_spread() {
        let all = lines("").len();
        let small = room((80, 24), all);
        assert_eq!((small.columns, small.rows), (1, 17));
        assert_eq!(small.last(all), all - 17);
        let wide = room((200, 50), all);
        assert_eq!(wide.columns, 2);
        assert!(wide.rows * 2 >= all && wide.last(all) == 0);
        assert_eq!(
            room((0, 0), 0),
            Room {
                columns: 1,
                rows: 1
            }
        );
        assert!(lines("clipboard of nobody").is_empty());
    }
}
