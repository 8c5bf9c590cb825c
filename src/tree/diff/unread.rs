//! Files whose bytes are to be journaled: read one after the other when everything else was told, a piece at a time.
//!
//! A first look finds as many as the tree has. What was read of one piece is journaled before the next one is read, so
//! that memory holds one piece, and what was journaled arrives elsewhere while the rest is read.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;

use super::{Findings, RACY_US, micros};
use crate::error::Result;
use crate::journal::op::{Change, Name, Place};
use crate::sync::port::{Engine, Image, LocalOp, LocalTxn, NodeKind};
use crate::tree::agenda::FileAt;
use crate::tree::change::{attribute_changes, birth_changes};
use crate::tree::observe::{Details, Observed, observe};
use crate::tree::order::Step;
use crate::tree::policy::Policy;
use crate::tree::root::Root;
use crate::tree::stat::DevId;
use crate::tree::walk::{Note, NoteKind, Snapshot};

/// Files of one piece, and bytes of theirs that travel inside entries.
const FILES_MAX: usize = 4_096;
const BYTES_MAX: usize = 8 << 20;

/// How long an emptied file rests.
const EMPTIED_US: u64 = 1_000_000;

/// A file that is to be read.
#[derive(Debug)]
pub struct Unread {
    pub(super) id: DevId,
    pub(super) inode: u64,
    /// Where it was seen.
    pub(super) seen: Vec<(DevId, Name)>,
    /// Links of a new file, the first one being its birth; none of a file that is known and looks different.
    pub(super) links: Vec<(u64, Place)>,
}

impl Unread {
    /// What its birth does to places.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        self.links.iter().map(|(_, place)| Step {
            inode: self.inode,
            dir: false,
            vacates: None,
            occupies: Some(place.clone()),
        })
    }
}

/// What reading files of a snapshot takes.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The tree.
    pub root: &'a Root,
    /// Where its files are.
    pub snapshot: &'a Snapshot,
    /// Names and bits that are left alone.
    pub policy: &'a Policy,
    /// Files that programs are writing: neither read nor taken as removed.
    pub unready: &'a BTreeSet<FileAt>,
    /// Wall clock at the start of the scan.
    pub now_us: u64,
    /// Changes happened while nobody watched: stamp them with their ctime.
    pub back_date: bool,
}

