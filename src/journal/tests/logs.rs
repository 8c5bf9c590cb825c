//! The journal on a sound disk: order, checks, readers, damage, trimming, and the model for random histories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::super::batch::{ChainHash, EntryBatch};
use super::super::codec::{batch_from_proto, batch_to_proto};
use super::super::dot::{Actor, Seen, shard_of};
use super::super::{AppendGroup, Journal, LogOptions};
use super::script::{ACTOR, Script, assert_prefix, dir, model, small};
use crate::disk::{Disk, FaultyDisk, RealDisk};
use crate::error::ReplError;

fn journal_of(seed: u64, groups: &[AppendGroup]) -> (FaultyDisk, Journal) {
    let disk = FaultyDisk::new(seed);
    let mut journal = Journal::create(disk.shared(), dir(), ACTOR, small()).unwrap();
    for group in groups.chunks(4) {
        journal.append(group).unwrap();
    }
    (disk, journal)
}

fn open(disk: &FaultyDisk) -> Result<Journal, ReplError> {
    Journal::open(disk.shared(), dir(), small()).map(|(journal, _)| journal)
}

fn segments(disk: &FaultyDisk) -> Vec<PathBuf> {
    let names = disk.list(dir()).unwrap();
    names.into_iter().map(|name| dir().join(name)).collect()
}

fn base_of(file: &Path) -> u64 {
    file.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

/// Everything behind `cursors`, frame by frame.
fn frames(
    journal: &Journal,
    cursors: &BTreeMap<u32, u64>,
    entries: usize,
) -> Vec<(Vec<EntryBatch>, u64)> {
    let mut reader = journal.batches(cursors.clone()).unwrap();
    std::iter::from_fn(|| reader.next_frame(1 << 20, entries).unwrap()).collect()
}

#[test]
fn a_real_disk_holds_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("journal");
    let script = Script::groups(1, 50);
    assert!(!Journal::exists(&RealDisk::shared(), &at).unwrap());
    let mut journal = Journal::create(RealDisk::shared(), &at, ACTOR, small()).unwrap();
    for groups in script.chunks(7) {
        journal.append(groups).unwrap();
    }
    assert!(Journal::create(RealDisk::shared(), &at, ACTOR, small()).is_err());
    drop(journal);
    let (journal, recovery) = Journal::open(RealDisk::shared(), &at, small()).unwrap();
    assert_eq!(assert_prefix(&journal, &script, 50), 50);
    assert!(recovery.segments > 2 && recovery.cut_at.is_none());
    assert_eq!(journal.actor(), ACTOR);
    assert!(journal.bytes() >= 4096 * recovery.segments as u64);
}

#[test]
fn an_append_is_one_write_and_one_sync() {
    let options = LogOptions::default();
    let disk = FaultyDisk::new(1);
    let mut journal = Journal::create(disk.shared(), dir(), ACTOR, options).unwrap();
    let before = disk.operations();
    let appended = journal.append(&Script::groups(1, 100)).unwrap();
    assert_eq!(disk.operations(), before + 2);
    assert!(appended.entries > 100);
    journal.append(&[]).unwrap();
    assert_eq!(disk.operations(), before + 2);
}

