//! Pure: the touch rule: which derived states an operation makes explicit, and what one shown name stands for.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::journal::dot::ROOT_INODE;
use crate::journal::op::{Change, Name, Place};
use crate::sync::core::Core;
use crate::sync::port::{LocalOp, ShownLink};
use crate::sync::state::State;
use crate::sync::view::conflict_name_inode;

impl<S: State> Core<S> {
    /// The operations that `op`, on what is shown, amounts to in registers; those of the touch rule come first.
    pub(super) fn expand(&self, op: &LocalOp) -> Result<Vec<LocalOp>> {
        let mut ops = Vec::new();
        match &op.change {
            Change::Create { place, .. }
            | Change::MkDir { place, .. }
            | Change::Symlink { place, .. }
            | Change::Link { place } => {
                self.revive_links(op, &mut ops)?;
                self.revive_path(place.parent, &mut ops)?;
                ops.push(op.clone());
            }
            Change::Unlink { dir: true, .. } | Change::Rename { dir: true, .. } => {
                self.expand_dir(op, &mut ops)?;
            }
            Change::Unlink { dir: false, .. } | Change::Rename { dir: false, .. } => {
                self.expand_link(op, &mut ops)?;
            }
            Change::Write { .. } | Change::Truncate { .. } => {
                self.revive_names(op, &mut ops)?;
                ops.push(self.keep_bits_dropped(op)?);
            }
            Change::SetAttr { .. } | Change::SetXattr { .. } | Change::RemoveXattr { .. } => {
                self.revive_names(op, &mut ops)?;
                ops.push(op.clone());
            }
            Change::Noop
            | Change::ConflictAck { .. }
            | Change::Member { .. }
            | Change::ResumePoint
            | Change::Horizon(_) => ops.push(op.clone()),
        }
        Ok(ops)
    }

    /// Everything derived under which an inode is shown becomes explicit.
    fn revive_names(&self, op: &LocalOp, ops: &mut Vec<LocalOp>) -> Result<()> {
        self.revive_links(op, ops)?;
        for link in self.shown(op.inode)? {
            self.revive_path(link.parent, ops)?;
        }
        Ok(())
    }

    /// New bytes by someone who saw the mode would bring back the set-uid bits that are not shown with the old ones:
    /// the mode goes with the bytes as it is shown.
    fn keep_bits_dropped(&self, op: &LocalOp) -> Result<LocalOp> {
        let mut op = op.clone();
        let (Change::Write { mode, .. } | Change::Truncate { mode, .. }) = &mut op.change else {
            return Ok(op);
        };
        if mode.is_some() || !self.rules.touch {
            return Ok(op);
        }
        let shown = self.state.applied(op.inode)?;
        let shown = shown.and_then(|image| image.mode.clone());
        let node = self.load(op.inode)?;
        if let (Some(shown), Some(winner)) = (shown, node.mode.winner())
            && shown.dot == winner.dot()
            && shown.value != winner.value
        {
            *mode = Some(shown.value);
        }
        Ok(op)
    }

    /// One name of a file goes or moves: all links of it that are shown there as one.
    fn expand_link(&self, op: &LocalOp, ops: &mut Vec<LocalOp>) -> Result<()> {
        let shown = self.shown(op.inode)?;
        let at = shown.iter().find(|link| link.link == op.link);
        if let Some(at) = at {
            self.revive_path(at.parent, ops)?;
            self.pin_losers(at, op.inode, ops)?;
        }
        if let Change::Rename {
            place: Some(place), ..
        } = &op.change
        {
            self.revive_path(place.parent, ops)?;
            ops.push(op.clone());
        } else {
            ops.push(self.unlink(op, op.link, at)?);
        }
        let same_name = |link: &&ShownLink| {
            at.is_some_and(|at| {
                link.link != at.link && link.parent == at.parent && link.name == at.name
            })
        };
        for twin in shown.iter().filter(same_name) {
            ops.push(self.unlink(op, twin.link, Some(twin))?);
        }
        Ok(())
    }

    /// A removal that keeps the place under which the link would come back.
    fn unlink(&self, op: &LocalOp, link: u64, at: Option<&ShownLink>) -> Result<LocalOp> {
        let place = match (at, &op.change) {
            (Some(at), _) => self.raw_place(op.inode, at)?,
            (None, Change::Unlink { place, .. }) => place.clone(),
            (None, _) => return Ok(op.clone()),
        };
        Ok(LocalOp {
            link,
            change: Change::Unlink { place, dir: false },
            device: None,
            ..op.clone()
        })
    }

    /// A directory goes or moves: every directory that is shown as part of it.
    fn expand_dir(&self, op: &LocalOp, ops: &mut Vec<LocalOp>) -> Result<()> {
        for link in self.shown(op.inode)? {
            self.revive_path(link.parent, ops)?;
            self.pin_losers(&link, op.inode, ops)?;
        }
        if let Change::Rename {
            place: Some(place), ..
        } = &op.change
        {
            self.revive_path(place.parent, ops)?;
        }
        ops.push(op.clone());
        for member in self.shown_as(op.inode)? {
            if member != op.inode {
                ops.push(LocalOp {
                    inode: member,
                    link: member,
                    device: None,
                    ..op.clone()
                });
            }
        }
        Ok(())
    }

    /// Directories that the connector shows as one with `directory`.
    fn shown_as(&self, directory: u64) -> Result<Vec<u64>> {
        let group = self.group(directory)?.unwrap_or_default();
        self.shown_of(directory, group)
    }

