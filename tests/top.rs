//! The dashboard as the real program in a terminal of its own, against real daemons: what a person sees, what a key
//! does at the other site, and that the terminal is given back however it ends.

use std::fs;
use std::io::{Read as _, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use serde_json::Value;

use crate::access::{NOBODY, STRANGER, door, group_of_nobody, let_in};
use crate::lab::{Lab, LabOptions, comes};

/// Longest wait for a change of the picture, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a program in it.
struct Term {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    /// Everything that the program wrote.
    raw: Vec<u8>,
    /// How the terminal was before.
    before: String,
}

impl Term {
    fn new(program: &str, words: &[&str], size: (u16, u16)) -> Self {
        Self::with_env(program, words, size, &[])
    }

    fn with_env(
        program: &str,
        words: &[&str],
        (columns, rows): (u16, u16),
        env: &[(&str, &str)],
    ) -> Self {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let before = modes(&*pair.master);
        let mut command = CommandBuilder::new(program);
        command.args(words);
        command.env_clear();
        command.env("TERM", "xterm-256color");
        for (key, value) in env {
            command.env(key, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (told, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if told.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keys: pair.master.take_writer().unwrap(),
            master: pair.master,
            output,
            parser: vt100::Parser::new(rows, columns, 0),
            raw: Vec::new(),
            before,
        }
    }

    fn top(server: &str, more: &[&str]) -> Self {
        let words = [&["top", "-s", server][..], more].concat();
        Self::new(env!("CARGO_BIN_EXE_cfs-repl"), &words, (120, 36))
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn picture(&mut self) -> String {
        while let Ok(bytes) = self.output.try_recv() {
            self.parser.process(&bytes);
            self.raw.extend(bytes);
        }
        self.parser.screen().contents()
    }

    fn shows(&mut self, text: &str) -> bool {
        comes(PATIENCE, || self.picture().contains(text))
    }

    fn assert_shows(&mut self, text: &str) {
        assert!(self.shows(text), "no \"{text}\" in\n{}", self.picture());
    }

    /// Where a text stands, column and row from 1, as terminals count for the mouse.
    fn place(&mut self, text: &str) -> (usize, usize) {
        self.assert_shows(text);
        let picture = self.picture();
        let mut lines = picture.lines().enumerate();
        let found = lines.find_map(|(row, line)| {
            let (before, _) = line.split_once(text)?;
            Some((before.chars().count() + 1, row + 1))
        });
        found.unwrap()
    }

    /// Presses and releases a button of the mouse on a text: 0 the left one, 64 and 65 the wheel.
    fn click(&mut self, button: u8, text: &str) {
        let (column, row) = self.place(text);
        self.press(&format!("\u{1b}[<{button};{column};{row}M"));
        if button < 64 {
            self.press(&format!("\u{1b}[<{button};{column};{row}m"));
        }
    }

    /// The texts that were handed to the clipboard.
    fn copied(&mut self) -> Vec<String> {
        self.picture();
        let raw = String::from_utf8_lossy(&self.raw).into_owned();
        let mut parts = raw.split("\u{1b}]52;c;");
        parts.next();
        let encoded = parts.filter_map(|part| part.split_once("\u{1b}\\"));
        let text = encoded.map(|(base64, _)| {
            let bytes = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
            String::from_utf8(bytes).unwrap()
        });
        text.collect()
    }

    /// Waits for the end, and returns the exit code.
    fn ends(&mut self) -> u32 {
        let mut code = None;
        comes(PATIENCE, || {
            self.picture();
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.expect("it does not end").exit_code()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.process_id().unwrap()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Everything that was taken from the terminal was given back.
    fn assert_restored(&mut self) {
        let is_back = comes(PATIENCE, || {
            self.picture();
            !self.parser.screen().alternate_screen()
        });
        assert!(is_back, "{}", self.picture());
        let screen = self.parser.screen();
        assert!(!screen.hide_cursor(), "the cursor is hidden");
        assert!(!screen.bracketed_paste(), "pasting is bracketed");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert_eq!(modes(&*self.master), self.before);
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How a terminal treats what is typed.
fn modes(master: &dyn MasterPty) -> String {
    let modes = master.get_termios().unwrap();
    format!(
        "{:?} {:?} {:?}",
        modes.local_flags, modes.input_flags, modes.output_flags
    )
}

/// Two sites in step, with one conflict on record.
fn with_conflict() -> (Lab, String) {
    let options = LabOptions {
        is_cuttable: true,
        ..LabOptions::default()
    };
    let mut lab = Lab::started(&options);
    fs::write(lab.a.tree.join("plan"), "before\n").unwrap();
    lab.assert_settles("top");
    lab.cut();
    fs::write(lab.a.tree.join("plan"), "first\nfrom a\n").unwrap();
    lab.a.assert_journals("top");
    fs::write(lab.b.tree.join("plan"), "first\nfrom b\n").unwrap();
    lab.b.assert_journals("top");
    lab.join();
    lab.assert_settles("top");
    let server = format!("unix:{}", lab.a.state.join("admin.sock").display());
    (lab, server)
}

/// The note of the only conflict, as a site lists it.
fn note(document: &Value) -> Option<&str> {
    document["items"][0]["ack"]["note"].as_str()
}

#[test]
fn a_peer_goes_and_comes_and_a_conflict_is_acknowledged_for_the_other_site_too() {
    let (mut lab, server) = with_conflict();
    let mut term = Term::top(&server, &[]);
    term.assert_shows("LIVE");
    term.assert_shows("IDLE");
    lab.b.kill();
    term.assert_shows("1 of 1 peer not reached");
    lab.b.start(&[]);
    term.assert_shows("IDLE");
    // The conflict: both versions, what differs, and an acknowledgement with a note.
    term.press("4");
    term.assert_shows("WINNER  site-");
    term.press("d");
    term.assert_shows("from b");
    term.assert_shows("from a");
    term.press("a");
    term.assert_shows("Acknowledge a conflict");
    term.press("seen in the dashboard");
    term.assert_shows("the same:");
    term.press("\r");
    term.assert_shows("acknowledged c-");
    term.assert_shows("none is open");
    let is_told = comes(PATIENCE, || {
        let document = lab.b.ask(&["conflicts", "list"]);
        note(&document) == Some("seen in the dashboard")
    });
    assert!(is_told, "{}", lab.b.ask(&["conflicts", "list"]));
    term.press("q");
    assert_eq!(term.ends(), 0);
    term.assert_restored();
}

#[test]
fn what_is_typed_while_the_daemon_is_away_and_a_new_size_are_heeded() {
    let (mut lab, server) = with_conflict();
    let mut term = Term::top(&server, &["--no-mouse", "--read-only"]);
    term.assert_shows("LIVE");
    term.assert_shows("read-only");
    // Pictures are drawn while the size changes again and again.
    for step in 0..40 {
        let (columns, rows) = (60 + step * 3, 15 + step);
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        term.master.resize(size).unwrap();
        term.parser.screen_mut().set_size(rows, columns);
        term.press("j");
    }
    // A key that comes together with a signal waits for the next one: crossterm looks for both, and takes one of them.
    let last = usize::from(15_u16 + 39 - 1);
    let is_last = |line: &str| line.contains("select");
    let is_drawn = comes(PATIENCE, || {
        term.picture().lines().nth(last).is_some_and(is_last)
    });
    assert!(is_drawn, "{}", term.picture());
    term.assert_shows("What happened");
    term.press("p");
    term.assert_shows("--read-only was given");
    lab.a.kill();
    term.assert_shows("NO DATA");
    term.assert_shows("STALE");
    term.press("5");
    term.assert_shows("[5 Events]");
    lab.a.start(&[]);
    term.assert_shows("LIVE");
    term.assert_shows("[5 Events]");
    // Stopped and gone on: the terminal is given back meanwhile.
    term.press("\u{1a}");
    term.assert_restored();
    term.signal(rustix::process::Signal::CONT);
    term.assert_shows("[5 Events]");
    term.signal(rustix::process::Signal::TERM);
    assert_eq!(term.ends(), 130);
    term.assert_restored();
}

#[test]
fn the_mouse_points_at_tabs_and_rows_and_what_is_copied_reaches_the_clipboard() {
    let (lab, server) = with_conflict();
    let mut term = Term::top(&server, &[]);
    term.assert_shows("IDLE");
    let mode = term.parser.screen().mouse_protocol_mode();
    assert_ne!(mode, vt100::MouseProtocolMode::None);
    term.click(0, "5 Events");
    term.assert_shows("[5 Events]");
    // The row under the mouse is explained below; the wheel goes on from it.
    term.click(0, "daemon.started");
    term.assert_shows("the daemon is up");
    term.assert_shows("F follows");
    term.click(64, "daemon.started");
    term.click(0, "4 Conflicts");
    term.assert_shows("WINNER  site-");
    term.click(0, "plan");
    term.press("y");
    term.assert_shows("copied: c-");
    let list = lab.a.ask(&["conflicts", "list"]);
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(comes(PATIENCE, || term.copied() == [id.clone()]), "{id}");
    // What went to the clipboard stands nowhere in the picture.
    assert!(!term.picture().contains("52;c;"), "{}", term.picture());
    term.press("q");
    assert_eq!(term.ends(), 0);
    term.assert_restored();
    let mut without = Term::top(&server, &["--no-mouse"]);
    without.assert_shows("LIVE");
    let mode = without.parser.screen().mouse_protocol_mode();
    assert_eq!(mode, vt100::MouseProtocolMode::None);
}

/// Runs a program as another user.
const SETPRIV: &str = "/usr/bin/setpriv";

/// The dashboard as another user of the machine sees it.
fn as_user(user: u32, door: &Path) -> Term {
    let user = user.to_string();
    let [program, socket] = ["cfs-repl", "admin.sock"].map(|name| door.join(name));
    let server = format!("unix:{}", socket.display());
    let program = program.display().to_string();
    let words = ["--reuid", &user, "--regid", &user, "--clear-groups", "--"];
    let words = [&words[..], &[&program, "top", "-s", &server]].concat();
    Term::new(SETPRIV, &words, (120, 36))
}

#[test]
fn who_may_only_look_sees_so_from_the_start_and_who_may_not_even_that_is_told_why() {
    let has_setpriv = Path::new(SETPRIV).exists();
    let Some(group) = group_of_nobody().filter(|_| has_setpriv) else {
        eprintln!("skipped: it looks as other users, which needs root, a user nobody and setpriv");
        return;
    };
    let mut lab = Lab::new(&LabOptions::default());
    let door = door(&mut lab);
    let config = fs::read_to_string(&lab.a.config).unwrap();
    let_in(&lab, &config, "read_group", &group);
    lab.a.start(&[]);
    let mut looks = as_user(NOBODY, door.path());
    looks.assert_shows("LIVE");
    looks.assert_shows("read-only: nobody may only look");
    looks.press("p");
    looks.assert_shows("not possible: nobody may look at this daemon, and may not act");
    looks.press("?");
    looks.assert_shows("admin.write_group");
    // The key by itself: with another one behind it, it would be Alt.
    looks.press("\u{1b}");
    assert!(comes(PATIENCE, || !looks
        .picture()
        .contains("admin.write_group")));
    looks.press("q");
    assert_eq!(looks.ends(), 0);
    looks.assert_restored();
    let mut stranger = as_user(STRANGER, door.path());
    stranger.assert_shows("NO DATA");
    stranger.assert_shows("the daemon does not let this user look");
    stranger.assert_shows("uid 65533 may not ask this daemon");
    stranger.press("q");
    assert_eq!(stranger.ends(), 0);
    lab.a.kill();
    // With another group it may act, which the same daemon tells the next one.
    let_in(&lab, &config, "write_group", &group);
    lab.a.start(&[]);
    let mut acts = as_user(NOBODY, door.path());
    acts.assert_shows("LIVE");
    assert!(!acts.picture().contains("read-only"), "{}", acts.picture());
    acts.press("C");
    acts.assert_shows("Read configuration and certificates again");
    acts.press("\r");
    acts.assert_shows("reloaded");
}

#[test]
fn a_record_of_a_real_stream_is_played_without_a_daemon() {
    let (mut lab, server) = with_conflict();
    let file = lab.folder().join("incident.jsonl").display().to_string();
    let mut term = Term::top(&server, &["--record", &file]);
    term.assert_shows("LIVE");
    lab.b.kill();
    term.assert_shows("1 of 1 peer not reached");
    term.press("\u{3}");
    assert_eq!(term.ends(), 0);
    term.assert_restored();
    lab.a.kill();
    let program = env!("CARGO_BIN_EXE_cfs-repl");
    let words = [
        "top", "--replay", &file, "--speed", "64", "--ascii", "--theme", "mono",
    ];
    let mut replay = Term::new(program, &words, (80, 24));
    replay.assert_shows("REPLAY");
    replay.assert_shows("1 of 1 peer not reached");
    replay.press("4");
    replay.assert_shows("plan");
    replay.press("q");
    assert_eq!(replay.ends(), 0);
    replay.assert_restored();
}

/// It runs twice: the second time in a terminal of its own, where it panics while it draws.
#[test]
fn a_panic_gives_the_terminal_back() {
    const PANICS: &str = "CFS_REPL_TOP_PANICS";
    if std::env::var_os(PANICS).is_some() {
        use claudefs_repl::top::terminal;
        let _guard = terminal::Guard::new(true).unwrap();
        let mut screen = terminal::screen().unwrap();
        screen.draw(|_| panic!("panicked on purpose")).unwrap();
    }
    let own = std::env::current_exe().unwrap().display().to_string();
    let words = [
        "--exact",
        "--nocapture",
        "top::a_panic_gives_the_terminal_back",
    ];
    let mut term = Term::with_env(&own, &words, (120, 36), &[(PANICS, "1")]);
    term.assert_shows("panicked on purpose");
    assert_ne!(term.ends(), 0);
    term.assert_restored();
}

#[test]
fn the_incident_of_the_documents_can_be_played() {
    let program = env!("CARGO_BIN_EXE_cfs-repl");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/incident.jsonl");
    let mut term = Term::new(
        program,
        &["top", "--replay", file, "--speed", "64"],
        (120, 36),
    );
    term.assert_shows("REPLAY");
    term.assert_shows("BACKOFF");
    term.press("q");
    assert_eq!(term.ends(), 0);
    term.assert_restored();
}

#[test]
fn a_daemon_that_listens_elsewhere_is_told_as_status_tells_it() {
    let mut lab = Lab::started(&LabOptions::default());
    let config = fs::read_to_string(&lab.a.config).unwrap();
    let other = lab.folder().join("other.sock");
    let file = lab.folder().join("elsewhere.toml");
    let admin = format!("[admin]\nsocket = \"{}\"\n", other.display());
    fs::write(&file, config.replace("[admin]\n", &admin)).unwrap();
    let file = file.display().to_string();
    let status = crate::lab::cfs_repl()
        .args(["status", "--config", &file])
        .output()
        .unwrap();
    let said = String::from_utf8(status.stderr).unwrap();
    assert_eq!(status.status.code(), Some(3), "{said}");
    let runs = format!("runs (process {})", lab.a.process());
    assert!(said.contains(&runs), "{said}");
    let program = env!("CARGO_BIN_EXE_cfs-repl");
    let mut term = Term::new(program, &["top", "--config", &file], (400, 36));
    term.assert_shows("NO DATA");
    // The same cause and the same remedy, in one line each.
    for label in ["cause: ", "hint:  "] {
        let line = said.lines().find_map(|line| line.strip_prefix(label));
        term.assert_shows(line.unwrap());
    }
    term.press("q");
    assert_eq!(term.ends(), 0);
    lab.a.kill();
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let output = crate::lab::cfs_repl().args(["top"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("needs a terminal") && said.contains("status --watch -o jsonl"),
        "{said}"
    );
}
