//! The owner of one tree: opens it, recovers it, notices and applies in turn on its own thread.
//!
//! Applying and noticing never overlap, so each sees the other's work finished. State that must outlive a restart is
//! the pin of the tree and the intents, both in the state folder; everything else is the engine's.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::adopt::rebind;
use super::agenda::{Agenda, FileAt, Pace};
use super::apply::{Applier, ApplyReport, path_of};
use super::boot::{Boot, Mount};
use super::concede::concede;
use super::diff::{RACY_US, micros};
use super::intent::IntentLog;
use super::look::{Asked, Looks};
use super::matching::{Filled, Matched};
use super::pin;
use super::policy::Policy;
use super::recover::{Recovery, recover};
use super::rollback::{Rollback, roll_back};
use super::root::Root;
use super::scan::{Between, Disbelief, Memory, ScanOptions, ScanReport, Scope, scan};
use super::serve::{Served, Server};
use super::stuck::{self, Stuck};
use super::wake::Waker;
use crate::clock::{self, SharedClock};
use crate::content::ContentSource;
use crate::content::manifest::BlobHash;
use crate::error::Result;
use crate::failpoint;
use crate::journal::op::{ManifestRoot, Name};
use crate::sync::port::Engine;

pub(in crate::tree) mod turn;

/// Images applied in one batch: two syncs and one intent file for all of them.
pub const BATCH_IMAGES: usize = 1_000;
/// When a file is read again whose last change was too fresh to tell it from the next one: by then it is not.
const RACY_WAIT: Duration = Duration::from_micros(2 * RACY_US);
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
    /// The tree was there before its site met the cluster: nothing is journaled until this is set and everything is
    /// applied. Default: none.
    pub matches: Option<Filled>,
    /// Whether inotify is used; without it the tree is scanned, as when the watch is blind. Default: true.
    pub watches: bool,
    /// Time between full scans when the watch sees everything. Default: 1 hour.
    pub rescan_every: Duration,
    /// Time between full scans while the watch is blind, or after one that could not be believed. Default: 30 s.
    pub blind_rescan_every: Duration,
    /// Time after which parked images that do not wait for content are tried again. Default: 10 s.
    pub retry_every: Duration,
    /// How long files rest that are still written to.
    pub pace: Pace,
    /// The tree was restored by copy: take it for the one that was there. Default: false.
    pub adopt_copy: bool,
    /// The kernel's id of this boot. Default: none, the kernel is asked.
    pub boot_id: Option<String>,
    /// Directories that are watched at most; beyond them the tree is scanned every `blind_rescan_every`.
    /// Default: as many as the system allows.
    pub watched_dirs_max: usize,
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
            matches: None,
            watches: true,
            rescan_every: Duration::from_secs(3_600),
            blind_rescan_every: Duration::from_secs(30),
            retry_every: Duration::from_secs(10),
            pace: Pace::default(),
            adopt_copy: false,
            boot_id: None,
            watched_dirs_max: usize::MAX,
        }
    }
}

/// What the connector tells its owner after each round that did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectorEvent {
    /// A look at the whole tree begins; it ends with [`ConnectorEvent::Scanned`].
    Looking,
    /// A round of noticing.
    Scanned(ScanReport),
    /// A round of applying.
    Applied(ApplyReport),
    /// Events were lost or watches are missing: the whole tree is scanned instead.
    Blind(String),
    /// All directories are watched again.
    Sighted,
    /// How the tree stands changed.
    Standing(Standing),
    /// The tree, which was there before, is part of the cluster's: what only this site has is journaled from here on.
    Matched(Matched),
}

/// What an operator should know of a tree beside what was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Files that are put off because programs keep writing them.
    pub busy: u64,
    /// Images that meet local changes which scanning does not settle, or find no room.
    pub blocked: u64,
    /// Why, of the first of them.
    pub blocked_reason: Option<String>,
    /// Why the tree is scanned because it is not watched, if so.
    pub blind: Option<String>,
    /// Why nothing that goes away is believed until a human looked, if so.
    pub brake: Option<Disbelief>,
}

