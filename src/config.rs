//! The configuration of one site: TOML files in which an unknown key is an error, not a surprise.
//!
//! Reading collects everything that is wrong before it says anything, each with line, column and what to do. The
//! parts: `keys` (the one table of what there is), `value` and [`units`] (what a key may hold), `layers` (files and
//! variables), `reader` and `decode` (layers to [`Config`]), `check` (rules between keys, and what the disk says),
//! `advice` (what is worth a look), `example`, `schema` and `show` (for people and editors), [`peers`] (what the daemon
//! writes itself). Limits and defaults stand in `keys` alone.

mod advice;
mod check;
mod decode;
mod example;
mod keys;
mod layers;
pub mod peers;
mod problem;
mod reader;
mod schema;
mod show;
mod suggest;
pub mod units;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::journal::dot::SITE_ID_MAX;
pub use check::{NAME_RULE, is_name};
pub use example::{Example, ExamplePeer};
pub use keys::ALERT_EVENTS;
pub use layers::is_override;
pub use problem::{ConfigError, Place, Problem, Refusal, Source, Spot};
pub use show::Setting;
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
    /// `[alerts]`: what is told without being asked.
    pub alerts: AlertsConfig,
    /// `[admin]`: who may ask, and tell the daemon what to do.
    pub admin: AdminConfig,
    /// `[metrics]`: numbers for a monitoring system.
    pub metrics: MetricsConfig,
    /// `[log]`: what the daemon says about itself.
    pub log: LogConfig,
}

/// `[site]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteConfig {
    /// Number of this site in the cluster, at most [`SITE_ID_MAX`].
    pub id: u64,
    /// Name of this site, as in its certificate: `[a-z0-9-]`, at most [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Name of the cluster, as in every certificate.
    pub cluster: String,
    /// What this site does.
    pub role: Role,
    /// With the role `replica`: the site whose tree is followed. None otherwise.
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

/// What becomes of files that are there before a site has met any other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// They are the tree of a new cluster. A cluster that has a tree refuses the site.
    #[default]
    Bring,
    /// They are compared with the cluster's tree: equal ones are taken for its own, others give way and are kept as
    /// losers, and what only this site has is added.
    Match,
}

impl Existing {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::Bring, Self::Match];

    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bring => "bring",
            Self::Match => "match",
        }
    }
}

/// `[tree]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeConfig {
    /// Top of the tree: an existing directory.
    pub root: PathBuf,
    /// What becomes of files that are there before this site has met any other one.
    pub existing: Existing,
    /// Patterns in gitignore grammar: such names are neither sent, nor applied, nor removed.
    pub exclude: Vec<String>,
    /// How often the whole tree is read again in the background, should a notice have been missed.
    pub scan_interval: Duration,
    /// How long a file that is still open must rest before it is read.
    pub settle: Duration,
    /// The longest that a file which never rests is put off. At least `settle`.
    pub settle_max: Duration,
    /// The brake: when one site deletes more than this share of the files within `brake_window`, applying from it is
    /// held until an operator resumes it. `100%` turns the brake off.
    pub brake_percent: u8,
    /// The brake does not look at trees with fewer files.
    pub brake_files: u64,
    /// Time over which deletions are counted for the brake.
    pub brake_window: Duration,
}

/// `[state]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateConfig {
    /// Folder of the journal, the received logs and the state store; outside the tree, mode 0700.
    pub dir: PathBuf,
    /// Room for the journal, in bytes. A site for which more than this would have to be kept is fenced, loudly.
    pub journal_budget_bytes: u64,
    /// The journal is kept from its beginning up to this size, although every peer has it: as long as it is whole, a
    /// further site can join from an empty tree.
    pub journal_keep_bytes: u64,
    /// A site that was not heard for so long, while this one ran, is fenced, loudly.
    pub max_absence: Duration,
    /// What was removed is forgotten once every site knows of it.
    pub reclaim: bool,
}

