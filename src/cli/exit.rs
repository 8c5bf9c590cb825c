//! Pure: how a command ends: exit codes, and failures that say what failed, why, and what to do.
//!
//! The codes are a contract with scripts: they are only added to.

use std::error::Error;

use tonic::Code;

use crate::admin::client::{Address, ClientError};
use crate::config::ConfigError;
use crate::error::ReplError;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// It did what it was asked.
    Ok,
    /// It failed for a reason without a code of its own.
    Failure,
    /// The command line is wrong.
    Usage,
    /// No daemon answers.
    Unreachable,
    /// No such site, conflict or shard.
    NotFound,
    /// The caller may not do this.
    NotPermitted,
    /// The configuration is not valid.
    Config,
    /// Time ran out.
    TimedOut,
    /// What the caller relied on is no longer so.
    PreconditionLost,
    /// Two trees that were compared differ.
    Differs,
    /// The state is worth a look; only where the caller asked for it by `--exit-code`.
    Warning,
    /// The state needs a human; only where the caller asked for it by `--exit-code`.
    Critical,
    /// Ctrl-C, or a signal that ends it.
    Interrupted,
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::Failure,
        Self::Usage,
        Self::Unreachable,
        Self::NotFound,
        Self::NotPermitted,
        Self::Config,
        Self::TimedOut,
        Self::PreconditionLost,
        Self::Differs,
        Self::Warning,
        Self::Critical,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::NotFound => 4,
            Self::NotPermitted => 5,
            // Also systemd's EXIT_NOTCONFIGURED.
            Self::Config => 6,
            Self::TimedOut => 7,
            Self::PreconditionLost => 8,
            Self::Differs => 9,
            Self::Warning => 20,
            Self::Critical => 21,
            Self::Interrupted => 130,
        }
    }

    /// The word in JSON errors.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failure => "failure",
            Self::Usage => "usage",
            Self::Unreachable => "daemon_unreachable",
            Self::NotFound => "not_found",
            Self::NotPermitted => "not_permitted",
            Self::Config => "config_invalid",
            Self::TimedOut => "timed_out",
            Self::PreconditionLost => "precondition_lost",
            Self::Differs => "differs",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Interrupted => "interrupted",
        }
    }

    /// The meaning, for `cfs-repl help exit-codes`.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "it did what it was asked",
            Self::Failure => "it failed; the error says why",
            Self::Usage => "the command line is wrong",
            Self::Unreachable => "the daemon cannot be reached",
            Self::NotFound => "no such site, conflict or shard",
            Self::NotPermitted => "not permitted",
            Self::Config => "the configuration is not valid",
            Self::TimedOut => "time ran out",
            Self::PreconditionLost => {
                "what the caller relied on is not so: a free place, kept bytes, a count"
            }
            Self::Differs => "the trees that were compared differ",
            Self::Warning => "worth a look (only with --exit-code)",
            Self::Critical => "needs a human (only with --exit-code)",
            Self::Interrupted => "interrupted by Ctrl-C, SIGTERM or SIGHUP",
        }
    }
}

impl From<Code> for Exit {
    /// How a command ends that the daemon refused. Never [`Exit::Ok`]: an answer that is a status is no success.
    fn from(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::Usage,
            Code::Unavailable => Self::Unreachable,
            Code::NotFound => Self::NotFound,
            Code::PermissionDenied | Code::Unauthenticated => Self::NotPermitted,
            Code::DeadlineExceeded => Self::TimedOut,
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => {
                Self::PreconditionLost
            }
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::ResourceExhausted
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => Self::Failure,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A command that failed: three lines for people, one object for scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What failed.
    pub message: String,
    /// Why: from the near cause to the deepest one, or a list of equal ones.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without cause or hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// Adds why.
    #[must_use]
    pub fn cause(mut self, cause: impl ToString) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// How a command can end early.
#[derive(Debug)]
pub enum CliError {
    /// It failed, and the reason is still to be told.
    Failed(Box<Failure>),
    /// It failed, and the reason was told.
    Told(Exit),
    /// Nobody reads the output any more, as with `| head -1`: a quiet success.
    OutputClosed,
}

/// Result of a command.
pub type CliResult = Result<(), CliError>;

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let file = error.file.display();
        let mut failure =
            Failure::new(Exit::Config, format!("cannot use the configuration {file}"))
                .hint("all problems are listed; correct them and try again");
        failure.causes = error.to_string().lines().map(str::to_owned).collect();
        failure.into()
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let failure = |exit| Failure::new(exit, error.to_string());
        let failure = match &error {
            ClientError::Address { .. } => failure(Exit::Usage)
                .cause("an address names a unix socket, or a daemon on the network with its name")
                .hint("write it as unix:/path/to/admin.sock, or as tls:HOST:7444/SITE.CLUSTER.cfs-repl"),
            ClientError::Unreachable {
                address: Address::Network(_),
                source,
            } => failure(Exit::Unreachable)
                .cause(source)
                .hint("look at admin.listen there, and at --identity here"),
            ClientError::Unreachable { source, .. } => unreachable(&error, source),
            ClientError::TimedOut { after, .. } => failure(Exit::TimedOut)
                .cause(format!("no answer for {} ms", after.as_millis()))
                .hint("see the log of the daemon, or wait longer with --timeout"),
            ClientError::Refused {
                code, causes, hint, ..
            } => {
                let mut refused = failure(Exit::from(*code));
                refused.causes.clone_from(causes);
                refused.hint.clone_from(hint);
                if *code == Code::Unimplemented && hint.is_none() {
                    refused = refused.hint("the daemon is older than this program: update it");
                }
                refused
            }
            ClientError::NotTaken { source } => failure(Exit::Failure).cause(source),
            ClientError::Malformed { .. } => failure(Exit::Failure)
                .cause("daemon and program are of different versions")
                .hint("bring both to the same version"),
        };
        failure.into()
    }
}

