//! The power goes at every single operation of a workload, and every operation fails once: what was acknowledged is
//! there afterwards, whole groups only, and the log goes on.

use std::collections::BTreeMap;

use super::super::{AppendGroup, Journal};
use super::script::{ACTOR, Script, assert_prefix, dir, small};
use crate::disk::{Fault, FaultyDisk};
use crate::error::{ReplError, Result};

const GROUPS: usize = 40;
const PER_APPEND: usize = 3;

/// What a workload got done before it failed.
#[derive(Debug, Default)]
struct Progress {
    acknowledged: usize,
    attempted: usize,
    trimmed: bool,
}

/// Creates a journal, appends everything, trims once in the middle.
fn workload(disk: &FaultyDisk, script: &[AppendGroup], progress: &mut Progress) -> Result<()> {
    let mut journal = Journal::create(disk.shared(), dir(), ACTOR, small())?;
    for groups in script.chunks(PER_APPEND) {
        progress.attempted += groups.len();
        journal.append(groups)?;
        progress.acknowledged += groups.len();
        if progress.acknowledged == 2 * GROUPS / 3 / PER_APPEND * PER_APPEND {
            let everything = journal.points().iter().map(|(s, p)| (*s, p.seq)).collect();
            progress.trimmed = true;
            let members = [(2, everything)].into_iter().collect();
            journal.trim(&members, journal.durable().position, 0)?;
        }
    }
    Ok(())
}

/// Opens after a mishap, checks, and lets the log go on to the end of the script. How many groups were there, and how
/// much was cut.
fn recover(disk: &FaultyDisk, script: &[AppendGroup], progress: &Progress) -> (usize, u64) {
    if !Journal::exists(&disk.shared(), dir()).unwrap() {
        assert_eq!(progress.acknowledged, 0);
        Journal::create(disk.shared(), dir(), ACTOR, small()).unwrap();
    }
    let (mut journal, first) = Journal::open(disk.shared(), dir(), small()).unwrap();
    let there = assert_prefix(&journal, script, progress.acknowledged);
    assert!(there <= progress.attempted);
    assert!(progress.trimmed || journal.start() == 0);
    // What was shown once stays, even if the power goes again before anything else is written.
    disk.power_cut();
    disk.restart();
    drop(journal);
    let (again, recovery) = Journal::open(disk.shared(), dir(), small()).unwrap();
    assert_eq!(assert_prefix(&again, script, there), there);
    assert_eq!(recovery.cut_bytes, 0);
    journal = again;
    for groups in script[there..].chunks(PER_APPEND) {
        journal.append(groups).unwrap();
    }
    drop(journal);
    let (journal, recovery) = Journal::open(disk.shared(), dir(), small()).unwrap();
    assert_eq!(assert_prefix(&journal, script, script.len()), script.len());
    assert_eq!(recovery.cut_bytes, 0);
    (there, first.cut_bytes)
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    let script = Script::groups(11, GROUPS);
    let clean = FaultyDisk::new(0);
    workload(&clean, &script, &mut Progress::default()).unwrap();
    let operations = clean.operations();
    assert!(operations > 60, "{operations} operations are no workload");
    let (mut unacknowledged, mut cut) = (0, 0);
    for seed in 0..6 {
        for operation in 0..operations {
            println!("seed {seed}, operation {operation}");
            let disk = FaultyDisk::new(seed * 1_000 + operation);
            disk.crash_at(operation);
            let mut progress = Progress::default();
            assert!(workload(&disk, &script, &mut progress).is_err());
            disk.restart();
            let (there, cut_bytes) = recover(&disk, &script, &progress);
            unacknowledged += usize::from(there > progress.acknowledged);
            cut += usize::from(cut_bytes > 0);
        }
    }
    // Else the disk is too kind to prove anything.
    assert!(unacknowledged > 40 && cut > 40, "{unacknowledged} {cut}");
}

#[test]
fn a_failure_of_any_operation_is_reported_and_loses_nothing_acknowledged() {
    let script = Script::groups(12, GROUPS);
    let clean = FaultyDisk::new(0);
    workload(&clean, &script, &mut Progress::default()).unwrap();
    for fault in [Fault::Io, Fault::Full] {
        for operation in 0..clean.operations() {
            println!("{fault:?}, operation {operation}");
            let disk = FaultyDisk::new(operation);
            disk.fail_at(operation, fault);
            let mut progress = Progress::default();
            // Removing a leftover that is not there is the one failure that does not matter.
            let result = workload(&disk, &script, &mut progress);
            if let Err(error) = &result {
                assert!(matches!(error, ReplError::Io { .. }), "{error}");
            }
            recover(&disk, &script, &progress);
        }
    }
}

