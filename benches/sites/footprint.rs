//! What two daemons need for a tree: the time of the first copy, resident memory at its peak and at rest, and processor
//! time when nothing happens.
//!
//! `CFS_BENCH_SIZES` (`20000,200000`), `CFS_BENCH_IDLE_S` (30).

use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};

use crate::lab::{Lab, LabOptions};
use crate::rng::Rng;
use crate::{fill, number};

/// Clock ticks of a second in `/proc` (USER_HZ is 100 on every Linux that Rust runs on).
const TICKS: f64 = 100.0;

pub(crate) fn measure() {
    let sizes = std::env::var("CFS_BENCH_SIZES").unwrap_or_else(|_| "20000,200000".to_owned());
    let idle = Duration::from_secs(number("CFS_BENCH_IDLE_S", 30));
    println!(
        "| files | copied in s | peak RSS MiB, site-a · site-b | RSS at rest MiB, site-a · site-b \
         | CPU at rest %, site-a · site-b |"
    );
    println!("|---|---|---|---|---|");
    for size in sizes.split(',') {
        let files = size.trim().parse().unwrap();
        let mut lab = Lab::new(&LabOptions::default());
        lab.patience = Duration::from_secs(60) + Duration::from_millis(20 * files);
        fill(&lab.a.tree, files, &mut Rng::new(files));
        let began = SystemClock.monotonic();
        lab.a.start(&[]);
        lab.b.start(&[]);
        lab.assert_settles("first copy");
        let copied = (SystemClock.monotonic() - began).as_secs_f64();
        let before = [&lab.a, &lab.b].map(|site| ticks(site.process()));
        std::thread::sleep(idle);
        let after = [&lab.a, &lab.b].map(|site| ticks(site.process()));
        let peak = [&lab.a, &lab.b].map(|site| mib(site.process(), "VmHWM:"));
        let rss = [&lab.a, &lab.b].map(|site| mib(site.process(), "VmRSS:"));
        let share = |at: usize| (after[at] - before[at]) / TICKS / idle.as_secs_f64() * 100.0;
        println!(
            "| {files} | {copied:.1} | {:.0} · {:.0} | {:.0} · {:.0} | {:.2} · {:.2} |",
            peak[0],
            peak[1],
            rss[0],
            rss[1],
            share(0),
            share(1)
        );
    }
}

/// User and system time of a process in ticks.
fn ticks(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name in parentheses may hold anything; fields are counted behind it.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next().unwrap().parse::<f64>().unwrap();
    next() + next()
}

fn mib(id: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<f64>().unwrap() / 1_024.0
}
