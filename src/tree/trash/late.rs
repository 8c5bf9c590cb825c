//! Pure: when a file in the trash is looked at again, should a program have kept it open and written to it.
//!
//! A file that was replaced or removed under its writer takes what the writer still has to say into the trash. Size
//! and mtime stand in its name, so a difference shows after a restart too; a writer who puts the mtime back is told by
//! the ctime from the first look on.

use std::collections::{BTreeMap, BTreeSet};

use super::{Displaced, Label};
use crate::journal::op::{FileTime, Name};

/// Ages at which a file is looked at: soon, and before everything that is not kept goes (CORRECTNESS 2.6).
pub const CHECKS_US: [u64; 2] = [5_000_000, 60_000_000];
/// A file that was written to is looked at so often for as long as it is kept.
const AGAIN_US: u64 = 60_000_000;

/// When a file comes again that could not be read, because its writer is at it.
const SOON_US: u64 = 1_000_000;

/// What is remembered of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    /// Looks that are done.
    checks: usize,
    /// Time of the last one.
    at_us: u64,
    /// ctime then.
    ctime: FileTime,
}

/// Files that are watched. One owner; it is made again from the trash.
#[derive(Debug, Default)]
pub struct Watched {
    seen: BTreeMap<Name, Seen>,
    next_us: u64,
}

impl Watched {
    /// Forgets what is not in the trash any more and returns what is due, oldest first.
    pub fn due(&mut self, trash: &[Displaced], now_us: u64) -> Vec<Displaced> {
        let names: BTreeSet<&Name> = trash.iter().map(|file| &file.name).collect();
        self.seen.retain(|name, _| names.contains(name));
        let mut due = Vec::new();
        self.next_us = u64::MAX;
        for file in trash {
            let at_us = self.look_at_us(file);
            if at_us <= now_us {
                due.push(file.clone());
            } else {
                self.next_us = self.next_us.min(at_us);
            }
        }
        if !due.is_empty() {
            // One that cannot be read now comes again soon.
            self.next_us = self.next_us.min(now_us.saturating_add(SOON_US));
        }
        due
    }

    /// When [`Watched::due`] returns something next, if what it returned last is looked at and nothing new comes.
    #[must_use]
    pub const fn next_us(&self) -> u64 {
        self.next_us
    }

    fn look_at_us(&self, file: &Displaced) -> u64 {
        let Some(label) = &file.label else {
            return u64::MAX;
        };
        // The first look takes note of the ctime.
        let Some(seen) = self.seen.get(&file.name) else {
            return 0;
        };
        match CHECKS_US.get(seen.checks) {
            Some(age) => file.at_us.saturating_add(*age),
            None if label.late => seen.at_us.saturating_add(AGAIN_US),
            None => u64::MAX,
        }
    }

    /// Whether the file was looked at since the start.
    #[must_use]
    pub fn is_known(&self, file: &Displaced) -> bool {
        self.seen.contains_key(&file.name)
    }

    /// Whether a file with this ctime has to be read again to know what it holds. One that `differs` from its label
    /// always has.
    #[must_use]
    pub fn is_doubtful(&self, file: &Displaced, differs: bool, ctime: FileTime) -> bool {
        let known = self.seen.get(&file.name);
        differs || known.is_some_and(|known| known.ctime != ctime)
    }

    /// The file was looked at and holds what its name says.
    pub fn found_in_order(&mut self, file: &Displaced, ctime: FileTime, now_us: u64) {
        let age = now_us.saturating_sub(file.at_us);
        let checks = CHECKS_US.iter().filter(|at| age >= **at).count();
        let seen = Seen {
            checks,
            at_us: now_us,
            ctime,
        };
        if let Some(age) = CHECKS_US.get(checks) {
            self.next_us = self.next_us.min(file.at_us.saturating_add(*age));
        }
        if file.label.is_some_and(|label| label.late) {
            self.next_us = self.next_us.min(now_us.saturating_add(AGAIN_US));
        }
        self.seen.insert(file.name.clone(), seen);
    }
}

/// The name's record of a file that was read with this result, if that is not what it says: something was written
/// after the file was displaced.
#[must_use]
pub fn written(label: &Label, now: Label) -> Option<Label> {
    (now.root != label.root).then_some(Label { late: true, ..now })
}

#[cfg(test)]
mod tests {
    use super::super::{name, parse};
    use super::*;
    use crate::journal::op::ManifestRoot;

    const SECOND: u64 = 1_000_000;

    fn label(late: bool) -> Label {
        Label {
            root: ManifestRoot([1; 32]),
            size: 1,
            mtime: FileTime::default(),
            late,
        }
    }

    fn file(late: bool) -> Displaced {
        parse(&name(7, 100 * SECOND, 1, Some(&label(late)))).unwrap()
    }

    fn ctime(seconds: i64) -> FileTime {
        FileTime { seconds, nanos: 0 }
    }

    /// Ages in seconds at which a file is looked at within the first 300 seconds.
    fn looks(late: bool) -> Vec<u64> {
        let (mut watched, file) = (Watched::default(), file(late));
        let mut ages = Vec::new();
        for age in 0..300 {
            let now = (100 + age) * SECOND;
            if now < watched.next_us() {
                continue;
            }
            for due in watched.due(std::slice::from_ref(&file), now) {
                ages.push(age);
                watched.found_in_order(&due, ctime(1), now);
            }
        }
        ages
    }

    #[test]
    fn a_file_is_looked_at_at_once_and_after_five_and_sixty_seconds() {
        assert_eq!(looks(false), [0, 5, 60]);
    }

    #[test]
    fn one_that_was_written_to_is_looked_at_every_minute_after_that() {
        assert_eq!(looks(true), [0, 5, 60, 120, 180, 240]);
    }

    #[test]
    fn after_a_restart_one_look_catches_up() {
        let (mut watched, file) = (Watched::default(), file(false));
        let now = 1_000 * SECOND;
        assert_eq!(watched.due(std::slice::from_ref(&file), now).len(), 1);
        watched.found_in_order(&file, ctime(1), now);
        assert_eq!(watched.due(std::slice::from_ref(&file), now + SECOND), []);
    }

    #[test]
    fn a_writer_who_puts_the_mtime_back_is_told_by_the_ctime() {
        let (mut watched, file) = (Watched::default(), file(false));
        assert!(!watched.is_doubtful(&file, false, ctime(1)));
        assert!(watched.is_doubtful(&file, true, ctime(1)));
        watched.found_in_order(&file, ctime(1), 0);
        assert!(!watched.is_doubtful(&file, false, ctime(1)));
        assert!(watched.is_doubtful(&file, false, ctime(2)));
    }

    #[test]
    fn what_went_from_the_trash_is_forgotten() {
        let (mut watched, file) = (Watched::default(), file(false));
        watched.found_in_order(&file, ctime(1), 0);
        watched.due(&[], 0);
        assert!(watched.seen.is_empty());
    }

    #[test]
    fn only_other_bytes_are_a_late_write() {
        let touched = Label {
            mtime: ctime(9),
            ..label(false)
        };
        assert_eq!(written(&label(false), touched), None);
        let other = Label {
            root: ManifestRoot([2; 32]),
            ..touched
        };
        let expected = Some(Label {
            late: true,
            ..other
        });
        assert_eq!(written(&label(false), other), expected);
    }
}
