//! `cfs-repl sites list|show|resume|pause|reconnect|remove`: the other sites, one by one.

use super::columns::{Column, Kind, Listing};
use super::exit::{CliError, CliResult};
use super::look::Look;
use super::reach::{self, Reach};
use super::render::{Format, Row, View};
use super::status::{item, no_site};
use super::ui::Ui;
use super::watch::{self, WatchArgs};
use super::{Global, human};
use crate::admin::client::Client;
use crate::admin::view::{SiteView, StatusView, path_text};
use crate::text::printable;

mod act;

/// Parked inodes that are shown to people.
const PARKED_SHOWN: usize = 10;
/// Headings of the list.
const COLUMNS: &[Column] = &[
    Column::new("SITE").at("/site").holds(Kind::Text(12)),
    Column::new("ID").at("/site_id").may_go(3),
    Column::new("STATE").at("/state").holds(Kind::State),
    Column::new("ENDPOINT")
        .at("/endpoint")
        .holds(Kind::Text(20))
        .may_go(1),
    Column::new("RTT").at("/round_trip_us").may_go(4),
    Column::new("SKEW").at("/clock_skew_us").may_go(5),
    Column::new("LAST ERROR")
        .at("/last_error")
        .holds(Kind::Text(16))
        .may_go(2),
    Column::new("LAG").at("/lag_us").wide(),
    Column::new("WAITING").at("/waiting_entries").wide(),
    Column::new("PARKED").wide(),
    Column::new("PARKED THERE")
        .at("/parked_there_entries")
        .wide(),
    Column::new("HELD THERE").at("/held_there").wide(),
];

/// Look at the other sites, and act on them
#[derive(Debug, clap::Args)]
pub(super) struct SitesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(ListArgs),
    Show(ShowArgs),
    Resume(ResumeArgs),
    Pause(act::PauseArgs),
    Reconnect(act::ReconnectArgs),
    Remove(act::RemoveArgs),
}

/// List the other sites, and how they are reached
#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    listing: Listing,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    reach: Reach,
}

/// Show all that is known of one site
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Name of the site
    site: String,
    #[command(flatten)]
    reach: Reach,
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
    match &args.command {
        Command::List(args) => list(ui, global, args),
        Command::Show(args) => show(ui, global, args),
        Command::Resume(args) => resume(ui, global, args),
        Command::Pause(args) => act::pause(ui, global, args),
        Command::Reconnect(args) => act::reconnect(ui, global, args),
        Command::Remove(args) => act::remove(ui, global, args),
    }
}

fn list(ui: &mut Ui, global: &Global, args: &ListArgs) -> CliResult {
    let chosen = args.listing.chosen(COLUMNS, global.format())?;
    let ask = |client: Client| async move { client.status().await };
    let asking = (global, &args.reach, &args.watch);
    watch::each(ui, asking, ask, |ui, status| {
        ui.list(&view(&status, &status.sites)?, &chosen)
    })
}

fn status(global: &Global, reach: &Reach) -> Result<StatusView, CliError> {
    reach::ask(global, reach, |client: Client| async move {
        client.status().await
    })
}

fn show(ui: &mut Ui, global: &Global, args: &ShowArgs) -> CliResult {
    let status = status(global, &args.reach)?;
    let Some(site) = status.sites.iter().find(|one| one.site == args.site) else {
        let names: Vec<&str> = status.sites.iter().map(|one| one.site.as_str()).collect();
        return Err(no_site(&args.site, &names).into());
    };
    match global.format() {
        Format::Table | Format::Wide => ui.data(&text(&status, site, &ui.look())),
        Format::Json | Format::Jsonl | Format::Yaml | Format::Csv | Format::Name => {
            ui.show(&view(&status, std::slice::from_ref(site))?)
        }
    }
}

