//! Content on demand: one side wants chunks of a version, the other answers; both directions on one stream.
//!
//! A chunk is handed out only if it was wanted and hashes to its name, so a peer cannot make us keep anything else.
//! What waits for a slow consumer is bounded in requests and bytes; beyond that the stream is not read, and HTTP/2
//! holds the peer back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::peer::TransportError;
use crate::daemon::tasks::Tasks;
use crate::error::{ReplError, Result};
use crate::journal::dot::Actor;
use crate::topology::SiteId;

mod codec;
mod run;

pub use codec::{decode, encode};

/// Requests of one side that may be open at once, and that one side answers at once.
pub const REQUESTS_MAX: usize = 64;
/// Hashes of one request.
pub const HASHES_MAX: usize = 1_024;
/// Largest chunk or manifest node. The message around it must stay below [`super::wire::MESSAGE_BYTES_MAX`].
pub const CHUNK_BYTES_MAX: usize = super::wire::MESSAGE_BYTES_MAX - 1_024;
/// Bytes that wait for all consumers of one link together.
pub const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Answers that wait for one consumer.
const ANSWERS_MAX: usize = 8;
/// Unit of the byte budget: fine enough for small chunks, coarse enough for the counter.
const BUDGET_UNIT: usize = 1_024;

/// blake3 of a chunk or an encoded manifest node.
pub type ChunkHash = [u8; 32];

/// Asks for pieces of one version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Logical inode.
    pub inode: u64,
    /// Who wrote the version.
    pub actor: Actor,
    /// Its seq in the inode's stream.
    pub seq: u64,
    /// Root of its manifest.
    pub manifest_root: ChunkHash,
    /// Which chunks or manifest nodes, at most [`HASHES_MAX`]. Empty: the root manifest.
    pub hashes: Vec<ChunkHash>,
}

/// An answer to a [`Want`]; all but the chunk are the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// One piece, verified against its hash.
    Chunk {
        /// blake3 of the bytes.
        hash: ChunkHash,
        /// The bytes.
        bytes: Bytes,
    },
    /// The version is no longer on any disk of the answering site.
    Gone {
        /// What took its place there. None: nothing, the content is lost there.
        superseded_by: Option<(Actor, u64)>,
    },
    /// The file is changing or the site is overloaded.
    Busy {
        /// When to ask again.
        retry_after_ms: u32,
    },
    /// Answered in full.
    Done,
}

/// What a [`ContentServer`] says at the end of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All that was wanted was sent.
    Done,
    /// See [`Answer::Gone`].
    Gone {
        /// What took its place.
        superseded_by: Option<(Actor, u64)>,
    },
    /// See [`Answer::Busy`].
    Busy {
        /// When to ask again.
        retry_after_ms: u32,
    },
}

/// Answers what other sites want. Called in a task of its own for each request.
#[tonic::async_trait]
pub trait ContentServer: Send + Sync {
    /// Sends the pieces that `want` names and says how it ended.
    async fn answer(&self, peer: SiteId, want: Want, chunks: &ChunkSender) -> Verdict;
}

/// Takes the pieces of one request.
#[derive(Debug)]
pub struct ChunkSender {
    request: u64,
    outgoing: mpsc::Sender<ContentMessage>,
}

impl ChunkSender {
    /// Sends one piece; waits for the transport.
    ///
    /// # Errors
    /// [`ReplError::Serialization`] above [`CHUNK_BYTES_MAX`], [`ReplError::NetworkError`] when nobody wants it any
    /// more.
    pub async fn send(&self, hash: ChunkHash, bytes: Bytes) -> Result<()> {
        if bytes.len() > CHUNK_BYTES_MAX {
            let reason = format!("{} bytes are above {CHUNK_BYTES_MAX}", bytes.len());
            return Err(ReplError::serialization("chunk", reason));
        }
        let body = Body::Answer(Answer::Chunk { hash, bytes });
        let message = ContentMessage {
            request: self.request,
            body,
        };
        let sent = self.outgoing.send(message).await;
        sent.map_err(|_| ReplError::network("content", "connection lost"))
    }
}

