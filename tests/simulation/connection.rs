//! A connection between two sites: the session at each end, and what is under way between them.
//!
//! Each direction keeps its order, as TCP does; it may be slow, stop, and lose all that is under way when it breaks. One
//! end may take the connection for alive while the other one is gone. Bits may change on the way: in the memory of the
//! machines, for TLS would not let them pass.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use claudefs_repl::clock::Clock as _;
use claudefs_repl::conduit::message::{
    Beat, ClockPair, Close, CloseReason, Frame, Hello, Message, PROTOCOL_MAX, PROTOCOL_MIN,
    Receipt, Role, SnapshotPage,
};
use claudefs_repl::conduit::session::{Ended, Event, Session, SessionLimits};
use claudefs_repl::conduit::{codec, wire};
use claudefs_repl::daemon::exchange::{self, Answer, Expected, Identity, Told};
use claudefs_repl::error::Result;
use claudefs_repl::journal::dot::Actor;
use claudefs_repl::journal::{BatchReader, Durable};
use claudefs_repl::proto::v1::ReplicateMessage;
use claudefs_repl::sync::engine::{Engine, MemberReport, Merging, Snapshot, Taken};
use tokio::sync::watch;

use super::book::Book;
use super::site::{self, Site, Tried};
use crate::rng::Rng;

/// How long after a refusal a stream is tried again, as the daemon has it.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// Items of a page of a snapshot: few, so that most have several.
const PAGE_ITEMS: usize = 5;
/// Bytes of entries in a frame.
const FRAME_BYTES: usize = 64 << 10;

/// One end.
struct End {
    session: Session,
    peer: Option<Actor>,
    told: Told,
    /// How far the peer is in this site's journal, as it said.
    known: BTreeMap<u32, Receipt>,
    sending: Option<Sending>,
    /// Membership epoch when the connection began.
    epoch: u32,
    /// What the peer is given.
    given: Option<Arc<Snapshot>>,
    /// Snapshots that were taken over, since the connection asked.
    snapshots: u64,
    /// Entries that others stood for, since the connection asked.
    swallowed: u64,
}

/// What is read of the journal for one connection.
struct Sending {
    cursors: BTreeMap<u32, u64>,
    reader: BatchReader,
    durable: watch::Receiver<Durable>,
    mark_us: u64,
    /// Read, and does not fit into the window.
    ready: Option<Frame>,
    not_before: Duration,
}

/// Two ends and two directions; direction `n` leads away from end `n`.
#[derive(Default)]
pub(super) struct Connection {
    pub(super) sites: [usize; 2],
    ends: [Option<End>; 2],
    under_way: [VecDeque<Message>; 2],
    /// What is sent here gets nowhere, and nobody hears of it.
    lost: [bool; 2],
    /// What each site holds for the other one while they are not connected.
    given: [Option<Arc<Snapshot>>; 2],
    /// Batches are compacted before they are sent.
    compacts: bool,
    /// Whoever lacks what is not sent any more takes over what the other site knows.
    pub(super) takes_over: bool,
    /// Bits of messages change on the way.
    pub(super) damages: bool,
    /// A message that had been damaged was taken for a good one: whatever an end makes of it is no fault of its own.
    is_poisoned: bool,
    /// Entries that were not sent because later ones stood for them.
    pub(super) swallowed: u64,
    /// Snapshots that were taken over.
    pub(super) snapshots: u64,
    /// Messages that got through.
    pub(super) delivered: u64,
}

/// One message of so many is damaged, where any are.
const DAMAGED_ONE_IN: u64 = 60;

fn identity(site_id: u64) -> Identity {
    Identity {
        name: site::name(site_id),
        cluster: "simulated".to_owned(),
        role: Role::Bidirectional,
    }
}

impl Connection {
    pub(super) fn between(one: usize, other: usize, damages: bool, compacts: bool) -> Self {
        Self {
            sites: [one, other],
            damages,
            compacts,
            ..Self::default()
        }
    }

