//! Directed histories of a few sites, entry by entry: the traps of the design, and what random histories found.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::journal::dot::{Actor, ROOT_INODE, Seen};
use crate::journal::op::{Attr, Change, Content, ManifestRoot, Name, Place};
use crate::journal::{EntryBatch, JournalEntry, RegisterId, SeenRun};
use crate::sync::conflict::{ConflictKind, ConflictRecord};
use crate::sync::core::Core;
use crate::sync::port::{LocalOp, LocalTxn, Outcome};
use crate::sync::state::{MemState, State};

mod attributes;
mod depth;
mod names;
mod records;

/// A site: its core and what it wrote, in order.
struct Site {
    core: Core<MemState>,
    log: Vec<(JournalEntry, Seen)>,
}

impl Site {
    fn new(site_id: u64) -> Self {
        let core = Core::new(Actor::new(site_id, 1), MemState::default(), 0);
        let log = Vec::new();
        Self { core, log }
    }

    /// One operation of the user. Returns where its entries stand in the log.
    fn does(&mut self, now_us: u64, ops: &[LocalOp]) -> Vec<usize> {
        let txn = LocalTxn { ops: ops.to_vec() };
        let authored = self.core.author(&txn, now_us).unwrap();
        let from = self.log.len();
        let entries = authored.entries.into_iter().zip(authored.seen);
        self.log.extend(entries);
        (from..self.log.len()).collect()
    }

    /// Takes entries of another site, without applying them.
    fn takes(&mut self, from: &Self, indexes: &[usize]) {
        for index in indexes {
            let (entry, seen) = from.log[*index].clone();
            let first_seq = entry.seq;
            let mut batch = EntryBatch::new(entry.site_id, vec![entry], 1);
            batch.seen_runs = vec![SeenRun { first_seq, seen }];
            self.core.merge_batch(&batch, 1).unwrap();
        }
    }

    fn takes_all(&mut self, from: &Self) {
        self.takes(from, &(0..from.log.len()).collect::<Vec<_>>());
    }

    /// Brings the user's filesystem to what is merged.
    fn applies(&mut self) {
        for image in self.core.work(usize::MAX).unwrap() {
            self.core.done(image, Outcome::Applied).unwrap();
        }
        assert_eq!(self.core.work(usize::MAX).unwrap(), []);
    }

    /// Where inodes are shown, once everything is applied: directory and name, then inode.
    fn shows(&mut self) -> BTreeMap<(u64, String), u64> {
        self.applies();
        let mut shown = BTreeMap::new();
        for inode in self.core.state().inodes() {
            let image = self.core.image(inode).unwrap();
            for link in image.links.iter().filter(|_| image.merged_into.is_none()) {
                let name = link.name.as_bytes().escape_ascii().to_string();
                let other = shown.insert((link.parent, name), inode);
                assert!(other.is_none_or(|other| other == inode), "{link:?}");
            }
        }
        shown
    }

    /// Conflicts that count, once nothing older can arrive.
    fn conflicts(&mut self) -> BTreeSet<(ConflictKind, u64, u64)> {
        self.core.settle(u64::MAX, 1).unwrap();
        let open = self.records().into_iter().filter(|r| !r.superseded);
        open.map(|record| (record.kind, record.inode, record.loser.site_id))
            .collect()
    }

    fn records(&self) -> Vec<ConflictRecord> {
        self.core.state().conflicts().unwrap()
    }

    fn bytes(&self, inode: u64) -> Option<u64> {
        let image = self.core.image(inode).unwrap();
        image.content.map(|content| content.value.size)
    }

    fn mode(&self, inode: u64) -> Option<u32> {
        let image = self.core.image(inode).unwrap();
        image.mode.map(|mode| mode.value)
    }
}

fn sites<const N: usize>() -> [Site; N] {
    std::array::from_fn(|index| Site::new(index as u64 + 1))
}

/// Sites that all have the file `f`, which the first one made.
fn sites_with<const N: usize>(file: u64) -> [Site; N] {
    let mut sites = sites::<N>();
    let (first, others) = sites.split_first_mut().unwrap();
    first.does(10, &[create(file, ROOT, "f"), write(file, 1)]);
    for site in others {
        site.takes_all(first);
        site.applies();
    }
    sites
}

