//! Pure: takes entries into the state: registers, places, conflict records, cursors.
//!
//! A function of (state, entry, context): the same entries give the same registers on every site, in whatever order
//! and however often they come. `now_us` only dates the records. Every entry is validated before it gets here; a
//! payload that does not decode is an error before anything changed.

use super::conflict::{Ack, ConflictId, ConflictKind, ConflictRecord, LostValue};
use super::core::Core;
use super::member::MemberRecord;
use super::node::{DirWrite, LinkPlace, Node};
use super::port::NodeKind;
use super::register::{Merged, Register, Version};
use super::state::State;
use crate::clock::TimestampUs;
use crate::error::Result;
use crate::journal::EntryBatch;
use crate::journal::codec::decode_change;
use crate::journal::dot::{Actor, Dot, LwwKey, ROOT_INODE, Seen};
use crate::journal::entry::{JournalEntry, RegisterId};
use crate::journal::op::{Attr, Change, Horizon, MemberState};

/// What merging a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MergeCount {
    /// Entries that were new.
    pub merged: usize,
    /// Entries behind the cursor, skipped.
    pub skipped: usize,
    /// Conflict records that were written.
    pub conflicts: usize,
}

/// An entry on its way into the registers.
struct Incoming<'a> {
    entry: &'a JournalEntry,
    key: LwwKey,
    seen: &'a Seen,
    now_us: TimestampUs,
    conflicts: usize,
}

/// One register of one inode, at the time of whoever looks.
pub(super) struct At<'a> {
    pub(super) inode: u64,
    pub(super) register: &'a RegisterId,
    pub(super) now_us: TimestampUs,
}

impl Incoming<'_> {
    fn version<T>(&self, id: &RegisterId, value: T) -> Version<T> {
        let key = self.entry.key_of(id);
        let mut seen = self.seen.clone();
        if key != self.key {
            // A folded version had not seen what its site wrote between it and the entry that carries it.
            seen.set(self.entry.actor(), key.seq.saturating_sub(1));
        }
        Version {
            key,
            hlc_us: self.entry.hlc_us,
            seen,
            value,
        }
    }
}

impl<S: State> Core<S> {
    /// Merges the entries of `batch` that are behind no cursor, and moves the cursor over its whole range.
    ///
    /// # Errors
    /// When a payload does not decode or the store fails; the owner then drops what it had not committed.
    pub fn merge_batch(&mut self, batch: &EntryBatch, now_us: TimestampUs) -> Result<MergeCount> {
        let mut count = MergeCount::default();
        let cursor = self.state.cursor(batch.actor(), batch.stream)?;
        for entry in &batch.entries {
            if entry.seq <= cursor {
                count.skipped += 1;
                continue;
            }
            count.conflicts += self.merge_entry(entry, &batch.seen_of(entry), now_us)?;
            count.merged += 1;
        }
        if batch.last > cursor {
            self.state
                .set_cursor(batch.actor(), batch.stream, batch.last)?;
        }
        Ok(count)
    }

    /// Merges one entry with its context. Returns how many conflict records it wrote.
    ///
    /// # Errors
    /// As [`Core::merge_batch`].
    pub fn merge_entry(
        &mut self,
        entry: &JournalEntry,
        seen: &Seen,
        now_us: TimestampUs,
    ) -> Result<usize> {
        let change = decode_change(entry)?;
        let mut incoming = Incoming {
            entry,
            key: entry.key(),
            seen,
            now_us,
            conflicts: 0,
        };
        self.clock.observe(entry.hlc_us);
        if entry.op.is_control() {
            self.merge_control(&incoming, &change)?;
            return Ok(0);
        }
        self.written_us = self.written_us.max(entry.hlc_us);
        self.note_entry(entry)?;
        let before = self.load(entry.inode)?.shown_links();
        self.merge_change(&mut incoming, change)?;
        let after = self.load(entry.inode)?.shown_links();
        self.move_links(entry.inode, &before, &after)?;
        self.merge_overrides(&mut incoming)?;
        self.touch(entry.inode)?;
        Ok(incoming.conflicts)
    }

    /// Counts the entry in its node.
    fn note_entry(&mut self, entry: &JournalEntry) -> Result<()> {
        let mut node = self.edit(entry.inode)?;
        node.stamp_max_us = node.stamp_max_us.max(entry.timestamp_us);
        node.hlc_max_us = node.hlc_max_us.max(entry.hlc_us);
        if entry.actor() != self.local {
            node.note_unapplied(entry.actor(), entry.first_seq);
        }
        self.state.set_node(entry.inode, node)
    }

