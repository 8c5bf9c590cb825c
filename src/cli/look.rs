//! Pure: what is known of who reads: how wide their terminal is, whether it has colours, how they want times.
//!
//! A reader that is no terminal gets no colour, nothing cut, and times as they are kept.

use clap::builder::styling::{Ansi256Color, Color, Style};
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr as _;

use super::human;
use crate::clock::{TimestampUs, rfc3339};

/// Words that mean that all is well.
const GOOD: &[&str] = &["ok", "idle", "streaming"];
/// Words that mean that something is worth a look, or on its way.
const ATTENTION: &[&str] = &[
    "warning",
    "catching_up",
    "connecting",
    "degraded",
    "never_connected",
    "parked",
    "paused",
];
/// Words that mean that something needs a human.
const BAD: &[&str] = &[
    "critical", "backoff", "down", "fenced", "held", "open", "stalled",
];
/// Of the 256 colours those that are told apart by people who do not see red or green, and that can be read on black
/// and on white: a bluish green, an orange, and a red that tends to blue.
const GOOD_COLOR: u8 = 29;
const ATTENTION_COLOR: u8 = 130;
const BAD_COLOR: u8 = 161;
/// Grey.
const UNKNOWN_COLOR: u8 = 243;

/// Who reads.
#[derive(Debug, Clone)]
pub struct Look {
    /// Columns of the terminal; none: nothing is cut.
    pub width: Option<usize>,
    /// Colours are understood.
    pub colour: bool,
    /// Times are told as ages, where a column holds them.
    pub ages: bool,
    /// The zone in which times are told; none: UTC.
    pub zone: Option<TimeZone>,
    /// The time.
    pub now_us: TimestampUs,
}

impl Look {
    /// A reader that is no terminal.
    #[must_use]
    pub const fn plain(now_us: TimestampUs) -> Self {
        Self {
            width: None,
            colour: false,
            ages: false,
            zone: None,
            now_us,
        }
    }

    /// The time `us`; a question mark where no calendar knows it.
    #[must_use]
    pub fn at(&self, us: TimestampUs) -> String {
        let zoned = self.zone.as_ref().and_then(|zone| human::zoned(us, zone));
        human::known(zoned.or_else(|| rfc3339(us)), |at| at)
    }

    /// How long ago `us` was, or the time itself.
    #[must_use]
    pub fn when(&self, us: TimestampUs) -> String {
        if self.ages {
            format!("{} ago", self.age(us))
        } else {
            self.at(us)
        }
    }

    /// How long ago `us` was.
    #[must_use]
    pub fn age(&self, us: TimestampUs) -> String {
        human::duration(self.now_us.saturating_sub(us))
    }

    /// The line as several ones that fit, broken between words; all but the first begin with `indent` spaces.
    #[must_use]
    pub fn fold(&self, line: &str, indent: usize) -> String {
        let Some(width) = self.width.filter(|width| line.width() > *width) else {
            return line.to_owned();
        };
        let mut folded = String::with_capacity(line.len() + indent);
        let mut used = 0;
        let mut has_word = false;
        for (nth, word) in line.split(' ').enumerate() {
            // A word that is too long for any line stands on one of its own.
            if nth > 0 && used + 1 + word.width() > width && has_word {
                folded.truncate(folded.trim_end_matches(' ').len());
                folded.push('\n');
                folded.extend(std::iter::repeat_n(' ', indent));
                (used, has_word) = (indent, false);
            } else if nth > 0 {
                folded.push(' ');
                used += 1;
            }
            folded.push_str(word);
            used += word.width();
            has_word |= !word.is_empty();
        }
        folded
    }

    /// `text` in the colour of the state `word`, if there are colours and it has one.
    #[must_use]
    pub fn state(&self, word: &str, text: &str) -> String {
        match style(word).filter(|_| self.colour) {
            Some(style) => format!("{style}{text}{style:#}"),
            None => text.to_owned(),
        }
    }
}

