//! A tree that had files before its site met the cluster, and is to become part of the cluster's.
//!
//! Until this site has what the others have, it only receives, and journals nothing. What stands where something
//! arrives is taken for it: a directory, a link with the same text, a file, whose bytes are on record as the loser of a
//! conflict before they are displaced, if they are others. What cannot be taken for it is renamed beside it
//! ([`super::concede`]). When nothing is left to be applied, what only this site has is journaled like anything new.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::concede::meet;
use super::connector::turn::Turns;
use super::connector::{Connector, ConnectorEvent};
use crate::error::Result;
use crate::sync::port::Image;

/// Tells a tree that its site has what the others have. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Filled(Arc<AtomicBool>);

impl Filled {
    /// It has.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// What became of what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Matched {
    /// Objects that were taken for what arrived.
    pub taken: u64,
    /// Files among them that had other bytes.
    pub differed: u64,
    /// Objects that were renamed, because something else arrived in their place.
    pub renamed: u64,
}

impl Connector {
    /// Whether local changes are only counted for now.
    pub(super) const fn only_receives(&self) -> bool {
        self.options.receive_only || self.options.matches.is_some()
    }

    /// The next images, after what stands in their way was taken for them or gave way.
    pub(super) fn matched_work(&mut self, limit: usize) -> Result<Vec<Image>> {
        let images = self.engine.work(limit)?;
        if self.options.matches.is_none() {
            return Ok(images);
        }
        let now_us = self.clock.now_us();
        let met = meet(&mut *self.engine, &self.root, now_us, &images)?;
        if met == Matched::default() {
            return Ok(images);
        }
        self.matched.taken += met.taken;
        self.matched.differed += met.differed;
        self.matched.renamed += met.renamed;
        self.engine.work(limit)
    }

    /// Begins to journal what only this site has, once everything that the others have was applied.
    pub(super) fn ends_matching(
        &mut self,
        turns: &mut Turns,
        tell: &mut dyn FnMut(ConnectorEvent),
    ) -> Result<bool> {
        let is_filled = self.options.matches.as_ref().is_some_and(Filled::is_set);
        if !is_filled || !self.stuck.is_empty() || !self.engine.work(1)?.is_empty() {
            return Ok(false);
        }
        self.options.matches = None;
        turns.look_at_all(self.clock.monotonic());
        tell(ConnectorEvent::Matched(self.matched));
        Ok(true)
    }
}
