//! Files that applying displaced, kept on the same filesystem: losers of conflicts for as long as operators may want
//! them back, everything else for a moment, should a program still write to it.
//!
//! The name tells what a file is, so nothing about the trash has to be remembered anywhere else: logical inode, time
//! and a number; then, for files, the version that was displaced: root of its manifest, size and mtime. What is in the
//! trash is served to other sites, restored, watched for late writers ([`late`]) and removed ([`keep`]) by that.
//! Names of another form were rescued from staging after a stop.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, RenameFlags};
use rustix::io::Errno;

use super::root::{Root, hex};
use super::stat::{Stat, stat_at};
use crate::error::{ReplError, Result};
use crate::journal::op::{FileTime, ManifestRoot, Name};
use crate::sync::port::{DeviceImage, Image, NodeKind};

pub mod keep;
pub mod late;

/// Prefix of what recovery found in staging.
pub(super) const RESCUED: &[u8] = b"rescued-";
/// Last part of the name of a file that was written to in the trash.
const LATE: &str = "late";

/// A version of a file, as the name in the trash records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Root of its manifest; all zero for an empty file.
    pub root: ManifestRoot,
    /// Length in bytes.
    pub size: u64,
    /// mtime.
    pub mtime: FileTime,
    /// It was written by a program that kept the file open: no site has it in its journal.
    pub late: bool,
}

impl Label {
    /// The version that `shown` is and `device` looks like; None for anything but a file.
    #[must_use]
    pub fn of(shown: &Image, device: &DeviceImage) -> Option<Self> {
        let content = shown.content.as_ref();
        (shown.kind == NodeKind::File).then(|| Self {
            root: content.map_or_else(ManifestRoot::default, |c| c.value.manifest_root),
            size: device.size,
            mtime: device.mtime,
            late: false,
        })
    }

    /// Whether `stat` shows a file that was written to since the label was made, or may have been.
    #[must_use]
    pub fn differs(&self, stat: &Stat) -> bool {
        stat.size != self.size || stat.mtime != self.mtime
    }
}

/// A file in the trash, as far as its name tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Displaced {
    /// When, by the wall clock.
    pub at_us: u64,
    /// Its logical inode.
    pub inode: u64,
    /// Tells those of one moment apart.
    pub number: u64,
    /// Which version it is; None for what is no file.
    pub label: Option<Label>,
    /// Its name.
    pub name: Name,
}

/// A name for an object that is displaced at `at_us`.
#[must_use]
pub fn name(inode: u64, at_us: u64, number: u64, label: Option<&Label>) -> Name {
    let mut text = format!("{inode:016x}-{at_us:016x}-{number:x}");
    if let Some(label) = label {
        let (root, seconds) = (hex(&label.root.0), label.mtime.seconds.cast_unsigned());
        let (size, nanos) = (label.size, label.mtime.nanos);
        text.push_str(&format!("-{root}-{size:x}-{seconds:x}-{nanos:x}"));
        if label.late {
            text.push_str(&format!("-{LATE}"));
        }
    }
    Name::new(text.into_bytes()).expect("hexadecimal digits and dashes are a name")
}

/// What a name in the trash tells; None for one that is not of this form.
#[must_use]
pub fn parse(name: &Name) -> Option<Displaced> {
    let bytes = name.as_bytes();
    let text = std::str::from_utf8(bytes.strip_prefix(RESCUED).unwrap_or(bytes)).ok()?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let mut parts = text.split('-');
    let (inode, at_us) = (number(parts.next()?)?, number(parts.next()?)?);
    let count = number(parts.next()?)?;
    let label = match parts.next() {
        None => None,
        Some(root) => Some(Label {
            root: ManifestRoot(*blake3::Hash::from_hex(root).ok()?.as_bytes()),
            size: number(parts.next()?)?,
            mtime: FileTime {
                seconds: number(parts.next()?)?.cast_signed(),
                nanos: u32::try_from(number(parts.next()?)?).ok()?,
            },
            late: parts.next().is_some_and(|word| word == LATE),
        }),
    };
    Some(Displaced {
        at_us,
        inode,
        number: count,
        label,
        name: name.clone(),
    })
}

