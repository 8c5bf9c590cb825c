//! The durable state of a site: one embedded store behind one module, so that it can be exchanged.
//!
//! It is a view of the logs that may lag behind them. Changes gather in memory and are committed together with the
//! log positions up to which they were made; after a crash the logs are replayed from there. Keys are made so that
//! every range the merge asks for is one contiguous run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::disk::SharedDisk;
use crate::error::Result;
use crate::journal::dot::{Actor, LwwKey, Seen};
use crate::journal::op::{FileTime, Horizon, Name};
use crate::sync::conflict::{Ack, ConflictId, ConflictRecord};
use crate::sync::level::Takeover;
use crate::sync::member::{Member, MemberRecord};
use crate::sync::node::{Child, DirMove, Node};
use crate::sync::port::{DeviceImage, Image};
use crate::sync::state::State;

mod cached;
mod codec;
mod frozen;
mod key;
mod kv;

pub use frozen::{Frozen, Page, known};

use cached::Cached;
use key::{Key, Table};

/// Number of conflicts that are open.
const OPEN_CONFLICTS: &str = "conflicts/open";
/// Number of conflicts on record.
const ALL_CONFLICTS: &str = "conflicts/all";
/// Set once the two above are right.
const COUNTED: &str = "conflicts/counted";

/// The state of one site on disk. One loop owns it.
#[derive(Debug)]
pub struct Store {
    kv: kv::Kv,
    nodes: Cached<Node>,
    applied: Cached<Image>,
    /// Every entry that is made or merged asks for these, and they are few.
    cursors: BTreeMap<u32, Seen>,
    fresh: Fresh,
}

/// What became of conflicts since somebody asked last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fresh {
    /// The first that were recorded, at most [`FRESH_MAX`].
    pub ids: Vec<ConflictId>,
    /// How many more were.
    pub more: u64,
    /// The first that were on record and were acknowledged at any site, settled, or opened again; at most
    /// [`CHANGED_MAX`], and one may be named twice.
    pub changed: Vec<ConflictId>,
    /// How many more were.
    pub more_changed: u64,
}

impl Fresh {
    fn change(&mut self, id: ConflictId) {
        if self.changed.len() < CHANGED_MAX {
            self.changed.push(id);
        } else {
            self.more_changed += 1;
        }
    }
}

/// The version of what a store holds.
pub const FORMAT: u8 = codec::VERSION;

/// New conflicts that are remembered by id for whoever tells of them.
pub const FRESH_MAX: usize = 1_024;

/// Changed conflicts that are remembered by id: fewer, because one command acknowledges thousands.
pub const CHANGED_MAX: usize = 128;

impl Store {
    /// Opens the store in the file `path` of `disk`, made when it is missing.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, or is in use by another process.
    pub fn open(disk: &SharedDisk, path: &Path) -> Result<Self> {
        let mut store = Self {
            kv: kv::Kv::open(disk, path)?,
            nodes: Cached::new(Table::Node, codec::node_to_bytes, |_, bytes| {
                codec::node_from_bytes(bytes)
            }),
            applied: Cached::new(
                Table::Applied,
                codec::image_to_bytes,
                codec::image_from_bytes,
            ),
            cursors: BTreeMap::new(),
            fresh: Fresh::default(),
        };
        store.load_cursors()?;
        store.count_conflicts()?;
        Ok(store)
    }

    /// Makes everything since the last commit durable, in one transaction.
    ///
    /// # Errors
    /// When the disk refuses. The store is then dropped and opened again: what was not committed is replayed.
    pub fn commit(&mut self) -> Result<()> {
        self.nodes.flush(&mut self.kv);
        self.applied.flush(&mut self.kv);
        self.kv.commit()
    }

    /// Bytes that wait for [`Store::commit`], but for those of the last changes, which are not encoded yet.
    #[must_use]
    pub const fn pending_bytes(&self) -> usize {
        self.kv.pending_bytes()
    }

    /// The conflicts that were recorded since this was asked last. After a crash some come again.
    pub fn take_fresh(&mut self) -> Fresh {
        std::mem::take(&mut self.fresh)
    }

