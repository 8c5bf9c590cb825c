//! The only place that prints: data to stdout, talk to stderr.
//!
//! A reader that goes away (`| head -1`) ends the command quietly. Colours are written as such and removed by the
//! stream when it is no terminal, or when `NO_COLOR`, `TERM=dumb` or `--color never` say so.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal as _, Write};

use anstream::AutoStream;
use anstream::adapter::strip_str;
use clap::builder::styling::{AnsiColor, Style};
use jiff::tz::TimeZone;

use super::Global;
use super::columns::{Chosen, Heading};
use super::exit::{CliError, CliResult, Exit, Failure};
use super::human;
use super::look::Look;
use super::render::{self, Format, View};
use super::screen::{Screen, Size};
use super::sink::Sink;
use crate::clock::{SharedClock, SystemClock, TimestampUs};
use crate::text::printable;

/// Where a command's output goes.
pub struct Ui {
    data: Box<dyn Write>,
    talk: Box<dyn Write>,
    clock: SharedClock,
    format: Format,
    /// What stdout shows on, if that is a terminal.
    screen: Option<Screen>,
    colour: bool,
    /// In which zone times are told; none: nobody said so.
    zone: Option<TimeZone>,
    quiet: bool,
    verbose: bool,
    /// What is kept back until the whole picture is drawn.
    kept: Option<String>,
    /// Headings of CSV stand at the beginning of the output alone.
    is_begun: bool,
}

impl fmt::Debug for Ui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ui")
            .field("format", &self.format)
            .field("screen", &self.screen)
            .field("colour", &self.colour)
            .field("quiet", &self.quiet)
            .field("verbose", &self.verbose)
            .finish_non_exhaustive()
    }
}

