//! Proves the merge: random histories of two to four sites, judged by an oracle that knows nothing of it.
//!
//! Each history ends with everything delivered and applied. Checked: all sites show the same tree, which is a tree;
//! no local operation was undone behind its user's back; stamps follow causality; no bytes left a disk in silence;
//! every concurrent loser is on record, the same ones at every site; repetition changes nothing. A failing history
//! prints its seed. `CFS_SEED=n` runs one history again, `CFS_HISTORIES=n` more of them.

mod world;

use std::collections::BTreeMap;

use crate::judge::Check;
use crate::judge::runs::{Counted, Refused, none_refused, number, shared};
use crate::judge::users::Theme;
use claudefs_repl::sync::conflict::ConflictKind;
use claudefs_repl::sync::core::Rules;
use world::{Plan, Reclaims, World};

/// Runs one history again.
const VARIABLE: &str = "CFS_SEED";
/// Histories of one run: what fits into about two minutes on two cores.
const HISTORIES: u64 = 200_000;

/// How often the histories met what they are for.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    histories: u64,
    ops: u64,
    losers: u64,
    cycles: u64,
    clashes: u64,
    zombies: u64,
    resurrected: u64,
    freed: u64,
}

impl Counted for Counts {
    fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.ops += other.ops;
        self.losers += other.losers;
        self.cycles += other.cycles;
        self.clashes += other.clashes;
        self.zombies += other.zombies;
        self.resurrected += other.resurrected;
        self.freed += other.freed;
    }
}

/// One history.
fn history(seed: u64, plan: Plan, counts: &mut Counts) -> Result<World, Refused> {
    let mut world = World::new(seed, plan);
    let checked = world.run().and_then(|()| judge(&mut world));
    let ops = world.ops;
    if let Err(fault) = checked {
        let story = world.print();
        return Err(Refused {
            seed,
            ops,
            fault,
            story,
        });
    }
    count(&world, counts);
    Ok(world)
}

fn judge(world: &mut World) -> Check {
    let first = &world.sites[0].tree;
    for (at, site) in world.sites.iter().enumerate().skip(1) {
        if !site.tree.looks_like(first) {
            return Err(format!("site {at} shows another tree than site 0"));
        }
    }
    world.facts.reference().check(first)?;
    let recorded: Vec<_> = (0..world.sites.len())
        .map(|at| world.recorded(at))
        .collect();
    let finally: BTreeMap<_, _> = first
        .inodes()
        .into_iter()
        .filter_map(|inode| Some((inode, first.content(inode)?)))
        .collect();
    world.facts.check_displaced(&recorded, &finally)?;
    for (at, recorded) in recorded.iter().enumerate() {
        world.facts.check_losers(at, recorded)?;
        if world.open_conflicts(at) != world.open_conflicts(0) {
            return Err(format!("site {at} has other conflicts than site 0"));
        }
    }
    world.repeat()
}

fn count(world: &World, counts: &mut Counts) {
    counts.histories += 1;
    counts.ops += world.ops;
    counts.losers += u64::from(!world.facts.concurrent_losers().is_empty());
    let kinds = world.kinds(0);
    let has = |kind| u64::from(kinds.contains(&kind));
    counts.cycles += has(ConflictKind::MoveCycle);
    counts.clashes += has(ConflictKind::NameClash);
    counts.zombies += has(ConflictKind::RmdirCreate);
    counts.resurrected += u64::from(world.resurrected());
    counts.freed += world.freed;
}

#[test]
fn sites_agree_and_nothing_is_lost_in_silence() {
    if let Some(seed) = number(VARIABLE) {
        let refused = history(seed, Plan::default(), &mut Counts::default()).err();
        none_refused(VARIABLE, &Vec::from_iter(refused));
        return;
    }
    let histories = number("CFS_HISTORIES").unwrap_or(HISTORIES);
    let (counts, refused) = shared(0..histories, |seed, counts: &mut Counts| {
        history(seed, Plan::default(), counts).err()
    });
    none_refused(VARIABLE, &refused);
    println!("{counts:?}");
    let at_least = |count: u64, percent: u64| count * 100 >= counts.histories * percent;
    assert!(at_least(counts.losers, 10), "{counts:?}");
    for count in [
        counts.cycles,
        counts.clashes,
        counts.zombies,
        counts.resurrected,
    ] {
        assert!(at_least(count, 1), "{counts:?}");
    }
}

