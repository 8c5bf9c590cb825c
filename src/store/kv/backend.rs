//! The file of a redb database: on any [`Disk`], and safe after a sync that failed.
//!
//! After a failed sync the system may have dropped what it could not write and call it clean: it reads back, and no
//! later sync writes it (Rebello et al., USENIX ATC 2020). A database that is opened then takes its last commit for
//! durable, builds on it, and is no database any more when the power fails. So a failed sync leaves a mark beside the
//! file, for this process and the next one, and whoever opens the file then writes all of it again before anything else.

use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::disk::{DiskFile, SharedDisk, SharedFile};
use crate::error::{ReplError, Result};
use crate::failpoint;

/// Name, beside that of the store, of the mark that a sync failed.
const MARK: &str = "lost";
/// Times that the mark is tried: the disk fails already.
const MARK_TRIES: u32 = 3;
/// How much is written again at once.
const PIECE_BYTES: usize = 1 << 20;

/// What the system said, so that a full disk is known as one.
fn source(error: ReplError) -> io::Error {
    if let ReplError::Io { source, .. } = error {
        return source;
    }
    io::Error::other(error)
}

/// Whether a sync of a store failed, and what of it is durable is not known.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    disk: SharedDisk,
    store: PathBuf,
}

impl Lost {
    pub(super) fn new(disk: &SharedDisk, store: &Path) -> Self {
        Self {
            disk: SharedDisk::clone(disk),
            store: store.to_owned(),
        }
    }

    fn mark(&self) -> PathBuf {
        self.store.with_extension(MARK)
    }

    fn folder(&self) -> &Path {
        self.store.parent().unwrap_or(Path::new(""))
    }

    fn is_marked(&self) -> Result<bool> {
        let mark = self.mark();
        let names = self.disk.list(self.folder())?;
        Ok(names
            .iter()
            .any(|name| Some(name.as_os_str()) == mark.file_name()))
    }

    /// Leaves the mark.
    fn note(&self) {
        for _ in 0..MARK_TRIES {
            let made = self.disk.create(&self.mark()).map(drop);
            match made.and_then(|()| self.disk.sync_dir(self.folder())) {
                Ok(()) => return,
                Err(_) if self.is_marked().is_ok_and(|marked| marked) => return,
                Err(error) => {
                    let store = self.store.display();
                    tracing::warn!(%store, %error, "cannot note that the state store was not synced");
                }
            }
        }
    }

    /// Makes the store durable as it reads back, before it is opened.
    pub(super) fn mend(&self, file: &dyn DiskFile) -> Result<()> {
        if !failpoint::holds("a store is mended") {
            return Ok(());
        }
        if !self.is_marked()? {
            // Whoever had it before may have ended in a commit. redb takes that for one when it reads back whole, and
            // overwrites what the commit before it needs.
            return file.sync_data().inspect_err(|_| self.note());
        }
        let store = self.store.display();
        tracing::warn!(%store, "a sync of the state store failed: all of it is written again");
        let mut piece = vec![0; PIECE_BYTES];
        let mut offset = 0;
        loop {
            let got = file.read_at(&mut piece, offset)?;
            if got == 0 {
                break;
            }
            file.write_at(piece.get(..got).unwrap_or_default(), offset)?;
            offset += got as u64;
        }
        file.sync_data()?;
        self.disk.remove(&self.mark())?;
        self.disk.sync_dir(self.folder())
    }
}

/// A file as redb reads and writes it.
#[derive(Debug)]
struct OnDisk(SharedFile);

impl StorageBackend for OnDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.size().map_err(source)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let got = self.0.read_at(out, offset).map_err(source)?;
        if got < out.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len).map_err(source)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data().map_err(source)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset).map_err(source)
    }
}

/// A backend that leaves the mark when a sync fails.
#[derive(Debug)]
pub(super) struct Guarded {
    inner: Box<dyn StorageBackend>,
    lost: Lost,
}

impl Guarded {
    /// The file `path`, which is `file`.
    pub(super) fn new(lost: Lost, path: &Path, file: SharedFile) -> Result<Self> {
        let inner: Box<dyn StorageBackend> = match lost.disk.system_path(path) {
            // redb locks the file; closing another handle to it could end that.
            Some(path) => {
                drop(file);
                let open = OpenOptions::new().read(true).write(true).open(&path);
                let file = open.map_err(|e| ReplError::io("open state store", &path, e))?;
                let backend = FileBackend::new(file);
                Box::new(
                    backend.map_err(|e| super::store_error("open state store", &path, e.into()))?,
                )
            }
            None => Box::new(OnDisk(file)),
        };
        Ok(Self { inner, lost })
    }
}

impl StorageBackend for Guarded {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data().inspect_err(|_| self.lost.note())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> std::result::Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> std::result::Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> std::result::Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> std::result::Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> std::result::Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> std::result::Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
