//! Several sites in one process: each has a core, a journal and a user's filesystem; entries travel in any order
//! across streams, late, twice; clocks differ and step.
//!
//! The driver decides by chance only what happens, never what is right: that is for the oracle. A site's filesystem
//! changes by its user's operations and by images that its core gives out, applied late or in
//! parts, so that what a site has merged is often not what its user sees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use claudefs_repl::journal::dot::{Actor, CONTROL_STREAM, shard_of};
use claudefs_repl::journal::{Dot, EntryBatch, JournalEntry, OpKind, RegisterId, Seen, SeenRun};
use claudefs_repl::sync::compactor::BatchCompactor;
use claudefs_repl::sync::conflict::{ConflictId, ConflictKind};
use claudefs_repl::sync::core::{Core, Rules};
use claudefs_repl::sync::port::{Image, LocalTxn, Outcome};
use claudefs_repl::sync::state::{MemState, State};

use crate::judge::facts::{Facts, Recorded, context};
use crate::judge::oracle::Tree;
use crate::judge::told::{self, shown_of};
use crate::judge::users::{Reports, Theme, User};
use crate::judge::{Check, shuffle};
use crate::rng::Rng;

mod tidying;

/// Shards in which all inodes of the worlds stand: few, so that they meet, and more than one, so that entries of one
/// operation overtake each other.
pub(super) const SHARDS: [u32; 3] = [17, 101, 203];
/// Ids of a site that stand in those shards, enough for a history.
const IDS: usize = 400;
/// Most sites of a world.
const SITES_MAX: u64 = 4;

/// What a history is made of, beside its seed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Plan {
    pub(super) rules: Rules,
    pub(super) compact: bool,
    /// Sites also take over what others know as a whole.
    pub(super) levels: bool,
    /// Of several writes of a file in one batch only the last is sent, whatever stands between them.
    pub(super) naive: bool,
    /// Sites; zero: two to four by chance.
    pub(super) sites: usize,
    /// By chance if there is none.
    pub(super) theme: Option<Theme>,
    /// Sites let go of what everybody knows to be gone.
    pub(super) reclaims: Reclaims,
}

/// How a site finds out what everybody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Reclaims {
    /// Not at all.
    #[default]
    Never,
    /// By what others say in their streams, once all their streams are here up to that.
    InStreams,
    /// As soon as they say it, whatever is still on its way in their other streams.
    InOneStream,
    /// Beside the streams: by what they would say now.
    Beside,
}

#[derive(Debug)]
pub(super) struct Site {
    pub(super) core: Core<MemState>,
    pub(super) tree: Tree,
    skew_us: i64,
    journal: BTreeMap<u32, Vec<(JournalEntry, Seen)>>,
    ids: Vec<u64>,
    seen_hlc_us: u64,
    /// It took over a part of what another site knew: nothing is applied before everything up to there is here.
    until: BTreeMap<u32, Seen>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) sites: Vec<Site>,
    pub(super) facts: Facts,
    pub(super) plan: Plan,
    pub(super) theme: Theme,
    pub(super) ops: u64,
    /// Makes the bytes of every write different.
    pub(super) value: u64,
    now_us: u64,
    batches: u64,
    /// Some faults need many operations.
    is_long: bool,
    /// What was let go.
    pub(super) freed: u64,
}

impl Site {
    fn is_half(&self) -> bool {
        let own = self.core.local();
        self.until.iter().any(|(stream, until)| {
            let lacks = |(actor, seq): (Actor, u64)| {
                actor != own && self.core.state().cursor(actor, *stream).unwrap() < seq
            };
            until.iter().any(lacks)
        })
    }
}

