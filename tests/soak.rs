//! Proof with real processes: random work on both sides, daemons killed at random moments and at every fail point.
//!
//! Whatever happened, in the end the trees are equal, nothing lags, nothing is parked, nobody logged an error, and
//! nothing that was written for good is missing. A run is named by its seed; the operating system decides the rest,
//! so a seed repeats the work and not the interleaving. `docs/testing.md` has the commands for long runs.

mod kinds;
mod ledger;
mod points;
mod work;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{ScopedJoinHandle, scope};
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};
use claudefs_repl::conduit::window::WINDOW_ENTRIES;
use claudefs_repl::failpoint;

use crate::lab::{Lab, LabOptions, Site};
use crate::rng::Rng;
use ledger::{Ledger, Writer};
use work::{Counts, Programs, Worker};

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
        let number = |name: &str, default: u64| {
            let text = std::env::var(name).ok();
            text.map_or(default, |text| text.parse().unwrap())
        };
        let only = match std::env::var("CFS_REPL_SOAK_KINDS") {
            Ok(text) => text
                .split(',')
                .filter(|k| !k.is_empty())
                .map(str::to_owned)
                .collect(),
            Err(_) => Vec::new(),
        };
        let plan = Self {
            seed: number("CFS_REPL_SOAK_SEED", SystemClock.now_us()),
            time: Duration::from_secs(number("CFS_REPL_SOAK_SECONDS", seconds)),
            kills: number("CFS_REPL_SOAK_KILLS", kills),
            pause: Duration::from_millis(number("CFS_REPL_SOAK_PAUSE_MS", 40)),
            only,
        };
        println!("plan: {plan:?}");
        plan
    }
}

#[test]
fn random_work_on_both_sides_and_kills_end_in_equal_trees() {
    soak(&Plan::new(60, 5), &options("10s", "on"));
}

#[test]
fn random_work_and_kills_end_in_equal_trees_by_scanning_alone() {
    soak(&Plan::new(20, 2), &options("10s", "off"));
}

#[test]
fn random_work_and_kills_end_in_equal_trees_without_scans() {
    soak(&Plan::new(20, 2), &options("30d", "on"));
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

/// One run.
fn soak(plan: &Plan, options: &LabOptions) {
    let mut lab = Lab::started(options);
    let material = lab.folder().join("material");
    make_material(&material);
    let programs = Programs::found();
    let only: Vec<&str> = plan.only.iter().map(String::as_str).collect();
    let stop = AtomicBool::new(false);
    let trees = [("a", lab.a.tree.clone()), ("b", lab.b.tree.clone())];
    let (counts, ledger, killed) = scope(|scope| {
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
        let killed = kill_around(plan, &mut lab, || {
            workers.iter().any(ScopedJoinHandle::is_finished)
                || writers.iter().any(ScopedJoinHandle::is_finished)
        });
        stop.store(true, Ordering::SeqCst);
        let counts: Vec<Counts> = workers.into_iter().map(|w| w.join().unwrap()).collect();
        let ledgers: Vec<Ledger> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        (counts, ledgers, killed)
    });
    tell(&counts, &killed);
    lab.assert_settles("soak");
    for ledger in &ledger {
        ledger.assert_kept(&mut lab);
    }
    assert_resent_within_window(&lab.a);
    assert_resent_within_window(&lab.b);
    assert!(killed.len() as u64 >= plan.kills, "only {killed:?}");
}

/// Stops the work when it goes away.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Kills daemons until the time is over; how each came to its end.
fn kill_around(plan: &Plan, lab: &mut Lab, is_work_over: impl Fn() -> bool) -> Vec<String> {
    let mut rng = Rng::new(plan.seed ^ 0x6b69_6c6c);
    let started = SystemClock.monotonic();
    let mut killed = Vec::new();
    let mut armed: [Option<String>; 2] = [None, None];
    for nth in 0..=plan.kills {
        let slot = plan.time / u32::try_from(plan.kills + 1).unwrap();
        let share = u32::try_from(rng.below(1_000)).unwrap();
        let until = if nth == plan.kills {
            plan.time
        } else {
            slot * u32::try_from(nth).unwrap() + slot * share / 1_000
        };
        while SystemClock.monotonic() - started < until && !is_work_over() {
            restart_aborted(lab, &mut armed, &mut killed);
            std::thread::sleep(Duration::from_millis(20));
        }
        if nth == plan.kills {
            break;
        }
        let which = rng.index(2);
        let site = lab.site(which);
        site.kill();
        killed.push(format!("{}: -9", site.name));
        // How long it is down, while the other side goes on.
        std::thread::sleep(Duration::from_millis(rng.below(1_500)));
        let point = failpoint::POINTS[rng.index(failpoint::POINTS.len())];
        armed[which] = Some(format!("{point}:{}", 1 + rng.below(6)));
        let arm = armed[which].clone().unwrap();
        if failpoint::COMPILED {
            site.spawn(&[(failpoint::VARIABLE, arm.as_str())]);
        } else {
            site.spawn(&[]);
        }
    }
    restart_aborted(lab, &mut armed, &mut killed);
    // An armed daemon must not abort while everything comes to rest.
    for (which, site) in lab.sites().into_iter().enumerate() {
        if armed[which].take().is_some() {
            site.kill();
            killed.push(format!("{}: -9 at the end", site.name));
            site.start(&[]);
        }
    }
    killed
}

/// Starts again what aborted as it was told to; anything else that ended is a failure.
fn restart_aborted(lab: &mut Lab, armed: &mut [Option<String>; 2], killed: &mut Vec<String>) {
    for which in [0, 1] {
        let site = lab.site(which);
        if site.ended().is_none() {
            continue;
        }
        let Some(point) = armed[which].take() else {
            let what = format!("{} ended by itself", site.name);
            lab.fail("soak", &what);
        };
        if site.aborted() {
            killed.push(format!("{}: {point}", site.name));
            site.spawn(&[]);
        }
    }
}

fn tell(counts: &[Counts], killed: &[String]) {
    for (side, counts) in ["a", "b"].iter().zip(counts) {
        let done: u64 = counts.values().map(|count| count.0).sum();
        println!("work at {side}: {done} operations (done, missed): {counts:?}");
    }
    println!("{} kills: {killed:?}", killed.len());
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
