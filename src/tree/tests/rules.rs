//! Rules that need more than two trees kept equal: partial looks, merged directories, what the disk refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;

use bytes::Bytes;

use super::fake::{Pair, Site};
use crate::content::WAITS_FOR_CONTENT;
use crate::journal::dot::Dot;
use crate::journal::op::{Change, Name, OpKind};
use crate::sync::port::{LocalOp, Versioned};
use crate::tree::diff::{Findings, Reader, Rules, diff};
use crate::tree::scan::Scope;
use crate::tree::walk::Snapshot;

fn dirs(paths: &[&[&str]]) -> Scope {
    let name = |text: &&str| Name::new(text.as_bytes().to_vec()).unwrap();
    let path = |path: &&[&str]| path.iter().map(name).collect::<Vec<_>>();
    Scope::Dirs(paths.iter().map(path).collect::<BTreeSet<_>>())
}

/// What a look finds that saw just this.
fn found_in(site: &mut Site, snapshot: &Snapshot) -> Findings {
    let none = BTreeSet::new();
    let rules = Rules {
        own: &none,
        recheck: &none,
        empty_is_meant: false,
        doubts: false,
    };
    let reader = Reader {
        root: &site.root,
        snapshot,
        policy: &site.policy,
        unready: &BTreeSet::new(),
        now_us: u64::MAX / 2,
        back_date: false,
    };
    let mut found = diff(&mut site.engine, reader, rules).unwrap();
    let mut unread = std::mem::take(&mut found.unread);
    let engine = &mut site.engine;
    reader.piece(engine, &mut unread, &mut found).unwrap();
    found
}

fn kinds(ops: &[LocalOp]) -> Vec<OpKind> {
    ops.iter().map(|op| op.change.kind()).collect()
}

#[test]
fn a_partial_look_sees_a_move_as_a_move_even_if_it_sees_one_end() {
    let mut site = Site::new(1);
    fs::create_dir_all(site.path("a/sub")).unwrap();
    fs::create_dir(site.path("b")).unwrap();
    fs::write(site.path("a/f"), b"x").unwrap();
    fs::write(site.path("a/g"), b"x").unwrap();
    site.scan();
    site.engine.take_ops();
    site.memory.own.clear();
    fs::rename(site.path("a/f"), site.path("b/f")).unwrap();
    site.scan_scope(&dirs(&[&["a"], &["b"]]));
    assert_eq!(kinds(&site.engine.take_ops()), [OpKind::Rename]);
    // Only the end is looked at.
    fs::rename(site.path("a/g"), site.path("b/g")).unwrap();
    site.scan_scope(&dirs(&[&["b"]]));
    assert_eq!(kinds(&site.engine.take_ops()), [OpKind::Rename]);
    // Only the beginning of a directory's move is looked at.
    fs::rename(site.path("a/sub"), site.path("b/sub")).unwrap();
    site.scan_scope(&dirs(&[&["a"]]));
    assert_eq!(kinds(&site.engine.take_ops()), [OpKind::Rename]);
    fs::write(site.path("b/sub/new"), b"n").unwrap();
    site.scan_scope(&dirs(&[&["b", "sub"]]));
    assert_eq!(
        kinds(&site.engine.take_ops()),
        [OpKind::Create, OpKind::Write]
    );
    site.scan();
    assert_eq!(site.engine.take_ops(), []);
}

#[test]
fn a_removed_tree_goes_children_first_and_a_new_one_comes_parents_first() {
    let mut site = Site::new(1);
    fs::create_dir_all(site.path("a/b/c")).unwrap();
    fs::write(site.path("a/b/c/f"), b"x").unwrap();
    site.scan();
    let ops = site.engine.take_ops();
    use OpKind::{Create, MkDir, Unlink, Write};
    assert_eq!(kinds(&ops), [MkDir, MkDir, MkDir, Create, Write]);
    fs::remove_dir_all(site.path("a")).unwrap();
    site.engine.take_ops();
    fs::write(site.path("other"), b"").unwrap();
    site.scan();
    let ops = site.engine.take_ops();
    assert_eq!(
        kinds(&ops).iter().filter(|kind| **kind == Unlink).count(),
        4
    );
    let dirs = ops.iter().filter_map(|op| {
        let Change::Unlink { place, dir: true } = &op.change else {
            return None;
        };
        Some(place.name.as_bytes().to_vec())
    });
    assert_eq!(dirs.collect::<Vec<_>>(), [b"c", b"b", b"a"]);
}

