//! Compares two trees by everything that replication promises to keep.
//!
//! Fields: name bytes; type; of files: size, blake3 of the bytes, blocks on disk within 1.1 times (or 8 blocks) of
//! each other; of links: target; of all: mode, uid, gid, extended attributes in `user.`; mtime of files and symbolic
//! links; and which names are hard links of one another. Not compared: times of directories, ctime, atime, the root's
//! own attributes, `.cfs-repl` at the root. Nothing else is left out: what is mounted inside a tree cannot be compared,
//! and counts as a difference. So do special files, set-uid and set-gid bits, and space that is taken and not written,
//! which are not replicated; they have a field of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Dir, Mode, OFlags};

use super::root::{open_beneath, open_dir_beneath};
use super::stat::{DevId, Stat, stat_at, stat_fd};
use super::xattr;
use crate::content::chunk::data_extent;
use crate::error::{ReplError, Result};
use crate::journal::op::RESERVED_NAME;
use crate::sync::port::NodeKind;

/// Blocks of 512 bytes by which two files may differ whatever their size: one filesystem block.
const BLOCK_SLACK: u64 = 8;
/// The field of differences in what replication leaves alone: special files, set-uid and set-gid bits, space that is
/// taken and not written.
pub const NOT_REPLICATED: &str = "not replicated";
/// Set-uid and set-gid.
const SET_ID: u32 = 0o6000;
/// Bytes of a block, as files are measured in.
const BLOCK_BYTES: u64 = 512;
/// Bytes hashed at a time.
const READ_BYTES: usize = 1 << 20;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Path below the roots, raw bytes.
    pub path: Vec<u8>,
    /// Which field.
    pub field: &'static str,
    /// The value in the first tree.
    pub left: String,
    /// The value in the second tree.
    pub right: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, field) = (self.path.escape_ascii(), self.field);
        write!(f, "{path}: {field}: {} against {}", self.left, self.right)
    }
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Names looked at in both trees.
    pub names: u64,
    /// Bytes of files that were hashed in both trees together.
    pub bytes: u64,
    /// How many differences there are.
    pub differing: u64,
    /// How many of them are of what is not replicated.
    pub not_replicated: u64,
    /// The first of them, by path.
    pub first: Vec<Difference>,
}

impl Comparison {
    /// Whether the trees are the same.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        self.differing == 0
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.first {
            writeln!(f, "{difference}")?;
        }
        let (differing, names, bytes) = (self.differing, self.names, self.bytes);
        write!(
            f,
            "{differing} differences in {names} names, {bytes} bytes hashed"
        )
    }
}

/// Compares the trees at `left` and `right`, neither of which may change meanwhile; keeps the first `keep`
/// differences.
///
/// # Errors
/// When either tree cannot be read in full: then nothing is known.
pub fn compare(left: &Path, right: &Path, keep: usize) -> Result<Comparison> {
    let (left, right) = (Side::read(left)?, Side::read(right)?);
    let mut found = Comparison {
        bytes: left.bytes + right.bytes,
        ..Comparison::default()
    };
    let mut differ = |path: &[u8], field, left: String, right: String| {
        found.differing += 1;
        found.not_replicated += u64::from(field == NOT_REPLICATED);
        if found.first.len() < keep {
            found.first.push(Difference {
                path: path.to_owned(),
                field,
                left,
                right,
            });
        }
    };
    let paths: BTreeSet<&Vec<u8>> = left.items.keys().chain(right.items.keys()).collect();
    for path in &paths {
        match (left.items.get(*path), right.items.get(*path)) {
            (Some(a), Some(b)) if a.mounted || b.mounted => {
                differ(path, "mount", kind_word(a), kind_word(b));
            }
            (Some(a), Some(b)) => compare_items(a, b, &mut |field, x, y| {
                if x != y {
                    differ(path, field, x, y);
                }
            }),
            (a, b) => {
                let is_special = a.or(b).is_some_and(|item| item.stat.kind.is_none());
                let field = if is_special { NOT_REPLICATED } else { "name" };
                let shown = |there: Option<&Item>| match there {
                    Some(item) if is_special => kind_word(item),
                    Some(_) => "present".to_owned(),
                    None => "absent".to_owned(),
                };
                differ(path, field, shown(a), shown(b));
            }
        }
    }
    let groups = right.groups();
    for (path, group) in &left.groups() {
        if let Some(other) = groups.get(path).filter(|other| *other != group) {
            differ(path, "hard links", shown_group(group), shown_group(other));
        }
    }
    found.names = paths.len() as u64;
    Ok(found)
}

