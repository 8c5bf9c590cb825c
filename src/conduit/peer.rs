//! One peer: the loop that owns its session, its reconnects and the choice between two connections.
//!
//! `next` waits for one input, `apply` is not async and ends with the upkeep; nobody else touches the state. Transports
//! are thin: two bounded channels that a task moves to and from gRPC, or that two peers of one process share.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::{Mutex, watch};

use super::backoff::{Attempt, Backoff, Endpoints};
use super::contact::Contact;
use super::link::{
    ConduitState, ConnectionNo, EVENTS_MAX, FRAMES_MAX, Link, LinkEvent, LinkStatus, Local,
    REPLIES_MAX, Reconnect, Reply,
};
use super::message::{
    Close, CloseReason, Frame, Message, PROTOCOL_MAX, PROTOCOL_MIN, SHARD_FUNCTION,
};
use super::route::{Origin, Verdict, second_connection};
use super::session::{Event, Session, SessionLimits};
use super::stats::Counters;
use super::wire::Incoming;
use crate::clock::SharedClock;
use crate::daemon::tasks::Tasks;
use crate::topology::SiteId;

mod steer;

pub use steer::Steering;

/// Messages between a peer and its transport, each way. Small, because HTTP/2 has windows of its own.
pub const TRANSPORT_MESSAGES_MAX: usize = 8;
/// Accepted connections that wait for the peer's loop.
const ACCEPTED_MAX: usize = 4;
/// How long a shutdown waits for the window and a close for the transport: a few round trips of a bad link.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);

/// One connection as it comes from gRPC or from within the process.
#[derive(Debug)]
pub struct Transport {
    /// To the peer. Dropped when the connection is over; what is in it is still sent.
    pub outgoing: mpsc::Sender<Message>,
    /// From the peer. An error is a message that does not decode or a broken connection; nothing follows it.
    pub incoming: mpsc::Receiver<Result<Incoming, TransportError>>,
    /// Site name in the peer's certificate. None: no TLS.
    pub certificate_site: Option<String>,
    /// Where it was dialled. None: the peer dialled.
    pub endpoint: Option<String>,
}

/// Why nothing more comes from a transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// The peer sent something that is no message; it is told so.
    Garbage(String),
    /// The connection broke.
    Lost(String),
}

/// A dial under way: the connection, or why there is none.
pub type Dialling = Pin<Box<dyn Future<Output = Result<Transport, String>> + Send>>;

/// Opens connections to one peer.
pub trait Dialer: Send + Sync {
    /// Dials `endpoint`. A connection that comes of it has not proven anything yet; the hello does.
    fn dial(&self, endpoint: String) -> Dialling;
}

/// What a peer is made of.
pub struct PeerConfig {
    /// The site at the other end.
    pub remote_site_id: SiteId,
    /// Where it is dialled, in order. Empty: it dials us.
    pub endpoints: Vec<String>,
    /// Times and limits.
    pub limits: SessionLimits,
    /// Delays between attempts.
    pub reconnect: Reconnect,
    /// Time.
    pub clock: SharedClock,
    /// What this site says.
    pub local: Arc<dyn Local>,
    /// How to dial. None: only accepted connections.
    pub dialer: Option<Arc<dyn Dialer>>,
    /// A connection that stands for so long is made anew. None: never.
    pub age_max: Option<Duration>,
    /// Nothing is exchanged until somebody resumes it.
    pub paused: bool,
}

impl fmt::Debug for PeerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConfig")
            .field("remote_site_id", &self.remote_site_id)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// Starts the loop of a peer. The sender takes connections that the peer dialled; when it is dropped and there is
/// nothing to dial, the link ends with its last connection.
pub fn spawn(tasks: &Tasks, config: PeerConfig) -> (Link, mpsc::Sender<Transport>) {
    let (peer, link, accepted) = Peer::new(config, tasks);
    tasks.spawn(format!("peer {}", link.remote_site_id), peer.run());
    (link, accepted)
}

/// One connection and its session.
struct Live {
    no: ConnectionNo,
    session: Session,
    transport: Transport,
    origin: Origin,
    established: bool,
    began: Duration,
    closed_at: Option<Duration>,
}

