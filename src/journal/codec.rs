//! Pure: entries, payloads and batches to bytes and back.
//!
//! One encoding for wire and disk: the protobuf messages of `proto/claudefs/repl/v1/entry.proto`. The bytes of an
//! entry are made once, by the site that wrote it, and stored and forwarded as they are: decoding and encoding
//! again would drop fields of a newer version and break the crc. Decoding never panics and never allocates more than
//! the input justifies.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use super::batch::{BATCH_ENTRIES_MAX, EntryBatch, SeenRun};
use super::dot::{Actor, SITE_ID_MAX, Seen};
use super::entry::{JournalEntry, RegisterDot, RegisterId, Txn};
use super::op::{
    Attr, Change, Content, FileTime, INLINE_BYTES_MAX, ManifestRoot, MemberState, NOTE_BYTES_MAX,
    Name, OpKind, Owner, Place, TARGET_BYTES_MAX, XATTR_BYTES_MAX,
};
use crate::error::{ReplError, Result};
use crate::proto::v1;

/// Most `prev`, `overrides` or `seen_except` items of one entry.
const CAUSAL_ITEMS_MAX: usize = 1_024;
/// Largest encoded entry: payload, the causal lists and the fixed fields.
pub const ENTRY_BYTES_MAX: usize = 256 * 1024;

/// The bytes of `entry` for journal and wire, without a length in front.
#[must_use]
pub fn encode_entry(entry: &JournalEntry) -> Bytes {
    let dots = |versions: &[RegisterDot]| versions.iter().map(register_dot_to_proto).collect();
    let message = v1::Entry {
        seq: entry.seq,
        first_seq: if entry.first_seq == entry.seq {
            0
        } else {
            entry.first_seq
        },
        shard_id: entry.shard_id,
        timestamp_us: entry.timestamp_us,
        hlc_us: if entry.hlc_us == entry.timestamp_us {
            0
        } else {
            entry.hlc_us
        },
        inode: entry.inode,
        link: if entry.link == entry.inode {
            0
        } else {
            entry.link
        },
        op: op_to_proto(entry.op).into(),
        payload: entry.payload.clone(),
        crc32: entry.crc32,
        prev: dots(&entry.prev),
        overrides: dots(&entry.overrides),
        seen_except: entry
            .seen_except
            .iter()
            .map(|(a, s)| actor_seq_to_proto(*a, *s))
            .collect(),
        merge_gen: entry.merge_gen,
        txn: entry.txn.map(|txn| v1::Txn {
            id: txn.id,
            parts: txn.parts,
            part: txn.part,
        }),
    };
    message.encode_to_vec().into()
}

/// The entry of `actor` in `bytes`, not yet validated.
///
/// # Errors
/// [`ReplError::Serialization`] when the bytes are not an entry or a field is outside its range.
pub fn decode_entry(actor: Actor, bytes: Bytes) -> Result<JournalEntry> {
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(refused(
            "entry",
            format!("{} bytes are above {ENTRY_BYTES_MAX}", bytes.len()),
        ));
    }
    let message = v1::Entry::decode(bytes).map_err(|e| refused("entry", e.to_string()))?;
    let longest = message
        .prev
        .len()
        .max(message.overrides.len())
        .max(message.seen_except.len());
    if longest > CAUSAL_ITEMS_MAX {
        return Err(refused(
            "entry",
            format!("{longest} causal items are above {CAUSAL_ITEMS_MAX}"),
        ));
    }
    let op = u32::try_from(message.op).ok().and_then(OpKind::from_code);
    let op =
        op.ok_or_else(|| refused("entry", format!("operation {} is not known", message.op)))?;
    let dots = |list: Vec<v1::RegisterDot>| -> Result<Vec<RegisterDot>> {
        list.into_iter().map(register_dot_from_proto).collect()
    };
    let or = |value: u64, default: u64| if value == 0 { default } else { value };
    Ok(JournalEntry {
        seq: message.seq,
        shard_id: message.shard_id,
        site_id: actor.site_id,
        timestamp_us: message.timestamp_us,
        inode: message.inode,
        op,
        payload: message.payload,
        crc32: message.crc32,
        incarnation: actor.incarnation,
        first_seq: or(message.first_seq, message.seq),
        hlc_us: or(message.hlc_us, message.timestamp_us),
        link: or(message.link, message.inode),
        prev: dots(message.prev)?,
        overrides: dots(message.overrides)?,
        seen_except: message
            .seen_except
            .into_iter()
            .map(actor_seq_from_proto)
            .collect::<Result<_>>()?,
        merge_gen: message.merge_gen,
        txn: message.txn.map(|txn| Txn {
            id: txn.id,
            parts: txn.parts,
            part: txn.part,
        }),
    })
}

