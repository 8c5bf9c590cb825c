//! What the other sites have of this journal, as they said last; who was fenced, and who brought the tree.
//!
//! How far a member got is only a copy of its own cursors, kept so that a restart does not forget who holds the
//! journal back. Who is fenced is a decision: it stands in the control stream, and is made again from there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::{Engine, EngineConfig, Opened};
use crate::clock::TimestampUs;
use crate::error::Result;
use crate::journal::ReceivedLog;
use crate::journal::dot::Actor;
use crate::journal::op::{Change, MemberState};
use crate::journal::retention::Cursors;
use crate::store::Store;
use crate::sync::member::{self, Member};
use crate::sync::state::State;

/// Set once another site was met when both had nothing.
const MET_EMPTY: &str = "met_empty";
/// Set as long as the tree, which was there before, is compared with that of the cluster.
const MATCHING: &str = "tree/matching";
/// Numbers about a member: `member/SITE/incarnation`, `…/takes_nothing`, `…/unheard_us`, `…/received/STREAM`.
const MEMBER_KEYS: &str = "member/";
/// The tree's founder: `founder/site` and `founder/incarnation`.
const FOUNDER_SITE: &str = "founder/site";
const FOUNDER_INCARNATION: &str = "founder/incarnation";

/// For whom the journal is kept, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The other sites of the configuration: number and name.
    pub members: BTreeMap<u64, String>,
    /// A member that holds back more of the journal is fenced.
    pub budget_bytes: u64,
    /// The journal is kept from its beginning up to this size, although nobody needs it: as long as it is whole, a new
    /// site can be filled from it.
    pub keep_bytes: u64,
    /// A member that was not heard for so long is fenced. Only time in which this site ran counts.
    pub max_absence: Duration,
}

impl Default for Retention {
    /// Nobody to keep anything for; the limits are the defaults of the configuration.
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            budget_bytes: 20 << 30,
            keep_bytes: 1 << 30,
            max_absence: Duration::from_secs(30 * 86_400),
        }
    }
}

/// What a member says of itself, in its hello and by its receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberReport {
    /// Its journal.
    pub actor: Actor,
    /// It takes entries of others.
    pub takes: bool,
    /// How far it has received each stream of this journal.
    pub received: Cursors,
    /// The journal of the site that brought the tree, as far as it knows.
    pub founder: Option<Actor>,
}

/// Why a member was fenced. Known where it was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceCause {
    /// It held back this much of the journal, more than the budget.
    Budget {
        /// Bytes of segments.
        pinned_bytes: u64,
    },
    /// It was not heard for so long.
    Absence {
        /// Time in which this site ran.
        unheard: Duration,
    },
}

/// A journal that is shut out for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The journal.
    pub actor: Actor,
    /// Name of its site.
    pub name: String,
    /// The site that decided.
    pub by_site_id: u64,
    /// When, in its clock.
    pub at_us: TimestampUs,
    /// Why. None: it was decided at another site.
    pub cause: Option<FenceCause>,
    /// Another journal of its site took its place.
    pub replaced: bool,
}

/// A configured member at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its number.
    pub site_id: u64,
    /// Set when its journal, as far as it is known, was fenced.
    pub fence: Option<Fence>,
    /// Bytes of this journal's segments that it holds back.
    pub pinned_bytes: u64,
}

/// What is remembered of a member.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracked {
    pub(super) incarnation: u64,
    /// The other way round, so that zero is the usual case.
    takes_nothing: bool,
    received: Cursors,
    pub(super) unheard: Duration,
    heard: bool,
}

impl Engine {
    /// Takes note of what a member says of itself. Others than configured members are ignored.
    ///
    /// # Errors
    /// When the engine failed before and cannot be opened again.
    pub fn heard(&mut self, report: MemberReport) -> Result<()> {
        self.with(|opened, config| opened.heard(config, report))
    }

