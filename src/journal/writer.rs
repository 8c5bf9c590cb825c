//! The journal of a site: groups of entries in, positions out, everything durable before anyone reads it.
//!
//! Each entry is encoded once, here; its bytes are what every site will store. The seq of an entry is checked, not
//! given: it is allocated by the append that makes it durable, so a refused append wastes none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::sync::watch;

use super::batch::{BATCH_ENTRIES_MAX, ChainHash, SeenRun};
use super::chain::CHAIN_START;
use super::codec::{ENTRY_BYTES_MAX, encode_entry};
use super::dot::{Actor, SITE_ID_MAX, STREAM_COUNT, Seen};
use super::entry::JournalEntry;
use super::log::{Durable, LogOptions, LogPlace, SegmentLog};
use super::reader::{BatchReader, LoggedUnits, StreamReader};
use super::record::body::{encode_seen_change, encode_trailer, encode_txn};
use super::record::{RECORD_BYTES_MAX, RawRecord, Record, RecordKind, StoredEntry, StreamPoint};
use super::recovery::{self, Recovery, Verified};
use super::retention::{Cursors, TrimReport};
use super::segment::LogKind;
use super::streams::Streams;
use crate::disk::SharedDisk;
use crate::error::{ReplError, Result};
use crate::journal::device::DeviceImage;

/// One POSIX operation to be journaled: it is there as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppendGroup {
    /// One entry, or the parts of one [`super::Txn`] in order; at most [`BATCH_ENTRIES_MAX`].
    pub entries: Vec<JournalEntry>,
    /// What the file behind each entry looks like on the device; empty when there is none for any.
    pub trailers: Vec<Option<DeviceImage>>,
    /// The context vector of each stream that the entries stand in. A stream that is absent keeps the one it has.
    pub seen: BTreeMap<u32, Seen>,
}

impl AppendGroup {
    /// A group of one entry without trailer whose stream's context is `seen`.
    #[must_use]
    pub fn of(entry: JournalEntry, seen: Seen) -> Self {
        Self {
            seen: [(entry.shard_id, seen)].into_iter().collect(),
            entries: vec![entry],
            trailers: Vec::new(),
        }
    }
}

/// What an append made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// How many entries.
    pub entries: u64,
    /// Where the log ends with them.
    pub durable: Durable,
}

/// Entries that someone needs were trimmed: only a snapshot helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotKept {
    /// The first stream concerned.
    pub stream: u32,
    /// Up to where it is there already.
    pub cursor: u64,
    /// Lowest seq that is kept.
    pub tail: u64,
}

/// The journal of a site. One owner appends; readers made from it live beside it.
#[derive(Debug)]
pub struct Journal {
    log: SegmentLog,
    streams: Streams,
    /// Bytes of the entries of each stream, since it was opened.
    written: BTreeMap<u32, u64>,
}

