//! One site: its journal, the received logs of the others, the merged state, and the order in which they are written.
//!
//! Order is the promise: an entry is durable in the journal before anyone hears of it, a batch is durable in the
//! received log before it is receipted, and the state is a view that is committed with the log positions it was made
//! from. After any failure everything is dropped and opened again from disk, the way a crash would leave it: there is
//! one path of recovery, and it is always in use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::author::Authored;
use super::brake::Held;
use super::core::Core;
use super::fate::Fate;
use super::ids::Minter;
use super::port::{DeviceImage, Image, LocalTxn, Outcome, Round};
use super::progress::{StreamProgress, Waiting};
use super::state::State;
use super::wall::WallClock;
use crate::clock::{SharedClock, TimestampUs};
use crate::content::{Claim, ContentVersion, WAITS_FOR_CONTENT, WAITS_FOR_NEWER};
use crate::disk::SharedDisk;
use crate::error::{ReplError, Result};
use crate::failpoint;
use crate::journal::dot::{Actor, Dot, ROOT_INODE};
use crate::journal::op::{Change, Content, FileTime, ManifestRoot, Name, Place};
use crate::journal::retention::Pin;
use crate::journal::{AppendGroup, BatchReader, Durable, Journal, LogOptions, ReceivedLog};
use crate::store::Store;
use members::Tracked;
use upkeep::Synced;

mod brake;
mod commit;
mod handle;
mod inbox;
mod members;
mod open;
mod pause;
mod receive;
mod reclaim;
mod room;
mod standing;
mod takeover;
mod time;
mod upkeep;

pub use handle::{Handle, start};
pub use inbox::Listed;
pub use members::{Fence, FenceCause, MemberReport, MemberStatus, Retention, remembered};
pub use receive::{Arrived, Refusal};
pub use reclaim::Reclaim;
pub use standing::{Standing, StreamHead};
pub use takeover::{KnownPage, Merging, Snapshot, SnapshotPoint, Taken};

/// Payload bytes, and transactions, that are journaled with one sync at most.
const SUBMIT_BYTES: usize = 8 << 20;
const SUBMIT_TXNS: usize = 8_192;
/// How long a failure is shown after which the engine went on.
const FAILURE_SHOWN: Duration = Duration::from_secs(60);

/// Where a site keeps its state, and who it is.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The state folder; it exists.
    pub dir: PathBuf,
    /// The disk that the logs are on.
    pub disk: SharedDisk,
    /// Time.
    pub clock: SharedClock,
    /// Layout of the logs.
    pub log: LogOptions,
    /// This site.
    pub site_id: u64,
    /// Incarnation of a journal that has to be created: random. Its upper 16 bits are the tag of the inodes.
    pub incarnation: u64,
    /// Entries of others are taken.
    pub applies: bool,
    /// Local changes are journaled.
    pub sends: bool,
    /// For whom the journal is kept, and how much of it.
    pub retention: Retention,
    /// A person says that the wall clock is right, whatever the last stamp is.
    pub accept_clock: bool,
    /// What is only remembered is let go, and how often. None: it is kept for ever.
    pub reclaim: Option<Reclaim>,
}

/// What an operator asks first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStatus {
    /// The journal.
    pub actor: Actor,
    /// Last seq of every stream of the journal that holds entries.
    pub heads: BTreeMap<u32, u64>,
    /// Bytes of the entries of each stream that were written since the journal was opened.
    pub written: BTreeMap<u32, u64>,
    /// Bytes of the journal's segments.
    pub journal_bytes: u64,
    /// Entries of others that are merged and not applied.
    pub waiting: usize,
    /// Inodes that could not be applied, with the reason.
    pub parked: Vec<(u64, String)>,
    /// Inodes whose bytes are on their way.
    pub fetching: usize,
    /// Inodes that show an older version until a newer one than they were to show arrives.
    pub overtaken: usize,
    /// Conflicts that count and are not acknowledged.
    pub open_conflicts: u64,
    /// Conflicts on record.
    pub conflicts: u64,
    /// The configured members, by number.
    pub members: Vec<MemberStatus>,
    /// Last mark of each origin, in its hybrid clock.
    pub marks: BTreeMap<Actor, u64>,
    /// Why the engine had to be opened again within the last minute, if it had to.
    pub last_failure: Option<String>,
    /// Sites whose changes the brake holds back.
    pub held: BTreeMap<u64, Held>,
    /// What was let go since the engine was opened.
    pub let_go: u64,
}

