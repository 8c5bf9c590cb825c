//! The sending half of a peer: reads the journal behind the peer's cursors, frame by frame, as far as the window allows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::PeerView;
use crate::conduit::link::{ConnectionNo, Link};
use crate::conduit::message::{Close, CloseReason, Frame};
use crate::daemon::exchange;
use crate::daemon::tasks::Tasks;
use crate::error::Result;
use crate::journal::{BatchReader, Durable, EntryBatch};
use crate::sync::engine::Handle;

/// Bytes of entries in one frame; the wire allows 1 MiB with everything around them.
pub(in crate::daemon) const FRAME_BYTES: usize = 768 * 1024;
/// Entries in one frame: a quarter of the default window, so that the next one is packed while this one travels.
pub(in crate::daemon) const FRAME_ENTRIES: usize = 1_024;
/// How often an idle sender tells its mark: lag in seconds can be no finer.
const IDLE_MARK: Duration = Duration::from_secs(1);

/// What the receiving side tells the sending side.
#[derive(Debug)]
pub(super) enum Order {
    /// Send on this connection what is behind these cursors.
    Start(ConnectionNo, BTreeMap<u32, u64>),
    /// Send again from here; at the earliest after the pause.
    Rewind(BTreeMap<u32, u64>, Duration),
    /// The connection is gone, with so many entries under way.
    Stop(u64),
}

/// Sends the journal to a peer.
pub(super) struct Sender {
    pub(super) link: Link,
    pub(super) engine: Handle,
    pub(super) site: String,
    /// Where it is told what was sent.
    pub(super) seen: Arc<Mutex<PeerView>>,
    /// The last connection that was to be sent on.
    pub(super) connection: ConnectionNo,
    /// Entries that were under way when the last connection ended.
    pub(super) under_way: u64,
    pub(super) work: Option<Sending>,
    /// Last seq that was handed to the last connection, by stream.
    pub(super) sent: BTreeMap<u32, u64>,
}

/// A reader of the journal for one connection.
pub(super) struct Sending {
    connection: ConnectionNo,
    cursors: BTreeMap<u32, u64>,
    reader: BatchReader,
    durable: watch::Receiver<Durable>,
    mark_us: u64,
}

impl Sending {
    /// The journal was opened anew: the reader sees nothing of what is written since, of which the marks know.
    fn is_outdated(&self) -> bool {
        self.durable.has_changed().is_err()
    }
}

impl Sender {
    pub(super) async fn run(mut self, tasks: Tasks, mut orders: mpsc::Receiver<Order>) {
        loop {
            let result = tokio::select! {
                () = tasks.token().cancelled() => return,
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                // Dropped halfway, it has read nothing that it had not sent: the order behind starts a new reader,
                // or the frame was handed over.
                sent = send_next(&self.link, &self.engine, &mut self.work, &mut self.sent) => {
                    self.tell();
                    sent
                }
            };
            if let Err(error) = result {
                tracing::warn!(site = self.site, %error, "sending stopped until the next connection");
                self.work = None;
                // Else it would stand, with heartbeats and without entries.
                let detail = "the journal cannot be sent now; connect again later";
                let close = Close::new(CloseReason::Shutdown, detail);
                if self.link.close(self.connection, close).await.is_err() {
                    return;
                }
            }
        }
    }

    fn tell(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.sent != self.sent {
            seen.sent.clone_from(&self.sent);
        }
    }

