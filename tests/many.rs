//! A hundred thousand conflicts: the list is taken page by page, and neither the daemon nor the program grows with it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{ChildStdout, Stdio};

use claudefs_repl::clock::{Clock as _, SystemClock};
use claudefs_repl::disk::RealDisk;
use claudefs_repl::journal::dot::LwwKey;
use claudefs_repl::journal::entry::RegisterId;
use claudefs_repl::store::Store;
use claudefs_repl::sync::conflict::{ConflictId, ConflictKind, ConflictRecord, LostValue};
use claudefs_repl::sync::state::State as _;

use crate::lab::{Site, cfs_repl};

/// How many there are.
const MANY: u64 = 100_000;
/// How many a short list has.
const FEW: &str = "1000";
/// Records of one transaction.
const BATCH: u64 = 10_000;
/// What a long list may need more than a short one: the allocator keeps what it has for a while.
const MORE_KIB: u64 = 8 << 10;
/// What the daemon may need for one: the ids of all, which are put in order, and a page.
const DAEMON_MORE_KIB: u64 = 48 << 10;

/// Puts this many conflicts into the state of a site that does not run, as the merge would.
pub(crate) fn record(site: &Site, count: u64) {
    let mut store = Store::open(&RealDisk::shared(), &site.state.join("state.redb")).unwrap();
    let now_us = SystemClock.now_us();
    for nth in 1..=count {
        let mut id = ConflictId::default();
        let (head, tail) = id.0.split_at_mut(8);
        // Spread as hashes are.
        head.copy_from_slice(&nth.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        tail[..8].copy_from_slice(&nth.to_be_bytes());
        let key = |site_id, timestamp_us| LwwKey {
            timestamp_us,
            site_id,
            incarnation: 7,
            shard_id: u32::try_from(nth % 256).unwrap(),
            seq: nth,
        };
        let record = ConflictRecord {
            id,
            kind: ConflictKind::Register,
            inode: 1_000_000 + nth,
            register: RegisterId::Mode,
            loser: key(1, now_us - nth),
            winner: Some(key(2, now_us)),
            detected_at_us: now_us - nth,
            lost: LostValue::Mode(0o644),
            superseded: false,
        };
        store.set_conflict(&record).unwrap();
        if nth % BATCH == 0 {
            store.commit().unwrap();
        }
    }
    store.commit().unwrap();
}

/// The most memory that a process had so far, in KiB.
pub(crate) fn peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// Lists conflicts; how many lines came, and the most memory that the program had shortly before its end, when it
/// waits for its output to be taken.
fn list(site: &Site, words: &[&str]) -> (u64, u64) {
    let server = format!("unix:{}", site.state.join("admin.sock").display());
    let mut command = cfs_repl();
    command.args(["conflicts", "list", "--server", &server, "--timeout", "60s"]);
    command
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout: ChildStdout = child.stdout.take().unwrap();
    let mut reader = BufReader::new(stdout);
    let (mut lines, mut peak, mut line) = (0, 0, Vec::new());
    while reader.read_until(b'\n', &mut line).unwrap() > 0 {
        lines += 1;
        line.clear();
        if lines % 500 == 1
            && let Ok(status) = fs::read_to_string(format!("/proc/{}/status", child.id()))
            && status.contains("VmHWM:")
        {
            peak = peak_kib(child.id());
        }
    }
    let mut told = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{told}");
    (lines, peak)
}

#[test]
fn a_list_of_a_hundred_thousand_conflicts_needs_no_more_memory_than_a_short_one() {
    // Measurements use what stands above, and not this.
    use crate::lab::{Lab, LabOptions};

    let mut lab = Lab::started(&LabOptions::default());
    lab.assert_settles("empty");
    lab.a.kill();
    record(&lab.a, MANY);
    lab.a.start(&[]);
    let status = lab.a.ask(&["status"]);
    assert_eq!(status["items"][0]["conflicts"]["open"], MANY);
    let daemon = lab.a.process();
    let (count, short) = list(&lab.a, &["-o", "jsonl", "--limit", FEW]);
    assert_eq!(count, 1_000);
    let before = peak_kib(daemon);
    for (format, more_lines) in [("jsonl", 0), ("csv", 1), ("name", 0)] {
        let (count, long) = list(&lab.a, &["-o", format]);
        assert_eq!(count, MANY + more_lines, "{format}");
        assert!(
            long > 0 && long < short + MORE_KIB,
            "{format}: {long} KiB, and {short} for {FEW}"
        );
        println!("{format}: {long} KiB, {FEW} of them {short} KiB");
    }
    let after = peak_kib(daemon);
    println!("daemon: {before} KiB before, {after} KiB after");
    assert!(
        after < before + DAEMON_MORE_KIB,
        "daemon: {before} KiB, then {after}"
    );
}
