//! Remembers in the state folder under which boot of the machine the tree was last in use, and whether that ended well.
//!
//! A power loss under a disk that promised more than it kept can bring back older files. What a start after another
//! boot finds in a tree that was not let go is therefore looked at twice ([`super::rollback`]). The record of an
//! unclean end stays until that was done: a stop in between must not hide it.

use std::fs;
use std::path::{Path, PathBuf};

use super::intent::{frame, unframe};
use super::pin::replace;
use crate::error::{ReplError, Result};

/// Name in the state folder.
const FILE_NAME: &str = "tree-boot";
/// Format of the file.
const VERSION: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct BootRecord {
    #[prost(uint32, tag = "1")]
    version: u32,
    /// Of the kernel; another one after every start of the machine.
    #[prost(string, tag = "2")]
    boot_id: String,
    /// The connector ended by itself, with everything that it knew of on the disk.
    #[prost(bool, tag = "3")]
    clean: bool,
}

/// The record of one state folder.
#[derive(Debug)]
pub struct Boot {
    state: PathBuf,
    boot_id: String,
    is_suspect: bool,
}

impl Boot {
    /// Reads the record and, unless the last end was unclean, notes that the tree is in use.
    ///
    /// # Errors
    /// When the record is damaged or cannot be written.
    pub fn begin(state: &Path, boot_id: String) -> Result<Self> {
        let last = read(&state.join(FILE_NAME))?;
        let boot = Self {
            is_suspect: last.is_some_and(|last| is_suspect(&last, &boot_id)),
            state: state.to_owned(),
            boot_id,
        };
        if !boot.is_suspect {
            boot.write(false)?;
        }
        Ok(boot)
    }

    /// The machine was started anew since the tree was in use, and nobody had let go of it.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.is_suspect
    }

    /// What an unclean end left was dealt with.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn settled(&mut self) -> Result<()> {
        self.write(false)?;
        self.is_suspect = false;
        Ok(())
    }

    /// The tree is let go; everything is on the disk.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn end(&self) -> Result<()> {
        // Not while the last end is not dealt with: that is still to be done.
        if self.is_suspect {
            return Ok(());
        }
        self.write(true)
    }

    fn write(&self, clean: bool) -> Result<()> {
        let record = BootRecord {
            version: VERSION,
            boot_id: self.boot_id.clone(),
            clean,
        };
        let mut bytes = Vec::new();
        frame(&mut bytes, &record);
        replace(&self.state, &self.state.join(FILE_NAME), &bytes)
            .map_err(|e| ReplError::io("write boot record", self.state.join(FILE_NAME), e))
    }
}

fn is_suspect(last: &BootRecord, boot_id: &str) -> bool {
    !last.clean && last.boot_id != boot_id
}

fn read(file: &Path) -> Result<Option<BootRecord>> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(ReplError::io("read boot record", file, e)),
    };
    let record: BootRecord = unframe(&mut &bytes[..]).ok_or_else(|| ReplError::WalCorrupted {
        file: file.to_owned(),
        offset: 0,
        reason: "crc differs".to_owned(),
    })?;
    if record.version != VERSION {
        return Err(ReplError::VersionMismatch {
            what: file.display().to_string(),
            expected: VERSION.to_string(),
            got: record.version,
        });
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(state: &Path, boot_id: &str) -> Boot {
        Boot::begin(state, boot_id.to_owned()).unwrap()
    }

    #[test]
    fn only_another_boot_without_a_clean_end_is_suspect() {
        let state = tempfile::tempdir().unwrap();
        assert!(!begin(state.path(), "one").is_suspect(), "the first start");
        assert!(
            !begin(state.path(), "one").is_suspect(),
            "killed, same boot"
        );
        assert!(begin(state.path(), "two").is_suspect(), "power loss");
        assert!(
            begin(state.path(), "two").is_suspect(),
            "not dealt with yet"
        );
        let mut boot = begin(state.path(), "three");
        boot.end().unwrap();
        assert!(begin(state.path(), "three").is_suspect(), "nor by ending");
        boot.settled().unwrap();
        assert!(!begin(state.path(), "three").is_suspect());
        boot.end().unwrap();
        assert!(!begin(state.path(), "four").is_suspect(), "a clean end");
        assert!(
            begin(state.path(), "five").is_suspect(),
            "in use since then"
        );
    }

    #[test]
    fn a_damaged_record_is_refused_with_its_name() {
        let state = tempfile::tempdir().unwrap();
        begin(state.path(), "one");
        let file = state.path().join(FILE_NAME);
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        let error = Boot::begin(state.path(), "one".to_owned()).unwrap_err();
        assert!(error.to_string().contains(FILE_NAME), "{error}");
    }
}
