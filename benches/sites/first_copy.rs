//! A first copy of many small and some large files, beside `rsync -a --fsync` of the same tree in the same run.
//!
//! `CFS_BENCH_FILES` (20000), `CFS_BENCH_LARGE` (10), `CFS_BENCH_LARGE_MIB` (100), `CFS_BENCH_ROUNDS` (3).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};
use claudefs_repl::tree::compare::compare;

use crate::lab::{Lab, LabOptions, comes, has_program};
use crate::rng::Rng;
use crate::{fill, noise, number, small};

/// Longest first copy.
const PATIENCE: Duration = Duration::from_secs(1_800);

pub(crate) fn measure() {
    let files = number("CFS_BENCH_FILES", 20_000);
    let large = number("CFS_BENCH_LARGE", 10);
    let mib = number("CFS_BENCH_LARGE_MIB", 100);
    let rounds = number("CFS_BENCH_ROUNDS", 3);
    println!("{files} files of {} bytes, {large} of {mib} MiB", small());
    println!("| round | cfs-repl s | rsync -a --fsync s | ratio |");
    println!("|---|---|---|---|");
    for round in 1..=rounds {
        let mut rng = Rng::new(round);
        let mut lab = Lab::new(&LabOptions::default());
        fill(&lab.a.tree, files, &mut rng);
        for nth in 0..large {
            let bytes = noise(&mut rng, usize::try_from(mib << 20).unwrap());
            std::fs::write(lab.a.tree.join(format!("large-{nth}")), bytes).unwrap();
        }
        // What was just written must not be what the first one of the two waits for.
        rustix::fs::sync();
        let other = lab.folder().join("rsync");
        let peer = has_program("rsync").then(|| rsync(&lab.a.tree, &other));
        rustix::fs::sync();
        let own = own(&mut lab, files + large);
        let own_s = own.as_secs_f64();
        let (peer_s, ratio) = peer.map_or(("not installed".to_owned(), "-".to_owned()), |peer| {
            let peer = peer.as_secs_f64();
            (format!("{peer:.1}"), format!("{:.2}", own_s / peer))
        });
        println!("| {round} | {own_s:.1} | {peer_s} | {ratio} |");
    }
}

fn rsync(from: &Path, to: &Path) -> Duration {
    let started = SystemClock.monotonic();
    let mut command = Command::new("rsync");
    command.args(["-a", "--fsync", "--exclude=.cfs-repl"]);
    command.arg(format!("{}/", from.display())).arg(to);
    assert!(command.status().unwrap().success());
    SystemClock.monotonic() - started
}

/// From the start of both daemons to everything applied.
fn own(lab: &mut Lab, files: u64) -> Duration {
    let started = SystemClock.monotonic();
    for site in lab.sites() {
        site.start(&[]);
    }
    let done = comes(PATIENCE, || {
        let Some(status) = lab.a.try_status() else {
            return false;
        };
        let status = status.get("items").map_or(&status, |items| &items[0]);
        let site = &status["sites"][0];
        // Entries are counted as they are journaled: nothing behind means nothing only once the scan is over.
        site["behind_entries"] == 0 && count(&lab.b.tree) == files
    });
    let took = SystemClock.monotonic() - started;
    assert!(done, "not copied within {PATIENCE:?}");
    lab.assert_settles("first copy");
    let found = compare(&lab.a.tree, &lab.b.tree, 5).unwrap();
    assert!(found.is_equal(), "{found}");
    took
}

/// Files in a tree.
fn count(tree: &Path) -> u64 {
    let mut todo = vec![tree.to_owned()];
    let mut files = 0;
    while let Some(dir) = todo.pop() {
        let Ok(entries) = std::fs::read_dir(dir) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && entry.file_name() != ".cfs-repl" => {
                    todo.push(entry.path());
                }
                Ok(kind) => files += u64::from(kind.is_file()),
                Err(_) => {}
            }
        }
    }
    files
}
