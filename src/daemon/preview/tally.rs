//! Pure: what compaction makes of batches, counted.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::admin::view::preview::{FateView, OpPreview, Outcome, SitePreview, Sums, WhyView};
use crate::journal::codec::encode_entry;
use crate::journal::{EntryBatch, OpKind};
use crate::sync::compactor::{BatchCompactor, Explained, Fate};

/// Batches for one peer, counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    batches: u64,
    ops: BTreeMap<OpKind, OpTally>,
}

#[derive(Debug, Default)]
struct OpTally {
    sums: Sums,
    why: BTreeMap<(Outcome, &'static str), u64>,
}

impl Tally {
    /// Takes a batch in, and tells what becomes of its entries.
    pub(super) fn take(&mut self, batch: &EntryBatch) -> Vec<FateView> {
        self.batches += 1;
        for entry in BatchCompactor::compact(batch.entries.clone()).entries {
            let sums = &mut self.ops.entry(entry.op).or_default().sums;
            sums.out_entries += 1;
            sums.out_bytes += size(&entry);
        }
        // Both are by seq.
        let explained = BatchCompactor::explain(&batch.entries);
        let fates = explained.iter().zip(&batch.entries);
        fates
            .map(|(one, entry)| {
                let fate = fate(one, size(entry));
                let op = self.ops.entry(one.op).or_default();
                op.sums.in_entries += 1;
                op.sums.in_bytes += fate.entry_bytes;
                op.sums.dropped_entries += u64::from(fate.outcome == Outcome::Dropped);
                *op.why.entry((fate.outcome, one.why())).or_default() += 1;
                fate
            })
            .collect()
    }

    /// The whole, without the name of the peer and without notes.
    pub(super) fn into_preview(self) -> SitePreview {
        let mut total = Sums::default();
        let ops = self.ops.into_iter().map(|(op, tally)| {
            total.add(&tally.sums);
            OpPreview {
                op: op.word().to_owned(),
                sums: tally.sums,
                why: reasons(tally.why),
            }
        });
        let ops = ops.collect();
        SitePreview {
            batches: self.batches,
            total,
            ops,
            ..SitePreview::default()
        }
    }
}

fn size(entry: &crate::journal::JournalEntry) -> u64 {
    encode_entry(entry).len() as u64
}

fn fate(one: &Explained, entry_bytes: u64) -> FateView {
    let (outcome, by) = match one.fate {
        Fate::Kept(_) => (Outcome::Kept, None),
        Fate::Swallowed { by } => (Outcome::Dropped, Some(by)),
    };
    FateView {
        site: None,
        stream: one.dot.stream,
        seq: one.dot.seq,
        inode: one.inode,
        op: one.op.word().to_owned(),
        entry_bytes,
        outcome,
        by,
        why: one.why().to_owned(),
    }
}

/// The most frequent reason first.
fn reasons(why: BTreeMap<(Outcome, &'static str), u64>) -> Vec<WhyView> {
    let mut reasons: Vec<WhyView> = why
        .into_iter()
        .map(|((outcome, why), entries)| WhyView {
            outcome,
            why: why.to_owned(),
            entries,
        })
        .collect();
    reasons.sort_by_key(|reason| Reverse(reason.entries));
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::codec::encode_change;
    use crate::journal::dot::{Actor, shard_of};
    use crate::journal::op::{Attr, Change, Name, Place};
    use crate::journal::{JournalEntry, RegisterDot, RegisterId};

    const ACTOR: Actor = Actor::new(1, 7);

    fn entry(seq: u64, change: &Change) -> JournalEntry {
        let payload = encode_change(change).to_vec();
        let (inode, stamp) = (42, 100 + seq);
        let mut entry = JournalEntry::new(
            seq,
            shard_of(inode),
            1,
            stamp,
            inode,
            change.kind(),
            payload,
        );
        entry.incarnation = ACTOR.incarnation;
        if change.kind() == OpKind::SetAttr {
            entry.prev = vec![RegisterDot {
                register: RegisterId::Mode,
                actor: ACTOR,
                seq: seq - 1,
            }];
        }
        entry
    }

    #[test]
    fn what_goes_and_what_stays_adds_up_with_its_reasons() {
        let place = Place {
            parent: 1,
            name: Name::new(&b"a"[..]).unwrap(),
        };
        let create = Change::Create {
            place,
            attr: Attr::default(),
        };
        let mode = |mode| Change::SetAttr {
            attr: Attr {
                mode: Some(mode),
                ..Attr::default()
            },
        };
        let entries = vec![
            entry(1, &create),
            entry(2, &mode(0o600)),
            entry(3, &mode(0o640)),
            entry(4, &mode(0o644)),
        ];
        let batch = EntryBatch::new(1, entries, 1);
        let mut tally = Tally::default();
        let fates = tally.take(&batch);
        let told: Vec<_> = fates
            .iter()
            .map(|fate| (fate.seq, fate.outcome, fate.by))
            .collect();
        assert_eq!(
            told,
            [
                (1, Outcome::Kept, None),
                (2, Outcome::Dropped, Some(4)),
                (3, Outcome::Dropped, Some(4)),
                (4, Outcome::Kept, None),
            ]
        );
        let preview = tally.into_preview();
        let Sums {
            in_entries,
            out_entries,
            dropped_entries,
            in_bytes,
            out_bytes,
        } = preview.total;
        assert_eq!((in_entries, out_entries, dropped_entries), (4, 2, 2));
        assert!(out_bytes < in_bytes && out_bytes > 0);
        let ops: Vec<_> = preview.ops.iter().map(|op| op.op.as_str()).collect();
        assert_eq!(ops, ["create", "setattr"]);
        let why = &preview.ops[1].why;
        assert_eq!((why[0].outcome, why[0].entries), (Outcome::Dropped, 2));
        assert!(why[0].why.starts_with("folded"), "{why:?}");
        assert_eq!((why[1].outcome, why[1].entries), (Outcome::Kept, 1));
        assert_eq!(preview.batches, 1);
    }
}
