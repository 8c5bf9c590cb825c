//! A disk under the store that fails at one operation: reported, and what is there afterwards is one commit as a whole.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use redb::{Database, StorageBackend};

use super::Kv;
use crate::disk::{Fault, FaultyDisk};
use crate::error::{ReplError, Result};

const COMMITS: u8 = 4;
const KEYS: u8 = 40;

/// Bytes that outlive the database over them, and how many operations go well before one fails with EIO.
#[derive(Debug, Clone)]
struct Failing {
    bytes: Arc<Mutex<Vec<u8>>>,
    left: Arc<AtomicU64>,
}

impl Failing {
    fn of(bytes: Vec<u8>, left: u64) -> Self {
        Self {
            bytes: Arc::new(Mutex::new(bytes)),
            left: Arc::new(left.into()),
        }
    }

    /// One operation; the one that fails does nothing, and later ones go well again.
    fn step<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> std::io::Result<T> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            return Err(std::io::Error::from_raw_os_error(
                rustix::io::Errno::IO.raw_os_error(),
            ));
        }
        Ok(work(&mut self.bytes.lock().unwrap()))
    }

    fn kv(&self) -> Result<Kv> {
        let path = Path::new("state.redb");
        let db = Database::builder().create_with_backend(self.clone());
        let db = db.map_err(|e| super::store_error("open state store", path, e.into()))?;
        Kv::over(db, path)
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> std::io::Result<u64> {
        self.step(|bytes| bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.step(|bytes| out.copy_from_slice(&bytes[at..at + out.len()]))
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.step(|bytes| bytes.resize(usize::try_from(len).unwrap(), 0))
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.step(|_| ())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.step(|bytes| bytes[at..at + data.len()].copy_from_slice(data))
    }
}

/// Commits that each write all keys; how many went well, and the failure.
fn work(disk: &Failing) -> (u8, Result<()>) {
    let mut kv = match disk.kv() {
        Ok(kv) => kv,
        Err(error) => return (0, Err(error)),
    };
    for commit in 1..=COMMITS {
        for key in 0..KEYS {
            kv.put(vec![key], Some(vec![commit; 200]));
        }
        if let Err(error) = kv.commit() {
            return (commit - 1, Err(error));
        }
    }
    (COMMITS, Ok(()))
}

/// Which commit a store shows, all of it.
fn shown(kv: &Kv) -> u8 {
    let mut values: Vec<Option<Vec<u8>>> = (0..KEYS).map(|key| kv.get(&[key]).unwrap()).collect();
    values.dedup();
    assert_eq!(values.len(), 1, "parts of several commits");
    values.remove(0).map_or(0, |value| value[0])
}

#[test]
fn a_failure_of_any_operation_under_the_store_is_reported_and_leaves_one_commit_as_a_whole() {
    // A store gets its name when it is whole, so none begins with less than this.
    let whole = Failing::of(Vec::new(), u64::MAX);
    drop(whole.kv().unwrap());
    let whole = whole.bytes.lock().unwrap().clone();
    for nth in 1.. {
        let disk = Failing::of(whole.clone(), nth);
        let (done, result) = work(&disk);
        let Err(error) = result else {
            assert!(nth > 40, "only {nth} operations");
            return;
        };
        assert!(matches!(error, ReplError::Io { .. }), "{nth}: {error}");
        // Opened again, as the engine does after any failure.
        let kv = Failing::of(disk.bytes.lock().unwrap().clone(), u64::MAX).kv();
        let shown = shown(&kv.unwrap());
        assert!(
            shown == done || shown == done + 1,
            "{nth}: {shown} after {done}"
        );
    }
}

/// A disk that fails once, at the operation with this index, and then loses its power; the last commit that went well,
/// and the disk.
fn failed_once(nth: u64, fault: Fault) -> (u8, FaultyDisk) {
    let path = Path::new("/state.redb");
    let disk = FaultyDisk::new(nth);
    let shared = disk.shared();
    drop(Kv::open(&shared, path).unwrap());
    disk.fail_at(disk.operations() + nth, fault);
    let mut committed = 0;
    for commit in 1..=COMMITS {
        // Opened again after each commit and after each failure, as the engine does.
        let Ok(mut kv) = Kv::open(&shared, path) else {
            continue;
        };
        for key in 0..KEYS {
            kv.put(vec![key], Some(vec![commit; 200]));
        }
        if kv.commit().is_ok() {
            committed = commit;
        }
    }
    disk.power_cut();
    disk.restart();
    (committed, disk)
}

#[test]
fn what_was_committed_after_a_failed_sync_outlives_a_power_cut() {
    for fault in [Fault::Io, Fault::Full] {
        for nth in 0..200 {
            let (committed, disk) = failed_once(nth, fault);
            let kv = Kv::open(&disk.shared(), Path::new("/state.redb"));
            let kv = kv.unwrap_or_else(|error| panic!("{fault:?} {nth}: {error}"));
            // The last one may be what failed, and may be there for all that.
            let shown = shown(&kv);
            let is_whole = shown == committed || shown == committed + 1;
            assert!(
                committed >= COMMITS - 1 && is_whole,
                "{fault:?} {nth}: {shown} after {committed}"
            );
        }
    }
}
