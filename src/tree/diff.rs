//! What changed in a tree: a snapshot against the view that the engine last knew, as operations.
//!
//! Files are followed by identity over the whole snapshot: what is gone from one place and new in another is one
//! rename, whatever it is and holds. A file that an editor saved by renaming a new one over it keeps its inode. What
//! cannot be read or keeps changing is left for the next round together with everything that depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::agenda::FileAt;
use super::change::{attribute_changes, birth_changes};
use super::hold::hold;
use super::observe::{Details, Observed, observe};
use super::order::{Step, order};
use super::policy::Policy;
use super::root::{ROOT_INODE, Root};
use super::stat::{DevId, Stat};
use super::walk::{Note, NoteKind, Snapshot};
use crate::error::Result;
use crate::journal::op::{Change, FileTime, Name, Place};
use crate::sync::port::{DeviceImage, Engine, Image, LocalOp, LocalTxn, NodeKind};

/// Longest life of a file before it is renamed over another one for this to count as saving (CORRECTNESS 2.5).
const SAVE_OVER_US: u64 = 60_000_000;
/// A change within this time of its observation may be followed by one that the clock does not show (git's rule).
pub const RACY_US: u64 = 50_000;

/// What a comparison needs to know beside the snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Names and bits that are left alone.
    pub policy: &'a Policy,
    /// Files that this connector created and no image touched since.
    pub own: &'a BTreeSet<u64>,
    /// Files whose last observation was racy: read again even if they look the same.
    pub recheck: &'a BTreeSet<u64>,
    /// Files that programs are writing: neither read nor taken as removed.
    pub unready: &'a BTreeSet<FileAt>,
    /// An empty root was emptied on purpose.
    pub empty_is_meant: bool,
    /// The root was found empty before: no removal is believed.
    pub doubts: bool,
    /// Wall clock at the start of the scan.
    pub now_us: u64,
    /// Changes happened while nobody watched: stamp them with their ctime.
    pub back_date: bool,
}

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Findings {
    /// To be journaled, in order.
    pub txns: Vec<LocalTxn>,
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

/// Compares `snapshot` with the applied view of `engine`.
///
/// # Errors
/// When the engine's store fails, or a file cannot be made durable.
pub fn diff(
    engine: &mut dyn Engine,
    root: &Root,
    snapshot: &Snapshot,
    rules: &Rules<'_>,
) -> Result<Findings> {
    let mut diff = Diff {
        engine,
        root,
        snapshot,
        rules,
        bound: BTreeMap::new(),
        fresh: BTreeSet::new(),
        stats: BTreeMap::new(),
        places: BTreeMap::new(),
        was: BTreeMap::new(),
        saved: BTreeMap::new(),
        skipped: BTreeSet::new(),
        structural: Vec::new(),
        attributes: Vec::new(),
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
    root: &'a Root,
    snapshot: &'a Snapshot,
    rules: &'a Rules<'a>,
    /// Logical inodes of what was seen.
    bound: BTreeMap<DevId, u64>,
    /// Directories that are new: the key is in `bound` too.
    fresh: BTreeSet<DevId>,
    stats: BTreeMap<DevId, Stat>,
    places: BTreeMap<DevId, Vec<(DevId, Name)>>,
    /// Links of the directories that were listed, as the engine knows them; what is matched is taken out.
    was: BTreeMap<(u64, Name), Known>,
    /// Files that were saved over: inode to the inode of the file that was renamed over it, if that was journaled.
    saved: BTreeMap<u64, Option<u64>>,
    /// Inodes that are left alone in this round.
    skipped: BTreeSet<u64>,
    structural: Vec<Structural>,
    attributes: Vec<Vec<LocalOp>>,
    found: Findings,
}

impl Diff<'_> {
    fn bind(&mut self) -> Result<()> {
        self.bound.insert(self.snapshot.root, ROOT_INODE);
        for (dir, seen) in &self.snapshot.dirs {
            if let Some(inode) = self.engine.inode_of(dir.ino, dir.btime)?
                && *dir != self.snapshot.root
            {
                self.bound.insert(*dir, inode);
            }
            for (name, stat) in &seen.entries {
                self.stats.insert(stat.id, *stat);
                let places = self.places.entry(stat.id).or_default();
                places.push((*dir, name.clone()));
                if let Some(inode) = self.engine.inode_of(stat.id.ino, stat.id.btime)? {
                    self.bound.insert(stat.id, inode);
                }
            }
        }
        Ok(())
    }

    fn gather_known(&mut self) -> Result<()> {
        for (id, dir) in &self.snapshot.dirs {
            let Some(inode) = self.bound.get(id).copied() else {
                continue;
            };
            let known = self.engine.applied_entries(inode)?;
            if inode == ROOT_INODE && dir.entries.is_empty() && dir.held.is_empty() {
                self.found.root_empty = !known.is_empty();
            }
            for (name, child, link) in known {
                let policy = self.rules.policy;
                let excluded = policy.excludes(&dir.path, &name, true)
                    || policy.excludes(&dir.path, &name, false);
                if !excluded && !dir.held.contains(&name) {
                    self.was.insert((inode, name), Known { inode: child, link });
                }
            }
        }
        // A new directory whose parent was not looked at has no place.
        let placed = |id: &DevId| self.bound.contains_key(id) || self.stats.contains_key(id);
        if !self.snapshot.dirs.keys().all(placed) {
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
            if !self.snapshot.full {
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
        for (id, stat) in &self.stats {
            if stat.kind == Some(NodeKind::Dir) && !self.bound.contains_key(id) {
                self.bound.insert(*id, self.engine.mint()?);
                self.fresh.insert(*id);
            }
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
            let links = gone.entry(known.inode).or_default();
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
                    self.match_links(inode, &stat, places, gone)?;
                }
                _ if several || stale => {
                    self.found.busy.extend(self.path_of(&id));
                }
                inode => self.create(&stat, inode, places)?,
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
        if !self.snapshot.full {
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
                    (self.engine.mint()?, None, Change::Link { place })
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
        let Some(details) = self.read(&stat.id)? else {
            return Ok(());
        };
        let inode = match inode {
            Some(inode) => inode,
            None => self.engine.mint()?,
        };
        let device = Some(details.stat.image());
        let mut places = places.into_iter();
        let Some(first) = places.next() else {
            return Ok(());
        };
        let dir = stat.kind == Some(NodeKind::Dir);
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
            let link = self.engine.mint()?;
            let change = Change::Link {
                place: place.clone(),
            };
            self.structural.push(Structural {
                step: step(place),
                ops: vec![op(link, change)],
            });
        }
        let rest = changes
            .map(|change| self.attribute_op(inode, change, &details))
            .collect();
        self.attributes.push(rest);
        self.found.created.insert(inode);
        self.note_racy(inode, &details);
        Ok(())
    }

    fn match_attributes(&mut self) -> Result<()> {
        let bound: Vec<(DevId, u64)> = self.bound.iter().map(|(id, inode)| (*id, *inode)).collect();
        for (id, inode) in bound {
            let Some(stat) = self.stats.get(&id).copied() else {
                continue;
            };
            if inode == ROOT_INODE || self.fresh.contains(&id) || self.skipped.contains(&inode) {
                continue;
            }
            let image = self.engine.applied(inode)?;
            let same = image.is_some() && self.engine.device(inode)? == Some(stat.image());
            if same && !self.rules.recheck.contains(&inode) {
                continue;
            }
            let Some(details) = self.read(&id)? else {
                self.skipped.insert(inode);
                continue;
            };
            // What was removed and is there again is told as a whole: nobody knows what became of it meanwhile.
            let image = image.or_else(|| Some(Image::absent(inode, details.stat.kind?)));
            if let Some(image) = image {
                self.compare(inode, &image, &details);
            }
        }
        Ok(())
    }

    fn compare(&mut self, inode: u64, image: &Image, details: &Details) {
        let rules = self.rules;
        let changes = attribute_changes(image, details, rules.policy, self.root.privileged());
        self.note_racy(inode, details);
        let ops: Vec<LocalOp> = changes
            .into_iter()
            .map(|change| self.attribute_op(inode, change, details))
            .collect();
        // A save over a file is bound by its operation; without one it has to be told.
        self.found.quiet.push((inode, details.stat.image()));
        match self.saved.get(&inode) {
            Some(Some(temporary)) => self.save_over(*temporary, ops),
            Some(None) => self.attributes.push(ops),
            None => self.attributes.extend(ops.into_iter().map(|op| vec![op])),
        }
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
        let hold = !self.snapshot.stable || (doubts && !self.rules.empty_is_meant);
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
        let steps: Vec<Step> = self.structural.iter().map(|s| s.step.clone()).collect();
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
        let held = hold(&steps, kept, unborn, &shown);
        self.found.held_steps = held.steps.len() as u64;
        let mut nth = 0..;
        self.structural
            .retain(|_| nth.next().is_none_or(|nth| !held.steps.contains(&nth)));
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

    fn attribute_op(&self, inode: u64, change: Change, details: &Details) -> LocalOp {
        LocalOp {
            inode,
            link: inode,
            change,
            back_date_us: self.rules.back_date.then(|| micros(details.stat.ctime)),
            device: Some(details.stat.image()),
        }
    }

    fn note_racy(&mut self, inode: u64, details: &Details) {
        self.found.read.insert(inode);
        if micros(details.stat.ctime).saturating_add(RACY_US) > self.rules.now_us {
            self.found.racy.insert(inode);
            let at = self.places.get(&details.stat.id).and_then(|at| at.first());
            let dir = at.and_then(|(dir, _)| self.snapshot.dirs.get(dir));
            self.found.racy_dirs.extend(dir.map(|dir| dir.path.clone()));
        }
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

    /// Reads a file that was seen; None when that failed, which is then noted.
    fn read(&mut self, id: &DevId) -> Result<Option<Details>> {
        let Some((dir, name)) = self.places.get(id).and_then(|places| places.first()) else {
            return Ok(None);
        };
        let Some(seen) = self.snapshot.dirs.get(dir) else {
            return Ok(None);
        };
        if self.is_unready(id) {
            return Ok(None);
        }
        match observe(self.root, &seen.path, name, *id)? {
            Observed::Read(details) => return Ok(Some(*details)),
            Observed::Busy => {
                self.found.busy.extend(self.path_of(id));
            }
            Observed::Vanished => {}
            Observed::Unreadable(reason) => {
                let kind = NoteKind::Unreadable { reason };
                let notes = self.path_of(id).map(|path| Note { path, kind });
                self.found.notes.extend(notes);
            }
        }
        Ok(None)
    }

    /// A program has the file open for writing, by any of its names.
    fn is_unready(&self, id: &DevId) -> bool {
        let unready = self.rules.unready;
        let mut places = self.places.get(id).into_iter().flatten();
        !unready.is_empty()
            && places.any(|(dir, name)| {
                let dir = self.snapshot.dirs.get(dir);
                dir.is_some_and(|dir| unready.contains(&(dir.path.clone(), name.clone())))
            })
    }

    fn path_of(&self, id: &DevId) -> Option<PathBuf> {
        let (dir, name) = self.places.get(id)?.first()?;
        let seen = self.snapshot.dirs.get(dir)?;
        Some(self.root.shown(&seen.path, Some(name)))
    }

    fn place(&self, (dir, name): &(DevId, Name)) -> Option<Place> {
        Some(Place {
            parent: *self.bound.get(dir)?,
            name: name.clone(),
        })
    }

    fn was_listed(&self, directory: u64) -> bool {
        let mut listed = self.snapshot.dirs.keys();
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
