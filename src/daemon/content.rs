//! Content between sites: what is missing here is fetched into the state folder ([`Fetcher`]), what others miss is read
//! from the tree and its trash ([`serve`]).
//!
//! Fetched pieces are kept by version until nobody has looked at the version for a minute; they are hashed on arrival
//! and again by the connector, and are gone after a restart, when the connector asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::tasks::Tasks;
use crate::clock::SharedClock;
use crate::content::manifest::BlobHash;
use crate::content::{ContentSource, ContentVersion, Fetch};
use crate::error::{ReplError, Result};
use crate::sync::engine::Handle;
use crate::tree::wake::Waker;

pub(super) mod ask;
pub(super) mod serve;

use ask::{Asked, Links, PIECES_MAX, ask_any};

/// Requests of the connector that wait for the fetcher.
const REQUESTS_MAX: usize = 1_024;
/// Requests that are under way at once; every one may have some dozen questions to other sites.
const FETCHES_MAX: usize = 128;
/// How long requests rest that no site answered.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Inodes whose requests found no room that may ask again for each answer: more than the one that made the room, so
/// that the queue stays full.
const AGAIN: usize = 2;
/// How long pieces of a version are kept after the last look at them.
const KEEP: Duration = Duration::from_secs(60);

/// What is fetched and what is under way.
#[derive(Debug, Default)]
struct Shelf {
    looked_at: BTreeMap<ContentVersion, Duration>,
    under_way: BTreeSet<(ContentVersion, BlobHash)>,
    /// Versions that cannot be had, since when, and why.
    gone: BTreeMap<ContentVersion, (Duration, Fetch)>,
    /// Inodes of which something arrived that the connector has not heard of.
    news: BTreeSet<u64>,
    /// Inodes whose requests found no room.
    refused: BTreeSet<u64>,
    /// Inodes whose requests nobody answered, and when they may ask again.
    later: BTreeSet<(Duration, u64)>,
    /// When a piece last arrived.
    moved_at: Option<Duration>,
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

    /// When a piece of anything last arrived.
    pub(super) fn moved_at(&self) -> Option<Duration> {
        self.shelf().moved_at
    }

    /// Fetches what is asked for until `tasks` ends.
    pub(super) async fn run(self, tasks: Tasks, engine: Handle, links: Links, mut queue: Requests) {
        let mut sweep = tokio::time::interval(KEEP);
        let slots = Arc::new(Semaphore::new(FETCHES_MAX));
        loop {
            tokio::select! {
                () = tasks.token().cancelled() => return,
                _ = sweep.tick() => self.sweep(),
                asked = next(&slots, &mut queue) => {
                    let Some((slot, (version, hashes))) = asked else { return };
                    let slot = Arc::new(slot);
                    for hashes in hashes.chunks(PIECES_MAX) {
                        let (one, engine) = (self.clone(), engine.clone());
                        let (hashes, links) = (hashes.to_vec(), Arc::clone(&links));
                        let slot = Arc::clone(&slot);
                        tasks.spawn("fetch content", async move {
                            one.fetch_from_any(&engine, &links, version, hashes).await;
                            drop(slot);
                        });
                    }
                }
            }
        }
    }

