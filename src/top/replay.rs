//! Pure: the time at which a record is played: it goes on as time does, faster, slower, or not; and it jumps.
//!
//! What is told until then is read by the [`reel`](super::reel). Where that takes longer than the time that it is
//! about, the time waits for it.

pub mod marks;

use super::message::{Player, Steer};

/// Slowest and fastest, in percent of how it was.
const SLOWEST: u64 = 25;
const FASTEST: u64 = 6_400;
/// The end is looked at this long, in microseconds of the record, before it counts as played.
const TAIL_US: u64 = 1_000_000;

/// The time of a record that is played.
#[derive(Debug)]
pub struct Replay {
    /// When the record begins, in microseconds since 1970.
    begin_us: u64,
    length_us: u64,
    at_us: u64,
    speed_percent: u64,
    paused: bool,
    /// When it was asked last, by the monotonic clock.
    asked_us: Option<u64>,
}

impl Replay {
    /// From the beginning, at `speed_percent` of how it was, of a record that begins and has its last line then.
    #[must_use]
    pub fn new(begin_us: u64, last_us: u64, speed_percent: u64) -> Self {
        Self {
            begin_us,
            length_us: last_us.saturating_add(TAIL_US),
            at_us: 0,
            speed_percent: speed_percent.clamp(SLOWEST, FASTEST),
            paused: false,
            asked_us: None,
        }
    }

    /// The time of the record's clock, in microseconds since 1970, at a time since its beginning.
    #[must_use]
    pub const fn wall_us(&self, t_us: u64) -> u64 {
        self.begin_us.saturating_add(t_us)
    }

    /// Where it is.
    #[must_use]
    pub const fn player(&self) -> Player {
        Player {
            at_us: self.at_us,
            length_us: self.length_us,
            speed_percent: self.speed_percent,
            paused: self.paused,
            winding: false,
        }
    }

    /// Goes on to `now_us` of the monotonic clock; or waits, while what was before is still told.
    pub fn poll(&mut self, now_us: u64, waits: bool) {
        let passed = now_us.saturating_sub(self.asked_us.unwrap_or(now_us));
        self.asked_us = Some(now_us);
        if !self.paused && !waits {
            let passed = u128::from(passed) * u128::from(self.speed_percent) / 100;
            let passed = u64::try_from(passed).unwrap_or(u64::MAX);
            self.at_us = self.at_us.saturating_add(passed).min(self.length_us);
        }
    }

    /// Does what is wanted.
    pub fn steer(&mut self, steer: Steer) {
        match steer {
            // At the end: from the beginning.
            Steer::PlayPause if self.at_us >= self.length_us => {
                self.paused = false;
                self.seek(0);
            }
            Steer::PlayPause => self.paused = !self.paused,
            Steer::Faster => self.speed_percent = (self.speed_percent * 2).min(FASTEST),
            Steer::Slower => self.speed_percent = (self.speed_percent / 2).max(SLOWEST),
            Steer::Seek(by_us) => self.seek(self.at_us.saturating_add_signed(by_us)),
        }
    }

    fn seek(&mut self, to_us: u64) {
        self.at_us = to_us.min(self.length_us);
        // The time that it takes to show what was before is not played.
        self.asked_us = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    fn replay() -> Replay {
        Replay::new(7, 20 * S, 100)
    }

    #[test]
    fn it_goes_on_as_time_does_at_its_speed_and_stands_still_when_it_is_paused() {
        let mut replay = replay();
        let at = |replay: &mut Replay, now: u64| {
            replay.poll(now, false);
            replay.player().at_us / S
        };
        assert_eq!(at(&mut replay, 100 * S), 0);
        assert_eq!(at(&mut replay, 101 * S), 1);
        replay.steer(Steer::Faster);
        assert_eq!(at(&mut replay, 103 * S), 5);
        replay.steer(Steer::PlayPause);
        assert_eq!(at(&mut replay, 200 * S), 5);
        replay.steer(Steer::PlayPause);
        assert_eq!(at(&mut replay, 300 * S), 21);
        assert_eq!(replay.wall_us(S), S + 7);
    }

    #[test]
    fn it_waits_while_what_was_before_is_still_told() {
        let mut replay = replay();
        replay.poll(100 * S, false);
        replay.poll(102 * S, true);
        assert_eq!(replay.player().at_us, 0);
        replay.poll(103 * S, false);
        assert_eq!(replay.player().at_us, S, "and does not catch up");
    }

    #[test]
    fn a_jump_takes_no_time_of_the_record_and_ends_where_it_ends() {
        let mut replay = replay();
        replay.poll(0, false);
        for (by, at) in [(10, 10), (-8, 2), (-9, 0), (1_000, 21)] {
            replay.steer(Steer::Seek(by * 1_000_000));
            replay.poll(1_000 * S, false);
            assert_eq!(replay.player().at_us, at * S);
        }
        replay.steer(Steer::PlayPause);
        let player = replay.player();
        assert_eq!(
            (player.at_us, player.paused),
            (0, false),
            "the end, and once more"
        );
    }
}