    fn merge_change(&mut self, incoming: &mut Incoming<'_>, change: Change) -> Result<()> {
        let inode = incoming.entry.inode;
        match change {
            Change::Create { place, attr } => {
                self.set_kind(inode, NodeKind::File, None)?;
                self.merge_link(incoming, LinkPlace { live: true, place })?;
                self.merge_attr(incoming, &attr)
            }
            Change::Symlink {
                place,
                attr,
                target,
            } => {
                self.set_kind(inode, NodeKind::Symlink, Some(target))?;
                self.merge_link(incoming, LinkPlace { live: true, place })?;
                self.merge_attr(incoming, &attr)
            }
            Change::MkDir { place, attr } => {
                self.set_kind(inode, NodeKind::Dir, None)?;
                self.dir_born(inode, incoming.key, &place)?;
                self.merge_dir(
                    incoming,
                    DirWrite {
                        live: true,
                        place: Some(place),
                    },
                )?;
                self.merge_attr(incoming, &attr)
            }
            Change::Link { .. } | Change::Rename { .. } | Change::Unlink { .. } => {
                self.merge_place(incoming, change)
            }
            Change::Write { content, mode } | Change::Truncate { content, mode } => {
                self.merge_register(incoming, RegisterId::Content, content)?;
                self.merge_attr(
                    incoming,
                    &Attr {
                        mode,
                        ..Attr::default()
                    },
                )
            }
            Change::SetAttr { attr } => self.merge_attr(incoming, &attr),
            Change::SetXattr { name, value } => {
                self.merge_register(incoming, RegisterId::Xattr(name), Some(value))
            }
            Change::RemoveXattr { name } => {
                self.merge_register(incoming, RegisterId::Xattr(name), None)
            }
            Change::Noop
            | Change::ConflictAck { .. }
            | Change::Member { .. }
            | Change::ResumePoint
            | Change::Horizon(_) => Ok(()),
        }
    }

    fn merge_place(&mut self, incoming: &mut Incoming<'_>, change: Change) -> Result<()> {
        let inode = incoming.entry.inode;
        let (place, live, dir) = match change {
            Change::Link { place } => (Some(place), true, false),
            Change::Rename { place, dir } => (place, true, dir),
            Change::Unlink { place, dir } => (Some(place), false, dir),
            Change::Create { .. }
            | Change::MkDir { .. }
            | Change::Symlink { .. }
            | Change::Write { .. }
            | Change::Truncate { .. }
            | Change::SetAttr { .. }
            | Change::SetXattr { .. }
            | Change::RemoveXattr { .. }
            | Change::Noop
            | Change::ConflictAck { .. }
            | Change::Member { .. }
            | Change::ResumePoint
            | Change::Horizon(_) => return Ok(()),
        };
        if !dir {
            let Some(place) = place else { return Ok(()) };
            return self.merge_link(incoming, LinkPlace { live, place });
        }
        self.set_kind(inode, NodeKind::Dir, None)?;
        // A removal leaves a directory where it is: only `live` is written.
        let place = place.filter(|_| live);
        if let Some(place) = &place {
            self.dir_moved(inode, incoming.key, place)?;
        }
        self.merge_dir(incoming, DirWrite { live, place })
    }

    fn set_kind(&mut self, inode: u64, kind: NodeKind, target: Option<bytes::Bytes>) -> Result<()> {
        let mut node = self.edit(inode)?;
        node.learn(Some(kind), target);
        self.state.set_node(inode, node)
    }

    fn merge_attr(&mut self, incoming: &mut Incoming<'_>, attr: &Attr) -> Result<()> {
        if let Some(mode) = attr.mode {
            self.merge_register(incoming, RegisterId::Mode, mode)?;
        }
        if let Some(owner) = attr.owner {
            self.merge_register(incoming, RegisterId::Owner, owner)?;
        }
        if let Some(mtime) = attr.mtime {
            self.merge_register(incoming, RegisterId::Times, mtime)?;
        }
        if let Some(flags) = attr.flags {
            self.merge_register(incoming, RegisterId::Flags, flags)?;
        }
        Ok(())
    }

