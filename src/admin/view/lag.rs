//! Pure: lag step by step and shard by shard, and what is at risk.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{Lag, LagView, StatusView};

words! {
    /// A step on the way of an entry to a peer; each comes after the one before.
    Stage {
        /// Handed to the connection.
        #[default]
        Sent = "sent",
        /// Safe in the peer's log.
        Received = "received",
        /// Decided upon there.
        Merged = "merged",
        /// Its bytes are on the peer's disk.
        Durable = "durable",
        /// Shown in the peer's tree.
        Applied = "applied",
    }
}

/// How far a peer is at one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct StageLag {
    /// Which.
    pub stage: Stage,
    /// Entries of the journal that are not as far.
    pub entries: u64,
    /// Age of the oldest of them; true to a second.
    #[serde(flatten)]
    pub lag: Lag,
}

/// How far a peer is in one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct ShardLag {
    /// Which.
    pub shard: u32,
    /// Last seq of the journal.
    #[serde(serialize_with = "super::id")]
    #[schemars(with = "String")]
    pub head: u64,
    /// Last seq that was handed to the connection.
    #[serde(serialize_with = "super::id")]
    #[schemars(with = "String")]
    pub sent: u64,
    /// Last seq before which everything was received.
    #[serde(serialize_with = "super::id")]
    #[schemars(with = "String")]
    pub received: u64,
    /// The same for what was decided upon.
    #[serde(serialize_with = "super::id")]
    #[schemars(with = "String")]
    pub merged: u64,
    /// The same for what is shown.
    #[serde(serialize_with = "super::id")]
    #[schemars(with = "String")]
    pub applied: u64,
    /// Entries that are not shown.
    pub behind_entries: u64,
    /// Their bytes in the journal, to which those of large files come, and at most those of a second too many; null: some
    /// were written before the daemon was started.
    pub behind_bytes: Option<u64>,
    /// Age of the oldest of them; true to a second.
    #[serde(flatten)]
    pub lag: Lag,
}

/// What would be lost if the answering site were gone: what no other site has applied, with its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct AtRisk {
    /// Age of the oldest change of it, or of the last moment up to which changes were noticed.
    #[serde(flatten)]
    pub lag: Lag,
    /// Entries of the journal.
    pub entries: u64,
    /// Bytes of the journal from the first of them on; the bytes of files come on top; null: not known.
    pub journal_bytes: Option<u64>,
}

/// Status and lag of the same moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overview {
    /// Status.
    pub status: StatusView,
    /// Lag.
    pub lag: LagView,
}
