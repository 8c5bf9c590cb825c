//! Pure: the operations, and their payloads as typed after-images.
//!
//! [`OpKind`] is the specified word for an operation; [`Change`] is the same operation with what it needs to be
//! merged anywhere, in any order. There are no paths: a place is (parent inode, name), and a name is checked when it
//! is made, so no code behind [`Name`] meets `..`, `/` or NUL.

use bytes::Bytes;

use super::dot::Actor;
use crate::error::{ReplError, Result};

/// Longest name of a directory entry in bytes (NAME_MAX of Linux).
pub const NAME_BYTES_MAX: usize = 255;
/// Longest symbolic link text in bytes (PATH_MAX of Linux less its NUL).
pub const TARGET_BYTES_MAX: usize = 4_095;
/// Longest value of an extended attribute that is replicated: fits the payload limit with its name.
pub const XATTR_BYTES_MAX: usize = 60 * 1024;
/// Content up to this size travels inside its entry (CORRECTNESS of the design: one round trip for small files).
pub const INLINE_BYTES_MAX: usize = 16 * 1024;
/// Most journals that a horizon names.
pub const HORIZON_JOURNALS_MAX: usize = 1_024;
/// Longest note of an acknowledgement in bytes.
pub const NOTE_BYTES_MAX: usize = 1_024;
/// Directory that belongs to the replicator in every root; never a name in a replicated tree.
pub const RESERVED_NAME: &[u8] = b".cfs-repl";

/// What an entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OpKind {
    /// A regular file comes to be, empty.
    Create,
    /// A link of a file, or a directory, is removed.
    Unlink,
    /// A link or a directory gets another place.
    Rename,
    /// The content is replaced by an after-image.
    Write,
    /// The same, for an operation that only changed the length.
    Truncate,
    /// Mode, owner, mtime or flags.
    SetAttr,
    /// Another hard link.
    Link,
    /// A symbolic link comes to be.
    Symlink,
    /// A directory comes to be.
    MkDir,
    /// An extended attribute gets a value.
    SetXattr,
    /// An extended attribute is removed.
    RemoveXattr,
    /// Control: nothing; makes a position explicit.
    Noop,
    /// Control: a conflict was acknowledged, or that was taken back.
    ConflictAck,
    /// Control: a site joined, changed or left.
    Member,
    /// Control: the log continues here after a bootstrap or under a new incarnation.
    ResumePoint,
    /// Control: up to where the site shows what all sites wrote.
    Horizon,
}

impl OpKind {
    /// Every kind, in the order of its code.
    pub const ALL: [Self; 16] = [
        Self::Create,
        Self::Unlink,
        Self::Rename,
        Self::Write,
        Self::Truncate,
        Self::SetAttr,
        Self::Link,
        Self::Symlink,
        Self::MkDir,
        Self::SetXattr,
        Self::RemoveXattr,
        Self::Noop,
        Self::ConflictAck,
        Self::Member,
        Self::ResumePoint,
        Self::Horizon,
    ];

    /// The number in the wire format, also the one that the entry's crc covers.
    #[must_use]
    pub fn code(self) -> u32 {
        (Self::ALL.iter().position(|kind| *kind == self).unwrap_or(0) as u32) + 1
    }

    /// The kind of a number in the wire format.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL
            .get(usize::try_from(code).ok()?.checked_sub(1)?)
            .copied()
    }

    /// True for the kinds whose inode begins with them.
    #[must_use]
    pub const fn makes_inode(self) -> bool {
        matches!(self, Self::Create | Self::MkDir | Self::Symlink)
    }

    /// True for the kinds that give an inode another name, or take one from it.
    #[must_use]
    pub const fn changes_name(self) -> bool {
        matches!(self, Self::Link | Self::Unlink | Self::Rename)
    }

    /// True for the kinds of the control stream.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(
            self,
            Self::Noop | Self::ConflictAck | Self::Member | Self::ResumePoint | Self::Horizon
        )
    }

    /// The word for people, scripts and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Unlink => "unlink",
            Self::Rename => "rename",
            Self::Write => "write",
            Self::Truncate => "truncate",
            Self::SetAttr => "setattr",
            Self::Link => "link",
            Self::Symlink => "symlink",
            Self::MkDir => "mkdir",
            Self::SetXattr => "setxattr",
            Self::RemoveXattr => "removexattr",
            Self::Noop => "noop",
            Self::ConflictAck => "conflict_ack",
            Self::Member => "member",
            Self::ResumePoint => "resume_point",
            Self::Horizon => "horizon",
        }
    }
}