    /// The site of the journal `actor` speaks by it: what it wrote into another one before is all that ever comes of
    /// that. Who knows of it takes part in making all sites level.
    ///
    /// # Errors
    /// As [`Engine::heard`], or when the journal refuses.
    pub fn succeeds(&mut self, actor: Actor, name: &str) -> Result<()> {
        self.with(|opened, config| {
            let known = opened.received.keys();
            let older = known.filter(|known| known.site_id == actor.site_id && **known != actor);
            let older = older.copied().collect();
            // One of which nothing was received needs no decision; nothing waits for its mark any more.
            let received = &opened.received;
            opened.marks.retain(|known, _| {
                let is_other = known.site_id == actor.site_id && *known != actor;
                !is_other || received.contains_key(known)
            });
            opened.end_journals(config, older, name)?;
            Ok(())
        })
    }

    /// The site is taken out for good: what its journals wrote so far is all that ever comes of them. Who has less of them
    /// takes it over from who has more. Returns how many journals ended.
    ///
    /// # Errors
    /// As [`Engine::succeeds`].
    pub fn ends(&mut self, site_id: u64, name: &str) -> Result<usize> {
        self.with(|opened, config| {
            let tracked = opened.members.get(&site_id).map_or(0, |t| t.incarnation);
            let mut of_site: BTreeSet<Actor> = opened.received.keys().copied().collect();
            of_site.insert(Actor::new(site_id, tracked));
            of_site.retain(|actor| actor.site_id == site_id && actor.incarnation != 0);
            let ended = opened.end_journals(config, of_site, name)?;
            opened.marks.retain(|actor, _| actor.site_id != site_id);
            opened.commit(config)?;
            Ok(ended)
        })
    }

    /// Whether `actor`, or this site's own journal, was fenced: then nothing is exchanged with it any more.
    ///
    /// # Errors
    /// As [`Engine::heard`].
    pub fn fence_between(&mut self, actor: Actor) -> Result<Option<Fence>> {
        self.with(|opened, _| {
            let own = opened.journal.actor();
            let fences = opened.fences()?.into_iter();
            Ok(fences
                .filter(|fence| [own, actor].contains(&fence.actor))
                .max_by_key(|fence| fence.actor == actor))
        })
    }

    /// Declares that this site brings the tree of the cluster: it has files before it met anyone. To be called before
    /// anything is journaled; later it does nothing.
    ///
    /// # Errors
    /// As [`Engine::heard`], or when the journal refuses.
    pub fn found(&mut self, name: &str) -> Result<()> {
        self.with(|opened, config| {
            if !opened.journal.points().is_empty() || opened.founder()?.is_some() {
                return Ok(());
            }
            let actor = opened.journal.actor();
            opened.decide(config, actor, name, MemberState::Active)
        })
    }

    /// The membership epoch: how many journals were shut out so far.
    ///
    /// # Errors
    /// As [`Engine::heard`].
    pub fn epoch(&mut self) -> Result<u32> {
        self.with(|opened, _| opened.epoch())
    }

    /// Two sites met that both have nothing: an empty tree is their common history, so neither brings one later.
    ///
    /// # Errors
    /// As [`Engine::heard`].
    pub fn meet_empty(&mut self) -> Result<()> {
        self.with(|opened, config| {
            if opened.core.state().number(MET_EMPTY)? == 0 {
                opened.core.state_mut().set_number(MET_EMPTY, 1);
                opened.commit(config)?;
            }
            Ok(())
        })
    }

    /// How far a member has received the journal, as it said last, before the last start too; none: it never did.
    ///
    /// # Errors
    /// As [`Engine::heard`].
    pub fn received_by(&mut self, site_id: u64) -> Result<Option<Cursors>> {
        self.with(|opened, _| {
            let tracked = opened.members.get(&site_id);
            let heard = tracked.filter(|tracked| tracked.incarnation != 0);
            Ok(heard.map(|tracked| tracked.received.clone()))
        })
    }

