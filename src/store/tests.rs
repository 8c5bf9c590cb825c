//! The store on disk and the state in memory are one and the same to the merge: the same random entries lead to the
//! same images, conflicts and work, across commits and reopening.

use proptest::prelude::*;

use super::*;
use crate::disk::RealDisk;
use crate::journal::dot::{CONTROL_STREAM, ROOT_INODE};
use crate::journal::op::{Attr, Change, Content, ManifestRoot, MemberState, Owner, Place};
use crate::journal::{EntryBatch, SeenRun};
use crate::sync::author::Authored;
use crate::sync::core::Core;
use crate::sync::port::{LocalOp, LocalTxn, Outcome};
use crate::sync::state::MemState;

/// A local operation in small numbers: kind, inode, parent, name.
type Step = (u8, u64, u64, u8);

fn change(step: Step) -> (u64, Change) {
    let (kind, inode, parent, name) = step;
    let inode = (1 << 48) | (inode + 2);
    let parent = if parent == 0 {
        ROOT_INODE
    } else {
        (1 << 48) | (parent + 20)
    };
    let place = Place {
        parent,
        name: Name::new(vec![b'a' + name]).unwrap(),
    };
    let attr = Attr {
        mode: Some(0o644),
        owner: Some(Owner::default()),
        ..Attr::default()
    };
    let content = Content {
        size: 1,
        manifest_root: ManifestRoot([name + 1; 32]),
        ..Content::default()
    };
    match kind {
        0 => (inode, Change::Create { place, attr }),
        1 => (inode + 18, Change::MkDir { place, attr }),
        2 => (
            inode,
            Change::Write {
                content,
                mode: None,
            },
        ),
        3 => (inode, Change::Unlink { place, dir: false }),
        4 => (inode + 18, Change::Unlink { place, dir: true }),
        5 => (
            inode,
            Change::Rename {
                place: Some(place),
                dir: false,
            },
        ),
        6 => (
            inode + 18,
            Change::Rename {
                place: Some(place),
                dir: true,
            },
        ),
        7 => {
            let name = bytes::Bytes::from(vec![b'u', name + 1]);
            (
                inode,
                Change::SetXattr {
                    name,
                    value: bytes::Bytes::from_static(b"v"),
                },
            )
        }
        _ => (
            inode,
            Change::Symlink {
                place,
                attr,
                target: bytes::Bytes::from_static(b"t"),
            },
        ),
    }
}

fn batches(authored: &Authored) -> Vec<EntryBatch> {
    let pairs = authored.entries.iter().zip(&authored.seen);
    pairs
        .map(|(entry, seen)| {
            let mut batch = EntryBatch::new(entry.site_id, vec![entry.clone()], 1);
            batch.seen_runs = vec![SeenRun {
                first_seq: entry.seq,
                seen: seen.clone(),
            }];
            batch
        })
        .collect()
}

