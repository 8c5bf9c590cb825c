//! What an operator must know and no counter shows: kept by topic from the moment it is found until it is mended.
//!
//! `status` shows them as causes beside those that follow from numbers. The log has the same once, when it happens;
//! this is for whoever looks later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::events::Events;
use crate::admin::transitions::event;
use crate::admin::view::{Cause, EventView, Level, Severity};

/// What a cause is about; there is one at a time of each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// The certificates on disk are not those in use.
    Certificates,
    /// The state folder has no room: nothing is noticed or applied.
    StateRoom,
    /// The tree has no room: nothing is applied.
    TreeRoom,
    /// Too many files are open: nothing is noticed or applied.
    OpenFiles,
    /// The wall clock is not believed: entries are stamped at the old pace.
    Clock,
    /// Something in the tree cannot be read: it is not sent.
    Unreadable,
    /// What goes away in the tree is not believed.
    Disbelief,
    /// The configuration on disk is not the one in use.
    Config,
    /// A certificate in use ends soon.
    Expiry,
    /// Entries of this site are not taken here: of one stream, or of all.
    Refused(String, Option<u32>),
    /// What this site knows is being taken over here: until that is done, nothing is applied.
    Snapshot(String),
    /// The tree was there before, and is compared with that of the cluster.
    Matching,
}

impl Topic {
    const fn severity(&self) -> Severity {
        match self {
            Self::Expiry | Self::Snapshot(_) | Self::Matching => Severity::Warning,
            Self::Certificates
            | Self::StateRoom
            | Self::TreeRoom
            | Self::OpenFiles
            | Self::Clock
            | Self::Unreadable
            | Self::Disbelief
            | Self::Config
            | Self::Refused(..) => Severity::Critical,
        }
    }

    const fn level(&self) -> Level {
        match self.severity() {
            Severity::Warning => Level::Warn,
            Severity::Critical => Level::Error,
        }
    }

    /// Names of the events when it comes up and when it is mended.
    const fn events(&self) -> (&'static str, &'static str) {
        match self {
            Self::Certificates => ("certificate.refused", "certificate.replaced"),
            Self::StateRoom | Self::TreeRoom => ("disk.full", "disk.room"),
            Self::OpenFiles => ("files.exhausted", "files.free"),
            Self::Clock => ("clock.disbelieved", "clock.believed"),
            Self::Unreadable => ("tree.unreadable", "tree.readable"),
            Self::Disbelief => ("brake.held", "brake.released"),
            Self::Config => ("config.refused", "config.reloaded"),
            Self::Expiry => ("certificate.expiring", "certificate.replaced"),
            Self::Refused(..) => ("entries.refused", "entries.taken"),
            Self::Snapshot(_) => ("snapshot.begun", "snapshot.taken"),
            Self::Matching => ("tree.matching", "tree.matched"),
        }
    }
}

/// The present causes. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Causes {
    all: Arc<Mutex<BTreeMap<Topic, Cause>>>,
    /// Where it is told that one comes up or is mended.
    events: Option<Events>,
}

impl Causes {
    /// No causes; what comes up is told as an event, too.
    pub(super) fn telling(events: Events) -> Self {
        Self {
            all: Arc::default(),
            events: Some(events),
        }
    }

    /// Tells a cause with its next step, in place of an older one on the topic.
    pub(super) fn set(&self, topic: Topic, text: impl Into<String>, next: impl Into<String>) {
        let site = match &topic {
            Topic::Certificates
            | Topic::StateRoom
            | Topic::TreeRoom
            | Topic::OpenFiles
            | Topic::Clock
            | Topic::Unreadable
            | Topic::Disbelief
            | Topic::Config
            | Topic::Matching
            | Topic::Expiry => None,
            Topic::Refused(site, _) | Topic::Snapshot(site) => Some(site.clone()),
        };
        let cause = Cause {
            site,
            severity: topic.severity(),
            text: text.into(),
            next: next.into(),
        };
        let name = topic.events().0;
        let told = event(
            topic.level(),
            name,
            cause.site.as_deref(),
            cause.text.clone(),
        );
        if self.with(|causes| causes.insert(topic, cause)).is_none() {
            self.tell(told);
        }
    }

    fn tell(&self, event: EventView) {
        if let Some(events) = &self.events {
            events.tell(event);
        }
    }

    /// Whether there is one on the topic.
    pub(super) fn has(&self, topic: &Topic) -> bool {
        self.with(|causes| causes.contains_key(topic))
    }

    /// It is mended. Returns whether there was anything.
    pub(super) fn clear(&self, topic: Topic) -> bool {
        let name = topic.events().1;
        let Some(was) = self.with(|causes| causes.remove(&topic)) else {
            return false;
        };
        let text = format!("no longer so: {}", was.text);
        self.tell(event(Level::Info, name, was.site.as_deref(), text));
        true
    }

    /// Nothing is refused of `site` any more, as far as is known.
    pub(super) fn clear_refused(&self, site: &str) {
        self.with(|causes| {
            causes.retain(|topic, _| !matches!(topic, Topic::Refused(of, _) if of == site));
        });
    }

    /// No snapshot is taken over any more, in whatever way that ended.
    pub(super) fn clear_snapshots(&self) {
        let of_snapshots = self.with(|causes| {
            let topics = causes
                .keys()
                .filter(|topic| matches!(topic, Topic::Snapshot(_)));
            topics.cloned().collect::<Vec<Topic>>()
        });
        for topic in of_snapshots {
            self.clear(topic);
        }
    }

    /// All of them, in the order of the topics.
    pub(super) fn all(&self) -> Vec<Cause> {
        self.with(|causes| causes.values().cloned().collect())
    }

    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<Topic, Cause>) -> T) -> T {
        change(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_stays_until_it_is_mended_and_there_is_one_for_a_topic() {
        let causes = Causes::default();
        causes.set(Topic::TreeRoom, "full", "make room");
        let of_b = |stream| Topic::Refused("b".to_owned(), stream);
        causes.set(of_b(Some(3)), "gap", "look");
        causes.set(of_b(Some(3)), "fork", "look");
        let texts: Vec<String> = causes.all().into_iter().map(|cause| cause.text).collect();
        assert_eq!(texts, ["full", "fork"]);
        assert_eq!(causes.all()[1].site.as_deref(), Some("b"));
        assert!(causes.clear(Topic::TreeRoom) && !causes.clear(Topic::TreeRoom));
        causes.set(of_b(None), "clock", "look");
        causes.clear_refused("a");
        assert_eq!(causes.all().len(), 2);
        causes.clear_refused("b");
        assert!(causes.all().is_empty());
    }
}
