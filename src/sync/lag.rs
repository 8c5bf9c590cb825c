//! Pure: how far a site is behind another one, counted in entries.
//!
//! Unknown is not zero: a stream of which nothing was received is as far behind as it is long. A tip below the
//! position (an older report, or a journal that was made anew) is no lag, and no reason to underflow either.

/// Entries behind `position`, the last one taken, in a stream that ends at `tip`.
#[must_use]
pub const fn entries_behind(tip: u64, position: u64) -> u64 {
    tip.saturating_sub(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_which_nothing_came_is_as_far_behind_as_it_is_long() {
        assert_eq!(entries_behind(700, 0), 700);
    }

    #[test]
    fn a_stream_at_its_tip_or_past_an_older_one_has_no_lag() {
        assert_eq!((entries_behind(9, 9), entries_behind(4, 9)), (0, 0));
    }
}
