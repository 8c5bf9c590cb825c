//! Carries out one step of a plan and takes it back, each by atomic calls that overwrite nothing.
//!
//! Before a step the object must be what the plan saw, and its directory too; after an exchange what came out must be
//! what was expected, else it goes back. So a local change that slips in between is never lost, only met.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::intent::{Fingerprint, Intent};
use super::plan::{Action, Base, Spot};
use super::root::Root;
use super::stat::{DevId, Stat, stat_at, stat_fd};
use crate::error::ReplError;
use crate::failpoint;

/// Why a step was not done.
#[derive(Debug)]
pub enum Stop {
    /// Something else is there than the plan saw.
    Changed,
    /// The system does not allow it.
    Parked(String),
    /// A directory is not empty.
    NotEmpty,
    /// The disk is full.
    NoSpace,
    /// The disk fails.
    Failed(ReplError),
}

/// Result of a step.
pub type Done = Result<(), Stop>;

/// Carries out steps.
#[derive(Debug)]
pub struct Exec<'a> {
    /// The tree.
    pub root: &'a Root,
    /// Which directory on the device a logical one is.
    pub dirs: BTreeMap<u64, DevId>,
}

impl Exec<'_> {
    /// Does the step.
    ///
    /// # Errors
    /// Why it was not done; the tree is then as before it.
    pub fn run(&self, intent: &Intent) -> Done {
        let step = &intent.step;
        let from = self.open(&step.from)?;
        self.expect(&from, &step.from, &intent.object)?;
        match step.action {
            Action::Place | Action::Move => {
                let to = self.open(&step.to)?;
                self.rename(&from, &step.from, &to, &step.to, RenameFlags::NOREPLACE)
            }
            Action::Remove => {
                let to = self.open(&step.to)?;
                self.rename(&from, &step.from, &to, &step.to, RenameFlags::NOREPLACE)?;
                if self.expect(&to, &step.to, &intent.object).is_err() {
                    // It was written to in the moment of its removal: it comes back and is a local change.
                    self.rename(&to, &step.to, &from, &step.from, RenameFlags::NOREPLACE)?;
                    return Err(Stop::Changed);
                }
                Ok(())
            }
            Action::RemoveDir => {
                let removed = rustix::fs::unlinkat(&from, bytes(&step.from), AtFlags::REMOVEDIR);
                removed.map_err(|e| self.stop(e, &step.from))
            }
            Action::Link => {
                let to = self.open(&step.to)?;
                let flags = AtFlags::empty();
                rustix::fs::linkat(&from, bytes(&step.from), &to, bytes(&step.to), flags)
                    .map_err(|e| self.stop(e, &step.to))
            }
            Action::Replace { .. } | Action::Exchange => self.exchange(intent, &from),
        }
    }

    fn exchange(&self, intent: &Intent, from: &OwnedFd) -> Done {
        let step = &intent.step;
        let to = self.open(&step.to)?;
        let displaced = intent.displaced.ok_or(Stop::Changed)?;
        self.expect(&to, &step.to, &displaced)?;
        let flags = RenameFlags::EXCHANGE;
        self.rename(from, &step.from, &to, &step.to, flags)?;
        let came_out = self.expect(from, &step.from, &displaced);
        if came_out.is_err() || self.expect(&to, &step.to, &intent.object).is_err() {
            self.rename(from, &step.from, &to, &step.to, flags)?;
            return Err(Stop::Changed);
        }
        failpoint::pass("exchanged");
        let Some(trash) = &intent.trash else {
            let removed = rustix::fs::unlinkat(from, bytes(&step.from), AtFlags::empty());
            return removed.map_err(|e| self.stop(e, &step.from));
        };
        let trash = Spot::trash(trash.clone());
        let trash_dir = self.open(&trash)?;
        self.rename(from, &step.from, &trash_dir, &trash, RenameFlags::NOREPLACE)?;
        failpoint::pass("displaced");
        Ok(())
    }

    /// Takes the step back as far as it was done and what it moved is still there.
    ///
    /// # Errors
    /// When the system refuses; what was taken back stays so.
    pub fn undo(&self, intent: &Intent) -> Done {
        let step = &intent.step;
        match step.action {
            Action::Place | Action::Move | Action::Remove => {
                self.back(&step.to, &step.from, &intent.object, RenameFlags::NOREPLACE)?;
            }
            // Nothing is left of it to take back: recovery makes it again.
            Action::RemoveDir => {}
            Action::Link => {
                let to = self.open(&step.to)?;
                let stat = stat_at(&to, bytes(&step.to));
                if stat.is_ok_and(|stat| stat.id == intent.object.id && stat.nlink > 1) {
                    rustix::fs::unlinkat(&to, bytes(&step.to), AtFlags::empty())
                        .map_err(|e| self.stop(e, &step.to))?;
                }
            }
            Action::Replace { .. } => {
                let Some(displaced) = intent.displaced else {
                    return Ok(());
                };
                if let Some(trash) = &intent.trash {
                    let trash = Spot::trash(trash.clone());
                    self.back(&trash, &step.from, &displaced, RenameFlags::NOREPLACE)?;
                }
                if self.is_there(&step.from, &displaced)? {
                    self.back(&step.to, &step.from, &intent.object, RenameFlags::EXCHANGE)?;
                }
            }
            // New bytes under the same name are kept, the same image comes again; only the old ones are put away.
            Action::Exchange => {
                let (Some(displaced), Some(trash)) = (intent.displaced, &intent.trash) else {
                    return Ok(());
                };
                let trash = Spot::trash(trash.clone());
                if self.is_there(&step.from, &displaced)? {
                    self.back(&step.from, &trash, &displaced, RenameFlags::NOREPLACE)?;
                }
            }
        }
        Ok(())
    }

    /// Moves `object` from `at` to `home` if it is at `at` and unchanged.
    fn back(&self, at: &Spot, home: &Spot, object: &Fingerprint, flags: RenameFlags) -> Done {
        if !self.is_there(at, object)? {
            return Ok(());
        }
        self.take_to(at, home, flags)
    }

    /// Renames whatever stands at `at` to `home`.
    ///
    /// # Errors
    /// Why it was not done; nothing was moved then.
    pub fn take_to(&self, at: &Spot, home: &Spot, flags: RenameFlags) -> Done {
        let (at_dir, home_dir) = (self.open(at)?, self.open(home)?);
        self.rename(&at_dir, at, &home_dir, home, flags)
    }

    /// Whether `object` stands unchanged at `at`.
    ///
    /// # Errors
    /// When the system refuses for another reason than its absence.
    pub fn is_there(&self, at: &Spot, object: &Fingerprint) -> Result<bool, Stop> {
        match self.open(at).and_then(|dir| self.expect(&dir, at, object)) {
            Ok(()) => Ok(true),
            Err(Stop::Changed) => Ok(false),
            Err(stop) => Err(stop),
        }
    }

    /// What stands at `at`.
    ///
    /// # Errors
    /// [`Stop::Changed`] when nothing does or the directory is another one.
    pub fn stat(&self, at: &Spot) -> Result<Stat, Stop> {
        let dir = self.open(at)?;
        stat_at(&dir, bytes(at)).map_err(|e| self.stop(e, at))
    }

    /// Opens the directory of `spot` and makes sure that it is the one that is meant.
    ///
    /// # Errors
    /// [`Stop::Changed`] when it is not there or another one.
    pub fn open(&self, spot: &Spot) -> Result<OwnedFd, Stop> {
        let base = match spot.base {
            Base::Tree => self.root.fd(),
            Base::Staging => self.root.staging(),
            Base::Trash => self.root.trash(),
        };
        let dir = Root::open_dir_from(base, &spot.dir).map_err(|e| self.stop(e, spot))?;
        if let Some(id) = self.dirs.get(&spot.dir_inode) {
            let found = stat_fd(&dir).map_err(|e| self.stop(e, spot))?.id;
            if found != *id {
                return Err(Stop::Changed);
            }
        }
        Ok(dir)
    }

    fn expect(&self, dir: impl AsFd, spot: &Spot, object: &Fingerprint) -> Done {
        let stat = stat_at(dir, bytes(spot)).map_err(|e| self.stop(e, spot))?;
        if Fingerprint::of(&stat) == *object {
            Ok(())
        } else {
            Err(Stop::Changed)
        }
    }

    fn rename(
        &self,
        from: &OwnedFd,
        from_spot: &Spot,
        to: &OwnedFd,
        to_spot: &Spot,
        flags: RenameFlags,
    ) -> Done {
        rustix::fs::renameat_with(from, bytes(from_spot), to, bytes(to_spot), flags)
            .map_err(|e| self.stop(e, to_spot))
    }

    fn stop(&self, error: Errno, spot: &Spot) -> Stop {
        match error {
            Errno::EXIST | Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV => {
                Stop::Changed
            }
            Errno::NOTEMPTY => Stop::NotEmpty,
            Errno::NOSPC | Errno::DQUOT => Stop::NoSpace,
            Errno::ACCESS
            | Errno::PERM
            | Errno::ROFS
            | Errno::MLINK
            | Errno::NAMETOOLONG
            | Errno::BUSY => Stop::Parked(std::io::Error::from(error).to_string()),
            other => {
                let path = self.root.shown(&spot.dir, Some(&spot.name));
                Stop::Failed(ReplError::io("rename", path, other))
            }
        }
    }
}

pub(super) fn bytes(spot: &Spot) -> &[u8] {
    spot.name.as_bytes()
}
