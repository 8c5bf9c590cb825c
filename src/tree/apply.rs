//! Brings the tree to the images that the engine gives: stage, sync, intents, rename, sync, report.
//!
//! Images are state: each is compared with what the engine last knew and with what is on the disk in this moment.
//! Where the disk differs, a local change waits underneath; nothing is overwritten and the image comes again after the
//! change was journaled. One inode's trouble does not stop the others.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use rustix::fs::AtFlags;

use super::exec::{Exec, Stop, bytes};
use super::intent::{Fingerprint, Intent, IntentLog};
use super::job::Job;
use super::plan::{Action, Base, Layout, LinkAt, Spot, Step, plan};
use super::policy::Policy;
use super::recover::STAGED_PREFIX;
use super::root::{ROOT_INODE, Root};
use super::stage::{Staged, Stager, fault, ids, set_attributes, times};
use super::stat::{DevId, stat_at};
use super::stuck::Met;
use super::trash::{self, Label};
use crate::clock::Clock;
use crate::content::ContentSource;
use crate::error::{ReplError, Result};
use crate::journal::op::{Name, Place};
use crate::sync::port::{Engine, Image, NodeKind, Outcome, Round};

use super::change::shown_mtime;

mod absorb;
mod run;
mod settle;

use absorb::absorb;
use settle::{halfway, settle};

/// Deepest chain of parents that is followed.
const DEPTH_MAX: usize = 4_096;

/// Why a directory stays that is removed elsewhere.
const KEPT_FOR_EXCLUDED: &str = "kept for names that are excluded here";

/// What a round of applying did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplyReport {
    /// Images that were taken on.
    pub images: u64,
    /// Images that the tree shows.
    pub applied: u64,
    /// Images that met a local change and come again.
    pub changed: u64,
    /// The same, with where each of them looked; the reason is the full disk when `no_space` is set.
    pub met: Vec<Met>,
    /// Images that wait, with the reason.
    pub parked: Vec<(u64, String)>,
    /// The disk is full: the rest of the round was not begun.
    pub no_space: bool,
    /// Images whose owner was recorded but not set, because this process may not.
    pub owners_recorded: u64,
    /// Files with more hard links than the tree knows: the names outside keep the old content.
    pub outside_links: u64,
    /// Renames and the like that were carried out.
    pub steps: u64,
}

/// Called before each durable or visible step; an error there is a stop at that point. For tests of recovery.
pub type StopPoint<'a> = dyn FnMut(&'static str) -> Result<()> + 'a;

/// Applies images to one tree.
pub struct Applier<'a> {
    /// The engine.
    pub engine: &'a mut dyn Engine,
    /// The tree.
    pub root: &'a Root,
    /// Where bytes of other sites come from.
    pub source: &'a mut dyn ContentSource,
    /// What this site leaves alone.
    pub policy: &'a Policy,
    /// Where the batch is recorded.
    pub log: &'a mut IntentLog,
    /// Time, for names in the trash: when something was displaced, not when its batch began.
    pub clock: &'a dyn Clock,
    /// Names given so far.
    pub names: &'a mut u64,
    /// Where a test stops.
    pub stop_point: &'a mut StopPoint<'a>,
}

