//! One turn of the connector's loop after the other: notice what is due, apply what there is, and say how long to rest.
//!
//! A turn does not wait. What it leaves for later stands in the agenda and among the stuck images, with its time; the
//! rest ends earlier when the tree or somebody else calls.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Connector, ConnectorEvent, Standing};
use crate::error::Result;
use crate::journal::op::Name;
use crate::tree::scan::{Between, Disbelief, ScanReport, Scope};
use crate::tree::watch::{FileHint, Hints, Watch};

/// Longest rest: so often others learn that nothing happened here. Half of a heartbeat, so that no beat says what the
/// one before it said.
const REST_MAX: Duration = Duration::from_millis(500);
/// Images that wait for content are tried again when their source has news; after this time in any case.
const RETRY_ALL_EVERY: Duration = Duration::from_secs(300);
/// Shortest time from one full scan to the next when events are lost again and again.
const LOST_PAUSE: Duration = Duration::from_secs(1);
/// How long images are applied before the tree is looked at again, and how much longer than the last look took: who
/// works here while much arrives is heard too, and looking costs a fifth of the time at most.
const APPLY_MAX: Duration = Duration::from_secs(2);
const APPLY_TO_LOOK: u32 = 4;
/// When directories are looked at again that did not rest during a scan.
const UNSTABLE_PAUSE: Duration = Duration::from_millis(200);

type Tell<'a> = &'a mut dyn FnMut(ConnectorEvent);

/// What the loop keeps from turn to turn.
#[derive(Debug)]
pub(in crate::tree) struct Turns {
    watch: Watch,
    blind: Option<String>,
    brake: Option<Disbelief>,
    /// End of the last full scan.
    scanned: Duration,
    full_due: Duration,
    /// The last full scan saw what it could not journal: nothing may be said to be noticed until the next one.
    is_incomplete: bool,
    retried: Duration,
    retried_all: Duration,
    told: Standing,
    /// Directories with events since the last look.
    dirty: BTreeSet<Vec<Name>>,
    /// Wall clock before events were last taken: what comes with the next ones is not older.
    drained_us: u64,
    /// There were more events than are taken at once.
    more: bool,
    /// What the last look took.
    look_took: Duration,
    /// What the last full scan found here that differs, where this site only receives, may have given way since.
    diverged: bool,
}

impl Turns {
    /// The next turn looks at everything.
    pub(in crate::tree) const fn look_at_all(&mut self, now: Duration) {
        self.full_due = now;
    }

    pub(super) fn events(&self) -> Option<BorrowedFd<'_>> {
        self.watch.events()
    }
}

impl Connector {
    /// Watches the tree, applies what waits, and looks at everything once.
    pub(in crate::tree) fn begin(
        &mut self,
        stop: &Arc<AtomicBool>,
        tell: Tell<'_>,
    ) -> Result<Turns> {
        let mut watch = if self.options.watches {
            Watch::of_at_most(self.options.watched_dirs_max)?
        } else {
            Watch::off()
        };
        watch.cover_tree(&self.root, &self.options.policy)?;
        let mut turns = Turns {
            watch,
            blind: None,
            brake: None,
            scanned: Duration::ZERO,
            full_due: Duration::ZERO,
            is_incomplete: true,
            retried: self.clock.monotonic(),
            retried_all: self.clock.monotonic(),
            told: Standing::default(),
            dirty: BTreeSet::new(),
            drained_us: self.clock.now_us(),
            more: false,
            look_took: Duration::ZERO,
            diverged: false,
        };
        self.see(&mut turns, None, tell);
        self.look_back()?;
        // What was fetched before the last end is gone, and whatever stood in the way may be.
        self.engine.retry_parked()?;
        self.apply_all(&mut turns, stop, tell)?;
        if self.options.matches.is_none() {
            self.full(&mut turns, stop, tell)?;
        }
        self.tell_standing(&mut turns, tell);
        Ok(turns)
    }