#[test]
fn a_directory_that_is_merged_into_another_keeps_its_place_on_the_disk() {
    let mut site = Site::new(2);
    fs::create_dir(site.path("d")).unwrap();
    fs::write(site.path("d/mine"), b"mine").unwrap();
    site.scan();
    let ops = site.engine.take_ops();
    let (dir, file) = (ops[0].inode, ops[1].inode);
    let before = fs::metadata(site.path("d")).unwrap().ino();
    let smaller = (1 << 48) + 1;
    {
        let mut state = site.engine.0.lock().unwrap();
        let mut absorbed = state.merged[&dir].clone();
        let mut representative = absorbed.clone();
        representative.inode = smaller;
        representative.links[0].link = smaller;
        absorbed.links = representative.links.clone();
        absorbed.merged_into = Some(smaller);
        let mut child = state.merged[&file].clone();
        child.links[0].parent = smaller;
        state.merged = BTreeMap::from([(dir, absorbed), (smaller, representative), (file, child)]);
    }
    let report = site.apply();
    assert_eq!((report.applied, report.steps), (3, 0), "{report:?}");
    assert_eq!(fs::metadata(site.path("d")).unwrap().ino(), before);
    assert_eq!(fs::read(site.path("d/mine")).unwrap(), b"mine");
    site.scan();
    assert_eq!(site.engine.take_ops(), [], "no echo");
    fs::write(site.path("d/later"), b"").unwrap();
    site.scan();
    let ops = site.engine.take_ops();
    assert!(matches!(&ops[0].change, Change::Create { place, .. } if place.parent == smaller));
}

#[test]
fn what_the_disk_refuses_parks_one_inode_and_the_rest_goes_on() {
    let mut pair = Pair::new();
    for name in ["big-xattr", "fine"] {
        fs::write(pair.a.path(name), b"x").unwrap();
    }
    pair.a.scan();
    let inode = pair.a.engine.take_ops()[0].inode;
    pair.b.engine.pull(&pair.a.engine);
    {
        let mut state = pair.b.engine.0.lock().unwrap();
        let image = state.merged.get_mut(&inode).unwrap();
        let value = Bytes::from(vec![7; 60_000]);
        let dot = Dot::default();
        image
            .xattrs
            .insert(Bytes::from_static(b"user.big"), Versioned { dot, value });
    }
    let report = pair.b.apply();
    assert_eq!(
        (report.applied, report.parked.len(), report.no_space),
        (1, 1, false)
    );
    assert!(report.parked[0].1.contains("No space"), "{report:?}");
    let staging = fs::read_dir(pair.b.path(".cfs-repl/staging")).unwrap();
    assert_eq!(staging.count(), 0);
}

#[test]
fn content_that_is_not_here_yet_is_waited_for_and_leaves_nothing_in_staging() {
    let mut pair = Pair::new();
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(pair.a.path("f"), &bytes).unwrap();
    pair.a.scan();
    pair.b.engine.pull(&pair.a.engine);
    let empty = tempfile::tempdir().unwrap();
    pair.b.source.other = empty.path().to_owned();
    let report = pair.b.apply();
    assert_eq!(report.parked[0].1, WAITS_FOR_CONTENT);
    pair.b.source.other = pair.a.dir.path().to_owned();
    crate::sync::port::Engine::retry_parked(&mut pair.b.engine).unwrap();
    assert_eq!(pair.b.apply().applied, 1);
    pair.assert_equal();
}

