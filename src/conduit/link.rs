//! What the daemon holds of one peer: bounded channels in and out, the same over gRPC and within the process.
//!
//! A link outlives connections. Everything that is only true on one connection (frames with their mark, naks,
//! holds) carries the number of that connection and is dropped when it reaches another one; the owner starts over
//! from the peer's cursors at [`LinkEvent::Connected`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};

use super::backoff::Attempt;
use super::contact::Contact;
use super::hello::{Filling, Opening};
use super::message::{
    Beat, Close, Frame, Hello, Hold, Nak, Receipts, SnapshotPage, SnapshotRequest,
};
use super::peer::Steering;
use super::session::{Compared, Ended, RefusedBatch, check_frame};
use super::stats::{ConduitStats, Counters};
use crate::error::{ReplError, Result};
use crate::journal::dot::Actor;
use crate::topology::SiteId;

/// Events waiting for the owner. Small: the session behind it holds the rest within its own limits.
pub const EVENTS_MAX: usize = 16;
/// Frames waiting for the window. One is enough to keep the sender busy, more only make a rewind longer.
pub const FRAMES_MAX: usize = 4;
/// Receipts, naks and holds waiting for the transport.
pub const REPLIES_MAX: usize = 64;

/// Number of a connection of one link, from 1.
pub type ConnectionNo = u64;

/// What the owner of a link knows at the moment of connecting and of each heartbeat. Called from the loop of the
/// peer: it must be quick and must not block on the link.
pub trait Local: Send + Sync {
    /// The journal of this site.
    fn actor(&self) -> Actor;
    /// What this site says of itself and expects of the peer. `connection_id`, versions and `certificate_site` are
    /// filled in. None: it cannot tell now, and the connection is tried again later.
    fn opening(&self) -> Option<Opening>;
    /// Clocks and backlog.
    fn beat(&self) -> Beat;
}

/// What the daemon learns of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// A connection stands. What is to be sent starts over from the peer's cursors.
    Connected {
        /// Its number: frames, naks and holds carry it.
        connection: ConnectionNo,
        /// What the peer said of itself.
        hello: Box<Hello>,
        /// Who takes over what the other one knows; where anyone does, no entries are sent.
        filling: Filling,
        /// The membership epoch that this site's own hello told.
        epoch: u32,
    },
    /// Batches and mark; see [`super::session::Event::Frame`].
    Frame {
        /// The connection that they came on.
        connection: ConnectionNo,
        /// The frame.
        frame: Frame,
    },
    /// Peer positions moved.
    Receipts(Receipts),
    /// Send a stream again.
    Rewind {
        /// Which stream.
        stream: u32,
        /// First seq to send.
        from: u64,
    },
    /// A batch was refused for another reason than a gap.
    Nak(Nak),
    /// A batch of the peer did not decode; it was answered with a nak.
    Refused(RefusedBatch),
    /// The peer takes nothing until then; see [`super::session::Event::Hold`].
    Hold {
        /// When and why.
        hold: Hold,
        /// First seq to send, for each stream that had something in flight.
        from: BTreeMap<u32, u64>,
    },
    /// Clocks, mark and backlog of the peer.
    Heartbeat(Beat, Option<Compared>),
    /// The peer asks for a page of what this site knows.
    SnapshotRequest {
        /// The connection that it came on.
        connection: ConnectionNo,
        /// From where on.
        request: SnapshotRequest,
    },
    /// A page that was asked for.
    SnapshotPage {
        /// The connection that it came on.
        connection: ConnectionNo,
        /// The page.
        page: Box<SnapshotPage>,
    },
    /// The connection is over.
    Disconnected {
        /// Why.
        reason: Ended,
        /// The next attempt to dial. None: the peer has to dial, or the link was shut down.
        next: Option<Attempt>,
        /// Entries that were sent and not receipted: those that did not arrive are sent again.
        in_flight: usize,
    },
}

/// Where a link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConduitState {
    /// Hellos were exchanged.
    Connected,
    /// No connection; the next attempt is that far away.
    Reconnecting {
        /// Attempts since the last connection.
        attempt: u32,
        /// Wait before the next one, in milliseconds. Zero while an attempt is under way or the peer has to dial.
        delay_ms: u64,
    },
    /// Ended for good.
    Shutdown,
}

/// The state with what an operator asks next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// Where it stands.
    pub state: ConduitState,
    /// The endpoint of the connection or of the last attempt. None: the peer dialled.
    pub endpoint: Option<String>,
    /// Why the last attempt or connection failed; kept until the next one stands.
    pub last_error: Option<String>,
    /// What came of the tries.
    pub contact: Contact,
}

impl LinkStatus {
    pub(super) const fn starting(contact: Contact) -> Self {
        Self {
            state: ConduitState::Reconnecting {
                attempt: 0,
                delay_ms: 0,
            },
            endpoint: None,
            last_error: None,
            contact,
        }
    }
}

/// A receipt, nak or hold for the peer.
#[derive(Debug)]
pub(super) enum Reply {
    Receipts(Receipts),
    Nak(ConnectionNo, Nak),
    Hold(ConnectionNo, Hold),
    Close(ConnectionNo, Close),
    Request(ConnectionNo, SnapshotRequest),
    Page(ConnectionNo, Box<SnapshotPage>),
}

