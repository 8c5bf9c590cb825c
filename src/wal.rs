//! How far every stream of every other site is taken over, and when it got there.
//!
//! Promise: a cursor never goes back, and it moves in the same step as its record. [`ReplicationWal`] holds the rules
//! and no numbers: those live in a [`CursorTable`], in memory here, in the state store of a daemon, where they are the
//! cursors that the merge moves. There is no second home of a cursor.

mod cursor;
mod table;

pub use cursor::{ReplicationCursor, WalRecord};
pub use table::{CursorTable, HISTORY_MAX, MemCursorTable};

use crate::clock::TimestampUs;
use crate::error::{ReplError, Result};
use crate::journal::dot::{Actor, SITE_ID_MAX, STREAM_COUNT};

/// The cursors of a site over their table.
#[derive(Debug, Clone, Default)]
pub struct ReplicationWal<T = MemCursorTable> {
    table: T,
}

impl ReplicationWal {
    /// Without any cursor, in memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T: CursorTable> ReplicationWal<T> {
    /// Over the cursors of `table`.
    #[must_use]
    pub const fn over(table: T) -> Self {
        Self { table }
    }

    /// Moves a cursor forward to `cursor.last_seq`, after `entry_count` entries were taken over at `replicated_at_us`.
    /// False: it stands there already, as after a repeated delivery, and nothing is recorded.
    ///
    /// A step back is an error, not a silent no-op: whoever asks for one has merged entries that the cursor says were
    /// merged long ago, or reads the position of another journal. The cursor stays where it is.
    ///
    /// # Errors
    /// [`ReplError::Journal`] for a step back, a site or stream outside its range, or seq 0; what the table says when
    /// it fails.
    pub fn advance(
        &mut self,
        cursor: ReplicationCursor,
        replicated_at_us: TimestampUs,
        entry_count: u64,
    ) -> Result<bool> {
        let refused = |reason: String| ReplError::Journal {
            site_id: cursor.site_id,
            shard_id: cursor.shard_id,
            seq: cursor.last_seq,
            reason,
        };
        if cursor.site_id == 0 || cursor.site_id > SITE_ID_MAX {
            return Err(refused(format!("site is outside 1..={SITE_ID_MAX}")));
        }
        if cursor.shard_id >= STREAM_COUNT {
            return Err(refused(format!("stream is outside 0..{STREAM_COUNT}")));
        }
        let at = self.table.get(cursor.actor(), cursor.shard_id)?;
        if cursor.last_seq == 0 || cursor.last_seq < at {
            return Err(refused(format!(
                "cursor is at seq {at} and never goes back"
            )));
        }
        if cursor.last_seq == at {
            return Ok(false);
        }
        self.table.put(&WalRecord {
            cursor,
            replicated_at_us,
            entry_count,
        })?;
        Ok(true)
    }

    /// The cursor of one stream; seq 0 before its first entry.
    ///
    /// # Errors
    /// What the table says when it fails.
    pub fn cursor(&self, actor: Actor, shard_id: u32) -> Result<ReplicationCursor> {
        let last_seq = self.table.get(actor, shard_id)?;
        Ok(ReplicationCursor::of(actor, shard_id, last_seq))
    }

    /// Every cursor that ever moved, by site, journal and stream.
    ///
    /// # Errors
    /// What the table says when it fails.
    pub fn all_cursors(&self) -> Result<Vec<ReplicationCursor>> {
        self.table.all()
    }

    /// The last steps of one stream, oldest first, at most [`HISTORY_MAX`].
    ///
    /// # Errors
    /// What the table says when it fails.
    pub fn history(&self, actor: Actor, shard_id: u32) -> Result<Vec<WalRecord>> {
        self.table.history(actor, shard_id)
    }

    /// The table, for its owner to commit.
    pub const fn table_mut(&mut self) -> &mut T {
        &mut self.table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTOR: Actor = Actor::new(2, 77);

    fn at(seq: u64) -> ReplicationCursor {
        ReplicationCursor::of(ACTOR, 5, seq)
    }

    #[test]
    fn a_cursor_moves_forward_and_tells_when() {
        let mut wal = ReplicationWal::new();
        assert!(wal.advance(at(10), 1_000, 10).unwrap());
        assert!(wal.advance(at(12), 2_000, 2).unwrap());
        assert_eq!(wal.cursor(ACTOR, 5).unwrap(), at(12));
        let history = wal.history(ACTOR, 5).unwrap();
        let steps: Vec<_> = history
            .iter()
            .map(|r| (r.cursor.last_seq, r.replicated_at_us, r.entry_count))
            .collect();
        assert_eq!(steps, [(10, 1_000, 10), (12, 2_000, 2)]);
    }

    #[test]
    fn a_step_back_is_refused_and_names_the_position() {
        let mut wal = ReplicationWal::new();
        wal.advance(at(10), 1_000, 10).unwrap();
        let error = wal.advance(at(9), 2_000, 1).unwrap_err().to_string();
        assert!(error.contains("site 2, stream 5, seq 9"), "{error}");
        assert!(error.contains("cursor is at seq 10"), "{error}");
        assert_eq!(wal.cursor(ACTOR, 5).unwrap(), at(10));
        assert_eq!(wal.history(ACTOR, 5).unwrap().len(), 1);
    }

    #[test]
    fn a_repetition_is_neither_a_step_nor_an_error() {
        let mut wal = ReplicationWal::new();
        wal.advance(at(10), 1_000, 10).unwrap();
        assert!(!wal.advance(at(10), 2_000, 10).unwrap());
        assert_eq!(wal.history(ACTOR, 5).unwrap().len(), 1);
    }

    #[test]
    fn sites_journals_and_streams_have_cursors_of_their_own() {
        let mut wal = ReplicationWal::new();
        let cursors = [
            ReplicationCursor::new(1, 5, 3),
            at(10),
            ReplicationCursor::of(ACTOR, 6, 4),
            ReplicationCursor::of(Actor::new(2, 78), 5, 1),
        ];
        for cursor in cursors.iter().rev() {
            wal.advance(*cursor, 9, 1).unwrap();
        }
        assert_eq!(wal.all_cursors().unwrap(), cursors);
        assert_eq!(wal.cursor(Actor::new(9, 9), 0).unwrap().last_seq, 0);
    }

    #[test]
    fn the_history_is_bounded_and_loses_the_oldest() {
        let mut wal = ReplicationWal::new();
        let count = HISTORY_MAX as u64 + 3;
        for seq in 1..=count {
            wal.advance(at(seq), seq, 1).unwrap();
        }
        let history = wal.history(ACTOR, 5).unwrap();
        assert_eq!(history.len(), HISTORY_MAX);
        assert_eq!(history[0].cursor.last_seq, 4);
        assert_eq!(wal.cursor(ACTOR, 5).unwrap().last_seq, count);
    }

    #[test]
    fn positions_outside_their_range_are_refused() {
        let mut wal = ReplicationWal::new();
        for (cursor, why) in [
            (ReplicationCursor::new(0, 5, 1), "site is outside"),
            (ReplicationCursor::new(70_000, 5, 1), "site is outside"),
            (ReplicationCursor::new(1, 257, 1), "stream is outside"),
            (ReplicationCursor::new(1, 5, 0), "never goes back"),
        ] {
            let error = wal.advance(cursor, 9, 1).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(wal.all_cursors().unwrap(), []);
    }
}
