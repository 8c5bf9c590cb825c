//! Pure: the payload of an entry to bytes and back, every name and size checked on the way in.

use bytes::Bytes;
use prost::Message;

use super::{
    Field, Inside, actor_from_proto, actor_to_proto, hash_from_proto, refused, room, weight,
};
use crate::error::Result;
use crate::journal::dot::{Actor, SITE_ID_MAX, STREAM_COUNT};
use crate::journal::entry::JournalEntry;
use crate::journal::op::{
    Attr, Change, Content, FileTime, HORIZON_JOURNALS_MAX, Horizon, INLINE_BYTES_MAX, ManifestRoot,
    MemberState, NOTE_BYTES_MAX, Name, OpKind, Owner, Place, TARGET_BYTES_MAX, XATTR_BYTES_MAX,
};
use crate::proto::v1;

/// The payload of `change`.
#[must_use]
pub fn encode_change(change: &Change) -> Bytes {
    let bytes = match change {
        Change::Create { place, attr } | Change::MkDir { place, attr } => v1::Create {
            place: Some(place_to_proto(place)),
            attr: Some(attr_to_proto(attr)),
        }
        .encode_to_vec(),
        Change::Symlink {
            place,
            attr,
            target,
        } => v1::Symlink {
            place: Some(place_to_proto(place)),
            attr: Some(attr_to_proto(attr)),
            target: target.clone(),
        }
        .encode_to_vec(),
        Change::Link { place } => v1::Link {
            place: Some(place_to_proto(place)),
        }
        .encode_to_vec(),
        Change::Unlink { place, dir } => v1::Unlink {
            place: Some(place_to_proto(place)),
            dir: *dir,
        }
        .encode_to_vec(),
        Change::Rename { place, dir } => v1::Rename {
            place: place.as_ref().map(place_to_proto),
            dir: *dir,
        }
        .encode_to_vec(),
        Change::Write { content, mode } | Change::Truncate { content, mode } => v1::Write {
            content: Some(content_to_proto(content)),
            mode: *mode,
        }
        .encode_to_vec(),
        Change::SetAttr { attr } => v1::SetAttr {
            attr: Some(attr_to_proto(attr)),
        }
        .encode_to_vec(),
        Change::SetXattr { name, value } => v1::SetXattr {
            name: name.clone(),
            value: value.clone(),
        }
        .encode_to_vec(),
        Change::RemoveXattr { name } => v1::RemoveXattr { name: name.clone() }.encode_to_vec(),
        Change::Noop | Change::ResumePoint => Vec::new(),
        Change::ConflictAck { .. } => conflict_ack_to_proto(change).encode_to_vec(),
        Change::Member { .. } => member_to_proto(change).encode_to_vec(),
        Change::Horizon(horizon) => horizon_to_proto(horizon).encode_to_vec(),
    };
    bytes.into()
}

/// The change that `entry` describes.
///
/// # Errors
/// [`crate::ReplError::Serialization`] when the payload does not decode or breaks a limit.
pub fn decode_change(entry: &JournalEntry) -> Result<Change> {
    let payload = &entry.payload;
    Ok(match entry.op {
        OpKind::Create => {
            let (place, attr) = create_from_proto(message(payload)?)?;
            Change::Create { place, attr }
        }
        OpKind::MkDir => {
            let (place, attr) = create_from_proto(message(payload)?)?;
            Change::MkDir { place, attr }
        }
        OpKind::Symlink => symlink_from_proto(message(payload)?)?,
        OpKind::Link => Change::Link {
            place: place_from_proto(message::<v1::Link>(payload)?.place)?,
        },
        OpKind::Unlink => {
            let unlink: v1::Unlink = message(payload)?;
            Change::Unlink {
                place: place_from_proto(unlink.place)?,
                dir: unlink.dir,
            }
        }
        OpKind::Rename => rename_from_proto(message(payload)?)?,
        OpKind::Write => {
            let (content, mode) = write_from_proto(message(payload)?)?;
            Change::Write { content, mode }
        }
        OpKind::Truncate => {
            let (content, mode) = write_from_proto(message(payload)?)?;
            Change::Truncate { content, mode }
        }
        OpKind::SetAttr => Change::SetAttr {
            attr: attr_from_proto(message::<v1::SetAttr>(payload)?.attr)?,
        },
        OpKind::SetXattr => set_xattr_from_proto(message(payload)?)?,
        OpKind::RemoveXattr => Change::RemoveXattr {
            name: xattr_name(message::<v1::RemoveXattr>(payload)?.name)?,
        },
        OpKind::Noop => Change::Noop,
        OpKind::ResumePoint => Change::ResumePoint,
        OpKind::ConflictAck => conflict_ack_from_proto(message(payload)?)?,
        OpKind::Member => member_from_proto(payload)?,
        OpKind::Horizon => Change::Horizon(horizon_from_bytes(payload)?),
    })
}

