//! Pure: what every message makes of the model, and what is to be done outside.

mod act;
mod input;
mod moves;
mod told;

pub(super) use input::{candidates, with_text};

use super::keys::{self, Action, Key};

use super::message::{Ask, Effect, Message, Steer};
use super::model::{CONFLICTS_MAX, Field, Link, Model, Overlay, RANGES_US, Screen, Toast, rows};
use crate::admin::view::Level;

/// How long a line stays that goes by itself.
const TOAST_US: u64 = 6_000_000;
/// A list of conflicts is asked for at most this often; a long one seldomer, by so much for each conflict, for what is
/// listed has to be read, sent and taken in each time. How many there are is told at once in any case.
const INBOX_EVERY_US: u64 = 1_000_000;
const INBOX_EACH_US: u64 = 1_000;
/// A preview reads the journal: not more often than this while it is looked at.
const PREVIEW_EVERY_US: u64 = 30_000_000;
/// The end of the journal is asked for once a second while it is looked at, and no more of it than a screen shows.
const TAIL_EVERY_US: u64 = 1_000_000;
const TAIL_MAX: u64 = 60;
/// A step of the replay, in microseconds.
const SEEK_US: i64 = 10_000_000;

/// Takes a message in.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let mut effects = match message {
        Message::Tick(now) => {
            tick(model, now);
            Vec::new()
        }
        Message::Key(key) => {
            model.dirty = true;
            settle(model);
            pressed(model, key)
        }
        Message::Paste(text) => {
            model.dirty = true;
            input::paste(model, &text);
            Vec::new()
        }
        Message::Point(target) => {
            model.dirty = true;
            settle(model);
            moves::point(model, target);
            Vec::new()
        }
        Message::Resize(columns, rows) => {
            model.size = (columns, rows);
            model.dirty = true;
            Vec::new()
        }
        Message::Told(told) => {
            told::take_in(model, *told);
            Vec::new()
        }
        Message::Done(done) => {
            model.dirty = true;
            act::done(model, *done);
            Vec::new()
        }
        Message::Replayed(player) => {
            model.dirty |= model.player != Some(player);
            model.player = Some(player);
            Vec::new()
        }
        Message::Forget => {
            let now = model.data.now;
            model.data = super::model::Data::default();
            model.data.now = now;
            model.frozen = None;
            (model.dirty, model.rows_old) = (true, true);
            Vec::new()
        }
        Message::Recall(kept) => {
            model.data.recall(*kept);
            (model.dirty, model.rows_old) = (true, true);
            Vec::new()
        }
    };
    effects.extend(questions(model));
    effects
}

/// Finds anew what is listed, if something changed, and makes sure that what is selected is there.
pub fn settle(model: &mut Model) {
    if std::mem::take(&mut model.rows_old) {
        rows::refresh(model);
    }
    moves::settle(model);
}

fn tick(model: &mut Model, now: super::model::Now) {
    let before = std::mem::replace(&mut model.data.now, now);
    // Ages and the clock are told in seconds; what is younger is told by what brings it.
    let second = |us: u64| us / 1_000_000;
    model.dirty |= second(before.wall_us) != second(now.wall_us);
    if model
        .toast
        .as_ref()
        .is_some_and(|toast| toast.until_us <= now.mono_us)
    {
        model.toast = None;
        model.dirty = true;
    }
}

