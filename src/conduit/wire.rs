//! Our messages to protobuf and back; the only file of the conduit that names the generated message types' fields.
//!
//! Everything that comes in is hostile until it is decoded: ranges, lengths and counts are checked here, and a body
//! of a newer version is skipped. A batch that does not decode is refused by itself, so that one bad stream does
//! not stop the others; the mark of its frame is then withheld.

use bytes::Bytes;
use prost::Message as _;

use super::codec::Weighed;
use super::message::{
    Beat, ClockPair, Close, CloseReason, Frame, Hello, Hold, Message, Nak, NakReason, PARKED_MAX,
    Receipt, Receipts, Role, SnapshotPage, SnapshotRequest, StreamCursor, StreamState,
};
use super::session::RefusedBatch;
use crate::error::{ReplError, Result};
use crate::journal::EntryBatch;
use crate::journal::codec::{
    BATCH_LISTS, Field, Inside, actor_from_proto, actor_to_proto, batch_from_proto, batch_to_proto,
    hash_from_proto, reached_from_proto, reached_to_proto,
};
use crate::journal::dot::STREAM_COUNT;
use crate::journal::verdict::{Reached, ReceivedCursor};
use crate::proto::v1;
use v1::replicate_message::Body;

/// Largest message in bytes, either way: four times a frame, so that a hello with all streams fits too.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest text for people that is taken from a peer, in bytes; the rest is cut.
const DETAIL_BYTES_MAX: usize = 4_096;
/// Most features that a hello may list.
const FEATURES_MAX: usize = 256;

/// A batch: as a message, as ours, and what is said of it when it is refused.
const BATCH_BYTES: usize = size_of::<v1::Batch>() + size_of::<EntryBatch>() + 512;

impl Weighed for v1::ReplicateMessage {
    const FIELDS: &'static [Field] = &[
        (1, Inside::Items(0, HELLO_FIELDS)),
        (
            2,
            Inside::Items(0, &[(1, Inside::Items(BATCH_BYTES, BATCH_LISTS))]),
        ),
        (
            3,
            Inside::Items(0, &[(1, Inside::Items(RECEIPT_BYTES, RECEIPT_LISTS))]),
        ),
        // Nak, Hold and Close.
        (5, Inside::Items(0, &[(5, Inside::Text)])),
        (6, Inside::Items(0, &[(2, Inside::Text)])),
        (7, Inside::Items(0, &[(2, Inside::Text)])),
        (9, Inside::Items(0, PAGE_LISTS)),
    ];
}

/// Lists and texts of a hello.
const HELLO_FIELDS: &[Field] = &[
    (4, Inside::Text),
    (5, Inside::Text),
    (8, Inside::Numbers(size_of::<u32>())),
    (
        9,
        Inside::Items(size_of::<v1::StreamState>() + size_of::<StreamState>(), &[]),
    ),
    (
        10,
        Inside::Items(
            size_of::<v1::StreamCursor>() + size_of::<StreamCursor>(),
            &[],
        ),
    ),
    // A text: its place in the list, and room of its own.
    (12, Inside::Items(size_of::<String>() + 32, &[])),
    (
        20,
        Inside::Items(
            size_of::<v1::SilentJournal>() + size_of::<Reached>(),
            &[(2, Inside::Items(0, POSITIONS))],
        ),
    ),
];
/// Positions of a silent journal. One: as a message, and in a map, whose nodes are half empty.
const POSITIONS: &[Field] = &[(1, Inside::Items(POSITION_BYTES, &[]))];
const POSITION_BYTES: usize = size_of::<v1::Position>() + 2 * size_of::<(u32, ReceivedCursor)>();
/// Lists of a page of a snapshot.
const PAGE_LISTS: &[Field] = &[
    (
        1,
        Inside::Items(
            size_of::<Bytes>() + size_of::<Reached>(),
            &[(2, Inside::Items(POSITION_BYTES, &[]))],
        ),
    ),
    (
        3,
        Inside::Items(
            size_of::<v1::SnapshotItem>() + size_of::<(Bytes, Bytes)>(),
            &[],
        ),
    ),
];
const RECEIPT_BYTES: usize = size_of::<v1::Receipt>() + size_of::<Receipt>();
const RECEIPT_LISTS: &[Field] = &[(7, Inside::Numbers(size_of::<u64>()))];

/// What a message of the wire turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Incoming {
    /// The message. None: a kind that this build does not know.
    pub message: Option<Message>,
    /// Batches of a frame that did not decode.
    pub refused: Vec<RefusedBatch>,
}