/// The engine of one site. One loop owns it ([`start`]); everything else goes through [`Handle`].
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    open: Option<Opened>,
    /// The wall clock of what is not open after a failure.
    wall: Option<WallClock>,
    /// The counter of the next number after it: the connector has numbers that are in no journal yet.
    minted: u64,
    /// Moves whenever there may be work for the connector, or progress to tell.
    changed: watch::Sender<u64>,
    last_failure: Option<String>,
    /// When that was.
    failed_at: Option<Duration>,
    full: room::Full,
    brake: brake::Brake,
    /// Up to where streams of others were sent and refused: until all of that came again, their marks promise more than
    /// is here. It outlives what is opened anew; a connection that is made anew brings what is missing.
    owed: BTreeMap<Actor, BTreeMap<u32, u64>>,
}

/// Everything that is dropped and opened again together.
#[derive(Debug)]
struct Opened {
    journal: Journal,
    received: BTreeMap<Actor, ReceivedLog>,
    core: Core<Store>,
    minter: Minter,
    waiting: Waiting,
    marks: BTreeMap<Actor, u64>,
    wall: WallClock,
    /// The last stamp on record when this was opened.
    ended_us: u64,
    observed_us: u64,
    committed_at: Duration,
    /// Up to where the logs are in the state on disk.
    synced: Synced,
    members: BTreeMap<u64, Tracked>,
    /// Who held back the journal at the last look.
    pins: Vec<Pin>,
    /// When a page of a snapshot came last. None: none is taken over.
    paged_at: Option<Duration>,
    /// A snapshot is whole and is being merged.
    merging: bool,
    /// Number of the last snapshot that was given out before this was opened.
    given_before: u64,
    /// There may be pages of snapshots that were given up.
    clears: bool,
    upkept_at: Duration,
    reclaiming: reclaim::Reclaiming,
}

impl Engine {
    /// Opens the site's logs and state, and replays what the state lags behind. A journal is created when there is
    /// none.
    ///
    /// # Errors
    /// Damage, another site's journal, or a disk that refuses; nothing was changed then.
    pub fn open(config: EngineConfig) -> Result<Self> {
        let opened = open::open(&config, None)?;
        let (changed, _) = watch::channel(0);
        Ok(Self {
            config,
            open: Some(opened),
            wall: None,
            minted: 0,
            changed,
            last_failure: None,
            failed_at: None,
            full: room::Full::default(),
            brake: brake::Brake::default(),
            owed: BTreeMap::new(),
        })
    }

    /// Tells of every change that may mean work or progress.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The journal's identity.
    ///
    /// # Errors
    /// All methods: when the engine failed before and cannot be opened again.
    pub fn actor(&mut self) -> Result<Actor> {
        self.with(|opened, _| Ok(opened.journal.actor()))
    }

    /// See [`super::port::Engine::mint`].
    pub fn mint(&mut self) -> Result<u64> {
        self.with(|opened, _| opened.minter.mint())
    }

    /// See [`super::port::Engine::submit`].
    pub fn submit(&mut self, txns: &[LocalTxn]) -> Result<()> {
        self.write(|opened, config| {
            let now_us = opened.stamping_us(config);
            let (mut authored, mut bytes) = (Vec::new(), 0);
            for txn in txns {
                let one = opened.core.author(txn, now_us)?;
                bytes += one.entries.iter().map(|e| e.payload.len()).sum::<usize>();
                authored.push(one);
                // A look at a large tree finds more than the journal takes in one go.
                if bytes >= SUBMIT_BYTES || authored.len() >= SUBMIT_TXNS {
                    opened.journal_all(std::mem::take(&mut authored))?;
                    opened.commit_if_large()?;
                    bytes = 0;
                }
            }
            if !authored.is_empty() {
                opened.journal_all(authored)?;
            }
            opened.commit_if_large()
        })?;
        self.wake();
        Ok(())
    }

