//! `cfs-repl doctor`: everything that a site needs, whether it is there, and what to type where it is not.

use std::path::PathBuf;

use super::Global;
use super::exit::{CliError, CliResult, Exit};
use super::render::{Format, Row, View};
use super::status::item;
use super::ui::Ui;
use crate::admin::view::{Finding, Rating};
use crate::config::DEFAULT_FILE;
use crate::daemon::doctor::{Report, examine};
use crate::text::printable;

/// Width of a level and of a check, for people.
const LEVEL_WIDTH: usize = 10;
const CHECK_WIDTH: usize = 18;

/// Look whether a site has all that it needs, and say what to type where it has not
///
/// Looks at the configuration, kernel, clock, tree and state folder, their disks and limits, certificates and keys, the
/// daemon, the address on which it listens, and every endpoint of every peer. Works without a daemon and changes
/// nothing; what the user may not see is told as unknown. Whatever is asked over a network gets --timeout to answer.
///
/// With --exit-code: 0 all is well, 20 worth a look or unknown, 21 needs a human.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Configuration of the site
    #[arg(long, value_name = "FILE", env = "CFS_REPL_CONFIG", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Exit with 20 or 21 when something is wrong
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &DoctorArgs) -> CliResult {
    let report = examine(&args.config, global.timeout)?;
    match global.format() {
        Format::Table | Format::Wide => ui.data(&text(&report))?,
        Format::Json | Format::Jsonl | Format::Yaml | Format::Csv | Format::Name => {
            ui.show(&view(&report)?)?;
        }
    }
    let exit = exit(&report);
    if args.exit_code && exit != Exit::Ok {
        return Err(CliError::Told(exit));
    }
    Ok(())
}

/// The worst finding decides. What is not known is never taken for good.
fn exit(report: &Report) -> Exit {
    match worst(report) {
        Rating::Ok => Exit::Ok,
        Rating::Unknown | Rating::Warning => Exit::Warning,
        Rating::Critical => Exit::Critical,
    }
}

fn worst(report: &Report) -> Rating {
    let levels = report.findings.iter().map(|finding| finding.level);
    levels.max().unwrap_or_default()
}

pub(super) fn view(report: &Report) -> Result<View, CliError> {
    let row = |finding: &Finding| -> Result<Row, CliError> {
        let none = || "-".to_owned();
        Ok(Row {
            name: finding.check.clone(),
            cells: vec![
                finding.level.to_string(),
                finding.check.clone(),
                finding.site.clone().unwrap_or_else(none),
                finding.found.clone(),
                finding.fix.clone().unwrap_or_else(none),
            ],
            item: item(finding)?,
        })
    };
    Ok(View {
        command: "doctor",
        site: report.site.clone(),
        columns: &["LEVEL", "CHECK", "SITE", "FOUND", "FIX"],
        rows: report.findings.iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "{:<LEVEL_WIDTH$}{}\n\n",
        worst(report).word().to_ascii_uppercase(),
        summary(report)
    );
    for finding in &report.findings {
        let check = match &finding.site {
            Some(site) => format!("{} {site}", finding.check),
            None => finding.check.clone(),
        };
        let (level, found) = (finding.level.word(), &finding.found);
        let line = format!("{level:<LEVEL_WIDTH$}{check:<CHECK_WIDTH$} {found}");
        text.push_str(printable(&line).trim_end());
        text.push('\n');
        if let Some(fix) = &finding.fix {
            let line = format!("{:<LEVEL_WIDTH$}{:<CHECK_WIDTH$} fix: {fix}", "", "");
            text.push_str(printable(&line).trim_end());
            text.push('\n');
        }
    }
    text
}

fn summary(report: &Report) -> String {
    let all = report.findings.len();
    let parts: Vec<String> = [
        (Rating::Critical, "critical"),
        (Rating::Warning, "worth a look"),
        (Rating::Unknown, "unknown"),
    ]
    .into_iter()
    .filter_map(|(level, words)| {
        let of = |finding: &&Finding| finding.level == level;
        let count = report.findings.iter().filter(of).count();
        (count > 0).then(|| format!("{count} {words}"))
    })
    .collect();
    if parts.is_empty() {
        return format!("all {all} checks are well");
    }
    format!("{} of {all} checks", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            site: Some("fra-1".to_owned()),
            findings: vec![
                Finding::ok("kernel", "Linux 6.8.0"),
                Finding::bad(Rating::Unknown, "clock", "not known", "timedatectl status"),
                Finding::bad(Rating::Critical, "peer", "refused\u{1b}[2J", "start it").of("iad-2"),
            ],
        }
    }

    #[test]
    fn the_text_begins_with_the_worst_and_gives_each_problem_its_fix_and_steers_no_terminal() {
        assert_eq!(
            text(&report()),
            "CRITICAL  1 critical, 1 unknown of 3 checks\n\
             \n\
             ok        kernel             Linux 6.8.0\n\
             unknown   clock              not known\n\
             \x20                            fix: timedatectl status\n\
             critical  peer iad-2         refused\\u{1b}[2J\n\
             \x20                            fix: start it\n"
        );
        let mut well = report();
        well.findings.truncate(1);
        assert!(text(&well).starts_with("OK        all 1 checks are well\n"));
    }

    #[test]
    fn the_worst_finding_decides_the_exit_code_and_unknown_is_not_well() {
        let mut report = report();
        assert_eq!(exit(&report), Exit::Critical);
        report.findings.truncate(2);
        assert_eq!(exit(&report), Exit::Warning);
        report.findings.truncate(1);
        assert_eq!(exit(&report), Exit::Ok);
        report.findings.clear();
        assert_eq!(exit(&report), Exit::Warning, "nothing was looked at");
    }

    #[test]
    fn scripts_get_one_item_for_each_check_with_null_for_what_there_is_not() {
        let view = view(&report()).unwrap();
        let items: Vec<_> = view.rows.iter().map(|row| row.item.to_string()).collect();
        assert_eq!(
            items[0],
            r#"{"check":"kernel","fix":null,"found":"Linux 6.8.0","level":"ok","site":null}"#
        );
        assert!(items[2].contains(r#""site":"iad-2""#), "{}", items[2]);
    }
}
