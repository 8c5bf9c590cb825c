//! Pure: keeps the applied view in step with local operations: what the user did is on the disk already.

use std::sync::Arc;

use crate::error::Result;
use crate::journal::dot::{Dot, ROOT_INODE};
use crate::journal::entry::{JournalEntry, RegisterId};
use crate::journal::op::{Attr, Change, Place};
use crate::sync::core::Core;
use crate::sync::port::{Image, LocalOp, NodeKind, ShownLink, Versioned};
use crate::sync::state::State;

impl<S: State> Core<S> {
    /// The version of a register that the connector shows.
    pub(super) fn shown_dot(&self, inode: u64, register: &RegisterId) -> Result<Option<Dot>> {
        let Some(image) = self.state.applied(inode)? else {
            return Ok(None);
        };
        Ok(match register {
            RegisterId::Content => image.content.as_ref().map(|shown| shown.dot),
            RegisterId::Mode => image.mode.as_ref().map(|shown| shown.dot),
            RegisterId::Owner => image.owner.as_ref().map(|shown| shown.dot),
            RegisterId::Times => image.mtime.as_ref().map(|shown| shown.dot),
            RegisterId::Flags => image.flags.as_ref().map(|shown| shown.dot),
            RegisterId::Xattr(name) => image.xattrs.get(name).map(|shown| shown.dot),
            RegisterId::LinkPlace(link) => image
                .links
                .iter()
                .find(|shown| shown.link == *link)
                .map(|shown| shown.dot),
            RegisterId::DirPlace => image.links.first().map(|shown| shown.dot),
        })
    }

    /// Takes a local operation over into the applied view.
    pub(super) fn show_local(&mut self, op: &LocalOp, entry: &JournalEntry) -> Result<()> {
        if op.inode == ROOT_INODE || entry.op.is_control() {
            return Ok(());
        }
        // The entry is merged already, so the node knows its kind.
        let kind = self.load(op.inode)?.kind.unwrap_or(NodeKind::File);
        let known = self.state.applied(op.inode)?;
        let known = known.map(Arc::unwrap_or_clone);
        let mut image = known.unwrap_or_else(|| Image::absent(op.inode, kind));
        let dot = entry.dot();
        match &op.change {
            Change::Create { place, attr } | Change::MkDir { place, attr } => {
                put_link(&mut image, op.link, place, dot);
                put_attr(&mut image, attr, dot);
            }
            Change::Symlink {
                place,
                attr,
                target,
            } => {
                put_link(&mut image, op.link, place, dot);
                put_attr(&mut image, attr, dot);
                image.target = Some(target.clone());
            }
            Change::Link { place }
            | Change::Rename {
                place: Some(place), ..
            } => {
                let place = self.shown_place(place)?;
                put_link(&mut image, op.link, &place, dot);
            }
            Change::Rename { place: None, .. } => {
                for link in &mut image.links {
                    (link.explicit, link.dot) = (true, dot);
                }
            }
            Change::Unlink { .. } => image.links.retain(|link| link.link != op.link),
            Change::Write { .. }
            | Change::Truncate { .. }
            | Change::SetAttr { .. }
            | Change::SetXattr { .. }
            | Change::RemoveXattr { .. }
            | Change::Noop
            | Change::ConflictAck { .. }
            | Change::Member { .. }
            | Change::ResumePoint
            | Change::Horizon(_) => put_value(&mut image, &op.change, dot),
        }
        let shown = (!image.links.is_empty()).then_some(&image);
        self.state.set_applied(op.inode, shown)
    }

    /// The directory that shows what is in `directory`, which is not shown itself.
    fn representative(&self, directory: u64) -> Result<u64> {
        for member in self.group(directory)?.unwrap_or_default() {
            let shown = self.state.applied(member)?;
            if shown.is_some_and(|image| image.merged_into.is_none()) {
                return Ok(member);
            }
        }
        Ok(directory)
    }

    /// The directory that shows what is in `directory`.
    pub(super) fn shown_parent(&self, directory: u64) -> Result<u64> {
        match self.state.applied(directory)? {
            Some(image) => Ok(image.merged_into.unwrap_or(directory)),
            // Part of a group whose representative took its place on the disk, and not shown as that yet.
            None => self.representative(directory),
        }
    }

    /// A place by the directory that shows it.
    fn shown_place(&self, place: &Place) -> Result<Place> {
        Ok(Place {
            parent: self.shown_parent(place.parent)?,
            name: place.name.clone(),
        })
    }
}

fn put_link(image: &mut Image, link: u64, place: &Place, dot: Dot) {
    image.links.retain(|known| known.link != link);
    let name = place.name.clone();
    image.links.push(ShownLink {
        link,
        parent: place.parent,
        name,
        dot,
        explicit: true,
    });
}

fn put_value(image: &mut Image, change: &Change, dot: Dot) {
    match change {
        Change::Write { content, mode } | Change::Truncate { content, mode } => {
            image.mtime = Some(Versioned {
                dot,
                value: content.mtime,
            });
            image.content = Some(Versioned {
                dot,
                value: content.clone(),
            });
            put_attr(
                image,
                &Attr {
                    mode: *mode,
                    ..Attr::default()
                },
                dot,
            );
        }
        Change::SetAttr { attr } => put_attr(image, attr, dot),
        Change::SetXattr { name, value } => {
            image.xattrs.insert(
                name.clone(),
                Versioned {
                    dot,
                    value: value.clone(),
                },
            );
        }
        Change::RemoveXattr { name } => {
            image.xattrs.remove(name);
        }
        Change::Create { .. }
        | Change::MkDir { .. }
        | Change::Symlink { .. }
        | Change::Link { .. }
        | Change::Unlink { .. }
        | Change::Rename { .. }
        | Change::Noop
        | Change::ConflictAck { .. }
        | Change::Member { .. }
        | Change::ResumePoint
        | Change::Horizon(_) => {}
    }
}

fn put_attr(image: &mut Image, attr: &Attr, dot: Dot) {
    if let Some(value) = attr.mode {
        image.mode = Some(Versioned { dot, value });
    }
    if let Some(value) = attr.owner {
        image.owner = Some(Versioned { dot, value });
    }
    if let Some(value) = attr.mtime {
        image.mtime = Some(Versioned { dot, value });
    }
    if let Some(value) = attr.flags {
        image.flags = Some(Versioned { dot, value });
    }
}
