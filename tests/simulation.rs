//! Proves delivery, durability and merge together: sites on disks that fail, with clocks that differ, over connections
//! that break, in one thread, from one seed.
//!
//! Real are the engine with its journal, received logs and store, and the session at each end of a connection;
//! simulated are disk, clock, network and the user's filesystem. In the end nothing fails any more. Checked: everything
//! comes to be everywhere within a bounded number of rounds; all sites show the tree that all entries together amount
//! to, and the same conflicts; no bytes left a filesystem in silence; no operation was undone behind its user's back;
//! nothing was sent before it was durable, and nothing that was received is ever missing; and a seed always tells the
//! same story.
//!
//! A failing history prints its seed. `CFS_SIM_SEED=n` runs it again and tells its story, `CFS_SIM_RUNS=n` runs more of
//! them, and `CFS_SIM_SCRIPTS=n` more of those that are run with a power cut at each operation, from `CFS_SIM_FROM` on.

mod book;
mod connection;
mod site;
mod trace;
mod world;

use claudefs_repl::failpoint;

use crate::judge::runs::{Counted as _, Refused, none_refused, number, shared};
use world::{Counts, Faults, Plan, World};

/// Histories of one run: about a minute on two cores.
const RUNS: u64 = 5_000;
/// Runs one history again.
const VARIABLE: &str = "CFS_SIM_SEED";

fn history(seed: u64, plan: Plan, counts: &mut Counts) -> Result<World, Refused> {
    let mut world = World::new(seed, plan);
    match world.run() {
        Ok(()) => {
            counts.add(&world.counts);
            Ok(world)
        }
        Err(fault) => Err(Refused {
            seed,
            ops: world.counts.ops,
            fault,
            story: world.trace.story(),
        }),
    }
}

#[test]
fn sites_come_to_rest_with_one_tree_whatever_fails_on_the_way() {
    if let Some(seed) = number(VARIABLE) {
        let refused = history(seed, Plan::with(Faults::ALL), &mut Counts::default()).err();
        none_refused(VARIABLE, &Vec::from_iter(refused));
        return;
    }
    let runs = number("CFS_SIM_RUNS").unwrap_or(RUNS);
    let from = number("CFS_SIM_FROM").unwrap_or(0);
    let plan = Plan::with(Faults::ALL);
    let (counts, refused) = shared(from..from + runs, |seed, counts: &mut Counts| {
        history(seed, plan, counts).err()
    });
    println!("{runs} histories: {counts:?}");
    none_refused(VARIABLE, &refused);
}

/// Histories in which sites come late and lose their disks.
const SITES_RUNS: u64 = 600;
/// Where they begin.
const SITES_FROM: u64 = 0;

#[test]
fn sites_that_come_late_or_lost_their_disks_take_over_what_others_know() {
    let plan = Plan::with(Faults::WITH_SITES);
    if let Some(seed) = number(VARIABLE) {
        let refused = history(seed, plan, &mut Counts::default()).err();
        none_refused(VARIABLE, &Vec::from_iter(refused));
        return;
    }
    let runs = number("CFS_SIM_RUNS").unwrap_or(SITES_RUNS);
    let from = number("CFS_SIM_FROM").unwrap_or(SITES_FROM);
    let (counts, refused) = shared(from..from + runs, |seed, counts: &mut Counts| {
        history(seed, plan, counts).err()
    });
    println!("{runs} histories: {counts:?}");
    assert!(counts.snapshots > 0 && counts.lost_disks > 0, "{counts:?}");
    none_refused(VARIABLE, &refused);
}

/// Histories in which sites let go of what every one knows to be gone.
const RECLAIM_RUNS: u64 = 600;

#[test]
fn what_every_site_knows_to_be_gone_is_let_go_whatever_fails_on_the_way() {
    let plan = |seed: u64| {
        let faults = if seed.is_multiple_of(2) {
            Faults::ALL
        } else {
            Faults::WITH_SITES
        };
        Plan {
            reclaims: true,
            ..Plan::with(faults)
        }
    };
    if let Some(seed) = number(VARIABLE) {
        let refused = history(seed, plan(seed), &mut Counts::default()).err();
        none_refused(VARIABLE, &Vec::from_iter(refused));
        return;
    }
    let runs = number("CFS_SIM_RUNS").unwrap_or(RECLAIM_RUNS);
    let from = number("CFS_SIM_FROM").unwrap_or(0);
    let (counts, refused) = shared(from..from + runs, |seed, counts: &mut Counts| {
        history(seed, plan(seed), counts).err()
    });
    println!("{runs} histories: {counts:?}");
    none_refused(VARIABLE, &refused);
    assert!(counts.let_go > runs, "{counts:?}");
}

