//! Pure: what a site needs of its disks: a tree that can be kept, a state folder of its own, and room in both.

use std::path::Path;

use super::super::facts::{Facts, Filesystem, Look, Site, State, Tree};
use super::{config_word, unseen, word};
use crate::admin::view::{Finding, Rating};
use crate::config::units::format_size;
use crate::text::bytes;
use crate::tree::pin::Bond;

/// Less room than this is none: a log grows by so much at once.
const ROOM_MIN: u64 = 64 << 20;
/// The least that `state.journal_budget` may be.
const BUDGET_MIN: u64 = 256 << 20;

/// Which kind of filesystem that is, by `f_type` of statfs(2) (linux/magic.h).
struct Kind {
    magic: u64,
    name: &'static str,
    /// Why it does not suit; none: it was tried and does.
    against: Option<(Rating, &'static str)>,
}

const UNTRIED: &str = "it was never tried";
const NETWORK: &str =
    "changes that are made at another machine are not noticed, and locks and syncs differ";
const MEMORY: &str = "it is gone when the machine is off";

const KINDS: [Kind; 18] = [
    kind(0xEF53, "ext4", None),
    kind(0x5846_5342, "xfs", None),
    kind(0x9123_683E, "btrfs", None),
    kind(0xF2F5_2010, "f2fs", None),
    kind(0x0102_1994, "tmpfs", Some((Rating::Warning, MEMORY))),
    kind(0x8584_58F6, "ramfs", Some((Rating::Warning, MEMORY))),
    kind(0x794C_7630, "overlayfs", Some((Rating::Warning, UNTRIED))),
    kind(0x2FC1_2FC1, "zfs", Some((Rating::Warning, UNTRIED))),
    kind(0xCA45_1A4E, "bcachefs", Some((Rating::Warning, UNTRIED))),
    kind(0x6969, "nfs", Some((Rating::Critical, NETWORK))),
    kind(0xFE53_4D42, "smb", Some((Rating::Critical, NETWORK))),
    kind(0xFF53_4D42, "cifs", Some((Rating::Critical, NETWORK))),
    kind(0x6573_5546, "fuse", Some((Rating::Warning, UNTRIED))),
    kind(0x0102_1997, "9p", Some((Rating::Critical, NETWORK))),
    kind(0x00C3_6400, "ceph", Some((Rating::Critical, NETWORK))),
    kind(0x0BD0_0BD0, "lustre", Some((Rating::Critical, NETWORK))),
    kind(
        0x4D44,
        "vfat",
        Some((Rating::Critical, "it has neither owners nor links")),
    ),
    kind(
        0x2011_BAB0,
        "exfat",
        Some((Rating::Critical, "it has neither owners nor links")),
    ),
];

const fn kind(magic: u64, name: &'static str, against: Option<(Rating, &'static str)>) -> Kind {
    Kind {
        magic,
        name,
        against,
    }
}

/// The tree: what it is, and whether it can be kept in step.
pub(super) fn tree(facts: &Facts, site: &Site) -> Vec<Finding> {
    const CHECK: &str = "tree";
    let root = site.root.display();
    let fix = format!(
        "mount the disk of the tree, or mkdir {}, or correct tree.root in {}",
        word(&site.root),
        facts.file.display()
    );
    let Look::Seen(tree) = &site.tree else {
        return unseen(CHECK, &site.root, &site.tree, facts, fix)
            .into_iter()
            .collect();
    };
    let elsewhere = format!(
        "put the tree on ext4, xfs or btrfs, and its path in tree.root of {}",
        facts.file.display()
    );
    let mut findings = vec![
        match &tree.openat2 {
            None => Finding::ok("openat2", format!("paths are confined to {root}")),
            Some(why) => Finding::bad(
                Rating::Critical,
                "openat2",
                why,
                "install Linux 5.8 or newer; in a container, one that lets openat2 through",
            ),
        },
        match &tree.births {
            None => Finding::ok("birth_times", format!("{root} has birth times")),
            Some(why) => Finding::bad(Rating::Critical, "birth_times", why, &elsewhere),
        },
        filesystem("filesystem", &tree.filesystem, elsewhere),
    ];
    findings.push(mount("mount", &tree.filesystem));
    if !tree.writable && !tree.filesystem.read_only {
        findings.push(Finding::bad(
            Rating::Warning,
            CHECK,
            format!(
                "this user may not write into {root}: a daemon of this user cannot apply anything"
            ),
            format!(
                "run the daemon and this command as the owner of the tree: stat -c %U {}",
                word(&site.root)
            ),
        ));
    }
    findings.push(bond(facts, site, &tree.bond));
    findings.push(room_of_tree(facts, site, tree));
    findings
}

