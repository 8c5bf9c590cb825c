//! Received logs: what a journal sends is there after any mishap, batch by batch, with its declared ranges.

use std::collections::BTreeMap;

use super::super::verdict::{ReceivedCursor, Verdict};
use super::super::{Actor, AppendGroup, EntryBatch, Journal, ReceivedLog};
use super::script::{ACTOR, Script, dir, model, small};
use crate::disk::{Fault, FaultyDisk};
use crate::error::{ReplError, Result};

/// The frames that a journal of these groups sends.
fn frames(script: &[AppendGroup], entries: usize) -> Vec<Vec<EntryBatch>> {
    let disk = FaultyDisk::new(1).shared();
    let mut journal = Journal::create(disk, dir(), ACTOR, small()).unwrap();
    journal.append(script).unwrap();
    let mut reader = journal.batches(BTreeMap::new()).unwrap();
    let frames = std::iter::from_fn(|| reader.next_frame(1 << 20, entries).unwrap());
    frames.map(|(batches, _)| batches).collect()
}

fn open(disk: &FaultyDisk) -> Result<ReceivedLog> {
    ReceivedLog::open(disk.shared(), dir(), ACTOR, small()).map(|(log, _)| log)
}

fn replayed(log: &ReceivedLog, position: u64) -> Vec<(u64, EntryBatch)> {
    let batches = log.replay(position).unwrap();
    batches.map(Result::unwrap).collect()
}

fn batches(log: &ReceivedLog) -> Vec<EntryBatch> {
    let all = replayed(log, log.start()).into_iter();
    all.map(|(_, batch)| batch).collect()
}

#[test]
fn what_was_received_is_replayed_as_it_was_sent() {
    let script = Script::groups(1, 120);
    let sent = frames(&script, 7);
    let disk = FaultyDisk::new(1);
    let mut log = open(&disk).unwrap();
    for frame in &sent {
        let before = disk.operations();
        let received = log.append(frame).unwrap();
        assert_eq!((received.appended, received.duplicates), (frame.len(), 0));
        assert!(
            disk.operations() - before <= 9,
            "one sync, or a new segment"
        );
        assert_eq!(log.append(frame).unwrap().duplicates, frame.len());
    }
    let flat: Vec<EntryBatch> = sent.concat();
    assert_eq!(batches(&log), flat);
    for (index, (next, _)) in replayed(&log, 0).iter().enumerate().step_by(11) {
        let rest: Vec<_> = replayed(&log, *next).into_iter().map(|(_, b)| b).collect();
        assert_eq!(rest, flat[index + 1..]);
    }
    drop(log);
    let log = open(&disk).unwrap();
    assert_eq!(batches(&log), flat);
    for (stream, (seq, chain, _)) in model(&script) {
        assert_eq!(log.cursor(stream), ReceivedCursor { seq, chain });
        assert_eq!(log.cursors()[&stream].seq, seq);
    }
    let last = script.last().unwrap().entries.last().unwrap();
    assert_eq!(log.last_hlc_us(), last.hlc_us);
}

#[test]
fn compacted_and_empty_batches_keep_their_range_after_a_restart() {
    let mut sent = frames(&Script::groups(2, 40), 1_000).remove(0);
    for batch in &mut sent {
        batch.raw = bytes::Bytes::new();
    }
    sent[0].entries.retain(|entry| entry.seq % 2 == 0);
    sent[1].entries.clear();
    let disk = FaultyDisk::new(1);
    open(&disk).unwrap().append(&sent).unwrap();
    let log = open(&disk).unwrap();
    for (kept, batch) in batches(&log).iter().zip(&sent) {
        assert_eq!((kept.first, kept.last), (batch.first, batch.last));
        assert_eq!(kept.entries, batch.entries);
        assert_eq!(kept.chain_last, batch.chain_last);
        assert_eq!(kept.seen_runs, batch.seen_runs);
        assert_eq!(log.cursor(batch.stream).seq, batch.last);
    }
}

