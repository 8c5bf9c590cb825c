//! How long logs live: what nobody needs goes, what someone needs stays, and who needs too much is fenced.

use super::*;
use crate::daemon::tasks::errors;
use crate::journal::dot::CONTROL_STREAM;
use crate::journal::op::MemberState;

const SEGMENT: u64 = 64 * 1024;

/// Keeps nothing that nobody needs.
fn for_members(members: &[u64]) -> Retention {
    Retention {
        members: members.iter().map(|id| (*id, format!("s{id}"))).collect(),
        budget_bytes: 100 * SEGMENT,
        keep_bytes: 0,
        ..Retention::default()
    }
}

impl Site {
    /// Makes about `segments` segments of entries of one file, and returns it.
    fn fill(&mut self, segments: u64) -> u64 {
        let inode = self.create("f", 1);
        let wanted = self.engine.status().unwrap().journal_bytes + segments * SEGMENT;
        while self.engine.status().unwrap().journal_bytes < wanted {
            let txns: Vec<LocalTxn> = (1..=200)
                .map(|n| LocalTxn {
                    ops: vec![self.write_op(inode, n)],
                })
                .collect();
            self.engine.submit(&txns).unwrap();
        }
        inode
    }

    /// Hands everything over that `other` lacks.
    fn send_all_to(&mut self, other: &mut Self) {
        while self.frame_for(other).is_some() {
            self.send_to(other);
        }
    }

    /// What this site would say of itself to `of`.
    fn report(&mut self, of: &mut Self) -> MemberReport {
        let progress = self.engine.progress(of.engine.actor().unwrap()).unwrap();
        MemberReport {
            actor: self.engine.actor().unwrap(),
            takes: true,
            received: progress.iter().map(|p| (p.stream, p.received)).collect(),
            founder: None,
        }
    }

    fn hear(&mut self, other: &mut Self) {
        let report = other.report(self);
        self.engine.heard(report).unwrap();
    }

    /// Lets time pass until the logs are looked after.
    fn look_after(&mut self) {
        self.clock.advance(Duration::from_secs(10));
        self.engine.tick().unwrap();
    }

    fn segments(&mut self) -> u64 {
        self.engine.status().unwrap().journal_bytes / SEGMENT
    }

    fn received_segments(&self) -> usize {
        let logs = std::fs::read_dir(self.folder.path().join("received")).unwrap();
        logs.map(|log| std::fs::read_dir(log.unwrap().path()).unwrap().count())
            .sum()
    }

    fn fenced(&mut self, site_id: u64) -> Option<Fence> {
        let members = self.engine.status().unwrap().members;
        let member = members.into_iter().find(|m| m.site_id == site_id);
        member.and_then(|member| member.fence)
    }
}

#[test]
fn what_every_member_has_is_trimmed_and_both_go_on_after_a_restart() {
    let mut a = Site::keeping(1, for_members(&[2]));
    let mut b = Site::keeping(2, for_members(&[1]));
    let inode = a.fill(3);
    a.send_all_to(&mut b);
    b.apply_all();
    let (before, received) = (a.segments(), b.received_segments());
    assert!(before > 3 && received > 2, "{before} {received}");

    a.look_after();
    assert_eq!(
        a.segments(),
        before,
        "trimmed although nobody said that it has it"
    );
    a.hear(&mut b);
    a.look_after();
    b.look_after();
    assert_eq!((a.segments(), b.received_segments()), (1, 1));

    a.crash();
    b.crash();
    assert_eq!(a.root_of(inode), Some(200));
    assert_eq!(b.root_of(inode), Some(200));
    assert_eq!(a.frame_for(&mut b), None);
    a.write(inode, 77);
    let second = a.create("g", 78);
    a.send_to(&mut b);
    b.apply_all();
    assert_eq!((b.root_of(inode), b.root_of(second)), (Some(77), Some(78)));
}

