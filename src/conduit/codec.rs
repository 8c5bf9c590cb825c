//! Protobuf as gRPC carries it, less what was damaged on its way and the messages that grow when they are decoded.
//!
//! TLS answers for the bytes between two sockets, and nothing for those in front of and behind them. A receipt with one
//! other bit would have the journal trimmed that the peer still needs, a mark would promise what was never sent, and
//! the crc of an entry covers neither its clock nor its context. So every message ends with the crc of its own bytes.
//!
//! An empty message inside a list takes two bytes on the wire and some hundred in memory: four megabytes of them, which
//! the limit on bytes lets pass, would become several hundred. So the fields are counted before anything is decoded,
//! in the message and in those right inside it. What lies deeper is bytes there and is checked where it is decoded.

use std::fmt;
use std::marker::PhantomData;

use bytes::{Buf as _, BufMut as _, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec as GrpcCodec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::failpoint;

/// Most fields of a message and those inside it. A hello has the most: 257 streams, 257 cursors, 256 features.
pub const FIELDS_MAX: usize = 4_096;
/// Key of the field `crc32`: number 15, four bytes.
const SEAL_KEY: u8 = 15 << 3 | 5;
/// The field with its key.
const SEAL_BYTES: usize = 5;

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
    U: Message + Default + Send + 'static,
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

impl<U: Message + Default> Decoder for Checking<U> {
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
/// `DATA_LOSS`: it was damaged. `RESOURCE_EXHAUSTED`: more than [`FIELDS_MAX`] fields. `INTERNAL`: it does not decode.
pub fn open<U: Message + Default>(bytes: Bytes) -> Result<U, Status> {
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
    if count(&bytes, 1) > FIELDS_MAX {
        let limit = format!("a message of more than {FIELDS_MAX} fields");
        return Err(Status::resource_exhausted(limit));
    }
    U::decode(bytes).map_err(|error| Status::internal(error.to_string()))
}

/// Fields of the message in `bytes` itself, counted no further than [`FIELDS_MAX`].
#[must_use]
pub fn fields(bytes: &[u8]) -> usize {
    count(bytes, 0)
}

/// Fields of the message in `bytes`, and of those inside it down to `depth`. Where the bytes are no message any more the
/// count ends, because the decoder will say so.
fn count(mut bytes: &[u8], depth: u32) -> usize {
    let mut fields = 0;
    while !bytes.is_empty() && fields <= FIELDS_MAX {
        fields += 1;
        let Ok(key) = prost::encoding::decode_varint(&mut bytes) else {
            return fields;
        };
        let length = match key & 7 {
            0 => {
                if prost::encoding::decode_varint(&mut bytes).is_err() {
                    return fields;
                }
                0
            }
            1 => 8,
            2 => match prost::encoding::decode_varint(&mut bytes) {
                Ok(length) => usize::try_from(length).unwrap_or(usize::MAX),
                Err(_) => return fields,
            },
            5 => 4,
            _ => return fields,
        };
        let Some((field, rest)) = bytes.split_at_checked(length) else {
            return fields;
        };
        if key & 7 == 2 && depth > 0 {
            fields += count(field, depth - 1);
        }
        bytes = rest;
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn the_largest_honest_messages_pass() {
        let hello = v1::Hello {
            streams: vec![v1::StreamState::default(); 257],
            cursors: vec![v1::StreamCursor::default(); 257],
            features: vec!["feature".to_owned(); 256],
            tags: (0..65_536).collect(),
            ..v1::Hello::default()
        };
        let fields = count(&message(Body::Hello(hello)), 1);
        assert!((770..1_000).contains(&fields), "{fields}");
        let want = v1::Want {
            hashes: vec![vec![8; 32].into(); 1_024],
            ..v1::Want::default()
        };
        let want = v1::ContentMessage {
            request: 1,
            body: Some(v1::content_message::Body::Want(want)),
            crc32: 0,
        };
        assert!(count(&seal(&want), 1) < FIELDS_MAX);
    }

    #[test]
    fn a_message_that_would_grow_when_decoded_is_refused_before() {
        let frame = v1::Frame {
            batches: vec![v1::Batch::default(); 2_000_000],
            mark_us: 0,
        };
        let bytes = message(Body::Frame(frame));
        assert!(bytes.len() < 4 << 20, "the limit on bytes lets it pass");
        assert!(count(&bytes, 1) > FIELDS_MAX);
        let opened: Result<v1::ReplicateMessage, Status> = open(bytes.into());
        assert!(opened.is_err_and(|status| status.code() == tonic::Code::ResourceExhausted));
    }

    proptest::proptest! {
        #[test]
        fn counting_arbitrary_bytes_never_panics(bytes in proptest::collection::vec(0u8.., 0..300)) {
            proptest::prop_assert!(count(&bytes, 1) <= 2 * bytes.len());
        }
    }
}
