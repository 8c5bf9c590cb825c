//! Proof with real processes: random work at all sites, while daemons are killed at random moments and at every fail
//! point, and connections are disturbed.
//!
//! Whatever happened, in the end the trees are equal, nothing lags, nothing is parked, nobody logged an error, and
//! nothing that was written for good is missing. A run is named by its seed; the operating system decides the rest,
//! so a seed repeats the work and not the interleaving. `docs/testing.md` has the commands for long runs.

mod kills;
mod kinds;
mod ledger;
mod partitions;
mod points;
mod wires;
mod work;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{ScopedJoinHandle, scope};
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};
use claudefs_repl::conduit::window::WINDOW_ENTRIES;

use crate::lab::{Lab, LabOptions, Site};
use ledger::{Ledger, Writer};
use work::{Counts, Programs, SIDES, Worker};

/// What a run is made of.
#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    time: Duration,
    kills: u64,
    /// Longest pause between two operations of a side.
    pause: Duration,
    /// Kinds of work; empty means all.
    only: Vec<String>,
}

impl Plan {
    /// A plan whose parts the environment may change.
    fn new(seconds: u64, kills: u64) -> Self {
        let only = match std::env::var("CFS_REPL_SOAK_KINDS") {
            Ok(text) => text
                .split(',')
                .filter(|k| !k.is_empty())
                .map(str::to_owned)
                .collect(),
            Err(_) => Vec::new(),
        };
        let plan = Self {
            seed: from_env("CFS_REPL_SOAK_SEED", SystemClock.now_us()),
            time: Duration::from_secs(from_env("CFS_REPL_SOAK_SECONDS", seconds)),
            kills: from_env("CFS_REPL_SOAK_KILLS", kills),
            pause: Duration::from_millis(from_env("CFS_REPL_SOAK_PAUSE_MS", 40)),
            only,
        };
        println!("plan: {plan:?}");
        plan
    }
}

/// A number from the environment.
pub(crate) fn from_env(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap())
}

fn options(scan_interval: &str, inotify: &str) -> LabOptions {
    LabOptions {
        // Users who remove half of a tree within a minute mean it here.
        settings: vec![
            ("scan_interval", format!("\"{scan_interval}\"")),
            ("brake_percent", "\"100%\"".to_owned()),
        ],
        env: vec![("CFS_REPL_INOTIFY", inotify.to_owned())],
        ..LabOptions::default()
    }
}

/// Random work at all sites of a lab while `disturb` has its way, and what must hold in the end. What `disturb` is
/// given says whether the work is over, which is a failure of it. It returns what it did.
fn soak(
    plan: &Plan,
    lab: &mut Lab,
    disturb: impl FnOnce(&mut Lab, &dyn Fn() -> bool) -> Vec<String>,
) -> Vec<String> {
    let material = lab.folder().join("material");
    make_material(&material);
    let programs = Programs::found();
    let only: Vec<&str> = plan.only.iter().map(String::as_str).collect();
    let stop = AtomicBool::new(false);
    let trees = lab.seen().into_iter().map(|site| site.tree.clone());
    let trees: Vec<(&str, PathBuf)> = SIDES.into_iter().zip(trees).collect();
    let (counts, ledger, done) = scope(|scope| {
        // On the way out of a failure, too: the scope waits for its threads.
        let _stopped = StopOnDrop(&stop);
        let (mut workers, mut writers) = (Vec::new(), Vec::new());
        for (side, tree) in &trees {
            let worker = Worker::new(side, tree, &material, plan.seed, programs, &only);
            let stop = &stop;
            workers.push(scope.spawn(move || worker.work(stop, plan.pause)));
            let writer = Writer::new(side, tree, plan.seed, &only);
            writers.push(scope.spawn(move || writer.work(stop)));
        }
        let done = disturb(lab, &|| {
            workers.iter().any(ScopedJoinHandle::is_finished)
                || writers.iter().any(ScopedJoinHandle::is_finished)
        });
        stop.store(true, Ordering::SeqCst);
        let counts: Vec<Counts> = workers.into_iter().map(|w| w.join().unwrap()).collect();
        let ledgers: Vec<Ledger> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        (counts, ledgers, done)
    });
    tell(&counts, &done);
    lab.assert_settles("soak");
    for ledger in &ledger {
        ledger.assert_kept(lab);
    }
    for site in lab.seen() {
        assert_resent_within_window(site);
    }
    done
}

/// Stops the work when it goes away.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn tell(counts: &[Counts], disturbed: &[String]) {
    for (side, counts) in SIDES.iter().zip(counts) {
        let done: u64 = counts.values().map(|count| count.0).sum();
        println!("work at {side}: {done} operations (done, missed): {counts:?}");
    }
    println!("disturbed {} times: {disturbed:?}", disturbed.len());
}

/// What had to be sent again after a kill stands in the log.
fn assert_resent_within_window(site: &Site) {
    let text = site.log_text();
    let mut again = Vec::new();
    for line in text.lines() {
        if line.contains("sending again") || line.contains("entries came again") {
            let number = line.split("entries=").nth(1).unwrap_or_default();
            let number = number.split_whitespace().next().unwrap_or_default();
            again.push(number.parse::<u64>().unwrap());
        }
    }
    println!("{}: entries sent again: {again:?}", site.name);
    let most = again.iter().max().copied().unwrap_or(0);
    assert!(most <= WINDOW_ENTRIES as u64, "{most} in one go");
}

/// A folder, a tarball of it, and two states of a folder to mirror.
fn make_material(at: &Path) {
    let source = at.join("source");
    for n in 0..60 {
        let dir = source
            .join(format!("d{}", n % 5))
            .join(format!("e{}", n % 3));
        fs::create_dir_all(&dir).unwrap();
        let text = format!("file {n} of the tarball\n").repeat(1 + n * 7);
        fs::write(dir.join(format!("f{n}")), text).unwrap();
    }
    if crate::lab::has_program("tar") {
        let mut tar = std::process::Command::new("tar");
        crate::lab::run(
            tar.arg("-cf")
                .arg(at.join("tarball.tar"))
                .arg("-C")
                .arg(&source)
                .arg("."),
        );
    }
    for state in 0..2 {
        for n in 0..30 {
            if n % 5 == state {
                continue;
            }
            let dir = at
                .join(format!("mirror{state}"))
                .join(format!("d{}", n % 4));
            fs::create_dir_all(&dir).unwrap();
            let text = format!("file {n}, state {}\n", if n % 3 == 0 { state } else { 9 });
            fs::write(dir.join(format!("f{n}")), text.repeat(1 + n * 3)).unwrap();
        }
    }
}
