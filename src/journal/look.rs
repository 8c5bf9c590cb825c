//! Looks at a log from outside: beside the daemon that writes it, or without one.
//!
//! Promise: nothing is locked, repaired, cut or made; over [`crate::disk::ReadOnlyDisk`] it could not be. What is read
//! is what stands in the files in whole units. The last commit may not be synced yet: after a power loss it may be gone
//! although it was seen here.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::device::DeviceImage;
use super::dot::{Actor, Seen};
use super::log::{Durable, LogShared};
use super::reader::{BatchReader, entries_of, start_at};
use super::record::{Frame, RECORD_HEADER_BYTES, Record, StoredEntry, read_record};
use super::recovery::{self, Survey, Verified};
use super::scan::{Scanner, Unit};
use super::segment::{HEADER_BYTES, LogKind};
use crate::disk::{SharedDisk, read_range};
use crate::error::{ReplError, Result};

/// How often a look begins anew because a segment was trimmed while it was taken. Trimming is rare; more than once
/// in a row is somebody who empties the folder.
const LOOKS_MAX: usize = 3;
/// Bytes that are read at once to see how far a log got: several commits.
const CHUNK_BYTES: usize = 256 * 1024;

/// A log as it lies on disk.
#[derive(Debug)]
pub struct LogLook {
    shared: Arc<LogShared>,
    publish: watch::Sender<Durable>,
    heads: BTreeMap<u32, u64>,
    torn_bytes: u64,
    damage: Option<ReplError>,
}

/// An entry with everything that a log knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Looked {
    /// Position of its unit.
    pub position: u64,
    /// The entry, and the bytes that it is kept as.
    pub stored: StoredEntry,
    /// What its author had seen of its stream, without the author's own past.
    pub context: Seen,
    /// What the file behind it looked like on the device.
    pub device: Option<DeviceImage>,
}

impl Looked {
    /// An entry of which no more is known.
    #[must_use]
    pub const fn of(stored: StoredEntry) -> Self {
        Self {
            position: 0,
            stored,
            context: Seen::new(),
            device: None,
        }
    }
}

impl LogLook {
    /// Looks at a site's own journal in `dir`.
    ///
    /// # Errors
    /// When there is none, or nothing of it can be used. Damage behind its beginning is told by [`LogLook::damage`].
    pub fn journal(disk: &SharedDisk, dir: impl Into<PathBuf>) -> Result<Self> {
        Self::at(disk, &dir.into(), LogKind::Journal)
    }

    /// Looks at what was received of one other journal in `dir`.
    ///
    /// # Errors
    /// As [`LogLook::journal`].
    pub fn received(disk: &SharedDisk, dir: impl Into<PathBuf>) -> Result<Self> {
        Self::at(disk, &dir.into(), LogKind::Received)
    }

    fn at(disk: &SharedDisk, dir: &std::path::Path, kind: LogKind) -> Result<Self> {
        let mut looks = 1;
        loop {
            match recovery::survey(disk.clone(), dir.to_owned(), kind) {
                // Trimmed between the look at the list and the opening.
                Err(ReplError::Io { source, action, .. })
                    if source.kind() == ErrorKind::NotFound
                        && action == "open file"
                        && looks < LOOKS_MAX =>
                {
                    looks += 1;
                }
                surveyed => return surveyed.map(Self::of),
            }
        }
    }

    fn of(survey: Survey) -> Self {
        let (shared, publish) = LogShared::new(survey.place, survey.segments, survey.durable);
        Self {
            shared,
            publish,
            heads: survey.heads,
            torn_bytes: survey.torn_bytes,
            damage: survey.damage,
        }
    }

    /// Who wrote the entries.
    #[must_use]
    pub fn owner(&self) -> Actor {
        self.shared.place.owner
    }

    /// Position of the first kept record.
    #[must_use]
    pub fn start(&self) -> u64 {
        let segments = self.shared.segments();
        segments.first().map_or(0, |segment| segment.base)
    }

