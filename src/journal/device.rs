//! Pure: what a file looks like on the device that holds it: local, never sent, kept beside the entries in the logs.

use super::op::FileTime;

/// How a file is told from another one on the device that holds it, and what it looked like when it was journaled.
/// Local: never sent, but kept beside the entry, so that the id map can be made again from the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeviceImage {
    /// Inode number on the device.
    pub ino: u64,
    /// Birth time: tells a reused inode number from the old one.
    pub btime: FileTime,
    /// Status change time.
    pub ctime: FileTime,
    /// Modification time.
    pub mtime: FileTime,
    /// Size in bytes.
    pub size: u64,
}
