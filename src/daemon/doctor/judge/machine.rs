//! Pure: what a site needs of the machine: a kernel, a clock that is kept, watches and open files.

use super::super::facts::{Daemon, Look, Machine, Site};
use crate::admin::verdict::SKEW_MAX_US;
use crate::admin::view::{Finding, Rating};
use crate::text::{count, duration};

/// The oldest kernel on which everything is there, as README.md says.
const KERNEL_MIN: (u32, u32) = (5, 8);
/// From here on a disk that was mounted again is noticed.
const KERNEL_MOUNTS: (u32, u32) = (6, 8);
/// Watches are shared by all programs of a user: this share of them may be the tree's, in percent.
const WATCHES_PERCENT: u64 = 80;
/// The least that is suggested: what current kernels allow on a machine of 4 GiB.
const WATCHES_SUGGESTED: u64 = 65_536;
/// Open files of a daemon without peers: logs, store, inotify, sockets, and files that are read and written.
const FILES_BASE: u64 = 256;
/// The same for each peer: its log, its connections, content on its way.
const FILES_PEER: u64 = 64;
/// What the unit file sets.
const FILES_SUGGESTED: u64 = 1_048_576;

pub(super) fn kernel(machine: &Machine) -> Finding {
    const CHECK: &str = "kernel";
    let release = &machine.release;
    let (major, minor) = KERNEL_MIN;
    match version(release) {
        None => Finding::bad(
            Rating::Unknown,
            CHECK,
            format!("\"{release}\" is no version of Linux that is known"),
            format!("uname -r: it must be {major}.{minor} or newer"),
        ),
        Some(version) if version < KERNEL_MIN => Finding::bad(
            Rating::Critical,
            CHECK,
            format!("Linux {release} is older than {major}.{minor}"),
            format!(
                "install a kernel of version {major}.{minor} or newer, and start the machine again"
            ),
        ),
        Some(version) if version < KERNEL_MOUNTS => Finding::ok(
            CHECK,
            format!("Linux {release}; a disk that was mounted again is noticed from 6.8 on"),
        ),
        Some(_) => Finding::ok(CHECK, format!("Linux {release}")),
    }
}

/// The first two numbers of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

pub(super) fn clock(machine: &Machine, site: Option<&Site>) -> Finding {
    const CHECK: &str = "clock";
    let skews = match site.map(|site| &site.daemon) {
        Some(Daemon::Runs(running)) => running.skews.as_slice(),
        Some(Daemon::Stopped | Daemon::Denied | Daemon::Silent(_)) | None => &[],
    };
    let worst = skews.iter().max_by_key(|(_, skew)| skew.unsigned_abs());
    if let Some((peer, skew)) = worst.filter(|(_, skew)| skew.unsigned_abs() > SKEW_MAX_US) {
        let (size, direction) = (
            duration(skew.unsigned_abs()),
            if *skew > 0 { "ahead of" } else { "behind" },
        );
        return Finding::bad(
            Rating::Warning,
            CHECK,
            format!(
                "the clock of {peer} is {size} {direction} the one here: the latest version wins by them"
            ),
            "at both sites: timedatectl status, and where it is not synchronised: timedatectl set-ntp true",
        );
    }
    let agree = worst.map(|(_, skew)| {
        let size = duration(skew.unsigned_abs());
        format!("the clocks of the peers agree with it to {size}")
    });
    match (machine.is_synchronised, agree) {
        (Some(true), None) => Finding::ok(CHECK, "synchronised"),
        (Some(true), Some(agree)) => Finding::ok(CHECK, format!("synchronised, and {agree}")),
        (None, Some(agree)) => Finding::ok(
            CHECK,
            format!("{agree}; whether a time service keeps it is not known"),
        ),
        (Some(false), _) => Finding::bad(
            Rating::Warning,
            CHECK,
            "no time service keeps it: the latest version wins by the clocks of the sites",
            "timedatectl set-ntp true, or install one: apt install chrony",
        ),
        (None, None) => Finding::bad(
            Rating::Unknown,
            CHECK,
            "whether a time service keeps it is not known",
            "timedatectl status, or chronyc tracking: one of them must say that it is synchronised",
        ),
    }
}

