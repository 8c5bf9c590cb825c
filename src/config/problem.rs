//! Pure: what is wrong with a configuration, where, and what to do about it.
//!
//! All problems of a file are collected before anyone is told, so that a person mends it once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

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

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands; none when something is missing altogether.
    pub place: Option<Place>,
    /// What is wrong and why.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: PathBuf,
    /// At least one; in the order of their places, those without a place last.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", self.file.display())?;
            if let Some(Place { line, column }) = problem.place {
                write!(f, "{line}:{column}:")?;
            }
            write!(f, " {}; {}", problem.what, problem.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The problems found so far, and where each key that was read stands.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: Vec<Problem>,
    places: BTreeMap<String, Place>,
    unreadable: BTreeSet<String>,
}

impl Findings {
    /// Remembers where the value of `key`, such as `peer[0].name`, stands.
    pub(super) fn found(&mut self, key: String, place: Place) {
        self.places.insert(key, place);
    }

    /// Where `key` stands; none when it is absent or could not be read, so that a default is never blamed.
    pub(super) fn place(&self, key: &str) -> Option<Place> {
        self.places.get(key).copied()
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
        place: Option<Place>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.problems.push(Problem {
            place,
            what: what.into(),
            hint: hint.into(),
        });
    }

    /// The error, when anything was found.
    pub(super) fn into_error(mut self, file: PathBuf) -> Option<ConfigError> {
        self.problems
            .sort_by_key(|problem| (problem.place.is_none(), problem.place));
        (!self.problems.is_empty()).then_some(ConfigError {
            file,
            problems: self.problems,
        })
    }
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
        let mut findings = Findings::default();
        findings.add(None, "c", "mend it");
        findings.add(Some(Place { line: 9, column: 1 }), "b", "mend it");
        findings.add(Some(Place { line: 2, column: 7 }), "a", "mend it");
        let error = findings.into_error("x.toml".into()).unwrap();
        assert_eq!(
            error.to_string(),
            "x.toml:2:7: a; mend it\nx.toml:9:1: b; mend it\nx.toml: c; mend it"
        );
    }
}
