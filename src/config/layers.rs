//! Where the layers of a configuration come from: the file, `conf.d` beside it, the environment, the state folder.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::check::PEERS_KEY;
use super::problem::{Findings, Refusal, Source, Spot};
use super::reader::{self, BETWEEN, PREFIX, Scope, Settings};
use super::{FILE_BYTES_MAX, peers};

/// Folder of the drop-ins, beside the file.
const DROP_INS: &str = "conf.d";
/// How the name of a drop-in ends; editors and packages leave others.
const DROP_IN_END: &str = ".toml";
/// Most drop-ins that are read; a folder with more is not one of ours.
const DROP_INS_MAX: usize = 256;

/// Variables of the environment that set keys: the name, and the text when it is UTF-8.
pub(super) type Variables = Vec<(String, Option<String>)>;

/// True for the name of a variable that sets a key of a configuration, or is meant to.
#[must_use]
pub fn is_override(name: &OsStr) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    rest.is_some_and(|rest| rest.contains(BETWEEN))
}

/// Those among the variables of a process that set keys, in the order of their names.
pub(super) fn variables(all: impl Iterator<Item = (OsString, OsString)>) -> Variables {
    let mut found: Variables = all
        .filter(|(name, _)| is_override(name))
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok())))
        .collect();
    found.sort();
    found
}

/// Reads the file and everything that overrides it, and reports what must be set and is not. Returns what was read, in
/// order; nothing when there is no file.
pub(super) fn read(
    file: &Path,
    variables: &Variables,
    settings: &mut Settings,
    findings: &mut Findings,
) -> Vec<Source> {
    let base = folder_of(file);
    let source = Source::File(file.to_owned());
    let text = match read_file(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let hint = "write one with: cfs-repl init --help";
            findings.add(None, "the configuration file does not exist", hint);
            return Vec::new();
        }
        Err(error) => {
            let Refusal { what, hint } = unreadable(&error);
            findings.add(None, what, hint);
            return Vec::new();
        }
    };
    reader::read_text(&text, &source, Scope::All, &base, settings, findings);
    let mut sources = vec![source];
    for drop_in in drop_ins(file, findings) {
        let source = Source::DropIn(drop_in.clone());
        match read_file(&drop_in) {
            Ok(text) => {
                reader::read_text(&text, &source, Scope::All, &base, settings, findings);
                sources.push(source);
            }
            Err(error) => report(&error, source, findings),
        }
    }
    reader::read_variables(variables, settings, findings);
    let names = variables.iter().map(|(name, _)| name.clone());
    sources.extend(names.map(Source::Variable));
    reader::require(settings, findings);
    sources
}

/// Reads what the daemon wrote into the state folder, if it did. Whoever may not look into that folder does without
/// when `is_guest`.
pub(super) fn read_peers(
    is_guest: bool,
    settings: &mut Settings,
    findings: &mut Findings,
) -> Option<Source> {
    if findings.is_unreadable("state.dir") {
        return None;
    }
    let file = peers::file_in(&settings.get::<PathBuf>("state.dir"));
    let source = Source::Peers(file.clone());
    match read_file(&file) {
        Ok(text) => {
            let base = folder_of(&file);
            reader::read_text(&text, &source, Scope::Peers, &base, settings, findings);
            Some(source)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) if is_guest && error.kind() == io::ErrorKind::PermissionDenied => {
            findings.unreadable(PEERS_KEY.to_owned());
            None
        }
        Err(error) => {
            report(&error, source, findings);
            None
        }
    }
}

/// The folder at which relative paths of a file start.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.parent().map(Path::to_owned).unwrap_or_default()
}

/// The drop-ins beside a file, in the order of their names. Hidden ones belong to editors.
fn drop_ins(file: &Path, findings: &mut Findings) -> Vec<PathBuf> {
    let folder = file.with_file_name(DROP_INS);
    let listed = fs::read_dir(&folder).and_then(|entries| {
        let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
        names.collect::<io::Result<Vec<OsString>>>()
    });
    let mut names = match listed {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            report(&error, Source::DropIn(folder), findings);
            return Vec::new();
        }
    };
    names.retain(|name| {
        let name = name.to_string_lossy();
        name.ends_with(DROP_IN_END) && !name.starts_with('.')
    });
    names.sort();
    if names.len() > DROP_INS_MAX {
        let what = format!("{} files are more than {DROP_INS_MAX}", names.len());
        let spot = Spot::of(Source::DropIn(folder.clone()));
        findings.add(Some(spot), what, "join some of them into one");
        return Vec::new();
    }
    names.iter().map(|name| folder.join(name)).collect()
}

/// Reads at most [`FILE_BYTES_MAX`] bytes, from whatever is there: a file can grow, and a pipe has no length.
fn read_file(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let input = fs::File::open(file)?;
    input.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "it has more than {FILE_BYTES_MAX} bytes, which is no configuration"
        )));
    }
    Ok(text)
}

fn unreadable(error: &io::Error) -> Refusal {
    Refusal::new(
        format!("cannot read it: {error}"),
        "it must be readable, and UTF-8 text",
    )
}

fn report(error: &io::Error, source: Source, findings: &mut Findings) {
    let Refusal { what, hint } = unreadable(error);
    findings.add(Some(Spot::of(source)), what, hint);
}