/// `[conduit]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConduitSettings {
    /// Address and port on which other sites are accepted. None: this site only dials.
    pub listen: Option<SocketAddr>,
    /// Most entries under way to a peer without a receipt.
    pub window_entries: u64,
    /// Most bytes under way to a peer without a receipt.
    pub window_bytes: u64,
    /// Upper end of the first random wait before dialling again.
    pub reconnect_delay: Duration,
    /// Upper end of the random wait after many failures. At least `reconnect_delay`.
    pub max_reconnect_delay: Duration,
    /// A connection that is older is made anew; zero: never.
    pub max_connection_age: Duration,
}

/// `[tls]`: PEM files. They are read, and their content checked, when the daemon starts or reloads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsPaths {
    /// Certificate of this site, for `<site>.<cluster>.cfs-repl`.
    pub cert: PathBuf,
    /// Its private key, mode 0600.
    pub key: PathBuf,
    /// Certificates of the authorities that sign for this cluster.
    pub ca: PathBuf,
    /// Key of the authority. None: this site issues no certificates for sites that join.
    pub ca_key: Option<PathBuf>,
}

/// `[[peer]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Number of the other site, at most [`SITE_ID_MAX`].
    pub id: u64,
    /// Name of the other site, as in its certificate.
    pub name: String,
    /// Where it listens; tried in order, in turn. None: the peer dials this site.
    pub endpoints: Vec<Endpoint>,
}

/// `[conflicts]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictsConfig {
    /// Share of the tree's filesystem that the content of losers may take; beyond it, acknowledged ones go first.
    pub keep_percent: u8,
    /// How long a loser stays restorable.
    pub retention: Duration,
    /// Losers of at most that many bytes are kept at every site; larger ones where they were written or lost. 0 keeps none
    /// elsewhere.
    pub everywhere_bytes: u64,
}

/// `[trash]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrashConfig {
    /// Files that others removed or replaced without a conflict are kept as long as losers are. Otherwise they go
    /// after a minute.
    pub keep_deleted: bool,
}

/// `[alerts]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertsConfig {
    /// Program and arguments to start for each event. Empty: none.
    pub exec: Vec<String>,
    /// Where each event is posted: a URL of http or https. What follows its host may be a secret.
    pub webhook: Option<String>,
    /// Which events, of [`ALERT_EVENTS`].
    pub events: Vec<String>,
    /// How long the program or the server may take.
    pub timeout: Duration,
    /// Most events that are told in a minute.
    pub per_minute: u64,
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Unix socket that commands use; [`SOCKET_FILE`] in the state folder unless told otherwise.
    pub socket: PathBuf,
    /// Group whose members may look. None: only the daemon's own user and root.
    pub read_group: Option<String>,
    /// Group whose members may act as well. None: only the daemon's own user and root.
    pub write_group: Option<String>,
    /// Address on which commands are taken over mutual TLS. None: nowhere.
    pub listen: Option<SocketAddr>,
    /// DNS names of the certificates that may use it.
    pub allow: Vec<String>,
}

/// `[metrics]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MetricsConfig {
    /// Address on which metrics are read. None: off.
    pub listen: Option<SocketAddr>,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Which lines are written, as `tracing_subscriber::EnvFilter` reads it.
    pub level: String,
    /// Shape of a line.
    pub format: LogFormat,
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

impl LogFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Pretty, Self::Json];

    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pretty => "pretty",
            Self::Json => "json",
        }
    }
}

/// A configuration under the eyes of an operator: what holds, what set it, what is wrong, and what is worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The configuration, or everything that is wrong with it.
    pub config: Result<Config, ConfigError>,
    /// Every key there is.
    pub settings: Vec<Setting>,
    /// What was read, in order.
    pub sources: Vec<Source>,
    /// What does not keep it from being used.
    pub warnings: Vec<Problem>,
}

impl Examined {
    /// Where a key such as `tls.cert` was set, or the file where it could be.
    #[must_use]
    pub fn spot(&self, key: &str, file: &Path) -> Spot {
        let setting = self.settings.iter().find(|setting| setting.key == key);
        setting
            .and_then(|setting| setting.origin.clone())
            .unwrap_or_else(|| Spot::of(Source::File(file.to_owned())))
    }
}

