//! Compaction is transparent: two sites write and merge at random, a third one merges everything, once as it was
//! written and once compacted, and must not be able to tell the difference.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::BatchCompactor;
use crate::journal::codec::decode_change;
use crate::journal::dot::{Actor, shard_of};
use crate::journal::op::{Attr, Change, Content, FileTime, ManifestRoot, Name, Owner, Place};
use crate::journal::{EntryBatch, SeenRun};
use crate::sync::author::Authored;
use crate::sync::conflict::ConflictId;
use crate::sync::core::Core;
use crate::sync::port::{Image, LocalOp, LocalTxn, Outcome};
use crate::sync::state::{MemState, State};

/// Files of a history; few, so that writes meet.
const FILES: usize = 3;

/// One step: which site, what it does, on which file, with which value.
type Step = (bool, u8, usize, u8);

struct Site {
    core: Core<MemState>,
    journal: Authored,
    /// How much of the journal the other site has merged.
    given: usize,
}

/// The first numbers of site 1 that share a shard, so that contexts change between writes of one file.
fn files() -> Vec<u64> {
    let shard = shard_of(1 << 48);
    let numbers = (1u64 << 48)..;
    numbers
        .filter(|inode| shard_of(*inode) == shard)
        .take(FILES)
        .collect()
}

impl Site {
    fn new(site: u64) -> Self {
        Self {
            core: Core::new(Actor::new(site, 70 + site), MemState::default(), 0),
            journal: Authored::default(),
            given: 0,
        }
    }

    fn author(&mut self, inode: u64, change: Change, now_us: u64) {
        let op = LocalOp {
            inode,
            link: inode,
            change,
            back_date_us: None,
            device: None,
        };
        let txn = LocalTxn { ops: vec![op] };
        let authored = self.core.author(&txn, now_us).unwrap();
        self.journal.entries.extend(authored.entries);
        self.journal.seen.extend(authored.seen);
    }

    /// The entries `from..to` of the journal, with their contexts.
    fn batch(&self, from: usize, to: usize) -> EntryBatch {
        let entries = self.journal.entries[from..to].to_vec();
        let mut batch = EntryBatch::new(self.core.local().site_id, entries, 1);
        for (entry, seen) in batch.entries.iter().zip(&self.journal.seen[from..to]) {
            if batch.seen_runs.last().map(|run| &run.seen) != Some(seen) {
                batch.seen_runs.push(SeenRun {
                    first_seq: entry.seq,
                    seen: seen.clone(),
                });
            }
        }
        batch
    }

    fn apply_all(&mut self) {
        for image in self.core.work(usize::MAX).unwrap() {
            self.core.done(image, Outcome::Applied).unwrap();
        }
    }
}

fn change(kind: u8, value: u8) -> Change {
    let size = u64::from(value) + 1;
    let content = Content {
        size,
        manifest_root: ManifestRoot([value | 1; 32]),
        ..Content::default()
    };
    let xattr = bytes::Bytes::from(format!("user.{}", value % 2));
    let attr = Attr {
        mode: (value & 1 != 0).then_some(u32::from(value)),
        owner: (value & 2 != 0).then_some(Owner {
            uid: u32::from(value),
            gid: 0,
        }),
        mtime: (value & 4 != 0).then_some(FileTime {
            seconds: i64::from(value),
            nanos: 0,
        }),
        flags: None,
    };
    match kind % 12 {
        0..=3 => Change::Write {
            content,
            mode: (value & 8 != 0).then_some(0o644),
        },
        4 => Change::Truncate {
            content,
            mode: None,
        },
        5..=7 => Change::SetAttr { attr },
        8 | 9 if value & 4 == 0 => Change::RemoveXattr { name: xattr },
        8 | 9 => Change::SetXattr {
            name: xattr,
            value: bytes::Bytes::from(vec![value]),
        },
        10 => Change::Rename {
            place: Some(place(value % 4)),
            dir: false,
        },
        _ => Change::Unlink {
            place: place(value % 4),
            dir: false,
        },
    }
}

