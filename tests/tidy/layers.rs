//! Who may see whom: the layers of the crate as data, and the functions that hold code against them.
//!
//! A module that stands in no row is a complaint, so a new one gets its place on purpose. Rows may name modules that
//! do not exist.

use super::rust;

/// A row of the table.
struct Layer {
    name: &'static str,
    /// Modules of the layer; the longest prefix decides.
    modules: &'static [&'static str],
    /// Layers or single modules that it may see, besides itself.
    sees: &'static [&'static str],
}

/// From the bottom up. Wire and sense stand side by side and do not see each other.
const LAYERS: &[Layer] = &[
    Layer {
        name: "words",
        modules: &["error", "text", "clock", "failpoint", "daemon::tasks"],
        sees: &[],
    },
    Layer {
        name: "facts",
        modules: &[
            "journal::op",
            "journal::dot",
            "journal::entry",
            "journal::batch",
            "journal::chain",
            "journal::device",
            "sync::port",
            "topology",
            "config",
        ],
        sees: &["words"],
    },
    Layer {
        name: "storage",
        modules: &["disk", "journal", "wal", "content"],
        sees: &["words", "facts"],
    },
    Layer {
        name: "wire",
        modules: &["conduit"],
        sees: &["words", "facts", "storage"],
    },
    Layer {
        name: "sense",
        // The store keeps what the merge knows, and the engine keeps it in the store.
        modules: &["sync", "store"],
        sees: &["words", "facts", "storage"],
    },
    Layer {
        name: "connectors",
        modules: &["tree", "ingest"],
        // Of the engine they see `sync::port` alone, and no log or store of ours.
        sees: &["words", "facts", "disk", "content"],
    },
    Layer {
        name: "whole",
        modules: &["daemon", "admin"],
        sees: &["words", "facts", "storage", "wire", "sense", "connectors"],
    },
    Layer {
        name: "faces",
        modules: &["cli", "top"],
        sees: &[
            "words",
            "config",
            "admin::client",
            "admin::delta",
            "admin::filter",
            "admin::metrics",
            "admin::record",
            "admin::view",
            // Commands that work without a running daemon.
            "conduit::join",
            "conduit::pki",
            "tree::compare",
            "tree::policy",
            "tree::populated",
            // `run` and `demo` hand over to it.
            "daemon",
        ],
    },
    Layer {
        name: "generated",
        modules: &["proto"],
        sees: &[],
    },
];

/// The modules in which generated messages may appear: the encodings of what is sent and stored.
const PROTO_USERS: &[&str] = &[
    "journal::codec",
    "journal::segment",
    "journal::record",
    "store::codec",
    "content::manifest",
    "conduit::wire",
    "conduit::join",
    "conduit::content::codec",
    "conduit::client",
    "conduit::server",
    "tree::intent",
    "admin",
    "ingest",
];

/// Crates that only the faces may use.
const FACE_CRATES: [&str; 10] = [
    "ratatui",
    "tui_input",
    "crossterm",
    "unicode_width",
    "humantime",
    "clap",
    "clap_complete",
    "clap_mangen",
    "anstream",
    "similar",
];

/// What a pure file must not name.
const IMPURE: [&[&str]; 8] = [
    &["std", "fs"],
    &["std", "net"],
    &["std", "thread"],
    &["SystemTime"],
    &["Instant"],
    &["tokio"],
    &["rustix"],
    &["SystemClock"],
];

/// Names of `std::net` that are plain values: an address is no socket.
const ADDRESSES: [&str; 6] = [
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
];

