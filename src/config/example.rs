//! Pure: the commented configuration that `init` writes.
//!
//! A line that starts with `#` and a letter is a default, spelled out; a line that starts with `# ` explains. A test
//! removes the first kind of mark and finds that nothing changes. Every word comes from [`super::keys`].

use std::collections::BTreeMap;
use std::path::Path;

use super::keys::{Form, Key, SECTIONS, Section, Unset};
use super::peers;
use super::units::Endpoint;
use super::{Existing, Role};

/// Width of a comment in columns, as of the code.
const WIDTH: usize = 118;

/// What an operator decides; everything else in the file is a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example<'a> {
    /// Number of this site.
    pub site_id: u64,
    /// Name of this site.
    pub name: &'a str,
    /// Name of the cluster.
    pub cluster: &'a str,
    /// What this site does.
    pub role: Role,
    /// With [`Role::Replica`]: the site that it follows.
    pub primary_site_id: Option<u64>,
    /// What becomes of files that are there.
    pub existing: Existing,
    /// Top of the tree.
    pub root: &'a Path,
    /// State folder.
    pub state: &'a Path,
    /// Address on which other sites are accepted.
    pub listen: Option<std::net::SocketAddr>,
    /// Folder of `ca.pem`, `<name>.pem` and `<name>.key`, as `conduit::pki` names them. None leaves the section `[tls]` commented out.
    pub tls: Option<&'a Path>,
    /// Whether `ca.key` is in that folder, too: this site invites others.
    pub ca_key: bool,
    /// The other sites.
    pub peers: &'a [ExamplePeer],
}

/// A `[[peer]]` of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExamplePeer {
    /// Number of the other site.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Where it listens; empty when it dials this site.
    pub endpoints: Vec<Endpoint>,
}

const HEAD: &str = "\
# Configuration of one cfs-repl site. Commented-out keys show their defaults; an unknown key is an error.
# Files conf.d/*.toml beside this one are read after it, in the order of their names: a key in them overrides that key
# here, and [[peer]] tables add up. A variable such as CFS_REPL_TREE__SETTLE overrides both.
# Relative paths start at the folder of this file.
# Durations: \"200ms\" \"30s\" \"1h30m\" \"30d\". Sizes: \"64KiB\" \"64MiB\" \"20GiB\".
# What holds in the end, and where it comes from: cfs-repl config show --origin
";

/// The values of an example by section and key, spelled as in TOML.
type Values = BTreeMap<(&'static str, &'static str), String>;

pub(super) fn text(values: &Example<'_>) -> String {
    let set = set(values);
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        text.push('\n');
        match section.form {
            Form::Once => one(section, &set, "", &mut text),
            Form::Optional => {
                let mark = if values.tls.is_some() { "" } else { "# " };
                one(section, &set, mark, &mut text);
            }
            Form::Many if values.peers.is_empty() => one(section, &set, "# ", &mut text),
            Form::Many => all_peers(section, values.peers, &mut text),
        }
    }
    text
}

/// What the example sets otherwise than by default.
fn set(values: &Example<'_>) -> Values {
    let mut set = Values::new();
    set.insert(("site", "id"), values.site_id.to_string());
    set.insert(("site", "name"), quoted(values.name));
    set.insert(("site", "cluster"), quoted(values.cluster));
    if values.role != Role::default() {
        set.insert(("site", "role"), quoted(values.role.as_str()));
    }
    if let Some(id) = values.primary_site_id {
        set.insert(("site", "primary_site_id"), id.to_string());
    }
    set.insert(("tree", "root"), quoted_path(values.root));
    if values.existing != Existing::default() {
        set.insert(("tree", "existing"), quoted(values.existing.as_str()));
    }
    set.insert(("state", "dir"), quoted_path(values.state));
    if let Some(address) = values.listen {
        set.insert(("conduit", "listen"), quoted(&address.to_string()));
    }
    let dir = values.tls.unwrap_or(Path::new("tls"));
    let file = |name: &str| quoted_path(&dir.join(name));
    set.insert(("tls", "cert"), file(&format!("{}.pem", values.name)));
    set.insert(("tls", "key"), file(&format!("{}.key", values.name)));
    set.insert(("tls", "ca"), file("ca.pem"));
    if values.ca_key {
        set.insert(("tls", "ca_key"), file("ca.key"));
    }
    set
}

/// A section with its keys; `mark` comments all of it out.
fn one(section: &Section, set: &Values, mark: &str, text: &mut String) {
    comment(section.doc, text);
    let brackets = match section.form {
        Form::Many => format!("[[{}]]", section.name),
        Form::Once | Form::Optional => format!("[{}]", section.name),
    };
    text.push_str(&format!("{mark}{brackets}\n"));
    for key in section.keys {
        comment(&explained(key), text);
        let name = key.name;
        let line = match (set.get(&(section.name, name)), key.unset) {
            (Some(value), _) => format!("{mark}{name} = {value}\n"),
            (None, Unset::Value(literal)) if mark.is_empty() => format!("#{name} = {literal}\n"),
            (None, Unset::Value(sample))
            | (None, Unset::Nothing { sample } | Unset::Required { sample, .. }) => {
                format!("# {name} = {sample}\n")
            }
            (None, Unset::InState(file)) => {
                format!(
                    "# {name} = {}\n",
                    quoted(&format!("/var/lib/cfs-repl/{file}"))
                )
            }
        };
        text.push_str(&line);
    }
}

fn all_peers(section: &Section, peers: &[ExamplePeer], text: &mut String) {
    comment(section.doc, text);
    for key in section.keys {
        comment(&format!("{}: {}", key.name, key.doc), text);
    }
    for (index, peer) in peers.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&peers::render(peer.id, &peer.name, &peer.endpoints));
    }
}

/// What a key means, and its limits.
pub(super) fn explained(key: &Key) -> String {
    match key.kind.limits() {
        Some(limits) => format!("{} {limits}", key.doc),
        None => key.doc.to_owned(),
    }
}

/// Lines of a comment, broken between words.
fn comment(words: &str, text: &mut String) {
    let mut line = String::new();
    for word in words.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
            text.push_str(&format!("#{line}\n"));
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    if !line.is_empty() {
        text.push_str(&format!("#{line}\n"));
    }
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A path as a TOML string. TOML is UTF-8: whoever fills [`Example`] refuses other paths before.
fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}
