//! Rules between keys, and what the disk says about them.
//!
//! A key that could not be read is not judged again: only what stands in the file and was understood is compared.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::problem::Spot;
use super::problem::{Findings, Refusal};
use super::units::format_duration;
use super::{Config, Existing, NAME_BYTES_MAX, Role, SOCKET_BYTES_MAX};

/// What [`Findings::unreadable`] is told when peers may be missing.
pub(super) const PEERS_KEY: &str = "peer";

/// What the name of a site or a cluster may be, for help texts.
pub const NAME_RULE: &str = "a-z, 0-9 and '-', at most 63 characters";

/// True when `text` can name a site or a cluster: one DNS label in lower case, as it stands in certificates.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A checked name.
pub(super) fn name(text: &str) -> Result<String, Refusal> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(
        format!("\"{text}\" is no name"),
        format!("use {NAME_RULE}"),
    ))
}

/// Rules between keys; the disk is not asked.
pub(super) fn relations(config: &Config, findings: &mut Findings) {
    roles(config, findings);
    peers(config, findings);
    reachability(config, findings);
    listeners(config, findings);
    socket(config, findings);
    ordered_durations(config, findings);
}

fn roles(config: &Config, findings: &mut Findings) {
    let site = &config.site;
    if site.role == Role::Primary && config.tree.existing == Existing::Match {
        let place = findings.place("tree.existing");
        findings.add(
            place,
            "a primary takes nothing of others, so it has nothing to compare its tree with",
            "remove it, or set role = \"bidirectional\"",
        );
    }
    if site.role != Role::Bidirectional && config.state.reclaim {
        let place = findings.place("state.reclaim");
        findings.add(
            place,
            "every site has to say what it knows, and to hear it of the others",
            "remove it, or set role = \"bidirectional\" at every site",
        );
    }
    let role_place = findings.place("site.role");
    let primary_place = findings.place("site.primary_site_id");
    match (site.role, site.primary_site_id) {
        (Role::Replica, None) => findings.add(
            role_place,
            "a replica must know whose tree it follows",
            "add primary_site_id = the id of that peer to [site]",
        ),
        (Role::Replica, Some(id))
            if config.peers.iter().all(|peer| peer.id != id)
                && !findings.is_unreadable(PEERS_KEY) =>
        {
            findings.add(
                primary_place,
                format!("primary_site_id {id} is no peer"),
                "add a [[peer]] with that id",
            );
        }
        (Role::Bidirectional | Role::Primary, Some(_)) => findings.add(
            primary_place,
            format!(
                "primary_site_id has no meaning for a site with role \"{}\"",
                site.role.as_str()
            ),
            "remove it, or set role = \"replica\"",
        ),
        (Role::Replica, Some(_)) | (Role::Bidirectional | Role::Primary, None) => {}
    }
}

fn peers(config: &Config, findings: &mut Findings) {
    for (index, peer) in config.peers.iter().enumerate() {
        let id_place = findings.place(&format!("peer[{index}].id"));
        let name_place = findings.place(&format!("peer[{index}].name"));
        let (id, name) = (peer.id, &peer.name);
        let earlier = |is_same: &dyn Fn(&super::PeerConfig) -> bool| {
            let mut before = config.peers.iter().take(index);
            before.position(is_same)
        };
        if id_place.is_some() && id == config.site.id {
            findings.add(
                id_place,
                format!("peer {id} has the id of this site"),
                "list only the other sites; give every site its own id",
            );
        } else if id_place.is_some()
            && let Some(first) = earlier(&|other| other.id == id)
        {
            let other = at(findings.place(&format!("peer[{first}].id")));
            findings.add(
                id_place,
                format!("two peers have the id {id}{other}"),
                "give every site its own id",
            );
        }
        if name_place.is_some() && *name == config.site.name {
            findings.add(
                name_place,
                format!("peer \"{name}\" has the name of this site"),
                "list only the other sites; give every site its own name",
            );
        } else if name_place.is_some()
            && let Some(first) = earlier(&|other| other.name == *name)
        {
            let other = at(findings.place(&format!("peer[{first}].name")));
            findings.add(
                name_place,
                format!("two peers have the name \"{name}\"{other}"),
                "give every site its own name",
            );
        }
    }
}

/// Where the other one of two stands.
fn at(spot: Option<Spot>) -> String {
    spot.map_or_else(String::new, |spot| {
        format!("; the other one stands at {spot}")
    })
}

/// A connection must be possible, and only an encrypted one.
fn reachability(config: &Config, findings: &mut Findings) {
    let has_tls = config.tls.is_some() || findings.place("tls").is_some();
    if !has_tls && !config.peers.is_empty() {
        findings.add(
            findings.place("peer[0]"),
            "there are peers, but no [tls] section, and sites talk only over TLS",
            "add [tls] with cert, key and ca",
        );
    }
    if config.conduit.listen.is_some() || findings.is_unreadable("conduit.listen") {
        return;
    }
    for (index, peer) in config.peers.iter().enumerate() {
        let key = format!("peer[{index}]");
        let unreadable = findings.is_unreadable(&format!("{key}.endpoints"));
        if peer.endpoints.is_empty() && !unreadable {
            findings.add(
                findings.place(&key),
                format!(
                    "peer {} has no endpoints and this site does not listen: they can never meet",
                    peer.id
                ),
                "add endpoints to the peer, or listen to [conduit]",
            );
        }
    }
}

