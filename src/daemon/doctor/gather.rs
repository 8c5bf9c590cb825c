//! Looks at the machine and its disks. Nothing here decides what a fact means, and nothing is made or changed.

mod net;

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat};
use rustix::process::{Resource, getrlimit};

use super::facts::{Daemon, Facts, Filesystem, Look, Machine, Sibling, Site, State, Tree, Trust};
use crate::clock::{Clock as _, SystemClock, TimestampUs};
use crate::conduit::config::ConduitTlsConfig;
use crate::conduit::pki::CaFiles;
use crate::conduit::tls::{Tls, TlsFiles};
use crate::config::{Config, Problem, TlsPaths};
use crate::daemon::lock;
use crate::disk::ReadOnlyDisk;
use crate::error::{ReplError, Result};
use crate::journal::Journal;
use crate::tree::policy::Policy;
use crate::tree::populated::visit;
use crate::tree::{pin, root, stat};

/// How long directories are counted: some hundred thousand on a cold disk.
const COUNT_MAX: Duration = Duration::from_secs(20);
/// Where the daemon keeps in its state folder what it knows of the tree.
pub(super) const TREE_STATE: &str = "tree";
/// Other configurations that are looked at.
const SIBLINGS_MAX: usize = 100;
/// Files of a state folder that are looked at; a log of the largest budget has a tenth of it.
const STATE_FILES_MAX: u64 = 100_000;

/// Everything that can be seen of the site that `file` configures.
pub(super) fn facts(file: &Path, patience: Duration) -> Result<Facts> {
    let now_us = SystemClock.now_us();
    let mut facts = Facts {
        now_us,
        file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
        problems: Vec::new(),
        machine: machine(),
        site: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| ReplError::io("start the runtime", "", e))?;
    facts.machine.is_synchronised = runtime.block_on(net::is_synchronised(patience));
    match Config::read(file) {
        Ok(config) => {
            facts.problems = beyond_reading(file);
            let tls = config
                .tls
                .as_ref()
                .map(|paths| trust(&config, paths, now_us));
            let (trust, tls) = tls.map_or((None, None), |(trust, tls)| (Some(trust), tls));
            let seen = runtime.block_on(net::look(&config, tls.as_ref(), patience));
            facts.site = Some(site(&facts.file, &config, trust, seen));
        }
        Err(error) => facts.problems = problems(error.problems),
    }
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    Ok(facts)
}

/// What is wrong with a configuration that can be read, as the daemon finds when it starts. The tree is looked at by
/// itself.
fn beyond_reading(file: &Path) -> Vec<(String, String)> {
    let mut found = problems(Config::problems(file));
    found.retain(|(what, _)| !what.contains(" tree.root: "));
    found
}

fn problems(all: Vec<Problem>) -> Vec<(String, String)> {
    let told = |problem: Problem| (format!("{}: {}", problem.at, problem.what), problem.hint);
    all.into_iter().map(told).collect()
}

fn machine() -> Machine {
    let number = |name: &str| {
        let text = fs::read_to_string(Path::new("/proc/sys/fs/inotify").join(name));
        text.ok()?.trim().parse().ok()
    };
    Machine {
        release: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        is_synchronised: None,
        watches_max: number("max_user_watches"),
        instances_max: number("max_user_instances"),
    }
}

fn site(file: &Path, config: &Config, trust: Option<Trust>, seen: net::Seen) -> Site {
    let state_dir = &config.state.dir;
    Site {
        name: config.site.name.clone(),
        id: config.site.id,
        cluster: config.site.cluster.clone(),
        file_mode: mode(file),
        siblings: siblings(file, config),
        root: config.tree.root.clone(),
        tree: tree(config),
        keep_percent: config.conflicts.keep_percent,
        state_dir: state_dir.clone(),
        state: Look::of(state(state_dir)),
        journal_of: journal_of(state_dir),
        holder: lock::holder_in(state_dir),
        state_has_parent: state_dir.parent().is_some_and(Path::is_dir),
        budget_bytes: config.state.journal_budget_bytes,
        trust,
        files_max: files_max(state_dir, &seen.daemon),
        daemon: seen.daemon,
        listen: config.conduit.listen.zip(seen.listen),
        peers: seen.peers,
    }
}

