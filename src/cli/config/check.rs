//! `cfs-repl config check`: everything that is wrong with a configuration, and what is worth a look.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::File;
use crate::cli::Global;
use crate::cli::exit::{CliError, CliResult, Exit, Failure};
use crate::cli::human;
use crate::cli::render::{Format, Row, View};
use crate::cli::status::item;
use crate::cli::ui::Ui;
use crate::clock::{Clock, SystemClock, TimestampUs, rfc3339};
use crate::conduit::pki::inspect::{inspect, open_key};
use crate::config::units::Endpoint;
use crate::config::{Config, Examined, Problem, Source, Spot};
use crate::text::printable;

/// A certificate that ends sooner is worth a look: long enough for somebody to come back from a holiday.
const EXPIRES_SOON_US: TimestampUs = 14 * 86_400_000_000;

/// Say everything that is wrong with the configuration, and what is worth a look
///
/// Exits with 6 when something is wrong, and with 0 when nothing is or only warnings are told.
///
/// Example: cfs-repl config check --tls
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Read keys and certificates: whether they belong together, their names, and when they end
    #[arg(long)]
    tls: bool,
    /// Try to reach the endpoints of the peers over TCP, each for --timeout. A peer that none of its endpoints reaches
    /// is an error
    #[arg(long)]
    connect: bool,
    #[command(flatten)]
    file: File,
}

/// Checks and tells.
///
/// # Errors
/// With exit code 6 when something is wrong.
pub(super) fn run(ui: &mut Ui, global: &Global, args: &CheckArgs) -> CliResult {
    let examined = Config::examine(&args.file.config);
    let mut report = Report {
        errors: Vec::new(),
        warnings: examined.warnings.clone(),
    };
    match &examined.config {
        Ok(config) => {
            let place = Places {
                examined: &examined,
                args,
            };
            certificates(config, &place, SystemClock.now_us(), &mut report);
            if args.connect {
                connect(config, &place, global.timeout, &mut report)?;
            }
        }
        Err(error) => report.errors.clone_from(&error.problems),
    }
    tell(ui, global.format(), &report)?;
    let file = args.file.config.display();
    ui.say(&format!(
        "{}: {}",
        printable(&file.to_string()),
        report.summary()
    ));
    if report.errors.is_empty() {
        return Ok(());
    }
    Err(CliError::Told(Exit::Config))
}

/// What was found.
#[derive(Debug, Default)]
struct Report {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Report {
    fn summary(&self) -> String {
        let count = |count: usize, word: &str| match count {
            0 => format!("no {word}s"),
            1 => format!("1 {word}"),
            more => format!("{more} {word}s"),
        };
        let (errors, warnings) = (self.errors.len(), self.warnings.len());
        format!("{}, {}", count(errors, "error"), count(warnings, "warning"))
    }
}

/// Where keys stand.
struct Places<'a> {
    examined: &'a Examined,
    args: &'a CheckArgs,
}

impl Places<'_> {
    fn problem(&self, key: &str, what: &str, hint: impl Into<String>) -> Problem {
        Problem {
            at: self.examined.spot(key, &self.args.file.config),
            what: format!("{key}: {}", printable(what)),
            hint: hint.into(),
        }
    }
}

fn certificates(config: &Config, place: &Places<'_>, now_us: TimestampUs, report: &mut Report) {
    let Some(paths) = &config.tls else { return };
    let mend = "correct the file, or [tls]";
    if !place.args.tls {
        let keys = [
            ("tls.key", Some(&paths.key)),
            ("tls.ca_key", paths.ca_key.as_ref()),
        ];
        for (key, path) in keys {
            if let Some(why) = path.and_then(|path| open_key(path)) {
                report.warnings.push(place.problem(key, &why, mend));
            }
        }
        return;
    }
    let found = inspect(paths, &config.site.name, &config.site.cluster, now_us);
    for (key, why) in &found.errors {
        let key = format!("tls.{key}");
        report.errors.push(place.problem(&key, why, mend));
    }
    let soon = found
        .expires_us
        .filter(|end| end.saturating_sub(now_us) < EXPIRES_SOON_US);
    if let Some(end) = soon {
        let left = human::duration(end.saturating_sub(now_us));
        let at = rfc3339(end).unwrap_or_default();
        let what = format!("the certificate, or an authority above it, ends in {left}, at {at}");
        let hint = "put a new certificate in its place and send the daemon SIGHUP";
        report.warnings.push(place.problem("tls.cert", &what, hint));
    }
}

