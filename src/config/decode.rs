//! Pure: from the values that were set to [`Config`].

use super::reader::Settings;
use super::{
    AdminConfig, AlertsConfig, ConduitSettings, Config, ConflictsConfig, LogConfig, MetricsConfig,
    PeerConfig, SiteConfig, StateConfig, TlsPaths, TrashConfig, TreeConfig,
};

/// Takes every key to its field. What was refused stands at its default, so that the checks behind can go on; the
/// result counts only when nothing was reported.
pub(super) fn decode(settings: &Settings) -> Config {
    Config {
        site: SiteConfig {
            id: settings.get("site.id"),
            name: settings.get("site.name"),
            cluster: settings.get("site.cluster"),
            role: settings.get("site.role"),
            primary_site_id: settings.optional("site.primary_site_id"),
        },
        tree: tree(settings),
        state: StateConfig {
            dir: settings.get("state.dir"),
            journal_budget_bytes: settings.get("state.journal_budget"),
            journal_keep_bytes: settings.get("state.journal_keep"),
            max_absence: settings.get("state.max_absence"),
            reclaim: settings.get("state.reclaim"),
        },
        conduit: ConduitSettings {
            listen: settings.optional("conduit.listen"),
            window_entries: settings.get("conduit.window_entries"),
            window_bytes: settings.get("conduit.window_bytes"),
            reconnect_delay: settings.get("conduit.reconnect_delay"),
            max_reconnect_delay: settings.get("conduit.max_reconnect_delay"),
            max_connection_age: settings.get("conduit.max_connection_age"),
        },
        tls: settings.has_section("tls").then(|| TlsPaths {
            cert: settings.get("tls.cert"),
            key: settings.get("tls.key"),
            ca: settings.get("tls.ca"),
            ca_key: settings.optional("tls.ca_key"),
        }),
        peers: (0..settings.peers()).map(|at| peer(settings, at)).collect(),
        conflicts: ConflictsConfig {
            keep_percent: settings.get("conflicts.keep"),
            retention: settings.get("conflicts.retention"),
            everywhere_bytes: settings.get("conflicts.everywhere"),
        },
        trash: TrashConfig {
            keep_deleted: settings.get("trash.keep_deleted"),
        },
        alerts: AlertsConfig {
            exec: settings.get("alerts.exec"),
            webhook: settings.optional("alerts.webhook"),
            events: settings.get("alerts.events"),
            timeout: settings.get("alerts.timeout"),
            per_minute: settings.get("alerts.per_minute"),
        },
        admin: AdminConfig {
            socket: settings.get("admin.socket"),
            read_group: settings.optional("admin.read_group"),
            write_group: settings.optional("admin.write_group"),
            listen: settings.optional("admin.listen"),
            allow: settings.get("admin.allow"),
        },
        metrics: MetricsConfig {
            listen: settings.optional("metrics.listen"),
        },
        log: LogConfig {
            level: settings.get("log.level"),
            format: settings.get("log.format"),
        },
    }
}

fn tree(settings: &Settings) -> TreeConfig {
    TreeConfig {
        root: settings.get("tree.root"),
        existing: settings.get("tree.existing"),
        exclude: settings.get("tree.exclude"),
        scan_interval: settings.get("tree.scan_interval"),
        settle: settings.get("tree.settle"),
        settle_max: settings.get("tree.settle_max"),
        brake_percent: settings.get("tree.brake_percent"),
        brake_files: settings.get("tree.brake_files"),
        brake_window: settings.get("tree.brake_window"),
    }
}

fn peer(settings: &Settings, at: usize) -> PeerConfig {
    let key = |name: &str| format!("peer[{at}].{name}");
    PeerConfig {
        id: settings.get(&key("id")),
        name: settings.get(&key("name")),
        endpoints: settings.get(&key("endpoints")),
    }
}
