//! The daemon's ear and mouth for operators: an RPC on a unix socket, and the views that travel over it.
//!
//! The daemon implements [`Source`]; [`service`] puts it on a socket; command line and dashboard use [`client`] and
//! [`view`] alone. [`verdict`] decides what the numbers mean, in the daemon, so that all faces agree.

pub mod access;
pub mod client;
pub mod delta;
pub mod filter;
pub mod metrics;
pub mod record;
pub mod service;
pub mod transitions;
pub mod verdict;
pub mod view;
mod wire;

#[doc(hidden)]
pub use wire::read_any;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};

use crate::error::ReplError;
use crate::sync::conflict::ConflictId;
use filter::{AckRequest, Matcher, RestoreRequest};
use view::journal::{EntryView, TailRequest};
use view::preview::{PreviewPiece, PreviewRequest};
use view::{
    AckedView, ConflictDetail, ConflictView, EventFilter, EventView, InvitationView, InviteView,
    InviteWish, Overview, ReloadedView, RemovedView, RestoredView, ResumedView,
};

/// Bytes of a file piece by piece; what ends with an error is not whole.
pub type Pieces = mpsc::Receiver<Result<Bytes, ReplError>>;

/// A preview of compaction piece by piece; what ends with an error is not whole.
pub type Previews = mpsc::Receiver<Result<PreviewPiece, ReplError>>;
/// Entries of the journal, some at a time.
pub type Entries = mpsc::Receiver<Result<Vec<EntryView>, ReplError>>;

