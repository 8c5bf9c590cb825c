//! The tree that all entries together amount to, computed from nothing, all at once, as simply as the rules are said.
//!
//! Knows no contexts, no increments and no order of arrival. Names made for files that gave way are not computed: it
//! only tells which file gave way where.

use std::collections::{BTreeMap, BTreeSet};

use claudefs_repl::journal::op::Place;
use claudefs_repl::journal::{Change, LwwKey};

use super::oracle::{ROOT, Tree};

/// An entry as far as the rules look at it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) key: LwwKey,
    pub(crate) inode: u64,
    pub(crate) link: u64,
    pub(crate) change: Change,
}

/// A name in a directory.
type At = (u64, Vec<u8>);

/// A link that claims a name.
#[derive(Debug, Clone)]
struct Claim {
    key: LwwKey,
    inode: u64,
    at: At,
}

#[derive(Debug, Default)]
pub(crate) struct Reference {
    names: BTreeMap<At, u64>,
    /// Files shown beside the name that they claim: where, which.
    gave_way: BTreeSet<(At, u64)>,
    bytes: BTreeMap<u64, u64>,
}

impl Reference {
    pub(crate) fn of(mut entries: Vec<Told>) -> Self {
        entries.sort_by_key(|told| told.key);
        let (places, live) = directories(&entries);
        let mut claims = links(&entries);
        let mut visible: BTreeSet<u64> = BTreeSet::new();
        for (dir, _) in live.iter().filter(|(_, live)| **live) {
            visible.extend(way_up(&places, *dir));
        }
        for claim in &claims {
            visible.extend(way_up(&places, claim.at.0));
        }
        claims.sort_by_key(|claim| std::cmp::Reverse(claim.key));
        let mut reference = Self::default();
        for told in &entries {
            if let Change::Write { content, .. } | Change::Truncate { content, .. } = &told.change {
                reference.bytes.insert(told.inode, content.size);
            }
        }
        reference.show(vec![ROOT], &places, &visible, &claims);
        reference
    }

    /// Shows what is in directories that are one, the first of which stands for all.
    fn show(
        &mut self,
        group: Vec<u64>,
        places: &BTreeMap<u64, At>,
        visible: &BTreeSet<u64>,
        claims: &[Claim],
    ) {
        let mut dirs: BTreeMap<&[u8], Vec<u64>> = BTreeMap::new();
        for (dir, (parent, name)) in places {
            if visible.contains(dir) && group.contains(parent) {
                dirs.entry(name).or_default().push(*dir);
            }
        }
        for (name, members) in &dirs {
            self.names.insert((group[0], name.to_vec()), members[0]);
        }
        for claim in claims.iter().filter(|claim| group.contains(&claim.at.0)) {
            let at = (group[0], claim.at.1.clone());
            match self.names.get(&at) {
                None => {
                    self.names.insert(at, claim.inode);
                }
                Some(inode) if *inode == claim.inode => {}
                Some(_) => {
                    self.gave_way.insert((at, claim.inode));
                }
            }
        }
        for members in dirs.into_values() {
            self.show(members, places, visible, claims);
        }
    }

    /// What a site shows against what it should.
    pub(crate) fn check(&self, tree: &Tree) -> Result<(), String> {
        let mut names = tree.names();
        for (at, inode) in &self.names {
            let name = at.1.escape_ascii();
            if names.remove(at) != Some(*inode) {
                return Err(format!("reference: {inode:x} is not at {:x}/{name}", at.0));
            }
        }
        for (at, inode) in &self.gave_way {
            let beside = names.iter().find(|((parent, name), other)| {
                let made = name.windows(14).any(|part| part == b".cfs-conflict-");
                *parent == at.0 && **other == *inode && made && name.first() == at.1.first()
            });
            let Some(beside) = beside.map(|(name, _)| name.clone()) else {
                let name = at.1.escape_ascii();
                return Err(format!(
                    "reference: {inode:x} is not beside {:x}/{name}",
                    at.0
                ));
            };
            names.remove(&beside);
        }
        if let Some(((parent, name), inode)) = names.first_key_value() {
            let name = name.escape_ascii();
            return Err(format!(
                "reference: {inode:x} should not be at {parent:x}/{name}"
            ));
        }
        for inode in tree.inodes() {
            let shown = tree.get(inode).and_then(|shown| shown.values.content);
            if shown.map(|(_, bytes)| bytes) != self.bytes.get(&inode).copied() {
                return Err(format!("reference: other bytes in {inode:x}"));
            }
        }
        Ok(())
    }
}

fn at(place: &Place) -> At {
    (place.parent, place.name.as_bytes().to_vec())
}

/// Where directories stand, and whether they are live: all moves in order, less those into themselves.
fn directories(entries: &[Told]) -> (BTreeMap<u64, At>, BTreeMap<u64, bool>) {
    let (mut places, mut live) = (BTreeMap::new(), BTreeMap::new());
    for told in entries {
        if let Change::Unlink { dir: true, .. } = &told.change {
            live.insert(told.inode, false);
        }
        let to = if let Change::MkDir { place, .. } = &told.change {
            Some(place)
        } else if let Change::Rename { place, dir: true } = &told.change {
            place.as_ref()
        } else {
            continue;
        };
        live.insert(told.inode, true);
        if let Some(to) = to
            && !above(&places, to.parent).contains(&told.inode)
        {
            places.insert(told.inode, at(to));
        }
    }
    (places, live)
}

/// The directory and everything above it that is known.
fn above(places: &BTreeMap<u64, At>, directory: u64) -> Vec<u64> {
    let mut way = vec![directory];
    while let Some((parent, _)) = places.get(&way[way.len() - 1]) {
        way.push(*parent);
    }
    way
}

/// The same, if it ends at the root.
fn way_up(places: &BTreeMap<u64, At>, directory: u64) -> Vec<u64> {
    let way = above(places, directory);
    if way.last() == Some(&ROOT) {
        way
    } else {
        Vec::new()
    }
}

/// Links of files that are live, and for a file without one the last removed, if it was written later.
fn links(entries: &[Told]) -> Vec<Claim> {
    let mut last: BTreeMap<u64, BTreeMap<u64, (Claim, bool)>> = BTreeMap::new();
    let mut written: BTreeMap<u64, LwwKey> = BTreeMap::new();
    for told in entries {
        if let Change::Write { .. } | Change::Truncate { .. } = &told.change {
            written.insert(told.inode, told.key);
        }
        let (place, live) = if let Change::Unlink { place, dir: false } = &told.change {
            (place, false)
        } else if let Change::Create { place, .. }
        | Change::Symlink { place, .. }
        | Change::Link { place }
        | Change::Rename {
            place: Some(place),
            dir: false,
        } = &told.change
        {
            (place, true)
        } else {
            continue;
        };
        let (key, inode, at) = (told.key, told.inode, at(place));
        let links = last.entry(inode).or_default();
        links.insert(told.link, (Claim { key, inode, at }, live));
    }
    let mut claims = Vec::new();
    for (inode, links) in last {
        let live: Vec<Claim> = (links.values().filter(|(_, live)| *live))
            .map(|(claim, _)| claim.clone())
            .collect();
        if !live.is_empty() {
            claims.extend(live);
            continue;
        }
        let removed = links.into_values().map(|(claim, _)| claim);
        let removed = removed.max_by_key(|claim| claim.key);
        let later = |claim: &Claim| written.get(&inode).is_some_and(|key| *key > claim.key);
        claims.extend(removed.filter(later));
    }
    claims
}
