//! Pure: entries, payloads and batches to bytes and back.
//!
//! One encoding for wire and disk: the protobuf messages of `proto/claudefs/repl/v1/entry.proto`. The bytes of an
//! entry are made once, by the site that wrote it, and stored and forwarded as they are: decoding and encoding
//! again would drop fields of a newer version and break the crc. Decoding never panics and never allocates more than
//! the input justifies.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use super::batch::{BATCH_ENTRIES_MAX, EntryBatch, SeenRun};
use super::dot::{Actor, SITE_ID_MAX, STREAM_COUNT, Seen};
use super::entry::{FoldedStamp, JournalEntry, RegisterDot, RegisterId, Txn};
use super::op::OpKind;
use super::verdict::{Reached, ReceivedCursor};
use crate::error::{ReplError, Result};
use crate::proto::v1;

mod payload;
mod weight;

use payload::xattr_name;
pub(crate) use payload::{
    content_from_proto, content_to_proto, horizon_from_proto, horizon_to_proto,
    member_state_from_proto, member_state_to_proto, place_from_proto, place_to_proto,
    time_from_proto, time_to_proto,
};
pub use payload::{decode_change, encode_change};
pub use weight::{Field, Inside, room, weight};

/// Most `prev`, `overrides`, `seen_except` or `folded` items of one entry.
const CAUSAL_ITEMS_MAX: usize = 1_024;
/// Largest encoded entry: payload, the causal lists and the fixed fields.
pub const ENTRY_BYTES_MAX: usize = 256 * 1024;
/// Most memory that the causal lists of an entry take, in both forms: all of them at their limit take a little less.
const ENTRY_MEMORY_MAX: usize = 2 * ENTRY_BYTES_MAX;
/// Most memory that a context run takes, in both forms.
const RUN_MEMORY_MAX: usize = CAUSAL_ITEMS_MAX * ACTOR_SEQ_BYTES;
/// An actor and its seq: as a message, and in a map, whose nodes are half empty.
const ACTOR_SEQ_BYTES: usize = size_of::<v1::ActorSeq>() + 72;
/// A version: as a message, and as ours.
const VERSION_BYTES: usize = size_of::<v1::RegisterDot>() + size_of::<RegisterDot>();
/// A folded version: as a message, and as ours.
const STAMP_BYTES: usize = size_of::<v1::RegisterStamp>() + size_of::<FoldedStamp>();

/// Lists of an entry.
const ENTRY_LISTS: &[Field] = &[
    (11, Inside::Items(VERSION_BYTES, &[])),
    (12, Inside::Items(VERSION_BYTES, &[])),
    (13, Inside::Items(ACTOR_SEQ_BYTES, &[])),
    (16, Inside::Items(STAMP_BYTES, &[])),
];
/// Lists of a context run.
const RUN_LISTS: &[Field] = &[(2, Inside::Items(ACTOR_SEQ_BYTES, &[]))];
/// Lists of a batch.
pub(crate) const BATCH_LISTS: &[Field] = &[
    (
        7,
        Inside::Packed(size_of::<JournalEntry>() + size_of::<Bytes>(), ENTRY_LISTS),
    ),
    (
        8,
        Inside::Items(size_of::<v1::SeenRun>() + size_of::<SeenRun>(), RUN_LISTS),
    ),
];

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
        folded: entry.folded.iter().map(folded_to_proto).collect(),
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
    if weight(&bytes, ENTRY_LISTS) > ENTRY_MEMORY_MAX {
        let limit = format!("lists take more than {ENTRY_MEMORY_MAX} bytes of memory");
        return Err(refused("entry", limit));
    }
    let message = v1::Entry::decode(bytes).map_err(|e| refused("entry", e.to_string()))?;
    let longest = message
        .prev
        .len()
        .max(message.overrides.len())
        .max(message.seen_except.len())
        .max(message.folded.len());
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
        folded: message
            .folded
            .into_iter()
            .map(folded_from_proto)
            .collect::<Result<_>>()?,
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
    if weight(&bytes, RUN_LISTS) > RUN_MEMORY_MAX {
        return Err(refused(
            "context run",
            format!("more than {CAUSAL_ITEMS_MAX} actors"),
        ));
    }
    let message = v1::SeenRun::decode(bytes).map_err(|e| refused("context run", e.to_string()))?;
    seen_run_from_proto(message)
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

/// Encodes how far a journal is known.
pub(crate) fn reached_to_proto(reached: &Reached) -> v1::SnapshotReach {
    let position = |(stream, cursor): (&u32, &ReceivedCursor)| v1::Position {
        stream: *stream,
        seq: cursor.seq,
        chain: Bytes::copy_from_slice(&cursor.chain),
    };
    v1::SnapshotReach {
        actor: Some(actor_to_proto(reached.actor)),
        positions: reached.streams.iter().map(position).collect(),
    }
}