/// Tries every endpoint of every peer, all at the same time.
fn connect(
    config: &Config,
    place: &Places<'_>,
    patience: Duration,
    report: &mut Report,
) -> CliResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(Exit::Failure, "cannot try the endpoints")
                .cause(error)
                .hint("the system may be out of file descriptors")
        })?;
    let tried = runtime.block_on(try_all(config, patience));
    // A name that is still being looked up must not hold the command.
    runtime.shutdown_background();
    for (index, peer) in config.peers.iter().enumerate() {
        let of_peer = || tried.iter().filter(move |(at, ..)| *at == index);
        let is_reached = of_peer().any(|(_, _, why)| why.is_none());
        for (_, endpoint, why) in of_peer() {
            let Some(why) = why else { continue };
            let what = format!("cannot reach {} at {endpoint}: {why}", peer.name);
            let hint = "see whether cfs-repl runs there and listens, and what stands between";
            let problem = place.problem(&format!("peer[{index}].endpoints"), &what, hint);
            if is_reached {
                report.warnings.push(problem);
            } else {
                report.errors.push(problem);
            }
        }
    }
    Ok(())
}

/// Which peer, which endpoint, and why it was not reached.
type Tried = (usize, Endpoint, Option<String>);

async fn try_all(config: &Config, patience: Duration) -> Vec<Tried> {
    let mut under_way = JoinSet::new();
    for (index, peer) in config.peers.iter().enumerate() {
        for (order, endpoint) in peer.endpoints.iter().cloned().enumerate() {
            under_way.spawn(async move {
                let why = reach(&endpoint, patience).await;
                (index, order, endpoint, why)
            });
        }
    }
    let mut tried = under_way.join_all().await;
    tried.sort();
    let without_order = tried
        .into_iter()
        .map(|(index, _, at, why)| (index, at, why));
    without_order.collect()
}

async fn reach(endpoint: &Endpoint, patience: Duration) -> Option<String> {
    let connected = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
    match timeout(patience, connected).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer for {} ms", patience.as_millis())),
    }
}

fn tell(ui: &mut Ui, format: Format, report: &Report) -> CliResult {
    match format {
        Format::Table | Format::Wide => ui.data(&text(report)),
        Format::Json | Format::Jsonl | Format::Yaml | Format::Csv | Format::Name => {
            ui.show(&view(report)?)
        }
    }
}

/// Errors first, each with what to do on a line of its own.
fn text(report: &Report) -> String {
    let mut text = String::new();
    for (label, problem) in labelled(report) {
        let Problem { at, what, hint } = problem;
        let indent = " ".repeat(label.len() + 2);
        text.push_str(&format!("{label}: {at}: {what}\n{indent}{hint}\n"));
    }
    text
}

fn labelled(report: &Report) -> impl Iterator<Item = (&'static str, &Problem)> {
    let errors = report.errors.iter().map(|problem| ("error", problem));
    errors.chain(report.warnings.iter().map(|problem| ("warning", problem)))
}

/// One thing that is wrong, or odd.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct ProblemItem {
    /// error or warning.
    severity: String,
    /// The file in which it stands; null: it stands in a variable.
    file: Option<String>,
    /// The variable of the environment in which it stands; null: it stands in a file.
    variable: Option<String>,
    /// Its line, from 1; null: not known, or there is none.
    line: Option<usize>,
    /// Its column, from 1.
    column: Option<usize>,
    /// What is wrong.
    what: String,
    /// What to do.
    hint: String,
}

fn view(report: &Report) -> Result<View, CliError> {
    let row = |(severity, problem): (&'static str, &Problem)| -> Result<Row, CliError> {
        let Problem { at, what, hint } = problem;
        let Spot { source, place } = at;
        let is_file = !matches!(source, Source::Variable(_));
        Ok(Row {
            name: at.to_string(),
            cells: vec![
                severity.to_owned(),
                at.to_string(),
                what.clone(),
                hint.clone(),
            ],
            item: item(&ProblemItem {
                severity: severity.to_owned(),
                file: is_file.then(|| source.to_string()),
                variable: (!is_file).then(|| source.to_string()),
                line: place.map(|place| place.line),
                column: place.map(|place| place.column),
                what: what.clone(),
                hint: hint.clone(),
            })?,
        })
    };
    Ok(View {
        command: "config-check",
        site: None,
        columns: &["SEVERITY", "PLACE", "WHAT", "HINT"],
        rows: labelled(report).map(row).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests;
