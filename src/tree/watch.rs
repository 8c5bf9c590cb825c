//! Hints of which directories changed, from inotify: never the truth, only a reason to look sooner.
//!
//! One watch a directory, set through the root's descriptor, before the directory is listed. Files that were written to
//! and not closed are told apart from everything else, which is worth a look at once. When events were lost or the
//! system has no watches left, the watch says that it is blind, and the whole tree is scanned instead.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use inotify::{Event, EventMask, Inotify, WatchDescriptor, WatchMask};
use rustix::io::Errno;

use super::agenda::FileAt;
use super::policy::Policy;
use super::root::Root;
use super::stat::stat_at;
use super::walk::dirs_in;
use crate::error::{ReplError, Result};
use crate::journal::op::Name;
use crate::sync::port::NodeKind;

/// Room for some hundred events at a time.
const BUFFER_BYTES: usize = 64 * 1024;
/// Most reads of one [`Watch::drain`]: a tree that changes all the time must not keep the caller.
const READS_MAX: u32 = 256;

/// What became of a file, as far as the last event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileHint {
    /// It was made or written to, and nobody closed it since.
    Written,
    /// It was closed after writing, or got this name.
    Closed,
    /// Its name went away.
    Gone,
}

/// What happened since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// Directories to look at, by path from the root.
    pub dirty: BTreeSet<Vec<Name>>,
    /// Files with events of their own.
    pub files: BTreeMap<FileAt, FileHint>,
    /// There may be more to read already.
    pub more: bool,
    /// Why only a full scan helps, if so.
    pub blind: Option<String>,
}

/// Watches the directories of a tree.
#[derive(Debug)]
pub struct Watch {
    /// None: the system has no instance left for this process.
    inotify: Option<Inotify>,
    paths: BTreeMap<WatchDescriptor, Vec<Name>>,
    /// Set when a directory could not be watched: stays until all are.
    limit: Option<String>,
    /// Directories that are watched at most, for tests of the limit.
    dirs_max: usize,
    /// It is not to see anything.
    is_off: bool,
    buffer: Vec<u8>,
}

impl Watch {
    /// A watch of nothing yet. Without an inotify instance it is blind, and says so.
    ///
    /// # Errors
    /// When the system refuses inotify for another reason than a limit.
    pub fn new() -> Result<Self> {
        let mut watch = Self {
            is_off: false,
            limit: None,
            buffer: vec![0; BUFFER_BYTES],
            ..Self::off()
        };
        watch.start()?;
        Ok(watch)
    }

    /// The same, which watches at most `dirs_max` directories.
    ///
    /// # Errors
    /// As [`Watch::new`].
    pub fn of_at_most(dirs_max: usize) -> Result<Self> {
        Ok(Self {
            dirs_max,
            ..Self::new()?
        })
    }

    /// A watch that sees nothing and says so: the tree is scanned.
    #[must_use]
    pub fn off() -> Self {
        Self {
            inotify: None,
            paths: BTreeMap::new(),
            limit: Some("inotify is switched off".to_owned()),
            dirs_max: usize::MAX,
            is_off: true,
            buffer: Vec::new(),
        }
    }

    fn start(&mut self) -> Result<()> {
        match Inotify::init() {
            Ok(inotify) => self.inotify = Some(inotify),
            Err(error) if is_limit(&error) => {
                self.limit = Some(format!(
                    "no directory is watched (fs.inotify.max_user_instances, open files): {error}"
                ));
            }
            Err(error) => return Err(ReplError::io("start inotify", "", error)),
        }
        Ok(())
    }

    /// Watches every directory of the tree that `policy` does not exclude, from the top down; again after a limit was
    /// met, which may have been raised.
    ///
    /// # Errors
    /// When the root cannot be listed, or inotify is refused.
    pub fn cover_tree(&mut self, root: &Root, policy: &Policy) -> Result<()> {
        if self.is_off {
            return Ok(());
        }
        self.limit = None;
        if self.inotify.is_none() {
            self.start()?;
        }
        let root_seen = self.cover(root, policy, Vec::new(), &mut |_| ());
        root_seen.map_err(|e| ReplError::io("watch", root.path(), io::Error::from(e)))
    }

