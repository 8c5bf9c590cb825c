//! Sites that say how far they are, and let go of what everybody knows to be gone.

use std::collections::BTreeSet;

use claudefs_repl::journal::dot::{Actor, CONTROL_STREAM, LwwKey};
use claudefs_repl::journal::op::Change;
use claudefs_repl::sync::conflict::ConflictId;
use claudefs_repl::sync::core::Core;
use claudefs_repl::sync::reclaim::Cut;
use claudefs_repl::sync::state::{MemState, State};

use super::{Reclaims, World};
use crate::judge::oracle::Tree;
use crate::judge::told::shown_of;
use crate::judge::{Check, shuffle};

impl World {
    /// By chance a site says how far it is, or lets go of something; and now and then there is a lull, in which most of
    /// what is under way arrives.
    pub(super) fn tidy(&mut self, at: usize) -> Check {
        if self.rng.one_in(3) {
            self.say(at);
        }
        if self.rng.one_in(3) {
            self.let_go(at);
        }
        if !self.rng.one_in(12) {
            return Ok(());
        }
        let count = self.sites.len();
        for to in 0..count {
            for from in (0..count).filter(|from| *from != to) {
                for stream in self.streams() {
                    if !self.rng.one_in(8) {
                        self.deliver(from, to, stream, true)?;
                    }
                }
            }
            if !self.rng.one_in(4) && !self.sites[to].is_half() {
                self.apply(to, true)?;
                self.say(to);
            }
        }
        Ok(())
    }

    /// A site whose filesystem shows all that it knows says so.
    fn say(&mut self, at: usize) {
        let marks = self.marks(at);
        let now_us = self.clock(at);
        let site = &mut self.sites[at];
        if site.is_half() || !site.core.work(usize::MAX).unwrap().is_empty() {
            return;
        }
        let last_us = site.core.clock().last_us();
        let through_us = marks.values().copied().min().unwrap_or(0).min(last_us);
        let live = marks.into_keys().collect();
        let said = site.core.horizon(through_us, &live, &BTreeSet::new());
        let change = Change::Horizon(said.unwrap().unwrap());
        let authored = site.core.author_control(change, now_us).unwrap();
        let control = site.journal.entry(CONTROL_STREAM).or_default();
        for (entry, seen) in authored.entries.into_iter().zip(authored.seen) {
            site.seen_hlc_us = entry.hlc_us;
            control.push((entry, seen));
        }
    }

    fn let_go(&mut self, at: usize) {
        let Some(cut) = self.cut(at) else { return };
        let (core, all) = (&mut self.sites[at].core, usize::MAX - 1);
        let moves = core.reclaim_moves(&cut, LwwKey::default(), all).unwrap();
        let nodes = core.reclaim_nodes(&cut, 0, all).unwrap();
        self.freed += moves.freed + nodes.freed;
    }

    /// Up to where a site may let go.
    fn cut(&mut self, at: usize) -> Option<Cut> {
        if self.sites[at].is_half() {
            return None;
        }
        let mut marks = self.marks(at);
        match self.plan.reclaims {
            Reclaims::Never => return None,
            Reclaims::InStreams => {}
            Reclaims::InOneStream => marks.values_mut().for_each(|mark| *mark = u64::MAX),
            Reclaims::Beside => {
                for from in (0..self.sites.len()).filter(|from| *from != at) {
                    let other = &self.sites[from].core;
                    let said = other.state().horizon(other.local()).unwrap();
                    let (actor, state) = (other.local(), self.sites[at].core.state_mut());
                    if let Some((hlc_us, said)) = said {
                        state.set_horizon(actor, hlc_us, &said).unwrap();
                    }
                }
                marks.values_mut().for_each(|mark| *mark = u64::MAX);
            }
        }
        let core = &mut self.sites[at].core;
        let stable_us = core.stable_us(&marks, &BTreeSet::new()).unwrap()?;
        let mut cut = Cut {
            stable_us,
            ..Cut::default()
        };
        let next = core.keep_above(ConflictId::default(), usize::MAX - 1, &mut cut.kept);
        assert_eq!(next.unwrap(), None);
        Some(cut)
    }

    /// The same in pieces; whoever comes in between begins with what is there then.
    fn let_go_piecewise(&mut self, at: usize) -> Check {
        let Some(cut) = self.cut(at) else {
            return Ok(());
        };
        let mut after = Some(LwwKey::default());
        while let Some(from) = after {
            let limit = 1 + self.rng.index(3);
            let core = &mut self.sites[at].core;
            let moves = core.reclaim_moves(&cut, from, limit).unwrap();
            (self.freed, after) = (self.freed + moves.freed, moves.next);
            self.newcomer(at)?;
        }
        let mut after = Some(0);
        while let Some(from) = after {
            let limit = 1 + self.rng.index(5);
            let core = &mut self.sites[at].core;
            let nodes = core.reclaim_nodes(&cut, from, limit).unwrap();
            (self.freed, after) = (self.freed + nodes.freed, nodes.next);
            self.newcomer(at)?;
        }
        Ok(())
    }

    /// A site that only knows what the site `at` knows shows what that shows.
    fn newcomer(&mut self, at: usize) -> Check {
        let mut known = self.sites[at].core.state().known();
        shuffle(&mut self.rng, &mut known);
        let mut core = Core::new(Actor::new(9, 7), MemState::default(), 0);
        for one in known {
            core.level(one, self.now_us).unwrap();
        }
        let images = core.work(usize::MAX).unwrap();
        let told = Tree::default().told(&shown_of(&images));
        let told = told.map_err(|fault| format!("a newcomer is told that {fault}"))?;
        if told.looks_like(&self.sites[at].tree) {
            return Ok(());
        }
        Err(format!(
            "a newcomer is told to see\n{}and site {at} shows\n{}",
            told.print(),
            self.sites[at].tree.print()
        ))
    }

    /// At rest everybody says so, and lets go of everything: nothing is shown otherwise.
    pub(super) fn let_go_of_all(&mut self) -> Check {
        for at in 0..self.sites.len() {
            self.now_us += 1;
            self.say(at);
        }
        for to in 0..self.sites.len() {
            for from in (0..self.sites.len()).filter(|from| *from != to) {
                self.deliver(from, to, CONTROL_STREAM, true)?;
            }
        }
        for at in 0..self.sites.len() {
            let before = self.sites[at].tree.clone();
            let conflicts = self.open_conflicts(at);
            self.let_go_piecewise(at)?;
            let core = &mut self.sites[at].core;
            for inode in core.state().inodes() {
                core.state_mut().set_dirty(inode, Some(0)).unwrap();
                core.state_mut().set_suspect(inode, Some(0)).unwrap();
            }
            core.settle(u64::MAX, self.now_us).unwrap();
            self.apply(at, true)?;
            if !self.sites[at].tree.looks_like(&before) {
                return Err(format!("site {at} shows something else after it let go"));
            }
            self.newcomer(at)?;
            let after = self.open_conflicts(at);
            if after != conflicts {
                return Err(format!(
                    "site {at} told of other conflicts before it let go\n{conflicts:#?}\n{after:#?}"
                ));
            }
        }
        Ok(())
    }
}
