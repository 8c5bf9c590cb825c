//! Pure: views that come page by page, as text in every format.
//!
//! Where rows stand by themselves the text of a page goes out at once. Where a table has to know how wide all are, or
//! rows are put in order, the text of each is kept and nothing else of it: a hundred thousand of them are some ten MB.
//! The text does not depend on how rows were cut into pages.

use serde_json::{Map, Value, json};

use super::columns::{Chosen, Heading, Key};
use super::exit::CliError;
use super::look::Look;
use super::render::{Format, Row, View, csv_line, json_line, line_schema, schema_of};
use super::table::Grid;
use super::yaml;
use crate::clock::rfc3339;
use crate::text::{printable, printable_json};

/// Bytes that are written at once: fewer calls of the system than lines, and nothing beside what is kept.
const WRITTEN_BYTES: usize = 64 * 1024;
/// What a failure adds where a part of the list was printed.
const NOT_ALL: &str = "what was printed ends in the middle of the list";

/// Takes views page by page and is finished: one list in one format.
#[derive(Debug)]
pub(super) struct Sink {
    format: Format,
    chosen: Chosen,
    /// None before the first page.
    head: Option<Head>,
    kept: Vec<Kept>,
    /// Rows whose text was given out.
    shown: usize,
}

/// What the first page tells of the whole list.
#[derive(Debug)]
struct Head {
    format: Format,
    /// With headings.
    headers: bool,
    command: &'static str,
    site: Option<String>,
    look: Look,
    grid: Grid,
    /// Those of the columns of a table, once all rows were seen.
    widths: Vec<Option<usize>>,
}

/// A row that waits for the end.
#[derive(Debug)]
struct Kept {
    key: Key,
    text: Box<str>,
}

impl Sink {
    /// For what was `chosen` of a list.
    #[must_use]
    pub(super) const fn new(format: Format, chosen: Chosen) -> Self {
        Self {
            format,
            chosen,
            head: None,
            kept: Vec::new(),
            shown: 0,
        }
    }

    /// A failure before the last page; it says so where others went out.
    #[must_use]
    pub(super) fn broken_off(&self, error: CliError) -> CliError {
        match error {
            CliError::Failed(failure) if self.is_begun() => failure.cause(NOT_ALL).into(),
            error @ (CliError::Failed(_) | CliError::Told(_) | CliError::OutputClosed) => error,
        }
    }

    const fn is_begun(&self) -> bool {
        self.head.is_some() && self.chosen.is_stream(self.format)
    }

    /// Takes the next page, and returns the text that can go out. The first page, which may be empty, says what the
    /// list is called, and `look` then is that of all.
    pub(super) fn take<C: Heading>(&mut self, view: &View<C>, look: &Look) -> String {
        let is_stream = self.chosen.is_stream(self.format);
        let mut text = String::new();
        let head = match self.head.take() {
            Some(head) => head,
            None => {
                let head = Head::of(view, self.format, &self.chosen, look);
                if is_stream {
                    head.open(&mut text);
                }
                head
            }
        };
        let head = self.head.insert(head);
        for row in &view.rows {
            if !is_stream {
                let key = self.chosen.key(view.columns, row);
                let text = head.text_of(row).into_boxed_str();
                self.kept.push(Kept { key, text });
            } else if self.shown < self.chosen.rows_max() {
                let own = head.text_of(row);
                head.put(&own, self.shown, &mut text);
                self.shown += 1;
            }
        }
        text
    }

    /// Writes what is left, piece by piece; how many rows were shown in all.
    ///
    /// # Errors
    /// That of `write`.
    pub(super) fn finish<E>(
        mut self,
        mut write: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<u64, E> {
        let Some(head) = &mut self.head else {
            return Ok(0);
        };
        self.chosen.arrange(&mut self.kept, |row| &row.key);
        let mut text = String::new();
        if !self.chosen.is_stream(self.format) {
            head.widths = head.grid.widths(&head.look);
            head.open(&mut text);
        }
        for row in &self.kept {
            head.put(&row.text, self.shown, &mut text);
            self.shown += 1;
            if text.len() >= WRITTEN_BYTES {
                write(&text)?;
                text.clear();
            }
        }
        head.close(self.shown, &mut text);
        write(&text)?;
        Ok(self.shown as u64)
    }
}

impl Head {
    fn of<C: Heading>(view: &View<C>, format: Format, chosen: &Chosen, look: &Look) -> Self {
        Self {
            format,
            headers: chosen.headers,
            command: view.command,
            site: view.site.clone(),
            look: look.clone(),
            grid: Grid::new(view.columns, format != Format::Table, chosen),
            widths: Vec::new(),
        }
    }

