//! That everything is told, and that only what is wrong ends the command with 6.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::cli::ui::tests::captured;
use crate::conduit::pki;
use serde_json::json;

struct Place(tempfile::TempDir);

impl Place {
    /// A site whose certificates are sound, with these endpoints of its peer.
    fn new(endpoints: &[String]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let dir = place.0.path();
        for folder in ["tree", "state"] {
            fs::create_dir(dir.join(folder)).unwrap();
        }
        fs::set_permissions(dir.join("state"), fs::Permissions::from_mode(0o700)).unwrap();
        let now_us = SystemClock.now_us();
        pki::init_ca(&dir.join("tls"), "lab", now_us).unwrap();
        pki::issue(&dir.join("tls"), "fra", "lab", 90, now_us).unwrap();
        let text = format!(
            "[site]\nid = 1\nname = \"fra\"\ncluster = \"lab\"\n[tree]\nroot = \"tree\"\n\
             [state]\ndir = \"state\"\njournal_budget = \"256MiB\"\n\
             [tls]\ncert = \"tls/fra.pem\"\nkey = \"tls/fra.key\"\nca = \"tls/ca.pem\"\n\
             [[peer]]\nid = 2\nname = \"iad\"\nendpoints = {endpoints:?}\n"
        );
        fs::write(place.file(), text).unwrap();
        place
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("config.toml")
    }

    fn check(&self, format: Format, change: impl FnOnce(&mut CheckArgs)) -> (Exit, String, String) {
        let mut args = CheckArgs {
            tls: false,
            connect: false,
            file: File {
                config: self.file(),
            },
        };
        change(&mut args);
        let global = Global {
            output: format,
            color: clap::ColorChoice::Never,
            timeout: Duration::from_secs(5),
            ..Global::default()
        };
        let (mut ui, data, talk) = captured(format);
        let result = run(&mut ui, &global, &args);
        (ui.finish(result), data.text(), talk.text())
    }
}

fn elsewhere() -> Vec<String> {
    vec!["192.0.2.1:7443".to_owned()]
}

/// An address of this machine on which nobody listens, and one on which somebody does.
fn endpoints() -> (String, String, TcpListener) {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (closed, open) = (bind(), bind());
    let at = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
    (at(&closed), at(&open), open)
}

#[test]
fn a_sound_configuration_is_told_in_one_line() {
    let place = Place::new(&elsewhere());
    let (exit, data, talk) = place.check(Format::Table, |args| args.tls = true);
    assert_eq!(exit, Exit::Ok, "{data}");
    assert!(!data.contains("error:"), "{data}");
    assert!(talk.contains("config.toml: no errors, "), "{talk}");
}