impl Ui {
    /// The process's own streams, as the flags say.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        let color = match global.color {
            clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
            clap::ColorChoice::Always => anstream::ColorChoice::Always,
            clap::ColorChoice::Never => anstream::ColorChoice::Never,
        };
        let colour = match color {
            anstream::ColorChoice::Auto => AutoStream::choice(&io::stdout()),
            chosen @ (anstream::ColorChoice::Always
            | anstream::ColorChoice::AlwaysAnsi
            | anstream::ColorChoice::Never) => chosen,
        };
        let zone = match (global.utc, global.local) {
            (false, false) => None,
            (true, _) => Some(TimeZone::UTC),
            (false, true) => Some(TimeZone::system()),
        };
        Self {
            data: Box::new(io::stdout()),
            talk: Box::new(AutoStream::new(io::stderr(), color)),
            clock: std::sync::Arc::new(SystemClock),
            format: global.format(),
            screen: io::stdout().is_terminal().then(Screen::stdout),
            colour: colour != anstream::ColorChoice::Never,
            zone,
            quiet: global.quiet,
            verbose: global.verbose > 0,
            kept: None,
            is_begun: false,
        }
    }

    /// For a command line that cannot be parsed: whether JSON or colour was asked for is guessed from its words.
    #[must_use]
    pub fn for_usage(args: &[OsString]) -> Self {
        let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        let asks = |flags: &[&str], value: &str| {
            let joined = |word: &str| {
                let rest = flags.iter().find_map(|flag| word.strip_prefix(flag));
                rest.is_some_and(|rest| rest.strip_prefix('=').unwrap_or(rest) == value)
            };
            words.iter().any(|word| joined(word))
                || words.windows(2).any(|pair| {
                    matches!(pair, [flag, word] if flags.contains(&flag.as_ref()) && word == value)
                })
        };
        let output = ["-o", "--output"];
        let is_json = words.iter().any(|word| word == "--json")
            || ["json", "jsonl", "yaml"]
                .iter()
                .any(|word| asks(&output, word));
        Self::new(&Global {
            output: if is_json { Format::Json } else { Format::Table },
            color: if asks(&["--color"], "never") {
                clap::ColorChoice::Never
            } else {
                clap::ColorChoice::Auto
            },
            ..Global::default()
        })
    }

    /// True when a script reads.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format.has_objects()
    }

    /// The time.
    pub(super) fn now_us(&self) -> TimestampUs {
        self.clock.now_us()
    }

    /// Who reads the output.
    #[must_use]
    pub fn look(&self) -> Look {
        let is_terminal = self.screen.is_some();
        Look {
            width: self.screen.as_ref().map(|screen| screen.size().columns),
            colour: self.colour,
            ages: is_terminal && self.zone.is_none(),
            zone: self.zone.clone(),
            now_us: self.clock.now_us(),
        }
    }

    /// Prints a view in the format that was asked for.
    ///
    /// # Errors
    /// When nobody reads, or the output cannot be written.
    pub fn show<C: Heading>(&mut self, view: &View<C>) -> CliResult {
        self.list(view, &Chosen::default())
    }

    /// Prints more of what was shown, without the heading.
    ///
    /// # Errors
    /// When nobody reads, or the output cannot be written.
    pub fn more<C: Heading>(&mut self, view: &View<C>) -> CliResult {
        let chosen = Chosen {
            headers: false,
            ..Chosen::default()
        };
        self.list(view, &chosen)
    }

    /// Prints what was chosen of a list that is there as a whole.
    ///
    /// # Errors
    /// When nobody reads, or the output cannot be written.
    pub fn list<C: Heading>(&mut self, view: &View<C>, chosen: &Chosen) -> CliResult {
        let mut sink = self.sink(chosen);
        self.page(&mut sink, view)?;
        self.end(sink, view.rows.len() as u64)
    }

    /// Begins a list that comes page by page.
    pub(super) fn sink(&self, chosen: &Chosen) -> Sink {
        // Headings of CSV stand at the beginning of the output alone.
        let headers = chosen.headers && !(self.is_begun && self.format == Format::Csv);
        let chosen = Chosen {
            headers,
            ..chosen.clone()
        };
        Sink::new(self.format, chosen)
    }

    /// Prints of a page what can be printed before the last one is there.
    ///
    /// # Errors
    /// When nobody reads, or the output cannot be written.
    pub(super) fn page<C: Heading>(&mut self, sink: &mut Sink, view: &View<C>) -> CliResult {
        let text = sink.take(view, &self.look());
        self.piece(&text)
    }

    /// Ends a list of which there are `found` rows in all; a terminal is told what it does not see.
    ///
    /// # Errors
    /// When nobody reads, or the output cannot be written.
    pub(super) fn end(&mut self, sink: Sink, found: u64) -> CliResult {
        let shown = sink.finish(|text| self.piece(text))?;
        if shown < found {
            let told = format!("{} of {}", human::count(shown), human::count(found));
            if self.screen.is_some() && self.format.is_for_people() {
                return self.data(&format!("{told}\n"));
            }
            self.detail(&told);
        }
        Ok(())
    }

    /// Prints a piece of a list.
    fn piece(&mut self, text: &str) -> CliResult {
        if text.is_empty() {
            Ok(())
        } else if self.format.is_for_people() {
            self.data(text)
        } else {
            // As it is: what looks like a colour in it is somebody's data.
            self.write(text)
        }
    }

    /// Prints data that has its own format, such as a script. Where there are no colours, those in it are left out.
    ///
    /// # Errors
    /// When nobody reads, or the output cannot be written.
    pub fn data(&mut self, text: &str) -> CliResult {
        if let Some(kept) = &mut self.kept {
            kept.push_str(text);
            return Ok(());
        }
        if self.colour {
            self.write(text)
        } else {
            let plain = strip_str(text).to_string();
            self.write(&plain)
        }
    }

    /// Writes to stdout as it is.
    fn write(&mut self, text: &str) -> CliResult {
        let written = self
            .data
            .write_all(text.as_bytes())
            .and_then(|()| self.data.flush());
        self.is_begun = true;
        written.map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return CliError::OutputClosed;
            }
            Failure::new(Exit::Failure, "cannot write the output")
                .cause(error)
                .hint("check where stdout goes; the disk may be full")
                .into()
        })
    }

    /// The size of the terminal, where pictures can be drawn over older ones.
    pub(super) fn canvas(&self) -> Option<Size> {
        let screen = self.screen.as_ref().filter(|screen| screen.obeys)?;
        self.format.is_for_people().then(|| screen.size())
    }

    /// Keeps data for people back from here on.
    pub(super) fn keep(&mut self) {
        self.kept = Some(String::new());
    }

    /// What was kept back; data goes out again.
    pub(super) fn kept(&mut self) -> String {
        let kept = self.kept.take().unwrap_or_default();
        if self.colour {
            kept
        } else {
            strip_str(&kept).to_string()
        }
    }

    /// Draws on the terminal, with what moves its cursor.
    ///
    /// # Errors
    /// When nobody reads, or the output cannot be written.
    pub(super) fn draw(&mut self, picture: &str) -> CliResult {
        self.write(picture)
    }

    /// Tells a person what changed; nothing under `--quiet`.
    ///
    /// Whatever a path in it holds, the terminal shows it and does not obey.
    pub fn say(&mut self, text: &str) {
        if !self.quiet {
            self.talk(&shown(text));
        }
    }

    /// Tells a person more, under `--verbose`.
    pub fn detail(&mut self, text: &str) {
        if self.verbose {
            self.talk(&shown(text));
        }
    }

    /// Writes to stderr as it is. Nobody can be told when that fails.
    pub(super) fn talk(&mut self, text: &str) {
        drop(self.talk.write_all(text.as_bytes()));
    }

    /// Tells a failure, if there is one, and returns the code to exit with.
    pub fn finish(&mut self, result: CliResult) -> Exit {
        match result {
            Ok(()) | Err(CliError::OutputClosed) => Exit::Ok,
            Err(CliError::Told(exit)) => exit,
            Err(CliError::Failed(failure)) => {
                let text = if self.is_json() {
                    render::failure_json(&failure)
                } else {
                    failure_text(&failure)
                };
                self.talk(&text);
                failure.exit
            }
        }
    }
}

