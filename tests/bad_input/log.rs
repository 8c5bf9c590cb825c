//! A log that cannot be written.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Lab, LabOptions, cfs_repl, comes};

const PATIENCE: Duration = Duration::from_secs(40);

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
}

#[test]
fn a_daemon_whose_log_nobody_takes_goes_on_and_drains_when_it_is_asked_to_stop() {
    let mut lab = Lab::new(&LabOptions::default());
    lab.b.start(&[]);
    let mut command = cfs_repl();
    command.args(["run", "--config"]).arg(&lab.a.config);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut daemon = Killed(child);
    // Every line from here on meets a broken pipe.
    drop(daemon.0.stderr.take());
    fs::write(lab.a.tree.join("f"), "bytes").unwrap();
    let arrived = lab.b.tree.join("f");
    let comes_over = comes(PATIENCE, || fs::read(&arrived).is_ok_and(|f| f == b"bytes"));
    assert!(comes_over, "{:?}: {}", daemon.0.try_wait(), lab.b.tail());
    kill_process(Pid::from_child(&daemon.0), Signal::TERM).unwrap();
    assert_eq!(daemon.0.wait().unwrap().code(), Some(0));
}
