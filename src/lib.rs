//! Keeps directory trees at different sites in step: asynchronous, active-active, nothing lost.
//!
//! The path of one entry: a connector notices a change and hands it to the sync engine, which gives it a stamp and its
//! context; [`journal`] makes it durable; the conduit carries it to the other site, whose received log takes it;
//! the engine merges it there, records conflicts, and hands the difference to the connector, which applies it.

pub mod admin;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod conduit;
pub mod config;
pub mod content;
pub mod daemon;
pub mod disk;
pub mod error;
pub mod failpoint;
pub mod journal;
pub mod proto;
pub mod store;
pub mod sync;
pub mod text;
#[cfg(feature = "tui")]
pub mod top;
pub mod topology;
pub mod tree;
pub mod wal;

pub use error::ReplError;
