//! The fuzzed functions as a library: the root of the package in `fuzz/`. `cargo test` has them in `tests/sim.rs`.

#![allow(
    dead_code,
    reason = "of the judges, only what the hostile peer needs is used here"
)]

use cfs_repl_meter::Meter;

mod fuzz;
mod judge;
mod rng;

#[global_allocator]
static METER: Meter = Meter;

/// Runs the target of this name on `bytes`.
///
/// # Panics
/// When something does not hold.
pub fn run(target: &str, bytes: &[u8]) {
    fuzz::run(target, bytes);
}
