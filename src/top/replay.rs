//! Pure: a record as it is played: forwards as time goes on, backwards by playing it from the beginning.

use super::message::{Player, Steer, Told};
use super::record::Record;

/// Slowest and fastest, in percent of how it was.
const SLOWEST: u64 = 25;
const FASTEST: u64 = 6_400;
/// The end is looked at this long, in microseconds of the record, before it counts as played.
const TAIL_US: u64 = 1_000_000;

/// Plays a record.
#[derive(Debug)]
pub struct Replay {
    record: Record,
    /// The next line.
    next: usize,
    at_us: u64,
    speed_percent: u64,
    paused: bool,
    /// When it was asked last, by the monotonic clock.
    asked_us: Option<u64>,
}

/// What is played.
#[derive(Debug, Default, PartialEq)]
pub struct Played {
    /// What is known is to be forgotten first.
    pub starts_over: bool,
    /// What is told, each at its time since the beginning.
    pub told: Vec<(u64, Told)>,
}

impl Replay {
    /// From the beginning, at `speed_percent` of how it was.
    #[must_use]
    pub fn new(record: Record, speed_percent: u64) -> Self {
        Self {
            record,
            next: 0,
            at_us: 0,
            speed_percent: speed_percent.clamp(SLOWEST, FASTEST),
            paused: false,
            asked_us: None,
        }
    }

    /// The time of the record's clock, in microseconds since 1970, at a time since its beginning.
    #[must_use]
    pub const fn wall_us(&self, t_us: u64) -> u64 {
        self.record.head.at_us.saturating_add(t_us)
    }

    /// Where it is.
    #[must_use]
    pub fn player(&self) -> Player {
        Player {
            at_us: self.at_us,
            length_us: self.length_us(),
            speed_percent: self.speed_percent,
            paused: self.paused,
        }
    }

    fn length_us(&self) -> u64 {
        self.record
            .told
            .last()
            .map_or(0, |(t_us, _)| *t_us)
            .saturating_add(TAIL_US)
    }

    /// Goes on to `now_us` of the monotonic clock.
    pub fn poll(&mut self, now_us: u64) -> Played {
        let passed = now_us.saturating_sub(self.asked_us.unwrap_or(now_us));
        self.asked_us = Some(now_us);
        if !self.paused {
            let passed = u128::from(passed) * u128::from(self.speed_percent) / 100;
            let passed = u64::try_from(passed).unwrap_or(u64::MAX);
            self.at_us = self.at_us.saturating_add(passed).min(self.length_us());
        }
        Played {
            starts_over: false,
            told: self.take(),
        }
    }

    /// Does what is wanted.
    pub fn steer(&mut self, steer: Steer) -> Played {
        match steer {
            // At the end: from the beginning.
            Steer::PlayPause if self.at_us >= self.length_us() => {
                self.paused = false;
                return self.seek(0);
            }
            Steer::PlayPause => self.paused = !self.paused,
            Steer::Faster => self.speed_percent = (self.speed_percent * 2).min(FASTEST),
            Steer::Slower => self.speed_percent = (self.speed_percent / 2).max(SLOWEST),
            Steer::Seek(by_us) => {
                return self.seek(self.at_us.saturating_add_signed(by_us));
            }
        }
        Played::default()
    }

    fn seek(&mut self, to_us: u64) -> Played {
        let starts_over = to_us < self.at_us;
        if starts_over {
            self.next = 0;
        }
        self.at_us = to_us.min(self.length_us());
        // The time that it takes to show what was before is not played.
        self.asked_us = None;
        Played {
            starts_over,
            told: self.take(),
        }
    }

    fn take(&mut self) -> Vec<(u64, Told)> {
        let rest = self.record.told.get(self.next..).unwrap_or(&[]);
        let due: Vec<_> = rest
            .iter()
            .take_while(|(t_us, _)| *t_us <= self.at_us)
            .cloned()
            .collect();
        self.next += due.len();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    fn replay() -> Replay {
        let told = |second: u64| {
            let address = second.to_string();
            (second * S, Told::Connecting { address })
        };
        let record = Record {
            told: [0, 1, 5, 20].map(told).into(),
            ..Record::default()
        };
        Replay::new(record, 100)
    }

    fn seconds(played: &Played) -> Vec<u64> {
        played.told.iter().map(|(t_us, _)| t_us / S).collect()
    }

    #[test]
    fn it_goes_on_as_time_does_at_its_speed_and_stands_still_when_it_is_paused() {
        let mut replay = replay();
        assert_eq!(seconds(&replay.poll(100 * S)), [0]);
        assert_eq!(seconds(&replay.poll(101 * S)), [1]);
        replay.steer(Steer::Faster);
        assert_eq!(seconds(&replay.poll(103 * S)), [5]);
        replay.steer(Steer::PlayPause);
        assert_eq!(seconds(&replay.poll(200 * S)), [] as [u64; 0]);
        assert_eq!(replay.player().at_us, 5 * S);
        replay.steer(Steer::PlayPause);
        assert_eq!(seconds(&replay.poll(300 * S)), [20]);
        assert_eq!(replay.player().at_us, 21 * S);
    }

    #[test]
    fn a_step_back_plays_from_the_beginning_and_one_forward_does_not() {
        let mut replay = replay();
        let forward = replay.steer(Steer::Seek(10_000_000));
        assert!(!forward.starts_over);
        assert_eq!(seconds(&forward), [0, 1, 5]);
        let back = replay.steer(Steer::Seek(-8_000_000));
        assert!(back.starts_over);
        assert_eq!(seconds(&back), [0, 1]);
        let to_start = replay.steer(Steer::Seek(i64::MIN));
        assert_eq!((to_start.starts_over, replay.player().at_us), (true, 0));
        replay.poll(1_000 * S);
        assert_eq!(
            replay.player().at_us,
            0,
            "seeking takes no time of the record"
        );
        replay.steer(Steer::Seek(i64::MAX));
        let again = replay.steer(Steer::PlayPause);
        assert_eq!((again.starts_over, replay.player().at_us), (true, 0));
        assert!(!replay.player().paused, "the end, and once more");
    }
}
