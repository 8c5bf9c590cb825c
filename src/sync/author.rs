//! Pure: makes entries of local operations: stamp, context, what each replaced, and what it touches.
//!
//! The touch rule: a state that is only derived (a clash loser's altered name, a removed directory kept for what is in
//! it, a resurrected link) becomes explicit, in the same transaction, as soon as a local operation touches it. Else a
//! later merge would undo under the user's hands what the user saw. It is judged by the applied view, the one the
//! user saw; so is the context: a version that is merged but not on this site's disk was not seen.

use super::core::Core;
use super::node::Node;
use super::port::{DeviceImage, LocalOp, LocalTxn};
use super::register::{Register, Version};
use super::registers::registers_of;
use super::state::State;
use crate::clock::TimestampUs;
use crate::error::{ReplError, Result};
use crate::journal::codec::{decode_change, encode_change};
use crate::journal::dot::{Actor, CONTROL_STREAM, Dot, LwwKey, ROOT_INODE, Seen, shard_of};
use crate::journal::entry::{JournalEntry, RegisterDot, RegisterId, Txn};
use crate::journal::op::{Change, OpKind};

mod shown;
mod touch;

/// Entries of one operation, as the journal takes them: all or none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authored {
    /// The entries; more than one are a transaction.
    pub entries: Vec<JournalEntry>,
    /// For each the context vector of its stream, without its exceptions and its own actor.
    pub seen: Vec<Seen>,
    /// For each what the file looked like on the device.
    pub devices: Vec<Option<DeviceImage>>,
}

impl<S: State> Core<S> {
    /// Makes entries of a local operation and merges them. The caller makes them durable before anyone hears of
    /// them; if it cannot, it drops this state and opens it again from the logs.
    ///
    /// # Errors
    /// When an operation does not fit the state, or the store fails. The state is then not to be used further.
    pub fn author(&mut self, txn: &LocalTxn, now_us: TimestampUs) -> Result<Authored> {
        let mut authored = Authored::default();
        for op in &txn.ops {
            if op.inode == ROOT_INODE && !matches!(op.change, Change::SetAttr { .. }) {
                return Err(ReplError::serialization(
                    "local operation",
                    "the root directory is neither moved nor removed",
                ));
            }
            // One after the other: what an operation touches depends on what those before it have made explicit.
            for part in self.expand(op)? {
                let (entry, seen) = self.author_one(&part, now_us)?;
                self.show_local(&part, &entry)?;
                authored.entries.push(entry);
                authored.seen.push(seen);
                authored.devices.push(part.device);
            }
        }
        let id = self.next_txn;
        self.next_txn += 1;
        let parts = u32::try_from(authored.entries.len()).unwrap_or(u32::MAX);
        if parts > 1 {
            for (part, entry) in (0..parts).zip(&mut authored.entries) {
                entry.txn = Some(Txn { id, parts, part });
            }
        }
        Ok(authored)
    }

    /// Makes an entry of the control stream and merges it.
    ///
    /// # Errors
    /// When the change is not a control operation, or the store fails.
    pub fn author_control(&mut self, change: Change, now_us: TimestampUs) -> Result<Authored> {
        if !change.kind().is_control() {
            return Err(ReplError::serialization(
                "control entry",
                "is a filesystem operation",
            ));
        }
        let op = LocalOp {
            inode: 0,
            link: 0,
            change,
            back_date_us: None,
            device: None,
        };
        let (entry, seen) = self.author_one(&op, now_us)?;
        Ok(Authored {
            entries: vec![entry],
            seen: vec![seen],
            devices: vec![None],
        })
    }

    /// Takes an entry of this site's own journal in again after a restart: what [`Core::author`] did to the state.
    ///
    /// # Errors
    /// When the payload does not decode or the store fails.
    pub fn replay_own(
        &mut self,
        entry: &JournalEntry,
        seen: &Seen,
        now_us: TimestampUs,
    ) -> Result<()> {
        self.merge_entry(entry, seen, now_us)?;
        let cursor = self.state.cursor(self.local, entry.shard_id)?;
        self.state
            .set_cursor(self.local, entry.shard_id, cursor.max(entry.seq))?;
        self.next_txn = self.next_txn.max(entry.txn.map_or(0, |txn| txn.id) + 1);
        if entry.op.is_control() {
            return Ok(());
        }
        let change = decode_change(entry)?;
        let (inode, link) = (entry.inode, entry.link);
        let op = LocalOp {
            inode,
            link,
            change,
            back_date_us: None,
            device: None,
        };
        self.show_local(&op, entry)
    }

