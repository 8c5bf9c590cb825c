//! What the engine told last: one task asks it, so that nobody who only looks waits behind work, or adds to it.
//!
//! A question that the engine answers at once gets a fresh answer. While it is busy, with a large batch or a slow
//! disk, the last answer is given with its age: a look never hangs, and never takes old for new.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::backlog::{Backlog, backlog};
use super::peers::Peers;
use super::status::join;
use super::tasks::Tasks;
use super::timeline::{Pace, Rates, Timeline};
use crate::admin::AdminError;
use crate::admin::view::{PARKED_SHOWN_MAX, ParkedView};
use crate::clock::SharedClock;
use crate::error::{ReplError, Result};
use crate::journal::dot::Actor;
use crate::sync::engine::{Engine, EngineStatus, Handle};
use crate::sync::progress::StreamProgress;
use crate::topology::SiteId;

/// How often the engine is asked when nobody looks. What it told last is never much older, unless it is busy.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a look waits for the engine: an answer takes one or two milliseconds when it is free.
const PATIENCE: Duration = Duration::from_millis(10);

/// What the engine told, all at one moment.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// When, by the monotonic clock.
    pub(super) at: Duration,
    pub(super) status: EngineStatus,
    /// Up to when all changes of the tree are in the journal.
    pub(super) mark_us: u64,
    /// What came from each peer that was heard.
    pub(super) from: BTreeMap<SiteId, FromPeer>,
    /// What each of them has not received.
    pub(super) backlogs: BTreeMap<SiteId, Backlog>,
    /// How far any peer has applied the journal, and what none has.
    pub(super) applied_anywhere: BTreeMap<u32, u64>,
    pub(super) at_risk: Backlog,
    pub(super) timeline: Arc<Mutex<Timeline>>,
    pub(super) rates: BTreeMap<SiteId, Rates>,
}

/// What became here of the entries of a peer.
#[derive(Debug, Clone)]
pub(super) struct FromPeer {
    pub(super) progress: Vec<StreamProgress>,
    pub(super) applied_mark_us: Option<u64>,
    /// What could not be applied; at most [`PARKED_SHOWN_MAX`].
    pub(super) parked: Vec<ParkedView>,
}

impl FromPeer {
    /// Entries that were received and are not applied.
    pub(super) fn waiting(&self) -> u64 {
        let waits = |one: &StreamProgress| one.received.saturating_sub(one.applied);
        self.progress.iter().map(waits).sum()
    }

    /// Entries that cannot be applied.
    pub(super) fn parked_entries(&self) -> u64 {
        self.progress.iter().map(|one| one.parked_count).sum()
    }
}

/// An answer, with the number of the look that it is the answer to.
#[derive(Debug, Clone)]
struct Answer {
    look: u64,
    told: Result<Arc<Told>, Arc<ReplError>>,
}

/// Where everyone looks. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Board {
    looks: watch::Sender<u64>,
    answers: watch::Receiver<Option<Answer>>,
}

impl Board {
    /// Starts the task that asks the engine.
    pub(super) fn start(tasks: &Tasks, engine: Handle, peers: Peers, clock: SharedClock) -> Self {
        let (looks, wanted) = watch::channel(0);
        let (answer, answers) = watch::channel(None);
        let asker = Asker {
            engine,
            peers,
            clock,
            timeline: Arc::default(),
            paces: BTreeMap::new(),
        };
        tasks.spawn("board", asker.run(tasks.clone(), wanted, answer));
        Self { looks, answers }
    }

    /// What the engine tells, or told last when it is busy.
    ///
    /// # Errors
    /// The engine failed and cannot be opened again, or is gone.
    pub(super) async fn look(&self) -> Result<Arc<Told>, AdminError> {
        let mut look = 0;
        self.looks.send_modify(|number| {
            *number = number.wrapping_add(1);
            look = *number;
        });
        let mut answers = self.answers.clone();
        let is_mine = |answer: &Option<Answer>| answer.as_ref().is_some_and(|a| a.look >= look);
        let fresh = async { answers.wait_for(is_mine).await.map(|found| found.clone()) };
        let answer = match tokio::time::timeout(PATIENCE, fresh).await {
            Ok(answer) => answer,
            // It is busy. Before its first answer there is nothing else to do than to wait.
            Err(_) => {
                let mut answers = self.answers.clone();
                let any = answers.wait_for(Option::is_some).await;
                any.map(|found| found.clone())
            }
        };
        match answer.ok().flatten() {
            Some(Answer { told, .. }) => told.map_err(AdminError::Unreadable),
            None => Err(ReplError::Shutdown.into()),
        }
    }
}

/// Asks the engine.
struct Asker {
    engine: Handle,
    peers: Peers,
    clock: SharedClock,
    timeline: Arc<Mutex<Timeline>>,
    paces: BTreeMap<SiteId, Pace>,
}

