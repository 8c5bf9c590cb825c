//! Pure: what an operator can do: the question that is asked before it, and how its end is told.

use super::super::keys::Action;
use super::super::message::{Act, Ask, Done, Effect, Failed, Outcome};
use super::super::model::{Field, Link, Model, Need, Overlay, Question, Screen, rows};
use super::super::{command, explain};
use crate::admin::filter::{AckRequest, ConflictFilter};
use crate::admin::view::{BytesAt, RightsView, SiteState, plural};
use crate::text::{bytes, printable};

/// Conflicts that are named in a question; of more, their number is told.
const NAMED_MAX: usize = 5;

/// A question about the model as it is, or why there is none.
type Asking = fn(&Model) -> Result<Question, String>;

/// What is asked before an act.
const QUESTIONS: &[(Action, Asking)] = &[
    (Action::Ack, ack),
    (Action::AckAll, ack_all),
    (Action::Restore, restore),
    (Action::SaveLoser, save),
    (Action::Pause, pause),
    (Action::Resume, resume),
    (Action::Reconnect, reconnect),
    (Action::Reload, |_| Ok(reload())),
    (Action::LogLevel, |_| Ok(log_level())),
];

/// Asks about an act, or says why it cannot be done.
pub(super) fn ask(model: &mut Model, action: Action) -> Vec<Effect> {
    // A lost daemon is tried again; that changes nothing.
    if action == Action::Reconnect && matches!(model.data.link, Link::Lost { .. }) {
        return vec![Effect::Retry];
    }
    if is_refused(model, action) {
        return Vec::new();
    }
    if model.data.link != Link::Live {
        super::say(model, "not possible: there is no daemon to ask", true);
        return Vec::new();
    }
    let Some((_, ask)) = QUESTIONS.iter().find(|(of, _)| *of == action) else {
        return Vec::new();
    };
    match ask(model) {
        Ok(question) => model.choice.overlay = Some(Overlay::Ask(Box::new(question))),
        Err(why) => super::say(model, why, true),
    }
    Vec::new()
}

/// Says why an action is not possible, if it is not.
fn is_refused(model: &mut Model, action: Action) -> bool {
    let refused = model.refuses(action);
    if let Some(why) = &refused {
        super::say(model, printable(&format!("not possible: {why}")), true);
    }
    refused.is_some()
}

fn question(title: impl Into<String>, act: Act, lines: Vec<String>) -> Question {
    Question {
        title: title.into(),
        lines,
        act,
        need: Need::Enter,
        word: Field::default(),
        text: None,
        in_text: false,
    }
}

fn with_text(mut question: Question, label: &'static str, text: &str) -> Question {
    question.text = Some((label, Field::with(text)));
    question.in_text = true;
    question
}

fn site_of(model: &Model) -> Result<String, String> {
    let site = model.selected_site().map(|site| site.site.clone());
    site.ok_or_else(|| "no site is selected".to_owned())
}

fn ack(model: &Model) -> Result<Question, String> {
    let list = model.shown().inbox.list.as_ref();
    let mut ids: Vec<String> = model.choice.marked.iter().cloned().collect();
    if ids.is_empty() {
        let selected = model.selected_conflict().filter(|one| one.is_open());
        let selected = selected.ok_or("no open conflict is selected")?;
        ids.push(selected.id.clone());
    }
    let mut lines: Vec<String> = (ids.iter().take(NAMED_MAX))
        .map(|id| {
            let one = list.and_then(|list| list.iter().find(|one| one.id == *id));
            let path = one.map_or_else(String::new, rows::conflict_path);
            let lost = one.and_then(|one| one.lost_bytes);
            let lost = lost.map_or_else(String::new, |lost| format!("   {} lost", bytes(lost)));
            printable(&format!("{id}   {path}{lost}"))
        })
        .collect();
    if ids.len() > NAMED_MAX {
        lines.push(format!("… and {} more", ids.len() - NAMED_MAX));
    }
    lines.push(String::new());
    lines.push("It records, at every site, that somebody looked. It changes no file.".to_owned());
    let title = match ids.len() {
        1 => "Acknowledge a conflict".to_owned(),
        many => format!("Acknowledge {many} conflicts"),
    };
    let many = ids.len();
    let act = Act::Ack(AckRequest {
        ids,
        ..AckRequest::default()
    });
    let mut question = with_text(question(title, act, lines), "note", "");
    if many > NAMED_MAX {
        question.lines.push(format!("Type {many} to confirm."));
        question.need = Need::Word(many.to_string());
    }
    Ok(question)
}

