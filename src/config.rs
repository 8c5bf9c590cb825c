//! The configuration of one site: a TOML file in which an unknown key is an error, not a surprise.
//!
//! Reading collects everything that is wrong before it says anything, each with line, column and what to do. The
//! parts: [`units`] (durations, sizes, endpoints), `reader` and `decode` (text to [`Config`]), `check` (rules between
//! keys, and what the disk says), `example` (the commented file that `init` writes).

mod check;
mod decode;
mod example;
pub mod joined;
mod problem;
mod reader;
pub mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::journal::dot::SITE_ID_MAX;
pub use check::{NAME_RULE, is_name};
pub use example::{Example, ExamplePeer};
pub use problem::{ConfigError, Place, Problem, Refusal};
use units::Endpoint;

/// Longest name of a site or cluster in bytes: it becomes a DNS label of the certificate (RFC 1035, section 2.3.4).
pub const NAME_BYTES_MAX: usize = 63;
/// Where the configuration of a machine stands unless told otherwise (Filesystem Hierarchy Standard).
pub const DEFAULT_FILE: &str = "/etc/cfs-repl/config.toml";
/// Name of the admin socket in the state folder.
pub const SOCKET_FILE: &str = "admin.sock";
/// Longest path of a unix socket in bytes: `sun_path` of `sockaddr_un` has 108 with the closing zero (unix(7)).
pub const SOCKET_BYTES_MAX: usize = 107;
/// Largest configuration file in bytes; a thousand peers need a tenth of it.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything that a site is told. Relative paths are resolved against the folder of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[site]`: who this site is.
    pub site: SiteConfig,
    /// `[tree]`: the directory tree that is kept in step.
    pub tree: TreeConfig,
    /// `[state]`: where the journal and the state live.
    pub state: StateConfig,
    /// `[conduit]`: connections to other sites.
    pub conduit: ConduitSettings,
    /// `[tls]`: certificates. None only for a site without peers.
    pub tls: Option<TlsPaths>,
    /// `[[peer]]`: the other sites.
    pub peers: Vec<PeerConfig>,
    /// `[conflicts]`: what is kept of losers.
    pub conflicts: ConflictsConfig,
    /// `[trash]`: what is kept of files that lost in no conflict.
    pub trash: TrashConfig,
    /// `[log]`: what the daemon says about itself.
    pub log: LogConfig,
}

/// `[site]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteConfig {
    /// Number of this site in the cluster. Required. Minimum: 1, maximum: [`SITE_ID_MAX`].
    pub id: u64,
    /// Name of this site, as in its certificate. Required. `[a-z0-9-]`, at most [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Name of the cluster, as in every certificate. Required. The same rule as for `name`.
    pub cluster: String,
    /// What this site does. Default: `bidirectional`.
    pub role: Role,
    /// With the role `replica`: the site whose tree is followed. Required then, refused otherwise.
    pub primary_site_id: Option<u64>,
}

/// What a site does with its own changes and with others'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Role {
    /// Sends its own changes and applies others'.
    #[default]
    Bidirectional,
    /// Sends its own changes and refuses others'.
    Primary,
    /// Applies only; what changes locally is shown as diverged.
    Replica,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Bidirectional, Self::Primary, Self::Replica];

    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bidirectional => "bidirectional",
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

/// `[tree]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeConfig {
    /// Top of the tree. Required; must be an existing directory.
    pub root: PathBuf,
    /// Patterns in gitignore grammar: such names are neither sent, nor applied, nor removed. Default: none.
    pub exclude: Vec<String>,
    /// How often the whole tree is read again in the background, should a notice have been missed.
    /// Default: `1h`. Minimum: `10s`.
    pub scan_interval: Duration,
    /// How long a file that is still open must rest before it is read. Default: `1s`. Minimum: `10ms`.
    pub settle: Duration,
    /// The longest that a file which never rests is put off. Default: `5s`. Minimum: `settle`.
    pub settle_max: Duration,
    /// The brake: when one site deletes more than this share of the files within `brake_window`, applying from it is
    /// held until an operator resumes it. Default: `50%`. `1%` to `100%`; `100%` turns the brake off.
    pub brake_percent: u8,
    /// The brake does not look at trees with fewer files. Default: 1000. Minimum: 1.
    pub brake_files: u64,
    /// Time over which deletions are counted for the brake. Default: `60s`. Minimum: `1s`.
    pub brake_window: Duration,
}

/// `[state]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateConfig {
    /// Folder of the journal, the received logs and the state store; outside the tree, mode 0700.
    /// Default: `/var/lib/cfs-repl`.
    pub dir: PathBuf,
    /// Room for the journal, in bytes. A site for which more than this would have to be kept is fenced, loudly.
    /// Default: `20GiB`. Minimum: `256MiB`.
    pub journal_budget_bytes: u64,
    /// The journal is kept from its beginning up to this size, although every peer has it: as long as it is whole, a
    /// further site can join from an empty tree. Default: `1GiB`. Minimum: `0B`.
    pub journal_keep_bytes: u64,
    /// A site that was not heard for so long, while this one ran, is fenced, loudly. Default: `30d`. Minimum: `1h`.
    pub max_absence: Duration,
}