    /// What is committed, as it is now, for another site.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn freeze(&self) -> Result<Frozen> {
        self.kv.still().map(Frozen)
    }

    /// The snapshot of another site that is being taken over.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn takeover(&self) -> Result<Option<Takeover>> {
        let key = Key::of(Table::Takeover).done();
        self.decoded(&key, codec::takeover_from_bytes)
    }

    /// Notes how far that is. None: it is merged, or given up.
    pub fn set_takeover(&mut self, takeover: Option<&Takeover>) {
        let key = Key::of(Table::Takeover).done();
        self.kv.put(key, takeover.map(codec::takeover_to_bytes));
    }

    /// Puts an item of another site's snapshot aside, under `place`.
    pub fn put_aside(&mut self, place: u64, key: &[u8], value: &[u8]) {
        let key = Key::of(Table::Aside).u64(place).bytes(key).done();
        self.kv.put(key, Some(value.to_vec()));
    }

    /// The first items that were put aside under `place`, by key; at most `max`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn aside(&self, place: u64, max: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let prefix = Key::of(Table::Aside).u64(place).done();
        let mut items = Vec::new();
        self.kv.scan(&prefix, None, |key, value| {
            let key = key.get(prefix.len()..).unwrap_or_default();
            items.push((key.to_vec(), value.to_vec()));
            Ok(items.len() < max)
        })?;
        Ok(items)
    }

    /// Whether anything is put aside.
    #[cfg(test)]
    pub(crate) fn has_aside(&self) -> Result<bool> {
        let mut has_any = false;
        self.kv.scan(&Key::of(Table::Aside).done(), None, |_, _| {
            has_any = true;
            Ok(false)
        })?;
        Ok(has_any)
    }

    /// Forgets an item that was put aside.
    pub fn clear_aside(&mut self, place: u64, key: &[u8]) {
        let key = Key::of(Table::Aside).u64(place).bytes(key).done();
        self.kv.put(key, None);
    }

    /// Forgets what was put aside under places before `place`, at most `max` items. False: that was all.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn clear_before(&mut self, place: u64, max: usize) -> Result<bool> {
        let mut keys = Vec::new();
        self.kv
            .scan(&Key::of(Table::Aside).done(), None, |key, _| {
                let is_before = key::Parts::behind(key, Table::Aside)?.u64()? < place;
                if is_before {
                    keys.push(key.to_vec());
                }
                Ok(is_before && keys.len() < max)
            })?;
        let is_more = keys.len() == max;
        for key in keys {
            self.kv.put(key, None);
        }
        Ok(is_more)
    }

    /// Nothing waits for [`Store::commit`].
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.kv.is_clean() && self.nodes.is_clean() && self.applied.is_clean()
    }

    /// A number kept under a name, such as a log position; zero when it was never set.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn number(&self, name: &str) -> Result<u64> {
        let value = self
            .kv
            .get(&Key::of(Table::Meta).bytes(name.as_bytes()).done())?;
        value.map_or(Ok(0), |value| key::number(&value))
    }

    /// Sets a number.
    pub fn set_number(&mut self, name: &str, number: u64) {
        let key = Key::of(Table::Meta).bytes(name.as_bytes()).done();
        self.kv.put(key, Some(number.to_be_bytes().to_vec()));
    }

    /// All numbers whose names start with `prefix`, with the rest of their names.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn numbers(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let mut numbers = Vec::new();
        let start = Key::of(Table::Meta).bytes(prefix.as_bytes()).done();
        self.kv.scan(&start, None, |key, value| {
            let rest = key.get(start.len()..).unwrap_or_default();
            let rest = String::from_utf8_lossy(rest).into_owned();
            numbers.push((rest, key::number(value)?));
            Ok(true)
        })?;
        Ok(numbers)
    }

    /// All numbers of a file whose names start with `prefix`, with the rest of their names, without opening it as
    /// [`Store::open`] does: nothing in it is changed.
    ///
    /// # Errors
    /// When the file is missing, in use, was not closed by whoever had it, or cannot be read.
    pub fn peek_numbers(path: &Path, prefix: &str) -> Result<Vec<(String, u64)>> {
        let start = Key::of(Table::Meta).bytes(prefix.as_bytes()).done();
        let number = |(key, value): (Vec<u8>, Vec<u8>)| {
            let rest = key.get(start.len()..).unwrap_or_default();
            let rest = String::from_utf8_lossy(rest).into_owned();
            Ok((rest, key::number(&value)?))
        };
        kv::peek(path, &start)?.into_iter().map(number).collect()
    }

    /// Forgets a number.
    pub fn remove_number(&mut self, name: &str) {
        let key = Key::of(Table::Meta).bytes(name.as_bytes()).done();
        self.kv.put(key, None);
    }

    fn load_cursors(&mut self) -> Result<()> {
        let Self { kv, cursors, .. } = self;
        kv.scan(&Key::of(Table::Cursor).done(), None, |key, value| {
            let mut parts = key::Parts::behind(key, Table::Cursor)?;
            let stream = parts.u32()?;
            let actor = Actor::new(parts.u64()?, parts.u64()?);
            let seen = cursors.entry(stream).or_default();
            seen.set(actor, key::number(value)?);
            Ok(true)
        })
    }

    /// Counts what a store holds that was made before there were counters.
    fn count_conflicts(&mut self) -> Result<()> {
        if self.number(COUNTED)? != 0 {
            return Ok(());
        }
        let records = self.conflicts()?;
        let mut open = 0;
        for record in &records {
            open += u64::from(record.is_open(self.ack(record.id)?.as_ref()));
        }
        self.set_number(OPEN_CONFLICTS, open);
        self.set_number(ALL_CONFLICTS, records.len() as u64);
        self.set_number(COUNTED, 1);
        Ok(())
    }

    /// Moves the counters from what a conflict was to what it is.
    fn recount(&mut self, was_open: bool, is_open: bool, is_new: bool) -> Result<()> {
        if was_open != is_open {
            let open = self.number(OPEN_CONFLICTS)?;
            let open = if is_open {
                open + 1
            } else {
                open.saturating_sub(1)
            };
            self.set_number(OPEN_CONFLICTS, open);
        }
        if is_new {
            let all = self.number(ALL_CONFLICTS)?;
            self.set_number(ALL_CONFLICTS, all + 1);
        }
        Ok(())
    }

    fn member_key(actor: Actor) -> Vec<u8> {
        Key::of(Table::Member).actor(actor).done()
    }

    fn inode_key(table: Table, inode: u64) -> Vec<u8> {
        Key::of(table).u64(inode).done()
    }

    fn decoded<T>(&self, key: &[u8], decode: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        self.kv.get(key)?.map(|value| decode(&value)).transpose()
    }

    /// Marks an inode in a table of marks and in the one that orders them, or takes the mark away.
    fn set_order(
        &mut self,
        marks: Table,
        by_order: Table,
        inode: u64,
        order_us: Option<u64>,
    ) -> Result<()> {
        let key = Self::inode_key(marks, inode);
        let old = self.decoded(&key, key::number)?;
        if old == order_us {
            return Ok(());
        }
        let ordered = |order| Key::of(by_order).u64(order).u64(inode).done();
        if let Some(old) = old {
            self.kv.put(ordered(old), None);
        }
        if let Some(order) = order_us {
            self.kv.put(ordered(order), Some(Vec::new()));
        }
        let value = order_us.map(|order| order.to_be_bytes().to_vec());
        self.kv.put(key, value);
        Ok(())
    }

    /// Puts a marked inode into the order of the marked ones, or takes it out: parked ones, of which there can be as
    /// many as files that wait for content, are not walked over by whoever looks for work.
    fn show_dirty(&mut self, inode: u64, is_shown: bool) -> Result<()> {
        let order = self.decoded(&Self::inode_key(Table::Dirty, inode), key::number)?;
        if let Some(order) = order {
            let key = Key::of(Table::DirtyOrder).u64(order).u64(inode).done();
            self.kv.put(key, is_shown.then(Vec::new));
        }
        Ok(())
    }

    fn name_key(directory: u64, name: &Name) -> Vec<u8> {
        Key::of(Table::AppliedName)
            .u64(directory)
            .bytes(name.as_bytes())
            .done()
    }
}

