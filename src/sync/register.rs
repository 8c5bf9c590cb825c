//! Pure: a multi-value register: the set of versions that no other version has seen, the greatest key shown.
//!
//! Whether two versions are concurrent is decided by their contexts alone, exactly: all versions of a register stand
//! in one stream, and an actor's entries of a stream are merged gap-free, so a version was seen if and only if the
//! context reaches its seq. The key only picks the winner among the concurrent.
//!
//! Actors' streams arrive in any order, so a version may come after one that replaced it, and what it had seen itself
//! after that. A register therefore remembers the contexts of versions that are gone: whoever replaced a version has
//! replaced what that one had replaced.

use crate::journal::dot::{Dot, LwwKey, Seen};

/// One version of a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version<T> {
    /// Order and name of the version.
    pub key: LwwKey,
    /// Hybrid clock of its author.
    pub hlc_us: u64,
    /// What its author had merged.
    pub seen: Seen,
    /// The after-image.
    pub value: T,
}

impl<T> Version<T> {
    /// The entry that wrote it.
    pub const fn dot(&self) -> Dot {
        self.key.dot()
    }

    /// Neither author had seen the other's version.
    pub fn concurrent_with<U>(&self, other: &Version<U>) -> bool {
        !self.seen.has(other.dot()) && !other.seen.has(self.dot()) && self.dot() != other.dot()
    }
}

/// What became of a version that was merged into a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged<T> {
    /// It was there, or a version there had seen it.
    Stale {
        /// Versions that are gone from the register because its author had seen them.
        dominated: Vec<Version<T>>,
    },
    /// It is part of the register.
    Taken {
        /// Versions that it had seen: gone from the register.
        dominated: Vec<Version<T>>,
        /// It has the greatest key.
        wins: bool,
        /// The register holds concurrent versions: all but the winner have lost.
        contested: bool,
    },
}

/// Versions of one register, none of which has seen another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register<T> {
    versions: Vec<Version<T>>,
    /// What versions that are gone had seen, as far as those that are left had not; almost always empty.
    gone: Seen,
}

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self {
            versions: Vec::new(),
            gone: Seen::new(),
        }
    }
}

impl<T> Register<T> {
    /// A register as it was stored, all its versions still in their first context.
    pub const fn from_versions(versions: Vec<Version<T>>) -> Self {
        Self {
            versions,
            gone: Seen::new(),
        }
    }

    /// The same register with the context of versions that are gone, as [`Register::gone`] told it.
    #[must_use]
    pub fn with_gone(mut self, gone: Seen) -> Self {
        self.gone = gone;
        self
    }

    /// What versions that are gone had seen, as far as the versions that are left had not. To be stored with them.
    pub const fn gone(&self) -> &Seen {
        &self.gone
    }

    /// All versions, in no particular order.
    pub fn versions(&self) -> &[Version<T>] {
        &self.versions
    }

    /// The version that is shown.
    pub fn winner(&self) -> Option<&Version<T>> {
        self.versions.iter().max_by_key(|version| version.key)
    }

    /// The entries that wrote its versions.
    pub fn dots(&self) -> impl Iterator<Item = Dot> {
        self.versions.iter().map(Version::dot)
    }

    /// Versions that lost against the winner.
    pub fn losers(&self) -> impl Iterator<Item = &Version<T>> {
        let winner = self.winner().map(|version| version.key);
        self.versions
            .iter()
            .filter(move |version| Some(version.key) != winner)
    }

    /// Whether nobody wrote it.
    pub const fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Merges one version. The result does not depend on the order in which versions arrive, nor on repetition.
    pub fn merge(&mut self, version: Version<T>) -> Merged<T> {
        let dot = version.dot();
        if self.versions.iter().any(|known| known.dot() == dot) {
            return Merged::Stale {
                dominated: Vec::new(),
            };
        }
        if self.covers(dot) {
            self.gone.join(&version.seen);
            let dominated = self.take_covered();
            return Merged::Stale { dominated };
        }
        let key = version.key;
        self.versions.push(version);
        let dominated = self.take_covered();
        let wins = self.winner().is_some_and(|winner| winner.key == key);
        Merged::Taken {
            dominated,
            wins,
            contested: self.versions.len() > 1,
        }
    }

    /// Merges all that another register of the same name knows. Returns versions that are gone from this one.
    pub fn join(&mut self, other: Self) -> Vec<Version<T>> {
        self.gone.join(&other.gone);
        let mut gone = Vec::new();
        for version in other.versions {
            match self.merge(version) {
                Merged::Stale { dominated } | Merged::Taken { dominated, .. } => {
                    gone.extend(dominated);
                }
            }
        }
        gone.extend(self.take_covered());
        gone
    }

    /// Whether a version other than `dot` itself, here or gone, had seen it.
    fn covers(&self, dot: Dot) -> bool {
        let mut others = self.versions.iter().filter(|known| known.dot() != dot);
        self.gone.has(dot) || others.any(|known| known.seen.has(dot))
    }

