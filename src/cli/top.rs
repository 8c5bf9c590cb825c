//! `cfs-repl top`: the dashboard.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use tokio::sync::mpsc;

use super::Global;
use super::exit::{CliError, CliResult, Exit, Failure};
use super::reach::{self, Reach};
use super::ui::Ui;
use crate::clock::SystemClock;
use crate::config::DEFAULT_FILE;
use crate::text::printable;
use crate::top::app::{App, End, Source};
use crate::top::calls::Daemon;
use crate::top::model::{Choice, Model, Screen, ThemeName};
use crate::top::projector::Projector;
use crate::top::reel::Reel;
use crate::top::{command, terminal};

/// Keys that wait: more than anybody types ahead.
const KEYS_MAX: usize = 256;

/// Show the dashboard: what is wrong, where, since when and why; and act on it
///
/// Example: cfs-repl top --screen 4
///
/// The keys are shown by ? in it. Quitting it leaves the daemon alone.
#[derive(Debug, clap::Args)]
#[command(visible_alias = "dashboard")]
pub(super) struct TopArgs {
    /// Begin with this screen: 1 overview, 2 site, 3 shards, 4 conflicts, 5 events, 6 journal
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=6))]
    screen: u8,
    /// Change nothing: keys that act are greyed
    #[arg(long)]
    read_only: bool,
    /// Draw with ASCII alone
    #[arg(long)]
    ascii: bool,
    /// Colours; without it those for dark terminals, or none as NO_COLOR and --color say
    #[arg(long, value_enum, value_name = "THEME")]
    theme: Option<Theme>,
    /// Leave the mouse to the terminal
    #[arg(long)]
    no_mouse: bool,
    /// Keep what the daemon tells in this new file, to be played by --replay
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Play what --record kept; no daemon is asked
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Play so many times faster, 0.25 to 64
    #[arg(long, value_name = "NUMBER", default_value = "1", requires = "replay", value_parser = speed)]
    speed: u64,
    #[command(flatten)]
    reach: Reach,
}

/// Colours.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Theme {
    Dark,
    Light,
    HighContrast,
    Mono,
}

impl From<Theme> for ThemeName {
    fn from(theme: Theme) -> Self {
        match theme {
            Theme::Dark => Self::Dark,
            Theme::Light => Self::Light,
            Theme::HighContrast => Self::HighContrast,
            Theme::Mono => Self::Mono,
        }
    }
}

/// In percent.
fn speed(text: &str) -> Result<u64, String> {
    let wrong = || "use a number from 0.25 to 64".to_owned();
    let speed: f64 = text.parse().map_err(|_| wrong())?;
    if !(0.25..=64.0).contains(&speed) {
        return Err(wrong());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 25 and 6400"
    )]
    let percent = (speed * 100.0) as u64;
    Ok(percent)
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &TopArgs) -> CliResult {
    if ui.canvas().is_none() || !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        return Err(no_terminal().into());
    }
    let source = source(global, args)?;
    let model = model(ui, global, args);
    let runtime = reach::runtime()?;
    let _entered = runtime.enter();
    let app = App::new(model, source, Arc::new(SystemClock));
    let failed = |error: std::io::Error| {
        let failure = Failure::new(Exit::Failure, "cannot go on drawing").cause(error);
        CliError::from(failure.hint("cfs-repl status --watch needs less of the terminal"))
    };
    let (typed, input) = mpsc::channel(KEYS_MAX);
    let guard = terminal::Guard::new(!args.no_mouse).map_err(failed)?;
    let mut screen = terminal::screen().map_err(failed)?;
    let reader = std::thread::Builder::new().name("keys".to_owned());
    reader
        .spawn(move || terminal::read(&typed))
        .map_err(failed)?;
    let ended = runtime.block_on(app.run(&mut screen, input));
    drop(guard);
    match ended.map_err(failed)? {
        End::Quit => Ok(()),
        End::Signal => Err(CliError::Told(Exit::Interrupted)),
        End::Failed => Err(
            Failure::new(Exit::Failure, "a part of the dashboard failed")
                .hint("cfs-repl status --watch needs less")
                .into(),
        ),
    }
}

fn no_terminal() -> Failure {
    Failure::new(Exit::Usage, "the dashboard needs a terminal")
        .cause("standard input or output is none, or one that cannot move its cursor")
        .hint("cfs-repl status --watch, or for programs cfs-repl status --watch -o jsonl")
}

fn source(global: &Global, args: &TopArgs) -> Result<Source, CliError> {
    if let Some(path) = &args.replay {
        let told = printable(&path.display().to_string());
        let cannot = || format!("cannot play {told}");
        let file =
            File::open(path).map_err(|error| Failure::new(Exit::Failure, cannot()).cause(error))?;
        let reel = Reel::open(BufReader::new(file)).map_err(|error| {
            Failure::new(Exit::Failure, cannot())
                .cause(error)
                .hint("cfs-repl top --record FILE makes one")
        })?;
        return Ok(Source::Record(Box::new(Projector::new(reel, args.speed))));
    }
    let record = args.record.as_deref().map(new_file).transpose()?;
    let (own, reach) = (global.clone(), args.reach.clone());
    let daemon = Daemon {
        address: reach::address(global, &args.reach)?,
        patience: global.timeout,
        explain: Arc::new(move |error| reach::explained(&own, &reach, error)),
    };
    Ok(Source::Daemon { daemon, record })
}

fn new_file(path: &Path) -> Result<File, CliError> {
    let made = File::options().write(true).create_new(true).open(path);
    made.map_err(|error| {
        let told = printable(&path.display().to_string());
        Failure::new(Exit::Failure, format!("cannot make {told}"))
            .cause(error)
            .hint("name a file that does not exist, in a directory that does")
            .into()
    })
}

fn model(ui: &Ui, global: &Global, args: &TopArgs) -> Model {
    let index = usize::from(args.screen.saturating_sub(1));
    let theme = match args.theme {
        Some(theme) => theme.into(),
        None if ui.look().colour => ThemeName::Dark,
        None => ThemeName::Mono,
    };
    let read_only = if args.replay.is_some() {
        Some("a record is played".to_owned())
    } else {
        args.read_only.then(|| "--read-only was given".to_owned())
    };
    Model {
        choice: Choice {
            screen: Screen::ALL.get(index).copied().unwrap_or_default(),
            theme,
            ascii: args.ascii,
            local: global.local,
            range: 1,
            ..Choice::default()
        },
        read_only,
        program: program(global, &args.reach),
        zone: Some(jiff::tz::TimeZone::system()),
        ..Model::default()
    }
}

/// The program with the flags by which this daemon is reached.
fn program(global: &Global, reach: &Reach) -> String {
    if let Some(server) = &global.server {
        return format!("cfs-repl -s {}", command::quoted(server));
    }
    let config = reach.config();
    if config == Path::new(DEFAULT_FILE) {
        return "cfs-repl".to_owned();
    }
    let config = command::quoted(&config.display().to_string());
    format!("cfs-repl --config {config}")
}
