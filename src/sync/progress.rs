//! Pure: how far each stream of the others got here: merged, applied, parked.
//!
//! Merging never waits for the connector, so the applied position of a stream is the last one before which no entry
//! waits for it. A parked inode does not hold its stream up; its entries are counted beside it.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::dot::{Actor, Dot};

/// How many parked seqs are listed by number (the rest is a count).
pub const PARKED_MAX: usize = 64;

/// How far one stream of another site got here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamProgress {
    /// Whose stream.
    pub actor: Actor,
    /// Which.
    pub stream: u32,
    /// In the fsynced received log.
    pub received: u64,
    /// In the state.
    pub merged: u64,
    /// On the connector's filesystem, parked ones skipped.
    pub applied: u64,
    /// Seqs of parked inodes, at most [`PARKED_MAX`].
    pub parked: Vec<u64>,
    /// How many are parked in all.
    pub parked_count: u64,
}

/// Entries that are merged and wait for the connector. One loop owns it; it is made again from the state.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    by_stream: BTreeMap<(Actor, u32), BTreeSet<u64>>,
    by_inode: BTreeMap<u64, Vec<Dot>>,
    parked: BTreeSet<u64>,
    /// Not held up and no fault: their newer version is on its way.
    overtaken: BTreeSet<u64>,
}

impl Waiting {
    /// An entry of `inode` was merged.
    pub fn add(&mut self, inode: u64, dot: Dot) {
        self.by_inode.entry(inode).or_default().push(dot);
        self.overtaken.remove(&inode);
        if !self.parked.contains(&inode) {
            self.by_stream
                .entry((dot.actor, dot.stream))
                .or_default()
                .insert(dot.seq);
        }
    }

    /// The connector shows `inode` as it should be.
    pub fn settle(&mut self, inode: u64) {
        self.parked.remove(&inode);
        self.overtaken.remove(&inode);
        for dot in self.by_inode.remove(&inode).unwrap_or_default() {
            self.forget(dot);
        }
    }

    /// The connector cannot show `inode`.
    pub fn park(&mut self, inode: u64) {
        if self.parked.insert(inode) {
            for dot in self.by_inode.get(&inode).cloned().unwrap_or_default() {
                self.forget(dot);
            }
        }
    }

    /// What `inode` was to show was replaced at its origin and is owed no more; a newer version will come.
    pub fn overtake(&mut self, inode: u64) {
        self.overtaken.insert(inode);
        for dot in self.by_inode.get(&inode).cloned().unwrap_or_default() {
            self.forget(dot);
        }
    }

    /// How many inodes wait for a newer version.
    #[must_use]
    pub fn overtaken(&self) -> usize {
        self.overtaken.len()
    }

    /// All parked inodes are tried again.
    pub fn unpark(&mut self) {
        let parked: Vec<u64> = self.parked.iter().copied().collect();
        for inode in parked {
            self.unpark_one(inode);
        }
    }

    /// A parked inode is tried again.
    pub fn unpark_one(&mut self, inode: u64) {
        if !self.parked.remove(&inode) {
            return;
        }
        for dot in self.by_inode.get(&inode).into_iter().flatten() {
            self.by_stream
                .entry((dot.actor, dot.stream))
                .or_default()
                .insert(dot.seq);
        }
    }

    /// The last seq of the stream before which nothing waits, given the last merged one.
    #[must_use]
    pub fn applied(&self, actor: Actor, stream: u32, merged: u64) -> u64 {
        let first = self
            .by_stream
            .get(&(actor, stream))
            .and_then(|seqs| seqs.first());
        first.map_or(merged, |seq| seq - 1)
    }

    /// Whether nothing of `actor` waits, parked ones aside.
    #[must_use]
    pub fn is_clear(&self, actor: Actor) -> bool {
        let of_actor = self.by_stream.range((actor, 0)..=(actor, u32::MAX));
        of_actor.into_iter().all(|(_, seqs)| seqs.is_empty())
    }

    /// How many entries wait, parked ones aside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_stream.values().map(BTreeSet::len).sum()
    }

    /// Whether nothing waits, parked ones aside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether entries of an actor wait for this inode.
    #[must_use]
    pub fn concerns(&self, inode: u64, actor: Actor) -> bool {
        let dots = self.by_inode.get(&inode).into_iter().flatten();
        dots.into_iter().any(|dot| dot.actor == actor)
    }

    /// Whether an entry within `reach`, by journal and stream, is not on the connector's filesystem, whatever the reason.
    #[must_use]
    pub fn owes(&self, reach: &BTreeMap<(Actor, u32), u64>) -> bool {
        let mut dots = self.by_inode.values().flatten();
        dots.any(|dot| {
            let until = reach.get(&(dot.actor, dot.stream));
            until.is_some_and(|until| dot.seq <= *until)
        })
    }

    /// Seqs of parked inodes in a stream, at most [`PARKED_MAX`], and how many there are.
    #[must_use]
    pub fn parked(&self, actor: Actor, stream: u32) -> (Vec<u64>, u64) {
        let dots = self
            .parked
            .iter()
            .filter_map(|inode| self.by_inode.get(inode))
            .flatten();
        let mut seqs: Vec<u64> = dots
            .filter(|dot| dot.actor == actor && dot.stream == stream)
            .map(|dot| dot.seq)
            .collect();
        seqs.sort_unstable();
        let count = seqs.len() as u64;
        seqs.truncate(PARKED_MAX);
        (seqs, count)
    }

    fn forget(&mut self, dot: Dot) {
        if let Some(seqs) = self.by_stream.get_mut(&(dot.actor, dot.stream)) {
            seqs.remove(&dot.seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Actor = Actor::new(1, 1);

    fn dot(seq: u64) -> Dot {
        Dot::new(A, 7, seq)
    }

    #[test]
    fn applied_stops_before_the_first_waiting_entry() {
        let mut waiting = Waiting::default();
        for (inode, seq) in [(10, 1), (11, 2), (10, 3)] {
            waiting.add(inode, dot(seq));
        }
        assert_eq!(waiting.applied(A, 7, 3), 0);
        waiting.settle(10);
        assert_eq!((waiting.applied(A, 7, 3), waiting.is_clear(A)), (1, false));
        waiting.settle(11);
        assert_eq!((waiting.applied(A, 7, 3), waiting.is_clear(A)), (3, true));
    }

    #[test]
    fn a_parked_inode_is_skipped_and_shown_beside() {
        let mut waiting = Waiting::default();
        waiting.add(10, dot(1));
        waiting.add(11, dot(2));
        waiting.park(10);
        waiting.add(10, dot(3));
        waiting.settle(11);
        assert_eq!(waiting.applied(A, 7, 3), 3);
        assert_eq!(waiting.parked(A, 7), (vec![1, 3], 2));
        waiting.unpark();
        assert_eq!(waiting.applied(A, 7, 3), 0);
    }
}