/// What the daemon has to be asked for what is shown.
fn questions(model: &mut Model) -> Vec<Effect> {
    let mut effects = Vec::new();
    let screen = model.choice.screen;
    let now_us = model.data.now.mono_us;
    if model.data.link != Link::Live {
        return effects;
    }
    let inbox = &mut model.data.inbox;
    let listed = inbox.list.as_ref().map_or(0, |list| list.len() as u64);
    let every_us = INBOX_EVERY_US.max(listed * INBOX_EACH_US);
    let is_due = inbox.list.is_none()
        || inbox.as_of_us == 0
        || now_us.saturating_sub(inbox.as_of_us) >= every_us;
    if (inbox.is_old || inbox.list.is_none()) && !inbox.asked && is_due {
        inbox.asked = true;
        inbox.is_old = false;
        effects.push(Effect::Ask(Ask::Conflicts {
            limit: CONFLICTS_MAX,
        }));
    }
    if screen == Screen::Conflicts
        && let Some(id) = &model.choice.conflict
        && model.data.detail_asked.as_ref() != Some(id)
    {
        model.data.detail_asked = Some(id.clone());
        effects.push(Effect::Ask(Ask::Detail { id: id.clone() }));
    }
    let preview = model.data.preview.as_ref().map(|(at_us, _)| *at_us);
    let is_due = preview.is_none_or(|at_us| now_us.saturating_sub(at_us) >= PREVIEW_EVERY_US);
    if screen == Screen::Journal && is_due && !model.data.preview_asked {
        model.data.preview_asked = true;
        effects.push(Effect::Ask(Ask::Preview));
    }
    let tail = model.data.tail.as_ref().map(|(at_us, _)| *at_us);
    let is_due = tail.is_none_or(|at_us| now_us.saturating_sub(at_us) >= TAIL_EVERY_US);
    if screen == Screen::Journal && is_due && !model.data.tail_asked {
        model.data.tail_asked = true;
        effects.push(Effect::Ask(Ask::Tail { last: TAIL_MAX }));
    }
    effects
}

/// Says something that goes by itself.
fn say(model: &mut Model, text: impl Into<String>, is_bad: bool) {
    model.toast = Some(Toast {
        text: text.into(),
        is_bad,
        until_us: model.data.now.mono_us.saturating_add(TOAST_US),
    });
}

fn pressed(model: &mut Model, key: Key) -> Vec<Effect> {
    if model.choice.overlay.is_some() {
        return input::key(model, key);
    }
    match keys::action(model.choice.screen, model.player.is_some(), key) {
        Some(action) => act_on(model, action),
        None => Vec::new(),
    }
}

/// Does what a key, or a command of the palette, is for.
fn act_on(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Show(screen) => moves::show(model, screen),
        Action::Help => model.choice.overlay = Some(Overlay::Help(Field::default(), 0)),
        Action::Palette => model.choice.overlay = Some(Overlay::Palette(Field::default(), 0)),
        Action::Filter => {
            let field = Field::with(model.filter());
            model.choice.overlay = Some(Overlay::Filter(field));
        }
        Action::Back => moves::back(model),
        Action::Open => return open(model),
        Action::Up => moves::by(model, -1),
        Action::Down => moves::by(model, 1),
        Action::Left => moves::sideways(model, -1),
        Action::Right => moves::sideways(model, 1),
        Action::PageUp => moves::by(model, -moves::page(model)),
        Action::PageDown => moves::by(model, moves::page(model)),
        Action::Top => moves::by(model, isize::MIN),
        Action::Bottom => moves::by(model, isize::MAX),
        Action::NextPanel => moves::panel(model, 1),
        Action::PreviousPanel => moves::panel(model, -1),
        Action::NextSite => moves::site(model, 1),
        Action::PreviousSite => moves::site(model, -1),
        Action::Worst => moves::worst(model),
        Action::NextProblem => moves::problem(model, 1),
        Action::PreviousProblem => moves::problem(model, -1),
        Action::Sort
        | Action::Units
        | Action::Metric
        | Action::Zoom
        | Action::Freeze
        | Action::Theme
        | Action::Zone
        | Action::Wider
        | Action::Narrower
        | Action::Follow
        | Action::Level
        | Action::All => look(model, action),
        Action::Mark => moves::mark(model),
        Action::MarkRange => moves::mark_range(model),
        Action::Diff => return act::diff(model),
        Action::Ack
        | Action::AckAll
        | Action::Restore
        | Action::SaveLoser
        | Action::Pause
        | Action::Resume
        | Action::Reconnect
        | Action::Reload
        | Action::LogLevel => return act::ask(model, action),
        Action::Copy => return act::copy(model),
        Action::Command => act::command(model),
        Action::Dump => return vec![Effect::Dump(dump_name(model))],
        Action::PlayPause => return steer(model, Steer::PlayPause),
        Action::Faster => return steer(model, Steer::Faster),
        Action::Slower => return steer(model, Steer::Slower),
        Action::SeekBack => return steer(model, Steer::Seek(-SEEK_US)),
        Action::SeekForward => return steer(model, Steer::Seek(SEEK_US)),
    }
    Vec::new()
}