impl std::fmt::Debug for Applier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applier")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Applier<'_> {
    /// Brings the tree to `images` and reports to the engine what became of each.
    ///
    /// # Errors
    /// When the disk or the engine fails: the batch is then taken back by recovery at the next start.
    pub fn apply(&mut self, images: Vec<Image>) -> Result<ApplyReport> {
        let mut report = ApplyReport {
            images: images.len() as u64,
            ..ApplyReport::default()
        };
        if images.is_empty() {
            return Ok(report);
        }
        let mut jobs = Job::all(self.engine, images)?;
        self.leave_out_excluded(&mut jobs)?;
        let absorbed = absorb(&mut jobs);
        let mut layout = self.layout(&jobs)?;
        let mut exec = Exec {
            root: self.root,
            dirs: self.directories(&layout, &jobs)?,
        };
        for job in &mut jobs {
            check(&exec, &layout, job, &mut report);
        }
        (self.stop_point)("stage")?;
        self.stage(&exec, &layout, &mut jobs, &mut report)?;
        for job in &jobs {
            if let (Some((_, stat)), true) = (&job.staged, job.is_dir()) {
                exec.dirs.insert(job.image.inode, stat.id);
            }
        }
        let intents = self.plan(&mut jobs, &mut layout);
        if !intents.is_empty() {
            (self.stop_point)("sync staged")?;
            self.root.sync()?;
            (self.stop_point)("write intents")?;
            self.log.begin(&intents)?;
            let shown = self.shown_around(&intents, &absorbed)?;
            self.run(&exec, &intents, &mut jobs, shown, &mut report)?;
        }
        self.attributes(&exec, &layout, &mut jobs)?;
        (self.stop_point)("sync renamed")?;
        self.root.sync()?;
        self.drop_unused(&jobs)?;
        (self.stop_point)("report")?;
        self.report(&exec, &layout, jobs, absorbed, &mut report)?;
        if !intents.is_empty() {
            (self.stop_point)("finish intents")?;
            self.log.finish()?;
        }
        Ok(report)
    }

    /// Takes excluded names out of the goals; those that are there stay.
    fn leave_out_excluded(&mut self, jobs: &mut [Job]) -> Result<()> {
        let goals: BTreeMap<u64, Place> = jobs
            .iter()
            .filter_map(|job| Some((job.image.inode, job.goal.first()?.place.clone())))
            .collect();
        let mut paths: BTreeMap<u64, Vec<Name>> = BTreeMap::new();
        for job in jobs {
            let mut goal = Vec::new();
            for link in std::mem::take(&mut job.goal) {
                let parent = link.place.parent;
                let dir = match paths.entry(parent) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(self.goal_path(parent, &goals)?),
                };
                if self
                    .policy
                    .excludes_path(dir, &link.place.name, job.is_dir())
                {
                    goal.extend(job.now.iter().find(|now| now.link == link.link).cloned());
                } else {
                    goal.push(link);
                }
            }
            job.goal = goal;
            if job.goal.is_empty() && job.now.is_empty() {
                job.stop(Outcome::Applied);
            }
        }
        Ok(())
    }

    fn goal_path(&mut self, mut inode: u64, goals: &BTreeMap<u64, Place>) -> Result<Vec<Name>> {
        let mut path = Vec::new();
        while inode != ROOT_INODE && path.len() < DEPTH_MAX {
            let place = match goals.get(&inode) {
                Some(place) => place.clone(),
                None => match place_of(self.engine.applied(inode)?) {
                    Some(place) => place,
                    None => break,
                },
            };
            path.push(place.name);
            inode = place.parent;
        }
        path.reverse();
        Ok(path)
    }

    /// Who is where, as far as the jobs touch it.
    fn layout(&mut self, jobs: &[Job]) -> Result<Layout> {
        let mut layout = Layout::default();
        let links = jobs.iter().flat_map(|job| job.now.iter().chain(&job.goal));
        let places: BTreeSet<Place> = links.map(|link| link.place.clone()).collect();
        let mut parents: BTreeSet<u64> = places.iter().map(|place| place.parent).collect();
        let places: Vec<Place> = places.into_iter().collect();
        let at = self.engine.applied_at(places.clone())?;
        let taken = places.into_iter().zip(at);
        layout
            .taken
            .extend(taken.filter_map(|(place, inode)| Some((place, inode?))));
        // What is still shown in a directory that goes keeps it from going.
        let going = jobs
            .iter()
            .filter(|job| job.is_dir() && job.goal.is_empty());
        for parent in going.map(|job| job.image.inode) {
            parents.insert(parent);
            for (name, inode, _) in self.engine.applied_entries(parent)? {
                layout.taken.insert(Place { parent, name }, inode);
            }
        }
        let dirs = jobs
            .iter()
            .filter(|job| job.is_dir() && !job.now.is_empty());
        let mut todo: Vec<u64> = dirs.map(|job| job.image.inode).chain(parents).collect();
        while let Some(inode) = todo.pop() {
            if inode == ROOT_INODE || layout.dirs.contains_key(&inode) {
                continue;
            }
            if let Some(place) = place_of(self.engine.applied(inode)?) {
                todo.push(place.parent);
                layout.dirs.insert(inode, place);
            }
        }
        for job in jobs {
            for link in &job.now {
                layout.taken.insert(link.place.clone(), job.image.inode);
                if job.is_dir() {
                    layout.dirs.insert(job.image.inode, link.place.clone());
                }
            }
        }
        Ok(layout)
    }

    fn directories(&mut self, layout: &Layout, jobs: &[Job]) -> Result<BTreeMap<u64, DevId>> {
        let mut ids = BTreeMap::from([(ROOT_INODE, self.root.pin().root)]);
        for inode in layout.dirs.keys() {
            if let Some(device) = self.engine.device(*inode)? {
                ids.insert(*inode, DevId::of(&device));
            }
        }
        let known = jobs.iter().filter(|job| job.is_dir());
        ids.extend(known.filter_map(|job| Some((job.image.inode, DevId::of(&job.device?)))));
        Ok(ids)
    }

    fn stage(
        &mut self,
        exec: &Exec<'_>,
        layout: &Layout,
        jobs: &mut [Job],
        report: &mut ApplyReport,
    ) -> Result<()> {
        for job in jobs {
            if job.outcome.is_some() || !(job.is_new() || job.has_new_bytes()) {
                continue;
            }
            if report.no_space {
                // Left as it is: the engine gives it again.
                job.changed("the disk is full");
                continue;
            }
            let older = match job.now.first().and_then(|link| layout.spot(&link.place)) {
                Some(spot) => open_older(exec, &spot),
                None => None,
            };
            let name = self.name(STAGED_PREFIX, job.image.inode);
            let mut stager = Stager {
                root: self.root,
                source: &mut *self.source,
                policy: self.policy,
            };
            match stager.stage(&job.image, &name, older.as_ref())? {
                Staged::Ready(stat) => {
                    if job.has_new_bytes() {
                        link_staged(self.root, job, &name)?;
                    }
                    job.staged = Some((name, *stat));
                }
                Staged::Parked(reason) => job.stop(Outcome::Parked { reason }),
                Staged::NoSpace => {
                    report.no_space = true;
                    job.changed("the disk is full");
                }
            }
        }
        Ok(())
    }

    /// The steps of all jobs that are still on, with what each is going to move.
    fn plan(&mut self, jobs: &mut [Job], layout: &mut Layout) -> Vec<Intent> {
        let open = jobs.iter().filter(|job| job.outcome.is_none());
        let wants: Vec<_> = open.map(Job::want).collect();
        let mut names = *self.names;
        let now_us = self.clock.now_us();
        let labels = labels(jobs);
        let mut fresh = |inode| displaced_name(inode, now_us, &mut names, labels.get(&inode));
        let planned = plan(&wants, layout, &mut fresh);
        let mut intents = Vec::new();
        let prints: BTreeMap<u64, Fingerprint> = jobs
            .iter()
            .filter_map(|job| Some((job.image.inode, job.fingerprint()?)))
            .collect();
        for step in planned.steps {
            let victim = match step.action {
                Action::Replace { victim, .. } => Some(victim),
                Action::Place
                | Action::Move
                | Action::Remove
                | Action::RemoveDir
                | Action::Link
                | Action::Exchange => None,
            };
            let Some(object) = prints.get(&step.inode).copied() else {
                continue;
            };
            intents.push(Intent {
                object,
                displaced: victim.and_then(|victim| prints.get(&victim).copied()),
                trash: victim.map(&mut fresh),
                step,
            });
        }
        for job in jobs {
            if planned.blocked.contains(&job.image.inode) {
                block(self.policy, layout, job);
            }
            if job.outcome.is_none() && job.has_new_bytes() {
                exchanges(job, layout, &mut fresh, &mut intents);
            }
        }
        *self.names = names;
        intents
    }

    /// Attributes of objects that keep their bytes.
    fn attributes(&mut self, exec: &Exec<'_>, layout: &Layout, jobs: &mut [Job]) -> Result<()> {
        for job in jobs {
            if job.outcome.is_some() || !job.has_new_attributes() {
                continue;
            }
            let spot = job.goal.first().and_then(|link| layout.spot(&link.place));
            let Some(spot) = spot else {
                job.changed("its directory is not where it was shown");
                continue;
            };
            (self.stop_point)("attributes")?;
            if let Err(error) = self.set_in_place(exec, &spot, job) {
                match fault(error)? {
                    Staged::Parked(reason) => job.stop(Outcome::Parked { reason }),
                    Staged::Ready(_) | Staged::NoSpace => job.changed("attributes do not fit"),
                }
            }
        }
        Ok(())
    }

    fn set_in_place(&self, exec: &Exec<'_>, spot: &Spot, job: &mut Job) -> Result<()> {
        let fail = |e| ReplError::io("set attributes in", self.root.path(), e);
        let Ok(dir) = exec.open(spot) else {
            job.changed("its directory is another one");
            return Ok(());
        };
        let stat = stat_at(&dir, bytes(spot)).map_err(fail)?;
        if job.fingerprint() != Some(Fingerprint::of(&stat)) {
            job.changed("it is another object, or was changed");
            return Ok(());
        }
        if job.image.kind == NodeKind::Symlink {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            if let (Some(owner), true) = (&job.image.owner, self.root.privileged()) {
                let (uid, gid) = ids(owner.value.uid, owner.value.gid);
                rustix::fs::chownat(&dir, bytes(spot), uid, gid, flags).map_err(fail)?;
            }
            if let Some(mtime) = shown_mtime(&job.image) {
                rustix::fs::utimensat(&dir, bytes(spot), &times(mtime), flags).map_err(fail)?;
            }
            return Ok(());
        }
        let file = Root::open_file(&dir, &spot.name).map_err(fail)?;
        set_attributes(self.root, self.policy, &job.image, &file)
    }

    /// Staged objects whose job did not come to an end have no place to go.
    fn drop_unused(&self, jobs: &[Job]) -> Result<()> {
        for job in jobs.iter().filter(|job| job.outcome.is_some()) {
            let Some((name, staged)) = &job.staged else {
                continue;
            };
            let others = (1..job.goal.len()).map(|nth| further(name, nth));
            for name in others.chain([name.clone()]) {
                let there = stat_at(self.root.staging(), name.as_bytes());
                if there.is_ok_and(|there| there.id == staged.id) {
                    let flags = if job.is_dir() {
                        AtFlags::REMOVEDIR
                    } else {
                        AtFlags::empty()
                    };
                    rustix::fs::unlinkat(self.root.staging(), name.as_bytes(), flags)
                        .map_err(|e| ReplError::io("clear staging in", self.root.path(), e))?;
                }
            }
        }
        Ok(())
    }

    fn report(
        &mut self,
        exec: &Exec<'_>,
        layout: &Layout,
        jobs: Vec<Job>,
        absorbed: Vec<(u64, u64)>,
        report: &mut ApplyReport,
    ) -> Result<()> {
        let mut round = Round {
            absorbed,
            ..Round::default()
        };
        for (from, to) in &round.absorbed {
            let device = jobs.iter().find(|job| job.image.inode == *to);
            let device = device.and_then(|job| job.device);
            round.devices.extend([(*from, None), (*to, device)]);
        }
        for mut job in jobs {
            if job.outcome.is_none() {
                round
                    .devices
                    .extend(settle(exec, self.policy, layout, &mut job)?);
            }
            let outcome = job.outcome.clone().unwrap_or(Outcome::Applied);
            if outcome != Outcome::Applied
                && let Some((image, device)) = halfway(&job)
            {
                round.devices.push(device);
                round.outcomes.push((image, Outcome::Applied));
            }
            match &outcome {
                Outcome::Applied => {
                    report.applied += 1;
                    let owned = job.image.owner.is_some() && !self.root.privileged();
                    report.owners_recorded += u64::from(owned);
                }
                Outcome::Parked { reason } => {
                    report.parked.push((job.image.inode, reason.clone()));
                }
                Outcome::Changed => {
                    report.changed += 1;
                    report.met.push(job.met());
                }
            }
            round.outcomes.push((job.image, outcome));
        }
        self.engine.done(round)
    }

    fn name(&mut self, prefix: &[u8], inode: u64) -> Name {
        numbered(prefix, inode, self.clock.now_us(), self.names)
    }
}