/// Three kinds of lines: what failed, why, what to do.
fn failure_text(failure: &Failure) -> String {
    let red = AnsiColor::Red.on_default().bold();
    let plain = Style::new().bold();
    let mut text = line(red, "error:", &failure.message);
    for cause in &failure.causes {
        text.push_str(&line(plain, "cause:", cause));
    }
    if let Some(hint) = &failure.hint {
        text.push_str(&line(plain, "hint: ", hint));
    }
    text
}

fn line(style: Style, label: &str, text: &str) -> String {
    let text = printable(text);
    format!("{style}{label}{style:#} {text}\n")
}

/// Lines for a terminal.
fn shown(text: &str) -> String {
    if text.is_empty() {
        return "\n".to_owned();
    }
    text.lines().map(|line| printable(line) + "\n").collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::sync::{Arc, Mutex};

    /// A stream that a test can read, or that nobody reads.
    #[derive(Debug, Clone, Default)]
    pub(in crate::cli) struct Captured {
        bytes: Arc<Mutex<Vec<u8>>>,
        closed: bool,
    }

    impl Captured {
        pub(in crate::cli) fn text(&self) -> String {
            String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.bytes.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A `Ui` whose streams are plain and captured: itself, stdout, stderr.
    pub(in crate::cli) fn captured(format: Format) -> (Ui, Captured, Captured) {
        let (data, talk) = (Captured::default(), Captured::default());
        let ui = Ui {
            data: Box::new(data.clone()),
            talk: Box::new(AutoStream::new(
                Box::new(talk.clone()) as Box<dyn Write>,
                anstream::ColorChoice::Never,
            )),
            clock: ManualClock::at(1_795_370_089_102_113),
            format,
            screen: None,
            colour: false,
            zone: None,
            quiet: false,
            verbose: false,
            kept: None,
            is_begun: false,
        };
        (ui, data, talk)
    }

    /// A `Ui` that shows on a terminal of this size, and its stdout.
    pub(in crate::cli) fn on_terminal(format: Format, size: Size) -> (Ui, Captured) {
        let (mut ui, data, _) = captured(format);
        ui.screen = Some(Screen::fixed(size));
        (ui, data)
    }

    fn numbers() -> View {
        let row = |number: u32| render::Row {
            name: number.to_string(),
            cells: vec![number.to_string()],
            item: serde_json::json!({ "number": number }),
        };
        View {
            command: "numbers",
            site: None,
            columns: &["NUMBER"],
            rows: (0..1_204).map(row).collect(),
        }
    }

    #[test]
    fn a_list_that_was_cut_says_so_in_its_last_line_on_a_terminal_alone() {
        let chosen = Chosen {
            limit: Some(20),
            ..Chosen::default()
        };
        let size = Size {
            columns: 80,
            rows: 24,
        };
        let (mut ui, data) = on_terminal(Format::Table, size);
        ui.list(&numbers(), &chosen).unwrap();
        assert_eq!(data.text().lines().last(), Some("20 of 1,204"));
        let (mut ui, data, talk) = captured(Format::Table);
        ui.verbose = true;
        let mut sink = ui.sink(&chosen);
        ui.page(&mut sink, &numbers()).unwrap();
        ui.end(sink, 2_000).unwrap();
        assert_eq!(data.text().lines().last(), Some("19"));
        assert_eq!(talk.text(), "20 of 2,000\n");
        let (mut ui, data) = on_terminal(Format::Json, size);
        ui.list(&numbers(), &chosen).unwrap();
        assert_eq!(data.text().lines().count(), 1);
    }

    #[test]
    fn what_looks_like_a_colour_in_data_of_scripts_is_shown_and_not_cut_out() {
        let mut view = numbers();
        view.rows.truncate(1);
        view.rows[0].cells[0] = "\u{1b}[31m".to_owned();
        let (mut ui, data, _) = captured(Format::Csv);
        ui.show(&view).unwrap();
        ui.show(&view).unwrap();
        assert_eq!(data.text(), "number\r\n\\u{1b}[31m\r\n\\u{1b}[31m\r\n");
        let (mut ui, data, _) = captured(Format::Table);
        ui.data("\u{1b}[31mred\u{1b}[0m\n").unwrap();
        assert_eq!(data.text(), "red\n");
    }

    #[test]
    fn a_reader_that_goes_away_is_a_quiet_success() {
        let (mut ui, _, talk) = captured(Format::Table);
        ui.data = Box::new(Captured {
            closed: true,
            ..Captured::default()
        });
        let result = ui.data("x");
        assert_eq!((ui.finish(result), talk.text()), (Exit::Ok, String::new()));
    }

    #[test]
    fn a_failure_says_what_why_and_what_to_do() {
        let failure = Failure::new(Exit::Unreachable, "cannot reach the daemon")
            .cause("refused\u{1b}[31m")
            .hint("start it");
        let (mut ui, data, talk) = captured(Format::Table);
        assert_eq!(ui.finish(Err(failure.clone().into())), Exit::Unreachable);
        assert_eq!(
            talk.text(),
            "error: cannot reach the daemon\ncause: refused\\u{1b}[31m\nhint:  start it\n"
        );
        assert_eq!(data.text(), "");
        let (mut ui, _, talk) = captured(Format::Json);
        ui.finish(Err(failure.into()));
        let told: serde_json::Value = serde_json::from_str(&talk.text()).unwrap();
        assert_eq!(told["error"]["code"], "daemon_unreachable");
        assert_eq!(told["error"]["exit"], 3);
        assert_eq!(told["error"]["hint"], "start it");
    }

    #[test]
    fn quiet_says_nothing_and_verbose_says_more() {
        let (mut ui, _, talk) = captured(Format::Table);
        ui.detail("more");
        ui.say("changed");
        assert_eq!(talk.text(), "changed\n");
        ui.quiet = true;
        ui.say("changed again");
        assert_eq!(talk.text(), "changed\n");
        (ui.quiet, ui.verbose) = (false, true);
        ui.detail("more");
        assert_eq!(talk.text(), "changed\nmore\n");
    }
}
