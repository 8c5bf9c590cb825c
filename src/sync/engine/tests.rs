//! Two engines over real files, without conduit and connector: what one journals the other shows, whatever is
//! dropped in between.

use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;
use crate::content::CONTENT_GONE;
use crate::disk::RealDisk;
use crate::error::ReplError;
use crate::journal::op::{Attr, Content, ManifestRoot, Place};
use crate::journal::{EntryBatch, SeenRun};
use crate::sync::port::LocalOp;

mod deep;
mod hostile;
mod reclaim;
mod retention;
mod room;
mod takeover;
mod time;

struct Site {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    site_id: u64,
    retention: Retention,
    reclaim: Option<Reclaim>,
    engine: Engine,
}

impl Site {
    fn new(site_id: u64) -> Self {
        Self::keeping(site_id, Retention::default())
    }

    fn keeping(site_id: u64, retention: Retention) -> Self {
        Self::with(site_id, retention, None)
    }

    fn with(site_id: u64, retention: Retention, reclaim: Option<Reclaim>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(1_000_000_000);
        let mut config = config(folder.path(), &clock, site_id);
        (config.retention, config.reclaim) = (retention.clone(), reclaim);
        Self {
            folder,
            clock,
            site_id,
            retention,
            reclaim,
            engine: Engine::open(config).unwrap(),
        }
    }

    /// Drops everything that was not committed, as a crash would.
    fn crash(&mut self) {
        self.engine = self.reopened().unwrap();
    }

    fn reopened(&mut self) -> Result<Engine> {
        self.engine.open = None;
        let mut config = config(self.folder.path(), &self.clock, self.site_id);
        (config.retention, config.reclaim) = (self.retention.clone(), self.reclaim);
        Engine::open(config)
    }

    fn create(&mut self, name: &str, root: u8) -> u64 {
        let inode = self.engine.mint().unwrap();
        let place = Place {
            parent: ROOT_INODE,
            name: Name::new(name.as_bytes().to_vec()).unwrap(),
        };
        let attr = Attr {
            mode: Some(0o644),
            ..Attr::default()
        };
        let create = self.op(inode, Change::Create { place, attr });
        let write = self.write_op(inode, root);
        self.engine
            .submit(&[LocalTxn {
                ops: vec![create, write],
            }])
            .unwrap();
        inode
    }

    fn write(&mut self, inode: u64, root: u8) {
        let write = self.write_op(inode, root);
        self.engine
            .submit(&[LocalTxn { ops: vec![write] }])
            .unwrap();
    }

    fn write_op(&mut self, inode: u64, root: u8) -> LocalOp {
        let manifest_root = ManifestRoot([root; 32]);
        let content = Content {
            size: 1,
            manifest_root,
            ..Content::default()
        };
        self.op(
            inode,
            Change::Write {
                content,
                mode: None,
            },
        )
    }

    fn op(&self, inode: u64, change: Change) -> LocalOp {
        self.clock.advance(Duration::from_micros(10));
        let device = DeviceImage {
            ino: inode & 0xFFFF,
            size: 1,
            ..DeviceImage::default()
        };
        LocalOp {
            inode,
            link: inode,
            change,
            back_date_us: None,
            device: Some(device),
        }
    }

    /// Everything behind what `other` received, as one frame.
    fn frame_for(&mut self, other: &mut Self) -> Option<(Vec<EntryBatch>, u64)> {
        let actor = self.engine.actor().unwrap();
        let progress = other.engine.progress(actor).unwrap();
        let cursors = progress
            .into_iter()
            .map(|one| (one.stream, one.received))
            .collect();
        let (mut reader, _) = self.engine.batches(cursors).unwrap();
        reader.next_frame(1 << 20, 1_000).unwrap()
    }

    fn send_to(&mut self, other: &mut Self) {
        let actor = self.engine.actor().unwrap();
        if let Some((batches, mark)) = self.frame_for(other) {
            let arrived = other.engine.receive(actor, &batches, mark).unwrap();
            assert_eq!(arrived.refusal, None);
        }
    }

