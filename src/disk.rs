//! Files and directories as the logs see them: little, positional, and explicit about what is durable.
//!
//! Nothing here is durable until it was synced: bytes and length of a file by [`DiskFile::sync_data`], its name by
//! [`Disk::sync_dir`] of the directory. [`RealDisk`] is the system's; [`FaultyDisk`] lives in memory and loses, tears
//! and refuses on demand, so that a test can cut the power at every operation; [`ReadOnlyDisk`] is the system's and
//! changes nothing.

use std::ffi::OsString;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;

mod faulty;
mod readonly;
mod real;

pub use faulty::{Fault, FaultyDisk};
pub use readonly::ReadOnlyDisk;
pub use real::RealDisk;

/// A disk that several owners use.
pub type SharedDisk = Arc<dyn Disk>;
/// An open file that a writer and its readers share.
pub type SharedFile = Arc<dyn DiskFile>;

/// Names on a disk. Every error is [`crate::ReplError::Io`] with the path.
pub trait Disk: Debug + Send + Sync {
    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// When the file is missing or the system refuses.
    fn open(&self, path: &Path) -> Result<SharedFile>;

    /// Creates an empty file; its name is durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// When the name is taken or the system refuses.
    fn create(&self, path: &Path) -> Result<SharedFile>;

    /// The names in a directory, in byte order.
    ///
    /// # Errors
    /// When the directory is missing or the system refuses.
    fn list(&self, dir: &Path) -> Result<Vec<OsString>>;

    /// Creates a directory with mode 0700; one that is there already is fine.
    ///
    /// # Errors
    /// When the parent is missing or the system refuses.
    fn create_dir(&self, dir: &Path) -> Result<()>;

    /// Removes a file. A file that is open can still be read by whoever has it.
    ///
    /// # Errors
    /// When the file is missing or the system refuses.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Renames a file within its directory, replacing what has the new name.
    ///
    /// # Errors
    /// When the file is missing or the system refuses.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Makes creations, renames and removals in the directory durable.
    ///
    /// # Errors
    /// When the system refuses; what of it is durable is then unknown.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Bytes that an unprivileged user can still write where `dir` is.
    ///
    /// # Errors
    /// When the system refuses.
    fn free_bytes(&self, dir: &Path) -> Result<u64>;

    /// Where a library that opens files by itself finds this one. None: it has to go through this disk.
    fn system_path(&self, path: &Path) -> Option<PathBuf>;
}

/// One open file. Methods take `&self`: a reader works beside the writer, at other offsets.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads at `offset` until the buffer is full or the file ends; returns how much was read.
    ///
    /// # Errors
    /// When the system refuses.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may be in the file.
    ///
    /// # Errors
    /// When there is no room or the system refuses.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// When the system refuses.
    fn size(&self) -> Result<u64>;

    /// Cuts the file or extends it by a hole.
    ///
    /// # Errors
    /// When the system refuses.
    fn set_len(&self, len: u64) -> Result<()>;

    /// Makes the file `len` bytes of written zeros, so that later writes inside change neither its length nor its
    /// extents and a sync need not commit metadata.
    ///
    /// # Errors
    /// When there is no room or the system refuses.
    fn allocate(&self, len: u64) -> Result<()>;

    /// Makes bytes and length durable (`fdatasync`). A failure must not be tried again: the system may have marked
    /// the lost pages clean.
    ///
    /// # Errors
    /// When the system refuses; what of it is durable is then unknown.
    fn sync_data(&self) -> Result<()>;

    /// The same with all metadata (`fsync`).
    ///
    /// # Errors
    /// As [`DiskFile::sync_data`].
    fn sync_all(&self) -> Result<()>;
}

/// Reads exactly `len` bytes at `offset`, fewer only where the file ends.
///
/// # Errors
/// When the system refuses.
pub(crate) fn read_range(file: &dyn DiskFile, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let got = file.read_at(&mut bytes, offset)?;
    bytes.truncate(got);
    Ok(bytes)
}
