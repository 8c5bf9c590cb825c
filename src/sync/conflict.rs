//! Pure: conflict records: what lost, against what, and where it went.
//!
//! A record is keyed by what lost, so that every site derives the same id whatever the order of arrival: for a
//! register the losing version, for a derived kind (a name clash, a directory kept for its children, a skipped move)
//! the version that is not shown as it says. At quiescence the unsuperseded records are equal on all sites.

use std::fmt;

use bytes::Bytes;

use crate::clock::TimestampUs;
use crate::journal::dot::{Dot, LwwKey};
use crate::journal::entry::RegisterId;
use crate::journal::op::{Content, FileTime, ManifestRoot, Owner, Place};

/// Characters of a shown conflict id behind `c-`.
pub const ID_CHARS: usize = 10;
/// RFC 4648 base32 in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What kind of disagreement it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Two sites wrote the same register of an inode concurrently.
    Register,
    /// A file was written at one site and removed at another.
    WriteUnlink,
    /// Two inodes claim one name.
    NameClash,
    /// A directory was removed at one site while another put something into it.
    RmdirCreate,
    /// Two directory moves would have made a cycle; this one was skipped.
    MoveCycle,
    /// Content and a mode with set-uid or set-gid came from different sites; the bits were dropped.
    SuidDropped,
    /// The bytes of a current version are on no disk any more.
    ContentLost,
    /// Different registers of an inode were written concurrently, such as its mode and its bytes: both versions are
    /// shown, and nothing was lost. For information.
    Merged,
}

impl ConflictKind {
    /// The word for people and scripts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::WriteUnlink => "write_unlink",
            Self::NameClash => "name_clash",
            Self::RmdirCreate => "rmdir_create",
            Self::MoveCycle => "move_cycle",
            Self::SuidDropped => "suid_dropped",
            Self::ContentLost => "content_lost",
            Self::Merged => "merged",
        }
    }
}

/// Names a conflict on every site alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConflictId(pub [u8; 32]);

impl ConflictId {
    /// The id of the conflict of `kind` in which the version `loser` of `register` of `inode` was not shown.
    #[must_use]
    pub fn new(kind: ConflictKind, inode: u64, register: &RegisterId, loser: Dot) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"cfs-repl conflict 1\0");
        hasher.update(kind.word().as_bytes());
        hasher.update(&[0]);
        hasher.update(&inode.to_le_bytes());
        let (code, link, name): (u8, u64, &[u8]) = match register {
            RegisterId::Content => (1, 0, b""),
            RegisterId::Mode => (2, 0, b""),
            RegisterId::Owner => (3, 0, b""),
            RegisterId::Times => (4, 0, b""),
            RegisterId::Flags => (5, 0, b""),
            RegisterId::Xattr(name) => (6, 0, name),
            RegisterId::LinkPlace(link) => (7, *link, b""),
            RegisterId::DirPlace => (8, 0, b""),
        };
        hasher.update(&[code]);
        hasher.update(&link.to_le_bytes());
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update(&loser.actor.site_id.to_le_bytes());
        hasher.update(&loser.actor.incarnation.to_le_bytes());
        hasher.update(&loser.stream.to_le_bytes());
        hasher.update(&loser.seq.to_le_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The id of a late write: bytes with this root that a program wrote to a version of `inode` after that was
    /// displaced. Nobody journaled them, so they have no other name.
    #[must_use]
    pub fn of_late_write(inode: u64, root: ManifestRoot) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"cfs-repl late write 1\0");
        hasher.update(&inode.to_le_bytes());
        hasher.update(&root.0);
        Self(*hasher.finalize().as_bytes())
    }

    /// The lowest and the highest id that `text` may mean: a shown id, or the beginning of one with at least one
    /// character behind `c-`. None: it means none.
    #[must_use]
    pub fn span(text: &str) -> Option<(Self, Self)> {
        let text = text.strip_prefix("c-").unwrap_or(text);
        if text.is_empty() {
            return None;
        }
        let (mut low, mut high) = (Self([0; 32]), Self([0xff; 32]));
        for (nth, char) in text.bytes().enumerate() {
            let value = BASE32.iter().position(|known| *known == char)?;
            for bit in 0..5 {
                let at = nth * 5 + bit;
                let (byte, mask) = (at / 8, 0x80u8 >> (at % 8));
                let (low, high) = (low.0.get_mut(byte)?, high.0.get_mut(byte)?);
                if value >> (4 - bit) & 1 == 1 {
                    *low |= mask;
                } else {
                    *high &= !mask;
                }
            }
        }
        Some((low, high))
    }

    /// The next id in order. None: this is the last one.
    #[must_use]
    pub fn successor(mut self) -> Option<Self> {
        for byte in self.0.iter_mut().rev() {
            let (moved, over) = byte.overflowing_add(1);
            *byte = moved;
            if !over {
                return Some(self);
            }
        }
        None
    }

    fn base32(&self, chars: usize) -> String {
        let mut text = String::with_capacity(chars);
        let (mut buffer, mut bits) = (0u32, 0u32);
        for byte in self.0 {
            buffer = (buffer << 8) | u32::from(byte);
            bits += 8;
            while bits >= 5 && text.len() < chars {
                bits -= 5;
                let index = (buffer >> bits) & 31;
                text.push(char::from(BASE32[index as usize]));
            }
        }
        text
    }
}

impl fmt::Display for ConflictId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c-{}", self.base32(ID_CHARS))
    }
}