    fn apply_all(&mut self) -> Vec<u64> {
        let images = self.engine.work(1_000).unwrap();
        let inodes = images.iter().map(|image| image.inode).collect();
        let outcomes = images
            .into_iter()
            .map(|image| (image, Outcome::Applied))
            .collect();
        let round = Round {
            outcomes,
            ..Round::default()
        };
        self.engine.done(round).unwrap();
        inodes
    }

    fn root_of(&mut self, inode: u64) -> Option<u8> {
        let content = self.engine.applied(inode).unwrap()?.content?;
        Some(content.value.manifest_root.0[0])
    }
}

fn config(dir: &std::path::Path, clock: &Arc<ManualClock>, site_id: u64) -> EngineConfig {
    let log = LogOptions {
        segment_bytes: 64 * 1024,
        ..LogOptions::default()
    };
    EngineConfig {
        dir: dir.to_owned(),
        disk: RealDisk::shared(),
        clock: clock.clone(),
        log,
        site_id,
        incarnation: site_id << 48 | 0xABCD,
        applies: true,
        sends: true,
        retention: Retention::default(),
        accept_clock: false,
        reclaim: None,
    }
}

#[test]
fn numbers_that_were_given_out_are_not_given_out_again_when_the_engine_is_opened_anew() {
    let mut site = Site::new(1);
    let first = site.engine.mint().unwrap();
    let failed = site.engine.with(|_, _| Err::<(), _>(ReplError::Shutdown));
    assert!(failed.is_err());
    assert!(site.engine.open.is_none());
    assert_ne!(site.engine.mint().unwrap(), first);
}

#[test]
fn what_one_site_journals_the_other_shows_and_receipts() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 7);
    a.send_to(&mut b);
    let actor = a.engine.actor().unwrap();
    let progress = b.engine.progress(actor).unwrap();
    assert_eq!(
        (
            progress[0].received,
            progress[0].merged,
            progress[0].applied
        ),
        (2, 2, 0)
    );
    assert_eq!(b.apply_all(), [inode]);
    assert_eq!(b.engine.progress(actor).unwrap()[0].applied, 2);
    assert_eq!(b.root_of(inode), Some(7));
    assert!(b.engine.applied_mark(actor).unwrap().is_some());
}

#[test]
fn a_crash_loses_nothing_that_was_journaled_received_or_applied() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let first = a.create("f", 1);
    a.send_to(&mut b);
    b.apply_all();
    let second = a.create("g", 2);
    a.send_to(&mut b);
    a.crash();
    b.crash();
    assert_eq!(a.root_of(second), Some(2));
    assert_eq!(
        a.engine
            .inode_of(second & 0xFFFF, FileTime::default())
            .unwrap(),
        Some(second)
    );
    assert_eq!(b.root_of(first), Some(1));
    assert_eq!(b.apply_all(), [second]);
    assert_ne!(
        a.engine.mint().unwrap(),
        second,
        "a journaled inode is given out again"
    );
    assert_eq!(a.frame_for(&mut b), None);
}

#[test]
fn concurrent_writes_get_one_winner_and_one_record_on_both_sites() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 1);
    a.send_to(&mut b);
    b.apply_all();
    a.write(inode, 2);
    b.clock.advance(Duration::from_secs(1));
    b.write(inode, 3);
    a.send_to(&mut b);
    b.send_to(&mut a);
    a.apply_all();
    b.apply_all();
    assert_eq!((a.root_of(inode), b.root_of(inode)), (Some(3), Some(3)));
    let ids = |site: &mut Site| -> Vec<_> {
        site.engine
            .conflicts()
            .unwrap()
            .into_iter()
            .map(|(record, _)| record.id)
            .collect()
    };
    assert_eq!(ids(&mut a).len(), 1);
    assert_eq!(ids(&mut a), ids(&mut b));
}

