//! Pure: what is shown, as a function of the registers: groups of merged directories, name clashes, images.
//!
//! Nothing here is stored and nothing depends on the order of arrival. Rules: directories of one name in one
//! directory are one directory, represented by the smallest inode; a directory keeps its name against files; among
//! files the greatest key keeps it and the others are shown beside it under a name made of their own, their site and
//! their inode.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::core::Core;
use super::namespace::DEPTH_MAX;
use super::node::Node;
use super::port::{Image, NodeKind, ShownLink, Versioned};
use super::register::{Register, Version};
use super::state::State;
use crate::error::Result;
use crate::journal::dot::{LwwKey, ROOT_INODE};
use crate::journal::op::{NAME_BYTES_MAX, Name, Place};

/// Marks the names of files that gave way to another of the same name.
const CONFLICT_MARK: &str = ".cfs-conflict-";
/// Set-uid and set-gid.
pub const SUID_SGID: u32 = 0o6000;
/// Crockford's base32 in lower case: no letters that look like digits.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Digits of a 64-bit number in base 32.
const BASE32_DIGITS: usize = 13;

/// A file that stands at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileAt {
    /// Greatest key of its links there.
    pub(super) key: LwwKey,
    /// The inode.
    pub(super) inode: u64,
    /// Its links there: one entry, however many.
    pub(super) links: Vec<u64>,
}

/// Everything that claims one name in one shown directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Slot {
    /// Visible directories, ascending: shown as one.
    pub(super) dirs: Vec<u64>,
    /// Files and symbolic links, greatest key first.
    pub(super) files: Vec<FileAt>,
}

impl Slot {
    /// The file shown under the name itself.
    fn file_winner(&self) -> Option<&FileAt> {
        if self.dirs.is_empty() {
            self.files.first()
        } else {
            None
        }
    }
}

impl<S: State> Core<S> {
    /// The directories that are shown as one with `directory`, ascending; the first one represents them. None: it is
    /// not shown, or something above it is not known yet.
    pub fn group(&self, directory: u64) -> Result<Option<Vec<u64>>> {
        let Some(chain) = self.chain(directory)? else {
            return Ok(None);
        };
        let mut members = vec![ROOT_INODE];
        for (_, place) in chain.iter().rev() {
            members = self.visible_dirs(&members, place)?;
        }
        Ok(Some(members))
    }

    /// The groups of `directory` and of every directory above it, in one walk; none where [`Core::group`] says none.
    pub(super) fn groups(&self, directory: u64) -> Result<BTreeMap<u64, Vec<u64>>> {
        let mut groups = BTreeMap::new();
        let mut members = vec![ROOT_INODE];
        for (inode, place) in self.chain(directory)?.unwrap_or_default().iter().rev() {
            members = self.visible_dirs(&members, place)?;
            groups.insert(*inode, members.clone());
        }
        Ok(groups)
    }

    /// `directory` and what is above it, with their places; none when one of them is not visible.
    fn chain(&self, directory: u64) -> Result<Option<Vec<(u64, Place)>>> {
        let mut chain = Vec::new();
        let mut at = directory;
        while at != ROOT_INODE {
            let node = self.load(at)?;
            let Some(dir) = &node.dir else {
                return Ok(None);
            };
            let (true, Some(place)) = (dir.visible(), dir.current.clone()) else {
                return Ok(None);
            };
            if chain.len() == DEPTH_MAX {
                return Ok(None);
            }
            let inode = std::mem::replace(&mut at, place.parent);
            chain.push((inode, place));
        }
        Ok(Some(chain))
    }

    /// Everything that claims the name `name` in the group `members`.
    pub(super) fn slot(&self, members: &[u64], name: &Name) -> Result<Slot> {
        let place = Place {
            parent: 0,
            name: name.clone(),
        };
        let mut slot = Slot {
            dirs: self.visible_dirs(members, &place)?,
            files: Vec::new(),
        };
        for member in members {
            for child in self
                .state
                .children_at(*member, name)?
                .into_iter()
                .filter(|c| !c.dir)
            {
                let shown = self.load(child.inode)?.shown_links();
                let Some(link) = shown.get(&child.link) else {
                    continue;
                };
                match slot.files.iter_mut().find(|file| file.inode == child.inode) {
                    Some(file) => {
                        file.links.push(child.link);
                        file.key = file.key.max(link.key);
                    }
                    None => slot.files.push(FileAt {
                        key: link.key,
                        inode: child.inode,
                        links: vec![child.link],
                    }),
                }
            }
        }
        slot.files.sort_by_key(|file| std::cmp::Reverse(file.key));
        Ok(slot)
    }

