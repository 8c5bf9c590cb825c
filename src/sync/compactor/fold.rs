//! Pure: the swallow rule, over the entries of one inode in one stream.
//!
//! One pass by seq. `last` holds, for content, attributes and each extended attribute, the entry that the next one of
//! its kind may swallow; `wrote` holds which entry wrote a register last, and is what "nothing came between" means.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Fate, Reason};
use crate::journal::codec::{decode_change, encode_change};
use crate::journal::entry::{FoldedStamp, JournalEntry, RegisterId};
use crate::journal::op::{Change, OpKind};
use crate::sync::registers::{registers_by_kind, registers_of};

/// Most `prev`, `overrides` or `folded` items of an entry that others were folded into: a quarter of what the encoding
/// takes, so that even with names of 255 bytes it stays below the largest entry.
const FOLDED_ITEMS_MAX: usize = 256;

/// What may stand for what: an entry is swallowed only by one of the same kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Write and Truncate: both are after-images of the whole content.
    Content,
    /// SetAttr.
    Attr,
    /// SetXattr and RemoveXattr of one name.
    Xattr(Bytes),
}

/// An entry and what its payload says.
struct Item {
    entry: JournalEntry,
    /// None: a payload of the plain library API that this crate did not encode.
    change: Option<Change>,
    registers: Vec<RegisterId>,
    /// Why it stays, or the index of the entry that swallowed it.
    fate: Result<Reason, usize>,
}

/// The entries of one inode in one stream, by seq.
pub(super) struct Group {
    items: Vec<Item>,
    /// All of them are kept for this reason.
    kept_whole: Option<Reason>,
}

impl Group {
    pub(super) fn new(entries: Vec<JournalEntry>) -> Self {
        let ordered = entries.is_sorted_by(|a, b| a.seq < b.seq && a.timestamp_us < b.timestamp_us);
        let items: Vec<Item> = entries.into_iter().map(Item::new).collect();
        let opaque = |item: &Item| item.change.is_none() && item.entry.incarnation != 0;
        let kept_whole = if items.iter().any(|item| item.entry.op.is_control()) {
            Some(Reason::Control)
        } else if !ordered {
            Some(Reason::OutOfOrder)
        } else if items.iter().any(opaque) {
            Some(Reason::NotUnderstood)
        } else {
            None
        };
        Self { items, kept_whole }
    }

    /// The entries, those that stay with what was folded into them, and what became of each.
    pub(super) fn fold(mut self) -> (Vec<JournalEntry>, Vec<Fate>) {
        if let Some(reason) = self.kept_whole {
            let fates = vec![Fate::Kept(reason); self.items.len()];
            return (
                self.items.into_iter().map(|item| item.entry).collect(),
                fates,
            );
        }
        let mut last: BTreeMap<Kind, usize> = BTreeMap::new();
        let mut wrote: BTreeMap<RegisterId, usize> = BTreeMap::new();
        for later in 0..self.items.len() {
            if is_birth(self.items[later].entry.op) {
                // Whatever stands before it under the same number was another file.
                last.clear();
                wrote.clear();
            }
            let kind = self.items[later].kind();
            if let Some(earlier) = kind.as_ref().and_then(|kind| last.get(kind)).copied() {
                match self.refusal(earlier, later, &wrote) {
                    Some(reason) => self.items[earlier].fate = Ok(reason),
                    None => self.swallow(earlier, later),
                }
            }
            for register in &self.items[later].registers {
                wrote.insert(register.clone(), later);
            }
            last.extend(kind.map(|kind| (kind, later)));
        }
        let fates = (0..self.items.len())
            .map(|index| self.fate(index))
            .collect();
        (
            self.items.into_iter().map(|item| item.entry).collect(),
            fates,
        )
    }

    /// Why `later` may not stand for `earlier`, the one of its kind before it.
    fn refusal(
        &self,
        earlier: usize,
        later: usize,
        wrote: &BTreeMap<RegisterId, usize>,
    ) -> Option<Reason> {
        let (first, second) = (&self.items[earlier], &self.items[later]);
        let (a, b) = (&first.entry, &second.entry);
        let next = b.seq;
        let shared = |register: &&RegisterId| second.registers.contains(register);
        let replaced = |register: &RegisterId| {
            is_plain(a) && is_plain(b) || b.prev_of(register) == Some(a.key_of(register).dot())
        };
        let undisturbed = |register: &RegisterId| wrote.get(register) == Some(&earlier);
        if a.merge_gen != b.merge_gen {
            Some(Reason::ForeignBetween { next })
        } else if a.seen_except != b.seen_except {
            Some(Reason::ContextDiffers { next })
        } else if a.op == OpKind::SetAttr && first.change.is_none() | second.change.is_none() {
            // Masks that nobody can read cannot be united; only a repetition is known to be one.
            (a.payload != b.payload).then_some(Reason::NotUnderstood)
        } else if a.op != OpKind::SetAttr && !first.registers.iter().all(|r| shared(&r)) {
            Some(Reason::ModeNotCarried { next })
        } else if !first.registers.iter().filter(shared).all(replaced)
            || !first.registers.iter().all(undisturbed)
        {
            Some(Reason::NotReplaced { next })
        } else if a.overrides.len() + b.overrides.len() > FOLDED_ITEMS_MAX {
            Some(Reason::TooManyItems { next })
        } else {
            None
        }
    }

