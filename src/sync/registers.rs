//! Pure: which registers an operation writes, and what an entry by itself tells of its author's knowledge.
//!
//! One table for everyone who asks: the author, the compactor and the detector. If they disagreed, compaction could
//! swallow a version that the merge would have compared.

use crate::error::Result;
use crate::journal::codec::decode_change;
use crate::journal::dot::Seen;
use crate::journal::entry::{JournalEntry, RegisterId};
use crate::journal::op::{Attr, Change, OpKind};

/// The registers that `change`, on the hard link `link`, writes.
#[must_use]
pub fn registers_of(change: &Change, link: u64) -> Vec<RegisterId> {
    match change {
        Change::Create { attr, .. } | Change::Symlink { attr, .. } => {
            let mut registers = attr_registers(attr);
            registers.push(RegisterId::LinkPlace(link));
            registers
        }
        Change::MkDir { attr, .. } => {
            let mut registers = attr_registers(attr);
            registers.push(RegisterId::DirPlace);
            registers
        }
        Change::Link { .. }
        | Change::Unlink { dir: false, .. }
        | Change::Rename { dir: false, .. } => vec![RegisterId::LinkPlace(link)],
        Change::Unlink { dir: true, .. } | Change::Rename { dir: true, .. } => {
            vec![RegisterId::DirPlace]
        }
        Change::Write { mode, .. } | Change::Truncate { mode, .. } => {
            let mut registers = vec![RegisterId::Content];
            registers.extend(mode.map(|_| RegisterId::Mode));
            registers
        }
        Change::SetAttr { attr } => attr_registers(attr),
        Change::SetXattr { name, .. } | Change::RemoveXattr { name } => {
            vec![RegisterId::Xattr(name.clone())]
        }
        Change::Noop
        | Change::ConflictAck { .. }
        | Change::Member { .. }
        | Change::ResumePoint
        | Change::Horizon(_) => Vec::new(),
    }
}

/// The registers that `entry` writes, by its payload.
///
/// # Errors
/// [`crate::ReplError::Serialization`] when the payload does not decode.
pub fn registers_of_entry(entry: &JournalEntry) -> Result<Vec<RegisterId>> {
    Ok(registers_of(&decode_change(entry)?, entry.link))
}

/// The registers that an operation of the kind `op` may write, for a payload that this library did not encode.
/// Extended attributes share the empty name, because the real one is not known.
#[must_use]
pub fn registers_by_kind(op: OpKind, link: u64) -> Vec<RegisterId> {
    match op {
        OpKind::Write | OpKind::Truncate => vec![RegisterId::Content],
        OpKind::SetAttr => vec![
            RegisterId::Mode,
            RegisterId::Owner,
            RegisterId::Times,
            RegisterId::Flags,
        ],
        OpKind::SetXattr | OpKind::RemoveXattr => vec![RegisterId::Xattr(bytes::Bytes::new())],
        OpKind::Create | OpKind::Symlink | OpKind::Link | OpKind::Unlink | OpKind::Rename => {
            vec![RegisterId::LinkPlace(link)]
        }
        OpKind::MkDir => vec![RegisterId::DirPlace],
        OpKind::Noop
        | OpKind::ConflictAck
        | OpKind::Member
        | OpKind::ResumePoint
        | OpKind::Horizon => Vec::new(),
    }
}

/// What `entry` alone proves that its author had seen: its own site's history, and every actor up to the versions that
/// it replaced or overrode. A lower bound of the context that its batch declares, exact for the versions it names.
#[must_use]
pub fn context_of(entry: &JournalEntry) -> Seen {
    let mut seen = Seen::new();
    for version in entry.prev.iter().chain(&entry.overrides) {
        seen.advance(version.actor, version.seq);
    }
    for (actor, seq) in &entry.seen_except {
        seen.set(*actor, *seq);
    }
    seen.set(entry.actor(), entry.seq.saturating_sub(1));
    seen
}

fn attr_registers(attr: &Attr) -> Vec<RegisterId> {
    let mut registers = Vec::new();
    registers.extend(attr.mode.map(|_| RegisterId::Mode));
    registers.extend(attr.owner.map(|_| RegisterId::Owner));
    registers.extend(attr.mtime.map(|_| RegisterId::Times));
    registers.extend(attr.flags.map(|_| RegisterId::Flags));
    registers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::dot::Actor;
    use crate::journal::entry::RegisterDot;
    use crate::journal::op::Content;

    #[test]
    fn a_write_touches_the_mode_only_when_it_carries_one() {
        let write = |mode| Change::Write {
            content: Content::default(),
            mode,
        };
        assert_eq!(registers_of(&write(None), 9), [RegisterId::Content]);
        assert_eq!(
            registers_of(&write(Some(0o755)), 9),
            [RegisterId::Content, RegisterId::Mode]
        );
    }

    #[test]
    fn every_kind_that_changes_a_tree_touches_a_register() {
        for op in OpKind::ALL {
            assert_eq!(registers_by_kind(op, 1).is_empty(), op.is_control());
        }
    }

    #[test]
    fn an_entry_proves_what_it_replaced_less_its_exceptions() {
        let (other, third) = (Actor::new(2, 5), Actor::new(3, 5));
        let version = |actor, seq| RegisterDot {
            register: RegisterId::Content,
            actor,
            seq,
        };
        let mut entry = JournalEntry::new(4, 0, 1, 9, 9, OpKind::Write, vec![]);
        entry.prev = vec![version(other, 7)];
        entry.overrides = vec![version(third, 3), version(other, 2)];
        entry.seen_except = vec![(third, 1)];
        let seen = context_of(&entry);
        assert_eq!(
            [other, third, entry.actor()].map(|actor| seen.get(actor)),
            [7, 1, 3]
        );
    }
}
