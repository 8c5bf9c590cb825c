//! A look that finds more than is read in one go.

use std::fs;

use super::fake::Site;
use crate::journal::op::OpKind;
use crate::tree::scan::Scope;

/// More empty files than one piece holds, and how many that are.
const FILES: usize = 5_000;
const READ_AT_ONCE: usize = 4_096;
/// The two directories come with the first files.
const FIRST: usize = READ_AT_ONCE + 2;

fn filled() -> Site {
    let site = Site::new(1);
    // The root is not empty without the files.
    fs::create_dir(site.path("kept")).unwrap();
    fs::create_dir(site.path("d")).unwrap();
    for nth in 0..FILES {
        fs::write(site.path(&format!("d/{nth}")), b"").unwrap();
    }
    site
}

#[test]
fn what_was_read_is_journaled_before_more_is_read() {
    let mut site = filled();
    let engine = site.engine.clone();
    let mut told = Vec::new();
    let report = site.scan_between(&Scope::Tree, &mut |_| {
        told.push(engine.take_ops().len());
        Ok(true)
    });
    assert_eq!(told, [FIRST]);
    assert_eq!(site.engine.take_ops().len(), FILES - READ_AT_ONCE);
    assert_eq!((report.ops, report.complete), (FILES as u64 + 2, true));
    assert_eq!(site.scan().ops, 0, "nothing is told twice");
}

#[test]
fn a_look_that_is_ended_early_is_not_complete_and_the_next_one_finds_the_rest() {
    let mut site = filled();
    let report = site.scan_between(&Scope::Tree, &mut |_| Ok(false));
    assert_eq!((report.ops, report.complete), (FIRST as u64, false));
    assert_eq!(site.scan().ops, (FILES - READ_AT_ONCE) as u64);
}

#[test]
fn a_file_that_goes_before_its_turn_is_counted_and_told_of_by_nobody() {
    let mut site = filled();
    let dir = site.path("d");
    let report = site.scan_between(&Scope::Tree, &mut |_| {
        fs::remove_dir_all(&dir).unwrap();
        Ok(true)
    });
    assert_eq!(
        (report.ops, report.vanished),
        (FIRST as u64, (FILES - READ_AT_ONCE) as u64)
    );
    site.engine.take_ops();
    site.scan();
    let ops = site.engine.take_ops();
    let removed = ops.iter().filter(|op| op.change.kind() == OpKind::Unlink);
    assert_eq!((removed.count(), ops.len()), (FIRST - 1, FIRST - 1));
}

#[test]
fn a_new_file_comes_with_what_made_room_for_it() {
    let mut site = Site::new(1);
    fs::write(site.path("f"), b"old").unwrap();
    site.scan();
    site.engine.take_ops();
    fs::rename(site.path("f"), site.path("g")).unwrap();
    fs::create_dir(site.path("f")).unwrap();
    fs::write(site.path("f/new"), b"new").unwrap();
    site.scan();
    let ops = site.engine.take_ops();
    let kinds: Vec<OpKind> = ops.iter().map(|op| op.change.kind()).collect();
    assert_eq!(
        kinds,
        [OpKind::Rename, OpKind::MkDir, OpKind::Create, OpKind::Write]
    );
}
