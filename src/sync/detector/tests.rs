//! What is a conflict and what is not, who wins, and what clearing the list leaves alone.

use super::*;
use crate::clock::ManualClock;
use crate::journal::codec::encode_change;
use crate::journal::dot::shard_of;
use crate::journal::entry::{FoldedStamp, RegisterDot};
use crate::journal::op::{Attr, Change, Content, FileTime, OpKind};

const INODE: u64 = (1 << 48) | 42;

fn entry(site: u64, seq: u64, at: u64, change: &Change) -> JournalEntry {
    let payload = encode_change(change).to_vec();
    let mut entry = JournalEntry::new(
        seq,
        shard_of(INODE),
        site,
        at,
        INODE,
        change.kind(),
        payload,
    );
    entry.incarnation = site * 11;
    entry.crc32 = entry.compute_crc();
    entry
}

fn write(site: u64, seq: u64, at: u64) -> JournalEntry {
    let content = Content::default();
    entry(
        site,
        seq,
        at,
        &Change::Write {
            content,
            mode: None,
        },
    )
}

fn chmod(site: u64, seq: u64, at: u64) -> JournalEntry {
    let attr = Attr {
        mode: Some(0o600),
        ..Attr::default()
    };
    entry(site, seq, at, &Change::SetAttr { attr })
}

fn replacing(mut entry: JournalEntry, other: &JournalEntry) -> JournalEntry {
    entry.prev = vec![RegisterDot {
        register: RegisterId::Content,
        actor: other.actor(),
        seq: other.seq,
    }];
    entry
}

fn detector() -> ConflictDetector {
    ConflictDetector::with_clock(1, ManualClock::at(5_000))
}

#[tokio::test]
async fn two_blind_writes_conflict_and_the_later_stamp_wins() {
    let conflict = detector()
        .check(&write(1, 1, 10), &write(2, 1, 11))
        .await
        .unwrap();
    assert_eq!((conflict.local_site_id, conflict.remote_site_id), (1, 2));
    assert_eq!((conflict.local_ts, conflict.remote_ts), (10, 11));
    assert_eq!((conflict.winner_site_id, conflict.inode), (2, INODE));
    assert_eq!(
        (conflict.detected_at_us, conflict.register),
        (5_000, RegisterId::Content)
    );
}

#[tokio::test]
async fn equal_stamps_are_decided_by_site_alike_on_both_ends() {
    let (a, b) = (write(1, 9, 10), write(2, 1, 10));
    let here = detector().check(&a, &b).await.unwrap();
    let there = ConflictDetector::new(2).check(&b, &a).await.unwrap();
    assert_eq!((here.winner_site_id, there.winner_site_id), (2, 2));
    assert_eq!(here.id, there.id);
}

#[test]
fn another_inode_shard_or_the_same_site_is_no_conflict() {
    let base = write(1, 1, 10);
    let (mut inode, mut shard, mut site) = (write(2, 1, 11), write(2, 1, 11), write(2, 1, 11));
    inode.inode += 1;
    shard.shard_id ^= 1;
    site.site_id = 1;
    for other in [inode, shard, site] {
        assert!(!ConflictDetector::entries_conflict(&base, &other));
    }
    assert!(ConflictDetector::entries_conflict(&base, &write(2, 1, 11)));
}

#[test]
fn different_registers_both_survive_without_a_conflict() {
    assert!(!ConflictDetector::entries_conflict(
        &write(1, 1, 10),
        &chmod(2, 1, 11)
    ));
}

#[test]
fn a_write_that_replaced_the_other_is_no_conflict_either_way_round() {
    let first = write(1, 4, 10);
    let second = replacing(write(2, 1, 9), &first);
    assert!(!ConflictDetector::entries_conflict(&first, &second));
    assert!(!ConflictDetector::entries_conflict(&second, &first));
}

#[test]
fn whoever_replaced_a_later_version_had_seen_the_earlier_one_too() {
    let (first, later) = (write(1, 4, 10), write(1, 6, 12));
    let remote = replacing(write(2, 1, 13), &later);
    assert!(!ConflictDetector::entries_conflict(&first, &remote));
    let newer = write(1, 7, 14);
    assert!(ConflictDetector::entries_conflict(&newer, &remote));
}

