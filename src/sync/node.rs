//! Pure: one inode with all its registers, and the derived numbers that keep the namespace incremental.
//!
//! Registers are facts; `visible_children`, `current` and the child index are derived from them and change only in
//! [`super::namespace`]. A node exists as soon as anything refers to it: a parent that is not known yet is a node
//! without a place, and what stands in it is pending.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::port::NodeKind;
use super::register::Register;
use crate::journal::dot::{Actor, Dot, LwwKey, Seen};
use crate::journal::entry::RegisterId;
use crate::journal::op::{Content, FileTime, Owner, Place};

/// How many unapplied foreign versions of one inode are told apart; beyond, an actor's newest share one slot, which
/// only makes contexts more cautious.
pub const UNAPPLIED_MAX: usize = 64;

/// Where one hard link stands, or stood last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPlace {
    /// Not unlinked.
    pub live: bool,
    /// The place; of a dead link the last one.
    pub place: Place,
}

/// One write of a directory's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirWrite {
    /// Not removed.
    pub live: bool,
    /// Where it was put; none when only `live` was written.
    pub place: Option<Place>,
}

/// A directory's place: what was written, and where that puts it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DirState {
    /// Versions of the place, to tell concurrent writes.
    pub register: Register<DirWrite>,
    /// The last write of `live` in key order, with its value.
    pub live: Option<(LwwKey, bool)>,
    /// Where it was created; or, where moves were let go, where it stood after the last of them.
    pub birth: Option<(LwwKey, Place)>,
    /// Derived: where the log of moves puts it. None: not known yet.
    pub current: Option<Place>,
    /// Derived: children that are visible, directories and links of files alike.
    pub visible_children: u64,
    /// When a place in it was written for the last time, for whatever stands there or does not: the newest hybrid clock
    /// that was merged then.
    pub changed_us: u64,
}

impl DirState {
    /// Live, or kept for what is in it.
    #[must_use]
    pub fn visible(&self) -> bool {
        self.is_live() || self.visible_children > 0
    }

    /// Not removed by the last write.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live.is_some_and(|(_, live)| live)
    }
}

/// A foreign version that was merged and is not on this site's filesystem yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unapplied {
    /// Value of `merge_gen` that it gave the node.
    pub merge_gen: u32,
    /// Who wrote it.
    pub actor: Actor,
    /// Its seq in the inode's stream.
    pub seq: u64,
}

/// A version without its value.
struct Bare<'a> {
    key: LwwKey,
    hlc_us: u64,
    seen: &'a Seen,
}

/// One inode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// What it is; none until an entry told.
    pub kind: Option<NodeKind>,
    /// Text of a symbolic link.
    pub target: Option<Bytes>,
    /// Bytes of a file.
    pub content: Register<Content>,
    /// Mode.
    pub mode: Register<u32>,
    /// Owner.
    pub owner: Register<Owner>,
    /// mtime as set by hand or at birth.
    pub times: Register<FileTime>,
    /// Inode flags.
    pub flags: Register<u32>,
    /// Extended attributes; a removed one has a version without a value.
    pub xattrs: BTreeMap<Bytes, Register<Option<Bytes>>>,
    /// Places of a file's or symbolic link's names, by link id.
    pub links: BTreeMap<u64, Register<LinkPlace>>,
    /// Place of a directory. Set for anything that serves as a parent.
    pub dir: Option<DirState>,
    /// How many foreign entries touched it.
    pub merge_gen: u32,
    /// Foreign versions that are not applied, by `merge_gen`.
    pub unapplied: Vec<Unapplied>,
    /// Highest stamp of any entry of it.
    pub stamp_max_us: u64,
    /// Highest hybrid clock of any entry of it.
    pub hlc_max_us: u64,
}

/// A link that is shown: live, or resurrected by a write newer than its removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPlace {
    /// The place register's winner.
    pub key: LwwKey,
    /// Where.
    pub place: Place,
    /// The link is dead in its register and shown because the content is newer.
    pub resurrected: bool,
}

impl Node {
    /// What it is, and the text of a symbolic link. Of two that a broken peer says one counts, whichever came first: a
    /// directory before a symbolic link, and that before a file; the greater text.
    pub fn learn(&mut self, kind: Option<NodeKind>, target: Option<Bytes>) {
        const fn rank(kind: NodeKind) -> u8 {
            match kind {
                NodeKind::File => 0,
                NodeKind::Symlink => 1,
                NodeKind::Dir => 2,
            }
        }
        self.kind = self
            .kind
            .into_iter()
            .chain(kind)
            .max_by_key(|kind| rank(*kind));
        let known = self.target.take();
        self.target = known.max(target);
    }