    /// What the connector is to show of `inode`.
    pub fn image(&self, inode: u64) -> Result<Image> {
        let node = self.load(inode)?;
        let kind = node.kind.unwrap_or(NodeKind::File);
        let mut image = Image::absent(inode, kind);
        image.order_us = node.hlc_max_us;
        image.merge_gen = node.merge_gen;
        match kind {
            NodeKind::Dir => self.show_dir(&node, &mut image)?,
            NodeKind::File | NodeKind::Symlink => self.show_links(&node, &mut image)?,
        }
        if !image.links.is_empty() {
            show_values(&node, &mut image);
        }
        Ok(image)
    }

    fn show_dir(&self, node: &Node, image: &mut Image) -> Result<()> {
        let Some(group) = self.group(image.inode)? else {
            return Ok(());
        };
        let Some(dir) = &node.dir else { return Ok(()) };
        let (Some(place), Some((key, live))) = (&dir.current, dir.live) else {
            return Ok(());
        };
        let parent = self
            .group(place.parent)?
            .and_then(|members| members.first().copied());
        let Some(parent) = parent else { return Ok(()) };
        image.merged_into = group.first().copied().filter(|first| *first != image.inode);
        image.links.push(ShownLink {
            link: image.inode,
            parent,
            name: place.name.clone(),
            dot: key.dot(),
            explicit: live,
        });
        Ok(())
    }

    fn show_links(&self, node: &Node, image: &mut Image) -> Result<()> {
        for (link, shown) in node.shown_links() {
            let Some(members) = self.group(shown.place.parent)? else {
                continue;
            };
            let Some(parent) = members.first().copied() else {
                continue;
            };
            let name = &shown.place.name;
            let slot = self.slot(&members, name)?;
            let wins = slot
                .file_winner()
                .is_some_and(|winner| winner.inode == image.inode);
            let shown_name = if wins {
                name.clone()
            } else {
                // Several links of it there are one entry, so one of them gives the name for all.
                let file = slot.files.iter().find(|file| file.inode == image.inode);
                let site = file.map_or(shown.key, |file| file.key).site_id;
                let first = file.and_then(|file| file.links.iter().min()).copied();
                self.free_conflict_name(&members, name, site, image.inode, first.unwrap_or(link))?
            };
            image.links.push(ShownLink {
                link,
                parent,
                explicit: wins && !shown.resurrected,
                name: shown_name,
                dot: shown.key.dot(),
            });
        }
        Ok(())
    }

    /// A name for a file that gave way, which nobody claims as its own.
    fn free_conflict_name(
        &self,
        members: &[u64],
        name: &Name,
        site: u64,
        inode: u64,
        link: u64,
    ) -> Result<Name> {
        let mut attempt = 1;
        loop {
            let candidate = conflict_name(name, site, inode, link, attempt);
            let claimed = self.slot(members, &candidate)?;
            if claimed == Slot::default() {
                return Ok(candidate);
            }
            attempt += 1;
        }
    }
}

/// The name under which a file is shown that gave way to another one of the name `name`:
/// `stem.cfs-conflict-SITE-INODE.ext`, with the link behind the inode unless it is the first one, and the attempt
/// behind that unless it is the first one. The stem is cut to fit 255 bytes; it need not be UTF-8.
#[must_use]
pub fn conflict_name(name: &Name, site: u64, inode: u64, link: u64, attempt: u32) -> Name {
    let bytes = name.as_bytes();
    // A leading dot does not start an extension. An overlong one is part of the stem, and so is a mark: the last one of a
    // name tells who gave way.
    let dot = bytes
        .iter()
        .rposition(|byte| *byte == b'.')
        .filter(|at| *at > 0);
    let (stem, extension) = match dot {
        Some(at)
            if bytes.len() - at <= 32 && !bytes[at..].starts_with(CONFLICT_MARK.as_bytes()) =>
        {
            bytes.split_at(at)
        }
        Some(_) | None => (bytes, &b""[..]),
    };
    let mut mark = format!("{CONFLICT_MARK}{site}-{}", base32(inode));
    if link != inode {
        mark.push('-');
        mark.push_str(&base32(link));
    }
    if attempt > 1 {
        mark.push('-');
        mark.push_str(&attempt.to_string());
    }
    let room = NAME_BYTES_MAX.saturating_sub(mark.len() + extension.len());
    let mut stem = &stem[..stem.len().min(room)];
    if stem.len() < bytes.len() - extension.len() {
        // Cut between characters where the bytes are UTF-8.
        while let Some((last, rest)) = stem.split_last()
            && std::str::from_utf8(stem).is_err()
            && *last >= 0x80
        {
            stem = rest;
        }
    }
    let shown = [stem, mark.as_bytes(), extension].concat();
    Name::new(shown).unwrap_or_else(|_| name.clone())
}

