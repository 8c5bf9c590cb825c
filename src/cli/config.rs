//! `cfs-repl config check|show|schema`: what a site is told, before the daemon hears it.

pub(super) mod check;
pub(super) mod show;

use std::path::PathBuf;

use super::Global;
use super::exit::CliResult;
use super::ui::Ui;
use crate::config::{Config, DEFAULT_FILE};

/// Check the configuration, show what holds, or print its schema
///
/// What holds: a variable CFS_REPL_SECTION__KEY, else the last file of conf.d beside the configuration that names the
/// key, else the configuration, else the default. Sites that joined by invitation come from peers.toml in the state
/// folder.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    Check(check::CheckArgs),
    Show(show::ShowArgs),
    Schema(SchemaArgs),
}

/// Where the configuration stands.
#[derive(Debug, clap::Args)]
struct File {
    /// Configuration file
    #[arg(long, env = "CFS_REPL_CONFIG", default_value = DEFAULT_FILE, value_name = "FILE")]
    config: PathBuf,
}

/// Print the JSON Schema of the configuration, for editors
///
/// Example: cfs-repl config schema > cfs-repl.schema.json
#[derive(Debug, clap::Args)]
struct SchemaArgs {}

/// Answers without a daemon.
pub(super) fn run(ui: &mut Ui, global: &Global, args: &ConfigArgs) -> CliResult {
    match &args.command {
        ConfigCommand::Check(args) => check::run(ui, global, args),
        ConfigCommand::Show(args) => show::run(ui, args),
        ConfigCommand::Schema(SchemaArgs {}) => ui.data(&schema()),
    }
}

fn schema() -> String {
    format!("{:#}\n", Config::schema())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Set to rewrite the checked-in schema instead of comparing it.
    const REGENERATE: &str = "CFS_REPL_REGENERATE";

    #[test]
    fn the_checked_in_schema_is_the_one_that_is_printed() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/config.json");
        if std::env::var_os(REGENERATE).is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, schema()).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == schema(),
            "{} is stale; run: {REGENERATE}=1 cargo test checked_in_schema",
            file.display()
        );
    }
}
