//! The traps of compaction that the design lists, each by name: what must stay, and what goes.

use super::*;
use crate::journal::codec::{decode_change, encode_change};
use crate::journal::dot::shard_of;
use crate::journal::entry::{RegisterDot, RegisterId, Txn};
use crate::journal::op::{Attr, Change, Content, FileTime, ManifestRoot, Name, Place};
use crate::journal::{EntryBatch, SeenRun};
use crate::sync::core::Core;
use crate::sync::state::{MemState, State};

const INODE: u64 = (1 << 48) | 42;
const ACTOR: Actor = Actor::new(1, 7);
const REMOTE: Actor = Actor::new(2, 9);

fn write(size: u64, mode: Option<u32>) -> Change {
    let manifest_root = ManifestRoot(*blake3::hash(&size.to_le_bytes()).as_bytes());
    let content = Content {
        size,
        manifest_root,
        ..Content::default()
    };
    Change::Write { content, mode }
}

fn truncate() -> Change {
    let content = Content::default();
    Change::Truncate {
        content,
        mode: None,
    }
}

fn set_mode(mode: u32) -> Change {
    let mode = Some(mode);
    Change::SetAttr {
        attr: Attr {
            mode,
            ..Attr::default()
        },
    }
}

fn set_mtime(seconds: i64) -> Change {
    let mtime = Some(FileTime { seconds, nanos: 0 });
    Change::SetAttr {
        attr: Attr {
            mtime,
            ..Attr::default()
        },
    }
}

fn place(name: &str) -> Place {
    let name = Name::new(name.as_bytes().to_vec()).unwrap();
    Place { parent: 1, name }
}

fn create(name: &str) -> Change {
    Change::Create {
        place: place(name),
        attr: Attr::default(),
    }
}

fn rename(name: &str) -> Change {
    Change::Rename {
        place: Some(place(name)),
        dir: false,
    }
}

fn unlink(name: &str) -> Change {
    Change::Unlink {
        place: place(name),
        dir: false,
    }
}

/// An entry of the site under test that replaced the version `prev` in every register that it writes.
fn entry(seq: u64, change: &Change, prev: Option<u64>) -> JournalEntry {
    entry_of(INODE, seq, change, prev)
}

fn entry_of(inode: u64, seq: u64, change: &Change, prev: Option<u64>) -> JournalEntry {
    let payload = encode_change(change).to_vec();
    let mut entry = JournalEntry::new(
        seq,
        shard_of(inode),
        1,
        1_000 + seq,
        inode,
        change.kind(),
        payload,
    );
    entry.incarnation = ACTOR.incarnation;
    entry.crc32 = entry.compute_crc();
    let registers = crate::sync::registers::registers_of(change, inode);
    let replaced = registers.into_iter().zip(prev.into_iter().cycle());
    entry.prev = replaced
        .map(|(register, seq)| version(register, ACTOR, seq))
        .collect();
    entry
}

fn version(register: RegisterId, actor: Actor, seq: u64) -> RegisterDot {
    RegisterDot {
        register,
        actor,
        seq,
    }
}

fn seqs(entries: Vec<JournalEntry>) -> Vec<u64> {
    let result = BatchCompactor::compact(entries);
    for entry in &result.entries {
        entry.validate().unwrap();
    }
    result.entries.iter().map(|entry| entry.seq).collect()
}

fn reason(entries: &[JournalEntry], seq: u64) -> Fate {
    let explained = BatchCompactor::explain(entries);
    explained.iter().find(|e| e.dot.seq == seq).unwrap().fate
}

fn batch(first: u64, last: u64, entries: Vec<JournalEntry>) -> EntryBatch {
    let mut batch = EntryBatch::new(1, entries, 1);
    (batch.incarnation, batch.stream) = (ACTOR.incarnation, shard_of(INODE));
    (batch.first, batch.last) = (first, last);
    batch
}

fn core() -> Core<MemState> {
    Core::new(Actor::new(3, 3), MemState::default(), 0)
}

#[test]
fn trap_1_a_write_is_an_after_image_so_the_truncate_between_is_not_lost() {
    let entries = vec![
        entry(1, &write(10, None), None),
        entry(2, &truncate(), Some(1)),
        entry(3, &write(4, None), Some(2)),
    ];
    let result = BatchCompactor::compact(entries);
    assert_eq!((result.entries.len(), result.removed_count), (1, 2));
    let kept = &result.entries[0];
    assert_eq!((kept.seq, kept.first_seq), (3, 1));
    assert_eq!(decode_change(kept).unwrap(), write(4, None));
}

