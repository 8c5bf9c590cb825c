//! Pure: one connection between two sites, both directions, without socket, task or clock.
//!
//! Messages and time go in by `handle_*`, messages to send and events for the owner come out by `poll_*`. Promises: a
//! mark never claims what a rewind took back; positions of the peer never go back; a peer can neither make the
//! session hold more than [`RECEIVE_BYTES_MAX`] nor move a position beyond what was sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use super::hello::{self, Filling, Opening};
use super::message::{
    Beat, Close, CloseReason, Frame, Hello, Hold, Message, Nak, NakReason, Receipt, Receipts,
    SnapshotPage, SnapshotRequest,
};
use super::window::{FRAME_BYTES_MAX, Window, WindowLimits, batch_bytes};
use crate::journal::EntryBatch;
use crate::journal::dot::{Actor, STREAM_COUNT};
use clocks::Clocks;

mod clocks;
mod receive;
mod send;

pub use clocks::Compared;
pub use send::check_frame;

/// How often a heartbeat is sent. One second: a mark is then never older than that plus the way.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// Silence after which the peer counts as gone: fifteen missed heartbeats outlast a route change.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Frames received and not yet taken by the owner, in bytes: twice the default window of the sender.
pub const RECEIVE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Events not yet taken by the owner: above any sensible number of frames within [`RECEIVE_BYTES_MAX`].
const EVENTS_MAX: usize = 1_024;
/// Messages not yet taken by the transport. Small: what waits here delays the receipts behind it.
const OUTBOX_MAX: usize = 16;
/// Messages not yet taken by the transport at which nothing is read: only naks of a flood of bad batches get there.
const OUTBOX_HARD_MAX: usize = 64;

/// Times and limits of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// How much may be in flight.
    pub window: WindowLimits,
    /// Time between heartbeats. Default: [`HEARTBEAT`].
    pub heartbeat: Duration,
    /// Silence after which the peer is gone. Default: [`SILENCE_MAX`].
    pub silence_max: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            window: WindowLimits::default(),
            heartbeat: HEARTBEAT,
            silence_max: SILENCE_MAX,
        }
    }
}

/// What the owner learns from a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The hellos agree; first event of every session that gets that far.
    Connected(Box<Hello>),
    /// Batches and mark. The owner answers with receipts, a nak or a hold. The mark of a frame with a batch that
    /// was not taken counts once the gap is closed.
    Frame(Frame),
    /// Peer positions moved; those given are the highest ever heard. Several messages may have become one.
    Receipts(Receipts),
    /// Send `stream` again from `from` on: the peer lacks it.
    Rewind {
        /// Which stream.
        stream: u32,
        /// First seq to send.
        from: u64,
    },
    /// A batch was refused for another reason than a gap; nothing of its stream was kept from there on. Sending goes on
    /// behind `received`, when the owner thinks it right.
    Nak(Nak),
    /// A batch of the peer did not decode; it was answered with a nak.
    Refused(RefusedBatch),
    /// The peer takes nothing until then. All that is unreceipted must be sent again, from the cursors given.
    Hold {
        /// When and why.
        hold: Hold,
        /// First seq to send, for each stream that had something in flight.
        from: BTreeMap<u32, u64>,
    },
    /// Clocks, mark and backlog of the peer; and how its clock compares with ours, once that is known.
    Heartbeat(Beat, Option<Compared>),
    /// The peer asks for a page of what this site knows.
    SnapshotRequest(SnapshotRequest),
    /// The page that was asked for.
    SnapshotPage(Box<SnapshotPage>),
    /// The connection is over; last event.
    Closed(Ended),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// This site refused or shut down, and told the peer so.
    ByUs(Close),
    /// The peer refused or shut down.
    ByPeer(Close),
    /// Nothing was heard for this long.
    Silent(Duration),
    /// The transport broke.
    Lost(String),
}

impl Ended {
    /// Whether trying again soon is useless.
    #[must_use]
    pub const fn needs_a_person(&self) -> bool {
        match self {
            Self::ByUs(close) | Self::ByPeer(close) => close.reason.needs_a_person(),
            Self::Silent(_) | Self::Lost(_) => false,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByUs(close) => write!(f, "closed by this site, {close}"),
            Self::ByPeer(close) => write!(f, "closed by the peer, {close}"),
            Self::Silent(silence) => write!(f, "nothing heard for {} s", silence.as_secs()),
            Self::Lost(reason) => write!(f, "connection lost: {reason}"),
        }
    }
}

