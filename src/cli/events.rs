//! `cfs-repl events`: what happened, and what happens.

use std::time::Duration;

use super::columns::nearest;
use super::exit::{CliError, CliResult, Exit, Failure};
use super::reach::{self, Reach};
use super::render::{Row, View};
use super::status::item;
use super::ui::Ui;
use super::{Global, parse_duration};
use crate::admin::client::Client;
use crate::admin::view::{EVENT_NAMES, EventFilter, EventView, Level};
use crate::clock::{Clock as _, SystemClock, micros, rfc3339};

/// Headings.
const COLUMNS: &[&str] = &["TIME", "LEVEL", "EVENT", "SITE", "WHAT"];

/// Show what happened: sites that came and went, conflicts, what operators did; oldest first
///
/// Example: cfs-repl events --since 2h --level warn
///
/// The last 10 000 are kept, over restarts. Names of events and what they mean: cfs-repl help events
#[derive(Debug, clap::Args)]
pub(super) struct EventsArgs {
    /// Go on with what happens from here on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only what happened within this time
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    since: Option<Duration>,
    /// Only what is at least as bad: info, warn, error
    #[arg(long, value_parser = level, default_value = "info", value_name = "LEVEL")]
    level: Level,
    /// Only what concerns this site
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Only events of this name; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// At most so many of the past, the latest ones
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    #[command(flatten)]
    reach: Reach,
}

fn level(text: &str) -> Result<Level, String> {
    let found = Level::ALL.iter().find(|level| level.word() == text);
    found
        .copied()
        .ok_or_else(|| "use info, warn or error".to_owned())
}

/// Names are fixed: one that is not known would wait for ever for what never happens.
fn check_names(names: &[String]) -> Result<(), Failure> {
    let known = || EVENT_NAMES.iter().map(|(name, _)| *name);
    let Some(wrong) = names.iter().find(|name| known().all(|one| one != *name)) else {
        return Ok(());
    };
    let hint = match nearest(wrong, known()) {
        Some(near) => format!("did you mean {near}? All of them: cfs-repl help events"),
        None => "the names of all events: cfs-repl help events".to_owned(),
    };
    Err(
        Failure::new(Exit::Usage, format!("no event is called \"{wrong}\""))
            .cause("names of events are fixed, and this is none of them")
            .hint(hint),
    )
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &EventsArgs) -> CliResult {
    check_names(&args.names)?;
    if args.follow && global.format().is_document() {
        let failure = Failure::new(
            Exit::Usage,
            "a document has no end while events are followed",
        );
        return Err(failure.hint("use -o jsonl").into());
    }
    let since = args.since.map(micros);
    let filter = EventFilter {
        since_us: since.map(|since| SystemClock.now_us().saturating_sub(since)),
        level: args.level,
        site: args.site.clone(),
        names: args.names.clone(),
    };
    let limit = args.limit;
    if !args.follow {
        let ask = |client: Client| async move {
            let mut stream = client.events(filter, false, limit).await?;
            let mut events = Vec::new();
            while let Some(event) = stream.next().await? {
                events.push(event);
            }
            Ok(events)
        };
        let events = reach::ask(global, &args.reach, ask)?;
        return ui.show(&view(&events)?);
    }
    let mut is_first = true;
    let mut shown = Ok(());
    let mut show = |event: &EventView| {
        shown = line(ui, event, std::mem::take(&mut is_first));
        shown.is_ok()
    };
    let show = &mut show;
    let ask = |client: Client| async move {
        let mut stream = client.events(filter, true, limit).await?;
        while let Some(event) = stream.next().await? {
            if !show(&event) {
                return Ok(());
            }
        }
        Ok(())
    };
    reach::ask(global, &args.reach, ask)?;
    shown?;
    Err(Failure::new(Exit::Unreachable, "the daemon ended")
        .hint("start it, then follow again with --since")
        .into())
}

/// One event as it happens.
fn line(ui: &mut Ui, event: &EventView, is_first: bool) -> CliResult {
    let view = view(std::slice::from_ref(event))?;
    if is_first {
        ui.show(&view)
    } else {
        ui.more(&view)
    }
}

fn view(events: &[EventView]) -> Result<View, CliError> {
    let row = |event: &EventView| -> Result<Row, CliError> {
        Ok(Row {
            name: event.number.to_string(),
            cells: vec![
                rfc3339(event.at_us).unwrap_or_default(),
                event.level.to_string(),
                event.name.clone(),
                event.site.clone().unwrap_or_else(|| "-".to_owned()),
                event.text.clone(),
            ],
            item: item(event)?,
        })
    };
    Ok(View {
        command: "events",
        site: None,
        columns: COLUMNS,
        rows: events.iter().map(row).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_event_has_is_told_with_the_nearest() {
        let check = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            check_names(&names)
        };
        check(&[]).unwrap();
        check(&["site.up", "conflict.lossy"]).unwrap();
        let refused = check(&["site.up", "conflict.losy"]).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert_eq!(refused.message, "no event is called \"conflict.losy\"");
        let hint = refused.hint.unwrap_or_default();
        assert!(hint.starts_with("did you mean conflict.lossy?"), "{hint}");
        let hint = check(&["zzz"]).unwrap_err().hint.unwrap_or_default();
        assert!(hint.contains("cfs-repl help events"), "{hint}");
    }
}
