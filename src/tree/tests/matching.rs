//! A tree that had files before its site met the cluster.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use super::fake::Site;
use super::turns::{Bench, FAR_US};
use crate::journal::op::OpKind;
use crate::tree::concede::DIVERGED_MARK;
use crate::tree::matching::{Filled, Matched};
use crate::tree::policy::Policy;

/// What the cluster has.
fn cluster() -> Site {
    let mut site = Site::new(2);
    fs::create_dir_all(site.path("d/deep")).unwrap();
    for (name, bytes) in [
        ("d/same", "same"),
        ("d/deep/other", "theirs"),
        ("file", "f"),
    ] {
        fs::write(site.path(name), bytes).unwrap();
    }
    for (name, text) in [("link", "file"), ("turned", "file")] {
        symlink(text, site.path(name)).unwrap();
    }
    site.scan();
    site.engine.take_ops();
    site
}

/// The same by another hand, and more.
fn before(tree: &Path) {
    fs::create_dir_all(tree.join("d/deep")).unwrap();
    fs::create_dir(tree.join("file")).unwrap();
    for (name, bytes) in [
        ("d/same", "same"),
        ("d/deep/other", "ours"),
        ("d/deep/own", "own"),
        ("file/inside", "inside"),
    ] {
        fs::write(tree.join(name), bytes).unwrap();
    }
    fs::set_permissions(tree.join("d/same"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("file", tree.join("link")).unwrap();
    symlink("elsewhere", tree.join("turned")).unwrap();
}

/// A connector that compares its tree, and what tells it that everything is here.
fn comparing() -> (Bench, Filled) {
    let filled = Filled::default();
    let matches = Some(filled.clone());
    let bench = Bench::with(FAR_US, |options| options.matches = matches);
    (bench, filled)
}

fn text(bench: &Bench, name: &str) -> String {
    fs::read_to_string(bench.path(name)).unwrap()
}

/// The one name of `dir` that begins so, but is not that.
fn renamed(bench: &Bench, name: &str) -> String {
    let names = fs::read_dir(bench.tree.path()).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let prefix = format!("{name}{DIVERGED_MARK}");
    names.find(|found| found.starts_with(&prefix)).unwrap()
}

#[test]
fn a_tree_that_was_there_before_becomes_part_of_the_cluster_and_nothing_of_it_goes_away() {
    let theirs = cluster();
    let (mut bench, filled) = comparing();
    before(bench.tree.path());
    let mut turns = bench.begin();
    bench.until_rest(&mut turns);
    fs::write(bench.path("d/late"), "written meanwhile").unwrap();
    bench.engine.pull(&theirs.engine);
    bench.until_rest(&mut turns);
    assert_eq!(bench.kinds(), [], "nothing is journaled before all is here");
    assert_eq!(text(&bench, "d/same"), "same");
    assert_eq!(text(&bench, "d/deep/other"), "theirs");
    assert_eq!(text(&bench, "file"), "f");
    let mode = fs::metadata(bench.path("d/same")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o644, "that of the cluster");
    let dir = renamed(&bench, "file");
    assert_eq!(text(&bench, &format!("{dir}/inside")), "inside");
    let link = fs::read_link(bench.path(&renamed(&bench, "turned"))).unwrap();
    assert_eq!(link, Path::new("elsewhere"));
    assert_eq!(
        bench.connector.matched,
        Matched {
            // d, d/deep, d/same, d/deep/other, link
            taken: 5,
            differed: 1,
            renamed: 2,
        }
    );
    let gave_way = bench.engine.0.lock().unwrap().gave_way.len();
    assert_eq!(gave_way, 1, "d/deep/other");
    filled.set(true);
    bench.until_rest(&mut turns);
    let mut kinds = bench.kinds();
    kinds.retain(|kind| [OpKind::Create, OpKind::MkDir, OpKind::Symlink].contains(kind));
    kinds.sort_by_key(|kind| kind.code());
    // d/deep/own, d/late, the directory that was renamed with what is in it, and the link.
    let added = [
        OpKind::Create,
        OpKind::Create,
        OpKind::Create,
        OpKind::Symlink,
        OpKind::MkDir,
    ];
    assert_eq!(kinds, added);
    assert!(bench.connector.options.matches.is_none());
}

#[test]
fn excluded_names_are_left_alone() {
    let theirs = cluster();
    let filled = Filled::default();
    let mut bench = Bench::with(FAR_US, |options| {
        options.policy = Policy::excluding(&["/d/deep", "/file"]).unwrap();
        options.matches = Some(filled.clone());
    });
    before(bench.tree.path());
    let mut turns = bench.begin();
    bench.engine.pull(&theirs.engine);
    bench.rest_for(&mut turns, Duration::from_secs(60));
    assert_eq!(text(&bench, "d/deep/other"), "ours");
    assert_eq!(text(&bench, "file/inside"), "inside");
    assert_eq!(text(&bench, "d/same"), "same");
    filled.set(true);
    bench.until_rest(&mut turns);
    assert!(bench.connector.options.matches.is_none());
}

#[test]
fn a_file_that_is_being_written_neither_keeps_the_loop_busy_nor_is_it_lost() {
    use std::io::Write as _;
    let theirs = cluster();
    let (mut bench, filled) = comparing();
    before(bench.tree.path());
    let mut turns = bench.begin();
    let path = bench.path("d/deep/other");
    let mut open = fs::OpenOptions::new().append(true).open(path).unwrap();
    open.write_all(b", and more").unwrap();
    bench.engine.pull(&theirs.engine);
    let count = bench.rest_for(&mut turns, Duration::from_secs(60));
    assert!(count < 500, "{count} turns in a minute");
    let taken = bench.connector.matched.taken;
    assert!(taken <= 5, "{taken}: each of them once");
    drop(open);
    filled.set(true);
    for _ in 0..20 {
        bench.until_rest(&mut turns);
        bench.clock.advance(Duration::from_secs(10));
    }
    assert!(bench.connector.options.matches.is_none());
    assert_eq!(text(&bench, "d/deep/other"), "theirs");
    let lost = bench.engine.0.lock().unwrap().gave_way.clone();
    let bytes = lost.iter().map(|(_, content)| content.inline.clone());
    assert!(bytes.flatten().any(|bytes| &bytes[..] == b"ours, and more"));
}

#[test]
fn a_tree_that_was_compared_once_is_not_compared_again_when_it_is_opened_anew() {
    let (mut bench, filled) = comparing();
    let mut turns = bench.begin();
    filled.set(true);
    bench.until_rest(&mut turns);
    assert!(filled.is_over());
    bench
        .restart(|options| options.matches = Some(filled.clone()))
        .unwrap();
    assert!(bench.connector.options.matches.is_none());
}

#[test]
fn files_of_the_same_bytes_are_neither_staged_nor_displaced() {
    let theirs = cluster();
    let (mut bench, _filled) = comparing();
    before(bench.tree.path());
    let ino = |bench: &Bench, name: &str| {
        use std::os::unix::fs::MetadataExt as _;
        fs::symlink_metadata(bench.path(name)).unwrap().ino()
    };
    let kept = ["d", "d/deep", "d/same", "link"];
    let numbers = kept.map(|name| ino(&bench, name));
    let mut turns = bench.begin();
    bench.engine.pull(&theirs.engine);
    bench.until_rest(&mut turns);
    assert_eq!(kept.map(|name| ino(&bench, name)), numbers);
}

#[test]
fn a_site_that_stops_in_the_middle_compares_the_rest_after_its_start() {
    let theirs = cluster();
    let (mut bench, filled) = comparing();
    before(bench.tree.path());
    bench.engine.pull(&theirs.engine);
    bench.connector.apply_once().unwrap();
    bench
        .restart(|options| options.matches = Some(filled.clone()))
        .unwrap();
    filled.set(true);
    let mut turns = bench.begin();
    for _ in 0..20 {
        bench.until_rest(&mut turns);
        bench.clock.advance(Duration::from_secs(1));
    }
    assert!(bench.connector.options.matches.is_none());
    assert_eq!(text(&bench, "d/deep/other"), "theirs");
    let names = fs::read_dir(bench.path("d")).unwrap();
    assert_eq!(names.count(), 2, "same, deep");
}
