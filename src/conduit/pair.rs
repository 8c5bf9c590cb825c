//! Two conduits within one process, for tests and simulation: the session of the daemon without gRPC.
//!
//! Messages travel as they are; what the wire checks when it decodes (crc, shard function, limits of an entry) is not
//! checked here, the receiver of a batch does it before it keeps anything.

use std::time::Duration;

use tokio::sync::mpsc;

use super::config::ConduitConfig;
use super::facade::{Conduit, Facts};
use super::link::Link;
use super::message::{Message, PROTOCOL_MAX, PROTOCOL_MIN, SHARD_FUNCTION};
use super::peer::{Peer, PeerConfig, TRANSPORT_MESSAGES_MAX, Transport};
use super::route::Origin;
use super::session::Session;
use super::wire::Incoming;
use crate::daemon::tasks::Tasks;

impl Conduit {
    /// Two ends of one connection, connected when this returns. Site ids that are not set become those of the other
    /// end, else 1 and 2. When one end shuts down, the other ends too, once it handed out what it had received.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn new_pair(mut config_a: ConduitConfig, mut config_b: ConduitConfig) -> (Self, Self) {
        fill(&mut config_a.local_site_id, config_b.remote_site_id, 1);
        fill(&mut config_b.local_site_id, config_a.remote_site_id, 2);
        fill(&mut config_a.remote_site_id, config_b.local_site_id, 2);
        fill(&mut config_b.remote_site_id, config_a.local_site_id, 1);
        let tasks = Tasks::new();
        let (facts_a, facts_b) = (Facts::new(&config_a), Facts::new(&config_b));
        let ends = connect(&tasks, facts_a.peer(None), facts_b.peer(None));
        (
            Self::start(&tasks.child(), ends.0, &config_a, facts_a),
            Self::start(&tasks.child(), ends.1, &config_b, facts_b),
        )
    }
}

/// Connects two peers within the process; neither dials, and each link ends with the other.
///
/// # Panics
/// Outside a Tokio runtime.
pub fn connect(tasks: &Tasks, a: PeerConfig, b: PeerConfig) -> (Link, Link) {
    let mut sessions = (session(&a), session(&b));
    if let (Some(session_a), Some(session_b)) = &mut sessions {
        exchange(session_a, session_b, a.clock.monotonic());
    }
    let (transport_a, transport_b) = transports(tasks);
    let now = a.clock.monotonic();
    let start = |config: PeerConfig, session: Option<Session>, transport, origin| {
        let (mut peer, link, _) = Peer::new(config, tasks);
        if let Some(session) = session {
            peer.adopt(session, transport, origin, now);
        }
        tasks.spawn(format!("peer {}", link.remote_site_id()), peer.run());
        link
    };
    (
        start(a, sessions.0, transport_a, Origin::Dialled),
        start(b, sessions.1, transport_b, Origin::Accepted),
    )
}

/// Two transports, each the other's far end. They last until both ends let go of them.
pub fn transports(tasks: &Tasks) -> (Transport, Transport) {
    let (to_b, incoming_b) = carry(tasks);
    let (to_a, incoming_a) = carry(tasks);
    let transport = |outgoing, incoming| Transport {
        outgoing,
        incoming,
        certificate_site: None,
        endpoint: None,
    };
    (transport(to_b, incoming_a), transport(to_a, incoming_b))
}

type Inbound = mpsc::Receiver<Result<Incoming, super::peer::TransportError>>;

fn carry(tasks: &Tasks) -> (mpsc::Sender<Message>, Inbound) {
    let (outgoing, mut sent) = mpsc::channel(TRANSPORT_MESSAGES_MAX);
    let (heard, incoming) = mpsc::channel(TRANSPORT_MESSAGES_MAX);
    tasks.spawn("pair", async move {
        while let Some(message) = sent.recv().await {
            let message = Incoming {
                message: Some(message),
                refused: Vec::new(),
            };
            if heard.send(Ok(message)).await.is_err() {
                break;
            }
        }
    });
    (outgoing, incoming)
}

fn session(config: &PeerConfig) -> Option<Session> {
    let mut opening = config.local.opening()?;
    let hello = &mut opening.hello;
    (hello.protocol_min, hello.protocol_max) = (PROTOCOL_MIN, PROTOCOL_MAX);
    hello.shard_function = SHARD_FUNCTION;
    let now = config.clock.monotonic();
    Some(Session::new(opening, config.limits, now))
}

/// Lets the sessions say hello, so that a pair is connected from the start.
fn exchange(a: &mut Session, b: &mut Session, now: Duration) {
    while a.has_transmit() || b.has_transmit() {
        while let Some(message) = a.poll_transmit() {
            b.handle_message(message, now);
        }
        while let Some(message) = b.poll_transmit() {
            a.handle_message(message, now);
        }
    }
}

const fn fill(id: &mut u64, other: u64, otherwise: u64) {
    if *id == 0 {
        *id = if other == 0 { otherwise } else { other };
    }
}
