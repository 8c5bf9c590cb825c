//! A cheap look at a tree: enough to see that it changed, or that a full comparison is worth its time.
//!
//! No content is read. Two trees with different sights differ; two with equal sights still have to be compared. What
//! replication leaves alone is counted by itself: it keeps no two trees apart for ever.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{ReplError, Result};

/// The name that is the replicator's own, in every directory.
const RESERVED: &str = ".cfs-repl";
/// The bits of a mode that are shown at other sites: type, permissions, sticky; not set-uid and set-gid.
const SHOWN_MODE: u32 = 0o171_777;

/// What a tree looks like from afar; of constant size, whatever the tree's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) struct Sight {
    /// Names below the top that are replicated.
    pub(in crate::cli) names: u64,
    /// Names that are not: fifos, sockets, devices, mounted filesystems, `.cfs-repl` below the top.
    pub(in crate::cli) left_alone: u64,
    /// Sum over all names of a hash of path, type, mode, size and time: the same in whatever order they are met.
    digest: u64,
}

impl Sight {
    /// Looks at the tree below `root`. What goes away meanwhile is left out.
    ///
    /// # Errors
    /// When a directory cannot be read, or the root is not there.
    pub(in crate::cli) fn of(root: &Path) -> Result<Self> {
        let top = fs::metadata(root).map_err(|error| ReplError::io("stat", root, error))?;
        let mut sight = Self::default();
        let mut todo = vec![root.to_owned()];
        while let Some(dir) = todo.pop() {
            match sight.add_dir((root, top.dev()), &dir, &mut todo) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && dir != root => {}
                Err(error) => return Err(ReplError::io("list directory", dir, error)),
                Ok(()) => {}
            }
        }
        Ok(sight)
    }

    /// Whether they differ in what is replicated.
    pub(in crate::cli) fn differs(self, other: Self) -> bool {
        (self.names, self.digest) != (other.names, other.digest)
    }

    fn add_dir(
        &mut self,
        (root, device): (&Path, u64),
        dir: &Path,
        todo: &mut Vec<PathBuf>,
    ) -> std::io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_name() == RESERVED {
                self.left_alone += u64::from(dir != root);
                continue;
            }
            let Ok(stat) = entry.metadata() else {
                continue;
            };
            let kind = stat.file_type();
            let is_taken = kind.is_file() || kind.is_dir() || kind.is_symlink();
            if !is_taken || stat.dev() != device {
                self.left_alone += 1;
                continue;
            }
            self.add(path.strip_prefix(root).unwrap_or(&path), &stat);
            if stat.is_dir() {
                todo.push(path);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, stat: &fs::Metadata) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(path.as_os_str().as_bytes());
        hasher.update(&(stat.mode() & SHOWN_MODE).to_le_bytes());
        // Size and time of a directory are the filesystem's own affair.
        if !stat.is_dir() {
            hasher.update(&stat.size().to_le_bytes());
            hasher.update(&stat.mtime().to_le_bytes());
            hasher.update(&stat.mtime_nsec().to_le_bytes());
        }
        let mut word = [0; 8];
        hasher.finalize_xof().fill(&mut word);
        self.names += 1;
        self.digest = self.digest.wrapping_add(u64::from_le_bytes(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn plant(root: &Path) {
        fs::create_dir(root.join("d")).unwrap();
        let file = fs::File::create(root.join("d/f")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }

    #[test]
    fn equal_trees_look_equal_and_every_cheap_difference_shows() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        plant(a.path());
        plant(b.path());
        fs::create_dir(b.path().join(RESERVED)).unwrap();
        let sight = Sight::of(a.path()).unwrap();
        assert_eq!(sight.names, 2);
        assert_eq!(sight, Sight::of(b.path()).unwrap());
        let file = b.path().join("d/f");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let chmodded = Sight::of(b.path()).unwrap();
        assert_ne!(sight, chmodded);
        fs::rename(&file, b.path().join("d/g")).unwrap();
        assert_ne!(chmodded, Sight::of(b.path()).unwrap());
    }

    #[test]
    fn what_is_left_alone_is_counted_and_keeps_no_two_trees_apart() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        plant(a.path());
        plant(b.path());
        let _socket = std::os::unix::net::UnixListener::bind(b.path().join("d/socket")).unwrap();
        fs::create_dir(b.path().join("d").join(RESERVED)).unwrap();
        fs::set_permissions(a.path().join("d/f"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(b.path().join("d/f"), fs::Permissions::from_mode(0o4755)).unwrap();
        let (a, b) = (Sight::of(a.path()).unwrap(), Sight::of(b.path()).unwrap());
        assert!(!a.differs(b), "{a:?} {b:?}");
        assert_eq!((a.left_alone, b.left_alone), (0, 2));
    }

    #[test]
    fn a_missing_root_is_an_error_and_not_an_empty_tree() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Sight::of(&dir.path().join("gone")).is_err());
    }
}
