//! Two sites as real processes: made with the commands that an operator types, started, killed, and watched.
//!
//! A lab owns its folder and its daemons; dropping it kills them and removes everything, unless the test failed and
//! `CFS_REPL_KEEP=1` asks to keep the folder. What is killed is only what was started here, by its process id.

mod quiet;
mod site;
mod wire;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};

pub(crate) use site::Site;
use wire::Wire;

/// Set to 1 to keep the folder of a lab whose test failed.
const KEEP: &str = "CFS_REPL_KEEP";

/// What differs from one lab to the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct LabOptions {
    /// Lines `key = value` of the configuration that replace its defaults.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Environment of both daemons.
    pub(crate) env: Vec<(&'static str, String)>,
    /// Folders for tree and state of both sites in place of those in the lab's own folder.
    pub(crate) homes: Option<[PathBuf; 2]>,
    /// The connection goes over a wire that [`Lab::cut`] cuts.
    pub(crate) is_cuttable: bool,
    /// The second site follows the first one and sends nothing.
    pub(crate) is_replica: bool,
}

/// Two sites that know each other.
#[derive(Debug)]
pub(crate) struct Lab {
    folder: Option<tempfile::TempDir>,
    wire: Option<Wire>,
    /// How long everything may take to come to rest.
    pub(crate) patience: Duration,
    /// Space that is taken and not written, which is not replicated, may differ.
    pub(crate) may_take_space: bool,
    pub(crate) a: Site,
    pub(crate) b: Site,
}

impl Lab {
    /// Certificates, configurations and empty trees. Nothing runs yet.
    pub(crate) fn new(options: &LabOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let tls = at.join("tls");
        pki(&tls, &["init"]);
        pki(&tls, &["issue", "--site", "site-a"]);
        pki(&tls, &["issue", "--site", "site-b"]);
        let ports = free_ports();
        let homes = options
            .homes
            .clone()
            .unwrap_or_else(|| [at.join("a"), at.join("b")]);
        let [home_a, home_b] = homes;
        let a = Site::new(1, "site-a", at, &home_a, options);
        let b = Site::new(2, "site-b", at, &home_b, options);
        let wire = options.is_cuttable.then(|| Wire::new(ports[0]));
        let dialled = wire.as_ref().map_or(ports[0], Wire::port);
        a.configure(&tls, ports[0], (&b, ports[1]), options);
        b.configure(&tls, ports[1], (&a, dialled), options);
        Self {
            folder: Some(folder),
            wire,
            patience: quiet::PATIENCE,
            may_take_space: false,
            a,
            b,
        }
    }

    /// A lab with both daemons running.
    pub(crate) fn started(options: &LabOptions) -> Self {
        let mut lab = Self::new(options);
        lab.a.start(&[]);
        lab.b.start(&[]);
        lab
    }

    /// Both sites.
    pub(crate) fn sites(&mut self) -> [&mut Site; 2] {
        [&mut self.a, &mut self.b]
    }

    /// The site of that index.
    pub(crate) const fn site(&mut self, which: usize) -> &mut Site {
        if which == 0 { &mut self.a } else { &mut self.b }
    }

    /// Disconnects the sites until [`Lab::join`].
    pub(crate) fn cut(&self) {
        self.wire.as_ref().expect("a lab with a wire").cut();
    }

    /// Lets them connect again.
    pub(crate) fn join(&self) {
        self.wire.as_ref().expect("a lab with a wire").join();
    }

    /// Where everything but foreign homes lies.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.a.kill();
        self.b.kill();
        let keep = std::env::var_os(KEEP).is_some_and(|value| value == "1");
        if let Some(folder) = self.folder.take()
            && keep
            && std::thread::panicking()
        {
            println!("kept: {}", folder.keep().display());
        }
    }
}

/// The program, without the environment of whoever runs the tests.
pub(crate) fn cfs_repl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cfs-repl"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs a command to its end and insists on success; what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Whether a program of this name can be started.
pub(crate) fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}

/// Waits until `done` says so, looking often; what is waited for lies in another process. False when it does not
/// come within `patience`.
pub(crate) fn comes(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let until = SystemClock.monotonic() + patience;
    loop {
        if done() {
            return true;
        }
        if SystemClock.monotonic() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn pki(tls: &Path, words: &[&str]) {
    let mut command = cfs_repl();
    command.arg("pki").args(words).args(["--cluster", "lab"]);
    run(command.arg("--dir").arg(tls));
}

/// Ports of the loopback address that nobody uses in this moment.
fn free_ports() -> [u16; 2] {
    // Both are held until both are known, so that they differ.
    let held = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// Every file below `dir`, with its bytes; what goes away meanwhile is left out.
pub(crate) fn read_all(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                todo.push(entry.path());
            } else if kind.is_file()
                && let Ok(bytes) = fs::read(entry.path())
            {
                found.push((entry.path(), bytes));
            }
        }
    }
    found
}
