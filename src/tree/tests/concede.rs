//! A site that only receives: what was changed in its tree gives way to what arrives, and nothing of it goes away.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;

use super::fake::{Pair, Site};
use crate::sync::port::Engine as _;
use crate::tree::concede::{DIVERGED_MARK, concede};

const NOW_US: u64 = 1_764_262_799_000_000;
/// Rounds after which nothing may stand in the way any more.
const ROUNDS: u32 = 12;

/// Notices at A, and applies at B as a site does that only receives; what still met something in the end.
fn arrives(pair: &mut Pair) -> usize {
    pair.a.scan();
    pair.b.engine.pull(&pair.a.engine);
    for _ in 0..ROUNDS {
        let report = pair.b.apply();
        let Site { engine, root, .. } = &mut pair.b;
        concede(engine, root, NOW_US, &report.met).unwrap();
        // What waits for its directory comes again, as it does after a while.
        engine.retry_parked().unwrap();
        if report.images == 0 {
            return 0;
        }
    }
    pair.b.apply().met.len()
}

/// Files with their bytes, links with their text, directories; without the replicator's own.
fn contents(tree: &Path) -> BTreeMap<String, Vec<u8>> {
    fn list(tree: &Path, dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(tree)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if name == ".cfs-repl" {
                continue;
            }
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                found.insert(name, b"dir".to_vec());
                list(tree, &path, found);
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                found.insert(name, target.to_str().unwrap().into());
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    list(tree, tree, &mut found);
    found
}

/// Everything of A is at B, and nothing waits; returns what only B has.
fn assert_shows(pair: &mut Pair) -> BTreeMap<String, Vec<u8>> {
    assert_eq!(arrives(pair), 0, "something stands in the way for ever");
    let (a, mut b) = (contents(pair.a.dir.path()), contents(pair.b.dir.path()));
    for (name, bytes) in a {
        assert_eq!(b.remove(&name), Some(bytes), "{name}");
    }
    b
}

fn lost(pair: &Pair) -> Vec<Vec<u8>> {
    let state = pair.b.engine.0.lock().unwrap();
    let bytes = state.gave_way.iter().map(|(_, content)| {
        content
            .inline
            .as_ref()
            .map_or_else(Vec::new, |inline| inline.to_vec())
    });
    bytes.collect()
}

/// A pair with `f` and `d/{g,h}` at both.
fn pair() -> Pair {
    let mut pair = Pair::new();
    fs::create_dir(pair.a.path("d")).unwrap();
    for name in ["f", "d/g", "d/h"] {
        fs::write(pair.a.path(name), name).unwrap();
    }
    assert_eq!(assert_shows(&mut pair), BTreeMap::new());
    pair
}

fn is_in_trash(pair: &Pair, bytes: &[u8]) -> bool {
    let mut trash = fs::read_dir(pair.b.path(".cfs-repl/trash")).unwrap();
    trash.any(|entry| fs::read(entry.unwrap().path()).is_ok_and(|found| found == bytes))
}

#[test]
fn local_edits_stay_until_a_version_arrives_and_are_kept_as_losers_then() {
    let mut pair = pair();
    fs::write(pair.b.path("f"), b"edited in place").unwrap();
    fs::write(pair.b.path("d/g.tmp"), b"saved").unwrap();
    fs::rename(pair.b.path("d/g.tmp"), pair.b.path("d/g")).unwrap();
    fs::write(pair.a.path("d/h"), b"something else").unwrap();
    assert_eq!(arrives(&mut pair), 0);
    assert_eq!(fs::read(pair.b.path("f")).unwrap(), b"edited in place");
    assert_eq!(lost(&pair), [[0_u8; 0]; 0]);
    fs::write(pair.a.path("f"), b"newer").unwrap();
    fs::write(pair.a.path("d/g"), b"newer too").unwrap();
    assert_eq!(assert_shows(&mut pair), BTreeMap::new());
    let kept: [&[u8]; 2] = [b"edited in place", b"saved"];
    let mut lost = lost(&pair);
    lost.sort();
    assert_eq!(lost, kept);
    assert!(kept.iter().all(|bytes| is_in_trash(&pair, bytes)));
}

#[test]
fn a_local_edit_of_a_file_that_is_renamed_or_removed_elsewhere_is_kept_as_a_loser() {
    let mut pair = pair();
    fs::write(pair.b.path("f"), b"edited").unwrap();
    fs::write(pair.b.path("d/g"), b"as well").unwrap();
    fs::rename(pair.a.path("f"), pair.a.path("d/moved")).unwrap();
    fs::remove_file(pair.a.path("d/g")).unwrap();
    assert_eq!(assert_shows(&mut pair), BTreeMap::new());
    for bytes in [&b"edited"[..], b"as well"] {
        assert!(lost(&pair).contains(&bytes.to_vec()));
        assert!(is_in_trash(&pair, bytes));
    }
}

#[test]
fn what_was_removed_or_moved_here_is_made_again_when_a_version_arrives() {
    let mut pair = pair();
    fs::remove_file(pair.b.path("f")).unwrap();
    fs::rename(pair.b.path("d/g"), pair.b.path("taken")).unwrap();
    fs::write(pair.a.path("f"), b"newer").unwrap();
    fs::write(pair.a.path("d/g"), b"newer too").unwrap();
    let own = assert_shows(&mut pair);
    assert_eq!(own, BTreeMap::from([("taken".to_owned(), b"d/g".to_vec())]));
}

#[test]
fn a_directory_that_was_removed_here_comes_back_with_all_that_was_in_it() {
    let mut pair = pair();
    fs::remove_dir_all(pair.b.path("d")).unwrap();
    fs::write(pair.a.path("d/g"), b"newer").unwrap();
    assert_eq!(assert_shows(&mut pair), BTreeMap::new());
}

#[test]
fn what_stands_where_something_arrives_is_renamed_or_kept_as_a_loser() {
    let mut pair = pair();
    let (a, b) = (&pair.a, &pair.b);
    fs::write(b.path("new"), b"mine").unwrap();
    fs::write(a.path("new"), b"theirs").unwrap();
    fs::create_dir(b.path("file")).unwrap();
    fs::write(b.path("file/in"), b"in").unwrap();
    fs::write(a.path("file"), b"a file").unwrap();
    fs::write(b.path("dir"), b"not a directory").unwrap();
    fs::create_dir(a.path("dir")).unwrap();
    fs::write(a.path("dir/x"), b"x").unwrap();
    symlink("here", b.path("link")).unwrap();
    symlink("there", a.path("link")).unwrap();
    fs::rename(b.path("d"), b.path("away")).unwrap();
    fs::create_dir(b.path("d")).unwrap();
    fs::write(b.path("d/own"), b"own").unwrap();
    fs::write(a.path("d/g"), b"newer").unwrap();
    let own = assert_shows(&mut pair);
    let name = |stem: &str| format!("{stem}{DIVERGED_MARK}20251127T165959Z");
    let expected = [
        ("away".to_owned(), "dir"),
        ("away/g".to_owned(), "d/g"),
        ("away/h".to_owned(), "d/h"),
        ("d/own".to_owned(), "own"),
        (name("dir"), "not a directory"),
        (name("file"), "dir"),
        (name("file") + "/in", "in"),
        (name("link"), "here"),
    ];
    let expected = expected.map(|(name, bytes)| (name, bytes.as_bytes().to_vec()));
    assert_eq!(own, BTreeMap::from(expected));
    assert_eq!(lost(&pair), [b"mine"]);
    assert!(is_in_trash(&pair, b"mine"));
}

#[test]
fn a_directory_with_names_of_this_site_alone_stays_when_it_is_removed_elsewhere() {
    let mut pair = pair();
    fs::write(pair.b.path("d/own"), b"own").unwrap();
    fs::remove_dir_all(pair.a.path("d")).unwrap();
    let own = assert_shows(&mut pair);
    let names: Vec<&String> = own.keys().collect();
    assert_eq!(names, ["d", "d/own"]);
    fs::create_dir(pair.a.path("d")).unwrap();
    fs::write(pair.a.path("d/new"), b"new").unwrap();
    let own = assert_shows(&mut pair);
    let names: Vec<&String> = own.keys().collect();
    assert_eq!(names, ["d/own"], "one directory");
}

/// Something that somebody does to a tree. Failures are no work.
#[derive(Debug, Clone, Copy)]
enum Work {
    Write(usize, u8),
    Save(usize, u8),
    Remove(usize),
    Rename(usize, usize),
    Dir(usize),
    Link(usize, usize),
}

const NAMES: [&str; 8] = ["a", "b", "c", "a/a", "a/b", "b/a", "b/b", "a/a/a"];

fn work() -> impl Strategy<Value = Work> {
    let name = 0..NAMES.len();
    prop_oneof![
        3 => (name.clone(), any::<u8>()).prop_map(|(at, byte)| Work::Write(at, byte)),
        2 => (name.clone(), any::<u8>()).prop_map(|(at, byte)| Work::Save(at, byte)),
        2 => name.clone().prop_map(Work::Remove),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Work::Rename(from, to)),
        3 => name.clone().prop_map(Work::Dir),
        1 => (name.clone(), name).prop_map(|(from, to)| Work::Link(from, to)),
    ]
}

