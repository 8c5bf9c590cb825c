//! The connection to one other site: entries, receipts and content, both directions, whoever dialled.
//!
//! [`session`] decides and touches nothing; `peer` owns the state of one peer, live connection or not, and gives the daemon a
//! `link::Link`; `client` and `server` move messages between it and gRPC; `pair` moves them within the process.
//! `Conduit` is the plain library face of the same.

pub mod backoff;
pub mod hello;
pub mod message;
pub mod route;
pub mod session;
pub mod window;
pub mod wire;