impl World {
    pub(super) fn new(seed: u64, plan: Plan) -> Self {
        let mut rng = Rng::new(seed);
        let by_chance = 2 + rng.index(3);
        let count = if plan.sites == 0 {
            by_chance
        } else {
            plan.sites
        };
        let sites = (0..count).map(|index| {
            let site_id = index as u64 + 1;
            let state = MemState::default();
            Site {
                core: Core::new(Actor::new(site_id, 7), state, 0).with_rules(plan.rules),
                tree: Tree::default(),
                skew_us: rng.below(400_000) as i64 - 200_000,
                journal: BTreeMap::new(),
                ids: ids_of(site_id),
                seen_hlc_us: 0,
                until: BTreeMap::new(),
            }
        });
        let sites = sites.collect();
        let by_chance = Theme::drawn(&mut rng);
        Self {
            rng,
            theme: plan.theme.unwrap_or(by_chance),
            sites,
            facts: Facts::default(),
            plan,
            ops: 0,
            value: 0,
            now_us: 1_000_000_000,
            batches: 0,
            is_long: seed.is_multiple_of(32),
            freed: 0,
        }
    }

    /// A history from the start to quiescence, checked on the way and at the end.
    pub(super) fn run(&mut self) -> Check {
        if !self.rng.one_in(3) {
            self.common_start()?;
        }
        let reclaims = self.plan.reclaims != Reclaims::Never;
        let steps = 15 + self.rng.below(45) * if reclaims || self.is_long { 3 } else { 1 };
        let pace = 3 + self.rng.below(6);
        for _ in 0..steps {
            self.now_us += 1 + self.rng.below(20_000);
            let at = self.rng.index(self.sites.len());
            if self.rng.one_in(25) {
                self.sites[at].skew_us += self.rng.below(200_000) as i64 - 100_000;
            }
            if self.rng.one_in(200) {
                self.sites[at].skew_us -= 3_600_000_000;
            }
            if self.rng.below(pace) < 2 {
                self.local(at)?;
                continue;
            }
            if reclaims {
                self.tidy(at)?;
            }
            let from = self.rng.index(self.sites.len());
            if from != at {
                let streams = self.streams();
                let stream = streams[self.rng.index(streams.len())];
                self.deliver(from, at, stream, false)?;
                if self.plan.levels && self.rng.one_in(6) {
                    self.level(from, at);
                }
            }
            if self.rng.one_in(2) {
                self.apply(at, false)?;
            }
            if self.rng.one_in(4) {
                self.settle(at);
            }
        }
        self.quiesce()
    }

    /// A few operations at the first site that everybody has seen before it begins.
    fn common_start(&mut self) -> Check {
        let ops = if self.theme == Theme::Dirs { 8 } else { 4 };
        for _ in 0..ops {
            self.now_us += 1_000;
            self.local(0)?;
        }
        for to in 1..self.sites.len() {
            for stream in SHARDS {
                self.deliver(0, to, stream, true)?;
            }
            self.apply(to, true)?;
        }
        Ok(())
    }

    fn quiesce(&mut self) -> Check {
        for _ in 0..3 {
            let count = self.sites.len();
            let mut jobs = Vec::new();
            for from in 0..count {
                for to in (0..count).filter(|to| *to != from) {
                    jobs.extend(self.streams().into_iter().map(|stream| (from, to, stream)));
                }
            }
            shuffle(&mut self.rng, &mut jobs);
            for (from, to, stream) in jobs {
                self.deliver(from, to, stream, true)?;
                if self.rng.one_in(4) {
                    self.apply(to, false)?;
                }
            }
        }
        for at in 0..self.sites.len() {
            self.apply(at, true)?;
            self.sites[at].core.settle(u64::MAX, self.now_us).unwrap();
        }
        if self.plan.reclaims == Reclaims::Never {
            return Ok(());
        }
        self.let_go_of_all()
    }

    /// The wall clock of a site.
    pub(super) fn clock(&self, at: usize) -> u64 {
        self.now_us.saturating_add_signed(self.sites[at].skew_us)
    }

