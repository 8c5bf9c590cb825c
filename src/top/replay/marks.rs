//! Pure: where a record can be taken up again, so that a step back need not play all of it from the beginning.
//!
//! While a record is played, what is known then is kept now and then: the look and the charts as a few bytes
//! ([`Kept`]), and of everything that is told as a whole (lists, the detail of a conflict, a preview) only where the last
//! one stands in the file. Events stand in the file, too: the index knows in which parts of it there are how many. There
//! are never more than so many marks: when there are, every second one goes, and the others come at twice the distance.

use super::super::model::kept::Kept;

/// Bytes of the record between two marks, at first: what is played in a small part of a second.
const DISTANCE: u64 = 4 << 20;
/// Most marks.
const MARKS_MAX: usize = 16;
/// Bytes of the record in which events are counted together.
const PART: u64 = 64 << 10;

/// Where the last line of each kind stands that is told as a whole, and covers what was told of it before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latest([Option<u64>; KINDS.len()]);

/// The kinds that are told as a whole.
const KINDS: [&str; 5] = ["conflicts", "conflict", "texts", "preview", "tail"];
const EVENT: &str = "event";

impl Latest {
    /// Where they stand, in the order of the file.
    #[must_use]
    pub fn places(&self) -> Vec<u64> {
        let mut places: Vec<u64> = self.0.iter().copied().flatten().collect();
        places.sort_unstable();
        places
    }
}

/// A place at which a record can be taken up again.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Where the next line begins.
    pub offset: u64,
    /// Lines before it.
    pub lines: u64,
    /// Time of the line before it, in microseconds since the beginning.
    pub t_us: u64,
    /// What is told as a whole.
    pub latest: Latest,
    /// What is known there.
    pub kept: Kept,
}

/// A part of the record with events in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where the first event begins.
    pub from: u64,
    /// Where the line after the last event begins.
    pub to: u64,
    /// How many there are.
    pub events: u64,
}

/// The index of a record, as far as it was played.
#[derive(Debug)]
pub struct Marks {
    distance: u64,
    marks: Vec<Mark>,
    latest: Latest,
    parts: Vec<Part>,
    /// The record was seen up to here.
    seen: u64,
}

impl Default for Marks {
    fn default() -> Self {
        Self::new(DISTANCE)
    }
}

impl Marks {
    /// None yet; with at least so many bytes between two of them.
    #[must_use]
    pub const fn new(distance: u64) -> Self {
        Self {
            distance,
            marks: Vec::new(),
            latest: Latest([None; KINDS.len()]),
            parts: Vec::new(),
            seen: 0,
        }
    }

    /// Notes a line of that kind, from its beginning to the beginning of the next one.
    pub fn line(&mut self, kind: &str, from: u64, to: u64) {
        let slot = KINDS.iter().position(|other| *other == kind);
        if let Some(place) = slot.and_then(|slot| self.latest.0.get_mut(slot)) {
            *place = Some(from);
        }
        if to <= self.seen {
            return;
        }
        self.seen = to;
        if kind != EVENT {
            return;
        }
        match self.parts.last_mut() {
            Some(part) if from.saturating_sub(part.from) < PART => {
                (part.to, part.events) = (to, part.events + 1);
            }
            Some(_) | None => self.parts.push(Part {
                from,
                to,
                events: 1,
            }),
        }
    }

    /// Whether a mark is wanted at this place.
    #[must_use]
    pub fn wants(&self, offset: u64) -> bool {
        let last = self.marks.last().map_or(0, |mark| mark.offset);
        offset >= last.saturating_add(self.distance)
    }

    /// Keeps a mark at a place that is behind all others.
    pub fn keep(&mut self, offset: u64, lines: u64, t_us: u64, kept: Kept) {
        let latest = self.latest;
        self.marks.push(Mark {
            offset,
            lines,
            t_us,
            latest,
            kept,
        });
        if self.marks.len() > MARKS_MAX {
            let mut nth = 0_usize;
            self.marks.retain(|_| {
                nth += 1;
                nth.is_multiple_of(2)
            });
            self.distance = self.distance.saturating_mul(2);
        }
    }

    /// Goes back to the last mark that is not later than a time. None: to the beginning.
    pub fn back_to(&mut self, t_us: u64) -> Option<&Mark> {
        let mark = self.marks.iter().rev().find(|mark| mark.t_us <= t_us);
        self.latest = mark.map_or_else(Latest::default, |mark| mark.latest);
        mark
    }

    /// Parts of the record before a place with its last `count` events, or with a few more, the first one first.
    #[must_use]
    pub fn parts_before(&self, offset: u64, count: u64) -> Vec<Part> {
        let mut found = Vec::new();
        let mut events = 0_u64;
        for part in self.parts.iter().rev() {
            if part.from >= offset {
                continue;
            }
            if events >= count {
                break;
            }
            // Of the one that reaches over the place nobody knows how many are before it.
            if part.to <= offset {
                events = events.saturating_add(part.events);
            }
            found.push(Part {
                to: part.to.min(offset),
                ..*part
            });
        }
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(marks: &mut Marks, offset: u64) {
        assert!(marks.wants(offset), "{offset}");
        marks.keep(offset, 0, offset, Kept::default());
    }

    #[test]
    fn there_are_never_more_marks_than_so_many_and_they_stay_evenly_apart() {
        let mut marks = Marks::new(10);
        assert!(!marks.wants(9));
        for offset in 1..=10_000 {
            if marks.wants(offset) {
                at(&mut marks, offset);
            }
        }
        let offsets: Vec<u64> = marks.marks.iter().map(|mark| mark.offset).collect();
        assert!((8..=MARKS_MAX).contains(&offsets.len()), "{offsets:?}");
        let gaps: Vec<u64> = offsets.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(gaps.iter().all(|gap| *gap == marks.distance), "{gaps:?}");
        assert_eq!(marks.back_to(offsets[3] + 1).unwrap().offset, offsets[3]);
        assert!(marks.back_to(offsets[0] - 1).is_none());
    }

    #[test]
    fn a_mark_knows_where_the_last_lists_before_it_stand_and_not_those_after_it() {
        let mut marks = Marks::new(10);
        marks.line("conflicts", 0, 5);
        marks.line("tail", 5, 10);
        marks.line("conflicts", 10, 15);
        at(&mut marks, 15);
        marks.line("conflicts", 15, 20);
        assert_eq!(marks.back_to(15).unwrap().latest.places(), [5, 10]);
        marks.line("conflicts", 15, 20);
        assert_eq!(marks.latest.places(), [5, 15]);
        assert!(marks.back_to(0).is_none());
        assert_eq!(marks.latest.places(), [] as [u64; 0]);
    }

    #[test]
    fn the_last_events_before_a_place_are_found_and_played_again_they_are_counted_once() {
        let mut marks = Marks::new(10);
        let line = PART / 2;
        for _ in 0..2 {
            for nth in 0..10 {
                let kind = if nth == 4 { "update" } else { EVENT };
                marks.line(kind, nth * line, (nth + 1) * line);
            }
        }
        let all: u64 = marks.parts.iter().map(|part| part.events).sum();
        assert_eq!(all, 9);
        // Two whole parts, and half of one.
        let found = marks.parts_before(7 * line, 3);
        let from: Vec<u64> = found.iter().map(|part| part.from / line).collect();
        assert_eq!(from, [2, 5]);
        assert_eq!(found.last().unwrap().to, 7 * line);
        assert_eq!(marks.parts_before(0, 3), []);
    }
}
