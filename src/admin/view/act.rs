//! Pure: what operators may do and have done: reloads, invitations, and bytes of losers that they saved.

use std::fmt;

use schemars::JsonSchema;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::{hex_unless_text, path_text};
use crate::clock::{self, TimestampUs};

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct ReloadedView {
    /// Keys that are different, and hold from here on.
    pub applied: Vec<String>,
    /// Keys that are different, and hold from the next start on.
    pub needs_restart: Vec<String>,
}

/// What taking a site out came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemovedView {
    /// It stands in the configuration of the daemon, too, and has to be taken out there.
    pub configured: bool,
    /// Journals of it that ended by that, at all sites.
    pub journals: u64,
}

/// What a caller may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RightsView {
    /// It may act, and not only look.
    pub act: bool,
    /// The caller, as it is called where it acts.
    pub caller: String,
    /// What would let it act; empty when it may.
    pub hint: String,
}

/// What an invitation shall be like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InviteWish {
    /// Name of the new site. None: it chooses one.
    pub site: Option<String>,
    /// How long it holds. None: one hour.
    pub valid_us: Option<u64>,
    /// Where the new site reaches this one. Empty: as configured.
    pub endpoints: Vec<String>,
    /// Tells only whether it could be made.
    pub dry_run: bool,
}

words! {
    /// What may be done with an invitation.
    InvitationState {
        /// Newer than the reader.
        #[default]
        Unknown = "unknown",
        /// A machine can join with its token.
        Open = "open",
        /// A site joined with it.
        Used = "used",
        /// Its time is over.
        Ended = "ended",
    }
}

/// An invitation that was made before, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct InvitationView {
    /// By what it is told from others.
    pub id: String,
    /// What may be done with it.
    pub state: InvitationState,
    /// Name that the new site is to have; null: it chooses one itself.
    pub name: Option<String>,
    /// Who made it.
    pub made_by: String,
    /// Until when it holds, or held.
    #[serde(flatten, serialize_with = "expires::serialize")]
    #[schemars(schema_with = "expires::schema")]
    pub expires_us: TimestampUs,
    /// Name of the site that joined with it; null: none.
    pub used_by: Option<String>,
    /// When that was.
    #[serde(flatten, serialize_with = "used::serialize")]
    #[schemars(schema_with = "used::schema")]
    pub used_us: Option<TimestampUs>,
}

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct InviteView {
    /// By what it is told from others, to withdraw it; no secret. Null: under --dry-run, nothing was made.
    pub id: Option<String>,
    /// What is typed at the new site. A secret. Null: under --dry-run, nothing was made.
    pub token: Option<String>,
    /// Until when it holds.
    #[serde(flatten, serialize_with = "expires::serialize")]
    #[schemars(schema_with = "expires::schema")]
    pub expires_us: TimestampUs,
    /// Where the new site will reach this one.
    pub endpoints: Vec<String>,
    /// Names of the other sites that this one exchanges with; they have to be told of the new one by hand.
    pub others: Vec<String>,
}

/// The bytes of a loser, in a file of the operator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct SavedView {
    /// The whole id of the conflict.
    pub id: String,
    /// The file that was written.
    #[serde(flatten, serialize_with = "path::serialize")]
    #[schemars(schema_with = "path::schema")]
    pub path: Vec<u8>,
    /// How many bytes it has.
    pub size_bytes: u64,
}

paths! {
    path: "path" "path_hex";
}

moments! {
    expires: "expires_at" "expires_us";
    used: "used_at" "used_us";
}
