//! What the users of the worlds do: operations with POSIX semantics on what they see, and their report to the core.
//!
//! Fidelity is judged here: after an operation at a site whose filesystem showed everything that its core knew, the
//! core wants nothing changed. What the user did stays as the user saw it.

use bytes::Bytes;
use claudefs_repl::journal::op::{Attr, Change, Content, FileTime, ManifestRoot, Name, Place};
use claudefs_repl::sync::port::{LocalOp, LocalTxn};

use super::oracle::{Kind, ROOT, Values};
use super::world::{Check, Theme, World, dot_of, shown_of};

/// Few names, so that sites choose the same ones.
const NAMES: [&[u8]; 4] = [b"a", b"b", b"c.txt", b"d"];
/// Modes of files and directories, with and without set-uid.
const MODES: [u32; 4] = [0o644, 0o600, 0o4755, 0o755];
const SET_ID: u32 = 0o6000;
/// Operations that do not fit what the user sees, after which the user does nothing.
const TRIES_MAX: u32 = 6;

/// A name in a directory and the inode that stands there.
type Entry = ((u64, Vec<u8>), u64);

impl World {
    /// One operation by the user of the site `at`.
    pub(super) fn local(&mut self, at: usize) -> Check {
        let settled = self.sites[at].core.work(usize::MAX).unwrap().is_empty();
        let mut tries = 0;
        while !self.any(at)? {
            tries += 1;
            if tries == TRIES_MAX {
                return Ok(());
            }
        }
        self.ops += 1;
        if !settled {
            return Ok(());
        }
        let images = self.sites[at].core.work(usize::MAX).unwrap();
        let tree = &self.sites[at].tree;
        let told = tree.told(&shown_of(&images));
        let told = told.map_err(|fault| format!("site {at} is told that {fault}"))?;
        if told.looks_like(tree) {
            return Ok(());
        }
        Err(format!(
            "fidelity: the user of site {at} saw\n{}and is told to see\n{}",
            tree.print(),
            told.print()
        ))
    }

