//! One changed file of 4 KiB in a tree at rest: time from the write at one site until the other site shows it.
//!
//! `CFS_BENCH_FILES` (20000), `CFS_BENCH_CHANGES` (1000), `CFS_BENCH_PAUSE_MS` (200).

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};
use inotify::{Inotify, WatchMask};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::lab::{Lab, LabOptions};
use crate::rng::Rng;
use crate::{DIRECTORIES, fill, milliseconds, name, noise, number, percentile, small};

/// A change that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn measure() {
    let files = number("CFS_BENCH_FILES", 20_000);
    let changes = number("CFS_BENCH_CHANGES", 1_000);
    let pause = Duration::from_millis(number("CFS_BENCH_PAUSE_MS", 200));
    let mut rng = Rng::new(1);
    let mut lab = Lab::started(&LabOptions::default());
    fill(&lab.a.tree, files, &mut rng);
    lab.assert_settles("first copy");
    let mut inotify = Inotify::init().unwrap();
    let mut watched = BTreeMap::new();
    for dir in 0..DIRECTORIES {
        let path = lab.b.tree.join(format!("d{dir:03}"));
        let mask = WatchMask::MOVED_TO | WatchMask::CLOSE_WRITE;
        watched.insert(inotify.watches().add(path, mask).unwrap(), dir);
    }
    let mut times = Vec::new();
    for _ in 0..changes {
        std::thread::sleep(pause);
        let file = rng.below(files);
        let bytes = noise(&mut rng, small());
        let wanted = name(file);
        let (_, wanted) = wanted.split_once('/').unwrap();
        let started = SystemClock.monotonic();
        std::fs::write(lab.a.tree.join(name(file)), bytes).unwrap();
        let mut buffer = vec![0; 64 * 1024];
        let took = loop {
            let took = SystemClock.monotonic() - started;
            assert!(took < PATIENCE, "{wanted} does not arrive");
            wait(&inotify);
            let Ok(events) = inotify.read_events(&mut buffer) else {
                continue;
            };
            let mut events = events.map(|event| {
                let dir = watched.get(&event.wd).copied();
                dir == Some(file % DIRECTORIES) && event.name.is_some_and(|name| name == wanted)
            });
            if events.any(|is_it| is_it) {
                break SystemClock.monotonic() - started;
            }
        };
        times.push(took);
    }
    times.sort_unstable();
    lab.assert_settles("changes");
    let [p50, p90, p99] = [50, 90, 99].map(|share| milliseconds(percentile(&times, share)));
    let max = milliseconds(times.last().copied().unwrap_or_default());
    println!("| files | changes | p50 ms | p90 ms | p99 ms | max ms |");
    println!("|---|---|---|---|---|---|");
    println!("| {files} | {changes} | {p50} | {p90} | {p99} | {max} |");
}

fn wait(inotify: &Inotify) {
    let mut fds = [PollFd::from_borrowed_fd(inotify.as_fd(), PollFlags::IN)];
    let second = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&second)).unwrap();
}
