//! Taking over what another site knows, page by page.

use super::*;
use crate::clock::Clock as _;
use crate::journal::verdict::{Reached, ReceivedCursor};
use crate::store::known;

/// Hands `to` the snapshot of `from`, `items` at a time, until `pages` were taken or it is whole. What became of the last.
fn hand_over(from: &mut Site, to: &mut Site, items: usize, pages: usize) -> Taken {
    let source = from.engine.actor().unwrap();
    let snapshot = from.engine.snapshot().unwrap();
    let tails = BTreeMap::new();
    let mut after = to.engine.takeover_after(source, &tails).unwrap().unwrap();
    let mut taken = Taken::Next(after.clone());
    for nth in 0..pages {
        let page = snapshot.frozen.page(&after, 1 << 20, items).unwrap();
        let known = page.items.iter().map(|(key, value)| known(key, value));
        let page = KnownPage {
            after: after.clone(),
            reach: if nth == 0 {
                snapshot.reach.clone()
            } else {
                Vec::new()
            },
            hlc_us: snapshot.hlc_us,
            items: known.collect::<Result<_>>().unwrap(),
            last: page
                .items
                .last()
                .map(|(key, _)| key.clone())
                .unwrap_or_default(),
            is_last: page.is_last,
        };
        taken = to.engine.take_page(source, page).unwrap();
        match &taken {
            Taken::Next(next) => after.clone_from(next),
            Taken::All(_) | Taken::Outdated | Taken::Refused(_) => break,
        }
    }
    taken
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
    assert!(matches!(hand_over(&mut a, &mut b, 2, 99), Taken::All(3)));
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
fn nothing_is_applied_before_a_snapshot_is_whole_and_a_stop_costs_no_page() {
    let (mut a, _) = with_files(1, &["f", "g", "h"]);
    let mut b = Site::new(2);
    assert!(matches!(hand_over(&mut a, &mut b, 1, 2), Taken::Next(_)));
    assert_eq!(b.engine.work(10).unwrap(), []);
    b.engine.tick().unwrap();
    b.clock.advance(Duration::from_secs(2));
    b.engine.tick().unwrap();
    b.crash();
    assert_eq!(b.engine.work(10).unwrap(), []);
    assert_eq!(b.engine.takeover().unwrap().unwrap().items, 2);
    assert!(b.engine.standing(1).unwrap().wants_snapshot);
    // The one page that is left, and nothing more.
    assert!(matches!(hand_over(&mut a, &mut b, 1, 2), Taken::All(3)));
    assert_eq!(b.apply_all().len(), 3);
    assert!(!b.engine.standing(1).unwrap().wants_snapshot);
}

#[test]
fn a_snapshot_that_does_not_meet_what_is_kept_any_more_begins_anew() {
    let (mut a, _) = with_files(1, &["f", "g"]);
    let mut b = Site::new(2);
    assert!(matches!(hand_over(&mut a, &mut b, 1, 1), Taken::Next(_)));
    let actor = a.engine.actor().unwrap();
    let begun = b.engine.takeover().unwrap().unwrap();
    let reached = begun.reach.iter().find(|one| one.actor == actor).unwrap();
    let (stream, at) = reached.streams.first_key_value().unwrap();
    let after = |b: &mut Site, tail| {
        let tails = BTreeMap::from([(*stream, tail)]);
        b.engine.takeover_after(actor, &tails).unwrap().unwrap()
    };
    assert_eq!(after(&mut b, at.seq + 1), begun.after);
    assert_eq!(after(&mut b, at.seq + 2), bytes::Bytes::new());
    assert_eq!(b.engine.work(10).unwrap(), [], "not whole, as before");
    assert!(matches!(hand_over(&mut a, &mut b, 9, 9), Taken::All(2)));
}

#[test]
fn a_second_site_does_not_begin_while_pages_of_a_first_one_come() {
    let (mut a, _) = with_files(1, &["f", "g"]);
    let (mut c, _) = with_files(3, &["h"]);
    let mut b = Site::new(2);
    assert!(matches!(hand_over(&mut a, &mut b, 1, 1), Taken::Next(_)));
    let (first, second) = (a.engine.actor().unwrap(), c.engine.actor().unwrap());
    let after = |b: &mut Site, source| b.engine.takeover_after(source, &BTreeMap::new()).unwrap();
    assert_eq!(after(&mut b, second), None);
    assert!(after(&mut b, first).is_some_and(|after| !after.is_empty()));
    // Nothing comes of it any more.
    b.clock.advance(Duration::from_secs(31));
    assert_eq!(after(&mut b, second), Some(bytes::Bytes::new()));
}

#[test]
fn a_page_that_goes_on_with_a_snapshot_that_ended_begins_no_other_one() {
    let (mut a, inodes) = with_files(1, &["f", "g"]);
    let mut b = Site::new(2);
    let source = a.engine.actor().unwrap();
    assert!(matches!(hand_over(&mut a, &mut b, 1, 1), Taken::Next(_)));
    let begun = b.engine.takeover().unwrap().unwrap();
    // All of it comes by itself, while the next page is under way.
    a.send_to(&mut b);
    b.apply_all();
    assert_eq!(b.engine.takeover().unwrap(), None);
    a.write(inodes[0], 9);
    let snapshot = a.engine.snapshot().unwrap();
    let late = KnownPage {
        after: begun.after,
        reach: snapshot.reach,
        is_last: true,
        ..KnownPage::default()
    };
    assert_eq!(b.engine.take_page(source, late).unwrap(), Taken::Outdated);
    a.send_to(&mut b);
    b.apply_all();
    assert_eq!(b.root_of(inodes[0]), Some(9));
}

#[test]
fn what_was_changed_here_meanwhile_is_a_conflict_like_any_other() {
    let (mut a, inodes) = with_files(1, &["f"]);
    let mut b = Site::new(2);
    a.send_to(&mut b);
    b.apply_all();
    a.write(inodes[0], 7);
    b.write(inodes[0], 8);
    assert!(matches!(hand_over(&mut a, &mut b, 9, 9), Taken::All(1)));
    assert_eq!(b.engine.status().unwrap().open_conflicts, 1);
}

#[test]
fn a_snapshot_that_cannot_be_is_refused_and_nothing_of_it_is_kept() {
    let (mut a, _) = with_files(1, &["f"]);
    let (mut b, _) = with_files(2, &["g"]);
    let (source, own) = (a.engine.actor().unwrap(), b.engine.actor().unwrap());
    let refused = |b: &mut Site, page: KnownPage| match b.engine.take_page(source, page).unwrap() {
        Taken::Refused(why) => why,
        taken @ (Taken::Next(_) | Taken::All(_) | Taken::Outdated) => panic!("{taken:?}"),
    };
    let reach = |actor, seq| {
        let cursor = ReceivedCursor {
            seq,
            ..ReceivedCursor::default()
        };
        vec![Reached {
            actor,
            streams: [(3, cursor)].into_iter().collect(),
        }]
    };
    let page = KnownPage {
        reach: reach(own, 900),
        is_last: true,
        ..KnownPage::default()
    };
    assert!(refused(&mut b, page).contains("rolled back"));
    let page = KnownPage {
        reach: reach(source, 1),
        hlc_us: b.clock.now_us() + 3_600_000_000,
        ..KnownPage::default()
    };
    assert!(refused(&mut b, page).contains("clock"));
    for (hlc_us, seen, why) in [
        (b.clock.now_us() + 3_600_000_000, 0, "stamps"),
        (1, 900, "claims to have seen"),
    ] {
        let dot = Dot::new(source, 7, 1);
        let mut node = crate::sync::node::Node::default();
        node.mode.merge(crate::sync::register::Version {
            key: crate::journal::dot::LwwKey::new(1, dot),
            hlc_us,
            seen: [(own, seen)].into_iter().collect(),
            value: 0o644,
        });
        let page = KnownPage {
            reach: reach(source, 1),
            items: vec![crate::sync::level::Known::Node {
                inode: 1 << 48 | 77,
                node: Box::new(node),
            }],
            ..KnownPage::default()
        };
        assert!(refused(&mut b, page).contains(why), "{why}");
    }
    assert!(refused(&mut b, KnownPage::default()).contains("first page"));
    assert_eq!(b.engine.takeover().unwrap(), None);
    // Numbers that an earlier journal of this site gave out.
    a.send_to(&mut b);
    let mut c = Site::new(1);
    let mut config = config(c.folder.path(), &c.clock, 1);
    let another = tempfile::tempdir().unwrap();
    (config.dir, config.incarnation) = (another.path().to_owned(), source.incarnation + 1);
    c.engine = Engine::open(config).unwrap();
    let taken = hand_over(&mut b, &mut c, 9, 9);
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
