//! Pure: takes over what another site knows, register by register; whatever is known here stays.
//!
//! This is how a site comes to entries that nobody sends any more: those that were trimmed from a journal, and those of a
//! journal that was shut out. A register is a set of versions with what their authors had seen, so two of them become
//! one as if every entry behind them had come by itself, in any order and as often as you like. Afterwards the cursors
//! of the other site hold here too, where they are further; that is for the caller to set, when everything is taken.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::conflict::{Ack, ConflictId, ConflictKind, ConflictRecord, LostValue};
use super::core::Core;
use super::member::MemberRecord;
use super::merge::{At, Registers};
use super::node::{DirMove, DirState, Node};
use super::register::Register;
use super::state::State;
use crate::clock::TimestampUs;
use crate::error::Result;
use crate::journal::dot::{Actor, LwwKey, ROOT_INODE, shard_of};
use crate::journal::entry::RegisterId;
use crate::journal::op::Place;
use crate::journal::verdict::Reached;

/// One thing that a site knows, as another one takes it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// An inode. What is derived in it, and what its site has applied, is not looked at.
    Node {
        /// Its number.
        inode: u64,
        /// Its registers.
        node: Box<Node>,
    },
    /// A move in the directory log.
    Move {
        /// When, and by whom.
        key: LwwKey,
        /// The directory.
        inode: u64,
        /// Where it was to go.
        to: Place,
        /// It would have put the directory into itself: what tells why is let go.
        settled: bool,
    },
    /// A conflict.
    Conflict(Box<ConflictRecord>),
    /// An acknowledgement.
    Ack {
        /// Of which conflict.
        id: ConflictId,
        /// Who, when and why.
        ack: Ack,
    },
    /// A journal's part in the cluster.
    Member {
        /// The journal.
        actor: Actor,
        /// Its part.
        record: MemberRecord,
    },
}

/// A snapshot of another site that is being taken over, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Takeover {
    /// The journal of that site.
    pub source: Actor,
    /// Its number there.
    pub no: u64,
    /// How far that site had merged each journal.
    pub reach: Vec<Reached>,
    /// Key of the last item that is taken.
    pub after: Bytes,
    /// How many are taken.
    pub items: u64,
    /// Where they are put aside.
    pub place: u64,
    /// All are taken; those that are left there are to be merged.
    pub is_whole: bool,
    /// Nothing had been received of any site when it was begun: nothing is shown before it is merged or given up.
    pub is_base: bool,
}

impl<S: State> Core<S> {
    /// Takes over what another site knows.
    ///
    /// # Errors
    /// When the store fails; it can be taken again.
    pub fn level(&mut self, known: Known, now_us: TimestampUs) -> Result<()> {
        match known {
            Known::Node { inode, node } if self.forgot_node(inode, &node)? => Ok(()),
            Known::Node { inode, node } => self.level_node(inode, *node, now_us),
            Known::Move { key, .. } if self.forgot_move(key)? => Ok(()),
            Known::Move {
                key,
                inode,
                to,
                settled,
            } => {
                self.clock.observe(key.timestamp_us);
                self.written_us = self.written_us.max(key.timestamp_us);
                if settled {
                    return self.dir_not_moved(inode, key, to);
                }
                self.dir_moved(inode, key, &to)
            }
            Known::Conflict(record) => self.level_conflict(*record),
            Known::Ack { id, ack } => self.merge_ack(id, &ack),
            Known::Member { actor, record } => self.merge_member(actor, record),
        }
    }