#[test]
fn a_failed_sync_stops_the_journal_until_it_is_opened_again() {
    let script = Script::groups(13, 6);
    let disk = FaultyDisk::new(5);
    let mut journal = Journal::create(disk.shared(), dir(), ACTOR, small()).unwrap();
    journal.append(&script[..2]).unwrap();
    let before = (
        journal.durable(),
        journal.head(script[0].entries[0].shard_id),
    );
    disk.fail_at(disk.operations() + 1, Fault::Io);
    assert!(journal.append(&script[2..4]).is_err());
    let error = journal.append(&script[2..4]).unwrap_err().to_string();
    assert!(error.contains("opened again"), "{error}");
    assert!(journal.trim(&BTreeMap::new(), 0, 0).is_err());
    let after = (
        journal.durable(),
        journal.head(script[0].entries[0].shard_id),
    );
    assert_eq!(before, after, "readers saw nothing of it");
    drop(journal);
    // The page cache shows the records though the disk never got them: what is accepted is written again.
    let (journal, _) = Journal::open(disk.shared(), dir(), small()).unwrap();
    assert_eq!(assert_prefix(&journal, &script, 2), 4);
    disk.power_cut();
    disk.restart();
    let (mut journal, _) = Journal::open(disk.shared(), dir(), small()).unwrap();
    assert_eq!(assert_prefix(&journal, &script, 4), 4);
    journal.append(&script[4..]).unwrap();
}

#[test]
fn a_full_disk_refuses_cleanly_and_the_journal_goes_on_when_there_is_room() {
    let script = Script::groups(14, 60);
    for seed in 0..20 {
        let disk = FaultyDisk::new(seed);
        let mut journal = Journal::create(disk.shared(), dir(), ACTOR, small()).unwrap();
        disk.set_capacity(3 * 4096 + 100);
        let mut refused = 0;
        for (index, group) in script.iter().enumerate() {
            // Every fifth write is refused in the middle as well, as a filesystem that allocates late does.
            if index % 5 == 3 {
                disk.fail_at(disk.operations(), Fault::Full);
            }
            while let Err(error) = journal.append(std::slice::from_ref(group)) {
                assert!(error.is_disk_full(), "{error}");
                assert_prefix(&journal, &script, index);
                refused += 1;
                if index % 5 == 3 && refused % 2 == 0 {
                    // The other half of the refused appends is followed by a power cut.
                    disk.power_cut();
                    disk.restart();
                    journal = Journal::open(disk.shared(), dir(), small()).unwrap().0;
                    if assert_prefix(&journal, &script, index) > index {
                        break;
                    }
                }
                disk.set_capacity(u64::MAX);
            }
        }
        assert!(refused > 10);
        assert_eq!(assert_prefix(&journal, &script, 60), 60);
    }
}

#[test]
fn what_a_refused_write_left_is_never_taken_for_a_record() {
    let script = Script::groups(15, 8);
    // The second append is a wipe and a commit, of a write and a sync each; at 4 the power goes behind it.
    for (seed, crash) in (0..200).flat_map(|seed| (0..5).map(move |crash| (seed, crash))) {
        println!("seed {seed}, crash {crash}");
        let disk = FaultyDisk::new(seed);
        let mut journal = Journal::create(disk.shared(), dir(), ACTOR, small()).unwrap();
        disk.fail_at(disk.operations(), Fault::Full);
        let error = journal.append(&script).unwrap_err();
        assert!(error.is_disk_full());
        disk.crash_at(disk.operations() + crash);
        let result = journal.append(&script[..1]);
        assert_eq!(result.is_ok(), crash == 4);
        if crash == 4 {
            disk.power_cut();
        }
        disk.restart();
        let (journal, _) = Journal::open(disk.shared(), dir(), small()).unwrap();
        let there = assert_prefix(&journal, &script, usize::from(crash == 4));
        // The refused append was attempted, and until the wipe is durable a part of it may be there.
        assert!(there <= 1 || crash < 2, "{there} groups");
    }
}
