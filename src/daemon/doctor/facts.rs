//! Pure: what the doctor saw, before anybody judged it. What it may not see is no fact, and is told apart.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::clock::TimestampUs;
use crate::tree::pin::Bond;

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look<T> {
    /// It was seen.
    Seen(T),
    /// It is not there.
    Absent,
    /// This user may not see it.
    Denied,
    /// The system says why not.
    Failed(String),
}

impl<T> Look<T> {
    /// What a look at the system brought.
    pub(super) fn of(result: io::Result<T>) -> Self {
        match result {
            Ok(seen) => Self::Seen(seen),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Absent,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Self::Denied,
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// Everything that was seen.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// When.
    pub(super) now_us: TimestampUs,
    /// The configuration file.
    pub(super) file: PathBuf,
    /// What is wrong with it, and what to do; nothing: it holds.
    pub(super) problems: Vec<(String, String)>,
    pub(super) machine: Machine,
    /// None: the configuration does not say what to look at.
    pub(super) site: Option<Site>,
}

/// The machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    /// Of the kernel.
    pub(super) release: String,
    /// A time service keeps the clock; none: nobody tells.
    pub(super) is_synchronised: Option<bool>,
    /// Directories that one user may watch.
    pub(super) watches_max: Option<u64>,
    /// Inotify instances that one user may have.
    pub(super) instances_max: Option<u64>,
}

/// A site.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) id: u64,
    pub(super) cluster: String,
    /// Lower 12 bits of the mode of the configuration file.
    pub(super) file_mode: Look<u32>,
    /// Other configurations in its folder that name the same.
    pub(super) siblings: Vec<Sibling>,
    pub(super) root: PathBuf,
    pub(super) tree: Look<Tree>,
    /// Share of its filesystem that losers may take.
    pub(super) keep_percent: u8,
    pub(super) state_dir: PathBuf,
    pub(super) state: Look<State>,
    /// The site whose journal is in the state folder.
    pub(super) journal_of: Look<u64>,
    /// The process that holds the state folder, as far as this user can see.
    pub(super) holder: Option<u32>,
    /// Whether the folder is there in which the state folder would be made.
    pub(super) state_has_parent: bool,
    pub(super) budget_bytes: u64,
    /// None: no `[tls]`.
    pub(super) trust: Option<Trust>,
    pub(super) files_max: Option<u64>,
    pub(super) daemon: Daemon,
    /// None: it only dials.
    pub(super) listen: Option<(SocketAddr, Listen)>,
    pub(super) peers: Vec<Peer>,
}

/// Another configuration on this machine that gets in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sibling {
    pub(super) file: PathBuf,
    /// Which key says the same.
    pub(super) key: &'static str,
    pub(super) value: String,
}

/// The filesystem of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filesystem {
    /// `f_type` of statfs(2).
    pub(super) kind: u64,
    pub(super) mount: PathBuf,
    pub(super) read_only: bool,
    pub(super) nosuid: bool,
    pub(super) noexec: bool,
    pub(super) total_bytes: u64,
    pub(super) free_bytes: u64,
    /// None: it counts none.
    pub(super) free_inodes: Option<u64>,
}

/// The tree.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) filesystem: Filesystem,
    /// Why paths are not confined to it; none: they are.
    pub(super) openat2: Option<String>,
    /// Why files cannot be told apart by their birth; none: they can.
    pub(super) births: Option<String>,
    /// This user may make files in it.
    pub(super) writable: bool,
    /// Directories, the root among them.
    pub(super) dirs: u64,
    /// All were counted.
    pub(super) dirs_complete: bool,
    /// What it is to the state folder; none: the state folder cannot be read by this user.
    pub(super) bond: Look<Bond>,
}

/// The state folder.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) is_dir: bool,
    /// Lower 12 bits.
    pub(super) mode: u32,
    pub(super) filesystem: Filesystem,
    /// What it takes; none: this user may not see it.
    pub(super) used_bytes: Option<u64>,
}

/// Certificate, key and authority.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
    pub(super) ca: PathBuf,
    /// Lower 12 bits of the mode of the key.
    pub(super) key_mode: Look<u32>,
    /// Lower 12 bits of the mode of the folder of the key.
    pub(super) folder_mode: Look<u32>,
    /// When the first of the chain expires; as a peer would judge it.
    pub(super) expires_us: Look<TimestampUs>,
    /// The authority's key lies beside the certificate.
    pub(super) has_authority: bool,
}

/// What answers on the admin socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Daemon {
    /// Nothing does.
    Stopped,
    /// This user may not ask.
    Denied,
    /// Something listens there and does not answer.
    Silent(String),
    /// A daemon.
    Runs(Running),
}

/// A daemon that answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Running {
    pub(super) site: String,
    pub(super) root: Vec<u8>,
    pub(super) version: String,
    /// Why it scans in place of watching; none: it watches.
    pub(super) blind: Option<String>,
    /// By how much the clocks of the peers differ from the one here.
    pub(super) skews: Vec<(String, i64)>,
}

/// The address on which peers are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listen {
    /// Nobody has it.
    Free,
    /// This site answers there.
    Own,
    /// Somebody has it, maybe this site: without certificates, or as this user, that cannot be asked.
    Held,
    /// Somebody has it who is not this site.
    Taken(String),
    /// It cannot be had.
    Refused(String),
}

/// Another site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) name: String,
    /// Endpoints, and how far a call comes.
    pub(super) calls: Vec<(String, Call)>,
}

/// How far a call comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// The peer is there, and both believe each other.
    Answered,
    /// Something is there; without good certificates of this site no more can be said.
    Connected,
    /// The name of the host is not known.
    NoName(String),
    /// Nothing is there.
    Refused(String),
    /// Nothing is heard from there.
    Silent,
    /// It is not the peer, or one does not believe the other.
    Distrusted(String),
}