    /// One operation by the user of the site `at`.
    ///
    /// Fidelity is judged here: after an operation at a site whose filesystem showed everything that its core knew, the
    /// core wants nothing changed. What the user did stays as the user saw it.
    fn local(&mut self, at: usize) -> Check {
        let settled = self.sites[at].core.work(usize::MAX).unwrap().is_empty();
        let now_us = self.clock(at);
        let Site {
            core,
            tree,
            journal,
            ids,
            seen_hlc_us,
            ..
        } = &mut self.sites[at];
        let mut user = User {
            tree,
            rng: &mut self.rng,
            value: &mut self.value,
            theme: self.theme,
            is_first: at == 0,
            to: &mut Desk {
                core,
                journal,
                ids,
                seen_hlc_us,
                facts: &mut self.facts,
                rules: self.plan.rules,
                now_us,
            },
        };
        if !user.act()? {
            return Ok(());
        }
        self.ops += 1;
        if !settled || self.sites[at].is_half() {
            return Ok(());
        }
        let images = self.sites[at].core.work(usize::MAX).unwrap();
        let tree = &self.sites[at].tree;
        let told = tree.told(&shown_of(&images));
        let told = told.map_err(|fault| format!("site {at} is told that {fault}"))?;
        if told.looks_like(tree) {
            return Ok(());
        }
        Err(format!(
            "fidelity: the user of site {at} saw\n{}and is told to see\n{}",
            tree.print(),
            told.print()
        ))
    }

    fn deliver(&mut self, from: usize, to: usize, stream: u32, all: bool) -> Check {
        let end = self.sites[from].journal.get(&stream).map_or(0, Vec::len) as u64;
        let actor = self.sites[from].core.local();
        let cursor = self.sites[to].core.state().cursor(actor, stream).unwrap();
        let back = if self.rng.one_in(4) {
            self.rng.below(4)
        } else {
            0
        };
        let start = cursor.saturating_sub(back);
        let ahead = 1 + self.rng.below(6);
        let stop = if all { end } else { end.min(cursor + ahead) };
        if stop <= start {
            return Ok(());
        }
        let batch = self.batch(from, stream, start, stop);
        self.merge(to, &batch)
    }

    /// The entries `start + 1 ..= stop` of a stream.
    fn batch(&mut self, from: usize, stream: u32, start: u64, stop: u64) -> EntryBatch {
        self.batches += 1;
        let site = &self.sites[from];
        let range = usize::try_from(start).unwrap()..usize::try_from(stop).unwrap();
        let slice = &site.journal[&stream][range];
        let entries = slice.iter().map(|(entry, _)| entry.clone()).collect();
        let mut batch = EntryBatch::new(site.core.local().site_id, entries, self.batches);
        (batch.first, batch.last) = (start + 1, stop);
        for (entry, seen) in slice {
            if batch.seen_runs.last().is_none_or(|run| run.seen != *seen) {
                let (first_seq, seen) = (entry.seq, seen.clone());
                batch.seen_runs.push(SeenRun { first_seq, seen });
            }
        }
        batch.validate().unwrap();
        if self.plan.naive {
            return only_last_writes(batch);
        }
        if !self.plan.compact {
            return batch;
        }
        let compacted = BatchCompactor::compact_batch(batch).batch;
        compacted.validate().unwrap();
        compacted
    }

    fn merge(&mut self, to: usize, batch: &EntryBatch) -> Check {
        let now_us = self.clock(to);
        let site = &mut self.sites[to];
        site.core.merge_batch(batch, now_us).unwrap();
        for entry in &batch.entries {
            site.seen_hlc_us = site.seen_hlc_us.max(entry.hlc_us);
        }
        let cursor = site.core.state().cursor(batch.actor(), batch.stream);
        if cursor.unwrap() < batch.last {
            return Err(format!(
                "the cursor of site {to} stays before {}",
                batch.last
            ));
        }
        Ok(())
    }