/// Two listeners cannot have one address, and commands over the network need certificates.
fn listeners(config: &Config, findings: &mut Findings) {
    let listeners = [
        ("conduit.listen", config.conduit.listen),
        ("admin.listen", config.admin.listen),
        ("metrics.listen", config.metrics.listen),
    ];
    for (index, (key, address)) in listeners.iter().enumerate() {
        let Some(address) = address else { continue };
        let mut before = listeners.iter().take(index);
        if let Some((other, _)) = before.find(|(_, other)| *other == Some(*address)) {
            findings.add(
                findings.place(key),
                format!("{key} and {other} are both {address}"),
                "give each its own port",
            );
        }
    }
    let has_tls = config.tls.is_some() || findings.place("tls").is_some();
    if config.admin.listen.is_some() && !has_tls {
        findings.add(
            findings.place("admin.listen"),
            "admin.listen takes commands only with certificates, and there is no [tls] section",
            "add [tls] with cert, key and ca, or remove admin.listen",
        );
    }
}

/// The kernel bounds the path of the admin socket.
fn socket(config: &Config, findings: &mut Findings) {
    let length = config.admin.socket.as_os_str().len();
    if length > SOCKET_BYTES_MAX {
        let key = ["admin.socket", "state.dir"];
        findings.add(
            key.iter().find_map(|key| findings.place(key)),
            format!("the admin socket would have a path of {length} bytes, and {SOCKET_BYTES_MAX} are possible"),
            "choose a shorter path: admin.socket, or else state.dir",
        );
    }
}

fn ordered_durations(config: &Config, findings: &mut Findings) {
    let (tree, conduit) = (&config.tree, &config.conduit);
    for (low_key, low, high_key, high) in [
        (
            "tree.settle",
            tree.settle,
            "tree.settle_max",
            tree.settle_max,
        ),
        (
            "conduit.reconnect_delay",
            conduit.reconnect_delay,
            "conduit.max_reconnect_delay",
            conduit.max_reconnect_delay,
        ),
    ] {
        let place = findings.place(high_key).or_else(|| findings.place(low_key));
        if place.is_some() && low > high {
            let (low, high) = (format_duration(low), format_duration(high));
            findings.add(
                place,
                format!("{high_key} ({high}) is shorter than {low_key} ({low})"),
                format!("raise {high_key} or lower {low_key}"),
            );
        }
    }
}

/// What the system says: groups that may ask exist.
pub(super) fn groups(config: &Config, findings: &mut Findings) {
    let admin = &config.admin;
    for (key, group) in [
        ("admin.read_group", &admin.read_group),
        ("admin.write_group", &admin.write_group),
    ] {
        let Some(group) = group else { continue };
        if uzers::get_group_by_name(group).is_none() {
            findings.add(
                findings.place(key),
                format!("{key}: there is no group {group} on this system, and the daemon does not start without it"),
                format!("groupadd --system {group}, or correct the name"),
            );
        }
    }
}

/// What the disk says: the root is there, and the state lies outside it.
pub(super) fn disk(config: &Config, findings: &mut Findings) {
    let Some(root_place) = findings.place("tree.root") else {
        return;
    };
    let root = &config.tree.root;
    let shown = root.display();
    match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => findings.add(
            Some(root_place.clone()),
            format!("tree.root: {shown} is not a directory"),
            "name the top directory of the tree",
        ),
        Err(error) => findings.add(
            Some(root_place.clone()),
            format!("tree.root: cannot use {shown}: {error}"),
            "create the directory or correct the path",
        ),
    }
    if findings.is_unreadable("state.dir") {
        return;
    }
    let (root, state) = (real_path(root), real_path(&config.state.dir));
    if state.starts_with(&root) {
        let state_place = findings.place("state.dir");
        findings.add(
            state_place.or(Some(root_place)),
            format!("state.dir: {} lies inside the tree {}", state.display(), root.display()),
            "choose a folder outside the tree, such as /var/lib/cfs-repl: the journal must not replicate itself",
        );
    }
    keys_in_tree(config, &root, findings);
}

/// Private keys in the tree would be sent to every site.
fn keys_in_tree(config: &Config, root: &Path, findings: &mut Findings) {
    let Some(tls) = &config.tls else { return };
    let keys = [
        ("tls.key", Some(&tls.key)),
        ("tls.ca_key", tls.ca_key.as_ref()),
    ];
    for (name, key) in keys {
        let Some(key) = key
            .map(|key| real_path(key))
            .filter(|key| key.starts_with(root))
        else {
            continue;
        };
        findings.add(
            findings.place(name).or_else(|| findings.place("tls")),
            format!(
                "{name}: {} lies inside the tree {}",
                key.display(),
                root.display()
            ),
            "put it outside the tree, such as in /etc/cfs-repl/tls: every other site would get it",
        );
    }
}

/// The path without symbolic links and `..`; what does not exist yet is taken as it is written.
pub(super) fn real_path(path: &Path) -> PathBuf {
    let mut real = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                real.pop();
            }
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                real.push(component);
                if let Ok(resolved) = fs::canonicalize(&real) {
                    real = resolved;
                }
            }
        }
    }
    real
}
