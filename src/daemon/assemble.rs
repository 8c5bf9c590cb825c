//! The order in which a daemon comes up and goes down.
//!
//! Up: lock, engine, tree, listener, peers. Down: peers tell that they go and drain, the tree stops between two
//! batches, the engine commits, the lock goes last.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::board::Board;
use super::causes::{Causes, Topic};
use super::certificates::Certificates;
use super::content::Fetcher;
use super::content::ask::Links;
use super::content::serve::TreeContent;
use super::events::Events;
use super::invite::Inviter;
use super::keeper::{KeepSettings, Keeper};
use super::lock::StateLock;
use super::logs::Logs;
use super::matching::Matcher;
use super::peers::Peers;
use super::reload::Reloader;
use super::restore::Restorer;
use super::roster::Roster;
use super::status::{Reporter, TreeFacts};
use super::tasks::Tasks;
use super::worker::TreeWorker;
use crate::admin::access::Access;
use crate::admin::service::Doors;
use crate::admin::transitions::event;
use crate::admin::view::Level;
use crate::clock::{SharedClock, SystemClock};
use crate::conduit::server::{Admissions, serve};
use crate::conduit::tls::Tls;
use crate::config::{Config, Existing, Role};
use crate::disk::RealDisk;
use crate::error::{ReplError, Result};
use crate::journal::LogOptions;
use crate::journal::dot::Actor;
use crate::sync::brake::BrakeRules;
use crate::sync::engine::{Engine, EngineConfig, Handle, Reclaim, Retention, start};
use crate::tree::agenda::Pace;
use crate::tree::look::{Looker, Looks, looks};
use crate::tree::matching::Filled;
use crate::tree::policy::Policy;
use crate::tree::populated::first_file;
use crate::tree::root::Root;
use crate::tree::wake::Waker;
use crate::tree::{Connector, ConnectorOptions, pin};

/// How long tasks may take to end: a shutdown drains at most that long.
const DRAIN: Duration = Duration::from_secs(20);
/// Environment variable that turns inotify off when it says `off`: for tests of scanning alone, and for filesystems
/// whose notices cannot be trusted.
const INOTIFY: &str = "CFS_REPL_INOTIFY";
/// How often the state is written out.
const TICK: Duration = Duration::from_secs(1);

/// What an operator asks for at one start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartOptions {
    /// The tree was restored by copy: take it for the one that was there.
    pub adopt_copy: bool,
    /// The wall clock is right, whatever the last stamp is.
    pub accept_clock: bool,
    /// The file of the configuration, which is read again when an operator asks for it. None: it stays as it is.
    pub config_file: Option<PathBuf>,
}

/// Why the daemon ends.
#[derive(Debug)]
pub enum Exit {
    /// It was asked to.
    Stopped,
    /// A part that it cannot do without failed.
    Failed(ReplError),
    /// Its tree and that of its peers have no common history, and it has no part in anything else.
    Unrelated {
        /// Name of the peer that was met.
        site: String,
    },
}

/// A running site.
#[derive(Debug)]
pub struct Daemon {
    tasks: Tasks,
    engine: Handle,
    engine_thread: JoinHandle<()>,
    tree: TreeThread,
    peers: Peers,
    unrelated: mpsc::Receiver<String>,
    reloader: Reloader,
    events: Events,
    lock: StateLock,
}

/// The connector's thread.
#[derive(Debug)]
struct TreeThread {
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<()>,
    ended: mpsc::Receiver<ReplError>,
}

/// What the connector is given beside its configuration.
struct Inlets {
    fetcher: Fetcher,
    looks: Looks,
    waker: Waker,
    asked: StartOptions,
    /// Set as long as the tree is compared with that of the cluster.
    matches: Option<Filled>,
}

impl Daemon {
    /// Brings a site up.
    ///
    /// # Errors
    /// The first part that does not come up, with what it needs.
    pub async fn start(config: &Config) -> Result<Self> {
        Self::start_with(config, StartOptions::default()).await
    }

