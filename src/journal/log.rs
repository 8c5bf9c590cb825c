//! The segment log under the journal and the received logs: append, sync once, publish.
//!
//! Promise: what is published to readers is on disk, and what failed leaves no trace. A failed sync, or a write that
//! failed for another reason than a full disk, stops the log object for good: what the file holds is then unknown
//! until it is opened again. A full disk is a clean refusal, and the log goes on when there is room.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use super::dot::Actor;
use super::record::body::encode_snapshot;
use super::record::{RawRecord, RecordKind, write_record};
use super::retention::{self, Cursors, Span, TrimReport};
use super::segment::{
    HEADER_BYTES, Header, LogKind, NEW_SUFFIX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, encode_header,
    file_name,
};
use super::streams::Streams;
use crate::disk::{Disk, SharedDisk, SharedFile};
use crate::error::{ReplError, Result};
use crate::failpoint;

/// Most bytes of one append: what one commit may hold in memory, and what recovery may have to write again.
pub const APPEND_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How a log is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogOptions {
    /// Size of a segment file, allocated when it is made; the unit of trimming. A larger append gets a larger file.
    /// Default: 64 MiB. Minimum: 4 KiB, maximum: 1 GiB.
    pub segment_bytes: u64,
    /// Distance of checkpoints inside a segment: how much a reader that starts anywhere has to skip at most.
    /// Default: 4 MiB.
    pub checkpoint_bytes: u64,
    /// A position that is known from elsewhere to have been durable: damage before it is never cut as a torn tail.
    /// Default: 0.
    pub known_durable: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            checkpoint_bytes: 4 * 1024 * 1024,
            known_durable: 0,
        }
    }
}

/// How far a log is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Durable {
    /// Position behind the last durable record.
    pub position: u64,
    /// Highest hybrid clock of the entries before it.
    pub hlc_us: u64,
}

/// Which log, and where.
#[derive(Debug, Clone)]
pub(crate) struct LogPlace {
    pub disk: SharedDisk,
    pub dir: PathBuf,
    pub kind: LogKind,
    pub owner: Actor,
    pub options: LogOptions,
}

/// A segment that is kept. Its points lie inside it, the first one at its base.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub base: u64,
    pub file_bytes: u64,
    pub points: Vec<Point>,
}

impl Segment {
    fn span(&self, next: &Self) -> Span {
        let first = next.points.first();
        Span {
            end: next.base,
            file_bytes: self.file_bytes,
            heads: first.map(|point| point.heads.clone()).unwrap_or_default(),
        }
    }
}

/// A checkpoint: a reader can start here.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub position: u64,
    pub heads: Arc<BTreeMap<u32, u64>>,
}

/// What writer and readers share.
#[derive(Debug)]
pub(crate) struct LogShared {
    pub place: LogPlace,
    segments: Mutex<Vec<Segment>>,
    durable: watch::Receiver<Durable>,
}

impl LogShared {
    /// What readers need of a log; by the sender its end moves.
    pub(crate) fn new(
        place: LogPlace,
        segments: Vec<Segment>,
        durable: Durable,
    ) -> (Arc<Self>, watch::Sender<Durable>) {
        let (publish, durable) = watch::channel(durable);
        let shared = Self {
            place,
            segments: Mutex::new(segments),
            durable,
        };
        (Arc::new(shared), publish)
    }

    /// The kept segments, oldest first.
    pub(crate) fn segments(&self) -> MutexGuard<'_, Vec<Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn durable(&self) -> Durable {
        *self.durable.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Durable> {
        self.durable.clone()
    }

    pub(crate) fn path(&self, base: u64) -> PathBuf {
        self.place.dir.join(file_name(base))
    }

