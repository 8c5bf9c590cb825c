//! Pure: compares the clocks of two sites by the heartbeats that go to and fro (the exchange of RFC 5905, section 8).
//!
//! A heartbeat repeats the peer's clock of the last heartbeat that was heard, and how long ago that was. What is missing
//! from our own time since then is the round trip, and the peer's clock is known up to half of it: a heartbeat that
//! waited behind other messages says less, instead of saying that a clock is wrong.

use std::collections::VecDeque;
use std::time::Duration;

use super::Beat;
use crate::clock::micros;

/// Heartbeats of ours that may still be answered.
const SENT_MAX: usize = 64;
/// How long a comparison is better than a newer one with a longer round trip. Clocks drift by less than what is warned
/// of meanwhile.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// The peer's clock and ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// The peer's wall clock less ours, true to half of the round trip.
    pub skew_us: i64,
    /// From here to the peer and back.
    pub round_trip: Duration,
}

impl Compared {
    /// The round trip in microseconds.
    #[must_use]
    pub fn round_trip_us(&self) -> u64 {
        micros(self.round_trip)
    }
}

/// What is known of the clocks of one connection.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// Wall clock and time of our heartbeats.
    sent: VecDeque<(u64, Duration)>,
    /// The same of the peer's last one: its wall clock, our time.
    heard: Option<(u64, Duration)>,
    /// The comparisons of the last while, worse ones behind better ones.
    best: VecDeque<(Duration, Compared)>,
}

impl Clocks {
    /// Prepares a heartbeat that goes out now.
    pub(super) fn stamp(&mut self, beat: Beat, now: Duration) -> Beat {
        if self.sent.len() >= SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((beat.clock.wall_us, now));
        let (echo_us, at) = self.heard.unwrap_or((0, now));
        Beat {
            echo_us,
            echo_held_us: micros(now.saturating_sub(at)),
            ..beat
        }
    }

    /// Takes a heartbeat of the peer; returns the best comparison of the last while.
    pub(super) fn take(&mut self, beat: &Beat, now: Duration) -> Option<Compared> {
        self.heard = Some((beat.clock.wall_us, now));
        while let Some((at, _)) = self.best.front()
            && now.saturating_sub(*at) > KEPT_FOR
        {
            self.best.pop_front();
        }
        if let Some(compared) = self.compare(beat, now) {
            // What is older and worse never becomes the best again.
            while let Some((_, last)) = self.best.back()
                && last.round_trip >= compared.round_trip
            {
                self.best.pop_back();
            }
            self.best.push_back((now, compared));
        }
        self.best.front().map(|(_, compared)| *compared)
    }

    fn compare(&self, beat: &Beat, now: Duration) -> Option<Compared> {
        let is_ours =
            |(wall_us, _): &&(u64, Duration)| beat.echo_us != 0 && *wall_us == beat.echo_us;
        let (sent_us, sent_at) = self.sent.iter().find(is_ours)?;
        let passed = now.saturating_sub(*sent_at);
        let round_trip = passed.saturating_sub(Duration::from_micros(beat.echo_held_us));
        let theirs_us = i128::from(beat.clock.wall_us) + i128::from(micros(round_trip / 2));
        let ours_us = i128::from(*sent_us) + i128::from(micros(passed));
        Some(Compared {
            skew_us: i64::try_from(theirs_us - ours_us).ok()?,
            round_trip,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conduit::message::ClockPair;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A site whose wall clock shows `ahead_us` at time zero.
    struct Site {
        clocks: Clocks,
        ahead_us: u64,
    }

    impl Site {
        fn new(ahead_us: u64) -> Self {
            Self {
                clocks: Clocks::default(),
                ahead_us,
            }
        }

        fn beat(&mut self, now: Duration) -> Beat {
            let clock = ClockPair {
                wall_us: self.ahead_us + micros(now),
                ..ClockPair::default()
            };
            let beat = Beat {
                clock,
                ..Beat::default()
            };
            self.clocks.stamp(beat, now)
        }

        fn hears(&mut self, beat: &Beat, now: Duration) -> Option<Compared> {
            self.clocks.take(beat, now)
        }
    }

    /// A heartbeat of `a` that takes `there`, and one of `b` 300 ms later that takes `back`.
    fn exchange(
        a: &mut Site,
        b: &mut Site,
        from: Duration,
        there: Duration,
        back: Duration,
    ) -> Option<Compared> {
        let beat = a.beat(from);
        b.hears(&beat, from + there);
        let answer = b.beat(from + there + ms(300));
        a.hears(&answer, from + there + ms(300) + back)
    }

    #[test]
    fn equal_ways_show_the_difference_of_the_clocks_and_the_round_trip() {
        let (mut a, mut b) = (Site::new(1_000_000), Site::new(3_500_000));
        let compared = exchange(&mut a, &mut b, ms(10), ms(20), ms(20));
        let expected = Compared {
            skew_us: 2_500_000,
            round_trip: ms(40),
        };
        assert_eq!(compared, Some(expected));
        let compared = exchange(&mut b, &mut a, ms(2_000), ms(20), ms(20));
        assert_eq!(compared.map(|c| c.skew_us), Some(-2_500_000));
    }

    #[test]
    fn a_heartbeat_that_waited_is_wrong_by_half_of_the_round_trip_at_most() {
        let (mut a, mut b) = (Site::new(1_000_000), Site::new(1_000_000));
        let compared = exchange(&mut a, &mut b, ms(0), ms(10), ms(57_000)).unwrap();
        assert_eq!(compared.round_trip, ms(57_010));
        assert!(compared.skew_us.unsigned_abs() <= micros(compared.round_trip) / 2);
    }

    #[test]
    fn the_shortest_round_trip_of_the_last_minute_counts() {
        let (mut a, mut b) = (Site::new(1_000_000), Site::new(1_000_000));
        let trip = |compared: Option<Compared>| compared.map(|c| c.round_trip);
        let first = exchange(&mut a, &mut b, ms(0), ms(10), ms(10));
        assert_eq!(trip(first), Some(ms(20)));
        let slow = exchange(&mut a, &mut b, ms(10_000), ms(10), ms(4_000));
        assert_eq!(trip(slow), Some(ms(20)));
        let late = exchange(&mut a, &mut b, ms(70_000), ms(10), ms(1_000));
        assert_eq!(trip(late), Some(ms(1_010)), "the first one is too old");
    }

    #[test]
    fn an_answer_to_nothing_that_was_sent_says_nothing() {
        let mut a = Site::new(1_000_000);
        let mut beat = Site::new(9).beat(ms(5));
        assert_eq!(a.hears(&beat, ms(6)), None);
        a.beat(ms(7));
        beat.echo_us = 12_345;
        assert_eq!(a.hears(&beat, ms(8)), None);
    }

    #[test]
    fn of_many_unanswered_heartbeats_only_the_newest_are_remembered() {
        let mut a = Site::new(1_000_000);
        for nth in 0..1_000 {
            a.beat(ms(nth));
        }
        assert_eq!(a.clocks.sent.len(), SENT_MAX);
    }
}
