//! Taking over what another site knows, page by page.

use super::*;
use crate::clock::Clock as _;
use crate::journal::verdict::{Reached, ReceivedCursor};

/// The page of `snapshot` behind `from`, of at most `items`.
fn page(snapshot: &Snapshot, from: &SnapshotPoint, items: usize) -> KnownPage {
    let page = snapshot.frozen.page(&from.after, 1 << 20, items).unwrap();
    KnownPage {
        from: SnapshotPoint {
            no: snapshot.no,
            after: from.after.clone(),
        },
        reach: if from.after.is_empty() {
            snapshot.reach.clone()
        } else {
            Vec::new()
        },
        hlc_us: snapshot.hlc_us,
        items: page.items,
        is_last: page.is_last,
    }
}

fn snapshot(from: &mut Site) -> Snapshot {
    from.engine.snapshot().unwrap().unwrap()
}

/// Hands `to` a snapshot of `from`, `items` at a time, until `pages` were taken or it is whole. What became of the last.
fn hand_over(
    from: &mut Site,
    snapshot: &Snapshot,
    to: &mut Site,
    items: usize,
    pages: usize,
) -> Taken {
    let source = from.engine.actor().unwrap();
    let mut at = to.engine.takeover_from(source).unwrap().unwrap();
    let mut taken = Taken::Next(at.clone());
    for _ in 0..pages {
        let page = page(snapshot, &at, items);
        taken = to.engine.take_page(source, page).unwrap();
        match &taken {
            Taken::Next(next) => at.clone_from(next),
            Taken::Whole | Taken::Outdated | Taken::Refused(_) => break,
        }
    }
    taken
}

/// Merges what came; returns how many items that were.
fn merge(site: &mut Site) -> u64 {
    loop {
        match site.engine.merge_snapshot().unwrap() {
            Merging::More => {}
            Merging::All(items) => return items,
        }
    }
}

/// Hands all of it over.
pub(super) fn fill(from: &mut Site, to: &mut Site, items: usize) -> u64 {
    let given = snapshot(from);
    let taken = hand_over(from, &given, to, items, usize::MAX);
    assert_eq!(taken, Taken::Whole);
    merge(to)
}

fn with_files(site_id: u64, names: &[&str]) -> (Site, Vec<u64>) {
    let mut site = Site::new(site_id);
    let inodes = names.iter().zip(1..);
    let inodes = inodes.map(|(name, root)| site.create(name, root)).collect();
    (site, inodes)
}

#[test]
fn a_site_that_took_over_what_another_one_knows_shows_it_and_goes_on_with_its_entries() {
    let (mut a, inodes) = with_files(1, &["f", "g", "h"]);
    let mut b = Site::new(2);
    assert_eq!(fill(&mut a, &mut b, 2), 3);
    b.apply_all();
    let roots: Vec<_> = inodes.iter().map(|inode| b.root_of(*inode)).collect();
    assert_eq!(roots, [Some(1), Some(2), Some(3)]);
    let actor = a.engine.actor().unwrap();
    let progress = b.engine.progress(actor).unwrap();
    assert!(
        progress.iter().all(|one| one.applied == one.received),
        "{progress:?}"
    );
    a.write(inodes[0], 9);
    a.send_to(&mut b);
    b.apply_all();
    assert_eq!(b.root_of(inodes[0]), Some(9));
    b.crash();
    assert_eq!(b.root_of(inodes[0]), Some(9));
    // And what came by the snapshot does not come by the journal again.
    assert!(a.frame_for(&mut b).is_none());
}

#[test]
fn nothing_changes_before_a_snapshot_is_whole_and_a_stop_costs_no_page() {
    let (mut a, _) = with_files(1, &["f", "g", "h"]);
    let mut b = Site::new(2);
    let given = snapshot(&mut a);
    let taken = hand_over(&mut a, &given, &mut b, 1, 2);
    assert!(matches!(taken, Taken::Next(_)));
    assert_eq!(b.engine.work(10).unwrap(), []);
    b.engine.tick().unwrap();
    b.clock.advance(Duration::from_secs(2));
    b.engine.tick().unwrap();
    b.crash();
    assert_eq!(b.engine.work(10).unwrap(), []);
    assert_eq!(b.engine.takeover().unwrap().unwrap().items, 2);
    assert!(b.engine.standing(1).unwrap().newcomer);
    // The one page that is left, and nothing more.
    let taken = hand_over(&mut a, &given, &mut b, 1, 1);
    assert_eq!(taken, Taken::Whole);
    assert!(b.engine.standing(1).unwrap().merging);
    assert!(b.engine.snapshot().unwrap().is_none(), "half of a state");
    assert_eq!(merge(&mut b), 3);
    assert_eq!(b.apply_all().len(), 3);
    let standing = b.engine.standing(1).unwrap();
    assert!(!standing.newcomer && !standing.merging);
}

