//! The connector as its owner uses it: two of them running on threads, restarts, roles, serving content.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::fake::{FakeEngine, FakeSource};
use crate::clock::{Clock, SystemClock};
use crate::content::manifest::{BlobHash, Manifest};
use crate::journal::op::OpKind;
use crate::sync::port::Engine;
use crate::tree::compare::compare;
use crate::tree::serve::Served;
use crate::tree::wake::Waker;
use crate::tree::{Connector, ConnectorEvent, ConnectorOptions};

fn connector(tree: &Path, state: &Path, engine: &FakeEngine, other: &Path) -> Connector {
    let source = FakeSource {
        other: other.to_owned(),
        ..FakeSource::default()
    };
    let mut options = ConnectorOptions::new(tree, state);
    options.policy.set_id = true;
    let clock = Arc::new(SystemClock);
    Connector::new(options, Box::new(engine.clone()), Box::new(source), clock).unwrap()
}

/// A failing test must not wait for its threads.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn two_running_connectors_keep_two_trees_equal() {
    let [a, b, state_a, state_b] = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let (engine_a, engine_b) = (FakeEngine::new(1), FakeEngine::new(2));
    let mut run_a = connector(a.path(), state_a.path(), &engine_a, b.path());
    let mut run_b = connector(b.path(), state_b.path(), &engine_b, a.path());
    let stop = Arc::new(AtomicBool::new(false));
    let wakers = [run_a.waker(), run_b.waker()];
    let started = SystemClock.monotonic();
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        let threads = [
            scope.spawn(|| run_a.run(&stop, &mut |_| ())),
            scope.spawn(|| run_b.run(&stop, &mut |_| ())),
        ];
        fs::create_dir_all(a.path().join("x/y")).unwrap();
        fs::write(a.path().join("x/y/f"), b"one").unwrap();
        fs::write(b.path().join("g"), b"two").unwrap();
        let mut renamed = false;
        let equal = loop {
            engine_a.pull(&engine_b);
            engine_b.pull(&engine_a);
            wakers.iter().for_each(Waker::wake);
            let there = |path: &str| b.path().join(path).exists() && a.path().join(path).exists();
            let equal = compare(a.path(), b.path(), 5).is_ok_and(|found| found.is_equal());
            if equal && there("x/y/f") && there("g") {
                fs::rename(b.path().join("x/y"), b.path().join("z")).unwrap();
                renamed = true;
            }
            if renamed && equal && there("z/f") {
                break true;
            }
            if SystemClock.monotonic() - started > Duration::from_secs(30) {
                break false;
            }
            std::thread::yield_now();
        };
        stop.store(true, Ordering::SeqCst);
        wakers.iter().for_each(Waker::wake);
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
        assert!(equal, "not equal within 30 s");
    });
    let ops = engine_b.take_ops();
    let renames = ops
        .iter()
        .filter(|op| op.change.kind() == OpKind::Rename)
        .count();
    assert_eq!(renames, 1, "{ops:?}");
}

#[test]
fn a_restart_finds_what_changed_and_stamps_it_with_its_ctime() {
    let [tree, state] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let engine = FakeEngine::new(1);
    fs::write(tree.path().join("f"), b"one").unwrap();
    connector(tree.path(), state.path(), &engine, tree.path())
        .scan_once()
        .unwrap();
    engine.take_ops();
    fs::write(tree.path().join("f"), b"second").unwrap();
    let mut again = connector(tree.path(), state.path(), &engine, tree.path());
    again.scan_once().unwrap();
    let ops = engine.take_ops();
    assert_eq!((ops.len(), ops[0].change.kind()), (1, OpKind::Write));
    let ctime = ops[0].device.unwrap().ctime;
    let ctime_us = ctime.seconds.unsigned_abs() * 1_000_000 + u64::from(ctime.nanos) / 1_000;
    assert_eq!(ops[0].back_date_us, Some(ctime_us));
    fs::write(tree.path().join("f"), b"third one").unwrap();
    again.scan_once().unwrap();
    assert_eq!(engine.take_ops()[0].back_date_us, None);
}

#[test]
fn a_replica_reports_local_changes_and_journals_none() {
    let [tree, state] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let engine = FakeEngine::new(1);
    let mut replica = connector(tree.path(), state.path(), &engine, tree.path());
    replica.set_receive_only(true);
    fs::write(tree.path().join("f"), b"local").unwrap();
    let report = replica.scan_once().unwrap();
    assert_eq!((report.diverged, report.ops), (1, 0));
    assert_eq!(engine.take_ops(), []);
}

#[test]
fn a_connector_begins_with_a_look_at_everything() {
    let [tree, state] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let engine = FakeEngine::new(1);
    let mut one = connector(tree.path(), state.path(), &engine, tree.path());
    let stop = Arc::new(AtomicBool::new(false));
    let mut complete = 0;
    fs::write(tree.path().join("f"), b"x").unwrap();
    let flag = Arc::clone(&stop);
    one.run(&stop, &mut |event| {
        if let ConnectorEvent::Scanned(report) = event {
            complete += u32::from(report.complete);
            flag.store(true, Ordering::SeqCst);
        }
    })
    .unwrap();
    assert_eq!(complete, 1);
    assert_eq!(engine.take_ops().len(), 2);
}

#[test]
fn content_is_served_with_the_hash_that_was_asked_for_or_not_at_all() {
    let [tree, state] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut engine = FakeEngine::new(1);
    let mut one = connector(tree.path(), state.path(), &engine, tree.path());
    let bytes: Vec<u8> = (0..500_000_u32)
        .flat_map(|i| i.wrapping_mul(i).to_le_bytes())
        .collect();
    fs::create_dir(tree.path().join("d")).unwrap();
    fs::write(tree.path().join("d/f"), &bytes).unwrap();
    one.scan_once().unwrap();
    let ops = engine.take_ops();
    let inode = ops
        .iter()
        .find(|op| op.change.kind() == OpKind::Write)
        .unwrap()
        .inode;
    let content = engine
        .applied(inode)
        .unwrap()
        .unwrap()
        .content
        .unwrap()
        .value;
    let Served::Found(nodes) = one.serve(inode, content.manifest_root, &[]).unwrap() else {
        panic!("gone");
    };
    let root = BlobHash(content.manifest_root.0);
    let manifest = Manifest::decode(&root, content.size, None, &nodes[0]).unwrap();
    let hashes: Vec<BlobHash> = manifest.parts.iter().filter_map(|part| part.hash).collect();
    let Served::Found(chunks) = one.serve(inode, content.manifest_root, &hashes).unwrap() else {
        panic!("gone");
    };
    assert_eq!(chunks.concat(), bytes);
    fs::write(tree.path().join("d/f"), b"other").unwrap();
    assert_eq!(
        one.serve(inode, content.manifest_root, &hashes).unwrap(),
        Served::Changed
    );
    assert_eq!(
        one.serve(77, content.manifest_root, &[]).unwrap(),
        Served::Gone
    );
}
