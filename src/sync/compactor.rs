//! Pure: leaves out of a batch what later entries of the same batch make superfluous.
//!
//! Promise: whoever merges the compacted entries gets the same view, the same cursors and the same conflicts that
//! count as whoever merges all of them. Compaction is a view made for one sending; the journal is never rewritten.
//! The trap is "keep the latest per inode": an entry of another site merged between two writes makes the first one a
//! version that others may have seen lose, and it has to stay. So a later entry swallows an earlier one only when it
//! names it as the version that it replaced and nothing foreign came between; see [`Reason`] for what keeps one.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::EntryBatch;
use crate::journal::dot::{Actor, Dot};
use crate::journal::entry::JournalEntry;
use crate::journal::op::OpKind;

mod fold;

use fold::Group;

/// What compaction left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompactionResult {
    /// The entries that stay, by seq.
    pub entries: Vec<JournalEntry>,
    /// How many were swallowed by others.
    pub removed_count: usize,
    /// Inodes of which everything was kept because their stamps do not increase with seq, ascending. Such entries
    /// cannot come from this crate's clock: a caller alerts.
    pub out_of_order: Vec<u64>,
}

/// A batch as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactedBatch {
    /// The batch: range, contexts and chain are those of the whole, so the receiver's cursor moves as far.
    pub batch: EntryBatch,
    /// How many entries were swallowed by others.
    pub removed_count: usize,
    /// See [`CompactionResult::out_of_order`].
    pub out_of_order: Vec<u64>,
}

/// What becomes of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The entry.
    pub dot: Dot,
    /// Its inode.
    pub inode: u64,
    /// Its operation.
    pub op: OpKind,
    /// Kept or swallowed, and why.
    pub fate: Fate,
}

impl Explained {
    /// Why, for people: lower case without a full stop.
    #[must_use]
    pub const fn why(&self) -> &'static str {
        if let Fate::Kept(reason) = self.fate {
            return reason.text();
        }
        match self.op {
            OpKind::Write | OpKind::Truncate => "covered by a later write in the same batch",
            OpKind::SetAttr => "folded into a later setattr in the same batch",
            OpKind::SetXattr
            | OpKind::RemoveXattr
            | OpKind::Create
            | OpKind::Unlink
            | OpKind::Rename
            | OpKind::Link
            | OpKind::Symlink
            | OpKind::MkDir
            | OpKind::Noop
            | OpKind::ConflictAck
            | OpKind::Member
            | OpKind::ResumePoint
            | OpKind::Horizon => "superseded in the same batch",
        }
    }
}

/// Kept or swallowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is sent.
    Kept(Reason),
    /// It is not sent.
    Swallowed {
        /// Seq of the entry that is sent and stands for it.
        by: u64,
    },
}

/// Why an entry is kept. Those with `next` name the entry that would have swallowed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It creates, removes, links or moves: others may have decided by it.
    Structural,
    /// Control stream.
    Control,
    /// No later entry of the batch writes the same.
    Latest,
    /// It is part of an operation that takes several entries.
    Transaction,
    /// Stamps of the inode do not increase with seq.
    OutOfOrder,
    /// A payload of the inode does not decode, so nobody knows what it touches.
    NotUnderstood,
    /// Another site's entry was merged between it and `next`.
    ForeignBetween {
        /// Seq of the later entry.
        next: u64,
    },
    /// `next` had not seen the same unapplied versions.
    ContextDiffers {
        /// Seq of the later entry.
        next: u64,
    },
    /// `next` replaced another version, or something between them wrote the same register.
    NotReplaced {
        /// Seq of the later entry.
        next: u64,
    },
    /// It carries a mode and `next` does not.
    ModeNotCarried {
        /// Seq of the later entry.
        next: u64,
    },
    /// Together with `next` it would carry more causal items than an entry may.
    TooManyItems {
        /// Seq of the later entry.
        next: u64,
    },
}