    fn author_one(&mut self, op: &LocalOp, now_us: TimestampUs) -> Result<(JournalEntry, Seen)> {
        let kind = op.change.kind();
        let shard = if kind.is_control() {
            CONTROL_STREAM
        } else {
            shard_of(op.inode)
        };
        let seq = self.state.cursor(self.local, shard)? + 1;
        let hlc_us = self.clock.tick(now_us);
        let node = self.load(op.inode)?;
        let mut timestamp_us = stamp(op, kind, &node, hlc_us);
        if !self.rules.causal_stamps {
            timestamp_us = now_us;
        } else if !self.rules.places_are_now {
            timestamp_us = op.back_date_us.unwrap_or(hlc_us).min(hlc_us);
        }
        let mut vector = self.state.cursors(shard)?;
        vector.set(self.local, 0);
        let seen_except = self.exceptions(&node, &vector);
        let mut seen = vector.clone();
        for (actor, seq) in &seen_except {
            seen.set(*actor, *seq);
        }
        seen.set(self.local, seq - 1);
        let payload = encode_change(&op.change).to_vec();
        let site_id = self.local.site_id;
        let mut entry =
            JournalEntry::new(seq, shard, site_id, timestamp_us, op.inode, kind, payload);
        entry.incarnation = self.local.incarnation;
        entry.hlc_us = hlc_us;
        entry.link = op.link;
        entry.merge_gen = node.merge_gen;
        entry.seen_except = seen_except;
        for register in registers_of(&op.change, op.link) {
            self.replaced(op.inode, &node, register, &seen, &mut entry)?;
        }
        self.merge_entry(&entry, &seen, now_us)?;
        self.state.set_cursor(self.local, shard, seq)?;
        Ok((entry, vector))
    }

    /// How far actors with unapplied versions of the inode may be claimed as seen.
    fn exceptions(&self, node: &Node, vector: &Seen) -> Vec<(Actor, u64)> {
        if !self.rules.seen_exceptions {
            return Vec::new();
        }
        let bounds = node.seen_bounds().into_iter();
        bounds
            .filter(|(actor, bound)| vector.get(*actor) > *bound)
            .collect()
    }

    /// Fills in what the entry replaces in one register, and which losers it supersedes there.
    fn replaced(
        &self,
        inode: u64,
        node: &Node,
        register: RegisterId,
        seen: &Seen,
        entry: &mut JournalEntry,
    ) -> Result<()> {
        let mut known: Vec<LwwKey> = versions(node, &register);
        known.retain(|key| seen.has(key.dot()));
        known.sort_unstable();
        let version = |dot: Dot, register: &RegisterId| RegisterDot {
            register: register.clone(),
            actor: dot.actor,
            seq: dot.seq,
        };
        // The times shown may be those of the bytes, so only the register tells which of its own versions shows.
        let shown = if register == RegisterId::Times {
            None
        } else {
            self.shown_dot(inode, &register)?
        };
        // A version on the disk may be gone from the register, replaced by one that is not on the disk; what is left
        // of the register are then losers.
        let on_disk = shown.or_else(|| known.last().map(LwwKey::dot));
        known.retain(|key| Some(key.dot()) != on_disk);
        entry
            .prev
            .extend(on_disk.map(|dot| version(dot, &register)));
        if self.rules.overrides {
            entry
                .overrides
                .extend(known.iter().map(|key| version(key.dot(), &register)));
        }
        Ok(())
    }
}

/// The stamp: the clock, or for content and attributes found after downtime the time of the change, as far as
/// causality allows. Places are never back-dated: a name that came back with an old stamp would undo newer ones.
fn stamp(op: &LocalOp, kind: OpKind, node: &Node, hlc_us: u64) -> u64 {
    let datable = match kind {
        OpKind::Write
        | OpKind::Truncate
        | OpKind::SetAttr
        | OpKind::SetXattr
        | OpKind::RemoveXattr => true,
        OpKind::Create
        | OpKind::Unlink
        | OpKind::Rename
        | OpKind::Link
        | OpKind::Symlink
        | OpKind::MkDir
        | OpKind::Noop
        | OpKind::ConflictAck
        | OpKind::Member
        | OpKind::ResumePoint
        | OpKind::Horizon => false,
    };
    match op.back_date_us {
        Some(at) if datable => at.max(node.stamp_max_us.saturating_add(1)).min(hlc_us),
        Some(_) | None => hlc_us,
    }
}

fn versions(node: &Node, register: &RegisterId) -> Vec<LwwKey> {
    fn keys<T>(register: Option<&Register<T>>) -> Vec<LwwKey> {
        let versions = register.map_or(&[][..], Register::versions);
        versions
            .iter()
            .map(|version: &Version<T>| version.key)
            .collect()
    }
    match register {
        RegisterId::Content => keys(Some(&node.content)),
        RegisterId::Mode => keys(Some(&node.mode)),
        RegisterId::Owner => keys(Some(&node.owner)),
        RegisterId::Times => keys(Some(&node.times)),
        RegisterId::Flags => keys(Some(&node.flags)),
        RegisterId::Xattr(name) => keys(node.xattrs.get(name)),
        RegisterId::LinkPlace(link) => keys(node.links.get(link)),
        RegisterId::DirPlace => keys(node.dir.as_ref().map(|dir| &dir.register)),
    }
}
