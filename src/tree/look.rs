//! Requests to look at single files at once, from whoever found that one does not hold what was journaled.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::wake::Waker;

/// Requests that wait for the connector; more are refused and come again.
const LOOKS_MAX: usize = 64;

/// Asks the connector to look at files.
#[derive(Debug, Clone)]
pub struct Looker {
    ask: SyncSender<Asked>,
    waker: Waker,
}

/// Requests to look at files, for the connector: it may be opened again.
#[derive(Debug, Clone)]
pub struct Looks(Option<Arc<Mutex<Receiver<Asked>>>>);

/// A request to look at a file.
#[derive(Debug)]
pub struct Asked {
    inode: u64,
    done: SyncSender<()>,
}

/// Who asks, and what the connector takes ([`super::Connector::take_looks`]), which `waker` wakes.
#[must_use]
pub fn looks(waker: Waker) -> (Looker, Looks) {
    let (ask, asked) = sync_channel(LOOKS_MAX);
    (
        Looker { ask, waker },
        Looks(Some(Arc::new(Mutex::new(asked)))),
    )
}

impl Looker {
    /// Has the file behind `inode` read, and waits until what changed is journaled, at most `patience`. For threads,
    /// not for async tasks. False: it was not looked at.
    #[must_use]
    pub fn look(&self, inode: u64, patience: Duration) -> bool {
        let (done, looked) = sync_channel(1);
        match self.ask.try_send(Asked { inode, done }) {
            Ok(()) => {
                self.waker.wake();
                looked.recv_timeout(patience).is_ok()
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

impl Looks {
    /// Nobody asks.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// What was asked since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Asked> {
        let Some(asked) = &self.0 else {
            return Vec::new();
        };
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.try_iter().collect()
    }
}

impl Asked {
    /// Which file.
    #[must_use]
    pub const fn inode(&self) -> u64 {
        self.inode
    }

    /// It was looked at.
    pub fn done(self) {
        if self.done.send(()).is_err() {
            tracing::debug!("who asked for a look lost patience");
        }
    }
}