    /// Brings a site up in a way that an operator asked for this once.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub async fn start_with(config: &Config, asked: StartOptions) -> Result<Self> {
        let clock: SharedClock = Arc::new(SystemClock);
        let disk = RealDisk::shared();
        disk.create_dir(&config.state.dir)?;
        let lock = StateLock::take(&config.state.dir)?;
        let tasks = Tasks::new();
        let events = Events::open(&tasks, &config.state.dir, Arc::clone(&clock))?;
        let causes = Causes::telling(events.clone());
        let certificates = Certificates::load(config, &clock, causes.clone())?;
        let listener = listen(config.conduit.listen).await?;
        let engine = Engine::open(engine_config(config, &asked, disk, &clock)?)?;
        let engine = found(config, engine.with_brake(brake_rules(config)))?;
        let base = Base {
            config,
            asked,
            clock,
            tasks,
            events,
            causes,
        };
        let listeners = Listeners {
            conduit: listener,
            admin: listen(config.admin.listen).await?,
            metrics: listen(config.metrics.listen).await?,
        };
        base.start(engine, certificates, listeners, lock)
    }

    /// What reads configuration and certificates again.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> &Handle {
        &self.engine
    }

    /// Waits until `stop` is ready or a part fails, then goes down in order.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Exit {
        let exit = tokio::select! {
            () = stop => Exit::Stopped,
            () = self.tasks.token().cancelled() => {
                Exit::Failed(ReplError::network("task", "a task panicked; see the log"))
            }
            ended = self.tree.ended.recv() => match ended {
                Some(error) => Exit::Failed(error),
                None => Exit::Stopped,
            },
            Some(site) = self.unrelated.recv() => Exit::Unrelated { site },
        };
        self.shut_down().await;
        exit
    }

    async fn shut_down(self) {
        let Self {
            tasks,
            engine,
            engine_thread,
            tree,
            peers,
            unrelated: _,
            reloader,
            events,
            lock,
        } = self;
        let text = "asked to stop".to_owned();
        events.tell(event(Level::Info, "daemon.stopping", None, text));
        for peer in peers.all().values() {
            peer.link.stop();
        }
        tree.stop.store(true, Ordering::SeqCst);
        tree.waker.wake();
        join("tree", tree.thread).await;
        let left = tasks.shutdown(DRAIN).await;
        if !left.is_empty() {
            tracing::warn!(?left, "tasks did not end in time");
        }
        drop((engine, peers, reloader, events));
        join("engine", engine_thread).await;
        drop(lock);
    }
}

/// What every part is started with.
struct Base<'a> {
    config: &'a Config,
    asked: StartOptions,
    clock: SharedClock,
    tasks: Tasks,
    events: Events,
    causes: Causes,
}

