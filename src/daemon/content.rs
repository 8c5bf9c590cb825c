//! Content between sites: what is missing here is fetched into the state folder ([`Fetcher`]), what others miss is read
//! from the tree and its trash ([`serve`]).
//!
//! Fetched pieces are kept by version until nobody has looked at the version for a minute; they are hashed on arrival
//! and again by the connector, and are gone after a restart, when the connector asks again.

use std::collections::BTreeSet;
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
mod shelf;

use ask::{Asked, Links, PIECES_MAX, ask_any};
use shelf::{Answer, KEEP, Shelf};

/// Requests of the connector that wait for the fetcher.
const REQUESTS_MAX: usize = 1_024;
/// Requests that are under way at once; every one may have some dozen questions to other sites.
const FETCHES_MAX: usize = 128;

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
        self.shelf().moved_at()
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
                        let (hashes, links) = (hashes.to_vec(), links.clone());
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
        let answer = match asked {
            Ok(Asked::All) => Answer::News,
            Ok(Asked::Superseded) => Answer::Never(Fetch::Superseded),
            Ok(Asked::Gone) => Answer::Never(Fetch::Gone),
            Ok(Asked::Busy { retry_after }) => {
                tokio::time::sleep(retry_after).await;
                Answer::News
            }
            Ok(Asked::Unreached { .. }) => Answer::Nobody,
            Err(error) => {
                tracing::warn!(%error, "content cannot be kept here");
                Answer::Nobody
            }
        };
        let (is_news, now) = (answer != Answer::Nobody, self.clock.monotonic());
        self.shelf().answered(&version, &hashes, answer, now);
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
        self.shelf().moved(version, self.clock.monotonic());
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
        self.shelf().look_at(version, self.clock.monotonic())
    }

    fn sweep(&self) {
        let old = self.shelf().sweep(self.clock.monotonic());
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
        self.shelf().news(self.clock.monotonic())
    }

    fn want(&mut self, version: &ContentVersion, hashes: &[BlobHash]) -> Result<()> {
        let missing = self.shelf().begin(version, hashes);
        if missing.is_empty() {
            return Ok(());
        }
        match self.requests.try_send((*version, missing)) {
            Ok(()) => self.shelf().took(version),
            Err(refused) => {
                let (version, hashes) = refused.into_inner();
                self.shelf().refuse(&version, &hashes);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