    /// Bytes of all segment files.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.segments().iter().map(|s| s.file_bytes).sum()
    }

    /// Heads of all streams before the first kept record: what was trimmed.
    pub(crate) fn trimmed(&self) -> Arc<BTreeMap<u32, u64>> {
        let segments = self.segments();
        let first = segments.first().and_then(|segment| segment.points.first());
        first.map(|point| point.heads.clone()).unwrap_or_default()
    }

    /// Position of the latest checkpoint that `fits`.
    pub(crate) fn start_for(&self, fits: impl Fn(&Point) -> bool) -> Option<u64> {
        let segments = self.segments();
        let points = segments.iter().flat_map(|segment| &segment.points);
        points
            .rev()
            .find(|point| fits(point))
            .map(|point| point.position)
    }

    /// A refusal in the name of this log.
    pub(crate) fn refused(&self, stream: u32, seq: u64, reason: impl Into<String>) -> ReplError {
        ReplError::Journal {
            site_id: self.place.owner.site_id,
            shard_id: stream,
            seq,
            reason: reason.into(),
        }
    }
}

/// The writer of a log; there is one per log.
///
/// Invariant: `shared.durable().position <= head`, equal except inside [`SegmentLog::append`]; the file is zero behind
/// `head` unless `wipe_to` says how far it may not be.
#[derive(Debug)]
pub(crate) struct SegmentLog {
    pub(crate) shared: Arc<LogShared>,
    /// Here and not in `shared`, so that whoever waits learns when the writer is gone.
    publish: watch::Sender<Durable>,
    file: SharedFile,
    file_bytes: u64,
    base: u64,
    head: u64,
    last_checkpoint: u64,
    wipe_to: Option<u64>,
    stopped: bool,
}

/// An open last segment, as recovery hands it over.
#[derive(Debug)]
pub(crate) struct Tail {
    pub file: SharedFile,
    pub file_bytes: u64,
    pub base: u64,
    pub head: u64,
    pub last_checkpoint: u64,
}

impl SegmentLog {
    /// A new log in an empty or missing directory.
    pub(crate) fn create(place: LogPlace) -> Result<Self> {
        place.check()?;
        place.disk.create_dir(&place.dir)?;
        if let Some(parent) = place.dir.parent() {
            place.disk.sync_dir(parent)?;
        }
        if place
            .disk
            .list(&place.dir)?
            .iter()
            .any(|name| super::segment::base_of(name).is_some())
        {
            return Err(ReplError::Journal {
                site_id: place.owner.site_id,
                shard_id: 0,
                seq: 0,
                reason: format!("{} already holds a log", place.dir.display()),
            });
        }
        let state = Streams::new(place.kind);
        let (made, named) = make_segment(&place, 0, 0, &state)?;
        named?;
        let segment = Segment {
            base: 0,
            file_bytes: made.file_bytes,
            points: vec![point(0, &state)],
        };
        Ok(Self::resume(place, vec![segment], made, 0))
    }

    /// The writer behind a recovered tail.
    pub(crate) fn resume(place: LogPlace, segments: Vec<Segment>, tail: Tail, hlc_us: u64) -> Self {
        let durable = Durable {
            position: tail.head,
            hlc_us,
        };
        let (shared, publish) = LogShared::new(place, segments, durable);
        Self {
            shared,
            publish,
            file: tail.file,
            file_bytes: tail.file_bytes,
            base: tail.base,
            head: tail.head,
            last_checkpoint: tail.last_checkpoint,
            wipe_to: None,
            stopped: false,
        }
    }

    /// Makes `records`, whole units, durable with one sync and publishes them. `state` is the log's state before
    /// them, `hlc_us` the highest hybrid clock with them.
    ///
    /// # Errors
    /// A full disk ([`ReplError::is_disk_full`]) leaves the log as it was. Any other failure stops it: every later
    /// call is refused until the log is opened again, which tells whether the records are there.
    pub(crate) fn append(
        &mut self,
        records: &[RawRecord],
        state: &Streams,
        hlc_us: u64,
    ) -> Result<()> {
        self.check_running()?;
        let payload: u64 = records.iter().map(RawRecord::size).sum();
        if payload > APPEND_BYTES_MAX {
            let reason = format!("append of {payload} bytes is above {APPEND_BYTES_MAX}");
            return Err(self.shared.refused(0, 0, reason));
        }
        self.wipe()?;
        let checkpoint = self.checkpoint_due(state);
        let extra = checkpoint.as_ref().map_or(0, RawRecord::size);
        let checkpoint = if self.fits(payload + extra) {
            checkpoint
        } else {
            self.rotate(payload, state)?;
            None
        };
        let start = self.head;
        let mut bytes = BytesMut::new();
        for record in checkpoint.iter().chain(records) {
            let position = start + bytes.len() as u64;
            write_record(&mut bytes, position, position == start, record);
        }
        self.commit(&bytes)?;
        if checkpoint.is_some() {
            self.last_checkpoint = start;
            let mut segments = self.shared.segments();
            if let Some(segment) = segments.last_mut() {
                segment.points.push(point(start, state));
            }
        }
        self.publish.send_replace(Durable {
            position: self.head,
            hlc_us,
        });
        Ok(())
    }