    /// Those of its `group` that the connector shows as one with `directory`.
    fn shown_of(&self, directory: u64, group: Vec<u64>) -> Result<Vec<u64>> {
        let mut members = Vec::new();
        for member in group {
            let applied = self.state.applied(member)?;
            if applied
                .is_some_and(|image| image.merged_into == Some(directory) || member == directory)
            {
                members.push(member);
            }
        }
        Ok(members)
    }

    /// Makes every directory live that is shown from the root down to `directory` only for what is in it.
    fn revive_path(&self, directory: u64, ops: &mut Vec<LocalOp>) -> Result<()> {
        if !self.rules.touch {
            return Ok(());
        }
        let mut at = directory;
        let mut walked = BTreeSet::new();
        // One walk for all of them: a tree may be deep, and every operation in it comes by here.
        let mut groups = self.groups(directory)?;
        // A connector that reported a directory inside itself must not hold the loop up.
        while at != ROOT_INODE && walked.insert(at) {
            let mut members = match groups.remove(&at) {
                Some(group) => self.shown_of(at, group)?,
                // The connector shows it elsewhere than the merge.
                None => self.shown_as(at)?,
            };
            if !members.contains(&at) {
                members.push(at);
            }
            for member in members {
                let derived = self.shown(member)?.iter().any(|link| !link.explicit);
                let done = ops.iter().any(|op| op.inode == member);
                if derived && !done {
                    let change = Change::Rename {
                        place: None,
                        dir: true,
                    };
                    ops.push(plain_op(member, member, change));
                }
            }
            let Some(up) = self.shown(at)?.first().map(|link| link.parent) else {
                return Ok(());
            };
            at = up;
        }
        Ok(())
    }

    /// Makes the resurrected links of a file live; the one that `op` moves or removes becomes explicit by itself.
    fn revive_links(&self, op: &LocalOp, ops: &mut Vec<LocalOp>) -> Result<()> {
        if !self.rules.touch {
            return Ok(());
        }
        let node = self.load(op.inode)?;
        for link in self.shown(op.inode)?.iter().filter(|link| !link.explicit) {
            let register = node
                .links
                .get(&link.link)
                .and_then(|places| places.winner());
            if register.is_some_and(|winner| !winner.value.live) {
                let place = self.raw_place(op.inode, link)?;
                let change = Change::Rename {
                    place: Some(place),
                    dir: false,
                };
                ops.push(plain_op(op.inode, link.link, change));
            }
        }
        Ok(())
    }

    /// The winner of a name goes: the losers keep the names under which they are shown. So does a file for which this
    /// name would have been made, had it not been taken.
    fn pin_losers(&self, at: &ShownLink, inode: u64, ops: &mut Vec<LocalOp>) -> Result<()> {
        if !self.rules.touch {
            return Ok(());
        }
        let members = self.group(at.parent)?.unwrap_or_else(|| vec![at.parent]);
        let slot = self.slot(&members, &at.name)?;
        for file in slot.files.iter().filter(|file| file.inode != inode) {
            let gave_way = |link: &ShownLink| file.links.contains(&link.link);
            self.pin(file.inode, at, &gave_way, ops)?;
        }
        if let Some(other) = conflict_name_inode(&at.name).filter(|other| *other != inode) {
            let was_made = |link: &ShownLink| conflict_name_inode(&link.name) == Some(other);
            self.pin(other, at, &was_made, ops)?;
        }
        Ok(())
    }

    /// Makes the names explicit that were made for `inode` in the directory of `at`, but for those at its name.
    fn pin(
        &self,
        inode: u64,
        at: &ShownLink,
        concerns: &dyn Fn(&ShownLink) -> bool,
        ops: &mut Vec<LocalOp>,
    ) -> Result<()> {
        for link in self.shown(inode)? {
            let is_made = !link.explicit && link.parent == at.parent && link.name != at.name;
            let done = |op: &LocalOp| op.inode == inode && op.link == link.link;
            if is_made && concerns(&link) && !ops.iter().any(done) {
                let place = self.raw_place(inode, &link)?;
                let change = Change::Rename {
                    place: Some(place),
                    dir: false,
                };
                ops.push(plain_op(inode, link.link, change));
            }
        }
        Ok(())
    }

    /// Links of `inode` that the connector shows.
    fn shown(&self, inode: u64) -> Result<Vec<ShownLink>> {
        let shown = self.state.applied(inode)?;
        Ok(shown.map_or_else(Vec::new, |image| image.links.clone()))
    }

    /// The place of a shown link by the directory that it really stands in: a group may part again. Where the connector
    /// does not show that directory as a part of the one in which the link is, the user saw the link in the latter.
    fn raw_place(&self, inode: u64, shown: &ShownLink) -> Result<Place> {
        let node = self.load(inode)?;
        let register = node
            .links
            .get(&shown.link)
            .and_then(|places| places.winner());
        let raw = register.map_or(shown.parent, |winner| winner.value.place.parent);
        let same_group = self.group(raw)?.and_then(|group| group.first().copied());
        let is_seen = self.shown_parent(raw)? == shown.parent;
        let parent = if same_group == Some(shown.parent) && is_seen {
            raw
        } else {
            shown.parent
        };
        let name: Name = shown.name.clone();
        Ok(Place { parent, name })
    }
}

fn plain_op(inode: u64, link: u64, change: Change) -> LocalOp {
    LocalOp {
        inode,
        link,
        change,
        back_date_us: None,
        device: None,
    }
}

#[cfg(test)]
mod tests;
