//! A tree that is not as the journal says when a site starts: after a power loss that took changes back, and after it
//! was restored by copy.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::turns::{Bench, FAR_US};
use crate::content::chunk::hash_file;
use crate::journal::op::{Change, Content, Name, OpKind, Place};
use crate::sync::port::{Engine as _, LocalOp, LocalTxn};
use crate::tree::connector::ConnectorOptions;
use crate::tree::root::ROOT_INODE;
use crate::tree::stat::{Stat, stat_at};

fn boot(id: &str) -> impl FnOnce(&mut ConnectorOptions) {
    let id = id.to_owned();
    move |options| options.boot_id = Some(id)
}

/// A tree with `f` and `g`, noticed under the boot "one".
fn noticed() -> Bench {
    let mut bench = Bench::with(FAR_US, boot("one"));
    fs::write(bench.path("f"), b"old").unwrap();
    fs::write(bench.path("g"), b"kept").unwrap();
    bench.connector.scan_once().unwrap();
    bench.engine.take_ops();
    ends(&bench, "f");
    bench
}

/// The last that is on record is half a minute after `name` changed.
fn ends(bench: &Bench, name: &str) {
    let changed = u64::try_from(stat(bench, name).ctime.seconds).unwrap();
    bench.engine.0.lock().unwrap().observed_us = (changed + 30) * 1_000_000;
}

fn stat(bench: &Bench, name: &str) -> Stat {
    stat_at(bench.connector.root().fd(), name).unwrap()
}

fn inode(bench: &mut Bench, name: &str) -> u64 {
    let id = stat(bench, name).id;
    bench.engine.inode_of(id.ino, id.btime).unwrap().unwrap()
}

fn submit(bench: &mut Bench, op: LocalOp) {
    bench
        .engine
        .submit(vec![LocalTxn { ops: vec![op] }])
        .unwrap();
    bench.engine.take_ops();
}

/// As if `bytes` had been journaled of `name` after what is on the disk.
fn journal(bench: &mut Bench, name: &str, bytes: &[u8]) {
    let other = tempfile::NamedTempFile::new().unwrap();
    fs::write(other.path(), bytes).unwrap();
    let size = bytes.len() as u64;
    let hashed = hash_file(other.reopen().unwrap(), size, other.path());
    let hashed = hashed.unwrap().unwrap();
    let inode = inode(bench, name);
    let mut device = stat(bench, name).image();
    device.ctime.seconds += 1;
    device.mtime.seconds += 1;
    device.size = size;
    let content = Content {
        size,
        manifest_root: hashed.root,
        mtime: device.mtime,
        inline: hashed.inline,
    };
    let op = LocalOp {
        inode,
        link: inode,
        change: Change::Write {
            content,
            mode: None,
        },
        back_date_us: None,
        device: Some(device),
    };
    submit(bench, op);
}

/// As if the removal of `name`, which is still there, had been journaled.
fn journal_unlink(bench: &mut Bench, name: &str) {
    let inode = inode(bench, name);
    let place = Place {
        parent: ROOT_INODE,
        name: Name::new(name.as_bytes().to_vec()).unwrap(),
    };
    let op = LocalOp {
        inode,
        link: inode,
        change: Change::Unlink { place, dir: false },
        back_date_us: None,
        device: None,
    };
    submit(bench, op);
}

fn start(bench: &mut Bench, id: &str) {
    bench.restart(boot(id)).unwrap();
    let mut turns = bench.begin();
    bench.until_rest(&mut turns);
}

#[test]
fn bytes_that_a_power_loss_took_back_are_restored_and_not_journaled() {
    let mut bench = noticed();
    journal(&mut bench, "f", b"newer");
    start(&mut bench, "two");
    assert_eq!(bench.kinds(), []);
    assert_eq!(fs::read(bench.path("f")).unwrap(), b"newer");
    assert_eq!(fs::read(bench.path("g")).unwrap(), b"kept");
}

#[test]
fn without_a_power_loss_the_same_is_a_change_of_a_user() {
    let mut bench = noticed();
    journal(&mut bench, "f", b"newer");
    start(&mut bench, "one");
    let kinds = bench.kinds();
    assert!(kinds.contains(&OpKind::Write), "{kinds:?}");
    assert_eq!(fs::read(bench.path("f")).unwrap(), b"old");
}

#[test]
fn a_file_that_a_power_loss_took_is_made_again() {
    let mut bench = noticed();
    fs::remove_file(bench.path("f")).unwrap();
    start(&mut bench, "two");
    assert_eq!(bench.kinds(), []);
    assert_eq!(fs::read(bench.path("f")).unwrap(), b"old");
}

#[test]
fn what_replaced_a_file_right_before_a_power_loss_is_a_change_and_no_clash() {
    let mut bench = noticed();
    // Kept, so that its inode number is not given to what follows.
    let old = fs::File::open(bench.path("f")).unwrap();
    fs::remove_file(bench.path("f")).unwrap();
    fs::write(bench.path("f"), b"anew").unwrap();
    fs::write(bench.path("g.tmp"), b"saved").unwrap();
    fs::rename(bench.path("g.tmp"), bench.path("g")).unwrap();
    start(&mut bench, "two");
    drop(old);
    let files = [("f", "anew"), ("g", "saved")];
    for (name, bytes) in files {
        let found = fs::read(bench.path(name)).unwrap();
        assert_eq!(found, bytes.as_bytes(), "{name}");
    }
    assert_eq!(fs::read_dir(bench.tree.path()).unwrap().count(), 3);
    assert_eq!(bench.kinds(), [OpKind::Write, OpKind::Write]);
}

