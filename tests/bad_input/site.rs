//! A site as a real process, with certificates of a lab: started, asked, stopped, and its log read to the end.
//!
//! A site that goes away checks its log: an ERROR that the test did not announce fails the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};
use claudefs_repl::conduit::pki::{init_ca, issue};
use claudefs_repl::conduit::tls::{Tls, TlsFiles};
use rustix::process::{Pid, Signal, kill_process};

use crate::logs::unexpected_errors;

/// Longest wait for another process, on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);
/// Cluster of every lab.
pub(super) const CLUSTER: &str = "lab";
/// Life of a certificate in days.
const DAYS: u32 = 90;
/// Age of the authority of every lab: 60 days.
const AUTHORITY_AGE_US: u64 = 60 * 86_400_000_000;

/// Waits for `done`, looking often; what is waited for lies in another process.
pub(super) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let until = SystemClock.monotonic() + PATIENCE;
    while !done() {
        assert!(SystemClock.monotonic() < until, "not in time: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// A folder with an authority.
pub(super) struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Old enough to have issued what expired since.
        let made_us = SystemClock.now_us() - AUTHORITY_AGE_US;
        init_ca(&folder.path().join("tls"), CLUSTER, made_us).unwrap();
        Self { folder }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A certificate for `site`; it is made the first time.
    pub(super) fn issue(&self, site: &str) -> TlsFiles {
        let folder = self.path().join("tls");
        let files = TlsFiles {
            cert: folder.join(format!("{site}.pem")),
            key: folder.join(format!("{site}.key")),
            ca: folder.join("ca.pem"),
        };
        if !files.cert.exists() {
            issue(&folder, site, CLUSTER, DAYS, SystemClock.now_us()).unwrap();
        }
        files
    }

    /// A certificate of the lab's authority for `site`, of which five days from `made_us` on are over.
    pub(super) fn expired(&self, site: &str, made_us: u64) -> TlsFiles {
        issue(&self.path().join("tls"), site, CLUSTER, 5, made_us).unwrap()
    }

    /// The TLS of `site`.
    pub(super) fn tls(&self, site: &str) -> std::sync::Arc<Tls> {
        let files = self.issue(site);
        let material = files.read().unwrap();
        Tls::new(&material, &files, site, CLUSTER, SystemClock.now_us()).unwrap()
    }

    /// Site 1, site-a, which knows site 2, site-b, and is not started.
    pub(super) fn site_a(&self) -> Site {
        self.site(1, "site-a", (2, "site-b"), "")
    }

    /// A site with its folders and configuration. `endpoint` is where the peer listens; empty: it dials.
    pub(super) fn site(&self, id: u64, name: &str, peer: (u64, &str), endpoint: &str) -> Site {
        let home = self.path().join(name);
        let (tree, state) = (home.join("tree"), home.join("state"));
        fs::create_dir_all(&tree).unwrap();
        make_private(&state);
        let tls = self.issue(name);
        let address = unused_address();
        let endpoints = if endpoint.is_empty() {
            "[]".to_owned()
        } else {
            format!("[\"{endpoint}\"]")
        };
        let text = format!(
            "[site]\nid = {id}\nname = \"{name}\"\ncluster = \"{CLUSTER}\"\n\
             [tree]\nroot = {tree:?}\n[state]\ndir = {state:?}\n\
             [conduit]\nlisten = \"{address}\"\nreconnect_delay = \"20ms\"\n\
             max_reconnect_delay = \"200ms\"\n\
             [tls]\ncert = {:?}\nkey = {:?}\nca = {:?}\n\
             [[peer]]\nid = {}\nname = \"{}\"\nendpoints = {endpoints}\n",
            tls.cert, tls.key, tls.ca, peer.0, peer.1
        );
        let config = home.join("config.toml");
        fs::write(&config, text).unwrap();
        Site {
            tree,
            state,
            config,
            tls,
            log: home.join("log"),
            address,
            child: None,
            expected: Vec::new(),
        }
    }
}

/// An address that nobody uses: of the loopback network, with this process and a count in it, and never 127.0.0.1, whose
/// ports everyone draws from.
fn unused_address() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let part = |number: u32| number % 250 + 2;
    let (high, low) = (part(process / 250), part(process));
    format!("127.{high}.{low}.{}:7443", part(count))
}

