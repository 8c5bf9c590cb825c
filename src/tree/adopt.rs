//! Binds a tree that was restored by copy to what its state folder knows of it: every object has a new inode number.
//!
//! Only an operator starts this. An object at its path, of its kind, with its size, mtime and attributes is taken for
//! the one that was there; anything else at its path is read by the scan that follows, which journals what differs.
//! A file that is at no known path is looked for by its bytes, so that one that was moved after the copy stays itself.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use bytes::Bytes;

use super::change::{attribute_changes, is_content};
use super::observe::{Details, Observed, observe};
use super::policy::Policy;
use super::root::{ROOT_INODE, Root};
use super::stat::{DevId, Stat};
use super::walk::{DirSeen, Snapshot};
use super::xattr;
use crate::error::Result;
use crate::journal::op::{FileTime, Name};
use crate::sync::port::{DeviceImage, Engine, Image, NodeKind, Round};

/// What was bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Adopted {
    /// Objects that are as they were.
    pub same: u64,
    /// Objects at their path that have to be read.
    pub to_read: u64,
    /// Files that were found elsewhere by their bytes.
    pub moved: u64,
    /// Objects that are nowhere: the scan journals that they were removed.
    pub missing: u64,
}

/// Binds everything that `engine` shows to the objects of the tree.
///
/// # Errors
/// When the engine or the disk fails; it can be run again.
pub fn rebind(engine: &mut dyn Engine, root: &Root, policy: &Policy) -> Result<Adopted> {
    let snapshot = Snapshot::of_tree(root, policy)?;
    let mut pass = Pass {
        engine,
        root,
        policy,
        snapshot: &snapshot,
        bound: BTreeMap::new(),
        taken: BTreeSet::new(),
        missing: BTreeMap::new(),
        adopted: Adopted::default(),
    };
    pass.by_path()?;
    pass.by_bytes()?;
    pass.adopted.missing = pass.missing.len() as u64;
    let Pass {
        bound,
        missing,
        adopted,
        ..
    } = pass;
    // All old identities go before a new one comes: numbers are used again.
    for inode in bound.keys().chain(missing.keys()) {
        engine.set_device(*inode, None)?;
    }
    for (inode, device) in bound {
        engine.set_device(inode, Some(device))?;
    }
    // Durable before the scan journals on top of it.
    engine.done(Round::default())?;
    Ok(adopted)
}

struct Pass<'a> {
    engine: &'a mut dyn Engine,
    root: &'a Root,
    policy: &'a Policy,
    snapshot: &'a Snapshot,
    bound: BTreeMap<u64, DeviceImage>,
    taken: BTreeSet<DevId>,
    missing: BTreeMap<u64, Image>,
    adopted: Adopted,
}

impl Pass<'_> {
    fn by_path(&mut self) -> Result<()> {
        let mut todo = vec![(ROOT_INODE, Some(self.snapshot.root))];
        while let Some((dir, id)) = todo.pop() {
            let snapshot = self.snapshot;
            let seen = id.and_then(|id| snapshot.dirs.get(&id));
            for (name, inode, _) in self.engine.applied_entries(dir)? {
                if self.bound.contains_key(&inode) {
                    continue;
                }
                let Some(image) = self.engine.applied(inode)? else {
                    continue;
                };
                let stat = seen.and_then(|seen| Some((seen, seen.entries.get(&name)?)));
                let stat = stat.filter(|(_, stat)| {
                    stat.kind == Some(image.kind) && !self.taken.contains(&stat.id)
                });
                let here = stat.map(|(_, stat)| stat.id);
                match stat {
                    Some((seen, stat)) => self.bind(&image, seen, &name, stat)?,
                    None => {
                        self.missing.insert(inode, image.clone());
                    }
                }
                if image.kind == NodeKind::Dir {
                    todo.push((inode, here));
                }
            }
        }
        Ok(())
    }

    fn bind(&mut self, image: &Image, seen: &DirSeen, name: &Name, stat: &Stat) -> Result<()> {
        let mut device = stat.image();
        if self.is_same(image, seen, name, stat)? {
            self.adopted.same += 1;
        } else {
            // So that the scan reads it, whatever its times say.
            device.ctime = FileTime::default();
            self.adopted.to_read += 1;
        }
        self.take(image.inode, stat, device);
        Ok(())
    }

    fn take(&mut self, inode: u64, stat: &Stat, device: DeviceImage) {
        self.missing.remove(&inode);
        self.bound.insert(inode, device);
        self.taken.insert(stat.id);
    }

    /// Whether everything but the bytes is as it was, and the bytes by size and mtime.
    fn is_same(&mut self, image: &Image, seen: &DirSeen, name: &Name, stat: &Stat) -> Result<bool> {
        let Some(record) = self.engine.device(image.inode)? else {
            return Ok(false);
        };
        match image.kind {
            NodeKind::File if (record.size, record.mtime) != (stat.size, stat.mtime) => {
                return Ok(false);
            }
            // Its text has to be read.
            NodeKind::Symlink => return Ok(false),
            NodeKind::File | NodeKind::Dir => {}
        }
        let Some(xattrs) = self.xattrs(seen, name) else {
            return Ok(false);
        };
        let details = Details {
            stat: *stat,
            content: image.content.as_ref().map(|content| content.value.clone()),
            target: None,
            xattrs,
        };
        let privileged = self.root.privileged();
        Ok(attribute_changes(image, &details, self.policy, privileged).is_empty())
    }

    fn xattrs(&self, seen: &DirSeen, name: &Name) -> Option<BTreeMap<Bytes, Bytes>> {
        let file: OwnedFd = self
            .root
            .open_dir(&seen.path)
            .and_then(|dir| Root::open_file(&dir, name))
            .ok()?;
        let all = xattr::read_all(&file).ok()?.into_iter();
        Some(
            all.map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// Files that are at no known path, by size and then by their bytes.
    fn by_bytes(&mut self) -> Result<()> {
        let mut by_size: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (inode, image) in &self.missing {
            let size = image.content.as_ref().map(|content| content.value.size);
            if let Some(size) = size.filter(|size| *size > 0) {
                by_size.entry(size).or_default().push(*inode);
            }
        }
        let snapshot = self.snapshot;
        for seen in snapshot.dirs.values() {
            for (name, stat) in &seen.entries {
                let wanted = by_size.get(&stat.size).map_or(&[][..], Vec::as_slice);
                if stat.kind == Some(NodeKind::File)
                    && !self.taken.contains(&stat.id)
                    && !wanted.is_empty()
                {
                    self.find(wanted, seen, name, stat)?;
                }
            }
        }
        Ok(())
    }

    fn find(&mut self, wanted: &[u64], seen: &DirSeen, name: &Name, stat: &Stat) -> Result<()> {
        let Observed::Read(details) = observe(self.root, &seen.path, name, stat.id)? else {
            return Ok(());
        };
        let Some(content) = &details.content else {
            return Ok(());
        };
        let found = wanted.iter().find(|inode| {
            let image = self.missing.get(inode);
            image.is_some_and(|image| is_content(image, content))
        });
        if let Some(inode) = found.copied() {
            let mut device = stat.image();
            device.ctime = FileTime::default();
            self.take(inode, stat, device);
            self.adopted.moved += 1;
        }
        Ok(())
    }
}
