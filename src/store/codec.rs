//! Pure: the values of the state store to bytes and back: one version byte, then a protobuf message.

use bytes::Bytes;
use prost::Message;

use crate::error::{ReplError, Result};
use crate::journal::codec::{
    actor_from_proto, actor_seq_from_proto, actor_seq_to_proto, actor_to_proto, content_from_proto,
    content_to_proto, place_from_proto, place_to_proto, time_from_proto, time_to_proto,
};
use crate::journal::dot::{Dot, LwwKey, Seen};
use crate::journal::op::{Content, FileTime, Owner, Place};
use crate::proto::{state as pb, v1};
use crate::sync::node::{DirMove, DirState, DirWrite, LinkPlace, Node, Unapplied};
use crate::sync::port::{DeviceImage, Image, NodeKind, ShownLink, Versioned};
use crate::sync::register::{Register, Version};

mod records;

pub(super) use records::{
    ack_from_bytes, ack_to_bytes, conflict_from_bytes, conflict_to_bytes, horizon_from_bytes,
    horizon_to_bytes, ids_from_bytes, ids_to_bytes, member_from_bytes, member_to_bytes,
    takeover_from_bytes, takeover_to_bytes,
};

/// The version of the encoding of `store.proto`.
pub(super) const VERSION: u8 = 1;

/// A message behind its version byte.
pub(super) fn seal(message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + message.encoded_len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes
}

/// The message behind its version byte.
pub(super) fn unseal<M: Message + Default>(bytes: &[u8]) -> Result<M> {
    match bytes.split_first() {
        Some((&VERSION, message)) => M::decode(message).map_err(|e| bad(e.to_string())),
        Some((version, _)) => Err(ReplError::VersionMismatch {
            what: "state store value".to_owned(),
            expected: VERSION.to_string(),
            got: u32::from(*version),
        }),
        None => Err(bad("is empty")),
    }
}

pub(super) fn bad(reason: impl Into<String>) -> ReplError {
    ReplError::serialization("state store value", reason)
}

/// A register value in the store.
trait Value: Sized {
    fn to_value(&self) -> pb::version::Value;
    fn from_value(value: pb::version::Value) -> Result<Self>;
}

macro_rules! value {
    ($type:ty, $variant:ident, $to:expr, $from:expr) => {
        impl Value for $type {
            fn to_value(&self) -> pb::version::Value {
                pb::version::Value::$variant($to(self))
            }

            fn from_value(value: pb::version::Value) -> Result<Self> {
                if let pb::version::Value::$variant(value) = value {
                    return $from(value);
                }
                Err(bad(concat!(
                    "expected a value of kind ",
                    stringify!($variant)
                )))
            }
        }
    };
}

value!(Content, Content, content_to_proto, |value| {
    content_from_proto(Some(value))
});
value!(u32, Number, |value: &u32| *value, Ok);
value!(
    FileTime,
    Time,
    |value: &FileTime| time_to_proto(*value),
    time_from_proto
);
value!(
    Owner,
    Owner,
    |value: &Owner| v1::Owner {
        uid: value.uid,
        gid: value.gid
    },
    |value: v1::Owner| Ok(Owner {
        uid: value.uid,
        gid: value.gid
    })
);
value!(
    Option<Bytes>,
    Xattr,
    |value: &Option<Bytes>| pb::XattrValue {
        value: value.clone()
    },
    |value: pb::XattrValue| Ok(value.value)
);
value!(
    Bytes,
    Xattr,
    |value: &Bytes| pb::XattrValue {
        value: Some(value.clone())
    },
    |value: pb::XattrValue| value
        .value
        .ok_or_else(|| bad("a shown attribute without a value"))
);
value!(
    LinkPlace,
    Place,
    |value: &LinkPlace| pb::PlaceValue {
        live: value.live,
        place: Some(place_to_proto(&value.place)),
    },
    |value: pb::PlaceValue| Ok(LinkPlace {
        live: value.live,
        place: place_from_proto(value.place)?,
    })
);
value!(
    DirWrite,
    Place,
    |value: &DirWrite| pb::PlaceValue {
        live: value.live,
        place: value.place.as_ref().map(place_to_proto),
    },
    |value: pb::PlaceValue| Ok(DirWrite {
        live: value.live,
        place: optional_place(value.place)?
    })
);