#[test]
fn a_version_that_was_overridden_is_no_conflict() {
    let loser = write(1, 4, 10);
    let mut winner = write(2, 3, 12);
    winner.overrides = replacing(write(2, 3, 12), &loser).prev;
    assert!(!ConflictDetector::entries_conflict(&loser, &winner));
}

#[test]
fn a_version_merged_but_not_on_the_disk_was_not_seen() {
    let unapplied = write(1, 4, 10);
    let mut remote = replacing(write(2, 3, 12), &write(1, 3, 9));
    remote.seen_except = vec![(unapplied.actor(), 3)];
    assert!(ConflictDetector::entries_conflict(&unapplied, &remote));
}

#[tokio::test]
async fn a_folded_register_competes_with_its_own_stamp() {
    let mut folded = entry(
        2,
        5,
        30,
        &Change::SetAttr {
            attr: Attr {
                mode: Some(0o600),
                mtime: Some(FileTime::default()),
                ..Attr::default()
            },
        },
    );
    (folded.first_seq, folded.folded) = (
        3,
        vec![FoldedStamp {
            register: RegisterId::Mode,
            seq: 3,
            timestamp_us: 10,
        }],
    );
    let conflict = detector().check(&chmod(1, 1, 20), &folded).await.unwrap();
    assert_eq!((conflict.winner_site_id, conflict.remote_ts), (1, 10));
}

#[tokio::test]
async fn entries_of_the_plain_api_count_as_concurrent_whatever_their_payload() {
    let plain = |site, op| {
        JournalEntry::new(
            1,
            shard_of(INODE),
            site,
            10 + site,
            INODE,
            op,
            b"\xff".to_vec(),
        )
    };
    let detector = detector();
    for op in [OpKind::Write, OpKind::SetAttr, OpKind::Rename] {
        assert!(detector.check(&plain(1, op), &plain(2, op)).await.is_some());
    }
    assert!(
        detector
            .check(&plain(1, OpKind::Write), &plain(2, OpKind::Rename))
            .await
            .is_none()
    );
}

#[tokio::test]
async fn each_shared_register_is_listed_once_however_often_it_is_asked() {
    let detector = detector();
    let attr = Attr {
        mode: Some(0o644),
        ..Attr::default()
    };
    let both = |site| {
        let (content, mode) = (Content::default(), attr.mode);
        entry(site, 1, 10 + site, &Change::Write { content, mode })
    };
    for _ in 0..3 {
        let first = detector.check(&both(1), &both(2)).await.unwrap();
        assert_eq!(first.register, RegisterId::Content);
    }
    let listed = detector.conflicts().await;
    let registers: Vec<RegisterId> = listed.into_iter().map(|c| c.register).collect();
    assert_eq!(registers, [RegisterId::Content, RegisterId::Mode]);
}

#[tokio::test]
async fn clearing_hides_what_was_listed_and_forgets_nothing() {
    let detector = detector();
    detector.check(&write(1, 1, 10), &write(2, 1, 11)).await;
    detector.clear_conflicts().await;
    assert_eq!(detector.conflict_count().await, 0);
    assert_eq!(detector.conflicts().await, []);
    assert!(detector.all_conflicts()[0].acked);
    detector.check(&write(1, 1, 10), &write(2, 1, 11)).await;
    assert_eq!(detector.conflict_count().await, 0);
    detector.check(&write(1, 2, 20), &write(2, 2, 21)).await;
    assert_eq!(detector.conflict_count().await, 1);
}

#[tokio::test]
async fn an_ack_hides_one_conflict_once() {
    let detector = detector();
    let first = detector.check(&write(1, 1, 10), &write(2, 1, 11)).await;
    detector.check(&write(1, 2, 20), &write(2, 2, 21)).await;
    let id = first.unwrap().id;
    assert!(detector.ack(id) && !detector.ack(id));
    assert_eq!(detector.conflict_count().await, 1);
}

#[tokio::test]
async fn a_full_list_drops_the_oldest_and_counts_it() {
    let detector = detector();
    let key = |site, seq| write(site, seq, 10).key();
    for seq in 1..=DETECTED_MAX as u64 + 2 {
        let conflict = Conflict::new(INODE, RegisterId::Content, key(1, seq), key(2, seq), 0);
        assert!(detector.note(conflict));
    }
    assert_eq!(detector.conflict_count().await, DETECTED_MAX);
    assert_eq!(detector.dropped(), 2);
    assert_eq!(detector.conflicts().await[0].local.seq, 3);
}
