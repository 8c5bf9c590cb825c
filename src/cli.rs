//! The command line: what people and scripts see of a site.
//!
//! Data goes to stdout, talk to stderr; every command ends with a code of [`exit::Exit`]. A subcommand is one file
//! with its arguments, whose doc is the help, and `run(ui, args)`; only [`ui`] prints, only [`render`] knows formats.

mod bundle;
mod check;
pub mod columns;
mod compact;
mod compare;
mod completions;
mod config;
mod conflicts;
mod demo;
mod doctor;
mod events;
pub mod exit;
mod help;
pub(crate) mod human;
mod init;
mod journal;
mod lab;
mod lag;
pub mod look;
mod man;
mod pair;
mod peer;
mod pki;
mod reach;
mod reload;
pub mod render;
mod run;
mod schema;
mod screen;
mod sink;
mod sites;
mod status;
mod table;
#[cfg(feature = "tui")]
mod top;
pub mod ui;
mod version;
mod wait;
mod watch;
mod yaml;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::units::parse_duration;
use exit::{CliResult, Exit, Failure};
use render::Format;
use ui::Ui;

/// Keeps directory trees at different sites in step
#[derive(Debug, Parser)]
#[command(
    name = "cfs-repl",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every subcommand takes, before or behind it.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its
    /// certificate
    #[arg(
        short,
        long,
        global = true,
        env = "CFS_REPL_SERVER",
        value_name = "ADDRESS"
    )]
    pub server: Option<String>,
    /// Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem
    /// beside it. Else that of the configuration
    #[arg(long, global = true, env = "CFS_REPL_IDENTITY", value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// How to print data
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub output: Format,
    /// The same as --output json
    #[arg(long, global = true, conflicts_with = "output")]
    pub json: bool,
    /// When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: clap::ColorChoice,
    /// How long to wait for an answer of the daemon
    #[arg(long, global = true, default_value = "5s", value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Duration,
    /// Show people times in UTC, and never as ages
    #[arg(long, global = true, conflicts_with = "local")]
    pub utc: bool,
    /// Show people times in the zone of this machine, and never as ages
    #[arg(long, global = true)]
    pub local: bool,
    /// Say nothing on success
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// The format that was asked for.
    #[must_use]
    pub const fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(status::StatusArgs),
    #[cfg(feature = "tui")]
    Top(top::TopArgs),
    Lag(lag::LagArgs),
    Conflicts(conflicts::ConflictsArgs),
    Sites(sites::SitesArgs),
    Events(events::EventsArgs),
    Journal(journal::JournalArgs),
    Compact(compact::CompactArgs),
    Wait(wait::WaitArgs),
    Check(check::CheckArgs),
    Config(config::ConfigArgs),
    Doctor(doctor::DoctorArgs),
    SupportBundle(bundle::BundleArgs),
    Init(Box<init::InitArgs>),
    Peer(peer::PeerArgs),
    Join(Box<peer::JoinArgs>),
    Reload(reload::ReloadArgs),
    LogLevel(reload::LogLevelArgs),
    Pki(pki::PkiArgs),
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    Pair(pair::PairArgs),
    Compare(compare::CompareArgs),
    Version(version::VersionArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Help(help::HelpArgs),
}

/// Runs one command line, the program's name first, and returns its exit code.
#[must_use]
pub fn main(args: Vec<OsString>) -> std::process::ExitCode {
    if let Some(exit) = completions::answer(&args) {
        return exit.into();
    }
    let exit = match Cli::try_parse_from(&args) {
        Ok(cli) => {
            let mut ui = Ui::new(&cli.global);
            let result = run(&mut ui, &cli.global, cli.command);
            ui.finish(result)
        }
        Err(error) => {
            let mut ui = Ui::for_usage(&args);
            let result = usage(&mut ui, &error);
            ui.finish(result)
        }
    };
    exit.into()
}

fn run(ui: &mut Ui, global: &Global, command: Command) -> CliResult {
    match command {
        Command::Status(args) => status::run(ui, global, &args),
        #[cfg(feature = "tui")]
        Command::Top(args) => top::run(ui, global, &args),
        Command::Lag(args) => lag::run(ui, global, &args),
        Command::Conflicts(args) => conflicts::run(ui, global, &args),
        Command::Sites(args) => sites::run(ui, global, &args),
        Command::Events(args) => events::run(ui, global, &args),
        Command::Journal(args) => journal::run(ui, global, &args),
        Command::Compact(args) => compact::run(ui, global, &args),
        Command::Wait(args) => wait::run(ui, global, &args),
        Command::Check(args) => check::run(ui, global, &args),
        Command::Config(args) => config::run(ui, global, &args),
        Command::Doctor(args) => doctor::run(ui, global, &args),
        Command::SupportBundle(args) => bundle::run(ui, global, &args),
        Command::Init(args) => init::run(ui, *args),
        Command::Peer(args) => peer::run(ui, global, &args),
        Command::Join(args) => peer::join(ui, &args),
        Command::Reload(args) => reload::run(ui, global, &args),
        Command::LogLevel(args) => reload::log_level(ui, global, &args),
        Command::Pki(args) => pki::run(ui, args),
        Command::Run(args) => run::run(ui, &args),
        Command::Demo(args) => demo::run(ui, &args),
        Command::Pair(args) => pair::run(ui, &args),
        Command::Compare(args) => compare::run(ui, &args),
        Command::Version(args) => version::run(ui, global, &args),
        Command::Schema(args) => schema::run(ui, &args),
        Command::Completions(args) => completions::run(ui, &args),
        Command::Man(args) => man::run(ui, &args),
        Command::Help(args) => help::run(ui, &args),
    }
}

/// Whether there is more in a text than colours that a terminal would obey.
fn steers(text: &str) -> bool {
    let mut parts = text.split('\u{1b}');
    let is_colour = |part: &str| {
        let rest = part.strip_prefix('[').unwrap_or("-");
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest.starts_with('m')
    };
    let is_control = |c: char| c.is_control() && c != '\n';
    let first = parts.next().unwrap_or_default();
    first.contains(is_control) || parts.any(|part| !is_colour(part) || part.contains(is_control))
}

/// What clap says instead of a command: help and version are data, everything else is a usage failure.
fn usage(ui: &mut Ui, error: &clap::Error) -> CliResult {
    let text = error.render().ansi().to_string();
    if !error.use_stderr() {
        return ui.data(&text);
    }
    if ui.is_json() {
        let plain = error.render().to_string();
        let first = plain.lines().next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        let failure = Failure::new(Exit::Usage, message).hint("cfs-repl --help");
        return Err(failure.into());
    }
    // What was typed stands in it, and may steer a terminal: then it is told without colours.
    if steers(&text) {
        let plain = error.render().to_string();
        ui.say(plain.trim_end());
    } else {
        ui.talk(&text);
    }
    Err(exit::CliError::Told(Exit::Usage))
}

/// The parser, for help and completions.
fn parser() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
