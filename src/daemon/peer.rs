//! One peer: takes in what it sends, sends it the journal, tells it how far its entries got.
//!
//! Two tasks, so that waiting for the peer's window never keeps its entries from being received: one owns what comes
//! in, the other a reader of the journal. A connection starts over from the cursors of the peer's hello.

mod send;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::backlog::{Backlog, backlog};
use super::causes::{Causes, Topic};
use super::exchange::{self, Answer, Expected, Identity, Told};
use super::status::TreeFacts;
use super::tasks::Tasks;
use crate::admin::view::Stage;
use crate::clock::SharedClock;
use crate::conduit::hello::{Filling, Opening};
use crate::conduit::link::{ConnectionNo, Link, LinkEvent, Local};
use crate::conduit::message::{
    Beat, ClockPair, Close, CloseReason, Frame, Hello, Receipt, Receipts, Role,
};
use crate::conduit::session::{Compared, Ended, RefusedBatch};
use crate::error::Result;
use crate::journal::dot::Actor;
use crate::sync::brake::Held;
use crate::sync::engine::{Engine, Handle, MemberReport, Refusal, Snapshot};
use crate::sync::progress::StreamProgress;
pub(super) use send::{FRAME_BYTES, FRAME_ENTRIES};
use send::{Order, Sender};

/// How long after a refusal for room or rule the stream is tried again.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// For how long a snapshot is held for a peer whose connection was lost.
const GIVEN_FOR: Duration = Duration::from_secs(60);
/// Orders that wait for the sender.
const ORDERS_MAX: usize = 16;

/// What a link needs to know of this site at the moment of connecting.
#[derive(Debug)]
pub(super) struct LocalSite {
    pub(super) identity: Identity,
    pub(super) actor: Actor,
    pub(super) remote: Expected,
    pub(super) engine: Handle,
    pub(super) clock: SharedClock,
    pub(super) seen: Arc<Mutex<PeerView>>,
    /// What the connector of this site told.
    pub(super) tree: Arc<Mutex<TreeFacts>>,
    /// Hears of it when the tree of this site and the peer's have no common history.
    pub(super) unrelated: mpsc::Sender<String>,
    pub(super) causes: Causes,
}

/// How far a peer got, as it said last.
#[derive(Debug, Clone, Default)]
pub(super) struct PeerView {
    /// Its hello of the last connection.
    pub(super) hello: Option<Box<Hello>>,
    /// Its receipts for this site's journal, by stream.
    pub(super) receipts: BTreeMap<u32, Receipt>,
    /// Last seq of this site's journal that was handed to the last connection, by stream.
    pub(super) sent: BTreeMap<u32, u64>,
    /// The mark up to which it has applied everything.
    pub(super) applied_mark_us: u64,
    /// Its last heartbeat.
    pub(super) beat: Option<Beat>,
    /// When it came.
    pub(super) beat_at: Duration,
    /// What of this site's journal it had not received at that heartbeat.
    pub(super) backlog: Backlog,
    /// Why the brake holds what comes from it, if it did at that heartbeat.
    held: Option<Held>,
    /// Its clock beside ours.
    pub(super) clocks: Option<Compared>,
    /// When something last moved, in either direction.
    pub(super) moved_at: Option<Duration>,
    /// When nothing was last outstanding.
    pub(super) clear_at: Option<Duration>,
}

impl PeerView {
    /// How far it has received this site's journal.
    pub(super) fn received(&self) -> BTreeMap<u32, u64> {
        let receipts = self.receipts.iter();
        receipts
            .map(|(stream, receipt)| (*stream, receipt.received))
            .collect()
    }

    /// How far it is at a step of the way, by stream.
    pub(super) fn position(&self, stage: Stage) -> BTreeMap<u32, u64> {
        let at = |receipt: &Receipt| match stage {
            Stage::Sent | Stage::Received => receipt.received,
            Stage::Merged => receipt.merged,
            Stage::Durable => receipt.durable,
            Stage::Applied => receipt.applied,
        };
        let receipts = self.receipts.iter();
        let mut position: BTreeMap<u32, u64> = receipts.map(|(s, r)| (*s, at(r))).collect();
        if stage == Stage::Sent {
            for (stream, sent) in &self.sent {
                let known = position.entry(*stream).or_default();
                *known = (*known).max(*sent);
            }
        }
        position
    }

