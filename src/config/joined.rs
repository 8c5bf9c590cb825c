//! The sites that joined by invitation: `peers.toml` in the state folder, written by the daemon, read behind the
//! configuration.
//!
//! The file is replaced as a whole, durably, so that a site that was told that it is taken in is known after a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::problem::Findings;
use super::reader::Section;
use super::{Config, ConfigError, FILE_BYTES_MAX, PeerConfig, Problem, decode};

/// Its name in the state folder.
pub const FILE: &str = "peers.toml";
/// What stands above the tables.
const HEAD: &str = "# Sites that joined this one by invitation. Written by cfs-repl; a site is taken out by:\n\
                    # cfs-repl sites remove NAME\n";

/// Path of the file.
#[must_use]
pub fn file(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// The sites of the file. None: nobody joined.
///
/// # Errors
/// When it cannot be read or is damaged.
pub fn read(state: &Path) -> Result<Vec<PeerConfig>, ConfigError> {
    let path = file(state);
    let failed = |what: String| {
        ConfigError {
        file: path.clone(),
        problems: vec![Problem {
            place: None,
            what,
            hint: "put the file back, or take it away and name the sites as [[peer]] in the configuration".to_owned(),
        }],
    }
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) if text.len() as u64 > FILE_BYTES_MAX => {
            return Err(failed(format!(
                "the file has more than {FILE_BYTES_MAX} bytes"
            )));
        }
        Ok(text) => text,
        // A state folder that is not there, or that others may not enter, is told by whoever needs it.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(format!("cannot read the file: {error}"))),
    };
    let mut findings = Findings::default();
    let peers = parse(&text, &mut findings);
    findings.into_error(path.clone()).map_or(Ok(peers), Err)
}

fn parse(text: &str, findings: &mut Findings) -> Vec<PeerConfig> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        findings.add(None, error.message(), "correct the TOML syntax here");
    }
    let mut section = Section::file(text, table.get_ref(), findings);
    let peers = section.sections("peer", decode::peer);
    section.refuse_unknown();
    peers
}

/// Adds a site to the file, or replaces the one with its number.
///
/// # Errors
/// When the file is damaged or the disk refuses; it is as it was then.
pub fn add(state: &Path, peer: &PeerConfig) -> Result<(), String> {
    let mut peers = read(state).map_err(|error| error.to_string())?;
    peers.retain(|known| known.id != peer.id);
    peers.push(peer.clone());
    replace(state, &peers).map_err(|error| error.to_string())
}

/// Takes a site out of the file. Returns whether it was there.
///
/// # Errors
/// As [`add`].
pub fn remove(state: &Path, name: &str) -> Result<bool, String> {
    let mut peers = read(state).map_err(|error| error.to_string())?;
    let before = peers.len();
    peers.retain(|known| known.name != name);
    if peers.len() == before {
        return Ok(false);
    }
    replace(state, &peers).map_err(|error| error.to_string())?;
    Ok(true)
}

fn replace(state: &Path, peers: &[PeerConfig]) -> io::Result<()> {
    let mut text = HEAD.to_owned();
    for peer in peers {
        text.push_str(&table(peer));
    }
    write_whole(&file(state), text.as_bytes())
}

/// Replaces a file durably: it holds the old bytes or the new ones, whatever happens.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut output = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    output.write_all(bytes)?;
    output.sync_all()?;
    fs::rename(&fresh, path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Pure: one `[[peer]]` table. Names and endpoints need no escaping: they were read by rules that leave nothing to it.
fn table(peer: &PeerConfig) -> String {
    let endpoints: Vec<String> = peer
        .endpoints
        .iter()
        .map(|endpoint| toml::Value::String(endpoint.to_string()).to_string())
        .collect();
    let (id, name, endpoints) = (peer.id, &peer.name, endpoints.join(", "));
    format!("\n[[peer]]\nid = {id}\nname = \"{name}\"\nendpoints = [{endpoints}]\n")
}

impl Config {
    /// Takes in the sites that joined by invitation.
    pub(super) fn with_joined(mut self) -> Result<Self, ConfigError> {
        for peer in read(&self.state.dir)? {
            let twice = |known: &PeerConfig| known.id == peer.id || known.name == peer.name;
            if let Some(known) = self.peers.iter().find(|known| twice(known)) {
                // The same site, moved to the configuration by an operator.
                if known.id == peer.id && known.name == peer.name {
                    continue;
                }
                let (name, other) = (&peer.name, &known.name);
                return Err(ConfigError {
                    file: file(&self.state.dir),
                    problems: vec![Problem {
                        place: None,
                        what: format!(
                            "site {name} with number {} joined by invitation, and [[peer]] {other} of the \
                             configuration has its number or its name",
                            peer.id
                        ),
                        hint: format!(
                            "give [[peer]] {other} another number and name, or take one of the two away"
                        ),
                    }],
                });
            }
            self.peers.push(peer);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: u64, name: &str, endpoints: &[&str]) -> PeerConfig {
        PeerConfig {
            id,
            name: name.to_owned(),
            endpoints: endpoints.iter().map(|e| e.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_site_that_joined_is_there_until_it_is_taken_out() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(read(state.path()).unwrap(), []);
        let b = peer(2, "b", &["b.example.net:7443", "[::1]:7"]);
        add(state.path(), &b).unwrap();
        add(state.path(), &peer(3, "c", &[])).unwrap();
        add(state.path(), &peer(3, "d", &[])).unwrap();
        assert_eq!(read(state.path()).unwrap(), [b, peer(3, "d", &[])]);
        assert!(remove(state.path(), "b").unwrap() && !remove(state.path(), "b").unwrap());
        assert_eq!(read(state.path()).unwrap(), [peer(3, "d", &[])]);
    }

    #[test]
    fn a_damaged_file_is_told_and_not_replaced() {
        let state = tempfile::tempdir().unwrap();
        fs::write(file(state.path()), "[[peer]]\nid = 2\nnane = \"b\"\n").unwrap();
        let error = read(state.path()).unwrap_err().to_string();
        assert!(
            error.contains("peers.toml") && error.contains("nane"),
            "{error}"
        );
        add(state.path(), &peer(3, "c", &[])).unwrap_err();
        assert!(
            fs::read_to_string(file(state.path()))
                .unwrap()
                .contains("nane")
        );
    }
}
