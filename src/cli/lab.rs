//! Two sites on this machine: folders, certificates, ports and configurations, for `demo` and `pair`.
//!
//! A lab owns one folder: `tls`, and `a` and `b` with configuration, log and state of a site. The trees may lie
//! anywhere else. Configurations are written anew for every start, because the ports are; state and certificates stay.

pub(super) mod child;
pub(super) mod interrupt;
pub(super) mod sight;
pub(super) mod wait;

use std::fs::{self, DirBuilder};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::exit::{CliError, Exit, Failure};
use crate::clock::{Clock, SystemClock};
use crate::conduit::pki;
use crate::config::units::Endpoint;
use crate::config::{Config, Example, ExamplePeer, Role, SOCKET_BYTES_MAX};
use crate::error::ReplError;

/// Name of the cluster in the certificates.
const CLUSTER: &str = "lab";
/// Life of the certificates in days: as long as that of the authority, for nobody renews them.
const CERTIFICATE_DAYS: u32 = 3_650;
/// What a lab sets otherwise than the defaults: on one machine nobody has to wait for a peer, so a restarted one is
/// dialled at once.
const SETTINGS: [(&str, &str); 1] = [("max_reconnect_delay", "\"500ms\"")];

/// One site of a lab.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// Name, as in its certificate.
    pub(super) name: &'static str,
    /// Number in the cluster.
    pub(super) id: u64,
    /// Top of its tree.
    pub(super) tree: PathBuf,
    /// Folder of its state.
    pub(super) state: PathBuf,
    /// Its configuration.
    pub(super) config: PathBuf,
    /// What its daemon says.
    pub(super) log: PathBuf,
}

impl Site {
    fn new(folder: &Path, (id, name, short): (u64, &'static str, &str), tree: PathBuf) -> Self {
        let home = folder.join(short);
        Self {
            name,
            id,
            tree,
            state: home.join("state"),
            config: home.join("config.toml"),
            log: home.join("log"),
        }
    }

    /// Where its daemon answers, as `--server` takes it.
    pub(super) fn server(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.state.join("admin.sock")
    }

    /// Whether it was started before.
    pub(super) fn is_known(&self) -> bool {
        self.state.join("journal").exists()
    }

    /// Makes the folder of the state, for its owner alone.
    fn make_folders(&self) -> Result<(), CliError> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.state);
        made.map_err(|error| ReplError::io("create state folder", &self.state, error).into())
    }
}

/// Two sites, site-a and site-b, that know each other.
#[derive(Debug)]
pub(super) struct Lab {
    folder: PathBuf,
    /// The first site.
    pub(super) a: Site,
    /// The second site.
    pub(super) b: Site,
}

impl Lab {
    /// A lab in `folder`, an absolute path, with these trees. Nothing is made yet.
    ///
    /// # Errors
    /// When a path is too long for a socket or is no UTF-8.
    pub(super) fn new(folder: &Path, tree_a: PathBuf, tree_b: PathBuf) -> Result<Self, CliError> {
        let lab = Self {
            folder: folder.to_owned(),
            a: Site::new(folder, (1, "site-a", "a"), tree_a),
            b: Site::new(folder, (2, "site-b", "b"), tree_b),
        };
        for path in [&lab.folder, &lab.a.tree, &lab.b.tree] {
            if path.to_str().is_none() {
                return Err(unusable(path, "it is not UTF-8, as a configuration must be").into());
            }
        }
        if lab.a.socket().as_os_str().len() > SOCKET_BYTES_MAX {
            return Err(unusable(
                folder,
                "it is too long for the sockets of the daemons (107 bytes)",
            )
            .into());
        }
        Ok(lab)
    }

    /// The folder of everything but the trees.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes folders, certificates where they are missing, and configurations with ports that are free now.
    ///
    /// # Errors
    /// When something cannot be written, or a site would be refused by its daemon.
    pub(super) fn prepare(&self) -> Result<(), CliError> {
        self.a.make_folders()?;
        self.b.make_folders()?;
        self.certify()?;
        let [port_a, port_b] = free_ports()?;
        // Both dial, as two sites do that reach each other; of two connections the one that site-a dialled stays.
        self.configure(&self.a, port_a, (&self.b, port_b))?;
        self.configure(&self.b, port_b, (&self.a, port_a))
    }

    fn tls(&self) -> PathBuf {
        self.folder.join("tls")
    }

