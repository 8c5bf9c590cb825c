//! The logs as an operator looks into them: beside a running daemon, of one that was killed, and without a trace left;
//! and what compaction would make of a backlog.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lab::{Lab, LabOptions, Site, cfs_repl, comes, read_all};

const PATIENCE: Duration = Duration::from_secs(30);
/// A name that clears the screen, and one that is no text.
const HOSTILE: [&[u8]; 2] = [b"a\x1b[2J\nb", b"caf\xe9"];

fn asked(site: &Site, words: &[&str]) -> Output {
    let mut command = cfs_repl();
    command.args(words).arg("--config").arg(&site.config);
    command.output().unwrap()
}

/// What a command prints that succeeds.
fn told(site: &Site, words: &[&str]) -> String {
    let output = asked(site, words);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {talk}");
    String::from_utf8(output.stdout).unwrap()
}

fn items(site: &Site, words: &[&str]) -> Vec<Value> {
    let words = [words, &["-o", "json"]].concat();
    let document: Value = serde_json::from_str(&told(site, &words)).unwrap();
    document["items"].as_array().unwrap().clone()
}

/// The logs of a site, but for what the daemon itself writes.
fn logs_of(site: &Site) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = read_all(&site.state.join("journal"));
    found.extend(read_all(&site.state.join("received")));
    found.sort();
    found
}

fn write_hostile(tree: &Path) {
    for name in HOSTILE {
        fs::write(tree.join(std::ffi::OsStr::from_bytes(name)), "x\n").unwrap();
    }
}

#[test]
fn logs_are_looked_at_beside_running_daemons_and_after_a_kill_and_stay_as_they_are() {
    let mut lab = Lab::started(&LabOptions::default());
    write_hostile(&lab.a.tree);
    fs::create_dir(lab.a.tree.join("d")).unwrap();
    fs::write(lab.a.tree.join("d/plain"), "plain\n").unwrap();
    lab.assert_settles("before");
    assert_told(&lab.a, &["journal", "tail", "-n", "1000"]);
    assert_told(&lab.b, &["journal", "tail", "-n", "1000", "--of", "site-a"]);
    assert_told(&lab.b, &["journal", "tail", "-n", "1000", "--of", "1"]);
    for site in [&lab.a, &lab.b] {
        // While it is being written.
        for nth in 0..10 {
            fs::write(site.tree.join("busy"), format!("{nth}")).unwrap();
            let verified = items(site, &["journal", "verify"]);
            assert_eq!(verified.len(), 2, "{verified:?}");
            assert!(
                verified.iter().all(|log| log["sound"] == true),
                "{verified:?}"
            );
        }
    }
    lab.assert_settles("busy");
    assert_filters_find(&lab.a);
    lab.a.kill();
    lab.b.kill();
    let before = logs_of(&lab.a);
    assert_told(&lab.a, &["journal", "tail", "-n", "1000"]);
    told(&lab.a, &["journal", "verify"]);
    told(&lab.a, &["journal", "export"]);
    told(&lab.a, &["compact", "--dry-run"]);
    let stat = items(&lab.a, &["journal", "stat"]);
    assert_eq!(
        (&stat[0]["kind"], &stat[0]["site"]),
        (&"journal".into(), &"site-a".into())
    );
    assert_eq!(
        (&stat[1]["kind"], &stat[1]["site"]),
        (&"received".into(), &"site-b".into())
    );
    let exported = told(&lab.a, &["journal", "export"]);
    assert_eq!(stat[0]["entries"], exported.lines().count());
    let is_same = logs_of(&lab.a) == before;
    assert!(is_same, "a log was changed");
    assert_damage_is_told(&lab.a);
}

