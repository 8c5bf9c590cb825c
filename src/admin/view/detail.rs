//! Pure: one conflict with both versions.

use std::fmt;

use schemars::JsonSchema;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::{ConflictView, hex_unless_text, path_text};
use crate::clock::{self, TimestampUs};

words! {
    /// Where the bytes are that lost.
    BytesAt {
        /// Not known, or newer than the reader.
        #[default]
        Unknown = "unknown",
        /// No bytes lost.
        None = "none",
        /// At the answering site.
        Here = "here",
        /// Not here; the site that wrote them may have them.
        Elsewhere = "elsewhere",
        /// On no site.
        Gone = "gone",
    }
}

/// One conflict with both versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct ConflictDetail {
    /// As it is listed.
    #[serde(flatten)]
    pub conflict: ConflictView,
    /// What lost; null: not known.
    pub lost: Option<ValueView>,
    /// What the answering site shows in its place; null: nothing, or not known.
    pub shown: Option<ValueView>,
    /// What is shown is the version that won, and nothing that came later; null: it is no version of its own, such as a
    /// path.
    pub shown_is_winner: Option<bool>,
    /// Where the bytes are that lost.
    pub bytes_at: BytesAt,
    /// Why the winner won.
    pub why: String,
    /// By how much the clocks of the two sites differ at most, as measured when asked; null: not known.
    pub skew_bound_us: Option<u64>,
    /// Whether the stamps tell the order of both versions: they are further apart than the clocks; null: not known.
    pub order_certain: Option<bool>,
    /// What differs between the text that lost and the text that is shown, as a unified diff, empty when nothing does;
    /// null: it was not asked for, or there is none.
    pub diff: Option<String>,
    /// Why there is no diff; null: there is one, or it was not asked for.
    pub no_diff: Option<String>,
}

/// A value of a register; what the register does not have is null.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct ValueView {
    /// Bytes of the content.
    pub size_bytes: Option<u64>,
    /// What the content hashes to: the BLAKE3 root over its chunks.
    #[serde(serialize_with = "hex")]
    #[schemars(with = "Option<String>")]
    pub root: Option<[u8; 32]>,
    /// The lower 12 bits of the mode.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// mtime.
    #[serde(flatten, serialize_with = "mtime::serialize")]
    #[schemars(schema_with = "mtime::schema")]
    pub mtime_us: Option<TimestampUs>,
    /// Inode flags.
    pub flags: Option<u32>,
    /// Name of the extended attribute.
    #[serde(flatten, serialize_with = "xattr::serialize")]
    #[schemars(schema_with = "xattr::schema")]
    pub xattr: Option<Vec<u8>>,
    /// Value of the extended attribute; null: it was removed.
    #[serde(flatten, serialize_with = "xattr_value::serialize")]
    #[schemars(schema_with = "xattr_value::schema")]
    pub xattr_value: Option<Vec<u8>>,
    /// Path below the root.
    #[serde(flatten, serialize_with = "path::serialize")]
    #[schemars(schema_with = "path::schema")]
    pub path: Option<Vec<u8>>,
    /// It was removed.
    pub removed: bool,
}

/// Whether stamps that are `gap_us` apart tell an order, where clocks differ by at most `skew_bound_us`.
#[must_use]
pub fn order_certain(gap_us: Option<u64>, skew_bound_us: Option<u64>) -> Option<bool> {
    Some(gap_us? > skew_bound_us?)
}

fn hex<S: Serializer>(root: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
    root.map(|root| root_text(&root)).serialize(serializer)
}

/// A root in hexadecimal.
#[must_use]
pub fn root_text(root: &[u8; 32]) -> String {
    root.iter().map(|byte| format!("{byte:02x}")).collect()
}

moments! {
    mtime: "mtime_at" "mtime_us";
}

paths! {
    xattr: "xattr" "xattr_hex";
    xattr_value: "xattr_value" "xattr_value_hex";
    path: "path" "path_hex";
}
