//! Pure: what differs between the text that lost and the text that is shown.

use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};
use similar::TextDiff;

use super::super::human;
use super::super::look::Look;
use super::{author, shown_path};
use crate::admin::view::ConflictDetail;
use crate::text::printable;

/// Largest side that is compared: what a person reads as text, and what takes a moment to compare.
pub(super) const BYTES_MAX: u64 = 1 << 20;
/// After this, texts that have little in common are compared more roughly: the diff is longer than it could be.
const COMPARE_MAX: Duration = Duration::from_secs(2);
/// Equal lines around each difference, as diff(1) shows them.
const CONTEXT_LINES: usize = 3;

/// Why there can be no diff, from what is known without the bytes.
pub(super) fn impossible(detail: &ConflictDetail) -> Option<String> {
    let conflict = &detail.conflict;
    let Some(lost) = detail.lost.as_ref().and_then(|lost| lost.size_bytes) else {
        let register = &conflict.register;
        return Some(format!("no bytes lost, the conflict is about {register}"));
    };
    let shown = detail.shown.as_ref().and_then(|shown| shown.size_bytes);
    let Some(shown) = shown.filter(|_| !conflict.gone) else {
        return Some("no file is shown that the loser could be compared with".to_owned());
    };
    let too_large = |which: &str, size: u64| {
        (size > BYTES_MAX).then(|| {
            let (size, max) = (human::bytes(size), human::bytes(BYTES_MAX));
            format!("{which} has {size}, and {max} at most are compared")
        })
    };
    too_large("what lost", lost).or_else(|| too_large("what is shown", shown))
}

/// The unified diff from `lost` to `shown`, empty where they are equal, or why there is none.
pub(super) fn unified(
    detail: &ConflictDetail,
    lost: &[u8],
    shown: &[u8],
) -> Result<String, String> {
    let (lost, shown) = (
        text(lost).ok_or("what lost is no text")?,
        text(shown).ok_or("what is shown is no text")?,
    );
    // A line ends where every tool for text says so: a lone carriage return is part of it.
    let lines = [lost, shown].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    let [old, new] = &lines;
    let diff = TextDiff::configure()
        .timeout(COMPARE_MAX)
        .newline_terminated(true)
        .diff_slices(old, new);
    let path = printable(&shown_path(&detail.conflict));
    let loser = printable(&author(&detail.conflict.loser));
    let unified = diff
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(
            &format!("{path} (lost, by {loser})"),
            &format!("{path} (shown)"),
        )
        .to_string();
    Ok(unified)
}

/// Text: UTF-8 without NUL, as git and grep decide.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}

/// The diff for people: what came from the files steers no terminal, and lines are coloured where colours are
/// understood.
pub(super) fn painted(diff: &str, look: &Look) -> String {
    if diff.is_empty() {
        return "what lost and what is shown are the same\n".to_owned();
    }
    let mut painted = String::with_capacity(diff.len());
    for line in diff.strip_suffix('\n').unwrap_or(diff).split('\n') {
        // Tabs are only space.
        let parts: Vec<String> = line.split('\t').map(printable).collect();
        let safe = parts.join("\t");
        match style(line).filter(|_| look.colour) {
            Some(style) => painted.push_str(&format!("{style}{safe}{style:#}\n")),
            None => {
                painted.push_str(&safe);
                painted.push('\n');
            }
        }
    }
    painted
}

/// The colours that diffs have everywhere, by how a line begins.
fn style(line: &str) -> Option<Style> {
    match line.chars().next() {
        _ if line.starts_with("--- ") || line.starts_with("+++ ") => Some(Style::new().bold()),
        Some('-') => Some(AnsiColor::Red.on_default()),
        Some('+') => Some(AnsiColor::Green.on_default()),
        Some('@') => Some(AnsiColor::Cyan.on_default()),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::tests::detail;

    fn content() -> ConflictDetail {
        let mut detail = detail();
        detail.conflict.gone = false;
        detail.conflict.path = Some(b"d/\x1b[2Jfile".to_vec());
        detail
    }

    #[test]
    fn lines_that_differ_are_told_with_those_around_them() {
        let lost = b"one\ntwo\nthree\nlast";
        let diff = unified(&content(), lost, b"one\n2\nthree\nlast").unwrap();
        assert_eq!(
            diff,
            "--- d/\\u{1b}[2Jfile (lost, by site 1)\n+++ d/\\u{1b}[2Jfile (shown)\n@@ -1,4 +1,4 @@\n one\n-two\n\
             +2\n three\n last\n\\ No newline at end of file\n"
        );
        assert_eq!(unified(&content(), lost, lost).unwrap(), "");
        assert!(painted("", &Look::plain(0)).contains("the same"));
    }

    #[test]
    fn bytes_that_are_no_text_and_sides_that_are_too_large_or_missing_have_none() {
        let why = |lost: &[u8], shown: &[u8]| unified(&content(), lost, shown).unwrap_err();
        assert_eq!(why(b"a\0", b"a"), "what lost is no text");
        assert_eq!(why(b"a", b"\xff"), "what is shown is no text");
        assert_eq!(impossible(&content()), None);
        let mut large = content();
        large.shown.as_mut().unwrap().size_bytes = Some(BYTES_MAX + 1);
        assert_eq!(
            impossible(&large).unwrap(),
            "what is shown has 1 MiB, and 1 MiB at most are compared"
        );
        let mut gone = content();
        gone.conflict.gone = true;
        assert!(impossible(&gone).unwrap().starts_with("no file is shown"));
        let mut mode = content();
        mode.lost = None;
        assert!(impossible(&mode).unwrap().starts_with("no bytes lost"));
    }

    #[test]
    fn content_steers_no_terminal_and_forges_no_line() {
        let hostile = "\u{1b}]0;x\u{7}\ta\r\u{202e}b\n";
        let diff = unified(&content(), b"", hostile.as_bytes()).unwrap();
        let plain = painted(&diff, &Look::plain(0));
        assert!(
            plain.ends_with("+\\u{1b}]0;x\\u{7}\ta\\r\\u{202e}b\n"),
            "{plain}"
        );
        assert_eq!(plain.lines().count(), 4);
        let colour = Look {
            colour: true,
            ..Look::plain(0)
        };
        assert!(painted(&diff, &colour).contains("\u{1b}[32m+\\u{1b}]0;x"));
    }

    #[test]
    fn texts_without_anything_in_common_are_compared_in_bounded_time() {
        let side = |salt: usize| -> Vec<u8> {
            let lines = (0..100_000).map(|n| format!("{}\n", n * 2 + salt));
            lines.collect::<String>().into_bytes()
        };
        let diff = unified(&content(), &side(0), &side(1)).unwrap();
        assert_eq!(
            diff.lines().filter(|line| line.starts_with('-')).count(),
            100_001
        );
    }
}
