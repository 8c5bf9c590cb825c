//! What users do to a tree: everything by the system's own calls, without a thought for who else looks.
//!
//! Names are few, so that sites meet at them. Every file that is written gets bytes that nobody wrote before, and what
//! an operation replaces or removes is told to the ledger, for its user saw it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::ledger::Ledger;
use crate::rng::Rng;

/// Names of files and directories alike, so that the two meet as well.
const NAMES: [&str; 7] = ["a", "b", "c", "d", "e.txt", "f.txt", "g"];
/// A file that nobody touches: removals are not believed of a site whose root is empty.
pub(super) const ANCHOR: &str = "anchor";
/// Deepest directory in which users work.
const DEPTH_MAX: usize = 4;

/// A user of one tree.
pub(super) struct User<'a> {
    pub(super) site: u64,
    pub(super) tree: &'a Path,
    pub(super) ledger: &'a mut Ledger,
    pub(super) rng: &'a mut Rng,
}

impl User<'_> {
    /// One operation; what was done, for the story. None: it did not go, as happens to users.
    pub(super) fn act(&mut self) -> Option<String> {
        let (dirs, files) = self.look();
        let dir = self.rng.pick(&dirs)?.clone();
        let at = dir.join(self.rng.pick(&NAMES)?);
        let file = self.rng.pick(&files).cloned();
        match self.rng.below(26) {
            0..=4 => self.write(&at),
            5..=6 => self.write(&file?),
            7..=8 => self.save_over(&file?),
            9 => self.append(&file?),
            10..=12 => self.done("mkdir", &at, None, fs::create_dir(&at)),
            13 => self.make_deep(&at),
            14..=15 => self.rename(&file?, &at),
            16..=17 => {
                let from = self.rng.pick(&dirs)?.clone();
                self.rename_dir(&from, &at)
            }
            18 => {
                let other = self.rng.pick(&files)?.clone();
                self.rename(&file?, &other)
            }
            19 => self.link(&file?, &at),
            20 => self.remove(&file?),
            21 => self.remove_all(&dir),
            22 => self.change_mode(&file?),
            23 => self.done("symlink", &at, None, symlink("some/where", &at)),
            24 => {
                let other = self.rng.pick(&files)?.clone();
                self.swap(&file?, &other)
            }
            _ => self.set_xattr(&file?),
        }
    }

    /// Directories and files that are there.
    fn look(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let (mut dirs, mut files) = (vec![self.tree.to_owned()], Vec::new());
        let mut at = 0;
        while let Some(dir) = dirs.get(at).cloned() {
            at += 1;
            let mut names: Vec<PathBuf> = fs::read_dir(&dir)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| !path.ends_with(".cfs-repl") && !path.ends_with(ANCHOR))
                .collect();
            names.sort();
            for path in names {
                let kind = fs::symlink_metadata(&path).unwrap().file_type();
                let depth = path.strip_prefix(self.tree).unwrap().components().count();
                if kind.is_dir() && depth < DEPTH_MAX {
                    dirs.push(path);
                } else if !kind.is_dir() {
                    files.push(path);
                }
            }
        }
        (dirs, files)
    }

    fn shown<'p>(&self, path: &'p Path) -> std::path::Display<'p> {
        path.strip_prefix(self.tree).unwrap().display()
    }

    fn done(
        &self,
        what: &str,
        at: &Path,
        to: Option<&Path>,
        result: std::io::Result<()>,
    ) -> Option<String> {
        result.ok()?;
        let to = to.map_or(String::new(), |to| format!(" {}", self.shown(to)));
        Some(format!("{what} {}{to}", self.shown(at)))
    }

    fn fresh(&mut self) -> Vec<u8> {
        let token = self.ledger.fresh(self.site);
        // Some do not fit into an entry and travel as chunks.
        let repeats = if self.rng.one_in(6) { 4_000 } else { 1 };
        token.repeat(repeats).into_bytes()
    }

    fn write(&mut self, at: &Path) -> Option<String> {
        if is_link(at) {
            return None;
        }
        let (bytes, before) = (self.fresh(), fs::read(at).ok());
        fs::write(at, &bytes).ok()?;
        self.ledger.replaced(before);
        self.done("write", at, None, Ok(()))
    }

    fn append(&mut self, at: &Path) -> Option<String> {
        if is_link(at) {
            return None;
        }
        let (bytes, before) = (self.fresh(), fs::read(at).ok());
        let mut file = OpenOptions::new().append(true).open(at).ok()?;
        file.write_all(&bytes).ok()?;
        self.ledger.replaced(before);
        self.done("append", at, None, Ok(()))
    }

    fn save_over(&mut self, at: &Path) -> Option<String> {
        let (bytes, before) = (self.fresh(), fs::read(at).ok());
        let temporary = at.with_file_name("saving.tmp");
        fs::write(&temporary, &bytes).ok()?;
        fs::rename(&temporary, at).ok()?;
        self.ledger.replaced(before.filter(|_| !is_link(at)));
        self.done("save", at, None, Ok(()))
    }

    fn make_deep(&mut self, at: &Path) -> Option<String> {
        let deep = at.join("c/d");
        fs::create_dir_all(&deep).ok()?;
        for name in ["a", "b"] {
            self.write(&deep.join(name));
        }
        self.done("mkdir -p", &deep, None, Ok(()))
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Option<String> {
        // Two names of one file: nothing happens, and nothing is replaced.
        let before = (!is_same(from, to)).then(|| fs::read(to).ok()).flatten();
        let done = fs::rename(from, to);
        if done.is_ok() {
            self.ledger.replaced(before);
        }
        self.done("mv", from, Some(to), done)
    }

    fn rename_dir(&mut self, from: &Path, to: &Path) -> Option<String> {
        if from == self.tree {
            return None;
        }
        self.done("mv", from, Some(to), fs::rename(from, to))
    }

    fn link(&mut self, from: &Path, to: &Path) -> Option<String> {
        if is_link(from) {
            return None;
        }
        self.done("ln", from, Some(to), fs::hard_link(from, to))
    }

    fn remove(&mut self, at: &Path) -> Option<String> {
        let before = fs::read(at).ok();
        let done = fs::remove_file(at);
        self.ledger.replaced(before);
        self.done("rm", at, None, done)
    }

    fn remove_all(&mut self, dir: &Path) -> Option<String> {
        if dir == self.tree {
            return None;
        }
        let mut todo = vec![dir.to_owned()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(&dir).ok()? {
                let path = entry.ok()?.path();
                if path.is_dir() && !is_link(&path) {
                    todo.push(path);
                } else if !is_link(&path) {
                    self.ledger.replaced(fs::read(&path).ok());
                }
            }
        }
        self.done("rm -r", dir, None, fs::remove_dir_all(dir))
    }

    fn change_mode(&mut self, at: &Path) -> Option<String> {
        if is_link(at) {
            return None;
        }
        let mode = 0o600 | u32::try_from(self.rng.below(0o100)).unwrap();
        let done = fs::set_permissions(at, fs::Permissions::from_mode(mode));
        self.done("chmod", at, None, done)
    }

    fn swap(&mut self, one: &Path, other: &Path) -> Option<String> {
        if one == other || is_same(one, other) {
            return None;
        }
        let temporary = one.with_file_name("swapping.tmp");
        fs::rename(one, &temporary).ok()?;
        fs::rename(other, one).ok()?;
        fs::rename(&temporary, other).ok()?;
        self.done("swap", one, Some(other), Ok(()))
    }

    fn set_xattr(&mut self, at: &Path) -> Option<String> {
        if is_link(at) {
            return None;
        }
        let value = self.rng.below(100).to_string();
        let flags = rustix::fs::XattrFlags::empty();
        let done = rustix::fs::setxattr(at, "user.word", value.as_bytes(), flags);
        self.done("setxattr", at, None, done.map_err(Into::into))
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_symlink())
}

fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::symlink_metadata(one), fs::symlink_metadata(other)) {
        (Ok(one), Ok(other)) => one.ino() == other.ino(),
        _ => false,
    }
}
