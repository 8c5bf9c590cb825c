//! Enough of Rust's grammar to judge a file: tokens without comments and strings, and the paths that it names.

/// True when the head of the file promises that it touches no clock, file, socket or task.
pub(super) fn is_pure(text: &str) -> bool {
    text.starts_with("//! Pure:")
}

/// The module that `path` below `src` holds; none for the crate's roots and for `tests.rs` files.
pub(super) fn module_of(path: &str) -> Option<String> {
    let name = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let is_root = name == "lib" || name.starts_with("bin/");
    let is_test = name.ends_with("/tests") || name.contains("/tests/");
    (!is_root && !is_test).then(|| name.replace('/', "::"))
}

/// The tokens of `text` without what is compiled for tests only: tests may use whatever proves their point.
pub(super) fn product_tokens(text: &str) -> Vec<String> {
    const FOR_TESTS: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let tokens = tokens(text);
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        if rest.len() >= FOR_TESTS.len() && rest.iter().zip(FOR_TESTS).all(|(a, b)| a == b) {
            at += FOR_TESTS.len() + item_length(&rest[FOR_TESTS.len()..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Tokens up to the end of the item that starts here: a `;`, or the end of its first block in braces.
fn item_length(tokens: &[String]) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token == "}" {
                    return index + 1;
                }
            }
            ";" if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The tokens of `text`: words, and single signs, with `::` as one. Comments, strings and characters are left out.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = skipped(rest);
        if length > 0 {
            rest = after(rest, length);
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            tokens.push(rest.get(..end).unwrap_or_default().to_owned());
            rest = after(rest, end);
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            rest = after(rest, 2);
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            rest = after(rest, c.len_utf8());
        }
    }
    tokens
}

fn after(text: &str, length: usize) -> &str {
    text.get(length..).unwrap_or_default()
}

/// Length of the comment, string or character literal at the start of `text`; 0 when there is none.
fn skipped(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |at| at + 2);
    }
    let raw = text.trim_start_matches(['b', 'c']);
    if raw.len() + 1 >= text.len()
        && let Some(inner) = raw.strip_prefix('r')
    {
        let quoted = inner.trim_start_matches('#');
        if quoted.starts_with('"') {
            let hashes = inner.len() - quoted.len();
            let close = format!("\"{}", "#".repeat(hashes));
            let prefix = text.len() - quoted.len() + 1;
            return after(text, prefix)
                .find(&close)
                .map_or(text.len(), |at| prefix + at + close.len());
        }
    }
    if text.starts_with('"') {
        return quoted_length(text, '"');
    }
    // A quote is a character when it closes after one character or an escape; otherwise it starts a lifetime.
    let mut chars = text.chars();
    if chars.next() == Some('\'') {
        let first = chars.next();
        if first == Some('\\') || chars.next() == Some('\'') {
            return quoted_length(text, '\'');
        }
    }
    0
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Every path and bare name among `tokens`, with the trees of `use` spelled out.
pub(super) fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = is_word(&tokens[at]) && tokens.get(at + 1).is_some_and(|next| next == "::");
        let continues = at > 0 && tokens[at - 1] == "::";
        if starts && !continues {
            let mut ends = at;
            branch(tokens, &mut ends, &[], &mut paths);
            at = ends.max(at + 1);
        } else {
            // A bare name matters for types such as `Instant`.
            if is_word(&tokens[at]) && !continues {
                paths.push(vec![tokens[at].clone()]);
            }
            at += 1;
        }
    }
    paths
}

