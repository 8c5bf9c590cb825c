//! Named points at which a daemon under test ends as a crash would: between two steps, with nothing tidied up.
//!
//! A process started with [`VARIABLE`] set to `<point>` or `<point>:<nth>` aborts at the nth pass of that point. They
//! are compiled in with debug assertions or the feature `failpoints`; elsewhere a pass is nothing at all. The state is
//! one per process on purpose: a crash ends the process, not a part of it.
//!
//! And named [`RULES`] that a test may break on its own thread, to show that it would notice.

use crate::error::{ReplError, Result};

/// The environment variable that arms a point.
pub const VARIABLE: &str = "CFS_REPL_ABORT_AT";

/// Whether this build has the points.
pub const COMPILED: bool = cfg!(any(debug_assertions, feature = "failpoints"));

/// Every point, in the order in which a change meets them on its way from one tree to the other. A test runs a daemon
/// into each.
pub const POINTS: &[&str] = &[
    // Noticing: what changed is known and not yet durable; durable and not journaled; journaled; bound.
    "observe",
    "sync tree",
    "submit",
    "append journal",
    "bind journaled",
    "set devices",
    // Receiving: checked; in the received log; merged; all of a frame is in memory.
    "append received",
    "merge",
    "received",
    // Committing the state: before and after.
    "commit",
    "committed",
    // Applying: see `tree::apply`; the last two lie inside a step, between an exchange and what follows it.
    "stage",
    "sync staged",
    "write intents",
    "step",
    "exchanged",
    "displaced",
    "attributes",
    "sync renamed",
    "report",
    "finish intents",
    // Recovery itself, which needs a batch that was cut off.
    "recover",
    "recover staging",
    "recover report",
    "recovered",
];

/// Points that only a site passes that takes over a snapshot: a page came; all pages are durable; a piece of them is
/// merged; all are, and the logs do not say so yet.
pub const SNAPSHOT_POINTS: &[&str] = &[
    "take page",
    "pages taken",
    "merge snapshot",
    "snapshot merged",
];

/// Rules of delivery and durability that a test may break.
pub const RULES: &[&str] = &[
    "journal is synced",
    "received log is synced",
    "gaps are refused",
    "damaged messages are refused",
    "clock goes on behind the logs",
    "received logs are replayed",
    "ids go on behind those given out",
    "a store is mended",
    "marks are what was noticed",
];

/// Whether `rule` holds: always, unless a test broke it on this thread.
#[must_use]
pub fn holds(rule: &'static str) -> bool {
    #[cfg(any(debug_assertions, feature = "failpoints"))]
    return broken::holds(rule);
    #[cfg(not(any(debug_assertions, feature = "failpoints")))]
    {
        let _ = rule;
        true
    }
}

/// Breaks a rule on this thread, or none. Does nothing in a build without fail points.
pub fn break_on_this_thread(rule: Option<&'static str>) {
    #[cfg(any(debug_assertions, feature = "failpoints"))]
    broken::set(rule);
    #[cfg(not(any(debug_assertions, feature = "failpoints")))]
    let _ = rule;
}

/// Ends the process if `point` is armed and this is the pass that is meant.
pub fn pass(point: &'static str) {
    #[cfg(any(debug_assertions, feature = "failpoints"))]
    armed::pass(point);
    #[cfg(not(any(debug_assertions, feature = "failpoints")))]
    let _ = point;
}

/// Arms the point that the environment names, if it names one. The first call counts.
///
/// # Errors
/// When it names no point, no number, or this build has none.
pub fn arm_from_environment() -> Result<()> {
    match std::env::var(VARIABLE) {
        Ok(text) => arm(&text),
        Err(_) => Ok(()),
    }
}

fn arm(text: &str) -> Result<()> {
    let (point, nth) = parse(text).map_err(|why| ReplError::serialization(VARIABLE, why))?;
    #[cfg(any(debug_assertions, feature = "failpoints"))]
    armed::arm(point, nth);
    #[cfg(not(any(debug_assertions, feature = "failpoints")))]
    return Err(ReplError::serialization(
        VARIABLE,
        format!("cannot arm {point}:{nth}, this build has no fail points"),
    ));
    #[cfg(any(debug_assertions, feature = "failpoints"))]
    Ok(())
}

fn parse(text: &str) -> std::result::Result<(&'static str, u64), String> {
    let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
    let point = points().find(|point| *point == name);
    let point = point.ok_or_else(|| format!("no point is called {name:?}"))?;
    match nth.parse() {
        Ok(nth) if nth > 0 => Ok((point, nth)),
        Ok(_) | Err(_) => Err(format!("{nth:?} is no pass of {point}; the first is 1")),
    }
}

fn points() -> impl Iterator<Item = &'static str> {
    POINTS.iter().chain(SNAPSHOT_POINTS).copied()
}

#[cfg(any(debug_assertions, feature = "failpoints"))]
mod broken {
    //! The rule that is broken on each thread.

    use std::cell::Cell;

    thread_local! {
        static BROKEN: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    pub(super) fn holds(rule: &'static str) -> bool {
        debug_assert!(
            super::RULES.contains(&rule),
            "{rule} is missing in the list"
        );
        BROKEN.get() != Some(rule)
    }

    pub(super) fn set(rule: Option<&'static str>) {
        BROKEN.set(rule);
    }
}

#[cfg(any(debug_assertions, feature = "failpoints"))]
mod armed {
    //! The one armed point of the process.

    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Armed> = OnceLock::new();

    struct Armed {
        point: &'static str,
        nth: u64,
        passed: AtomicU64,
    }

    pub(super) fn arm(point: &'static str, nth: u64) {
        ARMED.get_or_init(|| Armed {
            point,
            nth,
            passed: AtomicU64::new(0),
        });
    }

    pub(super) fn pass(point: &'static str) {
        debug_assert!(
            super::POINTS.contains(&point) || super::SNAPSHOT_POINTS.contains(&point),
            "{point} is missing in the list"
        );
        let Some(armed) = ARMED.get().filter(|armed| armed.point == point) else {
            return;
        };
        if armed.passed.fetch_add(1, Ordering::SeqCst) + 1 == armed.nth {
            tracing::warn!(
                point,
                nth = armed.nth,
                "aborting, as the environment asks for"
            );
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn only_points_of_the_list_can_be_armed_and_the_first_pass_is_meant_unless_told() {
        assert_eq!(parse("sync staged"), Ok(("sync staged", 1)));
        assert_eq!(parse("step:17"), Ok(("step", 17)));
        for bad in ["", "sync", "step:", "step:0", "step:-1", "step:x", ":1"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let names: BTreeSet<_> = points().collect();
        assert_eq!(names.len(), points().count());
        assert!(points().all(|name| !name.contains(':')));
    }

    #[test]
    fn a_point_that_is_not_armed_is_passed() {
        for point in points() {
            pass(point);
        }
    }
}