fn optional_place(place: Option<v1::Place>) -> Result<Option<Place>> {
    place.map(|place| place_from_proto(Some(place))).transpose()
}

fn version_to_proto<T: Value>(version: &Version<T>) -> pb::Version {
    let dot = version.dot();
    let others = version.seen.iter().filter(|(actor, _)| *actor != dot.actor);
    pb::Version {
        timestamp_us: version.key.timestamp_us,
        actor: Some(actor_to_proto(dot.actor)),
        stream: dot.stream,
        seq: dot.seq,
        hlc_us: if version.hlc_us == version.key.timestamp_us {
            0
        } else {
            version.hlc_us
        },
        seen: others
            .map(|(actor, seq)| actor_seq_to_proto(actor, seq))
            .collect(),
        value: Some(version.value.to_value()),
    }
}

fn version_from_proto<T: Value>(message: pb::Version) -> Result<Version<T>> {
    let actor = actor_from_proto(message.actor)?;
    let dot = Dot::new(actor, message.stream, message.seq);
    let mut seen = message
        .seen
        .into_iter()
        .map(actor_seq_from_proto)
        .collect::<Result<Seen>>()?;
    seen.set(actor, message.seq.saturating_sub(1));
    let stamp = message.timestamp_us;
    Ok(Version {
        key: LwwKey::new(stamp, dot),
        hlc_us: if message.hlc_us == 0 {
            stamp
        } else {
            message.hlc_us
        },
        seen,
        value: T::from_value(
            message
                .value
                .ok_or_else(|| bad("a version without a value"))?,
        )?,
    })
}

fn register_to_proto<T: Value>(register: &Register<T>) -> Option<pb::Register> {
    let versions: Vec<_> = register.versions().iter().map(version_to_proto).collect();
    let gone = register.gone().iter();
    let gone = gone
        .map(|(actor, seq)| actor_seq_to_proto(actor, seq))
        .collect();
    (!versions.is_empty()).then_some(pb::Register { versions, gone })
}

fn register_from_proto<T: Value>(message: Option<pb::Register>) -> Result<Register<T>> {
    let message = message.unwrap_or_default();
    let versions = message.versions.into_iter().map(version_from_proto);
    let gone = message.gone.into_iter().map(actor_seq_from_proto);
    let register = Register::from_versions(versions.collect::<Result<_>>()?);
    Ok(register.with_gone(gone.collect::<Result<_>>()?))
}

fn kind_to_proto(kind: Option<NodeKind>) -> i32 {
    match kind {
        None => pb::NodeKind::Unspecified,
        Some(NodeKind::File) => pb::NodeKind::File,
        Some(NodeKind::Dir) => pb::NodeKind::Dir,
        Some(NodeKind::Symlink) => pb::NodeKind::Symlink,
    }
    .into()
}

fn kind_from_proto(kind: pb::NodeKind) -> Option<NodeKind> {
    match kind {
        pb::NodeKind::Unspecified => None,
        pb::NodeKind::File => Some(NodeKind::File),
        pb::NodeKind::Dir => Some(NodeKind::Dir),
        pb::NodeKind::Symlink => Some(NodeKind::Symlink),
    }
}

fn key_to_proto(key: &LwwKey) -> pb::Key {
    let dot = key.dot();
    pb::Key {
        timestamp_us: key.timestamp_us,
        actor: Some(actor_to_proto(dot.actor)),
        stream: dot.stream,
        seq: dot.seq,
    }
}

fn key_from_proto(key: pb::Key) -> Result<LwwKey> {
    let dot = Dot::new(actor_from_proto(key.actor)?, key.stream, key.seq);
    Ok(LwwKey::new(key.timestamp_us, dot))
}

