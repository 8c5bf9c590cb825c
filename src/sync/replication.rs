//! Applies batches of one remote site to a merged state in memory: the library's plain way in.
//!
//! A facade over [`Core`], the merge that the daemon runs, without its logs and its connector: what is merged, who
//! wins and what is recorded are the same. A batch is taken whole or not at all, and taking it again changes nothing.
//! What it cannot know is context that nobody tells it: a local entry counts as having seen what it names, no more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::conflict::ConflictKind;
use super::core::Core;
use super::detector::{Conflict, ConflictDetector};
use super::lag::entries_behind;
use super::registers::{context_of, registers_of_entry};
use super::state::{MemState, State};
use crate::clock::{SharedClock, SystemClock, TimestampUs};
use crate::error::Result;
use crate::journal::EntryBatch;
use crate::journal::dot::{Actor, ROOT_INODE, STREAM_COUNT};
use crate::journal::entry::{JournalEntry, RegisterId};
use crate::wal::ReplicationCursor;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyResult {
    /// All its entries are merged and none lost against another site.
    Applied {
        /// How many of them were new.
        count: usize,
    },
    /// All its entries are merged, and the conflicts are listed by the detector.
    AppliedWithConflicts {
        /// How many entries were new.
        applied: usize,
        /// How many conflicts were new.
        conflicts: usize,
    },
    /// Nothing of it was taken.
    Rejected {
        /// For people: site, stream and seq, what was expected and what was found.
        reason: String,
    },
}

/// The state behind the lock.
#[derive(Debug)]
struct Merging {
    core: Core<MemState>,
    /// The remote site's journal of the last batch that was taken; its positions are the ones that count.
    incarnation: u64,
}

/// The replication from one remote site to this one. Shared: every method takes `&self`.
#[derive(Debug)]
pub struct ReplicationSync {
    local: Actor,
    remote_site_id: u64,
    clock: SharedClock,
    merging: Mutex<Merging>,
    detector: Arc<ConflictDetector>,
}

impl ReplicationSync {
    /// From the site `remote_site_id` to the site `local_site_id`, with nothing merged.
    #[must_use]
    pub fn new(local_site_id: u64, remote_site_id: u64) -> Self {
        let local = Actor::new(local_site_id, 0);
        Self::with_clock(local, remote_site_id, Arc::new(SystemClock))
    }

    /// The same for the journal `local`, dating conflicts by `clock`.
    #[must_use]
    pub fn with_clock(local: Actor, remote_site_id: u64, clock: SharedClock) -> Self {
        let core = Core::new(local, MemState::default(), 0);
        let merging = Merging {
            core,
            incarnation: 0,
        };
        Self {
            local,
            remote_site_id,
            detector: Arc::new(ConflictDetector::with_clock(
                local.site_id,
                Arc::clone(&clock),
            )),
            clock,
            merging: Mutex::new(merging),
        }
    }

    /// Merges `local_entries`, which this site wrote, and then `batch`. Entries that were merged before count as
    /// duplicates and do nothing.
    ///
    /// Rejected, with nothing changed: a batch of another site; one that starts behind the next seq of its stream, or
    /// whose entries do not cover it (without incarnation there is nobody who vouches for the range); a crc that
    /// does not fit; anything else that [`EntryBatch::validate`] refuses or a payload that does not decode.
    #[expect(clippy::unused_async, reason = "specified signature")]
    pub async fn apply_batch(
        &self,
        batch: &EntryBatch,
        local_entries: &[JournalEntry],
    ) -> ApplyResult {
        match self.apply(batch, local_entries) {
            Ok((count, 0)) => ApplyResult::Applied { count },
            Ok((applied, conflicts)) => ApplyResult::AppliedWithConflicts { applied, conflicts },
            Err(reason) => ApplyResult::Rejected { reason },
        }
    }

    /// How many entries of a stream that ends at `local_tip` are not merged yet.
    #[expect(clippy::unused_async, reason = "specified signature")]
    pub async fn lag(&self, shard_id: u32, local_tip: u64) -> u64 {
        let merging = self.lock();
        let remote = Actor::new(self.remote_site_id, merging.incarnation);
        let position = merging.core.state().cursor(remote, shard_id).unwrap_or(0);
        entries_behind(local_tip, position)
    }

    /// How far each stream of the remote site is merged, by stream and journal.
    #[expect(clippy::unused_async, reason = "specified signature")]
    pub async fn wal_snapshot(&self) -> Vec<ReplicationCursor> {
        let merging = self.lock();
        let mut cursors = Vec::new();
        for stream in 0..STREAM_COUNT {
            let known = merging.core.state().cursors(stream).unwrap_or_default();
            let remote = known
                .iter()
                .filter(|(a, _)| a.site_id == self.remote_site_id);
            cursors.extend(remote.map(|(actor, seq)| ReplicationCursor::of(actor, stream, seq)));
        }
        cursors
    }

    /// The list of conflicts; the caller may keep it.
    #[must_use]
    pub fn detector(&self) -> Arc<ConflictDetector> {
        Arc::clone(&self.detector)
    }

