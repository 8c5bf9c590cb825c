//! The daemon's ear and mouth for operators: an RPC on a unix socket, and the views that travel over it.
//!
//! The daemon implements [`Source`]; [`service`] puts it on a socket; command line and dashboard use [`client`] and
//! [`view`] alone. [`verdict`] decides what the numbers mean, in the daemon, so that all faces agree.

pub mod client;
pub mod service;
pub mod verdict;
pub mod view;
mod wire;

use crate::error::ReplError;
use view::{AckedView, ConflictView, LagView, RestoredView, ResumedView, StatusView};

/// What a running daemon knows and can do. Called from the tasks of the admin service, several at once.
#[tonic::async_trait]
pub trait Source: Send + Sync + 'static {
    /// Name of this site.
    fn site(&self) -> String;

    /// What an operator asks first.
    async fn status(&self) -> Result<StatusView>;

    /// How far each peer is behind.
    async fn lag(&self) -> Result<LagView>;

    /// Every conflict on record, oldest first.
    async fn conflicts(&self) -> Result<Vec<ConflictView>>;

    /// Puts the loser of a conflict back as a new change: where it was, or at `as_path`, a path below the root.
    /// `id` is a shown id or the beginning of one.
    ///
    /// # Errors
    /// [`AdminError::ConflictUnknown`], [`AdminError::ConflictAmbiguous`], or [`AdminError::NotPossible`] when
    /// nothing is kept to restore or the place is taken.
    async fn restore(&self, id: &str, as_path: Option<&[u8]>) -> Result<RestoredView>;

    /// Acknowledges conflicts for all sites, in the name of `by`: all or, when one is not known, none. Those that are
    /// acknowledged already stay as they are. `dry_run`: only tells what would be done.
    ///
    /// # Errors
    /// As [`Source::restore`]; [`AdminError::NotPossible`] when the note is too long.
    async fn ack(
        &self,
        ids: &[String],
        note: &str,
        by: &str,
        dry_run: bool,
    ) -> Result<Vec<AckedView>>;

    /// Lets a site go on that is held or paused. One that is neither is left as it is; one that the brake holds needs
    /// `confirm`.
    ///
    /// # Errors
    /// [`AdminError::SiteUnknown`], or [`AdminError::NotPossible`] without `confirm`.
    async fn resume(&self, site: &str, confirm: bool) -> Result<ResumedView>;
}

/// Why the daemon refuses, by what the caller does about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// Name another site.
    #[error("no site \"{name}\"")]
    SiteUnknown {
        /// As it was given.
        name: String,
        /// Names of the peers there are.
        known: Vec<String>,
    },
    /// Name another conflict.
    #[error("no conflict \"{id}\"")]
    ConflictUnknown {
        /// As it was given.
        id: String,
    },
    /// Give more of the id.
    #[error("several conflicts have ids that begin with \"{id}\"")]
    ConflictAmbiguous {
        /// As it was given.
        id: String,
    },
    /// The request is sound and the state does not allow it.
    #[error("{what}")]
    NotPossible {
        /// What cannot be done, and why.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// A part of the daemon failed.
    #[error(transparent)]
    Failed(#[from] ReplError),
}

/// Result of a [`Source`].
pub type Result<T, E = AdminError> = std::result::Result<T, E>;