#[test]
fn frames_that_break_a_rule_are_refused_and_nothing_of_them_is_kept() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 1);
    let actor = a.engine.actor().unwrap();
    let (batches, _) = a.frame_for(&mut b).unwrap();
    a.write(inode, 2);

    let mut forged = batches.clone();
    let mut run = SeenRun {
        first_seq: 1,
        ..SeenRun::default()
    };
    run.seen.set(b.engine.actor().unwrap(), 99);
    forged[0].seen_runs = vec![run];
    let refusal = b.engine.receive(actor, &forged, 1).unwrap().refusal;
    assert!(matches!(refusal, Some(Refusal::Invalid { detail, .. }) if detail.contains("claims")));

    let mut gap = batches.clone();
    (gap[0].first, gap[0].entries) = (2, gap[0].entries.split_off(1));
    gap[0].seen_runs.clear();
    let refusal = b.engine.receive(actor, &gap, 1).unwrap().refusal;
    assert!(
        matches!(refusal, Some(Refusal::Gap { received: 0, .. })),
        "{refusal:?}"
    );

    let mut future = batches.clone();
    for entry in &mut future[0].entries {
        entry.timestamp_us += 86_400_000_000;
        entry.crc32 = entry.compute_crc();
    }
    let refusal = b.engine.receive(actor, &future, 1).unwrap().refusal;
    assert!(matches!(refusal, Some(Refusal::Hold { .. })), "{refusal:?}");

    let other = Actor::new(9, 9);
    let refusal = b.engine.receive(other, &batches, 1).unwrap().refusal;
    assert!(matches!(refusal, Some(Refusal::Invalid { detail, .. }) if detail.contains("sent by")));
    assert!(b.engine.work(10).unwrap().is_empty());

    assert_eq!(b.engine.receive(actor, &batches, 1).unwrap().refusal, None);
    let mut forked = a.frame_for(&mut b).unwrap().0;
    forked[0].chain_prev = [9; 32];
    let refusal = b.engine.receive(actor, &forked, 1).unwrap().refusal;
    assert!(matches!(refusal, Some(Refusal::Fork { .. })), "{refusal:?}");
}

#[test]
fn an_acknowledgement_shows_at_every_site_and_survives_a_crash() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 1);
    a.send_to(&mut b);
    b.apply_all();
    a.write(inode, 2);
    b.clock.advance(Duration::from_secs(1));
    b.write(inode, 3);
    a.send_to(&mut b);
    b.send_to(&mut a);
    let id = b.engine.conflicts().unwrap()[0].0.id;
    let ack = b
        .engine
        .acknowledge(&[id], true, "right so", "ana")
        .unwrap()
        .remove(0);
    assert_eq!((ack.acked, ack.by.as_str()), (true, "ana"));
    b.send_to(&mut a);
    for site in [&mut a, &mut b] {
        site.crash();
        assert_eq!(site.engine.ack(id).unwrap().as_ref(), Some(&ack));
        let status = site.engine.status().unwrap();
        assert_eq!((status.open_conflicts, status.conflicts), (0, 1));
        let kept = (inode, ManifestRoot([2; 32]));
        assert_eq!(site.engine.claims(vec![kept]).unwrap(), [Claim::Settled]);
    }
}

/// B takes the image of `inode` and cannot show it for `reason`.
fn put_off(site: &mut Site, inode: u64, reason: &str) {
    let images = site.engine.work(10).unwrap();
    assert_eq!(images.iter().map(|i| i.inode).collect::<Vec<_>>(), [inode]);
    let reason = reason.to_owned();
    let outcomes = images
        .into_iter()
        .map(|image| {
            let reason = reason.clone();
            (image, Outcome::Parked { reason })
        })
        .collect();
    let round = Round {
        outcomes,
        ..Round::default()
    };
    site.engine.done(round).unwrap();
}

fn lost_records(site: &mut Site) -> Vec<bool> {
    let records = site.engine.conflicts().unwrap().into_iter();
    let lost = records.filter(|(record, _)| record.kind.word() == "content_lost");
    lost.map(|(record, _)| record.superseded).collect()
}

#[test]
fn bytes_on_their_way_are_outstanding_and_no_fault() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 7);
    a.send_to(&mut b);
    put_off(&mut b, inode, WAITS_FOR_CONTENT);
    for _ in 0..2 {
        let actor = a.engine.actor().unwrap();
        let progress = b.engine.progress(actor).unwrap();
        assert_eq!((progress[0].applied, progress[0].parked_count), (0, 0));
        let status = b.engine.status().unwrap();
        assert_eq!((status.parked.len(), status.fetching), (0, 1));
        b.engine.close().unwrap();
        b.crash();
    }
}