    fn merge_link(&mut self, incoming: &mut Incoming<'_>, value: LinkPlace) -> Result<()> {
        self.note_placed(value.place.parent)?;
        self.merge_register(incoming, RegisterId::LinkPlace(incoming.entry.link), value)
    }

    fn merge_dir(&mut self, incoming: &mut Incoming<'_>, value: DirWrite) -> Result<()> {
        let live = value.live;
        if incoming.entry.inode == ROOT_INODE {
            return Err(incoming
                .entry
                .refused("the root directory is neither moved nor removed"));
        }
        self.merge_register(incoming, RegisterId::DirPlace, value)?;
        self.set_dir_live(incoming.entry.inode, incoming.key, live)
    }

    /// Merges one version into one register, and records who lost.
    fn merge_register<T>(
        &mut self,
        incoming: &mut Incoming<'_>,
        id: RegisterId,
        value: T,
    ) -> Result<()>
    where
        Node: Registers<T>,
    {
        let version = incoming.version(&id, value);
        let at = At {
            inode: incoming.entry.inode,
            register: &id,
            now_us: incoming.now_us,
        };
        let merge = |register: &mut Register<T>| match register.merge(version) {
            Merged::Stale { dominated } | Merged::Taken { dominated, .. } => dominated,
        };
        let overrides = |dot| incoming.overrides(&id, dot);
        incoming.conflicts += self.change_register(&at, merge, overrides)?;
        Ok(())
    }

    /// Changes one register, which tells what is gone from it, and records who lost. Returns how many records it wrote.
    pub(super) fn change_register<T>(
        &mut self,
        at: &At<'_>,
        change: impl FnOnce(&mut Register<T>) -> Vec<Version<T>>,
        overrides: impl Fn(Dot) -> bool,
    ) -> Result<usize>
    where
        Node: Registers<T>,
    {
        let (inode, id) = (at.inode, at.register);
        let mut node = self.edit(inode)?;
        let register = node.register_mut(id);
        let dominated = change(register);
        let winner = register.winner().map(|version| version.key);
        let shown = register
            .winner()
            .map(|version| Node::lost(id, &version.value));
        let beaten: Vec<(LwwKey, LostValue)> = register
            .losers()
            .map(|version| (version.key, Node::lost(id, &version.value)))
            .collect();
        self.state.set_node(inode, node)?;
        let mut written = 0;
        for version in dominated {
            self.supersede(inode, id, version.dot())?;
            if overrides(version.dot()) {
                let value = Node::lost(id, &version.value);
                written += self.record_loser(at, version.key, winner, value, true)?;
            }
        }
        for (key, value) in beaten {
            // The winner may be another one than before, so that what agreed with it may have lost now, and the reverse.
            let agrees = shown.as_ref().is_some_and(|shown| value.agrees(shown));
            written += self.record_loser(at, key, winner, value, agrees)?;
        }
        Ok(written)
    }

    /// Losers that the entry's author had on record and superseded: on record here too, even where the comparison
    /// that they lost never happens.
    fn merge_overrides(&mut self, incoming: &mut Incoming<'_>) -> Result<()> {
        let entry = incoming.entry;
        for version in &entry.overrides {
            let loser = Dot::new(version.actor, entry.shard_id, version.seq);
            let id = ConflictId::new(
                ConflictKind::Register,
                entry.inode,
                &version.register,
                loser,
            );
            if let Some(mut known) = self.state.conflict(id)? {
                known.superseded = true;
                self.state.set_conflict(&known)?;
                continue;
            }
            // Its stamp is not told; zero sorts it before everything.
            let key = LwwKey::new(0, loser);
            let register = version.register.clone();
            let winner = Some(entry.key_of(&register));
            let at = At {
                inode: entry.inode,
                register: &register,
                now_us: incoming.now_us,
            };
            incoming.conflicts += self.record_loser(&at, key, winner, LostValue::Unknown, true)?;
        }
        Ok(())
    }

