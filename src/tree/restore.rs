//! Puts bytes back into a tree as a user would who saves a file: what stood there goes to the trash, and the connector
//! notices the new file like any other change.
//!
//! Everything goes through the root's descriptor. Bytes get their name only when they are complete and durable, and a
//! file that somebody changed in this moment is left alone.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::intent::Fingerprint;
use super::recover::STAGED_PREFIX;
use super::root::Root;
use super::stage::{ids, write_at};
use super::stat::{Stat, stat_at};
use super::trash::{self, Label};
use super::xattr;
use crate::content::chunk::{Piece, hash_pieces};
use crate::error::{ReplError, Result};
use crate::journal::op::{ManifestRoot, Name};
use crate::sync::port::{DeviceImage, Image, NodeKind};

/// Mode of a file that takes nobody's place: what lost may be of a file that others could not read.
const FRESH_MODE: u32 = 0o600;
/// Set-uid, set-gid and sticky stay behind: nobody ever had them with these bytes.
const MODE_MASK: u32 = 0o777;

/// Extended attributes by name.
type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// Why nothing was put back. The tree is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The directory is not there.
    NoDirectory,
    /// The name is taken.
    Taken,
    /// What stands there is no regular file.
    NoFile,
    /// The file has several names, which would no longer be one file.
    SeveralNames,
    /// The file was changed a moment ago, and nobody journaled that.
    JustChanged,
}

/// A file in staging that gets its bytes piece by piece. Dropped without a place, it is removed.
#[derive(Debug)]
pub struct Draft {
    root: Arc<Root>,
    name: Name,
    file: OwnedFd,
    placed: bool,
}

/// The file whose place a draft takes, as the engine knows it.
#[derive(Debug, Clone)]
pub struct Present {
    /// What is shown.
    pub image: Image,
    /// The object on the device.
    pub device: DeviceImage,
}

