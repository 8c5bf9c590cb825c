//! Protobuf as gRPC carries it, less the messages that grow when they are decoded.
//!
//! An empty message inside a list takes two bytes on the wire and some hundred in memory: four megabytes of them, which
//! the limit on bytes lets pass, would become several hundred. So what a message will take, and what is made of it, is
//! counted before anything is decoded.

use std::fmt;
use std::marker::PhantomData;

use bytes::Buf as _;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec as GrpcCodec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::journal::codec::{Field, weight};

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
    type Encoder = ProstEncoder<T>;
    type Decoder = Counting<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Counting(ProstCodec::<T, U>::default().decoder())
    }
}

/// Counts, then decodes.
#[derive(Debug)]
pub struct Counting<U>(ProstDecoder<U>);

impl<U: Weighed> Decoder for Counting<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let limit = U::MEMORY_MAX;
        if weight(source.chunk(), U::FIELDS) > limit {
            let limit = format!("a message that takes more than {limit} bytes of memory");
            return Err(Status::resource_exhausted(limit));
        }
        self.0.decode(source)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::journal::codec::{batch_to_proto, encode_entry, pack_entry};
    use crate::journal::{Actor, EntryBatch, JournalEntry, OpKind, SeenRun};
    use crate::proto::v1;
    use v1::replicate_message::Body;

    fn message(body: Body) -> Vec<u8> {
        v1::ReplicateMessage { body: Some(body) }.encode_to_vec()
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
        };
        let bytes = want.encode_to_vec();
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
        }
    }
}