/// Appends `raw` to a packed run of entries.
pub fn pack_entry(packed: &mut BytesMut, raw: &[u8]) {
    prost::encoding::encode_varint(raw.len() as u64, packed);
    packed.put_slice(raw);
}

/// The raw entries of a packed run, at most `BATCH_ENTRIES_MAX` of them.
///
/// # Errors
/// [`ReplError::Serialization`] when a length points outside the run or there are too many.
pub fn unpack_entries(mut packed: Bytes) -> Result<Vec<Bytes>> {
    let mut entries = Vec::new();
    while packed.has_remaining() {
        let length = prost::encoding::decode_varint(&mut packed)
            .map_err(|e| refused("packed entries", e.to_string()))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > packed.len() || entries.len() == BATCH_ENTRIES_MAX {
            let left = packed.len();
            let count = entries.len();
            return Err(refused(
                "packed entries",
                format!("entry {count} of {length} bytes does not fit, {left} bytes are left"),
            ));
        }
        entries.push(packed.split_to(length));
    }
    Ok(entries)
}

/// The batch as a message. Its raw bytes are used when it has them; an entry is encoded only if it has none.
#[must_use]
pub fn batch_to_proto(batch: &EntryBatch) -> v1::Batch {
    let mut packed = BytesMut::new();
    let entries = if batch.raw.is_empty() {
        for entry in &batch.entries {
            pack_entry(&mut packed, &encode_entry(entry));
        }
        packed.freeze()
    } else {
        batch.raw.clone()
    };
    let chain = |hash: &[u8; 32]| {
        if *hash == [0; 32] {
            Bytes::new()
        } else {
            Bytes::copy_from_slice(hash)
        }
    };
    v1::Batch {
        actor: Some(actor_to_proto(batch.actor())),
        stream: batch.stream,
        first: batch.first,
        last: batch.last,
        chain_prev: chain(&batch.chain_prev),
        chain_last: chain(&batch.chain_last),
        entries,
        seen_runs: batch.seen_runs.iter().map(seen_run_to_proto).collect(),
        epoch: batch.epoch,
        batch_seq: batch.batch_seq,
        origin_signature: Bytes::new(),
    }
}

/// The batch of a message: all or nothing, every entry decoded and every rule of [`EntryBatch::validate`] checked.
///
/// # Errors
/// [`ReplError::Serialization`] or [`ReplError::Journal`] with what is wrong.
pub fn batch_from_proto(message: v1::Batch) -> Result<EntryBatch> {
    let actor = actor_from_proto(message.actor)?;
    let entries = unpack_entries(message.entries.clone())?
        .into_iter()
        .map(|raw| decode_entry(actor, raw))
        .collect::<Result<Vec<_>>>()?;
    let batch = EntryBatch {
        source_site_id: actor.site_id,
        entries,
        batch_seq: message.batch_seq,
        incarnation: actor.incarnation,
        stream: message.stream,
        first: message.first,
        last: message.last,
        chain_prev: hash_from_proto("chain hash", &message.chain_prev)?,
        chain_last: hash_from_proto("chain hash", &message.chain_last)?,
        seen_runs: message
            .seen_runs
            .into_iter()
            .map(seen_run_from_proto)
            .collect::<Result<_>>()?,
        epoch: message.epoch,
        raw: message.entries,
    };
    batch.validate()?;
    Ok(batch)
}

/// The bytes of a context run, for a log.
#[must_use]
pub fn encode_seen_run(run: &SeenRun) -> Bytes {
    seen_run_to_proto(run).encode_to_vec().into()
}

