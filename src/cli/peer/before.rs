//! What a new site looks at before it asks to be taken in: a token works once, and is not used up by a machine that
//! could not go on with what it got.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::Places;
use crate::cli::exit::{CliError, CliResult, Exit, Failure};
use crate::cli::init::create_state;
use crate::daemon::{doctor, lock};

/// What every filesystem of its own has at its top, and is nobody's state.
const LOST_AND_FOUND: &str = "lost+found";

/// Looks whether everything could be written, whether tree and state folder are nobody's, and the address is free.
pub(super) fn check(places: &Places, listen: Option<SocketAddr>) -> CliResult {
    let folder = places.file.parent().unwrap_or(Path::new("/"));
    writable("the tree", &places.root, "--root")?;
    writable("the folder of the configuration", folder, "--config")?;
    if places.state.symlink_metadata().is_ok() {
        create_state(&places.state).map_err(unused)?;
        fresh(&places.state)?;
    }
    writable("the state folder", &places.state, "--state")?;
    of_nobody(places)?;
    free(listen)
}

/// A tree is that of one site.
fn of_nobody(places: &Places) -> CliResult {
    let root = places.root.display();
    match doctor::is_tree_of_a_site(&places.root, &places.state) {
        Ok(false) => Ok(()),
        Ok(true) => {
            Err(Failure::new(Exit::Failure, format!("cannot join with the tree {root}"))
                .cause(format!("it is the tree of another site, as {root}/.cfs-repl/id says"))
                .hint(format!(
                    "name another one with --root; if that site is gone for good: mv {root}/.cfs-repl \
                     {root}.cfs-repl-before; the invitation was not used"
                ))
                .into())
        }
        Err(error) => Err(unused(error.into())),
    }
}

/// An address on which nobody listens.
fn free(listen: Option<SocketAddr>) -> CliResult {
    let Some(Err(error)) = listen.map(TcpListener::bind) else {
        return Ok(());
    };
    let address = listen.map_or_else(String::new, |listen| listen.to_string());
    Err(Failure::new(Exit::Failure, format!("cannot listen on {address}"))
        .cause(error)
        .hint("name an address of this machine that is free, with --listen; the invitation was not used")
        .into())
}

/// A folder in which nothing is.
fn fresh(state: &Path) -> CliResult {
    let refused = |why: String| {
        let shown = state.display();
        Failure::new(
            Exit::Failure,
            format!("cannot use the state folder {shown}"),
        )
        .cause(why)
        .hint("name another folder with --state; the invitation was not used")
    };
    if let Some(process) = lock::holder_in(state) {
        return Err(refused(format!("a site that runs here uses it (process {process})")).into());
    }
    let entries = fs::read_dir(state).map_err(|error| refused(error.to_string()))?;
    let first = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .find(|name| name != LOST_AND_FOUND);
    match first {
        Some(name) => {
            let name = name.to_string_lossy();
            Err(refused(format!(
                "it is not empty ({name}), and may be that of another site"
            ))
            .into())
        }
        None => Ok(()),
    }
}

/// A folder into which this user may write, or which it may make.
fn writable(what: &str, folder: &Path, flag: &str) -> CliResult {
    let is_there = |path: &&Path| path.symlink_metadata().is_ok();
    let there = folder.ancestors().find(is_there).unwrap_or(folder);
    may_write(there).map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::PermissionDenied {
            Exit::NotPermitted
        } else {
            Exit::Failure
        };
        Failure::new(exit, format!("cannot write into {what} {}", folder.display()))
            .cause(format!("{}: {error}", there.display()))
            .hint(format!(
                "correct owner and mode, run as another user, or name another one with {flag}; the invitation was \
                 not used"
            ))
            .into()
    })
}

fn may_write(folder: &Path) -> io::Result<()> {
    if !fs::metadata(folder)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    // By the user that acts, as the files will be written.
    let access = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(CWD, folder, access, AtFlags::EACCESS)?)
}