    /// Watches a directory and all below it, and tells of each. Every one is watched before it is listed: what appears
    /// in between is reported, and what was there before is found. An error is that of the first directory.
    fn cover(
        &mut self,
        root: &Root,
        policy: &Policy,
        dir: Vec<Name>,
        covered: &mut dyn FnMut(Vec<Name>),
    ) -> rustix::io::Result<()> {
        let mut first = Some(());
        let mut todo = vec![dir];
        while let Some(path) = todo.pop() {
            self.add(root, &path);
            let is_first = first.take().is_some();
            match dirs_in(root, policy, &path) {
                Ok(names) => {
                    let below = names.into_iter().map(|name| {
                        let mut below = path.clone();
                        below.push(name);
                        below
                    });
                    todo.extend(below);
                    covered(path);
                }
                Err(error) if is_first => return Err(error),
                // It went away or moved, which is reported; or it cannot be read, which the scan tells.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Why directories are not watched, if some are not.
    #[must_use]
    pub fn limit(&self) -> Option<&str> {
        self.limit.as_deref()
    }

    /// Becomes readable when something happened.
    #[must_use]
    pub fn events(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// What happened since the last call; does not wait.
    ///
    /// # Errors
    /// When inotify fails for good.
    pub fn drain(&mut self, root: &Root, policy: &Policy) -> Result<Hints> {
        let mut gathered = Gathered::default();
        gathered.hints.more = true;
        for _ in 0..READS_MAX {
            let Some(inotify) = &mut self.inotify else {
                gathered.hints.more = false;
                break;
            };
            match inotify.read_events(&mut self.buffer) {
                Ok(events) => {
                    for event in events {
                        gathered.take(&event, &mut self.paths, policy);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    gathered.hints.more = false;
                    break;
                }
                Err(e) => return Err(ReplError::io("read inotify", root.path(), e)),
            }
        }
        let Gathered {
            mut hints,
            made,
            new_dirs,
        } = gathered;
        for file in made {
            finish_made(root, file, &mut hints);
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
        let covered = self.cover(root, policy, dir, &mut |path| {
            hints.dirty.insert(path);
        });
        if let Err(error) = covered {
            // Gone again, which is reported.
            tracing::debug!(%error, "a directory that appeared was not covered");
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
        let Some(inotify) = &self.inotify else {
            return;
        };
        let Ok(fd) = root.open_dir(path) else {
            // It is gone again, or cannot be read: the scan tells.
            return;
        };
        let watched = self.paths.len();
        // Through the descriptor: a path could lead elsewhere by the time it is used.
        let at = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let added = if watched < self.dirs_max || self.paths.values().any(|known| known == path) {
            inotify.watches().add(at, mask)
        } else {
            Err(Errno::NOSPC.into())
        };
        match added {
            Ok(wd) => {
                self.paths.insert(wd, path.to_vec());
            }
            Err(error) => {
                // The first one is told: the number must not change from call to call.
                self.limit.get_or_insert_with(|| {
                    format!(
                        "only {watched} directories are watched (fs.inotify.max_user_watches): {error}"
                    )
                });
            }
        }
    }
}

fn is_limit(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOSPC))
}

/// Events on their way to hints.
#[derive(Debug, Default)]
struct Gathered {
    hints: Hints,
    /// Files of which the last thing known is that they were made: by opening them, or by a link.
    made: BTreeSet<FileAt>,
    new_dirs: BTreeSet<Vec<Name>>,
}

impl Gathered {
    fn take(
        &mut self,
        event: &Event<&OsStr>,
        paths: &mut BTreeMap<WatchDescriptor, Vec<Name>>,
        policy: &Policy,
    ) {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            self.hints.blind = Some("inotify lost events".to_owned());
            return;
        }
        if event.mask.contains(EventMask::IGNORED) {
            paths.remove(&event.wd);
            return;
        }
        let Some(path) = paths.get(&event.wd) else {
            return;
        };
        let is_dir = event.mask.contains(EventMask::ISDIR);
        // Without a name it is the directory itself; a name that no file of ours has is the replicator's own.
        let Some(name) = event.name.map(name_of) else {
            self.hints.dirty.insert(path.clone());
            return;
        };
        let Ok(name) = name else { return };
        if policy.excludes(path, &name, is_dir) {
            return;
        }
        let arrives = EventMask::CREATE | EventMask::MOVED_TO;
        if is_dir {
            if event.mask.intersects(arrives) {
                let mut below = path.clone();
                below.push(name);
                self.new_dirs.insert(below);
            }
            self.hints.dirty.insert(path.clone());
            return;
        }
        self.take_file(event.mask, (path.clone(), name));
    }

    fn take_file(&mut self, mask: EventMask, file: FileAt) {
        let hint = if mask.intersects(EventMask::CREATE | EventMask::MODIFY) {
            if mask.contains(EventMask::CREATE) {
                self.made.insert(file.clone());
            }
            Some(FileHint::Written)
        } else if mask.intersects(EventMask::CLOSE_WRITE | EventMask::MOVED_TO) {
            Some(FileHint::Closed)
        } else if mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
            Some(FileHint::Gone)
        } else {
            None
        };
        if hint != Some(FileHint::Written) {
            self.hints.dirty.insert(file.0.clone());
        }
        if let Some(hint) = hint {
            self.hints.files.insert(file, hint);
        }
    }
}

/// A name that appeared: a file that was just opened for writing will be closed; a link of one that was there, or a
/// symbolic link, is whole.
fn finish_made(root: &Root, file: FileAt, hints: &mut Hints) {
    if hints.files.get(&file) != Some(&FileHint::Written) {
        return;
    }
    let stat = root.open_dir(&file.0);
    let stat = stat.and_then(|dir| stat_at(&dir, file.1.as_bytes()));
    if !stat.is_ok_and(|stat| stat.kind == Some(NodeKind::File) && stat.nlink == 1) {
        hints.dirty.insert(file.0.clone());
        hints.files.insert(file, FileHint::Closed);
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
    fn a_directory_that_appears_right_behind_the_listing_of_the_one_above_it_is_watched() {
        let (dir, root, mut watch) = watched();
        let policy = Policy::default();
        fs::create_dir_all(dir.path().join("a/new/s/t")).unwrap();
        let names = |path: &str| -> Vec<Name> {
            let names = path.split('/').map(OsStr::new);
            names.map(|name| name_of(name).unwrap()).collect()
        };
        let mut covered = Vec::new();
        let made = watch.cover(&root, &policy, names("a/new"), &mut |path| {
            let late = root.shown(&path, None).join("late");
            fs::create_dir(late).unwrap();
            covered.push(path);
        });
        made.unwrap();
        assert_eq!(covered.len(), 3, "{covered:?}");
        // What was made behind each listing is known by its event alone.
        while !watch.drain(&root, &policy).unwrap().dirty.is_empty() {}
        let watched: BTreeSet<Vec<Name>> = watch.paths.values().cloned().collect();
        for late in ["a/new/late", "a/new/s/late", "a/new/s/t/late"] {
            assert!(watched.contains(&names(late)), "{late}");
        }
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

    fn hints_of(watch: &mut Watch, root: &Root) -> (Vec<String>, Vec<(String, FileHint)>) {
        let hints = watch.drain(root, &Policy::default()).unwrap();
        let text = |name: &Name| name.as_bytes().escape_ascii().to_string();
        let dir = |dir: &Vec<Name>| dir.iter().map(text).collect::<Vec<_>>().join("/");
        let files = hints.files.iter();
        (
            hints.dirty.iter().map(dir).collect(),
            files
                .map(|(file, hint)| (format!("{}/{}", dir(&file.0), text(&file.1)), *hint))
                .collect(),
        )
    }

    #[test]
    fn an_open_file_is_told_apart_until_it_is_closed() {
        use FileHint::{Closed, Gone, Written};
        use std::io::Write as _;

        let (dir, root, mut watch) = watched();
        let mut file = fs::File::create(dir.path().join("a/f")).unwrap();
        let f = |hint| vec![("a/f".to_owned(), hint)];
        assert_eq!(hints_of(&mut watch, &root), (vec![], f(Written)));
        file.write_all(b"x").unwrap();
        assert_eq!(hints_of(&mut watch, &root), (vec![], f(Written)));
        drop(file);
        assert_eq!(hints_of(&mut watch, &root), (vec!["a".into()], f(Closed)));
        fs::remove_file(dir.path().join("a/f")).unwrap();
        assert_eq!(hints_of(&mut watch, &root), (vec!["a".into()], f(Gone)));
    }

    #[test]
    fn links_and_renames_are_whole_when_they_appear() {
        use FileHint::{Closed, Gone};

        let (dir, root, mut watch) = watched();
        let at = |name: &str| dir.path().join("a").join(name);
        fs::write(at("f"), b"x").unwrap();
        hints_of(&mut watch, &root);
        std::os::unix::fs::symlink("f", at("s")).unwrap();
        fs::hard_link(at("f"), at("h")).unwrap();
        fs::rename(at("f"), at("g")).unwrap();
        let told = |name: &str, hint| (format!("a/{name}"), hint);
        let files = [("f", Gone), ("g", Closed), ("h", Closed), ("s", Closed)];
        let files = files.map(|(name, hint)| told(name, hint)).to_vec();
        assert_eq!(hints_of(&mut watch, &root), (vec!["a".into()], files));
    }

    #[test]
    fn what_happens_to_excluded_names_is_no_hint() {
        let (dir, root, mut watch) = watched();
        fs::write(dir.path().join("a/x.tmp"), b"x").unwrap();
        let policy = Policy::excluding(&["*.tmp"]).unwrap();
        assert_eq!(watch.drain(&root, &policy).unwrap(), Hints::default());
    }

    #[test]
    fn beyond_the_limit_it_is_blind_and_sees_again_when_the_limit_was_raised() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::adopt(dir.path(), [1; 16]).unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let mut watch = Watch::of_at_most(2).unwrap();
        watch.cover_tree(&root, &Policy::default()).unwrap();
        let limit = watch.limit().unwrap().to_owned();
        assert!(limit.contains("max_user_watches"), "{limit}");
        fs::create_dir(dir.path().join("c")).unwrap();
        let hints = watch.drain(&root, &Policy::default()).unwrap();
        assert_eq!(hints.blind, Some(limit), "told once, in the same words");
        watch.dirs_max = usize::MAX;
        watch.cover_tree(&root, &Policy::default()).unwrap();
        fs::write(dir.path().join("a/b/f"), b"x").unwrap();
        assert_eq!(dirty(&mut watch, &root), ["a/b"]);
    }

    #[test]
    fn a_watch_that_is_off_says_that_it_is_blind() {
        let (dir, root, _) = watched();
        let mut watch = Watch::off();
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
