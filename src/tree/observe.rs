//! Reads one file in full: its bytes, attributes and what it is, all of one moment or not at all.
//!
//! The stat before and after reading must agree; a file that keeps changing is reported busy and comes again.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::root::{Root, open_beneath};
use super::stat::{DevId, Stat, stat_at, stat_fd};
use super::xattr;
use crate::content::chunk::hash_file;
use crate::error::{ReplError, Result};
use crate::journal::op::{Content, Name};
use crate::sync::port::NodeKind;

/// Readings before a file counts as busy.
const ATTEMPTS: u32 = 3;

/// Everything of a file that replication carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Metadata, the same before and after the reading.
    pub stat: Stat,
    /// Bytes of a regular file.
    pub content: Option<Content>,
    /// Text of a symbolic link.
    pub target: Option<Bytes>,
    /// Extended attributes that are replicated.
    pub xattrs: BTreeMap<Bytes, Bytes>,
}

/// What became of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// It was read.
    Read(Box<Details>),
    /// It changed during each of three readings.
    Busy,
    /// It is no longer at this name.
    Vanished,
    /// The system refuses it.
    Unreadable(String),
}

/// Reads the file `id` that stands at `name` in `dir`.
///
/// # Errors
/// When a file on a filesystem without trusted syncfs cannot be made durable.
pub fn observe(root: &Root, dir: &[Name], name: &Name, id: DevId) -> Result<Observed> {
    observe_with(root, dir, name, id, &mut || ())
}

/// [`observe`], calling `during` between the reading and the second stat.
pub(super) fn observe_with(
    root: &Root,
    dir: &[Name],
    name: &Name,
    id: DevId,
    during: &mut dyn FnMut(),
) -> Result<Observed> {
    let path = root.shown(dir, Some(name));
    for _ in 0..ATTEMPTS {
        let read = root
            .open_dir(dir)
            .map_err(|e| ReplError::io("open", &path, e));
        let read = read.and_then(|dir| read_once(root, &dir, name, id, &path, during));
        match read {
            Ok(Some(details)) => return Ok(Observed::Read(Box::new(details))),
            Ok(None) => {}
            Err(error) => return observed_error(error),
        }
    }
    Ok(Observed::Busy)
}

fn observed_error(error: ReplError) -> Result<Observed> {
    let ReplError::Io { action, source, .. } = &error else {
        return Err(error);
    };
    let errno = source.raw_os_error().map(Errno::from_raw_os_error);
    match errno {
        // A failed sync means that bytes may be lost which this node is about to announce.
        _ if *action == "sync file" => Err(error),
        Some(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::XDEV | Errno::STALE) => {
            Ok(Observed::Vanished)
        }
        _ => Ok(Observed::Unreadable(source.to_string())),
    }
}

/// None: it changed during the reading.
fn read_once(
    root: &Root,
    dir: &OwnedFd,
    name: &Name,
    id: DevId,
    path: &Path,
    during: &mut dyn FnMut(),
) -> Result<Option<Details>> {
    let fail = |e: Errno| ReplError::io("read", path, e);
    let before = stat_at(dir, name.as_bytes()).map_err(fail)?;
    if before.id != id {
        return Err(fail(Errno::NOENT));
    }
    let mut details = Details {
        stat: before,
        content: None,
        target: None,
        xattrs: BTreeMap::new(),
    };
    match before.kind {
        Some(NodeKind::File) => {
            let file = Root::open_file(dir, name).map_err(fail)?;
            if stat_fd(&file).map_err(fail)?.id != id {
                return Err(fail(Errno::NOENT));
            }
            let Some(hashed) = hash_file(&file, before.size, path)? else {
                return Ok(None);
            };
            if !root.trusts_syncfs() {
                rustix::fs::fsync(&file).map_err(|e| ReplError::io("sync file", path, e))?;
            }
            details.xattrs = xattrs(&file).map_err(fail)?;
            details.content = Some(Content {
                size: hashed.size,
                manifest_root: hashed.root,
                mtime: before.mtime,
                inline: hashed.inline,
            });
        }
        Some(NodeKind::Dir) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd = open_beneath(dir.as_fd(), name.as_bytes(), flags).map_err(fail)?;
            details.xattrs = xattrs(&fd).map_err(fail)?;
        }
        Some(NodeKind::Symlink) => {
            let target = rustix::fs::readlinkat(dir, name.as_bytes(), Vec::new()).map_err(fail)?;
            details.target = Some(target.into_bytes().into());
        }
        None => return Err(fail(Errno::NOENT)),
    }
    during();
    let after = stat_at(dir, name.as_bytes()).map_err(fail)?;
    Ok((after.image() == before.image()).then_some(details))
}

fn xattrs(file: impl AsFd) -> rustix::io::Result<BTreeMap<Bytes, Bytes>> {
    let all = xattr::read_all(file)?.into_iter();
    Ok(all
        .map(|(name, value)| (name.into(), value.into()))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn planted() -> (tempfile::TempDir, Root, Name, DevId) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::adopt(dir.path(), [1; 16]).unwrap();
        fs::write(dir.path().join("f"), b"one").unwrap();
        let name = Name::new(&b"f"[..]).unwrap();
        let id = stat_at(root.fd(), "f").unwrap().id;
        (dir, root, name, id)
    }

    #[test]
    fn a_file_that_changes_during_every_reading_is_busy() {
        let (dir, root, name, id) = planted();
        let mut readings = 0;
        let seen = observe_with(&root, &[], &name, id, &mut || {
            readings += 1;
            let mut file = fs::OpenOptions::new()
                .append(true)
                .open(dir.path().join("f"))
                .unwrap();
            file.write_all(b"more").unwrap();
        });
        assert_eq!((seen.unwrap(), readings), (Observed::Busy, 3));
    }

    #[test]
    fn a_file_that_changes_once_is_read_again() {
        let (dir, root, name, id) = planted();
        let mut readings = 0;
        let seen = observe_with(&root, &[], &name, id, &mut || {
            readings += 1;
            if readings == 1 {
                fs::write(dir.path().join("f"), b"second").unwrap();
            }
        });
        let Observed::Read(details) = seen.unwrap() else {
            panic!("not read");
        };
        assert_eq!(
            (details.content.unwrap().inline.unwrap(), readings),
            ("second".into(), 2)
        );
    }

    #[test]
    fn another_file_at_the_name_is_not_taken_for_it() {
        let (dir, root, name, id) = planted();
        fs::write(dir.path().join("g"), b"two").unwrap();
        fs::rename(dir.path().join("g"), dir.path().join("f")).unwrap();
        assert_eq!(observe(&root, &[], &name, id).unwrap(), Observed::Vanished);
        fs::remove_file(dir.path().join("f")).unwrap();
        assert_eq!(observe(&root, &[], &name, id).unwrap(), Observed::Vanished);
    }
}