/// What the names of files in the trash record of them.
fn labels(jobs: &[Job]) -> BTreeMap<u64, Label> {
    let labels = jobs.iter().filter_map(|job| {
        let label = Label::of(&job.shown, job.device.as_ref()?)?;
        Some((job.image.inode, label))
    });
    labels.collect()
}

/// A name for something that is displaced.
fn displaced_name(inode: u64, now_us: u64, count: &mut u64, label: Option<&Label>) -> Name {
    *count += 1;
    trash::name(inode, now_us, *count, label)
}

/// A name for staging: inode, time, and a number that makes it unique.
fn numbered(prefix: &[u8], inode: u64, now_us: u64, count: &mut u64) -> Name {
    *count += 1;
    let text = format!("{inode:016x}-{now_us:016x}-{count:x}");
    let bytes = [prefix, text.as_bytes()].concat();
    Name::new(bytes).expect("hexadecimal digits and dashes are a name")
}

/// Names from the root to directory `inode`, as the engine last knew them; None when it is not shown.
pub(super) fn path_of(engine: &mut dyn Engine, mut inode: u64) -> Result<Option<Vec<Name>>> {
    let mut path = Vec::new();
    while inode != ROOT_INODE {
        let Some(place) = place_of(engine.applied(inode)?).filter(|_| path.len() < DEPTH_MAX)
        else {
            return Ok(None);
        };
        path.push(place.name);
        inode = place.parent;
    }
    path.reverse();
    Ok(Some(path))
}