/// The addresses that were taken.
struct Listeners {
    conduit: Option<TcpListener>,
    admin: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

/// What operators are answered from, besides the roster.
struct Answering {
    tree: Arc<Mutex<TreeFacts>>,
    looker: Looker,
    root: Arc<Root>,
    fetcher: Fetcher,
    reloader: Reloader,
    inviter: Inviter,
}

impl Base<'_> {
    /// Starts the parts, from the engine up.
    fn start(
        self,
        mut engine: Engine,
        certificates: Certificates,
        listeners: Listeners,
        lock: StateLock,
    ) -> Result<Daemon> {
        let (config, clock, tasks) = (self.config, &self.clock, &self.tasks);
        let Listeners {
            conduit: listener,
            admin,
            metrics,
        } = listeners;
        let (actor, paused) = (engine.actor()?, engine.paused()?);
        let matches = engine.is_matching()?.then(Filled::default);
        let (engine, engine_thread) = start(engine)?;
        let waker = Waker::new()?;
        let content = config.state.dir.join("content");
        let (fetcher, queue) = Fetcher::new(content, Arc::clone(clock), waker.clone())?;
        let tree_state = tree_state(config)?;
        let facts = Arc::new(Mutex::new(TreeFacts::default()));
        let (looker, looks) = looks(waker.clone());
        let inlets = Inlets {
            fetcher: fetcher.clone(),
            looks,
            waker: waker.clone(),
            asked: self.asked.clone(),
            matches: matches.clone(),
        };
        let shown = (&facts, &self.causes);
        let tree = start_tree(config, &tree_state, &engine, inlets, clock, shown)?;
        // The connector has pinned the tree by then; this is another look at the same one.
        let root = Arc::new(pin::open(&config.tree.root, &tree_state)?);
        let server = TreeContent::new(Arc::clone(&root), engine.clone(), looker.clone());
        let (unrelated, told_unrelated) = mpsc::channel(1);
        let tied = (&facts, unrelated);
        let roster = self.roster(&engine, actor, &certificates, server, tied);
        for other in &config.peers {
            roster.add(other, &config.conduit, paused.contains(&other.id))?;
        }
        let reloader = self.reloader(certificates, &roster);
        let inviter = inviter(&reloader, &engine, clock);
        if let Some(listener) = listener {
            let (tls, admissions) = (roster.tls.clone(), roster.admissions.clone());
            let join = Arc::new(inviter.clone());
            serve(tasks, listener, tls, admissions, Some(join));
        }
        let answering = Answering {
            tree: facts,
            looker,
            root,
            fetcher: fetcher.clone(),
            reloader: reloader.clone(),
            inviter,
        };
        if let Some(filled) = matches {
            self.spawn_matcher(&roster, filled, waker.clone());
        }
        self.spawn_keepers(&answering, &roster, waker);
        self.answer_operators(answering, &roster, (admin, metrics))?;
        let fetching = fetcher.run(tasks.clone(), engine.clone(), roster.links, queue);
        tasks.spawn("content", fetching);
        let text = format!("cfs-repl {} started", env!("CARGO_PKG_VERSION"));
        let told = event(Level::Info, "daemon.started", None, text);
        self.events.tell(told);
        Ok(Daemon {
            tasks: self.tasks,
            engine,
            engine_thread,
            tree,
            peers: roster.peers,
            unrelated: told_unrelated,
            reloader,
            events: self.events,
            lock,
        })
    }

    /// Tells the tree when this site has what the others have.
    fn spawn_matcher(&self, roster: &Roster, filled: Filled, waker: Waker) {
        let matcher = Matcher {
            engine: roster.engine.clone(),
            peers: roster.peers.clone(),
            causes: self.causes.clone(),
            filled,
            waker,
        };
        self.tasks
            .spawn("matching", matcher.run(self.tasks.clone()));
    }

    /// What keeps the state in order and the tree awake.
    fn spawn_keepers(&self, answering: &Answering, roster: &Roster, waker: Waker) {
        let (tasks, engine) = (&self.tasks, &roster.engine);
        let root = Arc::clone(&answering.root);
        let keeper = Keeper::new(root, engine.clone(), keep_settings(self.config));
        let (links, clock) = (roster.links.clone(), Arc::clone(&self.clock));
        let keeping = super::keeper::run(tasks.clone(), keeper, links, clock);
        tasks.spawn("trash", keeping);
        let ticking = tick(tasks.clone(), engine.clone(), self.causes.clone());
        tasks.spawn("tick", ticking);
        let waking = wake_tree(tasks.clone(), engine.changes(), waker);
        tasks.spawn("wake tree", waking);
    }

