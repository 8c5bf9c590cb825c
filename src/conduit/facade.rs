//! The plain library face: batches in, batches out, to one other site.
//!
//! It runs the same session as the daemon. What it has no journal for it keeps in memory: a batch is held until it is
//! receipted and sent again after a lost connection, so delivery is at least once and in order. A receipt here
//! means that the batch is in the queue of [`Conduit::recv_batch`].

use std::fmt;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::client::GrpcDialer;
use super::config::ConduitConfig;
use super::link::{ConduitState, Link};
use super::server::{Admission, Admissions, serve};
use super::stats::ConduitStats;
use super::tls::{Tls, TlsFiles};
use super::window::{FRAME_BYTES_MAX, batch_bytes, entry_bytes};
use crate::clock::{Clock as _, SystemClock};
use crate::daemon::tasks::Tasks;
use crate::error::{ReplError, Result};
use crate::journal::batch::BATCH_ENTRIES_MAX;
use crate::journal::{EntryBatch, JournalEntry};

mod carrier;

use carrier::Carrier;
pub(crate) use carrier::Facts;

/// Batches that wait for [`Conduit::recv_batch`]; what comes beyond them stays unreceipted and closes the window.
pub const RECEIVED_MAX: usize = 64;
/// The connection to one remote site, both directions.
pub struct Conduit {
    link: Link,
    max_batch_size: usize,
    submissions: mpsc::Sender<EntryBatch>,
    received: Mutex<mpsc::Receiver<EntryBatch>>,
    stop: CancellationToken,
    finished: CancellationToken,
}

impl fmt::Debug for Conduit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conduit")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

impl Drop for Conduit {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Conduit {
    /// Dials the remote site and keeps dialling; waits for no connection.
    ///
    /// # Errors
    /// What is wrong with the TLS material.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn connect(config: &ConduitConfig) -> Result<Self> {
        let tasks = Tasks::new();
        let dialer = GrpcDialer {
            local_name: config.local_name(),
            remote_name: config.remote_name(),
            tls: tls(config)?,
            tasks: tasks.clone(),
            content: None,
        };
        let facts = Facts::new(config);
        let (link, _) = super::peer::spawn(&tasks, facts.peer(Some(Arc::new(dialer))));
        Ok(Self::start(&tasks, link, config, facts))
    }

    /// Accepts the remote site on `listener`, and dials it too when it has addresses.
    ///
    /// # Errors
    /// What is wrong with the TLS material.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn listen(listener: TcpListener, config: &ConduitConfig) -> Result<Self> {
        let tasks = Tasks::new();
        let tls = tls(config)?;
        let dialer = GrpcDialer {
            local_name: config.local_name(),
            remote_name: config.remote_name(),
            tls: tls.clone(),
            tasks: tasks.clone(),
            content: None,
        };
        let facts = Facts::new(config);
        let (link, replicate) = super::peer::spawn(&tasks, facts.peer(Some(Arc::new(dialer))));
        let admissions = Admissions::new();
        let admission = Admission {
            replicate,
            content: None,
        };
        admissions.admit(config.remote_name(), admission);
        serve(&tasks, listener, tls, admissions, None);
        Ok(Self::start(&tasks, link, config, facts))
    }

    /// Takes a link. `tasks` end with the conduit.
    pub(crate) fn start(
        tasks: &Tasks,
        link: Link,
        config: &ConduitConfig,
        facts: Arc<Facts>,
    ) -> Self {
        let (submissions, submitted) = mpsc::channel(1);
        let (delivered, received) = mpsc::channel(RECEIVED_MAX);
        let (stop, finished) = (CancellationToken::new(), CancellationToken::new());
        let carrier = Carrier::new(link.clone(), facts, submitted, delivered, stop.clone());
        let done = finished.clone();
        let own = tasks.clone();
        tasks.spawn("conduit", async move {
            carrier.run().await;
            done.cancel();
            own.token().cancel();
        });
        Self {
            link,
            max_batch_size: config.max_batch_size.clamp(1, BATCH_ENTRIES_MAX),
            submissions,
            received: Mutex::new(received),
            stop,
            finished,
        }
    }

    /// Hands a batch over; waits while the window is full. A batch above the limits is cut into several. Its number
    /// is kept when it is above all before it, else it gets the next one.
    ///
    /// # Errors
    /// [`ReplError::Shutdown`] after shutdown; [`ReplError::Serialization`] when the batch is of another site or cannot
    /// be cut to size.
    pub async fn send_batch(&self, batch: EntryBatch) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(self.failed(ReplError::Shutdown));
        }
        let actor = batch.actor();
        if actor != self.link.local {
            let local = self.link.local;
            let reason = format!("of journal {actor} cannot be sent by {local}");
            return Err(self.failed(ReplError::serialization("batch", reason)));
        }
        for part in cut(batch, self.max_batch_size).map_err(|error| self.failed(error))? {
            let sent = self.submissions.send(part).await;
            sent.map_err(|_| self.failed(ReplError::Shutdown))?;
        }
        Ok(())
    }

    /// The next batch of the remote site, in order. None after shutdown of this end, or when the other end can
    /// never come back. Cancel-safe.
    pub async fn recv_batch(&self) -> Option<EntryBatch> {
        let mut received = self.received.lock().await;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            batch = received.recv() => batch,
        }
    }

    /// Where the connection stands.
    #[expect(clippy::unused_async, reason = "the signature is the user's contract")]
    pub async fn state(&self) -> ConduitState {
        if self.stop.is_cancelled() {
            return ConduitState::Shutdown;
        }
        self.link.status().state
    }

    /// Sends what was handed over, tells the peer, and ends. Waits at most
    /// [`super::peer::DRAIN_MAX`] for a peer that takes nothing.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.finished.cancelled().await;
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> ConduitStats {
        self.link.stats()
    }

    /// The link below, for its status and endpoint.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }

    fn failed(&self, error: ReplError) -> ReplError {
        self.link.counters.failed();
        error
    }
}