/// One message of the content stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentMessage {
    /// Number that the asking side gave to the request.
    pub request: u64,
    /// What it says.
    pub body: Body,
}

/// What a content message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Asks.
    Want(Want),
    /// Answers.
    Answer(Answer),
    /// A kind that this build does not know; skipped.
    Unknown,
}

/// One content stream as it comes from gRPC or from within the process.
#[derive(Debug)]
pub struct ContentTransport {
    /// To the peer.
    pub outgoing: mpsc::Sender<ContentMessage>,
    /// From the peer; nothing follows an error.
    pub incoming: mpsc::Receiver<Result<ContentMessage, TransportError>>,
}

/// A request on its way to the loop.
#[derive(Debug)]
struct Ask {
    want: Want,
    answers: mpsc::Sender<Waiting>,
}

/// An answer that waits for its consumer, with its part of the byte budget.
#[derive(Debug)]
struct Waiting {
    answer: Answer,
    _budget: Option<OwnedSemaphorePermit>,
}

/// Asks one site for content. Clones share the limits.
#[derive(Clone)]
pub struct ContentLink {
    remote_site_id: SiteId,
    asks: mpsc::Sender<Ask>,
    slots: Arc<Semaphore>,
}

impl fmt::Debug for ContentLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentLink")
            .field("remote_site_id", &self.remote_site_id)
            .field("free_requests", &self.slots.available_permits())
            .finish_non_exhaustive()
    }
}

impl ContentLink {
    /// Asks for content; waits while [`REQUESTS_MAX`] requests are open. Dropping the answers gives the request up.
    ///
    /// # Errors
    /// [`ReplError::Serialization`] above [`HASHES_MAX`], [`ReplError::Shutdown`] after the end.
    pub async fn want(&self, want: Want) -> Result<Answers> {
        if want.hashes.len() > HASHES_MAX {
            let reason = format!("{} hashes are above {HASHES_MAX}", want.hashes.len());
            return Err(ReplError::serialization("want", reason));
        }
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let slot = slot.map_err(|_| ReplError::Shutdown)?;
        let (answers, answered) = mpsc::channel(ANSWERS_MAX);
        let asked = self.asks.send(Ask { want, answers }).await;
        asked.map_err(|_| ReplError::Shutdown)?;
        Ok(Answers {
            remote_site_id: self.remote_site_id,
            answered,
            over: false,
            _slot: slot,
        })
    }
}

/// The answers to one request.
#[derive(Debug)]
pub struct Answers {
    remote_site_id: SiteId,
    answered: mpsc::Receiver<Waiting>,
    over: bool,
    _slot: OwnedSemaphorePermit,
}

impl Answers {
    /// The next answer. None after the last one. Cancel-safe.
    ///
    /// # Errors
    /// [`ReplError::NetworkError`] when the connection ended before the request did; ask again on the next one.
    pub async fn next(&mut self) -> Result<Option<Answer>> {
        if self.over {
            return Ok(None);
        }
        let Some(waiting) = self.answered.recv().await else {
            self.over = true;
            let peer = format!("site {}", self.remote_site_id);
            return Err(ReplError::network(peer, "content connection lost"));
        };
        self.over = !matches!(waiting.answer, Answer::Chunk { .. });
        Ok(Some(waiting.answer))
    }
}

/// Starts the content loop of one peer. The sender takes the stream of each connection; requests go to the newest,
/// and those of a stream that ends fail.
pub fn spawn(
    tasks: &Tasks,
    remote_site_id: SiteId,
    server: Arc<dyn ContentServer>,
) -> (ContentLink, mpsc::Sender<ContentTransport>) {
    let (asks, asked) = mpsc::channel(1);
    let (transports, connected) = mpsc::channel(1);
    let link = ContentLink {
        remote_site_id,
        asks,
        slots: Arc::new(Semaphore::new(REQUESTS_MAX)),
    };
    let content = run::Content::new(tasks, remote_site_id, server, asked, connected);
    tasks.spawn(format!("content of site {remote_site_id}"), content.run());
    (link, transports)
}

#[cfg(test)]
mod tests;
