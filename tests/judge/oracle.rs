//! A naive filesystem, and what must hold of it: imports nothing of the merge that it judges.
//!
//! A [`Tree`] is what a site's user sees. It changes by local operations with POSIX semantics, and by being told for
//! whole inodes what they look like. It refuses what no filesystem could show: two things at one name, a directory
//! without a way to the root.

use std::collections::{BTreeMap, BTreeSet};

use claudefs_repl::journal::Dot;

pub(crate) const ROOT: u64 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    Symlink,
}

/// One name of an inode: hard link id, directory, name.
pub(crate) type Link = (u64, u64, Vec<u8>);

/// Everything of an inode but its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) kind: Kind,
    /// Which write made the bytes, and the bytes.
    pub(crate) content: Option<(Dot, u64)>,
    pub(crate) mode: Option<u32>,
    pub(crate) mtime: Option<i64>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) target: Option<Vec<u8>>,
}

impl Values {
    pub(crate) const fn of(kind: Kind) -> Self {
        Self {
            kind,
            content: None,
            mode: None,
            mtime: None,
            xattrs: BTreeMap::new(),
            target: None,
        }
    }
}

/// An inode as it is shown; without links it is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) links: Vec<Link>,
    pub(crate) values: Values,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<u64, Shown>,
}

impl Tree {
    pub(crate) fn get(&self, inode: u64) -> Option<&Shown> {
        self.nodes.get(&inode)
    }

    pub(crate) fn values_mut(&mut self, inode: u64) -> &mut Values {
        &mut self
            .nodes
            .get_mut(&inode)
            .expect("the inode is shown")
            .values
    }

    pub(crate) fn content(&self, inode: u64) -> Option<Dot> {
        Some(self.nodes.get(&inode)?.values.content?.0)
    }

    pub(crate) fn inodes(&self) -> BTreeSet<u64> {
        self.nodes.keys().copied().collect()
    }

    /// What stands where, each name once.
    pub(crate) fn names(&self) -> BTreeMap<(u64, Vec<u8>), u64> {
        let mut names = BTreeMap::new();
        for (inode, shown) in &self.nodes {
            for (_, parent, name) in &shown.links {
                names.insert((*parent, name.clone()), *inode);
            }
        }
        names
    }

    pub(crate) fn at(&self, directory: u64, name: &[u8]) -> Option<u64> {
        let here = |link: &Link| link.1 == directory && link.2 == name;
        let found = self.nodes.iter();
        found
            .filter(|(_, shown)| shown.links.iter().any(here))
            .map(|(inode, _)| *inode)
            .next()
    }

    /// Link ids of `inode` at a name.
    pub(crate) fn links_at(&self, inode: u64, directory: u64, name: &[u8]) -> Vec<u64> {
        let links = self.nodes.get(&inode).map_or(&[][..], |shown| &shown.links);
        let here = links
            .iter()
            .filter(|link| link.1 == directory && link.2 == name);
        here.map(|link| link.0).collect()
    }

    pub(crate) fn is_empty_dir(&self, directory: u64) -> bool {
        let inside = |shown: &Shown| shown.links.iter().any(|link| link.1 == directory);
        !self.nodes.values().any(inside)
    }

    /// Whether `at` is `directory` or stands below it.
    pub(crate) fn is_inside(&self, at: u64, directory: u64) -> bool {
        let mut at = at;
        for _ in 0..=self.nodes.len() {
            if at == directory {
                return true;
            }
            match self.nodes.get(&at).and_then(|shown| shown.links.first()) {
                Some(link) => at = link.1,
                None => return false,
            }
        }
        true
    }

    /// Directories, the root among them.
    pub(crate) fn dirs(&self) -> Vec<u64> {
        let dirs = self.nodes.iter();
        let dirs = dirs.filter(|(_, shown)| shown.values.kind == Kind::Dir);
        std::iter::once(ROOT)
            .chain(dirs.map(|(inode, _)| *inode))
            .collect()
    }

    pub(crate) fn insert(&mut self, inode: u64, link: Link, values: Values) {
        let links = vec![link];
        self.nodes.insert(inode, Shown { links, values });
    }

    pub(crate) fn add_link(&mut self, inode: u64, link: Link) {
        let shown = self.nodes.get_mut(&inode).expect("the inode is shown");
        shown.links.push(link);
    }