impl State for Store {
    fn node(&self, inode: u64) -> Result<Option<Arc<Node>>> {
        self.nodes.get(&self.kv, inode)
    }

    fn set_node(&mut self, inode: u64, node: Node) -> Result<()> {
        self.nodes.set(&mut self.kv, inode, Some(node));
        Ok(())
    }

    fn remove_node(&mut self, inode: u64) -> Result<()> {
        self.nodes.set(&mut self.kv, inode, None);
        Ok(())
    }

    fn nodes_after(&mut self, inode: u64, limit: usize) -> Result<Vec<(u64, Node)>> {
        // Beside the cache, in which a walk would leave nothing else.
        self.nodes.flush(&mut self.kv);
        let (mut nodes, behind) = (Vec::new(), Self::inode_key(Table::Node, inode));
        let prefix = Key::of(Table::Node).done();
        self.kv.scan(&prefix, Some(&behind), |key, value| {
            let inode = key::Parts::behind(key, Table::Node)?.u64()?;
            nodes.push((inode, codec::node_from_bytes(value)?));
            Ok(nodes.len() < limit)
        })?;
        Ok(nodes)
    }

    fn children_at(&self, parent: u64, name: &Name) -> Result<Vec<Child>> {
        let prefix = Key::of(Table::Child).u64(parent).name(name).done();
        let mut children = Vec::new();
        self.kv.scan(&prefix, None, |key, _| {
            children.push(key::child(key)?.1);
            Ok(true)
        })?;
        Ok(children)
    }