/// What is in the trash, oldest first.
///
/// # Errors
/// When it cannot be listed.
pub fn list(root: &Root) -> Result<Vec<Displaced>> {
    let fail = |e: Errno| ReplError::io("list trash of", root.path(), e);
    let mut found = Vec::new();
    for entry in Dir::read_from(root.trash()).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = Name::new(entry.file_name().to_bytes().to_vec());
        found.extend(name.ok().as_ref().and_then(parse));
    }
    found.sort();
    Ok(found)
}

/// What a file in the trash looks like; None when it is gone.
///
/// # Errors
/// When the system refuses for another reason.
pub fn stat(root: &Root, name: &Name) -> Result<Option<Stat>> {
    match stat_at(root.trash(), name.as_bytes()) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(ReplError::io("stat in trash of", root.path(), e)),
    }
}

/// Opens a file of the trash for reading; None when it is gone or no file.
///
/// # Errors
/// When the system refuses for another reason.
pub fn open(root: &Root, name: &Name) -> Result<Option<OwnedFd>> {
    match Root::open_file(root.trash(), name) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT | Errno::LOOP) => Ok(None),
        Err(e) => Err(ReplError::io("open in trash of", root.path(), e)),
    }
}

/// Removes a file from the trash; one that is gone is no error.
///
/// # Errors
/// When the system refuses.
pub fn remove(root: &Root, name: &Name) -> Result<()> {
    match rustix::fs::unlinkat(root.trash(), name.as_bytes(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(ReplError::io("clear trash of", root.path(), e)),
    }
}

/// Gives a file of the trash the name that says what it holds by now.
///
/// # Errors
/// When the system refuses.
pub fn relabel(root: &Root, was: &Displaced, label: Label) -> Result<Displaced> {
    let to = name(was.inode, was.at_us, was.number, Some(&label));
    let (trash, flags) = (root.trash(), RenameFlags::NOREPLACE);
    rustix::fs::renameat_with(trash, was.name.as_bytes(), trash, to.as_bytes(), flags)
        .map_err(|e| ReplError::io("rename in trash of", root.path(), e))?;
    Ok(Displaced {
        label: Some(label),
        name: to,
        ..was.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> Label {
        Label {
            root: ManifestRoot([0xA5; 32]),
            size: 70_000,
            mtime: FileTime {
                seconds: -2,
                nanos: 999_999_999,
            },
            late: false,
        }
    }

    #[test]
    fn a_name_tells_everything_and_fits() {
        let late = Label {
            late: true,
            ..label()
        };
        for label in [None, Some(label()), Some(late)] {
            let made = name(u64::MAX, u64::MAX, u64::MAX, label.as_ref());
            assert!(made.as_bytes().len() + RESCUED.len() <= 255);
            let rescued = Name::new([RESCUED, made.as_bytes()].concat()).unwrap();
            for made in [made, rescued] {
                let told = parse(&made).unwrap();
                let numbers = (told.inode, told.at_us, told.number);
                assert_eq!(numbers, (u64::MAX, u64::MAX, u64::MAX));
                assert_eq!((told.label, told.name), (label, made));
            }
        }
    }

    #[test]
    fn names_are_pinned() {
        let made = name(7, 16, 1, Some(&label()));
        let root = "a5".repeat(32);
        let expected =
            format!("0000000000000007-0000000000000010-1-{root}-11170-fffffffffffffffe-3b9ac9ff");
        assert_eq!(made.as_bytes(), expected.as_bytes());
    }

    #[test]
    fn other_names_are_left_alone() {
        for other in ["rescued-s-1", "7-10", "x-10-1", "7-10-1-beef", "late"] {
            let other = Name::new(other.as_bytes().to_vec()).unwrap();
            assert_eq!(parse(&other), None, "{other:?}");
        }
    }
}
