//! Pure: the hybrid logical clock: whoever saw an entry stamps later than it, whatever the wall clocks say.
//!
//! Source: Kulkarni et al., "Logical Physical Clocks", OPODIS 2014, in the variant of one integer: the physical
//! reading in microseconds, ticked on when it does not move. It decides only stamps; whether two versions are
//! concurrent is decided by their contexts.

use std::time::Duration;

use crate::clock::TimestampUs;

/// How far a stamp may lie in our future before its connection is held (CORRECTNESS of the design, 1.4).
pub const MAX_AHEAD: Duration = Duration::from_secs(5 * 60);

/// The clock of one site. Owned by the loop that writes the journal; `last_us` never goes back.
#[derive(Debug, Clone)]
pub struct Hlc {
    last_us: TimestampUs,
    /// The latest that this site's own wall clock showed, or where it began: stamps of others do not move it, so that
    /// nobody can lead this clock into the future step by step.
    wall_us: TimestampUs,
    max_ahead_us: u64,
}

impl Hlc {
    /// A clock that goes on behind `last_us`, the highest stamp in the journal or the persisted high water.
    #[must_use]
    pub fn new(last_us: TimestampUs, max_ahead: Duration) -> Self {
        let max_ahead_us = u64::try_from(max_ahead.as_micros()).unwrap_or(u64::MAX);
        Self {
            last_us,
            wall_us: last_us,
            max_ahead_us,
        }
    }

    /// The last stamp given or seen.
    #[must_use]
    pub const fn last_us(&self) -> TimestampUs {
        self.last_us
    }

    /// The next stamp of this site, greater than all before it, and not before `now_us`: the wall clock as far as it is
    /// believed ([`super::wall`]).
    pub fn tick(&mut self, now_us: TimestampUs) -> TimestampUs {
        self.wall_us = self.wall_us.max(now_us);
        self.last_us = now_us.max(self.last_us.saturating_add(1));
        self.last_us
    }

    /// Takes note of a stamp of another site, which [`Hlc::too_far_ahead`] has let through.
    pub fn observe(&mut self, hlc_us: TimestampUs) {
        self.last_us = self.last_us.max(hlc_us);
    }

    /// When a frame with the stamp `stamp_us` may be taken: `None` at once, else the wall time to wait for.
    /// Decided before anything is logged: one accepted stamp of the far future would drag every clock along.
    #[must_use]
    pub fn too_far_ahead(&self, stamp_us: TimestampUs, now_us: TimestampUs) -> Option<TimestampUs> {
        let due = stamp_us.saturating_sub(self.max_ahead_us);
        (due > now_us.max(self.wall_us)).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(last_us: u64) -> Hlc {
        Hlc::new(last_us, Duration::from_secs(300))
    }

    #[test]
    fn stamps_follow_the_time_and_grow_through_a_step_back() {
        let mut clock = clock(0);
        assert_eq!(clock.tick(5_000_000), 5_000_000);
        assert_eq!(clock.tick(1_000_000), 5_000_001);
    }

    #[test]
    fn whoever_saw_a_stamp_stamps_later() {
        let mut clock = clock(10);
        clock.observe(1_000);
        assert!(clock.tick(50) > 1_000);
    }

    #[test]
    fn a_peer_cannot_lead_the_clock_into_the_future_step_by_step() {
        let mut clock = clock(1_000_000_000);
        let now_us = 1_000_000_000;
        let ahead = now_us + 299_000_000;
        assert_eq!(clock.too_far_ahead(ahead, now_us), None);
        clock.observe(ahead);
        assert!(clock.too_far_ahead(ahead + 299_000_000, now_us).is_some());
        clock.tick(now_us);
        assert!(clock.too_far_ahead(ahead + 299_000_000, now_us).is_some());
    }

    #[test]
    fn stamps_made_before_the_wall_clock_stepped_back_are_not_held() {
        let mut clock = clock(0);
        clock.tick(10_000_000_000);
        assert_eq!(clock.too_far_ahead(10_000_000_001, 1_000_000), None);
    }

    #[test]
    fn a_stamp_far_ahead_is_held_until_the_bound_reaches_it() {
        let clock = clock(1_000_000);
        assert_eq!(
            clock.too_far_ahead(1_000_000 + 300_000_000, 1_000_000),
            None
        );
        let far = 1_000_000 + 400_000_000;
        assert_eq!(clock.too_far_ahead(far, 1_000_000), Some(101_000_000));
        assert_eq!(clock.too_far_ahead(far, 101_000_000), None);
    }
}