/// The message as protobuf.
#[must_use]
pub fn encode(message: &Message) -> v1::ReplicateMessage {
    let body = match message {
        Message::Hello(hello) => Body::Hello(hello_to_proto(hello)),
        Message::Frame(frame) => Body::Frame(v1::Frame {
            batches: frame.batches.iter().map(batch_to_proto).collect(),
            mark_us: frame.mark_us,
        }),
        Message::Receipts(receipts) => Body::Receipts(v1::Receipts {
            receipts: receipts.receipts.iter().map(receipt_to_proto).collect(),
            applied_mark_us: receipts.applied_mark_us,
        }),
        Message::Heartbeat(beat) => Body::Heartbeat(v1::Heartbeat {
            clock: Some(clock_to_proto(beat.clock)),
            mark_us: beat.mark_us,
            backlog_bytes: beat.backlog_bytes,
            backlog_entries: beat.backlog_entries,
            echo_us: beat.echo_us,
            echo_held_us: beat.echo_held_us,
            looking_us: beat.looking_us,
            held_removed: beat.held_removed,
            held_files: beat.held_files,
        }),
        Message::Nak(nak) => Body::Nak(v1::Nak {
            actor: Some(actor_to_proto(nak.actor)),
            stream: nak.stream,
            reason: nak_reason_to_proto(nak.reason).into(),
            received: nak.received,
            detail: nak.detail.clone(),
            batch_seq: nak.batch_seq,
        }),
        Message::Hold(hold) => Body::Hold(v1::Hold {
            until_us: hold.until_us,
            detail: hold.detail.clone(),
        }),
        Message::Close(close) => Body::Close(v1::Close {
            reason: close_reason_to_proto(close.reason).into(),
            detail: close.detail.clone(),
            protocol_min: close.protocol_min,
            protocol_max: close.protocol_max,
        }),
        Message::SnapshotRequest(request) => Body::SnapshotRequest(v1::SnapshotRequest {
            after: request.after.clone(),
            snapshot: request.snapshot,
        }),
        Message::SnapshotPage(page) => Body::SnapshotPage(page_to_proto(page)),
    };
    v1::ReplicateMessage {
        body: Some(body),
        // The codec puts it behind everything.
        crc32: 0,
    }
}

/// The message of protobuf.
///
/// # Errors
/// [`ReplError::Serialization`] when a field is outside its range; the connection is then closed.
pub fn decode(message: v1::ReplicateMessage) -> Result<Incoming> {
    let mut refused = Vec::new();
    let message = match message.body {
        None => None,
        Some(Body::Hello(hello)) => Some(Message::Hello(Box::new(hello_from_proto(hello)?))),
        Some(Body::Frame(frame)) => {
            let (frame, bad) = frame_from_proto(frame)?;
            refused = bad;
            Some(Message::Frame(frame))
        }
        Some(Body::Receipts(receipts)) => Some(Message::Receipts(receipts_from_proto(receipts)?)),
        Some(Body::Heartbeat(beat)) => Some(Message::Heartbeat(Beat {
            clock: clock_from_proto(beat.clock),
            mark_us: beat.mark_us,
            backlog_bytes: beat.backlog_bytes,
            backlog_entries: beat.backlog_entries,
            echo_us: beat.echo_us,
            echo_held_us: beat.echo_held_us,
            looking_us: beat.looking_us,
            held_removed: beat.held_removed,
            held_files: beat.held_files,
        })),
        Some(Body::Nak(nak)) => Some(Message::Nak(nak_from_proto(nak)?)),
        Some(Body::Hold(hold)) => Some(Message::Hold(Hold {
            until_us: hold.until_us,
            detail: cut(hold.detail),
        })),
        Some(Body::Close(close)) => Some(Message::Close(Close {
            reason: close_reason_from_proto(close.reason()),
            detail: cut(close.detail),
            protocol_min: close.protocol_min,
            protocol_max: close.protocol_max,
        })),
        Some(Body::SnapshotRequest(request)) => Some(Message::SnapshotRequest(SnapshotRequest {
            after: request.after,
            snapshot: request.snapshot,
        })),
        Some(Body::SnapshotPage(page)) => {
            Some(Message::SnapshotPage(Box::new(page_from_proto(page)?)))
        }
    };
    Ok(Incoming { message, refused })
}

