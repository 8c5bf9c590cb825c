//! `cfs-repl lag [SITE]`: how far each peer is behind, in time, entries and bytes, on the whole or shard by shard.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::columns::{Column, Kind, Listing};
use super::exit::{CliError, CliResult, Exit};
use super::reach::Reach;
use super::render::{Row, View};
use super::status::{item, no_site};
use super::ui::Ui;
use super::watch::{self, WatchArgs};
use super::{Global, human, parse_duration};
use crate::admin::client::Client;
use crate::admin::view::{Lag, LagView, ShardLag, SiteLag};
use crate::clock::{micros, rfc3339};
use crate::text::printable;

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

/// Headings of the list of shards.
const SHARD_COLUMNS: &[Column] = &[
    Column::new("SITE").at("/site").holds(Kind::Text(12)),
    Column::new("SHARD").at("/shard"),
    Column::new("HEAD").at("/head"),
    Column::new("APPLIED").at("/applied"),
    Column::new("BEHIND").at("/behind_entries"),
    Column::new("BYTES").at("/behind_bytes").may_go(4),
    Column::new("LAG").at("/lag_us"),
    Column::new("SENT").at("/sent").may_go(3),
    Column::new("RECEIVED").at("/received").may_go(2),
    Column::new("MERGED").at("/merged").may_go(1),
];
/// The last stream of a journal: what is about no inode.
const CONTROL: u32 = 256;

/// Show how far each peer is behind, and how far this site is behind it
///
/// ENTRIES: those of this site that the peer has not applied. BYTES: those of the journal from the first entry on that
/// the peer has not received, with everything that stands behind it. UNNOTICED: what was changed so lately may not be
/// in the journal yet. ? is not known.
///
/// With --max-age and --exit-code: 0 no lag is over it, 20 a lag is not known, 21 a lag is over it.
#[derive(Debug, clap::Args)]
pub(super) struct LagArgs {
    /// Show this site alone
    site: Option<String>,
    /// Show every shard by itself, those that are furthest behind first
    #[arg(long)]
    per_shard: bool,
    /// Show this shard alone, 0 to 255, or 256 for what is about no inode
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..=i64::from(CONTROL)))]
    shard: Option<u32>,
    /// Tell which lags are over this, or not known
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    max_age: Option<Duration>,
    /// Exit with 20 or 21 when they are
    #[arg(long, requires = "max_age", conflicts_with = "watch")]
    exit_code: bool,
    #[command(flatten)]
    listing: Listing,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &LagArgs) -> CliResult {
    let by_shard = args.per_shard || args.shard.is_some();
    let columns = if by_shard { SHARD_COLUMNS } else { COLUMNS };
    let chosen = args.listing.chosen(columns, global.format())?;
    let ask = |client: Client| async move { client.lag(by_shard).await };
    let asking = (global, &args.reach, &args.watch);
    watch::each(ui, asking, ask, |ui, mut lag| {
        if let Some(site) = &args.site {
            narrow(&mut lag, site)?;
        }
        let view = if by_shard {
            shards(&lag, args.shard)?
        } else {
            view(&lag)?
        };
        ui.list(&view, &chosen)?;
        match args.max_age {
            Some(max) => limit(ui, &lag, max, args.exit_code),
            None => Ok(()),
        }
    })
}

/// Tells which lags are over the limit or not known; the worst of it is the exit code.
fn limit(ui: &mut Ui, lag: &LagView, max: Duration, exit_code: bool) -> CliResult {
    let max_us = micros(max);
    let mut worst = Exit::Ok;
    for site in &lag.sites {
        let Some(exit) = over(site.lag, max_us) else {
            continue;
        };
        let (name, told) = (printable(&site.site), human::lag(site.lag));
        let limit = human::duration(max_us);
        ui.say(&if exit == Exit::Critical {
            format!("{name}: lag {told}, limit {limit}")
        } else {
            format!("{name}: lag {told} is not known to be below {limit}")
        });
        if exit.code() > worst.code() {
            worst = exit;
        }
    }
    if exit_code && worst != Exit::Ok {
        return Err(CliError::Told(worst));
    }
    Ok(())
}

/// How bad a lag is against a limit; none: it is known to be below.
const fn over(lag: Lag, max_us: u64) -> Option<Exit> {
    match lag {
        Lag::Known(us) | Lag::AtLeast(us) if us > max_us => Some(Exit::Critical),
        Lag::Known(_) => None,
        Lag::AtLeast(_) | Lag::Unknown => Some(Exit::Warning),
    }
}

/// A shard of the journal, and how far a peer is in it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ShardItem {
    /// Name of the peer.
    site: String,
    /// How far it is.
    #[serde(flatten)]
    shard: ShardLag,
}

/// Every shard, or one, of every peer: the furthest behind first.
fn shards(lag: &LagView, only: Option<u32>) -> Result<View<Column>, CliError> {
    let of_site = |site: &SiteLag| {
        let name = site.site.clone();
        let shards = site.shards.clone().into_iter();
        shards.map(move |shard| ShardItem {
            site: name.clone(),
            shard,
        })
    };
    let mut items: Vec<ShardItem> = lag.sites.iter().flat_map(of_site).collect();
    items.retain(|item| only.is_none_or(|only| item.shard.shard == only));
    // Stable: sites and shards are in their order where they are equally far.
    items.sort_by_key(|item| std::cmp::Reverse(item.shard.behind_entries));
    let row = |one: ShardItem| -> Result<Row, CliError> {
        let shard = one.shard;
        Ok(Row {
            name: format!("{}/{}", one.site, shard.shard),
            cells: vec![
                one.site.clone(),
                shard.shard.to_string(),
                shard.head.to_string(),
                shard.applied.to_string(),
                human::count(shard.behind_entries),
                human::known(shard.behind_bytes, human::bytes),
                human::lag(shard.lag),
                shard.sent.to_string(),
                shard.received.to_string(),
                shard.merged.to_string(),
            ],
            item: item(&one)?,
        })
    };
    Ok(View {
        command: "lag-shards",
        site: Some(lag.site.clone()),
        columns: SHARD_COLUMNS,
        rows: items.into_iter().map(row).collect::<Result<_, _>>()?,
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

    #[test]
    fn shards_are_told_by_themselves_and_the_furthest_behind_comes_first() {
        let mut lag = lag();
        lag.sites[0].shards = [(3, 1), (17, 6), (203, 6)]
            .map(|(shard, behind_entries)| ShardLag {
                shard,
                behind_entries,
                ..ShardLag::default()
            })
            .to_vec();
        let names = |only| {
            let view = shards(&lag, only).unwrap();
            view.rows
                .into_iter()
                .map(|row| row.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["iad-2/17", "iad-2/203", "iad-2/3"]);
        assert_eq!(names(Some(203)), ["iad-2/203"]);
        let view = shards(&lag, Some(17)).unwrap();
        let json = render(&view, Format::Json, 0);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        crate::cli::schema::tests::assert_valid(&json);
    }

    #[test]
    fn a_lag_is_over_a_limit_or_below_it_or_not_known_to_be() {
        let cases = [
            (Lag::Known(60), None),
            (Lag::Known(61), Some(Exit::Critical)),
            (Lag::AtLeast(61), Some(Exit::Critical)),
            (Lag::AtLeast(1), Some(Exit::Warning)),
            (Lag::Unknown, Some(Exit::Warning)),
        ];
        for (lag, expected) in cases {
            assert_eq!(over(lag, 60), expected, "{lag:?}");
        }
    }
}