    fn roster(
        &self,
        engine: &Handle,
        actor: Actor,
        certificates: &Certificates,
        server: TreeContent,
        (facts, unrelated): (&Arc<Mutex<TreeFacts>>, mpsc::Sender<String>),
    ) -> Roster {
        Roster {
            tasks: self.tasks.clone(),
            site: self.config.site.clone(),
            engine: engine.clone(),
            clock: Arc::clone(&self.clock),
            tls: certificates.tls().cloned(),
            causes: self.causes.clone(),
            facts: Arc::clone(facts),
            server: Arc::new(server),
            actor,
            unrelated,
            peers: Peers::default(),
            links: Links::default(),
            admissions: Admissions::new(),
        }
    }

    fn reloader(&self, certificates: Certificates, roster: &Roster) -> Reloader {
        Reloader {
            file: self.asked.config_file.clone(),
            config: Arc::new(Mutex::new(self.config.clone())),
            certificates,
            roster: roster.clone(),
            causes: self.causes.clone(),
            events: self.events.clone(),
            turn: Arc::default(),
        }
    }

    /// Listens on the admin socket, and tells what happens.
    fn answer_operators(
        &self,
        answering: Answering,
        roster: &Roster,
        (admin, metrics): (Option<TcpListener>, Option<TcpListener>),
    ) -> Result<()> {
        let (config, clock, tasks) = (self.config, &self.clock, &self.tasks);
        let peers = roster.peers.clone();
        let engine = roster.engine.clone();
        let reloader = answering.reloader.clone();
        let reporter = Arc::new(Reporter {
            site: (config.site.id, config.site.name.clone()),
            board: Board::start(tasks, engine.clone(), peers.clone(), Arc::clone(clock)),
            engine,
            peers,
            tree: answering.tree,
            causes: self.causes.clone(),
            looker: answering.looker,
            root: config.tree.root.clone(),
            restorer: restorer(&answering.root, roster, clock),
            logs: Logs::in_state(
                &config.state.dir,
                BTreeMap::from([(config.site.id, config.site.name.clone())]),
            ),
            events: self.events.clone(),
            reloader: answering.reloader,
            inviter: answering.inviter,
            fetcher: answering.fetcher,
            budget_bytes: config.state.journal_budget_bytes,
            started: clock.monotonic(),
            clock: Arc::clone(clock),
        });
        let doors = doors(config, admin, roster.tls.as_ref())?;
        crate::admin::service::serve(tasks, doors, Arc::clone(&reporter) as _)?;
        if let Some(listener) = metrics {
            super::exposition::serve(tasks, listener, Arc::clone(&reporter) as _);
        }
        super::alerts::start(tasks, &self.events, config.alerts.clone(), &config.site);
        let witness = super::witness::run(tasks.clone(), reporter, reloader);
        tasks.spawn("witness", witness);
        Ok(())
    }
}

/// Where operators ask, and who may.
fn doors(config: &Config, listener: Option<TcpListener>, tls: Option<&Arc<Tls>>) -> Result<Doors> {
    let admin = &config.admin;
    let access = Access {
        own_uid: rustix::process::geteuid().as_raw(),
        look_gid: gid("admin.read_group", admin.read_group.as_deref())?,
        act_gid: gid("admin.write_group", admin.write_group.as_deref())?,
        certificates: admin.allow.clone(),
    };
    Ok(Doors {
        socket: admin.socket.clone(),
        access,
        network: listener.zip(tls.cloned()),
    })
}

/// The number of a group of this system.
fn gid(key: &str, name: Option<&str>) -> Result<Option<u32>> {
    let Some(name) = name else { return Ok(None) };
    let group = uzers::get_group_by_name(name).ok_or_else(|| {
        let why =
            "there is no such group on this system: create it (groupadd), or correct the name";
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, why);
        ReplError::io("look up the group of", format!("{key} \"{name}\""), missing)
    })?;
    Ok(Some(group.gid()))
}

