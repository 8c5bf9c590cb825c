//! Lists directories through the root's descriptor into a snapshot, holding one descriptor at a time.
//!
//! A snapshot of a tree in use is never of one moment: a file that moves from a directory not yet listed to one that
//! was is seen nowhere. So every listed directory is looked at again (`Snapshot::refresh`) until none changed since
//! its listing; only then may a missing name be taken as removed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::Dir;
use rustix::io::Errno;

use super::policy::Policy;
use super::root::Root;
use super::stat::{DevId, Stat, stat_at, stat_fd};
use crate::error::{ReplError, Result};
use crate::journal::op::{Name, RESERVED_NAME};
use crate::sync::port::NodeKind;

/// Rounds of looking again before a snapshot counts as unstable; a busy tree settles in two or three.
const REFRESH_ROUNDS: u32 = 5;

/// Something that is left alone, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Where.
    pub path: PathBuf,
    /// What and why.
    pub kind: NoteKind,
}

/// Why something is left alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// A socket, a fifo or a device.
    Special,
    /// A mounted filesystem or another subvolume.
    Mount,
    /// A name that belongs to the replicator.
    Reserved,
    /// It cannot be read.
    Unreadable {
        /// What the system said.
        reason: String,
    },
}

/// One directory as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirSeen {
    /// Names from the root to it.
    pub path: Vec<Name>,
    /// Its metadata before the listing.
    pub stat: Stat,
    /// What it holds.
    pub entries: BTreeMap<Name, Stat>,
    /// Names that are there but left alone.
    pub held: BTreeSet<Name>,
}

/// Directories as they were listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// By identity. A directory that could not be listed is absent, and nothing is known of what it holds.
    pub dirs: BTreeMap<DevId, DirSeen>,
    /// The root directory.
    pub root: DevId,
    /// What was left alone.
    pub notes: BTreeSet<Note>,
    /// Whether the whole tree was walked.
    pub full: bool,
    /// Whether no directory changed after its listing.
    pub stable: bool,
}

/// Tells whether to list a directory that was found below another one.
pub type Descend<'a> = dyn FnMut(&Stat) -> Result<bool> + 'a;

impl Snapshot {
    /// Lists the whole tree.
    ///
    /// # Errors
    /// When the root cannot be listed.
    pub fn of_tree(root: &Root, policy: &Policy) -> Result<Self> {
        let mut snapshot = Self {
            root: root.pin().root,
            full: true,
            ..Self::default()
        };
        snapshot.list_below(root, policy, vec![Vec::new()], &mut |_| Ok(true))?;
        if !snapshot.dirs.contains_key(&snapshot.root) {
            let source = std::io::Error::other("the root directory cannot be listed");
            return Err(ReplError::io("scan", root.path(), source));
        }
        snapshot.refresh(root, policy, &mut |_| Ok(true))?;
        Ok(snapshot)
    }

    /// Lists the directories `paths`, and below them those for which `descend` is true.
    ///
    /// # Errors
    /// What `descend` returns.
    pub fn of_dirs(
        root: &Root,
        policy: &Policy,
        paths: Vec<Vec<Name>>,
        descend: &mut Descend<'_>,
    ) -> Result<Self> {
        let mut snapshot = Self {
            root: root.pin().root,
            ..Self::default()
        };
        snapshot.list_below(root, policy, paths, descend)?;
        snapshot.refresh(root, policy, descend)?;
        Ok(snapshot)
    }

    /// Lists again what changed since it was listed, until nothing did.
    fn refresh(&mut self, root: &Root, policy: &Policy, descend: &mut Descend<'_>) -> Result<()> {
        for _ in 0..REFRESH_ROUNDS {
            let changed = self.changed(root);
            self.stable = changed.is_empty();
            if self.stable {
                return Ok(());
            }
            let mut again = Vec::new();
            for id in changed {
                again.extend(self.dirs.remove(&id).map(|dir| dir.path));
            }
            let known: BTreeSet<DevId> = self.dirs.keys().copied().collect();
            self.list_below(root, policy, again, &mut |stat| {
                Ok(!known.contains(&stat.id) && descend(stat)?)
            })?;
            if self.full {
                self.settle();
            }
        }
        Ok(())
    }

