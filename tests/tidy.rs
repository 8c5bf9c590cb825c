//! The house rules as tests: layers, pure files, sizes, heads, forgotten work, and documents that keep their word.
//!
//! Each rule is a function from text to complaints, proven on bad strings before it is let loose on the project: a
//! checker that cannot fail is worse than none. The rules are explained in ARCHITECTURE.md; the tables stand in
//! `layers`.

mod docs;
mod layers;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};

/// Longest file in lines; beyond it nobody finds anything.
const LINES_MAX: usize = 800;

/// A file of the project.
struct File {
    /// Path below the project's folder, with `/`.
    path: String,
    text: String,
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with this extension in these folders, or the folder's own when it is named with a trailing `/.`.
fn files(folders: &[&str], extension: &str) -> Vec<File> {
    let mut found = Vec::new();
    for folder in folders {
        let deep = !folder.ends_with('.');
        collect(&project().join(folder), deep, extension, &mut found);
    }
    found.sort();
    let read = |path: PathBuf| File {
        text: fs::read_to_string(&path).unwrap(),
        path: path
            .strip_prefix(project())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned(),
    };
    found.into_iter().map(read).collect()
}

fn collect(folder: &Path, deep: bool, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            if deep {
                collect(&path, deep, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn rust_files() -> Vec<File> {
    files(&["src", "tests", "benches", "fuzz/fuzz_targets", "."], "rs")
}

/// Fails with every complaint, each on its line.
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn modules_import_only_what_their_layer_may_see() {
    let complaints: Vec<String> = files(&["src"], "rs")
        .iter()
        .flat_map(|file| layers::complaints(&file.path, &file.text))
        .collect();
    assert_none(&complaints);
}

#[test]
fn pure_files_have_no_clock_file_socket_or_task() {
    let files = files(&["src"], "rs");
    let pure = files
        .iter()
        .filter(|file| rust::is_pure(&file.text))
        .count();
    assert!(pure > 0, "no file is headed Pure:, so nothing was checked");
    let complaints: Vec<String> = files
        .iter()
        .flat_map(|file| layers::impurities(&file.path, &file.text))
        .collect();
    assert_none(&complaints);
}

#[test]
fn every_file_says_what_it_is_for_and_is_not_too_long() {
    let complaints: Vec<String> = rust_files()
        .iter()
        .flat_map(|file| rust::shape(&file.path, &file.text, LINES_MAX))
        .collect();
    assert_none(&complaints);
}

#[test]
fn nothing_is_forgotten_in_the_code() {
    let complaints: Vec<String> = rust_files()
        .iter()
        .flat_map(|file| rust::leftovers(&file.path, &file.text))
        .collect();
    assert_none(&complaints);
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let documents = files(&[".", "docs"], "md");
    assert!(documents.len() >= 5, "the documents were not found");
    let complaints: Vec<String> = documents
        .iter()
        .flat_map(|file| {
            docs::dead_links(&file.path, &file.text, |path| project().join(path).exists())
        })
        .collect();
    assert_none(&complaints);
}

#[test]
fn the_table_of_bad_input_names_only_tests_that_exist() {
    let table = fs::read_to_string(project().join("docs/testing.md")).unwrap();
    let code: Vec<String> = files(&["src", "tests"], "rs")
        .into_iter()
        .map(|file| file.text)
        .collect();
    let named = docs::named_tests(&table);
    assert!(named.len() >= 5, "the table of bad input was not found");
    assert_none(&docs::missing_tests(&named, &code));
}

#[test]
fn every_layer_is_named_in_the_architecture() {
    let text = fs::read_to_string(project().join("ARCHITECTURE.md")).unwrap();
    assert_none(&layers::undocumented(&text));
}
