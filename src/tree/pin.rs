//! Remembers in the state folder which tree belongs to it.
//!
//! Written before the marker goes into the tree and again after it, so that a stop between the two is no lock-out and
//! a marker that vanishes later is noticed.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::intent::{frame, unframe};
use super::root::{Pin, Root, marker_and_root};
use super::stat::DevId;
use crate::error::{ReplError, Result};
use crate::journal::op::FileTime;

/// Name in the state folder.
const FILE_NAME: &str = "tree-pin";
/// A file of this name in the state folder: the tree was found empty.
const DOUBT_NAME: &str = "tree-emptied";
/// Format of the file.
const VERSION: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct PinRecord {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(uint64, tag = "3")]
    ino: u64,
    #[prost(sint64, tag = "4")]
    btime_seconds: i64,
    #[prost(uint32, tag = "5")]
    btime_nanos: u32,
    /// The marker is in the tree.
    #[prost(bool, tag = "6")]
    settled: bool,
}

/// Opens the tree at `path` that belongs to the folder `state`; the first time, the two are bound to each other.
///
/// # Errors
/// When the tree is another one, belongs to another folder, or the state folder lies inside it.
pub fn open(path: &Path, state: &Path) -> Result<Root> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|e| ReplError::io("find", path, e));
    if real(state)?.starts_with(real(path)?) {
        let source = std::io::Error::other("the state folder must be outside the tree");
        return Err(ReplError::io("use state folder", state, source));
    }
    let file = state.join(FILE_NAME);
    let id = match read(&file)? {
        Some((pin, true)) => return Root::open(path, &pin),
        Some((pin, false)) => pin.id,
        None => {
            let mut id = [0; 16];
            let flags = rustix::rand::GetRandomFlags::empty();
            rustix::rand::getrandom(&mut id, flags)
                .map_err(|e| ReplError::io("draw tree id", path, e))?;
            let root = DevId::default();
            write(state, &file, &Pin { id, root }, false)?;
            id
        }
    };
    let root = Root::adopt(path, id)?;
    write(state, &file, root.pin(), true)?;
    Ok(root)
}

/// Binds the folder `state` to a copy of its tree: the marker is the same, the root directory is another one.
///
/// # Errors
/// When the tree at `path` has not this folder's marker; nothing is changed then.
pub fn adopt_copy(path: &Path, state: &Path) -> Result<Root> {
    let file = state.join(FILE_NAME);
    let Some((pin, true)) = read(&file)? else {
        // Never bound to a tree: nothing can be a copy of it.
        return open(path, state);
    };
    let root = Root::open_copy(path, pin.id)?;
    write(state, &file, root.pin(), true)?;
    Ok(root)
}

/// What a tree and a state folder are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bond {
    /// Neither knows of the other: the first start binds them.
    None,
    /// They belong together.
    Bound,
    /// The tree belongs to another state folder.
    Foreign,
    /// The state folder had another directory; this one has its marker, as a restored copy has.
    Copy,
    /// The state folder had another directory, and this one is not marked as its tree.
    Other,
    /// It is the directory that the state folder had, without its marker.
    Unmarked,
}

/// What the tree at `path` and the folder `state` are to each other; nothing is changed. `state` need not exist.
///
/// # Errors
/// When one of them cannot be read, or the record is damaged.
pub fn look(path: &Path, state: &Path) -> Result<Bond> {
    let (marker, root) = marker_and_root(path)?;
    Ok(match read(&state.join(FILE_NAME))? {
        None => marker.map_or(Bond::None, |_| Bond::Foreign),
        Some((pin, false)) => match marker {
            Some(id) if id != pin.id => Bond::Foreign,
            Some(_) | None => Bond::None,
        },
        Some((pin, true)) => match (marker == Some(pin.id), root == pin.root) {
            (true, true) => Bond::Bound,
            (true, false) => Bond::Copy,
            (false, true) if marker.is_none() => Bond::Unmarked,
            (false, true) => Bond::Foreign,
            (false, false) => Bond::Other,
        },
    })
}

fn read(file: &Path) -> Result<Option<(Pin, bool)>> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(ReplError::io("read tree pin", file, e)),
    };
    let damaged = |reason: &str| ReplError::WalCorrupted {
        file: file.to_owned(),
        offset: 0,
        reason: reason.to_owned(),
    };
    let record: PinRecord = unframe(&mut &bytes[..]).ok_or_else(|| damaged("crc differs"))?;
    if record.version != VERSION {
        return Err(ReplError::VersionMismatch {
            what: file.display().to_string(),
            expected: VERSION.to_string(),
            got: record.version,
        });
    }
    let id = record
        .id
        .try_into()
        .map_err(|_| damaged("id is not 16 bytes"))?;
    let btime = FileTime {
        seconds: record.btime_seconds,
        nanos: record.btime_nanos,
    };
    let root = DevId {
        ino: record.ino,
        btime,
    };
    Ok(Some((Pin { id, root }, record.settled)))
}

fn write(state: &Path, file: &Path, pin: &Pin, settled: bool) -> Result<()> {
    let record = PinRecord {
        version: VERSION,
        id: pin.id.to_vec(),
        ino: pin.root.ino,
        btime_seconds: pin.root.btime.seconds,
        btime_nanos: pin.root.btime.nanos,
        settled,
    };
    let mut bytes = Vec::new();
    frame(&mut bytes, &record);
    replace(state, file, &bytes).map_err(|e| ReplError::io("write tree pin", file, e))
}

