//! `cfs-repl compact --dry-run`: what compaction makes of what is to be sent to a peer, and why.

use std::path::PathBuf;
use std::time::Duration;

use super::exit::{CliError, CliResult, Exit, Failure};
use super::journal::{not_there, state_folder};
use super::reach::{self, Reach};
use super::render::{Format, Row, View, render};
use super::status::{item, no_site};
use super::ui::Ui;
use super::{Global, human};
use crate::admin::client::Client;
use crate::admin::view::preview::{
    FateView, OpPreview, Outcome, PreviewPiece, PreviewRequest, SitePreview, Sums,
};
use crate::daemon::preview;
use crate::error::ReplError;

/// A backlog of days is read and folded; the daemon gives up after the same time.
const READ_MAX: Duration = Duration::from_secs(300);
/// Headings of single entries.
const ENTRY_COLUMNS: &[&str] = &[
    "SITE", "SHARD", "SEQ", "OP", "INODE", "BYTES", "FATE", "WHY",
];
const COLUMNS: &[&str] = &[
    "SITE",
    "OP",
    "IN",
    "OUT",
    "DROPPED",
    "BYTES IN",
    "BYTES OUT",
    "WHY",
];

/// See what compaction would leave out of what is to be sent to a peer, and why
///
/// An entry goes only where a later one of its own batch stands for it. Nothing is changed. A running daemon is asked;
/// where none answers, or with --state, the state folder is read.
#[derive(Debug, clap::Args)]
pub(super) struct CompactArgs {
    /// Only look. Compaction belongs to sending, so there is nothing else to ask for
    #[arg(long)]
    dry_run: bool,
    /// This peer alone; each of them, if not given
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// This shard alone; 256 is the control stream
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=256))]
    shard: Option<u32>,
    /// List the single entries that are kept, or dropped
    #[arg(long, value_enum, value_name = "WHICH")]
    show: Option<Which>,
    /// Read this state folder and ask no daemon; a copy of one will do
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Which {
    Kept,
    Dropped,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &CompactArgs) -> CliResult {
    if !args.dry_run {
        return Err(Failure::new(Exit::Usage, "there is no compaction to start")
            .cause("compaction belongs to sending and is no step of its own; the journal is never rewritten")
            .hint("to see what it would leave out: cfs-repl compact --dry-run")
            .into());
    }
    let request = PreviewRequest {
        site: args.site.clone(),
        stream: args.shard,
        show: args.show.map(|which| match which {
            Which::Kept => Outcome::Kept,
            Which::Dropped => Outcome::Dropped,
        }),
    };
    let mut printer = Printer::new(ui, global.format(), args.show.is_some());
    let asked = match &args.state {
        Some(_) => read(args, &request, &mut printer),
        None => ask(global, args, &request, &mut printer),
    };
    // A reader that went away ended the asking; that is no failure of it.
    std::mem::replace(&mut printer.told, Ok(()))?;
    asked?;
    printer.finish()
}

fn ask(
    global: &Global,
    args: &CompactArgs,
    request: &PreviewRequest,
    printer: &mut Printer<'_>,
) -> CliResult {
    let wanted = request.clone();
    let take = |piece| printer.take(piece);
    let asked = reach::ask(global, &args.reach, |client: Client| async move {
        client.patient(READ_MAX).preview(wanted, take).await
    });
    match asked {
        Err(CliError::Failed(failure))
            if failure.exit == Exit::Unreachable && global.server.is_none() =>
        {
            printer
                .ui
                .detail("no daemon answers; the state folder is read");
            read(args, request, printer)
        }
        asked => asked,
    }
}

/// Reads the state folder.
fn read(args: &CompactArgs, request: &PreviewRequest, printer: &mut Printer<'_>) -> CliResult {
    let (dir, names) = state_folder(args.reach.config(), args.state.as_deref())?;
    let read = preview::offline(&dir, &names, request, |piece| printer.take(piece));
    read.map_err(|error| {
        let ReplError::SiteUnknown { site_id } = &error else {
            return not_there(error);
        };
        let names: Vec<&str> = names.values().map(String::as_str).collect();
        no_site(site_id, &names).into()
    })
}