    /// The largest number of a site that was ever configured here, received from, or decided about: those of sites that
    /// were removed since are among them.
    ///
    /// # Errors
    /// As [`Engine::heard`].
    pub fn largest_site_id(&mut self) -> Result<u64> {
        self.with(|opened, config| {
            let decided = opened.core.state().members()?;
            let decided = decided.iter().map(|(actor, _)| actor.site_id);
            let received = opened.received.keys().map(|actor| actor.site_id);
            let tracked = opened.members.keys().copied();
            let all = decided.chain(received).chain(tracked);
            Ok(all.chain([config.site_id]).max().unwrap_or(0))
        })
    }

    /// Whether another site was met when both had nothing.
    ///
    /// # Errors
    /// As [`Engine::heard`].
    pub fn has_met_empty(&mut self) -> Result<bool> {
        self.with(|opened, _| Ok(opened.core.state().number(MET_EMPTY)? != 0))
    }

    /// Notes whether the tree, which was there before, is compared with that of the cluster.
    ///
    /// # Errors
    /// As [`Engine::heard`].
    pub fn set_matching(&mut self, is_matching: bool) -> Result<()> {
        self.with(|opened, config| {
            let store = opened.core.state_mut();
            store.set_number(MATCHING, u64::from(is_matching));
            opened.commit(config)
        })
    }

    /// Whether it is.
    ///
    /// # Errors
    /// As [`Engine::heard`].
    pub fn is_matching(&mut self) -> Result<bool> {
        self.with(|opened, _| opened.is_matching())
    }

    /// Whether the cluster has a tree: a site brought one, or something was written.
    ///
    /// # Errors
    /// As [`Engine::heard`].
    pub fn knows_a_tree(&mut self) -> Result<bool> {
        self.with(|opened, _| Ok(opened.joined() || opened.founder()?.is_some()))
    }

    /// Whether entries were ever exchanged with another site.
    ///
    /// # Errors
    /// As [`Engine::heard`].
    pub fn joined(&mut self) -> Result<bool> {
        self.with(|opened, _| Ok(opened.joined()))
    }
}

impl Opened {
    /// Journals of those of `journals` that are not out that they ended; returns how many that were.
    fn end_journals(
        &mut self,
        config: &EngineConfig,
        mut journals: BTreeSet<Actor>,
        name: &str,
    ) -> Result<usize> {
        let out = self.out()?;
        journals.retain(|actor| !out.contains(actor));
        for actor in &journals {
            tracing::warn!(site = name, journal = %actor, "ended: nothing more of it is taken");
            self.decide(config, *actor, name, MemberState::Removed)?;
        }
        Ok(journals.len())
    }

    /// Journals a decision about the journal `actor`.
    pub(super) fn decide(
        &mut self,
        config: &EngineConfig,
        actor: Actor,
        name: &str,
        state: MemberState,
    ) -> Result<()> {
        let change = Change::Member {
            site_id: actor.site_id,
            name: name.to_owned(),
            incarnation: actor.incarnation,
            state,
            final_cursors: Vec::new(),
        };
        let now_us = self.stamping_us(config);
        let authored = self.core.author_control(change, now_us)?;
        self.journal_all(vec![authored])
    }

    fn heard(&mut self, config: &EngineConfig, report: MemberReport) -> Result<()> {
        let site_id = report.actor.site_id;
        if !config.retention.members.contains_key(&site_id) {
            return Ok(());
        }
        if let Some(founder) = report.founder
            && self.founder()?.is_none()
        {
            let store = self.core.state_mut();
            store.set_number(FOUNDER_SITE, founder.site_id);
            store.set_number(FOUNDER_INCARNATION, founder.incarnation);
        }
        let heads = self.journal.points();
        let head = |stream: u32| heads.get(&stream).map_or(0, |point| point.seq);
        let received: Cursors = report
            .received
            .into_iter()
            .map(|(stream, seq)| (stream, seq.min(head(stream))))
            .collect();
        let tracked = self.members.entry(site_id).or_default();
        let store = self.core.state_mut();
        let key = |name: &str| format!("{MEMBER_KEYS}{site_id}/{name}");
        let is_new = tracked.incarnation != report.actor.incarnation;
        if is_new {
            for stream in tracked.received.keys() {
                store.remove_number(&key(&format!("received/{stream}")));
            }
            *tracked = Tracked {
                incarnation: report.actor.incarnation,
                ..Tracked::default()
            };
            store.set_number(&key("incarnation"), tracked.incarnation);
        }
        if tracked.takes_nothing == report.takes {
            tracked.takes_nothing = !report.takes;
            store.set_number(&key("takes_nothing"), u64::from(!report.takes));
        }
        if !tracked.unheard.is_zero() {
            store.set_number(&key("unheard_us"), 0);
        }
        (tracked.heard, tracked.unheard) = (true, Duration::ZERO);
        for (stream, seq) in received {
            let known = tracked.received.entry(stream).or_insert(0);
            if seq > *known {
                *known = seq;
                store.set_number(&key(&format!("received/{stream}")), seq);
            }
        }
        // It may get what is here before the next commit, and what is said of journals afterwards has to name it.
        if is_new && config.reclaim.is_some() {
            self.commit(config)?;
        }
        Ok(())
    }

