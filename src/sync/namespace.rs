//! Pure: where links and directories stand, kept up to date entry by entry.
//!
//! Directory places are a log of moves replayed in key order, with a move that would put a directory into itself
//! skipped (Kleppmann et al., "A highly-available move operation for replicated trees", IEEE TPDS 2021): a late move
//! undoes the later ones and does them again. Births need no log, for a new directory has no descendants. Derived
//! from it here, by exact sums: the child index and the number of visible children of every directory.
//!
//! Whoever changes a place or a visibility does it between two looks at the slots concerned, so that everything that
//! may be shown otherwise is marked; marking too much costs time, marking too little would lose a change.

use std::collections::{BTreeMap, BTreeSet};

use super::core::Core;
use super::node::{Child, DirMove, Node, ShownPlace};
use super::state::State;
use super::view::conflict_name_inode;
use crate::error::Result;
use crate::journal::dot::{LwwKey, ROOT_INODE};
use crate::journal::op::Place;

/// Deepest chain of directories that is followed; a deeper one counts as unknown. Linux paths end at 4096 bytes, so
/// at 2048 levels for whoever opens by path.
pub const DEPTH_MAX: usize = 16_384;

/// The slots concerned by a change, as they were before it.
#[derive(Debug)]
struct Looked {
    /// For each: whether its directory is shown, and the visible directories at the name.
    slots: BTreeMap<Place, (bool, Vec<u64>)>,
    /// Directories among them that the connector shows by themselves and that nothing has marked since: what is in
    /// them is shown as it should be, or marked by itself.
    settled: BTreeSet<u64>,
}

impl<S: State> Core<S> {
    /// Follows a change of what links of a file are shown.
    pub(super) fn move_links(
        &mut self,
        inode: u64,
        before: &BTreeMap<u64, ShownPlace>,
        after: &BTreeMap<u64, ShownPlace>,
    ) -> Result<()> {
        let links: BTreeSet<u64> = before.keys().chain(after.keys()).copied().collect();
        for link in links {
            let (old, new) = (before.get(&link), after.get(&link));
            if old == new {
                continue;
            }
            let (old, new) = (old.map(|shown| &shown.place), new.map(|shown| &shown.place));
            if old != new {
                let child = Child {
                    inode,
                    link,
                    dir: false,
                };
                if let Some(place) = new {
                    self.state
                        .set_child(place.parent, &place.name, child, true)?;
                    self.bump(place.parent, true)?;
                }
                if let Some(place) = old {
                    self.state
                        .set_child(place.parent, &place.name, child, false)?;
                    self.bump(place.parent, false)?;
                }
            }
            for place in old.into_iter().chain(new) {
                self.touch_slot(place)?;
            }
        }
        Ok(())
    }

    /// Takes note that the directory `inode` was born at `place`.
    pub(super) fn dir_born(&mut self, inode: u64, key: LwwKey, place: &Place) -> Result<()> {
        self.note_placed(place.parent)?;
        let mut node = self.edit(inode)?;
        if node.dir_mut().birth.is_some() {
            return Ok(());
        }
        node.dir_mut().birth = Some((key, place.clone()));
        let placed = node.dir_mut().current.is_some();
        self.state.set_node(inode, node)?;
        // Where it stands decides of later moves only if one of them led into it, or out of it.
        let at_it = |place: &Place| place.parent == inode;
        let leads_by =
            |moved: &DirMove| at_it(&moved.to) || moved.before.as_ref().is_some_and(at_it);
        let later = self.state.dir_moves_after(key)?;
        let passed = placed || later.iter().any(|(_, moved)| leads_by(moved));
        if !passed && !self.state.has_children(inode)? && place.parent != inode {
            return self.place_dirs(BTreeMap::from([(inode, Some(place.clone()))]));
        }
        self.replay_moves(key, None, Some((inode, place)))
    }

    /// Adds a move to the log.
    pub(super) fn dir_moved(&mut self, inode: u64, key: LwwKey, to: &Place) -> Result<()> {
        if self.state.dir_move(key)?.is_some() {
            return Ok(());
        }
        self.note_placed(to.parent)?;
        let dir_move = DirMove {
            inode,
            to: to.clone(),
            skipped: false,
            before: None,
            settled: false,
        };
        self.replay_moves(key, Some(dir_move), None)
    }