/// `[conduit]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConduitSettings {
    /// Address and port on which other sites are accepted. Default: none, this site only dials.
    pub listen: Option<SocketAddr>,
    /// Most entries under way to a peer without a receipt. Default: 4096. Minimum: 1, maximum: 1000000.
    pub window_entries: u64,
    /// Most bytes under way to a peer without a receipt. Default: `8MiB`. Minimum: `1MiB`, maximum: `1GiB`.
    pub window_bytes: u64,
    /// Upper end of the first random wait before dialling again. Default: `200ms`. Minimum: `10ms`.
    pub reconnect_delay: Duration,
    /// Upper end of the random wait after many failures. Default: `30s`. Minimum: `reconnect_delay`.
    pub max_reconnect_delay: Duration,
}

/// `[tls]`: PEM files. They are read, and their content checked, when the daemon starts or reloads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsPaths {
    /// Certificate of this site, for `<site>.<cluster>.cfs-repl`. Required.
    pub cert: PathBuf,
    /// Its private key, mode 0600. Required.
    pub key: PathBuf,
    /// Certificates of the authorities that sign for this cluster. Required.
    pub ca: PathBuf,
    /// Key of the authority, mode 0600, at the site that invites new ones. Default: none, it cannot.
    pub ca_key: Option<PathBuf>,
}

/// `[[peer]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Number of the other site. Required. Minimum: 1, maximum: [`SITE_ID_MAX`].
    pub id: u64,
    /// Name of the other site, as in its certificate. Required.
    pub name: String,
    /// Where it listens; tried in order, in turn. Default: none, the peer dials this site.
    pub endpoints: Vec<Endpoint>,
}

/// `[conflicts]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictsConfig {
    /// Share of the tree's filesystem that the content of losers may take; beyond it, acknowledged ones go first.
    /// Default: `10%`. `1%` to `100%`.
    pub keep_percent: u8,
    /// How long a loser stays restorable. Default: `30d`. Minimum: `1h`.
    pub retention: Duration,
    /// Losers of at most that many bytes are kept at every site; larger ones where they were written or lost.
    /// Default: `64MiB`. `0B` to `1TiB`; `0B` keeps none elsewhere.
    pub everywhere_bytes: u64,
}

/// `[trash]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrashConfig {
    /// Files that others removed or replaced without a conflict are kept as long as losers are. Default: false, they
    /// go after a minute.
    pub keep_deleted: bool,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Least important lines that are written. Default: `info`.
    pub level: LogLevel,
    /// Shape of a line. Default: `pretty`.
    pub format: LogFormat,
}

/// How important a log line must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// A human must act.
    Error,
    /// Odd, but we went on.
    Warn,
    /// What an operator would tell a colleague.
    #[default]
    Info,
    /// Decisions. Names of files may appear from here on.
    Debug,
    /// Every entry.
    Trace,
}

impl LogLevel {
    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads and checks a file, including what it says about the disk: the root must exist and the state folder must
    /// lie outside it.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        Self::verify(&read_file(file)?, file)?.with_joined()
    }

    /// Reads and checks a file without looking at the rest of the disk: for commands that ask the daemon, which work
    /// whatever became of the tree.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let at = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Self::parse(&read_file(file)?, &at)?.with_joined()
    }

    /// Reads and checks a text as [`Config::load`] would if it stood in `file`.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn verify(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let base = std::path::absolute(file)
            .ok()
            .and_then(|file| file.parent().map(Path::to_owned))
            .unwrap_or_default();
        let mut findings = problem::Findings::default();
        let config = decode::decode(text, &base, &mut findings);
        check::relations(&config, &mut findings);
        check::disk(&config, &mut findings);
        findings.into_error(file.to_owned()).map_or(Ok(config), Err)
    }

    /// Reads and checks a text without looking at the disk; `file` names it in errors, and relative paths are
    /// resolved against its folder.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut findings = problem::Findings::default();
        let base = file.parent().unwrap_or(Path::new(""));
        let config = decode::decode(text, base, &mut findings);
        check::relations(&config, &mut findings);
        findings.into_error(file.to_owned()).map_or(Ok(config), Err)
    }

    /// The commented file that `init` writes: what `values` says, every default, and what each key means.
    #[must_use]
    pub fn example(values: &Example<'_>) -> String {
        example::text(values)
    }
}

fn read_file(file: &Path) -> Result<String, ConfigError> {
    let problem = |what: String, hint: &str| ConfigError {
        file: file.to_owned(),
        problems: vec![Problem {
            place: None,
            what,
            hint: hint.to_owned(),
        }],
    };
    let unreadable = |error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return problem(
                "the configuration file does not exist".to_owned(),
                "write one with: cfs-repl init --help",
            );
        }
        problem(
            format!("cannot read the file: {error}"),
            "it must be a readable file of UTF-8 text",
        )
    };
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(problem(
            format!("the file has {size} bytes, more than {FILE_BYTES_MAX}"),
            "check that it is the configuration",
        ));
    }
    std::fs::read_to_string(file).map_err(unreadable)
}

#[cfg(test)]
mod tests;
