//! Pure: from text to [`Config`], key by key, with the defaults.
//!
//! What cannot be read is reported and stands at its default, so that the checks behind can go on; the result counts
//! only when nothing was reported.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::check::name;
use super::problem::{Findings, Place, Refusal};
use super::reader::{Section, integer, list, parsed, text, word};
use super::units::{
    Endpoint, format_duration, format_size, parse_duration, parse_listen, parse_percent, parse_size,
};
use super::{
    ConduitSettings, Config, ConflictsConfig, LogConfig, LogFormat, LogLevel, PeerConfig, Role,
    SITE_ID_MAX, SiteConfig, StateConfig, TlsPaths, TrashConfig, TreeConfig,
};

const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];
const FORMATS: [(&str, LogFormat); 2] = [("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];

/// Where state lives unless told otherwise (Filesystem Hierarchy Standard, and systemd's `StateDirectory=`).
pub(super) const STATE_DIR: &str = "/var/lib/cfs-repl";

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Reads the whole file. Relative paths are joined to `base`.
pub(super) fn decode(text: &str, base: &Path, findings: &mut Findings) -> Config {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let place = error.span().map(|span| Place::of(text, span.start));
        let first_line = error.message().lines().next().unwrap_or("not valid TOML");
        findings.add(place, first_line, "correct the TOML syntax here");
    }
    let mut file = Section::file(text, table.get_ref(), findings);
    let config = Config {
        site: file.section("site", site),
        tree: file.section("tree", |section| tree(section, base)),
        state: file.section("state", |section| state(section, base)),
        conduit: file.section("conduit", conduit),
        tls: file.section("tls", |section| tls(section, base)),
        peers: file.sections("peer", peer),
        conflicts: file.section("conflicts", conflicts),
        trash: file.section("trash", trash),
        log: file.section("log", log),
    };
    file.refuse_unknown();
    config
}

fn site(section: &mut Section<'_>) -> SiteConfig {
    SiteConfig {
        id: section.require(
            "id",
            integer(1, SITE_ID_MAX),
            "add id = 1; every site of the cluster has its own number",
        ),
        name: section.require("name", parsed(name), "add name = \"fra-1\""),
        cluster: section.require(
            "cluster",
            parsed(name),
            "add cluster = \"prod\", the same on every site",
        ),
        role: section
            .read("role", word(&Role::ALL.map(|role| (role.as_str(), role))))
            .unwrap_or_default(),
        primary_site_id: section.read("primary_site_id", integer(1, SITE_ID_MAX)),
    }
}

fn tree(section: &mut Section<'_>, base: &Path) -> TreeConfig {
    TreeConfig {
        root: section.require(
            "root",
            path(base),
            "add root = \"/srv/media\", the tree to replicate",
        ),
        exclude: section
            .read("exclude", list(|pattern| Ok(pattern.to_owned())))
            .unwrap_or_default(),
        scan_interval: section
            .read("scan_interval", at_least(Duration::from_secs(10)))
            .unwrap_or(Duration::from_secs(3_600)),
        settle: section
            .read("settle", at_least(Duration::from_millis(10)))
            .unwrap_or(Duration::from_secs(1)),
        settle_max: section
            .read("settle_max", at_least(Duration::from_millis(10)))
            .unwrap_or(Duration::from_secs(5)),
        brake_percent: section
            .read("brake_percent", parsed(parse_percent))
            .unwrap_or(50),
        brake_files: section
            .read("brake_files", integer(1, u64::MAX))
            .unwrap_or(1_000),
        brake_window: section
            .read("brake_window", at_least(Duration::from_secs(1)))
            .unwrap_or(Duration::from_secs(60)),
    }
}

fn state(section: &mut Section<'_>, base: &Path) -> StateConfig {
    StateConfig {
        dir: section
            .read("dir", path(base))
            .unwrap_or_else(|| PathBuf::from(STATE_DIR)),
        journal_budget_bytes: section
            .read("journal_budget", size_within(256 * MIB, u64::MAX))
            .unwrap_or(20 * GIB),
        journal_keep_bytes: section
            .read("journal_keep", size_within(0, u64::MAX))
            .unwrap_or(GIB),
        max_absence: section
            .read("max_absence", at_least(Duration::from_secs(3_600)))
            .unwrap_or(Duration::from_secs(30 * 86_400)),
    }
}

fn conduit(section: &mut Section<'_>) -> ConduitSettings {
    ConduitSettings {
        listen: section.read("listen", parsed(parse_listen)),
        window_entries: section
            .read("window_entries", integer(1, 1_000_000))
            .unwrap_or(4_096),
        window_bytes: section
            .read("window_bytes", size_within(MIB, GIB))
            .unwrap_or(8 * MIB),
        reconnect_delay: section
            .read("reconnect_delay", at_least(Duration::from_millis(10)))
            .unwrap_or(Duration::from_millis(200)),
        max_reconnect_delay: section
            .read("max_reconnect_delay", at_least(Duration::from_millis(10)))
            .unwrap_or(Duration::from_secs(30)),
    }
}

fn tls(section: &mut Section<'_>, base: &Path) -> Option<TlsPaths> {
    section.is_present().then(|| TlsPaths {
        cert: section.require("cert", path(base), "add cert = \"tls/fra-1.pem\""),
        key: section.require("key", path(base), "add key = \"tls/fra-1.key\""),
        ca: section.require("ca", path(base), "add ca = \"tls/ca.pem\""),
        ca_key: section.read("ca_key", path(base)),
    })
}

pub(super) fn peer(section: &mut Section<'_>) -> PeerConfig {
    PeerConfig {
        id: section.require(
            "id",
            integer(1, SITE_ID_MAX),
            "add id = 2, the number of that site",
        ),
        name: section.require("name", parsed(name), "add name = \"iad-2\""),
        endpoints: section
            .read("endpoints", list(str::parse::<Endpoint>))
            .unwrap_or_default(),
    }
}

fn conflicts(section: &mut Section<'_>) -> ConflictsConfig {
    ConflictsConfig {
        keep_percent: section.read("keep", parsed(parse_percent)).unwrap_or(10),
        retention: section
            .read("retention", at_least(Duration::from_secs(3_600)))
            .unwrap_or(Duration::from_secs(30 * 86_400)),
        everywhere_bytes: section
            .read("everywhere", size_within(0, TIB))
            .unwrap_or(64 * MIB),
    }
}

fn trash(section: &mut Section<'_>) -> TrashConfig {
    TrashConfig {
        keep_deleted: section.read("keep_deleted", switch).unwrap_or_default(),
    }
}

/// A switch.
fn switch(value: &DeValue<'_>) -> Result<bool, Refusal> {
    value.as_bool().ok_or_else(|| {
        let got = value.type_str();
        Refusal::new(
            format!("true or false is needed, not a {got}"),
            "write it without quotes",
        )
    })
}

fn log(section: &mut Section<'_>) -> LogConfig {
    LogConfig {
        level: section.read("level", word(&LEVELS)).unwrap_or_default(),
        format: section.read("format", word(&FORMATS)).unwrap_or_default(),
    }
}

/// A path, joined to `base` when it is relative.
fn path(base: &Path) -> impl FnOnce(&DeValue<'_>) -> Result<PathBuf, Refusal> {
    move |value| {
        let path = text(value)?;
        if path.is_empty() || path.contains('\0') {
            return Err(Refusal::new("an empty path", "write an absolute path"));
        }
        Ok(base.join(path))
    }
}

/// A duration of at least `min`.
fn at_least(min: Duration) -> impl FnOnce(&DeValue<'_>) -> Result<Duration, Refusal> {
    parsed(move |text| {
        let duration = parse_duration(text)?;
        if duration < min {
            let min = format_duration(min);
            return Err(Refusal::new(
                format!("\"{text}\" is too short"),
                format!("use at least \"{min}\""),
            ));
        }
        Ok(duration)
    })
}

/// A size within `min..=max`.
fn size_within(min: u64, max: u64) -> impl FnOnce(&DeValue<'_>) -> Result<u64, Refusal> {
    parsed(move |text| {
        let bytes = parse_size(text)?;
        if !(min..=max).contains(&bytes) {
            let (min, max) = (format_size(min), format_size(max));
            return Err(Refusal::new(
                format!("\"{text}\" is out of range"),
                format!("use \"{min}\" to \"{max}\""),
            ));
        }
        Ok(bytes)
    })
}
