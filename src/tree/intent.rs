//! What a batch is about to do, durable before the first rename, so that a stop in the middle can be undone.
//!
//! One small file in the state folder: records of length, crc32 and protobuf. Records are only believed when all of a
//! batch are there: a torn file, or one with zeros in the place of bytes, means that nothing was renamed yet.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use prost::Message;

use super::plan::{Action, Base, Spot, Step};
use super::stat::{DevId, Stat};
use crate::error::{ReplError, Result};
use crate::journal::op::{FileTime, Name};
use crate::sync::port::{DeviceImage, NodeKind};

/// Format of the file.
const VERSION: u32 = 1;
/// Name in the state folder.
const FILE_NAME: &str = "tree-intents";
/// Largest record: two paths of PATH_MAX and the numbers.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// What a file looked like, without what renaming it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprint {
    /// Which file.
    pub id: DevId,
    /// Size; 0 for a directory.
    pub size: u64,
    /// mtime; zero for a directory.
    pub mtime: FileTime,
}

impl Fingerprint {
    /// Of a reading.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self::new(&stat.image(), stat.kind == Some(NodeKind::Dir))
    }

    /// Of a recorded image; a directory's size and mtime change with what it holds.
    #[must_use]
    pub fn new(image: &DeviceImage, dir: bool) -> Self {
        let id = DevId::of(image);
        if dir {
            return Self {
                id,
                ..Self::default()
            };
        }
        Self {
            id,
            size: image.size,
            mtime: image.mtime,
        }
    }
}

/// A step with what it is going to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The step.
    pub step: Step,
    /// What stands at `from` before it.
    pub object: Fingerprint,
    /// What stands at `to` before it, if anything does.
    pub displaced: Option<Fingerprint>,
    /// Where that goes.
    pub trash: Option<Name>,
}

/// The intents of the batch that is under way, if one is.
#[derive(Debug)]
pub struct IntentLog {
    file: File,
    path: PathBuf,
}

impl IntentLog {
    /// Opens or creates the file in the state folder.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn open(state: &Path) -> Result<Self> {
        let path = state.join(FILE_NAME);
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = options
            .open(&path)
            .map_err(|e| ReplError::io("open intents", &path, e))?;
        let folder = File::open(state).map_err(|e| ReplError::io("open", state, e))?;
        folder
            .sync_all()
            .map_err(|e| ReplError::io("sync", state, e))?;
        Ok(Self { file, path })
    }

    /// Writes the intents of a batch; durable when it returns.
    ///
    /// # Errors
    /// When the write or the sync fails: nothing may be renamed then.
    pub fn begin(&mut self, intents: &[Intent]) -> Result<()> {
        let mut bytes = Vec::new();
        let count = u32::try_from(intents.len()).unwrap_or(u32::MAX);
        let head = Head {
            version: VERSION,
            steps: count,
        };
        frame(&mut bytes, &head);
        for intent in intents {
            frame(&mut bytes, &to_record(intent));
        }
        self.replace(&bytes)
    }

    /// Forgets the intents: the batch is done or undone.
    ///
    /// # Errors
    /// When the write or the sync fails.
    pub fn finish(&mut self) -> Result<()> {
        self.replace(&[])
    }

    /// The intents of a batch that was not finished; empty when there was none or nothing of it was begun.
    ///
    /// # Errors
    /// [`ReplError::VersionMismatch`] when another version wrote them.
    pub fn pending(&mut self) -> Result<Vec<Intent>> {
        let fail = |path: &Path, e| ReplError::io("read intents", path, e);
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(0))
            .map_err(|e| fail(&self.path, e))?;
        self.file
            .read_to_end(&mut bytes)
            .map_err(|e| fail(&self.path, e))?;
        let mut rest = &bytes[..];
        let Some(head) = unframe::<Head>(&mut rest) else {
            return Ok(Vec::new());
        };
        if head.version != VERSION {
            return Err(ReplError::VersionMismatch {
                what: self.path.display().to_string(),
                expected: VERSION.to_string(),
                got: head.version,
            });
        }
        let mut intents = Vec::new();
        for _ in 0..head.steps {
            let intent = unframe::<StepRecord>(&mut rest).and_then(from_record);
            let Some(intent) = intent else {
                return Ok(Vec::new());
            };
            intents.push(intent);
        }
        Ok(intents)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<()> {
        let fail = |e| ReplError::io("write intents", &self.path, e);
        self.file.set_len(0).map_err(fail)?;
        self.file.seek(SeekFrom::Start(0)).map_err(fail)?;
        self.file.write_all(bytes).map_err(fail)?;
        self.file.sync_data().map_err(fail)
    }
}

