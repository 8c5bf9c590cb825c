//! Pure: who wrote which version, in what order, and having seen what.
//!
//! A [`Dot`] names one entry for ever; an [`LwwKey`] orders all entries of all sites without ties; a [`Seen`] vector
//! says how far a stream of every actor was merged when an entry was written. Within one stream an actor's entries
//! are taken gap-free, so a dot is in the context exactly when the vector reaches its seq.

use std::collections::BTreeMap;
use std::fmt;

/// The control stream: acknowledgements and membership, no filesystem entries.
pub const CONTROL_STREAM: u32 = 256;
/// How many streams a site has: 256 shards and the control stream.
pub const STREAM_COUNT: u32 = 257;
/// The root directory's inode, the same everywhere.
pub const ROOT_INODE: u64 = 1;
/// Largest site id: the id is the upper 16 bits of the inodes that the site creates.
pub const SITE_ID_MAX: u64 = 65_535;

/// The shard of an inode: function 1, Fibonacci hashing by the upper eight bits of the product.
#[must_use]
pub const fn shard_of(inode: u64) -> u32 {
    (inode.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u32
}

/// One journal: a site and the random number minted when the journal was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Actor {
    /// 1..=[`SITE_ID_MAX`].
    pub site_id: u64,
    /// Random; 0 where the caller does not know it (the plain library API).
    pub incarnation: u64,
}

impl Actor {
    /// The actor of a journal.
    #[must_use]
    pub const fn new(site_id: u64, incarnation: u64) -> Self {
        Self {
            site_id,
            incarnation,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:016x}", self.site_id, self.incarnation)
    }
}

/// One entry of one stream of one actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Dot {
    /// Who.
    pub actor: Actor,
    /// Which stream of it.
    pub stream: u32,
    /// Which entry, from 1.
    pub seq: u64,
}

impl Dot {
    /// The dot of an entry.
    #[must_use]
    pub const fn new(actor: Actor, stream: u32, seq: u64) -> Self {
        Self { actor, stream, seq }
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.actor, self.stream, self.seq)
    }
}

/// The last-write-wins order: total, without ties, equal on every site. The greater key wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LwwKey {
    /// Stamp of the entry.
    pub timestamp_us: u64,
    /// Breaks ties between sites.
    pub site_id: u64,
    /// Breaks ties between journals of one site.
    pub incarnation: u64,
    /// Breaks ties between streams.
    pub shard_id: u32,
    /// Breaks ties within a stream.
    pub seq: u64,
}

impl LwwKey {
    /// The key of the entry `dot` stamped `timestamp_us`.
    #[must_use]
    pub const fn new(timestamp_us: u64, dot: Dot) -> Self {
        Self {
            timestamp_us,
            site_id: dot.actor.site_id,
            incarnation: dot.actor.incarnation,
            shard_id: dot.stream,
            seq: dot.seq,
        }
    }

    /// The dot that the key was made of.
    #[must_use]
    pub const fn dot(&self) -> Dot {
        Dot::new(
            Actor::new(self.site_id, self.incarnation),
            self.shard_id,
            self.seq,
        )
    }
}

/// How far one stream of every actor had been merged: a version vector of that stream. Absent means zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen(BTreeMap<Actor, u64>);

impl Seen {
    /// A context that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Last seq seen of `actor`.
    #[must_use]
    pub fn get(&self, actor: Actor) -> u64 {
        self.0.get(&actor).copied().unwrap_or(0)
    }

    /// True when the entry `dot` had been seen. The caller knows that `dot` is of this vector's stream.
    #[must_use]
    pub fn has(&self, dot: Dot) -> bool {
        dot.seq <= self.get(dot.actor)
    }

    /// Sets the position of `actor`; zero forgets it.
    pub fn set(&mut self, actor: Actor, seq: u64) {
        if seq == 0 {
            self.0.remove(&actor);
        } else {
            self.0.insert(actor, seq);
        }
    }

    /// Moves `actor` forward to `seq`, never back.
    pub fn advance(&mut self, actor: Actor, seq: u64) {
        if seq > self.get(actor) {
            self.0.insert(actor, seq);
        }
    }

    /// Moves every actor forward to where `other` has it, none back.
    pub fn join(&mut self, other: &Self) {
        for (actor, seq) in other.iter() {
            self.advance(actor, seq);
        }
    }

    /// All positions above zero, by actor.
    pub fn iter(&self) -> impl Iterator<Item = (Actor, u64)> + '_ {
        self.0.iter().map(|(actor, seq)| (*actor, *seq))
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Actor, u64)> for Seen {
    fn from_iter<I: IntoIterator<Item = (Actor, u64)>>(positions: I) -> Self {
        Self(positions.into_iter().filter(|(_, seq)| *seq > 0).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_function_is_pinned() {
        // Changing it would move every inode to another shard: these values are the contract.
        let shards: Vec<u32> = [1, 2, 3, 0x0001_0000_0000_0001, u64::MAX]
            .map(shard_of)
            .to_vec();
        assert_eq!(shards, [158, 60, 218, 26, 97]);
        assert!(
            (0..10_000)
                .map(shard_of)
                .all(|shard| shard < CONTROL_STREAM)
        );
    }

    #[test]
    fn keys_order_by_stamp_then_site_then_incarnation_then_shard_then_seq() {
        let key = |ts, site, inc, shard, seq| {
            LwwKey::new(ts, Dot::new(Actor::new(site, inc), shard, seq))
        };
        let ordered = [
            key(1, 9, 9, 9, 9),
            key(2, 1, 9, 9, 9),
            key(2, 2, 1, 9, 9),
            key(2, 2, 2, 1, 9),
            key(2, 2, 2, 2, 1),
            key(2, 2, 2, 2, 2),
        ];
        assert!(ordered.is_sorted_by(|a, b| a < b));
        assert_eq!(ordered[5].dot(), Dot::new(Actor::new(2, 2), 2, 2));
    }

    #[test]
    fn seen_never_goes_back_by_advance_and_forgets_at_zero() {
        let actor = Actor::new(1, 7);
        let mut seen = Seen::new();
        seen.advance(actor, 5);
        seen.advance(actor, 3);
        assert!(seen.has(Dot::new(actor, 0, 5)) && !seen.has(Dot::new(actor, 0, 6)));
        seen.set(actor, 0);
        assert!(seen.is_empty());
    }
}
