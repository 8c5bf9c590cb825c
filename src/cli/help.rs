//! `cfs-repl help [TOPIC]`: help on a command, or on something that concerns all of them.

use std::fmt::Write;
use std::path::Path;

use super::exit::{CliResult, Exit, Failure};
use super::ui::Ui;
use crate::config::{Config, Example, Role};

/// A topic: its name, and its text.
type Topic = (&'static str, fn() -> String);

const TOPICS: [Topic; 3] = [
    ("exit-codes", exit_codes),
    ("environment", environment),
    ("config", config),
];

/// Print help on a command or a topic: exit-codes, environment, config
#[derive(Debug, clap::Args)]
pub(super) struct HelpArgs {
    /// A command, with its subcommand if it has one, or a topic
    words: Vec<String>,
}

pub(super) fn run(ui: &mut Ui, args: &HelpArgs) -> CliResult {
    if let [word] = args.words.as_slice()
        && let Some((_, text)) = TOPICS.iter().find(|(name, _)| name == word)
    {
        return ui.data(&text());
    }
    let mut parser = super::parser();
    // Fills in what subcommands inherit, such as the global flags.
    parser.build();
    let mut command = &mut parser;
    for word in &args.words {
        command = command.find_subcommand_mut(word).ok_or_else(|| {
            let topics: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
            let topics = topics.join(", ");
            Failure::new(Exit::Usage, format!("no command or topic \"{word}\""))
                .cause(format!("topics are: {topics}"))
                .hint("cfs-repl --help lists the commands")
        })?;
    }
    let text = command.render_long_help().ansi().to_string();
    ui.data(&text)
}

fn exit_codes() -> String {
    let mut text = "Exit codes of every command; scripts may rely on them.\n\n".to_owned();
    for exit in Exit::ALL {
        let line = writeln!(
            text,
            "{:>4}  {:<18}  {}",
            exit.code(),
            exit.word(),
            exit.meaning()
        );
        line.unwrap_or_default();
    }
    text
}

fn environment() -> String {
    "Environment variables that cfs-repl reads.\n\n\
     CFS_REPL_CONFIG  configuration file, where --config is not given\n\
     CFS_REPL_SERVER  daemon to ask, where --server is not given\n\
     NO_COLOR         when not empty: no colour\n\
     CLICOLOR_FORCE   when not empty: colour even where the output is no terminal\n\
     TERM             dumb: no colour\n"
        .to_owned()
}

fn config() -> String {
    Config::example(&Example {
        site_id: 1,
        name: "fra-1",
        cluster: "prod",
        role: Role::default(),
        primary_site_id: None,
        root: Path::new("/srv/media"),
        state: Path::new("/var/lib/cfs-repl"),
        listen: None,
        tls: None,
        peers: &[],
    })
}
