//! Readers of a journal: batches for sending, one stream for looking at it, everything for making the store again.
//!
//! All of them see durable records only and live beside the writer. What was trimmed before a reader came to it is an
//! error with "no longer kept", never a gap.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;

use super::batch::{BATCH_ENTRIES_MAX, ChainHash, EntryBatch, SeenRun};
use super::chain::CHAIN_START;
use super::codec::pack_entry;
use super::dot::Seen;
use super::entry::JournalEntry;
use super::log::LogShared;
use super::record::{Record, StoredEntry, StreamPoint};
use super::scan::{Scanner, Unit};
use crate::error::Result;
use crate::journal::device::DeviceImage;

/// What a batch costs on the wire beside its entries: actor, range, two hashes, field tags.
const BATCH_OVERHEAD_BYTES: usize = 160;
/// What one actor costs in a context vector on the wire.
const SEEN_ACTOR_BYTES: usize = 32;

/// Reads a journal in log order behind a peer's cursors and packs what it finds to frames.
///
/// Log order is the order of the hybrid clocks, so a frame's mark promises that everything up to it was sent.
#[derive(Debug)]
pub struct BatchReader {
    scanner: Scanner,
    cursors: BTreeMap<u32, u64>,
    /// Read, not yet packed, not yet in the scanner's state.
    ahead: Option<Unit>,
}

impl BatchReader {
    pub(crate) fn start(shared: Arc<LogShared>, cursors: BTreeMap<u32, u64>) -> Result<Self> {
        let cursor = |stream: &u32| cursors.get(stream).copied().unwrap_or(0);
        let start = shared
            .start_for(|point| {
                point
                    .heads
                    .iter()
                    .all(|(stream, seq)| *seq <= cursor(stream))
            })
            .ok_or_else(|| shared.refused(0, 0, "entries behind the cursors are no longer kept"))?;
        Ok(Self {
            scanner: Scanner::start(shared, start)?,
            cursors,
            ahead: None,
        })
    }

    /// The next batches, at most `max_entries` entries and about `max_bytes` on the wire, and the mark: every entry
    /// with a hybrid clock up to it was given out. None when there is nothing behind what was given out that is
    /// durable. A transaction is never split, so one that is larger than the limits comes alone.
    ///
    /// # Errors
    /// When the log is damaged or the reader was overtaken by trimming; what was given out before is sound.
    pub fn next_frame(
        &mut self,
        max_bytes: usize,
        max_entries: usize,
    ) -> Result<Option<(Vec<EntryBatch>, u64)>> {
        let mut frame = FrameBuilder::default();
        while let Some(unit) = self.take_unit()? {
            let wanted = self.wanted(&unit);
            let (count, bytes) = (wanted.len(), self.cost(&unit, &wanted, &frame));
            let full = frame.entries + count > max_entries || frame.bytes + bytes > max_bytes;
            if full && count > 0 && frame.entries > 0 {
                self.ahead = Some(unit);
                break;
            }
            frame.bytes += bytes;
            frame.entries += count;
            self.pack(&unit, &mut frame)?;
        }
        if frame.entries == 0 {
            return Ok(None);
        }
        Ok(Some((frame.finish(), self.mark_hlc_us())))
    }

    /// Position of the first entry behind the cursors that was not given out; the durable end when there is none.
    /// What follows is still given out. Reads at most from one checkpoint to the next.
    ///
    /// # Errors
    /// As [`BatchReader::next_frame`].
    pub fn first_missing(&mut self) -> Result<u64> {
        while let Some(unit) = self.take_unit()? {
            if !self.wanted(&unit).is_empty() {
                let position = unit.position;
                self.ahead = Some(unit);
                return Ok(position);
            }
            for record in &unit.records {
                self.scanner.apply(unit.position, record)?;
            }
        }
        Ok(self.position())
    }

    /// Every entry with a hybrid clock up to this was given out or was behind the cursors from the start.
    #[must_use]
    pub const fn mark_hlc_us(&self) -> u64 {
        self.scanner.streams.last_hlc_us()
    }

