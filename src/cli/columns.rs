//! Pure: the columns of lists: what each of them says, and which rows and columns somebody wants to see.
//!
//! Rows are put in order by the values that scripts get, not by the text that people see; what is not known comes last
//! in either direction.

use std::cmp::Ordering;

use serde_json::Value;

use super::exit::{Exit, Failure};
use super::render::{Format, Row};

/// Largest distance of a word from the one that was probably meant.
const TYPO_MAX: usize = 2;

/// What a column holds, as far as it matters for how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text or a number that is shown whole.
    Whole,
    /// Text that may be cut at its end, down to this width.
    Text(usize),
    /// A path, which may be cut in its middle, down to this width.
    Path(usize),
    /// A word for a state.
    State,
    /// A time in microseconds, with the heading that it has where an age is shown.
    Time(&'static str),
}

/// A column of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// In capitals.
    pub heading: &'static str,
    /// Where its value stands in the item, as a JSON pointer; none: only the text is known.
    pub pointer: Option<&'static str>,
    /// What it holds.
    pub kind: Kind,
    /// It is shown only to those who want all.
    pub is_wide: bool,
    /// How soon it goes where there is no room; 0: never.
    pub rank: u8,
}

impl Column {
    /// A column that is always shown whole.
    #[must_use]
    pub const fn new(heading: &'static str) -> Self {
        Self {
            heading,
            pointer: None,
            kind: Kind::Whole,
            is_wide: false,
            rank: 0,
        }
    }

    /// Its value stands at this JSON pointer of the item.
    #[must_use]
    pub const fn at(mut self, pointer: &'static str) -> Self {
        self.pointer = Some(pointer);
        self
    }

    /// It holds this.
    #[must_use]
    pub const fn holds(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// It goes where there is no room, the sooner the greater `rank` is.
    #[must_use]
    pub const fn may_go(mut self, rank: u8) -> Self {
        self.rank = rank;
        self
    }

    /// It is shown only to those who want all.
    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.is_wide = true;
        self
    }

    /// Its name on the command line, and in CSV.
    #[must_use]
    pub fn name(self) -> String {
        self.heading.to_ascii_lowercase()
    }

    /// Whether `word` names it: spaces, dashes and underscores are the same, and so are capitals.
    fn is_named(self, word: &str) -> bool {
        let plain = |text: &str| text.to_ascii_lowercase().replace([' ', '_'], "-");
        let age = match self.kind {
            Kind::Time(age) => Some(age),
            Kind::Whole | Kind::Text(_) | Kind::Path(_) | Kind::State => None,
        };
        let word = plain(word);
        plain(self.heading) == word || age.is_some_and(|age| plain(age) == word)
    }
}

/// What can head a column of a table.
pub trait Heading: Copy + 'static {
    /// What is known of the column.
    fn column(self) -> Column;
}

impl Heading for &'static str {
    fn column(self) -> Column {
        Column::new(self)
    }
}

impl Heading for Column {
    fn column(self) -> Column {
        self
    }
}

/// What of a list is wanted, and in which order
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Listing {
    /// Only these columns, in this order
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// In the order of this column, or against it with - before its name; by value, what is not known last
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Without the line of headings
    #[arg(long)]
    no_headers: bool,
    /// At most so many
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
}

impl Listing {
    /// Looks the columns up.
    ///
    /// # Errors
    /// [`Exit::Usage`] for a column that does not exist, or where there are none.
    pub fn chosen<C: Heading>(&self, columns: &[C], format: Format) -> Result<Chosen, Failure> {
        if !self.columns.is_empty() && (format.has_objects() || format == Format::Name) {
            let message = format!("-o {} has no columns to choose from", format.word());
            return Err(
                Failure::new(Exit::Usage, message).hint("--columns is for table, wide and csv")
            );
        }
        let find = |word: &str| find(columns, word);
        let names = self.columns.iter().map(|word| find(word));
        let names = names.collect::<Result<Vec<usize>, Failure>>()?;
        let sort = match &self.sort {
            Some(word) => Some(match word.strip_prefix('-') {
                Some(word) => (find(word)?, Direction::Down),
                None => (find(word)?, Direction::Up),
            }),
            None => None,
        };
        Ok(Chosen {
            columns: (!names.is_empty()).then_some(names),
            sort,
            headers: !self.no_headers,
            limit: self.limit,
        })
    }
}

