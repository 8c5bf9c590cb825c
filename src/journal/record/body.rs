//! Pure: what the records of a log say, to bytes and back.
//!
//! Entry bytes are kept as they were written; everything else is of `state.proto` and never leaves the machine.
//! Decoding never panics and never allocates more than the input justifies.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use prost::Message;

use super::{RawRecord, RecordKind};
use crate::error::{ReplError, Result};
use crate::journal::batch::{ChainHash, SeenRun};
use crate::journal::chain::CHAIN_START;
use crate::journal::codec;
use crate::journal::device::DeviceImage;
use crate::journal::dot::{Actor, STREAM_COUNT, Seen};
use crate::journal::entry::JournalEntry;
use crate::journal::op::FileTime;
use crate::proto::state;

/// An entry and the bytes that it is kept and sent as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The entry.
    pub entry: JournalEntry,
    /// Its bytes, as its site wrote them.
    pub raw: Bytes,
}

/// One stream at a position of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamPoint {
    /// Its last seq; 0: no entries yet.
    pub seq: u64,
    /// Its chain hash there.
    pub chain: ChainHash,
    /// The context vector that holds there, without the writing actor.
    pub seen: Seen,
}

/// The state of a log at a position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Snapshot {
    pub streams: BTreeMap<u32, StreamPoint>,
    pub last_hlc_us: u64,
}

/// The range that a received batch declared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BatchRange {
    pub stream: u32,
    pub first: u64,
    pub last: u64,
    pub chain_prev: ChainHash,
    pub chain_last: ChainHash,
    pub epoch: u32,
}

/// A record of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    Entry(StoredEntry),
    Txn(Vec<StoredEntry>),
    Seen {
        stream: u32,
        run: SeenRun,
    },
    Trailer {
        stream: u32,
        seq: u64,
        device: DeviceImage,
    },
    Snapshot(Snapshot),
    Range(BatchRange),
}

impl Record {
    /// The record in `raw`, its entries being of `actor`.
    ///
    /// # Errors
    /// [`ReplError::Serialization`] when the body is not of its kind.
    pub(crate) fn decode(actor: Actor, raw: &RawRecord) -> Result<Self> {
        let body = raw.body.clone();
        Ok(match raw.kind {
            RecordKind::Entry => Self::Entry(stored(actor, body)?),
            RecordKind::TxnGroup => Self::Txn(
                codec::unpack_entries(body)?
                    .into_iter()
                    .map(|raw| stored(actor, raw))
                    .collect::<Result<_>>()?,
            ),
            RecordKind::SeenChange => decode_seen_change(body)?,
            RecordKind::LocalTrailer => decode_trailer(body)?,
            RecordKind::Checkpoint => decode_checkpoint(body)?,
        })
    }
}

/// The body of a transaction.
pub(crate) fn encode_txn(entries: &[StoredEntry]) -> Bytes {
    let mut packed = BytesMut::new();
    for entry in entries {
        codec::pack_entry(&mut packed, &entry.raw);
    }
    packed.freeze()
}

/// The body of a change of context.
pub(crate) fn encode_seen_change(stream: u32, run: &SeenRun) -> Bytes {
    state::SeenChange {
        stream,
        run: codec::encode_seen_run(run),
    }
    .encode_to_vec()
    .into()
}

/// The body of a trailer.
pub(crate) fn encode_trailer(stream: u32, seq: u64, device: &DeviceImage) -> Bytes {
    state::LocalTrailer {
        stream,
        seq,
        ino: device.ino,
        btime: Some(time_to_proto(device.btime)),
        ctime: Some(time_to_proto(device.ctime)),
        mtime: Some(time_to_proto(device.mtime)),
        size: device.size,
    }
    .encode_to_vec()
    .into()
}

/// The body of a checkpoint that holds the state of the log.
pub(crate) fn encode_snapshot(snapshot: &Snapshot) -> Bytes {
    let streams = snapshot.streams.iter().map(|(stream, point)| {
        let run = SeenRun {
            first_seq: point.seq + 1,
            seen: point.seen.clone(),
        };
        state::StreamPoint {
            stream: *stream,
            seq: point.seq,
            chain: chain_to_proto(&point.chain),
            seen: if point.seen.is_empty() {
                Bytes::new()
            } else {
                codec::encode_seen_run(&run)
            },
        }
    });
    let body = state::checkpoint::Body::Snapshot(state::Snapshot {
        streams: streams.collect(),
        last_hlc_us: snapshot.last_hlc_us,
    });
    encode_checkpoint(body)
}

