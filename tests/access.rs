//! Who may ask a real daemon what: other users of the machine, by their groups.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::lab::{Lab, LabOptions};

/// A user and a group that every system has, and that own nothing.
pub(crate) const NOBODY: u32 = 65_534;
/// A user and a group that no system has.
pub(crate) const STRANGER: u32 = 65_533;
/// The exit code for what is not permitted.
const NOT_PERMITTED: i32 = 5;

/// What a user is answered: the exit code, and everything that was printed.
fn asked_by(user: u32, door: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(door.join("cfs-repl"));
    command.args(words).arg("--server");
    command.arg(format!("unix:{}", door.join("admin.sock").display()));
    command.env_clear().stdin(Stdio::null());
    // The groups of the caller's process are set to nothing else; the daemon asks the system for them.
    let output = command.uid(user).gid(user).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Name of the group that the user nobody is in. None: there is none, or the tests cannot ask as other users.
pub(crate) fn group_of_nobody() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let user = uzers::get_user_by_uid(NOBODY)?;
    let group = uzers::get_group_by_gid(user.primary_group_id())?;
    Some(group.name().to_string_lossy().into_owned())
}

/// A folder that other users may enter, with the program, and with the socket of the first site of a lab.
pub(crate) fn door(lab: &mut Lab) -> tempfile::TempDir {
    let door = tempfile::tempdir().unwrap();
    fs::set_permissions(door.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Where the tests are built others may not enter.
    let own = Path::new(env!("CARGO_BIN_EXE_cfs-repl"));
    let program = door.path().join("cfs-repl");
    if fs::hard_link(own, &program).is_err() {
        fs::copy(own, &program).unwrap();
    }
    lab.a.socket = door.path().join("admin.sock");
    door
}

/// The configuration of the first site with its socket in the door, and with a group under this key.
pub(crate) fn let_in(lab: &Lab, config: &str, key: &str, group: &str) {
    let admin = format!(
        "[admin]\nsocket = \"{}\"\n{key} = \"{group}\"\n",
        lab.a.socket.display()
    );
    fs::write(&lab.a.config, config.replacen("[admin]\n", &admin, 1)).unwrap();
}

#[test]
fn members_of_a_group_look_or_act_as_the_configuration_says_and_others_do_nothing() {
    let Some(group) = group_of_nobody() else {
        eprintln!("skipped: it asks as other users, which needs root and a user nobody");
        return;
    };
    let mut lab = Lab::new(&LabOptions::default());
    let door = door(&mut lab);
    let config = fs::read_to_string(&lab.a.config).unwrap();
    for (key, may_act) in [("read_group", false), ("write_group", true)] {
        let_in(&lab, &config, key, &group);
        lab.a.start(&[]);
        let (code, text) = asked_by(NOBODY, door.path(), &["status"]);
        assert_eq!(code, Some(0), "{key}: {text}");
        let pause = ["sites", "pause", "site-b", "--note", "seen"];
        let (code, text) = asked_by(NOBODY, door.path(), &pause);
        if may_act {
            assert_eq!(code, Some(0), "{key}: {text}");
            let (_, events) = asked_by(NOBODY, door.path(), &["events", "--name", "site.paused"]);
            assert!(
                events.contains("nobody"),
                "who did it is on record: {events}"
            );
        } else {
            assert_eq!(code, Some(NOT_PERMITTED), "{key}: {text}");
            assert!(
                text.contains("nobody may look, and may not do this"),
                "{text}"
            );
            assert!(text.contains("admin.write_group"), "{text}");
        }
        let (code, text) = asked_by(STRANGER, door.path(), &["status"]);
        assert_eq!(code, Some(NOT_PERMITTED), "{key}: {text}");
        assert!(text.contains("uid 65533 may not ask"), "{text}");
        lab.a.kill();
    }
}
