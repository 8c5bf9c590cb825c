//! Pure: lets go of what is only remembered so that nobody's older write brings it back: removed files, directories, names
//! and attributes, and old moves in the log of directories.
//!
//! A removal is to be remembered as long as an entry may come whose author did not know of it. When that has ended is
//! told by the streams themselves: every site says in its own, from time to time, up to where its tree shows what the
//! others wrote. Whatever it writes behind that has seen it; and when all of its streams are here up to there, what it
//! wrote before is here as well. This is causal stability (Baquero, Almeida and Shoker, "Pure Operation-Based Replicated
//! Data Types", 2017), of everything up to a stamp instead of each entry. It has to be said in the streams: a site that
//! acknowledges beside them may have written something before which is still on its way.

use std::collections::{BTreeMap, BTreeSet};

use super::conflict::{ConflictId, ConflictRecord};
use super::core::Core;
use super::derived::is_merged;
use super::namespace::DEPTH_MAX;
use super::node::{Child, DirMove, DirState, Node, is_shown};
use super::port::NodeKind;
use super::register::{Register, Version};
use super::state::State;
use crate::error::Result;
use crate::journal::dot::{Actor, LwwKey, ROOT_INODE, STREAM_COUNT, shard_of};
use crate::journal::op::{HORIZON_JOURNALS_MAX, Horizon, Place};

/// Up to where things are let go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cut {
    /// No entry comes any more whose author had not seen what is stamped up to here.
    pub stable_us: u64,
    /// When this site began to note when directories changed.
    pub since_us: u64,
    /// Inodes of which people are still told, and the directories above them.
    pub kept: BTreeSet<u64>,
}

/// What a piece of a walk did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked<T> {
    /// Where it goes on. None: that was all.
    pub next: Option<T>,
    /// What was let go.
    pub freed: u64,
}

impl<S: State> Core<S> {
    /// What this site may say of itself when its tree shows everything up to `through_us` of the journals `live`, and all
    /// that came of those that are `out`. None: there are too many of them.
    ///
    /// # Errors
    /// When the store fails.
    pub fn horizon(
        &self,
        through_us: u64,
        live: &BTreeSet<Actor>,
        out: &BTreeSet<Actor>,
    ) -> Result<Option<Horizon>> {
        if live.len() + out.len() > HORIZON_JOURNALS_MAX {
            return Ok(None);
        }
        let ended = out
            .iter()
            .map(|actor| Ok((*actor, self.digest_of(*actor)?)));
        Ok(Some(Horizon {
            through_us,
            live: live.iter().copied().collect(),
            ended: ended.collect::<Result<_>>()?,
        }))
    }

    /// Up to where no entry comes any more whose author had not seen everything before. `live` are the journals of others
    /// that go on, with their marks: up to where all their streams are here; `out` are those that ended. None: somebody
    /// did not say so far.
    ///
    /// # Errors
    /// When the store fails.
    pub fn stable_us(
        &self,
        live: &BTreeMap<Actor, u64>,
        out: &BTreeSet<Actor>,
    ) -> Result<Option<u64>> {
        let digests = out
            .iter()
            .map(|actor| Ok((*actor, self.digest_of(*actor)?)));
        let digests = digests.collect::<Result<BTreeMap<Actor, u64>>>()?;
        let (mut asked, mut stable_us) = (BTreeSet::new(), u64::MAX);
        let mut named = Vec::new();
        let mut open: Vec<Actor> = live.keys().copied().chain([self.local]).collect();
        while let Some(actor) = open.pop() {
            if !asked.insert(actor) {
                continue;
            }
            let Some((hlc_us, said)) = self.state.horizon(actor)? else {
                return Ok(None);
            };
            let mark_us = live.get(&actor).copied().unwrap_or(0);
            if out.contains(&actor) || actor != self.local && mark_us < hlc_us {
                return Ok(None);
            }
            // How far it has what ended: all of it that there is, if nobody has more.
            let ended: BTreeMap<Actor, u64> = said.ended.iter().copied().collect();
            let told = |actor: &Actor| ended.get(actor).copied().unwrap_or(0);
            let is_level = digests.iter().all(|(actor, ours)| told(actor) == *ours);
            if !is_level || !ended.keys().all(|actor| out.contains(actor)) {
                return Ok(None);
            }
            stable_us = stable_us.min(said.through_us);
            // Somebody may have come of whom only this one knows.
            open.extend(&said.live);
            named.push((actor, said.live));
        }
        // And whoever did not know somebody said nothing of what that one wrote.
        let knows_all = |(by, live): &(Actor, Vec<Actor>)| {
            let live: BTreeSet<Actor> = live.iter().copied().collect();
            let mut others = asked.iter().filter(|actor| *actor != by);
            others.all(|actor| live.contains(actor))
        };
        Ok(named.iter().all(knows_all).then_some(stable_us))
    }