fn filesystem(check: &str, filesystem: &Filesystem, fix: String) -> Finding {
    let mount = filesystem.mount.display();
    let Some(kind) = KINDS.iter().find(|kind| kind.magic == filesystem.kind) else {
        let found = format!(
            "{mount} is of the kind 0x{:x}, which was never tried",
            filesystem.kind
        );
        return Finding::bad(Rating::Warning, check, found, fix);
    };
    let found = format!("{mount} is {}", kind.name);
    match kind.against {
        None => Finding::ok(check, found),
        Some((level, why)) => Finding::bad(level, check, format!("{found}: {why}"), fix),
    }
}

/// Whether a mount lets things be written, and what else it forbids.
fn mount(check: &str, filesystem: &Filesystem) -> Finding {
    let mount = filesystem.mount.display();
    if filesystem.read_only {
        return Finding::bad(
            Rating::Critical,
            check,
            format!("{mount} is mounted read-only"),
            format!(
                "dmesg | tail, for a disk that failed; otherwise: mount -o remount,rw {}",
                word(&filesystem.mount)
            ),
        );
    }
    let told = match (filesystem.noexec, filesystem.nosuid) {
        (false, false) => "can be written",
        // Set-uid bits are recorded and not applied, with or without it.
        (false, true) => "can be written; nosuid takes nothing away",
        (true, _) => {
            "can be written; noexec: programs in it are kept in step and cannot be started"
        }
    };
    Finding::ok(check, format!("{mount} {told}"))
}

fn bond(facts: &Facts, site: &Site, bond: &Look<Bond>) -> Finding {
    const CHECK: &str = "root";
    let (root, state) = (site.root.display(), site.state_dir.display());
    let Look::Seen(bond) = bond else {
        let fix = format!("sudo cfs-repl doctor --config {}", config_word(facts));
        let unseen = unseen(CHECK, &site.state_dir, bond, facts, fix);
        return unseen.unwrap_or_default();
    };
    let critical = |found: String, fix: String| Finding::bad(Rating::Critical, CHECK, found, fix);
    match bond {
        Bond::None => Finding::ok(
            CHECK,
            format!("{root} is no site's tree yet: the first start makes it the one of {state}"),
        ),
        Bond::Bound => Finding::ok(CHECK, format!("{root} is the tree of {state}")),
        Bond::Foreign => critical(
            format!(
                "{root} is the tree of another state folder than {state}: of another site, or of this one before"
            ),
            format!(
                "correct tree.root or state.dir in {}; two sites never share a tree. If the old state is lost: \
                 cfs-repl help join",
                facts.file.display()
            ),
        ),
        Bond::Copy => critical(
            format!("{root} is a copy of the tree of {state}"),
            format!(
                "if the tree was restored by copy, once: cfs-repl run --adopt-copy --config {}",
                config_word(facts)
            ),
        ),
        Bond::Other => critical(
            format!("{root} is another directory than the tree of {state}"),
            format!(
                "findmnt {}: mount the disk of the tree, or correct tree.root in {}",
                word(&site.root),
                facts.file.display()
            ),
        ),
        Bond::Unmarked => critical(
            format!("{root}/.cfs-repl/id is gone, which says that it is the tree of {state}"),
            format!("put {root}/.cfs-repl back from a backup; without one: cfs-repl help join"),
        ),
    }
}

fn room_of_tree(facts: &Facts, site: &Site, tree: &Tree) -> Finding {
    const CHECK: &str = "tree_space";
    let filesystem = &tree.filesystem;
    if let Some(full) = full(CHECK, filesystem, &site.root) {
        return full;
    }
    let percent = site.keep_percent;
    let losers = filesystem.total_bytes / 100 * u64::from(percent);
    let free = free(filesystem);
    if filesystem.free_bytes < losers {
        let has = filesystem.free_bytes / (filesystem.total_bytes / 100).max(1);
        let fix = if has == 0 {
            "make room: what is deleted goes from .cfs-repl/trash after a minute".to_owned()
        } else {
            format!(
                "make room, or in [conflicts] of {}: keep = \"{has}%\"",
                facts.file.display()
            )
        };
        return Finding::bad(
            Rating::Warning,
            CHECK,
            format!(
                "{free}, and losers of conflicts may take up to {} (conflicts.keep, {percent} %)",
                bytes(losers)
            ),
            fix,
        );
    }
    Finding::ok(CHECK, free)
}

/// A disk without room, or without room for names.
fn full(check: &str, filesystem: &Filesystem, folder: &Path) -> Option<Finding> {
    let mount = word(&filesystem.mount);
    if filesystem.free_bytes < ROOM_MIN {
        return Some(Finding::bad(
            Rating::Critical,
            check,
            free(filesystem),
            format!("make room: du -xhd1 {mount} | sort -h | tail"),
        ));
    }
    (filesystem.free_inodes == Some(0)).then(|| {
        Finding::bad(
            Rating::Critical,
            check,
            format!(
                "no file can be made in {}: no inodes are free",
                folder.display()
            ),
            format!("remove files: du -x --inodes -d1 {mount} | sort -h | tail"),
        )
    })
}

