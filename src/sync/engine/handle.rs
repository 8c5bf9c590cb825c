//! The loop that owns the engine, and the handle by which everyone else reaches it.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

use super::Engine;
use crate::error::{ReplError, Result};
use crate::journal::op::{Content, FileTime, Name, Place};
use crate::sync::port::{self, DeviceImage, Image, LocalTxn, Round};

/// Requests that wait for the loop. Every caller waits for its answer, so this bounds callers, not work.
const REQUESTS_MAX: usize = 64;

type Job = Box<dyn FnOnce(&mut Engine) + Send>;

/// Reaches the engine. Clones share it; when the last one is gone the loop commits and ends.
#[derive(Debug, Clone)]
pub struct Handle {
    jobs: SyncSender<Job>,
    changes: watch::Receiver<u64>,
}

/// Starts the loop that owns `engine`, on a thread of its own: it waits for disks.
///
/// # Errors
/// When the system gives no thread.
pub fn start(mut engine: Engine) -> Result<(Handle, JoinHandle<()>)> {
    let (jobs, queue) = sync_channel::<Job>(REQUESTS_MAX);
    let changes = engine.changes();
    let run = move || {
        while let Ok(job) = queue.recv() {
            job(&mut engine);
        }
        if let Err(error) = engine.close() {
            tracing::warn!(%error, "state was not committed at the end; it will be replayed");
        }
    };
    let thread = std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(run)
        .map_err(|e| ReplError::io("start thread", "engine", e))?;
    Ok((Handle { jobs, changes }, thread))
}

impl Handle {
    /// Tells of every change that may mean work or progress.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Runs `work` on the engine's loop and waits for the result. For threads, not for async tasks.
    ///
    /// # Errors
    /// What `work` returns; [`ReplError::Shutdown`] when the loop is gone.
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = sync_channel(1);
        let job: Job = Box::new(move |engine| {
            // Who asked may be gone; then nobody wants the answer.
            drop(answer.send(work(engine)));
        });
        self.jobs.send(job).map_err(|_| ReplError::Shutdown)?;
        answered.recv().map_err(|_| ReplError::Shutdown)?
    }

    /// The same for async tasks. The queue is short and every job quick, so handing over is not awaited.
    ///
    /// # Errors
    /// As [`Handle::call`].
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |engine| {
            drop(answer.send(work(engine)));
        });
        let jobs = self.jobs.clone();
        let sent = tokio::task::spawn_blocking(move || jobs.send(job)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return Err(ReplError::Shutdown);
        }
        answered.await.map_err(|_| ReplError::Shutdown)?
    }
}

impl port::Engine for Handle {
    fn mint(&mut self, count: usize) -> Result<Vec<u64>> {
        self.call(move |engine| (0..count).map(|_| engine.mint()).collect())
    }

    fn submit(&mut self, txns: Vec<LocalTxn>) -> Result<()> {
        self.call(move |engine| engine.submit(&txns))
    }

    fn work(&mut self, limit: usize) -> Result<Vec<Image>> {
        self.call(move |engine| engine.work(limit))
    }

    fn done(&mut self, round: Round) -> Result<()> {
        self.call(move |engine| engine.done(round))
    }

    fn retry_parked(&mut self) -> Result<()> {
        self.call(Engine::retry_parked)
    }

    fn retry_faults(&mut self) -> Result<()> {
        self.call(Engine::retry_faults)
    }

    fn retry(&mut self, inodes: Vec<u64>) -> Result<()> {
        self.call(move |engine| engine.retry(&inodes))
    }

    fn applied_of(&mut self, inodes: Vec<u64>) -> Result<Vec<Option<Image>>> {
        self.call(move |engine| inodes.into_iter().map(|i| engine.applied(i)).collect())
    }

    fn applied_entries(&mut self, directory: u64) -> Result<Vec<(Name, u64, u64)>> {
        self.call(move |engine| engine.applied_entries(directory))
    }

    fn applied_at(&mut self, places: Vec<Place>) -> Result<Vec<Option<u64>>> {
        self.call(move |engine| engine.applied_at(&places))
    }

    fn set_device(&mut self, inode: u64, device: Option<DeviceImage>) -> Result<()> {
        self.call(move |engine| engine.set_device(inode, device))
    }

    fn devices(&mut self, inodes: Vec<u64>) -> Result<Vec<Option<DeviceImage>>> {
        self.call(move |engine| inodes.into_iter().map(|i| engine.device(i)).collect())
    }

    fn unchanged(&mut self, seen: Vec<(u64, DeviceImage)>) -> Result<Vec<bool>> {
        self.call(move |engine| engine.unchanged(&seen))
    }

    fn inodes_of(&mut self, files: Vec<(u64, FileTime)>) -> Result<Vec<Option<u64>>> {
        self.call(move |engine| {
            let files = files.into_iter();
            files.map(|(ino, at)| engine.inode_of(ino, at)).collect()
        })
    }

    fn correct(&mut self, inode: u64, shown: Option<Image>) -> Result<()> {
        self.call(move |engine| engine.correct(inode, shown.as_ref()))
    }

    fn give_way(&mut self, inode: u64, content: Content) -> Result<bool> {
        self.call(move |engine| engine.give_way(inode, content))
    }

    fn is_level(&mut self) -> Result<bool> {
        self.call(Engine::is_level)
    }

    fn ended_us(&mut self) -> Result<u64> {
        self.call(Engine::ended_us)
    }

    fn observed_through(&mut self, wall_us: u64) -> Result<()> {
        self.call(move |engine| engine.observed_through(wall_us))
    }
}
