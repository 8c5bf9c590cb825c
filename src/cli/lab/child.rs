//! A site's daemon as a child of this process: started, stopped, killed, and never left behind by accident.
//!
//! It gets a process group of its own, so that Ctrl-C in a terminal reaches it only through us and it can drain. Only
//! what is started here is ever signalled, by its process id, while it has not been waited for.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Site;
use super::interrupt::Interrupt;
use crate::cli::exit::{CliError, CliResult, Exit, Failure};
use crate::clock::{Clock, SystemClock};
use crate::config::is_override;
use crate::error::ReplError;

/// How long a daemon may take to stop before it is killed: longer than it gives itself to drain (20 s).
const DRAIN: Duration = Duration::from_secs(30);
/// How often a stopping daemon is looked at.
const POLL: Duration = Duration::from_millis(20);
/// Lines of a log that a failure shows.
const TAIL_LINES: usize = 12;
/// Bytes of a log that are read for them.
const TAIL_BYTES: u64 = 16 * 1024;

/// The process that a daemon is not to outlive.
pub(in crate::cli) const PARENT_VARIABLE: &str = "CFS_REPL_PARENT";

/// A running daemon. Dropping it kills it, unless it was let go.
#[derive(Debug)]
pub(in crate::cli) struct Daemon {
    child: Child,
    site: Site,
    ended: Option<ExitStatus>,
    is_let_go: bool,
}

impl Daemon {
    /// Starts `cfs-repl run` for `site`; what it says is appended to the site's log. Unless it `stays`, it drains and
    /// ends when this process is gone, however that ended.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(in crate::cli) fn start(site: &Site, stays: bool) -> Result<Self, CliError> {
        let program = std::env::current_exe()
            .map_err(|error| ReplError::io("find", "this program", error))?;
        let log = |error| ReplError::io("open log", &site.log, error);
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&site.log)
            .map_err(log)?;
        let mut command = Command::new(&program);
        if !stays {
            command.env(PARENT_VARIABLE, std::process::id().to_string());
        }
        // They would set a key of both sites alike, such as the folder of their state.
        let overrides = std::env::vars_os().map(|(name, _)| name);
        for name in overrides.filter(|name| is_override(name)) {
            command.env_remove(name);
        }
        let child = command
            .args(["run", "--config"])
            .arg(&site.config)
            .env_remove("CFS_REPL_CONFIG")
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(log)?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .map_err(|error| ReplError::io("start", program, error))?;
        Ok(Self {
            child,
            site: site.clone(),
            ended: None,
            is_let_go: false,
        })
    }

    /// Its process id.
    pub(in crate::cli) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it ended without being told to.
    ///
    /// # Errors
    /// How it ended, with the end of its log.
    pub(in crate::cli) fn check(&mut self) -> CliResult {
        match self.poll()? {
            None => Ok(()),
            Some(status) => Err(self.failure("ended by itself", status).into()),
        }
    }

    /// Asks it to drain and waits until it is gone; kills it when that takes too long.
    ///
    /// # Errors
    /// When it had to be killed, or ended with a failure. A signal to this process does not cut the wait short
    /// twice: the daemon is killed then.
    pub(in crate::cli) fn stop(&mut self, interrupt: &mut Interrupt) -> CliResult {
        if self.poll()?.is_none() {
            self.signal(Signal::TERM);
        }
        let until = SystemClock.monotonic() + DRAIN;
        loop {
            if let Some(status) = self.poll()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(self.failure("did not stop cleanly", status).into())
                };
            }
            if SystemClock.monotonic() > until {
                let status = self.kill()?;
                return Err(self.failure("did not stop in 30 s", status).into());
            }
            if let Err(interrupted) = interrupt.pause(POLL) {
                self.kill()?;
                return Err(interrupted);
            }
        }
    }

    /// Kills it as `kill -9` does: it learns nothing of it.
    ///
    /// # Errors
    /// When the system refuses.
    pub(in crate::cli) fn kill(&mut self) -> Result<ExitStatus, CliError> {
        if self.poll()?.is_none() {
            self.signal(Signal::KILL);
        }
        let waited = self.child.wait();
        let status = waited.map_err(|error| ReplError::io("wait for", self.site.name, error))?;
        self.ended = Some(status);
        Ok(status)
    }

    /// Leaves it running when this value goes away.
    pub(in crate::cli) fn let_go(mut self) {
        self.is_let_go = true;
    }

    fn poll(&mut self) -> Result<Option<ExitStatus>, CliError> {
        if self.ended.is_none() {
            let polled = self.child.try_wait();
            self.ended =
                polled.map_err(|error| ReplError::io("wait for", self.site.name, error))?;
        }
        Ok(self.ended)
    }

    /// Only while it has not been waited for: until then its id belongs to it.
    fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            // Refused only when it is gone already, and then the wait tells.
            kill_process(Pid::from_child(&self.child), signal).ok();
        }
    }

    fn failure(&self, what: &str, status: ExitStatus) -> Failure {
        let name = self.site.name;
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => status.to_string(),
        };
        let mut failure = Failure::new(
            Exit::Failure,
            format!("the daemon of {name} {what} ({how})"),
        );
        failure.causes = tail(&self.site);
        failure.hint(format!("its log: {}", self.site.log.display()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.is_let_go && self.ended.is_none() {
            // On the way out of a failure; there is nobody left to tell.
            drop(self.kill());
        }
    }
}