fn ack_all(model: &Model) -> Result<Question, String> {
    let inbox = &model.shown().inbox;
    let list = inbox
        .list
        .as_ref()
        .ok_or("the conflicts are not known yet")?;
    let [_, filter, _] = &model.choice.filters;
    let open: Vec<String> = (model.rows.conflicts.iter())
        .filter_map(|at| list.get(*at))
        .filter(|one| one.is_open())
        .map(|one| one.id.clone())
        .collect();
    if open.is_empty() {
        return Err("no open conflict is listed".to_owned());
    }
    let number = open.len();
    let is_whole = filter.is_empty() && list.len() as u64 == inbox.found;
    // All that are open, as long as they are as many; what is filtered here is named one by one.
    let request = if is_whole {
        AckRequest {
            filter: Some(ConflictFilter {
                open: true,
                ..ConflictFilter::default()
            }),
            expect: Some(number as u64),
            ..AckRequest::default()
        }
    } else {
        AckRequest {
            ids: open,
            ..AckRequest::default()
        }
    };
    let shown = if filter.is_empty() {
        "all that are open".to_owned()
    } else {
        printable(&format!("all open ones that the filter \"{filter}\" lists"))
    };
    let conflicts = plural(number as u64, "conflict");
    let lines = vec![
        format!("{conflicts}: {shown}"),
        String::new(),
        "It records, at every site, that somebody looked. It changes no file.".to_owned(),
        format!("Type {number} to confirm."),
    ];
    let title = format!("Acknowledge {conflicts}");
    let mut question = with_text(question(title, Act::Ack(request), lines), "note", "");
    question.need = Need::Word(number.to_string());
    Ok(question)
}

fn restore(model: &Model) -> Result<Question, String> {
    let conflict = model.selected_conflict().ok_or("no conflict is selected")?;
    let detail = model.shown().detail.as_ref();
    let detail = detail.filter(|detail| detail.conflict.id == conflict.id);
    let detail = detail.ok_or("both versions are not known yet")?;
    if !matches!(detail.bytes_at, BytesAt::Here | BytesAt::Elsewhere) {
        return Err("no bytes of the loser are kept that could be put back".to_owned());
    }
    let path = rows::conflict_path(conflict);
    let mut lines = vec![printable(&path), String::new()];
    // Later than what won: somebody worked on it since.
    let covers = detail.shown_is_winner == Some(false);
    if conflict.gone {
        lines.push("Nothing stands there any more: say where to put it.".to_owned());
    } else {
        lines.push("The losing version comes back as a new change, at all sites.".to_owned());
    }
    if covers {
        lines.push("What stands there is later than the winner: that work is covered.".to_owned());
    }
    let act = Act::Restore {
        id: conflict.id.clone(),
        as_path: None,
        over_later: covers,
    };
    let mut question = with_text(question("Restore the loser", act, lines), "as path", "");
    if covers {
        let word = conflict.loser.site.clone();
        let word = word.unwrap_or_else(|| conflict.id.clone());
        question
            .lines
            .push(printable(&format!("Type {word} to confirm.")));
        question.need = Need::Word(word);
    }
    Ok(question)
}

fn save(model: &Model) -> Result<Question, String> {
    let conflict = model.selected_conflict().ok_or("no conflict is selected")?;
    if conflict.lost_bytes.is_none() {
        return Err(format!("{} lost no bytes that could be saved", conflict.id));
    }
    let name = format!("{}.loser", conflict.id);
    let act = Act::Save {
        id: conflict.id.clone(),
        file: name.clone(),
    };
    let lines = vec![
        printable(&rows::conflict_path(conflict)),
        String::new(),
        "The file must not exist; it is written on this machine.".to_owned(),
    ];
    Ok(with_text(
        question("Save the loser", act, lines),
        "file",
        &name,
    ))
}

