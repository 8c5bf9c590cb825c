//! Protobuf as gRPC carries it, less the messages that grow when they are decoded.
//!
//! An empty message inside a list takes two bytes on the wire and some hundred in memory: four megabytes of them, which
//! the limit on bytes lets pass, would become several hundred. So the fields are counted before anything is decoded,
//! in the message and in those right inside it. What lies deeper is bytes there and is checked where it is decoded.

use std::fmt;
use std::marker::PhantomData;

use bytes::Buf as _;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec as GrpcCodec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// Most fields of a message and those inside it. A hello has the most: 257 streams, 257 cursors, 256 features.
pub const FIELDS_MAX: usize = 4_096;

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

impl<U: Message + Default> Decoder for Counting<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if count(source.chunk(), 1) > FIELDS_MAX {
            let limit = format!("a message of more than {FIELDS_MAX} fields");
            return Err(Status::resource_exhausted(limit));
        }
        self.0.decode(source)
    }
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

    fn message(body: Body) -> Vec<u8> {
        v1::ReplicateMessage { body: Some(body) }.encode_to_vec()
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
        };
        assert!(count(&want.encode_to_vec(), 1) < FIELDS_MAX);
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
    }

    proptest::proptest! {
        #[test]
        fn counting_arbitrary_bytes_never_panics(bytes in proptest::collection::vec(0u8.., 0..300)) {
            proptest::prop_assert!(count(&bytes, 1) <= 2 * bytes.len());
        }
    }
}
