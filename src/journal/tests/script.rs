//! A seeded script of groups and what a journal must say after any prefix of it.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::super::chain::{self, CHAIN_START};
use super::super::codec::encode_entry;
use super::super::dot::{Actor, Seen, shard_of};
use super::super::entry::{JournalEntry, Txn};
use super::super::op::OpKind;
use super::super::{AppendGroup, Journal, LogOptions, LoggedUnit};
use crate::journal::device::DeviceImage;

pub(super) const ACTOR: Actor = Actor::new(1, 0xA1);
pub(super) const DIR: &str = "/log";

/// Small enough that a short script makes many segments and checkpoints.
pub(super) fn small() -> LogOptions {
    LogOptions {
        segment_bytes: 4 * 1024,
        checkpoint_bytes: 1024,
        known_durable: 0,
    }
}

/// SplitMix64, as in the faulty disk.
pub(super) struct Random(pub u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % bound
    }
}

/// Makes groups whose seqs and clocks follow one another.
pub(super) struct Script {
    random: Random,
    heads: BTreeMap<u32, u64>,
    hlc_us: u64,
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            heads: BTreeMap::new(),
            hlc_us: 1_000,
        }
    }

    pub(super) fn groups(seed: u64, count: usize) -> Vec<AppendGroup> {
        let mut script = Self::new(seed);
        (0..count).map(|_| script.group()).collect()
    }

    /// Up to three entries of four inodes; contexts change now and then, some have trailers.
    pub(super) fn group(&mut self) -> AppendGroup {
        let parts = 1 + self.random.below(3).saturating_sub(1) * 2;
        let mut group = AppendGroup::default();
        let id = self.hlc_us;
        for part in 0..parts {
            let inode = 2 + self.random.below(4);
            let length = self.random.below(300);
            let mut entry = self.entry(inode, length);
            if parts > 1 {
                entry.txn = Some(Txn {
                    id,
                    parts: u32::try_from(parts).unwrap(),
                    part: u32::try_from(part).unwrap(),
                });
            }
            if self.random.below(3) == 0 {
                let seen = [(Actor::new(2, 9), self.random.below(5))];
                group
                    .seen
                    .insert(entry.shard_id, seen.into_iter().collect());
            }
            let device = DeviceImage {
                ino: self.hlc_us,
                ..DeviceImage::default()
            };
            group
                .trailers
                .push((self.random.below(2) == 0).then_some(device));
            group.entries.push(entry);
        }
        group
    }

    pub(super) fn entry(&mut self, inode: u64, payload: u64) -> JournalEntry {
        let stream = shard_of(inode);
        let seq = self.heads.entry(stream).or_default();
        *seq += 1;
        self.hlc_us += 1 + self.random.below(5);
        let payload = vec![7; usize::try_from(payload).unwrap()];
        let mut entry =
            JournalEntry::new(*seq, stream, 1, self.hlc_us, inode, OpKind::Write, payload);
        entry.incarnation = ACTOR.incarnation;
        entry
    }
}

/// Head, chain and context of every stream after `groups`.
pub(super) fn model(groups: &[AppendGroup]) -> BTreeMap<u32, (u64, [u8; 32], Seen)> {
    let mut streams: BTreeMap<u32, (u64, [u8; 32], Seen)> = BTreeMap::new();
    for group in groups {
        for (stream, seen) in &group.seen {
            let state = streams
                .entry(*stream)
                .or_insert((0, CHAIN_START, Seen::new()));
            state.2 = seen.clone();
        }
        for entry in &group.entries {
            let state = streams
                .entry(entry.shard_id)
                .or_insert((0, CHAIN_START, Seen::new()));
            let raw: Bytes = encode_entry(entry);
            state.0 = entry.seq;
            state.1 = chain::extend(&state.1, entry.seq, &raw, &state.2);
        }
    }
    streams
}

/// Checks that a unit is `group`, whole.
pub(super) fn assert_unit(unit: &LoggedUnit, group: &AppendGroup) {
    let entries: Vec<_> = unit.entries.iter().map(|(e, _)| e.entry.clone()).collect();
    assert_eq!(entries, group.entries);
    let trailers = group.entries.iter().zip(&group.trailers);
    let trailers: Vec<_> = trailers
        .filter_map(|(entry, device)| Some((entry.shard_id, entry.seq, (*device)?)))
        .collect();
    assert_eq!(unit.trailers, trailers);
}

/// Checks that `journal` holds the first `count` groups of the script, for any `count` of at least `least`, as far as
/// they are kept; which count it was.
pub(super) fn assert_prefix(journal: &Journal, script: &[AppendGroup], least: usize) -> usize {
    let units: Vec<_> = journal
        .replay(journal.start())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let last = units.last().and_then(|unit| unit.entries.last());
    let hlc_us = last.map_or(0, |(stored, _)| stored.entry.hlc_us);
    let count = script
        .iter()
        .take_while(|group| group.entries[0].hlc_us <= journal.last_hlc_us())
        .count();
    assert!(
        count >= least,
        "{count} groups are there, {least} were acknowledged"
    );
    assert!(hlc_us == 0 || hlc_us == journal.last_hlc_us());
    let kept = &script[count - units.len()..count];
    for (unit, group) in units.iter().zip(kept) {
        assert_unit(unit, group);
    }
    for (stream, (seq, chain, seen)) in model(&script[..count]) {
        assert_eq!(journal.head(stream), (seq, chain));
        assert_eq!(journal.points()[&stream].seen, seen);
    }
    let verified = journal.verify().unwrap();
    let entries: usize = kept.iter().map(|group| group.entries.len()).sum();
    assert_eq!(verified.entries, entries as u64);
    count
}

pub(super) fn dir() -> &'static Path {
    Path::new(DIR)
}