    /// Certificates appear as a whole: what was left half made is made again.
    fn certify(&self) -> Result<(), CliError> {
        let (tls, half) = (self.tls(), self.folder.join("tls.new"));
        if tls.exists() {
            return Ok(());
        }
        if half.exists() {
            fs::remove_dir_all(&half).map_err(|e| ReplError::io("remove folder", &half, e))?;
        }
        let now_us = SystemClock.now_us();
        pki::init_ca(&half, CLUSTER, now_us)?;
        for site in [&self.a, &self.b] {
            pki::issue(&half, site.name, CLUSTER, CERTIFICATE_DAYS, now_us)?;
        }
        fs::rename(&half, &tls).map_err(|e| ReplError::io("rename folder", &half, e).into())
    }

    fn configure(&self, site: &Site, port: u16, peer: (&Site, u16)) -> Result<(), CliError> {
        let (peer, dialled) = peer;
        let text = Config::example(&Example {
            site_id: site.id,
            name: site.name,
            cluster: CLUSTER,
            role: Role::Bidirectional,
            primary_site_id: None,
            existing: crate::config::Existing::Bring,
            root: &site.tree,
            state: &site.state,
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            ca_key: false,
            tls: Some(&self.tls()),
            peers: &[ExamplePeer {
                id: peer.id,
                name: peer.name.to_owned(),
                endpoints: vec![loopback(dialled)],
            }],
        });
        let text = with_settings(&text);
        Config::verify(&text, &site.config)?;
        fs::write(&site.config, text)
            .map_err(|error| ReplError::io("write configuration", &site.config, error).into())
    }
}

fn loopback(port: u16) -> Endpoint {
    Endpoint {
        host: Ipv4Addr::LOCALHOST.to_string(),
        port,
    }
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::Usage, format!("cannot use {}", path.display()))
        .cause(why)
        .hint("choose another folder")
}

/// The example with the settings of a lab in place of their defaults.
fn with_settings(example: &str) -> String {
    let mut text = String::with_capacity(example.len());
    for line in example.lines() {
        let setting = SETTINGS
            .iter()
            .find(|(key, _)| line.starts_with(&format!("#{key} =")));
        match setting {
            Some((key, value)) => text.push_str(&format!("{key} = {value}")),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Two ports of the loopback address that nobody uses. Somebody may take one before the daemon does; it then says so.
fn free_ports() -> Result<[u16; 2], ReplError> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let taken = |error| ReplError::io("find a free port on", "127.0.0.1", error);
    // Both are held until both are known, so that they differ.
    let (first, second) = (bind().map_err(taken)?, bind().map_err(taken)?);
    let port = |listener: &TcpListener| listener.local_addr().map(|at| at.port()).map_err(taken);
    Ok([port(&first)?, port(&second)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn lab(dir: &Path) -> Lab {
        let trees = [dir.join("tree-a"), dir.join("tree-b")];
        for tree in &trees {
            fs::create_dir(tree).unwrap();
        }
        let [a, b] = trees;
        Lab::new(&dir.join("lab"), a, b).unwrap()
    }

    #[test]
    fn both_configurations_are_valid_and_name_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let lab = lab(dir.path());
        lab.prepare().unwrap();
        let (a, b) = (
            Config::load(&lab.a.config).unwrap(),
            Config::load(&lab.b.config).unwrap(),
        );
        assert_eq!(a.peers[0].id, b.site.id);
        assert_eq!(a.peers[0].name, b.site.name);
        for (site, peer) in [(&a, &b), (&b, &a)] {
            let listen = site.conduit.listen.unwrap().to_string();
            assert_eq!(peer.peers[0].endpoints[0].to_string(), listen);
            assert_eq!(peer.peers[0].id, site.site.id);
        }
        assert_ne!(a.conduit.listen, b.conduit.listen);
        for config in [&a, &b] {
            let longest = config.conduit.max_reconnect_delay;
            assert_eq!(longest, Duration::from_millis(500));
            let tls = config.tls.as_ref().unwrap();
            assert!(tls.cert.exists() && tls.key.exists() && tls.ca.exists());
        }
    }

    #[test]
    fn a_second_start_keeps_the_certificates_and_half_made_ones_are_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let lab = lab(dir.path());
        fs::create_dir_all(dir.path().join("lab/tls.new")).unwrap();
        fs::write(dir.path().join("lab/tls.new/ca.key"), b"half").unwrap();
        lab.prepare().unwrap();
        let authority = || fs::read(dir.path().join("lab/tls/ca.pem")).unwrap();
        let before = authority();
        lab.prepare().unwrap();
        assert_eq!(authority(), before);
    }

    #[test]
    fn a_folder_that_is_too_long_for_a_socket_is_refused() {
        let long = PathBuf::from(format!("/{}", "x".repeat(100)));
        let error = Lab::new(&long, "/a".into(), "/b".into()).unwrap_err();
        assert!(matches!(error, CliError::Failed(failure) if failure.exit == Exit::Usage));
    }
}
