//! `cfs-repl lag [SITE]`: how far each peer is behind, in time, entries and bytes.

use super::exit::{CliError, CliResult};
use super::reach::{self, Reach};
use super::render::{Row, View};
use super::status::{item, no_site};
use super::ui::Ui;
use super::{Global, human};
use crate::admin::view::{LagView, SiteLag};
use crate::clock::rfc3339;

/// Show how far each peer is behind, and how far this site is behind it
///
/// ENTRIES: those of this site that the peer has not applied. BYTES: those of the journal from the first entry on that
/// the peer has not received, with everything that stands behind it. ? is not known.
#[derive(Debug, clap::Args)]
pub(super) struct LagArgs {
    /// Show this site alone
    site: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &LagArgs) -> CliResult {
    let ask = |client: crate::admin::client::Client| async move { client.lag(false).await };
    let mut lag = reach::ask(global, &args.reach, ask)?;
    if let Some(site) = &args.site {
        let names: Vec<&str> = lag.sites.iter().map(|one| one.site.as_str()).collect();
        if !names.contains(&site.as_str()) {
            return Err(no_site(site, &names).into());
        }
        lag.sites.retain(|one| one.site == *site);
    }
    ui.show(&view(&lag)?)
}

pub(super) fn view(lag: &LagView) -> Result<View, CliError> {
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
        columns: &[
            "SITE",
            "STATE",
            "LAG",
            "ENTRIES",
            "BYTES",
            "OLDEST",
            "SKEW",
            "IN LAG",
            "IN WAITING",
        ],
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