/// The context run in `bytes`.
///
/// # Errors
/// [`ReplError::Serialization`] when the bytes are not one.
pub fn decode_seen_run(bytes: Bytes) -> Result<SeenRun> {
    let message = v1::SeenRun::decode(bytes).map_err(|e| refused("context run", e.to_string()))?;
    seen_run_from_proto(message)
}

/// The payload of `change`.
#[must_use]
pub fn encode_change(change: &Change) -> Bytes {
    let bytes = match change {
        Change::Create { place, attr } | Change::MkDir { place, attr } => v1::Create {
            place: Some(place_to_proto(place)),
            attr: Some(attr_to_proto(attr)),
        }
        .encode_to_vec(),
        Change::Symlink {
            place,
            attr,
            target,
        } => v1::Symlink {
            place: Some(place_to_proto(place)),
            attr: Some(attr_to_proto(attr)),
            target: target.clone(),
        }
        .encode_to_vec(),
        Change::Link { place } => v1::Link {
            place: Some(place_to_proto(place)),
        }
        .encode_to_vec(),
        Change::Unlink { place, dir } => v1::Unlink {
            place: Some(place_to_proto(place)),
            dir: *dir,
        }
        .encode_to_vec(),
        Change::Rename { place, dir } => v1::Rename {
            place: place.as_ref().map(place_to_proto),
            dir: *dir,
        }
        .encode_to_vec(),
        Change::Write { content, mode } | Change::Truncate { content, mode } => v1::Write {
            content: Some(content_to_proto(content)),
            mode: *mode,
        }
        .encode_to_vec(),
        Change::SetAttr { attr } => v1::SetAttr {
            attr: Some(attr_to_proto(attr)),
        }
        .encode_to_vec(),
        Change::SetXattr { name, value } => v1::SetXattr {
            name: name.clone(),
            value: value.clone(),
        }
        .encode_to_vec(),
        Change::RemoveXattr { name } => v1::RemoveXattr { name: name.clone() }.encode_to_vec(),
        Change::Noop | Change::ResumePoint => Vec::new(),
        Change::ConflictAck {
            conflict_id,
            acked,
            note,
            by,
        } => v1::ConflictAck {
            conflict_id: Bytes::copy_from_slice(conflict_id),
            acked: *acked,
            note: note.clone(),
            by: by.clone(),
        }
        .encode_to_vec(),
        Change::Member {
            site_id,
            name,
            incarnation,
            state,
            final_cursors,
        } => v1::Member {
            site_id: u32::try_from(*site_id).unwrap_or(0),
            name: name.clone(),
            incarnation: *incarnation,
            state: member_state_to_proto(*state).into(),
            final_cursors: final_cursors
                .iter()
                .map(|(stream, seq)| v1::StreamSeq {
                    stream: *stream,
                    seq: *seq,
                })
                .collect(),
        }
        .encode_to_vec(),
    };
    bytes.into()
}