    fn any(&mut self, at: usize) -> Check<bool> {
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
            0 if self.theme == Theme::Writes => self.writes(at),
            0 => self.create(at),
            1 => self.make_dir(at),
            2 => self.make_symlink(at),
            3 => self.write(at),
            4 => self.change_mode(at),
            5 => self.change_times(at),
            6 => self.change_xattr(at),
            7 => self.unlink(at),
            8 => self.remove_dir(at),
            9 => self.rename_file(at),
            10 => self.rename_dir(at),
            _ => self.link(at),
        }
    }

    fn writes(&mut self, at: usize) -> Check<bool> {
        if !self.entries(at, Kind::File).is_empty() {
            self.write(at)
        } else if at == 0 {
            self.create(at)
        } else {
            Ok(false)
        }
    }

    fn entries(&self, at: usize, kind: Kind) -> Vec<Entry> {
        let tree = &self.sites[at].tree;
        let of_kind = |(_, inode): &Entry| tree.get(*inode).unwrap().values.kind == kind;
        tree.names().into_iter().filter(of_kind).collect()
    }

    fn pick(&mut self, at: usize, kind: Kind) -> Option<Entry> {
        let entries = self.entries(at, kind);
        self.rng.pick(&entries).cloned()
    }

    /// A name in a directory, taken or not.
    fn somewhere(&mut self, at: usize) -> (u64, Vec<u8>) {
        let dirs = self.sites[at].tree.dirs();
        let directory = *self.rng.pick(&dirs).unwrap();
        let name = NAMES[self.rng.index(NAMES.len())].to_vec();
        (directory, name)
    }

    fn nowhere(&mut self, at: usize) -> Option<(u64, Vec<u8>)> {
        let (directory, name) = self.somewhere(at);
        let taken = self.sites[at].tree.at(directory, &name).is_some();
        (!taken).then_some((directory, name))
    }

    fn next_value(&mut self) -> u64 {
        self.value += 1;
        self.value
    }

    fn create(&mut self, at: usize) -> Check<bool> {
        let Some((directory, name)) = self.nowhere(at) else {
            return Ok(false);
        };
        let inode = self.mint(at);
        let mut values = Values::of(Kind::File);
        let attr = self.birth(&mut values);
        let place = place(directory, &name);
        let op = op(inode, inode, Change::Create { place, attr });
        self.author(at, &LocalTxn { ops: vec![op] })?;
        let tree = &mut self.sites[at].tree;
        tree.insert(inode, (inode, directory, name), values);
        self.write_to(at, inode)?;
        Ok(true)
    }

    fn make_dir(&mut self, at: usize) -> Check<bool> {
        let Some((directory, name)) = self.nowhere(at) else {
            return Ok(false);
        };
        let inode = self.mint(at);
        let mut values = Values::of(Kind::Dir);
        let attr = self.birth(&mut values);
        values.mtime = None;
        let place = place(directory, &name);
        let op = op(inode, inode, Change::MkDir { place, attr });
        self.author(at, &LocalTxn { ops: vec![op] })?;
        let tree = &mut self.sites[at].tree;
        tree.insert(inode, (inode, directory, name), values);
        Ok(true)
    }

    fn make_symlink(&mut self, at: usize) -> Check<bool> {
        let Some((directory, name)) = self.nowhere(at) else {
            return Ok(false);
        };
        let inode = self.mint(at);
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
        self.author(at, &LocalTxn { ops })?;
        let tree = &mut self.sites[at].tree;
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

    fn write(&mut self, at: usize) -> Check<bool> {
        let Some((_, inode)) = self.pick(at, Kind::File) else {
            return Ok(false);
        };
        for _ in 0..1 + self.rng.below(3) {
            self.write_to(at, inode)?;
        }
        Ok(true)
    }

    /// New bytes; the kernel takes set-uid away from a file that is written.
    fn write_to(&mut self, at: usize, inode: u64) -> Check {
        let value = self.next_value();
        let mut manifest_root = ManifestRoot::default();
        manifest_root.0[..8].copy_from_slice(&value.to_le_bytes());
        let content = Content {
            size: value,
            manifest_root,
            mtime: time(value),
            inline: None,
        };
        let before = self.sites[at].tree.get(inode).unwrap().values.mode;
        let mode = before.filter(|mode| mode & SET_ID != 0);
        let mode = mode.map(|mode| mode & !SET_ID);
        let change = if self.rng.one_in(4) {
            Change::Truncate { content, mode }
        } else {
            Change::Write { content, mode }
        };
        let mut op = op(inode, self.link_of(at, inode), change);
        if self.rng.one_in(8) {
            op.back_date_us = Some(self.clock(at).saturating_sub(300_000));
        }
        let authored = self.author(at, &LocalTxn { ops: vec![op] })?;
        let dot = dot_of(&authored, inode).expect("a write is an entry");
        let values = self.sites[at].tree.values_mut(inode);
        values.content = Some((dot, value));
        values.mtime = Some(time(value).seconds);
        values.mode = mode.or(before);
        Ok(())
    }

    fn link_of(&self, at: usize, inode: u64) -> u64 {
        self.sites[at].tree.get(inode).unwrap().links[0].0
    }

    fn change_mode(&mut self, at: usize) -> Check<bool> {
        let kind = if self.rng.one_in(3) {
            Kind::Dir
        } else {
            Kind::File
        };
        let Some((_, inode)) = self.pick(at, kind) else {
            return Ok(false);
        };
        let mode = MODES[self.rng.index(MODES.len())];
        let attr = Attr {
            mode: Some(mode),
            ..Attr::default()
        };
        let op = op(inode, self.link_of(at, inode), Change::SetAttr { attr });
        self.author(at, &LocalTxn { ops: vec![op] })?;
        self.sites[at].tree.values_mut(inode).mode = Some(mode);
        Ok(true)
    }

    fn change_times(&mut self, at: usize) -> Check<bool> {
        let Some((_, inode)) = self.pick(at, Kind::File) else {
            return Ok(false);
        };
        let mtime = time(self.next_value());
        let attr = Attr {
            mtime: Some(mtime),
            ..Attr::default()
        };
        let mut op = op(inode, self.link_of(at, inode), Change::SetAttr { attr });
        if self.rng.one_in(4) {
            op.back_date_us = Some(self.clock(at).saturating_sub(300_000));
        }
        self.author(at, &LocalTxn { ops: vec![op] })?;
        self.sites[at].tree.values_mut(inode).mtime = Some(mtime.seconds);
        Ok(true)
    }

    fn change_xattr(&mut self, at: usize) -> Check<bool> {
        let Some((_, inode)) = self.pick(at, Kind::File) else {
            return Ok(false);
        };
        let name = Bytes::from_static(b"user.note");
        let link = self.link_of(at, inode);
        let value = Bytes::from(self.next_value().to_string());
        let known = &self.sites[at].tree.get(inode).unwrap().values.xattrs;
        let removes = known.contains_key(&name[..]) && self.rng.one_in(2);
        let change = if removes {
            Change::RemoveXattr { name: name.clone() }
        } else {
            let (name, value) = (name.clone(), value.clone());
            Change::SetXattr { name, value }
        };
        let ops = vec![op(inode, link, change)];
        self.author(at, &LocalTxn { ops })?;
        let xattrs = &mut self.sites[at].tree.values_mut(inode).xattrs;
        if removes {
            xattrs.remove(&name[..]);
        } else {
            xattrs.insert(name.to_vec(), value.to_vec());
        }
        Ok(true)
    }

    fn unlink(&mut self, at: usize) -> Check<bool> {
        let kind = if self.rng.one_in(4) {
            Kind::Symlink
        } else {
            Kind::File
        };
        let Some(((directory, name), inode)) = self.pick(at, kind) else {
            return Ok(false);
        };
        let ops = vec![self.removal(at, inode, directory, &name)];
        self.author(at, &LocalTxn { ops })?;
        self.sites[at].tree.remove(directory, &name);
        Ok(true)
    }

    /// The report of a name that goes away; one link stands for all that are shown there as one.
    fn removal(&mut self, at: usize, inode: u64, directory: u64, name: &[u8]) -> LocalOp {
        let tree = &self.sites[at].tree;
        let dir = tree.get(inode).unwrap().values.kind == Kind::Dir;
        let links = tree.links_at(inode, directory, name);
        let link = *self.rng.pick(&links).unwrap();
        let place = place(directory, name);
        op(inode, link, Change::Unlink { place, dir })
    }

    fn remove_dir(&mut self, at: usize) -> Check<bool> {
        let Some(((directory, name), inode)) = self.pick(at, Kind::Dir) else {
            return Ok(false);
        };
        if !self.sites[at].tree.is_empty_dir(inode) {
            return Ok(false);
        }
        let ops = vec![self.removal(at, inode, directory, &name)];
        self.author(at, &LocalTxn { ops })?;
        self.sites[at].tree.remove(directory, &name);
        Ok(true)
    }

    fn rename_file(&mut self, at: usize) -> Check<bool> {
        let kind = if self.rng.one_in(5) {
            Kind::Symlink
        } else {
            Kind::File
        };
        let Some(((from, old), inode)) = self.pick(at, kind) else {
            return Ok(false);
        };
        let (to, new) = self.target(at);
        let tree = &self.sites[at].tree;
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
        self.rename(at, renamed, victim, (to, &new))?;
        let tree = &mut self.sites[at].tree;
        tree.remove(to, &new);
        tree.add_link(inode, (link, to, new));
        tree.remove(from, &old);
        Ok(true)
    }

    /// Where something is renamed to: mostly a fresh choice, sometimes an entry that is there, whatever its name.
    fn target(&mut self, at: usize) -> (u64, Vec<u8>) {
        let names: Vec<_> = self.sites[at].tree.names().into_keys().collect();
        match self.rng.pick(&names).cloned() {
            Some(taken) if self.rng.one_in(4) => taken,
            Some(_) | None => self.somewhere(at),
        }
    }

    fn rename(
        &mut self,
        at: usize,
        renamed: LocalOp,
        victim: Option<u64>,
        (to, new): (u64, &[u8]),
    ) -> Check {
        let mut ops = vec![renamed];
        if let Some(victim) = victim {
            let removal = self.removal(at, victim, to, new);
            let index = self.rng.index(2);
            ops.insert(index, removal);
        }
        self.author(at, &LocalTxn { ops })?;
        Ok(())
    }

    fn rename_dir(&mut self, at: usize) -> Check<bool> {
        let Some(((from, old), inode)) = self.pick(at, Kind::Dir) else {
            return Ok(false);
        };
        let (to, new) = self.target(at);
        let tree = &self.sites[at].tree;
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
        self.rename(at, op(inode, inode, change), victim, (to, &new))?;
        let tree = &mut self.sites[at].tree;
        tree.remove(to, &new);
        tree.add_link(inode, (inode, to, new));
        tree.remove(from, &old);
        Ok(true)
    }

    fn link(&mut self, at: usize) -> Check<bool> {
        let (Some((_, inode)), Some((directory, name))) =
            (self.pick(at, Kind::File), self.nowhere(at))
        else {
            return Ok(false);
        };
        let link = self.mint(at);
        let place = place(directory, &name);
        let ops = vec![op(inode, link, Change::Link { place })];
        self.author(at, &LocalTxn { ops })?;
        let tree = &mut self.sites[at].tree;
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