#[test]
fn trap_2_a_truncate_swallows_the_write_before_it() {
    let entries = vec![
        entry(1, &write(10, None), None),
        entry(2, &truncate(), Some(1)),
    ];
    assert_eq!(seqs(entries), [2]);
}

#[test]
fn trap_3_create_write_unlink_never_becomes_nothing() {
    let entries = vec![
        entry(1, &create("a"), None),
        entry(2, &write(1, None), None),
        entry(3, &unlink("a"), Some(1)),
    ];
    assert_eq!(seqs(entries), [1, 2, 3]);
}

#[test]
fn trap_4_a_reused_number_is_another_file() {
    let plain = |seq, change: &Change| {
        let payload = encode_change(change).to_vec();
        JournalEntry::new(
            seq,
            shard_of(INODE),
            1,
            1_000 + seq,
            INODE,
            change.kind(),
            payload,
        )
    };
    let entries = vec![
        plain(1, &write(1, None)),
        plain(2, &unlink("a")),
        plain(3, &create("b")),
        plain(4, &write(2, None)),
    ];
    assert_eq!(seqs(entries), [1, 2, 3, 4]);
}

#[test]
fn traps_5_and_20_a_write_that_met_a_foreign_loser_is_kept_and_so_is_the_next() {
    let mut second = entry(2, &write(2, None), Some(1));
    second.merge_gen = 1;
    second.overrides = vec![version(RegisterId::Content, REMOTE, 4)];
    let entries = vec![entry(1, &write(1, None), None), second];
    assert_eq!(
        reason(&entries, 1),
        Fate::Kept(Reason::ForeignBetween { next: 2 })
    );
    assert_eq!(seqs(entries), [1, 2]);
}

#[test]
fn trap_6_a_write_over_a_foreign_winner_swallows_nothing() {
    let mut second = entry(2, &write(2, None), None);
    second.prev = vec![version(RegisterId::Content, REMOTE, 4)];
    let mut entries = vec![entry(1, &write(1, None), None), second];
    assert_eq!(
        reason(&entries, 1),
        Fate::Kept(Reason::NotReplaced { next: 2 })
    );
    entries[1].merge_gen = 1;
    assert_eq!(seqs(entries), [1, 2]);
}

#[test]
fn trap_7_stamps_that_go_back_keep_everything_of_the_inode_and_are_reported() {
    let other = INODE + 1;
    let mut late = entry(2, &write(2, None), Some(1));
    late.timestamp_us = 900;
    late.crc32 = late.compute_crc();
    let entries = vec![
        entry(1, &write(1, None), None),
        late,
        entry(3, &write(3, None), Some(2)),
        entry_of(other, 4, &write(1, None), None),
        entry_of(other, 5, &write(2, None), Some(4)),
    ];
    let result = BatchCompactor::compact(entries.clone());
    assert_eq!(
        (result.removed_count, result.out_of_order),
        (1, vec![INODE])
    );
    assert_eq!(reason(&entries, 2), Fate::Kept(Reason::OutOfOrder));
}

#[test]
fn trap_8_moving_there_and_back_keeps_both_moves() {
    let entries = vec![
        entry(1, &rename("b"), None),
        entry(2, &rename("a"), Some(1)),
    ];
    assert_eq!(reason(&entries, 1), Fate::Kept(Reason::Structural));
    assert_eq!(seqs(entries), [1, 2]);
}

#[test]
fn traps_9_and_21_parts_of_one_operation_neither_swallow_nor_are_swallowed() {
    let txn = |part| {
        Some(Txn {
            id: 5,
            parts: 2,
            part,
        })
    };
    let mut first = entry(2, &write(2, None), Some(1));
    let mut second = entry(3, &rename("b"), None);
    (first.txn, second.txn) = (txn(0), txn(1));
    let entries = vec![
        entry(1, &write(1, None), None),
        first,
        second,
        entry(4, &write(3, None), Some(2)),
        entry(5, &write(4, None), Some(4)),
    ];
    assert_eq!(reason(&entries, 2), Fate::Kept(Reason::Transaction));
    assert_eq!(seqs(entries), [1, 2, 3, 5]);
}

