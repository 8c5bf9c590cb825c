//! Pure: what is typed while something stands over the screen.

use tui_input::InputRequest;

use super::super::help;
use super::super::keys::{self, Action, Key};
use super::super::message::{Act, Effect};
use super::super::model::{Field, Model, Need, Overlay, Question};

/// Longest text that is taken.
const TEXT_MAX: usize = 500;

/// Takes a key while an overlay is open.
pub(super) fn key(model: &mut Model, key: Key) -> Vec<Effect> {
    if key == Key::Ctrl('c') {
        return vec![Effect::Quit];
    }
    let Some(overlay) = model.choice.overlay.take() else {
        return Vec::new();
    };
    match overlay {
        Overlay::Help(field, scroll) => help(model, field, scroll, key),
        Overlay::Palette(field, at) => return palette(model, field, at, key),
        Overlay::Filter(field) => filter(model, field, key),
        Overlay::Ask(question) => return ask(model, question, key),
        Overlay::Text {
            title,
            lines,
            copy,
            is_bad,
        } => {
            if key == Key::Char('y') {
                super::say(model, "copied", false);
                return vec![Effect::Copy(copy)];
            }
            let is_read = matches!(key, Key::Esc | Key::Enter | Key::Char('q' | 'x'));
            if !is_read {
                model.choice.overlay = Some(Overlay::Text {
                    title,
                    lines,
                    copy,
                    is_bad,
                });
            }
        }
    }
    Vec::new()
}

/// Takes pasted text: into the field that is open, without what a terminal would obey.
pub(super) fn paste(model: &mut Model, text: &str) {
    let typed: String = text.chars().filter(|c| !c.is_control()).collect();
    let field = match &mut model.choice.overlay {
        Some(Overlay::Help(field, _) | Overlay::Palette(field, _) | Overlay::Filter(field)) => {
            field
        }
        Some(Overlay::Ask(question)) => match &mut question.text {
            Some((_, field)) if question.in_text => field,
            Some(_) | None => &mut question.word,
        },
        Some(Overlay::Text { .. }) | None => return,
    };
    for c in typed.chars() {
        edit(field, Key::Char(c));
    }
}

/// Edits a field. Returns whether the key was for it.
fn edit(field: &mut Field, key: Key) -> bool {
    let request = match key {
        Key::Char(c) if field.text().len() < TEXT_MAX && !c.is_control() => {
            InputRequest::InsertChar(c)
        }
        Key::Char(_) => return true,
        Key::Backspace => InputRequest::DeletePrevChar,
        Key::Delete => InputRequest::DeleteNextChar,
        Key::Left => InputRequest::GoToPrevChar,
        Key::Right => InputRequest::GoToNextChar,
        Key::Home | Key::Ctrl('a') => InputRequest::GoToStart,
        Key::End | Key::Ctrl('e') => InputRequest::GoToEnd,
        Key::Ctrl('u') => InputRequest::DeleteLine,
        Key::Ctrl('w') => InputRequest::DeletePrevWord,
        Key::Ctrl(_)
        | Key::Enter
        | Key::Esc
        | Key::Tab
        | Key::BackTab
        | Key::Up
        | Key::Down
        | Key::PageUp
        | Key::PageDown => return false,
    };
    // What is not changed by a key was still meant for the field.
    let _changed = field.input.handle(request);
    true
}

fn help(model: &mut Model, mut field: Field, scroll: usize, key: Key) {
    let is_done =
        matches!(key, Key::Esc | Key::Enter) || (key == Key::Char('?') && field.text().is_empty());
    if is_done {
        return;
    }
    let count = help::lines(field.text()).len();
    let room = help::room(model.size, count);
    let by = |lines: isize| scroll.saturating_add_signed(lines).min(room.last(count));
    let page = isize::try_from(room.rows).unwrap_or(1);
    let scroll = match key {
        Key::Up => by(-1),
        Key::Down => by(1),
        Key::PageUp => by(-page),
        Key::PageDown => by(page),
        Key::Char(_)
        | Key::Ctrl(_)
        | Key::Enter
        | Key::Esc
        | Key::Tab
        | Key::BackTab
        | Key::Left
        | Key::Right
        | Key::Home
        | Key::End
        | Key::Backspace
        | Key::Delete => {
            let before = field.text().to_owned();
            edit(&mut field, key);
            // Other lines: from their beginning.
            if before == field.text() { scroll } else { 0 }
        }
    };
    model.choice.overlay = Some(Overlay::Help(field, scroll));
}

