//! Two sites that show the same, what they say of it, and what they let go.

use bytes::Bytes;

use super::*;
use crate::journal::EntryBatch;
use crate::journal::batch::SeenRun;
use crate::journal::op::{Attr, Change, Name, Place};
use crate::sync::author::Authored;
use crate::sync::level::Known;
use crate::sync::port::{LocalOp, LocalTxn, Outcome};
use crate::sync::state::MemState;

const NOW: u64 = 1_000_000;
const FILE: u64 = 1 << 48 | 1 << 32 | 5;
const DIR: u64 = 1 << 48 | 1 << 32 | 6;

fn core(site: u64) -> Core<MemState> {
    Core::new(actor(site), MemState::default(), 0)
}

const fn actor(site: u64) -> Actor {
    Actor::new(site, 70 + site)
}

fn place(parent: u64, name: &str) -> Place {
    Place {
        parent,
        name: Name::new(name.as_bytes().to_vec()).unwrap(),
    }
}

fn author(core: &mut Core<MemState>, inode: u64, link: u64, change: Change) -> Authored {
    let op = LocalOp {
        inode,
        link,
        change,
        back_date_us: None,
        device: None,
    };
    core.author(&LocalTxn { ops: vec![op] }, NOW).unwrap()
}

fn deliver(to: &mut Core<MemState>, authored: &Authored) {
    for (entry, seen) in authored.entries.iter().zip(&authored.seen) {
        let mut batch = EntryBatch::new(entry.site_id, vec![entry.clone()], 1);
        batch.seen_runs = vec![SeenRun {
            first_seq: entry.seq,
            seen: seen.clone(),
        }];
        to.merge_batch(&batch, NOW).unwrap();
    }
}

/// Shows everything.
fn show(core: &mut Core<MemState>) {
    for image in core.work(usize::MAX).unwrap() {
        core.done(image, Outcome::Applied).unwrap();
    }
    core.settle(u64::MAX, NOW).unwrap();
}

/// Authored at `from`, merged and shown at `to`.
fn both(from: &mut Core<MemState>, to: &mut Core<MemState>, inode: u64, link: u64, change: Change) {
    let authored = author(from, inode, link, change);
    show(from);
    deliver(to, &authored);
    show(to);
}

fn create(parent: u64, name: &str) -> Change {
    Change::Create {
        place: place(parent, name),
        attr: Attr::default(),
    }
}

fn unlink(parent: u64, name: &str, dir: bool) -> Change {
    Change::Unlink {
        place: place(parent, name),
        dir,
    }
}

fn none() -> BTreeSet<Actor> {
    BTreeSet::new()
}

/// Says at `from` that it shows everything up to `through_us`, and delivers that.
fn say(from: &mut Core<MemState>, to: &mut Core<MemState>, through_us: u64) -> u64 {
    let said = from.horizon(through_us, &BTreeSet::from([to.local]), &none());
    let change = Change::Horizon(said.unwrap().unwrap());
    let authored = from.author_control(change, NOW).unwrap();
    deliver(to, &authored);
    authored.entries[0].hlc_us
}

/// Both say that they show everything that is written so far; returns up to where.
fn both_say(a: &mut Core<MemState>, b: &mut Core<MemState>) -> u64 {
    let now_us = a.clock().last_us().max(b.clock().last_us());
    say(a, b, now_us);
    say(b, a, now_us);
    now_us
}

fn cut(core: &Core<MemState>, other: &Core<MemState>) -> Cut {
    let live = BTreeMap::from([(other.local, u64::MAX)]);
    Cut {
        stable_us: core.stable_us(&live, &none()).unwrap().unwrap(),
        ..Cut::default()
    }
}

/// Lets go of all it can.
fn reclaim(core: &mut Core<MemState>, cut: &Cut) -> (u64, u64) {
    let moves = core.reclaim_moves(cut, LwwKey::default(), 1_000).unwrap();
    let nodes = core.reclaim_nodes(cut, 0, 1_000).unwrap();
    assert_eq!((nodes.next, moves.next), (None, None));
    (nodes.freed, moves.freed)
}

