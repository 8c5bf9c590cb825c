//! One daemon for a state folder: an advisory lock that the kernel drops with the process.
//!
//! The file names the process that holds it, so that the second daemon can say whom to stop. The number is a word to
//! people only: what counts is the kernel's lock, which a killed daemon leaves behind as little as a stopped one.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use crate::error::{ReplError, Result};

/// Bytes of the file that are read: a process number has at most 10 digits.
const PID_BYTES_MAX: u64 = 32;

/// Holds the folder; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock of `dir`.
    ///
    /// # Errors
    /// When another process holds it ([`ReplError::is_held`]), or the folder cannot be written.
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join("lock");
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
        let file: File = open(&path, flags, Mode::from_raw_mode(0o600))
            .map_err(|e| ReplError::io("open lock", &path, e))?
            .into();
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let why = format!("another daemon{} holds it", holder(&file));
                let source = io::Error::new(io::ErrorKind::ResourceBusy, why);
                return Err(ReplError::io("use state folder", dir, source));
            }
            Err(e) => return Err(ReplError::io("lock", &path, e)),
        }
        let named = file
            .set_len(0)
            .and_then(|()| writeln!(&file, "{}", std::process::id()));
        if let Err(error) = named {
            // A full disk: the lock holds without it.
            tracing::debug!(%error, "lock file does not name this process");
        }
        Ok(Self { _file: file })
    }
}

/// The process that the file names, as words behind "another daemon"; nothing when it names none.
fn holder(file: &File) -> String {
    let mut text = String::new();
    let read = file.take(PID_BYTES_MAX).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(process)) => format!(" (process {process})"),
        (Ok(_) | Err(_), _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_on_one_state_folder_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateLock::take(folder.path()).unwrap();
        let error = StateLock::take(folder.path()).unwrap_err();
        let words = format!("another daemon (process {}) holds it", std::process::id());
        assert!(error.is_held(), "{error}");
        assert!(error.to_string().contains(&words), "{error}");
        drop(first);
        StateLock::take(folder.path()).unwrap();
    }
}
