//! Pure: what charts show: the greatest value of every moment, and where there was none, nothing.

use std::collections::{BTreeMap, VecDeque};

use super::is_unmeasured;
use super::varint::{put, step, stepped, take};
use crate::admin::view::{Lag, Overview};
use crate::clock::TimestampUs;

/// Moments of the short and of the long memory, in microseconds, and how many of them are kept: a quarter of an hour by
/// the second, and six hours by ten seconds, which is what the longest chart needs.
const FINE: (u64, usize) = (1_000_000, 900);
const COARSE: (u64, usize) = (10_000_000, 2_160);

/// Stands where nothing is known: half of what an option needs, and there are many.
const NOTHING: u64 = u64::MAX;

fn stored(value: Option<u64>) -> u64 {
    value.map_or(NOTHING, |value| value.min(NOTHING - 1))
}

fn known(stored: u64) -> Option<u64> {
    (stored != NOTHING).then_some(stored)
}

/// Values of equal moments.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ring {
    step_us: u64,
    kept: usize,
    /// Number of the last moment.
    last: u64,
    values: VecDeque<u64>,
}

impl Ring {
    const fn new((step_us, kept): (u64, usize)) -> Self {
        Self {
            step_us,
            kept,
            last: 0,
            values: VecDeque::new(),
        }
    }

    fn put(&mut self, at_us: TimestampUs, value: Option<u64>) {
        let moment = at_us / self.step_us;
        if moment < self.last {
            // The clock was set back: what is kept would stand in the future.
            self.values.clear();
        }
        if self.values.is_empty() {
            self.last = moment;
            self.values.push_back(stored(value));
            return;
        }
        let gap = usize::try_from(moment - self.last).unwrap_or(usize::MAX);
        if gap == 0 {
            if let Some(last) = self.values.back_mut() {
                *last = stored(known(*last).max(value));
            }
            return;
        }
        for _ in 1..gap.min(self.kept) {
            self.values.push_back(NOTHING);
        }
        self.values.push_back(stored(value));
        while self.values.len() > self.kept {
            self.values.pop_front();
        }
        self.last = moment;
    }

    /// The value of a moment.
    fn at(&self, moment: u64) -> Option<u64> {
        let back = usize::try_from(self.last.checked_sub(moment)?).ok()?;
        let index = self.values.len().checked_sub(back + 1)?;
        self.values.get(index).copied().and_then(known)
    }

    /// Writes it in few bytes: neighbours differ by little, and are mostly equal.
    fn pack(&self, bytes: &mut Vec<u8>) {
        put(bytes, self.last);
        put(bytes, self.values.len() as u64);
        let mut before = 0;
        let mut values = self.values.iter().copied().peekable();
        while let Some(value) = values.next() {
            let mut equal = 0;
            while values.next_if_eq(&value).is_some() {
                equal += 1;
            }
            put(bytes, step(before, value));
            put(bytes, equal);
            before = value;
        }
    }

    /// Reads it back. None: the bytes are no ring of this size.
    fn unpack(size: (u64, usize), bytes: &mut &[u8]) -> Option<Self> {
        let mut ring = Self::new(size);
        ring.last = take(bytes)?;
        let length = usize::try_from(take(bytes)?).ok()?;
        if length > ring.kept {
            return None;
        }
        let mut before = 0;
        while ring.values.len() < length {
            before = stepped(before, take(bytes)?);
            let equal = usize::try_from(take(bytes)?).ok()?;
            let length = (ring.values.len() + 1).checked_add(equal)?;
            if length > ring.kept {
                return None;
            }
            ring.values.resize(length, before);
        }
        Some(ring)
    }
}

/// One number as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    fine: Ring,
    coarse: Ring,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            fine: Ring::new(FINE),
            coarse: Ring::new(COARSE),
        }
    }
}

impl Series {
    /// Takes a value in; none: it is not known.
    pub fn put(&mut self, at_us: TimestampUs, value: Option<u64>) {
        self.fine.put(at_us, value);
        self.coarse.put(at_us, value);
    }