fn compare_items(a: &Item, b: &Item, report: &mut dyn FnMut(&'static str, String, String)) {
    report("type", kind_word(a), kind_word(b));
    if a.stat.kind != b.stat.kind {
        return;
    }
    let mode = |item: &Item| format!("{:04o}", item.stat.mode);
    let only_set_id = a.stat.mode & !SET_ID == b.stat.mode & !SET_ID;
    let field = if only_set_id { NOT_REPLICATED } else { "mode" };
    report(field, mode(a), mode(b));
    report(
        "uid",
        a.stat.owner.uid.to_string(),
        b.stat.owner.uid.to_string(),
    );
    report(
        "gid",
        a.stat.owner.gid.to_string(),
        b.stat.owner.gid.to_string(),
    );
    if a.stat.kind != Some(NodeKind::Dir) {
        let time = |s: &Stat| format!("{}.{:09}", s.mtime.seconds, s.mtime.nanos);
        report("mtime", time(&a.stat), time(&b.stat));
    }
    if a.stat.kind == Some(NodeKind::File) {
        report("size", a.stat.size.to_string(), b.stat.size.to_string());
        report("blake3", a.data.clone(), b.data.clone());
        if !takes_alike(a.stat.blocks, b.stat.blocks) {
            let is_written = !takes_alike(a.written_blocks, b.written_blocks);
            let field = if is_written { "blocks" } else { NOT_REPLICATED };
            let shown = |item: &Item| {
                let (taken, written) = (item.stat.blocks, item.written_blocks);
                format!("{taken} blocks taken, {written} written")
            };
            report(field, shown(a), shown(b));
        }
    } else {
        report("target", a.data.clone(), b.data.clone());
    }
    let names: BTreeSet<_> = a.xattrs.keys().chain(b.xattrs.keys()).collect();
    for name in names {
        let shown = |item: &Item| {
            item.xattrs.get(name).map_or_else(
                || "absent".to_owned(),
                |value| format!("{}={}", name.escape_ascii(), value.escape_ascii()),
            )
        };
        report("xattr", shown(a), shown(b));
    }
}

/// Whether one takes no more than 1.1 times what the other one does, or a filesystem block.
const fn takes_alike(a: u64, b: u64) -> bool {
    let (few, many) = if a < b { (a, b) } else { (b, a) };
    many <= few.saturating_add(few / 10).saturating_add(BLOCK_SLACK)
}

struct Item {
    stat: Stat,
    /// Another filesystem, or another part of this one, is mounted there.
    mounted: bool,
    /// blake3 of a file, text of a link.
    data: String,
    /// Blocks of a file that hold data; the rest of what it takes is taken and not written.
    written_blocks: u64,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Default)]
struct Side {
    items: BTreeMap<Vec<u8>, Item>,
    bytes: u64,
}

