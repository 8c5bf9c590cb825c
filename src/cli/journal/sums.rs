//! `cfs-repl journal stat` and `verify`: whole logs, in numbers and checked.

use super::{At, not_there};
use crate::admin::view::journal::{LogView, VerifyView};
use crate::admin::view::path_text;
use crate::cli::exit::{CliError, CliResult, Exit, Failure};
use crate::cli::human;
use crate::cli::render::{Format, Row, View};
use crate::cli::status::item;
use crate::cli::ui::Ui;
use crate::clock::rfc3339;

/// Show every log in numbers, and what stands in it by operation
///
/// BYTES of a log are those of its files, which are taken ahead; those of an operation are its entries.
#[derive(Debug, clap::Args)]
pub(super) struct StatArgs {
    #[command(flatten)]
    at: At,
}

/// Check every record of every log
///
/// Its checksum, its place in the order of its shard, the checkpoints between, and the chain of batches. Tells where the
/// first damage is, what it means and what to do, and exits with 1. A commit that is being written, or that a crash cut
/// off, is no damage.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    at: At,
}

pub(super) fn stat(ui: &mut Ui, format: Format, args: &StatArgs) -> CliResult {
    let logs = args.at.logs()?;
    let (mut views, mut damage) = (Vec::new(), None);
    for log in args.at.listed(&logs)? {
        let log = logs.open(&log).map_err(not_there)?;
        views.push(log.stat()?);
        damage = damage.or(log.into_damage());
    }
    ui.show(&numbers(&views)?)?;
    if format.is_for_people() && views.iter().any(|view| !view.ops.is_empty()) {
        ui.data("\n")?;
        ui.show(&by_op(&views))?;
    }
    damage.map_or(Ok(()), |damage| Err(damage.into()))
}

fn named(site: Option<&String>, site_id: Option<u64>) -> String {
    let number = || human::known(site_id, |id| format!("site {id}"));
    site.cloned().unwrap_or_else(number)
}

fn numbers(views: &[LogView]) -> Result<View, CliError> {
    let at = |us: Option<u64>| us.and_then(rfc3339).unwrap_or_else(|| "-".to_owned());
    let row = |view: &LogView| -> Result<Row, CliError> {
        let site = named(view.site.as_ref(), Some(view.site_id));
        Ok(Row {
            name: site.clone(),
            cells: vec![
                view.kind.to_string(),
                site,
                view.segments.to_string(),
                human::bytes(view.bytes),
                view.streams.to_string(),
                human::count(view.entries),
                at(view.oldest_us),
                at(view.newest_us),
                view.first_position.to_string(),
            ],
            item: item(view)?,
        })
    };
    Ok(View {
        command: "journal-stat",
        site: None,
        columns: &[
            "LOG", "SITE", "FILES", "BYTES", "SHARDS", "ENTRIES", "OLDEST", "NEWEST", "FROM",
        ],
        rows: views.iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn by_op(views: &[LogView]) -> View {
    let rows = views.iter().flat_map(|view| {
        view.ops.iter().map(|op| Row {
            name: op.op.clone(),
            cells: vec![
                view.kind.to_string(),
                named(view.site.as_ref(), Some(view.site_id)),
                op.op.clone(),
                human::count(op.entries),
                human::bytes(op.entry_bytes),
            ],
            item: serde_json::Value::Null,
        })
    });
    View {
        command: "journal-stat",
        site: None,
        columns: &["LOG", "SITE", "OP", "ENTRIES", "BYTES"],
        rows: rows.collect(),
    }
}

pub(super) fn verify(ui: &mut Ui, args: &VerifyArgs) -> CliResult {
    let logs = args.at.logs()?;
    let mut views = Vec::new();
    for log in args.at.listed(&logs)? {
        views.push(logs.verify(&log).map_err(not_there)?);
    }
    ui.show(&checked(&views)?)?;
    verdict(&views).map_or(Ok(()), |failure| Err(failure.into()))
}

fn checked(views: &[VerifyView]) -> Result<View, CliError> {
    let row = |view: &VerifyView| -> Result<Row, CliError> {
        let site = named(view.site.as_ref(), view.site_id);
        let verdict = if view.sound { "sound" } else { "DAMAGED" };
        Ok(Row {
            name: site.clone(),
            cells: vec![
                view.kind.to_string(),
                site,
                verdict.to_owned(),
                human::known(view.entries, human::count),
                human::known(view.checked_bytes, human::bytes),
                human::known(view.torn_bytes, human::bytes),
            ],
            item: item(view)?,
        })
    };
    Ok(View {
        command: "journal-verify",
        site: None,
        columns: &["LOG", "SITE", "RESULT", "ENTRIES", "BYTES", "UNFINISHED"],
        rows: views.iter().map(row).collect::<Result<_, _>>()?,
    })
}

/// What to tell of damage; none when there is none.
fn verdict(views: &[VerifyView]) -> Option<Failure> {
    let damaged = views
        .iter()
        .filter_map(|view| Some((view, view.damage.as_ref()?)));
    let damaged: Vec<_> = damaged.collect();
    let (_, first) = damaged.first()?;
    let (count, all) = (damaged.len(), views.len());
    let message = format!("{count} of {all} logs damaged");
    let mut failure = Failure::new(Exit::Failure, message);
    for (view, damage) in &damaged {
        let site = named(view.site.as_ref(), view.site_id);
        let (file, offset) = (path_text(&damage.file), damage.offset_bytes);
        let reason = &damage.reason;
        failure = failure.cause(format!(
            "{} of {site}: {file}, offset {offset}: {reason}",
            view.kind
        ));
        failure = failure.cause(&damage.meaning);
    }
    Some(failure.hint(&first.next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::journal::tests::{log, verified};
    use crate::cli::render::render;

    #[test]
    fn logs_are_told_in_numbers() {
        let unnamed = LogView {
            site: None,
            site_id: 9,
            oldest_us: None,
            newest_us: None,
            ops: Vec::new(),
            ..log()
        };
        let text = render(
            &numbers(&[log(), unnamed.clone()]).unwrap(),
            Format::Table,
            0,
        );
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "LOG SITE FILES BYTES SHARDS ENTRIES OLDEST NEWEST FROM",
                "received iad-2 3 192 MiB 256 41,203 2026-11-22T17:56:48.411204Z 2026-11-22T17:56:48.411205Z 0",
                "received site 9 3 192 MiB 256 41,203 - - 0",
            ]
        );
        let text = render(&by_op(&[log(), unnamed]), Format::Table, 0);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.contains("received  iad-2  write   41,000   3.9 MiB"),
            "{text}"
        );
    }

    #[test]
    fn damage_is_told_with_place_meaning_and_what_to_do_and_soundness_is_silent() {
        let sound = VerifyView {
            sound: true,
            damage: None,
            ..verified()
        };
        assert!(verdict(std::slice::from_ref(&sound)).is_none());
        let failure = verdict(&[sound.clone(), verified()]).unwrap();
        assert_eq!(failure.exit, Exit::Failure);
        assert_eq!(failure.message, "1 of 2 logs damaged");
        assert_eq!(
            failure.causes,
            [
                "journal of fra-1: /state/journal/0.seg, offset 1048: crc",
                "what stands behind it is not read"
            ]
        );
        assert_eq!(failure.hint.as_deref(), Some("look at the disk"));
        let text = render(&checked(&[sound, verified()]).unwrap(), Format::Table, 0);
        assert!(text.contains("sound") && text.contains("DAMAGED"), "{text}");
    }
}
