//! The owner of one tree: opens it, recovers it, notices and applies in turn on its own thread.
//!
//! Applying and noticing never overlap, so each sees the other's work finished. State that must outlive a restart is
//! the pin of the tree and the intents, both in the state folder; everything else is the engine's.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::apply::{Applier, ApplyReport};
use super::intent::IntentLog;
use super::pin;
use super::policy::Policy;
use super::recover::{Recovery, recover};
use super::root::Root;
use super::scan::{Memory, ScanOptions, ScanReport, Scope, scan};
use super::serve::{Served, Server};
use super::trash::{TrashLimits, TrashReport, purge};
use super::watch::Watch;
use crate::clock::SharedClock;
use crate::content::ContentSource;
use crate::content::manifest::BlobHash;
use crate::error::Result;
use crate::failpoint;
use crate::journal::op::ManifestRoot;
use crate::sync::port::Engine;

/// Images applied in one batch: two syncs and one intent file for all of them.
pub const BATCH_IMAGES: usize = 1_000;
/// How long the loop rests when nothing happens; events and images wait at most this long.
const TICK: Duration = Duration::from_millis(20);

/// What a connector is told about its tree.
#[derive(Debug, Clone)]
pub struct ConnectorOptions {
    /// The tree.
    pub root: PathBuf,
    /// Folder for the pin and the intents, outside the tree.
    pub state: PathBuf,
    /// What this site leaves alone.
    pub policy: Policy,
    /// This site only receives: local changes are counted as diverged.
    pub receive_only: bool,
    /// Whether inotify is used; without it the tree is scanned, as when the watch is blind. Default: true.
    pub watches: bool,
    /// Time between full scans when the watch sees everything. Default: 1 hour.
    pub rescan_every: Duration,
    /// Time between full scans while the watch is blind or something was put off. Default: 30 s.
    pub blind_rescan_every: Duration,
    /// Time after which parked images are tried again. Default: 10 s.
    pub retry_every: Duration,
}

impl ConnectorOptions {
    /// Options with the defaults for everything but the folders.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            state: state.into(),
            policy: Policy::default(),
            receive_only: false,
            watches: true,
            rescan_every: Duration::from_secs(3_600),
            blind_rescan_every: Duration::from_secs(30),
            retry_every: Duration::from_secs(10),
        }
    }
}

/// What the connector tells its owner after each round that did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectorEvent {
    /// A round of noticing.
    Scanned(ScanReport),
    /// A round of applying.
    Applied(ApplyReport),
    /// Events were lost or watches are missing: the whole tree is scanned instead.
    Blind(String),
}

/// One tree under replication.
pub struct Connector {
    options: ConnectorOptions,
    root: Root,
    engine: Box<dyn Engine>,
    source: Box<dyn ContentSource>,
    clock: SharedClock,
    log: IntentLog,
    memory: Memory,
    server: Server,
    recovery: Recovery,
    names: u64,
    started: bool,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// Opens the tree, pins it on the first start, and takes back what a stop left.
    ///
    /// # Errors
    /// When the tree is not the pinned one, the kernel or filesystem lacks what is needed, or recovery fails.
    pub fn new(
        options: ConnectorOptions,
        mut engine: Box<dyn Engine>,
        source: Box<dyn ContentSource>,
        clock: SharedClock,
    ) -> Result<Self> {
        let root = pin::open(&options.root, &options.state)?;
        let mut log = IntentLog::open(&options.state)?;
        let recovery = recover(&root, &mut *engine, &mut log)?;
        Ok(Self {
            options,
            root,
            engine,
            source,
            clock,
            log,
            memory: Memory::default(),
            server: Server::new(),
            recovery,
            names: 0,
            started: false,
        })
    }

    /// What recovery found at the start.
    #[must_use]
    pub const fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The tree.
    #[must_use]
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// Whether local changes are only counted from here on, as the site's role says.
    pub const fn set_receive_only(&mut self, receive_only: bool) {
        self.options.receive_only = receive_only;
    }

    /// Looks at the whole tree and journals what changed. The first time, changes are stamped with their ctime.
    ///
    /// # Errors
    /// When the engine or the disk fails.
    pub fn scan_once(&mut self) -> Result<ScanReport> {
        let start_us = self.clock.now_us();
        let report = self.scan(&Scope::Tree)?;
        self.started = true;
        if report.complete {
            self.engine.observed_through(start_us)?;
        }
        Ok(report)
    }

    /// Looks at some directories.
    ///
    /// # Errors
    /// When the engine or the disk fails.
    pub fn scan(&mut self, scope: &Scope) -> Result<ScanReport> {
        let options = ScanOptions {
            policy: &self.options.policy,
            now_us: self.clock.now_us(),
            back_date: !self.started,
            receive_only: self.options.receive_only,
        };
        scan(
            &mut *self.engine,
            &self.root,
            &mut self.memory,
            scope,
            &options,
        )
    }