impl Side {
    fn read(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|e| ReplError::io("open tree", path, e))?;
        let top = stat_fd(&root).map_err(|e| ReplError::io("stat", path, e))?;
        let mut side = Self::default();
        let mut hashes = BTreeMap::new();
        let mut todo: Vec<Vec<u8>> = vec![Vec::new()];
        while let Some(dir) = todo.pop() {
            side.read_dir((&root, top.device), path, &dir, &mut hashes, &mut todo)?;
        }
        Ok(side)
    }

    fn read_dir(
        &mut self,
        (root, device): (&OwnedFd, (u32, u32)),
        top: &Path,
        dir: &[u8],
        hashes: &mut BTreeMap<DevId, Hashed>,
        todo: &mut Vec<Vec<u8>>,
    ) -> Result<()> {
        let shown = top.join(OsStr::from_bytes(dir));
        let fail = |action| {
            let shown = shown.clone();
            move |e: rustix::io::Errno| ReplError::io(action, shown.clone(), e)
        };
        let names = dir.split(|byte| *byte == b'/');
        let names = names.filter(|name| !name.is_empty());
        let fd = open_dir_beneath(root.as_fd(), names).map_err(fail("open directory"))?;
        for entry in Dir::read_from(&fd).map_err(fail("list directory"))? {
            let entry = entry.map_err(fail("list directory"))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." || (dir.is_empty() && name == RESERVED_NAME) {
                continue;
            }
            let stat = stat_at(&fd, entry.file_name()).map_err(fail("stat entry of"))?;
            let mut path = dir.to_owned();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let mounted = stat.mount_root || stat.device != device;
            let item = self
                .item(&fd, name, (stat, mounted), hashes)
                .map_err(|e| ReplError::io("read", top.join(OsStr::from_bytes(&path)), e))?;
            if stat.kind == Some(NodeKind::Dir) && !mounted {
                todo.push(path.clone());
            }
            self.items.insert(path, item);
        }
        Ok(())
    }

    fn item(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        (stat, mounted): (Stat, bool),
        hashes: &mut BTreeMap<DevId, Hashed>,
    ) -> rustix::io::Result<Item> {
        let mut item = Item {
            stat,
            mounted,
            data: String::new(),
            written_blocks: 0,
            xattrs: BTreeMap::new(),
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match stat.kind.filter(|_| !mounted) {
            Some(NodeKind::Symlink) => {
                let target = rustix::fs::readlinkat(dir, OsStr::from_bytes(name), Vec::new())?;
                item.data = target.to_bytes().escape_ascii().to_string();
            }
            Some(NodeKind::Dir) => {
                let fd = open_beneath(dir.as_fd(), name, flags)?;
                item.xattrs = xattr::read_all(&fd)?;
            }
            Some(NodeKind::File) => {
                let fd = open_beneath(dir.as_fd(), name, flags)?;
                item.xattrs = xattr::read_all(&fd)?;
                let (hash, written) = match hashes.get(&stat.id) {
                    Some(known) => known.clone(),
                    None => self.hash(&fd, stat.size)?,
                };
                hashes.insert(stat.id, (hash.clone(), written));
                (item.data, item.written_blocks) = (hash, written.div_ceil(BLOCK_BYTES));
            }
            None => {}
        }
        Ok(item)
    }

    /// The hash of a file's bytes, and how many of them are data. Holes are not read: that would make them look like
    /// data to whoever asks next.
    fn hash(&mut self, file: &OwnedFd, size: u64) -> rustix::io::Result<Hashed> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; READ_BYTES];
        let (mut at, mut written) = (0, 0);
        while at < size {
            let (start, end) = data_extent(file, at, size)?;
            while at < start {
                let length = take(&mut buffer, start - at);
                length.fill(0);
                hasher.update(length);
                at += length.len() as u64;
            }
            while at < end {
                let piece = take(&mut buffer, end - at);
                let length =
                    rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *piece, at))?;
                if length == 0 {
                    // It shrank while it was read.
                    return Ok((hasher.finalize().to_hex().to_string(), written));
                }
                hasher.update(piece.get(..length).unwrap_or_default());
                at += length as u64;
                written += length as u64;
            }
        }
        self.bytes += size;
        Ok((hasher.finalize().to_hex().to_string(), written))
    }

    /// Names that are one file, by the first of them.
    fn groups(&self) -> BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> {
        let mut by_id: BTreeMap<DevId, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for (path, item) in &self.items {
            if item.stat.kind == Some(NodeKind::File) && !item.mounted {
                by_id.entry(item.stat.id).or_default().insert(path.clone());
            }
        }
        let groups = by_id.into_values();
        groups
            .flat_map(|group| {
                let names: Vec<_> = group.iter().cloned().collect();
                names.into_iter().map(move |name| (name, group.clone()))
            })
            .collect()
    }
}

/// The hash of a file's bytes, and how many of them are data.
type Hashed = (String, u64);

/// As much of `buffer` as `bytes` are.
fn take(buffer: &mut [u8], bytes: u64) -> &mut [u8] {
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    let length = length.min(buffer.len());
    buffer.get_mut(..length).unwrap_or_default()
}