#[test]
fn a_member_inside_the_tail_goes_on_and_one_that_is_away_pins_over_a_restart() {
    let mut a = Site::keeping(1, for_members(&[2, 3]));
    let (mut b, mut c) = (Site::new(2), Site::new(3));
    a.fill(2);
    a.send_all_to(&mut b);
    a.send_all_to(&mut c);
    a.hear(&mut b);
    a.hear(&mut c);
    a.look_after();
    assert_eq!(a.segments(), 1);

    let inode = a.fill(3);
    a.send_all_to(&mut b);
    a.hear(&mut b);
    a.look_after();
    let pinned = a.segments();
    assert!(pinned > 3, "{pinned}");
    a.crash();
    a.hear(&mut b);
    a.look_after();
    assert_eq!(a.segments(), pinned, "a restart forgot who lacks what");
    let pins: Vec<u64> = a
        .engine
        .status()
        .unwrap()
        .members
        .iter()
        .map(|m| m.pinned_bytes)
        .collect();
    assert_eq!(pins, [0, pinned * SEGMENT]);

    a.send_all_to(&mut c);
    c.apply_all();
    assert_eq!(c.root_of(inode), Some(200));
    a.hear(&mut c);
    a.clock.advance(Duration::from_secs(1));
    a.engine.tick().unwrap();
    a.crash();
    a.look_after();
    assert!(
        a.segments() < pinned,
        "a restart forgot how far a member had come"
    );
}

#[test]
fn a_member_that_takes_nothing_holds_nothing_back() {
    let mut a = Site::keeping(1, for_members(&[2]));
    let mut primary = Site::new(2);
    a.fill(2);
    let mut report = primary.report(&mut a);
    report.takes = false;
    a.engine.heard(report).unwrap();
    a.look_after();
    assert_eq!(a.segments(), 1);
}

#[test]
fn a_journal_that_is_whole_is_kept_up_to_its_limit() {
    let mut retention = for_members(&[2]);
    retention.keep_bytes = 5 * SEGMENT;
    let mut a = Site::keeping(1, retention);
    let mut b = Site::new(2);
    a.fill(2);
    a.send_all_to(&mut b);
    a.hear(&mut b);
    a.look_after();
    assert!(a.segments() > 2);
    let mut late = Site::new(3);
    a.send_all_to(&mut late);
    assert!(
        !late.apply_all().is_empty(),
        "a new site is filled from a whole journal"
    );
    a.fill(3);
    a.send_all_to(&mut b);
    a.hear(&mut b);
    a.look_after();
    assert_eq!(
        a.segments(),
        1,
        "once it cannot stay whole nothing is kept in vain"
    );
}

#[test]
fn a_state_that_is_older_than_the_kept_logs_is_refused() {
    let mut a = Site::keeping(1, for_members(&[]));
    a.fill(2);
    a.look_after();
    assert_eq!(a.segments(), 1);
    a.engine.open = None;
    std::fs::remove_file(a.folder.path().join("state.redb")).unwrap();
    let error = a.reopened().unwrap_err().to_string();
    assert!(
        error.contains("state.redb") && error.contains("help join"),
        "{error}"
    );
}

#[test]
fn who_pins_more_than_the_budget_is_fenced_and_the_journal_goes_on_without() {
    let _expected = errors::expects("fenced: the journal is no longer kept");
    let mut retention = for_members(&[2, 3]);
    retention.budget_bytes = 3 * SEGMENT;
    let mut a = Site::keeping(1, retention);
    let (mut b, mut c) = (Site::keeping(2, for_members(&[1, 3])), Site::new(3));
    a.create("first", 1);
    a.send_to(&mut c);
    a.hear(&mut c);
    a.fill(4);
    a.send_all_to(&mut b);
    a.hear(&mut b);
    a.look_after();

    let fence = a.fenced(3).unwrap();
    assert_eq!(fence.actor, c.engine.actor().unwrap());
    assert!(
        matches!(fence.cause, Some(FenceCause::Budget { pinned_bytes }) if pinned_bytes > 3 * SEGMENT)
    );
    assert_eq!(a.fenced(2), None, "who is within the budget stays");
    assert_eq!(a.engine.standing(3).unwrap().epoch, 1);
    assert!(a.segments() <= 3);
    a.crash();
    assert_eq!(a.fenced(3).unwrap(), fence, "the decision outlives a crash");
    a.look_after();
    a.look_after();
    let control = a.engine.status().unwrap().heads[&CONTROL_STREAM];
    assert_eq!(control, 1, "it is decided once");

    a.send_all_to(&mut b);
    let actor = c.engine.actor().unwrap();
    let told = b.engine.fence_between(actor).unwrap().unwrap();
    assert_eq!((told.by_site_id, told.cause), (1, None));
    b.hear(&mut c);
    assert_eq!(b.fenced(3).unwrap().name, "s3");
    assert_eq!(b.engine.standing(3).unwrap().epoch, 1);
}

