//! When the state is written out, with the log positions that it was made from.

use std::time::Duration;

use super::upkeep::Synced;
use super::{EngineConfig, Opened, open, time};
use crate::error::Result;
use crate::failpoint;

/// Uncommitted state is written out at this size, or after this time, whichever comes first.
const COMMIT_BYTES: usize = 4 << 20;
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// The same while nothing changes but the time: a disk may rest.
pub(super) const IDLE_COMMIT_EVERY: Duration = Duration::from_secs(60);

impl Opened {
    pub(super) fn commit_if_large(&mut self) -> Result<()> {
        if self.core.state().pending_bytes() < COMMIT_BYTES {
            return Ok(());
        }
        self.commit_positions()
    }

    pub(super) fn commit(&mut self, config: &EngineConfig) -> Result<()> {
        self.committed_at = config.clock.monotonic();
        self.commit_positions()
    }

    /// How long the state may wait to be written out.
    pub(super) fn commit_every(&self) -> Result<Duration> {
        let store = self.core.state();
        let is_idle = store.is_clean()
            && self.minter.next() == store.number(open::MINTED_KEY)?
            && self.synced == self.positions();
        Ok(if is_idle {
            IDLE_COMMIT_EVERY
        } else {
            COMMIT_EVERY
        })
    }

    /// Up to where the state was made from the logs.
    fn positions(&self) -> Synced {
        let logs = self.received.iter();
        Synced {
            journal: self.journal.durable().position,
            received: logs
                .map(|(actor, log)| (*actor, log.durable().position))
                .collect(),
        }
    }

    fn commit_positions(&mut self) -> Result<()> {
        let positions = self.positions();
        let (next, hlc) = (self.minter.next(), self.core.clock().last_us());
        let store = self.core.state_mut();
        store.set_number(open::JOURNAL_KEY, positions.journal);
        store.set_number(open::MINTED_KEY, next);
        store.set_number(open::HLC_KEY, hlc);
        time::keep(store, &self.wall)?;
        for (actor, position) in &positions.received {
            store.set_number(&open::received_key(*actor), *position);
        }
        failpoint::pass("commit");
        store.commit()?;
        failpoint::pass("committed");
        self.synced = positions;
        Ok(())
    }
}