/// The change that `entry` describes, every name and size checked.
///
/// # Errors
/// [`ReplError::Serialization`] when the payload does not decode or breaks a limit.
pub fn decode_change(entry: &JournalEntry) -> Result<Change> {
    fn message<M: Message + Default>(payload: &Bytes) -> Result<M> {
        M::decode(payload.clone()).map_err(|e| refused("payload", e.to_string()))
    }
    let payload = &entry.payload;
    Ok(match entry.op {
        OpKind::Create | OpKind::MkDir => {
            let create: v1::Create = message(payload)?;
            let (place, attr) = (
                place_from_proto(create.place)?,
                attr_from_proto(create.attr)?,
            );
            if entry.op == OpKind::Create {
                Change::Create { place, attr }
            } else {
                Change::MkDir { place, attr }
            }
        }
        OpKind::Symlink => {
            let symlink: v1::Symlink = message(payload)?;
            let target = symlink.target;
            if target.is_empty() || target.len() > TARGET_BYTES_MAX || target.contains(&0) {
                return Err(refused(
                    "symlink target",
                    "must be 1..=4095 bytes without NUL",
                ));
            }
            let place = place_from_proto(symlink.place)?;
            Change::Symlink {
                place,
                attr: attr_from_proto(symlink.attr)?,
                target,
            }
        }
        OpKind::Link => Change::Link {
            place: place_from_proto(message::<v1::Link>(payload)?.place)?,
        },
        OpKind::Unlink => {
            let unlink: v1::Unlink = message(payload)?;
            Change::Unlink {
                place: place_from_proto(unlink.place)?,
                dir: unlink.dir,
            }
        }
        OpKind::Rename => {
            let rename: v1::Rename = message(payload)?;
            let place = rename
                .place
                .map(|place| place_from_proto(Some(place)))
                .transpose()?;
            if place.is_none() && !rename.dir {
                return Err(refused("rename", "a link needs a place"));
            }
            Change::Rename {
                place,
                dir: rename.dir,
            }
        }
        OpKind::Write | OpKind::Truncate => {
            let write: v1::Write = message(payload)?;
            let content = content_from_proto(write.content)?;
            let mode = write.mode.map(mode_from_proto).transpose()?;
            if entry.op == OpKind::Write {
                Change::Write { content, mode }
            } else {
                Change::Truncate { content, mode }
            }
        }
        OpKind::SetAttr => Change::SetAttr {
            attr: attr_from_proto(message::<v1::SetAttr>(payload)?.attr)?,
        },
        OpKind::SetXattr => {
            let xattr: v1::SetXattr = message(payload)?;
            if xattr.value.len() > XATTR_BYTES_MAX {
                return Err(refused(
                    "xattr",
                    format!("value is above {XATTR_BYTES_MAX} bytes"),
                ));
            }
            Change::SetXattr {
                name: xattr_name(xattr.name)?,
                value: xattr.value,
            }
        }
        OpKind::RemoveXattr => Change::RemoveXattr {
            name: xattr_name(message::<v1::RemoveXattr>(payload)?.name)?,
        },
        OpKind::Noop => Change::Noop,
        OpKind::ResumePoint => Change::ResumePoint,
        OpKind::ConflictAck => conflict_ack_from_proto(message(payload)?)?,
        OpKind::Member => member_from_proto(message(payload)?)?,
    })
}

/// Encodes an actor for messages beside the entry.
pub(crate) fn actor_to_proto(actor: Actor) -> v1::Actor {
    let site_id = u32::try_from(actor.site_id).unwrap_or(0);
    v1::Actor {
        site_id,
        incarnation: actor.incarnation,
    }
}

/// Decodes an actor; site 0 and above 65535 are refused.
pub(crate) fn actor_from_proto(actor: Option<v1::Actor>) -> Result<Actor> {
    let actor = actor.ok_or_else(|| refused("actor", "is missing"))?;
    let site_id = u64::from(actor.site_id);
    if site_id == 0 || site_id > SITE_ID_MAX {
        return Err(refused(
            "actor",
            format!("site {site_id} is outside 1..={SITE_ID_MAX}"),
        ));
    }
    Ok(Actor::new(site_id, actor.incarnation))
}

/// Decodes a 32-byte hash; empty means zero.
pub(crate) fn hash_from_proto(what: &'static str, bytes: &[u8]) -> Result<[u8; 32]> {
    if bytes.is_empty() {
        return Ok([0; 32]);
    }
    bytes
        .try_into()
        .map_err(|_| refused(what, format!("{} bytes, expected 32", bytes.len())))
}

fn refused(what: &'static str, reason: impl Into<String>) -> ReplError {
    ReplError::serialization(what, reason)
}

fn op_to_proto(op: OpKind) -> v1::Op {
    v1::Op::try_from(i32::try_from(op.code()).unwrap_or(0)).unwrap_or(v1::Op::Unspecified)
}

fn actor_seq_to_proto(actor: Actor, seq: u64) -> v1::ActorSeq {
    v1::ActorSeq {
        actor: Some(actor_to_proto(actor)),
        seq,
    }
}

fn actor_seq_from_proto(message: v1::ActorSeq) -> Result<(Actor, u64)> {
    Ok((actor_from_proto(message.actor)?, message.seq))
}