    /// Neither end has anything to do with it any more.
    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(Option::is_none)
    }

    /// Both ends are connected, and what is sent arrives.
    pub(super) fn is_whole(&self) -> bool {
        let mut ends = self.ends.iter();
        self.lost == [false; 2]
            && ends.all(|end| end.as_ref().is_some_and(|end| end.session.is_established()))
    }

    /// Nothing is under way.
    pub(super) fn is_silent(&self) -> bool {
        self.under_way.iter().all(VecDeque::is_empty)
    }

    /// Both sites begin anew; an end that thought that it was connected forgets that.
    pub(super) fn connect(&mut self, sites: &mut [Site]) -> Result<()> {
        self.sever();
        for side in 0..2 {
            let [own, other] = [self.sites[side], self.sites[1 - side]];
            let (own_id, other_id) = (own as u64 + 1, other as u64 + 1);
            let expected = Expected {
                site_id: other_id,
                name: site::name(other_id),
            };
            let site = &mut sites[own];
            let clock = site.clock.clone();
            let mut opening = site
                .engine(|e| exchange::opening(e, &identity(own_id), &expected, &*clock))
                .inspect_err(|_| self.ends = Default::default())?;
            opening.takes_over = self.takes_over;
            let hello = &mut opening.hello;
            (hello.protocol_min, hello.protocol_max) = (PROTOCOL_MIN, PROTOCOL_MAX);
            self.ends[side] = Some(End {
                session: Session::new(opening, SessionLimits::default(), clock.monotonic()),
                peer: None,
                told: Told::default(),
                known: BTreeMap::new(),
                sending: None,
                epoch: 0,
                given: self.given[side].take(),
                snapshots: 0,
                swallowed: 0,
            });
        }
        Ok(())
    }

    /// Both ends are gone at once, with all that was under way.
    pub(super) fn sever(&mut self) {
        for (end, held) in self.ends.iter_mut().zip(&mut self.given) {
            // Who gave something holds it for the next connection.
            if let Some(end) = end.take() {
                *held = end.given;
            }
        }
        self.under_way = Default::default();
        self.lost = [false; 2];
        self.is_poisoned = false;
    }

    /// The end of a site is gone. The other one hears of it, or has to find out by the silence.
    pub(super) fn drop_end(&mut self, at: usize, is_heard: bool) {
        let Some(side) = self.sites.iter().position(|site| *site == at) else {
            return;
        };
        self.ends[side] = None;
        self.given[side] = None;
        self.under_way[1 - side].clear();
        self.lost[1 - side] = true;
        if !is_heard {
            return;
        }
        if let Some(other) = &mut self.ends[1 - side] {
            other.session.handle_lost("reset by peer");
        }
    }

    /// What is sent in this direction from here on gets nowhere.
    pub(super) fn lose(&mut self, side: usize) {
        self.lost[side] = true;
        self.under_way[side].clear();
    }

    /// Both ends do what they have to, and the first `messages` of each direction arrive.
    pub(super) fn run(
        &mut self,
        sites: &mut [Site],
        book: &mut Book,
        rng: &mut Rng,
        messages: usize,
    ) -> Tried {
        for side in 0..2 {
            self.work(side, sites, book, rng)?;
        }
        for side in 0..2 {
            for _ in 0..messages {
                let Some(message) = self.under_way[side].pop_front() else {
                    break;
                };
                self.delivered += 1;
                self.arrive(1 - side, message, sites, book, rng)?;
            }
        }
        Ok(())
    }

    fn arrive(
        &mut self,
        side: usize,
        message: Message,
        sites: &mut [Site],
        book: &mut Book,
        rng: &mut Rng,
    ) -> Tried {
        let now = sites[self.sites[side]].clock.monotonic();
        let Some(end) = &mut self.ends[side] else {
            return Ok(());
        };
        let mut encoded = wire::encode(&message);
        if self.damages && rng.one_in(DAMAGED_ONE_IN) {
            let Some(passed) = damaged(&encoded, rng) else {
                self.sever();
                return Ok(());
            };
            self.is_poisoned = true;
            encoded = passed;
        }
        match wire::decode(encoded) {
            Ok(incoming) => {
                if let Some(message) = incoming.message {
                    end.session.handle_message(message, now);
                }
                end.session.handle_refused(incoming.refused);
            }
            Err(_) if self.is_poisoned => {
                self.sever();
                return Ok(());
            }
            Err(error) => return Err(format!("{error}: {message:?}").into()),
        }
        self.work(side, sites, book, rng)
    }

    /// One end: what it heard, what it has to say.
    fn work(&mut self, side: usize, sites: &mut [Site], book: &mut Book, rng: &mut Rng) -> Tried {
        let site = &mut sites[self.sites[side]];
        let Some(end) = &mut self.ends[side] else {
            return Ok(());
        };
        let now = site.clock.monotonic();
        if end.session.poll_timeout().is_some_and(|due| due <= now) {
            end.session.handle_timeout(now, beat(site));
        }
        while let Some(event) = end.session.poll_event(now) {
            if let Event::Closed(ended) = &event {
                let expected = self.is_poisoned || is_expected(ended);
                self.under_way[1 - side].clear();
                while let Some(message) = end.session.poll_transmit() {
                    self.under_way[side].push_back(message);
                }
                self.snapshots += std::mem::take(&mut end.snapshots);
                self.given[side] = end.given.take();
                self.ends[side] = None;
                let told = format!("site {}: {ended}", self.sites[side]);
                return if expected { Ok(()) } else { Err(told.into()) };
            }
            end.handle(event, site, book)?;
        }
        end.send(site, rng, self.compacts)?;
        self.swallowed += std::mem::take(&mut end.swallowed);
        self.snapshots += std::mem::take(&mut end.snapshots);
        while let Some(message) = end.session.poll_transmit() {
            if let Message::Frame(frame) = &message {
                book.check(&frame.batches)?;
                book.promise(self.sites[side], frame.mark_us);
            }
            if !self.lost[side] {
                self.under_way[side].push_back(message);
            }
        }
        Ok(())
    }
}