/// The inode in a name made by [`conflict_name`].
#[must_use]
pub fn conflict_name_inode(name: &Name) -> Option<u64> {
    let bytes = name.as_bytes();
    let mark = CONFLICT_MARK.as_bytes();
    let start = bytes
        .windows(mark.len())
        .rposition(|window| window == mark)?
        + mark.len();
    let rest = &bytes[start..];
    let dash = rest.iter().position(|byte| *byte == b'-')?;
    let digits = rest.get(dash + 1..dash + 1 + BASE32_DIGITS)?;
    digits.iter().try_fold(0u64, |number, digit| {
        let value = BASE32.iter().position(|known| known == digit)?;
        Some((number << 5) | value as u64)
    })
}

fn base32(mut number: u64) -> String {
    let mut digits = [b'0'; BASE32_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE32[(number & 31) as usize];
        number >>= 5;
    }
    String::from_utf8_lossy(&digits).into_owned()
}

fn show_values(node: &Node, image: &mut Image) {
    fn shown<T: Clone>(version: &Version<T>) -> Versioned<T> {
        Versioned {
            dot: version.dot(),
            value: version.value.clone(),
        }
    }
    fn winner<T: Clone>(register: &Register<T>) -> Option<Versioned<T>> {
        register.winner().map(shown)
    }
    image.content = winner(&node.content);
    image.mode = winner(&node.mode);
    if let (Some(mode), true) = (&mut image.mode, drops_suid(node)) {
        mode.value &= !SUID_SGID;
    }
    image.owner = winner(&node.owner);
    image.flags = winner(&node.flags);
    image.mtime = match (node.content.winner(), node.times.winner()) {
        (Some(content), times) if times.is_none_or(|times| content.key > times.key) => {
            Some(Versioned {
                dot: content.dot(),
                value: content.value.mtime,
            })
        }
        (_, times) => times.map(shown),
    };
    image.target.clone_from(&node.target);
    for (name, register) in &node.xattrs {
        let Some(version) = register.winner() else {
            continue;
        };
        if let Some(value) = &version.value {
            let value: Bytes = value.clone();
            image.xattrs.insert(
                name.clone(),
                Versioned {
                    dot: version.dot(),
                    value,
                },
            );
        }
    }
}

/// Content and a mode with set-uid or set-gid come from authors who had not seen each other: no site ever had the
/// combination, so the bits are not shown.
pub(super) fn drops_suid(node: &Node) -> bool {
    match (node.mode.winner(), node.content.winner()) {
        (Some(mode), Some(content)) => mode.value & SUID_SGID != 0 && mode.concurrent_with(content),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &[u8]) -> Name {
        Name::new(text.to_vec()).unwrap()
    }

    fn shown(text: &[u8]) -> String {
        let inode = (2 << 48) | 5;
        let name = conflict_name(&name(text), 2, inode, inode, 1);
        String::from_utf8_lossy(name.as_bytes()).into_owned()
    }

    #[test]
    fn conflict_names_keep_stem_and_extension() {
        assert_eq!(
            shown(b"plan.xlsx"),
            "plan.cfs-conflict-2-000g000000005.xlsx"
        );
        assert_eq!(shown(b".profile"), ".profile.cfs-conflict-2-000g000000005");
        assert_eq!(shown(b"Makefile"), "Makefile.cfs-conflict-2-000g000000005");
    }

    #[test]
    fn conflict_names_fit_and_are_cut_between_characters() {
        let long = "\u{e9}".repeat(127);
        let made = conflict_name(&name(long.as_bytes()), 65_535, u64::MAX, 1, 12);
        assert!(made.as_bytes().len() <= NAME_BYTES_MAX);
        assert!(std::str::from_utf8(made.as_bytes()).is_ok());
        let bytes = vec![0xFF; 255];
        assert!(conflict_name(&name(&bytes), 1, 1, 1, 1).as_bytes().len() <= NAME_BYTES_MAX);
    }

    #[test]
    fn a_conflict_name_tells_its_inode() {
        for inode in [1, 77, (65_535 << 48) | 0xFFFF_FFFF, u64::MAX] {
            let made = conflict_name(&name(b"a.b-c.txt"), 3, inode, 9, 2);
            assert_eq!(conflict_name_inode(&made), Some(inode));
        }
        assert_eq!(conflict_name_inode(&name(b"plain.cfs-conflict-x")), None);
    }

    #[test]
    fn a_made_name_that_gives_way_again_tells_the_inode_that_gave_way_last() {
        for text in [&b"x"[..], b"x.txt"] {
            let made = conflict_name(&name(text), 2, 77, 77, 1);
            let again = conflict_name(&made, 3, 78, 78, 1);
            assert_eq!(conflict_name_inode(&again), Some(78), "{again:?}");
        }
    }
}
