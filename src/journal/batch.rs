//! Pure: a run of one stream's entries, as it is sent and as a received log keeps it.
//!
//! The range `first..=last` is declared, not derived: compaction may leave out any entry, even all of them, and the
//! receiver's cursor still moves over the whole range. Invariant: `first <= first_seq <= seq <= last` of every entry,
//! seqs increasing. A folded entry's `first_seq` may lie before entries of other inodes that stand in front of it.

use bytes::Bytes;

use super::dot::{Actor, Seen};
use super::entry::JournalEntry;
use crate::error::{ReplError, Result};

/// Most entries of one batch.
pub const BATCH_ENTRIES_MAX: usize = 1_024;

/// A hash of the uncompacted journal up to an entry; see [`super::chain`].
pub type ChainHash = [u8; 32];

/// A context vector that holds from `first_seq` on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeenRun {
    /// First entry to which it applies.
    pub first_seq: u64,
    /// The vector, without the writing actor.
    pub seen: Seen,
}

/// Entries of one stream of one site, ordered by seq.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EntryBatch {
    /// The site that wrote them.
    pub source_site_id: u64,
    /// The entries.
    pub entries: Vec<JournalEntry>,
    /// Number of the batch on its connection, from 1.
    pub batch_seq: u64,
    /// The journal they stand in.
    pub incarnation: u64,
    /// The stream.
    pub stream: u32,
    /// First seq covered.
    pub first: u64,
    /// Last seq covered.
    pub last: u64,
    /// Chain hash before `first`; zero when `first` is 1.
    pub chain_prev: ChainHash,
    /// Chain hash at `last`.
    pub chain_last: ChainHash,
    /// Contexts; the first one stands at `first`.
    pub seen_runs: Vec<SeenRun>,
    /// Membership epoch of the sender.
    pub epoch: u32,
    /// The entries as they stand in the journal, each behind its length: what is stored and forwarded. Empty when
    /// the batch was made from `entries` alone.
    pub raw: Bytes,
}

impl EntryBatch {
    /// A batch of `entries` that covers just them, without context.
    #[must_use]
    pub fn new(source_site_id: u64, entries: Vec<JournalEntry>, batch_seq: u64) -> Self {
        let first = entries.iter().map(|entry| entry.first_seq).min();
        let last = entries.last().map(|entry| entry.seq);
        Self {
            source_site_id,
            batch_seq,
            incarnation: entries.first().map_or(0, |entry| entry.incarnation),
            stream: entries.first().map_or(0, |entry| entry.shard_id),
            first: first.unwrap_or(0),
            last: last.unwrap_or(0),
            entries,
            ..Self::default()
        }
    }

