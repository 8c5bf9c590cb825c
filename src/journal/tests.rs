//! The logs as a whole, on a disk that fails: what was acknowledged is there, whole, and nothing that was not written.
//!
//! A seeded script of groups is the model; after every kind of mishap the log must hold a prefix of it.

mod crash;
mod logs;
mod look;
mod received;
mod script;
