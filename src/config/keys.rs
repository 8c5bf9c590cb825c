//! Pure: the one table of what a configuration may say.
//!
//! What a key means, what it may hold, what it is without being set: reading, the commented example, the JSON Schema,
//! the environment and `config show` all come from here. A key that is added here is known everywhere, except for the
//! field of [`Config`](super::Config) that takes it, and a test asks for that.

use std::time::Duration;

use super::value::Kind;
use super::{Existing, LogFormat, Role, SITE_ID_MAX};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// How often a section stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `[name]`; its required keys must be set.
    Once,
    /// `[name]`; its required keys must be set only when one of its keys is.
    Optional,
    /// `[[name]]`, any number of them.
    Many,
}

/// A section.
#[derive(Debug)]
pub(super) struct Section {
    /// The name in the brackets.
    pub(super) name: &'static str,
    /// How often it stands in a file.
    pub(super) form: Form,
    /// What it is about; empty where the keys say it all.
    pub(super) doc: &'static str,
    /// What may stand in it, in the order of the example.
    pub(super) keys: &'static [Key],
}

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    /// The word before the `=`.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
    /// What holds when it is not set.
    pub(super) unset: Unset,
    /// What it means, for the example and for editors; limits and defaults are added to it.
    pub(super) doc: &'static str,
}

