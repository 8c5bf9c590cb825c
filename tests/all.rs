//! All integration tests, one binary so that they link once.
//!
//! `cfg(test)` is always set here; it tells clippy that helpers may unwrap, as test functions may.

#[cfg(test)]
#[cfg(feature = "cli")]
mod access;
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
mod doctor;
#[cfg(test)]
#[cfg(feature = "cli")]
mod examples;
#[cfg(test)]
#[cfg(feature = "cli")]
mod grpc_client;
#[cfg(test)]
#[cfg(feature = "cli")]
mod held;
#[cfg(test)]
#[cfg(feature = "cli")]
mod inbox;
#[cfg(test)]
#[cfg(feature = "cli")]
mod injection;
#[cfg(test)]
#[cfg(feature = "cli")]
mod invite;
#[cfg(test)]
#[cfg(feature = "cli")]
mod join;
#[cfg(test)]
#[cfg(feature = "cli")]
mod journal;
#[cfg(test)]
#[cfg(feature = "cli")]
mod lab;
#[cfg(test)]
#[cfg(feature = "cli")]
mod logs;
#[cfg(test)]
#[cfg(feature = "cli")]
mod manners;
#[cfg(test)]
#[cfg(feature = "cli")]
mod many;
#[cfg(test)]
#[cfg(feature = "cli")]
mod matching;
#[cfg(test)]
#[cfg(feature = "cli")]
mod output;
#[cfg(test)]
#[cfg(feature = "cli")]
mod parked;
#[cfg(test)]
#[cfg(feature = "cli")]
mod power_loss;
#[cfg(test)]
mod previous;
#[cfg(test)]
#[cfg(feature = "cli")]
mod real_tree;
#[cfg(test)]
#[cfg(feature = "cli")]
mod replica;
#[cfg(test)]
mod rng;
#[cfg(test)]
#[cfg(feature = "cli")]
mod service;
#[cfg(test)]
#[cfg(feature = "cli")]
mod soak;
#[cfg(test)]
#[cfg(feature = "cli")]
mod takeover;
#[cfg(test)]
mod tidy;
#[cfg(test)]
#[cfg(feature = "tui")]
mod top;
#[cfg(test)]
mod trees;
