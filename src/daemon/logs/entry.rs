//! Pure: an entry as it is told to people and scripts.

use crate::admin::view::journal::{
    ChangeView, DeviceView, EntryDetail, EntryView, FoldedView, MemberView, RegisterView, SeenView,
    TxnView,
};
use crate::admin::view::path_text;
use crate::journal::codec::decode_change;
use crate::journal::entry::RegisterId;
use crate::journal::op::{Attr, Change, Content, MemberState, Place};
use crate::journal::{JournalEntry, Looked, RegisterDot, StoredEntry};
use crate::sync::conflict::ConflictId;

/// The entry as it is listed; `site` is the name of its author.
pub(super) fn listed(stored: &StoredEntry, site: Option<&str>) -> EntryView {
    let entry = &stored.entry;
    let change = decode_change(entry).ok();
    let place = change.as_ref().and_then(place_of);
    EntryView {
        site: site.map(str::to_owned),
        site_id: entry.site_id,
        incarnation: entry.incarnation,
        stream: entry.shard_id,
        seq: entry.seq,
        timestamp_us: entry.timestamp_us,
        op: entry.op.word().to_owned(),
        inode: of_file(entry, entry.inode),
        parent: place.map(|place| place.parent),
        name: place.map(|place| place.name.as_bytes().to_vec()),
        size_bytes: change.as_ref().and_then(content_of).map(|it| it.size),
        entry_bytes: stored.raw.len() as u64,
    }
}

/// The entry in full; `at` is the file and the offset of what it was written with.
pub(super) fn detailed(looked: &Looked, site: Option<&str>, at: (Vec<u8>, u64)) -> EntryDetail {
    let entry = &looked.stored.entry;
    let seen = |(actor, seq): (crate::journal::Actor, u64)| SeenView {
        site_id: actor.site_id,
        incarnation: actor.incarnation,
        seq,
    };
    let versions = |dots: &[RegisterDot]| dots.iter().map(version).collect();
    EntryDetail {
        entry: listed(&looked.stored, site),
        hlc_us: entry.hlc_us,
        first_seq: entry.first_seq,
        link: of_file(entry, entry.link),
        merge_gen: entry.merge_gen,
        txn: entry.txn.map(|txn| TxnView {
            id: txn.id,
            parts: txn.parts,
            part: txn.part,
        }),
        prev: versions(&entry.prev),
        overrides: versions(&entry.overrides),
        folded: entry
            .folded
            .iter()
            .map(|stamp| FoldedView {
                register: register(&stamp.register),
                seq: stamp.seq,
                timestamp_us: stamp.timestamp_us,
            })
            .collect(),
        context: looked.context.iter().map(seen).collect(),
        change: changed(entry),
        payload_bytes: entry.payload.len() as u64,
        payload_hash: blake3::hash(&entry.payload).to_hex().to_string(),
        crc32: format!("{:08x}", entry.crc32),
        crc_ok: entry.validate_crc(),
        position: looked.position,
        file: at.0,
        offset_bytes: at.1,
        device: looked.device.map(|device| DeviceView {
            ino: device.ino,
            size_bytes: device.size,
            mtime_us: device.mtime.clamped_us(),
        }),
    }
}

/// Control entries have no inode.
fn of_file(entry: &JournalEntry, number: u64) -> Option<u64> {
    (!entry.op.is_control()).then_some(number)
}

const fn place_of(change: &Change) -> Option<&Place> {
    match change {
        Change::Create { place, .. }
        | Change::MkDir { place, .. }
        | Change::Symlink { place, .. }
        | Change::Link { place }
        | Change::Unlink { place, .. } => Some(place),
        Change::Rename { place, .. } => place.as_ref(),
        Change::Write { .. }
        | Change::Truncate { .. }
        | Change::SetAttr { .. }
        | Change::SetXattr { .. }
        | Change::RemoveXattr { .. }
        | Change::Noop
        | Change::ConflictAck { .. }
        | Change::Member { .. }
        | Change::ResumePoint
        | Change::Horizon(_) => None,
    }
}

const fn content_of(change: &Change) -> Option<&Content> {
    match change {
        Change::Write { content, .. } | Change::Truncate { content, .. } => Some(content),
        Change::Create { .. }
        | Change::MkDir { .. }
        | Change::Symlink { .. }
        | Change::Link { .. }
        | Change::Unlink { .. }
        | Change::Rename { .. }
        | Change::SetAttr { .. }
        | Change::SetXattr { .. }
        | Change::RemoveXattr { .. }
        | Change::Noop
        | Change::ConflictAck { .. }
        | Change::Member { .. }
        | Change::ResumePoint
        | Change::Horizon(_) => None,
    }
}

fn version(dot: &RegisterDot) -> RegisterView {
    RegisterView {
        register: register(&dot.register),
        site_id: dot.actor.site_id,
        incarnation: dot.actor.incarnation,
        seq: dot.seq,
    }
}

fn register(id: &RegisterId) -> String {
    match id {
        RegisterId::Content => "content".to_owned(),
        RegisterId::Mode => "mode".to_owned(),
        RegisterId::Owner => "owner".to_owned(),
        RegisterId::Times => "times".to_owned(),
        RegisterId::Flags => "flags".to_owned(),
        RegisterId::Xattr(name) => format!("xattr {}", path_text(name)),
        RegisterId::LinkPlace(link) => format!("place of link {link}"),
        RegisterId::DirPlace => "place".to_owned(),
    }
}