/// Lower 12 bits of the mode.
fn mode(path: &Path) -> Look<u32> {
    let metadata = fs::metadata(path);
    Look::of(metadata.map(|metadata| metadata.permissions().mode() & 0o7777))
}

fn journal_of(state: &Path) -> Look<u64> {
    match of_error(Journal::owner_in(
        &ReadOnlyDisk::shared(),
        &state.join("journal"),
    )) {
        Look::Seen(Some(owner)) => Look::Seen(owner.site_id),
        Look::Seen(None) | Look::Absent => Look::Absent,
        Look::Denied => Look::Denied,
        Look::Failed(why) => Look::Failed(why),
    }
}

fn siblings(file: &Path, config: &Config) -> Vec<Sibling> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let own = real(file);
    let entries = file.parent().and_then(|folder| fs::read_dir(folder).ok());
    let mut others: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml") && real(path) != own)
        .collect();
    others.sort();
    let mut found = Vec::new();
    for file in others.into_iter().take(SIBLINGS_MAX) {
        let Ok(other) = Config::read(&file) else {
            continue;
        };
        let mut same = |key, value: String| {
            found.push(Sibling {
                file: file.clone(),
                key,
                value,
            });
        };
        let (a, b) = (real(&config.tree.root), real(&other.tree.root));
        if a.starts_with(&b) || b.starts_with(&a) {
            same("tree.root", other.tree.root.display().to_string());
        }
        if real(&config.state.dir) == real(&other.state.dir) {
            same("state.dir", other.state.dir.display().to_string());
        }
        if let (Some(a), Some(b)) = (config.conduit.listen, other.conduit.listen)
            && a.port() == b.port()
            && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
        {
            same("conduit.listen", b.to_string());
        }
    }
    found
}

fn tree(config: &Config) -> Look<Tree> {
    let path = &config.tree.root;
    // Whoever may list it can say more.
    Look::of(fs::read_dir(path).and_then(|_| {
        let real = fs::canonicalize(path)?;
        let (dirs, dirs_complete) = dirs(&real, &config.tree.exclude);
        let births = stat::stat_at(CWD, &real).err();
        Ok(Tree {
            filesystem: filesystem(&real)?,
            openat2: root::probe(&real).err().map(|error| error.to_string()),
            births: births.map(|error| {
                let path = path.display();
                if error == rustix::io::Errno::OPNOTSUPP {
                    format!("{path} is on a filesystem without birth times: a file could not be told from the one before")
                } else {
                    format!("{path}: {}", io::Error::from(error))
                }
            }),
            writable: accessat(CWD, &real, Access::WRITE_OK, AtFlags::EACCESS).is_ok(),
            dirs,
            dirs_complete,
            bond: of_error(pin::look(&real, &config.state.dir.join(TREE_STATE))),
        })
    }))
}

/// What an error of ours means for a look.
fn of_error<T>(result: Result<T>) -> Look<T> {
    match result {
        Ok(seen) => Look::Seen(seen),
        Err(ReplError::Io { source, .. })
            if matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            Look::of(Err(source))
        }
        Err(error) => Look::Failed(error.to_string()),
    }
}

