//! Pure: where a daemon is asked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::ClientError;
use crate::conduit::tls::TlsFiles;
use crate::config::SOCKET_FILE;
use crate::config::units::Endpoint;

/// How an address begins that names a unix socket.
const SOCKET: &str = "unix:";
/// How one begins that names a daemon on another machine.
const NETWORK: &str = "tls:";

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// At a unix socket of this machine.
    Socket(PathBuf),
    /// At an address of the network.
    Network(Box<Network>),
}

/// A daemon that is asked over the network, with certificates on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// DNS name that its certificate must have.
    pub name: String,
    /// What is shown to it, and whom to believe. None: not said yet.
    pub identity: Option<TlsFiles>,
}

impl Address {
    /// The socket at this path.
    #[must_use]
    pub fn socket(path: impl Into<PathBuf>) -> Self {
        Self::Socket(path.into())
    }

    /// The socket of the daemon with this state folder, unless its configuration says otherwise.
    #[must_use]
    pub fn in_state(folder: &Path) -> Self {
        Self::Socket(folder.join(SOCKET_FILE))
    }

    /// The path of the socket. None: it is asked over the network.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Socket(path) => Some(path),
            Self::Network(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{SOCKET}{}", path.display()),
            Self::Network(network) => {
                write!(f, "{NETWORK}{}/{}", network.endpoint, network.name)
            }
        }
    }
}

impl FromStr for Address {
    type Err = ClientError;

    /// Reads `unix:/path` or `unix:///path`, as gRPC names them, and `tls:HOST:PORT/NAME`.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let refused = || ClientError::Address {
            text: text.to_owned(),
        };
        if let Some(rest) = text.strip_prefix(NETWORK) {
            let (endpoint, name) = rest.split_once('/').ok_or_else(refused)?;
            let is_name = rustls_pki_types::DnsName::try_from(name).is_ok();
            return Ok(Self::Network(Box::new(Network {
                endpoint: endpoint.parse().map_err(|_| refused())?,
                name: Some(name.to_owned())
                    .filter(|_| is_name)
                    .ok_or_else(refused)?,
                identity: None,
            })));
        }
        let path = text.strip_prefix(SOCKET).unwrap_or_default();
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(refused());
        }
        Ok(Self::Socket(PathBuf::from(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_unix_socket_or_a_daemon_with_its_name() {
        for text in [
            "unix:/run/cfs-repl/admin.sock",
            "unix:///run/cfs-repl/admin.sock",
        ] {
            let address: Address = text.parse().unwrap();
            let path = Path::new("/run/cfs-repl/admin.sock");
            assert_eq!(address.path(), Some(path));
            assert_eq!(address.to_string(), "unix:/run/cfs-repl/admin.sock");
        }
        for text in [
            "tls:fra.example.net:7444/fra-1.prod.cfs-repl",
            "tls:[2001:db8::1]:7444/fra-1.prod.cfs-repl",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.path(), address.to_string()), (None, text.into()));
        }
        let in_state = Address::in_state(Path::new("/var/lib/cfs-repl"));
        let path = Path::new("/var/lib/cfs-repl/admin.sock");
        assert_eq!(in_state.path(), Some(path));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "unix:",
            "unix://",
            "/run/admin.sock",
            "https://host:1",
            "tls:host:1",
            "tls:host/x.y",
            "tls:host:0/x.y",
            "tls:host:1/",
            "tls:host:1/a b",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(matches!(error, ClientError::Address { .. }), "{text}");
        }
    }
}
