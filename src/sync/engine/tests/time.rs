//! What entries are stamped by, whatever the clocks of the machine do meanwhile.

use super::*;
use crate::clock::Clock as _;

const HOUR: Duration = Duration::from_secs(3_600);

/// The stamp of what is journaled next, and the wall clock at that moment.
fn stamp(site: &mut Site, name: &str) -> (u64, u64) {
    site.create(name, 1);
    (last_us(site), site.clock.now_us())
}

fn last_us(site: &mut Site) -> u64 {
    let last = |opened: &mut Opened, _: &EngineConfig| Ok(opened.core.clock().last_us());
    site.engine.with(last).unwrap()
}

/// Whether what is journaled next is stamped by the wall clock.
fn follows(site: &mut Site, name: &str) -> bool {
    let (stamp, now_us) = stamp(site, name);
    stamp.abs_diff(now_us) < 1_000
}

#[test]
fn a_site_that_rested_for_hours_stamps_by_its_clock() {
    let mut a = Site::new(1);
    assert!(follows(&mut a, "one"));
    a.clock.advance(9 * HOUR);
    assert!(follows(&mut a, "two"));
    let now_us = a.clock.now_us();
    a.clock.advance(HOUR);
    a.engine.observed_through(now_us + 3_599_000_000).unwrap();
    assert_eq!(a.engine.mark().unwrap(), now_us + 3_599_000_000);
}

#[test]
fn a_site_that_was_stopped_for_hours_stamps_by_its_clock() {
    let mut a = Site::new(1);
    assert!(follows(&mut a, "one"));
    a.engine.close().unwrap();
    a.clock.advance(9 * HOUR);
    a.crash();
    assert!(follows(&mut a, "two"));
    assert_eq!(a.engine.clock_ahead().unwrap(), None);
}

#[test]
fn a_clock_that_steps_far_ahead_is_not_followed_until_a_peers_clock_agrees() {
    let mut a = Site::new(1);
    let (first, _) = stamp(&mut a, "one");
    a.clock.step_to(a.clock.now_us() + 3_600_000_000);
    a.clock.advance(Duration::from_secs(7));
    let (second, now_us) = stamp(&mut a, "two");
    assert!(
        (7_000_000..7_001_000).contains(&(second - first)),
        "the old pace"
    );
    let ahead = a.engine.clock_ahead().unwrap().unwrap();
    assert!(
        ahead <= HOUR && ahead > HOUR - Duration::from_secs(1),
        "{ahead:?}"
    );
    a.engine.observed_through(now_us).unwrap();
    let mark = a.engine.mark().unwrap();
    assert!(mark.abs_diff(second) < 1_000, "a mark at the old pace");

    a.engine.peer_clock(now_us - 3_600_000_000).unwrap();
    assert!(!follows(&mut a, "three"), "this one does not agree");
    a.engine.peer_clock(now_us - 2_000_000).unwrap();
    assert!(follows(&mut a, "four"));
    assert_eq!(a.engine.clock_ahead().unwrap(), None);
}

#[test]
fn a_failure_of_the_engine_makes_no_doubtful_clock_believed() {
    let mut a = Site::new(1);
    stamp(&mut a, "one");
    a.clock.step_to(a.clock.now_us() + 3_600_000_000);
    assert!(!follows(&mut a, "two"));
    let failed = a
        .engine
        .with(|_, _| -> Result<()> { Err(ReplError::serialization("test", "fails")) });
    failed.unwrap_err();
    assert!(!follows(&mut a, "three"));
    a.crash();
    assert!(!follows(&mut a, "four"));
}

#[test]
fn after_the_machine_was_off_for_hours_a_peer_or_a_person_vouches_for_its_clock() {
    let mut a = Site::new(1);
    stamp(&mut a, "one");
    a.engine.close().unwrap();
    a.clock.reboot(9 * HOUR);
    a.crash();
    assert!(!follows(&mut a, "two"));
    assert!(a.engine.clock_ahead().unwrap().is_some());

    let mut config = config(a.folder.path(), &a.clock, 1);
    config.accept_clock = true;
    a.engine.forget();
    a.engine = Engine::open(config).unwrap();
    assert!(follows(&mut a, "three"));
    a.crash();
    assert!(follows(&mut a, "four"), "once is enough");
}

#[test]
fn entries_of_others_vouch_for_the_clock_too() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    stamp(&mut a, "one");
    a.send_to(&mut b);
    b.clock.reboot(9 * HOUR);
    b.crash();
    assert!(!follows(&mut b, "two"));
    a.clock.advance(9 * HOUR);
    stamp(&mut a, "three");
    a.send_to(&mut b);
    assert!(follows(&mut b, "four"));
}

#[test]
fn what_a_mark_promised_holds_after_a_crash_and_a_step_back_although_an_idle_site_writes_seldom() {
    let mut a = Site::new(1);
    stamp(&mut a, "one");
    a.engine.close().unwrap();
    let state = || std::fs::read(a.folder.path().join("state.redb")).unwrap();
    let before = state();
    for _ in 0..58 {
        a.clock.advance(Duration::from_secs(1));
        a.engine.observed_through(a.clock.now_us()).unwrap();
        a.engine.tick().unwrap();
    }
    assert!(state() == before, "nothing was written");
    let mark = a.engine.mark().unwrap();
    assert_eq!(mark, a.clock.now_us());
    a.clock.step_to(mark - 30_000_000);
    a.crash();
    assert!(a.engine.ended_us().unwrap() < mark);
    let (after, _) = stamp(&mut a, "two");
    assert!(after > mark, "{after} {mark}");
}

#[test]
fn an_idle_site_writes_its_clock_out_once_a_minute() {
    let mut a = Site::new(1);
    stamp(&mut a, "one");
    a.engine.close().unwrap();
    a.clock.advance(Duration::from_secs(60));
    a.engine.observed_through(a.clock.now_us()).unwrap();
    a.engine.tick().unwrap();
    let now_us = a.clock.now_us();
    a.crash();
    assert_eq!(a.engine.ended_us().unwrap(), now_us);
}

#[test]
fn what_changed_is_written_out_after_a_second_and_not_before() {
    let mut a = Site::new(1);
    a.engine.close().unwrap();
    let state = |site: &Site| std::fs::read(site.folder.path().join("state.redb")).unwrap();
    let before = state(&a);
    stamp(&mut a, "one");
    a.clock.advance(Duration::from_millis(990));
    a.engine.tick().unwrap();
    assert!(state(&a) == before);
    a.clock.advance(Duration::from_millis(10));
    a.engine.tick().unwrap();
    assert!(state(&a) != before);
}
