//! Pure: whether the wall clock is believed. Stamps follow it, and one stamp of the far future would drag every clock
//! of the cluster along for ever, so a step forward that nothing explains is not followed: time goes on at the old
//! pace until something vouches for the clock.
//!
//! A site that rested or was stopped sees the clock further on than its last stamp, and that is no step: the time since
//! the machine was started went on as much. It counts suspended time too, and one anchor joins the runs of a daemon.
//! After a start of the machine there is nothing to compare with; then a peer's clock vouches, or a person.

use std::time::Duration;

use super::hlc::MAX_AHEAD;
use crate::clock::TimestampUs;

/// What the clocks of the machine show at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub wall_us: TimestampUs,
    /// Time since the machine was started.
    pub since_boot: Duration,
}

/// What is kept of the wall clock from one run to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Which start of the machine it belongs to.
    pub boot_id: u128,
    /// The wall clock, as it was believed last, less the time since that start.
    pub offset_us: i64,
}

/// The wall clock of one site, as far as it is believed.
#[derive(Debug, Clone)]
pub struct WallClock {
    boot_id: Option<u128>,
    offset_us: i64,
    ahead_us: u64,
}

impl WallClock {
    /// Goes on from what was `kept` in the same boot, else from `last_us`, the last stamp that was given or seen; zero
    /// when there was none: then the first reading is believed.
    #[must_use]
    pub fn new(
        kept: Option<Anchor>,
        boot_id: Option<u128>,
        now: Reading,
        last_us: TimestampUs,
    ) -> Self {
        let same_boot = kept.filter(|kept| boot_id == Some(kept.boot_id));
        let start_us = if last_us == 0 { now.wall_us } else { last_us };
        Self {
            boot_id,
            offset_us: same_boot.map_or_else(|| offset(start_us, now), |kept| kept.offset_us),
            ahead_us: 0,
        }
    }

    /// The time to stamp by: the wall clock, or, while that is not believed, the old pace. `last_us` is the last stamp
    /// that was given or seen; what an authenticated peer stamped is no future.
    pub fn read(&mut self, now: Reading, last_us: TimestampUs) -> TimestampUs {
        let expected = micros(now.since_boot).saturating_add(self.offset_us);
        let expected = u64::try_from(expected).unwrap_or(0).max(last_us);
        if now.wall_us > expected.saturating_add(max_ahead_us()) {
            self.ahead_us = now.wall_us - expected;
            self.offset_us = offset(expected, now);
            return expected;
        }
        self.believe(now);
        now.wall_us
    }

    /// No earlier than the wall clock was at any moment before `now` at which it was believed.
    #[must_use]
    pub fn latest(&self, now: Reading) -> TimestampUs {
        let expected = micros(now.since_boot).saturating_add(self.offset_us);
        u64::try_from(expected).unwrap_or(0).max(now.wall_us)
    }

    /// Somebody vouches for the wall clock.
    pub fn believe(&mut self, now: Reading) {
        self.ahead_us = 0;
        self.offset_us = offset(now.wall_us, now);
    }

    /// By how much the wall clock was ahead of the time at the old pace when it was read last; none when it is believed.
    #[must_use]
    pub fn ahead(&self) -> Option<Duration> {
        (self.ahead_us > 0).then(|| Duration::from_micros(self.ahead_us))
    }

    /// What the next run goes on from, if the system tells one boot from another.
    #[must_use]
    pub fn anchor(&self) -> Option<Anchor> {
        let offset_us = self.offset_us;
        self.boot_id.map(|boot_id| Anchor { boot_id, offset_us })
    }
}

/// Whether two wall clocks are so close that the stamps of one are taken where the other one is.
#[must_use]
pub fn agree(one_us: TimestampUs, other_us: TimestampUs) -> bool {
    one_us.abs_diff(other_us) <= max_ahead_us()
}

