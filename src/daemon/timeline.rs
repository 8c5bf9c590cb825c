//! Pure: when the journal's heads stood where, so that a position tells how old and how large is what stands behind it.
//!
//! Looked at about once a second, so both are true to that. Of two moments between which an entry was written the
//! earlier one counts: age and bytes may be told too great by those of a second, never too small.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::admin::view::Lag;
use crate::clock::{TimestampUs, micros};

/// Moments that are kept for one stream. When there are more, every second one of the older half goes: what lies long
/// ago is told less exactly, and still never too young.
const MOMENTS_MAX: usize = 512;
/// Time over which a rate is taken: long enough to smooth batches, short enough to follow a link that breaks down.
const RATE_WINDOW: Duration = Duration::from_secs(30);

/// A head and the last moment at which it was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    head: u64,
    /// Bytes of all entries by then, since the journal was opened. None: it was opened anew since.
    bytes: Option<u64>,
    until_us: TimestampUs,
}

/// One stream over time.
#[derive(Debug, Clone, Default)]
struct Stream {
    moments: VecDeque<Moment>,
    /// Bytes of all entries at the last look, since the journal was opened.
    written: u64,
}

impl Stream {
    /// The last moment at which nothing behind `at` was there.
    fn before(&self, at: u64) -> Option<&Moment> {
        let after = self.moments.partition_point(|moment| moment.head <= at);
        self.moments.get(after.checked_sub(1)?)
    }
}

/// Heads of a journal over time.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    streams: BTreeMap<u32, Stream>,
    /// When heads were looked at first.
    since_us: Option<TimestampUs>,
    /// When last.
    looked_us: TimestampUs,
}

impl Timeline {
    /// Takes note of the heads at `now_us`, and of the bytes `written` to each stream since the journal was opened.
    pub(super) fn note(
        &mut self,
        heads: &BTreeMap<u32, u64>,
        written: &BTreeMap<u32, u64>,
        now_us: TimestampUs,
    ) {
        let is_first = self.since_us.is_none();
        self.since_us.get_or_insert(now_us);
        let before_us = std::mem::replace(&mut self.looked_us, now_us);
        for (stream, head) in heads {
            let Stream {
                moments,
                written: before,
            } = self.streams.entry(*stream).or_default();
            let bytes = written.get(stream).copied().unwrap_or(0);
            if moments.is_empty() && !is_first {
                // At the look before it had nothing.
                moments.push_back(Moment {
                    head: 0,
                    bytes: Some(0),
                    until_us: before_us,
                });
            }
            if std::mem::replace(before, bytes) > bytes {
                moments.iter_mut().for_each(|moment| moment.bytes = None);
            }
            match moments.back_mut() {
                Some(last) if last.head == *head => {
                    (last.bytes, last.until_us) = (Some(bytes), now_us);
                }
                Some(_) | None => moments.push_back(Moment {
                    head: *head,
                    bytes: Some(bytes),
                    until_us: now_us,
                }),
            }
            thin(moments);
        }
    }

    /// How old the oldest entry behind `position` may be at `now_us`: at most that, or at least what is known.
    pub(super) fn age(
        &self,
        heads: &BTreeMap<u32, u64>,
        position: &BTreeMap<u32, u64>,
        now_us: TimestampUs,
    ) -> Lag {
        let mut oldest = Lag::Known(0);
        for (stream, head) in heads {
            let at = position.get(stream).copied().unwrap_or(0);
            oldest = older(oldest, self.age_in(*stream, *head, at, now_us));
        }
        oldest
    }

    /// The same for one stream.
    pub(super) fn age_in(&self, stream: u32, head: u64, at: u64, now_us: TimestampUs) -> Lag {
        if at >= head {
            return Lag::Known(0);
        }
        let Some(since_us) = self.since_us else {
            return Lag::Unknown;
        };
        let before = self
            .streams
            .get(&stream)
            .and_then(|stream| stream.before(at));
        match before {
            Some(moment) => Lag::Known(now_us.saturating_sub(moment.until_us)),
            None => Lag::AtLeast(now_us.saturating_sub(since_us)),
        }
    }