/// A site that has files before anything is journaled brings the tree of its cluster, and says so in its journal.
fn found(config: &Config, mut engine: Engine) -> Result<Engine> {
    if config.tree.existing == Existing::Bring && engine.is_matching()? && !engine.joined()? {
        engine.set_matching(false)?;
    }
    let is_new = engine.heads()?.is_empty() && !engine.joined()? && !engine.has_met_empty()?;
    let policy = Policy::excluding(&config.tree.exclude)?;
    if !is_new || first_file(&config.tree.root, &policy)?.is_none() {
        return Ok(engine);
    }
    match (config.tree.existing, config.site.role) {
        (Existing::Match, _) => engine.set_matching(true)?,
        (Existing::Bring, Role::Bidirectional | Role::Primary) => {
            engine.found(&config.site.name)?;
        }
        (Existing::Bring, Role::Replica) => {}
    }
    Ok(engine)
}

async fn join(name: &'static str, thread: JoinHandle<()>) {
    let joined = tokio::task::spawn_blocking(move || thread.join().is_ok());
    let ended = tokio::time::timeout(DRAIN, joined).await;
    if !matches!(ended, Ok(Ok(true))) {
        tracing::warn!(thread = name, "thread did not end well");
    }
}

async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    let Some(address) = address else {
        return Ok(None);
    };
    super::listen::listen(address).await.map(Some)
}

fn engine_config(
    config: &Config,
    asked: &StartOptions,
    disk: crate::disk::SharedDisk,
    clock: &SharedClock,
) -> Result<EngineConfig> {
    let mut random = [0u8; 8];
    getrandom(&mut random, GetRandomFlags::empty())
        .map_err(|e| ReplError::io("read", "random numbers", e))?;
    Ok(EngineConfig {
        dir: config.state.dir.clone(),
        disk,
        clock: Arc::clone(clock),
        log: LogOptions::default(),
        site_id: config.site.id,
        incarnation: u64::from_le_bytes(random),
        applies: config.site.role != Role::Primary,
        sends: config.site.role != Role::Replica,
        retention: Retention {
            members: config
                .peers
                .iter()
                .map(|peer| (peer.id, peer.name.clone()))
                .collect(),
            budget_bytes: config.state.journal_budget_bytes,
            keep_bytes: config.state.journal_keep_bytes,
            max_absence: config.state.max_absence,
        },
        accept_clock: asked.accept_clock,
        reclaim: config.state.reclaim.then(Reclaim::default),
    })
}

fn brake_rules(config: &Config) -> BrakeRules {
    BrakeRules {
        percent: config.tree.brake_percent,
        files_min: config.tree.brake_files,
        window_us: u64::try_from(config.tree.brake_window.as_micros()).unwrap_or(u64::MAX),
    }
}

fn tree_state(config: &Config) -> Result<PathBuf> {
    let dir = config.state.dir.join("tree");
    std::fs::create_dir_all(&dir).map_err(|e| ReplError::io("create", &dir, e))?;
    Ok(dir)
}