/// Everything that the merge would do or show next.
fn summary<S: State>(core: &mut Core<S>) -> String {
    core.settle(u64::MAX, 9).unwrap();
    let images = core.work(1_000).unwrap();
    let conflicts = core.state().conflicts().unwrap();
    let moves = core.state().dir_moves_after(LwwKey::default()).unwrap();
    let root = core.state().children_of(ROOT_INODE).unwrap();
    let counts = core.state().conflict_counts().unwrap();
    format!("{images:?}\n{conflicts:?}\n{moves:?}\n{root:?}\n{counts:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn store_and_memory_hold_the_same_state(
        steps in proptest::collection::vec(((0u8..9, 0u64..6, 0u64..5, 0u8..3), any::<bool>(), 0u8..6), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let (here, there) = (Actor::new(1, 11), Actor::new(2, 22));
        let mut memory = Core::new(here, MemState::default(), 0);
        let mut disk = Core::new(here, Store::open(&RealDisk::shared(), &path).unwrap(), 0);
        let mut other = Core::new(there, MemState::default(), 0);
        for (at, (step, remote, event)) in (1u64..).zip(steps) {
            let (inode, change) = change(step);
            let op = LocalOp { inode, link: inode, change, back_date_us: None, device: None };
            let txn = LocalTxn { ops: vec![op] };
            if remote {
                for batch in batches(&other.author(&txn, at * 100).unwrap()) {
                    memory.merge_batch(&batch, at).unwrap();
                    disk.merge_batch(&batch, at).unwrap();
                }
            } else {
                let authored = memory.author(&txn, at * 100).unwrap();
                prop_assert_eq!(&authored, &disk.author(&txn, at * 100).unwrap());
                for batch in batches(&authored).iter().filter(|_| event > 2) {
                    other.merge_batch(batch, at).unwrap();
                }
            }
            if event == 1 {
                disk.state_mut().commit().unwrap();
            }
            if event == 3 {
                for record in memory.state().conflicts().unwrap() {
                    let ack = ack(record.loser.dot().actor, at, at % 2 == 0);
                    memory.state_mut().set_ack(record.id, &ack).unwrap();
                    disk.state_mut().set_ack(record.id, &ack).unwrap();
                }
            }
            if event == 2 {
                let images = memory.work(3).unwrap();
                prop_assert_eq!(&images, &disk.work(3).unwrap());
                for image in images {
                    memory.done(image.clone(), Outcome::Applied).unwrap();
                    disk.done(image, Outcome::Applied).unwrap();
                }
            }
        }
        let expected = summary(&mut memory);
        prop_assert_eq!(&expected, &summary(&mut disk));
        disk.state_mut().commit().unwrap();
        let last = disk.clock().last_us();
        drop(disk);
        let mut reopened = Core::new(here, Store::open(&RealDisk::shared(), &path).unwrap(), last);
        prop_assert_eq!(&expected, &summary(&mut reopened));
    }
}

fn ack(actor: Actor, stamp: u64, acked: bool) -> Ack {
    Ack {
        at_us: 1,
        by: "ana".to_owned(),
        note: "seen".to_owned(),
        key: LwwKey::new(
            stamp,
            crate::journal::Dot::new(actor, CONTROL_STREAM, stamp),
        ),
        acked,
    }
}

#[test]
fn a_store_without_counters_counts_its_conflicts_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let (one, two) = (Actor::new(1, 11), Actor::new(2, 22));
    let mut here = Core::new(one, Store::open(&RealDisk::shared(), &path).unwrap(), 0);
    let mut there = Core::new(two, MemState::default(), 0);
    for (at, name) in [(1, 0), (2, 1)] {
        let (inode, change) = change((2, at, 0, name));
        let op = |change: &Change| LocalOp {
            inode,
            link: inode,
            change: change.clone(),
            back_date_us: None,
            device: None,
        };
        let txn = |change: &Change| LocalTxn {
            ops: vec![op(change)],
        };
        here.author(&txn(&change), at * 100).unwrap();
        for batch in batches(&there.author(&txn(&change), at * 100 + 1).unwrap()) {
            here.merge_batch(&batch, at).unwrap();
        }
    }
    let counts = here.state().conflict_counts().unwrap();
    assert!(counts.0 >= 2, "{counts:?}");
    let store = here.state_mut();
    store.remove_number("conflicts/counted");
    store.set_number("conflicts/open", 77);
    store.commit().unwrap();
    drop(here);
    assert_eq!(
        Store::open(&RealDisk::shared(), &path)
            .unwrap()
            .conflict_counts()
            .unwrap(),
        counts
    );
}

