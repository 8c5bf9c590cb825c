//! Pure: what stands in a log: entries, one in full, and what a look at all of it found.
//!
//! An entry holds a directory's inode and a name in it, and no path.

use std::fmt;

use schemars::JsonSchema;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::{hex_unless_text, id, path_text, root_text};
use crate::clock::{self, TimestampUs};

words! {
    /// What a log holds.
    LogKind {
        /// What happened at its own site.
        #[default]
        Journal = "journal",
        /// What another site sent.
        Received = "received",
    }
}

/// An entry as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct EntryView {
    /// Name of the site that wrote it; null: not known here.
    pub site: Option<String>,
    /// Its number.
    pub site_id: u64,
    /// Its journal.
    #[serde(serialize_with = "number_hex")]
    #[schemars(with = "String")]
    pub incarnation: u64,
    /// Shard, or 256 for the control stream.
    pub stream: u32,
    /// Position in the stream.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub seq: u64,
    /// Its stamp.
    #[serde(flatten, serialize_with = "timestamp::serialize")]
    #[schemars(schema_with = "timestamp::schema")]
    pub timestamp_us: TimestampUs,
    /// What it does, as a word.
    pub op: String,
    /// The inode; null for control entries.
    #[serde(serialize_with = "optional_id")]
    #[schemars(with = "Option<String>")]
    pub inode: Option<u64>,
    /// The directory that the name is in; null: it names nothing.
    #[serde(serialize_with = "optional_id")]
    #[schemars(with = "Option<String>")]
    pub parent: Option<u64>,
    /// The name; null: it names nothing.
    #[serde(flatten, serialize_with = "name::serialize")]
    #[schemars(schema_with = "name::schema")]
    pub name: Option<Vec<u8>>,
    /// Bytes of the content that it brings; null: none.
    pub size_bytes: Option<u64>,
    /// Bytes of the entry itself.
    pub entry_bytes: u64,
}

/// Which entries at the end of the own journal are wanted: those for which everything holds that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TailRequest {
    /// Shard, or 256 for the control stream.
    pub stream: Option<u32>,
    /// Words of operations, any of which will do; none: all.
    pub ops: Vec<String>,
    /// The inode.
    pub inode: Option<u64>,
    /// Pattern for the name in the entry.
    pub name: Option<String>,
    /// How many of those that are there; no more than a daemon gives.
    pub last: u64,
    /// Go on with those that come.
    pub follow: bool,
}

/// An entry with everything that the log knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct EntryDetail {
    /// As it is listed.
    #[serde(flatten)]
    pub entry: EntryView,
    /// Hybrid logical clock of its writer.
    #[serde(flatten, serialize_with = "hlc::serialize")]
    #[schemars(schema_with = "hlc::schema")]
    pub hlc_us: TimestampUs,
    /// Lowest seq that was folded into it; its own when none was.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub first_seq: u64,
    /// The hard link; the inode's own number for its first one; null for control entries.
    #[serde(serialize_with = "optional_id")]
    #[schemars(with = "Option<String>")]
    pub link: Option<u64>,
    /// How many entries of other sites had touched the inode where it was written.
    pub merge_gen: u32,
    /// The operation of several entries that it is a part of; null: it stands alone.
    pub txn: Option<TxnView>,
    /// Versions that it replaced.
    pub prev: Vec<RegisterView>,
    /// Versions that had lost before and that it supersedes too.
    pub overrides: Vec<RegisterView>,
    /// Registers that keep the version of an entry that was folded into it.
    pub folded: Vec<FoldedView>,
    /// What its author had seen of the stream, journal by journal; its own left out.
    pub context: Vec<SeenView>,
    /// What it does, decoded.
    pub change: ChangeView,
    /// Bytes of the payload.
    pub payload_bytes: u64,
    /// BLAKE3 of the payload.
    pub payload_hash: String,
    /// CRC-32 as it is stored.
    pub crc32: String,
    /// Whether that is the one of its fields.
    pub crc_ok: bool,
    /// Position in the log of what it was written with.
    pub position: u64,
    /// The file that holds it.
    #[serde(flatten, serialize_with = "file::serialize")]
    #[schemars(schema_with = "file::schema")]
    pub file: Vec<u8>,
    /// Where that stands in the file.
    pub offset_bytes: u64,
    /// What the file behind it looked like on the device; null: not kept, or there is none.
    pub device: Option<DeviceView>,
}

