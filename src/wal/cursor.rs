//! Pure: a position in another site's stream, and the record of a step to it.

use serde::{Deserialize, Serialize};

use crate::clock::TimestampUs;
use crate::journal::dot::Actor;

/// How far one stream of one site is taken over: everything up to and including `last_seq`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[non_exhaustive]
pub struct ReplicationCursor {
    /// Whose stream.
    pub site_id: u64,
    /// Which one: 0..=255, or 256 for the control stream.
    pub shard_id: u32,
    /// Last seq taken; 0 before the first.
    pub last_seq: u64,
    /// The journal that the seq belongs to; 0 where the caller does not know it (the plain library API).
    pub incarnation: u64,
}

impl ReplicationCursor {
    /// A cursor of a site whose journal is not told.
    #[must_use]
    pub const fn new(site_id: u64, shard_id: u32, last_seq: u64) -> Self {
        Self::of(Actor::new(site_id, 0), shard_id, last_seq)
    }

    /// A cursor in a stream of the journal `actor`.
    #[must_use]
    pub const fn of(actor: Actor, shard_id: u32, last_seq: u64) -> Self {
        Self {
            site_id: actor.site_id,
            shard_id,
            last_seq,
            incarnation: actor.incarnation,
        }
    }

    /// The journal that the seq belongs to.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        Actor::new(self.site_id, self.incarnation)
    }
}

/// One step of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct WalRecord {
    /// Where it stands since.
    pub cursor: ReplicationCursor,
    /// When it got there, in microseconds since 1970.
    pub replicated_at_us: TimestampUs,
    /// How many entries were taken over in this step; fewer than seqs where some were compacted away.
    pub entry_count: u64,
}