fn message<M: Message + Default>(payload: &Bytes) -> Result<M> {
    M::decode(payload.clone()).map_err(|e| refused("payload", e.to_string()))
}

fn create_from_proto(message: v1::Create) -> Result<(Place, Attr)> {
    Ok((
        place_from_proto(message.place)?,
        attr_from_proto(message.attr)?,
    ))
}

fn symlink_from_proto(message: v1::Symlink) -> Result<Change> {
    let target = message.target;
    if target.is_empty() || target.len() > TARGET_BYTES_MAX || target.contains(&0) {
        return Err(refused(
            "symlink target",
            "must be 1..=4095 bytes without NUL",
        ));
    }
    let place = place_from_proto(message.place)?;
    Ok(Change::Symlink {
        place,
        attr: attr_from_proto(message.attr)?,
        target,
    })
}

fn rename_from_proto(message: v1::Rename) -> Result<Change> {
    let place = message
        .place
        .map(|place| place_from_proto(Some(place)))
        .transpose()?;
    if place.is_none() && !message.dir {
        return Err(refused("rename", "a link needs a place"));
    }
    Ok(Change::Rename {
        place,
        dir: message.dir,
    })
}

fn write_from_proto(message: v1::Write) -> Result<(Content, Option<u32>)> {
    let mode = message.mode.map(mode_from_proto).transpose()?;
    Ok((content_from_proto(message.content)?, mode))
}

fn set_xattr_from_proto(message: v1::SetXattr) -> Result<Change> {
    if message.value.len() > XATTR_BYTES_MAX {
        return Err(refused(
            "xattr",
            format!("value is above {XATTR_BYTES_MAX} bytes"),
        ));
    }
    Ok(Change::SetXattr {
        name: xattr_name(message.name)?,
        value: message.value,
    })
}

fn conflict_ack_to_proto(change: &Change) -> v1::ConflictAck {
    let Change::ConflictAck {
        conflict_id,
        acked,
        note,
        by,
    } = change
    else {
        return v1::ConflictAck::default();
    };
    v1::ConflictAck {
        conflict_id: Bytes::copy_from_slice(conflict_id),
        acked: *acked,
        note: note.clone(),
        by: by.clone(),
    }
}

fn member_to_proto(change: &Change) -> v1::Member {
    let Change::Member {
        site_id,
        name,
        incarnation,
        state,
        final_cursors,
    } = change
    else {
        return v1::Member::default();
    };
    let cursor = |(stream, seq): &(u32, u64)| v1::StreamSeq {
        stream: *stream,
        seq: *seq,
    };
    v1::Member {
        site_id: u32::try_from(*site_id).unwrap_or(0),
        name: name.clone(),
        incarnation: *incarnation,
        state: member_state_to_proto(*state).into(),
        final_cursors: final_cursors.iter().map(cursor).collect(),
    }
}

/// Shared with the encoding of the state store.
pub(crate) fn horizon_to_proto(horizon: &Horizon) -> v1::Horizon {
    let ended = |(actor, digest): &(Actor, u64)| v1::EndedJournal {
        actor: Some(actor_to_proto(*actor)),
        digest: *digest,
    };
    v1::Horizon {
        through_us: horizon.through_us,
        live: horizon.live.iter().copied().map(actor_to_proto).collect(),
        ended: horizon.ended.iter().map(ended).collect(),
    }
}

