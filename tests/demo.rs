//! The demo and the pair as real processes: what a newcomer types first has to work, and to leave nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};

use crate::logs::unexpected_errors;

/// Longest wait for a change to reach the other side, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

fn cfs_repl(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cfs-repl"));
    command
        .env_clear()
        .env("TMPDIR", home)
        .env("XDG_STATE_HOME", home)
        .stdin(Stdio::null());
    command
}

/// The logs of the daemons of a pair.
fn logs_below(folder: &Path) -> Vec<PathBuf> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            logs.extend(logs_below(&path));
        } else if path.ends_with("log") {
            logs.push(path);
        }
    }
    logs
}

/// A home, and two empty directories in it.
fn two_directories() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let (a, b) = (home.path().join("one"), home.path().join("two"));
    for dir in [&a, &b] {
        fs::create_dir(dir).unwrap();
    }
    (home, a, b)
}

/// The command lines of processes that name `folder`.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let entries = fs::read_dir("/proc").unwrap();
    let lines = entries.filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}

/// Waits for `done`, looking often; what is waited for lies in another process.
fn wait_until(what: &str, done: impl Fn() -> bool) {
    let until = SystemClock.monotonic() + PATIENCE;
    while !done() {
        assert!(SystemClock.monotonic() < until, "not in time: {what}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_demo_ends_with_equal_trees_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let from = tempfile::tempdir().unwrap();
    for n in 0..50 {
        let dir = from.path().join(format!("dir-{}", n % 7));
        fs::create_dir_all(&dir).unwrap();
        fs::write(
            dir.join(format!("file-{n}")),
            format!("{n}\n").repeat(n * 100),
        )
        .unwrap();
    }
    let mut command = cfs_repl(home.path());
    let output = command.arg("demo").arg("--from").arg(from.path()).output();
    let output = output.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    for step in [
        "first copy",
        "edits on both",
        "edited at site-b",
        "kill -9",
        "equal: ",
    ] {
        assert!(told.contains(step), "{step} is missing:\n{told}");
    }
    assert_eq!(processes_of(home.path()), Vec::<String>::new());
    let left = fs::read_dir(home.path()).unwrap().count();
    assert_eq!(left, 0, "{told}");
}

#[test]
fn a_pair_keeps_both_in_step_and_drains_when_it_is_asked_to_stop() {
    let (home, a, b) = two_directories();
    fs::write(a.join("there"), "before\n").unwrap();
    let mut command = cfs_repl(home.path());
    let child = command.arg("pair").arg(&b).arg(&a).stderr(Stdio::piped());
    let child = Stopped(child.spawn().unwrap());
    wait_until("the first file", || b.join("there").exists());
    fs::write(b.join("back"), "the other way\n").unwrap();
    wait_until("the way back", || a.join("back").exists());
    let (code, told) = child.stop();
    assert_eq!(code, Some(0), "{told}");
    let logs = logs_below(home.path());
    assert_eq!(logs.len(), 2);
    for log in logs {
        let errors = unexpected_errors(&fs::read_to_string(log).unwrap(), &[]);
        assert!(errors.is_empty(), "{errors:#?}");
    }
    assert!(told.ends_with("stopped\n"), "{told}");
    assert_eq!(processes_of(home.path()), Vec::<String>::new());
}

#[test]
fn a_pair_that_is_killed_takes_its_daemons_with_it_and_goes_on_when_it_is_started_again() {
    let (home, a, b) = two_directories();
    let start = || {
        let mut command = cfs_repl(home.path());
        let child = command.arg("pair").arg(&a).arg(&b).stderr(Stdio::piped());
        Stopped(child.spawn().unwrap())
    };
    let mut killed = start();
    fs::write(a.join("first"), "1").unwrap();
    wait_until("the first file", || b.join("first").exists());
    killed.0.kill().unwrap();
    killed.0.wait().unwrap();
    wait_until("the end of the daemons", || {
        processes_of(home.path()).is_empty()
    });
    for log in logs_below(home.path()) {
        let told = fs::read_to_string(&log).unwrap();
        assert!(told.contains("asked to stop, draining"), "{told}");
    }
    fs::write(b.join("meanwhile"), "2").unwrap();
    let again = start();
    wait_until("what came meanwhile", || a.join("meanwhile").exists());
    let (code, told) = again.stop();
    assert_eq!(code, Some(0), "{told}");
}

/// A child that does not outlive its test.
struct Stopped(Child);

impl Stopped {
    /// Asks it to stop; its exit code and what it said.
    fn stop(mut self) -> (Option<i32>, String) {
        self.ask();
        let told = std::io::read_to_string(self.0.stderr.take().unwrap()).unwrap();
        (self.0.wait().unwrap().code(), told)
    }

    fn ask(&self) {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            // With its children, which it stops itself.
            self.ask();
            self.0.wait().unwrap();
        }
    }
}
