//! Hints of which directories changed, from inotify: never the truth, only a reason to look sooner.
//!
//! One watch a directory, set through the root's descriptor, before the directory is listed. When events were lost or
//! the system has no watches left, the watch says that it is blind, and the whole tree is scanned instead.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};

use super::policy::Policy;
use super::root::Root;
use super::walk::Snapshot;
use crate::error::{ReplError, Result};
use crate::journal::op::Name;

/// Room for some hundred events at a time.
const BUFFER_BYTES: usize = 64 * 1024;
/// Most reads of one [`Watch::drain`]: a tree that changes all the time must not keep the caller.
const READS_MAX: u32 = 256;

/// What happened since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// Directories to look at, by path from the root.
    pub dirty: BTreeSet<Vec<Name>>,
    /// Why only a full scan helps, if so.
    pub blind: Option<String>,
}

/// Watches the directories of a tree.
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    paths: BTreeMap<WatchDescriptor, Vec<Name>>,
    /// Set when a directory could not be watched: stays until all are.
    limit: Option<String>,
    buffer: Vec<u8>,
}

impl Watch {
    /// A watch of nothing yet.
    ///
    /// # Errors
    /// When the system has no inotify instance left.
    pub fn new() -> Result<Self> {
        let inotify = Inotify::init().map_err(|e| ReplError::io("start inotify", "", e))?;
        Ok(Self {
            inotify,
            paths: BTreeMap::new(),
            limit: None,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// A watch that sees nothing and says so: the tree is scanned.
    ///
    /// # Errors
    /// When the system has no inotify instance left.
    pub fn off() -> Result<Self> {
        let mut watch = Self::new()?;
        watch.limit = Some("inotify is switched off".to_owned());
        Ok(watch)
    }

    /// Watches every directory of the tree that `policy` does not exclude, from the top down.
    ///
    /// # Errors
    /// When the root cannot be listed.
    pub fn cover_tree(&mut self, root: &Root, policy: &Policy) -> Result<()> {
        self.limit = None;
        self.add(root, &[]);
        // Listed after it is watched: what appears in between is reported.
        let snapshot = Snapshot::of_tree(root, policy)?;
        for dir in snapshot.dirs.values() {
            self.add(root, &dir.path);
        }
        Ok(())
    }

    /// Why directories are not watched, if some are not.
    #[must_use]
    pub fn limit(&self) -> Option<&str> {
        self.limit.as_deref()
    }

    /// What happened since the last call; does not wait.
    ///
    /// # Errors
    /// When inotify fails for good.
    pub fn drain(&mut self, root: &Root, policy: &Policy) -> Result<Hints> {
        let mut hints = Hints::default();
        let mut new_dirs = BTreeSet::new();
        for _ in 0..READS_MAX {
            let events = match self.inotify.read_events(&mut self.buffer) {
                Ok(events) => events,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(ReplError::io("read inotify", root.path(), e)),
            };
            for event in events {
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    hints.blind = Some("inotify lost events".to_owned());
                    continue;
                }
                if event.mask.contains(EventMask::IGNORED) {
                    self.paths.remove(&event.wd);
                    continue;
                }
                let Some(path) = self.paths.get(&event.wd) else {
                    continue;
                };
                let arrives = EventMask::CREATE | EventMask::MOVED_TO;
                if event.mask.contains(EventMask::ISDIR)
                    && event.mask.intersects(arrives)
                    && let Some(name) = event.name.and_then(|name| name_of(name).ok())
                {
                    let mut below = path.clone();
                    below.push(name);
                    new_dirs.insert(below);
                }
                hints.dirty.insert(path.clone());
            }
        }
        for dir in new_dirs {
            self.cover_new(root, policy, dir, &mut hints);
        }
        if hints.blind.is_none() {
            hints.blind.clone_from(&self.limit);
        }
        Ok(hints)
    }

    /// Watches a directory that appeared and all below it; a moved one gets its new path by this.
    fn cover_new(&mut self, root: &Root, policy: &Policy, dir: Vec<Name>, hints: &mut Hints) {
        let excluded = dir
            .split_last()
            .is_some_and(|(name, above)| policy.excludes_path(above, name, true));
        if excluded {
            return;
        }
        self.add(root, &dir);
        match Snapshot::of_dirs(root, policy, vec![dir], &mut |_| Ok(true)) {
            Ok(snapshot) => {
                for seen in snapshot.dirs.into_values() {
                    self.add(root, &seen.path);
                    hints.dirty.insert(seen.path);
                }
            }
            Err(error) => hints.blind = Some(error.to_string()),
        }
    }

    fn add(&mut self, root: &Root, path: &[Name]) {
        let mask = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::MODIFY
            | WatchMask::CLOSE_WRITE
            | WatchMask::ATTRIB
            | WatchMask::ONLYDIR;
        let Ok(fd) = root.open_dir(path) else {
            // It is gone again, or cannot be read: the scan tells.
            return;
        };
        // Through the descriptor: a path could lead elsewhere by the time it is used.
        let at = format!("/proc/self/fd/{}", fd.as_raw_fd());
        match self.inotify.watches().add(at, mask) {
            Ok(wd) => {
                self.paths.insert(wd, path.to_vec());
            }
            Err(error) => {
                let watched = self.paths.len();
                self.limit = Some(format!(
                    "only {watched} directories are watched (fs.inotify.max_user_watches): {error}"
                ));
            }
        }
    }
}

fn name_of(name: &OsStr) -> Result<Name> {
    Name::new(name.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn watched() -> (tempfile::TempDir, Root, Watch) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::adopt(dir.path(), [1; 16]).unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let mut watch = Watch::new().unwrap();
        watch.cover_tree(&root, &Policy::default()).unwrap();
        watch.drain(&root, &Policy::default()).unwrap();
        (dir, root, watch)
    }

    fn dirty(watch: &mut Watch, root: &Root) -> Vec<String> {
        let hints = watch.drain(root, &Policy::default()).unwrap();
        assert_eq!(hints.blind, None);
        let below = |path: &Vec<Name>| {
            let shown = root.shown(path, None);
            shown
                .strip_prefix(root.path())
                .unwrap()
                .display()
                .to_string()
        };
        hints.dirty.iter().map(below).collect()
    }

    #[test]
    fn changes_name_their_directory_and_nothing_else() {
        let (dir, root, mut watch) = watched();
        assert_eq!(dirty(&mut watch, &root), [""; 0]);
        fs::write(dir.path().join("a/b/f"), b"x").unwrap();
        assert_eq!(dirty(&mut watch, &root), ["a/b"]);
        fs::rename(dir.path().join("a/b/f"), dir.path().join("f")).unwrap();
        assert_eq!(dirty(&mut watch, &root), ["", "a/b"]);
    }

    #[test]
    fn a_watch_that_is_off_says_that_it_is_blind() {
        let (dir, root, _) = watched();
        let mut watch = Watch::off().unwrap();
        fs::write(dir.path().join("a/b/f"), b"x").unwrap();
        let hints = watch.drain(&root, &Policy::default()).unwrap();
        assert_eq!(hints.dirty, BTreeSet::new());
        assert_eq!(hints.blind.as_deref(), Some("inotify is switched off"));
    }

    #[test]
    fn new_and_moved_directories_are_watched_with_all_below() {
        let (dir, root, mut watch) = watched();
        fs::create_dir_all(dir.path().join("n/m")).unwrap();
        assert_eq!(dirty(&mut watch, &root), ["", "n", "n/m"]);
        fs::write(dir.path().join("n/m/f"), b"x").unwrap();
        assert_eq!(dirty(&mut watch, &root), ["n/m"]);
        fs::rename(dir.path().join("a"), dir.path().join("n/a2")).unwrap();
        dirty(&mut watch, &root);
        fs::write(dir.path().join("n/a2/b/f"), b"x").unwrap();
        assert_eq!(dirty(&mut watch, &root), ["n/a2/b"]);
    }
}