/// Complaints about what `path`, a file below `src`, imports.
pub(super) fn complaints(path: &str, text: &str) -> Vec<String> {
    // The roots name everything: they are the front door, not a layer.
    let Some(module) = rust::module_of(path) else {
        return Vec::new();
    };
    let own = layer_of(&module);
    let mut complaints = Vec::new();
    if own.is_none() {
        complaints.push(format!(
            "{path}: {module} stands in no layer; give it a row in tests/tidy/layers.rs"
        ));
    }
    for used in rust::paths(&rust::product_tokens(text)) {
        if let Some(face) = FACE_CRATES
            .iter()
            .find(|name| used.first().is_some_and(|first| first == *name))
            && own.is_none_or(|own| own.name != "faces")
        {
            complaints.push(format!("{path}: uses {face}, which belongs to the faces"));
        }
        let Some(target) = rust::resolve(&module, path, &used) else {
            continue;
        };
        if is_within(&target, "proto") {
            if !PROTO_USERS.iter().any(|user| is_within(&module, user)) {
                complaints.push(format!(
                    "{path}: uses {target}; generated messages stop at the encodings"
                ));
            }
            continue;
        }
        if let Some(own) = own
            && let Some(reason) = refusal(own, &module, &target)
        {
            let name = own.name;
            complaints.push(format!("{path}: {module} ({name}) uses {target}, {reason}"));
        }
    }
    complaints.sort();
    complaints.dedup();
    complaints
}

/// Why `module` must not see `target`; none when it may.
fn refusal(own: &Layer, module: &str, target: &str) -> Option<String> {
    let Some(layer) = layer_of(target) else {
        // Re-exports at the root, such as `crate::ReplError`, are types and functions of lower layers.
        let first = target.split("::").next().unwrap_or_default();
        let is_type = first.starts_with(|c: char| c.is_ascii_uppercase());
        return (!is_type).then(|| "which stands in no layer".to_owned());
    };
    // A front-door file re-exports what stands below its name, whichever layer holds it.
    if layer.name == own.name || is_within(target, module) {
        return None;
    }
    let may = own
        .sees
        .iter()
        .any(|seen| *seen == layer.name || is_within(target, seen));
    (!may).then(|| format!("which belongs to {}", layer.name))
}

/// The layer with the longest prefix of `module`.
fn layer_of(module: &str) -> Option<&'static Layer> {
    LAYERS
        .iter()
        .flat_map(|layer| layer.modules.iter().map(move |prefix| (prefix, layer)))
        .filter(|(prefix, _)| is_within(module, prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, layer)| layer)
}

