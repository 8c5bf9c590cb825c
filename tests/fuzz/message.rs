//! What a peer sends on the replicate stream, through the codec of the service and the decoding behind it.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::{BufMut as _, Bytes, BytesMut};
use claudefs_repl::conduit::codec::Codec;
use claudefs_repl::conduit::message::Message;
use claudefs_repl::conduit::wire::{self, Incoming, MESSAGE_BYTES_MAX};
use claudefs_repl::journal::EntryBatch;
use claudefs_repl::journal::codec::{batch_from_proto, batch_to_proto};
use claudefs_repl::proto::v1;
use http_body_util::Full;
use prost::Message as _;
use tonic::Streaming;
use tonic::codec::Codec as _;

use super::input::stretched;
use super::within;

/// The first message in `bytes`, as the service takes it from a stream.
pub(super) fn from_stream<M>(bytes: &Bytes) -> Option<M>
where
    M: prost::Message + Default + Send + 'static,
    Codec<M, M>: tonic::codec::Codec<Decode = M>,
{
    let mut framed = BytesMut::with_capacity(10 + bytes.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(bytes.len() + 5).ok()?);
    framed.put_slice(bytes);
    // The field `crc32`, which no fuzzer would guess.
    framed.put_u8(15 << 3 | 5);
    framed.put_u32_le(crc32fast::hash(bytes));
    let decoder = Codec::<M, M>::default().decoder();
    let body = Full::new(framed.freeze());
    let mut stream = Streaming::new_request(decoder, body, None, Some(MESSAGE_BYTES_MAX));
    let next = pin!(stream.message());
    // All of it is there, so nothing is waited for.
    match next.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(message) => message.ok().flatten(),
        Poll::Pending => panic!("the stream waits for more than there is"),
    }
}

/// The message in `bytes`, if it is taken.
pub(super) fn incoming(bytes: &Bytes) -> Option<Incoming> {
    if bytes.len() + 5 > MESSAGE_BYTES_MAX {
        return None;
    }
    // Beside what is decoded there are the bytes, and a copy of them in the stream.
    let limit = MESSAGE_BYTES_MAX + bytes.len() + 8 * 1024;
    within(limit, || {
        let message: v1::ReplicateMessage = from_stream(bytes)?;
        wire::decode(message).ok()
    })
}

/// Any message.
pub(super) fn message(bytes: &[u8]) -> bool {
    let Some(taken) = incoming(&stretched(bytes, MESSAGE_BYTES_MAX)) else {
        return false;
    };
    let Some(message) = &taken.message else {
        return false;
    };
    sent_again(message);
    true
}

/// A batch, in a frame.
pub(super) fn batch(bytes: &[u8]) -> bool {
    let inner = stretched(bytes, MESSAGE_BYTES_MAX);
    let mut framed = inner;
    for tag in [1_u8, 2] {
        let mut outer = BytesMut::with_capacity(framed.len() + 8);
        outer.put_u8(tag << 3 | 2);
        prost::encoding::encode_varint(framed.len() as u64, &mut outer);
        outer.put_slice(&framed);
        framed = outer.freeze();
    }
    let Some(taken) = incoming(&framed) else {
        return false;
    };
    let Some(Message::Frame(frame)) = &taken.message else {
        panic!("a frame became something else: {taken:?}");
    };
    assert!(frame.batches.len() + taken.refused.len() <= 1);
    for batch in &frame.batches {
        anew(batch);
    }
    frame.batches.iter().any(|batch| !batch.entries.is_empty())
}

/// What was taken and is sent again is the same.
fn sent_again(message: &Message) {
    let bytes: Bytes = wire::encode(message).encode_to_vec().into();
    let decoded = v1::ReplicateMessage::decode(bytes).expect("what was encoded decodes");
    let again = wire::decode(decoded).expect("what was taken is taken again");
    assert_eq!(again.message.as_ref(), Some(message));
}

/// A batch that was taken keeps its rules, and is the same when its entries are encoded anew.
fn anew(batch: &EntryBatch) {
    if batch.first == 0 {
        return;
    }
    batch.validate().expect("a batch that was taken is valid");
    let mut bare = batch.clone();
    bare.raw = Bytes::new();
    let again = batch_from_proto(batch_to_proto(&bare)).expect("what was taken is taken again");
    assert_eq!(again.entries, batch.entries);
    assert_eq!(again.seen_runs, batch.seen_runs);
}
