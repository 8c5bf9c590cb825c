//! Content between sites: what is missing here is fetched into the state folder, what others miss is read from the tree.
//!
//! Fetched pieces are kept by version until nobody has looked at the version for a minute; they are hashed on arrival
//! and again by the connector, and are gone after a restart, when the connector asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::tasks::Tasks;
use crate::clock::SharedClock;
use crate::conduit::content::{Answer, ChunkSender, ContentLink, ContentServer, Verdict, Want};
use crate::content::manifest::BlobHash;
use crate::content::{ContentSource, ContentVersion, Fetch};
use crate::error::{ReplError, Result};
use crate::journal::op::ManifestRoot;
use crate::sync::engine::Handle;
use crate::topology::SiteId;
use crate::tree::root::Root;
use crate::tree::serve::{Served, Server};
use crate::tree::wake::Waker;

/// Requests of the connector that wait for the fetcher.
const REQUESTS_MAX: usize = 1_024;
/// Pieces asked for in one message.
const PIECES_MAX: usize = 64;
/// Pieces read from the tree at once for another site: 4 MiB at most.
const SERVED_MAX: usize = 16;
/// How long pieces of a version are kept after the last look at them.
const KEEP: Duration = Duration::from_secs(60);
/// When to ask again for a version that could not be read.
const BUSY_MS: u32 = 500;

/// What is fetched and what is under way.
#[derive(Debug, Default)]
struct Shelf {
    looked_at: BTreeMap<ContentVersion, Duration>,
    under_way: BTreeSet<(ContentVersion, BlobHash)>,
    gone: BTreeMap<ContentVersion, Duration>,
    /// Something arrived that the connector has not heard of.
    has_news: bool,
}

/// The connector's side: pieces that are here, and a queue for those that are not.
#[derive(Debug, Clone)]
pub(super) struct Fetcher {
    dir: PathBuf,
    clock: SharedClock,
    shelf: Arc<Mutex<Shelf>>,
    requests: mpsc::Sender<(ContentVersion, Vec<BlobHash>)>,
    /// Called when something arrived.
    waker: Waker,
}

/// Requests of the connector: pieces of a version.
pub(super) type Requests = mpsc::Receiver<(ContentVersion, Vec<BlobHash>)>;

/// Where requests are answered.
pub(super) type Links = Arc<BTreeMap<SiteId, ContentLink>>;

impl Fetcher {
    /// A fetcher that keeps pieces in `dir`, emptied at the start, and the queue for [`Fetcher::run`].
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(super) fn new(dir: PathBuf, clock: SharedClock, waker: Waker) -> Result<(Self, Requests)> {
        if dir.exists() {
            std::fs::remove_dir_all(&dir).map_err(|e| ReplError::io("empty", &dir, e))?;
        }
        std::fs::create_dir_all(&dir).map_err(|e| ReplError::io("create", &dir, e))?;
        let (requests, queue) = mpsc::channel(REQUESTS_MAX);
        Ok((
            Self {
                dir,
                clock,
                shelf: Arc::default(),
                requests,
                waker,
            },
            queue,
        ))
    }

    /// Fetches what is asked for until `tasks` ends.
    pub(super) async fn run(self, tasks: Tasks, links: Links, mut queue: Requests) {
        let mut sweep = tokio::time::interval(KEEP);
        loop {
            tokio::select! {
                () = tasks.token().cancelled() => return,
                _ = sweep.tick() => self.sweep(),
                asked = queue.recv() => {
                    let Some((version, hashes)) = asked else { return };
                    for hashes in hashes.chunks(PIECES_MAX) {
                        let one = self.clone();
                        let (hashes, links) = (hashes.to_vec(), Arc::clone(&links));
                        tasks.spawn("fetch content", async move {
                            one.fetch_from_any(&links, version, hashes).await;
                        });
                    }
                }
            }
        }
    }

    /// Asks the site that wrote the version first, then the others.
    async fn fetch_from_any(&self, links: &Links, version: ContentVersion, hashes: Vec<BlobHash>) {
        let origin = version.dot.actor.site_id;
        let first = links.get(&origin);
        let others = links
            .iter()
            .filter(|(site, _)| **site != origin)
            .map(|(_, link)| link);
        let mut all_gone = first.is_some() || !links.is_empty();
        let mut is_answered = false;
        for link in first.into_iter().chain(others) {
            match self.fetch_from(link, version, &hashes).await {
                Ok(Fetched::All) => {
                    (all_gone, is_answered) = (false, true);
                    break;
                }
                Ok(Fetched::Gone) => {}
                Ok(Fetched::Later) => all_gone = false,
                Err(error) => {
                    all_gone = false;
                    tracing::debug!(%error, "content is asked for again later");
                }
            }
        }
        let now = self.clock.monotonic();
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        for hash in hashes {
            shelf.under_way.remove(&(version, hash));
        }
        if all_gone {
            shelf.gone.insert(version, now);
        }
        let is_news = is_answered || all_gone;
        shelf.has_news |= is_news;
        drop(shelf);
        if is_news {
            self.waker.wake();
        }
    }

    async fn fetch_from(
        &self,
        link: &ContentLink,
        version: ContentVersion,
        hashes: &[BlobHash],
    ) -> Result<Fetched> {
        let want = Want {
            inode: version.inode,
            actor: version.dot.actor,
            seq: version.dot.seq,
            manifest_root: version.root.0,
            hashes: hashes.iter().map(|hash| hash.0).collect(),
        };
        let mut answers = link.want(want).await?;
        while let Some(answer) = answers.next().await? {
            match answer {
                Answer::Chunk { hash, bytes } => self.put(&version, &BlobHash(hash), &bytes)?,
                Answer::Done => return Ok(Fetched::All),
                Answer::Gone { .. } => return Ok(Fetched::Gone),
                Answer::Busy { .. } => return Ok(Fetched::Later),
            }
        }
        Ok(Fetched::Later)
    }

