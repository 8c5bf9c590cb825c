//! Pure: whether a batch continues what was received of its stream.
//!
//! The chain hash tells a stream that grew from one that was rolled back, restored or cloned and then went another
//! way under the same numbers.

use std::collections::BTreeMap;

use super::batch::{ChainHash, EntryBatch};
use super::chain::CHAIN_START;
use super::dot::Actor;
use crate::failpoint;

/// How far a stream of an origin was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceivedCursor {
    /// Last seq; 0: nothing.
    pub seq: u64,
    /// The sender's chain hash there.
    pub chain: ChainHash,
}

/// How far a journal is known at some site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reached {
    /// The journal.
    pub actor: Actor,
    /// Its streams, as far as anything of them is known.
    pub streams: BTreeMap<u32, ReceivedCursor>,
}

impl Reached {
    /// How far a stream is known.
    #[must_use]
    pub fn seq(&self, stream: u32) -> u64 {
        self.streams.get(&stream).map_or(0, |cursor| cursor.seq)
    }

    /// Reaches as far as `other`, where that is further.
    pub fn join(&mut self, other: &Self) {
        for (stream, cursor) in &other.streams {
            if cursor.seq > self.seq(*stream) {
                self.streams.insert(*stream, *cursor);
            }
        }
    }

    /// Whether it reaches further than `other` in any stream.
    #[must_use]
    pub fn exceeds(&self, other: &Self) -> bool {
        let mut streams = self.streams.iter();
        streams.any(|(stream, cursor)| cursor.seq > other.seq(*stream))
    }
}

/// What a batch is to a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It starts right behind the cursor and its chain continues: to be appended.
    Next,
    /// It ends at or before the cursor: nothing new, to be receipted again.
    Duplicate,
    /// It starts at or before the cursor and ends behind it: what is new of it is to be appended.
    Overlap,
    /// Something is missing in between: to be refused with the cursor.
    Gap {
        /// The cursor.
        received: u64,
    },
    /// The sender's history is not the one that was received: to be refused, and a human told.
    Fork,
}

/// Judges `batch`, whose own rules hold ([`EntryBatch::validate`]), against the cursor of its stream.
#[must_use]
pub fn check(cursor: &ReceivedCursor, batch: &EntryBatch) -> Verdict {
    if batch.last < cursor.seq {
        return Verdict::Duplicate;
    }
    if batch.last == cursor.seq {
        return if batch.chain_last == cursor.chain {
            Verdict::Duplicate
        } else {
            Verdict::Fork
        };
    }
    if batch.first > cursor.seq + 1 {
        if !failpoint::holds("gaps are refused") {
            return Verdict::Next;
        }
        return Verdict::Gap {
            received: cursor.seq,
        };
    }
    if batch.first == 1 && batch.chain_prev != CHAIN_START {
        return Verdict::Fork;
    }
    if batch.first <= cursor.seq {
        return Verdict::Overlap;
    }
    if batch.chain_prev == cursor.chain {
        Verdict::Next
    } else {
        Verdict::Fork
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first: u64, last: u64, chain_prev: u8, chain_last: u8) -> EntryBatch {
        let mut batch = EntryBatch::new(2, Vec::new(), 1);
        (batch.first, batch.last) = (first, last);
        (batch.chain_prev, batch.chain_last) = ([chain_prev; 32], [chain_last; 32]);
        batch
    }

    #[test]
    fn every_position_and_chain_has_its_verdict() {
        let cursor = ReceivedCursor {
            seq: 5,
            chain: [5; 32],
        };
        let cases = [
            (batch(6, 9, 5, 9), Verdict::Next),
            (batch(6, 9, 4, 9), Verdict::Fork),
            (batch(2, 4, 1, 4), Verdict::Duplicate),
            (batch(2, 5, 1, 5), Verdict::Duplicate),
            (batch(2, 5, 1, 9), Verdict::Fork),
            (batch(4, 6, 3, 6), Verdict::Overlap),
            (batch(1, 6, 3, 6), Verdict::Fork),
            (batch(7, 9, 6, 9), Verdict::Gap { received: 5 }),
        ];
        for (batch, expected) in cases {
            let range = batch.first..=batch.last;
            assert_eq!(check(&cursor, &batch), expected, "{range:?}");
        }
    }

    #[test]
    fn an_empty_stream_takes_only_its_beginning() {
        let empty = ReceivedCursor::default();
        assert_eq!(check(&empty, &batch(1, 3, 0, 3)), Verdict::Next);
        assert_eq!(check(&empty, &batch(1, 3, 7, 3)), Verdict::Fork);
        assert_eq!(
            check(&empty, &batch(2, 3, 1, 3)),
            Verdict::Gap { received: 0 }
        );
    }
}