/// Everything to everybody.
fn exchange<const N: usize>(mut sites: [Site; N]) -> [Site; N] {
    for to in 0..N {
        for from in (0..N).filter(|from| *from != to) {
            let log = sites[from].log.clone();
            let sender = Site {
                core: Core::new(Actor::default(), MemState::default(), 0),
                log,
            };
            sites[to].takes_all(&sender);
        }
    }
    let shown = sites[0].shows();
    let conflicts = sites[0].conflicts();
    for site in &mut sites[1..] {
        assert_eq!(site.shows(), shown);
        assert_eq!(site.conflicts(), conflicts);
    }
    sites
}

const ROOT: u64 = ROOT_INODE;

fn at(parent: u64, name: &str) -> Place {
    Place {
        parent,
        name: Name::new(name.as_bytes().to_vec()).unwrap(),
    }
}

fn op(inode: u64, change: Change) -> LocalOp {
    LocalOp {
        inode,
        link: inode,
        change,
        back_date_us: None,
        device: None,
    }
}

fn create(inode: u64, parent: u64, name: &str) -> LocalOp {
    let (place, attr) = (at(parent, name), Attr::default());
    op(inode, Change::Create { place, attr })
}

fn mkdir(inode: u64, parent: u64, name: &str) -> LocalOp {
    let (place, attr) = (at(parent, name), Attr::default());
    op(inode, Change::MkDir { place, attr })
}

fn write(inode: u64, size: u64) -> LocalOp {
    let mut manifest_root = ManifestRoot::default();
    manifest_root.0[..8].copy_from_slice(&size.to_le_bytes());
    let content = Content {
        size,
        manifest_root,
        ..Content::default()
    };
    op(
        inode,
        Change::Write {
            content,
            mode: None,
        },
    )
}

fn chmod(inode: u64, mode: u32) -> LocalOp {
    let attr = Attr {
        mode: Some(mode),
        ..Attr::default()
    };
    op(inode, Change::SetAttr { attr })
}

fn rename(inode: u64, parent: u64, name: &str) -> LocalOp {
    let place = Some(at(parent, name));
    op(inode, Change::Rename { place, dir: false })
}

fn rename_dir(inode: u64, parent: u64, name: &str) -> LocalOp {
    let place = Some(at(parent, name));
    op(inode, Change::Rename { place, dir: true })
}

fn unlink(inode: u64, parent: u64, name: &str) -> LocalOp {
    let place = at(parent, name);
    op(inode, Change::Unlink { place, dir: false })
}

fn link(inode: u64, link: u64, parent: u64, name: &str) -> LocalOp {
    let place = at(parent, name);
    LocalOp {
        link,
        ..op(inode, Change::Link { place })
    }
}

fn rmdir(inode: u64, parent: u64, name: &str) -> LocalOp {
    let place = at(parent, name);
    op(inode, Change::Unlink { place, dir: true })
}

/// What is shown, as literals.
fn tree<const N: usize>(entries: [(u64, &str, u64); N]) -> BTreeMap<(u64, String), u64> {
    let entries = entries.into_iter();
    entries
        .map(|(parent, name, inode)| ((parent, name.to_owned()), inode))
        .collect()
}

#[test]
fn a_clash_loser_renamed_over_the_winner_takes_its_name_in_either_order_of_the_report() {
    for victim_first in [false, true] {
        let [mut a, mut b] = sites();
        b.does(10, &[create(20, ROOT, "f")]);
        a.does(20, &[create(10, ROOT, "f")]);
        a.takes_all(&b);
        assert_eq!(a.shows().len(), 2);
        let mut ops = [rename(20, ROOT, "f"), unlink(10, ROOT, "f")];
        if victim_first {
            ops.reverse();
        }
        a.does(30, &ops);
        assert_eq!(a.core.work(usize::MAX).unwrap(), []);
        assert_eq!(a.shows(), tree([(ROOT, "f", 20)]));
        exchange([a, b]);
    }
}

#[test]
fn a_place_replaced_by_way_of_another_site_is_no_conflict_whatever_arrives_first() {
    let [mut a, mut b, mut c] = sites();
    a.does(10, &[create(1 << 48, ROOT, "f")]);
    b.takes_all(&a);
    b.applies();
    b.does(20, &[rename(1 << 48, ROOT, "g")]);
    c.takes_all(&b);
    c.applies();
    c.does(30, &[unlink(1 << 48, ROOT, "g")]);
    // This one hears of the end of the story before its beginning, and of the middle last.
    let mut late = Site::new(4);
    late.takes_all(&c);
    late.takes_all(&a);
    late.takes_all(&b);
    exchange([a, b, c, late]);
}