/// What fails before anybody was asked leaves the invitation as it was.
fn unused(error: CliError) -> CliError {
    match error {
        CliError::Failed(failure) => {
            let before = failure.hint.as_deref().unwrap_or("correct it");
            let hint = format!("{before}; the invitation was not used");
            failure.hint(hint).into()
        }
        other @ (CliError::Told(_) | CliError::OutputClosed) => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::tree::root::Root;

    /// Checks a machine on which `change` was made; what was said, nothing when all is well.
    fn said(change: impl FnOnce(&Places)) -> String {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        fs::create_dir(path("tree")).unwrap();
        let places = Places {
            file: path("etc/config.toml"),
            state: path("state"),
            root: path("tree"),
            tls: path("tls"),
            name: "iad-2".to_owned(),
        };
        change(&places);
        match check(&places, None) {
            Ok(()) => String::new(),
            Err(CliError::Failed(failure)) => {
                let hint = failure.hint.clone().unwrap_or_default();
                assert!(hint.ends_with("the invitation was not used"), "{hint}");
                format!("{}: {}", failure.message, failure.causes.join(", "))
            }
            Err(error @ (CliError::Told(_) | CliError::OutputClosed)) => panic!("{error:?}"),
        }
    }

    fn make_state(places: &Places) {
        fs::create_dir(&places.state).unwrap();
        fs::set_permissions(&places.state, Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn a_machine_with_room_for_all_of_it_is_let_through() {
        assert_eq!(said(|_| ()), "");
        assert_eq!(said(make_state), "");
        let told = said(|places| {
            make_state(places);
            fs::create_dir(places.state.join(LOST_AND_FOUND)).unwrap();
        });
        assert_eq!(told, "");
    }

    #[test]
    fn the_state_of_another_site_is_not_taken_over() {
        let told = said(|places| {
            make_state(places);
            fs::write(places.state.join("peers.toml"), "").unwrap();
        });
        assert!(told.contains("is not empty (peers.toml)"), "{told}");
        let told = said(|places| {
            make_state(places);
            std::mem::forget(lock::StateLock::take(&places.state).unwrap());
        });
        let process = format!(
            "a site that runs here uses it (process {})",
            std::process::id()
        );
        assert!(told.contains(&process), "{told}");
        let told = said(|places| {
            make_state(places);
            fs::set_permissions(&places.state, Permissions::from_mode(0o755)).unwrap();
        });
        assert!(told.contains("its mode is 0755"), "{told}");
    }

    #[test]
    fn the_tree_of_another_site_and_an_address_that_is_taken_are_told() {
        let told = said(|places| {
            drop(Root::adopt(&places.root, [7; 16]).unwrap());
        });
        assert!(told.contains("it is the tree of another site"), "{told}");
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let Err(CliError::Failed(failure)) = free(Some(address)) else {
            panic!("it is taken");
        };
        assert_eq!(failure.message, format!("cannot listen on {address}"));
        drop(taken);
        free(Some(address)).unwrap();
    }

    #[test]
    fn what_stands_where_a_folder_would_be_is_told() {
        let blocked = |places: &Places| places.file.parent().unwrap().to_owned();
        let told = said(|places| fs::write(blocked(places), "").unwrap());
        assert!(
            told.starts_with("cannot write into the folder of the configuration"),
            "{told}"
        );
        assert!(told.contains("etc: not a directory"), "{told}");
        let told = said(|places| fs::write(&places.state, "").unwrap());
        assert!(told.starts_with("cannot use the state folder"), "{told}");
    }

    #[test]
    fn what_may_not_be_written_is_told() {
        // Everything may be written by root.
        if rustix::process::geteuid().is_root() {
            return;
        }
        let told = said(|places| {
            fs::set_permissions(&places.root, Permissions::from_mode(0o500)).unwrap();
        });
        assert!(told.starts_with("cannot write into the tree"), "{told}");
    }
}