fn is_within(module: &str, prefix: &str) -> bool {
    module
        .strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Complaints about a file headed `Pure:` that names the world.
pub(super) fn impurities(path: &str, text: &str) -> Vec<String> {
    if !rust::is_pure(text) {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for used in rust::paths(&rust::product_tokens(text)) {
        let names_address = used.get(1).is_some_and(|module| module == "net")
            && used
                .get(2)
                .is_some_and(|name| ADDRESSES.contains(&name.as_str()));
        let banned = IMPURE.iter().find(|banned| match banned {
            [single] => used.iter().any(|segment| segment == single),
            _ => banned.len() <= used.len() && banned.iter().zip(&used).all(|(a, b)| a == b),
        });
        if let Some(banned) = banned
            && !names_address
        {
            let banned = banned.join("::");
            complaints.push(format!("{path}: is headed Pure: and names {banned}"));
        }
    }
    complaints
}

/// Layers and users of generated messages that `architecture` does not name.
pub(super) fn undocumented(architecture: &str) -> Vec<String> {
    let modules = LAYERS.iter().flat_map(|layer| layer.modules);
    let names = LAYERS.iter().map(|layer| &layer.name);
    names
        .chain(modules)
        .chain(PROTO_USERS)
        .filter(|name| !architecture.contains(&format!("`{name}`")))
        .map(|name| {
            format!("ARCHITECTURE.md: does not name `{name}`, which stands in tests/tidy/layers.rs")
        })
        .collect()
}

#[test]
fn an_import_upwards_or_sideways_is_found() {
    let bad = [
        (
            "src/journal/op.rs",
            "use crate::journal::segment::Segment;",
            "belongs to storage",
        ),
        (
            "src/journal/writer.rs",
            "use crate::conduit::Conduit;",
            "belongs to wire",
        ),
        (
            "src/conduit/session.rs",
            "use crate::{error, sync::merge::{self, Merge}};",
            "belongs to sense",
        ),
        (
            "src/sync/engine.rs",
            "fn f() { crate::conduit::stats(); }",
            "belongs to wire",
        ),
        (
            "src/tree/scan.rs",
            "use crate::sync::engine::Engine;",
            "belongs to sense",
        ),
        (
            "src/tree/scan.rs",
            "use super::super::sync::merge;",
            "belongs to sense",
        ),
        (
            "src/cli/status.rs",
            "use crate::store::Store;",
            "belongs to sense",
        ),
        (
            "src/store/log.rs",
            "use crate::proto::v1;",
            "stop at the encodings",
        ),
        (
            "src/daemon/run.rs",
            "use unicode_width::UnicodeWidthStr;",
            "belongs to the faces",
        ),
        (
            "src/config.rs",
            "fn f(x: clap::Command) {}",
            "belongs to the faces",
        ),
        (
            "src/daemon/run.rs",
            "use crate::novel::X;",
            "stands in no layer",
        ),
        ("src/novel.rs", "", "give it a row"),
    ];
    for (path, text, why) in bad {
        let found = complaints(path, text);
        assert!(
            found.iter().any(|line| line.contains(why)),
            "{path}: {text}: {found:?}"
        );
    }
}

#[test]
fn an_import_downwards_is_no_complaint() {
    let good = [
        (
            "src/conduit/session.rs",
            "use crate::journal::batch::EntryBatch; use crate::daemon::tasks::Tasks;",
        ),
        ("src/conduit/wire.rs", "use crate::proto::v1;"),
        ("src/journal/codec/tests.rs", "use super::*;"),
        (
            "src/journal.rs",
            "pub use entry::JournalEntry; pub use self::op::OpKind;",
        ),
        ("src/tree/scan.rs", "use crate::sync::port::Engine;"),
        (
            "src/cli/status.rs",
            "use crate::admin::view::Status; use super::ui::Ui; use clap::Args;",
        ),
        (
            "src/sync.rs",
            "// use crate::conduit::X;\nconst A: &str = \"crate::conduit\";",
        ),
        (
            "src/sync/x.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::conduit::Pair;\n}\n",
        ),
        ("src/lib.rs", "pub use conduit::Conduit;"),
        ("src/daemon/run.rs", "use crate::ReplError;"),
    ];
    for (path, text) in good {
        let found = complaints(path, text);
        assert!(found.is_empty(), "{path}: {text}: {found:?}");
    }
}

#[test]
fn a_pure_file_that_names_the_world_is_found() {
    for text in [
        "use std::fs;",
        "use std::{fmt, fs::File};",
        "use std::net::TcpStream;",
        "fn f() { std::time::Instant::now(); }",
        "use tokio::sync::mpsc;",
        "use std::time::{Duration, SystemTime};",
        "fn f(fd: rustix::fd::OwnedFd) {}",
    ] {
        assert_eq!(
            impurities("x.rs", &format!("//! Pure: x.\n{text}")).len(),
            1,
            "{text}"
        );
        assert!(impurities("x.rs", &format!("//! Shell.\n{text}")).is_empty());
    }
    for text in [
        "use std::net::{IpAddr, SocketAddr};",
        "// tokio\nuse std::time::Duration;",
        "let s = \"std::fs\";",
    ] {
        assert!(
            impurities("x.rs", &format!("//! Pure: x.\n{text}")).is_empty(),
            "{text}"
        );
    }
}

#[test]
fn an_architecture_that_forgets_a_layer_is_found() {
    assert!(undocumented("").iter().any(|line| line.contains("`faces`")));
}
