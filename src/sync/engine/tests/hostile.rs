//! Entries of a peer that keeps to the form and means harm.

use super::*;
use crate::journal::JournalEntry;
use crate::journal::codec::encode_change;
use crate::journal::dot::shard_of;
use crate::journal::op::NAME_BYTES_MAX;
use crate::sync::port::NodeKind;

const PEER: Actor = Actor::new(3, 3 << 48 | 9);
/// An inode that the peer may make.
const OWN: u64 = 3 << 48 | 9 << 32 | 5;
/// The last number that the honest site can give out.
const LAST_OF_OURS: u64 = 1 << 48 | 1 << 32 | 0xFFFF_FFFF;

fn place(parent: u64, name: &str) -> Place {
    assert!(name.len() <= NAME_BYTES_MAX);
    let name = Name::new(name.as_bytes().to_vec()).unwrap();
    Place { parent, name }
}

fn entry(actor: Actor, seq: u64, inode: u64, change: &Change) -> JournalEntry {
    let payload = encode_change(change).to_vec();
    let (site, stream) = (actor.site_id, shard_of(inode));
    let stamp = 1_000_000_000 + seq;
    let mut entry = JournalEntry::new(seq, stream, site, stamp, inode, change.kind(), payload);
    entry.incarnation = actor.incarnation;
    entry
}

/// The whole stream so far: one entry for each change of the inode.
fn batch_of(actor: Actor, inode: u64, changes: &[Change]) -> EntryBatch {
    let entries = (1..)
        .zip(changes)
        .map(|(seq, change)| entry(actor, seq, inode, change));
    let mut batch = EntryBatch::new(actor.site_id, entries.collect(), 1);
    (batch.incarnation, batch.stream) = (actor.incarnation, shard_of(inode));
    (batch.first, batch.last) = (1, changes.len().max(1) as u64);
    batch.chain_last = [7; 32];
    batch
}

fn batch(inode: u64, changes: &[Change]) -> EntryBatch {
    batch_of(PEER, inode, changes)
}

fn refusal(site: &mut Site, batch: &EntryBatch) -> Option<String> {
    let arrived = site
        .engine
        .receive(batch.actor(), std::slice::from_ref(batch), 0);
    match arrived.unwrap().refusal {
        Some(Refusal::Invalid { detail, .. }) => Some(detail),
        None => None,
        Some(other) => panic!("{other:?}"),
    }
}

fn make_dir(parent: u64, name: &str) -> Change {
    Change::MkDir {
        place: place(parent, name),
        attr: Attr::default(),
    }
}

fn create(name: &str) -> Change {
    Change::Create {
        place: place(ROOT_INODE, name),
        attr: Attr::default(),
    }
}

/// Everything that puts an inode somewhere or takes it away.
fn placings() -> Vec<Change> {
    let at = || place(ROOT_INODE, "x");
    let mut placings = vec![make_dir(ROOT_INODE, "x"), create("x")];
    placings.push(Change::Symlink {
        place: at(),
        attr: Attr::default(),
        target: "t".into(),
    });
    placings.push(Change::Link { place: at() });
    for dir in [false, true] {
        placings.push(Change::Unlink { place: at(), dir });
        placings.push(Change::Rename {
            place: Some(at()),
            dir,
        });
    }
    placings.push(Change::Rename {
        place: None,
        dir: true,
    });
    placings
}

/// What merges not at all, and was logged, would keep the site from starting ever again.
#[test]
fn the_root_directory_is_placed_by_nobody() {
    let mut site = Site::new(1);
    for change in placings() {
        let why = refusal(&mut site, &batch(ROOT_INODE, std::slice::from_ref(&change)));
        assert!(why.is_some_and(|why| why.contains("root")), "{change:?}");
    }
    site.crash();
    assert_eq!(site.engine.progress(PEER).unwrap(), []);
    let attr = Attr {
        mode: Some(0o700),
        ..Attr::default()
    };
    assert_eq!(
        refusal(&mut site, &batch(ROOT_INODE, &[Change::SetAttr { attr }])),
        None
    );
}

/// Else one inode could be two things.
#[test]
fn an_inode_is_made_by_the_site_that_it_names() {
    let mut site = Site::new(1);
    for inode in [LAST_OF_OURS, 2 << 48 | 7, u64::MAX] {
        for change in [create("x"), make_dir(ROOT_INODE, "x")] {
            let why = refusal(&mut site, &batch(inode, &[change]));
            assert!(
                why.is_some_and(|why| why.contains("made by site")),
                "{inode:x}"
            );
        }
    }
    assert_eq!(refusal(&mut site, &batch(OWN, &[create("x")])), None);
    // Anything else may be done to the inodes of others.
    let theirs = site.create("f", 1);
    let attr = Attr {
        mode: Some(0o600),
        ..Attr::default()
    };
    assert_eq!(
        refusal(&mut site, &batch(theirs, &[Change::SetAttr { attr }])),
        None
    );
}

#[test]
fn numbers_of_ours_that_a_peer_makes_up_are_not_taken_for_given_out() {
    let mut site = Site::new(1);
    let renamed = |name| Change::Rename {
        place: Some(place(ROOT_INODE, name)),
        dir: false,
    };
    let mut named = batch(OWN, &[create("x"), renamed("y")]);
    named.entries[1].link = LAST_OF_OURS;
    assert_eq!(refusal(&mut site, &named), None);
    site.apply_all();
    let mut op = site.op(OWN, renamed("z"));
    op.link = LAST_OF_OURS;
    site.engine.submit(&[LocalTxn { ops: vec![op] }]).unwrap();
    site.crash();
    site.engine.mint().unwrap();
}

#[test]
fn the_last_number_of_all_is_no_seq() {
    let mut site = Site::new(1);
    let mut endless = batch(OWN, &[]);
    endless.last = u64::MAX;
    assert!(endless.validate().is_err());
    assert!(refusal(&mut site, &endless).is_some());
    endless.last -= 1;
    assert_eq!(refusal(&mut site, &endless), None);
    site.create("f", 1);
    site.crash();
    assert_eq!(
        site.engine.progress(PEER).unwrap()[0].received,
        u64::MAX - 1
    );
}

/// What an inode is follows from what was said of it, not from what came first.
#[test]
fn an_inode_that_is_said_to_be_two_things_is_the_same_everywhere() {
    let honest = Actor::new(2, 2 << 48 | 9);
    let theirs = 2 << 48 | 9 << 32 | 5;
    let moved = Change::Rename {
        place: Some(place(ROOT_INODE, "moved")),
        dir: true,
    };
    let inside = Change::Create {
        place: place(theirs, "inside"),
        attr: Attr::default(),
    };
    let batches = [
        batch_of(honest, theirs, &[create("x")]),
        batch(OWN, &[inside]),
        batch(theirs, &[moved]),
    ];
    let shown = |order: [usize; 3]| {
        let mut site = Site::new(1);
        for at in order {
            assert_eq!(refusal(&mut site, &batches[at]), None);
        }
        let mut images = site.engine.work(10).unwrap();
        images.sort_by_key(|image| image.inode);
        let plain = |image: &Image| {
            let places = image
                .links
                .iter()
                .map(|link| (link.parent, link.name.clone()));
            (image.inode, image.kind, places.collect::<Vec<_>>())
        };
        images.iter().map(plain).collect::<Vec<_>>()
    };
    let first = shown([0, 1, 2]);
    assert_eq!(first.first().map(|shown| shown.1), Some(NodeKind::Dir));
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(shown(order), first, "{order:?}");
    }
}