fn page_to_proto(page: &SnapshotPage) -> v1::SnapshotPage {
    let item = |(key, value): &(Bytes, Bytes)| v1::SnapshotItem {
        key: key.clone(),
        value: value.clone(),
    };
    let reach = |reached: &Reached| reached_to_proto(reached).encode_to_vec().into();
    v1::SnapshotPage {
        after: page.after.clone(),
        snapshot: page.snapshot,
        reach: page.reach.iter().map(reach).collect(),
        hlc_us: page.hlc_us,
        items: page.items.iter().map(item).collect(),
        is_last: page.is_last,
    }
}

fn page_from_proto(page: v1::SnapshotPage) -> Result<SnapshotPage> {
    let reach = page.reach.into_iter().map(|bytes| {
        let reach = v1::SnapshotReach::decode(bytes);
        let reach = reach.map_err(|error| refused("snapshot", error.to_string()))?;
        reached_from_proto(reach.actor, reach.positions)
    });
    let items = page.items.into_iter().map(|item| (item.key, item.value));
    Ok(SnapshotPage {
        after: page.after,
        snapshot: page.snapshot,
        reach: reach.collect::<Result<_>>()?,
        hlc_us: page.hlc_us,
        items: items.collect(),
        is_last: page.is_last,
    })
}

/// Checks and decodes the batches of a frame one by one.
fn frame_from_proto(frame: v1::Frame) -> Result<(Frame, Vec<RefusedBatch>)> {
    let mut batches = Vec::with_capacity(frame.batches.len().min(64));
    let mut refused = Vec::new();
    for batch in frame.batches {
        let (actor, stream, batch_seq) = (
            actor_from_proto(batch.actor)?,
            stream(batch.stream)?,
            batch.batch_seq,
        );
        match batch_of(batch) {
            Ok(batch) => batches.push(batch),
            Err(error) => refused.push(RefusedBatch {
                actor,
                stream,
                batch_seq,
                detail: error.to_string(),
            }),
        }
    }
    let mark_us = if refused.is_empty() { frame.mark_us } else { 0 };
    Ok((Frame { batches, mark_us }, refused))
}

/// A batch without entries and range is a sign of life of the plain library API; everything else has a range.
fn batch_of(batch: v1::Batch) -> Result<EntryBatch> {
    if batch.first == 0 && batch.last == 0 && batch.entries.is_empty() {
        let actor = actor_from_proto(batch.actor)?;
        let mut empty = EntryBatch::new(actor.site_id, Vec::new(), batch.batch_seq);
        empty.incarnation = actor.incarnation;
        return Ok(empty);
    }
    batch_from_proto(batch)
}

fn hello_to_proto(hello: &Hello) -> v1::Hello {
    let cursor = |cursor: &StreamCursor| v1::StreamCursor {
        stream: cursor.stream,
        received: cursor.received,
        chain: hash_to_proto(&cursor.chain),
        merged: cursor.merged,
        durable: cursor.durable,
        applied: cursor.applied,
    };
    let state = |state: &StreamState| v1::StreamState {
        stream: state.stream,
        tail: state.tail,
        head: state.head,
        chain_head: hash_to_proto(&state.chain_head),
    };
    v1::Hello {
        protocol_min: hello.protocol_min,
        protocol_max: hello.protocol_max,
        actor: Some(actor_to_proto(hello.actor)),
        site_name: hello.site_name.clone(),
        cluster: hello.cluster.clone(),
        shard_function: hello.shard_function,
        epoch: hello.epoch,
        tags: hello.tags.clone(),
        streams: hello.streams.iter().map(state).collect(),
        cursors: hello.cursors.iter().map(cursor).collect(),
        clock: Some(clock_to_proto(hello.clock)),
        features: hello.features.clone(),
        role: match hello.role {
            Role::Bidirectional => v1::Role::Bidirectional,
            Role::Primary => v1::Role::Primary,
            Role::Replica => v1::Role::Replica,
        }
        .into(),
        connection_id: hello.connection_id,
        peer_incarnation: hello.peer_incarnation,
        founder: hello.founder.map(actor_to_proto),
        newcomer: hello.newcomer,
        fills_newcomers: hello.fills_newcomers,
        merging: hello.merging,
        silent: hello.silent.iter().map(silent_to_proto).collect(),
    }
}

fn silent_to_proto(reached: &Reached) -> v1::SilentJournal {
    let v1::SnapshotReach { actor, positions } = reached_to_proto(reached);
    let positions = v1::Positions { positions }.encode_to_vec().into();
    v1::SilentJournal { actor, positions }
}

