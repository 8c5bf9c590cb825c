//! Pure: text that comes from trees and peers, made safe to show, and quantities, made short for people.
//!
//! A file name may hold anything but `/` and NUL: escapes that a terminal obeys, a line end that forges a line of a
//! log, marks that turn the order of a line around.

/// Units of a size and their length in bytes, longest first.
const SIZE_UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];
/// Longer durations are told in their two largest units: days, hours, minutes, seconds.
const DURATION_UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// The text with control characters escaped, so that a terminal shows them instead of obeying.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut after_ascii = true;
    for c in text.chars() {
        let is_joined = matches!(c, '\u{200d}' | '\u{fe0e}' | '\u{fe0f}') && !after_ascii;
        if c.is_control() || is_direction_mark(c) || is_no_text(c) || is_unseen(c) && !is_joined {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
        after_ascii = c.is_ascii();
    }
    safe
}

/// The same for a terminal that is drawn on cell by cell: what several characters make one picture of is escaped, too,
/// such as a flag, for programs do not agree on how many columns it takes, and what was drawn beside it would stay there.
#[must_use]
pub fn drawable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in printable(text).chars() {
        if is_unseen(c) || matches!(c, '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f3fb}'..='\u{1f3ff}') {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// A text in JSON with everything escaped that a terminal would obey: it stands for the same value. JSON lets control
/// characters above U+007F and marks of direction stand as they are; between its strings it has none of them.
#[must_use]
pub fn printable_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() || is_direction_mark(c) || is_no_text(c) {
            // All of them have four digits: there is none above U+FFFF.
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// What ends a line, or is no character (YAML 1.2, 5.1 and 5.4).
const fn is_no_text(c: char) -> bool {
    matches!(
        c,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    )
}

/// Characters that show as nothing (Unicode, `Default_Ignorable_Code_Point`): two names that differ in one look alike.
/// Those that join the parts of a picture are shown with it.
const fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Characters that reorder the line around them (Unicode UAX 9, explicit formatting).
const fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// A duration in microseconds: `0.4s`, `8.4s`, `2m14s`, `12d4h`.
#[must_use]
pub fn duration(us: u64) -> String {
    let seconds = us / 1_000_000;
    if seconds < 60 {
        let tenths = us / 100_000;
        return format!("{}.{}s", tenths / 10, tenths % 10);
    }
    let mut units = DURATION_UNITS.windows(2);
    let found = units.find(|pair| matches!(pair, [(_, length), _] if seconds >= *length));
    match found {
        Some([(large, long), (small, short)]) => {
            let (whole, rest) = (seconds / long, seconds % long / short);
            if rest == 0 {
                format!("{whole}{large}")
            } else {
                format!("{whole}{large}{rest}{small}")
            }
        }
        _ => format!("{seconds}s"),
    }
}

/// A size: `512 B`, `25.8 MiB`, `318 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let found = SIZE_UNITS.iter().find(|(_, length)| bytes >= *length);
    let Some((unit, length)) = found else {
        return format!("{bytes} B");
    };
    let (whole, tenth) = (bytes / length, bytes % length * 10 / length);
    if whole >= 100 || tenth == 0 {
        format!("{whole} {unit}")
    } else {
        format!("{whole}.{tenth} {unit}")
    }
}

/// A number with its thousands apart: `41,203`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_shown_instead() {
        assert_eq!(printable("a\tb\r\u{202e}é日"), "a\\tb\\r\\u{202e}é日");
    }

    #[test]
    fn what_several_characters_make_one_picture_of_is_drawn_as_characters() {
        assert_eq!(
            printable("👩\u{200d}💻 ❤\u{fe0f}"),
            "👩\u{200d}💻 ❤\u{fe0f}"
        );
        assert_eq!(
            drawable("👩\u{200d}💻 ❤\u{fe0f}"),
            "👩\\u{200d}💻 ❤\\u{fe0f}"
        );
        assert_eq!(
            drawable("🇩🇪👍\u{1f3fd}"),
            "\\u{1f1e9}\\u{1f1ea}👍\\u{1f3fd}"
        );
        assert_eq!(drawable("a\tb é e\u{301} 日"), "a\\tb é e\u{301} 日");
    }

    #[test]
    fn json_means_the_same_with_what_would_steer_a_terminal_escaped() {
        let name = "a\u{1b}\u{7f}\u{85}\u{9b}2J\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}é日\u{1f5ff}";
        let json = serde_json::Value::from(name).to_string();
        let safe = printable_json(&json);
        assert_eq!(
            safe,
            r#""a\u001b\u007f\u0085\u009b2J\u200e\u200f\u202a\u202e\u2066\u2069\ufeffé日🗿""#
        );
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), name);
    }

    #[test]
    fn durations_are_short_and_rounded_down() {
        for (us, text) in [
            (0, "0.0s"),
            (499_999, "0.4s"),
            (59_999_999, "59.9s"),
            (60_000_000, "1m"),
            (134_204_110, "2m14s"),
            (3_600_000_000, "1h"),
            (12 * 86_400_000_000 + 4 * 3_600_000_000, "12d4h"),
        ] {
            assert_eq!(duration(us), text);
        }
        assert!(duration(u64::MAX).contains('d'));
    }

    #[test]
    fn sizes_and_counts_are_short() {
        for (size, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (96 << 10, "96 KiB"),
            (27_158_118, "25.8 MiB"),
            (333_447_168, "318 MiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (41_203, "41,203"),
            (1_000_000, "1,000,000"),
        ] {
            assert_eq!(count(number), text);
        }
    }
}