/// Directories of the tree, and whether all were counted.
fn dirs(root: &Path, exclude: &[String]) -> (u64, bool) {
    let Ok(policy) = Policy::excluding(exclude) else {
        return (1, false);
    };
    let (until, mut count, mut complete) = (SystemClock.monotonic() + COUNT_MAX, 1, true);
    let counted = visit(root, &policy, &mut |path, kind| {
        if !kind.is_dir() {
            return ControlFlow::Continue(());
        }
        count += 1;
        // What this user may not list may hold more.
        complete &= rustix::fs::access(path, Access::READ_OK).is_ok();
        if SystemClock.monotonic() > until {
            complete = false;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    (count, complete && counted.is_ok())
}

fn filesystem(path: &Path) -> io::Result<Filesystem> {
    let kind = rustix::fs::statfs(path)?;
    let room = rustix::fs::statvfs(path)?;
    #[expect(
        clippy::cast_sign_loss,
        reason = "f_type is a bit pattern; its sign differs between architectures"
    )]
    let kind = kind.f_type as u64 & 0xFFFF_FFFF;
    let has = |flag| room.f_flag.contains(flag);
    Ok(Filesystem {
        kind,
        mount: mount_point(path),
        read_only: has(StatVfsMountFlags::RDONLY),
        nosuid: has(StatVfsMountFlags::NOSUID),
        noexec: has(StatVfsMountFlags::NOEXEC),
        total_bytes: room.f_blocks.saturating_mul(room.f_frsize),
        free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
        free_inodes: (room.f_files > 0).then_some(room.f_favail),
    })
}

/// The highest folder above `path` on the same device.
fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let own = device(path);
    let above = path.ancestors().take_while(|above| device(above) == own);
    above.last().unwrap_or(path).to_owned()
}

fn state(dir: &Path) -> io::Result<State> {
    let metadata = fs::metadata(dir)?;
    Ok(State {
        is_dir: metadata.is_dir(),
        mode: metadata.permissions().mode() & 0o7777,
        filesystem: filesystem(&fs::canonicalize(dir)?)?,
        used_bytes: used(dir),
    })
}

/// What a folder takes on its disk, if this user may see it.
fn used(dir: &Path) -> Option<u64> {
    let (mut todo, mut bytes, mut files) = (vec![dir.to_owned()], 0_u64, 0_u64);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).ok()?.flatten() {
            files += 1;
            if files > STATE_FILES_MAX {
                return None;
            }
            // A file that goes meanwhile takes nothing.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
            if metadata.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    Some(bytes)
}

/// What certificate and key are worth, and they themselves when they hold.
fn trust(config: &Config, paths: &TlsPaths, now_us: TimestampUs) -> (Trust, Option<Arc<Tls>>) {
    let files = TlsFiles {
        cert: paths.cert.clone(),
        key: paths.key.clone(),
        ca: paths.ca.clone(),
    };
    let tls = match material(&files) {
        Ok(material) => {
            let (site, cluster) = (&config.site.name, &config.site.cluster);
            of_error(Tls::new(&material, &files, site, cluster, now_us))
        }
        Err(error) => Look::of(Err(error)),
    };
    let (expires_us, tls) = match tls {
        Look::Seen(tls) => (Look::Seen(tls.expires_us()), Some(tls)),
        Look::Absent => (Look::Absent, None),
        Look::Denied => (Look::Denied, None),
        Look::Failed(why) => (Look::Failed(why), None),
    };
    let folder = |file: &Path| file.parent().unwrap_or(Path::new("/")).to_owned();
    let trust = Trust {
        key_mode: mode(&files.key),
        folder_mode: mode(&folder(&files.key)),
        expires_us,
        has_authority: CaFiles::new(&folder(&files.ca)).key.exists(),
        cert: files.cert,
        key: files.key,
        ca: files.ca,
    };
    (trust, tls)
}

/// The files, whatever the mode of the key: that is another finding.
fn material(files: &TlsFiles) -> io::Result<ConduitTlsConfig> {
    Ok(ConduitTlsConfig {
        cert_pem: fs::read(&files.cert)?,
        key_pem: fs::read(&files.key)?,
        ca_pem: fs::read(&files.ca)?,
    })
}

/// How many files the daemon may have open, or a daemon that this shell would start.
fn files_max(state: &Path, daemon: &Daemon) -> Option<u64> {
    if !matches!(daemon, Daemon::Runs(_)) {
        // No limit is no number.
        return Some(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX));
    }
    let process: u32 = fs::read_to_string(state.join("lock"))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let mut lines = limits.lines();
    let rest = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = rest.split_whitespace().next()?;
    soft.parse()
        .ok()
        .or((soft == "unlimited").then_some(u64::MAX))
}
