//! Two and three daemons under random work, killed with -9 at random moments and started again with a fail point armed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};
use claudefs_repl::failpoint;

use super::{Plan, from_env, options, soak};
use crate::lab::{Lab, LabOptions};
use crate::rng::Rng;

/// Rounds that may fail before a long run gives up.
const FAILED_MAX: usize = 20;

#[test]
fn random_work_on_both_sides_and_kills_end_in_equal_trees() {
    kill(&Plan::new(60, 8), &options("10s", "on"));
}

#[test]
fn random_work_and_kills_end_in_equal_trees_by_scanning_alone() {
    kill(&Plan::new(20, 3), &options("10s", "off"));
}

#[test]
fn random_work_and_kills_end_in_equal_trees_without_scans() {
    kill(&Plan::new(20, 3), &options("30d", "on"));
}

/// Round after round, each with folders, daemons and a seed of its own, until so many daemons were killed as
/// `CFS_REPL_KILL_CYCLES` says. A round that fails is counted, and the next one begins.
#[test]
fn three_daemons_that_are_killed_again_and_again_lose_nothing() {
    let wanted = from_env("CFS_REPL_KILL_CYCLES", 6);
    let mut plan = Plan::new(20, 6);
    let options = LabOptions {
        has_third: true,
        ..options("10s", "on")
    };
    let (mut killed, mut aborted, mut rounds) = (0, 0, 0_u32);
    let mut failed = Vec::new();
    while killed < wanted {
        let round = catch_unwind(AssertUnwindSafe(|| kill(&plan, &options)));
        match round {
            Ok(ends) => {
                let by_signal = ends.iter().filter(|end| end.contains(": -9")).count() as u64;
                killed += by_signal;
                aborted += ends.len() as u64 - by_signal;
            }
            Err(_) => failed.push(plan.seed),
        }
        rounds += 1;
        println!(
            "kill cycles: {killed} of {wanted}, and {aborted} at fail points, in {rounds} rounds; seed of the last {}; \
             failed: {failed:?}",
            plan.seed
        );
        // What fails all the time need not be tried for hours.
        if wanted <= plan.kills || failed.len() >= FAILED_MAX {
            break;
        }
        plan.seed += 1;
    }
    assert!(
        failed.is_empty(),
        "rounds with these seeds failed: {failed:?}"
    );
}

/// One run; how each daemon came to its end.
fn kill(plan: &Plan, options: &LabOptions) -> Vec<String> {
    let mut lab = Lab::started(options);
    let killed = soak(plan, &mut lab, |lab, is_over| {
        kill_around(plan, lab, is_over)
    });
    assert!(killed.len() as u64 >= plan.kills, "only {killed:?}");
    killed
}

/// Kills daemons until the time is over; how each came to its end.
fn kill_around(plan: &Plan, lab: &mut Lab, is_work_over: &dyn Fn() -> bool) -> Vec<String> {
    let mut rng = Rng::new(plan.seed ^ 0x6b69_6c6c);
    let started = SystemClock.monotonic();
    let mut killed = Vec::new();
    let count = lab.seen().len();
    let mut armed: Vec<Option<String>> = vec![None; count];
    for nth in 0..=plan.kills {
        let slot = plan.time / u32::try_from(plan.kills + 1).unwrap();
        let share = u32::try_from(rng.below(1_000)).unwrap();
        let until = if nth == plan.kills {
            plan.time
        } else {
            slot * u32::try_from(nth).unwrap() + slot * share / 1_000
        };
        while SystemClock.monotonic() - started < until && !is_work_over() {
            restart_aborted(lab, &mut armed, &mut killed);
            std::thread::sleep(Duration::from_millis(20));
        }
        restart_aborted(lab, &mut armed, &mut killed);
        if nth == plan.kills {
            break;
        }
        let which = rng.index(count);
        let site = lab.site(which);
        site.kill();
        killed.push(format!("{}: -9", site.name));
        // How long it is down, while the other side goes on.
        std::thread::sleep(Duration::from_millis(rng.below(1_500)));
        let point = failpoint::POINTS[rng.index(failpoint::POINTS.len())];
        let arm = format!("{point}:{}", 1 + rng.below(6));
        if failpoint::COMPILED {
            site.spawn(&[(failpoint::VARIABLE, arm.as_str())]);
        } else {
            site.spawn(&[]);
        }
        armed[which] = Some(arm);
    }
    // An armed daemon must not abort while everything comes to rest.
    for (which, site) in lab.sites().into_iter().enumerate() {
        if armed[which].take().is_some() {
            site.kill();
            killed.push(format!("{}: -9 at the end", site.name));
            site.start(&[]);
        }
    }
    killed
}

/// Starts again what aborted as it was told to; anything else that ended is a failure.
fn restart_aborted(lab: &mut Lab, armed: &mut [Option<String>], killed: &mut Vec<String>) {
    for (which, arm) in armed.iter_mut().enumerate() {
        let site = lab.site(which);
        if site.ended().is_none() {
            continue;
        }
        let Some(point) = arm.take() else {
            let what = format!("{} ended by itself", site.name);
            lab.fail("soak", &what);
        };
        if site.aborted() {
            killed.push(format!("{}: {point}", site.name));
            site.spawn(&[]);
        }
    }
}
