//! For tests: an ERROR that no test expects ends the tests.
//!
//! An ERROR means that a human must act, so one that is logged while a test runs is either what the test is about, or a
//! failure. It may be logged by any task or thread, where a panic would be caught and forgotten: so the whole process
//! ends, with the name of the thread, which for most tasks is that of the test.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

static EXPECTED: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
static WATCH: Once = Once::new();

/// From here on an ERROR that is not expected ends the tests. Called wherever tasks are made.
pub(crate) fn watch() {
    WATCH.call_once(|| {
        let layer = EndOnError.with_filter(LevelFilter::ERROR);
        // A subscriber that is set already stays.
        drop(tracing_subscriber::registry().with(layer).try_init());
    });
}

/// While it lives, an ERROR with these words is what a test is about.
#[must_use]
pub(crate) struct Expects(&'static str);

/// Expects an ERROR with `words` in its message or fields.
pub(crate) fn expects(words: &'static str) -> Expects {
    watch();
    expected().push(words);
    Expects(words)
}

impl Drop for Expects {
    fn drop(&mut self) {
        let mut expected = expected();
        if let Some(at) = expected.iter().position(|words| *words == self.0) {
            expected.remove(at);
        }
    }
}

fn expected() -> MutexGuard<'static, Vec<&'static str>> {
    EXPECTED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_expected(text: &str) -> bool {
    expected().iter().any(|words| text.contains(words))
}

struct EndOnError;

impl<S: Subscriber> Layer<S> for EndOnError {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut text = Text(format!("{}:", event.metadata().target()));
        event.record(&mut text);
        if is_expected(&text.0) {
            return;
        }
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("?");
        // Past the capture of the test harness, which shows nothing of a process that ends.
        let told = writeln!(std::io::stderr(), "unexpected ERROR in {test}: {}", text.0);
        std::process::exit(if told.is_ok() { 101 } else { 102 });
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = if field.name() == "message" {
            write!(self.0, " {value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
        written.expect("a string takes all");
    }
}

#[test]
fn only_what_is_expected_passes_and_only_as_long() {
    {
        let _expected = expects("an error on purpose");
        assert!(is_expected("conduit: an error on purpose site=2"));
        assert!(!is_expected("conduit: another error"));
        tracing::error!(site = 2, "an error on purpose");
    }
    assert!(!is_expected("conduit: an error on purpose site=2"));
}