#[test]
fn an_overlap_adds_what_is_new_and_gap_and_fork_are_refused_whole() {
    let script = Script::groups(3, 60);
    let (short, long) = (frames(&script, 6).concat(), frames(&script, 1_000).concat());
    let disk = FaultyDisk::new(1);
    let mut log = open(&disk).unwrap();
    let first = short[0].clone();
    log.append(std::slice::from_ref(&first)).unwrap();
    let whole = long.iter().find(|b| b.stream == first.stream).unwrap();
    assert_eq!(log.check(whole), Verdict::Overlap);
    log.append(std::slice::from_ref(whole)).unwrap();
    assert_eq!(log.check(whole), Verdict::Duplicate);
    let kept = batches(&log);
    let seqs = kept.iter().flat_map(|b| b.entries.iter().map(|e| e.seq));
    assert!(seqs.eq(whole.first..=whole.last));
    kept[1].validate().unwrap();
    let other = long.iter().find(|b| b.stream != first.stream).unwrap();
    let mut gap = other.clone();
    gap.first += 1;
    gap.entries.remove(0);
    gap.raw = bytes::Bytes::new();
    gap.seen_runs.clear();
    let mut fork = other.clone();
    fork.chain_prev = [9; 32];
    for (bad, why) in [(gap, "gap: received up to 0"), (fork, "fork")] {
        let error = log.append(&[other.clone(), bad.clone()]);
        drop(error);
        let mut log = open(&FaultyDisk::new(2)).unwrap();
        let error = log.append(&[first.clone(), bad]).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(log.cursors().len(), 0, "all or none");
    }
}

#[test]
fn a_batch_of_another_origin_and_a_log_of_another_origin_are_refused() {
    let sent = frames(&Script::groups(3, 5), 100).concat();
    let disk = FaultyDisk::new(1);
    let other = Actor::new(1, 0xA2);
    let (mut log, _) = ReceivedLog::open(disk.shared(), dir(), other, small()).unwrap();
    let error = log.append(&sent).unwrap_err().to_string();
    assert!(error.contains("the log is of"), "{error}");
    drop(log);
    assert!(matches!(open(&disk), Err(ReplError::WalCorrupted { .. })));
}

/// Receives everything; how many batches were acknowledged.
fn workload(disk: &FaultyDisk, sent: &[Vec<EntryBatch>], acknowledged: &mut usize) -> Result<()> {
    let mut log = open(disk)?;
    for frame in sent {
        *acknowledged += log.append(frame)?.appended;
    }
    Ok(())
}

#[test]
fn a_mishap_at_any_operation_keeps_acknowledged_batches_and_whole_ones_only() {
    let sent = frames(&Script::groups(4, 40), 5);
    let flat = sent.concat();
    let clean = FaultyDisk::new(0);
    workload(&clean, &sent, &mut 0).unwrap();
    for seed in 0..4 {
        for operation in 0..clean.operations() {
            println!("seed {seed}, operation {operation}");
            let disk = FaultyDisk::new(seed * 1_000 + operation);
            match seed {
                0 => disk.fail_at(operation, Fault::Io),
                1 => disk.fail_at(operation, Fault::Full),
                _ => disk.crash_at(operation),
            }
            let mut acknowledged = 0;
            drop(workload(&disk, &sent, &mut acknowledged));
            disk.restart();
            let mut log = open(&disk).unwrap();
            let there = batches(&log);
            assert!(
                there.len() >= acknowledged,
                "{} of {acknowledged}",
                there.len()
            );
            assert_eq!(there, flat[..there.len()]);
            for frame in &sent {
                log.append(frame).unwrap();
            }
            assert_eq!(batches(&log), flat);
            log.verify().unwrap();
        }
    }
}

#[test]
fn a_received_log_is_trimmed_up_to_what_is_merged_and_received_by_all() {
    let script = Script::groups(5, 100);
    let disk = FaultyDisk::new(1);
    let mut log = open(&disk).unwrap();
    for frame in frames(&script, 5) {
        log.append(&frame).unwrap();
    }
    let all: BTreeMap<u32, u64> = log.cursors().into_iter().map(|(s, c)| (s, c.seq)).collect();
    let half: u64 = replayed(&log, 0)[40].0;
    let before = batches(&log);
    let members = [(3, all)].into_iter().collect();
    assert!(log.trim(&members, half, 0).unwrap().segments > 0);
    assert!(log.start() <= half && log.start() > 0);
    let kept = batches(&log);
    assert_eq!(kept, before[before.len() - kept.len()..]);
    drop(log);
    assert_eq!(batches(&open(&disk).unwrap()), kept);
}