    /// Lets time pass for the members that were not heard in it.
    pub(super) fn age_members(&mut self, config: &EngineConfig, passed: Duration) {
        for site_id in config.retention.members.keys() {
            let tracked = self.members.entry(*site_id).or_default();
            if !std::mem::take(&mut tracked.heard) {
                tracked.unheard += passed;
                let us = u64::try_from(tracked.unheard.as_micros()).unwrap_or(u64::MAX);
                let key = format!("{MEMBER_KEYS}{site_id}/unheard_us");
                self.core.state_mut().set_number(&key, us);
            }
        }
    }

    /// What each site has for which the journal is kept: the configured ones that take entries and are not fenced.
    pub(super) fn holders(&self, config: &EngineConfig) -> Result<BTreeMap<u64, Cursors>> {
        let known = self.core.state().members()?;
        let mut holders = BTreeMap::new();
        for site_id in config.retention.members.keys() {
            let tracked = self.members.get(site_id).cloned().unwrap_or_default();
            let actor = Actor::new(*site_id, tracked.incarnation);
            if !tracked.takes_nothing && !is_out(&known, actor) {
                holders.insert(*site_id, tracked.received);
            }
        }
        Ok(holders)
    }

    /// Journals that were fenced, or gave way to another one of their site.
    pub(super) fn out(&self) -> Result<BTreeSet<Actor>> {
        let members = self.core.state().members()?.into_iter();
        let out = members.filter(|(_, record)| record.state != MemberState::Active);
        Ok(out.map(|(actor, _)| actor).collect())
    }

    pub(super) fn is_matching(&self) -> Result<bool> {
        Ok(self.core.state().number(MATCHING)? != 0)
    }

    /// Every journal that is out.
    pub(super) fn fences(&self) -> Result<Vec<Fence>> {
        let store = self.core.state();
        let members = store.members()?.into_iter();
        let fenced = members.filter(|(_, record)| record.state != MemberState::Active);
        fenced
            .map(|(actor, record)| {
                let pinned_bytes = store.number(&fence_key(actor, "pinned_bytes"))?;
                let unheard_us = store.number(&fence_key(actor, "unheard_us"))?;
                let cause = match (pinned_bytes, unheard_us) {
                    (0, 0) => None,
                    (0, us) => Some(FenceCause::Absence {
                        unheard: Duration::from_micros(us),
                    }),
                    (pinned_bytes, _) => Some(FenceCause::Budget { pinned_bytes }),
                };
                Ok(Fence {
                    actor,
                    name: record.name,
                    by_site_id: record.key.site_id,
                    at_us: record.key.timestamp_us,
                    cause,
                    replaced: record.state == MemberState::Removed,
                })
            })
            .collect()
    }

    /// Keeps why a journal is about to be fenced, for people.
    pub(super) fn note_cause(&mut self, actor: Actor, cause: FenceCause) {
        let (name, number) = match cause {
            FenceCause::Budget { pinned_bytes } => ("pinned_bytes", pinned_bytes),
            FenceCause::Absence { unheard } => {
                let us = u64::try_from(unheard.as_micros()).unwrap_or(u64::MAX);
                ("unheard_us", us)
            }
        };
        let store = self.core.state_mut();
        store.set_number(&fence_key(actor, name), number);
    }

