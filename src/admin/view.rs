//! Pure: what operators and scripts are told: the types whose JSON is the contract, only added to.
//!
//! Unknown is null, never zero. Numbers that use all 64 bits are strings in JSON, because common readers round them.
//! A time stands there twice, as RFC 3339 (`_at`) and in microseconds (`_us`). A path is bytes: in JSON it is text,
//! with a second key `_hex` that is null unless the bytes are no UTF-8.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::clock::{self, TimestampUs};
use crate::sync::conflict::ConflictKind;

/// Most parked inodes that are listed for a site; `tree.parked` counts all.
pub const PARKED_SHOWN_MAX: usize = 100;

/// Defines an enum whose variants have one word each, the same in JSON, tables and metrics.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word for people and scripts.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let words: Vec<&str> = Self::ALL.iter().map(|word| word.word()).collect();
                schemars::json_schema!({ "type": "string", "enum": words })
            }
        }
    };
}

/// Defines how a time is written under two keys, and the schema of both.
macro_rules! moments {
    ($($name:ident: $at:literal $us:literal;)+) => {$(
        mod $name {
            use super::*;

            pub(super) fn serialize<S: Serializer>(
                time: &(impl Into<Option<TimestampUs>> + Copy),
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let us: Option<TimestampUs> = (*time).into();
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry($at, &us.and_then(clock::rfc3339))?;
                map.serialize_entry($us, &us)?;
                map.end()
            }

            pub(super) fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "object",
                    "properties": {
                        $at: {
                            "type": ["string", "null"],
                            "format": "date-time",
                            "description": "The time in UTC as RFC 3339 with microseconds; null: none, or not known.",
                        },
                        $us: {
                            "type": ["integer", "null"],
                            "minimum": 0,
                            "description": "The same time in microseconds since 1970-01-01 UTC.",
                        },
                    },
                    "required": [$at, $us],
                })
            }
        }
    )+};
}

/// Defines how a path is written under two keys, and the schema of both.
macro_rules! paths {
    ($($name:ident: $text:literal $hex:literal;)+) => {$(
        mod $name {
            use super::*;

            pub(super) fn serialize<S: Serializer>(
                path: &(impl Clone + Into<Option<Vec<u8>>>),
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let bytes: Option<Vec<u8>> = path.clone().into();
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry($text, &bytes.as_deref().map(path_text))?;
                map.serialize_entry($hex, &bytes.as_deref().and_then(hex_unless_text))?;
                map.end()
            }

            pub(super) fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "object",
                    "properties": {
                        $text: {
                            "type": ["string", "null"],
                            "description": "As text: a byte that is no UTF-8 stands as \\xNN; null: there is none.",
                        },
                        $hex: {
                            "type": ["string", "null"],
                            "description": "The bytes in hexadecimal; null where the text is all of them.",
                        },
                    },
                    "required": [$text, $hex],
                })
            }
        }
    )+};
}

words! {
    /// The whole in one word.
    Verdict {
        /// Not known, or newer than the reader.
        #[default]
        Unknown = "unknown",
        /// Every peer is connected and has what it should have.
        Ok = "ok",
        /// Every peer is connected, and at least one is still fetching what it missed.
        CatchingUp = "catching_up",
        /// Something needs a look; the rest goes on.
        Degraded = "degraded",
        /// A connected peer has work and makes no progress.
        Stalled = "stalled",
        /// No peer is reached.
        Down = "down",
    }
}

words! {
    /// How bad a cause is.
    Severity {
        /// Worth a look.
        #[default]
        Warning = "warning",
        /// Needs a human.
        Critical = "critical",
    }
}

