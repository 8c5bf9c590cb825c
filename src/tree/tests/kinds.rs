//! Every kind of object and change goes from one tree to the other and comes out the same.

use std::ffi::OsStr;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::fake::Pair;
use crate::journal::op::OpKind;
use crate::sync::port::LocalOp;
use crate::tree::scan::Disbelief;

fn kinds(ops: &[LocalOp]) -> Vec<OpKind> {
    ops.iter().map(|op| op.change.kind()).collect()
}

fn noise(length: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"noise");
    let mut bytes = vec![0; length];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn planted() -> Pair {
    let mut pair = Pair::new();
    let a = &pair.a;
    fs::create_dir_all(a.path("d/e/empty")).unwrap();
    fs::write(a.path("d/f"), b"small").unwrap();
    fs::write(a.path("d/e/big"), noise(3_000_000)).unwrap();
    fs::write(a.path("zero"), b"").unwrap();
    symlink("../nowhere", a.path("d/link")).unwrap();
    fs::hard_link(a.path("d/f"), a.path("second")).unwrap();
    fs::set_permissions(a.path("d/f"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(a.path("d/e"), fs::Permissions::from_mode(0o1700)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(a.path("d/f"), "user.k", b"v\0w", flags).unwrap();
    rustix::fs::setxattr(a.path("d/e"), "user.dir", b"", flags).unwrap();
    std::os::unix::fs::lchown(a.path("d/link"), Some(1234), Some(77)).unwrap();
    std::os::unix::fs::chown(a.path("d/f"), Some(99), Some(98)).unwrap();
    fs::write(a.path("d").join(OsStr::from_bytes(b"caf\xe9\n")), b"x").unwrap();
    pair.settle();
    pair
}

#[test]
fn every_kind_makes_the_round_trip() {
    planted();
}

#[test]
fn every_change_makes_the_round_trip() {
    let mut pair = planted();
    let a = &pair.a;
    fs::OpenOptions::new()
        .append(true)
        .open(a.path("zero"))
        .unwrap()
        .write_all(b"grown")
        .unwrap();
    fs::set_permissions(a.path("d/e/big"), fs::Permissions::from_mode(0o600)).unwrap();
    rustix::fs::removexattr(a.path("d/f"), "user.k").unwrap();
    rustix::fs::setxattr(
        a.path("d/e/big"),
        "user.n",
        b"1",
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    fs::remove_dir(a.path("d/e/empty")).unwrap();
    fs::remove_file(a.path("d/link")).unwrap();
    fs::write(a.path("d/f"), b"rewritten in place").unwrap();
    pair.settle();
    let b = &pair.b;
    assert_eq!(fs::read(b.path("second")).unwrap(), b"rewritten in place");
    let trash = fs::read_dir(b.path(".cfs-repl/trash")).unwrap();
    assert_eq!(
        trash.count(),
        3,
        "old versions of zero and d/f, and the link"
    );
}

#[test]
fn a_directory_of_ten_thousand_files_moves_as_one_operation_without_content() {
    let mut pair = Pair::new();
    fs::create_dir_all(pair.a.path("x/many")).unwrap();
    for i in 0..10_000 {
        fs::write(pair.a.path(&format!("x/many/{i}")), b"").unwrap();
    }
    pair.a_to_b();
    pair.a.engine.take_ops();
    pair.b.scan();
    assert_eq!(pair.b.engine.take_ops(), [], "no echo");
    fs::create_dir(pair.a.path("y")).unwrap();
    fs::rename(pair.a.path("x/many"), pair.a.path("y/moved")).unwrap();
    let fetched = pair.b.source.fetched;
    let report = pair.a_to_b();
    assert_eq!(
        kinds(&pair.a.engine.take_ops()),
        [OpKind::MkDir, OpKind::Rename]
    );
    assert_eq!((report.applied, pair.b.source.fetched), (2, fetched));
    pair.assert_equal();
}

#[test]
fn names_are_swapped_and_rotated() {
    let mut pair = planted();
    let a = &pair.a;
    let swap = |from: &str, to: &str| {
        let flags = rustix::fs::RenameFlags::EXCHANGE;
        let at = rustix::fs::CWD;
        rustix::fs::renameat_with(at, a.path(from), at, a.path(to), flags).unwrap();
    };
    fs::create_dir(a.path("p")).unwrap();
    fs::write(a.path("p/in"), b"p").unwrap();
    swap("zero", "d/e/big");
    swap("d", "p");
    pair.settle();
    let a = &pair.a;
    // A directory changes sides with its child.
    fs::rename(a.path("p/e"), a.path("up")).unwrap();
    fs::rename(a.path("p"), a.path("up/p")).unwrap();
    for i in (0..5).rev() {
        // Written at the other site: no candidates of a save here.
        fs::write(pair.b.path(&format!("log.{i}")), format!("{i}")).unwrap();
    }
    pair.settle();
    let a = &pair.a;
    fs::remove_file(a.path("log.4")).unwrap();
    for i in (0..4).rev() {
        fs::rename(
            a.path(&format!("log.{i}")),
            a.path(&format!("log.{}", i + 1)),
        )
        .unwrap();
    }
    pair.a.scan();
    let ops = pair.a.engine.take_ops();
    assert_eq!(
        kinds(&ops)
            .iter()
            .filter(|kind| **kind == OpKind::Rename)
            .count(),
        4
    );
    pair.settle();
}

#[test]
fn a_save_by_rename_keeps_the_inode() {
    let mut pair = planted();
    let ino_before = pair.a.engine.0.lock().unwrap().applied.len();
    fs::write(pair.a.path("d/e/big.tmp"), b"saved").unwrap();
    fs::rename(pair.a.path("d/e/big.tmp"), pair.a.path("d/e/big")).unwrap();
    pair.a.scan();
    let ops = pair.a.engine.take_ops();
    assert_eq!(kinds(&ops)[0], OpKind::Write, "{ops:?}");
    assert_eq!(
        pair.a.engine.0.lock().unwrap().applied.len(),
        ino_before,
        "no new inode"
    );
    pair.settle();
    // The temporary file was journaled before it was renamed.
    fs::write(pair.a.path("d/e/tmp2"), b"saved again").unwrap();
    pair.a.scan();
    assert_eq!(
        kinds(&pair.a.engine.take_ops()),
        [OpKind::Create, OpKind::Write]
    );
    fs::rename(pair.a.path("d/e/tmp2"), pair.a.path("d/e/big")).unwrap();
    pair.a.scan();
    let txn = pair.a.engine.0.lock().unwrap().txns.clone();
    let ops = pair.a.engine.take_ops();
    assert_eq!(kinds(&ops)[..2], [OpKind::Unlink, OpKind::Write]);
    assert_eq!(txn.len(), 1, "one transaction");
    pair.settle();
    assert_eq!(fs::read(pair.b.path("d/e/big")).unwrap(), b"saved again");
}

#[test]
fn a_rename_over_an_old_file_keeps_both_inodes() {
    let mut pair = planted();
    let ino = fs::metadata(pair.b.path("zero")).unwrap().ino();
    // The renamed file came from the other site: it is no editor's temporary file.
    fs::write(pair.b.path("from-b"), b"b").unwrap();
    pair.settle();
    fs::rename(pair.a.path("from-b"), pair.a.path("zero")).unwrap();
    pair.a.scan();
    let txns = pair.a.engine.0.lock().unwrap().txns.clone();
    assert_eq!(txns.len(), 1);
    assert_eq!(kinds(&txns[0].ops), [OpKind::Unlink, OpKind::Rename]);
    pair.settle();
    assert_ne!(fs::metadata(pair.b.path("zero")).unwrap().ino(), ino);
}

#[test]
fn files_and_directories_take_each_others_place() {
    let mut pair = planted();
    let a = &pair.a;
    fs::remove_file(a.path("zero")).unwrap();
    fs::create_dir(a.path("zero")).unwrap();
    fs::rename(a.path("d/f"), a.path("zero/f")).unwrap();
    fs::remove_dir_all(a.path("d")).unwrap();
    fs::write(a.path("d"), b"a file").unwrap();
    pair.settle();
    assert_eq!(fs::read(pair.b.path("d")).unwrap(), b"a file");
}

#[test]
fn a_sparse_gigabyte_stays_sparse() {
    let mut pair = Pair::new();
    let mut file = fs::File::create(pair.a.path("sparse")).unwrap();
    file.set_len(1 << 30).unwrap();
    file.seek(SeekFrom::Start(300 << 20)).unwrap();
    file.write_all(&noise(100_000)).unwrap();
    drop(file);
    pair.settle();
    let blocks = fs::metadata(pair.b.path("sparse")).unwrap().blocks();
    assert!(blocks * 512 < 200_000, "{blocks} blocks");
}

#[test]
fn only_changed_chunks_travel() {
    let mut pair = planted();
    let mut bytes = noise(3_000_000);
    bytes[1_500_000] ^= 1;
    fs::write(pair.a.path("d/e/big"), &bytes).unwrap();
    pair.a.scan();
    pair.b.engine.pull(&pair.a.engine);
    let before = pair.b.source.fetched;
    pair.b.apply();
    let fetched = pair.b.source.fetched - before;
    assert!(
        fetched <= 6,
        "{fetched} requests for one chunk and one node"
    );
    pair.assert_equal();
}

#[test]
fn hard_links_come_and_go_and_stay_one_file() {
    let mut pair = planted();
    let a = &pair.a;
    fs::hard_link(a.path("second"), a.path("d/e/third")).unwrap();
    fs::remove_file(a.path("d/f")).unwrap();
    fs::write(a.path("second"), b"through another name").unwrap();
    pair.settle();
    let ino = |path| fs::metadata(pair.b.path(path)).unwrap().ino();
    assert_eq!(ino("second"), ino("d/e/third"));
}

#[test]
fn a_local_change_under_an_incoming_image_is_not_overwritten() {
    let mut pair = planted();
    fs::write(pair.a.path("d/e/big"), b"from A").unwrap();
    pair.a.scan();
    pair.b.engine.pull(&pair.a.engine);
    fs::write(pair.b.path("d/e/big"), b"from B, not yet noticed").unwrap();
    let report = pair.b.apply();
    assert_eq!((report.changed, report.applied), (1, 0));
    assert_eq!(
        fs::read(pair.b.path("d/e/big")).unwrap(),
        b"from B, not yet noticed"
    );
    pair.settle();
    assert_eq!(
        fs::read(pair.a.path("d/e/big")).unwrap(),
        b"from B, not yet noticed"
    );
}

#[test]
fn a_stranger_at_the_place_of_a_new_file_is_not_overwritten() {
    let mut pair = planted();
    fs::write(pair.a.path("new"), b"A").unwrap();
    pair.a.scan();
    pair.b.engine.pull(&pair.a.engine);
    fs::write(pair.b.path("new"), b"B").unwrap();
    assert_eq!(pair.b.apply().changed, 1);
    assert_eq!(fs::read(pair.b.path("new")).unwrap(), b"B");
}

#[test]
fn a_symbolic_link_planted_in_the_path_is_never_followed() {
    let mut pair = planted();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("big"), b"canary").unwrap();
    let before = fs::metadata(outside.path().join("big")).unwrap();
    fs::write(pair.a.path("d/e/big"), b"new").unwrap();
    fs::write(pair.a.path("d/e/fresh"), b"new").unwrap();
    pair.a.scan();
    pair.b.engine.pull(&pair.a.engine);
    fs::rename(pair.b.path("d/e"), pair.b.path("hidden")).unwrap();
    symlink(outside.path(), pair.b.path("d/e")).unwrap();
    let report = pair.b.apply();
    assert_eq!(report.applied, 0, "{report:?}");
    let after = fs::metadata(outside.path().join("big")).unwrap();
    assert_eq!(
        (before.ino(), before.mtime_nsec()),
        (after.ino(), after.mtime_nsec())
    );
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn an_empty_root_and_a_missing_marker_delete_nothing() {
    let mut pair = planted();
    for entry in fs::read_dir(pair.a.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with(".cfs-repl") {
            continue;
        }
        fs::rename(&path, path.with_extension("")).unwrap();
        let moved = tempfile::tempdir_in("/tmp").unwrap().keep();
        fs::rename(&path, moved.join("x")).unwrap();
        fs::remove_dir_all(moved).unwrap();
    }
    let report = pair.a.scan();
    assert_eq!(report.brake, Some(Disbelief::EmptyRoot));
    assert!(report.held > 3);
    assert_eq!(pair.a.engine.take_ops(), []);
    let id = fs::read(pair.a.path(".cfs-repl/id")).unwrap();
    fs::remove_file(pair.a.path(".cfs-repl/id")).unwrap();
    assert_eq!(pair.a.scan().brake, Some(Disbelief::Marker));
    fs::write(pair.a.path(".cfs-repl/id"), id).unwrap();
    // Something new proves nothing.
    fs::write(pair.a.path("new"), b"new").unwrap();
    let report = pair.a.scan();
    assert_eq!(report.brake, Some(Disbelief::EmptyRoot));
    assert_eq!(
        kinds(&pair.a.engine.take_ops()),
        [OpKind::Create, OpKind::Write]
    );
    // An operator says that it is meant: for one look.
    pair.a.memory.empty_is_meant = true;
    let report = pair.a.scan();
    assert_eq!((report.brake, report.held), (None, 0));
    assert!(!pair.a.engine.take_ops().is_empty());
    assert!(!pair.a.memory.empty_is_meant);
}

#[test]
fn excluded_names_are_neither_noticed_nor_applied_nor_removed() {
    let mut pair = planted();
    fs::write(pair.a.path("d/e/old.tmp"), b"").unwrap();
    pair.settle();
    let mut policy = crate::tree::policy::Policy::excluding(&["*.tmp", "cache/"]).unwrap();
    policy.set_id = true;
    pair.b.policy = policy;
    fs::remove_file(pair.b.path("d/e/old.tmp")).unwrap();
    fs::write(pair.b.path("d/e/new.tmp"), b"").unwrap();
    pair.b.scan();
    assert_eq!(pair.b.engine.take_ops(), []);
    fs::create_dir(pair.a.path("cache")).unwrap();
    fs::write(pair.a.path("cache/x"), b"").unwrap();
    fs::write(pair.a.path("d/e/x.tmp"), b"").unwrap();
    let report = pair.a_to_b();
    assert_eq!(
        (report.changed, report.parked.len(), report.steps),
        (0, 0, 0)
    );
    assert!(!pair.b.path("cache").exists() && !pair.b.path("d/e/x.tmp").exists());
    // A directory that holds excluded names stays for them.
    fs::remove_dir_all(pair.a.path("d/e")).unwrap();
    let report = pair.a_to_b();
    assert!(report.parked[0].1.contains("excluded"), "{report:?}");
    assert!(pair.b.path("d/e/new.tmp").exists());
}
