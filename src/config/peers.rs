//! `peers.toml` in the state folder: the sites that joined by invitation, written by the daemon itself.
//!
//! The file holds `[[peer]]` tables by the same rules as the configuration, and is read after it. It is replaced as a
//! whole and durably: after a power loss it holds the tables from before or those from after.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::PeerConfig;
use super::decode::decode;
use super::example::quoted;
use super::problem::{Findings, Source};
use super::reader::{Scope, Settings, read_text};
use super::units::Endpoint;
use crate::error::{ReplError, Result};

/// Name of the file in the state folder.
pub const PEERS_FILE: &str = "peers.toml";

const HEAD: &str = "# Sites that joined by invitation. cfs-repl writes this file; a site is taken out by:\n\
                    # cfs-repl sites remove NAME\n";

/// The file of a state folder.
#[must_use]
pub fn file_in(state: &Path) -> PathBuf {
    state.join(PEERS_FILE)
}

/// One `[[peer]]` table, with a line feed at its end.
#[must_use]
pub fn render(id: u64, name: &str, endpoints: &[Endpoint]) -> String {
    let name = quoted(name);
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|endpoint| quoted(&endpoint.to_string()))
        .collect();
    let endpoints = endpoints.join(", ");
    format!("[[peer]]\nid = {id}\nname = {name}\nendpoints = [{endpoints}]\n")
}

/// Adds a peer to the file in `state`. One that stands there already, as it is, is not added twice. One caller at a
/// time: the daemon, which owns the folder.
///
/// # Errors
/// [`ReplError::Serialization`] when the file cannot be read as such, or would not be afterwards: the id or the name is
/// taken. [`ReplError::Io`] when it cannot be read or written; it is as it was then.
pub fn append(state: &Path, peer: &PeerConfig) -> Result<()> {
    let file = file_in(state);
    let before = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => HEAD.to_owned(),
        Err(error) => return Err(ReplError::io("read", &file, error)),
    };
    let known = read(&before, &file)?;
    if known.contains(peer) {
        return Ok(());
    }
    if let Some(other) = known
        .iter()
        .find(|other| other.id == peer.id || other.name == peer.name)
    {
        let (id, name) = (other.id, &other.name);
        let reason = format!(
            "{} holds the peer {id}, \"{name}\": id and name must be new",
            file.display()
        );
        return Err(ReplError::serialization("peer", reason));
    }
    let table = render(peer.id, &peer.name, &peer.endpoints);
    let after = format!("{}\n\n{table}", before.trim_end());
    // What the next start would refuse must not be written.
    read(&after, &file)?;
    replace(&file, after.as_bytes())
}

/// Takes a peer out of the file in `state`. Returns whether it was there.
///
/// # Errors
/// As [`append`].
pub fn remove(state: &Path, name: &str) -> Result<bool> {
    let file = file_in(state);
    let before = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(ReplError::io("read", &file, error)),
    };
    let known = read(&before, &file)?;
    if known.iter().all(|peer| peer.name != name) {
        return Ok(false);
    }
    let mut after = HEAD.to_owned();
    for peer in known.iter().filter(|peer| peer.name != name) {
        after.push('\n');
        after.push_str(&render(peer.id, &peer.name, &peer.endpoints));
    }
    replace(&file, after.as_bytes())?;
    Ok(true)
}

fn read(text: &str, file: &Path) -> Result<Vec<PeerConfig>> {
    let mut findings = Findings::new(file.to_owned());
    let mut settings = Settings::default();
    let source = Source::Peers(file.to_owned());
    let base = Path::new("");
    read_text(
        text,
        &source,
        Scope::Peers,
        base,
        &mut settings,
        &mut findings,
    );
    match findings.into_error() {
        Some(error) => Err(ReplError::serialization("peers", error.to_string())),
        None => Ok(decode(&settings).peers),
    }
}

/// Replaces a file that only its owner reads: after a power loss it holds the old bytes or the new ones.
///
/// # Errors
/// [`ReplError::Io`] when the disk refuses.
pub fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let failed = |error| ReplError::io("write", &new, error);
    let mut output = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed)?;
    output.write_all(bytes).map_err(failed)?;
    output.sync_all().map_err(failed)?;
    fs::rename(&new, file).map_err(|error| ReplError::io("replace", file, error))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| ReplError::io("sync folder", folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peer(id: u64, name: &str) -> PeerConfig {
        PeerConfig {
            id,
            name: name.to_owned(),
            endpoints: vec!["[2001:db8::1]:7443".parse().unwrap()],
        }
    }

    #[test]
    fn what_is_appended_is_read_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = file_in(dir.path());
        for (id, name) in [(2, "iad-2"), (3, "gru-3"), (2, "iad-2")] {
            append(dir.path(), &peer(id, name)).unwrap();
        }
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# Sites that joined"), "{text}");
        let peers = read(&text, &file).unwrap();
        assert_eq!(peers, [peer(2, "iad-2"), peer(3, "gru-3")]);
        assert!(!dir.path().join("peers.toml.new").exists());
    }

    #[test]
    fn a_peer_that_the_next_start_would_refuse_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        append(dir.path(), &peer(2, "iad-2")).unwrap();
        let before = fs::read(file_in(dir.path())).unwrap();
        for bad in [
            peer(2, "gru-3"),
            peer(3, "iad-2"),
            peer(0, "zero"),
            peer(4, "a\"\n[[peer]]\nid = 9"),
        ] {
            append(dir.path(), &bad).unwrap_err();
            assert_eq!(fs::read(file_in(dir.path())).unwrap(), before, "{bad:?}");
        }
    }

    #[test]
    fn a_peer_that_is_taken_out_is_gone_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!remove(dir.path(), "iad-2").unwrap());
        for (id, name) in [(2, "iad-2"), (3, "gru-3")] {
            append(dir.path(), &peer(id, name)).unwrap();
        }
        assert!(remove(dir.path(), "iad-2").unwrap());
        assert!(!remove(dir.path(), "iad-2").unwrap());
        let file = file_in(dir.path());
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(read(&text, &file).unwrap(), [peer(3, "gru-3")]);
    }

    #[test]
    fn a_file_that_somebody_broke_is_named_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(file_in(dir.path()), "[[peer]]\nid = x\n").unwrap();
        let error = append(dir.path(), &peer(2, "iad-2"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("peers.toml:2:"), "{error}");
        let left = fs::read_to_string(file_in(dir.path())).unwrap();
        assert_eq!(left, "[[peer]]\nid = x\n");
    }

    #[test]
    fn a_half_written_file_of_before_a_crash_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("peers.toml.new"), "[[peer]]\nid = 9\nna").unwrap();
        append(dir.path(), &peer(2, "iad-2")).unwrap();
        let text = fs::read_to_string(file_in(dir.path())).unwrap();
        assert_eq!(read(&text, Path::new("x")).unwrap(), [peer(2, "iad-2")]);
    }

    proptest! {
        #[test]
        fn any_name_is_quoted(name: String) {
            let table: toml::Table = render(1, &name, &[]).parse().unwrap();
            let told = table["peer"][0]["name"].as_str().unwrap();
            prop_assert_eq!(told, name);
        }
    }
}
