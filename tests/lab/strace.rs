//! Calls of a daemon that fail because strace makes the kernel refuse them, at the place in the program that a fault
//! of a disk would take.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{comes, program};

/// Longest wait for strace to take hold of all threads.
const ATTACH: Duration = Duration::from_secs(20);

/// Why nothing can be injected here; none when it can.
pub(crate) fn missing() -> Option<String> {
    let Some(strace) = program("strace") else {
        return Some("strace is missing (package strace)".to_owned());
    };
    // Attaching needs more rights than starting a program under it, and is what tests do.
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    let traced = Traced::new(&strace, sleeper.id(), &[], None);
    let why = traced.err();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    why
}

/// A process under strace; goes on by itself when this is dropped.
#[derive(Debug)]
pub(crate) struct Traced {
    child: Child,
    log: Option<PathBuf>,
}

impl Traced {
    /// Makes `fault`, as strace's `inject` names it, happen to a running process. What was refused is noted in `log`.
    pub(crate) fn inject(process: u32, fault: &str, log: &Path) -> Result<Self, String> {
        let strace = program("strace").ok_or("strace is missing")?;
        let (call, _) = fault.split_once(':').ok_or("no fault")?;
        // A call that this kernel does not have on this machine is none to inject.
        let words = [
            "-e",
            &format!("trace={call}"),
            "-e",
            &format!("inject={fault}"),
        ];
        Self::new(&strace, process, &words, Some(log))
    }

    fn new(
        strace: &Path,
        process: u32,
        words: &[&str],
        log: Option<&Path>,
    ) -> Result<Self, String> {
        let mut command = Command::new(strace);
        command.args(["-f", "-p", &process.to_string()]).args(words);
        if let Some(log) = log {
            command.arg("-o").arg(log);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        command.stderr(fs::File::create(&told).unwrap());
        let mut child = command.spawn().unwrap();
        let said = || fs::read_to_string(&told).unwrap_or_default();
        let mut ended = false;
        comes(ATTACH, || {
            ended = child.try_wait().unwrap().is_some();
            ended || said().contains("attached")
        });
        if !ended && said().contains("attached") {
            let log = log.map(Path::to_owned);
            return Ok(Self { child, log });
        }
        child.kill().ok();
        child.wait().unwrap();
        Err(format!("strace cannot attach: {}", said().trim()))
    }

    /// How many calls were refused so far.
    pub(crate) fn injected(&self) -> usize {
        let log = self.log.as_ref().expect("of a fault");
        let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
        text.matches("(INJECTED)").count()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // What is told to end lets go of the process first.
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).ok();
        self.child.wait().unwrap();
    }
}