words! {
    /// Where a peer stands.
    SiteState {
        /// Not known: no report yet, or none for some seconds, or a state that is newer than the reader.
        #[default]
        Unknown = "unknown",
        /// No connection since the daemon started.
        NeverConnected = "never_connected",
        /// An attempt is under way.
        Connecting = "connecting",
        /// Connected and well behind.
        CatchingUp = "catching_up",
        /// Connected, and changes arrive as they happen.
        Streaming = "streaming",
        /// Connected, and nothing is outstanding.
        Idle = "idle",
        /// Connected, something is outstanding, and nothing moves.
        Stalled = "stalled",
        /// Not connected; the next attempt waits.
        Backoff = "backoff",
        /// An operator stopped the exchange.
        Paused = "paused",
        /// The brake holds what comes from it until an operator resumes it.
        Held = "held",
        /// Everything is in step, but for what cannot be applied.
        Parked = "parked",
        /// It stayed away too long; it comes back only by a snapshot.
        Fenced = "fenced",
    }
}

words! {
    /// How changes of the tree are noticed.
    Watch {
        /// Not known.
        #[default]
        Unknown = "unknown",
        /// The kernel tells, and a slow scan makes sure.
        Inotify = "inotify",
        /// The kernel does not tell all; the tree is scanned.
        Scanning = "scanning",
    }
}

/// A lag in time. Its JSON is two keys: `lag_us`, null when unknown, and `lag_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lag {
    /// It cannot be known.
    #[default]
    Unknown,
    /// It is that many microseconds.
    Known(u64),
    /// It is at least that many microseconds.
    AtLeast(u64),
}

impl Lag {
    /// The number, if there is one.
    #[must_use]
    pub const fn us(self) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::Known(us) | Self::AtLeast(us) => Some(us),
        }
    }

    /// What the number is worth.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Known(_) => "known",
            Self::AtLeast(_) => "lower_bound",
        }
    }
}

impl Serialize for Lag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("lag_us", &self.us())?;
        map.serialize_entry("lag_state", self.word())?;
        map.end()
    }
}

impl JsonSchema for Lag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Lag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words = [Self::Unknown, Self::Known(0), Self::AtLeast(0)].map(Self::word);
        json_schema!({
            "type": "object",
            "properties": {
                "lag_us": {
                    "type": ["integer", "null"],
                    "minimum": 0,
                    "description": "The lag in microseconds; null: it cannot be known.",
                },
                "lag_state": {
                    "type": "string",
                    "enum": words,
                    "description": "What the number is worth.",
                },
            },
            "required": ["lag_us", "lag_state"],
        })
    }
}

/// What an operator asks first. Verdict, summary and causes come from [`super::verdict::judge`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(description = "What an operator asks first.")]
pub struct StatusView {
    /// The whole in one word.
    pub verdict: Verdict,
    /// The whole in one line, for people.
    pub summary: String,
    /// Why the verdict is not better, worst first.
    pub causes: Vec<Cause>,
    /// Name of the site that answers.
    pub site: String,
    /// Its number.
    pub site_id: u64,
    /// The other sites, by name.
    pub sites: Vec<SiteView>,
    /// The journal of the site that answers.
    pub journal: JournalView,
    /// Conflicts in numbers.
    pub conflicts: ConflictCounts,
    /// The tree that is kept in step.
    pub tree: TreeView,
    /// Version of the daemon.
    pub version: String,
    /// What would be lost if this site were gone.
    pub at_risk: AtRisk,
    /// Time since the daemon started.
    pub uptime_us: u64,
    /// Age of what the engine told: a moment, unless it is busy.
    pub engine_age_us: u64,
    /// When the certificate of the site that answers ends, or an authority above it, whichever is sooner; null: it has
    /// none, or it does not say.
    #[serde(flatten, serialize_with = "certificate_expires::serialize")]
    #[schemars(schema_with = "certificate_expires::schema")]
    pub certificate_expires_us: Option<TimestampUs>,
}

