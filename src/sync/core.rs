//! Pure: the owner of one site's merged state: what it is made of, and its small tools.
//!
//! The work is in the files beside this one: [`super::namespace`] keeps places, [`super::view`] derives what is
//! shown, [`super::merge`] takes entries in, [`super::author`] makes entries of local operations,
//! [`super::derived`] finds conflicts that follow from the state. Time is a parameter of every call that needs it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::hlc::{Hlc, MAX_AHEAD};
use super::node::Node;
use super::state::State;
use crate::error::Result;
use crate::journal::dot::{Actor, ROOT_INODE};

/// Rules that a test may switch off, to show that it would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Entries list the losers that they supersede.
    pub overrides: bool,
    /// A context does not claim versions that are merged but not applied.
    pub seen_exceptions: bool,
    /// A derived state becomes explicit when a local operation touches it.
    pub touch: bool,
    /// A move of a directory into itself is skipped.
    pub cycles: bool,
    /// Stamps are greater than all that was seen, whatever the wall clock says.
    pub causal_stamps: bool,
    /// Only bytes and attributes are dated back, never places.
    pub places_are_now: bool,
    /// A removed directory is remembered as long as somebody may put something into it.
    pub children_waited: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            overrides: true,
            seen_exceptions: true,
            touch: true,
            cycles: true,
            causal_stamps: true,
            places_are_now: true,
            children_waited: true,
        }
    }
}

/// The merged state of one site. One loop owns it.
#[derive(Debug)]
pub struct Core<S> {
    pub(super) state: S,
    pub(super) local: Actor,
    pub(super) clock: Hlc,
    pub(super) rules: Rules,
    pub(super) next_txn: u64,
    pub(super) settled: Vec<u64>,
    pub(super) held: BTreeSet<u64>,
    pub(super) written_us: u64,
}

impl<S: State> Core<S> {
    /// The core of the site `local` over `state`, its clock behind `last_hlc_us`.
    pub fn new(local: Actor, state: S, last_hlc_us: u64) -> Self {
        Self {
            state,
            local,
            clock: Hlc::new(last_hlc_us, MAX_AHEAD),
            rules: Rules::default(),
            next_txn: last_hlc_us.saturating_add(1),
            settled: Vec::new(),
            held: BTreeSet::new(),
            written_us: last_hlc_us,
        }
    }

    /// The same core with rules switched off.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// What the core knows.
    pub const fn state(&self) -> &S {
        &self.state
    }

    /// What the core knows, for its owner to commit or to bind devices.
    pub const fn state_mut(&mut self) -> &mut S {
        &mut self.state
    }

    /// The site's journal.
    pub const fn local(&self) -> Actor {
        self.local
    }

    /// The clock.
    pub const fn clock(&self) -> &Hlc {
        &self.clock
    }

    /// The clock, for its owner to take note of marks.
    pub const fn clock_mut(&mut self) -> &mut Hlc {
        &mut self.clock
    }

    /// Hybrid clock of the newest entry that concerns the tree, or what it was behind at the start.
    pub const fn written_us(&self) -> u64 {
        self.written_us
    }

    /// Inodes whose image the connector shows, since the last call.
    pub fn take_settled(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.settled)
    }

    /// The node, empty when it is not known.
    pub(super) fn load(&self, inode: u64) -> Result<Arc<Node>> {
        Ok(self.state.node(inode)?.unwrap_or_default())
    }

    /// The same, to be changed and set.
    pub(super) fn edit(&self, inode: u64) -> Result<Node> {
        self.load(inode).map(Arc::unwrap_or_clone)
    }

    /// Marks an inode: its image may have changed, and so may its derived conflicts.
    pub(super) fn touch(&mut self, inode: u64) -> Result<()> {
        if inode == ROOT_INODE {
            return Ok(());
        }
        let order = self.state.node(inode)?.map_or(0, |node| node.hlc_max_us);
        self.state.set_dirty(inode, Some(order))?;
        self.state.set_suspect(inode, Some(order))
    }
}
