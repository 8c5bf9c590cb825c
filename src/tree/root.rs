//! The one way into a tree: through the root's descriptor, never by a path that could be bent meanwhile.
//!
//! The operator's root is opened plainly, everything below it with `openat2` that refuses symbolic links, magic links,
//! `..` out of the tree and other mounts. The tree is pinned by a random id in `.cfs-repl/id`, the root's inode number
//! and its birth time: another tree at the same path is refused before anything in it is read as "deleted".

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::stat::{DevId, Stat, stat_fd};
use crate::error::{ReplError, Result};
use crate::journal::op::{Name, RESERVED_NAME};

/// Logical inode of every root.
pub const ROOT_INODE: u64 = 1;
/// Attempts at an open that a concurrent rename disturbs (EAGAIN): each is cheap, and a rename storm ends.
const OPEN_ATTEMPTS: u32 = 64;
/// Path bytes handed to one openat2, below PATH_MAX (4096) with room for the last name.
const PATH_BYTES: usize = 3_500;
/// Name of the file that holds the tree's id.
pub(super) const ID_FILE: &str = "id";
/// Filesystems on which one syncfs makes everything before it durable and reports write errors, by `f_type` of
/// statfs(2): ext2/3/4, XFS, btrfs, f2fs.
const SYNCFS_TYPES: [u64; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010];

/// What a state folder remembers of its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Random, in `.cfs-repl/id` of the tree.
    pub id: [u8; 16],
    /// The root directory.
    pub root: DevId,
}

/// An open tree.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    fd: OwnedFd,
    staging: OwnedFd,
    trash: OwnedFd,
    reserved: OwnedFd,
    pin: Pin,
    device: (u32, u32),
    syncfs: bool,
    privileged: bool,
}

impl Root {
    /// Opens a tree for the first time and leaves `id` in it; repeating it with the same id does no harm.
    ///
    /// # Errors
    /// When the tree belongs to another state folder, or the kernel or the filesystem lacks what is needed.
    pub fn adopt(path: &Path, id: [u8; 16]) -> Result<Self> {
        let root = Self::open_any(path, id)?;
        match root.read_id()? {
            Some(found) if found == id => {}
            Some(_) => {
                return Err(refused(
                    path,
                    "belongs to another state folder: .cfs-repl/id is not ours",
                ));
            }
            None => root.write_id(id)?,
        }
        Ok(root)
    }

    /// Opens the tree that `pin` describes, and no other one.
    ///
    /// # Errors
    /// When it is another tree, or its marker is gone; nothing was touched.
    pub fn open(path: &Path, pin: &Pin) -> Result<Self> {
        let fd = open_root(path)?;
        let stat = stat_fd(&fd).map_err(|e| no_btime(path, e))?;
        let marker = read_id_at(&fd, path)?;
        if stat.id != pin.root {
            let other = "is another directory than before (inode number or birth time differ)";
            // The marker came along: a restored copy is the likely reason.
            let copied = ", but has its marker: if it was restored by copy, say so once: \
                          cfs-repl run --adopt-copy";
            let is_copy = marker == Some(pin.id);
            let why = [other, if is_copy { copied } else { "" }].concat();
            return Err(refused(path, &why));
        }
        if marker != Some(pin.id) {
            return Err(refused(
                path,
                "is not the pinned tree: .cfs-repl/id is missing or differs; nothing was deleted",
            ));
        }
        Self::open_any(path, pin.id)
    }

    /// Opens a tree at another root directory than before that has the marker `id`.
    ///
    /// # Errors
    /// When it has not; nothing was touched.
    pub fn open_copy(path: &Path, id: [u8; 16]) -> Result<Self> {
        if read_id_at(&open_root(path)?, path)? != Some(id) {
            return Err(refused(
                path,
                "is no copy of the pinned tree: .cfs-repl/id is missing or differs; nothing was deleted",
            ));
        }
        Self::open_any(path, id)
    }

