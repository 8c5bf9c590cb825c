//! The surface that scripts rely on: parsing, usage failures, help, and what goes where.

use super::render::Format;
use super::ui::tests::captured;
use super::*;
use crate::clock::{Clock as _, SystemClock};

/// Runs a command line as the program would and returns exit code, stdout and stderr.
fn cfs_repl(words: &[&str]) -> (Exit, String, String) {
    let args = std::iter::once("cfs-repl").chain(words.iter().copied());
    let parsed = Cli::try_parse_from(args);
    let format = parsed
        .as_ref()
        .map_or(Format::Table, |cli| cli.global.format());
    let (mut ui, data, talk) = captured(format);
    let result = match parsed {
        Ok(cli) => run(&mut ui, &cli.global, cli.command),
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
    // What was typed steers no terminal, and colours are ours alone.
    let (exit, _, talk) = cfs_repl(&["\u{1b}[2Jnope"]);
    assert_eq!(exit, Exit::Usage);
    assert!(
        talk.contains("unrecognized subcommand") && !talk.contains("\u{1b}"),
        "{talk}"
    );
    assert!(steers("a\u{1b}[2J") && steers("a\u{9b}2J") && steers("\u{1b}"));
    assert!(!steers("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m a\n"));
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
    let topics = [
        "exit-codes",
        "environment",
        "config",
        "output",
        "conflicts",
        "security",
        "metrics",
        "join",
        "events",
    ];
    for topic in topics {
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

/// A daemon on a socket of its own, which ends with the test.
struct Daemon {
    _runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        let fake = std::sync::Arc::new(crate::admin::service::tests::Fake::default());
        let tasks = crate::daemon::tasks::Tasks::new();
        let serving = async {
            crate::admin::service::serve(&tasks, crate::admin::service::tests::doors(socket), fake)
        };
        runtime.block_on(serving).unwrap();
        Self {
            _runtime: runtime,
            folder,
        }
    }

    fn address(&self) -> String {
        format!("unix:{}/admin.sock", self.folder.path().display())
    }

    fn ask(&self, words: &[&str]) -> (Exit, String, String) {
        let address = self.address();
        let mut all = words.to_vec();
        all.extend(["--server", &address]);
        cfs_repl(&all)
    }
}

#[test]
fn a_daemon_is_asked_and_its_answer_is_a_document() {
    let daemon = Daemon::start();
    for (words, schema, items) in [
        (&["status"][..], "cfs-repl/status/v1", 1),
        (&["lag"], "cfs-repl/lag/v1", 2),
        (&["sites", "list"], "cfs-repl/sites/v1", 2),
        (&["sites", "show", "iad-2"], "cfs-repl/sites/v1", 1),
        (&["conflicts", "list"], "cfs-repl/conflicts/v1", 1),
        (
            &["conflicts", "show", "c-bygtc5qnmf"],
            "cfs-repl/conflict/v1",
            1,
        ),
    ] {
        let mut words = words.to_vec();
        words.extend(["-o", "json"]);
        let (exit, data, talk) = daemon.ask(&words);
        assert_eq!((exit, talk.as_str()), (Exit::Ok, ""), "{words:?}");
        let document: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(document["schema"], schema);
        assert_eq!(document["site"], "fra-1");
        assert!(document["generated_at"].is_string());
        assert_eq!(document["items"].as_array().unwrap().len(), items);
    }
    let names = |words: &[&str]| daemon.ask(words).1;
    assert_eq!(names(&["status", "-o", "name"]), "iad-2\nsin-1\n");
    assert_eq!(names(&["lag", "sin-1", "-o", "name"]), "sin-1\n");
    assert_eq!(
        names(&["conflicts", "list", "-o", "name"]),
        "c-bygtc5qnmf\n"
    );
    assert_eq!(names(&["conflicts", "list", "--unacked", "-o", "name"]), "");
}

#[test]
fn what_each_command_prints_is_what_its_schema_describes() {
    let daemon = Daemon::start();
    let trees = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(trees.0.path().join("plän"), b"only here").unwrap();
    let (a, b) = (trees.0.path().to_str(), trees.1.path().to_str());
    for words in [
        &["status"][..],
        &["status", "iad-2"],
        &["lag"],
        &["lag", "--sort", "-lag", "--limit", "1"],
        &["sites", "list"],
        &["sites", "show", "iad-2"],
        &["conflicts", "list"],
        &["conflicts", "show", "c-bygtc5qnmf"],
        &["peer", "invite"],
        &["peer", "invite", "--dry-run"],
        &["peer", "invitations"],
        &["check"],
        &["compare", a.unwrap(), b.unwrap()],
        &["version"],
    ] {
        for format in ["json", "jsonl", "yaml"] {
            let words = [words, &["-o", format]].concat();
            let (exit, data, talk) = match words.first() {
                Some(&"compare" | &"version") => cfs_repl(&words),
                _ => daemon.ask(&words),
            };
            let is_done = matches!(exit, Exit::Ok | Exit::Critical | Exit::Differs);
            assert!(is_done, "{words:?}: {talk}");
            let printed: Vec<serde_json::Value> = match format {
                "yaml" => vec![serde_saphyr::from_str(&data).unwrap()],
                _ => data
                    .lines()
                    .map(|line| serde_json::from_str(line).unwrap())
                    .collect(),
            };
            assert!(!printed.is_empty(), "{words:?}");
            printed.iter().for_each(schema::tests::assert_valid);
        }
    }
    for words in [&["status", "nope"][..], &["lag", "--sort", "x"]] {
        let (_, _, talk) = daemon.ask(&[words, &["-o", "json"]].concat());
        schema::tests::assert_valid(&serde_json::from_str(&talk).unwrap());
    }
}

#[test]
fn a_list_is_put_in_order_cut_and_narrowed_as_told() {
    let daemon = Daemon::start();
    let (_, data, _) = daemon.ask(&["lag", "--columns", "in_lag,site", "--sort", "-site"]);
    assert_eq!(data, "IN LAG  SITE\n?       sin-1\n0.0s    iad-2\n");
    let (_, data, _) = daemon.ask(&["lag", "-o", "csv", "--columns", "site", "--no-headers"]);
    assert_eq!(data, "iad-2\r\nsin-1\r\n");
    let (_, data, talk) = daemon.ask(&["sites", "list", "-o", "name", "--limit", "1", "-v"]);
    assert_eq!((data.as_str(), talk.as_str()), ("iad-2\n", ""));
    let (_, data, _) = daemon.ask(&["conflicts", "list", "-o", "wide"]);
    assert!(
        data.contains("14993") && data.contains("sin-1 is right"),
        "{data}"
    );
    // Before anybody is asked.
    let none = format!("{}-none", daemon.address());
    let (exit, _, talk) = cfs_repl(&["conflicts", "list", "--sort", "lots", "-s", &none]);
    assert_eq!(exit, Exit::Usage);
    assert!(talk.contains("hint:  did you mean lost?"), "{talk}");
}

#[test]
fn a_watch_of_one_document_is_refused() {
    for words in [
        &["status"][..],
        &["lag"],
        &["sites", "list"],
        &["conflicts", "list"],
    ] {
        let words = [words, &["--watch", "-o", "json", "-s", "unix:/none"]].concat();
        let (exit, _, talk) = cfs_repl(&words);
        assert_eq!(exit, Exit::Usage, "{words:?}");
        assert!(talk.contains("use -o jsonl"), "{talk}");
    }
    assert_eq!(
        cfs_repl(&["status", "--watch", "--exit-code"]).0,
        Exit::Usage
    );
}

#[test]
fn commands_that_change_something_say_what_and_exit_by_the_answer() {
    let daemon = Daemon::start();
    for (words, exit, told) in [
        (
            &["sites", "resume", "iad-2"][..],
            8,
            "hint:  cfs-repl sites resume iad-2 --confirm\n",
        ),
        (
            &["sites", "resume", "iad-2", "--confirm"],
            0,
            "resumed iad-2\n",
        ),
        (
            &["sites", "resume", "sin-1"],
            0,
            "sin-1 was neither held nor paused\n",
        ),
        (
            &["sites", "resume", "x"],
            4,
            "cause: peers are: iad-2, sin-1\n",
        ),
        (
            &["conflicts", "restore", "c-bygtc5qnmf"],
            0,
            "restored c-bygtc5qnmf as old\\xff\n",
        ),
        (
            &["conflicts", "restore", "c-bygtc5qnmf", "--as", "a\u{1b}b"],
            0,
            "as a\\u{1b}b\n",
        ),
        (
            &["conflicts", "restore", "c"],
            2,
            "error: several conflicts",
        ),
        (
            &["conflicts", "restore", "c-lost"],
            8,
            "hint:  look at the other sites\n",
        ),
        (&["status", "nope"], 4, "error: no site \"nope\"\n"),
        (
            &["sites", "show", "iad2"],
            4,
            "hint:  did you mean iad-2?\n",
        ),
        (&["lag", "iad2"], 4, "hint:  did you mean iad-2?\n"),
    ] {
        let (code, data, talk) = daemon.ask(words);
        assert_eq!(
            (code.code(), data.as_str()),
            (exit, ""),
            "{words:?}: {talk}"
        );
        assert!(talk.contains(told), "{words:?}: {talk}");
    }
    assert_eq!(daemon.ask(&["status"]).0, Exit::Ok);
    let (exit, data, _) = daemon.ask(&["status", "--exit-code"]);
    assert_eq!(exit, Exit::Critical);
    assert!(data.starts_with("DEGRADED  "), "{data}");
}

#[test]
fn invitations_are_listed_without_their_secrets_and_withdrawn_by_id() {
    let daemon = Daemon::start();
    let (exit, data, _) = daemon.ask(&["peer", "invitations"]);
    assert_eq!(exit, Exit::Ok);
    let lines: Vec<String> = data
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "ID STATE FOR EXPIRES BY USED BY",
            "i-0123456789 used iad-2 1970-01-01T00:00:00.000007Z ana iad-2",
            "i-7 open - 1970-01-01T00:00:00.000000Z x\\u{1b}[2J -",
        ]
    );
    let (_, names, _) = daemon.ask(&["peer", "invitations", "-o", "name", "--sort", "-id"]);
    assert_eq!(names, "i-7\ni-0123456789\n");
    let (exit, data, talk) = daemon.ask(&["peer", "revoke", "i"]);
    assert_eq!((exit, data.as_str()), (Exit::Ok, ""));
    assert_eq!(talk, "withdrew i-7: its token does not work any more\n");
    let (exit, _, talk) = daemon.ask(&["peer", "revoke", "i-9"]);
    assert_eq!(exit, Exit::NotFound);
    assert!(talk.contains("hint:  cfs-repl peer invitations"), "{talk}");
    let (_, _, talk) = daemon.ask(&["peer", "invite"]);
    assert!(
        talk.contains("to withdraw it: cfs-repl peer revoke i-7\n"),
        "{talk}"
    );
}

