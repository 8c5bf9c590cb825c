//! The binary as a shell sees it: exit codes, streams, colours, and readers that go away.
//!
//! What needs no process is proven beside the code; here is what only a process has: its environment and its pipes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const ESCAPE: char = '\u{1b}';

/// The program, without the environment of whoever runs the tests.
pub(crate) fn cfs_repl(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cfs-repl"));
    command.args(words).env_clear().stdin(Stdio::null());
    command
}

/// Exit code, data and talk.
pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn data_goes_to_stdout_and_failures_to_stderr_with_their_code() {
    let (code, data, talk) = run(&mut cfs_repl(&["version", "-o", "json"]));
    assert_eq!((code, talk.as_str()), (Some(0), ""));
    let document: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(document["schema"], "cfs-repl/version/v1");

    let (code, data, talk) = run(&mut cfs_repl(&["no-such-command"]));
    assert_eq!((code, data.as_str()), (Some(2), ""));
    assert!(talk.contains("no-such-command"), "{talk}");

    let (code, _, talk) = run(&mut cfs_repl(&["no-such-command", "--json"]));
    let told: serde_json::Value = serde_json::from_str(&talk).unwrap();
    assert_eq!(
        (code, &told["error"]["exit"]),
        (Some(2), &serde_json::json!(2))
    );
}

/// Set to rewrite the checked-in completion scripts instead of comparing them.
const REGENERATE: &str = "CFS_REPL_REGENERATE";

#[test]
fn the_completion_scripts_are_those_that_the_program_prints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    for (shell, file) in [
        ("bash", "cfs-repl.bash"),
        ("zsh", "_cfs-repl"),
        ("fish", "cfs-repl.fish"),
    ] {
        let (code, script, _) = run(&mut cfs_repl(&["completions", shell]));
        assert_eq!(code, Some(0));
        let file = folder.join(file);
        if std::env::var_os(REGENERATE).is_some() {
            fs::write(&file, &script).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == script,
            "{} is stale; run: {REGENERATE}=1 cargo test completion_scripts",
            file.display()
        );
    }
}

#[test]
fn the_manual_pages_are_those_that_the_program_writes() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let fresh = tempfile::tempdir().unwrap();
    let (code, _, talk) = run(&mut cfs_repl(&[
        "man",
        "--dir",
        fresh.path().to_str().unwrap(),
    ]));
    assert_eq!(code, Some(0), "{talk}");
    let pages = |dir: &Path| -> BTreeMap<String, String> {
        let files = fs::read_dir(dir)
            .into_iter()
            .flatten()
            .map(|file| file.unwrap());
        files
            .map(|file| {
                let name = file.file_name().into_string().unwrap();
                (name, fs::read_to_string(file.path()).unwrap())
            })
            .collect()
    };
    let written = pages(fresh.path());
    assert!(
        written.contains_key("cfs-repl.1") && written.contains_key("cfs-repl-conflicts-show.1")
    );
    if std::env::var_os(REGENERATE).is_some() {
        fs::remove_dir_all(&kept).ok();
        fs::create_dir(&kept).unwrap();
        for (name, text) in &written {
            fs::write(kept.join(name), text).unwrap();
        }
    }
    assert!(
        pages(&kept) == written,
        "{} is stale; run: {REGENERATE}=1 cargo test manual_pages",
        kept.display()
    );
    let (_, page, _) = run(&mut cfs_repl(&["man", "conflicts", "show"]));
    assert_eq!(Some(&page), written.get("cfs-repl-conflicts-show.1"));
    let (code, _, talk) = run(&mut cfs_repl(&["man", "nothing"]));
    assert_eq!(code, Some(2), "{talk}");
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = cfs_repl(&["completions", "bash"]);
    let child = command
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_full_disk_under_stdout_is_a_failure() {
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = cfs_repl(&["version"]);
    let child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write the output"));
}

#[test]
fn colour_is_used_only_where_it_is_wanted() {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], bool);
    let cases: [Case<'_>; 7] = [
        (&[], &[], false),
        (&["--color", "always"], &[], true),
        (&[], &[("CLICOLOR_FORCE", "1")], true),
        (&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&["--color", "never"], &[("CLICOLOR_FORCE", "1")], false),
        (&["--color", "always"], &[("NO_COLOR", "1")], true),
        (&[], &[("NO_COLOR", "1"), ("TERM", "dumb")], false),
    ];
    for (flags, environment, coloured) in cases {
        let mut words = vec!["help", "init"];
        words.extend(flags);
        let (code, data, _) = run(cfs_repl(&words).envs(environment.iter().copied()));
        assert_eq!(code, Some(0));
        assert_eq!(data.contains(ESCAPE), coloured, "{flags:?} {environment:?}");
    }
}

#[test]
fn init_takes_its_file_from_the_environment_and_says_what_it_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("site.toml");
    let words = [
        "init",
        "--site-id",
        "7",
        "--name",
        "fra-1",
        "--cluster",
        "lab",
        "--root",
        ".",
        "--state",
        "../state",
    ];
    fs::create_dir(dir.path().join("tree")).unwrap();
    let mut command = cfs_repl(&words);
    let command = command
        .env("CFS_REPL_CONFIG", &file)
        .current_dir(dir.path().join("tree"));
    let (code, data, talk) = run(command);
    assert_eq!((code, data.as_str()), (Some(0), ""));
    let wrote = format!("wrote {}\n", file.display());
    let note = "note: no peer is named, so nothing will be sent or taken; add one to the file, as its last lines show\n";
    assert_eq!(talk, wrote + note);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains(&format!("root = \"{}\"", dir.path().join("tree").display())),
        "{text}"
    );

    let (code, _, talk) = run(command);
    assert_eq!(code, Some(1));
    assert!(talk.contains("never overwrites"), "{talk}");
}
