//! What people and scripts read, from the program itself and a daemon of its own: the same JSON whatever the terminal,
//! every exit code, colours, and a watch that outlives the daemon.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::cli::{cfs_repl, run};
use crate::lab::{Lab, LabOptions, comes, has_program};

const ESCAPE: char = '\u{1b}';
/// Somebody who owns nothing.
const NOBODY: u32 = 65_534;

/// Two sites in step with one conflict on record, and how the first one is reached.
fn with_conflict() -> (Lab, String) {
    let options = LabOptions {
        is_cuttable: true,
        ..LabOptions::default()
    };
    let mut lab = Lab::started(&options);
    fs::write(lab.a.tree.join("plän"), "before\n").unwrap();
    lab.assert_settles("output");
    lab.cut();
    fs::write(lab.a.tree.join("plän"), "from a\n").unwrap();
    lab.a.assert_journals("output");
    fs::write(lab.b.tree.join("plän"), "from b\n").unwrap();
    lab.b.assert_journals("output");
    lab.join();
    lab.assert_settles("output");
    let server = format!("unix:{}", lab.a.socket.display());
    (lab, server)
}

#[test]
fn what_scripts_and_people_read_of_a_daemon() {
    let (mut lab, server) = with_conflict();
    the_json_is_the_same_whatever_the_terminal(&server);
    every_exit_code_is_reached(&lab, &server);
    places_for_a_loser_have_the_codes_of_the_table(&lab, &server);
    strangers_and_interruptions_have_codes_of_their_own(&lab, &server);
    colours_are_for_who_wants_them(&server);
    a_watch_outlives_the_daemon(&mut lab, &server);
}

/// The text with what stands for times replaced, all other bytes as they are.
fn without_time_bytes(text: &str) -> String {
    let is_time = |part: &str| {
        let key = part.split_once("\":").map_or("", |(key, _)| key);
        key.ends_with("_us") || key.ends_with("_at")
    };
    let mut kept = String::new();
    let mut rest = text;
    for part in text.split(['{', ',', '}', '[', ']']) {
        let (_, after) = rest.split_once(part).unwrap();
        if !is_time(part) {
            kept.push_str(part);
        }
        kept.extend(after.chars().next());
        rest = after.get(1..).unwrap_or_default();
    }
    kept
}

fn the_json_is_the_same_whatever_the_terminal(server: &str) {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let cases: [Case<'_>; 7] = [
        (&["--color", "always"], &[]),
        (&[], &[("LC_ALL", "C")]),
        (&[], &[("LANG", "de_DE.UTF-8")]),
        (&[], &[("COLUMNS", "40")]),
        (&[], &[("NO_COLOR", "1")]),
        (&[], &[("CLICOLOR_FORCE", "1"), ("TERM", "xterm-256color")]),
        (&["--local"], &[("TZ", "Asia/Tokyo")]),
    ];
    for words in [
        &["status"][..],
        &["lag"],
        &["conflicts", "list"],
        &["check"],
    ] {
        let words = [words, &["-o", "json", "-s", server]].concat();
        let plain = || run(&mut cfs_repl(&words)).1;
        validate(&plain());
        for (flags, environment) in &cases {
            let words = [&words, *flags].concat();
            let mut command = cfs_repl(&words);
            command.envs(environment.iter().copied());
            // A heartbeat between two questions may change what is known of the peer.
            let is_equal = comes(Duration::from_secs(20), || {
                let (before, told, after) = (plain(), run(&mut command).1, plain());
                let [before, told, after] =
                    [before, told, after].map(|text| without_time_bytes(&text));
                assert!(!told.contains(ESCAPE), "{told}");
                told == before && told == after
            });
            assert!(is_equal, "{words:?} {environment:?}");
        }
    }
}

/// It parses, with the parser that scripts use, and is what its schema describes.
fn validate(text: &str) {
    if has_program("jq") {
        let mut jq = Command::new("jq");
        let jq = jq.args(["-e", ".items | length > 0"]).stdin(Stdio::piped());
        let mut child = jq.stdout(Stdio::null()).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
    }
    let document: Value = serde_json::from_str(text).unwrap();
    let name = document["schema"].as_str().unwrap();
    let (code, schema, talk) = run(&mut cfs_repl(&["schema", name]));
    assert_eq!(code, Some(0), "{talk}");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}