#[test]
fn conflicts_are_acknowledged_by_id_or_by_a_number_that_is_expected_and_taken_back() {
    let daemon = Daemon::start();
    for (words, exit, told) in [
        (
            &["conflicts", "ack", "--all"][..],
            2,
            "hint:  say how many there are: --expect NUMBER",
        ),
        (
            &["conflicts", "ack", "--all", "--expect", "7"],
            8,
            "error: the filter lets 0 conflicts through, and 7 were expected\n",
        ),
        (
            &["conflicts", "ack", "c-second", "--path", "*"],
            2,
            "hint:  add --all",
        ),
        (
            &["conflicts", "ack", "c-second", "--expect", "3"],
            2,
            "hint:  add --all",
        ),
        (
            &["conflicts", "ack", "c-second"],
            0,
            "acknowledged c-second as ",
        ),
        (
            &["conflicts", "unack", "c-bygtc5qnmf", "c-second"],
            0,
            "took back the acknowledgement of c-bygtc5qnmf\nc-second is not acknowledged\n",
        ),
        (
            &["conflicts", "show", "c-x"],
            4,
            "error: no conflict \"c-x\"\n",
        ),
        (
            &["conflicts", "list", "--path", "a["],
            2,
            "error: \"a[\" is no pattern for paths\n",
        ),
    ] {
        let (code, data, talk) = daemon.ask(words);
        assert_eq!(
            (code.code(), data.as_str()),
            (exit, ""),
            "{words:?}: {talk}"
        );
        assert!(talk.contains(told), "{words:?}: {talk}");
    }
}

