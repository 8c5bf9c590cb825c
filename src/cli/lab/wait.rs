//! Waiting until two trees are the same, for as long as something moves.
//!
//! Cheap looks in a row; only when they agree, the full comparison, which alone decides.

use std::time::Duration;

use super::Lab;
use super::child::{Daemon, tail};
use super::interrupt::Interrupt;
use super::sight::Sight;
use crate::cli::exit::{CliError, CliResult, Exit, Failure};
use crate::clock::{Clock, SystemClock};
use crate::tree::compare::{Comparison, compare};

/// How often the trees are looked at.
const POLL: Duration = Duration::from_millis(100);
/// How often trees that look the same but are not are compared in full.
const COMPARE_AGAIN: Duration = Duration::from_secs(1);
/// Without any change in either tree for this long, they are given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Differences that a failure names.
const SHOWN: usize = 10;

/// What was seen at the last change.
#[derive(Debug, PartialEq, Eq)]
struct Progress {
    sights: (Sight, Sight),
    differing: Option<u64>,
}

/// Waits until the trees of `lab` are equal in full.
///
/// # Errors
/// When a daemon ends, nothing changes for two minutes, or a signal comes.
pub(in crate::cli) fn until_equal(
    lab: &Lab,
    daemons: &mut [&mut Daemon],
    interrupt: &mut Interrupt,
) -> Result<Comparison, CliError> {
    let mut seen = None;
    let mut moved_at = SystemClock.monotonic();
    let mut compared_at = None;
    loop {
        for daemon in &mut *daemons {
            daemon.check()?;
        }
        let sights = (Sight::of(&lab.a.tree)?, Sight::of(&lab.b.tree)?);
        let mut differing = None;
        let now = SystemClock.monotonic();
        let is_due = compared_at.is_none_or(|at| now > at + COMPARE_AGAIN);
        if !sights.0.differs(sights.1) && is_due {
            compared_at = Some(now);
            // A tree that changes under the comparison cannot be read: not equal yet.
            if let Ok(found) = compare(&lab.a.tree, &lab.b.tree, SHOWN) {
                if found.is_equal() {
                    return Ok(found);
                }
                differing = Some(found.differing);
            }
        }
        let progress = Progress { sights, differing };
        if seen.as_ref().is_none_or(|seen| moves(seen, &progress)) {
            seen = Some(progress);
            moved_at = now;
        }
        if now > moved_at + PATIENCE {
            return Err(stuck(lab));
        }
        interrupt.pause(POLL)?;
    }
}

/// Whether a tree changed, or a full comparison came out otherwise.
fn moves(seen: &Progress, now: &Progress) -> bool {
    seen.sights != now.sights || now.differing.is_some_and(|n| seen.differing != Some(n))
}

fn stuck(lab: &Lab) -> CliError {
    let mut failure = Failure::new(
        Exit::Failure,
        "the trees differ, and nothing has changed for 120 s",
    );
    match compare(&lab.a.tree, &lab.b.tree, SHOWN) {
        Ok(found) => {
            failure.causes = found.first.iter().map(ToString::to_string).collect();
            failure = failure.cause(format!("{} differences", found.differing));
        }
        Err(error) => failure = failure.cause(error),
    }
    failure.causes.extend(tail(&lab.a));
    failure.causes.extend(tail(&lab.b));
    failure.into()
}

/// Stops what still runs, in this order, and tells the first failure.
pub(in crate::cli) fn stop_all(
    daemons: impl IntoIterator<Item = Daemon>,
    interrupt: &mut Interrupt,
) -> CliResult {
    let mut first = Ok(());
    for mut daemon in daemons {
        let stopped = daemon.stop(interrupt);
        if first.is_ok() {
            first = stopped;
        }
    }
    first
}