fn resume(ui: &mut Ui, global: &Global, args: &ResumeArgs) -> CliResult {
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

fn view(status: &StatusView, sites: &[SiteView]) -> Result<View<Column>, CliError> {
    let none = || "-".to_owned();
    let row = |site: &SiteView| -> Result<Row, CliError> {
        Ok(Row {
            name: site.site.clone(),
            cells: vec![
                site.site.clone(),
                site.site_id.to_string(),
                site.state.to_string(),
                endpoint(site),
                human::known(site.round_trip_us, human::milliseconds),
                human::known(site.clock_skew_us, human::skew),
                site.last_error.clone().unwrap_or_else(none),
                human::lag(site.lag),
                human::known(site.waiting_entries, human::count),
                human::count(site.parked.len() as u64),
                human::known(site.parked_there_entries, human::count),
                site.held_there.clone().unwrap_or_else(none),
            ],
            item: item(site)?,
        })
    };
    Ok(View {
        command: "sites",
        site: Some(status.site.clone()),
        columns: COLUMNS,
        rows: sites.iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn endpoint(site: &SiteView) -> String {
    let dials = || "it dials".to_owned();
    site.endpoint.clone().unwrap_or_else(dials)
}

fn text(status: &StatusView, site: &SiteView, look: &Look) -> String {
    let mut text = String::new();
    let mut line = |head: &str, what: &str| {
        let told = format!("{head:<11}{}", printable(what));
        text.push_str(told.trim_end());
        text.push('\n');
    };
    line("site", &format!("{}  number {}", site.site, site.site_id));
    let state = site.state.word();
    line("state", state);
    line("endpoint", &endpoint(site));
    let outstanding = format!(
        "lag {}, {} entries, {} not received",
        human::lag(site.lag),
        human::known(site.behind_entries, human::count),
        human::known(site.behind_bytes, human::bytes),
    );
    line("to it", &outstanding);
    let waiting = human::known(site.waiting_entries, human::count);
    line(
        "from it",
        &format!("{waiting} entries received and not applied here"),
    );
    let noticed = human::known(site.unnoticed_us, human::duration);
    line("noticed", &format!("all changes there up to {noticed} ago"));
    if let Some(us) = site.looking_us {
        let since = human::duration(us);
        line(
            "",
            &format!("it has been looking at its whole tree for {since}"),
        );
    }
    if let Some(us) = site.silent_us {
        line("heard", &format!("{} ago", human::duration(us)));
    }
    let round_trip = human::known(site.round_trip_us, human::milliseconds);
    let skew = human::known(site.clock_skew_us, human::skew);
    line(
        "clock",
        &format!("{skew} from the one here, round trip {round_trip}"),
    );
    if let Some(entries) = site.parked_there_entries.filter(|entries| *entries > 0) {
        line(
            "parked",
            &format!("{} entries cannot be applied there", human::count(entries)),
        );
    }
    for one in site.parked.iter().take(PARKED_SHOWN) {
        let inode = || format!("inode {}", one.inode);
        let path = one.path.as_deref().map_or_else(inode, path_text);
        line(
            "parked",
            &format!("{path} cannot be applied here: {}", one.reason),
        );
    }
    for cause in status
        .causes
        .iter()
        .filter(|cause| cause.site.as_ref() == Some(&site.site))
    {
        line("cause", &cause.text);
        line("next", &cause.next);
    }
    let plain = format!("\nstate      {state}\n");
    let painted = format!("\nstate      {}\n", look.state(state, state));
    text.replacen(&plain, &painted, 1)
}

#[cfg(test)]
mod tests {
    use super::super::render::render;
    use super::*;
    use crate::admin::view::tests::status;

    #[test]
    fn all_that_is_known_of_a_site_is_told_and_what_is_not_is_a_question_mark() {
        let status = status();
        let [known, unknown] = &status.sites[..] else {
            panic!("two sites");
        };
        assert_eq!(
            text(&status, known, &Look::plain(0)),
            "\
site       iad-2  number 2
state      backoff
endpoint   iad.example.net:7443
to it      lag ≥2m14s, 41,203 entries, 318 MiB not received
from it    3 entries received and not applied here
noticed    all changes there up to 0.4s ago
           it has been looking at its whole tree for 7.0s
heard      0.9s ago
clock      -14ms from the one here, round trip 81.0ms
parked     2 entries cannot be applied there
parked     a\\xff/b\\n cannot be applied here: name too long
cause      not connected: refused
next       check it
"
        );
        let told = text(&status, unknown, &Look::plain(0));
        assert!(
            told.contains("lag ?, ? entries, ? not received\n"),
            "{told}"
        );
        assert!(told.contains("endpoint   it dials\n"), "{told}");
    }

    #[test]
    fn the_list_says_how_each_site_is_reached() {
        let status = status();
        let view = view(&status, &status.sites).unwrap();
        let text = render(&view, Format::Table, 0);
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "SITE ID STATE ENDPOINT RTT SKEW LAST ERROR",
                "iad-2 2 backoff iad.example.net:7443 81.0ms -14ms refused",
                "sin-1 3 unknown it dials ? ? -",
            ]
        );
    }
}