fn pause(model: &Model) -> Result<Question, String> {
    let site = site_of(model)?;
    let state = model
        .selected_site()
        .map(|site| site.state)
        .unwrap_or_default();
    let name = printable(&site);
    let mut question = match state {
        SiteState::Paused => question(
            format!("Resume {name}"),
            Act::Resume {
                site: site.clone(),
                confirm: false,
            },
            vec!["The exchange goes on, both ways.".to_owned()],
        ),
        SiteState::Held => {
            let why = model
                .selected_site()
                .and_then(|site| site.last_error.clone());
            question(
                format!("Resume {name} and take what it deleted"),
                Act::Resume {
                    site: site.clone(),
                    confirm: true,
                },
                vec![
                    printable(&why.unwrap_or_default()),
                    "Its brake holds what comes from it. Going on means: what it deleted is deleted here.".to_owned(),
                ],
            )
        }
        SiteState::Unknown
        | SiteState::NeverConnected
        | SiteState::Connecting
        | SiteState::CatchingUp
        | SiteState::Streaming
        | SiteState::Idle
        | SiteState::Stalled
        | SiteState::Backoff
        | SiteState::Parked
        | SiteState::Fenced => with_text(
            question(
                format!("Pause {name}"),
                Act::Pause {
                    site: site.clone(),
                    note: String::new(),
                },
                vec![
                    "The exchange stops, both ways, until it is resumed; also over a restart."
                        .to_owned(),
                    "Changes wait in the journal; who stays away too long is fenced.".to_owned(),
                ],
            ),
            "note",
            "",
        ),
    };
    question.lines.push(format!("Type {name} to confirm."));
    question.need = Need::Word(site);
    // A note is a help to others, and no condition: Tab leads to it.
    question.in_text = false;
    Ok(question)
}

fn resume(model: &Model) -> Result<Question, String> {
    let state = model.selected_site().map(|site| site.state);
    match state {
        Some(SiteState::Paused | SiteState::Held) | None => pause(model),
        Some(_) => Err("it is neither paused nor held".to_owned()),
    }
}

fn reconnect(model: &Model) -> Result<Question, String> {
    let site = site_of(model)?;
    let title = printable(&format!("Connect to {site} anew"));
    let lines =
        vec!["A connection that there is ends; what was under way is sent again.".to_owned()];
    Ok(question(title, Act::Reconnect { site }, lines))
}

fn reload() -> Question {
    let lines = vec![
        "Peers, windows, certificates and the log level are taken from the files.".to_owned(),
        "A file that is not good changes nothing.".to_owned(),
    ];
    question(
        "Read configuration and certificates again",
        Act::Reload,
        lines,
    )
}

fn log_level() -> Question {
    let lines = vec![
        "error, warn, info, debug or trace, or a filter with modules.".to_owned(),
        "Nothing: as configured. It holds until it is changed or the daemon ends.".to_owned(),
    ];
    let act = Act::LogLevel {
        filter: String::new(),
    };
    with_text(
        question("Change what the daemon logs", act, lines),
        "filter",
        "",
    )
}

/// Tells how an act ended.
pub(super) fn done(model: &mut Model, done: Done) {
    let outcome = match done.result {
        Ok(outcome) => outcome,
        Err(failed) => return failure(model, failed),
    };
    if matches!(outcome, Outcome::Acked(_) | Outcome::Restored(_)) {
        // Who did it waits for it.
        (model.data.inbox.is_old, model.data.inbox.as_of_us) = (true, 0);
        model.choice.marked.clear();
        model.choice.mark_from = None;
    }
    let text = printable(&told(&done.act, outcome));
    super::say(model, text, false);
}

fn told(act: &Act, outcome: Outcome) -> String {
    match outcome {
        Outcome::Acked(acked) => {
            let changed = acked.iter().filter(|acked| acked.changed).count();
            match (changed, acked.as_slice()) {
                (1, [one]) => format!("acknowledged {}", one.id),
                (0, _) => "already acknowledged".to_owned(),
                (changed, _) => format!("acknowledged {}", plural(changed as u64, "conflict")),
            }
        }
        Outcome::Restored(restored) => {
            let path = crate::admin::view::path_text(&restored.path);
            format!("restored {} as {path}", restored.id)
        }
        Outcome::Saved(size) => {
            let file = match act {
                Act::Save { file, .. } => file.as_str(),
                Act::Ack(_)
                | Act::Restore { .. }
                | Act::Pause { .. }
                | Act::Resume { .. }
                | Act::Reconnect { .. }
                | Act::Reload
                | Act::LogLevel { .. } => "",
            };
            format!("saved {} as {file}", bytes(size))
        }
        Outcome::Paused(true) => "paused; p lets it go on".to_owned(),
        Outcome::Paused(false) => "it is paused already".to_owned(),
        Outcome::Resumed(resumed) if resumed.changed => format!("{} goes on", resumed.site),
        Outcome::Resumed(resumed) => format!("{} was neither held nor paused", resumed.site),
        Outcome::Reconnecting => "connecting anew".to_owned(),
        Outcome::Reloaded(reloaded) => {
            let mut text = if reloaded.applied.is_empty() {
                "reloaded: certificates were read again".to_owned()
            } else {
                format!("reloaded: {}", reloaded.applied.join(", "))
            };
            if !reloaded.needs_restart.is_empty() {
                let keys = reloaded.needs_restart.join(", ");
                text.push_str(&format!("; at the next start: {keys}"));
            }
            text
        }
        Outcome::Logging(filter) => format!("logging {filter}"),
    }
}

