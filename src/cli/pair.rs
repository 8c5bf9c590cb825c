//! `cfs-repl pair`: two directories of this machine in step for as long as it runs.
//!
//! A lab in the user's state folder, found again by the paths of the directories: what was synced before is not
//! compared from scratch, and a name that is missing on one side is known to be deleted, not new on the other.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::{CliError, CliResult, Exit, Failure};
use super::lab::Lab;
use super::lab::child::Daemon;
use super::lab::interrupt::Interrupt;
use super::lab::sight::Sight;
use super::lab::wait::stop_all;
use super::ui::Ui;
use crate::admin::view::plural;
use crate::clock::{Clock, SystemClock};
use crate::error::ReplError;
use crate::tree::policy::Policy;
use crate::tree::populated::{first_file, marker_of};

/// How often the trees are looked at when they are small.
const LOOK: Duration = Duration::from_secs(1);
/// A look at large trees may take this part of the time at most.
const LOOK_SHARE: u32 = 50;
/// How often the daemons are looked at.
const POLL: Duration = Duration::from_millis(200);
/// Hexadecimal digits of the hash in a folder's name: enough that two pairs of a user never meet.
const HASH_DIGITS: usize = 16;

/// Keep two directories on this machine in step until Ctrl-C
///
/// Certificates, configurations and state are made for you, below $XDG_STATE_HOME/cfs-repl or
/// ~/.local/state/cfs-repl, and used again the next time. In the beginning one of the directories must be without
/// files: it gets those of the other. Two trees without a common history are not merged.
#[derive(Debug, clap::Args)]
pub(super) struct PairArgs {
    /// One directory
    #[arg(value_name = "DIR_A")]
    a: PathBuf,
    /// The other directory
    #[arg(value_name = "DIR_B")]
    b: PathBuf,
}

pub(super) fn run(ui: &mut Ui, args: &PairArgs) -> CliResult {
    let (a, b) = directories(&args.a, &args.b)?;
    let folder = folder(&state_home()?, &a, &b);
    let lab = Lab::new(&folder, a, b)?;
    let _lock = lock(&folder)?;
    check_new(&lab)?;
    lab.prepare()?;
    let mut interrupt = Interrupt::new()?;
    let mut daemons = vec![Daemon::start(&lab.a, false)?, Daemon::start(&lab.b, false)?];
    for site in [&lab.a, &lab.b] {
        ui.say(&format!("{}: {}", site.name, site.tree.display()));
        ui.detail(&format!("{}: log {}", site.name, site.log.display()));
    }
    ui.say("Ctrl-C stops both");
    let watched = watch(ui, &lab, &mut daemons, &mut interrupt);
    let is_asked = matches!(watched, Err(CliError::Told(Exit::Interrupted)));
    if is_asked {
        ui.say("stopping");
    }
    let stopped = stop_all(daemons, &mut interrupt);
    if is_asked {
        stopped?;
        ui.say("stopped");
        // This is how the command is meant to end.
        return Ok(());
    }
    watched
}

/// The first time one side must be empty. The daemons would find out too, but only after they had started.
fn check_new(lab: &Lab) -> CliResult {
    let (a, b) = (&lab.a, &lab.b);
    if a.is_known() || b.is_known() {
        return Ok(());
    }
    for tree in [&a.tree, &b.tree] {
        let marker = marker_of(tree);
        if marker.exists() {
            return Err(of_another(tree, &marker).into());
        }
    }
    let policy = Policy::default();
    let (Some(in_a), Some(in_b)) = (first_file(&a.tree, &policy)?, first_file(&b.tree, &policy)?)
    else {
        return Ok(());
    };
    let (tree_a, tree_b) = (a.tree.display(), b.tree.display());
    Err(Failure::new(
        Exit::Config,
        format!("cannot pair {tree_a} and {tree_b}: both have files, and no common history"),
    )
    .cause(format!("one has {}, the other {}", in_a.display(), in_b.display()))
    .cause("trees without a common history are not merged: every file of both would come twice")
    .hint(format!(
        "keep the one, here the first, and empty the other: mv {tree_b} {tree_b}.before && mkdir {tree_b}; \
         pair again, then copy back what is missing: \
         rsync -a --ignore-existing {tree_b}.before/ {tree_b}/"
    ))
    .into())
}

