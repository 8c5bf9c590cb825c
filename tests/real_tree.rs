//! Real trees: thousands of files that somebody wrote, and a git repository that works while it is replicated.
//!
//! Bounded in `cargo test`; `docs/testing.md` has the commands of the full size.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};

use crate::lab::{Lab, LabOptions, has_program, run};

/// How many files are copied, in two copies. The full size is 20 000.
const FILES: &str = "CFS_REPL_REAL_FILES";
/// Larger files are left out: what counts here is their number.
const BYTES_MAX: u64 = 1 << 20;

#[test]
fn a_real_tree_is_equal_after_its_initial_sync() {
    let files: usize = std::env::var(FILES).map_or(1_500, |text| text.parse().unwrap());
    let mut lab = Lab::new(&LabOptions::default());
    // A build for tests on a busy machine brings over some hundred files a second.
    lab.patience += Duration::from_secs(files as u64 / 40);
    let sources = sources();
    for copy in ["one", "two"] {
        let mut left = files.div_ceil(2);
        copy_some(&sources, &lab.a.tree.join(copy), &mut left);
        println!(
            "{copy}: {} files of {}",
            files.div_ceil(2) - left,
            sources.display()
        );
    }
    lab.a.start(&[]);
    let started = SystemClock.monotonic();
    lab.b.start(&[]);
    lab.assert_settles("initial sync");
    println!("took {:?}", SystemClock.monotonic() - started);
}

/// The sources of the packages this project is built from, or of the project itself.
fn sources() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registry = home.map(|home| home.join("registry/src"));
    registry
        .filter(|at| at.is_dir())
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn copy_some(from: &Path, to: &Path, left: &mut usize) {
    fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if *left == 0 {
            return;
        }
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_some(&entry.path(), &target, left);
        } else if kind.is_file() && entry.metadata().unwrap().len() <= BYTES_MAX {
            fs::copy(entry.path(), target).unwrap();
            *left -= 1;
        }
    }
}

#[test]
fn a_git_repository_works_while_it_is_replicated() {
    if !has_program("git") {
        println!("skipped: git is missing");
        return;
    }
    let mut lab = Lab::started(&LabOptions::default());
    let origin = lab.folder().join("origin");
    make_repository(&origin);
    let (at_a, at_b) = (lab.a.tree.join("clone"), lab.b.tree.join("clone"));
    // By files, as over a network: no hard links into the origin.
    run(git(lab.folder())
        .args(["clone", "--no-local"])
        .arg(&origin)
        .arg(&at_a));
    for branch in ["two", "three", "main", "two"] {
        run(git(&at_a).args(["checkout", "-q", branch]));
    }
    run(git(&at_a).args(["gc", "-q"]));
    fs::write(at_a.join("added"), "one more\n").unwrap();
    run(git(&at_a).args(["add", "added"]));
    run(git(&at_a).args(["commit", "-q", "-m", "one more"]));
    run(git(&at_a).args(["checkout", "-q", "main"]));
    run(git(&at_a).args(["gc", "-q", "--prune=now"]));
    lab.assert_settles("git");
    let told = run(git(&at_b).args(["fsck", "--full", "--strict"]));
    assert!(
        !told.contains("missing") && !told.contains("corrupt"),
        "{told}"
    );
    assert_eq!(run(git(&at_b).args(["status", "--porcelain"])), "");
    let log = |at: &Path| run(git(at).args(["log", "--all", "--oneline"]));
    assert_eq!(log(&at_a), log(&at_b));
    lab.assert_settles("after looking");
}

/// git in `at`, without anybody's settings, and without writing where it only looks.
fn git(at: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(at)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_AUTHOR_NAME", "test")
        .env("GIT_AUTHOR_EMAIL", "test@example.org")
        .env("GIT_COMMITTER_NAME", "test")
        .env("GIT_COMMITTER_EMAIL", "test@example.org");
    command
}

/// Three branches of some hundred files.
fn make_repository(at: &Path) {
    fs::create_dir_all(at).unwrap();
    run(git(at).args(["init", "-q", "-b", "main"]));
    for (branch, files) in [("main", 0..120), ("two", 60..200), ("three", 0..40)] {
        if branch != "main" {
            run(git(at).args(["checkout", "-q", "-b", branch, "main"]));
        }
        for n in files {
            let dir = at.join(format!("dir{}", n % 7));
            fs::create_dir_all(&dir).unwrap();
            let text = format!("{branch}, file {n}\n").repeat(1 + n * 11);
            fs::write(dir.join(format!("file{n}")), text).unwrap();
        }
        run(git(at).args(["add", "-A"]));
        run(git(at).args(["commit", "-q", "-m", branch]));
    }
    run(git(at).args(["checkout", "-q", "main"]));
}
