//! A naive engine in memory, a source of content that reads the other tree, and two sites joined by them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::clock::ManualClock;
use crate::content::chunk::{Piece, hash_pieces};
use crate::content::manifest::BlobHash;
use crate::content::{ContentSource, ContentVersion, Fetch};
use crate::error::Result;
use crate::journal::dot::{Actor, Dot};
use crate::journal::op::{Attr, Change, Content, FileTime, Name, Place};
use crate::sync::port::{
    DeviceImage, Engine, Image, LocalOp, LocalTxn, NodeKind, Outcome, Round, ShownLink, Versioned,
};
use crate::tree::apply::{Applier, ApplyReport};
use crate::tree::compare::compare;
use crate::tree::intent::IntentLog;
use crate::tree::policy::Policy;
use crate::tree::root::Root;
use crate::tree::scan::{Between, Memory, ScanOptions, ScanReport, Scope, scan};
use crate::tree::stat::DevId;

/// Versions, for all sites of all tests: later is greater.
static STAMP: AtomicU64 = AtomicU64::new(1);

#[derive(Debug, Default)]
pub(super) struct State {
    site: u64,
    next: u64,
    pub(super) applied: BTreeMap<u64, Image>,
    pub(super) merged: BTreeMap<u64, Image>,
    pub(super) device: BTreeMap<u64, DeviceImage>,
    ids: BTreeMap<DevId, u64>,
    parked: BTreeSet<u64>,
    pub(super) observed_us: u64,
    /// Bytes of this site alone that gave way.
    pub(super) gave_way: Vec<(u64, Content)>,
    pub(super) txns: Vec<LocalTxn>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct FakeEngine(pub(super) Arc<Mutex<State>>);

impl FakeEngine {
    pub(super) fn new(site: u64) -> Self {
        let engine = Self::default();
        engine.0.lock().unwrap().site = site;
        engine
    }

    /// Merges everything that the other site has.
    pub(super) fn pull(&self, other: &Self) {
        let theirs = other.0.lock().unwrap().merged.clone();
        let mut state = self.0.lock().unwrap();
        for (inode, image) in theirs {
            let known = state.merged.get(&inode).map_or(0, |image| image.order_us);
            if image.order_us > known {
                state.merged.insert(inode, image);
            }
        }
    }

    /// As if another site had written every file anew.
    pub(super) fn touch_all(&self) {
        let mut state = self.0.lock().unwrap();
        let files = state.merged.values_mut();
        for image in files.filter(|image| image.kind == NodeKind::File && !image.links.is_empty()) {
            image.order_us = STAMP.fetch_add(1, Ordering::SeqCst);
            let dot = Dot::new(Actor::new(99, 1), 0, image.order_us);
            image.mode = Some(Versioned { dot, value: 0o600 });
        }
    }

    /// As if another site had changed an inode.
    pub(super) fn change(&self, inode: u64, change: impl FnOnce(&mut Image)) {
        let mut state = self.0.lock().unwrap();
        let absent = Image::absent(inode, NodeKind::File);
        let image = state.merged.entry(inode).or_insert(absent);
        change(image);
        image.order_us = STAMP.fetch_add(1, Ordering::SeqCst);
    }

    /// The inode that is shown under a name, wherever that is.
    pub(super) fn shown_as(&self, name: &str) -> u64 {
        let state = self.0.lock().unwrap();
        let is_so = |image: &&Image| {
            let mut links = image.links.iter();
            links.any(|link| link.name.as_bytes() == name.as_bytes())
        };
        state.applied.values().find(is_so).unwrap().inode
    }

    /// As if a file had been journaled later than it was.
    pub(super) fn shift_ctime(&self, inode: u64, seconds: i64) {
        let mut state = self.0.lock().unwrap();
        if let Some(device) = state.device.get_mut(&inode) {
            device.ctime.seconds += seconds;
        }
    }

