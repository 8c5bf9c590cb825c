//! What daemons say while they are tested: an ERROR means that a human must act, so one that no test expects is a
//! failure of the test.

/// The ERROR lines of a log of the daemon that hold none of the `expected` words.
pub(crate) fn unexpected_errors(log: &str, expected: &[&str]) -> Vec<String> {
    let is_error = |line: &&str| line.split_whitespace().nth(1) == Some("ERROR");
    let errors = log.lines().filter(is_error);
    errors
        .filter(|line| !expected.iter().any(|words| line.contains(words)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn an_error_that_nobody_expects_is_found() {
    let log = "2026-01-01T00:00:00Z  INFO a: ERROR in the text\n\
               2026-01-01T00:00:00Z ERROR a: disk full\n\
               2026-01-01T00:00:00Z ERROR a: refused reason=clock\n";
    assert_eq!(unexpected_errors(log, &["refused"]).len(), 1);
    assert_eq!(unexpected_errors(log, &["refused", "disk"]).len(), 0);
    assert_eq!(unexpected_errors(log, &[]).len(), 2);
}
