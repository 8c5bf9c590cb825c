//! The facade takes batches whole or not at all, finds the conflicts that the merge finds, and says where it stands.

use super::*;
use crate::clock::ManualClock;
use crate::journal::codec::encode_change;
use crate::journal::dot::{CONTROL_STREAM, shard_of};
use crate::journal::entry::RegisterDot;
use crate::journal::op::{Attr, Change, Content, ManifestRoot, Name, OpKind, Place};
use crate::sync::compactor::BatchCompactor;

const INODE: u64 = (1 << 48) | 42;
const LOCAL: u64 = 1;
const REMOTE: u64 = 2;

fn entry(site: u64, seq: u64, at: u64, inode: u64, change: &Change) -> JournalEntry {
    let payload = encode_change(change).to_vec();
    JournalEntry::new(
        seq,
        shard_of(inode),
        site,
        at,
        inode,
        change.kind(),
        payload,
    )
}

fn write(site: u64, seq: u64, at: u64) -> JournalEntry {
    let content = Content {
        size: at,
        manifest_root: ManifestRoot([7; 32]),
        ..Content::default()
    };
    entry(
        site,
        seq,
        at,
        INODE,
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
    entry(site, seq, at, INODE, &Change::SetAttr { attr })
}

fn batch(entries: Vec<JournalEntry>) -> EntryBatch {
    EntryBatch::new(REMOTE, entries, 1)
}

fn sync() -> ReplicationSync {
    ReplicationSync::with_clock(Actor::new(LOCAL, 0), REMOTE, ManualClock::at(9_000))
}

/// Size of the file's winning content: in these tests the stamp of the write that wins.
fn shown(sync: &ReplicationSync) -> Option<u64> {
    let node = sync.with_core(|core| core.state().node(INODE).unwrap());
    node.and_then(|node| node.content.winner().map(|winner| winner.value.size))
}

async fn rejection(sync: &ReplicationSync, batch: &EntryBatch, local: &[JournalEntry]) -> String {
    let before = (sync.wal_snapshot().await, shown(sync));
    let ApplyResult::Rejected { reason } = sync.apply_batch(batch, local).await else {
        panic!("the batch was taken");
    };
    assert_eq!((sync.wal_snapshot().await, shown(sync)), before);
    reason
}

const fn applied(count: usize) -> ApplyResult {
    ApplyResult::Applied { count }
}

#[tokio::test]
async fn a_batch_is_applied_counted_and_shown() {
    let sync = sync();
    let batch = batch(vec![write(REMOTE, 1, 10), write(REMOTE, 2, 20)]);
    assert_eq!(sync.apply_batch(&batch, &[]).await, applied(2));
    assert_eq!(shown(&sync), Some(20));
}

#[tokio::test]
async fn a_repeated_batch_counts_and_changes_nothing() {
    let sync = sync();
    let local = [write(LOCAL, 1, 15)];
    let batch = batch(vec![write(REMOTE, 1, 10), write(REMOTE, 2, 20)]);
    let first = sync.apply_batch(&batch, &local).await;
    assert_eq!(
        first,
        ApplyResult::AppliedWithConflicts {
            applied: 2,
            conflicts: 1
        }
    );
    for _ in 0..2 {
        assert_eq!(sync.apply_batch(&batch, &local).await, applied(0));
    }
    assert_eq!(sync.detector().conflict_count().await, 1);
}

#[tokio::test]
async fn of_an_overlapping_batch_only_the_new_entries_count() {
    let sync = sync();
    let run = |from, to| {
        batch(
            (from..=to)
                .map(|seq| write(REMOTE, seq, 10 * seq))
                .collect(),
        )
    };
    assert_eq!(sync.apply_batch(&run(1, 3), &[]).await, applied(3));
    assert_eq!(sync.apply_batch(&run(2, 5), &[]).await, applied(2));
    assert_eq!(shown(&sync), Some(50));
}

#[tokio::test]
async fn blind_writes_of_both_sites_conflict_and_the_later_one_is_shown() {
    let sync = sync();
    let result = sync
        .apply_batch(&batch(vec![write(REMOTE, 1, 10)]), &[write(LOCAL, 1, 11)])
        .await;
    assert_eq!(
        result,
        ApplyResult::AppliedWithConflicts {
            applied: 1,
            conflicts: 1
        }
    );
    assert_eq!(shown(&sync), Some(11));
    let [conflict] = &sync.detector().conflicts().await[..] else {
        panic!("expected one conflict");
    };
    assert_eq!((conflict.winner_site_id, conflict.inode), (LOCAL, INODE));
    assert_eq!((conflict.local_ts, conflict.remote_ts), (11, 10));
    assert_eq!(conflict.detected_at_us, 9_000);
    let record = sync.with_core(|core| core.state().conflict(conflict.id).unwrap());
    assert_eq!(record.unwrap().lost, conflict.lost);
}

#[tokio::test]
async fn both_ends_show_the_same_winner() {
    let (here, there) = (sync(), ReplicationSync::new(REMOTE, LOCAL));
    let (ours, theirs) = (write(LOCAL, 1, 10), write(REMOTE, 1, 10));
    here.apply_batch(&batch(vec![theirs.clone()]), std::slice::from_ref(&ours))
        .await;
    there
        .apply_batch(&EntryBatch::new(LOCAL, vec![ours], 1), &[theirs])
        .await;
    let ends = [here.detector(), there.detector()];
    for end in &ends {
        assert_eq!(end.conflicts().await[0].winner_site_id, REMOTE);
    }
    assert_eq!(ends[0].all_conflicts()[0].id, ends[1].all_conflicts()[0].id);
}

#[tokio::test]
async fn different_registers_merge_without_a_conflict() {
    let sync = sync();
    let result = sync
        .apply_batch(&batch(vec![chmod(REMOTE, 1, 10)]), &[write(LOCAL, 1, 11)])
        .await;
    assert_eq!(result, applied(1));
}

#[tokio::test]
async fn a_remote_write_that_replaced_ours_is_no_conflict() {
    let sync = sync();
    let ours = write(LOCAL, 1, 11);
    let mut theirs = write(REMOTE, 1, 12);
    theirs.prev = vec![RegisterDot {
        register: RegisterId::Content,
        actor: ours.actor(),
        seq: 1,
    }];
    let mut batch = batch(vec![theirs]);
    batch.seen_runs = vec![crate::journal::SeenRun {
        first_seq: 1,
        seen: [(ours.actor(), 1)].into_iter().collect(),
    }];
    assert_eq!(sync.apply_batch(&batch, &[ours]).await, applied(1));
    assert_eq!(shown(&sync), Some(12));
}

#[tokio::test]
async fn a_local_write_over_a_merged_one_is_no_conflict_when_it_names_it() {
    let sync = sync();
    let theirs = write(REMOTE, 1, 10);
    sync.apply_batch(&batch(vec![theirs.clone()]), &[]).await;
    let mut ours = write(LOCAL, 1, 11);
    ours.prev = vec![RegisterDot {
        register: RegisterId::Content,
        actor: theirs.actor(),
        seq: 1,
    }];
    let result = sync.apply_batch(&batch(vec![]), &[ours]).await;
    assert_eq!((result, shown(&sync)), (applied(0), Some(11)));
}

#[tokio::test]
async fn local_entries_given_earlier_meet_later_batches() {
    let sync = sync();
    let result = sync
        .apply_batch(&batch(vec![]), &[write(LOCAL, 1, 11)])
        .await;
    assert_eq!(result, applied(0));
    let result = sync
        .apply_batch(&batch(vec![write(REMOTE, 1, 12)]), &[])
        .await;
    assert_eq!(
        result,
        ApplyResult::AppliedWithConflicts {
            applied: 1,
            conflicts: 1
        }
    );
}

#[tokio::test]
async fn a_superseded_loser_is_on_record_and_not_listed() {
    let sync = sync();
    let ours = write(LOCAL, 1, 11);
    let mut theirs = write(REMOTE, 2, 14);
    theirs.overrides = vec![RegisterDot {
        register: RegisterId::Content,
        actor: ours.actor(),
        seq: 1,
    }];
    let mut batch = batch(vec![write(REMOTE, 1, 12), theirs]);
    batch.seen_runs = [(1, 0), (2, 1)]
        .map(|(first_seq, seq)| crate::journal::SeenRun {
            first_seq,
            seen: [(ours.actor(), seq)].into_iter().collect(),
        })
        .to_vec();
    assert_eq!(sync.apply_batch(&batch, &[ours]).await, applied(2));
    let records = sync.with_core(|core| core.state().conflicts().unwrap());
    assert_eq!((records.len(), records[0].superseded), (1, true));
    assert_eq!(sync.detector().conflict_count().await, 0);
}

#[tokio::test]
async fn clearing_the_list_leaves_the_records() {
    let sync = sync();
    sync.apply_batch(&batch(vec![write(REMOTE, 1, 10)]), &[write(LOCAL, 1, 11)])
        .await;
    sync.detector().clear_conflicts().await;
    assert_eq!(sync.detector().conflict_count().await, 0);
    let records = sync.with_core(|core| core.state().conflicts().unwrap());
    assert_eq!((records.len(), records[0].superseded), (1, false));
}

#[tokio::test]
async fn a_batch_of_another_site_is_rejected() {
    let reason = rejection(&sync(), &EntryBatch::new(3, vec![write(3, 1, 10)], 1), &[]).await;
    assert_eq!(reason, "batch of site 3, expected site 2");
    let smuggled = batch(vec![write(REMOTE, 1, 10), write(3, 2, 10)]);
    let reason = rejection(&sync(), &smuggled, &[]).await;
    assert!(reason.contains("stands in a batch of site 2"), "{reason}");
}

#[tokio::test]
async fn a_gap_is_rejected_and_names_the_next_seq() {
    let sync = sync();
    sync.apply_batch(&batch(vec![write(REMOTE, 1, 10)]), &[])
        .await;
    let reason = rejection(&sync, &batch(vec![write(REMOTE, 3, 30)]), &[]).await;
    assert!(reason.contains("starts at seq 3, expected 2"), "{reason}");
}

#[tokio::test]
async fn a_hole_without_an_incarnation_is_rejected_and_a_folded_one_is_not() {
    let hole = batch(vec![write(REMOTE, 1, 10), write(REMOTE, 3, 30)]);
    let reason = rejection(&sync(), &hole, &[]).await;
    assert!(reason.contains("seq 2 of 1..=3 is missing"), "{reason}");
    let run = vec![
        write(REMOTE, 1, 10),
        chmod(REMOTE, 2, 20),
        write(REMOTE, 3, 30),
    ];
    let folded = BatchCompactor::compact(run);
    assert_eq!(folded.removed_count, 1);
    let result = sync().apply_batch(&batch(folded.entries), &[]).await;
    assert_eq!(result, applied(2));
}

#[tokio::test]
async fn a_bad_crc_rejects_the_whole_batch() {
    let mut broken = write(REMOTE, 2, 20);
    broken.crc32 ^= 1;
    let reason = rejection(&sync(), &batch(vec![write(REMOTE, 1, 10), broken]), &[]).await;
    assert!(reason.contains("seq 2: crc is"), "{reason}");
}

#[tokio::test]
async fn a_payload_that_does_not_decode_rejects_the_whole_batch() {
    let shard = shard_of(INODE);
    let opaque = JournalEntry::new(2, shard, REMOTE, 20, INODE, OpKind::Write, vec![0xFF]);
    let local = [write(LOCAL, 1, 11)];
    let reason = rejection(&sync(), &batch(vec![write(REMOTE, 1, 10), opaque]), &local).await;
    assert!(reason.contains("seq 2: payload"), "{reason}");
}

#[tokio::test]
async fn moving_the_root_is_rejected() {
    let place = Place {
        parent: 1,
        name: Name::new(&b"x"[..]).unwrap(),
    };
    let change = Change::Rename {
        place: Some(place),
        dir: true,
    };
    let moved = entry(REMOTE, 1, 10, ROOT_INODE, &change);
    let reason = rejection(&sync(), &batch(vec![moved]), &[]).await;
    assert!(reason.contains("root directory"), "{reason}");
}

#[tokio::test]
async fn a_local_entry_of_another_site_or_with_a_bad_crc_is_rejected() {
    let good = batch(vec![write(REMOTE, 1, 10)]);
    let reason = rejection(&sync(), &good, &[write(3, 1, 11)]).await;
    assert_eq!(reason, "local entry of site 3, expected site 1");
    let mut broken = write(LOCAL, 1, 11);
    broken.timestamp_us += 1;
    let reason = rejection(&sync(), &good, &[broken]).await;
    assert!(reason.contains("crc is"), "{reason}");
}

#[tokio::test]
async fn a_declared_range_moves_the_cursor_even_without_entries() {
    let sync = sync();
    let mut declared = batch(vec![]);
    (declared.incarnation, declared.stream) = (5, 3);
    (declared.first, declared.last) = (1, 40);
    assert_eq!(sync.apply_batch(&declared, &[]).await, applied(0));
    assert_eq!(sync.lag(3, 50).await, 10);
    declared.incarnation = 0;
    let reason = rejection(&sync, &declared, &[]).await;
    assert!(reason.contains("seq 1 of 1..=40 is missing"), "{reason}");
}

#[tokio::test]
async fn lag_counts_entries_of_the_present_journal() {
    let sync = sync();
    let shard = shard_of(INODE);
    assert_eq!((sync.lag(shard, 7).await, sync.lag(0, 0).await), (7, 0));
    let run = (1..=5).map(|seq| write(REMOTE, seq, 10 * seq)).collect();
    sync.apply_batch(&batch(run), &[]).await;
    assert_eq!((sync.lag(shard, 7).await, sync.lag(shard, 3).await), (2, 0));
    let mut anew = write(REMOTE, 1, 90);
    anew.incarnation = 8;
    sync.apply_batch(&batch(vec![anew]), &[]).await;
    assert_eq!(sync.lag(shard, 7).await, 6);
}

#[tokio::test]
async fn the_snapshot_lists_the_remote_cursors_by_stream() {
    let sync = sync();
    assert_eq!(sync.wal_snapshot().await, []);
    let noop = JournalEntry::new(1, CONTROL_STREAM, REMOTE, 10, 0, OpKind::Noop, vec![]);
    sync.apply_batch(&batch(vec![noop]), &[]).await;
    let run = (1..=2).map(|seq| write(REMOTE, seq, 10 * seq)).collect();
    sync.apply_batch(&batch(run), &[write(LOCAL, 9, 5)]).await;
    let expected = [
        ReplicationCursor::new(REMOTE, shard_of(INODE), 2),
        ReplicationCursor::new(REMOTE, CONTROL_STREAM, 1),
    ];
    assert_eq!(sync.wal_snapshot().await, expected);
}

#[tokio::test]
async fn one_detector_is_shared_by_all_who_ask() {
    let sync = sync();
    let held = sync.detector();
    sync.apply_batch(&batch(vec![write(REMOTE, 1, 10)]), &[write(LOCAL, 1, 11)])
        .await;
    assert_eq!(held.conflict_count().await, 1);
    assert!(Arc::ptr_eq(&held, &sync.detector()));
}
