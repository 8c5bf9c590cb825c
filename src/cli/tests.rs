//! The surface that scripts rely on: parsing, usage failures, help, and what goes where.

use super::render::Format;
use super::ui::tests::captured;
use super::*;

/// Runs a command line as the program would and returns exit code, stdout and stderr.
fn cfs_repl(words: &[&str]) -> (Exit, String, String) {
    let args = std::iter::once("cfs-repl").chain(words.iter().copied());
    let parsed = Cli::try_parse_from(args);
    let format = parsed
        .as_ref()
        .map_or(Format::Table, |cli| cli.global.format());
    let (mut ui, data, talk) = captured(format);
    let result = match parsed {
        Ok(cli) => run(&mut ui, cli.command),
        Err(error) => usage(&mut ui, &error),
    };
    (ui.finish(result), data.text(), talk.text())
}

#[test]
fn the_parser_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn global_flags_work_before_and_behind_the_subcommand() {
    for words in [
        ["-o", "json", "version"],
        ["version", "-o", "json"],
        ["version", "--output", "json"],
    ] {
        let (exit, data, talk) = cfs_repl(&words);
        assert_eq!((exit, talk), (Exit::Ok, String::new()));
        let document: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(document["schema"], "cfs-repl/version/v1");
        assert_eq!(document["items"][0]["version"], env!("CARGO_PKG_VERSION"));
    }
    assert_eq!(
        cfs_repl(&["version", "--json"]).1,
        cfs_repl(&["-o", "json", "version"]).1
    );
}

#[test]
fn a_wrong_command_line_exits_with_usage_and_suggests() {
    let (exit, data, talk) = cfs_repl(&["versoin"]);
    assert_eq!((exit.code(), data), (2, String::new()));
    assert!(talk.contains("version"), "{talk}");
    let (exit, _, talk) = cfs_repl(&["version", "--timeout", "5"]);
    assert_eq!(exit.code(), 2);
    assert!(talk.contains("is no duration"), "{talk}");
}

#[test]
fn json_is_recognised_in_a_command_line_that_does_not_parse() {
    let json = |words: &[&str]| {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        Ui::for_usage(&words).is_json()
    };
    assert!(json(&["cfs-repl", "nope", "-o", "json"]) && json(&["cfs-repl", "--json", "nope"]));
    assert!(!json(&["cfs-repl", "nope", "-o", "table"]) && !json(&["cfs-repl", "json"]));
    let (mut ui, _, talk) = captured(Format::Json);
    let error = Cli::try_parse_from(["cfs-repl", "nope"]).unwrap_err();
    let result = usage(&mut ui, &error);
    assert_eq!(ui.finish(result), Exit::Usage);
    let told: serde_json::Value = serde_json::from_str(&talk.text()).unwrap();
    assert_eq!(told["error"]["code"], "usage");
    assert_eq!(told["error"]["message"], "unrecognized subcommand 'nope'");
}

#[test]
fn help_and_version_are_data() {
    for words in [
        &["--help"][..],
        &["-V"],
        &["help"],
        &["help", "init"],
        &["init", "-h"],
    ] {
        let (exit, data, talk) = cfs_repl(words);
        assert_eq!((exit, talk.as_str()), (Exit::Ok, ""), "{words:?}");
        assert!(data.contains("cfs-repl"), "{words:?}: {data}");
    }
    let (exit, _, talk) = cfs_repl(&["help", "nothing"]);
    assert_eq!(exit, Exit::Usage);
    assert!(talk.contains("topics are: exit-codes"), "{talk}");
}

#[test]
fn every_help_topic_is_named_in_its_help_and_prints() {
    for topic in ["exit-codes", "environment", "config"] {
        assert!(cfs_repl(&["help", "help"]).1.contains(topic), "{topic}");
        let (exit, data, _) = cfs_repl(&["help", topic]);
        assert_eq!(exit, Exit::Ok);
        assert!(data.lines().count() > 5, "{topic}: {data}");
    }
    let codes = cfs_repl(&["help", "exit-codes"]).1;
    for exit in Exit::ALL {
        assert!(codes.contains(exit.word()) && codes.contains(&format!("{:>4}  ", exit.code())));
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (exit, data, talk) = cfs_repl(&["completions", shell]);
        assert_eq!((exit, talk), (Exit::Ok, String::new()));
        assert!(
            data.contains("cfs-repl") && data.contains("site-id"),
            "{shell}"
        );
    }
}