#[test]
fn a_snapshot_that_came_whole_is_merged_at_the_next_start() {
    let (mut a, inodes) = with_files(1, &["f", "g"]);
    let mut b = Site::new(2);
    let given = snapshot(&mut a);
    assert_eq!(hand_over(&mut a, &given, &mut b, 9, 9), Taken::Whole);
    b.crash();
    assert_eq!(b.engine.takeover().unwrap(), None);
    b.apply_all();
    assert_eq!(b.root_of(inodes[1]), Some(2));
}

#[test]
fn a_snapshot_of_a_later_moment_begins_anew_and_nothing_of_the_earlier_one_stays() {
    let (mut a, inodes) = with_files(1, &["f", "g", "h"]);
    let mut b = Site::new(2);
    let early = snapshot(&mut a);
    let taken = hand_over(&mut a, &early, &mut b, 1, 2);
    assert!(matches!(taken, Taken::Next(_)));
    a.write(inodes[0], 9);
    let late = snapshot(&mut a);
    assert!(late.no > early.no);
    let source = a.engine.actor().unwrap();
    // The next page of the later one is not what comes behind those of the earlier one.
    let at = b.engine.takeover_from(source).unwrap().unwrap();
    let wrong = page(&late, &at, 1);
    assert_eq!(b.engine.take_page(source, wrong).unwrap(), Taken::Outdated);
    let first = page(&late, &SnapshotPoint::default(), 1);
    let taken = b.engine.take_page(source, first).unwrap();
    assert!(matches!(taken, Taken::Next(_)));
    assert_eq!(b.engine.takeover().unwrap().unwrap().items, 1);
    assert_eq!(hand_over(&mut a, &late, &mut b, 9, 9), Taken::Whole);
    assert_eq!(merge(&mut b), 3);
    b.apply_all();
    assert_eq!(b.root_of(inodes[0]), Some(9));
    // What was put aside of the earlier one is cleared away.
    b.clock.advance(Duration::from_secs(60));
    b.engine.tick().unwrap();
    assert!(!b.engine.has_pages_aside().unwrap());
}

#[test]
fn a_second_site_does_not_begin_while_pages_of_a_first_one_come() {
    let (mut a, _) = with_files(1, &["f", "g"]);
    let (mut c, _) = with_files(3, &["h"]);
    let mut b = Site::new(2);
    let given = snapshot(&mut a);
    let taken = hand_over(&mut a, &given, &mut b, 1, 1);
    assert!(matches!(taken, Taken::Next(_)));
    let (first, second) = (a.engine.actor().unwrap(), c.engine.actor().unwrap());
    assert_eq!(b.engine.takeover_from(second).unwrap(), None);
    let again = b.engine.takeover_from(first).unwrap().unwrap();
    assert_eq!(again.no, given.no);
    // Nothing comes of it any more.
    b.clock.advance(Duration::from_secs(31));
    let anew = b.engine.takeover_from(second).unwrap();
    assert_eq!(anew, Some(SnapshotPoint::default()));
    assert_eq!(fill(&mut c, &mut b, 9), 1);
}

#[test]
fn a_site_with_a_state_goes_on_while_pages_come_and_gives_them_up_when_none_comes_for_minutes() {
    let (mut a, _) = with_files(1, &["f", "g"]);
    let (mut c, inodes) = with_files(3, &["h"]);
    let mut b = Site::new(2);
    c.send_to(&mut b);
    let given = snapshot(&mut a);
    let taken = hand_over(&mut a, &given, &mut b, 1, 1);
    assert!(matches!(taken, Taken::Next(_)));
    b.apply_all();
    assert_eq!(b.root_of(inodes[0]), Some(1));
    assert!(
        b.engine.snapshot().unwrap().is_some(),
        "it is a whole state"
    );
    b.clock.advance(Duration::from_secs(290));
    b.engine.tick().unwrap();
    assert!(b.engine.takeover().unwrap().is_some());
    b.clock.advance(Duration::from_secs(20));
    b.engine.tick().unwrap();
    assert_eq!(b.engine.takeover().unwrap(), None);
    assert!(!b.engine.has_pages_aside().unwrap());
}

#[test]
fn what_was_changed_here_meanwhile_is_a_conflict_like_any_other() {
    let (mut a, inodes) = with_files(1, &["f"]);
    let mut b = Site::new(2);
    a.send_to(&mut b);
    b.apply_all();
    a.write(inodes[0], 7);
    b.write(inodes[0], 8);
    drop(b.engine.fresh_conflicts().unwrap());
    assert_eq!(fill(&mut a, &mut b, 9), 1);
    assert_eq!(b.engine.status().unwrap().open_conflicts, 1);
    // It is told of, and given to alerts.
    assert_eq!(b.engine.fresh_conflicts().unwrap().ids.len(), 1);
    let mut late = Site::new(3);
    fill(&mut b, &mut late, 9);
    assert_eq!(late.engine.status().unwrap().open_conflicts, 1);
    assert_eq!(late.engine.fresh_conflicts().unwrap().ids.len(), 0);
}

