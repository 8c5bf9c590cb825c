//! The terminal on which stdout shows: its size, and pictures that are drawn over older ones.
//!
//! A picture never scrolls: it is cut to the height of the screen, and every line of it is cleared to its end, so that
//! nothing of an older one shines through and nothing lands among the lines above. The screen is not switched and the
//! cursor not hidden: whatever ends the program, there is nothing to put back.

use std::fmt::Write as _;

use anstream::adapter::strip_str;
use unicode_width::UnicodeWidthStr as _;

/// Where a terminal does not tell.
const USUAL: Size = Size {
    columns: 80,
    rows: 24,
};
/// Cursor to the upper left corner.
const HOME: &str = "\u{1b}[H";
/// Clears to the end of the line.
const CLEAR_LINE: &str = "\u{1b}[K";
/// Clears to the end of the screen.
const CLEAR_BELOW: &str = "\u{1b}[J";

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Characters in a line.
    pub(super) columns: usize,
    /// Lines.
    pub(super) rows: usize,
}

/// The terminal.
#[derive(Debug)]
pub(super) struct Screen {
    /// It understands what moves the cursor.
    pub(super) obeys: bool,
    /// A size that does not change; none: the terminal is asked each time.
    fixed: Option<Size>,
}

impl Screen {
    /// The one of stdout.
    pub(super) fn stdout() -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            obeys: !is_dumb,
            fixed: None,
        }
    }

    /// One of a size that does not change.
    #[cfg(test)]
    pub(super) const fn fixed(size: Size) -> Self {
        Self {
            obeys: true,
            fixed: Some(size),
        }
    }

    /// Its size as it is.
    pub(super) fn size(&self) -> Size {
        self.fixed.unwrap_or_else(asked)
    }
}

/// What the terminal says, else the environment, else what is usual.
fn asked() -> Size {
    let told = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let (columns, rows) = told.map_or((0, 0), |size| (size.ws_col, size.ws_row));
    let or_env = |told: u16, name: &str, usual: usize| {
        let env = || std::env::var(name).ok()?.parse().ok();
        let told = Some(usize::from(told)).filter(|told| *told > 0);
        told.or_else(env).unwrap_or(usual)
    };
    Size {
        columns: or_env(columns, "COLUMNS", USUAL.columns),
        rows: or_env(rows, "LINES", USUAL.rows),
    }
}

/// Room for pictures: what stands on the screen goes up to where the terminal keeps older lines.
pub(super) fn cleared(size: Size) -> String {
    "\n".repeat(size.rows) + HOME + CLEAR_BELOW
}

/// A picture over the whole screen: as much of `body` as there is room for, and `last` below it.
pub(super) fn picture(body: &str, last: &str, size: Size) -> String {
    let height = |line: &str| {
        let width = strip_str(line).to_string().width();
        width.div_ceil(size.columns.max(1)).max(1)
    };
    // The last row of the screen stays empty: a line feed there would scroll.
    let room = size.rows.saturating_sub(1 + height(last));
    let lines: Vec<&str> = body.lines().collect();
    let whole: usize = lines.iter().map(|line| height(line)).sum();
    let mut text = HOME.to_owned();
    let mut put = |line: &str| {
        write!(text, "{line}{CLEAR_LINE}\r\n").unwrap_or_default();
    };
    let mut left = if whole > room {
        room.saturating_sub(1)
    } else {
        room
    };
    let mut shown = 0;
    for line in &lines {
        let Some(rest) = left.checked_sub(height(line)) else {
            break;
        };
        left = rest;
        put(line);
        shown += 1;
    }
    if shown < lines.len() {
        put(&format!("… {} more lines", lines.len() - shown));
    }
    put(last);
    text.push_str(CLEAR_BELOW);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_clears_what_it_covers_and_leaves_the_last_row_empty() {
        let size = Size {
            columns: 10,
            rows: 5,
        };
        assert_eq!(
            picture("a\nb\n", "now", size),
            "\u{1b}[Ha\u{1b}[K\r\nb\u{1b}[K\r\nnow\u{1b}[K\r\n\u{1b}[J"
        );
        let lines = |text: &str| text.matches("\r\n").count();
        let tall = picture("1\n2\n3\n4\n5\n", "now", size);
        assert_eq!(lines(&tall), 4);
        assert!(tall.contains("2\u{1b}[K\r\n… 3 more lines"), "{tall:?}");
    }

    #[test]
    fn a_line_that_wraps_takes_the_room_that_it_takes_and_colours_take_none() {
        let size = Size {
            columns: 10,
            rows: 6,
        };
        let long = "x".repeat(25);
        assert!(picture(&long, "now", size).contains(&long));
        let body = format!("{long}\ny\nz\n");
        let cut = picture(&body, "now", size);
        assert!(
            cut.contains(&long) && cut.contains("… 2 more lines"),
            "{cut:?}"
        );
        let painted = "\u{1b}[38;5;29mxxxxxxxxx\u{1b}[0m\n".repeat(4);
        assert!(!picture(&painted, "now", size).contains("more lines"));
    }
}
