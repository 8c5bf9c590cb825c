//! The order in which a daemon comes up and goes down.
//!
//! Up: lock, engine, tree, listener, peers. Down: peers tell that they go and drain, the tree stops between two
//! batches, the engine commits, the lock goes last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use tokio::net::TcpListener;

use super::causes::{Causes, Topic};
use super::certificates::Certificates;
use super::content::{Fetcher, Links, TreeContent};
use super::lock::StateLock;
use super::peer::{self, Identity, LocalSite, PeerView};
use super::status::{Reporter, TreeFacts, note};
use super::tasks::Tasks;
use crate::clock::{SharedClock, SystemClock};
use crate::conduit::client::GrpcDialer;
use crate::conduit::content::ContentServer;
use crate::conduit::link::{Link, Reconnect};
use crate::conduit::message::Role as WireRole;
use crate::conduit::peer::{Dialer, PeerConfig};
use crate::conduit::server::{Admission, Admissions, serve};
use crate::conduit::session::SessionLimits;
use crate::conduit::tls::Tls;
use crate::config::{Config, Role};
use crate::disk::RealDisk;
use crate::error::{ReplError, Result};
use crate::journal::LogOptions;
use crate::sync::engine::{Engine, EngineConfig, Handle, start};
use crate::topology::SiteId;
use crate::tree::policy::Policy;
use crate::tree::scan::ScanReport;
use crate::tree::trash::TrashLimits;
use crate::tree::walk::{Note, NoteKind};
use crate::tree::{Connector, ConnectorEvent, ConnectorOptions, pin};

/// How long tasks may take to end: a shutdown drains at most that long.
const DRAIN: Duration = Duration::from_secs(20);
/// Environment variable that turns inotify off when it says `off`: for tests of scanning alone, and for filesystems
/// whose notices cannot be trusted.
const INOTIFY: &str = "CFS_REPL_INOTIFY";
/// How long a tree whose state folder is full rests before it is tried again.
const ROOM_PAUSE: Duration = Duration::from_secs(1);
/// How often the state is written out.
const TICK: Duration = Duration::from_secs(1);

/// A peer and what is known of it.
#[derive(Debug)]
pub(super) struct PeerHandle {
    pub(super) name: String,
    pub(super) link: Link,
    pub(super) view: Arc<Mutex<PeerView>>,
}

/// Why the daemon ends.
#[derive(Debug)]
pub enum Exit {
    /// It was asked to.
    Stopped,
    /// A part that it cannot do without failed.
    Failed(ReplError),
}

/// A running site.
#[derive(Debug)]
pub struct Daemon {
    tasks: Tasks,
    engine: Handle,
    engine_thread: JoinHandle<()>,
    tree: TreeThread,
    peers: Arc<BTreeMap<SiteId, PeerHandle>>,
    certificates: Certificates,
    lock: StateLock,
}

/// The connector's thread.
#[derive(Debug)]
struct TreeThread {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    ended: tokio::sync::mpsc::Receiver<ReplError>,
}

