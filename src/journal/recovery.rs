//! Opens a log from disk: what is there, what of the tail is cut, what is damage.
//!
//! A commit is written only after the one before it was synced. So a record that is not right may be cut with all that
//! follows only if no later commit follows; otherwise it was durable once, and open refuses. What is accepted of the
//! last commit is written and synced again before anyone hears of it: it may be in the page cache alone, even after
//! a sync that failed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::dot::Actor;
use super::log::{
    APPEND_BYTES_MAX, Durable, LogOptions, LogPlace, LogShared, Point, Segment, SegmentLog, Tail,
    point, remove_if_there,
};
use super::record::{
    Frame, RECORD_BYTES_MAX, RECORD_HEADER_BYTES, RawRecord, Record, find_commit, read_record,
};
use super::scan::{Scanner, Unit, UnitBuilder};
use super::segment::{
    FORMAT, HEADER_BYTES, Header, HeaderFault, LogKind, NEW_SUFFIX, SEGMENT_BYTES_MAX, base_of,
    decode_header, file_name,
};
use super::streams::Streams;
use crate::disk::{SharedDisk, SharedFile, read_range};
use crate::error::{ReplError, Result};

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Recovery {
    /// Segment files.
    pub segments: usize,
    /// Entries in the last segment, the one that was read whole.
    pub entries: u64,
    /// Position behind the last record that was kept.
    pub position: u64,
    /// Bytes of an unsynced tail that were cut; 0 after a clean stop.
    pub cut_bytes: u64,
    /// File and offset of the cut, if there was one.
    pub cut_at: Option<(PathBuf, u64)>,
}

/// What reading a whole log found; damage is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Verified {
    /// Entries, each with its crc, its seq and its place in the chain.
    pub entries: u64,
    /// Bytes of records.
    pub bytes: u64,
}

