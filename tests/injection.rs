//! Calls of a running daemon that fail: strace refuses them with EIO or ENOSPC, one by one at the place in the program
//! where a disk would, and all from one on.
//!
//! The daemon says so, in its log or in `status`, or ends with a code and a reason; once nothing fails any more
//! everything comes to rest, with all that users wrote. Needs strace and the right to attach it; says so and skips
//! otherwise.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lab::strace::{Traced, missing};
use crate::lab::{Lab, LabOptions, comes};
use crate::soak::from_env;

/// Calls by which a daemon notices, journals, applies and keeps its state, and which a disk can refuse. `write` is not
/// among them: it wakes threads, too, and that cannot fail.
const CALLS: &[&str] = &[
    "openat2",
    "openat",
    "pread64",
    "pwrite64",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "syncfs",
    "renameat2",
    "renameat",
    "rename",
    "linkat",
    "symlinkat",
    "unlinkat",
    "unlink",
    "mkdirat",
    "mkdir",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "utimensat",
    "fsetxattr",
    "fremovexattr",
    "fgetxattr",
    "flistxattr",
    "ftruncate",
    "fallocate",
    "copy_file_range",
    "getdents64",
    "newfstatat",
    "statx",
    "lseek",
];
/// Those that `cargo test` tries: each is come to for sure.
const FEW: &[&str] = &["pwrite64", "fdatasync", "renameat2", "mkdirat"];
/// How long the daemon may take to get to a call, on a busy machine and traced.
const PATIENCE: Duration = Duration::from_secs(8);
/// And what failed once, of which there is nothing to tell when it was only tried again.
const TOLD_ONCE: Duration = Duration::from_secs(3);
/// How long it may take to go on, or to come to its end.
const GOES_ON: Duration = Duration::from_secs(60);
/// How long it may take to say what fails all the time.
const TOLD: Duration = Duration::from_secs(45);

/// What is refused, and when.
#[derive(Debug, Clone, Copy)]
struct Fault {
    call: &'static str,
    error: &'static str,
    /// Of each thread, from 1.
    nth: u64,
    lasts: bool,
}

impl Fault {
    fn text(&self) -> String {
        let more = if self.lasts { "+" } else { "" };
        let Self {
            call, error, nth, ..
        } = self;
        format!("{call}:error={error}:when={nth}{more}")
    }

    /// Whether a text tells of it: as the system calls it, or that there is no room.
    fn is_in(&self, text: &str) -> bool {
        let words: &[&str] = match self.error {
            "EIO" => &["Input/output error"],
            _ => &["No space left on device", "no room", "is full"],
        };
        words.iter().any(|words| text.contains(words))
    }
}

#[test]
fn calls_that_fail_are_told_and_nothing_is_lost() {
    if let Some(why) = missing() {
        println!("skipped: {why}");
        return;
    }
    let is_long = from_env("CFS_REPL_INJECT_UP_TO", 0) > 0;
    let (calls, up_to) = if is_long {
        (CALLS, from_env("CFS_REPL_INJECT_UP_TO", 0))
    } else {
        (FEW, 1)
    };
    let mut faults = Vec::new();
    for call in calls {
        for error in ["EIO", "ENOSPC"] {
            for nth in 1..=up_to {
                faults.push(Fault {
                    call,
                    error,
                    nth,
                    lasts: false,
                });
            }
            if is_long || *call == "mkdirat" {
                faults.push(Fault {
                    call,
                    error,
                    nth: 1,
                    lasts: true,
                });
            }
        }
    }
    let only = std::env::var("CFS_REPL_INJECT_ONLY").unwrap_or_default();
    faults.retain(|fault| fault.text().starts_with(&only));
    let mut run = Run::new();
    let all = faults.len();
    for (done, fault) in faults.into_iter().enumerate() {
        println!("injection {} of {all}: {}", done + 1, fault.text());
        run.one(fault);
    }
    println!("ends: {:#?}", run.ends);
}

/// A lab in which call after call fails.
struct Run {
    lab: Lab,
    round: u32,
    /// What nobody removes, and its bytes.
    kept: BTreeMap<PathBuf, String>,
    /// How each came out.
    ends: Vec<String>,
}

impl Run {
    fn new() -> Self {
        let mut lab = Lab::started(&LabOptions {
            settings: vec![("brake_percent", "\"100%\"".to_owned())],
            ..LabOptions::default()
        });
        for tree in [&lab.a.tree, &lab.b.tree] {
            fs::create_dir(tree.join("kept")).unwrap();
        }
        lab.assert_settles("start");
        Self {
            lab,
            round: 0,
            kept: BTreeMap::new(),
            ends: Vec::new(),
        }
    }

