//! A peer that keeps to the protocol and means harm: entries with any inodes, names, stamps and contexts, well formed.
//!
//! They go through the real decoding and verification into the real engines of two sites, on disks in memory, while
//! those work and exchange what they do. In the end a third site gets everything in another order of streams. Whatever
//! the peer said: no call fails, since what was logged and does not merge would keep a site from starting ever again;
//! what a site is told to show is a tree; no position goes back; a site that was killed shows the same; and sites that
//! took the same batches show the same.
//!
//! Of entries of others the peer claims to have seen only what there is: of an entry that is yet to be written only its
//! author can say that the peer lies, and the others cannot tell it from one that they do not have yet.

mod forge;
mod site;

use std::collections::BTreeMap;
use std::time::Duration;

use claudefs_repl::clock::ManualClock;
use claudefs_repl::journal::dot::STREAM_COUNT;
use claudefs_repl::journal::{Actor, EntryBatch};

use super::input::Input;
use crate::judge::users::Theme;
use crate::rng::Rng;
use forge::Forger;
use site::Site;

/// The hostile peer.
const HOSTILE: Actor = Actor::new(3, 3 << 48 | 9);
/// Steps of a history: beyond, a fuzzer would only make it slower.
const STEPS_MAX: usize = 48;
/// Rounds within which two honest sites have everything of each other.
const ROUNDS_MAX: usize = 20;
/// 2026-01-01.
const NOW_US: u64 = 1_767_225_600_000_000;

struct World {
    clock: std::sync::Arc<ManualClock>,
    sites: [Site; 2],
    forger: Forger,
    /// What the peer has said and at least one site took, stream by stream.
    said: BTreeMap<u32, Vec<EntryBatch>>,
    /// How many of these each site took.
    taken: [BTreeMap<u32, usize>; 2],
    /// Streams that one site took further than the other ever will.
    split: bool,
    rng: Rng,
    value: u64,
    theme: Theme,
}

/// A history.
pub(super) fn hostile(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let mut world = World::new(&mut input);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.rest();
    world.judge();
    !world.said.is_empty()
}

impl World {
    fn new(input: &mut Input<'_>) -> Self {
        let clock = ManualClock::at(NOW_US);
        let mut rng = Rng::new(input.number());
        Self {
            sites: [Site::new(1, clock.clone()), Site::new(2, clock.clone())],
            clock,
            forger: Forger::default(),
            said: BTreeMap::new(),
            taken: [BTreeMap::new(), BTreeMap::new()],
            split: false,
            value: 0,
            theme: Theme::drawn(&mut rng),
            rng,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        self.clock
            .advance(Duration::from_millis(u64::from(input.byte())));
        let at = input.below(2);
        match input.below(12) {
            0..=3 => self.forge(at, input),
            4..=5 => self.deliver(at, input),
            6..=7 => self.sites[at].act(&mut self.rng, &mut self.value, self.theme),
            8 => self.sites[at].apply(),
            9 => self.exchange(at),
            10 => self.sites[at].restart(),
            _ => self.mark(at, input),
        }
    }

    /// The peer says something new to one of the sites.
    fn forge(&mut self, at: usize, input: &mut Input<'_>) {
        let heads = self.sites.each_mut().map(Site::heads);
        let inodes: Vec<u64> = self.sites.iter().flat_map(Site::inodes).collect();
        let Some(batch) = self.forger.batch(input, &inodes, &heads, NOW_US) else {
            return;
        };
        // What the other site has and this one has not comes first, as it must.
        let stream = batch.stream;
        while self.next(at, stream).is_some() {
            if !self.deliver_one(at, stream) {
                return;
            }
        }
        if self.sites[at].receive(HOSTILE, std::slice::from_ref(&batch), 0) {
            self.forger.said(&batch);
            self.said.entry(stream).or_default().push(batch);
            *self.taken[at].entry(stream).or_default() += 1;
        }
    }

    fn next(&self, at: usize, stream: u32) -> Option<&EntryBatch> {
        let taken = self.taken[at].get(&stream).copied().unwrap_or(0);
        self.said.get(&stream)?.get(taken)
    }

    /// Whether the site took the next batch of a stream.
    fn deliver_one(&mut self, at: usize, stream: u32) -> bool {
        let Some(batch) = self.next(at, stream).cloned() else {
            return false;
        };
        let took = self.sites[at].receive(HOSTILE, &[batch], 0);
        if took {
            *self.taken[at].entry(stream).or_default() += 1;
        }
        took
    }

    fn deliver(&mut self, at: usize, input: &mut Input<'_>) {
        let streams: Vec<u32> = self.said.keys().copied().collect();
        let Some(stream) = input.pick(&streams).copied() else {
            return;
        };
        if input.one_in(4) {
            self.again(at, stream);
        } else {
            self.deliver_one(at, stream);
        }
    }

    /// A batch comes again that was taken before.
    fn again(&mut self, at: usize, stream: u32) {
        let taken = self.taken[at].get(&stream).copied().unwrap_or(0);
        let known = self.said.get(&stream).and_then(|all| all.get(..taken));
        if let Some(batch) = known.and_then(<[EntryBatch]>::first).cloned() {
            self.sites[at].receive(HOSTILE, &[batch], 0);
        }
    }

    fn exchange(&mut self, at: usize) {
        let [one, other] = &mut self.sites;
        if at == 0 {
            one.send_to(other);
        } else {
            other.send_to(one);
        }
    }

    /// A mark of the peer, which may promise anything.
    fn mark(&mut self, at: usize, input: &mut Input<'_>) {
        let mark_us = if input.one_in(4) {
            input.number()
        } else {
            NOW_US + u64::from(input.short()) * 1_000
        };
        self.sites[at].receive(HOSTILE, &[], mark_us);
        self.sites[at].tick();
    }

    /// Everything that is taken at all is everywhere and shown.
    fn rest(&mut self) {
        for at in 0..2 {
            for stream in 0..STREAM_COUNT {
                while self.next(at, stream).is_some() {
                    if !self.deliver_one(at, stream) {
                        self.split = true;
                        break;
                    }
                }
            }
        }
        for _ in 0..ROUNDS_MAX {
            self.clock.advance(Duration::from_secs(2));
            self.sites.iter_mut().for_each(Site::apply);
            let before = self.sites.each_mut().map(Site::heads);
            self.exchange(0);
            self.exchange(1);
            self.sites.iter_mut().for_each(Site::apply);
            if self.sites.each_mut().map(Site::heads) == before {
                return;
            }
        }
        panic!("no rest after {ROUNDS_MAX} rounds");
    }

    fn judge(&mut self) {
        let shown = self.sites.each_mut().map(Site::shown);
        for site in &mut self.sites {
            let before = site.shown();
            site.restart();
            site.apply();
            assert_eq!(
                site.shown(),
                before,
                "a site shows something else after a stop"
            );
        }
        if self.split {
            return;
        }
        let [one, other] = shown;
        assert_eq!(one, other, "two sites show something else");
        // Another order: the streams of the peer backwards and first, then what the honest sites wrote.
        let mut third = Site::new(4, self.clock.clone());
        for batches in self.said.values().rev() {
            for batch in batches {
                if !third.receive(HOSTILE, std::slice::from_ref(batch), 0) {
                    return;
                }
            }
        }
        let [one_site, other_site] = &mut self.sites;
        other_site.send_to(&mut third);
        one_site.send_to(&mut third);
        third.apply();
        assert_eq!(
            third.shown(),
            one,
            "another order of arrival shows something else"
        );
    }
}
