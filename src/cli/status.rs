//! `cfs-repl status [SITE]`: the verdict, why, and what to do; then the numbers behind it.

use std::fmt::Write as _;

use serde_json::Value;

use super::columns::{Chosen, Column, Kind, nearest};
use super::exit::{CliError, CliResult, Exit, Failure};
use super::look::Look;
use super::reach::Reach;
use super::render::{Format, Row, View, paint};
use super::ui::Ui;
use super::watch::{self, WatchArgs};
use super::{Global, human};
use crate::admin::view::{Severity, SiteView, StatusView, Verdict, path_text};
use crate::text::printable;

/// Where the text of a cause begins, and that of the lines below the table.
const CAUSE_INDENT: usize = 9;
const LINE_INDENT: usize = 9;
/// Headings of the other sites.
const COLUMNS: &[Column] = &[
    Column::new("SITE").at("/site").holds(Kind::Text(12)),
    Column::new("STATE").at("/state").holds(Kind::State),
    Column::new("LAG").at("/lag_us"),
    Column::new("ENTRIES").at("/behind_entries").may_go(2),
    Column::new("BYTES").at("/behind_bytes").may_go(3),
    Column::new("WAITING").at("/waiting_entries").may_go(4),
    Column::new("PARKED").may_go(1),
    Column::new("SKEW").at("/clock_skew_us").may_go(5),
    Column::new("RTT").at("/round_trip_us").wide(),
    Column::new("UNNOTICED").at("/unnoticed_us").wide(),
    Column::new("ENDPOINT").at("/endpoint").wide(),
    Column::new("LAST ERROR").at("/last_error").wide(),
];

/// Show whether all is well, why not, and what to do
///
/// ENTRIES and BYTES: what the peer lacks, as in cfs-repl lag.
///
/// With --exit-code: 0 all is well, 20 worth a look, 21 needs a human.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Show this site alone
    site: Option<String>,
    /// Exit with 20 or 21 when something is wrong
    #[arg(long, conflicts_with = "watch")]
    exit_code: bool,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &StatusArgs) -> CliResult {
    let ask = |client: crate::admin::client::Client| async move { client.status().await };
    let asking = (global, &args.reach, &args.watch);
    watch::each(ui, asking, ask, |ui, mut status| {
        if let Some(site) = &args.site {
            narrow(&mut status, site)?;
        }
        show(ui, global.format(), &status)?;
        let exit = exit(&status);
        if args.exit_code && exit != Exit::Ok {
            return Err(CliError::Told(exit));
        }
        Ok(())
    })
}

fn show(ui: &mut Ui, format: Format, status: &StatusView) -> CliResult {
    match format {
        Format::Table | Format::Wide => {
            let text = text(status, format, &ui.look());
            ui.data(&text)
        }
        Format::Json | Format::Jsonl | Format::Yaml => ui.show(&whole(status)?),
        Format::Csv | Format::Name => ui.show(&sites(status)?),
    }
}

/// Leaves one site, and the causes that concern it.
pub(super) fn narrow(status: &mut StatusView, site: &str) -> CliResult {
    let names: Vec<&str> = status.sites.iter().map(|one| one.site.as_str()).collect();
    if !names.contains(&site) {
        return Err(no_site(site, &names).into());
    }
    status.sites.retain(|one| one.site == site);
    status
        .causes
        .retain(|cause| cause.site.as_deref() == Some(site));
    Ok(())
}

/// Says which sites there are, and which one was probably meant.
pub(super) fn no_site(site: &str, names: &[&str]) -> Failure {
    let failure = Failure::new(Exit::NotFound, format!("no site \"{site}\""));
    let failure = match names {
        [] => failure.cause("no peers are configured"),
        names => failure.cause(format!("peers are: {}", names.join(", "))),
    };
    match nearest(site, names.iter().copied()) {
        Some(name) => failure.hint(format!("did you mean {name}?")),
        None => failure.hint("cfs-repl status lists the sites"),
    }
}