fn silent_from_proto(silent: v1::SilentJournal) -> Result<Reached> {
    let positions = v1::Positions::decode(silent.positions);
    let positions = positions.map_err(|error| refused("positions", error.to_string()))?;
    reached_from_proto(silent.actor, positions.positions)
}

fn hello_from_proto(hello: v1::Hello) -> Result<Hello> {
    let streams_max = STREAM_COUNT as usize;
    if hello.streams.len() > streams_max || hello.cursors.len() > streams_max {
        return Err(refused(
            "hello",
            format!("more than {STREAM_COUNT} streams"),
        ));
    }
    if hello.features.len() > FEATURES_MAX {
        return Err(refused(
            "hello",
            format!("more than {FEATURES_MAX} features"),
        ));
    }
    let role = match hello.role() {
        v1::Role::Unspecified | v1::Role::Bidirectional => Role::Bidirectional,
        v1::Role::Primary => Role::Primary,
        v1::Role::Replica => Role::Replica,
    };
    let state = |state: &v1::StreamState| -> Result<StreamState> {
        Ok(StreamState {
            stream: stream(state.stream)?,
            tail: state.tail,
            head: state.head,
            chain_head: hash_from_proto("chain hash", &state.chain_head)?,
        })
    };
    let cursor = |cursor: &v1::StreamCursor| -> Result<StreamCursor> {
        Ok(StreamCursor {
            stream: stream(cursor.stream)?,
            received: cursor.received,
            chain: hash_from_proto("chain hash", &cursor.chain)?,
            merged: cursor.merged,
            durable: cursor.durable,
            applied: cursor.applied,
        })
    };
    Ok(Hello {
        protocol_min: hello.protocol_min,
        protocol_max: hello.protocol_max,
        actor: actor_from_proto(hello.actor)?,
        shard_function: hello.shard_function,
        epoch: hello.epoch,
        streams: hello.streams.iter().map(state).collect::<Result<_>>()?,
        cursors: hello.cursors.iter().map(cursor).collect::<Result<_>>()?,
        clock: clock_from_proto(hello.clock),
        role,
        connection_id: hello.connection_id,
        peer_incarnation: hello.peer_incarnation,
        founder: hello
            .founder
            .map(|founder| actor_from_proto(Some(founder)))
            .transpose()?,
        newcomer: hello.newcomer,
        fills_newcomers: hello.fills_newcomers,
        merging: hello.merging,
        silent: (hello.silent.into_iter().map(silent_from_proto)).collect::<Result<_>>()?,
        site_name: cut(hello.site_name),
        cluster: cut(hello.cluster),
        tags: hello.tags,
        features: hello.features,
    })
}

fn receipt_to_proto(receipt: &Receipt) -> v1::Receipt {
    v1::Receipt {
        actor: Some(actor_to_proto(receipt.actor)),
        stream: receipt.stream,
        received: receipt.received,
        merged: receipt.merged,
        durable: receipt.durable,
        applied: receipt.applied,
        parked: receipt.parked.iter().copied().take(PARKED_MAX).collect(),
        parked_count: receipt.parked_count,
    }
}

fn receipts_from_proto(message: v1::Receipts) -> Result<Receipts> {
    if message.receipts.len() > STREAM_COUNT as usize {
        return Err(refused(
            "receipts",
            format!("more than {STREAM_COUNT} streams"),
        ));
    }
    let receipt = |receipt: v1::Receipt| -> Result<Receipt> {
        if receipt.parked.len() > PARKED_MAX {
            return Err(refused(
                "receipt",
                format!("more than {PARKED_MAX} parked seqs"),
            ));
        }
        Ok(Receipt {
            actor: actor_from_proto(receipt.actor)?,
            stream: stream(receipt.stream)?,
            received: receipt.received,
            merged: receipt.merged,
            durable: receipt.durable,
            applied: receipt.applied,
            parked: receipt.parked,
            parked_count: receipt.parked_count,
        })
    };
    Ok(Receipts {
        receipts: message
            .receipts
            .into_iter()
            .map(receipt)
            .collect::<Result<_>>()?,
        applied_mark_us: message.applied_mark_us,
    })
}

fn nak_from_proto(nak: v1::Nak) -> Result<Nak> {
    let reason = match nak.reason() {
        v1::NakReason::Gap => NakReason::Gap,
        v1::NakReason::Fork => NakReason::Fork,
        v1::NakReason::Unspecified | v1::NakReason::Invalid => NakReason::Invalid,
        v1::NakReason::NoSpace => NakReason::NoSpace,
        v1::NakReason::Role => NakReason::Role,
        v1::NakReason::SnapshotRequired => NakReason::SnapshotRequired,
    };
    Ok(Nak {
        actor: actor_from_proto(nak.actor)?,
        stream: stream(nak.stream)?,
        reason,
        received: nak.received,
        batch_seq: nak.batch_seq,
        detail: cut(nak.detail),
    })
}