impl Daemon {
    /// Brings a site up.
    ///
    /// # Errors
    /// The first part that does not come up, with what it needs.
    pub async fn start(config: &Config) -> Result<Self> {
        let clock: SharedClock = Arc::new(SystemClock);
        let disk = RealDisk::shared();
        disk.create_dir(&config.state.dir)?;
        let lock = StateLock::take(&config.state.dir)?;
        let causes = Causes::default();
        let certificates = Certificates::load(config, &clock, causes.clone())?;
        let listener = listen(config).await?;
        let tasks = Tasks::new();
        let engine_config = engine_config(config, disk, &clock)?;
        let (engine, engine_thread) = start(Engine::open(engine_config)?)?;
        let (fetcher, queue) = Fetcher::new(config.state.dir.join("content"), Arc::clone(&clock))?;
        let tree_state = tree_state(config)?;
        let facts = Arc::new(Mutex::new(TreeFacts::default()));
        let tree = start_tree(
            config,
            &tree_state,
            &engine,
            fetcher.clone(),
            &clock,
            (&facts, &causes),
        )?;
        // The connector has pinned the tree by then; this is another look at the same one.
        let root = pin::open(&config.tree.root, &tree_state)?;
        let server = Arc::new(TreeContent::new(root, engine.clone()));
        let parts = Parts {
            config,
            clock: &clock,
            tasks: &tasks,
            engine: &engine,
            tls: certificates.tls(),
            causes: &causes,
        };
        let (peers, links, admissions) = parts.start_peers(&server)?;
        if let Some(listener) = listener {
            serve(&tasks, listener, certificates.tls().cloned(), admissions);
        }
        let reporter = Reporter {
            site: (config.site.id, config.site.name.clone()),
            engine: engine.clone(),
            peers: Arc::clone(&peers),
            tree: facts,
            causes,
            root: config.tree.root.clone(),
            tree_state,
            budget_bytes: config.state.journal_budget_bytes,
            started: clock.monotonic(),
            clock,
        };
        crate::admin::service::serve(
            &tasks,
            config.state.dir.join("admin.sock"),
            Arc::new(reporter),
        )?;
        tasks.spawn("content", fetcher.run(tasks.clone(), links, queue));
        tasks.spawn("tick", tick(tasks.clone(), engine.clone()));
        Ok(Self {
            tasks,
            engine,
            engine_thread,
            tree,
            peers,
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
            certificates: _,
            lock,
        } = self;
        for peer in peers.values() {
            peer.link.stop();
        }
        tree.stop.store(true, Ordering::SeqCst);
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
    config: &'a Config,
    clock: &'a SharedClock,
    tasks: &'a Tasks,
    engine: &'a Handle,
    tls: Option<&'a Arc<Tls>>,
    causes: &'a Causes,
}

impl Parts<'_> {
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
            remote: (id, name.to_owned()),
            engine: self.engine.clone(),
            clock: Arc::clone(self.clock),
            seen: Arc::default(),
            causes: self.causes.clone(),
        })
    }
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
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|e| ReplError::io("listen on", address.to_string(), e))?;
    tracing::info!(%address, "listening");
    Ok(Some(listener))
}

fn engine_config(
    config: &Config,
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
    })
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
    fetcher: Fetcher,
    clock: &SharedClock,
    (facts, causes): (&Arc<Mutex<TreeFacts>>, &Causes),
) -> Result<TreeThread> {
    let mut options = ConnectorOptions::new(&config.tree.root, state);
    options.policy = Policy::excluding(&config.tree.exclude)?;
    options.receive_only = config.site.role == Role::Replica;
    options.rescan_every = config.tree.scan_interval;
    options.blind_rescan_every = options.blind_rescan_every.min(config.tree.scan_interval);
    options.watches = std::env::var_os(INOTIFY).is_none_or(|value| value != "off");
    let (engine, time) = (engine.clone(), Arc::clone(clock));
    let open = move || {
        let (engine, source) = (Box::new(engine.clone()), Box::new(fetcher.clone()));
        let connector = Connector::new(options.clone(), engine, source, Arc::clone(&time))?;
        tracing::info!(recovery = ?connector.recovery(), "opened tree");
        Ok(connector)
    };
    let connector = open()?;
    let stop = Arc::new(AtomicBool::new(false));
    let (failed, ended) = tokio::sync::mpsc::channel(1);
    let worker = TreeWorker {
        stop: Arc::clone(&stop),
        clock: Arc::clone(clock),
        facts: Arc::clone(facts),
        causes: causes.clone(),
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
        thread,
        ended,
    })
}

/// Runs the connector on its thread, and opens it again when the state folder had no room and has some.
struct TreeWorker {
    stop: Arc<AtomicBool>,
    clock: SharedClock,
    facts: Arc<Mutex<TreeFacts>>,
    causes: Causes,
}

