//! A site that only receives gives way: what somebody changed in its tree stays until something arrives for it, and is
//! then put out of the way, so that the tree shows what was merged.
//!
//! Nothing of it goes away. Bytes of a file that were changed here are on record as the loser of a conflict before they
//! are displaced, and stay in the trash like any other loser's. What stands where something is to come, and is no such
//! file, is renamed beside it. A directory that is removed elsewhere and holds names of this site alone stays with them
//! and is this site's own from then on. What was removed here is made again.
//!
//! The same for a tree that was there before its site met the cluster ([`super::matching`]).
//!
//! All that is done is to correct the applied view to what is on the disk: images then find what they expect, and a
//! stop at any point leaves work to do again.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::fs::RenameFlags;
use rustix::io::Errno;

use super::apply::path_of;
use super::job::links;
use super::matching::Matched;
use super::observe::{Observed, observe};
use super::policy::Policy;
use super::rollback::with_values;
use super::root::{ROOT_INODE, Root};
use super::stat::{DevId, Stat, stat_at, stat_fd};
use super::stuck::Met;
use crate::clock;
use crate::error::{ReplError, Result};
use crate::journal::dot::Dot;
use crate::journal::op::{NAME_BYTES_MAX, Name, Place};
use crate::sync::port::{Engine, Image, NodeKind, ShownLink};

/// Part of the name that something of this site gets when its place is needed.
pub const DIVERGED_MARK: &str = ".cfs-diverged-";
/// Names that are tried.
const ATTEMPTS: u32 = 100;

/// Lets what stands in the way of the images that `met` it give way.
///
/// # Errors
/// When the engine or the disk fails; it can be done again.
pub fn concede(engine: &mut dyn Engine, root: &Root, now_us: u64, met: &[Met]) -> Result<()> {
    let mut pass = Pass::new(engine, root, now_us);
    for one in met {
        pass.object(one.inode)?;
        for goal in &one.goal {
            pass.place(one, goal.link, &goal.place)?;
        }
        if one.goal.is_empty() && one.kind == NodeKind::Dir {
            pass.kept(one.inode)?;
        }
    }
    Ok(())
}

/// Takes what stands where `images` are to come, which are shown nowhere yet, for them, or lets it give way.
///
/// # Errors
/// As [`concede`].
pub fn meet(
    engine: &mut dyn Engine,
    (root, policy): (&Root, &Policy),
    now_us: u64,
    images: &[Image],
) -> Result<Matched> {
    let inodes = images.iter().map(|image| image.inode).collect();
    let shown = engine.applied_of(inodes)?;
    let mut pass = Pass::new(engine, root, now_us);
    for (image, shown) in images.iter().zip(shown) {
        if shown.is_some_and(|shown| !shown.links.is_empty()) {
            continue;
        }
        let met = Met {
            inode: image.inode,
            order_us: image.order_us,
            dirs: BTreeSet::new(),
            kind: image.kind,
            goal: links(image),
            target: image.target.clone(),
        };
        for goal in &met.goal {
            let place = &goal.place;
            let Some(path) = path_of(pass.engine, place.parent)? else {
                continue;
            };
            // What is left out here is nobody's but the user's.
            if !policy.excludes_path(&path, &place.name, met.kind == NodeKind::Dir) {
                pass.place(&met, goal.link, place)?;
            }
        }
    }
    Ok(pass.matched)
}

struct Pass<'a> {
    engine: &'a mut dyn Engine,
    root: &'a Root,
    now_us: u64,
    /// Inodes whose applied view is as the disk is.
    judged: BTreeSet<u64>,
    matched: Matched,
}

/// A directory that is where it is shown.
struct Dir {
    path: Vec<Name>,
    fd: OwnedFd,
}

impl<'a> Pass<'a> {
    fn new(engine: &'a mut dyn Engine, root: &'a Root, now_us: u64) -> Self {
        Self {
            engine,
            root,
            now_us,
            judged: BTreeSet::new(),
            matched: Matched::default(),
        }
    }

    /// Corrects the applied view of `inode`.
    fn object(&mut self, inode: u64) -> Result<()> {
        if inode == ROOT_INODE || !self.judged.insert(inode) {
            return Ok(());
        }
        let image = self.engine.applied(inode)?;
        let is_there = |image: &Image| image.merged_into.is_none() && !image.links.is_empty();
        let Some(image) = image.filter(is_there) else {
            return Ok(());
        };
        let device = self.engine.device(inode)?;
        let (mut links, mut at) = (Vec::new(), None);
        for link in &image.links {
            let Some(dir) = self.dir(link.parent)? else {
                continue;
            };
            let Ok(stat) = stat_at(&dir.fd, link.name.as_bytes()) else {
                continue;
            };
            let is_same = device.is_some_and(|device| DevId::of(&device) == stat.id);
            if is_same || self.is_saved_over(&image, &stat)? {
                links.push(link.clone());
                at = Some((dir.path, link.name.clone(), stat));
            }
        }
        let Some((path, name, stat)) = at else {
            return self.gone(inode);
        };
        let is_whole = links.len() == image.links.len();
        if is_whole && (image.kind == NodeKind::Dir || device == Some(stat.image())) {
            return Ok(());
        }
        let image = Image { links, ..image };
        self.shown(image, &path, &name, &stat).map(drop)
    }