/// A message with one other bit, if whoever receives it takes it for good.
fn damaged(message: &ReplicateMessage, rng: &mut Rng) -> Option<ReplicateMessage> {
    let mut bytes = codec::seal(message);
    let at = rng.index(bytes.len());
    bytes[at] ^= 1 << rng.below(8);
    codec::open(bytes.into()).ok()
}

/// Whether a connection may end so without a fault of either site.
fn is_expected(ended: &Ended) -> bool {
    match ended {
        // Who does not know yet that a journal ended refuses the one that follows it.
        Ended::ByUs(close) | Ended::ByPeer(close) => {
            [CloseReason::Shutdown, CloseReason::NotKept].contains(&close.reason)
        }
        Ended::Silent(_) | Ended::Lost(_) => true,
    }
}

fn beat(site: &Site) -> Beat {
    let now_us = site.clock.now_us();
    Beat {
        clock: ClockPair {
            wall_us: now_us,
            hlc_us: now_us,
            synchronised: false,
        },
        ..Beat::default()
    }
}

impl End {
    fn handle(&mut self, event: Event, site: &mut Site, book: &mut Book) -> Tried {
        let now = site.clock.monotonic();
        match event {
            Event::Connected(hello) => return self.connected(&hello, site, book),
            Event::Frame(frame) => return self.frame(&frame, site, book),
            Event::Receipts(receipts) => {
                for receipt in receipts.receipts {
                    self.known.insert(receipt.stream, receipt);
                }
            }
            Event::Rewind { stream, from } => {
                self.rewind(
                    site,
                    [(stream, from.saturating_sub(1))].into(),
                    Duration::ZERO,
                )?;
            }
            Event::Nak(nak) => {
                let back = [(nak.stream, nak.received)].into();
                self.rewind(site, back, now + REFUSED_PAUSE)?;
            }
            Event::Hold { hold, from } => {
                let wait_us = hold.until_us.saturating_sub(site.clock.now_us());
                let back = from
                    .into_iter()
                    .map(|(s, from)| (s, from.saturating_sub(1)));
                let wait = Duration::from_micros(wait_us).min(Duration::from_secs(60));
                self.rewind(site, back.collect(), now + wait)?;
            }
            Event::Heartbeat(beat, _) => {
                let wall_us = beat.clock.wall_us;
                site.engine(|e| e.peer_clock(wall_us))?;
                self.note_member(site)?;
                let epoch = self.epoch;
                if let Some(close) = site.engine(|e| exchange::changed(e, epoch))? {
                    self.session.close(close);
                }
            }
            Event::Refused(batch) => {
                if let Some(peer) = self.peer {
                    site.engine(|e| e.owes(peer, batch.stream))?;
                }
            }
            Event::SnapshotRequest(request) => {
                let held = self.given.take();
                match site.engine(|e| exchange::snapshot(e, held, &request))? {
                    Ok(snapshot) => {
                        let page = exchange::page(&snapshot, &request, PAGE_ITEMS)?;
                        self.given = Some(snapshot);
                        self.session.send_page(page);
                    }
                    Err(close) => self.session.close(close),
                }
            }
            Event::SnapshotPage(page) => return self.take_page(*page, site, book),
            Event::Closed(_) => {}
        }
        Ok(())
    }

