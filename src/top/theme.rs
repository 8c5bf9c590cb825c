//! Pure: colours by meaning, and what stands for glyphs where there is only ASCII.
//!
//! Colour never stands alone: every state has a word and a glyph, too. The colours of the dark and the light theme are
//! told apart by people who do not see red or green; they are those of Okabe and Ito, as near as 256 colours get.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use super::model::ThemeName;
use crate::admin::view::{Level, Severity, SiteState, Verdict};

/// What something means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// As the terminal shows text.
    Plain,
    /// All is well.
    Good,
    /// Worth a look, or on its way.
    Attention,
    /// Needs somebody.
    Bad,
    /// Not known, old, or beside the point.
    Dim,
    /// Headings, and what has the focus.
    Strong,
}

impl Tone {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Plain,
        Self::Good,
        Self::Attention,
        Self::Bad,
        Self::Dim,
        Self::Strong,
    ];
}

/// Colours in their places: good, attention, bad, dim.
type Palette = [Color; 4];

const DARK: Palette = [
    Color::Indexed(75),
    Color::Indexed(214),
    Color::Indexed(209),
    Color::Indexed(247),
];
const LIGHT: Palette = [
    Color::Indexed(25),
    Color::Indexed(94),
    Color::Indexed(160),
    Color::Indexed(240),
];
const SIXTEEN: Palette = [
    Color::LightCyan,
    Color::LightYellow,
    Color::LightRed,
    Color::Gray,
];

/// The style of a meaning.
#[must_use]
pub fn style(theme: ThemeName, tone: Tone) -> Style {
    let palette = match theme {
        ThemeName::Dark => DARK,
        ThemeName::Light => LIGHT,
        ThemeName::HighContrast => SIXTEEN,
        ThemeName::Mono => [Color::Reset; 4],
    };
    let [good, attention, bad, dim] = palette;
    let plain = Style::new();
    let is_mono = theme == ThemeName::Mono;
    match tone {
        Tone::Plain => plain,
        Tone::Good => plain.fg(good),
        Tone::Attention => plain.fg(attention).add_modifier(loud(theme)),
        Tone::Bad => plain.fg(bad).add_modifier(Modifier::BOLD),
        Tone::Dim if is_mono => plain.add_modifier(Modifier::DIM),
        Tone::Dim => plain.fg(dim),
        Tone::Strong => plain.add_modifier(Modifier::BOLD),
    }
}

const fn loud(theme: ThemeName) -> Modifier {
    match theme {
        ThemeName::HighContrast => Modifier::BOLD,
        ThemeName::Dark | ThemeName::Light | ThemeName::Mono => Modifier::empty(),
    }
}

/// Colours of lines of a chart, beside their glyphs.
#[must_use]
pub fn line(theme: ThemeName, nth: usize) -> Style {
    let colors = match theme {
        ThemeName::Dark => [75, 214, 36, 175],
        ThemeName::Light => [25, 130, 29, 126],
        ThemeName::HighContrast => [14, 11, 10, 13],
        ThemeName::Mono => return Style::new(),
    };
    let color = colors.get(nth % colors.len()).copied().unwrap_or(7);
    Style::new().fg(Color::Indexed(color))
}

/// How strong a cell of the heat map is: from 0, nothing, to 4.
#[must_use]
pub fn heat(theme: ThemeName, strength: usize) -> Style {
    // From dark to light, as on a map for people who do not see red or green.
    let colors = match theme {
        ThemeName::Dark => [240, 67, 109, 179, 220],
        ThemeName::Light => [250, 110, 67, 25, 17],
        ThemeName::HighContrast => [8, 12, 14, 11, 15],
        ThemeName::Mono => return Style::new(),
    };
    let color = colors.get(strength).copied().unwrap_or(220);
    Style::new().fg(Color::Indexed(color))
}

/// What a state means.
#[must_use]
pub const fn of_state(state: SiteState) -> Tone {
    match state {
        SiteState::Idle | SiteState::Streaming => Tone::Good,
        SiteState::CatchingUp
        | SiteState::Connecting
        | SiteState::NeverConnected
        | SiteState::Parked
        | SiteState::Paused => Tone::Attention,
        SiteState::Backoff | SiteState::Stalled | SiteState::Held | SiteState::Fenced => Tone::Bad,
        SiteState::Unknown => Tone::Dim,
    }
}

