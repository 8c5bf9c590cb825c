//! Trees that had files before their sites met: compared instead of refused, with daemons as an operator runs them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, LabOptions, Site, cfs_repl, comes};

const PATIENCE: Duration = Duration::from_secs(60);
const MATCH: (&str, &str) = ("CFS_REPL_TREE__EXISTING", "match");

fn write(site: &Site, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(site.tree.join(name), bytes).unwrap();
}

#[track_caller]
fn assert_arrives(lab: &mut Lab, which: usize, name: &str, text: &str) {
    let path = lab.site(which).tree.join(name);
    let holds = || fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes());
    if !comes(PATIENCE, holds) {
        lab.fail(name, "did not arrive");
    }
}

fn conflicts(site: &Site) -> Vec<Value> {
    let listed = site.ask(&["conflicts", "list"]);
    listed["items"].as_array().unwrap().clone()
}

fn server(site: &Site) -> String {
    format!("unix:{}", site.socket.display())
}

/// What both have is not sent again, what differs is as the cluster has it, and what one has is at both.
#[test]
fn a_tree_that_was_copied_by_hand_joins_and_is_not_sent_again() {
    let mut lab = Lab::new(&LabOptions::default());
    let big = vec![7_u8; 3 << 20];
    for which in 0..2 {
        let site = lab.site(which);
        fs::create_dir(site.tree.join("d")).unwrap();
        for nth in 0..40 {
            write(site, &format!("d/{nth}"), format!("{nth}"));
        }
        write(site, "big", &big);
        let own = format!("of {}", site.name);
        write(site, "both", &own);
        write(site, &format!("only-{}", site.name), &own);
    }
    lab.a.start(&[]);
    let before = fs::metadata(lab.b.tree.join("big")).unwrap().ino();
    lab.b.start(&[MATCH]);
    assert_arrives(&mut lab, 1, "only-site-a", "of site-a");
    assert_arrives(&mut lab, 0, "only-site-b", "of site-b");
    assert_arrives(&mut lab, 1, "both", "of site-a");
    lab.assert_settles("joined");
    let after = fs::metadata(lab.b.tree.join("big")).unwrap().ino();
    assert_eq!(after, before, "another file took its place");
    let found = conflicts(&lab.b);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(conflicts(&lab.a).is_empty(), "known where it was");
    let id = found[0]["id"].as_str().unwrap();
    let mut restore = cfs_repl();
    restore.args(["conflicts", "restore", id, "--server", &server(&lab.b)]);
    let output = restore.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_arrives(&mut lab, 0, "both", "of site-b");
    // It is a site like any other one, and the word in its configuration means nothing any more.
    lab.b.kill();
    write(&lab.b, "d/0", "changed at b");
    lab.b.start(&[MATCH]);
    assert_arrives(&mut lab, 0, "d/0", "changed at b");
    lab.assert_settles("as any other site");
    for site in [&lab.a, &lab.b] {
        assert_eq!(site.errors(), Vec::<String>::new(), "{}", site.name);
    }
}

/// Nothing is journaled before the others are heard, and status says what it waits for.
#[test]
fn a_tree_that_waits_for_the_others_is_journaled_by_nobody() {
    let mut lab = Lab::new(&LabOptions::default());
    write(&lab.a, "f", "of a");
    write(&lab.b, "f", "of b");
    lab.b.start(&[MATCH]);
    let told = comes(PATIENCE, || {
        let status = lab.b.ask(&["status"]).to_string();
        status.contains("waits for site-a to connect")
    });
    assert!(told, "{}", lab.b.tail());
    assert_eq!(fs::read(lab.b.tree.join("f")).unwrap(), b"of b");
    lab.b.kill();
    lab.b.start(&[MATCH]);
    lab.a.start(&[]);
    assert_arrives(&mut lab, 1, "f", "of a");
    lab.assert_settles("joined");
    let status = lab.b.ask(&["status"]).to_string();
    assert!(!status.contains("compared with"), "{status}");
}

/// A site whose journal ended comes back with its tree where it was.
#[test]
fn a_site_that_was_taken_out_comes_back_with_its_tree() {
    let mut lab = Lab::started(&LabOptions::default());
    for nth in 0..40 {
        write(&lab.a, &format!("{nth}"), format!("{nth}"));
    }
    lab.assert_settles("before");
    lab.b.kill();
    write(&lab.b, "never-sent", "b");
    write(&lab.b, "1", "stale edit");
    write(&lab.a, "2", "newer");
    fs::remove_dir_all(&lab.b.state).unwrap();
    fs::remove_dir_all(lab.b.tree.join(".cfs-repl")).unwrap();
    let mut remove = cfs_repl();
    remove.args(["sites", "remove", "site-b", "--confirm", "site-b"]);
    let output = remove.args(["--server", &server(&lab.a)]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    lab.b.start(&[MATCH]);
    assert_arrives(&mut lab, 0, "never-sent", "b");
    assert_arrives(&mut lab, 1, "1", "1");
    assert_arrives(&mut lab, 1, "2", "newer");
    lab.assert_settles("came back");
    let lost = conflicts(&lab.b);
    assert_eq!(lost.len(), 2, "both are to be had: {lost:#?}");
}
