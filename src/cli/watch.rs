//! `--watch`: the same question again and again, until Ctrl-C.
//!
//! On a terminal each answer is drawn over the one before; elsewhere it is appended. A daemon that goes away is told
//! and asked again: what is on the screen stays there, with since when it is old.

use std::time::Duration;

use super::Global;
use super::exit::{CliError, CliResult, Exit, Failure};
use super::human;
use super::lab::interrupt::Interrupt;
use super::reach::{self, Reach};
use super::render::Format;
use super::screen;
use super::ui::Ui;
use crate::admin::client::{Address, Client, ClientError};
use crate::clock::{TimestampUs, micros};
use crate::config::units::parse_duration;
use crate::text::printable;

/// Oftener would tell nobody more, and cost the daemon something.
const EVERY_MIN: Duration = Duration::from_millis(100);

/// Whether to go on
#[derive(Debug, Clone, clap::Args)]
pub(super) struct WatchArgs {
    /// Ask again every 2 s, or as often as given, until Ctrl-C
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2s",
        value_parser = parse_duration
    )]
    watch: Option<Duration>,
}

impl WatchArgs {
    /// Whether it was asked for.
    pub(super) const fn is_given(&self) -> bool {
        self.watch.is_some()
    }
}

/// Asks the daemon once, or again and again, and has every answer shown.
pub(super) fn each<T, F>(
    ui: &mut Ui,
    (global, reach, watch): (&Global, &Reach, &WatchArgs),
    request: impl Fn(Client) -> F,
    mut show: impl FnMut(&mut Ui, T) -> CliResult,
) -> CliResult
where
    F: Future<Output = Result<T, ClientError>>,
{
    let Some(every) = watch.watch else {
        let answer = reach::ask(global, reach, request)?;
        return show(ui, answer);
    };
    check(every, global.format())?;
    let address = reach::address(global, reach)?;
    let mut interrupt = Interrupt::new()?;
    let mut watching = Watching::new(every, global.format());
    let mut client = None;
    loop {
        let answer = interrupt.during(ask(&mut client, &address, global.timeout, &request))?;
        match answer {
            Ok(answer) => watching.answered(ui, |ui| show(ui, answer))?,
            Err(error) => {
                client = None;
                watching.failed(ui, reach::explained(global, reach, error))?;
            }
        }
        interrupt.pause(every)?;
    }
}

/// One document cannot go on for ever, and a daemon is not asked without pause.
fn check(every: Duration, format: Format) -> CliResult {
    if format.is_document() {
        let failure = Failure::new(Exit::Usage, "--watch cannot print one document");
        return Err(failure.hint("use -o jsonl").into());
    }
    if every < EVERY_MIN {
        let least = EVERY_MIN.as_millis();
        let failure = Failure::new(Exit::Usage, format!("--watch is less than {least} ms"));
        return Err(failure.hint("such as --watch=1s").into());
    }
    Ok(())
}

/// Asks over the connection that there is, or a new one.
async fn ask<T, F>(
    client: &mut Option<Client>,
    address: &Address,
    patience: Duration,
    request: &impl Fn(Client) -> F,
) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let connected = match client.take() {
        Some(client) => client,
        None => Client::connect(address.clone(), patience).await?,
    };
    *client = Some(connected.clone());
    request(connected).await
}

/// What was shown last.
#[derive(Debug)]
struct Watching {
    every: Duration,
    format: Format,
    body: String,
    /// When the daemon answered last; none: it did not yet.
    answered_us: Option<TimestampUs>,
    /// It was told that the daemon does not answer.
    is_lost: bool,
}

impl Watching {
    const fn new(every: Duration, format: Format) -> Self {
        Self {
            every,
            format,
            body: String::new(),
            answered_us: None,
            is_lost: false,
        }
    }

    /// Shows an answer.
    fn answered(&mut self, ui: &mut Ui, show: impl FnOnce(&mut Ui) -> CliResult) -> CliResult {
        let is_first = self.answered_us.replace(ui.now_us()).is_none();
        let was_lost = std::mem::take(&mut self.is_lost);
        let Some(size) = ui.canvas() else {
            if was_lost {
                ui.talk("the daemon answers again\n");
            }
            if !is_first && self.format.is_for_people() {
                ui.data("\n")?;
            }
            return show(ui);
        };
        ui.keep();
        let shown = show(ui);
        self.body = ui.kept();
        shown?;
        if is_first {
            ui.draw(&screen::cleared(size))?;
        }
        let at = ui.look().at(ui.now_us());
        let every = human::duration(micros(self.every));
        let last = format!("{at}, every {every}, Ctrl-C ends");
        ui.draw(&screen::picture(&self.body, &last, size))
    }