/// One tree under replication.
pub struct Connector {
    pub(super) options: ConnectorOptions,
    pub(super) root: Root,
    pub(super) engine: Box<dyn Engine>,
    source: Box<dyn ContentSource>,
    pub(super) clock: SharedClock,
    log: IntentLog,
    pub(super) memory: Memory,
    agenda: Agenda,
    pub(super) stuck: Stuck,
    pub(super) matched: Matched,
    waker: Waker,
    boot: Boot,
    /// The last moment before this start that is on record.
    ended_us: u64,
    server: Server,
    recovery: Recovery,
    looks: Looks,
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
        mut options: ConnectorOptions,
        mut engine: Box<dyn Engine>,
        source: Box<dyn ContentSource>,
        clock: SharedClock,
    ) -> Result<Self> {
        let root = if options.adopt_copy {
            pin::adopt_copy(&options.root, &options.state)?
        } else {
            pin::open(&options.root, &options.state)?
        };
        options.matches = options.matches.filter(|filled| !filled.is_over());
        let boot_id = options.boot_id.take().map_or_else(clock::boot_id, Ok)?;
        let boot = Boot::begin(&options.state, boot_id, Mount::of(root.fd()))?;
        let mut log = IntentLog::open(&options.state)?;
        let ended_us = engine.ended_us()?;
        let memory = Memory {
            doubts: pin::has_doubt(&options.state)?,
            ..Memory::default()
        };
        let recovery = recover(&root, &options.policy, &mut *engine, &mut log)?;
        Ok(Self {
            agenda: Agenda::new(options.pace),
            stuck: Stuck::default(),
            matched: Matched::default(),
            waker: Waker::new()?,
            boot,
            ended_us,
            options,
            root,
            engine,
            source,
            clock,
            log,
            memory,
            server: Server::new(),
            recovery,
            looks: Looks::none(),
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

    /// Wakes [`Connector::run`] when the engine may have work, when content arrived, and to stop it.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Takes a waker that others know already.
    pub fn set_waker(&mut self, waker: Waker) {
        self.waker = waker;
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
        self.scan_all(&mut |_| Ok(true))
    }

    /// As [`Connector::scan_once`], asking between two pieces whether to go on.
    pub(super) fn scan_all(&mut self, between: &mut Between<'_>) -> Result<ScanReport> {
        let start_us = self.clock.now_us();
        if !self.started {
            self.look_back()?;
        }
        let report = self.scan_with(&Scope::Tree, between)?;
        self.started = true;
        if report.complete && report.vanished == 0 && self.agenda.noticed_us().is_none() {
            self.engine.observed_through(start_us)?;
        }
        Ok(report)
    }

    /// Before the first scan: what is not a change although it looks like one.
    fn look_back(&mut self) -> Result<()> {
        let policy = &self.options.policy;
        if self.options.adopt_copy {
            let adopted = rebind(&mut *self.engine, &self.root, policy)?;
            tracing::info!(?adopted, "adopted a copy of the tree");
            self.options.adopt_copy = false;
        } else if self.boot.is_suspect() {
            let found = roll_back(&mut *self.engine, &self.root, policy, self.ended_us)?;
            if found == Rollback::default() {
                tracing::info!(
                    "the machine or the disk went down unexpectedly, and the tree lost nothing"
                );
            } else {
                tracing::warn!(
                    ?found,
                    "the machine or the disk went down unexpectedly and the tree lost changes that had \
                     been journaled; they are fetched from other sites"
                );
            }
        }
        if self.boot.is_suspect() {
            self.boot.settled()?;
        }
        Ok(())
    }

    /// Looks at some directories. Files that are not ready are left as they are and come again by themselves.
    ///
    /// # Errors
    /// When the engine or the disk fails.
    pub fn scan(&mut self, scope: &Scope) -> Result<ScanReport> {
        self.scan_with(scope, &mut |_| Ok(true))
    }

    fn scan_with(&mut self, scope: &Scope, between: &mut Between<'_>) -> Result<ScanReport> {
        let (now, now_us) = (self.clock.monotonic(), self.clock.now_us());
        self.memory.unready = self.agenda.unready(now);
        let options = ScanOptions {
            policy: &self.options.policy,
            now_us,
            back_date: !self.started,
            receive_only: self.only_receives(),
        };
        let doubted = self.memory.doubts;
        let report = scan(
            &mut *self.engine,
            &self.root,
            &mut self.memory,
            scope,
            &options,
            between,
        )?;
        if self.memory.doubts != doubted {
            pin::keep_doubt(&self.options.state, self.memory.doubts)?;
        }
        let dirs = match scope {
            Scope::Tree => None,
            Scope::Dirs(dirs) => Some(dirs),
        };
        let busy = report.busy.iter().filter_map(|path| self.file_at(path));
        self.agenda.scanned(dirs, &busy.collect(), now, now_us);
        let ended = self.clock.monotonic();
        if report.ops > 0 {
            self.stuck.journaled(dirs, ended);
        }
        for dir in &report.racy {
            self.agenda.look_at(dir.clone(), ended + RACY_WAIT, None);
        }
        Ok(report)
    }

    fn file_at(&self, path: &Path) -> Option<FileAt> {
        let below = path.strip_prefix(self.root.path()).ok()?;
        let names = below.iter().map(|name| Name::new(name.as_bytes().to_vec()));
        let mut names: Vec<Name> = names.collect::<std::result::Result<_, _>>().ok()?;
        let name = names.pop()?;
        Some((names, name))
    }

    /// Applies one batch of images, but for those that met a local change and have to wait.
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
        let images = self.next_images()?;
        let given: Vec<u64> = images.iter().map(|image| image.inode).collect();
        for inode in &given {
            self.memory.own.remove(inode);
        }
        let mut applier = Applier {
            engine: &mut *self.engine,
            root: &self.root,
            source: &mut *self.source,
            policy: &self.options.policy,
            log: &mut self.log,
            clock: &*self.clock,
            names: &mut self.names,
            stop_point: stop,
        };
        let report = applier.apply(images)?;
        let met: BTreeSet<u64> = report.met.iter().map(|met| met.inode).collect();
        for inode in given.iter().filter(|inode| !met.contains(inode)) {
            self.stuck.settled(*inode);
        }
        self.come_again(&report)?;
        Ok(report)
    }

    /// Images that met a local change: the directories concerned are scanned when they come again. Where nothing is
    /// journaled, what stands in their way gives way before.
    fn come_again(&mut self, report: &ApplyReport) -> Result<()> {
        let reason = if report.no_space {
            stuck::NO_SPACE
        } else {
            stuck::LOCAL_CHANGE
        };
        if self.only_receives() && !report.no_space && !report.met.is_empty() {
            let now_us = self.clock.now_us();
            concede(&mut *self.engine, &self.root, now_us, &report.met)?;
        }
        let now = self.clock.monotonic();
        let mut paths: BTreeMap<u64, Option<Vec<Name>>> = BTreeMap::new();
        for met in &report.met {
            let mut dirs = BTreeSet::new();
            for dir in &met.dirs {
                let path = match paths.get(dir) {
                    Some(path) => path.clone(),
                    None => path_of(&mut *self.engine, *dir)?,
                };
                dirs.extend(path.clone());
                paths.insert(*dir, path);
            }
            let due = self.stuck.met(met, dirs.clone(), reason, now);
            for dir in dirs {
                self.agenda.look_at(dir, due, None);
            }
        }
        Ok(())
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

    /// Who asks for looks at single files; answered by [`Connector::run`] between its rounds.
    pub fn take_looks(&mut self, looks: Looks) {
        self.looks = looks;
    }

    /// Reads the files that someone asked to be looked at, whatever their stat says, and journals what changed. None:
    /// nobody asked.
    ///
    /// # Errors
    /// When the engine or the disk fails.
    pub fn look_at_asked(&mut self) -> Result<Option<ScanReport>> {
        let asked = self.looks.take();
        if asked.is_empty() {
            return Ok(None);
        }
        let (mut dirs, mut read) = (BTreeSet::new(), BTreeSet::new());
        for inode in asked.iter().map(Asked::inode) {
            let image = self.engine.applied(inode)?;
            for link in image.map_or_else(Vec::new, |image| image.links) {
                dirs.extend(path_of(&mut *self.engine, link.parent)?);
            }
            if self.memory.racy.insert(inode) {
                read.insert(inode);
            }
        }
        let report = if dirs.is_empty() {
            ScanReport::default()
        } else {
            self.scan(&Scope::Dirs(dirs))?
        };
        for inode in read {
            let device = self.engine.device(inode)?;
            let changed_us = device.map_or(0, |device| micros(device.ctime));
            // One that changed just then stays to be read once more, as every other one would.
            if self.clock.now_us().saturating_sub(changed_us) > RACY_US {
                self.memory.racy.remove(&inode);
            }
        }
        for one in asked {
            one.done();
        }
        Ok(Some(report))
    }

    /// Notices and applies until `stop` is set; `tell` hears of every round that did something. After `stop` was set
    /// the [`Waker`] ends a wait.
    ///
    /// # Errors
    /// The first failure of the engine or the disk; the connector must be opened again.
    pub fn run(
        &mut self,
        stop: &Arc<AtomicBool>,
        tell: &mut dyn FnMut(ConnectorEvent),
    ) -> Result<()> {
        let mut turns = self.begin(stop, tell)?;
        while !stop.load(Ordering::SeqCst) {
            let rest = self.turn(&mut turns, stop, tell)?;
            if !rest.is_zero() {
                self.waker.wait(turns.events(), rest)?;
            }
        }
        self.root.sync()?;
        self.boot.end()
    }
}
