//! `cfs-repl conflicts list|restore`: what lost, against what, and how it comes back.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::exit::{CliError, CliResult};
use super::reach::{self, Reach};
use super::render::{Row, View, printable};
use super::status::item;
use super::ui::Ui;
use super::{Global, human};
use crate::admin::client::Client;
use crate::admin::view::{ConflictView, VersionView, path_text};
use crate::clock::rfc3339;

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

/// Put what lost back, as a new change that goes to all sites
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
        Command::Restore(args) => restore(ui, global, args),
    }
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
                "c-bygtc5qnmf 2026-11-22T17:56:48.413000Z register plän.xlsx content sin-1 site 1 41ms 17.7 KiB ana",
                "c-bygtc5qnmf 2026-11-22T17:56:48.413000Z register \\u{1b}[2J\\u{202e}gpj.exe\\n content - site 1 - - -",
                "c-bygtc5qnmf 2026-11-22T17:56:48.413000Z register inode 14993 content - site 1 - - superseded",
            ]
        );
        assert_eq!(render(&view, Format::Name, 0).lines().count(), 3);
    }

    #[test]
    fn a_gap_is_told_as_finely_as_it_is_short() {
        assert_eq!(
            [gap(7), gap(41_193), gap(3_200_000)],
            ["7us", "41ms", "3.2s"]
        );
    }
}