/// A tree that another pair, or a site, keeps in step, or did: its daemon would be refused, and the other tree marked.
fn of_another(tree: &Path, marker: &Path) -> Failure {
    let tree = tree.display();
    Failure::new(
        Exit::Config,
        format!("cannot pair {tree}: it is kept in step with something else, or was"),
    )
    .cause(format!("{} is of another state folder", marker.display()))
    .cause("nothing was changed")
    .hint(format!(
        "name the two directories that were paired before; when nothing keeps {tree} in step any more, or its state \
         folder is lost: rm -r {tree}/.cfs-repl, and pair again"
    ))
}

/// Says whether the trees are in step whenever that changes; ends only with an error.
fn watch(ui: &mut Ui, lab: &Lab, daemons: &mut [Daemon], interrupt: &mut Interrupt) -> CliResult {
    let mut said = String::new();
    let mut next = Duration::ZERO;
    loop {
        for daemon in &mut *daemons {
            daemon.check()?;
        }
        let before = SystemClock.monotonic();
        if before >= next {
            let line = seen(Sight::of(&lab.a.tree)?, Sight::of(&lab.b.tree)?);
            let now = SystemClock.monotonic();
            next = now + LOOK.max((now - before) * LOOK_SHARE);
            if line != said {
                ui.say(&format!("{}  {line}", time_of_day()));
                said = line;
            }
        }
        interrupt.pause(POLL)?;
    }
}

fn seen(a: Sight, b: Sight) -> String {
    let names = |count| plural(count, "name");
    let mut line = if !a.differs(b) {
        format!("in step: {}", names(a.names))
    } else if a.names == b.names {
        format!("working: {} on both sides, not yet alike", names(a.names))
    } else {
        format!("working: site-a has {}, site-b {}", names(a.names), b.names)
    };
    for (site, sight) in [("site-a", a), ("site-b", b)] {
        if sight.left_alone > 0 {
            line.push_str(&format!(" · {} left alone at {site}", sight.left_alone));
        }
    }
    line
}

fn time_of_day() -> String {
    let us = i64::try_from(SystemClock.now_us()).unwrap_or_default();
    let at = jiff::Timestamp::from_microsecond(us).unwrap_or_default();
    let local = at.to_zoned(jiff::tz::TimeZone::system());
    local.strftime("%H:%M:%S").to_string()
}

/// The real paths of both, in an order that does not depend on how they were given: which one is site-a must be the
/// same the next time.
fn directories(a: &Path, b: &Path) -> Result<(PathBuf, PathBuf), CliError> {
    let (a, b) = (directory(a)?, directory(b)?);
    let why = if a == b {
        Some("they are the same directory".to_owned())
    } else if a.starts_with(&b) || b.starts_with(&a) {
        Some("one lies inside the other, and would copy itself into itself".to_owned())
    } else {
        None
    };
    match why {
        Some(why) => Err(Failure::new(
            Exit::Usage,
            format!("cannot pair {} and {}", a.display(), b.display()),
        )
        .cause(why)
        .hint("name two directories that lie apart")
        .into()),
        None if a <= b => Ok((a, b)),
        None => Ok((b, a)),
    }
}

fn directory(path: &Path) -> Result<PathBuf, CliError> {
    let refused = |why: String| {
        Failure::new(Exit::Usage, format!("cannot use {}", path.display()))
            .cause(why)
            .hint("name a directory that exists; an empty one will do")
    };
    let real = fs::canonicalize(path).map_err(|error| refused(error.to_string()))?;
    if real.is_dir() {
        Ok(real)
    } else {
        Err(refused("it is not a directory".to_owned()).into())
    }
}