fn free(filesystem: &Filesystem) -> String {
    format!(
        "{} of {} are free on {}",
        bytes(filesystem.free_bytes),
        bytes(filesystem.total_bytes),
        filesystem.mount.display()
    )
}

/// The state folder: whose it is, and whether the journal has room.
pub(super) fn state(facts: &Facts, site: &Site) -> Vec<Finding> {
    const CHECK: &str = "state";
    let dir = word(&site.state_dir);
    let make = format!("mkdir -p -m 0700 {dir}");
    let state = match &site.state {
        Look::Seen(state) => state,
        Look::Absent if site.state_has_parent => {
            let found = format!(
                "{} does not exist yet: the first start makes it",
                site.state_dir.display()
            );
            return vec![Finding::ok(CHECK, found)];
        }
        other @ (Look::Absent | Look::Denied | Look::Failed(_)) => {
            return unseen(CHECK, &site.state_dir, other, facts, make)
                .into_iter()
                .collect();
        }
    };
    let shown = site.state_dir.display();
    let own = if !state.is_dir {
        Finding::bad(
            Rating::Critical,
            CHECK,
            format!("{shown} is no folder"),
            format!("name a folder in state.dir of {}", facts.file.display()),
        )
    } else if state.mode & 0o077 != 0 {
        Finding::bad(
            Rating::Warning,
            CHECK,
            format!(
                "{shown} has mode {:04o}: others than its owner may enter",
                state.mode
            ),
            format!("chmod 700 {dir}"),
        )
    } else {
        Finding::ok(CHECK, format!("{shown} is its owner's alone"))
    };
    let mut findings = vec![own];
    findings.extend(journal(facts, site));
    let elsewhere = format!(
        "with cfs-repl stopped, move {shown} to ext4, xfs or btrfs, and name it in state.dir of {}",
        facts.file.display()
    );
    let kind = filesystem("state_filesystem", &state.filesystem, elsewhere);
    findings.push(kind);
    if state.filesystem.read_only {
        findings.push(mount("state_mount", &state.filesystem));
    }
    findings.push(room_of_state(facts, site, state));
    findings
}

/// A state folder is one site's for good.
fn journal(facts: &Facts, site: &Site) -> Option<Finding> {
    const CHECK: &str = "journal";
    let file = facts.file.display();
    match &site.journal_of {
        // Before the first start.
        Look::Absent => None,
        Look::Seen(of) if *of == site.id => {
            Some(Finding::ok(CHECK, format!("it is that of site {of}")))
        }
        Look::Seen(of) => Some(Finding::bad(
            Rating::Critical,
            CHECK,
            format!(
                "it is that of site {of}, and the configuration says site {}",
                site.id
            ),
            format!(
                "put site.id = {of} back in {file}, or give the new site a state.dir of its own"
            ),
        )),
        other @ (Look::Denied | Look::Failed(_)) => {
            let dir = site.state_dir.join("journal");
            let fix = format!("cfs-repl journal verify --config {}", config_word(facts));
            unseen(CHECK, &dir, other, facts, fix)
        }
    }
}

fn room_of_state(facts: &Facts, site: &Site, state: &State) -> Finding {
    const CHECK: &str = "state_space";
    if let Some(full) = full(CHECK, &state.filesystem, &site.state_dir) {
        return full;
    }
    let free = free(&state.filesystem);
    let budget = bytes(site.budget_bytes);
    let Some(used) = state.used_bytes else {
        let fix = format!("sudo cfs-repl doctor --config {}", config_word(facts));
        let found = format!("{free}; what the state takes cannot be seen by this user");
        return Finding::bad(Rating::Unknown, CHECK, found, fix);
    };
    let has = state.filesystem.free_bytes.saturating_add(used);
    let told = format!(
        "{free}, the state takes {}, the journal may take {budget}",
        bytes(used)
    );
    if has >= site.budget_bytes {
        return Finding::ok(CHECK, told);
    }
    // Room for what others send, and for the rest of the state, stays.
    let fits = has / 2;
    let fix = if fits < BUDGET_MIN {
        format!("make room in {}", state.filesystem.mount.display())
    } else {
        let fits = format_size(fits / BUDGET_MIN * BUDGET_MIN);
        format!(
            "make room, or in [state] of {}: journal_budget = \"{fits}\"",
            facts.file.display()
        )
    };
    Finding::bad(Rating::Warning, CHECK, told, fix)
}
