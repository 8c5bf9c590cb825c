//! What the daemon writes to its log, and how that is changed while it runs.

use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::{LogConfig, LogFormat};

/// Environment variable that takes precedence over `log.level` at the start.
const FILTER: &str = "CFS_REPL_LOG";

/// The filter in use. Set once, by the first logger of the process.
static CURRENT: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging to stderr. A logger that is set already, by a test, stays.
pub fn start(config: &LogConfig) {
    let filter =
        EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new(config.level.as_str()));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        // A log that cannot be written, on a full disk or into a pipe that nobody reads, must not end the daemon.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let set = match config.format {
        LogFormat::Json => Registry::default()
            .with(filter)
            .with(lines.json())
            .try_init(),
        LogFormat::Pretty => Registry::default()
            .with(filter)
            .with(lines.with_ansi(false))
            .try_init(),
    };
    if set.is_ok() {
        drop(CURRENT.set(handle));
    }
}

/// Changes what is logged from here on. Returns the filter that holds.
///
/// # Errors
/// Why it is no filter, or that there is no logger of ours.
pub(super) fn set(filter: &str) -> Result<String, String> {
    let parsed: EnvFilter = filter.parse().map_err(|error| format!("{error}"))?;
    let told = parsed.to_string();
    let current = CURRENT.get().ok_or("this process has another logger")?;
    current.reload(parsed).map_err(|error| error.to_string())?;
    Ok(told)
}