/// Opens the connector and gives it its thread.
fn start_tree(
    config: &Config,
    state: &Path,
    engine: &Handle,
    inlets: Inlets,
    clock: &SharedClock,
    (facts, causes): (&Arc<Mutex<TreeFacts>>, &Causes),
) -> Result<TreeThread> {
    let mut options = ConnectorOptions::new(&config.tree.root, state);
    options.policy = Policy::excluding(&config.tree.exclude)?;
    options.receive_only = config.site.role == Role::Replica;
    options.matches = inlets.matches;
    options.adopt_copy = inlets.asked.adopt_copy;
    options.rescan_every = config.tree.scan_interval;
    options.blind_rescan_every = options.blind_rescan_every.min(config.tree.scan_interval);
    options.watches = std::env::var_os(INOTIFY).is_none_or(|value| value != "off");
    options.pace = Pace {
        settle: config.tree.settle,
        settle_max: config.tree.settle_max,
    };
    let (opening, time) = (engine.clone(), Arc::clone(clock));
    let (fetcher, looks, waker) = (inlets.fetcher, inlets.looks, inlets.waker.clone());
    let open = move || {
        let (engine, source) = (Box::new(opening.clone()), Box::new(fetcher.clone()));
        let mut connector = Connector::new(options.clone(), engine, source, Arc::clone(&time))?;
        connector.take_looks(looks.clone());
        connector.set_waker(waker.clone());
        tracing::info!(recovery = ?connector.recovery(), "opened tree");
        Ok(connector)
    };
    let connector = open()?;
    let stop = Arc::new(AtomicBool::new(false));
    let (failed, ended) = mpsc::channel(1);
    let worker = TreeWorker {
        stop: Arc::clone(&stop),
        clock: Arc::clone(clock),
        facts: Arc::clone(facts),
        causes: causes.clone(),
        site: config.site.name.clone(),
        engine: engine.clone(),
    };
    let run = move || {
        if let Err(error) = worker.run(connector, &open) {
            tracing::error!(%error, "tree connector stopped");
            drop(failed.blocking_send(error));
        }
    };
    let thread = std::thread::Builder::new()
        .name("tree".to_owned())
        .spawn(run)
        .map_err(|e| ReplError::io("start thread", "tree", e))?;
    Ok(TreeThread {
        stop,
        waker: inlets.waker,
        thread,
        ended,
    })
}

fn inviter(reloader: &Reloader, engine: &Handle, clock: &SharedClock) -> Inviter {
    Inviter {
        engine: engine.clone(),
        reloader: reloader.clone(),
        events: reloader.events.clone(),
        clock: Arc::clone(clock),
        turn: Arc::default(),
    }
}

fn restorer(root: &Arc<Root>, roster: &Roster, clock: &SharedClock) -> Restorer {
    let peers = roster.peers.clone();
    Restorer {
        root: Arc::clone(root),
        engine: roster.engine.clone(),
        links: roster.links.clone(),
        clock: Arc::clone(clock),
        name_of: Box::new(move |site| peers.name_of(site)),
        count: AtomicU64::new(0),
    }
}

fn keep_settings(config: &Config) -> KeepSettings {
    KeepSettings {
        percent: config.conflicts.keep_percent,
        retention: config.conflicts.retention,
        keep_deleted: config.trash.keep_deleted,
        everywhere_bytes: config.conflicts.everywhere_bytes,
    }
}

/// Calls the connector whenever the engine may have work for it.
async fn wake_tree(tasks: Tasks, mut changes: watch::Receiver<u64>, waker: Waker) {
    loop {
        // Cancel-safe: a change that is not awaited to the end is still to be seen.
        let changed = tokio::select! {
            () = tasks.token().cancelled() => return,
            changed = changes.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        waker.wake();
    }
}

async fn tick(tasks: Tasks, engine: Handle, causes: Causes) {
    let mut every = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            () = tasks.token().cancelled() => return,
            _ = every.tick() => {}
        }
        let ticked = engine.ask(|engine| {
            engine.tick()?;
            Ok((engine.clock_ahead()?, engine.takeover()?.is_some()))
        });
        let ticked = ticked.await;
        if matches!(ticked, Ok((_, false))) {
            causes.clear_snapshots();
        }
        match ticked.map(|(ahead, _)| ahead) {
            Ok(Some(ahead)) => causes.set(
                Topic::Clock,
                format!(
                    "the clock of this site is {} minutes ahead of its last stamp, and nothing says that it is right: \
                     changes made here are stamped at the old pace and may lose to older ones",
                    ahead.as_secs() / 60
                ),
                "it is believed as soon as a peer's clock agrees; where no peer is reached and it is right, start the \
                 daemon once with: cfs-repl run --accept-clock; where it is wrong, set it",
            ),
            Ok(None) => drop(causes.clear(Topic::Clock)),
            Err(error) => tracing::warn!(%error, "state was not written out"),
        }
    }
}
