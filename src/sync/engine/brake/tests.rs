//! Two engines over real files: a mass deletion of one is held at the other until it is resumed.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::daemon::tasks::errors;
use crate::disk::RealDisk;
use crate::journal::LogOptions;
use crate::journal::op::{Attr, Change, Name, Place};
use crate::sync::engine::Retention;
use crate::sync::port::{LocalOp, LocalTxn, Round};

const RULES: BrakeRules = BrakeRules {
    percent: 50,
    files_min: 10,
    window_us: 60_000_000,
};

struct Site {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    id: u64,
    engine: Engine,
}

fn open(dir: &std::path::Path, clock: &Arc<ManualClock>, id: u64) -> Engine {
    let config = EngineConfig {
        dir: dir.to_owned(),
        disk: RealDisk::shared(),
        clock: clock.clone(),
        log: LogOptions::default(),
        site_id: id,
        incarnation: id << 48 | 7,
        applies: true,
        sends: true,
        retention: Retention::default(),
        accept_clock: false,
        reclaim: None,
    };
    Engine::open(config).unwrap().with_brake(RULES)
}

impl Site {
    fn new(id: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(1_000_000_000);
        Self {
            engine: open(folder.path(), &clock, id),
            folder,
            clock,
            id,
        }
    }

    /// Stops without a commit and starts again.
    fn crash(&mut self) {
        self.engine.open = None;
        self.engine = open(self.folder.path(), &self.clock, self.id);
    }

    fn submit(&mut self, inode: u64, change: Change) {
        self.clock.advance(Duration::from_micros(10));
        let op = LocalOp {
            inode,
            link: inode,
            change,
            back_date_us: None,
            device: None,
        };
        self.engine.submit(&[LocalTxn { ops: vec![op] }]).unwrap();
    }

    fn create(&mut self, count: usize) -> Vec<(u64, Place)> {
        let mut files = Vec::new();
        for _ in 0..count {
            let inode = self.engine.mint().unwrap();
            let place = Place {
                parent: ROOT_INODE,
                name: Name::new(inode.to_string().into_bytes()).unwrap(),
            };
            let attr = Attr::default();
            let born = place.clone();
            self.submit(inode, Change::Create { place: born, attr });
            files.push((inode, place));
        }
        files
    }

    fn unlink(&mut self, files: &[(u64, Place)]) {
        for (inode, place) in files {
            let place = place.clone();
            self.submit(*inode, Change::Unlink { place, dir: false });
        }
    }

    fn send_to(&mut self, other: &mut Self) {
        let actor = self.engine.actor().unwrap();
        let progress = other.engine.progress(actor).unwrap();
        let cursors = progress.iter().map(|one| (one.stream, one.received));
        let (mut reader, _) = self.engine.batches(cursors.collect()).unwrap();
        while let Some((batches, mark)) = reader.next_frame(1 << 20, 4_096).unwrap() {
            let arrived = other.engine.receive(actor, &batches, mark).unwrap();
            assert_eq!(arrived.refusal, None);
        }
    }

    /// Applies what there is; returns how many images that were, and how many files are shown.
    fn apply(&mut self) -> (usize, usize) {
        let images = self.engine.work(1_000).unwrap();
        let count = images.len();
        let outcomes = images.into_iter().map(|image| (image, Outcome::Applied));
        let round = Round {
            outcomes: outcomes.collect(),
            ..Round::default()
        };
        self.engine.done(round).unwrap();
        (
            count,
            self.engine.applied_entries(ROOT_INODE).unwrap().len(),
        )
    }
}

/// A has 20 files, B shows them.
fn pair() -> (Site, Site, Vec<(u64, Place)>) {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let files = a.create(20);
    a.send_to(&mut b);
    assert_eq!(b.apply(), (20, 20));
    (a, b, files)
}

#[test]
fn a_mass_deletion_is_held_before_the_first_file_goes_and_goes_on_when_it_is_confirmed() {
    let _expected = errors::expects("deletes suspiciously much");
    let (mut a, mut b, files) = pair();
    a.unlink(&files[..11]);
    a.create(1);
    a.send_to(&mut b);
    assert_eq!(b.apply(), (0, 20), "what it created is held too");
    let held = b.engine.status().unwrap().held;
    assert_eq!((held[&1].removed, held[&1].files), (11, 20));
    let actor = a.engine.actor().unwrap();
    let merged = b.engine.progress(actor).unwrap();
    assert!(
        merged.iter().all(|one| one.merged == one.received),
        "merging goes on"
    );
    assert!(b.engine.resume(1).unwrap());
    assert!(!b.engine.resume(1).unwrap(), "once");
    assert_eq!(b.apply(), (12, 10));
    assert_eq!(b.engine.held().unwrap(), BTreeMap::new());
}

#[test]
fn deletions_of_half_a_tree_and_of_a_small_tree_are_not_held() {
    let (mut a, mut b, files) = pair();
    a.unlink(&files[..10]);
    a.send_to(&mut b);
    assert_eq!(b.apply(), (10, 10));
    b.clock.advance(Duration::from_secs(61));
    a.unlink(&files[10..11]);
    a.send_to(&mut b);
    b.apply();
    b.clock.advance(Duration::from_secs(61));
    a.unlink(&files[11..]);
    a.send_to(&mut b);
    assert_eq!(b.apply(), (9, 0), "nine files are no tree to look at");
}

#[test]
fn deletions_that_arrive_in_parts_add_up() {
    let _expected = errors::expects("deletes suspiciously much");
    let (mut a, mut b, files) = pair();
    for (nth, part) in files.chunks(4).enumerate() {
        a.unlink(part);
        a.send_to(&mut b);
        b.clock.advance(Duration::from_secs(1));
        let (_, shown) = b.apply();
        assert_eq!(shown, if nth < 2 { 16 - 4 * nth } else { 12 }, "part {nth}");
    }
    assert_eq!(b.engine.held().unwrap()[&1].removed, 12);
}

#[test]
fn a_hold_and_a_confirmation_outlive_a_restart() {
    let _expected = errors::expects("deletes suspiciously much");
    let (mut a, mut b, files) = pair();
    a.unlink(&files);
    a.send_to(&mut b);
    assert_eq!(b.apply(), (0, 20));
    b.crash();
    assert!(b.engine.held().unwrap().contains_key(&1));
    assert_eq!(b.apply(), (0, 20));
    assert!(b.engine.resume(1).unwrap());
    b.crash();
    assert_eq!(b.engine.held().unwrap(), BTreeMap::new());
    assert_eq!(b.apply(), (20, 0));
}

#[test]
fn other_sites_go_on_while_one_is_held_but_for_what_stands_in_its_new_directories() {
    let _expected = errors::expects("deletes suspiciously much");
    let (mut a, mut b, files) = pair();
    let mut c = Site::new(3);
    a.unlink(&files);
    let dir = a.engine.mint().unwrap();
    let place = Place {
        parent: ROOT_INODE,
        name: Name::new(&b"d"[..]).unwrap(),
    };
    let attr = Attr::default();
    a.submit(dir, Change::MkDir { place, attr });
    a.send_to(&mut b);
    a.send_to(&mut c);
    c.apply();
    let inside = c.engine.mint().unwrap();
    let place = Place {
        parent: dir,
        name: Name::new(&b"f"[..]).unwrap(),
    };
    c.submit(inside, Change::Create { place, attr });
    c.create(1);
    c.send_to(&mut b);
    assert_eq!(b.apply(), (1, 21));
    b.engine.resume(1).unwrap();
    assert_eq!(b.apply().0, 22);
}
