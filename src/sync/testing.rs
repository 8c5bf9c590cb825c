//! Pure: what tests of the merge share: operations of users, and entries on their way to another site.

use super::author::Authored;
use super::core::Core;
use super::port::{LocalOp, LocalTxn};
use super::state::MemState;
use crate::journal::EntryBatch;
use crate::journal::batch::SeenRun;
use crate::journal::op::{Attr, Change, Name, Place};

/// The wall clock of all sites.
pub(super) const NOW: u64 = 1_000_000;

pub(super) fn place(parent: u64, name: &str) -> Place {
    Place {
        parent,
        name: Name::new(name.as_bytes().to_vec()).unwrap(),
    }
}

pub(super) fn create(parent: u64, name: &str) -> Change {
    Change::Create {
        place: place(parent, name),
        attr: Attr::default(),
    }
}

pub(super) fn mkdir(parent: u64, name: &str) -> Change {
    Change::MkDir {
        place: place(parent, name),
        attr: Attr::default(),
    }
}

pub(super) fn unlink(parent: u64, name: &str, dir: bool) -> Change {
    Change::Unlink {
        place: place(parent, name),
        dir,
    }
}

pub(super) fn rename(parent: u64, name: &str, dir: bool) -> Change {
    Change::Rename {
        place: Some(place(parent, name)),
        dir,
    }
}

/// One operation of a user on the link `link` of an inode.
pub(super) fn author_link(
    core: &mut Core<MemState>,
    inode: u64,
    link: u64,
    change: Change,
) -> Authored {
    let op = LocalOp {
        inode,
        link,
        change,
        back_date_us: None,
        device: None,
    };
    core.author(&LocalTxn { ops: vec![op] }, NOW).unwrap()
}

/// The same on its first link.
pub(super) fn author(core: &mut Core<MemState>, inode: u64, change: Change) -> Authored {
    author_link(core, inode, inode, change)
}

/// Merges entries at another site, each as a batch.
pub(super) fn deliver(to: &mut Core<MemState>, authored: &Authored) {
    for (entry, seen) in authored.entries.iter().zip(&authored.seen) {
        let mut batch = EntryBatch::new(entry.site_id, vec![entry.clone()], 1);
        batch.seen_runs = vec![SeenRun {
            first_seq: entry.seq,
            seen: seen.clone(),
        }];
        to.merge_batch(&batch, NOW).unwrap();
    }
}