    fn children_of(&self, parent: u64) -> Result<Vec<(Name, Child)>> {
        let mut children = Vec::new();
        self.kv
            .scan(&Key::of(Table::Child).u64(parent).done(), None, |key, _| {
                children.push(key::child(key)?);
                Ok(true)
            })?;
        Ok(children)
    }

    fn has_children(&self, parent: u64) -> Result<bool> {
        let mut any = false;
        self.kv
            .scan(&Key::of(Table::Child).u64(parent).done(), None, |_, _| {
                any = true;
                Ok(false)
            })?;
        Ok(any)
    }

    fn set_child(&mut self, parent: u64, name: &Name, child: Child, present: bool) -> Result<()> {
        let key = Key::of(Table::Child)
            .u64(parent)
            .name(name)
            .child(child)
            .done();
        self.kv.put(key, present.then(Vec::new));
        Ok(())
    }

    fn dir_move(&self, key: LwwKey) -> Result<Option<DirMove>> {
        self.decoded(
            &Key::of(Table::Move).lww(&key).done(),
            codec::move_from_bytes,
        )
    }

    fn dir_moves_after(&self, key: LwwKey) -> Result<Vec<(LwwKey, DirMove)>> {
        let after = Key::of(Table::Move).lww(&key).done();
        let mut moves = Vec::new();
        self.kv
            .scan(&Key::of(Table::Move).done(), Some(&after), |key, value| {
                moves.push((key::lww(key)?, codec::move_from_bytes(value)?));
                Ok(true)
            })?;
        Ok(moves)
    }

    fn set_dir_move(&mut self, key: LwwKey, dir_move: &DirMove) -> Result<()> {
        self.kv.put(
            Key::of(Table::Move).lww(&key).done(),
            Some(codec::move_to_bytes(dir_move)),
        );
        Ok(())
    }

    fn dir_moves_through(
        &self,
        after: LwwKey,
        through_us: u64,
        limit: usize,
    ) -> Result<Vec<(LwwKey, DirMove)>> {
        let (mut moves, after) = (Vec::new(), Key::of(Table::Move).lww(&after).done());
        self.kv
            .scan(&Key::of(Table::Move).done(), Some(&after), |key, value| {
                let key = key::lww(key)?;
                let is_old = key.timestamp_us <= through_us;
                if is_old {
                    moves.push((key, codec::move_from_bytes(value)?));
                }
                Ok(is_old && moves.len() < limit)
            })?;
        Ok(moves)
    }