/// The place of the column that `word` names.
fn find<C: Heading>(columns: &[C], word: &str) -> Result<usize, Failure> {
    let found = columns.iter().position(|one| one.column().is_named(word));
    found.ok_or_else(|| {
        let names = columns.iter().map(|one| one.column().name());
        let names: Vec<String> = names.map(|name| name.replace(' ', "_")).collect();
        let failure = Failure::new(Exit::Usage, format!("no column \"{word}\""))
            .cause(format!("columns are: {}", names.join(", ")));
        match nearest(word, names.iter().map(String::as_str)) {
            Some(name) => failure.hint(format!("did you mean {name}?")),
            None => failure,
        }
    })
}

/// The one of `names` that was probably meant by `word`.
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = names.map(|name| (strsim::damerau_levenshtein(name, word), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= TYPO_MAX).then_some(name)
}

/// Which way rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The least first.
    Up,
    /// The greatest first.
    Down,
}

/// What of a list is wanted, with columns by their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// These columns; none: those that fit.
    pub columns: Option<Vec<usize>>,
    /// In the order of this one; none: as they come.
    pub sort: Option<(usize, Direction)>,
    /// With headings.
    pub headers: bool,
    /// At most so many rows; none: all.
    pub limit: Option<u64>,
}

impl Default for Chosen {
    fn default() -> Self {
        Self {
            columns: None,
            sort: None,
            headers: true,
            limit: None,
        }
    }
}

impl Chosen {
    /// The limit of a source that knows no other order than the one of the list; none where all have to be seen first.
    #[must_use]
    pub const fn limit_of_source(&self) -> Option<u64> {
        match self.sort {
            Some(_) => None,
            None => self.limit,
        }
    }

    /// Whether rows can be printed as they come: they are in their order, and none says how wide others are.
    #[must_use]
    pub const fn is_stream(&self, format: Format) -> bool {
        !format.is_for_people() && self.sort.is_none()
    }

    /// By what a row of these columns is put in its place.
    pub(super) fn key<C: Heading>(&self, columns: &[C], row: &Row) -> Key {
        let Some((nth, _)) = self.sort else {
            return Key::Unknown;
        };
        match columns.get(nth).and_then(|one| one.column().pointer) {
            Some(pointer) => Key::of(row.item.pointer(pointer)),
            None => row
                .cells
                .get(nth)
                .map_or(Key::Unknown, |cell| Key::text(cell)),
        }
    }

    /// Puts what has keys in order, and leaves as many as are wanted.
    pub(super) fn arrange<T>(&self, all: &mut Vec<T>, key: impl Fn(&T) -> &Key) {
        if let Some((_, direction)) = self.sort {
            all.sort_by(|a, b| key(a).compare(key(b), direction));
        }
        all.truncate(self.rows_max());
    }

    /// How many rows are wanted.
    pub(super) fn rows_max(&self) -> usize {
        let limit = self.limit.and_then(|limit| usize::try_from(limit).ok());
        limit.unwrap_or(usize::MAX)
    }

    /// The columns that are wanted, with their places.
    #[must_use]
    pub fn shown<C: Heading>(&self, columns: &[C], all: bool) -> Vec<(usize, Column)> {
        let every = columns.iter().map(|one| one.column()).enumerate();
        match &self.columns {
            Some(places) => {
                let column = |nth: &usize| Some((*nth, columns.get(*nth)?.column()));
                places.iter().filter_map(column).collect()
            }
            None => every.filter(|(_, column)| all || !column.is_wide).collect(),
        }
    }
}

/// By what a row is put in its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Number(i128),
    Text(String),
    /// Stands last, so that it is the greatest.
    Unknown,
}