/// A part of an operation of several entries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct TxnView {
    /// Number of the operation.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub id: u64,
    /// How many entries it has.
    pub parts: u32,
    /// Which of them this is, from 0.
    pub part: u32,
}

/// A version of a register; its stream is that of the entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct RegisterView {
    /// The register.
    pub register: String,
    /// Number of the site that wrote it.
    pub site_id: u64,
    /// Its journal.
    #[serde(serialize_with = "number_hex")]
    #[schemars(with = "String")]
    pub incarnation: u64,
    /// Its seq.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub seq: u64,
}

/// A register that keeps an earlier version's place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct FoldedView {
    /// The register.
    pub register: String,
    /// The seq that wrote it.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub seq: u64,
    /// Its stamp.
    #[serde(flatten, serialize_with = "timestamp::serialize")]
    #[schemars(schema_with = "timestamp::schema")]
    pub timestamp_us: TimestampUs,
}

/// How far a journal had been seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct SeenView {
    /// Number of its site.
    pub site_id: u64,
    /// The journal.
    #[serde(serialize_with = "number_hex")]
    #[schemars(with = "String")]
    pub incarnation: u64,
    /// Up to this seq.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub seq: u64,
}

/// What an operation does; what it does not have is null.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct ChangeView {
    /// Why the payload cannot be decoded; null: it can.
    pub fault: Option<String>,
    /// It is about a directory.
    pub dir: Option<bool>,
    /// The lower 12 bits of the mode.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// mtime.
    #[serde(flatten, serialize_with = "mtime::serialize")]
    #[schemars(schema_with = "mtime::schema")]
    pub mtime_us: Option<TimestampUs>,
    /// Inode flags.
    pub flags: Option<u32>,
    /// What the content hashes to: the BLAKE3 root over its chunks.
    #[serde(serialize_with = "hash")]
    #[schemars(with = "Option<String>")]
    pub root: Option<[u8; 32]>,
    /// Bytes of the content that travel inside the entry.
    pub inline_bytes: Option<u64>,
    /// Text of a symbolic link.
    #[serde(flatten, serialize_with = "target::serialize")]
    #[schemars(schema_with = "target::schema")]
    pub target: Option<Vec<u8>>,
    /// Name of an extended attribute.
    #[serde(flatten, serialize_with = "xattr::serialize")]
    #[schemars(schema_with = "xattr::schema")]
    pub xattr: Option<Vec<u8>>,
    /// Bytes of its value.
    pub xattr_value_bytes: Option<u64>,
    /// Id of a conflict.
    pub conflict: Option<String>,
    /// It was acknowledged; false: that was taken back.
    pub acked: Option<bool>,
    /// Who did it.
    pub by: Option<String>,
    /// Why.
    pub note: Option<String>,
    /// Membership.
    pub member: Option<MemberView>,
}

/// What is decided about a journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct MemberView {
    /// Number of its site.
    pub site_id: u64,
    /// Name of its site.
    pub name: String,
    /// The journal.
    #[serde(serialize_with = "number_hex")]
    #[schemars(with = "String")]
    pub incarnation: u64,
    /// What it is from there on: active, fenced or removed.
    pub state: String,
}

/// A file as it stands on its device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct DeviceView {
    /// Inode number on the device.
    #[serde(serialize_with = "id")]
    #[schemars(with = "String")]
    pub ino: u64,
    /// Its size.
    pub size_bytes: u64,
    /// mtime.
    #[serde(flatten, serialize_with = "mtime::serialize")]
    #[schemars(schema_with = "mtime::schema")]
    pub mtime_us: TimestampUs,
}

