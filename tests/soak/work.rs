//! What the users of one side do all day: random operations on the tree, by a seed, while the other side's changes
//! come in underneath.
//!
//! An operation whose files were taken away by the other side is missed, not failed; anything else that the system
//! refuses ends the test. Names come from a small set, so that both sides meet often; contents are unique, so that a
//! lost one can be named.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;

use super::kinds::{KINDS, Kind};
use crate::rng::Rng;

/// What the sides are called, in the order of their sites.
pub(super) const SIDES: [&str; 3] = ["a", "b", "c"];
/// Names in the tree of one side beyond which more is removed than made.
const NAMES_MAX: usize = 1_500;
/// What contents that do not fit into an entry are called among the kinds of work.
pub(super) const LARGE: &str = "large contents";
/// What working in the other side's folder as well is called among the kinds of work.
pub(super) const SHARED: &str = "all in one folder";
/// Operations after which the tree is listed again.
const LIST_EVERY: u64 = 8;

/// Done and missed operations, by kind.
pub(super) type Counts = BTreeMap<&'static str, (u64, u64)>;

/// What a worker sees of the tree when it looks.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: Vec<PathBuf>,
    pub(super) dirs: Vec<PathBuf>,
}

/// The users of one side.
#[derive(Debug)]
pub(super) struct Worker {
    /// One of [`SIDES`]: in every content, and the name of the folder that is theirs.
    pub(super) side: &'static str,
    pub(super) root: PathBuf,
    /// A tarball, and a folder to mirror.
    pub(super) material: PathBuf,
    pub(super) rng: Rng,
    pub(super) listing: Listing,
    counts: Counts,
    kinds: Vec<&'static Kind>,
    done: u64,
    written: u64,
    programs: Programs,
    large: bool,
    shared: bool,
}

/// Whether this is among the kinds of work that are wanted; none named means all.
pub(super) fn is_wanted(only: &[&str], name: &str) -> bool {
    only.is_empty() || only.contains(&name)
}

/// Programs that are used when they are there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Programs {
    pub(super) tar: bool,
    pub(super) rsync: bool,
    pub(super) sed: bool,
    pub(super) cp: bool,
}

impl Programs {
    pub(super) fn found() -> Self {
        let programs = Self {
            tar: crate::lab::has_program("tar"),
            rsync: crate::lab::has_program("rsync"),
            sed: crate::lab::has_program("sed"),
            cp: crate::lab::has_program("cp"),
        };
        println!("programs: {programs:?}; what is missing is done by the test itself");
        programs
    }
}

impl Worker {
    pub(super) fn new(
        side: &'static str,
        root: &Path,
        material: &Path,
        seed: u64,
        programs: Programs,
        only: &[&str],
    ) -> Self {
        let mut kinds = Vec::new();
        for kind in KINDS.iter().filter(|kind| is_wanted(only, kind.name)) {
            kinds.extend(vec![kind; kind.weight]);
        }
        let salt = u64::from(side.as_bytes().first().copied().unwrap_or(0));
        Self {
            side,
            root: root.to_owned(),
            material: material.to_owned(),
            rng: Rng::new(seed ^ (salt << 56)),
            listing: Listing::default(),
            counts: Counts::new(),
            kinds,
            done: 0,
            written: 0,
            programs,
            large: is_wanted(only, LARGE),
            shared: is_wanted(only, SHARED),
        }
    }

    /// Works until `stop` is set, with a random pause of up to `pause` between operations.
    pub(super) fn work(mut self, stop: &AtomicBool, pause: Duration) -> Counts {
        while !stop.load(Ordering::SeqCst) {
            self.one();
            let micros = u64::try_from(pause.as_micros()).unwrap() + 1;
            // The pace of users; nothing is waited for.
            std::thread::sleep(Duration::from_micros(self.rng.below(micros)));
        }
        self.counts
    }

