//! Content messages to protobuf and back; sizes are checked before anything is kept.

use super::*;
use crate::conduit::codec::Weighed;
use crate::journal::codec::{Field, Inside, actor_from_proto, actor_to_proto, hash_from_proto};
use crate::proto::v1;
use v1::content_message::Body as Proto;

/// A wanted hash: as bytes of the message, and as ours.
const HASH_BYTES: usize = size_of::<Bytes>() + size_of::<ChunkHash>();

impl Weighed for v1::ContentMessage {
    const FIELDS: &'static [Field] =
        &[(2, Inside::Items(0, &[(5, Inside::Items(HASH_BYTES, &[]))]))];
}

/// The message as protobuf.
#[must_use]
pub fn encode(message: ContentMessage) -> v1::ContentMessage {
    let hash = |hash: &ChunkHash| Bytes::copy_from_slice(hash);
    let body = match message.body {
        Body::Unknown => None,
        Body::Want(want) => Some(Proto::Want(v1::Want {
            inode: want.inode,
            actor: Some(actor_to_proto(want.actor)),
            seq: want.seq,
            manifest_root: hash(&want.manifest_root),
            hashes: want.hashes.iter().map(hash).collect(),
        })),
        Body::Answer(Answer::Chunk { hash: name, bytes }) => Some(Proto::Chunk(v1::Chunk {
            hash: hash(&name),
            size: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            data: bytes,
            packing: v1::Packing::None.into(),
        })),
        Body::Answer(Answer::Gone { superseded_by }) => Some(Proto::Gone(v1::Gone {
            superseded_by: superseded_by.map(|(actor, seq)| v1::ActorSeq {
                actor: Some(actor_to_proto(actor)),
                seq,
            }),
        })),
        Body::Answer(Answer::Busy { retry_after_ms }) => {
            Some(Proto::Busy(v1::Busy { retry_after_ms }))
        }
        Body::Answer(Answer::Done) => Some(Proto::Done(v1::Done {})),
    };
    v1::ContentMessage {
        request: message.request,
        body,
        // The codec puts it behind everything.
        crc32: 0,
    }
}

/// The message of protobuf.
///
/// # Errors
/// [`ReplError::Serialization`] when a size or a hash is outside its range; the stream is then closed.
pub fn decode(message: v1::ContentMessage) -> Result<ContentMessage> {
    let body = match message.body {
        None => Body::Unknown,
        Some(Proto::Want(want)) => Body::Want(want_from_proto(want)?),
        Some(Proto::Chunk(chunk)) => Body::Answer(chunk_from_proto(chunk)?),
        Some(Proto::Gone(gone)) => Body::Answer(Answer::Gone {
            superseded_by: match gone.superseded_by {
                None => None,
                Some(by) => Some((actor_from_proto(by.actor)?, by.seq)),
            },
        }),
        Some(Proto::Busy(busy)) => Body::Answer(Answer::Busy {
            retry_after_ms: busy.retry_after_ms,
        }),
        Some(Proto::Done(_)) => Body::Answer(Answer::Done),
    };
    Ok(ContentMessage {
        request: message.request,
        body,
    })
}

fn want_from_proto(want: v1::Want) -> Result<Want> {
    if want.hashes.len() > HASHES_MAX {
        return Err(refused("want", format!("more than {HASHES_MAX} hashes")));
    }
    let hashes = want.hashes.iter().map(|hash| named(hash));
    Ok(Want {
        inode: want.inode,
        actor: actor_from_proto(want.actor)?,
        seq: want.seq,
        manifest_root: hash_from_proto("manifest root", &want.manifest_root)?,
        hashes: hashes.collect::<Result<_>>()?,
    })
}

fn chunk_from_proto(chunk: v1::Chunk) -> Result<Answer> {
    let size = usize::try_from(chunk.size).unwrap_or(usize::MAX);
    if size > CHUNK_BYTES_MAX || chunk.data.len() > CHUNK_BYTES_MAX {
        return Err(refused(
            "chunk",
            format!("{size} bytes are above {CHUNK_BYTES_MAX}"),
        ));
    }
    match chunk.packing() {
        v1::Packing::None => {}
        v1::Packing::Zstd => return Err(refused("chunk", "is packed, which was not agreed")),
    }
    if chunk.data.len() != size {
        let got = chunk.data.len();
        return Err(refused(
            "chunk",
            format!("{got} bytes, {size} were declared"),
        ));
    }
    Ok(Answer::Chunk {
        hash: named(&chunk.hash)?,
        bytes: chunk.data,
    })
}

/// A hash that must be there.
fn named(hash: &[u8]) -> Result<ChunkHash> {
    if hash.is_empty() {
        return Err(refused("chunk hash", "is missing"));
    }
    hash_from_proto("chunk hash", hash)
}

fn refused(what: &'static str, reason: impl Into<String>) -> ReplError {
    ReplError::serialization(what, reason)
}