#[test]
fn a_wait_ends_when_it_is_so_or_says_what_lacks_when_time_runs_out() {
    let daemon = Daemon::start();
    let wait = |words: &[&str]| {
        let mut all = vec!["wait", "--timeout", "1s", "--for"];
        all.extend(words);
        let (exit, data, talk) = daemon.ask(&all);
        assert_eq!(data, "");
        (exit, talk)
    };
    let (exit, talk) = wait(&["synced"]);
    assert_eq!(exit, Exit::TimedOut, "{talk}");
    assert!(talk.contains("cause: iad-2 is backoff, lag "), "{talk}");
    let (exit, talk) = wait(&["connected", "--site", "sin-2"]);
    assert_eq!(exit, Exit::NotFound, "{talk}");
    let (exit, talk) = wait(&["lag<5"]);
    assert_eq!(exit, Exit::Usage, "{talk}");
    let server = format!("{}-none", daemon.address());
    let (exit, _, talk) = cfs_repl(&[
        "wait",
        "--for",
        "synced",
        "--timeout",
        "300ms",
        "-s",
        &server,
    ]);
    assert_eq!(exit, Exit::Unreachable, "{talk}");
}

#[test]
fn a_check_speaks_the_language_of_who_asks_and_exits_by_its_codes() {
    let daemon = Daemon::start();
    let check = |format: &str| daemon.ask(&["check", "--format", format]);
    let (exit, data, talk) = check("text");
    assert_eq!((exit, talk.as_str()), (Exit::Critical, ""));
    assert!(data.starts_with("CFS-REPL CRITICAL - fra-1: "), "{data}");
    let (exit, data, _) = check("nagios");
    assert_eq!(exit.code(), 2);
    assert!(data.contains(" | 'iad-2_lag'="), "{data}");
    let (exit, data, _) = check("prometheus");
    assert_eq!(exit, Exit::Critical);
    assert!(data.starts_with("# HELP cfs_repl_info "), "{data}");
    let (exit, data, _) = daemon.ask(&["check", "--site", "sin-1", "--format", "prometheus"]);
    assert!(!data.contains("iad-2"), "{exit:?} {data}");
    let none = format!("{}-none", daemon.address());
    let (exit, data, talk) = cfs_repl(&["check", "--format", "nagios", "-s", &none]);
    assert_eq!((exit.code(), talk.as_str()), (3, ""));
    assert!(
        data.starts_with("CFS-REPL UNKNOWN - cannot reach"),
        "{data}"
    );
    for wrong in [&["--site", "x"][..], &["--warn", "5m", "--crit", "1m"]] {
        let words = [&["check", "--format", "nagios"], wrong].concat();
        let (exit, data, _) = daemon.ask(&words);
        assert_eq!(
            exit.code(),
            3,
            "what is not known is 3 for a plugin: {data}"
        );
        assert!(data.starts_with("CFS-REPL UNKNOWN - "), "{data}");
    }
    let (exit, data, _) = daemon.ask(&["check", "-o", "json"]);
    let document: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(
        (exit, &document["schema"]),
        (Exit::Critical, &"cfs-repl/check/v1".into())
    );
    assert_eq!(document["items"][0]["level"], "critical");
    let (exit, data, _) = cfs_repl(&["check", "-s", &none]);
    assert_eq!((exit.code(), data.as_str()), (3, ""));
}

