//! What the dashboard costs: processor time and memory of the real program in a terminal of its own, and the time from
//! a key to its picture, with 16 sites, 256 shards each and 10 000 conflicts; what each viewer costs whoever it asks; and
//! how long it takes to open a long record, to play it to its end, and to go a step back.
//!
//! What it asks is the real admin service over a site that is played, in a process of its own: `cargo bench --bench top`.

#![allow(clippy::print_stdout, reason = "it prints what it measures")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

#[path = "top/stage.rs"]
mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use claudefs_repl::admin::client::Update;
use claudefs_repl::admin::delta::Delta;
use claudefs_repl::admin::view::{
    ConflictView, EventView, Lag, LagView, Overview, ShardLag, SiteLag, SiteState, SiteView,
    StatusView,
};
use claudefs_repl::clock::{Clock as _, SystemClock};
use claudefs_repl::top::message::Told;
use claudefs_repl::top::record;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

const S: u64 = 1_000_000;
const SITES: u64 = 16;
const SHARDS: u32 = 256;
const CONFLICTS: u64 = 10_000;
const EVENTS_PER_S: u64 = 1_000;
/// How long each is measured.
const SPAN: Duration = Duration::from_secs(20);
/// Says that this process is the site that is played, and how busy that is.
const STAGE: &str = "CFS_BENCH_STAGE";
/// A record begins at this time.
const BEGIN_US: u64 = 1_795_370_223_000_000;

fn look() -> Overview {
    let name = |id: u64| format!("site-{id:02}");
    let site = |id| SiteView {
        site: name(id),
        site_id: id,
        state: SiteState::Streaming,
        lag: Lag::Known(400_000),
        behind_entries: Some(12),
        behind_bytes: Some(4_096),
        ..SiteView::default()
    };
    let shard = |shard| ShardLag {
        shard,
        head: 36_000,
        ..ShardLag::default()
    };
    let lag = |id| SiteLag {
        site: name(id),
        site_id: id,
        state: SiteState::Streaming,
        lag: Lag::Known(400_000),
        shards: (0..SHARDS).map(shard).collect(),
        ..SiteLag::default()
    };
    Overview {
        status: StatusView {
            site: "site-01".to_owned(),
            sites: (2..2 + SITES).map(site).collect(),
            ..StatusView::default()
        },
        lag: LagView {
            sites: (2..2 + SITES).map(lag).collect(),
            ..LagView::default()
        },
    }
}

fn conflict(nth: u64) -> ConflictView {
    ConflictView {
        id: format!("c-{nth:010}"),
        kind: "register".to_owned(),
        path: Some(format!("projects/p{}/render-{nth:05}.exr", nth % 23).into_bytes()),
        register: "content".to_owned(),
        detected_us: BEGIN_US - nth * S,
        lost_bytes: Some(nth),
        ..ConflictView::default()
    }
}

fn conflicts() -> Told {
    Told::Conflicts {
        list: (0..CONFLICTS).rev().map(conflict).collect(),
        found: CONFLICTS,
    }
}

/// Everything at the beginning, and then what `each` tells every half second.
fn record(seconds: u64, each: impl Fn(u64, &Overview) -> Vec<(u64, Told)>) -> String {
    let look = look();
    let mut text = record::head(BEGIN_US);
    let snapshot = Update::Snapshot(Box::new(look.clone()));
    text.push_str(&record::lines(0, Told::Update(BEGIN_US, snapshot)));
    text.push_str(&record::lines(0, conflicts()));
    for half in 1..=seconds * 2 {
        for (t_us, told) in each(half, &look) {
            text.push_str(&record::lines(t_us, told));
        }
    }
    text
}

/// Every shard of every site moves twice a second, and events come all the time.
fn busy(half: u64, look: &Overview) -> Vec<(u64, Told)> {
    let at_us = half * S / 2;
    let mut shards = BTreeMap::new();
    let mut lags = Vec::new();
    for site in &look.lag.sites {
        let moved = site.shards.iter().map(|shard| ShardLag {
            head: shard.head + half,
            behind_entries: half % 5,
            lag: Lag::Known(half * 1_000),
            ..*shard
        });
        shards.insert(site.site.clone(), moved.collect());
        lags.push(SiteLag {
            lag: Lag::Known(half * 1_000),
            shards: Vec::new(),
            ..site.clone()
        });
    }
    let delta = Delta {
        lags,
        shards,
        ..Delta::default()
    };
    let mut told = vec![(
        at_us,
        Told::Update(BEGIN_US + at_us, Update::Delta(Box::new(delta))),
    )];
    let many = EVENTS_PER_S / 2;
    told.extend((0..many).map(|nth| {
        let event = EventView {
            number: half * many + nth,
            at_us: BEGIN_US + at_us,
            name: "conflict.recorded".to_owned(),
            site: Some("site-02".to_owned()),
            text: "a conflict was recorded".to_owned(),
            ..EventView::default()
        };
        (at_us + nth * S / EVENTS_PER_S, Told::Event(event))
    }));
    told
}

/// The program in a terminal of its own.
struct Term {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    _master: Box<dyn MasterPty + Send>,
}

impl Term {
    fn play(file: &str) -> Self {
        Self::run(&["top", "--replay", file])
    }