    /// Journals operations of the control stream, durable with one sync.
    pub fn submit_control(&mut self, changes: Vec<Change>) -> Result<()> {
        self.write(|opened, config| {
            let now_us = opened.stamping_us(config);
            let mut authored = Vec::with_capacity(changes.len());
            for change in changes {
                authored.push(opened.core.author_control(change, now_us)?);
            }
            opened.journal_all(authored)
        })?;
        self.wake();
        Ok(())
    }

    /// See [`super::port::Engine::work`].
    pub fn work(&mut self, limit: usize) -> Result<Vec<Image>> {
        let (images, settled) = self.braked_work(limit)?;
        if settled {
            self.wake();
        }
        Ok(images)
    }

    /// See [`super::port::Engine::done`]. Durable when it returns: what was applied cannot be told from the logs.
    pub fn done(&mut self, mut round: Round) -> Result<()> {
        self.count_removals(&round.outcomes)?;
        self.write(|opened, config| {
            let now_us = config.clock.now_us();
            let mut without_bytes = Vec::new();
            for (image, outcome) in &mut round.outcomes {
                let (judged, lost) = opened.core.judge_content(image, outcome.clone(), now_us)?;
                if let Some(conflict) = lost {
                    let inode = image.inode;
                    tracing::warn!(%conflict, inode, "bytes of a file are on no site any more; it stays as it was before");
                    without_bytes.push(inode);
                }
                match &judged {
                    Outcome::Parked { reason } => opened.set_aside(image.inode, reason),
                    Outcome::Applied => opened.core.found_content(image)?,
                    Outcome::Changed => {}
                }
                *outcome = judged;
            }
            opened.core.take_round(round)?;
            if config.sends {
                opened.keep_shown(&without_bytes, now_us)?;
            }
            opened.take_settled();
            opened.commit(config)
        })?;
        self.wake();
        Ok(())
    }

    /// See [`super::port::Engine::retry_parked`].
    pub fn retry_parked(&mut self) -> Result<()> {
        self.with(|opened, _| {
            opened.waiting.unpark();
            opened.core.retry_parked()
        })?;
        self.wake();
        Ok(())
    }

    /// See [`super::port::Engine::retry_faults`].
    pub fn retry_faults(&mut self) -> Result<()> {
        self.with(|opened, _| {
            for (inode, reason) in opened.core.state().all_parked()? {
                if reason != WAITS_FOR_CONTENT {
                    opened.unpark(inode)?;
                }
            }
            Ok(())
        })?;
        self.wake();
        Ok(())
    }

    /// See [`super::port::Engine::retry`].
    pub fn retry(&mut self, inodes: &[u64]) -> Result<()> {
        self.with(|opened, _| {
            for inode in inodes {
                opened.unpark(*inode)?;
            }
            Ok(())
        })?;
        self.wake();
        Ok(())
    }

    /// See [`super::port::Engine::applied`].
    pub fn applied(&mut self, inode: u64) -> Result<Option<Image>> {
        let shown = self.with(|opened, _| opened.core.state().applied(inode))?;
        Ok(shown.map(Arc::unwrap_or_clone))
    }

    /// See [`super::port::Engine::applied_entries`].
    pub fn applied_entries(&mut self, directory: u64) -> Result<Vec<(Name, u64, u64)>> {
        self.with(|opened, _| opened.core.state().applied_entries(directory))
    }