impl Reason {
    /// For people, lower case without a full stop.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Structural => "changes the namespace",
            Self::Control => "control entry",
            Self::Latest => "latest of its kind",
            Self::Transaction => "part of an operation that takes several entries",
            Self::OutOfOrder => "stamps of the inode do not increase",
            Self::NotUnderstood => "a payload of the inode does not decode",
            Self::ForeignBetween { .. } => "another site touched the inode in between",
            Self::ContextDiffers { .. } => "the next one had seen other versions",
            Self::NotReplaced { .. } => "the next one replaced another version",
            Self::ModeNotCarried { .. } => "carries a mode and the next one does not",
            Self::TooManyItems { .. } => "too many superseded versions for one entry",
        }
    }
}

/// Compacts runs of entries. Without state: everything is in the entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchCompactor;

impl BatchCompactor {
    /// Leaves out every entry that a later one of `entries` stands for, and orders the rest by seq.
    #[must_use]
    pub fn compact(entries: Vec<JournalEntry>) -> CompactionResult {
        run(entries).0
    }

    /// The same for the entries of one inode; those of other inodes are all kept as they are.
    #[must_use]
    pub fn compact_inode(entries: Vec<JournalEntry>, inode: u64) -> CompactionResult {
        let (of_inode, others): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|entry| entry.inode == inode && !entry.op.is_control());
        let mut result = Self::compact(of_inode);
        result.entries.extend(others);
        sort(&mut result.entries);
        result
    }

    /// The compacted form of a batch. One in which nothing is swallowed keeps its bytes.
    #[must_use]
    pub fn compact_batch(mut batch: EntryBatch) -> CompactedBatch {
        let mut inodes = BTreeSet::new();
        // Where no inode stands twice, which is most batches, there is nothing to be found.
        if batch.entries.iter().all(|entry| inodes.insert(entry.inode)) {
            return CompactedBatch {
                batch,
                removed_count: 0,
                out_of_order: Vec::new(),
            };
        }
        let result = Self::compact(batch.entries.clone());
        if result.removed_count > 0 {
            batch.entries = result.entries;
            batch.raw = bytes::Bytes::new();
        }
        CompactedBatch {
            batch,
            removed_count: result.removed_count,
            out_of_order: result.out_of_order,
        }
    }

    /// What [`BatchCompactor::compact`] does with each entry, by seq.
    #[must_use]
    pub fn explain(entries: &[JournalEntry]) -> Vec<Explained> {
        run(entries.to_vec()).1
    }
}

fn run(mut entries: Vec<JournalEntry>) -> (CompactionResult, Vec<Explained>) {
    sort(&mut entries);
    let count = entries.len();
    // Fates and entries lie at the same index; a group is the indices of one inode in one stream, by seq.
    let mut groups: BTreeMap<(Actor, u32, u64), Vec<usize>> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let group = (entry.actor(), entry.shard_id, entry.inode);
        groups.entry(group).or_default().push(index);
    }
    let mut fates = vec![Fate::Kept(Reason::Control); count];
    let mut out_of_order = BTreeSet::new();
    for ((_, _, inode), members) in groups {
        let group = members.iter().map(|index| entries[*index].clone());
        let (folded, group_fates) = Group::new(group.collect()).fold();
        if group_fates.contains(&Fate::Kept(Reason::OutOfOrder)) {
            out_of_order.insert(inode);
        }
        for (index, (entry, fate)) in members.into_iter().zip(folded.into_iter().zip(group_fates)) {
            entries[index] = entry;
            fates[index] = fate;
        }
    }
    let explain = |(entry, fate): (&JournalEntry, &Fate)| Explained {
        dot: entry.dot(),
        inode: entry.inode,
        op: entry.op,
        fate: *fate,
    };
    let explained: Vec<Explained> = entries.iter().zip(&fates).map(explain).collect();
    let mut fates = fates.into_iter();
    entries.retain(|_| matches!(fates.next(), Some(Fate::Kept(_))));
    let result = CompactionResult {
        removed_count: count - entries.len(),
        entries,
        out_of_order: out_of_order.into_iter().collect(),
    };
    (result, explained)
}

fn sort(entries: &mut [JournalEntry]) {
    entries.sort_by_key(|entry| (entry.seq, entry.shard_id, entry.actor()));
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
