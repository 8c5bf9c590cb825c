//! `cfs-repl conflicts watch`: what becomes of conflicts, as it happens.
//!
//! The events of the daemon say that something became of a conflict; the conflict itself is looked up, so that every
//! line says all of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::exit::{CliError, CliResult, Exit, Failure};
use super::super::lab::interrupt::Interrupt;
use super::super::reach::{self, Reach};
use super::super::render::{Row, View};
use super::super::status::item;
use super::super::ui::Ui;
use super::super::{Global, parse_duration};
use super::{WhichArgs, shown_path};
use crate::admin::client::{Client, ClientError};
use crate::admin::filter::Matcher;
use crate::admin::view::{ConflictView, EventFilter, EventView};
use crate::clock::{Clock as _, SystemClock, micros, rfc3339};

/// Headings.
const COLUMNS: &[&str] = &["TIME", "CHANGE", "ID", "PATH", "WHAT"];
/// Events that say what became of a conflict, with the word for it; none: the event itself says it.
const EVENTS: [(&str, Option<&str>); 5] = [
    ("conflict.lossy", Some("new")),
    ("conflict.recorded", Some("new")),
    ("conflict.closed", None),
    ("conflict.reopened", None),
    ("conflict.restored", Some("restored")),
];

/// Follow conflicts: a line for each one that is new, acknowledged, settled or restored, until Ctrl-C
///
/// Example: cfs-repl conflicts watch -o jsonl
///
/// Begins with what happens from here on. A script that was stopped goes on with --after and the number of the last
/// line that it saw; the daemon keeps its last 10 000 events, over restarts. What happens too fast to be named one by
/// one is a line "more" with a count; look at conflicts list then.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WatchArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Begin with what happened within this time
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    since: Option<Duration>,
    /// Begin behind the line of this number
    #[arg(long, value_name = "NUMBER", conflicts_with = "since")]
    after: Option<u64>,
    #[command(flatten)]
    reach: Reach,
}

/// What became of a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(in crate::cli) struct ChangeItem {
    /// Number of the event, from 1, over restarts: for --after.
    number: u64,
    /// When, in UTC as RFC 3339.
    at: Option<String>,
    /// The same in microseconds since 1970-01-01 UTC.
    at_us: u64,
    /// new, acknowledged, superseded (settled by a newer version), reopened (an acknowledgement was taken back),
    /// restored; or more: others that are not named one by one.
    change: String,
    /// How many others; null: it is about one conflict.
    count: Option<u64>,
    /// Its id; null: it is about others that are not named.
    id: Option<String>,
    /// The conflict as it stands when the line is printed; null: it is not named, or not on record any more.
    conflict: Option<ConflictView>,
    /// What happened, for people.
    text: String,
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &WatchArgs) -> CliResult {
    if global.format().is_document() {
        let failure = Failure::new(
            Exit::Usage,
            "a document has no end while conflicts are watched",
        );
        return Err(failure.hint("use -o jsonl").into());
    }
    let filter = args.which.filter();
    let is_filtered = !filter.is_empty();
    let matcher = filter.clone().matcher().map_err(|why| {
        let hint = "`*` and `?` stand for what is within a name, `**` for any directories";
        Failure::new(Exit::Usage, "--path is no pattern for paths")
            .cause(why)
            .hint(hint)
    })?;
    let address = reach::address(global, &args.reach)?;
    let mut interrupt = Interrupt::new()?;
    let (mut last, mut has_begun) = (args.after, false);
    let following = async {
        let client = Client::connect(address, global.timeout).await;
        let client = client.map_err(|error| reach::explained(global, &args.reach, error))?;
        if filter.site.is_some() {
            // Whether there is such a site, which events alone do not tell.
            client.conflicts(filter, Some(0)).await?;
        }
        let mut stream = client.events(events(args), true, None).await?;
        has_begun = true;
        let mut is_first = true;
        while let Some(event) = stream.next().await? {
            if args.after.is_some_and(|after| event.number <= after) {
                continue;
            }
            let change = changed(&client, &event).await?;
            last = Some(event.number);
            if !is_filtered || is_meant(&matcher, &change) {
                line(ui, &change, std::mem::take(&mut is_first))?;
            }
        }
        Ok::<(), CliError>(())
    };
    match interrupt.during(following)? {
        Ok(()) => Err(ended(last)),
        Err(error) if has_begun => Err(broken_off(error, last)),
        Err(error) => Err(error),
    }
}

fn events(args: &WatchArgs) -> EventFilter {
    let now_us = SystemClock.now_us();
    let since_us = match (args.since, args.after) {
        (Some(since), _) => Some(now_us.saturating_sub(micros(since))),
        (None, Some(_)) => None,
        (None, None) => Some(now_us),
    };
    EventFilter {
        since_us,
        names: EVENTS.iter().map(|(name, _)| (*name).to_owned()).collect(),
        ..EventFilter::default()
    }
}