    /// Everything that is due now; returns how long to rest.
    pub(in crate::tree) fn turn(
        &mut self,
        turns: &mut Turns,
        stop: &Arc<AtomicBool>,
        tell: Tell<'_>,
    ) -> Result<Duration> {
        let watched_us = self.drain(turns, tell)?;
        if !self.check_place(turns) {
            self.tell_standing(turns, tell);
            return Ok(REST_MAX);
        }
        let more = turns.more;
        let mut dirs = std::mem::take(&mut turns.dirty);
        let now = self.clock.monotonic();
        if self.looks.take_empty_is_meant() {
            self.memory.empty_is_meant = true;
            turns.full_due = now;
        }
        if self.options.matches.is_some() {
            // All of it is looked at in the end.
            dirs.clear();
            self.agenda.due(now);
            let busy = BTreeSet::new();
            self.agenda.scanned(None, &busy, now, self.clock.now_us());
            turns.full_due = now + REST_MAX;
        } else if now >= turns.full_due {
            self.full(turns, stop, tell)?;
        } else {
            dirs.append(&mut self.agenda.due(now));
            if !dirs.is_empty() {
                self.look(turns, dirs, watched_us, stop, tell)?;
            }
        }
        if let Some(report) = self.look_at_asked()? {
            tell(ConnectorEvent::Scanned(report));
        }
        if !more && turns.blind.is_none() && !turns.is_incomplete {
            let open = self.agenda.noticed_us();
            let through = open.map_or(watched_us, |us| watched_us.min(us.saturating_sub(1)));
            self.engine.observed_through(through)?;
        }
        let now = self.clock.monotonic();
        // Asked between two batches: what a batch waits for may arrive before the batch has parked it.
        let news = self.source.news();
        if now.saturating_sub(turns.retried_all) >= RETRY_ALL_EVERY {
            self.engine.retry_parked()?;
            (turns.retried_all, turns.retried) = (now, now);
        } else if now.saturating_sub(turns.retried) >= self.options.retry_every {
            self.engine.retry_faults()?;
            turns.retried = now;
        }
        if !news.is_empty() {
            self.engine.retry(news.into_iter().collect())?;
        }
        let any = self.apply_all(turns, stop, tell)? || self.ends_matching(turns, tell)?;
        self.tell_standing(turns, tell);
        if any || more {
            return Ok(Duration::ZERO);
        }
        Ok(self.rest(turns))
    }

    /// Whether the tree stands where people look for it. Until it does again nothing is done; then it is looked at as a
    /// whole.
    fn check_place(&self, turns: &mut Turns) -> bool {
        let is_in_place = self.root.is_in_place();
        if !is_in_place {
            turns.brake = Some(Disbelief::Moved);
            turns.is_incomplete = true;
            turns.dirty.clear();
        } else if turns.brake == Some(Disbelief::Moved) {
            turns.full_due = self.clock.monotonic();
        }
        is_in_place
    }

    fn rest(&self, turns: &Turns) -> Duration {
        let retry = turns.retried + self.options.retry_every;
        let due = [self.agenda.next(), self.stuck.next()];
        let due = due.into_iter().flatten().chain([retry, turns.full_due]);
        let next = due.min().unwrap_or(Duration::MAX);
        next.saturating_sub(self.clock.monotonic()).min(REST_MAX)
    }

    /// Takes note of whether the watch sees everything.
    fn see(&self, turns: &mut Turns, lost: Option<String>, tell: Tell<'_>) {
        let blind = lost.or_else(|| turns.watch.limit().map(str::to_owned));
        if let Some(reason) = &blind {
            let now = self.clock.monotonic();
            let is_limit = turns.watch.limit() == Some(reason);
            if turns.blind != blind {
                tell(ConnectorEvent::Blind(reason.clone()));
            }
            // A missing watch is known since the last full scan; lost events are news each time.
            if turns.blind != blind || !is_limit {
                turns.full_due = turns.full_due.min(now.max(turns.scanned + LOST_PAUSE));
            }
            turns.blind = blind;
        }
    }

    /// Takes what happened since the last time; returns the wall clock up to which everything was seen.
    fn drain(&mut self, turns: &mut Turns, tell: Tell<'_>) -> Result<u64> {
        let now_us = self.clock.now_us();
        let hints = turns.watch.drain(&self.root, &self.options.policy)?;
        self.hear(turns, hints, now_us, tell);
        Ok(now_us)
    }

    /// Takes note of events that were taken at `now_us`.
    fn hear(&mut self, turns: &mut Turns, hints: Hints, now_us: u64, tell: Tell<'_>) {
        self.see(turns, hints.blind.clone(), tell);
        turns.more = hints.more;
        let since_us = std::mem::replace(&mut turns.drained_us, now_us);
        turns.dirty.append(&mut self.take(hints, since_us));
    }