/// Why a verdict is not better.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Cause {
    /// The peer that it concerns; null: this site itself.
    pub site: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub text: String,
    /// What to do about it, a command where there is one.
    pub next: String,
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct SiteView {
    /// Its name.
    pub site: String,
    /// Its number.
    pub site_id: u64,
    /// Where it stands.
    pub state: SiteState,
    /// Endpoint of the connection or of the last attempt; null: it dials this site.
    pub endpoint: Option<String>,
    /// Why the last attempt or connection failed, or why it is held; null: nothing to tell.
    pub last_error: Option<String>,
    /// How far it is behind this site.
    #[serde(flatten)]
    pub lag: Lag,
    /// Entries that it has not applied, those that it cannot apply included; null: not known.
    pub behind_entries: Option<u64>,
    /// Bytes of the journal from the first entry on that it has not received, with everything that stands behind it;
    /// null: not known.
    pub behind_bytes: Option<u64>,
    /// Its entries that were received here and are not applied here; null: not known.
    pub waiting_entries: Option<u64>,
    /// Its changes that cannot be applied here, at most [`PARKED_SHOWN_MAX`].
    #[schemars(description = "Its changes that cannot be applied here, the first of them.")]
    pub parked: Vec<ParkedView>,
    /// Its clock minus this site's, true to half of the round trip; null: not known.
    pub clock_skew_us: Option<i64>,
    /// From here to it and back, the best of the last minute, waiting behind other messages included; null: not known.
    pub round_trip_us: Option<u64>,
    /// Why its brake holds what comes from the site that answers; null: it does not, or is not connected.
    pub held_there: Option<String>,
    /// Entries of the site that answers that it cannot apply, among those that it is behind; null: not known.
    pub parked_there_entries: Option<u64>,
    /// Age of the last moment up to which all changes of its tree are in its journal, as far as it has said: what was
    /// changed there since may not have been noticed; null: not known.
    pub unnoticed_us: Option<u64>,
    /// For how long it has been looking at its whole tree; null: it is not, or not known.
    pub looking_us: Option<u64>,
    /// Time since it said anything; heartbeats come once a second. Null: not connected, or the answering site does not
    /// keep up with what it says.
    pub silent_us: Option<u64>,
    /// What came of the tries to reach it; null: not known.
    pub contact: Option<ContactView>,
    /// What went over its connections since the answering site started; null: not known.
    pub traffic: Option<TrafficView>,
}

/// An inode that cannot be applied for a reason of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct ParkedView {
    /// The inode.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub inode: u64,
    /// Its path below the root; null: it has none here.
    #[serde(flatten, serialize_with = "path::serialize")]
    #[schemars(schema_with = "path::schema")]
    pub path: Option<Vec<u8>>,
    /// Why it cannot be applied.
    pub reason: String,
}

/// The journal of the site that answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct JournalView {
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes that it may take; null: not told.
    pub budget_bytes: Option<u64>,
    /// Entries written since the journal was created.
    pub head_entries: u64,
    /// Why the engine had to be opened again, if it had to since the daemon started.
    pub last_failure: Option<String>,
    /// Bytes that are kept for the peer that lacks most; null: not told.
    pub pinned_bytes: Option<u64>,
}

/// Conflicts in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct ConflictCounts {
    /// Those that still matter and nobody acknowledged.
    pub open: u64,
    /// All on record.
    pub total: u64,
}

/// The tree that is kept in step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct TreeView {
    /// Its root.
    #[serde(flatten, serialize_with = "root::serialize")]
    #[schemars(schema_with = "root::schema")]
    pub root: Vec<u8>,
    /// How changes are noticed.
    pub watch: Watch,
    /// Why the kernel does not tell all; null: it does.
    pub watch_reason: Option<String>,
    /// End of the last whole scan; null: none yet.
    #[serde(flatten, serialize_with = "last_scan::serialize")]
    #[schemars(schema_with = "last_scan::schema")]
    pub last_scan_us: Option<TimestampUs>,
    /// Inodes that cannot be applied.
    pub parked: u64,
    /// Inodes whose bytes are on their way.
    pub fetching: u64,
    /// Inodes that wait for a newer version: the one they were to show was replaced before its bytes got here.
    pub overtaken: u64,
    /// Files that are put off because programs keep writing them.
    pub busy: u64,
    /// Changes from elsewhere that meet local changes which scanning does not settle, or find no room.
    pub blocked: u64,
    /// Why the first of them does; null: none is blocked.
    pub blocked_reason: Option<String>,
    /// Why removals, or all changes, of the tree are not believed until a human looked; null: they are.
    pub brake: Option<String>,
    /// Files and directories that differ from what was merged and are not sent: the site only applies. As of the last
    /// look at the whole tree, or more.
    pub diverged: u64,
    /// Names that the last whole scan left alone: fifos, sockets, devices, mounted filesystems, and names of the
    /// replicator below the root. Files that cannot be read are a cause of their own.
    pub left_alone: u64,
    /// The first of them; null: there is none.
    #[serde(flatten, serialize_with = "left_alone_first::serialize")]
    #[schemars(schema_with = "left_alone_first::schema")]
    pub left_alone_first: Option<Vec<u8>>,
    /// Age of the last moment up to which all changes of the tree are in the journal; null: not known.
    pub unnoticed_us: Option<u64>,
    /// For how long the whole tree has been looked at; null: it is not.
    pub looking_us: Option<u64>,
}

