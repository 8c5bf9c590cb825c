//! Whether a tree holds anything that could clash with another one, or is marked as one that is kept in step: asked
//! once, before a site journals for the first time.
//!
//! Directories of one name are merged, so only what is no directory counts. What cannot be listed is not looked into:
//! it cannot be replicated either.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::policy::Policy;
use super::root::ID_FILE;
use crate::error::{ReplError, Result};
use crate::journal::op::{Name, RESERVED_NAME};

/// Where the marker of a tree is that is kept in step, or was.
#[must_use]
pub fn marker_of(tree: &Path) -> PathBuf {
    let reserved = std::ffi::OsStr::from_bytes(RESERVED_NAME);
    tree.join(reserved).join(ID_FILE)
}

/// The first file or symbolic link found below `root` that is not excluded and on the same filesystem.
///
/// # Errors
/// When the root itself cannot be listed.
pub fn first_file(root: &Path, policy: &Policy) -> Result<Option<PathBuf>> {
    let mut found = None;
    visit(root, policy, &mut |path, kind| {
        if kind.is_file() || kind.is_symlink() {
            found = Some(path.to_owned());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Shows `look` every name below `root` that is not excluded and on the same filesystem, until it breaks off.
///
/// # Errors
/// When the root itself cannot be listed.
pub fn visit(
    root: &Path,
    policy: &Policy,
    look: &mut dyn FnMut(&Path, fs::FileType) -> ControlFlow<()>,
) -> Result<()> {
    let failed = |e| ReplError::io("list", root, e);
    let device = fs::metadata(root).map_err(failed)?.dev();
    fs::read_dir(root).map_err(failed)?;
    let mut below: Vec<Vec<Name>> = vec![Vec::new()];
    while let Some(dir) = below.pop() {
        let mut path = root.to_owned();
        path.extend(
            dir.iter()
                .map(|name| std::ffi::OsStr::from_bytes(name.as_bytes())),
        );
        let Ok(entries) = fs::read_dir(&path) else {
            continue;
        };
        for entry in entries.flatten() {
            // A reserved name is none.
            let Ok(name) = Name::new(entry.file_name().as_bytes().to_vec()) else {
                continue;
            };
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if policy.excludes(&dir, &name, kind.is_dir()) {
                continue;
            }
            let same_device = || entry.metadata().is_ok_and(|m| m.dev() == device);
            if kind.is_dir() && !same_device() {
                continue;
            }
            if look(&entry.path(), kind).is_break() {
                return Ok(());
            }
            if kind.is_dir() {
                let mut inner = dir.clone();
                inner.push(name);
                below.push(inner);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_clash_counts() {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        let policy = Policy::excluding(&["*.tmp", "cache/"]).unwrap();
        let found = || first_file(tree.path(), &policy).unwrap();
        for dir in [".cfs-repl", "lost+found", "a/b", "cache"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        for left_alone in [".cfs-repl/id", "a/x.tmp", "cache/f"] {
            fs::write(at(left_alone), b"x").unwrap();
        }
        assert_eq!(found(), None);
        std::os::unix::fs::symlink("nowhere", at("a/b/link")).unwrap();
        assert_eq!(found(), Some(at("a/b/link")));
        fs::remove_file(at("a/b/link")).unwrap();
        fs::write(at("a/b/f"), b"").unwrap();
        assert_eq!(found(), Some(at("a/b/f")));
        assert!(first_file(&at("gone"), &policy).is_err());
    }
}
