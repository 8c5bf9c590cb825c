//! Pure: how much of what was sent waits for its receipt.
//!
//! The window bounds what a receiver must be ready to hold and what is sent again after a lost connection. Promise:
//! a frame that is alone always fits, whatever its size, so that no setting stalls the stream.

use std::collections::{BTreeMap, VecDeque};

use crate::journal::{EntryBatch, JournalEntry, RegisterDot, RegisterId};

/// Largest frame in bytes. One Mebibyte keeps a receipt or heartbeat from waiting long behind it on a slow link.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Most entries without receipt. Default of the design: four batches of full size.
pub const WINDOW_ENTRIES: usize = 4_096;
/// Most bytes without receipt. Default of the design: 8 MiB fill a 300 Mbit/s link of 200 ms round trip.
pub const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// What a batch counts beside its entries: range, chain, context.
const BATCH_OVERHEAD_BYTES: usize = 256;
/// What an entry counts beside its payload when its encoded size is not known.
const ENTRY_OVERHEAD_BYTES: usize = 128;
/// Largest encoded version or exception without its name: a tag, an actor, two numbers.
const CAUSAL_ITEM_BYTES: usize = 48;

/// How much may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLimits {
    /// Entries. Default: [`WINDOW_ENTRIES`]. Minimum: 1.
    pub entries: usize,
    /// Bytes. Default: [`WINDOW_BYTES`]. Minimum: 1.
    pub bytes: usize,
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self {
            entries: WINDOW_ENTRIES,
            bytes: WINDOW_BYTES,
        }
    }
}

/// The size of a batch as the window counts it: what it takes on the wire, within a few per cent.
#[must_use]
pub fn batch_bytes(batch: &EntryBatch) -> usize {
    let entries = if batch.raw.is_empty() {
        batch.entries.iter().map(entry_bytes).sum()
    } else {
        batch.raw.len()
    };
    let context: usize = batch
        .seen_runs
        .iter()
        .map(|run| run.seen.iter().count())
        .sum();
    entries + context * 24 + BATCH_OVERHEAD_BYTES
}

