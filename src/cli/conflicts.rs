//! `cfs-repl conflicts list|show|ack|unack|restore|watch`: what lost, against what, that somebody looked at it, and how it
//! comes back.

use std::ffi::OsString;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::columns::{Chosen, Column, Kind, Listing};
use super::exit::{CliError, CliResult, Exit, Failure};
use super::look::Look;
use super::reach::{self, Reach};
use super::render::{Row, View};
use super::status::item;
use super::ui::Ui;
use super::watch::{self as again, WatchArgs};
use super::{Global, human, parse_duration};
use crate::admin::client::{Client, FoundConflicts};
use crate::admin::filter::{AckRequest, ConflictFilter, RestoreRequest};
use crate::admin::view::{AckedView, ConflictView, VersionView, path_text};
use crate::clock::{Clock as _, SystemClock, micros, rfc3339};
use crate::text::printable;

mod diff;
mod show;
pub(super) mod watch;

/// A large loser is copied, or fetched from another site; the daemon gives up after the same time.
const LOSER_MAX: Duration = Duration::from_secs(300);
/// Rows that are made of an answer at a time: each is some KiB before its text is.
const SHOWN_AT_ONCE: usize = 1_000;
/// Headings of lists.
const COLUMNS: &[Column] = &[
    Column::new("ID").at("/id"),
    Column::new("DETECTED")
        .at("/detected_us")
        .holds(Kind::Time("AGE"))
        .may_go(1),
    Column::new("KIND").at("/kind").may_go(6),
    Column::new("PATH").at("/path").holds(Kind::Path(20)),
    Column::new("REGISTER").at("/register").may_go(5),
    Column::new("WINNER")
        .at("/winner/site")
        .holds(Kind::Text(8))
        .may_go(2),
    Column::new("LOSER")
        .at("/loser/site")
        .holds(Kind::Text(8))
        .may_go(2),
    Column::new("GAP").at("/gap_us").may_go(4),
    Column::new("LOST").at("/lost_bytes").may_go(3),
    Column::new("ACK")
        .at("/ack/by")
        .holds(Kind::Text(10))
        .may_go(1),
    Column::new("INODE").at("/inode").wide(),
    Column::new("WINNER AT")
        .at("/winner/timestamp_us")
        .holds(Kind::Time("WINNER AGE"))
        .wide(),
    Column::new("LOSER AT")
        .at("/loser/timestamp_us")
        .holds(Kind::Time("LOSER AGE"))
        .wide(),
    Column::new("NOTE").at("/ack/note").wide(),
];

/// See what lost where two sites changed the same thing, and bring it back
#[derive(Debug, clap::Args)]
pub(super) struct ConflictsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(ListArgs),
    Show(show::ShowArgs),
    Ack(AckArgs),
    Unack(UnackArgs),
    Restore(RestoreArgs),
    Watch(watch::WatchArgs),
}

/// Which conflicts are meant: those for which everything holds that is given
#[derive(Debug, Clone, Default, clap::Args)]
struct FilterArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Only those that were noticed within this time
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    since: Option<Duration>,
}

/// What they are about
#[derive(Debug, Clone, Default, clap::Args)]
struct WhichArgs {
    /// Only those in which bytes lost
    #[arg(long)]
    lossy: bool,
    /// Only those in which this site wrote one of the versions
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Only those with a path below the root like this: * within a name, ** for any directories
    #[arg(long, value_name = "GLOB")]
    path: Option<String>,
    /// Only those of this inode
    #[arg(long, value_name = "NUMBER")]
    inode: Option<u64>,
}

impl WhichArgs {
    fn filter(&self) -> ConflictFilter {
        ConflictFilter {
            lossy: self.lossy,
            site: self.site.clone(),
            path: self.path.clone(),
            inode: self.inode,
            ..ConflictFilter::default()
        }
    }
}

impl FilterArgs {
    fn filter(&self) -> ConflictFilter {
        let since = self.since.map(|since| {
            let now_us = SystemClock.now_us();
            now_us.saturating_sub(micros(since))
        });
        ConflictFilter {
            since_us: since,
            ..self.which.filter()
        }
    }

    fn is_given(&self) -> bool {
        !self.filter().is_empty()
    }
}