/// Where a directory stands itself, not as part of another one.
fn place_of(image: Option<Image>) -> Option<Place> {
    let image = image.filter(|image| image.merged_into.is_none())?;
    let link = image.links.into_iter().next()?;
    Some(Place {
        parent: link.parent,
        name: link.name,
    })
}

/// The objects of a job must be what was last journaled or applied.
fn check(exec: &Exec<'_>, layout: &Layout, job: &mut Job, report: &mut ApplyReport) {
    if job.outcome.is_some() {
        return;
    }
    for link in &job.now {
        let stat = layout.spot(&link.place).map(|spot| exec.stat(&spot));
        let Some(Ok(stat)) = stat else {
            job.changed("it is not where it was shown");
            return;
        };
        let same = job.device.is_some_and(|device| {
            device == stat.image() || (job.is_dir() && DevId::of(&device) == stat.id)
        });
        if !same {
            job.changed("it is another object, or was changed");
            return;
        }
        if !job.is_dir() && job.has_new_bytes() && stat.nlink as usize > job.now.len() {
            report.outside_links += 1;
        }
    }
}

fn open_older(exec: &Exec<'_>, spot: &Spot) -> Option<OwnedFd> {
    let dir = exec.open(spot).ok()?;
    Root::open_file(&dir, &spot.name).ok()
}

