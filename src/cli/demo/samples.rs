//! The files of a demo that no checkout has: one of each kind that is easily lost on the way, and the edits to them.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::error::{ReplError, Result};

/// The folder of the samples at the top of the tree.
const FOLDER: &str = "cfs-repl-demo";
/// Size of the file of random bytes.
const LARGE_BYTES: usize = 20 << 20;
/// Size of the sparse file, nearly all of which is a hole.
const SPARSE_BYTES: u64 = 64 << 20;
/// Data at either end of the sparse file.
const SPARSE_END_BYTES: usize = 1 << 20;
/// A name that is no UTF-8.
const RAW_NAME: &[u8] = b"not-utf8-\xff\xfe.txt";
/// The file that both sides edit.
const SHARED: &str = "shared.txt";

/// The samples of one site's tree.
#[derive(Debug)]
pub(super) struct Samples {
    dir: PathBuf,
}

impl Samples {
    /// Those of `tree`.
    pub(super) fn below(tree: &Path) -> Self {
        Self {
            dir: tree.join(FOLDER),
        }
    }

    /// Makes all of them; returns what this filesystem does not take.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn make(&self) -> Result<Option<&'static str>> {
        self.within(Self::make_all)
    }

    fn make_all(&self) -> io::Result<Option<&'static str>> {
        fs::create_dir(&self.dir)?;
        for folder in ["folder/deeper", "empty", "burst"] {
            fs::create_dir_all(self.dir.join(folder))?;
        }
        for name in ["notes.txt", "old.txt", SHARED, "folder/inner.txt"] {
            fs::write(self.dir.join(name), format!("{name}, as it was made\n"))?;
        }
        fs::write(self.dir.join("folder/deeper/leaf.txt"), "a leaf\n")?;
        fs::write(self.dir.join("script.sh"), "#!/bin/sh\necho in step\n")?;
        fs::set_permissions(self.dir.join("script.sh"), Permissions::from_mode(0o640))?;
        fs::write(
            self.dir.join("random.bin"),
            random_bytes(b"large", LARGE_BYTES),
        )?;
        fs::write(self.dir.join(OsStr::from_bytes(RAW_NAME)), "raw bytes\n")?;
        fs::hard_link(self.dir.join("notes.txt"), self.dir.join("notes-link.txt"))?;
        symlink("notes.txt", self.dir.join("notes-symlink.txt"))?;
        self.make_sparse()?;
        let at = XattrFlags::empty();
        let old = self.dir.join("folder/inner.txt");
        match rustix::fs::setxattr(old, "user.cfs-repl.demo", b"kept", at) {
            Ok(()) => Ok(None),
            Err(Errno::OPNOTSUPP) => Ok(Some("extended attributes, which this filesystem lacks")),
            Err(error) => Err(error.into()),
        }
    }

    fn make_sparse(&self) -> io::Result<()> {
        let mut file = File::create_new(self.dir.join("sparse.img"))?;
        let data = random_bytes(b"sparse", SPARSE_END_BYTES);
        file.write_all(&data)?;
        file.seek(SeekFrom::Start(SPARSE_BYTES - data.len() as u64))?;
        file.write_all(&data)
    }

    /// Creates, appends to a file with two names, deletes.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn edit_at_a(&self) -> Result<()> {
        self.within(|this| {
            fs::write(this.dir.join("from-a.txt"), "created at site-a\n")?;
            let notes = this.dir.join("notes.txt");
            let mut notes = OpenOptions::new().append(true).open(notes)?;
            notes.write_all(b"one more line, by site-a\n")?;
            fs::remove_file(this.dir.join("old.txt"))
        })
    }

    /// Creates, renames a directory with what is in it, changes a mode.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn edit_at_b(&self) -> Result<()> {
        self.within(|this| {
            fs::write(this.dir.join("from-b.txt"), "created at site-b\n")?;
            fs::rename(this.dir.join("folder"), this.dir.join("renamed-at-b"))?;
            fs::set_permissions(this.dir.join("script.sh"), Permissions::from_mode(0o755))
        })
    }

    /// The file of the conflict.
    pub(super) fn shared_path(&self) -> PathBuf {
        self.dir.join(SHARED)
    }

    /// Edits the file of the conflict on behalf of `site`.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn write_shared(&self, site: &str) -> Result<()> {
        let text = format!("edited at {site} while site-b was down\n");
        self.within(|this| fs::write(this.shared_path(), text))
    }

    /// What stands in the file of the conflict.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn shared(&self) -> Result<String> {
        self.within(|this| fs::read_to_string(this.shared_path()))
    }

    /// Writes the `n`th file of the burst.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn burst_file(&self, n: usize) -> Result<()> {
        let path = self.dir.join(format!("burst/{n:03}.txt"));
        self.within(|_| fs::write(path, format!("file {n} of a burst\n")))
    }

    fn within<T>(&self, work: impl FnOnce(&Self) -> io::Result<T>) -> Result<T> {
        work(self).map_err(|error| ReplError::io("work in", &self.dir, error))
    }
}

/// Bytes that do not compress and are the same every time.
fn random_bytes(seed: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(seed).finalize_xof().fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_samples_are_of_every_kind_that_is_promised() {
        let tree = tempfile::tempdir().unwrap();
        let samples = Samples::below(tree.path());
        assert_eq!(samples.make().unwrap(), None);
        let stat = |name: &str| fs::symlink_metadata(samples.dir.join(name)).unwrap();
        assert_eq!(stat("random.bin").len(), 20 * 1024 * 1024);
        assert_eq!(stat("notes.txt").ino(), stat("notes-link.txt").ino());
        assert!(stat("notes-symlink.txt").is_symlink());
        let sparse = stat("sparse.img");
        assert_eq!(sparse.len(), SPARSE_BYTES);
        assert!(sparse.blocks() * 512 < SPARSE_BYTES / 16, "it has no hole");
        let is_raw =
            |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().to_str().is_none();
        assert!(fs::read_dir(&samples.dir).unwrap().any(is_raw));
        assert_eq!(fs::read_dir(samples.dir.join("empty")).unwrap().count(), 0);
    }

    #[test]
    fn every_edit_finds_what_it_edits() {
        let tree = tempfile::tempdir().unwrap();
        let samples = Samples::below(tree.path());
        samples.make().unwrap();
        samples.edit_at_a().unwrap();
        samples.edit_at_b().unwrap();
        samples.write_shared("site-b").unwrap();
        assert!(samples.shared().unwrap().contains("site-b"));
        samples.burst_file(0).unwrap();
        assert!(samples.dir.join("renamed-at-b/deeper/leaf.txt").exists());
        assert!(!samples.dir.join("old.txt").exists());
    }
}
