//! What a site says, in the judges' words: images, and records of conflicts.

use std::collections::BTreeMap;

use claudefs_repl::journal::RegisterId;
use claudefs_repl::sync::conflict::{ConflictId, ConflictKind, ConflictRecord};
use claudefs_repl::sync::port::{Image, NodeKind};

use super::facts::Recorded;
use super::oracle::{Kind, Shown, Values};

/// Conflicts that count.
pub(crate) fn open_conflicts(records: &[ConflictRecord]) -> BTreeMap<ConflictId, String> {
    let open = records.iter().filter(|record| !record.superseded);
    open.map(|r| {
        let loser = r.loser.dot();
        let text = format!("{} {:x} {:?} {loser}", r.kind.word(), r.inode, r.register);
        (r.id, text)
    })
    .collect()
}

/// Conflicts in the bytes of files.
pub(crate) fn recorded(records: &[ConflictRecord]) -> Recorded {
    let mut recorded = Recorded::default();
    for record in records {
        if record.register != RegisterId::Content {
            continue;
        }
        let loser = (record.inode, record.loser.dot());
        recorded.writes.insert(loser);
        if record.kind == ConflictKind::Register && !record.superseded {
            recorded.open_writes.insert(loser);
        }
    }
    recorded
}

/// Images as plain words.
pub(crate) fn shown_of(images: &[Image]) -> Vec<(u64, Shown)> {
    images
        .iter()
        .map(|image| (image.inode, shown(image)))
        .collect()
}

fn shown(image: &Image) -> Shown {
    let kind = match image.kind {
        NodeKind::File => Kind::File,
        NodeKind::Dir => Kind::Dir,
        NodeKind::Symlink => Kind::Symlink,
    };
    let mut values = Values::of(kind);
    let bytes = image.content.as_ref();
    values.content = bytes.map(|content| (content.dot, content.value.size));
    values.mode = image.mode.as_ref().map(|mode| mode.value);
    let mtime = image.mtime.as_ref().map(|mtime| mtime.value.seconds);
    values.mtime = mtime.filter(|_| kind != Kind::Dir);
    let xattrs = image.xattrs.iter();
    values.xattrs = xattrs
        .map(|(name, value)| (name.to_vec(), value.value.to_vec()))
        .collect();
    values.target = image.target.as_ref().map(|target| target.to_vec());
    let on_disk = image.links.iter().filter(|_| image.merged_into.is_none());
    let links = on_disk
        .map(|link| (link.link, link.parent, link.name.as_bytes().to_vec()))
        .collect();
    Shown { links, values }
}
