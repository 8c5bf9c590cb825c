//! What the users of a world do: operations with POSIX semantics on what they see.

use bytes::Bytes;
use claudefs_repl::journal::Dot;
use claudefs_repl::journal::op::{Attr, Change, Content, FileTime, ManifestRoot, Name, Place};
use claudefs_repl::sync::port::{LocalOp, LocalTxn};

use super::Check;
use super::oracle::{Kind, ROOT, Tree, Values};
use crate::rng::Rng;

/// Few names, so that sites choose the same ones.
const NAMES: [&[u8]; 4] = [b"a", b"b", b"c.txt", b"d"];
/// Modes of files and directories, with and without set-uid.
const MODES: [u32; 4] = [0o644, 0o600, 0o4755, 0o755];
const SET_ID: u32 = 0o6000;
/// Operations that do not fit what the user sees, after which the user does nothing.
const TRIES_MAX: u32 = 6;

/// A name in a directory and the inode that stands there.
type Entry = ((u64, Vec<u8>), u64);

/// What the users of a history mostly do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Anything.
    Any,
    /// Directories come, go and move.
    Dirs,
    /// The same few files are written, changed, linked, removed and renamed.
    Files,
    /// One file is written.
    Writes,
}

impl Theme {
    /// By chance, but for the one that is for a purpose.
    pub(crate) fn drawn(rng: &mut Rng) -> Self {
        [Self::Any, Self::Any, Self::Dirs, Self::Files][rng.index(4)]
    }
}

/// Where operations are reported.
pub(crate) trait Reports {
    /// An inode or link id that was not given out before.
    fn mint(&mut self) -> u64;

    /// The wall clock.
    fn now_us(&self) -> u64;

    /// Takes an operation that `tree` does not show yet. The entry that tells of the last inode of it, as far as it is
    /// known by now.
    fn report(&mut self, tree: &Tree, txn: LocalTxn) -> Check<Dot>;
}

/// The user of one site.
pub(crate) struct User<'a> {
    pub(crate) tree: &'a mut Tree,
    pub(crate) rng: &'a mut Rng,
    /// Makes the bytes of every write different.
    pub(crate) value: &'a mut u64,
    pub(crate) theme: Theme,
    /// Who makes the first file where only one is written.
    pub(crate) is_first: bool,
    pub(crate) to: &'a mut dyn Reports,
}