    /// Undoes all moves after `key`, adds a move or a birth there, and does them again.
    fn replay_moves(
        &mut self,
        key: LwwKey,
        added: Option<DirMove>,
        born: Option<(u64, &Place)>,
    ) -> Result<()> {
        let mut later = self.state.dir_moves_after(key)?;
        let mut places: BTreeMap<u64, Option<Place>> = BTreeMap::new();
        for (_, undone) in later.iter().rev().filter(|(_, undone)| !undone.skipped) {
            places.insert(undone.inode, undone.before.clone());
        }
        // A birth inside itself exists only in the entries of a broken peer; it stays without a place.
        if let Some((inode, place)) = born
            && self.place_in(&places, inode)?.is_none()
            && !self.is_inside(&places, place.parent, inode)?
        {
            places.insert(inode, Some(place.clone()));
        }
        if let Some(added) = added {
            later.insert(0, (key, added));
        }
        for (key, dir_move) in later {
            if dir_move.settled {
                continue;
            }
            let inside_itself =
                self.rules.cycles && self.is_inside(&places, dir_move.to.parent, dir_move.inode)?;
            let before = self.place_in(&places, dir_move.inode)?;
            let redone = DirMove {
                skipped: inside_itself,
                before,
                ..dir_move
            };
            if !redone.skipped {
                places.insert(redone.inode, Some(redone.to.clone()));
            }
            if self.state.dir_move(key)?.as_ref() != Some(&redone) {
                self.state.set_dir_move(key, &redone)?;
                self.touch(redone.inode)?;
            }
        }
        self.place_dirs(places)
    }

    /// Where a directory stands, with `places` laid over the state.
    fn place_in(&self, places: &BTreeMap<u64, Option<Place>>, inode: u64) -> Result<Option<Place>> {
        match places.get(&inode) {
            Some(place) => Ok(place.clone()),
            None => Ok(self.load(inode)?.current_place()),
        }
    }

