//! The driver of one history: draws what happens next, and in the end brings everything to rest and judges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bytes::Bytes;
use claudefs_repl::content::chunk::{Piece, hash_pieces};
use claudefs_repl::content::manifest::BlobHash;
use claudefs_repl::content::{ContentVersion, Fetch};
use claudefs_repl::error::{ReplError, Result};
use claudefs_repl::journal::op::Name;
use claudefs_repl::sync::conflict::{ConflictId, LostValue};
use claudefs_repl::sync::engine::Engine;
use claudefs_repl::sync::fate::Fate;
use claudefs_repl::tree::compare::compare;
use claudefs_repl::tree::scan::Scope;
use claudefs_repl::tree::serve::Served;

use super::ledger::{Ledger, collect};
use super::site::Site;
use super::users::{ANCHOR, User};
use crate::rng::Rng;

/// Rounds of looking, sending and applying after which a world that still moves will never rest.
const ROUNDS_MAX: u32 = 25;
/// Rounds of them that are told.
const ROUNDS_TOLD: u32 = 3;

/// Sites, and what their users did.
pub(super) struct World {
    folder: tempfile::TempDir,
    sites: Vec<Site>,
    ledger: Ledger,
    /// Inodes that any site was seen to know.
    known: BTreeSet<u64>,
    /// Pieces of all files that a site has noticed: none is ever gone, unless this is a world that forgets.
    pieces: BTreeMap<BlobHash, Bytes>,
    /// Bytes are only where a site has them, as with real sites: what its user removed before others fetched it is
    /// gone.
    forgets: bool,
    rng: Rng,
    steps: u64,
    story: Vec<String>,
    ops: u64,
    /// The story is long enough.
    quiet: bool,
}

/// What a site that wants bytes is told.
#[derive(Debug)]
enum Answer {
    Blobs(Vec<Option<Bytes>>),
    Refused(Fetch),
    Later,
}

