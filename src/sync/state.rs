//! Pure: where the merge keeps what it knows: a trait, so that tests hold it in memory and a daemon in its store.
//!
//! Everything here is a view of the logs: it may lag behind them and is made again by replay. Order matters nowhere
//! but in ranges, which are by key.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::conflict::{Ack, ConflictId, ConflictRecord};
use super::level::Known;
use super::member::{Member, MemberRecord};
use super::node::{Child, DirMove, Node};
use super::port::{DeviceImage, Image};
use crate::error::Result;
use crate::journal::dot::{Actor, LwwKey, Seen};
use crate::journal::op::{FileTime, Horizon, Name};

/// What the merge knows of the namespace, the versions and the conflicts of one site.
///
/// # Errors
/// Every method fails when the store does; the caller then stops and reopens, for the logs hold the truth.
pub trait State {
    /// An inode.
    fn node(&self, inode: u64) -> Result<Option<Arc<Node>>>;
    /// Replaces an inode.
    fn set_node(&mut self, inode: u64, node: Node) -> Result<()>;
    /// Forgets an inode.
    fn remove_node(&mut self, inode: u64) -> Result<()>;
    /// Inodes behind this one, ascending, at most `limit`.
    fn nodes_after(&mut self, inode: u64, limit: usize) -> Result<Vec<(u64, Node)>>;
    /// What stands at `name` in the directory `parent` itself, without those merged with it.
    fn children_at(&self, parent: u64, name: &Name) -> Result<Vec<Child>>;
    /// Everything that stands in `parent` itself.
    fn children_of(&self, parent: u64) -> Result<Vec<(Name, Child)>>;
    /// Whether anything stands in `parent`.
    fn has_children(&self, parent: u64) -> Result<bool>;
    /// Adds to, or takes from, the child index.
    fn set_child(&mut self, parent: u64, name: &Name, child: Child, present: bool) -> Result<()>;
    /// A move in the directory log.
    fn dir_move(&self, key: LwwKey) -> Result<Option<DirMove>>;
    /// Moves with a greater key, ascending.
    fn dir_moves_after(&self, key: LwwKey) -> Result<Vec<(LwwKey, DirMove)>>;
    /// Adds or replaces a move.
    fn set_dir_move(&mut self, key: LwwKey, dir_move: &DirMove) -> Result<()>;
    /// Moves behind this one stamped up to `through_us`, ascending, at most `limit`.
    fn dir_moves_through(
        &self,
        after: LwwKey,
        through_us: u64,
        limit: usize,
    ) -> Result<Vec<(LwwKey, DirMove)>>;
    /// Forgets a move.
    fn remove_dir_move(&mut self, key: LwwKey) -> Result<()>;
    /// A conflict.
    fn conflict(&self, id: ConflictId) -> Result<Option<ConflictRecord>>;
    /// Adds or replaces a conflict.
    fn set_conflict(&mut self, record: &ConflictRecord) -> Result<()>;
    /// All conflicts, by id.
    fn conflicts(&self) -> Result<Vec<ConflictRecord>> {
        self.conflicts_from(ConflictId::default(), usize::MAX)
    }
    /// Conflicts by id, from this id on, at most `limit`.
    fn conflicts_from(&self, from: ConflictId, limit: usize) -> Result<Vec<ConflictRecord>>;
    /// The latest acknowledgement of a conflict, which may arrive before the conflict is known.
    fn ack(&self, id: ConflictId) -> Result<Option<Ack>>;
    /// Replaces it.
    fn set_ack(&mut self, id: ConflictId, ack: &Ack) -> Result<()>;
    /// How many conflicts are open, and how many are on record: without looking at each.
    fn conflict_counts(&self) -> Result<(u64, u64)>;
    /// What is known of a journal's part in the cluster.
    fn member(&self, actor: Actor) -> Result<Option<MemberRecord>>;
    /// Replaces it.
    fn set_member(&mut self, actor: Actor, record: &MemberRecord) -> Result<()>;
    /// All that is known of journals' parts in the cluster.
    fn members(&self) -> Result<Vec<Member>>;
    /// What a journal's site said of itself last, and when in its hybrid clock.
    fn horizon(&self, actor: Actor) -> Result<Option<(u64, Horizon)>>;
    /// Replaces it.
    fn set_horizon(&mut self, actor: Actor, hlc_us: u64, said: &Horizon) -> Result<()>;
    /// Derived conflicts of an inode that are on record and not superseded.
    fn derived_of(&self, inode: u64) -> Result<BTreeSet<ConflictId>>;
    /// Replaces them.
    fn set_derived_of(&mut self, inode: u64, ids: &BTreeSet<ConflictId>) -> Result<()>;
    /// Inodes whose derived conflicts are to be looked at, by the clock from which on that makes sense, as far as it
    /// is not after `through_us`; at most `limit` of them.
    fn suspects(&self, through_us: u64, limit: usize) -> Result<Vec<u64>>;
    /// Adds to those, with the clock from which on it makes sense, or takes from them.
    fn set_suspect(&mut self, inode: u64, order_us: Option<u64>) -> Result<()>;
    /// Whether an inode is among them.
    fn is_suspect(&self, inode: u64) -> Result<bool>;
    /// Last merged seq of an actor's stream.
    fn cursor(&self, actor: Actor, stream: u32) -> Result<u64>;
    /// Moves it.
    fn set_cursor(&mut self, actor: Actor, stream: u32, seq: u64) -> Result<()>;
    /// The merged cursors of one stream, of all actors.
    fn cursors(&self, stream: u32) -> Result<Seen>;
    /// What the connector reported of an inode. None: it shows nothing of it.
    fn applied(&self, inode: u64) -> Result<Option<Arc<Image>>>;
    /// Records what the connector shows of an inode.
    fn set_applied(&mut self, inode: u64, image: Option<&Image>) -> Result<()>;
    /// What the connector shows in a directory: name, inode, link.
    fn applied_entries(&self, directory: u64) -> Result<Vec<(Name, u64, u64)>>;
    /// The inode and link that the connector shows at a name.
    fn applied_at(&self, directory: u64, name: &Name) -> Result<Option<(u64, u64)>>;
    /// Inodes whose image may differ from the applied one and that are not parked, by order, at most `limit` of them
    /// from `after` on.
    fn dirty_after(&self, after: Option<(u64, u64)>, limit: usize) -> Result<Vec<(u64, u64)>>;
    /// Marks an inode as dirty with an order, or as clean.
    fn set_dirty(&mut self, inode: u64, order_us: Option<u64>) -> Result<()>;
    /// Whether an inode is marked as dirty.
    fn is_dirty(&self, inode: u64) -> Result<bool>;
    /// Why an inode could not be applied.
    fn parked(&self, inode: u64) -> Result<Option<String>>;
    /// All parked inodes.
    fn all_parked(&self) -> Result<Vec<(u64, String)>>;
    /// Parks an inode, or takes it back.
    fn set_parked(&mut self, inode: u64, reason: Option<&str>) -> Result<()>;
    /// What the file behind an inode looked like on the device.
    fn device(&self, inode: u64) -> Result<Option<DeviceImage>>;
    /// The inode behind a file on the device.
    fn inode_of(&self, ino: u64, btime: FileTime) -> Result<Option<u64>>;
    /// Binds an inode to a file on the device, or unbinds it.
    fn set_device(&mut self, inode: u64, device: Option<DeviceImage>) -> Result<()>;
}