impl TreeWorker {
    fn run(&self, mut connector: Connector, open: &dyn Fn() -> Result<Connector>) -> Result<()> {
        loop {
            let mut result = connector.run(&self.stop, &mut |event| self.note(&event));
            while let Err(error) = &result
                && error.is_disk_full()
                && !self.is_stopped()
            {
                let known = self.no_room(
                    Topic::StateRoom,
                    "the disk of the state folder is full: nothing is noticed or applied",
                );
                if !known {
                    tracing::error!(%error, "no room for state, the tree rests until there is");
                }
                std::thread::sleep(ROOM_PAUSE);
                // What failed is taken back by opening it again, as after a crash.
                result = open().map(|opened| connector = opened);
            }
            if result.is_err() || self.is_stopped() {
                if let Err(error) = connector.purge_trash(&TrashLimits::default()) {
                    tracing::warn!(%error, "trash was not purged");
                }
                return result.or_else(|error| {
                    if error.is_disk_full() {
                        Ok(())
                    } else {
                        Err(error)
                    }
                });
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Shows that room is missing; whether that was known.
    fn no_room(&self, topic: Topic, text: &str) -> bool {
        let known = self.causes.has(&topic);
        let next = "make room on that disk; it goes on by itself, and nothing is lost";
        self.causes.set(topic, text, next);
        known
    }

    /// Shows what could not be read; only a look at everything takes that back.
    fn unreadable(&self, scanned: &ScanReport) {
        let reason = |note: &Note| match &note.kind {
            NoteKind::Unreadable { reason } => Some(reason.clone()),
            NoteKind::Special | NoteKind::Mount | NoteKind::Reserved => None,
        };
        let mut found = scanned
            .notes
            .iter()
            .filter_map(|note| Some((note, reason(note)?)));
        let Some((first, reason)) = found.next() else {
            if scanned.complete {
                self.causes.clear(Topic::Unreadable);
            }
            return;
        };
        let others = found.count();
        let path = first.path.as_os_str().as_encoded_bytes().escape_ascii();
        if !self.causes.has(&Topic::Unreadable) {
            tracing::warn!(
                count = others + 1,
                reason,
                "something in the tree cannot be read"
            );
        }
        self.causes.set(
            Topic::Unreadable,
            format!("{path} and {others} others cannot be read and are not sent: {reason}"),
            "let the user of cfs-repl read it, or exclude it; the rest goes on",
        );
    }

    fn note(&self, event: &ConnectorEvent) {
        note(&self.facts, event, self.clock.now_us());
        match event {
            ConnectorEvent::Applied(report) if report.no_space => {
                let text = "the disk of the tree is full: what others changed is not applied";
                if !self.no_room(Topic::TreeRoom, text) {
                    tracing::error!("no room for the tree, applying rests until there is");
                }
            }
            ConnectorEvent::Applied(report) if report.applied > 0 => {
                if self.causes.clear(Topic::TreeRoom) {
                    tracing::info!("there is room for the tree again");
                }
            }
            ConnectorEvent::Scanned(scanned) => {
                if self.causes.clear(Topic::StateRoom) {
                    tracing::info!("there is room for state again");
                }
                self.unreadable(scanned);
            }
            ConnectorEvent::Applied(_) | ConnectorEvent::Blind(_) => {}
        }
        report(event);
    }
}

fn report(event: &ConnectorEvent) {
    match event {
        ConnectorEvent::Blind(reason) => {
            tracing::warn!(reason, "events of the tree were lost, scanning instead");
        }
        ConnectorEvent::Scanned(report) => tracing::debug!(?report, "scanned"),
        ConnectorEvent::Applied(report) => tracing::debug!(?report, "applied"),
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

async fn tick(tasks: Tasks, engine: Handle) {
    let mut every = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            () = tasks.token().cancelled() => return,
            _ = every.tick() => {}
        }
        if let Err(error) = engine.ask(Engine::tick).await {
            tracing::warn!(%error, "state was not written out");
        }
    }
}
