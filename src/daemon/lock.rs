//! One daemon for a state folder: an advisory lock that the kernel drops with the process.
//!
//! The file names the process that holds it, so that the second daemon can say whom to stop. The number is a word to
//! people only: what counts is the kernel's lock, which a killed daemon leaves behind as little as a stopped one.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use crate::error::{ReplError, Result};

/// The file in the state folder.
const FILE: &str = "lock";
/// Bytes of the file that are read: a process number has at most 10 digits.
const PID_BYTES_MAX: u64 = 32;

/// Holds the folder; dropping it lets the next one in.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock of `dir`.
    ///
    /// # Errors
    /// When another process holds it ([`ReplError::is_held`]), or the folder cannot be written.
    pub fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
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

/// The process that holds the lock of `dir`. None: nobody does, or this user cannot see who. The lock is not tried: a
/// daemon that starts at this moment must get it.
#[must_use]
pub fn holder_in(dir: &Path) -> Option<u32> {
    let file = File::open(dir.join(FILE)).ok()?;
    let inode = file.metadata().ok()?.ino();
    let process = named(&file)?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let is_held = locks.lines().any(|line| is_of(line, process, inode));
    is_held.then_some(process)
}

/// Whether a line of `/proc/locks` is of a lock of this process on this inode, as in
/// `3: FLOCK  ADVISORY  WRITE 4711 fd:01:1835017 0 EOF`. Devices are not compared: some filesystems tell another one.
fn is_of(line: &str, process: u32, inode: u64) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, "FLOCK", _, _, holder, place, ..] = words.as_slice() else {
        return false;
    };
    let on = place.rsplit(':').next().and_then(|on| on.parse().ok());
    holder.parse() == Ok(process) && on == Some(inode)
}

/// The process that the file names, as words behind "another daemon"; nothing when it names none.
fn holder(file: &File) -> String {
    named(file).map_or_else(String::new, |process| format!(" (process {process})"))
}

fn named(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
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
        assert_eq!(holder_in(folder.path()), Some(std::process::id()));
        drop(first);
        assert_eq!(
            holder_in(folder.path()),
            None,
            "the number alone says nothing"
        );
        StateLock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_line_of_the_kernel_names_process_and_inode() {
        let line = "3: FLOCK  ADVISORY  WRITE 4711 fd:01:1835017 0 EOF";
        assert!(is_of(line, 4_711, 1_835_017));
        assert!(!is_of(line, 4_712, 1_835_017) && !is_of(line, 4_711, 1_835_018));
        let other = "4: POSIX  ADVISORY  WRITE 4711 fd:01:1835017 0 EOF";
        let waits = "3: -> FLOCK  ADVISORY  WRITE 4711 fd:01:1835017 0 EOF";
        assert!(!is_of(other, 4_711, 1_835_017) && !is_of(waits, 4_711, 1_835_017));
        assert!(!is_of("", 4_711, 1_835_017));
    }
}