/// The planner found no way for a job.
fn block(policy: &Policy, layout: &Layout, job: &mut Job) {
    let inode = job.image.inode;
    let (_, path) = layout.path(inode).unwrap_or((Base::Tree, Vec::new()));
    let mut held = layout.shown_in(inode).peekable();
    if job.goal.is_empty() && held.peek().is_some() {
        let excluded = |name: &Name| [true, false].map(|dir| policy.excludes(&path, name, dir));
        if held.all(|name| excluded(name).contains(&true)) {
            let reason = KEPT_FOR_EXCLUDED.to_owned();
            return job.stop(Outcome::Parked { reason });
        }
        return job.changed("something is still shown in it");
    }
    let mut goals = job.goal.iter();
    if goals.all(|goal| layout.path(goal.place.parent).is_some()) {
        return job.changed("something is in its place");
    }
    let reason = "its directory is not shown here".to_owned();
    job.stop(Outcome::Parked { reason });
}

/// The exchanges that bring new bytes to every name of a file.
fn exchanges(
    job: &Job,
    layout: &Layout,
    fresh: &mut dyn FnMut(u64) -> Name,
    intents: &mut Vec<Intent>,
) {
    let Some((name, staged)) = &job.staged else {
        return;
    };
    let inode = job.image.inode;
    for (nth, goal) in job.goal.iter().enumerate() {
        let Some(to) = layout.spot(&goal.place) else {
            continue;
        };
        // Every further name gets a link of the staged file; one copy of the old bytes is enough for the trash.
        let from = if nth == 0 {
            name.clone()
        } else {
            further(name, nth)
        };
        intents.push(Intent {
            step: Step {
                inode,
                action: Action::Exchange,
                from: Spot::staging(from),
                to,
            },
            object: Fingerprint::of(staged),
            displaced: job.device.map(|device| Fingerprint::new(&device, false)),
            trash: (nth == 0).then(|| fresh(inode)),
        });
    }
}

/// Name in staging of the staged file's link for the `nth` name in the tree.
fn further(name: &Name, nth: usize) -> Name {
    let bytes = [name.as_bytes(), b"-", nth.to_string().as_bytes()].concat();
    Name::new(bytes).unwrap_or_else(|_| name.clone())
}

/// A further link of the staged file for every further name: each is exchanged by itself.
fn link_staged(root: &Root, job: &Job, name: &Name) -> Result<()> {
    for nth in 1..job.goal.len() {
        let (staging, to) = (root.staging(), further(name, nth));
        rustix::fs::linkat(
            staging,
            name.as_bytes(),
            staging,
            to.as_bytes(),
            AtFlags::empty(),
        )
        .map_err(|e| ReplError::io("link staged file in", root.path(), e))?;
    }
    Ok(())
}
