//! What changed in a tree: a snapshot against the view that the engine last knew, as operations.
//!
//! Files are followed by identity over the whole snapshot: what is gone from one place and new in another is one
//! rename, whatever it is and holds. A file that an editor saved by renaming a new one over it keeps its inode. What
//! cannot be read or keeps changing is left for the next round together with everything that depends on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use super::change::birth_changes;
use super::hold::hold;
use super::order::{Step, order};
use super::root::ROOT_INODE;
use super::stat::{DevId, Stat};
use super::walk::Note;
use crate::error::{ReplError, Result};
use crate::journal::op::{Change, FileTime, Name, Place};
use crate::sync::port::{DeviceImage, Engine, LocalOp, LocalTxn, NodeKind};

mod unread;

pub use unread::{Reader, Unread};

/// Longest life of a file before it is renamed over another one for this to count as saving (CORRECTNESS 2.5).
const SAVE_OVER_US: u64 = 60_000_000;
/// A change within this time of its observation may be followed by one that the clock does not show (git's rule).
pub const RACY_US: u64 = 50_000;
/// Numbers that are asked for at once, and files that are compared at once.
const MINT_MAX: usize = 4_096;
const COMPARED_AT_ONCE: usize = 1_024;

/// What a comparison needs to know beside the snapshot and how to read it.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Files that this connector created and no image touched since.
    pub own: &'a BTreeSet<u64>,
    /// Files whose last observation was racy: read again even if they look the same.
    pub recheck: &'a BTreeSet<u64>,
    /// An empty root was emptied on purpose.
    pub empty_is_meant: bool,
    /// The root was found empty before: no removal is believed.
    pub doubts: bool,
}

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Findings {
    /// To be journaled, in order.
    pub txns: Vec<LocalTxn>,
    /// Files that are to be read when that is journaled.
    pub unread: VecDeque<Unread>,
    /// Files that were seen and were not there any more when they were to be read.
    pub vanished: u64,
    /// Files that look different without a change that concerns anybody.
    pub quiet: Vec<(u64, DeviceImage)>,
    /// Files created here.
    pub created: BTreeSet<u64>,
    /// Files to read again.
    pub racy: BTreeSet<u64>,
    /// Directories that hold them.
    pub racy_dirs: BTreeSet<Vec<Name>>,
    /// Files that were read: what was racy about them before is settled.
    pub read: BTreeSet<u64>,
    /// Files that keep changing.
    pub busy: BTreeSet<PathBuf>,
    /// Files that cannot be read.
    pub notes: BTreeSet<Note>,
    /// Removals among the operations.
    pub unlinks: u64,
    /// Removals that were held back because the snapshot was unstable or the root is empty.
    pub held_unlinks: u64,
    /// Other changes that wait with them, because something is still shown where they would be.
    pub held_steps: u64,
    /// The root is empty although it should not be: no removal was believed.
    pub root_empty: bool,
    /// The snapshot does not suffice to tell a move from a removal: scan everything.
    pub need_full: bool,
}

/// A link as the engine knows it.
#[derive(Debug, Clone)]
struct Known {
    inode: u64,
    link: u64,
}

/// A structural operation and the attribute operations that belong to it.
struct Structural {
    step: Step,
    ops: Vec<LocalOp>,
}

/// Compares the snapshot of `reader` with the applied view of `engine`.
///
/// # Errors
/// When the engine's store fails, or a file cannot be made durable.
pub fn diff(engine: &mut dyn Engine, reader: Reader<'_>, rules: Rules<'_>) -> Result<Findings> {
    let mut diff = Diff {
        engine,
        reader,
        rules,
        bound: BTreeMap::new(),
        fresh: BTreeSet::new(),
        stats: BTreeMap::new(),
        places: BTreeMap::new(),
        was: BTreeMap::new(),
        was_at: BTreeSet::new(),
        leaves: BTreeSet::new(),
        saved: BTreeMap::new(),
        skipped: BTreeSet::new(),
        structural: Vec::new(),
        attributes: Vec::new(),
        minted: Vec::new(),
        unbound: 0,
        found: Findings::default(),
    };
    diff.bind()?;
    diff.gather_known()?;
    if diff.found.need_full {
        return Ok(diff.found);
    }
    diff.bind_saves()?;
    diff.mint_directories()?;
    diff.match_places()?;
    if diff.found.need_full {
        return Ok(diff.found);
    }
    diff.match_attributes()?;
    diff.remove_gone()?;
    Ok(diff.finish())
}