    /// Operations that were journaled since the last call.
    pub(super) fn take_ops(&self) -> Vec<LocalOp> {
        let txns = std::mem::take(&mut self.0.lock().unwrap().txns);
        txns.into_iter().flat_map(|txn| txn.ops).collect()
    }
}

impl State {
    fn play(&mut self, op: &LocalOp) {
        let stamp = STAMP.fetch_add(1, Ordering::SeqCst);
        let dot = Dot::new(Actor::new(self.site, 1), 0, stamp);
        for view in [&mut self.applied, &mut self.merged] {
            let absent = Image::absent(op.inode, NodeKind::File);
            let image = view.entry(op.inode).or_insert(absent);
            play(image, op, dot);
            image.order_us = stamp;
        }
        if let Some(device) = op.device {
            self.bind(op.inode, Some(device));
        }
    }

    fn bind(&mut self, inode: u64, device: Option<DeviceImage>) {
        if let Some(old) = self.device.remove(&inode)
            && self.ids.get(&DevId::of(&old)) == Some(&inode)
        {
            self.ids.remove(&DevId::of(&old));
        }
        if let Some(device) = device {
            self.ids.insert(DevId::of(&device), inode);
            self.device.insert(inode, device);
        }
    }
}

fn play(image: &mut Image, op: &LocalOp, dot: Dot) {
    #[expect(clippy::unnecessary_wraps, reason = "every caller needs an option")]
    fn set<T>(dot: Dot, value: T) -> Option<Versioned<T>> {
        Some(Versioned { dot, value })
    }
    let mut attr = Attr::default();
    let mut placed = None;
    match &op.change {
        Change::Create { place, attr: born } => {
            (placed, attr, image.kind) = (Some(place), *born, NodeKind::File);
        }
        Change::MkDir { place, attr: born } => {
            (placed, attr, image.kind) = (Some(place), *born, NodeKind::Dir);
        }
        Change::Symlink {
            place,
            attr: born,
            target,
        } => {
            (placed, attr, image.kind) = (Some(place), *born, NodeKind::Symlink);
            image.target = Some(target.clone());
        }
        Change::Link { place }
        | Change::Rename {
            place: Some(place), ..
        } => placed = Some(place),
        Change::Unlink { .. } => image.links.retain(|link| link.link != op.link),
        Change::Write { content, mode } | Change::Truncate { content, mode } => {
            image.mtime = set(dot, content.mtime);
            image.content = set(dot, content.clone());
            attr.mode = *mode;
        }
        Change::SetAttr { attr: set } => attr = *set,
        Change::SetXattr { name, value } => {
            image.xattrs.insert(
                name.clone(),
                Versioned {
                    dot,
                    value: value.clone(),
                },
            );
        }
        Change::RemoveXattr { name } => {
            image.xattrs.remove(name);
        }
        Change::Rename { place: None, .. }
        | Change::Noop
        | Change::ConflictAck { .. }
        | Change::Member { .. }
        | Change::ResumePoint
        | Change::Horizon(_) => panic!("not of a tree: {op:?}"),
    }
    if let Some(place) = placed {
        image.links.retain(|link| link.link != op.link);
        image.links.push(ShownLink {
            link: op.link,
            parent: place.parent,
            name: place.name.clone(),
            dot,
            explicit: true,
        });
    }
    let dir = image.kind == NodeKind::Dir;
    image.mode = attr.mode.map_or(image.mode.take(), |mode| set(dot, mode));
    image.owner = attr
        .owner
        .map_or(image.owner.take(), |owner| set(dot, owner));
    let mtime = attr.mtime.filter(|_| !dir);
    image.mtime = mtime.map_or(image.mtime.take(), |mtime| set(dot, mtime));
}

impl Engine for FakeEngine {
    fn mint(&mut self, count: usize) -> Result<Vec<u64>> {
        let mut state = self.0.lock().unwrap();
        let first = state.next + 1;
        state.next += count as u64;
        let minted = first..=state.next;
        Ok(minted.map(|number| (state.site << 48) + number).collect())
    }

