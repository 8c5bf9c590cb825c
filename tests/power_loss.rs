//! The power fails at one site right after a burst of edits: FS_IOC_SHUTDOWN on a small ext4 or XFS that holds its tree
//! and its state.
//!
//! What the other site had seen by then must be everywhere in the end, no file that was whole before may end empty or
//! old, and the trees must be equal. Needs root, loop devices, the mkfs of the filesystem, and perl or python3 for the
//! ioctl; says what is missing and skips otherwise.

mod loopback;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};

use crate::lab::{Lab, LabOptions, Site};
use crate::rng::Rng;
use crate::soak::from_env;
use loopback::{Filesystem, Loopback, Mount};

/// Files that are edited in the burst.
const FILES: u32 = 40;
/// The power fails within so many milliseconds after the burst.
const MOMENT_MAX_MS: u64 = 400;
/// Longer than the engine takes to write its state out: the commit interval is a second.
const COMMIT: Duration = Duration::from_millis(1_500);

#[test]
fn power_loss_at_the_editing_site_without_log_flush() {
    power_loss(Filesystem::Ext4, Victim::A, Flush::Nothing);
}

#[test]
fn power_loss_at_the_editing_site_with_log_flush() {
    power_loss(Filesystem::Ext4, Victim::A, Flush::Log);
}

#[test]
fn power_loss_at_the_receiving_site_without_log_flush() {
    power_loss(Filesystem::Ext4, Victim::B, Flush::Nothing);
}

#[test]
fn power_loss_at_the_receiving_site_with_log_flush() {
    power_loss(Filesystem::Ext4, Victim::B, Flush::Log);
}

#[test]
fn power_loss_at_the_editing_site_without_log_flush_on_xfs() {
    power_loss(Filesystem::Xfs, Victim::A, Flush::Nothing);
}

#[test]
fn power_loss_at_the_editing_site_with_log_flush_on_xfs() {
    power_loss(Filesystem::Xfs, Victim::A, Flush::Log);
}

#[test]
fn power_loss_at_the_receiving_site_without_log_flush_on_xfs() {
    power_loss(Filesystem::Xfs, Victim::B, Flush::Nothing);
}

#[test]
fn power_loss_at_the_receiving_site_with_log_flush_on_xfs() {
    power_loss(Filesystem::Xfs, Victim::B, Flush::Log);
}

#[test]
fn what_was_journaled_a_commit_before_survives_though_no_other_site_had_it() {
    power_loss_while_apart(Filesystem::Ext4);
}

#[test]
fn what_was_journaled_a_commit_before_survives_on_xfs_though_no_other_site_had_it() {
    power_loss_while_apart(Filesystem::Xfs);
}

fn power_loss_while_apart(filesystem: Filesystem) {
    let about = "power loss while apart";
    let Some((loopback, mount)) = prepared(filesystem) else {
        return;
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let options = LabOptions {
        homes: Some([mount.path().to_owned(), elsewhere.path().to_owned()]),
        is_cuttable: true,
        ..LabOptions::default()
    };
    let mut lab = Lab::started(&options);
    lab.assert_settles(about);
    for (round, flush) in [Flush::Log, Flush::Nothing].into_iter().enumerate() {
        let round = u32::try_from(round).unwrap();
        lab.cut();
        burst(&lab.a.tree, round, 0);
        lab.a.assert_journals(about);
        std::thread::sleep(COMMIT);
        let acknowledged = contents(&lab.a.tree);
        assert!(acknowledged.len() >= FILES as usize / 2);
        // Not acknowledged, so that it may be lost; but it must take nothing else along.
        for n in 0..FILES {
            fs::write(
                lab.a.tree.join(format!("late-{round}-{n}")),
                short(n, round, 1),
            )
            .unwrap();
        }
        loopback.shut_down(&mount, flush);
        come_back(&mut lab.a, &loopback, &mount);
        lab.join();
        lab.assert_settles(about);
        assert_nothing_lost(&lab, &acknowledged, None, about);
    }
    drop(lab);
}

/// Whose power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    A,
    B,
}

/// What still reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    /// The log of the filesystem, so that names survive whose bytes do not.
    Log,
    /// Nothing.
    Nothing,
}