    fn pack(&self, bytes: &mut Vec<u8>) {
        self.fine.pack(bytes);
        self.coarse.pack(bytes);
    }

    fn unpack(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            fine: Ring::unpack(FINE, bytes)?,
            coarse: Ring::unpack(COARSE, bytes)?,
        })
    }

    /// The range before `now_us` in so many columns, the oldest first: the greatest value of each, none where nothing is
    /// known.
    #[must_use]
    pub fn columns(&self, now_us: TimestampUs, range_us: u64, width: usize) -> Vec<Option<u64>> {
        let fine_range = FINE.0 * FINE.1 as u64;
        let ring = if range_us <= fine_range {
            &self.fine
        } else {
            &self.coarse
        };
        let (last, step) = (now_us / ring.step_us, ring.step_us);
        let moments = (range_us / step).max(1);
        let first = (last + 1).saturating_sub(moments);
        let width64 = (width as u64).max(1);
        (0..width as u64)
            .map(|column| {
                let from = first + moments * column / width64;
                let to = (first + moments * (column + 1) / width64).max(from + 1);
                (from..to).filter_map(|moment| ring.at(moment)).max()
            })
            .collect()
    }
}

/// What is kept of one site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteHistory {
    /// Lag in microseconds; a lower bound counts.
    pub lag_us: Series,
    /// Entries behind.
    pub entries: Series,
    /// Bytes behind.
    pub bytes: Series,
    /// Entries that it applied in a second.
    pub applied: Series,
}

/// What is kept of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// By name.
    pub sites: BTreeMap<String, SiteHistory>,
    /// Entries that were written here in a second.
    pub written: Series,
    /// Bytes of the journal.
    pub journal_bytes: Series,
    /// Head of the journal, and when it was.
    head: Option<(TimestampUs, u64)>,
    /// Entries in a second, as it was last.
    pub written_per_s: Option<u64>,
}

/// The same in few bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    names: Vec<String>,
    bytes: Vec<u8>,
    head: Option<(TimestampUs, u64)>,
    written_per_s: Option<u64>,
}

impl History {
    /// Everything in few bytes.
    #[must_use]
    pub fn pack(&self) -> Packed {
        let mut bytes = Vec::new();
        self.written.pack(&mut bytes);
        self.journal_bytes.pack(&mut bytes);
        for site in self.sites.values() {
            for series in [&site.lag_us, &site.entries, &site.bytes, &site.applied] {
                series.pack(&mut bytes);
            }
        }
        bytes.shrink_to_fit();
        Packed {
            names: self.sites.keys().cloned().collect(),
            bytes,
            head: self.head,
            written_per_s: self.written_per_s,
        }
    }

    /// What was packed. None: it is none that was packed here.
    #[must_use]
    pub fn unpack(packed: &Packed) -> Option<Self> {
        let bytes = &mut packed.bytes.as_slice();
        let mut history = Self {
            written: Series::unpack(bytes)?,
            journal_bytes: Series::unpack(bytes)?,
            head: packed.head,
            written_per_s: packed.written_per_s,
            ..Self::default()
        };
        for name in &packed.names {
            let site = SiteHistory {
                lag_us: Series::unpack(bytes)?,
                entries: Series::unpack(bytes)?,
                bytes: Series::unpack(bytes)?,
                applied: Series::unpack(bytes)?,
            };
            history.sites.insert(name.clone(), site);
        }
        Some(history)
    }

    /// Takes a look in.
    pub fn take_in(&mut self, at_us: TimestampUs, look: &Overview) {
        for site in &look.lag.sites {
            let history = self.sites.entry(site.site.clone()).or_default();
            let lag = match site.lag {
                Lag::Unknown => None,
                Lag::Known(us) | Lag::AtLeast(us) => Some(us),
            };
            history.lag_us.put(at_us, lag);
            history.entries.put(at_us, site.behind_entries);
            history.bytes.put(at_us, site.behind_bytes);
            // Of one that is not connected nothing is heard.
            let applied = site.applied_per_s.filter(|_| !is_unmeasured(site.state));
            history.applied.put(at_us, applied);
        }
        let journal = &look.status.journal;
        self.journal_bytes.put(at_us, Some(journal.bytes));
        self.rate(at_us, journal.head_entries);
    }