    /// The site `to` takes over what the site `from` knows: all of it, or, when it is interrupted, a part.
    fn level(&mut self, from: usize, to: usize) {
        if self.sites[from].is_half() {
            return;
        }
        let now_us = self.clock(to);
        let mut known = self.sites[from].core.state().known();
        shuffle(&mut self.rng, &mut known);
        let is_whole = !self.rng.one_in(4);
        if !is_whole {
            known.truncate(self.rng.index(known.len() + 1));
        }
        let cursors: Vec<(u32, Seen)> = self
            .streams()
            .into_iter()
            .map(|stream| {
                let from = &self.sites[from];
                let mut cursors = from.core.state().cursors(stream).unwrap();
                let own = from.journal.get(&stream).map_or(0, Vec::len);
                cursors.set(from.core.local(), own as u64);
                (stream, cursors)
            })
            .collect();
        let last_us = self.sites[from].core.clock().last_us();
        let site = &mut self.sites[to];
        for one in known {
            site.core.level(one, now_us).unwrap();
        }
        for (stream, cursors) in &cursors {
            site.until.entry(*stream).or_default().join(cursors);
        }
        let own = site.core.local();
        for (stream, cursors) in cursors.into_iter().filter(|_| is_whole) {
            for (actor, seq) in cursors.iter().filter(|(actor, _)| *actor != own) {
                if seq > site.core.state().cursor(actor, stream).unwrap() {
                    site.core
                        .state_mut()
                        .set_cursor(actor, stream, seq)
                        .unwrap();
                }
            }
        }
        site.core.clock_mut().observe(last_us);
        site.seen_hlc_us = site.seen_hlc_us.max(last_us);
    }

    /// Derived conflicts, as far as nothing older can still arrive.
    fn settle(&mut self, at: usize) {
        let safe_us = self.marks(at).into_values().min();
        let now_us = self.clock(at);
        let core = &mut self.sites[at].core;
        core.settle(safe_us.unwrap_or(u64::MAX), now_us).unwrap();
    }

    /// Up to where all streams of each other site are here.
    fn marks(&self, at: usize) -> BTreeMap<Actor, u64> {
        let mut marks = BTreeMap::new();
        for (_, other) in self
            .sites
            .iter()
            .enumerate()
            .filter(|(from, _)| *from != at)
        {
            let actor = other.core.local();
            let mut mark = other.core.clock().last_us();
            for stream in SHARDS {
                let cursor = self.sites[at].core.state().cursor(actor, stream).unwrap();
                let stream = other.journal.get(&stream);
                let next = stream.and_then(|s| s.get(usize::try_from(cursor).unwrap()));
                mark = next.map_or(mark, |(entry, _)| mark.min(entry.hlc_us - 1));
            }
            marks.insert(actor, mark);
        }
        marks
    }

    /// The streams that entries are in.
    fn streams(&self) -> Vec<u32> {
        let control = (self.plan.reclaims != Reclaims::Never).then_some(CONTROL_STREAM);
        SHARDS.into_iter().chain(control).collect()
    }

    /// Brings the filesystem of a site nearer to what its core says, or all the way.
    pub(super) fn apply(&mut self, at: usize, all: bool) -> Check {
        if self.sites[at].is_half() && !all {
            return Ok(());
        }
        let limit = if all {
            usize::MAX
        } else {
            1 + self.rng.index(6)
        };
        let mut images = self.sites[at].core.work(limit).unwrap();
        let skip = self.rng.one_in(2) && !all;
        images.retain(|_| !skip || !self.rng.one_in(4));
        let told = self.sites[at].tree.told(&shown_of(&images));
        // A part may not be a filesystem by itself: two files that change names. The whole is.
        let told = match told {
            Ok(told) => told,
            Err(fault) if all => return Err(format!("site {at} is told that {fault}")),
            Err(_) => {
                images = self.sites[at].core.work(usize::MAX).unwrap();
                let told = self.sites[at].tree.told(&shown_of(&images));
                told.map_err(|fault| format!("site {at} is told that {fault}"))?
            }
        };
        self.note_displaced(at, &told, &images);
        let site = &mut self.sites[at];
        site.tree = told;
        for image in images {
            site.core.done(image, Outcome::Applied).unwrap();
        }
        if !all {
            return Ok(());
        }
        let left = site.core.work(usize::MAX).unwrap();
        if left.is_empty() {
            return Ok(());
        }
        Err(format!("site {at} was told everything, and again {left:?}"))
    }

