//! Pure: the difference between the merged and the applied view, in the order in which it is to be applied.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::core::Core;
use super::port::{Image, NodeKind, Outcome, Round, ShownLink};
use super::state::State;
use crate::error::Result;
use crate::journal::dot::ROOT_INODE;

/// How many marked inodes are looked at in one go; most of them usually differ.
const LOOK_AHEAD: usize = 256;

impl<S: State> Core<S> {
    /// At most `limit` images that the connector does not show yet, by order, each behind the directories that it
    /// stands in.
    ///
    /// # Errors
    /// When the store fails.
    pub fn work(&mut self, limit: usize) -> Result<Vec<Image>> {
        let mut images = Vec::new();
        let mut given = BTreeSet::new();
        let mut after = None;
        while images.len() < limit {
            let marked = self.state.dirty_after(after, LOOK_AHEAD)?;
            let Some(last) = marked.last() else { break };
            after = Some(*last);
            for (_, inode) in marked {
                if images.len() < limit {
                    self.give(inode, &mut given, &mut images)?;
                }
            }
        }
        Ok(images)
    }

    /// Adds the image of `inode`, and before it those of directories that are not shown yet.
    fn give(
        &mut self,
        inode: u64,
        given: &mut BTreeSet<u64>,
        images: &mut Vec<Image>,
    ) -> Result<()> {
        let mut waiting = vec![inode];
        let mut chain = Vec::new();
        while let Some(at) = waiting.pop() {
            if self.waits_for_resume(at, at == inode)? {
                return Ok(());
            }
            if at == ROOT_INODE || !given.insert(at) || self.state.parked(at)?.is_some() {
                continue;
            }
            let image = self.image(at)?;
            let applied = self.state.applied(at)?;
            if !differs(&image, applied.as_deref()) {
                self.settle_applied(image, applied.as_deref())?;
                continue;
            }
            waiting.extend(image.links.iter().map(|link| link.parent));
            waiting.extend(image.merged_into);
            chain.push(image);
        }
        images.extend(chain.into_iter().rev());
        Ok(())
    }

    /// Takes a round of applying over into the applied view.
    ///
    /// # Errors
    /// When the store fails.
    pub fn take_round(&mut self, round: Round) -> Result<()> {
        for (inode, device) in round.devices {
            self.state.set_device(inode, device)?;
        }
        for (from, to) in round.absorbed {
            self.absorb(from, to)?;
        }
        for (image, outcome) in round.outcomes {
            self.done(image, outcome)?;
        }
        Ok(())
    }

    /// The connector's directory `from` is `to` from here on, with everything that it shows in it.
    fn absorb(&mut self, from: u64, to: u64) -> Result<()> {
        let shown = self.state.applied(to)?;
        let is_new = shown.is_none_or(|shown| shown.merged_into.is_some());
        if let (Some(image), true) = (self.state.applied(from)?, is_new) {
            let mut image = Arc::unwrap_or_clone(image);
            self.state.set_applied(from, None)?;
            image.inode = to;
            for link in &mut image.links {
                link.link = to;
            }
            self.state.set_applied(to, Some(&image))?;
        }
        let children: BTreeSet<u64> = self
            .state
            .applied_entries(from)?
            .into_iter()
            .map(|(_, inode, _)| inode)
            .collect();
        for child in children {
            let Some(image) = self.state.applied(child)? else {
                continue;
            };
            let mut image = Arc::unwrap_or_clone(image);
            for link in image.links.iter_mut().filter(|link| link.parent == from) {
                link.parent = to;
            }
            self.state.set_applied(child, Some(&image))?;
        }
        Ok(())
    }

    /// The connector shows `shown` of an inode, whatever it reported before.
    ///
    /// # Errors
    /// When the store fails.
    pub fn correct(&mut self, inode: u64, shown: Option<&Image>) -> Result<()> {
        self.state.set_applied(inode, shown)?;
        self.state.set_parked(inode, None)?;
        self.touch(inode)
    }

    /// Sites whose changes are not given out.
    pub fn set_held(&mut self, sites: BTreeSet<u64>) {
        self.held = sites;
    }

