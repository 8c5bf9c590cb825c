//! Gives other sites what they want of this tree, and says what became of what is not there.
//!
//! A file that does not hold what was journaled is looked at before anything is said: what took the version's place is
//! then in the journal, and the answer names it. Only a site that does not claim to have the bytes says that they are
//! gone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::conduit::content::{ChunkSender, ContentServer, Verdict, Want};
use crate::content::manifest::BlobHash;
use crate::error::{ReplError, Result};
use crate::journal::dot::{Dot, shard_of};
use crate::journal::op::ManifestRoot;
use crate::sync::engine::Handle;
use crate::sync::fate::Fate;
use crate::topology::SiteId;
use crate::tree::look::Looker;
use crate::tree::root::Root;
use crate::tree::serve::{Served, Server};

/// Pieces read from the tree at once for another site: 4 MiB at most.
const SERVED_MAX: usize = 16;
/// When to ask again for a version that could not be read.
const BUSY_MS: u32 = 500;
/// How long an answer waits for the connector to look at a file. It may be in the middle of a large batch; the other
/// site then asks again.
const LOOK_MAX: Duration = Duration::from_secs(5);

const BUSY: Verdict = Verdict::Busy {
    retry_after_ms: BUSY_MS,
};

/// Reads what other sites want from the tree and its trash.
pub(in crate::daemon) struct TreeContent {
    root: Arc<Root>,
    engine: Handle,
    looker: Looker,
    server: Arc<Mutex<Server>>,
}

/// A version that is wanted.
#[derive(Debug, Clone, Copy)]
struct Version {
    inode: u64,
    dot: Dot,
    root: ManifestRoot,
}

impl TreeContent {
    /// Content of the tree under `root`, which `looker` has looked at.
    pub(in crate::daemon) fn new(root: Arc<Root>, engine: Handle, looker: Looker) -> Self {
        let server = Arc::default();
        Self {
            root,
            engine,
            looker,
            server,
        }
    }

    async fn read(&self, version: Version, hashes: Vec<BlobHash>) -> Result<Served> {
        let (root, server) = (Arc::clone(&self.root), Arc::clone(&self.server));
        let mut engine = self.engine.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
            server.serve(&mut engine, &root, version.inode, version.root, &hashes)
        });
        read.await.map_err(|_| ReplError::Shutdown)?
    }

    /// What is said of a version that is not here; `shown`: the tree should show it.
    async fn missing(&self, version: Version, shown: bool) -> Result<Verdict> {
        let Version { inode, dot, .. } = version;
        if let Fate::Superseded { by } = self.engine.ask(move |e| e.fate(inode, dot)).await? {
            return Ok(gone(Some(by)));
        }
        if !shown {
            return Ok(gone(None));
        }
        let looker = self.looker.clone();
        let looked = tokio::task::spawn_blocking(move || looker.look(inode, LOOK_MAX));
        let looked = looked.await.map_err(|_| ReplError::Shutdown)?;
        Ok(match self.engine.ask(move |e| e.fate(inode, dot)).await? {
            Fate::Superseded { by } => gone(Some(by)),
            Fate::Counts | Fate::Unknown => {
                tracing::debug!(inode, looked, "content cannot be read now");
                BUSY
            }
        })
    }
}

const fn gone(by: Option<Dot>) -> Verdict {
    let superseded_by = match by {
        Some(by) => Some((by.actor, by.seq)),
        None => None,
    };
    Verdict::Gone { superseded_by }
}

#[tonic::async_trait]
impl ContentServer for TreeContent {
    async fn answer(&self, _peer: SiteId, want: Want, chunks: &ChunkSender) -> Verdict {
        let version = Version {
            inode: want.inode,
            dot: Dot::new(want.actor, shard_of(want.inode), want.seq),
            root: ManifestRoot(want.manifest_root),
        };
        let wanted = if want.hashes.is_empty() {
            vec![want.manifest_root]
        } else {
            want.hashes
        };
        let hashes: Vec<BlobHash> = wanted.into_iter().map(BlobHash).collect();
        for some in hashes.chunks(SERVED_MAX) {
            let missing = match self.read(version, some.to_vec()).await {
                Ok(Served::Found(blobs)) => {
                    for (hash, bytes) in some.iter().zip(blobs) {
                        if chunks.send(hash.0, bytes).await.is_err() {
                            return BUSY;
                        }
                    }
                    continue;
                }
                Ok(Served::Changed) => self.missing(version, true).await,
                Ok(Served::Gone) => self.missing(version, false).await,
                Err(error) => Err(error),
            };
            return missing.unwrap_or_else(|error| {
                tracing::warn!(%error, "content cannot be read now");
                BUSY
            });
        }
        Verdict::Done
    }
}