#[test]
fn a_removal_by_who_never_had_the_bytes_is_a_conflict_even_if_another_site_had_them() {
    let file = 1 << 48;
    let [mut a, mut b, mut c] = sites();
    let made = a.does(10, &[create(file, ROOT, "f")]);
    a.does(11, &[write(file, 5)]);
    b.takes_all(&a);
    b.applies();
    b.does(20, &[rename(file, ROOT, "g")]);
    c.takes(&a, &made);
    c.takes_all(&b);
    assert_eq!(c.shows(), tree([(ROOT, "g", file)]));
    c.does(30, &[unlink(file, ROOT, "g")]);
    let [_, _, mut c] = exchange([a, b, c]);
    assert_eq!(
        c.conflicts(),
        BTreeSet::from([(ConflictKind::WriteUnlink, file, 1)])
    );
}

#[test]
fn a_file_is_not_shown_before_it_is_known_what_it_is() {
    let link = 1 << 48;
    let [mut a, mut b, mut c] = sites();
    let (place, target) = (at(ROOT, "f"), Bytes::from_static(b"x"));
    let attr = Attr::default();
    let change = Change::Symlink {
        place,
        attr,
        target,
    };
    a.does(10, &[op(link, change)]);
    b.takes_all(&a);
    b.applies();
    b.does(20, &[rename(link, ROOT, "g")]);
    c.takes_all(&b);
    assert_eq!(c.shows(), tree([]));
    c.takes_all(&a);
    assert_eq!(c.shows(), tree([(ROOT, "g", link)]));
}

#[test]
fn new_bytes_do_not_bring_back_set_uid_bits_that_were_dropped() {
    let file = 1 << 48;
    let [mut a, mut b] = sites();
    a.does(
        10,
        &[create(file, ROOT, "f"), chmod(file, 0o755), write(file, 1)],
    );
    b.takes_all(&a);
    b.applies();
    b.does(20, &[chmod(file, 0o4755)]);
    a.does(21, &[write(file, 2)]);
    a.takes_all(&b);
    a.applies();
    assert_eq!((a.mode(file), a.bytes(file)), (Some(0o755), Some(2)));
    a.does(30, &[write(file, 3)]);
    assert_eq!((a.mode(file), a.bytes(file)), (Some(0o755), Some(3)));
    exchange([a, b]);
}

#[test]
fn a_write_over_a_version_replaced_behind_it_still_names_the_losers() {
    let file = 3 << 48;
    let [mut a, mut b, mut c] = sites();
    c.does(10, &[create(file, ROOT, "f")]);
    for site in [&mut a, &mut b] {
        site.takes_all(&c);
        site.applies();
    }
    c.does(11, &[write(file, 1)]);
    let first = b.does(15, &[write(file, 2)]);
    a.takes_all(&c);
    a.takes(&b, &first);
    a.applies();
    assert_eq!(a.bytes(file), Some(2));
    let second = b.does(16, &[write(file, 3)]);
    a.takes(&b, &second);
    let over = a.does(20, &[write(file, 4)]);
    let (entry, _) = &a.log[over[0]];
    assert_eq!(
        entry.prev_of(&RegisterId::Content),
        Some(b.log[first[0]].0.dot())
    );
    c.takes(&a, &over);
    let lost: Vec<u64> = c.records().iter().map(|r| r.loser.site_id).collect();
    assert_eq!(lost, [3]);
    exchange([a, b, c]);
}

