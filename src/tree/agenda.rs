//! Pure: which files are not ready to be read yet, and which directories are due for another look.
//!
//! A file that was closed is ready at once. One that is only written to rests first: it is read a while after the last
//! change, and at the latest some time after the first. One that changed while it was read waits longer each time.
//! What a directory scan must leave out, and when to come back for it, follows from here; nobody scans a whole tree
//! for one file. Time is a parameter: `now` never goes back, `now_us` is the wall clock that marks are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::journal::op::Name;

/// Files that are waited for at the same time; further ones are read at once, as if they had been closed. A file takes
/// some hundred bytes here, and programs that write so many at the same time close them soon.
pub const FILES_MAX: usize = 100_000;
/// The longest wait of a file that changes during every reading (CORRECTNESS 2.5).
pub const BUSY_MAX: Duration = Duration::from_secs(30);

/// A directory by names from the root, and a name in it.
pub type FileAt = (Vec<Name>, Name);

/// How long files rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// After the last change. Default: 1 s.
    pub settle: Duration,
    /// After the first change that was not read. Default: 5 s.
    pub settle_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(1),
            settle_max: Duration::from_secs(5),
        }
    }
}

/// A file that is not ready.
#[derive(Debug, Clone, Copy)]
struct Wait {
    /// Wall clock of the first change that was not read.
    first_us: u64,
    first: Duration,
    last: Duration,
    /// Nobody wrote to it since it was closed.
    closed: bool,
    /// Readings in a row during which it changed.
    failures: u32,
    not_before: Duration,
}

impl Wait {
    fn due(&self, pace: &Pace) -> Duration {
        let rests = (self.last + pace.settle).min(self.first + pace.settle_max);
        let rests = if self.closed { self.last } else { rests };
        rests.max(self.not_before)
    }
}

/// A directory that is to be looked at again.
#[derive(Debug, Clone, Copy)]
struct Look {
    due: Duration,
    /// Wall clock of the change that was seen and not journaled, if one was.
    seen_us: Option<u64>,
}

/// What the noticing side has still to do. The connector's loop owns it.
#[derive(Debug, Default)]
pub struct Agenda {
    pace: Pace,
    files: BTreeMap<FileAt, Wait>,
    looks: BTreeMap<Vec<Name>, Look>,
}

impl Agenda {
    /// Nothing to do.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            ..Self::default()
        }
    }

    /// A file was written to and not closed. False: too many wait already, and it has to be read at once.
    pub fn written(&mut self, file: FileAt, now: Duration, now_us: u64) -> bool {
        if self.files.len() >= FILES_MAX && !self.files.contains_key(&file) {
            return false;
        }
        let wait = self.files.entry(file).or_insert(Wait {
            first_us: now_us,
            first: now,
            last: now,
            closed: false,
            failures: 0,
            not_before: Duration::ZERO,
        });
        (wait.last, wait.closed) = (now, false);
        true
    }

    /// A file was closed after writing, or was renamed to this name: it is ready, unless it has to wait for having
    /// changed while it was read.
    pub fn closed(&mut self, file: &FileAt) {
        if let Some(wait) = self.files.get_mut(file) {
            wait.closed = true;
            if wait.failures == 0 {
                self.files.remove(file);
            }
        }
    }

    /// Nothing of that name is there any more.
    pub fn gone(&mut self, file: &FileAt) {
        self.files.remove(file);
    }

    /// A directory has to be looked at again at `due`; `seen_us` is the wall clock of a change that was seen in it and
    /// could not be journaled. An earlier look stays.
    pub fn look_at(&mut self, dir: Vec<Name>, due: Duration, seen_us: Option<u64>) {
        let look = self.looks.entry(dir).or_insert(Look { due, seen_us });
        look.due = look.due.min(due);
        look.seen_us = match (look.seen_us, seen_us) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Directories that are to be looked at now, for themselves or for a file that is ready. Looks are handed over;
    /// files stay until [`Agenda::scanned`] tells what became of them.
    pub fn due(&mut self, now: Duration) -> BTreeSet<Vec<Name>> {
        let ready = self
            .files
            .iter()
            .filter(|(_, wait)| wait.due(&self.pace) <= now);
        let mut dirs: BTreeSet<Vec<Name>> = ready.map(|((dir, _), _)| dir.clone()).collect();
        self.looks.retain(|dir, look| {
            let later = look.due > now;
            if !later {
                dirs.insert(dir.clone());
            }
            later
        });
        dirs
    }

    /// Files that a scan at `now` must leave as they are.
    #[must_use]
    pub fn unready(&self, now: Duration) -> BTreeSet<FileAt> {
        let waits = self.files.iter();
        waits
            .filter(|(_, wait)| wait.due(&self.pace) > now)
            .map(|(file, _)| file.clone())
            .collect()
    }

    /// A scan that began at `now` looked at `dirs`, or at everything. What was ready has been read, but for `busy`,
    /// which changed while it was read.
    pub fn scanned(
        &mut self,
        dirs: Option<&BTreeSet<Vec<Name>>>,
        busy: &BTreeSet<FileAt>,
        now: Duration,
        now_us: u64,
    ) {
        let (pace, was) = (self.pace, |dir: &Vec<Name>| {
            dirs.is_none_or(|dirs| dirs.contains(dir))
        });
        self.files
            .retain(|file, wait| wait.due(&pace) > now || !was(&file.0) || busy.contains(file));
        for file in busy {
            if !self.written(file.clone(), now, now_us) {
                continue;
            }
            if let Some(wait) = self.files.get_mut(file) {
                wait.failures = wait.failures.saturating_add(1);
                wait.not_before = now + busy_pause(&pace, wait.failures);
            }
        }
    }

    /// When there is something to do next.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        let files = self.files.values().map(|wait| wait.due(&self.pace));
        files.chain(self.looks.values().map(|look| look.due)).min()
    }

    /// Wall clock of the oldest change that was seen and is not journaled: up to there everything was noticed.
    #[must_use]
    pub fn noticed_us(&self) -> Option<u64> {
        let files = self.files.values().map(|wait| wait.first_us);
        let looks = self.looks.values().filter_map(|look| look.seen_us);
        files.chain(looks).min()
    }

    /// How many files are waited for.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.files.len()
    }
}