    /// Bytes of the entries of a stream behind `at`. None: some are from before the journal was opened or looked at.
    pub(super) fn bytes_in(&self, stream: u32, head: u64, at: u64) -> Option<u64> {
        if at >= head {
            return Some(0);
        }
        let stream = self.streams.get(&stream)?;
        Some(stream.written.saturating_sub(stream.before(at)?.bytes?))
    }
}

/// Of two lags the greater one, and whether that is known.
pub(super) const fn older(a: Lag, b: Lag) -> Lag {
    match (a, b) {
        (Lag::Unknown, _) | (_, Lag::Unknown) => Lag::Unknown,
        (Lag::Known(a), Lag::Known(b)) => Lag::Known(if a > b { a } else { b }),
        (Lag::Known(a) | Lag::AtLeast(a), Lag::Known(b) | Lag::AtLeast(b)) => {
            Lag::AtLeast(if a > b { a } else { b })
        }
    }
}

fn thin(moments: &mut VecDeque<Moment>) {
    if moments.len() <= MOMENTS_MAX {
        return;
    }
    let half = moments.len() / 2;
    let mut at = 0;
    moments.retain(|_| {
        let keep = at >= half || at % 2 == 0;
        at += 1;
        keep
    });
}

/// How fast a peer applies, and how fast there is more for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// When, entries applied, entries written.
    samples: VecDeque<(Duration, u64, u64)>,
}

/// A pace over the last half minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rates {
    /// Entries that it applied in a second.
    pub(super) applied_per_s: u64,
    /// Time until it has everything when both go on like this. None: it does not get nearer.
    pub(super) caught_up_in_us: Option<u64>,
}