impl Journal {
    /// Whether `dir` holds a journal. False too after a creation that was cut short.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn exists(disk: &SharedDisk, dir: &std::path::Path) -> Result<bool> {
        recovery::exists(disk, dir)
    }

    /// Whose journal `dir` holds, without opening it. None: it holds none.
    ///
    /// # Errors
    /// When it cannot be read, or its beginning is damaged.
    pub fn owner_in(disk: &SharedDisk, dir: &std::path::Path) -> Result<Option<Actor>> {
        recovery::owner(disk, dir)
    }

    /// Creates the journal of `actor` in `dir`, whose parent exists.
    ///
    /// # Errors
    /// When the directory holds a journal already, the actor is not valid, or the disk refuses.
    pub fn create(
        disk: SharedDisk,
        dir: impl Into<PathBuf>,
        actor: Actor,
        options: LogOptions,
    ) -> Result<Self> {
        if actor.site_id == 0 || actor.site_id > SITE_ID_MAX {
            return Err(ReplError::SiteUnknown {
                site_id: actor.site_id.to_string(),
            });
        }
        let place = LogPlace {
            disk,
            dir: dir.into(),
            kind: LogKind::Journal,
            owner: actor,
            options,
        };
        let log = SegmentLog::create(place)?;
        let streams = Streams::new(LogKind::Journal);
        Ok(Self::of(log, streams))
    }

    /// Opens the journal in `dir`. An unsynced tail is cut, which the caller reports.
    ///
    /// # Errors
    /// [`ReplError::WalCorrupted`] for damage of anything that was durable; [`ReplError::VersionMismatch`] for
    /// another format; [`ReplError::Io`].
    pub fn open(
        disk: SharedDisk,
        dir: impl Into<PathBuf>,
        options: LogOptions,
    ) -> Result<(Self, Recovery)> {
        let (log, streams, recovery) =
            recovery::open(disk, dir.into(), LogKind::Journal, None, options)?;
        Ok((Self::of(log, streams), recovery))
    }

    const fn of(log: SegmentLog, streams: Streams) -> Self {
        Self {
            log,
            streams,
            written: BTreeMap::new(),
        }
    }

    /// Makes `groups` durable with one sync, in order, all or none.
    ///
    /// # Errors
    /// [`ReplError::Journal`] when an entry is not the next of its stream, its clock does not advance, it is not of
    /// this journal or breaks a rule; nothing was written. A full disk ([`ReplError::is_disk_full`]): nothing was
    /// written either. Any other error stops the journal; what was appended shows when it is opened again.
    pub fn append(&mut self, groups: &[AppendGroup]) -> Result<Appended> {
        let mut staged = Staged {
            actor: self.actor(),
            streams: self.streams.clone(),
            records: Vec::new(),
            entries: 0,
            written: BTreeMap::new(),
        };
        for group in groups {
            staged.take(group)?;
        }
        if !staged.records.is_empty() {
            let hlc_us = staged.streams.last_hlc_us();
            self.log.append(&staged.records, &self.streams, hlc_us)?;
            self.streams = staged.streams;
            for (stream, bytes) in staged.written {
                *self.written.entry(stream).or_default() += bytes;
            }
        }
        Ok(Appended {
            entries: staged.entries,
            durable: self.durable(),
        })
    }

    /// Whose journal it is.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.log.shared.place.owner
    }

    /// Last seq of a stream, 0 when it has no entries, and the chain hash there.
    #[must_use]
    pub fn head(&self, stream: u32) -> (u64, ChainHash) {
        let point = self.streams.point(stream);
        point.map_or((0, CHAIN_START), |point| (point.seq, point.chain))
    }

    /// Lowest seq of a stream that is kept; behind the head when none is.
    #[must_use]
    pub fn tail(&self, stream: u32) -> u64 {
        let trimmed = self.log.shared.trimmed();
        trimmed.get(&stream).copied().unwrap_or(0) + 1
    }

    /// Head, chain and context of every stream that has entries, by stream.
    #[must_use]
    pub fn points(&self) -> &BTreeMap<u32, StreamPoint> {
        self.streams.points()
    }

    /// Bytes of the entries that were appended to each stream since this journal was opened.
    #[must_use]
    pub const fn written(&self) -> &BTreeMap<u32, u64> {
        &self.written
    }

    /// Highest hybrid clock of any entry ever appended; 0 when there are none.
    #[must_use]
    pub const fn last_hlc_us(&self) -> u64 {
        self.streams.last_hlc_us()
    }

    /// Bytes of the segment files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.log.shared.file_bytes()
    }

    /// How far the journal is durable.
    #[must_use]
    pub fn durable(&self) -> Durable {
        self.log.shared.durable()
    }

    /// Tells of every advance of the durable end.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Durable> {
        self.log.shared.watch()
    }

    /// Whether entries behind `cursors` (the last seq that someone has, by stream) were trimmed.
    #[must_use]
    pub fn not_kept(&self, cursors: &BTreeMap<u32, u64>) -> Option<NotKept> {
        let trimmed = self.log.shared.trimmed();
        trimmed.iter().find_map(|(stream, head)| {
            let cursor = cursors.get(stream).copied().unwrap_or(0);
            (cursor < *head).then_some(NotKept {
                stream: *stream,
                cursor,
                tail: head + 1,
            })
        })
    }

    /// A reader of everything behind `cursors`, in log order, packed for sending.
    ///
    /// # Errors
    /// [`ReplError::Journal`] with "no longer kept" where [`Journal::not_kept`] tells; a cursor beyond the head.
    pub fn batches(&self, cursors: BTreeMap<u32, u64>) -> Result<BatchReader> {
        if let Some(missing) = self.not_kept(&cursors) {
            let reason = format!("no longer kept, the journal starts at {}", missing.tail);
            let seq = missing.cursor + 1;
            return Err(self.log.shared.refused(missing.stream, seq, reason));
        }
        for (stream, cursor) in &cursors {
            let (head, _) = self.head(*stream);
            if *cursor > head {
                let reason = format!("cursor is beyond the head {head}");
                return Err(self.log.shared.refused(*stream, *cursor, reason));
            }
        }
        BatchReader::start(self.log.shared.clone(), cursors)
    }

    /// The entries of one stream from `from_seq` on.
    ///
    /// # Errors
    /// As [`Journal::batches`].
    pub fn read_stream(&self, stream: u32, from_seq: u64) -> Result<StreamReader> {
        StreamReader::start(self.log.shared.clone(), stream, from_seq)
    }

    /// Everything from `position` on with contexts and trailers, to make the store again. A position is 0 or one that
    /// [`super::LoggedUnit::next`] or [`Appended::durable`] gave.
    ///
    /// # Errors
    /// [`ReplError::Journal`] with "no longer kept" when it was trimmed.
    pub fn replay(&self, position: u64) -> Result<LoggedUnits> {
        LoggedUnits::start(self.log.shared.clone(), position)
    }

    /// The chain hash of `stream` at `seq`; none where it was trimmed or not written yet.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn chain_at(&self, stream: u32, seq: u64) -> Result<Option<ChainHash>> {
        let found = self.chains_at(&BTreeMap::from([(stream, seq)]))?;
        Ok(found.get(&stream).copied())
    }

    /// The chain hashes of streams at these seqs, read in one pass; a stream that was trimmed there, or not written
    /// yet, is left out.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn chains_at(&self, cursors: &BTreeMap<u32, u64>) -> Result<BTreeMap<u32, ChainHash>> {
        let (mut found, mut to_read) = (BTreeMap::new(), BTreeMap::new());
        for (stream, seq) in cursors {
            let (head, chain) = self.head(*stream);
            if *seq == 0 {
                found.insert(*stream, CHAIN_START);
            } else if *seq == head {
                found.insert(*stream, chain);
            } else if *seq < head && seq + 1 >= self.tail(*stream) {
                to_read.insert(*stream, *seq);
            }
        }
        if !to_read.is_empty() {
            found.extend(super::reader::chains_at(self.log.shared.clone(), &to_read)?);
        }
        Ok(found)
    }

    /// Reads everything and checks it.
    ///
    /// # Errors
    /// [`ReplError::WalCorrupted`] that names the first damage.
    pub fn verify(&self) -> Result<Verified> {
        recovery::verify(&self.log.shared)
    }

    /// What [`Journal::trim`] would do now, and who holds back what.
    #[must_use]
    pub fn survey(
        &self,
        members: &BTreeMap<u64, Cursors>,
        replayed: u64,
        budget_bytes: u64,
    ) -> TrimReport {
        self.log.survey(members, replayed, budget_bytes)
    }

    /// Removes the whole segments that no member needs (`members`: what each site has received, by stream) and that
    /// end at or before `replayed`, the position from which the store would be made again.
    ///
    /// # Errors
    /// When the disk refuses; the segments removed until then are gone.
    pub fn trim(
        &mut self,
        members: &BTreeMap<u64, Cursors>,
        replayed: u64,
        budget_bytes: u64,
    ) -> Result<TrimReport> {
        self.log.trim(members, replayed, budget_bytes)
    }

    /// Position of the first kept record: where a replay of everything starts.
    #[must_use]
    pub fn start(&self) -> u64 {
        let segments = self.log.shared.segments();
        segments.first().map_or(0, |segment| segment.base)
    }
}