/// A state in memory: for tests, simulation and the plain library API.
#[derive(Debug, Clone, Default)]
pub struct MemState {
    nodes: BTreeMap<u64, Arc<Node>>,
    children: BTreeMap<u64, BTreeSet<(Name, Child)>>,
    moves: BTreeMap<LwwKey, DirMove>,
    conflicts: BTreeMap<ConflictId, ConflictRecord>,
    acks: BTreeMap<ConflictId, Ack>,
    members: BTreeMap<Actor, MemberRecord>,
    horizons: BTreeMap<Actor, (u64, Horizon)>,
    derived: BTreeMap<u64, BTreeSet<ConflictId>>,
    suspects: Marks,
    cursors: BTreeMap<u32, Seen>,
    applied: BTreeMap<u64, Arc<Image>>,
    applied_names: BTreeMap<u64, BTreeMap<Name, (u64, u64)>>,
    dirty: Marks,
    parked: BTreeMap<u64, String>,
    devices: BTreeMap<u64, DeviceImage>,
    inodes: BTreeMap<(u64, FileTime), u64>,
}

/// Marked inodes, and in which order.
#[derive(Debug, Clone, Default)]
struct Marks {
    orders: BTreeMap<u64, u64>,
    ordered: BTreeSet<(u64, u64)>,
}

