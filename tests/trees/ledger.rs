//! Where every file's bytes went: no bytes may be gone that nobody replaced or removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What was written, and what its users replaced or removed.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    next: BTreeMap<u64, u64>,
    replaced: BTreeSet<Vec<u8>>,
    seen: BTreeSet<Vec<u8>>,
}

impl Ledger {
    /// Bytes that nobody wrote before.
    pub(super) fn fresh(&mut self, site: u64) -> String {
        let next = self.next.entry(site).or_default();
        *next += 1;
        format!("<{site}-{next}>")
    }

    /// A user saw these bytes and put something else in their place, or nothing.
    pub(super) fn replaced(&mut self, bytes: Option<Vec<u8>>) {
        self.replaced.extend(bytes);
    }

    /// Notes the files of a tree at a moment in which its site has noticed everything.
    pub(super) fn note(&mut self, tree: &Path) {
        collect(tree, &mut |_, bytes| {
            self.seen.insert(bytes);
        });
    }

    /// Bytes that were seen and neither replaced by a user nor among `kept`.
    pub(super) fn lost(&self, kept: &BTreeSet<Vec<u8>>) -> Vec<String> {
        let lost = self.seen.iter().filter(|bytes| {
            !bytes.is_empty() && !self.replaced.contains(*bytes) && !kept.contains(*bytes)
        });
        lost.map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned())
            .collect()
    }
}

/// Calls `each` with the path and the bytes of every regular file below `dir`.
pub(super) fn collect(dir: &Path, each: &mut dyn FnMut(&Path, Vec<u8>)) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            collect(&path, each);
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            each(&path, bytes);
        }
    }
}