    /// Appends what stands before all rows.
    fn open(&self, text: &mut String) {
        match self.format {
            Format::Table | Format::Wide if self.headers => {
                text.push_str(&self.grid.headings(&self.widths, &self.look));
            }
            Format::Csv if self.headers => text.push_str(&csv_line(self.grid.names())),
            Format::Json => {
                let age = json_line(&json!(self.age()));
                // Open: the items are its next key.
                text.push_str(age.strip_suffix("}\n").unwrap_or(&age));
                text.push_str(",\"items\":[");
            }
            Format::Yaml => {
                text.push_str("---\n");
                text.push_str(&yaml::fields(&self.age()));
                text.push_str("items:");
            }
            Format::Table | Format::Wide | Format::Csv | Format::Jsonl | Format::Name => {}
        }
    }

    /// What a row is, whichever rows stand around it: all that is kept of one.
    fn text_of(&mut self, row: &Row) -> String {
        match self.format {
            Format::Table | Format::Wide => self.grid.take(row, &self.look),
            Format::Json => printable_json(&row.item.to_string()),
            Format::Jsonl => {
                let mut object = row.item.clone();
                if let Some(fields) = object.as_object_mut() {
                    let schema = schema_of(line_schema(self.command));
                    fields.insert("schema".to_owned(), schema.into());
                    fields.extend(self.age());
                }
                json_line(&object)
            }
            Format::Yaml => yaml::item(&row.item, 1),
            Format::Csv => csv_line(self.grid.cells_of(row)),
            Format::Name => format!("{}\n", printable(&row.name)),
        }
    }

    /// Appends a row behind `shown` other ones.
    fn put(&self, own: &str, shown: usize, text: &mut String) {
        match self.format {
            Format::Table | Format::Wide => {
                text.push_str(&self.grid.row(own, &self.widths, &self.look));
                return;
            }
            Format::Json if shown > 0 => text.push(','),
            Format::Yaml if shown == 0 => text.push('\n'),
            Format::Json | Format::Yaml | Format::Jsonl | Format::Csv | Format::Name => {}
        }
        text.push_str(own);
    }

    /// Appends what stands behind all rows, of which there are `shown`.
    fn close(&self, shown: usize, text: &mut String) {
        let what = || {
            let schema = ("schema".to_owned(), schema_of(self.command).into());
            let site = ("site".to_owned(), json!(self.site));
            Map::from_iter([schema, site])
        };
        match self.format {
            Format::Json => {
                let what = json_line(&json!(what()));
                text.push_str("],");
                text.push_str(what.strip_prefix('{').unwrap_or(&what));
            }
            Format::Yaml => {
                text.push_str(if shown == 0 { " []\n" } else { "" });
                text.push_str(&yaml::fields(&what()));
            }
            Format::Table | Format::Wide | Format::Jsonl | Format::Csv | Format::Name => {}
        }
    }

