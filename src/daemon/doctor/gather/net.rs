//! Asks the daemon, the address that it listens on, and the peers, all at once and each for a bounded time.
//!
//! A peer is called the way its daemon is called, up to the first word that it says: a connection that broke off
//! earlier would be a warning in its log.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::facts::{Call, Daemon, Listen, Peer, Running};
use crate::admin::client::{Address, Client, ClientError};
use crate::admin::view::{StatusView, Watch};
use crate::conduit::tls::{Tls, dns_name, explain};
use crate::config::Config;
use crate::daemon::lock::holder_in;
use crate::daemon::tasks::Tasks;

/// systemd-timesyncd makes this file when it has set the clock.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// From one look at a child to the next.
const PAUSE: Duration = Duration::from_millis(10);

/// What was heard.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) daemon: Daemon,
    /// None: the site only dials.
    pub(super) listen: Option<Listen>,
    pub(super) peers: Vec<Peer>,
}

/// Asks everyone whom a site has to do with.
pub(super) async fn look(config: &Config, tls: Option<&Arc<Tls>>, patience: Duration) -> Seen {
    let daemon = daemon(config, patience);
    let peers = peers(config, tls, patience);
    let (daemon, peers) = tokio::join!(daemon, peers);
    let listen = match config.conduit.listen {
        Some(address) => Some(listen(config, address, tls, &daemon, patience).await),
        None => None,
    };
    Seen {
        daemon,
        listen,
        peers,
    }
}

async fn daemon(config: &Config, patience: Duration) -> Daemon {
    let asked = async {
        let client = Client::connect(Address::socket(&config.admin.socket), patience).await?;
        client.status().await
    };
    match asked.await {
        Ok(status) => Daemon::Runs(running(status)),
        Err(ClientError::Unreachable { source, .. }) => {
            let is = |kind| source.kind() == kind;
            if is(io::ErrorKind::NotFound) || is(io::ErrorKind::ConnectionRefused) {
                Daemon::Stopped
            } else if is(io::ErrorKind::PermissionDenied) {
                Daemon::Denied
            } else {
                Daemon::Silent(source.to_string())
            }
        }
        Err(error) => Daemon::Silent(error.to_string()),
    }
}

fn running(status: StatusView) -> Running {
    let tree = status.tree;
    let blind = (tree.watch == Watch::Scanning)
        .then(|| tree.watch_reason.unwrap_or_else(|| "not told".to_owned()));
    let skews = status
        .sites
        .into_iter()
        .filter_map(|site| Some((site.site, site.clock_skew_us?)));
    Running {
        site: status.site,
        root: tree.root,
        version: status.version,
        blind,
        skews: skews.collect(),
    }
}

/// Who has the address. As long as our daemon runs it is not taken away from it, not even for a moment.
async fn listen(
    config: &Config,
    address: SocketAddr,
    tls: Option<&Arc<Tls>>,
    daemon: &Daemon,
    patience: Duration,
) -> Listen {
    if !matches!(daemon, Daemon::Runs(_)) {
        return match TcpListener::bind(address) {
            Ok(_) => Listen::Free,
            // Whoever holds the state folder holds the address, too, as far as anybody can tell.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && (*daemon == Daemon::Denied || holder_in(&config.state.dir).is_some()) =>
            {
                Listen::Held
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Listen::Taken(error.to_string())
            }
            Err(error) => Listen::Refused(error.to_string()),
        };
    }
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    let here = SocketAddr::new(host, address.port()).to_string();
    match call(&here, &config.site.name, tls, patience).await {
        Call::Answered => Listen::Own,
        Call::Refused(_) => Listen::Free,
        Call::Connected => Listen::Held,
        Call::Silent => Listen::Taken("it does not answer".to_owned()),
        Call::NoName(why) | Call::Distrusted(why) => Listen::Taken(why),
    }
}

/// Calls every endpoint of every peer.
async fn peers(config: &Config, tls: Option<&Arc<Tls>>, patience: Duration) -> Vec<Peer> {
    let mut peers: Vec<Peer> = config
        .peers
        .iter()
        .map(|peer| Peer {
            name: peer.name.clone(),
            calls: peer
                .endpoints
                .iter()
                .map(|endpoint| (endpoint.to_string(), Call::Silent))
                .collect(),
        })
        .collect();
    let tasks = Tasks::new();
    let total: usize = peers.iter().map(|peer| peer.calls.len()).sum();
    let (heard, mut answers) = mpsc::channel(total.max(1));
    for (at, peer) in peers.iter().enumerate() {
        for (nth, (endpoint, _)) in peer.calls.iter().enumerate() {
            let (endpoint, name) = (endpoint.clone(), peer.name.clone());
            let (tls, heard) = (tls.cloned(), heard.clone());
            tasks.spawn(format!("call {endpoint}"), async move {
                let told = call(&endpoint, &name, tls.as_ref(), patience).await;
                // Nobody waits for it only when this process ends.
                drop(heard.send((at, nth, told)).await);
            });
        }
    }
    drop(heard);
    while let Some((at, nth, told)) = answers.recv().await {
        if let Some((_, call)) = peers.get_mut(at).and_then(|peer| peer.calls.get_mut(nth)) {
            *call = told;
        }
    }
    peers
}

/// Calls `site` at `endpoint` and hangs up at its first word. Each step gets `patience`.
async fn call(endpoint: &str, site: &str, tls: Option<&Arc<Tls>>, patience: Duration) -> Call {
    let addresses: Vec<SocketAddr> = match timeout(patience, lookup_host(endpoint)).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Call::NoName(error.to_string()),
        Err(_) => return Call::NoName("the resolver does not answer".to_owned()),
    };
    let stream = match timeout(patience, TcpStream::connect(&addresses[..])).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => return Call::Silent,
        Ok(Err(error)) => return Call::Refused(error.to_string()),
        Err(_) => return Call::Silent,
    };
    let Some(tls) = tls else {
        return Call::Connected;
    };
    let Ok(name) = ServerName::try_from(dns_name(site, tls.cluster())) else {
        return Call::Connected;
    };
    let first = async {
        let connector = tokio_rustls::TlsConnector::from(tls.client());
        let mut stream = connector.connect(name, stream).await?;
        // A peer that does not believe our certificate says so only after the handshake.
        stream.read(&mut [0; 1]).await
    };
    match timeout(patience, first).await {
        Ok(Ok(0)) => Call::Distrusted("it hung up".to_owned()),
        Ok(Ok(_)) => Call::Answered,
        Ok(Err(error)) => Call::Distrusted(explain(&error)),
        Err(_) => Call::Silent,
    }
}

/// Whether a time service keeps the clock, as far as anybody tells.
pub(super) async fn is_synchronised(patience: Duration) -> Option<bool> {
    if Path::new(SYNCHRONISED).exists() {
        return Some(true);
    }
    let mut asking = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let ended = async {
        while let Ok(None) = asking.try_wait() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    if timeout(patience, ended).await.is_err() {
        // It hangs at a bus that does not answer.
        drop(asking.kill());
    }
    let output = asking.wait_with_output().ok()?;
    match output.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}
