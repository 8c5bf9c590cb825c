//! Two entries of different sites: do they conflict, and which of them wins?
//!
//! A facade for callers that hold entries and no state. It decides nothing by itself: the registers come from the
//! table that the author uses, contexts from what the entries name, and the comparison is [`Register::merge`], the one
//! of the merge. The list is what was noticed here since it was last cleared; the durable records of the store
//! are another thing, and nothing done here touches them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::conflict::{ConflictId, ConflictKind, ConflictRecord, LostValue};
use super::register::{Register, Version};
use super::registers::{context_of, registers_by_kind, registers_of_entry};
use crate::clock::{SharedClock, SystemClock, TimestampUs};
use crate::journal::dot::LwwKey;
use crate::journal::entry::{JournalEntry, RegisterId};

/// Most conflicts that a detector lists; beyond, the oldest leave the list and are counted. Enough for a partition of
/// a day in which every hundredth of ten million files was edited at both ends.
pub const DETECTED_MAX: usize = 100_000;

/// Two sites wrote the same register without having seen each other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The inode.
    pub inode: u64,
    /// This site.
    pub local_site_id: u64,
    /// The other site.
    pub remote_site_id: u64,
    /// Stamp of this site's version in microseconds since 1970.
    pub local_ts: u64,
    /// Stamp of the other site's version in microseconds since 1970.
    pub remote_ts: u64,
    /// Whose version is shown, on every site alike.
    pub winner_site_id: u64,
    /// When this site noticed, in microseconds since 1970.
    pub detected_at_us: TimestampUs,
    /// The name of the conflict; that of its durable record where there is one.
    pub id: ConflictId,
    /// What kind of disagreement.
    pub kind: ConflictKind,
    /// The register that both wrote.
    pub register: RegisterId,
    /// Order and name of this site's version.
    pub local: LwwKey,
    /// Order and name of the other site's version.
    pub remote: LwwKey,
    /// The value that lost, where the merge has it.
    pub lost: LostValue,
    /// Looked at; see [`ConflictDetector::clear_conflicts`].
    pub acked: bool,
}

impl Conflict {
    /// A conflict over `register` of `inode` between this site's version and another one's.
    #[must_use]
    pub fn new(
        inode: u64,
        register: RegisterId,
        local: LwwKey,
        remote: LwwKey,
        detected_at_us: TimestampUs,
    ) -> Self {
        let (kind, loser) = (ConflictKind::Register, local.min(remote));
        Self {
            inode,
            local_site_id: local.site_id,
            remote_site_id: remote.site_id,
            local_ts: local.timestamp_us,
            remote_ts: remote.timestamp_us,
            winner_site_id: local.max(remote).site_id,
            detected_at_us,
            id: ConflictId::new(kind, inode, &register, loser.dot()),
            kind,
            register,
            local,
            remote,
            lost: LostValue::Unknown,
            acked: false,
        }
    }

    /// The conflict of a durable record, as the site `local_site_id` sees it; between two other sites the winner stands
    /// on the local side. None: nothing took the loser's place, so there are no two sides.
    #[must_use]
    pub fn from_record(record: &ConflictRecord, local_site_id: u64) -> Option<Self> {
        let winner = record.winner?;
        let (local, remote) = if record.loser.site_id == local_site_id {
            (record.loser, winner)
        } else {
            (winner, record.loser)
        };
        let register = record.register.clone();
        let conflict = Self::new(record.inode, register, local, remote, record.detected_at_us);
        Some(Self {
            id: record.id,
            kind: record.kind,
            winner_site_id: winner.site_id,
            lost: record.lost.clone(),
            ..conflict
        })
    }
}

/// What a detector has noticed.
#[derive(Debug, Default)]
struct Noticed {
    conflicts: VecDeque<Conflict>,
    /// The ids of `conflicts`.
    ids: BTreeSet<ConflictId>,
    dropped: u64,
}

/// Tells and lists conflicts. Shared: every method takes `&self` and none waits.
#[derive(Debug)]
pub struct ConflictDetector {
    local_site_id: u64,
    clock: SharedClock,
    noticed: Mutex<Noticed>,
}

impl ConflictDetector {
    /// A detector of the site `local_site_id` with an empty list.
    #[must_use]
    pub fn new(local_site_id: u64) -> Self {
        Self::with_clock(local_site_id, Arc::new(SystemClock))
    }

    /// The same, dating conflicts by `clock`.
    #[must_use]
    pub fn with_clock(local_site_id: u64, clock: SharedClock) -> Self {
        Self {
            local_site_id,
            clock,
            noticed: Mutex::default(),
        }
    }

    /// The site.
    #[must_use]
    pub const fn local_site_id(&self) -> u64 {
        self.local_site_id
    }

