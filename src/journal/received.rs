//! What was received of one other journal, as it was sent: the log behind every receipt.
//!
//! A batch is one unit: recovery keeps or cuts it whole, with the range that it declared, so a compacted or empty
//! batch moves the cursor after a restart just as it did before. Cursors live here and nowhere else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use super::batch::{EntryBatch, SeenRun};
use super::codec::{encode_entry, pack_entry, unpack_entries};
use super::dot::{Actor, Seen};
use super::log::{Durable, LogOptions, LogPlace, SegmentLog};
use super::reader::start_at;
use super::record::body::{encode_range, encode_seen_change};
use super::record::{BatchRange, RawRecord, Record, RecordKind, StoredEntry};
use super::recovery::{self, Recovery, Verified};
use super::retention::{Cursors, TrimReport};
use super::scan::{Scanner, Unit};
use super::segment::LogKind;
use super::streams::Streams;
use super::verdict::{self, ReceivedCursor, Verdict};
use crate::disk::SharedDisk;
use crate::error::{ReplError, Result};

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// Batches that are in the log by it.
    pub appended: usize,
    /// Batches that held nothing new.
    pub duplicates: usize,
    /// Entries that are in the log by it.
    pub entries: u64,
    /// Where the log ends with them.
    pub durable: Durable,
}

/// The log of what one origin sent.
#[derive(Debug)]
pub struct ReceivedLog {
    log: SegmentLog,
    streams: Streams,
}

impl ReceivedLog {
    /// Opens the log of `origin` in `dir`, or creates it; the parent of `dir` exists. An unsynced tail is cut, which
    /// the caller reports.
    ///
    /// # Errors
    /// [`ReplError::WalCorrupted`] for damage of anything that was durable, and when the log is of another origin;
    /// [`ReplError::VersionMismatch`]; [`ReplError::Io`].
    pub fn open(
        disk: SharedDisk,
        dir: impl Into<PathBuf>,
        origin: Actor,
        options: LogOptions,
    ) -> Result<(Self, Recovery)> {
        let (dir, kind) = (dir.into(), LogKind::Received);
        if recovery::exists(&disk, &dir)? {
            let (log, streams, recovery) = recovery::open(disk, dir, kind, Some(origin), options)?;
            return Ok((Self { log, streams }, recovery));
        }
        let place = LogPlace {
            disk,
            dir,
            kind,
            owner: origin,
            options,
        };
        let log = SegmentLog::create(place)?;
        let recovery = Recovery {
            segments: 1,
            position: log.shared.durable().position,
            ..Recovery::default()
        };
        let streams = Streams::new(kind);
        Ok((Self { log, streams }, recovery))
    }

    /// Whose entries they are.
    #[must_use]
    pub fn origin(&self) -> Actor {
        self.log.shared.place.owner
    }

    /// How far a stream was received.
    #[must_use]
    pub fn cursor(&self, stream: u32) -> ReceivedCursor {
        cursor(&self.streams, stream)
    }

    /// How far every stream was received that was at all.
    #[must_use]
    pub fn cursors(&self) -> BTreeMap<u32, ReceivedCursor> {
        let heads = self.streams.heads().into_keys();
        heads.map(|stream| (stream, self.cursor(stream))).collect()
    }

    /// What `batch` is to the cursor of its stream.
    #[must_use]
    pub fn check(&self, batch: &EntryBatch) -> Verdict {
        verdict::check(&self.cursor(batch.stream), batch)
    }

