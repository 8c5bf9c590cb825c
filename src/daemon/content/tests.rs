//! Two sites with real engines, trees and connectors, and content between them, without a network: what becomes of
//! bytes that are replaced, removed, lost in a conflict or written to late, and how they come back.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::keeper::{KeepSettings, Keeper, gather_one};
use super::super::restore::Restorer;
use super::serve::TreeContent;
use super::*;
use crate::admin::AdminError;
use crate::admin::filter::RestoreRequest;
use crate::clock::{Clock as _, SystemClock};
use crate::conduit::content::{ContentTransport, spawn};
use crate::daemon::tasks::errors;
use crate::disk::RealDisk;
use crate::journal::LogOptions;
use crate::sync::brake::BrakeRules;
use crate::sync::conflict::{ConflictId, LostValue};
use crate::sync::engine::{Engine, EngineConfig, Listed, Retention, start};
use crate::tree::look::looks;
use crate::tree::root::Root;
use crate::tree::serve::is_kept;
use crate::tree::wake::Waker;
use crate::tree::{Connector, ConnectorOptions, pin};

/// Longest that anything may take here.
const PATIENCE: Duration = Duration::from_secs(60);

struct Site {
    id: u64,
    tree: tempfile::TempDir,
    _state: tempfile::TempDir,
    engine: Handle,
    fetcher: Fetcher,
    connector: Arc<Mutex<Connector>>,
    root: Arc<Root>,
    links: Links,
    transports: mpsc::Sender<ContentTransport>,
    stop: Arc<AtomicBool>,
}

/// Two sites that reach each other when the test says so.
struct Pair {
    a: Site,
    b: Site,
    tasks: Tasks,
}

impl Drop for Pair {
    fn drop(&mut self) {
        for site in [&self.a, &self.b] {
            site.stop.store(true, Ordering::SeqCst);
        }
        self.tasks.token().cancel();
    }
}