impl Marks {
    fn set(&mut self, inode: u64, order: Option<u64>) {
        if let Some(old) = self.orders.remove(&inode) {
            self.ordered.remove(&(old, inode));
        }
        if let Some(order) = order {
            self.orders.insert(inode, order);
            self.ordered.insert((order, inode));
        }
    }
}

impl MemState {
    /// Everything that another site takes over to be level with this one, but for the cursors.
    #[must_use]
    pub fn known(&self) -> Vec<Known> {
        let nodes = self.nodes.iter().map(|(inode, node)| Known::Node {
            inode: *inode,
            node: Box::new(Node::clone(node)),
        });
        let moves = self.moves.iter().map(|(key, moved)| Known::Move {
            key: *key,
            inode: moved.inode,
            to: moved.to.clone(),
            settled: moved.settled,
        });
        let conflicts = self.conflicts.values();
        let conflicts = conflicts.map(|record| Known::Conflict(Box::new(record.clone())));
        let acks = self.acks.iter().map(|(id, ack)| Known::Ack {
            id: *id,
            ack: ack.clone(),
        });
        let members = self.members.iter().map(|(actor, record)| Known::Member {
            actor: *actor,
            record: record.clone(),
        });
        let all = nodes.chain(moves).chain(conflicts).chain(acks);
        all.chain(members).collect()
    }

    /// Inodes known, for statistics and tests.
    #[must_use]
    pub fn inodes(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }
}

