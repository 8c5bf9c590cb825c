//! What an operator waits for, and what watching costs: wall time of `cfs-repl status` against a running daemon, once
//! with one peer and nothing in the tree, once with work in all 256 shards, 8 peers and 100 000 conflicts on record; and
//! the processor time of a daemon with 16 peers while one reader watches it.
//!
//! `CFS_BENCH_RUNS` (300), `CFS_BENCH_CONFLICTS` (100000), `CFS_BENCH_WATCH_S` (60). Peers but one are not there.

use std::fs;
use std::time::Duration;

use claudefs_repl::admin::client::{Address, Client};
use claudefs_repl::clock::{Clock, SystemClock};

use crate::lab::{Lab, LabOptions, Site, cfs_repl};
use crate::{many, milliseconds, number, percentile};

/// Files that put inodes into every shard.
const FILES: u64 = 4_000;
/// As the dashboard and `--watch` ask.
const LOOK: Duration = Duration::from_millis(500);

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
    drop(lab);
    watched();
}

/// Adds peers that do not answer.
fn more_peers(site: &Site, count: u64) {
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

/// Processor time of a daemon with 16 peers, with and without one reader that watches it.
fn watched() {
    let span = Duration::from_secs(number("CFS_BENCH_WATCH_S", 60));
    let mut lab = Lab::started(&LabOptions::default());
    lab.assert_settles("empty");
    // Nothing comes to rest with peers that are not there, so they come last.
    lab.a.kill();
    more_peers(&lab.a, 15);
    lab.a.start(&[]);
    let process = lab.a.process();
    let alone = used(process, || std::thread::sleep(span));
    let address = Address::in_state(&lab.a.state);
    let mut updates = 0_u64;
    let watched = used(process, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let reading = async {
            let client = Client::connect(address, span).await.unwrap();
            let mut stream = client.watch(LOOK, false).await.unwrap();
            while stream.next().await.unwrap().is_some() {
                updates += 1;
            }
        };
        let within = async { tokio::time::timeout(span, reading).await };
        assert!(runtime.block_on(within).is_err(), "the daemon ended");
    });
    let share = |used: Duration| 100.0 * used.as_secs_f64() / span.as_secs_f64();
    println!(
        "\n16 peers, {} s: {:.2} % of a core alone, {:.2} % watched ({updates} updates)",
        span.as_secs(),
        share(alone),
        share(watched)
    );
}

/// Processor time that a process uses meanwhile.
fn used(process: u32, work: impl FnOnce()) -> Duration {
    let before = ticks(process);
    work();
    // Linux counts hundredths for every program.
    Duration::from_millis((ticks(process) - before) * 10)
}

/// utime and stime of a process.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // Behind the name, which may hold anything.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |nth: usize| fields.get(nth).unwrap().parse::<u64>().unwrap();
    field(11) + field(12)
}
