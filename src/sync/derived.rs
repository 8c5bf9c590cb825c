//! Pure: conflicts that follow from the state as a whole: name clashes, removed directories kept for what is in them,
//! skipped moves, removals against writes, dropped set-uid bits, and what was merged without a loss.
//!
//! They are a function of the registers, so all sites agree on them once they know the same. While entries of other
//! streams are still on their way such a state may be transient: a record is written only when every origin's mark
//! has passed both stamps. A derived conflict that is no longer there is superseded.

use std::collections::{BTreeMap, BTreeSet};

use super::conflict::{ConflictId, ConflictKind, ConflictRecord, LostValue};
use super::core::Core;
use super::node::{LinkPlace, Node, is_shown};
use super::register::{Register, Version};
use super::state::State;
use super::view::drops_suid;
use crate::clock::TimestampUs;
use crate::error::Result;
use crate::journal::dot::LwwKey;
use crate::journal::entry::RegisterId;
use crate::journal::op::Place;

/// Inodes that are looked at in one go: a first copy leaves as many as it has files, and whoever owns the state has
/// other things to do in between.
const SETTLE_MAX: usize = 4_096;

/// A derived conflict of an inode.
struct Found {
    kind: ConflictKind,
    register: RegisterId,
    loser: LwwKey,
    winner: Option<LwwKey>,
    lost: LostValue,
}

impl<S: State> Core<S> {
    /// Looks at inodes touched since, as far as all entries up to `safe_us` are merged: at most 4 096 in one
    /// go, the next call goes on. Returns how many records it wrote.
    ///
    /// # Errors
    /// When the store fails.
    pub fn settle(&mut self, safe_us: TimestampUs, now_us: TimestampUs) -> Result<usize> {
        let mut written = 0;
        for inode in self.state.suspects(safe_us, SETTLE_MAX)? {
            let found = self.derived(inode, now_us)?;
            let stamp = |key: Option<LwwKey>| key.map_or(0, |key| key.timestamp_us);
            let stamps = found
                .values()
                .map(|r| stamp(Some(r.loser)).max(stamp(r.winner)));
            // The other one of two may be newer, and what it has seen is on its way.
            let newest = stamps.max().filter(|newest| *newest > safe_us);
            if newest.is_none() {
                written += self.settle_one(inode, &found)?;
            }
            self.state.set_suspect(inode, newest)?;
        }
        Ok(written)
    }

    fn settle_one(
        &mut self,
        inode: u64,
        found: &BTreeMap<ConflictId, ConflictRecord>,
    ) -> Result<usize> {
        let mut written = 0;
        let ids: BTreeSet<ConflictId> = found.keys().copied().collect();
        let known = self.state.derived_of(inode)?;
        for id in known.difference(&ids) {
            if let Some(mut ended) = self.state.conflict(*id)? {
                ended.superseded = true;
                self.state.set_conflict(&ended)?;
            }
        }
        for id in ids.difference(&known) {
            let Some(record) = found.get(id) else {
                continue;
            };
            let mut record = record.clone();
            match self.state.conflict(*id)? {
                Some(earlier) => record.detected_at_us = earlier.detected_at_us,
                None => written += 1,
            }
            self.state.set_conflict(&record)?;
        }
        if ids != known {
            self.state.set_derived_of(inode, &ids)?;
        }
        Ok(written)
    }

    /// The derived conflicts that `inode` has in the present state, by id.
    fn derived(
        &self,
        inode: u64,
        now_us: TimestampUs,
    ) -> Result<BTreeMap<ConflictId, ConflictRecord>> {
        let node = self.load(inode)?;
        let mut found = Vec::new();
        for (link, loser, winner, place) in self.name_clashes(inode, &node)? {
            let register = RegisterId::LinkPlace(link);
            let lost = LostValue::Place {
                live: true,
                place: Some(place),
            };
            let kind = ConflictKind::NameClash;
            found.push(Found {
                kind,
                register,
                loser,
                winner: Some(winner),
                lost,
            });
        }
        found.extend(write_against_unlink(&node));
        found.extend(dropped_suid(&node));
        // What was removed shows neither of both.
        if is_shown(&node) {
            found.extend(merged(&node));
        }
        found.extend(self.dir_conflicts(&node)?);
        let record = |found: Found| {
            let id = ConflictId::new(found.kind, inode, &found.register, found.loser.dot());
            let record = ConflictRecord {
                id,
                kind: found.kind,
                inode,
                register: found.register,
                loser: found.loser,
                winner: found.winner,
                detected_at_us: now_us,
                lost: found.lost,
                superseded: false,
            };
            (id, record)
        };
        Ok(found.into_iter().map(record).collect())
    }

