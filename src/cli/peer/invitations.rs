//! `cfs-repl peer invitations` and `cfs-repl peer revoke`: which invitations there are, and that one works no more.

use crate::admin::client::Client;
use crate::admin::view::InvitationView;
use crate::cli::Global;
use crate::cli::columns::{Column, Kind, Listing};
use crate::cli::exit::{CliError, CliResult};
use crate::cli::reach::{self, Reach};
use crate::cli::render::{Row, View};
use crate::cli::status::item;
use crate::cli::ui::Ui;
use crate::clock::rfc3339;
use crate::text::printable;

/// Headings. The end of an invitation is most often to come, so that it has no age.
const COLUMNS: &[Column] = &[
    Column::new("ID").at("/id"),
    Column::new("STATE").at("/state"),
    Column::new("FOR").at("/name").holds(Kind::Text(8)),
    Column::new("EXPIRES").at("/expires_us"),
    Column::new("BY")
        .at("/made_by")
        .holds(Kind::Text(8))
        .may_go(2),
    Column::new("USED BY")
        .at("/used_by")
        .holds(Kind::Text(8))
        .may_go(1),
    Column::new("USED AT")
        .at("/used_us")
        .holds(Kind::Time("USED"))
        .wide(),
];

/// List the invitations that this site made, oldest first, without their secrets
///
/// Used and ended ones are listed until newer ones take their room; withdrawn ones are not.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct InvitationsArgs {
    #[command(flatten)]
    listing: Listing,
    #[command(flatten)]
    reach: Reach,
}

/// Withdraw an invitation: its token does not work any more
///
/// A site that joined with it stays; it is taken out with sites remove.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RevokeArgs {
    /// Id of the invitation, or the beginning of one, as peer invitations shows it
    id: String,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn list(ui: &mut Ui, global: &Global, args: &InvitationsArgs) -> CliResult {
    let chosen = args.listing.chosen(COLUMNS, global.format())?;
    let ask = |client: Client| async move { client.invitations().await };
    let (site, all) = reach::ask(global, &args.reach, ask)?;
    ui.list(&view(site, &all)?, &chosen)
}

pub(super) fn revoke(ui: &mut Ui, global: &Global, args: &RevokeArgs) -> CliResult {
    let ask = |client: Client| async move { client.revoke(&args.id).await };
    let id = reach::ask(global, &args.reach, ask)?;
    ui.say(&printable(&format!(
        "withdrew {id}: its token does not work any more"
    )));
    Ok(())
}

fn view(site: String, all: &[InvitationView]) -> Result<View<Column>, CliError> {
    let row = |one: &InvitationView| -> Result<Row, CliError> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        Ok(Row {
            name: one.id.clone(),
            cells: vec![
                one.id.clone(),
                one.state.to_string(),
                or_dash(one.name.clone()),
                or_dash(rfc3339(one.expires_us)),
                one.made_by.clone(),
                or_dash(one.used_by.clone()),
                or_dash(one.used_us.and_then(rfc3339)),
            ],
            item: item(one)?,
        })
    };
    Ok(View {
        command: "invitations",
        site: Some(site),
        columns: COLUMNS,
        rows: all.iter().map(row).collect::<Result<_, _>>()?,
    })
}
