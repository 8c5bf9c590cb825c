//! Makes new objects in `.cfs-repl/staging`, complete with bytes and attributes, before anything gets a place.
//!
//! Bytes come from the image, from the file's older version on this disk, or from other sites by chunk; every chunk is
//! hashed again here, whoever sent it. Holes stay holes.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use super::change::{DIR_MODE, FILE_MODE, shown_mtime};
use super::policy::Policy;
use super::root::{Root, open_beneath};
use super::stat::{Stat, stat_at};
use super::xattr;
use crate::content::chunk::{Piece, hash_bytes, hash_pieces};
use crate::content::manifest::{BlobHash, Part, walk};
use crate::content::{
    CONTENT_GONE, ContentSource, ContentVersion, Fetch, WAITS_FOR_CONTENT, WAITS_FOR_NEWER,
};
use crate::error::{ReplError, Result};
use crate::journal::op::{Content, FileTime, ManifestRoot, Name};
use crate::sync::port::{Image, NodeKind, Versioned};

/// Most chunks asked for at once: the conduit's limit of one request.
const WANT_MAX: usize = 1_024;
/// Most chunks of an older version that are remembered as local: 64 GiB of file in about 60 MiB of memory.
const LOCAL_CHUNKS_MAX: usize = 1 << 20;

/// What became of staging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Staged {
    /// It is in staging; the stat is of the finished object.
    Ready(Box<Stat>),
    /// It cannot be made; nothing is left in staging.
    Parked(String),
    /// The disk is full; nothing is left in staging.
    NoSpace,
}

/// Makes objects in staging.
pub struct Stager<'a> {
    /// The tree.
    pub root: &'a Root,
    /// Where bytes of other sites come from.
    pub source: &'a mut dyn ContentSource,
    /// Which bits are shown.
    pub policy: &'a Policy,
}