    /// Directories whose times moved since they were listed, or that are no longer where they were.
    fn changed(&self, root: &Root) -> Vec<DevId> {
        let same = |dir: &DirSeen| {
            let now = root.open_dir(&dir.path).and_then(stat_fd);
            now.is_ok_and(|now| {
                (now.id, now.ctime, now.mtime) == (dir.stat.id, dir.stat.ctime, dir.stat.mtime)
            })
        };
        let changed = self.dirs.iter().filter(|(_, dir)| !same(dir));
        changed.map(|(id, _)| *id).collect()
    }

    /// Drops directories that no listed directory holds any more and corrects the paths of those that moved.
    fn settle(&mut self) {
        let mut kept = BTreeMap::new();
        let mut todo = vec![(self.root, Vec::new())];
        while let Some((id, path)) = todo.pop() {
            let Some(mut dir) = self.dirs.remove(&id) else {
                continue;
            };
            dir.path = path;
            for (name, stat) in &dir.entries {
                if stat.kind == Some(NodeKind::Dir) {
                    let mut below = dir.path.clone();
                    below.push(name.clone());
                    todo.push((stat.id, below));
                }
            }
            kept.insert(id, dir);
        }
        self.dirs = kept;
    }

    fn list_below(
        &mut self,
        root: &Root,
        policy: &Policy,
        mut todo: Vec<Vec<Name>>,
        descend: &mut Descend<'_>,
    ) -> Result<()> {
        while let Some(path) = todo.pop() {
            let dir = match list(root, policy, &path, &mut self.notes) {
                Ok(dir) => dir,
                // It went away or moved: its parent tells.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => continue,
                Err(e) => {
                    self.note_unreadable(root.shown(&path, None), e);
                    continue;
                }
            };
            for (name, stat) in &dir.entries {
                if stat.kind == Some(NodeKind::Dir)
                    && !self.dirs.contains_key(&stat.id)
                    && descend(stat)?
                {
                    let mut below = path.clone();
                    below.push(name.clone());
                    todo.push(below);
                }
            }
            self.dirs.insert(dir.stat.id, dir);
        }
        Ok(())
    }

    fn note_unreadable(&mut self, path: PathBuf, error: Errno) {
        let reason = std::io::Error::from(error).to_string();
        self.notes.insert(Note {
            path,
            kind: NoteKind::Unreadable { reason },
        });
    }
}

/// Names of the directories in the directory `path`, apart from those that are left alone.
pub(super) fn dirs_in(
    root: &Root,
    policy: &Policy,
    path: &[Name],
) -> rustix::io::Result<Vec<Name>> {
    let seen = list(root, policy, path, &mut BTreeSet::new())?;
    let entries = seen.entries.into_iter();
    let dirs = entries.filter(|(_, stat)| stat.kind == Some(NodeKind::Dir));
    Ok(dirs.map(|(name, _)| name).collect())
}

fn list(
    root: &Root,
    policy: &Policy,
    path: &[Name],
    notes: &mut BTreeSet<Note>,
) -> rustix::io::Result<DirSeen> {
    let fd = root.open_dir(path)?;
    let mut seen = DirSeen {
        path: path.to_vec(),
        stat: stat_fd(&fd)?,
        entries: BTreeMap::new(),
        held: BTreeSet::new(),
    };
    for entry in Dir::read_from(&fd)? {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        if bytes == b"." || bytes == b".." {
            continue;
        }
        let name = match Name::new(bytes.to_vec()) {
            Ok(name) => name,
            Err(_) if bytes == RESERVED_NAME => {
                if !path.is_empty() {
                    notes.insert(Note {
                        path: root.shown(path, None).join(".cfs-repl"),
                        kind: NoteKind::Reserved,
                    });
                }
                continue;
            }
            // A filesystem of its own making may give names that Linux does not take.
            Err(error) => {
                let reason = error.to_string();
                notes.insert(Note {
                    path: root.shown(path, None),
                    kind: NoteKind::Unreadable { reason },
                });
                continue;
            }
        };
        list_entry(root, policy, &fd, &mut seen, name, notes);
    }
    Ok(seen)
}

