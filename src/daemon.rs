//! `cfs-repl run`: assembles the parts, owns every task and thread by name, and ends them in phases.
//!
//! Nothing here decides what is true: the engine owns the state, a connector its tree, a link its connection. This is
//! where they are tied together.

mod assemble;
mod backlog;
mod causes;
mod certificates;
mod conflicts;
mod content;
pub mod doctor;
mod keeper;
mod listen;
mod lock;
mod notify;
mod peer;
mod restore;
mod status;
pub mod tasks;
mod worker;

pub use assemble::{Daemon, Exit, StartOptions};
pub use certificates::Certificates;
pub use notify::ServiceManager;