    /// Applies one batch of images.
    ///
    /// # Errors
    /// When the engine or the disk fails: the connector must be opened again, which takes the batch back.
    pub fn apply_once(&mut self) -> Result<ApplyReport> {
        self.apply_until(&mut |point| {
            failpoint::pass(point);
            Ok(())
        })
    }

    /// The same, calling `stop` before each durable or visible step: for tests that act or stop in between.
    ///
    /// # Errors
    /// As [`Connector::apply_once`], and what `stop` returns.
    pub fn apply_until(
        &mut self,
        stop: &mut dyn FnMut(&'static str) -> Result<()>,
    ) -> Result<ApplyReport> {
        let images = self.engine.work(BATCH_IMAGES)?;
        for image in &images {
            self.memory.own.remove(&image.inode);
        }
        let mut applier = Applier {
            engine: &mut *self.engine,
            root: &self.root,
            source: &mut *self.source,
            policy: &self.options.policy,
            log: &mut self.log,
            now_us: self.clock.now_us(),
            names: &mut self.names,
            stop_point: stop,
        };
        applier.apply(images)
    }

    /// Chunks or manifest nodes of a version that is on this tree.
    ///
    /// # Errors
    /// When the engine's store or the disk fails.
    pub fn serve(
        &mut self,
        inode: u64,
        version: ManifestRoot,
        hashes: &[BlobHash],
    ) -> Result<Served> {
        self.server
            .serve(&mut *self.engine, &self.root, inode, version, hashes)
    }

    /// Removes from the trash what `limits` no longer keep.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn purge_trash(&self, limits: &TrashLimits) -> Result<TrashReport> {
        purge(&self.root, self.clock.now_us(), limits)
    }

    /// Notices and applies until `stop` is set; `tell` hears of every round that did something.
    ///
    /// # Errors
    /// The first failure of the engine or the disk; the connector must be opened again.
    pub fn run(
        &mut self,
        stop: &Arc<AtomicBool>,
        tell: &mut dyn FnMut(ConnectorEvent),
    ) -> Result<()> {
        let mut watch = if self.options.watches {
            let mut watch = Watch::new()?;
            watch.cover_tree(&self.root, &self.options.policy)?;
            watch
        } else {
            Watch::off()?
        };
        let mut blind = watch.limit().map(str::to_owned);
        if let Some(reason) = &blind {
            tell(ConnectorEvent::Blind(reason.clone()));
        }
        self.apply_all(stop, tell)?;
        // Something was seen that is not journaled yet: until it is, nothing may be said to be noticed.
        let (mut scanned, mut put_off) = self.full(tell)?;
        let mut retried = self.clock.monotonic();
        while !stop.load(Ordering::SeqCst) {
            let watched_us = self.clock.now_us();
            let hints = watch.drain(&self.root, &self.options.policy)?;
            if let Some(reason) = &hints.blind
                && blind.as_ref() != Some(reason)
            {
                tell(ConnectorEvent::Blind(reason.clone()));
                scanned = Duration::ZERO;
            }
            blind = hints.blind;
            let now = self.clock.monotonic();
            let every = if blind.is_some() || put_off {
                self.options.blind_rescan_every
            } else {
                self.options.rescan_every
            };
            if now.saturating_sub(scanned) >= every || scanned == Duration::ZERO {
                (scanned, put_off) = self.full(tell)?;
            } else if !hints.dirty.is_empty() {
                let report = self.scan(&Scope::Dirs(hints.dirty))?;
                put_off |= !report.busy.is_empty() || report.held_unlinks > 0;
                tell(ConnectorEvent::Scanned(report));
            } else if blind.is_none() && !put_off {
                self.engine.observed_through(watched_us)?;
            }
            // Asked between two batches: what a batch waits for may arrive before the batch has parked it.
            if self.source.has_news() || now.saturating_sub(retried) >= self.options.retry_every {
                self.engine.retry_parked()?;
                retried = now;
            }
            if !self.apply_all(stop, tell)? {
                std::thread::sleep(TICK);
            }
        }
        Ok(())
    }

    /// When it was done, and whether something had to be put off.
    fn full(&mut self, tell: &mut dyn FnMut(ConnectorEvent)) -> Result<(Duration, bool)> {
        let report = self.scan_once()?;
        let put_off = !report.complete;
        tell(ConnectorEvent::Scanned(report));
        Ok((self.clock.monotonic(), put_off))
    }

    /// Applies until nothing is left that can be applied now; true when there was something.
    fn apply_all(
        &mut self,
        stop: &Arc<AtomicBool>,
        tell: &mut dyn FnMut(ConnectorEvent),
    ) -> Result<bool> {
        let mut any = false;
        while !stop.load(Ordering::SeqCst) {
            let report = self.apply_once()?;
            let more = report.applied > 0 && !report.no_space;
            any |= more;
            if report.images > 0 {
                tell(ConnectorEvent::Applied(report));
            }
            if !more {
                break;
            }
        }
        Ok(any)
    }
}
