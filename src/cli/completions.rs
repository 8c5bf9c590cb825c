//! `cfs-repl completions SHELL`: the static completion script.

use clap_complete::Shell;

use super::exit::CliResult;
use super::ui::Ui;

/// Print the completion script of a shell
///
/// For bash: cfs-repl completions bash > /etc/bash_completion.d/cfs-repl
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell that will read it
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(ui: &mut Ui, args: &CompletionsArgs) -> CliResult {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::parser(), "cfs-repl", &mut script);
    ui.data(&String::from_utf8_lossy(&script))
}