impl fmt::Debug for ConflictId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The full value of a losing version, from which it is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LostValue {
    /// Not known here: another site told that it lost before it arrived.
    Unknown,
    /// Bytes.
    Content(Content),
    /// Mode.
    Mode(u32),
    /// Owner.
    Owner(Owner),
    /// mtime.
    Times(FileTime),
    /// Inode flags.
    Flags(u32),
    /// An extended attribute; none: its removal lost.
    Xattr(Option<Bytes>),
    /// A place; false: its removal lost.
    Place {
        /// Whether it was to be there, or gone.
        live: bool,
        /// Where; none for a directory whose liveness alone was written.
        place: Option<Place>,
    },
}

impl LostValue {
    /// The place that lost.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::Place { place, .. } => place.as_ref(),
            Self::Unknown
            | Self::Content(_)
            | Self::Mode(_)
            | Self::Owner(_)
            | Self::Times(_)
            | Self::Flags(_)
            | Self::Xattr(_) => None,
        }
    }

    /// Whether two sites did the same, so that nobody needs to look at it although it is on record like every loser:
    /// both removed it, or gave it the same mode, owner, times, flags or attribute. Equal bytes of two sites stay a
    /// conflict, as [`crate::sync::detector`] promises.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Place { live: false, .. }, Self::Place { live: false, .. }) => true,
            (Self::Mode(a), Self::Mode(b)) | (Self::Flags(a), Self::Flags(b)) => a == b,
            (Self::Owner(a), Self::Owner(b)) => a == b,
            (Self::Times(a), Self::Times(b)) => a == b,
            (Self::Xattr(a), Self::Xattr(b)) => a == b,
            (
                Self::Unknown
                | Self::Content(_)
                | Self::Mode(_)
                | Self::Owner(_)
                | Self::Times(_)
                | Self::Flags(_)
                | Self::Xattr(_)
                | Self::Place { .. },
                _,
            ) => false,
        }
    }
}

/// An operator looked at a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// When, by the clock of the site where it was done.
    pub at_us: TimestampUs,
    /// Who.
    pub by: String,
    /// Why.
    pub note: String,
    /// Order among acknowledgements of several sites.
    pub key: LwwKey,
    /// False: an acknowledgement was taken back.
    pub acked: bool,
}

/// One conflict, for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictRecord {
    /// Its name.
    pub id: ConflictId,
    /// What kind.
    pub kind: ConflictKind,
    /// Which inode.
    pub inode: u64,
    /// Which register of it.
    pub register: RegisterId,
    /// The version that lost. Seq 0: bytes that nobody journaled, written to a file after that was displaced.
    pub loser: LwwKey,
    /// The version that won against it, or, where only that is known, the one that had seen it and settled the matter;
    /// none when nothing took its place.
    pub winner: Option<LwwKey>,
    /// When this site noticed.
    pub detected_at_us: TimestampUs,
    /// What was lost.
    pub lost: LostValue,
    /// It does not count: a later version had seen the loser, an operation ended a derived conflict, or winner and
    /// loser agree.
    pub superseded: bool,
}

impl ConflictRecord {
    /// Counts in lists, alerts and status; `ack` is the latest acknowledgement of it.
    #[must_use]
    pub fn is_open(&self, ack: Option<&Ack>) -> bool {
        !self.superseded && self.kind != ConflictKind::Merged && !ack.is_some_and(|ack| ack.acked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::dot::Actor;

    fn id(kind: ConflictKind, register: &RegisterId, seq: u64) -> ConflictId {
        ConflictId::new(kind, 77, register, Dot::new(Actor::new(1, 2), 3, seq))
    }

    #[test]
    fn ids_are_pinned_and_shown_short() {
        let id = id(ConflictKind::Register, &RegisterId::Content, 4);
        assert_eq!(id.to_string(), "c-bygtc5qnmf");
    }

    #[test]
    fn a_shown_id_and_every_beginning_of_it_span_the_id_and_not_its_neighbours() {
        let id = id(ConflictKind::Register, &RegisterId::Content, 4);
        let whole = id.base32(51);
        for chars in 1..=whole.len() {
            let beginning = whole.get(..chars).unwrap();
            let (low, high) = ConflictId::span(beginning).unwrap();
            assert_eq!(
                ConflictId::span(&format!("c-{beginning}")),
                Some((low, high))
            );
            assert!((low..=high).contains(&id), "{beginning}");
            let begins = |id: ConflictId| id.base32(51).starts_with(beginning);
            assert!(begins(low) && begins(high), "{beginning}");
            let outside = |id: ConflictId| !begins(id);
            assert!(high.successor().is_none_or(outside), "{beginning}");
            // The one before is the last that the beginning before it spans, or none.
            let mut before = low;
            for byte in before.0.iter_mut().rev() {
                let (moved, under) = byte.overflowing_sub(1);
                *byte = moved;
                if !under {
                    break;
                }
            }
            assert!(
                low == ConflictId::default() || outside(before),
                "{beginning}"
            );
        }
        assert_eq!(ConflictId([0xff; 32]).successor(), None);
        for none in [
            "",
            "c-",
            "C-byg",
            "byg1",
            "c-byg!",
            &format!("{whole}a"),
            "\u{e4}",
        ] {
            assert_eq!(ConflictId::span(none), None, "{none}");
        }
    }

    #[test]
    fn ids_differ_by_kind_register_and_version() {
        let base = id(ConflictKind::Register, &RegisterId::Content, 4);
        assert_ne!(base, id(ConflictKind::WriteUnlink, &RegisterId::Content, 4));
        assert_ne!(base, id(ConflictKind::Register, &RegisterId::Mode, 4));
        assert_ne!(base, id(ConflictKind::Register, &RegisterId::Content, 5));
        let xattr = |name| RegisterId::Xattr(Bytes::from_static(name));
        assert_ne!(
            id(ConflictKind::Register, &xattr(b"user.a"), 4),
            id(ConflictKind::Register, &xattr(b"user.b"), 4)
        );
    }
}