#[test]
fn two_links_of_a_file_that_gave_way_at_one_name_are_one_entry() {
    let (file, other) = (1 << 48, 2 << 48);
    let [mut a, mut b] = sites();
    let made = a.does(10, &[create(file, ROOT, "f")]);
    a.does(11, &[link(file, (1 << 48) + 1, ROOT, "d")]);
    b.takes(&a, &made);
    b.applies();
    b.does(12, &[link(file, (2 << 48) + 1, ROOT, "d")]);
    b.does(13, &[unlink(file, ROOT, "f")]);
    b.does(14, &[rename(file, ROOT, "d")]);
    let mut c = Site::new(3);
    c.does(20, &[create(other, ROOT, "d")]);
    c.takes_all(&a);
    c.takes_all(&b);
    assert_eq!(c.shows().len(), 2);
    let shown = c.core.image(file).unwrap().links;
    assert!(
        shown.len() > 1 && shown.iter().all(|link| link.name == shown[0].name),
        "{shown:?}"
    );
    let name = shown[0].name.as_bytes().escape_ascii().to_string();
    c.does(30, &[unlink(file, ROOT, &name)]);
    assert_eq!(c.shows(), tree([(ROOT, "d", other)]));
    exchange([a, b, c]);
}

#[test]
fn a_directory_born_late_judges_moves_that_led_through_it() {
    let [outer, inner, other, late] = [1, 2, 3, 4].map(|number| (1 << 48) + number);
    let [mut a, mut b, mut c, mut d] = sites();
    let made = [(outer, "outer"), (inner, "inner"), (other, "other")];
    for (at, (inode, name)) in (10..).zip(made) {
        a.does(at, &[mkdir(inode, ROOT, name)]);
    }
    a.does(19, &[mkdir(late, inner, "late")]);
    for site in [&mut b, &mut c] {
        site.takes_all(&a);
        site.applies();
    }
    a.does(50, &[rename_dir(inner, outer, "w")]);
    b.does(60, &[rename_dir(outer, late, "y")]);
    b.does(70, &[rename_dir(outer, other, "y")]);
    c.does(65, &[rename_dir(other, outer, "e")]);
    d.takes(&a, &[0, 1, 2, 4]);
    d.takes_all(&b);
    d.takes(&a, &[3]);
    d.takes_all(&c);
    exchange([a, b, c, d]);
}

#[test]
fn moves_of_two_directories_into_each_other_leave_both_and_a_record() {
    let [one, two] = [(1 << 48) + 1, (1 << 48) + 2];
    let [mut a, mut b] = sites();
    a.does(10, &[mkdir(one, ROOT, "one")]);
    a.does(11, &[mkdir(two, ROOT, "two")]);
    b.takes_all(&a);
    b.applies();
    a.does(20, &[rename_dir(one, two, "one")]);
    b.does(21, &[rename_dir(two, one, "two")]);
    let [mut a, _] = exchange([a, b]);
    assert_eq!(a.shows(), tree([(ROOT, "two", two), (two, "one", one)]));
    let expected = BTreeSet::from([(ConflictKind::MoveCycle, two, 2)]);
    assert_eq!(a.conflicts(), expected);
}

#[test]
fn a_directory_removed_while_something_came_into_it_stays_and_is_revived_by_touch() {
    let [dir, file] = [1 << 48, 2 << 48];
    let [mut a, mut b] = sites();
    a.does(10, &[mkdir(dir, ROOT, "d")]);
    b.takes_all(&a);
    b.applies();
    b.does(20, &[create(file, dir, "f")]);
    a.does(21, &[rmdir(dir, ROOT, "d")]);
    let [mut a, mut b] = exchange([a, b]);
    assert_eq!(a.shows(), tree([(ROOT, "d", dir), (dir, "f", file)]));
    let kept = BTreeSet::from([(ConflictKind::RmdirCreate, dir, 1)]);
    assert_eq!(a.conflicts(), kept);
    b.does(30, &[unlink(file, dir, "f")]);
    let [mut a, _] = exchange([a, b]);
    assert_eq!(a.shows(), tree([(ROOT, "d", dir)]));
    assert_eq!(a.conflicts(), BTreeSet::new());
}

#[test]
fn a_directory_keeps_its_name_against_a_newer_file() {
    let [dir, file] = [1 << 48, 2 << 48];
    let [mut a, mut b] = sites();
    a.does(10, &[mkdir(dir, ROOT, "x")]);
    b.does(20, &[create(file, ROOT, "x")]);
    let [mut a, _] = exchange([a, b]);
    assert_eq!(a.shows().get(&(ROOT, "x".to_owned())), Some(&dir));
    assert_eq!(a.shows().len(), 2);
}