    fn level_node(&mut self, inode: u64, theirs: Node, now_us: TimestampUs) -> Result<()> {
        const fn at(inode: u64, register: &RegisterId, now_us: TimestampUs) -> At<'_> {
            At {
                inode,
                register,
                now_us,
            }
        }
        self.clock.observe(theirs.hlc_max_us);
        self.written_us = self.written_us.max(theirs.hlc_max_us);
        let places = theirs.links.values().flat_map(Register::versions);
        for version in places {
            self.note_placed(version.value.place.parent)?;
        }
        // What it is decides whether its links are shown at all.
        let before = self.load(inode)?.shown_links();
        self.note_known(inode, &theirs)?;
        self.join(&at(inode, &RegisterId::Content, now_us), theirs.content)?;
        self.join(&at(inode, &RegisterId::Mode, now_us), theirs.mode)?;
        self.join(&at(inode, &RegisterId::Owner, now_us), theirs.owner)?;
        self.join(&at(inode, &RegisterId::Times, now_us), theirs.times)?;
        self.join(&at(inode, &RegisterId::Flags, now_us), theirs.flags)?;
        for (name, register) in theirs.xattrs {
            let id = RegisterId::Xattr(name);
            self.join(&at(inode, &id, now_us), register)?;
        }
        for (link, register) in theirs.links {
            let id = RegisterId::LinkPlace(link);
            self.join(&at(inode, &id, now_us), register)?;
        }
        let after = self.load(inode)?.shown_links();
        self.move_links(inode, &before, &after)?;
        if let Some(dir) = theirs.dir.filter(|_| inode != ROOT_INODE) {
            self.level_dir(inode, dir, now_us)?;
        }
        self.touch(inode)
    }

    /// Adds a move to the log that is skipped for good.
    fn dir_not_moved(&mut self, inode: u64, key: LwwKey, to: Place) -> Result<()> {
        if self.state.dir_move(key)?.is_some() {
            return Ok(());
        }
        let skipped = DirMove {
            inode,
            to,
            skipped: true,
            before: None,
            settled: true,
        };
        self.state.set_dir_move(key, &skipped)?;
        self.touch(inode)
    }

    /// Whether all of it was known here, and was let go.
    fn forgot_node(&self, inode: u64, theirs: &Node) -> Result<bool> {
        if self.state.node(inode)?.is_some() {
            return Ok(false);
        }
        let mut is_written = false;
        for dot in theirs.dots() {
            is_written = true;
            if dot.seq > self.state.cursor(dot.actor, dot.stream)? {
                return Ok(false);
            }
        }
        Ok(is_written)
    }

    /// The same of a move.
    fn forgot_move(&self, key: LwwKey) -> Result<bool> {
        let is_merged = key.seq <= self.state.cursor(key.dot().actor, key.shard_id)?;
        Ok(is_merged && self.state.dir_move(key)?.is_none())
    }

    fn level_dir(&mut self, inode: u64, theirs: DirState, now_us: TimestampUs) -> Result<()> {
        if let Some((key, place)) = &theirs.birth {
            self.dir_born(inode, *key, place)?;
        }
        let at = At {
            inode,
            register: &RegisterId::DirPlace,
            now_us,
        };
        self.join(&at, theirs.register)?;
        match theirs.live {
            Some((key, live)) => self.set_dir_live(inode, key, live),
            None => Ok(()),
        }
    }

    fn join<T>(&mut self, at: &At<'_>, theirs: Register<T>) -> Result<()>
    where
        Node: Registers<T>,
    {
        if theirs.is_empty() {
            return Ok(());
        }
        self.change_register(at, |ours| ours.join(theirs), |_| false)?;
        Ok(())
    }

    /// Notes what a node is, its stamps, and which of its versions are foreign and not applied here: whoever writes to
    /// the inode before they are has not seen them, nor what they replaced.
    fn note_known(&mut self, inode: u64, theirs: &Node) -> Result<()> {
        let mut node = self.edit(inode)?;
        node.learn(theirs.kind, theirs.target.clone());
        node.stamp_max_us = node.stamp_max_us.max(theirs.stamp_max_us);
        node.hlc_max_us = node.hlc_max_us.max(theirs.hlc_max_us);
        let stream = shard_of(inode);
        let mut ahead = BTreeSet::new();
        for dot in theirs.dots() {
            if dot.actor != self.local && dot.seq > self.state.cursor(dot.actor, stream)? {
                ahead.insert(dot.actor);
            }
        }
        for actor in ahead {
            let cursor = self.state.cursor(actor, stream)?;
            node.note_unapplied(actor, cursor.saturating_add(1));
        }
        self.state.set_node(inode, node)
    }

    fn level_conflict(&mut self, mut record: ConflictRecord) -> Result<()> {
        if record.loser.seq == 0 {
            // Bytes that were written late at that site: its own matter.
            return Ok(());
        }
        if let Some(mut known) = self.state.conflict(record.id)? {
            // What it is was decided here by the registers.
            if known.lost == LostValue::Unknown && record.lost != LostValue::Unknown {
                known.lost = record.lost;
                self.state.set_conflict(&known)?;
            }
            return Ok(());
        }
        match record.kind {
            ConflictKind::Register => record.superseded |= !self.is_beaten(&record)?,
            ConflictKind::ContentLost => {}
            ConflictKind::WriteUnlink
            | ConflictKind::NameClash
            | ConflictKind::RmdirCreate
            | ConflictKind::MoveCycle
            | ConflictKind::SuidDropped
            | ConflictKind::Merged => {
                if !record.superseded {
                    let mut derived = self.state.derived_of(record.inode)?;
                    derived.insert(record.id);
                    self.state.set_derived_of(record.inode, &derived)?;
                    // It was one when that site looked.
                    let order = self.load(record.inode)?.hlc_max_us;
                    self.state.set_suspect(record.inode, Some(order))?;
                }
            }
        }
        self.state.set_conflict(&record)
    }

    /// Whether the loser of a record is still one of the versions of its register.
    fn is_beaten(&self, record: &ConflictRecord) -> Result<bool> {
        let node = self.load(record.inode)?;
        let loser = record.loser.dot();
        Ok(node.dots_of(&record.register).contains(&loser))
    }
}

#[cfg(test)]
mod tests;
