//! The folder of a demo: new, for its owner alone, and removed without touching what was there before.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::copy::Source;
use crate::cli::exit::{CliError, CliResult, Exit, Failure};
use crate::error::ReplError;

/// Names that are tried below the folder for temporary files before giving up.
const NAMES_MAX: u32 = 1_000;

/// A folder that the demo may fill.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    is_new: bool,
}

impl Folder {
    /// Makes `dir`, or a new folder below the one for temporary files.
    ///
    /// # Errors
    /// When it is there and not empty, cannot be made, or lies inside the source, which would then copy itself.
    pub(super) fn make(dir: Option<&Path>, source: Option<&Source>) -> Result<Self, CliError> {
        let folder = match dir {
            Some(dir) => Self::named(dir)?,
            None => Self::temporary(&std::env::temp_dir())?,
        };
        if let Some(source) = source
            && folder.path.starts_with(source.top())
        {
            let (shown, top) = (folder.path.display().to_string(), source.top().display());
            folder.remove()?;
            return Err(Failure::new(Exit::Usage, format!("cannot use {shown}"))
                .cause(format!("it lies inside {top}, which is to be copied"))
                .hint("name a folder elsewhere with --dir")
                .into());
        }
        Ok(folder)
    }

    /// Absolute, without symbolic links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder, or what was put into one that was there.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub(super) fn remove(self) -> CliResult {
        let path = &self.path;
        let failed = |error| ReplError::io("remove folder", path, error);
        if self.is_new {
            return fs::remove_dir_all(path).map_err(|error| failed(error).into());
        }
        // It was empty, so all of this is ours.
        for name in ["a", "b", "tls", "tls.new"] {
            match fs::remove_dir_all(path.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(failed)?,
            }
        }
        Ok(())
    }

    fn named(dir: &Path) -> Result<Self, CliError> {
        let made = create(dir);
        let is_new = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            made => {
                made.map_err(|error| ReplError::io("create folder", dir, error))?;
                true
            }
        };
        let listed = fs::read_dir(dir).map_err(|error| ReplError::io("list folder", dir, error));
        if listed?.next().is_some() {
            let shown = dir.display();
            return Err(Failure::new(Exit::Usage, format!("cannot use {shown}"))
                .cause("it is not empty, and the demo never mixes with what is there")
                .hint("name a folder that is empty or missing")
                .into());
        }
        Self::real(dir, is_new)
    }

    fn temporary(parent: &Path) -> Result<Self, CliError> {
        let id = std::process::id();
        for n in 0..NAMES_MAX {
            let dir = parent.join(format!("cfs-repl-demo-{id}-{n}"));
            match create(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    made.map_err(|error| ReplError::io("create folder", &dir, error))?;
                    return Self::real(&dir, true);
                }
            }
        }
        let exists = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(ReplError::io("find a new name in", parent, exists).into())
    }

    fn real(dir: &Path, is_new: bool) -> Result<Self, CliError> {
        let path = fs::canonicalize(dir).map_err(|e| ReplError::io("find folder", dir, e))?;
        Ok(Self { path, is_new })
    }
}

fn create(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), b"x").unwrap();
        assert!(Folder::make(Some(dir.path()), None).is_err());
        assert!(dir.path().join("mine").exists());
    }

    #[test]
    fn only_what_the_demo_made_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(Some(dir.path()), None).unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("came-later"), b"x").unwrap();
        folder.remove().unwrap();
        assert!(!dir.path().join("a").exists() && dir.path().join("came-later").exists());
        let new = dir.path().join("new");
        Folder::make(Some(&new), None).unwrap().remove().unwrap();
        assert!(!new.exists());
    }

    #[test]
    fn a_folder_inside_the_source_is_refused_and_not_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::find(Some(dir.path())).unwrap().unwrap();
        let inside = dir.path().join("inside");
        assert!(Folder::make(Some(&inside), Some(&source)).is_err());
        assert!(!inside.exists());
    }
}
