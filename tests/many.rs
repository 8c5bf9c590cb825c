//! A hundred thousand conflicts: the list is taken page by page, and neither the daemon nor the program grows with it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};

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
/// What may be kept of all rows where they are put in order, or a table has to know how wide they are.
const ROWS_KIB: u64 = 48 << 10;
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

/// Begins to list conflicts.
fn listing(site: &Site, words: &[&str]) -> (Child, ChildStdout) {
    let server = format!("unix:{}", site.state.join("admin.sock").display());
    let mut command = cfs_repl();
    command.args(["conflicts", "list", "--server", &server, "--timeout", "60s"]);
    command
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    (child, stdout)
}

/// Lists conflicts; how many came, and the most memory that the program had shortly before its end, when it waits for
/// its output to be taken.
fn list(site: &Site, words: &[&str]) -> (u64, u64) {
    let (mut child, stdout) = listing(site, words);
    let mut reader = BufReader::new(stdout);
    let (mut ids, mut peak, mut before) = (0, 0, 0);
    for nth in 0_u64.. {
        let some = reader.fill_buf().unwrap();
        if some.is_empty() {
            break;
        }
        for byte in some {
            // Ids begin with it, and nothing else does that is printed here.
            ids += u64::from((before, *byte) == (b'c', b'-'));
            before = *byte;
        }
        let taken = some.len();
        reader.consume(taken);
        if nth % 8 == 1
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
    (ids, peak)
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
    for (words, more) in [
        (&["jsonl"][..], MORE_KIB),
        (&["csv"], MORE_KIB),
        (&["name"], MORE_KIB),
        (&["json"], MORE_KIB),
        (&["yaml"], MORE_KIB),
        (&["table"], MORE_KIB + ROWS_KIB),
        (&["wide", "--sort", "-winner_at"], MORE_KIB + ROWS_KIB),
    ] {
        let (count, long) = list(&lab.a, &[&["-o"], words].concat());
        assert_eq!(count, MANY, "{words:?}");
        println!("{words:?}: {long} KiB, {FEW} of them {short} KiB");
        assert!(
            long > 0 && long < short + more,
            "{words:?}: {long} KiB, and {short} for {FEW}"
        );
    }
    let after = peak_kib(daemon);
    println!("daemon: {before} KiB before, {after} KiB after");
    assert!(
        after < before + DAEMON_MORE_KIB,
        "daemon: {before} KiB, then {after}"
    );
    breaks_off(&mut lab.a);
}

/// A daemon that ends in the middle of a list leaves a document that nobody takes for a whole one.
fn breaks_off(site: &mut Site) {
    let (child, mut stdout) = listing(site, &["-o", "json"]);
    let mut text = vec![0; 1 << 10];
    stdout.read_exact(&mut text).unwrap();
    // It holds what fits into the pipe and the buffers of the connection, and that is not all.
    site.kill();
    stdout.read_to_end(&mut text).unwrap();
    let ended = child.wait_with_output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{told}");
    assert_eq!(told["error"]["code"], "daemon_unreachable");
    let causes = told["error"]["cause"].as_array().unwrap();
    assert!(
        causes.contains(&"what was printed ends in the middle of the list".into()),
        "{told}"
    );
    assert!(serde_json::from_slice::<serde_json::Value>(&text).is_err());
}
