//! Keys and values over one redb table, with a write-back overlay.
//!
//! Writes gather in memory and go to disk in one transaction: the store is a view of the logs, so losing what was
//! not committed costs a replay and nothing else. Dropping the overlay undoes everything since the last commit.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use redb::{
    Database, Durability, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase, TableDefinition,
};

use crate::disk::SharedDisk;
use crate::error::{ReplError, Result};
use backend::{Guarded, Lost};

mod backend;

const TABLE: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("state");
/// Page cache of redb. Its default is 1 GiB; the working set of a merge is the registers of one batch. It fills up as
/// the state grows, so it is what a backlog costs above all (`cargo bench --bench backlog`).
const CACHE_BYTES: usize = 8 << 20;

/// A sorted map on disk. One loop owns it.
#[derive(Debug)]
pub(super) struct Kv {
    path: PathBuf,
    db: Database,
    committed: ReadOnlyTable<&'static [u8], &'static [u8]>,
    overlay: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    overlay_bytes: usize,
}

impl Kv {
    /// Opens the file, or makes it. A new one gets its name when it is whole: half of one could not be opened.
    pub(super) fn open(disk: &SharedDisk, path: &Path) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let names = disk.list(folder)?;
        let is_there = |path: &Path| names.iter().any(|name| Some(&**name) == path.file_name());
        if is_there(path) {
            return Self::at(disk, path, true);
        }
        let new = path.with_extension("new");
        if is_there(&new) {
            disk.remove(&new)?;
        }
        drop(Self::at(disk, &new, false)?);
        disk.rename(&new, path)?;
        disk.sync_dir(folder)?;
        Self::at(disk, path, true)
    }

    fn at(disk: &SharedDisk, path: &Path, is_there: bool) -> Result<Self> {
        let lost = Lost::new(disk, path);
        let file = if is_there {
            let file = disk.open(path)?;
            lost.mend(&*file)?;
            file
        } else {
            disk.create(path)?
        };
        let mut builder = Database::builder();
        let db = builder
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(Guarded::new(lost, path, file)?)
            .map_err(|e| store_error("open state store", path, e.into()))?;
        Self::over(db, path)
    }

    fn over(db: Database, path: &Path) -> Result<Self> {
        let failed = |e: redb::Error| store_error("open state store", path, e);
        let write = db.begin_write().map_err(|e| failed(e.into()))?;
        write.open_table(TABLE).map_err(|e| failed(e.into()))?;
        write.commit().map_err(|e| failed(e.into()))?;
        let committed = snapshot(&db).map_err(failed)?;
        let path = path.to_owned();
        Ok(Self {
            path,
            db,
            committed,
            overlay: BTreeMap::new(),
            overlay_bytes: 0,
        })
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(value) = self.overlay.get(key) {
            return Ok(value.clone());
        }
        let value = self
            .committed
            .get(key)
            .map_err(|e| self.failed("read state", e.into()))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// Sets or removes `key`.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.overlay_bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.overlay.insert(key, value);
    }

    /// Calls `each` with every key that starts with `prefix` and lies behind `after`, ascending, until it returns
    /// false.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let failed = |e: redb::StorageError| self.failed("scan state", e.into());
        let mut disk = self
            .committed
            .range::<&[u8]>((from, Bound::Unbounded))
            .map_err(failed)?;
        let from = from.map(<[u8]>::to_vec);
        let mut memory = self.overlay.range((from, Bound::Unbounded)).peekable();
        let mut on_disk = disk.next().transpose().map_err(failed)?;
        loop {
            let disk_key = on_disk.as_ref().map(|(key, _)| key.value());
            let in_memory = memory.peek().map(|(key, _)| key.as_slice());
            let take_memory = match (disk_key, in_memory) {
                (None, None) => return Ok(()),
                (Some(disk), Some(memory)) => memory <= disk,
                (None, Some(_)) => true,
                (Some(_), None) => false,
            };
            let shadows = take_memory && disk_key == in_memory;
            let go_on = match (take_memory, &on_disk) {
                (true, _) => match memory.next() {
                    Some((key, value)) => match value {
                        _ if !key.starts_with(prefix) => false,
                        Some(value) => each(key, value)?,
                        None => true,
                    },
                    None => false,
                },
                (false, Some((key, value))) => {
                    key.value().starts_with(prefix) && each(key.value(), value.value())?
                }
                (false, None) => false,
            };
            if !go_on {
                return Ok(());
            }
            if !take_memory || shadows {
                on_disk = disk.next().transpose().map_err(failed)?;
            }
        }
    }

    /// What is committed, as it is now.
    pub(super) fn still(&self) -> Result<Still> {
        let table = snapshot(&self.db).map_err(|e| self.failed("read state", e))?;
        let path = self.path.clone();
        Ok(Still { path, table })
    }

    /// Nothing waits to be committed.
    pub(super) fn is_clean(&self) -> bool {
        self.overlay.is_empty()
    }

    /// Bytes that wait to be committed.
    pub(super) const fn pending_bytes(&self) -> usize {
        self.overlay_bytes
    }

    /// Writes everything in one durable transaction.
    pub(super) fn commit(&mut self) -> Result<()> {
        if self.overlay.is_empty() {
            return Ok(());
        }
        self.write_overlay()
            .map_err(|e| store_error("commit state store", &self.path, e))?;
        self.overlay.clear();
        self.overlay_bytes = 0;
        self.committed =
            snapshot(&self.db).map_err(|e| store_error("read state store", &self.path, e))?;
        Ok(())
    }

    fn write_overlay(&self) -> Result<(), redb::Error> {
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        {
            let mut table = write.open_table(TABLE)?;
            for (key, value) in &self.overlay {
                match value {
                    Some(value) => drop(table.insert(key.as_slice(), value.as_slice())?),
                    None => drop(table.remove(key.as_slice())?),
                }
            }
        }
        write.commit()?;
        Ok(())
    }

    fn failed(&self, action: &'static str, error: redb::Error) -> ReplError {
        store_error(action, &self.path, error)
    }
}