#[test]
fn what_lost_is_saved_whole_to_a_new_file_or_not_at_all() {
    let daemon = Daemon::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("loser");
    let path = file.to_str().unwrap();
    let save = |id: &str| daemon.ask(&["conflicts", "show", id, "--save-loser", path]);
    let (exit, data, talk) = save("c-torn");
    assert_eq!((exit, data.as_str()), (Exit::Failure, ""), "{talk}");
    assert!(talk.contains("bad sector") && !file.exists(), "{talk}");
    let (exit, _, talk) = save("c-bygtc5qnmf");
    assert_eq!(exit, Exit::Ok, "{talk}");
    assert_eq!(std::fs::read(&file).unwrap(), b"what lost");
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(
        mode & 0o777,
        0o600,
        "others could not read the file, perhaps"
    );
    assert_eq!(talk, format!("saved 9 B as {path}\n"));
    let (exit, _, talk) = save("c-bygtc5qnmf");
    assert_eq!(exit, Exit::PreconditionLost);
    assert!(talk.contains("does not exist"), "{talk}");
    assert_eq!(std::fs::read(&file).unwrap(), b"what lost");
    let second = folder.path().join("second");
    let words = ["conflicts", "show", "c-bygtc5qnmf", "--save-loser"];
    let words = [&words[..], &[second.to_str().unwrap(), "--json"]].concat();
    let (exit, data, talk) = daemon.ask(&words);
    assert_eq!(exit, Exit::Ok, "{talk}");
    let told: serde_json::Value = serde_json::from_str(&data).unwrap();
    schema::tests::assert_valid(&told);
    let item = &told["items"][0];
    assert_eq!(item["path"], second.to_str().unwrap());
    assert_eq!(
        (&item["id"], &item["size_bytes"]),
        (&"c-bygtc5qnmf".into(), &9.into())
    );
}