#[test]
fn trap_10_link_and_unlink_of_the_old_name_both_stay() {
    let mut link = entry(1, &Change::Link { place: place("b") }, None);
    link.link = INODE + 9;
    assert_eq!(seqs(vec![link, entry(2, &unlink("a"), None)]), [1, 2]);
}

#[test]
fn trap_11_a_removed_xattr_stays_as_a_removal_and_names_do_not_mix() {
    let name = |name: &'static str| bytes::Bytes::from_static(name.as_bytes());
    let set = |key| Change::SetXattr {
        name: name(key),
        value: name("value"),
    };
    let remove = |key| Change::RemoveXattr { name: name(key) };
    let entries = vec![
        entry(1, &set("user.x"), None),
        entry(2, &set("user.y"), None),
        entry(3, &remove("user.x"), Some(1)),
    ];
    let result = BatchCompactor::compact(entries);
    let left: Vec<Change> = result
        .entries
        .iter()
        .map(|e| decode_change(e).unwrap())
        .collect();
    assert_eq!(left, [set("user.y"), remove("user.x")]);
}

#[test]
fn trap_12_two_set_attr_become_one_and_each_register_keeps_its_own_version() {
    let mut entries = vec![
        entry(1, &set_mode(0o600), None),
        entry(2, &set_mtime(9), None),
    ];
    entries[0].prev = vec![version(RegisterId::Mode, REMOTE, 3)];
    let result = BatchCompactor::compact(entries);
    let [kept] = &result.entries[..] else {
        panic!("expected one entry");
    };
    let mode = Some(0o600);
    let mtime = Some(FileTime {
        seconds: 9,
        nanos: 0,
    });
    assert_eq!(
        decode_change(kept).unwrap(),
        Change::SetAttr {
            attr: Attr {
                mode,
                mtime,
                ..Attr::default()
            }
        }
    );
    assert_eq!(kept.key_of(&RegisterId::Mode).seq, 1);
    assert_eq!(kept.key_of(&RegisterId::Times).seq, 2);
    assert_eq!(kept.prev, [version(RegisterId::Mode, REMOTE, 3)]);
    kept.validate().unwrap();
}

#[test]
fn trap_13_a_mode_travels_with_its_write_and_is_not_swallowed_by_one_without() {
    let chmod_then_write = vec![
        entry(1, &set_mode(0o4755), None),
        entry(2, &write(1, Some(0o755)), Some(1)),
    ];
    assert_eq!(seqs(chmod_then_write), [1, 2]);
    let entries = vec![
        entry(1, &write(1, Some(0o755)), None),
        entry(2, &write(2, None), Some(1)),
    ];
    assert_eq!(
        reason(&entries, 1),
        Fate::Kept(Reason::ModeNotCarried { next: 2 })
    );
    assert_eq!(seqs(entries), [1, 2]);
}

#[test]
fn trap_15_a_compacted_batch_over_a_cursor_has_no_second_effect() {
    let mut entries = vec![entry(1, &create("a"), None)];
    entries.push(entry(2, &write(2, None), None));
    entries.extend((3..=20).map(|seq| entry(seq, &write(seq, None), Some(seq - 1))));
    let (mut whole, mut resent) = (core(), core());
    whole
        .merge_batch(&batch(1, 20, entries.clone()), 0)
        .unwrap();
    resent
        .merge_batch(&batch(1, 15, entries[..15].to_vec()), 0)
        .unwrap();
    let again = BatchCompactor::compact_batch(batch(10, 20, entries[9..].to_vec())).batch;
    assert_eq!((again.entries.len(), again.entries[0].first_seq), (1, 10));
    again.validate().unwrap();
    for _ in 0..2 {
        resent.merge_batch(&again, 0).unwrap();
        let cursor = resent.state().cursor(ACTOR, shard_of(INODE)).unwrap();
        assert_eq!(cursor, 20);
        let content = |core: &Core<MemState>| core.image(INODE).unwrap().content;
        assert_eq!(content(&resent), content(&whole));
        assert_eq!(resent.state().conflicts().unwrap(), []);
    }
}

#[test]
fn trap_16_a_batch_across_a_change_of_context_keeps_both_contexts() {
    let entries = vec![
        entry(1, &write(1, None), None),
        entry(2, &write(2, None), Some(1)),
    ];
    let mut batch = batch(1, 2, entries);
    let run = |first_seq, seq| SeenRun {
        first_seq,
        seen: [(REMOTE, seq)].into_iter().collect(),
    };
    batch.seen_runs = vec![run(1, 4), run(2, 8)];
    let compacted = BatchCompactor::compact_batch(batch.clone()).batch;
    compacted.validate().unwrap();
    assert_eq!(compacted.entries.len(), 1);
    assert_eq!(compacted.seen_runs, batch.seen_runs);
    assert_eq!(compacted.seen_of(&compacted.entries[0]).get(REMOTE), 8);
}

