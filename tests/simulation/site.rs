//! One site: a disk that fails, a clock, the engine on both, and the filesystem of its user.
//!
//! The filesystem is a naive one that loses nothing. Between it and the engine stands what a connector does: it reports
//! what the user did, in order and late; before it applies it writes down what it is about to apply, so that a stop in
//! between is completed at the next start.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use claudefs_repl::clock::{Clock as _, ManualClock};
use claudefs_repl::disk::FaultyDisk;
use claudefs_repl::error::{ReplError, Result};
use claudefs_repl::journal::op::Change;
use claudefs_repl::journal::{Actor, Dot, LogOptions};
use claudefs_repl::sync::engine::{Engine, EngineConfig, Reclaim, Retention};
use claudefs_repl::sync::port::{Image, LocalOp, LocalTxn, Outcome, Round};

use super::book::Book;
use crate::judge::Check;
use crate::judge::oracle::Tree;
use crate::judge::told::shown_of;
use crate::judge::users::{Reports, Theme, User};
use crate::rng::Rng;

/// Ids that no site gives out: what a user made and nobody reported has one of these.
const NOT_REPORTED: u64 = 1 << 63;
/// The version that a user made and nobody reported.
const UNKNOWN: Dot = Dot::new(Actor::new(0, 0), 0, 0);
/// Small, so that histories cross segments and checkpoints.
const SEGMENT_BYTES: u64 = 4 << 10;
const CHECKPOINT_BYTES: u64 = 1 << 10;

/// What a user did.
#[derive(Debug, Clone)]
struct Done {
    txn: LocalTxn,
    /// Ids in it that the engine has to give out.
    fresh: Vec<u64>,
    /// Which write made the bytes of every file, as the user saw it before.
    contents: BTreeMap<u64, u64>,
    at_us: u64,
}

/// One site.
pub(super) struct Site {
    pub(super) at: usize,
    pub(super) disk: FaultyDisk,
    pub(super) clock: Arc<ManualClock>,
    /// None: it does not run.
    engine: Option<Engine>,
    pub(super) tree: Tree,
    pending: VecDeque<Done>,
    /// What the filesystem shows already and the engine has not confirmed.
    round: Option<Round>,
    /// Something failed: whether the first of `pending` was journaled is not known.
    in_doubt: bool,
    next_id: u64,
    others: BTreeMap<u64, String>,
    /// How many disks it lost: each journal is another one.
    losses: u64,
    /// It lets go of what every site knows to be gone.
    pub(super) reclaims: bool,
}

/// Name of the site with this number.
pub(super) fn name(site_id: u64) -> String {
    format!("site-{site_id}")
}

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It must not be as it is: the history is over.
    Violation(String),
    /// The engine refused: what a disk caused is tried again.
    Failed(ReplError),
}

impl From<String> for Trouble {
    fn from(fault: String) -> Self {
        Self::Violation(fault)
    }
}

impl From<ReplError> for Trouble {
    fn from(error: ReplError) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(fault) => f.write_str(fault),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

pub(super) type Tried<T = ()> = std::result::Result<T, Trouble>;

impl Site {
    pub(super) fn new(at: usize, count: usize, seed: u64, now_us: u64) -> Self {
        let numbers = (1..=count as u64).filter(|id| *id != at as u64 + 1);
        Self {
            at,
            disk: FaultyDisk::new(seed),
            clock: ManualClock::at(now_us),
            engine: None,
            tree: Tree::default(),
            pending: VecDeque::new(),
            round: None,
            in_doubt: false,
            next_id: NOT_REPORTED,
            others: numbers.map(|id| (id, name(id))).collect(),
            losses: 0,
            reclaims: false,
        }
    }

    /// The journal that it writes.
    pub(super) const fn actor(&self) -> Actor {
        let tag = self.site_id() + 256 * self.losses;
        Actor::new(self.site_id(), tag << 48 | 7)
    }

    /// Another site takes part from here on, or does not yet.
    pub(super) fn set_other(&mut self, site_id: u64, is_there: bool) {
        let known = is_there.then(|| name(site_id));
        match &known {
            Some(name) => self.others.insert(site_id, name.clone()),
            None => self.others.remove(&site_id),
        };
        if let Some(engine) = &mut self.engine {
            engine.set_member(site_id, known);
        }
    }

    /// Its machine is gone with everything on it, and a new one stands in its place.
    pub(super) fn lose_disk(&mut self, seed: u64) {
        self.stop();
        self.disk = FaultyDisk::new(seed);
        self.tree = Tree::default();
        self.pending.clear();
        self.round = None;
        self.in_doubt = false;
        self.losses += 1;
    }

    pub(super) const fn site_id(&self) -> u64 {
        self.at as u64 + 1
    }