    /// How many entries of this site's journal it cannot apply.
    pub(super) fn parked_there(&self) -> u64 {
        let counts = self.receipts.values().map(|receipt| receipt.parked_count);
        // They come from another site, which may say anything.
        counts.fold(0, u64::saturating_add)
    }
}

impl Local for LocalSite {
    fn actor(&self) -> Actor {
        self.actor
    }

    fn opening(&self) -> Option<Opening> {
        let (identity, expected) = (self.identity.clone(), self.remote.clone());
        let clock = Arc::clone(&self.clock);
        let asked = move |e: &mut Engine| exchange::opening(e, &identity, &expected, &*clock);
        let opening = tokio::task::block_in_place(|| self.engine.call(asked));
        let opening = opening.inspect_err(|error| {
            tracing::warn!(%error, site = self.remote.name, "not connected: the engine does not answer");
        });
        opening.ok()
    }

    fn beat(&self) -> Beat {
        let view = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let last = view.beat.unwrap_or_default().clock.hlc_us;
        let now_us = self.clock.now_us();
        let looking_us = {
            let facts = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
            facts.looking_us(self.clock.monotonic())
        };
        let clock = ClockPair {
            wall_us: now_us,
            hlc_us: now_us.max(last),
            synchronised: false,
        };
        Beat {
            clock,
            backlog_bytes: view.backlog.bytes.unwrap_or(0),
            backlog_entries: view.backlog.entries,
            looking_us,
            held_removed: view.held.map_or(0, |held| held.removed),
            held_files: view.held.map_or(0, |held| held.files),
            ..Beat::default()
        }
    }
}

/// Waits for a moment, if there is one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Starts the two tasks of a peer.
pub(super) fn spawn(tasks: &Tasks, link: Link, local: &Arc<LocalSite>) {
    let (orders, ordered) = mpsc::channel(ORDERS_MAX);
    let site = local.remote.name.clone();
    let receiver = Receiver {
        link: link.clone(),
        local: Arc::clone(local),
        orders,
        peer: None,
        connection: 0,
        told: Told::default(),
        epoch: 0,
        given: None,
        given_until: None,
        pages: 0,
    };
    tasks.spawn(format!("receive from {site}"), receiver.run(tasks.clone()));
    let sender = Sender {
        link,
        engine: local.engine.clone(),
        site: site.clone(),
        seen: Arc::clone(&local.seen),
        connection: ConnectionNo::default(),
        under_way: 0,
        work: None,
        sent: BTreeMap::new(),
    };
    tasks.spawn(
        format!("send to {site}"),
        sender.run(tasks.clone(), ordered),
    );
}

/// Takes in what a peer says.
struct Receiver {
    link: Link,
    local: Arc<LocalSite>,
    orders: mpsc::Sender<Order>,
    peer: Option<Actor>,
    connection: ConnectionNo,
    told: Told,
    /// Membership epoch that this site's hello of the connection told.
    epoch: u32,
    /// What the peer is given, on this connection and the next one.
    given: Option<Arc<Snapshot>>,
    /// When that is given up.
    given_until: Option<Instant>,
    /// Pages that were taken on this connection.
    pages: u64,
}

impl Receiver {
    async fn run(mut self, tasks: Tasks) {
        let mut changes = self.local.engine.changes();
        loop {
            // Both are cancel-safe: an event is taken whole or not at all, a change stays marked until it is seen.
            let result = tokio::select! {
                () = tasks.token().cancelled() => break,
                event = self.link.next_event() => match event {
                    Some(event) => self.handle(event).await,
                    None => break,
                },
                Ok(()) = changes.changed() => self.tell_progress().await,
                () = at(self.given_until) => {
                    (self.given, self.given_until) = (None, None);
                    Ok(())
                }
            };
            if let Err(error) = result {
                tracing::warn!(site = self.local.remote.name, %error, "peer is tried again");
            }
        }
    }

