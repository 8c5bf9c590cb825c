//! Holds back what comes from a site that deletes suspiciously much, until an operator lets it go on.
//!
//! Judged before images are given out, over everything of the site that waits and what was applied of it within the
//! window: a deletion that arrives at once is held before the first file goes. Merging goes on. What is held is a
//! decision, not a fact of the logs: it is kept in the store, and a store that was lost judges again.

use std::collections::BTreeMap;

use super::{Engine, EngineConfig, Opened};
use crate::error::Result;
use crate::journal::dot::ROOT_INODE;
use crate::sync::brake::{BrakeRules, DeleteBrake, Held};
use crate::sync::port::{Image, NodeKind, Outcome};
use crate::sync::state::State;

/// What the engine keeps of the brake.
#[derive(Debug, Default)]
pub(super) struct Brake {
    rules: BrakeRules,
    recent: DeleteBrake,
    held: BTreeMap<u64, Held>,
    /// Deletions of a site up to this stamp are meant.
    approved_us: BTreeMap<u64, u64>,
    /// Files that are shown, and when they were counted.
    counted: Option<(u64, u64)>,
    is_loaded: bool,
}

impl Brake {
    fn load(&mut self, opened: &Opened) -> Result<()> {
        if self.is_loaded {
            return Ok(());
        }
        let store = opened.core.state();
        for actor in opened.received.keys() {
            let site_id = actor.site_id;
            let number = |what: &str| store.number(&key(what, site_id));
            let since_us = number("since")?;
            if since_us > 0 {
                let held = Held {
                    since_us,
                    removed: number("removed")?,
                    files: number("files")?,
                };
                self.held.insert(site_id, held);
            }
            self.approved_us.insert(site_id, number("approved")?);
        }
        self.is_loaded = true;
        Ok(())
    }

    fn counts(&self, site_id: u64, stamp_us: u64) -> bool {
        stamp_us > self.approved_us.get(&site_id).copied().unwrap_or(0)
    }
}

fn key(what: &str, site_id: u64) -> String {
    format!("brake/{what}/{site_id}")
}

impl Engine {
    /// The same engine with other rules for the brake.
    #[must_use]
    pub fn with_brake(mut self, rules: BrakeRules) -> Self {
        self.brake.rules = rules;
        self
    }

    /// Sites whose changes are held back, and why.
    ///
    /// # Errors
    /// When the state store fails.
    pub fn held(&mut self) -> Result<BTreeMap<u64, Held>> {
        self.braked(|brake, opened, _| {
            brake.load(opened)?;
            Ok(brake.held.clone())
        })
    }

    /// Lets a site go on: what it deleted up to now is meant. False: it was not held.
    ///
    /// # Errors
    /// When the state store fails.
    pub fn resume(&mut self, site_id: u64) -> Result<bool> {
        let changed = self.braked(|brake, opened, config| {
            brake.load(opened)?;
            if brake.held.remove(&site_id).is_none() {
                return Ok(false);
            }
            let now_us = config.clock.now_us().max(opened.core.clock().last_us());
            brake.approved_us.insert(site_id, now_us);
            brake.recent.forget(site_id);
            let store = opened.core.state_mut();
            store.set_number(&key("since", site_id), 0);
            store.set_number(&key("approved", site_id), now_us);
            opened.commit(config)?;
            Ok(true)
        })?;
        self.wake();
        Ok(changed)
    }

    /// Images to apply, and whether anything was found to be applied already.
    pub(super) fn braked_work(&mut self, limit: usize) -> Result<(Vec<Image>, bool)> {
        self.braked(|brake, opened, config| {
            brake.load(opened)?;
            if opened.is_taking_over()? {
                return Ok((Vec::new(), false));
            }
            let mut settled = false;
            loop {
                opened.core.set_held(brake.held.keys().copied().collect());
                let images = opened.core.work(limit)?;
                settled |= opened.take_settled();
                if !opened.pull(brake, config, &images)? {
                    return Ok((images, settled));
                }
            }
        })
    }

