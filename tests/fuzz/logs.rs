//! Logs on a disk that holds anything: opening them, looking at them, and going on with what was accepted.
//!
//! The bytes are a plan of segments, whose headers and records get their right checksums unless the plan says
//! otherwise, since behind a wrong one nothing is read. [`plan_of`] makes such a plan of a real log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use claudefs_repl::disk::{Disk as _, FaultyDisk};
use claudefs_repl::journal::dot::{STREAM_COUNT, Seen, shard_of};
use claudefs_repl::journal::{
    Actor, AppendGroup, EntryBatch, Journal, JournalEntry, LogLook, LogOptions, OpKind, ReceivedLog,
};

use super::input::{Input, stretched};
use super::within;

/// Who wrote the entries.
pub(super) const OWNER: Actor = Actor::new(3, 0x11);
/// Largest record, by `src/journal/record.rs`.
const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Of `src/journal/segment.rs`.
const HEADER_BYTES: usize = 48;
const RECORD_HEADER_BYTES: usize = 9;
/// Largest file that a plan makes.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Steps of a plan.
const RECORD: u8 = 0;
const NEXT_SEGMENT: u8 = 1;
const RAW: u8 = 2;
const STRETCHED: u8 = 3;
const ZEROS: u8 = 4;

/// A segment that is being made.
struct Maker<'a> {
    disk: &'a FaultyDisk,
    kind: u32,
    base: u64,
    bytes: Vec<u8>,
}

impl Maker<'_> {
    /// The header and the directory entry, right or not.
    fn start(&mut self, input: &mut Input<'_>) {
        self.bytes.clear();
        let how = input.byte();
        if how & 1 != 0 {
            self.base = input.number();
        }
        let format: u32 = if how & 2 != 0 { 2 } else { 1 };
        let kind = if how & 4 != 0 {
            self.kind ^ 3
        } else {
            self.kind
        };
        let site = if how & 8 != 0 {
            input.number()
        } else {
            OWNER.site_id
        };
        self.bytes.extend(b"cfsrlog\n");
        self.bytes.extend(format.to_le_bytes());
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(site.to_le_bytes());
        self.bytes.extend(OWNER.incarnation.to_le_bytes());
        self.bytes.extend(self.base.to_le_bytes());
        self.bytes.extend([0; 4]);
        let crc = crc32fast::hash(&self.bytes);
        self.bytes.extend(crc.to_le_bytes());
        if how & 16 != 0 {
            let cut = usize::from(input.byte()) % HEADER_BYTES;
            self.bytes.truncate(cut);
        }
    }

    fn position(&self) -> u64 {
        let records = self.bytes.len().saturating_sub(HEADER_BYTES);
        self.base.wrapping_add(records as u64)
    }

    fn record(&mut self, tag: u8, body: &[u8]) {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.position().to_le_bytes());
        hasher.update(&[tag]);
        hasher.update(body);
        let length = u32::try_from(body.len()).expect("it is short");
        self.bytes.extend(length.to_le_bytes());
        self.bytes.push(tag);
        self.bytes.extend(hasher.finalize().to_le_bytes());
        self.bytes.extend(body);
    }

    fn finish(&mut self) {
        let path = dir().join(format!("{:020}.seg", self.base));
        // A plan may name a segment twice.
        if let Ok(file) = self.disk.create(&path) {
            file.write_at(&self.bytes, 0).expect("there is room");
        }
        self.base = self.position();
    }
}

fn dir() -> PathBuf {
    PathBuf::from("/log")
}