pub(super) fn frame(bytes: &mut Vec<u8>, message: &impl Message) {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
}

/// Takes a record off. None: it is torn or damaged. No record is empty: length and crc of nothing are zeros, which is
/// also what a power loss leaves of bytes that did not reach the disk.
pub(super) fn unframe<M: Message + Default>(rest: &mut &[u8]) -> Option<M> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (crc, after) = after.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let is_record = (1..=RECORD_BYTES_MAX).contains(&length);
    let body = after.get(..length).filter(|_| is_record)?;
    *rest = after.get(length..)?;
    (crc32fast::hash(body) == u32::from_le_bytes(*crc)).then(|| M::decode(body).ok())?
}

#[derive(Clone, PartialEq, prost::Message)]
struct Head {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(uint32, tag = "2")]
    steps: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SpotRecord {
    #[prost(uint32, tag = "1")]
    base: u32,
    #[prost(bytes = "vec", repeated, tag = "2")]
    path: Vec<Vec<u8>>,
    #[prost(fixed64, tag = "3")]
    dir_inode: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FingerprintRecord {
    #[prost(uint64, tag = "1")]
    ino: u64,
    #[prost(sint64, tag = "2")]
    btime_seconds: i64,
    #[prost(uint32, tag = "3")]
    btime_nanos: u32,
    #[prost(uint64, tag = "4")]
    size: u64,
    #[prost(sint64, tag = "5")]
    mtime_seconds: i64,
    #[prost(uint32, tag = "6")]
    mtime_nanos: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StepRecord {
    #[prost(fixed64, tag = "1")]
    inode: u64,
    #[prost(uint32, tag = "2")]
    action: u32,
    #[prost(fixed64, tag = "3")]
    victim: u64,
    #[prost(message, optional, tag = "4")]
    from: Option<SpotRecord>,
    #[prost(message, optional, tag = "5")]
    to: Option<SpotRecord>,
    #[prost(message, optional, tag = "6")]
    object: Option<FingerprintRecord>,
    #[prost(message, optional, tag = "7")]
    displaced: Option<FingerprintRecord>,
    #[prost(bytes = "vec", optional, tag = "8")]
    trash: Option<Vec<u8>>,
}

fn to_record(intent: &Intent) -> StepRecord {
    let step = &intent.step;
    let (action, victim) = match step.action {
        Action::Place => (1, 0),
        Action::Move => (2, 0),
        Action::Replace {
            victim,
            staged: true,
        } => (3, victim),
        Action::Replace {
            victim,
            staged: false,
        } => (4, victim),
        Action::Remove => (5, 0),
        Action::RemoveDir => (6, 0),
        Action::Link => (7, 0),
        Action::Exchange => (8, 0),
    };
    StepRecord {
        inode: step.inode,
        action,
        victim,
        from: Some(spot_to_record(&step.from)),
        to: Some(spot_to_record(&step.to)),
        object: Some(print_to_record(&intent.object)),
        displaced: intent.displaced.as_ref().map(print_to_record),
        trash: intent.trash.as_ref().map(|name| name.as_bytes().to_vec()),
    }
}

fn from_record(record: StepRecord) -> Option<Intent> {
    let victim = record.victim;
    let action = match record.action {
        1 => Action::Place,
        2 => Action::Move,
        3 | 4 => Action::Replace {
            victim,
            staged: record.action == 3,
        },
        5 => Action::Remove,
        6 => Action::RemoveDir,
        7 => Action::Link,
        8 => Action::Exchange,
        _ => return None,
    };
    Some(Intent {
        step: Step {
            inode: record.inode,
            action,
            from: spot_from_record(record.from?)?,
            to: spot_from_record(record.to?)?,
        },
        object: print_from_record(&record.object?),
        displaced: record.displaced.as_ref().map(print_from_record),
        trash: match record.trash {
            Some(name) => Some(Name::new(name).ok()?),
            None => None,
        },
    })
}

fn spot_to_record(spot: &Spot) -> SpotRecord {
    let names = spot.dir.iter().chain([&spot.name]);
    SpotRecord {
        base: match spot.base {
            Base::Tree => 1,
            Base::Staging => 2,
            Base::Trash => 3,
        },
        path: names.map(|name| name.as_bytes().to_vec()).collect(),
        dir_inode: spot.dir_inode,
    }
}

fn spot_from_record(record: SpotRecord) -> Option<Spot> {
    let names = record.path.into_iter().map(|name| Name::new(name).ok());
    let mut dir = names.collect::<Option<Vec<Name>>>()?;
    Some(Spot {
        base: match record.base {
            1 => Base::Tree,
            2 => Base::Staging,
            3 => Base::Trash,
            _ => return None,
        },
        name: dir.pop()?,
        dir,
        dir_inode: record.dir_inode,
    })
}

fn print_to_record(print: &Fingerprint) -> FingerprintRecord {
    FingerprintRecord {
        ino: print.id.ino,
        btime_seconds: print.id.btime.seconds,
        btime_nanos: print.id.btime.nanos,
        size: print.size,
        mtime_seconds: print.mtime.seconds,
        mtime_nanos: print.mtime.nanos,
    }
}

fn print_from_record(record: &FingerprintRecord) -> Fingerprint {
    let time = |seconds, nanos| FileTime { seconds, nanos };
    Fingerprint {
        id: DevId {
            ino: record.ino,
            btime: time(record.btime_seconds, record.btime_nanos),
        },
        size: record.size,
        mtime: time(record.mtime_seconds, record.mtime_nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes().to_vec()).unwrap()
    }

    fn intents() -> Vec<Intent> {
        let to = Spot {
            base: Base::Tree,
            dir: vec![name("d"), name("caf")],
            dir_inode: 7,
            name: name("x"),
        };
        let actions = [
            Action::Place,
            Action::Move,
            Action::Replace {
                victim: 3,
                staged: true,
            },
            Action::Replace {
                victim: 3,
                staged: false,
            },
            Action::Remove,
            Action::RemoveDir,
            Action::Link,
            Action::Exchange,
        ];
        let intent = |action| Intent {
            step: Step {
                inode: 5,
                action,
                from: Spot::staging(name("s")),
                to: to.clone(),
            },
            object: Fingerprint {
                size: 9,
                ..Fingerprint::default()
            },
            displaced: Some(Fingerprint::default()),
            trash: Some(name("t")),
        };
        actions.map(intent).to_vec()
    }

    #[test]
    fn intents_survive_a_restart_and_are_forgotten_when_finished() {
        let dir = tempfile::tempdir().unwrap();
        IntentLog::open(dir.path())
            .unwrap()
            .begin(&intents())
            .unwrap();
        let mut log = IntentLog::open(dir.path()).unwrap();
        assert_eq!(log.pending().unwrap(), intents());
        log.finish().unwrap();
        assert_eq!(log.pending().unwrap(), []);
    }

    #[test]
    fn a_torn_file_means_that_nothing_was_begun() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = IntentLog::open(dir.path()).unwrap();
        log.begin(&intents()).unwrap();
        let path = dir.path().join(FILE_NAME);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(log.pending().unwrap(), [], "cut at {cut}");
        }
        // A power loss may keep the length and not the bytes, from any place on.
        for kept in 0..whole.len() {
            let mut zeroed = whole.clone();
            zeroed[kept..].fill(0);
            if zeroed != whole {
                std::fs::write(&path, &zeroed).unwrap();
                assert_eq!(log.pending().unwrap(), [], "zeros from {kept} on");
            }
        }
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        assert_eq!(log.pending().unwrap(), []);
    }
}
