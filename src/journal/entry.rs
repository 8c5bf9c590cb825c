//! Pure: one entry of the journal.
//!
//! The specified fields come first; the causal ones behind them are what makes the merge exact (which version an
//! operation replaced, what its author had seen). [`JournalEntry::new`] fills them with "nothing known", which
//! counts as concurrent everywhere: safe, never silent.

use bytes::Bytes;

use super::dot::{Actor, CONTROL_STREAM, Dot, LwwKey, shard_of};
use super::op::OpKind;
use crate::error::{ReplError, Result};

/// Longest payload of an entry in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// A register of an inode: the unit of merging.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RegisterId {
    /// Size, manifest and mtime of the bytes.
    Content,
    /// Permission bits, set-uid, set-gid, sticky.
    Mode,
    /// User and group.
    Owner,
    /// mtime as set by hand.
    Times,
    /// Inode flags.
    Flags,
    /// One extended attribute, by its full name.
    Xattr(Bytes),
    /// Place of one hard link, by its id.
    LinkPlace(u64),
    /// Place of a directory.
    DirPlace,
}

/// One version of one register; its stream is that of the inode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegisterDot {
    /// Which register.
    pub register: RegisterId,
    /// Who wrote it.
    pub actor: Actor,
    /// Its seq.
    pub seq: u64,
}

/// The version of one register inside an entry that an earlier entry was folded into: its name and place in the
/// last-write-wins order stay those of the earlier entry, so folding changes neither a winner nor a conflict's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FoldedStamp {
    /// Which register. Places are never folded.
    pub register: RegisterId,
    /// The seq that wrote it, below the entry's own.
    pub seq: u64,
    /// Its last-write-wins stamp in microseconds since 1970, below the entry's own.
    pub timestamp_us: u64,
}

/// Several entries that are one POSIX operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Txn {
    /// Number of the operation, unique per actor.
    pub id: u64,
    /// How many entries it has, at least 2.
    pub parts: u32,
    /// Which of them this is, from 0.
    pub part: u32,
}

/// One operation of one site.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalEntry {
    /// Position in the stream of (site, incarnation, shard): gap-free, from 1.
    pub seq: u64,
    /// 0..=255, or 256 for the control stream.
    pub shard_id: u32,
    /// The site that wrote it.
    pub site_id: u64,
    /// Last-write-wins stamp in microseconds since 1970.
    pub timestamp_us: u64,
    /// Logical inode; 0 for control entries.
    pub inode: u64,
    /// What was done.
    pub op: OpKind,
    /// Encoded [`super::op::Change`]; see [`super::codec`].
    pub payload: Bytes,
    /// CRC-32 (IEEE) over the fields above.
    pub crc32: u32,
    /// The journal that it stands in; 0 when unknown.
    pub incarnation: u64,
    /// Lowest seq folded into this entry; equal to `seq` when nothing was.
    pub first_seq: u64,
    /// Hybrid logical clock of the writer in microseconds, strictly increasing per site.
    pub hlc_us: u64,
    /// Which hard link; the inode's own number for its first link and for directories.
    pub link: u64,
    /// Versions that this operation replaced on its site's disk.
    pub prev: Vec<RegisterDot>,
    /// Versions that had already lost there and that it supersedes too.
    pub overrides: Vec<RegisterDot>,
    /// Exceptions from the stream's context for this entry.
    pub seen_except: Vec<(Actor, u64)>,
    /// How many foreign entries had touched the inode there.
    pub merge_gen: u32,
    /// Set when the entry is part of an operation that takes several.
    pub txn: Option<Txn>,
    /// Registers whose version is that of an earlier entry, which compaction folded into this one.
    pub folded: Vec<FoldedStamp>,
}