fn refused(site: &mut Site, source: Actor, page: KnownPage) -> String {
    match site.engine.take_page(source, page).unwrap() {
        Taken::Refused(why) => why,
        taken @ (Taken::Next(_) | Taken::Whole | Taken::Outdated) => panic!("{taken:?}"),
    }
}

fn reach(actor: Actor, seq: u64) -> Vec<Reached> {
    let cursor = ReceivedCursor {
        seq,
        ..ReceivedCursor::default()
    };
    vec![Reached {
        actor,
        streams: [(3, cursor)].into_iter().collect(),
    }]
}

#[test]
fn a_snapshot_that_cannot_be_is_refused_and_nothing_of_it_is_kept() {
    let (mut a, _) = with_files(1, &["f"]);
    let (mut b, _) = with_files(2, &["g"]);
    let (source, own) = (a.engine.actor().unwrap(), b.engine.actor().unwrap());
    let late_us = b.clock.now_us() + 3_600_000_000;
    let last = |reach, hlc_us| KnownPage {
        reach,
        hlc_us,
        is_last: true,
        ..KnownPage::default()
    };
    let of = |items| KnownPage {
        reach: reach(source, 1),
        items,
        ..KnownPage::default()
    };
    let item = |key: &'static [u8]| (bytes::Bytes::from_static(key), bytes::Bytes::new());
    for (page, why) in [
        (last(reach(own, 900), 0), "rolled back"),
        (last(reach(source, 1), late_us), "clock"),
        (last(Vec::new(), 0), "first page"),
        (last(reach(source, u64::MAX), 0), "none can be known"),
        (last(reach(Actor::new(0, 7), 1), 0), "none can be known"),
        (of(a_root_with_a_link(source)), "root directory"),
        (of(a_mode(source, own, late_us, 0)), "stamps"),
        (of(a_mode(source, own, 1, 900)), "claims to have seen"),
        (of(vec![]), "order of their keys"),
        (of(vec![item(b"b"), item(b"a")]), "order of their keys"),
        (of(vec![item(b"\xff")]), "not known here"),
    ] {
        let told = refused(&mut b, source, page);
        assert!(told.contains(why), "{why}: {told}");
    }
    assert_eq!(b.engine.takeover().unwrap(), None);
}

/// What a site gives that knows one inode.
fn one_node(inode: u64, node: crate::sync::node::Node) -> Vec<(bytes::Bytes, bytes::Bytes)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.redb");
    let mut store = Store::open(&RealDisk::shared(), &file).unwrap();
    store.set_node(inode, node).unwrap();
    store.commit().unwrap();
    store.freeze().unwrap().page(&[], 1 << 20, 9).unwrap().items
}

/// An inode of `source` whose mode was set at `hlc_us`, by somebody who had seen so much of `own`.
fn a_mode(source: Actor, own: Actor, hlc_us: u64, seen: u64) -> Vec<(bytes::Bytes, bytes::Bytes)> {
    let inode = 1 << 48 | 77;
    let dot = Dot::new(source, crate::journal::dot::shard_of(inode), 1);
    let mut node = crate::sync::node::Node::default();
    node.mode.merge(crate::sync::register::Version {
        key: crate::journal::dot::LwwKey::new(1, dot),
        hlc_us,
        seen: [(own, seen)].into_iter().collect(),
        value: 0o644,
    });
    one_node(inode, node)
}

/// The root as a file that has a name.
fn a_root_with_a_link(source: Actor) -> Vec<(bytes::Bytes, bytes::Bytes)> {
    let dot = Dot::new(source, crate::journal::dot::shard_of(ROOT_INODE), 1);
    let mut node = crate::sync::node::Node::default();
    node.learn(Some(crate::sync::port::NodeKind::File), None);
    let place = Place {
        parent: ROOT_INODE,
        name: Name::new(b"taken".to_vec()).unwrap(),
    };
    let link = crate::sync::register::Version {
        key: crate::journal::dot::LwwKey::new(1, dot),
        hlc_us: 1,
        seen: crate::journal::dot::Seen::new(),
        value: crate::sync::node::LinkPlace { live: true, place },
    };
    node.links.entry(1).or_default().merge(link);
    one_node(ROOT_INODE, node)
}