#[test]
fn a_daemon_that_cannot_be_reached_is_told_with_what_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let server = format!("unix:{}", socket.display());
    let (exit, data, talk) = cfs_repl(&["lag", "-s", &server]);
    assert_eq!((exit.code(), data.as_str()), (3, ""));
    let lines: Vec<&str> = talk.lines().collect();
    assert_eq!(
        lines[0],
        format!("error: cannot reach the daemon at {server}")
    );
    assert!(lines[1].contains("no socket there"), "{talk}");
    assert!(lines[2].starts_with("hint:  "), "{talk}");

    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let (exit, _, talk) = cfs_repl(&["status", "-s", &server, "-o", "json"]);
    assert_eq!(exit, Exit::Unreachable);
    let told: serde_json::Value = serde_json::from_str(&talk).unwrap();
    assert_eq!(told["error"]["code"], "daemon_unreachable");
    let cause = told["error"]["cause"][0].as_str().unwrap();
    assert!(
        cause.contains("the socket exists, no process listens"),
        "{cause}"
    );

    let (exit, _, talk) = cfs_repl(&["status", "-s", "tcp:1"]);
    assert_eq!(exit, Exit::Usage);
    assert!(talk.contains("unix:/"), "{talk}");
}

#[test]
fn the_daemon_is_found_through_its_configuration_whatever_became_of_its_tree() {
    let daemon = Daemon::start();
    let file = daemon.folder.path().join("config.toml");
    let text = format!(
        "[site]\nid = 1\nname = \"fra-1\"\ncluster = \"lab\"\n\
         [tree]\nroot = \"/no/such/tree\"\n[state]\ndir = \"{}\"\n",
        daemon.folder.path().display()
    );
    std::fs::write(&file, text).unwrap();
    let config = file.to_str().unwrap();
    let (exit, data, talk) = cfs_repl(&["lag", "-o", "name", "--config", config]);
    assert_eq!(
        (exit, data.as_str()),
        (Exit::Ok, "iad-2\nsin-1\n"),
        "{talk}"
    );

    let (exit, _, talk) = cfs_repl(&["lag", "--config", "/no/such/config.toml"]);
    assert_eq!(exit, Exit::Config);
    assert!(
        talk.contains("does not exist") && talk.contains("--server unix:"),
        "{talk}"
    );
}