    async fn handle(&mut self, event: LinkEvent) -> Result<()> {
        match event {
            LinkEvent::Connected {
                connection,
                hello,
                filling,
                epoch,
            } => {
                self.epoch = epoch;
                self.connected(connection, hello, filling).await
            }
            LinkEvent::Frame { connection, frame } => self.frame(connection, frame).await,
            LinkEvent::Receipts(receipts) => self.receipts(receipts).await,
            LinkEvent::Rewind { stream, from } => {
                let cursor = BTreeMap::from([(stream, from.saturating_sub(1))]);
                self.order(Order::Rewind(cursor, Duration::ZERO)).await;
                Ok(())
            }
            LinkEvent::Nak(nak) => {
                let site = &self.local.remote.name;
                tracing::error!(site, reason = ?nak.reason, detail = nak.detail, "batch refused");
                let cursor = BTreeMap::from([(nak.stream, nak.received)]);
                self.order(Order::Rewind(cursor, REFUSED_PAUSE)).await;
                Ok(())
            }
            LinkEvent::Refused(batch) => {
                let site = &self.local.remote.name;
                let RefusedBatch { stream, detail, .. } = batch;
                tracing::error!(site, stream, detail, "batch breaks a rule");
                self.refused(Some(stream), &detail);
                let Some(peer) = self.peer else { return Ok(()) };
                self.local.engine.ask(move |e| e.owes(peer, stream)).await
            }
            LinkEvent::Hold { hold, from } => {
                let site = &self.local.remote.name;
                tracing::error!(site, detail = hold.detail, "peer holds our entries");
                let wait_us = hold.until_us.saturating_sub(self.local.clock.now_us());
                let wait = Duration::from_micros(wait_us).min(Duration::from_secs(60));
                let cursors = from
                    .into_iter()
                    .map(|(s, from)| (s, from.saturating_sub(1)));
                self.order(Order::Rewind(cursors.collect(), wait)).await;
                Ok(())
            }
            LinkEvent::Heartbeat(beat, compared) => self.heard(beat, compared).await,
            LinkEvent::SnapshotRequest {
                connection,
                request,
            } => {
                let given = self.give_page(connection, request).await;
                self.closing_on_failure(connection, given).await
            }
            LinkEvent::SnapshotPage { connection, page } => {
                let taken = self.take_page(connection, *page).await;
                self.closing_on_failure(connection, taken).await
            }
            LinkEvent::Disconnected {
                reason, in_flight, ..
            } => {
                tracing::info!(site = self.local.remote.name, %reason, "disconnected");
                self.told_unrelated(&reason).await?;
                self.peer = None;
                self.given_until = self.given.as_ref().map(|_| Instant::now() + GIVEN_FOR);
                self.order(Order::Stop(in_flight as u64)).await;
                Ok(())
            }
        }
    }

    async fn receipts(&mut self, receipts: Receipts) -> Result<()> {
        let now = self.local.clock.monotonic();
        let mut is_first = false;
        self.with_view(|view| {
            is_first = view.receipts.is_empty();
            view.moved_at = Some(now);
            view.applied_mark_us = view.applied_mark_us.max(receipts.applied_mark_us);
            for receipt in receipts.receipts {
                view.receipts.insert(receipt.stream, receipt);
            }
        });
        // From the first one on the two have a common history; the others are noted with the heartbeats.
        if is_first {
            self.note_peer().await?;
        }
        Ok(())
    }

    /// [`Receiver::note_member`] for the peer that is connected.
    async fn note_peer(&mut self) -> Result<bool> {
        let mut told = None;
        self.with_view(|view| told = view.hello.as_ref().map(|h| (h.actor, h.role, h.founder)));
        match told {
            Some((actor, role, founder)) if self.peer == Some(actor) => {
                self.note_member(actor, role, founder).await
            }
            Some(_) | None => Ok(true),
        }
    }

