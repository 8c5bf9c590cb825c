//! Pure: what goes from the trash and what stays.
//!
//! Nothing goes before its grace is over: a program may still write to it. Then what no conflict is about goes, unless
//! removed files are to be kept as well. Losers stay as long as conflicts are kept; where they take more room than
//! they may, settled and acknowledged ones go first, and one that nobody looked at never goes before its time.

use super::Displaced;
use crate::content::Claim;

/// How much of the trash is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrashLimits {
    /// Nothing younger is removed.
    pub grace_us: u64,
    /// Everything older is removed.
    pub retention_us: u64,
    /// Bytes on disk above which losers go before their time.
    pub bytes_max: u64,
    /// Files that were only removed or replaced are kept like losers.
    pub keep_deleted: bool,
}

impl Default for TrashLimits {
    /// A minute for late writers, 30 days as for conflicts (CORRECTNESS 1.9), no limit of bytes.
    fn default() -> Self {
        Self {
            grace_us: super::late::CHECKS_US[1],
            retention_us: 30 * 86_400 * 1_000_000,
            bytes_max: u64::MAX,
            keep_deleted: false,
        }
    }
}

/// One file of the trash with what decides about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The file.
    pub file: Displaced,
    /// Its bytes on disk.
    pub bytes: u64,
    /// What conflicts want with it.
    pub claim: Claim,
}

/// What is to be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// These, in this order.
    pub remove: Vec<Displaced>,
    /// Bytes on disk of what stays.
    pub bytes: u64,
    /// What stays is still more than it may be: open conflicts hold it.
    pub over: bool,
}

/// Decides about every file; `kept` is sorted by age, oldest first.
#[must_use]
pub fn plan(kept: &[Kept], now_us: u64, limits: &TrashLimits) -> Plan {
    let mut plan = Plan {
        bytes: kept.iter().map(|one| one.bytes).sum(),
        ..Plan::default()
    };
    let age = |one: &Kept| now_us.saturating_sub(one.file.at_us);
    let (mut stays, mut young) = (Vec::new(), 0);
    for one in kept {
        let unwanted = one.claim == Claim::Nothing && !limits.keep_deleted;
        if age(one) < limits.grace_us {
            young += one.bytes;
        } else if unwanted || age(one) > limits.retention_us {
            plan.take(one);
        } else {
            stays.push(one);
        }
    }
    // What waits for its grace goes soon and pushes nothing out.
    let room = limits.bytes_max.saturating_add(young);
    for claim in [Claim::Nothing, Claim::Settled] {
        for one in stays.iter().filter(|one| one.claim == claim) {
            if plan.bytes > room {
                plan.take(one);
            }
        }
    }
    plan.over = plan.bytes > room;
    plan
}

impl Plan {
    fn take(&mut self, one: &Kept) {
        self.bytes = self.bytes.saturating_sub(one.bytes);
        self.remove.push(one.file.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{name, parse};
    use super::*;

    const LIMITS: TrashLimits = TrashLimits {
        grace_us: 10,
        retention_us: 80,
        bytes_max: 100,
        keep_deleted: false,
    };

    fn kept(at_us: u64, bytes: u64, claim: Claim) -> Kept {
        let file = parse(&name(7, at_us, 1, None)).unwrap();
        Kept { file, bytes, claim }
    }

    /// Times of those that go, at 1000.
    fn gone(kept: &[Kept], limits: &TrashLimits) -> (Vec<u64>, bool) {
        let plan = plan(kept, 1_000, limits);
        let times = plan.remove.iter().map(|file| file.at_us);
        (times.collect(), plan.over)
    }

    #[test]
    fn what_no_conflict_is_about_goes_when_its_grace_is_over() {
        let trash = [
            kept(980, 1, Claim::Nothing),
            kept(985, 1, Claim::Open),
            kept(995, 1, Claim::Nothing),
        ];
        assert_eq!(gone(&trash, &LIMITS), (vec![980], false));
        let all = TrashLimits {
            keep_deleted: true,
            ..LIMITS
        };
        assert_eq!(gone(&trash, &all), (vec![], false));
    }

    #[test]
    fn everything_goes_in_the_end() {
        let trash = [
            kept(910, 1, Claim::Open),
            kept(915, 1, Claim::Settled),
            kept(930, 1, Claim::Open),
        ];
        assert_eq!(gone(&trash, &LIMITS), (vec![910, 915], false));
    }

    #[test]
    fn for_room_settled_ones_go_first_oldest_first_and_open_ones_never() {
        let trash = [
            kept(930, 60, Claim::Open),
            kept(940, 30, Claim::Settled),
            kept(950, 30, Claim::Settled),
            kept(960, 20, Claim::Settled),
        ];
        assert_eq!(gone(&trash, &LIMITS), (vec![940, 950], false).clone());
        let held = [
            kept(930, 90, Claim::Open),
            kept(940, 90, Claim::Open),
            kept(950, 1, Claim::Settled),
        ];
        assert_eq!(gone(&held, &LIMITS), (vec![950], true));
    }

    #[test]
    fn what_waits_for_its_grace_pushes_no_loser_out() {
        let trash = [
            kept(950, 90, Claim::Settled),
            kept(995, 500, Claim::Nothing),
        ];
        assert_eq!(gone(&trash, &LIMITS), (vec![], false));
    }

    #[test]
    fn a_clock_that_stepped_back_removes_nothing() {
        let trash = [kept(2_000, 1, Claim::Nothing)];
        assert_eq!(gone(&trash, &LIMITS), (vec![], false));
    }
}
