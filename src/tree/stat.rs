//! What a file looks like on the device: the one statx that everything else compares.
//!
//! Identity is (inode number, birth time): an inode number alone is reused at once on ext4.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::journal::op::{FileTime, Owner};
use crate::sync::port::{DeviceImage, NodeKind};

/// What tells one file from another on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DevId {
    /// Inode number.
    pub ino: u64,
    /// Birth time.
    pub btime: FileTime,
}

impl DevId {
    /// The identity in an image that was recorded.
    #[must_use]
    pub const fn of(image: &DeviceImage) -> Self {
        Self {
            ino: image.ino,
            btime: image.btime,
        }
    }
}

/// One reading of a file's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Which file.
    pub id: DevId,
    /// None: a socket, a fifo or a device.
    pub kind: Option<NodeKind>,
    /// Lower 12 bits of the mode.
    pub mode: u32,
    /// User and group.
    pub owner: Owner,
    /// Hard links.
    pub nlink: u32,
    /// Length in bytes.
    pub size: u64,
    /// Blocks of 512 bytes that it takes.
    pub blocks: u64,
    /// Status change time.
    pub ctime: FileTime,
    /// Modification time.
    pub mtime: FileTime,
    /// Device number.
    pub device: (u32, u32),
    /// Root of a mounted filesystem.
    pub mount_root: bool,
}

impl Stat {
    /// The part that is kept to tell whether the file changed.
    #[must_use]
    pub const fn image(&self) -> DeviceImage {
        DeviceImage {
            ino: self.id.ino,
            btime: self.id.btime,
            ctime: self.ctime,
            mtime: self.mtime,
            size: self.size,
        }
    }
}

/// Reads the metadata of `name` in `dir`; a symbolic link's own, not its target's.
///
/// # Errors
/// What the system says; [`Errno::OPNOTSUPP`] when the filesystem has no birth times.
pub fn stat_at(dir: impl AsFd, name: impl Arg) -> rustix::io::Result<Stat> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    from_statx(&rustix::fs::statx(dir, name, flags, fields())?)
}

/// Reads the metadata of an open file.
///
/// # Errors
/// As [`stat_at`].
pub fn stat_fd(file: impl AsFd) -> rustix::io::Result<Stat> {
    from_statx(&rustix::fs::statx(
        file,
        c"",
        AtFlags::EMPTY_PATH,
        fields(),
    )?)
}

fn fields() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::BTIME
}

fn from_statx(raw: &Statx) -> rustix::io::Result<Stat> {
    if raw.stx_mask & StatxFlags::BTIME.bits() == 0 {
        return Err(Errno::OPNOTSUPP);
    }
    let time = |at: &rustix::fs::StatxTimestamp| FileTime {
        seconds: at.tv_sec,
        nanos: at.tv_nsec,
    };
    let file_type = FileType::from_raw_mode(raw.stx_mode.into());
    Ok(Stat {
        id: DevId {
            ino: raw.stx_ino,
            btime: time(&raw.stx_btime),
        },
        kind: if file_type.is_file() {
            Some(NodeKind::File)
        } else if file_type.is_dir() {
            Some(NodeKind::Dir)
        } else if file_type.is_symlink() {
            Some(NodeKind::Symlink)
        } else {
            None
        },
        mode: u32::from(raw.stx_mode) & 0o7777,
        owner: Owner {
            uid: raw.stx_uid,
            gid: raw.stx_gid,
        },
        nlink: raw.stx_nlink,
        size: raw.stx_size,
        blocks: raw.stx_blocks,
        ctime: time(&raw.stx_ctime),
        mtime: time(&raw.stx_mtime),
        device: (raw.stx_dev_major, raw.stx_dev_minor),
        mount_root: raw.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
    })
}