const fn nak_reason_to_proto(reason: NakReason) -> v1::NakReason {
    match reason {
        NakReason::Gap => v1::NakReason::Gap,
        NakReason::Fork => v1::NakReason::Fork,
        NakReason::Invalid => v1::NakReason::Invalid,
        NakReason::NoSpace => v1::NakReason::NoSpace,
        NakReason::Role => v1::NakReason::Role,
        NakReason::SnapshotRequired => v1::NakReason::SnapshotRequired,
    }
}

const fn close_reason_to_proto(reason: CloseReason) -> v1::CloseReason {
    match reason {
        CloseReason::Shutdown => v1::CloseReason::Shutdown,
        CloseReason::Version => v1::CloseReason::Version,
        CloseReason::Cluster => v1::CloseReason::Cluster,
        CloseReason::UnknownSite => v1::CloseReason::UnknownSite,
        CloseReason::Identity => v1::CloseReason::Identity,
        CloseReason::RolledBack => v1::CloseReason::RolledBack,
        CloseReason::Fenced => v1::CloseReason::Fenced,
        CloseReason::Duplicate => v1::CloseReason::Duplicate,
        CloseReason::Protocol => v1::CloseReason::Protocol,
        CloseReason::Populated => v1::CloseReason::Populated,
        CloseReason::NotKept => v1::CloseReason::NotKept,
        CloseReason::Paused => v1::CloseReason::Paused,
    }
}

const fn close_reason_from_proto(reason: v1::CloseReason) -> CloseReason {
    match reason {
        v1::CloseReason::Shutdown => CloseReason::Shutdown,
        v1::CloseReason::Version => CloseReason::Version,
        v1::CloseReason::Cluster => CloseReason::Cluster,
        v1::CloseReason::UnknownSite => CloseReason::UnknownSite,
        v1::CloseReason::Identity => CloseReason::Identity,
        v1::CloseReason::RolledBack => CloseReason::RolledBack,
        v1::CloseReason::Fenced => CloseReason::Fenced,
        v1::CloseReason::Duplicate => CloseReason::Duplicate,
        v1::CloseReason::Populated => CloseReason::Populated,
        v1::CloseReason::NotKept => CloseReason::NotKept,
        v1::CloseReason::Paused => CloseReason::Paused,
        v1::CloseReason::Unspecified | v1::CloseReason::Protocol => CloseReason::Protocol,
    }
}

const fn clock_to_proto(clock: ClockPair) -> v1::ClockPair {
    v1::ClockPair {
        wall_us: clock.wall_us,
        hlc_us: clock.hlc_us,
        synchronised: clock.synchronised,
    }
}

fn clock_from_proto(clock: Option<v1::ClockPair>) -> ClockPair {
    let clock = clock.unwrap_or_default();
    ClockPair {
        wall_us: clock.wall_us,
        hlc_us: clock.hlc_us,
        synchronised: clock.synchronised,
    }
}

fn hash_to_proto(hash: &[u8; 32]) -> Bytes {
    if *hash == [0; 32] {
        Bytes::new()
    } else {
        Bytes::copy_from_slice(hash)
    }
}

fn stream(stream: u32) -> Result<u32> {
    if stream < STREAM_COUNT {
        return Ok(stream);
    }
    Err(refused(
        "stream",
        format!("{stream} is outside 0..{STREAM_COUNT}"),
    ))
}

