//! Pure: what is wrong with a configuration, where, and what to do about it.
//!
//! All problems of a file are collected before anyone is told, so that a person mends it once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use crate::text::printable;

/// A place in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
}

impl Place {
    /// The place of a byte offset; an offset outside the text is its end.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
        }
    }
}

/// Why a value is refused, and what to write in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong and why.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl Refusal {
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.hint)
    }
}

impl std::error::Error for Refusal {}

/// What can set a key, from the weakest to the strongest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The configuration file.
    File(PathBuf),
    /// A file of the folder `conf.d` beside it.
    DropIn(PathBuf),
    /// The file in the state folder that the daemon writes when a site joined.
    Peers(PathBuf),
    /// A variable of the environment.
    Variable(String),
}

impl Source {
    /// The word in JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::DropIn(_) => "drop_in",
            Self::Peers(_) => "peers",
            Self::Variable(_) => "environment",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::DropIn(path) | Self::Peers(path) => {
                f.write_str(&printable(&path.to_string_lossy()))
            }
            Self::Variable(name) => f.write_str(&printable(name)),
        }
    }
}

/// A place in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Which source.
    pub source: Source,
    /// Where in it; none for a variable, and for what is missing altogether.
    pub place: Option<Place>,
}

impl Spot {
    /// A source as a whole.
    pub(super) const fn of(source: Source) -> Self {
        Self {
            source,
            place: None,
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)?;
        if let Some(Place { line, column }) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong, or worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub at: Spot,
    /// What is wrong and why; without characters that would steer a terminal.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.at, self.what, self.hint)
    }
}

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: PathBuf,
    /// At least one; by source, in the order of their places, those without a place last.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The problems found so far, and where each key that was read stands.
#[derive(Debug)]
pub(super) struct Findings {
    file: PathBuf,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    places: BTreeMap<String, Spot>,
    unreadable: BTreeSet<String>,
}

impl Findings {
    /// Nothing was found in `file` yet.
    pub(super) const fn new(file: PathBuf) -> Self {
        Self {
            file,
            problems: Vec::new(),
            warnings: Vec::new(),
            places: BTreeMap::new(),
            unreadable: BTreeSet::new(),
        }
    }

    /// Remembers where the value of `key`, such as `peer[0].name`, stands.
    pub(super) fn found(&mut self, key: String, spot: Spot) {
        self.places.insert(key, spot);
    }

    /// Where `key` stands; none when it is absent or could not be read, so that a default is never blamed.
    pub(super) fn place(&self, key: &str) -> Option<Spot> {
        self.places.get(key).cloned()
    }

    /// Where `key` stands, or the file where it could stand.
    pub(super) fn place_or_file(&self, key: &str) -> Spot {
        self.place(key)
            .unwrap_or_else(|| Spot::of(Source::File(self.file.clone())))
    }

    /// Remembers that `key` is there, but says nothing that can be used.
    pub(super) fn unreadable(&mut self, key: String) {
        self.unreadable.insert(key);
    }

    /// True when `key` is there and was refused by itself: rules that concern it are not judged.
    pub(super) fn is_unreadable(&self, key: &str) -> bool {
        self.unreadable.contains(key)
    }

    /// Adds a problem.
    pub(super) fn add(
        &mut self,
        at: Option<Spot>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let problem = self.problem(at, what.into(), hint.into());
        self.problems.push(problem);
    }

    /// Adds what does not keep the configuration from being used.
    pub(super) fn warn(
        &mut self,
        at: Option<Spot>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let warning = self.problem(at, what.into(), hint.into());
        self.warnings.push(warning);
    }

    fn problem(&self, at: Option<Spot>, what: String, hint: String) -> Problem {
        Problem {
            at: at.unwrap_or_else(|| Spot::of(Source::File(self.file.clone()))),
            what: printable(&what),
            hint: printable(&hint),
        }
    }

    /// What is worth a look, in order.
    pub(super) fn warnings(&self) -> Vec<Problem> {
        sorted(self.warnings.clone())
    }

    /// The error, when anything was found.
    pub(super) fn into_error(self) -> Option<ConfigError> {
        (!self.problems.is_empty()).then(|| ConfigError {
            file: self.file,
            problems: sorted(self.problems),
        })
    }
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|a, b| {
        let key = |problem: &Problem| (problem.at.place.is_none(), problem.at.place);
        let source = a.at.source.cmp(&b.at.source);
        source.then_with(|| key(a).cmp(&key(b)))
    });
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a\nöx\n";
        let place = |offset| {
            let Place { line, column } = Place::of(text, offset);
            (line, column)
        };
        assert_eq!((place(0), place(2), place(4)), ((1, 1), (2, 1), (2, 2)));
        assert_eq!(place(900), (3, 1));
        assert_eq!(place(3), (3, 1), "inside a character counts as the end");
    }

    #[test]
    fn problems_are_told_in_the_order_of_the_file() {
        let mut findings = Findings::new("x.toml".into());
        let spot = |source, line, column| {
            let place = Some(Place { line, column });
            Some(Spot { source, place })
        };
        let file = || Source::File("x.toml".into());
        findings.add(None, "c", "mend it");
        findings.add(Some(Spot::of(Source::Variable("V".into()))), "e", "mend it");
        findings.add(spot(Source::DropIn("d.toml".into()), 1, 1), "d", "mend it");
        findings.add(spot(file(), 9, 1), "b", "mend it");
        findings.add(spot(file(), 2, 7), "a\nb", "mend it");
        let error = findings.into_error().unwrap();
        assert_eq!(
            error.to_string(),
            "x.toml:2:7: a\\nb; mend it\nx.toml:9:1: b; mend it\nx.toml: c; mend it\nd.toml:1:1: d; mend it\nV: e; mend it"
        );
    }
}
