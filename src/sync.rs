//! The merge of what several sites did: deterministic, without clock, file or socket.
//!
//! [`core::Core`] owns a site's merged state. Entries of other sites come in through [`merge`], local operations
//! through [`author`]; [`view`] derives what is shown, and [`work`] what a connector has to do. Two views: *merged*,
//! everything that is known, and *applied*, what the connector's filesystem shows.

pub mod author;
pub mod brake;
pub mod compactor;
pub mod conflict;
pub mod core;
pub mod derived;
pub mod detector;
pub mod engine;
pub mod fate;
pub mod hlc;
pub mod ids;
pub mod lag;
pub mod level;
pub mod member;
pub mod merge;
pub mod namespace;
pub mod node;
pub mod port;
pub mod progress;
pub mod reclaim;
pub mod register;
pub mod registers;
pub mod replication;
pub mod state;
pub mod view;
pub mod wall;
pub mod work;

#[cfg(test)]
mod testing;
