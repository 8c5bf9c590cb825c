//! Pure: when to try again, and where.
//!
//! Exponential with full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015): each delay is drawn uniformly
//! between the smallest delay and a cap that doubles up to the largest, so that sites that lost each other together
//! do not come back together. Trap: under TLS 1.3 `connect()` succeeds even when the peer refuses our certificate, so
//! [`Backoff::succeeded`] is for the peer's first application message and nothing earlier.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// What one attempt waits and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Number of the attempt since the last success, from 1.
    pub number: u32,
    /// How long to wait before it.
    pub delay: Duration,
}

/// Delays of one peer.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    caps: ExponentialBackoff,
    cap: Duration,
    attempt: u32,
    random: u64,
}

impl Backoff {
    /// Delays between `min` and `max`, drawn from `seed`. A `max` below `min` counts as `min`.
    #[must_use]
    pub fn new(min: Duration, max: Duration, seed: u64) -> Self {
        let max = max.max(min);
        Self {
            min,
            max,
            caps: caps(min, max),
            cap: min,
            attempt: 0,
            random: seed,
        }
    }

    /// The next attempt.
    pub fn next_attempt(&mut self) -> Attempt {
        self.attempt = self.attempt.saturating_add(1);
        self.cap = self.caps.next().unwrap_or(self.max).max(self.cap);
        let span = u64::try_from(self.cap.saturating_sub(self.min).as_micros()).unwrap_or(u64::MAX);
        let drawn = self.draw() % span.saturating_add(1).max(1);
        Attempt {
            number: self.attempt,
            delay: self.min + Duration::from_micros(drawn),
        }
    }

    /// The peer said its first word: the next failure starts from the smallest delay again.
    pub fn succeeded(&mut self) {
        self.caps = caps(self.min, self.max);
        self.cap = self.min;
        self.attempt = 0;
    }

    /// The peer refused for a reason that time alone does not mend: from here on up to the largest delay.
    pub const fn refused(&mut self) {
        self.cap = self.max;
    }

    /// Attempts since the last success.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): one word of state is enough to spread delays.
    const fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// The caps: the first one is twice the smallest delay, so that even the first attempt is spread.
fn caps(min: Duration, max: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(min.saturating_mul(2).min(max))
        .with_max_delay(max)
        .with_factor(2.0)
        .without_max_times()
        .build()
}

/// The endpoints of a peer, in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    addrs: Vec<String>,
    next: usize,
}

impl Endpoints {
    /// Endpoints in the order in which they are tried.
    #[must_use]
    pub const fn new(addrs: Vec<String>) -> Self {
        Self { addrs, next: 0 }
    }

    /// The endpoint to try; the one after it comes next. None: the peer only dials us.
    pub fn take(&mut self) -> Option<&str> {
        let at = self.next.checked_rem(self.addrs.len())?;
        self.next = at + 1;
        self.addrs.get(at).map(String::as_str)
    }

    /// Whether there is nothing to dial.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.addrs.is_empty()
    }

    /// The endpoint just taken worked: it is tried first next time.
    pub const fn keep(&mut self) {
        self.next = self.next.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn delays_grow_to_the_cap_and_never_above_it() {
        let mut largest = [Duration::ZERO; 14];
        for seed in 0..300 {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            for (at, slot) in largest.iter_mut().enumerate() {
                let attempt = backoff.next_attempt();
                assert_eq!(attempt.number as usize, at + 1);
                assert!(attempt.delay >= MIN && attempt.delay <= MAX, "{attempt:?}");
                *slot = attempt.delay.max(*slot);
            }
        }
        assert!(largest[0] <= MIN * 2 && largest[1] <= MIN * 4 && largest[2] <= MIN * 8);
        assert!(largest[13] > MAX * 9 / 10, "{largest:?}");
    }

    #[test]
    fn jitter_is_full_the_delays_spread_over_the_whole_range() {
        let late = |seed| {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            (0..12)
                .map(|_| backoff.next_attempt().delay)
                .last()
                .unwrap()
        };
        let delays: Vec<Duration> = (0..400).map(late).collect();
        let below = |limit: Duration| delays.iter().filter(|delay| **delay < limit).count();
        assert!((60..140).contains(&below(MAX / 4)), "{}", below(MAX / 4));
        assert!((150..250).contains(&below(MAX / 2)), "{}", below(MAX / 2));
    }

    #[test]
    fn success_starts_over_and_refusal_jumps_to_the_cap() {
        let mut backoff = Backoff::new(MIN, MAX, 7);
        assert!((0..9).all(|_| backoff.next_attempt().delay >= MIN));
        assert_eq!(backoff.attempt(), 9);
        backoff.succeeded();
        let first = backoff.next_attempt();
        assert!(first.number == 1 && first.delay <= MIN * 2);
        let refused = |seed| {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            backoff.refused();
            backoff.next_attempt().delay
        };
        assert!((0..50).map(refused).max().unwrap() > MAX / 2);
    }

    #[test]
    fn a_seed_repeats_and_a_swapped_range_is_harmless() {
        let run = |seed| {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            (0..20).map(|_| backoff.next_attempt()).collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        assert_eq!(Backoff::new(MAX, MIN, 1).next_attempt().delay, MAX);
        let zero = Backoff::new(Duration::ZERO, Duration::ZERO, 1).next_attempt();
        assert_eq!(zero.delay, Duration::ZERO);
    }

    #[test]
    fn endpoints_are_tried_in_turn_and_a_good_one_again() {
        let mut endpoints = Endpoints::new(vec!["a".into(), "b".into(), "c".into()]);
        let mut take = || endpoints.take().unwrap().to_owned();
        assert_eq!([take(), take(), take(), take()], ["a", "b", "c", "a"]);
        endpoints.keep();
        assert_eq!(endpoints.take(), Some("a"));
        assert_eq!(Endpoints::new(Vec::new()).take(), None);
    }
}