/// Encodes an inode.
pub(super) fn node_to_bytes(node: &Node) -> Vec<u8> {
    let xattr = |(name, register): (&Bytes, &Register<Option<Bytes>>)| pb::XattrRegister {
        name: name.clone(),
        register: register_to_proto(register),
    };
    let link = |(link, register): (&u64, &Register<LinkPlace>)| pb::LinkRegister {
        link: *link,
        register: register_to_proto(register),
    };
    let unapplied = |unapplied: &Unapplied| pb::Unapplied {
        merge_gen: unapplied.merge_gen,
        actor: Some(actor_to_proto(unapplied.actor)),
        seq: unapplied.seq,
    };
    seal(&pb::Node {
        kind: kind_to_proto(node.kind),
        target: node.target.clone(),
        content: register_to_proto(&node.content),
        mode: register_to_proto(&node.mode),
        owner: register_to_proto(&node.owner),
        times: register_to_proto(&node.times),
        flags: register_to_proto(&node.flags),
        xattrs: node.xattrs.iter().map(xattr).collect(),
        links: node.links.iter().map(link).collect(),
        dir: node.dir.as_ref().map(|dir| pb::DirState {
            register: register_to_proto(&dir.register),
            live_key: dir.live.as_ref().map(|(key, _)| key_to_proto(key)),
            live: dir.is_live(),
            birth_key: dir.birth.as_ref().map(|(key, _)| key_to_proto(key)),
            birth: dir.birth.as_ref().map(|(_, place)| place_to_proto(place)),
            current: dir.current.as_ref().map(place_to_proto),
            visible_children: dir.visible_children,
            changed_us: dir.changed_us,
        }),
        merge_gen: node.merge_gen,
        unapplied: node.unapplied.iter().map(unapplied).collect(),
        stamp_max_us: node.stamp_max_us,
        hlc_max_us: node.hlc_max_us,
    })
}

/// Decodes an inode.
pub(super) fn node_from_bytes(bytes: &[u8]) -> Result<Node> {
    let node: pb::Node = unseal(bytes)?;
    let kind = kind_from_proto(node.kind());
    let xattr = |item: pb::XattrRegister| Ok((item.name, register_from_proto(item.register)?));
    let link = |item: pb::LinkRegister| Ok((item.link, register_from_proto(item.register)?));
    let unapplied = |item: pb::Unapplied| {
        let actor = actor_from_proto(item.actor)?;
        Ok(Unapplied {
            merge_gen: item.merge_gen,
            actor,
            seq: item.seq,
        })
    };
    Ok(Node {
        kind,
        target: node.target,
        content: register_from_proto(node.content)?,
        mode: register_from_proto(node.mode)?,
        owner: register_from_proto(node.owner)?,
        times: register_from_proto(node.times)?,
        flags: register_from_proto(node.flags)?,
        xattrs: node.xattrs.into_iter().map(xattr).collect::<Result<_>>()?,
        links: node.links.into_iter().map(link).collect::<Result<_>>()?,
        dir: node.dir.map(dir_from_proto).transpose()?,
        merge_gen: node.merge_gen,
        unapplied: node
            .unapplied
            .into_iter()
            .map(unapplied)
            .collect::<Result<_>>()?,
        stamp_max_us: node.stamp_max_us,
        hlc_max_us: node.hlc_max_us,
    })
}

fn dir_from_proto(dir: pb::DirState) -> Result<DirState> {
    let live = dir
        .live_key
        .map(key_from_proto)
        .transpose()?
        .map(|key| (key, dir.live));
    let birth = match dir.birth_key {
        Some(key) => Some((key_from_proto(key)?, place_from_proto(dir.birth)?)),
        None => None,
    };
    Ok(DirState {
        register: register_from_proto(dir.register)?,
        live,
        birth,
        current: optional_place(dir.current)?,
        visible_children: dir.visible_children,
        changed_us: dir.changed_us,
    })
}

/// Encodes a directory move.
pub(super) fn move_to_bytes(dir_move: &DirMove) -> Vec<u8> {
    seal(&pb::DirMove {
        inode: dir_move.inode,
        to: Some(place_to_proto(&dir_move.to)),
        skipped: dir_move.skipped,
        before: dir_move.before.as_ref().map(place_to_proto),
        settled: dir_move.settled,
    })
}

/// Decodes a directory move.
pub(super) fn move_from_bytes(bytes: &[u8]) -> Result<DirMove> {
    let message: pb::DirMove = unseal(bytes)?;
    Ok(DirMove {
        inode: message.inode,
        to: place_from_proto(message.to)?,
        skipped: message.skipped,
        before: optional_place(message.before)?,
        settled: message.settled,
    })
}

fn shown_to_proto<T: Value>(shown: &Versioned<T>) -> pb::Version {
    pb::Version {
        actor: Some(actor_to_proto(shown.dot.actor)),
        stream: shown.dot.stream,
        seq: shown.dot.seq,
        value: Some(shown.value.to_value()),
        ..pb::Version::default()
    }
}

