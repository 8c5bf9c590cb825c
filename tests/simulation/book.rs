//! What everybody wrote, as it stood in the journals when it became durable: nothing of it may ever be lost or differ.

use std::collections::BTreeMap;

use claudefs_repl::journal::codec::decode_change;
use claudefs_repl::journal::dot::Actor;
use claudefs_repl::journal::{Change, Dot, EntryBatch, JournalEntry, Seen};

use crate::judge::Check;
use crate::judge::facts::{Facts, context};
use crate::judge::oracle::Tree;

/// Everything that was journaled.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) facts: Facts,
    entries: BTreeMap<Dot, JournalEntry>,
    /// Last seq of each stream of every journal.
    heads: BTreeMap<(Actor, u32), u64>,
    /// Last seq of each stream, by site.
    journaled: BTreeMap<usize, BTreeMap<u32, u64>>,
    /// Which entry made the bytes with this number.
    writes: BTreeMap<u64, Dot>,
    /// Highest hybrid clock of each site.
    stamped: BTreeMap<usize, u64>,
    /// Highest mark that each site sent: what it writes is stamped later.
    marked: BTreeMap<usize, u64>,
}

impl Book {
    /// What is known of the journal of the site `at`, by stream.
    pub(super) fn journaled(&self, at: usize) -> BTreeMap<u32, u64> {
        self.journaled.get(&at).cloned().unwrap_or_default()
    }

    /// The entry that made the bytes with this number.
    pub(super) fn write_of(&self, value: u64) -> Option<Dot> {
        self.writes.get(&value).copied()
    }

    /// Notes what became durable in the journal of a site, whose user saw `contents` before. Whether anything of it is
    /// about files.
    pub(super) fn note(
        &mut self,
        at: usize,
        batches: &[EntryBatch],
        contents: &BTreeMap<u64, u64>,
    ) -> Check<bool> {
        let nothing = Seen::new();
        let mut entries: Vec<(&JournalEntry, &Seen)> = Vec::new();
        for batch in batches {
            for entry in &batch.entries {
                let runs = batch.seen_runs.iter();
                let run = runs.filter(|run| run.first_seq <= entry.seq).last();
                entries.push((entry, run.map_or(&nothing, |run| &run.seen)));
            }
        }
        // Streams stand side by side in a batch; the site wrote them in the order of its clock.
        entries.sort_by_key(|(entry, _)| entry.hlc_us);
        let mut any = false;
        for (entry, vector) in entries {
            let stream = self.journaled.entry(at).or_default();
            let last = stream.entry(entry.shard_id).or_default();
            if entry.seq != *last + 1 {
                return Err(format!("{} follows {last} in its stream", entry.dot()));
            }
            *last = entry.seq;
            let stamped = self.stamped.entry(at).or_default();
            if entry.hlc_us <= *stamped {
                return Err(format!("{} is stamped before what it saw", entry.dot()));
            }
            *stamped = entry.hlc_us;
            let mark = self.marked.get(&at).copied().unwrap_or(0);
            if entry.hlc_us <= mark {
                return Err(format!(
                    "{} is stamped before the mark {mark} that was sent",
                    entry.dot()
                ));
            }
            self.entries.insert(entry.dot(), entry.clone());
            self.heads
                .insert((entry.actor(), entry.shard_id), entry.seq);
            if entry.op.is_control() {
                continue;
            }
            any = true;
            let base = contents.get(&entry.inode);
            let base = base.and_then(|value| self.writes.get(value)).copied();
            self.facts.note(entry, &context(entry, vector), base);
            let change = decode_change(entry).map_err(|error| error.to_string())?;
            if let Change::Write { content, .. } | Change::Truncate { content, .. } = change {
                self.writes.insert(content.size, entry.dot());
            }
        }
        Ok(any)
    }

    /// A site lost its disk: its next journal begins anew, and its clock knows of nothing.
    pub(super) fn lost_disk(&mut self, at: usize) {
        self.journaled.remove(&at);
        self.stamped.remove(&at);
        self.marked.remove(&at);
    }

    /// Bytes that leave the filesystem of a site when it shows `told`.
    pub(super) fn displace(&mut self, at: usize, inode: u64, tree: &Tree, told: &Tree) {
        let Some(old) = tree.content(inode) else {
            return;
        };
        let new = told.content(inode);
        if new != Some(old) {
            self.facts.displace(at, inode, (old, new));
        }
    }

    /// A site took over what it heard: its own stamps come behind that.
    pub(super) fn heard(&mut self, at: usize, hlc_us: u64) {
        let stamped = self.stamped.entry(at).or_default();
        *stamped = hlc_us.max(*stamped);
    }

    /// A site promised that everything up to `mark_us` was sent before.
    pub(super) fn promise(&mut self, at: usize, mark_us: u64) {
        let marked = self.marked.entry(at).or_default();
        *marked = mark_us.max(*marked);
    }

    /// A site took a mark of `actor`, of which it has `received` so much: nothing up to the mark is missing.
    pub(super) fn check_mark(
        &self,
        actor: Actor,
        mark_us: u64,
        received: &BTreeMap<u32, u64>,
    ) -> Check {
        for (dot, entry) in &self.entries {
            let has = received.get(&dot.stream).copied().unwrap_or(0);
            if dot.actor == actor && entry.hlc_us <= mark_us && has < dot.seq {
                return Err(format!(
                    "{dot} is missing, and the mark {mark_us} says that all is there"
                ));
            }
        }
        Ok(())
    }

    /// What travels is what was durable at its site, unchanged. Whether it is, for an entry that a site took in.
    pub(super) fn check(&self, batches: &[EntryBatch]) -> Check {
        for entry in batches.iter().flat_map(|batch| &batch.entries) {
            let dot = entry.dot();
            match self.entries.get(&dot) {
                None => return Err(format!("{dot} was sent before it was durable")),
                // A folded entry is not what was journaled; it stands for several.
                Some(known) if entry.first_seq == known.first_seq && known != entry => {
                    return Err(format!("{dot} was used for two entries"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Last seq of each stream of every journal.
    pub(super) const fn heads(&self) -> &BTreeMap<(Actor, u32), u64> {
        &self.heads
    }
}
