//! Pure: conflict records, acknowledgements and members as values of the state store.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Value, bad, key_from_proto, key_to_proto, seal, unseal};
use crate::error::Result;
use crate::journal::codec::{
    actor_from_proto, actor_to_proto, horizon_from_proto, horizon_to_proto,
    member_state_from_proto, member_state_to_proto, reached_from_proto, reached_to_proto,
    register_dot_from_proto, register_dot_to_proto,
};
use crate::journal::entry::RegisterDot;
use crate::journal::op::Horizon;
use crate::proto::{state as pb, v1};
use crate::sync::conflict::{Ack, ConflictId, ConflictKind, ConflictRecord, LostValue};
use crate::sync::level::Takeover;
use crate::sync::member::MemberRecord;

/// The kinds by their number in the store, from 1.
const KINDS: [ConflictKind; 8] = [
    ConflictKind::Register,
    ConflictKind::WriteUnlink,
    ConflictKind::NameClash,
    ConflictKind::RmdirCreate,
    ConflictKind::MoveCycle,
    ConflictKind::SuidDropped,
    ConflictKind::ContentLost,
    ConflictKind::Merged,
];

/// Encodes a conflict record.
pub(in crate::store) fn conflict_to_bytes(record: &ConflictRecord) -> Vec<u8> {
    let kind = KINDS
        .iter()
        .position(|kind| *kind == record.kind)
        .unwrap_or(0)
        + 1;
    let loser = record.loser.dot();
    let register = RegisterDot {
        register: record.register.clone(),
        actor: loser.actor,
        seq: loser.seq,
    };
    seal(&pb::Conflict {
        kind: u32::try_from(kind).unwrap_or(0),
        inode: record.inode,
        register: Some(register_dot_to_proto(&register)),
        loser: Some(key_to_proto(&record.loser)),
        winner: record.winner.as_ref().map(key_to_proto),
        detected_at_us: record.detected_at_us,
        lost: lost_to_value(&record.lost).map(|value| pb::Version {
            value: Some(value),
            ..pb::Version::default()
        }),
        superseded: record.superseded,
    })
}

/// Decodes the conflict record `id`.
pub(in crate::store) fn conflict_from_bytes(
    id: ConflictId,
    bytes: &[u8],
) -> Result<ConflictRecord> {
    let message: pb::Conflict = unseal(bytes)?;
    let at = usize::try_from(message.kind).unwrap_or(0).checked_sub(1);
    let kind = at.and_then(|at| KINDS.get(at)).copied();
    let register: v1::RegisterDot = message.register.ok_or_else(|| bad("no register"))?;
    let register = register_dot_from_proto(register)?.register;
    let loser = key_from_proto(message.loser.ok_or_else(|| bad("no loser"))?)?;
    let value = message.lost.and_then(|version| version.value);
    let flags = register == crate::journal::RegisterId::Flags;
    Ok(ConflictRecord {
        id,
        kind: kind.ok_or_else(|| bad("unknown kind of conflict"))?,
        inode: message.inode,
        register,
        loser,
        winner: message.winner.map(key_from_proto).transpose()?,
        detected_at_us: message.detected_at_us,
        lost: lost_from_value(value, flags)?,
        superseded: message.superseded,
    })
}

fn lost_to_value(lost: &LostValue) -> Option<pb::version::Value> {
    Some(match lost {
        LostValue::Unknown => return None,
        LostValue::Content(content) => content.to_value(),
        LostValue::Mode(number) | LostValue::Flags(number) => number.to_value(),
        LostValue::Owner(owner) => owner.to_value(),
        LostValue::Times(time) => time.to_value(),
        LostValue::Xattr(value) => value.to_value(),
        LostValue::Place { live, place } => crate::sync::node::DirWrite {
            live: *live,
            place: place.clone(),
        }
        .to_value(),
    })
}

fn lost_from_value(value: Option<pb::version::Value>, flags: bool) -> Result<LostValue> {
    use pb::version::Value as V;
    Ok(match value {
        None => LostValue::Unknown,
        Some(value @ V::Content(_)) => LostValue::Content(Value::from_value(value)?),
        Some(V::Number(number)) if flags => LostValue::Flags(number),
        Some(V::Number(number)) => LostValue::Mode(number),
        Some(value @ V::Owner(_)) => LostValue::Owner(Value::from_value(value)?),
        Some(value @ V::Time(_)) => LostValue::Times(Value::from_value(value)?),
        Some(value @ V::Xattr(_)) => LostValue::Xattr(Value::from_value(value)?),
        Some(value @ V::Place(_)) => {
            let written = crate::sync::node::DirWrite::from_value(value)?;
            LostValue::Place {
                live: written.live,
                place: written.place,
            }
        }
    })
}