    /// A site that has no history with anyone, and whose tree the peer has no part in, has nothing to run for.
    async fn told_unrelated(&self, reason: &Ended) -> Result<()> {
        let (Ended::ByUs(close) | Ended::ByPeer(close)) = reason else {
            return Ok(());
        };
        if close.reason == CloseReason::Populated && !self.local.engine.ask(Engine::joined).await? {
            // Another peer may have told before; one is enough.
            drop(
                self.local
                    .unrelated
                    .try_send(self.local.remote.name.clone()),
            );
        }
        Ok(())
    }

    /// Tells the engine how far the peer got. Returns whether it may go on.
    async fn note_member(
        &mut self,
        actor: Actor,
        role: Role,
        founder: Option<Actor>,
    ) -> Result<bool> {
        let mut report = MemberReport {
            actor,
            takes: role != Role::Primary,
            received: BTreeMap::new(),
            founder,
        };
        self.with_view(|view| report.received = view.received());
        let engine = &self.local.engine;
        let close = engine.ask(move |e| exchange::heard(e, report)).await?;
        let Some(close) = close else { return Ok(true) };
        // What is under way from it is not taken any more.
        self.peer = None;
        self.link.close(self.connection, close).await?;
        Ok(false)
    }

    async fn connected(
        &mut self,
        connection: ConnectionNo,
        hello: Box<Hello>,
        filling: Filling,
    ) -> Result<()> {
        tracing::info!(site = self.local.remote.name, journal = %hello.actor, "connected");
        let theirs = hello.clone();
        let engine = &self.local.engine;
        let known = engine.ask(move |e| exchange::connected(e, &theirs)).await?;
        let known = match known {
            Ok(known) => known,
            Err(close) => {
                tracing::error!(site = self.local.remote.name, %close, "journal forked");
                return self.link.close(connection, close).await;
            }
        };
        (self.peer, self.connection) = (Some(hello.actor), connection);
        self.told = Told::default();
        (self.given_until, self.pages) = (None, 0);
        if !filling.theirs {
            // It has all of it, or what it lacks came another way. What is held keeps its pages in the state file.
            self.given = None;
        }
        self.local.causes.clear_refused(&self.local.remote.name);
        let cursors = known
            .iter()
            .map(|(stream, receipt)| (*stream, receipt.received));
        let cursors = cursors.collect();
        let (actor, role, founder) = (hello.actor, hello.role, hello.founder);
        let now = self.local.clock.monotonic();
        let theirs = hello.clone();
        self.with_view(|view| {
            view.receipts = known;
            view.moved_at = Some(now);
            view.hello = Some(hello);
        });
        if !self.note_member(actor, role, founder).await? {
            return Ok(());
        }
        if filling.ours {
            return self.ask_page(theirs.actor).await;
        }
        if filling.theirs {
            return Ok(());
        }
        self.order(Order::Start(connection, cursors)).await;
        self.tell_progress().await
    }

    /// Once a second: clocks, how far the peer got, and whether anything is outstanding at all.
    async fn heard(&mut self, beat: Beat, clocks: Option<Compared>) -> Result<()> {
        let now = self.local.clock.monotonic();
        if !self.note_peer().await? {
            return Ok(());
        }
        let epoch = self.epoch;
        let changed = self.local.engine.ask(move |e| exchange::changed(e, epoch));
        if let Some(close) = changed.await? {
            return self.link.close(self.connection, close).await;
        }
        let site_id = self.local.remote.site_id;
        let wall_us = beat.clock.wall_us;
        let asked = self.local.engine.ask(move |e| {
            e.peer_clock(wall_us)?;
            Ok((e.heads()?, e.held()?.get(&site_id).copied()))
        });
        let (heads, held) = asked.await?;
        let mut received = BTreeMap::new();
        self.with_view(|view| received = view.received());
        let backlog = backlog(&self.local.engine, &heads, received).await?;
        let waiting = self.told.waits();
        self.with_view(|view| {
            let applied = |stream| view.receipts.get(stream).map_or(0, |r| r.applied);
            let behind = heads.iter().any(|(stream, head)| applied(stream) < *head);
            if !behind && !waiting {
                view.clear_at = Some(now);
            }
            view.clocks = clocks.or(view.clocks);
            (view.beat, view.beat_at) = (Some(beat), now);
            view.backlog = backlog;
            view.held = held;
        });
        Ok(())
    }

