//! Where cursors live: a trait for the stores that hold them, and a table in memory.
//!
//! The trap is two writes where one is meant: [`CursorTable::put`] takes cursor and record together, so that a store
//! can only make both durable or neither.

use std::collections::{BTreeMap, VecDeque};

use super::cursor::{ReplicationCursor, WalRecord};
use crate::error::Result;
use crate::journal::dot::Actor;

/// Most steps kept per stream. At one step per second and stream, the pace of a busy store that commits once a second,
/// this tells of the last four minutes; what is older is in the metrics.
pub const HISTORY_MAX: usize = 256;

/// The cursors and their latest steps. A table keeps what it is given; the rules are in [`super::ReplicationWal`].
///
/// # Errors
/// Every method fails when the store behind the table does; nothing of that call may then be taken as kept.
pub trait CursorTable {
    /// Last seq of a stream; 0 when it never moved.
    fn get(&self, actor: Actor, stream: u32) -> Result<u64>;
    /// Sets the cursor of `record` and adds the record to the history of its stream, both or neither. Of a stream's
    /// history the latest [`HISTORY_MAX`] records are kept.
    fn put(&mut self, record: &WalRecord) -> Result<()>;
    /// Every cursor that ever moved, by site, incarnation and stream.
    fn all(&self) -> Result<Vec<ReplicationCursor>>;
    /// The latest steps of a stream, oldest first.
    fn history(&self, actor: Actor, stream: u32) -> Result<Vec<WalRecord>>;
}

/// What one stream's cursor did.
#[derive(Debug, Clone, Default)]
struct Stream {
    last_seq: u64,
    history: VecDeque<WalRecord>,
}

/// A table in memory: for tests, simulation and the plain library API.
#[derive(Debug, Clone, Default)]
pub struct MemCursorTable {
    streams: BTreeMap<(Actor, u32), Stream>,
}

impl CursorTable for MemCursorTable {
    fn get(&self, actor: Actor, stream: u32) -> Result<u64> {
        let known = self.streams.get(&(actor, stream));
        Ok(known.map_or(0, |stream| stream.last_seq))
    }

    fn put(&mut self, record: &WalRecord) -> Result<()> {
        let of_stream = (record.cursor.actor(), record.cursor.shard_id);
        let stream = self.streams.entry(of_stream).or_default();
        stream.last_seq = record.cursor.last_seq;
        if stream.history.len() == HISTORY_MAX {
            stream.history.pop_front();
        }
        stream.history.push_back(*record);
        Ok(())
    }

    fn all(&self) -> Result<Vec<ReplicationCursor>> {
        let cursor = |((actor, shard_id), stream): (&(Actor, u32), &Stream)| {
            ReplicationCursor::of(*actor, *shard_id, stream.last_seq)
        };
        Ok(self.streams.iter().map(cursor).collect())
    }

    fn history(&self, actor: Actor, stream: u32) -> Result<Vec<WalRecord>> {
        let known = self.streams.get(&(actor, stream));
        Ok(known.map_or_else(Vec::new, |stream| stream.history.iter().copied().collect()))
    }
}
