//! `cfs-repl check`: one look for a monitoring system, in its own language.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::exit::{CliError, CliResult, Exit, Failure};
use super::reach::{self, Reach};
use super::render::{Format, Row, View};
use super::status::{item, narrow};
use super::ui::Ui;
use super::{Global, human};
use crate::admin::client::Client;
use crate::admin::metrics;
use crate::admin::view::{Lag, Severity, SiteView, StatusView, Verdict};
use crate::clock::micros;
use crate::config::units::parse_duration;
use crate::text::printable;

/// Say in one look whether all is well, for a monitoring system
///
/// A peer that is further behind than --warn is worth a look, further than --crit it needs a human; so does what
/// cfs-repl status calls so.
///
/// Exits with 0 when all is well, 20 when it is worth a look, 21 when it needs a human, 3 when there is no daemon, and 7
/// when it does not answer. With --format nagios the codes are those of a plugin: 0, 1, 2, and 3 for all that is not
/// known. With -o json: a document instead.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// This peer alone; all, if not given
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Lag from which on a peer is worth a look
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "DURATION")]
    warn: Duration,
    /// Lag from which on a peer needs a human
    #[arg(long, default_value = "2m", value_parser = parse_duration, value_name = "DURATION")]
    crit: Duration,
    /// In which language
    #[arg(long, value_enum, default_value_t, value_name = "LANGUAGE")]
    format: Language,
    #[command(flatten)]
    reach: Reach,
}

/// What monitoring systems read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Language {
    /// One line, then the causes
    #[default]
    Text,
    /// Output of a Nagios plugin: a line with performance data, then the causes
    Nagios,
    /// Metrics, for a textfile collector
    Prometheus,
}

/// What is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    Warning,
    Critical,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }

    const fn exit(self, language: Language) -> Exit {
        match (language, self) {
            (_, Self::Ok) => Exit::Ok,
            // The numbers 1 and 2 are a plugin's; their words here mean something else.
            (Language::Nagios, Self::Warning) => Exit::Failure,
            (Language::Nagios, Self::Critical) => Exit::Usage,
            (Language::Text | Language::Prometheus, Self::Warning) => Exit::Warning,
            (Language::Text | Language::Prometheus, Self::Critical) => Exit::Critical,
        }
    }
}

/// What a check finds: a status, and what it amounts to.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CheckItem {
    /// The level: `ok`, `warning` or `critical`.
    level: String,
    /// Every lag that is over a limit, as people are told.
    lags_over_limit: Vec<String>,
    /// What it comes from.
    #[serde(flatten)]
    status: StatusView,
}

/// Lags from which on a peer is noticed.
#[derive(Debug, Clone, Copy)]
struct Limits {
    warn_us: u64,
    crit_us: u64,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &CheckArgs) -> CliResult {
    let limits = Limits {
        warn_us: micros(args.warn),
        crit_us: micros(args.crit),
    };
    let asked = ask(global, args, limits);
    if args.format == Language::Nagios
        && let Err(CliError::Failed(failure)) = asked
    {
        // A plugin tells everything on its output, and "unknown" is 3 whatever the reason.
        let told = printable(&failure.message);
        ui.data(&format!("CFS-REPL UNKNOWN - {told}\n"))?;
        return Err(CliError::Told(Exit::Unreachable));
    }
    let status = asked?;
    let level = level(&status, limits);
    match (global.format(), args.format) {
        (Format::Json | Format::Jsonl | Format::Yaml | Format::Csv | Format::Name, _) => {
            ui.show(&view(&status, level, limits)?)?;
        }
        (Format::Table | Format::Wide, Language::Text) => {
            ui.data(&text(&status, level, limits, ""))?;
        }
        (Format::Table | Format::Wide, Language::Nagios) => {
            ui.data(&text(&status, level, limits, &performance(&status, limits)))?;
        }
        (Format::Table | Format::Wide, Language::Prometheus) => ui.data(&metrics::text(&status))?,
    }
    if level == Level::Ok {
        return Ok(());
    }
    Err(CliError::Told(level.exit(args.format)))
}

fn ask(global: &Global, args: &CheckArgs, limits: Limits) -> Result<StatusView, CliError> {
    if limits.warn_us > limits.crit_us {
        let failure = Failure::new(Exit::Usage, "--warn is more than --crit");
        return Err(failure
            .hint("a peer is worth a look before it needs a human")
            .into());
    }
    let ask = |client: Client| async move { client.status().await };
    let mut status = reach::ask(global, &args.reach, ask)?;
    if let Some(site) = &args.site {
        narrow(&mut status, site)?;
    }
    Ok(status)
}

/// One item: the level, and what it comes from.
fn view(status: &StatusView, level: Level, limits: Limits) -> Result<View, CliError> {
    let lags = status.sites.iter().filter_map(|site| behind(site, limits));
    let whole = CheckItem {
        level: level.word().to_ascii_lowercase(),
        lags_over_limit: lags.map(|(_, told)| told).collect(),
        status: status.clone(),
    };
    Ok(View {
        command: "check",
        site: Some(status.site.clone()),
        columns: &["LEVEL", "SUMMARY"],
        rows: vec![Row {
            name: level.word().to_owned(),
            cells: vec![level.word().to_owned(), status.summary.clone()],
            item: item(&whole)?,
        }],
    })
}