    /// Tells that there is no answer; a failure that will not pass, or before any answer, ends it.
    fn failed(&mut self, ui: &mut Ui, error: CliError) -> CliResult {
        let (Some(since_us), Some(message)) = (self.answered_us, passing(&error)) else {
            return Err(error);
        };
        let every = human::duration(micros(self.every));
        let message = printable(&message);
        let was_lost = std::mem::replace(&mut self.is_lost, true);
        match ui.canvas() {
            Some(size) => {
                let look = ui.look();
                let word = look.state("stalled", "OLD");
                let (at, age) = (look.at(since_us), look.age(since_us));
                let last =
                    format!("{word}  as of {at}, {age} ago: {message}; asked again every {every}");
                ui.draw(&screen::picture(&self.body, &last, size))
            }
            None if was_lost => Ok(()),
            None => {
                ui.talk(&format!("{message}; asked again every {every}\n"));
                Ok(())
            }
        }
    }
}

/// What to tell of a failure that may pass by itself.
fn passing(error: &CliError) -> Option<String> {
    match error {
        CliError::Failed(failure) => {
            let may_pass = matches!(failure.exit, Exit::Unreachable | Exit::TimedOut);
            may_pass.then(|| failure.message.clone())
        }
        CliError::Told(_) | CliError::OutputClosed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::screen::Size;
    use super::super::ui::tests::{captured, on_terminal};
    use super::*;

    const EVERY: Duration = Duration::from_secs(2);

    fn gone() -> CliError {
        Failure::new(Exit::Unreachable, "cannot reach the daemon").into()
    }

    #[test]
    fn a_terminal_keeps_the_last_answer_and_is_told_since_when_it_is_old() {
        let size = Size {
            columns: 200,
            rows: 24,
        };
        let (mut ui, data) = on_terminal(Format::Table, size);
        let mut watching = Watching::new(EVERY, Format::Table);
        watching
            .answered(&mut ui, |ui| ui.data("SITE\niad-2\n"))
            .unwrap();
        let text = data.text();
        assert!(
            text.contains("\u{1b}[HSITE\u{1b}[K\r\niad-2\u{1b}[K\r\n"),
            "{text:?}"
        );
        assert!(text.contains(", every 2.0s, Ctrl-C ends"), "{text:?}");
        watching.failed(&mut ui, gone()).unwrap();
        let added = data.text().split_off(text.len());
        assert!(
            added.starts_with("\u{1b}[HSITE\u{1b}[K\r\niad-2\u{1b}[K\r\nOLD  as of 2026-11-22T17:54:49.102113Z, 0.0s ago"),
            "{added:?}"
        );
        assert!(
            added.contains("cannot reach the daemon; asked again every 2.0s"),
            "{added:?}"
        );
    }

    #[test]
    fn a_pipe_is_appended_to_and_an_outage_is_told_once() {
        let (mut ui, data, talk) = captured(Format::Table);
        let mut watching = Watching::new(EVERY, Format::Table);
        let answer = |ui: &mut Ui, watching: &mut Watching| {
            watching.answered(ui, |ui| ui.data("x\n")).unwrap();
        };
        answer(&mut ui, &mut watching);
        watching.failed(&mut ui, gone()).unwrap();
        watching.failed(&mut ui, gone()).unwrap();
        answer(&mut ui, &mut watching);
        assert_eq!(data.text(), "x\n\nx\n");
        assert_eq!(
            talk.text(),
            "cannot reach the daemon; asked again every 2.0s\nthe daemon answers again\n"
        );
    }

    #[test]
    fn what_will_not_pass_ends_it_and_so_does_a_daemon_that_never_answered() {
        let (mut ui, _, _) = captured(Format::Table);
        let mut watching = Watching::new(EVERY, Format::Table);
        assert!(watching.failed(&mut ui, gone()).is_err());
        watching.answered(&mut ui, |_| Ok(())).unwrap();
        let wrong = Failure::new(Exit::NotFound, "no site");
        assert!(watching.failed(&mut ui, wrong.into()).is_err());
        assert!(watching.failed(&mut ui, gone()).is_ok());
    }

    #[test]
    fn one_document_is_refused_and_so_is_no_pause() {
        let refused = |every, format| match check(every, format) {
            Err(CliError::Failed(failure)) => failure.hint,
            Ok(()) | Err(CliError::Told(_) | CliError::OutputClosed) => None,
        };
        assert_eq!(
            refused(EVERY, Format::Json).as_deref(),
            Some("use -o jsonl")
        );
        assert!(refused(Duration::ZERO, Format::Table).is_some());
        assert_eq!(refused(EVERY, Format::Jsonl), None);
    }
}