    fn submit(&mut self, txns: Vec<LocalTxn>) -> Result<()> {
        let mut state = self.0.lock().unwrap();
        for op in txns.iter().flat_map(|txn| &txn.ops) {
            state.play(op);
        }
        state.txns.extend(txns);
        Ok(())
    }

    fn work(&mut self, limit: usize) -> Result<Vec<Image>> {
        let state = self.0.lock().unwrap();
        let mut work: Vec<Image> = state
            .merged
            .values()
            .filter(|image| match state.applied.get(&image.inode) {
                Some(applied) => applied != *image && !state.parked.contains(&image.inode),
                None => !image.links.is_empty() && !state.parked.contains(&image.inode),
            })
            .cloned()
            .collect();
        work.sort_by_key(|image| image.order_us);
        work.truncate(limit);
        Ok(work)
    }

    fn give_way(&mut self, inode: u64, content: Content) -> Result<bool> {
        let mut state = self.0.lock().unwrap();
        let merged = state
            .merged
            .get(&inode)
            .and_then(|image| image.content.as_ref());
        let is_other =
            merged.is_none_or(|known| known.value.manifest_root != content.manifest_root);
        if is_other {
            state.gave_way.push((inode, content));
        }
        Ok(is_other)
    }

    fn done(&mut self, round: Round) -> Result<()> {
        let mut state = self.0.lock().unwrap();
        for (inode, device) in round.devices {
            state.bind(inode, device);
        }
        for (from, to) in round.absorbed {
            if let Some(mut image) = state.applied.remove(&from) {
                image.inode = to;
                image.links.iter_mut().for_each(|link| link.link = to);
                state.applied.insert(to, image);
            }
            let links = state
                .applied
                .values_mut()
                .flat_map(|image| &mut image.links);
            for link in links.filter(|link| link.parent == from) {
                link.parent = to;
            }
        }
        for (image, outcome) in round.outcomes {
            match outcome {
                Outcome::Applied => {
                    state.applied.insert(image.inode, image);
                }
                Outcome::Parked { .. } => {
                    state.parked.insert(image.inode);
                }
                Outcome::Changed => {}
            }
        }
        Ok(())
    }

    fn retry_parked(&mut self) -> Result<()> {
        self.0.lock().unwrap().parked.clear();
        Ok(())
    }

    fn retry_faults(&mut self) -> Result<()> {
        self.retry_parked()
    }

    fn retry(&mut self, inodes: Vec<u64>) -> Result<()> {
        let mut state = self.0.lock().unwrap();
        state.parked.retain(|inode| !inodes.contains(inode));
        Ok(())
    }

    fn applied_of(&mut self, inodes: Vec<u64>) -> Result<Vec<Option<Image>>> {
        let applied = &self.0.lock().unwrap().applied;
        let images = inodes.iter().map(|inode| applied.get(inode).cloned());
        Ok(images.collect())
    }

    fn applied_at(&mut self, places: Vec<Place>) -> Result<Vec<Option<u64>>> {
        let mut at = Vec::new();
        for place in places {
            let mut entries = self.applied_entries(place.parent)?.into_iter();
            let found = entries.find(|(name, ..)| *name == place.name);
            at.push(found.map(|(_, inode, _)| inode));
        }
        Ok(at)
    }

    fn applied_entries(&mut self, directory: u64) -> Result<Vec<(Name, u64, u64)>> {
        let state = self.0.lock().unwrap();
        let images = state
            .applied
            .values()
            .filter(|image| image.merged_into.is_none());
        let mut entries: Vec<_> = images
            .flat_map(|image| image.links.iter().map(move |link| (link, image.inode)))
            .filter(|(link, _)| link.parent == directory)
            .map(|(link, inode)| (link.name.clone(), inode, link.link))
            .collect();
        entries.sort();
        Ok(entries)
    }

