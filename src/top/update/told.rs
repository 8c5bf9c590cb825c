//! Pure: what the daemon told, taken in.

use std::sync::Arc;

use super::super::diff;
use super::super::message::Told;
use super::super::model::{EVENTS_MAX, Link, Model, Texts};
use crate::admin::client::Update;
use crate::admin::delta;
use crate::admin::view::{EventView, Overview};
use crate::clock::TimestampUs;

pub(super) fn take_in(model: &mut Model, told: Told) {
    // A held picture stays as it is.
    model.dirty |= model.frozen.is_none();
    match told {
        Told::Connecting { address } => model.data.address = address,
        Told::Lost(lost) => {
            let now_us = model.data.now.mono_us;
            let since_us = match &model.data.link {
                Link::Lost { since_us, .. } => *since_us,
                Link::Connecting | Link::Live => now_us,
            };
            model.data.link = Link::Lost {
                lost,
                since_us,
                told_us: now_us,
            };
            let data = &mut model.data;
            (data.inbox.asked, data.preview_asked) = (false, false);
            data.tail_asked = false;
        }
        Told::Rights(rights) => model.rights = rights,
        Told::Update(_, update) => {
            heard(model);
            look(model, update);
        }
        Told::Event(event) => self::event(model, event),
        Told::Conflicts { list, found } => {
            let now_us = model.data.now.mono_us;
            let inbox = &mut model.data.inbox;
            inbox.lists(list);
            (inbox.found, inbox.asked, inbox.as_of_us) = (found, false, now_us);
            // What is shown of the selected one may have changed, too.
            model.data.detail_asked = None;
            model.rows_old = true;
        }
        Told::Detail(detail) => {
            model.data.detail_asked = Some(detail.conflict.id.clone());
            model.data.detail = Some(*detail);
        }
        Told::Texts { id, texts } => {
            let lines = texts.map(|[lost, shown]| Arc::new(diff::lines(&lost, &shown)));
            model.data.texts = Some(Texts { id, lines });
            (model.choice.diff_scroll, model.choice.diff_column) = (0, 0);
        }
        Told::Preview(sites) => {
            model.data.preview = Some((model.data.now.mono_us, sites));
            model.data.preview_asked = false;
        }
        Told::Tail(entries) => {
            model.data.tail = Some((model.data.now.mono_us, entries));
            model.data.tail_asked = false;
        }
        Told::Unanswered(failed) => {
            let data = &mut model.data;
            (data.inbox.asked, data.preview_asked) = (false, false);
            data.inbox.as_of_us = data.now.mono_us;
            // What was not answered is not asked for again at once.
            if std::mem::take(&mut data.tail_asked) {
                let entries = data.tail.take().map(|(_, entries)| entries);
                data.tail = Some((data.now.mono_us, entries.unwrap_or_default()));
            }
            super::say(model, failed.message.clone(), true);
            model.data.unanswered = Some(failed);
        }
    }
}

fn heard(model: &mut Model) {
    let data = &mut model.data;
    if data.link != Link::Live {
        data.link = Link::Live;
        // Something may have happened in between.
        data.inbox.is_old = true;
    }
    data.heard = Some(data.now);
}

fn look(model: &mut Model, update: Update) {
    let data = &mut model.data;
    let at_us = data.now.wall_us;
    match update {
        Update::Snapshot(look) => {
            changed(model, at_us, *look);
        }
        Update::Delta(delta) => {
            // A delta without a look before it belongs to a snapshot that a record lacks.
            let Some(look) = data.look.take() else {
                return;
            };
            let open_before = look.status.conflicts;
            let mut look = Arc::unwrap_or_clone(look);
            delta::take_in(&mut look, *delta);
            data.inbox.is_old |= look.status.conflicts != open_before;
            changed(model, at_us, look);
        }
        Update::Heartbeat {
            uptime_us,
            engine_age_us,
        } => {
            if let Some(look) = data.look.take() {
                let mut look = Arc::unwrap_or_clone(look);
                look.status.uptime_us = uptime_us;
                look.status.engine_age_us = engine_age_us;
                changed(model, at_us, look);
            }
        }
        Update::Unreadable { text, next } => data.unreadable = Some((text, next)),
    }
}

fn changed(model: &mut Model, at_us: TimestampUs, look: Overview) {
    let data = &mut model.data;
    data.unreadable = None;
    data.history.take_in(at_us, &look);
    data.look = Some(Arc::new(look));
}

fn event(model: &mut Model, event: EventView) {
    let data = &mut model.data;
    if let Some(last) = data.events.back()
        && event.number <= last.number
    {
        // Told again after a reconnect, unless it is later: then another daemon counts from the beginning.
        if event.at_us <= last.at_us {
            return;
        }
        data.events.clear();
        model.rows_old = true;
    }
    if event.name.starts_with("conflict.") {
        data.inbox.is_old = true;
    }
    if model.frozen.is_none() {
        model.rows.put_event(&model.choice, &event);
    }
    data.events.push_back(event);
    data.events_seen += 1;
    while data.events.len() > EVENTS_MAX {
        data.events.pop_front();
    }
    if let (None, Some(first)) = (&model.frozen, data.events.front()) {
        model.rows.forget_events(first.number);
    }
}