/// No daemon, no socket, or a socket of someone else.
fn unreachable(error: &ClientError, source: &std::io::Error) -> Failure {
    use std::io::ErrorKind;
    if source.kind() == ErrorKind::PermissionDenied {
        return Failure::new(Exit::NotPermitted, error.to_string())
            .cause(source)
            .hint("run the command as the user of the daemon, or as root");
    }
    let cause = if source.kind() == ErrorKind::ConnectionRefused {
        format!("{source} (the socket exists, no process listens)")
    } else if source.kind() == ErrorKind::NotFound {
        "there is no socket there: no daemon listens at this path".to_owned()
    } else {
        source.to_string()
    };
    Failure::new(Exit::Unreachable, error.to_string())
        .cause(cause)
        .hint(
            "see whether the daemon runs (systemctl status cfs-repl, or where cfs-repl run was typed); name another \
             one with --config FILE or --server unix:PATH",
        )
}

impl From<ReplError> for CliError {
    fn from(error: ReplError) -> Self {
        let (exit, hint) = match &error {
            ReplError::SiteUnknown { .. } => (Exit::NotFound, "check the name of the site"),
            ReplError::WalCorrupted { .. } => (
                Exit::Failure,
                "nothing was changed; keep the file and look at the disk",
            ),
            ReplError::NetworkError { .. } => (
                Exit::Failure,
                "check the peer and the network, then try again",
            ),
            ReplError::VersionMismatch { .. } => (
                Exit::Failure,
                "bring the older side to a version that both know",
            ),
            ReplError::Io { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                (
                    Exit::NotPermitted,
                    "check owner and mode, or run as the owner",
                )
            }
            ReplError::Io { .. } if error.is_disk_full() => {
                (Exit::Failure, "make room on the disk and try again")
            }
            ReplError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
                (Exit::Failure, "move it away; nothing is overwritten")
            }
            ReplError::Io { .. } => (Exit::Failure, "check the path"),
            ReplError::Serialization { .. } => (Exit::Failure, "check what the error names"),
            ReplError::Journal { .. }
            | ReplError::ConflictDetected { .. }
            | ReplError::Shutdown => (Exit::Failure, "see the log of the daemon"),
        };
        // The library nests the cause into its message; here it has a line of its own.
        let message = if let ReplError::Io { action, path, .. } = &error {
            format!("cannot {action} {}", path.display())
        } else {
            error.to_string()
        };
        let mut failure = Failure::new(exit, message).hint(hint);
        let mut source = error.source();
        while let Some(cause) = source {
            failure = failure.cause(cause);
            source = cause.source();
        }
        failure.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_codes_are_a_contract() {
        let codes: Vec<u8> = Exit::ALL.into_iter().map(Exit::code).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21, 130]);
        let words: BTreeSet<&str> = Exit::ALL.into_iter().map(Exit::word).collect();
        assert_eq!(words.len(), Exit::ALL.len());
    }

    #[test]
    fn every_status_code_has_its_exit_code_and_none_is_a_success() {
        let codes: Vec<(i32, u8)> = (0..17)
            .map(|number| (number, Exit::from(Code::from_i32(number)).code()))
            .collect();
        // In the order of the gRPC codes: ok, cancelled, unknown, invalid argument, deadline exceeded, not found,
        // already exists, permission denied, resource exhausted, failed precondition, aborted, out of range,
        // unimplemented, internal, unavailable, data loss, unauthenticated.
        let exits = [1, 1, 1, 2, 7, 4, 8, 5, 1, 8, 8, 2, 1, 1, 3, 1, 5];
        let expected: Vec<(i32, u8)> = (0..17).zip(exits).collect();
        assert_eq!(codes, expected);
        // There are no more: what is beyond is unknown.
        assert_eq!(Code::from_i32(17), Code::Unknown);
    }

    #[test]
    fn a_socket_of_another_user_is_a_matter_of_permission() {
        let address = Address::socket("/x");
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error: CliError = ClientError::Unreachable { address, source }.into();
        let CliError::Failed(failure) = error else {
            panic!("{error:?}");
        };
        assert_eq!(failure.exit, Exit::NotPermitted);
        assert_eq!(failure.message, "cannot reach the daemon at unix:/x");
    }

    #[test]
    fn a_refused_file_is_a_matter_of_permission_and_keeps_its_cause() {
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error: CliError = ReplError::io("open segment", "/x", source).into();
        let CliError::Failed(failure) = error else {
            panic!("{error:?}");
        };
        assert_eq!(failure.exit, Exit::NotPermitted);
        assert_eq!(failure.message, "cannot open segment /x");
        assert_eq!(failure.causes, ["permission denied"]);
    }
}
