//! Every task of the process, by name: the one place that spawns.
//!
//! A task that panics is reported by its name and stops all others, because the state that it owned is unknown from
//! then on. Shutdown is cooperative: tasks see the token, finish what they hold and return; who does not is named.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

#[cfg(test)]
pub(crate) mod errors;

/// Names of the tasks that run and of those that panicked.
#[derive(Debug, Default)]
struct Register {
    running: BTreeMap<u64, String>,
    panicked: Vec<String>,
}

#[derive(Default)]
struct Inner {
    tracker: TaskTracker,
    next_id: AtomicU64,
    register: Mutex<Register>,
}

/// Spawns, watches and ends tasks. Clones share them; a [`Tasks::child`] shares them too, but can be cancelled alone.
#[derive(Clone, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
    /// Cancelled for the whole family when a task panics.
    root: CancellationToken,
    token: CancellationToken,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("running", &self.running())
            .field("cancelled", &self.token.is_cancelled())
            .finish()
    }
}

impl Tasks {
    /// No tasks.
    #[must_use]
    pub fn new() -> Self {
        #[cfg(test)]
        errors::watch();
        let root = CancellationToken::new();
        Self {
            inner: Arc::default(),
            token: root.clone(),
            root,
        }
    }

    /// The same tasks with a token of its own below this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            root: self.root.clone(),
            token: self.token.child_token(),
        }
    }

    /// The token that asks the tasks to end.
    #[must_use]
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Runs `task` until it ends. It is not aborted by cancellation: it watches [`Tasks::token`] itself.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that names and owns every task"
    )]
    pub fn spawn<F>(&self, name: impl Into<String>, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        self.register(|register| register.running.insert(id, name.clone()));
        let span = tracing::debug_span!("task", name = %name);
        let running = tokio::spawn(task.instrument(span));
        let tasks = self.clone();
        self.inner.tracker.spawn(async move {
            let ended = running.await;
            tasks.register(|register| register.running.remove(&id));
            if ended.is_err_and(|error| error.is_panic()) {
                tracing::error!(task = %name, "task panicked, all tasks stop");
                tasks.register(|register| register.panicked.push(name));
                tasks.root.cancel();
            }
        });
    }

    /// Names of the tasks that run, in the order of their start.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        self.register(|register| register.running.values().cloned().collect())
    }

    /// Names of the tasks that panicked, in order.
    #[must_use]
    pub fn panicked(&self) -> Vec<String> {
        self.register(|register| register.panicked.clone())
    }

    /// Asks all tasks to end and waits for them, at most `patience`. Returns the names of those that still run.
    pub async fn shutdown(&self, patience: Duration) -> Vec<String> {
        self.root.cancel();
        self.inner.tracker.close();
        match tokio::time::timeout(patience, self.inner.tracker.wait()).await {
            Ok(()) => Vec::new(),
            Err(_) => self.running(),
        }
    }

    fn register<T>(&self, change: impl FnOnce(&mut Register) -> T) -> T {
        let mut register = self
            .inner
            .register
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        change(&mut register)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn shutdown_waits_for_every_task() {
        let tasks = Tasks::new();
        let token = tasks.token().clone();
        tasks.spawn("waits", async move { token.cancelled().await });
        assert_eq!(tasks.running(), ["waits"]);
        assert!(tasks.shutdown(PATIENCE).await.is_empty());
        assert!(tasks.running().is_empty() && tasks.panicked().is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_named_and_stops_all_others() {
        let _expected = errors::expects("task panicked");
        let tasks = Tasks::new();
        tasks
            .child()
            .spawn("breaks", async { panic!("on purpose") });
        tasks.token().cancelled().await;
        assert_eq!(tasks.panicked(), ["breaks"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_named() {
        let tasks = Tasks::new();
        tasks.spawn("hangs", std::future::pending());
        assert_eq!(tasks.shutdown(PATIENCE).await, ["hangs"]);
    }

    #[tokio::test]
    async fn a_child_ends_alone() {
        let tasks = Tasks::new();
        let child = tasks.child();
        child.token().cancel();
        assert!(!tasks.token().is_cancelled());
    }
}