fn steer(model: &Model, steer: Steer) -> Vec<Effect> {
    if model.player.is_some() {
        vec![Effect::Replay(steer)]
    } else {
        Vec::new()
    }
}

/// The file for what the screen shows: it tells when that was.
fn dump_name(model: &Model) -> String {
    let at = crate::clock::rfc3339(model.shown().now.wall_us).unwrap_or_default();
    let at: String = at
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(15)
        .collect();
    format!("cfs-repl-top-{at}.txt")
}

/// Changes what is shown, and nothing else.
type Change = fn(&mut Model);

/// How something is shown otherwise.
const LOOKS: &[(Action, Change)] = &[
    (Action::Sort, sort),
    (Action::Units, |model| {
        model.choice.units = model.choice.units.next();
    }),
    (Action::Metric, |model| {
        model.choice.metric = model.choice.metric.next();
    }),
    (Action::Zoom, |model| {
        model.choice.zoom = !model.choice.zoom;
    }),
    (Action::Freeze, freeze),
    (Action::Theme, |model| {
        model.choice.theme = model.choice.theme.next();
    }),
    (Action::Zone, |model| {
        model.choice.local = !model.choice.local;
    }),
    (Action::Wider, |model| {
        model.choice.range = (model.choice.range + 1).min(RANGES_US.len() - 1);
    }),
    (Action::Narrower, |model| {
        model.choice.range = model.choice.range.saturating_sub(1);
    }),
    (Action::Follow, |model| model.choice.event = None),
    (Action::Level, |model| {
        model.choice.level = match model.choice.level {
            Level::Info => Level::Warn,
            Level::Warn => Level::Error,
            Level::Error => Level::Info,
        };
        model.rows_old = true;
    }),
    (Action::All, |model| {
        model.choice.all_conflicts = !model.choice.all_conflicts;
        model.rows_old = true;
    }),
];

/// Changes how something is shown.
fn look(model: &mut Model, action: Action) {
    if let Some((_, change)) = LOOKS.iter().find(|(of, _)| *of == action) {
        change(model);
    }
}

fn sort(model: &mut Model) {
    let choice = &mut model.choice;
    if choice.screen == Screen::Conflicts {
        choice.conflict_sort = choice.conflict_sort.next();
        model.rows_old = true;
    } else {
        choice.site_sort = choice.site_sort.next();
    }
}

fn freeze(model: &mut Model) {
    model.frozen = match model.frozen.take() {
        Some(_) => None,
        None => Some(Box::new(model.data.clone())),
    };
    model.rows_old = true;
}

fn open(model: &mut Model) -> Vec<Effect> {
    match model.choice.screen {
        Screen::Overview if moves::has_events(model) => moves::show(model, Screen::Events),
        Screen::Overview => moves::show(model, Screen::Site),
        Screen::Site => return act::text_of_site(model),
        Screen::Shards => moves::show(model, Screen::Journal),
        Screen::Conflicts => model.choice.panel = 1,
        Screen::Events => act::text_of_event(model),
        Screen::Journal => moves::show(model, Screen::Site),
    }
    Vec::new()
}

#[cfg(test)]
mod tests;