/// Short histories whose disks lose their power at each of their operations.
const SCRIPTS: u64 = 8;
/// Steps of such a history.
const SCRIPT_STEPS: u64 = 14;

/// A short history again and again, each time with a power cut at another operation of a disk.
fn script(seed: u64, counts: &mut Counts) -> Option<Refused> {
    let plan = Plan {
        steps: Some(SCRIPT_STEPS),
        ..Plan::with(Faults::NONE)
    };
    let whole = match history(seed, plan, counts) {
        Ok(world) => world.operations(),
        Err(refused) => return Some(refused),
    };
    for (at, operations) in whole.into_iter().enumerate() {
        for operation in 0..operations {
            let crash = Some((at, operation));
            let refused = history(seed, Plan { crash, ..plan }, counts).err();
            if let Some(mut refused) = refused {
                refused.fault = format!("power cut of site {at} at {operation}: {}", refused.fault);
                return Some(refused);
            }
            counts.power_cuts += 1;
        }
    }
    None
}

#[test]
fn a_power_cut_at_any_operation_of_any_disk_loses_nothing() {
    let scripts = number("CFS_SIM_SCRIPTS").unwrap_or(SCRIPTS);
    let from = number("CFS_SIM_FROM").unwrap_or(0);
    let (counts, refused) = shared(from..from + scripts, script);
    println!("{scripts} scripts: {counts:?}");
    none_refused(VARIABLE, &refused);
}

/// Histories that are run with and without compaction.
const BOTH_WAYS: u64 = 300;

/// What is seen at the end of a history in which no fault depends on how much a disk was asked for, so that it goes the
/// same way with and without compaction.
fn outcome(seed: u64, compacts: bool, counts: &mut Counts) -> Result<String, Refused> {
    let faults = Faults {
        network: true,
        clocks: true,
        ..Faults::NONE
    };
    let plan = Plan {
        compacts,
        ..Plan::with(faults)
    };
    let mut world = history(seed, plan, counts)?;
    world.outcome().map_err(|fault| refused(seed, fault))
}

fn refused(seed: u64, fault: String) -> Refused {
    Refused {
        seed,
        ops: 0,
        fault,
        story: String::new(),
    }
}

#[test]
fn compaction_before_sending_changes_nothing_that_is_seen_in_the_end() {
    let runs = number("CFS_SIM_RUNS").unwrap_or(BOTH_WAYS);
    let from = number("CFS_SIM_FROM").unwrap_or(0);
    let (counts, all) = shared(from..from + runs, |seed, counts: &mut Counts| {
        let with = outcome(seed, true, counts);
        let both = with.and_then(|with| Ok((with, outcome(seed, false, counts)?)));
        match both {
            Ok((with, without)) if with == without => None,
            Ok((with, without)) => {
                let fault = format!("with compaction:\n{with}\nwithout:\n{without}");
                Some(refused(seed, fault))
            }
            Err(refused) => Some(refused),
        }
    });
    println!("{runs} histories both ways: {counts:?}");
    assert!(counts.swallowed > 0, "nothing was compacted");
    none_refused(VARIABLE, &all);
}

/// Histories that are run twice.
const REPEATED: u64 = 20;

#[test]
fn a_seed_always_tells_the_same_story() {
    for seed in 0..REPEATED {
        let trace = || match history(seed, Plan::with(Faults::ALL), &mut Counts::default()) {
            Ok(world) => world.trace.hash(),
            Err(refused) => blake3::hash(refused.story.as_bytes()),
        };
        assert_eq!(trace(), trace(), "CFS_SIM_SEED={seed}");
    }
}

/// Histories within which the checks must notice that a rule is broken.
const CAUGHT_WITHIN: u64 = 3_000;

/// The first history that a check refuses when `rule` is broken.
fn caught(rule: &'static str) -> Option<String> {
    failpoint::break_on_this_thread(Some(rule));
    let refused = (0..CAUGHT_WITHIN)
        .find_map(|seed| history(seed, Plan::with(Faults::ALL), &mut Counts::default()).err());
    failpoint::break_on_this_thread(None);
    let refused = refused?;
    let first = refused.fault.lines().next().unwrap_or_default();
    println!("{rule}: noticed in history {}: {first}", refused.seed + 1);
    Some(refused.fault)
}

#[test]
fn the_checks_notice_every_broken_rule_of_delivery_and_durability() {
    if !failpoint::COMPILED {
        println!("skipped: this build cannot break rules");
        return;
    }
    let missed: Vec<&str> = failpoint::RULES
        .iter()
        .copied()
        .filter(|rule| caught(rule).is_none())
        .collect();
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}