#[test]
fn a_journal_that_starts_anew_after_a_fence_is_a_member_again() {
    let _expected = errors::expects("fenced: the journal is no longer kept");
    let mut retention = for_members(&[2]);
    retention.budget_bytes = 3 * SEGMENT;
    let mut a = Site::keeping(1, retention);
    let mut b = Site::new(2);
    a.create("first", 1);
    a.send_to(&mut b);
    a.hear(&mut b);
    a.fill(4);
    a.look_after();
    assert!(a.fenced(2).is_some());
    a.hear(&mut b);
    assert!(a.fenced(2).is_some(), "to be heard again undoes nothing");
    let mut report = b.report(&mut a);
    report.actor.incarnation += 1;
    report.received.clear();
    a.engine.heard(report).unwrap();
    assert_eq!(a.fenced(2), None);
    assert!(
        a.engine
            .fence_between(b.engine.actor().unwrap())
            .unwrap()
            .is_some()
    );
}

#[test]
fn who_was_not_heard_for_too_long_is_fenced_and_own_downtime_does_not_count() {
    let _expected = errors::expects("fenced: the journal is no longer kept");
    let mut retention = for_members(&[2, 3, 4]);
    retention.max_absence = Duration::from_secs(300);
    let mut a = Site::keeping(1, retention);
    let (mut b, mut c) = (Site::new(2), Site::new(3));
    a.hear(&mut b);
    a.hear(&mut c);
    // A step of the wall clock, and a process that stood still, are no absence.
    a.clock.step_to(500_000_000_000_000);
    a.clock.advance(Duration::from_secs(1_000_000));
    a.engine.tick().unwrap();
    assert_eq!(a.fenced(2), None);
    let rounds = 2 * 300 / 10;
    for round in 0..rounds {
        a.hear(&mut c);
        a.look_after();
        if round == rounds / 4 {
            assert_eq!(a.fenced(2), None);
            a.crash();
        }
    }
    let fence = a.fenced(2).unwrap();
    assert!(
        matches!(fence.cause, Some(FenceCause::Absence { unheard }) if unheard >= Duration::from_secs(300))
    );
    assert_eq!(
        (a.fenced(3), a.fenced(4)),
        (None, None),
        "one was heard, one never came"
    );
}

#[test]
fn a_site_learns_that_it_was_fenced_itself() {
    let mut a = Site::new(1);
    let mut b = Site::new(2);
    let actor = b.engine.actor().unwrap();
    a.engine
        .submit_control(vec![Change::Member {
            site_id: 2,
            name: "s2".to_owned(),
            incarnation: actor.incarnation,
            state: MemberState::Fenced,
            final_cursors: Vec::new(),
        }])
        .unwrap();
    a.send_to(&mut b);
    let fence = b.engine.fence_between(a.engine.actor().unwrap()).unwrap();
    assert_eq!(fence.unwrap().actor, actor);
}

#[test]
fn who_brings_the_tree_is_known_to_all_that_take_part_and_decided_before_anything_is_journaled() {
    let (mut a, mut b) = (Site::new(1), Site::keeping(2, for_members(&[1, 3])));
    a.engine.found("s1").unwrap();
    a.create("f", 1);
    let actor = a.engine.actor().unwrap();
    let founder = |site: &mut Site| site.engine.standing(9).unwrap().founder;
    assert_eq!((founder(&mut a), founder(&mut b)), (Some(actor), None));
    assert!(!a.engine.joined().unwrap() && !b.engine.joined().unwrap());
    a.send_to(&mut b);
    b.crash();
    assert_eq!(founder(&mut b), Some(actor));
    assert!(b.engine.joined().unwrap());
    let mut c = Site::keeping(3, for_members(&[2]));
    let mut report = b.report(&mut c);
    report.founder = Some(actor);
    c.engine.heard(report).unwrap();
    c.engine.tick().unwrap();
    c.clock.advance(Duration::from_secs(1));
    c.engine.tick().unwrap();
    c.crash();
    assert_eq!(founder(&mut c), Some(actor), "also from hearsay");

    let mut late = Site::new(4);
    late.create("f", 1);
    late.engine.found("s4").unwrap();
    assert_eq!(founder(&mut late), None);
}
