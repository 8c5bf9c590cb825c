//! The disk of the system, for looking at what somebody else writes.
//!
//! Promise: whoever is given it cannot make, write, cut, rename or remove anything, whatever it tries. Files are
//! opened for reading alone, so a volume that is mounted read-only, or a copy that nobody may write, will do.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::real::{RealDisk, open_to_read};
use super::{Disk, SharedFile};
use crate::error::{ReplError, Result};

/// Files and directories of the operating system, to be read.
#[derive(Debug, Default, Clone, Copy)]
pub struct ReadOnlyDisk;

impl ReadOnlyDisk {
    /// The disk, ready to be shared.
    #[must_use]
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(Self)
    }
}

fn refused<T>(action: &'static str, path: &Path) -> Result<T> {
    let source = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
    Err(ReplError::io(action, path, source))
}

impl Disk for ReadOnlyDisk {
    fn open(&self, path: &Path) -> Result<SharedFile> {
        open_to_read(path)
    }

    fn create(&self, path: &Path) -> Result<SharedFile> {
        refused("create file", path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<OsString>> {
        RealDisk.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        refused("create directory", dir)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        refused("remove file", path)
    }

    fn rename(&self, from: &Path, _: &Path) -> Result<()> {
        refused("rename file", from)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        refused("sync directory", dir)
    }

    fn free_bytes(&self, dir: &Path) -> Result<u64> {
        RealDisk.free_bytes(dir)
    }

    fn system_path(&self, path: &Path) -> Option<PathBuf> {
        RealDisk.system_path(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, file) = (folder.path(), folder.path().join("a"));
        std::fs::write(&file, b"bytes").unwrap();
        let open = ReadOnlyDisk.open(&file).unwrap();
        let mut buffer = [0; 5];
        assert_eq!(open.read_at(&mut buffer, 0).unwrap(), 5);
        assert_eq!((&buffer, open.size().unwrap()), (b"bytes", 5));
        assert!(open.write_at(b"x", 0).is_err());
        assert!(open.set_len(0).is_err() && open.allocate(9).is_err());
        assert!(ReadOnlyDisk.create(&dir.join("b")).is_err());
        assert!(ReadOnlyDisk.create_dir(&dir.join("b")).is_err());
        assert!(ReadOnlyDisk.remove(&file).is_err());
        assert!(ReadOnlyDisk.rename(&file, &dir.join("b")).is_err());
        assert_eq!(ReadOnlyDisk.list(dir).unwrap(), ["a"]);
        assert_eq!(std::fs::read(&file).unwrap(), b"bytes");
    }
}
