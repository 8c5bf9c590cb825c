//! Takes back what a stop in the middle of a batch left: afterwards the tree shows what the engine thinks it shows.
//!
//! Undone from the last step to the first, each only if the object is still the one that was moved. What a user did to
//! it since is a local change and stays. New bytes under an unchanged name are kept. Directories that were removed are
//! made again. Nothing is deleted but staged objects that nobody ever saw.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd as _;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::exec::{Done, Exec, Stop};
use super::intent::{Fingerprint, Intent, IntentLog};
use super::plan::{Action, Base, Spot, Step};
use super::policy::Policy;
use super::root::{Root, open_beneath};
use super::stage::set_attributes;
use super::stat::{DevId, stat_at};
use super::trash::RESCUED;
use crate::error::{ReplError, Result};
use crate::failpoint;
use crate::journal::op::{FileTime, Name};
use crate::sync::port::{Engine, NodeKind, Round, ShownLink};

/// Names in staging that only a staged object has.
pub(super) const STAGED_PREFIX: &[u8] = b"s-";
/// Prefix of copies of losers that were being fetched for the trash: other sites have them.
pub(super) const COPY_PREFIX: &[u8] = b"s-keep-";

/// What recovery did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Steps of the batch that was under way.
    pub steps: u64,
    /// Steps that could not be taken back, because something else is there.
    pub kept: u64,
    /// Staged objects that were dropped.
    pub dropped: u64,
    /// Objects of the tree that were found in staging and moved to the trash.
    pub rescued: u64,
}

/// Brings the tree back to what `engine` knows and empties staging.
///
/// # Errors
/// When the disk or the engine fails; it can be run again.
pub fn recover(
    root: &Root,
    policy: &Policy,
    engine: &mut dyn Engine,
    log: &mut IntentLog,
) -> Result<Recovery> {
    let intents = log.pending()?;
    let mut done = Recovery {
        steps: intents.len() as u64,
        ..Recovery::default()
    };
    // Directories are not checked against the engine here: their paths are those of the batch.
    let exec = Exec {
        root,
        dirs: BTreeMap::new(),
    };
    let finished = finished(engine, &intents)?;
    let begun = begun_exchanges(&exec, &intents);
    for (intent, is_finished) in intents.iter().zip(finished).rev() {
        if is_finished {
            continue;
        }
        let result = match intent.step.action {
            // All names of a file, or it is no longer one file.
            Action::Exchange if begun.contains(&intent.step.inode) => redo(&exec, intent),
            Action::RemoveDir => remake(&exec, policy, engine, &intent.step)?,
            Action::Place
            | Action::Move
            | Action::Replace { .. }
            | Action::Remove
            | Action::Link
            | Action::Exchange => exec.undo(intent),
        };
        match result {
            Ok(()) => {}
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Changed | Stop::NotEmpty | Stop::NoSpace | Stop::Parked(_)) => done.kept += 1,
        }
        failpoint::pass("recover");
        // In this moment everything is as it was right after this step: its paths hold.
        settle(&exec, engine, intent)?;
    }
    if !intents.is_empty() {
        failpoint::pass("recover staging");
    }
    empty_staging(root, &intents, &mut done)?;
    root.sync()?;
    if !intents.is_empty() {
        failpoint::pass("recover report");
    }
    // An empty report makes durable what the engine was told above; only then may the intents go.
    engine.done(Round::default())?;
    if !intents.is_empty() {
        failpoint::pass("recovered");
    }
    log.finish()?;
    Ok(done)
}

/// Which intents the engine had already been told of: the stop came after that. A job that ended halfway was told
/// as far as it got, and what was done before a step that counts, counts too.
fn finished(engine: &mut dyn Engine, intents: &[Intent]) -> Result<Vec<bool>> {
    let mut finished = vec![false; intents.len()];
    let mut told = BTreeSet::new();
    for (intent, is_finished) in intents.iter().zip(&mut finished).rev() {
        let inode = intent.step.inode;
        let image = engine.applied(inode)?;
        let links = image.map_or_else(Vec::new, |image| image.links);
        let shows = |spot: &Spot| {
            let at = |link: &ShownLink| link.parent == spot.dir_inode && link.name == spot.name;
            links.iter().any(at)
        };
        let is_told = match intent.step.action {
            Action::Remove | Action::RemoveDir => !shows(&intent.step.from),
            Action::Exchange => engine
                .device(inode)?
                .is_some_and(|device| Fingerprint::new(&device, false) == intent.object),
            Action::Place | Action::Move | Action::Replace { .. } | Action::Link => {
                shows(&intent.step.to)
            }
        };
        if is_told {
            told.insert(inode);
        }
        *is_finished = told.contains(&inode);
    }
    Ok(finished)
}

/// Files of which at least one name has the new bytes.
fn begun_exchanges(exec: &Exec<'_>, intents: &[Intent]) -> BTreeSet<u64> {
    let begun = intents.iter().filter(|intent| {
        intent.step.action == Action::Exchange
            && exec
                .stat(&intent.step.to)
                .is_ok_and(|stat| stat.id == intent.object.id)
    });
    begun.map(|intent| intent.step.inode).collect()
}

