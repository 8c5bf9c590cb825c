//! What the dashboard costs: processor time and memory of the real program in a terminal of its own, and the time from
//! a key to its picture, with 16 sites, 256 shards each and 10 000 conflicts; and how long it takes to open a long
//! record, to play it to its end, and to go a step back.
//!
//! It plays records, so that no daemon takes a part of the time: `cargo bench --bench top`.

#![allow(clippy::print_stdout, reason = "it prints what it measures")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write};
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

fn conflicts() -> Told {
    let conflict = |nth: u64| ConflictView {
        id: format!("c-{nth:010}"),
        kind: "register".to_owned(),
        path: Some(format!("projects/p{}/render-{nth:05}.exr", nth % 23).into_bytes()),
        register: "content".to_owned(),
        detected_us: BEGIN_US - nth * S,
        lost_bytes: Some(nth),
        ..ConflictView::default()
    };
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

/// One heartbeat a second.
fn calm(half: u64, _: &Overview) -> Vec<(u64, Told)> {
    if half % 2 == 1 {
        return Vec::new();
    }
    let beat = Update::Heartbeat {
        uptime_us: half * S / 2,
        engine_age_us: 1_000,
    };
    vec![(half * S / 2, Told::Update(BEGIN_US, beat))]
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
        let size = PtySize {
            rows: 36,
            cols: 120,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_cfs-repl"));
        command.args(["top", "--replay", file]);
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

    /// Seconds of processor time since the start.
    fn cpu_s(&self) -> f64 {
        let id = self.child.process_id().unwrap();
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks: f64 = [11, 12]
            .iter()
            .map(|at| fields[*at].parse::<f64>().unwrap())
            .sum();
        ticks / 100.0
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
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    println!("{SITES} sites with {SHARDS} shards, {CONFLICTS} conflicts, 120x36");
    for (name, seconds, text) in [
        ("calm", 20, record(60, calm)),
        ("busy", 15, record(20, busy)),
    ] {
        let file = path(name);
        fs::write(&file, &text).unwrap();
        let mut term = Term::play(&file);
        term.shows("REPLAY");
        let before = term.cpu_s();
        std::thread::sleep(Duration::from_secs(seconds));
        let cpu = (term.cpu_s() - before) * 100.0 / seconds as f64;
        let (memory, size) = (term.memory(), text.len() / (1 << 20));
        println!(
            "{name}: {cpu:.1} % of a core, {memory} MiB; the record has {size} MiB in its file"
        );
    }
    long(&path("long"));
    let mut term = Term::play(&path("busy"));
    term.shows("REPLAY");
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