impl Draft {
    /// An empty file in staging; `purpose` and `unique` tell it from others of this moment.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new(root: &Arc<Root>, purpose: &str, unique: u64) -> Result<Self> {
        let text = [STAGED_PREFIX, format!("{purpose}-{unique:x}").as_bytes()].concat();
        let name = Name::new(text)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(root.staging(), name.as_bytes(), flags, mode)
            .map_err(|e| ReplError::io("stage in", root.path(), e))?;
        Ok(Self {
            root: Arc::clone(root),
            name,
            file,
            placed: false,
        })
    }

    /// Writes a piece at its place.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        write_at(&self.file, offset, bytes).map_err(|e| self.io("write staged file in", e))
    }

    /// What stands at `offset`, at most `bytes_max`; nothing behind the end.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn read(&self, offset: u64, bytes_max: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; bytes_max];
        let length = rustix::io::pread(&self.file, &mut bytes, offset)
            .map_err(|e| self.io("read staged file in", e))?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Copies `from`, which must hold `size` bytes that hash to `version`; holes stay holes. False: it does not.
    ///
    /// # Errors
    /// When reading or writing fails.
    pub fn copy(&self, from: &OwnedFd, size: u64, version: ManifestRoot) -> Result<bool> {
        let mut written = Ok(());
        let hashed = hash_pieces(from, size, self.root.path(), &mut |piece| {
            if let (Piece::Chunk { offset, bytes, .. }, Ok(())) = (piece, &written) {
                written = self.write(offset, bytes);
            }
        })?;
        written?;
        self.resize(size)?;
        Ok(hashed.is_some_and(|hashed| hashed.root == version))
    }

    /// Gives the file its length: what was not written is a hole.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn resize(&self, size: u64) -> Result<()> {
        rustix::fs::ftruncate(&self.file, size).map_err(|e| self.io("size staged file in", e))
    }

    /// Whether the bytes written hash to `version`.
    ///
    /// # Errors
    /// When reading fails.
    pub fn is_version(&self, size: u64, version: ManifestRoot) -> Result<bool> {
        let hashed = hash_pieces(&self.file, size, self.root.path(), &mut |_| ())?;
        Ok(hashed.is_some_and(|hashed| hashed.root == version))
    }

    /// Gives the file a place where nothing stands.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn place_new(mut self, path: &[Name]) -> Result<Result<(), Refusal>> {
        let Some((name, dir)) = path.split_last() else {
            return Ok(Err(Refusal::NoFile));
        };
        let Some(parent) = self.open_dir(dir)? else {
            return Ok(Err(Refusal::NoDirectory));
        };
        self.finish(FRESH_MODE, None)?;
        match self.rename(parent.as_fd(), name, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(Err(Refusal::Taken)),
            Err(e) => return Err(self.io("put back in", e)),
        }
        self.placed = true;
        self.sync_dir(&parent)?;
        Ok(Ok(()))
    }

    /// Gives the file the place of `present`, with the mode, owner and attributes that stand there; what stood there
    /// goes to the trash.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn replace(
        mut self,
        path: &[Name],
        present: &Present,
        now_us: u64,
    ) -> Result<Result<(), Refusal>> {
        let Some((name, dir)) = path.split_last() else {
            return Ok(Err(Refusal::NoFile));
        };
        let Some(parent) = self.open_dir(dir)? else {
            return Ok(Err(Refusal::NoDirectory));
        };
        let there = match stat_at(&parent, name.as_bytes()) {
            Ok(there) => there,
            Err(Errno::NOENT) => return Ok(Err(Refusal::JustChanged)),
            Err(e) => return Err(self.io("stat in", e)),
        };
        if there.kind != Some(NodeKind::File) {
            return Ok(Err(Refusal::NoFile));
        }
        if there.nlink > 1 || present.image.links.len() > 1 {
            return Ok(Err(Refusal::SeveralNames));
        }
        let expected = Fingerprint::new(&present.device, false);
        if Fingerprint::of(&there) != expected {
            return Ok(Err(Refusal::JustChanged));
        }
        let attributes = self.attributes(&parent, name, &there)?;
        self.finish(there.mode & MODE_MASK, Some((&there, attributes)))?;
        let exchange = RenameFlags::EXCHANGE;
        self.rename(parent.as_fd(), name, exchange)
            .map_err(|e| self.io("put back in", e))?;
        let came_out = stat_at(self.root.staging(), self.name.as_bytes());
        let came_out = came_out.map_err(|e| self.io("stat staged file in", e))?;
        if Fingerprint::of(&came_out) != expected {
            self.rename(parent.as_fd(), name, exchange)
                .map_err(|e| self.io("take back in", e))?;
            return Ok(Err(Refusal::JustChanged));
        }
        self.placed = true;
        let label = Label::of(&present.image, &present.device);
        let to = trash::name(present.image.inode, now_us, 0, label.as_ref());
        self.rename(self.root.trash(), &to, RenameFlags::NOREPLACE)
            .map_err(|e| self.io("move to trash of", e))?;
        self.sync_dir(&parent)?;
        Ok(Ok(()))
    }

    /// Puts the file into the trash, as the version that a conflict may want back.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn keep(mut self, inode: u64, now_us: u64, unique: u64, root: ManifestRoot) -> Result<()> {
        self.finish(0o600, None)?;
        let stat = stat_at(self.root.staging(), self.name.as_bytes());
        let stat = stat.map_err(|e| self.io("stat staged file in", e))?;
        let label = Label {
            root,
            size: stat.size,
            mtime: stat.mtime,
            late: false,
        };
        let to = trash::name(inode, now_us, unique, Some(&label));
        self.rename(self.root.trash(), &to, RenameFlags::NOREPLACE)
            .map_err(|e| self.io("move to trash of", e))?;
        self.placed = true;
        Ok(())
    }

    /// Mode, owner, attributes, and the bytes durable.
    fn finish(&self, mode: u32, like: Option<(&Stat, Attributes)>) -> Result<()> {
        let fail = |e| self.io("set attributes in", e);
        if let Some((stat, attributes)) = like {
            if self.root.privileged() {
                let (uid, gid) = ids(stat.owner.uid, stat.owner.gid);
                rustix::fs::fchown(&self.file, uid, gid).map_err(fail)?;
            }
            for (name, value) in attributes {
                xattr::set(&self.file, &name, Some(&value)).map_err(fail)?;
            }
        }
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode)).map_err(fail)?;
        rustix::fs::fsync(&self.file).map_err(|e| self.io("sync staged file in", e))
    }

    fn attributes(&self, parent: &OwnedFd, name: &Name, there: &Stat) -> Result<Attributes> {
        // A file that may not be read keeps its attributes to itself.
        match Root::open_file(parent, name) {
            Ok(file) => xattr::read_all(&file).map_err(|e| self.io("read attributes in", e)),
            Err(Errno::ACCESS) if there.mode & 0o400 == 0 => Ok(BTreeMap::new()),
            Err(e) => Err(self.io("open in", e)),
        }
    }

    fn open_dir(&self, dir: &[Name]) -> Result<Option<OwnedFd>> {
        match self.root.open_dir(dir) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
            Err(e) => Err(self.io("open in", e)),
        }
    }

    fn rename(&self, dir: impl AsFd, name: &Name, flags: RenameFlags) -> Result<(), Errno> {
        let (staging, from) = (self.root.staging(), self.name.as_bytes());
        rustix::fs::renameat_with(staging, from, dir, name.as_bytes(), flags)
    }

    fn sync_dir(&self, dir: &OwnedFd) -> Result<()> {
        rustix::fs::fsync(dir).map_err(|e| self.io("sync directory in", e))
    }

    fn io(&self, action: &'static str, error: Errno) -> ReplError {
        ReplError::io(action, self.root.path(), error)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed {
            let name = self.name.as_bytes();
            if let Err(error) = rustix::fs::unlinkat(self.root.staging(), name, AtFlags::empty()) {
                tracing::warn!(%error, "staged bytes stay until the next start");
            }
        }
    }
}