/// The body of a checkpoint that closes a received batch.
pub(crate) fn encode_range(range: &BatchRange) -> Bytes {
    encode_checkpoint(state::checkpoint::Body::Range(state::BatchRange {
        stream: range.stream,
        first: range.first,
        last: range.last,
        chain_prev: chain_to_proto(&range.chain_prev),
        chain_last: chain_to_proto(&range.chain_last),
        epoch: range.epoch,
    }))
}

fn encode_checkpoint(body: state::checkpoint::Body) -> Bytes {
    let message = state::Checkpoint { body: Some(body) };
    message.encode_to_vec().into()
}

fn stored(actor: Actor, raw: Bytes) -> Result<StoredEntry> {
    let entry = codec::decode_entry(actor, raw.clone())?;
    Ok(StoredEntry { entry, raw })
}

fn refused(what: &'static str, reason: impl Into<String>) -> ReplError {
    ReplError::serialization(what, reason)
}

fn stream_of(what: &'static str, stream: u32) -> Result<u32> {
    if stream < STREAM_COUNT {
        Ok(stream)
    } else {
        Err(refused(what, format!("stream {stream} is above 256")))
    }
}

fn decode_seen_change(body: Bytes) -> Result<Record> {
    let what = "context record";
    let message = state::SeenChange::decode(body).map_err(|e| refused(what, e.to_string()))?;
    let run = codec::decode_seen_run(message.run)?;
    if run.first_seq == 0 {
        return Err(refused(what, "run starts at seq 0"));
    }
    Ok(Record::Seen {
        stream: stream_of(what, message.stream)?,
        run,
    })
}

fn decode_trailer(body: Bytes) -> Result<Record> {
    let what = "local trailer";
    let message = state::LocalTrailer::decode(body).map_err(|e| refused(what, e.to_string()))?;
    if message.seq == 0 {
        return Err(refused(what, "seq 0 is not valid"));
    }
    let device = DeviceImage {
        ino: message.ino,
        btime: time_from_proto(message.btime)?,
        ctime: time_from_proto(message.ctime)?,
        mtime: time_from_proto(message.mtime)?,
        size: message.size,
    };
    Ok(Record::Trailer {
        stream: stream_of(what, message.stream)?,
        seq: message.seq,
        device,
    })
}

fn decode_checkpoint(body: Bytes) -> Result<Record> {
    let what = "checkpoint";
    let message = state::Checkpoint::decode(body).map_err(|e| refused(what, e.to_string()))?;
    match message.body {
        Some(state::checkpoint::Body::Snapshot(snapshot)) => {
            Ok(Record::Snapshot(snapshot_from_proto(snapshot)?))
        }
        Some(state::checkpoint::Body::Range(range)) => {
            if range.first == 0 || range.last < range.first || range.last == u64::MAX {
                return Err(refused(
                    what,
                    format!("range {}..={} is not valid", range.first, range.last),
                ));
            }
            Ok(Record::Range(BatchRange {
                stream: stream_of(what, range.stream)?,
                first: range.first,
                last: range.last,
                chain_prev: codec::hash_from_proto(what, &range.chain_prev)?,
                chain_last: codec::hash_from_proto(what, &range.chain_last)?,
                epoch: range.epoch,
            }))
        }
        None => Err(refused(what, "is empty or of a newer kind")),
    }
}

fn snapshot_from_proto(message: state::Snapshot) -> Result<Snapshot> {
    let mut streams = BTreeMap::new();
    for point in message.streams {
        if point.seq == u64::MAX {
            return Err(refused("checkpoint", "the last number of all is no seq"));
        }
        let seen = if point.seen.is_empty() {
            Seen::new()
        } else {
            codec::decode_seen_run(point.seen)?.seen
        };
        let value = StreamPoint {
            seq: point.seq,
            chain: codec::hash_from_proto("checkpoint", &point.chain)?,
            seen,
        };
        streams.insert(stream_of("checkpoint", point.stream)?, value);
    }
    Ok(Snapshot {
        streams,
        last_hlc_us: message.last_hlc_us,
    })
}

fn chain_to_proto(chain: &ChainHash) -> Bytes {
    if *chain == CHAIN_START {
        Bytes::new()
    } else {
        Bytes::copy_from_slice(chain)
    }
}

