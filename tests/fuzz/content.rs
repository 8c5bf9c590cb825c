//! What a peer sends on the content stream.

use claudefs_repl::conduit::content::{self, Answer, Body, CHUNK_BYTES_MAX, HASHES_MAX};
use claudefs_repl::conduit::wire::MESSAGE_BYTES_MAX;
use claudefs_repl::proto::v1;

use super::input::stretched;
use super::message::from_stream;
use super::within;

/// Any message.
pub(super) fn content(bytes: &[u8]) -> bool {
    let bytes = stretched(bytes, MESSAGE_BYTES_MAX);
    if bytes.len() > MESSAGE_BYTES_MAX {
        return false;
    }
    let limit = MESSAGE_BYTES_MAX + bytes.len() + 8 * 1024;
    let taken = within(limit, || {
        let message: v1::ContentMessage = from_stream(&bytes)?;
        content::decode(message).ok()
    });
    let Some(message) = taken else {
        return false;
    };
    match &message.body {
        Body::Want(want) => assert!(want.hashes.len() <= HASHES_MAX),
        Body::Answer(Answer::Chunk { bytes, .. }) => assert!(bytes.len() <= CHUNK_BYTES_MAX),
        Body::Answer(_) | Body::Unknown => {}
    }
    let again = content::decode(content::encode(message.clone()));
    assert_eq!(again.expect("what was taken is taken again"), message);
    true
}