    /// Makes room at a place where `met` is to come.
    fn place(&mut self, met: &Met, link: u64, place: &Place) -> Result<()> {
        let Some(dir) = self.dir(place.parent)? else {
            return Ok(());
        };
        let Ok(stat) = stat_at(&dir.fd, place.name.as_bytes()) else {
            return Ok(());
        };
        let shown = self.engine.applied_at(vec![place.clone()])?;
        if let Some(inode) = shown.into_iter().next().flatten() {
            self.object(inode)?;
            let device = self.engine.device(inode)?;
            if device.is_some_and(|device| DevId::of(&device) == stat.id) {
                // It is shown there, and goes by an image of its own.
                return Ok(());
            }
        }
        let image = self.engine.applied(met.inode)?;
        let is_new = image.is_none_or(|image| image.links.is_empty());
        if is_new && self.is_alike(met, &dir, &place.name, &stat)? {
            let mut image = Image::absent(met.inode, met.kind);
            image.target.clone_from(&met.target);
            image.links.push(ShownLink {
                link,
                parent: place.parent,
                name: place.name.clone(),
                dot: Dot::default(),
                explicit: true,
            });
            let is_taken = self.shown(image, &dir.path, &place.name, &stat)?;
            self.matched.taken += u64::from(is_taken);
            return Ok(());
        }
        self.aside(&dir, &place.name)
    }

    /// Whether what stands at a place, and is of this site alone, can be taken for what is to come there: a directory, a
    /// link with the same text, or a file, whatever its bytes are.
    fn is_alike(&mut self, met: &Met, dir: &Dir, name: &Name, stat: &Stat) -> Result<bool> {
        if stat.kind != Some(met.kind)
            || self.engine.inode_of(stat.id.ino, stat.id.btime)?.is_some()
        {
            return Ok(false);
        }
        Ok(match met.kind {
            NodeKind::Dir => true,
            NodeKind::File => stat.nlink == 1,
            NodeKind::Symlink => {
                let text = rustix::fs::readlinkat(&dir.fd, name.as_bytes(), Vec::new());
                text.is_ok_and(|text| met.target.as_deref() == Some(text.to_bytes()))
            }
        })
    }

