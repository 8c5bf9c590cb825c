//! One site of a lab: its folders, its configuration, its daemon.

use std::fs::{self, OpenOptions};
use std::net::Ipv4Addr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{LabOptions, cfs_repl, comes, run};

/// Longest wait for a daemon to answer, on a busy machine.
const START: Duration = Duration::from_secs(30);
/// Longer than a round of noticing takes to see a small change.
const NOTICE: Duration = Duration::from_millis(400);
/// Log lines that a failure shows.
const TAIL_LINES: usize = 25;
/// Name of the signal that `abort` raises.
const SIGABRT: i32 = 6;

/// One site; at most one daemon of it runs.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) tree: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) log: PathBuf,
    /// Where its daemon is asked.
    pub(crate) socket: PathBuf,
    /// What stands before the command that starts the daemon. It must become the daemon, as `ip netns exec` does.
    pub(crate) launch: Vec<String>,
    env: Vec<(&'static str, String)>,
    child: Option<Child>,
}

impl Site {
    pub(super) fn new(
        id: u64,
        name: &'static str,
        folder: &Path,
        home: &Path,
        options: &LabOptions,
    ) -> Self {
        let tree = home.join("tree");
        fs::create_dir_all(&tree).unwrap();
        Self {
            id,
            name,
            tree,
            state: home.join("state"),
            socket: home.join("state/admin.sock"),
            config: folder.join(format!("{name}.toml")),
            log: folder.join(format!("{name}.log")),
            launch: launch(id, options),
            env: options.env.clone(),
            child: None,
        }
    }

    pub(super) fn configure(
        &self,
        tls: &Path,
        port: u16,
        peers: &[(&Self, u16)],
        options: &LabOptions,
    ) {
        let mut command = cfs_repl();
        command.args(["init", "--cluster", "lab", "--name", self.name]);
        command.args(["--site-id", &self.id.to_string()]);
        command.arg("--root").arg(&self.tree);
        command.arg("--state").arg(&self.state);
        command.arg("--tls").arg(tls);
        command.arg("--config").arg(&self.config);
        let address = |other: &Self| {
            let address = options.address.map(|of| of(self.id, other.id));
            address.unwrap_or(Ipv4Addr::LOCALHOST)
        };
        let here = if options.address.is_some() {
            Ipv4Addr::UNSPECIFIED
        } else {
            Ipv4Addr::LOCALHOST
        };
        command.args(["--listen", &format!("{here}:{port}")]);
        if options.is_replica && self.id == 2 {
            command.args(["--role", "replica", "--primary-site-id", "1"]);
        }
        for (other, other_port) in peers {
            // Only the later one dials, as where the earlier one has no address to dial.
            let endpoint = if self.id > other.id {
                format!("@{}:{other_port}", address(other))
            } else {
                String::new()
            };
            command.args(["--peer", &format!("{}={}{endpoint}", other.id, other.name)]);
        }
        run(&mut command);
        let text = fs::read_to_string(&self.config).unwrap();
        let mut settings = options.settings.clone();
        settings.push(("max_reconnect_delay", "\"300ms\"".to_owned()));
        fs::write(&self.config, with_settings(&text, &settings)).unwrap();
    }

