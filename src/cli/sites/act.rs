//! `cfs-repl sites pause|reconnect|remove`: what an operator does about the exchange with a site.

use super::super::Global;
use super::super::exit::{CliResult, Exit, Failure};
use super::super::reach::{self, Reach};
use super::super::ui::Ui;
use crate::admin::client::Client;
use crate::text::printable;

/// Stop the exchange with a site, both ways, until it is resumed; also over a restart
///
/// Changes wait in the journal meanwhile. A site that stays paused for longer than state.max_absence, or for which
/// more than state.journal_budget has to be kept, is fenced as if it were away.
#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    /// Name of the site
    site: String,
    /// Why, for whoever looks next
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    #[command(flatten)]
    reach: Reach,
}

/// Make the connection to a site anew at once, without waiting for the next attempt
#[derive(Debug, clap::Args)]
pub(super) struct ReconnectArgs {
    /// Name of the site
    site: String,
    #[command(flatten)]
    reach: Reach,
}

/// Take a site out for good: nothing is kept for it or exchanged with it any more
///
/// Not while it is connected. What it wrote and no other site has is lost; what one of them has comes to all. They hear of it,
/// and go on to name it until it is taken out there, too. How it comes back: cfs-repl help join
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// Name of the site
    site: String,
    /// The name once more: what it has not received is lost to it
    #[arg(long, value_name = "SITE")]
    confirm: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn pause(ui: &mut Ui, global: &Global, args: &PauseArgs) -> CliResult {
    let ask = |client: Client| async move { client.pause(&args.site, &args.note).await };
    let told = if reach::ask(global, &args.reach, ask)? {
        format!(
            "paused {0}; it goes on with: cfs-repl sites resume {0}",
            args.site
        )
    } else {
        format!("{} is paused already", args.site)
    };
    ui.say(&printable(&told));
    Ok(())
}

pub(super) fn reconnect(ui: &mut Ui, global: &Global, args: &ReconnectArgs) -> CliResult {
    let ask = |client: Client| async move { client.reconnect(&args.site).await };
    reach::ask(global, &args.reach, ask)?;
    ui.say(&printable(&format!("connecting to {} anew", args.site)));
    Ok(())
}

pub(super) fn remove(ui: &mut Ui, global: &Global, args: &RemoveArgs) -> CliResult {
    if args.confirm.as_ref() != Some(&args.site) {
        let site = printable(&args.site);
        let failure = Failure::new(Exit::Usage, format!("taking {site} out is for good"))
            .cause("what it has not received by then is lost to it, and it comes back only anew")
            .hint(format!(
                "when it is meant: cfs-repl sites remove {site} --confirm {site}"
            ));
        return Err(failure.into());
    }
    let ask = |client: Client| async move { client.remove(&args.site).await };
    let removed = reach::ask(global, &args.reach, ask)?;
    let journals = match removed.journals {
        0 => "no journal of it was open here".to_owned(),
        1 => "its journal ended".to_owned(),
        more => format!("{more} journals of it ended"),
    };
    ui.say(&printable(&format!("took {} out; {journals}", args.site)));
    if removed.configured {
        let file = "it stands in the configuration, too: take its [[peer]] out there, then: cfs-repl reload";
        ui.say(file);
    }
    Ok(())
}