#[test]
fn numbers_cursors_devices_and_acks_survive_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let actor = Actor::new(3, 7);
    let device = DeviceImage {
        ino: 12,
        btime: FileTime {
            seconds: -1,
            nanos: 5,
        },
        size: 9,
        ..DeviceImage::default()
    };
    let ack = ack(actor, 5, true);
    let member = MemberRecord {
        name: "fra".to_owned(),
        state: MemberState::Fenced,
        key: ack.key,
        founder: true,
    };
    let mut store = Store::open(&RealDisk::shared(), &path).unwrap();
    store.set_number("journal", 77);
    store.set_cursor(actor, 4, 9).unwrap();
    store.set_device(5, Some(device)).unwrap();
    store.set_parked(5, Some("permission denied")).unwrap();
    store.set_ack(ConflictId([1; 32]), &ack).unwrap();
    store.set_member(actor, &member).unwrap();
    store.set_number("member/3/incarnation", 7);
    store.commit().unwrap();
    drop(store);
    let mut store = Store::open(&RealDisk::shared(), &path).unwrap();
    assert_eq!(store.number("journal").unwrap(), 77);
    assert_eq!(store.cursors(4).unwrap().get(actor), 9);
    assert_eq!(store.inode_of(12, device.btime).unwrap(), Some(5));
    assert_eq!(store.device(5).unwrap(), Some(device));
    assert_eq!(
        store.all_parked().unwrap(),
        [(5, "permission denied".to_owned())]
    );
    assert_eq!(store.ack(ConflictId([1; 32])).unwrap(), Some(ack));
    assert_eq!(store.member(actor).unwrap().as_ref(), Some(&member));
    assert_eq!(store.members().unwrap(), [(actor, member)]);
    let numbers = store.numbers("member/3/").unwrap();
    assert_eq!(numbers, [("incarnation".to_owned(), 7)]);
    store.remove_number("member/3/incarnation");
    assert!(store.numbers("member/").unwrap().is_empty());
    store.set_device(5, None).unwrap();
    assert_eq!(store.inode_of(12, device.btime).unwrap(), None);
}

#[test]
fn parked_inodes_are_not_walked_over_and_come_back_in_their_order() {
    fn check(state: &mut impl State) {
        for (inode, order) in [(1, 30), (2, 10), (3, 20)] {
            state.set_dirty(inode, Some(order)).unwrap();
        }
        state.set_parked(2, Some("waits")).unwrap();
        state.set_parked(9, Some("never marked")).unwrap();
        assert_eq!(state.dirty_after(None, 9).unwrap(), [(20, 3), (30, 1)]);
        // It changes while it is parked.
        state.set_dirty(2, Some(25)).unwrap();
        assert_eq!(state.dirty_after(None, 9).unwrap(), [(20, 3), (30, 1)]);
        assert!(state.is_dirty(2).unwrap());
        state.set_parked(2, None).unwrap();
        state.set_parked(9, None).unwrap();
        let all = [(20, 3), (25, 2), (30, 1)];
        assert_eq!(state.dirty_after(None, 9).unwrap(), all);
        state.set_parked(3, Some("waits")).unwrap();
        state.set_dirty(3, None).unwrap();
        state.set_parked(3, None).unwrap();
        assert_eq!(state.dirty_after(None, 9).unwrap(), [(25, 2), (30, 1)]);
    }
    check(&mut MemState::default());
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&RealDisk::shared(), &dir.path().join("state")).unwrap();
    check(&mut store);
    store.commit().unwrap();
    assert_eq!(store.dirty_after(None, 9).unwrap(), [(25, 2), (30, 1)]);
}

#[test]
fn suspects_come_by_their_clock_and_no_further_than_asked() {
    fn check(state: &mut impl State) {
        for (inode, order) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            state.set_suspect(inode, Some(order)).unwrap();
        }
        assert_eq!(state.suspects(20, 9).unwrap(), [2, 4, 3]);
        assert_eq!(state.suspects(20, 1).unwrap(), [2]);
        // Put off until later, and settled.
        state.set_suspect(2, Some(40)).unwrap();
        state.set_suspect(4, None).unwrap();
        assert_eq!(state.suspects(39, 9).unwrap(), [3, 1]);
        assert_eq!(state.suspects(40, 9).unwrap(), [3, 1, 2]);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&RealDisk::shared(), &folder.path().join("state.redb")).unwrap();
    check(&mut store);
    store.commit().unwrap();
    assert_eq!(store.suspects(40, 9).unwrap(), [3, 1, 2]);
    check(&mut MemState::default());
}
