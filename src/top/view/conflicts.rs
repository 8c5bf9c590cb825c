//! Pure: what lost: the list, and both versions side by side or line by line.

use ratatui::layout::Rect;

use super::super::diff;
use super::super::message::Target;
use super::super::model::{ConflictSort, rows};
use super::super::theme::Tone;
use super::Pen;
use super::overlay::skip_columns;
use super::table::{Column, Row};
use super::words::{self, known};
use crate::admin::view::{
    BytesAt, ConflictDetail, ConflictView, ValueView, VersionView, path_text, plural, root_text,
};
use crate::text::{bytes, count, drawable, duration};

const COLUMNS: &[Column] = &[
    Column::left("", 2, 0),
    Column::left("ID", 12, 0),
    Column::right("AGE", 7, 1),
    Column::rest("PATH", 14),
    Column::left("KIND", 16, 6),
    Column::left("REGISTER", 9, 4),
    Column::left("WINNER", 9, 2),
    Column::left("LOSER", 9, 2),
    Column::right("GAP", 6, 3),
    Column::right("LOST", 8, 0),
    Column::left("ACK", 10, 5),
];

impl Pen<'_> {
    pub(super) fn conflicts(&mut self, area: Rect) {
        let has_room = area.height >= 14;
        let detail = if has_room {
            (area.height / 2).clamp(8, 16)
        } else {
            0
        };
        let part = |y: u16, height: u16| Rect {
            y: area.y + y,
            height,
            ..area
        };
        let list = area.height - detail;
        if !has_room && self.model.choice.panel == 1 {
            self.conflicts_panel(1, area);
            return;
        }
        self.conflicts_panel(0, part(0, list));
        if detail > 0 {
            self.conflicts_panel(1, part(list, detail));
        }
    }

    pub(super) fn conflicts_panel(&mut self, panel: usize, area: Rect) {
        match panel {
            0 => self.inbox(area),
            _ if self.model.choice.diff => self.difference(area),
            _ => self.versions(area),
        }
    }

    fn inbox(&mut self, area: Rect) {
        let choice = &self.model.choice;
        let inbox = &self.data.inbox;
        let title = if choice.all_conflicts {
            "Conflicts  (all)"
        } else {
            "Conflicts  (open)"
        };
        let order = match choice.conflict_sort {
            ConflictSort::Latest => "latest first",
            ConflictSort::Loss => "greatest loss first",
            ConflictSort::Path => "by path",
        };
        let mut right = format!(
            "{order}   {} of {}",
            count(self.model.rows.conflicts.len() as u64),
            count(inbox.found)
        );
        if !choice.marked.is_empty() {
            right = format!("{} marked   {right}", count(choice.marked.len() as u64));
        }
        let inner = self.panel(area, title, &right, Some(0));
        let Some(list) = inbox.list.clone() else {
            let style = self.style(Tone::Dim);
            self.note(inner, "the list is on its way", style);
            return;
        };
        let numbers = &self.model.rows.conflicts;
        if numbers.is_empty() {
            let style = self.style(Tone::Dim);
            let text = match (list.is_empty(), self.model.filter().is_empty()) {
                (true, _) => "no conflict is on record",
                (false, true) => "none is open; o shows all",
                (false, false) => "the filter lets none through",
            };
            self.note(inner, text, style);
            return;
        }
        let now_us = self.data.now.wall_us;
        let marked = &self.model.choice.marked;
        let row = |at: usize| {
            let one = list.get(*numbers.get(at)?)?;
            Some(Row {
                cells: cells(one, marked.contains(&one.id), now_us),
                target: Some(Target::Conflict(one.id.clone())),
            })
        };
        let selected = Some(self.model.choice.conflict_row);
        self.table(inner, COLUMNS, numbers.len(), selected, &row);
    }

    fn versions(&mut self, area: Rect) {
        let Some(one) = self.model.selected_conflict() else {
            self.panel(area, "Both versions", "", Some(1));
            return;
        };
        let detail = self
            .data
            .detail
            .as_ref()
            .filter(|detail| detail.conflict.id == one.id);
        let half = area.width / 2;
        let left = Rect {
            width: half,
            ..area
        };
        let right = Rect {
            x: area.x + half,
            width: area.width - half,
            ..area
        };
        let winner = one.winner.as_ref().map_or_else(|| "—".to_owned(), author);
        let note = match detail.and_then(|detail| detail.shown_is_winner) {
            Some(true) => "stands here",
            Some(false) => "a later one stands here",
            None => "",
        };
        let inner = self.panel(left, &format!("WINNER  {winner}"), note, Some(1));
        let lines = self.winner_lines(one, detail);
        self.pairs(inner, &lines);
        let loser = author(&one.loser);
        let note = detail.map_or("", |detail| where_bytes(detail.bytes_at));
        let inner = self.panel(right, &format!("LOSER  {loser}"), note, Some(1));
        let lines = self.loser_lines(one, detail);
        self.pairs(inner, &lines);
    }

    fn pairs(&mut self, inner: Rect, lines: &[(&str, Tone, String)]) {
        for (line, (head, tone, text)) in lines.iter().enumerate() {
            let y = inner.y + u16::try_from(line).unwrap_or(0);
            if y >= inner.bottom() {
                break;
            }
            let dim = self.style(Tone::Dim);
            self.put(inner.x + 1, y, 8, head, dim);
            let style = self.style(*tone);
            self.put(inner.x + 9, y, inner.width.saturating_sub(10), text, style);
        }
    }

    fn stamp(&self, version: &VersionView) -> Vec<(&'static str, Tone, String)> {
        let at = crate::clock::rfc3339(version.timestamp_us).unwrap_or_default();
        let place = if version.seq == 0 {
            "never journaled".to_owned()
        } else {
            format!("stream {}, seq {}", version.stream, count(version.seq))
        };
        vec![("time", Tone::Plain, at), ("entry", Tone::Plain, place)]
    }

    fn winner_lines(
        &self,
        one: &ConflictView,
        detail: Option<&ConflictDetail>,
    ) -> Vec<(&'static str, Tone, String)> {
        let mut lines = match &one.winner {
            Some(winner) => self.stamp(winner),
            None => vec![(
                "",
                Tone::Dim,
                "nothing took the place of the loser".to_owned(),
            )],
        };
        if let Some(detail) = detail {
            match wanted_name(one, detail) {
                // What the loser lacks is what the winner has.
                Some(name) => lines.push(("has", Tone::Plain, name)),
                None => lines.extend(value(detail.shown.as_ref())),
            }
            lines.push(("why", Tone::Plain, detail.why.clone()));
        } else {
            lines.push(("", Tone::Dim, "the versions are on their way".to_owned()));
        }
        if let Some(ack) = &one.ack {
            let note = if ack.note.is_empty() {
                String::new()
            } else {
                format!(": {}", ack.note)
            };
            let at = words::moment(ack.at_us, self.data.now.wall_us, self.zone());
            lines.push(("ack", Tone::Good, format!("{} at {at}{note}", ack.by)));
        } else if one.superseded {
            lines.push((
                "ack",
                Tone::Dim,
                "superseded: nobody has to look".to_owned(),
            ));
        }
        lines
    }

    fn loser_lines(
        &self,
        one: &ConflictView,
        detail: Option<&ConflictDetail>,
    ) -> Vec<(&'static str, Tone, String)> {
        let mut lines = self.stamp(&one.loser);
        if let Some(detail) = detail {
            match wanted_name(one, detail) {
                Some(name) => {
                    lines.push(("wanted", Tone::Plain, name));
                    let stands = detail
                        .shown
                        .as_ref()
                        .and_then(|shown| shown.path.as_deref());
                    let stands = stands.map_or_else(|| "not known here".to_owned(), path_text);
                    lines.push(("stands", Tone::Strong, stands));
                }
                None => lines.extend(value(detail.lost.as_ref())),
            }
            if let Some((tone, text)) = order(detail) {
                lines.push(("order", tone, text));
            }
        }
        if one.lost_bytes.is_some() && one.is_open() {
            lines.push((
                "next",
                Tone::Dim,
                "d compares   R restores   S saves it   a acknowledges".to_owned(),
            ));
        }
        lines
    }

    fn difference(&mut self, area: Rect) {
        let one = self.model.selected_conflict();
        let path = one.map_or_else(String::new, rows::conflict_path);
        let title = format!("- loser  + stands here  {path}");
        let column = self.model.choice.diff_column;
        let right = match column {
            0 => "d back   ↑↓ hl scroll".to_owned(),
            column => format!("from column {}   d back   ↑↓ hl scroll", column + 1),
        };
        let inner = self.panel(area, &title, &right, Some(1));
        let texts = self.data.texts.as_ref();
        let texts = texts.filter(|texts| Some(&texts.id) == self.model.choice.conflict.as_ref());
        let dim = self.style(Tone::Dim);
        let (x, width) = (inner.x + 1, inner.width.saturating_sub(1));
        let lines = match texts.map(|texts| &texts.lines) {
            None => {
                self.put(x, inner.y, width, "both versions are read", dim);
                return;
            }
            Some(Err(why)) => {
                self.put(x, inner.y, width, why, dim);
                return;
            }
            Some(Ok(lines)) => std::sync::Arc::clone(lines),
        };
        let room = usize::from(inner.height);
        let first = self
            .model
            .choice
            .diff_scroll
            .min(lines.len().saturating_sub(room));
        for (line, text) in lines.iter().skip(first).take(room).enumerate() {
            let y = inner.y + u16::try_from(line).unwrap_or(0);
            let from = |text: &str| skip_columns(&drawable(text), column);
            let (tone, text) = match text {
                diff::Line::Same(text) => (Tone::Dim, format!("  {}", from(text))),
                diff::Line::Old(text) => (Tone::Bad, format!("- {}", from(text))),
                diff::Line::New(text) => (Tone::Good, format!("+ {}", from(text))),
                diff::Line::Gap(many) => (
                    Tone::Dim,
                    format!("… {}", plural(*many as u64, "equal line")),
                ),
            };
            let style = self.style(tone);
            self.put(x, y, width, &text, style);
        }
    }
}