fn changed(entry: &JournalEntry) -> ChangeView {
    let change = match decode_change(entry) {
        Ok(change) => change,
        Err(error) => {
            return ChangeView {
                fault: Some(error.to_string()),
                ..ChangeView::default()
            };
        }
    };
    match change {
        Change::Create { attr, .. } | Change::MkDir { attr, .. } | Change::SetAttr { attr } => {
            attributes(&attr)
        }
        Change::Symlink { attr, target, .. } => ChangeView {
            target: Some(target.to_vec()),
            ..attributes(&attr)
        },
        Change::Unlink { dir, .. } | Change::Rename { dir, .. } => ChangeView {
            dir: Some(dir),
            ..ChangeView::default()
        },
        Change::Write { content, mode } | Change::Truncate { content, mode } => ChangeView {
            mode,
            mtime_us: Some(content.mtime.clamped_us()),
            root: Some(content.manifest_root.0),
            inline_bytes: content.inline.map(|bytes| bytes.len() as u64),
            ..ChangeView::default()
        },
        Change::SetXattr { name, value } => ChangeView {
            xattr: Some(name.to_vec()),
            xattr_value_bytes: Some(value.len() as u64),
            ..ChangeView::default()
        },
        Change::RemoveXattr { name } => ChangeView {
            xattr: Some(name.to_vec()),
            ..ChangeView::default()
        },
        Change::ConflictAck {
            conflict_id,
            acked,
            note,
            by,
        } => ChangeView {
            conflict: Some(ConflictId(conflict_id).to_string()),
            acked: Some(acked),
            by: Some(by),
            note: Some(note),
            ..ChangeView::default()
        },
        Change::Member {
            site_id,
            name,
            incarnation,
            state,
            ..
        } => ChangeView {
            member: Some(MemberView {
                site_id,
                name,
                incarnation,
                state: state_word(state).to_owned(),
            }),
            ..ChangeView::default()
        },
        Change::Link { .. } | Change::Noop | Change::ResumePoint | Change::Horizon(_) => {
            ChangeView::default()
        }
    }
}

const fn state_word(state: MemberState) -> &'static str {
    match state {
        MemberState::Active => "active",
        MemberState::Fenced => "fenced",
        MemberState::Removed => "removed",
    }
}

fn attributes(attr: &Attr) -> ChangeView {
    ChangeView {
        mode: attr.mode,
        uid: attr.owner.map(|owner| owner.uid),
        gid: attr.owner.map(|owner| owner.gid),
        mtime_us: attr.mtime.map(|time| time.clamped_us()),
        flags: attr.flags,
        ..ChangeView::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::codec::{encode_change, encode_entry};
    use crate::journal::op::{ManifestRoot, Name, OpKind, Owner};

    fn stored(change: &Change) -> StoredEntry {
        let payload = encode_change(change).to_vec();
        let mut entry = JournalEntry::new(3, 9, 1, 50, 7, change.kind(), payload);
        entry.incarnation = 0xA1;
        let raw = encode_entry(&entry);
        StoredEntry { entry, raw }
    }

    fn place(name: &[u8]) -> Place {
        Place {
            parent: 1,
            name: Name::new(name.to_vec()).unwrap(),
        }
    }

    #[test]
    fn every_operation_is_told_with_what_it_has() {
        let created = stored(&Change::Create {
            place: place(b"a\xff\x1b[2J"),
            attr: Attr {
                mode: Some(0o600),
                owner: Some(Owner { uid: 4, gid: 5 }),
                ..Attr::default()
            },
        });
        let view = listed(&created, Some("fra-1"));
        assert_eq!((view.op.as_str(), view.parent), ("create", Some(1)));
        assert_eq!(view.name.as_deref(), Some(&b"a\xff\x1b[2J"[..]));
        assert_eq!(view.entry_bytes, created.raw.len() as u64);
        let change = changed(&created.entry);
        assert_eq!((change.mode, change.gid), (Some(0o600), Some(5)));
        let content = Content {
            size: 12,
            manifest_root: ManifestRoot([7; 32]),
            inline: Some(bytes::Bytes::from_static(b"hello, world")),
            ..Content::default()
        };
        let written = stored(&Change::Write {
            content,
            mode: None,
        });
        let view = listed(&written, None);
        assert_eq!((view.size_bytes, view.name), (Some(12), None));
        assert_eq!(changed(&written.entry).inline_bytes, Some(12));
        let moved = stored(&Change::Rename {
            place: None,
            dir: true,
        });
        assert_eq!(listed(&moved, None).name, None);
        assert_eq!(changed(&moved.entry).dir, Some(true));
        let acked = stored(&Change::ConflictAck {
            conflict_id: [7; 32],
            acked: true,
            note: "right".to_owned(),
            by: "ana".to_owned(),
        });
        assert_eq!(listed(&acked, None).inode, None);
        let change = changed(&acked.entry);
        assert!(change.conflict.unwrap().starts_with("c-"));
        assert_eq!(change.by.as_deref(), Some("ana"));
    }

    #[test]
    fn a_payload_that_does_not_decode_is_told_and_the_rest_is_there() {
        let mut entry = JournalEntry::new(3, 9, 1, 50, 7, OpKind::Create, vec![0xFF; 9]);
        entry.crc32 ^= 1;
        let raw = encode_entry(&entry);
        let looked = Looked::of(StoredEntry { entry, raw });
        let view = detailed(&looked, None, (b"/x".to_vec(), 48));
        assert!(view.change.fault.is_some() && !view.crc_ok);
        assert_eq!((view.payload_bytes, view.entry.inode), (9, Some(7)));
        assert_eq!(view.payload_hash.len(), 64);
    }
}
