//! Reads the records of a log, whole units at a time, beside its writer.
//!
//! Only what is durable is read, and every crc is checked: a record that is not right names file and offset. A reader
//! keeps the file of its segment open, so trimming does not pull it away underneath.

use std::sync::Arc;

use bytes::Bytes;

use super::log::LogShared;
use super::record::{Frame, RECORD_HEADER_BYTES, RawRecord, Record, StoredEntry, read_record};
use super::segment::HEADER_BYTES;
use super::streams::Streams;
use crate::disk::{SharedFile, read_range};
use crate::error::{ReplError, Result};

/// Bytes read at once: a few hundred entries, and large enough that the system call does not count.
const CHUNK_BYTES: u64 = 256 * 1024;

/// Records that recovery keeps or cuts whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unit {
    pub position: u64,
    /// Position behind it.
    pub next: u64,
    pub records: Vec<Record>,
}

/// Collects records to units.
#[derive(Debug, Default)]
pub(crate) struct UnitBuilder {
    unit: Option<Unit>,
}

impl UnitBuilder {
    /// Takes the record at `position..next`; gives the unit that it completes.
    pub(crate) fn push(
        &mut self,
        position: u64,
        next: u64,
        more: bool,
        record: Record,
    ) -> Option<Unit> {
        let unit = self.unit.get_or_insert_with(|| Unit {
            position,
            ..Unit::default()
        });
        unit.records.push(record);
        unit.next = next;
        if more { None } else { self.unit.take() }
    }
}

#[derive(Debug)]
struct OpenSegment {
    base: u64,
    file: SharedFile,
}

/// Reads units in log order and keeps the state of all streams as of the last one. Starts at a checkpoint.
#[derive(Debug)]
pub(crate) struct Scanner {
    pub(crate) shared: Arc<LogShared>,
    /// State after the last unit.
    pub(crate) streams: Streams,
    position: u64,
    segment: Option<OpenSegment>,
    buffer: Bytes,
}

impl Scanner {
    /// A reader from the checkpoint at `position` on.
    pub(crate) fn start(shared: Arc<LogShared>, position: u64) -> Result<Self> {
        let streams = Streams::new(shared.place.kind);
        let mut scanner = Self {
            shared,
            streams,
            position,
            segment: None,
            buffer: Bytes::new(),
        };
        let limit = scanner.shared.durable().position;
        let first = scanner.take_record(limit)?;
        let size = first.as_ref().map_or(0, |(_, size)| *size);
        match first.map(|(raw, _)| scanner.decode(&raw)).transpose()? {
            Some(Record::Snapshot(snapshot)) => {
                scanner.position += size;
                scanner.streams = Streams::restore(scanner.shared.place.kind, snapshot);
                Ok(scanner)
            }
            _ => Err(scanner.damaged("no checkpoint stands where one was".to_owned())),
        }
    }

    /// Position behind the last unit.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// The next durable unit, not yet taken over into the state; none when the reader is at the durable end.
    pub(crate) fn next_raw(&mut self) -> Result<Option<Unit>> {
        let mut builder = UnitBuilder::default();
        let limit = self.shared.durable().position;
        let start = self.position;
        while let Some((raw, size)) = self.take_record(limit)? {
            let record = self.decode(&raw)?;
            let position = self.position;
            self.position += size;
            if let Some(unit) = builder.push(position, self.position, raw.more, record) {
                return Ok(Some(unit));
            }
        }
        if self.position == start {
            Ok(None)
        } else {
            Err(self.damaged("unit is cut short inside the durable part".to_owned()))
        }
    }

    /// The next durable unit, taken over into the state.
    pub(crate) fn next_unit(&mut self) -> Result<Option<Unit>> {
        let Some(unit) = self.next_raw()? else {
            return Ok(None);
        };
        for record in &unit.records {
            self.apply(unit.position, record)?;
        }
        Ok(Some(unit))
    }