/// A disk with the log that the plan describes.
fn disk_of(input: &mut Input<'_>, kind: u32) -> FaultyDisk {
    let disk = FaultyDisk::new(1);
    disk.create_dir(&dir()).expect("the disk is empty");
    let mut maker = Maker {
        disk: &disk,
        kind,
        base: 0,
        bytes: Vec::new(),
    };
    maker.start(input);
    while !input.is_empty() && maker.bytes.len() < FILE_BYTES_MAX {
        match input.byte() % 5 {
            RECORD => {
                let (tag, size) = (input.byte(), usize::from(input.short()));
                let body = input.take(size);
                maker.record(tag, body);
            }
            NEXT_SEGMENT => {
                maker.finish();
                maker.start(input);
            }
            RAW => {
                let size = input.below(64);
                maker.bytes.extend(input.take(size));
            }
            STRETCHED => {
                let (tag, size) = (input.byte(), usize::from(input.byte()));
                let mut plan = vec![0xFF];
                plan.extend(input.take(size));
                maker.record(tag, &stretched(&plan, FILE_BYTES_MAX));
            }
            _ => {
                let zeros = input.below(256);
                maker.bytes.extend(vec![0; zeros]);
            }
        }
    }
    maker.finish();
    disk
}

/// Options under which small logs have several segments.
pub(super) fn options() -> LogOptions {
    let mut options = LogOptions::default();
    (options.segment_bytes, options.checkpoint_bytes) = (16 << 10, 1 << 10);
    options
}

/// What is allowed: the record limit, and the files, which an open reads whole and the disk holds.
fn limit(disk: &FaultyDisk) -> usize {
    let names = disk.list(&dir()).expect("it is there");
    let sizes = names.iter().map(|name| {
        let file = disk.open(&dir().join(name)).expect("it is there");
        file.size().expect("it is there")
    });
    RECORD_BYTES_MAX + 4 * usize::try_from(sizes.sum::<u64>()).expect("they are small")
}

/// A site's own journal.
pub(super) fn journal(bytes: &[u8]) -> bool {
    let disk = disk_of(&mut Input::new(bytes), 1);
    let limit = limit(&disk);
    within(limit, || {
        if let Ok(look) = LogLook::journal(&disk.shared(), dir()) {
            drop(look.verify());
            look_through(&look);
        }
    });
    let opened = within(limit, || Journal::open(disk.shared(), dir(), options()));
    let Ok((mut journal, _)) = opened else {
        return false;
    };
    let heads = heads(&journal);
    within(limit, || {
        let whole = journal.verify().is_ok();
        read_through(&journal, whole);
    });
    goes_on(&mut journal, &disk, &heads);
    !heads.is_empty()
}

fn look_through(look: &LogLook) {
    for start in look.starts() {
        let Ok(mut entries) = look.entries(start) else {
            continue;
        };
        while let Ok(Some(looked)) = entries.next_entry() {
            assert_eq!(looked.stored.entry.site_id, look.owner().site_id);
        }
    }
    drop(look.find(shard_of(9), 2));
}

fn heads(journal: &Journal) -> BTreeMap<u32, u64> {
    let points = journal.points().iter();
    points.map(|(stream, point)| (*stream, point.seq)).collect()
}

/// Everything that can be read of it; without an error where it was verified.
fn read_through(journal: &Journal, whole: bool) {
    if let Ok(mut units) = journal.replay(journal.start()) {
        while let Ok(Some(unit)) = units.next_unit() {
            for at in 0..unit.entries.len() {
                drop(unit.context(at));
            }
        }
    }
    if let Ok(mut reader) = journal.batches(BTreeMap::new()) {
        loop {
            match reader.next_frame(1 << 20, 100) {
                Ok(Some((batches, _))) => drop(batches),
                Ok(None) => break,
                Err(error) => {
                    assert!(
                        !whole,
                        "a journal that was verified cannot be read: {error}"
                    );
                    break;
                }
            }
        }
    }
    for stream in 0..STREAM_COUNT {
        let (head, _) = journal.head(stream);
        if head > 0 {
            drop(journal.chain_at(stream, head));
        }
    }
}

