//! The order in which a daemon comes up and goes down.
//!
//! Up: lock, engine, tree, listener, peers. Down: peers tell that they go and drain, the tree stops between two
//! batches, the engine commits, the lock goes last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::causes::{Causes, Topic};
use super::certificates::Certificates;
use super::content::Fetcher;
use super::content::ask::Links;
use super::content::serve::TreeContent;
use super::keeper::{KeepSettings, Keeper};
use super::lock::StateLock;
use super::peer::{self, Identity, LocalSite, PeerView};
use super::restore::Restorer;
use super::status::{Reporter, TreeFacts};
use super::tasks::Tasks;
use super::worker::TreeWorker;
use crate::clock::{SharedClock, SystemClock};
use crate::conduit::client::GrpcDialer;
use crate::conduit::content::ContentServer;
use crate::conduit::link::{Link, Reconnect};
use crate::conduit::message::Role as WireRole;
use crate::conduit::peer::{Dialer, PeerConfig};
use crate::conduit::server::{Admission, Admissions, serve};
use crate::conduit::session::SessionLimits;
use crate::conduit::tls::Tls;
use crate::config::{Config, Role, SOCKET_FILE};
use crate::disk::RealDisk;
use crate::error::{ReplError, Result};
use crate::journal::LogOptions;
use crate::journal::dot::Actor;
use crate::sync::brake::BrakeRules;
use crate::sync::engine::{Engine, EngineConfig, Handle, Retention, start};
use crate::topology::SiteId;
use crate::tree::agenda::Pace;
use crate::tree::look::{Looker, Looks, looks};
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

/// A peer and what is known of it.
#[derive(Debug)]
pub(super) struct PeerHandle {
    pub(super) name: String,
    pub(super) link: Link,
    pub(super) view: Arc<Mutex<PeerView>>,
}

impl PeerHandle {
    /// What is known of it at this moment.
    pub(super) fn seen(&self) -> PeerView {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.clone()
    }
}

/// What an operator asks for at one start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StartOptions {
    /// The tree was restored by copy: take it for the one that was there.
    pub adopt_copy: bool,
    /// The wall clock is right, whatever the last stamp is.
    pub accept_clock: bool,
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
    peers: Arc<BTreeMap<SiteId, PeerHandle>>,
    unrelated: mpsc::Receiver<String>,
    certificates: Certificates,
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
        let causes = Causes::default();
        let certificates = Certificates::load(config, &clock, causes.clone())?;
        let listener = listen(config).await?;
        let tasks = Tasks::new();
        let engine = Engine::open(engine_config(config, asked, disk, &clock)?)?;
        let mut engine = found(config, engine.with_brake(brake_rules(config)))?;
        let actor = engine.actor()?;
        let (engine, engine_thread) = start(engine)?;
        let waker = Waker::new()?;
        let content = config.state.dir.join("content");
        let (fetcher, queue) = Fetcher::new(content, Arc::clone(&clock), waker.clone())?;
        let tree_state = tree_state(config)?;
        let facts = Arc::new(Mutex::new(TreeFacts::default()));
        let (looker, looks) = looks(waker.clone());
        let inlets = Inlets {
            fetcher: fetcher.clone(),
            looks,
            waker: waker.clone(),
            asked,
        };
        let shown = (&facts, &causes);
        let tree = start_tree(config, &tree_state, &engine, inlets, &clock, shown)?;
        // The connector has pinned the tree by then; this is another look at the same one.
        let root = Arc::new(pin::open(&config.tree.root, &tree_state)?);
        let server = TreeContent::new(Arc::clone(&root), engine.clone(), looker.clone());
        let server = Arc::new(server);
        let (unrelated, told_unrelated) = mpsc::channel(1);
        let parts = Parts {
            unrelated,
            config,
            clock: &clock,
            tasks: &tasks,
            engine: &engine,
            tls: certificates.tls(),
            causes: &causes,
            facts: &facts,
            looker,
            actor,
        };
        let (peers, links, admissions) = parts.start_peers(&server)?;
        if let Some(listener) = listener {
            serve(&tasks, listener, certificates.tls().cloned(), admissions);
        }
        let restorer = restorer(config, &root, &engine, &links, &clock);
        parts.answer_operators(&peers, &fetcher, restorer)?;
        let keeper = Keeper::new(root, engine.clone(), keep_settings(config));
        let keeping = super::keeper::run(tasks.clone(), keeper, Arc::clone(&links), clock);
        tasks.spawn("trash", keeping);
        let fetching = fetcher.run(tasks.clone(), engine.clone(), links, queue);
        tasks.spawn("content", fetching);
        tasks.spawn("tick", tick(tasks.clone(), engine.clone(), causes));
        let waking = wake_tree(tasks.clone(), engine.changes(), waker);
        tasks.spawn("wake tree", waking);
        Ok(Self {
            tasks,
            engine,
            engine_thread,
            tree,
            peers,
            unrelated: told_unrelated,
            certificates,
            lock,
        })
    }

    /// The certificates, to have them read again.
    #[must_use]
    pub fn certificates(&self) -> Certificates {
        self.certificates.clone()
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
            certificates: _,
            lock,
        } = self;
        for peer in peers.values() {
            peer.link.stop();
        }
        tree.stop.store(true, Ordering::SeqCst);
        tree.waker.wake();
        join("tree", tree.thread).await;
        let left = tasks.shutdown(DRAIN).await;
        if !left.is_empty() {
            tracing::warn!(?left, "tasks did not end in time");
        }
        drop((engine, peers));
        join("engine", engine_thread).await;
        drop(lock);
    }
}