impl Reader<'_> {
    /// Reads the next files of `unread`, as many as make one piece.
    ///
    /// # Errors
    /// When the engine's store fails, or a file cannot be made durable.
    pub fn piece(
        &self,
        engine: &mut dyn Engine,
        unread: &mut VecDeque<Unread>,
        found: &mut Findings,
    ) -> Result<()> {
        let (mut files, mut bytes) = (0, 0);
        while files < FILES_MAX && bytes < BYTES_MAX {
            let Some(file) = unread.pop_front() else {
                break;
            };
            let Some(details) = self.read(file.id, &file.seen, found)? else {
                continue;
            };
            if file.links.is_empty() && self.is_just_emptied(engine, file.inode, &details)? {
                found.busy.extend(self.path_of(&file.seen));
                continue;
            }
            files += 1;
            let content = details.content.as_ref();
            bytes += content.map_or(0, |c| c.inline.as_ref().map_or(0, bytes::Bytes::len));
            if file.links.is_empty() {
                let image = engine.applied(file.inode)?;
                let ops = self.changed(file.inode, image, &details, &file.seen, found);
                let txns = ops.into_iter().map(|op| LocalTxn { ops: vec![op] });
                found.txns.extend(txns);
            } else {
                self.born(file, &details, found);
            }
        }
        Ok(())
    }

    /// Whether a file lost all its bytes a moment ago: more often than it is meant to be empty, a program is about to
    /// write it anew, and the state in between is nobody's version. It comes again.
    fn is_just_emptied(
        &self,
        engine: &mut dyn Engine,
        inode: u64,
        details: &Details,
    ) -> Result<bool> {
        let stat = &details.stat;
        if stat.kind != Some(NodeKind::File)
            || stat.size > 0
            // A clock that stepped back must not make it young for long.
            || micros(stat.ctime).abs_diff(self.now_us) >= EMPTIED_US
        {
            return Ok(false);
        }
        let known = engine.device(inode)?;
        Ok(known.is_some_and(|known| known.size > 0))
    }

    /// A new file: its birth, further names, and then its bytes and attributes.
    fn born(&self, file: Unread, details: &Details, found: &mut Findings) {
        let inode = file.inode;
        let op = |link, change| LocalOp {
            inode,
            link,
            change,
            back_date_us: None,
            device: Some(details.stat.image()),
        };
        let mut links = file.links.into_iter();
        let Some((link, first)) = links.next() else {
            return;
        };
        let mut changes = birth_changes(details, first).into_iter();
        let birth = changes.next().map(|birth| op(link, birth));
        let further = links.map(|(link, place)| op(link, Change::Link { place }));
        let named = birth.into_iter().chain(further);
        found
            .txns
            .extend(named.map(|op| LocalTxn { ops: vec![op] }));
        let ops: Vec<LocalOp> = changes
            .map(|change| self.attribute_op(inode, change, details))
            .collect();
        if !ops.is_empty() {
            found.txns.push(LocalTxn { ops });
        }
        found.created.insert(inode);
        self.note_racy(inode, details, &file.seen, found);
    }

    /// What became of a known file; `image` is none when it was removed and is there again.
    pub(super) fn changed(
        &self,
        inode: u64,
        image: Option<Image>,
        details: &Details,
        seen: &[(DevId, Name)],
        found: &mut Findings,
    ) -> Vec<LocalOp> {
        // What was removed and is there again is told as a whole: nobody knows what became of it meanwhile.
        let absent = |kind| Image::absent(inode, kind);
        let Some(image) = image.or_else(|| details.stat.kind.map(absent)) else {
            return Vec::new();
        };
        let changes = attribute_changes(&image, details, self.policy, self.root.privileged());
        self.note_racy(inode, details, seen, found);
        // A save over a file is bound by its operation; without one it has to be told.
        found.quiet.push((inode, details.stat.image()));
        let changes = changes.into_iter();
        changes
            .map(|change| self.attribute_op(inode, change, details))
            .collect()
    }

    pub(super) fn attribute_op(&self, inode: u64, change: Change, details: &Details) -> LocalOp {
        LocalOp {
            inode,
            link: inode,
            change,
            back_date_us: self.back_date.then(|| micros(details.stat.ctime)),
            device: Some(details.stat.image()),
        }
    }

    pub(super) fn note_racy(
        &self,
        inode: u64,
        details: &Details,
        seen: &[(DevId, Name)],
        found: &mut Findings,
    ) {
        found.read.insert(inode);
        if micros(details.stat.ctime).saturating_add(RACY_US) > self.now_us {
            found.racy.insert(inode);
            let dir = seen
                .first()
                .and_then(|(dir, _)| self.snapshot.dirs.get(dir));
            found.racy_dirs.extend(dir.map(|dir| dir.path.clone()));
        }
    }

    /// Reads a file that was seen; None when that failed, which is then noted.
    pub(super) fn read(
        &self,
        id: DevId,
        seen: &[(DevId, Name)],
        found: &mut Findings,
    ) -> Result<Option<Details>> {
        let Some((dir, name)) = seen.first() else {
            return Ok(None);
        };
        let Some(listed) = self.snapshot.dirs.get(dir) else {
            return Ok(None);
        };
        if self.is_unready(seen) {
            return Ok(None);
        }
        match observe(self.root, &listed.path, name, id)? {
            Observed::Read(details) => return Ok(Some(*details)),
            Observed::Busy => {
                found.busy.extend(self.path_of(seen));
            }
            Observed::Vanished => found.vanished += 1,
            Observed::Unreadable(reason) => {
                let kind = NoteKind::Unreadable { reason };
                let notes = self.path_of(seen).map(|path| Note { path, kind });
                found.notes.extend(notes);
            }
        }
        Ok(None)
    }

    /// A program has the file open for writing, by any of its names.
    fn is_unready(&self, seen: &[(DevId, Name)]) -> bool {
        !self.unready.is_empty()
            && seen.iter().any(|(dir, name)| {
                let dir = self.snapshot.dirs.get(dir);
                dir.is_some_and(|dir| self.unready.contains(&(dir.path.clone(), name.clone())))
            })
    }

    pub(super) fn path_of(&self, seen: &[(DevId, Name)]) -> Option<PathBuf> {
        let (dir, name) = seen.first()?;
        let listed = self.snapshot.dirs.get(dir)?;
        Some(self.root.shown(&listed.path, Some(name)))
    }
}