    /// What [`SegmentLog::trim`] would do now.
    pub(crate) fn survey(
        &self,
        members: &BTreeMap<u64, Cursors>,
        replayed: u64,
        budget_bytes: u64,
    ) -> TrimReport {
        let (spans, last_bytes) = {
            let segments = self.shared.segments();
            let pairs = segments.iter().zip(segments.iter().skip(1));
            let spans: Vec<Span> = pairs.map(|(segment, next)| segment.span(next)).collect();
            (spans, segments.last().map_or(0, |last| last.file_bytes))
        };
        retention::plan(&spans, last_bytes, members, replayed, budget_bytes)
    }

    /// Removes the segments that [`retention::plan`] lets go.
    pub(crate) fn trim(
        &mut self,
        members: &BTreeMap<u64, Cursors>,
        replayed: u64,
        budget_bytes: u64,
    ) -> Result<TrimReport> {
        let report = self.survey(members, replayed, budget_bytes);
        self.remove_oldest(report.segments)?;
        Ok(report)
    }

    /// Unlinks the oldest `count` segments, each durable before the next: a gap inside the log cannot come to be.
    fn remove_oldest(&mut self, count: usize) -> Result<()> {
        self.check_running()?;
        for _ in 0..count {
            let oldest = {
                let mut segments = self.shared.segments();
                if segments.len() < 2 {
                    break;
                }
                segments.remove(0)
            };
            let place = &self.shared.place;
            let path = self.shared.path(oldest.base);
            let removed = place.disk.remove(&path);
            if let Err(error) = removed {
                self.shared.segments().insert(0, oldest);
                return Err(error);
            }
            place.disk.sync_dir(&place.dir)?;
        }
        Ok(())
    }

    fn check_running(&self) -> Result<()> {
        if self.stopped {
            let reason = "stopped after a failed write or sync, to be opened again from disk";
            return Err(self.shared.refused(0, 0, reason));
        }
        Ok(())
    }

    fn fits(&self, bytes: u64) -> bool {
        self.offset(self.head) + bytes <= self.file_bytes
    }

    fn offset(&self, position: u64) -> u64 {
        HEADER_BYTES as u64 + position - self.base
    }

    fn checkpoint_due(&self, state: &Streams) -> Option<RawRecord> {
        (self.head - self.last_checkpoint >= self.shared.place.options.checkpoint_bytes)
            .then(|| checkpoint(state))
    }

    /// Writes and syncs what stands behind the head.
    fn commit(&mut self, bytes: &[u8]) -> Result<()> {
        let offset = self.offset(self.head);
        let end = self.head + bytes.len() as u64;
        if let Err(error) = self.file.write_at(bytes, offset) {
            if error.is_disk_full() {
                self.wipe_to = Some(end);
            } else {
                self.stopped = true;
            }
            return Err(error);
        }
        self.sync()?;
        self.head = end;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let rule = match self.shared.place.kind {
            LogKind::Journal => "journal is synced",
            LogKind::Received => "received log is synced",
        };
        let synced = if failpoint::holds(rule) {
            self.file.sync_data()
        } else {
            Ok(())
        };
        self.stopped |= synced.is_err();
        synced
    }

