//! `cfs-repl journal tail|show|stat|verify|export`: the logs of a state folder, read where they lie.
//!
//! No daemon is asked and none is disturbed: nothing is locked, repaired or made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;

use super::exit::{CliError, CliResult, Exit, Failure};
use super::lab::interrupt::Interrupt;
use super::render::{Format, Row, View, json_line, render};
use super::status::item;
use super::ui::Ui;
use super::{Global, human, parse_duration};
use crate::admin::view::journal::EntryView;
use crate::admin::view::path_text;
use crate::clock::{Clock as _, SystemClock, micros, rfc3339};
use crate::config::{Config, DEFAULT_FILE};
use crate::daemon::logs::{EntryFilter, EntryMatcher, Log, LogRef, Logs, op_words};
use crate::error::ReplError;
use crate::text::printable;

mod show;
mod sums;

/// How often `tail -f` looks: people do not notice, and a look costs a directory listing and a read.
const POLL: Duration = Duration::from_millis(250);
/// Bytes of lines that are written at once.
const WRITTEN_BYTES: usize = 64 * 1024;
/// Number of the control stream.
pub(super) const CONTROL_STREAM: u32 = 256;
/// Headings of entries, and how wide their columns are where lines come one by one.
const COLUMNS: &[&str] = &["TIME", "SHARD", "SEQ", "OP", "INODE", "BYTES", "NAME"];
const WIDTHS: [usize; 6] = [27, 5, 8, 12, 19, 9];

/// Look into the journal and the received logs
///
/// They are read where they lie, while a daemon runs as well as when none does, and nothing is changed. The last
/// entries may not be synced yet.
#[derive(Debug, clap::Args)]
pub(super) struct JournalArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Tail(TailArgs),
    Show(show::ShowArgs),
    Stat(sums::StatArgs),
    Verify(sums::VerifyArgs),
    Export(ExportArgs),
}

/// Where the logs are
#[derive(Debug, clap::Args)]
struct At {
    /// Configuration of the site: it names the state folder and the sites
    #[arg(long, value_name = "FILE", env = "CFS_REPL_CONFIG", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// State folder, in place of the one in the configuration; a copy of one will do
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The log of what this site sent, by its name or number, in place of the own journal
    #[arg(long, value_name = "SITE")]
    of: Option<String>,
}

/// Which entries are meant: those for which everything holds that is given
#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// Only those of this shard; 256 is the control stream
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=256))]
    shard: Option<u32>,
    /// Only those that do this; may be given several times
    #[arg(long, value_name = "WORD", value_parser = PossibleValuesParser::new(op_words()))]
    op: Vec<String>,
    /// Only those of this inode
    #[arg(long, value_name = "NUMBER")]
    inode: Option<u64>,
    /// Only those that name something like this: entries hold a name and no directories, and writes hold no name
    #[arg(long, value_name = "GLOB")]
    path: Option<String>,
    /// Only those that were stamped within this time
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    since: Option<Duration>,
}

/// Show the last entries, oldest first
#[derive(Debug, clap::Args)]
struct TailArgs {
    /// How many
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    lines: usize,
    /// Go on with what comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    at: At,
}

/// Print every entry in full, one JSON object a line
#[derive(Debug, clap::Args)]
struct ExportArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    at: At,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &JournalArgs) -> CliResult {
    match &args.command {
        Command::Tail(args) => tail(ui, global.format(), args),
        Command::Show(args) => show::run(ui, global.format(), args),
        Command::Stat(args) => sums::stat(ui, global.format(), args),
        Command::Verify(args) => sums::verify(ui, args),
        Command::Export(args) => export(ui, global.format(), args),
    }
}

/// The state folder and the names of the sites by their numbers. Beside a folder that is named, the configuration is
/// read for the names alone, and need not be there.
pub(super) fn state_folder(
    config: &Path,
    state: Option<&Path>,
) -> Result<(PathBuf, BTreeMap<u64, String>), CliError> {
    let names = |config: &Config| {
        let others = config.peers.iter().map(|peer| (peer.id, peer.name.clone()));
        let own = (config.site.id, config.site.name.clone());
        others.chain([own]).collect()
    };
    match (state, Config::read(config)) {
        (Some(dir), read) => {
            let names = read.as_ref().map(names).unwrap_or_default();
            Ok((dir.to_owned(), names))
        }
        (None, Ok(config)) => Ok((config.state.dir.clone(), names(&config))),
        (None, Err(error)) => match CliError::from(error) {
            CliError::Failed(failure) => {
                let hint = "correct it, or name the state folder: --state DIR";
                Err(failure.hint(hint).into())
            }
            other @ (CliError::Told(_) | CliError::OutputClosed) => Err(other),
        },
    }
}

