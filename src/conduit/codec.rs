//! Protobuf as gRPC carries it, less what was damaged on its way and the messages that grow when they are decoded.
//!
//! TLS answers for the bytes between two sockets, and nothing for those in front of and behind them. A receipt with one
//! other bit would have the journal trimmed that the peer still needs, a mark would promise what was never sent, and
//! the crc of an entry covers neither its clock nor its context. So every message ends with the crc of its own bytes.
//!
//! An empty message inside a list takes two bytes on the wire and some hundred in memory: four megabytes of them, which
//! the limit on bytes lets pass, would become several hundred. So what a message will take, and what is made of it, is
//! counted before anything is decoded.

use std::fmt;
use std::marker::PhantomData;

use bytes::{Buf as _, BufMut as _, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec as GrpcCodec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::failpoint;
use crate::journal::codec::{Field, weight};

/// Key of the field `crc32`: number 15, four bytes.
const SEAL_KEY: u8 = 15 << 3 | 5;
/// The field with its key.
const SEAL_BYTES: usize = 5;

/// Most memory that a message takes beside its bytes. A frame of the largest size with nothing but small entries takes
/// the most that is honest, a quarter of it.
pub const MEMORY_MAX: usize = 2 * super::wire::MESSAGE_BYTES_MAX;

/// A message that says where it grows.
pub trait Weighed: Message + Default + Send + 'static {
    /// Its lists and texts.
    const FIELDS: &'static [Field];
    /// Most memory that these take.
    const MEMORY_MAX: usize = MEMORY_MAX;
}

/// The codec of the conduit's service.
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> fmt::Debug for Codec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> GrpcCodec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Weighed,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Sealing<T>;
    type Decoder = Checking<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Sealing(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        Checking(PhantomData)
    }
}

/// Encodes, and puts the crc behind.
pub struct Sealing<T>(PhantomData<T>);

impl<T> fmt::Debug for Sealing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealing")
    }
}

impl<T: Message> Encoder for Sealing<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put_slice(&seal(&message));
        Ok(())
    }
}

/// Checks the crc, counts, then decodes.
pub struct Checking<U>(PhantomData<U>);

impl<U> fmt::Debug for Checking<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checking")
    }
}

impl<U: Weighed> Decoder for Checking<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let length = source.remaining();
        open(source.copy_to_bytes(length)).map(Some)
    }
}

/// The bytes of a message of the conduit: the message, then the crc of it.
#[must_use]
pub fn seal<T: Message>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.encoded_len() + SEAL_BYTES);
    message.encode_raw(&mut bytes);
    let crc = crc32fast::hash(&bytes);
    bytes.put_u8(SEAL_KEY);
    bytes.put_u32_le(crc);
    bytes
}