    fn note_displaced(&mut self, at: usize, told: &Tree, images: &[Image]) {
        let site = &self.sites[at];
        for image in images {
            let Some(old) = site.tree.content(image.inode) else {
                continue;
            };
            let new = told.content(image.inode);
            if new != Some(old) {
                self.facts.displace(at, image.inode, (old, new));
            }
        }
    }

    /// Everything once more, in any order, past the cursors: what is known already has no effect.
    pub(super) fn repeat(&mut self) -> Check {
        if self.plan.reclaims != Reclaims::Never {
            // What was let go is known by the cursors alone.
            return Ok(());
        }
        let mut entries: Vec<(JournalEntry, Seen)> = Vec::new();
        for site in &self.sites {
            for (entry, vector) in site.journal.values().flatten() {
                entries.push((entry.clone(), context(entry, vector)));
            }
        }
        shuffle(&mut self.rng, &mut entries);
        for at in 0..self.sites.len() {
            let before = self.open_conflicts(at);
            let tree = self.sites[at].tree.clone();
            let core = &mut self.sites[at].core;
            for (entry, seen) in &entries {
                core.merge_entry(entry, seen, 1).unwrap();
            }
            core.settle(u64::MAX, 1).unwrap();
            self.apply(at, true)?;
            if !self.sites[at].tree.looks_like(&tree) {
                return Err(format!("site {at}: repetition changed the tree"));
            }
            if self.open_conflicts(at) != before {
                return Err(format!("site {at}: repetition changed the conflicts"));
            }
        }
        Ok(())
    }

    /// Conflicts that count.
    pub(super) fn open_conflicts(&self, at: usize) -> BTreeMap<ConflictId, String> {
        told::open_conflicts(&self.sites[at].core.state().conflicts().unwrap())
    }

    /// Kinds of conflicts that a site has on record, counting or not.
    pub(super) fn kinds(&self, at: usize) -> BTreeSet<ConflictKind> {
        let records = self.sites[at].core.state().conflicts().unwrap();
        records.into_iter().map(|record| record.kind).collect()
    }

    pub(super) fn recorded(&self, at: usize) -> Recorded {
        told::recorded(&self.sites[at].core.state().conflicts().unwrap())
    }

    /// How far a site has merged every stream.
    pub(super) fn cursors(&self, at: usize) -> Vec<Seen> {
        let state = self.sites[at].core.state();
        SHARDS.map(|stream| state.cursors(stream).unwrap()).to_vec()
    }

    /// Whether a removed file is shown because it was written later.
    pub(super) fn resurrected(&self) -> bool {
        let core = &self.sites[0].core;
        let mut records = core.state().conflicts().unwrap().into_iter();
        records.any(|record| {
            let removal = matches!(record.register, RegisterId::LinkPlace(_));
            record.kind == ConflictKind::WriteUnlink && removal
        })
    }

    /// Every entry, for people.
    pub(super) fn print(&self) -> String {
        let mut entries: Vec<&(JournalEntry, Seen)> = Vec::new();
        for site in &self.sites {
            entries.extend(site.journal.values().flatten());
        }
        entries.sort_by_key(|(entry, _)| entry.hlc_us);
        let mut text = String::new();
        for (entry, seen) in entries {
            let change = claudefs_repl::journal::codec::decode_change(entry).unwrap();
            let seen: Vec<_> = seen.iter().map(|(a, seq)| (a.site_id, seq)).collect();
            let except = &entry.seen_except;
            let (inode, link) = (entry.inode, entry.link);
            let stamp = entry.timestamp_us;
            text += &format!(
                "{} @{stamp} [{inode:x}/{link:x}] {change:?} seen {seen:?} but {except:?} prev {:?} overrides {:?}\n",
                entry.dot(),
                entry.prev,
                entry.overrides
            );
        }
        for (at, site) in self.sites.iter().enumerate() {
            text += &format!("site {at}:\n{}", site.tree.print());
            text += &format!("{:#?}\n", self.open_conflicts(at));
        }
        text
    }
}

