//! Pure: from a view to text: one view, every format.
//!
//! JSON keys are a contract, only added to. What comes from trees and peers is made printable first: a file name must
//! not move the cursor of an operator's terminal.

use comfy_table::{Cell, Table, presets};
use serde_json::{Value, json};

use super::exit::Failure;
use crate::clock::{self, TimestampUs};
use crate::text::printable;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, clap::ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values with a header (RFC 4180)
    Csv,
    /// Bare names, one a line
    Name,
}

/// What a command found, before anyone decided how to print it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Names the schema: `cfs-repl/<command>/v1`.
    pub command: &'static str,
    /// Site of the daemon that answered; none when no daemon was asked.
    pub site: Option<String>,
    /// Headings, in capitals.
    pub columns: &'static [&'static str],
    /// In the order in which they are shown.
    pub rows: Vec<Row>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The bare name or id, for `-o name`.
    pub name: String,
    /// For people; as many as there are columns.
    pub cells: Vec<String>,
    /// For scripts: unknown is null, 64-bit ids are strings, units stand in the names of fields.
    pub item: Value,
}

/// The text of `view`, which ends with a line feed unless it is empty.
#[must_use]
pub fn render(view: &View, format: Format, now_us: TimestampUs) -> String {
    match format {
        Format::Table => table(view),
        Format::Json => lines([document(view, now_us)]),
        Format::Jsonl => lines(view.rows.iter().map(|row| row.item.clone())),
        Format::Csv => {
            let header = view
                .columns
                .iter()
                .map(|column| column.to_ascii_lowercase());
            let header = csv_line(header);
            let rows = view
                .rows
                .iter()
                .map(|row| csv_line(row.cells.iter().cloned()));
            std::iter::once(header).chain(rows).collect()
        }
        Format::Name => {
            let name = |row: &Row| format!("{}\n", printable(&row.name));
            view.rows.iter().map(name).collect()
        }
    }
}

/// A failure as one line of JSON.
#[must_use]
pub fn failure_json(failure: &Failure) -> String {
    lines([json!({
        "error": {
            "code": failure.exit.word(),
            "exit": failure.exit.code(),
            "message": failure.message,
            "cause": failure.causes,
            "hint": failure.hint,
        }
    })])
}

fn document(view: &View, now_us: TimestampUs) -> Value {
    let items: Vec<&Value> = view.rows.iter().map(|row| &row.item).collect();
    json!({
        "schema": format!("cfs-repl/{}/v1", view.command),
        "generated_at": clock::rfc3339(now_us),
        "generated_us": now_us,
        "site": view.site,
        "items": items,
    })
}

fn table(view: &View) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(view.columns.iter().map(Cell::new));
    for row in &view.rows {
        table.add_row(row.cells.iter().map(|cell| Cell::new(printable(cell))));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn csv_line(cells: impl Iterator<Item = String>) -> String {
    let quoted = cells.map(|cell| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    });
    let mut line = quoted.collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

fn lines(values: impl IntoIterator<Item = Value>) -> String {
    values
        .into_iter()
        .map(|value| format!("{value}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let row = |name: &str, lag: &str| Row {
            name: name.to_owned(),
            cells: vec![name.to_owned(), lag.to_owned()],
            item: json!({ "site": name, "lag_us": null }),
        };
        View {
            command: "lag",
            site: Some("fra-1".to_owned()),
            columns: &["SITE", "LAG"],
            rows: vec![row("iad-2", "2m14s, \"late\""), row("x\u{1b}[2J", "1")],
        }
    }

    #[test]
    fn every_format_prints_the_same_view() {
        let text = |format| render(&view(), format, 1_795_370_089_102_113);
        assert_eq!(
            text(Format::Table),
            "SITE        LAG\niad-2       2m14s, \"late\"\nx\\u{1b}[2J  1\n"
        );
        assert_eq!(
            text(Format::Json),
            concat!(
                r#"{"generated_at":"2026-11-22T17:54:49.102113Z","generated_us":1795370089102113,"#,
                r#""items":[{"lag_us":null,"site":"iad-2"},{"lag_us":null,"site":"x\u001b[2J"}],"#,
                r#""schema":"cfs-repl/lag/v1","site":"fra-1"}"#,
                "\n"
            )
        );
        assert_eq!(text(Format::Jsonl).lines().count(), 2);
        assert_eq!(
            text(Format::Csv),
            "site,lag\r\niad-2,\"2m14s, \"\"late\"\"\"\r\nx\u{1b}[2J,1\r\n"
        );
        assert_eq!(text(Format::Name), "iad-2\nx\\u{1b}[2J\n");
    }
}
