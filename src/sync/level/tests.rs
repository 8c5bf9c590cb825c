//! Two sites of which one takes over what the other one knows, against sites to which all entries came.

use super::*;
use crate::journal::dot::Dot;
use crate::journal::op::{Attr, Change};
use crate::sync::port::Outcome;
use crate::sync::state::MemState;
use crate::sync::testing::{self, NOW, author};

fn core(site: u64) -> Core<MemState> {
    Core::new(Actor::new(site, 70 + site), MemState::default(), 0)
}

fn create(name: &str) -> Change {
    testing::create(ROOT_INODE, name)
}

fn mode(mode: u32) -> Change {
    let attr = Attr {
        mode: Some(mode),
        ..Attr::default()
    };
    Change::SetAttr { attr }
}

fn level(from: &Core<MemState>, to: &mut Core<MemState>) {
    for known in from.state().known() {
        to.level(known, NOW).unwrap();
    }
}

const INODE: u64 = (1 << 48) | 5;

#[test]
fn who_writes_before_what_was_taken_over_is_applied_has_not_seen_it() {
    let (mut here, mut there) = (core(1), core(2));
    author(&mut here, INODE, create("f"));
    level(&here, &mut there);
    let images = there.work(usize::MAX).unwrap();
    for image in images {
        there.done(image, Outcome::Applied).unwrap();
    }
    author(&mut here, INODE, mode(0o600));
    level(&here, &mut there);
    // Its user still sees the old mode.
    let authored = author(&mut there, INODE, mode(0o640));
    let (actor, entry) = (here.local(), &authored.entries[0]);
    let vector = authored.seen[0].get(actor);
    let excepted = entry.seen_except.iter().find(|(who, _)| *who == actor);
    assert_eq!(excepted.map_or(vector, |(_, seq)| *seq), 0);
    level(&there, &mut here);
    let open = here.state().conflicts().unwrap();
    assert_eq!(open.len(), 1, "{open:?}");
}

/// Takes over what `from` knows, and how far it is, as at the end of a snapshot.
fn level_whole(from: &Core<MemState>, to: &mut Core<MemState>) {
    level(from, to);
    let (stream, own) = (shard_of(INODE), to.local());
    for (actor, seq) in from.state().cursors(stream).unwrap().iter() {
        if actor != own {
            to.state_mut().set_cursor(actor, stream, seq).unwrap();
        }
    }
    for image in to.work(usize::MAX).unwrap() {
        to.done(image, Outcome::Applied).unwrap();
    }
}

#[test]
fn a_conflict_that_was_settled_here_is_not_opened_again_by_who_does_not_know_yet() {
    let (mut here, mut there) = (core(1), core(2));
    author(&mut here, INODE, create("f"));
    level_whole(&here, &mut there);
    author(&mut here, INODE, mode(0o600));
    author(&mut there, INODE, mode(0o640));
    level_whole(&there, &mut here);
    let late = here.clone_of();
    author(&mut here, INODE, mode(0o644));
    let counts = |core: &Core<MemState>| core.state().conflict_counts().unwrap();
    assert_eq!((counts(&late), counts(&here)), ((1, 1), (0, 1)));
    level(&late, &mut here);
    assert_eq!(counts(&here), (0, 1));
    // A third one hears of the settled state first.
    let mut third = core(3);
    level(&here, &mut third);
    level(&late, &mut third);
    assert_eq!(counts(&third), (0, 1));
}

#[test]
fn bytes_that_were_written_late_at_another_site_stay_its_own_matter() {
    let mut here = core(1);
    let record = ConflictRecord {
        id: ConflictId([7; 32]),
        kind: ConflictKind::Register,
        inode: INODE,
        register: RegisterId::Content,
        loser: LwwKey::new(5, Dot::new(Actor::new(2, 72), shard_of(INODE), 0)),
        winner: None,
        detected_at_us: 5,
        lost: LostValue::Unknown,
        superseded: false,
    };
    here.level(Known::Conflict(Box::new(record)), NOW).unwrap();
    assert_eq!(here.state().conflicts().unwrap(), []);
}

impl Core<MemState> {
    fn clone_of(&self) -> Self {
        Self::new(self.local(), self.state().clone(), self.clock().last_us())
    }
}
