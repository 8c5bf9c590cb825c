//! When a site says up to where its tree shows what all wrote, and when it lets go of what is only remembered.
//!
//! What is said binds: whatever this site writes behind it has seen all of that, and it writes nothing more to what was
//! gone by then. So it is said in two steps. First it is noted how far everything is, and from then on a file that comes
//! back to the tree after it was gone is a new one. When all of that is on the tree, and the connector has reported what
//! it had found before, so that nothing older is under way to the journal, it is said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{EngineConfig, Opened};
use crate::error::Result;
use crate::journal::dot::{Actor, LwwKey};
use crate::journal::op::{Change, FileTime, Horizon};
use crate::sync::conflict::ConflictId;
use crate::sync::reclaim::Cut;
use crate::sync::state::State;

/// When this site began to note when directories changed.
const SINCE_KEY: &str = "reclaim/since";
/// Set once a snapshot of another site was merged.
const SNAPSHOT_KEY: &str = "reclaim/snapshot";
/// How much is looked at in one go: ten milliseconds or so, once a second.
const PIECE: usize = 1_024;
/// The same of moves, which are few, and of which each piece looks at all later ones.
const MOVES: usize = 16_384;

/// What is only remembered is let go when everybody knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reclaim {
    /// How often a site says how far it is, at most; and only while there is news.
    pub said_every: Duration,
    /// How often everything is walked over, at most; and only while there is news.
    pub walked_every: Duration,
}

impl Default for Reclaim {
    fn default() -> Self {
        Self {
            said_every: Duration::from_secs(60),
            walked_every: Duration::from_secs(3_600),
        }
    }
}

/// How far that is.
#[derive(Debug, Default)]
pub(super) struct Reclaiming {
    /// What is to be said.
    promise: Option<Promise>,
    /// What was gone by then is not written to any more.
    promised_us: u64,
    /// When it was said last.
    said_at: Option<Duration>,
    /// How often the connector has reported all that it had found.
    reports: u64,
    walk: Option<Walk>,
    /// Up to where the last walk let things go, and when it began.
    walked: Option<(u64, Duration)>,
    /// Inodes, names, attributes and moves that were let go since this was opened.
    pub(super) freed: u64,
}

#[derive(Debug)]
struct Promise {
    /// Reports before it was noted.
    reports: u64,
    said: Horizon,
    /// All entries that it is about.
    reach: BTreeMap<(Actor, u32), u64>,
}

/// Where a walk is.
#[derive(Debug)]
enum At {
    Conflicts(ConflictId),
    Moves(LwwKey),
    Nodes(u64),
}

#[derive(Debug)]
struct Walk {
    cut: Cut,
    at: At,
    /// Inodes, names and attributes; and moves.
    freed: (u64, u64),
    /// When it began.
    began: Duration,
}

impl Opened {
    /// Goes on with what was promised before.
    pub(super) fn begin_reclaiming(&mut self, config: &EngineConfig) -> Result<()> {
        let own = self.journal.actor();
        let said = self.core.state().horizon(own)?;
        self.reclaiming.promised_us = said.map_or(0, |(_, said)| said.through_us);
        if config.reclaim.is_some() && self.core.state().number(SINCE_KEY)? == 0 {
            let newest_us = self.core.written_us().max(1);
            self.core.state_mut().set_number(SINCE_KEY, newest_us);
        }
        Ok(())
    }

    /// The inode behind a file, unless that is gone for good: then the file is a new one.
    pub(super) fn bound(&self, ino: u64, btime: FileTime) -> Result<Option<u64>> {
        let promised_us = self.reclaiming.promised_us;
        let bound = self.core.state().inode_of(ino, btime)?;
        let Some(inode) = bound.filter(|_| promised_us > 0) else {
            return Ok(bound);
        };
        let is_gone = self.core.is_gone(inode, promised_us)?;
        Ok(bound.filter(|_| !is_gone))
    }