/// A batch that the wire could not decode; the session answers with a nak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedBatch {
    /// Whose it says it is.
    pub actor: Actor,
    /// Its stream.
    pub stream: u32,
    /// Its number.
    pub batch_seq: u64,
    /// What is wrong with it.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    AwaitHello,
    Established,
    /// Nothing is taken any more; the outbox may still hold the close.
    Closed,
}

/// One connection. Owned by the loop of its peer; lives as long as the connection.
///
/// `sent_through >= positions.received` holds for every stream (it starts at the journal's head); `rewinding` names the streams whose next batch
/// must start at or below the seq given: anything above was handed over before the owner knew of the rewind, and is
/// dropped, because the peer would refuse it again.
#[derive(Debug)]
pub struct Session {
    limits: SessionLimits,
    opening: Opening,
    phase: Phase,
    ended: Option<Ended>,
    peer: Option<Hello>,
    /// Who takes over what the other one knows. Where anyone does, no entries are sent.
    filling: Filling,
    /// A page was asked for and did not come yet.
    awaits_page: bool,
    outbox: VecDeque<Message>,
    events: VecDeque<Event>,
    queued_bytes: usize,
    /// Receipts not yet taken by the owner, merged by stream.
    news: BTreeMap<u32, Receipt>,
    applied_mark_us: u64,
    applied_mark_news: bool,
    window: Window,
    /// What the peer has of our streams.
    positions: BTreeMap<u32, Receipt>,
    sent_through: BTreeMap<u32, u64>,
    rewinding: BTreeMap<u32, u64>,
    /// Number of the first batch sent after a stream's last rewind.
    rewound_at: BTreeMap<u32, u64>,
    batch_seq: u64,
    peer_batch_seq: u64,
    /// What the peer was told we have of its streams.
    receipted: BTreeMap<u32, u64>,
    mark_us: u64,
    heard_at: Duration,
    beat_at: Duration,
    clocks: Clocks,
}

impl Session {
    /// A fresh connection; our hello is the first thing to transmit.
    #[must_use]
    pub fn new(opening: Opening, limits: SessionLimits, now: Duration) -> Self {
        let hello = Message::Hello(Box::new(opening.hello.clone()));
        Self {
            limits,
            phase: Phase::AwaitHello,
            ended: None,
            peer: None,
            filling: Filling::default(),
            awaits_page: false,
            outbox: VecDeque::from([hello]),
            events: VecDeque::new(),
            queued_bytes: 0,
            news: BTreeMap::new(),
            applied_mark_us: 0,
            applied_mark_news: false,
            window: Window::new(limits.window),
            positions: BTreeMap::new(),
            sent_through: BTreeMap::new(),
            rewinding: BTreeMap::new(),
            rewound_at: BTreeMap::new(),
            batch_seq: 0,
            peer_batch_seq: 0,
            receipted: BTreeMap::new(),
            mark_us: 0,
            heard_at: now,
            beat_at: now + limits.heartbeat,
            clocks: Clocks::default(),
            opening,
        }
    }

    /// Takes a message of the peer.
    pub fn handle_message(&mut self, message: Message, now: Duration) {
        self.heard_at = now;
        match self.phase {
            Phase::Closed => {}
            Phase::AwaitHello => self.handle_first(message),
            Phase::Established => self.handle_next(message, now),
        }
    }

    /// Takes batches that did not decode: they are answered with a nak, or, when they are not even the peer's,
    /// with a close.
    ///
    /// One nak per stream: what follows in it is behind the gap.
    pub fn handle_refused(&mut self, batches: Vec<RefusedBatch>) {
        let mut streams = BTreeSet::new();
        for refused in batches {
            if !streams.insert(refused.stream) {
                continue;
            }
            if self.phase != Phase::Established || !self.check_actor(refused.actor) {
                return;
            }
            let received = self.receipted.get(&refused.stream).copied().unwrap_or(0);
            self.outbox.push_back(Message::Nak(Nak {
                actor: refused.actor,
                stream: refused.stream,
                reason: NakReason::Invalid,
                received,
                batch_seq: refused.batch_seq,
                detail: refused.detail.clone(),
            }));
            self.events.push_back(Event::Refused(refused));
        }
    }

    /// The peer sent something that is no message.
    pub fn handle_garbage(&mut self, detail: impl Into<String>) {
        self.close(Close::new(CloseReason::Protocol, detail));
    }

    /// The transport ended; nothing more can be sent.
    pub fn handle_lost(&mut self, reason: impl Into<String>) {
        self.end(Ended::Lost(reason.into()));
        self.outbox.clear();
    }