    /// Compares two entries and lists what they disagree on, each register once however often it is asked. Returns
    /// the conflict over the first register (content before mode, owner, times, flags, xattrs, places).
    #[expect(clippy::unused_async, reason = "specified signature")]
    pub async fn check(&self, local: &JournalEntry, remote: &JournalEntry) -> Option<Conflict> {
        let now_us = self.clock.now_us();
        let found: Vec<Conflict> = contested(local, remote)
            .into_iter()
            .map(|(register, local_key, remote_key)| {
                Conflict::new(local.inode, register, local_key, remote_key, now_us)
            })
            .collect();
        let first = found.first().cloned();
        for conflict in found {
            self.note(conflict);
        }
        first
    }

    /// What was noticed since the list was last cleared, oldest first.
    #[expect(clippy::unused_async, reason = "specified signature")]
    pub async fn conflicts(&self) -> Vec<Conflict> {
        let noticed = self.lock();
        let open = noticed.conflicts.iter().filter(|conflict| !conflict.acked);
        open.cloned().collect()
    }

    /// Takes everything listed as looked at: it is acked here and hidden from [`ConflictDetector::conflicts`]. The
    /// durable records, their losers and their acknowledgements stay as they are.
    #[expect(clippy::unused_async, reason = "specified signature")]
    pub async fn clear_conflicts(&self) {
        for conflict in &mut self.lock().conflicts {
            conflict.acked = true;
        }
    }

    /// How many [`ConflictDetector::conflicts`] lists.
    #[expect(clippy::unused_async, reason = "specified signature")]
    pub async fn conflict_count(&self) -> usize {
        let noticed = self.lock();
        noticed.conflicts.iter().filter(|c| !c.acked).count()
    }

    /// Whether two entries conflict: same inode, same shard, different sites, a register in common, and neither names
    /// the other as seen. Entries without causal context count as concurrent.
    #[must_use]
    pub fn entries_conflict(local: &JournalEntry, remote: &JournalEntry) -> bool {
        !contested(local, remote).is_empty()
    }

    /// Marks one listed conflict as looked at. False: it is not listed, or was marked before.
    pub fn ack(&self, id: ConflictId) -> bool {
        let mut noticed = self.lock();
        let listed = noticed.conflicts.iter_mut();
        let found = listed.into_iter().find(|c| c.id == id && !c.acked);
        found.map(|conflict| conflict.acked = true).is_some()
    }

    /// Everything that was noticed, acked or not, oldest first.
    #[must_use]
    pub fn all_conflicts(&self) -> Vec<Conflict> {
        self.lock().conflicts.iter().cloned().collect()
    }

    /// How many left the list because it was full; their durable records are not concerned.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Lists a conflict. False: it was listed before.
    pub(super) fn note(&self, conflict: Conflict) -> bool {
        let mut noticed = self.lock();
        if !noticed.ids.insert(conflict.id) {
            return false;
        }
        if noticed.conflicts.len() == DETECTED_MAX
            && let Some(oldest) = noticed.conflicts.pop_front()
        {
            noticed.ids.remove(&oldest.id);
            noticed.dropped += 1;
        }
        noticed.conflicts.push_back(conflict);
        true
    }

    /// The list is whole after every statement that changes it, so a panic of another holder does no harm.
    fn lock(&self) -> MutexGuard<'_, Noticed> {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The registers that both entries write without having seen each other, each with the key of either version.
fn contested(local: &JournalEntry, remote: &JournalEntry) -> Vec<(RegisterId, LwwKey, LwwKey)> {
    if local.inode != remote.inode
        || local.shard_id != remote.shard_id
        || local.site_id == remote.site_id
    {
        return Vec::new();
    }
    let theirs = registers(remote);
    let mut shared: Vec<RegisterId> = registers(local)
        .into_iter()
        .filter(|register| theirs.contains(register))
        .collect();
    shared.sort_unstable();
    let both = |register: &RegisterId| {
        let mut merged = Register::default();
        for entry in [local, remote] {
            merged.merge(version(entry, register));
        }
        merged.versions().len() > 1
    };
    shared.retain(both);
    let keys = |register: RegisterId| {
        let (ours, others) = (local.key_of(&register), remote.key_of(&register));
        (register, ours, others)
    };
    shared.into_iter().map(keys).collect()
}

/// The registers of an entry; of a payload that this crate did not encode, those that the operation may write.
fn registers(entry: &JournalEntry) -> Vec<RegisterId> {
    registers_of_entry(entry).unwrap_or_else(|_| registers_by_kind(entry.op, entry.link))
}

fn version(entry: &JournalEntry, register: &RegisterId) -> Version<()> {
    let key = entry.key_of(register);
    let mut seen = context_of(entry);
    seen.set(entry.actor(), key.seq.saturating_sub(1));
    Version {
        key,
        hlc_us: entry.hlc_us,
        seen,
        value: (),
    }
}

#[cfg(test)]
mod tests;
