//! Pure: the hybrid logical clock: whoever saw an entry stamps later than it, whatever the wall clocks say.
//!
//! Source: Kulkarni et al., "Logical Physical Clocks", OPODIS 2014, in the variant of one integer: the physical
//! reading in microseconds, ticked on when it does not move. It decides only stamps; whether two versions are
//! concurrent is decided by their contexts.

use std::time::Duration;

use crate::clock::TimestampUs;

/// How far a stamp may lie in our future before its connection is held (CORRECTNESS of the design, 1.4).
pub const MAX_AHEAD: Duration = Duration::from_secs(5 * 60);

/// What the clock thinks of a forward step of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The wall clock is believed.
    Believed,
    /// It jumped by more than the bound and nothing vouches for it: the old pace is kept until something does.
    Doubted {
        /// By how many microseconds it is ahead of the last durable stamp.
        ahead_us: u64,
    },
}

/// The clock of one site. Owned by the loop that writes the journal; `last_us` never goes back.
#[derive(Debug, Clone)]
pub struct Hlc {
    last_us: TimestampUs,
    max_ahead_us: u64,
}

impl Hlc {
    /// A clock that goes on behind `last_us`, the highest stamp in the journal or the persisted high water.
    #[must_use]
    pub fn new(last_us: TimestampUs, max_ahead: Duration) -> Self {
        let max_ahead_us = u64::try_from(max_ahead.as_micros()).unwrap_or(u64::MAX);
        Self {
            last_us,
            max_ahead_us,
        }
    }

    /// The last stamp given or seen.
    #[must_use]
    pub const fn last_us(&self) -> TimestampUs {
        self.last_us
    }

    /// The next stamp of this site, greater than all before it. `vouched` says that the kernel or a peer confirms
    /// the wall clock `now_us`. A first reading (nothing stamped so far) is believed.
    pub fn tick(&mut self, now_us: TimestampUs, vouched: bool) -> (TimestampUs, Step) {
        let limit = self.last_us.saturating_add(self.max_ahead_us);
        let doubted = self.last_us > 0 && now_us > limit && !vouched;
        let physical = if doubted { 0 } else { now_us };
        self.last_us = physical.max(self.last_us.saturating_add(1));
        if doubted {
            (
                self.last_us,
                Step::Doubted {
                    ahead_us: now_us.saturating_sub(self.last_us),
                },
            )
        } else {
            (self.last_us, Step::Believed)
        }
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
        (due > now_us.max(self.last_us)).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(last_us: u64) -> Hlc {
        Hlc::new(last_us, Duration::from_secs(300))
    }

    #[test]
    fn stamps_grow_through_a_backward_step() {
        let mut clock = clock(0);
        let (first, _) = clock.tick(5_000_000, false);
        let (second, step) = clock.tick(1_000_000, false);
        assert_eq!((second, step), (first + 1, Step::Believed));
    }

    #[test]
    fn a_small_forward_step_is_believed_and_a_large_one_only_with_a_witness() {
        let mut clock = clock(1_000_000);
        assert_eq!(
            clock.tick(200_000_000, false),
            (200_000_000, Step::Believed)
        );
        let far = 200_000_000 + 3_600_000_000;
        let (stamp, step) = clock.tick(far, false);
        assert_eq!(stamp, 200_000_001);
        assert!(matches!(step, Step::Doubted { ahead_us } if ahead_us > 3_000_000_000));
        assert_eq!(clock.tick(far, true), (far, Step::Believed));
    }

    #[test]
    fn whoever_saw_a_stamp_stamps_later() {
        let mut clock = clock(10);
        clock.observe(1_000);
        assert!(clock.tick(50, false).0 > 1_000);
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