impl JournalEntry {
    /// An entry without causal context, its crc computed.
    #[must_use]
    pub fn new(
        seq: u64,
        shard_id: u32,
        site_id: u64,
        timestamp_us: u64,
        inode: u64,
        op: OpKind,
        payload: Vec<u8>,
    ) -> Self {
        let mut entry = Self {
            seq,
            shard_id,
            site_id,
            timestamp_us,
            inode,
            op,
            payload: payload.into(),
            crc32: 0,
            incarnation: 0,
            first_seq: seq,
            hlc_us: timestamp_us,
            link: inode,
            prev: Vec::new(),
            overrides: Vec::new(),
            seen_except: Vec::new(),
            merge_gen: 0,
            txn: None,
            folded: Vec::new(),
        };
        entry.crc32 = entry.compute_crc();
        entry
    }

    /// CRC-32 (IEEE 802.3) over seq, shard, site, stamp, inode and op as little-endian integers of 8, 4, 8, 8, 8
    /// and 4 bytes, then the payload.
    #[must_use]
    pub fn compute_crc(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.seq.to_le_bytes());
        hasher.update(&self.shard_id.to_le_bytes());
        hasher.update(&self.site_id.to_le_bytes());
        hasher.update(&self.timestamp_us.to_le_bytes());
        hasher.update(&self.inode.to_le_bytes());
        hasher.update(&self.op.code().to_le_bytes());
        hasher.update(&self.payload);
        hasher.finalize()
    }

    /// Whether the crc is that of the fields.
    #[must_use]
    pub fn validate_crc(&self) -> bool {
        self.crc32 == self.compute_crc()
    }

    /// The journal that the entry stands in.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        Actor::new(self.site_id, self.incarnation)
    }

    /// The name of the entry for ever.
    #[must_use]
    pub const fn dot(&self) -> Dot {
        Dot::new(self.actor(), self.shard_id, self.seq)
    }

    /// Where the entry stands in the last-write-wins order.
    #[must_use]
    pub const fn key(&self) -> LwwKey {
        LwwKey::new(self.timestamp_us, self.dot())
    }

    /// Where the entry's version of `register` stands in the last-write-wins order: its own place, or that of the
    /// earlier entry that wrote it and was folded in.
    #[must_use]
    pub fn key_of(&self, register: &RegisterId) -> LwwKey {
        let stamp = self.folded.iter().find(|stamp| stamp.register == *register);
        stamp.map_or_else(
            || self.key(),
            |stamp| {
                let dot = Dot::new(self.actor(), self.shard_id, stamp.seq);
                LwwKey::new(stamp.timestamp_us, dot)
            },
        )
    }

    /// What the entry replaced in `register` on its site's disk.
    #[must_use]
    pub fn prev_of(&self, register: &RegisterId) -> Option<Dot> {
        let found = self
            .prev
            .iter()
            .find(|version| version.register == *register)?;
        Some(Dot::new(found.actor, self.shard_id, found.seq))
    }

    /// Checks everything that can be known without the payload and the state: ranges, shard function, sizes, crc.
    ///
    /// # Errors
    /// [`ReplError::Journal`] with the site, stream and seq, and what is wrong.
    pub fn validate(&self) -> Result<()> {
        let fault = if self.seq == 0 {
            "seq 0 is not valid, streams start at 1".to_owned()
        } else if self.first_seq == 0 || self.first_seq > self.seq {
            format!("first_seq {} is outside 1..={}", self.first_seq, self.seq)
        } else if self.shard_id > CONTROL_STREAM {
            format!("stream {} is above {CONTROL_STREAM}", self.shard_id)
        } else if self.op.is_control() != (self.shard_id == CONTROL_STREAM) {
            format!("{} does not belong into this stream", self.op.word())
        } else if self.shard_id < CONTROL_STREAM && self.inode == 0 {
            "inode 0 is not valid".to_owned()
        } else if self.shard_id < CONTROL_STREAM && shard_of(self.inode) != self.shard_id {
            format!(
                "inode {} belongs to shard {}",
                self.inode,
                shard_of(self.inode)
            )
        } else if self.payload.len() > PAYLOAD_BYTES_MAX {
            format!(
                "payload of {} bytes is above {PAYLOAD_BYTES_MAX}",
                self.payload.len()
            )
        } else if self
            .txn
            .is_some_and(|txn| txn.parts < 2 || txn.part >= txn.parts)
        {
            "part number outside its operation".to_owned()
        } else if let Some(stamp) = self.folded.iter().find(|stamp| !self.may_fold(stamp)) {
            format!(
                "folded seq {} at {} is outside {}..{} or not before its stamp",
                stamp.seq, stamp.timestamp_us, self.first_seq, self.seq
            )
        } else if !self.validate_crc() {
            format!(
                "crc is {:08x}, the fields give {:08x}",
                self.crc32,
                self.compute_crc()
            )
        } else {
            return Ok(());
        };
        Err(self.refused(fault))
    }

    /// A folded version comes from the range that the entry declares and is older than the entry.
    fn may_fold(&self, stamp: &FoldedStamp) -> bool {
        (self.first_seq..self.seq).contains(&stamp.seq) && stamp.timestamp_us < self.timestamp_us
    }

    /// An error that names this entry.
    pub(crate) fn refused(&self, reason: impl Into<String>) -> ReplError {
        ReplError::Journal {
            site_id: self.site_id,
            shard_id: self.shard_id,
            seq: self.seq,
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change that breaks a rule, and words of the refusal.
    type Fault = (fn(&mut JournalEntry), &'static str);

    fn entry() -> JournalEntry {
        JournalEntry::new(
            3,
            shard_of(77),
            1,
            1_000,
            77,
            OpKind::Write,
            b"payload".to_vec(),
        )
    }

    fn stamp(seq: u64, timestamp_us: u64) -> FoldedStamp {
        FoldedStamp {
            register: RegisterId::Mode,
            seq,
            timestamp_us,
        }
    }

    #[test]
    fn a_folded_register_keeps_the_place_of_the_entry_that_wrote_it() {
        let mut entry = entry();
        (entry.first_seq, entry.folded) = (2, vec![stamp(2, 900)]);
        entry.validate().unwrap();
        let mode = entry.key_of(&RegisterId::Mode);
        assert_eq!((mode.seq, mode.timestamp_us, mode.site_id), (2, 900, 1));
        assert_eq!(entry.key_of(&RegisterId::Owner), entry.key());
    }

    #[test]
    fn the_crc_covers_every_specified_field() {
        let changes: [fn(&mut JournalEntry); 7] = [
            |e| e.seq += 1,
            |e| e.shard_id ^= 1,
            |e| e.site_id += 1,
            |e| e.timestamp_us += 1,
            |e| e.inode += 1,
            |e| e.op = OpKind::Truncate,
            |e| e.payload = Bytes::from_static(b"Payload"),
        ];
        assert!(entry().validate_crc());
        for change in changes {
            let mut changed = entry();
            change(&mut changed);
            assert!(!changed.validate_crc());
        }
    }

    #[test]
    fn the_crc_layout_is_pinned() {
        assert_eq!(entry().crc32, 0x3dea_631a);
    }

    #[test]
    fn validation_names_the_fault() {
        let cases: [Fault; 9] = [
            (|e| e.seq = 0, "seq 0"),
            (|e| e.first_seq = 9, "first_seq 9"),
            (|e| e.shard_id = 300, "above 256"),
            (|e| e.shard_id = CONTROL_STREAM, "does not belong"),
            (|e| e.inode = 78, "belongs to shard"),
            (
                |e| e.payload = vec![0; PAYLOAD_BYTES_MAX + 1].into(),
                "payload of",
            ),
            (|e| e.crc32 ^= 1, "crc is"),
            (|e| e.folded = vec![stamp(3, 1)], "folded seq 3"),
            (
                |e| (e.first_seq, e.folded) = (1, vec![stamp(2, 1_000)]),
                "folded seq 2 at 1000",
            ),
        ];
        entry().validate().unwrap();
        for (change, why) in cases {
            let mut changed = entry();
            change(&mut changed);
            let error = changed.validate().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
