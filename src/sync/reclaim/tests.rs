//! Two sites that show the same, what they say of it, and what they let go.

use bytes::Bytes;

use super::*;
use crate::journal::op::Change;
use crate::sync::author::Authored;
use crate::sync::level::Known;
use crate::sync::port::Outcome;
use crate::sync::state::MemState;
use crate::sync::testing::{
    NOW, author, author_link, create, deliver, mkdir, place, rename, unlink,
};

const FILE: u64 = 1 << 48 | 1 << 32 | 5;
const DIR: u64 = 1 << 48 | 1 << 32 | 6;

fn core(site: u64) -> Core<MemState> {
    Core::new(actor(site), MemState::default(), 0)
}

const fn actor(site: u64) -> Actor {
    Actor::new(site, 70 + site)
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
    let authored = author_link(from, inode, link, change);
    show(from);
    deliver(to, &authored);
    show(to);
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
    let authored = author(&mut c, FILE, create(ROOT_INODE, "f"));
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
    let (mut a, mut b, mut c) = (core(1), core(2), core(3));
    let made = author(&mut a, DIR, mkdir(ROOT_INODE, "d"));
    let file = author(&mut a, FILE, create(DIR, "f"));
    deliver(&mut b, &made);
    deliver(&mut c, &made);
    deliver(&mut c, &file);
    show(&mut b);
    show(&mut c);
    // To the second site the directory is empty, and the third one empties it later without knowing that it went.
    let removed = author(&mut b, DIR, unlink(ROOT_INODE, "d", true));
    for other in FILE + 10..FILE + 15 {
        author(&mut c, other, create(ROOT_INODE, "other"));
    }
    let left = author(&mut c, FILE, unlink(DIR, "f", false));
    deliver(&mut a, &removed);
    deliver(&mut a, &left);
    show(&mut a);
    let stamp = |authored: &Authored| authored.entries.last().unwrap().hlc_us;
    assert!(stamp(&removed) < stamp(&left));
    let mut cut = Cut {
        stable_us: stamp(&removed),
        ..Cut::default()
    };
    assert!(a.load(DIR).unwrap().newest_us() <= cut.stable_us);
    assert_eq!(reclaim(&mut a, &cut), (0, 0), "what left it is news");
    cut.stable_us = stamp(&left);
    cut.since_us = cut.stable_us + 1;
    assert_eq!(reclaim(&mut a, &cut), (1, 0), "it was not noted before");
    cut.since_us = 0;
    cut.kept.insert(DIR);
    assert_eq!(reclaim(&mut a, &cut), (0, 0), "something in it is told of");
    cut.kept.clear();
    assert_eq!(reclaim(&mut a, &cut), (1, 0));
    assert_eq!(a.state().inodes(), Vec::<u64>::new());
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
    both(&mut a, &mut b, DIR, DIR, mkdir(ROOT_INODE, "d"));
    both(&mut a, &mut b, DIR, DIR, rename(ROOT_INODE, "e", true));
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
        both(&mut a, &mut b, inode, inode, mkdir(parent, name));
    }
    // With the last place of the second one, its first move would put it into itself.
    let moves = [
        (e, ROOT_INODE, "e1"),
        (d, e, "d"),
        (f, ROOT_INODE, "f"),
        (e, f, "e"),
    ];
    for (inode, parent, name) in moves {
        both(&mut a, &mut b, inode, inode, rename(parent, name, true));
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
        both(&mut a, &mut b, inode, inode, mkdir(parent, "d"));
        parent = inode;
    }
    both(&mut a, &mut b, FILE, FILE, create(parent, "f"));
    let ours = author(&mut a, FILE, unlink(parent, "f", false));
    let theirs = author(&mut b, FILE, unlink(parent, "f", false));
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
    let authored = author(&mut b, FILE, unlink(ROOT_INODE, "f", false));
    deliver(&mut a, &authored);
    assert!(!a.is_gone(FILE, u64::MAX).unwrap(), "it is still shown");
    show(&mut a);
    let removed_us = authored.entries[0].hlc_us;
    assert!(!a.is_gone(FILE, removed_us - 1).unwrap());
    assert!(a.is_gone(FILE, removed_us).unwrap());
    assert!(!a.is_gone(ROOT_INODE, u64::MAX).unwrap());
}
