//! `cfs-repl conflicts list|ack|restore`: what lost, against what, that somebody looked at it, and how it comes back.

use std::ffi::OsString;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::exit::{CliError, CliResult, Exit, Failure};
use super::reach::{self, Reach};
use super::render::{Row, View};
use super::status::item;
use super::ui::Ui;
use super::{Global, human};
use crate::admin::client::Client;
use crate::admin::view::{AckedView, ConflictView, VersionView, path_text};
use crate::clock::rfc3339;
use crate::text::printable;

/// A large loser is copied, or fetched from another site; the daemon gives up after the same time.
const RESTORE_MAX: Duration = Duration::from_secs(300);

/// See what lost where two sites changed the same thing, and bring it back
#[derive(Debug, clap::Args)]
pub(super) struct ConflictsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(ListArgs),
    Ack(AckArgs),
    Restore(RestoreArgs),
}

/// List conflicts, oldest first
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those that still matter and nobody acknowledged
    #[arg(long)]
    unacked: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Acknowledge conflicts: somebody looked at them. Shows at all sites and discards nothing
#[derive(Debug, clap::Args)]
struct AckArgs {
    /// Ids of conflicts, or beginnings of ids; - reads them from standard input
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Why, for whoever looks next
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
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
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &ConflictsArgs) -> CliResult {
    match &args.command {
        Command::List(args) => list(ui, global, args),
        Command::Ack(args) => ack(ui, global, args),
        Command::Restore(args) => restore(ui, global, args),
    }
}

fn ack(ui: &mut Ui, global: &Global, args: &AckArgs) -> CliResult {
    let ids = ids(&args.ids, std::io::stdin().lock())?;
    if ids.is_empty() {
        return Ok(());
    }
    let (note, dry_run) = (args.note.as_str(), args.dry_run);
    let ask = |client: Client| async move { client.ack(&ids, note, dry_run).await };
    for acked in reach::ask(global, &args.reach, ask)? {
        ui.say(&printable(&told(&acked, dry_run)));
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

fn told(acked: &AckedView, dry_run: bool) -> String {
    let (id, ack) = (&acked.id, &acked.ack);
    if acked.changed {
        let verb = if dry_run {
            "would acknowledge"
        } else {
            "acknowledged"
        };
        return format!("{verb} {id} as {}", ack.by);
    }
    let at = human::known(rfc3339(ack.at_us), |text| text);
    let note = if ack.note.is_empty() {
        String::new()
    } else {
        format!(" (\"{}\")", ack.note)
    };
    format!("already acknowledged: {id} by {} at {at}{note}", ack.by)
}

fn list(ui: &mut Ui, global: &Global, args: &ListArgs) -> CliResult {
    let unacked = args.unacked;
    let ask = |client: Client| async move { client.conflicts(unacked).await };
    let (site, conflicts) = reach::ask(global, &args.reach, ask)?;
    ui.show(&view(site, &conflicts)?)
}

fn restore(ui: &mut Ui, global: &Global, args: &RestoreArgs) -> CliResult {
    let path = args.as_path.as_deref().map(OsStrExt::as_bytes);
    let ask = |client: Client| async move {
        let client = client.patient(RESTORE_MAX);
        client.restore(&args.id, path).await
    };
    let restored = reach::ask(global, &args.reach, ask)?;
    let text = format!("restored {} as {}", restored.id, path_text(&restored.path));
    ui.say(&printable(&text));
    Ok(())
}

fn view(site: String, conflicts: &[ConflictView]) -> Result<View, CliError> {
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
        columns: &[
            "ID", "DETECTED", "KIND", "PATH", "REGISTER", "WINNER", "LOSER", "GAP", "LOST", "ACK",
        ],
        rows: conflicts.iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn cells(conflict: &ConflictView) -> Vec<String> {
    let path = conflict
        .path
        .as_deref()
        .map_or_else(|| format!("inode {}", conflict.inode), path_text);
    let path = if conflict.gone {
        format!("{path} (gone)")
    } else {
        path
    };
    let none = || "-".to_owned();
    let ack = match &conflict.ack {
        Some(ack) => ack.by.clone(),
        None if conflict.superseded => "superseded".to_owned(),
        None => none(),
    };
    vec![
        conflict.id.clone(),
        human::known(rfc3339(conflict.detected_us), |text| text),
        conflict.kind.clone(),
        path,
        conflict.register.clone(),
        conflict.winner.as_ref().map_or_else(none, author),
        author(&conflict.loser),
        conflict.gap_us.map_or_else(none, gap),
        conflict.lost_bytes.map_or_else(none, human::bytes),
        ack,
    ]
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
            ack: crate::admin::view::AckView {
                by: "ana".to_owned(),
                note: "right".to_owned(),
                at_us: 1_795_370_089_102_113,
            },
        };
        assert_eq!(told(&acked, false), "acknowledged c-a as ana");
        assert_eq!(told(&acked, true), "would acknowledge c-a as ana");
        acked.changed = false;
        assert_eq!(
            told(&acked, false),
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