fn power_loss(filesystem: Filesystem, victim: Victim, flush: Flush) {
    let about = format!("power loss at {victim:?}, flush {flush:?}, {filesystem:?}");
    let Some((loopback, mount)) = prepared(filesystem) else {
        return;
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let homes = match victim {
        Victim::A => [mount.path().to_owned(), elsewhere.path().to_owned()],
        Victim::B => [elsewhere.path().to_owned(), mount.path().to_owned()],
    };
    let options = LabOptions {
        homes: Some(homes),
        ..LabOptions::default()
    };
    let mut lab = Lab::started(&options);
    // What a program that saved a file had written under a temporary name may be left as space without bytes.
    lab.may_take_space = true;
    let cycles = u32::try_from(from_env("CFS_REPL_POWER_CYCLES", 2)).unwrap();
    let seed = from_env("CFS_REPL_POWER_SEED", SystemClock.now_us());
    let mut rng = Rng::new(seed);
    for round in 0..cycles {
        let moment = Duration::from_millis(rng.below(MOMENT_MAX_MS));
        println!(
            "{about}: cycle {} of {cycles}, seed {seed}, after {moment:?}",
            round + 1
        );
        let fails = (victim, flush, moment);
        one_round(&mut lab, &about, fails, round, &loopback, &mount);
    }
    // The daemons must be gone before the filesystem is.
    drop(lab);
}

/// A burst, the power failure, the way back, and what must hold then.
fn one_round(
    lab: &mut Lab,
    about: &str,
    (victim, flush, moment): (Victim, Flush, Duration),
    round: u32,
    loopback: &Loopback,
    mount: &Mount,
) {
    let about = &format!("{about}, round {round}");
    burst(&lab.a.tree, round, 0);
    lab.assert_settles(about);
    std::thread::sleep(COMMIT);
    burst(&lab.a.tree, round, 1);
    // The moment of the failure: somewhere between noticing, sending and applying.
    std::thread::sleep(moment);
    let other = match victim {
        Victim::A => &lab.b.tree,
        Victim::B => &lab.a.tree,
    };
    loopback.shut_down(mount, flush);
    let seen = contents(other);
    let site = match victim {
        Victim::A => &mut lab.a,
        Victim::B => &mut lab.b,
    };
    come_back(site, loopback, mount);
    lab.assert_settles(about);
    let site = if victim == Victim::A { &lab.a } else { &lab.b };
    let looked = site.log_text().contains("went down unexpectedly");
    assert!(looked, "{about}: nobody looked back: {}", site.tail());
    assert_nothing_lost(lab, &seen, Some(round), about);
}

/// A filesystem whose power can fail; none, and why, where there cannot be one.
fn prepared(filesystem: Filesystem) -> Option<(Loopback, Mount)> {
    match Loopback::new(filesystem) {
        Ok(loopback) => {
            let mount = loopback.mount();
            Some((loopback, mount))
        }
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// The power, which has failed, comes back.
fn come_back(site: &mut Site, loopback: &Loopback, mount: &Mount) {
    let written = fs::write(site.tree.join("after"), "after");
    assert!(written.is_err(), "the power did not fail");
    site.kill();
    site.forget_log();
    loopback.remount(mount);
    site.start(&[]);
}

/// Edits of the same files in every manner; the bytes say which burst wrote them. Only what is edited is large: of a large
/// new file the size may survive without the bytes, as space that is taken and reads as zeros, and taken space is not
/// carried; nor is a part of them known for one.
fn burst(tree: &Path, round: u32, nth: u32) {
    for n in 0..FILES {
        let bytes = text(n, round, nth);
        let path = tree.join(format!("file-{n}"));
        match n % 4 {
            0 => fs::write(&path, &bytes).unwrap(),
            1 => {
                let temporary = tree.join(format!(".file-{n}.tmp"));
                fs::write(&temporary, &bytes).unwrap();
                fs::rename(&temporary, &path).unwrap();
            }
            2 => {
                fs::remove_file(&path).ok();
                fs::write(&path, &bytes).unwrap();
            }
            _ => {
                let short = short(n, round, nth);
                fs::write(tree.join(format!("new-{n}-{round}-{nth}")), short).unwrap();
            }
        }
    }
}

/// Names how old it is, and is larger than what an entry carries now and then, where it is not a new file's.
fn text(n: u32, round: u32, nth: u32) -> String {
    let times = if n.is_multiple_of(5) && n % 4 != 2 {
        800
    } else {
        1
    };
    short(n, round, nth).repeat(times)
}

fn short(n: u32, round: u32, nth: u32) -> String {
    format!("{round}.{nth} file {n}\n").repeat(3)
}

/// Bytes of the files of the bursts, by name.
fn contents(tree: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(tree).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if (name.starts_with("file-") || name.starts_with("new-"))
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            found.insert(name, text);
        }
    }
    found
}

/// Nothing that the other site had seen is gone, empty, cut or older than it was there, `burst` aside: the round whose
/// second burst may have arrived since.
fn assert_nothing_lost(
    lab: &Lab,
    seen: &BTreeMap<String, String>,
    burst: Option<u32>,
    about: &str,
) {
    let now = contents(&lab.b.tree);
    for (name, before) in seen {
        let text = now.get(name);
        let is_of = |round| {
            let is_newer = text.is_some_and(|text| *text == self::text(number(name), round, 1));
            is_newer || is_removed(name, text)
        };
        let is_edited = name.starts_with("file-") && burst.is_some_and(is_of);
        assert!(
            text == Some(before) || is_edited,
            "{about}: {name} begins with {:?}, at the other site it was {:?}\n{}\n{}",
            text.map(|text| text.lines().next()),
            before.lines().next(),
            lab.a.tail(),
            lab.b.tail()
        );
    }
}

/// Of a file that was removed and written anew the removal may have been noticed and the bytes lost.
fn is_removed(name: &str, text: Option<&String>) -> bool {
    number(name) % 4 == 2 && text.is_none_or(|text| text.bytes().all(|byte| byte == 0))
}

fn number(name: &str) -> u32 {
    name.trim_start_matches("file-").parse().unwrap()
}
