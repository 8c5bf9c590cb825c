//! Who may join, as real processes: a site that brings files of its own to a cluster that has some is refused, nothing
//! of either is touched, and the way that the refusal names leads in.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};

/// Longest wait for a change or an end, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sites on this machine that know each other; each dials those before it.
struct Sites {
    home: tempfile::TempDir,
    ports: Vec<u16>,
}

impl Sites {
    fn new(count: usize) -> Self {
        let listeners: Vec<TcpListener> = (0..count)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let sites = Self {
            home: tempfile::tempdir().unwrap(),
            ports: listeners.iter().map(port).collect(),
        };
        sites.run(&["pki", "init", "--cluster", "lab", "--dir", "tls"]);
        for id in 1..=count {
            sites.configure(id);
        }
        sites
    }

    fn configure(&self, id: usize) {
        let name = format!("s{id}");
        let issue = ["pki", "issue", "--site", &name, "--cluster", "lab", "--dir"];
        self.run(&[&issue[..], &["tls"]].concat());
        fs::create_dir(self.tree(id)).unwrap();
        let listen = format!("127.0.0.1:{}", self.ports[id - 1]);
        let (site_id, root, state) = (id.to_string(), format!("tree-{id}"), format!("state-{id}"));
        let config = format!("{id}.toml");
        let mut args = vec![
            "init",
            "--site-id",
            &site_id,
            "--name",
            &name,
            "--cluster",
            "lab",
            "--root",
            &root,
            "--state",
            &state,
            "--tls",
            "tls",
            "--listen",
            &listen,
            "--config",
            &config,
        ];
        let peers: Vec<String> = (1..=self.ports.len())
            .filter(|other| *other != id)
            .map(
                |other| match self.ports.get(other - 1).filter(|_| other < id) {
                    Some(port) => format!("{other}=s{other}@127.0.0.1:{port}"),
                    None => format!("{other}=s{other}"),
                },
            )
            .collect();
        for peer in &peers {
            args.extend(["--peer", peer]);
        }
        self.run(&args);
    }

    fn tree(&self, id: usize) -> PathBuf {
        self.home.path().join(format!("tree-{id}"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cfs-repl"));
        command
            .env_clear()
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) {
        let output = self.command().args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    }

    /// Starts the daemon of a site; what it says goes to a file.
    fn start(&self, id: usize) -> Daemon {
        let told = self.home.path().join(format!("{id}.log"));
        let log = fs::File::create(&told).unwrap();
        let config = format!("{id}.toml");
        let mut command = self.command();
        let child = command.args(["run", "--config", &config]).stderr(log);
        Daemon {
            child: child.spawn().unwrap(),
            told,
        }
    }
}

/// A daemon that does not outlive its test.
struct Daemon {
    child: Child,
    told: PathBuf,
}

impl Daemon {
    /// Its exit code, once it ended by itself, and what it said.
    fn ended(&mut self) -> (Option<i32>, String) {
        let until = SystemClock.monotonic() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), fs::read_to_string(&self.told).unwrap());
            }
            let told = || fs::read_to_string(&self.told).unwrap();
            assert!(SystemClock.monotonic() < until, "it runs on: {}", told());
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

/// Waits for `path`, looking often; who makes it is another process.
fn wait_for(path: &Path) {
    let until = SystemClock.monotonic() + PATIENCE;
    while !path.exists() {
        assert!(
            SystemClock.monotonic() < until,
            "not in time: {}",
            path.display()
        );
        sleep(Duration::from_millis(50));
    }
}

fn names(tree: &Path) -> Vec<String> {
    let entries = fs::read_dir(tree).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".cfs-repl")
        .collect();
    names.sort();
    names
}

#[test]
fn two_trees_with_files_refuse_each_other_and_nothing_is_touched() {
    let sites = Sites::new(2);
    for id in [1, 2] {
        fs::write(sites.tree(id).join("same-name"), format!("of {id}\n")).unwrap();
        fs::write(sites.tree(id).join(format!("only-{id}")), "x\n").unwrap();
    }
    let mut daemons = [sites.start(1), sites.start(2)];
    for daemon in &mut daemons {
        let (code, told) = daemon.ended();
        assert_eq!(code, Some(6), "{told}");
        for words in ["had files before", "cfs-repl help join", "mkdir"] {
            assert!(told.contains(words), "{words} is missing:\n{told}");
        }
    }
    for id in [1, 2] {
        assert_eq!(
            names(&sites.tree(id)),
            [format!("only-{id}"), "same-name".to_owned()]
        );
        let same = fs::read_to_string(sites.tree(id).join("same-name")).unwrap();
        assert_eq!(same, format!("of {id}\n"));
    }
}

#[test]
fn a_site_with_files_is_refused_by_a_cluster_and_comes_in_empty_as_it_was_told() {
    let sites = Sites::new(3);
    fs::write(sites.tree(1).join("f"), "of the cluster\n").unwrap();
    let _cluster = [sites.start(1), sites.start(2)];
    wait_for(&sites.tree(2).join("f"));
    fs::write(sites.tree(3).join("f"), "of the newcomer\n").unwrap();
    let (code, told) = sites.start(3).ended();
    assert_eq!(code, Some(6), "{told}");
    fs::write(sites.tree(1).join("g"), "the cluster goes on\n").unwrap();
    wait_for(&sites.tree(2).join("g"));
    assert_eq!(names(&sites.tree(2)), ["f", "g"]);

    let before = |what: &str| sites.home.path().join(format!("{what}-3.before"));
    fs::rename(sites.tree(3), before("tree")).unwrap();
    fs::create_dir(sites.tree(3)).unwrap();
    fs::rename(sites.home.path().join("state-3"), before("state")).unwrap();
    let _newcomer = sites.start(3);
    wait_for(&sites.tree(3).join("g"));
    wait_for(&sites.tree(3).join("f"));
    let f = fs::read_to_string(sites.tree(3).join("f")).unwrap();
    assert_eq!(f, "of the cluster\n");
    let kept = fs::read_to_string(before("tree").join("f")).unwrap();
    assert_eq!(kept, "of the newcomer\n");
}