/// What holds when a key is not set. Values are spelled as in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unset {
    /// This.
    Value(&'static str),
    /// The file of this name in the state folder.
    InState(&'static str),
    /// Nothing; the doc says what that means.
    Nothing {
        /// What it could say.
        sample: &'static str,
    },
    /// It must be set.
    Required {
        /// What it could say.
        sample: &'static str,
        /// What to bear in mind, to be appended to "add key = value".
        hint: &'static str,
    },
}

impl Section {
    /// The key of this name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The section of this name.
pub(super) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// The key of a full name such as `tree.root` or `peer[3].id`.
pub(super) fn key(full: &str) -> Option<&'static Key> {
    let (section_name, name) = full.split_once('.')?;
    let bare = section_name.split('[').next().unwrap_or_default();
    section(bare)?.key(name)
}

/// What an operator may be told of without looking, for `[alerts] events`.
pub const ALERT_EVENTS: [&str; 5] = [
    "conflict.lossy",
    "site.down",
    "brake.held",
    "disk.full",
    "certificate.expiring",
];

const ROLES: [&str; 3] = [
    Role::Bidirectional.as_str(),
    Role::Primary.as_str(),
    Role::Replica.as_str(),
];
const EXISTING: [&str; 2] = [Existing::Bring.as_str(), Existing::Match.as_str()];
const FORMATS: [&str; 2] = [LogFormat::Pretty.as_str(), LogFormat::Json.as_str()];

const fn at_least_ms(ms: u64) -> Kind {
    Kind::Duration {
        min: Duration::from_millis(ms),
        or_zero: false,
    }
}

const fn at_least_secs(seconds: u64) -> Kind {
    at_least_ms(seconds * 1_000)
}

const fn nothing(sample: &'static str) -> Unset {
    Unset::Nothing { sample }
}

const fn required(sample: &'static str, hint: &'static str) -> Unset {
    Unset::Required { sample, hint }
}

/// Every section, in the order of the example.
pub(super) const SECTIONS: &[Section] = &[
    SITE, TREE, STATE, CONDUIT, TLS, CONFLICTS, TRASH, ALERTS, ADMIN, METRICS, LOG, PEER,
];

const SITE: Section = Section {
    name: "site",
    form: Form::Once,
    doc: "",
    keys: &[
        Key {
            name: "id",
            kind: Kind::Integer {
                min: 1,
                max: SITE_ID_MAX,
            },
            unset: required("1", "; every site of the cluster has its own number"),
            doc: "Number of this site: different on every site, for ever the same on one.",
        },
        Key {
            name: "name",
            kind: Kind::Name,
            unset: required("\"fra-1\"", ""),
            doc: "Name of this site, as in its certificate: different on every site, for ever the same on one.",
        },
        Key {
            name: "cluster",
            kind: Kind::Name,
            unset: required("\"prod\"", ", the same on every site"),
            doc: "The same on every site; certificates are made out to <name>.<cluster>.cfs-repl.",
        },
        Key {
            name: "role",
            kind: Kind::Word(&ROLES),
            unset: Unset::Value("\"bidirectional\""),
            doc: "bidirectional: sends and applies. primary: sends only. replica: applies only.",
        },
        Key {
            name: "primary_site_id",
            kind: Kind::Integer {
                min: 1,
                max: SITE_ID_MAX,
            },
            unset: nothing("1"),
            doc: "The site that a replica follows; only with role = \"replica\".",
        },
    ],
};

const TREE: Section = Section {
    name: "tree",
    form: Form::Once,
    doc: "",
    keys: &[
        Key {
            name: "root",
            kind: Kind::Path,
            unset: required("\"/srv/media\"", ", the tree to replicate"),
            doc: "Top of the directory tree that is kept in step. It must exist.",
        },
        Key {
            name: "existing",
            kind: Kind::Word(&EXISTING),
            unset: Unset::Value("\"bring\""),
            doc: "Files here before this site met others. bring: they begin a cluster. match: they join its tree.",
        },
        Key {
            name: "exclude",
            kind: Kind::Texts,
            unset: Unset::Value("[]"),
            doc: "Names that are neither sent, nor applied, nor removed (gitignore grammar).",
        },
        Key {
            name: "scan_interval",
            kind: at_least_secs(10),
            unset: Unset::Value("\"1h\""),
            doc: "How often the whole tree is read again, should a notice have been missed.",
        },
        Key {
            name: "settle",
            kind: at_least_ms(10),
            unset: Unset::Value("\"1s\""),
            doc: "How long a file that is still open must rest before it is read.",
        },
        Key {
            name: "settle_max",
            kind: at_least_ms(10),
            unset: Unset::Value("\"5s\""),
            doc: "The longest that a file which never rests is put off; at least settle.",
        },
        Key {
            name: "brake_percent",
            kind: Kind::Percent,
            unset: Unset::Value("\"50%\""),
            doc: "The brake: when one site deletes more than this share of the files within brake_window, applying from \
                  it is held until an operator resumes it. \"100%\" turns it off.",
        },
        Key {
            name: "brake_files",
            kind: Kind::Integer {
                min: 1,
                max: u64::MAX,
            },
            unset: Unset::Value("1000"),
            doc: "The brake does not look at trees with fewer files.",
        },
        Key {
            name: "brake_window",
            kind: at_least_secs(1),
            unset: Unset::Value("\"60s\""),
            doc: "Time over which deletions are counted for the brake.",
        },
    ],
};

const STATE: Section = Section {
    name: "state",
    form: Form::Once,
    doc: "",
    keys: &[
        Key {
            name: "dir",
            kind: Kind::Path,
            // Filesystem Hierarchy Standard, and systemd's `StateDirectory=`.
            unset: Unset::Value("\"/var/lib/cfs-repl\""),
            doc: "Folder of the journal and the state: outside the tree, mode 0700.",
        },
        Key {
            name: "journal_budget",
            kind: Kind::Size {
                min: 256 * MIB,
                max: u64::MAX,
            },
            unset: Unset::Value("\"20GiB\""),
            doc: "Room for the journal. A site for which more than this would have to be kept is fenced, loudly.",
        },
        Key {
            name: "journal_keep",
            kind: Kind::Size {
                min: 0,
                max: u64::MAX,
            },
            unset: Unset::Value("\"1GiB\""),
            doc: "The journal is kept from its beginning up to this size, although every peer has it: as long as it is \
                  whole, a further site can join with an empty tree. Above, what nobody needs goes.",
        },
        Key {
            name: "max_absence",
            kind: at_least_secs(3_600),
            unset: Unset::Value("\"30d\""),
            doc: "A site that was not heard for so long, while this one ran, is fenced, loudly.",
        },
        Key {
            name: "reclaim",
            kind: Kind::Switch,
            unset: Unset::Value("false"),
            doc: "What was removed is forgotten once every site knows of it; else it is remembered for ever, in some \
                  hundred bytes each. To be set at every site, or at none, once all run a version that knows it.",
        },
    ],
};

const CONDUIT: Section = Section {
    name: "conduit",
    form: Form::Once,
    doc: "",
    keys: &[
        Key {
            name: "listen",
            kind: Kind::Address,
            unset: nothing("\"0.0.0.0:7443\""),
            doc: "Address on which other sites are accepted. Without it this site only dials.",
        },
        Key {
            name: "window_entries",
            kind: Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            unset: Unset::Value("4096"),
            doc: "Most entries that are under way to a peer without a receipt.",
        },
        Key {
            name: "window_bytes",
            kind: Kind::Size { min: MIB, max: GIB },
            unset: Unset::Value("\"8MiB\""),
            doc: "Most bytes that are under way to a peer without a receipt.",
        },
        Key {
            name: "reconnect_delay",
            kind: at_least_ms(10),
            unset: Unset::Value("\"200ms\""),
            doc: "A lost connection is dialled again after a random wait: its upper end at first.",
        },
        Key {
            name: "max_reconnect_delay",
            kind: at_least_ms(10),
            unset: Unset::Value("\"30s\""),
            doc: "The upper end of that wait after many failures; at least reconnect_delay.",
        },
        Key {
            name: "max_connection_age",
            kind: Kind::Duration {
                min: Duration::from_secs(60),
                or_zero: true,
            },
            unset: Unset::Value("\"24h\""),
            doc: "A connection that is older is made anew, so that each gets to use new certificates. \"0s\": never.",
        },
    ],
};

const TLS: Section = Section {
    name: "tls",
    form: Form::Optional,
    doc: "Certificates, PEM. Sites talk only over TLS and each proves who it is; needed as soon as there is a peer.",
    keys: &[
        Key {
            name: "cert",
            kind: Kind::Path,
            unset: required("\"tls/fra-1.pem\"", ""),
            doc: "Certificate of this site.",
        },
        Key {
            name: "key",
            kind: Kind::Path,
            unset: required("\"tls/fra-1.key\"", ""),
            doc: "Its key, readable by its owner alone.",
        },
        Key {
            name: "ca",
            kind: Kind::Path,
            unset: required("\"tls/ca.pem\"", ""),
            doc: "Certificates of the authorities that sign for this cluster.",
        },
        Key {
            name: "ca_key",
            kind: Kind::Path,
            unset: nothing("\"tls/ca.key\""),
            doc: "Key of the authority. Without it this site issues no certificates for sites that join.",
        },
    ],
};

const CONFLICTS: Section = Section {
    name: "conflicts",
    form: Form::Once,
    doc: "",
    keys: &[
        Key {
            name: "keep",
            kind: Kind::Percent,
            unset: Unset::Value("\"10%\""),
            doc: "Share of the filesystem that the content of losers may take; beyond it, acknowledged ones go first.",
        },
        Key {
            name: "retention",
            kind: at_least_secs(3_600),
            unset: Unset::Value("\"30d\""),
            doc: "How long a loser stays restorable.",
        },
        Key {
            name: "everywhere",
            kind: Kind::Size { min: 0, max: TIB },
            unset: Unset::Value("\"64MiB\""),
            doc: "Losers up to this size are kept at every site, larger ones where they were written or lost. 0B: none \
                  elsewhere.",
        },
    ],
};

const TRASH: Section = Section {
    name: "trash",
    form: Form::Once,
    doc: "",
    keys: &[Key {
        name: "keep_deleted",
        kind: Kind::Switch,
        unset: Unset::Value("false"),
        doc: "Keep files that others removed or replaced without a conflict as long as losers; else they go after a \
              minute.",
    }],
};

const ALERTS: Section = Section {
    name: "alerts",
    form: Form::Once,
    doc: "What to tell without being asked. It never holds up replication.",
    keys: &[
        Key {
            name: "exec",
            kind: Kind::Texts,
            unset: Unset::Value("[]"),
            doc: "Program and arguments to start for each event, which it gets as JSON on stdin. Empty: none.",
        },
        Key {
            name: "webhook",
            kind: Kind::Url,
            unset: nothing("\"https://alerts.example.net/cfs-repl\""),
            doc: "URL to which each event is posted as JSON.",
        },
        Key {
            name: "events",
            kind: Kind::Words(&ALERT_EVENTS),
            unset: Unset::Value(
                "[\"conflict.lossy\", \"site.down\", \"brake.held\", \"disk.full\", \"certificate.expiring\"]",
            ),
            doc: "Which events: conflict.lossy, site.down, brake.held, disk.full, certificate.expiring.",
        },
        Key {
            name: "timeout",
            kind: at_least_ms(100),
            unset: Unset::Value("\"10s\""),
            doc: "How long the program or the server may take.",
        },
        Key {
            name: "per_minute",
            kind: Kind::Integer { min: 1, max: 1_000 },
            unset: Unset::Value("6"),
            doc: "Most events that are told in a minute.",
        },
    ],
};

const ADMIN: Section = Section {
    name: "admin",
    form: Form::Once,
    doc: "Who may ask this daemon, and tell it what to do.",
    keys: &[
        Key {
            name: "socket",
            kind: Kind::Path,
            unset: Unset::InState(super::SOCKET_FILE),
            doc: "Unix socket that commands use. Not set: admin.sock in the state folder.",
        },
        Key {
            name: "read_group",
            kind: Kind::Group,
            unset: nothing("\"cfs-repl\""),
            doc: "Group whose members may look. Not set: only the daemon's own user and root.",
        },
        Key {
            name: "write_group",
            kind: Kind::Group,
            unset: nothing("\"cfs-repl-admin\""),
            doc: "Group whose members may also act. Not set: only the daemon's own user and root.",
        },
        Key {
            name: "listen",
            kind: Kind::Address,
            unset: nothing("\"127.0.0.1:7444\""),
            doc: "Address on which commands are taken over the network, with certificates on both sides. Not set: none.",
        },
        Key {
            name: "allow",
            kind: Kind::CertNames,
            unset: Unset::Value("[]"),
            doc: "DNS names of the certificates that may use that address.",
        },
    ],
};

const METRICS: Section = Section {
    name: "metrics",
    form: Form::Once,
    doc: "",
    keys: &[Key {
        name: "listen",
        kind: Kind::Address,
        unset: nothing("\"127.0.0.1:9464\""),
        doc: "Address on which Prometheus reads /metrics. There is no password: everybody who reaches it can read. Not \
              set: off.",
    }],
};

const LOG: Section = Section {
    name: "log",
    form: Form::Once,
    doc: "",
    keys: &[
        Key {
            name: "level",
            kind: Kind::Filter,
            unset: Unset::Value("\"info\""),
            doc: "error, warn, info, debug, trace or off, and after commas others for single parts, as in \
                  \"info,claudefs_repl::conduit=debug\". Names of files appear from debug on.",
        },
        Key {
            name: "format",
            kind: Kind::Word(&FORMATS),
            unset: Unset::Value("\"pretty\""),
            doc: "pretty or json.",
        },
    ],
};

const PEER: Section = Section {
    name: "peer",
    form: Form::Many,
    doc: "One section for each other site.",
    keys: &[
        Key {
            name: "id",
            kind: Kind::Integer {
                min: 1,
                max: SITE_ID_MAX,
            },
            unset: required("2", ", the number of that site"),
            doc: "Number of the other site.",
        },
        Key {
            name: "name",
            kind: Kind::Name,
            unset: required("\"iad-2\"", ""),
            doc: "Name of the other site, as in its certificate.",
        },
        Key {
            name: "endpoints",
            kind: Kind::Endpoints,
            unset: Unset::Value("[]"),
            doc: "Where it listens, tried in turn. Empty: it dials this site.",
        },
    ],
};
