//! A stop at any point of a batch, then recovery: the tree is as before or as after, and everything comes to rest.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::fake::{Pair, Site};
use crate::clock::{Clock as _, SystemClock};
use crate::error::ReplError;
use crate::sync::port::Engine as _;
use crate::tree::recover::recover;
use crate::tree::rollback::roll_back;

/// A change with every kind of step.
fn prepared() -> Pair {
    let mut pair = Pair::new();
    let a = &pair.a;
    fs::create_dir_all(a.path("d/gone")).unwrap();
    fs::create_dir_all(a.path("whole/deep/empty")).unwrap();
    fs::set_permissions(a.path("whole/deep"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::create_dir(a.path("e")).unwrap();
    for name in [
        "a",
        "b",
        "d/f",
        "d/over",
        "written",
        "e/x",
        "whole/f",
        "whole/deep/g",
        "whole/deep/out",
    ] {
        fs::write(a.path(name), name).unwrap();
    }
    fs::hard_link(a.path("written"), a.path("written2")).unwrap();
    pair.settle();
    let a = &pair.a;
    fs::rename(a.path("a"), a.path("t")).unwrap();
    fs::rename(a.path("b"), a.path("a")).unwrap();
    fs::rename(a.path("t"), a.path("b")).unwrap();
    fs::rename(a.path("d/f"), a.path("d/over")).unwrap();
    fs::remove_dir(a.path("d/gone")).unwrap();
    fs::rename(a.path("whole/deep/out"), a.path("out")).unwrap();
    fs::remove_dir_all(a.path("whole")).unwrap();
    fs::rename(a.path("d"), a.path("e/d")).unwrap();
    fs::create_dir(a.path("d")).unwrap();
    fs::write(a.path("d/new"), b"new").unwrap();
    fs::write(a.path("written"), b"other bytes").unwrap();
    fs::hard_link(a.path("e/x"), a.path("y")).unwrap();
    pair.a.scan();
    pair.a.engine.take_ops();
    pair.b.engine.pull(&pair.a.engine);
    pair
}

fn recovered(site: &mut Site) {
    let mut log = site.log();
    recover(&site.root, &site.policy, &mut site.engine, &mut log).unwrap();
}

fn stop_at(pair: &mut Pair, nth: usize) -> bool {
    let mut seen = 0;
    let result = pair.b.apply_until(&mut |_| {
        seen += 1;
        if seen == nth {
            Err(ReplError::Shutdown)
        } else {
            Ok(())
        }
    });
    result.is_err()
}

#[test]
fn a_stop_after_any_step_is_recovered_without_echo() {
    let mut nth = 1;
    loop {
        let mut pair = prepared();
        if !stop_at(&mut pair, nth) {
            break;
        }
        recovered(&mut pair.b);
        recovered(&mut pair.b);
        pair.b.scan();
        let echo = pair.b.engine.take_ops();
        assert_eq!(echo, [], "stop {nth}");
        pair.settle();
        nth += 1;
    }
    assert!(nth > 15, "only {nth} points");
}

#[test]
fn what_is_left_in_staging_is_rescued_however_often_and_copies_of_losers_are_dropped() {
    let mut pair = prepared();
    let staging = pair.b.path(".cfs-repl/staging");
    for round in 0..3 {
        for name in ["restore-1", "s-keep-1"] {
            fs::write(staging.join(name), format!("{name} {round}")).unwrap();
        }
        recovered(&mut pair.b);
        assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);
    }
    let trash = fs::read_dir(pair.b.path(".cfs-repl/trash")).unwrap();
    let mut kept: Vec<String> = trash
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["restore-1 0", "restore-1 1", "restore-1 2"]);
}

#[test]
fn a_file_written_between_stop_and_recovery_is_kept() {
    let mut nth = 1;
    loop {
        let mut pair = prepared();
        if !stop_at(&mut pair, nth) {
            break;
        }
        let names: Vec<_> = ["a", "b", "written", "d/over", "e/d/over", "d/new", "e/x"]
            .into_iter()
            .filter(|name| pair.b.path(name).exists())
            .collect();
        for name in &names {
            let mut text = fs::read(pair.b.path(name)).unwrap();
            text.extend_from_slice(b" and the user");
            fs::write(pair.b.path(name), text).unwrap();
        }
        recovered(&mut pair.b);
        for _ in 0..3 {
            pair.b.scan();
            pair.b.apply();
        }
        let mut kept = 0;
        let mut todo = vec![pair.b.dir.path().to_owned()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    todo.push(path);
                } else if fs::read(&path).unwrap().ends_with(b"and the user") {
                    kept += 1;
                }
            }
        }
        assert!(kept >= names.len(), "stop {nth}: {kept} of {names:?} kept");
        nth += 3;
    }
}

#[test]
fn a_write_that_left_its_name_and_no_bytes_before_the_power_failed_is_no_change() {
    // In place, and as a new file under the same name; with a size and without.
    for (is_new, size) in [(false, 0), (true, 0), (false, 9_000), (true, 9_000)] {
        let mut site = Site::new(1);
        fs::write(site.path("f"), vec![7; 20_000]).unwrap();
        site.scan();
        let inode = site.engine.shown_as("f");
        site.engine.take_ops();
        if is_new {
            fs::rename(site.path("f"), site.dir.path().with_extension("away")).unwrap();
        }
        let file = fs::File::create(site.path("f")).unwrap();
        file.set_len(size).unwrap();
        let now_us = SystemClock.now_us();
        let found = roll_back(&mut site.engine, &site.root, &site.policy, now_us).unwrap();
        assert_eq!((found.older, found.missing), (1, 0), "{is_new} {size}");
        site.scan();
        assert_eq!(site.engine.take_ops(), [], "{is_new} {size}");
        let shown = site.engine.applied(inode).unwrap().unwrap();
        assert_eq!(shown.content.unwrap().value.size, size);
        fs::remove_file(site.dir.path().with_extension("away")).ok();
    }
}