/// Histories in which sites take over what others know.
const LEVELLED: u64 = 20_000;

#[test]
fn a_site_that_takes_over_what_another_one_knows_is_as_if_all_entries_had_come() {
    let plan = Plan {
        levels: true,
        compact: true,
        ..Plan::default()
    };
    if let Some(seed) = number(VARIABLE) {
        let refused = history(seed, plan, &mut Counts::default()).err();
        return none_refused(VARIABLE, &Vec::from_iter(refused));
    }
    let histories = number("CFS_HISTORIES").unwrap_or(LEVELLED);
    let (counts, refused) = shared(0..histories, |seed, counts: &mut Counts| {
        history(seed, plan, counts).err()
    });
    println!("{counts:?}");
    none_refused(VARIABLE, &refused);
}

/// Histories in which what everybody knows to be gone is let go.
const RECLAIMED: u64 = 4_000;

#[test]
fn what_everybody_knows_to_be_gone_is_let_go_and_never_comes_back() {
    let plan = |seed: u64| Plan {
        reclaims: Reclaims::InStreams,
        levels: seed % 4 == 3,
        compact: seed % 2 == 1,
        theme: seed.is_multiple_of(3).then_some(Theme::Dirs),
        ..Plan::default()
    };
    if let Some(seed) = number(VARIABLE) {
        let refused = history(seed, plan(seed), &mut Counts::default()).err();
        return none_refused(VARIABLE, &Vec::from_iter(refused));
    }
    let histories = number("CFS_HISTORIES").unwrap_or(RECLAIMED);
    let (counts, refused) = shared(0..histories, |seed, counts: &mut Counts| {
        history(seed, plan(seed), counts).err()
    });
    println!("{counts:?}");
    none_refused(VARIABLE, &refused);
    assert!(counts.freed > 3 * counts.histories, "{counts:?}");
}

/// Histories that are run twice, with and without compaction.
const COMPACTED: u64 = 1_000;

#[test]
fn compaction_changes_neither_trees_nor_conflicts_nor_cursors() {
    let mut counts = Counts::default();
    let compact = Plan {
        compact: true,
        ..Plan::default()
    };
    for seed in 0..COMPACTED {
        let whole = history(seed, Plan::default(), &mut counts);
        let compacted = history(seed, compact, &mut counts);
        let (whole, compacted) = match (whole, compacted) {
            (Ok(whole), Ok(compacted)) => (whole, compacted),
            (Err(refused), _) | (_, Err(refused)) => return none_refused(VARIABLE, &[refused]),
        };
        for at in 0..whole.sites.len() {
            let trees = (&whole.sites[at].tree, &compacted.sites[at].tree);
            assert!(trees.0.looks_like(trees.1), "seed {seed}, site {at}");
            // What is noted as merged depends on what an author had seen, and a folded entry arrives later than its
            // first part would have.
            let lossy = |world: &World| {
                let mut open = world.open_conflicts(at);
                open.retain(|_, text| !text.starts_with("merged "));
                open
            };
            assert_eq!(lossy(&whole), lossy(&compacted), "seed {seed}, site {at}");
            let cursors = compacted.cursors(at);
            assert_eq!(whole.cursors(at), cursors, "seed {seed}, site {at}");
        }
    }
}

/// Histories within which the checks must notice that a rule is missing.
const CAUGHT_WITHIN: u64 = 4_000;

