//! Pure: layers of text and variables to one set of values, each with the place that set it.
//!
//! serde stops at the first mistake; this reader goes on, so that one look lists them all. A later layer overrides
//! single keys of an earlier one; `[[peer]]` tables add up. What cannot be read is reported and not set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::keys::{self, Form, Key, SECTIONS, Section, Unset};
use super::problem::{Findings, Place, Refusal, Source, Spot};
use super::suggest;
use super::value::{Typed, Value, as_toml};

/// How a variable begins that sets a key.
pub(super) const PREFIX: &str = "CFS_REPL_";
/// What stands between section and key in the name of a variable.
pub(super) const BETWEEN: &str = "__";

/// What a text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Every section.
    All,
    /// Peers alone.
    Peers,
}

/// The values that were set so far.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// By full name: `tree.root`, `peer[0].id`.
    values: BTreeMap<String, Value>,
    /// How many tables `[[peer]]` there are.
    peers: usize,
}

impl Settings {
    /// The value of a key as it was set, or as it is when it is not set; none when that is nothing, or when it was
    /// refused and has no default.
    pub(super) fn value(&self, full: &str) -> Option<Value> {
        self.values
            .get(full)
            .cloned()
            .or_else(|| self.default_of(full))
    }

    /// What a key is when it is not set.
    pub(super) fn default_of(&self, full: &str) -> Option<Value> {
        let key = keys::key(full)?;
        match key.unset {
            Unset::Value(literal) => {
                let value = as_toml(literal).ok()?;
                key.kind.read(value.get_ref(), Path::new("")).ok()
            }
            Unset::InState(name) => {
                let dir: PathBuf = self.optional("state.dir")?;
                Some(Value::Path(dir.join(name)))
            }
            Unset::Nothing { .. } | Unset::Required { .. } => None,
        }
    }

    /// The value in the type of its field.
    pub(super) fn optional<T: Typed>(&self, full: &str) -> Option<T> {
        T::of(&self.value(full)?)
    }

    /// The same, where nothing stands for what was refused: nobody sees it, because that was reported.
    pub(super) fn get<T: Typed + Default>(&self, full: &str) -> T {
        self.optional(full).unwrap_or_default()
    }

    /// True when any key of the section is set.
    pub(super) fn has_section(&self, name: &str) -> bool {
        let start = format!("{name}.");
        self.values.keys().any(|full| full.starts_with(&start))
    }

    /// How many tables `[[peer]]` there are.
    pub(super) const fn peers(&self) -> usize {
        self.peers
    }
}

/// Reads a text over what was set before. Relative paths are joined to `base`.
pub(super) fn read_text(
    text: &str,
    source: &Source,
    scope: Scope,
    base: &Path,
    settings: &mut Settings,
    findings: &mut Findings,
) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut layer = Layer {
        text,
        source,
        base,
        settings,
        findings,
    };
    for error in errors {
        let spot = layer.spot(error.span().map(|span| span.start));
        let first_line = error.message().lines().next().unwrap_or("not valid TOML");
        let hint = "correct the TOML syntax here";
        layer.findings.add(Some(spot), first_line, hint);
    }
    layer.whole(table.get_ref(), scope);
}

/// Reads variables over what was set before; those whose text is not UTF-8 have none.
pub(super) fn read_variables(
    variables: &[(String, Option<String>)],
    settings: &mut Settings,
    findings: &mut Findings,
) {
    let known: Vec<(String, String, &Key)> = SECTIONS
        .iter()
        .filter(|section| section.form != Form::Many)
        .flat_map(|section| {
            section.keys.iter().map(|key| {
                let full = format!("{}.{}", section.name, key.name);
                (variable(section.name, key.name), full, key)
            })
        })
        .collect();
    for (variable, text) in variables {
        let spot = Spot::of(Source::Variable(variable.clone()));
        let Some((_, full, key)) = known.iter().find(|(name, ..)| name == variable) else {
            unknown_variable(variable, &known, spot, findings);
            continue;
        };
        let value = match text {
            Some(text) => key.kind.read_variable(text),
            None => Err(Refusal::new("it is not UTF-8", "write it as UTF-8")),
        };
        put(full.clone(), value, spot, settings, findings);
    }
}

/// The variable that sets a key.
pub(super) fn variable(section: &str, key: &str) -> String {
    let (section, key) = (section.to_ascii_uppercase(), key.to_ascii_uppercase());
    format!("{PREFIX}{section}{BETWEEN}{key}")
}

fn unknown_variable(
    variable: &str,
    known: &[(String, String, &Key)],
    spot: Spot,
    findings: &mut Findings,
) {
    let what = "no key of the configuration has this variable";
    if variable.starts_with(&format!("{PREFIX}PEER{BETWEEN}")) {
        let hint = "write a [[peer]] into a file: variables cannot tell one peer from another";
        findings.add(Some(spot), what, hint);
        return;
    }
    let names: Vec<&str> = known.iter().map(|(name, ..)| name.as_str()).collect();
    let hint = suggest::nearest(variable, &names).map_or_else(
        || "see which keys there are: cfs-repl help config".to_owned(),
        |name| format!("did you mean {name}?"),
    );
    findings.add(Some(spot), what, hint);
}