    /// Nothing was ever told of it but what stands in it.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        let dir = self.dir.as_ref();
        let is_placed = dir.is_some_and(|dir| dir.live.is_some() || dir.birth.is_some());
        self.kind.is_none() && !is_placed && self.dots().next().is_none()
    }

    /// Every version of every register.
    pub fn dots(&self) -> impl Iterator<Item = Dot> {
        let plain = self.content.dots().chain(self.mode.dots());
        let plain = plain.chain(self.owner.dots()).chain(self.times.dots());
        let xattrs = self.xattrs.values().flat_map(Register::dots);
        let links = self.links.values().flat_map(Register::dots);
        let dir = self.dir.iter().flat_map(|dir| dir.register.dots());
        let all = plain.chain(self.flags.dots()).chain(xattrs);
        all.chain(links).chain(dir)
    }

    /// The newest stamp in it, of stamps and of hybrid clocks.
    #[must_use]
    pub fn newest_us(&self) -> u64 {
        let mut newest = self.stamp_max_us.max(self.hlc_max_us);
        self.each_version(&mut |version| {
            newest = newest.max(version.hlc_us).max(version.key.timestamp_us);
        });
        if let Some(dir) = &self.dir {
            let keys = dir.live.iter().map(|(key, _)| key);
            let keys = keys.chain(dir.birth.iter().map(|(key, _)| key));
            newest = keys
                .map(|key| key.timestamp_us)
                .max()
                .unwrap_or(0)
                .max(newest);
        }
        newest
    }

    /// The last seq of `actor` that a version is of, or that its author, or that of one before it, claims to have seen.
    #[must_use]
    pub fn claimed_of(&self, actor: Actor) -> u64 {
        let mut last = 0;
        self.each_version(&mut |version| {
            last = last.max(version.seen.get(actor));
            if version.key.dot().actor == actor {
                last = last.max(version.key.seq);
            }
        });
        last.max(self.gone_of(actor))
    }

    /// Every version of every register, without its value.
    fn each_version(&self, visit: &mut dyn FnMut(&Bare<'_>)) {
        fn each<T>(register: &Register<T>, visit: &mut dyn FnMut(&Bare<'_>)) {
            for version in register.versions() {
                visit(&Bare {
                    key: version.key,
                    hlc_us: version.hlc_us,
                    seen: &version.seen,
                });
            }
        }
        each(&self.content, visit);
        each(&self.mode, visit);
        each(&self.owner, visit);
        each(&self.times, visit);
        each(&self.flags, visit);
        for register in self.xattrs.values() {
            each(register, visit);
        }
        for register in self.links.values() {
            each(register, visit);
        }
        if let Some(dir) = &self.dir {
            each(&dir.register, visit);
        }
    }

    /// What versions that are gone had seen of `actor`.
    fn gone_of(&self, actor: Actor) -> u64 {
        let plain = [
            self.content.gone(),
            self.mode.gone(),
            self.owner.gone(),
            self.times.gone(),
            self.flags.gone(),
        ];
        let xattrs = self.xattrs.values().map(Register::gone);
        let links = self.links.values().map(Register::gone);
        let dir = self.dir.iter().map(|dir| dir.register.gone());
        let all = plain.into_iter().chain(xattrs).chain(links).chain(dir);
        all.map(|gone| gone.get(actor)).max().unwrap_or(0)
    }

    /// The versions of one register.
    #[must_use]
    pub fn dots_of(&self, register: &RegisterId) -> BTreeSet<Dot> {
        match register {
            RegisterId::Content => self.content.dots().collect(),
            RegisterId::Mode => self.mode.dots().collect(),
            RegisterId::Owner => self.owner.dots().collect(),
            RegisterId::Times => self.times.dots().collect(),
            RegisterId::Flags => self.flags.dots().collect(),
            RegisterId::Xattr(name) => {
                let register = self.xattrs.get(name).into_iter();
                register.flat_map(Register::dots).collect()
            }
            RegisterId::LinkPlace(link) => {
                let register = self.links.get(link).into_iter();
                register.flat_map(Register::dots).collect()
            }
            RegisterId::DirPlace => {
                let dir = self.dir.iter();
                dir.flat_map(|dir| dir.register.dots()).collect()
            }
        }
    }

    /// Where it stood last, whether it still does or not; none when that was never told.
    #[must_use]
    pub fn last_place(&self) -> Option<Place> {
        if let Some(dir) = &self.dir {
            let written = dir
                .register
                .winner()
                .and_then(|last| last.value.place.clone());
            let born = dir.birth.as_ref().map(|(_, place)| place.clone());
            return dir.current.clone().or(written).or(born);
        }
        let links = self.links.values().filter_map(Register::winner);
        let last = links.max_by_key(|last| (last.value.live, last.key));
        last.map(|last| last.value.place.clone())
    }

    /// The links of a file or symbolic link that are shown, by link id. Liveness rule: any live link; else the most
    /// recently removed one, if the content was written after that removal. None before the birth is known, which
    /// alone tells a file from a symbolic link: another site's rename may arrive earlier. None either of a directory, which
    /// only a broken peer says to have links.
    #[must_use]
    pub fn shown_links(&self) -> BTreeMap<u64, ShownPlace> {
        let mut shown = BTreeMap::new();
        if !matches!(self.kind, Some(NodeKind::File | NodeKind::Symlink)) {
            return shown;
        }
        let mut last_removed: Option<(u64, LwwKey, &Place)> = None;
        for (link, register) in &self.links {
            let Some(winner) = register.winner() else {
                continue;
            };
            let place = &winner.value.place;
            if winner.value.live {
                let shown_place = ShownPlace {
                    key: winner.key,
                    place: place.clone(),
                    resurrected: false,
                };
                shown.insert(*link, shown_place);
            } else if last_removed.is_none_or(|(_, key, _)| winner.key > key) {
                last_removed = Some((*link, winner.key, place));
            }
        }
        if let (true, Some((link, key, place)), Some(content)) =
            (shown.is_empty(), last_removed, self.content.winner())
            && content.key > key
        {
            shown.insert(
                link,
                ShownPlace {
                    key,
                    place: place.clone(),
                    resurrected: true,
                },
            );
        }
        shown
    }

    /// Where the directory stands; None: not known, or no directory.
    #[must_use]
    pub fn current_place(&self) -> Option<Place> {
        self.dir.as_ref()?.current.clone()
    }

    /// The directory state, made when it is first needed.
    pub fn dir_mut(&mut self) -> &mut DirState {
        self.dir.get_or_insert_with(DirState::default)
    }

    /// Notes a foreign version that is merged but not applied.
    pub fn note_unapplied(&mut self, actor: Actor, seq: u64) {
        self.merge_gen = self.merge_gen.saturating_add(1);
        let merge_gen = self.merge_gen;
        let full = self.unapplied.len() >= UNAPPLIED_MAX;
        let newest = self
            .unapplied
            .iter_mut()
            .rev()
            .find(|known| known.actor == actor);
        match newest {
            Some(newest) if full => newest.merge_gen = merge_gen,
            Some(_) | None => self.unapplied.push(Unapplied {
                merge_gen,
                actor,
                seq,
            }),
        }
    }

    /// Forgets what an image of generation `merge_gen` contained.
    pub fn applied_through(&mut self, merge_gen: u32) {
        self.unapplied
            .retain(|unapplied| unapplied.merge_gen > merge_gen);
    }

    /// For each actor with an unapplied version the seq before the first one: how far it may be claimed as seen.
    #[must_use]
    pub fn seen_bounds(&self) -> BTreeMap<Actor, u64> {
        let mut bounds = BTreeMap::new();
        for unapplied in &self.unapplied {
            let bound = bounds.entry(unapplied.actor).or_insert(u64::MAX);
            *bound = (*bound).min(unapplied.seq - 1);
        }
        bounds
    }
}

/// Something of it may be shown.
#[must_use]
pub fn is_shown(node: &Node) -> bool {
    node.dir.as_ref().is_some_and(DirState::visible) || !node.shown_links().is_empty()
}

/// What stands at a name: a directory, or a link of a file or symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Child {
    /// The inode.
    pub inode: u64,
    /// Its link; the inode for a directory.
    pub link: u64,
    /// A directory.
    pub dir: bool,
}

/// A directory move in the log, with what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirMove {
    /// The directory.
    pub inode: u64,
    /// Where it was to go.
    pub to: Place,
    /// Derived: it would have put the directory into itself.
    pub skipped: bool,
    /// Derived: where the directory stood before.
    pub before: Option<Place>,
    /// It is skipped for good: what would tell why is let go.
    pub settled: bool,
}