    /// Clears what a refused write may have left behind the head, durably, before anything is written there: its
    /// records are valid where they stand, and recovery could otherwise take one for a part of a later commit.
    fn wipe(&mut self) -> Result<()> {
        let Some(end) = self.wipe_to else {
            return Ok(());
        };
        let zeros = vec![0; usize::try_from(end - self.head).unwrap_or(0)];
        if let Err(error) = self.file.write_at(&zeros, self.offset(self.head)) {
            self.stopped |= !error.is_disk_full();
            return Err(error);
        }
        self.sync()?;
        self.wipe_to = None;
        Ok(())
    }

    /// Goes on in a new segment that has room for `payload` bytes.
    fn rotate(&mut self, payload: u64, state: &Streams) -> Result<()> {
        let made = make_segment(&self.shared.place, self.head, payload, state);
        let (made, named) = match made {
            Ok(made) => made,
            Err(error) => {
                self.stopped |= !error.is_disk_full();
                return Err(error);
            }
        };
        if let Err(error) = named {
            self.stopped = true;
            return Err(error);
        }
        self.shared.segments().push(Segment {
            base: made.base,
            file_bytes: made.file_bytes,
            points: vec![point(made.base, state)],
        });
        self.file = made.file;
        self.file_bytes = made.file_bytes;
        self.base = made.base;
        self.head = made.head;
        self.last_checkpoint = made.last_checkpoint;
        Ok(())
    }
}

impl LogPlace {
    /// Refuses options that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        let bytes = self.options.segment_bytes;
        if (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) {
            return Ok(());
        }
        Err(ReplError::Journal {
            site_id: self.owner.site_id,
            shard_id: 0,
            seq: 0,
            reason: format!(
                "segment size {bytes} is outside {SEGMENT_BYTES_MIN}..={SEGMENT_BYTES_MAX}"
            ),
        })
    }

    fn new_path(&self, base: u64) -> PathBuf {
        self.dir.join(file_name(base).replace(".seg", NEW_SUFFIX))
    }
}

/// A checkpoint of `state`.
fn checkpoint(state: &Streams) -> RawRecord {
    let body: Bytes = encode_snapshot(&state.snapshot());
    RawRecord::alone(RecordKind::Checkpoint, body)
}

/// The index entry of a checkpoint of `state`.
pub(crate) fn point(position: u64, state: &Streams) -> Point {
    Point {
        position,
        heads: Arc::new(state.heads()),
    }
}

/// Removes a file that may not be there.
pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(ReplError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(())
        }
        other => other,
    }
}

/// Makes the segment that starts at `base`, whole and durable under another name, then names it. The first error is
/// one before the naming, which left nothing; the second one came with the naming, which may have happened.
fn make_segment(
    place: &LogPlace,
    base: u64,
    payload: u64,
    state: &Streams,
) -> Result<(Tail, Result<()>)> {
    let header = encode_header(&Header {
        kind: place.kind,
        owner: place.owner,
        base,
    });
    let mut bytes = BytesMut::from(header.as_slice());
    write_record(&mut bytes, base, true, &checkpoint(state));
    let written = bytes.len() as u64;
    let file_bytes = place.options.segment_bytes.max(written + payload);
    let disk = place.disk.as_ref();
    let new = place.new_path(base);
    remove_if_there(disk, &new)?;
    let filled = disk.create(&new).and_then(|file| {
        file.allocate(file_bytes)?;
        file.write_at(&bytes, 0)?;
        file.sync_all()?;
        Ok(file)
    });
    let file = match filled {
        Ok(file) => file,
        Err(error) => {
            // The reason is the error before; a leftover is removed by the next attempt or the next open.
            drop(disk.remove(&new));
            return Err(error);
        }
    };
    let named = disk
        .rename(&new, &place.dir.join(file_name(base)))
        .and_then(|()| disk.sync_dir(&place.dir));
    let tail = Tail {
        file,
        file_bytes,
        base,
        head: base + written - HEADER_BYTES as u64,
        last_checkpoint: base,
    };
    Ok((tail, named))
}
