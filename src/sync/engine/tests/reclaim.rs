//! Two engines that say how far they are, and let go of what both know to be gone.

use super::*;
use crate::clock::Clock as _;
use crate::journal::dot::CONTROL_STREAM;
use crate::sync::engine::members::MemberReport;

/// Longer than anything that is done now and then.
const LATER: Duration = Duration::from_secs(11);

fn site(site_id: u64) -> Site {
    let reclaim = Reclaim {
        said_every: Duration::from_secs(10),
        walked_every: Duration::from_secs(10),
    };
    let others = (1..=3).filter(|id| *id != site_id);
    let retention = Retention {
        members: others.map(|id| (id, format!("site-{id}"))).collect(),
        ..Retention::default()
    };
    Site::with(site_id, retention, Some(reclaim))
}

impl Site {
    fn remove(&mut self, inode: u64, name: &str) {
        let place = Place {
            parent: ROOT_INODE,
            name: Name::new(name.as_bytes().to_vec()).unwrap(),
        };
        let op = self.op(inode, Change::Unlink { place, dir: false });
        self.engine.submit(&[LocalTxn { ops: vec![op] }]).unwrap();
    }

    fn knows(&mut self, inode: u64) -> bool {
        let known = |opened: &mut Opened, _: &EngineConfig| opened.core.state().node(inode);
        self.engine.with(known).unwrap().is_some()
    }

    fn said(&mut self) -> u64 {
        let head = |opened: &mut Opened, _: &EngineConfig| Ok(opened.journal.head(CONTROL_STREAM));
        self.engine.with(head).unwrap().0
    }

    fn said_through_us(&mut self) -> u64 {
        let own = self.engine.actor().unwrap();
        let said = |opened: &mut Opened, _: &EngineConfig| opened.core.state().horizon(own);
        let said = self.engine.with(said).unwrap();
        said.map_or(0, |(_, said)| said.through_us)
    }

    fn newest_us(&mut self, inode: u64) -> u64 {
        let known = |opened: &mut Opened, _: &EngineConfig| opened.core.state().node(inode);
        self.engine.with(known).unwrap().unwrap().newest_us()
    }

    /// Time passes, the tree is looked at, and all is sent that there is, with a mark.
    fn passes(&mut self, other: &mut Self) {
        self.clock.advance(LATER);
        let now_us = self.clock.now_us();
        self.engine.observed_through(now_us).unwrap();
        self.engine.tick().unwrap();
        self.send_to(other);
        let (actor, mark_us) = (self.engine.actor().unwrap(), self.engine.mark().unwrap());
        other.engine.receive(actor, &[], mark_us).unwrap();
        other.apply_all();
    }

    /// All that `other` has comes, and time passes, and nothing is applied.
    fn only_hears(&mut self, other: &mut Self) {
        other.send_to(self);
        let (actor, mark_us) = (other.engine.actor().unwrap(), other.engine.mark().unwrap());
        self.engine.receive(actor, &[], mark_us).unwrap();
        self.clock.advance(LATER);
        other.clock.advance(LATER);
        let now_us = self.clock.now_us();
        self.engine.observed_through(now_us).unwrap();
        self.engine.tick().unwrap();
    }

    fn promised(&mut self) -> bool {
        let promised = |opened: &mut Opened, _: &EngineConfig| Ok(opened.promises());
        self.engine.with(promised).unwrap()
    }

    fn finds(&mut self, inode: u64) -> Option<u64> {
        let ino = inode & 0xFFFF;
        self.engine.inode_of(ino, FileTime::default()).unwrap()
    }
}

/// What a third site says of itself, which says nothing more.
fn third() -> MemberReport {
    MemberReport {
        actor: Actor::new(3, 33),
        takes: true,
        received: BTreeMap::new(),
        founder: None,
    }
}

fn rest(a: &mut Site, b: &mut Site, rounds: u32) {
    for _ in 0..rounds {
        a.passes(b);
        b.passes(a);
    }
}

#[test]
fn what_both_sites_know_to_be_gone_is_let_go_and_then_nothing_more_is_said() {
    let (mut a, mut b) = (site(1), site(2));
    let (gone, stays) = (a.create("f", 1), a.create("g", 2));
    rest(&mut a, &mut b, 4);
    assert!(a.knows(gone) && b.knows(gone));
    b.remove(gone, "f");
    b.send_to(&mut a);
    a.apply_all();
    assert!(a.knows(gone) && b.knows(gone), "nobody said so yet");
    rest(&mut a, &mut b, 8);
    assert!(!a.knows(gone) && !b.knows(gone));
    assert!(a.knows(stays) && b.knows(stays));
    let said = (a.said(), b.said());
    rest(&mut a, &mut b, 8);
    assert_eq!(
        (a.said(), b.said()),
        said,
        "they answer each other for ever"
    );
    a.crash();
    b.crash();
    assert!(!a.knows(gone) && !b.knows(gone));
    assert_eq!((a.apply_all(), b.apply_all()), (vec![], vec![]));
    // Whoever comes now must not be filled by entries alone.
    assert!(a.engine.standing(3).unwrap().fills_newcomers);
}

