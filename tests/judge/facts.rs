//! What every site wrote, having seen what, and what became of bytes on disks: judged without the merge.
//!
//! Imports the words of the journal only. `base` is the oracle's own notion of what an operation replaced: what the
//! user's filesystem showed at that moment.

use std::collections::{BTreeMap, BTreeSet};

use claudefs_repl::journal::codec::decode_change;
use claudefs_repl::journal::{Change, Dot, JournalEntry, Seen};

use super::reference::{Reference, Told};

#[derive(Debug, Clone)]
struct Fact {
    told: Told,
    seen: Seen,
    /// The bytes that the author's filesystem showed of the inode.
    base: Option<Dot>,
}

impl Fact {
    fn writes(&self) -> bool {
        let change = &self.told.change;
        matches!(change, Change::Write { .. } | Change::Truncate { .. })
    }

    fn removes_name(&self) -> bool {
        matches!(self.told.change, Change::Unlink { dir: false, .. })
    }
}

/// Bytes that left a disk although the author of what replaced them may not have known them.
#[derive(Debug, Clone)]
struct Displaced {
    site: usize,
    inode: u64,
    old: Dot,
    new: Option<Dot>,
}

/// What a site says of the register conflicts in the bytes of files, and of removals against writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Losing writes, counting or not.
    pub(crate) writes: BTreeSet<(u64, Dot)>,
    /// Losing writes against writes that count.
    pub(crate) open_writes: BTreeSet<(u64, Dot)>,
}

/// Everything that the author of an entry had seen of its stream, given the vector that holds for the stream.
pub(crate) fn context(entry: &JournalEntry, vector: &Seen) -> Seen {
    let mut seen = vector.clone();
    for (actor, seq) in &entry.seen_except {
        seen.set(*actor, *seq);
    }
    seen.set(entry.actor(), entry.seq - 1);
    seen
}

#[derive(Debug, Default)]
pub(crate) struct Facts {
    all: BTreeMap<Dot, Fact>,
    displaced: Vec<Displaced>,
}

impl Facts {
    pub(crate) fn note(&mut self, entry: &JournalEntry, seen: &Seen, base: Option<Dot>) {
        let told = Told {
            key: entry.key(),
            inode: entry.inode,
            link: entry.link,
            change: decode_change(entry).unwrap(),
        };
        let seen = seen.clone();
        let fact = Fact { told, seen, base };
        self.all.insert(entry.dot(), fact);
    }

    pub(crate) fn displace(&mut self, site: usize, inode: u64, (old, new): (Dot, Option<Dot>)) {
        let displaced = Displaced {
            site,
            inode,
            old,
            new,
        };
        self.displaced.push(displaced);
    }

    /// Whether `old` is `new`, or was on the disk of whoever wrote it, or of whoever wrote that, and so on.
    fn descends(&self, new: Dot, old: Dot) -> bool {
        let mut at = Some(new);
        while let Some(dot) = at {
            if dot == old {
                return true;
            }
            at = self.all.get(&dot).and_then(|fact| fact.base);
        }
        false
    }

    fn contents(&self) -> BTreeMap<u64, Vec<(Dot, &Fact)>> {
        let mut contents: BTreeMap<u64, Vec<(Dot, &Fact)>> = BTreeMap::new();
        for (dot, fact) in &self.all {
            if fact.writes() {
                contents
                    .entry(fact.told.inode)
                    .or_default()
                    .push((*dot, fact));
            }
        }
        contents
    }

    /// Writes that nobody who wrote later had seen, but for the last one: (inode, version).
    pub(crate) fn concurrent_losers(&self) -> BTreeSet<(u64, Dot)> {
        let mut losers = BTreeSet::new();
        for (inode, writes) in self.contents() {
            let last = writes.iter().map(|(_, fact)| fact.told.key).max();
            for (dot, fact) in &writes {
                let seen = writes
                    .iter()
                    .any(|(other, later)| other != dot && later.seen.has(*dot));
                if !seen && Some(fact.told.key) != last {
                    losers.insert((inode, *dot));
                }
            }
        }
        losers
    }

    /// What everything together amounts to.
    pub(crate) fn reference(&self) -> Reference {
        Reference::of(self.all.values().map(|fact| fact.told.clone()).collect())
    }

    /// Every concurrent loser is on record at the site, and nothing else counts.
    pub(crate) fn check_losers(&self, site: usize, recorded: &Recorded) -> Result<(), String> {
        let losers = self.concurrent_losers();
        if recorded.open_writes == losers {
            return Ok(());
        }
        let missing: Vec<_> = losers.difference(&recorded.open_writes).collect();
        let extra: Vec<_> = recorded.open_writes.difference(&losers).collect();
        Err(format!(
            "losers at site {site}: not recorded {missing:?}, recorded without reason {extra:?}"
        ))
    }

    /// No bytes left a disk unless the author of what replaced them had them, or a record keeps them.
    pub(crate) fn check_displaced(
        &self,
        recorded: &[Recorded],
        finally: &BTreeMap<u64, Dot>,
    ) -> Result<(), String> {
        for displaced in &self.displaced {
            let (inode, old) = (displaced.inode, displaced.old);
            let known = match displaced.new {
                Some(new) => self.descends(new, old),
                None => self.removed_knowingly(displaced) || self.is_back(finally, inode, old),
            };
            let at = &recorded[displaced.site].writes;
            let kept = at
                .iter()
                .any(|(of, loser)| *of == inode && self.descends(*loser, old));
            if !known && !kept {
                let (site, new) = (displaced.site, displaced.new);
                return Err(format!(
                    "site {site}: bytes {old} of {inode:x} left the disk in silence for {new:?}"
                ));
            }
        }
        Ok(())
    }

    /// Somebody whose disk showed the bytes removed a name of the file. The site need not have known that yet: while
    /// a directory has not arrived, what was moved there is not shown.
    fn removed_knowingly(&self, displaced: &Displaced) -> bool {
        self.all.values().any(|fact| {
            fact.told.inode == displaced.inode
                && fact.removes_name()
                && fact
                    .base
                    .is_some_and(|base| self.descends(base, displaced.old))
        })
    }

    /// The removal did not last.
    fn is_back(&self, finally: &BTreeMap<u64, Dot>, inode: u64, old: Dot) -> bool {
        let shown = finally.get(&inode);
        shown.is_some_and(|shown| self.descends(*shown, old))
    }
}