/// Where a user's programs keep state (XDG Base Directory Specification 0.8).
fn state_home() -> Result<PathBuf, CliError> {
    let absolute = |variable| {
        let path = std::env::var_os(variable).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .ok_or_else(|| {
            Failure::new(Exit::Failure, "cannot find a folder for the state")
                .cause("neither XDG_STATE_HOME nor HOME is an absolute path")
                .hint("set XDG_STATE_HOME")
                .into()
        })
}

/// The folder of this pair.
fn folder(home: &Path, a: &Path, b: &Path) -> PathBuf {
    let mut hasher = blake3::Hasher::new();
    for path in [a, b] {
        hasher.update(path.as_os_str().as_bytes()).update(&[0]);
    }
    let hash = hasher.finalize().to_hex();
    let short: String = hash.chars().take(HASH_DIGITS).collect();
    home.join("cfs-repl").join(format!("pair-{short}"))
}

/// Makes the folder and holds it: a second `pair` would change the ports under the first one's feet.
fn lock(folder: &Path) -> Result<File, CliError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| ReplError::io("create folder", folder, error))?;
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|error| ReplError::io("create", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::new(
            Exit::Failure,
            "these directories are already paired",
        )
        .cause("another cfs-repl pair is running for them")
        .hint("stop that one first")
        .into()),
        Err(TryLockError::Error(error)) => Err(ReplError::io("lock", path, error).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(a: &Path, b: &Path) -> String {
        match directories(a, b) {
            Err(CliError::Failed(failure)) => {
                assert_eq!(failure.exit, Exit::Usage);
                failure.causes.join(" ")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_nested_and_missing_directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/inside")).unwrap();
        fs::create_dir(at("ab")).unwrap();
        fs::write(at("file"), b"").unwrap();
        std::os::unix::fs::symlink(at("a"), at("same")).unwrap();
        assert!(refusal(&at("a"), &at("a/../a")).contains("same"));
        assert!(refusal(&at("a"), &at("same")).contains("same"));
        assert!(refusal(&at("a"), &at("a/inside")).contains("inside"));
        assert!(refusal(&at("a/inside"), &at("a")).contains("inside"));
        assert!(!refusal(&at("a"), &at("gone")).is_empty());
        assert!(refusal(&at("a"), &at("file")).contains("not a directory"));
        directories(&at("a"), &at("ab")).unwrap();
    }

    #[test]
    fn a_pair_finds_its_state_again_in_whatever_order_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&two).unwrap();
        let home = Path::new("/home");
        let place = |a, b| {
            let (a, b) = directories(a, b).unwrap();
            folder(home, &a, &b)
        };
        assert_eq!(place(&one, &two), place(&two, &one));
        assert_ne!(folder(home, &one, &two), folder(home, &one, &one));
    }

    #[test]
    fn two_directories_with_files_are_paired_only_when_they_were_before() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for tree in ["one", "two/empty"] {
            fs::create_dir_all(at(tree)).unwrap();
        }
        fs::write(at("one/f"), b"x").unwrap();
        let lab = Lab::new(&at("lab"), at("one"), at("two")).unwrap();
        check_new(&lab).unwrap();
        fs::write(at("two/f"), b"x").unwrap();
        let Err(CliError::Failed(failure)) = check_new(&lab) else {
            panic!("two trees were taken");
        };
        assert_eq!(failure.exit, Exit::Config);
        assert!(failure.causes[0].contains("two/f"), "{failure:?}");
        assert!(failure.hint.unwrap().contains("mkdir"));
        fs::remove_file(at("two/f")).unwrap();
        fs::create_dir(at("two/.cfs-repl")).unwrap();
        fs::write(at("two/.cfs-repl/id"), b"of another pair").unwrap();
        let Err(CliError::Failed(failure)) = check_new(&lab) else {
            panic!("a tree of another pair was taken");
        };
        assert_eq!(failure.exit, Exit::Config);
        assert!(failure.hint.unwrap().contains("rm -r"));
        fs::create_dir_all(lab.b.state.join("journal")).unwrap();
        check_new(&lab).unwrap();
    }

    #[test]
    fn a_second_pair_of_the_same_directories_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        assert!(lock(dir.path()).is_err());
        drop(held);
        lock(dir.path()).unwrap();
    }

    #[test]
    fn what_is_seen_is_told_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let empty = Sight::of(dir.path()).unwrap();
        fs::write(dir.path().join("f"), b"").unwrap();
        let one = Sight::of(dir.path()).unwrap();
        assert_eq!(seen(one, one), "in step: 1 name");
        assert_eq!(seen(one, empty), "working: site-a has 1 name, site-b 0");
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
        let with_socket = Sight::of(dir.path()).unwrap();
        assert_eq!(
            seen(one, with_socket),
            "in step: 1 name · 1 left alone at site-b"
        );
    }
}