fn tls(config: &ConduitConfig) -> Result<Option<Arc<Tls>>> {
    let Some(material) = &config.tls else {
        return Ok(None);
    };
    let (site, files) = (config.local_name(), TlsFiles::in_memory());
    let now_us = SystemClock.now_us();
    Tls::new(material, &files, &site, &config.cluster, now_us).map(Some)
}

/// Cuts a batch into parts of at most `entries_max` entries that fit a frame.
fn cut(batch: EntryBatch, entries_max: usize) -> Result<Vec<EntryBatch>> {
    let fits = |batch: &EntryBatch| {
        batch.entries.len() <= entries_max && batch_bytes(batch) <= FRAME_BYTES_MAX
    };
    if fits(&batch) {
        return Ok(vec![batch]);
    }
    let chained = batch.chain_last != [0; 32] || !batch.seen_runs.is_empty();
    if chained || !batch.raw.is_empty() {
        let (count, bytes) = (batch.entries.len(), batch_bytes(&batch));
        let reason = format!(
            "{count} entries of {bytes} bytes are above {entries_max} or {FRAME_BYTES_MAX}, and a \
             batch with a chain or context cannot be cut"
        );
        return Err(ReplError::serialization("batch", reason));
    }
    let (end, number) = (batch.last, batch.batch_seq);
    let mut parts: Vec<EntryBatch> = Vec::new();
    let mut part: Vec<JournalEntry> = Vec::new();
    let mut bytes = 0;
    let close = |part: Vec<JournalEntry>, parts: &mut Vec<EntryBatch>| {
        let number = number.saturating_add(parts.len() as u64);
        let mut made = EntryBatch::new(batch.source_site_id, part, number);
        (made.incarnation, made.stream, made.epoch) =
            (batch.incarnation, batch.stream, batch.epoch);
        parts.push(made);
    };
    for entry in batch.entries {
        let size = entry_bytes(&entry);
        // A quarter of the frame stays for what a batch adds.
        if !part.is_empty() && (part.len() == entries_max || bytes + size > FRAME_BYTES_MAX / 4 * 3)
        {
            close(std::mem::take(&mut part), &mut parts);
            bytes = 0;
        }
        bytes += size;
        part.push(entry);
    }
    close(part, &mut parts);
    if let Some(last) = parts.last_mut() {
        last.last = end.max(last.last);
    }
    match parts.iter().find(|part| !fits(part)) {
        None => Ok(parts),
        Some(part) => {
            let reason = format!("entry {} alone is above a frame", part.first);
            Err(ReplError::serialization("batch", reason))
        }
    }
}

#[cfg(test)]
mod tests;