impl std::fmt::Debug for Stager<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stager")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Stager<'_> {
    /// Makes the object of `image` under `name`; `older` is the file's present version, whose chunks are reused.
    ///
    /// # Errors
    /// When the place where content is kept fails.
    pub fn stage(&mut self, image: &Image, name: &Name, older: Option<&OwnedFd>) -> Result<Staged> {
        let made = match image.kind {
            NodeKind::Dir => self.directory(image, name),
            NodeKind::Symlink => self.symlink(image, name),
            NodeKind::File => self.file(image, name, older),
        };
        let made = made.and_then(|()| self.finished(name));
        match made {
            Ok(stat) => Ok(Staged::Ready(Box::new(stat))),
            Err(error) => {
                self.drop_staged(image.kind, name);
                fault(error)
            }
        }
    }

    fn finished(&self, name: &Name) -> Result<Stat> {
        stat_at(self.root.staging(), name.as_bytes()).map_err(|e| self.io("stat staged", e))
    }

    fn directory(&self, image: &Image, name: &Name) -> Result<()> {
        let staging = self.root.staging();
        rustix::fs::mkdirat(staging, name.as_bytes(), Mode::RWXU)
            .map_err(|e| self.io("stage directory", e))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = open_beneath(staging, name.as_bytes(), flags)
            .map_err(|e| self.io("stage directory", e))?;
        self.attributes(image, &fd)
    }

    fn symlink(&self, image: &Image, name: &Name) -> Result<()> {
        let (staging, fail) = (self.root.staging(), |e| self.io("stage symbolic link", e));
        let target = image.target.as_deref().unwrap_or_default();
        rustix::fs::symlinkat(target, staging, name.as_bytes()).map_err(fail)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if let (Some(owner), true) = (&image.owner, self.root.privileged()) {
            let (uid, gid) = ids(owner.value.uid, owner.value.gid);
            rustix::fs::chownat(staging, name.as_bytes(), uid, gid, flags).map_err(fail)?;
        }
        if let Some(mtime) = shown_mtime(image) {
            rustix::fs::utimensat(staging, name.as_bytes(), &times(mtime), flags).map_err(fail)?;
        }
        Ok(())
    }

    fn file(&mut self, image: &Image, name: &Name, older: Option<&OwnedFd>) -> Result<()> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(self.root.staging(), name.as_bytes(), flags, mode)
            .map_err(|e| self.io("stage file", e))?;
        if let Some(content) = &image.content {
            self.bytes(image.inode, content, &file, older)?;
        }
        self.attributes(image, &file)?;
        if !self.root.trusts_syncfs() {
            rustix::fs::fsync(&file).map_err(|e| self.io("sync staged file", e))?;
        }
        Ok(())
    }

    fn bytes(
        &mut self,
        inode: u64,
        content: &Versioned<Content>,
        file: &OwnedFd,
        older: Option<&OwnedFd>,
    ) -> Result<()> {
        let value = &content.value;
        if let Some(inline) = &value.inline {
            if hash_bytes(inline).root != value.manifest_root {
                let reason = format!("inline bytes do not hash to {:?}", value.manifest_root);
                return Err(ReplError::serialization("content", reason));
            }
            return write_at(file, 0, inline).map_err(|e| self.io("write staged file", e));
        }
        if value.size == 0 {
            return Ok(());
        }
        let version = ContentVersion {
            inode,
            dot: content.dot,
            root: value.manifest_root,
        };
        let local = match older {
            Some(older) => self.local_chunks(older)?,
            None => BTreeMap::new(),
        };
        self.check_present(&version, value.size, &local)?;
        let root = BlobHash(value.manifest_root.0);
        let (source, path) = (&mut self.source, self.root.path());
        let source = std::cell::RefCell::new(&mut **source);
        let missing = walk(
            &root,
            value.size,
            &mut |hash| ready(source.borrow_mut().fetch(&version, hash)?).map(Some),
            &mut |offset, part| {
                let Some(hash) = &part.hash else {
                    return Ok(());
                };
                let bytes = match (local.get(hash), older) {
                    (Some(at), Some(older)) => read_chunk(older, *at, part, path)?,
                    _ => None,
                };
                let bytes = match bytes {
                    Some(bytes) => bytes.into(),
                    None => ready(source.borrow_mut().fetch(&version, hash)?)?,
                };
                check_chunk(&bytes, part, hash)?;
                write_at(file, offset, &bytes)
                    .map_err(|e| ReplError::io("write staged file", path, e))
            },
        )?;
        if !missing.is_empty() {
            return Err(waits());
        }
        rustix::fs::ftruncate(file, value.size).map_err(|e| self.io("size staged file", e))
    }

    /// Asks for everything that is missing at once, before the first byte is written.
    fn check_present(
        &mut self,
        version: &ContentVersion,
        size: u64,
        local: &BTreeMap<BlobHash, u64>,
    ) -> Result<()> {
        let source = std::cell::RefCell::new(&mut *self.source);
        let mut missing = Vec::new();
        let nodes = walk(
            &BlobHash(version.root.0),
            size,
            &mut |hash| match source.borrow_mut().fetch(version, hash)? {
                Fetch::Pending => Ok(None),
                fetched @ (Fetch::Ready(_) | Fetch::Superseded | Fetch::Gone) => {
                    ready(fetched).map(Some)
                }
            },
            &mut |_, part| {
                if let Some(hash) = &part.hash
                    && missing.len() < WANT_MAX
                    && !local.contains_key(hash)
                    && !source.borrow_mut().has(version, hash)?
                {
                    missing.push(*hash);
                }
                Ok(())
            },
        )?;
        missing.extend(nodes);
        if missing.is_empty() {
            return Ok(());
        }
        missing.truncate(WANT_MAX);
        if let Some(first) = missing.first() {
            // Nodes may be here although the rest can no longer come.
            match self.source.fetch(version, first)? {
                Fetch::Superseded => return Err(newer()),
                Fetch::Gone => return Err(gone()),
                Fetch::Ready(_) | Fetch::Pending => {}
            }
        }
        self.source.want(version, &missing)?;
        Err(waits())
    }

    fn local_chunks(&self, older: &OwnedFd) -> Result<BTreeMap<BlobHash, u64>> {
        let mut local = BTreeMap::new();
        let size = rustix::fs::fstat(older)
            .map_err(|e| self.io("stat older version", e))?
            .st_size;
        let size = u64::try_from(size).unwrap_or(0);
        hash_pieces(older, size, self.root.path(), &mut |piece| {
            if let Piece::Chunk { offset, hash, .. } = piece
                && local.len() < LOCAL_CHUNKS_MAX
            {
                local.insert(hash, offset);
            }
        })?;
        Ok(local)
    }

    /// Sets mode, owner, extended attributes and, for files, mtime: whatever the umask or a default ACL made of them.
    fn attributes(&self, image: &Image, fd: &OwnedFd) -> Result<()> {
        set_attributes(self.root, self.policy, image, fd)
    }

    fn drop_staged(&self, kind: NodeKind, name: &Name) {
        let flags = if kind == NodeKind::Dir {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        match rustix::fs::unlinkat(self.root.staging(), name.as_bytes(), flags) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => tracing::warn!(%error, "staged object stays until the next start"),
        }
    }

    fn io(&self, action: &'static str, error: Errno) -> ReplError {
        ReplError::io(action, self.root.path(), error)
    }
}

