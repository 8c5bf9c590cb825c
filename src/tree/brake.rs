//! Pure: when deleting is stopped until a human looked at it.

use std::collections::VecDeque;

/// Deletions are judged from this many files on; below, a large part of a tree is quickly and rightly deleted.
pub const MASS_DELETE_FILES: u64 = 1_000;
/// Deletions count together within this time.
pub const MASS_DELETE_WINDOW_US: u64 = 60_000_000;

/// Whether deleting `deleted` of `files` (both within the window) is a mass deletion: more than half of a tree that
/// is not small.
#[must_use]
pub const fn is_mass_delete(files: u64, deleted: u64) -> bool {
    files >= MASS_DELETE_FILES && deleted > files / 2
}

/// Deletions of one origin within the window.
#[derive(Debug, Clone, Default)]
pub struct DeleteBrake {
    recent: VecDeque<(u64, u64)>,
    total: u64,
}

impl DeleteBrake {
    /// Counts `deleted` at `now_us`; true when, with what went before, it is a mass deletion of a tree that had
    /// `files` files before this one.
    pub fn judge(&mut self, now_us: u64, files: u64, deleted: u64) -> bool {
        while let Some((at, count)) = self.recent.front().copied()
            && at.saturating_add(MASS_DELETE_WINDOW_US) <= now_us
        {
            self.recent.pop_front();
            self.total -= count;
        }
        let before = files.saturating_add(self.total);
        if deleted > 0 {
            self.recent.push_back((now_us, deleted));
            self.total += deleted;
        }
        is_mass_delete(before, self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_large_tree_within_a_minute_is_a_mass_deletion() {
        assert!(!is_mass_delete(999, 999));
        assert!(!is_mass_delete(1_000, 500));
        assert!(is_mass_delete(1_000, 501));
    }

    #[test]
    fn deletions_add_up_within_the_window_and_are_forgotten_after_it() {
        let mut brake = DeleteBrake::default();
        assert!(!brake.judge(0, 1_000, 400));
        assert!(brake.judge(10, 600, 101));
        let mut brake = DeleteBrake::default();
        assert!(!brake.judge(0, 2_000, 900));
        assert!(!brake.judge(MASS_DELETE_WINDOW_US, 1_100, 500));
    }
}