    fn remove_dir_move(&mut self, key: LwwKey) -> Result<()> {
        self.kv.put(Key::of(Table::Move).lww(&key).done(), None);
        Ok(())
    }

    fn conflict(&self, id: ConflictId) -> Result<Option<ConflictRecord>> {
        let key = Key::of(Table::Conflict).bytes(&id.0).done();
        self.decoded(&key, |value| codec::conflict_from_bytes(id, value))
    }

    fn set_conflict(&mut self, record: &ConflictRecord) -> Result<()> {
        let old = self.conflict(record.id)?;
        let ack = self.ack(record.id)?;
        let was_open = old.as_ref().is_some_and(|old| old.is_open(ack.as_ref()));
        self.recount(was_open, record.is_open(ack.as_ref()), old.is_none())?;
        if old.is_none() && self.fresh.ids.len() < FRESH_MAX {
            self.fresh.ids.push(record.id);
        } else if old.is_none() {
            self.fresh.more += 1;
        } else if was_open && record.superseded {
            self.fresh.change(record.id);
        }
        let key = Key::of(Table::Conflict).bytes(&record.id.0).done();
        self.kv.put(key, Some(codec::conflict_to_bytes(record)));
        Ok(())
    }

    fn conflict_counts(&self) -> Result<(u64, u64)> {
        Ok((self.number(OPEN_CONFLICTS)?, self.number(ALL_CONFLICTS)?))
    }

    fn member(&self, actor: Actor) -> Result<Option<MemberRecord>> {
        self.decoded(&Self::member_key(actor), codec::member_from_bytes)
    }

    fn set_member(&mut self, actor: Actor, record: &MemberRecord) -> Result<()> {
        let value = codec::member_to_bytes(record);
        self.kv.put(Self::member_key(actor), Some(value));
        Ok(())
    }

