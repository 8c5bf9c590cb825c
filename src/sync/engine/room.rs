//! Pure: when a full disk is written to again.

use std::time::Duration;

/// A rest is this many times as long as it took to open everything again, so that a full disk costs a tenth of a core.
const REST_FACTOR: u32 = 10;
/// The longest rest: this long after there is room again, work goes on at the latest.
const REST_MAX: Duration = Duration::from_secs(10);
/// Failures that lie further apart are not of one time without room.
const ONE_TIME: Duration = Duration::from_secs(60);

/// What is known of a disk that was full.
#[derive(Debug, Default)]
pub(super) struct Full {
    failed_at: Option<Duration>,
    /// The failure before was not long ago.
    again: bool,
    rests_until: Duration,
}

impl Full {
    /// A write found no room. The first time everything is tried again at once: most often little was missing.
    pub(super) fn failed(&mut self, now: Duration) {
        let before = self.failed_at.replace(now);
        self.again = before.is_some_and(|at| now.saturating_sub(at) < ONE_TIME);
    }

    /// Everything was opened again, from `began` until `now`.
    pub(super) fn opened(&mut self, began: Duration, now: Duration) {
        if self.again {
            let rest = now.saturating_sub(began).saturating_mul(REST_FACTOR);
            self.rests_until = now + rest.min(REST_MAX);
        }
        self.again = false;
    }

    /// Whether writing rests.
    pub(super) fn rests(&self, now: Duration) -> bool {
        now < self.rests_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn failing(full: &mut Full, at: Duration, took: Duration) -> Duration {
        full.failed(at);
        full.opened(at, at + took);
        at + took
    }

    #[test]
    fn the_first_failure_is_followed_by_another_try_at_once() {
        let mut full = Full::default();
        let now = failing(&mut full, s(100), s(1));
        assert!(!full.rests(now));
    }

    #[test]
    fn a_second_failure_rests_ten_times_as_long_as_opening_took() {
        let mut full = Full::default();
        let now = failing(&mut full, s(100), s(0));
        let now = failing(&mut full, now, Duration::from_millis(500));
        assert!(full.rests(now));
        assert!(full.rests(now + Duration::from_millis(4_999)));
        assert!(!full.rests(now + s(5)));
    }

    #[test]
    fn a_rest_is_never_longer_than_ten_seconds() {
        let mut full = Full::default();
        let now = failing(&mut full, s(100), s(9));
        let now = failing(&mut full, now, s(30));
        assert!(full.rests(now + Duration::from_millis(9_999)));
        assert!(!full.rests(now + s(10)));
    }

    #[test]
    fn failures_that_lie_far_apart_are_each_a_first_one() {
        let mut full = Full::default();
        let now = failing(&mut full, s(100), s(1));
        let now = failing(&mut full, now + s(60), s(1));
        assert!(!full.rests(now));
    }

    #[test]
    fn opening_again_for_another_reason_is_no_rest() {
        let mut full = Full::default();
        let now = failing(&mut full, s(100), s(0));
        let now = failing(&mut full, now, s(0));
        full.opened(now, now + s(5));
        assert!(!full.rests(now + s(5)));
    }
}