    /// How old what is printed is.
    fn age(&self) -> Map<String, Value> {
        let now_us = self.look.now_us;
        Map::from_iter([
            ("generated_at".to_owned(), json!(rfc3339(now_us))),
            ("generated_us".to_owned(), json!(now_us)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::{Column, Direction, Kind};
    use super::super::exit::{Exit, Failure};
    use super::super::render::paint;
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::new("NAME").at("/name").holds(Kind::Path(8)),
        Column::new("SIZE").at("/size"),
        Column::new("SEEN").at("/seen_us").holds(Kind::Time("AGE")),
        Column::new("NOTE").wide(),
    ];
    const NOW_US: u64 = 1_795_370_089_102_113;

    fn view(count: u64) -> View<Column> {
        let row = |nth: u64| {
            let name = format!("a\u{1b}[2J, \"{}\"", "x".repeat(nth as usize % 7));
            Row {
                name: name.clone(),
                cells: vec![
                    name.clone(),
                    nth.to_string(),
                    "-".to_owned(),
                    "n: #".to_owned(),
                ],
                item: json!({
                    "name": name,
                    "size": if nth.is_multiple_of(5) { Value::Null } else { json!(nth * 7 % 11) },
                    "seen_us": NOW_US - nth * 1_000_000,
                    "of": { "list": [1, { "deep": null }], "none": {} },
                }),
            }
        };
        View {
            command: "conflicts",
            site: Some("fra-1".to_owned()),
            columns: COLUMNS,
            rows: (0..count).map(row).collect(),
        }
    }

    /// The text of a list that came in pages of this many rows.
    fn paged(
        view: &View<Column>,
        rows: usize,
        format: Format,
        chosen: &Chosen,
        look: &Look,
    ) -> String {
        let mut sink = Sink::new(format, chosen.clone());
        let page = |rows: &[Row]| View {
            rows: rows.to_vec(),
            ..view.clone()
        };
        let mut text = sink.take(&page(&[]), look);
        for (nth, rows) in view.rows.chunks(rows).enumerate() {
            // Time goes on while pages come.
            let later = Look {
                now_us: look.now_us + nth as u64,
                ..look.clone()
            };
            text.push_str(&sink.take(&page(rows), &later));
        }
        let written = sink.finish(|piece| {
            text.push_str(piece);
            Ok::<(), ()>(())
        });
        let wanted = view.rows.len().min(chosen.rows_max());
        assert_eq!(written, Ok(wanted as u64), "{format:?}");
        text
    }

    /// The document as one value, which is what it has to read as.
    fn document(view: &View<Column>) -> Value {
        let items: Vec<&Value> = view.rows.iter().map(|row| &row.item).collect();
        json!({
            "schema": schema_of(view.command),
            "generated_at": rfc3339(NOW_US),
            "generated_us": NOW_US,
            "site": view.site,
            "items": items,
        })
    }

    #[test]
    fn no_format_shows_how_rows_were_cut_into_pages() {
        let on_terminal = Look {
            width: Some(40),
            ages: true,
            colour: true,
            ..Look::plain(NOW_US)
        };
        let chosen = |sort, limit| Chosen {
            sort,
            limit,
            ..Chosen::default()
        };
        let by = |nth, direction| Some((nth, direction));
        for look in [Look::plain(NOW_US), on_terminal] {
            for format in <Format as clap::ValueEnum>::value_variants() {
                for chosen in [
                    chosen(None, None),
                    chosen(None, Some(3)),
                    chosen(by(1, Direction::Up), None),
                    chosen(by(3, Direction::Down), Some(5)),
                ] {
                    for count in [0, 1, 20] {
                        let view = view(count);
                        let whole = paint(&view, *format, &chosen, &look);
                        for rows in [1, 7, 20] {
                            let text = paged(&view, rows, *format, &chosen, &look);
                            assert_eq!(text, whole, "{format:?} {chosen:?} {rows} of {count}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn documents_are_those_of_one_value() {
        for count in [0, 1, 20] {
            let (view, plain) = (view(count), Look::plain(NOW_US));
            let text = |format| paged(&view, 3, format, &Chosen::default(), &plain);
            let value = document(&view);
            assert_eq!(text(Format::Json), json_line(&value));
            assert_eq!(text(Format::Yaml), yaml::document(&value));
        }
    }

    #[test]
    fn what_can_go_out_at_once_is_not_kept_and_of_a_table_only_what_it_shows() {
        let plain = Look::plain(NOW_US);
        for format in <Format as clap::ValueEnum>::value_variants() {
            let mut sink = Sink::new(*format, Chosen::default());
            let text = sink.take(&view(20), &plain);
            if format.is_for_people() {
                assert_eq!((text.as_str(), sink.kept.len()), ("", 20), "{format:?}");
                let bytes: usize = sink.kept.iter().map(|row| row.text.len()).sum();
                assert!(bytes < 20 * 80, "{bytes}");
            } else {
                assert!(
                    sink.kept.is_empty() && text.lines().count() >= 1,
                    "{format:?}"
                );
            }
            let failure = Failure::new(Exit::Unreachable, "it broke");
            let CliError::Failed(failure) = sink.broken_off(failure.into()) else {
                panic!("no failure");
            };
            assert_eq!(failure.causes.is_empty(), format.is_for_people());
        }
    }
}
