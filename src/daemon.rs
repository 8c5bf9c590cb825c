//! `cfs-repl run`: assembles the parts, owns every task and thread by name, and ends them in phases.
//!
//! Nothing here decides what is true: the engine owns the state, a connector its tree, a link its connection. This is
//! where they are tied together.

mod act;
mod alerts;
mod assemble;
mod backlog;
mod board;
mod causes;
mod certificates;
mod conflicts;
mod content;
pub mod doctor;
mod events;
pub mod exchange;
mod exposition;
mod invite;
mod keeper;
mod listen;
pub mod lock;
pub mod logging;
pub mod logs;
mod matching;
mod notify;
mod overview;
mod peer;
mod peers;
pub mod preview;
mod reload;
mod restore;
mod roster;
mod status;
mod tail;
pub mod tasks;
mod timeline;
pub mod versions;
mod witness;
mod worker;

pub use assemble::{Daemon, Exit, StartOptions};
pub use certificates::Certificates;
pub use notify::ServiceManager;
pub use reload::Reloader;
