//! The loop turn by turn, by hand and with a clock that is moved by hand: what is noticed when, and what waits.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::fake::{FakeEngine, FakeSource, Site};
use crate::clock::{Clock as _, ManualClock, SystemClock};
use crate::error::Result;
use crate::journal::op::OpKind;
use crate::sync::port::{NodeKind, ShownLink};
use crate::tree::connector::Standing;
use crate::tree::connector::turn::Turns;
use crate::tree::scan::Disbelief;
use crate::tree::{Connector, ConnectorEvent, ConnectorOptions};

/// Later than any file's ctime, so that nothing is racy.
pub(super) const FAR_US: u64 = u64::MAX / 2;

fn connector(
    options: ConnectorOptions,
    engine: &FakeEngine,
    clock: &Arc<ManualClock>,
) -> Result<Connector> {
    let source = Box::new(FakeSource::default());
    let clock = Arc::clone(clock) as Arc<_>;
    Connector::new(options, Box::new(engine.clone()), source, clock)
}

/// A connector that is turned by hand.
pub(super) struct Bench {
    pub(super) tree: tempfile::TempDir,
    state: tempfile::TempDir,
    pub(super) engine: FakeEngine,
    pub(super) clock: Arc<ManualClock>,
    pub(super) connector: Connector,
    stop: Arc<AtomicBool>,
    events: Vec<ConnectorEvent>,
}

impl Bench {
    pub(super) fn new(now_us: u64) -> Self {
        Self::with(now_us, |_| ())
    }

    pub(super) fn with(now_us: u64, set: impl FnOnce(&mut ConnectorOptions)) -> Self {
        let [tree, state] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let engine = FakeEngine::new(1);
        let clock = ManualClock::at(now_us);
        let mut options = ConnectorOptions::new(tree.path(), state.path());
        set(&mut options);
        Self {
            connector: connector(options, &engine, &clock).unwrap(),
            tree,
            state,
            engine,
            clock,
            stop: Arc::default(),
            events: Vec::new(),
        }
    }

    /// Ends without a word, and starts again.
    pub(super) fn restart(&mut self, set: impl FnOnce(&mut ConnectorOptions)) -> Result<()> {
        let mut options = ConnectorOptions::new(self.tree.path(), self.state.path());
        set(&mut options);
        self.connector = connector(options, &self.engine, &self.clock)?;
        Ok(())
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.tree.path().join(name)
    }

    pub(super) fn begin(&mut self) -> Turns {
        let events = &mut self.events;
        let tell = &mut |event| events.push(event);
        self.connector.begin(&self.stop, tell).unwrap()
    }

    fn turn(&mut self, turns: &mut Turns) -> Duration {
        let events = &mut self.events;
        let tell = &mut |event| events.push(event);
        self.connector.turn(turns, &self.stop, tell).unwrap()
    }

    /// Turns until the loop would rest; returns for how long.
    pub(super) fn until_rest(&mut self, turns: &mut Turns) -> Duration {
        for _ in 0..100 {
            let rest = self.turn(turns);
            if !rest.is_zero() {
                return rest;
            }
        }
        panic!("no rest after 100 turns");
    }

    /// Lets time pass, resting as the loop does; returns how many turns that took.
    pub(super) fn rest_for(&mut self, turns: &mut Turns, time: Duration) -> u32 {
        let (end, mut count) = (self.clock.monotonic() + time, 0);
        while self.clock.monotonic() < end {
            let rest = self.turn(turns);
            count += 1;
            assert!(count < 10_000, "spins");
            self.clock.advance(rest.min(end - self.clock.monotonic()));
        }
        count
    }

    pub(super) fn kinds(&self) -> Vec<OpKind> {
        let ops = self.engine.take_ops();
        ops.iter().map(|op| op.change.kind()).collect()
    }

    fn standing(&self) -> Standing {
        let told = self.events.iter().rev().find_map(|event| match event {
            ConnectorEvent::Standing(standing) => Some(standing.clone()),
            ConnectorEvent::Blind(_)
            | ConnectorEvent::Sighted
            | ConnectorEvent::Looking
            | ConnectorEvent::Scanned(_)
            | ConnectorEvent::Applied(_)
            | ConnectorEvent::Matched(_) => None,
        });
        told.unwrap_or_default()
    }