    /// Takes a record of the unit at `position` over into the state.
    pub(crate) fn apply(&mut self, position: u64, record: &Record) -> Result<()> {
        self.streams
            .apply(record)
            .map_err(|reason| self.damaged_at(position, reason))
    }

    /// Takes an entry of the unit at `position` over into the state.
    pub(crate) fn apply_entry(&mut self, position: u64, stored: &StoredEntry) -> Result<()> {
        self.streams
            .apply_entry(stored)
            .map_err(|reason| self.damaged_at(position, reason))
    }

    fn decode(&self, raw: &RawRecord) -> Result<Record> {
        Record::decode(self.shared.place.owner, raw).map_err(|e| self.damaged(e.to_string()))
    }

    /// Takes the record at the position out of the buffer; its size is for the caller to add to the position.
    fn take_record(&mut self, limit: u64) -> Result<Option<(RawRecord, u64)>> {
        loop {
            if self.position >= limit {
                return Ok(None);
            }
            match read_record(&self.buffer, self.position) {
                Frame::Record {
                    kind, more, body, ..
                } => {
                    let size = RECORD_HEADER_BYTES + body;
                    let mut bytes = self.buffer.split_to(size);
                    let body = bytes.split_off(RECORD_HEADER_BYTES);
                    return Ok(Some((RawRecord { kind, more, body }, size as u64)));
                }
                Frame::Short(needed) => {
                    let before = self.buffer.len();
                    self.fill(needed)?;
                    if self.buffer.len() <= before {
                        let reason = format!("record of {needed} bytes is cut off at {before}");
                        return Err(self.damaged(reason));
                    }
                }
                Frame::End => {
                    return Err(self.damaged("the log ends before its durable end".to_owned()));
                }
                Frame::Damaged(reason) => return Err(self.damaged(reason)),
            }
        }
    }

    /// Reads at the position again, at least `needed` bytes where the segment has as many.
    fn fill(&mut self, needed: usize) -> Result<()> {
        let durable = self.shared.durable().position;
        let (base, end) = self.bounds()?;
        if self.segment.as_ref().is_none_or(|open| open.base != base) {
            let opened = self.shared.place.disk.open(&self.shared.path(base));
            let file = opened.map_err(|error| match self.bounds() {
                // Trimmed between the look at the list and the opening.
                Err(trimmed) => trimmed,
                Ok(_) => error,
            })?;
            self.segment = Some(OpenSegment { base, file });
        }
        let Some(open) = &self.segment else {
            return Ok(());
        };
        let left = durable.min(end).saturating_sub(self.position);
        let count = CHUNK_BYTES.max(needed as u64).min(left);
        let offset = HEADER_BYTES as u64 + self.position - base;
        let count = usize::try_from(count).unwrap_or(0);
        self.buffer = read_range(open.file.as_ref(), offset, count)?.into();
        Ok(())
    }

    /// Base and end of the segment that holds the position.
    fn bounds(&self) -> Result<(u64, u64)> {
        let segments = self.shared.segments();
        let after = segments.partition_point(|segment| segment.base <= self.position);
        let holding = after.checked_sub(1).and_then(|at| segments.get(at));
        let base = holding.map(|segment| segment.base).ok_or_else(|| {
            let reason = format!("position {} is no longer kept", self.position);
            self.shared.refused(0, 0, reason)
        })?;
        let end = segments.get(after).map_or(u64::MAX, |next| next.base);
        Ok((base, end))
    }

    fn damaged(&self, reason: String) -> ReplError {
        self.damaged_at(self.position, reason)
    }

    /// Damage of the unit at `position`.
    pub(crate) fn damaged_at(&self, position: u64, reason: String) -> ReplError {
        let base = self.segment.as_ref().map_or(0, |open| open.base);
        ReplError::WalCorrupted {
            file: self.shared.path(base),
            offset: HEADER_BYTES as u64 + position.saturating_sub(base),
            reason,
        }
    }
}