    /// Runs a scan that takes events between its pieces, and ends it early on `stop`.
    fn hearing(
        &mut self,
        turns: &mut Turns,
        stop: &AtomicBool,
        tell: Tell<'_>,
        scan: impl FnOnce(&mut Self, &mut Between<'_>) -> Result<ScanReport>,
    ) -> Result<ScanReport> {
        let (clock, policy) = (Arc::clone(&self.clock), self.options.policy.clone());
        let (watch, mut heard) = (&mut turns.watch, Vec::new());
        let report = scan(self, &mut |root| {
            heard.push((clock.now_us(), watch.drain(root, &policy)?));
            Ok(!stop.load(Ordering::SeqCst))
        });
        for (now_us, hints) in heard {
            self.hear(turns, hints, now_us, tell);
        }
        report
    }

    /// Puts hints of what happened after `since_us` on the agenda; returns the directories to look at now.
    fn take(&mut self, hints: Hints, since_us: u64) -> BTreeSet<Vec<Name>> {
        let mut dirs = hints.dirty;
        let now = self.clock.monotonic();
        for (file, hint) in hints.files {
            match hint {
                FileHint::Written => {
                    if !self.agenda.written(file.clone(), now, since_us) {
                        dirs.insert(file.0);
                    }
                }
                FileHint::Closed => self.agenda.closed(&file),
                FileHint::Gone => self.agenda.gone(&file),
            }
        }
        dirs
    }

    /// Looks at some directories.
    fn look(
        &mut self,
        turns: &mut Turns,
        dirs: BTreeSet<Vec<Name>>,
        watched_us: u64,
        stop: &AtomicBool,
        tell: Tell<'_>,
    ) -> Result<()> {
        let scope = Scope::Dirs(dirs);
        let began = self.clock.monotonic();
        let report = self.hearing(turns, stop, tell, |this, between| {
            this.scan_with(&scope, between)
        })?;
        let now = self.clock.monotonic();
        turns.look_took = now.saturating_sub(began);
        if report.brake.is_some() {
            turns.is_incomplete = true;
            turns.full_due = turns.full_due.min(now + self.options.blind_rescan_every);
        } else if report.held > 0
            && let Scope::Dirs(dirs) = scope
        {
            for dir in dirs {
                self.agenda
                    .look_at(dir, now + UNSTABLE_PAUSE, Some(watched_us));
            }
        }
        if report.brake.is_some() {
            turns.brake = report.brake;
        } else if turns.brake.is_some() {
            // A part of the tree proves nothing about the rest.
            turns.full_due = now;
        }
        tell(ConnectorEvent::Scanned(report));
        Ok(())
    }

    /// Looks at everything, after another attempt to watch everything.
    fn full(&mut self, turns: &mut Turns, stop: &AtomicBool, tell: Tell<'_>) -> Result<()> {
        if turns.blind.take().is_some() {
            turns.watch.cover_tree(&self.root, &self.options.policy)?;
            turns.blind = turns.watch.limit().map(str::to_owned);
            if turns.blind.is_none() {
                tell(ConnectorEvent::Sighted);
            }
        }
        tell(ConnectorEvent::Looking);
        // Everything that was due is looked at with the rest.
        self.agenda.due(self.clock.monotonic());
        turns.dirty.clear();
        let began = self.clock.monotonic();
        let report = self.hearing(turns, stop, tell, Self::scan_all)?;
        turns.look_took = self.clock.monotonic().saturating_sub(began);
        turns.is_incomplete = !report.complete;
        turns.brake = report.brake;
        turns.diverged = report.diverged > 0;
        let often = turns.blind.is_some() || turns.is_incomplete;
        // Known limits are waited for; events that were lost during the look are caught up with soon.
        let is_lost = turns.blind.is_some() && turns.blind.as_deref() != turns.watch.limit();
        turns.scanned = self.clock.monotonic();
        turns.full_due = turns.scanned
            + if is_lost {
                LOST_PAUSE
            } else if often {
                self.options.blind_rescan_every
            } else {
                self.options.rescan_every
            };
        tell(ConnectorEvent::Scanned(report));
        Ok(())
    }

    /// Applies what can be applied now, for a while; true when there was something.
    fn apply_all(
        &mut self,
        turns: &mut Turns,
        stop: &Arc<AtomicBool>,
        tell: Tell<'_>,
    ) -> Result<bool> {
        let mut any = false;
        let until = self.clock.monotonic() + APPLY_MAX.max(turns.look_took * APPLY_TO_LOOK);
        while !stop.load(Ordering::SeqCst) {
            let report = self.apply_once()?;
            let more = report.applied > 0 && !report.no_space;
            any |= more;
            if report.images > 0 {
                tell(ConnectorEvent::Applied(report));
            }
            if more && std::mem::take(&mut turns.diverged) {
                // Only a look at everything tells how much is left.
                let pause = (self.options.blind_rescan_every).max(turns.look_took * APPLY_TO_LOOK);
                turns.full_due = turns.full_due.min(self.clock.monotonic() + pause);
            }
            if !more {
                break;
            }
            // Applying makes events as well, and a queue that nobody empties loses them. The next turn looks.
            self.drain(turns, tell)?;
            if self.clock.monotonic() >= until {
                break;
            }
        }
        Ok(any)
    }

    fn tell_standing(&self, turns: &mut Turns, tell: Tell<'_>) {
        let (blocked, reason) = self.stuck.told();
        let standing = Standing {
            busy: self.agenda.waiting() as u64,
            blocked,
            blocked_reason: reason.map(str::to_owned),
            blind: turns.blind.clone(),
            brake: turns.brake,
        };
        if standing != turns.told {
            turns.told = standing.clone();
            tell(ConnectorEvent::Standing(standing));
        }
    }
}