#[test]
fn the_checks_notice_when_the_touch_rule_is_off() {
    let rules = Rules {
        touch: false,
        ..Rules::default()
    };
    let fault = caught(rules, Plan::default(), CAUGHT_WITHIN).expect("noticed");
    assert!(fault.contains("fidelity"), "{fault}");
}

#[test]
fn the_checks_notice_when_contexts_claim_what_is_not_on_the_disk() {
    let rules = Rules {
        seen_exceptions: false,
        ..Rules::default()
    };
    let plan = Plan {
        theme: Some(Theme::Writes),
        ..Plan::default()
    };
    let fault = caught(rules, plan, CAUGHT_WITHIN).expect("noticed");
    assert!(fault.contains("in silence"), "{fault}");
}

#[test]
fn the_checks_notice_when_superseded_losers_are_not_named() {
    let rules = Rules {
        overrides: false,
        ..Rules::default()
    };
    let plan = Plan {
        theme: Some(Theme::Writes),
        sites: 3,
        ..Plan::default()
    };
    let fault = caught(rules, plan, CAUGHT_WITHIN).expect("noticed");
    assert!(fault.contains("in silence"), "{fault}");
}

/// The first history that a check refuses when a rule is off.
fn caught(rules: Rules, plan: Plan, within: u64) -> Option<String> {
    let plan = Plan { rules, ..plan };
    let mut counts = Counts::default();
    let refused = (0..within).find_map(|seed| history(seed, plan, &mut counts).err())?;
    println!("noticed in history {} of {within}", refused.seed + 1);
    Some(refused.fault)
}

#[test]
fn the_checks_notice_when_directories_may_move_into_themselves() {
    let rules = Rules {
        cycles: false,
        ..Rules::default()
    };
    let plan = Plan {
        theme: Some(Theme::Dirs),
        ..Plan::default()
    };
    caught(rules, plan, CAUGHT_WITHIN).expect("noticed");
}

#[test]
fn the_checks_notice_when_stamps_are_what_the_wall_clock_shows() {
    let rules = Rules {
        causal_stamps: false,
        ..Rules::default()
    };
    caught(rules, Plan::default(), CAUGHT_WITHIN).expect("noticed");
}

#[test]
fn the_checks_notice_when_places_are_dated_back() {
    let rules = Rules {
        places_are_now: false,
        ..Rules::default()
    };
    caught(rules, Plan::default(), CAUGHT_WITHIN).expect("noticed");
}

#[test]
fn the_checks_notice_when_of_several_writes_only_the_last_is_sent() {
    let plan = Plan {
        theme: Some(Theme::Writes),
        naive: true,
        ..Plan::default()
    };
    let fault = caught(Rules::default(), plan, CAUGHT_WITHIN).expect("noticed");
    assert!(
        fault.contains("in silence") || fault.contains("losers"),
        "{fault}"
    );
}

/// Histories within which a wrong way of letting go must be noticed.
const RECLAIM_CAUGHT_WITHIN: u64 = 40_000;

#[test]
fn the_checks_notice_when_what_is_gone_is_let_go_by_what_is_said_beside_the_streams() {
    let plan = Plan {
        reclaims: Reclaims::Beside,
        ..Plan::default()
    };
    caught(Rules::default(), plan, CAUGHT_WITHIN).expect("noticed");
}

#[test]
fn the_checks_notice_when_what_is_gone_is_let_go_while_other_streams_are_behind() {
    let plan = Plan {
        reclaims: Reclaims::InOneStream,
        ..Plan::default()
    };
    caught(Rules::default(), plan, CAUGHT_WITHIN).expect("noticed");
}

#[test]
fn the_checks_notice_when_a_directory_is_let_go_that_something_just_left() {
    let rules = Rules {
        children_waited: false,
        ..Rules::default()
    };
    let plan = Plan {
        reclaims: Reclaims::InStreams,
        theme: Some(Theme::Dirs),
        ..Plan::default()
    };
    caught(rules, plan, RECLAIM_CAUGHT_WITHIN).expect("noticed");
}