/// The code for --exit-code: the worst cause decides.
fn exit(status: &StatusView) -> Exit {
    let worst = status.causes.iter().map(|cause| cause.severity).max();
    match (worst, status.verdict) {
        (Some(Severity::Critical), _) => Exit::Critical,
        (Some(Severity::Warning), _) | (None, Verdict::Unknown) => Exit::Warning,
        (
            None,
            Verdict::Ok
            | Verdict::CatchingUp
            | Verdict::Degraded
            | Verdict::Stalled
            | Verdict::Down,
        ) => Exit::Ok,
    }
}

/// One item that holds everything.
pub(super) fn whole(status: &StatusView) -> Result<View, CliError> {
    Ok(View {
        command: "status",
        site: Some(status.site.clone()),
        columns: &[],
        rows: vec![Row {
            name: status.site.clone(),
            cells: Vec::new(),
            item: item(status)?,
        }],
    })
}

/// One row for each peer.
fn sites(status: &StatusView) -> Result<View<Column>, CliError> {
    let row = |site: &SiteView| -> Result<Row, CliError> {
        Ok(Row {
            name: site.site.clone(),
            cells: cells(site),
            item: item(site)?,
        })
    };
    Ok(View {
        command: "status",
        site: Some(status.site.clone()),
        columns: COLUMNS,
        rows: status.sites.iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn cells(site: &SiteView) -> Vec<String> {
    vec![
        site.site.clone(),
        site.state.to_string(),
        human::lag(site.lag),
        human::known(site.behind_entries, human::count),
        human::known(site.behind_bytes, human::bytes),
        human::known(site.waiting_entries, human::count),
        human::count(site.parked.len() as u64),
        human::known(site.clock_skew_us, human::skew),
        human::known(site.round_trip_us, human::milliseconds),
        human::known(site.unnoticed_us, human::duration),
        site.endpoint.clone().unwrap_or_else(|| "-".to_owned()),
        site.last_error.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

/// The item of a row. A view always becomes JSON; should one not, that is a failure and no panic.
pub(super) fn item(view: &impl serde::Serialize) -> Result<Value, CliError> {
    serde_json::to_value(view).map_err(|error| {
        Failure::new(Exit::Failure, "cannot write the answer as JSON")
            .cause(error)
            .into()
    })
}

fn text(status: &StatusView, format: Format, look: &Look) -> String {
    let mut text = String::new();
    let verdict = status.verdict.word().to_ascii_uppercase();
    let mut line = |words: String| writeln!(text, "{}", words.trim_end()).unwrap_or_default();
    let verdict = look.state(&verdict, &verdict);
    line(format!("{verdict}  {}", printable(&status.summary)));
    for cause in &status.causes {
        let site = cause.site.as_deref().unwrap_or("here");
        let told = printable(&format!("  cause  {site}: {}", cause.text));
        line(look.fold(&told, CAUSE_INDENT));
        line(printable(&format!("  next   {}", cause.next)));
    }
    line(String::new());
    if let Ok(sites) = sites(status)
        && !sites.rows.is_empty()
    {
        line(paint(&sites, format, &Chosen::default(), look));
        line(String::new());
    }
    for site in &status.sites {
        for parked in &site.parked {
            let path = parked
                .path
                .as_deref()
                .map_or_else(|| format!("inode {}", parked.inode), path_text);
            let what = format!("parked   {path} of {}: {}", site.site, parked.reason);
            line(look.fold(&printable(&what), LINE_INDENT));
        }
    }
    line(look.fold(&journal_line(status), LINE_INDENT));
    line(look.fold(&printable(&tree_line(status, look)), LINE_INDENT));
    text
}

fn journal_line(status: &StatusView) -> String {
    let journal = &status.journal;
    let size = human::bytes(journal.bytes);
    let size = match journal.budget_bytes {
        Some(budget) => format!("{size} of {}", human::bytes(budget)),
        None => size,
    };
    let entries = human::count(journal.head_entries);
    let conflicts = format!(
        "{} of {} conflicts open",
        human::count(status.conflicts.open),
        human::count(status.conflicts.total)
    );
    let uptime = human::duration(status.uptime_us);
    format!(
        "journal  {size}, {entries} entries · {conflicts} · up {uptime} · v{}",
        printable(&status.version)
    )
}

fn tree_line(status: &StatusView, look: &Look) -> String {
    let tree = &status.tree;
    let scan = match tree.last_scan_us {
        Some(us) => format!("scanned {}", look.when(us)),
        None => "not scanned yet".to_owned(),
    };
    let mut text = format!(
        "tree     {} · {} · {scan}",
        path_text(&tree.root),
        tree.watch
    );
    let numbers = [
        (tree.parked, "parked"),
        (tree.fetching, "fetching content"),
        (tree.overtaken, "waiting for a newer version"),
        (tree.busy, "busy"),
        (tree.blocked, "blocked"),
        (tree.diverged, "diverged"),
        (tree.left_alone, "left alone"),
    ];
    for (number, what) in numbers.into_iter().filter(|(number, _)| *number > 0) {
        let part = format!(" · {} {what}", human::count(number));
        text.push_str(&part);
    }
    if let Some(path) = &tree.left_alone_first {
        text.push_str(&format!(" (such as {})", path_text(path)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::tests::status;

    #[test]
    fn the_text_tells_verdict_cause_next_step_and_numbers_and_steers_no_terminal() {
        let mut view = status();
        view.causes[0].text = "refused\u{1b}[2J".to_owned();
        view.sites[0].parked[0].path = Some(b"a\xff\x1b]0;x\x07".to_vec());
        assert_eq!(
            text(&view, Format::Table, &Look::plain(0)),
            "DEGRADED  1 of 2 peers not reached\n\
             \x20 cause  iad-2: refused\\u{1b}[2J\n\
             \x20 next   check it\n\
             \n\
             SITE   STATE    LAG     ENTRIES  BYTES    WAITING  PARKED  SKEW\n\
             iad-2  backoff  ≥2m14s  41,203   318 MiB  3        1       -14ms\n\
             sin-1  unknown  ?       ?        ?        ?        0       ?\n\
             \n\
             parked   a\\xff\\u{1b}]0;x\\u{7} of iad-2: name too long\n\
             journal  122 MiB of 20 GiB, 9,153,607 entries · 7 of 9 conflicts open · up 1.0s · v0.1.0\n\
             tree     /srv/media · inotify · scanned 2026-11-22T17:54:49.102113Z · 1 parked · 4 fetching content · 5 waiting for a newer version · 2 busy · 4 blocked · 3 diverged · 6 left alone (such as /srv/media/fifo)\n"
        );
    }

    #[test]
    fn one_site_is_shown_with_its_causes_alone() {
        let mut view = status();
        narrow(&mut view, "sin-1").unwrap();
        assert_eq!((view.sites.len(), view.causes.len()), (1, 0));
        let mut view = status();
        let Err(CliError::Failed(failure)) = narrow(&mut view, "sin1") else {
            panic!("taken");
        };
        assert_eq!(failure.exit, Exit::NotFound);
        assert_eq!(failure.hint.as_deref(), Some("did you mean sin-1?"));
        assert_eq!(failure.causes, ["peers are: iad-2, sin-1"]);
    }

    #[test]
    fn the_worst_cause_decides_the_exit_code() {
        let mut view = status();
        assert_eq!(exit(&view), Exit::Critical);
        view.causes[0].severity = Severity::Warning;
        assert_eq!(exit(&view), Exit::Warning);
        view.causes.clear();
        view.verdict = Verdict::CatchingUp;
        assert_eq!(exit(&view), Exit::Ok);
        view.verdict = Verdict::Unknown;
        assert_eq!(exit(&view), Exit::Warning);
    }
}