/// A log in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct LogView {
    /// What it holds.
    pub kind: LogKind,
    /// Name of the site that wrote the entries; null: not known here.
    pub site: Option<String>,
    /// Its number.
    pub site_id: u64,
    /// Its journal.
    #[serde(serialize_with = "number_hex")]
    #[schemars(with = "String")]
    pub incarnation: u64,
    /// Files.
    pub segments: u64,
    /// Bytes of the files, with what is taken ahead.
    pub bytes: u64,
    /// Position of the first kept record.
    pub first_position: u64,
    /// Position behind the last one.
    pub end_position: u64,
    /// Streams that have kept entries.
    pub streams: u64,
    /// Kept entries.
    pub entries: u64,
    /// Bytes of the entries.
    pub entry_bytes: u64,
    /// Stamp of the oldest kept entry; null: there is none.
    #[serde(flatten, serialize_with = "oldest::serialize")]
    #[schemars(schema_with = "oldest::schema")]
    pub oldest_us: Option<TimestampUs>,
    /// Stamp of the newest one.
    #[serde(flatten, serialize_with = "newest::serialize")]
    #[schemars(schema_with = "newest::schema")]
    pub newest_us: Option<TimestampUs>,
    /// By operation, in the order of their codes; those without entries are left out.
    pub ops: Vec<OpView>,
}

/// One operation in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct OpView {
    /// The operation, as a word.
    pub op: String,
    /// Entries.
    pub entries: u64,
    /// Bytes of the entries.
    pub entry_bytes: u64,
}

/// What checking a log found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct VerifyView {
    /// What it holds.
    pub kind: LogKind,
    /// Name of the site that wrote the entries; null: not known here.
    pub site: Option<String>,
    /// Its number; null: the log does not tell any more.
    pub site_id: Option<u64>,
    /// Everything is as it was written.
    pub sound: bool,
    /// Entries that were checked; null: the check did not come to an end.
    pub entries: Option<u64>,
    /// Bytes that were checked.
    pub checked_bytes: Option<u64>,
    /// Bytes at the end that are no whole unit: being written, or cut off by a crash. No damage; null: not known.
    pub torn_bytes: Option<u64>,
    /// The first damage; null: there is none.
    pub damage: Option<DamageView>,
}

/// Damage of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct DamageView {
    /// The file.
    #[serde(flatten, serialize_with = "file::serialize")]
    #[schemars(schema_with = "file::schema")]
    pub file: Vec<u8>,
    /// First byte that cannot be trusted.
    pub offset_bytes: u64,
    /// What was expected and what was found.
    pub reason: String,
    /// What follows from it.
    pub meaning: String,
    /// What to do.
    pub next: String,
}

fn optional_id<S: Serializer>(id: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| id.to_string()).serialize(serializer)
}

fn number_hex<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:016x}"))
}

fn hash<S: Serializer>(root: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
    root.map(|root| root_text(&root)).serialize(serializer)
}

moments! {
    timestamp: "timestamp_at" "timestamp_us";
    hlc: "hlc_at" "hlc_us";
    mtime: "mtime_at" "mtime_us";
    oldest: "oldest_at" "oldest_us";
    newest: "newest_at" "newest_us";
}