#[test]
fn directories_of_one_name_are_one_and_part_again_with_what_is_theirs() {
    let [mine, theirs, file, other] = [1 << 48, 2 << 48, (1 << 48) + 1, (2 << 48) + 1];
    let [mut a, mut b, mut c] = sites();
    a.does(10, &[mkdir(mine, ROOT, "d")]);
    a.does(11, &[create(file, mine, "f")]);
    b.does(20, &[mkdir(theirs, ROOT, "d")]);
    b.does(21, &[create(other, theirs, "g")]);
    c.takes_all(&b);
    c.applies();
    let merged = tree([(ROOT, "d", mine), (mine, "f", file), (mine, "g", other)]);
    a.takes_all(&b);
    assert_eq!(a.shows(), merged);
    // This one has not heard of the other directory.
    c.does(30, &[rename_dir(theirs, ROOT, "e")]);
    let [mut a, b, c] = exchange([a, b, c]);
    let parted = [
        (ROOT, "d", mine),
        (ROOT, "e", theirs),
        (mine, "f", file),
        (theirs, "g", other),
    ];
    assert_eq!(a.shows(), tree(parted));
    // Whoever saw one directory moves all of it.
    a.does(40, &[rename_dir(theirs, ROOT, "d")]);
    assert_eq!(a.shows(), merged);
    a.does(50, &[rename_dir(mine, ROOT, "h")]);
    assert_eq!(a.core.work(usize::MAX).unwrap(), []);
    let [mut a, ..] = exchange([a, b, c]);
    let moved = tree([(ROOT, "h", mine), (mine, "f", file), (mine, "g", other)]);
    assert_eq!(a.shows(), moved);
}

#[test]
fn bytes_written_after_a_removal_elsewhere_bring_the_file_back() {
    let file = 1 << 48;
    let [mut a, mut b] = sites();
    a.does(10, &[create(file, ROOT, "f"), write(file, 1)]);
    b.takes_all(&a);
    b.applies();
    a.does(20, &[unlink(file, ROOT, "f")]);
    b.does(30, &[write(file, 2)]);
    let [mut a, mut b] = exchange([a, b]);
    assert_eq!(
        (a.shows(), a.bytes(file)),
        (tree([(ROOT, "f", file)]), Some(2))
    );
    assert_eq!(
        a.conflicts(),
        BTreeSet::from([(ConflictKind::WriteUnlink, file, 1)])
    );
    // A touch makes the link live again: an older write that lost would not.
    b.does(40, &[chmod(file, 0o600)]);
    assert_eq!(b.core.work(usize::MAX).unwrap(), []);
    let [mut a, _] = exchange([a, b]);
    assert_eq!(a.conflicts(), BTreeSet::new());
}

#[test]
fn an_acknowledgement_is_known_everywhere_even_before_its_conflict() {
    let file = 1 << 48;
    let [mut a, mut b, mut c] = sites();
    a.does(10, &[create(file, ROOT, "f")]);
    b.takes_all(&a);
    b.applies();
    a.does(20, &[write(file, 1)]);
    b.does(21, &[write(file, 2)]);
    b.takes_all(&a);
    let id = b.records()[0].id;
    let change = Change::ConflictAck {
        conflict_id: id.0,
        acked: true,
        note: "looked at it".to_owned(),
        by: "someone".to_owned(),
    };
    let ack = b.core.author_control(change, 30).unwrap();
    let log = ack.entries.into_iter().zip(ack.seen).collect();
    let core = Core::new(Actor::default(), MemState::default(), 0);
    c.takes_all(&Site { core, log });
    c.takes_all(&a);
    c.takes_all(&b);
    let known = c.core.state().ack(id).unwrap();
    assert_eq!(known.as_ref().map(|ack| ack.by.as_str()), Some("someone"));
    let record = c.core.state().conflict(id).unwrap().unwrap();
    assert!(record.is_open(None) && !record.is_open(known.as_ref()));
}

#[test]
fn trap_3_a_file_made_and_removed_is_never_shown_elsewhere() {
    let file = 1 << 48;
    let [mut a, mut b] = sites();
    a.does(10, &[create(file, ROOT, "f"), write(file, 1)]);
    a.does(11, &[unlink(file, ROOT, "f")]);
    b.takes_all(&a);
    assert_eq!(
        (b.core.work(usize::MAX).unwrap(), b.conflicts()),
        (vec![], BTreeSet::new())
    );
}

