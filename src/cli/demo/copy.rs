//! Fills a tree with a copy of a directory: content, holes, modes, times, user attributes, symbolic and hard links.
//!
//! The source is only read. Devices, sockets and fifos are counted and left out, and set-uid bits are not copied: a
//! demo makes nobody a way into the machine.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::cli::exit::{CliError, Exit, Failure};
use crate::cli::lab::interrupt::Interrupt;
use crate::error::{ReplError, Result};

/// Names between two looks for Ctrl-C.
const NAMES_PER_LOOK: u64 = 100;
/// Time of such a look.
const LOOK: Duration = Duration::from_millis(1);
/// Bits of a mode that are copied.
const MODE: u32 = 0o777;
/// Largest list of names and largest value that Linux returns (XATTR_LIST_MAX, XATTR_SIZE_MAX).
const XATTR_BYTES_MAX: usize = 64 * 1024;

/// A directory to copy.
#[derive(Debug)]
pub(super) struct Source {
    top: PathBuf,
    /// Names at its top that are left out.
    without: &'static [&'static str],
}

impl Source {
    /// The directory that was named, or the checkout that this is run in; none when there is neither.
    ///
    /// # Errors
    /// When the named directory is not there.
    pub(super) fn find(named: Option<&Path>) -> Result<Option<Self>, CliError> {
        if let Some(named) = named {
            let top = fs::canonicalize(named)
                .map_err(|error| ReplError::io("find directory", named, error))?;
            if !top.is_dir() {
                let shown = named.display();
                return Err(Failure::new(Exit::Usage, format!("cannot copy {shown}"))
                    .cause("it is not a directory")
                    .hint("name a directory with --from")
                    .into());
            }
            let without = &[".cfs-repl"];
            return Ok(Some(Self { top, without }));
        }
        // Cargo sets the variable for what it runs.
        let start = std::env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .or_else(|| std::env::current_dir().ok());
        let top = start.and_then(|start| {
            let mut above = start.ancestors();
            let top = above.find(|dir| dir.join("Cargo.toml").is_file())?;
            fs::canonicalize(top).ok()
        });
        let without = &[".cfs-repl", ".git", "target"];
        Ok(top.map(|top| Self { top, without }))
    }

    /// Absolute, without symbolic links.
    pub(super) fn top(&self) -> &Path {
        &self.top
    }
}

/// What was copied.
#[derive(Debug, Default)]
pub(super) struct Copied {
    names: u64,
    bytes: u64,
    left_out: u64,
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.bytes / 100_000;
        write!(
            f,
            "{} names, {}.{} MB",
            self.names,
            tenths / 10,
            tenths % 10
        )?;
        if self.left_out > 0 {
            write!(f, " ({} special files left out)", self.left_out)?;
        }
        Ok(())
    }
}

/// Copies `source` into the directory `to`, which is there.
///
/// # Errors
/// When something cannot be read or written, is there already, or a signal comes.
pub(super) fn copy(
    source: &Source,
    to: &Path,
    interrupt: &mut Interrupt,
) -> Result<Copied, CliError> {
    let mut copier = Copier::default();
    let mut todo = vec![PathBuf::new()];
    let mut modes = Vec::new();
    while let Some(dir) = todo.pop() {
        let from = source.top.join(&dir);
        let failed = |error| ReplError::io("list directory", &from, error);
        for entry in fs::read_dir(&from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let is_top = dir.as_os_str().is_empty();
            if is_top && source.without.iter().any(|left_out| name == *left_out) {
                continue;
            }
            let below = dir.join(&name);
            let (from, to) = (entry.path(), to.join(&below));
            let stat = entry.metadata();
            let stat = stat.map_err(|error| ReplError::io("look at", &from, error))?;
            let copied = copier.entry(&from, &to, &stat);
            copied.map_err(|error| ReplError::io("copy", &from, error))?;
            if stat.is_dir() {
                todo.push(below);
                modes.push((to, stat.mode() & MODE));
            }
            if copier.done.names.is_multiple_of(NAMES_PER_LOOK) {
                interrupt.pause(LOOK)?;
            }
        }
    }
    // Last, and from the bottom up: a directory without the right to write could not have been filled.
    for (dir, mode) in modes.iter().rev() {
        let set = fs::set_permissions(dir, Permissions::from_mode(*mode));
        set.map_err(|error| ReplError::io("set the mode of", dir, error))?;
    }
    Ok(copier.done)
}

#[derive(Default)]
struct Copier {
    done: Copied,
    /// Files with several names, by device and inode of the original: the first copy.
    linked: BTreeMap<(u64, u64), PathBuf>,
}

