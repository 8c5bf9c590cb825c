//! `cfs-repl lag [SITE]`: how far each peer is behind, in time, entries and bytes.

use super::columns::{Column, Kind, Listing};
use super::exit::{CliError, CliResult};
use super::reach::Reach;
use super::render::{Row, View};
use super::status::{item, no_site};
use super::ui::Ui;
use super::watch::{self, WatchArgs};
use super::{Global, human};
use crate::admin::view::{LagView, SiteLag};
use crate::clock::rfc3339;

/// Headings.
const COLUMNS: &[Column] = &[
    Column::new("SITE").at("/site").holds(Kind::Text(12)),
    Column::new("STATE").at("/state").holds(Kind::State),
    Column::new("LAG").at("/lag_us"),
    Column::new("ENTRIES").at("/behind_entries").may_go(2),
    Column::new("BYTES").at("/behind_bytes").may_go(3),
    Column::new("OLDEST")
        .at("/oldest_unacked_us")
        .holds(Kind::Time("OLDEST"))
        .may_go(4),
    Column::new("SKEW").at("/clock_skew_us").may_go(5),
    Column::new("IN LAG").at("/inbound/lag_us").may_go(1),
    Column::new("IN WAITING")
        .at("/inbound/waiting_entries")
        .may_go(6),
    Column::new("ID").at("/site_id").wide(),
    Column::new("UNNOTICED").at("/unnoticed_us").wide(),
    Column::new("IN UNNOTICED")
        .at("/inbound/unnoticed_us")
        .wide(),
];

/// Show how far each peer is behind, and how far this site is behind it
///
/// ENTRIES: those of this site that the peer has not applied. BYTES: those of the journal from the first entry on that
/// the peer has not received, with everything that stands behind it. UNNOTICED: what was changed so lately may not be
/// in the journal yet. ? is not known.
#[derive(Debug, clap::Args)]
pub(super) struct LagArgs {
    /// Show this site alone
    site: Option<String>,
    #[command(flatten)]
    listing: Listing,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &LagArgs) -> CliResult {
    let chosen = args.listing.chosen(COLUMNS, global.format())?;
    let ask = |client: crate::admin::client::Client| async move { client.lag(false).await };
    let asking = (global, &args.reach, &args.watch);
    watch::each(ui, asking, ask, |ui, mut lag| {
        if let Some(site) = &args.site {
            narrow(&mut lag, site)?;
        }
        ui.list(view(&lag)?, &chosen, None)
    })
}

/// Leaves one site.
fn narrow(lag: &mut LagView, site: &str) -> CliResult {
    let names: Vec<&str> = lag.sites.iter().map(|one| one.site.as_str()).collect();
    if !names.contains(&site) {
        return Err(no_site(site, &names).into());
    }
    lag.sites.retain(|one| one.site == *site);
    Ok(())
}

pub(super) fn view(lag: &LagView) -> Result<View<Column>, CliError> {
    let row = |site: &SiteLag| -> Result<Row, CliError> {
        Ok(Row {
            name: site.site.clone(),
            cells: cells(site),
            item: item(site)?,
        })
    };
    Ok(View {
        command: "lag",
        site: Some(lag.site.clone()),
        columns: COLUMNS,
        rows: lag.sites.iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn cells(site: &SiteLag) -> Vec<String> {
    // Nothing outstanding has no oldest entry; that is known, not unknown.
    let oldest = match (site.oldest_unacked_us, site.behind_entries) {
        (Some(us), _) => human::known(rfc3339(us), |text| text),
        (None, Some(0)) => "-".to_owned(),
        (None, Some(_) | None) => human::UNKNOWN.to_owned(),
    };
    vec![
        site.site.clone(),
        site.state.to_string(),
        human::lag(site.lag),
        human::known(site.behind_entries, human::count),
        human::known(site.behind_bytes, human::bytes),
        oldest,
        human::known(site.clock_skew_us, human::skew),
        human::lag(site.inbound.lag),
        human::known(site.inbound.waiting_entries, human::count),
        site.site_id.to_string(),
        human::known(site.unnoticed_us, human::duration),
        human::known(site.inbound.unnoticed_us, human::duration),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::render::{Format, render};
    use super::*;
    use crate::admin::view::tests::lag;

    #[test]
    fn the_table_tells_both_directions_and_what_is_not_known() {
        let mut lag = lag();
        let text = render(&view(&lag).unwrap(), Format::Table, 0);
        assert_eq!(
            text,
            "SITE   STATE        LAG   ENTRIES  BYTES     OLDEST                       SKEW   IN LAG  IN WAITING\n\
             iad-2  catching_up  8.4s  3,310    25.8 MiB  2026-11-22T17:54:49.102113Z  +14ms  0.0s    0\n\
             sin-1  unknown      ?     ?        ?         ?                            ?      ?       ?\n"
        );
        lag.sites[0].oldest_unacked_us = None;
        lag.sites[0].behind_entries = Some(0);
        assert_eq!(cells(&lag.sites[0])[5], "-");
    }
}