#[test]
fn a_removed_file_is_let_go_when_both_sites_said_that_they_show_the_removal() {
    let (mut a, mut b) = (core(1), core(2));
    both(&mut a, &mut b, FILE, FILE, create(ROOT_INODE, "f"));
    let before_us = both_say(&mut a, &mut b);
    both(&mut b, &mut a, FILE, FILE, unlink(ROOT_INODE, "f", false));
    // What was said is about the time before the removal.
    let early = cut(&a, &b);
    assert_eq!(early.stable_us, before_us);
    assert_eq!(reclaim(&mut a, &early), (0, 0));
    both_say(&mut a, &mut b);
    let all = cut(&a, &b);
    for one in [&mut a, &mut b] {
        assert_eq!(reclaim(one, &all), (1, 0));
        assert_eq!(one.state().inodes(), Vec::<u64>::new());
        assert!(one.work(usize::MAX).unwrap().is_empty());
    }
}

#[test]
fn what_is_said_counts_when_all_streams_are_here_up_to_it() {
    let (mut a, mut b) = (core(1), core(2));
    both(&mut a, &mut b, FILE, FILE, create(ROOT_INODE, "f"));
    say(&mut a, &mut b, 5);
    let hlc_us = say(&mut b, &mut a, 7);
    let stable_us = |mark_us: u64| {
        let live = BTreeMap::from([(actor(2), mark_us)]);
        a.stable_us(&live, &none()).unwrap()
    };
    assert_eq!(stable_us(hlc_us - 1), None);
    assert_eq!(stable_us(hlc_us), Some(5));
}

#[test]
fn somebody_of_whom_only_one_site_knows_is_waited_for() {
    let (mut a, mut b) = (core(1), core(2));
    say(&mut a, &mut b, 5);
    let said = b.horizon(5, &BTreeSet::from([actor(1), actor(3)]), &none());
    let change = Change::Horizon(said.unwrap().unwrap());
    let authored = b.author_control(change, NOW).unwrap();
    deliver(&mut a, &authored);
    let live = BTreeMap::from([(actor(2), u64::MAX)]);
    assert_eq!(a.stable_us(&live, &none()).unwrap(), None);
}

#[test]
fn nothing_is_let_go_between_two_sites_that_never_met() {
    let (mut a, mut b, mut c) = (core(1), core(2), core(3));
    // The second one knows both; they do not know each other.
    let say = |from: &mut Core<MemState>, to: &mut Core<MemState>, live: &[u64]| {
        let live = live.iter().map(|site| actor(*site)).collect();
        let said = from.horizon(5, &live, &none());
        let change = Change::Horizon(said.unwrap().unwrap());
        let authored = from.author_control(change, NOW).unwrap();
        deliver(to, &authored);
    };
    let live = BTreeMap::from([(actor(1), u64::MAX), (actor(3), u64::MAX)]);
    say(&mut b, &mut a, &[1, 3]);
    say(&mut a, &mut b, &[2]);
    say(&mut c, &mut b, &[2]);
    assert_eq!(b.stable_us(&live, &none()).unwrap(), None);
    say(&mut a, &mut b, &[2, 3]);
    assert_eq!(b.stable_us(&live, &none()).unwrap(), None);
    say(&mut c, &mut b, &[1, 2]);
    assert_eq!(b.stable_us(&live, &none()).unwrap(), Some(5));
}

#[test]
fn a_journal_that_ended_holds_things_up_as_long_as_one_site_has_more_of_it() {
    let (mut a, mut b, mut c) = (core(1), core(2), core(3));
    let out = BTreeSet::from([actor(3)]);
    let authored = author(&mut c, FILE, FILE, create(ROOT_INODE, "f"));
    deliver(&mut a, &authored);
    let say = |from: &mut Core<MemState>, to: &mut Core<MemState>| {
        let said = from.horizon(5, &BTreeSet::from([to.local]), &out);
        let change = Change::Horizon(said.unwrap().unwrap());
        let authored = from.author_control(change, NOW).unwrap();
        deliver(to, &authored);
    };
    let stable_us = |core: &Core<MemState>, other: u64| {
        let live = BTreeMap::from([(actor(other), u64::MAX)]);
        core.stable_us(&live, &out).unwrap()
    };
    say(&mut a, &mut b);
    say(&mut b, &mut a);
    assert_eq!((stable_us(&a, 2), stable_us(&b, 1)), (None, None));
    deliver(&mut b, &authored);
    assert_eq!(stable_us(&b, 1), None, "what it said itself is older");
    say(&mut b, &mut a);
    assert_eq!((stable_us(&a, 2), stable_us(&b, 1)), (Some(5), Some(5)));
}