/// Prints what comes as it comes, where the format allows it.
struct Printer<'a> {
    ui: &'a mut Ui,
    format: Format,
    shows_entries: bool,
    sites: Vec<SitePreview>,
    /// Single entries, where they are needed as a whole.
    fates: Vec<FateView>,
    has_head: bool,
    told: CliResult,
}

impl<'a> Printer<'a> {
    const fn new(ui: &'a mut Ui, format: Format, shows_entries: bool) -> Self {
        Self {
            ui,
            format,
            shows_entries,
            sites: Vec::new(),
            fates: Vec::new(),
            has_head: false,
            told: Ok(()),
        }
    }

    /// Whether more is wanted.
    fn take(&mut self, piece: PreviewPiece) -> bool {
        match piece {
            PreviewPiece::Site(site) => self.sites.push(site),
            PreviewPiece::Fates(fates) if self.format.is_document() => self.fates.extend(fates),
            PreviewPiece::Fates(fates) => self.told = self.print(&fates),
        }
        self.told.is_ok()
    }

    fn print(&mut self, fates: &[FateView]) -> CliResult {
        let text = render(&entries(fates)?, self.format, 0);
        let has_head = std::mem::replace(&mut self.has_head, true);
        let is_headed = has_headings(self.format);
        if is_headed && has_head {
            let behind = text.split_once('\n').map(|(_, behind)| behind);
            return self.ui.data(behind.unwrap_or_default());
        }
        self.ui.data(&text)
    }

    fn finish(self) -> CliResult {
        let Self { ui, sites, .. } = self;
        if self.shows_entries {
            if self.format.is_document() {
                ui.show(&entries(&self.fates)?)?;
            } else if !self.has_head && has_headings(self.format) {
                ui.show(&entries(&[])?)?;
            }
        } else {
            if has_headings(self.format) {
                ui.show(&operations(&sites))?;
            } else {
                ui.show(&whole(&sites)?)?;
            }
        }
        for site in &sites {
            for note in &site.notes {
                let line = format!("{}: {note}", name_of(site.site.as_ref()));
                ui.say(&crate::text::printable(&line));
            }
        }
        Ok(())
    }
}

const fn has_headings(format: Format) -> bool {
    matches!(format, Format::Table | Format::Wide | Format::Csv)
}

fn name_of(site: Option<&String>) -> String {
    site.cloned().unwrap_or_else(|| "any site".to_owned())
}

/// One item for each peer.
fn whole(sites: &[SitePreview]) -> Result<View, CliError> {
    let row = |site: &SitePreview| -> Result<Row, CliError> {
        Ok(Row {
            name: name_of(site.site.as_ref()),
            cells: Vec::new(),
            item: item(site)?,
        })
    };
    Ok(View {
        command: "compact",
        site: None,
        columns: &[],
        rows: sites.iter().map(row).collect::<Result<_, _>>()?,
    })
}

/// One row for each operation, and one for the total.
fn operations(sites: &[SitePreview]) -> View {
    let mut rows = Vec::new();
    for site in sites {
        let name = name_of(site.site.as_ref());
        let mut push = |op: &str, sums: &Sums, why: String| {
            rows.push(Row {
                name: name.clone(),
                cells: vec![
                    name.clone(),
                    op.to_owned(),
                    human::count(sums.in_entries),
                    human::count(sums.out_entries),
                    human::count(sums.dropped_entries),
                    human::bytes(sums.in_bytes),
                    human::bytes(sums.out_bytes),
                    why,
                ],
                item: serde_json::Value::Null,
            });
        };
        for op in &site.ops {
            push(&op.op, &op.sums, why(op));
        }
        push("total", &site.total, saved(&site.total));
    }
    View {
        command: "compact",
        site: None,
        columns: COLUMNS,
        rows,
    }
}

/// Why entries go, or, where none does, why they stay.
fn why(op: &OpPreview) -> String {
    let goes = op.why.iter().find(|why| why.outcome == Outcome::Dropped);
    let why = goes.or(op.why.first());
    why.map_or_else(String::new, |why| match why.outcome {
        Outcome::Dropped => why.why.clone(),
        Outcome::Kept => format!("kept: {}", why.why),
    })
}