/// Peers, where their content is asked for, and who may connect.
type Peers = (Arc<BTreeMap<SiteId, PeerHandle>>, Links, Admissions);

/// What every peer is tied to.
struct Parts<'a> {
    unrelated: mpsc::Sender<String>,
    config: &'a Config,
    clock: &'a SharedClock,
    tasks: &'a Tasks,
    engine: &'a Handle,
    tls: Option<&'a Arc<Tls>>,
    causes: &'a Causes,
    facts: &'a Arc<Mutex<TreeFacts>>,
    looker: Looker,
    actor: Actor,
}

impl Parts<'_> {
    /// Listens on the admin socket.
    fn answer_operators(
        &self,
        peers: &Arc<BTreeMap<SiteId, PeerHandle>>,
        fetcher: &Fetcher,
        restorer: Restorer,
    ) -> Result<()> {
        let config = self.config;
        let reporter = Reporter {
            site: (config.site.id, config.site.name.clone()),
            engine: self.engine.clone(),
            peers: Arc::clone(peers),
            tree: Arc::clone(self.facts),
            causes: self.causes.clone(),
            looker: self.looker.clone(),
            root: config.tree.root.clone(),
            restorer,
            fetcher: fetcher.clone(),
            budget_bytes: config.state.journal_budget_bytes,
            started: self.clock.monotonic(),
            clock: Arc::clone(self.clock),
        };
        let socket = config.state.dir.join(SOCKET_FILE);
        crate::admin::service::serve(self.tasks, socket, Arc::new(reporter))
    }

    /// Starts the loops of all peers.
    fn start_peers(&self, server: &Arc<TreeContent>) -> Result<Peers> {
        let admissions = Admissions::new();
        let (mut peers, mut links) = (BTreeMap::new(), BTreeMap::new());
        for other in &self.config.peers {
            let server = Arc::clone(server) as Arc<dyn ContentServer>;
            let (content, transports) =
                crate::conduit::content::spawn(self.tasks, other.id, server);
            links.insert(other.id, content);
            let dialer = GrpcDialer {
                local_name: self.config.site.name.clone(),
                remote_name: other.name.clone(),
                tls: self.tls.cloned(),
                tasks: self.tasks.clone(),
                content: Some(transports.clone()),
            };
            let local = self.local_site(other.id, &other.name);
            let peer = peer_config(self.config, other, &local, dialer)?;
            let (link, accepted) = crate::conduit::peer::spawn(self.tasks, peer);
            let admission = Admission {
                replicate: accepted,
                content: Some(transports),
            };
            admissions.admit(other.name.clone(), admission);
            peer::spawn(self.tasks, link.clone(), &local);
            let view = Arc::clone(&local.seen);
            peers.insert(
                other.id,
                PeerHandle {
                    name: other.name.clone(),
                    link,
                    view,
                },
            );
        }
        Ok((Arc::new(peers), Arc::new(links), admissions))
    }

    fn local_site(&self, id: SiteId, name: &str) -> Arc<LocalSite> {
        let site = &self.config.site;
        let role = match site.role {
            Role::Bidirectional => WireRole::Bidirectional,
            Role::Primary => WireRole::Primary,
            Role::Replica => WireRole::Replica,
        };
        Arc::new(LocalSite {
            identity: Identity {
                name: site.name.clone(),
                cluster: site.cluster.clone(),
                role,
            },
            actor: self.actor,
            remote: (id, name.to_owned()),
            engine: self.engine.clone(),
            clock: Arc::clone(self.clock),
            seen: Arc::default(),
            tree: Arc::clone(self.facts),
            causes: self.causes.clone(),
            unrelated: self.unrelated.clone(),
        })
    }
}

