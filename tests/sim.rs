//! Histories of several sites that a seed repeats, one binary: `cargo test --test sim`.
//!
//! `cfg(test)` is always set here; it tells clippy that helpers may unwrap, as test functions may.

#[cfg(test)]
mod judge;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod rng;
#[cfg(test)]
mod simulation;