type Judged = std::result::Result<(), String>;

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let base = std::env::var_os("CFS_TREES_DIR").map_or_else(fast_folder, PathBuf::from);
        let folder = tempfile::tempdir_in(base).unwrap();
        let count = if rng.one_in(4) { 3 } else { 2 };
        let sites: Vec<Site> = (1..=count).map(|id| Site::new(id, folder.path())).collect();
        std::fs::write(sites[0].tree.join(ANCHOR), "anchor").unwrap();
        let steps = 20 + rng.below(180);
        Self {
            folder,
            sites,
            ledger: Ledger::default(),
            known: BTreeSet::new(),
            pieces: BTreeMap::new(),
            forgets: seed % 3 == 2,
            rng,
            steps,
            story: Vec::new(),
            ops: 0,
            quiet: false,
        }
    }

    pub(super) const fn ops(&self) -> u64 {
        self.ops
    }

    pub(super) fn story(&self) -> String {
        if std::env::var_os("CFS_REPL_KEEP").is_some() {
            eprintln!("kept: {}", self.folder.path().display());
        }
        self.story.join("\n")
    }

    /// The anchor is everywhere before anything happens: a root that was found empty is not believed.
    fn anchor(&mut self) -> Result<()> {
        self.site(0).connector()?.scan_once()?;
        for at in 1..self.sites.len() {
            while self.send_frame(0, at, 1_000)? {}
            self.apply_all(at)?;
        }
        Ok(())
    }

    pub(super) fn run(&mut self) -> Judged {
        self.anchor()
            .map_err(|error| format!("failed at the start: {error}"))?;
        for _ in 0..self.steps {
            self.step().map_err(|error| format!("failed: {error}"))??;
        }
        let judged = self
            .rest()
            .map_err(|error| format!("failed at rest: {error}"))
            .and_then(|rested| rested)
            .and_then(|()| self.judge());
        if judged.is_err() && std::env::var_os("CFS_REPL_KEEP").is_some() {
            self.sites.iter_mut().for_each(Site::kill);
            self.folder.disable_cleanup(true);
        }
        judged
    }

    /// The applied view of a site is one: every link that an inode is said to have stands in its directory.
    fn check_view(&mut self, at: usize) -> Result<Judged> {
        let known = self.known.clone();
        let (known, faults) = self.site(at).engine(move |engine| {
            let (mut known, mut faults) = (known, Vec::new());
            for image in engine.work(1_000)? {
                known.insert(image.inode);
            }
            let mut todo: Vec<u64> = known.iter().copied().chain([1]).collect();
            while let Some(inode) = todo.pop() {
                for (_, child, _) in engine.applied_entries(inode)? {
                    if known.insert(child) {
                        todo.push(child);
                    }
                }
            }
            for inode in &known {
                let Some(image) = engine.applied(*inode)? else {
                    continue;
                };
                for link in image.links.iter().filter(|_| image.merged_into.is_none()) {
                    let entries = engine.applied_entries(link.parent)?;
                    let there = entries.iter().find(|(name, ..)| *name == link.name);
                    if there.is_none_or(|(_, other, _)| other != inode) {
                        faults.push(format!("{inode} at {link:?}, there is {there:?}"));
                    }
                    let is_parent = link.parent == 1
                        || engine
                            .applied(link.parent)?
                            .is_some_and(|parent| parent.merged_into.is_none());
                    if !is_parent {
                        faults.push(format!("{inode} at {link:?}, whose parent is not shown"));
                    }
                }
            }
            Ok((known, faults))
        })?;
        self.known = known;
        if let Some(fault) = faults.first() {
            return Ok(Err(format!("the applied view of {}: {fault}", at + 1)));
        }
        Ok(Ok(()))
    }

    fn tell(&mut self, what: String) {
        if !self.quiet {
            self.story.push(what);
        }
    }

    fn step(&mut self) -> Result<Judged> {
        let at = self.rng.index(self.sites.len());
        self.step_at(at)?;
        self.check_view(at)
    }

    fn step_at(&mut self, at: usize) -> Result<()> {
        match self.rng.below(12) {
            0..=4 => {
                for _ in 0..=self.rng.below(4) {
                    self.act(at);
                }
                Ok(())
            }
            5..=6 => self.look(at),
            7..=8 => {
                let from = self.rng.index(self.sites.len());
                self.send(from, at)
            }
            9..=10 => self.apply(at),
            _ => {
                self.tell(format!("{}: kill", at + 1));
                self.site(at).kill();
                Ok(())
            }
        }
    }

    fn site(&mut self, at: usize) -> &mut Site {
        &mut self.sites[at]
    }

    fn act(&mut self, at: usize) {
        let site = &self.sites[at];
        let mut user = User {
            site: site.id,
            tree: &site.tree,
            ledger: &mut self.ledger,
            rng: &mut self.rng,
        };
        if let Some(done) = user.act() {
            self.ops += 1;
            self.story.push(format!("{}: {done}", at + 1));
        }
    }

    /// A site looks at its tree: at all of it, or at some directories as if it had been told of them.
    fn look(&mut self, at: usize) -> Result<()> {
        let whole = !self.rng.one_in(3);
        let mut paths = BTreeSet::new();
        if !whole {
            let tree = self.sites[at].tree.clone();
            for dir in directories(&tree) {
                if self.rng.one_in(2) {
                    paths.insert(dir);
                }
            }
        }
        let connector = self.site(at).connector()?;
        let report = if whole {
            connector.scan_once()?
        } else {
            connector.scan(&Scope::Dirs(paths))?
        };
        self.tell(format!(
            "{}: look, whole {whole}: {} ops",
            at + 1,
            report.ops
        ));
        if whole && report.complete {
            let tree = self.sites[at].tree.clone();
            self.ledger.note(&tree);
        }
        self.keep_pieces(at);
        Ok(())
    }

    /// Keeps the pieces of everything that a site may have noticed.
    fn keep_pieces(&mut self, at: usize) {
        if self.forgets {
            return;
        }
        let tree = self.sites[at].tree.clone();
        let pieces = &mut self.pieces;
        collect(&tree, &mut |path, bytes| {
            let file = std::fs::File::open(path).unwrap();
            hash_pieces(&file, bytes.len() as u64, path, &mut |piece| {
                let (hash, bytes) = match piece {
                    Piece::Chunk { hash, bytes, .. } => (hash, Bytes::copy_from_slice(bytes)),
                    Piece::Node { hash, bytes } => (hash, bytes.clone()),
                };
                pieces.insert(hash, bytes);
            })
            .unwrap();
        });
    }

    /// Some of what `from` has journaled reaches `to`.
    fn send(&mut self, from: usize, to: usize) -> Result<()> {
        if from == to {
            return Ok(());
        }
        let frames = 1 + self.rng.below(3);
        let entries = 1 + self.rng.index(40);
        for _ in 0..frames {
            if !self.send_frame(from, to, entries)? {
                break;
            }
        }
        self.tell(format!("{} -> {}: send", from + 1, to + 1));
        Ok(())
    }

    fn send_frame(&mut self, from: usize, to: usize, entries: usize) -> Result<bool> {
        let actor = self.site(from).engine(Engine::actor)?;
        let progress = self.site(to).engine(move |e| e.progress(actor))?;
        let cursors: BTreeMap<u32, u64> = progress
            .into_iter()
            .map(|one| (one.stream, one.received))
            .collect();
        let frame = self.site(from).engine(move |e| {
            let (mut reader, _) = e.batches(cursors)?;
            let mark = e.mark()?;
            let frame = reader.next_frame(1 << 20, entries)?;
            Ok(frame.unwrap_or((Vec::new(), mark)))
        })?;
        let any = !frame.0.is_empty();
        let arrived = self
            .site(to)
            .engine(move |e| e.receive(actor, &frame.0, frame.1))?;
        match arrived.refusal {
            None => Ok(any),
            Some(refusal) => {
                let source = std::io::Error::other(format!("refused: {refusal:?}"));
                Err(ReplError::io("send", "", source))
            }
        }
    }

    /// A site applies; its users may act meanwhile, and it may stop at any point.
    fn apply(&mut self, at: usize) -> Result<()> {
        self.serve(at)?;
        self.site(at).clock.pass();
        self.site(at).engine(Engine::retry_parked)?;
        let stops_at = self.rng.one_in(4).then(|| self.rng.below(30));
        let is_busy = self.rng.one_in(3);
        let (mut points, mut acted) = (0, Vec::new());
        let site = &mut self.sites[at];
        let (id, tree) = (site.id, site.tree.clone());
        let (ledger, rng) = (&mut self.ledger, &mut self.rng);
        let report = site.connector()?.apply_until(&mut |point| {
            if is_busy && rng.one_in(4) {
                let mut user = User {
                    site: id,
                    tree: &tree,
                    ledger,
                    rng,
                };
                acted.extend(user.act().map(|done| format!("{id}: at {point}: {done}")));
            }
            points += 1;
            if stops_at == Some(points) {
                acted.push(format!("{id}: stop at {point}"));
                return Err(ReplError::Shutdown);
            }
            Ok(())
        });
        self.ops += acted.len() as u64;
        acted.into_iter().for_each(|what| self.tell(what));
        if let (Err(ReplError::Shutdown), Some(_)) = (&report, stops_at) {
            self.site(at).kill();
            return Ok(());
        }
        let report = report?;
        self.tell(format!(
            "{}: apply {} of {}, changed {}, parked {:?}",
            at + 1,
            report.applied,
            report.images,
            report.changed,
            report.parked
        ));
        Ok(())
    }

    /// Answers what a site asked for, now and then from another site's tree. Returns whether anything can go on.
    fn serve(&mut self, at: usize) -> Result<bool> {
        let wanted = {
            let mut shelf = self.sites[at].source.0.lock().unwrap();
            shelf.gone.clear();
            std::mem::take(&mut shelf.wanted)
        };
        let mut any = false;
        for (version, hashes) in wanted {
            let hashes: Vec<BlobHash> = hashes.into_iter().collect();
            let answer = if self.forgets {
                self.ask_all(at, version, &hashes)?
            } else {
                let other = self.rng.index(self.sites.len());
                let (inode, root) = (version.inode, version.root);
                match self.site(other).connector()?.serve(inode, root, &hashes)? {
                    Served::Found(blobs) => Answer::Blobs(blobs.into_iter().map(Some).collect()),
                    Served::Gone | Served::Changed => Answer::Blobs(self.kept(&hashes)),
                }
            };
            let mut shelf = self.sites[at].source.0.lock().unwrap();
            match answer {
                Answer::Blobs(blobs) => {
                    for (hash, blob) in hashes.into_iter().zip(blobs) {
                        any |= blob.is_some();
                        shelf.here.extend(blob.map(|blob| (hash, blob)));
                    }
                }
                Answer::Refused(why) => {
                    shelf.gone.insert(version, why);
                }
                Answer::Later => {}
            }
        }
        Ok(any)
    }

    /// Asks the site that wrote a version, then all others, as a daemon does.
    fn ask_all(
        &mut self,
        at: usize,
        version: ContentVersion,
        hashes: &[BlobHash],
    ) -> Result<Answer> {
        let ContentVersion { inode, dot, root } = version;
        let mut others: Vec<usize> = (0..self.sites.len()).filter(|one| *one != at).collect();
        others.sort_by_key(|one| self.sites[*one].id != dot.actor.site_id);
        let mut answer = Answer::Refused(Fetch::Gone);
        for other in others {
            let served = self.site(other).connector()?.serve(inode, root, hashes)?;
            if let Served::Found(blobs) = served {
                return Ok(Answer::Blobs(blobs.into_iter().map(Some).collect()));
            }
            if served == Served::Changed {
                self.site(other).connector()?.scan_once()?;
            }
            let fate = self.site(other).engine(move |e| e.fate(inode, dot))?;
            if let Fate::Superseded { by } = fate {
                if !self.site(at).engine(move |e| e.is_merged(by))? {
                    return Ok(Answer::Refused(Fetch::Superseded));
                }
            } else if served == Served::Changed {
                answer = Answer::Later;
            }
        }
        Ok(answer)
    }

    fn kept(&self, hashes: &[BlobHash]) -> Vec<Option<Bytes>> {
        let found = hashes.iter().map(|hash| self.pieces.get(hash).cloned());
        found.collect()
    }

    /// Everything is looked at, delivered and applied until nothing moves.
    fn rest(&mut self) -> Result<Judged> {
        self.tell("rest".to_owned());
        for round in 0..ROUNDS_MAX {
            let mut moved = false;
            self.quiet = round >= ROUNDS_TOLD;
            for at in 0..self.sites.len() {
                let report = self.site(at).connector()?.scan_once()?;
                self.tell(format!(
                    "{}: look: {} ops {:?}",
                    at + 1,
                    report.ops,
                    report.busy
                ));
                moved |= report.ops > 0 || !report.complete;
                let tree = self.sites[at].tree.clone();
                self.ledger.note(&tree);
                self.keep_pieces(at);
            }
            for from in 0..self.sites.len() {
                for to in (0..self.sites.len()).filter(|to| *to != from) {
                    while self.send_frame(from, to, 1_000)? {
                        moved = true;
                    }
                }
            }
            for at in 0..self.sites.len() {
                moved |= self.apply_all(at)?;
            }
            if !moved {
                return Ok(Ok(()));
            }
        }
        self.tell_work()?;
        Ok(Err("it never comes to rest".to_owned()))
    }

    /// What is still to be done: both views of each inode concerned.
    fn tell_work(&mut self) -> Result<()> {
        self.quiet = false;
        for at in 0..self.sites.len() {
            let work = self.site(at).engine(|engine| {
                engine.retry_parked()?;
                let images = engine.work(20)?.into_iter();
                let shown = images.map(|image| Ok((engine.applied(image.inode)?, image)));
                shown.collect::<Result<Vec<_>>>()
            })?;
            for (applied, image) in work {
                let inode = image.inode;
                self.tell(format!("{}: {inode} is to be {image:?}", at + 1));
                self.tell(format!("{}: {inode} is {applied:?}", at + 1));
                for other in 0..self.sites.len() {
                    let there = self.site(other).engine(move |e| e.applied(inode))?;
                    let content = there.and_then(|image| image.content);
                    let dot = content.map(|content| content.dot);
                    self.tell(format!("   bytes at {}: {dot:?}", other + 1));
                }
            }
        }
        Ok(())
    }

    fn apply_all(&mut self, at: usize) -> Result<bool> {
        let mut any = false;
        for _ in 0..ROUNDS_MAX {
            let served = self.serve(at)?;
            self.site(at).clock.pass();
            self.site(at).engine(Engine::retry_parked)?;
            let report = self.site(at).connector()?.apply_once()?;
            any |= report.images > 0;
            self.tell(format!(
                "{}: apply {} of {}, changed {}, parked {:?}",
                at + 1,
                report.applied,
                report.images,
                report.changed,
                report.parked
            ));
            let waits = !self.sites[at].source.0.lock().unwrap().wanted.is_empty();
            if report.applied == 0 && !served && !waits {
                break;
            }
        }
        Ok(any)
    }

    fn judge(&mut self) -> Judged {
        let failed = |error: ReplError| format!("failed: {error}");
        let first = self.sites[0].tree.clone();
        for site in &self.sites[1..] {
            let found = compare(&first, &site.tree, 8).map_err(failed)?;
            if !found.is_equal() {
                for at in 0..2 {
                    for inode in [562958543355919u64, 562958543355906] {
                        let a = self.sites[at]
                            .running
                            .as_ref()
                            .unwrap()
                            .handle
                            .call(move |e| {
                                Ok((e.applied(inode)?, e.device(inode)?, e.conflicts()?))
                            })
                            .unwrap();
                        eprintln!("XX {at} {inode} {:?} {:?}", a.0, a.1);
                        for c in a.2 {
                            if c.0.inode == inode {
                                eprintln!("XX    {c:?}");
                            }
                        }
                    }
                }
                return Err(format!("trees of 1 and {} differ:\n{found}", site.id));
            }
        }
        let mut kept = BTreeSet::new();
        let mut open: Vec<BTreeMap<ConflictId, String>> = Vec::new();
        for at in 0..self.sites.len() {
            let status = self.site(at).engine(Engine::status).map_err(failed)?;
            if status.waiting > 0 || !status.parked.is_empty() {
                let (waiting, parked) = (status.waiting, status.parked);
                return Err(format!("{} waits for {waiting}, parked {parked:?}", at + 1));
            }
            let records = self.site(at).engine(Engine::conflicts).map_err(failed)?;
            let unsuperseded = records.iter().filter(|(record, _)| !record.superseded);
            open.push(
                unsuperseded
                    .map(|(record, _)| (record.id, format!("{record:?}")))
                    .collect(),
            );
            for (record, _) in records {
                if let LostValue::Content(content) = record.lost {
                    kept.extend(content.inline.map(|bytes| bytes.to_vec()));
                }
            }
            let tree = self.sites[at].tree.clone();
            collect(&tree, &mut |_, bytes| {
                kept.insert(bytes);
            });
            let staged = std::fs::read_dir(tree.join(".cfs-repl/staging")).unwrap();
            if let Some(left) = staged.into_iter().next() {
                return Err(format!(
                    "{} is left in staging",
                    left.unwrap().path().display()
                ));
            }
        }
        same_everywhere(&open)?;
        let lost = self.ledger.lost(&kept);
        if !lost.is_empty() {
            return Err(format!("lost: {}", lost.join(" ")));
        }
        Ok(())
    }
}

