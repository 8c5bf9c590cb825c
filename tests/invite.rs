//! A new site by one token, as real processes: no file is carried by hand, what may not be used is refused, and what
//! operators do to a site afterwards holds.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::lab::{cfs_repl, comes};

/// Longest wait for a change, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine with one site: a folder of its own, and nothing else.
struct Machine {
    home: tempfile::TempDir,
    port: u16,
    daemon: Option<Child>,
}

impl Machine {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("tree")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            port: listener.local_addr().unwrap().port(),
            home,
            daemon: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn listen(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = cfs_repl();
        command.args(words).current_dir(self.home.path());
        command.env("CFS_REPL_CONFIG", self.path("config.toml"));
        command
    }

    fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs a command that has to succeed, and returns what it printed.
    fn ok(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that is refused: its exit code, and what it said.
    fn refused(&self, words: &[&str]) -> (i32, String) {
        let output = self.output(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), said)
    }

    /// The first site of a cluster.
    fn found(&self, name: &str, cluster: &str) {
        let listen = self.listen();
        let words = [
            "init",
            "--new-authority",
            "--name",
            name,
            "--cluster",
            cluster,
        ];
        let places = ["--root", "tree", "--state", "state", "--listen", &listen];
        self.ok(&[&words[..], &places].concat());
    }

    fn join(&self, token: &str, more: &[&str]) -> Vec<String> {
        let listen = self.listen();
        let words = [
            "join", token, "--root", "tree", "--state", "state", "--listen", &listen,
        ];
        let all = [&words[..], more].concat();
        all.into_iter().map(str::to_owned).collect()
    }