struct Diff<'a> {
    engine: &'a mut dyn Engine,
    reader: Reader<'a>,
    rules: Rules<'a>,
    /// Logical inodes of what was seen.
    bound: BTreeMap<DevId, u64>,
    /// Directories that are new: the key is in `bound` too.
    fresh: BTreeSet<DevId>,
    stats: BTreeMap<DevId, &'a Stat>,
    places: BTreeMap<DevId, Vec<(DevId, Name)>>,
    /// Links of the directories that were listed, as the engine knows them; what is matched is taken out.
    was: BTreeMap<(u64, Name), Known>,
    /// Their places before anything was matched.
    was_at: BTreeSet<Place>,
    /// Inodes that lose a name.
    leaves: BTreeSet<u64>,
    /// Files that were saved over: inode to the inode of the file that was renamed over it, if that was journaled.
    saved: BTreeMap<u64, Option<u64>>,
    /// Inodes that are left alone in this round.
    skipped: BTreeSet<u64>,
    structural: Vec<Structural>,
    attributes: Vec<Vec<LocalOp>>,
    /// Numbers for what is new.
    minted: Vec<u64>,
    /// How many are still without one.
    unbound: usize,
    found: Findings,
}

/// Room for one: nearly every file has one name, and a look at a large tree keeps them all.
fn one<T>() -> Vec<T> {
    Vec::with_capacity(1)
}