/// A site that has files before anything is journaled brings the tree of its cluster, and says so in its journal.
fn found(config: &Config, mut engine: Engine) -> Result<Engine> {
    let is_new = engine.heads()?.is_empty() && !engine.joined()? && !engine.has_met_empty()?;
    if is_new && config.site.role != Role::Replica {
        let policy = Policy::excluding(&config.tree.exclude)?;
        if first_file(&config.tree.root, &policy)?.is_some() {
            engine.found(&config.site.name)?;
        }
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

async fn listen(config: &Config) -> Result<Option<TcpListener>> {
    let Some(address) = config.conduit.listen else {
        return Ok(None);
    };
    super::listen::listen(address).await.map(Some)
}

fn engine_config(
    config: &Config,
    asked: StartOptions,
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
    options.adopt_copy = inlets.asked.adopt_copy;
    options.rescan_every = config.tree.scan_interval;
    options.blind_rescan_every = options.blind_rescan_every.min(config.tree.scan_interval);
    options.watches = std::env::var_os(INOTIFY).is_none_or(|value| value != "off");
    options.pace = Pace {
        settle: config.tree.settle,
        settle_max: config.tree.settle_max,
    };
    let (engine, time) = (engine.clone(), Arc::clone(clock));
    let (fetcher, looks, waker) = (inlets.fetcher, inlets.looks, inlets.waker.clone());
    let open = move || {
        let (engine, source) = (Box::new(engine.clone()), Box::new(fetcher.clone()));
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

fn restorer(
    config: &Config,
    root: &Arc<Root>,
    engine: &Handle,
    links: &Links,
    clock: &SharedClock,
) -> Restorer {
    let peers = config.peers.iter();
    Restorer {
        root: Arc::clone(root),
        engine: engine.clone(),
        links: Arc::clone(links),
        clock: Arc::clone(clock),
        names: peers.map(|peer| (peer.id, peer.name.clone())).collect(),
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

fn peer_config(
    config: &Config,
    other: &crate::config::PeerConfig,
    local: &Arc<LocalSite>,
    dialer: GrpcDialer,
) -> Result<PeerConfig> {
    let mut seed = [0u8; 8];
    getrandom(&mut seed, GetRandomFlags::empty())
        .map_err(|e| ReplError::io("read", "random numbers", e))?;
    let mut limits = SessionLimits::default();
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    limits.window.entries = size(config.conduit.window_entries);
    limits.window.bytes = size(config.conduit.window_bytes);
    let dialer: Arc<dyn Dialer> = Arc::new(dialer);
    Ok(PeerConfig {
        remote_site_id: other.id,
        endpoints: other.endpoints.iter().map(ToString::to_string).collect(),
        limits,
        reconnect: Reconnect {
            min: config.conduit.reconnect_delay,
            max: config.conduit.max_reconnect_delay,
            seed: u64::from_le_bytes(seed),
        },
        clock: Arc::clone(&local.clock),
        local: Arc::clone(local) as Arc<dyn crate::conduit::link::Local>,
        dialer: (!other.endpoints.is_empty()).then_some(dialer),
    })
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
            engine.clock_ahead()
        });
        match ticked.await {
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
