//! `cfs-repl version`: what this build is.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::Global;
use super::exit::{CliError, CliResult};
use super::reach::{self, Reach};
use super::render::{Row, View};
use super::status::item;
use super::ui::Ui;
use crate::admin::client::Client;
use crate::daemon::versions;
use crate::text::printable;

/// How long a daemon may take to say its version: nobody waits for it.
const PATIENCE: Duration = Duration::from_millis(250);
/// This version.
const OWN: &str = env!("CARGO_PKG_VERSION");
/// The commit that the sources were of; none: not a release build, or not built from a repository.
const COMMIT: Option<&str> = option_env!("CFS_REPL_GIT_COMMIT");

/// Print the version of this program, of what it was built with, and of the daemon, if it answers at once
#[derive(Debug, clap::Args)]
pub(super) struct VersionArgs {
    #[command(flatten)]
    reach: Reach,
}

/// A part of this build.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VersionItem {
    /// What it is.
    part: String,
    /// Its version.
    version: String,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &VersionArgs) -> CliResult {
    let ask = |client: Client| async move { client.status().await };
    let status = reach::ask_quickly(global, &args.reach, PATIENCE, ask);
    let daemon = status.map(|status| status.version);
    let mut view = view()?;
    if let Some(version) = &daemon {
        view.rows.push(row(("daemon", version))?);
    }
    ui.show(&view)?;
    if let Some(version) = daemon.filter(|version| version != OWN) {
        ui.say(&skew(&version));
    }
    Ok(())
}

fn skew(daemon: &str) -> String {
    let daemon = printable(daemon);
    format!("note: the daemon is {daemon} and this program {OWN}: bring both to the same version")
}

pub(super) fn view() -> Result<View, CliError> {
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let mut features = vec!["cli"];
    if cfg!(feature = "failpoints") {
        features.push("failpoints");
    }
    let own = |part, version: &str| (part, version.to_owned());
    let mut parts = vec![
        own("cfs-repl", OWN),
        own("profile", profile),
        own("target", std::env::consts::ARCH),
    ];
    parts.extend(COMMIT.map(|commit| own("commit", commit)));
    parts.push(("features", features.join(" ")));
    parts.extend(versions::formats());
    Ok(View {
        command: "version",
        site: None,
        columns: &["PART", "VERSION"],
        rows: (parts.iter())
            .map(|(part, version)| row((part, version)))
            .collect::<Result<_, _>>()?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spoken_and_kept_has_its_version_and_a_skew_is_told_printably() {
        let parts: Vec<String> = view()
            .unwrap()
            .rows
            .iter()
            .map(|row| row.cells[0].clone())
            .collect();
        for part in [
            "cfs-repl",
            "features",
            "protocol",
            "journal format",
            "state format",
        ] {
            assert!(parts.iter().any(|known| known == part), "{parts:?}");
        }
        let told = skew("9.9\u{1b}[2J");
        assert!(
            told.starts_with("note: the daemon is 9.9\\u{1b}[2J and"),
            "{told}"
        );
    }
}