    /// Whether `inode` is `directory` or stands above it.
    fn is_inside(
        &self,
        places: &BTreeMap<u64, Option<Place>>,
        directory: u64,
        inode: u64,
    ) -> Result<bool> {
        let mut at = directory;
        for _ in 0..DEPTH_MAX {
            if at == inode {
                return Ok(true);
            }
            match self.place_in(places, at)? {
                Some(place) if at != ROOT_INODE => at = place.parent,
                Some(_) | None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Puts directories where `places` says, all at once.
    fn place_dirs(&mut self, places: BTreeMap<u64, Option<Place>>) -> Result<()> {
        let mut changes = Vec::new();
        let mut slots = BTreeSet::new();
        for (inode, to) in places {
            let from = self.load(inode)?.current_place();
            if from != to {
                slots.extend(from.iter().chain(&to).cloned());
                changes.push((inode, to));
            }
        }
        let before = self.look(&slots)?;
        // Detached first: one by one, two directories that change places could stand inside each other.
        for (inode, _) in &changes {
            self.set_dir_place(*inode, None)?;
        }
        for (inode, to) in changes {
            self.set_dir_place(inode, to)?;
            self.touch(inode)?;
        }
        self.mark_differences(&before, &slots)
    }

    /// Sets whether a directory is live.
    pub(super) fn set_dir_live(&mut self, inode: u64, key: LwwKey, live: bool) -> Result<()> {
        let mut node = self.edit(inode)?;
        let dir = node.dir_mut();
        if dir.live.is_some_and(|(known, _)| known >= key) {
            return Ok(());
        }
        let (was_visible, place) = (dir.visible(), dir.current.clone());
        dir.live = Some((key, live));
        let visible = dir.visible();
        let slots = place.iter().cloned().collect();
        let before = self.look(&slots)?;
        self.state.set_node(inode, node)?;
        if let (Some(place), true) = (place, was_visible != visible) {
            self.bump(place.parent, visible)?;
        }
        self.touch(inode)?;
        self.mark_differences(&before, &slots)
    }

    fn set_dir_place(&mut self, inode: u64, to: Option<Place>) -> Result<()> {
        let mut node = self.edit(inode)?;
        let dir = node.dir_mut();
        let from = dir.current.take();
        dir.current.clone_from(&to);
        let visible = dir.visible();
        self.state.set_node(inode, node)?;
        let child = Child {
            inode,
            link: inode,
            dir: true,
        };
        for (place, present) in to
            .iter()
            .map(|p| (p, true))
            .chain(from.iter().map(|p| (p, false)))
        {
            self.state
                .set_child(place.parent, &place.name, child, present)?;
            self.note_placed(place.parent)?;
            if visible {
                self.bump(place.parent, present)?;
            }
        }
        Ok(())
    }

    /// Takes note that a place in a directory was written, whoever stands there. As long as somebody may not know of it,
    /// something may come back there.
    pub(super) fn note_placed(&mut self, directory: u64) -> Result<()> {
        let now_us = self.written_us;
        if directory == ROOT_INODE || !self.rules.children_waited {
            return Ok(());
        }
        let mut node = self.edit(directory)?;
        let dir = node.dir_mut();
        if dir.changed_us >= now_us {
            return Ok(());
        }
        dir.changed_us = now_us;
        self.state.set_node(directory, node)
    }

    /// One visible child more, or less; a directory that thereby appears or goes counts in its own parent.
    fn bump(&mut self, directory: u64, more: bool) -> Result<()> {
        let mut at = directory;
        loop {
            if at == ROOT_INODE {
                return Ok(());
            }
            self.note_placed(at)?;
            let mut node = self.edit(at)?;
            let dir = node.dir_mut();
            let was_visible = dir.visible();
            dir.visible_children = if more {
                dir.visible_children.saturating_add(1)
            } else {
                dir.visible_children.saturating_sub(1)
            };
            let (visible, place) = (dir.visible(), dir.current.clone());
            if was_visible == visible {
                return self.state.set_node(at, node);
            }
            let slots = place.iter().cloned().collect();
            let before = self.look(&slots)?;
            self.state.set_node(at, node)?;
            self.touch(at)?;
            self.mark_differences(&before, &slots)?;
            let Some(place) = place else { return Ok(()) };
            at = place.parent;
        }
    }

    /// What directories the slots hold.
    fn look(&self, places: &BTreeSet<Place>) -> Result<Looked> {
        let mut looked = Looked {
            slots: BTreeMap::new(),
            settled: BTreeSet::new(),
        };
        for place in places {
            let (known, dirs) = self.dirs_at(place)?;
            for dir in &dirs {
                let alone = self
                    .state
                    .applied(*dir)?
                    .is_some_and(|image| image.merged_into.is_none());
                if alone && !self.state.is_dirty(*dir)? {
                    looked.settled.insert(*dir);
                }
            }
            looked.slots.insert(place.clone(), (known, dirs));
        }
        Ok(looked)
    }

    /// Marks everything that the difference to an earlier look may show otherwise.
    fn mark_differences(&mut self, before: &Looked, places: &BTreeSet<Place>) -> Result<()> {
        for place in places {
            self.touch_slot(place)?;
            let new = self.dirs_at(place)?;
            let Some(old) = before.slots.get(place).filter(|old| **old != new) else {
                continue;
            };
            let regrouped = old.1.len() > 1 || new.1.len() > 1 || old.0 != new.0;
            for dir in old.1.iter().chain(&new.1).copied().collect::<BTreeSet<_>>() {
                // Moved alone, it keeps what is in it: children name their directory by inode.
                if regrouped || !before.settled.contains(&dir) {
                    self.touch_subtree(dir)?;
                }
            }
        }
        Ok(())
    }

    /// Marks everything below a directory, and the directory.
    fn touch_subtree(&mut self, directory: u64) -> Result<()> {
        let mut open = vec![directory];
        let mut touched = BTreeSet::new();
        while let Some(at) = open.pop() {
            // Directories that stand inside each other exist only in a broken state; it has an end all the same.
            if !touched.insert(at) {
                continue;
            }
            self.touch(at)?;
            for (_, child) in self.state.children_of(at)? {
                if child.dir {
                    open.push(child.inode);
                } else {
                    self.touch(child.inode)?;
                }
            }
        }
        Ok(())
    }

    /// Marks everything that stands at a place, and what had to give way to a name there.
    pub(super) fn touch_slot(&mut self, place: &Place) -> Result<()> {
        let members = self
            .group(place.parent)?
            .unwrap_or_else(|| vec![place.parent]);
        for member in members {
            for child in self.state.children_at(member, &place.name)? {
                self.touch(child.inode)?;
            }
        }
        if let Some(inode) = conflict_name_inode(&place.name) {
            self.touch(inode)?;
        }
        Ok(())
    }

    /// Whether the group of the place's parent is known, and the visible directories at the place.
    fn dirs_at(&self, place: &Place) -> Result<(bool, Vec<u64>)> {
        let group = self.group(place.parent)?;
        let members = group.clone().unwrap_or_else(|| vec![place.parent]);
        Ok((group.is_some(), self.visible_dirs(&members, place)?))
    }

    /// Visible directories of the name of `place` in any of `members`, ascending.
    pub(super) fn visible_dirs(&self, members: &[u64], place: &Place) -> Result<Vec<u64>> {
        let mut dirs = Vec::new();
        for member in members {
            for child in self.state.children_at(*member, &place.name)? {
                if child.dir && self.is_visible_dir(&*self.load(child.inode)?) {
                    dirs.push(child.inode);
                }
            }
        }
        dirs.sort_unstable();
        Ok(dirs)
    }

    fn is_visible_dir(&self, node: &Node) -> bool {
        node.dir
            .as_ref()
            .is_some_and(|dir| dir.current.is_some() && dir.visible())
    }
}
