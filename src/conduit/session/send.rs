//! Pure: the sending half of a session: what may go out now, and what the peer's answers mean for it.

use super::*;

/// What a position stands in that a peer tells of what it has.
const RECEIPT: &str = "receipt";

impl Session {
    /// Whether `frame` may be sent now.
    #[must_use]
    pub fn can_send(&self, frame: &Frame) -> bool {
        let entries = frame.batches.iter().map(|batch| batch.entries.len()).sum();
        self.phase == Phase::Established
            && !self.filling.is_any()
            && self.can_reply()
            && self.window.fits(entries, frame_bytes(frame))
    }

    /// Whether receipts, naks and holds may be sent now.
    #[must_use]
    pub fn can_reply(&self) -> bool {
        self.phase != Phase::Closed && self.outbox.len() < OUTBOX_MAX
    }

    /// Sends a frame that passed [`check_frame`]. A batch keeps its number when that is above all before it, else
    /// it gets the next one.
    pub fn send_frame(&mut self, mut frame: Frame) {
        if self.phase != Phase::Established || self.filling.is_any() {
            return;
        }
        frame.batches.retain(|batch| !self.is_stale(batch));
        for batch in &mut frame.batches {
            self.rewinding.remove(&batch.stream);
            self.batch_seq = batch.batch_seq.max(self.batch_seq.saturating_add(1));
            batch.batch_seq = self.batch_seq;
            let through = self.sent_through.entry(batch.stream).or_default();
            *through = batch.last.max(*through);
            self.window.sent(batch);
        }
        if self.rewinding.is_empty() {
            self.mark_us = frame.mark_us.max(self.mark_us);
        } else {
            frame.mark_us = 0;
        }
        if !frame.batches.is_empty() || frame.mark_us > 0 {
            self.outbox.push_back(Message::Frame(frame));
        }
    }

    /// Tells the peer how far its entries got.
    pub fn send_receipts(&mut self, receipts: Receipts) {
        // What came by a snapshot was not sent on this connection; the next hello tells of it.
        if self.filling.is_any() {
            return;
        }
        for receipt in &receipts.receipts {
            let told = self.receipted.entry(receipt.stream).or_default();
            *told = receipt.received.max(*told);
        }
        self.reply(Message::Receipts(receipts));
    }

    /// Refuses a batch of the peer.
    pub fn send_nak(&mut self, nak: Nak) {
        self.reply(Message::Nak(nak));
    }

    /// Asks the peer to wait.
    pub fn send_hold(&mut self, hold: Hold) {
        self.reply(Message::Hold(hold));
    }

    /// Asks for a page of what the peer knows.
    pub fn send_request(&mut self, request: SnapshotRequest) {
        if self.filling.ours {
            self.awaits_page = true;
            self.reply(Message::SnapshotRequest(request));
        }
    }

    /// Answers a request with a page.
    pub fn send_page(&mut self, page: SnapshotPage) {
        self.reply(Message::SnapshotPage(Box::new(page)));
    }

    fn reply(&mut self, message: Message) {
        if self.phase == Phase::Established {
            self.outbox.push_back(message);
        }
    }

    /// A batch behind a gap that the owner did not know of when it handed the batch over.
    fn is_stale(&self, batch: &EntryBatch) -> bool {
        self.rewinding
            .get(&batch.stream)
            .is_some_and(|expected| batch.first > *expected)
    }

    pub(super) fn handle_receipts(&mut self, receipts: Receipts) {
        for receipt in receipts.receipts {
            if !self.check_receipt(&receipt) {
                return;
            }
            self.advance(receipt);
        }
        if receipts.applied_mark_us > self.applied_mark_us {
            self.applied_mark_us = receipts.applied_mark_us;
            self.applied_mark_news = true;
        }
    }

    pub(super) fn handle_nak(&mut self, nak: Nak) {
        if !self.check_position(nak.actor, nak.stream, nak.received, "nak") {
            return;
        }
        self.window.received(nak.stream, nak.received);
        let rewound_at = self.rewound_at.get(&nak.stream).copied().unwrap_or(0);
        if nak.batch_seq != 0 && nak.batch_seq < rewound_at {
            return;
        }
        self.rewind(nak.stream, nak.received + 1);
        let event = match nak.reason {
            NakReason::Gap => Event::Rewind {
                stream: nak.stream,
                from: nak.received + 1,
            },
            NakReason::Fork
            | NakReason::Invalid
            | NakReason::NoSpace
            | NakReason::Role
            | NakReason::SnapshotRequired => Event::Nak(nak),
        };
        self.events.push_back(event);
    }