#[test]
fn a_daemon_that_listens_elsewhere_is_told_with_its_process() {
    let daemon = Daemon::start();
    let state = daemon.folder.path();
    let file = state.join("config.toml");
    let text = format!(
        "[site]\nid = 1\nname = \"fra-1\"\ncluster = \"lab\"\n\
         [tree]\nroot = \"/no/such/tree\"\n[state]\ndir = \"{0}\"\n\
         [admin]\nsocket = \"{0}/other.sock\"\n",
        state.display()
    );
    std::fs::write(&file, text).unwrap();
    let words = ["lag", "--config", file.to_str().unwrap()];
    let (exit, _, talk) = cfs_repl(&words);
    assert_eq!(exit, Exit::Unreachable);
    assert!(talk.contains("no daemon listens at this path"), "{talk}");
    let _lock = crate::daemon::lock::StateLock::take(state).unwrap();
    let (exit, _, talk) = cfs_repl(&words);
    assert_eq!(exit, Exit::Unreachable);
    let process = format!("runs (process {})", std::process::id());
    assert!(talk.contains(&process), "{talk}");
    assert!(
        talk.contains(&format!("--server {};", daemon.address())),
        "{talk}"
    );
}

/// What a shell offers behind these words.
fn offered(words: &[&str]) -> String {
    let words = std::iter::once(&"cfs-repl").chain(words);
    let words = words.map(OsString::from).collect();
    completions::candidates("fish", words).unwrap()
}

#[test]
fn a_shell_is_offered_what_the_daemon_knows() {
    let daemon = Daemon::start();
    let server = format!("--server={}", daemon.address());
    let sites = offered(&["status", &server, ""]);
    assert!(
        sites.contains("iad-2\tbackoff\n") && sites.contains("sin-1"),
        "{sites}"
    );
    let some = offered(&["sites", "pause", &server, "s"]);
    assert!(some.contains("sin-1") && !some.contains("iad-2"), "{some}");
    let ids = offered(&["conflicts", "show", &server, "c-"]);
    assert_eq!(ids.trim_end(), "c-bygtc5qnmf\tplän.xlsx");
    let open = offered(&["peer", "revoke", &server, "i"]);
    assert_eq!(
        open.trim_end(),
        "i-7\topen, by x\\u{1b}[2J",
        "used ones are not"
    );
    let open = offered(&["conflicts", "ack", &server, "c-"]);
    assert!(!open.contains("c-bygtc5qnmf"), "it is acknowledged: {open}");
}

#[test]
fn a_daemon_that_is_down_or_hangs_offers_nothing_and_says_nothing() {
    let down = offered(&["sites", "pause", "--server=unix:/nowhere/s", "x"]);
    assert_eq!(down, "");
    // Somebody listens, and never says a word.
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let server = format!("--server=unix:{}", socket.display());
    let began = SystemClock.monotonic();
    assert_eq!(offered(&["sites", "pause", &server, "x"]), "");
    let took = SystemClock.monotonic() - began;
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn the_script_that_asks_names_the_variable_and_the_program() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (exit, data, talk) = cfs_repl(&["completions", shell, "--dynamic"]);
        assert_eq!((exit, talk), (Exit::Ok, String::new()));
        assert!(
            data.contains("CFS_REPL_COMPLETE") && data.contains("cfs-repl"),
            "{data}"
        );
    }
}