    fn set_device(&mut self, inode: u64, device: Option<DeviceImage>) -> Result<()> {
        self.0.lock().unwrap().bind(inode, device);
        Ok(())
    }

    fn devices(&mut self, inodes: Vec<u64>) -> Result<Vec<Option<DeviceImage>>> {
        let known = &self.0.lock().unwrap().device;
        Ok(inodes.iter().map(|i| known.get(i).copied()).collect())
    }

    fn unchanged(&mut self, seen: Vec<(u64, DeviceImage)>) -> Result<Vec<bool>> {
        let state = self.0.lock().unwrap();
        let same = |(inode, device): &(u64, DeviceImage)| {
            state.applied.contains_key(inode) && state.device.get(inode) == Some(device)
        };
        Ok(seen.iter().map(same).collect())
    }

    fn inodes_of(&mut self, files: Vec<(u64, FileTime)>) -> Result<Vec<Option<u64>>> {
        let ids = &self.0.lock().unwrap().ids;
        let files = files.into_iter();
        let inodes = files.map(|(ino, btime)| ids.get(&DevId { ino, btime }).copied());
        Ok(inodes.collect())
    }

    fn correct(&mut self, inode: u64, shown: Option<Image>) -> Result<()> {
        let mut state = self.0.lock().unwrap();
        match shown {
            Some(mut image) => {
                // Differs from the merged one, as the real engine finds by the values.
                image.order_us = 0;
                state.applied.insert(inode, image);
            }
            None => {
                state.applied.remove(&inode);
            }
        }
        Ok(())
    }

    fn ended_us(&mut self) -> Result<u64> {
        Ok(self.0.lock().unwrap().observed_us)
    }

    fn observed_through(&mut self, wall_us: u64) -> Result<()> {
        let mut state = self.0.lock().unwrap();
        state.observed_us = state.observed_us.max(wall_us);
        Ok(())
    }
}

/// Content of the other tree, read when it is first asked for.
#[derive(Debug, Default)]
pub(super) struct FakeSource {
    pub(super) other: PathBuf,
    pub(super) blobs: BTreeMap<BlobHash, Bytes>,
    pub(super) fetched: u64,
}

impl FakeSource {
    fn load(&mut self, dir: &Path) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                self.load(&entry.path());
            } else if kind.is_file() {
                let file = std::fs::File::open(entry.path()).unwrap();
                let size = file.metadata().unwrap().len();
                hash_pieces(&file, size, &entry.path(), &mut |piece| {
                    let (hash, bytes) = match piece {
                        Piece::Chunk { hash, bytes, .. } => (hash, Bytes::copy_from_slice(bytes)),
                        Piece::Node { hash, bytes } => (hash, bytes.clone()),
                    };
                    self.blobs.insert(hash, bytes);
                })
                .unwrap();
            }
        }
    }
}

impl ContentSource for FakeSource {
    fn fetch(&mut self, _version: &ContentVersion, hash: &BlobHash) -> Result<Fetch> {
        if !self.blobs.contains_key(hash) {
            self.load(&self.other.clone());
        }
        self.fetched += 1;
        Ok(self
            .blobs
            .get(hash)
            .map_or(Fetch::Pending, |bytes| Fetch::Ready(bytes.clone())))
    }

    fn news(&mut self) -> BTreeSet<u64> {
        BTreeSet::new()
    }

    fn has(&mut self, version: &ContentVersion, hash: &BlobHash) -> Result<bool> {
        Ok(matches!(self.fetch(version, hash)?, Fetch::Ready(_)))
    }

    fn want(&mut self, _version: &ContentVersion, _hashes: &[BlobHash]) -> Result<()> {
        Ok(())
    }
}

fn shows_set_id() -> Policy {
    let mut policy = Policy::default();
    policy.set_id = true;
    policy
}

/// One tree with its engine.
pub(super) struct Site {
    pub(super) dir: tempfile::TempDir,
    state: tempfile::TempDir,
    pub(super) root: Root,
    pub(super) engine: FakeEngine,
    pub(super) source: FakeSource,
    pub(super) memory: Memory,
    pub(super) policy: Policy,
    names: u64,
}

