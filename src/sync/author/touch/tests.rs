//! What a name stands for while directories of one name are only partly shown as one.

use super::*;
use crate::journal::dot::Actor;
use crate::sync::port::Outcome;
use crate::sync::state::MemState;
use crate::sync::testing::{author, create, deliver, mkdir, rename, unlink};

/// The smaller number represents a group.
const HERE: u64 = 1 << 48 | 1;
const INNER: u64 = 1 << 48 | 2;
const THERE: u64 = 2 << 48 | 1;
const FILE: u64 = 2 << 48 | 2;

fn core(site: u64) -> Core<MemState> {
    Core::new(Actor::new(site, 7), MemState::default(), 0)
}

fn apply(core: &mut Core<MemState>, chosen: &dyn Fn(u64) -> bool) {
    for image in core.work(usize::MAX).unwrap() {
        if chosen(image.inode) {
            core.done(image, Outcome::Applied).unwrap();
        }
    }
}

/// The directory in which the connector of `core` shows the file.
fn shown_in(core: &Core<MemState>) -> u64 {
    core.state().applied(FILE).unwrap().unwrap().links[0].parent
}

#[test]
fn a_name_that_is_made_explicit_stays_in_the_directory_in_which_it_was_seen() {
    let (mut a, mut b) = (core(1), core(2));
    let mut all = vec![
        author(&mut a, HERE, mkdir(ROOT_INODE, "x")),
        author(&mut a, INNER, mkdir(HERE, "d")),
    ];
    for authored in &all {
        deliver(&mut b, authored);
    }
    apply(&mut b, &|_| true);
    let of_b = [
        author(&mut b, THERE, mkdir(ROOT_INODE, "y")),
        author(&mut b, FILE, create(THERE, "d")),
    ];
    of_b.iter().for_each(|authored| deliver(&mut a, authored));
    apply(&mut a, &|_| true);
    // The other site gives its directory the name of ours: they are one from here on, and the file gives way to the
    // directory of its name. Of that only the file is on the disk yet.
    let moved = rename(ROOT_INODE, "x", true);
    deliver(&mut a, &author(&mut b, THERE, moved));
    apply(&mut a, &|inode| inode == FILE);
    assert_eq!(shown_in(&a), HERE);
    // What it gave way to goes, so its name is made explicit: where it is.
    all.push(author(&mut a, INNER, unlink(HERE, "d", true)));
    assert_eq!(shown_in(&a), HERE);
    let away = rename(ROOT_INODE, "z", true);
    deliver(&mut a, &author(&mut b, THERE, away));
    deliver(&mut b, &all[2]);
    for core in [&mut a, &mut b] {
        apply(core, &|_| true);
        assert_eq!(shown_in(core), HERE);
        assert_eq!(core.image(FILE).unwrap().links[0].parent, HERE);
    }
}