/// Brings the attributes of an open file or directory to those of `image`.
pub(super) fn set_attributes(
    root: &Root,
    policy: &Policy,
    image: &Image,
    fd: &OwnedFd,
) -> Result<()> {
    let fail = |e| ReplError::io("set attributes in", root.path(), e);
    // The owner first: changing it clears set-id bits.
    if let (Some(owner), true) = (&image.owner, root.privileged()) {
        let (uid, gid) = ids(owner.value.uid, owner.value.gid);
        rustix::fs::fchown(fd, uid, gid).map_err(fail)?;
    }
    let wanted = xattr::read_all(fd).map_err(fail)?;
    for name in wanted
        .keys()
        .filter(|name| !image.xattrs.contains_key(&name[..]))
    {
        xattr::set(fd, name, None).map_err(fail)?;
    }
    for (name, value) in image
        .xattrs
        .iter()
        .filter(|(name, _)| xattr::is_replicated(name))
    {
        if wanted
            .get(&name[..])
            .is_none_or(|known| known[..] != value.value[..])
        {
            xattr::set(fd, name, Some(&value.value)).map_err(fail)?;
        }
    }
    let default = if image.kind == NodeKind::Dir {
        DIR_MODE
    } else {
        FILE_MODE
    };
    let mode = image.mode.as_ref().map_or(default, |mode| mode.value);
    let mode = Mode::from_raw_mode(policy.shown_mode(mode));
    rustix::fs::fchmod(fd, mode).map_err(fail)?;
    if let (Some(mtime), false) = (shown_mtime(image), image.kind == NodeKind::Dir) {
        rustix::fs::futimens(fd, &times(mtime)).map_err(fail)?;
    }
    Ok(())
}

pub(super) fn times(mtime: FileTime) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: mtime.nanos.into(),
        },
    }
}

pub(super) fn ids(uid: u32, gid: u32) -> (Option<Uid>, Option<Gid>) {
    // -1 means "leave alone" to the system and is nobody's number.
    let uid = (uid != u32::MAX).then(|| Uid::from_raw(uid));
    (uid, (gid != u32::MAX).then(|| Gid::from_raw(gid)))
}

/// What a failure means for the image alone; what concerns more than it stays an error.
pub(super) fn fault(error: ReplError) -> Result<Staged> {
    if error.is_disk_full()
        && !matches!(&error, ReplError::Io { action, .. } if *action == "set attributes in")
    {
        return Ok(Staged::NoSpace);
    }
    match error {
        ReplError::Io { .. }
        | ReplError::Serialization { .. }
        | ReplError::VersionMismatch { .. } => {
            let reason = error.to_string();
            let known = [WAITS_FOR_CONTENT, WAITS_FOR_NEWER, CONTENT_GONE];
            let known = known.iter().find(|known| reason.ends_with(**known));
            Ok(Staged::Parked(
                known.map_or(reason.clone(), |known| (*known).to_owned()),
            ))
        }
        error @ (ReplError::Journal { .. }
        | ReplError::WalCorrupted { .. }
        | ReplError::SiteUnknown { .. }
        | ReplError::ConflictDetected { .. }
        | ReplError::NetworkError { .. }
        | ReplError::Shutdown) => Err(error),
    }
}

fn ready(fetched: Fetch) -> Result<bytes::Bytes> {
    match fetched {
        Fetch::Ready(bytes) => Ok(bytes),
        Fetch::Pending => Err(waits()),
        Fetch::Superseded => Err(newer()),
        Fetch::Gone => Err(gone()),
    }
}

fn waits() -> ReplError {
    ReplError::serialization("content", WAITS_FOR_CONTENT)
}

fn newer() -> ReplError {
    ReplError::serialization("content", WAITS_FOR_NEWER)
}

fn gone() -> ReplError {
    ReplError::serialization("content", CONTENT_GONE)
}

fn check_chunk(bytes: &[u8], part: &Part, hash: &BlobHash) -> Result<()> {
    if bytes.len() as u64 == part.size && BlobHash::of(bytes) == *hash {
        return Ok(());
    }
    let (length, size) = (bytes.len(), part.size);
    let reason = format!("chunk of {length} bytes is not {hash:?} of {size} bytes");
    Err(ReplError::serialization("content", reason))
}

/// The chunk from the older version; None when that changed meanwhile.
fn read_chunk(older: &OwnedFd, offset: u64, part: &Part, path: &Path) -> Result<Option<Vec<u8>>> {
    let Ok(length) = usize::try_from(part.size) else {
        return Ok(None);
    };
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(free) = bytes.get_mut(filled..)
        && !free.is_empty()
    {
        let got = rustix::io::retry_on_intr(|| {
            rustix::io::pread(older, &mut *free, offset + filled as u64)
        })
        .map_err(|e| ReplError::io("read older version in", path, e))?;
        if got == 0 {
            return Ok(None);
        }
        filled += got;
    }
    Ok((part.hash == Some(BlobHash::of(&bytes))).then_some(bytes))
}

pub(super) fn write_at(
    file: impl AsFd,
    mut offset: u64,
    mut bytes: &[u8],
) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(&file, bytes, offset))?;
        bytes = bytes.get(written..).unwrap_or_default();
        offset += written as u64;
    }
    Ok(())
}

/// Whether the bytes of `image` differ from those of `shown`.
#[must_use]
pub fn content_differs(shown: &Image, image: &Image) -> bool {
    let key = |image: &Image| {
        image
            .content
            .as_ref()
            .map_or((ManifestRoot::default(), 0), |content| {
                (content.value.manifest_root, content.value.size)
            })
    };
    image.kind == NodeKind::File && key(shown) != key(image)
}