    /// The daemon tells how many entries were written in all; over a second or more that is a rate.
    fn rate(&mut self, at_us: TimestampUs, head: u64) {
        let Some((before_us, before)) = self.head else {
            self.head = Some((at_us, head));
            return;
        };
        let Some(passed) = at_us.checked_sub(before_us) else {
            (self.head, self.written_per_s) = (Some((at_us, head)), None);
            return;
        };
        if passed < 1_000_000 {
            return;
        }
        // A smaller number is another journal; and a gap of a minute tells nothing of its moments.
        let rate = head
            .checked_sub(before)
            .filter(|_| passed < 60_000_000)
            .map(|written| {
                u64::try_from(u128::from(written) * 1_000_000 / u128::from(passed))
                    .unwrap_or(u64::MAX)
            });
        self.written.put(at_us, rate);
        self.written_per_s = rate;
        self.head = Some((at_us, head));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    #[test]
    fn a_moment_without_a_value_is_a_gap_and_never_zero() {
        let mut series = Series::default();
        series.put(100 * S, Some(5));
        series.put(100 * S + 1, Some(7));
        series.put(103 * S, Some(0));
        series.put(104 * S, None);
        assert_eq!(
            series.columns(104 * S, 6 * S, 6),
            [None, Some(7), None, None, Some(0), None]
        );
        assert_eq!(series.columns(104 * S, 6 * S, 2), [Some(7), Some(0)]);
        assert_eq!(series.columns(200 * S, 6 * S, 3), [None; 3]);
    }

    #[test]
    fn memory_has_an_end_and_a_clock_that_is_set_back_starts_it_anew() {
        let mut series = Series::default();
        for second in 0..10_000 {
            series.put(second * S, Some(second));
        }
        assert_eq!(series.fine.values.len(), FINE.1);
        series.put(10_000_000 * S, Some(1));
        assert_eq!(series.fine.values.len(), FINE.1);
        series.put(5 * S, Some(1));
        assert_eq!(series.fine.values.len(), 1);
    }

    #[test]
    fn what_is_packed_takes_few_bytes_and_comes_back_as_it_was() {
        let mut history = History::default();
        let mut look = Overview::default();
        let site = crate::admin::view::SiteLag {
            site: "iad-2".to_owned(),
            ..Default::default()
        };
        look.lag.sites = vec![site];
        for second in 0..5_000_u64 {
            // A gap, steps up and down, and what is not known.
            let at_us = (second + if second > 2_000 { 90 } else { 0 }) * S;
            let lag = &mut look.lag.sites[0];
            lag.lag = Lag::Known((second % 7) * 1_000);
            lag.behind_entries = (second % 500 != 0).then_some(second / 100);
            lag.behind_bytes = Some(u64::MAX);
            look.status.journal.head_entries += second % 3;
            history.take_in(at_us, &look);
        }
        let packed = history.pack();
        assert_eq!(History::unpack(&packed), Some(history));
        assert!(packed.bytes.len() < 30_000, "{}", packed.bytes.len());
        let cut = Packed {
            bytes: packed.bytes[..packed.bytes.len() / 2].to_vec(),
            ..packed
        };
        assert_eq!(History::unpack(&cut), None);
    }

    #[test]
    fn a_rate_is_over_a_second_or_more() {
        let mut history = History::default();
        let mut look = Overview::default();
        for (at, head, rate) in [
            (10 * S, 100, None),
            (10 * S + S / 2, 200, None),
            (12 * S, 300, Some(100)),
            (13 * S, 50, None),
        ] {
            look.status.journal.head_entries = head;
            history.take_in(at, &look);
            assert_eq!(history.written_per_s, rate);
        }
    }
}
