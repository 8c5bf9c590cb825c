//! What a peer that is down costs: resident memory of the daemon with 1 000 and with 100 000 entries that it lacks, and
//! that it then gets them from where it stood.
//!
//!     cargo bench --bench backlog
//!
//! Real processes, a tree below the temporary folder (TMPDIR), files of 100 bytes in directories of 1 000. Ends with 1
//! when the difference is above 32 MiB.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures: it has nobody to hand an error to, prints, and waits for other processes"
)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Entries that the peer lacks, at the first and at the second look.
const FEW: u64 = 1_000;
const MANY: u64 = 100_000;
/// What a hundred times as many entries may cost.
const LIMIT_KIB: u64 = 32 * 1024;
/// How long a daemon rests before it is measured: longer than its longest period, the look after the logs (10 s).
const REST: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(900);
const FILES_PER_DIR: u64 = 1_000;

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("measures only under: cargo bench --bench backlog");
        return ExitCode::SUCCESS;
    }
    let home = tempfile::tempdir().unwrap();
    let lab = Lab::new(home.path());
    let sender = lab.start(1);
    let mut files = 0;
    let few = lab.pile_up(&sender, FEW, &mut files);
    let many = lab.pile_up(&sender, MANY, &mut files);
    let grown = many.saturating_sub(few);
    println!("difference            {grown} KiB, at most {LIMIT_KIB} KiB");
    let receiver = lab.start(2);
    let started = Instant::now();
    wait("the peer has everything", || {
        let status = lab.status(1);
        status["sites"][0]["behind_entries"] == 0
    });
    println!(
        "caught up after       {:.1} s",
        started.elapsed().as_secs_f64()
    );
    println!("sender afterwards     {} KiB", sender.rss_kib());
    println!("receiver afterwards   {} KiB", receiver.rss_kib());
    let equal = lab.command().args(["compare", "tree-1", "tree-2"]).output();
    let equal = equal.unwrap().status.success();
    println!(
        "trees                 {}",
        if equal { "equal" } else { "DIFFERENT" }
    );
    if equal && grown <= LIMIT_KIB {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Two sites in one folder; the second one dials the first.
struct Lab {
    home: PathBuf,
}

impl Lab {
    fn new(home: &Path) -> Self {
        let lab = Self {
            home: home.to_owned(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        lab.run(&["pki", "init", "--cluster", "lab", "--dir", "tls"]);
        let peer_of_2 = format!("1=s1@{address}");
        for (id, peer) in [("1", "2=s2"), ("2", peer_of_2.as_str())] {
            let (name, root) = (format!("s{id}"), format!("tree-{id}"));
            let (state, config) = (format!("state-{id}"), format!("{id}.toml"));
            fs::create_dir(home.join(&root)).unwrap();
            lab.run(&[
                "pki",
                "issue",
                "--site",
                &name,
                "--cluster",
                "lab",
                "--dir",
                "tls",
            ]);
            let mut args = vec![
                "init",
                "--site-id",
                id,
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
                "--peer",
                peer,
                "--config",
                &config,
            ];
            if id == "1" {
                args.extend(["--listen", &address]);
            }
            lab.run(&args);
        }
        lab
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cfs-repl"));
        command
            .env_clear()
            .current_dir(&self.home)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) {
        let output = self.command().args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    }

    fn start(&self, id: u32) -> Daemon {
        let log = fs::File::create(self.home.join(format!("{id}.log"))).unwrap();
        let config = format!("{id}.toml");
        let mut command = self.command();
        let child = command.args(["run", "--config", &config]).stderr(log);
        let daemon = Daemon(child.spawn().unwrap());
        let socket = self.home.join(format!("state-{id}/admin.sock"));
        wait("the daemon answers", || socket.exists());
        daemon
    }

    fn status(&self, id: u32) -> Value {
        let server = format!("unix:state-{id}/admin.sock");
        let output = self
            .command()
            .args(["status", "-o", "json", "--server", &server])
            .output();
        let status: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap_or_default();
        status["items"][0].clone()
    }

    fn entries(&self) -> u64 {
        self.status(1)["journal"]["head_entries"]
            .as_u64()
            .unwrap_or(0)
    }

    /// Makes files until there are so many entries, and measures.
    fn pile_up(&self, daemon: &Daemon, entries: u64, files: &mut u64) -> u64 {
        let started = Instant::now();
        let mut journaled = self.entries();
        while journaled < entries {
            // A new file is two entries: it comes to be, and it gets its bytes.
            let more = ((entries - journaled) / 2).clamp(1, FILES_PER_DIR);
            for _ in 0..more {
                let dir = self
                    .home
                    .join(format!("tree-1/dir-{}", *files / FILES_PER_DIR));
                fs::create_dir_all(&dir).unwrap();
                let bytes = format!("{:099}\n", *files);
                fs::write(dir.join(format!("file-{files}")), bytes).unwrap();
                *files += 1;
            }
            let wanted = entries.min(journaled + 2 * more);
            wait("the files are journaled", || {
                journaled = self.entries();
                journaled >= wanted
            });
        }
        sleep(REST);
        let rss_kib = daemon.rss_kib();
        println!(
            "{:>7} entries        {rss_kib} KiB resident, {files} files, made in {:.1} s",
            self.entries(),
            started.elapsed().as_secs_f64()
        );
        rss_kib
    }
}

/// A daemon that does not outlive the program.
struct Daemon(Child);

impl Daemon {
    fn rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(200));
    }
}
