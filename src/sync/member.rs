//! Pure: which journals take part, which one brought the tree, and which were fenced.
//!
//! Decisions are entries of the control stream, so every site comes to the same list in whatever order they arrive:
//! the later stage of a life wins, and of equal decisions the first one.

use crate::journal::dot::{Actor, LwwKey};
use crate::journal::op::MemberState;

/// What is known of one journal's part in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// Name of its site.
    pub name: String,
    /// What it is.
    pub state: MemberState,
    /// The entry that says so.
    pub key: LwwKey,
    /// Its site had a tree with files before it met any other one: it brought the tree of the cluster.
    pub founder: bool,
}

/// A journal with what is known of its part.
pub type Member = (Actor, MemberRecord);

impl MemberRecord {
    /// This record after `other` of the same journal came in.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let founder = self.founder || other.founder;
        let later = (stage(other.state), std::cmp::Reverse(other.key))
            > (stage(self.state), std::cmp::Reverse(self.key));
        let winner = if later { other } else { self };
        Self { founder, ..winner }
    }
}

/// A fence is never taken back, and neither is a farewell.
const fn stage(state: MemberState) -> u8 {
    match state {
        MemberState::Active => 0,
        MemberState::Fenced => 1,
        MemberState::Removed => 2,
    }
}

/// The membership epoch: how many journals were shut out so far. It only grows, and is equal where the same decisions
/// arrived.
#[must_use]
pub fn epoch(members: &[Member]) -> u32 {
    let out = members.iter().filter(|(_, record)| stage(record.state) > 0);
    u32::try_from(out.count()).unwrap_or(u32::MAX)
}

/// The journal of the site that brought the tree; the earliest one where several say so.
#[must_use]
pub fn founder(members: &[Member]) -> Option<Actor> {
    let founders = members.iter().filter(|(_, record)| record.founder);
    founders
        .min_by_key(|(_, record)| record.key)
        .map(|(actor, _)| *actor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::dot::Dot;

    fn record(stamp: u64, state: MemberState) -> MemberRecord {
        MemberRecord {
            name: "c".to_owned(),
            state,
            key: LwwKey::new(stamp, Dot::new(Actor::new(1, 1), 256, stamp)),
            founder: state == MemberState::Active,
        }
    }

    #[test]
    fn decisions_about_a_journal_merge_alike_in_every_order() {
        use MemberState::{Active, Fenced, Removed};
        let all = [
            record(1, Active),
            record(5, Fenced),
            record(3, Fenced),
            record(2, Removed),
        ];
        let merged = |order: &[usize]| {
            let mut records = order.iter().filter_map(|at| all.get(*at).cloned());
            let first = records.next().unwrap();
            records.fold(first, MemberRecord::merged)
        };
        let fenced = merged(&[0, 1, 2]);
        assert_eq!((fenced.state, fenced.key), (Fenced, all[2].key));
        assert!(fenced.founder, "a fence does not undo who brought the tree");
        for order in [[2, 1, 0], [1, 0, 2], [0, 2, 1]] {
            assert_eq!(merged(&order), fenced);
        }
        assert_eq!(merged(&[3, 1, 0]).state, Removed);
        assert_eq!(merged(&[1, 3, 0]).state, Removed);
    }

    #[test]
    fn the_epoch_counts_journals_that_are_out() {
        let member = |site, state| (Actor::new(site, 9), record(site, state));
        let members = [
            member(1, MemberState::Active),
            member(2, MemberState::Fenced),
            member(3, MemberState::Removed),
        ];
        assert_eq!(epoch(&members), 2);
        assert_eq!(founder(&members), Some(Actor::new(1, 9)));
        assert_eq!((epoch(&[]), founder(&[])), (0, None));
    }
}