impl Asker {
    async fn run(
        mut self,
        tasks: Tasks,
        mut wanted: watch::Receiver<u64>,
        answer: watch::Sender<Option<Answer>>,
    ) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: a look that was not seen is still there.
            tokio::select! {
                () = tasks.token().cancelled() => return,
                _ = every.tick() => {}
                Ok(()) = wanted.changed() => {}
            }
            let look = *wanted.borrow_and_update();
            let asked = tasks.token().run_until_cancelled(self.ask()).await;
            let Some(told) = asked else { return };
            // Who watches keeps it fresh: nobody else has to ask meanwhile.
            every.reset();
            let told = told.map(Arc::new).map_err(Arc::new);
            answer.send_replace(Some(Answer { look, told }));
        }
    }

    async fn ask(&mut self) -> Result<Told> {
        let peers = self.peers.all();
        let mut actors = BTreeMap::new();
        let mut received = BTreeMap::new();
        let mut applied_anywhere: BTreeMap<u32, u64> = BTreeMap::new();
        let mut applied = BTreeMap::new();
        for (site, peer) in peers.iter() {
            let view = peer.view.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(hello) = &view.hello else { continue };
            actors.insert(*site, hello.actor);
            received.insert(*site, view.received());
            for (stream, receipt) in &view.receipts {
                let most = applied_anywhere.entry(*stream).or_default();
                *most = receipt.applied.max(*most);
            }
            let sum: u64 = view.receipts.values().map(|r| r.applied).sum();
            applied.insert(*site, sum);
        }
        let clock = Arc::clone(&self.clock);
        let asked = move |engine: &mut Engine| {
            let at = clock.monotonic();
            let now_us = clock.now_us();
            let from = actors.iter().map(|(site, actor)| {
                let from = from_peer(engine, *actor)?;
                Ok((*site, from))
            });
            let from = from.collect::<Result<_>>()?;
            Ok((at, now_us, engine.status()?, engine.mark()?, from))
        };
        let (at, now_us, status, mark_us, from) = self.engine.ask(asked).await?;
        {
            let mut timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
            timeline.note(&status.heads, &status.written, now_us);
        }
        let written: u64 = status.heads.values().sum();
        self.paces.retain(|site, _| applied.contains_key(site));
        let mut rates = BTreeMap::new();
        for (site, applied) in applied {
            let pace = self.paces.entry(site).or_default();
            pace.note(at, applied.min(written), written);
            rates.extend(pace.rates().map(|rates| (site, rates)));
        }
        let mut backlogs = BTreeMap::new();
        for (site, received) in received {
            let backlog = backlog(&self.engine, &status.heads, received).await?;
            backlogs.insert(site, backlog);
        }
        let at_risk = backlog(&self.engine, &status.heads, applied_anywhere.clone()).await?;
        Ok(Told {
            at,
            status,
            mark_us,
            from,
            backlogs,
            applied_anywhere,
            at_risk,
            timeline: Arc::clone(&self.timeline),
            rates,
        })
    }
}

fn from_peer(engine: &mut Engine, actor: Actor) -> Result<FromPeer> {
    let mut from = FromPeer {
        progress: engine.progress(actor)?,
        applied_mark_us: engine.applied_mark(actor)?,
        parked: Vec::new(),
    };
    if from.parked_entries() == 0 {
        return Ok(from);
    }
    for (inode, reason) in engine.parked_of(actor)?.into_iter().take(PARKED_SHOWN_MAX) {
        // What cannot be applied may not be shown yet: the place that it is to get tells more than its number.
        let last = engine.last_path_of(inode)?;
        from.parked.push(ParkedView {
            inode,
            path: last.map(|(path, _)| join(path)),
            reason,
        });
    }
    Ok(from)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::disk::RealDisk;
    use crate::journal::LogOptions;
    use crate::sync::engine::{EngineConfig, Retention, start};
    use std::sync::mpsc;

    /// An engine in a folder of its own.
    pub(in crate::daemon) fn engine(folder: &std::path::Path) -> Engine {
        let config = EngineConfig {
            dir: folder.to_owned(),
            disk: RealDisk::shared(),
            clock: Arc::new(SystemClock),
            log: LogOptions::default(),
            site_id: 1,
            incarnation: 1 << 48 | 7,
            applies: true,
            sends: true,
            retention: Retention::default(),
            accept_clock: false,
            reclaim: None,
        };
        Engine::open(config).unwrap()
    }

    #[tokio::test]
    async fn a_look_at_a_busy_engine_gets_the_last_answer_and_a_fresh_one_when_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let engine = start(engine(folder.path())).unwrap().0;
        let tasks = Tasks::new();
        let clock = Arc::new(SystemClock);
        let board = Board::start(&tasks, engine.clone(), Peers::default(), clock.clone());
        board.look().await.unwrap();
        let (begin, began) = mpsc::channel();
        let (free, freed) = mpsc::channel::<()>();
        let busy = std::thread::spawn(move || {
            engine.call(move |_| {
                begin.send(clock.monotonic()).unwrap();
                freed.recv().unwrap();
                Ok(())
            })
        });
        let began = began.recv().unwrap();
        // It would wait for ever if it waited for the engine.
        let old = board.look().await.unwrap();
        assert!(old.at <= began, "{:?} {began:?}", old.at);
        free.send(()).unwrap();
        busy.join().unwrap().unwrap();
        let fresh = loop {
            let told = board.look().await.unwrap();
            if told.at > began {
                break told;
            }
        };
        assert_eq!(fresh.at_risk.entries, 0);
        drop(board);
        assert!(tasks.shutdown(Duration::from_secs(10)).await.is_empty());
    }
}