/// What a map held at one moment.
#[derive(Debug)]
pub(super) struct Still {
    path: PathBuf,
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Still {
    /// As [`Kv::scan`].
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let failed = |e: redb::StorageError| store_error("scan state", &self.path, e.into());
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let range = self.table.range::<&[u8]>((from, Bound::Unbounded));
        for item in range.map_err(failed)? {
            let (key, value) = item.map_err(failed)?;
            let goes_on = key.value().starts_with(prefix) && each(key.value(), value.value())?;
            if !goes_on {
                break;
            }
        }
        Ok(())
    }
}

fn snapshot(db: &Database) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, redb::Error> {
    Ok(db.begin_read()?.open_table(TABLE)?)
}

/// Keys and values of a file whose keys start with `prefix`. A file that another process has, or did not close, is
/// refused: it would have to be changed to be read.
pub(super) fn peek(path: &Path, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let failed = |e: redb::Error| store_error("look at state store", path, e);
    let db = ReadOnlyDatabase::open(path).map_err(|e| failed(e.into()))?;
    let read = db.begin_read().map_err(|e| failed(e.into()))?;
    let table = read.open_table(TABLE).map_err(|e| failed(e.into()))?;
    let range = table.range::<&[u8]>(prefix..);
    let mut found = Vec::new();
    for item in range.map_err(|e| failed(e.into()))? {
        let (key, value) = item.map_err(|e| failed(e.into()))?;
        if !key.value().starts_with(prefix) {
            break;
        }
        found.push((key.value().to_vec(), value.value().to_vec()));
    }
    Ok(found)
}

fn store_error(action: &'static str, path: &Path, error: redb::Error) -> ReplError {
    if let redb::Error::Corrupted(reason) = error {
        let file = path.to_owned();
        return ReplError::WalCorrupted {
            file,
            offset: 0,
            reason,
        };
    }
    if let redb::Error::Io(source) = error {
        return ReplError::io(action, path, source);
    }
    ReplError::io(action, path, std::io::Error::other(error))
}

#[cfg(test)]
mod faults;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_commit_survives_reopening_and_what_was_not_committed_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let mut kv = Kv::open(&RealDisk::shared(), &path).unwrap();
        kv.put(b"a".to_vec(), Some(b"1".to_vec()));
        kv.commit().unwrap();
        kv.put(b"b".to_vec(), Some(b"2".to_vec()));
        drop(kv);
        let kv = Kv::open(&RealDisk::shared(), &path).unwrap();
        assert_eq!(kv.get(b"a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(kv.get(b"b").unwrap(), None);
    }

    #[test]
    fn a_store_that_was_made_by_half_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("state.new"), [0; 8_192]).unwrap();
        let path = folder.path().join("state.redb");
        let mut kv = Kv::open(&RealDisk::shared(), &path).unwrap();
        kv.put(b"a".to_vec(), Some(b"1".to_vec()));
        kv.commit().unwrap();
        assert!(!folder.path().join("state.new").exists());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn overlay_and_disk_together_are_one_sorted_map(
            ops in proptest::collection::vec((0u8..12, proptest::option::of(any::<u8>()), any::<bool>()), 1..60),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut kv = Kv::open(&RealDisk::shared(), &folder.path().join("state.redb")).unwrap();
            let mut model = BTreeMap::new();
            for (key, value, commit) in ops {
                let key = vec![key / 4, key % 4];
                match value {
                    Some(value) => model.insert(key.clone(), vec![value]),
                    None => model.remove(&key),
                };
                kv.put(key, value.map(|value| vec![value]));
                if commit {
                    kv.commit().unwrap();
                }
            }
            for prefix in 0u8..3 {
                let mut seen = Vec::new();
                kv.scan(&[prefix], None, |key, value| { seen.push((key.to_vec(), value.to_vec())); Ok(true) }).unwrap();
                let expected: Vec<_> = model.iter().filter(|(key, _)| key[0] == prefix)
                    .map(|(key, value)| (key.clone(), value.clone())).collect();
                prop_assert_eq!(&seen, &expected);
                if let Some((first, _)) = expected.first() {
                    let mut behind = Vec::new();
                    kv.scan(&[prefix], Some(first), |key, _| { behind.push(key.to_vec()); Ok(true) }).unwrap();
                    prop_assert_eq!(behind.len(), expected.len() - 1);
                }
            }
        }
    }
}
