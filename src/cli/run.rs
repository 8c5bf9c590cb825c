//! `run`: the daemon in the foreground, and what it does on signals.

use std::path::{Path, PathBuf};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

use super::exit::{CliError, CliResult, Exit, Failure};
use super::lab::child::PARENT_VARIABLE;
use super::ui::Ui;
use crate::admin::client::Address;
use crate::config::{Config, DEFAULT_FILE};
use crate::daemon;
use crate::error::ReplError;
use crate::failpoint;

/// Run the daemon of a site in the foreground
///
/// Keeps the tree in step with the peers until it gets SIGTERM or Ctrl-C, then finishes what is under way and
/// exits with 0. SIGHUP does what cfs-repl reload does. Logs go to stderr. A service manager that sets NOTIFY_SOCKET is told
/// when the daemon is up, how it fares, and, with WATCHDOG_USEC, that its journal moves.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Configuration file
    #[arg(long, env = "CFS_REPL_CONFIG", default_value = DEFAULT_FILE, value_name = "FILE")]
    config: PathBuf,
    /// The tree was restored by copy: take its files for those that were there. Once, after a restore
    #[arg(long)]
    adopt_copy: bool,
    /// The clock of this machine is right, however far it is ahead of the last change. Once, when status asks for it
    #[arg(long)]
    accept_clock: bool,
}

/// Runs the daemon until it is asked to stop.
///
/// # Errors
/// A configuration that does not hold, or a part that does not come up or fails.
pub(super) fn run(_ui: &mut Ui, args: &RunArgs) -> CliResult {
    end_with_parent();
    let config = Config::load(&args.config)?;
    daemon::logging::start(&config.log);
    if config.peers.is_empty() {
        tracing::warn!(config = ?args.config, "no peer is configured: changes are journaled, and go nowhere");
    }
    failpoint::arm_from_environment().map_err(|e| failure("start a test of a crash", &e))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| failure("start the runtime", &e))?;
    runtime.block_on(async {
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|e| failure("wait for signals", &e))?;
        let mut interrupt =
            signal(SignalKind::interrupt()).map_err(|e| failure("wait for signals", &e))?;
        // From here on, before the start: a signal that comes during it must not end the process.
        let mut hangup =
            signal(SignalKind::hangup()).map_err(|e| failure("wait for signals", &e))?;
        let asked = daemon::StartOptions {
            adopt_copy: args.adopt_copy,
            accept_clock: args.accept_clock,
            config_file: Some(args.config.clone()),
        };
        let daemon = daemon::Daemon::start_with(&config, asked).await;
        let daemon = daemon.map_err(|e| not_started(e, &args.config))?;
        let manager = daemon::ServiceManager::from_environment();
        manager.ready();
        let reloader = daemon.reloader();
        let (engine, admin) = (
            daemon.engine().clone(),
            Address::socket(&config.admin.socket),
        );
        let stop = async move {
            let attending = manager.attend(engine, admin);
            let mut attending = std::pin::pin!(attending);
            loop {
                // All are cancel-safe: a signal that was not taken is still there.
                tokio::select! {
                    () = &mut attending => {}
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                    Some(()) = hangup.recv() => {
                        let reloading = async { drop(reloader.reload("SIGHUP").await) };
                        manager.reload(reloading).await;
                    }
                }
            }
            manager.stopping();
            tracing::info!("asked to stop, draining");
        };
        match daemon.run_until(stop).await {
            daemon::Exit::Stopped => Ok(()),
            daemon::Exit::Failed(error) => Err(failure("keep the daemon running", &error).into()),
            daemon::Exit::Unrelated { site } => Err(unrelated(&config, &site).into()),
        }
    })
}

/// Two trees without a common history.
fn unrelated(config: &Config, site: &str) -> Failure {
    let (root, state) = (config.tree.root.display(), config.state.dir.display());
    Failure::new(
        Exit::Config,
        format!("cannot join {site}: its tree and {root} both had files before the two sites met"),
    )
    .cause("trees without a common history are not merged: every file of both would come twice")
    .cause("nothing was changed in either tree")
    .hint(format!(
        "at the site that is to take the other's tree, and here that is: mv {root} {root}.before && mkdir {root} && \
         mv {state} {state}.before, start cfs-repl, then copy back what is missing; all of it: cfs-repl help join"
    ))
}

fn failure(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Failure, format!("cannot {what}")).cause(error.to_string())
}

/// What keeps a daemon from starting is for its operator to mend: what, why, and what to do.
fn not_started(error: ReplError, config: &Path) -> CliError {
    let file = config.display();
    let told = |exit, hint: String| {
        let failure = Failure::new(exit, "cannot start the daemon")
            .cause(&error)
            .hint(hint);
        CliError::from(failure)
    };
    match &error {
        ReplError::Io {
            action: "read key" | "read certificate file",
            source,
            ..
        } if source.kind() == std::io::ErrorKind::NotFound => told(
            Exit::Config,
            format!(
                "put certificate, key and authority where [tls] in {file} says; cfs-repl pki makes them for a lab, \
                 what others must write: cfs-repl pki --help"
            ),
        ),
        ReplError::Serialization { what: "tls", .. }
        | ReplError::Io {
            action: "read key" | "read certificate file",
            ..
        } => told(
            Exit::Config,
            format!("correct the file or [tls] in {file}, then start it again"),
        ),
        ReplError::Io {
            action: "use tree", ..
        } => told(
            Exit::Config,
            format!(
                "check tree.root in {file}, and that its disk is mounted; a tree that was restored by copy is \
                 taken over by: cfs-repl run --adopt-copy; any other one needs a new state folder"
            ),
        ),
        ReplError::Io {
            action: "listen on",
            ..
        } => told(
            Exit::Failure,
            format!(
                "another process has the address: stop it, or choose another conduit.listen in {file}"
            ),
        ),
        ReplError::Io {
            action: "use state folder",
            source,
            ..
        } if source.kind() == std::io::ErrorKind::InvalidInput => told(
            Exit::Config,
            format!(
                "a site keeps its number for good: put site.id back in {file}, or give the new site a state.dir of \
                 its own"
            ),
        ),
        held if held.is_held() => told(
            Exit::Failure,
            format!("stop that one, or give this site a state.dir of its own in {file}"),
        ),
        ReplError::Journal { .. }
        | ReplError::WalCorrupted { .. }
        | ReplError::SiteUnknown { .. }
        | ReplError::ConflictDetected { .. }
        | ReplError::NetworkError { .. }
        | ReplError::Serialization { .. }
        | ReplError::Io { .. }
        | ReplError::VersionMismatch { .. }
        | ReplError::Shutdown => otherwise(error),
    }
}

/// What tells by itself what to do.
fn otherwise(error: ReplError) -> CliError {
    match CliError::from(error) {
        CliError::Failed(mut failure) => {
            failure.causes.insert(0, failure.message);
            failure.message = "cannot start the daemon".to_owned();
            CliError::Failed(failure)
        }
        other @ (CliError::Told(_) | CliError::OutputClosed) => other,
    }
}

/// Whoever started this daemon for itself asks that it drains and ends when it is gone, even if it was killed.
fn end_with_parent() {
    let Ok(parent) = std::env::var(PARENT_VARIABLE) else {
        return;
    };
    let asked = set_parent_process_death_signal(Some(Signal::TERM));
    let is_gone = getppid().is_none_or(|now| now.as_raw_nonzero().to_string() != parent);
    if asked.is_err() || is_gone {
        std::process::exit(0);
    }
}