/// The style of a word for a state, in lower or upper case.
fn style(word: &str) -> Option<Style> {
    let word = word.to_ascii_lowercase();
    let is_one_of = |words: &[&str]| words.contains(&word.as_str());
    let (number, bold) = if is_one_of(GOOD) {
        (GOOD_COLOR, false)
    } else if is_one_of(ATTENTION) {
        (ATTENTION_COLOR, false)
    } else if is_one_of(BAD) {
        (BAD_COLOR, true)
    } else if word == "unknown" {
        (UNKNOWN_COLOR, false)
    } else {
        return None;
    };
    let style = Style::new().fg_color(Some(Color::Ansi256(Ansi256Color(number))));
    Some(if bold { style.bold() } else { style })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::admin::view::{Severity, SiteState, Verdict};

    const NOW_US: TimestampUs = 1_795_370_089_102_113;

    #[test]
    fn every_word_for_a_state_has_a_colour_and_stays_a_word() {
        let mut look = Look::plain(0);
        let words = SiteState::ALL.iter().map(|word| word.word());
        let words = words.chain(Verdict::ALL.iter().map(|word| word.word()));
        for word in words.chain(Severity::ALL.iter().map(|word| word.word())) {
            look.colour = true;
            let told = look.state(word, word);
            assert!(
                told.contains(word) && told.contains("\u{1b}[38;5;"),
                "{word}"
            );
            look.colour = false;
            assert_eq!(look.state(word, word), word);
        }
        look.colour = true;
        assert_eq!(look.state("iad-2", "iad-2"), "iad-2");
    }

    /// Relative luminance of one of the colours 16 to 231, or of a grey (WCAG 2).
    pub(crate) fn luminance(number: u8) -> f64 {
        let steps = [0, 95, 135, 175, 215, 255].map(f64::from);
        let channel = |value: f64| {
            let part = value / 255.0;
            if part <= 0.040_45 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        if number >= 232 {
            return channel(8.0 + 10.0 * f64::from(number - 232));
        }
        let nth = usize::from(number - 16);
        let [red, green, blue] = [nth / 36, nth / 6 % 6, nth % 6].map(|at| channel(steps[at]));
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    #[test]
    fn the_colours_can_be_read_on_black_and_on_white() {
        for number in [GOOD_COLOR, ATTENTION_COLOR, BAD_COLOR, UNKNOWN_COLOR] {
            let light = luminance(number) + 0.05;
            let contrast = (light / 0.05).min(1.05 / light);
            assert!(contrast >= 4.0, "{number}: {contrast}");
        }
    }

    #[test]
    fn a_line_is_broken_between_words_where_there_is_a_width() {
        let line = "tree     /srv/a · inotify · scanned 2m14s ago";
        let mut look = Look::plain(0);
        assert_eq!(look.fold(line, 9), line);
        look.width = Some(30);
        assert_eq!(
            look.fold(line, 9),
            "tree     /srv/a · inotify ·\n         scanned 2m14s ago"
        );
        look.width = Some(10);
        let long = "x".repeat(20);
        assert_eq!(
            look.fold(&format!("a {long} b"), 2),
            format!("a\n  {long}\n  b")
        );
    }

    #[test]
    fn times_are_ages_or_absolute_in_the_zone_that_was_asked_for() {
        let mut look = Look::plain(NOW_US + 134_000_000);
        assert_eq!(look.when(NOW_US), "2026-11-22T17:54:49.102113Z");
        look.ages = true;
        assert_eq!(look.when(NOW_US), "2m14s ago");
        assert_eq!(look.age(u64::MAX), "0.0s");
        look.zone = TimeZone::fixed(jiff::tz::offset(2)).into();
        assert_eq!(look.at(NOW_US), "2026-11-22T19:54:49.102113+02:00");
        assert_eq!(look.at(u64::MAX), "?");
    }
}
