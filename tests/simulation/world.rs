//! The driver of one history: draws what happens next and when, lets disks, machines and connections fail, and in the
//! end lets nothing fail any more and judges.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use claudefs_repl::clock::Clock as _;
use claudefs_repl::disk::Fault;
use claudefs_repl::error::{ReplError, Result};
use claudefs_repl::journal::dot::Actor;
use claudefs_repl::sync::conflict::ConflictRecord;
use claudefs_repl::sync::engine::Engine;

use super::book::Book;
use super::connection::Connection;
use super::site::{Site, Tried, Trouble};
use super::trace::Trace;
use crate::judge::runs::Counted;
use crate::judge::users::Theme;
use crate::judge::{Check, told};
use crate::rng::Rng;

/// Rounds after the last fault within which everything has to be everywhere.
const ROUNDS_MAX: u32 = 60;
/// Rounds in which nothing moves any more, after which it is at rest: marks and heartbeats pass in them.
const ROUNDS_STILL: u32 = 4;
/// The same where everybody says how far it is, and then lets go.
const ROUNDS_STILL_RECLAIMING: u32 = 12;
/// 2026-01-01.
const BEGIN_US: u64 = 1_767_225_600_000_000;

/// What may go wrong in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Faults {
    /// Connections break, are lost in one direction, and stall; bits change on the way.
    pub(super) network: bool,
    /// Machines lose their power, and daemons are killed.
    pub(super) stops: bool,
    /// Operations of disks fail.
    pub(super) disks: bool,
    /// Clocks differ and step.
    pub(super) clocks: bool,
    /// Sites come later, when others have let go of what they would need; sites lose their disks and begin anew.
    pub(super) sites: bool,
}

impl Faults {
    pub(super) const ALL: Self = Self {
        network: true,
        stops: true,
        disks: true,
        clocks: true,
        sites: false,
    };
    pub(super) const WITH_SITES: Self = Self {
        sites: true,
        ..Self::ALL
    };
    pub(super) const NONE: Self = Self {
        network: false,
        stops: false,
        disks: false,
        clocks: false,
        sites: false,
    };
}

/// What a history is made of, beside its seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) faults: Faults,
    /// Steps before it comes to rest; by chance if there is no number.
    pub(super) steps: Option<u64>,
    /// The disk of this site loses its power at this operation.
    pub(super) crash: Option<(usize, u64)>,
    /// Entries are sent without what later ones make superfluous, as daemons do.
    pub(super) compacts: bool,
    /// Sites let go of what every one knows to be gone.
    pub(super) reclaims: bool,
}

impl Plan {
    pub(super) const fn with(faults: Faults) -> Self {
        Self {
            faults,
            steps: None,
            crash: None,
            compacts: true,
            reclaims: false,
        }
    }
}

/// What happened how often.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) ops: u64,
    pub(super) entries: u64,
    pub(super) messages: u64,
    pub(super) connections: u64,
    pub(super) stops: u64,
    pub(super) power_cuts: u64,
    pub(super) disk_faults: u64,
    pub(super) losers: u64,
    pub(super) swallowed: u64,
    pub(super) snapshots: u64,
    pub(super) lost_disks: u64,
    pub(super) let_go: u64,
}

impl Counted for Counts {
    fn add(&mut self, other: &Self) {
        self.ops += other.ops;
        self.entries += other.entries;
        self.messages += other.messages;
        self.connections += other.connections;
        self.stops += other.stops;
        self.power_cuts += other.power_cuts;
        self.disk_faults += other.disk_faults;
        self.losers += other.losers;
        self.swallowed += other.swallowed;
        self.snapshots += other.snapshots;
        self.lost_disks += other.lost_disks;
        self.let_go += other.let_go;
    }
}

/// Sites, connections, and what everybody wrote.
pub(super) struct World {
    rng: Rng,
    sites: Vec<Site>,
    connections: Vec<Connection>,
    book: Book,
    theme: Theme,
    faults: Faults,
    plan: Plan,
    value: u64,
    steps: u64,
    /// The last site takes no part before this step.
    late: Option<u64>,
    /// How far each site has received and merged each stream, as it told a peer.
    promised: BTreeMap<(usize, Actor, u32), u64>,
    pub(super) counts: Counts,
    pub(super) trace: Trace,
}