    /// Time passed. `beat` holds the clocks and the backlog of this moment.
    pub fn handle_timeout(&mut self, now: Duration, beat: Beat) {
        if self.phase == Phase::Closed {
            return;
        }
        let silence = now.saturating_sub(self.heard_at);
        if silence >= self.limits.silence_max && self.owner_keeps_up() {
            self.end(Ended::Silent(silence));
            self.outbox.clear();
            return;
        }
        if now >= self.beat_at {
            self.beat_at = now + self.limits.heartbeat;
            if self.phase == Phase::Established && self.can_reply() {
                let mark_us = self.mark_us;
                let beat = self.clocks.stamp(Beat { mark_us, ..beat }, now);
                self.outbox.push_back(Message::Heartbeat(beat));
            }
        }
    }

    /// Closes the connection and tells the peer why. What was handed over before goes out first.
    pub fn close(&mut self, close: Close) {
        if self.phase == Phase::Closed {
            return;
        }
        self.outbox.push_back(Message::Close(close.clone()));
        self.end(Ended::ByUs(close));
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Message> {
        self.outbox.pop_front()
    }

    /// The next event. Receipts overtake frames: they free the owner's window and need no order.
    pub fn poll_event(&mut self, now: Duration) -> Option<Event> {
        let connected = matches!(self.events.front(), Some(Event::Connected(_)));
        if !connected && (self.applied_mark_news || !self.news.is_empty()) {
            self.applied_mark_news = false;
            let news = std::mem::take(&mut self.news);
            return Some(Event::Receipts(Receipts {
                receipts: news.into_values().collect(),
                applied_mark_us: self.applied_mark_us,
            }));
        }
        let was_full = !self.owner_keeps_up();
        let event = self.events.pop_front()?;
        if let Event::Frame(frame) = &event {
            self.queued_bytes -= frame_bytes(frame);
        }
        if was_full && self.owner_keeps_up() {
            // While nothing was read, the silence was ours.
            self.heard_at = now;
        }
        Some(event)
    }

    /// When the peer said anything last. None: what it says is not read at present, because the owner does not keep up.
    #[must_use]
    pub fn heard_at(&self) -> Option<Duration> {
        self.owner_keeps_up().then_some(self.heard_at)
    }

    /// When [`Session::handle_timeout`] is due. None: never again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.phase == Phase::Closed {
            return None;
        }
        let silent_at = self.heard_at + self.limits.silence_max;
        let due = if self.owner_keeps_up() {
            self.beat_at.min(silent_at)
        } else {
            self.beat_at
        };
        Some(due)
    }

    /// Whether [`Session::poll_transmit`] has something.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether [`Session::poll_event`] has something.
    #[must_use]
    pub fn has_event(&self) -> bool {
        self.applied_mark_news || !self.news.is_empty() || !self.events.is_empty()
    }

    /// Whether the transport should be read. False: the owner or the transport is behind, and the peer has to wait.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.owner_keeps_up() && self.outbox.len() < OUTBOX_HARD_MAX
    }

    fn owner_keeps_up(&self) -> bool {
        self.queued_bytes < RECEIVE_BYTES_MAX && self.events.len() < EVENTS_MAX
    }

    /// Whether the hellos agreed and the connection is not over.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.phase == Phase::Established
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Why the connection is over. None: it is not.
    #[must_use]
    pub const fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// The peer's hello, once it came and was believed.
    #[must_use]
    pub const fn peer(&self) -> Option<&Hello> {
        self.peer.as_ref()
    }

    /// Who takes over what the other one knows on this connection.
    #[must_use]
    pub const fn filling(&self) -> Filling {
        self.filling
    }

    /// The membership epoch that this site's hello told.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.opening.hello.epoch
    }

    /// How far the peer has each of our streams.
    pub fn positions(&self) -> impl Iterator<Item = &Receipt> {
        self.positions.values()
    }

    /// Entries and bytes sent and not receipted.
    #[must_use]
    pub const fn in_flight(&self) -> (usize, usize) {
        self.window.in_flight()
    }

    fn end(&mut self, ended: Ended) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.ended = Some(ended.clone());
            self.events.push_back(Event::Closed(ended));
        }
    }

    const fn local(&self) -> Actor {
        self.opening.hello.actor
    }
}

/// The size of a frame as limits count it.
#[must_use]
pub fn frame_bytes(frame: &Frame) -> usize {
    frame.batches.iter().map(batch_bytes).sum()
}

#[cfg(test)]
mod tests;