paths! {
    name: "name" "name_hex";
    file: "file" "file_hex";
    target: "target" "target_hex";
    xattr: "xattr" "xattr_hex";
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::tests::assert_kept;
    use super::*;

    const AT_US: TimestampUs = 1_795_370_208_411_204;

    /// An entry as it is listed, whose name is no text.
    pub(crate) fn entry() -> EntryView {
        EntryView {
            site: Some("fra-1".to_owned()),
            site_id: 1,
            incarnation: 0xA1,
            stream: 17,
            seq: u64::MAX,
            timestamp_us: AT_US,
            op: "create".to_owned(),
            inode: Some(u64::MAX),
            parent: Some(1),
            name: Some(b"a\xff\x1b[2J".to_vec()),
            size_bytes: Some(4_096),
            entry_bytes: 88,
        }
    }

    /// An entry in full, with more than any one entry can have.
    pub(crate) fn entry_detail() -> EntryDetail {
        let version = RegisterView {
            register: "xattr user.a".to_owned(),
            site_id: 2,
            incarnation: 9,
            seq: 4,
        };
        EntryDetail {
            entry: entry(),
            hlc_us: AT_US,
            first_seq: 7,
            link: Some(8),
            merge_gen: 3,
            txn: Some(TxnView {
                id: 5,
                parts: 2,
                part: 1,
            }),
            prev: vec![version.clone()],
            overrides: vec![version],
            folded: vec![FoldedView {
                register: "mode".to_owned(),
                seq: 6,
                timestamp_us: AT_US,
            }],
            context: vec![SeenView {
                site_id: 2,
                incarnation: 9,
                seq: 300,
            }],
            change: ChangeView {
                fault: Some("payload: is cut off".to_owned()),
                dir: Some(false),
                mode: Some(0o644),
                uid: Some(1),
                gid: Some(2),
                mtime_us: Some(AT_US),
                flags: Some(16),
                root: Some([0x77; 32]),
                inline_bytes: Some(12),
                target: Some(b"../x".to_vec()),
                xattr: Some(b"user.a".to_vec()),
                xattr_value_bytes: Some(3),
                conflict: Some("c-bygtc5qnmf".to_owned()),
                acked: Some(true),
                by: Some("ana".to_owned()),
                note: Some("right".to_owned()),
                member: Some(MemberView {
                    site_id: 3,
                    name: "sin-1".to_owned(),
                    incarnation: 0xB2,
                    state: "active".to_owned(),
                }),
            },
            payload_bytes: 40,
            payload_hash: "5c".repeat(32),
            crc32: "0011aabb".to_owned(),
            crc_ok: true,
            position: 1_000,
            file: b"/state/journal/0.seg".to_vec(),
            offset_bytes: 1_048,
            device: Some(DeviceView {
                ino: 77,
                size_bytes: 4_096,
                mtime_us: AT_US,
            }),
        }
    }

    /// A log with two operations.
    pub(crate) fn log() -> LogView {
        let op = |op: &str, entries| OpView {
            op: op.to_owned(),
            entries,
            entry_bytes: entries * 100,
        };
        LogView {
            kind: LogKind::Received,
            site: Some("iad-2".to_owned()),
            site_id: 2,
            incarnation: 9,
            segments: 3,
            bytes: 192 << 20,
            first_position: 0,
            end_position: 150 << 20,
            streams: 256,
            entries: 41_203,
            entry_bytes: 4_120_300,
            oldest_us: Some(AT_US),
            newest_us: Some(AT_US + 1),
            ops: vec![op("create", 203), op("write", 41_000)],
        }
    }

    /// A damaged log.
    pub(crate) fn verified() -> VerifyView {
        VerifyView {
            kind: LogKind::Journal,
            site: Some("fra-1".to_owned()),
            site_id: Some(1),
            sound: false,
            entries: None,
            checked_bytes: None,
            torn_bytes: Some(12),
            damage: Some(DamageView {
                file: b"/state/journal/0.seg".to_vec(),
                offset_bytes: 1_048,
                reason: "crc".to_owned(),
                meaning: "what stands behind it is not read".to_owned(),
                next: "look at the disk".to_owned(),
            }),
        }
    }

    #[test]
    fn the_json_of_logs_is_the_one_that_is_kept() {
        assert_kept("entry.json", &entry());
        assert_kept("entry_detail.json", &entry_detail());
        assert_kept("log.json", &log());
        assert_kept("verified.json", &verified());
    }

    #[test]
    fn what_an_entry_does_not_have_is_null() {
        let value = serde_json::to_value(EntryDetail::default()).unwrap();
        for key in [
            "inode", "parent", "name", "name_hex", "link", "txn", "device",
        ] {
            assert!(value.get(key).is_some_and(|it| it.is_null()), "{key}");
        }
        let change = value["change"].as_object().unwrap();
        assert!(change.values().all(|it| it.is_null()) && change.len() > 15);
    }
}
