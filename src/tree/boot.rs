//! Remembers in the state folder under which boot of the machine and which mount the tree was last in use, and whether
//! that ended well.
//!
//! A power loss, or a disk that went away, can bring back older files, and files without their bytes. What a start
//! after another boot or on another mount finds in a tree that was not let go is therefore looked at twice
//! ([`super::rollback`]). The record of an unclean end stays until that was done: a stop in between must not hide it.
//!
//! A number tells a mount from every other one of this boot (`STATX_MNT_ID_UNIQUE`, since Linux 6.8), but a tree has
//! another one in each mount namespace; in another namespace, and on older kernels, only the boot counts.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags};

use super::intent::{frame, unframe};
use super::pin::replace;
use crate::error::{ReplError, Result};

/// Name in the state folder.
const FILE_NAME: &str = "tree-boot";
/// Format of the file.
const VERSION: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct BootRecord {
    #[prost(uint32, tag = "1")]
    version: u32,
    /// Of the kernel; another one after every start of the machine.
    #[prost(string, tag = "2")]
    boot_id: String,
    /// The connector ended by itself, with everything that it knew of on the disk.
    #[prost(bool, tag = "3")]
    clean: bool,
    /// Of the tree's mount; 0 when the system does not tell.
    #[prost(uint64, tag = "4")]
    mount_id: u64,
    /// Where that number holds.
    #[prost(uint64, tag = "5")]
    mount_namespace: u64,
}

/// Names the mount namespace of this process.
const NAMESPACE: &str = "/proc/self/ns/mnt";
/// `STATX_MNT_ID_UNIQUE` of linux/stat.h.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// Which mount a tree is seen through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount {
    id: u64,
    namespace: u64,
}

impl Mount {
    /// The mount that `fd` is open on; none when the system does not tell.
    #[must_use]
    pub fn of(fd: impl AsFd) -> Option<Self> {
        let stat = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, MNT_ID_UNIQUE).ok()?;
        let is_told = stat.stx_mask & MNT_ID_UNIQUE.bits() != 0;
        let namespace = fs::metadata(NAMESPACE).ok()?.ino();
        is_told.then_some(Self {
            id: stat.stx_mnt_id,
            namespace,
        })
    }
}

/// The record of one state folder.
#[derive(Debug)]
pub struct Boot {
    state: PathBuf,
    boot_id: String,
    mount: Option<Mount>,
    is_suspect: bool,
}

impl Boot {
    /// Reads the record and, unless the last end was unclean, notes that the tree is in use.
    ///
    /// # Errors
    /// When the record is damaged or cannot be written.
    pub fn begin(state: &Path, boot_id: String, mount: Option<Mount>) -> Result<Self> {
        let last = read(&state.join(FILE_NAME))?;
        let boot = Self {
            is_suspect: last.is_some_and(|last| is_suspect(&last, &boot_id, mount)),
            state: state.to_owned(),
            boot_id,
            mount,
        };
        if !boot.is_suspect {
            boot.write(false)?;
        }
        Ok(boot)
    }

    /// The machine was started or the tree was mounted anew since it was in use, and nobody had let go of it.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.is_suspect
    }

    /// What an unclean end left was dealt with.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn settled(&mut self) -> Result<()> {
        self.write(false)?;
        self.is_suspect = false;
        Ok(())
    }

    /// The tree is let go; everything is on the disk.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn end(&self) -> Result<()> {
        // Not while the last end is not dealt with: that is still to be done.
        if self.is_suspect {
            return Ok(());
        }
        self.write(true)
    }

    fn write(&self, clean: bool) -> Result<()> {
        let record = BootRecord {
            version: VERSION,
            boot_id: self.boot_id.clone(),
            clean,
            mount_id: self.mount.map_or(0, |mount| mount.id),
            mount_namespace: self.mount.map_or(0, |mount| mount.namespace),
        };
        let mut bytes = Vec::new();
        frame(&mut bytes, &record);
        replace(&self.state, &self.state.join(FILE_NAME), &bytes)
            .map_err(|e| ReplError::io("write boot record", self.state.join(FILE_NAME), e))
    }
}