/// Records to be appended and the state with them.
struct Staged {
    actor: Actor,
    streams: Streams,
    records: Vec<RawRecord>,
    entries: u64,
    /// Bytes of the entries of each stream.
    written: BTreeMap<u32, u64>,
}

impl Staged {
    fn take(&mut self, group: &AppendGroup) -> Result<()> {
        self.check_group(group)?;
        let first = self.records.len();
        for (stream, seen) in &group.seen {
            self.take_seen(*stream, seen, group)?;
        }
        let mut stored = Vec::with_capacity(group.entries.len());
        for entry in &group.entries {
            let taken = self.take_entry(entry)?;
            *self.written.entry(entry.shard_id).or_default() += taken.raw.len() as u64;
            stored.push(taken);
        }
        self.take_stored(stored)?;
        for (entry, device) in group.entries.iter().zip(&group.trailers) {
            if let Some(device) = device {
                let body = encode_trailer(entry.shard_id, entry.seq, device);
                self.records
                    .push(RawRecord::joined(RecordKind::LocalTrailer, body));
            }
        }
        debug_assert!(first < self.records.len());
        if let Some(last) = self.records.last_mut() {
            last.more = false;
        }
        self.entries += group.entries.len() as u64;
        Ok(())
    }

    fn check_group(&self, group: &AppendGroup) -> Result<()> {
        let Some(first) = group.entries.first() else {
            return Err(ReplError::Journal {
                site_id: self.actor.site_id,
                shard_id: 0,
                seq: 0,
                reason: "group without entries".to_owned(),
            });
        };
        let count = group.entries.len();
        if count > BATCH_ENTRIES_MAX {
            return Err(first.refused(format!("{count} entries are above {BATCH_ENTRIES_MAX}")));
        }
        if !group.trailers.is_empty() && group.trailers.len() != count {
            let trailers = group.trailers.len();
            return Err(first.refused(format!("{trailers} trailers for {count} entries")));
        }
        for (part, entry) in group.entries.iter().enumerate() {
            let fits = match entry.txn {
                None => count == 1,
                Some(txn) => {
                    txn.parts as usize == count
                        && txn.part as usize == part
                        && first.txn.is_some_and(|other| other.id == txn.id)
                }
            };
            if !fits {
                return Err(entry.refused(format!(
                    "is not part {part} of {count} of its operation: {:?}",
                    entry.txn
                )));
            }
        }
        Ok(())
    }

