//! Starts and ends the loops of the other sites: at the start, when one joins, and when the configuration changed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use tokio::sync::mpsc;

use super::causes::Causes;
use super::content::ask::Links;
use super::content::serve::TreeContent;
use super::exchange::{Expected, Identity};
use super::peer::{self, LocalSite};
use super::peers::{PeerHandle, Peers};
use super::status::TreeFacts;
use super::tasks::Tasks;
use crate::clock::SharedClock;
use crate::conduit::client::GrpcDialer;
use crate::conduit::content::ContentServer;
use crate::conduit::link::Reconnect;
use crate::conduit::message::Role as WireRole;
use crate::conduit::peer::{Dialer, PeerConfig};
use crate::conduit::server::{Admission, Admissions};
use crate::conduit::session::SessionLimits;
use crate::conduit::tls::Tls;
use crate::config::{self, ConduitSettings, Role, SiteConfig};
use crate::error::{ReplError, Result};
use crate::journal::dot::Actor;
use crate::sync::engine::Handle;

/// What every peer is tied to. Clones share it.
#[derive(Clone)]
pub(super) struct Roster {
    pub(super) tasks: Tasks,
    pub(super) site: SiteConfig,
    pub(super) engine: Handle,
    pub(super) clock: SharedClock,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) causes: Causes,
    pub(super) facts: Arc<Mutex<TreeFacts>>,
    pub(super) server: Arc<TreeContent>,
    pub(super) actor: Actor,
    pub(super) unrelated: mpsc::Sender<String>,
    pub(super) peers: Peers,
    pub(super) links: Links,
    pub(super) admissions: Admissions,
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster")
            .field("site", &self.site.name)
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}

impl Roster {
    /// Starts the loops of a peer.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(super) fn add(
        &self,
        other: &config::PeerConfig,
        conduit: &ConduitSettings,
        paused: bool,
    ) -> Result<()> {
        // They end together, and without the others.
        let tasks = self.tasks.child();
        let server = Arc::clone(&self.server) as Arc<dyn ContentServer>;
        let (content, transports) = crate::conduit::content::spawn(&tasks, other.id, server);
        let dialer = GrpcDialer {
            local_name: self.site.name.clone(),
            remote_name: other.name.clone(),
            tls: self.tls.clone(),
            tasks: tasks.clone(),
            content: Some(transports.clone()),
        };
        let local = self.local_site(other);
        let config = PeerConfig {
            paused,
            ..peer_config(conduit, other, &local, dialer)?
        };
        let (link, accepted) = crate::conduit::peer::spawn(&tasks, config);
        let admission = Admission {
            replicate: accepted,
            content: Some(transports),
        };
        peer::spawn(&tasks, link.clone(), &local);
        let handle = PeerHandle {
            name: other.name.clone(),
            link,
            view: Arc::clone(&local.seen),
            stop: tasks.token().clone(),
        };
        self.links.insert(other.id, content);
        self.peers.insert(other.id, handle);
        self.admissions.admit(other.name.clone(), admission);
        Ok(())
    }

    /// Ends the loops of a peer. Returns its name, if there was one.
    pub(super) fn remove(&self, id: u64) -> Option<String> {
        let peer = self.peers.remove(id)?;
        self.admissions.refuse(&peer.name);
        self.links.remove(id);
        peer.link.stop();
        peer.stop.cancel();
        self.causes.clear_refused(&peer.name);
        Some(peer.name)
    }

    /// Brings the table in step with the configuration: peers that are new, gone, or reached elsewhere, and limits.
    ///
    /// # Errors
    /// When the engine does not take a new peer; what was done before stays.
    pub(super) async fn adopt(
        &self,
        peers: &[config::PeerConfig],
        conduit: &ConduitSettings,
    ) -> Result<()> {
        let wanted: BTreeSet<(u64, &str)> = peers
            .iter()
            .map(|peer| (peer.id, peer.name.as_str()))
            .collect();
        for (id, peer) in self.peers.all().iter() {
            if !wanted.contains(&(*id, peer.name.as_str())) {
                self.remove(*id);
                let id = *id;
                self.engine
                    .ask(move |e| {
                        e.set_member(id, None);
                        Ok(())
                    })
                    .await?;
                tracing::warn!(site = peer.name, "site is no peer any more");
            }
        }
        let known = self.peers.all();
        for other in peers {
            match known
                .get(&other.id)
                .filter(|known| known.name == other.name)
            {
                Some(known) => {
                    let endpoints = other.endpoints.iter().map(ToString::to_string).collect();
                    known.link.steer(|steering| {
                        steering.endpoints = endpoints;
                        steering.limits = limits(conduit);
                        steering.age_max = age_max(conduit);
                    });
                }
                None => {
                    let (id, name) = (other.id, other.name.clone());
                    self.engine
                        .ask(move |e| {
                            e.set_member(id, Some(name));
                            Ok(())
                        })
                        .await?;
                    self.add(other, conduit, false)?;
                    tracing::info!(site = other.name, "site is a peer from here on");
                }
            }
        }
        Ok(())
    }

    fn local_site(&self, other: &config::PeerConfig) -> Arc<LocalSite> {
        let role = match self.site.role {
            Role::Bidirectional => WireRole::Bidirectional,
            Role::Primary => WireRole::Primary,
            Role::Replica => WireRole::Replica,
        };
        Arc::new(LocalSite {
            identity: Identity {
                name: self.site.name.clone(),
                cluster: self.site.cluster.clone(),
                role,
            },
            actor: self.actor,
            remote: Expected {
                site_id: other.id,
                name: other.name.clone(),
            },
            engine: self.engine.clone(),
            clock: Arc::clone(&self.clock),
            seen: Arc::default(),
            tree: Arc::clone(&self.facts),
            causes: self.causes.clone(),
            unrelated: self.unrelated.clone(),
        })
    }
}

fn limits(conduit: &ConduitSettings) -> SessionLimits {
    let mut limits = SessionLimits::default();
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    limits.window.entries = size(conduit.window_entries);
    limits.window.bytes = size(conduit.window_bytes);
    limits
}

/// Zero is never.
fn age_max(conduit: &ConduitSettings) -> Option<Duration> {
    Some(conduit.max_connection_age).filter(|age| !age.is_zero())
}

fn peer_config(
    conduit: &ConduitSettings,
    other: &config::PeerConfig,
    local: &Arc<LocalSite>,
    dialer: GrpcDialer,
) -> Result<PeerConfig> {
    let mut seed = [0u8; 8];
    getrandom(&mut seed, GetRandomFlags::empty())
        .map_err(|e| ReplError::io("read", "random numbers", e))?;
    Ok(PeerConfig {
        remote_site_id: other.id,
        endpoints: other.endpoints.iter().map(ToString::to_string).collect(),
        limits: limits(conduit),
        reconnect: Reconnect {
            min: conduit.reconnect_delay,
            max: conduit.max_reconnect_delay,
            seed: u64::from_le_bytes(seed),
        },
        clock: Arc::clone(&local.clock),
        local: Arc::clone(local) as Arc<dyn crate::conduit::link::Local>,
        // Without endpoints it has nothing to do, and may get some later.
        dialer: Some(Arc::new(dialer) as Arc<dyn Dialer>),
        age_max: age_max(conduit),
        paused: false,
    })
}
