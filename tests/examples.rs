//! Every example of a command in the README, in `--help`, in the help topics and in the manual pages works as it stands.
//!
//! Examples are found, not listed, and run in the order of their page, in a folder of their own: a new one is run from
//! the day on which it is written, or stands in [`NOT_RUN`] with the reason. The tour of the README runs as a whole,
//! with its daemons; the manual pages, which hold the words of `--help`, are tried at a pair of sites that runs.

mod found;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::lab::{Lab, LabOptions, cfs_repl, has_program, run};
use found::{Found, of_page, of_readme, of_topic};

/// Examples that are not run here, and why.
const NOT_RUN: [(&str, &str); 6] = [
    (
        "cfs-repl status --server tls:HOST:7444/SITE.CLUSTER.cfs-repl --identity ops.pem",
        "it asks another machine; src/admin/service/tests/network.rs does so",
    ),
    (
        "cfs-repl top",
        "it needs a terminal; tests/top.rs gives it one",
    ),
    (
        "cfs-repl top --replay docs/incident.jsonl",
        "it needs a terminal; tests/top.rs plays it in one",
    ),
    (
        "cargo build --release",
        "the program under test is built already",
    ),
    (
        "alias cfs-repl=$PWD/target/release/cfs-repl",
        "the program under test stands in the search path",
    ),
    (
        "cfs-repl pair DIR_A DIR_B",
        "it runs until Ctrl-C; tests/demo.rs starts it and presses that",
    ),
];

/// The same for manual pages and help: two machines join in the tour of the README and in tests/invite.rs.
const NOT_RUN_OF_PAGES: [&str; 8] = [
    // It is for good; tests/takeover.rs does it.
    "cfs-repl sites remove NAME --confirm NAME",
    // It runs until Ctrl-C; tests/inbox.rs starts it and presses that.
    "cfs-repl conflicts watch -o jsonl",
    // It needs a terminal; tests/top.rs gives it one.
    "cfs-repl top --screen 4",
    "cfs-repl peer invite --name iad-2 --valid 30m",
    "cfs-repl peer invite",
    "cfs-repl join cfsjoin1.CgRwcm9k --root /srv/media && cfs-repl run",
    "cfs-repl join TOKEN --root ROOT --listen 0.0.0.0:7443",
    "cfs-repl run",
];
/// The lines of the README that are typed at two machines, as they are typed here, where both are one.
const TWO_MACHINES: [(&str, &str); 5] = [
    (
        "cfs-repl init --new-authority --name fra-1 --cluster prod --root /srv/media --listen 0.0.0.0:7443",
        "mkdir -p m1/media m2/media && cfs-repl init --new-authority --name fra-1 --cluster prod --root m1/media \
         --state m1/state --config m1/config.toml --listen 127.0.0.1:7443",
    ),
    ("cfs-repl run &", "cfs-repl run --config m1/config.toml &"),
    (
        "cfs-repl peer invite --endpoint fra.example.net:7443",
        "until cfs-repl status --config m1/config.toml; do sleep 0.1; done; \
         TOKEN=$(cfs-repl peer invite --config m1/config.toml --endpoint 127.0.0.1:7443)",
    ),
    (
        "cfs-repl join TOKEN --name iad-2 --root /srv/media",
        "cfs-repl join $TOKEN --name iad-2 --root m2/media --state m2/state --config m2/config.toml",
    ),
    (
        "cfs-repl run",
        "cfs-repl run --config m2/config.toml &\npids=\"$pids $!\"\n\
         cfs-repl wait --for connected --timeout 60s --config m1/config.toml",
    ),
];
/// Topics of `cfs-repl help`.
const TOPICS: [&str; 9] = [
    "exit-codes",
    "environment",
    "config",
    "output",
    "conflicts",
    "security",
    "metrics",
    "join",
    "events",
];

#[test]
fn the_examples_of_the_readme_work_in_their_order() {
    let readme = project().join("README.md");
    let found = of_readme(&fs::read_to_string(readme).unwrap());
    assert!(found.len() > 10, "the tour was not found: {found:?}");
    let folder = tempfile::tempdir().unwrap();
    let lab = folder.path().join("lab").display().to_string();
    let [port_a, port_b, port_c] = free_ports();
    let substitutes = [
        ("/tmp/lab", lab.as_str()),
        ("7441", &port_a.to_string()),
        ("7442", &port_b.to_string()),
        ("7443", &port_c.to_string()),
    ];
    let mut script = Script::new();
    for example in &found {
        let typed = TWO_MACHINES
            .iter()
            .find(|(line, _)| *line == example.line());
        match typed {
            Some((_, typed)) => script.add(&Found::Run((*typed).to_owned()), &substitutes),
            None => script.add(example, &substitutes),
        }
    }
    for (line, _) in TWO_MACHINES {
        let stands = found.iter().any(|example| example.line() == line);
        assert!(
            stands,
            "{line} is not in the README, so why is it replaced?"
        );
    }
    for (line, _) in NOT_RUN {
        let stands = found.iter().any(|example| example.line() == line);
        assert!(
            stands,
            "{line} is not in the README, so why is it left out?"
        );
    }
    script.run(folder.path(), &[]);
}

