//! Pure: what stands over the screen: help, palette, filter, questions, texts.

use ratatui::layout::{Position, Rect};
use ratatui::style::Modifier;
use unicode_width::UnicodeWidthStr as _;

use super::super::command;
use super::super::model::{Field, Need, Overlay, Question};
use super::super::theme::Tone;
use super::super::update;
use super::super::{help, keys};
use super::Pen;
use crate::admin::view::plural;
use crate::text::drawable;

/// Lines of the equal command that a question shows.
const SAME_MAX: usize = 4;
/// Rows of a question besides its text, its fields and the command: the frame, the gaps, a heading and the keys.
const ROWS_AROUND: usize = 7;

/// A row of a question.
#[derive(Debug, PartialEq, Eq)]
enum Row {
    Text(Tone, String),
    /// What goes with the act is typed here.
    Field,
    /// The word that confirms is typed here.
    Word,
    Gap,
}

impl Pen<'_> {
    pub(super) fn overlay(&mut self, area: Rect) {
        let Some(overlay) = &self.model.choice.overlay else {
            return;
        };
        match overlay {
            Overlay::Help(field, scroll) => self.help(area, field, *scroll),
            Overlay::Palette(field, at) => self.palette(area, field, *at),
            Overlay::Filter(field) => {
                let line = Rect {
                    y: area.bottom() - 1,
                    height: 1,
                    ..area
                };
                self.clear(line);
                self.input(line, " filter /", field, true);
            }
            Overlay::Ask(question) => self.question(area, question),
            Overlay::Text {
                title,
                lines,
                is_bad,
                ..
            } => self.text(area, title, lines, *is_bad),
        }
    }

    /// An empty box in the middle. Returns what is inside.
    fn window(&mut self, area: Rect, (width, height): (u16, u16), title: &str, tone: Tone) -> Rect {
        let width = width.min(area.width.saturating_sub(2)).max(10);
        let height = height.min(area.height.saturating_sub(2)).max(3);
        let window = Rect {
            x: area.x + (area.width - width) / 2,
            y: area.y + (area.height - height) / 2,
            width,
            height,
        };
        self.clear(window);
        let style = self.style(tone);
        self.frame(window, ["╔", "╗", "╚", "╝", "═", "║"], style);
        let strong = style.add_modifier(Modifier::BOLD);
        self.put(
            window.x + 2,
            window.y,
            width - 4,
            &format!(" {title} "),
            strong,
        );
        Rect {
            x: window.x + 2,
            y: window.y + 1,
            width: width - 4,
            height: height - 2,
        }
    }

    /// A field with what stands in front of it.
    fn input(&mut self, line: Rect, label: &str, field: &Field, has_focus: bool) {
        let strong = self.style(if has_focus { Tone::Strong } else { Tone::Dim });
        let used = self.put(line.x, line.y, line.width, label, strong);
        let room = line.width.saturating_sub(used + 1);
        let scroll = field.input.visual_scroll(usize::from(room.max(1)));
        let shown: String = skip_columns(&drawable(field.text()), scroll);
        let mut style = self.style(Tone::Plain);
        if has_focus {
            style = style.add_modifier(Modifier::UNDERLINED);
        }
        self.put(line.x + used, line.y, room, &shown, style);
        if has_focus {
            let at = field.input.visual_cursor().saturating_sub(scroll);
            let at = u16::try_from(at).unwrap_or(0).min(room);
            self.cursor = Some(Position::new(line.x + used + at, line.y));
        }
    }

    fn help(&mut self, area: Rect, field: &Field, scroll: usize) {
        let lines = help::lines(field.text());
        let room = help::room((area.width, area.height), lines.len());
        let first = scroll.min(room.last(lines.len()));
        let shown = room.columns * room.rows;
        let title = if lines.len() > shown {
            let last = (first + shown).min(lines.len());
            let (first, all) = (first + 1, lines.len());
            format!(
                "Keys  {first} to {last} of {all} lines: ↑↓ scroll, or type to filter   Esc closes"
            )
        } else {
            "Keys  (type to filter)   Esc closes".to_owned()
        };
        let inner = self.window(area, help::WINDOW, &title, Tone::Strong);
        let columns = u16::try_from(room.columns).unwrap_or(1).max(1);
        let width = inner.width / columns;
        for (nth, line) in lines.iter().skip(first).take(shown).enumerate() {
            let column = u16::try_from(nth / room.rows.max(1)).unwrap_or(0);
            let x = inner.x + column * width;
            let y = inner.y + u16::try_from(nth % room.rows.max(1)).unwrap_or(0);
            self.help_line((x, y), width, line);
        }
        let last = inner.bottom().saturating_sub(1);
        let dim = self.style(Tone::Dim);
        let told = "● good  ▲ attention  ✖ bad  ‖ paused  ◌ not known; unknown is ?, never zero; Shift selects text";
        self.put(inner.x, last.saturating_sub(1), inner.width, told, dim);
        let reason = self.why_grey().unwrap_or_default();
        self.put(inner.x, last.saturating_sub(2), inner.width, &reason, dim);
        let line = Rect {
            y: last,
            height: 1,
            ..inner
        };
        self.input(line, "filter: ", field, true);
    }

    fn help_line(&mut self, (x, y): (u16, u16), width: u16, line: &help::Line) {
        let (tone, key, what) = match line {
            help::Line::Gap => return,
            help::Line::Heading(text) => (Tone::Strong, *text, ""),
            help::Line::Key(binding) => {
                let is_off = self.model.refuses(binding.action).is_some();
                let tone = if is_off { Tone::Dim } else { Tone::Plain };
                (tone, binding.shown, binding.what)
            }
        };
        let style = self.style(tone);
        let strong = style.add_modifier(Modifier::BOLD);
        let room = if what.is_empty() { width } else { 10 };
        self.put(x, y, room, key, strong);
        self.put(x + 11, y, width.saturating_sub(12), what, style);
    }

    /// Why some keys are grey, and what would help.
    fn why_grey(&self) -> Option<String> {
        if let Some(why) = &self.model.read_only {
            return Some(format!("grey: not possible: {why}"));
        }
        let why = self.model.lacks_right()?;
        let hint = self.model.rights.as_ref().map(|rights| &rights.hint);
        let hint = hint.filter(|hint| !hint.is_empty());
        let hint = hint.map_or_else(String::new, |hint| format!(": {hint}"));
        Some(format!("grey: {why}{hint}"))
    }

    fn palette(&mut self, area: Rect, field: &Field, at: usize) {
        let found = update::candidates(field.text());
        let inner = self.window(area, (60, 16), "Command", Tone::Strong);
        let line = Rect { height: 1, ..inner };
        self.input(line, ":", field, true);
        let room = usize::from(inner.height.saturating_sub(2));
        let first = super::table::offset(at, found.len(), room);
        for (nth, (name, action)) in found.iter().skip(first).take(room).enumerate() {
            let y = inner.y + 2 + u16::try_from(nth).unwrap_or(0);
            let is_off = self.model.refuses(*action).is_some();
            let mut style = self.style(if is_off { Tone::Dim } else { Tone::Plain });
            if first + nth == at {
                style = style.add_modifier(Modifier::REVERSED);
            }
            self.put(inner.x, y, 14, &format!("{name:<14}"), style);
            let key = keys::BINDINGS
                .iter()
                .find(|binding| binding.action == *action);
            let what = key.map_or("", |binding| binding.what);
            let dim = self.style(Tone::Dim);
            self.put(inner.x + 16, y, inner.width.saturating_sub(16), what, dim);
        }
    }

    fn question(&mut self, area: Rect, question: &Question) {
        let act = update::with_text(question);
        let same = command::of_act(&self.model.program, &act);
        let width = usize::from(area.width.saturating_sub(6).min(72));
        let lines = |texts: &[String], tone: Tone| {
            let lines = wrapped(texts, width).into_iter();
            lines.map(|text| Row::Text(tone, text)).collect()
        };
        let has_word = question.need != Need::Enter;
        let head: Vec<Row> = lines(&question.lines, Tone::Plain);
        let mut same: Vec<Row> = lines(&[same], Tone::Plain);
        if same.len() > SAME_MAX {
            same.truncate(SAME_MAX);
            same.push(Row::Text(Tone::Plain, "…".to_owned()));
        }
        let keys = if question.text.is_some() && has_word {
            "Enter does it   Tab other field   Esc cancels"
        } else {
            "Enter does it   Esc cancels"
        };
        let fields = question
            .text
            .iter()
            .map(|_| Row::Field)
            .chain(has_word.then_some(Row::Word));
        let fields: Vec<Row> = fields.collect();
        let told = Row::Text(Tone::Dim, "the same:".to_owned());
        let keys = Row::Text(Tone::Strong, keys.to_owned());
        let height = head.len() + fields.len() + same.len() + ROWS_AROUND;
        let height = u16::try_from(height).unwrap_or(u16::MAX);
        let inner = self.window(area, (78, height), &question.title, Tone::Attention);
        let rows = fitting(usize::from(inner.height), head, fields, (told, same), keys);
        for (row, y) in rows.iter().zip(inner.y..) {
            let line = Rect {
                y,
                height: 1,
                ..inner
            };
            match (row, &question.text) {
                (Row::Text(tone, text), _) => {
                    let style = self.style(*tone);
                    self.put(line.x, y, line.width, text, style);
                }
                (Row::Field, Some((label, field))) => {
                    self.input(line, &format!("{label:<9}"), field, question.in_text);
                }
                (Row::Word, _) => {
                    self.input(line, "confirm  ", &question.word, !question.in_text);
                }
                (Row::Gap, _) | (Row::Field, None) => {}
            }
        }
    }

    fn text(&mut self, area: Rect, title: &str, lines: &[String], is_bad: bool) {
        let width = area.width.saturating_sub(8).min(100);
        let lines = wrapped(lines, usize::from(width.saturating_sub(4)));
        let height = u16::try_from(lines.len())
            .unwrap_or(u16::MAX)
            .saturating_add(4);
        let tone = if is_bad { Tone::Bad } else { Tone::Strong };
        let inner = self.window(area, (width, height), title, tone);
        let plain = self.style(Tone::Plain);
        let room = usize::from(inner.height.saturating_sub(1));
        let shown = cut(lines, room, "y copies all");
        for (text, y) in shown.iter().zip(inner.y..) {
            self.put(inner.x, y, inner.width, text, plain);
        }
        let dim = self.style(Tone::Dim);
        self.put(
            inner.x,
            inner.bottom() - 1,
            inner.width,
            "y copies   Esc closes",
            dim,
        );
    }
}