    /// Makes `batches` durable with one sync, in order, all or none; what of them is there already is left out.
    ///
    /// # Errors
    /// [`ReplError::Journal`] when a batch leaves a gap, forks or breaks a rule of [`EntryBatch::validate`]; nothing
    /// was written. A full disk ([`ReplError::is_disk_full`]): nothing was written either. Any other error stops the
    /// log until it is opened again.
    pub fn append(&mut self, batches: &[EntryBatch]) -> Result<Received> {
        let mut staged = Staged {
            streams: self.streams.clone(),
            records: Vec::new(),
            entries: 0,
        };
        let mut duplicates = 0;
        for batch in batches {
            if batch.actor() != self.origin() {
                let reason = format!(
                    "batch of {}, the log is of {}",
                    batch.actor(),
                    self.origin()
                );
                return Err(self.log.shared.refused(batch.stream, batch.first, reason));
            }
            batch.validate()?;
            let at = cursor(&staged.streams, batch.stream);
            match verdict::check(&at, batch) {
                Verdict::Next | Verdict::Overlap => staged.take(batch, at.seq)?,
                Verdict::Duplicate => duplicates += 1,
                Verdict::Gap { received } => {
                    let reason = format!("gap: received up to {received}");
                    return Err(self.log.shared.refused(batch.stream, batch.first, reason));
                }
                Verdict::Fork => {
                    let reason = format!(
                        "fork: the chain differs from what was received at {}",
                        at.seq
                    );
                    return Err(self.log.shared.refused(batch.stream, batch.first, reason));
                }
            }
        }
        if !staged.records.is_empty() {
            let hlc_us = staged.streams.last_hlc_us();
            self.log.append(&staged.records, &self.streams, hlc_us)?;
            self.streams = staged.streams;
        }
        Ok(Received {
            appended: batches.len() - duplicates,
            duplicates,
            entries: staged.entries,
            durable: self.durable(),
        })
    }

    /// The batches from `position` on. A position is 0 or one that [`ReceivedBatches::next_batch`] gave.
    ///
    /// # Errors
    /// [`ReplError::Journal`] with "no longer kept" when it was trimmed.
    pub fn replay(&self, position: u64) -> Result<ReceivedBatches> {
        Ok(ReceivedBatches {
            scanner: start_at(self.log.shared.clone(), position)?,
            from: position,
        })
    }

    /// Position of the first kept record: where a replay of everything starts.
    #[must_use]
    pub fn start(&self) -> u64 {
        let segments = self.log.shared.segments();
        segments.first().map_or(0, |segment| segment.base)
    }

    /// Highest hybrid clock of any entry received; 0 when there are none.
    #[must_use]
    pub const fn last_hlc_us(&self) -> u64 {
        self.streams.last_hlc_us()
    }

    /// How far the log is durable.
    #[must_use]
    pub fn durable(&self) -> Durable {
        self.log.shared.durable()
    }

    /// Tells of every advance of the durable end.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Durable> {
        self.log.shared.watch()
    }

    /// Bytes of the segment files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.log.shared.file_bytes()
    }

    /// Reads everything and checks it.
    ///
    /// # Errors
    /// [`ReplError::WalCorrupted`] that names the first damage.
    pub fn verify(&self) -> Result<Verified> {
        recovery::verify(&self.log.shared)
    }

    /// Removes the whole segments that no member needs (`members`: what each site has of this origin, by stream) and
    /// that end at or before `merged`, the position up to which the store is synced.
    ///
    /// # Errors
    /// When the disk refuses; the segments removed until then are gone.
    pub fn trim(
        &mut self,
        members: &BTreeMap<u64, Cursors>,
        merged: u64,
        budget_bytes: u64,
    ) -> Result<TrimReport> {
        self.log.trim(members, merged, budget_bytes)
    }
}

fn cursor(streams: &Streams, stream: u32) -> ReceivedCursor {
    let point = streams.point(stream);
    point.map_or_else(ReceivedCursor::default, |point| ReceivedCursor {
        seq: point.seq,
        chain: point.chain,
    })
}

/// Records to be appended and the state with them.
struct Staged {
    streams: Streams,
    records: Vec<RawRecord>,
    entries: u64,
}

impl Staged {
    /// Takes what of `batch` is behind `cursor`.
    fn take(&mut self, batch: &EntryBatch, cursor: u64) -> Result<()> {
        let none = [SeenRun {
            first_seq: batch.first,
            seen: Seen::new(),
        }];
        let runs = if batch.seen_runs.is_empty() {
            none.as_slice()
        } else {
            &batch.seen_runs
        };
        let mut runs = runs.iter().peekable();
        for (entry, raw) in batch.entries.iter().zip(raw_entries(batch)?) {
            while let Some(run) = runs.next_if(|run| run.first_seq <= entry.seq) {
                self.take_run(batch, run)?;
            }
            if entry.seq > cursor {
                self.entries += 1;
                let kind = RecordKind::Entry;
                self.records.push(RawRecord::joined(kind, raw.clone()));
                let entry = entry.clone();
                self.apply(batch, &Record::Entry(StoredEntry { entry, raw }))?;
            }
        }
        for run in runs {
            self.take_run(batch, run)?;
        }
        let range = BatchRange {
            stream: batch.stream,
            first: batch.first,
            last: batch.last,
            chain_prev: batch.chain_prev,
            chain_last: batch.chain_last,
            epoch: batch.epoch,
        };
        let closing = RawRecord::alone(RecordKind::Checkpoint, encode_range(&range));
        self.records.push(closing);
        self.apply(batch, &Record::Range(range))
    }