impl Key {
    /// The order of rows that go this way.
    fn compare(&self, other: &Self, direction: Direction) -> Ordering {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => self.cmp(other),
            (Self::Number(_) | Self::Text(_), _) => match direction {
                Direction::Up => self.cmp(other),
                Direction::Down => other.cmp(self),
            },
        }
    }

    fn of(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => Self::Unknown,
            Some(Value::Bool(value)) => Self::Number(i128::from(*value)),
            Some(Value::Number(number)) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Self::Number(number.into()),
                (None, Some(number)) => Self::Number(number.into()),
                (None, None) => Self::Text(number.to_string()),
            },
            Some(Value::String(text)) => Self::text(text),
        }
    }

    /// A text that is a number counts as one.
    fn text(text: &str) -> Self {
        if text.is_empty() || text == super::human::UNKNOWN {
            return Self::Unknown;
        }
        let digits = text.replace(',', "");
        digits
            .parse()
            .map_or_else(|_| Self::Text(text.to_owned()), Self::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::Look;
    use super::super::render::{View, paint};
    use super::*;
    use serde_json::json;

    const COLUMNS: &[Column] = &[
        Column::new("SITE").at("/site"),
        Column::new("IN LAG").at("/lag_us"),
        Column::new("SEEN").at("/seen_us").holds(Kind::Time("AGE")),
        Column::new("NOTE").wide(),
    ];

    fn view() -> View<Column> {
        let row = |site: &str, lag: Value, note: &str| Row {
            name: site.to_owned(),
            cells: ["x", "x", "x", note].map(str::to_owned).to_vec(),
            item: json!({ "site": site, "lag_us": lag, "seen_us": 1 }),
        };
        View {
            command: "lag",
            site: None,
            columns: COLUMNS,
            rows: vec![
                row("b", json!(9), "1,000"),
                row("c", Value::Null, "?"),
                row("a", json!(10), "20"),
            ],
        }
    }

    fn listing(words: &[&str]) -> Listing {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            listing: Listing,
        }
        let words = std::iter::once(&"x").chain(words);
        <Line as clap::Parser>::try_parse_from(words)
            .unwrap()
            .listing
    }

    fn arranged(words: &[&str]) -> String {
        let chosen = listing(words).chosen(COLUMNS, Format::Table).unwrap();
        let names = paint(&view(), Format::Name, &chosen, &Look::plain(0));
        names.lines().collect()
    }

    #[test]
    fn rows_are_sorted_by_value_and_what_is_not_known_comes_last() {
        for (words, order) in [
            (&[][..], "bca"),
            (&["--sort", "in_lag"], "bac"),
            (&["--sort", "-in-lag"], "abc"),
            (&["--sort=-IN LAG"], "abc"),
            (&["--sort", "site"], "abc"),
            (&["--sort", "-site"], "cba"),
            (&["--sort", "note"], "abc"),
            (&["--sort", "-note"], "bac"),
            (&["--limit", "2"], "bc"),
            (&["--sort", "site", "--limit", "1"], "a"),
        ] {
            assert_eq!(arranged(words), order, "{words:?}");
        }
    }

    #[test]
    fn columns_are_chosen_by_name_and_a_wrong_one_is_told_with_the_nearest() {
        let shown = |words: &[&str], all| {
            let chosen = listing(words).chosen(COLUMNS, Format::Table).unwrap();
            let shown = chosen.shown(COLUMNS, all);
            shown.iter().map(|(nth, _)| *nth).collect::<Vec<_>>()
        };
        assert_eq!(shown(&[], false), [0, 1, 2]);
        assert_eq!(shown(&[], true), [0, 1, 2, 3]);
        assert_eq!(shown(&["--columns", "note,age,SITE"], false), [3, 2, 0]);
        for words in [["--columns", "site,stie"], ["--sort", "-stie"]] {
            let failure = listing(&words).chosen(COLUMNS, Format::Csv).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert_eq!(failure.message, "no column \"stie\"");
            assert_eq!(failure.causes, ["columns are: site, in_lag, seen, note"]);
            assert_eq!(failure.hint.as_deref(), Some("did you mean site?"));
        }
        let failure = listing(&["--sort", "far away"]).chosen(COLUMNS, Format::Json);
        assert_eq!(failure.unwrap_err().hint, None);
    }

    #[test]
    fn columns_of_what_has_none_are_refused() {
        for format in [Format::Json, Format::Jsonl, Format::Yaml, Format::Name] {
            let chosen = listing(&["--columns", "site"]).chosen(COLUMNS, format);
            assert_eq!(chosen.unwrap_err().exit, Exit::Usage, "{format:?}");
        }
    }

    #[test]
    fn a_source_is_asked_for_all_where_they_have_to_be_put_in_order() {
        let limit = |words: &[&str]| {
            let chosen = listing(words).chosen(COLUMNS, Format::Table).unwrap();
            chosen.limit_of_source()
        };
        assert_eq!(limit(&["--limit", "3"]), Some(3));
        assert_eq!(limit(&["--limit", "3", "--sort", "site"]), None);
    }
}