/// What the loop waits for.
enum Input {
    Stop,
    EventSlot(Option<OwnedPermit<LinkEvent>>),
    TransmitSlot(Option<OwnedPermit<Message>>),
    Incoming(Option<Result<Incoming, TransportError>>),
    Reply(Option<Reply>),
    Frame(Option<(ConnectionNo, Frame)>),
    Accepted(Option<Transport>),
    Dialled(Result<Transport, String>),
    Steered,
    Tick,
}

/// The state of one peer; owned by its loop.
pub(super) struct Peer {
    config: PeerConfig,
    local_site_id: SiteId,
    backoff: Backoff,
    endpoints: Endpoints,
    endpoint: Option<String>,
    dialling: Option<Dialling>,
    retry: Option<(Duration, Attempt)>,
    live: Option<Live>,
    connections: ConnectionNo,
    /// Events of connections that were replaced.
    queue: VecDeque<LinkEvent>,
    /// The frame that waits for the window.
    waiting: Option<(ConnectionNo, Frame)>,
    stopping_at: Option<Duration>,
    accepting: bool,
    frames_open: bool,
    replies_open: bool,
    events: mpsc::Sender<LinkEvent>,
    frames: mpsc::Receiver<(ConnectionNo, Frame)>,
    replies: mpsc::Receiver<Reply>,
    accepted: mpsc::Receiver<Transport>,
    status: watch::Sender<LinkStatus>,
    stop: tokio_util::sync::CancellationToken,
    counters: Arc<Counters>,
    /// What is wanted, and what of it was taken in.
    steering: watch::Receiver<Steering>,
    steered: Steering,
}

impl Peer {
    pub(super) fn new(config: PeerConfig, tasks: &Tasks) -> (Self, Link, mpsc::Sender<Transport>) {
        let (events, events_out) = mpsc::channel(EVENTS_MAX);
        let (frames_in, frames) = mpsc::channel(FRAMES_MAX);
        let (replies_in, replies) = mpsc::channel(REPLIES_MAX);
        let (accepted_in, accepted) = mpsc::channel(ACCEPTED_MAX);
        let (status, status_out) =
            watch::channel(LinkStatus::starting(Contact::new(&config.endpoints)));
        let counters = Arc::new(Counters::default());
        let steered = Steering {
            paused: config.paused,
            anew: 0,
            endpoints: config.endpoints.clone(),
            limits: config.limits,
            age_max: config.age_max,
        };
        let (steering, steering_out) = watch::channel(steered.clone());
        let stop = tasks.token().child_token();
        let local = config.local.actor();
        let link = Link {
            remote_site_id: config.remote_site_id,
            local,
            events: Arc::new(Mutex::new(events_out)),
            frames: frames_in,
            replies: replies_in,
            status: status_out,
            stop: stop.clone(),
            counters: Arc::clone(&counters),
            steering: Arc::new(steering),
        };
        let now = config.clock.monotonic();
        let Reconnect { min, max, seed } = config.reconnect;
        let mut peer = Self {
            local_site_id: local.site_id,
            backoff: Backoff::new(min, max, seed),
            endpoints: Endpoints::new(config.endpoints.clone()),
            endpoint: None,
            dialling: None,
            retry: None,
            live: None,
            connections: 0,
            queue: VecDeque::new(),
            waiting: None,
            stopping_at: None,
            accepting: true,
            frames_open: true,
            replies_open: true,
            events,
            frames,
            replies,
            accepted,
            status,
            stop,
            counters,
            steering: steering_out,
            steered,
            config,
        };
        if !peer.steered.paused {
            peer.dial_at_once(now);
        }
        (peer, link, accepted_in)
    }

    /// Runs until the link is stopped or nothing can come any more.
    pub(super) async fn run(mut self) {
        while !self.is_over() {
            let input = self.next().await;
            let now = self.config.clock.monotonic();
            self.apply(input, now);
            self.upkeep(now);
        }
        self.status
            .send_modify(|status| status.state = ConduitState::Shutdown);
    }

