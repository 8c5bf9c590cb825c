//! Journals in temporary folders, as commands look at them: filters, numbers, damage, and nothing left behind.

use super::*;
use crate::disk::RealDisk;
use crate::journal::codec::encode_change;
use crate::journal::dot::{ROOT_INODE, Seen, shard_of};
use crate::journal::op::{Attr, Change, Name, Place};
use crate::journal::{Actor, AppendGroup, Journal, JournalEntry, LogOptions};

const ACTOR: Actor = Actor::new(1, 0xA1);

/// Names of hostile users among them.
fn change(nth: u64) -> Change {
    let name = if nth % 10 == 5 {
        format!("hostile-{nth}\u{1b}[2J\n").into_bytes()
    } else {
        format!("name-{nth}").into_bytes()
    };
    if nth.is_multiple_of(2) {
        let attr = Attr {
            mode: Some(0o600),
            ..Attr::default()
        };
        Change::SetAttr { attr }
    } else {
        let name = Name::new(name).unwrap();
        let place = Place {
            parent: ROOT_INODE,
            name,
        };
        Change::Create {
            place,
            attr: Attr::default(),
        }
    }
}

/// A state folder with a journal of `count` entries in small segments.
pub(in crate::daemon) fn state(count: u64) -> (tempfile::TempDir, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = LogOptions::default();
    (options.segment_bytes, options.checkpoint_bytes) = (4 * 1024, 1_024);
    let at = folder.path().join("journal");
    let mut journal = Journal::create(RealDisk::shared(), at, ACTOR, options).unwrap();
    let mut heads: BTreeMap<u32, u64> = BTreeMap::new();
    for nth in 0..count {
        let inode = 2 + nth % 7;
        let stream = shard_of(inode);
        let seq = heads.entry(stream).or_insert(0);
        *seq += 1;
        let change = change(nth);
        let payload = encode_change(&change).to_vec();
        let stamp = 1_000 + nth;
        let mut entry = JournalEntry::new(*seq, stream, 1, stamp, inode, change.kind(), payload);
        entry.incarnation = ACTOR.incarnation;
        journal
            .append(&[AppendGroup::of(entry, Seen::new())])
            .unwrap();
    }
    (folder, journal)
}

fn logs(folder: &tempfile::TempDir) -> Logs {
    let names = BTreeMap::from([(1, "fra-1".to_owned()), (2, "iad-2".to_owned())]);
    Logs::in_state(folder.path(), names)
}

fn own(folder: &tempfile::TempDir) -> Log {
    let logs = logs(folder);
    logs.open(&logs.own()).unwrap()
}

fn hurt(folder: &tempfile::TempDir, file: usize, offset: usize) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.path().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let path = &files[file];
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset] ^= 0xFF;
    std::fs::write(path, bytes).unwrap();
}

fn filter(set: impl Fn(&mut EntryFilter)) -> EntryMatcher {
    let mut filter = EntryFilter::default();
    set(&mut filter);
    filter.matcher().unwrap()
}

#[test]
fn the_last_entries_are_those_that_are_meant_oldest_first() {
    let (folder, _journal) = state(300);
    let log = own(&folder);
    let tail = |count, filter: &EntryMatcher| {
        let (entries, damage) = log.tail(count, filter).unwrap();
        assert!(damage.is_none());
        let stamps = entries.iter().map(|entry| entry.timestamp_us);
        stamps.collect::<Vec<_>>()
    };
    let any = EntryMatcher::default();
    assert_eq!(tail(3, &any), [1_297, 1_298, 1_299]);
    assert_eq!(tail(1_000, &any).len(), 300);
    assert!(tail(0, &any).is_empty());
    let named = filter(|f| f.name = Some("name-[13]".to_owned()));
    assert_eq!(tail(20, &named), [1_001, 1_003], "found far back");
    let of_inode = filter(|f| (f.inode, f.ops) = (Some(3), vec!["create".to_owned()]));
    let found = tail(4, &of_inode);
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|at| (at - 1_000) % 7 == 1 && at % 2 == 1));
    assert_eq!(tail(9, &filter(|f| f.since_us = Some(1_298))).len(), 2);
}

#[test]
fn an_entry_is_shown_in_full_and_one_that_is_not_there_is_not() {
    let (folder, mut journal) = state(300);
    let log = own(&folder);
    let stream = shard_of(3);
    let shown = log.show(stream, 2).unwrap().unwrap();
    assert_eq!((shown.entry.stream, shown.entry.seq), (stream, 2));
    assert_eq!(shown.entry.site.as_deref(), Some("fra-1"));
    assert_eq!(shown.change.mode, Some(0o600));
    assert!(shown.crc_ok && shown.crc32.len() == 8);
    let file = PathBuf::from(String::from_utf8(shown.file).unwrap());
    assert!(file.exists() && shown.offset_bytes > 48);
    assert!(log.show(stream, 1_000).unwrap().is_none());
    assert!(log.show(255, 1).unwrap().is_none());
    assert_eq!(log.kept(stream), Some((1, 43)));
    assert_eq!(log.kept(255), None);
    journal.trim(&BTreeMap::new(), u64::MAX, u64::MAX).unwrap();
    let log = own(&folder);
    assert!(log.show(stream, 2).unwrap().is_none(), "it was trimmed");
    assert!(log.kept(stream).is_none_or(|(first, _)| first > 2));
}

