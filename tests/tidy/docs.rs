//! Documents that keep their word: links that lead somewhere, and tests that are named because they exist.

use std::path::Path;

/// Links of a document at `path` whose target `exists` does not know. Other sites and places within a page are left
/// out.
pub(super) fn dead_links(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut complaints = Vec::new();
    for rest in text.split("](").skip(1) {
        let Some((target, _)) = rest.split_once(')') else {
            continue;
        };
        let file = target.split('#').next().unwrap_or_default();
        let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
        if !elsewhere && !exists(&folder.join(file).to_string_lossy()) {
            complaints.push(format!("{path}: the link to {target} leads nowhere"));
        }
    }
    complaints
}

/// The tests that the tables in the part "Bad input" name: every name in backticks in their last column.
pub(super) fn named_tests(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut within = false;
    for line in text.lines() {
        if line.starts_with("# ") || line.starts_with("## ") {
            within = line.trim_start_matches('#').trim() == "Bad input";
        }
        let row = line.trim().trim_matches('|');
        if !within || row.len() == line.len() {
            continue;
        }
        let last = row.rsplit('|').next().unwrap_or_default();
        names.extend(last.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    names
}

/// Names without a function of that name in the code.
pub(super) fn missing_tests(names: &[String], code: &[String]) -> Vec<String> {
    names
        .iter()
        .filter(|name| {
            let start = format!("fn {name}(");
            !code.iter().any(|text| text.contains(&start))
        })
        .map(|name| format!("docs/testing.md: names the test {name}, which does not exist"))
        .collect()
}

#[test]
fn a_dead_link_is_found() {
    let text = "[a](b.md) [c](../d.md#e) [f](https://g.h) [i](#j)";
    let found = dead_links("docs/x.md", text, |path| path == "docs/../d.md");
    assert_eq!(found, ["docs/x.md: the link to b.md leads nowhere"]);
}

#[test]
fn a_test_that_does_not_exist_is_found() {
    let text = "# T\n| `x` |\n## Bad input\n\n| a | b |\n|---|---|\n| `c` | `d` |\n\n`f`\n### Part\n| `c` | `e` |\n## More\n| `g` |\n";
    let names = named_tests(text);
    assert_eq!(names, ["d", "e"]);
    let code = ["fn d() {}".to_owned(), "fn e_and_more() {}".to_owned()];
    assert_eq!(
        missing_tests(&names, &code),
        ["docs/testing.md: names the test e, which does not exist"]
    );
}
