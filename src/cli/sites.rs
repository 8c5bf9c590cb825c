//! `cfs-repl sites resume`: lets a site go on that was stopped.

use super::Global;
use super::exit::CliResult;
use super::reach::{self, Reach};
use super::ui::Ui;
use crate::admin::client::Client;
use crate::text::printable;

/// Act on another site
#[derive(Debug, clap::Args)]
pub(super) struct SitesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Resume(ResumeArgs),
}

/// Let a site go on that the brake holds, or that was paused
#[derive(Debug, clap::Args)]
struct ResumeArgs {
    /// Name of the site
    site: String,
    /// What the site deleted is meant: needed when the brake holds it
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &SitesArgs) -> CliResult {
    let Command::Resume(args) = &args.command;
    let ask = |client: Client| async move { client.resume(&args.site, args.confirm).await };
    let resumed = reach::ask(global, &args.reach, ask)?;
    let site = &resumed.site;
    let told = if resumed.changed {
        format!("resumed {site}")
    } else {
        format!("{site} was neither held nor paused")
    };
    ui.say(&printable(&told));
    Ok(())
}
