//! Pure: from a view to text: one view, every format.
//!
//! JSON keys are a contract, only added to. What comes from trees and peers is made printable first: a file name must
//! not move the cursor of an operator's terminal.

use std::convert::Infallible;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::columns::{Chosen, Heading};
use super::exit::Failure;
use super::look::Look;
use super::sink::Sink;
use crate::clock::TimestampUs;
use crate::text::{printable, printable_json};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, clap::ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// All columns, in full
    Wide,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// The JSON document as YAML
    Yaml,
    /// Comma-separated values with a header (RFC 4180)
    Csv,
    /// Bare names, one a line
    Name,
}

impl Format {
    /// The word on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Wide => "wide",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Yaml => "yaml",
            Self::Csv => "csv",
            Self::Name => "name",
        }
    }

    /// True where people read.
    #[must_use]
    pub const fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }

    /// True where everything is one document, which has an end.
    #[must_use]
    pub const fn is_document(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }

    /// True where objects are printed, not columns or names.
    #[must_use]
    pub const fn has_objects(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl | Self::Yaml)
    }
}

/// What a command found, before anyone decided how to print it. Headings are words, or a
/// [`Column`](super::columns::Column) each, which says more about how it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct View<C: 'static = &'static str> {
    /// Names the schema: `cfs-repl/<command>/v1`.
    pub command: &'static str,
    /// Site of the daemon that answered; none when no daemon was asked.
    pub site: Option<String>,
    /// Headings, in capitals.
    pub columns: &'static [C],
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

/// A failure as scripts get it, on stderr.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErrorDocument {
    /// Names the schema.
    pub schema: String,
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErrorBody {
    /// The kind of failure in one word, as in `cfs-repl help exit-codes`.
    pub code: String,
    /// The code that the program exits with.
    pub exit: u8,
    /// What failed.
    pub message: String,
    /// Why: from the near cause to the deepest one, or a list of equal ones.
    pub cause: Vec<String>,
    /// What to do; null: nobody knows.
    pub hint: Option<String>,
}

/// The text of all of `view` for a reader that is no terminal. It ends with a line feed unless it is empty.
#[must_use]
pub fn render<C: Heading>(view: &View<C>, format: Format, now_us: TimestampUs) -> String {
    paint(view, format, &Chosen::default(), &Look::plain(now_us))
}

/// The text of what was `chosen` of `view`, for a reader that has this look.
#[must_use]
pub fn paint<C: Heading>(view: &View<C>, format: Format, chosen: &Chosen, look: &Look) -> String {
    let mut sink = Sink::new(format, chosen.clone());
    let mut text = sink.take(view, look);
    let written: Result<u64, Infallible> = sink.finish(|piece| {
        text.push_str(piece);
        Ok(())
    });
    match written {
        Ok(_) => text,
        Err(never) => match never {},
    }
}

/// A value as one line of JSON: the only place where JSON is written for a reader.
#[must_use]
pub fn json_line(value: &Value) -> String {
    printable_json(&value.to_string()) + "\n"
}

/// What one line of `-o jsonl` is called: by the thing, where a command is called by many of them.
#[must_use]
pub fn line_schema(command: &'static str) -> &'static str {
    match command {
        "conflicts" => "conflict",
        "sites" => "site",
        "events" => "event",
        other => other,
    }
}

/// The value of the key `schema`.
#[must_use]
pub fn schema_of(name: &str) -> String {
    format!("cfs-repl/{name}/v1")
}

/// A failure as one line of JSON.
#[must_use]
pub fn failure_json(failure: &Failure) -> String {
    let document = ErrorDocument {
        schema: schema_of("error"),
        error: ErrorBody {
            code: failure.exit.word().to_owned(),
            exit: failure.exit.code(),
            message: failure.message.clone(),
            cause: failure.causes.clone(),
            hint: failure.hint.clone(),
        },
    };
    json_line(&json!(document))
}

/// A line of CSV. A file may be called anything, and whoever looks at the text does it on a terminal.
pub(super) fn csv_line(cells: impl Iterator<Item = String>) -> String {
    let quoted = cells.map(|cell| {
        let cell = printable(&cell);
        if cell.contains([',', '"']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    });
    let mut line = quoted.collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
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
        let table = "SITE        LAG\niad-2       2m14s, \"late\"\nx\\u{1b}[2J  1\n";
        assert_eq!(text(Format::Table), table);
        assert_eq!(text(Format::Wide), table);
        let json = text(Format::Json);
        assert_eq!(
            json,
            concat!(
                r#"{"generated_at":"2026-11-22T17:54:49.102113Z","generated_us":1795370089102113,"#,
                r#""items":[{"lag_us":null,"site":"iad-2"},{"lag_us":null,"site":"x\u001b[2J"}],"#,
                r#""schema":"cfs-repl/lag/v1","site":"fra-1"}"#,
                "\n"
            )
        );
        assert_eq!(
            text(Format::Csv),
            "site,lag\r\niad-2,\"2m14s, \"\"late\"\"\"\r\nx\\u{1b}[2J,1\r\n"
        );
        assert_eq!(text(Format::Name), "iad-2\nx\\u{1b}[2J\n");
        let yaml: Value = serde_saphyr::from_str(&text(Format::Yaml)).unwrap();
        assert_eq!(yaml, serde_json::from_str::<Value>(&json).unwrap());
    }

    #[test]
    fn a_hostile_name_steers_no_terminal_in_any_format() {
        let name = "a\u{1b}[2J\u{9b}31m\u{85}\u{202e}gpj\u{2066}\r\nroot,ok";
        let mut hostile = view();
        hostile.rows = vec![Row {
            name: name.to_owned(),
            cells: vec![name.to_owned(), "1".to_owned()],
            item: json!({ "site": name }),
        }];
        for format in <Format as clap::ValueEnum>::value_variants() {
            let text = render(&hostile, *format, 0);
            // Ends of lines are those of the format.
            let own = text.replace("\r\n", "").replace('\n', "");
            let steers = |c: char| c.is_control() || ['\u{202e}', '\u{2066}'].contains(&c);
            assert!(!own.contains(steers), "{format:?}: {own:?}");
            assert!(!text.contains("\nroot"), "{format:?}: {text:?}");
        }
        let json = render(&hostile, Format::Json, 0);
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["items"][0]["site"], name);
        let line = render(&hostile, Format::Jsonl, 0);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["site"], name);
    }

    #[test]
    fn every_line_of_jsonl_says_what_it_is() {
        let lines = render(&view(), Format::Jsonl, 1_795_370_089_102_113);
        assert_eq!(
            lines.lines().next(),
            Some(concat!(
                r#"{"generated_at":"2026-11-22T17:54:49.102113Z","generated_us":1795370089102113,"#,
                r#""lag_us":null,"schema":"cfs-repl/lag/v1","site":"iad-2"}"#
            ))
        );
        assert_eq!(lines.lines().count(), 2);
        assert_eq!(line_schema("conflicts"), "conflict");
    }

    #[test]
    fn the_words_of_formats_are_those_of_the_command_line() {
        for format in <Format as clap::ValueEnum>::value_variants() {
            let value = clap::ValueEnum::to_possible_value(format).unwrap();
            assert_eq!(value.get_name(), format.word());
        }
    }
}
