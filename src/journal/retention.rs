//! Pure: which segments of a log nobody needs any more, and who holds back the others.
//!
//! A segment goes when every member has received everything in it and the store no longer needs it for a replay;
//! whole segments only, oldest first, never the last one. A member that pins more
//! than the budget is named, so that it can be fenced loudly; nothing is dropped because of the budget alone.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The last seq that a site has received, by stream; absent means none.
pub type Cursors = BTreeMap<u32, u64>;

/// A segment as retention sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Position behind its last record.
    pub end: u64,
    /// Bytes of its file.
    pub file_bytes: u64,
    /// Last seq of every stream at its end.
    pub heads: Arc<Cursors>,
}

/// What a member still needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// The site.
    pub site_id: u64,
    /// Bytes of the segment files that it holds back.
    pub bytes: u64,
    /// A stream for which it needs the oldest of them.
    pub stream: u32,
    /// How far it has received that stream.
    pub received: u64,
}

/// What was removed, what is left and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TrimReport {
    /// Segments removed.
    pub segments: usize,
    /// Bytes that their files had.
    pub freed_bytes: u64,
    /// Bytes of the files that are left.
    pub kept_bytes: u64,
    /// By how much they are above the budget; 0 within it.
    pub over_bytes: u64,
    /// Bytes that a replay of the store still needs.
    pub replay_bytes: u64,
    /// Members that hold segments back, the one that holds most first.
    pub pins: Vec<Pin>,
}

/// Decides about `spans`, oldest first, without the last segment, which stays and has `last_bytes`. The report counts
/// the removals as done.
#[must_use]
pub fn plan(
    spans: &[Span],
    last_bytes: u64,
    members: &BTreeMap<u64, Cursors>,
    replayed: u64,
    budget_bytes: u64,
) -> TrimReport {
    let kept_from = |index: usize| -> u64 {
        let rest = spans.get(index..).unwrap_or_default();
        rest.iter().map(|span| span.file_bytes).sum::<u64>() + last_bytes
    };
    let replay = spans.iter().take_while(|span| span.end <= replayed).count();
    let mut keep = replay;
    let mut pins = Vec::new();
    for (site_id, cursors) in members {
        let missing = |span: &Span| first_missing(span, cursors);
        let Some(index) = spans.iter().position(|span| missing(span).is_some()) else {
            continue;
        };
        keep = keep.min(index);
        if let Some((stream, received)) = spans.get(index).and_then(missing) {
            pins.push(Pin {
                site_id: *site_id,
                bytes: kept_from(index),
                stream,
                received,
            });
        }
    }
    pins.sort_by_key(|pin| (std::cmp::Reverse(pin.bytes), pin.site_id));
    let kept_bytes = kept_from(keep);
    TrimReport {
        segments: keep,
        freed_bytes: kept_from(0) - kept_bytes,
        kept_bytes,
        over_bytes: kept_bytes.saturating_sub(budget_bytes),
        replay_bytes: kept_from(replay),
        pins,
    }
}

/// A stream of which `cursors` lacks an entry up to the end of the span, and its cursor.
fn first_missing(span: &Span, cursors: &Cursors) -> Option<(u32, u64)> {
    span.heads.iter().find_map(|(stream, head)| {
        let cursor = cursors.get(stream).copied().unwrap_or(0);
        (cursor < *head).then_some((*stream, cursor))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors(list: &[(u32, u64)]) -> Cursors {
        list.iter().copied().collect()
    }

    /// Three sealed segments of 10 bytes that end at 100, 200, 300; stream 0 has ten entries in each, stream 7 five
    /// in the second.
    fn spans() -> Vec<Span> {
        let heads = [
            cursors(&[(0, 10)]),
            cursors(&[(0, 20), (7, 5)]),
            cursors(&[(0, 30), (7, 5)]),
        ];
        let span = |(index, heads): (usize, Cursors)| Span {
            end: 100 * (index as u64 + 1),
            file_bytes: 10,
            heads: Arc::new(heads),
        };
        heads.into_iter().enumerate().map(span).collect()
    }

    #[test]
    fn a_segment_goes_when_every_member_and_the_store_are_past_it() {
        let everything = cursors(&[(0, 30), (7, 5)]);
        let most = cursors(&[(0, 29), (7, 5)]);
        let members = |of: &[&Cursors]| -> BTreeMap<u64, Cursors> {
            (2..).zip(of.iter().map(|c| (*c).clone())).collect()
        };
        let removed =
            |m: &BTreeMap<u64, Cursors>, replayed| plan(&spans(), 10, m, replayed, 0).segments;
        assert_eq!(removed(&members(&[&everything, &everything]), 400), 3);
        assert_eq!(removed(&members(&[&everything, &most]), 400), 2);
        assert_eq!(removed(&members(&[&everything]), 299), 2);
        assert_eq!(removed(&members(&[&cursors(&[(0, 30), (7, 4)])]), 400), 1);
        assert_eq!(removed(&members(&[&cursors(&[])]), 400), 0);
        assert_eq!(removed(&BTreeMap::new(), 99), 0);
    }

    #[test]
    fn the_report_names_who_pins_the_log_and_by_how_much() {
        let members = [
            (2, cursors(&[(0, 30), (7, 5)])),
            (3, cursors(&[(0, 30), (7, 3)])),
            (4, cursors(&[(0, 9)])),
        ];
        let members = members.into_iter().collect();
        let report = plan(&spans(), 10, &members, 200, 25);
        let pin = |site_id, bytes, stream, received| Pin {
            site_id,
            bytes,
            stream,
            received,
        };
        assert_eq!(report.pins, [pin(4, 40, 0, 9), pin(3, 30, 7, 3)]);
        assert_eq!((report.kept_bytes, report.over_bytes), (40, 15));
        assert_eq!((report.segments, report.freed_bytes), (0, 0));
        assert_eq!(report.replay_bytes, 20);
    }
}