#[test]
fn nothing_is_let_go_while_a_site_that_was_ever_heard_says_nothing() {
    let (mut a, mut b) = (site(1), site(2));
    b.engine.heard(third()).unwrap();
    let gone = a.create("f", 1);
    rest(&mut a, &mut b, 2);
    b.remove(gone, "f");
    rest(&mut a, &mut b, 10);
    assert!(a.knows(gone) && b.knows(gone));
    assert_eq!(b.engine.ends(3, "site-3").unwrap(), 1);
    // That is no news of the tree, so a write has to come for anybody to say anything.
    a.create("g", 2);
    rest(&mut a, &mut b, 10);
    assert!(!a.knows(gone) && !b.knows(gone));
}

#[test]
fn a_file_that_comes_back_after_its_site_said_that_it_is_gone_is_a_new_one() {
    let (mut a, mut b) = (site(1), site(2));
    let inode = a.create("f", 1);
    rest(&mut a, &mut b, 4);
    a.remove(inode, "f");
    assert_eq!(
        a.finds(inode),
        Some(inode),
        "it may have been moved for a moment"
    );
    a.send_to(&mut b);
    b.apply_all();
    let removed_us = a.newest_us(inode);
    while a.finds(inode).is_some() {
        let said_us = a.said_through_us();
        assert!(said_us < removed_us, "said of a file that is still known");
        a.passes(&mut b);
        b.passes(&mut a);
    }
    rest(&mut a, &mut b, 8);
    assert!(a.said_through_us() >= removed_us);
    a.crash();
    assert_eq!(a.finds(inode), None);
}

#[test]
fn nothing_is_said_of_somebody_who_comes_between_noting_and_saying() {
    let (mut a, mut b) = (site(1), site(2));
    a.create("f", 1);
    while !a.promised() {
        rest(&mut a, &mut b, 1);
    }
    let said = a.said();
    a.engine.heard(third()).unwrap();
    rest(&mut a, &mut b, 4);
    assert_eq!(a.said(), said);
}

#[test]
fn what_is_found_before_it_is_noted_is_reported_before_it_is_said() {
    let (mut a, mut b) = (site(1), site(2));
    a.create("f", 1);
    rest(&mut a, &mut b, 1);
    // The clock goes back, so that what was reported before seems to lie ahead.
    let now_us = a.clock.now_us();
    a.clock.step_to(now_us - 200_000_000);
    let said = a.said();
    for _ in 0..6 {
        a.clock.advance(LATER);
        a.engine.tick().unwrap();
        b.passes(&mut a);
    }
    assert_eq!(a.said(), said, "said without a report");
    rest(&mut a, &mut b, 4);
    assert!(a.said() > said);
}

#[test]
fn what_waits_for_the_tree_is_not_said_to_be_on_it() {
    let (mut a, mut b) = (site(1), site(2));
    let inode = a.create("f", 1);
    rest(&mut a, &mut b, 4);
    a.remove(inode, "f");
    let before = b.said();
    for _ in 0..8 {
        b.only_hears(&mut a);
    }
    assert_eq!(b.said(), before);
    rest(&mut a, &mut b, 8);
    assert!(b.said() > before && !b.knows(inode));
}

#[test]
fn what_is_due_on_the_tree_is_waited_for_although_no_entry_waits() {
    let (mut a, mut b) = (site(1), site(2));
    let inode = a.create("f", 1);
    rest(&mut a, &mut b, 4);
    a.create("g", 2);
    a.send_to(&mut b);
    b.apply_all();
    // The connector finds that it does not show a file any more.
    b.engine.correct(inode, None).unwrap();
    let before = b.said();
    for _ in 0..8 {
        b.only_hears(&mut a);
    }
    assert_eq!(b.said(), before);
    rest(&mut a, &mut b, 8);
    assert!(b.said() > before);
}

#[test]
fn what_was_noted_before_a_snapshot_is_not_said_after_it_and_newcomers_get_one_from_then_on() {
    let (mut a, mut b) = (site(1), site(2));
    a.create("f", 1);
    while !b.promised() {
        rest(&mut a, &mut b, 1);
    }
    takeover::fill(&mut a, &mut b, 9);
    assert!(!b.promised());
    let mut other = Site::new(3);
    other.create("g", 1);
    let mut filled = Site::new(4);
    takeover::fill(&mut other, &mut filled, 9);
    assert!(filled.engine.standing(5).unwrap().fills_newcomers);
    assert!(!other.engine.standing(5).unwrap().fills_newcomers);
}