#[test]
fn a_removed_directory_is_remembered_until_everybody_knows_what_left_it() {
    let (mut a, mut b) = (core(1), core(2));
    let dir = Change::MkDir {
        place: place(ROOT_INODE, "d"),
        attr: Attr::default(),
    };
    both(&mut a, &mut b, DIR, DIR, dir);
    both(&mut a, &mut b, FILE, FILE, create(DIR, "f"));
    let said_us = both_say(&mut a, &mut b);
    // The removal is known to all, what left the directory is not: as if the first had been said of alone.
    both(&mut a, &mut b, FILE, FILE, {
        let place = Some(place(ROOT_INODE, "f"));
        Change::Rename { place, dir: false }
    });
    both(&mut a, &mut b, DIR, DIR, unlink(ROOT_INODE, "d", true));
    let changed_us = a.load(DIR).unwrap().dir.as_ref().unwrap().changed_us;
    assert!(changed_us > said_us);
    let removed_us = a.load(DIR).unwrap().newest_us();
    let mut early = Cut {
        stable_us: removed_us,
        since_us: removed_us + 1,
        ..Cut::default()
    };
    assert_eq!(reclaim(&mut a, &early), (0, 0), "it was not noted before");
    early.since_us = 0;
    early.kept.insert(DIR);
    assert_eq!(
        reclaim(&mut a, &early),
        (0, 0),
        "something is told of in it"
    );
    early.kept.clear();
    assert_eq!(reclaim(&mut a, &early), (1, 0));
    assert_eq!(a.state().inodes(), [FILE]);
}

#[test]
fn removed_attributes_and_names_of_a_file_that_stays_are_let_go() {
    let (mut a, mut b) = (core(1), core(2));
    let name = Bytes::from_static(b"user.k");
    both(&mut a, &mut b, FILE, FILE, create(ROOT_INODE, "f"));
    let second = Change::Link {
        place: place(ROOT_INODE, "g"),
    };
    both(&mut a, &mut b, FILE, FILE + 9, second);
    let set = Change::SetXattr {
        name: name.clone(),
        value: Bytes::from_static(b"v"),
    };
    both(&mut a, &mut b, FILE, FILE, set);
    both(&mut b, &mut a, FILE, FILE, Change::RemoveXattr { name });
    both(&mut b, &mut a, FILE, FILE, unlink(ROOT_INODE, "f", false));
    both_say(&mut a, &mut b);
    let before = a.image(FILE).unwrap();
    let cut = cut(&a, &b);
    assert_eq!(reclaim(&mut a, &cut), (2, 0));
    assert_eq!(a.image(FILE).unwrap(), before);
    assert_eq!(reclaim(&mut a, &cut), (0, 0));
}

#[test]
fn what_was_let_go_is_not_taken_over_from_a_site_that_still_remembers_it() {
    let (mut a, mut b) = (core(1), core(2));
    let dir = Change::MkDir {
        place: place(ROOT_INODE, "d"),
        attr: Attr::default(),
    };
    both(&mut a, &mut b, DIR, DIR, dir);
    let moved = Change::Rename {
        place: Some(place(ROOT_INODE, "e")),
        dir: true,
    };
    both(&mut a, &mut b, DIR, DIR, moved);
    both(&mut a, &mut b, FILE, FILE, create(ROOT_INODE, "f"));
    both(&mut b, &mut a, FILE, FILE, unlink(ROOT_INODE, "f", false));
    both_say(&mut a, &mut b);
    let cut = cut(&a, &b);
    assert_eq!(reclaim(&mut a, &cut), (1, 1));
    for known in b.state().known() {
        a.level(known, NOW).unwrap();
    }
    // Whoever takes over from the site that let go has the directory where it stands.
    let mut late = core(4);
    for known in a.state().known() {
        late.level(known, NOW).unwrap();
    }
    assert_eq!(late.image(DIR).unwrap().links, b.image(DIR).unwrap().links);
    let again = a
        .state()
        .known()
        .into_iter()
        .filter(|known| matches!(known, Known::Move { .. } | Known::Node { inode: FILE, .. }));
    assert_eq!(again.count(), 0);
    assert_eq!(a.image(DIR).unwrap().links, b.image(DIR).unwrap().links);
    // A site that never had it takes it.
    let mut c = core(3);
    for known in b.state().known() {
        c.level(known, NOW).unwrap();
    }
    assert!(c.state().node(FILE).unwrap().is_some());
}