/// What a running daemon knows and can do. Called from the tasks of the admin service, several at once.
#[tonic::async_trait]
pub trait Source: Send + Sync + 'static {
    /// Name of this site.
    fn site(&self) -> String;

    /// Status and lag at one moment, the lag with every shard.
    async fn overview(&self) -> Result<Overview>;

    /// What happened, oldest first, and where what happens from here on is told.
    fn events(&self, filter: &EventFilter)
    -> (Vec<EventView>, broadcast::Receiver<Arc<EventView>>);

    /// The conflicts on record that `filter` lets through, oldest first.
    async fn find_conflicts(&self, filter: &Matcher) -> Result<Vec<ConflictId>>;

    /// These conflicts in this order, apart from those that are not on record.
    async fn conflicts(&self, ids: &[ConflictId]) -> Result<Vec<ConflictView>>;

    /// One conflict with both versions. `id` is a shown id or the beginning of one.
    ///
    /// # Errors
    /// [`AdminError::ConflictUnknown`], [`AdminError::ConflictAmbiguous`].
    async fn show(&self, id: &str) -> Result<ConflictDetail>;

    /// The bytes that lost in a conflict.
    ///
    /// # Errors
    /// As [`Source::show`], or [`AdminError::NotPossible`] when no bytes lost or none are kept.
    async fn loser(&self, id: &str) -> Result<Pieces>;

    /// The bytes of the file that is shown where the loser lost.
    ///
    /// # Errors
    /// As [`Source::show`], or [`AdminError::NotPossible`] when no bytes lost, no file is shown, or it has more than
    /// `bytes_max` bytes.
    async fn shown(&self, id: &str, bytes_max: Option<u64>) -> Result<Pieces>;

    /// Puts the loser of a conflict back as a new change; `by` is on record with it.
    ///
    /// # Errors
    /// [`AdminError::ConflictUnknown`], [`AdminError::ConflictAmbiguous`], [`AdminError::Invalid`] when `as_path` can be
    /// no place in a tree, or [`AdminError::NotPossible`] when nothing is kept to restore, the place is taken, or a
    /// version stands there that is later than the winner, and the request does not allow that.
    async fn restore(&self, request: RestoreRequest<'_>, by: &str) -> Result<RestoredView>;

    /// Acknowledges conflicts for all sites in the name of `by`, or takes that back: all or, when one is not known,
    /// none. Those that are so already stay as they are.
    ///
    /// # Errors
    /// As [`Source::show`]; [`AdminError::NotPossible`] when the note is too long; [`AdminError::Unexpected`].
    async fn ack(&self, request: AckRequest<Matcher>, by: &str) -> Result<Vec<AckedView>>;

    /// Lets a site go on that is held or paused. One that is neither is left as it is; one that the brake holds needs
    /// `confirm`.
    ///
    /// # Errors
    /// [`AdminError::SiteUnknown`], or [`AdminError::NotPossible`] without `confirm`.
    async fn resume(&self, site: &str, confirm: bool, by: &str) -> Result<ResumedView>;

    /// Stops the exchange with a site until it is resumed. Returns whether that is a change.
    ///
    /// # Errors
    /// [`AdminError::SiteUnknown`].
    async fn pause(&self, site: &str, note: &str, by: &str) -> Result<bool>;

    /// Makes the connection to a site anew at once.
    ///
    /// # Errors
    /// [`AdminError::SiteUnknown`], or [`AdminError::NotPossible`] when it is paused.
    async fn reconnect(&self, site: &str, by: &str) -> Result<()>;

    /// Takes a site out for good, at all sites.
    ///
    /// # Errors
    /// [`AdminError::SiteUnknown`], or [`AdminError::NotPossible`] when the disk refuses.
    async fn remove(&self, site: &str, by: &str) -> Result<RemovedView>;

    /// Reads configuration and certificates again.
    ///
    /// # Errors
    /// [`AdminError::NotPossible`] when what is read is not good; everything stays as it was.
    async fn reload(&self, by: &str) -> Result<ReloadedView>;

    /// Changes what is logged; an empty filter: as configured. Returns what holds.
    ///
    /// # Errors
    /// [`AdminError::Invalid`].
    async fn set_log_level(&self, filter: &str, by: &str) -> Result<String>;

    /// Makes an invitation for a new site.
    ///
    /// # Errors
    /// [`AdminError::NotPossible`], [`AdminError::Taken`].
    async fn invite(&self, wish: InviteWish, by: &str) -> Result<InviteView>;

    /// The invitations that are kept, oldest first.
    async fn invitations(&self) -> Result<Vec<InvitationView>>;

    /// Withdraws the invitation with this id, or the beginning of it; returns the whole id.
    ///
    /// # Errors
    /// [`AdminError::InvitationUnknown`], [`AdminError::Invalid`] when several have ids that begin so, or
    /// [`AdminError::NotPossible`] when it was used.
    async fn revoke(&self, id: &str, by: &str) -> Result<String>;

    /// What compaction makes of what is to be sent to peers. Nothing is changed.
    ///
    /// # Errors
    /// [`AdminError::SiteUnknown`].
    async fn preview(&self, request: PreviewRequest) -> Result<Previews>;

    /// The end of the own journal, and what comes where that is wanted. Nothing is changed.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a pattern that is none.
    async fn tail(&self, request: TailRequest) -> Result<Entries>;
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
    /// Name another invitation.
    #[error("no invitation \"{id}\"")]
    InvitationUnknown {
        /// As it was given.
        id: String,
    },
    /// Give more of the id.
    #[error("several conflicts have ids that begin with \"{id}\"")]
    ConflictAmbiguous {
        /// As it was given.
        id: String,
        /// The first of them.
        found: Vec<String>,
    },
    /// Look again at what the filter lets through.
    #[error("the filter lets {found} conflicts through, and {expected} were expected")]
    Unexpected {
        /// As it was given.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// The request is sound and the state does not allow it.
    #[error("{what}")]
    NotPossible {
        /// What cannot be done, and why.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// Say it otherwise.
    #[error("{what}")]
    Invalid {
        /// What cannot be read, and why.
        what: String,
        /// What would be right.
        hint: String,
    },
    /// Choose another name.
    #[error("{what}")]
    Taken {
        /// What is taken, and by whom.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// The engine failed and cannot be opened again.
    #[error("{0}")]
    Unreadable(Arc<ReplError>),
    /// A part of the daemon failed.
    #[error(transparent)]
    Failed(#[from] ReplError),
}

/// Result of a [`Source`].
pub type Result<T, E = AdminError> = std::result::Result<T, E>;