/// List conflicts, oldest first
///
/// With --limit and without --sort: the latest ones.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those that still matter and nobody acknowledged
    #[arg(long)]
    unacked: bool,
    /// Only those that somebody acknowledged
    #[arg(long, conflicts_with = "unacked")]
    acked: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    listing: Listing,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    reach: Reach,
}

/// Acknowledge conflicts: somebody looked at them. Shows at all sites and discards nothing
#[derive(Debug, clap::Args)]
struct AckArgs {
    /// Ids of conflicts, or beginnings of ids; - reads them from standard input
    #[arg(required_unless_present = "all", value_name = "ID")]
    ids: Vec<String>,
    /// All that are open, or of these those for which everything holds that is given besides
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// How many --all has to mean, or nothing is done
    #[arg(long, value_name = "NUMBER")]
    expect: Option<u64>,
    /// Do it however many --all means
    #[arg(long, conflicts_with = "expect")]
    yes: bool,
    /// Why, for whoever looks next
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Take the acknowledgement of conflicts back, at all sites
#[derive(Debug, clap::Args)]
struct UnackArgs {
    /// Ids of conflicts, or beginnings of ids; - reads them from standard input
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Put what lost back, as a new change; it goes to all sites, unless this one only receives
#[derive(Debug, clap::Args)]
struct RestoreArgs {
    /// Id of the conflict, or the beginning of one
    id: String,
    /// Where to put it, as a path below the root; where it was, if not given
    #[arg(long = "as", value_name = "PATH")]
    as_path: Option<OsString>,
    /// Put it there although what stands there is later than what won; that goes to the trash
    #[arg(long, conflicts_with = "as_path")]
    over_later: bool,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &ConflictsArgs) -> CliResult {
    match &args.command {
        Command::List(args) => list(ui, global, args),
        Command::Show(args) => show::run(ui, global, args),
        Command::Ack(args) => ack(ui, global, args),
        Command::Unack(args) => unack(ui, global, args),
        Command::Restore(args) => restore(ui, global, args),
        Command::Watch(args) => watch::run(ui, global, args),
    }
}

fn ack(ui: &mut Ui, global: &Global, args: &AckArgs) -> CliResult {
    if (args.filter.is_given() || args.expect.is_some() || args.yes) && !args.all {
        let failure = Failure::new(Exit::Usage, "what --all means is told without --all");
        return Err(failure.hint("add --all, or leave the ids alone").into());
    }
    if args.all && !(args.dry_run || args.yes) && args.expect.is_none() {
        let failure = Failure::new(Exit::Usage, "--all acknowledges what nobody may have seen");
        let hint = "say how many there are: --expect NUMBER; or --dry-run to see them, or --yes";
        return Err(failure.hint(hint).into());
    }
    let ids = ids(&args.ids, std::io::stdin().lock())?;
    if ids.is_empty() && !args.all {
        return Ok(());
    }
    let all = args.all.then(|| ConflictFilter {
        open: true,
        ..args.filter.filter()
    });
    let wanted = AckRequest {
        ids,
        filter: all,
        expect: args.expect,
        note: args.note.clone(),
        dry_run: args.dry_run,
        undo: false,
    };
    let ask = |client: Client| async move { client.ack(wanted).await };
    for acked in reach::ask(global, &args.reach, ask)? {
        ui.say(&printable(&told(&acked, args.dry_run, &ui.look())));
    }
    Ok(())
}

fn unack(ui: &mut Ui, global: &Global, args: &UnackArgs) -> CliResult {
    let ids = ids(&args.ids, std::io::stdin().lock())?;
    if ids.is_empty() {
        return Ok(());
    }
    let wanted = AckRequest {
        ids,
        dry_run: args.dry_run,
        undo: true,
        ..AckRequest::default()
    };
    let ask = |client: Client| async move { client.ack(wanted).await };
    for AckedView { id, changed, .. } in reach::ask(global, &args.reach, ask)? {
        ui.say(&match (changed, args.dry_run) {
            (true, true) => format!("would take back the acknowledgement of {id}"),
            (true, false) => format!("took back the acknowledgement of {id}"),
            (false, _) => format!("{id} is not acknowledged"),
        });
    }
    Ok(())
}

/// The ids as given, with those of `input` in the place of a dash.
fn ids(given: &[String], input: impl BufRead) -> Result<Vec<String>, CliError> {
    let mut ids = Vec::new();
    let mut input = Some(input);
    for id in given {
        match (id.as_str(), input.take_if(|_| id == "-")) {
            ("-", Some(input)) => {
                for line in input.lines() {
                    let line = line.map_err(|error| {
                        Failure::new(Exit::Failure, "cannot read ids from standard input")
                            .cause(error)
                    })?;
                    ids.extend(line.split_whitespace().map(str::to_owned));
                }
            }
            ("-", None) => {}
            _ => ids.push(id.clone()),
        }
    }
    Ok(ids)
}

fn told(acked: &AckedView, dry_run: bool, look: &Look) -> String {
    let id = &acked.id;
    let Some(ack) = &acked.ack else {
        return format!("{id} is not acknowledged");
    };
    if acked.changed {
        let verb = if dry_run {
            "would acknowledge"
        } else {
            "acknowledged"
        };
        return format!("{verb} {id} as {}", ack.by);
    }
    let at = look.at(ack.at_us);
    let note = if ack.note.is_empty() {
        String::new()
    } else {
        format!(" (\"{}\")", ack.note)
    };
    format!("already acknowledged: {id} by {} at {at}{note}", ack.by)
}

fn list(ui: &mut Ui, global: &Global, args: &ListArgs) -> CliResult {
    let chosen = args.listing.chosen(COLUMNS, global.format())?;
    if !args.watch.is_given() {
        return list_by_page(ui, global, args, &chosen);
    }
    let ask = |client: Client| {
        // Made anew each time: what was noticed within a time is counted from now.
        let filter = args.filter();
        let limit = chosen.limit_of_source();
        async move { client.conflicts(filter, limit).await }
    };
    let asking = (global, &args.reach, &args.watch);
    again::each(ui, asking, ask, |ui, found| {
        let mut sink = ui.sink(&chosen);
        ui.page(&mut sink, &view(found.site.clone(), &[])?)?;
        for page in found.conflicts.chunks(SHOWN_AT_ONCE) {
            ui.page(&mut sink, &view(found.site.clone(), page)?)?;
        }
        ui.end(sink, found.found)
    })
}

impl ListArgs {
    fn filter(&self) -> ConflictFilter {
        ConflictFilter {
            open: self.unacked,
            acked: self.acked,
            ..self.filter.filter()
        }
    }
}

/// The daemon is asked once: memory holds one page, and what the format has to keep.
fn list_by_page(ui: &mut Ui, global: &Global, args: &ListArgs, chosen: &Chosen) -> CliResult {
    let mut sink = ui.sink(chosen);
    let (mut found, mut printed) = (0, Ok(()));
    let mut print = |page: FoundConflicts| {
        found = page.found;
        let rows = view(page.site, &page.conflicts);
        printed = rows.and_then(|rows| ui.page(&mut sink, &rows));
        printed.is_ok()
    };
    let print = &mut print;
    let ask = |client: Client| async move {
        let limit = chosen.limit_of_source();
        client.conflict_pages(args.filter(), limit, print).await
    };
    reach::ask(global, &args.reach, ask).map_err(|error| sink.broken_off(error))?;
    printed?;
    ui.end(sink, found)
}

fn restore(ui: &mut Ui, global: &Global, args: &RestoreArgs) -> CliResult {
    let wanted = RestoreRequest {
        id: &args.id,
        as_path: args.as_path.as_deref().map(OsStrExt::as_bytes),
        over_later: args.over_later,
    };
    let ask = |client: Client| async move {
        let client = client.patient(LOSER_MAX);
        client.restore(wanted).await
    };
    let restored = reach::ask(global, &args.reach, ask)?;
    let text = format!("restored {} as {}", restored.id, path_text(&restored.path));
    ui.say(&printable(&text));
    Ok(())
}

pub(super) fn view(site: String, conflicts: &[ConflictView]) -> Result<View<Column>, CliError> {
    let row = |conflict: &ConflictView| -> Result<Row, CliError> {
        Ok(Row {
            name: conflict.id.clone(),
            cells: cells(conflict),
            item: item(conflict)?,
        })
    };
    Ok(View {
        command: "conflicts",
        site: Some(site),
        columns: COLUMNS,
        rows: conflicts.iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn cells(conflict: &ConflictView) -> Vec<String> {
    let none = || "-".to_owned();
    let at = |us| human::known(rfc3339(us), |text| text);
    let winner_at = conflict.winner.as_ref().map(|winner| winner.timestamp_us);
    let note = conflict.ack.as_ref().map(|ack| ack.note.as_str());
    let note = note.filter(|note| !note.is_empty());
    let ack = match &conflict.ack {
        Some(ack) => ack.by.clone(),
        None if conflict.superseded => "superseded".to_owned(),
        None => none(),
    };
    vec![
        conflict.id.clone(),
        at(conflict.detected_us),
        conflict.kind.clone(),
        shown_path(conflict),
        conflict.register.clone(),
        conflict.winner.as_ref().map_or_else(none, author),
        author(&conflict.loser),
        conflict.gap_us.map_or_else(none, gap),
        conflict.lost_bytes.map_or_else(none, human::bytes),
        ack,
        conflict.inode.to_string(),
        winner_at.map_or_else(none, at),
        at(conflict.loser.timestamp_us),
        note.map_or_else(none, str::to_owned),
    ]
}

/// The path, or what stands for it.
fn shown_path(conflict: &ConflictView) -> String {
    let inode = || format!("inode {}", conflict.inode);
    let path = conflict.path.as_deref().map_or_else(inode, path_text);
    if conflict.gone {
        format!("{path} (gone)")
    } else {
        path
    }
}

fn author(version: &VersionView) -> String {
    let name = version.site.clone();
    name.unwrap_or_else(|| format!("site {}", version.site_id))
}

/// Many gaps are far below a second, and how far is what an operator wants to know.
fn gap(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..1_000_000 => format!("{}ms", us / 1_000),
        1_000_000.. => human::duration(us),
    }
}

#[cfg(test)]
mod tests {
    use super::super::render::{Format, render};
    use super::*;
    use crate::admin::view::tests::conflict;

    #[test]
    fn the_table_tells_what_lost_and_hostile_names_steer_no_terminal() {
        let hostile = ConflictView {
            path: Some("\u{1b}[2J\u{202e}gpj.exe\n".into()),
            winner: None,
            gap_us: None,
            lost_bytes: None,
            ack: None,
            gone: false,
            ..conflict()
        };
        let pathless = ConflictView {
            path: None,
            superseded: true,
            ..hostile.clone()
        };
        let view = view("fra-1".to_owned(), &[conflict(), hostile, pathless]).unwrap();
        let text = render(&view, Format::Table, 0);
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "ID DETECTED KIND PATH REGISTER WINNER LOSER GAP LOST ACK",
                "c-bygtc5qnmf 2026-11-22T17:56:48.413000Z register plän.xlsx (gone) content sin-1 site 1 41ms 17.7 KiB ana",
                "c-bygtc5qnmf 2026-11-22T17:56:48.413000Z register \\u{1b}[2J\\u{202e}gpj.exe\\n content - site 1 - - -",
                "c-bygtc5qnmf 2026-11-22T17:56:48.413000Z register inode 14993 content - site 1 - - superseded",
            ]
        );
        assert_eq!(render(&view, Format::Name, 0).lines().count(), 3);
    }

    #[test]
    fn ids_come_from_the_command_line_and_in_the_place_of_a_dash_from_the_input() {
        let given = ["c-a", "-", "c-d", "-"].map(str::to_owned);
        let read = ids(&given, &b"c-b\n\n c-c \n"[..]).unwrap();
        assert_eq!(read, ["c-a", "c-b", "c-c", "c-d"]);
    }

    #[test]
    fn an_acknowledgement_is_told_and_a_second_one_says_who_was_first() {
        let mut acked = AckedView {
            id: "c-a".to_owned(),
            changed: true,
            ack: Some(crate::admin::view::AckView {
                by: "ana".to_owned(),
                note: "right".to_owned(),
                at_us: 1_795_370_089_102_113,
            }),
        };
        assert_eq!(
            told(&acked, false, &Look::plain(0)),
            "acknowledged c-a as ana"
        );
        assert_eq!(
            told(&acked, true, &Look::plain(0)),
            "would acknowledge c-a as ana"
        );
        acked.changed = false;
        assert_eq!(
            told(&acked, false, &Look::plain(0)),
            "already acknowledged: c-a by ana at 2026-11-22T17:54:49.102113Z (\"right\")"
        );
    }

    #[test]
    fn a_gap_is_told_as_finely_as_it_is_short() {
        assert_eq!(
            [gap(7), gap(41_193), gap(3_200_000)],
            ["7us", "41ms", "3.2s"]
        );
    }
}
