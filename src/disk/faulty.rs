//! A disk in memory that fails as real ones do, from a seed.
//!
//! At a power cut every 512-byte sector that was written and not synced is kept or lost by itself, and so is every
//! creation, rename and removal whose directory was not synced. A failed sync loses its sectors for good: they still
//! read back until the power goes, and a later sync does not write them. Clones share the disk; files opened before a
//! power cut are dead after it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, SharedFile};
use crate::error::{ReplError, Result};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// How one operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`. A sync that fails so loses what it should have written.
    Io,
    /// `ENOSPC`. A write that fails so leaves a part of its bytes behind.
    Full,
}

/// The disk. Cheap to clone; all clones are the same disk.
#[derive(Debug, Clone)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: u64,
    /// Counts power cuts; a file handle is of one life.
    life: u64,
    down: bool,
    operations: u64,
    crash_at: Option<u64>,
    faults: BTreeMap<u64, Fault>,
    capacity: u64,
    live: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    pending: Vec<NameChange>,
    files: Vec<Content>,
}

#[derive(Debug, Clone, Copy)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Debug, Clone)]
enum NameChange {
    Put(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// Invariant: `current` differs from `durable` only in `dirty` sectors, in sectors that a failed sync gave up, and
/// in the length.
#[derive(Debug, Default)]
struct Content {
    current: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
    length_dirty: bool,
}

/// What becomes of the operation that asks.
enum Turn {
    Go,
    /// It happens, and then the power goes.
    Crash,
    Fail(Fault),
}

impl FaultyDisk {
    /// An empty disk whose every choice follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: seed,
            life: 0,
            down: false,
            operations: 0,
            crash_at: None,
            faults: BTreeMap::new(),
            capacity: u64::MAX,
            live: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
            files: Vec::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The disk, ready to be shared.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// How many operations that change or sync something were asked for; the next one has this index.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Cuts the power during the operation with this index: it may have happened, wholly or in part, and it fails.
    pub fn crash_at(&self, operation: u64) {
        self.lock().crash_at = Some(operation);
    }

    /// Makes the operation with this index fail.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.lock().faults.insert(operation, fault);
    }

    /// How many bytes fit on the disk from here on.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// Cuts the power; everything fails until [`FaultyDisk::restart`].
    pub fn power_cut(&self) {
        self.lock().power_cut();
    }

    /// Power is back. Planned faults and crashes are forgotten.
    pub fn restart(&self) {
        let mut state = self.lock();
        state.down = false;
        state.crash_at = None;
        state.faults.clear();
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.lock().down
    }

    /// Changes one byte behind everybody's back, as a bad disk does.
    ///
    /// # Errors
    /// When there is no such file or byte.
    pub fn corrupt(&self, path: &Path, offset: u64, mask: u8) -> Result<()> {
        let mut state = self.lock();
        let id = state.file(path, "corrupt file")?;
        let file = &mut state.files[id];
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        for bytes in [&mut file.current, &mut file.durable] {
            let byte = bytes
                .get_mut(at)
                .ok_or_else(|| refused("corrupt file", path, io::ErrorKind::UnexpectedEof))?;
            *byte ^= mask;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_names(&self, action: &'static str, path: &Path, change: NameChange) -> Result<()> {
        let mut state = self.lock();
        let turn = state.turn(action, path)?;
        if let Turn::Fail(fault) = turn {
            return Err(fault.error(action, path));
        }
        apply(&mut state.live, &change);
        state.pending.push(change);
        state.finish(&turn, action, path)
    }
}

impl Fault {
    fn error(self, action: &'static str, path: &Path) -> ReplError {
        let errno = match self {
            Self::Io => rustix::io::Errno::IO,
            Self::Full => rustix::io::Errno::NOSPC,
        };
        ReplError::io(action, path, errno)
    }
}

fn refused(action: &'static str, path: &Path, kind: io::ErrorKind) -> ReplError {
    ReplError::io(action, path, kind)
}

fn power_is_off(action: &'static str, path: &Path) -> ReplError {
    ReplError::io(action, path, io::Error::other("the power is off"))
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, change: &NameChange) {
    match change {
        NameChange::Put(path, node) => {
            names.insert(path.clone(), *node);
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
        NameChange::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}

impl NameChange {
    fn dir(&self) -> Option<&Path> {
        let (Self::Put(path, _) | Self::Remove(path) | Self::Rename(path, _)) = self;
        path.parent()
    }
}

impl State {
    /// SplitMix64 (Steele, Lea, Flood 2014): one word of state and good enough for coins.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    fn coin(&mut self) -> bool {
        self.random() & 1 == 0
    }

    fn turn(&mut self, action: &'static str, path: &Path) -> Result<Turn> {
        if self.down {
            return Err(power_is_off(action, path));
        }
        let index = self.operations;
        self.operations += 1;
        if self.crash_at == Some(index) {
            return Ok(Turn::Crash);
        }
        Ok(self.faults.remove(&index).map_or(Turn::Go, Turn::Fail))
    }

    fn finish(&mut self, turn: &Turn, action: &'static str, path: &Path) -> Result<()> {
        match turn {
            Turn::Go => Ok(()),
            Turn::Crash => {
                self.power_cut();
                Err(power_is_off(action, path))
            }
            Turn::Fail(fault) => Err(fault.error(action, path)),
        }
    }

    fn file(&self, path: &Path, action: &'static str) -> Result<usize> {
        match self.live.get(path) {
            Some(Node::File(id)) => Ok(*id),
            Some(Node::Dir) => Err(refused(action, path, io::ErrorKind::IsADirectory)),
            None => Err(refused(action, path, io::ErrorKind::NotFound)),
        }
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.parent().is_none()
            || path.as_os_str().is_empty()
            || matches!(self.live.get(path), Some(Node::Dir))
    }

    fn used(&self) -> u64 {
        let of = |node: &Node| match node {
            Node::Dir => 0,
            Node::File(id) => self.files[*id].current.len() as u64,
        };
        self.live.values().map(of).sum()
    }

    fn power_cut(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            if self.coin() {
                apply(&mut self.durable, &change);
            }
        }
        let mut kept = BTreeMap::new();
        for (path, node) in std::mem::take(&mut self.durable) {
            let parent = path.parent().unwrap_or(Path::new(""));
            if parent.parent().is_none()
                || parent.as_os_str().is_empty()
                || kept.contains_key(parent)
            {
                kept.insert(path, node);
            }
        }
        self.live = kept.clone();
        self.durable = kept;
        for id in 0..self.files.len() {
            self.settle(id);
        }
        self.life += 1;
        self.down = true;
    }

    /// Decides what of a file's unsynced state the power cut left.
    fn settle(&mut self, id: usize) {
        let mut file = std::mem::take(&mut self.files[id]);
        if file.length_dirty && self.coin() {
            file.durable.resize(file.current.len(), 0);
        }
        for sector in std::mem::take(&mut file.dirty) {
            if self.coin() {
                let end = file.durable.len();
                file.copy_sector(sector, end);
            }
        }
        file.current.clone_from(&file.durable);
        file.length_dirty = false;
        self.files[id] = file;
    }
}

impl Content {
    fn resize(&mut self, len: usize) {
        self.length_dirty |= len != self.current.len();
        self.current.resize(len, 0);
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if end > self.current.len() {
            self.resize(end);
        }
        self.current[at..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty
                .extend(at / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES);
        }
    }

    fn copy_sector(&mut self, sector: usize, end: usize) {
        let from = sector * SECTOR_BYTES;
        let to = (from + SECTOR_BYTES).min(end).min(self.current.len());
        if from < to {
            self.durable[from..to].copy_from_slice(&self.current[from..to]);
        }
    }

    fn flush(&mut self) {
        let end = self.current.len();
        self.durable.resize(end, 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.copy_sector(sector, end);
        }
        self.length_dirty = false;
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path) -> Result<SharedFile> {
        let state = self.lock();
        if state.down {
            return Err(power_is_off("open file", path));
        }
        let id = state.file(path, "open file")?;
        Ok(self.handle(path, id, state.life))
    }

    fn create(&self, path: &Path) -> Result<SharedFile> {
        let (id, life) = {
            let mut state = self.lock();
            if state.live.contains_key(path) {
                return Err(refused("create file", path, io::ErrorKind::AlreadyExists));
            }
            if !path.parent().is_some_and(|parent| state.is_dir(parent)) {
                return Err(refused("create file", path, io::ErrorKind::NotFound));
            }
            state.files.push(Content::default());
            (state.files.len() - 1, state.life)
        };
        let change = NameChange::Put(path.to_owned(), Node::File(id));
        self.change_names("create file", path, change)?;
        Ok(self.handle(path, id, life))
    }

    fn list(&self, dir: &Path) -> Result<Vec<OsString>> {
        let state = self.lock();
        if state.down {
            return Err(power_is_off("list directory", dir));
        }
        if !state.is_dir(dir) {
            return Err(refused("list directory", dir, io::ErrorKind::NotFound));
        }
        let inside = state.live.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside
            .filter_map(|path| path.file_name().map(OsString::from))
            .collect())
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        let there = {
            let state = self.lock();
            if !dir.parent().is_some_and(|parent| state.is_dir(parent)) {
                return Err(refused("create directory", dir, io::ErrorKind::NotFound));
            }
            state.is_dir(dir) && !state.down
        };
        if there {
            return Ok(());
        }
        let change = NameChange::Put(dir.to_owned(), Node::Dir);
        self.change_names("create directory", dir, change)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.lock().file(path, "remove file")?;
        self.change_names("remove file", path, NameChange::Remove(path.to_owned()))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.lock().file(from, "rename file")?;
        let change = NameChange::Rename(from.to_owned(), to.to_owned());
        self.change_names("rename file", from, change)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let mut state = self.lock();
        let turn = state.turn("sync directory", dir)?;
        if matches!(turn, Turn::Go) {
            let pending = std::mem::take(&mut state.pending);
            for change in pending {
                if change.dir() == Some(dir) {
                    apply(&mut state.durable, &change);
                } else {
                    state.pending.push(change);
                }
            }
        }
        state.finish(&turn, "sync directory", dir)
    }

    fn free_bytes(&self, _dir: &Path) -> Result<u64> {
        let state = self.lock();
        Ok(state.capacity.saturating_sub(state.used()))
    }

    fn system_path(&self, _path: &Path) -> Option<PathBuf> {
        None
    }
}

impl FaultyDisk {
    fn handle(&self, path: &Path, id: usize, life: u64) -> SharedFile {
        Arc::new(FaultyFile {
            disk: self.clone(),
            path: path.to_owned(),
            id,
            life,
        })
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    id: usize,
    life: u64,
}

impl FaultyFile {
    fn state(&self, action: &'static str) -> Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.down || state.life != self.life {
            return Err(power_is_off(action, &self.path));
        }
        Ok(state)
    }

    fn grow(
        &self,
        action: &'static str,
        end: usize,
        write: impl FnOnce(&mut Content),
    ) -> Result<()> {
        let mut state = self.state(action)?;
        let turn = state.turn(action, &self.path)?;
        let more = end.saturating_sub(state.files[self.id].current.len()) as u64;
        if state.used().saturating_add(more) > state.capacity {
            return Err(Fault::Full.error(action, &self.path));
        }
        if !matches!(turn, Turn::Fail(_)) {
            write(&mut state.files[self.id]);
        }
        state.finish(&turn, action, &self.path)
    }

    fn sync(&self) -> Result<()> {
        let mut state = self.state("sync file")?;
        let turn = state.turn("sync file", &self.path)?;
        let file = &mut state.files[self.id];
        match turn {
            Turn::Go => file.flush(),
            Turn::Crash => {}
            Turn::Fail(_) => {
                file.dirty.clear();
                file.length_dirty = false;
            }
        }
        state.finish(&turn, "sync file", &self.path)
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let state = self.state("read")?;
        let bytes = &state.files[self.id].current;
        let rest = bytes.get(index(offset)..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let at = index(offset);
        {
            let mut state = self.state("write")?;
            let next = state.operations;
            if state.faults.get(&next) == Some(&Fault::Full) && !bytes.is_empty() {
                let part = index(state.random()) % bytes.len();
                state.files[self.id].put(at, &bytes[..part]);
            }
        }
        self.grow("write", at.saturating_add(bytes.len()), |file| {
            file.put(at, bytes);
        })
    }

    fn size(&self) -> Result<u64> {
        Ok(self.state("stat file")?.files[self.id].current.len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.grow("set length", index(len), |file| file.resize(index(len)))
    }

    fn allocate(&self, len: u64) -> Result<()> {
        self.grow("allocate", index(len), |file| {
            file.put(0, &vec![0; index(len)]);
        })
    }

    fn sync_data(&self) -> Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> Result<()> {
        self.sync()
    }
}

#[cfg(test)]
mod tests;