    fn run(words: &[&str]) -> Self {
        let size = PtySize {
            rows: 36,
            cols: 120,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_cfs-repl"));
        command.args(words);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (told, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if told.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keys: pair.master.take_writer().unwrap(),
            output,
            parser: vt100::Parser::new(36, 120, 0),
            _master: pair.master,
        }
    }

    fn shows(&mut self, text: &str) {
        while !self.parser.screen().contents().contains(text) {
            let bytes = self.output.recv_timeout(Duration::from_secs(60)).unwrap();
            self.parser.process(&bytes);
        }
    }

    /// Waits until everything was told up to where the record is.
    fn settles(&mut self) {
        while self.parser.screen().contents().contains("REPLAY »") {
            let bytes = self.output.recv_timeout(Duration::from_secs(60)).unwrap();
            self.parser.process(&bytes);
        }
    }

    /// Takes what is drawn for a while.
    fn watch(&mut self, span: Duration) {
        let until = SystemClock.monotonic() + span;
        while let Some(left) = until.checked_sub(SystemClock.monotonic()) {
            if let Ok(bytes) = self.output.recv_timeout(left) {
                self.parser.process(&bytes);
            }
        }
    }

    /// Resident memory in MiB.
    fn memory(&self) -> u64 {
        let id = self.child.process_id().unwrap();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1_024
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Seconds of processor time of a process since its start.
fn cpu_s(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: f64 = [11, 12]
        .iter()
        .map(|at| fields[*at].parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

/// The site that is played, in a process of its own.
struct Played {
    child: std::process::Child,
    socket: PathBuf,
}

impl Played {
    fn start(folder: &Path, name: &str) -> Self {
        let socket = folder.join(name);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(STAGE, name).arg(&socket);
        let child = command.spawn().unwrap();
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, socket }
    }

    fn view(&self) -> Term {
        let server = format!("unix:{}", self.socket.display());
        let mut term = Term::run(&["top", "--server", &server]);
        term.shows("LIVE");
        term
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_file(&self.socket));
    }
}

/// What a dashboard and the site that it asks use, on a screen; and the site when nobody looks.
fn live(folder: &Path, name: &str, screens: &[&str]) {
    let played = Played::start(folder, name);
    let site = played.child.id();
    let share = |used: f64| used * 100.0 / SPAN.as_secs_f64();
    let before = cpu_s(site);
    std::thread::sleep(SPAN);
    let alone = share(cpu_s(site) - before);
    for screen in screens {
        let mut term = played.view();
        term.keys.write_all(screen.as_bytes()).unwrap();
        term.watch(Duration::from_secs(2));
        let viewer = term.child.process_id().unwrap();
        let before = (cpu_s(viewer), cpu_s(site));
        term.watch(SPAN);
        let used = share(cpu_s(viewer) - before.0);
        let each = share(cpu_s(site) - before.1) - alone;
        let memory = term.memory();
        println!(
            "{name}, screen {screen}: {used:.2} % of a core, {memory} MiB; the site pays {each:.2} %"
        );
    }
}

/// Ten minutes, to their end and a step back.
fn long(file: &str) {
    const MINUTES: u64 = 10;
    let text = record(MINUTES * 60, busy);
    let size = text.len() / (1 << 20);
    fs::write(file, text).unwrap();
    let began = SystemClock.monotonic();
    let mut term = Term::play(file);
    term.shows("REPLAY");
    let opened = SystemClock.monotonic() - began;
    let began = SystemClock.monotonic();
    for _ in 0..=MINUTES * 6 {
        term.keys.write_all(b"\x1b[C").unwrap();
    }
    term.shows(&format!("{MINUTES:02}:01 of"));
    term.settles();
    let played = SystemClock.monotonic() - began;
    let began = SystemClock.monotonic();
    term.keys.write_all(b"\x1b[D").unwrap();
    term.shows(&format!("{:02}:51 of", MINUTES - 1));
    term.settles();
    let back = SystemClock.monotonic() - began;
    println!(
        "a record of {size} MiB: opened in {opened:.1?}, to its end in {played:.1?}, ten seconds back in {back:.1?}, {} MiB",
        term.memory()
    );
}

fn main() {
    if let Ok(name) = std::env::var(STAGE) {
        let socket = std::env::args_os().nth(1).unwrap();
        return stage::play(socket.into(), name == "busy");
    }
    let folder = tempfile::tempdir().unwrap();
    println!("{SITES} sites with {SHARDS} shards, {CONFLICTS} conflicts, 120x36");
    live(folder.path(), "calm", &["1", "3", "4"]);
    live(folder.path(), "busy", &["1", "3", "4", "5"]);
    long(&folder.path().join("long").display().to_string());
    let played = Played::start(folder.path(), "busy");
    let mut term = played.view();
    let mut times: Vec<Duration> = (0..60)
        .map(|nth| {
            let (key, shows) = if nth % 2 == 0 {
                ("5", "[5 Events]")
            } else {
                ("1", "[1 Overview]")
            };
            std::thread::sleep(Duration::from_millis(37));
            let before = SystemClock.monotonic();
            term.keys.write_all(key.as_bytes()).unwrap();
            term.shows(shows);
            SystemClock.monotonic() - before
        })
        .collect();
    times.sort();
    println!(
        "key to picture at {EVENTS_PER_S} events/s: median {:?}, longest {:?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );
}