pub(super) fn inotify(machine: &Machine, site: &Site) -> Finding {
    const CHECK: &str = "inotify";
    let tree = match &site.tree {
        Look::Seen(tree) => Some(tree),
        Look::Absent | Look::Denied | Look::Failed(_) => None,
    };
    let dirs = tree.map_or(1, |tree| tree.dirs);
    let told = match tree {
        Some(tree) if tree.dirs_complete => format!("directories of the tree: {}", count(dirs)),
        Some(_) => format!("directories of the tree: at least {}", count(dirs)),
        None => "the directories of the tree cannot be counted".to_owned(),
    };
    let raise = || {
        let wanted = wanted(dirs);
        format!(
            "sysctl -w fs.inotify.max_user_watches={wanted}, and for the next start of the machine: \
             echo fs.inotify.max_user_watches={wanted} > /etc/sysctl.d/60-cfs-repl.conf"
        )
    };
    if let Daemon::Runs(running) = &site.daemon
        && let Some(why) = &running.blind
    {
        let found = format!("changes are found by scanning, later: {why}; {told}");
        return Finding::bad(Rating::Warning, CHECK, found, raise());
    }
    if machine.instances_max == Some(0) {
        return Finding::bad(
            Rating::Warning,
            CHECK,
            "no program may watch anything: fs.inotify.max_user_instances is 0",
            "sysctl -w fs.inotify.max_user_instances=128",
        );
    }
    let Some(max) = machine.watches_max else {
        return Finding::bad(
            Rating::Unknown,
            CHECK,
            format!("the limit of watches is not told; {told}"),
            format!(
                "sysctl fs.inotify.max_user_watches: at least {}",
                wanted(dirs)
            ),
        );
    };
    let limit = format!("one user may watch {}", count(max));
    if dirs > max {
        let found = format!("{told}, and {limit}: the rest is found by scanning, later");
        return Finding::bad(Rating::Warning, CHECK, found, raise());
    }
    if dirs.saturating_mul(100) > max.saturating_mul(WATCHES_PERCENT) {
        let found = format!("{told}, {limit}, and other programs need some, too");
        return Finding::bad(Rating::Warning, CHECK, found, raise());
    }
    if tree.is_none_or(|tree| !tree.dirs_complete) {
        let fix = format!(
            "sysctl fs.inotify.max_user_watches: more than find {} -xdev -type d | wc -l says",
            super::word(&site.root)
        );
        return Finding::bad(Rating::Unknown, CHECK, format!("{told}, {limit}"), fix);
    }
    Finding::ok(CHECK, format!("{told}, {limit}"))
}

/// Watches to allow for so many directories: twice as many, as a power of two.
fn wanted(dirs: u64) -> u64 {
    let twice = dirs.saturating_mul(2).max(WATCHES_SUGGESTED);
    twice.checked_next_power_of_two().unwrap_or(twice)
}

pub(super) fn files(site: &Site) -> Finding {
    const CHECK: &str = "open_files";
    let needed = FILES_BASE + FILES_PEER * site.peers.len() as u64;
    let whose = match site.daemon {
        Daemon::Runs(_) => "the daemon",
        Daemon::Stopped | Daemon::Denied | Daemon::Silent(_) => "a program of this shell",
    };
    match site.files_max {
        None => Finding::bad(
            Rating::Unknown,
            CHECK,
            format!("how many files {whose} may have open is not told"),
            format!("ulimit -n: at least {needed}"),
        ),
        Some(max) if max < needed => Finding::bad(
            Rating::Warning,
            CHECK,
            format!("{whose} may have {max} files open, and up to {needed} may be needed"),
            format!(
                "LimitNOFILE={FILES_SUGGESTED} in [Service] of the unit: systemctl edit cfs-repl; without systemd: \
                 ulimit -n {needed}, before cfs-repl run"
            ),
        ),
        Some(max) => Finding::ok(CHECK, format!("{whose} may have {} files open", count(max))),
    }
}