    /// Counts files whose removal was applied.
    pub(super) fn count_removals(&mut self, outcomes: &[(Image, Outcome)]) -> Result<()> {
        let gone = |(image, outcome): &&(Image, Outcome)| {
            image.links.is_empty() && *outcome == Outcome::Applied && image.kind != NodeKind::Dir
        };
        if !outcomes.iter().any(|one| gone(&one)) {
            return Ok(());
        }
        self.braked(|brake, opened, config| {
            let now_us = config.clock.now_us();
            for (image, _) in outcomes.iter().filter(gone) {
                if let Some((site_id, stamp_us)) = opened.core.removed_by(image.inode)?
                    && brake.counts(site_id, stamp_us)
                {
                    let rules = brake.rules;
                    brake.recent.removed(&rules, site_id, now_us, 1);
                }
            }
            Ok(())
        })
    }

    fn braked<T>(
        &mut self,
        work: impl FnOnce(&mut Brake, &mut Opened, &EngineConfig) -> Result<T>,
    ) -> Result<T> {
        // Out of the engine meanwhile: it outlives a state that has to be opened again.
        let mut brake = std::mem::take(&mut self.brake);
        let result = self.with(|opened, config| work(&mut brake, opened, config));
        self.brake = brake;
        result
    }
}

impl Opened {
    /// Pulls the brake when `images` are part of a mass deletion; true when a site was put on hold.
    fn pull(&mut self, brake: &mut Brake, config: &EngineConfig, images: &[Image]) -> Result<bool> {
        let gone = images
            .iter()
            .filter(|image| image.links.is_empty() && image.kind != NodeKind::Dir);
        let mut given: BTreeMap<u64, u64> = BTreeMap::new();
        for image in gone {
            if let Some((site_id, stamp_us)) = self.core.removed_by(image.inode)?
                && brake.counts(site_id, stamp_us)
            {
                *given.entry(site_id).or_default() += 1;
            }
        }
        let now_us = config.clock.now_us();
        let rules = brake.rules;
        for (site_id, given) in given {
            let applied = brake.recent.within(&rules, site_id, now_us);
            if !rules.is_worth_counting(applied + given) {
                continue;
            }
            let pending = self.pending_removals(brake, site_id)?.max(given);
            let files = self.files(brake, now_us)?;
            if rules.is_mass(files, applied + pending) {
                let held = Held {
                    since_us: now_us,
                    removed: applied + pending,
                    files,
                };
                tracing::error!(
                    site_id,
                    removed = held.removed,
                    files,
                    "a site deletes suspiciously much: what comes from it is held until it is resumed"
                );
                brake.held.insert(site_id, held);
                let store = self.core.state_mut();
                store.set_number(&key("since", site_id), held.since_us);
                store.set_number(&key("removed", site_id), held.removed);
                store.set_number(&key("files", site_id), held.files);
                self.commit(config)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removals of a site that are merged and not applied.
    fn pending_removals(&self, brake: &Brake, site_id: u64) -> Result<u64> {
        let mut count = 0;
        self.each_marked(&mut |_, inode| {
            let by = self.core.removed_by(inode)?;
            let counts = by.is_some_and(|(site, at)| site == site_id && brake.counts(site, at));
            count += u64::from(counts);
            Ok(())
        })?;
        Ok(count)
    }

    /// Names of files that there are, or were within the window; counted at most once a window, for it takes a while
    /// in a large tree.
    fn files(&self, brake: &mut Brake, now_us: u64) -> Result<u64> {
        let window_us = brake.rules.window_us;
        if let Some((files, at)) = brake.counted
            && now_us.saturating_sub(at) < window_us
            && at <= now_us
        {
            return Ok(files);
        }
        let state = self.core.state();
        let (mut files, mut todo) = (0, vec![ROOT_INODE]);
        while let Some(dir) = todo.pop() {
            for (_, inode, _) in state.applied_entries(dir)? {
                match state.applied(inode)?.map(|image| image.kind) {
                    Some(NodeKind::Dir) => todo.push(inode),
                    // Every name counts: a file of several is removed when the last one goes.
                    Some(NodeKind::File | NodeKind::Symlink) => files += 1,
                    None => {}
                }
            }
        }
        let files = files + brake.recent.total(&brake.rules, now_us);
        brake.counted = Some((files, now_us));
        Ok(files)
    }
}

#[cfg(test)]
mod tests;