/// The open conflicts of all sites are the same.
fn same_everywhere(open: &[BTreeMap<ConflictId, String>]) -> Judged {
    for (at, here) in open.iter().enumerate() {
        let missing = open.iter().find_map(|there| {
            let mut missing = here.iter().filter(|(id, _)| !there.contains_key(id));
            missing.next().map(|(_, record)| record)
        });
        if let Some(record) = missing {
            return Err(format!("open at {} and not everywhere: {record}", at + 1));
        }
    }
    Ok(())
}

/// Memory where the machine has it, for histories are many and syncs take their time.
fn fast_folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    }
}

/// Paths of all directories of a tree.
fn directories(tree: &std::path::Path) -> Vec<Vec<Name>> {
    let mut found = vec![Vec::new()];
    let mut at = 0;
    while let Some(dir) = found.get(at).cloned() {
        at += 1;
        let mut path = tree.to_owned();
        for name in &dir {
            let name: &Name = name;
            path.push(String::from_utf8_lossy(name.as_bytes()).as_ref());
        }
        for entry in std::fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_encoded_bytes();
            if entry.file_type().unwrap().is_dir() && name != b".cfs-repl" {
                let mut below = dir.clone();
                below.push(Name::new(name).unwrap());
                found.push(below);
            }
        }
    }
    found
}