/// Carries `work` out; `who` begins all bytes.
fn does(site: &Site, work: Work, who: &str) {
    let path = |at: usize| site.path(NAMES.get(at).unwrap());
    let done = match work {
        Work::Write(at, byte) => fs::write(path(at), format!("{who} {byte}")),
        Work::Save(at, byte) => {
            let temporary = site.path("save.tmp");
            fs::write(&temporary, format!("{who} saved {byte}")).unwrap();
            let saved = fs::rename(&temporary, path(at));
            fs::remove_file(&temporary).ok();
            saved
        }
        Work::Remove(at) if path(at).is_dir() => fs::remove_dir_all(path(at)),
        Work::Remove(at) => fs::remove_file(path(at)),
        Work::Rename(from, to) => fs::rename(path(from), path(to)),
        Work::Dir(at) => fs::create_dir(path(at)),
        Work::Link(from, to) => fs::hard_link(path(from), path(to)),
    };
    drop(done);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_done_to_its_tree_a_site_that_only_receives_shows_what_arrives(
        first in prop::collection::vec(work(), 0..20),
        theirs in prop::collection::vec(work(), 0..12),
        ours in prop::collection::vec(work(), 0..12),
    ) {
        let mut pair = Pair::new();
        for work in first {
            does(&pair.a, work, "first");
        }
        assert_shows(&mut pair);
        for work in ours {
            does(&pair.b, work, "ours");
        }
        for work in theirs {
            does(&pair.a, work, "theirs");
        }
        // Everything is touched, so that everything arrives.
        for name in contents(pair.a.dir.path()).into_keys() {
            let path = pair.a.path(&name);
            if path.is_file() {
                let bytes = [&fs::read(&path).unwrap()[..], b"+"].concat();
                fs::write(&path, bytes).unwrap();
            }
        }
        let before = contents(pair.b.dir.path());
        assert_files_arrive(&mut pair);
        let after = contents(pair.b.dir.path());
        for bytes in before.values().filter(|bytes| bytes.starts_with(b"ours")) {
            let is_there = after.values().any(|left| left == bytes);
            let is_kept = lost(&pair).contains(bytes) && is_in_trash(&pair, bytes);
            prop_assert!(is_there || is_kept, "{:?} is lost", String::from_utf8_lossy(bytes));
        }
    }
}

/// The files of A are at B with their bytes; directories that were not touched may have been removed here.
fn assert_files_arrive(pair: &mut Pair) {
    assert_eq!(arrives(pair), 0, "something stands in the way for ever");
    let (a, b) = (contents(pair.a.dir.path()), contents(pair.b.dir.path()));
    for (name, bytes) in a {
        if pair.a.path(&name).is_file() {
            assert_eq!(b.get(&name), Some(&bytes), "{name}");
        }
    }
}
