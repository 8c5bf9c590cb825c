//! Finds the daemon and asks it: the flags for it, and the one place where a command waits for an answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Global;
use super::exit::{CliError, Exit, Failure};
use crate::admin::client::{Address, Client, ClientError, Network, TlsFiles};
use crate::config::{Config, DEFAULT_FILE, SOCKET_FILE};
use crate::daemon::lock;

/// Where the daemon is found when --server does not say it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Reach {
    /// Configuration of the daemon: its socket is in the state folder. Not read with --server
    #[arg(long, value_name = "FILE", env = "CFS_REPL_CONFIG", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

impl Reach {
    /// That of a daemon with this configuration.
    pub(super) const fn of(config: PathBuf) -> Self {
        Self { config }
    }

    /// The configuration of the daemon.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }
}

/// Asks the daemon.
pub(super) fn ask<T, F>(
    global: &Global,
    reach: &Reach,
    request: impl FnOnce(Client) -> F,
) -> Result<T, CliError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let address = address(global, reach)?;
    let answered = runtime()?.block_on(async {
        let client = Client::connect(address, global.timeout).await?;
        request(client).await
    });
    answered.map_err(|error| explained(global, reach, error))
}

/// A failure, with what the state folder knows of the daemon where its socket is not found.
pub(super) fn explained(global: &Global, reach: &Reach, error: ClientError) -> CliError {
    if let ClientError::Unreachable {
        address: Address::Socket(wanted),
        source,
    } = &error
        && global.server.is_none()
        && source.kind() == std::io::ErrorKind::NotFound
        && let Ok(config) = Config::read(&reach.config)
        && let Some(process) = lock::holder_in(&config.state.dir)
    {
        return elsewhere(&error.to_string(), &config.state.dir, wanted, process).into();
    }
    error.into()
}

/// A daemon that runs and does not listen at `wanted`.
fn elsewhere(message: &str, state: &Path, wanted: &Path, process: u32) -> Failure {
    let usual = state.join(SOCKET_FILE);
    let hint = if usual != wanted && usual.exists() {
        format!(
            "ask it there: --server unix:{}; it listens where admin.socket says when it is started again",
            usual.display()
        )
    } else {
        "wait a moment; then start it again, or name its socket with --server unix:PATH".to_owned()
    };
    Failure::new(Exit::Unreachable, message)
        .cause(format!(
            "the daemon of {} runs (process {process}), and does not listen there: it just starts, or was \
             started with another admin.socket",
            state.display()
        ))
        .hint(hint)
}

/// Asks the daemon for something that would be good to know. None: it does not answer within `patience`, for whatever
/// reason.
pub(super) fn ask_quickly<T, F>(
    global: &Global,
    reach: &Reach,
    patience: Duration,
    request: impl FnOnce(Client) -> F,
) -> Option<T>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let address = address(global, reach).ok()?;
    let asking = async {
        let client = Client::connect(address, patience).await.ok()?;
        request(client).await.ok()
    };
    let within = async { tokio::time::timeout(patience, asking).await };
    runtime().ok()?.block_on(within).ok().flatten()
}

/// What a command waits on for an answer.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let built = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    built.map_err(|error| {
        Failure::new(Exit::Failure, "cannot wait for an answer")
            .cause(error)
            .hint("the system may be out of file descriptors")
            .into()
    })
}

/// Where the daemon listens.
pub(super) fn address(global: &Global, reach: &Reach) -> Result<Address, CliError> {
    let Some(text) = &global.server else {
        return in_config(&reach.config);
    };
    Ok(match text.parse()? {
        Address::Network(network) => Address::Network(Box::new(Network {
            identity: Some(identity(global, reach)?),
            ..*network
        })),
        socket @ Address::Socket(_) => socket,
    })
}

/// What is shown to a daemon over the network, and whom to believe.
fn identity(global: &Global, reach: &Reach) -> Result<TlsFiles, CliError> {
    if let Some(cert) = &global.identity {
        return Ok(TlsFiles {
            cert: cert.clone(),
            key: cert.with_extension("key"),
            ca: cert.with_file_name("ca.pem"),
        });
    }
    let of_config = Config::read(&reach.config)
        .ok()
        .and_then(|config| config.tls);
    let none = || {
        let failure = Failure::new(Exit::Usage, "no certificate to show to the daemon");
        failure
            .cause("--identity is not given, and no configuration with [tls] was found")
            .hint("let the holder of the authority make one with `cfs-repl pki issue`, and name it with --identity")
    };
    let files = of_config.ok_or_else(none)?;
    Ok(TlsFiles {
        cert: files.cert,
        key: files.key,
        ca: files.ca,
    })
}

/// The socket that the configuration names. Whether the tree is there does not matter here: it may be the very thing
/// that is asked about.
fn in_config(file: &Path) -> Result<Address, CliError> {
    let config = Config::read(file).map_err(|error| match CliError::from(error) {
        CliError::Failed(failure) => {
            let hint = "correct it, or name the daemon: --server unix:/path/to/admin.sock";
            CliError::from(failure.hint(hint))
        }
        other @ (CliError::Told(_) | CliError::OutputClosed) => other,
    })?;
    Ok(Address::socket(config.admin.socket))
}
