//! A directory tree as one end of replication: notices what changed in it, and shows in it what others changed.
//!
//! Everything goes through the root's descriptor ([`root`]). Noticing compares the disk with what the engine last
//! knew and never trusts events; applying stages first and renames last, so that a stop at any point leaves either
//! the old or the new file. What is not certain is left for the next round, not guessed.

pub mod adopt;
pub mod agenda;
pub mod apply;
pub mod boot;
pub mod change;
pub mod compare;
pub mod concede;
pub mod connector;
pub mod diff;
pub mod exec;
pub mod hold;
pub mod intent;
pub mod job;
pub mod look;
pub mod matching;
pub mod observe;
pub mod order;
pub mod pin;
pub mod plan;
pub mod policy;
pub mod populated;
pub mod recover;
pub mod restore;
pub mod rollback;
pub mod root;
pub mod scan;
pub mod serve;
pub mod stage;
pub mod stat;
pub mod stuck;
pub mod trash;
pub mod wake;
pub mod walk;
pub mod watch;
pub mod xattr;

pub use connector::{Connector, ConnectorEvent, ConnectorOptions};

#[cfg(test)]
mod tests;
