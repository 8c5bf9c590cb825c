//! Finds the examples of a page.

/// What a page says of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A line to type.
    Run(String),
    /// The name of a command in a sentence: the words behind `cfs-repl`.
    Name(String),
}

impl Found {
    /// As it stands on the page.
    pub(super) fn line(&self) -> &str {
        match self {
            Self::Run(line) | Self::Name(line) => line,
        }
    }
}

/// How every example begins.
const PROGRAM: &str = "cfs-repl ";

/// What a document in Markdown says: blocks of code in which the program stands, as a whole, and what stands between
/// backticks.
pub(super) fn of_readme(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut lines = joined(text).into_iter().peekable();
    while let Some(line) = lines.next() {
        let Some(code) = line.strip_prefix("    ") else {
            found.extend(between_backticks(&line));
            continue;
        };
        let mut block = vec![code.trim().to_owned()];
        while let Some(more) = lines.next_if(|line| line.starts_with("    ")) {
            block.push(more.trim().to_owned());
        }
        if block.iter().any(|line| line.contains(PROGRAM)) {
            found.extend(block.into_iter().map(Found::Run));
        }
    }
    found
}

/// Lines, with those that a backslash continues made one; sentences go on over lines, so backticks do, too.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    let mut is_open = false;
    for line in text.lines() {
        let bare = line.strip_suffix('\\').unwrap_or(line);
        match lines.last_mut() {
            Some(last) if goes_on || is_open => {
                let last_trimmed = last.trim_end().len();
                last.truncate(last_trimmed);
                last.push(' ');
                last.push_str(bare.trim());
            }
            _ => lines.push(bare.to_owned()),
        }
        goes_on = bare.len() < line.len();
        let is_code = lines.last().is_some_and(|last| last.starts_with("    "));
        let ticks = lines.last().map_or(0, |last| last.matches('`').count());
        is_open = !is_code && !line.is_empty() && ticks % 2 == 1;
    }
    lines
}

fn between_backticks(line: &str) -> Vec<Found> {
    let spans = line.split('`').skip(1).step_by(2);
    let examples = spans.filter(|span| span.starts_with(PROGRAM));
    examples.map(named_or_run).collect()
}

/// Words alone name a command; `help` takes words as arguments.
fn named_or_run(span: &str) -> Found {
    let words = span.strip_prefix(PROGRAM).unwrap_or_default();
    let is_word = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let is_name = words
        .split(' ')
        .all(|word| is_word(word) && !word.starts_with('-'));
    if is_name && !words.starts_with("help ") {
        Found::Name(words.to_owned())
    } else {
        Found::Run(span.to_owned())
    }
}

/// What a manual page says: a line that is a command, or ends with one behind a colon. One within a sentence names a
/// command, and has no flags.
pub(super) fn of_page(page: &str) -> Vec<Found> {
    let plain = page
        .replace("\\-", "-")
        .replace("\\e", "\\")
        .replace("\\*(Aq", "'");
    let prose = plain.lines().filter(|line| !line.starts_with(['.', '\\']));
    prose.filter_map(of_line).collect()
}

/// What a help topic says.
pub(super) fn of_topic(text: &str) -> Vec<Found> {
    text.lines().map(str::trim).filter_map(of_line).collect()
}

fn of_line(line: &str) -> Option<Found> {
    let colon = format!(": {PROGRAM}");
    if line.starts_with(PROGRAM) && !line.contains(" - ") {
        return Some(Found::Run(line.to_owned()));
    }
    if let Some((_, words)) = line.split_once(&colon) {
        return Some(Found::Run(format!("{PROGRAM}{words}")));
    }
    let (_, rest) = line.split_once(PROGRAM)?;
    let has_flag = rest
        .split(' ')
        .nth(1)
        .is_some_and(|word| word.starts_with('-'));
    assert!(
        !has_flag,
        "an example within a sentence is not found: {line}"
    );
    None
}

#[test]
fn examples_are_found_and_other_text_is_not() {
    let run = |line: &str| Found::Run(line.to_owned());
    let text = "Say `cfs-repl wait --for synced` or `cfs-repl conflicts restore`; `tree.root`\n\n    cargo test\n\n    cd x\n\
                \x20   cfs-repl a \\\n        --b &\n\nand `cfs-repl\nhelp config`.\n";
    assert_eq!(
        of_readme(text),
        [
            run("cfs-repl wait --for synced"),
            Found::Name("conflicts restore".to_owned()),
            run("cd x"),
            run("cfs-repl a --b &"),
            run("cfs-repl help config"),
        ]
    );
    let page = ".TH cfs-repl 1\ncfs\\-repl\\-man \\- Print\nExample: cfs\\-repl pki init \\-\\-dir x && cfs\\-repl a\nas cfs\\-repl lag says\n";
    assert_eq!(
        of_page(page),
        [run("cfs-repl pki init --dir x && cfs-repl a")]
    );
    let topic = "Say:\n\n    cfs-repl compare ROOT.before ROOT\n    mv ROOT x\n";
    assert_eq!(of_topic(topic), [run("cfs-repl compare ROOT.before ROOT")]);
}