/// What a verdict means.
#[must_use]
pub const fn of_verdict(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Ok => Tone::Good,
        Verdict::CatchingUp | Verdict::Degraded => Tone::Attention,
        Verdict::Stalled | Verdict::Down => Tone::Bad,
        Verdict::Unknown => Tone::Dim,
    }
}

/// What a severity means.
#[must_use]
pub const fn of_severity(severity: Severity) -> Tone {
    match severity {
        Severity::Warning => Tone::Attention,
        Severity::Critical => Tone::Bad,
    }
}

/// What a level means.
#[must_use]
pub const fn of_level(level: Level) -> Tone {
    match level {
        Level::Info => Tone::Plain,
        Level::Warn => Tone::Attention,
        Level::Error => Tone::Bad,
    }
}

/// The glyph of a meaning.
#[must_use]
pub const fn glyph(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "●",
        Tone::Attention => "▲",
        Tone::Bad => "✖",
        Tone::Plain | Tone::Strong => "·",
        Tone::Dim => "◌",
    }
}

/// Bars of a sparkline, from almost nothing to full.
pub const SPARKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// What stands for a glyph where there is only ASCII.
const ASCII: &[(&str, &str)] = &[
    ("●", "o"),
    ("▲", "!"),
    ("✖", "X"),
    ("◌", "?"),
    ("‖", "="),
    ("▶", ">"),
    ("▼", "v"),
    ("✱", "*"),
    ("✓", "+"),
    ("─", "-"),
    ("│", "|"),
    ("┌", "+"),
    ("┐", "+"),
    ("└", "+"),
    ("┘", "+"),
    ("├", "+"),
    ("┤", "+"),
    ("═", "="),
    ("║", "|"),
    ("╔", "+"),
    ("╗", "+"),
    ("╚", "+"),
    ("╝", "+"),
    ("╌", "-"),
    ("·", "."),
    ("…", "~"),
    ("—", "-"),
    ("≥", ">"),
    ("→", ">"),
    ("←", "<"),
    ("↑", "^"),
    ("↓", "v"),
    ("░", ":"),
    ("▒", "%"),
    ("▓", "#"),
    ("█", "@"),
    ("▁", "_"),
    ("▂", "."),
    ("▃", "-"),
    ("▄", "="),
    ("▅", "+"),
    ("▆", "*"),
    ("▇", "#"),
    ("×", "x"),
    ("◆", "#"),
    ("■", "%"),
    ("»", ">"),
    ("○", "0"),
    ("±", "+"),
    ("µ", "u"),
];

/// Puts ASCII into the place of everything else.
pub fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if symbol.is_ascii() {
            continue;
        }
        let found = ASCII.iter().find(|(glyph, _)| *glyph == symbol);
        cell.set_symbol(found.map_or("?", |(_, plain)| plain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::look::tests::luminance;

    #[test]
    fn the_dark_theme_can_be_read_on_black_and_the_light_one_on_white() {
        for (palette, ground) in [(DARK, 0.0), (LIGHT, 1.0)] {
            for color in palette {
                let Color::Indexed(number) = color else {
                    panic!("{color:?}");
                };
                let (a, b) = (luminance(number) + 0.05, ground + 0.05);
                let contrast = (a / b).max(b / a);
                assert!(contrast >= 4.5, "{number}: {contrast}");
            }
        }
    }

    #[test]
    fn every_meaning_has_a_glyph_of_its_own_in_ascii_too() {
        let tones = [Tone::Good, Tone::Attention, Tone::Bad, Tone::Dim];
        let plain = tones.map(|tone| {
            let found = ASCII.iter().find(|(shown, _)| *shown == glyph(tone));
            found.unwrap().1
        });
        let unique: std::collections::BTreeSet<_> = plain.iter().collect();
        assert_eq!(unique.len(), tones.len());
    }

    #[test]
    fn the_mono_theme_has_no_colour() {
        for tone in Tone::ALL {
            let style = style(ThemeName::Mono, tone);
            assert!(matches!(style.fg, None | Some(Color::Reset)), "{tone:?}");
        }
    }
}