fn offset(time_us: TimestampUs, now: Reading) -> i64 {
    let time_us = i64::try_from(time_us).unwrap_or(i64::MAX);
    time_us.saturating_sub(micros(now.since_boot))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn max_ahead_us() -> u64 {
    u64::try_from(MAX_AHEAD.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000;
    /// Some day of 2026.
    const DAY: u64 = 1_790_000_000_000_000;

    fn at(wall_us: u64, since_boot_us: u64) -> Reading {
        Reading {
            wall_us,
            since_boot: Duration::from_micros(since_boot_us),
        }
    }

    fn new(kept: Option<Anchor>, now: Reading, last_us: u64) -> WallClock {
        WallClock::new(kept, Some(7), now, last_us)
    }

    #[test]
    fn the_first_reading_is_believed_and_so_is_any_rest() {
        let mut wall = new(None, at(DAY, 0), 0);
        assert_eq!(wall.read(at(DAY, 0), 0), DAY);
        assert_eq!(wall.read(at(DAY + 9 * HOUR, 9 * HOUR), DAY), DAY + 9 * HOUR);
        assert_eq!(wall.ahead(), None);
    }

    #[test]
    fn a_step_back_is_followed_and_so_is_the_one_that_mends_it() {
        let mut wall = new(None, at(DAY, 0), 0);
        assert_eq!(wall.read(at(DAY - HOUR, 1), DAY), DAY - HOUR);
        assert_eq!(
            wall.read(at(DAY + 2, 2), DAY),
            DAY + 2,
            "no later than a stamp and the bound"
        );
        assert_eq!(wall.ahead(), None);
    }

    #[test]
    fn a_small_step_forward_is_followed_and_a_large_one_only_when_it_is_vouched_for() {
        let mut wall = new(None, at(DAY, 0), 0);
        let minute = 60_000_000;
        assert_eq!(wall.read(at(DAY + 5 * minute, 0), DAY), DAY + 5 * minute);
        let last = DAY + 5 * minute;
        assert_eq!(
            wall.read(at(last + HOUR, 10), last),
            last + 10,
            "the old pace"
        );
        assert_eq!(wall.ahead(), Some(Duration::from_micros(HOUR - 10)));
        assert_eq!(
            wall.read(at(last + HOUR + minute, 10 + minute), last),
            last + 10 + minute
        );
        wall.believe(at(last + HOUR + minute, 10 + minute));
        assert_eq!(wall.ahead(), None);
        assert_eq!(
            wall.read(at(last + HOUR + minute, 10 + minute), last),
            last + HOUR + minute
        );
    }

    #[test]
    fn a_doubted_clock_that_is_set_right_is_believed() {
        let mut wall = new(None, at(DAY, 0), 0);
        wall.read(at(DAY + HOUR, 0), DAY);
        assert!(wall.ahead().is_some());
        assert_eq!(wall.read(at(DAY + 20, 20), DAY + 5), DAY + 20);
        assert_eq!(wall.ahead(), None);
    }

    #[test]
    fn what_a_peer_stamped_is_no_future() {
        let mut wall = new(None, at(DAY, 0), 0);
        wall.read(at(DAY + HOUR, 0), DAY);
        assert!(wall.ahead().is_some());
        assert_eq!(wall.read(at(DAY + HOUR + 5, 5), DAY + HOUR), DAY + HOUR + 5);
        assert_eq!(wall.ahead(), None);
    }

    #[test]
    fn a_stop_is_bridged_within_one_boot_and_doubted_beyond_it() {
        let mut wall = new(None, at(DAY, HOUR), 0);
        wall.read(at(DAY, HOUR), 0);
        let kept = wall.anchor();
        let later = at(DAY + 9 * HOUR, 10 * HOUR);
        assert_eq!(new(kept, later, DAY).read(later, DAY), DAY + 9 * HOUR);

        let booted = at(DAY + 9 * HOUR, 0);
        let mut other = WallClock::new(kept, Some(8), booted, DAY);
        assert_eq!(other.read(booted, DAY), DAY);
        assert_eq!(other.ahead(), Some(Duration::from_micros(9 * HOUR)));
        let soon = at(DAY + 4, 0);
        assert_eq!(
            WallClock::new(kept, Some(8), soon, DAY).read(soon, DAY),
            DAY + 4
        );
    }

    #[test]
    fn the_latest_moment_is_known_although_the_clock_stepped_back() {
        let mut wall = new(None, at(DAY, 0), 0);
        wall.read(at(DAY + 5, 5), DAY);
        assert_eq!(wall.latest(at(DAY - HOUR, 10)), DAY + 10);
        assert_eq!(wall.latest(at(DAY + 20, 10)), DAY + 20);
    }

    #[test]
    fn a_doubt_outlasts_a_stop() {
        let mut wall = new(None, at(DAY, 0), DAY);
        wall.read(at(DAY + HOUR, 0), DAY);
        let later = at(DAY + HOUR + 50, 50);
        let mut again = new(wall.anchor(), later, DAY);
        assert_eq!(again.read(later, DAY), DAY + 50);
        assert!(again.ahead().is_some());
    }

    #[test]
    fn clocks_agree_within_the_bound_in_which_stamps_are_taken() {
        assert!(agree(DAY, DAY + 300_000_000) && agree(DAY + 300_000_000, DAY));
        assert!(!agree(DAY, DAY + 300_000_001));
    }
}