    /// Returns how many records it wrote.
    fn record_loser(
        &mut self,
        at: &At<'_>,
        loser: LwwKey,
        winner: Option<LwwKey>,
        lost: LostValue,
        superseded: bool,
    ) -> Result<usize> {
        let (inode, register) = (at.inode, at.register);
        if *register == RegisterId::Content {
            // It counts no longer, so nothing waits for its bytes; this record says from here on that it lost.
            self.end_lost(inode, loser.dot())?;
        }
        let id = ConflictId::new(ConflictKind::Register, inode, register, loser.dot());
        let known = self.state.conflict(id)?;
        let written = usize::from(known.is_none());
        let record = match known {
            Some(known) => ConflictRecord {
                // What saw the loser did not win against it: it settled the matter, and may come much later.
                winner: if superseded {
                    known.winner.or(winner)
                } else {
                    winner.max(known.winner)
                },
                superseded,
                lost: if known.lost == LostValue::Unknown {
                    lost
                } else {
                    known.lost.clone()
                },
                loser: known.loser.max(loser),
                ..known
            },
            None => ConflictRecord {
                id,
                kind: ConflictKind::Register,
                inode,
                register: register.clone(),
                loser,
                winner,
                detected_at_us: at.now_us,
                lost,
                superseded,
            },
        };
        self.state.set_conflict(&record)?;
        Ok(written)
    }

    /// A version that had seen the loser took its place: the record stays, and counts no longer.
    fn supersede(&mut self, inode: u64, register: &RegisterId, loser: Dot) -> Result<()> {
        if *register == RegisterId::Content {
            self.end_lost(inode, loser)?;
        }
        let id = ConflictId::new(ConflictKind::Register, inode, register, loser);
        if let Some(mut record) = self.state.conflict(id)?
            && !record.superseded
        {
            record.superseded = true;
            self.state.set_conflict(&record)?;
        }
        Ok(())
    }

    fn merge_control(&mut self, incoming: &Incoming<'_>, change: &Change) -> Result<()> {
        if let Change::Member {
            site_id,
            name,
            incarnation,
            state,
            ..
        } = change
        {
            let actor = Actor::new(*site_id, *incarnation);
            let founder = *state == MemberState::Active && actor == incoming.entry.actor();
            let record = MemberRecord {
                name: name.clone(),
                state: *state,
                key: incoming.key,
                founder,
            };
            return self.merge_member(actor, record);
        }
        if let Change::Horizon(said) = change {
            return self.merge_horizon(incoming.entry, said);
        }
        let Change::ConflictAck {
            conflict_id,
            acked,
            note,
            by,
        } = change
        else {
            return Ok(());
        };
        let id = ConflictId(*conflict_id);
        let ack = Ack {
            at_us: incoming.entry.hlc_us,
            by: by.clone(),
            note: note.clone(),
            key: incoming.key,
            acked: *acked,
        };
        self.merge_ack(id, &ack)
    }
}

impl<S: State> Core<S> {
    /// The last word about a conflict counts.
    pub(super) fn merge_ack(&mut self, id: ConflictId, ack: &Ack) -> Result<()> {
        if self.state.ack(id)?.is_none_or(|known| known.key < ack.key) {
            self.state.set_ack(id, ack)?;
        }
        Ok(())
    }

    /// Entries of a stream come in order, so the last one that comes is the last word.
    fn merge_horizon(&mut self, entry: &JournalEntry, said: &Horizon) -> Result<()> {
        let (actor, hlc_us) = (entry.actor(), entry.hlc_us);
        let known = self.state.horizon(actor)?;
        if known.is_some_and(|(known_us, _)| known_us >= hlc_us) {
            return Ok(());
        }
        self.state.set_horizon(actor, hlc_us, said)
    }

    pub(super) fn merge_member(&mut self, actor: Actor, record: MemberRecord) -> Result<()> {
        let known = self.state.member(actor)?;
        let merged = match &known {
            Some(known) => known.clone().merged(record),
            None => record,
        };
        if known.as_ref() == Some(&merged) {
            return Ok(());
        }
        self.state.set_member(actor, &merged)
    }
}

impl Incoming<'_> {
    fn overrides(&self, register: &RegisterId, dot: Dot) -> bool {
        let listed = |v: &crate::journal::RegisterDot| {
            v.register == *register && v.actor == dot.actor && v.seq == dot.seq
        };
        self.entry.overrides.iter().any(listed)
    }
}

/// The registers of one type of value in a node.
pub(super) trait Registers<T> {
    /// The register `id`, made when it is first written.
    fn register_mut(&mut self, id: &RegisterId) -> &mut Register<T>;
    /// What is kept of a value that lost.
    fn lost(id: &RegisterId, value: &T) -> LostValue;
}

mod registers;

#[cfg(test)]
mod tests;