/// The name of a directory entry: 1..=255 bytes, no `/`, no NUL, not `.`, `..` or the reserved name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Bytes);

impl Name {
    /// Checks `bytes` as a name.
    ///
    /// # Errors
    /// [`ReplError::Serialization`] that says which rule it breaks; the name itself is shown escaped.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        let fault = if bytes.is_empty() {
            "is empty"
        } else if bytes.len() > NAME_BYTES_MAX {
            "is longer than 255 bytes"
        } else if bytes.contains(&b'/') {
            "contains a slash"
        } else if bytes.contains(&0) {
            "contains NUL"
        } else if &bytes[..] == b"." || &bytes[..] == b".." {
            "is a directory's own or parent entry"
        } else if &bytes[..] == RESERVED_NAME {
            "is reserved for the replicator"
        } else {
            return Ok(Self(bytes));
        };
        let shown = bytes.escape_ascii().to_string();
        Err(ReplError::serialization(
            "file name",
            format!("\"{shown}\" {fault}"),
        ))
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The shared bytes of the name.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Where a link or a directory stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Inode of the directory.
    pub parent: u64,
    /// Name in it.
    pub name: Name,
}

/// A point in time of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileTime {
    /// Seconds since 1970-01-01 UTC; negative before.
    pub seconds: i64,
    /// 0..=999 999 999.
    pub nanos: u32,
}

impl FileTime {
    /// Microseconds since 1970-01-01 UTC, rounded down; full seconds before that count as none.
    #[must_use]
    pub fn clamped_us(self) -> u64 {
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        let us = seconds.saturating_mul(1_000_000);
        us.saturating_add(u64::from(self.nanos) / 1_000)
    }
}

/// Owner by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// After-images of attributes; `None` is not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attr {
    /// The lower 12 bits of `st_mode`.
    pub mode: Option<u32>,
    /// User and group.
    pub owner: Option<Owner>,
    /// mtime.
    pub mtime: Option<FileTime>,
    /// Inode flags as of `FS_IOC_GETFLAGS`.
    pub flags: Option<u32>,
}

impl Attr {
    /// True when nothing is touched.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.mode.is_none() && self.owner.is_none() && self.mtime.is_none() && self.flags.is_none()
    }

    /// This set with `later` laid over it: what two SetAttr one after the other amount to.
    #[must_use]
    pub fn folded(self, later: Self) -> Self {
        Self {
            mode: later.mode.or(self.mode),
            owner: later.owner.or(self.owner),
            mtime: later.mtime.or(self.mtime),
            flags: later.flags.or(self.flags),
        }
    }
}

/// Hash of the root manifest of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ManifestRoot(pub [u8; 32]);

impl std::fmt::Debug for ManifestRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", blake3::Hash::from(self.0).to_hex())
    }
}

/// One version of a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Content {
    /// Length in bytes, holes included.
    pub size: u64,
    /// blake3 of the root manifest; all zero for an empty file.
    pub manifest_root: ManifestRoot,
    /// mtime that the file had with these bytes.
    pub mtime: FileTime,
    /// The bytes when they are few and without holes.
    pub inline: Option<Bytes>,
}

/// What a site is in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberState {
    /// Takes part.
    Active,
    /// Was away too long; returns only by bootstrap.
    Fenced,
    /// Has left for good.
    Removed,
}

/// What a site says of itself in its control stream, so that everybody knows what needs no memory any more: whatever it
/// writes from here on has seen all of this.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Horizon {
    /// Everything stamped up to here by the journals of `live` is on its tree.
    pub through_us: u64,
    /// The journals that it knows and that go on.
    pub live: Vec<Actor>,
    /// Those that ended, each with a digest of how far it has them.
    pub ended: Vec<(Actor, u64)>,
}