/// Text of a peer, cut at a character boundary.
fn cut(mut text: String) -> String {
    let mut end = DETAIL_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn refused(what: &'static str, reason: impl Into<String>) -> ReplError {
    ReplError::serialization(what, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::dot::{Actor, shard_of};
    use crate::journal::{JournalEntry, OpKind};

    fn batch() -> EntryBatch {
        let entry = JournalEntry::new(4, shard_of(9), 2, 50, 9, OpKind::Write, vec![1, 2]);
        EntryBatch::new(2, vec![entry], 7)
    }

    fn beat(clock: ClockPair) -> Beat {
        Beat {
            clock,
            mark_us: 1,
            backlog_bytes: 2,
            backlog_entries: 3,
            echo_us: 4,
            echo_held_us: 5,
            looking_us: 6,
            held_removed: 7,
            held_files: 8,
        }
    }

    fn every_message() -> Vec<Message> {
        let actor = Actor::new(2, 9);
        let clock = ClockPair {
            wall_us: 1,
            hlc_us: 2,
            synchronised: true,
        };
        vec![
            Message::Hello(Box::new(Hello {
                actor,
                site_name: "s2".to_owned(),
                cluster: "lab".to_owned(),
                protocol_max: 3,
                tags: vec![5],
                streams: vec![StreamState {
                    stream: 1,
                    tail: 2,
                    head: 3,
                    chain_head: [4; 32],
                }],
                cursors: vec![StreamCursor {
                    stream: 256,
                    received: 9,
                    chain: [1; 32],
                    merged: 8,
                    durable: 7,
                    applied: 6,
                }],
                clock,
                features: vec!["x".to_owned()],
                role: Role::Replica,
                connection_id: 11,
                peer_incarnation: 12,
                founder: Some(Actor::new(3, 13)),
                ..Hello::default()
            })),
            Message::Receipts(Receipts {
                receipts: vec![Receipt {
                    actor,
                    stream: 3,
                    received: 9,
                    merged: 8,
                    durable: 7,
                    applied: 6,
                    parked: vec![5],
                    parked_count: 1,
                }],
                applied_mark_us: 3,
            }),
            Message::Heartbeat(beat(clock)),
            Message::Nak(Nak {
                actor,
                stream: 4,
                reason: NakReason::Fork,
                received: 5,
                batch_seq: 6,
                detail: "d".to_owned(),
            }),
            Message::Hold(Hold {
                until_us: 1,
                detail: "d".to_owned(),
            }),
            Message::Close(Close::new(CloseReason::Fenced, "d")),
            Message::Close(Close::new(CloseReason::Populated, "d")),
            Message::Close(Close::new(CloseReason::NotKept, "d")),
            Message::Close(Close::new(CloseReason::Paused, "d")),
        ]
    }

    #[test]
    fn every_message_survives_the_wire() {
        for message in every_message() {
            let bytes = encode(&message).encode_to_vec();
            let back = decode(v1::ReplicateMessage::decode(&bytes[..]).unwrap()).unwrap();
            assert_eq!(back.message, Some(message));
        }
        let frame = Message::Frame(Frame {
            batches: vec![batch()],
            mark_us: 9,
        });
        let Some(Message::Frame(back)) = decode(encode(&frame)).unwrap().message else {
            panic!("no frame");
        };
        assert_eq!(back.batches[0].entries, batch().entries);
        assert_eq!((back.mark_us, back.batches[0].batch_seq), (9, 7));
    }

    #[test]
    fn a_message_with_unknown_body_is_skipped() {
        // Field 1000, which no version of this build knows.
        let newer = [0xc2, 0x3e, 0x01, 0x00];
        let message = v1::ReplicateMessage::decode(&newer[..]).unwrap();
        assert_eq!(decode(message).unwrap(), Incoming::default());
    }

    #[test]
    fn a_bad_batch_is_refused_alone_and_takes_the_mark_with_it() {
        let mut bad = batch();
        bad.entries[0].crc32 ^= 1;
        let frame = Message::Frame(Frame {
            batches: vec![bad, batch()],
            mark_us: 9,
        });
        let incoming = decode(encode(&frame)).unwrap();
        assert!(incoming.refused[0].detail.contains("crc"), "{incoming:?}");
        let Some(Message::Frame(frame)) = incoming.message else {
            panic!("no frame");
        };
        assert_eq!((frame.batches.len(), frame.mark_us), (1, 0));
    }

    #[test]
    fn hostile_counts_and_ranges_are_errors() {
        let stream = |stream| v1::StreamState {
            stream,
            ..v1::StreamState::default()
        };
        let actor = Some(v1::Actor {
            site_id: 2,
            incarnation: 0,
        });
        let hello = |streams| v1::Hello {
            actor,
            streams,
            ..v1::Hello::default()
        };
        for bad in [
            hello(vec![stream(257)]),
            hello((0..258).map(|_| stream(1)).collect()),
            v1::Hello::default(),
        ] {
            let message = v1::ReplicateMessage {
                body: Some(Body::Hello(bad)),
                ..v1::ReplicateMessage::default()
            };
            assert!(decode(message).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(0u8.., 0..300)) {
            if let Ok(message) = v1::ReplicateMessage::decode(&bytes[..]) {
                drop(decode(message));
            }
        }
    }
}