    pub(super) fn handle_hold(&mut self, hold: Hold) {
        let mut from = BTreeMap::new();
        for stream in self.window.streams() {
            let received = self.positions.get(&stream).map_or(0, |at| at.received);
            self.rewind(stream, received + 1);
            from.insert(stream, received + 1);
        }
        self.events.push_back(Event::Hold { hold, from });
    }

    /// What is in flight on `stream` is lost; marks wait until the owner starts again.
    fn rewind(&mut self, stream: u32, from: u64) {
        self.window.rewind(stream);
        self.rewinding.insert(stream, from);
        self.rewound_at
            .insert(stream, self.batch_seq.saturating_add(1));
        self.mark_us = 0;
    }

    /// Takes the peer's cursors from its hello as the first receipts.
    pub(super) fn take_cursors(&mut self, theirs: &Hello) {
        let actor = self.local();
        // A receipt may concern what an earlier connection carried.
        for state in &self.opening.hello.streams {
            self.sent_through.insert(state.stream, state.head);
        }
        for cursor in theirs.cursors_of(actor.incarnation) {
            let through = self.sent_through.entry(cursor.stream).or_default();
            *through = cursor.received.max(*through);
            self.advance(Receipt {
                actor,
                stream: cursor.stream,
                received: cursor.received,
                merged: cursor.merged.min(cursor.received),
                durable: cursor.durable.min(cursor.received),
                applied: cursor.applied.min(cursor.received),
                ..Receipt::default()
            });
        }
        self.news.clear();
    }

    fn advance(&mut self, receipt: Receipt) {
        let stream = receipt.stream;
        let position = self.positions.entry(stream).or_default();
        *position = Receipt {
            received: receipt.received.max(position.received),
            merged: receipt.merged.max(position.merged),
            durable: receipt.durable.max(position.durable),
            applied: receipt.applied.max(position.applied),
            ..receipt
        };
        self.window.received(stream, position.received);
        self.news.insert(stream, position.clone());
    }

    fn check_receipt(&mut self, receipt: &Receipt) -> bool {
        let most = receipt.merged.max(receipt.durable).max(receipt.applied);
        if most > receipt.received {
            self.close(Close::new(
                CloseReason::Protocol,
                format!(
                    "receipt of stream {}: {most} is beyond received {}",
                    receipt.stream, receipt.received
                ),
            ));
            return false;
        }
        self.check_position(receipt.actor, receipt.stream, receipt.received, RECEIPT)
    }

    /// A peer cannot have what neither stood in the journal when the connection began nor was sent since.
    fn check_position(&mut self, actor: Actor, stream: u32, received: u64, what: &str) -> bool {
        let through = self.sent_through.get(&stream).copied().unwrap_or(0);
        let local = self.local();
        if actor == local && stream < STREAM_COUNT && received <= through {
            return true;
        }
        // A third site may have given it a snapshot with later entries; whether they can be is told by the next hello.
        let came_otherwise = what == RECEIPT && actor == local && stream < STREAM_COUNT;
        let reason = if came_otherwise {
            CloseReason::Shutdown
        } else {
            CloseReason::Protocol
        };
        self.close(Close::new(
            reason,
            format!(
                "{what} of journal {actor}, stream {stream}, seq {received}: we are {local} and \
                 sent up to {through}"
            ),
        ));
        false
    }
}

/// Checks what the owner wants to send: own entries only, one frame within its limit.
///
/// # Errors
/// What is wrong with it.
pub fn check_frame(local: Actor, frame: &Frame) -> Result<(), String> {
    if let Some(foreign) = frame.batches.iter().find(|batch| batch.actor() != local) {
        return Err(format!(
            "batch of journal {} cannot be sent by {local}",
            foreign.actor()
        ));
    }
    let bytes = frame_bytes(frame);
    if bytes > FRAME_BYTES_MAX {
        return Err(format!("frame of {bytes} bytes is above {FRAME_BYTES_MAX}"));
    }
    Ok(())
}