    /// Another id for an inode or a link.
    pub(crate) fn rename(&mut self, old: u64, new: u64) {
        if let Some(shown) = self.nodes.remove(&old) {
            self.nodes.insert(new, shown);
        }
        for (link, parent, _) in self.nodes.values_mut().flat_map(|shown| &mut shown.links) {
            for id in [link, parent] {
                if *id == old {
                    *id = new;
                }
            }
        }
    }

    /// Names the versions of the bytes, as far as they are known by now.
    pub(crate) fn date_contents(&mut self, version_of: &dyn Fn(u64) -> Option<Dot>) {
        for shown in self.nodes.values_mut() {
            if let Some((version, bytes)) = &mut shown.values.content {
                *version = version_of(*bytes).unwrap_or(*version);
            }
        }
    }

    /// Takes the name away, whatever stands there; an inode without a name is gone.
    pub(crate) fn remove(&mut self, directory: u64, name: &[u8]) {
        for shown in self.nodes.values_mut() {
            shown
                .links
                .retain(|link| link.1 != directory || link.2 != name);
        }
        self.nodes.retain(|_, shown| !shown.links.is_empty());
    }

    /// Whether a user sees no difference.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        let values = |tree: &Self| {
            let nodes = tree.nodes.clone().into_iter();
            nodes
                .map(|(inode, shown)| (inode, shown.values))
                .collect::<BTreeMap<_, _>>()
        };
        self.names() == other.names() && values(self) == values(other)
    }

    /// The tree with inodes shown as told, or why no filesystem shows that.
    pub(crate) fn told(&self, images: &[(u64, Shown)]) -> Result<Self, String> {
        let mut told = self.clone();
        for (inode, shown) in images {
            if shown.links.is_empty() {
                told.nodes.remove(inode);
            } else {
                told.nodes.insert(*inode, shown.clone());
            }
        }
        match told.fault() {
            None => Ok(told),
            Some(fault) => Err(fault),
        }
    }

    /// What no filesystem could show.
    fn fault(&self) -> Option<String> {
        let mut names: BTreeMap<(u64, &[u8]), u64> = BTreeMap::new();
        for (inode, shown) in &self.nodes {
            let dir = shown.values.kind == Kind::Dir;
            if dir && shown.links.len() != 1 {
                return Some(format!("directory {inode:x} has several names"));
            }
            for (_, parent, name) in &shown.links {
                let other = names.insert((*parent, name), *inode);
                if let Some(other) = other.filter(|other| other != inode) {
                    let name = name.escape_ascii();
                    return Some(format!(
                        "{other:x} and {inode:x} stand at {parent:x}/{name}"
                    ));
                }
                let held = self.nodes.get(parent);
                let is_dir = held.is_some_and(|held| held.values.kind == Kind::Dir);
                if *parent != ROOT && !is_dir {
                    return Some(format!(
                        "{inode:x} stands in {parent:x}, which is no directory"
                    ));
                }
            }
            if dir && !self.is_inside(*inode, ROOT) {
                return Some(format!("directory {inode:x} has no way to the root"));
            }
            if dir && self.is_inside(shown.links[0].1, *inode) {
                return Some(format!("directory {inode:x} stands in itself"));
            }
        }
        None
    }

    /// For people.
    pub(crate) fn print(&self) -> String {
        let mut text = String::new();
        self.print_dir(ROOT, 1, &mut text);
        text
    }

    fn print_dir(&self, directory: u64, depth: usize, text: &mut String) {
        for ((parent, name), inode) in self.names() {
            if parent != directory {
                continue;
            }
            let indent = "  ".repeat(depth);
            let name = name.escape_ascii();
            let values = &self.nodes[&inode].values;
            let content = values.content.map_or_else(String::new, |(dot, bytes)| {
                format!(" bytes {bytes} of {dot}")
            });
            let mode = values.mode.unwrap_or(0);
            *text += &format!(
                "{indent}{name} [{inode:x}] {:?} {mode:o} mtime {:?}{content} {:?}\n",
                values.kind, values.mtime, values.xattrs
            );
            if values.kind == Kind::Dir && depth < 30 {
                self.print_dir(inode, depth + 1, text);
            }
        }
    }
}