impl At {
    fn logs(&self) -> Result<Logs, CliError> {
        let (dir, names) = state_folder(&self.config, self.state.as_deref())?;
        Ok(Logs::in_state(&dir, names))
    }

    /// The logs that are meant: all, or those of one other site.
    fn listed(&self, logs: &Logs) -> Result<Vec<LogRef>, CliError> {
        let Some(site) = &self.of else {
            return Ok(logs.list()?);
        };
        logs.of(site).map_err(|error| {
            if matches!(error, ReplError::SiteUnknown { .. }) {
                unknown(site, logs)
            } else {
                error.into()
            }
        })
    }

    /// The one log that is meant.
    fn log(&self) -> Result<Log, CliError> {
        let logs = self.logs()?;
        let refs = match &self.of {
            Some(_) => self.listed(&logs)?,
            None => vec![logs.own()],
        };
        match logs.open_latest(&refs) {
            Ok(Some(log)) => Ok(log),
            Ok(None) => Err(unknown(self.of.as_deref().unwrap_or_default(), &logs)),
            Err(error) => Err(not_there(error)),
        }
    }
}

fn unknown(site: &str, logs: &Logs) -> CliError {
    let failure = Failure::new(
        Exit::NotFound,
        format!("nothing was received of \"{site}\""),
    );
    let failure = match logs.received().unwrap_or_default().as_slice() {
        [] => failure.cause("nothing was received of any site"),
        names => failure.cause(format!("received logs are of: {}", names.join(", "))),
    };
    failure
        .hint("name one of them, or leave --of away for the own journal")
        .into()
}