    /// Looks at the merged state, for example at the image of an inode.
    pub fn with_core<T>(&self, look: impl FnOnce(&Core<MemState>) -> T) -> T {
        look(&self.lock().core)
    }

    /// New entries and new conflicts, or why the batch is refused.
    fn apply(
        &self,
        batch: &EntryBatch,
        local_entries: &[JournalEntry],
    ) -> Result<(usize, usize), String> {
        let expected = self.remote_site_id;
        if batch.source_site_id != expected {
            let got = batch.source_site_id;
            return Err(format!("batch of site {got}, expected site {expected}"));
        }
        for entry in local_entries {
            if entry.site_id != self.local.site_id {
                let (got, local) = (entry.site_id, self.local.site_id);
                return Err(format!("local entry of site {got}, expected site {local}"));
            }
            check_entry(entry)?;
        }
        let empty = batch.entries.is_empty() && (batch.first, batch.last) == (0, 0);
        if !empty {
            batch.validate().map_err(|e| e.to_string())?;
            batch.entries.iter().try_for_each(check_entry)?;
        }
        let mut merging = self.lock();
        if !empty {
            check_sequence(&merging.core, batch)?;
            merging.incarnation = batch.incarnation;
        }
        let now_us = self.clock.now_us();
        let (count, written) = merging
            .merge(batch, local_entries, now_us)
            .map_err(|e| e.to_string())?;
        let conflicts = if written > 0 {
            self.list_conflicts(&merging.core)?
        } else {
            0
        };
        Ok((count, conflicts))
    }

    /// Gives the detector the records that count and that it does not list. Returns how many.
    fn list_conflicts(&self, core: &Core<MemState>) -> Result<usize, String> {
        let records = core.state().conflicts().map_err(|e| e.to_string())?;
        let open = records
            .iter()
            .filter(|record| record.kind == ConflictKind::Register && !record.superseded)
            .filter_map(|record| Conflict::from_record(record, self.local.site_id));
        Ok(open
            .filter(|conflict| self.detector.note(conflict.clone()))
            .count())
    }

    /// A panic of another holder can only leave a merge half done. All of it is idempotent and the cursor moves last,
    /// so the next delivery completes it.
    fn lock(&self) -> MutexGuard<'_, Merging> {
        self.merging.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Merging {
    /// Entries of the batch that were new, and conflict records that were written.
    fn merge(
        &mut self,
        batch: &EntryBatch,
        local_entries: &[JournalEntry],
        now_us: TimestampUs,
    ) -> Result<(usize, usize)> {
        let mut written = 0;
        let mut in_order: Vec<&JournalEntry> = local_entries.iter().collect();
        in_order.sort_by_key(|entry| (entry.shard_id, entry.actor(), entry.seq));
        for entry in in_order {
            written += self.core.merge_entry(entry, &context_of(entry), now_us)?;
            let (actor, stream) = (entry.actor(), entry.shard_id);
            if entry.seq > self.core.state().cursor(actor, stream)? {
                self.core.state_mut().set_cursor(actor, stream, entry.seq)?;
            }
        }
        let count = self.core.merge_batch(batch, now_us)?;
        Ok((count.merged, written + count.conflicts))
    }
}

/// What has to hold for an entry to be merged, so that the merge cannot stop half way.
fn check_entry(entry: &JournalEntry) -> Result<(), String> {
    entry.validate().map_err(|e| e.to_string())?;
    let registers =
        registers_of_entry(entry).map_err(|e| entry.refused(e.to_string()).to_string())?;
    if entry.inode == ROOT_INODE && registers.contains(&RegisterId::DirPlace) {
        let reason = "the root directory is neither moved nor removed";
        return Err(entry.refused(reason).to_string());
    }
    Ok(())
}

/// The batch goes on where its stream stands, or repeats what is merged; without an incarnation nobody vouches for the
/// declared range, so its entries have to cover it.
fn check_sequence(core: &Core<MemState>, batch: &EntryBatch) -> Result<(), String> {
    let cursor = core.state().cursor(batch.actor(), batch.stream);
    let cursor = cursor.map_err(|e| e.to_string())?;
    let stream = batch.stream;
    if batch.first > cursor.saturating_add(1) {
        let (first, next) = (batch.first, cursor.saturating_add(1));
        return Err(format!(
            "stream {stream}: batch starts at seq {first}, expected {next}"
        ));
    }
    if batch.incarnation != 0 {
        return Ok(());
    }
    let mut covered: Vec<(u64, u64)> = batch.entries.iter().map(|e| (e.first_seq, e.seq)).collect();
    covered.sort_unstable();
    let mut next = batch.first;
    for (first, last) in covered {
        if first > next {
            break;
        }
        next = next.max(last.saturating_add(1));
    }
    if next <= batch.last {
        let last = batch.last;
        return Err(format!(
            "stream {stream}: seq {next} of {}..={last} is missing",
            batch.first
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