    async fn frame(&mut self, connection: ConnectionNo, frame: Frame) -> Result<()> {
        let Some(peer) = self.peer.filter(|_| connection == self.connection) else {
            return Ok(());
        };
        let Frame { batches, mark_us } = frame;
        let engine = &self.local.engine;
        let arrived = engine
            .ask(move |e| e.receive(peer, &batches, mark_us))
            .await;
        let arrived = match arrived {
            Ok(arrived) => arrived,
            Err(error) => {
                // Nothing of it was receipted. A fresh connection starts over from what is here.
                let close = Close::new(
                    CloseReason::Shutdown,
                    format!("cannot take entries: {error}"),
                );
                self.link.close(connection, close).await?;
                return Err(error);
            }
        };
        for taken in &arrived.progress {
            for stream in [Some(taken.stream), None] {
                self.local.causes.clear(self.refusal_of(stream));
            }
        }
        self.tell(arrived.progress).await?;
        if let Some(refusal) = arrived.refusal {
            self.refuse(peer, connection, refusal).await?;
        }
        Ok(())
    }

    fn refusal_of(&self, stream: Option<u32>) -> Topic {
        Topic::Refused(self.local.remote.name.clone(), stream)
    }

    /// Shows the operator that entries of the peer are not taken.
    fn refused(&self, stream: Option<u32>, detail: &str) {
        let entries = stream.map_or("entries".to_owned(), |n| format!("entries of stream {n}"));
        self.local.causes.set(
            self.refusal_of(stream),
            format!("its {entries} are not taken here: {detail}"),
            "nothing was lost: it sends them again; correct what the reason says",
        );
    }

    async fn refuse(&self, actor: Actor, connection: ConnectionNo, refusal: Refusal) -> Result<()> {
        let site = &self.local.remote.name;
        match &refusal {
            Refusal::Hold { detail, .. } => {
                tracing::error!(site, detail, "entries held");
                self.refused(None, detail);
            }
            Refusal::Fork { stream, detail, .. } => {
                tracing::error!(site, stream, detail, "journal forked");
                self.refused(Some(*stream), detail);
            }
            Refusal::Invalid { stream, detail, .. } => {
                tracing::error!(site, stream, detail, "batch breaks a rule");
                self.refused(Some(*stream), detail);
            }
            Refusal::NoSpace { stream, detail, .. } => {
                tracing::error!(site, stream, detail, "no room for received entries");
                self.refused(Some(*stream), detail);
            }
            Refusal::Gap { .. } | Refusal::Role { .. } | Refusal::Out => {}
        }
        match exchange::answer(actor, refusal) {
            Answer::Hold(hold) => self.link.send_hold(connection, hold).await,
            Answer::Nak(nak) => self.link.send_nak(connection, nak).await,
            Answer::Close(close) => self.link.close(connection, close).await,
        }
    }

    /// Sends what moved since the last time.
    async fn tell_progress(&mut self) -> Result<()> {
        let Some(peer) = self.peer else { return Ok(()) };
        let progress = self.local.engine.ask(move |e| e.progress(peer)).await?;
        self.tell(progress).await
    }

    async fn tell(&mut self, progress: Vec<StreamProgress>) -> Result<()> {
        let Some(peer) = self.peer else { return Ok(()) };
        let mark = self
            .local
            .engine
            .ask(move |e| e.applied_mark(peer))
            .await?
            .unwrap_or(0);
        match self.told.news(progress, mark) {
            Some(receipts) => self.link.send_receipts(receipts).await,
            None => Ok(()),
        }
    }

    async fn order(&self, order: Order) {
        if self.orders.send(order).await.is_err() {
            tracing::debug!(site = self.local.remote.name, "sender is gone");
        }
    }

    fn with_view(&self, change: impl FnOnce(&mut PeerView)) {
        change(
            &mut self
                .local
                .seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}