    fn start(&mut self) {
        let log = fs::File::create(self.path("log")).unwrap();
        let mut command = self.command(&["run"]);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.daemon = Some(child);
        let answers = || self.output(&["status"]).status.success();
        assert!(comes(PATIENCE, answers), "{}", self.log());
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            assert!(child.wait().unwrap().success(), "{}", self.log());
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn invite(&self, more: &[&str]) -> String {
        let token = self.ok(&[&["peer", "invite"][..], more].concat());
        token.trim().to_owned()
    }

    fn events(&self, name: &str) -> Vec<Value> {
        let text = self.ok(&["events", "--name", name, "-o", "jsonl"]);
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    fn assert_no_errors(&self) {
        let log = self.log();
        let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
fn two_fresh_machines_are_joined_by_one_token_and_replicate_both_ways() {
    let (mut a, mut b) = (Machine::new(), Machine::new());
    fs::write(a.path("tree/from-a"), "a").unwrap();
    a.found("alpha", "lab");
    a.start();
    let would = a.ok(&["peer", "invite", "--dry-run", "-o", "json"]);
    let would: Value = serde_json::from_str(&would).unwrap();
    assert_eq!(would["site"], "alpha");
    let invitation = &would["items"][0];
    assert_eq!(invitation["token"], Value::Null);
    assert_eq!(invitation["endpoints"], serde_json::json!([a.listen()]));
    assert!(invitation["expires_us"].is_u64(), "{would}");
    assert!(a.events("invitation.made").is_empty());
    let token = a.invite(&["--name", "beta"]);
    // Asked first: nothing is written, and the token still works.
    let words = b.join(&token, &["--dry-run"]);
    b.ok(&strs(&words));
    assert!(
        !b.path("config.toml").exists() && !b.path("tls").exists() && !b.path("state").exists()
    );
    let words = b.join(&token, &[]);
    b.ok(&strs(&words));
    b.start();
    b.ok(&["wait", "--for", "synced", "--timeout", "60s"]);
    let arrived = || fs::read(b.path("tree/from-a")).is_ok_and(|bytes| bytes == b"a");
    assert!(comes(PATIENCE, arrived), "{}", b.log());
    fs::write(b.path("tree/from-b"), "b").unwrap();
    let arrived = || fs::read(a.path("tree/from-b")).is_ok_and(|bytes| bytes == b"b");
    assert!(comes(PATIENCE, arrived), "{}", a.log());
    assert_eq!(a.events("site.added").len(), 1);
    assert_eq!(a.events("invitation.made").len(), 1);
    // The new site is known after a restart, too.
    a.stop();
    a.start();
    a.ok(&["wait", "--for", "connected", "--timeout", "60s"]);
    a.assert_no_errors();
    b.assert_no_errors();
    assert_eq!(
        a.events("daemon.started").len(),
        2,
        "events outlive a restart"
    );
}

#[test]
fn an_invitation_that_was_used_or_has_ended_or_is_for_others_is_refused_and_nothing_is_written() {
    let mut a = Machine::new();
    a.found("alpha", "lab");
    a.start();
    let refused = |words: &[String], why: &str, code: i32| {
        let c = Machine::new();
        let listen = c.listen();
        let words: Vec<&str> = words
            .iter()
            .map(|word| {
                if word == "LISTEN" {
                    listen.as_str()
                } else {
                    word
                }
            })
            .collect();
        let (exit, said) = c.refused(&words);
        assert!(exit == code && said.contains(why), "{exit}: {said}");
        assert!(!c.path("config.toml").exists() && !c.path("state").exists());
        assert!(
            !c.path("tls").exists(),
            "the key of a site that was refused stays"
        );
    };
    let join = |token: &str, name: &str| -> Vec<String> {
        let words = [
            "join", token, "--name", name, "--root", "tree", "--state", "state", "--listen",
            "LISTEN",
        ];
        words.iter().map(|word| (*word).to_owned()).collect()
    };
    let token = a.invite(&[]);
    refused(&join(&token, "alpha"), "has the name of this site", 6);
    let b = Machine::new();
    let words = b.join(&token, &["--name", "beta"]);
    b.ok(&strs(&words));
    refused(&join(&token, "gamma"), "was used", 5);
    let cut: String = token.chars().take(token.len() - 3).collect();
    refused(&join(&cut, "gamma"), "not whole", 2);
    let other = a.invite(&[]);
    refused(&join(&other, "beta"), "there is a site of the name beta", 8);
    let named = a.invite(&["--name", "gamma"]);
    refused(&join(&named, "delta"), "for a site of the name gamma", 5);
    let short = a.invite(&["--valid", "1ms"]);
    refused(&join(&short, "gamma"), "has ended", 5);
    let (exit, said) = a.refused(&["peer", "invite", "--name", "beta"]);
    assert!(exit == 8 && said.contains("beta"), "{exit}: {said}");
    // Another cluster at the same address: the authority is not the one of the token.
    let stale = a.invite(&["--name", "gamma"]);
    let mut other = Machine::new();
    other.port = a.port;
    a.stop();
    other.found("alpha", "lab");
    other.start();
    refused(
        &join(&stale, "gamma"),
        "not of the authority that the invitation names",
        8,
    );
}

#[test]
fn a_third_site_is_told_what_to_add_at_the_second_and_then_they_exchange() {
    let (mut a, mut b, mut c) = (Machine::new(), Machine::new(), Machine::new());
    a.found("alpha", "lab");
    a.start();
    let words = b.join(&a.invite(&[]), &["--name", "beta"]);
    let said = b.output(&strs(&words));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.contains("note:"), "there is no other site: {said}");
    b.start();
    let invited = a.output(&["peer", "invite"]);
    let said = String::from_utf8_lossy(&invited.stderr).into_owned();
    assert!(
        said.contains("note: beta will have to be told of the new site"),
        "{said}"
    );
    let token = String::from_utf8(invited.stdout).unwrap();
    let words = c.join(token.trim(), &["--name", "gamma"]);
    let joined = c.output(&strs(&words));
    let said = String::from_utf8_lossy(&joined.stderr).into_owned();
    assert!(
        said.contains("note: beta does not know this site yet"),
        "{said}"
    );
    c.start();
    // What was printed is what works.
    let table: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    let config = fs::read_to_string(b.path("config.toml")).unwrap();
    fs::write(
        b.path("config.toml"),
        format!("{config}\n{}\n", table.join("\n")),
    )
    .unwrap();
    let reloaded = b.output(&["reload"]);
    let told = String::from_utf8_lossy(&reloaded.stderr).into_owned();
    assert!(told.contains("reloaded: peer"), "{told}");
    for machine in [&b, &c] {
        machine.ok(&["wait", "--for", "connected", "--timeout", "60s"]);
    }
    fs::write(b.path("tree/from-b"), "b").unwrap();
    fs::write(c.path("tree/from-c"), "c").unwrap();
    let arrived = || c.path("tree/from-b").exists() && b.path("tree/from-c").exists();
    assert!(comes(PATIENCE, arrived), "{}{}", b.log(), c.log());
    for machine in [&mut a, &mut b, &mut c] {
        machine.stop();
        machine.assert_no_errors();
    }
}

#[test]
fn a_third_site_that_only_dials_starts_without_the_one_that_only_dials_too() {
    let (mut a, b, mut c) = (Machine::new(), Machine::new(), Machine::new());
    a.found("alpha", "lab");
    a.start();
    let dialling = |machine: &Machine, name: &str| {
        let token = a.invite(&[]);
        let words = [
            "join", &token, "--root", "tree", "--state", "state", "--name", name,
        ];
        let output = machine.output(&words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    };
    dialling(&b, "beta");
    let said = dialling(&c, "gamma");
    assert!(
        said.contains("note: beta and this site both only dial"),
        "{said}"
    );
    c.start();
    c.ok(&["wait", "--for", "synced", "--timeout", "60s"]);
    assert_eq!(c.ok(&["sites", "list", "-o", "name"]), "alpha\n");
    c.assert_no_errors();
}

#[test]
fn an_invitation_that_was_withdrawn_lets_nobody_in_and_one_that_was_used_stays() {
    let mut a = Machine::new();
    a.found("alpha", "lab");
    a.start();
    let listed = || -> Vec<Value> {
        let text = a.ok(&["peer", "invitations", "-o", "jsonl"]);
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    };
    let made = a.ok(&["peer", "invite", "--name", "beta", "-o", "json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let [id, token] = ["id", "token"].map(|key| made["items"][0][key].as_str().unwrap());
    let of_list = &listed()[0];
    assert_eq!(
        (&of_list["id"], &of_list["state"]),
        (&Value::from(id), &Value::from("open"))
    );
    assert_eq!(of_list["name"], "beta");
    assert!(!of_list.to_string().contains(token), "{of_list}");
    a.ok(&["peer", "revoke", id]);
    assert!(listed().is_empty());
    let b = Machine::new();
    let words = b.join(token, &[]);
    let (exit, said) = b.refused(&strs(&words));
    assert!(
        exit == 5 && said.contains("no such invitation"),
        "{exit}: {said}"
    );
    let revoked = a.events("invitation.revoked");
    assert_eq!(revoked[0]["fields"]["invitation"], id);
    assert!(revoked[0]["fields"]["by"].is_string());
    assert_eq!(a.refused(&["peer", "revoke", id]).0, 4);
    // A site joined with the next one: it is known by it, and cannot be withdrawn.
    let words = b.join(&a.invite(&[]), &["--name", "beta"]);
    b.ok(&strs(&words));
    let used = &listed()[0];
    assert_eq!(
        (&used["state"], &used["used_by"]),
        (&Value::from("used"), &Value::from("beta"))
    );
    let (exit, said) = a.refused(&["peer", "revoke", used["id"].as_str().unwrap()]);
    assert!(
        exit == 8 && said.contains("cfs-repl sites remove beta"),
        "{exit}: {said}"
    );
    assert_eq!(listed().len(), 1);
    a.stop();
    a.start();
    assert_eq!(
        a.ok(&["peer", "invitations", "-o", "name"]).lines().count(),
        1
    );
    a.assert_no_errors();
}

#[test]
fn a_paused_site_stays_paused_over_a_restart_and_goes_on_when_resumed() {
    let (mut a, mut b) = (Machine::new(), Machine::new());
    a.found("alpha", "lab");
    a.start();
    let words = b.join(&a.invite(&[]), &["--name", "beta"]);
    b.ok(&strs(&words));
    b.start();
    a.ok(&["wait", "--for", "connected", "--timeout", "60s"]);
    a.ok(&["sites", "reconnect", "beta"]);
    a.ok(&["wait", "--for", "connected", "--timeout", "60s"]);
    a.ok(&["sites", "pause", "beta", "--note", "disk work"]);
    let state = |machine: &Machine, site: &str| -> String {
        let text = machine.ok(&["sites", "show", site, "-o", "json"]);
        let shown: Value = serde_json::from_str(&text).unwrap();
        shown["items"][0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(&a, "beta"), "paused");
    let told = || {
        let text = b.ok(&["sites", "show", "alpha", "-o", "json"]);
        text.contains("an operator paused the exchange")
    };
    assert!(comes(PATIENCE, told), "{}", b.log());
    let status = b.ok(&["status"]);
    assert!(
        status.contains("paused at alpha") && status.contains("there: cfs-repl sites resume beta"),
        "{status}"
    );
    assert_eq!(a.events("site.reconnected")[0]["site"], "beta");
    let (exit, said) = a.refused(&["sites", "reconnect", "beta"]);
    assert!(exit == 8 && said.contains("paused"), "{exit}: {said}");
    a.stop();
    a.start();
    assert_eq!(state(&a, "beta"), "paused");
    fs::write(a.path("tree/late"), "x").unwrap();
    a.ok(&["sites", "resume", "beta"]);
    let arrived = || b.path("tree/late").exists();
    assert!(comes(PATIENCE, arrived), "{}", b.log());
    let paused = a.events("site.paused");
    assert_eq!(paused.len(), 1);
    assert_eq!(paused[0]["fields"]["note"], "disk work");
    let (exit, _) = a.refused(&["sites", "pause", "nobody"]);
    assert_eq!(exit, 4);
}

#[test]
fn a_reload_takes_what_can_change_names_what_cannot_and_refuses_a_bad_file() {
    let mut a = Machine::new();
    a.found("alpha", "lab");
    a.start();
    let file = a.path("config.toml");
    let before = fs::read_to_string(&file).unwrap();
    let peer = "\n[[peer]]\nid = 9\nname = \"iota\"\nendpoints = [\"127.0.0.1:1\"]\n";
    fs::write(&file, format!("{before}{peer}")).unwrap();
    let said = a.output(&["reload"]);
    assert!(
        String::from_utf8_lossy(&said.stderr).contains("reloaded: peer"),
        "{said:?}"
    );
    let shown = a.ok(&["sites", "list", "-o", "name"]);
    assert_eq!(shown, "iota\n");
    fs::write(&file, format!("{before}{peer}nane = 1\n")).unwrap();
    // The command reads the file, too, to find the daemon; signals and other tools do not.
    let server = format!("unix:{}", a.path("state/admin.sock").display());
    let (exit, said) = a.refused(&["reload", "--server", &server]);
    assert!(exit == 8 && said.contains("nane"), "{exit}: {said}");
    let status = a.ok(&["status", "--server", &server]);
    assert!(
        status.contains("not taken, the old one stays in use"),
        "{status}"
    );
    assert_eq!(
        a.ok(&["sites", "list", "-o", "name", "--server", &server]),
        "iota\n"
    );
    let kept = before.replace("[conflicts]", "[conflicts]\nkeep = \"20%\"");
    fs::write(&file, &kept).unwrap();
    let said = a.output(&["reload"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("note: conflicts will hold when"), "{said}");
    assert_eq!(a.ok(&["sites", "list", "-o", "name"]), "");
    assert!(!a.ok(&["status"]).contains("not taken"));
    // What would keep it from starting is not taken for "at the next start".
    for (from, to, why) in [
        ("id = 1\n", "id = 7\n", "site.id is 1 for good"),
        ("root = \"", "root = \"/nowhere", "tree.root"),
    ] {
        fs::write(&file, kept.replacen(from, to, 1)).unwrap();
        let (exit, said) = a.refused(&["reload", "--server", &server]);
        assert!(exit == 8 && said.contains(why), "{exit}: {said}");
        assert!(said.contains("would not start with it"), "{said}");
    }
    fs::write(&file, &kept).unwrap();
    a.ok(&["reload"]);
    a.ok(&["log-level", "debug"]);
    let (exit, _) = a.refused(&["log-level", "claudefs_repl=loud"]);
    assert_eq!(exit, 2);
    // Certificates that are not good are no success either.
    let certificate = a.path("tls/alpha.pem");
    let good = fs::read(&certificate).unwrap();
    fs::write(&certificate, "no certificate").unwrap();
    let (exit, said) = a.refused(&["reload"]);
    assert!(
        exit == 8 && said.contains("the old ones stay in use"),
        "{exit}: {said}"
    );
    fs::write(&certificate, good).unwrap();
    a.ok(&["reload"]);
    assert!(!a.ok(&["status"]).contains("not taken"));
    let told = a.events("config.reloaded");
    let last = told.last().unwrap();
    let text = last["text"].as_str().unwrap();
    // A key that waits for a start does so still.
    assert!(text.contains(": nothing at once; "), "{text}");
    assert_eq!(last["fields"]["applied"], "");
}

#[test]
fn the_number_of_a_site_that_was_removed_is_not_given_again() {
    let (mut a, b, c) = (Machine::new(), Machine::new(), Machine::new());
    a.found("alpha", "lab");
    a.start();
    let words = b.join(&a.invite(&[]), &["--name", "beta"]);
    b.ok(&strs(&words));
    // A bad certificate beside it is no reason to keep a site that shall go.
    let certificate = a.path("tls/alpha.pem");
    let good = fs::read(&certificate).unwrap();
    fs::write(&certificate, "no certificate").unwrap();
    a.ok(&["sites", "remove", "beta", "--confirm", "beta"]);
    fs::write(&certificate, good).unwrap();
    let words = c.join(&a.invite(&[]), &["--name", "gamma"]);
    c.ok(&strs(&words));
    let config = fs::read_to_string(c.path("config.toml")).unwrap();
    assert!(config.contains("id = 3\n"), "{config}");
}

/// Connections to a port of this machine, from another address of it, over which nothing is said.
fn silent(port: u16, count: usize) -> Vec<std::net::TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let connect = || async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let to = format!("127.0.0.1:{port}").parse().unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    };
    (0..count).map(|_| runtime.block_on(connect())).collect()
}

#[test]
fn who_connects_and_says_nothing_keeps_no_new_site_out() {
    let (mut a, b) = (Machine::new(), Machine::new());
    a.found("alpha", "lab");
    a.start();
    let token = a.invite(&[]);
    let silent = silent(a.port, 100);
    let words = b.join(&token, &["--name", "beta"]);
    b.ok(&strs(&words));
    assert_eq!(a.ok(&["sites", "list", "-o", "name"]), "beta\n");
    drop(silent);
    a.assert_no_errors();
}

#[test]
fn a_machine_that_could_not_write_what_it_got_joins_with_the_same_token_and_number_later() {
    let (mut a, mut b) = (Machine::new(), Machine::new());
    a.found("alpha", "lab");
    a.start();
    let token = a.invite(&[]);
    // A file where the folder of the configuration would be: told before the token is used up.
    fs::write(b.path("blocked"), "").unwrap();
    let words = b.join(
        &token,
        &[
            "--name",
            "beta",
            "--tls",
            "tls",
            "--config",
            "blocked/c.toml",
        ],
    );
    let (exit, said) = b.refused(&strs(&words));
    assert!(exit == 1 && said.contains("blocked"), "{exit}: {said}");
    assert!(said.contains("the invitation was not used"), "{said}");
    assert_eq!(a.ok(&["sites", "list", "-o", "name"]), "");
    // A link that leads nowhere where a certificate would be: taken in, and then stuck.
    fs::create_dir(b.path("tls")).unwrap();
    std::os::unix::fs::symlink("nowhere", b.path("tls/ca.pem")).unwrap();
    let words = b.join(&token, &["--name", "beta", "--tls", "tls"]);
    let (exit, said) = b.refused(&strs(&words));
    assert!(exit == 1 && said.contains("ca.pem"), "{exit}: {said}");
    assert!(said.contains("taken in as number 2"), "{said}");
    assert_eq!(a.ok(&["sites", "list", "-o", "name"]), "beta\n");
    fs::remove_file(b.path("tls/ca.pem")).unwrap();
    b.ok(&strs(&words));
    assert_eq!(a.events("site.added").len(), 1, "told once");
    let config = fs::read_to_string(b.path("config.toml")).unwrap();
    assert!(config.contains("id = 2\n"), "{config}");
    b.start();
    b.ok(&["wait", "--for", "synced", "--timeout", "60s"]);
    assert_eq!(a.ok(&["sites", "list", "-o", "name"]), "beta\n");
}