    /// Position behind the last whole unit.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.shared.durable().position
    }

    /// Highest hybrid clock of the entries up to there, as of the look.
    #[must_use]
    pub fn last_hlc_us(&self) -> u64 {
        self.shared.durable().hlc_us
    }

    /// How many segment files there are up to the end.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.shared.segments().len()
    }

    /// Bytes of these files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.file_bytes()
    }

    /// Bytes behind the end that are no whole unit: a commit under way, or one that a crash cut off.
    #[must_use]
    pub const fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Last seq of every stream, as of the look, and not of a later [`LogLook::refresh`].
    #[must_use]
    pub const fn heads(&self) -> &BTreeMap<u32, u64> {
        &self.heads
    }

    /// Last seq of every stream that was trimmed.
    #[must_use]
    pub fn trimmed(&self) -> BTreeMap<u32, u64> {
        self.shared.trimmed().as_ref().clone()
    }

    /// Why nothing behind the end is read, unless the log ends there.
    #[must_use]
    pub const fn damage(&self) -> Option<&ReplError> {
        self.damage.as_ref()
    }

    /// The same, for whoever passes it on.
    #[must_use]
    pub fn into_damage(self) -> Option<ReplError> {
        self.damage
    }

    /// Positions at which reading can begin, ascending.
    #[must_use]
    pub fn starts(&self) -> Vec<u64> {
        let segments = self.shared.segments();
        let points = segments.iter().flat_map(|segment| &segment.points);
        points.map(|point| point.position).collect()
    }

    /// File and offset of a position.
    #[must_use]
    pub fn place_of(&self, position: u64) -> (PathBuf, u64) {
        let base = {
            let segments = self.shared.segments();
            let after = segments.partition_point(|segment| segment.base <= position);
            let holding = after.checked_sub(1).and_then(|at| segments.get(at));
            holding.map_or(0, |segment| segment.base)
        };
        let offset = HEADER_BYTES as u64 + position.saturating_sub(base);
        (self.shared.path(base), offset)
    }

    /// The entries from `position` on, one of [`LogLook::starts`] or [`LogLook::end`].
    ///
    /// # Errors
    /// When that is no longer kept, or damaged.
    pub fn entries(&self, position: u64) -> Result<LookedEntries> {
        Ok(LookedEntries {
            scanner: start_at(self.shared.clone(), position)?,
            from: position,
            found: VecDeque::new(),
        })
    }

    /// One entry; none when it is not there.
    ///
    /// # Errors
    /// When the log is damaged before it.
    pub fn find(&self, stream: u32, seq: u64) -> Result<Option<Looked>> {
        let start = self
            .shared
            .start_for(|point| point.heads.get(&stream).copied().unwrap_or(0) < seq);
        let Some(start) = start else {
            return Ok(None);
        };
        let mut entries = self.entries(start)?;
        while let Some(looked) = entries.next_entry()? {
            let entry = &looked.stored.entry;
            if entry.shard_id != stream {
                continue;
            }
            if entry.seq >= seq {
                return Ok((entry.seq == seq).then_some(looked));
            }
        }
        Ok(None)
    }

    /// Everything behind `cursors`, packed as it is for sending. What was trimmed counts as received.
    ///
    /// # Errors
    /// When the log is damaged where it begins.
    pub fn batches(&self, mut cursors: BTreeMap<u32, u64>) -> Result<BatchReader> {
        for (stream, seq) in self.trimmed() {
            let cursor = cursors.entry(stream).or_insert(0);
            *cursor = seq.max(*cursor);
        }
        BatchReader::start(self.shared.clone(), cursors)
    }

    /// Reads everything up to the end and checks it: every crc, every unit, the order of every stream, every
    /// checkpoint against what stands before it, and the chain.
    ///
    /// # Errors
    /// [`ReplError::WalCorrupted`] that names the first damage.
    pub fn verify(&self) -> Result<Verified> {
        let first = self.start();
        let mut scanner = Scanner::start(self.shared.clone(), first)?;
        let mut verified = Verified::default();
        while let Some(unit) = scanner.next_raw()? {
            for record in &unit.records {
                check(record, &scanner).map_err(|why| scanner.damaged_at(unit.position, why))?;
                scanner.apply(unit.position, record)?;
                verified.entries += entries_of(record).len() as u64;
            }
        }
        verified.bytes = scanner.position() - first;
        Ok(verified)
    }

    /// Looks how far the log got since. Readers that were made before go on.
    ///
    /// # Errors
    /// When the folder or a new segment cannot be read.
    pub fn refresh(&mut self) -> Result<()> {
        if self.damage.is_some() {
            return Ok(());
        }
        let place = &self.shared.place;
        let bases = recovery::bases_in(&place.disk.list(&place.dir)?);
        let last = self.last_base();
        self.shared
            .segments()
            .retain(|segment| segment.base == last || bases.contains(&segment.base));
        let mut end = self.end();
        for base in bases.into_iter().filter(|base| *base > last) {
            let segment = recovery::segment_at(place, base)?;
            self.shared.segments().push(segment);
            // A segment is begun when the one before is whole.
            end = end.max(base);
        }
        let hlc_us = self.shared.durable().hlc_us;
        let position = self.whole_up_to(end)?;
        self.publish.send_replace(Durable { position, hlc_us });
        Ok(())
    }

    fn last_base(&self) -> u64 {
        let segments = self.shared.segments();
        segments.last().map_or(0, |segment| segment.base)
    }

    /// Position behind the last whole unit that follows `position` in the last segment.
    fn whole_up_to(&self, mut position: u64) -> Result<u64> {
        let base = self.last_base();
        let file = self.shared.place.disk.open(&self.shared.path(base))?;
        let (mut whole, mut wanted) = (position, CHUNK_BYTES);
        loop {
            let offset = HEADER_BYTES as u64 + position - base;
            let bytes = read_range(file.as_ref(), offset, wanted)?;
            let mut rest = bytes.as_slice();
            let needed = loop {
                match read_record(rest, position) {
                    Frame::Record { more, body, .. } => {
                        let size = RECORD_HEADER_BYTES + body;
                        position += size as u64;
                        rest = rest.get(size..).unwrap_or_default();
                        if !more {
                            whole = position;
                        }
                    }
                    Frame::Short(needed) => break needed,
                    // What is half written looks like this too; the next look tells.
                    Frame::End | Frame::Damaged(_) => return Ok(whole),
                }
            };
            if bytes.len() < wanted || needed <= rest.len() {
                return Ok(whole);
            }
            wanted = needed.max(CHUNK_BYTES);
        }
    }
}