/// Encodes an acknowledgement.
pub(in crate::store) fn ack_to_bytes(ack: &Ack) -> Vec<u8> {
    seal(&pb::Ack {
        at_us: ack.at_us,
        by: ack.by.clone(),
        note: ack.note.clone(),
        key: Some(key_to_proto(&ack.key)),
        acked: ack.acked,
    })
}

/// Decodes an acknowledgement.
pub(in crate::store) fn ack_from_bytes(bytes: &[u8]) -> Result<Ack> {
    let message: pb::Ack = unseal(bytes)?;
    Ok(Ack {
        at_us: message.at_us,
        by: message.by,
        note: message.note,
        key: key_from_proto(message.key.ok_or_else(|| bad("no order"))?)?,
        acked: message.acked,
    })
}

/// Encodes a member.
pub(in crate::store) fn member_to_bytes(record: &MemberRecord) -> Vec<u8> {
    seal(&pb::Member {
        name: record.name.clone(),
        state: member_state_to_proto(record.state).into(),
        key: Some(key_to_proto(&record.key)),
        founder: record.founder,
    })
}

/// Decodes a member.
pub(in crate::store) fn member_from_bytes(bytes: &[u8]) -> Result<MemberRecord> {
    let message: pb::Member = unseal(bytes)?;
    let state = member_state_from_proto(message.state());
    Ok(MemberRecord {
        state: state.ok_or_else(|| bad("state of a member is not known"))?,
        name: message.name,
        key: key_from_proto(message.key.ok_or_else(|| bad("no order"))?)?,
        founder: message.founder,
    })
}

/// Encodes what a site said of itself.
pub(in crate::store) fn horizon_to_bytes(hlc_us: u64, said: &Horizon) -> Vec<u8> {
    seal(&pb::Horizon {
        hlc_us,
        said: Some(horizon_to_proto(said)),
    })
}

/// Decodes what a site said of itself.
pub(in crate::store) fn horizon_from_bytes(bytes: &[u8]) -> Result<(u64, Horizon)> {
    let message: pb::Horizon = unseal(bytes)?;
    let said = message.said.ok_or_else(|| bad("nothing was said"))?;
    Ok((message.hlc_us, horizon_from_proto(said)?))
}

/// Encodes how far a snapshot is taken over.
pub(in crate::store) fn takeover_to_bytes(takeover: &Takeover) -> Vec<u8> {
    seal(&pb::Takeover {
        source: Some(actor_to_proto(takeover.source)),
        no: takeover.no,
        reach: takeover.reach.iter().map(reached_to_proto).collect(),
        after: takeover.after.clone(),
        items: takeover.items,
        place: takeover.place,
        is_whole: takeover.is_whole,
        is_base: takeover.is_base,
    })
}

/// Decodes how far a snapshot is taken over.
pub(in crate::store) fn takeover_from_bytes(bytes: &[u8]) -> Result<Takeover> {
    let message: pb::Takeover = unseal(bytes)?;
    let reach = |reach: v1::SnapshotReach| reached_from_proto(reach.actor, reach.positions);
    Ok(Takeover {
        source: actor_from_proto(message.source)?,
        reach: message
            .reach
            .into_iter()
            .map(reach)
            .collect::<Result<_>>()?,
        no: message.no,
        after: message.after,
        items: message.items,
        place: message.place,
        is_whole: message.is_whole,
        is_base: message.is_base,
    })
}

/// Encodes a set of conflict ids.
pub(in crate::store) fn ids_to_bytes(ids: &BTreeSet<ConflictId>) -> Vec<u8> {
    seal(&pb::ConflictIds {
        ids: ids.iter().map(|id| Bytes::copy_from_slice(&id.0)).collect(),
    })
}

/// Decodes a set of conflict ids.
pub(in crate::store) fn ids_from_bytes(bytes: &[u8]) -> Result<BTreeSet<ConflictId>> {
    let message: pb::ConflictIds = unseal(bytes)?;
    let id = |id: Bytes| {
        let bytes: [u8; 32] = id[..]
            .try_into()
            .map_err(|_| bad("an id is not 32 bytes"))?;
        Ok(ConflictId(bytes))
    };
    message.ids.into_iter().map(id).collect()
}
