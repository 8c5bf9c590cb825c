//! Counters of one conduit: atomics inside, a plain snapshot outside.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::message::Frame;
use crate::clock::micros;

/// What went over one conduit since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ConduitStats {
    /// Batches handed to the transport, repeated ones included.
    pub batches_sent: u64,
    /// Batches that came in.
    pub batches_received: u64,
    /// Entries handed to the transport.
    pub entries_sent: u64,
    /// Entries that came in.
    pub entries_received: u64,
    /// Attempts to connect and frames that failed.
    pub send_errors: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Entry bytes handed to the transport, as the window counts them.
    pub bytes_sent: u64,
    /// Entry bytes that came in.
    pub bytes_received: u64,
}

/// The live counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    batches_sent: AtomicU64,
    batches_received: AtomicU64,
    entries_sent: AtomicU64,
    entries_received: AtomicU64,
    send_errors: AtomicU64,
    connections: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
    /// When the peer said anything last, in microseconds of the monotonic clock, and one more; zero: not known.
    heard: AtomicU64,
}

impl Counters {
    /// Notes when the peer said anything last.
    pub(super) fn heard(&self, at: Option<Duration>) {
        let heard = at.map_or(0, |at| micros(at).saturating_add(1));
        self.heard.store(heard, Ordering::Relaxed);
    }

    pub(super) fn heard_at(&self) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Relaxed);
        heard.checked_sub(1).map(Duration::from_micros)
    }

    pub(super) fn sent(&self, frame: &Frame) {
        add(&self.batches_sent, frame.batches.len());
        add(&self.entries_sent, entries(frame));
        add(&self.bytes_sent, super::session::frame_bytes(frame));
    }

    pub(super) fn received(&self, frame: &Frame) {
        add(&self.batches_received, frame.batches.len());
        add(&self.entries_received, entries(frame));
        add(&self.bytes_received, super::session::frame_bytes(frame));
    }

    pub(super) fn failed(&self) {
        add(&self.send_errors, 1);
    }

    pub(super) fn connected(&self) {
        add(&self.connections, 1);
    }

    pub(super) fn snapshot(&self) -> ConduitStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConduitStats {
            batches_sent: read(&self.batches_sent),
            batches_received: read(&self.batches_received),
            entries_sent: read(&self.entries_sent),
            entries_received: read(&self.entries_received),
            send_errors: read(&self.send_errors),
            reconnects: read(&self.connections).saturating_sub(1),
            bytes_sent: read(&self.bytes_sent),
            bytes_received: read(&self.bytes_received),
        }
    }
}

fn entries(frame: &Frame) -> usize {
    frame.batches.iter().map(|batch| batch.entries.len()).sum()
}

fn add(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
