//! Pure: the receiving half of a session: what a peer may say, and what the owner hears of it.

use super::*;

/// Largest frame that is taken. Twice what is sent: the sender estimates entries that it did not encode itself.
const FRAME_BYTES_TAKEN: usize = 2 * FRAME_BYTES_MAX;

impl Session {
    pub(super) fn handle_first(&mut self, message: Message) {
        match message {
            Message::Hello(theirs) => self.handle_hello(theirs),
            Message::Close(close) => self.end(Ended::ByPeer(close)),
            Message::Frame(_)
            | Message::Receipts(_)
            | Message::Heartbeat(_)
            | Message::Nak(_)
            | Message::Hold(_)
            | Message::SnapshotRequest(_)
            | Message::SnapshotPage(_) => self.close(Close::new(
                CloseReason::Protocol,
                "the first message must be a hello",
            )),
        }
    }

    pub(super) fn handle_next(&mut self, message: Message, now: Duration) {
        match message {
            Message::Hello(_) => {
                self.close(Close::new(CloseReason::Protocol, "a second hello"));
            }
            Message::Frame(frame) => self.handle_frame(frame),
            Message::Receipts(receipts) => self.handle_receipts(receipts),
            Message::Heartbeat(beat) => self.handle_beat(beat, now),
            Message::Nak(nak) => self.handle_nak(nak),
            Message::Hold(hold) => self.handle_hold(hold),
            Message::Close(close) => self.end(Ended::ByPeer(close)),
            Message::SnapshotRequest(request) => {
                if self.filling.theirs {
                    self.events.push_back(Event::SnapshotRequest(request));
                } else {
                    let detail = "you asked for a snapshot, and you lack nothing that is sent";
                    self.close(Close::new(CloseReason::Protocol, detail));
                }
            }
            Message::SnapshotPage(page) => {
                if std::mem::take(&mut self.awaits_page) {
                    self.events.push_back(Event::SnapshotPage(page));
                } else {
                    let detail = "you sent a page of a snapshot that nobody asked for";
                    self.close(Close::new(CloseReason::Protocol, detail));
                }
            }
        }
    }

    fn handle_hello(&mut self, theirs: Box<Hello>) {
        match hello::check(&self.opening, &theirs) {
            Ok(agreed) => self.filling = agreed.filling,
            Err(close) => {
                self.close(close);
                return;
            }
        }
        self.phase = Phase::Established;
        self.take_cursors(&theirs);
        for cursor in self.opening.hello.cursors_of(theirs.actor.incarnation) {
            self.receipted.insert(cursor.stream, cursor.received);
        }
        self.peer = Some((*theirs).clone());
        self.events.push_back(Event::Connected(theirs));
    }

    fn handle_frame(&mut self, frame: Frame) {
        if self.filling.is_any() {
            let detail = "you sent entries on a connection on which a snapshot is taken over";
            self.close(Close::new(CloseReason::Protocol, detail));
            return;
        }
        let bytes = frame_bytes(&frame);
        if bytes > FRAME_BYTES_TAKEN {
            self.close(Close::new(
                CloseReason::Protocol,
                format!("frame of {bytes} bytes is above {FRAME_BYTES_TAKEN}"),
            ));
            return;
        }
        for batch in &frame.batches {
            if !self.check_actor(batch.actor()) || !self.check_batch_seq(batch.batch_seq) {
                return;
            }
        }
        self.queued_bytes += bytes;
        self.events.push_back(Event::Frame(frame));
    }

    /// Only the newest of several heartbeats in a row says anything.
    fn handle_beat(&mut self, beat: Beat, now: Duration) {
        let compared = self.clocks.take(&beat, now);
        if let Some(Event::Heartbeat(last, known)) = self.events.back_mut() {
            (*last, *known) = (beat, compared);
        } else {
            self.events.push_back(Event::Heartbeat(beat, compared));
        }
    }

    /// Entries of anyone but the peer are never skipped quietly: it is misconfigured or hostile.
    pub(super) fn check_actor(&mut self, actor: Actor) -> bool {
        let Some(peer) = self.peer.as_ref().map(|hello| hello.actor) else {
            return false;
        };
        if actor == peer {
            return true;
        }
        self.close(Close::new(
            CloseReason::Identity,
            format!("you sent a batch of journal {actor}, you are {peer}: entries are not relayed"),
        ));
        false
    }

    fn check_batch_seq(&mut self, batch_seq: u64) -> bool {
        let before = self.peer_batch_seq;
        if batch_seq > before {
            self.peer_batch_seq = batch_seq;
            return true;
        }
        self.close(Close::new(
            CloseReason::Protocol,
            format!("batch number {batch_seq} after {before}: numbers must grow"),
        ));
        false
    }
}