#[test]
fn whoever_comes_between_two_pieces_has_what_the_others_have() {
    let (mut a, mut b) = (core(1), core(2));
    let (d, e, f) = (DIR, DIR + 1, DIR + 2);
    for (inode, parent, name) in [(d, ROOT_INODE, "d"), (f, d, "f"), (e, ROOT_INODE, "e0")] {
        let dir = Change::MkDir {
            place: place(parent, name),
            attr: Attr::default(),
        };
        both(&mut a, &mut b, inode, inode, dir);
    }
    // With the last place of the second one, its first move would put it into itself.
    let moves = [
        (e, ROOT_INODE, "e1"),
        (d, e, "d"),
        (f, ROOT_INODE, "f"),
        (e, f, "e"),
    ];
    for (inode, parent, name) in moves {
        let moved = Change::Rename {
            place: Some(place(parent, name)),
            dir: true,
        };
        both(&mut a, &mut b, inode, inode, moved);
    }
    both_say(&mut a, &mut b);
    let cut = cut(&a, &b);
    let mut after = Some(LwwKey::default());
    while let Some(from) = after {
        let walked = a.reclaim_moves(&cut, from, 1).unwrap();
        after = walked.next;
        let mut late = core(4);
        for known in a.state().known() {
            late.level(known, NOW).unwrap();
        }
        for inode in [d, e, f] {
            let links = |core: &Core<MemState>| core.image(inode).unwrap().links;
            assert_eq!(links(&late), links(&b), "{inode:x} behind {from:?}");
        }
    }
    assert_eq!(
        a.reclaim_moves(&cut, LwwKey::default(), 9).unwrap().freed,
        0
    );
}

#[test]
fn a_whole_tree_that_was_removed_goes_at_once_and_so_does_what_both_sites_removed() {
    let (mut a, mut b) = (core(1), core(2));
    let mut parent = ROOT_INODE;
    for inode in DIR..DIR + 5 {
        let dir = Change::MkDir {
            place: place(parent, "d"),
            attr: Attr::default(),
        };
        both(&mut a, &mut b, inode, inode, dir);
        parent = inode;
    }
    both(&mut a, &mut b, FILE, FILE, create(parent, "f"));
    let ours = author(&mut a, FILE, FILE, unlink(parent, "f", false));
    let theirs = author(&mut b, FILE, FILE, unlink(parent, "f", false));
    deliver(&mut b, &ours);
    deliver(&mut a, &theirs);
    show(&mut a);
    show(&mut b);
    for inode in (DIR..DIR + 5).rev() {
        let parent = if inode == DIR { ROOT_INODE } else { inode - 1 };
        both(&mut a, &mut b, inode, inode, unlink(parent, "d", true));
    }
    both_say(&mut a, &mut b);
    let cut = cut(&a, &b);
    assert_eq!(reclaim(&mut a, &cut), (6, 0));
    assert_eq!(a.state().inodes(), Vec::<u64>::new());
}

#[test]
fn what_people_are_told_of_stays() {
    let (mut a, mut b) = (core(1), core(2));
    both(&mut a, &mut b, FILE, FILE, create(ROOT_INODE, "f"));
    both(&mut a, &mut b, FILE, FILE, unlink(ROOT_INODE, "f", false));
    // Somebody had the file open, and wrote to it after it was gone.
    let late = crate::journal::op::Content {
        size: 3,
        manifest_root: crate::journal::op::ManifestRoot([3; 32]),
        ..Default::default()
    };
    assert!(a.late_write(FILE, late, None, NOW).unwrap());
    both_say(&mut a, &mut b);
    let mut cut = cut(&a, &b);
    let next = a.keep_above(ConflictId::default(), 1_000, &mut cut.kept);
    assert_eq!(next.unwrap(), None);
    assert_eq!(reclaim(&mut a, &cut), (0, 0));
    cut.kept.clear();
    assert_eq!(reclaim(&mut a, &cut), (1, 0));
}

#[test]
fn what_comes_back_after_it_was_said_to_be_gone_is_new() {
    let (mut a, mut b) = (core(1), core(2));
    both(&mut a, &mut b, FILE, FILE, create(ROOT_INODE, "f"));
    assert!(!a.is_gone(FILE, u64::MAX).unwrap(), "it is there");
    let authored = author(&mut b, FILE, FILE, unlink(ROOT_INODE, "f", false));
    deliver(&mut a, &authored);
    assert!(!a.is_gone(FILE, u64::MAX).unwrap(), "it is still shown");
    show(&mut a);
    let removed_us = authored.entries[0].hlc_us;
    assert!(!a.is_gone(FILE, removed_us - 1).unwrap());
    assert!(a.is_gone(FILE, removed_us).unwrap());
    assert!(!a.is_gone(ROOT_INODE, u64::MAX).unwrap());
}