/// The message in `bytes` that [`seal`] made.
///
/// # Errors
/// `DATA_LOSS`: it was damaged. `RESOURCE_EXHAUSTED`: it would take more memory than [`Weighed::MEMORY_MAX`]. `INTERNAL`: it does not decode.
pub fn open<U: Weighed>(bytes: Bytes) -> Result<U, Status> {
    let is_whole =
        bytes
            .split_last_chunk::<SEAL_BYTES>()
            .is_some_and(|(message, [key, crc @ ..])| {
                *key == SEAL_KEY && crc32fast::hash(message) == u32::from_le_bytes(*crc)
            });
    if !is_whole && failpoint::holds("damaged messages are refused") {
        let length = bytes.len();
        let detail = format!(
            "a message of {length} bytes was damaged on its way; if it happens again, test the memory of both machines"
        );
        return Err(Status::data_loss(detail));
    }
    let limit = U::MEMORY_MAX;
    if weight(&bytes, U::FIELDS) > limit {
        let limit = format!("a message that takes more than {limit} bytes of memory");
        return Err(Status::resource_exhausted(limit));
    }
    U::decode(bytes).map_err(|error| Status::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::journal::codec::{batch_to_proto, encode_entry, pack_entry};
    use crate::journal::{Actor, EntryBatch, JournalEntry, OpKind, SeenRun};
    use crate::proto::v1;
    use v1::replicate_message::Body;

    fn replicate(body: Body) -> v1::ReplicateMessage {
        v1::ReplicateMessage {
            body: Some(body),
            crc32: 0,
        }
    }

    fn message(body: Body) -> Vec<u8> {
        seal(&replicate(body))
    }

    #[test]
    fn a_message_with_any_other_bit_or_without_its_crc_is_refused_as_damaged() {
        let body = Body::Receipts(v1::Receipts {
            receipts: vec![v1::Receipt {
                stream: 7,
                received: 9,
                ..v1::Receipt::default()
            }],
            applied_mark_us: 1_795_370_089_102_113,
        });
        let whole = message(body.clone());
        let opened: v1::ReplicateMessage = open(whole.clone().into()).unwrap();
        assert_eq!(opened.body, Some(body.clone()));
        let refused = |bytes: Vec<u8>| {
            let opened: Result<v1::ReplicateMessage, Status> = open(bytes.into());
            opened.is_err_and(|status| status.code() == tonic::Code::DataLoss)
        };
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(damaged), "bit {bit}");
        }
        assert!(refused(replicate(body).encode_to_vec()));
        assert!(refused(Vec::new()));
        // An encoder that writes fields in the order of their numbers makes the same bytes.
        let crc32 = opened.crc32;
        assert_eq!(
            v1::ReplicateMessage { crc32, ..opened }.encode_to_vec(),
            whole
        );
    }

    fn of(bytes: &[u8]) -> usize {
        weight(bytes, v1::ReplicateMessage::FIELDS)
    }

    fn frame(batch: v1::Batch) -> Vec<u8> {
        message(Body::Frame(v1::Frame {
            batches: vec![batch],
            mark_us: 0,
        }))
    }

    #[test]
    fn the_largest_honest_messages_pass() {
        let hello = v1::Hello {
            streams: vec![v1::StreamState::default(); 257],
            cursors: vec![v1::StreamCursor::default(); 257],
            features: vec!["feature".to_owned(); 256],
            tags: (0..65_536).collect(),
            ..v1::Hello::default()
        };
        assert!(of(&message(Body::Hello(hello))) < MEMORY_MAX / 4);
        let receipt = v1::Receipt {
            parked: vec![u64::MAX; 64],
            ..v1::Receipt::default()
        };
        let receipts = v1::Receipts {
            receipts: vec![receipt; 257],
            applied_mark_us: 0,
        };
        assert!(of(&message(Body::Receipts(receipts))) < MEMORY_MAX / 4);
        let want = v1::Want {
            hashes: vec![vec![8; 32].into(); 1_024],
            ..v1::Want::default()
        };
        let want = v1::ContentMessage {
            request: 1,
            body: Some(v1::content_message::Body::Want(want)),
            crc32: 0,
        };
        let bytes = seal(&want);
        assert!(weight(&bytes, v1::ContentMessage::FIELDS) < MEMORY_MAX / 4);
    }

    #[test]
    fn a_frame_of_small_entries_with_a_context_each_passes() {
        let entry = |seq| JournalEntry::new(seq, 256, 2, 50, 0, OpKind::Noop, Vec::new());
        let mut batch = EntryBatch::new(2, (1..=1_024).map(entry).collect(), 1);
        let actors = (3..9).map(|site| (Actor::new(site, u64::MAX), 7));
        let seen: crate::journal::Seen = actors.collect();
        let run = |first_seq| SeenRun {
            first_seq,
            seen: seen.clone(),
        };
        batch.seen_runs = (1..=1_024).map(run).collect();
        let weight = of(&frame(batch_to_proto(&batch)));
        assert!(weight < MEMORY_MAX / 4, "{weight}");
    }

    #[test]
    fn a_message_that_would_grow_when_decoded_is_refused_before() {
        let of_batch = |batch: v1::Batch| frame(batch);
        let mut packed = bytes::BytesMut::new();
        let small = JournalEntry::new(1, 256, 2, 50, 0, OpKind::Noop, Vec::new());
        for _ in 0..100_000 {
            pack_entry(&mut packed, &encode_entry(&small));
        }
        let run = v1::SeenRun {
            seen: vec![v1::ActorSeq::default(); 1_000_000],
            ..v1::SeenRun::default()
        };
        let receipt = v1::Receipt {
            parked: vec![1; 3_000_000],
            ..v1::Receipt::default()
        };
        let messages = [
            message(Body::Frame(v1::Frame {
                batches: vec![v1::Batch::default(); 1_500_000],
                mark_us: 0,
            })),
            of_batch(v1::Batch {
                seen_runs: vec![v1::SeenRun::default(); 1_500_000],
                ..v1::Batch::default()
            }),
            of_batch(v1::Batch {
                seen_runs: vec![run],
                ..v1::Batch::default()
            }),
            of_batch(v1::Batch {
                entries: Bytes::from(packed),
                ..v1::Batch::default()
            }),
            message(Body::Receipts(v1::Receipts {
                receipts: vec![receipt],
                applied_mark_us: 0,
            })),
            message(Body::Hello(v1::Hello {
                tags: vec![1; 3_500_000],
                ..v1::Hello::default()
            })),
        ];
        for bytes in messages {
            assert!(bytes.len() < 4 << 20, "the limit on bytes lets it pass");
            assert!(of(&bytes) > MEMORY_MAX);
            let opened: Result<v1::ReplicateMessage, Status> = open(bytes.into());
            assert!(opened.is_err_and(|status| status.code() == tonic::Code::ResourceExhausted));
        }
    }
}