#[test]
fn what_does_not_follow_is_refused_and_nothing_is_written() {
    type Fault = (fn(&mut AppendGroup), &'static str);
    let cases: [Fault; 8] = [
        (|g| g.entries[0].seq = 9, "crc"),
        (|g| g.entries[0].incarnation = 9, "the journal is of"),
        (|g| g.entries[0].hlc_us = 1, "is not after"),
        (|g| g.entries.clear(), "without entries"),
        (|g| g.trailers.clear(), ""),
        (|g| g.trailers.push(None), "trailers for"),
        (
            |g| {
                g.seen.insert(300, Seen::new());
            },
            "without an entry",
        ),
        (
            |g| {
                let mut again = g.entries[0].clone();
                again.hlc_us += 1_000;
                g.entries.push(again);
                g.trailers.clear();
            },
            "is not part",
        ),
    ];
    let mut script = Script::new(3);
    let (disk, mut journal) = journal_of(1, &[script.group()]);
    let group = AppendGroup::of(script.entry(77, 10), Seen::new());
    let group = AppendGroup {
        trailers: vec![None],
        ..group
    };
    let operations = disk.operations();
    for (change, why) in cases {
        let mut changed = group.clone();
        change(&mut changed);
        if why.is_empty() {
            continue;
        }
        let error = journal.append(&[changed]).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let again = AppendGroup::of(group.entries[0].clone(), Seen::new());
    let error = journal.append(&[group.clone(), again]).unwrap_err();
    assert!(error.to_string().contains("is not after"), "{error}");
    assert_eq!(disk.operations(), operations);
    journal.append(&[group]).unwrap();
}

#[test]
fn a_gap_in_a_stream_is_refused() {
    let mut script = Script::new(3);
    let (_, mut journal) = journal_of(1, &[]);
    let _skipped = script.entry(77, 1);
    let error = journal.append(&[AppendGroup::of(script.entry(77, 1), Seen::new())]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("has seq 2, expected 1"), "{error}");
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let script = Script::groups(4, 9);
    let (disk, journal) = journal_of(1, &script);
    let end = journal.durable().position;
    drop(journal);
    let last = segments(&disk).pop().unwrap();
    let base = base_of(&last);
    let offset = 48 + end - base - 3;
    disk.corrupt(&last, offset, 0x10).unwrap();
    let (journal, recovery) = Journal::open(disk.shared(), dir(), small()).unwrap();
    assert_eq!(assert_prefix(&journal, &script, 8), 8);
    assert!(recovery.cut_bytes > 0);
    let (file, at) = recovery.cut_at.unwrap();
    assert!(file == last && at <= offset);
    drop(journal);
    let (_, recovery) = Journal::open(disk.shared(), dir(), small()).unwrap();
    assert_eq!((recovery.cut_bytes, recovery.cut_at), (0, None));
}

#[test]
fn a_tail_that_was_known_to_be_durable_is_not_cut() {
    let (disk, journal) = journal_of(1, &Script::groups(4, 9));
    let known_durable = journal.durable().position;
    drop(journal);
    let last = segments(&disk).pop().unwrap();
    let base = base_of(&last);
    disk.corrupt(&last, 48 + known_durable - base - 3, 1)
        .unwrap();
    let options = LogOptions {
        known_durable,
        ..small()
    };
    let error = Journal::open(disk.shared(), dir(), options).unwrap_err();
    assert!(matches!(error, ReplError::WalCorrupted { .. }), "{error}");
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_names_file_and_offset() {
    let script = Script::groups(5, 60);
    let (disk, journal) = journal_of(1, &script);
    assert_prefix(&journal, &script, 60);
    let files = segments(&disk);
    assert!(files.len() > 4);
    let mut found_at_open = 0;
    for (index, file) in files.iter().enumerate().take(files.len() - 1) {
        for offset in (0..4096).step_by(211) {
            disk.corrupt(file, offset, 4).unwrap();
            let result = open(&disk).and_then(|journal| journal.verify().map(|_| journal));
            if let Err(error) = result {
                let ReplError::WalCorrupted {
                    file: named,
                    offset: at,
                    ..
                } = &error
                else {
                    panic!("{error}");
                };
                assert!(
                    named == file && *at <= offset && offset - at < 2_000,
                    "{error}"
                );
                found_at_open += 1;
            } else {
                let (base, next) = (base_of(file), base_of(&files[index + 1]));
                assert!(48 + next - base <= offset, "behind the written part");
            }
            disk.corrupt(file, offset, 4).unwrap();
        }
    }
    assert!(found_at_open > 30);
}

#[test]
fn damage_is_cut_in_the_last_commit_only() {
    let script = Script::groups(5, 6);
    let disk = FaultyDisk::new(1);
    let options = LogOptions {
        segment_bytes: 8 * 1024,
        ..small()
    };
    let mut journal = Journal::create(disk.shared(), dir(), ACTOR, options).unwrap();
    let mut last_commit = 0;
    for group in &script {
        last_commit = 48 + journal.durable().position;
        journal.append(std::slice::from_ref(group)).unwrap();
    }
    let end = 48 + journal.durable().position;
    drop(journal);
    let file = segments(&disk).remove(0);
    let bytes = disk.open(&file).unwrap();
    let (mut refused, mut cut) = (0, 0);
    for offset in 0..end {
        // A flipped bit, and a byte that reads as zero: a length of zero is the end of what was written.
        let mut byte = [0];
        bytes.read_at(&mut byte, offset).unwrap();
        for mask in [0x20, byte[0]] {
            disk.corrupt(&file, offset, mask).unwrap();
            let opened = Journal::open(disk.shared(), dir(), options);
            if mask == 0 {
                assert_eq!(opened.unwrap().1.cut_bytes, 0);
            } else if offset < last_commit {
                let error = opened.map(drop).unwrap_err();
                let ReplError::WalCorrupted { offset: at, .. } = error else {
                    panic!("{error}");
                };
                assert!(at <= offset);
                refused += 1;
            } else {
                let (journal, recovery) = opened.unwrap();
                assert_eq!(assert_prefix(&journal, &script, 5), 5);
                assert!(recovery.cut_bytes > 0);
                cut += 1;
                // The cut is durable: put back what it took.
                drop(journal);
                let mut journal = Journal::open(disk.shared(), dir(), options).unwrap().0;
                journal.append(&script[5..]).unwrap();
                continue;
            }
            disk.corrupt(&file, offset, mask).unwrap();
        }
    }
    assert!(refused > 500 && cut > 50, "{refused} {cut}");
}

#[test]
fn a_missing_segment_or_one_of_another_journal_is_refused() {
    let (disk, journal) = journal_of(1, &Script::groups(5, 60));
    drop(journal);
    let files = segments(&disk);
    disk.rename(&files[1], Path::new("/log/away")).unwrap();
    assert!(matches!(open(&disk), Err(ReplError::WalCorrupted { .. })));
    disk.rename(Path::new("/log/away"), &files[1]).unwrap();
    open(&disk).unwrap();
    disk.rename(&files[1], &files[2]).unwrap();
    assert!(matches!(open(&disk), Err(ReplError::WalCorrupted { .. })));
    let empty = FaultyDisk::new(1);
    assert!(matches!(open(&empty), Err(ReplError::Io { .. })));
}

#[test]
fn batches_continue_every_cursor_with_chain_context_and_mark() {
    let script = Script::groups(6, 120);
    let (_, journal) = journal_of(1, &script);
    let streams: Vec<u32> = model(&script).into_keys().collect();
    for (at, entries) in [(0, 1), (0, 7), (30, 5), (77, 1_000), (119, 3), (120, 3)] {
        let before = model(&script[..at]);
        let cursors: BTreeMap<u32, u64> = before.iter().map(|(s, m)| (*s, m.0)).collect();
        let mut chains: BTreeMap<u32, _> = before.iter().map(|(s, m)| (*s, m.1)).collect();
        let mut sent = Vec::new();
        for (batches, mark) in frames(&journal, &cursors, entries) {
            for batch in batches {
                let batch = batch_from_proto(batch_to_proto(&batch)).unwrap();
                let chain = chains.entry(batch.stream).or_default();
                assert_eq!(*chain, batch.chain_prev);
                *chain = batch.chain_last;
                sent.extend(batch.entries.iter().map(|e| (e.hlc_us, batch.seen_of(e))));
            }
            sent.sort_by_key(|(hlc_us, _)| *hlc_us);
            assert_eq!(sent.last().unwrap().0, mark);
        }
        let mut expected = Vec::new();
        for (index, group) in script.iter().enumerate().skip(at) {
            let after = model(&script[..=index]);
            for entry in &group.entries {
                let mut seen = after[&entry.shard_id].2.clone();
                seen.set(ACTOR, entry.seq - 1);
                expected.push((entry.hlc_us, seen));
            }
        }
        assert_eq!(sent, expected);
        for stream in &streams {
            let (_, chain) = journal.head(*stream);
            assert_eq!(chains.get(stream).copied().unwrap_or_default(), chain);
        }
    }
}

#[test]
fn a_transaction_is_never_split_between_frames() {
    let script = Script::groups(7, 80);
    let (_, journal) = journal_of(1, &script);
    let mut transactions = 0;
    for (batches, mark) in frames(&journal, &BTreeMap::new(), 2) {
        let entries: Vec<_> = batches.iter().flat_map(|batch| &batch.entries).collect();
        assert!(entries.len() <= 3, "one larger operation or two entries");
        for entry in entries.iter().filter(|entry| entry.txn.is_some()) {
            let txn = entry.txn.unwrap();
            let parts = entries
                .iter()
                .filter(|e| e.txn.map(|t| t.id) == Some(txn.id));
            assert_eq!(parts.count(), txn.parts as usize);
            transactions += 1;
        }
        assert!(entries.iter().all(|entry| entry.hlc_us <= mark));
    }
    assert!(transactions > 20);
}

#[test]
fn a_frame_stays_within_its_bytes_on_the_wire() {
    use prost::Message;
    let (_, journal) = journal_of(1, &Script::groups(8, 200));
    for limit in [2_000, 8_000] {
        let mut reader = journal.batches(BTreeMap::new()).unwrap();
        let mut count = 0;
        while let Some((batches, _)) = reader.next_frame(limit, 10_000).unwrap() {
            let size: usize = batches
                .iter()
                .map(|b| batch_to_proto(b).encoded_len())
                .sum();
            assert!(size <= limit, "{size} bytes");
            count += usize::from(size > limit / 2);
        }
        assert!(count > 3, "frames are filled");
    }
}

#[test]
fn a_reader_sees_only_what_is_durable_and_goes_on_with_the_writer() {
    let script = Script::groups(9, 30);
    let (disk, mut journal) = journal_of(1, &script[..10]);
    let mut reader = journal.batches(BTreeMap::new()).unwrap();
    let mut hlc_us = 0;
    while let Some((_, mark)) = reader.next_frame(1 << 20, 50).unwrap() {
        hlc_us = mark;
    }
    assert_eq!(hlc_us, journal.last_hlc_us());
    disk.fail_at(disk.operations() + 1, crate::disk::Fault::Io);
    assert!(journal.append(&script[10..20]).is_err());
    assert!(reader.next_frame(1 << 20, 50).unwrap().is_none());
    assert_eq!(reader.position(), journal.durable().position);
    let mut journal = open(&disk).unwrap();
    let mut reader = journal.batches(BTreeMap::new()).unwrap();
    for group in &script[20..] {
        journal.append(std::slice::from_ref(group)).unwrap();
        while let Some((_, mark)) = reader.next_frame(1 << 20, 3).unwrap() {
            hlc_us = mark;
        }
        assert_eq!(hlc_us, journal.last_hlc_us());
    }
}

#[test]
fn one_stream_and_its_chain_can_be_read_from_any_seq() {
    let script = Script::groups(10, 100);
    let (_, journal) = journal_of(1, &script);
    let stream = shard_of(3);
    let entries: Vec<_> = script.iter().flat_map(|group| &group.entries).collect();
    let entries: Vec<_> = entries
        .into_iter()
        .filter(|e| e.shard_id == stream)
        .collect();
    for from in [1, 2, entries.len() / 2, entries.len(), entries.len() + 1] {
        let read = journal.read_stream(stream, from as u64).unwrap();
        let read: Vec<_> = read.map(Result::unwrap).collect();
        assert!(read.iter().eq(entries[from - 1..].iter().copied()));
    }
    for count in (1..100).step_by(13) {
        let Some((seq, chain, _)) = model(&script[..count]).remove(&stream) else {
            continue;
        };
        assert_eq!(journal.chain_at(stream, seq).unwrap(), Some(chain));
        // All streams in one pass, with one that is not written yet.
        let at: BTreeMap<u32, (u64, ChainHash)> = model(&script[..count])
            .into_iter()
            .map(|(stream, (seq, chain, _))| (stream, (seq, chain)))
            .collect();
        let mut cursors: BTreeMap<u32, u64> = at.iter().map(|(s, (seq, _))| (*s, *seq)).collect();
        cursors.entry(0).or_insert(1_000_000);
        let found = journal.chains_at(&cursors).unwrap();
        assert!(
            at.iter()
                .all(|(stream, (_, chain))| found.get(stream) == Some(chain))
        );
        assert_eq!(found.len(), at.len());
    }
    let (head, _) = journal.head(stream);
    assert_eq!(journal.chain_at(stream, head + 1).unwrap(), None);
}

#[test]
fn a_replay_goes_on_where_it_stopped_with_contexts() {
    let script = Script::groups(11, 60);
    let (_, journal) = journal_of(1, &script);
    let all: Vec<_> = journal.replay(0).unwrap().map(Result::unwrap).collect();
    assert_eq!(all.len(), 60);
    for (at, unit) in all.iter().enumerate().step_by(7) {
        let rest: Vec<_> = journal
            .replay(unit.next)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rest, all[at + 1..]);
        let after = model(&script[..=at]);
        for (index, (stored, seen)) in unit.entries.iter().enumerate() {
            assert_eq!(*seen, after[&stored.entry.shard_id].2);
            let own = unit.context(index).get(ACTOR);
            assert_eq!(own, stored.entry.seq - 1);
        }
    }
}

#[test]
fn trimming_keeps_what_a_member_needs_and_says_who_needs_it() {
    let script = Script::groups(12, 100);
    let (disk, mut journal) = journal_of(1, &script);
    let cursors = |at: usize| -> BTreeMap<u32, u64> {
        let streams = model(&script[..at]).into_iter();
        streams.map(|(stream, state)| (stream, state.0)).collect()
    };
    let members = [(2, cursors(100)), (3, cursors(40))].into_iter().collect();
    let end = journal.durable().position;
    let report = journal.trim(&members, end, 4096).unwrap();
    assert!(report.segments > 1 && report.over_bytes > 0);
    assert_eq!(report.kept_bytes, journal.bytes());
    assert_eq!((report.pins.len(), report.pins[0].site_id), (1, 3));
    let sent: usize = frames(&journal, &cursors(40), 50)
        .iter()
        .flat_map(|(batches, _)| batches)
        .map(|batch| batch.entries.len())
        .sum();
    let expected: usize = script[40..].iter().map(|group| group.entries.len()).sum();
    assert_eq!(sent, expected);
    let missing = journal.not_kept(&cursors(3)).unwrap();
    assert!(missing.cursor + 1 < missing.tail && journal.tail(missing.stream) == missing.tail);
    for error in [
        journal.batches(cursors(3)).map(drop).unwrap_err(),
        journal
            .read_stream(missing.stream, 1)
            .map(drop)
            .unwrap_err(),
        journal.replay(0).map(drop).unwrap_err(),
    ] {
        assert!(error.to_string().contains("no longer kept"), "{error}");
    }
    drop(journal);
    let journal = open(&disk).unwrap();
    assert_eq!(assert_prefix(&journal, &script, 100), 100);
    assert_eq!(journal.not_kept(&cursors(3)), Some(missing));
}

#[test]
fn the_first_missing_entry_is_found_behind_any_cursor_and_nothing_is_skipped_by_looking() {
    let script = Script::groups(14, 60);
    let disk = FaultyDisk::new(1);
    let mut journal = Journal::create(disk.shared(), dir(), ACTOR, small()).unwrap();
    let mut starts = Vec::new();
    for group in &script {
        starts.push(journal.durable().position);
        journal.append(std::slice::from_ref(group)).unwrap();
    }
    starts.push(journal.durable().position);
    for at in 0..=script.len() {
        let streams = model(&script[..at]).into_iter();
        let cursors: BTreeMap<u32, u64> =
            streams.map(|(stream, state)| (stream, state.0)).collect();
        let mut reader = journal.batches(cursors.clone()).unwrap();
        let position = reader.first_missing().unwrap();
        // A checkpoint or the start of a segment may lie in between.
        assert!(position >= starts[at], "{at}");
        assert!(
            starts.get(at + 1).is_none_or(|next| position < *next),
            "{at}"
        );
        assert_eq!(reader.first_missing().unwrap(), position);
        let found = reader.next_frame(1 << 20, 1_000).unwrap();
        let mut plain = journal.batches(cursors).unwrap();
        assert_eq!(found, plain.next_frame(1 << 20, 1_000).unwrap());
    }
}

#[test]
fn a_cursor_beyond_the_head_is_refused() {
    let (_, journal) = journal_of(1, &Script::groups(1, 3));
    let error = journal.batches([(7, 1)].into_iter().collect()).unwrap_err();
    assert!(error.to_string().contains("beyond the head 0"), "{error}");
}

#[test]
fn an_operation_larger_than_a_segment_gets_a_larger_one() {
    let mut script = Script::new(1);
    let (disk, mut journal) = journal_of(1, &[script.group()]);
    let large = AppendGroup::of(script.entry(3, 20_000), Seen::new());
    let small_one = AppendGroup::of(script.entry(3, 10), Seen::new());
    journal.append(&[large, small_one]).unwrap();
    assert_eq!(
        open(&disk).unwrap().verify().unwrap(),
        journal.verify().unwrap()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn append_reopen_and_read_agree_with_the_model(
        seed in any::<u64>(),
        steps in prop::collection::vec((1usize..6, any::<bool>()), 1..25),
    ) {
        let mut script = Script::new(seed);
        let (disk, mut journal) = journal_of(seed, &[]);
        let mut groups = Vec::new();
        for (count, reopen) in steps {
            let more: Vec<_> = (0..count).map(|_| script.group()).collect();
            journal.append(&more).unwrap();
            groups.extend(more);
            if reopen {
                drop(journal);
                disk.power_cut();
                disk.restart();
                journal = open(&disk).unwrap();
            }
        }
        prop_assert_eq!(assert_prefix(&journal, &groups, groups.len()), groups.len());
    }

    #[test]
    fn arbitrary_bytes_in_a_segment_never_panic(
        at in 0u64..4096,
        garbage in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let (disk, journal) = journal_of(1, &Script::groups(1, 12));
        drop(journal);
        let file = segments(&disk).pop().unwrap();
        for (index, byte) in garbage.iter().enumerate() {
            drop(disk.corrupt(&file, at + index as u64, *byte));
        }
        if let Ok(journal) = open(&disk) {
            let verified = journal.verify();
            prop_assert!(verified.is_ok());
        }
    }
}

#[test]
fn a_context_of_the_journal_itself_is_left_out() {
    let mut script = Script::new(1);
    let other = Actor::new(2, 3);
    let seen: Seen = [(ACTOR, 4), (other, 2)].into_iter().collect();
    let (_, journal) = journal_of(1, &[AppendGroup::of(script.entry(3, 1), seen)]);
    let kept = &journal.points()[&shard_of(3)].seen;
    assert_eq!((kept.get(ACTOR), kept.get(other)), (0, 2));
}
