//! Two or three sites as real processes: made with the commands that an operator types, started, killed, and watched.
//!
//! A lab owns its folder and its daemons; dropping it kills them and removes everything, unless the test failed and
//! `CFS_REPL_KEEP=1` asks to keep the folder. What is killed is only what was started here, by its process id.

pub(crate) mod netns;
mod quiet;
mod site;
pub(crate) mod strace;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};

pub(crate) use site::Site;
pub(crate) use wire::{Condition, End, Wire};

/// Names of the sites, in the order of their ids from 1.
const NAMES: [&str; 3] = ["site-a", "site-b", "site-c"];
/// Set to 1 to keep the folder of a lab whose test failed.
const KEEP: &str = "CFS_REPL_KEEP";

/// What differs from one lab to the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct LabOptions {
    /// Lines `key = value` of the configuration that replace its defaults.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Environment of all daemons.
    pub(crate) env: Vec<(&'static str, String)>,
    /// Folders for tree and state of both sites in place of those in the lab's own folder.
    pub(crate) homes: Option<[PathBuf; 2]>,
    /// Connections go over wires: [`Lab::cut`], [`Lab::wire`].
    pub(crate) is_cuttable: bool,
    /// The second site follows the first one and sends nothing.
    pub(crate) is_replica: bool,
    /// There is a third site, connected with both others.
    pub(crate) has_third: bool,
    /// What stands before the command that starts each daemon.
    pub(crate) launch: Vec<Vec<String>>,
    /// Where a site reaches another one, by their ids; not set: on the loopback address.
    pub(crate) address: Option<fn(u64, u64) -> Ipv4Addr>,
}

/// Sites that know each other.
#[derive(Debug)]
pub(crate) struct Lab {
    folder: Option<tempfile::TempDir>,
    /// By the ids of who dials and who is dialled.
    wires: BTreeMap<(u64, u64), Wire>,
    /// How long everything may take to come to rest.
    pub(crate) patience: Duration,
    /// Space that is taken and not written, which is not replicated, may differ.
    pub(crate) may_take_space: bool,
    pub(crate) a: Site,
    pub(crate) b: Site,
    pub(crate) c: Option<Site>,
}

impl Lab {
    /// Certificates, configurations and empty trees. Nothing runs yet.
    pub(crate) fn new(options: &LabOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let tls = at.join("tls");
        pki(&tls, &["init"]);
        let homes = options.homes.clone();
        let [home_a, home_b] = homes.unwrap_or_else(|| [at.join("a"), at.join("b")]);
        let mut homes = vec![home_a, home_b];
        if options.has_third {
            homes.push(at.join("c"));
        }
        let mut sites = Vec::new();
        for ((id, name), home) in (1..).zip(NAMES).zip(&homes) {
            pki(&tls, &["issue", "--site", name]);
            sites.push(Site::new(id, name, at, home, options));
        }
        let ports = free_ports(sites.len());
        let wires = if options.is_cuttable {
            wires(&sites, &ports)
        } else {
            BTreeMap::new()
        };
        for (site, port) in sites.iter().zip(&ports) {
            let mut peers = Vec::new();
            for (other, other_port) in sites.iter().zip(&ports).filter(|(o, _)| o.id != site.id) {
                let dialled = wires.get(&(site.id, other.id));
                let port = dialled.map_or(*other_port, Wire::port);
                peers.push((other, port));
            }
            site.configure(&tls, *port, &peers, options);
        }
        let mut sites = sites.into_iter();
        Self {
            wires,
            patience: quiet::PATIENCE,
            may_take_space: false,
            a: sites.next().unwrap(),
            b: sites.next().unwrap(),
            c: sites.next(),
            folder: Some(folder),
        }
    }

    /// A lab with all daemons running.
    pub(crate) fn started(options: &LabOptions) -> Self {
        let mut lab = Self::new(options);
        for site in lab.sites() {
            site.start(&[]);
        }
        lab
    }

    /// All sites.
    pub(crate) fn sites(&mut self) -> Vec<&mut Site> {
        let first = [&mut self.a, &mut self.b];
        first.into_iter().chain(self.c.as_mut()).collect()
    }

    /// All sites, to look at.
    pub(crate) fn seen(&self) -> Vec<&Site> {
        [&self.a, &self.b].into_iter().chain(&self.c).collect()
    }

    /// Both sites of a lab that has no third.
    pub(crate) fn pair(&mut self) -> [&mut Site; 2] {
        assert!(self.c.is_none(), "there is a third site");
        [&mut self.a, &mut self.b]
    }

    /// The site of that index.
    pub(crate) fn site(&mut self, which: usize) -> &mut Site {
        self.sites().swap_remove(which)
    }

    /// Disconnects the sites until [`Lab::join`].
    pub(crate) fn cut(&self) {
        assert!(!self.wires.is_empty(), "a lab without wires");
        for wire in self.wires.values() {
            wire.set(Condition::Cut);
        }
    }

    /// Lets them connect again.
    pub(crate) fn join(&self) {
        for wire in self.wires.values() {
            wire.set(Condition::Clear);
        }
    }

    /// All wires.
    pub(crate) fn wires(&self) -> Vec<&Wire> {
        self.wires.values().collect()
    }

    /// Where everything but foreign homes lies.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for site in self.sites() {
            site.kill();
        }
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
    program(name).is_some()
}

/// Where a program of this name is.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|dir| dir.join(name));
    found.find(|file| file.is_file())
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
fn free_ports(count: usize) -> Vec<u16> {
    // All are held until all are known, so that they differ.
    let held = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let held: Vec<TcpListener> = held.collect();
    let ports = held.iter().map(|one| one.local_addr().unwrap().port());
    ports.collect()
}

/// A wire from each site to each with a lower id: those are dialled.
fn wires(sites: &[Site], ports: &[u16]) -> BTreeMap<(u64, u64), Wire> {
    let mut wires = BTreeMap::new();
    for (listens, port) in sites.iter().zip(ports) {
        for dials in sites.iter().filter(|site| site.id > listens.id) {
            wires.insert((dials.id, listens.id), Wire::new(*port));
        }
    }
    wires
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
