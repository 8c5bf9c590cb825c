//! Pure: the picture of a model. Nothing here changes anything.
//!
//! Everything is drawn with the full set of glyphs; where only ASCII is wanted, it is put in their place at the end, and
//! where the data is old, all of it is greyed at the end. Every text that comes from a tree or a peer passes
//! `Pen::put`, which shows what a terminal would obey.

mod chart;
mod conflicts;
mod events;
mod journal;
mod overlay;
mod overview;
mod shards;
mod site;
mod table;
mod words;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use unicode_width::UnicodeWidthStr as _;

use super::keys;
use super::message::Target;
use super::model::{Data, Link, Model, Screen};
use super::theme::{self, Tone, glyph};
use crate::text::{count, drawable, duration};

/// Smallest terminal that is drawn on.
const COLUMNS_MIN: u16 = 60;
const ROWS_MIN: u16 = 15;
/// Columns that what is wrong gets at least.
const WHAT_MIN: u16 = 20;
/// Columns of the words in front of cause and next step.
const HEAD: u16 = 7;
/// Rows below the tabs from which on long causes take two lines.
const ROWS_FOR_LONG: u16 = 20;

/// What the mouse can point at, and where.
pub type Hits = Vec<(Rect, Target)>;

/// Draws the model.
pub fn view(model: &Model, frame: &mut Frame<'_>) -> Hits {
    let area = frame.area();
    let mut pen = Pen {
        model,
        data: model.shown(),
        buffer: frame.buffer_mut(),
        hits: Vec::new(),
        cursor: None,
    };
    if area.width < COLUMNS_MIN || area.height < ROWS_MIN {
        pen.too_small(area);
    } else {
        pen.whole(area);
    }
    if model.choice.ascii {
        theme::to_ascii(pen.buffer);
    }
    let Pen { hits, cursor, .. } = pen;
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
    hits
}

/// Draws on a buffer.
struct Pen<'a> {
    model: &'a Model,
    data: &'a Data,
    buffer: &'a mut Buffer,
    hits: Hits,
    cursor: Option<Position>,
}

