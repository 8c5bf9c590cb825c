//! Pure: when a site deletes so much that applying from it is held until a human looked at it.

use std::collections::{BTreeMap, VecDeque};

/// What counts as a mass deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrakeRules {
    /// More than this share of the files, in percent. 100: never.
    pub percent: u8,
    /// Trees with fewer files are not looked at: a large part of them is quickly and rightly deleted.
    pub files_min: u64,
    /// Deletions count together within this time.
    pub window_us: u64,
}

impl Default for BrakeRules {
    fn default() -> Self {
        Self {
            percent: 50,
            files_min: 1_000,
            window_us: 60_000_000,
        }
    }
}

impl BrakeRules {
    /// Whether `removed` files can be a mass deletion at all, whatever the size of the tree: then it is worth counting.
    #[must_use]
    pub const fn is_worth_counting(&self, removed: u64) -> bool {
        self.is_mass(self.files_min, removed)
    }

    /// Whether removing `removed` of `files` is a mass deletion.
    #[must_use]
    pub const fn is_mass(&self, files: u64, removed: u64) -> bool {
        self.percent < 100
            && files >= self.files_min
            && removed as u128 * 100 > files as u128 * self.percent as u128
    }
}

/// Why a site is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Wall clock at which it was put on hold.
    pub since_us: u64,
    /// Files that it removed within the window, or is about to.
    pub removed: u64,
    /// Files that there were.
    pub files: u64,
}

/// Deletions of every site within the window. The engine owns it; it is forgotten at a restart, when what is not
/// applied yet still counts.
#[derive(Debug, Clone, Default)]
pub struct DeleteBrake {
    recent: BTreeMap<u64, VecDeque<(u64, u64)>>,
}

impl DeleteBrake {
    /// A site's deletion of `count` files was applied at `now_us`.
    pub fn removed(&mut self, rules: &BrakeRules, site_id: u64, now_us: u64, count: u64) {
        self.within(rules, site_id, now_us);
        self.recent
            .entry(site_id)
            .or_default()
            .push_back((now_us, count));
    }

    /// Files of which a site's deletion was applied within the window.
    pub fn within(&mut self, rules: &BrakeRules, site_id: u64, now_us: u64) -> u64 {
        let Some(recent) = self.recent.get_mut(&site_id) else {
            return 0;
        };
        while let Some((at, _)) = recent.front().copied()
            && at.saturating_add(rules.window_us) <= now_us
        {
            recent.pop_front();
        }
        recent.iter().map(|(_, count)| count).sum()
    }

    /// The same of all sites.
    pub fn total(&mut self, rules: &BrakeRules, now_us: u64) -> u64 {
        let sites: Vec<u64> = self.recent.keys().copied().collect();
        let of_all = sites.into_iter();
        of_all.map(|site| self.within(rules, site, now_us)).sum()
    }

    /// An operator meant it.
    pub fn forget(&mut self, site_id: u64) {
        self.recent.remove(&site_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_large_tree_is_a_mass_deletion() {
        let rules = BrakeRules::default();
        assert!(!rules.is_mass(999, 999));
        assert!(!rules.is_mass(1_000, 500));
        assert!(rules.is_mass(1_000, 501));
        assert!(!rules.is_worth_counting(500));
        let off = BrakeRules {
            percent: 100,
            ..rules
        };
        assert!(!off.is_mass(1_000, u64::MAX));
    }

    #[test]
    fn deletions_add_up_by_site_within_the_window_and_are_forgotten_after_it() {
        let rules = BrakeRules::default();
        let mut brake = DeleteBrake::default();
        brake.removed(&rules, 1, 0, 400);
        brake.removed(&rules, 1, 10, 101);
        brake.removed(&rules, 2, 10, 7);
        assert_eq!(brake.within(&rules, 1, 10), 501);
        assert_eq!(brake.total(&rules, 10), 508);
        assert_eq!(brake.within(&rules, 1, rules.window_us), 101);
        assert_eq!(brake.within(&rules, 2, rules.window_us), 7);
        brake.forget(2);
        assert_eq!(brake.within(&rules, 2, 10), 0);
    }
}