impl Copier {
    fn entry(&mut self, from: &Path, to: &Path, stat: &Metadata) -> io::Result<()> {
        if stat.is_dir() {
            fs::create_dir(to)?;
            copy_xattrs(from, to)?;
        } else if stat.is_symlink() {
            symlink(fs::read_link(from)?, to)?;
        } else if stat.is_file() {
            self.file(from, to, stat)?;
        } else {
            self.done.left_out += 1;
            return Ok(());
        }
        self.done.names += 1;
        Ok(())
    }

    fn file(&mut self, from: &Path, to: &Path, stat: &Metadata) -> io::Result<()> {
        let id = (stat.dev(), stat.ino());
        if let Some(first) = self.linked.get(&id) {
            return fs::hard_link(first, to);
        }
        if stat.nlink() > 1 {
            self.linked.insert(id, to.to_owned());
        }
        let mut output = File::create_new(to)?;
        self.done.bytes += copy_data(&mut File::open(from)?, &mut output)?;
        copy_xattrs(from, to)?;
        output.set_permissions(Permissions::from_mode(stat.mode() & MODE))?;
        output.set_modified(stat.modified()?)
    }
}

/// Copies what is data and leaves holes as holes; returns the bytes of data.
fn copy_data(from: &mut File, to: &mut File) -> io::Result<u64> {
    let mut end = 0;
    let mut copied = 0;
    loop {
        let start = match rustix::fs::seek(&*from, rustix::fs::SeekFrom::Data(end)) {
            Ok(start) => start,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        end = rustix::fs::seek(&*from, rustix::fs::SeekFrom::Hole(start))?;
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        let length = io::copy(&mut Read::by_ref(from).take(end - start), to)?;
        copied += length;
        // It shrank meanwhile.
        if length < end - start {
            break;
        }
    }
    to.flush()?;
    let size = from.metadata()?.len();
    to.set_len(size)?;
    Ok(copied)
}

/// Copies the attributes in `user.`; where one side's filesystem has none, none are copied.
fn copy_xattrs(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = vec![0; XATTR_BYTES_MAX];
    let length = match rustix::fs::llistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let names = names.get(..length).unwrap_or_default();
    for name in names.split(|byte| *byte == 0) {
        if !name.starts_with(b"user.") {
            continue;
        }
        let mut value = vec![0; XATTR_BYTES_MAX];
        let length = rustix::fs::lgetxattr(from, name, &mut value[..])?;
        value.truncate(length);
        match rustix::fs::lsetxattr(to, name, &value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::compare::compare;

    #[test]
    fn a_copy_is_equal_to_its_source_in_everything_that_is_replicated() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let top = from.path();
        fs::create_dir_all(top.join("d/empty")).unwrap();
        fs::write(top.join("d/f"), b"bytes").unwrap();
        fs::hard_link(top.join("d/f"), top.join("link")).unwrap();
        let sparse = File::create(top.join("sparse")).unwrap();
        sparse.set_len(8 << 20).unwrap();
        (&sparse).write_all(&[1; 4_096]).unwrap();
        let at = XattrFlags::empty();
        rustix::fs::lsetxattr(top.join("d"), "user.k", b"v", at).unwrap();
        fs::set_permissions(top.join("d"), Permissions::from_mode(0o500)).unwrap();
        let source = Source::find(Some(top)).unwrap().unwrap();
        let mut interrupt = Interrupt::new().unwrap();
        let copied = copy(&source, to.path(), &mut interrupt).unwrap();
        assert_eq!(copied.names, 5);
        assert_eq!(copied.bytes, 5 + 4_096);
        let found = compare(top, to.path(), 10).unwrap();
        assert!(found.is_equal(), "{found}");
        for dir in [top, to.path()] {
            fs::set_permissions(dir.join("d"), Permissions::from_mode(0o700)).unwrap();
        }
    }

    #[test]
    fn the_checkout_is_copied_without_its_history_and_what_was_built() {
        let source = Source::find(None).unwrap().unwrap();
        assert_eq!(source.top(), Path::new(env!("CARGO_MANIFEST_DIR")));
        assert!(source.without.contains(&".git") && source.without.contains(&"target"));
    }

    #[test]
    fn a_source_that_is_missing_or_no_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Source::find(Some(&dir.path().join("gone"))).is_err());
        fs::write(dir.path().join("file"), b"").unwrap();
        assert!(Source::find(Some(&dir.path().join("file"))).is_err());
    }
}
