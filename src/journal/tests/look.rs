//! Looking at logs from outside: beside the writer, at torn tails, at damage, and without a trace.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::dot::{Actor, Seen, shard_of};
use super::super::segment::HEADER_BYTES;
use super::super::{AppendGroup, Journal, LogLook, ReceivedLog};
use super::script::{ACTOR, Script, assert_prefix, small};
use crate::disk::{Disk, DiskFile, ReadOnlyDisk, RealDisk, SharedDisk, SharedFile};
use crate::error::ReplError;

/// A journal in a folder, and what was appended to it.
struct Made {
    folder: tempfile::TempDir,
    journal: Journal,
    script: Vec<AppendGroup>,
}

impl Made {
    fn with(groups: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("journal");
        let mut journal = Journal::create(RealDisk::shared(), at, ACTOR, small()).unwrap();
        let script = Script::groups(1, groups);
        for groups in script.chunks(3) {
            journal.append(groups).unwrap();
        }
        Self {
            folder,
            journal,
            script,
        }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn look(&self) -> LogLook {
        LogLook::journal(&ReadOnlyDisk::shared(), self.dir()).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Inverts a byte of a file.
    fn hurt(&self, file: usize, offset: u64) {
        let path = &self.files()[file];
        let mut bytes = std::fs::read(path).unwrap();
        let at = usize::try_from(offset).unwrap();
        bytes[at] ^= 0xFF;
        std::fs::write(path, bytes).unwrap();
    }
}

/// Stream and seq of all entries of a look, up to the first error.
fn read(look: &LogLook) -> (Vec<(u32, u64)>, Option<ReplError>) {
    let mut entries = look.entries(look.start()).unwrap();
    let mut found = Vec::new();
    loop {
        match entries.next_entry() {
            Ok(Some(looked)) => {
                let entry = &looked.stored.entry;
                found.push((entry.shard_id, entry.seq));
            }
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error)),
        }
    }
}

fn all(script: &[AppendGroup]) -> Vec<(u32, u64)> {
    let entries = script.iter().flat_map(|group| &group.entries);
    entries.map(|entry| (entry.shard_id, entry.seq)).collect()
}

#[test]
fn a_look_beside_the_writer_sees_what_it_wrote_with_contexts_and_devices_and_changes_nothing() {
    let made = Made::with(80);
    let before: Vec<_> = made
        .files()
        .iter()
        .map(|f| std::fs::read(f).unwrap())
        .collect();
    let look = made.look();
    assert!(look.segments() > 2, "{}", look.segments());
    assert_eq!(read(&look).0, all(&made.script));
    assert_eq!((look.owner(), look.torn_bytes()), (ACTOR, 0));
    assert_eq!(look.end(), made.journal.durable().position);
    assert_eq!(look.verify().unwrap(), made.journal.verify().unwrap());
    for (stream, point) in made.journal.points() {
        assert_eq!(look.heads()[stream], point.seq);
    }
    let units = made.journal.replay(0).unwrap().map(Result::unwrap);
    for unit in units {
        for (stored, seen) in &unit.entries {
            let entry = &stored.entry;
            let looked = look.find(entry.shard_id, entry.seq).unwrap().unwrap();
            assert_eq!((&looked.stored, &looked.context), (stored, seen));
            let mut trailers = unit.trailers.iter();
            let device = trailers.find(|t| (t.0, t.1) == (entry.shard_id, entry.seq));
            assert_eq!(looked.device, device.map(|trailer| trailer.2));
            assert_eq!(looked.position, unit.position);
        }
    }
    assert!(look.find(shard_of(2), 1_000_000).unwrap().is_none());
    let after: Vec<_> = made
        .files()
        .iter()
        .map(|f| std::fs::read(f).unwrap())
        .collect();
    assert!(before == after);
}