/// The hostile names are there and steer no terminal.
fn assert_told(site: &Site, words: &[&str]) {
    let text = told(site, words);
    assert!(
        text.contains("a\\u{1b}[2J\\nb") && text.contains("caf\\xe9"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
}

fn assert_filters_find(site: &Site) {
    let found = items(
        site,
        &["journal", "tail", "--op", "create", "--path", "plain"],
    );
    assert_eq!(found.len(), 1, "{found:?}");
    let entry = &found[0];
    let (stream, seq) = (entry["stream"].to_string(), entry["seq"].as_str().unwrap());
    let inode = entry["inode"].as_str().unwrap();
    let of_file = items(
        site,
        &["journal", "tail", "--inode", inode, "--since", "1h"],
    );
    assert!(
        of_file.iter().all(|one| one["inode"] == inode),
        "{of_file:?}"
    );
    let shown = items(site, &["journal", "show", &stream, seq]);
    assert_eq!(shown[0]["name"], "plain");
    assert_eq!(shown[0]["crc_ok"], true);
    let text = told(site, &["journal", "show", &stream, seq]);
    assert!(text.contains("name       plain in directory "), "{text}");
    let none = asked(site, &["journal", "show", &stream, "999999"]);
    assert_eq!(none.status.code(), Some(4));
    let talk = String::from_utf8_lossy(&none.stderr);
    assert!(talk.contains("kept are 1 to "), "{talk}");
    for (words, code) in [
        (&["journal", "tail", "--of", "site-x"][..], 4),
        (&["journal", "tail", "--op", "writ"], 2),
        (&["journal", "tail", "--path", "d/*"], 2),
        (&["journal", "tail", "-f", "-o", "json"], 2),
        (&["journal", "export", "-o", "json"], 2),
        (&["journal", "tail", "--state", "/no/such/folder"], 1),
        (&["compact"], 2),
        (&["compact", "--dry-run", "--site", "site-x"], 4),
    ] {
        let output = asked(site, words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        assert!(
            output.stderr.ends_with(b"\n") && output.stdout.is_empty(),
            "{words:?}"
        );
    }
}

fn assert_damage_is_told(site: &Site) {
    let segment = site.state.join("journal/00000000000000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[150] ^= 0xFF;
    fs::write(&segment, &bytes).unwrap();
    let output = asked(site, &["journal", "verify"]);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{talk}");
    assert!(
        talk.contains("error: 1 of 2 logs damaged") && talk.contains("offset "),
        "{talk}"
    );
    assert!(
        talk.contains("hint:  keep a copy of the state folder"),
        "{talk}"
    );
    assert!(fs::read(&segment).unwrap() == bytes, "it was changed");
}

/// A process that does not outlive its test.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_journal_is_followed_until_ctrl_c_and_a_reader_that_goes_away_is_no_failure() {
    let mut lab = Lab::new(&LabOptions::default());
    lab.a.start(&[]);
    fs::write(lab.a.tree.join("first"), "x\n").unwrap();
    lab.a.assert_journals("site-a");
    let mut command = cfs_repl();
    command
        .args([
            "journal", "tail", "-f", "-n", "1000", "-o", "jsonl", "--config",
        ])
        .arg(&lab.a.config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Child(command.spawn().unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let (tell, told) = channel();
    let reading = std::thread::spawn(move || {
        for line in lines {
            // Nobody listens any more when the test has failed.
            drop(tell.send(line.unwrap()));
        }
    });
    let assert_comes = |name: &str| loop {
        let line = told.recv_timeout(PATIENCE).unwrap();
        let entry: Value = serde_json::from_str(&line).unwrap();
        if entry["name"] == name {
            break;
        }
    };
    // It follows from where what it prints at first ends.
    assert_comes("first");
    for name in ["second", "third"] {
        fs::write(lab.a.tree.join(name), "x\n").unwrap();
        assert_comes(name);
    }
    kill_process(Pid::from_child(&child.0), Signal::INT).unwrap();
    reading.join().unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(130));
    for words in [&["journal", "export"][..], &["journal", "tail"]] {
        let mut command = cfs_repl();
        command.args(words).arg("--config").arg(&lab.a.config);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
}

#[test]
fn a_backlog_is_previewed_by_the_daemon_and_from_the_folder_and_stays_to_be_sent() {
    let mut lab = Lab::started(&LabOptions::default());
    let file = lab.a.tree.join("file");
    fs::write(&file, "before\n").unwrap();
    lab.assert_settles("before");
    let behind = |lab: &Lab| lab.a.ask(&["lag"])["items"][0]["behind_entries"].clone();
    let caught_up = comes(PATIENCE, || behind(&lab) == 0);
    assert!(caught_up, "{}", lab.a.tail());
    lab.b.kill();
    for nth in 0..4 {
        fs::write(&file, format!("version {nth}\n")).unwrap();
        lab.a.assert_journals("site-a");
    }
    let waits = behind(&lab);
    let preview = |lab: &Lab| items(&lab.a, &["compact", "--dry-run", "--site", "site-b"]);
    let asked = preview(&lab);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["site"], "site-b");
    assert_eq!(asked[0]["total"]["in_entries"], waits, "{asked:?}");
    assert!(
        asked[0]["total"]["dropped_entries"].as_u64() > Some(0),
        "{asked:?}"
    );
    let dropped = told(
        &lab.a,
        &["compact", "--dry-run", "--show", "dropped", "-o", "jsonl"],
    );
    let count = dropped.lines().count();
    assert_eq!(asked[0]["total"]["dropped_entries"], count, "{dropped}");
    assert!(
        dropped.lines().all(|line| line.contains("later write")),
        "{dropped}"
    );
    let table = told(&lab.a, &["compact", "--dry-run"]);
    assert!(table.contains("nothing was changed"), "{table}");
    assert_eq!(behind(&lab), waits, "nothing was sent or lost by looking");
    lab.a.kill();
    let read = preview(&lab);
    let all = read[0]["total"]["in_entries"].as_u64();
    assert!(all >= waits.as_u64(), "{read:?}");
    assert!(!read[0]["notes"].as_array().unwrap().is_empty(), "{read:?}");
    lab.a.start(&[]);
    lab.b.start(&[]);
    lab.assert_settles("sent");
}