#[test]
fn trap_8_a_name_changed_and_changed_back_is_two_entries_and_no_work() {
    let file = 1 << 48;
    let [mut a, mut b] = sites();
    a.does(10, &[create(file, ROOT, "a")]);
    b.takes_all(&a);
    b.applies();
    a.does(20, &[rename(file, ROOT, "b")]);
    a.does(21, &[rename(file, ROOT, "a")]);
    assert_eq!(a.log.len(), 3);
    b.takes_all(&a);
    assert_eq!(b.core.work(usize::MAX).unwrap(), []);
}

#[test]
fn trap_9_a_rename_over_a_file_is_one_transaction_and_no_clash() {
    let [file, victim] = [(1 << 48) + 1, (1 << 48) + 2];
    let [mut a, mut b] = sites();
    a.does(
        10,
        &[create(file, ROOT, "new"), create(victim, ROOT, "old")],
    );
    b.takes_all(&a);
    b.applies();
    let parts = a.does(
        20,
        &[rename(file, ROOT, "old"), unlink(victim, ROOT, "old")],
    );
    let txns: Vec<_> = parts.iter().map(|at| a.log[*at].0.txn.unwrap()).collect();
    assert!(
        txns.iter()
            .all(|txn| txn.parts == 2 && txn.id == txns[0].id)
    );
    b.takes(&a, &parts);
    assert_eq!(b.shows(), tree([(ROOT, "old", file)]));
    assert_eq!(b.conflicts(), BTreeSet::new());
}

#[test]
fn trap_10_a_move_by_way_of_a_link_is_two_entries() {
    let file = 1 << 48;
    let [mut a, mut b] = sites();
    a.does(10, &[create(file, ROOT, "old")]);
    a.does(20, &[link(file, file + 1, ROOT, "new")]);
    a.does(21, &[unlink(file, ROOT, "old")]);
    b.takes_all(&a);
    assert_eq!(b.shows(), tree([(ROOT, "new", file)]));
}

#[test]
fn trap_11_a_removed_attribute_is_a_tombstone() {
    let file = 1 << 48;
    let [mut a, mut b] = sites();
    let name = Bytes::from_static(b"user.x");
    let value = Bytes::from_static(b"1");
    a.does(10, &[create(file, ROOT, "f")]);
    b.takes_all(&a);
    b.applies();
    let set = Change::SetXattr {
        name: name.clone(),
        value: value.clone(),
    };
    b.does(20, &[op(file, set)]);
    let set = Change::SetXattr {
        name: name.clone(),
        value,
    };
    a.does(30, &[op(file, set)]);
    a.does(31, &[op(file, Change::RemoveXattr { name })]);
    let [a, _] = exchange([a, b]);
    assert!(a.core.image(file).unwrap().xattrs.is_empty());
}

#[test]
fn trap_14_what_arrives_before_its_directory_waits_for_it() {
    let [dir, file] = [(1 << 48) + 1, (1 << 48) + 2];
    let [mut a, mut b] = sites();
    let made = a.does(10, &[mkdir(dir, ROOT, "d")]);
    let inside = a.does(11, &[create(file, dir, "f")]);
    b.takes(&a, &inside);
    assert_eq!(b.core.work(usize::MAX).unwrap(), []);
    b.takes(&a, &made);
    assert_eq!(b.shows(), tree([(ROOT, "d", dir), (dir, "f", file)]));
}

#[test]
fn trap_25_a_clock_set_back_does_not_let_an_older_write_win() {
    let file = 1 << 48;
    let [mut a, mut b] = sites();
    let hour = 3_600_000_000;
    a.does(2 * hour, &[create(file, ROOT, "f"), write(file, 1)]);
    a.does(hour, &[write(file, 2)]);
    b.takes_all(&a);
    assert_eq!((b.bytes(file), b.conflicts()), (Some(2), BTreeSet::new()));
}

#[test]
fn trap_26_moving_a_directory_gives_no_work_for_what_is_in_it() {
    let dir = 1 << 48;
    let [mut a, mut b] = sites();
    a.does(10, &[mkdir(dir, ROOT, "old")]);
    for child in 1..100 {
        a.does(20, &[create(dir + child, dir, &format!("f{child}"))]);
    }
    b.takes_all(&a);
    b.applies();
    let moved = a.does(30, &[rename_dir(dir, ROOT, "new")]);
    b.takes(&a, &moved);
    let work: Vec<u64> = b
        .core
        .work(usize::MAX)
        .unwrap()
        .iter()
        .map(|i| i.inode)
        .collect();
    assert_eq!((moved.len(), work), (1, vec![dir]));
}