/// Commands that fit what was typed: those that begin with it first.
#[must_use]
pub(in crate::top) fn candidates(typed: &str) -> Vec<(&'static str, Action)> {
    let typed = typed.trim().to_lowercase();
    let begins = keys::NAMES
        .iter()
        .filter(|(name, _)| name.starts_with(&typed));
    let holds =
        (keys::NAMES.iter()).filter(|(name, _)| !name.starts_with(&typed) && name.contains(&typed));
    begins.chain(holds).copied().collect()
}

fn palette(model: &mut Model, mut field: Field, at: usize, key: Key) -> Vec<Effect> {
    let found = candidates(field.text());
    let last = found.len().saturating_sub(1);
    let at = match key {
        Key::Esc => return Vec::new(),
        Key::Backspace if field.text().is_empty() => return Vec::new(),
        Key::Enter => {
            return match found.get(at.min(last)) {
                Some((_, action)) => super::act_on(model, *action),
                None => {
                    super::say(model, "no such command", true);
                    Vec::new()
                }
            };
        }
        Key::Down | Key::Tab => (at + 1).min(last),
        Key::Up | Key::BackTab => at.saturating_sub(1),
        Key::Char(_)
        | Key::Ctrl(_)
        | Key::Left
        | Key::Right
        | Key::PageUp
        | Key::PageDown
        | Key::Home
        | Key::End
        | Key::Backspace
        | Key::Delete => {
            edit(&mut field, key);
            0
        }
    };
    model.choice.overlay = Some(Overlay::Palette(field, at));
    Vec::new()
}

fn filter(model: &mut Model, mut field: Field, key: Key) {
    let is_done = matches!(key, Key::Enter | Key::Esc);
    if key == Key::Esc {
        field = Field::default();
    } else {
        edit(&mut field, key);
    }
    let slot = model.filter_slot();
    if let Some(filter) = slot.and_then(|at| model.choice.filters.get_mut(at)) {
        field.text().clone_into(filter);
    }
    model.rows_old = true;
    if !is_done {
        model.choice.overlay = Some(Overlay::Filter(field));
    }
    super::settle(model);
}

fn ask(model: &mut Model, mut question: Box<Question>, key: Key) -> Vec<Effect> {
    match key {
        Key::Esc => {
            super::say(model, "nothing was done", false);
            return Vec::new();
        }
        Key::Enter => {
            if let Need::Word(word) = &question.need
                && question.word.text().trim() != word
            {
                // The first Enter leads from the text to the word.
                if question.in_text {
                    question.in_text = false;
                } else {
                    super::say(model, format!("type {word} to go on, or Esc"), true);
                }
                model.choice.overlay = Some(Overlay::Ask(question));
                return Vec::new();
            }
            return vec![Effect::Act(with_text(&question))];
        }
        Key::Tab | Key::BackTab | Key::Up | Key::Down => {
            question.in_text =
                question.text.is_some() && (!question.in_text || question.need == Need::Enter);
        }
        Key::Char(_)
        | Key::Ctrl(_)
        | Key::Left
        | Key::Right
        | Key::PageUp
        | Key::PageDown
        | Key::Home
        | Key::End
        | Key::Backspace
        | Key::Delete => {
            match &mut question.text {
                Some((_, field)) if question.in_text => edit(field, key),
                Some(_) | None if question.need != Need::Enter => edit(&mut question.word, key),
                Some(_) | None => false,
            };
        }
    }
    model.choice.overlay = Some(Overlay::Ask(question));
    Vec::new()
}

/// The act with what was typed.
#[must_use]
pub(in crate::top) fn with_text(question: &Question) -> Act {
    let text = question
        .text
        .as_ref()
        .map_or("", |(_, field)| field.text().trim());
    let text = text.to_owned();
    match question.act.clone() {
        Act::Ack(request) => Act::Ack(crate::admin::filter::AckRequest {
            note: text,
            ..request
        }),
        Act::Pause { site, .. } => Act::Pause { site, note: text },
        Act::Save { id, .. } => Act::Save { id, file: text },
        Act::Restore { id, over_later, .. } => Act::Restore {
            id,
            as_path: Some(text).filter(|path| !path.is_empty()),
            over_later,
        },
        Act::LogLevel { .. } => Act::LogLevel { filter: text },
        act @ (Act::Resume { .. } | Act::Reconnect { .. } | Act::Reload) => act,
    }
}
