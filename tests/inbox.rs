//! The life of a conflict as an operator lives it: provoked, listed, looked at with both versions, acknowledged at one
//! site and seen at the other, taken back, and settled by putting the loser back.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, LabOptions, Site, cfs_repl, comes};

const PATIENCE: Duration = Duration::from_secs(30);
const FROM_A: &[u8] = b"from a\n";
const FROM_B: &[u8] = b"from b, longer\n";

fn ask(site: &Site, words: &[&str]) -> Output {
    let server = format!("unix:{}", site.state.join("admin.sock").display());
    let mut command: Command = cfs_repl();
    command.args(words).args(["--server", &server]);
    command.output().unwrap()
}

/// What a command says of what it did; it succeeds.
fn done(site: &Site, words: &[&str]) -> String {
    let output = ask(site, words);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words:?}: {told}");
    told
}

fn unacked(site: &Site) -> Vec<String> {
    let output = ask(site, &["conflicts", "list", "--unacked", "-o", "name"]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Both sites edit a file apart; the later edit, of site B, wins. The id of the conflict.
fn provoke(lab: &mut Lab) -> String {
    fs::create_dir(lab.a.tree.join("d")).unwrap();
    fs::write(lab.a.tree.join("d/file"), "before\n").unwrap();
    lab.assert_settles("before");
    lab.cut();
    fs::write(lab.a.tree.join("d/file"), FROM_A).unwrap();
    lab.a.assert_journals("site-a");
    fs::write(lab.b.tree.join("d/file"), FROM_B).unwrap();
    lab.b.assert_journals("site-b");
    lab.join();
    lab.assert_settles("the conflict");
    let [at_a, at_b] = lab.sites().map(|site| unacked(site));
    assert_eq!(at_a, at_b, "stable ids");
    assert_eq!(at_a.len(), 1, "{at_a:?}");
    at_a.into_iter().next().unwrap()
}

#[test]
fn a_conflict_is_listed_shown_acknowledged_taken_back_and_restored_at_any_site() {
    let mut lab = Lab::started(&LabOptions {
        is_cuttable: true,
        ..LabOptions::default()
    });
    let id = provoke(&mut lab);
    assert_filters_find_it(&lab.a, &id);
    for site in [&lab.a, &lab.b] {
        assert_shown(site, &id);
        let file = lab.folder().join(format!("loser-{}", site.name));
        done(
            site,
            &[
                "conflicts",
                "show",
                &id,
                "--save-loser",
                file.to_str().unwrap(),
            ],
        );
        assert_eq!(fs::read(&file).unwrap(), FROM_A, "{}", site.name);
    }
    let all = |expect: &'static str| {
        [
            "conflicts",
            "ack",
            "--all",
            "--expect",
            expect,
            "--note",
            "b is right",
        ]
    };
    let raced = ask(&lab.b, &all("2"));
    assert_eq!(raced.status.code(), Some(8), "{raced:?}");
    assert_eq!(
        unacked(&lab.b),
        std::slice::from_ref(&id),
        "nothing was acknowledged"
    );
    assert!(done(&lab.b, &all("1")).starts_with(&format!("acknowledged {id} as ")));
    let known = comes(PATIENCE, || unacked(&lab.a).is_empty());
    assert!(known, "site-a does not know: {}", lab.a.tail());
    let again = done(&lab.a, &["conflicts", "ack", &id]);
    assert!(
        again.starts_with(&format!("already acknowledged: {id} by ")),
        "{again}"
    );
    assert!(again.contains("\"b is right\""), "{again}");
    done(&lab.a, &["conflicts", "unack", &id]);
    let open = comes(PATIENCE, || unacked(&lab.b) == [id.clone()]);
    assert!(open, "site-b does not know: {}", lab.b.tail());
    done(&lab.a, &["conflicts", "restore", &id]);
    let back = lab.b.tree.join("d/file");
    let is_back = comes(PATIENCE, || {
        fs::read(&back).is_ok_and(|bytes| bytes == FROM_A)
    });
    assert!(is_back, "the loser did not come back: {}", lab.b.tail());
    let synced = done(&lab.a, &["wait", "--for", "synced", "--timeout", "30s"]);
    assert!(synced.starts_with("synced after "), "{synced}");
    lab.assert_settles("restored");
    for site in [&lab.a, &lab.b] {
        assert!(unacked(site).is_empty(), "what had seen both settled it");
        let check = ask(site, &["check", "--format", "nagios"]);
        assert!(check.status.success(), "{check:?}");
        assert!(
            check.stdout.starts_with(b"CFS-REPL OK - site-"),
            "{check:?}"
        );
    }
}

fn assert_filters_find_it(site: &Site, id: &str) {
    for (filter, is_found) in [
        (&["--path", "d/*"][..], true),
        (&["--path", "*"], false),
        (&["--lossy"], true),
        (&["--site", "site-b"], true),
        (&["--site", "site-c"], false),
        (&["--since", "1h"], true),
        (&["--acked"], false),
        (&["--inode", "1"], false),
    ] {
        let mut words = vec!["conflicts", "list", "-o", "name"];
        words.extend(filter);
        let found = String::from_utf8(ask(site, &words).stdout).unwrap();
        assert_eq!(
            found.lines().any(|line| line == id),
            is_found,
            "{filter:?}: {found}"
        );
    }
}

fn assert_shown(site: &Site, id: &str) {
    let shown: Value = site.ask(&["conflicts", "show", id]);
    let shown = &shown["items"][0];
    assert_eq!(shown["id"], id, "{shown:#}");
    assert_eq!(shown["path"], "d/file");
    assert_eq!(shown["lost"]["size_bytes"], FROM_A.len());
    assert_eq!(shown["shown"]["size_bytes"], FROM_B.len());
    assert_ne!(shown["lost"]["root"], shown["shown"]["root"]);
    assert_eq!(shown["shown_is_winner"], true, "{shown:#}");
    assert_eq!(shown["bytes_at"], "here", "short ones are in the record");
    assert_eq!(shown["why"], "the winner is stamped later");
    // The clocks of both sites are the same one, and they are compared within the first seconds of a connection.
    let is_certain = || site.ask(&["conflicts", "show", id])["items"][0]["order_certain"] == true;
    assert!(comes(PATIENCE, is_certain), "{shown:#}");
}