#[test]
fn all_that_is_wrong_is_told_with_exit_code_6() {
    let place = Place::new(&elsewhere());
    let text = fs::read_to_string(place.file()).unwrap();
    fs::write(
        place.file(),
        text.replace("root", "rot").replace("id = 2", "id = 1"),
    )
    .unwrap();
    let (exit, data, talk) = place.check(Format::Table, |_| ());
    assert_eq!(exit.code(), 6);
    let what = "config.toml:6:1: unknown key \"rot\" in [tree]\n       did you mean \"root\"?\n";
    assert!(data.contains(what), "{data}");
    assert!(data.contains("peer 1 has the id of this site"), "{data}");
    assert!(talk.contains("3 errors"), "{talk}");
    let (exit, data, _) = place.check(Format::Json, |_| ());
    let told: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(exit.code(), 6);
    assert_eq!(told["schema"], "cfs-repl/config-check/v1");
    let items = told["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["line"] == 6).unwrap();
    assert_eq!(
        (&found["severity"], &found["column"]),
        (&json!("error"), &json!(1))
    );
    assert_eq!(found["variable"], json!(null));
}

#[test]
fn a_group_that_does_not_exist_is_wrong_and_the_daemon_says_the_same() {
    let place = Place::new(&elsewhere());
    let text = fs::read_to_string(place.file()).unwrap();
    let admin = "[admin]\nwrite_group = \"no-such-group\"\nsocket = \"/run/x.sock\"\n";
    fs::write(place.file(), format!("{text}{admin}")).unwrap();
    let (exit, data, talk) = place.check(Format::Table, |_| ());
    let what = "admin.write_group: there is no group no-such-group on this system";
    assert_eq!(exit, Exit::Config, "{talk}");
    assert!(
        data.contains(&format!("error: {}:19:", place.file().display())),
        "{data}"
    );
    assert!(data.contains(what), "{data}");
    let refused = Config::load(&place.file()).unwrap_err().to_string();
    let line = data.lines().find(|line| line.contains(what));
    let line = line.and_then(|line| line.strip_prefix("error: ")).unwrap();
    assert!(refused.contains(line), "{refused}");
    // Who asks a daemon that runs needs no group for it.
    assert!(Config::read(&place.file()).is_ok());
}

#[test]
fn certificates_are_read_only_when_asked() {
    let place = Place::new(&elsewhere());
    fs::write(place.0.path().join("tls/fra.pem"), "no pem").unwrap();
    assert_eq!(place.check(Format::Table, |_| ()).0, Exit::Ok);
    let (exit, data, _) = place.check(Format::Table, |args| args.tls = true);
    assert_eq!(exit, Exit::Config);
    assert!(data.contains("config.toml:11:8: tls.cert: "), "{data}");
    assert!(data.contains("holds no certificate"), "{data}");
}

#[test]
fn a_key_that_others_can_read_is_told_without_reading_it() {
    let place = Place::new(&elsewhere());
    let key = place.0.path().join("tls/fra.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (exit, data, _) = place.check(Format::Table, |_| ());
    assert_eq!(exit, Exit::Ok);
    assert!(
        data.contains("warning: ") && data.contains("mode 0644"),
        "{data}"
    );
    let (exit, data, _) = place.check(Format::Table, |args| args.tls = true);
    assert_eq!(exit, Exit::Config);
    assert_eq!(data.matches("mode 0644").count(), 1, "{data}");
}

#[test]
fn a_certificate_that_ends_within_two_weeks_is_told() {
    let place = Place::new(&elsewhere());
    let examined = Config::examine(&place.file());
    let args = CheckArgs {
        tls: true,
        connect: false,
        file: File {
            config: place.file(),
        },
    };
    let told = |now_us| {
        let mut report = Report::default();
        let places = Places {
            examined: &examined,
            args: &args,
        };
        certificates(
            examined.config.as_ref().unwrap(),
            &places,
            now_us,
            &mut report,
        );
        report
    };
    let (now_us, day_us) = (SystemClock.now_us(), 86_400_000_000);
    assert!(told(now_us).warnings.is_empty());
    let late = told(now_us + 80 * day_us);
    assert!(late.errors.is_empty());
    let what = &late.warnings[0].what;
    assert!(
        what.starts_with("tls.cert: the certificate, or an authority above it, ends in"),
        "{what}"
    );
    let later = told(now_us + 91 * day_us);
    assert!(later.errors[0].what.contains("expired on"), "{later:?}");
}

#[test]
fn a_peer_that_one_endpoint_reaches_is_worth_a_look_and_one_that_none_does_is_wrong() {
    let (closed, open, _listener) = endpoints();
    let connect = |endpoints: &[String]| {
        Place::new(endpoints).check(Format::Table, |args| args.connect = true)
    };
    let (exit, data, _) = connect(&[closed.clone(), open.clone()]);
    assert_eq!(exit, Exit::Ok, "{data}");
    let what = format!("warning: {{}}peer[0].endpoints: cannot reach iad at {closed}: ");
    assert!(data.contains(what.split("{}").last().unwrap()), "{data}");
    assert!(!data.contains(&open), "{data}");
    let (exit, data, _) = connect(std::slice::from_ref(&closed));
    assert_eq!(exit, Exit::Config);
    assert!(data.contains("error: ") && data.contains(&closed), "{data}");
}

#[test]
fn a_missing_file_is_an_error() {
    let place = Place::new(&elsewhere());
    let (exit, data, _) = place.check(Format::Table, |args| {
        args.file.config = Path::new("/no/such/file.toml").to_owned();
    });
    assert_eq!(exit, Exit::Config);
    assert!(
        data.starts_with("error: /no/such/file.toml: the configuration file does not exist\n"),
        "{data}"
    );
}