/// Half of a snapshot of a site that is gone keeps nothing back that comes another way.
#[test]
fn a_new_site_shows_what_comes_of_a_second_one_when_the_first_is_gone() {
    let (mut a, _) = with_files(1, &["f", "g"]);
    let (mut c, inodes) = with_files(3, &["h"]);
    let mut b = Site::new(2);
    let given = snapshot(&mut a);
    let taken = hand_over(&mut a, &given, &mut b, 1, 1);
    assert!(matches!(taken, Taken::Next(_)));
    c.send_to(&mut b);
    b.apply_all();
    assert_eq!(b.root_of(inodes[0]), None, "half of a tree is none");
    b.clock.advance(Duration::from_secs(310));
    b.engine.tick().unwrap();
    b.apply_all();
    assert_eq!(b.root_of(inodes[0]), Some(1));
}

#[test]
fn numbers_that_an_earlier_journal_of_the_site_gave_out_are_refused() {
    let (mut a, _) = with_files(1, &["f"]);
    let (mut b, _) = with_files(2, &["g"]);
    let source = a.engine.actor().unwrap();
    a.send_to(&mut b);
    let mut c = Site::new(1);
    let mut config = config(c.folder.path(), &c.clock, 1);
    let another = tempfile::tempdir().unwrap();
    (config.dir, config.incarnation) = (another.path().to_owned(), source.incarnation + 1);
    c.engine = Engine::open(config).unwrap();
    let given = snapshot(&mut b);
    let taken = hand_over(&mut b, &given, &mut c, 9, 9);
    assert!(
        matches!(&taken, Taken::Refused(why) if why.contains("drew the same numbers")),
        "{taken:?}"
    );
}

#[test]
fn who_has_more_of_a_journal_that_ended_says_so() {
    let (mut a, _) = with_files(1, &["f"]);
    let mut b = Site::new(2);
    a.send_to(&mut b);
    let old = a.engine.actor().unwrap();
    assert!(b.engine.standing(1).unwrap().fills_newcomers);
    let new = Actor::new(1, old.incarnation + 1);
    b.engine.succeeds(new, "site-a").unwrap();
    let standing = b.engine.standing(1).unwrap();
    assert_eq!(
        (standing.peer, standing.silent.len()),
        (None, 1),
        "no other journal of it is known"
    );
    assert_eq!(standing.silent[0].actor, old);
    assert!(b.engine.fence_between(old).unwrap().unwrap().replaced);
    assert!(b.engine.fence_between(new).unwrap().is_none());
}

#[test]
fn conflicts_with_a_journal_that_ended_are_recorded_although_its_site_writes_nothing_more() {
    let (mut a, _) = with_files(1, &["f"]);
    let mut b = Site::new(2);
    b.clock.advance(Duration::from_secs(1));
    b.create("f", 2);
    a.send_to(&mut b);
    b.engine.tick().unwrap();
    let open = |b: &mut Site| b.engine.status().unwrap().open_conflicts;
    assert_eq!(open(&mut b), 0, "more of the time before may come");
    // Another one of its journals was heard of and wrote nothing.
    b.engine.receive(Actor::new(1, 76), &[], 1).unwrap();
    b.engine.succeeds(Actor::new(1, 77), "a").unwrap();
    b.clock.advance(Duration::from_secs(2));
    b.engine.tick().unwrap();
    assert_eq!(open(&mut b), 1);
}

#[test]
fn nothing_more_is_taken_of_a_journal_that_ended() {
    let (mut a, _) = with_files(1, &["f"]);
    let mut b = Site::new(2);
    a.send_to(&mut b);
    let old = a.engine.actor().unwrap();
    a.create("late", 2);
    let (batches, mark) = a.frame_for(&mut b).unwrap();
    assert_eq!(b.engine.ends(1, "site-a").unwrap(), 1);
    assert_eq!(b.engine.ends(1, "site-a").unwrap(), 0, "it had ended");
    let before = b.engine.progress(old).unwrap();
    let arrived = b.engine.receive(old, &batches, mark).unwrap();
    assert_eq!(arrived.refusal, Some(Refusal::Out));
    assert_eq!(b.engine.progress(old).unwrap(), before);
}

#[test]
fn a_site_is_not_level_while_a_snapshot_is_on_its_way() {
    let (mut a, _) = with_files(1, &["f", "g"]);
    let mut b = Site::new(2);
    assert!(b.engine.is_level().unwrap());
    let given = snapshot(&mut a);
    let taken = hand_over(&mut a, &given, &mut b, 1, 1);
    assert!(matches!(taken, Taken::Next(_)));
    assert!(!b.engine.is_level().unwrap());
    assert_eq!(hand_over(&mut a, &given, &mut b, 9, 9), Taken::Whole);
    assert!(!b.engine.is_level().unwrap());
    merge(&mut b);
    assert!(b.engine.is_level().unwrap());
}