    /// A removed directory that is kept for what is in it, a last move that was skipped.
    fn dir_conflicts(&self, node: &Node) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        let Some(dir) = &node.dir else {
            return Ok(found);
        };
        let register = RegisterId::DirPlace;
        if let Some((loser, false)) = dir.live
            && dir.visible_children > 0
        {
            let lost = LostValue::Place {
                live: false,
                place: dir.current.clone(),
            };
            let (kind, register) = (ConflictKind::RmdirCreate, register.clone());
            found.push(Found {
                kind,
                register,
                loser,
                winner: None,
                lost,
            });
        }
        if let Some(last) = dir.register.winner()
            && self
                .state
                .dir_move(last.key)?
                .is_some_and(|last| last.skipped)
        {
            let lost = LostValue::Place {
                live: last.value.live,
                place: last.value.place.clone(),
            };
            let (kind, loser) = (ConflictKind::MoveCycle, last.key);
            found.push(Found {
                kind,
                register,
                loser,
                winner: None,
                lost,
            });
        }
        Ok(found)
    }

    /// Links of `inode` that are shown under another name because someone else has theirs.
    fn name_clashes(&self, inode: u64, node: &Node) -> Result<Vec<(u64, LwwKey, LwwKey, Place)>> {
        let mut clashes = Vec::new();
        for (link, shown) in node.shown_links() {
            let Some(members) = self.group(shown.place.parent)? else {
                continue;
            };
            let slot = self.slot(&members, &shown.place.name)?;
            let winner = match (slot.dirs.first(), slot.files.first()) {
                (Some(dir), _) => self
                    .load(*dir)?
                    .dir
                    .as_ref()
                    .and_then(|dir| dir.live)
                    .map(|live| live.0),
                (None, Some(first)) if first.inode != inode => Some(first.key),
                (None, _) => None,
            };
            if let Some(winner) = winner {
                clashes.push((link, shown.key, winner, shown.place));
            }
        }
        Ok(clashes)
    }
}

/// Set-uid bits that no site ever had together with these bytes.
fn dropped_suid(node: &Node) -> Option<Found> {
    if !drops_suid(node) {
        return None;
    }
    let (mode, content) = (node.mode.winner()?, node.content.winner()?);
    Some(Found {
        kind: ConflictKind::SuidDropped,
        register: RegisterId::Mode,
        loser: mode.key,
        winner: Some(content.key),
        lost: LostValue::Mode(mode.value),
    })
}

/// Whether registers were written concurrently, shown or not.
pub(super) fn is_merged(node: &Node) -> bool {
    !merged(node).is_empty()
}

/// Registers that were written concurrently with another one of the same inode, and are both shown: each with the
/// latest such version of another register. No site had shown these values together before.
fn merged(node: &Node) -> Vec<Found> {
    /// What tells a version from others, and what its author had seen.
    fn bare<T>(register: &Register<T>) -> Option<Version<()>> {
        let winner = register.winner()?;
        Some(Version {
            key: winner.key,
            hlc_us: winner.hlc_us,
            value: (),
            seen: winner.seen.clone(),
        })
    }
    let mut shown = vec![
        (RegisterId::Content, bare(&node.content)),
        (RegisterId::Owner, bare(&node.owner)),
        (RegisterId::Times, bare(&node.times)),
        (RegisterId::Flags, bare(&node.flags)),
    ];
    if !drops_suid(node) {
        shown.push((RegisterId::Mode, bare(&node.mode)));
    }
    let xattrs = node.xattrs.iter();
    shown.extend(xattrs.map(|(name, register)| (RegisterId::Xattr(name.clone()), bare(register))));
    let shown: Vec<(RegisterId, Version<()>)> = shown
        .into_iter()
        .filter_map(|(register, version)| Some((register, version?)))
        .collect();
    let mut found = Vec::new();
    for (register, version) in &shown {
        let later = shown
            .iter()
            .map(|(_, other)| other)
            .filter(|other| other.key > version.key && other.concurrent_with(version));
        if let Some(winner) = later.map(|other| other.key).max() {
            found.push(Found {
                kind: ConflictKind::Merged,
                register: register.clone(),
                loser: version.key,
                winner: Some(winner),
                lost: LostValue::Unknown,
            });
        }
    }
    found
}

/// The last link went while another site, not knowing, wrote the content: whichever came later is shown, the other
/// one is the loser.
fn write_against_unlink(node: &Node) -> Option<Found> {
    let places = node
        .links
        .iter()
        .filter_map(|(link, places)| Some((*link, places.winner()?)));
    let mut removed: Option<(u64, &Version<LinkPlace>)> = None;
    for (link, place) in places {
        if place.value.live {
            return None;
        }
        if removed.is_none_or(|(_, last)| place.key > last.key) {
            removed = Some((link, place));
        }
    }
    let ((link, removal), content) = (removed?, node.content.winner()?);
    if !removal.concurrent_with(content) {
        return None;
    }
    let kind = ConflictKind::WriteUnlink;
    Some(if removal.key > content.key {
        let lost = LostValue::Content(content.value.clone());
        let (loser, winner) = (content.key, Some(removal.key));
        Found {
            kind,
            register: RegisterId::Content,
            loser,
            winner,
            lost,
        }
    } else {
        let lost = LostValue::Place {
            live: false,
            place: Some(removal.value.place.clone()),
        };
        let (loser, winner) = (removal.key, Some(content.key));
        Found {
            kind,
            register: RegisterId::LinkPlace(link),
            loser,
            winner,
            lost,
        }
    })
}