/// Whose eyes read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// The daemon: asks the disk and the system.
    Daemon,
    /// Who wants to know what the daemon would say, and what is worth a look.
    Operator,
    /// A command that asks the daemon, perhaps of a user who may not look into the state folder.
    Guest,
    /// The same user, who wants to know what the daemon would say.
    Doctor,
}

impl Config {
    /// Reads and checks a file, the drop-ins beside it, the environment and the peers in the state folder, including
    /// what they say about the machine: the root must exist, the state folder must lie outside it, and there must be
    /// the groups.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        examine(file, &environment(), Reader::Daemon).config
    }

    /// The same without looking at the rest of the disk: for commands that ask the daemon, which work whatever became
    /// of the tree. Peers in the state folder are left out where the caller may not look into it.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        examine(file, &environment(), Reader::Guest).config
    }

    /// What would keep the daemon from starting with a file, as far as the caller can see.
    #[must_use]
    pub fn problems(file: &Path) -> Vec<Problem> {
        let examined = examine(file, &environment(), Reader::Doctor);
        examined
            .config
            .err()
            .map_or(Vec::new(), |error| error.problems)
    }

    /// Reads as [`Config::load`] does, and tells everything about it.
    #[must_use]
    pub fn examine(file: &Path) -> Examined {
        examine(file, &environment(), Reader::Operator)
    }

    /// Checks a text as the only layer, as if it stood in `file`, and what it says about the disk.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn verify(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut findings = problem::Findings::new(file.to_owned());
        let config = alone(text, file, &layers::folder_of(file), &mut findings);
        check::disk(&config, &mut findings);
        check::groups(&config, &mut findings);
        findings.into_error().map_or(Ok(config), Err)
    }

    /// Checks a text as the only layer without looking at the disk; `file` names it in errors, and relative paths are
    /// resolved against its folder.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut findings = problem::Findings::new(file.to_owned());
        let base = file.parent().unwrap_or(Path::new(""));
        let config = alone(text, file, base, &mut findings);
        findings.into_error().map_or(Ok(config), Err)
    }

    /// The commented file that `init` writes: what `values` says, every default, and what each key means.
    #[must_use]
    pub fn example(values: &Example<'_>) -> String {
        example::text(values)
    }

    /// What a file may say, as JSON Schema.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schema::schema()
    }
}

fn environment() -> layers::Variables {
    layers::variables(std::env::vars_os())
}

fn alone(text: &str, file: &Path, base: &Path, findings: &mut problem::Findings) -> Config {
    let mut settings = reader::Settings::default();
    let source = Source::File(file.to_owned());
    let scope = reader::Scope::All;
    reader::read_text(text, &source, scope, base, &mut settings, findings);
    reader::require(&settings, findings);
    let config = decode::decode(&settings);
    check::relations(&config, findings);
    config
}

fn examine(file: &Path, variables: &layers::Variables, reader: Reader) -> Examined {
    let mut findings = problem::Findings::new(file.to_owned());
    let mut settings = reader::Settings::default();
    let mut sources = layers::read(file, variables, &mut settings, &mut findings);
    if !sources.is_empty() {
        let is_guest = matches!(reader, Reader::Guest | Reader::Doctor);
        sources.extend(layers::read_peers(is_guest, &mut settings, &mut findings));
    }
    let config = decode::decode(&settings);
    if !sources.is_empty() {
        check::relations(&config, &mut findings);
    }
    if !sources.is_empty() && reader != Reader::Guest {
        check::disk(&config, &mut findings);
        check::groups(&config, &mut findings);
    }
    if !sources.is_empty() && reader == Reader::Operator {
        advice::advise(&config, &mut findings);
    }
    Examined {
        settings: show::settings(&settings, &findings),
        sources,
        warnings: findings.warnings(),
        config: findings.into_error().map_or(Ok(config), Err),
    }
}

#[cfg(test)]
mod tests;