impl World {
    pub(super) fn new(seed: u64, plan: Plan) -> Self {
        let faults = plan.faults;
        let mut rng = Rng::new(seed);
        let count = [2, 2, 2, 3, 3, 4][rng.index(6)];
        let skew = |rng: &mut Rng| if faults.clocks { rng.below(400_000) } else { 0 };
        let sites: Vec<Site> = (0..count)
            .map(|at| Site::new(at, count, rng.below(u64::MAX), BEGIN_US + skew(&mut rng)))
            .collect();
        if let Some((at, operation)) = plan.crash {
            sites[at].disk.crash_at(operation);
        }
        let steps = plan.steps.unwrap_or(30 + rng.below(170));
        let late = (faults.sites && count > 2 && rng.one_in(2)).then(|| rng.below(steps));
        let mut sites = sites;
        for site in &mut sites {
            site.reclaims = plan.reclaims;
        }
        if late.is_some() {
            for site in &mut sites[..count - 1] {
                site.set_other(count as u64, false);
            }
        }
        let pairs = (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other)));
        let connections = pairs.map(|(one, other)| {
            let mut connection = Connection::between(one, other, faults.network, plan.compacts);
            connection.takes_over = faults.sites;
            connection
        });
        Self {
            theme: Theme::drawn(&mut rng),
            steps,
            late,
            connections: connections.collect(),
            sites,
            rng,
            book: Book::default(),
            faults,
            plan,
            value: 0,
            promised: BTreeMap::new(),
            counts: Counts::default(),
            trace: Trace::default(),
        }
    }

    /// Operations that the disk of each site did so far.
    pub(super) fn operations(&self) -> Vec<u64> {
        let disks = self.sites.iter().map(|site| site.disk.operations());
        disks.collect()
    }

    /// A history from the start to rest, checked on the way and at the end.
    pub(super) fn run(&mut self) -> Check {
        for nth in 0..self.steps {
            if self.late == Some(nth) {
                self.arrive();
            }
            self.step()?;
            let operations = self.operations();
            self.trace.note(|| format!("{operations:?}"));
        }
        self.rest()?;
        self.judge()
    }

    /// The last site takes part from here on.
    fn arrive(&mut self) {
        let Some((last, others)) = self.sites.split_last_mut() else {
            return;
        };
        for site in others {
            site.set_other(last.site_id(), true);
        }
        self.late = None;
        self.trace.note(|| "the last site arrives".to_owned());
    }

    /// Sites that take part.
    fn present(&self) -> usize {
        self.sites.len() - usize::from(self.late.is_some())
    }

    fn step(&mut self) -> Check {
        // What is told now and then is told in a history that lets go, too.
        let (often, longest_us) = if self.plan.reclaims {
            (4, 20_000_000)
        } else {
            (12, 9_000_000)
        };
        let pause_us = if self.rng.one_in(often) {
            self.rng.below(longest_us)
        } else {
            self.rng.below(30_000)
        };
        self.pass(Duration::from_micros(1 + pause_us));
        let at = self.rng.index(self.present());
        if self.faults.sites && self.rng.one_in(60) {
            return self.lose_disk(at);
        }
        match self.rng.below(20) {
            0..=5 => self.act(at),
            6..=7 => self.tries(at, "report", |site, book, _| site.report(book)),
            8..=9 => self.apply(at),
            15 if self.plan.reclaims => self.tick(at),
            10..=15 => self.exchange(),
            16 => self.tick(at),
            17 if self.faults.network => {
                self.disturb();
                Ok(())
            }
            18 if self.faults.stops => {
                self.halt(at);
                Ok(())
            }
            19 if self.faults.disks => {
                self.plan_fault(at);
                Ok(())
            }
            _ => {
                self.step_clock(at);
                Ok(())
            }
        }
    }

    fn tick(&mut self, at: usize) -> Check {
        let mut let_go = 0;
        self.tries(at, "tick", |site, _, _| {
            let before = site.engine(Engine::status)?.let_go;
            site.engine(Engine::tick)?;
            let_go = site.engine(Engine::status)?.let_go.saturating_sub(before);
            Ok(())
        })?;
        self.counts.let_go += let_go;
        Ok(())
    }

    /// Time passes at every site.
    fn pass(&mut self, by: Duration) {
        for site in &self.sites {
            site.clock.advance(by);
        }
    }

    fn act(&mut self, at: usize) -> Check {
        for _ in 0..=self.rng.below(3) {
            let site = &mut self.sites[at];
            let done = site.act(&mut self.rng, &mut self.value, self.theme)?;
            self.counts.ops += u64::from(done);
            self.trace
                .note(|| format!("{at}: user {done}, {}", self.value));
        }
        Ok(())
    }

    /// Starts a site that does not run; whether it runs.
    fn start(&mut self, at: usize) -> Check<bool> {
        if self.sites[at].runs() {
            return Ok(true);
        }
        if self.sites[at].disk.is_down() {
            self.sites[at].disk.restart();
        }
        let started = self.sites[at].start();
        self.trace
            .note(|| format!("{at}: start {}", shown(&started)));
        match started {
            Ok(()) => Ok(true),
            Err(error) if is_of_a_disk(&error) => Ok(false),
            Err(error) => Err(format!("site {at} does not start: {error}")),
        }
    }

    /// Something that a running site does; a failure stops it, as it stops a daemon.
    fn tries(
        &mut self,
        at: usize,
        what: &str,
        work: impl FnOnce(&mut Site, &mut Book, &mut Rng) -> Tried,
    ) -> Check {
        if !self.start(at)? {
            return Ok(());
        }
        let tried = work(&mut self.sites[at], &mut self.book, &mut self.rng);
        self.trace
            .note(|| format!("{at}: {what} {}", shown(&tried)));
        self.judge_try(tried, &[at])
    }

    fn judge_try(&mut self, tried: Tried, sites: &[usize]) -> Check {
        match tried {
            Ok(()) => {}
            Err(Trouble::Violation(fault)) => return Err(fault),
            Err(Trouble::Failed(error)) => {
                if !is_of_a_disk(&error) {
                    return Err(format!("{sites:?}: {error}"));
                }
                self.counts.disk_faults += 1;
                for at in sites {
                    if self.sites[*at].disk.is_down() || !error.is_disk_full() {
                        self.stop(*at, "failed");
                    }
                }
            }
        }
        Ok(())
    }

    fn stop(&mut self, at: usize, why: &str) {
        self.sites[at].stop();
        let heard = self.rng.one_in(2);
        for connection in &mut self.connections {
            connection.drop_end(at, heard);
        }
        self.trace.note(|| format!("{at}: stops, {why}"));
    }

    fn apply(&mut self, at: usize) -> Check {
        let limit = if self.rng.one_in(3) {
            usize::MAX
        } else {
            1 + self.rng.index(6)
        };
        let stops = self.faults.stops && self.rng.one_in(30);
        self.tries(at, "apply", |site, book, _| {
            site.apply(book, limit, stops).map(drop)
        })?;
        if stops && self.sites[at].runs() {
            return Ok(());
        }
        if stops {
            self.counts.stops += 1;
            self.stop(at, "between tree and report");
        }
        Ok(())
    }

    fn exchange(&mut self) -> Check {
        let nth = self.rng.index(self.connections.len());
        let messages = 1 + self.rng.index(8);
        self.exchange_on(nth, messages)
    }

    fn exchange_on(&mut self, nth: usize, messages: usize) -> Check {
        let [one, other] = self.connections[nth].sites;
        if one.max(other) >= self.present() {
            return Ok(());
        }
        if !self.start(one)? || !self.start(other)? {
            return Ok(());
        }
        for at in [one, other] {
            let tried = self.sites[at].observe(&mut self.book);
            let failed = tried.is_err();
            self.judge_try(tried, &[at])?;
            if failed {
                return Ok(());
            }
        }
        let connection = &mut self.connections[nth];
        let tried = if connection.is_over() {
            self.counts.connections += 1;
            connection.connect(&mut self.sites).map_err(Trouble::from)
        } else {
            let before = connection.delivered;
            let tried = connection.run(&mut self.sites, &mut self.book, &mut self.rng, messages);
            self.counts.messages += connection.delivered - before;
            tried
        };
        self.trace
            .note(|| format!("{one}-{other}: exchange {}", shown(&tried)));
        // Which of the two failed shows by its disk; else both begin anew.
        let failed: Vec<usize> = [one, other]
            .into_iter()
            .filter(|at| self.sites[*at].disk.is_down())
            .collect();
        if failed.is_empty() {
            if tried.is_err() {
                self.connections[nth].sever();
            }
            self.judge_try(tried, &[one, other])?;
        } else {
            self.judge_try(tried, &failed)?;
        }
        self.promises(one)?;
        self.promises(other)
    }

    fn disturb(&mut self) {
        let nth = self.rng.index(self.connections.len());
        let kind = self.rng.below(3);
        let connection = &mut self.connections[nth];
        match kind {
            0 => connection.sever(),
            side => connection.lose(usize::from(side == 1)),
        }
        self.trace
            .note(|| format!("connection {nth}: disturbed {kind}"));
    }

    /// A machine loses its power now or soon, or a daemon is killed.
    fn halt(&mut self, at: usize) {
        if !self.sites[at].runs() {
            return;
        }
        let kind = self.rng.below(3);
        let disk = self.sites[at].disk.clone();
        match kind {
            0 => {
                self.counts.stops += 1;
                self.stop(at, "killed");
            }
            1 => {
                self.counts.power_cuts += 1;
                disk.power_cut();
                self.stop(at, "power cut");
            }
            _ => {
                self.counts.power_cuts += 1;
                disk.crash_at(disk.operations() + self.rng.below(30));
            }
        }
        self.trace.note(|| format!("{at}: halt {kind}"));
    }

    /// A machine burns down. Nothing that nobody else has is in it, for that would be gone.
    fn lose_disk(&mut self, at: usize) -> Check {
        if !self.start(at)? || !self.sites[at].is_reported() {
            return Ok(());
        }
        let tried = self.sites[at].observe(&mut self.book);
        let is_known = tried.is_ok();
        self.judge_try(tried, &[at])?;
        for ((actor, stream), head) in self.book.heads().clone() {
            let has = |other: usize| {
                let known = self.promised.get(&(other, actor, stream));
                let is_own = self.sites[other].actor() == actor;
                other != at && (is_own || known.is_some_and(|received| *received >= head))
            };
            if !is_known || !(0..self.sites.len()).any(has) {
                return Ok(());
            }
        }
        let seed = self.rng.below(u64::MAX);
        self.stop(at, "its disk is gone");
        self.sites[at].lose_disk(seed);
        self.book.lost_disk(at);
        self.promised.retain(|(site, ..), _| *site != at);
        self.counts.lost_disks += 1;
        // A person says at the others that its journal ended, and says it again where a disk did not take it.
        let actor = self.sites[at].actor();
        let name = super::site::name(actor.site_id);
        for other in (0..self.present()).filter(|other| *other != at) {
            let mut is_told = false;
            while !is_told {
                self.tries(other, "succeeds", |site, book, _| {
                    site.engine(|e| e.succeeds(actor, &name))?;
                    site.observe(book)?;
                    is_told = true;
                    Ok(())
                })?;
            }
        }
        self.trace.note(|| format!("{at}: lost its disk"));
        Ok(())
    }

    fn plan_fault(&mut self, at: usize) {
        let fault = if self.rng.one_in(2) {
            Fault::Io
        } else {
            Fault::Full
        };
        let disk = &self.sites[at].disk;
        disk.fail_at(disk.operations() + self.rng.below(20), fault);
        self.trace.note(|| format!("{at}: {fault:?} soon"));
    }

    fn step_clock(&mut self, at: usize) {
        if !self.faults.clocks {
            return;
        }
        let clock = &self.sites[at].clock;
        let by = self.rng.below(400_000);
        clock.step_to((clock.now_us() + by).saturating_sub(200_000));
        self.trace.note(|| format!("{at}: clock {by}"));
    }

    /// What a site said that it has, it has, whatever happened since.
    fn promises(&mut self, at: usize) -> Check {
        if !self.sites[at].runs() {
            return Ok(());
        }
        let own = self.sites[at].actor();
        let heads = self.book.heads().keys();
        let actors: BTreeSet<Actor> = heads.map(|(actor, _)| *actor).collect();
        for actor in actors.into_iter().filter(|actor| *actor != own) {
            let Ok(progress) = self.sites[at].engine(|e| e.progress(actor)) else {
                return Ok(());
            };
            for one in progress {
                let key = (at, actor, one.stream);
                let before = self.promised.insert(key, one.received).unwrap_or(0);
                if one.received < before {
                    let (stream, got) = (one.stream, one.received);
                    return Err(format!(
                        "site {at} had stream {stream} of {actor} up to {before}, and now to {got}"
                    ));
                }
                if one.applied > one.merged || one.merged > one.received {
                    return Err(format!("site {at}: {one:?}"));
                }
            }
        }
        Ok(())
    }

    /// Nothing fails any more: within a bounded number of rounds everything is everywhere.
    fn rest(&mut self) -> Check {
        self.faults = Faults::NONE;
        if self.late.is_some() {
            self.arrive();
        }
        for at in 0..self.sites.len() {
            if !self.sites[at].runs() || self.sites[at].disk.is_down() {
                self.stop(at, "for the last time");
            }
            if self.plan.crash.is_none() {
                self.sites[at].disk.restart();
            }
        }
        for connection in &mut self.connections {
            connection.sever();
            connection.damages = false;
        }
        let mut still = 0;
        for round in 0..ROUNDS_MAX {
            self.pass(Duration::from_secs(6));
            for at in 0..self.sites.len() {
                self.tries(at, "report", |site, book, _| site.report(book))?;
            }
            let before: u64 = self.connections.iter().map(|one| one.delivered).sum();
            for nth in 0..self.connections.len() {
                for _ in 0..40 {
                    self.exchange_on(nth, usize::MAX)?;
                    if self.connections[nth].is_silent() {
                        break;
                    }
                }
            }
            let after: u64 = self.connections.iter().map(|one| one.delivered).sum();
            let mut applied = 0;
            for at in 0..self.sites.len() {
                self.tries(at, "apply", |site, book, _| {
                    applied += site.apply(book, usize::MAX, false)?;
                    Ok(())
                })?;
                self.tick(at)?;
                self.promises(at)?;
            }
            self.trace.note(|| {
                format!(
                    "round {round}: {} messages, {applied} applied",
                    after - before
                )
            });
            // Marks come over whole connections only, and some conflicts are recorded by them.
            let are_whole = self.connections.iter().all(Connection::is_whole);
            let is_done = applied == 0 && are_whole && self.missing().is_empty();
            still = if is_done { still + 1 } else { 0 };
            let enough = if self.plan.reclaims {
                ROUNDS_STILL_RECLAIMING
            } else {
                ROUNDS_STILL
            };
            if still >= enough {
                return Ok(());
            }
        }
        Err(format!(
            "no rest after {ROUNDS_MAX} rounds: {}\n{}",
            self.missing(),
            self.standings()
        ))
    }

    /// Where every site stands towards every other one, for people.
    fn standings(&mut self) -> String {
        let mut told = String::new();
        let count = self.sites.len() as u64;
        for site in self.sites.iter_mut().filter(|site| site.runs()) {
            let (at, actor) = (site.at, site.actor());
            for other in (1..=count).filter(|other| *other != at as u64 + 1) {
                let standing = site.engine(|e| e.standing(other));
                let takeover = site.engine(Engine::takeover);
                told += &format!("{at} is {actor}, towards {other}: {standing:?} {takeover:?}\n");
            }
            let marks = site.engine(Engine::status).map(|status| status.marks);
            told += &format!("{at} has marks {marks:?}\n");
        }
        told
    }

    /// What is not everywhere.
    fn missing(&mut self) -> String {
        let heads = self.book.heads().clone();
        let mut missing = String::new();
        for at in 0..self.sites.len() {
            if !self.sites[at].runs() {
                missing += &format!("site {at} does not run; ");
                continue;
            }
            if !self.sites[at].is_reported() {
                missing += &format!("site {at} has not reported what its user did; ");
            }
            for ((actor, stream), head) in &heads {
                if *actor == self.sites[at].actor() {
                    continue;
                }
                let progress = self.sites[at].engine(|e| e.progress(*actor));
                let progress = progress.unwrap_or_default();
                let one = progress.iter().find(|one| one.stream == *stream);
                let got = one.map_or((0, 0), |one| (one.received, one.applied));
                if got != (*head, *head) {
                    missing += &format!("site {at} has {actor}/{stream} up to {got:?} of {head}; ");
                }
            }
        }
        missing
    }

    /// What a user and an operator see in the end, and how far everybody is.
    pub(super) fn outcome(&mut self) -> Check<String> {
        let mut seen = format!("{:?}\n{}", self.book.heads(), self.sites[0].tree.print());
        let conflicts = self.sites[0].engine(Engine::conflicts);
        let conflicts = conflicts.map_err(|error| error.to_string())?;
        let records: Vec<ConflictRecord> = conflicts.into_iter().map(|(one, _)| one).collect();
        seen += &format!("{:#?}", told::open_conflicts(&records));
        Ok(seen)
    }

    fn judge(&mut self) -> Check {
        self.counts.entries = self.book.heads().values().sum();
        let first = self.sites[0].tree.clone();
        for site in self.sites.iter().skip(1) {
            if !site.tree.looks_like(&first) {
                return Err(format!(
                    "site {} shows another tree than site 0:\n{}instead of\n{}",
                    site.at,
                    site.tree.print(),
                    first.print()
                ));
            }
        }
        self.book.facts.reference().check(&first)?;
        let mut records: Vec<Vec<ConflictRecord>> = Vec::new();
        for site in &mut self.sites {
            let conflicts = site.engine(Engine::conflicts);
            let conflicts = conflicts.map_err(|error| format!("site {}: {error}", site.at))?;
            records.push(conflicts.into_iter().map(|(record, _)| record).collect());
        }
        let recorded: Vec<_> = records.iter().map(|all| told::recorded(all)).collect();
        let finally: BTreeMap<_, _> = first
            .inodes()
            .into_iter()
            .filter_map(|inode| Some((inode, first.content(inode)?)))
            .collect();
        self.book.facts.check_displaced(&recorded, &finally)?;
        for (at, recorded) in recorded.iter().enumerate() {
            self.book.facts.check_losers(at, recorded)?;
            let (here, there) = (
                told::open_conflicts(&records[at]),
                told::open_conflicts(&records[0]),
            );
            if here != there {
                let standings = self.standings();
                return Err(format!(
                    "site {at} has other conflicts than site 0: {here:#?} instead of {there:#?}\n{standings}"
                ));
            }
        }
        let swallowed = self.connections.iter().map(|one| one.swallowed);
        self.counts.swallowed = swallowed.sum();
        let snapshots = self.connections.iter().map(|one| one.snapshots);
        self.counts.snapshots = snapshots.sum();
        self.counts.losers = self.book.facts.concurrent_losers().len() as u64;
        Ok(())
    }
}

/// Whether a disk caused it, as histories have them do.
fn is_of_a_disk(error: &ReplError) -> bool {
    let stopped = "stopped after a failed";
    matches!(error, ReplError::Io { .. })
        || matches!(error, ReplError::Journal { reason, .. } if reason.starts_with(stopped))
}

fn shown<T, E: std::fmt::Display>(result: &Result<T, E>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}