fn saved(total: &Sums) -> String {
    let percent = |part: u64, whole: u64| {
        let (part, whole) = (u128::from(part), u128::from(whole.max(1)));
        part * 100 / whole
    };
    if total.in_entries == 0 {
        return "nothing is to be sent; nothing was changed".to_owned();
    }
    let bytes = total.in_bytes.saturating_sub(total.out_bytes);
    format!(
        "{} % of entries, {} % of bytes less; nothing was changed",
        percent(total.dropped_entries, total.in_entries),
        percent(bytes, total.in_bytes)
    )
}

fn entries(fates: &[FateView]) -> Result<View, CliError> {
    let row = |fate: &FateView| -> Result<Row, CliError> {
        let why = match fate.by {
            Some(by) => format!("{}, which is {by}", fate.why),
            None => fate.why.clone(),
        };
        Ok(Row {
            name: format!("{} {}", fate.stream, fate.seq),
            cells: vec![
                name_of(fate.site.as_ref()),
                fate.stream.to_string(),
                fate.seq.to_string(),
                fate.op.clone(),
                fate.inode.to_string(),
                fate.entry_bytes.to_string(),
                fate.outcome.to_string(),
                why,
            ],
            item: item(fate)?,
        })
    };
    Ok(View {
        command: "compact-entries",
        site: None,
        columns: ENTRY_COLUMNS,
        rows: fates.iter().map(row).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::preview::tests::{fate, preview};
    use crate::cli::ui::tests::captured;

    fn printed(format: Format, shows: bool, pieces: Vec<PreviewPiece>) -> (String, String) {
        let (mut ui, data, talk) = captured(format);
        let mut printer = Printer::new(&mut ui, format, shows);
        for piece in pieces {
            assert!(printer.take(piece));
        }
        printer.finish().unwrap();
        (data.text(), talk.text())
    }

    #[test]
    fn operations_are_told_with_a_total_and_the_notes_apart() {
        let site = || vec![PreviewPiece::Site(preview())];
        let (data, talk) = printed(Format::Table, false, site());
        let lines: Vec<&str> = data.lines().collect();
        assert_eq!(lines.len(), 4, "{data}");
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>().join(" "),
            "iad-2 write 31,104 13,220 17,884 2.8 MiB 976 KiB covered by a later write"
        );
        assert!(lines[3].contains("57 % of entries, 66 % of bytes less; nothing was changed"));
        assert_eq!(talk, "iad-2: a note\n");
        let (data, _) = printed(Format::Json, false, site());
        let document: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(document["items"][0]["ops"][0]["in_entries"], 31_104);
        let nothing = SitePreview::default();
        let (data, _) = printed(Format::Table, false, vec![PreviewPiece::Site(nothing)]);
        assert!(data.contains("nothing is to be sent"), "{data}");
    }

    #[test]
    fn an_operation_of_which_nothing_goes_says_why_it_stays() {
        let mut op = preview().ops.remove(0);
        op.why.remove(0);
        assert_eq!(why(&op), "kept: latest of its kind");
    }

    #[test]
    fn single_entries_come_with_one_head_and_in_one_document() {
        let pieces = || {
            vec![
                PreviewPiece::Fates(vec![fate()]),
                PreviewPiece::Fates(vec![fate(), fate()]),
                PreviewPiece::Site(preview()),
            ]
        };
        let (data, _) = printed(Format::Table, true, pieces());
        assert_eq!(data.lines().count(), 4, "{data}");
        assert_eq!(data.matches("SHARD").count(), 1);
        assert!(
            data.contains("dropped  covered by a later write, which is 36991"),
            "{data}"
        );
        let (data, _) = printed(Format::Json, true, pieces());
        let document: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(document["items"].as_array().unwrap().len(), 3);
        assert_eq!(document["items"][0]["by"], "36991");
        let (data, _) = printed(Format::Jsonl, true, pieces());
        assert_eq!(data.lines().count(), 3);
        let (data, _) = printed(Format::Table, true, Vec::new());
        assert_eq!(data.lines().count(), 1, "only the head");
    }
}
