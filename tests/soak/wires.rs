//! Connections over wires that are slow, narrow, stalled, reset, truncated or cut: what an operator sees of each, and
//! that all of it in a random order leaves equal trees behind.

use std::fs;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};
use serde_json::Value;

use super::{Plan, options, soak};
use crate::lab::{Condition, End, Lab, LabOptions, Site, comes};
use crate::rng::Rng;

/// Longest wait for something to be seen: longer than the 15 s of silence after which a peer is gone, and then the 10 s
/// of a try to dial.
const SEEN: Duration = Duration::from_secs(60);
/// What a byte takes on a slow wire, in each direction.
const SLOW: Duration = Duration::from_millis(150);
/// Bytes in a second on a narrow wire; a file that takes some seconds there.
const NARROW: u32 = 60_000;
const FILE: usize = 300_000;

#[test]
fn what_an_operator_sees_of_a_wire_that_is_slow_narrow_stalled_cut_reset_or_truncated() {
    let mut lab = Lab::started(&LabOptions {
        is_cuttable: true,
        ..LabOptions::default()
    });
    lab.assert_settles("clear");
    slow_is_a_round_trip(&mut lab);
    narrow_is_a_backlog_that_shrinks(&mut lab);
    stalled_is_silence_then_no_answer(&mut lab);
    cut_is_not_connected(&mut lab);
    ended_is_lost_and_dialled_again(&mut lab, End::Reset);
    ended_is_lost_and_dialled_again(&mut lab, End::Truncated);
}

fn slow_is_a_round_trip(lab: &mut Lab) {
    lab.wires()[0].set(Condition::Slow(SLOW));
    // The shortest round trip of a connection counts for a minute.
    lab.wires()[0].end(End::Reset);
    let twice = u64::try_from(2 * SLOW.as_micros()).unwrap();
    for (which, peer) in [(0, "site-b"), (1, "site-a")] {
        wait(lab, which, peer, "slow", |told| {
            is_up(told) && told["round_trip_us"].as_u64().is_some_and(|us| us >= twice)
        });
    }
    lab.assert_settles("slow");
    lab.join();
}

fn narrow_is_a_backlog_that_shrinks(lab: &mut Lab) {
    let ends_before = ends_of_connections(&lab.a) + ends_of_connections(&lab.b);
    lab.wires()[0].set(Condition::Narrow(NARROW));
    fs::write(lab.a.tree.join("large"), noise(1, FILE)).unwrap();
    wait(lab, 0, "site-b", "narrow", |told| {
        is_at_work(told) && told["behind_entries"].as_u64().is_some_and(|n| n > 0)
    });
    wait(lab, 1, "site-a", "narrow", |told| {
        is_at_work(told) && told["waiting_entries"].as_u64().is_some_and(|n| n > 0)
    });
    lab.assert_settles("narrow");
    let ends = ends_of_connections(&lab.a) + ends_of_connections(&lab.b);
    assert_eq!(ends, ends_before, "the connection stood: {}", lab.b.tail());
    lab.join();
}

fn stalled_is_silence_then_no_answer(lab: &mut Lab) {
    lab.wires()[0].set(Condition::Stalled);
    fs::write(lab.a.tree.join("while-stalled"), "a").unwrap();
    // From the first moment on it is not in step.
    wait(lab, 0, "site-b", "stalled", is_at_work);
    for (which, peer) in [(0, "site-b"), (1, "site-a")] {
        wait(lab, which, peer, "silent", |told| {
            is_down(told) && has_error(told, "nothing heard for 1")
        });
        assert_told_down(lab, which, "nothing heard for 1");
    }
    wait(lab, 1, "site-a", "no answer", |told| {
        is_down(told) && has_error(told, "no answer for 10 s")
    });
    lab.join();
    lab.assert_settles("stalled");
}

fn cut_is_not_connected(lab: &mut Lab) {
    lab.cut();
    for (which, peer) in [(0, "site-b"), (1, "site-a")] {
        wait(lab, which, peer, "cut", |told| {
            is_down(told) && !told["last_error"].is_null()
        });
        assert_told_down(lab, which, "not connected");
    }
    wait(lab, 1, "site-a", "tried again", |told| {
        told["contact"]["attempts"].as_u64().is_some_and(|n| n >= 3)
    });
    lab.join();
    lab.assert_settles("cut");
}