fn shown_group(group: &BTreeSet<Vec<u8>>) -> String {
    let names: Vec<String> = group
        .iter()
        .map(|name| name.escape_ascii().to_string())
        .collect();
    names.join(" ")
}

fn kind_word(item: &Item) -> String {
    match item.stat.kind {
        _ if item.mounted => "mounted filesystem, not compared",
        Some(NodeKind::File) => "file",
        Some(NodeKind::Dir) => "directory",
        Some(NodeKind::Symlink) => "symbolic link",
        None => "special file",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    fn plant(root: &Path) {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/f"), b"bytes").unwrap();
        fs::write(root.join("g"), b"other").unwrap();
        fs::hard_link(root.join("g"), root.join("h")).unwrap();
        fs::write(root.join("i"), b"other").unwrap();
        symlink("d/f", root.join("s")).unwrap();
        fs::create_dir(root.join(".cfs-repl")).unwrap();
        for name in ["d/f", "g", "i", "s"] {
            touch(&root.join(name), 1_000);
        }
    }

    fn touch(path: &Path, seconds: i64) {
        let at = rustix::fs::Timespec {
            tv_sec: seconds,
            tv_nsec: 5,
        };
        let times = rustix::fs::Timestamps {
            last_access: at,
            last_modification: at,
        };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
    }

    #[test]
    fn equal_trees_are_equal_whatever_is_in_the_reserved_directory() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        plant(a.path());
        plant(b.path());
        fs::write(a.path().join(".cfs-repl/x"), b"only here").unwrap();
        let found = compare(a.path(), b.path(), 10).unwrap();
        assert!(found.is_equal(), "{found}");
        assert_eq!(found.names, 6);
    }

    #[test]
    fn every_kind_of_planted_difference_is_found() {
        type Plant = fn(&Path);
        let cases: [(&str, Plant); 15] = [
            ("name", |r| fs::write(r.join("new"), b"").unwrap()),
            ("name", |r| fs::create_dir(r.join("empty")).unwrap()),
            ("type", |r| {
                fs::remove_file(r.join("i")).unwrap();
                fs::create_dir(r.join("i")).unwrap();
            }),
            ("mode", |r| {
                fs::set_permissions(r.join("d"), fs::Permissions::from_mode(0o700)).unwrap();
            }),
            ("uid", |r| {
                std::os::unix::fs::lchown(r.join("s"), Some(12), None).unwrap();
            }),
            ("gid", |r| {
                std::os::unix::fs::lchown(r.join("g"), None, Some(12)).unwrap();
            }),
            ("mtime", |r| touch(&r.join("s"), 7)),
            ("size", |r| {
                fs::write(r.join("g"), b"othe").unwrap();
                touch(&r.join("g"), 1_000);
            }),
            ("blake3", |r| {
                fs::write(r.join("d/f"), b"bytez").unwrap();
                touch(&r.join("d/f"), 1_000);
            }),
            ("target", |r| {
                fs::remove_file(r.join("s")).unwrap();
                symlink("d/g", r.join("s")).unwrap();
                touch(&r.join("s"), 1_000);
            }),
            ("xattr", |r| {
                let at = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(r.join("d"), "user.k", b"v", at).unwrap();
            }),
            ("hard links", |r| {
                fs::remove_file(r.join("i")).unwrap();
                fs::hard_link(r.join("g"), r.join("i")).unwrap();
            }),
            ("name", |r| fs::create_dir(r.join("d/.cfs-repl")).unwrap()),
            (NOT_REPLICATED, |r| {
                let (kind, mode) = (rustix::fs::FileType::Fifo, Mode::RUSR);
                rustix::fs::mknodat(rustix::fs::CWD, r.join("fifo"), kind, mode, 0).unwrap();
            }),
            (NOT_REPLICATED, |r| {
                let mode = fs::metadata(r.join("g")).unwrap().permissions().mode();
                fs::set_permissions(r.join("g"), fs::Permissions::from_mode(mode | 0o4000))
                    .unwrap();
            }),
        ];
        for (field, change) in cases {
            let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            plant(a.path());
            plant(b.path());
            change(b.path());
            let found = compare(a.path(), b.path(), 10).unwrap();
            assert!(
                found.first.iter().any(|d| d.field == field),
                "{field}: {found}"
            );
            let fields: BTreeSet<_> = found.first.iter().map(|d| d.field).collect();
            assert!(fields.len() <= 2, "{field} alone was planted: {found}");
            assert_eq!(found.not_replicated > 0, field == NOT_REPLICATED, "{found}");
        }
    }

    #[test]
    fn a_path_that_is_longer_than_the_system_opens_at_once_is_compared() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = [b'n'; 200];
        for (dir, bytes) in [(&a, b"one"), (&b, b"two")] {
            let mut at: OwnedFd = fs::File::open(dir.path()).unwrap().into();
            for _ in 0..30 {
                rustix::fs::mkdirat(&at, &name[..], Mode::RWXU).unwrap();
                at = open_beneath(at.as_fd(), &name, OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
            }
            let flags = OFlags::CREATE | OFlags::WRONLY;
            let file = rustix::fs::openat(&at, "file", flags, Mode::RUSR).unwrap();
            rustix::io::write(&file, bytes).unwrap();
        }
        let found = compare(a.path(), b.path(), 10).unwrap();
        assert_eq!(found.names, 31);
        assert!(found.first.iter().any(|d| d.field == "blake3"), "{found}");
    }

    #[test]
    fn an_inflated_sparse_file_is_a_difference() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&a, &b] {
            fs::File::create(dir.path().join("f"))
                .unwrap()
                .set_len(1 << 20)
                .unwrap();
        }
        fs::write(b.path().join("f"), vec![0; 1 << 20]).unwrap();
        touch(&a.path().join("f"), 1);
        touch(&b.path().join("f"), 1);
        rustix::fs::syncfs(fs::File::open(b.path()).unwrap()).unwrap();
        let found = compare(a.path(), b.path(), 10).unwrap();
        assert_eq!(
            found.first.iter().map(|d| d.field).collect::<Vec<_>>(),
            ["blocks"]
        );
    }

    #[test]
    fn space_that_is_taken_and_not_written_is_told_apart_however_often_it_is_compared() {
        const BYTES: u64 = 1 << 20;
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [taken, sparse] = [&a, &b].map(|dir| fs::File::create(dir.path().join("f")).unwrap());
        sparse.set_len(BYTES).unwrap();
        let flags = rustix::fs::FallocateFlags::empty();
        if let Err(error) = rustix::fs::fallocate(&taken, flags, 0, BYTES) {
            eprintln!("skipped: no space can be taken here: {error}");
            return;
        }
        touch(&a.path().join("f"), 1);
        touch(&b.path().join("f"), 1);
        for _ in 0..2 {
            let found = compare(a.path(), b.path(), 10).unwrap();
            let fields: Vec<_> = found.first.iter().map(|d| d.field).collect();
            assert_eq!(fields, [NOT_REPLICATED], "{found}");
        }
    }

    #[test]
    fn what_is_mounted_inside_is_a_difference_and_is_not_entered() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&a, &b] {
            fs::create_dir(dir.path().join("m")).unwrap();
        }
        let place = a.path().join("m");
        let ran = |program: &str, args: &[&str]| {
            let done = Command::new(program).args(args).arg(&place).output();
            done.is_ok_and(|done| done.status.success())
        };
        if !ran("mount", &["-t", "tmpfs", "none"]) {
            eprintln!("skipped: mounting needs root");
            return;
        }
        fs::write(place.join("inside"), b"").unwrap();
        let found = compare(a.path(), b.path(), 10);
        assert!(ran("umount", &[]));
        let found = found.unwrap();
        assert_eq!(
            found.to_string(),
            "m: mount: mounted filesystem, not compared against directory\n\
             1 differences in 1 names, 0 bytes hashed"
        );
    }

    #[test]
    fn only_the_first_differences_are_kept_but_all_are_counted() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for i in 0..10 {
            fs::write(a.path().join(format!("f{i}")), b"").unwrap();
        }
        let found = compare(a.path(), b.path(), 3).unwrap();
        assert_eq!((found.differing, found.first.len()), (10, 3));
        assert!(
            found
                .to_string()
                .ends_with("10 differences in 10 names, 0 bytes hashed")
        );
    }
}