#[test]
fn a_file_that_was_journaled_long_before_the_power_loss_was_removed_by_somebody() {
    let mut bench = noticed();
    fs::remove_file(bench.path("f")).unwrap();
    bench.engine.0.lock().unwrap().observed_us += 60_000_000;
    start(&mut bench, "two");
    assert_eq!(bench.kinds(), [OpKind::Unlink]);
}

#[test]
fn a_file_that_a_power_loss_brought_back_goes_again() {
    let mut bench = noticed();
    journal_unlink(&mut bench, "f");
    start(&mut bench, "two");
    assert_eq!(bench.kinds(), []);
    assert!(!bench.path("f").exists());
}

#[test]
fn a_save_that_a_power_loss_took_back_is_saved_again_under_its_name() {
    let mut bench = noticed();
    fs::write(bench.path("f.tmp"), b"saved").unwrap();
    fs::rename(bench.path("f.tmp"), bench.path("f")).unwrap();
    bench.connector.scan_once().unwrap();
    assert_eq!(bench.kinds(), [OpKind::Write], "a save keeps the inode");
    ends(&bench, "f");
    fs::remove_file(bench.path("f")).unwrap();
    // Something at the name that nobody knows, older than what was journaled.
    let file = inode_of_only(&bench);
    bench.engine.shift_ctime(file, 5);
    fs::write(bench.path("f"), b"old").unwrap();
    start(&mut bench, "two");
    let ops = bench.engine.take_ops();
    assert!(ops.is_empty(), "{ops:?}");
    assert_eq!(fs::read(bench.path("f")).unwrap(), b"saved");
    assert_eq!(
        fs::read_dir(bench.tree.path()).unwrap().count(),
        3,
        "f, g, .cfs-repl"
    );
}

fn inode_of_only(bench: &Bench) -> u64 {
    let state = bench.engine.0.lock().unwrap();
    let f = |image: &&crate::sync::port::Image| {
        image.links.iter().any(|link| link.name.as_bytes() == b"f")
    };
    state.applied.values().find(f).unwrap().inode
}

#[test]
fn an_empty_tree_after_a_power_loss_is_not_believed() {
    let mut bench = noticed();
    fs::remove_file(bench.path("f")).unwrap();
    fs::remove_file(bench.path("g")).unwrap();
    start(&mut bench, "two");
    assert_eq!(bench.kinds(), []);
    assert!(
        !bench.path("f").exists(),
        "nothing is put into what may be an empty mount point"
    );
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_copy_is_taken_for_the_tree_that_was_there_and_what_differs_is_journaled() {
    let mut bench = Bench::with(FAR_US, |_| ());
    for name in ["d/e", "h"] {
        fs::create_dir_all(bench.path(name)).unwrap();
    }
    for name in ["same", "edited", "d/moved", "d/e/gone", "touched"] {
        fs::write(bench.path(name), name).unwrap();
    }
    fs::hard_link(bench.path("same"), bench.path("h/same2")).unwrap();
    std::os::unix::fs::symlink("same", bench.path("s")).unwrap();
    bench.connector.scan_once().unwrap();
    bench.engine.take_ops();
    let folder = tempfile::tempdir().unwrap();
    let copied = folder.path().join("copy");
    copy(bench.tree.path(), &copied);
    bench.tree = folder;
    let point = |options: &mut ConnectorOptions, adopt: bool| {
        options.root.clone_from(&copied);
        options.adopt_copy = adopt;
    };
    let refused = bench.restart(|options| point(options, false));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("--adopt-copy"), "{refused}");
    fs::write(copied.join("edited"), b"by hand").unwrap();
    fs::rename(copied.join("d/moved"), copied.join("d/e/there")).unwrap();
    fs::remove_file(copied.join("d/e/gone")).unwrap();
    fs::write(copied.join("new"), b"new file").unwrap();
    bench.restart(|options| point(options, true)).unwrap();
    let report = bench.connector.scan_once().unwrap();
    assert!(report.complete);
    let mut kinds = bench.kinds();
    kinds.sort_by_key(|kind| format!("{kind:?}"));
    use OpKind::{Create, Rename, Unlink, Write};
    assert_eq!(kinds, [Create, Rename, Unlink, Write, Write]);
    bench.restart(|options| point(options, false)).unwrap();
    bench.connector.scan_once().unwrap();
    assert_eq!(bench.kinds(), [], "a later start is an ordinary one");
}

#[test]
fn a_copy_that_did_not_keep_times_is_read_and_only_the_times_are_journaled() {
    let mut bench = Bench::with(FAR_US, |_| ());
    fs::write(bench.path("f"), vec![7; 100_000]).unwrap();
    bench.connector.scan_once().unwrap();
    bench.engine.take_ops();
    let folder = tempfile::tempdir().unwrap();
    let copied = folder.path().join("copy");
    copy(bench.tree.path(), &copied);
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
    let file = fs::File::options()
        .write(true)
        .open(copied.join("f"))
        .unwrap();
    file.set_modified(at).unwrap();
    bench.tree = folder;
    let adopt = |options: &mut ConnectorOptions| {
        options.root.clone_from(&copied);
        options.adopt_copy = true;
    };
    bench.restart(adopt).unwrap();
    bench.connector.scan_once().unwrap();
    assert_eq!(bench.kinds(), [OpKind::SetAttr]);
}