/// Reports what must be set and is not. To be asked once, after the last layer.
pub(super) fn require(settings: &Settings, findings: &mut Findings) {
    for section in SECTIONS {
        let is_needed = match section.form {
            Form::Once => true,
            Form::Optional => {
                settings.has_section(section.name) || findings.place(section.name).is_some()
            }
            Form::Many => false,
        };
        if is_needed {
            require_in(section, section.name, settings, findings);
        }
    }
}

fn require_in(section: &Section, name: &str, settings: &Settings, findings: &mut Findings) {
    for key in section.keys {
        let Unset::Required { sample, hint } = key.unset else {
            continue;
        };
        let full = format!("{name}.{}", key.name);
        if settings.values.contains_key(&full) || findings.is_unreadable(&full) {
            continue;
        }
        let what = format!("missing key \"{}\" in [{}]", key.name, section.name);
        let hint = format!("add {} = {sample}{hint}", key.name);
        findings.add(findings.place(name), what, hint);
    }
}

/// Sets a key, or reports why not.
fn put(
    full: String,
    value: Result<Value, Refusal>,
    spot: Spot,
    settings: &mut Settings,
    findings: &mut Findings,
) {
    match value {
        Ok(value) => {
            findings.found(full.clone(), spot);
            settings.values.insert(full, value);
        }
        Err(Refusal { what, hint }) => {
            findings.add(Some(spot), format!("{full}: {what}"), hint);
            findings.unreadable(full);
        }
    }
}

/// One text while it is read.
struct Layer<'a> {
    text: &'a str,
    source: &'a Source,
    base: &'a Path,
    settings: &'a mut Settings,
    findings: &'a mut Findings,
}

impl Layer<'_> {
    fn spot(&self, offset: Option<usize>) -> Spot {
        Spot {
            source: self.source.clone(),
            place: offset.map(|offset| Place::of(self.text, offset)),
        }
    }

    fn whole(&mut self, table: &DeTable<'_>, scope: Scope) {
        let may_stand = |section: &&Section| scope == Scope::All || section.form == Form::Many;
        let known: Vec<&str> = SECTIONS
            .iter()
            .filter(may_stand)
            .map(|section| section.name)
            .collect();
        for (name, value) in table {
            let name_at = name.span().start;
            let name = name.get_ref().as_ref();
            let section = keys::section(name).filter(|section| may_stand(section));
            let Some(section) = section else {
                let spot = self.spot(Some(name_at));
                let hint = suggest::hint(name, &known);
                let what = format!("unknown section \"{name}\"");
                self.findings.add(Some(spot), what, hint);
                continue;
            };
            let spot = self.spot(Some(value.span().start));
            match (section.form, value.get_ref()) {
                (Form::Many, DeValue::Array(list)) => self.tables(section, list, &spot),
                (Form::Many, _) => self.no_list(section, spot),
                (Form::Once | Form::Optional, DeValue::Table(table)) => {
                    self.findings.found(name.to_owned(), spot);
                    self.section(section, name, table);
                }
                (Form::Once | Form::Optional, other) => {
                    let got = other.type_str();
                    let what = format!("{name} is a {got}, not a section");
                    self.findings.found(name.to_owned(), spot.clone());
                    self.findings
                        .add(Some(spot), what, format!("write [{name}]"));
                }
            }
        }
    }

    fn no_list(&mut self, section: &Section, spot: Spot) {
        let name = section.name;
        let what = format!("{name} is not a list of sections");
        self.findings
            .add(Some(spot), what, format!("write [[{name}]]"));
    }

    fn tables(&mut self, section: &Section, list: &toml::de::DeArray<'_>, spot: &Spot) {
        for item in list {
            let DeValue::Table(table) = item.get_ref() else {
                self.no_list(section, spot.clone());
                continue;
            };
            let name = format!("{}[{}]", section.name, self.settings.peers);
            self.settings.peers += 1;
            let spot = self.spot(Some(item.span().start));
            self.findings.found(name.clone(), spot);
            self.section(section, &name, table);
            require_in(section, &name, self.settings, self.findings);
        }
    }

    fn section(&mut self, section: &Section, name: &str, table: &DeTable<'_>) {
        let known: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
        for (word, value) in table {
            let key = word.get_ref().as_ref();
            let Some(found) = section.key(key) else {
                let spot = self.spot(Some(word.span().start));
                let what = format!("unknown key \"{key}\" in [{}]", section.name);
                let hint = suggest::hint(key, &known);
                self.findings.add(Some(spot), what, hint);
                continue;
            };
            let spot = self.spot(Some(value.span().start));
            let value = found.kind.read(value.get_ref(), self.base);
            put(
                format!("{name}.{key}"),
                value,
                spot,
                self.settings,
                self.findings,
            );
        }
    }
}
