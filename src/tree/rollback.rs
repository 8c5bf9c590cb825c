//! After a power loss: what on the disk is older than what was journaled of it is not a change of anybody.
//!
//! Bytes are durable before they are journaled, so this finds something only where a disk or filesystem lost what it
//! had promised to keep. Such files are not journaled: the applied view is corrected to what is on the disk, and the
//! merged version, whose bytes other sites have, is applied again.
//!
//! A write that was not journaled may leave its name on the disk and none of its bytes: most filesystems write names out
//! before bytes. A file that holds no data at all, was changed about the end, and had bytes when it was journaled last, is
//! therefore taken for such a half of a write and not for the wish to empty it.

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::diff::micros;
use super::observe::{Details, Observed, observe};
use super::policy::Policy;
use super::root::{ROOT_INODE, Root};
use super::stat::{DevId, Stat};
use super::walk::{DirSeen, Snapshot};
use crate::error::Result;
use crate::journal::dot::Dot;
use crate::journal::op::{Name, Place};
use crate::sync::port::{DeviceImage, Engine, Image, NodeKind, Round, ShownLink, Versioned};

/// A file that is missing was lost by the disk if it was journaled within this time before the end, and removed by
/// somebody otherwise (CORRECTNESS 2.5).
pub const LOST_US: u64 = 60_000_000;
/// The end was at most so long after the last moment that the engine knows of: an idle one writes its clock out once a
/// minute. What was changed later was changed by somebody who found the tree as it is.
const LATEST_US: u64 = 2 * 60_000_000;
/// Attempts to list the tree while nothing moves in it; others rarely start to work before this site has looked.
const ATTEMPTS: u32 = 5;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rollback {
    /// Objects that are older than what was journaled of them.
    pub older: u64,
    /// Objects that are not there any more.
    pub missing: u64,
    /// Objects that are there again although they were removed.
    pub undead: u64,
}

/// What to think of an object that was journaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is as it was journaled, or was changed since: the scan tells.
    Sound,
    /// It is older than its record.
    Older,
    /// It was lost.
    Missing,
}

/// Judges `record` by what is there under its identity, which may be the half of a write.
fn judge(
    record: &DeviceImage,
    seen: Option<&Stat>,
    is_half_written: bool,
    ended_us: u64,
) -> Verdict {
    let Some(stat) = seen else {
        let is_fresh = micros(record.ctime).saturating_add(LOST_US) >= ended_us;
        return if is_fresh {
            Verdict::Missing
        } else {
            Verdict::Sound
        };
    };
    // A later change has a later ctime; the same one with other bytes is what the disk made of it.
    let is_same = stat.image() == *record;
    let is_older = match stat.kind {
        Some(NodeKind::Dir) => stat.ctime < record.ctime,
        Some(NodeKind::File | NodeKind::Symlink) | None => stat.ctime <= record.ctime,
    };
    if !is_same && (is_older || is_half_written) {
        Verdict::Older
    } else {
        Verdict::Sound
    }
}

/// Whether a file that had bytes was changed about the end: it is worth a look whether it has data.
fn may_be_half_written(record: &DeviceImage, stat: &Stat, ended_us: u64) -> bool {
    let changed_us = micros(stat.ctime);
    stat.kind == Some(NodeKind::File)
        && record.size > 0
        && stat.image() != *record
        && changed_us.saturating_add(LOST_US) >= ended_us
        && changed_us <= ended_us.saturating_add(LATEST_US)
}

/// Corrects the applied view of `engine` where the tree is older than what was journaled; `ended_us` is the last
/// moment that the engine knows of.
///
/// # Errors
/// When the engine or the disk fails; it can be run again.
pub fn roll_back(
    engine: &mut dyn Engine,
    root: &Root,
    policy: &Policy,
    ended_us: u64,
) -> Result<Rollback> {
    let mut snapshot = Snapshot::of_tree(root, policy)?;
    for _ in 1..ATTEMPTS {
        if snapshot.stable {
            break;
        }
        snapshot = Snapshot::of_tree(root, policy)?;
    }
    let top = snapshot.dirs.get(&snapshot.root);
    if top.is_none_or(|top| top.entries.is_empty()) {
        // More likely an empty mount point than a disk that lost everything.
        return Ok(Rollback::default());
    }
    let mut pass = Pass {
        engine,
        root,
        snapshot: &snapshot,
        ended_us,
        places: BTreeMap::new(),
        known: BTreeSet::new(),
        found: Rollback::default(),
    };
    pass.gather();
    pass.known()?;
    pass.undead()?;
    let found = pass.found;
    // Durable before anything is applied on top of it.
    engine.done(Round::default())?;
    Ok(found)
}