pub(super) fn make_private(folder: &Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.unwrap();
}

/// A site and its daemon.
pub(super) struct Site {
    pub(super) tree: PathBuf,
    pub(super) state: PathBuf,
    pub(super) config: PathBuf,
    pub(super) tls: TlsFiles,
    log: PathBuf,
    address: String,
    child: Option<Child>,
    expected: Vec<&'static str>,
}

impl Site {
    /// ERROR lines with these words are what the test is about.
    pub(super) fn expects(&mut self, words: &[&'static str]) {
        self.expected.extend(words);
    }

    /// The command that runs the daemon.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cfs-repl"));
        command
            .args(["run", "--config"])
            .arg(&self.config)
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    /// Starts the daemon; its log is a new one.
    pub(super) fn start(&mut self) {
        let mut command = self.command();
        self.start_as(&mut command);
    }

    /// Starts the daemon by `command`.
    pub(super) fn start_as(&mut self, command: &mut Command) {
        assert!(self.child.is_none(), "it runs");
        let log = File::create(&self.log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        self.wait_for_log("opened tree");
    }

    /// Runs the daemon, which is to end by itself: exit code and what it said.
    pub(super) fn run(&self) -> (Option<i32>, String) {
        let mut command = self.command();
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let until = SystemClock.monotonic() + PATIENCE;
        while child.try_wait().unwrap().is_none() && SystemClock.monotonic() < until {
            sleep(Duration::from_millis(20));
        }
        let is_late = child.try_wait().unwrap().is_none();
        if is_late {
            child.kill().unwrap();
        }
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let told = String::from_utf8(stderr).unwrap();
        assert!(!is_late, "it does not end:\n{told}");
        (status.code(), told)
    }

    /// Where the daemon listens.
    pub(super) fn address(&self) -> String {
        self.address.clone()
    }

    /// What the daemon has said.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(super) fn wait_for_log(&self, words: &str) {
        let until = SystemClock.monotonic() + PATIENCE;
        while !self.log().contains(words) {
            assert!(!self.log().starts_with("error: "), "{}", self.log());
            let late = SystemClock.monotonic() > until;
            assert!(!late, "not in time: {words:?} in the log:\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    /// What `status -o json` says of the daemon; null when it does not answer.
    pub(super) fn status(&self) -> serde_json::Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cfs-repl"));
        let server = format!("unix:{}", self.state.join("admin.sock").display());
        let output = command
            .args(["status", "-o", "json", "--server", &server])
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let document: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_default();
        document["items"][0].clone()
    }

    /// Entries in the journal, as `status` shows them; 0 when the daemon does not answer.
    pub(super) fn journaled(&self) -> u64 {
        let shown = self.status()["journal"]["head_entries"].clone();
        let text = shown.as_str().and_then(|text| text.parse().ok());
        text.or(shown.as_u64()).unwrap_or(0)
    }

    /// The causes that `status` shows, each with its next step.
    pub(super) fn causes(&self) -> String {
        self.status()["causes"].to_string()
    }

    pub(super) fn wait_for_cause(&self, words: &str) {
        let mut causes = String::new();
        let until = SystemClock.monotonic() + PATIENCE;
        while !causes.contains(words) {
            let late = SystemClock.monotonic() > until;
            assert!(!late, "not in time: {words:?} in {causes}\n{}", self.log());
            causes = self.causes();
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Asks the daemon to drain, and checks that it ends well and said no ERROR that was not expected.
    pub(super) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "{status}\n{}", self.log());
        self.check_log();
    }

    /// Waits until the daemon ended.
    pub(super) fn wait(&mut self) -> ExitStatus {
        self.child.take().expect("it runs").wait().unwrap()
    }

    fn check_log(&self) {
        let found = unexpected_errors(&self.log(), &self.expected);
        assert!(found.is_empty(), "unexpected: {found:#?}");
    }

    /// Names in the tree, in order.
    pub(super) fn names(&self) -> Vec<String> {
        names_in(&self.tree)
    }
}

/// Names in a directory, in order, without the reserved one.
pub(super) fn names_in(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name != ".cfs-repl")
        .collect();
    names.sort();
    names
}

impl Drop for Site {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        child.kill().unwrap();
        child.wait().unwrap();
        if !std::thread::panicking() {
            self.check_log();
        }
    }
}