/// A folder without a log is most often the wrong folder.
pub(super) fn not_there(error: ReplError) -> CliError {
    let is_missing = matches!(&error, ReplError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
    match CliError::from(error) {
        CliError::Failed(failure) if is_missing => {
            let hint =
                "name the state folder of a site that ran: --state DIR, or its --config FILE";
            failure.hint(hint).into()
        }
        other @ (CliError::Failed(_) | CliError::Told(_) | CliError::OutputClosed) => other,
    }
}

impl FilterArgs {
    fn matcher(&self) -> Result<EntryMatcher, Failure> {
        let since = self.since.map(|since| {
            let now_us = SystemClock.now_us();
            now_us.saturating_sub(micros(since))
        });
        let filter = EntryFilter {
            stream: self.shard,
            ops: self.op.clone(),
            inode: self.inode,
            name: self.path.clone(),
            since_us: since,
        };
        filter.matcher().map_err(|why| {
            let pattern = self.path.as_deref().unwrap_or_default();
            Failure::new(
                Exit::Usage,
                format!("\"{pattern}\" is no pattern for names"),
            )
            .cause(why)
            .hint("`*` and `?` stand for what is within a name; --inode finds all of a file")
        })
    }
}

fn tail(ui: &mut Ui, format: Format, args: &TailArgs) -> CliResult {
    if args.follow && format.is_document() {
        let failure = Failure::new(Exit::Usage, "one document cannot go on for ever");
        return Err(failure.hint("use -o jsonl").into());
    }
    let filter = args.filter.matcher()?;
    // Before anything is read, so that Ctrl-C ends the following and not what is being printed.
    let mut interrupt = args.follow.then(Interrupt::new).transpose()?;
    let log = args.at.log()?;
    let (entries, damage) = log.tail(args.lines, &filter).map_err(not_there)?;
    let Some(interrupt) = &mut interrupt else {
        ui.show(&view(&entries)?)?;
        return damage
            .or(log.into_damage())
            .map_or(Ok(()), |e| Err(e.into()));
    };
    ui.data(&first_lines(format, &entries)?)?;
    let mut follow = log.follow()?;
    loop {
        let mut told: CliResult = Ok(());
        let mut text = String::new();
        follow.poll(|entry| {
            if filter.lets_through(&entry) {
                told = further_line(format, &entry).map(|line| text.push_str(&line));
                if told.is_ok() && text.len() >= WRITTEN_BYTES {
                    told = ui.data(&std::mem::take(&mut text));
                }
            }
            told.is_ok()
        })?;
        told?;
        if !text.is_empty() {
            ui.data(&text)?;
        }
        interrupt.pause(POLL)?;
    }
}

/// What stands before the entries that come, and those that are there.
fn first_lines(format: Format, entries: &[EntryView]) -> Result<String, CliError> {
    let head = match format {
        Format::Table | Format::Wide => line(
            &COLUMNS
                .iter()
                .map(|it| (*it).to_owned())
                .collect::<Vec<_>>(),
        ),
        Format::Csv => render(&view(&[])?, format, 0),
        Format::Json | Format::Jsonl | Format::Yaml | Format::Name => String::new(),
    };
    let lines = entries.iter().map(|entry| further_line(format, entry));
    Ok(head + &lines.collect::<Result<String, _>>()?)
}

/// The line of one entry, without headings.
fn further_line(format: Format, entry: &EntryView) -> Result<String, CliError> {
    match format {
        Format::Table | Format::Wide => Ok(line(&cells(entry))),
        Format::Csv => {
            let text = render(&view(std::slice::from_ref(entry))?, format, 0);
            let behind = text.split_once('\n').map(|(_, behind)| behind.to_owned());
            Ok(behind.unwrap_or_default())
        }
        Format::Json | Format::Jsonl | Format::Yaml | Format::Name => {
            let one = view(std::slice::from_ref(entry))?;
            let format = if format.is_document() {
                Format::Jsonl
            } else {
                format
            };
            Ok(render(&one, format, 0))
        }
    }
}

/// A line of a table whose widest row is not known.
fn line(cells: &[String]) -> String {
    let mut text = String::new();
    for (at, cell) in cells.iter().enumerate() {
        let width = WIDTHS.get(at).copied().unwrap_or(0);
        text.push_str(&format!("{:width$}  ", printable(cell)));
    }
    format!("{}\n", text.trim_end())
}

fn view(entries: &[EntryView]) -> Result<View, CliError> {
    let row = |entry: &EntryView| -> Result<Row, CliError> {
        Ok(Row {
            name: format!("{} {}", entry.stream, entry.seq),
            cells: cells(entry),
            item: item(entry)?,
        })
    };
    Ok(View {
        command: "journal",
        site: None,
        columns: COLUMNS,
        rows: entries.iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn cells(entry: &EntryView) -> Vec<String> {
    let none = || "-".to_owned();
    // Below the root a name is the whole path.
    let name = match (entry.name.as_deref(), entry.parent) {
        (Some(name), Some(1)) => path_text(name),
        (Some(name), Some(parent)) => format!("{} in {parent}", path_text(name)),
        (Some(name), None) => path_text(name),
        (None, _) => none(),
    };
    vec![
        human::known(rfc3339(entry.timestamp_us), |text| text),
        entry.stream.to_string(),
        entry.seq.to_string(),
        entry.op.clone(),
        entry.inode.map_or_else(none, |inode| inode.to_string()),
        entry.size_bytes.map_or_else(none, human::bytes),
        name,
    ]
}

fn export(ui: &mut Ui, format: Format, args: &ExportArgs) -> CliResult {
    match format {
        Format::Table | Format::Wide | Format::Jsonl => {}
        Format::Json | Format::Yaml | Format::Csv | Format::Name => {
            let failure = Failure::new(Exit::Usage, "an export is one JSON object a line");
            return Err(failure.hint("use -o jsonl, or leave -o away").into());
        }
    }
    let filter = args.filter.matcher()?;
    let log = args.at.log()?;
    let mut told: CliResult = Ok(());
    let mut text = String::new();
    let read = log.each(&filter, |entry| {
        told = item(&entry).map(|item| text.push_str(&json_line(&item)));
        if told.is_ok() && text.len() >= WRITTEN_BYTES {
            told = ui.data(&std::mem::take(&mut text));
        }
        told.is_ok()
    });
    told?;
    // What stands before damage is given out.
    ui.data(&text)?;
    read?;
    log.into_damage()
        .map_or(Ok(()), |damage| Err(damage.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::journal::tests::entry;

    #[test]
    fn entries_are_told_in_lines_that_steer_no_terminal() {
        let bare = EntryView {
            inode: None,
            parent: None,
            name: None,
            size_bytes: None,
            op: "noop".to_owned(),
            seq: 7,
            ..entry()
        };
        let deep = EntryView {
            parent: Some(99),
            name: Some(b"x".to_vec()),
            inode: Some(4),
            seq: 8,
            ..entry()
        };
        let text = first_lines(Format::Table, &[entry(), bare.clone(), deep]).unwrap();
        let at = "2026-11-22T17:56:48.411204Z";
        assert_eq!(
            text,
            format!(
                "TIME                         SHARD  SEQ       OP            INODE                BYTES      NAME\n\
                 {at}  17     18446744073709551615  create        18446744073709551615  4 KiB      a\\xff\\u{{1b}}[2J\n\
                 {at}  17     7         noop          -                    -          -\n\
                 {at}  17     8         create        4                    4 KiB      x in 99\n"
            )
        );
        let names = first_lines(Format::Name, std::slice::from_ref(&bare)).unwrap();
        assert_eq!(names, "17 7\n", "as `journal show` takes them");
        let csv = first_lines(Format::Csv, &[bare.clone(), bare]).unwrap();
        assert_eq!(csv.lines().count(), 3);
        assert!(csv.starts_with("time,shard,seq,"));
    }
}