fn seen_run_to_proto(run: &SeenRun) -> v1::SeenRun {
    let seen = run
        .seen
        .iter()
        .map(|(actor, seq)| actor_seq_to_proto(actor, seq))
        .collect();
    v1::SeenRun {
        first_seq: run.first_seq,
        seen,
    }
}

fn seen_run_from_proto(message: v1::SeenRun) -> Result<SeenRun> {
    if message.seen.len() > CAUSAL_ITEMS_MAX {
        return Err(refused(
            "context run",
            format!("more than {CAUSAL_ITEMS_MAX} actors"),
        ));
    }
    let seen = message
        .seen
        .into_iter()
        .map(actor_seq_from_proto)
        .collect::<Result<Seen>>()?;
    Ok(SeenRun {
        first_seq: message.first_seq,
        seen,
    })
}

fn register_dot_to_proto(version: &RegisterDot) -> v1::RegisterDot {
    let mut message = v1::RegisterDot {
        register: v1::Register::Unspecified.into(),
        xattr_name: Bytes::new(),
        link: 0,
        actor: Some(actor_to_proto(version.actor)),
        seq: version.seq,
    };
    let register = match &version.register {
        RegisterId::Content => v1::Register::Content,
        RegisterId::Mode => v1::Register::Mode,
        RegisterId::Owner => v1::Register::Owner,
        RegisterId::Times => v1::Register::Times,
        RegisterId::Flags => v1::Register::Flags,
        RegisterId::Xattr(name) => {
            message.xattr_name = name.clone();
            v1::Register::Xattr
        }
        RegisterId::LinkPlace(link) => {
            message.link = *link;
            v1::Register::LinkPlace
        }
        RegisterId::DirPlace => v1::Register::DirPlace,
    };
    message.register = register.into();
    message
}

fn register_dot_from_proto(message: v1::RegisterDot) -> Result<RegisterDot> {
    let register = match message.register() {
        v1::Register::Unspecified => {
            return Err(refused(
                "register",
                format!("{} is not known", message.register),
            ));
        }
        v1::Register::Content => RegisterId::Content,
        v1::Register::Mode => RegisterId::Mode,
        v1::Register::Owner => RegisterId::Owner,
        v1::Register::Times => RegisterId::Times,
        v1::Register::Flags => RegisterId::Flags,
        v1::Register::Xattr => RegisterId::Xattr(xattr_name(message.xattr_name)?),
        v1::Register::LinkPlace => RegisterId::LinkPlace(message.link),
        v1::Register::DirPlace => RegisterId::DirPlace,
    };
    Ok(RegisterDot {
        register,
        actor: actor_from_proto(message.actor)?,
        seq: message.seq,
    })
}

fn place_to_proto(place: &Place) -> v1::Place {
    v1::Place {
        parent: place.parent,
        name: place.name.bytes(),
    }
}

fn place_from_proto(message: Option<v1::Place>) -> Result<Place> {
    let place = message.ok_or_else(|| refused("place", "is missing"))?;
    if place.parent == 0 {
        return Err(refused("place", "parent inode 0 is not valid"));
    }
    Ok(Place {
        parent: place.parent,
        name: Name::new(place.name)?,
    })
}

fn time_to_proto(time: FileTime) -> v1::FileTime {
    v1::FileTime {
        seconds: time.seconds,
        nanos: time.nanos,
    }
}

fn time_from_proto(message: v1::FileTime) -> Result<FileTime> {
    if message.nanos > 999_999_999 {
        return Err(refused(
            "time",
            format!("{} nanoseconds make a second", message.nanos),
        ));
    }
    Ok(FileTime {
        seconds: message.seconds,
        nanos: message.nanos,
    })
}

fn mode_from_proto(mode: u32) -> Result<u32> {
    if mode > 0o7777 {
        return Err(refused("mode", format!("{mode:o} is above 7777")));
    }
    Ok(mode)
}

