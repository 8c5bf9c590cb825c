//! `cfs-repl reload` and `cfs-repl log-level`: what a running daemon is told without a restart.

use super::Global;
use super::exit::CliResult;
use super::reach::{self, Reach};
use super::ui::Ui;
use crate::admin::client::Client;
use crate::text::printable;

/// Have the daemon read its configuration and certificates again
///
/// Takes effect at once: peers and their endpoints, windows of the conduit, certificates and authorities for new
/// connections, the log level. What needs a restart is named. A file that is not good changes nothing. The same as
/// SIGHUP
#[derive(Debug, clap::Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &ReloadArgs) -> CliResult {
    let ask = |client: Client| async move { client.reload().await };
    let reloaded = reach::ask(global, &args.reach, ask)?;
    let list = |keys: &[String]| printable(&keys.join(", "));
    if reloaded.applied.is_empty() {
        ui.say("reloaded: certificates were read again, the configuration is as it was");
    } else {
        ui.say(&format!("reloaded: {}", list(&reloaded.applied)));
    }
    if !reloaded.needs_restart.is_empty() {
        let keys = list(&reloaded.needs_restart);
        ui.say(&format!(
            "note: {keys} will hold when cfs-repl is started again"
        ));
    }
    Ok(())
}

/// Change what the daemon logs, until it is changed again or the daemon ends
///
/// Example: cfs-repl log-level info,claudefs_repl::conduit=debug
#[derive(Debug, clap::Args)]
pub(super) struct LogLevelArgs {
    /// error, warn, info, debug or trace, or a filter with modules; as configured, if not given
    #[arg(value_name = "FILTER", default_value = "", hide_default_value = true)]
    filter: String,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn log_level(ui: &mut Ui, global: &Global, args: &LogLevelArgs) -> CliResult {
    let ask = |client: Client| async move { client.set_log_level(&args.filter).await };
    let filter = reach::ask(global, &args.reach, ask)?;
    ui.say(&printable(&format!("logging {filter}")));
    Ok(())
}
