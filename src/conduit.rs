//! The connection to one other site: entries, receipts and content, both directions, whoever dialled.
//!
//! [`session`] decides and touches nothing; [`peer`] owns the state of one peer, connected or not, and gives the daemon
//! a [`Link`]; [`client`] and [`server`] move messages between it and gRPC, [`pair`] within the process. [`content`] is
//! the second stream. [`Conduit`] is the plain library face of the same session.

pub mod accept;
pub mod backoff;
pub mod client;
pub mod codec;
pub mod config;
pub mod contact;
pub mod content;
pub mod facade;
pub mod hello;
pub mod join;
pub mod link;
pub mod message;
pub mod pair;
pub mod peer;
pub mod pki;
pub mod route;
pub mod server;
pub mod session;
pub(crate) mod slots;
pub mod stats;
pub mod tls;
pub mod window;
pub mod wire;

pub use config::{ConduitConfig, ConduitTlsConfig};
pub use facade::Conduit;
pub use link::{ConduitState, Link, LinkEvent};
pub use stats::ConduitStats;
