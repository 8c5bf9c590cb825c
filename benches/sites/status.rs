//! What an operator waits for: wall time of `cfs-repl status` against a running daemon, once with one peer and nothing in
//! the tree, once with work in all 256 shards, 8 peers and 100 000 conflicts on record.
//!
//! `CFS_BENCH_RUNS` (300), `CFS_BENCH_CONFLICTS` (100000). Peers but one are not there.

use std::fs;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};

use crate::lab::{Lab, LabOptions, Site, cfs_repl};
use crate::{many, milliseconds, number, percentile};

/// Files that put inodes into every shard.
pub(crate) const FILES: u64 = 4_000;

pub(crate) fn measure() {
    let runs = number("CFS_BENCH_RUNS", 300);
    println!(
        "{:<34} {:>8} {:>8} {:>8}",
        "status, ms", "p50", "p90", "p99"
    );
    let mut lab = Lab::started(&LabOptions::default());
    lab.assert_settles("empty");
    tell("1 peer", &mut times(&lab.a, runs));
    let conflicts = number("CFS_BENCH_CONFLICTS", 100_000);
    for file in 0..FILES {
        fs::write(lab.a.tree.join(format!("f{file:05}")), "x").unwrap();
    }
    lab.assert_settles("files");
    lab.a.kill();
    many::record(&lab.a, conflicts);
    more_peers(&lab.a, 7);
    lab.a.start(&[]);
    let about = format!("8 peers, 256 shards, {conflicts} conflicts");
    tell(&about, &mut times(&lab.a, runs));
}

/// Adds peers that do not answer.
pub(crate) fn more_peers(site: &Site, count: u64) {
    let mut text = fs::read_to_string(&site.config).unwrap();
    for nth in 0..count {
        let id = 100 + nth;
        text.push_str(&format!(
            "\n[[peer]]\nid = {id}\nname = \"away-{nth}\"\nendpoints = [\"127.0.0.1:9\"]\n"
        ));
    }
    fs::write(&site.config, text).unwrap();
}

fn times(site: &Site, runs: u64) -> Vec<Duration> {
    let server = format!("unix:{}", site.state.join("admin.sock").display());
    let mut times = Vec::new();
    for _ in 0..runs {
        let mut command = cfs_repl();
        command.args(["status", "--server", &server]);
        let began = SystemClock.monotonic();
        let output = command.output().unwrap();
        times.push(SystemClock.monotonic() - began);
        assert!(output.status.success(), "{output:?}");
    }
    times
}

fn tell(about: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let [p50, p90, p99] = [50, 90, 99].map(|share| milliseconds(percentile(times, share)));
    println!("{about:<34} {p50:>8} {p90:>8} {p99:>8}");
}