    /// Says briefly how far each stream of a journal is merged: zero where nothing of it is.
    fn digest_of(&self, actor: Actor) -> Result<u64> {
        let mut hasher = blake3::Hasher::new();
        let mut is_empty = true;
        for stream in 0..STREAM_COUNT {
            let seq = self.state.cursor(actor, stream)?;
            if seq > 0 {
                is_empty = false;
                hasher.update(&stream.to_be_bytes());
                hasher.update(&seq.to_be_bytes());
            }
        }
        let hash = hasher.finalize();
        let first = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        Ok(if is_empty {
            0
        } else {
            u64::from_be_bytes(first)
        })
    }

    /// Adds to `kept` the inodes of conflicts that are not settled, and the directories above them, of the next `limit`
    /// conflicts.
    ///
    /// # Errors
    /// When the store fails.
    pub fn keep_above(
        &self,
        from: ConflictId,
        limit: usize,
        kept: &mut BTreeSet<u64>,
    ) -> Result<Option<ConflictId>> {
        let records = self.state.conflicts_from(from, limit + 1)?;
        for record in records.iter().take(limit).filter(|one| !one.superseded) {
            self.keep_above_one(record, kept)?;
        }
        Ok(records.get(limit).map(|record| record.id))
    }

    fn keep_above_one(&self, record: &ConflictRecord, kept: &mut BTreeSet<u64>) -> Result<()> {
        let mut at = record.inode;
        kept.insert(at);
        for _ in 0..DEPTH_MAX {
            let Some(place) = self.load(at)?.last_place() else {
                return Ok(());
            };
            at = place.parent;
            if at == ROOT_INODE || !kept.insert(at) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lets go of what is removed among the next `limit` inodes behind `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn reclaim_nodes(&mut self, cut: &Cut, after: u64, limit: usize) -> Result<Walked<u64>> {
        let nodes = self.state.nodes_after(after, limit)?;
        let mut walked = Walked {
            next: nodes.last().map(|(inode, _)| *inode),
            freed: 0,
        };
        if nodes.len() < limit {
            walked.next = None;
        }
        for (inode, node) in nodes {
            if inode == ROOT_INODE || !has_removed(&node) || !self.is_at_rest(inode, &node)? {
                continue;
            }
            if self.state.node(inode)?.is_none() {
                // It went with what stood in it.
                continue;
            }
            if self.is_dead(inode, &node, cut)? {
                walked.freed += self.forget_upwards(inode, node, cut)?;
            } else {
                walked.freed += self.forget_parts(inode, node, cut)?;
            }
        }
        Ok(walked)
    }

    /// Lets go of old moves among the next `limit` behind `after`: nothing is undone any more that was done before them.
    /// Where each directory stood then is as if it had been created there, for those who never had the moves; each call
    /// leaves what they may begin with. To be called before the inodes go that tell why a move was skipped.
    ///
    /// # Errors
    /// When the store fails.
    pub fn reclaim_moves(
        &mut self,
        cut: &Cut,
        after: LwwKey,
        limit: usize,
    ) -> Result<Walked<LwwKey>> {
        let moves = (self.state).dir_moves_through(after, cut.stable_us, limit)?;
        let mut walked = Walked {
            next: moves.last().map(|(key, _)| *key),
            freed: 0,
        };
        if moves.len() < limit {
            walked.next = None;
        }
        let Some((last, _)) = moves.last() else {
            return Ok(walked);
        };
        let later = self.state.dir_moves_after(*last)?;
        let mut before = BTreeMap::new();
        for (_, later) in later.iter().rev() {
            before.insert(later.inode, later.before.clone());
        }
        for (key, moved) in moves {
            let node = self.load(moved.inode)?;
            let dir = node.dir.as_ref();
            let last = dir.and_then(|dir| dir.register.winner());
            // Of one that was skipped, and is still the last word, a conflict tells.
            if moved.skipped && last.is_some_and(|last| last.key == key) {
                if !moved.settled {
                    let settled = true;
                    let moved = DirMove { settled, ..moved };
                    self.state.set_dir_move(key, &moved)?;
                }
                continue;
            }
            let then = before.get(&moved.inode).cloned();
            let then = then.unwrap_or_else(|| node.current_place());
            if let Some(dir) = dir {
                // What was let go itself, or hangs in the air, has no place.
                let Some(place) = then else { continue };
                self.stood(moved.inode, dir, key, place)?;
            }
            self.state.remove_dir_move(key)?;
            walked.freed += 1;
        }
        Ok(walked)
    }

    /// A directory is from here on as if it had been created where it stood at `key`.
    fn stood(&mut self, inode: u64, dir: &DirState, key: LwwKey, place: Place) -> Result<()> {
        let born = dir.birth.as_ref().map(|(key, _)| *key);
        let birth = Some((born.unwrap_or(key).max(key), place));
        if dir.birth == birth {
            return Ok(());
        }
        let mut node = self.edit(inode)?;
        node.dir_mut().birth = birth;
        self.state.set_node(inode, node)
    }

    /// Whether nothing is shown of an inode, and this site promised to write nothing more to it once everything up to
    /// `through_us` was on its tree: what comes back of it is new.
    ///
    /// # Errors
    /// When the store fails.
    pub fn is_gone(&self, inode: u64, through_us: u64) -> Result<bool> {
        if inode == ROOT_INODE || self.state.applied(inode)?.is_some() {
            return Ok(false);
        }
        let Some(node) = self.state.node(inode)? else {
            return Ok(false);
        };
        Ok(!is_shown(&node) && node.newest_us() <= through_us)
    }

    /// Nothing of it is to be done, or told.
    fn is_at_rest(&self, inode: u64, node: &Node) -> Result<bool> {
        Ok(node.unapplied.is_empty()
            && !self.state.is_dirty(inode)?
            && !self.state.is_suspect(inode)?
            && self.state.parked(inode)?.is_none()
            && self.state.derived_of(inode)?.is_empty())
    }

    /// Removed as a whole, and known to be by everybody.
    fn is_dead(&self, inode: u64, node: &Node, cut: &Cut) -> Result<bool> {
        if is_shown(node)
            || cut.kept.contains(&inode)
            || node.newest_us() > cut.stable_us
            || self.state.applied(inode)?.is_some()
            || !self.is_calm(inode, node)?
        {
            return Ok(false);
        }
        match (node.kind, &node.dir) {
            (Some(NodeKind::File | NodeKind::Symlink), None) => Ok(!node.links.is_empty()),
            // Of what has no kind only a name in it was ever told: it was removed before.
            (Some(NodeKind::Dir) | None, Some(dir)) => {
                let is_known = dir.live.is_some() && node.links.is_empty();
                let is_left = !self.rules.children_waited
                    || dir.changed_us.max(cut.since_us) <= cut.stable_us;
                let is_removed = if node.kind.is_some() {
                    is_known
                } else {
                    node.is_blank()
                };
                Ok(is_removed && is_left && !self.state.has_children(inode)?)
            }
            (Some(_) | None, _) => Ok(false),
        }
    }

    /// No register of it holds versions that nobody has compared.
    fn is_calm(&self, inode: u64, node: &Node) -> Result<bool> {
        let stream = shard_of(inode);
        Ok(self.is_calm_register(stream, &node.content)?
            && self.is_calm_register(stream, &node.mode)?
            && self.is_calm_register(stream, &node.owner)?
            && self.is_calm_register(stream, &node.times)?
            && self.is_calm_register(stream, &node.flags)?
            && self.are_calm(stream, node.xattrs.values())?
            && self.are_calm(stream, node.links.values())?
            && self.are_calm(stream, node.dir.iter().map(|dir| &dir.register))?)
    }

    fn are_calm<'a, T: PartialEq + 'a>(
        &self,
        stream: u32,
        registers: impl IntoIterator<Item = &'a Register<T>>,
    ) -> Result<bool> {
        for register in registers {
            if !self.is_calm_register(stream, register)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All versions agree, and nothing that they do not know of can still come to be compared.
    fn is_calm_register<T: PartialEq>(&self, stream: u32, register: &Register<T>) -> Result<bool> {
        for (actor, seq) in register.gone().iter() {
            if self.state.cursor(actor, stream)? < seq {
                return Ok(false);
            }
        }
        let mut values = register.versions().iter().map(|version| &version.value);
        let first = values.next();
        Ok(values.all(|value| Some(value) == first))
    }

    /// Lets go of an inode, and of the directories above it that were waiting for that. Returns how many.
    fn forget_upwards(&mut self, inode: u64, node: Node, cut: &Cut) -> Result<u64> {
        let (mut at, mut node, mut freed) = (inode, node, 0);
        loop {
            self.forget(at, &node)?;
            freed += 1;
            let Some(place) = node.dir.and_then(|dir| dir.current) else {
                return Ok(freed);
            };
            at = place.parent;
            let Some(above) = self.state.node(at)? else {
                return Ok(freed);
            };
            node = Node::clone(&above);
            let is_next = at != ROOT_INODE
                && has_removed(&node)
                && self.is_at_rest(at, &node)?
                && self.is_dead(at, &node, cut)?;
            if !is_next {
                return Ok(freed);
            }
        }
    }

    fn forget(&mut self, inode: u64, node: &Node) -> Result<()> {
        if let Some(DirState {
            current: Some(place),
            ..
        }) = &node.dir
        {
            let child = Child {
                inode,
                link: inode,
                dir: true,
            };
            self.state
                .set_child(place.parent, &place.name, child, false)?;
        }
        self.state.set_device(inode, None)?;
        self.state.remove_node(inode)
    }

    /// Lets go of removed attributes and names of what is still there. Returns how many.
    fn forget_parts(&mut self, inode: u64, mut node: Node, cut: &Cut) -> Result<u64> {
        // A removed attribute may be one of two that were changed at once: of that is told as long as the file is there,
        // also if it only comes back.
        if is_merged(&node) {
            return Ok(0);
        }
        let stream = shard_of(inode);
        let before = node.xattrs.len() + node.links.len();
        let mut removed = Vec::new();
        for (name, register) in &node.xattrs {
            let is_removed = last_of(register, cut).is_some_and(|last| last.value.is_none());
            if is_removed && self.is_calm_register(stream, register)? {
                removed.push(name.clone());
            }
        }
        for name in removed {
            node.xattrs.remove(&name);
        }
        // The name that was removed last tells when a file went, so a living one has to be there.
        let winners = node.links.values().filter_map(Register::winner);
        if winners.into_iter().any(|winner| winner.value.live) {
            let mut removed = Vec::new();
            for (link, register) in &node.links {
                let is_removed = last_of(register, cut).is_some_and(|last| !last.value.live);
                if is_removed && self.is_calm_register(stream, register)? {
                    removed.push(*link);
                }
            }
            for link in removed {
                node.links.remove(&link);
            }
        }
        let freed = before - node.xattrs.len() - node.links.len();
        if freed > 0 {
            self.state.set_node(inode, node)?;
        }
        Ok(freed as u64)
    }
}

/// The version that is shown, if all are old enough.
fn last_of<'a, T>(register: &'a Register<T>, cut: &Cut) -> Option<&'a Version<T>> {
    let newest = |version: &Version<T>| version.hlc_us.max(version.key.timestamp_us);
    let mut versions = register.versions().iter();
    let are_old = versions.all(|version| newest(version) <= cut.stable_us);
    register.winner().filter(|_| are_old)
}

/// There is something in it that was removed.
fn has_removed(node: &Node) -> bool {
    let links = node.links.values().filter_map(Register::winner);
    let xattrs = node.xattrs.values().filter_map(Register::winner);
    let mut links = links.map(|last| !last.value.live);
    let mut xattrs = xattrs.map(|last| last.value.is_none());
    node.dir.as_ref().is_some_and(|dir| !dir.visible())
        || links.any(|is_removed| is_removed)
        || xattrs.any(|is_removed| is_removed)
}

#[cfg(test)]
mod tests;
