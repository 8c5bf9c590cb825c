//! What is worth a look in a configuration that can be used: who can reach this site, and where the state lies.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::Config;
use super::check::real_path;
use super::problem::Findings;
use super::units::format_size;

/// Filesystems that do not hold a journal, by what statfs(2) calls them: they forget at a restart.
const FORGETFUL: [(u64, &str); 2] = [(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];
/// Filesystems of another machine: locks and durable writes are another machine's promise.
const REMOTE: [(u64, &str); 3] = [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0xfe53_4d42, "SMB")];

/// Adds the warnings.
pub(super) fn advise(config: &Config, findings: &mut Findings) {
    reach(config, findings);
    state(config, findings);
    program(config, findings);
    groups(config, findings);
}

fn reach(config: &Config, findings: &mut Findings) {
    if config.peers.is_empty() {
        findings.warn(
            None,
            "no peer is configured: changes are journaled, and go nowhere",
            "add a [[peer]] for each other site",
        );
    }
    let is_everywhere = |address: Option<SocketAddr>| address.filter(|at| at.ip().is_unspecified());
    for (key, address) in [
        ("conduit.listen", config.conduit.listen),
        ("admin.listen", config.admin.listen),
    ] {
        if let Some(address) = is_everywhere(address) {
            findings.warn(
                findings.place(key),
                format!("{key}: {address} is every address of this machine"),
                "name one of them, unless sites come over several networks",
            );
        }
    }
    if let Some(address) = config.metrics.listen.filter(|at| !at.ip().is_loopback()) {
        findings.warn(
            findings.place("metrics.listen"),
            format!("metrics.listen: everybody who reaches {address} can read the metrics"),
            "use 127.0.0.1, or keep others out with a firewall",
        );
    }
    if config.admin.listen.is_some() && config.admin.allow.is_empty() {
        findings.warn(
            findings.place("admin.listen"),
            "admin.allow is empty: nobody can use admin.listen",
            "list the DNS names of the certificates that may",
        );
    }
}

/// Members of groups have to reach the socket.
fn groups(config: &Config, findings: &mut Findings) {
    let admin = &config.admin;
    let named = [
        ("admin.read_group", &admin.read_group),
        ("admin.write_group", &admin.write_group),
    ];
    for (key, group) in named {
        if group.is_some() && admin.socket.starts_with(&config.state.dir) {
            findings.warn(
                findings.place(key),
                format!(
                    "{key}: the socket lies in the state folder, which only its owner can enter"
                ),
                "set admin.socket to a path outside of it, such as /run/cfs-repl/admin.sock",
            );
        }
    }
}

/// What the disk says of the state folder, or of the nearest folder above it that exists.
fn state(config: &Config, findings: &mut Findings) {
    let dir = real_path(&config.state.dir);
    let at = findings.place_or_file("state.dir");
    if let Ok(metadata) = fs::metadata(&dir)
        && metadata.permissions().mode() & 0o077 != 0
    {
        let mode = metadata.permissions().mode() & 0o7777;
        findings.warn(
            Some(at.clone()),
            format!("state.dir: the mode {mode:04o} lets others in, and the journal names files"),
            format!("chmod 700 {}", dir.display()),
        );
    }
    let Some(there) = dir.ancestors().find(|dir| dir.exists()) else {
        return;
    };
    if let Ok(system) = rustix::fs::statfs(there) {
        // The magic numbers have 32 bits, in a word that is signed on some machines.
        let magic = u64::try_from(system.f_type & 0xffff_ffff).unwrap_or_default();
        let named = |list: &[(u64, &'static str)]| {
            let found = list.iter().find(|(known, _)| *known == magic);
            found.map(|(_, name)| *name)
        };
        if let Some(name) = named(&FORGETFUL) {
            findings.warn(
                Some(at.clone()),
                format!("state.dir lies on {name}, which forgets the journal at a restart of the machine"),
                "choose a folder on a disk: what was not sent is lost, and this site would be refused",
            );
        }
        if let Some(name) = named(&REMOTE) {
            findings.warn(
                Some(at.clone()),
                format!("state.dir lies on {name}, on which locks and durable writes may not hold"),
                "choose a folder on a disk of this machine",
            );
        }
    }
    room(config, there, findings);
}

/// The budget of the journal should fit on its filesystem.
fn room(config: &Config, there: &Path, findings: &mut Findings) {
    let Ok(system) = rustix::fs::statvfs(there) else {
        return;
    };
    let bytes = system.f_blocks.saturating_mul(system.f_frsize);
    let budget = config.state.journal_budget_bytes;
    if bytes < budget {
        let at = findings.place_or_file("state.journal_budget");
        let mib = bytes / (1 << 20) * (1 << 20);
        findings.warn(
            Some(at),
            format!(
                "state.journal_budget is {}, and the filesystem of the state folder has only {}",
                format_size(budget),
                format_size(mib)
            ),
            "lower it: a disk that is full stops this site before its budget fences anyone",
        );
    }
}

/// A program for alerts that cannot be started would be noticed when it is needed.
fn program(config: &Config, findings: &mut Findings) {
    let Some(program) = config.alerts.exec.first() else {
        return;
    };
    let path = Path::new(program);
    let can_start = fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0);
    if path.is_absolute() && !can_start {
        findings.warn(
            findings.place("alerts.exec"),
            format!("alerts.exec: {program} is no program that can be started"),
            "correct the path, or chmod +x",
        );
    }
}