/// Twice as long after every reading that failed.
fn busy_pause(pace: &Pace, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    pace.settle.saturating_mul(1 << doublings).min(BUSY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: BTreeSet<FileAt> = BTreeSet::new();

    fn file(name: &str) -> FileAt {
        (dir("d"), Name::new(name.as_bytes().to_vec()).unwrap())
    }

    fn dir(name: &str) -> Vec<Name> {
        vec![Name::new(name.as_bytes().to_vec()).unwrap()]
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn agenda() -> Agenda {
        Agenda::new(Pace::default())
    }

    #[test]
    fn an_open_file_is_read_a_second_after_its_last_change() {
        let mut agenda = agenda();
        agenda.written(file("f"), at(0), 0);
        agenda.written(file("f"), at(600), 600);
        assert_eq!(agenda.next(), Some(at(1_600)));
        assert_eq!(agenda.due(at(1_599)), BTreeSet::new());
        assert_eq!(agenda.unready(at(1_599)), [file("f")].into());
        assert_eq!(agenda.due(at(1_600)), [dir("d")].into());
        assert_eq!(agenda.unready(at(1_600)), NONE);
        agenda.scanned(Some(&[dir("d")].into()), &NONE, at(1_600), 0);
        assert_eq!((agenda.waiting(), agenda.next()), (0, None));
    }

    #[test]
    fn a_file_that_never_rests_is_read_every_five_seconds() {
        let mut agenda = agenda();
        let mut read = Vec::new();
        for now in (0..12_000).step_by(100).map(at) {
            agenda.written(file("f"), now, 0);
            if !agenda.due(now).is_empty() {
                read.push(now);
                agenda.scanned(None, &NONE, now, 0);
            }
        }
        assert_eq!(read, [at(5_000), at(10_100)]);
    }

    #[test]
    fn closing_a_file_makes_it_ready_and_further_writing_unready_again() {
        let mut agenda = agenda();
        agenda.written(file("f"), at(0), 0);
        agenda.closed(&file("f"));
        assert_eq!(agenda.unready(at(0)), NONE);
        agenda.written(file("f"), at(1), 0);
        assert_eq!(agenda.unready(at(1)), [file("f")].into());
        agenda.gone(&file("f"));
        assert_eq!(agenda.waiting(), 0);
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_waits_longer_each_time_however_often_it_is_closed() {
        let mut agenda = agenda();
        let (mut now, mut pauses) = (at(0), Vec::new());
        for _ in 0..8 {
            agenda.scanned(None, &[file("f")].into(), now, 0);
            agenda.closed(&file("f"));
            let next = agenda.next().unwrap();
            pauses.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(agenda.due(now), [dir("d")].into());
        agenda.scanned(None, &NONE, now, 0);
        assert_eq!(agenda.waiting(), 0);
    }

    #[test]
    fn a_scan_elsewhere_does_not_answer_for_a_file() {
        let mut agenda = agenda();
        agenda.written(file("f"), at(0), 0);
        agenda.scanned(Some(&[dir("e")].into()), &NONE, at(2_000), 0);
        assert_eq!(agenda.due(at(2_000)), [dir("d")].into());
        agenda.scanned(Some(&[dir("d")].into()), &NONE, at(2_000), 0);
        assert_eq!(agenda.waiting(), 0);
    }

    #[test]
    fn nothing_is_claimed_to_be_noticed_beyond_the_oldest_open_change() {
        let mut agenda = agenda();
        assert_eq!(agenda.noticed_us(), None);
        agenda.written(file("f"), at(0), 70);
        agenda.written(file("f"), at(1), 80);
        agenda.look_at(dir("e"), at(9), None);
        assert_eq!(agenda.noticed_us(), Some(70));
        agenda.look_at(dir("e"), at(20), Some(60));
        assert_eq!(agenda.noticed_us(), Some(60));
        assert_eq!(
            agenda.due(at(9)),
            [dir("e")].into(),
            "the earlier look stays"
        );
        assert_eq!(agenda.noticed_us(), Some(70));
    }

    #[test]
    fn beyond_the_limit_files_are_read_at_once() {
        let mut agenda = agenda();
        let name = |i: usize| file(&i.to_string());
        assert!((0..FILES_MAX).all(|i| agenda.written(name(i), at(0), 0)));
        assert!(!agenda.written(name(FILES_MAX), at(0), 0));
        assert!(agenda.written(name(0), at(1), 0), "known ones go on");
    }
}