    /// The journals of others that go on.
    fn live(&self, out: &BTreeSet<Actor>) -> BTreeSet<Actor> {
        let own = self.journal.actor();
        let heard = self.members.iter();
        let heard = heard.map(|(site_id, tracked)| Actor::new(*site_id, tracked.incarnation));
        let heard = heard.filter(|actor| actor.incarnation != 0);
        let known = self.received.keys().chain(self.marks.keys()).copied();
        let all = known.chain(heard);
        all.filter(|actor| *actor != own && !out.contains(actor))
            .collect()
    }

    /// Says how far this site is, when there is news.
    pub(super) fn tend_horizon(&mut self, config: &EngineConfig) -> Result<()> {
        let Some(reclaim) = config.reclaim else {
            return Ok(());
        };
        let (out, own) = (self.out()?, self.journal.actor());
        let is_changing = self.core.state().takeover()?.is_some() || self.is_matching()?;
        if is_changing || out.contains(&own) {
            self.reclaiming.promise = None;
            return Ok(());
        }
        let live = self.live(&out);
        let Some(promise) = self.reclaiming.promise.take() else {
            return self.promise(config, reclaim, &live, &out);
        };
        // Somebody may have come meanwhile, or ended, of whom it says nothing.
        let through_us = promise.said.through_us;
        if self.core.horizon(through_us, &live, &out)?.as_ref() != Some(&promise.said) {
            return Ok(());
        }
        let is_kept = self.reclaiming.reports > promise.reports
            && !self.waiting.owes(&promise.reach)
            && !self.is_due(through_us)?;
        if !is_kept {
            self.reclaiming.promise = Some(promise);
            return Ok(());
        }
        self.reclaiming.said_at = Some(config.clock.monotonic());
        let now_us = self.stamping_us(config);
        let change = Change::Horizon(promise.said);
        let authored = self.core.author_control(change, now_us)?;
        self.journal_all(vec![authored])
    }