/// Shared with the encoding of the state store.
pub(crate) fn horizon_from_proto(message: v1::Horizon) -> Result<Horizon> {
    let live = message.live.into_iter();
    let live = live.map(|actor| actor_from_proto(Some(actor)));
    let ended = message.ended.into_iter();
    let ended = ended.map(|ended| Ok((actor_from_proto(ended.actor)?, ended.digest)));
    Ok(Horizon {
        through_us: message.through_us,
        live: live.collect::<Result<_>>()?,
        ended: ended.collect::<Result<_>>()?,
    })
}

/// Lists of a horizon.
const HORIZON_LISTS: &[Field] = &[(2, Inside::Items(1, &[])), (3, Inside::Items(1, &[]))];

fn horizon_from_bytes(payload: &Bytes) -> Result<Horizon> {
    let too_many = || {
        Err(refused(
            "horizon",
            format!("more than {HORIZON_JOURNALS_MAX} journals"),
        ))
    };
    if weight(payload, HORIZON_LISTS) > 2 * room(HORIZON_JOURNALS_MAX) {
        return too_many();
    }
    let message: v1::Horizon = message(payload)?;
    if message.live.len() + message.ended.len() > HORIZON_JOURNALS_MAX {
        return too_many();
    }
    horizon_from_proto(message)
}

/// Shared with the encoding of the state store.
pub(crate) fn place_to_proto(place: &Place) -> v1::Place {
    v1::Place {
        parent: place.parent,
        name: place.name.bytes(),
    }
}

/// Shared with the encoding of the state store.
pub(crate) fn place_from_proto(message: Option<v1::Place>) -> Result<Place> {
    let place = message.ok_or_else(|| refused("place", "is missing"))?;
    if place.parent == 0 {
        return Err(refused("place", "parent inode 0 is not valid"));
    }
    Ok(Place {
        parent: place.parent,
        name: Name::new(place.name)?,
    })
}

/// Shared with the encoding of the state store.
pub(crate) fn time_to_proto(time: FileTime) -> v1::FileTime {
    v1::FileTime {
        seconds: time.seconds,
        nanos: time.nanos,
    }
}

/// Shared with the encoding of the state store.
pub(crate) fn time_from_proto(message: v1::FileTime) -> Result<FileTime> {
    if message.nanos > 999_999_999 {
        return Err(refused(
            "time",
            format!("{} nanoseconds make a second", message.nanos),
        ));
    }
    Ok(FileTime {
        seconds: message.seconds,
        nanos: message.nanos,
    })
}

fn mode_from_proto(mode: u32) -> Result<u32> {
    if mode > 0o7777 {
        return Err(refused("mode", format!("{mode:o} is above 7777")));
    }
    Ok(mode)
}

fn attr_to_proto(attr: &Attr) -> v1::Attr {
    v1::Attr {
        mode: attr.mode,
        owner: attr.owner.map(|owner| v1::Owner {
            uid: owner.uid,
            gid: owner.gid,
        }),
        mtime: attr.mtime.map(time_to_proto),
        flags: attr.flags,
    }
}

fn attr_from_proto(message: Option<v1::Attr>) -> Result<Attr> {
    let message = message.unwrap_or_default();
    Ok(Attr {
        mode: message.mode.map(mode_from_proto).transpose()?,
        owner: message.owner.map(|owner| Owner {
            uid: owner.uid,
            gid: owner.gid,
        }),
        mtime: message.mtime.map(time_from_proto).transpose()?,
        flags: message.flags,
    })
}

/// Shared with the encoding of the state store.
pub(crate) fn content_to_proto(content: &Content) -> v1::Content {
    let root = content.manifest_root;
    let empty = root == ManifestRoot::default();
    v1::Content {
        size: content.size,
        manifest_root: if empty {
            Bytes::new()
        } else {
            Bytes::copy_from_slice(&root.0)
        },
        mtime: Some(time_to_proto(content.mtime)),
        inline: content.inline.clone(),
    }
}

