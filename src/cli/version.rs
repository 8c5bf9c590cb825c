//! `cfs-repl version`: what this build is.

use serde_json::json;

use super::exit::CliResult;
use super::render::{Row, View};
use super::ui::Ui;

/// Print the version of this program and of what it was built with
#[derive(Debug, clap::Args)]
pub(super) struct VersionArgs {}

pub(super) fn run(ui: &mut Ui, _args: &VersionArgs) -> CliResult {
    ui.show(&view())
}

pub(super) fn view() -> View {
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
    View {
        command: "version",
        site: None,
        columns: &["PART", "VERSION"],
        rows: parts.into_iter().map(row).collect(),
    }
}

fn row((part, version): (&str, &str)) -> Row {
    Row {
        name: version.to_owned(),
        cells: vec![part.to_owned(), version.to_owned()],
        item: json!({ "part": part, "version": version }),
    }
}
