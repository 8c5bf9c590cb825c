//! A cheap look at a tree: enough to see that it changed, or that a full comparison is worth its time.
//!
//! No content is read. Two trees with different sights differ; two with equal sights still have to be compared.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{ReplError, Result};

/// The folder at the top of a tree that is not part of it.
const RESERVED: &str = ".cfs-repl";

/// What a tree looks like from afar; of constant size, whatever the tree's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) struct Sight {
    /// Names below the top.
    pub(in crate::cli) names: u64,
    /// Sum over all names of a hash of path, type, mode, size and time: the same in whatever order they are met.
    digest: u64,
}

impl Sight {
    /// Looks at the tree below `root`. What goes away meanwhile is left out.
    ///
    /// # Errors
    /// When a directory cannot be read, or the root is not there.
    pub(in crate::cli) fn of(root: &Path) -> Result<Self> {
        let mut sight = Self::default();
        let mut todo = vec![root.to_owned()];
        while let Some(dir) = todo.pop() {
            match sight.add_dir(root, &dir, &mut todo) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && dir != root => {}
                Err(error) => return Err(ReplError::io("list directory", dir, error)),
                Ok(()) => {}
            }
        }
        Ok(sight)
    }

    fn add_dir(&mut self, root: &Path, dir: &Path, todo: &mut Vec<PathBuf>) -> std::io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = entry.path();
            if dir == root && entry.file_name() == RESERVED {
                continue;
            }
            let Ok(stat) = entry.metadata() else {
                continue;
            };
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
        hasher.update(&stat.mode().to_le_bytes());
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
    fn a_missing_root_is_an_error_and_not_an_empty_tree() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Sight::of(&dir.path().join("gone")).is_err());
    }
}
