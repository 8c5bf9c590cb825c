//! The daemon: the parts put together, and the tasks that run them.

pub mod tasks;
