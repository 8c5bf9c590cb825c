//! `cfs-repl version`: what this build is.

use schemars::JsonSchema;
use serde::Serialize;

use super::exit::{CliError, CliResult};
use super::render::{Row, View};
use super::status::item;
use super::ui::Ui;

/// Print the version of this program and of what it was built with
#[derive(Debug, clap::Args)]
pub(super) struct VersionArgs {}

/// A part of this build.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VersionItem {
    /// What it is.
    part: String,
    /// Its version.
    version: String,
}

pub(super) fn run(ui: &mut Ui, _args: &VersionArgs) -> CliResult {
    ui.show(&view()?)
}

pub(super) fn view() -> Result<View, CliError> {
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let parts = [
        ("cfs-repl", env!("CARGO_PKG_VERSION")),
        ("profile", profile),
        ("target", std::env::consts::ARCH),
    ];
    Ok(View {
        command: "version",
        site: None,
        columns: &["PART", "VERSION"],
        rows: parts.into_iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn row((part, version): (&str, &str)) -> Result<Row, CliError> {
    Ok(Row {
        name: version.to_owned(),
        cells: vec![part.to_owned(), version.to_owned()],
        item: item(&VersionItem {
            part: part.to_owned(),
            version: version.to_owned(),
        })?,
    })
}
