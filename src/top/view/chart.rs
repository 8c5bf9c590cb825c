//! Pure: small charts. Where there was no data, there is a gap.

use ratatui::layout::Rect;

use super::super::theme::{self, SPARKS, Tone};
use super::Pen;

/// Glyphs of the lines of a chart: they are told apart without colours.
const MARKS: [&str; 4] = ["●", "◆", "■", "○"];

/// A line of a chart.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<Option<u64>>,
}

/// A row of a scale: the value at its foot, and how it is written.
pub(super) type Scale<'a> = &'a [(u64, String)];

/// The row of a scale on which a value stands, from the bottom: between two marks by what part of the way it went.
fn row_of(value: u64, scale: Scale<'_>, rows: u16) -> u16 {
    let steps = scale.len().saturating_sub(1).max(1);
    let at = scale
        .iter()
        .rposition(|(foot, _)| value >= *foot)
        .unwrap_or(0);
    let foot = scale.get(at).map_or(0, |(foot, _)| *foot);
    let top = scale
        .get(at + 1)
        .map_or(foot.saturating_mul(2), |(foot, _)| *foot);
    let span = u128::from(top.saturating_sub(foot).max(1));
    let part = u128::from(value.saturating_sub(foot).min(top.saturating_sub(foot)));
    let rows = u128::from(rows.saturating_sub(1));
    let height = (at as u128 * span + part) * rows / (steps as u128 * span);
    u16::try_from(height.min(rows)).unwrap_or(0)
}

/// One line of bars, as high as the greatest of them. A zero is the lowest bar, and what is not known nothing.
pub(super) fn bars(values: &[Option<u64>]) -> String {
    let greatest = values.iter().flatten().copied().max().unwrap_or(0).max(1);
    let bar = |value: &Option<u64>| {
        let Some(value) = value else { return " " };
        let height = u128::from(*value) * 7 / u128::from(greatest);
        let height = usize::try_from(height).unwrap_or(0);
        SPARKS.get(height).copied().unwrap_or("█")
    };
    values.iter().map(bar).collect()
}

impl Pen<'_> {
    /// Draws lines over a scale, with marks of time below.
    pub(super) fn chart(&mut self, area: Rect, scale: Scale<'_>, lines: &[Line<'_>], range: &str) {
        const LABEL: u16 = 6;
        if area.height < 4 || area.width < 24 {
            return;
        }
        let rows = area.height - 1;
        let (left, width) = (area.x + LABEL + 1, area.width - LABEL - 1);
        let dim = self.style(Tone::Dim);
        for y in area.y..area.y + rows {
            self.cell(left - 1, y, "│", dim);
        }
        let mut last = None;
        for (value, label) in scale {
            let y = area.y + rows - 1 - row_of(*value, scale, rows);
            if last != Some(y) {
                self.put_right(area.x, y, LABEL - 1, label, dim);
                self.cell(left - 1, y, "┤", dim);
            }
            last = Some(y);
        }
        for (nth, line) in lines.iter().enumerate().rev() {
            let style = theme::line(self.model.choice.theme, nth);
            let mark = MARKS.get(nth % MARKS.len()).copied().unwrap_or("●");
            let mut before: Option<u16> = None;
            for (column, value) in line.values.iter().take(usize::from(width)).enumerate() {
                let Some(value) = value else {
                    before = None;
                    continue;
                };
                let x = left + u16::try_from(column).unwrap_or(0);
                let y = area.y + rows - 1 - row_of(*value, scale, rows);
                if let Some(before) = before {
                    for between in before.min(y) + 1..before.max(y) {
                        self.cell(x, between, "│", style);
                    }
                }
                self.cell(x, y, mark, style);
                before = Some(y);
            }
        }
        let y = area.bottom() - 1;
        let dim = self.style(Tone::Dim);
        self.put(left, y, width, &format!("-{range}"), dim);
        self.put_right(left, y, width, "now", dim);
        let mut x = left + u16::try_from(range.len()).unwrap_or(0) + 3;
        for (nth, line) in lines.iter().enumerate() {
            let room = (left + width).saturating_sub(x + 5);
            if room < 4 {
                break;
            }
            let style = theme::line(self.model.choice.theme, nth);
            let mark = MARKS.get(nth % MARKS.len()).copied().unwrap_or("●");
            x += self.put(x, y, room, &format!("{mark} {}", line.name), style) + 2;
        }
    }

    /// A bar that is filled as far as `part` of `whole`.
    pub(super) fn gauge(
        &mut self,
        x: u16,
        y: u16,
        width: u16,
        (part, whole): (u64, u64),
        tone: Tone,
    ) {
        let filled = u128::from(part) * u128::from(width) / u128::from(whole.max(1));
        let filled = u16::try_from(filled).unwrap_or(width).min(width);
        let (full, empty) = (self.style(tone), self.style(Tone::Dim));
        for column in 0..width {
            let (symbol, style) = if column < filled {
                ("█", full)
            } else {
                ("░", empty)
            };
            self.cell(x + column, y, symbol, style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_the_greatest_and_a_gap_is_no_bar() {
        assert_eq!(bars(&[Some(0), None, Some(7), Some(14)]), "▁ ▄█");
        assert_eq!(bars(&[Some(0), Some(0)]), "▁▁");
    }

    #[test]
    fn a_value_stands_between_the_marks_of_its_scale() {
        let scale: Vec<(u64, String)> = [0, 1, 10, 100].map(|at| (at, String::new())).into();
        let row = |value| row_of(value, &scale, 10);
        assert_eq!((row(0), row(1), row(10), row(100)), (0, 3, 6, 9));
        assert!(row(5) > 3 && row(5) < 6);
        assert_eq!(row(u64::MAX), 9);
    }
}