#[test]
fn bytes_with_another_hash_are_refused() {
    let mut pair = Pair::new();
    fs::write(pair.a.path("f"), b"honest").unwrap();
    pair.a.scan();
    let inode = pair.a.engine.take_ops()[0].inode;
    pair.b.engine.pull(&pair.a.engine);
    {
        let mut state = pair.b.engine.0.lock().unwrap();
        let image = state.merged.get_mut(&inode).unwrap();
        image.content.as_mut().unwrap().value.inline = Some(Bytes::from_static(b"forged"));
    }
    let report = pair.b.apply();
    assert!(report.parked[0].1.contains("do not hash"), "{report:?}");
    assert!(!pair.b.path("f").exists());
}

#[test]
fn a_file_that_came_from_outside_the_tree_and_back_is_the_same_file() {
    let mut site = Site::new(1);
    let outside = tempfile::tempdir().unwrap();
    fs::write(site.path("f"), b"x").unwrap();
    fs::write(site.path("g"), b"x").unwrap();
    site.scan();
    site.memory.own.clear();
    fs::rename(site.path("f"), outside.path().join("f")).unwrap();
    site.scan();
    site.engine.take_ops();
    fs::rename(outside.path().join("f"), site.path("h")).unwrap();
    site.scan();
    assert_eq!(kinds(&site.engine.take_ops()), [OpKind::Rename]);
}

#[test]
fn what_stands_in_the_place_of_something_whose_removal_is_not_believed_waits_with_it() {
    let mut site = Site::new(1);
    fs::create_dir(site.path("d")).unwrap();
    fs::write(site.path("d/old"), b"old").unwrap();
    site.scan();
    site.engine.take_ops();
    fs::remove_dir_all(site.path("d")).unwrap();
    fs::create_dir(site.path("d")).unwrap();
    fs::write(site.path("d/new"), b"new").unwrap();
    fs::write(site.path("other"), b"other").unwrap();
    let mut snapshot = Snapshot::of_tree(&site.root, &site.policy).unwrap();
    snapshot.stable = false;
    let found = found_in(&mut site, &snapshot);
    let told = found.txns.iter().flat_map(|txn| &txn.ops);
    let told: BTreeSet<u64> = told.map(|op| op.inode).collect();
    assert_eq!(
        (told.len(), found.created.len()),
        (1, 1),
        "only the other file"
    );
    assert_eq!((found.held_unlinks, found.held_steps), (2, 2));
    let report = site.scan();
    assert!(report.held == 0 && report.complete);
    let ops = site.engine.take_ops();
    let unlinks = ops
        .iter()
        .filter(|op| matches!(op.change, Change::Unlink { .. }));
    assert_eq!(unlinks.count(), 2);
}

#[test]
fn what_is_in_a_directory_that_vanished_before_it_was_read_waits() {
    let mut site = Site::new(1);
    fs::write(site.path("f"), b"f").unwrap();
    site.scan();
    site.engine.take_ops();
    fs::create_dir(site.path("copy")).unwrap();
    fs::hard_link(site.path("f"), site.path("copy/f")).unwrap();
    fs::write(site.path("copy/new"), b"new").unwrap();
    let snapshot = Snapshot::of_tree(&site.root, &site.policy).unwrap();
    fs::remove_dir_all(site.path("copy")).unwrap();
    let found = found_in(&mut site, &snapshot);
    assert_eq!(found.txns, []);
    site.scan();
    assert_eq!(site.engine.take_ops(), []);
}

#[test]
fn what_changed_in_a_file_that_moved_is_told_when_it_can_be_read() {
    let mut site = Site::new(1);
    fs::write(site.path("f"), b"old").unwrap();
    site.scan();
    site.engine.take_ops();
    site.memory.own.clear();
    fs::write(site.path("f"), b"other bytes").unwrap();
    fs::rename(site.path("f"), site.path("g")).unwrap();
    // A program still has it open for writing.
    let name = Name::new(b"g".to_vec()).unwrap();
    site.memory.unready.insert((Vec::new(), name));
    site.scan();
    assert_eq!(kinds(&site.engine.take_ops()), [OpKind::Rename]);
    site.memory.unready.clear();
    site.memory.racy.clear();
    site.scan();
    assert_eq!(kinds(&site.engine.take_ops()), [OpKind::Write]);
}