/// As many lines as have room; where some have none, the last one says so, and what helps.
fn cut(mut lines: Vec<String>, room: usize, helps: &str) -> Vec<String> {
    if lines.len() > room {
        let hidden = lines.len() + 1 - room;
        lines.truncate(room.saturating_sub(1));
        lines.push(format!("… {}: {helps}", plural(hidden as u64, "more line")));
    }
    lines
}

/// The rows of a question for which there is room: the gaps go first, then the command from its end, then the text. The
/// fields and the keys stay: whoever is asked has to see what is typed.
fn fitting(
    room: usize,
    mut head: Vec<Row>,
    fields: Vec<Row>,
    (told, mut same): (Row, Vec<Row>),
    keys: Row,
) -> Vec<Row> {
    let all = head.len() + fields.len() + same.len() + 2;
    let gaps = room.saturating_sub(all).min(3);
    let mut lacks = all.saturating_sub(room);
    if lacks > 0 {
        let kept = same.len().saturating_sub(lacks + 1);
        lacks = lacks.saturating_sub(same.len() + 1);
        same.truncate(kept);
        if kept > 0 {
            same.push(Row::Text(Tone::Plain, "…".to_owned()));
        }
    }
    head.truncate(head.len().saturating_sub(lacks));
    let mut rows = head;
    let gap = |rows: &mut Vec<Row>, nth: usize| rows.extend((gaps >= nth).then_some(Row::Gap));
    gap(&mut rows, 1);
    rows.extend(fields);
    if !same.is_empty() {
        gap(&mut rows, 2);
        rows.push(told);
        rows.extend(same);
    }
    gap(&mut rows, 3);
    // At the bottom, whatever has no room above.
    rows.truncate(room.saturating_sub(1));
    rows.push(keys);
    rows
}