struct Pass<'a> {
    engine: &'a mut dyn Engine,
    root: &'a Root,
    snapshot: &'a Snapshot,
    ended_us: u64,
    places: BTreeMap<DevId, (Stat, Vec<(DevId, Name)>)>,
    known: BTreeSet<u64>,
    found: Rollback,
}

impl Pass<'_> {
    fn gather(&mut self) {
        for (dir, seen) in &self.snapshot.dirs {
            for (name, stat) in &seen.entries {
                let of = self.places.entry(stat.id).or_insert((*stat, Vec::new()));
                of.1.push((*dir, name.clone()));
            }
        }
    }

    /// Everything that the tree should show, from the top down; what stood in a lost directory is lost with it.
    fn known(&mut self) -> Result<()> {
        let mut todo = vec![(ROOT_INODE, false)];
        while let Some((dir, is_lost)) = todo.pop() {
            for (_, inode, _) in self.engine.applied_entries(dir)? {
                if !self.known.insert(inode) {
                    continue;
                }
                let (Some(image), Some(record)) =
                    (self.engine.applied(inode)?, self.engine.device(inode)?)
                else {
                    continue;
                };
                let seen = self.places.get(&DevId::of(&record)).map(|(stat, _)| *stat);
                let is_half = seen.is_some_and(|stat| self.is_half_written(&record, &stat));
                let mut verdict = judge(&record, seen.as_ref(), is_half, self.ended_us);
                if is_lost && seen.is_none() {
                    verdict = Verdict::Missing;
                }
                let other = match seen {
                    Some(_) => None,
                    None => self.stand_in(&image, &record, verdict)?,
                };
                if verdict == Verdict::Missing && !is_lost && self.is_replaced(&image, &record)? {
                    verdict = Verdict::Sound;
                }
                match (verdict, seen.or(other)) {
                    (Verdict::Older, Some(stat)) => self.correct(&image, &stat)?,
                    (_, Some(stat)) if other.is_some() => self.correct(&image, &stat)?,
                    (Verdict::Missing, _) => self.missing(&image)?,
                    (Verdict::Sound | Verdict::Older, _) => {}
                }
                if image.kind == NodeKind::Dir {
                    todo.push((inode, verdict == Verdict::Missing));
                }
            }
        }
        Ok(())
    }

    /// What stands in the place of an object that is not there: the one that was there before it, when it was lost, or
    /// one that was to follow it and has no bytes.
    fn stand_in(
        &mut self,
        image: &Image,
        record: &DeviceImage,
        verdict: Verdict,
    ) -> Result<Option<Stat>> {
        for link in &image.links {
            let Some(dir) = self.seen_dir(link.parent)? else {
                continue;
            };
            let Some(stat) = dir.entries.get(&link.name).copied() else {
                continue;
            };
            let is_earlier = verdict == Verdict::Missing && stat.ctime <= record.ctime;
            if stat.kind == Some(image.kind)
                && (is_earlier || self.is_half_written(record, &stat))
                && self.engine.inode_of(stat.id.ino, stat.id.btime)?.is_none()
            {
                return Ok(Some(stat));
            }
        }
        Ok(None)
    }

    /// Whether something stands in a place of an object that came there after it was journaled: somebody removed it or
    /// saved over it, and the disk kept that.
    fn is_replaced(&mut self, image: &Image, record: &DeviceImage) -> Result<bool> {
        for link in &image.links {
            let dir = self.seen_dir(link.parent)?;
            let stat = dir.and_then(|dir| dir.entries.get(&link.name));
            if stat.is_some_and(|stat| stat.ctime > record.ctime) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a file holds nothing of what was to take the place of what `record` stands for.
    fn is_half_written(&self, record: &DeviceImage, stat: &Stat) -> bool {
        may_be_half_written(record, stat, self.ended_us)
            && (stat.size == 0 || self.is_void(stat) == Some(true))
    }

    /// Whether a file is one hole, as space is that was taken and not written; none when it cannot be opened.
    fn is_void(&self, stat: &Stat) -> Option<bool> {
        let (_, at) = self.places.get(&stat.id)?;
        let (dir, name) = at.first()?;
        let dir = self
            .root
            .open_dir(&self.snapshot.dirs.get(dir)?.path)
            .ok()?;
        let file = Root::open_file(&dir, name).ok()?;
        let data = rustix::fs::seek(&file, SeekFrom::Data(0));
        Some(data == Err(Errno::NXIO))
    }

    /// Gone, with nothing in its place.
    fn missing(&mut self, image: &Image) -> Result<()> {
        self.found.missing += 1;
        self.engine.correct(image.inode, None)?;
        self.engine.set_device(image.inode, None)
    }

    /// Shows an object as it is on the disk, under its own versions: values decide what is applied.
    fn correct(&mut self, image: &Image, stat: &Stat) -> Result<()> {
        let Some(details) = self.read(stat)? else {
            return Ok(());
        };
        let mut links = Vec::new();
        let mut spare = image.links.clone();
        for place in self.places_of(&stat.id)? {
            let same = |link: &ShownLink| link.parent == place.parent && link.name == place.name;
            if let Some(at) = spare.iter().position(same).or(spare.len().checked_sub(1)) {
                let mut link = spare.remove(at);
                (link.parent, link.name) = (place.parent, place.name);
                links.push(link);
            }
        }
        let mut shown = with_values(image, &details);
        shown.links = links;
        self.found.older += 1;
        self.engine.correct(image.inode, Some(shown))?;
        self.engine
            .set_device(image.inode, Some(details.stat.image()))
    }

    /// Objects that were removed, and are there as they were before.
    fn undead(&mut self) -> Result<()> {
        let seen: Vec<Stat> = self.places.values().map(|(stat, _)| *stat).collect();
        for stat in seen {
            let Some(inode) = self.engine.inode_of(stat.id.ino, stat.id.btime)? else {
                continue;
            };
            if inode == ROOT_INODE || self.known.contains(&inode) {
                continue;
            }
            let (Some(record), Some(kind)) = (self.engine.device(inode)?, stat.kind) else {
                continue;
            };
            let applied = self.engine.applied(inode)?;
            let is_shown = applied.is_some_and(|image| !image.links.is_empty());
            if is_shown || stat.ctime > record.ctime {
                continue;
            }
            let mut image = Image::absent(inode, kind);
            for place in self.places_of(&stat.id)?.into_iter().take(1) {
                image.links.push(ShownLink {
                    link: inode,
                    parent: place.parent,
                    name: place.name,
                    dot: Dot::default(),
                    explicit: true,
                });
            }
            self.found.undead += 1;
            self.engine.correct(inode, Some(image))?;
            self.engine.set_device(inode, Some(stat.image()))?;
        }
        Ok(())
    }

    /// Where an object is, in directories that are known.
    fn places_of(&mut self, id: &DevId) -> Result<Vec<Place>> {
        let at = self.places.get(id).map(|(_, at)| at.clone());
        let mut places = Vec::new();
        for (dir, name) in at.unwrap_or_default() {
            let parent = if dir == self.snapshot.root {
                Some(ROOT_INODE)
            } else {
                self.engine.inode_of(dir.ino, dir.btime)?
            };
            places.extend(parent.map(|parent| Place { parent, name }));
        }
        Ok(places)
    }

    fn seen_dir(&mut self, inode: u64) -> Result<Option<&DirSeen>> {
        let id = if inode == ROOT_INODE {
            Some(self.snapshot.root)
        } else {
            self.engine.device(inode)?.map(|device| DevId::of(&device))
        };
        Ok(id.and_then(|id| self.snapshot.dirs.get(&id)))
    }

    fn read(&self, stat: &Stat) -> Result<Option<Details>> {
        let at = self.places.get(&stat.id).and_then(|(_, at)| at.first());
        let Some((dir, name)) = at else {
            return Ok(None);
        };
        let Some(dir) = self.snapshot.dirs.get(dir) else {
            return Ok(None);
        };
        Ok(match observe(self.root, &dir.path, name, stat.id)? {
            Observed::Read(details) => Some(*details),
            // It is in use: what is written now is a change.
            Observed::Busy | Observed::Vanished | Observed::Unreadable(_) => None,
        })
    }
}

/// `image` with the values of `details`.
pub(super) fn with_values(image: &Image, details: &Details) -> Image {
    let mut shown = image.clone();
    let stat = &details.stat;
    let dot = |of: Option<Dot>| of.unwrap_or_default();
    if let Some(content) = &details.content {
        let known = shown.content.as_ref().map(|known| known.dot);
        // A file that was made and not written has no content.
        if known.is_some() || content.size > 0 {
            let (dot, value) = (dot(known), content.clone());
            shown.content = Some(Versioned { dot, value });
        }
    }
    if image.kind != NodeKind::Symlink
        && let Some(mode) = &mut shown.mode
    {
        mode.value = stat.mode;
    }
    if let Some(owner) = &mut shown.owner {
        owner.value = stat.owner;
    }
    if image.kind != NodeKind::Dir
        && let Some(mtime) = &mut shown.mtime
    {
        mtime.value = stat.mtime;
    }
    let known = std::mem::take(&mut shown.xattrs);
    for (name, value) in &details.xattrs {
        let dot = dot(known.get(name).map(|known| known.dot));
        let value = value.clone();
        shown.xattrs.insert(name.clone(), Versioned { dot, value });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::op::FileTime;

    const ENDED_US: u64 = 1_000_000_000;

    fn at(seconds: i64) -> FileTime {
        FileTime { seconds, nanos: 0 }
    }

    fn record(ctime: i64) -> DeviceImage {
        DeviceImage {
            ctime: at(ctime),
            size: 5,
            ..DeviceImage::default()
        }
    }

    fn stat(kind: NodeKind, ctime: i64, size: u64) -> Stat {
        Stat {
            id: DevId::default(),
            kind: Some(kind),
            mode: 0o644,
            owner: crate::journal::op::Owner { uid: 0, gid: 0 },
            nlink: 1,
            size,
            blocks: 0,
            ctime: at(ctime),
            mtime: at(0),
            device: (0, 0),
            mount_root: false,
        }
    }

    #[test]
    fn an_older_ctime_is_a_rollback_and_a_newer_one_a_change() {
        let judge = |kind, ctime, size| {
            judge(
                &record(900),
                Some(&stat(kind, ctime, size)),
                false,
                ENDED_US,
            )
        };
        use NodeKind::{Dir, File};
        assert_eq!(judge(File, 899, 5), Verdict::Older);
        assert_eq!(judge(File, 900, 5), Verdict::Sound);
        assert_eq!(judge(File, 900, 0), Verdict::Older, "same time, no bytes");
        assert_eq!(judge(File, 901, 0), Verdict::Sound);
        assert_eq!(judge(Dir, 900, 4_096), Verdict::Sound);
        assert_eq!(judge(Dir, 899, 4_096), Verdict::Older);
    }

    #[test]
    fn only_a_file_with_bytes_that_changed_about_the_end_may_be_half_written() {
        let may = |before, ctime| {
            let record = DeviceImage {
                size: before,
                ..record(900)
            };
            may_be_half_written(&record, &stat(NodeKind::File, ctime, 0), ENDED_US)
        };
        assert!(may(5, 940));
        // The journal ends before the disk does.
        assert!(may(5, 1_005));
        assert!(may(5, 1_120));
        assert!(!may(5, 1_121), "emptied long after");
        assert!(!may(5, 939), "emptied long before");
        assert!(!may(0, 940), "it was empty");
        let half = stat(NodeKind::File, 940, 0);
        let verdict = judge(&record(900), Some(&half), true, ENDED_US);
        assert_eq!(verdict, Verdict::Older);
    }

    #[test]
    fn only_what_was_journaled_within_a_minute_before_the_end_can_be_lost() {
        assert_eq!(judge(&record(940), None, false, ENDED_US), Verdict::Missing);
        assert_eq!(judge(&record(939), None, false, ENDED_US), Verdict::Sound);
    }
}
