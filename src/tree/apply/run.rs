//! Carries out the steps of a round, in order, and keeps every job's present places in step with the disk.
//!
//! A step that meets something unexpected ends its job, not the round. Only an object that was taken out of the tree
//! for the time being must not stay where no user finds it: it goes back, or, where its place was taken meanwhile, to a
//! name beside it, from where the next round moves it on.

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::RenameFlags;

use super::{Applier, ApplyReport, Exec, Intent, Job, LinkAt, Outcome, Result, Spot, Stop};
use crate::error::ReplError;
use crate::journal::op::{Name, Place};
use crate::tree::plan::{Action, Base};
use crate::tree::recover::STAGED_PREFIX;

/// Prefix of the name of an object that waits beside its former place.
const ASIDE_PREFIX: &[u8] = b"cfs-moving-";

/// Jobs by inode, and who of them is at which place.
struct Running<'a> {
    jobs: BTreeMap<u64, &'a mut Job>,
    places: BTreeMap<Place, u64>,
}

impl<'a> Running<'a> {
    /// `places`: who is shown where the steps lead.
    fn new(jobs: &'a mut [Job], mut places: BTreeMap<Place, u64>) -> Self {
        let of_jobs: BTreeSet<u64> = jobs.iter().map(|job| job.image.inode).collect();
        // A job tells itself where it is.
        places.retain(|_, inode| !of_jobs.contains(inode));
        let mut running = Self {
            jobs: BTreeMap::new(),
            places,
        };
        for job in jobs {
            job.present.clone_from(&job.now);
            let inode = job.image.inode;
            let places = job.present.iter().map(|link| (link.place.clone(), inode));
            running.places.extend(places);
            running.jobs.insert(inode, job);
        }
        running
    }

    /// Changes a job, and with it who is where.
    fn change<T>(&mut self, inode: u64, change: impl FnOnce(&mut Job) -> T) -> Option<T> {
        let job = self.jobs.get_mut(&inode)?;
        for link in &job.present {
            if self.places.get(&link.place) == Some(&inode) {
                self.places.remove(&link.place);
            }
        }
        let changed = change(job);
        let present = job.present.iter();
        self.places
            .extend(present.map(|link| (link.place.clone(), inode)));
        Some(changed)
    }

    /// What a step would run over although nothing on the disk hinders it: something is still shown where it leads,
    /// or in the directory that it removes, which a user moved away meanwhile.
    fn is_in_the_way(&self, intent: &Intent) -> bool {
        let step = &intent.step;
        match step.action {
            Action::RemoveDir => {
                let first = Place {
                    parent: step.inode,
                    name: Name::new(&b"\x01"[..]).expect("the smallest byte of a name"),
                };
                let held = self.places.range(first..).next();
                held.is_some_and(|(place, _)| place.parent == step.inode)
            }
            Action::Place | Action::Move | Action::Link if step.to.base == Base::Tree => {
                let there = self.places.get(&place(&step.to));
                there.is_some_and(|inode| *inode != step.inode)
            }
            Action::Place
            | Action::Move
            | Action::Link
            | Action::Replace { .. }
            | Action::Remove
            | Action::Exchange => false,
        }
    }
}

/// An object of the tree that is in staging for the time being.
struct Detached<'a> {
    link: LinkAt,
    intent: &'a Intent,
}