    pub(super) const fn runs(&self) -> bool {
        self.engine.is_some()
    }

    /// Whether there is nothing that the engine does not know.
    pub(super) fn is_reported(&self) -> bool {
        self.pending.is_empty() && self.round.is_none()
    }

    /// Starts it on what its disk holds.
    pub(super) fn start(&mut self) -> Result<()> {
        let mut log = LogOptions::default();
        (log.segment_bytes, log.checkpoint_bytes) = (SEGMENT_BYTES, CHECKPOINT_BYTES);
        let engine = Engine::open(EngineConfig {
            dir: "/".into(),
            disk: self.disk.shared(),
            clock: self.clock.clone(),
            log,
            site_id: self.site_id(),
            incarnation: self.actor().incarnation,
            applies: true,
            sends: true,
            retention: Retention {
                members: self.others.clone(),
                // Nothing is kept for sites that are still to come.
                keep_bytes: 0,
                ..Retention::default()
            },
            accept_clock: false,
            reclaim: self.reclaims.then_some(Reclaim {
                said_every: Duration::ZERO,
                walked_every: Duration::ZERO,
            }),
        })?;
        self.engine = Some(engine);
        Ok(())
    }

    /// Ends as if killed. What it did with its disk stays.
    pub(super) fn stop(&mut self) {
        if let Some(mut engine) = self.engine.take() {
            engine.forget();
        }
        self.in_doubt = true;
        for done in &mut self.pending {
            // It is found by a look at the whole tree, some time after it was done.
            for op in &mut done.txn.ops {
                if is_back_dated(&op.change) {
                    op.back_date_us = Some(done.at_us);
                }
            }
        }
    }

    /// Runs `work` on the engine. After an error nothing is known of what was under way.
    pub(super) fn engine<T>(&mut self, work: impl FnOnce(&mut Engine) -> Result<T>) -> Result<T> {
        let engine = self.engine.as_mut().expect("the site runs");
        let result = work(engine);
        self.in_doubt |= result.is_err();
        result
    }

    /// The user does something. Whether there was anything to do.
    pub(super) fn act(&mut self, rng: &mut Rng, value: &mut u64, theme: Theme) -> Check<bool> {
        let is_first = self.at == 0;
        let mut desk = Desk {
            pending: &mut self.pending,
            next_id: &mut self.next_id,
            fresh: Vec::new(),
            at_us: self.clock.now_us(),
        };
        let mut user = User {
            tree: &mut self.tree,
            rng,
            value,
            theme,
            is_first,
            to: &mut desk,
        };
        user.act()
    }

    /// Reports what the user did.
    pub(super) fn report(&mut self, book: &mut Book) -> Tried {
        self.catch_up(book)?;
        while let Some(first) = self.pending.front().cloned() {
            for id in first.fresh {
                let given = self.engine(Engine::mint)?;
                self.rename(id, given);
            }
            let is_only = self.pending.len() == 1;
            let settled = is_only && self.engine(|e| e.work(usize::MAX))?.is_empty();
            let txn = self.pending.front().expect("it is there").txn.clone();
            self.engine(|e| e.submit(&[txn]))?;
            self.observe(book)?;
            if settled {
                self.check_fidelity()?;
            }
        }
        let now_us = self.clock.now_us();
        self.engine(|e| e.observed_through(now_us))?;
        Ok(())
    }

    /// Completes what a stop or a failure left.
    fn catch_up(&mut self, book: &mut Book) -> Tried {
        if let Some(round) = self.round.clone() {
            self.engine(|e| e.done(round))?;
            self.round = None;
        }
        if !self.in_doubt {
            return Ok(());
        }
        self.observe(book)?;
        // What was not journaled gets new ids: those that the engine gave out before may not be known to it any more.
        let fresh: Vec<u64> = self.pending.iter().flat_map(|d| d.fresh.clone()).collect();
        for id in fresh.into_iter().filter(|id| *id < NOT_REPORTED) {
            self.next_id += 1;
            self.rename(id, self.next_id);
        }
        self.in_doubt = false;
        Ok(())
    }

    fn rename(&mut self, old: u64, new: u64) {
        let rename = |id: &mut u64| {
            if *id == old {
                *id = new;
            }
        };
        for done in &mut self.pending {
            done.fresh.iter_mut().for_each(rename);
            for op in &mut done.txn.ops {
                rename(&mut op.inode);
                rename(&mut op.link);
                if let Some(place) = place_of(&mut op.change) {
                    rename(&mut place.parent);
                }
            }
            if let Some(value) = done.contents.remove(&old) {
                done.contents.insert(new, value);
            }
        }
        self.tree.rename(old, new);
    }

