//! The time that entries are stamped by: readings of the machine's clocks, judged by [`super::super::wall`].

use std::time::Duration;

use super::commit::IDLE_COMMIT_EVERY;
use super::{Engine, EngineConfig, Opened};
use crate::clock::{SharedClock, TimestampUs};
use crate::error::Result;
use crate::store::Store;
use crate::sync::wall::{Anchor, Reading, WallClock, agree};

/// Which boot the kept offset belongs to, in two halves.
const BOOT_KEYS: [&str; 2] = ["clock/boot_high", "clock/boot_low"];
const OFFSET_KEY: &str = "clock/offset";
/// How much later than due the state is written out at most.
const TICK_LATE_MAX: Duration = Duration::from_secs(60);
/// A time server moves the clock all the time; what moved by less is not written down.
const OFFSET_STEP_US: u64 = 1_000_000;

fn reading(clock: &SharedClock) -> Reading {
    Reading {
        wall_us: clock.now_us(),
        since_boot: clock.monotonic(),
    }
}

/// The wall clock of a run, behind the last stamp that is known.
pub(super) fn begin(
    config: &EngineConfig,
    store: &Store,
    last_us: TimestampUs,
) -> Result<WallClock> {
    let now = reading(&config.clock);
    let mut wall = WallClock::new(kept(store)?, config.clock.boot_id(), now, last_us);
    if config.accept_clock {
        wall.believe(now);
    }
    Ok(wall)
}

/// Marks may have been told up to here, if the state was written out last at `committed_us`: an idle site does so
/// seldom. Entries must be stamped later, even if the wall clock stepped back meanwhile.
pub(super) fn promised_us(
    config: &EngineConfig,
    wall: &WallClock,
    committed_us: TimestampUs,
) -> TimestampUs {
    let span = IDLE_COMMIT_EVERY + TICK_LATE_MAX;
    let span_us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let latest = wall.latest(reading(&config.clock));
    latest.min(committed_us.saturating_add(span_us))
}

fn kept(store: &Store) -> Result<Option<Anchor>> {
    let [high, low] = BOOT_KEYS;
    let boot_id = u128::from(store.number(high)?) << 64 | u128::from(store.number(low)?);
    let offset_us = store.number(OFFSET_KEY)?.cast_signed();
    Ok((boot_id > 0).then_some(Anchor { boot_id, offset_us }))
}

/// Writes down what the next run goes on from.
pub(super) fn keep(store: &mut Store, wall: &WallClock) -> Result<()> {
    let Some(anchor) = wall.anchor() else {
        return Ok(());
    };
    let near = |kept: Anchor| {
        let moved = kept.offset_us.abs_diff(anchor.offset_us);
        kept.boot_id == anchor.boot_id && moved < OFFSET_STEP_US
    };
    if kept(store)?.is_some_and(near) {
        return Ok(());
    }
    let halves = [(anchor.boot_id >> 64) as u64, anchor.boot_id as u64];
    for (name, half) in BOOT_KEYS.into_iter().zip(halves) {
        store.set_number(name, half);
    }
    store.set_number(OFFSET_KEY, anchor.offset_us.cast_unsigned());
    Ok(())
}

impl Opened {
    /// The time to stamp by.
    pub(super) fn stamping_us(&mut self, config: &EngineConfig) -> TimestampUs {
        let before = self.wall.ahead().is_some();
        let now = reading(&config.clock);
        let now_us = self.wall.read(now, self.core.clock().last_us());
        match self.wall.ahead() {
            Some(ahead) if !before => tracing::warn!(
                ahead_s = ahead.as_secs(),
                "the wall clock is far ahead of the last stamp, and nothing says that it is right: entries are stamped \
                 at the old pace until a peer's clock agrees"
            ),
            None if before => tracing::info!("the wall clock is believed"),
            Some(_) | None => {}
        }
        now_us
    }
}

impl Engine {
    /// See [`crate::sync::port::Engine::observed_through`].
    pub fn observed_through(&mut self, wall_us: u64) -> Result<()> {
        self.with(|opened, config| {
            let now_us = opened.stamping_us(config);
            // At the old pace the same moment has an earlier name.
            let ahead = opened.wall.ahead().unwrap_or_default();
            let ahead_us = u64::try_from(ahead.as_micros()).unwrap_or(u64::MAX);
            let through_us = wall_us.saturating_sub(ahead_us).min(now_us);
            // Later entries must be stamped later than what the mark promises, even if the wall clock steps back.
            opened.core.clock_mut().observe(through_us);
            opened.observed_us = opened.observed_us.max(through_us);
            opened.reported();
            Ok(())
        })
    }

    /// By how much the wall clock is ahead of the time that entries are stamped by; none when it is believed.
    pub fn clock_ahead(&mut self) -> Result<Option<Duration>> {
        self.with(|opened, config| {
            opened.stamping_us(config);
            Ok(opened.wall.ahead())
        })
    }

    /// A peer's wall clock shows `wall_us`. When ours agrees, it is believed.
    pub fn peer_clock(&mut self, wall_us: u64) -> Result<()> {
        self.with(|opened, config| {
            let now = reading(&config.clock);
            if opened.wall.ahead().is_some() && agree(wall_us, now.wall_us) {
                opened.wall.believe(now);
                tracing::info!("a peer's clock agrees with the wall clock: it is believed");
            }
            Ok(())
        })
    }
}
