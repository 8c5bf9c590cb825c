//! The owner of a plain conduit's link: holds what is not receipted, and what was not yet asked for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};

use tokio::sync::mpsc::{self, OwnedPermit};
use tokio_util::sync::CancellationToken;

use super::super::hello::{Opening, Remembered};
use super::super::link::{ConduitState, ConnectionNo, Link, LinkEvent, Local};
use super::super::message::{
    Beat, ClockPair, Frame, Hello, Nak, Receipt, Receipts, StreamCursor, StreamState,
};
use super::super::peer::{DRAIN_MAX, Dialer, PeerConfig};
use super::super::session::{RECEIVE_BYTES_MAX, frame_bytes};
use super::super::window::batch_bytes;
use super::ConduitConfig;
use crate::clock::{Clock as _, SharedClock, SystemClock};
use crate::journal::EntryBatch;
use crate::journal::dot::{Actor, STREAM_COUNT};

/// Batches held until their receipt, beside the limits of the window: empty ones count here.
const PENDING_MAX: usize = 1_024;

/// What the conduit says of itself when it connects.
#[derive(Debug)]
pub(crate) struct Facts {
    config: ConduitConfig,
    cursors: std::sync::Mutex<(u64, BTreeMap<u32, u64>)>,
    /// Highest seq handed over, by stream: what the peer can have.
    heads: std::sync::Mutex<BTreeMap<u32, u64>>,
}

impl Facts {
    pub(crate) fn new(config: &ConduitConfig) -> Arc<Self> {
        Arc::new(Self {
            config: config.clone(),
            cursors: std::sync::Mutex::default(),
            heads: std::sync::Mutex::default(),
        })
    }