fn redo(exec: &Exec<'_>, intent: &Intent) -> Done {
    let there = exec.stat(&intent.step.to).map(|stat| stat.id);
    if there.is_ok_and(|id| id == intent.object.id) {
        return exec.undo(intent);
    }
    exec.run(intent)
}

/// Makes a directory again that was removed, for what was in it is to come back first, and what is shown and not there
/// would be taken for a removal by the user of this site. It is another one on the device; [`settle`] tells that.
fn remake(exec: &Exec<'_>, policy: &Policy, engine: &mut dyn Engine, step: &Step) -> Result<Done> {
    let root = exec.root;
    let Some(image) = engine.applied(step.inode)? else {
        return Ok(Ok(()));
    };
    if exec.stat(&step.from).is_ok() {
        return Ok(Ok(()));
    }
    let staged = [STAGED_PREFIX, b"again"].concat();
    let fail = |e: Errno| ReplError::io("make directory again in", root.path(), e);
    match rustix::fs::unlinkat(root.staging(), &staged[..], AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(e) => return Err(fail(e)),
    }
    rustix::fs::mkdirat(root.staging(), &staged[..], Mode::RWXU).map_err(fail)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let made = open_beneath(root.staging().as_fd(), &staged, flags).map_err(fail)?;
    if let Err(error) = set_attributes(root, policy, &image, &made) {
        // It is removed again soon.
        tracing::warn!(%error, "a directory was made again without all of its attributes");
    }
    let at = Spot::staging(Name::new(staged).map_err(|_| fail(Errno::INVAL))?);
    Ok(exec.take_to(&at, &step.from, RenameFlags::NOREPLACE))
}

/// Tells the engine what an inode of the batch looks like on the device.
fn settle(exec: &Exec<'_>, engine: &mut dyn Engine, intent: &Intent) -> Result<()> {
    let step = &intent.step;
    match step.action {
        Action::Exchange => {
            let Ok(stat) = exec.stat(&step.to) else {
                return Ok(());
            };
            if stat.id == intent.object.id {
                let mut device = stat.image();
                if Fingerprint::of(&stat) != intent.object {
                    // Written to since: it must not look as if it had been journaled.
                    device.ctime = FileTime::default();
                }
                engine.set_device(step.inode, Some(device))?;
            }
        }
        Action::Place | Action::Replace { staged: true, .. } => {
            let bound = engine.device(step.inode)?;
            if bound.is_some_and(|bound| DevId::of(&bound) == intent.object.id) {
                engine.set_device(step.inode, None)?;
            }
        }
        Action::RemoveDir => {
            let there = exec.stat(&step.from).ok();
            let Some(stat) = there.filter(|stat| stat.kind == Some(NodeKind::Dir)) else {
                return Ok(());
            };
            let image = stat.image();
            let bound = engine.inode_of(image.ino, image.btime)?;
            if bound.is_none() && engine.applied(step.inode)?.is_some() {
                engine.set_device(step.inode, Some(image))?;
            }
        }
        // Their ctime moved, so that the next scan reads them again; it finds nothing, or what a user did meanwhile.
        Action::Move | Action::Remove | Action::Replace { staged: false, .. } | Action::Link => {}
    }
    Ok(())
}

fn empty_staging(root: &Root, intents: &[Intent], done: &mut Recovery) -> Result<()> {
    let fail = |e: Errno| ReplError::io("clear staging in", root.path(), e);
    let staged = intents.iter().filter(|intent| {
        intent.step.from.base == Base::Staging
            && intent.step.from.name.as_bytes().starts_with(STAGED_PREFIX)
    });
    let ours: BTreeSet<DevId> = staged.map(|intent| intent.object.id).collect();
    let mut names = Vec::new();
    for entry in Dir::read_from(root.staging()).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        names.extend(Name::new(entry.file_name().to_bytes().to_vec()));
    }
    for name in names {
        let stat = stat_at(root.staging(), name.as_bytes()).map_err(fail)?;
        let is_copy = name.as_bytes().starts_with(COPY_PREFIX);
        let unseen = is_copy
            || name.as_bytes().starts_with(STAGED_PREFIX)
                && (intents.is_empty() || ours.contains(&stat.id));
        let dir = stat.kind == Some(NodeKind::Dir);
        let flags = if dir {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        if unseen {
            match rustix::fs::unlinkat(root.staging(), name.as_bytes(), flags) {
                Ok(()) => {
                    done.dropped += 1;
                    continue;
                }
                Err(Errno::NOTEMPTY) => {}
                Err(e) => return Err(fail(e)),
            }
        }
        rescue(root, &name).map_err(fail)?;
        done.rescued += 1;
    }
    Ok(())
}

/// Moves something from staging to the trash, to a name that is free: the same one may have been rescued before.
fn rescue(root: &Root, name: &Name) -> rustix::io::Result<()> {
    let mut to = [RESCUED, name.as_bytes()].concat();
    for nth in 1.. {
        let (staging, trash) = (root.staging(), root.trash());
        match rustix::fs::renameat_with(
            staging,
            name.as_bytes(),
            trash,
            &to[..],
            RenameFlags::NOREPLACE,
        ) {
            Err(Errno::EXIST) => {
                to = [RESCUED, format!("again{nth}-").as_bytes(), name.as_bytes()].concat();
            }
            result => return result,
        }
    }
    Err(Errno::EXIST)
}