impl User<'_> {
    /// One operation, unless none of several that were tried fits. Whether there was one.
    pub(crate) fn act(&mut self) -> Check<bool> {
        for _ in 0..TRIES_MAX {
            if self.any()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn any(&mut self) -> Check<bool> {
        // Out of a hundred: create, mkdir, symlink, write, chmod, utimes, xattr, unlink, rmdir, rename of a file, of
        // a directory, link.
        let weights = match self.theme {
            Theme::Any => [8, 12, 4, 13, 4, 4, 4, 9, 9, 13, 13, 7],
            Theme::Dirs => [6, 22, 0, 0, 2, 0, 0, 4, 10, 6, 50, 0],
            Theme::Files => [6, 0, 2, 32, 8, 6, 6, 14, 0, 16, 0, 10],
            Theme::Writes => [100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        };
        let mut left = self.rng.below(weights.iter().sum());
        let mut kind = 0;
        while left >= weights[kind] {
            left -= weights[kind];
            kind += 1;
        }
        match kind {
            0 if self.theme == Theme::Writes => self.writes(),
            0 => self.create(),
            1 => self.make_dir(),
            2 => self.make_symlink(),
            3 => self.write(),
            4 => self.change_mode(),
            5 => self.change_times(),
            6 => self.change_xattr(),
            7 => self.unlink(),
            8 => self.remove_dir(),
            9 => self.rename_file(),
            10 => self.rename_dir(),
            _ => self.link(),
        }
    }

    fn report(&mut self, txn: LocalTxn) -> Check<Dot> {
        self.to.report(self.tree, txn)
    }

    fn writes(&mut self) -> Check<bool> {
        if !self.entries(Kind::File).is_empty() {
            self.write()
        } else if self.is_first {
            self.create()
        } else {
            Ok(false)
        }
    }

    fn entries(&self, kind: Kind) -> Vec<Entry> {
        let tree = &self.tree;
        let of_kind = |(_, inode): &Entry| tree.get(*inode).unwrap().values.kind == kind;
        tree.names().into_iter().filter(of_kind).collect()
    }

    fn pick(&mut self, kind: Kind) -> Option<Entry> {
        let entries = self.entries(kind);
        self.rng.pick(&entries).cloned()
    }

    /// A name in a directory, taken or not.
    fn somewhere(&mut self) -> (u64, Vec<u8>) {
        let dirs = self.tree.dirs();
        let directory = *self.rng.pick(&dirs).unwrap();
        let name = NAMES[self.rng.index(NAMES.len())].to_vec();
        (directory, name)
    }

    fn nowhere(&mut self) -> Option<(u64, Vec<u8>)> {
        let (directory, name) = self.somewhere();
        let taken = self.tree.at(directory, &name).is_some();
        (!taken).then_some((directory, name))
    }

    fn next_value(&mut self) -> u64 {
        *self.value += 1;
        *self.value
    }

    fn create(&mut self) -> Check<bool> {
        let Some((directory, name)) = self.nowhere() else {
            return Ok(false);
        };
        let inode = self.to.mint();
        let mut values = Values::of(Kind::File);
        let attr = self.birth(&mut values);
        let place = place(directory, &name);
        let op = op(inode, inode, Change::Create { place, attr });
        self.report(LocalTxn { ops: vec![op] })?;
        let tree = &mut self.tree;
        tree.insert(inode, (inode, directory, name), values);
        self.write_to(inode)?;
        Ok(true)
    }

    fn make_dir(&mut self) -> Check<bool> {
        let Some((directory, name)) = self.nowhere() else {
            return Ok(false);
        };
        let inode = self.to.mint();
        let mut values = Values::of(Kind::Dir);
        let attr = self.birth(&mut values);
        values.mtime = None;
        let place = place(directory, &name);
        let op = op(inode, inode, Change::MkDir { place, attr });
        self.report(LocalTxn { ops: vec![op] })?;
        let tree = &mut self.tree;
        tree.insert(inode, (inode, directory, name), values);
        Ok(true)
    }

    fn make_symlink(&mut self) -> Check<bool> {
        let Some((directory, name)) = self.nowhere() else {
            return Ok(false);
        };
        let inode = self.to.mint();
        let mut values = Values::of(Kind::Symlink);
        let attr = self.birth(&mut values);
        let target = Bytes::from(format!("to {}", self.next_value()));
        values.target = Some(target.to_vec());
        let change = Change::Symlink {
            place: place(directory, &name),
            attr,
            target,
        };
        let ops = vec![op(inode, inode, change)];
        self.report(LocalTxn { ops })?;
        let tree = &mut self.tree;
        tree.insert(inode, (inode, directory, name), values);
        Ok(true)
    }

    fn birth(&mut self, values: &mut Values) -> Attr {
        let mtime = time(self.next_value());
        values.mode = Some(0o644);
        values.mtime = Some(mtime.seconds);
        Attr {
            mode: values.mode,
            mtime: Some(mtime),
            ..Attr::default()
        }
    }

    fn write(&mut self) -> Check<bool> {
        let Some((_, inode)) = self.pick(Kind::File) else {
            return Ok(false);
        };
        for _ in 0..1 + self.rng.below(3) {
            self.write_to(inode)?;
        }
        Ok(true)
    }

    /// New bytes; the kernel takes set-uid away from a file that is written.
    fn write_to(&mut self, inode: u64) -> Check {
        let value = self.next_value();
        let mut manifest_root = ManifestRoot::default();
        manifest_root.0[..8].copy_from_slice(&value.to_le_bytes());
        let content = Content {
            size: value,
            manifest_root,
            mtime: time(value),
            inline: None,
        };
        let before = self.tree.get(inode).unwrap().values.mode;
        let mode = before.filter(|mode| mode & SET_ID != 0);
        let mode = mode.map(|mode| mode & !SET_ID);
        let change = if self.rng.one_in(4) {
            Change::Truncate { content, mode }
        } else {
            Change::Write { content, mode }
        };
        let mut op = op(inode, self.link_of(inode), change);
        if self.rng.one_in(8) {
            op.back_date_us = Some(self.to.now_us().saturating_sub(300_000));
        }
        let dot = self.report(LocalTxn { ops: vec![op] })?;
        let values = self.tree.values_mut(inode);
        values.content = Some((dot, value));
        values.mtime = Some(time(value).seconds);
        values.mode = mode.or(before);
        Ok(())
    }

    fn link_of(&self, inode: u64) -> u64 {
        self.tree.get(inode).unwrap().links[0].0
    }

    fn change_mode(&mut self) -> Check<bool> {
        let kind = if self.rng.one_in(3) {
            Kind::Dir
        } else {
            Kind::File
        };
        let Some((_, inode)) = self.pick(kind) else {
            return Ok(false);
        };
        let mode = MODES[self.rng.index(MODES.len())];
        let attr = Attr {
            mode: Some(mode),
            ..Attr::default()
        };
        let op = op(inode, self.link_of(inode), Change::SetAttr { attr });
        self.report(LocalTxn { ops: vec![op] })?;
        self.tree.values_mut(inode).mode = Some(mode);
        Ok(true)
    }

    fn change_times(&mut self) -> Check<bool> {
        let Some((_, inode)) = self.pick(Kind::File) else {
            return Ok(false);
        };
        let mtime = time(self.next_value());
        let attr = Attr {
            mtime: Some(mtime),
            ..Attr::default()
        };
        let mut op = op(inode, self.link_of(inode), Change::SetAttr { attr });
        if self.rng.one_in(4) {
            op.back_date_us = Some(self.to.now_us().saturating_sub(300_000));
        }
        self.report(LocalTxn { ops: vec![op] })?;
        self.tree.values_mut(inode).mtime = Some(mtime.seconds);
        Ok(true)
    }

    fn change_xattr(&mut self) -> Check<bool> {
        let Some((_, inode)) = self.pick(Kind::File) else {
            return Ok(false);
        };
        let name = Bytes::from_static(b"user.note");
        let link = self.link_of(inode);
        let value = Bytes::from(self.next_value().to_string());
        let known = &self.tree.get(inode).unwrap().values.xattrs;
        let removes = known.contains_key(&name[..]) && self.rng.one_in(2);
        let change = if removes {
            Change::RemoveXattr { name: name.clone() }
        } else {
            let (name, value) = (name.clone(), value.clone());
            Change::SetXattr { name, value }
        };
        let ops = vec![op(inode, link, change)];
        self.report(LocalTxn { ops })?;
        let xattrs = &mut self.tree.values_mut(inode).xattrs;
        if removes {
            xattrs.remove(&name[..]);
        } else {
            xattrs.insert(name.to_vec(), value.to_vec());
        }
        Ok(true)
    }

    fn unlink(&mut self) -> Check<bool> {
        let kind = if self.rng.one_in(4) {
            Kind::Symlink
        } else {
            Kind::File
        };
        let Some(((directory, name), inode)) = self.pick(kind) else {
            return Ok(false);
        };
        let ops = vec![self.removal(inode, directory, &name)];
        self.report(LocalTxn { ops })?;
        self.tree.remove(directory, &name);
        Ok(true)
    }

    /// The report of a name that goes away; one link stands for all that are shown there as one.
    fn removal(&mut self, inode: u64, directory: u64, name: &[u8]) -> LocalOp {
        let tree = &self.tree;
        let dir = tree.get(inode).unwrap().values.kind == Kind::Dir;
        let links = tree.links_at(inode, directory, name);
        let link = *self.rng.pick(&links).unwrap();
        let place = place(directory, name);
        op(inode, link, Change::Unlink { place, dir })
    }

    fn remove_dir(&mut self) -> Check<bool> {
        let Some(((directory, name), inode)) = self.pick(Kind::Dir) else {
            return Ok(false);
        };
        if !self.tree.is_empty_dir(inode) {
            return Ok(false);
        }
        let ops = vec![self.removal(inode, directory, &name)];
        self.report(LocalTxn { ops })?;
        self.tree.remove(directory, &name);
        Ok(true)
    }

    fn rename_file(&mut self) -> Check<bool> {
        let kind = if self.rng.one_in(5) {
            Kind::Symlink
        } else {
            Kind::File
        };
        let Some(((from, old), inode)) = self.pick(kind) else {
            return Ok(false);
        };
        let (to, new) = self.target();
        let tree = &self.tree;
        let victim = tree.at(to, &new);
        let victim_kind = victim.map(|victim| tree.get(victim).unwrap().values.kind);
        if victim == Some(inode) || victim_kind == Some(Kind::Dir) {
            return Ok(false);
        }
        let links = tree.links_at(inode, from, &old);
        let link = *self.rng.pick(&links).unwrap();
        let change = Change::Rename {
            place: Some(place(to, &new)),
            dir: false,
        };
        let renamed = op(inode, link, change);
        self.rename(renamed, victim, (to, &new))?;
        let tree = &mut self.tree;
        tree.remove(to, &new);
        tree.add_link(inode, (link, to, new));
        tree.remove(from, &old);
        Ok(true)
    }

    /// Where something is renamed to: mostly a fresh choice, sometimes an entry that is there, whatever its name.
    fn target(&mut self) -> (u64, Vec<u8>) {
        let names: Vec<_> = self.tree.names().into_keys().collect();
        match self.rng.pick(&names).cloned() {
            Some(taken) if self.rng.one_in(4) => taken,
            Some(_) | None => self.somewhere(),
        }
    }

    fn rename(&mut self, renamed: LocalOp, victim: Option<u64>, (to, new): (u64, &[u8])) -> Check {
        let mut ops = vec![renamed];
        if let Some(victim) = victim {
            let removal = self.removal(victim, to, new);
            let index = self.rng.index(2);
            ops.insert(index, removal);
        }
        self.report(LocalTxn { ops })?;
        Ok(())
    }

    fn rename_dir(&mut self) -> Check<bool> {
        let Some(((from, old), inode)) = self.pick(Kind::Dir) else {
            return Ok(false);
        };
        let (to, new) = self.target();
        let tree = &self.tree;
        let victim = tree.at(to, &new);
        let refused = |victim: u64| {
            let dir = tree.get(victim).unwrap().values.kind == Kind::Dir;
            !dir || victim == inode || !tree.is_empty_dir(victim)
        };
        if tree.is_inside(to, inode) || victim.is_some_and(refused) {
            return Ok(false);
        }
        let change = Change::Rename {
            place: Some(place(to, &new)),
            dir: true,
        };
        self.rename(op(inode, inode, change), victim, (to, &new))?;
        let tree = &mut self.tree;
        tree.remove(to, &new);
        tree.add_link(inode, (inode, to, new));
        tree.remove(from, &old);
        Ok(true)
    }

    fn link(&mut self) -> Check<bool> {
        let (Some((_, inode)), Some((directory, name))) = (self.pick(Kind::File), self.nowhere())
        else {
            return Ok(false);
        };
        let link = self.to.mint();
        let place = place(directory, &name);
        let ops = vec![op(inode, link, Change::Link { place })];
        self.report(LocalTxn { ops })?;
        let tree = &mut self.tree;
        tree.add_link(inode, (link, directory, name));
        Ok(true)
    }
}

fn place(parent: u64, name: &[u8]) -> Place {
    debug_assert!(parent >= ROOT);
    Place {
        parent,
        name: Name::new(name.to_vec()).unwrap(),
    }
}

fn op(inode: u64, link: u64, change: Change) -> LocalOp {
    LocalOp {
        inode,
        link,
        change,
        back_date_us: None,
        device: None,
    }
}

fn time(value: u64) -> FileTime {
    FileTime {
        seconds: i64::try_from(value).unwrap(),
        nanos: 0,
    }
}