    fn full_scans(&self) -> usize {
        let full = |event: &&ConnectorEvent| matches!(event, ConnectorEvent::Scanned(report) if report.complete);
        self.events.iter().filter(full).count()
    }

    fn observed_us(&self) -> u64 {
        self.engine.0.lock().unwrap().observed_us
    }
}

fn append(path: &Path, bytes: &[u8]) -> File {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn a_closed_file_is_journaled_in_the_first_turn_and_an_open_one_when_it_rests() {
    let mut bench = Bench::new(FAR_US);
    let mut turns = bench.begin();
    bench.engine.take_ops();
    fs::write(bench.path("closed"), b"x").unwrap();
    let mut open = File::create(bench.path("open")).unwrap();
    open.write_all(b"half").unwrap();
    bench.turn(&mut turns);
    assert_eq!(
        bench.kinds(),
        [OpKind::Create, OpKind::Write],
        "the closed one"
    );
    assert_eq!(bench.standing().busy, 1);
    bench.rest_for(&mut turns, Duration::from_millis(999));
    assert_eq!(bench.kinds(), []);
    bench.rest_for(&mut turns, Duration::from_millis(2));
    assert_eq!(
        bench.kinds(),
        [OpKind::Create, OpKind::Write],
        "the open one"
    );
    assert_eq!(bench.standing().busy, 0);
    open.write_all(b" whole").unwrap();
    bench.turn(&mut turns);
    assert_eq!(bench.kinds(), []);
    drop(open);
    bench.turn(&mut turns);
    assert_eq!(bench.kinds(), [OpKind::Write]);
    assert_eq!(bench.full_scans(), 1, "nothing but the scan at the start");
}

#[test]
fn a_file_that_is_written_to_is_neither_read_nor_removed_by_a_scan_of_its_directory() {
    let mut bench = Bench::new(FAR_US);
    fs::write(bench.path("f"), b"old").unwrap();
    let mut turns = bench.begin();
    bench.engine.take_ops();
    let open = append(&bench.path("f"), b"half");
    fs::write(bench.path("g"), b"x").unwrap();
    bench.turn(&mut turns);
    assert_eq!(bench.kinds(), [OpKind::Create, OpKind::Write], "of g alone");
    bench.connector.scan_once().unwrap();
    assert_eq!(bench.kinds(), [], "a full scan waits for it too");
    drop(open);
    bench.turn(&mut turns);
    assert_eq!(bench.kinds(), [OpKind::Write]);
}

/// A known file that a program emptied, at the moment in which that happened; looked at without events.
fn emptied() -> Bench {
    let mut bench = Bench::new(SystemClock.now_us());
    fs::write(bench.path("f"), b"old").unwrap();
    bench.connector.scan_once().unwrap();
    bench.engine.take_ops();
    File::create(bench.path("f")).unwrap();
    let changed = fs::metadata(bench.path("f")).unwrap();
    let changed = Duration::new(changed.ctime() as u64, changed.ctime_nsec() as u32);
    let since = changed.saturating_sub(Duration::from_micros(bench.clock.now_us()));
    bench.clock.advance(since);
    bench
}

#[test]
fn a_file_that_was_emptied_a_moment_ago_is_journaled_when_it_has_bytes_again_or_stays_empty() {
    for (anew, kind) in [(true, OpKind::Write), (false, OpKind::Truncate)] {
        let mut bench = emptied();
        let report = bench.connector.scan_once().unwrap();
        assert_eq!((report.busy.len(), bench.kinds()), (1, vec![]));
        if anew {
            fs::write(bench.path("f"), b"anew").unwrap();
        }
        bench.clock.advance(Duration::from_millis(1_500));
        let report = bench.connector.scan_once().unwrap();
        assert_eq!((report.busy.len(), bench.kinds()), (0, vec![kind]));
    }
}

#[test]
fn an_emptied_file_does_not_wait_for_a_clock_that_stepped_back() {
    let mut bench = Bench::new(SystemClock.now_us() - 3_600_000_000);
    fs::write(bench.path("f"), b"old").unwrap();
    bench.connector.scan_once().unwrap();
    bench.engine.take_ops();
    File::create(bench.path("f")).unwrap();
    let report = bench.connector.scan_once().unwrap();
    assert_eq!(
        (report.busy.len(), bench.kinds()),
        (0, vec![OpKind::Truncate])
    );
}

#[test]
fn a_saved_file_is_journaled_at_once_although_its_old_name_was_waited_for() {
    let mut bench = Bench::new(FAR_US);
    fs::write(bench.path("f"), b"old").unwrap();
    let mut turns = bench.begin();
    bench.engine.take_ops();
    let mut temporary = File::create(bench.path("f.tmp")).unwrap();
    temporary.write_all(b"new").unwrap();
    bench.turn(&mut turns);
    fs::rename(bench.path("f.tmp"), bench.path("f")).unwrap();
    bench.turn(&mut turns);
    assert_eq!(bench.kinds(), [OpKind::Write]);
    assert_eq!(bench.standing().busy, 0);
}

#[test]
fn trap_24_what_is_written_through_an_open_file_after_its_last_name_went_is_not_journaled() {
    let mut bench = Bench::new(FAR_US);
    fs::write(bench.path("last"), b"old").unwrap();
    fs::write(bench.path("one"), b"old").unwrap();
    fs::hard_link(bench.path("one"), bench.path("two")).unwrap();
    let mut turns = bench.begin();
    bench.engine.take_ops();
    let mut last = append(&bench.path("last"), b", written to");
    let mut linked = append(&bench.path("one"), b", written to");
    fs::remove_file(bench.path("last")).unwrap();
    fs::remove_file(bench.path("one")).unwrap();
    bench.rest_for(&mut turns, Duration::from_secs(2));
    assert_eq!(
        bench.kinds(),
        [OpKind::Unlink, OpKind::Unlink, OpKind::Write],
        "both names, and what the other name still shows"
    );
    last.write_all(b" again").unwrap();
    linked.write_all(b" again").unwrap();
    drop((last, linked));
    bench.rest_for(&mut turns, Duration::from_secs(2));
    assert_eq!(bench.kinds(), [OpKind::Write], "of the linked one alone");
    bench.connector.scan_once().unwrap();
    assert_eq!(bench.kinds(), []);
    assert_eq!(bench.standing().busy, 0);
}

#[test]
fn a_mark_does_not_pass_a_change_that_is_not_journaled() {
    let mut bench = Bench::new(FAR_US);
    let mut turns = bench.begin();
    bench.clock.advance(Duration::from_secs(10));
    let mut open = File::create(bench.path("f")).unwrap();
    bench.turn(&mut turns);
    let first = bench.observed_us();
    assert!(first < FAR_US + 10_000_000, "{first}");
    bench.clock.advance(Duration::from_millis(900));
    open.write_all(b"x").unwrap();
    bench.turn(&mut turns);
    assert_eq!(bench.observed_us(), first);
    drop(open);
    bench.turn(&mut turns);
    assert_eq!(bench.observed_us(), FAR_US + 10_900_000);
}

#[test]
fn a_fresh_record_is_read_again_soon_and_once() {
    let now_us = SystemClock.now_us();
    let mut bench = Bench::new(now_us);
    let mut turns = bench.begin();
    fs::write(bench.path("f"), b"one").unwrap();
    let ctime_us = SystemClock.now_us();
    bench.clock.step_to(ctime_us);
    bench.turn(&mut turns);
    assert_eq!(bench.kinds(), [OpKind::Create, OpKind::Write]);
    let inode = *bench.connector.memory.racy.first().unwrap();
    let scans = |bench: &Bench| {
        let scanned = |event: &&ConnectorEvent| matches!(event, ConnectorEvent::Scanned(_));
        bench.events.iter().filter(scanned).count()
    };
    let before = scans(&bench);
    // A change that left no trace in the times, as within one tick of the kernel's clock.
    fs::write(bench.path("f"), b"two").unwrap();
    let seen = crate::tree::stat::stat_at(bench.connector.root().fd(), "f").unwrap();
    let device = seen.image();
    bench.engine.0.lock().unwrap().device.insert(inode, device);
    bench.clock.advance(Duration::from_secs(5));
    bench.turn(&mut turns);
    assert_eq!(
        bench.kinds(),
        [OpKind::Write],
        "found although it looks the same"
    );
    assert!(bench.connector.memory.racy.is_empty());
    bench.rest_for(&mut turns, Duration::from_secs(60));
    assert_eq!(scans(&bench), before + 1, "once");
}

/// How many events wait at most for who watches. None: too many for a test.
fn queue_of_events() -> Option<usize> {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit = limit.trim().parse::<usize>().unwrap();
    if limit > 50_000 {
        eprintln!("skipped: the queue of this machine holds {limit} events");
        return None;
    }
    Some(limit)
}

#[test]
fn lost_events_are_said_and_answered_by_a_look_at_everything_a_second_after_the_last() {
    let Some(limit) = queue_of_events() else {
        return;
    };
    let mut bench = Bench::new(FAR_US);
    for dir in ["noisy", "quiet"] {
        fs::create_dir(bench.path(dir)).unwrap();
    }
    let [one, two] = ["noisy/1", "noisy/2"].map(|name| bench.path(name));
    fs::write(&one, b"x").unwrap();
    let mut turns = bench.begin();
    bench.until_rest(&mut turns);
    bench.kinds();
    let scans = bench.full_scans();
    // A rename is two events; they are no room for what happens next.
    for _ in 0..=limit / 4 {
        fs::rename(&one, &two).unwrap();
        fs::rename(&two, &one).unwrap();
    }
    fs::write(bench.path("quiet/f"), b"f").unwrap();
    bench.rest_for(&mut turns, Duration::from_millis(999));
    let is_blind = |event: &ConnectorEvent| matches!(event, ConnectorEvent::Blind(reason) if reason == "inotify lost events");
    assert!(bench.events.iter().any(is_blind), "{:?}", bench.events);
    assert_eq!(bench.kinds(), [], "nothing told of it");
    assert_eq!(bench.full_scans(), scans);
    bench.rest_for(&mut turns, Duration::from_millis(2));
    assert_eq!(bench.kinds(), [OpKind::Create, OpKind::Write]);
    assert_eq!(bench.full_scans(), scans + 1);
    let is_sighted = |event: &ConnectorEvent| matches!(event, ConnectorEvent::Sighted);
    assert!(bench.events.iter().any(is_sighted), "it sees again");
}

#[test]
fn applying_more_than_the_queue_of_events_holds_loses_none_of_them() {
    let Some(limit) = queue_of_events() else {
        return;
    };
    let files = limit + 1_000;
    let mut other = Site::new(2);
    for nth in 0..files {
        fs::write(other.path(&nth.to_string()), b"").unwrap();
    }
    other.scan();
    let mut bench = Bench::new(FAR_US);
    let mut turns = bench.begin();
    bench.engine.pull(&other.engine);
    bench.until_rest(&mut turns);
    assert_eq!(fs::read_dir(bench.tree.path()).unwrap().count(), files + 1);
    let is_blind = |event: &ConnectorEvent| matches!(event, ConnectorEvent::Blind(_));
    assert!(!bench.events.iter().any(is_blind));
    assert_eq!(bench.full_scans(), 1, "the one at the start");
    assert_eq!(bench.kinds(), []);
}

/// An image for a file that a user put something in the place of which is not replicated.
fn blocked() -> (Bench, UnixListener) {
    let mut bench = Bench::new(FAR_US);
    fs::write(bench.path("f"), b"old").unwrap();
    fs::create_dir(bench.path("other")).unwrap();
    bench.connector.scan_once().unwrap();
    fs::remove_file(bench.path("f")).unwrap();
    let socket = UnixListener::bind(bench.path("f")).unwrap();
    bench.engine.touch_all();
    bench.engine.take_ops();
    (bench, socket)
}

#[test]
fn an_image_that_meets_a_change_for_ever_is_tried_ever_less_often_and_shown() {
    let (mut bench, _socket) = blocked();
    let mut turns = bench.begin();
    bench.rest_for(&mut turns, Duration::from_secs(120));
    let tried = |event: &&ConnectorEvent| matches!(event, ConnectorEvent::Applied(_));
    let tries = bench.events.iter().filter(tried).count();
    assert!((10..30).contains(&tries), "{tries} attempts in two minutes");
    let standing = bench.standing();
    assert_eq!(standing.blocked, 1);
    assert!(standing.blocked_reason.unwrap().contains("differs"));
    assert_eq!(
        bench.full_scans(),
        1,
        "only the directory concerned is scanned"
    );
    assert_eq!(bench.kinds(), []);
}

#[test]
fn a_replica_counts_again_what_differs_soon_after_something_arrived() {
    let mut bench = Bench::new(FAR_US);
    fs::write(bench.path("f"), b"old").unwrap();
    bench.connector.scan_once().unwrap();
    bench.connector.set_receive_only(true);
    fs::write(bench.path("own"), b"own").unwrap();
    let mut turns = bench.begin();
    bench.rest_for(&mut turns, Duration::from_secs(120));
    assert_eq!(bench.full_scans(), 1, "nothing arrived");
    bench.engine.touch_all();
    bench.rest_for(&mut turns, Duration::from_secs(29));
    assert_eq!(bench.full_scans(), 1);
    bench.rest_for(&mut turns, Duration::from_secs(91));
    assert_eq!(bench.full_scans(), 2, "once");
}

#[test]
fn an_image_that_was_blocked_is_applied_soon_after_the_way_is_free() {
    let (mut bench, _socket) = blocked();
    let mut turns = bench.begin();
    bench.rest_for(&mut turns, Duration::from_secs(120));
    fs::remove_file(bench.path("f")).unwrap();
    bench.turn(&mut turns);
    assert_eq!(bench.kinds(), [OpKind::Unlink]);
    bench.until_rest(&mut turns);
    assert_eq!(bench.standing().blocked, 0);
}

#[test]
fn a_directory_that_goes_and_the_one_in_its_place_come_together_whenever_each_of_them_was_blocked()
{
    let mut bench = Bench::new(FAR_US);
    fs::create_dir(bench.path("d")).unwrap();
    fs::write(bench.path("d/f"), b"x").unwrap();
    bench.connector.scan_once().unwrap();
    let [old, file] = ["d", "f"].map(|name| bench.engine.shown_as(name));
    let new = old + 1_000;
    let mut turns = bench.begin();
    // It goes, and what is in it stays: that waits for something which is not known yet.
    bench.engine.change(old, |image| image.links.clear());
    bench.rest_for(&mut turns, Duration::from_secs(63));
    assert_eq!(bench.standing().blocked, 1);
    let place = bench.engine.0.lock().unwrap().applied[&old].links[0].clone();
    bench.engine.change(new, |image| {
        image.kind = NodeKind::Dir;
        image.links = vec![ShownLink { link: new, ..place }];
    });
    bench
        .engine
        .change(file, |image| image.links[0].parent = new);
    bench.rest_for(&mut turns, Duration::from_secs(60));
    assert_eq!(bench.standing().blocked, 0);
    assert_eq!(bench.engine.shown_as("d"), new);
    assert_eq!(fs::read(bench.path("d/f")).unwrap(), b"x");
}

#[test]
fn a_tree_that_cannot_be_watched_is_scanned_and_said_to_be_until_it_is_watched() {
    let mut bench = Bench::with(FAR_US, |options| options.watched_dirs_max = 1);
    fs::create_dir(bench.path("d")).unwrap();
    let mut turns = bench.begin();
    assert!(bench.standing().blind.unwrap().contains("max_user_watches"));
    bench.engine.take_ops();
    fs::write(bench.path("d/f"), b"x").unwrap();
    bench.rest_for(&mut turns, Duration::from_secs(29));
    assert_eq!(bench.kinds(), []);
    bench.rest_for(&mut turns, Duration::from_secs(2));
    assert_eq!(bench.kinds(), [OpKind::Create, OpKind::Write]);
    let told = |event: &&ConnectorEvent| matches!(event, ConnectorEvent::Blind(_));
    assert_eq!(bench.events.iter().filter(told).count(), 1, "told once");
    fs::remove_dir_all(bench.path("d")).unwrap();
    bench.rest_for(&mut turns, Duration::from_secs(31));
    assert_eq!(bench.standing().blind, None);
    assert!(bench.events.contains(&ConnectorEvent::Sighted));
    let scans = bench.full_scans();
    bench.rest_for(&mut turns, Duration::from_secs(300));
    assert_eq!(bench.full_scans(), scans, "no need to scan any more");
}

#[test]
fn a_doubt_about_an_emptied_tree_outlasts_a_restart_until_the_files_are_back() {
    let mut bench = Bench::new(FAR_US);
    for name in ["f", "g"] {
        fs::write(bench.path(name), b"x").unwrap();
    }
    bench.begin();
    bench.engine.take_ops();
    let away = tempfile::tempdir().unwrap();
    for name in ["f", "g"] {
        fs::copy(bench.path(name), away.path().join(name)).unwrap();
        fs::remove_file(bench.path(name)).unwrap();
    }
    bench.connector.scan_once().unwrap();
    assert_eq!(bench.kinds(), []);
    bench.restart(|_| ()).unwrap();
    fs::write(bench.path("new"), b"x").unwrap();
    bench.begin();
    assert_eq!(
        bench.kinds(),
        [OpKind::Create, OpKind::Write],
        "something new proves nothing"
    );
    for name in ["f", "g"] {
        fs::copy(away.path().join(name), bench.path(name)).unwrap();
    }
    bench.connector.scan_once().unwrap();
    bench.restart(|_| ()).unwrap();
    bench.begin();
    bench.engine.take_ops();
    fs::remove_file(bench.path("f")).unwrap();
    bench.connector.scan_once().unwrap();
    assert_eq!(bench.kinds(), [OpKind::Unlink], "believed again");
}

#[test]
fn a_stop_ends_a_long_look_between_two_pieces_and_nothing_is_said_to_be_noticed() {
    /// More than is read in one go.
    const FILES: usize = 5_000;
    let mut bench = Bench::new(FAR_US);
    for nth in 0..FILES {
        File::create(bench.path(&format!("{nth}"))).unwrap();
    }
    bench.stop.store(true, Ordering::SeqCst);
    bench.begin();
    let first = bench.kinds().len();
    assert!((1..FILES).contains(&first), "{first}");
    assert_eq!(bench.observed_us(), 0);
    bench.stop.store(false, Ordering::SeqCst);
    bench.restart(|_| ()).unwrap();
    bench.begin();
    assert_eq!(bench.kinds().len(), FILES - first);
    assert_eq!(bench.observed_us(), FAR_US);
}

#[test]
fn a_mark_does_not_pass_files_that_vanished_before_they_were_read() {
    /// More than is read in one go.
    const FILES: usize = 5_000;
    let mut bench = Bench::new(FAR_US);
    let dir = bench.path("d");
    fs::create_dir(bench.path("kept")).unwrap();
    fs::create_dir(&dir).unwrap();
    for nth in 0..FILES {
        File::create(dir.join(nth.to_string())).unwrap();
    }
    let removing = &mut |_: &_| {
        fs::remove_dir_all(&dir).unwrap();
        Ok(true)
    };
    let report = bench.connector.scan_all(removing).unwrap();
    assert!(report.complete && report.vanished > 0, "{report:?}");
    assert_eq!(bench.observed_us(), 0, "they may be elsewhere in the tree");
    bench.connector.scan_once().unwrap();
    assert_eq!(bench.observed_us(), FAR_US);
}

#[test]
fn a_tree_that_was_moved_away_is_left_alone_until_it_is_back() {
    let mut bench = Bench::new(FAR_US);
    fs::write(bench.path("f"), b"f").unwrap();
    let mut turns = bench.begin();
    bench.kinds();
    let at = bench.tree.path().to_owned();
    let away = at.with_extension("away");
    fs::rename(&at, &away).unwrap();
    for stands_there in [false, true] {
        if stands_there {
            fs::create_dir(&at).unwrap();
            fs::write(at.join("lost"), b"by its user").unwrap();
        }
        fs::remove_file(away.join("f")).ok();
        fs::write(away.join("g"), b"g").unwrap();
        bench.rest_for(&mut turns, Duration::from_secs(60));
        assert_eq!(bench.kinds(), [], "{stands_there}");
        assert_eq!(bench.standing().brake, Some(Disbelief::Moved));
    }
    fs::remove_dir_all(&at).unwrap();
    fs::rename(&away, &at).unwrap();
    bench.rest_for(&mut turns, Duration::from_secs(5));
    assert_eq!(bench.standing().brake, None);
    let mut kinds = bench.kinds();
    kinds.sort_unstable();
    assert_eq!(kinds, [OpKind::Create, OpKind::Unlink, OpKind::Write]);
}