/// What an event says, with the conflict that it is about.
async fn changed(client: &Client, event: &EventView) -> Result<ChangeItem, ClientError> {
    let id = event.fields.get("conflict").cloned();
    let conflict = match &id {
        Some(id) => match client.show(id).await {
            Ok((_, detail)) => Some(detail.conflict),
            Err(ClientError::Refused {
                code: tonic::Code::NotFound,
                ..
            }) => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    Ok(change(event, id, conflict))
}

fn change(event: &EventView, id: Option<String>, conflict: Option<ConflictView>) -> ChangeItem {
    let known = EVENTS.iter().find(|(name, _)| *name == event.name);
    let word = known.and_then(|(_, word)| *word);
    let how = || event.fields.get("how").map(String::as_str);
    let word = match &id {
        Some(_) => word.or_else(how).unwrap_or("changed"),
        None => "more",
    };
    ChangeItem {
        number: event.number,
        at: rfc3339(event.at_us),
        at_us: event.at_us,
        change: word.to_owned(),
        count: event
            .fields
            .get("count")
            .and_then(|count| count.parse().ok()),
        id,
        conflict,
        text: event.text.clone(),
    }
}

/// Whether the filter lets it through. What is not named may be meant.
fn is_meant(matcher: &Matcher, change: &ChangeItem) -> bool {
    match (&change.conflict, &change.id) {
        (Some(conflict), _) => {
            matcher.lets_through_apart_from_path(conflict)
                && matcher.lets_path_through(conflict.path.as_deref())
        }
        (None, Some(_)) => false,
        (None, None) => true,
    }
}

fn line(ui: &mut Ui, change: &ChangeItem, is_first: bool) -> CliResult {
    let view = view(change)?;
    if is_first {
        ui.show(&view)
    } else {
        ui.more(&view)
    }
}

fn view(change: &ChangeItem) -> Result<View, CliError> {
    let none = || "-".to_owned();
    let id = change.id.clone().unwrap_or_else(none);
    Ok(View {
        command: "conflict-change",
        site: None,
        columns: COLUMNS,
        rows: vec![Row {
            cells: vec![
                change.at.clone().unwrap_or_else(none),
                change.change.clone(),
                id.clone(),
                change.conflict.as_ref().map_or_else(none, shown_path),
                change.text.clone(),
            ],
            name: id,
            item: item(change)?,
        }],
    })
}

/// The daemon ended in good order.
fn ended(last: Option<u64>) -> CliError {
    Failure::new(Exit::Unreachable, "the daemon ended")
        .hint(go_on(last))
        .into()
}

/// A connection that broke is a daemon that went away; what the daemon itself refused stays what it is.
fn broken_off(error: CliError, last: Option<u64>) -> CliError {
    match error {
        CliError::Failed(failure) if failure.exit == Exit::Unreachable => {
            failure.hint(go_on(last)).into()
        }
        other @ (CliError::Failed(_) | CliError::Told(_) | CliError::OutputClosed) => other,
    }
}

fn go_on(last: Option<u64>) -> String {
    let after = last.map_or_else(String::new, |number| format!(" --after {number}"));
    format!("start it, then go on: cfs-repl conflicts watch{after}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::admin::filter::ConflictFilter;
    use crate::admin::view::tests::conflict;
    use crate::cli::render::{Format, render};

    fn event(name: &str, fields: &[(&str, &str)]) -> EventView {
        let fields = fields
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        EventView {
            number: 7,
            at_us: 1_795_370_089_102_113,
            name: name.to_owned(),
            text: "what\u{1b}[2J".to_owned(),
            fields: BTreeMap::from_iter(fields),
            ..EventView::default()
        }
    }

    fn told(name: &str, fields: &[(&str, &str)]) -> ChangeItem {
        let event = event(name, fields);
        let id = event.fields.get("conflict").cloned();
        let found = id.as_ref().map(|_| conflict());
        change(&event, id, found)
    }

    #[test]
    fn every_event_of_a_conflict_has_its_word() {
        let id = ("conflict", "c-bygtc5qnmf");
        let word = |name, fields: &[_]| told(name, fields).change;
        assert_eq!(word("conflict.lossy", &[id]), "new");
        assert_eq!(
            word("conflict.closed", &[id, ("how", "superseded")]),
            "superseded"
        );
        assert_eq!(
            word("conflict.reopened", &[id, ("how", "reopened")]),
            "reopened"
        );
        assert_eq!(word("conflict.restored", &[id]), "restored");
        let more = told("conflict.lossy", &[("count", "9")]);
        assert_eq!(
            (more.change.as_str(), more.count, more.id),
            ("more", Some(9), None)
        );
    }

    #[test]
    fn a_filter_leaves_out_others_and_never_what_is_not_named() {
        let named = told("conflict.lossy", &[("conflict", "c-bygtc5qnmf")]);
        let more = told("conflict.lossy", &[("count", "9")]);
        let filter = |inode| ConflictFilter {
            inode: Some(inode),
            ..ConflictFilter::default()
        };
        let (own, other) = (filter(14_993).matcher(), filter(1).matcher());
        let (own, other) = (own.unwrap(), other.unwrap());
        assert!(is_meant(&own, &named) && !is_meant(&other, &named));
        assert!(is_meant(&other, &more));
    }

    #[test]
    fn a_line_says_all_and_steers_no_terminal() {
        let change = told(
            "conflict.closed",
            &[("conflict", "c-bygtc5qnmf"), ("how", "acknowledged")],
        );
        let view = view(&change).unwrap();
        let text = render(&view, Format::Table, 0);
        assert!(text.contains("acknowledged  c-bygtc5qnmf"), "{text}");
        assert!(
            text.contains("what\\u{1b}[2J") && !text.contains('\u{1b}'),
            "{text}"
        );
        let json = render(&view, Format::Jsonl, 0);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        crate::cli::schema::tests::assert_valid(&json);
        assert_eq!(json["conflict"]["id"], "c-bygtc5qnmf");
        assert_eq!(
            (&json["number"], &json["count"]),
            (&7.into(), &serde_json::Value::Null)
        );
    }
}