    fn members(&self) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        self.kv
            .scan(&Key::of(Table::Member).done(), None, |key, value| {
                let mut parts = key::Parts::behind(key, Table::Member)?;
                let actor = Actor::new(parts.u64()?, parts.u64()?);
                members.push((actor, codec::member_from_bytes(value)?));
                Ok(true)
            })?;
        Ok(members)
    }

    fn conflicts_from(&self, from: ConflictId, limit: usize) -> Result<Vec<ConflictRecord>> {
        let mut records = Vec::new();
        if limit == 0 {
            return Ok(records);
        }
        // The scan begins behind a key; the first one of all begins with the prefix.
        if from != ConflictId::default() {
            records.extend(self.conflict(from)?);
        }
        let behind = Key::of(Table::Conflict).bytes(&from.0).done();
        let prefix = Key::of(Table::Conflict).done();
        self.kv.scan(&prefix, Some(&behind), |key, value| {
            if records.len() >= limit {
                return Ok(false);
            }
            let id = ConflictId(key::Parts::behind(key, Table::Conflict)?.array()?);
            records.push(codec::conflict_from_bytes(id, value)?);
            Ok(true)
        })?;
        Ok(records)
    }

    fn ack(&self, id: ConflictId) -> Result<Option<Ack>> {
        self.decoded(
            &Key::of(Table::Ack).bytes(&id.0).done(),
            codec::ack_from_bytes,
        )
    }

    fn set_ack(&mut self, id: ConflictId, ack: &Ack) -> Result<()> {
        if let Some(record) = self.conflict(id)? {
            let was_open = record.is_open(self.ack(id)?.as_ref());
            self.recount(was_open, record.is_open(Some(ack)), false)?;
            self.fresh.change(id);
        }
        self.kv.put(
            Key::of(Table::Ack).bytes(&id.0).done(),
            Some(codec::ack_to_bytes(ack)),
        );
        Ok(())
    }

    fn horizon(&self, actor: Actor) -> Result<Option<(u64, Horizon)>> {
        let key = Key::of(Table::Horizon).actor(actor).done();
        self.decoded(&key, codec::horizon_from_bytes)
    }

    fn set_horizon(&mut self, actor: Actor, hlc_us: u64, said: &Horizon) -> Result<()> {
        let key = Key::of(Table::Horizon).actor(actor).done();
        let value = codec::horizon_to_bytes(hlc_us, said);
        self.kv.put(key, Some(value));
        Ok(())
    }

    fn derived_of(&self, inode: u64) -> Result<BTreeSet<ConflictId>> {
        let ids = self.decoded(
            &Self::inode_key(Table::Derived, inode),
            codec::ids_from_bytes,
        )?;
        Ok(ids.unwrap_or_default())
    }

    fn set_derived_of(&mut self, inode: u64, ids: &BTreeSet<ConflictId>) -> Result<()> {
        let value = (!ids.is_empty()).then(|| codec::ids_to_bytes(ids));
        self.kv.put(Self::inode_key(Table::Derived, inode), value);
        Ok(())
    }

    fn suspects(&self, through_us: u64, limit: usize) -> Result<Vec<u64>> {
        let mut inodes = Vec::new();
        let prefix = Key::of(Table::SuspectOrder).done();
        self.kv.scan(&prefix, None, |key, _| {
            let mut parts = key::Parts::behind(key, Table::SuspectOrder)?;
            if parts.u64()? > through_us {
                return Ok(false);
            }
            inodes.push(parts.u64()?);
            Ok(inodes.len() < limit)
        })?;
        Ok(inodes)
    }

    fn set_suspect(&mut self, inode: u64, order_us: Option<u64>) -> Result<()> {
        self.set_order(Table::Suspect, Table::SuspectOrder, inode, order_us)
    }

    fn is_suspect(&self, inode: u64) -> Result<bool> {
        let key = Self::inode_key(Table::Suspect, inode);
        Ok(self.kv.get(&key)?.is_some())
    }

    fn cursor(&self, actor: Actor, stream: u32) -> Result<u64> {
        Ok(self.cursors.get(&stream).map_or(0, |seen| seen.get(actor)))
    }

    fn set_cursor(&mut self, actor: Actor, stream: u32, seq: u64) -> Result<()> {
        let key = Key::of(Table::Cursor).u32(stream).actor(actor).done();
        self.kv.put(key, Some(seq.to_be_bytes().to_vec()));
        self.cursors.entry(stream).or_default().set(actor, seq);
        Ok(())
    }

    fn cursors(&self, stream: u32) -> Result<Seen> {
        Ok(self.cursors.get(&stream).cloned().unwrap_or_default())
    }

    fn applied(&self, inode: u64) -> Result<Option<Arc<Image>>> {
        self.applied.get(&self.kv, inode)
    }

    fn set_applied(&mut self, inode: u64, image: Option<&Image>) -> Result<()> {
        let names = |image: &Image| {
            let links = image.links.iter().filter(|_| image.merged_into.is_none());
            links
                .map(|l| (l.parent, l.name.clone(), l.link))
                .collect::<Vec<_>>()
        };
        let (before, after) = (self.applied(inode)?, image);
        let old: Vec<_> = before.as_deref().into_iter().flat_map(names).collect();
        let new: Vec<_> = after.into_iter().flat_map(names).collect();
        for (parent, name, link) in old.iter().filter(|link| !new.contains(link)) {
            if self.applied_at(*parent, name)? == Some((inode, *link)) {
                self.kv.put(Self::name_key(*parent, name), None);
            }
        }
        for (parent, name, link) in &new {
            if self.applied_at(*parent, name)? != Some((inode, *link)) {
                let value = Key::pair(inode, *link);
                self.kv.put(Self::name_key(*parent, name), Some(value));
            }
        }
        // Bytes that travelled inside an entry are on the disk; the store need not hold them again.
        let stripped = image.map(|image| {
            let mut image = image.clone();
            if let Some(content) = &mut image.content {
                content.value.inline = None;
            }
            image
        });
        self.applied.set(&mut self.kv, inode, stripped);
        Ok(())
    }

    fn applied_entries(&self, directory: u64) -> Result<Vec<(Name, u64, u64)>> {
        let mut entries = Vec::new();
        self.kv.scan(
            &Key::of(Table::AppliedName).u64(directory).done(),
            None,
            |key, value| {
                let mut parts = key::Parts::behind(key, Table::AppliedName)?;
                let _directory = parts.u64()?;
                let mut pair = key::Parts::new(value);
                entries.push((Name::new(parts.rest().to_vec())?, pair.u64()?, pair.u64()?));
                Ok(true)
            },
        )?;
        Ok(entries)
    }

    fn applied_at(&self, directory: u64, name: &Name) -> Result<Option<(u64, u64)>> {
        self.decoded(&Self::name_key(directory, name), |value| {
            let mut pair = key::Parts::new(value);
            Ok((pair.u64()?, pair.u64()?))
        })
    }

    fn dirty_after(&self, after: Option<(u64, u64)>, limit: usize) -> Result<Vec<(u64, u64)>> {
        let after = after.map(|(order, inode)| Key::of(Table::DirtyOrder).u64(order).u64(inode));
        let mut marked = Vec::new();
        let prefix = Key::of(Table::DirtyOrder).done();
        self.kv
            .scan(&prefix, after.map(Key::done).as_deref(), |key, _| {
                let mut parts = key::Parts::behind(key, Table::DirtyOrder)?;
                marked.push((parts.u64()?, parts.u64()?));
                Ok(marked.len() < limit)
            })?;
        Ok(marked)
    }

    fn set_dirty(&mut self, inode: u64, order_us: Option<u64>) -> Result<()> {
        self.set_order(Table::Dirty, Table::DirtyOrder, inode, order_us)?;
        if self.parked(inode)?.is_some() {
            self.show_dirty(inode, false)?;
        }
        Ok(())
    }

    fn is_dirty(&self, inode: u64) -> Result<bool> {
        Ok(self
            .kv
            .get(&Self::inode_key(Table::Dirty, inode))?
            .is_some())
    }

    fn parked(&self, inode: u64) -> Result<Option<String>> {
        self.decoded(&Self::inode_key(Table::Parked, inode), |value| {
            Ok(String::from_utf8_lossy(value).into_owned())
        })
    }

    fn all_parked(&self) -> Result<Vec<(u64, String)>> {
        let mut parked = Vec::new();
        self.kv
            .scan(&Key::of(Table::Parked).done(), None, |key, value| {
                let inode = key::Parts::behind(key, Table::Parked)?.u64()?;
                parked.push((inode, String::from_utf8_lossy(value).into_owned()));
                Ok(true)
            })?;
        Ok(parked)
    }

    fn set_parked(&mut self, inode: u64, reason: Option<&str>) -> Result<()> {
        let value = reason.map(|reason| reason.as_bytes().to_vec());
        self.kv.put(Self::inode_key(Table::Parked, inode), value);
        self.show_dirty(inode, reason.is_none())
    }

    fn device(&self, inode: u64) -> Result<Option<DeviceImage>> {
        self.decoded(
            &Self::inode_key(Table::Device, inode),
            codec::device_from_bytes,
        )
    }

    fn inode_of(&self, ino: u64, btime: FileTime) -> Result<Option<u64>> {
        self.decoded(
            &Key::of(Table::DeviceIndex).u64(ino).time(btime).done(),
            key::number,
        )
    }

    fn set_device(&mut self, inode: u64, device: Option<DeviceImage>) -> Result<()> {
        if let Some(old) = self.device(inode)?
            && self.inode_of(old.ino, old.btime)? == Some(inode)
        {
            self.kv.put(
                Key::of(Table::DeviceIndex)
                    .u64(old.ino)
                    .time(old.btime)
                    .done(),
                None,
            );
        }
        if let Some(device) = &device {
            let key = Key::of(Table::DeviceIndex)
                .u64(device.ino)
                .time(device.btime)
                .done();
            self.kv.put(key, Some(inode.to_be_bytes().to_vec()));
        }
        let value = device.as_ref().map(codec::device_to_bytes);
        self.kv.put(Self::inode_key(Table::Device, inode), value);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