#[test]
fn a_version_replaced_before_it_was_fetched_is_owed_no_more_and_the_newer_one_is_shown() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 7);
    a.send_to(&mut b);
    put_off(&mut b, inode, WAITS_FOR_NEWER);
    let actor = a.engine.actor().unwrap();
    for _ in 0..2 {
        let progress = b.engine.progress(actor).unwrap();
        assert_eq!((progress[0].applied, progress[0].parked_count), (2, 0));
        let status = b.engine.status().unwrap();
        assert_eq!((status.parked.len(), status.overtaken), (0, 1));
        assert_eq!(b.engine.work(10).unwrap(), []);
        b.engine.close().unwrap();
        b.crash();
    }
    a.write(inode, 8);
    a.send_to(&mut b);
    assert_eq!(b.engine.progress(actor).unwrap()[0].applied, 2);
    assert_eq!(b.apply_all(), [inode], "without a retry in between");
    assert_eq!(b.root_of(inode), Some(8));
    let status = b.engine.status().unwrap();
    assert_eq!((status.overtaken, status.conflicts), (0, 0));
    assert_eq!(b.engine.progress(actor).unwrap()[0].applied, 3);
}

#[test]
fn bytes_that_are_gone_are_recorded_once_and_a_newer_version_settles_that() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 7);
    a.send_to(&mut b);
    for _ in 0..2 {
        put_off(&mut b, inode, CONTENT_GONE);
        assert_eq!(lost_records(&mut b), [false]);
        assert_eq!(b.engine.status().unwrap().parked.len(), 1);
        b.engine.retry_parked().unwrap();
    }
    a.write(inode, 8);
    a.send_to(&mut b);
    assert_eq!(lost_records(&mut b), [true]);
    assert_eq!(b.apply_all(), [inode]);
}

#[test]
fn bytes_that_turn_up_again_settle_the_record_of_their_loss() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 7);
    a.send_to(&mut b);
    put_off(&mut b, inode, CONTENT_GONE);
    b.engine.retry_parked().unwrap();
    assert_eq!(b.apply_all(), [inode]);
    assert_eq!(lost_records(&mut b), [true]);
}

#[test]
fn what_a_site_shows_takes_the_place_of_bytes_that_are_gone() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 7);
    a.send_to(&mut b);
    b.apply_all();
    a.write(inode, 8);
    a.send_to(&mut b);
    let device = DeviceImage {
        size: 1,
        ..DeviceImage::default()
    };
    b.engine.set_device(inode, Some(device)).unwrap();
    put_off(&mut b, inode, CONTENT_GONE);
    assert_eq!(b.engine.status().unwrap().parked, []);
    assert_eq!(
        (b.root_of(inode), b.engine.work(10).unwrap()),
        (Some(7), vec![])
    );
    // As a change of its own, which survives a stop and reaches the others.
    b.crash();
    assert_eq!(b.root_of(inode), Some(7));
    b.send_to(&mut a);
    assert_eq!(a.apply_all(), [inode]);
    assert_eq!(a.root_of(inode), Some(7));
}

#[test]
fn an_image_that_was_overtaken_while_it_was_staged_is_not_taken_for_lost() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 7);
    a.send_to(&mut b);
    let stale = b.engine.work(10).unwrap().remove(0);
    a.write(inode, 8);
    a.send_to(&mut b);
    for reason in [CONTENT_GONE, WAITS_FOR_NEWER, WAITS_FOR_CONTENT] {
        let reason = reason.to_owned();
        let outcome = (stale.clone(), Outcome::Parked { reason });
        let round = Round {
            outcomes: vec![outcome],
            ..Round::default()
        };
        b.engine.done(round).unwrap();
        assert_eq!(b.engine.work(10).unwrap().len(), 1);
    }
    assert_eq!(b.engine.conflicts().unwrap(), []);
    b.apply_all();
    assert_eq!(b.root_of(inode), Some(8));
}

