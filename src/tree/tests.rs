//! Two real trees kept equal through two connectors and a naive engine in memory.
//!
//! The engine here is as simple as can be (the later image of an inode wins), so that what fails is the connector.

mod concede;
mod connector;
mod fake;
mod kinds;
mod matching;
mod pieces;
mod recovery;
mod restored;
mod rules;
mod turns;