    /// Position in the log behind what was given out.
    #[must_use]
    pub fn position(&self) -> u64 {
        let ahead = self.ahead.as_ref().map(|unit| unit.position);
        ahead.unwrap_or(self.scanner.position())
    }

    fn take_unit(&mut self) -> Result<Option<Unit>> {
        match self.ahead.take() {
            Some(unit) => Ok(Some(unit)),
            None => self.scanner.next_raw(),
        }
    }

    fn is_wanted(&self, entry: &JournalEntry) -> bool {
        entry.seq > self.cursors.get(&entry.shard_id).copied().unwrap_or(0)
    }

    fn wanted<'a>(&self, unit: &'a Unit) -> Vec<&'a StoredEntry> {
        let entries = unit.records.iter().flat_map(entries_of);
        entries
            .filter(|stored| self.is_wanted(&stored.entry))
            .collect()
    }

    /// About how many bytes the wanted entries of a unit add to the frame on the wire.
    fn cost(&self, unit: &Unit, wanted: &[&StoredEntry], frame: &FrameBuilder) -> usize {
        let changes = |record: &Record| matches!(record, Record::Seen { .. });
        let changed = unit.records.iter().any(changes);
        let bytes = wanted.iter().map(|stored| {
            let stream = stored.entry.shard_id;
            let seen = self.scanner.streams.point(stream);
            let actors = seen.map_or(0, |point| point.seen.iter().count()) + 1;
            let starts = !frame.open.contains_key(&stream);
            let batch = if starts { BATCH_OVERHEAD_BYTES } else { 0 };
            let run = if starts || changed { actors } else { 0 };
            stored.raw.len() + 4 + batch + SEEN_ACTOR_BYTES * run
        });
        bytes.sum()
    }

    fn pack(&mut self, unit: &Unit, frame: &mut FrameBuilder) -> Result<()> {
        for record in &unit.records {
            let entries = entries_of(record);
            if entries.is_empty() {
                self.scanner.apply(unit.position, record)?;
            }
            for stored in entries {
                let stream = stored.entry.shard_id;
                let streams = &self.scanner.streams;
                let before = streams.point(stream).map(|point| point.chain);
                self.scanner.apply_entry(unit.position, stored)?;
                if self.is_wanted(&stored.entry)
                    && let Some(after) = self.scanner.streams.point(stream)
                {
                    frame.push(stored, before.unwrap_or(CHAIN_START), after);
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn entries_of(record: &Record) -> &[StoredEntry] {
    match record {
        Record::Entry(stored) => std::slice::from_ref(stored),
        Record::Txn(entries) => entries,
        Record::Seen { .. } | Record::Trailer { .. } | Record::Snapshot(_) | Record::Range(_) => {
            &[]
        }
    }
}

/// Batches of a frame under way: the last one of every stream is open.
#[derive(Debug, Default)]
struct FrameBuilder {
    open: BTreeMap<u32, BatchBuilder>,
    full: Vec<EntryBatch>,
    entries: usize,
    bytes: usize,
}

#[derive(Debug)]
struct BatchBuilder {
    batch: EntryBatch,
    packed: BytesMut,
}

impl FrameBuilder {
    fn push(&mut self, stored: &StoredEntry, before: ChainHash, after: &StreamPoint) {
        let entry = &stored.entry;
        let full = |open: &BatchBuilder| open.batch.entries.len() == BATCH_ENTRIES_MAX;
        if self.open.get(&entry.shard_id).is_some_and(full)
            && let Some(done) = self.open.remove(&entry.shard_id)
        {
            self.full.push(done.finish());
        }
        let open = self.open.entry(entry.shard_id);
        open.or_insert_with(|| BatchBuilder::start(entry, before))
            .push(stored, after);
    }

    fn finish(self) -> Vec<EntryBatch> {
        let mut batches = self.full;
        batches.extend(self.open.into_values().map(BatchBuilder::finish));
        batches.sort_by_key(|batch| (batch.stream, batch.first));
        batches
    }
}

impl BatchBuilder {
    fn start(entry: &JournalEntry, chain_prev: ChainHash) -> Self {
        let mut batch = EntryBatch::new(entry.site_id, Vec::new(), 0);
        batch.incarnation = entry.incarnation;
        batch.stream = entry.shard_id;
        batch.first = entry.seq;
        batch.chain_prev = chain_prev;
        Self {
            batch,
            packed: BytesMut::new(),
        }
    }

    fn push(&mut self, stored: &StoredEntry, after: &StreamPoint) {
        let seq = stored.entry.seq;
        let runs = &mut self.batch.seen_runs;
        if runs.last().is_none_or(|run| run.seen != after.seen) {
            runs.push(SeenRun {
                first_seq: seq,
                seen: after.seen.clone(),
            });
        }
        pack_entry(&mut self.packed, &stored.raw);
        self.batch.entries.push(stored.entry.clone());
        self.batch.last = seq;
        self.batch.chain_last = after.chain;
    }

    fn finish(mut self) -> EntryBatch {
        if self.batch.seen_runs.iter().all(|run| run.seen.is_empty()) {
            self.batch.seen_runs.clear();
        }
        self.batch.raw = self.packed.freeze();
        self.batch
    }
}

/// The entries of one stream, in order. Ends at the durable end; [`StreamReader::next_entry`] goes on when there is
/// more.
#[derive(Debug)]
pub struct StreamReader {
    scanner: Scanner,
    stream: u32,
    from_seq: u64,
    found: VecDeque<JournalEntry>,
}

impl StreamReader {
    pub(crate) fn start(shared: Arc<LogShared>, stream: u32, from_seq: u64) -> Result<Self> {
        let start = shared
            .start_for(|point| point.heads.get(&stream).copied().unwrap_or(0) < from_seq.max(1))
            .ok_or_else(|| {
                let tail = shared.trimmed().get(&stream).copied().unwrap_or(0) + 1;
                let reason = format!("no longer kept, the journal starts at {tail}");
                shared.refused(stream, from_seq, reason)
            })?;
        Ok(Self {
            scanner: Scanner::start(shared, start)?,
            stream,
            from_seq,
            found: VecDeque::new(),
        })
    }

    /// The next entry; none at the durable end.
    ///
    /// # Errors
    /// When the log is damaged or the reader was overtaken by trimming.
    pub fn next_entry(&mut self) -> Result<Option<JournalEntry>> {
        loop {
            if let Some(entry) = self.found.pop_front() {
                return Ok(Some(entry));
            }
            let Some(unit) = self.scanner.next_unit()? else {
                return Ok(None);
            };
            let entries = unit.records.iter().flat_map(entries_of);
            self.found.extend(
                entries
                    .map(|stored| &stored.entry)
                    .filter(|entry| entry.shard_id == self.stream && entry.seq >= self.from_seq)
                    .cloned(),
            );
        }
    }
}

impl Iterator for StreamReader {
    type Item = Result<JournalEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}

/// One group as it was appended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LoggedUnit {
    /// Where it stands.
    pub position: u64,
    /// Position behind it: where a replay goes on.
    pub next: u64,
    /// Its entries, each with the context vector of its stream, exceptions not taken off.
    pub entries: Vec<(StoredEntry, Seen)>,
    /// What the files behind the entries looked like: stream and seq of the entry, and the image.
    pub trailers: Vec<(u32, u64, DeviceImage)>,
}

impl LoggedUnit {
    /// What the entry `at` had seen: the vector of its stream less its exceptions, and its own stream's past.
    #[must_use]
    pub fn context(&self, at: usize) -> Seen {
        let Some((stored, seen)) = self.entries.get(at) else {
            return Seen::new();
        };
        let mut seen = seen.clone();
        for (actor, seq) in &stored.entry.seen_except {
            seen.set(*actor, *seq);
        }
        seen.set(stored.entry.actor(), stored.entry.seq.saturating_sub(1));
        seen
    }
}

/// All groups from a position on.
#[derive(Debug)]
pub struct LoggedUnits {
    scanner: Scanner,
    from: u64,
}

impl LoggedUnits {
    pub(crate) fn start(shared: Arc<LogShared>, from: u64) -> Result<Self> {
        Ok(Self {
            scanner: start_at(shared, from)?,
            from,
        })
    }

    /// The next group; none at the durable end.
    ///
    /// # Errors
    /// When the log is damaged or the reader was overtaken by trimming.
    pub fn next_unit(&mut self) -> Result<Option<LoggedUnit>> {
        loop {
            let Some(unit) = self.scanner.next_unit()? else {
                return Ok(None);
            };
            if unit.position < self.from {
                continue;
            }
            let mut logged = LoggedUnit {
                position: unit.position,
                next: unit.next,
                ..LoggedUnit::default()
            };
            for record in unit.records {
                self.collect_record(record, &mut logged);
            }
            if !logged.entries.is_empty() {
                return Ok(Some(logged));
            }
        }
    }

    /// A context never changes inside a unit behind its stream's first entry, so the state after it serves all.
    fn collect_record(&self, record: Record, logged: &mut LoggedUnit) {
        let streams = &self.scanner.streams;
        match record {
            Record::Entry(stored) => {
                let seen = streams.seen(stored.entry.shard_id);
                logged.entries.push((stored, seen));
            }
            Record::Txn(entries) => logged.entries.extend(entries.into_iter().map(|stored| {
                let seen = streams.seen(stored.entry.shard_id);
                (stored, seen)
            })),
            Record::Trailer {
                stream,
                seq,
                device,
            } => logged.trailers.push((stream, seq, device)),
            Record::Seen { .. } | Record::Snapshot(_) | Record::Range(_) => {}
        }
    }
}

impl Iterator for LoggedUnits {
    type Item = Result<LoggedUnit>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_unit().transpose()
    }
}

/// A scanner from the last checkpoint at or before `position`; the first kept one for position 0 of a whole log.
pub(crate) fn start_at(shared: Arc<LogShared>, position: u64) -> Result<Scanner> {
    let start = shared.start_for(|point| point.position <= position);
    let start = start.ok_or_else(|| {
        let reason = format!("position {position} is no longer kept");
        shared.refused(0, 0, reason)
    })?;
    Scanner::start(shared, start)
}

/// The chain hashes of streams at these seqs, in one pass; a stream whose seq is not found is left out.
pub(crate) fn chains_at(
    shared: Arc<LogShared>,
    cursors: &BTreeMap<u32, u64>,
) -> Result<BTreeMap<u32, ChainHash>> {
    let mut found = BTreeMap::new();
    let start_of = |(stream, seq): (&u32, &u64)| {
        let position =
            shared.start_for(|point| point.heads.get(stream).copied().unwrap_or(0) <= *seq)?;
        Some((position, *stream, *seq))
    };
    let starts: Vec<(u64, u32, u64)> = cursors.iter().filter_map(start_of).collect();
    let Some(start) = starts.iter().map(|(position, ..)| *position).min() else {
        return Ok(found);
    };
    let mut wanted: BTreeMap<u32, u64> = starts
        .into_iter()
        .map(|(_, stream, seq)| (stream, seq))
        .collect();
    let mut take = |wanted: &mut BTreeMap<u32, u64>, stream: u32, point: Option<&StreamPoint>| {
        if let Some(point) = point
            && wanted.get(&stream) == Some(&point.seq)
        {
            wanted.remove(&stream);
            found.insert(stream, point.chain);
        }
    };
    let mut scanner = Scanner::start(shared, start)?;
    let streams: Vec<u32> = wanted.keys().copied().collect();
    for stream in streams {
        take(&mut wanted, stream, scanner.streams.point(stream));
    }
    while !wanted.is_empty() {
        let Some(unit) = scanner.next_raw()? else {
            break;
        };
        for record in &unit.records {
            match record {
                Record::Txn(entries) => {
                    for stored in entries {
                        scanner.apply_entry(unit.position, stored)?;
                        let stream = stored.entry.shard_id;
                        take(&mut wanted, stream, scanner.streams.point(stream));
                    }
                }
                Record::Entry(stored) => {
                    scanner.apply(unit.position, record)?;
                    let stream = stored.entry.shard_id;
                    take(&mut wanted, stream, scanner.streams.point(stream));
                }
                Record::Seen { .. }
                | Record::Trailer { .. }
                | Record::Snapshot(_)
                | Record::Range(_) => scanner.apply(unit.position, record)?,
            }
        }
    }
    Ok(found)
}