impl Applier<'_> {
    /// What is shown where the steps lead, and in the directories that they remove: an object that is in no job of this
    /// round may be gone from the disk, but not from the view.
    pub(super) fn shown_around(
        &mut self,
        intents: &[Intent],
        absorbed: &[(u64, u64)],
    ) -> Result<BTreeMap<Place, u64>> {
        let mut asked = Vec::new();
        let mut shown = BTreeMap::new();
        for step in intents.iter().map(|intent| &intent.step) {
            match step.action {
                Action::RemoveDir => {
                    for (name, inode, _) in self.engine.applied_entries(step.inode)? {
                        let parent = step.inode;
                        shown.insert(Place { parent, name }, inode);
                    }
                }
                Action::Place | Action::Move | Action::Link if step.to.base == Base::Tree => {
                    let to = place(&step.to);
                    // What the absorbed directory shows there will be shown in the one that absorbs it.
                    let from = absorbed.iter().filter(|(_, by)| *by == to.parent);
                    let parents = from.map(|(from, _)| *from).chain([to.parent]);
                    asked.extend(parents.map(|parent| {
                        let name = to.name.clone();
                        (Place { parent, name }, to.clone())
                    }));
                }
                Action::Place
                | Action::Move
                | Action::Link
                | Action::Replace { .. }
                | Action::Remove
                | Action::Exchange => {}
            }
        }
        let places = asked.iter().map(|(at, _)| at.clone()).collect();
        let found = self.engine.applied_at(places)?;
        for ((_, to), inode) in asked.into_iter().zip(found) {
            shown.extend(inode.map(|inode| (to, inode)));
        }
        Ok(shown)
    }

    pub(super) fn run(
        &mut self,
        exec: &Exec<'_>,
        intents: &[Intent],
        jobs: &mut [Job],
        shown: BTreeMap<Place, u64>,
        report: &mut ApplyReport,
    ) -> Result<()> {
        let mut running = Running::new(jobs, shown);
        let mut detached: BTreeMap<Name, Detached<'_>> = BTreeMap::new();
        for intent in intents {
            let inode = intent.step.inode;
            let is_over = running
                .jobs
                .get(&inode)
                .is_none_or(|job| job.outcome.is_some());
            if is_over {
                continue;
            }
            (self.stop_point)("step")?;
            let done = if running.is_in_the_way(intent) {
                Err(Stop::Changed)
            } else {
                exec.run(intent)
            };
            let victim = match intent.step.action {
                Action::Replace { victim, .. } => victim,
                Action::Place
                | Action::Move
                | Action::Remove
                | Action::RemoveDir
                | Action::Link
                | Action::Exchange => 0,
            };
            let Err(stop) = done else {
                report.steps += 1;
                running.change(victim, |job| leave(job, &intent.step.to));
                running.change(inode, |job| follow(job, intent, &mut detached));
                continue;
            };
            tracing::debug!(?stop, step = ?intent.step, "step was not done");
            let outcome = self.outcome(exec, stop, intent, report)?;
            running.change(victim, |job| job.stop(outcome.clone()));
            let back = running.change(inode, |job| {
                job.stop(outcome.clone());
                self.bring_back(exec, job, &mut detached)
            });
            back.transpose()?;
        }
        Ok(())
    }

    /// Objects of the job that wait in staging go back into the tree.
    fn bring_back(
        &mut self,
        exec: &Exec<'_>,
        job: &mut Job,
        detached: &mut BTreeMap<Name, Detached<'_>>,
    ) -> Result<()> {
        let inode = job.image.inode;
        let (back, left) = std::mem::take(detached)
            .into_iter()
            .partition(|(_, one)| one.intent.step.inode == inode);
        *detached = left;
        for (_, Detached { mut link, intent }) in back {
            let step = &intent.step;
            let undone = exec.undo(intent);
            if undone.is_err() || exec.is_there(&step.to, &intent.object).unwrap_or(true) {
                link.place = self.put_aside(exec, step.inode, &step.to, &step.from)?;
            }
            job.present.push(link);
        }
        Ok(())
    }

    /// Moves an object from `staging` to a free name beside its former place, or at the root when that is gone too.
    fn put_aside(
        &mut self,
        exec: &Exec<'_>,
        inode: u64,
        staging: &Spot,
        former: &Spot,
    ) -> Result<Place> {
        let name = self.name(ASIDE_PREFIX, inode);
        let beside = Spot {
            name: name.clone(),
            ..former.clone()
        };
        let root = Spot {
            base: Base::Tree,
            dir: Vec::new(),
            dir_inode: super::ROOT_INODE,
            name: name.clone(),
        };
        let mut failure = None;
        for spot in [beside, root] {
            match exec.take_to(staging, &spot, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    let parent = spot.dir_inode;
                    return Ok(Place { parent, name });
                }
                Err(stop) => failure = Some(stop),
            }
        }
        let path = exec.root.shown(&former.dir, Some(&former.name));
        let reason = format!("it waits in .cfs-repl/staging for the next start: {failure:?}");
        Err(ReplError::io(
            "put back",
            path,
            std::io::Error::other(reason),
        ))
    }

    fn outcome(
        &self,
        exec: &Exec<'_>,
        stop: Stop,
        intent: &Intent,
        report: &mut ApplyReport,
    ) -> Result<Outcome> {
        Ok(match stop {
            Stop::Changed => Outcome::Changed,
            Stop::Parked(reason) => Outcome::Parked { reason },
            Stop::NotEmpty => self.not_empty(exec, &intent.step.from),
            Stop::NoSpace => {
                report.no_space = true;
                Outcome::Changed
            }
            Stop::Failed(error) => return Err(error),
        })
    }

    /// A directory to be removed still holds something: a local change, unless this site leaves those names alone.
    fn not_empty(&self, exec: &Exec<'_>, spot: &Spot) -> Outcome {
        let mut path = spot.dir.clone();
        path.push(spot.name.clone());
        let only_excluded = exec.root.open_dir(&path).ok().and_then(|dir| {
            let mut only = true;
            for entry in rustix::fs::Dir::read_from(&dir).ok()? {
                let entry = entry.ok()?;
                let Ok(name) = Name::new(entry.file_name().to_bytes().to_vec()) else {
                    continue;
                };
                only &= self
                    .policy
                    .excludes(&path, &name, entry.file_type().is_dir());
            }
            Some(only)
        });
        if only_excluded == Some(true) {
            let reason = super::KEPT_FOR_EXCLUDED.to_owned();
            return Outcome::Parked { reason };
        }
        Outcome::Changed
    }
}