    /// The journal that the entries stand in.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        Actor::new(self.source_site_id, self.incarnation)
    }

    /// The context of `entry`: the run that covers it, less its exceptions. The writing actor's own earlier
    /// entries are included.
    #[must_use]
    pub fn seen_of(&self, entry: &JournalEntry) -> Seen {
        let run = self
            .seen_runs
            .iter()
            .rev()
            .find(|run| run.first_seq <= entry.seq);
        let mut seen = run.map(|run| run.seen.clone()).unwrap_or_default();
        for (actor, seq) in &entry.seen_except {
            seen.set(*actor, *seq);
        }
        seen.set(entry.actor(), entry.seq.saturating_sub(1));
        seen
    }

    /// Checks the batch as a whole: range, order, one stream, one actor, and every entry's own rules.
    ///
    /// # Errors
    /// [`ReplError::Journal`] that names the site, the stream, the seq and the rule.
    pub fn validate(&self) -> Result<()> {
        // Behind the last number of all there is none, and the next one is asked for everywhere.
        if self.first == 0 || self.last < self.first || self.last == u64::MAX {
            return Err(self.refused(format!("range {}..={} is not valid", self.first, self.last)));
        }
        if self.entries.len() > BATCH_ENTRIES_MAX {
            let count = self.entries.len();
            return Err(self.refused(format!("{count} entries are above {BATCH_ENTRIES_MAX}")));
        }
        let runs = &self.seen_runs;
        if !runs.is_sorted_by(|a, b| a.first_seq < b.first_seq)
            || runs.first().is_some_and(|run| run.first_seq != self.first)
        {
            return Err(self.refused("context runs are out of order or do not start the range"));
        }
        let mut previous = self.first - 1;
        for entry in &self.entries {
            if entry.actor() != self.actor() || entry.shard_id != self.stream {
                return Err(entry.refused(format!(
                    "stands in a batch of site {}, stream {}",
                    self.actor(),
                    self.stream
                )));
            }
            if entry.seq <= previous || entry.seq > self.last {
                return Err(entry.refused(format!(
                    "is out of order: after {previous}, range ends at {}",
                    self.last
                )));
            }
            if entry.first_seq < self.first {
                return Err(entry.refused(format!(
                    "folds entries from {}, range starts at {}",
                    entry.first_seq, self.first
                )));
            }
            previous = entry.seq;
            entry.validate()?;
        }
        Ok(())
    }

    fn refused(&self, reason: impl Into<String>) -> ReplError {
        ReplError::Journal {
            site_id: self.source_site_id,
            shard_id: self.stream,
            seq: self.first,
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dot::shard_of;
    use super::super::op::OpKind;
    use super::*;

    /// A change that breaks a rule, and words of the refusal.
    type Fault = (fn(&mut EntryBatch), &'static str);

    fn batch() -> EntryBatch {
        let entry =
            |seq| JournalEntry::new(seq, shard_of(9), 2, 50 + seq, 9, OpKind::Write, vec![]);
        EntryBatch::new(2, vec![entry(4), entry(5), entry(7)], 1)
    }

    #[test]
    fn a_batch_covers_its_declared_range_even_when_empty() {
        let mut batch = batch();
        batch.entries.clear();
        (batch.first, batch.last) = (4, 900);
        batch.validate().unwrap();
    }

    #[test]
    fn order_actor_stream_and_range_are_enforced() {
        let cases: [Fault; 7] = [
            (|b| b.entries.swap(0, 1), "out of order"),
            (|b| b.last = 6, "range ends at 6"),
            (|b| b.entries[0].first_seq = 3, "range starts at 4"),
            (|b| b.first = 0, "is not valid"),
            (
                |b| b.entries[1].incarnation = 5,
                "stands in a batch of site",
            ),
            (|b| b.stream = 3, "stands in a batch of site"),
            (
                |b| {
                    b.seen_runs = vec![SeenRun {
                        first_seq: 5,
                        ..SeenRun::default()
                    }];
                },
                "context runs",
            ),
        ];
        batch().validate().unwrap();
        for (change, why) in cases {
            let mut changed = batch();
            change(&mut changed);
            let error = changed.validate().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_folded_entry_may_reach_back_over_entries_of_other_inodes() {
        let mut folded = batch();
        folded.entries[2].first_seq = 4;
        folded.validate().unwrap();
        let mut entries = folded.entries;
        entries.remove(0);
        let batch = EntryBatch::new(2, entries, 1);
        assert_eq!((batch.first, batch.last), (4, 7));
        batch.validate().unwrap();
    }

    #[test]
    fn the_context_is_the_latest_run_less_the_exceptions_plus_own_history() {
        let (other, third) = (Actor::new(7, 1), Actor::new(8, 1));
        let mut batch = batch();
        let run = |first_seq, seq| SeenRun {
            first_seq,
            seen: [(other, seq), (third, 9)].into_iter().collect(),
        };
        batch.seen_runs = vec![run(4, 10), run(5, 20)];
        batch.entries[2].seen_except = vec![(other, 3)];
        assert_eq!(batch.seen_of(&batch.entries[0]).get(other), 10);
        let last = batch.seen_of(&batch.entries[2]);
        assert_eq!(
            (last.get(other), last.get(third), last.get(batch.actor())),
            (3, 9, 6)
        );
    }
}