/// Decodes how far a journal is known; streams that there are not are refused.
pub(crate) fn reached_from_proto(
    actor: Option<v1::Actor>,
    positions: Vec<v1::Position>,
) -> Result<Reached> {
    let position = |position: v1::Position| {
        if position.stream >= STREAM_COUNT {
            let stream = position.stream;
            return Err(refused("position", format!("there is no stream {stream}")));
        }
        // Behind the last number of all there is none.
        if position.seq == u64::MAX {
            return Err(refused("position", "no stream gets that far"));
        }
        let cursor = ReceivedCursor {
            seq: position.seq,
            chain: hash_from_proto("chain hash", &position.chain)?,
        };
        Ok((position.stream, cursor))
    };
    Ok(Reached {
        actor: actor_from_proto(actor)?,
        streams: positions.into_iter().map(position).collect::<Result<_>>()?,
    })
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

/// Shared with the encoding of the state store.
pub(crate) fn actor_seq_to_proto(actor: Actor, seq: u64) -> v1::ActorSeq {
    v1::ActorSeq {
        actor: Some(actor_to_proto(actor)),
        seq,
    }
}

/// Shared with the encoding of the state store.
pub(crate) fn actor_seq_from_proto(message: v1::ActorSeq) -> Result<(Actor, u64)> {
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

/// Shared with the encoding of the state store.
pub(crate) fn register_dot_to_proto(version: &RegisterDot) -> v1::RegisterDot {
    let (register, xattr_name, link) = register_to_proto(&version.register);
    v1::RegisterDot {
        register: register.into(),
        xattr_name,
        link,
        actor: Some(actor_to_proto(version.actor)),
        seq: version.seq,
    }
}

/// Shared with the encoding of the state store.
pub(crate) fn register_dot_from_proto(message: v1::RegisterDot) -> Result<RegisterDot> {
    Ok(RegisterDot {
        register: register_from_proto(message.register, message.xattr_name, message.link)?,
        actor: actor_from_proto(message.actor)?,
        seq: message.seq,
    })
}

fn folded_to_proto(stamp: &FoldedStamp) -> v1::RegisterStamp {
    let (register, xattr_name, _) = register_to_proto(&stamp.register);
    v1::RegisterStamp {
        register: register.into(),
        xattr_name,
        seq: stamp.seq,
        timestamp_us: stamp.timestamp_us,
    }
}

fn folded_from_proto(message: v1::RegisterStamp) -> Result<FoldedStamp> {
    let register = register_from_proto(message.register, message.xattr_name, 0)?;
    if matches!(register, RegisterId::LinkPlace(_) | RegisterId::DirPlace) {
        return Err(refused("folded register", "a place is never folded"));
    }
    Ok(FoldedStamp {
        register,
        seq: message.seq,
        timestamp_us: message.timestamp_us,
    })
}

/// The register as its number, the name of its extended attribute and its link.
fn register_to_proto(register: &RegisterId) -> (v1::Register, Bytes, u64) {
    match register {
        RegisterId::Content => (v1::Register::Content, Bytes::new(), 0),
        RegisterId::Mode => (v1::Register::Mode, Bytes::new(), 0),
        RegisterId::Owner => (v1::Register::Owner, Bytes::new(), 0),
        RegisterId::Times => (v1::Register::Times, Bytes::new(), 0),
        RegisterId::Flags => (v1::Register::Flags, Bytes::new(), 0),
        RegisterId::Xattr(name) => (v1::Register::Xattr, name.clone(), 0),
        RegisterId::LinkPlace(link) => (v1::Register::LinkPlace, Bytes::new(), *link),
        RegisterId::DirPlace => (v1::Register::DirPlace, Bytes::new(), 0),
    }
}

fn register_from_proto(number: i32, name: Bytes, link: u64) -> Result<RegisterId> {
    Ok(match v1::Register::try_from(number) {
        Ok(v1::Register::Unspecified) | Err(_) => {
            return Err(refused("register", format!("{number} is not known")));
        }
        Ok(v1::Register::Content) => RegisterId::Content,
        Ok(v1::Register::Mode) => RegisterId::Mode,
        Ok(v1::Register::Owner) => RegisterId::Owner,
        Ok(v1::Register::Times) => RegisterId::Times,
        Ok(v1::Register::Flags) => RegisterId::Flags,
        Ok(v1::Register::Xattr) => RegisterId::Xattr(xattr_name(name)?),
        Ok(v1::Register::LinkPlace) => RegisterId::LinkPlace(link),
        Ok(v1::Register::DirPlace) => RegisterId::DirPlace,
    })
}

#[cfg(test)]
mod tests;