/// A failure stays until it is read; who may not act is not asked again.
fn failure(model: &mut Model, failed: Failed) {
    if failed.denied {
        let known = model.rights.take().map(|rights| rights.caller);
        model.rights = Some(RightsView {
            act: false,
            caller: known.unwrap_or_else(|| "this user".to_owned()),
            hint: failed.hint.clone().unwrap_or_default(),
        });
    }
    let mut lines = vec![printable(&failed.message)];
    lines.extend(
        failed
            .causes
            .iter()
            .map(|cause| printable(&format!("cause  {cause}"))),
    );
    lines.extend(
        failed
            .hint
            .iter()
            .map(|hint| printable(&format!("hint   {hint}"))),
    );
    model.choice.overlay = Some(Overlay::Text {
        title: if failed.unknown {
            "Whether it was done is not known: look before you do it again".to_owned()
        } else {
            "It was not done".to_owned()
        },
        copy: lines.join("\n"),
        lines,
        is_bad: true,
    });
}

/// Copies what is selected.
pub(super) fn copy(model: &mut Model) -> Vec<Effect> {
    let text = match model.choice.screen {
        Screen::Overview | Screen::Site => model.selected_site().map(|site| {
            let error = site.last_error.clone().unwrap_or_default();
            format!("{} {} {error}", site.site, site.state)
                .trim_end()
                .to_owned()
        }),
        Screen::Shards => Some(model.choice.shard.to_string()),
        Screen::Conflicts => model.choice.conflict.clone(),
        Screen::Events => model.selected_event().map(|event| event.text.clone()),
        Screen::Journal => Some(command::of_screen(model)),
    };
    let Some(text) = text else {
        super::say(model, "nothing is selected", true);
        return Vec::new();
    };
    let text = printable(&text);
    super::say(model, format!("copied: {text}"), false);
    vec![Effect::Copy(text)]
}

/// Shows the equal command line.
pub(super) fn command(model: &mut Model) {
    let command = command::of_screen(model);
    model.choice.overlay = Some(Overlay::Text {
        title: "The same on the command line".to_owned(),
        lines: vec![
            printable(&command),
            String::new(),
            "y copies it; the question before an act shows the command of the act.".to_owned(),
        ],
        copy: command,
        is_bad: false,
    });
}

/// Compares both versions.
pub(super) fn diff(model: &mut Model) -> Vec<Effect> {
    if model.choice.diff {
        model.choice.diff = false;
        return Vec::new();
    }
    if is_refused(model, Action::Diff) {
        return Vec::new();
    }
    let Some(conflict) = model.selected_conflict() else {
        super::say(model, "no conflict is selected", true);
        return Vec::new();
    };
    if conflict.lost_bytes.is_none() {
        super::say(model, "no bytes lost: there is no text to compare", true);
        return Vec::new();
    }
    let id = conflict.id.clone();
    model.choice.diff = true;
    model.choice.panel = 1;
    let texts = model.data.texts.as_ref();
    let is_known = texts.is_some_and(|texts| texts.id == id);
    if is_known {
        return Vec::new();
    }
    vec![Effect::Ask(Ask::Texts { id })]
}

/// The whole error of the selected site.
pub(super) fn text_of_site(model: &mut Model) -> Vec<Effect> {
    let Some(site) = model.selected_site() else {
        return Vec::new();
    };
    let title = printable(&format!("{} {}", site.site, site.state.word()));
    let error = site.last_error.clone();
    let error = error.unwrap_or_else(|| "there is nothing to tell of it".to_owned());
    model.choice.overlay = Some(Overlay::Text {
        title,
        lines: vec![printable(&error)],
        copy: printable(&error),
        is_bad: false,
    });
    Vec::new()
}

/// The whole of the selected event.
pub(super) fn text_of_event(model: &mut Model) {
    let Some(event) = model.selected_event() else {
        return;
    };
    let lines = explain::lines(event);
    let title = printable(&format!("Event {}  {}", event.number, event.name));
    let copy = lines.join("\n");
    model.choice.overlay = Some(Overlay::Text {
        title,
        lines,
        copy,
        is_bad: false,
    });
}
