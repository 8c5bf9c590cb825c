//! Histories of several sites that a seed repeats, one binary: `cargo test --test sim`.
//!
//! `cfg(test)` is always set here; it tells clippy that helpers may unwrap, as test functions may.

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod rng;
#[cfg(test)]
mod simulation;

/// What fuzzing found is replayed here, and some of it was memory: a target says how much it may take.
#[cfg(test)]
#[global_allocator]
static METER: cfs_repl_meter::Meter = cfs_repl_meter::Meter;