    /// See [`super::port::Engine::applied_at`].
    pub fn applied_at(&mut self, places: &[Place]) -> Result<Vec<Option<u64>>> {
        self.with(|opened, _| {
            let state = opened.core.state();
            let at =
                |place: &Place| Ok(state.applied_at(place.parent, &place.name)?.map(|at| at.0));
            places.iter().map(at).collect()
        })
    }

    /// See [`super::port::Engine::set_device`].
    pub fn set_device(&mut self, inode: u64, device: Option<DeviceImage>) -> Result<()> {
        self.with(|opened, _| opened.core.state_mut().set_device(inode, device))
    }

    /// See [`super::port::Engine::device`].
    pub fn device(&mut self, inode: u64) -> Result<Option<DeviceImage>> {
        self.with(|opened, _| opened.core.state().device(inode))
    }

    /// See [`super::port::Engine::unchanged`].
    pub fn unchanged(&mut self, seen: &[(u64, DeviceImage)]) -> Result<Vec<bool>> {
        self.with(|opened, _| {
            let state = opened.core.state();
            let same = |(inode, device): &(u64, DeviceImage)| {
                Ok(state.device(*inode)?.as_ref() == Some(device)
                    && state.applied(*inode)?.is_some())
            };
            seen.iter().map(same).collect()
        })
    }

    /// See [`super::port::Engine::inode_of`].
    pub fn inode_of(&mut self, ino: u64, btime: FileTime) -> Result<Option<u64>> {
        self.with(|opened, _| opened.bound(ino, btime))
    }

    /// See [`super::port::Engine::correct`].
    pub fn correct(&mut self, inode: u64, shown: Option<&Image>) -> Result<()> {
        self.with(|opened, _| opened.core.correct(inode, shown))?;
        self.wake();
        Ok(())
    }