    fn connected(&mut self, hello: &Hello, site: &mut Site, book: &mut Book) -> Tried {
        match site.engine(|e| exchange::connected(e, hello))? {
            Err(close) => return Err(format!("site {}: {close}", site.at).into()),
            Ok(known) => self.known = known,
        }
        // It may have written down that a journal ended.
        site.observe(book)?;
        self.peer = Some(hello.actor);
        self.note_member(site)?;
        self.epoch = self.session.epoch();
        let filling = self.session.filling();
        if filling.ours {
            match site.engine(|e| exchange::first_request(e, hello.actor))? {
                Ok(request) => self.session.send_request(request),
                Err(close) => self.session.close(close),
            }
        }
        if filling.is_any() {
            return Ok(());
        }
        let cursors = self.known.iter().map(|(s, r)| (*s, r.received)).collect();
        Ok(self.start(site, cursors, Duration::ZERO)?)
    }

    fn take_page(&mut self, page: SnapshotPage, site: &mut Site, book: &mut Book) -> Tried {
        let Some(source) = self.peer else {
            return Ok(());
        };
        let hlc_us = page.hlc_us;
        let page = exchange::known_page(page);
        let taken = site.engine(|e| e.take_page(source, page))?;
        match taken {
            Taken::Next(from) => self.session.send_request(exchange::request(from)),
            Taken::Whole => {
                while site.engine(Engine::merge_snapshot)? == Merging::More {}
                self.snapshots += 1;
                let close = Close::new(CloseReason::Shutdown, "took over all");
                self.session.close(close);
            }
            Taken::Outdated => {
                let close = Close::new(CloseReason::Shutdown, "taken over anew");
                self.session.close(close);
            }
            Taken::Refused(detail) => return Err(format!("a page is refused: {detail}").into()),
        }
        book.heard(site.at, hlc_us);
        Ok(())
    }

    fn note_member(&self, site: &mut Site) -> Result<()> {
        let Some(actor) = self.peer else {
            return Ok(());
        };
        let report = MemberReport {
            actor,
            takes: true,
            received: self.known.iter().map(|(s, r)| (*s, r.received)).collect(),
            founder: None,
        };
        site.engine(|e| exchange::heard(e, report)).map(drop)
    }

    fn frame(&mut self, frame: &Frame, site: &mut Site, book: &mut Book) -> Tried {
        let Some(peer) = self.peer else {
            return Ok(());
        };
        let arrived = site.engine(|e| e.receive(peer, &frame.batches, frame.mark_us));
        let arrived = match arrived {
            Ok(arrived) => arrived,
            Err(error) => {
                let close = Close::new(CloseReason::Shutdown, "cannot take entries");
                self.session.close(close);
                return Err(error.into());
            }
        };
        let taken = arrived
            .progress
            .iter()
            .map(|one| (one.stream, one.received));
        let taken: BTreeMap<u32, u64> = taken.collect();
        for entry in frame.batches.iter().flat_map(|batch| &batch.entries) {
            if taken
                .get(&entry.shard_id)
                .is_some_and(|seq| *seq >= entry.seq)
            {
                book.heard(site.at, entry.hlc_us);
            }
        }
        self.tell(site, Some(arrived.progress))?;
        let Some(refusal) = arrived.refusal else {
            let (progress, status) = site.engine(|e| Ok((e.progress(peer)?, e.status()?)))?;
            let received = progress.iter().map(|one| (one.stream, one.received));
            let mark_us = status.marks.get(&peer).copied().unwrap_or(0);
            book.check_mark(peer, mark_us, &received.collect())?;
            return Ok(());
        };
        match exchange::answer(peer, refusal) {
            Answer::Nak(nak) => self.session.send_nak(nak),
            Answer::Hold(hold) => self.session.send_hold(hold),
            Answer::Close(close) => self.session.close(close),
        }
        Ok(())
    }