    fn open_any(path: &Path, id: [u8; 16]) -> Result<Self> {
        let fd = open_root(path)?;
        probe_openat2(&fd, path)?;
        let stat = stat_fd(&fd).map_err(|e| no_btime(path, e))?;
        let folder = |at: BorrowedFd<'_>, name: &[u8]| -> Result<OwnedFd> {
            match rustix::fs::mkdirat(at, OsStr::from_bytes(name), Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(ReplError::io("create staging in", path, e)),
            }
            let opened = open_beneath(at, name, DIR_FLAGS);
            opened.map_err(|e| ReplError::io("open staging in", path, e))
        };
        let reserved = folder(fd.as_fd(), RESERVED_NAME)?;
        rustix::fs::fchmod(&reserved, Mode::RWXU)
            .map_err(|e| ReplError::io("protect staging in", path, e))?;
        let staging = folder(reserved.as_fd(), b"staging")?;
        let trash = folder(reserved.as_fd(), b"trash")?;
        let kind = rustix::fs::fstatfs(&fd).map_err(|e| ReplError::io("statfs", path, e))?;
        #[expect(
            clippy::cast_sign_loss,
            reason = "f_type is a bit pattern; its sign differs between architectures"
        )]
        let magic = kind.f_type as u64 & 0xFFFF_FFFF;
        Ok(Self {
            path: path.to_owned(),
            staging,
            trash,
            reserved,
            pin: Pin { id, root: stat.id },
            device: stat.device,
            syncfs: SYNCFS_TYPES.contains(&magic),
            privileged: rustix::process::geteuid().is_root(),
            fd,
        })
    }

    /// What to remember of the tree.
    #[must_use]
    pub const fn pin(&self) -> &Pin {
        &self.pin
    }

    /// Where it is, for people.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The place of `name` below `dir`, for people.
    #[must_use]
    pub fn shown(&self, dir: &[Name], name: Option<&Name>) -> PathBuf {
        let mut path = self.path.clone();
        path.extend(
            dir.iter()
                .chain(name)
                .map(|name| OsStr::from_bytes(name.as_bytes())),
        );
        path
    }

    /// Whether owners can be set.
    #[must_use]
    pub const fn privileged(&self) -> bool {
        self.privileged
    }

    /// Whether one syncfs is trusted; otherwise every file and directory is synced by itself.
    #[must_use]
    pub const fn trusts_syncfs(&self) -> bool {
        self.syncfs
    }

    /// True for a file of another filesystem or a mount point.
    #[must_use]
    pub fn is_foreign(&self, stat: &Stat) -> bool {
        stat.device != self.device || stat.mount_root
    }

    /// The descriptor of the root directory.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Where new files are made before they get their place.
    #[must_use]
    pub fn staging(&self) -> BorrowedFd<'_> {
        self.staging.as_fd()
    }

    /// Where displaced files go.
    #[must_use]
    pub fn trash(&self) -> BorrowedFd<'_> {
        self.trash.as_fd()
    }

    /// Opens the directory `path` below the root; no symbolic link is followed, no mount is crossed.
    ///
    /// # Errors
    /// What the system says: ELOOP for a symbolic link, EXDEV for a mount, ENOTDIR, ENOENT, EACCES.
    pub fn open_dir(&self, path: &[Name]) -> rustix::io::Result<OwnedFd> {
        Self::open_dir_from(self.fd.as_fd(), path)
    }

    /// Opens the directory `path` below `base`, which is one of this tree's.
    ///
    /// # Errors
    /// As [`Root::open_dir`].
    pub fn open_dir_from(base: BorrowedFd<'_>, path: &[Name]) -> rustix::io::Result<OwnedFd> {
        open_dir_beneath(base, path.iter().map(Name::as_bytes))
    }

    /// Opens the file `name` in `dir` for reading; refuses a symbolic link and does not wait for a fifo's writer.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_file(dir: impl AsFd, name: &Name) -> rustix::io::Result<OwnedFd> {
        open_beneath(dir.as_fd(), name.as_bytes(), FILE_FLAGS)
    }

    /// Makes everything that was written to the filesystem before durable. A failure is final for what was written:
    /// the kernel marks the pages clean.
    ///
    /// # Errors
    /// When writing back failed.
    pub fn sync(&self) -> Result<()> {
        rustix::fs::syncfs(&self.fd).map_err(|e| ReplError::io("sync", &self.path, e))
    }

    /// Whether the marker in the tree still says that it is ours.
    ///
    /// # Errors
    /// When it cannot be read for another reason than its absence.
    pub fn marker_is_ours(&self) -> Result<bool> {
        Ok(read_id_at(&self.fd, &self.path)? == Some(self.pin.id))
    }

    /// Whether the tree still stands at its path, as far as the system lets that be known: it may have been moved away,
    /// or another filesystem mounted over it.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        match rustix::fs::open(&self.path, DIR_FLAGS, Mode::empty()) {
            Ok(fd) => stat_fd(&fd).is_ok_and(|stat| stat.id == self.pin.root),
            Err(Errno::NOENT | Errno::NOTDIR) => false,
            Err(_) => true,
        }
    }

    fn read_id(&self) -> Result<Option<[u8; 16]>> {
        read_id_at(&self.fd, &self.path)
    }

    fn write_id(&self, id: [u8; 16]) -> Result<()> {
        let fail = |e| ReplError::io("write tree id in", &self.path, e);
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
        let temporary = "id.new";
        let file =
            rustix::fs::openat(&self.reserved, temporary, flags, Mode::RUSR).map_err(fail)?;
        rustix::io::write(&file, hex(&id).as_bytes()).map_err(fail)?;
        rustix::fs::fsync(&file).map_err(fail)?;
        rustix::fs::renameat(&self.reserved, temporary, &self.reserved, ID_FILE).map_err(fail)?;
        rustix::fs::fsync(&self.reserved).map_err(fail)?;
        rustix::fs::fsync(&self.fd).map_err(fail)
    }
}

