//! The life of a conflict as an operator lives it: provoked, listed, looked at with both versions, acknowledged at one
//! site and seen at the other, taken back, and settled by putting the loser back.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, LabOptions, Site, cfs_repl, comes};

mod hook;

use hook::{Hook, Watch};

const PATIENCE: Duration = Duration::from_secs(30);
const FROM_A: &[u8] = b"from a\n";
const FROM_B: &[u8] = b"from b, longer\n";

fn ask(site: &Site, words: &[&str]) -> Output {
    let server = format!("unix:{}", site.socket.display());
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
pub(crate) fn provoke(lab: &mut Lab) -> String {
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
    let [at_a, at_b] = lab.pair().map(|site| unacked(site));
    assert_eq!(at_a, at_b, "stable ids");
    assert_eq!(at_a.len(), 1, "{at_a:?}");
    at_a.into_iter().next().unwrap()
}

#[test]
fn a_conflict_is_listed_shown_acknowledged_taken_back_and_restored_at_any_site() {
    let mut lab = Lab::new(&LabOptions {
        is_cuttable: true,
        ..LabOptions::default()
    });
    let (plain, secure) = (Hook::plain(), Hook::secure(lab.folder()));
    let authorities = secure.authority.clone().unwrap();
    lab.a.start(&[("CFS_REPL_ALERTS__WEBHOOK", &plain.url)]);
    lab.b.start(&[
        ("CFS_REPL_ALERTS__WEBHOOK", &secure.url),
        ("SSL_CERT_FILE", &authorities),
    ]);
    let mut watch = Watch::start(
        &lab.a,
        &["conflicts", "watch", "--since", "1h", "-o", "jsonl"],
    );
    let id = provoke(&mut lab);
    for (hook, site) in [(&plain, "site-a"), (&secure, "site-b")] {
        assert_alert(&hook.alert(), site, &id);
    }
    assert_change(&watch.line(), "new", &id);
    assert_both_look(&lab, &id);
    acknowledge_at_b(&lab, &id);
    let known = comes(PATIENCE, || unacked(&lab.a).is_empty());
    assert!(known, "site-a does not know: {}", lab.a.tail());
    let seen = watch.line();
    assert_change(&seen, "acknowledged", &id);
    assert_eq!(seen["conflict"]["ack"]["note"], "b is right");
    let again = done(&lab.a, &["conflicts", "ack", &id]);
    assert!(
        again.starts_with(&format!("already acknowledged: {id} by ")),
        "{again}"
    );
    assert!(again.contains("\"b is right\""), "{again}");
    done(&lab.a, &["conflicts", "unack", &id]);
    let open = comes(PATIENCE, || unacked(&lab.b) == [id.clone()]);
    assert!(open, "site-b does not know: {}", lab.b.tail());
    assert_change(&watch.line(), "reopened", &id);
    done(&lab.a, &["conflicts", "restore", &id]);
    assert_change(&watch.line(), "restored", &id);
    let back = lab.b.tree.join("d/file");
    let is_back = comes(PATIENCE, || {
        fs::read(&back).is_ok_and(|bytes| bytes == FROM_A)
    });
    assert!(is_back, "the loser did not come back: {}", lab.b.tail());
    let synced = done(&lab.a, &["wait", "--for", "synced", "--timeout", "30s"]);
    assert!(synced.starts_with("synced after "), "{synced}");
    lab.assert_settles("restored");
    assert_change(&watch.line(), "superseded", &id);
    watch.interrupt();
    assert_resumes(&lab.a, seen["number"].as_u64().unwrap());
    assert_settled(&lab);
    assert_later_work_is_not_covered_unasked(&lab.a, &id);
    assert_a_lost_daemon_is_told(&mut lab);
}

/// What was restored is later than what won.
fn assert_later_work_is_not_covered_unasked(site: &Site, id: &str) {
    let refused = ask(site, &["conflicts", "restore", id]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(8), "{told}");
    assert!(
        told.contains("later than what won") && told.contains("--over-later"),
        "{told}"
    );
    done(site, &["conflicts", "restore", id, "--over-later"]);
}

fn assert_both_look(lab: &Lab, id: &str) {
    assert_filters_find_it(&lab.a, id);
    for site in [&lab.a, &lab.b] {
        assert_shown(site, id);
        let file = lab.folder().join(format!("loser-{}", site.name));
        done(
            site,
            &[
                "conflicts",
                "show",
                id,
                "--save-loser",
                file.to_str().unwrap(),
            ],
        );
        assert_eq!(fs::read(&file).unwrap(), FROM_A, "{}", site.name);
        assert_differs(site, id);
    }
}

/// All that are open, which are one: another number is refused.
fn acknowledge_at_b(lab: &Lab, id: &str) {
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
    assert_eq!(unacked(&lab.b), [id.to_owned()], "nothing was acknowledged");
    assert!(done(&lab.b, &all("1")).starts_with(&format!("acknowledged {id} as ")));
}

fn assert_settled(lab: &Lab) {
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

/// Whoever follows hears of it, and how to go on.
fn assert_a_lost_daemon_is_told(lab: &mut Lab) {
    let words = ["conflicts", "watch", "--since", "1h"];
    let mut watch = Watch::start(&lab.a, &words);
    assert!(watch.text().starts_with("TIME"));
    lab.a.kill();
    let (code, told) = watch.end();
    assert_eq!(code, Some(3), "{told}");
    assert!(
        told.contains("go on: cfs-repl conflicts watch --after "),
        "{told}"
    );
}

fn assert_alert(alert: &Value, site: &str, id: &str) {
    assert_eq!(alert["schema"], "cfs-repl/alert/v1");
    assert_eq!(
        (&alert["site"], &alert["cluster"]),
        (&site.into(), &"lab".into())
    );
    assert_eq!(alert["held_back"], 0);
    let event = &alert["event"];
    assert_eq!(
        (&event["name"], &event["level"]),
        (&"conflict.lossy".into(), &"warn".into())
    );
    let fields = &event["fields"];
    assert_eq!(
        (&fields["conflict"], &fields["path"]),
        (&id.into(), &"d/file".into())
    );
    assert_eq!(
        (&fields["won"], &fields["lost"]),
        (&"site-b".into(), &"site-a".into())
    );
    assert_eq!(fields["lost_bytes"], FROM_A.len().to_string());
}

fn assert_change(line: &Value, word: &str, id: &str) {
    assert_eq!(
        (&line["change"], &line["id"]),
        (&word.into(), &id.into()),
        "{line:#}"
    );
    assert_eq!(line["conflict"]["path"], "d/file");
}

/// What came behind a line is told again to whoever saw that line last.
fn assert_resumes(site: &Site, after: u64) {
    let after = after.to_string();
    let words = [
        "conflicts",
        "watch",
        "--after",
        &after,
        "-o",
        "jsonl",
        "--lossy",
    ];
    let mut watch = Watch::start(site, &words);
    for word in ["reopened", "restored", "superseded"] {
        assert_eq!(watch.line()["change"], word);
    }
    watch.interrupt();
    let nothing = ask(site, &["conflicts", "watch", "--site", "nobody"]);
    assert_eq!(nothing.status.code(), Some(4), "{nothing:?}");
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

/// What differs is told to people, and the same to scripts.
fn assert_differs(site: &Site, id: &str) {
    let output = ask(site, &["conflicts", "show", id, "--diff"]);
    let told = String::from_utf8(output.stdout).unwrap();
    let diff =
        "--- d/file (lost, by site-a)\n+++ d/file (shown)\n@@ -1 +1 @@\n-from a\n+from b, longer\n";
    assert!(told.ends_with(&format!("\n\n{diff}")), "{told}");
    let shown = site.ask(&["conflicts", "show", id, "--diff"]);
    assert_eq!(shown["items"][0]["diff"], diff);
    assert_eq!(shown["items"][0]["no_diff"], Value::Null);
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
