//! Pure: the commented configuration that `init` writes.
//!
//! A line that starts with `#` and a letter is a default, spelled out; a line that starts with `# ` explains. A test
//! removes the first kind of mark and finds that nothing changes, so the file cannot drift from the code.

use std::path::Path;

use super::Role;
use super::units::Endpoint;

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

pub(super) fn text(values: &Example<'_>) -> String {
    let mut text = format!(
        "# Configuration of one cfs-repl site. Commented-out keys show their defaults.\n\
         # Relative paths start at the folder of this file. An unknown key is an error.\n\
         # Durations: \"200ms\" \"30s\" \"1h30m\" \"30d\". Sizes: \"64KiB\" \"64MiB\" \"20GiB\".\n\n\
         {}\n{}\n{}\n{}\n{}\n{CONFLICTS_AND_LOG}",
        site(values),
        tree(values),
        state(values),
        conduit(values),
        tls(values),
    );
    for peer in values.peers {
        text.push('\n');
        text.push_str(&self::peer(peer));
    }
    if values.peers.is_empty() {
        text.push_str(NO_PEERS);
    }
    text
}

fn site(values: &Example<'_>) -> String {
    let (id, name, cluster) = (values.site_id, quoted(values.name), quoted(values.cluster));
    let role = if values.role == Role::default() {
        "#role = \"bidirectional\"".to_owned()
    } else {
        format!("role = {}", quoted(values.role.as_str()))
    };
    let primary = values.primary_site_id.map_or_else(
        || "# primary_site_id = 1".to_owned(),
        |id| format!("primary_site_id = {id}"),
    );
    format!(
        "[site]\n\
         # Number of this site, 1 to 65535, and its name: different on every site, for ever the same on one.\n\
         id = {id}\n\
         name = {name}\n\
         # The same on every site; certificates are made out to <name>.<cluster>.cfs-repl.\n\
         cluster = {cluster}\n\
         # bidirectional: sends and applies. primary: sends only. replica: applies only.\n\
         {role}\n\
         # The site that a replica follows; only with role = \"replica\".\n\
         {primary}\n"
    )
}

fn tree(values: &Example<'_>) -> String {
    let root = quoted_path(values.root);
    format!(
        "[tree]\n\
         # Top of the directory tree that is kept in step. It must exist.\n\
         root = {root}\n\
         # Names that are neither sent, nor applied, nor removed (gitignore grammar).\n\
         #exclude = []\n\
         # How often the whole tree is read again, should a notice have been missed. Minimum: 10s.\n\
         #scan_interval = \"1h\"\n\
         # How long a file that is still open must rest before it is read. Minimum: 10ms.\n\
         #settle = \"1s\"\n\
         # The longest that a file which never rests is put off. Minimum: settle.\n\
         #settle_max = \"5s\"\n\
         # The brake: when one site deletes more than this share of a tree of at least brake_files files within\n\
         # brake_window, applying from it is held until an operator resumes it. \"100%\" turns it off.\n\
         #brake_percent = \"50%\"\n\
         #brake_files = 1000\n\
         #brake_window = \"60s\"\n"
    )
}

fn state(values: &Example<'_>) -> String {
    let dir = quoted_path(values.state);
    format!(
        "[state]\n\
         # Folder of the journal and the state: outside the tree, mode 0700. Default: \"/var/lib/cfs-repl\".\n\
         dir = {dir}\n\
         # Room for the journal. A site for which more than this would have to be kept is fenced, loudly.\n\
         # Minimum: 256MiB.\n\
         #journal_budget = \"20GiB\"\n\
         # The journal is kept from its beginning up to this size, although every peer has it: as long as it is\n\
         # whole, a further site can join with an empty tree. Above, what nobody needs goes. Minimum: 0B.\n\
         #journal_keep = \"1GiB\"\n\
         # A site that was not heard for so long, while this one ran, is fenced, loudly. Minimum: 1h.\n\
         #max_absence = \"30d\"\n"
    )
}

fn conduit(values: &Example<'_>) -> String {
    let listen = values.listen.map_or_else(
        || "# listen = \"0.0.0.0:7443\"".to_owned(),
        |address| format!("listen = {}", quoted(&address.to_string())),
    );
    format!(
        "[conduit]\n\
         # Address on which other sites are accepted. Without it this site only dials.\n\
         {listen}\n\
         # Most that is under way to a peer without a receipt. 1 to 1000000 entries; 1MiB to 1GiB.\n\
         #window_entries = 4096\n\
         #window_bytes = \"8MiB\"\n\
         # A lost connection is dialled again after a random wait, whose upper end grows from one to the other.\n\
         # Minimum: 10ms.\n\
         #reconnect_delay = \"200ms\"\n\
         #max_reconnect_delay = \"30s\"\n"
    )
}

fn tls(values: &Example<'_>) -> String {
    let (mark, dir) = match values.tls {
        Some(dir) => ("", dir),
        None => ("# ", Path::new("tls")),
    };
    let file = |name: &str| quoted_path(&dir.join(name));
    let cert = file(&format!("{}.pem", values.name));
    let key = file(&format!("{}.key", values.name));
    let (ca, ca_key) = (file("ca.pem"), file("ca.key"));
    let ca_key_mark = if values.ca_key { "" } else { "# " };
    format!(
        "# Certificates, PEM. Sites talk only over TLS and each proves who it is; needed as soon as there is a peer.\n\
         {mark}[tls]\n\
         {mark}cert = {cert}\n\
         # Readable by its owner alone.\n\
         {mark}key = {key}\n\
         {mark}ca = {ca}\n\
         # Key of the authority, at the one site that invites others: cfs-repl help join. Readable by its owner alone.\n\
         {ca_key_mark}ca_key = {ca_key}\n"
    )
}

fn peer(peer: &ExamplePeer) -> String {
    let (id, name) = (peer.id, quoted(&peer.name));
    let endpoints: Vec<String> = peer
        .endpoints
        .iter()
        .map(|endpoint| quoted(&endpoint.to_string()))
        .collect();
    let endpoints = endpoints.join(", ");
    format!(
        "[[peer]]\n\
         id = {id}\n\
         name = {name}\n\
         # Where it listens, tried in turn. Empty: it dials this site.\n\
         endpoints = [{endpoints}]\n"
    )
}

const CONFLICTS_AND_LOG: &str = "[conflicts]\n\
    # Share of the filesystem that the content of losers may take; beyond it, acknowledged ones go first.\n\
    #keep = \"10%\"\n\
    # How long a loser stays restorable. Minimum: 1h.\n\
    #retention = \"30d\"\n\
    # Losers up to this size are kept at every site, larger ones where they were written or lost. 0B: none elsewhere.\n\
    #everywhere = \"64MiB\"\n\
    \n\
    [trash]\n\
    # Keep files that others removed or replaced without a conflict as long as losers; else they go after a minute.\n\
    #keep_deleted = false\n\
    \n\
    [log]\n\
    # error, warn, info, debug or trace. Names of files appear from debug on.\n\
    #level = \"info\"\n\
    # pretty or json.\n\
    #format = \"pretty\"\n";

const NO_PEERS: &str = "\n\
    # One section for each other site:\n\
    # [[peer]]\n\
    # id = 2\n\
    # name = \"iad-2\"\n\
    # endpoints = [\"iad.example.net:7443\"]\n";

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A path as a TOML string. TOML is UTF-8: whoever fills [`Example`] refuses other paths before.
fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}
