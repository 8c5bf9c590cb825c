//! Pure: the errors of the library; a variant tells what the caller does about it.
//!
//! Every variant carries the context that an operator asks for first: which file, site, shard, seq, and what was
//! expected against what was found. Messages are lower case without a full stop, so that they nest.

use std::io;
use std::path::{Path, PathBuf};

use crate::text::printable;

/// What went wrong, by what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplError {
    /// A journal or received log refuses the request; its content is sound.
    #[error("journal of site {site_id}, stream {shard_id}, seq {seq}: {reason}")]
    Journal {
        /// Whose log.
        site_id: u64,
        /// Which stream of it.
        shard_id: u32,
        /// Where in the stream; 0 when it concerns the whole stream.
        seq: u64,
        /// What is wrong.
        reason: String,
    },
    /// A log or state file is damaged. Nothing was changed; it needs a human.
    #[error("{}: damaged at offset {offset}: {reason}", shown(file))]
    WalCorrupted {
        /// The damaged file.
        file: PathBuf,
        /// First byte that cannot be trusted.
        offset: u64,
        /// What was expected and what was found.
        reason: String,
    },
    /// A site that this cluster does not know.
    #[error("site {site_id} is not known here")]
    SiteUnknown {
        /// The id or name as given.
        site_id: String,
    },
    /// Two sites changed the same thing without having seen each other, where the caller asked for certainty.
    #[error(
        "inode {inode}: site {local_site_id} and site {remote_site_id} changed it concurrently"
    )]
    ConflictDetected {
        /// The inode.
        inode: u64,
        /// One side.
        local_site_id: u64,
        /// The other side.
        remote_site_id: u64,
    },
    /// The connection failed or the peer broke the protocol. Trying again may help.
    #[error("peer {peer}: {reason}")]
    NetworkError {
        /// Site name or address.
        peer: String,
        /// What happened.
        reason: String,
    },
    /// Bytes that do not decode, or a value that must not be encoded.
    #[error("{what}: {reason}")]
    Serialization {
        /// What was being read or written.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused.
    #[error("{action} {}: {source}", shown(path))]
    Io {
        /// Verb and object, such as "open segment".
        action: &'static str,
        /// The file or directory; empty when there is none.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The other side, or a file, is of a version that this build cannot use.
    #[error("{what}: version {got} is not supported, this build needs {expected}")]
    VersionMismatch {
        /// The peer or file.
        what: String,
        /// The range that works, such as "1" or "1..=2".
        expected: String,
        /// What was found.
        got: u32,
    },
    /// The part was shut down; nothing is wrong.
    #[error("shut down")]
    Shutdown,
}

impl ReplError {
    /// An [`ReplError::Io`] with its action and path.
    pub fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source: source.into(),
        }
    }

    /// A [`ReplError::Serialization`].
    pub fn serialization(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Serialization {
            what,
            reason: reason.into(),
        }
    }

    /// A [`ReplError::NetworkError`].
    pub fn network(peer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::NetworkError {
            peer: peer.into(),
            reason: reason.into(),
        }
    }

    /// True when the disk had no room: the part stops cleanly and resumes when there is.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// True when another process has what was asked for, such as a state folder.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::ResourceBusy)
    }
}

/// A path in a message, which may be written to a log or a terminal.
fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// Result of the library.
pub type Result<T, E = ReplError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_in_an_error_does_not_steer_a_terminal_or_forge_a_line() {
        let path = "/tree/a\n2026-01-01 ERROR all is lost\u{1b}[2J";
        let refused = ReplError::io("open", path, io::Error::from(io::ErrorKind::NotFound));
        let damaged = ReplError::WalCorrupted {
            file: path.into(),
            offset: 7,
            reason: "crc".to_owned(),
        };
        for error in [refused, damaged] {
            let told = error.to_string();
            assert!(!told.contains(char::is_control), "{told:?}");
            assert!(told.contains("a\\n2026"), "{told:?}");
        }
    }
}