    /// Starts the daemon, with these variables on top, and does not wait for it.
    pub(crate) fn spawn(&mut self, env: &[(&str, &str)]) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.unwrap();
        let level = std::env::var("CFS_REPL_LOG").unwrap_or_else(|_| "info".to_owned());
        let mut command = self.launched();
        command
            .args(["run", "--config"])
            .arg(&self.config)
            .env("CFS_REPL_LOG", level)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .envs(env.iter().copied())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        self.child = Some(command.spawn().unwrap());
    }

    fn launched(&self) -> Command {
        let Some((first, rest)) = self.launch.split_first() else {
            return cfs_repl();
        };
        let mut command = Command::new(first);
        command.env_clear().stdin(Stdio::null()).args(rest);
        command.arg(cfs_repl().get_program());
        command
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn start(&mut self, env: &[(&str, &str)]) {
        self.spawn(env);
        let answers = comes(START, || {
            assert_eq!(
                self.ended(),
                None,
                "{} ended at once: {}",
                self.name,
                self.tail()
            );
            self.try_status().is_some()
        });
        assert!(answers, "{} does not answer: {}", self.name, self.tail());
    }

    /// Process id of the running daemon.
    pub(crate) fn process(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// How the daemon ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().unwrap()
    }

    /// Reaps a daemon that ended by itself.
    pub(crate) fn reap(&mut self) {
        assert!(self.ended().is_some(), "{} runs", self.name);
        self.child = None;
    }

    /// Kills the daemon as `kill -9` does. Nothing happens when none runs.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Reaps a daemon that aborted; true when it did within `patience`, otherwise it still runs.
    pub(crate) fn aborts(&mut self, patience: Duration) -> bool {
        comes(patience, || self.aborted())
    }

    /// Reaps the daemon if it has aborted.
    pub(crate) fn aborted(&mut self) -> bool {
        let Some(status) = self.ended() else {
            return false;
        };
        assert_eq!(
            status.signal(),
            Some(SIGABRT),
            "{} ended otherwise: {}",
            self.name,
            self.tail()
        );
        self.child = None;
        true
    }

    /// The first item of `status -o json`; none when nobody answers.
    pub(crate) fn told(&self) -> Option<Value> {
        Some(self.try_status()?["items"][0].clone())
    }

    /// What this site says of the peer with that name; null when it says nothing.
    pub(crate) fn of_peer(&self, name: &str) -> Value {
        let status = self.told().unwrap_or_default();
        let peers = status["sites"].as_array().cloned().unwrap_or_default();
        let mut found = peers.into_iter().filter(|peer| peer["site"] == name);
        found.next().unwrap_or_default()
    }

    /// What `status -o json` says; none when nobody answers.
    pub(crate) fn try_status(&self) -> Option<Value> {
        self.try_ask(&["status"])
    }

    /// The items of a command's JSON.
    pub(crate) fn ask(&self, words: &[&str]) -> Value {
        self.try_ask(words)
            .unwrap_or_else(|| panic!("{} does not answer {words:?}: {}", self.name, self.tail()))
    }

    fn try_ask(&self, words: &[&str]) -> Option<Value> {
        let mut command = cfs_repl();
        command.args(words).args(["-o", "json", "--server"]);
        command.arg(format!("unix:{}", self.socket.display()));
        let output = command.output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).ok()?;
        output.status.success().then_some(document)
    }

    /// Waits until everything that was done in the tree before is journaled: by then a file written last is, too.
    pub(crate) fn assert_journals(&self, about: &str) {
        let head = || self.ask(&["status"])["items"][0]["journal"]["head_entries"].clone();
        let name = format!("journaled-{}", self.id);
        let before = head();
        fs::write(self.tree.join(name), format!("{before}")).unwrap();
        let moved = comes(START, || head() != before);
        assert!(
            moved,
            "{about}: {} journals nothing: {}",
            self.name,
            self.tail()
        );
        let mut last = head();
        // One round of noticing journals all of its findings, but what was done just before may fall into the next.
        let rests = comes(START, || {
            std::thread::sleep(NOTICE);
            std::mem::replace(&mut last, head()) == last
        });
        assert!(rests, "{about}: {} journals for ever", self.name);
    }

    /// The whole log.
    pub(crate) fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Lines of level ERROR.
    pub(crate) fn errors(&self) -> Vec<String> {
        let text = self.log_text();
        let lines = text.lines().filter(|line| line.contains(" ERROR "));
        lines.map(str::to_owned).collect()
    }

    /// Starts a new log: what a daemon says whose disk was taken away is expected.
    pub(crate) fn forget_log(&self) {
        fs::write(&self.log, "").unwrap();
    }

    /// The end of the log.
    pub(crate) fn tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        let end = lines.get(from..).unwrap_or_default().join("\n");
        format!("end of the log of {}:\n{end}", self.name)
    }
}

fn launch(id: u64, options: &LabOptions) -> Vec<String> {
    let nth = usize::try_from(id - 1).unwrap();
    options.launch.get(nth).cloned().unwrap_or_default()
}

/// The example with these settings in place of their commented defaults.
fn with_settings(example: &str, settings: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut found = 0;
    for line in example.lines() {
        let setting = settings
            .iter()
            .find(|(key, _)| line.starts_with(&format!("#{key} =")));
        match setting {
            Some((key, value)) => {
                found += 1;
                text.push_str(&format!("{key} = {value}\n"));
            }
            None => text.push_str(&format!("{line}\n")),
        }
    }
    assert_eq!(found, settings.len(), "a key of {settings:?} is not there");
    text
}