    /// Whether the change of an inode, or the directory that it needs, comes from a site that is held.
    fn waits_for_resume(&self, inode: u64, is_itself: bool) -> Result<bool> {
        if self.held.is_empty() || inode == ROOT_INODE {
            return Ok(false);
        }
        let node = self.load(inode)?;
        let mut unapplied = node.unapplied.iter();
        let is_held = unapplied.any(|one| self.held.contains(&one.actor.site_id));
        Ok(is_held && (is_itself || self.state.applied(inode)?.is_none()))
    }

    /// The site that removed a file which the connector still shows, and its stamp.
    ///
    /// # Errors
    /// When the store fails.
    pub fn removed_by(&self, inode: u64) -> Result<Option<(u64, u64)>> {
        let node = self.load(inode)?;
        let is_file = matches!(node.kind, Some(NodeKind::File | NodeKind::Symlink));
        if !is_file || !node.shown_links().is_empty() || self.state.applied(inode)?.is_none() {
            return Ok(None);
        }
        let winners = node
            .links
            .values()
            .filter_map(super::register::Register::winner);
        let last = winners.map(|version| version.key).max();
        let last = last.filter(|key| key.site_id != self.local.site_id);
        Ok(last.map(|key| (key.site_id, key.timestamp_us)))
    }

    /// Takes note of what the connector did with an image.
    ///
    /// # Errors
    /// When the store fails.
    pub fn done(&mut self, image: Image, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Applied => {
                let mut node = self.edit(image.inode)?;
                node.applied_through(image.merge_gen);
                self.state.set_node(image.inode, node)?;
                let shown = (!image.links.is_empty()).then_some(&image);
                self.state.set_applied(image.inode, shown)?;
                if differs(&self.image(image.inode)?, shown) {
                    return Ok(());
                }
                if shown.is_none() {
                    self.end_owed(image.inode, &*self.load(image.inode)?)?;
                }
                self.settled.push(image.inode);
                self.state.set_dirty(image.inode, None)
            }
            Outcome::Parked { reason } => self.state.set_parked(image.inode, Some(&reason)),
            Outcome::Changed => Ok(()),
        }
    }

    /// Puts all parked images back into the work.
    ///
    /// # Errors
    /// When the store fails.
    pub fn retry_parked(&mut self) -> Result<()> {
        for (inode, _) in self.state.all_parked()? {
            self.state.set_parked(inode, None)?;
        }
        Ok(())
    }

    /// The connector shows what it should; only versions behind equal values may differ.
    fn settle_applied(&mut self, image: Image, applied: Option<&Image>) -> Result<()> {
        let inode = image.inode;
        if !self.load(inode)?.unapplied.is_empty() {
            let mut node = self.edit(inode)?;
            node.applied_through(image.merge_gen);
            self.state.set_node(inode, node)?;
        }
        if image.links.is_empty() {
            self.end_owed(inode, &*self.load(inode)?)?;
        }
        if applied.is_some_and(|applied| *applied != image) {
            self.state.set_applied(inode, Some(&image))?;
        }
        self.settled.push(inode);
        self.state.set_dirty(inode, None)
    }
}

/// Whether the connector has something to do: values and names, not the versions behind them.
fn differs(image: &Image, applied: Option<&Image>) -> bool {
    let Some(applied) = applied else {
        return !image.links.is_empty();
    };
    fn value<T: PartialEq>(
        a: Option<&super::port::Versioned<T>>,
        b: Option<&super::port::Versioned<T>>,
    ) -> bool {
        a.map(|a| &a.value) != b.map(|b| &b.value)
    }
    let names = |links: &[ShownLink]| -> BTreeSet<(u64, u64, crate::journal::op::Name)> {
        links
            .iter()
            .map(|link| (link.link, link.parent, link.name.clone()))
            .collect()
    };
    let bytes = |image: &Image| {
        image
            .content
            .as_ref()
            .map(|content| (content.value.size, content.value.manifest_root))
    };
    names(&image.links) != names(&applied.links)
        || image.merged_into != applied.merged_into
        || bytes(image) != bytes(applied)
        || value(image.mode.as_ref(), applied.mode.as_ref())
        || value(image.owner.as_ref(), applied.owner.as_ref())
        || (image.kind != NodeKind::Dir && value(image.mtime.as_ref(), applied.mtime.as_ref()))
        || value(image.flags.as_ref(), applied.flags.as_ref())
        || image.xattrs.len() != applied.xattrs.len()
        || image
            .xattrs
            .iter()
            .any(|(name, a)| value(Some(a), applied.xattrs.get(name)))
        || image.target != applied.target
}