    /// The settings of a peer that says these facts.
    pub(crate) fn peer(self: &Arc<Self>, dialer: Option<Arc<dyn Dialer>>) -> PeerConfig {
        PeerConfig {
            remote_site_id: self.config.remote_site_id,
            endpoints: self.config.remote_addrs.clone(),
            limits: self.config.limits(),
            reconnect: self.config.reconnect(),
            clock: Arc::new(SystemClock) as SharedClock,
            local: Arc::clone(self) as Arc<dyn Local>,
            dialer,
            age_max: None,
            paused: false,
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut (u64, BTreeMap<u32, u64>)) -> T) -> T {
        change(&mut self.cursors.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Cursors belong to one journal of the peer: another one starts from nothing.
    fn connected(&self, incarnation: u64) {
        self.with(|(of, cursors)| {
            if *of != incarnation {
                (*of, *cursors) = (incarnation, BTreeMap::new());
            }
        });
    }

    fn submitted(&self, batch: &EntryBatch) {
        if batch.last > 0 && batch.stream < STREAM_COUNT {
            let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
            let head = heads.entry(batch.stream).or_default();
            *head = batch.last.max(*head);
        }
    }

    fn delivered(&self, stream: u32, last: u64) {
        self.with(|(_, cursors)| {
            let cursor = cursors.entry(stream).or_default();
            *cursor = last.max(*cursor);
        });
    }
}

impl Local for Facts {
    fn actor(&self) -> Actor {
        Actor::new(self.config.local_site_id, self.config.incarnation)
    }

    fn opening(&self) -> Option<Opening> {
        let (peer_incarnation, cursors) = self.with(|cursors| cursors.clone());
        let cursor = |(stream, received)| StreamCursor {
            stream,
            received,
            merged: received,
            durable: received,
            applied: received,
            ..StreamCursor::default()
        };
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let state = |(stream, head): (&u32, &u64)| StreamState {
            stream: *stream,
            tail: 1,
            head: *head,
            ..StreamState::default()
        };
        Some(Opening {
            hello: Hello {
                streams: heads.iter().map(state).collect(),
                actor: self.actor(),
                site_name: self.config.local_name(),
                cluster: self.config.cluster.clone(),
                cursors: cursors.into_iter().map(cursor).collect(),
                peer_incarnation,
                clock: self.beat().clock,
                ..Hello::default()
            },
            remote_site_id: self.config.remote_site_id,
            remote_name: self.config.remote_name(),
            certificate_site: None,
            remembered: Remembered::default(),
            fenced: BTreeMap::new(),
            joined: false,
            takes_over: false,
        })
    }

    fn beat(&self) -> Beat {
        let wall_us = SystemClock.now_us();
        Beat {
            clock: ClockPair {
                wall_us,
                hlc_us: wall_us,
                synchronised: false,
            },
            ..Beat::default()
        }
    }
}

/// What the carrier waits for.
enum Input {
    Stop,
    Event(Option<LinkEvent>),
    Submitted(Option<EntryBatch>),
    FrameSlot(Option<OwnedPermit<(ConnectionNo, Frame)>>),
    DeliverySlot(Option<OwnedPermit<EntryBatch>>),
}

/// What is left to do after an input.
#[derive(PartialEq, Eq)]
enum Step {
    Continue,
    /// The owner stopped, or let go of the conduit.
    Stop,
    /// The link is gone for good.
    Gone,
}

/// Owner of the link.
///
/// `pending[..next]` was sent on the connection, `pending[next..]` was not; a lost connection sets `next` to 0.
pub(super) struct Carrier {
    link: Link,
    facts: Arc<Facts>,
    limits: (usize, usize),
    pending: VecDeque<EntryBatch>,
    next: usize,
    /// Entries and bytes in `pending`.
    held: (usize, usize),
    connection: Option<ConnectionNo>,
    inbox: VecDeque<EntryBatch>,
    inbox_bytes: usize,
    submitted: mpsc::Receiver<EntryBatch>,
    submitting: bool,
    delivered: mpsc::Sender<EntryBatch>,
    stop: CancellationToken,
}

impl Carrier {
    pub(super) fn new(
        link: Link,
        facts: Arc<Facts>,
        submitted: mpsc::Receiver<EntryBatch>,
        delivered: mpsc::Sender<EntryBatch>,
        stop: CancellationToken,
    ) -> Self {
        let limits = facts.config.limits().window;
        Self {
            link,
            facts,
            limits: (limits.entries, limits.bytes),
            pending: VecDeque::new(),
            next: 0,
            held: (0, 0),
            connection: None,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            submitted,
            submitting: true,
            delivered,
            stop,
        }
    }

    /// Runs until the conduit is stopped or its link is gone, then sends or hands out what is left.
    pub(super) async fn run(mut self) {
        loop {
            let input = self.next().await;
            match self.apply(input).await {
                Step::Continue => {}
                Step::Gone => {
                    self.hand_out().await;
                    break;
                }
                Step::Stop => {
                    if tokio::time::timeout(DRAIN_MAX, self.drain()).await.is_err() {
                        let unsent = self.pending.len() - self.next;
                        tracing::warn!(unsent, "shut down with batches that nobody took");
                    }
                    break;
                }
            }
        }
        self.link.stop();
        drop(self.delivered);
        self.link
            .wait_for(|status| status.state == ConduitState::Shutdown)
            .await;
    }

    /// Waits for one input. Every branch is cancel-safe: slots and queues keep what was not taken.
    async fn next(&mut self) -> Input {
        let room = self.submitting && self.has_room();
        let unsent = self.next < self.pending.len() && self.connection.is_some();
        let (frames, delivered) = (self.link.frames.clone(), self.delivered.clone());
        tokio::select! {
            () = self.stop.cancelled(), if self.submitting => Input::Stop,
            event = self.link.next_event(), if self.inbox_bytes < RECEIVE_BYTES_MAX =>
                Input::Event(event),
            batch = self.submitted.recv(), if room => Input::Submitted(batch),
            slot = frames.reserve_owned(), if unsent => Input::FrameSlot(slot.ok()),
            slot = delivered.reserve_owned(), if !self.inbox.is_empty() =>
                Input::DeliverySlot(slot.ok()),
        }
    }

    async fn apply(&mut self, input: Input) -> Step {
        match input {
            Input::Event(Some(event)) => self.handle(event),
            Input::Submitted(Some(batch)) => self.hold(batch),
            Input::FrameSlot(Some(slot)) => self.send(slot),
            Input::DeliverySlot(Some(slot)) => self.deliver(slot).await,
            Input::Stop | Input::Submitted(None) | Input::DeliverySlot(None) => return Step::Stop,
            Input::Event(None) | Input::FrameSlot(None) => return Step::Gone,
        }
        Step::Continue
    }

    /// What came in before the link was gone is still handed out.
    async fn hand_out(&mut self) {
        self.submitted.close();
        while let Some(batch) = self.inbox.pop_front() {
            tokio::select! {
                () = self.stop.cancelled() => return,
                sent = self.delivered.send(batch) => if sent.is_err() {
                    return;
                },
            }
        }
    }

    /// Sends what was handed over before the stop.
    async fn drain(&mut self) {
        self.submitting = false;
        self.submitted.close();
        while let Some(batch) = self.submitted.recv().await {
            self.hold(batch);
        }
        while self.next < self.pending.len() {
            let input = self.next().await;
            if self.apply(input).await == Step::Gone {
                return;
            }
        }
    }

    fn handle(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Connected {
                connection, hello, ..
            } => {
                self.facts.connected(hello.actor.incarnation);
                self.next = self.pending.len();
                for cursor in hello.cursors_of(self.link.local.incarnation) {
                    self.receipted(cursor.stream, cursor.received);
                }
                self.connection = Some(connection);
                self.next = 0;
            }
            LinkEvent::Frame { frame, .. } => {
                self.inbox_bytes += frame_bytes(&frame);
                self.inbox.extend(frame.batches);
            }
            LinkEvent::Receipts(receipts) => {
                for receipt in receipts.receipts {
                    self.receipted(receipt.stream, receipt.received);
                }
            }
            LinkEvent::Rewind { .. } | LinkEvent::Hold { .. } => self.next = 0,
            LinkEvent::Nak(nak) => self.discard(&nak),
            LinkEvent::Refused(batch) => {
                tracing::error!(stream = batch.stream, detail = %batch.detail, "batch breaks a rule");
            }
            // What it holds are entries; there is nothing that it could take over or give.
            LinkEvent::SnapshotRequest { .. } | LinkEvent::SnapshotPage { .. } => {}
            LinkEvent::Heartbeat(..) => {}
            LinkEvent::Disconnected { .. } => self.connection = None,
        }
    }

    fn hold(&mut self, batch: EntryBatch) {
        self.facts.submitted(&batch);
        self.held.0 += batch.entries.len();
        self.held.1 += batch_bytes(&batch);
        self.pending.push_back(batch);
    }

    fn has_room(&self) -> bool {
        let fits = self.held.0 < self.limits.0 && self.held.1 < self.limits.1;
        self.pending.is_empty() || (fits && self.pending.len() < PENDING_MAX)
    }

    /// Sends the next batch, by itself in a frame.
    fn send(&mut self, slot: OwnedPermit<(ConnectionNo, Frame)>) {
        let Some((connection, batch)) = self.connection.zip(self.pending.get(self.next)) else {
            return;
        };
        let batches = vec![batch.clone()];
        let ranged = batch.last != 0;
        slot.send((
            connection,
            Frame {
                batches,
                mark_us: 0,
            },
        ));
        if ranged {
            self.next += 1;
        } else if let Some(batch) = self.pending.remove(self.next) {
            // There is no receipt for it.
            self.let_go(&batch);
        }
    }

    async fn deliver(&mut self, slot: OwnedPermit<EntryBatch>) {
        let Some(batch) = self.inbox.pop_front() else {
            return;
        };
        self.inbox_bytes -= batch_bytes(&batch);
        let last = batch.last;
        let receipt = Receipt {
            actor: batch.actor(),
            stream: batch.stream,
            received: last,
            merged: last,
            durable: last,
            applied: last,
            ..Receipt::default()
        };
        slot.send(batch);
        if last == 0 {
            return;
        }
        self.facts.delivered(receipt.stream, last);
        let receipts = Receipts {
            receipts: vec![receipt],
            applied_mark_us: 0,
        };
        if self.link.send_receipts(receipts).await.is_err() {
            tracing::debug!("no receipt, the link is gone");
        }
    }

    /// Lets go of what the peer has.
    fn receipted(&mut self, stream: u32, received: u64) {
        let sent = std::mem::take(&mut self.next);
        let all = std::mem::take(&mut self.pending);
        for (at, batch) in all.into_iter().enumerate() {
            if at < sent && batch.stream == stream && batch.last <= received {
                self.let_go(&batch);
            } else {
                self.next += usize::from(at < sent);
                self.pending.push_back(batch);
            }
        }
    }

    /// Lets go of the batch that the peer refused: it would be refused again and again.
    fn discard(&mut self, nak: &Nak) {
        tracing::error!(stream = nak.stream, detail = %nak.detail, "batch refused by the peer");
        self.link.counters.failed();
        let refused = |batch: &EntryBatch| batch.stream == nak.stream && batch.last > nak.received;
        let found = self.pending.iter().position(refused);
        if let Some(batch) = found.and_then(|at| self.pending.remove(at)) {
            self.let_go(&batch);
        }
        self.next = 0;
    }

    fn let_go(&mut self, batch: &EntryBatch) {
        self.held.0 -= batch.entries.len();
        self.held.1 -= batch_bytes(batch);
    }
}
