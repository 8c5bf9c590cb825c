//! Listens to the daemon: looks as they change and events as they happen, again and again until it is told to stop.
//!
//! A daemon that goes away is tried again with growing pauses, and at once when somebody asks for it. After a gap only
//! the events are asked for that may be missing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::calls::Daemon;
use super::message::{Lost, Told};
use super::model::EVENTS_MAX;
use crate::admin::client::ClientError;
use crate::admin::view::EventFilter;
use crate::clock::{TimestampUs, micros};

/// Time between two looks: what a person sees as live.
const INTERVAL: Duration = Duration::from_millis(500);
/// The first and the longest pause between tries. The daemon is on this machine: nobody is spared by waiting longer.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Listens to one daemon.
#[derive(Debug)]
pub struct Feed {
    daemon: Daemon,
    told: mpsc::Sender<Told>,
    retry: Arc<Notify>,
    /// Time of the last event.
    last_event_us: Option<TimestampUs>,
    /// Tries since it was heard.
    attempt: u32,
}

impl Feed {
    /// One that tells `told`, and is waked by `retry`.
    #[must_use]
    pub const fn new(daemon: Daemon, told: mpsc::Sender<Told>, retry: Arc<Notify>) -> Self {
        Self {
            daemon,
            told,
            retry,
            last_event_us: None,
            attempt: 0,
        }
    }

    /// Listens until `stop`, or until nobody is told any more.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(async move { while self.once().await {} })
            .await;
    }

    /// One connection and the pause after it. Returns whether somebody still wants to know.
    async fn once(&mut self) -> bool {
        let address = self.daemon.address.to_string();
        if self.told.send(Told::Connecting { address }).await.is_err() {
            return false;
        }
        let Err(error) = self.listen().await else {
            return false;
        };
        let pause = pause(self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        let lost = Lost {
            failed: self.daemon.failed(error),
            attempt: u64::from(self.attempt),
            retry_us: micros(pause),
        };
        if self.told.send(Told::Lost(lost)).await.is_err() {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.retry.notified() => {}
        }
        true
    }

    /// Hands on what the daemon tells until it ends; without an error nobody wants to know any more.
    async fn listen(&mut self) -> Result<(), ClientError> {
        let client = self.daemon.connect().await?;
        let mut updates = client.watch(INTERVAL, true).await?;
        let filter = EventFilter {
            since_us: self.last_event_us,
            ..EventFilter::default()
        };
        let mut events = client.events(filter, true, Some(EVENTS_MAX as u64)).await?;
        let mut is_new = true;
        loop {
            // Both are cancel-safe: what is not taken stays in its stream.
            let told = tokio::select! {
                biased;
                update = updates.next() => {
                    let Some((at_us, update)) = update? else {
                        return Err(self.ended());
                    };
                    self.attempt = 0;
                    if std::mem::take(&mut is_new) {
                        // Another daemon may answer than before, or the same one may think otherwise.
                        let rights = Told::Rights(updates.rights().cloned());
                        if self.told.send(rights).await.is_err() {
                            return Ok(());
                        }
                    }
                    Told::Update(at_us, update)
                }
                event = events.next() => {
                    let Some(event) = event? else {
                        return Err(self.ended());
                    };
                    self.last_event_us = Some(event.at_us);
                    Told::Event(event)
                }
            };
            if self.told.send(told).await.is_err() {
                return Ok(());
            }
        }
    }

    fn ended(&self) -> ClientError {
        ClientError::Unreachable {
            address: self.daemon.address.clone(),
            source: std::io::Error::other("the daemon ended the stream"),
        }
    }
}

/// The pause after so many tries.
fn pause(attempt: u32) -> Duration {
    PAUSE
        .saturating_mul(2_u32.saturating_pow(attempt))
        .min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_end() {
        assert_eq!(pause(0), PAUSE);
        assert_eq!(pause(1), PAUSE * 2);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