    fn one(&mut self, fault: Fault) {
        let about = fault.text();
        self.round += 1;
        self.lab.b.forget_log();
        let log = self.lab.folder().join("strace");
        let traced = Traced::inject(self.lab.b.process(), &about, &log).unwrap();
        let mut burst = 0;
        let fired = comes(PATIENCE, || {
            burst += 1;
            self.work(burst);
            traced.injected() > 0 || self.lab.b.ended().is_some()
        });
        assert!(fired || !FEW.contains(&fault.call), "{about}: never called");
        let mut told = None;
        if fired {
            comes(if fault.lasts { TOLD } else { TOLD_ONCE }, || {
                told = self.told(fault);
                told.is_some()
            });
        }
        let count = traced.injected();
        drop(traced);
        self.comes_back(fault);
        if fired && fault.lasts && told.is_none() && is_needed(fault.call) {
            self.lab.fail(&about, "nothing was told of it");
        }
        self.ends
            .push(format!("{about}: {count} refused, {told:?}"));
    }

    /// What the daemon says of it; none when nothing.
    fn told(&mut self, fault: Fault) -> Option<String> {
        if let Some(status) = self.lab.b.ended() {
            return Some(format!("ended: {status}"));
        }
        let told = self.lab.b.told().unwrap_or_default();
        let causes = told["causes"].to_string();
        if fault.is_in(&causes) {
            return Some(format!("cause: {causes}"));
        }
        if fault.lasts {
            return None;
        }
        let text = self.lab.b.log_text();
        let line = text.lines().find(|line| fault.is_in(line));
        line.map(|line| format!("log: {line}"))
    }

    /// Nothing fails any more: at rest as it is, and after another start, with every byte.
    fn comes_back(&mut self, fault: Fault) {
        let about = fault.text();
        // A daemon that ends says goodbye first, which may take a moment.
        let name = format!("goes-on-{}", self.round);
        fs::write(self.lab.a.tree.join(&name), &about).unwrap();
        let at_b = self.lab.b.tree.join(&name);
        comes(GOES_ON, || {
            let arrived = fs::read(&at_b).is_ok_and(|bytes| bytes == about.as_bytes());
            arrived || self.lab.b.ended().is_some()
        });
        if let Some(status) = self.lab.b.ended() {
            let text = self.lab.b.log_text();
            let has_reason = fault.is_in(&text) && text.contains("error: ");
            if status.signal().is_some() || status.success() || !has_reason {
                self.lab
                    .fail(&about, &format!("ended without a reason: {status}"));
            }
            self.lab.b.reap();
            self.lab.b.start(&[]);
        }
        // The sender is told, too, why nothing is taken.
        let mut foreign: Vec<String> = [&self.lab.a, &self.lab.b]
            .iter()
            .flat_map(|site| site.errors())
            .collect();
        foreign.retain(|line| !fault.is_in(line));
        if !foreign.is_empty() {
            let what = format!("other errors: {foreign:#?}");
            self.lab.fail(&about, &what);
        }
        self.lab.a.forget_log();
        self.lab.b.forget_log();
        self.lab.assert_settles(&about);
        self.lab.b.kill();
        self.lab.b.start(&[]);
        self.lab.assert_settles(&about);
        for (path, text) in &self.kept {
            for site in self.lab.seen() {
                let found = fs::read_to_string(site.tree.join(path)).ok();
                assert_eq!(found.as_ref(), Some(text), "{about}: {}", path.display());
            }
        }
    }

    /// Some of everything at both sites.
    fn work(&mut self, burst: u32) {
        for (side, tree) in [("a", &self.lab.a.tree), ("b", &self.lab.b.tree)] {
            let path = Path::new("kept").join(format!("{side}-{}-{burst}", self.round));
            let text = format!("{side} {} {burst}\n", self.round);
            fs::write(tree.join(&path), &text).unwrap();
            self.kept.insert(path, text);
            change(tree, side, self.round, burst);
        }
    }
}

/// Calls without which the work cannot go on: that they fail has to be told.
fn is_needed(call: &str) -> bool {
    !["sync_file_range", "fallocate", "copy_file_range", "lseek"].contains(&call)
}

/// What makes the other side take every kind of step.
fn change(tree: &Path, side: &str, round: u32, burst: u32) {
    let at = tree.join(format!("of-{side}"));
    fs::create_dir_all(&at).unwrap();
    let text = format!("{side} {round} {burst}\n");
    let here = |name: &str| at.join(name);
    fs::write(here("edited"), &text).unwrap();
    fs::write(here("large"), text.repeat(20_000)).unwrap();
    fs::write(here("tmp"), &text).unwrap();
    fs::rename(here("tmp"), here("saved")).unwrap();
    let mode = if burst.is_multiple_of(2) {
        0o600
    } else {
        0o640
    };
    fs::set_permissions(here("edited"), fs::Permissions::from_mode(mode)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(here("edited"), "user.note", text.as_bytes(), flags).ok();
    fs::remove_file(here("linked")).ok();
    fs::hard_link(here("saved"), here("linked")).unwrap();
    fs::remove_file(here("points")).ok();
    symlink(&text, here("points")).unwrap();
    let (one, other) = (here("d"), here("e"));
    if one.exists() {
        fs::rename(one, other).unwrap();
    } else {
        fs::create_dir(one).unwrap();
        fs::remove_dir(other).ok();
    }
}