    /// One operation.
    pub(super) fn one(&mut self) {
        if self.done.is_multiple_of(LIST_EVERY) {
            self.listing = list(&self.root);
        }
        self.done += 1;
        let crowded = self.listing.files.len() + self.listing.dirs.len() > NAMES_MAX;
        let kind = if crowded {
            KINDS.iter().find(|kind| kind.name == "rm -rf").unwrap()
        } else {
            let at = self.rng.index(self.kinds.len());
            self.kinds[at]
        };
        let result = (kind.run)(self);
        let count = self.counts.entry(kind.name).or_default();
        match result {
            Ok(()) => count.0 += 1,
            Err(error) if is_taken_away(&error) => count.1 += 1,
            Err(error) => panic!("{} at {}: {error}", kind.name, self.side),
        }
    }

    pub(super) const fn programs(&self) -> Programs {
        self.programs
    }

    /// Bytes that nobody wrote before, of a random size; now and then too many for an entry.
    pub(super) fn content(&mut self) -> Vec<u8> {
        self.written += 1;
        let head = format!("{} wrote {}\n", self.side, self.written);
        let repeat = match self.rng.below(20) {
            0 if self.large => 12_000,
            1..=4 => 700,
            5 => 0,
            _ => 1 + self.rng.below(40),
        };
        if repeat == 0 {
            return Vec::new();
        }
        head.repeat(usize::try_from(repeat).unwrap()).into_bytes()
    }

    /// A folder to work in: the own one, or the one of both.
    pub(super) fn area(&mut self) -> PathBuf {
        let is_shared = self.rng.below(3) == 0 && self.shared;
        let area = if is_shared { "both" } else { self.side };
        let at = self.root.join(area);
        fs::create_dir_all(&at).ok();
        at
    }

    /// A directory that was there at the last look, or an area.
    pub(super) fn a_dir(&mut self) -> PathBuf {
        let area = self.area();
        let inside: Vec<&PathBuf> = self
            .listing
            .dirs
            .iter()
            .filter(|d| d.starts_with(&area))
            .collect();
        self.rng.pick(&inside).map_or(area, |dir| (*dir).clone())
    }

    /// A file that was there at the last look.
    pub(super) fn a_file(&mut self) -> io::Result<PathBuf> {
        let area = self.area();
        let inside: Vec<&PathBuf> = self
            .listing
            .files
            .iter()
            .filter(|f| f.starts_with(&area))
            .collect();
        let found = self.rng.pick(&inside).map(|file| (*file).clone());
        found.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// A path for a new thing: often one that the other side uses too.
    pub(super) fn a_path(&mut self, kind: &str) -> PathBuf {
        let dir = self.a_dir();
        let number = self.rng.below(8);
        dir.join(format!("{kind}{number}"))
    }

    /// Writes into whatever stands at `path`, in place; never through a symbolic link.
    pub(super) fn write_in_place(&mut self, path: &Path) -> io::Result<()> {
        let bytes = self.content();
        open_plain(path, true)?.write_all(&bytes)
    }
}

/// Opens a regular file for writing from its start, or to its end.
pub(super) fn open_plain(path: &Path, truncate: bool) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NOFOLLOW.bits();
    let mut options = File::options();
    options.write(true).create(true).truncate(truncate);
    options.append(!truncate);
    if !truncate {
        options.truncate(false);
    }
    options
        .custom_flags(i32::try_from(flags).unwrap())
        .open(path)
}

/// The other side, or this one a moment ago, removed or replaced it, or made something else of it.
fn is_taken_away(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    error.kind() == ErrorKind::NotFound
        || matches!(
            errno,
            Some(
                Errno::NOENT
                    | Errno::EXIST
                    | Errno::NOTDIR
                    | Errno::ISDIR
                    | Errno::NOTEMPTY
                    | Errno::INVAL
                    | Errno::LOOP
                    | Errno::NAMETOOLONG
                    | Errno::STALE
                    | Errno::PERM
            )
        )
}

/// Everything below the root but what belongs to the replicator and to the ledger.
pub(super) fn list(root: &Path) -> Listing {
    let mut listing = Listing::default();
    let areas = SIDES.iter().chain(&["both"]);
    let mut todo: Vec<PathBuf> = areas.map(|area| root.join(area)).collect();
    while let Some(dir) = todo.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                todo.push(entry.path());
                listing.dirs.push(entry.path());
            } else {
                listing.files.push(entry.path());
            }
        }
    }
    listing.files.sort();
    listing.dirs.sort();
    listing
}