const DIR_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
const FILE_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Opens the directory that `path` leads to from `base`, in as many steps as the limit of the system on one path
/// demands; an empty path is `base` itself.
pub(super) fn open_dir_beneath<'a>(
    base: BorrowedFd<'_>,
    path: impl Iterator<Item = &'a [u8]>,
) -> rustix::io::Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    let mut piece: Vec<u8> = Vec::new();
    let open = |at: &Option<OwnedFd>, piece: &[u8]| {
        let from = at.as_ref().map_or(base, AsFd::as_fd);
        open_beneath(from, piece, DIR_FLAGS)
    };
    for name in path {
        if piece.len() + 1 + name.len() > PATH_BYTES {
            at = Some(open(&at, &piece)?);
            piece.clear();
        }
        if !piece.is_empty() {
            piece.push(b'/');
        }
        piece.extend_from_slice(name);
    }
    if piece.is_empty() {
        piece.push(b'.');
    }
    open(&at, &piece)
}

/// openat2 as everything below a root is opened. EAGAIN, which a rename elsewhere can cause, is tried again.
pub(crate) fn open_beneath(
    at: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let mut attempt = 0;
    loop {
        match rustix::fs::openat2(at, OsStr::from_bytes(path), flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) if attempt < OPEN_ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

fn open_root(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, DIR_FLAGS, Mode::empty())
        .map_err(|e| ReplError::io("open tree", path, e))
}

/// The marker of the tree at `path`, if it has one, and which directory it is.
pub(super) fn marker_and_root(path: &Path) -> Result<(Option<[u8; 16]>, DevId)> {
    let fd = open_root(path)?;
    let stat = stat_fd(&fd).map_err(|e| no_btime(path, e))?;
    Ok((read_id_at(&fd, path)?, stat.id))
}

/// Whether the kernel confines paths to the tree at `path`; nothing is changed.
///
/// # Errors
/// When it does not, or the tree cannot be opened.
pub fn probe(path: &Path) -> Result<()> {
    probe_openat2(&open_root(path)?, path)
}

fn probe_openat2(fd: &OwnedFd, path: &Path) -> Result<()> {
    match open_beneath(fd.as_fd(), b"..", DIR_FLAGS) {
        Err(Errno::XDEV) => Ok(()),
        Err(Errno::NOSYS | Errno::INVAL) => Err(refused(path, "needs openat2: Linux 5.6 or later")),
        Ok(_) => Err(refused(path, "openat2 does not confine paths here")),
        Err(e) => Err(ReplError::io("probe openat2 in", path, e)),
    }
}

fn read_id_at(root: &OwnedFd, path: &Path) -> Result<Option<[u8; 16]>> {
    let name = [RESERVED_NAME, b"/", ID_FILE.as_bytes()].concat();
    let file = match open_beneath(root.as_fd(), &name, FILE_FLAGS) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(e) => return Err(ReplError::io("read tree id in", path, e)),
    };
    let mut text = [0; 64];
    let length = rustix::io::read(&file, &mut text)
        .map_err(|e| ReplError::io("read tree id in", path, e))?;
    Ok(text.get(..length).and_then(unhex))
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let number = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32).then(|| number.to_be_bytes())
}