impl Pen<'_> {
    fn style(&self, tone: Tone) -> Style {
        theme::style(self.model.choice.theme, tone)
    }

    /// Writes into the first line of a panel.
    fn note(&mut self, inner: Rect, text: &str, style: Style) {
        let width = inner.width.saturating_sub(1);
        self.put(inner.x + 1, inner.y, width, text, style);
    }

    /// Writes into one line, cut at `width` columns. Returns the columns that were used.
    fn put(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
        let text = drawable(text);
        let is_inside = Position::new(x, y);
        if width == 0 || !self.buffer.area.contains(is_inside) {
            return 0;
        }
        if text.width() <= usize::from(width) {
            let (end, _) = self
                .buffer
                .set_stringn(x, y, &text, usize::from(width), style);
            return end.saturating_sub(x);
        }
        let room = usize::from(width).saturating_sub(1);
        let (end, _) = self.buffer.set_stringn(x, y, &text, room, style);
        self.buffer.set_stringn(end, y, "…", 1, style);
        end.saturating_sub(x) + 1
    }

    /// Writes at the right end of `width` columns.
    fn put_right(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) {
        let text = drawable(text);
        let used = u16::try_from(text.width()).unwrap_or(u16::MAX).min(width);
        self.put(x + width - used, y, used, &text, style);
    }

    /// A frame with a title, something at its right, and the focus or not. Returns what is inside.
    fn panel(&mut self, area: Rect, title: &str, right: &str, nth: Option<usize>) -> Rect {
        let has_focus =
            nth == Some(self.model.choice.panel) && self.model.choice.screen.panels() > 1;
        let style = self.style(if has_focus { Tone::Strong } else { Tone::Dim });
        self.frame(area, ["┌", "┐", "└", "┘", "─", "│"], style);
        if area.width > 4 && !title.is_empty() {
            let title = format!(" {title} ");
            let style = self.style(Tone::Strong);
            let used = self.put(area.x + 2, area.y, area.width - 4, &title, style);
            let room = (area.width - 4).saturating_sub(used + 1);
            let right = format!(" {right} ");
            if right.len() > 2 && usize::from(room) >= right.width() {
                let style = self.style(Tone::Dim);
                let width = u16::try_from(right.width()).unwrap_or(room);
                self.put(area.right() - 2 - width, area.y, width, &right, style);
            }
        }
        Rect {
            x: area.x + 1,
            y: area.y + 1,
            width: area.width.saturating_sub(2),
            height: area.height.saturating_sub(2),
        }
    }

    fn frame(&mut self, area: Rect, parts: [&str; 6], style: Style) {
        if area.width < 2 || area.height < 2 {
            return;
        }
        let [top_left, top_right, bottom_left, bottom_right, flat, up] = parts;
        let (right, bottom) = (area.right() - 1, area.bottom() - 1);
        for x in area.x + 1..right {
            self.cell(x, area.y, flat, style);
            self.cell(x, bottom, flat, style);
        }
        for y in area.y + 1..bottom {
            self.cell(area.x, y, up, style);
            self.cell(right, y, up, style);
        }
        self.cell(area.x, area.y, top_left, style);
        self.cell(right, area.y, top_right, style);
        self.cell(area.x, bottom, bottom_left, style);
        self.cell(right, bottom, bottom_right, style);
    }

    fn cell(&mut self, x: u16, y: u16, symbol: &str, style: Style) {
        if let Some(cell) = self.buffer.cell_mut((x, y)) {
            cell.set_symbol(symbol).set_style(style);
        }
    }

    /// Empties an area.
    fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        for position in area.positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                cell.reset();
            }
        }
    }

    fn too_small(&mut self, area: Rect) {
        let style = self.style(Tone::Strong);
        let text = format!("need {COLUMNS_MIN}×{ROWS_MIN}");
        self.put(area.x, area.y, area.width, &text, style);
    }

    fn whole(&mut self, area: Rect) {
        let line = |y| Rect {
            y,
            height: 1,
            ..area
        };
        self.head(line(area.y));
        self.tabs(line(area.y + 1));
        let body = Rect {
            y: area.y + 2,
            height: area.height - 3,
            ..area
        };
        self.body(body);
        if self.data.is_stale() {
            let style = self.style(Tone::Dim);
            let (_, below) = self.parts(body);
            self.grey(below, style);
        }
        self.foot(line(area.bottom() - 1));
        self.overlay(area);
    }

    /// Marks what is selected: as a whole, so that colours do not make patches of it.
    fn select(&mut self, area: Rect) {
        for position in area.intersection(self.buffer.area).positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                cell.set_fg(ratatui::style::Color::Reset);
                cell.modifier.insert(Modifier::REVERSED);
            }
        }
    }

    /// Takes the colours away, and what makes them loud.
    fn grey(&mut self, area: Rect, style: Style) {
        for position in area.intersection(self.buffer.area).positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                let reversed = cell.modifier & Modifier::REVERSED;
                cell.set_style(Style::reset());
                cell.set_style(style.add_modifier(reversed));
            }
        }
    }

    /// The box on top, and what is below it.
    fn parts(&self, area: Rect) -> (Rect, Rect) {
        let verdict = Rect {
            height: self.verdict_rows(area),
            ..area
        };
        let rest = Rect {
            y: verdict.bottom(),
            height: area.height - verdict.height,
            ..area
        };
        (verdict, rest)
    }

    fn body(&mut self, area: Rect) {
        let (verdict, rest) = self.parts(area);
        if self.model.choice.zoom {
            self.verdict(verdict);
            return self.zoomed(rest);
        }
        self.verdict(verdict);
        match self.model.choice.screen {
            Screen::Overview => self.overview(rest),
            Screen::Site => self.site_screen(rest),
            Screen::Shards => self.shards(rest),
            Screen::Conflicts => self.conflicts(rest),
            Screen::Events => self.events(rest),
            Screen::Journal => self.journal(rest),
        }
    }

    /// The panel with the focus alone.
    fn zoomed(&mut self, area: Rect) {
        let panel = self.model.choice.panel;
        match self.model.choice.screen {
            Screen::Overview => self.overview_panel(panel, area),
            Screen::Site => self.site_panel(panel, area),
            Screen::Shards => self.shards(area),
            Screen::Conflicts => self.conflicts_panel(panel, area),
            Screen::Events => self.events_panel(panel, area),
            Screen::Journal => self.journal_panel(panel, area),
        }
    }

    /// Who is looked at, and how old what is shown is.
    fn head(&mut self, area: Rect) {
        let (mark, tone) = self.liveness();
        let clock = words::time_of_day(self.data.now.wall_us, self.zone());
        let right = format!("{mark}  {clock} ");
        let width = u16::try_from(right.width()).unwrap_or(0).min(area.width);
        let style = self.style(tone).add_modifier(Modifier::BOLD);
        let room = area.width.saturating_sub(width + 1);
        let status = self.data.look.as_deref().map(|look| &look.status);
        let mut text = match &self.model.player {
            Some(player) => format!(" cfs-repl top  {}", words::player(player)),
            None => " cfs-repl top".to_owned(),
        };
        match status {
            Some(status) => text.push_str(&format!("   site {}", status.site)),
            None => text.push_str(&format!("   {}", self.data.address)),
        }
        // Before what is told for the record: it has to be seen on a small screen, too.
        if self.model.read_only.is_some() {
            text.push_str("   read-only");
        } else if let Some(rights) = self.model.rights.as_ref().filter(|rights| !rights.act) {
            text.push_str(&format!("   read-only: {} may only look", rights.caller));
        }
        if let Some(status) = status {
            let up = duration(status.uptime_us);
            text.push_str(&format!("   v{}   up {up}", status.version));
        }
        let strong = self.style(Tone::Strong);
        self.put(area.x, area.y, room, &text, strong);
        self.put(area.right() - width, area.y, width, &right, style);
    }

    /// Whether what is shown is current, in a word.
    fn liveness(&self) -> (String, Tone) {
        if self.model.frozen.is_some() {
            let now = self.model.data.now.mono_us;
            let age = duration(now.saturating_sub(self.data.now.mono_us));
            let more = self
                .model
                .data
                .events_seen
                .saturating_sub(self.data.events_seen);
            let live = &self.model.data;
            if live.loss().is_some() {
                return (format!("FROZEN {age} ‖ DAEMON LOST"), Tone::Bad);
            }
            if live.is_stale() {
                return (format!("FROZEN {age} ‖ now STALE"), Tone::Bad);
            }
            let more = format!("{} events since", count(more));
            return (format!("FROZEN {age} ‖ {more}"), Tone::Attention);
        }
        let Some(age) = self.data.age_us() else {
            return (format!("NO DATA {}", glyph(Tone::Dim)), Tone::Dim);
        };
        if self.data.is_stale() {
            let age = duration(age);
            return (format!("STALE {age} {}", glyph(Tone::Dim)), Tone::Bad);
        }
        let age = duration(age);
        if self.model.player.is_some() {
            return (format!("RECORD {} {age}", glyph(Tone::Dim)), Tone::Strong);
        }
        (format!("LIVE {} {age}", glyph(Tone::Good)), Tone::Good)
    }

    fn zone(&self) -> Option<&jiff::tz::TimeZone> {
        let zone = self.model.zone.as_ref();
        zone.filter(|_| self.model.choice.local)
    }

    fn tabs(&mut self, area: Rect) {
        let mut x = area.x + 1;
        // The one that is shown has its whole name; the others as much of theirs as there is room for all.
        let tabs = [usize::MAX, 4, 0].map(|letters| self.tab_texts(letters));
        let fits = |texts: &&Vec<String>| {
            let width: usize = texts.iter().map(|text| text.width() + 1).sum();
            width <= usize::from(area.width)
        };
        let [whole, _, least] = &tabs;
        let texts = tabs.iter().find(fits).unwrap_or(least);
        let has_hints = texts == whole;
        for (screen, text) in Screen::ALL.iter().zip(texts) {
            let is_shown = *screen == self.model.choice.screen;
            let mut style = self.style(if is_shown { Tone::Strong } else { Tone::Plain });
            if is_shown {
                style = style.add_modifier(Modifier::REVERSED);
            }
            let room = area.right().saturating_sub(x);
            let used = self.put(x, area.y, room, text, style);
            let tab = Rect {
                x,
                width: used,
                ..area
            };
            self.hits.push((tab, Target::Tab(*screen)));
            x += used + 1;
        }
        let hints = "?:help  /:filter  ::cmd  q:quit ";
        let width = u16::try_from(hints.len()).unwrap_or(0);
        if has_hints && area.right().saturating_sub(x) > width {
            let style = self.style(Tone::Dim);
            self.put(area.right() - width, area.y, width, hints, style);
        }
    }

    /// What stands on the tabs, with so many letters of the names of those that are not shown.
    fn tab_texts(&self, letters: usize) -> Vec<String> {
        let look = self.data.look.as_deref();
        let open = look.map_or(0, |look| look.status.conflicts.open);
        let text = |(nth, screen): (usize, &Screen)| {
            let is_shown = *screen == self.model.choice.screen;
            let letters = if is_shown { usize::MAX } else { letters };
            let title: String = screen.title().chars().take(letters).collect();
            let mut text = format!("{} {title}", nth + 1).trim_end().to_owned();
            if *screen == Screen::Conflicts && open > 0 {
                text.push_str(&format!(" {}", count(open)));
            }
            if is_shown {
                format!("[{text}]")
            } else {
                format!(" {text} ")
            }
        };
        Screen::ALL.iter().enumerate().map(text).collect()
    }

    /// What is wrong, why, and what to do: three lines in a frame that is seen first.
    fn verdict(&mut self, area: Rect) {
        let told = words::verdict(self.model, self.data);
        let style = self.style(told.tone);
        self.frame(area, ["╔", "╗", "╚", "╝", "═", "║"], style);
        let (x, width) = (area.x + 2, area.width.saturating_sub(4));
        let y = area.y + 1;
        let head = format!("{} {}", glyph(told.tone), told.word);
        let strong = style.add_modifier(Modifier::BOLD);
        let used = self.put(x, y, width, &head, strong);
        let room = width.saturating_sub(used + 3);
        let plain = self.style(Tone::Plain);
        // Whether data is at risk, and since when, is told before all of what is wrong.
        let least = told.least.width() + if told.least.is_empty() { 0 } else { 3 };
        let [full, short] = &told.since;
        let fits = told.what.width() + full.width() + least <= usize::from(room);
        let since = if fits { full } else { short };
        let kept = u16::try_from(since.width() + least).unwrap_or(u16::MAX);
        let most = room.saturating_sub(kept).max(WHAT_MIN.min(room));
        let at = x + used + 3;
        let what = self.put(at, y, most, &told.what, plain);
        let taken = what + self.put(at + what, y, room - what, since, plain);
        let rest = usize::from(room.saturating_sub(taken + 3));
        let right = [&told.right, &told.short, &told.least]
            .into_iter()
            .find(|right| right.width() <= rest);
        if let Some(right) = right {
            self.put_right(x, y, width, right, plain);
        }
        let mut y = y + 1;
        for (head, lines) in told_lines(&told, area.width, area.height > 5) {
            let dim = self.style(Tone::Dim);
            self.put(x, y, HEAD, head, dim);
            for text in lines {
                self.put(x + HEAD, y, width.saturating_sub(HEAD), &text, plain);
                y += 1;
            }
        }
    }

    /// Rows of the box on top: cause and next step take two lines each, where they need them and there is room.
    fn verdict_rows(&self, area: Rect) -> u16 {
        let told = words::verdict(self.model, self.data);
        let lines = told_lines(&told, area.width, area.height >= ROWS_FOR_LONG);
        let lines: usize = lines.iter().map(|(_, lines)| lines.len()).sum();
        let rows = u16::try_from(lines).unwrap_or(2).saturating_add(3);
        rows.min(area.height)
    }

    /// The keys that matter here, or what just happened.
    fn foot(&mut self, area: Rect) {
        if let Some(toast) = &self.model.toast {
            let tone = if toast.is_bad { Tone::Bad } else { Tone::Good };
            let style = self.style(tone).add_modifier(Modifier::REVERSED);
            let text = format!(" {} {} ", glyph(tone), toast.text);
            self.put(area.x, area.y, area.width, &text, style);
            return;
        }
        let filter = self.model.filter();
        let mut x = area.x + 1;
        if !filter.is_empty() {
            let text = format!("filter /{filter}/ Esc clears  ");
            let style = self.style(Tone::Attention);
            x += self.put(x, area.y, area.width / 2, &text, style);
        }
        let screen = self.model.choice.screen;
        for binding in keys::on(screen, self.model.player.is_some()) {
            if binding.short.is_empty() {
                continue;
            }
            let is_off = self.model.refuses(binding.action).is_some();
            let key = binding.shown;
            let needed = u16::try_from(key.width() + binding.short.width() + 3).unwrap_or(u16::MAX);
            if x.saturating_add(needed) > area.right() {
                continue;
            }
            let strong = self.style(if is_off { Tone::Dim } else { Tone::Strong });
            let dim = self.style(Tone::Dim);
            x += self.put(x, area.y, needed, key, strong) + 1;
            x += self.put(x, area.y, needed, binding.short, dim) + 2;
        }
    }

    /// The state of a site; of what is old, that it was so.
    fn state(&self, state: crate::admin::view::SiteState) -> String {
        self.was(words::state(state))
    }

    /// What is measured; of what is old, that it was so.
    fn was(&self, text: String) -> String {
        if self.data.is_stale() && text != words::UNKNOWN {
            format!("was {text}")
        } else {
            text
        }
    }

    /// Lag of what is old is a lower bound.
    fn lag(&self, lag: crate::admin::view::Lag) -> String {
        words::lag_of(self.data, lag)
    }
}

/// The second and the third line of the box, broken in two where they are long and the terminal is high.
fn told_lines(
    told: &words::Told,
    width: u16,
    may_be_long: bool,
) -> [(&'static str, Vec<String>); 2] {
    let width = usize::from(width.saturating_sub(4 + HEAD));
    let [second, third] = told.heads;
    [(second, &told.cause), (third, &told.next)].map(|(head, text)| {
        if text.is_empty() {
            return ("", vec![String::new()]);
        }
        let text = drawable(text);
        let mut lines = overlay::wrapped(std::slice::from_ref(&text), width);
        if lines.len() > 1 && !may_be_long {
            lines = vec![text];
        } else if lines.len() > 2 {
            let rest: Vec<String> = lines.drain(1..).collect();
            lines.push(rest.join(" "));
        }
        (head, lines)
    })
}

impl Data {
    /// Why there is no data, for the box on top.
    fn loss(&self) -> Option<(&super::message::Lost, u64, u64)> {
        match &self.link {
            Link::Lost {
                lost,
                since_us,
                told_us,
            } => Some((lost, *since_us, *told_us)),
            Link::Connecting | Link::Live => None,
        }
    }
}