/// How far each peer is behind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct LagView {
    /// Name of the site that answers.
    pub site: String,
    /// One row for each peer, by name.
    pub sites: Vec<SiteLag>,
    /// What would be lost if this site were gone.
    pub at_risk: AtRisk,
}

/// How far one peer is behind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct SiteLag {
    /// Its name.
    pub site: String,
    /// Its number.
    pub site_id: u64,
    /// Where it stands.
    pub state: SiteState,
    /// How far it is behind this site.
    #[serde(flatten)]
    pub lag: Lag,
    /// Entries that it has not applied, those that it cannot apply included; null: not known.
    pub behind_entries: Option<u64>,
    /// Bytes of the journal that it has not received; null: not known.
    pub behind_bytes: Option<u64>,
    /// Time of the oldest entry that it has not applied; null: none, or not known.
    #[serde(flatten, serialize_with = "oldest_unacked::serialize")]
    #[schemars(schema_with = "oldest_unacked::schema")]
    pub oldest_unacked_us: Option<TimestampUs>,
    /// Its clock minus this site's; null: not known.
    pub clock_skew_us: Option<i64>,
    /// Age of the last moment up to which all changes of this site's tree are in its journal: what was changed since
    /// may not have been noticed, and is in no other number; null: not known.
    pub unnoticed_us: Option<u64>,
    /// How far this site is behind it.
    pub inbound: InboundLag,
    /// Entries that it applied in a second, over the last half minute; null: not known.
    pub applied_per_s: Option<u64>,
    /// Time until it has everything when both sites go on like this; null: not known, or it does not get nearer.
    pub catch_up_eta_us: Option<u64>,
    /// Every step of the way; empty: it was not heard since the daemon started.
    pub stages: Vec<StageLag>,
    /// Every shard of the journal, when it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardLag>,
}

/// How far the answering site is behind a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct InboundLag {
    /// In time.
    #[serde(flatten)]
    pub lag: Lag,
    /// Entries received and not applied; null: not known.
    pub waiting_entries: Option<u64>,
    /// Age of the last moment up to which all changes of its tree are in its journal, as far as it has said; null: not
    /// known.
    pub unnoticed_us: Option<u64>,
}

/// Two sites changed the same register, and neither had seen the other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct ConflictView {
    /// Its id, the same on every site.
    pub id: String,
    /// What kind, as a word.
    pub kind: String,
    /// Path of the inode below the root, the last one if it is gone; null: it never had one here.
    #[serde(flatten, serialize_with = "path::serialize")]
    #[schemars(schema_with = "path::schema")]
    pub path: Option<Vec<u8>>,
    /// Nothing stands at the path any more, or something else does.
    pub gone: bool,
    /// The inode.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub inode: u64,
    /// The register, as a word.
    pub register: String,
    /// The version shown; null: nothing took the place of the loser.
    pub winner: Option<VersionView>,
    /// The version that lost.
    pub loser: VersionView,
    /// Time between both; null: there is no winner.
    pub gap_us: Option<u64>,
    /// When the answering site noticed.
    #[serde(flatten, serialize_with = "detected::serialize")]
    #[schemars(schema_with = "detected::schema")]
    pub detected_us: TimestampUs,
    /// Bytes of content that lost; null: none were, or it is not known.
    pub lost_bytes: Option<u64>,
    /// A later version that had seen the loser settled it.
    pub superseded: bool,
    /// That an operator looked at it; null: nobody did.
    pub ack: Option<AckView>,
}