fn shown_from_proto<T: Value>(message: pb::Version) -> Result<Versioned<T>> {
    let dot = Dot::new(
        actor_from_proto(message.actor)?,
        message.stream,
        message.seq,
    );
    let value = T::from_value(
        message
            .value
            .ok_or_else(|| bad("a version without a value"))?,
    )?;
    Ok(Versioned { dot, value })
}

fn optional_shown<T: Value>(message: Option<pb::Version>) -> Result<Option<Versioned<T>>> {
    message.map(shown_from_proto).transpose()
}

/// Encodes what the connector shows of an inode.
pub(super) fn image_to_bytes(image: &Image) -> Vec<u8> {
    let link = |link: &ShownLink| pb::ShownLink {
        link: link.link,
        place: Some(v1::Place {
            parent: link.parent,
            name: link.name.bytes(),
        }),
        actor: Some(actor_to_proto(link.dot.actor)),
        stream: link.dot.stream,
        seq: link.dot.seq,
        explicit: link.explicit,
    };
    let xattr = |(name, shown): (&Bytes, &Versioned<Bytes>)| pb::XattrRegister {
        name: name.clone(),
        register: Some(pb::Register {
            versions: vec![shown_to_proto(shown)],
            gone: Vec::new(),
        }),
    };
    seal(&pb::Applied {
        kind: kind_to_proto(Some(image.kind)),
        links: image.links.iter().map(link).collect(),
        merged_into: image.merged_into.unwrap_or(0),
        content: image.content.as_ref().map(shown_to_proto),
        mode: image.mode.as_ref().map(shown_to_proto),
        owner: image.owner.as_ref().map(shown_to_proto),
        mtime: image.mtime.as_ref().map(shown_to_proto),
        flags: image.flags.as_ref().map(shown_to_proto),
        xattrs: image.xattrs.iter().map(xattr).collect(),
        target: image.target.clone(),
        order_us: image.order_us,
        merge_gen: image.merge_gen,
    })
}

/// Decodes what the connector shows of `inode`.
pub(super) fn image_from_bytes(inode: u64, bytes: &[u8]) -> Result<Image> {
    let message: pb::Applied = unseal(bytes)?;
    let kind = kind_from_proto(message.kind()).ok_or_else(|| bad("shown without a kind"))?;
    let link = |link: pb::ShownLink| {
        let place = place_from_proto(link.place)?;
        Ok(ShownLink {
            link: link.link,
            parent: place.parent,
            name: place.name,
            dot: Dot::new(actor_from_proto(link.actor)?, link.stream, link.seq),
            explicit: link.explicit,
        })
    };
    let xattr = |item: pb::XattrRegister| {
        let version = item
            .register
            .unwrap_or_default()
            .versions
            .into_iter()
            .next();
        Ok((
            item.name,
            shown_from_proto(version.ok_or_else(|| bad("no shown version"))?)?,
        ))
    };
    Ok(Image {
        inode,
        kind,
        links: message.links.into_iter().map(link).collect::<Result<_>>()?,
        merged_into: (message.merged_into != 0).then_some(message.merged_into),
        content: optional_shown(message.content)?,
        mode: optional_shown(message.mode)?,
        owner: optional_shown(message.owner)?,
        mtime: optional_shown(message.mtime)?,
        flags: optional_shown(message.flags)?,
        xattrs: message
            .xattrs
            .into_iter()
            .map(xattr)
            .collect::<Result<_>>()?,
        target: message.target,
        order_us: message.order_us,
        merge_gen: message.merge_gen,
    })
}

/// Encodes what a file looked like on the device.
pub(super) fn device_to_bytes(device: &DeviceImage) -> Vec<u8> {
    seal(&pb::Device {
        ino: device.ino,
        btime: Some(time_to_proto(device.btime)),
        ctime: Some(time_to_proto(device.ctime)),
        mtime: Some(time_to_proto(device.mtime)),
        size: device.size,
    })
}

/// Decodes what a file looked like on the device.
pub(super) fn device_from_bytes(bytes: &[u8]) -> Result<DeviceImage> {
    let message: pb::Device = unseal(bytes)?;
    let time = |time: Option<v1::FileTime>| time_from_proto(time.unwrap_or_default());
    Ok(DeviceImage {
        ino: message.ino,
        btime: time(message.btime)?,
        ctime: time(message.ctime)?,
        mtime: time(message.mtime)?,
        size: message.size,
    })
}