fn ended_is_lost_and_dialled_again(lab: &mut Lab, how: End) {
    let about = format!("{how:?}");
    let since = |site: &Site, peer| site.of_peer(peer)["contact"]["since_us"].clone();
    let before = [since(&lab.a, "site-b"), since(&lab.b, "site-a")];
    assert!(before.iter().all(Value::is_u64), "{before:?}");
    let ended = [&lab.a, &lab.b].map(ends_of_connections);
    let truncated = lab.wires()[0].truncated();
    lab.wires()[0].end(how);
    for (which, peer) in [(0, "site-b"), (1, "site-a")] {
        let old = before[which].clone();
        wait(lab, which, peer, &about, |told| {
            is_up(told) && told["contact"]["since_us"] != old
        });
        let now = ends_of_connections(lab.site(which));
        assert!(now > ended[which], "{about}: {}", lab.site(which).tail());
    }
    let truncated = lab.wires()[0].truncated() - truncated;
    assert_eq!(truncated > 0, how == End::Truncated, "{about}");
    lab.assert_settles(&about);
}

/// Waits until a site says so of its peer.
fn wait(lab: &mut Lab, which: usize, peer: &str, about: &str, is: impl Fn(&Value) -> bool) {
    let mut told = Value::Null;
    let seen = comes(SEEN, || {
        told = lab.site(which).of_peer(peer);
        is(&told)
    });
    if !seen {
        let what = format!("this is not seen of {peer}: {told:#}");
        lab.fail(about, &what);
    }
    let (state, error) = (&told["state"], &told["last_error"]);
    println!("{about}: {state} of {peer}, {error}");
}

/// The whole is down, and a cause says why and what to do.
fn assert_told_down(lab: &mut Lab, which: usize, why: &str) {
    let told = lab.site(which).told().unwrap_or_default();
    let causes = told["causes"].as_array().cloned().unwrap_or_default();
    let is_told = causes.iter().any(|cause| {
        let text = cause["text"].as_str().unwrap_or_default();
        text.contains(why) && !cause["next"].as_str().unwrap_or_default().is_empty()
    });
    if told["verdict"] != "down" || !is_told {
        let what = format!("{why} is not told: {told:#}");
        lab.fail("causes", &what);
    }
}

fn has_error(told: &Value, words: &str) -> bool {
    told["last_error"]
        .as_str()
        .is_some_and(|error| error.contains(words))
}

fn is_one_of(told: &Value, states: &[&str]) -> bool {
    told["state"]
        .as_str()
        .is_some_and(|state| states.contains(&state))
}

pub(super) fn is_up(told: &Value) -> bool {
    is_one_of(told, &["idle", "streaming", "catching_up"])
}

pub(super) fn is_down(told: &Value) -> bool {
    is_one_of(told, &["backoff", "connecting"])
}

fn is_at_work(told: &Value) -> bool {
    is_one_of(told, &["streaming", "catching_up"])
}

/// How often the log tells that a connection ended.
fn ends_of_connections(site: &Site) -> usize {
    let text = site.log_text();
    text.lines()
        .filter(|line| line.contains("disconnected"))
        .count()
}

/// Bytes that cannot be made smaller.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let bytes = std::iter::repeat_with(|| u8::try_from(rng.below(256)).unwrap());
    bytes.take(count).collect()
}

#[test]
fn wires_that_are_disturbed_in_any_order_under_random_work_leave_equal_trees() {
    let plan = Plan::new(25, 0);
    let options = LabOptions {
        has_third: true,
        is_cuttable: true,
        ..options("10s", "on")
    };
    let mut lab = Lab::started(&options);
    let done = soak(&plan, &mut lab, |lab, is_over| disturb(&plan, lab, is_over));
    assert!(done.len() > 10, "{done:?}");
}

/// Something else becomes of some wire, again and again; at the end all are clear.
fn disturb(plan: &Plan, lab: &Lab, is_work_over: &dyn Fn() -> bool) -> Vec<String> {
    let mut rng = Rng::new(plan.seed ^ 0x7769_7265);
    let until = SystemClock.monotonic() + plan.time;
    let wires = lab.wires();
    let mut done = Vec::new();
    let mut next = SystemClock.monotonic();
    while SystemClock.monotonic() < until && !is_work_over() {
        if SystemClock.monotonic() >= next {
            let which = rng.index(wires.len());
            let wire = wires[which];
            let told = match rng.below(10) {
                0 | 1 => {
                    wire.end(End::Reset);
                    "reset".to_owned()
                }
                2 | 3 => {
                    wire.end(End::Truncated);
                    "truncated".to_owned()
                }
                other => {
                    let condition = match other {
                        4 => Condition::Slow(Duration::from_millis(1 + rng.below(400))),
                        5 => Condition::Narrow(20_000 + u32::try_from(rng.below(200_000)).unwrap()),
                        6 => Condition::Stalled,
                        7 => Condition::Cut,
                        _ => Condition::Clear,
                    };
                    wire.set(condition);
                    format!("{condition:?}")
                }
            };
            done.push(format!("{which}: {told}"));
            next = SystemClock.monotonic() + Duration::from_millis(rng.below(1_500));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    lab.join();
    done
}