impl ConflictView {
    /// Something was lost, it still matters, and nobody acknowledged it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.superseded && self.ack.is_none() && !self.is_merged()
    }

    /// Different things were changed, and both changes stand.
    #[must_use]
    pub fn is_merged(&self) -> bool {
        self.kind == ConflictKind::Merged.word()
    }

    /// Two got one name.
    #[must_use]
    pub fn is_clash(&self) -> bool {
        self.kind == ConflictKind::NameClash.word()
    }
}

/// A version of a register.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct VersionView {
    /// Name of the site that wrote it; null: that site is not known here.
    pub site: Option<String>,
    /// Its number.
    pub site_id: u64,
    /// The entry's stream.
    pub stream: u32,
    /// The entry's seq.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub seq: u64,
    /// Its stamp.
    #[serde(flatten, serialize_with = "timestamp::serialize")]
    #[schemars(schema_with = "timestamp::schema")]
    pub timestamp_us: TimestampUs,
}

/// An operator looked at a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct AckView {
    /// Who.
    pub by: String,
    /// Why; may be empty.
    pub note: String,
    /// When.
    #[serde(flatten, serialize_with = "acked::serialize")]
    #[schemars(schema_with = "acked::schema")]
    pub at_us: TimestampUs,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct RestoredView {
    /// The whole id of the conflict.
    pub id: String,
    /// Where it is, below the root.
    #[serde(flatten, serialize_with = "path::serialize")]
    #[schemars(schema_with = "path::schema")]
    pub path: Vec<u8>,
}

/// What was acknowledged, or taken back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct AckedView {
    /// The whole id of the conflict.
    pub id: String,
    /// False: it was so before, and nothing changed.
    pub changed: bool,
    /// Who acknowledged it, why and when; null: nobody, or it was taken back.
    pub ack: Option<AckView>,
}

/// What was resumed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct ResumedView {
    /// Name of the peer.
    pub site: String,
    /// False: it was neither held nor paused, and nothing changed.
    pub changed: bool,
}

/// A path as text: valid UTF-8 as it is, every other byte as `\xNN`. Control characters are left as they are, since
/// JSON escapes them itself; who writes to a terminal escapes them.
#[must_use]
pub fn path_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// A number of things.
pub(crate) fn plural(count: u64, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

/// The bytes in hexadecimal; none where [`path_text`] tells all of them.
#[must_use]
pub fn hex_unless_text(bytes: &[u8]) -> Option<String> {
    let is_text = std::str::from_utf8(bytes).is_ok();
    (!is_text).then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn id<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

moments! {
    last_scan: "last_scan_at" "last_scan_us";
    oldest_unacked: "oldest_unacked_at" "oldest_unacked_us";
    detected: "detected_at" "detected_us";
    timestamp: "timestamp_at" "timestamp_us";
    acked: "acked_at" "acked_us";
    certificate_expires: "certificate_expires_at" "certificate_expires_us";
}

paths! {
    path: "path" "path_hex";
    root: "root" "root_hex";
    left_alone_first: "left_alone_first" "left_alone_first_hex";
}

// Behind the macros that they use.
mod act;
mod contact;
mod detail;
mod doctor;
mod event;
pub mod journal;
mod lag;
pub mod preview;

pub use act::{
    InvitationState, InvitationView, InviteView, InviteWish, ReloadedView, RemovedView, RightsView,
    SavedView,
};
pub use contact::{ContactView, EndpointView, TrafficView};
pub use detail::{BytesAt, ConflictDetail, ValueView, order_certain, root_text};
pub use doctor::{Finding, Rating};
pub use event::{EVENT_NAMES, EventFilter, EventView, Level};
pub use lag::{AtRisk, Overview, ShardLag, Stage, StageLag};

#[cfg(test)]
pub(crate) mod tests;