#[test]
fn what_took_the_place_of_a_version_is_told_and_a_loser_still_counts() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 7);
    let dot_of = |site: &mut Site| {
        let image = site.engine.applied(inode).unwrap().unwrap();
        image.content.unwrap().dot
    };
    let first = dot_of(&mut a);
    assert_eq!(a.engine.fate(inode, first).unwrap(), Fate::Counts);
    assert_eq!(b.engine.fate(inode, first).unwrap(), Fate::Unknown);
    a.send_to(&mut b);
    b.apply_all();
    // Both write without having seen the other: the later one wins, and the other one still counts.
    a.write(inode, 8);
    let second = dot_of(&mut a);
    b.clock.advance(Duration::from_secs(1));
    b.write(inode, 9);
    let third = dot_of(&mut b);
    a.send_to(&mut b);
    let superseded = Fate::Superseded { by: third };
    assert_eq!(b.engine.fate(inode, first).unwrap(), superseded);
    assert_eq!(b.engine.fate(inode, second).unwrap(), Fate::Counts);
    let kept = |root| (inode, ManifestRoot([root; 32]));
    let claims = b.engine.claims(vec![kept(7), kept(8), kept(9)]).unwrap();
    assert_eq!(claims, [Claim::Nothing, Claim::Open, Claim::Nothing]);
    // B's tree has seen both: its next version and its removal supersede all before.
    b.apply_all();
    b.write(inode, 10);
    let fourth = dot_of(&mut b);
    let superseded = Fate::Superseded { by: fourth };
    assert_eq!(b.engine.fate(inode, second).unwrap(), superseded);
    let place = Place {
        parent: ROOT_INODE,
        name: Name::new(b"f".to_vec()).unwrap(),
    };
    let unlink = b.op(inode, Change::Unlink { place, dir: false });
    b.engine.submit(&[LocalTxn { ops: vec![unlink] }]).unwrap();
    let Fate::Superseded { by } = b.engine.fate(inode, fourth).unwrap() else {
        panic!("a removed version still counts");
    };
    assert_eq!((by.actor, by.seq), (fourth.actor, fourth.seq + 1));
}

#[test]
fn bytes_that_lost_against_a_removal_are_claimed_before_that_is_on_record() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 7);
    a.send_to(&mut b);
    b.apply_all();
    a.write(inode, 8);
    b.clock.advance(Duration::from_secs(1));
    let place = Place {
        parent: ROOT_INODE,
        name: Name::new(b"f".to_vec()).unwrap(),
    };
    let unlink = b.op(inode, Change::Unlink { place, dir: false });
    b.engine.submit(&[LocalTxn { ops: vec![unlink] }]).unwrap();
    // Without the mark that would put it on record.
    let (batches, _) = b.frame_for(&mut a).unwrap();
    let actor = b.engine.actor().unwrap();
    a.engine.receive(actor, &batches, 0).unwrap();
    assert_eq!(a.engine.conflicts().unwrap(), []);
    let kept = (inode, ManifestRoot([8; 32]));
    assert_eq!(a.engine.claims(vec![kept]).unwrap(), [Claim::Open]);
}

#[test]
fn damage_in_what_the_state_was_made_from_is_refused_and_not_cut() {
    let mut a = Site::new(1);
    a.create("f", 1);
    a.engine.close().unwrap();
    a.engine.open = None;
    let mut files = std::fs::read_dir(a.folder.path().join("journal")).unwrap();
    let segment = files.next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&segment).unwrap();
    // The only commit of the only segment: alone, the log could take it for a torn tail.
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let error = Engine::open(config(a.folder.path(), &a.clock, 1)).unwrap_err();
    assert!(
        matches!(&error, ReplError::WalCorrupted { file, .. } if *file == segment),
        "{error}"
    );
    bytes[last] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    Engine::open(config(a.folder.path(), &a.clock, 1)).unwrap();
}

#[test]
fn a_look_that_finds_more_than_one_append_takes_is_journaled_all_the_same() {
    let mut a = Site::new(1);
    let inode = a.create("f", 1);
    let mut txns = Vec::new();
    for nth in 0..4_300u32 {
        let mut op = a.write_op(inode, 1);
        if let Change::Write { content, .. } = &mut op.change {
            let mut bytes = vec![0; 16 << 10];
            bytes[..4].copy_from_slice(&nth.to_le_bytes());
            content.size = bytes.len() as u64;
            content.inline = Some(bytes.into());
        }
        txns.push(LocalTxn { ops: vec![op] });
    }
    a.engine.submit(&txns).unwrap();
    a.crash();
    let heads = a.engine.heads().unwrap();
    assert!(heads.values().sum::<u64>() > 4_300);
}
