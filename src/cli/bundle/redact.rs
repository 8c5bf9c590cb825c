//! Pure: takes out of what is sent to others what they need not know: secrets always, names of files unless allowed.

use serde_json::Value;

/// What stands in the place of what was taken out.
pub(super) const LEFT_OUT: &str = "(left out)";
/// Keys of documents that hold names of files, or words of operators.
const NAMES: [&str; 5] = [
    "path",
    "path_hex",
    "left_alone_first",
    "left_alone_first_hex",
    "note",
];
/// Keys of documents that hold text of the system, in which a name may stand.
const TEXTS: [&str; 10] = [
    "text",
    "next",
    "summary",
    "reason",
    "blocked_reason",
    "watch_reason",
    "last_error",
    "last_failure",
    "held_there",
    "brake",
];
/// Parts of keys of a configuration whose values are nobody's business, now or in a version to come.
const SECRETS: [&str; 8] = [
    "passw",
    "passphrase",
    "secret",
    "token",
    "credential",
    "auth",
    "exec",
    "command",
];

/// A document without names of files.
pub(super) fn without_names(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(without_names),
        Value::Object(map) => {
            for (key, value) in map {
                if let Value::String(text) = value {
                    if NAMES.contains(&key.as_str()) {
                        LEFT_OUT.clone_into(text);
                    } else if TEXTS.contains(&key.as_str()) {
                        *text = without_paths(text);
                    }
                } else {
                    without_names(value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A line without paths: what begins with the first word that has a slash goes, up to the last reason behind it.
///
/// A name may hold spaces and colons, so nothing in between is trusted to be no part of one.
pub(super) fn without_paths(line: &str) -> String {
    let Some((before, rest)) = line.split_once('/') else {
        return line.to_owned();
    };
    let start = before.rfind(|c: char| c.is_whitespace() || "\"'=(".contains(c));
    let kept = start.map_or("", |at| {
        let width = before.get(at..).and_then(|rest| rest.chars().next());
        let end = at + width.map_or(0, char::len_utf8);
        before.get(..end).unwrap_or_default()
    });
    let reason = rest.rsplit_once(": ").map(|(_, reason)| reason);
    match reason.filter(|reason| !reason.contains('/')) {
        Some(reason) => format!("{kept}{LEFT_OUT}: {reason}"),
        None => format!("{kept}{LEFT_OUT}"),
    }
}

/// A configuration without comments and secrets.
///
/// # Errors
/// Why it is left out altogether.
pub(super) fn config(text: &str, with_names: bool) -> Result<String, String> {
    // What the parser says would quote the line, and with it what may be a secret.
    let mut table: toml::Table = text
        .parse()
        .map_err(|_| "it is no TOML; doctor.json says where".to_owned())?;
    for (key, value) in &mut table {
        clean(key, value, with_names);
    }
    toml::to_string(&table).map_err(|error| error.to_string())
}

fn clean(key: &str, value: &mut toml::Value, with_names: bool) {
    let key = key.to_ascii_lowercase();
    if SECRETS.iter().any(|secret| key.contains(secret)) {
        *value = LEFT_OUT.into();
    }
    match value {
        toml::Value::Array(patterns) if key == "exclude" && !with_names => {
            let count = patterns.len();
            *value = vec![format!("({count} patterns left out)")].into();
        }
        toml::Value::Array(all) => {
            for one in all {
                clean(&key, one, with_names);
            }
        }
        toml::Value::Table(table) => {
            for (key, one) in table {
                clean(key, one, with_names);
            }
        }
        toml::Value::String(text) => {
            if text.contains("-----BEGIN") {
                LEFT_OUT.clone_into(text);
            } else if let Some((scheme, rest)) = text.split_once("://") {
                let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let host = host.rsplit('@').next().unwrap_or_default();
                *text = format!("{scheme}://{host}/{LEFT_OUT}");
            }
        }
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_name_of_a_file_stays_in_a_document() {
        let mut value = json!({ "items": [{
            "path": "Q3 lay-offs.xlsx", "path_hex": null, "root": "/srv/media", "lag_us": 7,
            "parked": [{ "path_hex": "ff", "reason": "open /srv/media/Q3 lay-offs.xlsx: no space left" }],
            "left_alone_first": "/srv/media/fifo", "ack": { "by": "ana", "note": "Q3 is mine" },
        }]});
        without_names(&mut value);
        assert_eq!(
            value,
            json!({ "items": [{
                "path": LEFT_OUT, "path_hex": null, "root": "/srv/media", "lag_us": 7,
                "parked": [{ "path_hex": LEFT_OUT, "reason": "open (left out): no space left" }],
                "left_alone_first": LEFT_OUT, "ack": { "by": "ana", "note": LEFT_OUT },
            }]})
        );
    }

    #[test]
    fn a_path_is_cut_with_its_spaces_and_colons_and_the_reason_behind_it_stays() {
        for (line, expected) in [
            ("disk full", "disk full"),
            ("open /a/b c: d: e: denied", "open (left out): denied"),
            ("a=\"/x y\" b", "a=\"(left out)"),
            ("dir/name with /two", "(left out)"),
            ("é /x: a/b", "é (left out)"),
            ("", ""),
        ] {
            assert_eq!(without_paths(line), expected, "{line}");
        }
    }

    #[test]
    fn a_configuration_loses_comments_secrets_and_patterns_and_keeps_the_rest() {
        let text = "# hunter2\n[site]\nid = 1\n[tree]\nroot = \"/srv\"\nexclude = [\"lay-offs\", \"b\"]\n\
            [alerts]\nwebhook = \"https://u:hunter2@hook.example/T0/hunter2\"\nauth_token = \"hunter2\"\n\
            exec = [\"mail\", \"hunter2\"]\nkey = \"-----BEGIN PRIVATE KEY-----hunter2\"\n[tls]\nkey = \"tls/a.key\"\n";
        let told = config(text, false).unwrap();
        assert!(
            !told.contains("hunter2") && !told.contains("lay-offs"),
            "{told}"
        );
        for kept in [
            "id = 1",
            "root = \"/srv\"",
            "(2 patterns left out)",
            "https://hook.example/(left out)",
            "key = \"tls/a.key\"",
        ] {
            assert!(told.contains(kept), "{kept}: {told}");
        }
        assert!(config(text, true).unwrap().contains("lay-offs"));
        let broken = config("password = hunter2", false).unwrap_err();
        assert!(!broken.contains("hunter2"), "{broken}");
    }
}