/// Takes a step that was done over into the job's present places.
fn follow<'a>(job: &mut Job, intent: &'a Intent, detached: &mut BTreeMap<Name, Detached<'a>>) {
    let step = &intent.step;
    let (from, to) = (place(&step.from), place(&step.to));
    match step.action {
        // The name stays, and what is behind it is told at the end.
        Action::Exchange => return,
        Action::Remove | Action::RemoveDir => {
            job.present.retain(|now| now.place != from);
        }
        Action::Link => job.present.extend(job.goal_at(&to)),
        Action::Place | Action::Move | Action::Replace { .. } => {
            let link = match step.from.base {
                Base::Tree => job.present.iter().position(|now| now.place == from),
                Base::Staging | Base::Trash => None,
            };
            let link = match link {
                Some(at) => Some(job.present.remove(at)),
                None => detached.remove(&step.from.name).map(|one| one.link),
            };
            let is_staged = step.from.name.as_bytes().starts_with(STAGED_PREFIX);
            job.is_placed |= step.from.base == Base::Staging && is_staged;
            match (step.to.base, link) {
                (Base::Staging, Some(link)) => {
                    let name = step.to.name.clone();
                    detached.insert(name, Detached { link, intent });
                }
                (Base::Tree, Some(LinkAt { link, .. })) => {
                    let moved = LinkAt { link, place: to };
                    job.present.push(job.goal_at(&moved.place).unwrap_or(moved));
                }
                (Base::Tree, None) => job.present.extend(job.goal_at(&to)),
                (Base::Staging | Base::Trash, _) => {}
            }
        }
    }
    job.moved = true;
}

/// A removed file whose place another one took.
fn leave(victim: &mut Job, at: &Spot) {
    let at = place(at);
    victim.present.retain(|now| now.place != at);
    victim.moved = true;
}

fn place(spot: &Spot) -> Place {
    Place {
        parent: spot.dir_inode,
        name: spot.name.clone(),
    }
}