fn level(status: &StatusView, limits: Limits) -> Level {
    let causes = status.causes.iter().map(|cause| match cause.severity {
        Severity::Warning => Level::Warning,
        Severity::Critical => Level::Critical,
    });
    let lags = status.sites.iter().filter_map(|site| behind(site, limits));
    let known = match status.verdict {
        Verdict::Unknown => Level::Warning,
        Verdict::Ok
        | Verdict::CatchingUp
        | Verdict::Degraded
        | Verdict::Stalled
        | Verdict::Down => Level::Ok,
    };
    causes
        .chain(lags.map(|(level, _)| level))
        .fold(known, Level::max)
}

/// How bad the lag of a peer is, if it is, and how that is told. A lag that is not known has a cause of its own.
fn behind(site: &SiteView, limits: Limits) -> Option<(Level, String)> {
    let us = match site.lag {
        Lag::Known(us) | Lag::AtLeast(us) => us,
        Lag::Unknown => return None,
    };
    let (level, limit) = if us >= limits.crit_us {
        (Level::Critical, limits.crit_us)
    } else if us >= limits.warn_us {
        (Level::Warning, limits.warn_us)
    } else {
        return None;
    };
    let (lag, limit) = (human::lag(site.lag), human::duration(limit));
    Some((level, format!("{}: lag {lag}, limit {limit}", site.site)))
}

fn text(status: &StatusView, level: Level, limits: Limits, performance: &str) -> String {
    let mut lines = vec![format!(
        "CFS-REPL {} - {}: {}{performance}",
        level.word(),
        printable(&status.site),
        printable(&status.summary)
    )];
    let lags = status.sites.iter().filter_map(|site| behind(site, limits));
    lines.extend(lags.map(|(_, told)| printable(&told)));
    for cause in &status.causes {
        let site = cause.site.as_deref().unwrap_or("here");
        lines.push(printable(&format!("{site}: {}", cause.text)));
        lines.push(printable(&format!("  next: {}", cause.next)));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// Performance data of a plugin: `'label'=value;warn;crit;min`. What is not known is `U`.
fn performance(status: &StatusView, limits: Limits) -> String {
    let (warn, crit) = (limits.warn_us / 1_000_000, limits.crit_us / 1_000_000);
    let mut parts = Vec::new();
    for site in &status.sites {
        // A quote would end the label, and an equals sign is not allowed in it.
        let name = printable(&site.site).replace(['\'', '='], "_");
        let lag = site.lag.us().map_or_else(
            || "U".to_owned(),
            |us| format!("{}.{:03}s", us / 1_000_000, us / 1_000 % 1_000),
        );
        let entries = site
            .behind_entries
            .map_or_else(|| "U".to_owned(), |n| n.to_string());
        parts.push(format!("'{name}_lag'={lag};{warn};{crit};0"));
        parts.push(format!("'{name}_behind'={entries};;;0"));
    }
    parts.push(format!("'conflicts_open'={};;;0", status.conflicts.open));
    parts.push(format!("'journal'={}B;;;0", status.journal.bytes));
    format!(" | {}", parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::tests::status;

    const LIMITS: Limits = Limits {
        warn_us: 30_000_000,
        crit_us: 120_000_000,
    };

    #[test]
    fn the_worst_of_causes_and_lags_decides() {
        let mut one = status();
        assert_eq!(level(&one, LIMITS), Level::Critical);
        one.causes.clear();
        assert_eq!(
            level(&one, LIMITS),
            Level::Critical,
            "by its lag of 134 s alone"
        );
        for (lag, expected) in [
            (Lag::Known(29_999_999), Level::Ok),
            (Lag::Known(30_000_000), Level::Warning),
            (Lag::AtLeast(120_000_000), Level::Critical),
            (Lag::Unknown, Level::Ok),
        ] {
            for site in &mut one.sites {
                site.lag = lag;
            }
            assert_eq!(level(&one, LIMITS), expected, "{lag:?}");
        }
        one.verdict = Verdict::Unknown;
        assert_eq!(level(&one, LIMITS), Level::Warning);
    }

    #[test]
    fn a_plugin_says_a_line_with_performance_data_and_what_is_unknown_is_u() {
        let mut one = status();
        one.sites[0].site = "iad'=2\u{1b}".to_owned();
        one.sites[0].behind_entries = None;
        let told = text(&one, Level::Critical, LIMITS, &performance(&one, LIMITS));
        let first = told.lines().next().unwrap();
        assert!(first.starts_with("CFS-REPL CRITICAL - fra-1: "), "{first}");
        assert!(
            first.contains(" | 'iad__2\\u{1b}_lag'=134.204s;30;120;0 "),
            "{first}"
        );
        assert!(first.contains("_behind'=U;;;0"), "{first}");
        assert!(!told.contains('\u{1b}'));
        assert_eq!(Level::Warning.exit(Language::Nagios).code(), 1);
        assert_eq!(Level::Critical.exit(Language::Nagios).code(), 2);
        assert_eq!(Level::Critical.exit(Language::Text).code(), 21);
    }
}