    /// Waits for one input. Every branch is cancel-safe: a permit or message that was not taken stays where it is.
    async fn next(&mut self) -> Input {
        let now = self.config.clock.monotonic();
        let wait = self.due().map(|due| due.saturating_sub(now));
        let stopping = self.stopping_at.is_some();
        let live = self.live.as_mut();
        // Replies wait for the hellos: the cursors in ours were read before them.
        let (has_event, has_transmit, wants_input, can_reply) =
            live.as_ref().map_or((false, false, false, true), |live| {
                let session = &live.session;
                let open = !session.is_closed();
                (
                    session.has_event(),
                    session.has_transmit(),
                    open && session.wants_input(),
                    !open || stopping || (session.is_established() && session.can_reply()),
                )
            });
        let closing = live.as_ref().is_some_and(|live| live.session.is_closed());
        let (outgoing, incoming) = match live {
            Some(live) => (
                Some(&live.transport.outgoing),
                Some(&mut live.transport.incoming),
            ),
            None => (None, None),
        };
        tokio::select! {
            () = self.stop.cancelled(), if !stopping => Input::Stop,
            permit = self.events.clone().reserve_owned(), if !self.queue.is_empty() || has_event =>
                Input::EventSlot(permit.ok()),
            permit = reserve(outgoing), if has_transmit => Input::TransmitSlot(permit),
            message = receive(incoming), if wants_input => Input::Incoming(message),
            reply = self.replies.recv(), if self.replies_open && can_reply => Input::Reply(reply),
            frame = self.frames.recv(), if self.frames_open && self.waiting.is_none() =>
                Input::Frame(frame),
            transport = self.accepted.recv(), if self.accepting && !closing && !stopping =>
                Input::Accepted(transport),
            dialled = dialled(self.dialling.as_mut()), if self.dialling.is_some() && !closing =>
                Input::Dialled(dialled),
            Ok(()) = self.steering.changed(), if !stopping => Input::Steered,
            () = tokio::time::sleep(wait.unwrap_or(Duration::MAX)), if wait.is_some() => Input::Tick,
        }
    }

    fn apply(&mut self, input: Input, now: Duration) {
        match input {
            Input::Stop => self.begin_stop(now),
            Input::EventSlot(Some(permit)) => {
                if let Some(event) = self.take_event(now) {
                    permit.send(event);
                }
            }
            // Nobody holds the link any more.
            Input::EventSlot(None) => self.begin_stop(now),
            Input::TransmitSlot(permit) => self.transmit(permit),
            Input::Incoming(incoming) => self.incoming(incoming, now),
            Input::Reply(Some(reply)) => self.reply(reply),
            Input::Reply(None) => self.replies_open = false,
            Input::Frame(Some(frame)) => self.waiting = Some(frame),
            Input::Frame(None) => self.frames_open = false,
            Input::Accepted(Some(transport)) => self.offer(transport, Origin::Accepted, now),
            Input::Accepted(None) => self.accepting = false,
            Input::Dialled(Ok(transport)) => {
                self.dialling = None;
                self.offer(transport, Origin::Dialled, now);
            }
            Input::Dialled(Err(reason)) => {
                self.dialling = None;
                self.dial_failed(reason, now);
            }
            Input::Steered => self.steer(now),
            Input::Tick => self.tick(now),
        }
    }

    /// Restores what must hold between inputs.
    fn upkeep(&mut self, now: Duration) {
        self.note_established();
        self.send_waiting();
        let stopping = self.stopping_at.is_some();
        if let Some(live) = &mut self.live
            && stopping
            && !self.frames_open
            && !self.replies_open
            && self.waiting.is_none()
        {
            live.session
                .close(Close::new(CloseReason::Shutdown, "this site shuts down"));
        }
        self.note_closed(now);
        let gone = |live: &Live| {
            let silent = stopping || !live.session.has_event();
            live.session.is_closed() && !live.session.has_transmit() && silent
        };
        if self.live.as_ref().is_some_and(gone) {
            self.live = None;
        }
    }

    fn is_over(&self) -> bool {
        let nothing = self.live.is_none() && self.queue.is_empty();
        let hopeless = !self.accepting && !self.can_dial();
        (self.stopping_at.is_some() && self.live.is_none()) || (nothing && hopeless)
    }

    fn can_dial(&self) -> bool {
        self.config.dialer.is_some() && !self.endpoints.is_empty()
    }

    fn begin_stop(&mut self, now: Duration) {
        if self.stopping_at.is_none() {
            self.stopping_at = Some(now + DRAIN_MAX);
            self.frames.close();
            self.replies.close();
            (self.dialling, self.retry) = (None, None);
        }
    }

