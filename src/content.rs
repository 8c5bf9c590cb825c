//! A file's bytes as content-defined chunks under one hash, and where the bytes of a version come from.
//!
//! The same bytes with the same holes give the same manifest root everywhere: cut points and encoding are part of the
//! contract between sites and pinned by test vectors. No file is ever held in memory as a whole.

pub mod chunk;
pub mod manifest;

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::error::Result;
use crate::journal::dot::Dot;
use crate::journal::op::ManifestRoot;
use manifest::BlobHash;

/// Reason of an image that waits for its bytes; it is not a fault, and the image is tried again when they are here.
pub const WAITS_FOR_CONTENT: &str = "waits for content";
/// Reason of an image whose bytes were replaced at their origin before they got here; what took their place is on its
/// way. No fault either.
pub const WAITS_FOR_NEWER: &str = "waits for a newer version";
/// Reason of an image whose bytes no site has any more.
pub const CONTENT_GONE: &str = "content is gone at every site";

/// What conflicts want with bytes that are kept here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// No conflict is about them.
    Nothing,
    /// They lost in a conflict that was acknowledged or settled by a later version.
    Settled,
    /// They lost in a conflict that counts.
    Open,
}

/// One version of a file's bytes, as content is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentVersion {
    /// Logical inode.
    pub inode: u64,
    /// Who wrote the version.
    pub dot: Dot,
    /// Root of its manifest.
    pub root: ManifestRoot,
}

/// Answer to a request for a chunk or a manifest node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetch {
    /// The bytes. The asker hashes them again.
    Ready(Bytes),
    /// They are not here yet.
    Pending,
    /// They were replaced where they were written; what took their place is not merged here yet.
    Superseded,
    /// Nobody has them any more.
    Gone,
}

/// Where chunks and manifest nodes of other sites' versions come from. Calls do not wait for the network.
pub trait ContentSource: Send {
    /// The chunk or manifest node `hash` of `version`.
    ///
    /// # Errors
    /// When the place where content is kept fails.
    fn fetch(&mut self, version: &ContentVersion, hash: &BlobHash) -> Result<Fetch>;

    /// Whether [`ContentSource::fetch`] would give `hash` at once, without giving it.
    ///
    /// # Errors
    /// When the place where content is kept fails.
    fn has(&mut self, version: &ContentVersion, hash: &BlobHash) -> Result<bool>;

    /// Asks the other sites for `hashes`, which are missing here. Asking again does no harm.
    ///
    /// # Errors
    /// When the request cannot be recorded.
    fn want(&mut self, version: &ContentVersion, hashes: &[BlobHash]) -> Result<()>;

    /// Inodes that are worth another try since this was last asked: an answer to [`ContentSource::want`] came, or there
    /// is room for a request that was not taken.
    fn news(&mut self) -> BTreeSet<u64>;
}