impl Site {
    pub(super) fn new(id: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            root: Root::adopt(dir.path(), [id as u8; 16]).unwrap(),
            dir,
            state: tempfile::tempdir().unwrap(),
            engine: FakeEngine::new(id),
            source: FakeSource::default(),
            memory: Memory::default(),
            policy: shows_set_id(),
            names: 0,
        }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(super) fn scan(&mut self) -> ScanReport {
        self.scan_scope(&Scope::Tree)
    }

    pub(super) fn scan_scope(&mut self, scope: &Scope) -> ScanReport {
        self.scan_between(scope, &mut |_| Ok(true))
    }

    pub(super) fn scan_between(&mut self, scope: &Scope, between: &mut Between<'_>) -> ScanReport {
        let options = ScanOptions {
            policy: &self.policy,
            now_us: u64::MAX / 2,
            back_date: false,
            receive_only: false,
        };
        scan(
            &mut self.engine,
            &self.root,
            &mut self.memory,
            scope,
            &options,
            between,
        )
        .unwrap()
    }

    pub(super) fn apply(&mut self) -> ApplyReport {
        self.apply_until(&mut |_| Ok(())).unwrap()
    }

    /// Applies until `stop` fails.
    pub(super) fn apply_until(
        &mut self,
        stop: &mut dyn FnMut(&'static str) -> Result<()>,
    ) -> Result<ApplyReport> {
        let mut log = IntentLog::open(self.state.path()).unwrap();
        let images = self.engine.work(20_000).unwrap();
        for image in &images {
            self.memory.own.remove(&image.inode);
        }
        let mut applier = Applier {
            engine: &mut self.engine,
            root: &self.root,
            source: &mut self.source,
            policy: &self.policy,
            log: &mut log,
            clock: &*ManualClock::at(1),
            names: &mut self.names,
            stop_point: stop,
        };
        applier.apply(images)
    }

    pub(super) fn log(&self) -> IntentLog {
        IntentLog::open(self.state.path()).unwrap()
    }
}

/// Two sites that pull from each other.
pub(super) struct Pair {
    pub(super) a: Site,
    pub(super) b: Site,
}

impl Pair {
    pub(super) fn new() -> Self {
        let (mut a, mut b) = (Site::new(1), Site::new(2));
        a.source.other = b.dir.path().to_owned();
        b.source.other = a.dir.path().to_owned();
        Self { a, b }
    }

    /// Notices at A, applies at B.
    pub(super) fn a_to_b(&mut self) -> ApplyReport {
        self.a.scan();
        self.b.engine.pull(&self.a.engine);
        self.b.apply()
    }

    /// Brings both to rest and insists that they are equal and silent.
    pub(super) fn settle(&mut self) {
        for _ in 0..4 {
            let scans = [self.a.scan(), self.b.scan()];
            self.b.engine.pull(&self.a.engine);
            self.a.engine.pull(&self.b.engine);
            let images = self.b.apply().images + self.a.apply().images;
            if images == 0 && scans.iter().all(|scan| scan.ops == 0) {
                break;
            }
        }
        self.assert_equal();
        self.a.engine.take_ops();
        self.b.engine.take_ops();
        self.a.scan();
        self.b.scan();
        assert_eq!(self.a.engine.take_ops(), [], "echo at A");
        assert_eq!(self.b.engine.take_ops(), [], "echo at B");
        for site in [&self.a, &self.b] {
            let staging = std::fs::read_dir(site.path(".cfs-repl/staging")).unwrap();
            assert_eq!(staging.count(), 0, "staging is empty");
        }
    }

    pub(super) fn assert_equal(&self) {
        let found = compare(self.a.dir.path(), self.b.dir.path(), 20).unwrap();
        assert!(found.is_equal(), "{found}");
    }
}
