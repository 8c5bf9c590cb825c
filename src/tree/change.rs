//! Pure: the operations that lead from what the engine knows of one inode to what was read of it.

use bytes::Bytes;

use super::observe::Details;
use super::policy::Policy;
use crate::journal::op::{Attr, Change, Content, FileTime, ManifestRoot, Place};
use crate::sync::port::{Image, NodeKind};

/// Mode of a file whose image has none.
pub const FILE_MODE: u32 = 0o644;
/// Mode of a directory whose image has none.
pub const DIR_MODE: u32 = 0o755;
/// Bits that the kernel clears when another user than root writes.
const SET_ID: u32 = 0o6000;

/// What brings a new inode about at `place`: first its birth, then its bytes and attributes.
#[must_use]
pub fn birth_changes(details: &Details, place: Place) -> Vec<Change> {
    let stat = &details.stat;
    let written = details.content.as_ref().filter(|content| content.size > 0);
    let mut attr = Attr {
        mode: Some(stat.mode),
        owner: Some(stat.owner),
        // A content version brings its own mtime, which is the later one.
        mtime: written.is_none().then_some(stat.mtime),
        flags: None,
    };
    let birth = match (stat.kind, &details.target) {
        (Some(NodeKind::Dir), _) => Change::MkDir { place, attr },
        (_, Some(target)) => {
            attr.mode = None;
            Change::Symlink {
                place,
                attr,
                target: target.clone(),
            }
        }
        _ => Change::Create { place, attr },
    };
    let mut changes = vec![birth];
    changes.extend(written.map(|content| Change::Write {
        content: content.clone(),
        mode: None,
    }));
    changes.extend(
        details
            .xattrs
            .iter()
            .map(|(name, value)| set_xattr(name, value)),
    );
    changes
}

/// What leads from `image` to `details`; empty when nothing that concerns anybody changed.
#[must_use]
pub fn attribute_changes(
    image: &Image,
    details: &Details,
    policy: &Policy,
    privileged: bool,
) -> Vec<Change> {
    let stat = &details.stat;
    let mut changes = Vec::new();
    let mut attr = Attr::default();
    let default_mode = if image.kind == NodeKind::Dir {
        DIR_MODE
    } else {
        FILE_MODE
    };
    let was_mode = image.mode.as_ref().map_or(default_mode, |mode| mode.value);
    let mode_differs = image.kind != NodeKind::Symlink
        && policy.shown_mode(was_mode) != policy.shown_mode(stat.mode);
    let written = details
        .content
        .as_ref()
        .filter(|content| !is_content(image, content));
    if mode_differs {
        attr.mode = Some(stat.mode);
    }
    if let Some(content) = written {
        let cleared = mode_differs && was_mode & SET_ID != 0 && stat.mode == was_mode & !SET_ID;
        let mode = if cleared { attr.mode.take() } else { None };
        let content = content.clone();
        changes.push(if content.size == 0 {
            Change::Truncate { content, mode }
        } else {
            Change::Write { content, mode }
        });
    } else if image.kind != NodeKind::Dir
        && image
            .mtime
            .as_ref()
            .is_some_and(|mtime| mtime.value != stat.mtime)
    {
        attr.mtime = Some(stat.mtime);
    }
    let owner_differs = image
        .owner
        .as_ref()
        .is_some_and(|owner| owner.value != stat.owner);
    if owner_differs && privileged {
        attr.owner = Some(stat.owner);
    }
    if !attr.is_empty() {
        changes.push(Change::SetAttr { attr });
    }
    for (name, value) in &details.xattrs {
        if image
            .xattrs
            .get(name)
            .is_none_or(|known| known.value != *value)
        {
            changes.push(set_xattr(name, value));
        }
    }
    if image.kind != NodeKind::Symlink {
        let gone = image
            .xattrs
            .keys()
            .filter(|name| !details.xattrs.contains_key(*name));
        changes.extend(gone.map(|name| Change::RemoveXattr { name: name.clone() }));
    }
    changes
}

/// Whether `content` has the bytes that `image` shows.
#[must_use]
pub fn is_content(image: &Image, content: &Content) -> bool {
    let (root, size) = image
        .content
        .as_ref()
        .map_or((ManifestRoot::default(), 0), |known| {
            (known.value.manifest_root, known.value.size)
        });
    root == content.manifest_root && size == content.size
}

/// The mtime that an image asks for, if it does.
#[must_use]
pub fn shown_mtime(image: &Image) -> Option<FileTime> {
    let content = image.content.as_ref().map(|content| content.value.mtime);
    image.mtime.as_ref().map(|mtime| mtime.value).or(content)
}

fn set_xattr(name: &Bytes, value: &Bytes) -> Change {
    Change::SetXattr {
        name: name.clone(),
        value: value.clone(),
    }
}