    /// Emits the context of a stream if it changes.
    fn take_seen(&mut self, stream: u32, seen: &Seen, group: &AppendGroup) -> Result<()> {
        let Some(entry) = group.entries.iter().find(|entry| entry.shard_id == stream) else {
            return Err(ReplError::Journal {
                site_id: self.actor.site_id,
                shard_id: stream,
                seq: 0,
                reason: "context for a stream without an entry in the group".to_owned(),
            });
        };
        let others = seen.iter().filter(|(actor, _)| *actor != self.actor);
        let seen: Seen = others.collect();
        if seen == self.streams.seen(stream) {
            return Ok(());
        }
        let run = SeenRun {
            first_seq: self.streams.seq(stream) + 1,
            seen,
        };
        let body = encode_seen_change(stream, &run);
        self.streams
            .apply(&Record::Seen { stream, run })
            .map_err(|reason| entry.refused(reason))?;
        self.records
            .push(RawRecord::joined(RecordKind::SeenChange, body));
        Ok(())
    }

    fn take_entry(&mut self, entry: &JournalEntry) -> Result<StoredEntry> {
        entry.validate()?;
        debug_assert!(entry.shard_id < STREAM_COUNT);
        if entry.actor() != self.actor {
            return Err(entry.refused(format!(
                "is of {}, the journal is of {}",
                entry.actor(),
                self.actor
            )));
        }
        let last = self.streams.last_hlc_us();
        if entry.hlc_us <= last {
            return Err(entry.refused(format!("hybrid clock {} is not after {last}", entry.hlc_us)));
        }
        let raw = encode_entry(entry);
        if raw.len() > ENTRY_BYTES_MAX {
            let size = raw.len();
            return Err(entry.refused(format!("{size} bytes are above {ENTRY_BYTES_MAX}")));
        }
        let stored = StoredEntry {
            entry: entry.clone(),
            raw,
        };
        self.streams
            .apply_entry(&stored)
            .map_err(|reason| entry.refused(reason))?;
        Ok(stored)
    }

    fn take_stored(&mut self, stored: Vec<StoredEntry>) -> Result<()> {
        let (kind, body) = match stored.as_slice() {
            [one] => (RecordKind::Entry, one.raw.clone()),
            many => (RecordKind::TxnGroup, encode_txn(many)),
        };
        if body.len() > RECORD_BYTES_MAX {
            let reason = format!("operation of {} bytes is too large", body.len());
            return Err(stored.first().map_or_else(
                || ReplError::serialization("operation", reason.clone()),
                |first| first.entry.refused(reason.clone()),
            ));
        }
        self.records.push(RawRecord::joined(kind, body));
        Ok(())
    }
}