    async fn fetch_from_any(
        &self,
        engine: &Handle,
        links: &Links,
        version: ContentVersion,
        hashes: Vec<BlobHash>,
    ) {
        let mut put = |hash: BlobHash, bytes: Bytes| self.put(&version, &hash, &bytes);
        let asked = ask_any(engine, links, version, &hashes, &mut put).await;
        let (why, is_news) = match asked {
            Ok(Asked::All) => (None, true),
            Ok(Asked::Superseded) => (Some(Fetch::Superseded), true),
            Ok(Asked::Gone) => (Some(Fetch::Gone), true),
            Ok(Asked::Busy { retry_after }) => {
                tokio::time::sleep(retry_after).await;
                (None, true)
            }
            Ok(Asked::Unreached { .. }) => (None, false),
            Err(error) => {
                tracing::warn!(%error, "content cannot be kept here");
                (None, false)
            }
        };
        let now = self.clock.monotonic();
        let mut shelf = self.shelf();
        for hash in hashes {
            shelf.under_way.remove(&(version, hash));
        }
        if let Some(why) = why {
            shelf.gone.insert(version, (now, why));
        }
        if is_news {
            shelf.news.insert(version.inode);
        } else {
            shelf.later.insert((now + ASK_AGAIN, version.inode));
        }
        for _ in 0..AGAIN {
            let Some(again) = shelf.refused.pop_first() else {
                break;
            };
            if is_news {
                shelf.news.insert(again);
            } else {
                // They would find nobody either.
                shelf.later.insert((now + ASK_AGAIN, again));
            }
        }
        drop(shelf);
        if is_news {
            self.waker.wake();
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, version: &ContentVersion, hash: &BlobHash, bytes: &Bytes) -> Result<()> {
        let dir = self.version_dir(version);
        let failed = |e: std::io::Error| ReplError::io("keep content", &dir, e);
        std::fs::create_dir_all(&dir).map_err(failed)?;
        // A piece is whole or not there: it gets its name when it is written.
        let name = blake3::Hash::from(hash.0).to_hex();
        let part = dir.join(format!("{name}.part"));
        std::fs::write(&part, bytes).map_err(failed)?;
        std::fs::rename(&part, dir.join(name.as_str())).map_err(failed)?;
        let now = self.clock.monotonic();
        let mut shelf = self.shelf();
        shelf.moved_at = Some(now);
        // It may come after the last look at its version, and is to be swept all the same.
        shelf.looked_at.entry(*version).or_insert(now);
        Ok(())
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

    fn look_at(&self, version: &ContentVersion) -> Option<Fetch> {
        let now = self.clock.monotonic();
        let mut shelf = self.shelf();
        shelf.looked_at.insert(*version, now);
        shelf.gone.get(version).map(|(_, why)| why.clone())
    }

    fn sweep(&self) {
        let now = self.clock.monotonic();
        let mut old = Vec::new();
        {
            let mut shelf = self.shelf();
            shelf
                .gone
                .retain(|_, (at, _)| now.saturating_sub(*at) < KEEP);
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

/// The next request, once there is a place for it. Nothing is lost when it is not waited for to the end.
async fn next(
    slots: &Arc<Semaphore>,
    queue: &mut Requests,
) -> Option<(OwnedSemaphorePermit, (ContentVersion, Vec<BlobHash>))> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    Some((slot, queue.recv().await?))
}

fn remove(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl ContentSource for Fetcher {
    fn fetch(&mut self, version: &ContentVersion, hash: &BlobHash) -> Result<Fetch> {
        let gone = self.look_at(version);
        let path = self.path(version, hash);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Fetch::Ready(bytes.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(gone.unwrap_or(Fetch::Pending))
            }
            Err(error) => Err(ReplError::io("read content", path, error)),
        }
    }

    fn has(&mut self, version: &ContentVersion, hash: &BlobHash) -> Result<bool> {
        self.look_at(version);
        Ok(self.path(version, hash).exists())
    }

    fn news(&mut self) -> BTreeSet<u64> {
        let now = self.clock.monotonic();
        let mut shelf = self.shelf();
        let waiting = shelf.later.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut shelf.later, waiting);
        shelf.news.extend(due.into_iter().map(|(_, inode)| inode));
        std::mem::take(&mut shelf.news)
    }

    fn want(&mut self, version: &ContentVersion, hashes: &[BlobHash]) -> Result<()> {
        let missing: Vec<BlobHash> = {
            let mut shelf = self.shelf();
            let new = hashes
                .iter()
                .filter(|hash| shelf.under_way.insert((*version, **hash)));
            new.copied().collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        let sent = self.requests.try_send((*version, missing));
        let mut shelf = self.shelf();
        if let Err(refused) = sent {
            // The queue is full: the image is tried again, and asks again then.
            let (version, hashes) = refused.into_inner();
            for hash in hashes {
                shelf.under_way.remove(&(version, hash));
            }
            shelf.refused.insert(version.inode);
        } else {
            shelf.refused.remove(&version.inode);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