fn author(version: &VersionView) -> String {
    let name = version.site.clone();
    name.unwrap_or_else(|| format!("site {}", version.site_id))
}

fn cells(one: &ConflictView, is_marked: bool, now_us: u64) -> Vec<(Tone, String)> {
    let none = || "—".to_owned();
    let is_lossy = one.is_open() && one.lost_bytes.is_some_and(|lost| lost > 0);
    let mark = match (is_marked, is_lossy) {
        (true, true) => "+✱",
        (true, false) => "+ ",
        (false, true) => " ✱",
        (false, false) => "",
    };
    let tone = if is_lossy {
        Tone::Attention
    } else if one.is_open() {
        Tone::Plain
    } else {
        Tone::Dim
    };
    let gone = if one.gone { " (gone)" } else { "" };
    let ack = match &one.ack {
        Some(ack) => ack.by.clone(),
        None if one.superseded => "superseded".to_owned(),
        None => none(),
    };
    vec![
        (tone, mark.to_owned()),
        (tone, one.id.clone()),
        (tone, duration(now_us.saturating_sub(one.detected_us))),
        (tone, format!("{}{gone}", rows::conflict_path(one))),
        (tone, one.kind.clone()),
        (tone, one.register.clone()),
        (tone, one.winner.as_ref().map_or_else(none, author)),
        (tone, author(&one.loser)),
        (tone, one.gap_us.map_or_else(none, words::gap)),
        (tone, one.lost_bytes.map_or_else(none, bytes)),
        (tone, ack),
    ]
}

