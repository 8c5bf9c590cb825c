//! The dashboard: what a daemon tells, as a picture that a person reads in five seconds.
//!
//! One loop owns the [`model`]. Messages go in by the pure [`update`], a picture comes out by the pure [`view`], and
//! everything else stands around: [`feed`] listens to the daemon, [`calls`] asks it, [`terminal`] has the terminal and
//! gives it back whatever happens, [`record`] keeps the stream, [`reel`] reads it back, [`replay`] has the time at which it is
//! played, and [`projector`] plays it.

pub mod app;
pub mod calls;
pub mod command;
pub mod diff;
pub mod explain;
pub mod feed;
pub mod help;
pub mod keys;
pub mod message;
pub mod model;
pub mod projector;
pub mod record;
pub mod reel;
pub mod replay;
pub mod terminal;
pub mod theme;
pub mod update;
pub mod view;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod random;
#[cfg(test)]
mod snapshots;