/// Gives `file` in the folder `state` the content `bytes`, durably: a stop leaves the old or the new one.
pub(super) fn replace(state: &Path, file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = file.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = options.open(&temporary)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&temporary, file)?;
    File::open(state)?.sync_all()
}

/// Whether the tree was found empty and nothing that went away is believed since.
pub(super) fn has_doubt(state: &Path) -> Result<bool> {
    let file = state.join(DOUBT_NAME);
    file.try_exists()
        .map_err(|e| ReplError::io("look for", file, e))
}

/// Keeps, or forgets, that the tree was found empty.
pub(super) fn keep_doubt(state: &Path, doubt: bool) -> Result<()> {
    let file = state.join(DOUBT_NAME);
    let kept = if doubt {
        replace(state, &file, b"the root of the tree was found empty\n")
    } else {
        fs::remove_file(&file).and_then(|()| File::open(state)?.sync_all())
    };
    kept.map_err(|e| ReplError::io("keep in mind", file, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_tree_was_found_empty_is_kept_until_it_is_forgotten() {
        let state = tempfile::tempdir().unwrap();
        assert!(!has_doubt(state.path()).unwrap());
        keep_doubt(state.path(), true).unwrap();
        assert!(has_doubt(state.path()).unwrap());
        keep_doubt(state.path(), false).unwrap();
        assert!(!has_doubt(state.path()).unwrap());
    }

    #[test]
    fn a_tree_and_a_state_folder_belong_to_each_other() {
        let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let pin = *open(tree.path(), state.path()).unwrap().pin();
        assert_eq!(*open(tree.path(), state.path()).unwrap().pin(), pin);
        let stranger = tempfile::tempdir().unwrap();
        assert!(
            open(tree.path(), stranger.path()).is_err(),
            "another folder's tree"
        );
        assert!(open(stranger.path(), state.path()).is_err(), "another tree");
        fs::remove_dir_all(tree.path().join(".cfs-repl")).unwrap();
        let error = open(tree.path(), state.path()).unwrap_err().to_string();
        assert!(error.contains("nothing was deleted"), "{error}");
    }

    #[test]
    fn what_a_tree_and_a_state_folder_are_to_each_other_is_told_without_a_change() {
        let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let names = |dir: &tempfile::TempDir| fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(look(tree.path(), state.path()).unwrap(), Bond::None);
        assert_eq!(
            look(tree.path(), &state.path().join("none")).unwrap(),
            Bond::None
        );
        assert_eq!((names(&tree), names(&state)), (0, 0), "nothing was made");
        open(tree.path(), state.path()).unwrap();
        assert_eq!(look(tree.path(), state.path()).unwrap(), Bond::Bound);
        let (other, another) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(look(tree.path(), other.path()).unwrap(), Bond::Foreign);
        assert_eq!(look(another.path(), state.path()).unwrap(), Bond::Other);
        let id = ".cfs-repl/id";
        fs::create_dir(another.path().join(".cfs-repl")).unwrap();
        fs::copy(tree.path().join(id), another.path().join(id)).unwrap();
        assert_eq!(look(another.path(), state.path()).unwrap(), Bond::Copy);
        fs::remove_file(tree.path().join(id)).unwrap();
        assert_eq!(look(tree.path(), state.path()).unwrap(), Bond::Unmarked);
        assert!(look(&tree.path().join("none"), state.path()).is_err());
    }

    #[test]
    fn a_stop_between_pin_and_marker_is_no_lock_out() {
        let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = Pin {
            id: [9; 16],
            root: DevId::default(),
        };
        write(state.path(), &state.path().join(FILE_NAME), &first, false).unwrap();
        assert_eq!(open(tree.path(), state.path()).unwrap().pin().id, [9; 16]);
        assert!(read(&state.path().join(FILE_NAME)).unwrap().unwrap().1);
    }

    #[test]
    fn a_copy_is_refused_with_the_way_to_adopt_it_and_adopted_only_with_the_marker() {
        let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let pin = *open(tree.path(), state.path()).unwrap().pin();
        let copy = tempfile::tempdir().unwrap();
        assert!(adopt_copy(copy.path(), state.path()).is_err(), "no marker");
        fs::create_dir(copy.path().join(".cfs-repl")).unwrap();
        let id = ".cfs-repl/id";
        fs::copy(tree.path().join(id), copy.path().join(id)).unwrap();
        let error = open(copy.path(), state.path()).unwrap_err().to_string();
        assert!(error.contains("--adopt-copy"), "{error}");
        let root = adopt_copy(copy.path(), state.path()).unwrap();
        assert_eq!(root.pin().id, pin.id);
        assert_ne!(root.pin().root, pin.root);
        open(copy.path(), state.path()).unwrap();
        assert!(open(tree.path(), state.path()).is_err(), "no longer ours");
    }

    #[test]
    fn a_damaged_pin_and_a_state_folder_inside_the_tree_are_refused() {
        let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        open(tree.path(), state.path()).unwrap();
        let file = state.path().join(FILE_NAME);
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        assert!(matches!(
            open(tree.path(), state.path()),
            Err(ReplError::WalCorrupted { .. })
        ));
        let inside = tree.path().join("state");
        fs::create_dir(&inside).unwrap();
        assert!(open(tree.path(), &inside).is_err());
    }
}
