//! What others say to the connector of a tree: to look at single files at once, from whoever found that one does not
//! hold what was journaled, and that an empty tree is meant.

use std::sync::atomic::{AtomicBool, Ordering};
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
    empty_is_meant: Arc<AtomicBool>,
    waker: Waker,
}

/// Requests to look at files, for the connector: it may be opened again.
#[derive(Debug, Clone)]
pub struct Looks {
    asked: Option<Arc<Mutex<Receiver<Asked>>>>,
    empty_is_meant: Arc<AtomicBool>,
}

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
    let empty_is_meant = Arc::new(AtomicBool::new(false));
    let looks = Looks {
        asked: Some(Arc::new(Mutex::new(asked))),
        empty_is_meant: Arc::clone(&empty_is_meant),
    };
    let looker = Looker {
        ask,
        empty_is_meant,
        waker,
    };
    (looker, looks)
}

impl Looker {
    /// The tree was emptied on purpose: the next look believes that its files were removed.
    pub fn mean_empty(&self) {
        self.empty_is_meant.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

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
    pub fn none() -> Self {
        Self {
            asked: None,
            empty_is_meant: Arc::default(),
        }
    }

    /// Whether somebody said since the last call that an empty tree is meant.
    #[must_use]
    pub fn take_empty_is_meant(&self) -> bool {
        self.empty_is_meant.swap(false, Ordering::SeqCst)
    }

    /// What was asked since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Asked> {
        let Some(asked) = &self.asked else {
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
