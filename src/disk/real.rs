//! The disk of the system.
//!
//! Files are opened without following a symbolic link as last component and with mode 0600: logs hold names and small
//! files of users.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, OFlags};

use super::{Disk, DiskFile, SharedFile};
use crate::error::{ReplError, Result};

/// Zeros written at once by [`DiskFile::allocate`]: large enough that the system call does not count.
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

/// Files and directories of the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealDisk;

impl RealDisk {
    /// The disk, ready to be shared.
    #[must_use]
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(Self)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    options
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(flags);
    options
}

fn opened(action: &'static str, path: &Path, result: io::Result<File>) -> Result<SharedFile> {
    let file = result.map_err(|e| ReplError::io(action, path, e))?;
    Ok(Arc::new(RealFile {
        file,
        path: path.to_owned(),
    }))
}

/// Opens a file so that the system itself refuses to change it by what comes back.
pub(super) fn open_to_read(path: &Path) -> Result<SharedFile> {
    let file = options().write(false).open(path);
    opened("open file", path, file)
}

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> Result<SharedFile> {
        opened("open file", path, options().open(path))
    }

    fn create(&self, path: &Path) -> Result<SharedFile> {
        opened("create file", path, options().create_new(true).open(path))
    }

    fn list(&self, dir: &Path) -> Result<Vec<OsString>> {
        let failed = |e| ReplError::io("list directory", dir, e);
        let mut names = Vec::new();
        for item in std::fs::read_dir(dir).map_err(failed)? {
            names.push(item.map_err(failed)?.file_name());
        }
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            other => other.map_err(|e| ReplError::io("create directory", dir, e)),
        }
    }

    fn remove(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(path).map_err(|e| ReplError::io("remove file", path, e))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::rename(from, to).map_err(|e| ReplError::io("rename file", from, e))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        File::open(dir)
            .and_then(|handle| handle.sync_all())
            .map_err(|e| ReplError::io("sync directory", dir, e))
    }

    fn free_bytes(&self, dir: &Path) -> Result<u64> {
        let stat = rustix::fs::statvfs(dir).map_err(|e| ReplError::io("stat volume", dir, e))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn system_path(&self, path: &Path) -> Option<PathBuf> {
        Some(path.to_owned())
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    path: PathBuf,
}

impl RealFile {
    fn failed(&self, action: &'static str, source: impl Into<io::Error>) -> ReplError {
        ReplError::io(action, &self.path, source)
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed("read", e)),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|e| self.failed("write", e))
    }

    fn size(&self) -> Result<u64> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(|e| self.failed("stat file", e))?.len())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file
            .set_len(len)
            .map_err(|e| self.failed("set length", e))
    }

    fn allocate(&self, len: u64) -> Result<()> {
        let reserved = rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len);
        match reserved {
            // The zeros below take the space where the filesystem cannot reserve it.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(e) => return Err(self.failed("allocate", e)),
        }
        let mut offset = 0;
        while offset < len {
            let count = (len - offset).min(ZEROS.len() as u64);
            let zeros = usize::try_from(count).unwrap_or(ZEROS.len());
            self.write_at(&ZEROS[..zeros], offset)?;
            offset += count;
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        self.file
            .sync_data()
            .map_err(|e| self.failed("sync file", e))
    }

    fn sync_all(&self) -> Result<()> {
        self.file
            .sync_all()
            .map_err(|e| self.failed("sync file", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_read_renamed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("log");
        let (old, new) = (dir.join("a.new"), dir.join("a"));
        RealDisk.create_dir(&dir).unwrap();
        RealDisk.create_dir(&dir).unwrap();
        let file = RealDisk.create(&old).unwrap();
        file.allocate(ZEROS.len() as u64 + 10).unwrap();
        file.write_at(b"bytes", 3).unwrap();
        file.sync_data().unwrap();
        RealDisk.rename(&old, &new).unwrap();
        RealDisk.sync_dir(&dir).unwrap();
        let again = RealDisk.open(&new).unwrap();
        let mut buffer = [9; 10];
        assert_eq!(again.read_at(&mut buffer, 1).unwrap(), 10);
        assert_eq!(&buffer, b"\0\0bytes\0\0\0");
        assert_eq!(again.size().unwrap(), ZEROS.len() as u64 + 10);
        again.set_len(4).unwrap();
        again.sync_all().unwrap();
        assert_eq!(again.read_at(&mut buffer, 1).unwrap(), 3);
        assert_eq!(RealDisk.list(&dir).unwrap(), ["a"]);
        RealDisk.remove(&new).unwrap();
        assert!(RealDisk.list(&dir).unwrap().is_empty());
        assert!(RealDisk.free_bytes(&dir).unwrap() > 0);
    }

    #[test]
    fn errors_name_the_path_and_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = RealDisk.open(&missing).unwrap_err().to_string();
        assert!(error.contains("open file") && error.contains("missing"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
        assert!(RealDisk.open(&link).is_err());
        RealDisk.create(&missing).unwrap();
        assert!(
            RealDisk.create(&missing).is_err(),
            "taken names are refused"
        );
    }
}
