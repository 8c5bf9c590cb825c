//! Pure: a JSON value as YAML 1.2, in block style.
//!
//! A text stands bare only when no reader of YAML 1.1 or 1.2 can take it for anything but text; every other one stands
//! as JSON writes it, which YAML reads alike, with everything escaped that a terminal would obey.

use serde_json::{Map, Value};

use crate::text::printable_json;

/// Words that some reader takes for a truth value, a null or a number.
const WORDS: [&str; 12] = [
    "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity",
];

/// The fields of an object at the head of a document, a line each.
#[must_use]
pub(super) fn fields(fields: &Map<String, Value>) -> String {
    let mut text = String::new();
    mapping(&mut text, fields, 0, false);
    text
}

/// One item of a list, behind its dash.
#[must_use]
pub(super) fn item(item: &Value, depth: usize) -> String {
    let mut text = String::new();
    entry(&mut text, item, depth);
    text
}

/// The value as one document of a stream.
#[cfg(test)]
pub(super) fn document(value: &Value) -> String {
    let mut text = "---".to_owned();
    block(&mut text, value, 0);
    text
}

/// Appends `value` behind a key, a dash or the head of a document, with the line feed at its end.
fn block(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            mapping(text, fields, depth, false);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            for item in items {
                entry(text, item, depth);
            }
        }
        Value::String(string) => line(text, &scalar(string)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::Array(_) => {
            line(text, &value.to_string());
        }
    }
}

/// Appends an item of a list behind its dash.
fn entry(text: &mut String, item: &Value, depth: usize) {
    indent(text, depth);
    text.push('-');
    match item {
        Value::Object(fields) if !fields.is_empty() => {
            text.push(' ');
            mapping(text, fields, depth + 1, true);
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => block(text, item, depth + 1),
    }
}

/// Appends the fields of an object, a line each; the first one may stand behind a dash.
fn mapping(text: &mut String, fields: &Map<String, Value>, depth: usize, is_begun: bool) {
    for (nth, (key, value)) in fields.iter().enumerate() {
        if nth > 0 || !is_begun {
            indent(text, depth);
        }
        text.push_str(&scalar(key));
        text.push(':');
        block(text, value, depth + 1);
    }
}

fn line(text: &mut String, word: &str) {
    text.push(' ');
    text.push_str(word);
    text.push('\n');
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// A text, bare or quoted.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(' ')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " _-./".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        return text.to_owned();
    }
    printable_json(&Value::from(text).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_could_be_read_as_something_else_is_quoted() {
        let value = json!({
            "at": "2026-11-22T17:54:49Z", "bare": "catching_up", "empty": [], "id": "14993", "no": "no",
            "items": [{ "a": null, "b": { "c": [1, [2, -3], {}] } }, []],
            "name": "x\u{1b}[2J\u{9b}\u{202e}é: #", "none": "", "words": "fra-1 is behind",
        });
        assert_eq!(
            document(&value),
            "\
---
at: \"2026-11-22T17:54:49Z\"
bare: catching_up
empty: []
id: \"14993\"
items:
  - a: null
    b:
      c:
        - 1
        -
          - 2
          - -3
        - {}
  - []
name: \"x\\u001b[2J\\u009b\\u202eé: #\"
\"no\": \"no\"
none: \"\"
words: fra-1 is behind
"
        );
    }

    fn text() -> impl Strategy<Value = String> {
        let odd = prop::sample::select(vec![
            "true", "~", "0x1f", "1e3", "- a", "a: b", "a #b", "#", "'", "\"", "%a", "@", "!t",
            "&a", "*a", "|", ">", "---", "...", "a\nb", "\u{85}", "\u{feff}", "\u{2028}", "{", "[",
            "? a", "=", "<<", "null ", " a", ".inf",
        ]);
        prop_oneof![
            odd.prop_map(str::to_owned),
            ".{0,12}",
            "[a-z0-9_.:/ -]{0,12}"
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            let fields = prop::collection::btree_map(text(), inner.clone(), 0..5);
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(Value::from),
                fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_parser_of_yaml_reads_the_same_value(value in value()) {
            let text = document(&value);
            let read: Value = serde_saphyr::from_str(&text)
                .map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(read, value, "{}", text);
            prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{:?}", text);
        }
    }
}