/// What was opened takes the next entry, and has it when it is opened again.
fn goes_on(journal: &mut Journal, disk: &FaultyDisk, heads: &BTreeMap<u32, u64>) {
    let (stream, actor) = (shard_of(9), journal.actor());
    let seq = heads.get(&stream).copied().unwrap_or(0).saturating_add(1);
    let hlc_us = journal.durable().hlc_us.saturating_add(1);
    let op = OpKind::Write;
    let mut entry = JournalEntry::new(seq, stream, actor.site_id, hlc_us, 9, op, vec![1]);
    entry.incarnation = actor.incarnation;
    let added = journal.append(&[AppendGroup::of(entry, Seen::new())]);
    let mut expected = heads.clone();
    if added.is_ok() {
        expected.insert(stream, seq);
    }
    let opened = Journal::open(disk.shared(), dir(), options());
    let (again, recovery) = opened.expect("what was opened opens again");
    assert_eq!(self::heads(&again), expected);
    assert_eq!(recovery.cut_bytes, 0, "what was cut is cut");
}

/// What was received of another site.
pub(super) fn received(bytes: &[u8]) -> bool {
    let disk = disk_of(&mut Input::new(bytes), 2);
    let limit = limit(&disk);
    let open = || ReceivedLog::open(disk.shared(), dir(), OWNER, options());
    within(limit, || {
        if let Ok(look) = LogLook::received(&disk.shared(), dir()) {
            look_through(&look);
        }
    });
    let Ok((mut log, _)) = within(limit, open) else {
        return false;
    };
    within(limit, || {
        let whole = log.verify().is_ok();
        if let Ok(mut batches) = log.replay(log.start()) {
            loop {
                match batches.next_batch() {
                    Ok(Some((_, batch))) => drop(batch),
                    Ok(None) => break,
                    Err(error) => {
                        assert!(!whole, "a log that was verified cannot be read: {error}");
                        break;
                    }
                }
            }
        }
    });
    let mut expected = log.cursors();
    let was_taken = !expected.is_empty();
    if let Some(batch) = next_batch(&log)
        && log.append(std::slice::from_ref(&batch)).is_ok()
    {
        expected.insert(batch.stream, log.cursor(batch.stream));
    }
    let (again, recovery) = open().expect("what was opened opens again");
    assert_eq!(again.cursors(), expected);
    assert_eq!(recovery.cut_bytes, 0, "what was cut is cut");
    was_taken
}

/// A batch that continues the log.
fn next_batch(log: &ReceivedLog) -> Option<EntryBatch> {
    let (stream, cursor) = (shard_of(9), log.cursor(shard_of(9)));
    let (seq, op) = (cursor.seq.checked_add(1)?, OpKind::Write);
    let mut entry = JournalEntry::new(seq, stream, OWNER.site_id, 50, 9, op, vec![1]);
    entry.incarnation = OWNER.incarnation;
    let mut batch = EntryBatch::new(OWNER.site_id, vec![entry], 1);
    (batch.chain_prev, batch.chain_last) = (cursor.chain, [7; 32]);
    Some(batch)
}

/// The plan of a log that is there.
pub(super) fn plan_of(disk: &FaultyDisk, folder: &Path) -> Vec<u8> {
    let mut plan = Vec::new();
    for (nth, name) in disk.list(folder).expect("a log").into_iter().enumerate() {
        let file = disk.open(&folder.join(name)).expect("a segment");
        let mut bytes = vec![0; usize::try_from(file.size().expect("a size")).expect("small")];
        file.read_at(&mut bytes, 0).expect("it can be read");
        if nth > 0 {
            plan.push(NEXT_SEGMENT);
        }
        plan.push(0);
        let mut rest = Bytes::from(bytes).slice(HEADER_BYTES..);
        while let Some(length) = rest.first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            if length == 0 {
                break;
            }
            plan.extend([RECORD, rest[4]]);
            plan.extend(
                u16::try_from(length)
                    .expect("records are small")
                    .to_le_bytes(),
            );
            plan.extend(&rest[RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + length]);
            rest = rest.slice(RECORD_HEADER_BYTES + length..);
        }
    }
    plan.extend([ZEROS, 40]);
    plan
}