/// The text from a column on.
pub(super) fn skip_columns(text: &str, columns: usize) -> String {
    let mut skipped = 0;
    text.chars()
        .skip_while(|c| {
            let is_before = skipped < columns;
            skipped += c.to_string().width();
            is_before
        })
        .collect()
}

/// As much of the beginning as has room in `width` columns, one character at least.
fn first_columns(text: &str, width: usize) -> String {
    let mut head = String::new();
    for c in text.chars() {
        if !head.is_empty() && head.width() + c.to_string().width() > width {
            break;
        }
        head.push(c);
    }
    head
}

/// Lines that are not longer than `width`, broken between words where they can be.
pub(super) fn wrapped(lines: &[String], width: usize) -> Vec<String> {
    let mut all = Vec::new();
    for line in lines {
        let mut current = String::new();
        for word in line.split(' ') {
            let mut word = word.to_owned();
            if !current.is_empty() && current.width() + 1 + word.width() > width {
                all.push(std::mem::take(&mut current));
            }
            while word.width() > width && width > 1 {
                let head = first_columns(&word, width);
                word = word.chars().skip(head.chars().count()).collect();
                all.push(head);
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(&word);
        }
        all.push(current);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_without_room_loses_its_command_and_then_its_text_and_never_what_is_typed() {
        let text = |text: &str| Row::Text(Tone::Plain, text.to_owned());
        let rows = |room: usize| {
            let head = ["a", "b", "c"].map(text).into();
            let same = ["x", "y", "z"].map(text).into();
            let fields = vec![Row::Field, Row::Word];
            fitting(room, head, fields, (text("the same:"), same), text("keys"))
        };
        let told = |room: usize| -> String {
            let word = |row: &Row| match row {
                Row::Text(_, text) => text.chars().next().unwrap(),
                Row::Field => 'F',
                Row::Word => 'W',
                Row::Gap => '_',
            };
            rows(room).iter().map(word).collect()
        };
        assert_eq!(told(14), "abc_FW_txyz_k");
        assert_eq!(told(13), "abc_FW_txyz_k");
        assert_eq!(told(11), "abc_FWtxyzk");
        assert_eq!(told(10), "abcFWtxyzk");
        assert_eq!(told(9), "abcFWtx…k");
        assert_eq!(
            told(8),
            "abcFWk",
            "nothing but a mark that it goes on tells nothing"
        );
        assert_eq!(told(6), "abcFWk");
        assert_eq!(told(5), "abFWk");
        assert_eq!(told(3), "FWk");
        let lines: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(cut(lines.clone(), 3, "y"), lines);
        assert_eq!(
            cut(lines, 2, "y copies all"),
            ["a", "… 2 more lines: y copies all"]
        );
    }

    #[test]
    fn long_lines_are_broken_between_words_and_long_words_anywhere() {
        let lines = ["a bc d".to_owned(), "abcdefgh".to_owned(), String::new()];
        assert_eq!(wrapped(&lines, 4), ["a bc", "d", "abcd", "efgh", ""]);
        let wide = ["宽宽宽a宽".to_owned()];
        assert_eq!(wrapped(&wide, 5), ["宽宽", "宽a宽"]);
    }
}