#[test]
fn the_examples_of_the_manual_pages_and_of_help_work() {
    let mut lab = Lab::started(&LabOptions::default());
    lab.assert_settles("before the examples");
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for made in ["pages", "man1", "media", "ROOT", "ROOT.before"] {
        fs::create_dir(dir.join(made)).unwrap();
    }
    run(cfs_repl().args(["man", "--dir"]).arg(dir.join("pages")));
    let mut pages: Vec<PathBuf> = fs::read_dir(dir.join("pages"))
        .unwrap()
        .map(|page| page.unwrap().path())
        .collect();
    pages.sort();
    let mut found: Vec<Found> = Vec::new();
    for page in pages {
        found.extend(of_page(&fs::read_to_string(page).unwrap()));
    }
    for topic in TOPICS {
        found.extend(of_topic(&run(cfs_repl().args(["help", topic]))));
    }
    let runs = found.iter().filter(|found| matches!(found, Found::Run(_)));
    assert!(runs.count() >= 8, "the examples were not found: {found:?}");
    let substitutes = [
        // The site of the example has a folder of its own, and the tree is there.
        (
            "--root /srv/media",
            "--root media --state made --config made.toml",
        ),
        // By the authority that the example of the manual page made.
        (
            "--site NAME --cluster CLUSTER --dir TLS",
            "--site iad-2 --cluster lab --dir tls",
        ),
        ("/etc/bash_completion.d/", "completion-"),
        ("/usr/local/share/man/man1", "man1"),
        (
            "man -l -",
            if has_program("man") {
                "man -l -"
            } else {
                "cat"
            },
        ),
    ];
    for line in NOT_RUN_OF_PAGES {
        let stands = found.iter().any(|example| example.line() == line);
        assert!(stands, "{line} is on no page, so why is it left out?");
    }
    let mut script = Script::new();
    for example in &found {
        if !NOT_RUN_OF_PAGES.contains(&example.line()) {
            script.add(example, &substitutes);
        }
    }
    let config = lab.a.config.display().to_string();
    script.run(dir, &[("CFS_REPL_CONFIG", &config)]);
}

/// Lines for a shell, each told before it is run; the first that fails ends it.
struct Script(String);

impl Script {
    fn new() -> Self {
        // What is started in the background ends with the shell, even if that is killed.
        let head = "set -eu\npids=\nexport CFS_REPL_PARENT=$$\ntrap 'kill $pids 2>/dev/null || :; wait' EXIT\n";
        Self(head.to_owned())
    }

    fn add(&mut self, found: &Found, substitutes: &[(&str, &str)]) {
        let line = match found {
            Found::Run(line) if NOT_RUN.iter().any(|(known, _)| known == line) => return,
            Found::Run(line) => line.clone(),
            // That such a command exists is all that a name promises.
            Found::Name(words) => format!("cfs-repl help {words} > /dev/null"),
        };
        let line = substitutes
            .iter()
            .fold(line, |line, (from, to)| line.replace(from, to));
        let told = line.replace('\'', "'\\''");
        self.0
            .push_str(&format!("printf '+ %s\\n' '{told}'\n{line}\n"));
        if line.ends_with('&') {
            self.0.push_str("pids=\"$pids $!\"\n");
        }
    }

    fn run(&self, folder: &Path, env: &[(&str, &str)]) {
        let bin = folder.join("bin");
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cfs-repl"), bin.join("cfs-repl")).unwrap();
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("sh")
            .args(["-c", &self.0])
            .current_dir(folder)
            .env_clear()
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("HOME", folder)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let [data, talk] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert!(
            output.status.success(),
            "the last example told did not work:\n{data}\n{talk}"
        );
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn free_ports() -> [u16; 3] {
    let held = [0; 3].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

#[test]
fn an_example_that_does_not_work_is_found() {
    let works = |lines: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let mut script = Script::new();
        for line in lines {
            script.add(&Found::Run((*line).to_owned()), &[("MARK", "version")]);
        }
        let ran = std::panic::catch_unwind(|| script.run(folder.path(), &[]));
        ran.is_ok()
    };
    assert!(works(&[
        "cfs-repl MARK",
        "sleep 60 &",
        "cfs-repl help config"
    ]));
    assert!(!works(&["cfs-repl no-such-command", "cfs-repl version"]));
    assert!(!works(&["cfs-repl version --no-such-flag"]));
}