#[test]
fn traps_17_and_19_only_an_entry_of_the_same_run_swallows() {
    let first = vec![entry(1, &write(1, None), None)];
    let second = vec![entry(2, &write(2, None), Some(1))];
    assert_eq!(seqs(first.clone()), [1]);
    assert_eq!(seqs(second.clone()), [2]);
    assert_eq!(seqs([first, second].concat()), [2]);
}

#[test]
fn trap_18_an_untouched_batch_keeps_the_bytes_of_the_journal() {
    let mut whole = batch(1, 1, vec![entry(1, &write(1, None), None)]);
    whole.raw = bytes::Bytes::from_static(b"as in the journal");
    assert_eq!(BatchCompactor::compact_batch(whole.clone()).batch, whole);
    // Nor does one in which an inode stands twice and both entries are needed.
    let structural = vec![
        entry(1, &create("a"), None),
        entry(2, &write(2, None), None),
    ];
    let mut whole = batch(1, 2, structural);
    whole.raw = bytes::Bytes::from_static(b"as in the journal");
    assert_eq!(BatchCompactor::compact_batch(whole.clone()).batch, whole);
}

#[test]
fn trap_22_writes_through_different_hard_links_are_one_content() {
    let mut second = entry(2, &write(2, None), Some(1));
    second.link = INODE + 5;
    assert_eq!(seqs(vec![entry(1, &write(1, None), None), second]), [2]);
}

#[test]
fn trap_23_ten_thousand_appends_are_one_entry() {
    let mut entries = vec![entry(1, &write(1, None), None)];
    entries.extend((2..=10_000).map(|seq| entry(seq, &write(seq, None), Some(seq - 1))));
    let result = BatchCompactor::compact(entries);
    assert_eq!((result.entries.len(), result.removed_count), (1, 9_999));
    assert_eq!(
        (result.entries[0].first_seq, result.entries[0].seq),
        (1, 10_000)
    );
}

#[test]
fn a_register_written_in_between_keeps_set_attr_apart() {
    let entries = vec![
        entry(1, &set_mode(0o600), None),
        entry(2, &write(1, Some(0o755)), Some(1)),
        entry(3, &set_mtime(9), None),
    ];
    assert_eq!(
        reason(&entries, 1),
        Fate::Kept(Reason::NotReplaced { next: 3 })
    );
    assert_eq!(seqs(entries), [1, 2, 3]);
}

#[test]
fn a_chain_of_folds_keeps_the_oldest_version_of_each_register() {
    let entries = vec![
        entry(1, &set_mode(0o600), None),
        entry(2, &set_mtime(9), None),
        entry(3, &set_mtime(10), Some(2)),
    ];
    assert_eq!(reason(&entries, 1), Fate::Swallowed { by: 3 });
    let result = BatchCompactor::compact(entries);
    let [kept] = &result.entries[..] else {
        panic!("expected one entry");
    };
    assert_eq!((kept.first_seq, kept.folded.len()), (1, 1));
    assert_eq!(kept.key_of(&RegisterId::Mode).timestamp_us, 1_001);
    assert_eq!(kept.key_of(&RegisterId::Times).seq, 3);
}

#[test]
fn another_view_of_unapplied_versions_keeps_both() {
    let mut second = entry(2, &write(2, None), Some(1));
    second.seen_except = vec![(REMOTE, 3)];
    let entries = vec![entry(1, &write(1, None), None), second];
    assert_eq!(
        reason(&entries, 1),
        Fate::Kept(Reason::ContextDiffers { next: 2 })
    );
}

#[test]
fn the_swallower_inherits_what_was_replaced_and_overridden() {
    let mut first = entry(1, &write(1, None), None);
    first.prev = vec![version(RegisterId::Content, REMOTE, 6)];
    first.overrides = vec![version(RegisterId::Content, REMOTE, 5)];
    let result = BatchCompactor::compact(vec![first.clone(), entry(2, &write(2, None), Some(1))]);
    assert_eq!(result.entries[0].prev, first.prev);
    assert_eq!(result.entries[0].overrides, first.overrides);
}