/// An upper bound of an entry's encoded size.
#[must_use]
pub fn entry_bytes(entry: &JournalEntry) -> usize {
    let version = |version: &RegisterDot| match &version.register {
        RegisterId::Xattr(name) => CAUSAL_ITEM_BYTES + name.len(),
        RegisterId::Content
        | RegisterId::Mode
        | RegisterId::Owner
        | RegisterId::Times
        | RegisterId::Flags
        | RegisterId::LinkPlace(_)
        | RegisterId::DirPlace => CAUSAL_ITEM_BYTES,
    };
    let versions: usize = entry.prev.iter().chain(&entry.overrides).map(version).sum();
    let exceptions = entry.seen_except.len() * CAUSAL_ITEM_BYTES;
    entry.payload.len() + ENTRY_OVERHEAD_BYTES + versions + exceptions
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InFlight {
    last: u64,
    entries: usize,
    bytes: usize,
}

/// What was sent and not receipted, by stream and in the order of sending.
#[derive(Debug, Default)]
pub struct Window {
    limits: WindowLimits,
    streams: BTreeMap<u32, VecDeque<InFlight>>,
    entries: usize,
    bytes: usize,
}

impl Window {
    /// An empty window.
    #[must_use]
    pub fn new(limits: WindowLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Whether another frame may be sent: there is room, or nothing is in flight.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.entries < self.limits.entries && self.bytes < self.limits.bytes
    }

    /// Whether `entries` of `bytes` fit, or nothing is in flight.
    #[must_use]
    pub const fn fits(&self, entries: usize, bytes: usize) -> bool {
        self.is_empty()
            || (self.entries + entries <= self.limits.entries
                && self.bytes + bytes <= self.limits.bytes)
    }

    /// Whether nothing is in flight.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Entries and bytes in flight.
    #[must_use]
    pub const fn in_flight(&self) -> (usize, usize) {
        (self.entries, self.bytes)
    }

    /// Notes a batch as sent. A batch without a range takes no room: there is no receipt for it.
    pub fn sent(&mut self, batch: &EntryBatch) {
        if batch.last == 0 {
            return;
        }
        let item = InFlight {
            last: batch.last,
            entries: batch.entries.len(),
            bytes: batch_bytes(batch),
        };
        self.entries += item.entries;
        self.bytes += item.bytes;
        self.streams
            .entry(batch.stream)
            .or_default()
            .push_back(item);
    }

    /// Frees what `stream` has in flight up to `received`.
    pub fn received(&mut self, stream: u32, received: u64) {
        let Some(queue) = self.streams.get_mut(&stream) else {
            return;
        };
        while let Some(item) = queue.front().copied()
            && item.last <= received
        {
            queue.pop_front();
            self.entries -= item.entries;
            self.bytes -= item.bytes;
        }
        if queue.is_empty() {
            self.streams.remove(&stream);
        }
    }

    /// Frees all that `stream` has in flight: it was not taken and is sent again.
    pub fn rewind(&mut self, stream: u32) {
        self.received(stream, u64::MAX);
    }

    /// Streams with something in flight.
    #[must_use]
    pub fn streams(&self) -> Vec<u32> {
        self.streams.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(stream: u32, first: u64, last: u64, payload: usize) -> EntryBatch {
        EntryBatch {
            stream,
            first,
            last,
            raw: vec![0; payload].into(),
            entries: (first..=last)
                .map(|seq| {
                    JournalEntry::new(seq, stream, 1, 1, 9, crate::journal::OpKind::Write, vec![])
                })
                .collect(),
            ..EntryBatch::default()
        }
    }

    fn limits(entries: usize, bytes: usize) -> WindowLimits {
        WindowLimits { entries, bytes }
    }

    #[test]
    fn the_window_closes_at_either_limit_and_receipts_open_it() {
        let mut window = Window::new(limits(10, 10_000));
        window.sent(&batch(3, 1, 9, 100));
        assert!(window.is_open() && !window.fits(2, 10));
        window.sent(&batch(3, 10, 12, 100));
        assert!(!window.is_open());
        window.received(3, 8);
        assert!(!window.is_open(), "half a batch frees nothing");
        window.received(3, 9);
        assert_eq!(window.in_flight().0, 3);
        window.sent(&batch(4, 1, 1, 10_000));
        assert!(!window.is_open());
        window.rewind(4);
        window.received(3, 12);
        assert!(window.is_empty() && window.streams().is_empty());
    }

    #[test]
    fn a_frame_alone_always_fits() {
        let window = Window::new(limits(1, 1));
        assert!(window.fits(1_000_000, 1_000_000));
    }

    #[test]
    fn a_batch_without_range_takes_no_room() {
        let mut window = Window::new(WindowLimits::default());
        window.sent(&EntryBatch::new(1, Vec::new(), 1));
        assert!(window.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn the_sums_are_those_of_the_queues(steps in proptest::collection::vec((0u32..4, 1u64..50, 0u8..4), 0..80)) {
            let mut window = Window::new(WindowLimits::default());
            let mut next = [1u64; 4];
            for (stream, n, what) in steps {
                let at = stream as usize;
                match what {
                    0 | 1 => {
                        window.sent(&batch(stream, next[at], next[at] + n - 1, 10));
                        next[at] += n;
                    }
                    2 => window.received(stream, next[at].saturating_sub(n)),
                    _ => window.rewind(stream),
                }
                let all: Vec<InFlight> = window.streams.values().flatten().copied().collect();
                let entries: usize = all.iter().map(|item| item.entries).sum();
                let bytes: usize = all.iter().map(|item| item.bytes).sum();
                proptest::prop_assert_eq!(window.in_flight(), (entries, bytes));
            }
        }
    }
}