    fn put(&self, version: &ContentVersion, hash: &BlobHash, bytes: &Bytes) -> Result<()> {
        let dir = self.version_dir(version);
        let failed = |e: std::io::Error| ReplError::io("keep content", &dir, e);
        std::fs::create_dir_all(&dir).map_err(failed)?;
        // A piece is whole or not there: it gets its name when it is written.
        let name = blake3::Hash::from(hash.0).to_hex();
        let part = dir.join(format!("{name}.part"));
        std::fs::write(&part, bytes).map_err(failed)?;
        std::fs::rename(&part, dir.join(name.as_str())).map_err(failed)
    }

    fn version_dir(&self, version: &ContentVersion) -> PathBuf {
        let ContentVersion { inode, dot, root } = version;
        let root = blake3::Hash::from(root.0).to_hex();
        self.dir.join(format!(
            "{inode:016x}-{}-{}-{root}",
            dot.actor.site_id, dot.seq
        ))
    }

    fn path(&self, version: &ContentVersion, hash: &BlobHash) -> PathBuf {
        self.version_dir(version)
            .join(blake3::Hash::from(hash.0).to_hex().as_str())
    }

    fn look_at(&self, version: &ContentVersion) -> bool {
        let now = self.clock.monotonic();
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.looked_at.insert(*version, now);
        shelf.gone.contains_key(version)
    }

    fn sweep(&self) {
        let now = self.clock.monotonic();
        let mut old = Vec::new();
        {
            let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.gone.retain(|_, at| now.saturating_sub(*at) < KEEP);
            shelf.looked_at.retain(|version, at| {
                let keep = now.saturating_sub(*at) < KEEP;
                if !keep {
                    old.push(*version);
                }
                keep
            });
        }
        for version in old {
            let dir = self.version_dir(&version);
            if let Err(error) = remove(&dir) {
                tracing::warn!(%error, "fetched content stays until the next start");
            }
        }
    }
}

fn remove(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// How one site answered.
enum Fetched {
    All,
    Gone,
    Later,
}

impl ContentSource for Fetcher {
    fn fetch(&mut self, version: &ContentVersion, hash: &BlobHash) -> Result<Fetch> {
        let gone = self.look_at(version);
        let path = self.path(version, hash);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Fetch::Ready(bytes.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(if gone { Fetch::Gone } else { Fetch::Pending })
            }
            Err(error) => Err(ReplError::io("read content", path, error)),
        }
    }

    fn has(&mut self, version: &ContentVersion, hash: &BlobHash) -> Result<bool> {
        self.look_at(version);
        Ok(self.path(version, hash).exists())
    }

    fn has_news(&mut self) -> bool {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut shelf.has_news)
    }

    fn want(&mut self, version: &ContentVersion, hashes: &[BlobHash]) -> Result<()> {
        let missing: Vec<BlobHash> = {
            let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            let new = hashes
                .iter()
                .filter(|hash| shelf.under_way.insert((*version, **hash)));
            new.copied().collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        if let Err(refused) = self.requests.try_send((*version, missing)) {
            // The queue is full: the image is tried again, and asks again then.
            let (version, hashes) = refused.into_inner();
            let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            for hash in hashes {
                shelf.under_way.remove(&(version, hash));
            }
        }
        Ok(())
    }
}

/// Reads what other sites want from the tree.
pub(super) struct TreeContent {
    inner: Arc<Mutex<(Root, Server, Handle)>>,
}

impl TreeContent {
    /// Content of the tree under `root`.
    pub(super) fn new(root: Root, engine: Handle) -> Self {
        Self {
            inner: Arc::new(Mutex::new((root, Server::new(), engine))),
        }
    }
}

#[tonic::async_trait]
impl ContentServer for TreeContent {
    async fn answer(&self, _peer: SiteId, want: Want, chunks: &ChunkSender) -> Verdict {
        let root = ManifestRoot(want.manifest_root);
        let wanted = if want.hashes.is_empty() {
            vec![want.manifest_root]
        } else {
            want.hashes
        };
        let hashes: Vec<BlobHash> = wanted.into_iter().map(BlobHash).collect();
        for some in hashes.chunks(SERVED_MAX) {
            let (inner, some) = (Arc::clone(&self.inner), some.to_vec());
            let inode = want.inode;
            let read = tokio::task::spawn_blocking(move || {
                let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
                let (tree, server, engine) = &mut *inner;
                let served = server.serve(engine, tree, inode, root, &some);
                served.map(|served| (some, served))
            });
            match read.await {
                Ok(Ok((hashes, Served::Found(blobs)))) => {
                    for (hash, bytes) in hashes.into_iter().zip(blobs) {
                        if chunks.send(hash.0, bytes).await.is_err() {
                            return Verdict::Busy {
                                retry_after_ms: BUSY_MS,
                            };
                        }
                    }
                }
                Ok(Ok((_, Served::Gone))) => {
                    return Verdict::Gone {
                        superseded_by: None,
                    };
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "content cannot be read now");
                    return Verdict::Busy {
                        retry_after_ms: BUSY_MS,
                    };
                }
                Err(_) => {
                    return Verdict::Busy {
                        retry_after_ms: BUSY_MS,
                    };
                }
            }
        }
        Verdict::Done
    }
}