impl Diff<'_> {
    fn bind(&mut self) -> Result<()> {
        let snapshot = self.reader.snapshot;
        self.bound.insert(snapshot.root, ROOT_INODE);
        for (dir, seen) in &snapshot.dirs {
            let entries = seen.entries.values().map(|stat| stat.id);
            let mut ids: Vec<DevId> = entries.collect();
            ids.extend((*dir != snapshot.root).then_some(*dir));
            let files = ids.iter().map(|id| (id.ino, id.btime)).collect();
            let inodes = self.engine.inodes_of(files)?;
            let known = ids.into_iter().zip(inodes);
            self.bound
                .extend(known.filter_map(|(id, inode)| Some((id, inode?))));
            for (name, stat) in &seen.entries {
                self.stats.insert(stat.id, stat);
                let places = self.places.entry(stat.id).or_insert_with(one);
                places.push((*dir, name.clone()));
            }
        }
        let is_new = |id: &&DevId| !self.bound.contains_key(id);
        self.unbound = self.stats.keys().filter(is_new).count();
        Ok(())
    }

    /// A number for something new; those for all that is are asked for at once.
    fn mint(&mut self) -> Result<u64> {
        if self.minted.is_empty() {
            let count = self.unbound.clamp(1, MINT_MAX);
            self.unbound -= self.unbound.min(count);
            self.minted = self.engine.mint(count)?;
            self.minted.reverse();
        }
        self.minted.pop().ok_or(ReplError::Shutdown)
    }

    fn gather_known(&mut self) -> Result<()> {
        for (id, dir) in &self.reader.snapshot.dirs {
            let Some(inode) = self.bound.get(id).copied() else {
                continue;
            };
            let known = self.engine.applied_entries(inode)?;
            if inode == ROOT_INODE && dir.entries.is_empty() && dir.held.is_empty() {
                self.found.root_empty = !known.is_empty();
            }
            for (name, child, link) in known {
                let policy = self.reader.policy;
                let excluded = policy.excludes(&dir.path, &name, true)
                    || policy.excludes(&dir.path, &name, false);
                if !excluded && !dir.held.contains(&name) {
                    self.was.insert((inode, name), Known { inode: child, link });
                }
            }
        }
        // A new directory whose parent was not looked at has no place.
        let placed = |id: &DevId| self.bound.contains_key(id) || self.stats.contains_key(id);
        if !self.reader.snapshot.dirs.keys().all(placed) {
            self.found.need_full = true;
            return Ok(());
        }
        // What a vanished directory held is gone too, unless it is seen elsewhere: at a place, for a directory may have
        // been listed although the one that holds it was not.
        let seen = self.places.keys().filter_map(|id| self.bound.get(id));
        let here: BTreeSet<u64> = seen.copied().collect();
        let mut todo: Vec<u64> = self.was.values().map(|known| known.inode).collect();
        todo.retain(|inode| !here.contains(inode));
        while let Some(inode) = todo.pop() {
            let image = self.engine.applied(inode)?;
            if image.is_none_or(|image| image.kind != NodeKind::Dir) {
                continue;
            }
            if !self.reader.snapshot.full {
                self.found.need_full = true;
                return Ok(());
            }
            for (name, child, link) in self.engine.applied_entries(inode)? {
                if !here.contains(&child) {
                    todo.push(child);
                }
                self.was.insert((inode, name), Known { inode: child, link });
            }
        }
        Ok(())
    }

    /// Gives the inode of a file to the file that was saved over it.
    fn bind_saves(&mut self) -> Result<()> {
        let here: BTreeSet<u64> = self.bound.values().copied().collect();
        let mut saves = Vec::new();
        for (id, stat) in &self.stats {
            let Some([(parent, name)]) = self.places.get(id).map(Vec::as_slice) else {
                continue;
            };
            let Some(parent) = self.bound.get(parent) else {
                continue;
            };
            let Some(victim) = self.was.get(&(*parent, name.clone())) else {
                continue;
            };
            let temporary = self.bound.get(id).copied();
            let ours = temporary.is_none_or(|inode| self.rules.own.contains(&inode));
            let young = micros(stat.ctime).saturating_sub(micros(stat.id.btime)) <= SAVE_OVER_US;
            if stat.kind == Some(NodeKind::File)
                && stat.nlink == 1
                && ours
                && young
                && !here.contains(&victim.inode)
            {
                saves.push((*id, victim.inode, temporary));
            }
        }
        for (id, victim, temporary) in saves {
            let image = self.engine.applied(victim)?;
            if !image.is_some_and(|image| image.kind == NodeKind::File && image.links.len() == 1) {
                continue;
            }
            if let Some(temporary) = temporary
                && let Some(image) = self.engine.applied(temporary)?
            {
                for shown in image.links {
                    let known = Known {
                        inode: temporary,
                        link: shown.link,
                    };
                    self.was.insert((shown.parent, shown.name), known);
                }
            }
            self.bound.insert(id, victim);
            self.saved.insert(victim, temporary);
        }
        Ok(())
    }

    fn mint_directories(&mut self) -> Result<()> {
        let is_new = |(id, stat): &(&DevId, &&Stat)| {
            stat.kind == Some(NodeKind::Dir) && !self.bound.contains_key(id)
        };
        let new: Vec<DevId> = self
            .stats
            .iter()
            .filter(is_new)
            .map(|(id, _)| *id)
            .collect();
        for id in new {
            let inode = self.mint()?;
            self.bound.insert(id, inode);
            self.fresh.insert(id);
        }
        Ok(())
    }

    fn match_places(&mut self) -> Result<()> {
        let mut gone: BTreeMap<u64, Vec<(u64, Place)>> = BTreeMap::new();
        for ((parent, name), known) in &self.was {
            let place = Place {
                parent: *parent,
                name: name.clone(),
            };
            self.was_at.insert(place.clone());
            let links = gone.entry(known.inode).or_insert_with(one);
            links.push((known.link, place));
        }
        let ids: Vec<DevId> = self.places.keys().copied().collect();
        for id in ids {
            let (Some(stat), Some(seen)) = (self.stats.get(&id).copied(), self.places.get(&id))
            else {
                continue;
            };
            let places: Vec<Place> = seen.iter().filter_map(|at| self.place(at)).collect();
            if places.is_empty() {
                continue;
            }
            let several = stat.kind == Some(NodeKind::Dir) && places.len() > 1;
            let stale = stat.kind != Some(NodeKind::Dir) && places.len() as u64 > stat.nlink.into();
            match self.bound.get(&id).copied() {
                Some(inode) if several || stale => self.skip(inode, &id),
                Some(inode) if !self.fresh.contains(&id) => {
                    let gone = gone.remove(&inode).unwrap_or_default();
                    self.match_links(inode, stat, places, gone)?;
                }
                _ if several || stale => {
                    self.found.busy.extend(self.path_of(&id));
                }
                inode => self.create(stat, inode, places)?,
            }
        }
        Ok(())
    }

    /// Pairs the places where an inode was with those where it is.
    fn match_links(
        &mut self,
        inode: u64,
        stat: &Stat,
        mut now: Vec<Place>,
        mut gone: Vec<(u64, Place)>,
    ) -> Result<()> {
        let dir = stat.kind == Some(NodeKind::Dir);
        gone.retain(|(_, place)| {
            let at = now.iter().position(|there| there == place);
            if let Some(at) = at {
                now.remove(at);
                self.was.remove(&(place.parent, place.name.clone()));
            }
            at.is_none()
        });
        if now.is_empty() {
            return Ok(());
        }
        let image = self.engine.applied(inode)?;
        let mut links = image.map_or_else(Vec::new, |image| image.links);
        // Several links at one place are one name.
        let mut places = BTreeSet::new();
        links.retain(|link| places.insert((link.parent, link.name.clone())));
        let elsewhere = links.len().saturating_sub(gone.len());
        if !self.reader.snapshot.full {
            // A link in a directory that was not listed: it may have been moved here and not be there any more.
            let unseen = links
                .iter()
                .filter(|link| !self.was_listed(link.parent))
                .count();
            if unseen > 0 && (dir || (unseen + now.len()) as u64 > stat.nlink.into()) {
                self.found.need_full = true;
                return Ok(());
            }
        }
        let mut gone = gone.into_iter();
        for (nth, place) in now.into_iter().enumerate() {
            let (link, vacates, change) = match gone.next() {
                Some((link, from)) => {
                    self.was.remove(&(from.parent, from.name.clone()));
                    (link, Some(from), rename(&place, dir))
                }
                // A link that was removed and is there again, such as a file that came back from outside the tree.
                None if dir || (nth == 0 && elsewhere == 0) => (inode, None, rename(&place, dir)),
                None => {
                    let place = place.clone();
                    (self.mint()?, None, Change::Link { place })
                }
            };
            let op = LocalOp {
                inode,
                link,
                change,
                back_date_us: None,
                // The name is all that is told by it; what else changed is not known before the file was read.
                device: None,
            };
            self.structural.push(Structural {
                step: Step {
                    inode,
                    dir,
                    vacates,
                    occupies: Some(place),
                },
                ops: vec![op],
            });
        }
        Ok(())
    }

    fn create(&mut self, stat: &Stat, inode: Option<u64>, places: Vec<Place>) -> Result<()> {
        let dir = stat.kind == Some(NodeKind::Dir);
        // What takes the place of another one comes with what makes room for it.
        let is_free = |place: &Place| !self.was_at.contains(place);
        if !dir && places.iter().all(is_free) {
            return self.create_later(stat, places);
        }
        let seen = self.places.get(&stat.id).cloned().unwrap_or_default();
        let Some(details) = self.reader.read(stat.id, &seen, &mut self.found)? else {
            return Ok(());
        };
        let inode = match inode {
            Some(inode) => inode,
            None => self.mint()?,
        };
        let device = Some(details.stat.image());
        let mut places = places.into_iter();
        let Some(first) = places.next() else {
            return Ok(());
        };
        let step = |occupies: Place| Step {
            inode,
            dir,
            vacates: None,
            occupies: Some(occupies),
        };
        let mut changes = birth_changes(&details, first.clone()).into_iter();
        let born = changes.next();
        let op = |link, change| LocalOp {
            inode,
            link,
            change,
            back_date_us: None,
            device,
        };
        self.structural.push(Structural {
            step: step(first),
            ops: born.map(|change| op(inode, change)).into_iter().collect(),
        });
        for place in places {
            let link = self.mint()?;
            let change = Change::Link {
                place: place.clone(),
            };
            self.structural.push(Structural {
                step: step(place),
                ops: vec![op(link, change)],
            });
        }
        let rest = changes
            .map(|change| self.reader.attribute_op(inode, change, &details))
            .collect();
        self.attributes.push(rest);
        self.found.created.insert(inode);
        self.reader
            .note_racy(inode, &details, &seen, &mut self.found);
        Ok(())
    }

    /// A new file at free places is read when everything else is told.
    fn create_later(&mut self, stat: &Stat, places: Vec<Place>) -> Result<()> {
        let inode = self.mint()?;
        let mut links = Vec::with_capacity(places.len());
        for place in places {
            let link = if links.is_empty() {
                inode
            } else {
                self.mint()?
            };
            links.push((link, place));
        }
        self.found.unread.push_back(Unread {
            id: stat.id,
            inode,
            seen: self.places.get(&stat.id).cloned().unwrap_or_default(),
            links,
        });
        Ok(())
    }

    fn match_attributes(&mut self) -> Result<()> {
        self.leaves = self.was.values().map(|known| known.inode).collect();
        let bound = self.bound.iter().filter_map(|(id, inode)| {
            let stat = self.stats.get(id)?;
            let looks = *inode != ROOT_INODE && !self.fresh.contains(id);
            looks.then_some((*id, *inode, stat.image()))
        });
        let bound: Vec<(DevId, u64, DeviceImage)> = bound.collect();
        for some in bound.chunks(COMPARED_AT_ONCE) {
            let seen = some.iter().map(|(_, inode, image)| (*inode, *image));
            let unchanged = self.engine.unchanged(seen.collect())?;
            for ((id, inode, _), same) in some.iter().zip(unchanged) {
                if !same || self.rules.recheck.contains(inode) {
                    self.match_one(*id, *inode)?;
                }
            }
        }
        Ok(())
    }

    fn match_one(&mut self, id: DevId, inode: u64) -> Result<()> {
        if self.skipped.contains(&inode) {
            return Ok(());
        }
        let seen = self.places.get(&id).cloned().unwrap_or_default();
        let is_dir = self.stats.get(&id).and_then(|stat| stat.kind) == Some(NodeKind::Dir);
        if !is_dir && !self.saved.contains_key(&inode) && !self.leaves.contains(&inode) {
            // Nothing else depends on what is read of it.
            self.found.unread.push_back(Unread {
                id,
                inode,
                seen,
                links: Vec::new(),
            });
            return Ok(());
        }
        let image = self.engine.applied(inode)?;
        let Some(details) = self.reader.read(id, &seen, &mut self.found)? else {
            self.skipped.insert(inode);
            return Ok(());
        };
        let found = &mut self.found;
        let ops = self.reader.changed(inode, image, &details, &seen, found);
        match self.saved.get(&inode) {
            Some(Some(temporary)) => self.save_over(*temporary, ops),
            Some(None) => self.attributes.push(ops),
            None => self.attributes.extend(ops.into_iter().map(|op| vec![op])),
        }
        Ok(())
    }

    /// One transaction: the temporary file's name goes, the file has new bytes.
    fn save_over(&mut self, temporary: u64, mut ops: Vec<LocalOp>) {
        let was = std::mem::take(&mut self.was);
        for ((parent, name), known) in was {
            if known.inode == temporary {
                let place = Place { parent, name };
                let mut all = vec![unlink(temporary, known.link, &place, false)];
                all.append(&mut ops);
                self.found.unlinks += 1;
                self.structural.push(Structural {
                    step: Step {
                        inode: temporary,
                        dir: false,
                        vacates: Some(place),
                        occupies: None,
                    },
                    ops: all,
                });
            } else {
                self.was.insert((parent, name), known);
            }
        }
        if !ops.is_empty() {
            self.attributes.push(ops);
        }
    }

    /// What is still in `was` is nowhere any more.
    fn remove_gone(&mut self) -> Result<()> {
        let doubts = self.found.root_empty || self.rules.doubts;
        let hold = !self.reader.snapshot.stable || (doubts && !self.rules.empty_is_meant);
        let left_alone = self.left_alone();
        let mut kept = BTreeSet::new();
        for ((parent, name), known) in std::mem::take(&mut self.was) {
            let place = Place { parent, name };
            if left_alone.contains(&known.inode) {
                kept.insert(place);
                continue;
            }
            if hold {
                kept.insert(place);
                self.found.held_unlinks += 1;
                continue;
            }
            let image = self.engine.applied(known.inode)?;
            let dir = image.is_some_and(|image| image.kind == NodeKind::Dir);
            self.found.unlinks += 1;
            self.structural.push(Structural {
                ops: vec![unlink(known.inode, known.link, &place, dir)],
                step: Step {
                    inode: known.inode,
                    dir,
                    vacates: Some(place),
                    occupies: None,
                },
            });
        }
        self.hold_back(kept)
    }

    /// What would stand where something is still shown, or in a directory that cannot be told of, waits.
    fn hold_back(&mut self, kept: BTreeSet<Place>) -> Result<()> {
        let mut steps: Vec<Step> = self.structural.iter().map(|s| s.step.clone()).collect();
        let mut shown = BTreeSet::new();
        let told: BTreeSet<u64> = steps.iter().map(|step| step.inode).collect();
        let fresh = self.fresh.iter().filter_map(|id| self.bound.get(id));
        let unborn: BTreeSet<u64> = fresh
            .copied()
            .filter(|inode| !told.contains(inode))
            .collect();
        let any = !kept.is_empty() || !unborn.is_empty();
        for step in steps.iter().filter(|_| any) {
            if self.engine.applied(step.inode)?.is_some() {
                shown.insert(step.inode);
            }
        }
        if any {
            steps.extend(self.found.unread.iter().flat_map(Unread::steps));
        }
        let held = hold(&steps, kept, unborn, &shown);
        self.found.held_steps = held.steps.len() as u64;
        let mut nth = 0..;
        self.structural
            .retain(|_| nth.next().is_none_or(|nth| !held.steps.contains(&nth)));
        let waits: BTreeSet<u64> = held
            .steps
            .iter()
            .filter_map(|nth| Some(steps.get(*nth)?.inode))
            .collect();
        self.found.unread.retain(|file| {
            let is_held = !file.links.is_empty() && waits.contains(&file.inode);
            !is_held && !held.unborn.contains(&file.inode)
        });
        for ops in &mut self.attributes {
            ops.retain(|op| !held.unborn.contains(&op.inode));
        }
        let found = &mut self.found;
        found
            .quiet
            .retain(|(inode, _)| !held.unborn.contains(inode));
        found.created.retain(|inode| !held.unborn.contains(inode));
        Ok(())
    }

    /// Inodes that are not to be removed in this round, and the directories that are shown to hold them.
    fn left_alone(&self) -> BTreeSet<u64> {
        let mut holders: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for ((parent, _), known) in &self.was {
            holders.entry(known.inode).or_default().push(*parent);
        }
        let is_skipped = |inode: &u64| self.skipped.contains(inode) || self.save_is_skipped(*inode);
        let mut todo: Vec<u64> = holders.keys().copied().filter(is_skipped).collect();
        let mut left_alone = BTreeSet::new();
        while let Some(inode) = todo.pop() {
            if left_alone.insert(inode) {
                todo.extend(holders.get(&inode).into_iter().flatten());
            }
        }
        left_alone
    }

    fn finish(mut self) -> Findings {
        let steps: Vec<Step> = self.structural.iter().map(|s| s.step.clone()).collect();
        let mut all: Vec<Vec<LocalOp>> = self.structural.into_iter().map(|s| s.ops).collect();
        for group in order(&steps) {
            let ops = group
                .into_iter()
                .filter_map(|index| all.get_mut(index).map(std::mem::take))
                .flatten()
                .collect();
            self.found.txns.push(LocalTxn { ops });
        }
        let attributes = self.attributes.into_iter().map(|ops| LocalTxn { ops });
        self.found.txns.extend(attributes);
        self.found.txns.retain(|txn| !txn.ops.is_empty());
        self.found
    }

    fn skip(&mut self, inode: u64, id: &DevId) {
        self.skipped.insert(inode);
        self.found.busy.extend(self.path_of(id));
    }

    /// A temporary file must not go while the file that it was saved over is not read.
    fn save_is_skipped(&self, temporary: u64) -> bool {
        self.saved
            .iter()
            .any(|(victim, from)| *from == Some(temporary) && self.skipped.contains(victim))
    }

    fn path_of(&self, id: &DevId) -> Option<PathBuf> {
        self.reader.path_of(self.places.get(id)?)
    }

    fn place(&self, (dir, name): &(DevId, Name)) -> Option<Place> {
        Some(Place {
            parent: *self.bound.get(dir)?,
            name: name.clone(),
        })
    }

    fn was_listed(&self, directory: u64) -> bool {
        let mut listed = self.reader.snapshot.dirs.keys();
        listed.any(|id| self.bound.get(id) == Some(&directory))
    }
}

fn rename(place: &Place, dir: bool) -> Change {
    Change::Rename {
        place: Some(place.clone()),
        dir,
    }
}

fn unlink(inode: u64, link: u64, place: &Place, dir: bool) -> LocalOp {
    LocalOp {
        inode,
        link,
        change: Change::Unlink {
            place: place.clone(),
            dir,
        },
        back_date_us: None,
        device: None,
    }
}

/// Microseconds since 1970; zero before.
pub(super) fn micros(time: FileTime) -> u64 {
    let seconds = u64::try_from(time.seconds).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(u64::from(time.nanos) / 1_000)
}