    /// Emits a context if it differs from the one that holds.
    fn take_run(&mut self, batch: &EntryBatch, run: &SeenRun) -> Result<()> {
        let stream = batch.stream;
        if run.seen == self.streams.seen(stream) {
            return Ok(());
        }
        let body = encode_seen_change(stream, run);
        self.records
            .push(RawRecord::joined(RecordKind::SeenChange, body));
        let run = run.clone();
        self.apply(batch, &Record::Seen { stream, run })
    }

    fn apply(&mut self, batch: &EntryBatch, record: &Record) -> Result<()> {
        self.streams
            .apply(record)
            .map_err(|reason| ReplError::Journal {
                site_id: batch.source_site_id,
                shard_id: batch.stream,
                seq: batch.first,
                reason,
            })
    }
}

/// The bytes of every entry as they were sent.
fn raw_entries(batch: &EntryBatch) -> Result<Vec<Bytes>> {
    if batch.raw.is_empty() {
        return Ok(batch.entries.iter().map(encode_entry).collect());
    }
    let raw = unpack_entries(batch.raw.clone())?;
    if raw.len() != batch.entries.len() {
        let (raw, decoded) = (raw.len(), batch.entries.len());
        let reason = format!("{raw} packed entries, {decoded} decoded ones");
        return Err(ReplError::serialization("batch", reason));
    }
    Ok(raw)
}

/// The batches of a received log, in the order of their arrival. What an overlapping batch repeated is left out of
/// its entries, not of its range.
#[derive(Debug)]
pub struct ReceivedBatches {
    scanner: Scanner,
    from: u64,
}

impl ReceivedBatches {
    /// The next batch and the position behind it; none at the durable end.
    ///
    /// # Errors
    /// When the log is damaged or the reader was overtaken by trimming.
    pub fn next_batch(&mut self) -> Result<Option<(u64, EntryBatch)>> {
        loop {
            let Some(unit) = self.scanner.next_raw()? else {
                return Ok(None);
            };
            let batch = if unit.position < self.from {
                None
            } else {
                self.batch(&unit)
            };
            for record in &unit.records {
                self.scanner.apply(unit.position, record)?;
            }
            if let Some(batch) = batch {
                return Ok(Some((unit.next, batch)));
            }
        }
    }

    /// The batch of a unit, given the state before it.
    fn batch(&self, unit: &Unit) -> Option<EntryBatch> {
        let Some(Record::Range(range)) = unit.records.last() else {
            return None;
        };
        let owner = self.scanner.shared.place.owner;
        let mut batch = EntryBatch::new(owner.site_id, Vec::new(), 0);
        batch.incarnation = owner.incarnation;
        batch.stream = range.stream;
        (batch.first, batch.last) = (range.first, range.last);
        (batch.chain_prev, batch.chain_last) = (range.chain_prev, range.chain_last);
        batch.epoch = range.epoch;
        let mut packed = BytesMut::new();
        let mut runs = vec![SeenRun {
            first_seq: range.first,
            seen: self.scanner.streams.seen(range.stream),
        }];
        for record in &unit.records {
            match record {
                Record::Entry(stored) => {
                    pack_entry(&mut packed, &stored.raw);
                    batch.entries.push(stored.entry.clone());
                }
                Record::Seen { run, .. } => {
                    runs.retain(|earlier| earlier.first_seq != run.first_seq);
                    runs.push(run.clone());
                }
                Record::Txn(_)
                | Record::Trailer { .. }
                | Record::Snapshot(_)
                | Record::Range(_) => {}
            }
        }
        if runs.len() > 1 || runs.iter().any(|run| !run.seen.is_empty()) {
            batch.seen_runs = runs;
        }
        batch.raw = packed.freeze();
        Some(batch)
    }
}

impl Iterator for ReceivedBatches {
    type Item = Result<(u64, EntryBatch)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}