#[test]
fn a_log_is_told_in_numbers_that_add_up() {
    let (folder, journal) = state(300);
    let view = own(&folder).stat().unwrap();
    assert_eq!((view.entries, view.streams), (300, 7));
    assert_eq!((view.oldest_us, view.newest_us), (Some(1_000), Some(1_299)));
    assert_eq!(view.end_position, journal.durable().position);
    assert_eq!(view.bytes, journal.bytes());
    let ops: Vec<_> = view
        .ops
        .iter()
        .map(|op| (op.op.as_str(), op.entries))
        .collect();
    assert_eq!(ops, [("create", 150), ("setattr", 150)]);
    assert_eq!(
        view.ops.iter().map(|op| op.entry_bytes).sum::<u64>(),
        view.entry_bytes
    );
    let (folder, _journal) = state(0);
    let empty = own(&folder).stat().unwrap();
    assert_eq!((empty.entries, empty.oldest_us), (0, None));
}

#[test]
fn a_sound_log_is_told_so_and_damage_with_its_place_its_meaning_and_what_to_do() {
    let (folder, _journal) = state(300);
    let verify = || {
        let logs = logs(&folder);
        logs.verify(&logs.own()).unwrap()
    };
    let sound = verify();
    assert!(sound.sound && sound.damage.is_none());
    assert_eq!((sound.entries, sound.torn_bytes), (Some(300), Some(0)));
    hurt(&folder, 1, 600);
    let damaged = verify();
    let damage = damaged.damage.unwrap();
    assert!(!damaged.sound && damaged.entries.is_none());
    assert!(damage.offset_bytes <= 600 && damage.file.ends_with(b".seg"));
    assert!(damage.meaning.contains("peers") && damage.next.contains("cfs-repl help join"));
    hurt(&folder, 0, 3);
    let first = verify().damage.unwrap();
    assert_eq!(first.offset_bytes, 0, "the first one is told");
}

#[test]
fn what_stands_before_damage_is_given_out_and_the_damage_told() {
    let (folder, _journal) = state(300);
    hurt(&folder, 1, 600);
    let log = own(&folder);
    let mut stamps = Vec::new();
    let ended = log.each(&EntryMatcher::default(), |entry| {
        stamps.push(entry.entry.timestamp_us);
        true
    });
    assert!(ended.is_err());
    let count = stamps.len() as u64;
    assert!(count > 0 && count < 300);
    assert!(stamps.into_iter().eq(1_000..1_000 + count));
    let (last, damage) = log.tail(250, &EntryMatcher::default()).unwrap();
    assert!(damage.is_some() && !last.is_empty());
    assert_eq!(last.last().unwrap().timestamp_us, 1_299);
    assert!(log.tail(5, &EntryMatcher::default()).unwrap().1.is_none());
}

#[test]
fn a_log_is_followed_and_whoever_wants_no_more_is_left_alone() {
    let (folder, mut journal) = state(5);
    let mut follow = own(&folder).follow().unwrap();
    let mut polled = Vec::new();
    follow.poll(|_| panic!("nothing came")).unwrap();
    let stream = shard_of(99);
    for seq in 1..=3 {
        let payload = encode_change(&change(0)).to_vec();
        let kind = change(0).kind();
        let mut entry = JournalEntry::new(seq, stream, 1, 2_000 + seq, 99, kind, payload);
        entry.incarnation = ACTOR.incarnation;
        journal
            .append(&[AppendGroup::of(entry, Seen::new())])
            .unwrap();
    }
    follow
        .poll(|entry| {
            polled.push(entry.seq);
            entry.seq < 2
        })
        .unwrap();
    assert_eq!(polled, [1, 2]);
    follow.poll(|entry| entry.seq == 3).unwrap();
}

#[test]
fn sites_are_found_by_name_and_by_number_and_others_are_not_known() {
    let (folder, _journal) = state(1);
    let received = folder.path().join("received");
    std::fs::create_dir(&received).unwrap();
    for name in ["2-0000000000000009", "3-0000000000000007", "rubbish"] {
        std::fs::create_dir(received.join(name)).unwrap();
    }
    std::fs::create_dir(received.join("4-0000000000000007")).unwrap();
    for name in ["2-0000000000000009", "3-0000000000000007"] {
        let segment = received.join(name).join("00000000000000000000.seg");
        std::fs::write(segment, b"").unwrap();
    }
    let logs = logs(&folder);
    assert_eq!(logs.list().unwrap().len(), 3);
    assert_eq!(logs.received().unwrap(), ["iad-2", "3"]);
    for name in ["iad-2", "2", "3"] {
        assert_eq!(logs.of(name).unwrap().len(), 1, "{name}");
    }
    for name in ["fra-1", "1", "4", "sin-1", ""] {
        let error = logs.of(name).unwrap_err();
        assert!(matches!(error, ReplError::SiteUnknown { .. }), "{name}");
    }
}