/// The daemon's handle of one peer. Clones share it; events go to whoever asks first.
#[derive(Clone)]
pub struct Link {
    pub(super) remote_site_id: SiteId,
    pub(super) local: Actor,
    pub(super) events: Arc<Mutex<mpsc::Receiver<LinkEvent>>>,
    pub(super) frames: mpsc::Sender<(ConnectionNo, Frame)>,
    pub(super) replies: mpsc::Sender<Reply>,
    pub(super) status: watch::Receiver<LinkStatus>,
    pub(super) stop: tokio_util::sync::CancellationToken,
    pub(super) counters: Arc<Counters>,
    pub(super) steering: Arc<watch::Sender<Steering>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("remote_site_id", &self.remote_site_id)
            .field("status", &*self.status.borrow())
            .finish_non_exhaustive()
    }
}

impl Link {
    /// The site at the other end.
    #[must_use]
    pub const fn remote_site_id(&self) -> SiteId {
        self.remote_site_id
    }

    /// The next event. None after shutdown. Cancel-safe: an event is taken whole or not at all.
    pub async fn next_event(&self) -> Option<LinkEvent> {
        self.events.lock().await.recv().await
    }

    /// Hands over a frame for `connection`; waits while the window is full. A frame of a connection that is gone is
    /// dropped: the owner hears of it by [`LinkEvent::Disconnected`]. Cancel-safe.
    ///
    /// # Errors
    /// [`ReplError::Serialization`] when it holds entries of others or is too large, [`ReplError::Shutdown`].
    pub async fn send_frame(&self, connection: ConnectionNo, frame: Frame) -> Result<()> {
        check_frame(self.local, &frame)
            .map_err(|reason| ReplError::serialization("frame", reason))?;
        self.open()?;
        let sent = self.frames.send((connection, frame)).await;
        sent.map_err(|_| ReplError::Shutdown)
    }

    /// Tells the peer how far its entries got. Receipts stay true over connections.
    ///
    /// # Errors
    /// [`ReplError::Shutdown`].
    pub async fn send_receipts(&self, receipts: Receipts) -> Result<()> {
        self.reply(Reply::Receipts(receipts)).await
    }

    /// Refuses a batch that came on `connection`.
    ///
    /// # Errors
    /// [`ReplError::Shutdown`].
    pub async fn send_nak(&self, connection: ConnectionNo, nak: Nak) -> Result<()> {
        self.reply(Reply::Nak(connection, nak)).await
    }

    /// Asks the peer to wait.
    ///
    /// # Errors
    /// [`ReplError::Shutdown`].
    pub async fn send_hold(&self, connection: ConnectionNo, hold: Hold) -> Result<()> {
        self.reply(Reply::Hold(connection, hold)).await
    }

    /// Asks on `connection` for a page of what the peer knows.
    ///
    /// # Errors
    /// [`ReplError::Shutdown`].
    pub async fn send_request(
        &self,
        connection: ConnectionNo,
        request: SnapshotRequest,
    ) -> Result<()> {
        self.reply(Reply::Request(connection, request)).await
    }

    /// Answers a request that came on `connection`.
    ///
    /// # Errors
    /// [`ReplError::Shutdown`].
    pub async fn send_page(&self, connection: ConnectionNo, page: SnapshotPage) -> Result<()> {
        self.reply(Reply::Page(connection, Box::new(page))).await
    }

    /// Closes `connection` for a reason that only the owner can know, such as a forked chain. The link goes on.
    ///
    /// # Errors
    /// [`ReplError::Shutdown`].
    pub async fn close(&self, connection: ConnectionNo, close: Close) -> Result<()> {
        self.reply(Reply::Close(connection, close)).await
    }

    /// Where the link stands.
    #[must_use]
    pub fn status(&self) -> LinkStatus {
        self.status.borrow().clone()
    }

    /// Waits until the status fulfils `wanted` and returns it; after the end of the link the last one.
    pub async fn wait_for(&self, wanted: impl FnMut(&LinkStatus) -> bool) -> LinkStatus {
        let mut status = self.status.clone();
        match status.wait_for(wanted).await {
            Ok(found) => found.clone(),
            Err(_) => self.status(),
        }
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> ConduitStats {
        self.counters.snapshot()
    }

    /// When the peer said anything last, by the monotonic clock. None: never, or what it says is not read at present.
    #[must_use]
    pub fn heard_at(&self) -> Option<Duration> {
        self.counters.heard_at()
    }

    /// Changes what holds for the peer from here on.
    pub fn steer(&self, change: impl FnOnce(&mut Steering)) {
        self.steering.send_if_modified(|steering| {
            let before = steering.clone();
            change(steering);
            *steering != before
        });
    }

    /// Whether an operator paused the exchange.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.steering.borrow().paused
    }

    /// Asks the link to end: what was handed over is sent first, then the peer is told.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    async fn reply(&self, reply: Reply) -> Result<()> {
        self.open()?;
        let sent = self.replies.send(reply).await;
        sent.map_err(|_| ReplError::Shutdown)
    }

    fn open(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(ReplError::Shutdown);
        }
        Ok(())
    }
}

/// Delays between attempts to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// Smallest. Default: 100 ms.
    pub min: Duration,
    /// Largest. Default: 30 s.
    pub max: Duration,
    /// Seed of the jitter.
    pub seed: u64,
}
