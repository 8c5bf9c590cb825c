//! `cfs-repl compare`: whether two trees are the same in everything that replication promises to keep.
//!
//! The differences are data, the verdict is talk, and the exit code says it to scripts. Trees that change meanwhile
//! give an answer about no moment in time.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::columns::{Column, Kind};
use super::exit::{CliError, CliResult, Exit};
use super::human;
use super::render::{Row, View};
use super::status::item;
use super::ui::Ui;
use crate::admin::view::{hex_unless_text, path_text};
use crate::tree::compare::{self, Comparison, Difference};

/// Differences that are listed unless told otherwise: a screen.
pub(super) const SHOWN: usize = 20;
/// Headings of the list.
const COLUMNS: &[Column] = &[
    Column::new("PATH").at("/path").holds(Kind::Path(24)),
    Column::new("FIELD").at("/field"),
    Column::new("A").at("/a").holds(Kind::Text(12)),
    Column::new("B").at("/b").holds(Kind::Text(12)),
];

/// Compare two directory trees
///
/// Names, types, content, holes, modes, owners, times of files and links, user attributes, targets, and which names
/// are hard links of each other. Left out: times of directories, access times, and .cfs-repl at the top. Special files,
/// set-uid and set-gid bits, and space that is taken and not written are compared too, and marked as not replicated. Exits with 0 when the trees are equal, with
/// 9 when they differ, and with 1 when that could not be found out.
#[derive(Debug, clap::Args)]
pub(super) struct CompareArgs {
    /// One tree
    #[arg(value_name = "DIR_A")]
    left: PathBuf,
    /// The other tree
    #[arg(value_name = "DIR_B")]
    right: PathBuf,
    /// How many differences to list; all are counted
    #[arg(long, value_name = "N", default_value_t = SHOWN)]
    show: usize,
}

/// A difference.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DifferenceItem {
    /// Where, below the roots: a byte that is no UTF-8 stands as \\xNN.
    path: String,
    /// The bytes of the path in hexadecimal; null where the text is all of them.
    path_hex: Option<String>,
    /// In what.
    field: String,
    /// What it is in the one tree.
    a: String,
    /// What it is in the other one.
    b: String,
}

pub(super) fn run(ui: &mut Ui, args: &CompareArgs) -> CliResult {
    show(ui, &args.left, &args.right, args.show)
}

/// Compares the trees in full, prints the first `keep` differences, and fails when there are any.
pub(super) fn show(ui: &mut Ui, left: &Path, right: &Path, keep: usize) -> CliResult {
    let found = compare::compare(left, right, keep)?;
    // A script wants a document even when it is empty; a person wants the verdict alone.
    if ui.is_json() || !found.first.is_empty() {
        ui.show(&view(&found)?)?;
    }
    ui.say(&verdict(&found));
    if found.is_equal() {
        Ok(())
    } else {
        Err(CliError::Told(Exit::Differs))
    }
}

/// The outcome in one line.
pub(super) fn verdict(found: &Comparison) -> String {
    let (names, bytes, differing) = (found.names, human::bytes(found.bytes), found.differing);
    if found.is_equal() {
        return format!("equal: {names} names, {bytes} hashed");
    }
    let mut line = format!(
        "different: {differing} differences in {names} names, {} listed",
        found.first.len()
    );
    if found.not_replicated > 0 {
        let of_all = found.not_replicated;
        line += &format!("; {of_all} in what is not replicated");
    }
    line
}

fn view(found: &Comparison) -> Result<View<Column>, CliError> {
    Ok(View {
        command: "compare",
        site: None,
        columns: COLUMNS,
        rows: found.first.iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn row(difference: &Difference) -> Result<Row, CliError> {
    let path = path_text(&difference.path);
    let (field, a, b) = (difference.field, &difference.left, &difference.right);
    Ok(Row {
        name: path.clone(),
        cells: vec![path.clone(), field.to_owned(), a.clone(), b.clone()],
        item: item(&DifferenceItem {
            path_hex: hex_unless_text(&difference.path),
            path,
            field: field.to_owned(),
            a: a.clone(),
            b: b.clone(),
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::Format;
    use crate::cli::ui::tests::captured;
    use std::fs;

    fn compared(format: Format, plant: bool, keep: usize) -> (Exit, String, String) {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        if plant {
            for name in ["one", "two", "three"] {
                fs::write(a.path().join(name), b"only here").unwrap();
            }
        }
        let (mut ui, data, talk) = captured(format);
        let result = show(&mut ui, a.path(), b.path(), keep);
        (ui.finish(result), data.text(), talk.text())
    }

    #[test]
    fn equal_trees_exit_with_0_and_print_no_difference() {
        let (exit, data, talk) = compared(Format::Table, false, SHOWN);
        assert_eq!((exit, data.as_str()), (Exit::Ok, ""));
        assert_eq!(talk, "equal: 0 names, 0 B hashed\n");
        let (exit, data, _) = compared(Format::Json, false, SHOWN);
        let document: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(
            (exit, &document["items"]),
            (Exit::Ok, &serde_json::json!([]))
        );
    }

    #[test]
    fn different_trees_exit_with_9_and_list_no_more_than_asked() {
        let (exit, data, talk) = compared(Format::Table, true, 2);
        assert_eq!(exit, Exit::Differs);
        assert_eq!(data.lines().count(), 3, "{data}");
        assert!(
            data.contains("present") && data.contains("absent"),
            "{data}"
        );
        assert_eq!(talk, "different: 3 differences in 3 names, 2 listed\n");
    }

    #[test]
    fn what_is_not_replicated_is_told_apart() {
        let found = Comparison {
            names: 5,
            differing: 3,
            not_replicated: 2,
            ..Comparison::default()
        };
        let told = verdict(&found);
        assert!(told.ends_with("; 2 in what is not replicated"));
    }

    #[test]
    fn a_tree_that_cannot_be_read_is_a_failure_and_not_a_difference() {
        let dir = tempfile::tempdir().unwrap();
        let (mut ui, _, talk) = captured(Format::Table);
        let result = show(&mut ui, dir.path(), &dir.path().join("gone"), SHOWN);
        assert_eq!(ui.finish(result), Exit::Failure);
        assert!(talk.text().contains("gone"), "{}", talk.text());
    }
}