    /// Lets `later` stand for `earlier` too: it replaced what `earlier` replaced, and superseded what it superseded.
    fn swallow(&mut self, earlier: usize, later: usize) {
        let first = self.items[earlier].entry.clone();
        let first_registers = self.items[earlier].registers.clone();
        let first_change = self.items[earlier].change.clone();
        self.items[earlier].fate = Err(later);
        let Item {
            entry,
            change,
            registers,
            ..
        } = &mut self.items[later];
        for register in first_registers {
            let replaced = first.prev.iter().find(|known| known.register == register);
            entry.prev.retain(|known| known.register != register);
            entry.prev.extend(replaced.cloned());
            if registers.contains(&register) {
                continue;
            }
            let key = first.key_of(&register);
            entry.folded.push(FoldedStamp {
                register: register.clone(),
                seq: key.seq,
                timestamp_us: key.timestamp_us,
            });
            registers.push(register);
        }
        for version in first.overrides {
            if !entry.overrides.contains(&version) {
                entry.overrides.push(version);
            }
        }
        if let (Some(Change::SetAttr { attr: before }), Some(Change::SetAttr { attr })) =
            (first_change, change)
        {
            *attr = before.folded(*attr);
            entry.payload = encode_change(&Change::SetAttr { attr: *attr });
        }
        entry.first_seq = entry.first_seq.min(first.first_seq);
        entry.crc32 = entry.compute_crc();
    }

    /// The fate of an item; a swallower may have been swallowed in its turn.
    fn fate(&self, index: usize) -> Fate {
        let mut at = index;
        loop {
            match self.items[at].fate {
                Ok(reason) if at == index => return Fate::Kept(reason),
                Ok(_) => {
                    return Fate::Swallowed {
                        by: self.items[at].entry.seq,
                    };
                }
                Err(by) => at = by,
            }
        }
    }
}

impl Item {
    fn new(entry: JournalEntry) -> Self {
        let change = decode_change(&entry).ok();
        let registers = change.as_ref().map_or_else(
            || registers_by_kind(entry.op, entry.link),
            |change| registers_of(change, entry.link),
        );
        let fate = Ok(first_reason(&entry));
        Self {
            entry,
            change,
            registers,
            fate,
        }
    }

    /// None: it neither swallows nor is swallowed.
    fn kind(&self) -> Option<Kind> {
        if self.entry.txn.is_some() {
            return None;
        }
        match self.entry.op {
            OpKind::Write | OpKind::Truncate => Some(Kind::Content),
            OpKind::SetAttr => Some(Kind::Attr),
            OpKind::SetXattr | OpKind::RemoveXattr => match self.registers.first() {
                Some(RegisterId::Xattr(name)) if !name.is_empty() => {
                    Some(Kind::Xattr(name.clone()))
                }
                Some(_) | None => None,
            },
            OpKind::Create
            | OpKind::Unlink
            | OpKind::Rename
            | OpKind::Link
            | OpKind::Symlink
            | OpKind::MkDir
            | OpKind::Noop
            | OpKind::ConflictAck
            | OpKind::Member
            | OpKind::ResumePoint
            | OpKind::Horizon => None,
        }
    }
}

/// Why an entry stays if nothing later swallows it.
fn first_reason(entry: &JournalEntry) -> Reason {
    if entry.txn.is_some() {
        return Reason::Transaction;
    }
    match entry.op {
        OpKind::Write
        | OpKind::Truncate
        | OpKind::SetAttr
        | OpKind::SetXattr
        | OpKind::RemoveXattr => Reason::Latest,
        OpKind::Create
        | OpKind::Unlink
        | OpKind::Rename
        | OpKind::Link
        | OpKind::Symlink
        | OpKind::MkDir => Reason::Structural,
        OpKind::Noop
        | OpKind::ConflictAck
        | OpKind::Member
        | OpKind::ResumePoint
        | OpKind::Horizon => Reason::Control,
    }
}

const fn is_birth(op: OpKind) -> bool {
    matches!(op, OpKind::Create | OpKind::MkDir | OpKind::Symlink)
}

/// Without causal context: the plain library API, where consecutive writes of one site are taken to follow each other.
const fn is_plain(entry: &JournalEntry) -> bool {
    entry.incarnation == 0 && entry.prev.is_empty()
}
