//! One site: a tree, its connector, and an engine on its own thread, with a stop that forgets what was not durable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use claudefs_repl::clock::{Clock, SystemClock};
use claudefs_repl::content::manifest::BlobHash;
use claudefs_repl::content::{ContentSource, ContentVersion, Fetch};
use claudefs_repl::disk::RealDisk;
use claudefs_repl::error::Result;
use claudefs_repl::journal::LogOptions;
use claudefs_repl::sync::engine::{Engine, EngineConfig, Handle, Retention, start};
use claudefs_repl::tree::{Connector, ConnectorOptions};

/// Pieces of content that travel between the sites of one world, and those that are asked for.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) here: BTreeMap<BlobHash, Bytes>,
    pub(super) wanted: BTreeMap<ContentVersion, BTreeSet<BlobHash>>,
    /// Versions that cannot be had, and why.
    pub(super) gone: BTreeMap<ContentVersion, Fetch>,
}

/// What the connector fetches from: the shelf that the world fills.
#[derive(Debug, Clone, Default)]
pub(super) struct Source(pub(super) Arc<Mutex<Shelf>>);

impl ContentSource for Source {
    fn fetch(&mut self, version: &ContentVersion, hash: &BlobHash) -> Result<Fetch> {
        let shelf = self.0.lock().unwrap();
        let there = shelf.here.get(hash).cloned().map(Fetch::Ready);
        let gone = || shelf.gone.get(version).cloned();
        Ok(there.or_else(gone).unwrap_or(Fetch::Pending))
    }

    fn has(&mut self, _version: &ContentVersion, hash: &BlobHash) -> Result<bool> {
        Ok(self.0.lock().unwrap().here.contains_key(hash))
    }

    fn want(&mut self, version: &ContentVersion, hashes: &[BlobHash]) -> Result<()> {
        let mut shelf = self.0.lock().unwrap();
        shelf.wanted.entry(*version).or_default().extend(hashes);
        Ok(())
    }

    fn news(&mut self) -> BTreeSet<u64> {
        BTreeSet::new()
    }
}

/// The system's time, and pauses that pass at once.
#[derive(Debug, Default)]
pub(super) struct PausesPass(AtomicU64);

impl PausesPass {
    /// Longer than any pause between two attempts.
    pub(super) fn pass(&self) {
        self.0.fetch_add(600, Ordering::SeqCst);
    }
}

impl Clock for PausesPass {
    fn now_us(&self) -> u64 {
        SystemClock.now_us()
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }

    fn boot_id(&self) -> Option<u128> {
        // Its pauses pass without the wall clock: that has nothing to go by from one run to the next.
        None
    }
}

/// What runs of a site, and is gone after a stop.
pub(super) struct Running {
    pub(super) handle: Handle,
    thread: Option<JoinHandle<()>>,
    connector: Connector,
}

/// One site of a world.
pub(super) struct Site {
    pub(super) id: u64,
    pub(super) tree: PathBuf,
    state: PathBuf,
    pub(super) source: Source,
    pub(super) clock: Arc<PausesPass>,
    pub(super) running: Option<Running>,
}

impl Site {
    pub(super) fn new(id: u64, folder: &Path) -> Self {
        let home = folder.join(format!("site-{id}"));
        let site = Self {
            id,
            tree: home.join("tree"),
            state: home.join("state"),
            source: Source::default(),
            clock: Arc::default(),
            running: None,
        };
        for dir in [&site.tree, &site.state] {
            std::fs::create_dir_all(dir).unwrap();
        }
        site
    }

    fn start(&self) -> Result<Running> {
        let clock = Arc::clone(&self.clock);
        let mut log = LogOptions::default();
        log.segment_bytes = 1 << 20;
        let engine = Engine::open(EngineConfig {
            dir: self.state.clone(),
            disk: RealDisk::shared(),
            clock: clock.clone(),
            log,
            site_id: self.id,
            incarnation: self.id << 48 | 7,
            applies: true,
            sends: true,
            retention: Retention::default(),
            accept_clock: false,
            reclaim: None,
        })?;
        let (handle, thread) = start(engine)?;
        let options = ConnectorOptions::new(&self.tree, &self.state);
        let (engine, source) = (Box::new(handle.clone()), Box::new(self.source.clone()));
        let connector = Connector::new(options, engine, source, clock)?;
        Ok(Running {
            handle,
            thread: Some(thread),
            connector,
        })
    }

    fn running(&mut self) -> Result<&mut Running> {
        if self.running.is_none() {
            self.running = Some(self.start()?);
        }
        Ok(self.running.as_mut().expect("it was started"))
    }

    /// The connector; a stopped site starts.
    pub(super) fn connector(&mut self) -> Result<&mut Connector> {
        Ok(&mut self.running()?.connector)
    }

    /// Runs `work` on the engine; a stopped site starts.
    pub(super) fn engine<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Engine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.running()?.handle.call(work)
    }

    /// Stops as a kill does: what the engine had not committed has to come from the logs again.
    pub(super) fn kill(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running
            .handle
            .call(|engine| {
                engine.forget();
                Ok(())
            })
            .unwrap();
        let thread = running.thread.take().expect("it is running");
        drop(running);
        thread.join().unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}