impl Pace {
    /// Takes note of both counts at `now`.
    pub(super) fn note(&mut self, now: Duration, applied: u64, written: u64) {
        if self
            .samples
            .back()
            .is_some_and(|last| last.1 > applied || last.2 > written)
        {
            // Counted anew: another journal.
            self.samples.clear();
        }
        self.samples.push_back((now, applied, written));
        // One sample from before the window stays, so that the window is covered.
        while self
            .samples
            .get(1)
            .is_some_and(|second| now.saturating_sub(second.0) >= RATE_WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// The pace. None: not known yet.
    pub(super) fn rates(&self) -> Option<Rates> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let passed = u128::from(micros(last.0.saturating_sub(first.0)));
        if passed < 1_000_000 {
            return None;
        }
        let applied = last.1.saturating_sub(first.1);
        let written = last.2.saturating_sub(first.2);
        let per_second = u128::from(applied) * 1_000_000 / passed;
        let behind = last.2.saturating_sub(last.1);
        let nearer = u128::from(applied.saturating_sub(written));
        let caught_up = match (behind, nearer) {
            (0, _) => Some(0),
            (_, 0) => None,
            (behind, nearer) => u64::try_from(u128::from(behind) * passed / nearer).ok(),
        };
        Some(Rates {
            applied_per_s: u64::try_from(per_second).unwrap_or(u64::MAX),
            caught_up_in_us: caught_up,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000;

    fn heads(all: &[(u32, u64)]) -> BTreeMap<u32, u64> {
        all.iter().copied().collect()
    }

    #[test]
    fn what_stands_behind_a_position_is_as_old_as_the_last_look_that_did_not_see_it() {
        let mut timeline = Timeline::default();
        let now = heads(&[(1, 9), (2, 3)]);
        assert_eq!(timeline.age(&now, &heads(&[(1, 4)]), 100 * S), Lag::Unknown);
        let mut note =
            |heads: &BTreeMap<u32, u64>, s| timeline.note(heads, &BTreeMap::new(), s * S);
        note(&heads(&[(1, 4)]), 100);
        note(&heads(&[(1, 4)]), 101);
        note(&now, 102);
        let age = |at: &[(u32, u64)]| timeline.age(&now, &heads(at), 110 * S);
        assert_eq!(age(&[(1, 9), (2, 3)]), Lag::Known(0));
        // Both came between 101 and 102.
        assert_eq!(age(&[(1, 4), (2, 3)]), Lag::Known(9 * S));
        assert_eq!(age(&[(1, 9)]), Lag::Known(9 * S));
        assert_eq!(
            age(&[(1, 3), (2, 3)]),
            Lag::AtLeast(10 * S),
            "from before this began"
        );
    }

    #[test]
    fn bytes_behind_a_position_are_counted_from_the_last_look_that_did_not_see_them() {
        let mut timeline = Timeline::default();
        let mut note = |head, written, s| {
            timeline.note(&heads(&[(1, head)]), &heads(&[(1, written)]), s * S);
            let timeline = timeline.clone();
            move |at| timeline.bytes_in(1, head, at)
        };
        assert_eq!(note(4, 0, 100)(4), Some(0));
        let behind = note(6, 500, 101);
        assert_eq!((behind(6), behind(4)), (Some(0), Some(500)));
        assert_eq!(behind(5), Some(500), "from the earlier of the two looks on");
        assert_eq!(behind(3), None, "from before the journal was opened");
        let behind = note(9, 900, 102);
        assert_eq!((behind(4), behind(6)), (Some(900), Some(400)));
        let behind = note(10, 70, 103);
        assert_eq!(behind(9), None, "it was opened anew in between");
        let behind = note(11, 100, 104);
        assert_eq!((behind(9), behind(10)), (None, Some(30)));
        let nothing = Timeline::default();
        assert_eq!(nothing.bytes_in(1, 3, 2), None, "never looked at");
    }

    #[test]
    fn a_pace_tells_when_the_rest_is_done_and_nothing_when_it_never_is() {
        let mut pace = Pace::default();
        let at = Duration::from_secs;
        pace.note(at(0), 0, 1_000);
        assert_eq!(pace.rates(), None);
        pace.note(at(10), 500, 1_000);
        let rates = |pace: &Pace| {
            let rates = pace.rates().unwrap();
            (rates.applied_per_s, rates.caught_up_in_us)
        };
        assert_eq!(rates(&pace), (50, Some(10 * S)));
        pace.note(at(20), 600, 1_700);
        assert_eq!(rates(&pace), (30, None), "more comes than goes");
        pace.note(at(100), 1_700, 1_700);
        pace.note(at(130), 1_700, 1_700);
        assert_eq!(rates(&pace), (0, Some(0)));
        pace.note(at(131), 3, 5);
        assert_eq!(pace.rates(), None, "another journal");
    }

    proptest! {
        /// Against a list of every entry with its time, at any size and after any thinning.
        #[test]
        fn an_age_is_never_told_too_small(
            steps in proptest::collection::vec((0u64..5, 1u64..4), 1..1_500),
            at in 0u64..3_000,
        ) {
            let mut timeline = Timeline::default();
            let (mut head, mut now, mut written) = (0, 1_000 * S, Vec::new());
            // Every entry has as many bytes as its number.
            let bytes = |head: u64| heads(&[(7, head * (head + 1) / 2)]);
            timeline.note(&heads(&[(7, head)]), &bytes(head), now);
            for (more, seconds) in steps {
                // Written at some moment between two looks: the earliest possible one.
                let from = now + 1;
                now += seconds * S;
                for _ in 0..more {
                    head += 1;
                    written.push((head, from));
                }
                timeline.note(&heads(&[(7, head)]), &bytes(head), now);
            }
            let behind: u64 = (at + 1..=head).sum();
            prop_assert!(timeline.bytes_in(7, head, at).is_some_and(|told| told >= behind));
            let oldest = written.iter().find(|(seq, _)| *seq > at).map(|(_, when)| *when);
            match (timeline.age_in(7, head, at, now), oldest) {
                (Lag::Known(us), None) => prop_assert_eq!(us, 0),
                (Lag::Known(us), Some(when)) => prop_assert!(us >= now - when),
                (lag, _) => prop_assert!(false, "{:?}", lag),
            }
            let moments = timeline.streams.get(&7).map_or(0, |one| one.moments.len());
            prop_assert!(moments <= MOMENTS_MAX + 1);
        }
    }
}
