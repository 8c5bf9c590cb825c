//! One round of noticing: list, compare, make durable, journal.
//!
//! The order is the promise: what an entry describes is on disk before the entry is, so that a power loss cannot turn
//! an old file into a newer version that wins everywhere.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use super::agenda::FileAt;
use super::diff::{Findings, Reader, Rules, diff};
use super::policy::Policy;
use super::root::Root;
use super::walk::{Note, NoteKind, Snapshot};
use crate::error::{ReplError, Result};
use crate::failpoint;
use crate::journal::op::Name;
use crate::sync::port::Engine;

/// What a round looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The whole tree.
    Tree,
    /// These directories, and new ones below them.
    Dirs(BTreeSet<Vec<Name>>),
}

/// Why what goes away in a tree is not believed: it looks as if the filesystem were gone, and not its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disbelief {
    /// Another directory stands at the path of the root, or none: nothing is journaled, and nothing applied.
    Moved,
    /// The root has no marker, or that of another tree: nothing is journaled.
    Marker,
    /// The root was found empty: no removal is journaled until everything is back, or an operator says that it is
    /// meant. Something new in the root proves nothing.
    EmptyRoot,
}

impl fmt::Display for Disbelief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Moved => {
                "another directory stands at its path, or none: nothing is journaled or applied"
            }
            Self::Marker => ".cfs-repl/id is missing or another one: nothing is journaled",
            Self::EmptyRoot => "the root was empty: no removal is journaled",
        })
    }
}

/// What a round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// Transactions that were journaled.
    pub txns: u64,
    /// Operations in them.
    pub ops: u64,
    /// Files and directories that differ from what was replicated and were not journaled because this site only
    /// receives.
    pub diverged: u64,
    /// Removals that were not believed in this round, and what has to wait with them.
    pub held: u64,
    /// Why removals are not believed until a human looked, if so.
    pub brake: Option<Disbelief>,
    /// Files that keep changing; they come again.
    pub busy: BTreeSet<PathBuf>,
    /// What is left alone.
    pub notes: BTreeSet<Note>,
    /// Directories that hold files which were read so soon after their last change that they are to be read again.
    pub racy: BTreeSet<Vec<Name>>,
    /// Whether the whole tree was looked at in one state; `busy` and unready files aside, which come again.
    pub complete: bool,
    /// Files that went elsewhere, or away, between being seen and being read.
    pub vanished: u64,
}

impl ScanReport {
    /// What is no part of replication, in order of paths; without what only cannot be read.
    pub fn left_alone(&self) -> impl Iterator<Item = &Note> {
        let is_kind = |note: &&Note| !matches!(note.kind, NoteKind::Unreadable { .. });
        self.notes.iter().filter(is_kind)
    }
}

/// Called between two pieces of a round that reads much; false ends the round, and the rest is found by the next one.
pub type Between<'a> = dyn FnMut(&Root) -> Result<bool> + 'a;

/// What the rounds remember between them.
#[derive(Debug, Default)]
pub struct Memory {
    /// Files created here that no image touched: candidates of a save.
    pub own: BTreeSet<u64>,
    /// Files to be read again although they look the same.
    pub racy: BTreeSet<u64>,
    /// Files that programs are writing, as of the next round: left as they are.
    pub unready: BTreeSet<FileAt>,
    /// An operator said that the tree was emptied on purpose: believed in the next look at everything, and only then.
    pub empty_is_meant: bool,
    /// The root was found empty, and what went away is not believed since.
    pub doubts: bool,
}

/// What a round needs beside the tree.
#[derive(Debug, Clone, Copy)]
pub struct ScanOptions<'a> {
    /// Names and bits that are left alone.
    pub policy: &'a Policy,
    /// Wall clock at the start of the round.
    pub now_us: u64,
    /// Changes may have happened while nobody watched.
    pub back_date: bool,
    /// This site only receives: changes are counted, not journaled.
    pub receive_only: bool,
}

impl<'a> ScanOptions<'a> {
    fn reader<'r>(
        &self,
        root: &'r Root,
        snapshot: &'r Snapshot,
        unready: &'r BTreeSet<FileAt>,
    ) -> Reader<'r>
    where
        'a: 'r,
    {
        Reader {
            root,
            snapshot,
            policy: self.policy,
            unready,
            now_us: self.now_us,
            back_date: self.back_date,
        }
    }
}

/// Files remembered as created here; beyond it the oldest numbers are forgotten, and a save of theirs is a rename.
const OWN_MAX: usize = 100_000;