#[test]
fn trap_27_a_file_moved_through_directories_is_one_place() {
    let [tmp, new, cur, mail] = [1, 2, 3, 4].map(|number| (1 << 48) + number);
    let [mut a, mut b] = sites();
    a.does(
        10,
        &[
            mkdir(tmp, ROOT, "tmp"),
            mkdir(new, ROOT, "new"),
            mkdir(cur, ROOT, "cur"),
        ],
    );
    a.does(20, &[create(mail, tmp, "m")]);
    a.does(21, &[rename(mail, new, "m")]);
    a.does(22, &[rename(mail, cur, "m:2,S")]);
    b.takes_all(&a);
    assert_eq!(b.shows().get(&(cur, "m:2,S".to_owned())), Some(&mail));
    assert_eq!((b.shows().len(), b.conflicts()), (4, BTreeSet::new()));
}

#[test]
fn trap_28_a_name_used_again_by_another_inode_stalls_nothing_in_any_order() {
    let [file, dir] = [(1 << 48) + 1, (1 << 48) + 2];
    let [mut a, mut b] = sites();
    a.does(10, &[create(file, ROOT, "x")]);
    b.takes_all(&a);
    b.applies();
    let gone = a.does(20, &[unlink(file, ROOT, "x")]);
    let again = a.does(21, &[mkdir(dir, ROOT, "x")]);
    b.takes(&a, &again);
    assert_eq!(b.shows().get(&(ROOT, "x".to_owned())), Some(&dir));
    b.takes(&a, &gone);
    assert_eq!(
        (b.shows(), b.conflicts()),
        (tree([(ROOT, "x", dir)]), BTreeSet::new())
    );
}

#[test]
fn trap_22_bytes_by_one_link_and_mode_by_another_are_one_inode() {
    let file = 1 << 48;
    let [mut a, mut b] = sites();
    a.does(
        10,
        &[create(file, ROOT, "a"), link(file, file + 1, ROOT, "b")],
    );
    a.does(20, &[write(file, 7)]);
    let mut by_other = chmod(file, 0o640);
    by_other.link = file + 1;
    a.does(21, &[by_other]);
    b.takes_all(&a);
    assert_eq!(b.shows(), tree([(ROOT, "a", file), (ROOT, "b", file)]));
    assert_eq!((b.bytes(file), b.mode(file)), (Some(7), Some(0o640)));
}

#[test]
fn traps_4_and_21_a_successor_at_the_same_name_is_another_inode() {
    let [old, new] = [(1 << 48) + 1, (1 << 48) + 2];
    let [mut a, mut b] = sites();
    let change = Change::Symlink {
        place: at(ROOT, "x"),
        attr: Attr::default(),
        target: Bytes::from_static(b"t"),
    };
    a.does(10, &[op(old, change)]);
    b.takes_all(&a);
    b.applies();
    let parts = a.does(20, &[unlink(old, ROOT, "x"), create(new, ROOT, "x")]);
    assert!(parts.iter().all(|part| a.log[*part].0.txn.is_some()));
    b.takes(&a, &parts);
    assert_eq!(b.shows(), tree([(ROOT, "x", new)]));
}

#[test]
fn traps_5_and_6_a_write_tells_that_another_site_had_touched_the_file_between() {
    let file = 1 << 48;
    for remote_wins in [false, true] {
        let [mut a, mut b] = sites();
        a.does(10, &[create(file, ROOT, "f")]);
        b.takes_all(&a);
        b.applies();
        let remote = b.does(if remote_wins { 40 } else { 20 }, &[write(file, 2)]);
        let first = a.does(30, &[write(file, 1)]);
        a.takes(&b, &remote);
        a.applies();
        let second = a.does(50, &[write(file, 3)]);
        let (first, second) = (&a.log[first[0]].0, &a.log[second[0]].0);
        let replaced = if remote_wins {
            b.log[remote[0]].0.dot()
        } else {
            first.dot()
        };
        assert_eq!(second.prev_of(&RegisterId::Content), Some(replaced));
        assert!(second.merge_gen > first.merge_gen, "a compactor keeps both");
        assert_eq!(second.overrides.len(), 1);
        exchange([a, b]);
    }
}