    pub(super) fn member_statuses(&self, config: &EngineConfig) -> Result<Vec<MemberStatus>> {
        let fences = self.fences()?;
        let members = config.retention.members.keys();
        Ok(members
            .map(|site_id| {
                let incarnation = self.members.get(site_id).map_or(0, |t| t.incarnation);
                let actor = Actor::new(*site_id, incarnation);
                let pin = self.pins.iter().find(|pin| pin.site_id == *site_id);
                MemberStatus {
                    site_id: *site_id,
                    fence: (fences.iter())
                        .find(|fence| fence.actor == actor && !fence.replaced)
                        .cloned(),
                    pinned_bytes: pin.map_or(0, |pin| pin.bytes),
                }
            })
            .collect())
    }

    /// The journal of the site that brought the tree, as far as it is known here.
    pub(super) fn founder(&self) -> Result<Option<Actor>> {
        let store = self.core.state();
        let told = Actor::new(
            store.number(FOUNDER_SITE)?,
            store.number(FOUNDER_INCARNATION)?,
        );
        if told != Actor::default() {
            return Ok(Some(told));
        }
        Ok(member::founder(&store.members()?))
    }

    /// The membership epoch.
    pub(super) fn epoch(&self) -> Result<u32> {
        Ok(member::epoch(&self.core.state().members()?))
    }

    /// Whether entries were ever exchanged with another site.
    pub(super) fn joined(&self) -> bool {
        let mut received = self.received.values().flat_map(ReceivedLog::cursors);
        let mut taken = self.members.values().flat_map(|t| t.received.values());
        received.any(|(_, cursor)| cursor.seq > 0) || taken.any(|seq| *seq > 0)
    }
}

/// What was remembered of the members when the state was last written.
pub(super) fn load(store: &Store) -> Result<BTreeMap<u64, Tracked>> {
    Ok(tracked(store.numbers(MEMBER_KEYS)?))
}

/// How far each member has received the journal of the site whose state is in `file`, by its number: as it said last
/// when the state was written. The file is looked at and not opened as the engine's.
///
/// # Errors
/// When a daemon has the file, or was killed while it had it, or it cannot be read.
pub fn remembered(file: &Path) -> Result<BTreeMap<u64, Cursors>> {
    let members = tracked(Store::peek_numbers(file, MEMBER_KEYS)?).into_iter();
    Ok(members
        .filter(|(_, tracked)| tracked.incarnation != 0)
        .map(|(site_id, tracked)| (site_id, tracked.received))
        .collect())
}

fn tracked(numbers: Vec<(String, u64)>) -> BTreeMap<u64, Tracked> {
    let mut members: BTreeMap<u64, Tracked> = BTreeMap::new();
    for (name, number) in numbers {
        let Some((site, name)) = name.split_once('/') else {
            continue;
        };
        let Ok(site_id) = site.parse() else { continue };
        let tracked = members.entry(site_id).or_default();
        match name {
            "incarnation" => tracked.incarnation = number,
            "takes_nothing" => tracked.takes_nothing = number != 0,
            "unheard_us" => tracked.unheard = Duration::from_micros(number),
            _ => {
                let stream = name.strip_prefix("received/").map(str::parse);
                if let Some(Ok(stream)) = stream {
                    tracked.received.insert(stream, number);
                }
            }
        }
    }
    members
}

fn is_out(members: &[Member], actor: Actor) -> bool {
    let known = members.iter().find(|(known, _)| *known == actor);
    known.is_some_and(|(_, record)| record.state != MemberState::Active)
}

fn fence_key(actor: Actor, name: &str) -> String {
    let (site_id, incarnation) = (actor.site_id, actor.incarnation);
    format!("fence/{site_id}/{incarnation:016x}/{name}")
}
