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
use super::connector::{BATCH_IMAGES, Connector, ConnectorEvent};
use crate::error::Result;
use crate::sync::port::Image;

/// Images that are compared at one go: each may have to be read as a whole, and a stop waits for that.
const PIECE: usize = 64;

/// Tells a tree that its site has what the others have. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Filled(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    is_filled: AtomicBool,
    is_over: AtomicBool,
}

impl Filled {
    /// Whether it has.
    pub fn set(&self, is_filled: bool) {
        self.0.is_filled.store(is_filled, Ordering::SeqCst);
    }

    /// Whether the tree is part of the cluster's by now.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::SeqCst)
    }

    fn is_set(&self) -> bool {
        self.0.is_filled.load(Ordering::SeqCst)
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
    pub(super) fn next_images(&mut self) -> Result<Vec<Image>> {
        if self.options.matches.is_none() {
            return self.given_images(BATCH_IMAGES);
        }
        let images = self.given_images(PIECE)?;
        let now_us = self.clock.now_us();
        let tree = (&self.root, &self.options.policy);
        let met = meet(&mut *self.engine, tree, now_us, &images)?;
        if met == Matched::default() {
            return Ok(images);
        }
        self.matched.taken += met.taken;
        self.matched.differed += met.differed;
        self.matched.renamed += met.renamed;
        self.given_images(PIECE)
    }

    /// What the engine gives, but for what has to wait.
    fn given_images(&mut self, limit: usize) -> Result<Vec<Image>> {
        let mut images = self.engine.work(limit + self.stuck.len())?;
        self.stuck.only(&images);
        self.stuck.hold_back(&mut images, self.clock.monotonic());
        images.truncate(limit);
        Ok(images)
    }

    /// Begins to journal what only this site has, once everything that the others have was applied.
    pub(super) fn ends_matching(
        &mut self,
        turns: &mut Turns,
        tell: &mut dyn FnMut(ConnectorEvent),
    ) -> Result<bool> {
        let Some(filled) = self.options.matches.clone().filter(Filled::is_set) else {
            return Ok(false);
        };
        let has_work = !self.stuck.is_empty() || !self.engine.work(1)?.is_empty();
        if has_work || !self.engine.is_level()? {
            return Ok(false);
        }
        filled.0.is_over.store(true, Ordering::SeqCst);
        self.options.matches = None;
        turns.look_at_all(self.clock.monotonic());
        tell(ConnectorEvent::Matched(self.matched));
        Ok(true)
    }
}
