//! Pure: the keys of the state store: a table byte, then big-endian numbers and names, so that byte order is the
//! order of the ranges.

use super::codec::bad;
use crate::error::Result;
use crate::journal::dot::{Actor, Dot, LwwKey};
use crate::journal::op::{FileTime, Name};
use crate::sync::node::Child;

/// The tables; the numbers are on disk and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Table {
    /// inode → node.
    Node = 1,
    /// parent, name, NUL, inode, link, directory or not → nothing.
    Child = 2,
    /// key → directory move.
    Move = 3,
    /// id → conflict record.
    Conflict = 4,
    /// inode → ids of its derived conflicts.
    Derived = 5,
    /// id → acknowledgement.
    Ack = 7,
    /// stream, site, incarnation → seq.
    Cursor = 8,
    /// inode → what the connector shows.
    Applied = 9,
    /// directory, name → inode, link.
    AppliedName = 10,
    /// inode → order.
    Dirty = 11,
    /// order, inode → nothing.
    DirtyOrder = 12,
    /// inode → reason.
    Parked = 13,
    /// inode → device image.
    Device = 14,
    /// ino, btime → inode.
    DeviceIndex = 15,
    /// name → number.
    Meta = 16,
    /// site, incarnation → part in the cluster.
    Member = 17,
    /// inode → order: its derived conflicts are to be looked at. (6 held them without an order.)
    Suspect = 18,
    /// order, inode → nothing.
    SuspectOrder = 19,
    /// nothing → the snapshot that is being taken over.
    Takeover = 20,
    /// place, key of another site's store → its value: a snapshot that is not merged yet.
    Aside = 21,
    /// site, incarnation → what that site said of itself last.
    Horizon = 22,
}

/// A key in the making.
#[derive(Debug, Clone)]
pub(super) struct Key(Vec<u8>);

impl Key {
    pub(super) fn of(table: Table) -> Self {
        Self(vec![table as u8])
    }

    pub(super) fn u64(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(super) fn u32(self, number: u32) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A name with more behind it: names hold no NUL, so one name is no prefix of another.
    pub(super) fn name(self, name: &Name) -> Self {
        self.bytes(name.as_bytes()).bytes(&[0])
    }

    pub(super) fn child(self, child: Child) -> Self {
        self.u64(child.inode)
            .u64(child.link)
            .bytes(&[u8::from(child.dir)])
    }

    pub(super) fn actor(self, actor: Actor) -> Self {
        self.u64(actor.site_id).u64(actor.incarnation)
    }

    pub(super) fn lww(self, key: &LwwKey) -> Self {
        let key_of_actor = self
            .u64(key.timestamp_us)
            .u64(key.site_id)
            .u64(key.incarnation);
        key_of_actor.u32(key.shard_id).u64(key.seq)
    }

    pub(super) fn time(self, time: FileTime) -> Self {
        self.bytes(&time.seconds.to_be_bytes()).u32(time.nanos)
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }

    /// Two numbers as a value.
    pub(super) fn pair(first: u64, second: u64) -> Vec<u8> {
        Self(Vec::new()).u64(first).u64(second).done()
    }
}

/// A key taken apart again.
#[derive(Debug)]
pub(super) struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn behind(key: &'a [u8], table: Table) -> Result<Self> {
        match key.split_first() {
            Some((first, rest)) if *first == table as u8 => Ok(Self(rest)),
            Some(_) | None => Err(bad("key of another table")),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self
            .0
            .split_first_chunk()
            .ok_or_else(|| bad("key is too short"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// A number as a value.
pub(super) fn number(value: &[u8]) -> Result<u64> {
    Parts::new(value).u64()
}

/// The name and the child in a key of the child table.
pub(super) fn child(key: &[u8]) -> Result<(Name, Child)> {
    let mut parts = Parts::behind(key, Table::Child)?;
    let _parent = parts.u64()?;
    let rest = parts.rest();
    let end = rest
        .iter()
        .position(|byte| *byte == 0)
        .ok_or_else(|| bad("no end of name"))?;
    let (name, tail) = rest.split_at(end);
    let mut tail = Parts::new(tail);
    let [_end] = tail.array()?;
    let (inode, link) = (tail.u64()?, tail.u64()?);
    let [dir] = tail.array()?;
    Ok((
        Name::new(name.to_vec())?,
        Child {
            inode,
            link,
            dir: dir == 1,
        },
    ))
}

/// The key in a key of the move table.
pub(super) fn lww(key: &[u8]) -> Result<LwwKey> {
    let mut parts = Parts::behind(key, Table::Move)?;
    let stamp = parts.u64()?;
    let actor = Actor::new(parts.u64()?, parts.u64()?);
    Ok(LwwKey::new(
        stamp,
        Dot::new(actor, parts.u32()?, parts.u64()?),
    ))
}