/// Fails when the daemon of `site` logged an ERROR: something that a person would have to look at.
///
/// # Errors
/// The first of those lines.
pub(in crate::cli) fn check_log(site: &Site) -> CliResult {
    let text = fs::read(&site.log).map_err(|error| ReplError::io("read log", &site.log, error))?;
    let text = String::from_utf8_lossy(&text);
    let errors = text
        .lines()
        .filter(|line| line.split_whitespace().nth(1) == Some("ERROR"));
    let errors: Vec<String> = errors.take(TAIL_LINES).map(str::to_owned).collect();
    if errors.is_empty() {
        return Ok(());
    }
    let name = site.name;
    let mut failure = Failure::new(Exit::Failure, format!("the daemon of {name} logged errors"));
    failure.causes = errors;
    Err(failure
        .hint(format!("its log: {}", site.log.display()))
        .into())
}

/// The last lines of a site's log, each with the site's name.
pub(in crate::cli) fn tail(site: &Site) -> Vec<String> {
    let text = last_bytes(&site.log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let skipped = lines.len().saturating_sub(TAIL_LINES);
    let name = site.name;
    lines
        .iter()
        .skip(skipped)
        .map(|line| format!("{name}: {line}"))
        .collect()
}

fn last_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(dir: &Path) -> Site {
        Site {
            name: "site-a",
            id: 1,
            tree: dir.join("tree"),
            state: dir.join("state"),
            config: dir.join("config.toml"),
            log: dir.join("log"),
        }
    }

    fn daemon(dir: &Path, program: &str, argument: &str) -> Daemon {
        Daemon {
            child: Command::new(program).arg(argument).spawn().unwrap(),
            site: site(dir),
            ended: None,
            is_let_go: false,
        }
    }

    #[test]
    fn a_failure_shows_the_end_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let lines: String = (0..100).map(|n| format!("line {n}\n")).collect();
        fs::write(dir.path().join("log"), lines).unwrap();
        let shown = tail(&site(dir.path()));
        assert_eq!(shown.len(), TAIL_LINES);
        assert_eq!(shown.last().unwrap(), "site-a: line 99");
    }

    #[test]
    fn an_error_in_the_log_is_a_failure_and_the_word_in_a_message_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        fs::write(&log, "2026-01-01T00:00:00Z  INFO a: no ERROR here\n").unwrap();
        check_log(&site(dir.path())).unwrap();
        fs::write(&log, "2026-01-01T00:00:00Z ERROR a: disk full\n").unwrap();
        let Err(CliError::Failed(failure)) = check_log(&site(dir.path())) else {
            panic!("an error was logged");
        };
        assert!(failure.causes[0].contains("disk full"), "{failure:?}");
    }

    #[test]
    fn a_daemon_that_ends_by_itself_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let mut daemon = daemon(dir.path(), "false", "");
        daemon.child.wait().unwrap();
        let Err(CliError::Failed(failure)) = daemon.check() else {
            panic!("it ended");
        };
        assert!(failure.message.contains("exit code 1"), "{failure:?}");
    }

    #[test]
    fn a_dropped_daemon_is_killed_and_reaped() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = daemon(dir.path(), "sleep", "1000");
        let id = daemon.id();
        drop(daemon);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_daemon_that_a_signal_ended_did_not_stop_cleanly() {
        let dir = tempfile::tempdir().unwrap();
        let mut daemon = daemon(dir.path(), "sleep", "1000");
        let mut interrupt = Interrupt::new().unwrap();
        let Err(CliError::Failed(failure)) = daemon.stop(&mut interrupt) else {
            panic!("it does not handle the signal");
        };
        assert!(failure.message.contains("signal 15"), "{failure:?}");
    }
}
