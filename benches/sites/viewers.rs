//! What a dashboard costs the daemon that it shows: processor time of a daemon with 16 peers and entries in all shards,
//! with and without viewers that ask as the dashboard does.
//!
//! `CFS_BENCH_WATCH_S` (60), `CFS_BENCH_VIEWERS` (4). Peers but one are not there.

use std::fs;
use std::time::Duration;

use claudefs_repl::admin::client::{Address, Client};
use claudefs_repl::admin::view::EventFilter;
use claudefs_repl::clock::{Clock, SystemClock};

use crate::lab::{Lab, LabOptions, Site};
use crate::number;
use crate::status::{FILES, more_peers};

/// As the dashboard asks.
const LOOK: Duration = Duration::from_millis(500);

/// Processor time of a daemon with 16 peers and entries in all shards, alone and with viewers: at rest, and while files
/// are written.
pub(crate) fn measure() {
    let span = Duration::from_secs(number("CFS_BENCH_WATCH_S", 60));
    let viewers = number("CFS_BENCH_VIEWERS", 4);
    let mut lab = Lab::new(&LabOptions::default());
    more_peers(&lab.a, 15);
    lab.a.start(&[]);
    lab.b.start(&[]);
    for file in 0..FILES {
        fs::write(lab.a.tree.join(format!("f{file:05}")), "x").unwrap();
    }
    lab.assert_settles("files");
    let process = lab.a.process();
    let address = Address::in_state(&lab.a.state);
    println!("16 peers, {} s, {viewers} viewers", span.as_secs());
    println!(
        "{:<34} {:>8} {:>8} {:>12}",
        "processor time, % of a core", "alone", "watched", "per viewer"
    );
    for (about, is_busy) in [("at rest", false), ("10 files a second", true)] {
        let alone = used(process, || busy(&lab.a, span, is_busy));
        let mut told = 0;
        let watched = used(process, || {
            std::thread::scope(|scope| {
                scope.spawn(|| busy(&lab.a, span, is_busy));
                told = watch(&address, span, viewers);
            });
        });
        let share = |used: Duration| 100.0 * used.as_secs_f64() / span.as_secs_f64();
        let (alone, watched) = (share(alone), share(watched));
        let each = (watched - alone) / viewers as f64;
        println!("{about:<34} {alone:>8.2} {watched:>8.2} {each:>12.2}   ({told} told)");
    }
}

/// Waits, or writes files meanwhile.
fn busy(site: &Site, span: Duration, is_busy: bool) {
    let began = SystemClock.monotonic();
    let mut nth = 0_u64;
    while SystemClock.monotonic() - began < span {
        if is_busy {
            let name = format!("f{:05}", nth % FILES);
            fs::write(site.tree.join(name), nth.to_string()).unwrap();
            nth += 1;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Watches as so many dashboards do: looks with every shard, and events. Returns how much was told.
fn watch(address: &Address, span: Duration, viewers: u64) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let viewers = async {
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..viewers {
            all.spawn(view(address.clone(), span));
        }
        all.join_all().await
    };
    runtime.block_on(viewers).iter().sum()
}

/// One viewer. Returns how much it was told.
async fn view(address: Address, span: Duration) -> u64 {
    let client = Client::connect(address, span).await.unwrap();
    let mut looks = client.watch(LOOK, true).await.unwrap();
    let filter = EventFilter::default();
    let mut events = client.events(filter, true, None).await.unwrap();
    let mut told = 0_u64;
    let reading = async {
        loop {
            tokio::select! {
                look = looks.next() => assert!(look.unwrap().is_some(), "the daemon ended"),
                event = events.next() => assert!(event.unwrap().is_some(), "the daemon ended"),
            }
            told += 1;
        }
    };
    let within: Result<(), _> = tokio::time::timeout(span, reading).await;
    assert!(within.is_err());
    told
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