/// Shared with the encoding of the state store.
pub(crate) fn content_from_proto(message: Option<v1::Content>) -> Result<Content> {
    let message = message.ok_or_else(|| refused("content", "is missing"))?;
    let root = ManifestRoot(hash_from_proto("manifest root", &message.manifest_root)?);
    if let Some(inline) = &message.inline
        && (inline.len() > INLINE_BYTES_MAX || inline.len() as u64 != message.size)
    {
        let (got, size) = (inline.len(), message.size);
        return Err(refused(
            "inline content",
            format!("{got} bytes for a size of {size}"),
        ));
    }
    if message.size > 0 && root == ManifestRoot::default() {
        return Err(refused(
            "content",
            "a file with bytes needs a manifest root",
        ));
    }
    let size = i64::try_from(message.size).map_err(|_| refused("content", "size above 2^63"))?;
    Ok(Content {
        size: size.unsigned_abs(),
        manifest_root: root,
        mtime: time_from_proto(message.mtime.unwrap_or_default())?,
        inline: message.inline,
    })
}

/// Checks the name of an extended attribute.
pub(super) fn xattr_name(name: Bytes) -> Result<Bytes> {
    if name.is_empty() || name.len() > 255 || name.contains(&0) {
        return Err(refused("xattr name", "must be 1..=255 bytes without NUL"));
    }
    Ok(name)
}

fn conflict_ack_from_proto(message: v1::ConflictAck) -> Result<Change> {
    if message.note.len() > NOTE_BYTES_MAX || message.by.len() > NOTE_BYTES_MAX {
        return Err(refused(
            "acknowledgement",
            format!("text is above {NOTE_BYTES_MAX} bytes"),
        ));
    }
    let id: [u8; 32] = message.conflict_id[..]
        .try_into()
        .map_err(|_| refused("acknowledgement", "conflict id is not 32 bytes"))?;
    Ok(Change::ConflictAck {
        conflict_id: id,
        acked: message.acked,
        note: message.note,
        by: message.by,
    })
}

/// Shared with the encoding of the state store.
pub(crate) fn member_state_to_proto(state: MemberState) -> v1::MemberState {
    match state {
        MemberState::Active => v1::MemberState::Active,
        MemberState::Fenced => v1::MemberState::Fenced,
        MemberState::Removed => v1::MemberState::Removed,
    }
}

/// Shared with the encoding of the state store.
pub(crate) fn member_state_from_proto(state: v1::MemberState) -> Option<MemberState> {
    match state {
        v1::MemberState::Active => Some(MemberState::Active),
        v1::MemberState::Fenced => Some(MemberState::Fenced),
        v1::MemberState::Removed => Some(MemberState::Removed),
        v1::MemberState::Unspecified => None,
    }
}

/// Lists of a member entry.
const MEMBER_LISTS: &[Field] = &[(5, Inside::Items(1, &[]))];

fn member_from_proto(payload: &Bytes) -> Result<Change> {
    let streams_max = STREAM_COUNT as usize;
    let too_many = || {
        Err(refused(
            "member",
            format!("more than {STREAM_COUNT} streams"),
        ))
    };
    if weight(payload, MEMBER_LISTS) > room(streams_max) {
        return too_many();
    }
    let message: v1::Member = message(payload)?;
    if message.final_cursors.len() > streams_max {
        return too_many();
    }
    let state = member_state_from_proto(message.state())
        .ok_or_else(|| refused("member", format!("state {} is not known", message.state)))?;
    let site_id = u64::from(message.site_id);
    if site_id == 0 || site_id > SITE_ID_MAX || message.name.len() > 63 {
        return Err(refused("member", "site id or name is outside its range"));
    }
    Ok(Change::Member {
        site_id,
        name: message.name,
        incarnation: message.incarnation,
        state,
        final_cursors: message
            .final_cursors
            .iter()
            .map(|c| (c.stream, c.seq))
            .collect(),
    })
}
