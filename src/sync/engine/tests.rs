//! Two engines over real files, without conduit and connector: what one journals the other shows, whatever is
//! dropped in between.

use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;
use crate::disk::RealDisk;
use crate::error::ReplError;
use crate::journal::op::{Attr, Content, ManifestRoot, Place};
use crate::journal::{EntryBatch, SeenRun};
use crate::sync::port::LocalOp;

struct Site {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    site_id: u64,
    engine: Engine,
}

impl Site {
    fn new(site_id: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(1_000_000_000);
        let engine = Engine::open(config(folder.path(), &clock, site_id)).unwrap();
        Self {
            folder,
            clock,
            site_id,
            engine,
        }
    }

    /// Drops everything that was not committed, as a crash would.
    fn crash(&mut self) {
        self.engine.open = None;
        let config = config(self.folder.path(), &self.clock, self.site_id);
        self.engine = Engine::open(config).unwrap();
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
        self.clock.advance(std::time::Duration::from_micros(10));
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
        reader.next_frame(1 << 20, 4_096).unwrap()
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
    }
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
    b.clock.advance(std::time::Duration::from_secs(1));
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
