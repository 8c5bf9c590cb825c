//! An honest site: a real engine on a disk in memory, and a naive filesystem that shows what it is told at once.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use claudefs_repl::clock::{Clock as _, ManualClock};
use claudefs_repl::disk::FaultyDisk;
use claudefs_repl::error::Result;
use claudefs_repl::journal::op::Name;
use claudefs_repl::journal::{Actor, Dot, EntryBatch};
use claudefs_repl::sync::engine::{Engine, EngineConfig, Reclaim, Retention};
use claudefs_repl::sync::port::{Image, LocalTxn, Outcome, Round};

use crate::fuzz::logs;
use crate::judge::Check;
use crate::judge::oracle::{ROOT, Tree};
use crate::judge::told::shown_of;
use crate::judge::users::{Reports, Theme, User};
use crate::rng::Rng;

/// Where a shown name leads: inode and link, and what the inode looks like but for marks of the engine's own.
type ShownAt = (u64, u64, Image);

pub(super) struct Site {
    id: u64,
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
    engine: Engine,
    tree: Tree,
    positions: BTreeMap<(Actor, u32), (u64, u64)>,
}

/// Nothing of a disk fails here, so nothing else may.
fn fine<T>(result: Result<T>, what: impl Debug) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what:?}: {error}"),
    }
}

impl Site {
    pub(super) fn new(id: u64, clock: Arc<ManualClock>) -> Self {
        let disk = FaultyDisk::new(id);
        let engine = fine(Engine::open(config(id, &disk, &clock)), "open");
        Self {
            id,
            disk,
            clock,
            engine,
            tree: Tree::default(),
            positions: BTreeMap::new(),
        }
    }

    pub(super) const fn actor(&self) -> Actor {
        Actor::new(self.id, incarnation(self.id))
    }

    /// Last seq of every stream of its journal.
    pub(super) fn heads(&mut self) -> BTreeMap<u32, u64> {
        fine(self.engine.heads(), "heads")
    }

    /// What its user sees.
    pub(super) fn inodes(&self) -> Vec<u64> {
        self.tree.inodes().into_iter().collect()
    }

    /// The user does something to the tree, which shows everything that the engine knows.
    pub(super) fn act(&mut self, rng: &mut Rng, value: &mut u64, theme: Theme) {
        self.apply();
        let mut desk = Desk {
            engine: &mut self.engine,
            now_us: self.clock.now_us(),
        };
        let mut user = User {
            tree: &mut self.tree,
            rng,
            value,
            theme,
            is_first: true,
            to: &mut desk,
        };
        user.act().expect("reports are taken");
        self.apply();
    }

    /// Shows everything that the engine wants shown.
    pub(super) fn apply(&mut self) {
        fine(self.engine.retry_parked(), "retry");
        let images = fine(self.engine.work(usize::MAX), "work");
        if images.is_empty() {
            return;
        }
        match self.tree.told(&shown_of(&images)) {
            Ok(told) => self.tree = told,
            Err(fault) => panic!("site {} is told that {fault}: {images:#?}", self.id),
        }
        let applied = |image: Image| (image, Outcome::Applied);
        let round = Round {
            outcomes: images.into_iter().map(applied).collect(),
            ..Round::default()
        };
        fine(self.engine.done(round), "done");
        let left = fine(self.engine.work(usize::MAX), "work");
        assert!(left.is_empty(), "what was shown is wanted again: {left:#?}");
    }

    /// Takes batches of a peer; whether all of them were taken.
    pub(super) fn receive(&mut self, actor: Actor, batches: &[EntryBatch], mark_us: u64) -> bool {
        let arrived = fine(self.engine.receive(actor, batches, mark_us), batches);
        self.check_positions(actor);
        arrived.refusal.is_none()
    }

    /// Positions grow, and each is at most the one that it follows.
    fn check_positions(&mut self, actor: Actor) {
        for one in fine(self.engine.progress(actor), "progress") {
            assert!(
                one.applied <= one.merged && one.merged <= one.received,
                "{one:?}"
            );
            let known = self.positions.entry((actor, one.stream)).or_default();
            assert!(known.0 <= one.received && known.1 <= one.merged, "{one:?}");
            *known = (one.received, one.merged);
        }
    }