/// Looks at `scope` of the tree and journals what changed.
///
/// # Errors
/// When the engine or a sync fails: nothing may be taken as journaled then.
pub fn scan(
    engine: &mut dyn Engine,
    root: &Root,
    memory: &mut Memory,
    scope: &Scope,
    options: &ScanOptions<'_>,
    between: &mut Between<'_>,
) -> Result<ScanReport> {
    let mut report = ScanReport::default();
    if !root.is_in_place() {
        report.brake = Some(Disbelief::Moved);
        return Ok(report);
    }
    if !root.marker_is_ours()? {
        report.brake = Some(Disbelief::Marker);
        return Ok(report);
    }
    let unready = std::mem::take(&mut memory.unready);
    let rules = Rules {
        own: &memory.own,
        recheck: &memory.racy,
        empty_is_meant: memory.empty_is_meant,
        doubts: memory.doubts,
    };
    let mut snapshot = take(engine, root, scope, options.policy)?;
    let mut found = diff(engine, options.reader(root, &snapshot, &unready), rules)?;
    if found.need_full {
        snapshot = take(engine, root, &Scope::Tree, options.policy)?;
        found = diff(engine, options.reader(root, &snapshot, &unready), rules)?;
    }
    memory.doubts |= found.root_empty && found.held_unlinks > 0;
    let is_all_back = snapshot.full && snapshot.stable && found.held_unlinks == 0;
    if is_all_back || memory.empty_is_meant {
        memory.doubts = false;
    }
    if memory.doubts {
        report.brake = Some(Disbelief::EmptyRoot);
    }
    report.held = found.held_unlinks + found.held_steps;
    report.complete =
        snapshot.full && snapshot.stable && report.held == 0 && report.brake.is_none();
    report.notes = std::mem::take(&mut snapshot.notes);
    let mut round = Round {
        engine,
        reader: options.reader(root, &snapshot, &unready),
        receive_only: options.receive_only,
        report,
        read: BTreeSet::new(),
        racy: BTreeSet::new(),
    };
    let is_whole = round.publish_all(&mut memory.own, found, between)?;
    let (read, racy) = (round.read, round.racy);
    let mut report = round.report;
    report.complete &= is_whole;
    if options.receive_only {
        return Ok(report);
    }
    if snapshot.full && is_whole {
        memory.racy.clear();
        memory.empty_is_meant = false;
    }
    memory.racy.retain(|inode| !read.contains(inode));
    memory.racy.extend(racy);
    Ok(report)
}

/// A round that tells what it found.
struct Round<'a> {
    engine: &'a mut dyn Engine,
    reader: Reader<'a>,
    receive_only: bool,
    report: ScanReport,
    read: BTreeSet<u64>,
    racy: BTreeSet<u64>,
}

impl Round<'_> {
    /// What was found, together with the first files that are to be read, then the others. False: it was ended early.
    fn publish_all(
        &mut self,
        own: &mut BTreeSet<u64>,
        mut found: Findings,
        between: &mut Between<'_>,
    ) -> Result<bool> {
        let mut unread = std::mem::take(&mut found.unread);
        loop {
            self.reader.piece(self.engine, &mut unread, &mut found)?;
            self.publish(own, found)?;
            if unread.is_empty() {
                return Ok(true);
            }
            if !between(self.reader.root)? {
                return Ok(false);
            }
            found = Findings::default();
        }
    }

    fn publish(&mut self, own: &mut BTreeSet<u64>, mut found: Findings) -> Result<()> {
        let report = &mut self.report;
        report.busy.append(&mut found.busy);
        report.racy.append(&mut found.racy_dirs);
        report.notes.append(&mut found.notes);
        report.vanished += found.vanished;
        let ops: u64 = found.txns.iter().map(|txn| txn.ops.len() as u64).sum();
        if self.receive_only {
            let ops = found.txns.iter().flat_map(|txn| &txn.ops);
            let differ: BTreeSet<u64> = ops.map(|op| op.inode).collect();
            report.diverged += differ.len() as u64;
            return Ok(());
        }
        report.ops += ops;
        report.txns += found.txns.len() as u64;
        for txn in &found.txns {
            tracing::trace!(ops = ?txn.ops, "noticed");
        }
        if !found.txns.is_empty() {
            failpoint::pass("observe");
            make_durable(self.reader.root, self.reader.snapshot)?;
            failpoint::pass("sync tree");
            self.engine.submit(found.txns)?;
            failpoint::pass("submit");
        }
        if !found.quiet.is_empty() {
            failpoint::pass("set devices");
        }
        for (inode, device) in found.quiet {
            self.engine.set_device(inode, Some(device))?;
        }
        own.extend(found.created);
        while own.len() > OWN_MAX {
            own.pop_first();
        }
        self.read.append(&mut found.read);
        self.racy.append(&mut found.racy);
        Ok(())
    }
}

fn take(engine: &mut dyn Engine, root: &Root, scope: &Scope, policy: &Policy) -> Result<Snapshot> {
    match scope {
        Scope::Tree => Snapshot::of_tree(root, policy),
        Scope::Dirs(paths) => {
            let paths = paths.iter().cloned().collect();
            Snapshot::of_dirs(root, policy, paths, &mut |stat| {
                Ok(engine.inode_of(stat.id.ino, stat.id.btime)?.is_none())
            })
        }
    }
}

/// Files were synced one by one while they were read where syncfs is not trusted; their names follow here.
fn make_durable(root: &Root, snapshot: &Snapshot) -> Result<()> {
    if root.trusts_syncfs() {
        return root.sync();
    }
    for dir in snapshot.dirs.values() {
        let fd = match root.open_dir(&dir.path) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::NOENT) => continue,
            Err(e) => return Err(ReplError::io("open", root.shown(&dir.path, None), e)),
        };
        rustix::fs::fsync(&fd)
            .map_err(|e| ReplError::io("sync", root.shown(&dir.path, None), e))?;
    }
    Ok(())
}