/// One command for each code. What needs a daemon is asked of a living one.
fn every_exit_code_is_reached(lab: &Lab, server: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let none = format!("unix:{path}/none.sock");
    let tree = lab.a.tree.to_str().unwrap();
    let missing = format!("{path}/none.toml");
    for (code, word, words) in [
        (0, "", &["status", "-s", server][..]),
        (1, "failure", &["journal", "tail", "--state", path]),
        (2, "usage", &["lag", "--sort", "nothing"]),
        (3, "daemon_unreachable", &["status", "-s", &none]),
        (4, "not_found", &["status", "nowhere", "-s", server]),
        (6, "config_invalid", &["status", "--config", &missing]),
        (
            7,
            "timed_out",
            &[
                "wait",
                "--for",
                "lag<0s",
                "--timeout",
                "300ms",
                "-s",
                server,
            ],
        ),
        (
            8,
            "precondition_lost",
            &["conflicts", "ack", "--all", "--expect", "99", "-s", server],
        ),
        (9, "", &["compare", tree, path]),
        (
            20,
            "",
            &["check", "--warn", "0s", "--crit", "1h", "-s", server],
        ),
        (
            21,
            "",
            &["check", "--warn", "0s", "--crit", "0s", "-s", server],
        ),
    ] {
        assert_ends(code, word, words);
    }
}

/// Putting a loser back and saving it fail alike where the same is wrong: what was typed, or the place.
fn places_for_a_loser_have_the_codes_of_the_table(lab: &Lab, server: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    fs::write(file("taken"), "mine").unwrap();
    let list = ["conflicts", "list", "-o", "name", "-s", server];
    let id = run(&mut cfs_repl(&list)).1;
    let id = id.trim();
    for (code, word, as_path, to_file) in [
        (8, "precondition_lost", "plän", file("taken")),
        (8, "precondition_lost", "none/loser", file("none/loser")),
        (8, "precondition_lost", "plän/loser", file("taken/loser")),
        (2, "usage", "", String::new()),
    ] {
        let restore = ["conflicts", "restore", id, "--as", as_path, "-s", server];
        assert_ends(code, word, &restore);
        let save = [
            "conflicts",
            "show",
            id,
            "--save-loser",
            &to_file,
            "-s",
            server,
        ];
        assert_ends(code, word, &save);
    }
    for path in ["/plän", "../plän", ".cfs-repl/x"] {
        let restore = ["conflicts", "restore", id, "--as", path, "-s", server];
        assert_ends(2, "usage", &restore);
    }
    let (unknown, new) = ("c-0000000000", file("new"));
    assert_ends(
        4,
        "not_found",
        &["conflicts", "restore", unknown, "-s", server],
    );
    let save = [
        "conflicts",
        "show",
        unknown,
        "--save-loser",
        &new,
        "-s",
        server,
    ];
    assert_ends(4, "not_found", &save);
    assert_eq!(fs::read(file("taken")).unwrap(), b"mine");
    assert!(!dir.path().join("new").exists());
    let kept = fs::read(lab.a.tree.join("plän")).unwrap();
    assert!(kept.starts_with(b"from "), "{kept:?}");
}

/// The program ends with this code, and says so on stderr if it has a word for it there.
fn assert_ends(code: i32, word: &str, words: &[&str]) {
    let words = [words, &["-o", "json"]].concat();
    let (found, data, talk) = run(&mut cfs_repl(&words));
    assert_eq!(found, Some(code), "{words:?}\n{data}\n{talk}");
    if !word.is_empty() {
        let told: Value = serde_json::from_str(&talk).unwrap();
        assert_eq!(told["error"]["code"], word, "{talk}");
        assert_eq!(told["error"]["exit"], code, "{talk}");
        assert!(told["error"]["message"].is_string(), "{talk}");
    }
}

fn strangers_and_interruptions_have_codes_of_their_own(lab: &Lab, server: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, talk) = run(&mut forbidden(lab, server, dir.path()));
    assert_eq!(code, Some(5), "{talk}");
    let mut child = watching(&["status", "--watch=100ms", "-o", "jsonl", "-s", server]);
    interrupt_after_lines(&mut child, 3);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// A question of somebody who may not ask.