#[test]
fn a_look_follows_the_writer_over_segments_and_trimming() {
    let mut made = Made::with(3);
    let mut look = made.look();
    let mut entries = look.entries(look.end()).unwrap();
    assert!(
        entries.next_entry().unwrap().is_none(),
        "it starts at the end"
    );
    let mut script = Script::new(1);
    for _ in 0..3 {
        script.group();
    }
    let first_base = look.starts()[0];
    let mut trimmed = false;
    for round in 0..60 {
        let group = script.group();
        made.journal.append(std::slice::from_ref(&group)).unwrap();
        if round == 40 {
            let report = made.journal.trim(&Default::default(), u64::MAX, u64::MAX);
            trimmed = report.unwrap().segments > 0;
        }
        look.refresh().unwrap();
        for expected in &group.entries {
            let looked = entries.next_entry().unwrap().unwrap();
            assert_eq!(&looked.stored.entry, expected);
        }
        assert!(entries.next_entry().unwrap().is_none());
    }
    assert!(trimmed && look.start() > first_base);
    assert_eq!(look.end(), made.journal.durable().position);
}

#[test]
fn a_torn_tail_is_no_damage_and_is_left_as_it_is() {
    let made = Made::with(20);
    let look = made.look();
    let (path, offset) = look.place_of(look.end());
    let torn = [9, 0, 0, 0, 0x81, 1, 2, 3, 4, 5];
    let mut bytes = std::fs::read(&path).unwrap();
    let at = usize::try_from(offset).unwrap();
    bytes[at..at + torn.len()].copy_from_slice(&torn);
    std::fs::write(&path, &bytes).unwrap();
    let again = made.look();
    assert_eq!(again.torn_bytes(), torn.len() as u64);
    assert!(again.damage().is_none());
    assert_eq!(read(&again).0, all(&made.script));
    again.verify().unwrap();
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[test]
fn damage_in_the_last_segment_ends_what_is_read_and_is_told() {
    let made = Made::with(60);
    let look = made.look();
    let base = |at: &&u64| look.place_of(**at).1 == HEADER_BYTES as u64;
    let last = *look.starts().iter().rfind(base).unwrap();
    let first = look.entries(last).unwrap().next_entry().unwrap().unwrap();
    let (_, offset) = look.place_of(first.position);
    made.hurt(made.files().len() - 1, offset + 12);
    let hurt = made.look();
    let damage = hurt.damage().unwrap().to_string();
    assert!(damage.contains("a later commit follows"), "{damage}");
    let (found, error) = read(&hurt);
    assert!(error.is_none() && all(&made.script).starts_with(&found));
    assert!(!found.is_empty());
}

#[test]
fn damage_in_the_middle_is_found_where_it_is_and_what_lies_behind_can_be_read() {
    let made = Made::with(80);
    made.hurt(1, 700);
    let look = made.look();
    assert!(
        look.damage().is_none(),
        "only the last segment is read at once"
    );
    let error = look.verify().unwrap_err();
    let ReplError::WalCorrupted { file, offset, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(file, &made.files()[1]);
    assert!(*offset <= 700, "{error}");
    let (found, error) = read(&look);
    assert!(error.is_some() && all(&made.script).starts_with(&found));
    let last = *look.starts().last().unwrap();
    assert!(look.entries(last).unwrap().next_entry().unwrap().is_some());
}

/// A disk whose next read of a whole segment sees a part of it as it was before a commit, and all behind it as it is.
#[derive(Debug)]
struct Racing {
    hidden: std::ops::Range<u64>,
    reads: Arc<AtomicUsize>,
    file: Option<SharedFile>,
}

impl Disk for Racing {
    fn open(&self, path: &Path) -> crate::error::Result<SharedFile> {
        Ok(Arc::new(Self {
            hidden: self.hidden.clone(),
            reads: Arc::clone(&self.reads),
            file: Some(ReadOnlyDisk.open(path)?),
        }))
    }
    fn create(&self, path: &Path) -> crate::error::Result<SharedFile> {
        ReadOnlyDisk.create(path)
    }
    fn list(&self, dir: &Path) -> crate::error::Result<Vec<std::ffi::OsString>> {
        ReadOnlyDisk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> crate::error::Result<()> {
        ReadOnlyDisk.create_dir(dir)
    }
    fn remove(&self, path: &Path) -> crate::error::Result<()> {
        ReadOnlyDisk.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> crate::error::Result<()> {
        ReadOnlyDisk.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> crate::error::Result<()> {
        ReadOnlyDisk.sync_dir(dir)
    }
    fn free_bytes(&self, dir: &Path) -> crate::error::Result<u64> {
        ReadOnlyDisk.free_bytes(dir)
    }
    fn system_path(&self, path: &Path) -> Option<PathBuf> {
        ReadOnlyDisk.system_path(path)
    }
}

impl DiskFile for Racing {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> crate::error::Result<usize> {
        let got = self.file.as_ref().unwrap().read_at(buffer, offset)?;
        let is_whole = offset == HEADER_BYTES as u64 && got > 2_048;
        if is_whole && self.reads.fetch_add(1, Ordering::SeqCst) == 0 {
            for at in self.hidden.clone() {
                buffer[usize::try_from(at - offset).unwrap()] = 0;
            }
        }
        Ok(got)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> crate::error::Result<()> {
        self.file.as_ref().unwrap().write_at(bytes, offset)
    }
    fn size(&self) -> crate::error::Result<u64> {
        self.file.as_ref().unwrap().size()
    }
    fn set_len(&self, len: u64) -> crate::error::Result<()> {
        self.file.as_ref().unwrap().set_len(len)
    }
    fn allocate(&self, len: u64) -> crate::error::Result<()> {
        self.file.as_ref().unwrap().allocate(len)
    }
    fn sync_data(&self) -> crate::error::Result<()> {
        self.file.as_ref().unwrap().sync_data()
    }
    fn sync_all(&self) -> crate::error::Result<()> {
        self.file.as_ref().unwrap().sync_all()
    }
}

#[test]
fn a_commit_that_came_while_the_file_was_read_is_no_damage() {
    let made = Made::with(60);
    let look = made.look();
    let base = |at: &&u64| look.place_of(**at).1 == HEADER_BYTES as u64;
    let last = *look.starts().iter().rfind(base).unwrap();
    let first = look.entries(last).unwrap().next_entry().unwrap().unwrap();
    let (_, offset) = look.place_of(first.position);
    let reads = Arc::new(AtomicUsize::new(0));
    let racing: SharedDisk = Arc::new(Racing {
        hidden: offset..offset + 40,
        reads: Arc::clone(&reads),
        file: None,
    });
    let raced = LogLook::journal(&racing, made.dir()).unwrap();
    assert!(raced.damage().is_none(), "{:?}", raced.damage());
    assert_eq!(reads.load(Ordering::SeqCst), 2, "it was read again");
    assert_eq!(raced.end(), look.end());
}

#[test]
fn a_segment_that_does_not_begin_well_ends_what_is_read() {
    let made = Made::with(80);
    made.hurt(2, 5);
    let look = made.look();
    assert!(look.damage().unwrap().to_string().contains("magic"));
    assert_eq!(look.segments(), 2);
    look.verify().unwrap();
    let made = Made::with(80);
    made.hurt(0, 5);
    let refused = LogLook::journal(&ReadOnlyDisk::shared(), made.dir());
    assert!(refused.unwrap_err().to_string().contains("magic"));
    std::fs::remove_file(&made.files()[1]).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let none = LogLook::journal(&ReadOnlyDisk::shared(), empty.path());
    assert!(none.unwrap_err().to_string().contains("find a segment"));
}

#[test]
fn a_received_log_is_looked_at_with_the_context_of_every_entry() {
    let made = Made::with(40);
    let mut reader = made.journal.batches(Default::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("1-a1");
    let opened = ReceivedLog::open(RealDisk::shared(), &at, ACTOR, small());
    let (mut log, _) = opened.unwrap();
    let mut expected: Vec<(u32, u64, Seen)> = Vec::new();
    while let Some((batches, _)) = reader.next_frame(1 << 20, 25).unwrap() {
        log.append(&batches).unwrap();
        for batch in &batches {
            for entry in &batch.entries {
                let mut seen = batch.seen_of(entry);
                seen.set(ACTOR, 0);
                expected.push((entry.shard_id, entry.seq, seen));
            }
        }
    }
    let look = LogLook::received(&ReadOnlyDisk::shared(), &at).unwrap();
    look.verify().unwrap();
    for (stream, seq, seen) in expected {
        let looked = look.find(stream, seq).unwrap().unwrap();
        assert_eq!(looked.context, seen, "{stream}:{seq}");
    }
    assert_eq!(look.owner(), Actor::new(1, 0xA1));
    assert_prefix(&made.journal, &made.script, 40);
}
