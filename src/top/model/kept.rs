//! Pure: what is known at a moment of a record, in few bytes, but for what stands in its file anyway.
//!
//! Lists, texts and events are told again from the file; everything else that later messages change is here. The look is
//! the message that a daemon would have sent, and the charts are packed.

use std::sync::Arc;

use super::history::{History, Packed};
use super::{Data, Failed, Link, Now};
use crate::admin::client::Update;
use crate::admin::record::Recorded;

/// What is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    now: Now,
    address: String,
    link: Link,
    heard: Option<Now>,
    /// A snapshot as it is sent.
    look: Option<Vec<u8>>,
    unreadable: Option<(String, String)>,
    history: Packed,
    events_seen: u64,
    unanswered: Option<Failed>,
    /// When the conflicts were listed; what was asked for, and what is old.
    listed_us: u64,
    is_asked: [bool; 3],
    is_old: bool,
    detail_asked: Option<String>,
}

const UPDATE: &str = "update";

impl Data {
    /// What is known now.
    #[must_use]
    pub fn keep(&self) -> Kept {
        let look = self.look.as_deref().map(|look| {
            let update = Update::Snapshot(Box::new(look.clone()));
            Recorded::Update(0, update).encode()
        });
        Kept {
            now: self.now,
            address: self.address.clone(),
            link: self.link.clone(),
            heard: self.heard,
            look,
            unreadable: self.unreadable.clone(),
            history: self.history.pack(),
            events_seen: self.events_seen,
            unanswered: self.unanswered.clone(),
            listed_us: self.inbox.as_of_us,
            is_asked: [self.inbox.asked, self.preview_asked, self.tail_asked],
            is_old: self.inbox.is_old,
            detail_asked: self.detail_asked.clone(),
        }
    }

    /// Knows again what was known, after lists, texts and events were told again.
    pub fn recall(&mut self, kept: Kept) {
        let bytes = kept.look.as_deref();
        let read = bytes.and_then(|bytes| Recorded::decode(UPDATE, bytes).ok().flatten());
        self.look = match read {
            Some(Recorded::Update(_, Update::Snapshot(look))) => Some(Arc::from(look)),
            // It was written here: it is always a snapshot.
            Some(_) | None => None,
        };
        self.history = History::unpack(&kept.history).unwrap_or_default();
        (self.now, self.address, self.link) = (kept.now, kept.address, kept.link);
        (self.heard, self.unreadable) = (kept.heard, kept.unreadable);
        (self.events_seen, self.unanswered) = (kept.events_seen, kept.unanswered);
        let inbox = &mut self.inbox;
        (inbox.as_of_us, inbox.is_old) = (kept.listed_us, kept.is_old);
        [inbox.asked, self.preview_asked, self.tail_asked] = kept.is_asked;
        self.detail_asked = kept.detail_asked;
    }
}
