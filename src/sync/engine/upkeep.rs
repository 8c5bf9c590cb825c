//! Lets go of what nobody needs any more, and fences who would make the journal grow without end.
//!
//! Nothing is dropped silently: a segment goes when the synced state and every member are past it, and a member that
//! stops being waited for is named in the control stream and in the log before anything goes that it needs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::members::FenceCause;
use super::{EngineConfig, Opened};
use crate::error::Result;
use crate::journal::dot::Actor;
use crate::journal::op::MemberState;

/// How often it is looked at. Trimming goes by whole segments, so sooner would find nothing.
pub(super) const UPKEEP_EVERY: Duration = Duration::from_secs(10);
/// The most that one look adds to a member's absence: while this process stood still, it heard nobody either.
const ABSENCE_STEP_MAX: Duration = Duration::from_secs(60);

/// Log positions up to which the state on disk was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Synced {
    pub(super) journal: u64,
    pub(super) received: BTreeMap<Actor, u64>,
}

impl Opened {
    /// Looks after the logs when it is due.
    pub(super) fn upkeep(&mut self, config: &EngineConfig) -> Result<()> {
        self.walk(config)?;
        let now = config.clock.monotonic();
        let passed = now.saturating_sub(self.upkept_at);
        if passed < UPKEEP_EVERY {
            return Ok(());
        }
        self.upkept_at = now;
        self.age_members(config, passed.min(ABSENCE_STEP_MAX));
        self.fence_overdue(config)?;
        self.tend_takeover(config)?;
        self.tend_horizon(config)?;
        self.trim_journal(config)?;
        self.trim_received()
    }

    /// Fences the members that were away for too long or hold back too much.
    fn fence_overdue(&mut self, config: &EngineConfig) -> Result<()> {
        for (site_id, cause) in self.overdue(config)? {
            let name = config.retention.members.get(&site_id);
            let name = name.cloned().unwrap_or_default();
            let incarnation = self.members.get(&site_id).map_or(0, |t| t.incarnation);
            let actor = Actor::new(site_id, incarnation);
            match self.decide(config, actor, &name, MemberState::Fenced) {
                Ok(()) => self.note_cause(actor, cause),
                Err(error) if error.is_disk_full() => {
                    tracing::warn!(site = name, %error, "not fenced yet, for want of room");
                    continue;
                }
                Err(error) => return Err(error),
            }
            self.commit(config)?;
            let epoch = self.epoch()?;
            tracing::error!(
                site = name,
                journal = %actor,
                ?cause,
                epoch,
                "fenced: the journal is no longer kept for this site, and its entries are refused; \
                 how it comes back: cfs-repl help join"
            );
        }
        Ok(())
    }

    fn overdue(&mut self, config: &EngineConfig) -> Result<Vec<(u64, FenceCause)>> {
        let holders = self.holders(config)?;
        let budget = config.retention.budget_bytes;
        let report = self.journal.survey(&holders, self.synced.journal, budget);
        self.pins = report.pins;
        let pinned = |site_id: u64| {
            let pin = self.pins.iter().find(|pin| pin.site_id == site_id);
            pin.map_or(0, |pin| pin.bytes)
        };
        let mut overdue = Vec::new();
        for site_id in holders.keys() {
            let tracked = self.members.get(site_id);
            // One that never came had nothing that could grow old.
            let unheard = tracked
                .filter(|tracked| tracked.incarnation != 0)
                .map_or(Duration::ZERO, |tracked| tracked.unheard);
            let pinned_bytes = pinned(*site_id);
            if pinned_bytes > budget {
                overdue.push((*site_id, FenceCause::Budget { pinned_bytes }));
            } else if unheard > config.retention.max_absence {
                overdue.push((*site_id, FenceCause::Absence { unheard }));
            }
        }
        Ok(overdue)
    }

    /// A journal that is whole stays so within `keep_bytes`, for sites that are still to come.
    fn trim_journal(&mut self, config: &EngineConfig) -> Result<()> {
        let retention = &config.retention;
        let room = retention.keep_bytes.min(retention.budget_bytes);
        if self.journal.start() == 0 && self.journal.bytes() <= room {
            return Ok(());
        }
        let holders = self.holders(config)?;
        let report = self
            .journal
            .trim(&holders, self.synced.journal, retention.budget_bytes)?;
        if report.segments > 0 {
            let (segments, freed_bytes, kept_bytes) =
                (report.segments, report.freed_bytes, report.kept_bytes);
            tracing::info!(segments, freed_bytes, kept_bytes, "trimmed journal");
        }
        self.pins = report.pins;
        Ok(())
    }

    /// Received entries are not sent on, so nobody but the own state needs their logs.
    fn trim_received(&mut self) -> Result<()> {
        for (actor, log) in &mut self.received {
            let merged = self.synced.received.get(actor).copied().unwrap_or(0);
            let report = log.trim(&BTreeMap::new(), merged, u64::MAX)?;
            if report.segments > 0 {
                let (segments, freed_bytes) = (report.segments, report.freed_bytes);
                tracing::info!(origin = %actor, segments, freed_bytes, "trimmed received log");
            }
        }
        Ok(())
    }
}