    /// A directory that is to go and holds nothing that is replicated any more stays for what is in it.
    fn kept(&mut self, inode: u64) -> Result<()> {
        let shown = self.engine.applied(inode)?;
        if shown.is_none_or(|image| image.links.is_empty())
            || !self.engine.applied_entries(inode)?.is_empty()
        {
            return Ok(());
        }
        let Some(dir) = self.dir(inode)? else {
            return Ok(());
        };
        let path = self.root.shown(&dir.path, None);
        let holds_any = rustix::fs::Dir::read_from(&dir.fd)
            .map_err(|e| ReplError::io("list", &path, e))?
            .filter_map(std::result::Result::ok)
            .any(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".."));
        if holds_any {
            tracing::warn!(
                ?path,
                "was removed elsewhere and stays here with what only this site has in it"
            );
            self.gone(inode)?;
        }
        Ok(())
    }

    /// `inode`, with everything in it, is not where it was shown.
    fn gone(&mut self, inode: u64) -> Result<()> {
        let mut todo = vec![inode];
        while let Some(inode) = todo.pop() {
            todo.extend(
                self.engine
                    .applied_entries(inode)?
                    .iter()
                    .map(|entry| entry.1),
            );
            self.judged.insert(inode);
            self.engine.correct(inode, None)?;
            self.engine.set_device(inode, None)?;
        }
        Ok(())
    }

    /// `image` is what stands at `name`; other bytes than those that are known are on record before they can go. False: it
    /// could not be read now.
    fn shown(&mut self, image: Image, path: &[Name], name: &Name, stat: &Stat) -> Result<bool> {
        let Observed::Read(details) = observe(self.root, path, name, stat.id)? else {
            // It is in use, or cannot be read: the image comes again.
            return Ok(false);
        };
        let known = image
            .content
            .as_ref()
            .map(|known| known.value.manifest_root);
        if let Some(content) = &details.content
            && content.size > 0
            && known != Some(content.manifest_root)
            && self.engine.give_way(image.inode, content.clone())?
        {
            self.matched.differed += 1;
        }
        let shown = with_values(&image, &details);
        self.engine.correct(image.inode, Some(shown))?;
        self.engine
            .set_device(image.inode, Some(details.stat.image()))?;
        Ok(true)
    }

    /// Whether a file of this site alone took the place of `image`, as editors do.
    fn is_saved_over(&mut self, image: &Image, stat: &Stat) -> Result<bool> {
        let is_candidate = image.kind == NodeKind::File && image.links.len() == 1;
        Ok(is_candidate && self.is_own_file(stat)?)
    }

    fn is_own_file(&mut self, stat: &Stat) -> Result<bool> {
        let is_plain = stat.kind == Some(NodeKind::File) && stat.nlink == 1;
        Ok(is_plain && self.engine.inode_of(stat.id.ino, stat.id.btime)?.is_none())
    }

    /// Opens the directory `inode`. One that is not where it was shown is gone from there, and so is what it held.
    fn dir(&mut self, inode: u64) -> Result<Option<Dir>> {
        let Some(path) = path_of(self.engine, inode)? else {
            return Ok(None);
        };
        if let Some(fd) = self.open(&path, inode)? {
            return Ok(Some(Dir { path, fd }));
        }
        let mut above = vec![inode];
        while let Some(image) = self.engine.applied(*above.last().unwrap_or(&ROOT_INODE))? {
            match image.links.first() {
                Some(link) if link.parent != ROOT_INODE => above.push(link.parent),
                Some(_) | None => break,
            }
        }
        for (depth, inode) in above.into_iter().rev().enumerate() {
            let path = path.get(..=depth).unwrap_or(&path);
            if self.open(path, inode)?.is_none() {
                self.gone(inode)?;
                break;
            }
        }
        Ok(None)
    }

    fn open(&mut self, path: &[Name], inode: u64) -> Result<Option<OwnedFd>> {
        let Ok(fd) = self.root.open_dir(path) else {
            return Ok(None);
        };
        let id = if inode == ROOT_INODE {
            Some(self.root.pin().root)
        } else {
            self.engine.device(inode)?.map(|device| DevId::of(&device))
        };
        let fail = |e| ReplError::io("stat", self.root.shown(path, None), e);
        let found = stat_fd(&fd).map_err(fail)?.id;
        Ok((id == Some(found)).then_some(fd))
    }

    /// Renames what only this site has to a free name beside it.
    fn aside(&mut self, dir: &Dir, name: &Name) -> Result<()> {
        let from = self.root.shown(&dir.path, Some(name));
        for attempt in 0..ATTEMPTS {
            let to = diverged_name(name, self.now_us, attempt);
            let flags = RenameFlags::NOREPLACE;
            let moved =
                rustix::fs::renameat_with(&dir.fd, name.as_bytes(), &dir.fd, to.as_bytes(), flags);
            match moved {
                Ok(()) => {
                    self.matched.renamed += 1;
                    let to = self.root.shown(&dir.path, Some(&to));
                    tracing::warn!(
                        ?from,
                        ?to,
                        "stood where something arrived that this site only receives, and was renamed"
                    );
                    return Ok(());
                }
                Err(Errno::EXIST) => {}
                // It went by itself.
                Err(Errno::NOENT) => return Ok(()),
                // A mount point, or a directory that may not be written to: status shows what waits.
                Err(Errno::BUSY | Errno::ACCESS | Errno::PERM | Errno::ROFS) => return Ok(()),
                Err(e) => return Err(ReplError::io("rename", from, e)),
            }
        }
        Ok(())
    }
}

/// `name.cfs-diverged-TIME`, the name cut so that it fits.
fn diverged_name(name: &Name, now_us: u64, attempt: u32) -> Name {
    let time = clock::compact(now_us).unwrap_or_else(|| now_us.to_string());
    let mut mark = format!("{DIVERGED_MARK}{time}");
    if attempt > 0 {
        mark.push_str(&format!("-{attempt}"));
    }
    let bytes = name.as_bytes();
    let mut end = bytes.len().min(NAME_BYTES_MAX - mark.len());
    // Not within a character.
    while end > 0 && bytes.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end -= 1;
    }
    let stem = bytes.get(..end).unwrap_or(bytes);
    Name::new([stem, mark.as_bytes()].concat()).unwrap_or_else(|_| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diverged(name: &[u8], attempt: u32) -> Vec<u8> {
        let name = Name::new(name.to_vec()).unwrap();
        let at_us = 1_764_262_799_000_000;
        diverged_name(&name, at_us, attempt).as_bytes().to_vec()
    }

    #[test]
    fn a_name_that_gives_way_says_when_and_fits() {
        assert_eq!(
            diverged(b"plan.txt", 0),
            b"plan.txt.cfs-diverged-20251127T165959Z"
        );
        assert_eq!(diverged(b"p", 2), b"p.cfs-diverged-20251127T165959Z-2");
        let long = diverged("\u{e9}".repeat(127).as_bytes(), 0);
        assert!(long.len() <= 255);
        let text = String::from_utf8(long).unwrap();
        assert!(
            text.ends_with("\u{e9}.cfs-diverged-20251127T165959Z"),
            "{text}"
        );
    }
}