fn attr_to_proto(attr: &Attr) -> v1::Attr {
    v1::Attr {
        mode: attr.mode,
        owner: attr.owner.map(|owner| v1::Owner {
            uid: owner.uid,
            gid: owner.gid,
        }),
        mtime: attr.mtime.map(time_to_proto),
        flags: attr.flags,
    }
}

fn attr_from_proto(message: Option<v1::Attr>) -> Result<Attr> {
    let message = message.unwrap_or_default();
    Ok(Attr {
        mode: message.mode.map(mode_from_proto).transpose()?,
        owner: message.owner.map(|owner| Owner {
            uid: owner.uid,
            gid: owner.gid,
        }),
        mtime: message.mtime.map(time_from_proto).transpose()?,
        flags: message.flags,
    })
}

fn content_to_proto(content: &Content) -> v1::Content {
    let root = content.manifest_root;
    let empty = root == ManifestRoot::default();
    v1::Content {
        size: content.size,
        manifest_root: if empty {
            Bytes::new()
        } else {
            Bytes::copy_from_slice(&root.0)
        },
        mtime: Some(time_to_proto(content.mtime)),
        inline: content.inline.clone(),
    }
}

fn content_from_proto(message: Option<v1::Content>) -> Result<Content> {
    let message = message.ok_or_else(|| refused("content", "is missing"))?;
    let root = ManifestRoot(hash_from_proto("manifest root", &message.manifest_root)?);
    if let Some(inline) = &message.inline
        && (inline.len() > INLINE_BYTES_MAX || inline.len() as u64 != message.size)
    {
        let (got, size) = (inline.len(), message.size);
        return Err(refused(
            "inline content",
            format!("{got} bytes for a size of {size}"),
        ));
    }
    if message.size > 0 && root == ManifestRoot::default() {
        return Err(refused(
            "content",
            "a file with bytes needs a manifest root",
        ));
    }
    let size = i64::try_from(message.size).map_err(|_| refused("content", "size above 2^63"))?;
    Ok(Content {
        size: size.unsigned_abs(),
        manifest_root: root,
        mtime: time_from_proto(message.mtime.unwrap_or_default())?,
        inline: message.inline,
    })
}

fn xattr_name(name: Bytes) -> Result<Bytes> {
    if name.is_empty() || name.len() > 255 || name.contains(&0) {
        return Err(refused("xattr name", "must be 1..=255 bytes without NUL"));
    }
    Ok(name)
}

fn conflict_ack_from_proto(message: v1::ConflictAck) -> Result<Change> {
    if message.note.len() > NOTE_BYTES_MAX || message.by.len() > NOTE_BYTES_MAX {
        return Err(refused(
            "acknowledgement",
            format!("text is above {NOTE_BYTES_MAX} bytes"),
        ));
    }
    let id: [u8; 32] = message.conflict_id[..]
        .try_into()
        .map_err(|_| refused("acknowledgement", "conflict id is not 32 bytes"))?;
    Ok(Change::ConflictAck {
        conflict_id: id,
        acked: message.acked,
        note: message.note,
        by: message.by,
    })
}

fn member_state_to_proto(state: MemberState) -> v1::MemberState {
    match state {
        MemberState::Active => v1::MemberState::Active,
        MemberState::Fenced => v1::MemberState::Fenced,
        MemberState::Removed => v1::MemberState::Removed,
    }
}

fn member_from_proto(message: v1::Member) -> Result<Change> {
    let state = match message.state() {
        v1::MemberState::Active => MemberState::Active,
        v1::MemberState::Fenced => MemberState::Fenced,
        v1::MemberState::Removed => MemberState::Removed,
        v1::MemberState::Unspecified => {
            return Err(refused(
                "member",
                format!("state {} is not known", message.state),
            ));
        }
    };
    let site_id = u64::from(message.site_id);
    if site_id == 0 || site_id > SITE_ID_MAX || message.name.len() > 63 {
        return Err(refused("member", "site id or name is outside its range"));
    }
    Ok(Change::Member {
        site_id,
        name: message.name,
        incarnation: message.incarnation,
        state,
        final_cursors: message
            .final_cursors
            .iter()
            .map(|c| (c.stream, c.seq))
            .collect(),
    })
}

#[cfg(test)]
mod tests;