/// What applying a record to the state of the streams does not look at.
fn check(record: &Record, scanner: &Scanner) -> Result<(), String> {
    for StoredEntry { entry, .. } in entries_of(record) {
        if !entry.validate_crc() {
            let (stored, computed) = (entry.crc32, entry.compute_crc());
            return Err(format!(
                "crc of entry {} of stream {} is {stored:08x}, its fields give {computed:08x}",
                entry.seq, entry.shard_id
            ));
        }
    }
    if let Record::Range(range) = record
        && let Some(point) = scanner.streams.point(range.stream)
        && point.seq > 0
        && range.first == point.seq + 1
        && range.chain_prev != point.chain
    {
        return Err(format!(
            "batch {}..={} of stream {} is not chained to what stands before it",
            range.first, range.last, range.stream
        ));
    }
    Ok(())
}

/// The entries of a log that is looked at, in its order.
#[derive(Debug)]
pub struct LookedEntries {
    scanner: Scanner,
    from: u64,
    found: VecDeque<Looked>,
}

impl LookedEntries {
    /// The next entry; none at the end of what was looked at. After [`LogLook::refresh`] it goes on from there.
    ///
    /// # Errors
    /// When the log is damaged here, or was trimmed meanwhile.
    pub fn next_entry(&mut self) -> Result<Option<Looked>> {
        loop {
            if let Some(looked) = self.found.pop_front() {
                return Ok(Some(looked));
            }
            let Some(unit) = self.scanner.next_raw()? else {
                return Ok(None);
            };
            self.take(unit)?;
        }
    }

    fn take(&mut self, unit: Unit) -> Result<()> {
        let is_wanted = unit.position >= self.from;
        for record in unit.records {
            self.scanner.apply(unit.position, &record)?;
            if !is_wanted {
                continue;
            }
            for stored in entries_of(&record) {
                let mut context = self.scanner.streams.seen(stored.entry.shard_id);
                for (actor, seq) in &stored.entry.seen_except {
                    context.set(*actor, *seq);
                }
                self.found.push_back(Looked {
                    position: unit.position,
                    context,
                    ..Looked::of(stored.clone())
                });
            }
            if let Record::Trailer {
                stream,
                seq,
                device,
            } = record
            {
                let of = |looked: &&mut Looked| {
                    let entry = &looked.stored.entry;
                    entry.shard_id == stream && entry.seq == seq
                };
                if let Some(looked) = self.found.iter_mut().find(of) {
                    looked.device = Some(device);
                }
            }
        }
        Ok(())
    }
}