/// An operation with its after-images.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// A regular file comes to be, empty.
    Create {
        /// Where.
        place: Place,
        /// Attributes at birth.
        attr: Attr,
    },
    /// A directory comes to be.
    MkDir {
        /// Where.
        place: Place,
        /// Attributes at birth.
        attr: Attr,
    },
    /// A symbolic link comes to be.
    Symlink {
        /// Where.
        place: Place,
        /// Attributes at birth.
        attr: Attr,
        /// Its text.
        target: Bytes,
    },
    /// Another hard link of a file.
    Link {
        /// Where.
        place: Place,
    },
    /// A link or directory is removed.
    Unlink {
        /// Where it was last.
        place: Place,
        /// A directory.
        dir: bool,
    },
    /// A link or directory gets a place. Without one a directory is made live where it is.
    Rename {
        /// Where to.
        place: Option<Place>,
        /// A directory.
        dir: bool,
    },
    /// The content is replaced.
    Write {
        /// The version.
        content: Content,
        /// The mode afterwards, when the write changed it.
        mode: Option<u32>,
    },
    /// The content is replaced by an operation that only changed the length.
    Truncate {
        /// The version.
        content: Content,
        /// The mode afterwards, when the operation changed it.
        mode: Option<u32>,
    },
    /// Attributes get values.
    SetAttr {
        /// Which and what.
        attr: Attr,
    },
    /// An extended attribute gets a value.
    SetXattr {
        /// Full name.
        name: Bytes,
        /// Value.
        value: Bytes,
    },
    /// An extended attribute is removed.
    RemoveXattr {
        /// Full name.
        name: Bytes,
    },
    /// Control: nothing.
    Noop,
    /// Control: an operator looked at a conflict.
    ConflictAck {
        /// Which.
        conflict_id: [u8; 32],
        /// Looked at, or taken back.
        acked: bool,
        /// Free text.
        note: String,
        /// Who.
        by: String,
    },
    /// Control: membership.
    Member {
        /// The site.
        site_id: u64,
        /// Its name.
        name: String,
        /// Its journal.
        incarnation: u64,
        /// What it is from here on.
        state: MemberState,
        /// For a site that leaves: how far each stream counts.
        final_cursors: Vec<(u32, u64)>,
    },
    /// Control: the log continues here.
    ResumePoint,
    /// Control: up to where the site shows what all sites wrote.
    Horizon(Horizon),
}

impl Change {
    /// The kind of the operation.
    #[must_use]
    pub const fn kind(&self) -> OpKind {
        match self {
            Self::Create { .. } => OpKind::Create,
            Self::MkDir { .. } => OpKind::MkDir,
            Self::Symlink { .. } => OpKind::Symlink,
            Self::Link { .. } => OpKind::Link,
            Self::Unlink { .. } => OpKind::Unlink,
            Self::Rename { .. } => OpKind::Rename,
            Self::Write { .. } => OpKind::Write,
            Self::Truncate { .. } => OpKind::Truncate,
            Self::SetAttr { .. } => OpKind::SetAttr,
            Self::SetXattr { .. } => OpKind::SetXattr,
            Self::RemoveXattr { .. } => OpKind::RemoveXattr,
            Self::Noop => OpKind::Noop,
            Self::ConflictAck { .. } => OpKind::ConflictAck,
            Self::Member { .. } => OpKind::Member,
            Self::ResumePoint => OpKind::ResumePoint,
            Self::Horizon(_) => OpKind::Horizon,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused_and_say_why() {
        let long = vec![b'x'; 256];
        for (bytes, why) in [
            (&b""[..], "is empty"),
            (b"..", "parent entry"),
            (b".", "parent entry"),
            (b"a/b", "slash"),
            (b"a\0b", "NUL"),
            (b".cfs-repl", "reserved"),
            (&long, "longer than 255"),
        ] {
            let error = Name::new(bytes.to_vec()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn names_need_not_be_utf8_and_are_shown_escaped() {
        let name = Name::new(&b"caf\xe9\x1b[31m"[..]).unwrap();
        assert_eq!(format!("{name:?}"), r#""caf\xe9\x1b[31m""#);
    }

    #[test]
    fn every_kind_has_a_code_that_leads_back_to_it() {
        for kind in OpKind::ALL {
            assert_eq!(OpKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!((OpKind::from_code(0), OpKind::from_code(17)), (None, None));
        assert_eq!((OpKind::Create.code(), OpKind::RemoveXattr.code()), (1, 11));
    }

    #[test]
    fn folding_attributes_keeps_both_masks() {
        let mode = Attr {
            mode: Some(0o600),
            ..Attr::default()
        };
        let both = mode.folded(Attr {
            mtime: Some(FileTime {
                seconds: 7,
                nanos: 1,
            }),
            ..Attr::default()
        });
        assert_eq!(
            (both.mode, both.mtime.map(|t| t.seconds)),
            (Some(0o600), Some(7))
        );
    }
}
