//! Pure: what happened, as operators read it.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::{self, TimestampUs};

/// Every name that an event of a daemon can have, with what it means, for help and checks.
pub const EVENT_NAMES: &[(&str, &str)] = &[
    ("daemon.started", "the daemon is up"),
    ("daemon.stopping", "the daemon was asked to stop"),
    ("verdict.changed", "the whole in one word is another one"),
    ("site.up", "a site is connected"),
    ("site.down", "a site is not connected any more"),
    (
        "site.stalled",
        "a connected site has work and makes no progress",
    ),
    ("site.parked", "changes of or for a site cannot be applied"),
    ("site.fenced", "a site stayed away too long"),
    ("site.paused", "an operator paused the exchange with a site"),
    ("site.resumed", "a site goes on"),
    (
        "site.reconnected",
        "an operator had the connection to a site made anew",
    ),
    (
        "snapshot.begun",
        "what another site knows is being taken over",
    ),
    ("snapshot.taken", "what another site knows was taken over"),
    (
        "tree.matching",
        "the tree had files before, and is compared with that of the cluster",
    ),
    ("tree.matched", "the tree is part of the cluster's"),
    ("site.added", "a site joined"),
    ("site.removed", "a site was removed"),
    (
        "brake.held",
        "a brake holds what comes from a site, or the tree here is not believed",
    ),
    ("brake.released", "what was held goes on"),
    (
        "conflict.lossy",
        "something lost in a conflict, and nobody acknowledged it",
    ),
    (
        "conflict.recorded",
        "a conflict was recorded, and needs nobody",
    ),
    (
        "conflict.acknowledged",
        "an operator acknowledged conflicts here",
    ),
    (
        "conflict.closed",
        "a conflict was acknowledged at any site, or settled by a newer version",
    ),
    (
        "conflict.reopened",
        "an acknowledgement was taken back at any site",
    ),
    (
        "conflict.restored",
        "an operator put the loser of a conflict back",
    ),
    ("disk.full", "there is no room for state or tree"),
    (
        "files.exhausted",
        "too many files are open; the tree rests until some are closed",
    ),
    ("files.free", "files can be opened again"),
    ("disk.room", "there is room again"),
    (
        "clock.disbelieved",
        "the clock of this site is not believed",
    ),
    ("clock.believed", "the clock of this site is believed again"),
    ("tree.unreadable", "something in the tree cannot be read"),
    ("tree.readable", "all of the tree can be read again"),
    ("entries.refused", "entries of a site are not taken here"),
    ("entries.taken", "entries of a site are taken again"),
    ("certificate.refused", "new certificates were not taken"),
    ("certificate.replaced", "new certificates are in use"),
    (
        "certificate.expiring",
        "a certificate ends within two weeks",
    ),
    ("config.reloaded", "the configuration was read again"),
    ("config.refused", "a changed configuration was not taken"),
    ("log.changed", "an operator changed what is logged"),
    ("invitation.made", "an operator invited a new site"),
    ("invitation.revoked", "an operator withdrew an invitation"),
    ("alert.failed", "an alert could not be delivered"),
];

words! {
    /// How bad an event is.
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    Level {
        /// Worth telling a colleague.
        #[default]
        Info = "info",
        /// Odd, and it goes on.
        Warn = "warn",
        /// A human must act.
        Error = "error",
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct EventView {
    /// Its number, from 1, over restarts.
    pub number: u64,
    /// When.
    #[serde(flatten, serialize_with = "at::serialize")]
    #[schemars(schema_with = "at::schema")]
    pub at_us: TimestampUs,
    /// How bad it is.
    pub level: Level,
    /// Its fixed name.
    pub name: String,
    /// The peer that it concerns; null: this site itself.
    pub site: Option<String>,
    /// What happened, for people.
    pub text: String,
    /// The same for programs, by name.
    pub fields: BTreeMap<String, String>,
}

/// An event as it is read: its time stands under two keys, and one of them is enough.
#[derive(Deserialize)]
struct Line {
    number: u64,
    at_us: TimestampUs,
    level: Level,
    name: String,
    site: Option<String>,
    text: String,
    fields: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for EventView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Line::deserialize(deserializer).map(Self::from)
    }
}

impl From<Line> for EventView {
    fn from(line: Line) -> Self {
        Self {
            number: line.number,
            at_us: line.at_us,
            level: line.level,
            name: line.name,
            site: line.site,
            text: line.text,
            fields: line.fields,
        }
    }
}

moments! {
    at: "at" "at_us";
}

/// Which events are meant: those for which everything holds that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// At this time or later.
    pub since_us: Option<TimestampUs>,
    /// At least as bad as this.
    pub level: Level,
    /// Those that concern this peer.
    pub site: Option<String>,
    /// With these names; empty: all.
    pub names: Vec<String>,
}

impl EventFilter {
    /// Whether an event is meant.
    #[must_use]
    pub fn lets_through(&self, event: &EventView) -> bool {
        self.since_us.is_none_or(|since| event.at_us >= since)
            && event.level >= self.level
            && (self.site.is_none() || self.site == event.site)
            && (self.names.is_empty() || self.names.contains(&event.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_let_through_when_all_holds_that_is_asked() {
        let event = EventView {
            at_us: 5,
            level: Level::Warn,
            name: "site.state".to_owned(),
            site: Some("b".to_owned()),
            ..EventView::default()
        };
        let lets = |change: fn(&mut EventFilter)| {
            let mut filter = EventFilter::default();
            change(&mut filter);
            filter.lets_through(&event)
        };
        assert!(lets(|_| {}));
        assert!(lets(|f| f.since_us = Some(5)) && !lets(|f| f.since_us = Some(6)));
        assert!(lets(|f| f.level = Level::Warn) && !lets(|f| f.level = Level::Error));
        assert!(
            lets(|f| f.site = Some("b".to_owned())) && !lets(|f| f.site = Some("c".to_owned()))
        );
        assert!(!lets(|f| f.names = vec!["site".to_owned()]));
        assert!(lets(
            |f| f.names = vec!["x".to_owned(), "site.state".to_owned()]
        ));
    }

    #[test]
    fn the_json_of_an_event_is_read_back() {
        let event = EventView {
            number: 7,
            at_us: 1_795_370_089_102_113,
            level: Level::Error,
            name: "site.state".to_owned(),
            site: Some("b".to_owned()),
            text: "b: idle, backoff".to_owned(),
            fields: BTreeMap::from([("to".to_owned(), "backoff".to_owned())]),
        };
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(
            json,
            r#"{"number":7,"at":"2026-11-22T17:54:49.102113Z","at_us":1795370089102113,"level":"error","name":"site.state","site":"b","text":"b: idle, backoff","fields":{"to":"backoff"}}"#
        );
        assert_eq!(serde_json::from_str::<EventView>(&json).unwrap(), event);
    }
}
