//! All integration tests, one binary so that they link once.
//!
//! `cfg(test)` is always set here; it tells clippy that helpers may unwrap, as test functions may.

#[cfg(test)]
#[cfg(feature = "cli")]
mod bad_input;
#[cfg(test)]
#[cfg(feature = "cli")]
mod cli;
#[cfg(test)]
#[cfg(feature = "cli")]
mod demo;
#[cfg(test)]
#[cfg(feature = "cli")]
mod logs;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod rng;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod trees;
