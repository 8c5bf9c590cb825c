//! The only place that prints: data to stdout, talk to stderr.
//!
//! A reader that goes away (`| head -1`) ends the command quietly. Colours are written as such and removed by the
//! stream when it is no terminal, or when `NO_COLOR`, `TERM=dumb` or `--color never` say so.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};

use anstream::AutoStream;
use clap::builder::styling::{AnsiColor, Style};

use super::Global;
use super::exit::{CliError, CliResult, Exit, Failure};
use super::render::{self, Format, View};
use crate::clock::{SharedClock, SystemClock};
use crate::text::printable;

/// Where a command's output goes.
pub struct Ui {
    data: Box<dyn Write>,
    talk: Box<dyn Write>,
    clock: SharedClock,
    format: Format,
    quiet: bool,
    verbose: bool,
}

impl fmt::Debug for Ui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ui")
            .field("format", &self.format)
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
        Self {
            data: Box::new(AutoStream::new(io::stdout(), color)),
            talk: Box::new(AutoStream::new(io::stderr(), color)),
            clock: std::sync::Arc::new(SystemClock),
            format: global.format(),
            quiet: global.quiet,
            verbose: global.verbose > 0,
        }
    }

    /// For a command line that cannot be parsed: whether JSON or colour was asked for is guessed from its words.
    #[must_use]
    pub fn for_usage(args: &[OsString]) -> Self {
        let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        let asks = |joined: &[&str], flags: &[&str], value: &str| {
            words.iter().any(|word| joined.contains(&word.as_ref()))
                || words.windows(2).any(|pair| {
                    matches!(pair, [flag, word] if flags.contains(&flag.as_ref()) && word == value)
                })
        };
        let json = asks(
            &["--json", "-ojson", "-o=json", "--output=json"],
            &["-o", "--output"],
            "json",
        );
        let mono = asks(&["--color=never"], &["--color"], "never");
        Self::new(&Global {
            server: None,
            output: if json { Format::Json } else { Format::Table },
            json,
            color: if mono {
                clap::ColorChoice::Never
            } else {
                clap::ColorChoice::Auto
            },
            timeout: std::time::Duration::ZERO,
            quiet: false,
            verbose: 0,
        })
    }

    /// True when a script reads.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self.format, Format::Json | Format::Jsonl)
    }

    /// Prints a view in the format that was asked for.
    ///
    /// # Errors
    /// When nobody reads, or the output cannot be written.
    pub fn show(&mut self, view: &View) -> CliResult {
        let text = render::render(view, self.format, self.clock.now_us());
        self.data(&text)
    }

    /// Prints more of what was shown, without the heading.
    ///
    /// # Errors
    /// When nobody reads, or the output cannot be written.
    pub fn more(&mut self, view: &View) -> CliResult {
        let text = render::render(view, self.format, self.clock.now_us());
        let heading = match self.format {
            Format::Table | Format::Csv => text.find('\n').map_or(0, |at| at + 1),
            Format::Json | Format::Jsonl | Format::Name => 0,
        };
        self.data(text.get(heading..).unwrap_or_default())
    }

    /// Prints data that has its own format, such as a script.
    ///
    /// # Errors
    /// When nobody reads, or the output cannot be written.
    pub fn data(&mut self, text: &str) -> CliResult {
        let written = self
            .data
            .write_all(text.as_bytes())
            .and_then(|()| self.data.flush());
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

    /// Tells a person what changed, in one line; nothing under `--quiet`.
    pub fn say(&mut self, line: &str) {
        if !self.quiet {
            self.talk(&format!("{line}\n"));
        }
    }

    /// Tells a person more, under `--verbose`.
    pub fn detail(&mut self, line: &str) {
        if self.verbose {
            self.talk(&format!("{line}\n"));
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
            quiet: false,
            verbose: false,
        };
        (ui, data, talk)
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