    async fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Stop(under_way) => (self.work, self.under_way) = (None, under_way),
            Order::Start(connection, cursors) => {
                self.connection = connection;
                // What was handed over and never left does not travel twice.
                let again = sent_beyond(&self.sent, &cursors).min(self.under_way);
                self.under_way = 0;
                if again > 0 {
                    tracing::info!(site = self.site, entries = again, "sending again");
                }
                self.sent.clone_from(&cursors);
                self.tell();
                self.work = Some(self.start(connection, cursors).await?);
            }
            Order::Rewind(back, pause) => {
                let Some(work) = self.work.take() else {
                    return Ok(());
                };
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let mut cursors = work.cursors;
                for batch in back {
                    cursors.insert(batch.0, batch.1);
                }
                self.work = Some(self.start(work.connection, cursors).await?);
            }
        }
        Ok(())
    }

    async fn start(
        &self,
        connection: ConnectionNo,
        cursors: BTreeMap<u32, u64>,
    ) -> Result<Sending> {
        let behind = cursors.clone();
        let (reader, durable) = self.engine.ask(move |e| e.batches(behind)).await?;
        Ok(Sending {
            connection,
            cursors,
            reader,
            durable,
            mark_us: 0,
        })
    }
}

/// How many entries were sent and did not get there: they are under way a second time.
fn sent_beyond(sent: &BTreeMap<u32, u64>, cursors: &BTreeMap<u32, u64>) -> u64 {
    let beyond = sent.iter().map(|(stream, last)| {
        let received = cursors.get(stream).copied().unwrap_or(0);
        last.saturating_sub(received)
    });
    beyond.sum()
}

/// Sends one frame, or waits until there is one.
async fn send_next(
    link: &Link,
    engine: &Handle,
    work: &mut Option<Sending>,
    sent: &mut BTreeMap<u32, u64>,
) -> Result<()> {
    let Some(work) = work else {
        return std::future::pending().await;
    };
    // The mark is asked for first: what is durable by then is in the frames before it is sent.
    let (mark_us, epoch) = engine.ask(|e| Ok((e.mark()?, e.epoch()?))).await?;
    if work.is_outdated() {
        let behind = work.cursors.clone();
        (work.reader, work.durable) = engine.ask(move |e| e.batches(behind)).await?;
        return Ok(());
    }
    let connection = work.connection;
    if let Some((batches, mark_us)) = work.reader.next_frame(FRAME_BYTES, FRAME_ENTRIES)? {
        let packed = batches
            .into_iter()
            .map(|batch| exchange::pack(batch, epoch));
        let batches: Vec<EntryBatch> = packed.collect();
        let ends: Vec<(u32, u64)> = batches.iter().map(|b| (b.stream, b.last)).collect();
        link.send_frame(connection, Frame { batches, mark_us })
            .await?;
        work.cursors.extend(ends.iter().copied());
        for (stream, last) in ends {
            let highest = sent.entry(stream).or_insert(0);
            *highest = last.max(*highest);
        }
        work.mark_us = mark_us;
        return Ok(());
    }
    if mark_us > work.mark_us {
        link.send_frame(
            connection,
            Frame {
                batches: Vec::new(),
                mark_us,
            },
        )
        .await?;
        work.mark_us = mark_us;
    }
    tokio::select! {
        _ = work.durable.changed() => {}
        () = tokio::time::sleep(IDLE_MARK) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_beyond_the_cursor_is_sent_again() {
        let sent = BTreeMap::from([(1, 10), (2, 5), (3, 7)]);
        let cursors = BTreeMap::from([(1, 4), (2, 9)]);
        assert_eq!(sent_beyond(&sent, &cursors), 6 + 7);
        assert_eq!(sent_beyond(&BTreeMap::new(), &cursors), 0);
    }

    #[test]
    fn a_reader_of_a_journal_that_was_opened_anew_is_outdated() {
        let folder = tempfile::tempdir().unwrap();
        let mut engine = crate::daemon::board::tests::engine(folder.path());
        let (reader, durable) = engine.batches(BTreeMap::new()).unwrap();
        let work = Sending {
            connection: ConnectionNo::default(),
            cursors: BTreeMap::new(),
            reader,
            durable,
            mark_us: 0,
        };
        assert!(!work.is_outdated());
        // As after any failure: everything is dropped and opened again.
        engine.forget();
        engine.mark().unwrap();
        assert!(work.is_outdated());
    }
}
