//! `cfs-repl run`: assembles the parts, owns every task and thread by name, and ends them in phases.
//!
//! Nothing here decides what is true: the engine owns the state, a connector its tree, a link its connection. This is
//! where they are tied together.

mod assemble;
mod causes;
mod certificates;
mod content;
mod lock;
mod peer;
mod status;
pub mod tasks;

pub use assemble::{Daemon, Exit};
pub use certificates::Certificates;