fn is_suspect(last: &BootRecord, boot_id: &str, mount: Option<Mount>) -> bool {
    let is_other_mount = mount
        .is_some_and(|mount| last.mount_namespace == mount.namespace && last.mount_id != mount.id);
    !last.clean && (last.boot_id != boot_id || is_other_mount)
}

fn read(file: &Path) -> Result<Option<BootRecord>> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(ReplError::io("read boot record", file, e)),
    };
    let record: BootRecord = unframe(&mut &bytes[..]).ok_or_else(|| ReplError::WalCorrupted {
        file: file.to_owned(),
        offset: 0,
        reason: "crc differs".to_owned(),
    })?;
    if record.version != VERSION {
        return Err(ReplError::VersionMismatch {
            what: file.display().to_string(),
            expected: VERSION.to_string(),
            got: record.version,
        });
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(state: &Path, boot_id: &str) -> Boot {
        Boot::begin(state, boot_id.to_owned(), None).unwrap()
    }

    fn mounted(state: &Path, id: u64, namespace: u64) -> Boot {
        Boot::begin(state, "one".to_owned(), Some(Mount { id, namespace })).unwrap()
    }

    #[test]
    fn only_another_boot_without_a_clean_end_is_suspect() {
        let state = tempfile::tempdir().unwrap();
        assert!(!begin(state.path(), "one").is_suspect(), "the first start");
        assert!(
            !begin(state.path(), "one").is_suspect(),
            "killed, same boot"
        );
        assert!(begin(state.path(), "two").is_suspect(), "power loss");
        assert!(
            begin(state.path(), "two").is_suspect(),
            "not dealt with yet"
        );
        let mut boot = begin(state.path(), "three");
        boot.end().unwrap();
        assert!(begin(state.path(), "three").is_suspect(), "nor by ending");
        boot.settled().unwrap();
        assert!(!begin(state.path(), "three").is_suspect());
        boot.end().unwrap();
        assert!(!begin(state.path(), "four").is_suspect(), "a clean end");
        assert!(
            begin(state.path(), "five").is_suspect(),
            "in use since then"
        );
    }

    #[test]
    fn another_mount_of_the_same_namespace_without_a_clean_end_is_suspect() {
        let state = tempfile::tempdir().unwrap();
        begin(state.path(), "one");
        let state = state.path();
        assert!(!mounted(state, 7, 1).is_suspect(), "it was not told before");
        assert!(!mounted(state, 7, 1).is_suspect(), "killed");
        assert!(!mounted(state, 8, 2).is_suspect(), "another namespace");
        assert!(!begin(state, "one").is_suspect(), "it is not told any more");
        mounted(state, 8, 2);
        let mut boot = mounted(state, 9, 2);
        assert!(boot.is_suspect(), "mounted anew");
        boot.settled().unwrap();
        boot.end().unwrap();
        assert!(!mounted(state, 10, 2).is_suspect(), "a clean end");
    }

    #[test]
    fn a_mount_is_the_same_through_any_file_of_it() {
        let (folder, process) = (
            tempfile::tempdir().unwrap(),
            fs::File::open("/proc").unwrap(),
        );
        let file = tempfile::tempfile_in(folder.path()).unwrap();
        let folder = fs::File::open(folder.path()).unwrap();
        assert_eq!(Mount::of(&folder), Mount::of(&file));
        let told = Mount::of(&folder).is_some();
        assert_eq!(Mount::of(&folder) != Mount::of(&process), told);
    }

    #[test]
    fn a_damaged_record_is_refused_with_its_name() {
        let state = tempfile::tempdir().unwrap();
        begin(state.path(), "one");
        let file = state.path().join(FILE_NAME);
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        let error = Boot::begin(state.path(), "one".to_owned(), None).unwrap_err();
        assert!(error.to_string().contains(FILE_NAME), "{error}");
    }
}