fn where_bytes(at: BytesAt) -> &'static str {
    match at {
        BytesAt::Unknown => "where its bytes are is not known",
        BytesAt::None => "no bytes lost",
        BytesAt::Here => "its bytes are kept here",
        BytesAt::Elsewhere => "its bytes are at the site that wrote them",
        BytesAt::Gone => "its bytes are gone",
    }
}

/// The name for which two files clashed; none for any other conflict.
fn wanted_name(one: &ConflictView, detail: &ConflictDetail) -> Option<String> {
    let lost = detail.lost.as_ref().filter(|_| one.kind == "name_clash");
    Some(path_text(lost?.path.as_deref()?))
}

/// What a register held, line by line.
fn value(value: Option<&ValueView>) -> Vec<(&'static str, Tone, String)> {
    let Some(value) = value else {
        return vec![("value", Tone::Dim, "not known here".to_owned())];
    };
    let mut lines = Vec::new();
    let mut add = |head: &'static str, text: String| lines.push((head, Tone::Plain, text));
    if value.removed {
        add("value", "removed".to_owned());
    }
    if let Some(path) = &value.path {
        add("path", path_text(path));
    }
    if let Some(size) = value.size_bytes {
        add("size", format!("{}  ({} bytes)", bytes(size), count(size)));
    }
    if let Some(root) = &value.root {
        let digits: String = root_text(root).chars().take(16).collect();
        add("content", format!("hash {digits}"));
    }
    if let Some(mode) = value.mode {
        add("mode", format!("{mode:04o}"));
    }
    if let (Some(uid), Some(gid)) = (value.uid, value.gid) {
        add("owner", format!("{uid}:{gid}"));
    }
    if let Some(us) = value.mtime_us {
        add("mtime", known(crate::clock::rfc3339(us), |at| at));
    }
    if let Some(flags) = value.flags {
        add("flags", format!("{flags:#x}"));
    }
    if let Some(name) = &value.xattr {
        add("xattr", path_text(name));
    }
    if let Some(content) = &value.xattr_value {
        add("", format!("= \"{}\"", path_text(content)));
    }
    lines
}

/// What the stamps are worth.
fn order(detail: &ConflictDetail) -> Option<(Tone, String)> {
    let apart = words::gap(detail.conflict.gap_us?);
    Some(match (detail.order_certain, detail.skew_bound_us) {
        (Some(true), Some(bound)) => (
            Tone::Good,
            format!(
                "{apart} apart; clocks differ by {} at most",
                words::gap(bound)
            ),
        ),
        (Some(false), Some(bound)) => (
            Tone::Attention,
            format!(
                "near! {apart} apart, and clocks may differ by {}",
                words::gap(bound)
            ),
        ),
        (_, None) | (None, _) => (
            Tone::Dim,
            format!("{apart} apart; how far clocks differ is not known"),
        ),
    })
}