/// Whether `dir` holds a log.
///
/// # Errors
/// When the directory cannot be listed; one that is missing holds none.
pub(crate) fn exists(disk: &SharedDisk, dir: &Path) -> Result<bool> {
    match disk.list(dir) {
        Ok(names) => Ok(names.iter().any(|name| base_of(name).is_some())),
        Err(ReplError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Who wrote the log in `dir`, as its first segment says; nothing else of it is read. None: there is no log.
///
/// # Errors
/// When it cannot be read, or its beginning is damaged.
pub(crate) fn owner(disk: &SharedDisk, dir: &Path) -> Result<Option<Actor>> {
    if !exists(disk, dir)? {
        return Ok(None);
    }
    let Some(first) = bases_in(&disk.list(dir)?).first().copied() else {
        return Ok(None);
    };
    let path = dir.join(file_name(first));
    let bytes = read_range(disk.open(&path)?.as_ref(), 0, HEADER_BYTES)?;
    match decode_header(&bytes) {
        Ok(header) => Ok(Some(header.owner)),
        Err(HeaderFault::Format(got)) => Err(other_format(&path, got)),
        Err(HeaderFault::Damaged(offset, reason)) => Err(ReplError::WalCorrupted {
            file: path,
            offset: offset as u64,
            reason,
        }),
    }
}

fn other_format(path: &Path, got: u32) -> ReplError {
    ReplError::VersionMismatch {
        what: format!("segment {}", path.display()),
        expected: FORMAT.to_string(),
        got,
    }
}

/// Opens the log in `dir`; `owner` is checked when it is given.
pub(crate) fn open(
    disk: SharedDisk,
    dir: PathBuf,
    kind: LogKind,
    owner: Option<Actor>,
    options: LogOptions,
) -> Result<(SegmentLog, Streams, Recovery)> {
    let bases = bases(&disk, &dir)?;
    let Some((last, sealed)) = bases.split_last() else {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(ReplError::io("find a segment in", dir, source));
    };
    let mut place = LogPlace {
        disk,
        dir,
        kind,
        owner: owner.unwrap_or_default(),
        options,
    };
    place.check()?;
    let mut segments = Vec::with_capacity(bases.len());
    for (base, next) in sealed.iter().zip(bases.iter().skip(1)) {
        let start = read_start(&place, *base, owner)?;
        place.owner = start.owner;
        segments.push(start.sealed(&place, *next)?);
    }
    let start = read_start(
        &place,
        *last,
        owner.or(segments.first().map(|_| place.owner)),
    )?;
    place.owner = start.owner;
    let mut scan = TailScan::new(&place, start)?;
    scan.run()?;
    scan.check()?;
    let cut = scan.repair()?;
    let recovery = Recovery {
        segments: bases.len(),
        entries: scan.entries,
        position: scan.kept,
        cut_bytes: cut,
        cut_at: (cut > 0).then(|| scan.place_of(scan.kept)),
    };
    let (segment, tail, streams) = scan.finish();
    segments.push(segment);
    let hlc_us = streams.last_hlc_us();
    let log = SegmentLog::resume(place, segments, tail, hlc_us);
    Ok((log, streams, recovery))
}

/// Reads the whole log and checks every crc, seq and checkpoint.
///
/// # Errors
/// [`ReplError::WalCorrupted`] that names the first damage.
pub(crate) fn verify(shared: &Arc<LogShared>) -> Result<Verified> {
    let first = shared.segments().first().map_or(0, |segment| segment.base);
    let mut scanner = Scanner::start(shared.clone(), first)?;
    let mut verified = Verified::default();
    while let Some(unit) = scanner.next_unit()? {
        verified.entries += entries_of(&unit);
    }
    verified.bytes = scanner.position() - first;
    Ok(verified)
}

fn entries_of(unit: &Unit) -> u64 {
    let count = |record: &Record| match record {
        Record::Entry(_) => 1,
        Record::Txn(entries) => entries.len() as u64,
        Record::Seen { .. } | Record::Trailer { .. } | Record::Snapshot(_) | Record::Range(_) => 0,
    };
    unit.records.iter().map(count).sum()
}

/// How many bytes there are up to the last one that is not zero. Whole chunks are compared at once: behind a fresh
/// commit nearly all of a segment is zero.
fn written(bytes: &[u8]) -> usize {
    static ZEROS: [u8; 4096] = [0; 4096];
    let mut chunks = bytes.chunks(ZEROS.len());
    let Some(last) = chunks.rposition(|chunk| !ZEROS.starts_with(chunk)) else {
        return 0;
    };
    let end = bytes.len().min((last + 1) * ZEROS.len());
    let used = bytes.iter().take(end).rposition(|byte| *byte != 0);
    used.map_or(0, |at| at + 1)
}

/// The bases of all segments, in order. Segments that were never finished are removed. The names may be in the cache
/// alone, after a failed sync too: they are synced before anything is built on them.
fn bases(disk: &SharedDisk, dir: &Path) -> Result<Vec<u64>> {
    let names = disk.list(dir)?;
    disk.sync_dir(dir)?;
    if let Some(parent) = dir.parent() {
        disk.sync_dir(parent)?;
    }
    for name in &names {
        if name.to_str().is_some_and(|name| name.ends_with(NEW_SUFFIX)) {
            remove_if_there(disk.as_ref(), &dir.join(name))?;
        }
    }
    Ok(bases_in(&names))
}

/// The bases of all segments among `names`, in order.
pub(crate) fn bases_in(names: &[OsString]) -> Vec<u64> {
    let mut bases: Vec<u64> = names.iter().filter_map(|name| base_of(name)).collect();
    bases.sort_unstable();
    bases
}

/// What of a log can be read as it lies on disk.
#[derive(Debug)]
pub(crate) struct Survey {
    pub place: LogPlace,
    /// Those up to the first damage, oldest first; at least one.
    pub segments: Vec<Segment>,
    /// Behind the last whole unit.
    pub durable: Durable,
    /// Last seq of every stream there.
    pub heads: BTreeMap<u32, u64>,
    /// Bytes behind it that are no whole unit: a commit under way, or one that was cut off by a crash.
    pub torn_bytes: u64,
    /// Why nothing is read behind it, unless the log ends there.
    pub damage: Option<ReplError>,
}

/// Looks at the log in `dir`, and changes nothing; somebody may be writing it.
///
/// # Errors
/// When there is none, or its first segment cannot be used. Damage behind that is a part of the answer.
pub(crate) fn survey(disk: SharedDisk, dir: PathBuf, kind: LogKind) -> Result<Survey> {
    let bases = bases_in(&disk.list(&dir)?);
    let mut place = LogPlace {
        disk,
        dir,
        kind,
        owner: Actor::default(),
        options: LogOptions::default(),
    };
    let mut segments = Vec::with_capacity(bases.len());
    let mut last = None;
    for base in bases {
        let owner = last.as_ref().map(|start: &Start| start.owner);
        match (read_start(&place, base, owner), last) {
            (Ok(start), before) => {
                segments.extend(before.map(|before| before.segment(Vec::new())));
                place.owner = start.owner;
                last = Some(start);
            }
            (Err(damage @ ReplError::WalCorrupted { .. }), Some(before)) => {
                let hlc_us = before.streams.last_hlc_us();
                let heads = before.streams.heads();
                segments.push(before.segment(Vec::new()));
                return Ok(Survey {
                    place,
                    segments,
                    durable: Durable {
                        position: base,
                        hlc_us,
                    },
                    heads,
                    torn_bytes: 0,
                    damage: Some(damage),
                });
            }
            (Err(error), _) => return Err(error),
        }
    }
    let Some(last) = last else {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(ReplError::io("find a segment in", place.dir, source));
    };
    survey_last(place, segments, &last)
}

/// Looks at the last segment. A commit that is being written while the file is read may be seen in part, and one
/// behind it whole. It was whole before the second reading began, so what stops that one at the same place is damage.
fn survey_last(place: LogPlace, mut segments: Vec<Segment>, start: &Start) -> Result<Survey> {
    let mut stopped_at = None;
    loop {
        let mut scan = TailScan::new(&place, start.clone())?;
        let damage = scan.run().and_then(|()| scan.check()).err();
        if damage.is_some() && stopped_at != Some(scan.stop) {
            stopped_at = Some(scan.stop);
            continue;
        }
        let torn_bytes = written(&scan.rest(scan.kept)) as u64;
        let (segment, tail, streams) = scan.finish();
        segments.push(segment);
        return Ok(Survey {
            place,
            segments,
            durable: Durable {
                position: tail.head,
                hlc_us: streams.last_hlc_us(),
            },
            heads: streams.heads(),
            torn_bytes,
            damage,
        });
    }
}

/// The segment at `base` of a log that is looked at.
///
/// # Errors
/// When it cannot be read, or is damaged at its start.
pub(crate) fn segment_at(place: &LogPlace, base: u64) -> Result<Segment> {
    Ok(read_start(place, base, Some(place.owner))?.segment(Vec::new()))
}

/// The start of a segment: everything that was durable before it got its name.
#[derive(Debug, Clone)]
struct Start {
    owner: Actor,
    base: u64,
    file: SharedFile,
    file_bytes: u64,
    streams: Streams,
    /// Bytes of the first checkpoint's record.
    checkpoint: u64,
}

impl Start {
    fn sealed(self, place: &LogPlace, next: u64) -> Result<Segment> {
        let needed = HEADER_BYTES as u64 + (next - self.base);
        if self.file_bytes < needed {
            return Err(damaged(
                place,
                self.base,
                self.file_bytes,
                format!(
                    "file has {} bytes, the next segment starts at {needed}",
                    self.file_bytes
                ),
            ));
        }
        Ok(self.segment(Vec::new()))
    }

    fn segment(&self, more: Vec<Point>) -> Segment {
        let mut points = vec![point(self.base, &self.streams)];
        points.extend(more);
        Segment {
            base: self.base,
            file_bytes: self.file_bytes,
            points,
        }
    }
}

fn damaged(place: &LogPlace, base: u64, offset: u64, reason: String) -> ReplError {
    ReplError::WalCorrupted {
        file: place.dir.join(file_name(base)),
        offset,
        reason,
    }
}

fn read_start(place: &LogPlace, base: u64, owner: Option<Actor>) -> Result<Start> {
    let path = place.dir.join(file_name(base));
    let file = place.disk.open(&path)?;
    let file_bytes = file.size()?;
    let bytes: Bytes = read_range(file.as_ref(), 0, HEADER_BYTES + 64 * 1024)?.into();
    let header = match decode_header(&bytes) {
        Ok(header) => header,
        Err(HeaderFault::Format(got)) => {
            return Err(other_format(&path, got));
        }
        Err(HeaderFault::Damaged(offset, reason)) => {
            return Err(damaged(place, base, offset as u64, reason));
        }
    };
    let expected = Header {
        kind: place.kind,
        owner: owner.unwrap_or(header.owner),
        base,
    };
    if header != expected {
        let reason = format!("header is of {header:?}, expected {expected:?}");
        return Err(damaged(place, base, 0, reason));
    }
    let mut rest = bytes.slice(HEADER_BYTES..);
    if let Frame::Short(needed) = read_record(&rest, base) {
        rest = read_range(file.as_ref(), HEADER_BYTES as u64, needed)?.into();
    }
    let (snapshot, checkpoint) = match read_record(&rest, base) {
        Frame::Record { kind, body, .. } => {
            let raw = RawRecord::alone(
                kind,
                rest.slice(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + body),
            );
            (Record::decode(header.owner, &raw), raw.size())
        }
        Frame::Damaged(reason) => return Err(damaged(place, base, HEADER_BYTES as u64, reason)),
        Frame::End | Frame::Short(_) => (Err(ReplError::Shutdown), 0),
    };
    let Ok(Record::Snapshot(snapshot)) = snapshot else {
        let reason = "segment does not start with a checkpoint".to_owned();
        return Err(damaged(place, base, HEADER_BYTES as u64, reason));
    };
    Ok(Start {
        owner: header.owner,
        base,
        file,
        file_bytes,
        streams: Streams::restore(place.kind, snapshot),
        checkpoint,
    })
}

/// The scan of the last segment.
///
/// Invariant: `base < kept <= stop`; records in `base..kept` are whole units and taken over into `streams`, those in
/// `kept..stop` are whole records of a unit that is not.
#[derive(Debug)]
struct TailScan<'a> {
    place: &'a LogPlace,
    start: Start,
    bytes: Bytes,
    streams: Streams,
    points: Vec<Point>,
    entries: u64,
    last_commit: u64,
    kept: u64,
    stop: u64,
    /// Why the scan stopped, unless at the end of what was written.
    fault: Option<String>,
}

impl<'a> TailScan<'a> {
    fn new(place: &'a LogPlace, start: Start) -> Result<Self> {
        let largest = SEGMENT_BYTES_MAX + APPEND_BYTES_MAX + RECORD_BYTES_MAX as u64;
        if start.file_bytes > largest {
            let reason = format!("file has {} bytes, at most {largest}", start.file_bytes);
            return Err(damaged(place, start.base, largest, reason));
        }
        let length = start.file_bytes.saturating_sub(HEADER_BYTES as u64);
        let length = usize::try_from(length).unwrap_or(0);
        let bytes = read_range(start.file.as_ref(), HEADER_BYTES as u64, length)?.into();
        let kept = start.base + start.checkpoint;
        Ok(Self {
            place,
            streams: start.streams.clone(),
            bytes,
            points: Vec::new(),
            entries: 0,
            last_commit: start.base,
            kept,
            stop: kept,
            fault: None,
            start,
        })
    }

    fn rest(&self, position: u64) -> Bytes {
        let offset = usize::try_from(position - self.start.base).unwrap_or(usize::MAX);
        self.bytes.slice(offset.min(self.bytes.len())..)
    }

    fn place_of(&self, position: u64) -> (PathBuf, u64) {
        (
            self.place.dir.join(file_name(self.start.base)),
            HEADER_BYTES as u64 + position - self.start.base,
        )
    }

    fn damaged(&self, position: u64, reason: String) -> ReplError {
        let (_, offset) = self.place_of(position);
        damaged(self.place, self.start.base, offset, reason)
    }

    /// Reads records until one is not there or not right.
    fn run(&mut self) -> Result<()> {
        let mut builder = UnitBuilder::default();
        let mut opened = self.last_commit;
        loop {
            let rest = self.rest(self.stop);
            let (kind, opens, more, body) = match read_record(&rest, self.stop) {
                Frame::Record {
                    kind,
                    opens,
                    more,
                    body,
                } => (kind, opens, more, body),
                Frame::End => return Ok(()),
                Frame::Short(_) if rest.is_empty() => return Ok(()),
                Frame::Short(needed) => {
                    self.fault = Some(format!("record of {needed} bytes leaves the file"));
                    return Ok(());
                }
                Frame::Damaged(reason) => {
                    self.fault = Some(reason);
                    return Ok(());
                }
            };
            if opens && self.kept < self.stop {
                let reason = "a commit starts inside an unfinished unit".to_owned();
                return Err(self.damaged(self.stop, reason));
            }
            if opens {
                opened = self.stop;
            }
            let body = rest.slice(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + body);
            let raw = RawRecord { kind, more, body };
            let record = Record::decode(self.start.owner, &raw)
                .map_err(|e| self.damaged(self.stop, e.to_string()))?;
            let position = self.stop;
            self.stop += raw.size();
            if let Some(unit) = builder.push(position, self.stop, more, record) {
                self.take(&unit)?;
                self.last_commit = opened;
            }
        }
    }

    fn take(&mut self, unit: &Unit) -> Result<()> {
        for record in &unit.records {
            self.streams
                .apply(record)
                .map_err(|reason| self.damaged(unit.position, reason))?;
            if matches!(record, Record::Snapshot(_)) {
                self.points.push(point(unit.position, &self.streams));
            }
        }
        self.entries += entries_of(unit);
        self.kept = unit.next;
        Ok(())
    }

    /// Refuses when what stopped the scan was durable once.
    fn check(&self) -> Result<()> {
        let reason = self
            .fault
            .clone()
            .unwrap_or_else(|| "a record is missing here".to_owned());
        let tail = self.rest(self.stop);
        if let Some(later) = find_commit(&tail[..written(&tail)], self.stop) {
            let (_, offset) = self.place_of(later);
            return Err(self.damaged(
                self.stop,
                format!("{reason}; a later commit follows at offset {offset}"),
            ));
        }
        let known = self.place.options.known_durable;
        if self.kept < known {
            return Err(self.damaged(
                self.stop,
                format!("{reason}; the log was durable up to position {known}"),
            ));
        }
        Ok(())
    }

    /// Clears the file behind what is kept and makes the last commit durable; how many bytes were cut.
    fn repair(&self) -> Result<u64> {
        let cut = written(&self.rest(self.kept));
        if cut == 0 && self.last_commit == self.start.base {
            return Ok(0);
        }
        let length = usize::try_from(self.kept - self.last_commit).unwrap_or(0);
        let mut bytes = self.rest(self.last_commit).slice(..length).to_vec();
        bytes.resize(length + cut, 0);
        let (_, offset) = self.place_of(self.last_commit);
        self.start.file.write_at(&bytes, offset)?;
        self.start.file.sync_data()?;
        Ok(cut as u64)
    }

    fn finish(self) -> (Segment, Tail, Streams) {
        let last_checkpoint = self
            .points
            .last()
            .map_or(self.start.base, |point| point.position);
        let segment = self.start.segment(self.points);
        let tail = Tail {
            file: self.start.file,
            file_bytes: self.start.file_bytes,
            base: self.start.base,
            head: self.kept,
            last_checkpoint,
        };
        (segment, tail, self.streams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_part_ends_with_its_last_byte() {
        let mut bytes = vec![0; 10_000];
        assert_eq!((written(&bytes), written(&[])), (0, 0));
        for at in [0, 1, 4_095, 4_096, 8_191, 8_192, 9_999] {
            bytes[at] = 1;
            assert_eq!(written(&bytes), at + 1);
        }
    }
}