    /// See [`super::port::Engine::is_level`].
    pub fn is_level(&mut self) -> Result<bool> {
        if !self.held()?.is_empty() {
            return Ok(false);
        }
        self.with(|opened, _| {
            let state = opened.core.state();
            if state.takeover()?.is_some() {
                return Ok(false);
            }
            for (inode, reason) in state.all_parked()? {
                let shown = state.applied(inode)?;
                let is_shown = shown.is_some_and(|image| !image.links.is_empty());
                if reason == WAITS_FOR_CONTENT && !is_shown {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// See [`super::port::Engine::ended_us`].
    pub fn ended_us(&mut self) -> Result<u64> {
        self.with(|opened, _| Ok(opened.ended_us))
    }

    /// Writes the state out when it is due, and looks after the logs. Called about once a second.
    pub fn tick(&mut self) -> Result<()> {
        if self.is_full() {
            return Ok(());
        }
        self.with(|opened, config| {
            opened.settle(config)?;
            opened.stamping_us(config);
            let since = config.clock.monotonic().saturating_sub(opened.committed_at);
            if since >= opened.commit_every()? {
                opened.commit(config)?;
            } else {
                opened.commit_if_large()?;
            }
            opened.upkeep(config)
        })?;
        let now = self.config.clock.monotonic();
        let shown_for = |at: Duration| now.saturating_sub(at);
        if self.failed_at.map(shown_for) > Some(FAILURE_SHOWN) {
            (self.last_failure, self.failed_at) = (None, None);
        }
        Ok(())
    }

    /// A reader of the journal behind a peer's cursors, and how the journal's durable end moves.
    pub fn batches(
        &mut self,
        cursors: BTreeMap<u32, u64>,
    ) -> Result<(BatchReader, watch::Receiver<Durable>)> {
        // A cursor that cannot be served says nothing against the state.
        self.with(|opened, _| {
            let reader = opened.journal.batches(cursors);
            Ok(reader.map(|reader| (reader, opened.journal.watch())))
        })?
    }

    /// Everything of this site up to this hybrid clock is in the journal.
    pub fn mark(&mut self) -> Result<u64> {
        self.with(|opened, config| {
            // What was observed later than the last entry and brought none is journaled as it is.
            let noticed_us = opened.journal.durable().hlc_us.max(opened.observed_us);
            if failpoint::holds("marks are what was noticed") {
                return Ok(noticed_us);
            }
            Ok(noticed_us.max(config.clock.now_us() + 1_000_000))
        })
    }

    /// How far every stream of `actor` got here.
    pub fn progress(&mut self, actor: Actor) -> Result<Vec<StreamProgress>> {
        self.with(|opened, _| opened.progress(actor))
    }

    /// The last mark of `actor` up to which everything is applied, if nothing of it waits.
    pub fn applied_mark(&mut self, actor: Actor) -> Result<Option<u64>> {
        self.with(|opened, _| {
            let clear = opened.waiting.is_clear(actor);
            Ok(opened.marks.get(&actor).copied().filter(|_| clear))
        })
    }

    /// What became of a version of a file's bytes.
    pub fn fate(&mut self, inode: u64, dot: Dot) -> Result<Fate> {
        self.with(|opened, _| opened.core.fate(inode, dot))
    }

    /// Whether an entry is merged here.
    pub fn is_merged(&mut self, dot: Dot) -> Result<bool> {
        self.with(|opened, _| {
            let cursor = opened.core.state().cursor(dot.actor, dot.stream)?;
            Ok(cursor >= dot.seq)
        })
    }

    /// What conflicts want with bytes that are kept under these inodes and roots, in their order.
    pub fn claims(&mut self, kept: Vec<(u64, ManifestRoot)>) -> Result<Vec<Claim>> {
        self.with(move |opened, _| opened.core.claims(&kept))
    }

    /// Records bytes that were written to a file after that was displaced; see [`Core::late_write`].
    pub fn late_write(
        &mut self,
        inode: u64,
        content: Content,
        before: Option<ManifestRoot>,
    ) -> Result<()> {
        let what = "a file was written to after it was replaced; its bytes are kept as a conflict";
        self.record_own(inode, content, before, what).map(drop)
    }

    /// See [`super::port::Engine::give_way`].
    pub fn give_way(&mut self, inode: u64, content: Content) -> Result<bool> {
        let what = "a file had other bytes here than the version that arrived for it; they are kept as a conflict";
        self.record_own(inode, content, None, what)
    }

    fn record_own(
        &mut self,
        inode: u64,
        content: Content,
        before: Option<ManifestRoot>,
        what: &'static str,
    ) -> Result<bool> {
        self.write(|opened, config| {
            let now_us = config.clock.now_us();
            let is_news = opened.core.late_write(inode, content, before, now_us)?;
            if is_news {
                tracing::warn!(inode, "{what}");
                // Nothing in the logs tells it.
                opened.commit(config)?;
            }
            Ok(is_news)
        })
    }

    /// Versions that lost and are small enough to be kept at every site; see [`Core::losers`].
    pub fn losers(
        &mut self,
        bytes_max: u64,
        since_us: TimestampUs,
    ) -> Result<Vec<(ContentVersion, u64)>> {
        self.with(|opened, _| opened.core.losers(bytes_max, since_us))
    }

    /// The path, below the root, under which an inode is shown.
    pub fn path_of(&mut self, inode: u64) -> Result<Option<Vec<Name>>> {
        self.with(|opened, _| opened.path_of(inode))
    }

    /// The path, below the root, under which an inode is shown, or else was last or is to be; and whether it is shown.
    pub fn last_path_of(&mut self, inode: u64) -> Result<Option<(Vec<Name>, bool)>> {
        self.with(|opened, _| opened.last_path_of(inode))
    }

    /// Inodes that wait for entries of `actor` and could not be applied, with the reason.
    pub fn parked_of(&mut self, actor: Actor) -> Result<Vec<(u64, String)>> {
        self.with(|opened, _| {
            let mut parked = opened.core.state().all_parked()?;
            let waiting = &opened.waiting;
            parked.retain(|(inode, why)| is_fault(why) && waiting.concerns(*inode, actor));
            Ok(parked)
        })
    }

    /// Last seq of every stream of the journal that holds entries.
    pub fn heads(&mut self) -> Result<BTreeMap<u32, u64>> {
        self.with(|opened, _| Ok(opened.heads()))
    }

    /// What an operator asks first.
    pub fn status(&mut self) -> Result<EngineStatus> {
        let last_failure = self.last_failure.clone();
        let held = self.held()?;
        self.with(|opened, config| {
            let state = opened.core.state();
            let (open_conflicts, conflicts) = state.conflict_counts()?;
            let mut parked = state.all_parked()?;
            let waits = |why: &str| parked.iter().filter(|(_, reason)| reason == why).count();
            let (fetching, overtaken) = (waits(WAITS_FOR_CONTENT), waits(WAITS_FOR_NEWER));
            parked.retain(|(_, reason)| is_fault(reason));
            Ok(EngineStatus {
                actor: opened.journal.actor(),
                heads: opened.heads(),
                written: opened.journal.written().clone(),
                journal_bytes: opened.journal.bytes(),
                waiting: opened.waiting.len(),
                parked,
                fetching,
                overtaken,
                open_conflicts,
                conflicts,
                members: opened.member_statuses(config)?,
                marks: opened.marks.clone(),
                last_failure,
                held,
                let_go: opened.reclaiming.freed,
            })
        })
    }

    /// Drops what is not durable, as a kill does; the next call opens the logs and the state again. For tests of
    /// recovery.
    pub fn forget(&mut self) {
        (self.open, self.wall) = (None, None);
    }

    /// Commits and ends. What is not open has nothing to commit.
    pub fn close(&mut self) -> Result<()> {
        if self.open.is_none() {
            return Ok(());
        }
        self.with(|opened, config| opened.commit(config))
    }

    /// Runs `work` on the open state; after a failure it is dropped and opened again from disk first.
    fn with<T>(&mut self, work: impl FnOnce(&mut Opened, &EngineConfig) -> Result<T>) -> Result<T> {
        let clock = &self.config.clock;
        let opened = match &mut self.open {
            Some(opened) => opened,
            None => {
                let began = clock.monotonic();
                let mut opened = open::open(&self.config, self.wall.clone())?;
                opened.minter.go_on_from(self.minted);
                self.full.opened(began, clock.monotonic());
                self.open.insert(opened)
            }
        };
        let result = work(opened, &self.config);
        if let Err(error) = &result {
            tracing::warn!(%error, "engine stopped, opening it again from disk");
            self.last_failure = Some(error.to_string());
            self.failed_at = Some(clock.monotonic());
            if error.is_disk_full() {
                self.full.failed(clock.monotonic());
            }
            if let Some(opened) = self.open.take() {
                self.minted = opened.minter.next();
                self.wall = Some(opened.wall);
            }
        }
        result
    }

    /// The same for what writes: while the disk is known to be full it is not tried at every call, since each failure
    /// costs a replay of the logs.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&mut Opened, &EngineConfig) -> Result<T>,
    ) -> Result<T> {
        if self.is_full() {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(ReplError::io("wait for room in", &self.config.dir, full));
        }
        self.with(work)
    }

    fn is_full(&self) -> bool {
        self.full.rests(self.config.clock.monotonic())
    }

    fn wake(&self) {
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Whether an image that was put off for `reason` needs a person, or another attempt later.
fn is_fault(reason: &str) -> bool {
    reason != WAITS_FOR_CONTENT && reason != WAITS_FOR_NEWER
}

impl Opened {
    /// Makes authored entries durable, then binds the files behind them.
    fn journal_all(&mut self, authored: Vec<Authored>) -> Result<()> {
        let mut groups = Vec::with_capacity(authored.len());
        let mut devices = Vec::new();
        for one in authored {
            for ((entry, device), _) in one.entries.iter().zip(&one.devices).zip(&one.seen) {
                devices.extend(device.map(|device| (entry.inode, device)));
            }
            let streams = one.entries.iter().map(|entry| entry.shard_id);
            let seen = streams.zip(one.seen).collect();
            groups.push(AppendGroup {
                entries: one.entries,
                trailers: one.devices,
                seen,
            });
        }
        failpoint::pass("append journal");
        self.journal.append(&groups)?;
        failpoint::pass("bind journaled");
        for (inode, device) in devices {
            self.core.state_mut().set_device(inode, Some(device))?;
        }
        Ok(())
    }

    /// Versions whose bytes are on no site give way to what this site shows of the files.
    fn keep_shown(&mut self, inodes: &[u64], now_us: u64) -> Result<()> {
        let mut authored = Vec::new();
        for inode in inodes {
            if let Some(txn) = self.core.keep_shown(*inode)? {
                authored.push(self.core.author(&txn, now_us)?);
                self.core.state_mut().set_parked(*inode, None)?;
            }
        }
        if authored.is_empty() {
            return Ok(());
        }
        self.journal_all(authored)
    }

    /// An image is put off: what waits for its bytes still counts as outstanding, what was replaced at its origin as
    /// done, everything else as parked.
    fn set_aside(&mut self, inode: u64, reason: &str) {
        match reason {
            WAITS_FOR_CONTENT => {}
            WAITS_FOR_NEWER => self.waiting.overtake(inode),
            _ => self.waiting.park(inode),
        }
    }

    /// What kept an inode from being shown may have passed.
    fn unpark(&mut self, inode: u64) -> Result<()> {
        if self.core.state().parked(inode)?.is_some() {
            self.core.state_mut().set_parked(inode, None)?;
            self.waiting.unpark_one(inode);
        }
        Ok(())
    }

    /// Takes note of what the connector shows. Returns whether there was anything.
    fn take_settled(&mut self) -> bool {
        let settled = self.core.take_settled();
        for inode in &settled {
            self.waiting.settle(*inode);
        }
        !settled.is_empty()
    }

    fn heads(&self) -> BTreeMap<u32, u64> {
        let points = self.journal.points().iter();
        points.map(|(stream, point)| (*stream, point.seq)).collect()
    }

    fn progress(&self, actor: Actor) -> Result<Vec<StreamProgress>> {
        let Some(log) = self.received.get(&actor) else {
            return Ok(Vec::new());
        };
        let mut streams = Vec::new();
        for (stream, cursor) in log.cursors() {
            let merged = self.core.state().cursor(actor, stream)?;
            let (parked, parked_count) = self.waiting.parked(actor, stream);
            streams.push(StreamProgress {
                actor,
                stream,
                received: cursor.seq,
                merged,
                applied: self.waiting.applied(actor, stream, merged),
                parked,
                parked_count,
            });
        }
        Ok(streams)
    }

    fn path_of(&self, inode: u64) -> Result<Option<Vec<Name>>> {
        let last = self.last_path_of(inode)?;
        Ok(last.and_then(|(path, is_shown)| is_shown.then_some(path)))
    }

    /// The path of an inode, through the places that are shown as far as there are any and through the last ones that
    /// were written beyond; and whether all of them are shown.
    fn last_path_of(&self, inode: u64) -> Result<Option<(Vec<Name>, bool)>> {
        let state = self.core.state();
        let (mut names, mut is_shown, mut at) = (Vec::new(), true, inode);
        while at != ROOT_INODE {
            let image = state.applied(at)?;
            let shown = image.as_ref().and_then(|image| image.links.first());
            let place = if let Some(link) = shown {
                Some((link.parent, link.name.clone()))
            } else {
                is_shown = false;
                let last = state.node(at)?.and_then(|node| node.last_place());
                last.map(|place| (place.parent, place.name))
            };
            let Some((parent, name)) = place else {
                return Ok(None);
            };
            if names.len() >= super::namespace::DEPTH_MAX {
                return Ok(None);
            }
            names.push(name);
            at = parent;
        }
        names.reverse();
        Ok(Some((names, is_shown)))
    }
}

#[cfg(test)]
mod tests;
