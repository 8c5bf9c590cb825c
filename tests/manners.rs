//! Two sites edit one file while they do not see each other, in each manner in which programs edit.
//!
//! The same version must win at both, both must have it on record, and the bytes that lost must come back by
//! `conflicts restore`, or stand beside the winner under a name of their own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, LabOptions, cfs_repl, comes, read_all, run};

/// How a program puts new bytes under a name.
type Manner = fn(&Path, &[u8]);

#[test]
fn concurrent_edits_in_place_have_one_winner_and_the_loser_comes_back() {
    edit_apart("in place", false, |tree, bytes| {
        fs::write(tree.join("file"), bytes).unwrap();
    });
}

#[test]
fn concurrent_saves_by_rename_have_one_winner_and_the_loser_comes_back() {
    edit_apart("temporary and rename", false, |tree, bytes| {
        fs::write(tree.join(".file.tmp"), bytes).unwrap();
        fs::rename(tree.join(".file.tmp"), tree.join("file")).unwrap();
    });
}

#[test]
fn concurrent_moves_of_old_files_over_it_have_one_winner_and_the_loser_comes_back() {
    edit_apart("mv of an old file over it", true, |tree, bytes| {
        let old = read_all(tree)
            .into_iter()
            .find(|(path, old)| old == bytes && !path.starts_with(tree.join(".cfs-repl")));
        fs::rename(old.unwrap().0, tree.join("file")).unwrap();
    });
}

fn edit_apart(about: &str, has_old: bool, manner: Manner) {
    let options = LabOptions {
        is_cuttable: true,
        ..LabOptions::default()
    };
    let mut lab = Lab::started(&options);
    fs::write(lab.a.tree.join("file"), "before\n").unwrap();
    if has_old {
        // They came from elsewhere: what a site made itself a moment ago would be a save.
        fs::write(lab.b.tree.join("old-1"), "from a\n").unwrap();
        fs::write(lab.a.tree.join("old-2"), "from b\n").unwrap();
    }
    lab.assert_settles(about);
    lab.cut();
    manner(&lab.a.tree, b"from a\n");
    lab.a.assert_journals(about);
    manner(&lab.b.tree, b"from b\n");
    lab.b.assert_journals(about);
    lab.join();
    lab.assert_settles(about);
    assert_resolved(&mut lab, about);
}

fn assert_resolved(lab: &mut Lab, about: &str) {
    let winner = fs::read(lab.a.tree.join("file")).unwrap();
    assert_eq!(
        winner,
        fs::read(lab.b.tree.join("file")).unwrap(),
        "{about}"
    );
    assert_eq!(winner, b"from b\n", "{about}: the later one wins");
    let [at_a, at_b] = lab
        .pair()
        .map(|site| open_conflicts(&site.ask(&["conflicts", "list"])));
    println!("{about}: {at_a:?}");
    assert_eq!(at_a, at_b, "{about}: the same records at both");
    assert!(!at_a.is_empty(), "{about}: no record");
    let loser = b"from a\n";
    let stands = |lab: &Lab| {
        let tree = &lab.a.tree;
        let mut found = read_all(tree).into_iter();
        found.any(|(path, bytes)| bytes == loser && !path.starts_with(tree.join(".cfs-repl")))
    };
    if !stands(lab) {
        let id = &at_a[0].0;
        let server = format!("unix:{}", lab.a.state.join("admin.sock").display());
        run(cfs_repl().args([
            "conflicts",
            "restore",
            id,
            "--as",
            "restored",
            "--server",
            &server,
        ]));
        lab.assert_settles(about);
    }
    assert!(stands(lab), "{about}: the loser did not come back");
    assert_acknowledged_at_both(lab, about);
}

/// What is acknowledged at one site is so at the other one.
fn assert_acknowledged_at_both(lab: &mut Lab, about: &str) {
    let ids = open_conflicts(&lab.b.ask(&["conflicts", "list"]));
    let ids = ids.iter().map(|(id, _)| id.as_str());
    let server = format!("unix:{}", lab.b.state.join("admin.sock").display());
    let mut ack = cfs_repl();
    ack.args(["conflicts", "ack"]).args(ids);
    run(ack.args(["--note", "looked at", "--server", &server]));
    let is_known = comes(Duration::from_secs(30), || {
        let listed = lab.a.ask(&["conflicts", "list"]);
        let items = listed["items"].as_array().unwrap();
        let mut open = items.iter().filter(|item| item["superseded"] == false);
        open.all(|item| item["ack"]["note"] == "looked at")
    });
    if !is_known {
        lab.fail(about, "site-a does not know of the acknowledgement");
    }
}

/// Ids and kinds of what is open, in order.
fn open_conflicts(listed: &Value) -> Vec<(String, String)> {
    let items = listed["items"].as_array().unwrap();
    let open = items.iter().filter(|item| item["superseded"] == false);
    let mut found: Vec<_> = open
        .map(|item| {
            let word = |key: &str| item[key].as_str().unwrap().to_owned();
            (word("id"), word("kind"))
        })
        .collect();
    found.sort();
    found
}