    /// Takes out the versions that another one had seen. One is always left, even if a hostile peer's contexts claim
    /// each other.
    fn take_covered(&mut self) -> Vec<Version<T>> {
        let mut dominated = Vec::new();
        while self.versions.len() > 1
            && let Some(at) = (self.versions.iter()).position(|known| self.covers(known.dot()))
        {
            let version = self.versions.remove(at);
            self.gone.join(&version.seen);
            dominated.push(version);
        }
        let mut left = Seen::new();
        for version in &self.versions {
            left.join(&version.seen);
        }
        if self.gone.iter().all(|(actor, seq)| left.get(actor) >= seq) {
            self.gone = Seen::new();
        }
        dominated
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::journal::dot::Actor;
    use super::*;

    fn version(site: u64, seq: u64, ts: u64, seen: &[(u64, u64)]) -> Version<u64> {
        let dot = Dot::new(Actor::new(site, 1), 0, seq);
        let mut seen: Seen = seen.iter().map(|(s, q)| (Actor::new(*s, 1), *q)).collect();
        seen.set(Actor::new(site, 1), seq - 1);
        Version {
            key: LwwKey::new(ts, dot),
            hlc_us: ts,
            seen,
            value: ts,
        }
    }

    #[test]
    fn a_version_that_saw_another_replaces_it_even_with_a_smaller_clock_difference() {
        let mut register = Register::default();
        register.merge(version(1, 1, 10, &[]));
        let merged = register.merge(version(2, 1, 11, &[(1, 1)]));
        assert!(
            matches!(merged, Merged::Taken { dominated, wins: true, contested: false } if dominated.len() == 1)
        );
        assert!(matches!(
            register.merge(version(1, 1, 10, &[])),
            Merged::Stale { .. }
        ));
    }

    #[test]
    fn concurrent_versions_stay_and_the_greater_key_is_shown() {
        let mut register = Register::default();
        register.merge(version(1, 1, 20, &[]));
        let merged = register.merge(version(2, 1, 10, &[]));
        assert!(matches!(
            merged,
            Merged::Taken {
                wins: false,
                contested: true,
                ..
            }
        ));
        assert_eq!(register.winner().unwrap().value, 20);
        assert_eq!(register.losers().map(|v| v.value).collect::<Vec<_>>(), [10]);
    }

    #[test]
    fn a_version_seen_by_way_of_another_is_gone_although_its_successor_comes_late() {
        let (first, second) = (version(1, 1, 10, &[]), version(2, 1, 11, &[(1, 1)]));
        let third = version(3, 1, 12, &[(2, 1)]);
        for order in [[2, 0, 1], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
            let versions = [&first, &second, &third];
            let mut register = Register::default();
            for index in order {
                register.merge(versions[index].clone());
            }
            let left: Vec<u64> = register.versions().iter().map(|v| v.value).collect();
            assert_eq!(left, [12], "{order:?}");
        }
    }

    #[test]
    fn versions_that_claim_each_other_leave_one() {
        let mut register = Register::default();
        register.merge(version(1, 1, 10, &[(2, 9), (3, 9)]));
        register.merge(version(2, 1, 11, &[(1, 9), (3, 9)]));
        register.merge(version(3, 1, 12, &[(1, 9), (2, 9)]));
        assert_eq!(register.versions().len(), 1);
    }

    /// Versions of three sites, some of which had seen others.
    fn history() -> [Version<u64>; 6] {
        [
            version(1, 1, 10, &[]),
            version(2, 1, 12, &[]),
            version(1, 2, 15, &[(2, 1)]),
            version(3, 1, 14, &[(1, 1)]),
            version(3, 2, 20, &[(1, 1), (2, 1)]),
            version(2, 2, 19, &[(1, 1)]),
        ]
    }

    proptest! {
        #[test]
        fn two_registers_become_one_as_if_every_version_had_come_by_itself(
            here in prop::collection::vec(0..6usize, 0..8), there in prop::collection::vec(0..6usize, 0..8),
        ) {
            let versions = history();
            let merged = |order: &[usize]| {
                let mut register = Register::default();
                for index in order {
                    register.merge(versions[*index].clone());
                }
                register
            };
            let mut joined = merged(&here);
            joined.join(merged(&there));
            let all = merged(&[here, there].concat());
            let left = |register: &Register<u64>| {
                let mut left: Vec<u64> = register.versions().iter().map(|v| v.value).collect();
                left.sort_unstable();
                left
            };
            prop_assert_eq!(left(&joined), left(&all));
            // What comes later is judged alike.
            for late in versions {
                let (mut joined, mut all) = (joined.clone(), all.clone());
                joined.merge(late.clone());
                all.merge(late);
                prop_assert_eq!(left(&joined), left(&all));
            }
        }

        #[test]
        fn the_order_of_arrival_does_not_matter(order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle()) {
            let versions = history();
            let mut register = Register::default();
            for index in order {
                register.merge(versions[index].clone());
            }
            let mut left: Vec<u64> = register.versions().iter().map(|v| v.value).collect();
            left.sort_unstable();
            prop_assert_eq!(left, [15, 19, 20]);
        }
    }
}
