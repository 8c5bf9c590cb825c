//! Pure: the command line that does, or shows, the same.

use super::message::Act;
use super::model::{Model, Screen};

/// A word as a shell reads it back.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if word.chars().any(char::is_control) {
        // What cannot be seen is written so that bash reads it back.
        let escaped: String = word.chars().flat_map(char::escape_default).collect();
        return format!("$'{escaped}'");
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The command for an act.
#[must_use]
pub fn of_act(program: &str, act: &Act) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut add = |text: &str| words.push(quoted(text));
    match act {
        Act::Ack(request) => {
            add("conflicts");
            add("ack");
            request.ids.iter().for_each(|id| add(id));
            if request.filter.is_some() {
                add("--all");
            }
            if let Some(expect) = request.expect {
                add("--expect");
                add(&expect.to_string());
            }
            if !request.note.is_empty() {
                add("--note");
                add(&request.note);
            }
        }
        Act::Restore {
            id,
            as_path,
            over_later,
        } => {
            ["conflicts", "restore", id].into_iter().for_each(&mut add);
            if let Some(path) = as_path {
                add("--as");
                add(path);
            } else if *over_later {
                add("--over-later");
            }
        }
        Act::Save { id, file } => {
            ["conflicts", "show", id, "--save-loser", file]
                .into_iter()
                .for_each(add);
        }
        Act::Pause { site, note } => {
            ["sites", "pause", site].into_iter().for_each(&mut add);
            if !note.is_empty() {
                add("--note");
                add(note);
            }
        }
        Act::Resume { site, confirm } => {
            ["sites", "resume", site].into_iter().for_each(&mut add);
            if *confirm {
                add("--confirm");
            }
        }
        Act::Reconnect { site } => ["sites", "reconnect", site].into_iter().for_each(add),
        Act::Reload => add("reload"),
        Act::LogLevel { filter } => {
            add("log-level");
            if !filter.is_empty() {
                add(filter);
            }
        }
    }
    format!("{program} {}", words.join(" "))
}

/// The command that shows what the screen shows.
#[must_use]
pub fn of_screen(model: &Model) -> String {
    let program = &model.program;
    let site = model.choice.site.as_deref().map(quoted);
    let of_site = |words: &str| match &site {
        Some(site) => format!("{program} {words} {site}"),
        None => format!("{program} status"),
    };
    match model.choice.screen {
        Screen::Overview => format!("{program} status"),
        Screen::Site => of_site("sites show"),
        Screen::Shards => of_site("lag"),
        Screen::Conflicts => match &model.choice.conflict {
            Some(id) => format!("{program} conflicts show {}", quoted(id)),
            None => format!("{program} conflicts list"),
        },
        Screen::Events => format!("{program} events --follow --level {}", model.choice.level),
        Screen::Journal => of_site("compact --dry-run --site"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::filter::{AckRequest, ConflictFilter};

    #[test]
    fn what_a_shell_would_obey_is_quoted() {
        for (word, expected) in [
            ("iad-2", "iad-2"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's; rm", "'it'\\''s; rm'"),
            ("a\u{1b}[2J", "$'a\\u{1b}[2J'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn an_act_has_its_command() {
        let all = AckRequest {
            filter: Some(ConflictFilter::default()),
            expect: Some(7),
            note: "all fine".to_owned(),
            ..AckRequest::default()
        };
        assert_eq!(
            of_act("cfs-repl", &Act::Ack(all)),
            "cfs-repl conflicts ack --all --expect 7 --note 'all fine'"
        );
        let pause = Act::Pause {
            site: "iad-2".to_owned(),
            note: String::new(),
        };
        assert_eq!(
            of_act("cfs-repl -s unix:/x", &pause),
            "cfs-repl -s unix:/x sites pause iad-2"
        );
    }
}