    /// Takes down what is durable in the journal since the last time; the first of `pending` is, if anything is.
    pub(super) fn observe(&mut self, book: &mut Book) -> Tried {
        let cursors = book.journaled(self.at);
        let (mut reader, _) = self.engine(|e| e.batches(cursors))?;
        let contents = self.pending.front().map(|done| done.contents.clone());
        let contents = contents.unwrap_or_default();
        let mut any = false;
        loop {
            let next = reader.next_frame(1 << 20, 1_000);
            self.in_doubt |= next.is_err();
            let Some((batches, _)) = next? else { break };
            any |= book.note(self.at, &batches, &contents)?;
        }
        if any {
            if self.pending.pop_front().is_none() {
                let at = self.at;
                return Err(format!("site {at} journaled what its user did not do").into());
            }
            self.tree.date_contents(&|value| book.write_of(value));
        }
        Ok(())
    }

    /// After an operation at a site whose filesystem showed everything that its engine knew, the engine wants nothing
    /// changed.
    fn check_fidelity(&mut self) -> Tried {
        let images = self.engine(|e| e.work(usize::MAX))?;
        let told = self.tree.told(&shown_of(&images));
        let told = told.map_err(|fault| format!("site {} is told that {fault}", self.at))?;
        if told.looks_like(&self.tree) {
            return Ok(());
        }
        Err(format!(
            "fidelity: the user of site {} saw\n{}and is told to see\n{}",
            self.at,
            self.tree.print(),
            told.print()
        )
        .into())
    }

    /// Brings the filesystem nearer to what the engine says: at most `limit` inodes. `stops` ends it as a kill would,
    /// between the filesystem and the report.
    pub(super) fn apply(&mut self, book: &mut Book, limit: usize, stops: bool) -> Tried<usize> {
        self.report(book)?;
        self.engine(Engine::retry_parked)?;
        let mut images = self.engine(|e| e.work(limit))?;
        let mut told = self.tree.told(&shown_of(&images));
        if told.is_err() {
            // A part may not be a filesystem by itself: two files that change names. The whole is.
            images = self.engine(|e| e.work(usize::MAX))?;
            told = self.tree.told(&shown_of(&images));
        }
        let told = told.map_err(|fault| format!("site {} is told that {fault}", self.at))?;
        for image in &images {
            book.displace(self.at, image.inode, &self.tree, &told);
        }
        let count = images.len();
        let applied = |image: Image| (image, Outcome::Applied);
        let round = Round {
            outcomes: images.into_iter().map(applied).collect(),
            ..Round::default()
        };
        self.tree = told;
        if count > 0 {
            self.round = Some(round);
        }
        if stops {
            self.stop();
            return Ok(count);
        }
        if let Some(round) = self.round.clone() {
            self.engine(|e| e.done(round))?;
            self.round = None;
        }
        Ok(count)
    }
}

/// What a scan after downtime dates back: never a place.
const fn is_back_dated(change: &Change) -> bool {
    matches!(
        change,
        Change::Write { .. }
            | Change::Truncate { .. }
            | Change::SetAttr { .. }
            | Change::SetXattr { .. }
            | Change::RemoveXattr { .. }
    )
}

fn place_of(change: &mut Change) -> Option<&mut claudefs_repl::journal::op::Place> {
    if let Change::Create { place, .. }
    | Change::MkDir { place, .. }
    | Change::Symlink { place, .. }
    | Change::Link { place }
    | Change::Unlink { place, .. }
    | Change::Rename {
        place: Some(place), ..
    } = change
    {
        return Some(place);
    }
    None
}

/// Where the user's operations go: they wait until the site reports them.
struct Desk<'a> {
    pending: &'a mut VecDeque<Done>,
    next_id: &'a mut u64,
    fresh: Vec<u64>,
    at_us: u64,
}

impl Reports for Desk<'_> {
    fn mint(&mut self) -> u64 {
        *self.next_id += 1;
        self.fresh.push(*self.next_id);
        *self.next_id
    }

    fn now_us(&self) -> u64 {
        self.at_us
    }

    fn report(&mut self, tree: &Tree, txn: LocalTxn) -> Check<Dot> {
        let of_file = |inode: u64| Some((inode, tree.get(inode)?.values.content?.1));
        let contents = tree.inodes().into_iter().filter_map(of_file).collect();
        let uses = |id: &u64| {
            let is = |op: &LocalOp| op.inode == *id || op.link == *id;
            txn.ops.iter().any(is)
        };
        let (fresh, rest) = self.fresh.iter().partition(|id| uses(id));
        self.fresh = rest;
        self.pending.push_back(Done {
            txn,
            fresh,
            contents,
            at_us: self.at_us,
        });
        Ok(UNKNOWN)
    }
}
