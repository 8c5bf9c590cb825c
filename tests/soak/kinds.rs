//! The kinds of operations, as data: how often, and how each is done.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::work::{Worker, open_plain};

/// One kind of operation.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// How often, against the others.
    pub(super) weight: usize,
    pub(super) run: fn(&mut Worker) -> io::Result<()>,
}

const fn kind(name: &'static str, weight: usize, run: fn(&mut Worker) -> io::Result<()>) -> Kind {
    Kind { name, weight, run }
}

/// All kinds.
pub(super) const KINDS: &[Kind] = &[
    kind("create", 10, create),
    kind("overwrite in place", 8, overwrite),
    kind("append", 6, append),
    kind("truncate", 3, truncate),
    kind("atomic save", 10, atomic_save),
    kind("sed -i", 6, sed),
    kind("chmod", 4, chmod),
    kind("xattr", 4, xattr),
    kind("mkdir", 6, mkdir),
    kind("rmdir", 3, rmdir),
    kind("rm", 5, remove),
    kind("mv file", 5, move_file),
    kind("mv file over", 3, move_over),
    kind("mv dir", 4, move_dir),
    kind("symlink", 3, make_symlink),
    kind("link", 3, link),
    kind("edit of a link", 2, edit_link),
    kind("cp -al", 1, copy_linked),
    kind("untar", 1, untar),
    kind("mirror", 1, mirror),
    kind("rm -rf", 2, remove_all),
    kind("rm -rf and the same again", 2, again),
    kind("same name at both", 4, same_name),
];

fn create(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_path("f");
    let bytes = worker.content();
    fs::File::create_new(path)?.write_all(&bytes)
}

fn overwrite(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_file()?;
    worker.write_in_place(&path)
}

fn append(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_file()?;
    let bytes = worker.content();
    open_plain(&path, false)?.write_all(&bytes)
}

fn truncate(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_file()?;
    let file = open_plain(&path, false)?;
    let size = file.metadata()?.len();
    file.set_len(worker.rng.below(size + 1))
}

/// A new file beside it, synced or not, and renamed over it: as editors save.
fn atomic_save(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_file()?;
    let bytes = worker.content();
    save_over(worker, &path, &bytes)
}

fn save_over(worker: &mut Worker, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let number = worker.rng.below(1_000_000);
    let temporary = path.with_file_name(format!(".save-{}-{number}", worker.side));
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    if worker.rng.one_in(4) {
        file.sync_all()?;
    }
    drop(file);
    let renamed = fs::rename(&temporary, path);
    if renamed.is_err() {
        fs::remove_file(&temporary).ok();
    }
    renamed
}

fn sed(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_file()?;
    if !path.symlink_metadata()?.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let number = worker.rng.below(1_000_000);
    if worker.programs().sed {
        let script = format!("1s/^/{} edits {number} /", worker.side);
        return call(Command::new("sed").args(["-i", &script]).arg(&path));
    }
    let mut bytes = format!("{} edits {number} ", worker.side).into_bytes();
    bytes.extend(fs::read(&path)?);
    save_over(worker, &path, &bytes)
}

fn chmod(worker: &mut Worker) -> io::Result<()> {
    let path = if worker.rng.one_in(4) {
        worker.a_dir()
    } else {
        worker.a_file()?
    };
    if path.symlink_metadata()?.is_symlink() {
        return Err(ErrorKind::NotFound.into());
    }
    let modes = [0o600, 0o640, 0o644, 0o700, 0o755];
    let mode = *worker.rng.pick(&modes).unwrap();
    let mode = if path.is_dir() { mode | 0o700 } else { mode };
    fs::set_permissions(&path, Permissions::from_mode(mode))
}

fn xattr(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_file()?;
    if !path.symlink_metadata()?.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let name = format!("user.x{}", worker.rng.below(3));
    if worker.rng.one_in(3) {
        return match rustix::fs::lremovexattr(&path, &name) {
            Ok(()) | Err(rustix::io::Errno::NODATA) => Ok(()),
            Err(errno) => Err(errno.into()),
        };
    }
    let mut value = worker.content();
    value.truncate(200);
    rustix::fs::lsetxattr(&path, &name, &value, rustix::fs::XattrFlags::empty())?;
    Ok(())
}

fn mkdir(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_path("d");
    fs::create_dir(path)
}

fn rmdir(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_dir();
    fs::remove_dir(path)
}

fn remove(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_file()?;
    fs::remove_file(path)
}

fn move_file(worker: &mut Worker) -> io::Result<()> {
    let (from, to) = (worker.a_file()?, worker.a_path("f"));
    rename_to_free(&from, &to)
}

fn move_over(worker: &mut Worker) -> io::Result<()> {
    let (from, to) = (worker.a_file()?, worker.a_file()?);
    fs::rename(from, to)
}

fn move_dir(worker: &mut Worker) -> io::Result<()> {
    let (from, to) = (worker.a_dir(), worker.a_path("d"));
    if from.parent() == Some(&worker.root) {
        return Err(ErrorKind::NotFound.into());
    }
    rename_to_free(&from, &to)
}

fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

fn make_symlink(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_path("s");
    let target = format!("../f{}", worker.rng.below(8));
    symlink(target, path)
}

fn link(worker: &mut Worker) -> io::Result<()> {
    let (from, to) = (worker.a_file()?, worker.a_path("l"));
    fs::hard_link(from, to)
}

/// In place, so that every name of the file changes.
fn edit_link(worker: &mut Worker) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let linked = worker.listing.files.iter().filter(|path| {
        let stat = path.symlink_metadata();
        stat.is_ok_and(|stat| stat.is_file() && stat.nlink() > 1)
    });
    let linked: Vec<PathBuf> = linked.cloned().collect();
    let path = worker.rng.pick(&linked).cloned();
    let path = path.ok_or(ErrorKind::NotFound)?;
    worker.write_in_place(&path)
}

/// A copy of a small directory in which every file is a hard link, and an edit of one of them.
fn copy_linked(worker: &mut Worker) -> io::Result<()> {
    let (from, to) = (worker.a_dir(), worker.a_path("c"));
    let inside = worker
        .listing
        .files
        .iter()
        .filter(|file| file.starts_with(&from))
        .count();
    if inside > 60 || to.starts_with(&from) || to.exists() {
        return Err(ErrorKind::NotFound.into());
    }
    if worker.programs().cp {
        call(Command::new("cp").arg("-al").arg(&from).arg(&to))?;
    } else {
        link_all(&from, &to)?;
    }
    let copied = super::work::list(&worker.root).files;
    let copied: Vec<PathBuf> = copied
        .into_iter()
        .filter(|file| file.starts_with(&to))
        .collect();
    match worker.rng.pick(&copied).cloned() {
        Some(path) => worker.write_in_place(&path),
        None => Ok(()),
    }
}

fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link_all(&entry.path(), &target)?;
        } else {
            fs::hard_link(entry.path(), target)?;
        }
    }
    Ok(())
}

fn untar(worker: &mut Worker) -> io::Result<()> {
    let to = worker.a_path("t");
    fs::create_dir_all(&to)?;
    if worker.programs().tar {
        let tarball = worker.material.join("tarball.tar");
        return call(
            Command::new("tar")
                .arg("-xf")
                .arg(tarball)
                .arg("-C")
                .arg(&to),
        );
    }
    copy_all(&worker.material.join("source"), &to)
}

/// What `rsync -a --delete` does: every file by a temporary one and a rename, its time set, the rest removed.
fn mirror(worker: &mut Worker) -> io::Result<()> {
    let to = worker.a_path("m");
    let which = worker.rng.below(2);
    let from = worker.material.join(format!("mirror{which}"));
    fs::create_dir_all(&to)?;
    if worker.programs().rsync {
        let mut source = from.into_os_string();
        source.push("/");
        return call(
            Command::new("rsync")
                .args(["-a", "--delete"])
                .arg(source)
                .arg(&to),
        );
    }
    mirror_by_hand(&from, &to)
}

fn mirror_by_hand(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if from.join(entry.file_name()).symlink_metadata().is_err() {
            remove_any(&entry.path())?;
        }
    }
    copy_all(from, to)
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &target)?;
            continue;
        }
        let temporary = to.join(format!(".{}.tmp", entry.file_name().to_string_lossy()));
        fs::copy(entry.path(), &temporary)?;
        let time = entry.metadata()?.modified()?;
        fs::File::options()
            .write(true)
            .open(&temporary)?
            .set_modified(time)?;
        fs::rename(&temporary, target)?;
    }
    Ok(())
}

fn remove_all(worker: &mut Worker) -> io::Result<()> {
    let path = worker.a_dir();
    if path.parent() == Some(&worker.root) && !worker.rng.one_in(4) {
        return Err(ErrorKind::NotFound.into());
    }
    fs::remove_dir_all(path)
}

fn remove_any(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// Removed with all its names, which come back at once with other bytes: the kernel uses inodes again.
fn again(worker: &mut Worker) -> io::Result<()> {
    let dir = worker.a_dir();
    let inside = worker
        .listing
        .files
        .iter()
        .filter(|file| file.starts_with(&dir));
    let inside: Vec<PathBuf> = inside.take(20).cloned().collect();
    fs::remove_dir_all(&dir)?;
    for file in inside {
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        let bytes = worker.content();
        fs::write(&file, bytes)?;
    }
    Ok(())
}

/// A directory and a file in it that the other side makes as well, at about the same time.
fn same_name(worker: &mut Worker) -> io::Result<()> {
    let both = worker.root.join("both");
    let dir = both.join(format!("n{}", worker.rng.below(6)));
    fs::create_dir_all(&dir)?;
    let path = dir.join(format!("f{}", worker.rng.below(4)));
    if worker.rng.one_in(2) {
        return worker.write_in_place(&path);
    }
    let bytes = worker.content();
    save_over(worker, &path, &bytes)
}

/// Runs a program of the system. What it could not do, because the other side was faster, is missed.
fn call(command: &mut Command) -> io::Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(ErrorKind::NotFound.into())
    }
}
