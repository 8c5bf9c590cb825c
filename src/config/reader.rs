//! Pure: takes keys out of a TOML table by name and notices what was not taken.
//!
//! serde stops at the first mistake; this reader goes on, so that one look lists them all. What a section asks for
//! is also what it knows: a key that nobody asked for is unknown, and the nearest known one is suggested.

use toml::de::{DeTable, DeValue};

use super::problem::{Findings, Place, Refusal};

/// Similarity (Jaro, 0 to 1) above which a key is suggested; what clap uses for its own suggestions, so that both faces
/// of a typing error look alike.
const SIMILAR_MIN: f64 = 0.7;

/// One table of the file while its keys are taken.
pub(super) struct Section<'a> {
    text: &'a str,
    /// Name as an operator writes it: `site`, `peer[0]`; empty for the whole file.
    name: String,
    place: Option<Place>,
    table: Option<&'a DeTable<'a>>,
    known: Vec<&'static str>,
    findings: &'a mut Findings,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn file(text: &'a str, table: &'a DeTable<'a>, findings: &'a mut Findings) -> Self {
        Self {
            text,
            name: String::new(),
            place: None,
            table: Some(table),
            known: Vec::new(),
            findings,
        }
    }

    /// True when the table stands in the file.
    pub(super) const fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// A table below this one, for `read`; an absent one reads as empty.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let value = self.take(key);
        let (table, place) = match value {
            Some((DeValue::Table(table), place)) => (Some(table), Some(place)),
            Some((other, place)) => {
                let got = other.type_str();
                let what = format!("{key} is a {got}, not a section");
                self.findings
                    .add(Some(place), what, format!("write [{key}]"));
                (None, Some(place))
            }
            None => (None, None),
        };
        let mut section = Section {
            text: self.text,
            name: key.to_owned(),
            place,
            table,
            known: Vec::new(),
            findings: self.findings,
        };
        let result = read(&mut section);
        section.refuse_unknown();
        result
    }

    /// Every table of a list such as `[[peer]]`.
    pub(super) fn sections<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        let (list, place) = match self.take(key) {
            Some((DeValue::Array(list), place)) => (list, place),
            Some((_, place)) => {
                let what = format!("{key} is not a list of sections");
                self.findings
                    .add(Some(place), what, format!("write [[{key}]]"));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut results = Vec::new();
        for (index, item) in list.iter().enumerate() {
            let DeValue::Table(table) = item.get_ref() else {
                let what = format!("{key} is not a list of sections");
                self.findings
                    .add(Some(place), what, format!("write [[{key}]]"));
                continue;
            };
            let mut section = Section {
                text: self.text,
                name: format!("{key}[{index}]"),
                place: Some(Place::of(self.text, item.span().start)),
                table: Some(table),
                known: Vec::new(),
                findings: self.findings,
            };
            section.findings.found(
                section.name.clone(),
                Place::of(self.text, item.span().start),
            );
            results.push(read(&mut section));
            section.refuse_unknown();
        }
        results
    }

    /// The value of `key` if it is there and `parse` accepts it; what `parse` says is reported.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Refusal>,
    ) -> Option<T> {
        let (value, place) = self.take(key)?;
        let name = self.full_name(key);
        match parse(value) {
            Ok(value) => {
                self.findings.found(name, place);
                Some(value)
            }
            Err(Refusal { what, hint }) => {
                self.findings
                    .add(Some(place), format!("{name}: {what}"), hint);
                self.findings.unreadable(name);
                None
            }
        }
    }

    /// The same for a key that must be there; `hint` says what to write.
    pub(super) fn require<T: Default>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Refusal>,
        hint: &str,
    ) -> T {
        let absent = self.table.is_none_or(|table| !table.contains_key(key));
        if absent {
            let section = self.section_name();
            let what = format!("missing key \"{key}\" in [{section}]");
            self.findings.add(self.place, what, hint);
        }
        self.read(key, parse).unwrap_or_default()
    }

    /// Reports every key that was not asked for. Sections below do it by themselves; the file is told to.
    pub(super) fn refuse_unknown(&mut self) {
        let Some(table) = self.table else { return };
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let place = Place::of(self.text, key.span().start);
            let what = if self.name.is_empty() {
                format!("unknown section \"{name}\"")
            } else {
                let section = self.section_name();
                format!("unknown key \"{name}\" in [{section}]")
            };
            let hint = nearest(name, &self.known).map_or_else(
                || format!("known here: {}", self.known.join(", ")),
                |known| format!("did you mean \"{known}\"?"),
            );
            self.findings.add(Some(place), what, hint);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(&'a DeValue<'a>, Place)> {
        self.known.push(key);
        let value = self.table?.get(key)?;
        Some((value.get_ref(), Place::of(self.text, value.span().start)))
    }

    /// The name in the file's brackets: `peer` for `peer[0]`.
    fn section_name(&self) -> &str {
        self.name.split('[').next().unwrap_or_default()
    }

    fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }
}

/// The known word that `word` most likely meant.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro(word, candidate), *candidate))
        .filter(|(similarity, _)| *similarity > SIMILAR_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A string.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, Refusal> {
    value.as_str().map(str::to_owned).ok_or_else(|| {
        let got = value.type_str();
        Refusal::new(
            format!("a string is needed, not a {got}"),
            "put it in double quotes",
        )
    })
}

/// A string that `parse` understands.
pub(super) fn parsed<T>(
    parse: impl FnOnce(&str) -> Result<T, Refusal>,
) -> impl FnOnce(&DeValue<'_>) -> Result<T, Refusal> {
    move |value| parse(&text(value)?)
}

/// A whole number within `min..=max`.
pub(super) fn integer(min: u64, max: u64) -> impl FnOnce(&DeValue<'_>) -> Result<u64, Refusal> {
    move |value| {
        let got = value.type_str();
        let number = value.as_integer().ok_or_else(|| {
            Refusal::new(
                format!("a whole number is needed, not a {got}"),
                "write it without quotes",
            )
        })?;
        u64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| {
                let digits = number.as_str();
                Refusal::new(
                    format!("{digits} is out of range"),
                    format!("use {min} to {max}"),
                )
            })
    }
}

/// A list of strings, each of which `parse` understands.
pub(super) fn list<T>(
    mut parse: impl FnMut(&str) -> Result<T, Refusal>,
) -> impl FnOnce(&DeValue<'_>) -> Result<Vec<T>, Refusal> {
    move |value| {
        let items = value.as_array().ok_or_else(|| {
            let got = value.type_str();
            Refusal::new(
                format!("a list is needed, not a {got}"),
                "write it as [\"one\", \"two\"]",
            )
        })?;
        items
            .iter()
            .map(|item| parse(&text(item.get_ref())?))
            .collect()
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    words: &[(&'static str, T)],
) -> impl FnOnce(&DeValue<'_>) -> Result<T, Refusal> {
    parsed(move |text| {
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let known = known.join("\", \"");
                Refusal::new(
                    format!("\"{text}\" is not understood"),
                    format!("use one of \"{known}\""),
                )
            })
    })
}