/// Reads `a::b::{c, d::e}` at `at`.
fn branch(tokens: &[String], at: &mut usize, prefix: &[String], paths: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(*at).map(String::as_str) {
            Some("{") => {
                *at += 1;
                while tokens.get(*at).is_some_and(|token| token != "}") {
                    let before = *at;
                    branch(tokens, at, &path, paths);
                    // Renames and commas between the branches.
                    while tokens
                        .get(*at)
                        .is_some_and(|token| token == "," || token == "as")
                    {
                        *at += if tokens[*at] == "as" { 2 } else { 1 };
                    }
                    if *at == before {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            Some(word) if is_word(word) || word == "*" => {
                path.push(word.to_owned());
                *at += 1;
            }
            _ => break,
        }
        if tokens.get(*at).is_none_or(|token| token != "::") {
            break;
        }
        *at += 1;
    }
    if path.len() > prefix.len() {
        paths.push(path);
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The module path within the crate that `used` means in `module`, which `path` holds; none for other crates.
pub(super) fn resolve(module: &str, path: &str, used: &[String]) -> Option<String> {
    let mut own: Vec<&str> = module.split("::").collect();
    let rest = match used.first()?.as_str() {
        "crate" => {
            own.clear();
            used.get(1..)?
        }
        "self" => used.get(1..)?,
        "super" => {
            let ups = used
                .iter()
                .take_while(|segment| *segment == "super")
                .count();
            own.truncate(own.len().saturating_sub(ups));
            used.get(ups..)?
        }
        _ => return None,
    };
    debug_assert!(path.starts_with("src/"), "{path}");
    own.extend(rest.iter().map(String::as_str));
    (!rest.is_empty()).then(|| own.join("::"))
}

/// Complaints about a file without a head, or one that is too long.
pub(super) fn shape(path: &str, text: &str, lines_max: usize) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//! ") {
        complaints.push(format!("{path}: does not open with //! and what it is for"));
    }
    let lines = text.lines().count();
    if lines > lines_max {
        complaints.push(format!("{path}: has {lines} lines, more than {lines_max}"));
    }
    complaints
}

/// Complaints about what was left to be done.
pub(super) fn leftovers(path: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut complaints = Vec::new();
    for pair in tokens.windows(2) {
        if let [name, sign] = pair
            && sign == "!"
            && ["todo", "unimplemented", "dbg"].contains(&name.as_str())
        {
            complaints.push(format!("{path}: {name}! is left"));
        }
    }
    for window in tokens.windows(3) {
        if let [hash, bracket, name] = window
            && (hash.as_str(), bracket.as_str(), name.as_str()) == ("#", "[", "ignore")
        {
            complaints.push(format!("{path}: a test is ignored"));
        }
    }
    complaints
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    let text = r####"a /* b */ "c\"c" r#"d"d"# 'e' '\'' b"f" br"g" 'h: i::j // k"####;
    assert_eq!(tokens(text), ["a", "b", "'", "h", ":", "i", "::", "j"]);
}

#[test]
fn trees_of_use_are_spelled_out() {
    let found = |text: &str| -> Vec<String> {
        let paths = paths(&tokens(text))
            .into_iter()
            .filter(|path| path.len() > 1);
        paths.map(|path| path.join("::")).collect()
    };
    assert_eq!(
        found("use a::{b, c::{self, d as e}, f::*}; g::h(i, j::k::<l::m>());"),
        [
            "a::b",
            "a::c::self",
            "a::c::d",
            "a::f::*",
            "g::h",
            "j::k",
            "l::m"
        ]
    );
    assert_eq!(
        found("match x { a::B => c::D { e: 1 }, _ => {} }"),
        ["a::B", "c::D"]
    );
}

#[test]
fn only_what_is_for_tests_is_left_out() {
    for (text, kept) in [
        ("#[cfg(test)]\nmod tests { use a; fn f() { g(); } }\nb", "b"),
        ("#[cfg(test)]\nmod tests;\nb", "b"),
        (
            "#[cfg(test)]\n#[expect(x)]\npub(super) fn f(x: [u8; 2]) {}\nb",
            "b",
        ),
        (
            "#[cfg(feature = \"cli\")]\nmod cli;",
            "# [ cfg ( feature = ) ] mod cli ;",
        ),
    ] {
        assert_eq!(product_tokens(text).join(" "), kept, "{text}");
    }
}

#[test]
fn relative_paths_are_resolved() {
    let resolve = |module: &str, used: &str| {
        let used: Vec<String> = used.split("::").map(str::to_owned).collect();
        resolve(module, "src/x.rs", &used)
    };
    assert_eq!(resolve("a::b", "super::c::D").as_deref(), Some("a::c::D"));
    assert_eq!(resolve("a::b", "super::super::c").as_deref(), Some("c"));
    assert_eq!(resolve("a::b", "self::c").as_deref(), Some("a::b::c"));
    assert_eq!(resolve("a::b", "crate::c").as_deref(), Some("c"));
    assert_eq!(resolve("a::b", "std::c"), None);
}

#[test]
fn a_file_without_head_or_with_too_many_lines_is_found() {
    assert_eq!(shape("x.rs", "fn f() {}\n", 800).len(), 1);
    assert_eq!(shape("x.rs", "//! X.\n\n\n", 2).len(), 1);
    assert!(shape("x.rs", "//! X.\n", 800).is_empty());
}

#[test]
fn unfinished_work_is_found() {
    // Samples for the checker, which itself reads this file without its strings.
    for text in [
        "todo!()",
        "unimplemented !(\"x\")",
        "dbg!(x)",
        "#[ignore]\nfn f() {}",
        "# [ignore = \"slow\"]",
    ] {
        assert_eq!(leftovers("x.rs", text).len(), 1, "{text}");
    }
    for text in [
        "// todo!()",
        "let todo = !x;",
        "\"dbg!\"",
        "ignore::Walk::new()",
    ] {
        assert!(leftovers("x.rs", text).is_empty(), "{text}");
    }
}
