//! The doctor and the bundle at real sites: a healthy pair, and the same with one thing broken after the other.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lab::{Lab, LabOptions, Site, cfs_repl, comes, read_all};

/// What the doctor of a site says of each check, by name.
fn examine(site: &Site) -> BTreeMap<String, Value> {
    examine_within(site, "5s")
}

/// The same, with so much patience for whom it asks.
fn examine_within(site: &Site, patience: &str) -> BTreeMap<String, Value> {
    let mut command = cfs_repl();
    command.args(["doctor", "-o", "json", "--timeout", patience, "--config"]);
    let output = command.arg(&site.config).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(document["schema"], "cfs-repl/doctor/v1");
    let items = document["items"].as_array().unwrap();
    let named = items.iter().map(|item| {
        let check = item["check"].as_str().unwrap().to_owned();
        (check, item.clone())
    });
    named.collect()
}

fn level<'a>(found: &'a BTreeMap<String, Value>, check: &str) -> &'a str {
    let item = found
        .get(check)
        .unwrap_or_else(|| panic!("no {check}: {found:?}"));
    item["level"].as_str().unwrap()
}

/// Everything below a folder, but for what a running daemon changes all the time.
fn seen(dir: &Path) -> Vec<std::path::PathBuf> {
    read_all(dir).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn a_site_is_examined_before_its_first_start_while_it_runs_and_without_changing_anything() {
    let mut lab = Lab::new(&LabOptions::default());
    let found = examine(&lab.b);
    for (check, expected) in [
        ("config", "ok"),
        ("kernel", "ok"),
        ("openat2", "ok"),
        ("root", "ok"),
        ("state", "ok"),
        ("key", "ok"),
        ("certificate", "ok"),
        ("daemon", "warning"),
        ("listen", "ok"),
        ("peer", "critical"),
    ] {
        assert_eq!(level(&found, check), expected, "{check}: {found:?}");
    }
    assert!(
        found["root"]["found"]
            .as_str()
            .unwrap()
            .contains("first start")
    );
    assert!(seen(&lab.b.tree).is_empty(), "nothing was made in the tree");
    assert!(
        seen(&lab.b.state).is_empty(),
        "nothing was made in the state folder"
    );

    lab.a.start(&[]);
    lab.b.start(&[]);
    let found = examine(&lab.b);
    for check in ["root", "daemon", "listen", "peer", "certificate"] {
        assert_eq!(level(&found, check), "ok", "{check}: {found:?}");
    }
    assert!(
        found["peer"]["found"]
            .as_str()
            .unwrap()
            .contains("believe each other")
    );
    assert_eq!(found["peer"]["site"], "site-a");
    // Neither daemon took the call for an attack.
    for site in lab.sites() {
        let log = site.log_text();
        assert!(
            !log.contains("refused") && !log.contains(" WARN "),
            "{}: {log}",
            site.name
        );
    }
}

#[test]
fn a_tree_of_another_site_and_a_peer_that_says_nothing_are_found() {
    let mut lab = Lab::started(&LabOptions::default());
    lab.b.kill();
    let text = fs::read_to_string(&lab.b.config).unwrap();
    // The tree of the other site, which the state folder of this one has never seen.
    let other = lab.a.tree.display().to_string();
    fs::write(
        &lab.b.config,
        text.replace(&lab.b.tree.display().to_string(), &other),
    )
    .unwrap();
    let found = examine(&lab.b);
    assert_eq!(level(&found, "config"), "critical", "{found:?}");
    assert!(
        found["config"]["found"]
            .as_str()
            .unwrap()
            .contains("has the same tree.root")
    );
    assert_eq!(level(&found, "root"), "critical");
    fs::write(&lab.b.config, &text).unwrap();

    // Whoever takes connections and says nothing keeps nobody waiting for longer than is asked.
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let line = text.lines().find(|line| line.starts_with("endpoints = "));
    let endpoints = format!("endpoints = [\"{address}\", \"nowhere.invalid:1\"]");
    fs::write(&lab.b.config, text.replace(line.unwrap(), &endpoints)).unwrap();
    let found = examine_within(&lab.b, "300ms");
    assert_eq!(level(&found, "peer"), "critical");
    let told = found["peer"]["found"].as_str().unwrap();
    assert!(
        told.contains(&format!("{address} does not answer")),
        "{told}"
    );
    assert!(
        told.contains("nowhere.invalid:1 has a name that is not found"),
        "{told}"
    );
    fs::write(&lab.b.config, &text).unwrap();
}

#[test]
fn what_others_can_reach_and_what_nobody_believes_is_found_with_its_fix() {
    let lab = Lab::new(&LabOptions::default());
    let state = &lab.b.state;
    fs::set_permissions(state, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        examine(&lab.b)["state"]["fix"],
        format!("chmod 700 {}", state.display())
    );
    fs::set_permissions(state, fs::Permissions::from_mode(0o700)).unwrap();

    let key = lab.folder().join("tls/site-b.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let found = examine(&lab.b);
    assert_eq!(found["key"]["fix"], format!("chmod 600 {}", key.display()));
    assert_eq!(
        level(&found, "certificate"),
        "ok",
        "its mode is another matter"
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    fs::copy(
        lab.folder().join("tls/site-a.pem"),
        lab.folder().join("tls/site-b.pem"),
    )
    .unwrap();
    let found = examine(&lab.b);
    assert_eq!(level(&found, "certificate"), "critical");
    let fix = found["certificate"]["fix"].as_str().unwrap();
    assert!(
        fix.contains("cfs-repl pki issue --site site-b --cluster lab"),
        "{fix}"
    );

    fs::write(&lab.b.config, "[site]\nnane = \"x\"\n").unwrap();
    let mut command = cfs_repl();
    command.args(["doctor", "--exit-code", "--config"]);
    let output = command.arg(&lab.b.config).output().unwrap();
    assert_eq!(output.status.code(), Some(21));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("CRITICAL  ") && text.contains("kernel"),
        "{text}"
    );
    assert!(text.contains(":2:1: "), "it says where: {text}");
}

#[test]
fn a_group_that_is_missing_keeps_a_daemon_from_starting_and_is_found() {
    let lab = Lab::new(&LabOptions::default());
    let text = fs::read_to_string(&lab.b.config).unwrap();
    let line = text.lines().find(|line| line.starts_with("# read_group ="));
    let other = "read_group = \"no-such-group-here\"";
    fs::write(&lab.b.config, text.replacen(line.unwrap(), other, 1)).unwrap();
    let found = examine(&lab.b);
    assert_eq!(level(&found, "config"), "critical");
    let fix = found["config"]["fix"].as_str().unwrap();
    assert!(
        fix.contains("groupadd --system no-such-group-here"),
        "{fix}"
    );
    assert_eq!(level(&found, "root"), "ok", "the rest is looked at, too");
}

#[test]
fn a_daemon_that_was_stopped_is_told_with_its_process_and_is_silent_to_its_peers() {
    let mut lab = Lab::started(&LabOptions::default());
    lab.assert_settles("before");
    let process = Pid::from_raw(lab.b.process().cast_signed()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    // Heartbeats are missing long before the connection is given up.
    let is_told = comes(Duration::from_secs(14), || {
        let peer = lab.a.of_peer("site-b");
        peer["state"] == "unknown" && peer["silent_us"].as_u64() >= Some(5_000_000)
    });
    let found = examine_within(&lab.b, "500ms");
    kill_process(process, Signal::CONT).unwrap();
    assert!(is_told, "{}", lab.a.tail());
    assert_eq!(level(&found, "daemon"), "critical");
    let fix = found["daemon"]["fix"].as_str().unwrap();
    assert!(
        fix.contains(&format!("kill -CONT {}", lab.b.process())),
        "{fix}"
    );
    assert_eq!(
        level(&found, "listen"),
        "unknown",
        "it may be its own: {found:?}"
    );
    lab.assert_settles("after");
}

/// Writes the bundle of a site and unpacks it; its parts by name.
fn bundle(lab: &Lab, site: &Site, name: &str, words: &[&str]) -> BTreeMap<String, String> {
    let file = lab.folder().join(name).with_extension("tar");
    let mut command = cfs_repl();
    command
        .args(["support-bundle", "--config"])
        .arg(&site.config);
    command
        .arg("--output-file")
        .arg(&file)
        .arg("--log")
        .arg(&site.log);
    let output = command.args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let folder = lab.folder().join(name);
    fs::create_dir(&folder).unwrap();
    let unpacked = Command::new("tar")
        .arg("-xf")
        .arg(&file)
        .arg("-C")
        .arg(&folder)
        .status();
    assert!(unpacked.unwrap().success());
    let files = read_all(&folder).into_iter().map(|(path, bytes)| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, String::from_utf8(bytes).unwrap())
    });
    files.collect()
}

#[test]
fn a_bundle_holds_what_is_known_and_neither_keys_nor_names_unless_they_are_asked_for() {
    const SECRET: &str = "lay-offs of march";
    let mut lab = Lab::started(&LabOptions {
        settings: vec![("exclude", format!("[\"{SECRET}.bak\"]"))],
        ..LabOptions::default()
    });
    // A fifo is left alone, and its name is told by status.
    let fifo = lab.a.tree.join(SECRET);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    lab.a.kill();
    lab.a.start(&[]);
    let told = || lab.a.ask(&["status"]).to_string().contains(SECRET);
    assert!(comes(Duration::from_secs(30), told), "{}", lab.a.tail());
    let parts = bundle(&lab, &lab.a, "closed", &[]);
    let names: Vec<&str> = parts.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "MANIFEST",
            "config.toml",
            "conflicts.json",
            "doctor.json",
            "lag.json",
            "log.txt",
            "metrics.txt",
            "status.json",
            "version.json"
        ]
    );
    let key = fs::read_to_string(lab.folder().join("tls/site-a.key")).unwrap();
    let key = key.lines().nth(1).unwrap();
    for (name, text) in &parts {
        assert!(!text.contains(SECRET), "{name}: {text}");
        assert!(!text.contains(key), "{name} holds the key");
    }
    assert!(parts["metrics.txt"].contains("cfs_repl_site_state{site=\"site-b\""));
    assert!(parts["config.toml"].contains("name = \"site-a\""));
    let status: Value = serde_json::from_str(&parts["status.json"]).unwrap();
    assert_eq!(status["items"][0]["tree"]["left_alone"], 1);
    let open = bundle(&lab, &lab.a, "open", &["--with-names"]);
    assert!(open["status.json"].contains(SECRET) && open["config.toml"].contains(SECRET));

    lab.a.kill();
    let down = bundle(&lab, &lab.a, "down", &[]);
    let manifest = &down["MANIFEST"];
    let missing = manifest
        .lines()
        .filter(|line| line.contains("missing: cannot reach"));
    assert_eq!(missing.count(), 4, "{manifest}");
    assert!(down.contains_key("doctor.json") && down.contains_key("log.txt"));
    let mut again = cfs_repl();
    again
        .arg("support-bundle")
        .arg("--output-file")
        .arg(lab.folder().join("down.tar"));
    let output = again.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing is overwritten"));
}
