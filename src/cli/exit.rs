//! Pure: how a command ends: exit codes, and failures that say what failed, why, and what to do.
//!
//! The codes are a contract with scripts: they are only added to.

use std::error::Error;

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
    /// The state is worth a look; only where the caller asked for it by `--exit-code`.
    Warning,
    /// The state needs a human; only where the caller asked for it by `--exit-code`.
    Critical,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Failure,
        Self::Usage,
        Self::Unreachable,
        Self::NotFound,
        Self::NotPermitted,
        Self::Config,
        Self::TimedOut,
        Self::PreconditionLost,
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
            Self::PreconditionLost => "what the caller relied on is no longer so",
            Self::Warning => "worth a look (only with --exit-code)",
            Self::Critical => "needs a human (only with --exit-code)",
            Self::Interrupted => "interrupted by Ctrl-C",
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
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 20, 21, 130]);
        let words: BTreeSet<&str> = Exit::ALL.into_iter().map(Exit::word).collect();
        assert_eq!(words.len(), Exit::ALL.len());
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