impl Site {
    fn new(id: u64, other: u64, tasks: &Tasks) -> Self {
        let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let clock: SharedClock = Arc::new(SystemClock);
        let config = EngineConfig {
            dir: state.path().to_owned(),
            disk: RealDisk::shared(),
            clock: Arc::clone(&clock),
            log: LogOptions::default(),
            site_id: id,
            incarnation: id << 48 | 0xABCD,
            applies: true,
            sends: true,
            retention: Retention::default(),
            accept_clock: false,
            reclaim: None,
        };
        let brake = BrakeRules {
            files_min: 8,
            ..BrakeRules::default()
        };
        let engine = Engine::open(config).unwrap().with_brake(brake);
        let (engine, _) = start(engine).unwrap();
        let (fetcher, queue) = Fetcher::new(
            state.path().join("content"),
            Arc::clone(&clock),
            Waker::new().unwrap(),
        )
        .unwrap();
        let tree_state = state.path().join("tree");
        fs::create_dir(&tree_state).unwrap();
        let options = ConnectorOptions::new(tree.path(), &tree_state);
        let boxed = Box::new(engine.clone());
        let mut connector =
            Connector::new(options, boxed, Box::new(fetcher.clone()), clock).unwrap();
        let (looker, asked) = looks(Waker::new().unwrap());
        connector.take_looks(asked);
        let root = Arc::new(pin::open(tree.path(), &tree_state).unwrap());
        let server = TreeContent::new(Arc::clone(&root), engine.clone(), looker);
        let (link, transports) = spawn(tasks, other, Arc::new(server));
        let links = Links::default();
        links.insert(other, link);
        let run = fetcher
            .clone()
            .run(tasks.clone(), engine.clone(), links.clone(), queue);
        tasks.spawn("fetch", run);
        let (connector, stop) = (
            Arc::new(Mutex::new(connector)),
            Arc::new(AtomicBool::new(false)),
        );
        let (looking, stopped) = (Arc::clone(&connector), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                looking.lock().unwrap().look_at_asked().unwrap();
                std::thread::yield_now();
            }
        });
        Self {
            id,
            tree,
            _state: state,
            engine,
            fetcher,
            connector,
            root,
            links,
            transports,
            stop,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tree.path().join(name)
    }

    /// Writes in place, as a program that opens and truncates does.
    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    fn scan(&self) {
        self.connector.lock().unwrap().scan_once().unwrap();
    }

    fn send_to(&self, other: &Self) {
        let actor = self.engine.call(Engine::actor).unwrap();
        let progress = other.engine.call(move |e| e.progress(actor)).unwrap();
        let cursors = progress.into_iter().map(|one| (one.stream, one.received));
        let cursors = cursors.collect();
        let (mut reader, _) = self.engine.call(move |e| e.batches(cursors)).unwrap();
        while let Some((batches, _)) = reader.next_frame(1 << 20, 4_096).unwrap() {
            let arrived = other.engine.call(move |e| e.receive(actor, &batches, 0));
            assert_eq!(arrived.unwrap().refusal, None);
        }
    }

    /// Every origin has passed everything: derived conflicts are written.
    fn pass_marks(&self, other: &Self) {
        let actor = other.engine.call(Engine::actor).unwrap();
        let mark = SystemClock.now_us() + 1_000_000;
        let arrived = self.engine.call(move |e| e.receive(actor, &[], mark));
        assert_eq!(arrived.unwrap().refusal, None);
    }

    /// Applies what there is, again and again, until `done`.
    fn apply_until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let start = SystemClock.monotonic();
        while !done(self) {
            let waited = SystemClock.monotonic().saturating_sub(start);
            let status = self.engine.call(Engine::status);
            assert!(waited < PATIENCE, "{what}: {status:?}");
            self.engine.call(Engine::retry_parked).unwrap();
            self.connector.lock().unwrap().apply_once().unwrap();
            std::thread::yield_now();
        }
    }

    fn conflicts(&self, kind: &str) -> Vec<Listed> {
        let all = self.engine.call(Engine::conflicts).unwrap().into_iter();
        let ids: Vec<ConflictId> = all
            .map(|(record, _)| record)
            .filter(|record| record.kind.word() == kind)
            .map(|record| record.id)
            .collect();
        self.engine.call(move |e| e.listed(&ids)).unwrap()
    }

    fn overtaken(&self) -> usize {
        self.engine.call(Engine::status).unwrap().overtaken
    }

    fn trash(&self) -> Vec<Vec<u8>> {
        let trash = fs::read_dir(self.path(".cfs-repl/trash")).unwrap();
        let mut files: Vec<_> = trash
            .map(|e| fs::read(e.unwrap().path()).unwrap())
            .collect();
        files.sort();
        files
    }

    fn restorer(&self) -> Restorer {
        let other = 3 - self.id;
        Restorer {
            root: Arc::clone(&self.root),
            engine: self.engine.clone(),
            links: self.links.clone(),
            clock: Arc::new(SystemClock),
            name_of: Box::new(move |id| (id == other).then(|| "other".to_owned())),
            count: AtomicU64::new(0),
        }
    }

    fn keeper(&self) -> Keeper {
        let settings = KeepSettings {
            percent: 10,
            retention: Duration::from_secs(30 * 86_400),
            keep_deleted: false,
            everywhere_bytes: 64 << 20,
        };
        Keeper::new(Arc::clone(&self.root), self.engine.clone(), settings)
    }
}

impl Pair {
    fn new() -> Self {
        let tasks = Tasks::new();
        let (a, b) = (Site::new(1, 2, &tasks), Site::new(2, 1, &tasks));
        Self { a, b, tasks }
    }

    /// Two sites whose content links are connected.
    async fn connected() -> Self {
        let pair = Self::new();
        // Removals from a tree that looks empty would not be believed.
        pair.plant("stays", b"here");
        let transport = || {
            let (outgoing, sent) = mpsc::channel(4);
            let (heard, incoming) = mpsc::channel(4);
            (ContentTransport { outgoing, incoming }, sent, heard)
        };
        let ((end_a, sent_a, heard_a), (end_b, sent_b, heard_b)) = (transport(), transport());
        for (mut sent, heard) in [(sent_a, heard_b), (sent_b, heard_a)] {
            pair.tasks.spawn("carry", async move {
                while let Some(message) = sent.recv().await {
                    if heard.send(Ok(message)).await.is_err() {
                        break;
                    }
                }
            });
        }
        pair.a.transports.send(end_a).await.unwrap();
        pair.b.transports.send(end_b).await.unwrap();
        pair
    }

    /// Both have `name` with these bytes.
    fn plant(&self, name: &str, bytes: &[u8]) {
        self.a.write(name, bytes);
        self.a.scan();
        self.a.send_to(&self.b);
        let there = |b: &Site| b.read(name).as_deref() == Some(bytes);
        self.b.apply_until("plant", there);
        self.b.scan();
    }