#[cfg(test)]
thread_local! {
    /// How often this thread asked a state in memory for an inode or for what is shown of one: what an operation costs
    /// where the state is on a disk.
    pub(super) static READS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

impl State for MemState {
    fn node(&self, inode: u64) -> Result<Option<Arc<Node>>> {
        #[cfg(test)]
        READS.with(|reads| reads.set(reads.get() + 1));
        Ok(self.nodes.get(&inode).cloned())
    }

    fn set_node(&mut self, inode: u64, node: Node) -> Result<()> {
        self.nodes.insert(inode, Arc::new(node));
        Ok(())
    }

    fn remove_node(&mut self, inode: u64) -> Result<()> {
        self.nodes.remove(&inode);
        Ok(())
    }

    fn nodes_after(&mut self, inode: u64, limit: usize) -> Result<Vec<(u64, Node)>> {
        let behind = (Bound::Excluded(inode), Bound::Unbounded);
        let nodes = self.nodes.range(behind).take(limit);
        Ok(nodes
            .map(|(inode, node)| (*inode, Node::clone(node)))
            .collect())
    }

    fn children_at(&self, parent: u64, name: &Name) -> Result<Vec<Child>> {
        let Some(children) = self.children.get(&parent) else {
            return Ok(Vec::new());
        };
        let from = (
            name.clone(),
            Child {
                inode: 0,
                link: 0,
                dir: false,
            },
        );
        let of_name = children.range(from..).take_while(|(at, _)| at == name);
        Ok(of_name.map(|(_, child)| *child).collect())
    }

    fn children_of(&self, parent: u64) -> Result<Vec<(Name, Child)>> {
        Ok(self
            .children
            .get(&parent)
            .into_iter()
            .flatten()
            .cloned()
            .collect())
    }

    fn has_children(&self, parent: u64) -> Result<bool> {
        Ok(self.children.contains_key(&parent))
    }

    fn set_child(&mut self, parent: u64, name: &Name, child: Child, present: bool) -> Result<()> {
        let item = (name.clone(), child);
        if present {
            self.children.entry(parent).or_default().insert(item);
        } else if let Some(children) = self.children.get_mut(&parent) {
            children.remove(&item);
            if children.is_empty() {
                self.children.remove(&parent);
            }
        }
        Ok(())
    }

    fn dir_move(&self, key: LwwKey) -> Result<Option<DirMove>> {
        Ok(self.moves.get(&key).cloned())
    }

    fn dir_moves_after(&self, key: LwwKey) -> Result<Vec<(LwwKey, DirMove)>> {
        let later = self.moves.range((Bound::Excluded(key), Bound::Unbounded));
        Ok(later
            .map(|(key, dir_move)| (*key, dir_move.clone()))
            .collect())
    }

    fn set_dir_move(&mut self, key: LwwKey, dir_move: &DirMove) -> Result<()> {
        self.moves.insert(key, dir_move.clone());
        Ok(())
    }

    fn dir_moves_through(
        &self,
        after: LwwKey,
        through_us: u64,
        limit: usize,
    ) -> Result<Vec<(LwwKey, DirMove)>> {
        let later = self.moves.range((Bound::Excluded(after), Bound::Unbounded));
        let old = later.take_while(|(key, _)| key.timestamp_us <= through_us);
        let old = old.take(limit);
        Ok(old.map(|(key, moved)| (*key, moved.clone())).collect())
    }

    fn remove_dir_move(&mut self, key: LwwKey) -> Result<()> {
        self.moves.remove(&key);
        Ok(())
    }

    fn conflict(&self, id: ConflictId) -> Result<Option<ConflictRecord>> {
        Ok(self.conflicts.get(&id).cloned())
    }

    fn set_conflict(&mut self, record: &ConflictRecord) -> Result<()> {
        self.conflicts.insert(record.id, record.clone());
        Ok(())
    }

    fn conflicts_from(&self, from: ConflictId, limit: usize) -> Result<Vec<ConflictRecord>> {
        let behind = self.conflicts.range(from..).map(|(_, record)| record);
        Ok(behind.take(limit).cloned().collect())
    }

    fn ack(&self, id: ConflictId) -> Result<Option<Ack>> {
        Ok(self.acks.get(&id).cloned())
    }

    fn set_ack(&mut self, id: ConflictId, ack: &Ack) -> Result<()> {
        self.acks.insert(id, ack.clone());
        Ok(())
    }

    fn conflict_counts(&self) -> Result<(u64, u64)> {
        let open = |record: &&ConflictRecord| record.is_open(self.acks.get(&record.id));
        let open = self.conflicts.values().filter(open).count();
        Ok((open as u64, self.conflicts.len() as u64))
    }

    fn member(&self, actor: Actor) -> Result<Option<MemberRecord>> {
        Ok(self.members.get(&actor).cloned())
    }

    fn set_member(&mut self, actor: Actor, record: &MemberRecord) -> Result<()> {
        self.members.insert(actor, record.clone());
        Ok(())
    }

    fn members(&self) -> Result<Vec<Member>> {
        let members = self.members.iter();
        Ok(members
            .map(|(actor, record)| (*actor, record.clone()))
            .collect())
    }

    fn horizon(&self, actor: Actor) -> Result<Option<(u64, Horizon)>> {
        Ok(self.horizons.get(&actor).cloned())
    }

    fn set_horizon(&mut self, actor: Actor, hlc_us: u64, said: &Horizon) -> Result<()> {
        self.horizons.insert(actor, (hlc_us, said.clone()));
        Ok(())
    }

    fn derived_of(&self, inode: u64) -> Result<BTreeSet<ConflictId>> {
        Ok(self.derived.get(&inode).cloned().unwrap_or_default())
    }

    fn set_derived_of(&mut self, inode: u64, ids: &BTreeSet<ConflictId>) -> Result<()> {
        if ids.is_empty() {
            self.derived.remove(&inode);
        } else {
            self.derived.insert(inode, ids.clone());
        }
        Ok(())
    }

    fn suspects(&self, through_us: u64, limit: usize) -> Result<Vec<u64>> {
        let due = self.suspects.ordered.range(..=(through_us, u64::MAX));
        Ok(due.take(limit).map(|(_, inode)| *inode).collect())
    }

    fn set_suspect(&mut self, inode: u64, order_us: Option<u64>) -> Result<()> {
        self.suspects.set(inode, order_us);
        Ok(())
    }

    fn is_suspect(&self, inode: u64) -> Result<bool> {
        Ok(self.suspects.orders.contains_key(&inode))
    }

    fn cursor(&self, actor: Actor, stream: u32) -> Result<u64> {
        Ok(self.cursors.get(&stream).map_or(0, |seen| seen.get(actor)))
    }

    fn set_cursor(&mut self, actor: Actor, stream: u32, seq: u64) -> Result<()> {
        self.cursors.entry(stream).or_default().set(actor, seq);
        Ok(())
    }

    fn cursors(&self, stream: u32) -> Result<Seen> {
        Ok(self.cursors.get(&stream).cloned().unwrap_or_default())
    }

    fn applied(&self, inode: u64) -> Result<Option<Arc<Image>>> {
        #[cfg(test)]
        READS.with(|reads| reads.set(reads.get() + 1));
        Ok(self.applied.get(&inode).cloned())
    }

    fn set_applied(&mut self, inode: u64, image: Option<&Image>) -> Result<()> {
        if let Some(old) = self.applied.remove(&inode) {
            for link in old.links.iter().filter(|_| old.merged_into.is_none()) {
                if let Some(names) = self.applied_names.get_mut(&link.parent)
                    && names.get(&link.name) == Some(&(inode, link.link))
                {
                    names.remove(&link.name);
                }
            }
        }
        let Some(image) = image else { return Ok(()) };
        for link in image.links.iter().filter(|_| image.merged_into.is_none()) {
            let names = self.applied_names.entry(link.parent).or_default();
            names.insert(link.name.clone(), (inode, link.link));
        }
        self.applied.insert(inode, Arc::new(image.clone()));
        Ok(())
    }

    fn applied_entries(&self, directory: u64) -> Result<Vec<(Name, u64, u64)>> {
        let names = self.applied_names.get(&directory).into_iter().flatten();
        Ok(names
            .map(|(name, (inode, link))| (name.clone(), *inode, *link))
            .collect())
    }

    fn applied_at(&self, directory: u64, name: &Name) -> Result<Option<(u64, u64)>> {
        Ok(self
            .applied_names
            .get(&directory)
            .and_then(|names| names.get(name))
            .copied())
    }

    fn dirty_after(&self, after: Option<(u64, u64)>, limit: usize) -> Result<Vec<(u64, u64)>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self
            .dirty
            .ordered
            .range((from, Bound::Unbounded))
            .filter(|(_, inode)| !self.parked.contains_key(inode))
            .take(limit)
            .copied()
            .collect())
    }

    fn set_dirty(&mut self, inode: u64, order_us: Option<u64>) -> Result<()> {
        self.dirty.set(inode, order_us);
        Ok(())
    }

    fn is_dirty(&self, inode: u64) -> Result<bool> {
        Ok(self.dirty.orders.contains_key(&inode))
    }

    fn parked(&self, inode: u64) -> Result<Option<String>> {
        Ok(self.parked.get(&inode).cloned())
    }

    fn all_parked(&self) -> Result<Vec<(u64, String)>> {
        Ok(self
            .parked
            .iter()
            .map(|(inode, reason)| (*inode, reason.clone()))
            .collect())
    }

    fn set_parked(&mut self, inode: u64, reason: Option<&str>) -> Result<()> {
        match reason {
            Some(reason) => self.parked.insert(inode, reason.to_owned()),
            None => self.parked.remove(&inode),
        };
        Ok(())
    }

    fn device(&self, inode: u64) -> Result<Option<DeviceImage>> {
        Ok(self.devices.get(&inode).copied())
    }

    fn inode_of(&self, ino: u64, btime: FileTime) -> Result<Option<u64>> {
        Ok(self.inodes.get(&(ino, btime)).copied())
    }

    fn set_device(&mut self, inode: u64, device: Option<DeviceImage>) -> Result<()> {
        if let Some(old) = self.devices.remove(&inode)
            && self.inodes.get(&(old.ino, old.btime)) == Some(&inode)
        {
            self.inodes.remove(&(old.ino, old.btime));
        }
        if let Some(device) = device {
            self.devices.insert(inode, device);
            self.inodes.insert((device.ino, device.btime), inode);
        }
        Ok(())
    }
}