fn list_entry(
    root: &Root,
    policy: &Policy,
    fd: &OwnedFd,
    seen: &mut DirSeen,
    name: Name,
    notes: &mut BTreeSet<Note>,
) {
    let mut note = |kind| {
        let path = root.shown(&seen.path, Some(&name));
        notes.insert(Note { path, kind });
    };
    let stat = match stat_at(fd, name.as_bytes()) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return,
        Err(e) => {
            let reason = std::io::Error::from(e).to_string();
            note(NoteKind::Unreadable { reason });
            seen.held.insert(name);
            return;
        }
    };
    let held = if root.is_foreign(&stat) {
        note(NoteKind::Mount);
        true
    } else if stat.kind.is_none() {
        note(NoteKind::Special);
        true
    } else {
        policy.excludes(&seen.path, &name, stat.kind == Some(NodeKind::Dir))
    };
    if held {
        seen.held.insert(name);
    } else {
        seen.entries.insert(name, stat);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(dir: &DirSeen) -> Vec<String> {
        let names = dir.entries.keys();
        names
            .map(|name| name.as_bytes().escape_ascii().to_string())
            .collect()
    }

    #[test]
    fn special_files_and_excluded_names_are_held_and_listed_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::adopt(dir.path(), [1; 16]).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("sock")).unwrap();
        fs::create_dir_all(dir.path().join("d/.cfs-repl/x")).unwrap();
        fs::write(dir.path().join("d/a.tmp"), b"").unwrap();
        fs::write(dir.path().join("d/a"), b"").unwrap();
        let policy = Policy::excluding(&["*.tmp"]).unwrap();
        let snapshot = Snapshot::of_tree(&root, &policy).unwrap();
        assert!(snapshot.stable && snapshot.full);
        assert_eq!(snapshot.dirs.len(), 2);
        let below = snapshot
            .dirs
            .values()
            .find(|dir| !dir.path.is_empty())
            .unwrap();
        assert_eq!(names(below), ["a"]);
        assert_eq!(below.held.len(), 1);
        let kinds: Vec<_> = snapshot
            .notes
            .iter()
            .map(|note| note.kind.clone())
            .collect();
        assert_eq!(kinds, [NoteKind::Reserved, NoteKind::Special]);
    }

    #[test]
    fn a_directory_that_changed_after_its_listing_is_listed_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::adopt(dir.path(), [1; 16]).unwrap();
        let policy = Policy::default();
        for name in ["a", "b", "c"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("b/f"), b"").unwrap();
        let mut snapshot = Snapshot::of_tree(&root, &policy).unwrap();
        fs::rename(dir.path().join("b/f"), dir.path().join("a/f")).unwrap();
        fs::rename(dir.path().join("c"), dir.path().join("a/c")).unwrap();
        snapshot.refresh(&root, &policy, &mut |_| Ok(true)).unwrap();
        assert!(snapshot.stable);
        let shown: BTreeMap<_, _> = snapshot
            .dirs
            .values()
            .map(|dir| (root.shown(&dir.path, None), names(dir).join(" ")))
            .collect();
        let at = |path: &str| shown[&dir.path().join(path)].as_str();
        assert_eq!(
            (at("a"), at("b"), at("a/c"), shown.len()),
            ("c f", "", "", 4)
        );
    }
}
