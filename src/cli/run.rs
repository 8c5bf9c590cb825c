//! `run`: the daemon in the foreground.

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use super::exit::{CliResult, Exit, Failure};
use super::ui::Ui;
use crate::config::{Config, DEFAULT_FILE, LogFormat};
use crate::daemon;
use crate::failpoint;

/// Run the daemon of a site in the foreground
///
/// Keeps the tree in step with the peers until it gets SIGTERM or Ctrl-C, then finishes what is under way and
/// exits with 0. Logs go to stderr.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Configuration file
    #[arg(long, env = "CFS_REPL_CONFIG", default_value = DEFAULT_FILE, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the daemon until it is asked to stop.
///
/// # Errors
/// A configuration that does not hold, or a part that does not come up or fails.
pub(super) fn run(_ui: &mut Ui, args: &RunArgs) -> CliResult {
    let config = Config::load(&args.config)?;
    start_logging(&config);
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
        let daemon = daemon::Daemon::start(&config).await;
        let daemon = daemon.map_err(|e| failure("start the daemon", &e))?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("asked to stop, draining");
        };
        match daemon.run_until(stop).await {
            daemon::Exit::Stopped => Ok(()),
            daemon::Exit::Failed(error) => Err(failure("keep the daemon running", &error).into()),
        }
    })
}

fn failure(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Failure, format!("cannot {what}")).cause(error.to_string())
}

fn start_logging(config: &Config) {
    let level = config.log.level.as_str();
    let filter = tracing_subscriber::EnvFilter::try_from_env("CFS_REPL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A logger that is set already (a test) stays.
    let set = match config.log.format {
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Pretty => lines.with_ansi(false).try_init(),
    };
    drop(set);
}