fn only_last_writes(mut batch: EntryBatch) -> EntryBatch {
    let writes = |entry: &JournalEntry| matches!(entry.op, OpKind::Write | OpKind::Truncate);
    let last: BTreeMap<u64, u64> = (batch.entries.iter().filter(|entry| writes(entry)))
        .map(|entry| (entry.inode, entry.seq))
        .collect();
    batch
        .entries
        .retain(|entry| !writes(entry) || last.get(&entry.inode) == Some(&entry.seq));
    batch
}

/// Ids of a site in the chosen shards, the smallest last.
fn ids_of(site_id: u64) -> Vec<u64> {
    static MADE: OnceLock<Vec<Vec<u64>>> = OnceLock::new();
    let made = MADE.get_or_init(|| (1..=SITES_MAX).map(make_ids).collect());
    made[usize::try_from(site_id).unwrap() - 1].clone()
}

fn make_ids(site_id: u64) -> Vec<u64> {
    let all = (1u64..).map(|counter| (site_id << 48) | (1 << 32) | counter);
    let chosen = all.filter(|id| SHARDS.contains(&shard_of(*id)));
    let mut ids: Vec<u64> = chosen.take(IDS).collect();
    ids.reverse();
    ids
}

/// Where the operations of a site's user are reported: its core and its journal, with the facts noted.
struct Desk<'a> {
    core: &'a mut Core<MemState>,
    journal: &'a mut BTreeMap<u32, Vec<(JournalEntry, Seen)>>,
    ids: &'a mut Vec<u64>,
    seen_hlc_us: &'a mut u64,
    facts: &'a mut Facts,
    rules: Rules,
    now_us: u64,
}

impl Reports for Desk<'_> {
    fn mint(&mut self) -> u64 {
        self.ids.pop().expect("histories are short")
    }

    fn now_us(&self) -> u64 {
        self.now_us
    }

    fn report(&mut self, tree: &Tree, mut txn: LocalTxn) -> Check<Dot> {
        if !self.rules.places_are_now {
            for op in &mut txn.ops {
                op.back_date_us = Some(self.now_us.saturating_sub(300_000));
            }
        }
        let authored = self.core.author(&txn, self.now_us).unwrap();
        for (entry, vector) in authored.entries.iter().zip(&authored.seen) {
            entry.validate().unwrap();
            if entry.hlc_us <= *self.seen_hlc_us {
                return Err(format!("{} is stamped before what it saw", entry.dot()));
            }
            *self.seen_hlc_us = entry.hlc_us;
            let seen = context(entry, vector);
            let base = tree.content(entry.inode);
            let writes =
                matches!(entry.op, OpKind::Write | OpKind::Truncate) && self.rules.seen_exceptions;
            if writes && entry.prev_of(&RegisterId::Content) != base {
                return Err(format!(
                    "{} does not say that it replaced {base:?}",
                    entry.dot()
                ));
            }
            self.facts.note(entry, &seen, base);
            let stream = self.journal.entry(entry.shard_id).or_default();
            stream.push((entry.clone(), vector.clone()));
            if stream.len() as u64 != entry.seq {
                return Err(format!("{} does not follow its stream", entry.dot()));
            }
        }
        let inode = txn.ops.last().map_or(0, |op| op.inode);
        let entries = authored.entries.iter();
        let of_inode = entries.filter(|entry| entry.inode == inode);
        let dot = of_inode.map(JournalEntry::dot).last();
        Ok(dot.expect("every operation is an entry"))
    }
}
