//! What a machine needs to run a site as a service: the unit and its hardening, what the daemon tells its manager, and
//! alerts and dashboard over metrics that exist.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use claudefs_repl::admin::metrics;
use claudefs_repl::admin::view::{JournalView, Lag, SiteView, StatusView, TreeView};
use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Lab, LabOptions, Site, comes, has_program};

/// Longest wait for a message, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// What `systemd-analyze security` may say at most.
const EXPOSURE_MAX: f64 = 3.0;

fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contrib")
        .join(name)
}

/// The settings of the unit in order.
fn unit() -> Vec<(String, String)> {
    let text = fs::read_to_string(contrib("systemd/cfs-repl.service")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let settings = lines.filter_map(|line| line.split_once('='));
    settings
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_unit_says_what_the_daemon_relies_on() {
    let unit = unit();
    for (key, value) in [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        (
            "ExecStart",
            "/usr/bin/cfs-repl run --config /etc/cfs-repl/config.toml",
        ),
        // Its exit code is the result of the reload.
        (
            "ExecReload",
            "/usr/bin/cfs-repl reload --config /etc/cfs-repl/config.toml",
        ),
        ("Restart", "on-failure"),
        // A command line or configuration that is wrong stays wrong: the codes of `cfs-repl help exit-codes`.
        ("RestartPreventExitStatus", "2 6"),
        ("WatchdogSec", "30"),
        ("StateDirectory", "cfs-repl"),
        ("StateDirectoryMode", "0700"),
        ("LimitNOFILE", "1048576"),
        ("ProtectSystem", "strict"),
        ("NoNewPrivileges", "true"),
        ("MemoryDenyWriteExecute", "true"),
        // What applying needs of root: owners, modes and files of others.
        (
            "CapabilityBoundingSet",
            "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER",
        ),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
    ] {
        let found: Vec<&str> = unit
            .iter()
            .filter(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(found, [value], "{key}");
    }
    let stop = unit.iter().find(|(key, _)| key == "TimeoutStopSec");
    let seconds: u64 = stop.unwrap().1.parse().unwrap();
    assert!(seconds > 60, "three phases of 20 seconds must fit");
    // /proc/sys tells which start of the machine this is; without it a power loss would go unnoticed.
    assert!(!unit.iter().any(|(key, _)| key == "ProcSubset"));
    let text = fs::read_to_string(contrib("systemd/cfs-repl.service")).unwrap();
    assert!(
        text.contains("#     ReadWritePaths=/srv/media"),
        "how the tree is named"
    );
}

#[test]
fn the_unit_exposes_little_as_systemd_judges_it() {
    if !has_program("systemd-analyze") {
        println!("skipped: there is no systemd-analyze on this machine");
        return;
    }
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(contrib("systemd/cfs-repl.service"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.split("Overall exposure level for cfs-repl.service: ");
    let Some(level) = told.last().and_then(|rest| rest.split(' ').next()) else {
        panic!("{text}");
    };
    println!("exposure level: {level}");
    let level: f64 = level.parse().unwrap_or_else(|_| panic!("{text}"));
    assert!(level <= EXPOSURE_MAX, "{level}");
}

/// The manager's end of its socket.
struct Manager {
    socket: UnixDatagram,
    /// Everything that was told, a message each.
    told: Vec<String>,
}

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        Self {
            socket,
            told: Vec::new(),
        }
    }

    /// Waits for a message that `is` the one; returns it.
    fn hears(&mut self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let mut found = None;
        let came = comes(PATIENCE, || {
            let mut buffer = [0; 4096];
            if let Ok(length) = self.socket.recv(&mut buffer) {
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                found = is(&text).then(|| text.clone());
                self.told.push(text);
            }
            found.is_some()
        });
        assert!(came, "no {what} in {:?}", self.told);
        found.unwrap()
    }
}

fn signal(site: &Site, signal: Signal) {
    let id = Pid::from_raw(site.process().try_into().unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

#[test]
fn the_service_manager_is_told_of_start_progress_reload_and_stop() {
    let mut lab = Lab::new(&LabOptions::default());
    let path = lab.folder().join("notify");
    let mut manager = Manager::at(&path);
    lab.a.start(&[
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "1000000"),
    ]);
    let has = |line: &'static str| move |text: &str| text.lines().any(|found| found == line);
    manager.hears("READY=1", has("READY=1"));
    assert_eq!(
        manager.told.len(),
        1,
        "it is told of nothing before: {:?}",
        manager.told
    );
    // The status is told once and the watchdog is fed again and again, whichever comes first.
    let status = manager.hears("STATUS", |text| text.starts_with("STATUS=1 peer: 1 down"));
    assert!(status.contains("lag"), "{status}");
    manager.hears("WATCHDOG=1", has("WATCHDOG=1"));
    signal(&lab.a, Signal::HUP);
    let reloading = manager.hears("RELOADING=1", has("RELOADING=1"));
    let time = reloading
        .lines()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(
        time.is_some_and(|us| us.parse::<u64>().is_ok()),
        "{reloading}"
    );
    manager.hears("READY=1", has("READY=1"));
    lab.b.start(&[]);
    manager.hears("STATUS of a peer that came", |text| {
        text.starts_with("STATUS=1 peer: lag 0")
    });
    signal(&lab.a, Signal::TERM);
    manager.hears("STOPPING=1", has("STOPPING=1"));
    assert!(
        comes(PATIENCE, || lab.a.ended().is_some()),
        "{}",
        lab.a.tail()
    );
    assert!(lab.a.ended().unwrap().success());
}

/// The reload of the unit, with another configuration: its exit code.
fn reload(config: &Path) -> Option<i32> {
    let unit = unit();
    let (_, line) = unit.iter().find(|(key, _)| key == "ExecReload").unwrap();
    let words = line.strip_prefix("/usr/bin/cfs-repl ").unwrap();
    let words = words.strip_suffix(" /etc/cfs-repl/config.toml").unwrap();
    let mut command = crate::lab::cfs_repl();
    command.args(words.split(' ')).arg(config);
    command.output().unwrap().status.code()
}

#[test]
fn a_reload_of_the_unit_fails_where_nothing_was_taken() {
    let mut lab = Lab::new(&LabOptions::default());
    lab.a.start(&[]);
    let file = &lab.a.config.clone();
    assert_eq!(reload(file), Some(0));
    let good = fs::read_to_string(file).unwrap();
    fs::write(file, format!("{good}\n[nonsense]\n")).unwrap();
    assert_eq!(reload(file), Some(6));
    fs::write(file, good).unwrap();
    lab.a.kill();
    assert_eq!(reload(file), Some(3));
}

/// A status that has a sample for every metric.
fn full() -> StatusView {
    StatusView {
        sites: vec![SiteView {
            lag: Lag::Known(1),
            behind_entries: Some(1),
            behind_bytes: Some(1),
            waiting_entries: Some(1),
            parked_there_entries: Some(1),
            clock_skew_us: Some(1),
            round_trip_us: Some(1),
            ..SiteView::default()
        }],
        journal: JournalView {
            budget_bytes: Some(1),
            ..JournalView::default()
        },
        tree: TreeView {
            last_scan_us: Some(1),
            ..TreeView::default()
        },
        certificate_expires_us: Some(1),
        ..StatusView::default()
    }
}

/// Names of metrics of ours in a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    let ours = words.filter(|word| word.starts_with("cfs_repl_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn alerts_and_dashboard_use_only_metrics_that_exist_and_the_dashboard_uses_all() {
    let known = named(&metrics::text(&full()));
    assert!(known.len() > 20, "{known:?}");
    for file in ["prometheus/alerts.yml", "grafana/cfs-repl.json"] {
        let used = named(&fs::read_to_string(contrib(file)).unwrap());
        assert!(used.len() > 10, "{file}: {used:?}");
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} uses {unknown:?}");
    }
    let shown = named(&fs::read_to_string(contrib("grafana/cfs-repl.json")).unwrap());
    let hidden: Vec<_> = known.difference(&shown).collect();
    assert!(hidden.is_empty(), "no panel shows {hidden:?}");
}

#[test]
fn the_dashboard_is_a_document_with_panels_that_do_not_overlap() {
    let text = fs::read_to_string(contrib("grafana/cfs-repl.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = document["panels"].as_array().unwrap();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && taken.insert((x, y)), "{}", panel["title"]);
            }
        }
        if panel["type"] != "row" {
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
        }
    }
}

#[test]
fn every_alert_names_a_command_to_begin_with() {
    let text = fs::read_to_string(contrib("prometheus/alerts.yml")).unwrap();
    let alerts: Vec<&str> = text.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        let runbook = alert
            .lines()
            .find_map(|line| line.trim().strip_prefix("runbook: "));
        assert!(
            runbook.is_some_and(|line| line.contains("cfs-repl")),
            "{name}"
        );
        for part in ["expr: ", "severity: ", "summary: "] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
    }
}
