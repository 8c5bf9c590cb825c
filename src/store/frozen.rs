//! What a store held at one moment, read in pages for another site, beside the loop that owns the store.
//!
//! What is local to a site stays with it: marks, what its connector shows, devices, log positions.

use bytes::Bytes;

use super::codec::{self, bad};
use super::key::{self, Key, Parts, Table};
use super::kv::Still;
use crate::error::Result;
use crate::journal::dot::{Actor, shard_of};
use crate::sync::conflict::ConflictId;
use crate::sync::level::Known;

/// What is sent, in the order of the tables' numbers.
const SENT: [Table; 5] = [
    Table::Node,
    Table::Move,
    Table::Conflict,
    Table::Ack,
    Table::Member,
];

/// A store at one moment. It stays as it is while the store goes on; the file keeps for so long what it needs.
#[derive(Debug)]
pub struct Frozen(pub(super) Still);

/// Keys and values, by key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The items.
    pub items: Vec<(Bytes, Bytes)>,
    /// Nothing is behind them.
    pub is_last: bool,
}

impl Frozen {
    /// What is behind the key `after`, as far as it fits: at most `items_max` items, and no more once they have
    /// `bytes_max` bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn page(&self, after: &[u8], bytes_max: usize, items_max: usize) -> Result<Page> {
        let mut page = Page::default();
        let mut bytes = 0;
        for table in SENT {
            let prefix = Key::of(table).done();
            if after.first().is_some_and(|behind| *behind > table as u8) {
                continue;
            }
            let after = Some(after).filter(|after| after.starts_with(&prefix));
            let mut is_full = false;
            self.0.scan(&prefix, after, |key, value| {
                is_full = bytes >= bytes_max || page.items.len() >= items_max;
                if !is_full {
                    bytes += key.len() + value.len();
                    let item = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                    page.items.push(item);
                }
                Ok(!is_full)
            })?;
            if is_full {
                return Ok(page);
            }
        }
        page.is_last = true;
        Ok(page)
    }
}

/// What an item of another site's snapshot says.
///
/// # Errors
/// [`crate::error::ReplError::Serialization`] when it says nothing, or what cannot be.
pub fn known(key: &[u8], value: &[u8]) -> Result<Known> {
    let table = key.first().and_then(|first| {
        let mut sent = SENT.into_iter();
        sent.find(|table| *table as u8 == *first)
    });
    match table {
        Some(Table::Node) => {
            let inode = Parts::behind(key, Table::Node)?.u64()?;
            let node = codec::node_from_bytes(value)?;
            if node.dots().any(|dot| dot.stream != shard_of(inode)) {
                return Err(bad(format!(
                    "versions of inode {inode} are of another shard"
                )));
            }
            let node = Box::new(node);
            Ok(Known::Node { inode, node })
        }
        Some(Table::Move) => {
            let (key, moved) = (key::lww(key)?, codec::move_from_bytes(value)?);
            if key.shard_id != shard_of(moved.inode) {
                let inode = moved.inode;
                return Err(bad(format!("a move of inode {inode} is of another shard")));
            }
            Ok(Known::Move {
                key,
                inode: moved.inode,
                to: moved.to,
                settled: moved.settled,
            })
        }
        Some(Table::Conflict) => {
            let id = ConflictId(Parts::behind(key, Table::Conflict)?.array()?);
            let record = codec::conflict_from_bytes(id, value)?;
            let (kind, loser) = (record.kind, record.loser.dot());
            let named = ConflictId::new(kind, record.inode, &record.register, loser);
            // Bytes that were written late have no entry, and are named by their hash.
            if id != named && loser.seq != 0 {
                return Err(bad(format!("conflict {id} is called {named}")));
            }
            Ok(Known::Conflict(Box::new(record)))
        }
        Some(Table::Ack) => {
            let id = ConflictId(Parts::behind(key, Table::Ack)?.array()?);
            let ack = codec::ack_from_bytes(value)?;
            Ok(Known::Ack { id, ack })
        }
        Some(Table::Member) => {
            let mut parts = Parts::behind(key, Table::Member)?;
            let actor = Actor::new(parts.u64()?, parts.u64()?);
            let record = codec::member_from_bytes(value)?;
            Ok(Known::Member { actor, record })
        }
        Some(
            Table::Child
            | Table::Derived
            | Table::Cursor
            | Table::Applied
            | Table::AppliedName
            | Table::Dirty
            | Table::DirtyOrder
            | Table::Parked
            | Table::Device
            | Table::DeviceIndex
            | Table::Meta
            | Table::Suspect
            | Table::SuspectOrder
            | Table::Takeover
            | Table::Aside
            | Table::Horizon,
        )
        | None => Err(bad("an item of a snapshot that is not known here")),
    }
}