fn forbidden(lab: &Lab, server: &str, dir: &Path) -> Command {
    let program = dir.join("cfs-repl");
    let own = Path::new(env!("CARGO_BIN_EXE_cfs-repl"));
    if fs::hard_link(own, &program).is_err() {
        fs::copy(own, &program).unwrap();
    }
    let mut command = Command::new(program);
    command
        .args(["status", "-s", server])
        .env_clear()
        .stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(NOBODY);
    } else {
        let socket = &lab.a.socket;
        fs::set_permissions(socket, fs::Permissions::from_mode(0o000)).unwrap();
    }
    command
}

fn watching(words: &[&str]) -> Child {
    let mut command = cfs_repl(words);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads so many lines, and sends what Ctrl-C sends.
fn interrupt_after_lines(child: &mut Child, count: usize) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.take(count) {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert!(line["schema"].is_string(), "{line}");
    }
    interrupt(child);
}

fn interrupt(child: &Child) {
    let process = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
}

fn colours_are_for_who_wants_them(server: &str) {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], bool);
    let cases: [Case<'_>; 6] = [
        (&[], &[("TERM", "xterm-256color")], false),
        (
            &["--color", "always"],
            &[("NO_COLOR", "1"), ("TERM", "dumb")],
            true,
        ),
        (&[], &[("CLICOLOR_FORCE", "1")], true),
        (&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&["--color", "never"], &[("CLICOLOR_FORCE", "1")], false),
        (&[], &[("TERM", "dumb")], false),
    ];
    for (flags, environment, is_coloured) in cases {
        for words in [&["status"][..], &["lag"], &["sites", "list"]] {
            let words = [words, &["-s", server], flags].concat();
            let (_, data, _) = run(cfs_repl(&words).envs(environment.iter().copied()));
            assert_eq!(
                data.contains(ESCAPE),
                is_coloured,
                "{words:?} {environment:?} {data}"
            );
            let (_, data, _) = run(cfs_repl(&words)
                .args(["-o", "csv"])
                .envs(environment.iter().copied()));
            assert!(!data.contains(ESCAPE), "{data}");
        }
    }
    let local = ["conflicts", "list", "--local", "-s", server];
    let (_, data, _) = run(cfs_repl(&local).env("TZ", "XYZ-2"));
    assert!(data.contains("+02:00"), "{data}");
    let utc = ["conflicts", "list", "-s", server];
    let (_, data, _) = run(cfs_repl(&utc).env("TZ", "XYZ-2"));
    assert!(data.contains("Z  ") && !data.contains("+02:00"), "{data}");
}

fn a_watch_outlives_the_daemon(lab: &mut Lab, server: &str) {
    let mut child = watching(&[
        "lag",
        "--watch=100ms",
        "--timeout",
        "2s",
        "-o",
        "jsonl",
        "-s",
        server,
    ]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    lab.a.kill();
    // A daemon that is back before it is asked again was never away.
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut talk = String::new();
    while !talk.contains("; asked again every 0.1s\n") {
        assert_ne!(said.read_line(&mut talk).unwrap(), 0, "{talk}");
    }
    lab.a.start(&[]);
    let again = fs::metadata(&lab.a.socket).is_ok();
    assert!(again);
    // More than what the pipe may hold from before.
    let mut count = 0;
    let is_back = comes(Duration::from_secs(30), || {
        count += usize::from(lines.next().is_some_and(|line| line.is_ok()));
        count > 100
    });
    assert!(is_back, "{count}");
    interrupt(&child);
    said.read_to_string(&mut talk).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{talk}");
    assert!(talk.ends_with("the daemon answers again\n"), "{talk}");
}

#[test]
fn times_are_recognised_among_other_bytes() {
    let text = r#"{"a_us":1,"at":"x","b_at":null,"c":[{"d_us":-2,"e":"ü,1"}]}"#;
    assert_eq!(
        without_time_bytes(text),
        r#"{,"at":"x",,"c":[{,"e":"ü,1"}]}"#
    );
}