    /// Tells the peer how far its entries got.
    fn tell(
        &mut self,
        site: &mut Site,
        progress: Option<Vec<claudefs_repl::sync::progress::StreamProgress>>,
    ) -> Result<()> {
        let Some(peer) = self.peer.filter(|_| self.session.can_reply()) else {
            return Ok(());
        };
        let progress = match progress {
            Some(progress) => progress,
            None => site.engine(|e| e.progress(peer))?,
        };
        let mark_us = site.engine(|e| e.applied_mark(peer))?.unwrap_or(0);
        if let Some(receipts) = self.told.news(progress, mark_us) {
            self.session.send_receipts(receipts);
        }
        Ok(())
    }

    fn start(
        &mut self,
        site: &mut Site,
        cursors: BTreeMap<u32, u64>,
        not_before: Duration,
    ) -> Result<()> {
        let behind = cursors.clone();
        let (reader, durable) = site.engine(|e| e.batches(behind))?;
        self.sending = Some(Sending {
            cursors,
            reader,
            durable,
            mark_us: 0,
            ready: None,
            not_before,
        });
        Ok(())
    }

    fn rewind(
        &mut self,
        site: &mut Site,
        back: BTreeMap<u32, u64>,
        not_before: Duration,
    ) -> Result<()> {
        let Some(sending) = self.sending.take() else {
            return Ok(());
        };
        let mut cursors = sending.cursors;
        cursors.extend(back);
        self.start(site, cursors, not_before.max(sending.not_before))
    }

    /// Sends receipts, and of the journal what the window takes.
    fn send(&mut self, site: &mut Site, rng: &mut Rng, compacts: bool) -> Result<()> {
        self.tell(site, None)?;
        let now = site.clock.monotonic();
        loop {
            let (mark, epoch) = site.engine(|e| Ok((Engine::mark(e)?, e.epoch()?)))?;
            let Some(sending) = self.sending.as_mut().filter(|s| s.not_before <= now) else {
                return Ok(());
            };
            if sending.durable.has_changed().is_err() {
                // The journal was opened anew.
                let behind = sending.cursors.clone();
                (sending.reader, sending.durable) = site.engine(|e| e.batches(behind))?;
                continue;
            }
            if sending.ready.is_none() {
                let entries = 1 + rng.index(40);
                let next = match sending.reader.next_frame(FRAME_BYTES, entries) {
                    // The peer's journal ended meanwhile, and nothing is kept for it any more.
                    Err(_) if epoch != self.epoch => {
                        let close = Close::new(CloseReason::Shutdown, "the journal cannot be sent");
                        self.session.close(close);
                        return Ok(());
                    }
                    read => read?,
                };
                sending.ready = next.map(|(batches, mark_us)| {
                    let swallowed = &mut self.swallowed;
                    let batches = batches.into_iter().map(|mut batch| {
                        batch.epoch = epoch;
                        if !compacts {
                            return batch;
                        }
                        let whole = batch.entries.len();
                        let packed = exchange::pack(batch, epoch);
                        *swallowed += (whole - packed.entries.len()) as u64;
                        packed
                    });
                    let batches = batches.collect();
                    Frame { batches, mark_us }
                });
            }
            let Some(frame) = sending.ready.take() else {
                if mark > sending.mark_us && self.session.can_reply() {
                    sending.mark_us = mark;
                    let batches = Vec::new();
                    let mark_us = mark;
                    self.session.send_frame(Frame { batches, mark_us });
                }
                return Ok(());
            };
            if !self.session.can_send(&frame) {
                sending.ready = Some(frame);
                return Ok(());
            }
            sending.mark_us = frame.mark_us;
            let ends = frame.batches.iter().map(|b| (b.stream, b.last));
            sending.cursors.extend(ends);
            self.session.send_frame(frame);
        }
    }
}
