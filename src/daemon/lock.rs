//! One daemon for a state folder: an advisory lock that the kernel drops with the process.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

use crate::error::{ReplError, Result};

/// Holds the folder; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock of `dir`.
    ///
    /// # Errors
    /// When another process holds it, or the folder cannot be written.
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join("lock");
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = open(&path, flags, Mode::from_raw_mode(0o600))
            .map_err(|e| ReplError::io("open lock", &path, e))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| {
            let held = e == rustix::io::Errno::WOULDBLOCK;
            let action = if held { "another daemon holds" } else { "lock" };
            ReplError::io(action, &path, e)
        })?;
        Ok(Self { _file: file.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_on_one_state_folder_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateLock::take(folder.path()).unwrap();
        let error = StateLock::take(folder.path()).unwrap_err().to_string();
        assert!(error.contains("another daemon holds"), "{error}");
        drop(first);
        StateLock::take(folder.path()).unwrap();
    }
}