    /// When [`Peer::tick`] has something to do.
    fn due(&self) -> Option<Duration> {
        let retry = self.retry.map(|(at, _)| at);
        let session = self
            .live
            .as_ref()
            .and_then(|live| live.session.poll_timeout());
        let closed = self.live.as_ref().and_then(|live| live.closed_at);
        let linger = closed.map(|at| at + DRAIN_MAX);
        let retire = self.retires_at();
        [retry, session, linger, retire, self.stopping_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn tick(&mut self, now: Duration) {
        self.retire(now);
        if let Some(live) = &mut self.live {
            live.session.handle_timeout(now, self.config.local.beat());
            if live.closed_at.is_some_and(|at| now >= at + DRAIN_MAX) {
                // The transport does not even take the close.
                live.session.handle_lost("not drained");
                live.closed_at = Some(now);
            }
        }
        if let Some(until) = self.stopping_at
            && now >= until
        {
            (self.waiting, self.frames_open, self.replies_open) = (None, false, false);
            self.stopping_at = Some(now + DRAIN_MAX);
        }
        if let Some((at, attempt)) = self.retry
            && now >= at
        {
            self.retry = None;
            self.dial(attempt);
        }
    }

    fn dial(&mut self, attempt: Attempt) {
        let Some(dialer) = &self.config.dialer else {
            return;
        };
        let Some(endpoint) = self.endpoints.take() else {
            return;
        };
        tracing::debug!(
            site = self.config.remote_site_id,
            endpoint,
            attempt.number,
            "dial"
        );
        self.endpoint = Some(endpoint.to_owned());
        self.dialling = Some(dialer.dial(endpoint.to_owned()));
        let (endpoint, now_us) = (endpoint.to_owned(), self.config.clock.now_us());
        self.contact(|contact| contact.dialled(&endpoint, attempt.number, now_us));
        self.report(attempt.number, Duration::ZERO, None);
    }

    fn dial_failed(&mut self, reason: String, now: Duration) {
        self.counters.failed();
        tracing::warn!(site = self.config.remote_site_id, endpoint = self.endpoint, %reason, "dial failed");
        if let Some(endpoint) = self.endpoint.clone() {
            self.contact(|contact| contact.failed(&endpoint, &reason));
        }
        if self.live.is_none() {
            self.plan(Some(reason), now);
        }
    }

    /// Plans the next attempt and reports it.
    fn plan(&mut self, reason: Option<String>, now: Duration) -> Option<Attempt> {
        let mut planned = None;
        let may_dial = self.can_dial() && !self.steered.paused;
        if may_dial && self.dialling.is_none() && self.stopping_at.is_none() {
            let attempt = self.backoff.next_attempt();
            self.retry = Some((now + attempt.delay, attempt));
            planned = Some(attempt);
        }
        let (number, delay) = planned.map_or((self.backoff.attempt(), Duration::ZERO), |attempt| {
            (attempt.number, attempt.delay)
        });
        let now_us = self.config.clock.now_us();
        self.contact(|contact| contact.planned(planned, now_us));
        self.report(number, delay, reason);
        planned
    }

    fn contact(&self, change: impl FnOnce(&mut Contact)) {
        self.status
            .send_modify(|status| change(&mut status.contact));
    }

    fn report(&self, attempt: u32, delay: Duration, reason: Option<String>) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.status.send_modify(|status| {
            status.state = ConduitState::Reconnecting { attempt, delay_ms };
            status.endpoint.clone_from(&self.endpoint);
            status.last_error = reason.or_else(|| status.last_error.take());
        });
    }

    /// Decides what becomes of a new connection.
    fn offer(&mut self, transport: Transport, origin: Origin, now: Duration) {
        if let Some(close) = self.refused_by_steering() {
            refuse(&transport, close);
            return;
        }
        let verdict = self.live.as_ref().map(|live| {
            second_connection(
                self.local_site_id,
                self.config.remote_site_id,
                live.origin,
                origin,
            )
        });
        match verdict {
            None => {}
            Some(Verdict::Refuse) => {
                refuse(&transport, Close::new(CloseReason::Duplicate, DUPLICATE));
                return;
            }
            Some(Verdict::Replace) => self.replace(),
        }
        let Some(mut opening) = self.config.local.opening() else {
            self.counters.failed();
            self.plan(Some(NOT_READY.to_owned()), now);
            return;
        };
        if let Some(name) = transport.certificate_site.clone() {
            self.contact(|contact| contact.certificate_site = Some(name));
        }
        self.connections += 1;
        opening
            .certificate_site
            .clone_from(&transport.certificate_site);
        let hello = &mut opening.hello;
        (hello.protocol_min, hello.protocol_max) = (PROTOCOL_MIN, PROTOCOL_MAX);
        hello.shard_function = SHARD_FUNCTION;
        let seed = self.config.reconnect.seed;
        hello.connection_id = seed.rotate_left(17).wrapping_add(self.connections);
        let session = Session::new(opening, self.steered.limits, now);
        self.adopt(session, transport, origin, now);
    }

    pub(super) fn adopt(
        &mut self,
        session: Session,
        transport: Transport,
        origin: Origin,
        now: Duration,
    ) {
        self.connections = self.connections.max(1);
        self.retry = None;
        self.live = Some(Live {
            no: self.connections,
            session,
            transport,
            origin,
            established: false,
            began: now,
            closed_at: None,
        });
        self.note_established();
    }

    /// The connection gives way to another one. Frames that nobody took are without receipt and come again.
    fn replace(&mut self) {
        let Some(mut live) = self.live.take() else {
            return;
        };
        let close = Close::new(CloseReason::Duplicate, DUPLICATE);
        if live.established {
            self.queue.push_back(LinkEvent::Disconnected {
                reason: super::session::Ended::ByUs(close.clone()),
                next: None,
                in_flight: live.session.in_flight().0,
            });
        }
        live.session.close(close);
        while let Some(message) = live.session.poll_transmit() {
            if live.transport.outgoing.try_send(message).is_err() {
                break;
            }
        }
    }

    fn note_established(&mut self) {
        let Some(live) = &mut self.live else {
            return;
        };
        if live.established || live.session.peer().is_none() {
            return;
        }
        live.established = true;
        self.backoff.succeeded();
        if live.origin == Origin::Dialled {
            self.endpoints.keep();
        }
        self.counters.connected();
        let endpoint = live.transport.endpoint.clone();
        tracing::info!(site = self.config.remote_site_id, endpoint, "connected");
        let now_us = self.config.clock.now_us();
        self.status.send_modify(|status| {
            status.contact.connected(endpoint.as_deref(), now_us);
            (status.state, status.endpoint) = (ConduitState::Connected, endpoint);
            status.last_error = None;
        });
    }

    fn note_closed(&mut self, now: Duration) {
        let Some(live) = &mut self.live else {
            return;
        };
        let Some(ended) = live.session.ended().filter(|_| live.closed_at.is_none()) else {
            return;
        };
        live.closed_at = Some(now);
        let reason = ended.to_string();
        let dialled = live.transport.endpoint.clone();
        let (was_established, now_us) = (live.established, self.config.clock.now_us());
        self.status.send_modify(|status| match dialled {
            _ if was_established => status.contact.ended(now_us),
            Some(endpoint) => status.contact.failed(&endpoint, &reason),
            None => {}
        });
        if ended.needs_a_person() {
            tracing::error!(site = self.config.remote_site_id, %reason, "refused");
            self.backoff.refused();
        } else {
            tracing::info!(site = self.config.remote_site_id, %reason, "disconnected");
        }
        self.plan(Some(reason), now);
    }

    fn send_waiting(&mut self) {
        let Some((connection, frame)) = self.waiting.take() else {
            return;
        };
        let current = self.live.as_mut().filter(|live| live.no == connection);
        let Some(live) = current.filter(|live| live.session.is_established()) else {
            return;
        };
        if live.session.can_send(&frame) {
            self.counters.sent(&frame);
            live.session.send_frame(frame);
        } else {
            self.waiting = Some((connection, frame));
        }
    }

    fn reply(&mut self, reply: Reply) {
        let Some(live) = &mut self.live else {
            return;
        };
        let current = live.no;
        match reply {
            Reply::Receipts(receipts) => live.session.send_receipts(receipts),
            Reply::Nak(connection, nak) if connection == current => live.session.send_nak(nak),
            Reply::Hold(connection, hold) if connection == current => live.session.send_hold(hold),
            Reply::Close(connection, close) if connection == current => live.session.close(close),
            Reply::Request(connection, request) if connection == current => {
                live.session.send_request(request);
            }
            Reply::Page(connection, page) if connection == current => live.session.send_page(*page),
            Reply::Nak(..)
            | Reply::Hold(..)
            | Reply::Close(..)
            | Reply::Request(..)
            | Reply::Page(..) => {}
        }
    }

    fn transmit(&mut self, permit: Option<OwnedPermit<Message>>) {
        let Some(live) = &mut self.live else {
            return;
        };
        let Some(permit) = permit else {
            live.session.handle_lost("the transport is gone");
            return;
        };
        if let Some(message) = live.session.poll_transmit() {
            permit.send(message);
        }
    }

    fn incoming(&mut self, incoming: Option<Result<Incoming, TransportError>>, now: Duration) {
        let Some(live) = &mut self.live else {
            return;
        };
        match incoming {
            Some(Ok(incoming)) => {
                if let Some(message) = incoming.message {
                    live.session.handle_message(message, now);
                }
                live.session.handle_refused(incoming.refused);
            }
            Some(Err(TransportError::Garbage(reason))) => live.session.handle_garbage(reason),
            Some(Err(TransportError::Lost(reason))) => {
                self.counters.failed();
                live.session.handle_lost(reason);
            }
            None => live.session.handle_lost("ended by the peer"),
        }
        self.counters.heard(live.session.heard_at());
    }

    fn take_event(&mut self, now: Duration) -> Option<LinkEvent> {
        if let Some(event) = self.queue.pop_front() {
            return Some(event);
        }
        let live = self.live.as_mut()?;
        let connection = live.no;
        let event = live.session.poll_event(now)?;
        self.counters.heard(live.session.heard_at());
        Some(match event {
            Event::Connected(hello) => LinkEvent::Connected {
                connection,
                hello,
                filling: live.session.filling(),
                epoch: live.session.epoch(),
            },
            Event::Frame(frame) => {
                self.counters.received(&frame);
                LinkEvent::Frame { connection, frame }
            }
            Event::Receipts(receipts) => LinkEvent::Receipts(receipts),
            Event::Rewind { stream, from } => LinkEvent::Rewind { stream, from },
            Event::Nak(nak) => LinkEvent::Nak(nak),
            Event::Refused(batch) => LinkEvent::Refused(batch),
            Event::Hold { hold, from } => LinkEvent::Hold { hold, from },
            Event::Heartbeat(beat, compared) => LinkEvent::Heartbeat(beat, compared),
            Event::SnapshotRequest(request) => LinkEvent::SnapshotRequest {
                connection,
                request,
            },
            Event::SnapshotPage(page) => LinkEvent::SnapshotPage { connection, page },
            Event::Closed(reason) => LinkEvent::Disconnected {
                reason,
                next: self.retry.map(|(_, attempt)| attempt),
                in_flight: live.session.in_flight().0,
            },
        })
    }
}

/// Why a connection is given up before it said anything.
const NOT_READY: &str = "this site cannot tell how far it is, see its log";
const DUPLICATE: &str = "the site is connected already; of two connections the one that the lower \
                         site id dialled stays";

/// Tells the peer why its connection does not stay. It does not matter whether it hears it.
fn refuse(transport: &Transport, close: Close) {
    if transport.outgoing.try_send(Message::Close(close)).is_err() {
        tracing::debug!("a connection was gone before it was refused");
    }
}

async fn reserve(outgoing: Option<&mpsc::Sender<Message>>) -> Option<OwnedPermit<Message>> {
    match outgoing {
        Some(outgoing) => outgoing.clone().reserve_owned().await.ok(),
        None => std::future::pending().await,
    }
}

async fn receive(
    incoming: Option<&mut mpsc::Receiver<Result<Incoming, TransportError>>>,
) -> Option<Result<Incoming, TransportError>> {
    match incoming {
        Some(incoming) => incoming.recv().await,
        None => std::future::pending().await,
    }
}

async fn dialled(dialling: Option<&mut Dialling>) -> Result<Transport, String> {
    match dialling {
        Some(dialling) => dialling.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