fn time_to_proto(time: FileTime) -> state::DeviceTime {
    state::DeviceTime {
        seconds: time.seconds,
        nanos: time.nanos,
    }
}

fn time_from_proto(time: Option<state::DeviceTime>) -> Result<FileTime> {
    let time = time.unwrap_or_default();
    if time.nanos > 999_999_999 {
        return Err(refused("device time", "nanoseconds are above 999999999"));
    }
    Ok(FileTime {
        seconds: time.seconds,
        nanos: time.nanos,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::dot::shard_of;
    use crate::journal::op::OpKind;

    const ACTOR: Actor = Actor::new(3, 0x11);

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn stored_entry(seq: u64) -> StoredEntry {
        let mut entry = JournalEntry::new(seq, shard_of(9), 3, 50 + seq, 9, OpKind::Write, vec![7]);
        entry.incarnation = ACTOR.incarnation;
        let raw = codec::encode_entry(&entry);
        StoredEntry { entry, raw }
    }

    fn every_kind() -> Vec<(RawRecord, Record)> {
        let seen: Seen = [(Actor::new(2, 5), 300)].into_iter().collect();
        let run = SeenRun {
            first_seq: 4,
            seen: seen.clone(),
        };
        let device = DeviceImage {
            ino: 77,
            btime: FileTime {
                seconds: -1,
                nanos: 5,
            },
            size: 1_000,
            ..DeviceImage::default()
        };
        let point = StreamPoint {
            seq: 3,
            chain: [8; 32],
            seen,
        };
        let snapshot = Snapshot {
            streams: [(256, point)].into_iter().collect(),
            last_hlc_us: 9,
        };
        let range = BatchRange {
            stream: 6,
            first: 1,
            last: 4,
            chain_prev: CHAIN_START,
            chain_last: [1; 32],
            epoch: 2,
        };
        let (one, two) = (stored_entry(1), stored_entry(2));
        let txn = vec![one.clone(), two];
        let raw = |kind, body| RawRecord::alone(kind, body);
        vec![
            (
                raw(RecordKind::Entry, one.raw.clone()),
                Record::Entry(one.clone()),
            ),
            (
                raw(RecordKind::SeenChange, encode_seen_change(6, &run)),
                Record::Seen { stream: 6, run },
            ),
            (
                raw(RecordKind::TxnGroup, encode_txn(&txn)),
                Record::Txn(txn),
            ),
            (
                raw(RecordKind::LocalTrailer, encode_trailer(6, 4, &device)),
                Record::Trailer {
                    stream: 6,
                    seq: 4,
                    device,
                },
            ),
            (
                raw(RecordKind::Checkpoint, encode_snapshot(&snapshot)),
                Record::Snapshot(snapshot),
            ),
            (
                raw(RecordKind::Checkpoint, encode_range(&range)),
                Record::Range(range),
            ),
        ]
    }

    #[test]
    fn every_kind_survives_the_round_trip() {
        for (raw, record) in every_kind() {
            assert_eq!(Record::decode(ACTOR, &raw).unwrap(), record);
        }
    }

    #[test]
    fn the_bytes_of_every_kind_are_pinned() {
        let golden: Vec<&str> = include_str!("golden.txt").lines().collect();
        let bytes: Vec<String> = every_kind()
            .iter()
            .map(|(raw, _)| format!("{:?} {}", raw.kind, hex(&raw.body)))
            .collect();
        assert_eq!(bytes, golden);
    }

    #[test]
    fn hostile_bodies_are_refused_without_a_panic() {
        let mut refused = 0;
        for (raw, _) in every_kind() {
            for cut in 0..raw.body.len() {
                let mut bytes = raw.body.slice(..cut).to_vec();
                bytes.extend([0xFF, 0xFF, 0x7F]);
                let hostile = RawRecord::alone(raw.kind, bytes.into());
                refused += usize::from(Record::decode(ACTOR, &hostile).is_err());
            }
        }
        assert!(refused > 150, "{refused} were refused");
        let above = state::SeenChange {
            stream: 257,
            run: codec::encode_seen_run(&SeenRun {
                first_seq: 1,
                ..SeenRun::default()
            }),
        };
        let raw = RawRecord::alone(RecordKind::SeenChange, above.encode_to_vec().into());
        assert!(Record::decode(ACTOR, &raw).is_err());
    }
}