fn no_btime(path: &Path, error: Errno) -> ReplError {
    if error == Errno::OPNOTSUPP {
        refused(
            path,
            "is on a filesystem without birth times; a reused inode number could not be told from the old file",
        )
    } else {
        ReplError::io("stat tree", path, error)
    }
}

fn refused(path: &Path, why: &str) -> ReplError {
    let source = std::io::Error::other(format!("the tree {why}"));
    ReplError::io("use tree", path, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_tree_is_adopted_once_and_refused_to_strangers() {
        let dir = tempfile::tempdir().unwrap();
        let pin = *Root::adopt(dir.path(), [7; 16]).unwrap().pin();
        assert_eq!(Root::open(dir.path(), &pin).unwrap().pin(), &pin);
        Root::adopt(dir.path(), [7; 16]).unwrap();
        let error = Root::adopt(dir.path(), [8; 16]).unwrap_err().to_string();
        assert!(error.contains("another state folder"), "{error}");
        let other = Pin { id: [8; 16], ..pin };
        assert!(Root::open(dir.path(), &other).is_err());
        let mut moved = pin;
        moved.root.ino += 1;
        let error = Root::open(dir.path(), &moved).unwrap_err().to_string();
        assert!(error.contains("another directory"), "{error}");
    }

    #[test]
    fn a_missing_marker_is_refused_and_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let pin = *Root::adopt(dir.path(), [7; 16]).unwrap().pin();
        std::fs::remove_dir_all(dir.path().join(".cfs-repl")).unwrap();
        let error = Root::open(dir.path(), &pin).unwrap_err().to_string();
        assert!(error.contains("nothing was deleted"), "{error}");
        assert!(!dir.path().join(".cfs-repl").exists());
    }

    #[test]
    fn symbolic_links_and_parent_entries_are_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let root = Root::adopt(dir.path(), [1; 16]).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
        assert_eq!(root.open_dir(&[name("out")]).unwrap_err(), Errno::LOOP);
        let at = open_beneath(root.fd(), b"../x", DIR_FLAGS);
        assert_eq!(at.unwrap_err(), Errno::XDEV);
        assert!(Root::open_file(root.fd(), &name("out")).is_err());
    }

    #[test]
    fn paths_longer_than_the_system_takes_are_opened_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::adopt(dir.path(), [1; 16]).unwrap();
        let part = name(&"d".repeat(200));
        let mut path = Vec::new();
        for _ in 0..40 {
            let at = root.open_dir(&path).unwrap();
            rustix::fs::mkdirat(&at, OsStr::from_bytes(part.as_bytes()), Mode::RWXU).unwrap();
            path.push(part.clone());
        }
        root.open_dir(&path).unwrap();
    }
}