#[test]
fn more_overrides_than_an_entry_may_carry_keep_both() {
    let many = |actor| (1..=200).map(move |seq| version(RegisterId::Content, actor, seq));
    let mut first = entry(1, &write(1, None), None);
    let mut second = entry(2, &write(2, None), Some(1));
    first.overrides = many(REMOTE).collect();
    second.overrides = many(Actor::new(9, 9)).collect();
    let entries = vec![first, second];
    assert_eq!(
        reason(&entries, 1),
        Fate::Kept(Reason::TooManyItems { next: 2 })
    );
}

#[test]
fn without_context_consecutive_writes_of_one_site_are_a_chain() {
    let plain = |seq, op, payload: &[u8]| {
        let (shard, at) = (shard_of(INODE), 1_000 + seq);
        JournalEntry::new(seq, shard, 1, at, INODE, op, payload.to_vec())
    };
    let entries = vec![
        plain(1, OpKind::Write, b"\xff not ours"),
        plain(2, OpKind::Write, b""),
        plain(3, OpKind::SetAttr, b"\xff a mask that nobody can read"),
        plain(4, OpKind::SetAttr, b"\xff another"),
        plain(5, OpKind::SetAttr, b"\xff another"),
        plain(6, OpKind::Write, b"\xff not ours either"),
    ];
    assert_eq!(reason(&entries, 3), Fate::Kept(Reason::NotUnderstood));
    assert_eq!(seqs(entries), [3, 5, 6]);
}

#[test]
fn an_unreadable_payload_keeps_everything_of_its_inode() {
    let mut broken = entry(2, &write(2, None), Some(1));
    broken.payload = bytes::Bytes::from_static(b"\xff");
    broken.crc32 = broken.compute_crc();
    let entries = vec![
        entry(1, &write(1, None), None),
        broken,
        entry(3, &write(3, None), Some(2)),
    ];
    assert_eq!(reason(&entries, 1), Fate::Kept(Reason::NotUnderstood));
    assert_eq!(seqs(entries), [1, 2, 3]);
}

#[test]
fn compact_inode_leaves_other_inodes_alone_and_orders_by_seq() {
    let other = INODE + 1;
    let entries = vec![
        entry(4, &write(4, None), Some(1)),
        entry_of(other, 3, &write(3, None), Some(2)),
        entry_of(other, 2, &write(2, None), None),
        entry(1, &write(1, None), None),
    ];
    let result = BatchCompactor::compact_inode(entries, INODE);
    let left: Vec<u64> = result.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!((left, result.removed_count), (vec![2, 3, 4], 1));
}

#[test]
fn control_entries_are_kept_and_nothing_comes_of_nothing() {
    let noop = JournalEntry::new(1, 256, 1, 9, 0, OpKind::Noop, vec![]);
    let entries = vec![noop.clone(), noop];
    assert_eq!(reason(&entries, 1), Fate::Kept(Reason::Control));
    assert_eq!(BatchCompactor::compact(entries).removed_count, 0);
    assert_eq!(BatchCompactor::compact(vec![]), CompactionResult::default());
}

#[test]
fn every_entry_is_explained_in_words() {
    let entries = [
        entry(1, &create("a"), None),
        entry(2, &write(1, None), None),
        entry(3, &set_mode(0o600), Some(1)),
        entry(4, &write(2, None), Some(2)),
        entry(5, &set_mtime(9), None),
    ];
    let words: Vec<&str> = BatchCompactor::explain(&entries)
        .iter()
        .map(Explained::why)
        .collect();
    assert_eq!(
        words,
        [
            "changes the namespace",
            "covered by a later write in the same batch",
            "folded into a later setattr in the same batch",
            "latest of its kind",
            "latest of its kind",
        ]
    );
}

#[test]
fn compacting_twice_is_compacting_once() {
    let entries: Vec<JournalEntry> = (1..=6)
        .map(|seq| match seq % 2 {
            0 => entry(
                seq,
                &write(seq, None),
                seq.checked_sub(2).filter(|s| *s > 0),
            ),
            _ => entry(seq, &set_mode(0o600 + seq as u32), seq.checked_sub(2)),
        })
        .collect();
    let once = BatchCompactor::compact(entries);
    let twice = BatchCompactor::compact(once.entries.clone());
    assert_eq!((twice.removed_count, &twice.entries), (0, &once.entries));
    assert_eq!(once.removed_count, 4);
}