    /// Whether the tree shows something otherwise than it should because of what is stamped up to there: also where no
    /// entry waits for it, such as a directory that goes because what was in it went.
    fn is_due(&self, through_us: u64) -> Result<bool> {
        let state = self.core.state();
        let first = state.dirty_after(None, 1)?;
        if first
            .first()
            .is_some_and(|(order_us, _)| *order_us <= through_us)
        {
            return Ok(true);
        }
        for (inode, _) in state.all_parked()? {
            let node = state.node(inode)?.unwrap_or_default();
            if node.hlc_max_us <= through_us {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was noted of directories before a snapshot was merged says nothing of what came with it.
    pub(super) fn note_snapshot(&mut self) -> Result<()> {
        let newest_us = self.core.written_us().max(1);
        let store = self.core.state_mut();
        store.set_number(SNAPSHOT_KEY, 1);
        if store.number(SINCE_KEY)? != 0 {
            store.set_number(SINCE_KEY, newest_us);
        }
        Ok(())
    }

    /// Whoever is filled by entries alone may get one without the removal that ended it: this site lets things go, or
    /// has its own state of one that may have.
    pub(super) fn may_lack_removals(&self) -> Result<bool> {
        let state = self.core.state();
        let has_said = state.horizon(self.journal.actor())?.is_some();
        Ok(has_said || state.number(SNAPSHOT_KEY)? != 0)
    }

    /// The connector has reported all that it had found.
    pub(super) const fn reported(&mut self) {
        self.reclaiming.reports += 1;
    }

    #[cfg(test)]
    pub(super) const fn promises(&self) -> bool {
        self.reclaiming.promise.is_some()
    }

    /// What was noted may not be all any more: something came another way than by entries.
    pub(super) fn forget_promise(&mut self) {
        self.reclaiming.promise = None;
    }

    /// Notes how far everything is, if that is news.
    fn promise(
        &mut self,
        config: &EngineConfig,
        reclaim: Reclaim,
        live: &BTreeSet<Actor>,
        out: &BTreeSet<Actor>,
    ) -> Result<()> {
        let now = config.clock.monotonic();
        let is_early =
            (self.reclaiming.said_at).is_some_and(|at| now.saturating_sub(at) < reclaim.said_every);
        if live.is_empty() || is_early {
            return Ok(());
        }
        let marks = live.iter().map(|actor| self.marks.get(actor).copied());
        let reached_us = marks.map(Option::unwrap_or_default).min().unwrap_or(0);
        let through_us = reached_us.min(self.core.clock().last_us());
        let said = self.core.state().horizon(self.journal.actor())?;
        let said_us = said.map_or(0, |(_, said)| said.through_us);
        if said_us >= self.core.written_us() || through_us <= said_us {
            return Ok(());
        }
        let Some(said) = self.core.horizon(through_us, live, out)? else {
            tracing::warn!("nothing is let go: too many journals are known");
            self.reclaiming.said_at = Some(now);
            return Ok(());
        };
        let mut reach = BTreeMap::new();
        for (actor, log) in &self.received {
            for stream in log.cursors().into_keys() {
                let merged = self.core.state().cursor(*actor, stream)?;
                reach.insert((*actor, stream), merged);
            }
        }
        self.reclaiming.promised_us = self.reclaiming.promised_us.max(through_us);
        self.reclaiming.promise = Some(Promise {
            reports: self.reclaiming.reports,
            said,
            reach,
        });
        Ok(())
    }

    /// Lets go of a piece of what is only remembered, when there is some.
    pub(super) fn walk(&mut self, config: &EngineConfig) -> Result<()> {
        let Some(reclaim) = config.reclaim else {
            return Ok(());
        };
        if self.core.state().takeover()?.is_some() {
            self.reclaiming.walk = None;
            return Ok(());
        }
        let walk = match self.reclaiming.walk.take() {
            Some(walk) => walk,
            None => match self.begin_walk(config, reclaim)? {
                Some(walk) => walk,
                None => return Ok(()),
            },
        };
        self.reclaiming.walk = self.walk_on(walk)?;
        Ok(())
    }

    fn begin_walk(&mut self, config: &EngineConfig, reclaim: Reclaim) -> Result<Option<Walk>> {
        let now = config.clock.monotonic();
        let walked = self.reclaiming.walked;
        let is_early = walked.is_some_and(|(walked_us, at)| {
            let is_all = walked_us >= self.core.written_us();
            is_all || now.saturating_sub(at) < reclaim.walked_every
        });
        if is_early {
            return Ok(None);
        }
        let out = self.out()?;
        let live = self.live(&out).into_iter();
        let live = live.map(|actor| (actor, self.marks.get(&actor).copied().unwrap_or(0)));
        let stable_us = self.core.stable_us(&live.collect(), &out)?;
        let walked_us = walked.map_or(0, |(us, _)| us);
        let Some(stable_us) = stable_us.filter(|stable_us| *stable_us > walked_us) else {
            return Ok(None);
        };
        Ok(Some(Walk {
            cut: Cut {
                stable_us,
                since_us: self.core.state().number(SINCE_KEY)?,
                kept: BTreeSet::new(),
            },
            at: At::Conflicts(ConflictId::default()),
            freed: (0, 0),
            began: now,
        }))
    }

    /// One piece of a walk. None: it is over.
    fn walk_on(&mut self, mut walk: Walk) -> Result<Option<Walk>> {
        walk.at = match walk.at {
            At::Conflicts(from) => {
                let next = self.core.keep_above(from, PIECE, &mut walk.cut.kept)?;
                next.map_or(At::Moves(LwwKey::default()), At::Conflicts)
            }
            At::Moves(after) => {
                let walked = self.core.reclaim_moves(&walk.cut, after, MOVES)?;
                walk.freed.1 += walked.freed;
                self.reclaiming.freed += walked.freed;
                walked.next.map_or(At::Nodes(0), At::Moves)
            }
            At::Nodes(after) => {
                let walked = self.core.reclaim_nodes(&walk.cut, after, PIECE)?;
                walk.freed.0 += walked.freed;
                self.reclaiming.freed += walked.freed;
                let Some(next) = walked.next else {
                    self.reclaiming.walked = Some((walk.cut.stable_us, walk.began));
                    let (removed, moves) = walk.freed;
                    if walk.freed != (0, 0) {
                        tracing::info!(removed, moves, "let go of what everybody knows to be gone");
                    }
                    return Ok(None);
                };
                At::Nodes(next)
            }
        };
        Ok(Some(walk))
    }
}