    /// Sends what the other one lacks of the journal.
    pub(super) fn send_to(&mut self, other: &mut Self) {
        let known = fine(other.engine.progress(self.actor()), "progress");
        let cursors = known.into_iter().map(|one| (one.stream, one.received));
        let (mut reader, _) = fine(self.engine.batches(cursors.collect()), "batches");
        while let Some((batches, mark_us)) = fine(reader.next_frame(1 << 20, 1_024), "read") {
            let took = other.receive(self.actor(), &batches, mark_us);
            assert!(took, "an honest site refuses another: {batches:#?}");
        }
    }

    pub(super) fn tick(&mut self) {
        fine(self.engine.tick(), "tick");
    }

    /// Is killed, and starts again on what its disk holds.
    pub(super) fn restart(&mut self) {
        self.engine.forget();
        self.engine = fine(
            Engine::open(config(self.id, &self.disk, &self.clock)),
            "open",
        );
    }

    /// Everything that is shown, by place.
    pub(super) fn shown(&mut self) -> BTreeMap<(u64, Name), ShownAt> {
        let mut shown = BTreeMap::new();
        let mut open = vec![ROOT];
        while let Some(directory) = open.pop() {
            for (name, inode, link) in fine(self.engine.applied_entries(directory), "entries") {
                let image = fine(self.engine.applied(inode), "applied").expect("it is shown");
                if shown
                    .insert((directory, name), (inode, link, plain(image)))
                    .is_none()
                {
                    open.push(inode);
                }
            }
        }
        shown
    }
}

/// Without what differs between sites: marks of the engine's own, and versions behind equal values.
fn plain(mut image: Image) -> Image {
    (image.order_us, image.merge_gen) = (0, 0);
    let dot = Dot::default();
    for link in &mut image.links {
        (link.dot, link.explicit) = (dot, false);
    }
    image.links.sort_by_key(|link| link.link);
    if let Some(mode) = &mut image.mode {
        mode.dot = dot;
    }
    if let Some(owner) = &mut image.owner {
        owner.dot = dot;
    }
    if let Some(mtime) = &mut image.mtime {
        mtime.dot = dot;
    }
    if let Some(flags) = &mut image.flags {
        flags.dot = dot;
    }
    for value in image.xattrs.values_mut() {
        value.dot = dot;
    }
    if let Some(content) = &mut image.content {
        content.dot = dot;
        content.value.inline = None;
        content.value.mtime = Default::default();
    }
    if image.kind == claudefs_repl::sync::port::NodeKind::Dir {
        image.mtime = None;
    }
    image
}

const fn incarnation(id: u64) -> u64 {
    id << 48 | 7
}

fn config(id: u64, disk: &FaultyDisk, clock: &Arc<ManualClock>) -> EngineConfig {
    let others = [1_u64, 2, 3, 4].into_iter().filter(|other| *other != id);
    EngineConfig {
        dir: "/".into(),
        disk: disk.shared(),
        clock: clock.clone(),
        log: logs::options(),
        site_id: id,
        incarnation: incarnation(id),
        applies: true,
        sends: true,
        retention: Retention {
            members: others
                .map(|other| (other, format!("site-{other}")))
                .collect(),
            ..Retention::default()
        },
        accept_clock: false,
        reclaim: Some(Reclaim {
            said_every: Duration::ZERO,
            walked_every: Duration::ZERO,
        }),
    }
}

/// Journals at once what the user does.
struct Desk<'a> {
    engine: &'a mut Engine,
    now_us: u64,
}

impl Reports for Desk<'_> {
    fn mint(&mut self) -> u64 {
        fine(self.engine.mint(), "mint")
    }

    fn now_us(&self) -> u64 {
        self.now_us
    }

    fn report(&mut self, _: &Tree, txn: LocalTxn) -> Check<Dot> {
        fine(self.engine.submit(std::slice::from_ref(&txn)), &txn);
        Ok(Dot::default())
    }
}