fn place(number: u8) -> Place {
    Place {
        parent: 1,
        name: Name::new(format!("name-{number}").into_bytes()).unwrap(),
    }
}

/// Two sites with the same files and a history of writes that met in some places and not in others.
fn history(steps: &[Step]) -> [Site; 2] {
    let mut sites = [Site::new(1), Site::new(2)];
    let mut now_us = 1_000;
    for (inode, number) in files().into_iter().zip(0..) {
        let attr = Attr::default();
        sites[0].author(
            inode,
            Change::Create {
                place: place(number),
                attr,
            },
            now_us,
        );
    }
    exchange(&mut sites, 0);
    sites[1].apply_all();
    for (second, kind, file, value) in steps {
        now_us += 10;
        let at = usize::from(*second);
        match kind {
            0..=23 => {
                let inode = files()[*file];
                if sites[at].core.state().applied(inode).unwrap().is_none() {
                    continue;
                }
                sites[at].author(inode, change(*kind, *value), now_us);
            }
            24..=25 => exchange(&mut sites, at),
            _ => sites[at].apply_all(),
        }
    }
    sites
}

/// The site `from` gives the other one what it has not given yet.
fn exchange(sites: &mut [Site; 2], from: usize) {
    let (start, end) = (sites[from].given, sites[from].journal.entries.len());
    if start < end {
        let batch = sites[from].batch(start, end);
        sites[from].given = end;
        sites[1 - from].core.merge_batch(&batch, 0).unwrap();
    }
}

/// What a site that merged everything can be asked, in comparable form.
type Answer = (Vec<Image>, Vec<(Actor, u64)>, BTreeSet<ConflictId>);

/// What a third site answers that merged the journals of both in runs of `run` entries, and how many were swallowed.
fn merged(sites: &[Site; 2], run: usize, second_first: bool, compact: bool) -> (Answer, usize) {
    let mut core = Core::new(Actor::new(3, 73), MemState::default(), 0);
    let mut removed = 0;
    let order = if second_first { [1, 0] } else { [0, 1] };
    for site in order.map(|index| &sites[index]) {
        let count = site.journal.entries.len();
        for start in (0..count).step_by(run) {
            let whole = site.batch(start, count.min(start + run));
            let mut batch = whole.clone();
            if compact {
                batch = BatchCompactor::compact_batch(whole.clone()).batch;
            }
            batch.validate().unwrap();
            removed += whole.entries.len() - batch.entries.len();
            assert!(batch.entries.iter().all(|e| decode_change(e).is_ok()));
            core.merge_batch(&batch, 0).unwrap();
        }
    }
    core.settle(u64::MAX, 0).unwrap();
    let images = core.state().inodes().into_iter().map(|inode| {
        let image = core.image(inode).unwrap();
        // Counts entries, not versions: a mark of this site alone.
        Image {
            merge_gen: 0,
            ..image
        }
    });
    let cursors = core.state().cursors(shard_of(1 << 48)).unwrap();
    let conflicts = core.state().conflicts().unwrap();
    let open = conflicts.iter().filter(|record| !record.superseded);
    let answer = (
        images.collect(),
        cursors.iter().collect(),
        open.map(|record| record.id).collect(),
    );
    (answer, removed)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((any::<bool>(), 0u8..28, 0..FILES, any::<u8>()), 1..60)
}

proptest! {
    #[test]
    fn a_third_site_cannot_tell_whether_it_got_compacted_batches(
        steps in steps(), run in 1usize..40, second_first: bool,
    ) {
        let sites = history(&steps);
        let (whole, _) = merged(&sites, run, second_first, false);
        let (compacted, _) = merged(&sites, run, second_first, true);
        prop_assert_eq!(compacted, whole);
    }
}

#[test]
fn random_histories_do_get_compacted() {
    let steps: Vec<Step> = (0..40)
        .map(|n| (n % 13 == 0, n % 11, usize::from(n) % 2, n))
        .collect();
    let sites = history(&steps);
    let (_, removed) = merged(&sites, 100, false, true);
    assert!(removed > 10, "only {removed} entries were swallowed");
}
