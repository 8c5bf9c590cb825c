//! Pure: text that comes from trees and peers, made safe to show.
//!
//! A file name may hold anything but `/` and NUL: escapes that a terminal obeys, a line end that forges a line of a
//! log, marks that turn the order of a line around.

/// The text with control characters escaped, so that a terminal shows them instead of obeying.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_direction_mark(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Characters that reorder the line around them (Unicode UAX 9, explicit formatting).
const fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_shown_instead() {
        assert_eq!(printable("a\tb\r\u{202e}é日"), "a\\tb\\r\\u{202e}é日");
    }
}