    /// A's `ours` loses against B's `theirs`, and both sites show B's.
    fn conflict(&self, name: &str, ours: &[u8], theirs: &[u8]) -> Listed {
        self.a.write(name, ours);
        self.a.scan();
        self.b.write(name, theirs);
        self.b.scan();
        self.a.send_to(&self.b);
        self.b.send_to(&self.a);
        let there = |a: &Site| a.read(name).as_deref() == Some(theirs);
        self.a.apply_until("the winner at A", there);
        let records = self.b.conflicts("register");
        let record = records.into_iter().find(|one| !one.record.superseded);
        record.expect("a conflict")
    }
}

/// Bytes that do not fit into an entry, so that they have to be fetched.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[seed]);
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn at(path: &[u8]) -> RestoreRequest<'_> {
    RestoreRequest {
        as_path: Some(path),
        ..RestoreRequest::default()
    }
}

fn refusal(error: AdminError) -> (String, String) {
    let AdminError::NotPossible { what, hint } = error else {
        panic!("{error}");
    };
    (what, hint)
}

const MINUTE_US: u64 = 60_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_version_replaced_at_its_origin_before_it_was_fetched_gives_way_to_the_newer_one() {
    let pair = Pair::connected().await;
    let (a, b) = (&pair.a, &pair.b);
    a.write("f", &noise(1, 300_000));
    a.scan();
    a.send_to(b);
    // Nobody told the engine: the request alone makes A look.
    a.write("f", &noise(2, 400_000));
    b.apply_until("told that it is superseded", |b| b.overtaken() == 1);
    let status = b.engine.call(Engine::status).unwrap();
    assert_eq!((status.parked.len(), status.conflicts), (0, 0));
    assert_eq!(b.read("f"), None);
    a.send_to(b);
    b.apply_until("the newer one", |b| b.read("f") == Some(noise(2, 400_000)));
    let status = b.engine.call(Engine::status).unwrap();
    assert_eq!((status.overtaken, status.parked.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_removed_at_its_origin_before_it_was_fetched_is_owed_to_nobody() {
    let pair = Pair::connected().await;
    let (a, b) = (&pair.a, &pair.b);
    a.write("f", &noise(1, 300_000));
    a.scan();
    a.send_to(b);
    fs::remove_file(a.path("f")).unwrap();
    b.apply_until("told that it is superseded", |b| b.overtaken() == 1);
    a.send_to(b);
    let waiting = |b: &Site| b.engine.call(Engine::status).unwrap().waiting;
    b.apply_until("the removal", |b| b.overtaken() == 0 && waiting(b) == 0);
    let status = b.engine.call(Engine::status).unwrap();
    assert_eq!((status.parked.len(), status.conflicts), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_count_and_are_on_no_disk_are_recorded_as_lost_and_the_old_ones_stay_everywhere()
{
    let pair = Pair::connected().await;
    let (a, b) = (&pair.a, &pair.b);
    pair.plant("f", &noise(0, 100_000));
    // A writes and removes what B gives another name meanwhile.
    a.write("f", &noise(1, 300_000));
    a.scan();
    fs::remove_file(a.path("f")).unwrap();
    a.scan();
    fs::hard_link(b.path("f"), b.path("g")).unwrap();
    b.scan();
    a.send_to(b);
    b.send_to(a);
    b.apply_until("on record", |b| !b.conflicts("content_lost").is_empty());
    assert_eq!(b.conflicts("content_lost").len(), 1);
    assert_eq!(b.read("g"), Some(noise(0, 100_000)));
    // B says so to all; that a version lost is on record at every site.
    assert!(b.engine.call(Engine::status).unwrap().parked.is_empty());
    b.send_to(a);
    a.apply_until("what B shows", |a| a.read("g") == Some(noise(0, 100_000)));
    assert!(a.engine.call(Engine::status).unwrap().parked.is_empty());
    let lost = |site: &Site| {
        site.conflicts("register")
            .iter()
            .any(|one| !one.record.superseded)
    };
    assert!(lost(a) && lost(b));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_files_than_the_queue_holds_are_fetched_as_its_answers_come() {
    let mut pair = Pair::connected().await;
    let files = REQUESTS_MAX + FETCHES_MAX + 100;
    let name = |nth| format!("f{nth}");
    for nth in 0..files {
        pair.a.write(&name(nth), &noise(0, 9_000 + nth));
    }
    pair.a.scan();
    pair.a.send_to(&pair.b);
    let start = SystemClock.monotonic();
    let b = &mut pair.b;
    while !(0..files).all(|nth| b.read(&name(nth)).is_some()) {
        let news: Vec<u64> = b.fetcher.news().into_iter().collect();
        b.engine.call(move |e| e.retry(&news)).unwrap();
        b.connector.lock().unwrap().apply_once().unwrap();
        let waited = SystemClock.monotonic().saturating_sub(start);
        assert!(waited < PATIENCE, "{:?}", b.engine.call(Engine::status));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_not_reached_has_not_said_that_bytes_are_gone() {
    let pair = Pair::new();
    let (a, b) = (&pair.a, &pair.b);
    a.write("f", &noise(1, 300_000));
    a.scan();
    a.send_to(b);
    for _ in 0..50 {
        b.engine.call(Engine::retry_parked).unwrap();
        b.connector.lock().unwrap().apply_once().unwrap();
    }
    let status = b.engine.call(Engine::status).unwrap();
    assert_eq!(
        (status.fetching, status.overtaken, status.conflicts),
        (1, 0, 0)
    );
    assert!(status.parked.is_empty() && status.waiting > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loser_comes_back_at_the_site_where_it_lost_from_the_trash() {
    let pair = Pair::connected().await;
    pair.plant("f", &noise(0, 100_000));
    let (ours, theirs) = (noise(1, 5_000_000), noise(2, 300_000));
    let record = pair.conflict("f", &ours, &theirs);
    let a = &pair.a;
    assert_eq!(a.trash(), std::slice::from_ref(&ours));
    let restorer = a.restorer();
    let taken = restorer.restore(&record, at(b"f")).await.unwrap_err();
    assert!(refusal(taken).0.ends_with("exists"));
    let nowhere = restorer.restore(&record, at(b"no/f")).await.unwrap_err();
    assert!(refusal(nowhere).0.contains("does not exist"));
    let kept = |site: &Site| {
        let LostValue::Content(content) = &record.record.lost else {
            panic!("no bytes lost");
        };
        let (inode, version) = (record.record.inode, content.manifest_root);
        is_kept(&mut site.engine.clone(), &site.root, inode, version).unwrap()
    };
    assert_eq!((kept(a), kept(&pair.b)), (true, false));
    let mut pieces = restorer.read(&record).await.unwrap();
    let mut read = Vec::new();
    while let Some(piece) = pieces.recv().await {
        read.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(read, ours);
    restorer.restore(&record, at(b"old")).await.unwrap();
    assert_eq!(a.read("old").as_ref(), Some(&ours));
    let there = RestoreRequest::default();
    restorer.restore(&record, there).await.unwrap();
    assert_eq!((a.read("f").as_ref(), a.trash().len()), (Some(&ours), 2));
    let staging = fs::read_dir(a.path(".cfs-repl/staging")).unwrap();
    assert_eq!(staging.count(), 0);
    // It is an ordinary change, which the other site gets.
    a.scan();
    // Once more would cover what is later than the winner.
    let again = restorer.restore(&record, there).await.unwrap_err();
    assert!(refusal(again).0.contains("f is later than what won"));
    assert_eq!(a.trash().len(), 2);
    let over = RestoreRequest {
        over_later: true,
        ..there
    };
    restorer.restore(&record, over).await.unwrap();
    assert_eq!(a.trash().len(), 3, "what it covered is kept");
    a.scan();
    a.send_to(&pair.b);
    pair.b
        .apply_until("restored at B", |b| b.read("f").as_ref() == Some(&ours));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loser_comes_back_at_any_site_from_the_trash_of_another() {
    let pair = Pair::connected().await;
    pair.plant("f", &noise(0, 100_000));
    let ours = [noise(1, 3_000_000), vec![0; 300_000], noise(1, 3_000_000)].concat();
    let record = pair.conflict("f", &ours, &noise(2, 300_000));
    let b = &pair.b;
    assert_eq!(b.trash(), [] as [Vec<u8>; 0], "it was never on this disk");
    b.restorer()
        .restore(&record, RestoreRequest::default())
        .await
        .unwrap();
    assert_eq!(b.read("f"), Some(ours));
    assert_eq!(b.trash(), [noise(2, 300_000)], "what it replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_says_which_site_it_cannot_ask_and_what_to_do() {
    let pair = Pair::connected().await;
    pair.plant("f", &noise(0, 100_000));
    let record = pair.conflict("f", &noise(1, 300_000), &noise(2, 300_000));
    let alone = Restorer {
        links: Pair::new().b.links.clone(),
        ..pair.b.restorer()
    };
    let (what, hint) = refusal(
        alone
            .restore(&record, RestoreRequest::default())
            .await
            .unwrap_err(),
    );
    assert!(what.contains("other cannot be asked"), "{what}");
    assert!(hint.contains("run the command there"), "{hint}");
    assert_eq!(pair.b.read("f"), Some(noise(2, 300_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_leaves_a_file_alone_that_was_changed_a_moment_ago() {
    let pair = Pair::connected().await;
    pair.plant("f", &noise(0, 100_000));
    let record = pair.conflict("f", &noise(1, 300_000), &noise(2, 300_000));
    pair.a.write("f", b"just typed");
    let refused = pair
        .a
        .restorer()
        .restore(&record, RestoreRequest::default())
        .await
        .unwrap_err();
    assert!(refusal(refused).0.contains("a moment ago"));
    assert_eq!(pair.a.read("f").as_deref(), Some(&b"just typed"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_removal_displaced_is_found_wherever_it_had_been_moved() {
    let pair = Pair::connected().await;
    let (a, b) = (&pair.a, &pair.b);
    pair.plant("f", &noise(0, 100_000));
    a.write("f", &noise(1, 300_000));
    fs::rename(a.path("f"), a.path("moved")).unwrap();
    a.scan();
    fs::remove_file(b.path("f")).unwrap();
    b.scan();
    a.send_to(b);
    b.send_to(a);
    a.apply_until("the removal at A", |a| a.read("moved").is_none());
    assert_eq!(a.trash(), [noise(1, 300_000)]);
    // Its claim does not wait for the record.
    let later = SystemClock.now_us() + 2 * MINUTE_US;
    a.keeper().round(later).unwrap();
    assert_eq!(a.trash().len(), 1);
    b.pass_marks(a);
    let record = b.conflicts("write_unlink").remove(0);
    b.restorer().restore(&record, at(b"again")).await.unwrap();
    assert_eq!(b.read("again"), Some(noise(1, 300_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_loser_is_fetched_to_the_site_where_it_never_was() {
    let pair = Pair::connected().await;
    let (a, b) = (&pair.a, &pair.b);
    pair.plant("f", &noise(0, 100_000));
    pair.conflict("f", &noise(1, 300_000), &noise(2, 300_000));
    let losers = b.engine.call(|e| e.losers(300_000, 0)).unwrap();
    assert_eq!(
        (
            losers.len(),
            a.engine.call(|e| e.losers(299_999, 0)).unwrap()
        ),
        (1, vec![])
    );
    let (mut keeper, now_us) = (b.keeper(), SystemClock.now_us());
    let missing = keeper.missing(now_us).unwrap();
    assert_eq!(missing, losers);
    let too_old = now_us + 40 * 1_440 * MINUTE_US;
    assert_eq!(keeper.missing(too_old).unwrap(), []);
    let (version, size) = missing[0];
    let asked = gather_one(&keeper, &b.links, version, size, 1, now_us)
        .await
        .unwrap();
    assert_eq!((asked, b.trash()), (Asked::All, vec![noise(1, 300_000)]));
    assert_eq!(keeper.missing(now_us).unwrap(), []);
    assert_eq!(
        a.keeper().missing(now_us).unwrap(),
        [],
        "A has it in its trash"
    );
    // It stays like any other loser.
    keeper.round(now_us + 2 * MINUTE_US).unwrap();
    assert_eq!(b.trash().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_files_go_after_a_minute_and_losers_stay_until_they_are_old() {
    let pair = Pair::connected().await;
    let (a, b) = (&pair.a, &pair.b);
    pair.plant("gone", &noise(3, 100_000));
    pair.plant("f", &noise(0, 100_000));
    pair.conflict("f", &noise(1, 300_000), &noise(2, 300_000));
    fs::remove_file(b.path("gone")).unwrap();
    b.scan();
    b.send_to(a);
    a.apply_until("the removal", |a| a.read("gone").is_none());
    let now_us = SystemClock.now_us();
    let mut keeper = a.keeper();
    keeper.round(now_us + MINUTE_US / 2).unwrap();
    assert_eq!(a.trash().len(), 2);
    keeper.round(now_us + 2 * MINUTE_US).unwrap();
    assert_eq!(a.trash(), [noise(1, 300_000)]);
    keeper.round(now_us + 29 * 1_440 * MINUTE_US).unwrap();
    assert_eq!(a.trash().len(), 1);
    keeper.round(now_us + 31 * 1_440 * MINUTE_US).unwrap();
    assert_eq!(a.trash().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_writes_to_a_displaced_file_is_a_conflict_and_comes_back() {
    let pair = Pair::connected().await;
    let (a, b) = (&pair.a, &pair.b);
    pair.plant("f", &noise(0, 100_000));
    let mut writer = fs::OpenOptions::new()
        .append(true)
        .open(a.path("f"))
        .unwrap();
    b.write("f", &noise(2, 300_000));
    b.scan();
    b.send_to(a);
    a.apply_until("B's", |a| a.read("f") == Some(noise(2, 300_000)));
    let now_us = SystemClock.now_us();
    let mut keeper = a.keeper();
    keeper.round(now_us).unwrap();
    assert!(a.conflicts("register").is_empty());
    writer.write_all(b"late").unwrap();
    keeper.round(now_us + MINUTE_US / 10).unwrap();
    let late = [noise(0, 100_000), b"late".to_vec()].concat();
    let records = a.conflicts("register");
    assert_eq!((records.len(), records[0].record.superseded), (1, false));
    // More of it takes the place of the first; a restart between them forgets nothing.
    writer.write_all(b"r").unwrap();
    drop(keeper);
    let mut keeper = a.keeper();
    keeper.round(now_us + 2 * MINUTE_US).unwrap();
    let open: Vec<_> = a
        .conflicts("register")
        .into_iter()
        .filter(|one| !one.record.superseded)
        .collect();
    assert_eq!(open.len(), 1);
    let late = [late, b"r".to_vec()].concat();
    assert_eq!(a.trash(), std::slice::from_ref(&late));
    a.restorer()
        .restore(&open[0], at(b"rescued"))
        .await
        .unwrap();
    assert_eq!(
        (a.read("rescued"), a.read("f")),
        (Some(late), Some(noise(2, 300_000)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_write_is_noticed_before_the_file_would_be_removed() {
    let pair = Pair::connected().await;
    let (a, b) = (&pair.a, &pair.b);
    pair.plant("f", &noise(0, 100_000));
    let mut writer = fs::OpenOptions::new()
        .append(true)
        .open(a.path("f"))
        .unwrap();
    fs::remove_file(b.path("f")).unwrap();
    b.scan();
    b.send_to(a);
    a.apply_until("the removal", |a| a.read("f").is_none());
    writer.write_all(b"late").unwrap();
    let mut keeper = a.keeper();
    let later = SystemClock.now_us() + 2 * MINUTE_US;
    keeper.purge(later).unwrap();
    assert_eq!((a.trash().len(), a.conflicts("register").len()), (1, 1));
    keeper.purge(later).unwrap();
    assert_eq!(a.trash().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_stays_in_the_trash_while_the_brake_holds_who_removed_it() {
    let pair = Pair::new();
    let (a, b) = (&pair.a, &pair.b);
    let _expected = errors::expects("deletes suspiciously much");
    // A root that is emptied is not even journaled.
    a.write("stays", b"stays");
    let name = |nth: usize| format!("f{nth}");
    for nth in 0..20 {
        a.write(&name(nth), b"kept");
    }
    a.scan();
    a.send_to(b);
    b.apply_until("all of it", |b| b.read("f19").is_some());
    for (files, is_held) in [(0..8, false), (8..20, true)] {
        for nth in files {
            fs::remove_file(a.path(&name(nth))).unwrap();
        }
        a.scan();
        a.send_to(b);
        b.apply_until("removed or held", |b| {
            let held = b.engine.call(Engine::held).unwrap();
            held.is_empty() != is_held && b.read("f7").is_none()
        });
    }
    assert!(b.read("f8").is_some(), "held before it goes");
    let mut keeper = b.keeper();
    let later_us = SystemClock.now_us() + 2 * MINUTE_US;
    keeper.round(later_us).unwrap();
    assert_eq!(
        b.trash(),
        vec![b"kept".to_vec(); 8],
        "they may not be meant"
    );
    assert!(b.engine.call(|e| e.resume(1)).unwrap());
    keeper.round(later_us + MINUTE_US).unwrap();
    assert_eq!(b.trash(), Vec::<Vec<u8>>::new());
}
