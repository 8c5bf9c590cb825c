//! Pure: what two sites say to each other on the replicate stream, in our own types.
//!
//! The session and everything above it see only these; [`super::wire`] turns them into protobuf and back. Absent
//! fields of an older peer arrive as the defaults that the proto file names.

use std::fmt;

use bytes::Bytes;

use crate::journal::EntryBatch;
use crate::journal::batch::ChainHash;
use crate::journal::chain::CHAIN_START;
use crate::journal::dot::Actor;
use crate::journal::verdict::Reached;

/// Lowest protocol version that this build speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// Highest protocol version that this build speaks.
pub const PROTOCOL_MAX: u32 = 1;
/// Number of the shard function; 1 is [`crate::journal::dot::shard_of`].
pub const SHARD_FUNCTION: u32 = 1;

/// One message of the replicate stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// First message of either side.
    Hello(Box<Hello>),
    /// Entries and the mark.
    Frame(Frame),
    /// How far entries of the other side got.
    Receipts(Receipts),
    /// Sign of life with clocks.
    Heartbeat(Beat),
    /// A batch was not taken.
    Nak(Nak),
    /// Entries are not taken for now.
    Hold(Hold),
    /// Why the sender is about to close.
    Close(Close),
    /// Asks for what the other side knows.
    SnapshotRequest(SnapshotRequest),
    /// A page of it.
    SnapshotPage(Box<SnapshotPage>),
}

/// Who speaks, and where its logs stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// Lowest protocol version that the sender speaks.
    pub protocol_min: u32,
    /// Highest one; the lower of both sides' highest is used.
    pub protocol_max: u32,
    /// The journal of the sender.
    pub actor: Actor,
    /// Site name, equal to the certificate's.
    pub site_name: String,
    /// Cluster, equal on both sides.
    pub cluster: String,
    /// Number of the shard function.
    pub shard_function: u32,
    /// Membership epoch.
    pub epoch: u32,
    /// Inode tags that the site ever used.
    pub tags: Vec<u32>,
    /// Every stream of the sender that holds entries.
    pub streams: Vec<StreamState>,
    /// The sender's cursors into the receiver's streams, where above zero.
    pub cursors: Vec<StreamCursor>,
    /// The sender's clocks.
    pub clock: ClockPair,
    /// What the sender can do beyond the version.
    pub features: Vec<String>,
    /// What the site does with entries.
    pub role: Role,
    /// Random number of this connection attempt.
    pub connection_id: u64,
    /// The journal of the receiver that `cursors` belong to. Zero: none was ever seen.
    pub peer_incarnation: u64,
    /// The journal of the site that brought the tree. None: no tree was brought, or it is not known.
    pub founder: Option<Actor>,
    /// The sender has received nothing of any site so far.
    pub newcomer: bool,
    /// There are entries that nobody sends any more: a newcomer takes over a snapshot of the sender first.
    pub fills_newcomers: bool,
    /// The sender is merging a snapshot: it gives none, and takes no other one.
    pub merging: bool,
    /// Journals from which nothing comes any more, and how far the sender has each.
    pub silent: Vec<Reached>,
}

/// Asks for a page of what the other side knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotRequest {
    /// The snapshot that `after` belongs to.
    pub snapshot: u64,
    /// The key of the last item that is taken. Empty: from the beginning.
    pub after: Bytes,
}

/// A page of what a site knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotPage {
    /// The number of the snapshot among those of its journal.
    pub snapshot: u64,
    /// As in the request. Empty: the first page of a snapshot, even if another one was asked for.
    pub after: Bytes,
    /// How far the sender had merged each journal when the snapshot was taken; in the first page only.
    pub reach: Vec<Reached>,
    /// Its hybrid clock then.
    pub hlc_us: u64,
    /// What it knows: keys and values of its store, by key.
    pub items: Vec<(Bytes, Bytes)>,
    /// Nothing comes behind it.
    pub is_last: bool,
}

impl Hello {
    /// The sender's cursors into the journal `incarnation` of the receiver; none when it knows another one.
    pub fn cursors_of(&self, incarnation: u64) -> impl Iterator<Item = &StreamCursor> {
        let known = self.peer_incarnation == incarnation;
        self.cursors.iter().filter(move |_| known)
    }
}

/// What a site does with entries, as far as a peer needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Sends and applies.
    #[default]
    Bidirectional,
    /// Sends, refuses entries of others.
    Primary,
    /// Applies only.
    Replica,
}

/// One stream of the sender's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamState {
    /// 0..=256.
    pub stream: u32,
    /// Lowest seq that is still kept.
    pub tail: u64,
    /// Highest durable seq.
    pub head: u64,
    /// Chain hash at `head`.
    pub chain_head: ChainHash,
}

/// How far the sender has a stream of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamCursor {
    /// 0..=256.
    pub stream: u32,
    /// Last seq in the received log.
    pub received: u64,
    /// Chain hash at `received`; zero when not known.
    pub chain: ChainHash,
    /// Last seq merged.
    pub merged: u64,
    /// Last seq durable with its content, parked ones skipped.
    pub durable: u64,
    /// Last seq applied, parked ones skipped.
    pub applied: u64,
}

impl StreamCursor {
    /// Whether the chain at `received` is known and is not `chain`.
    #[must_use]
    pub fn differs(&self, chain: &ChainHash) -> bool {
        self.chain != CHAIN_START && self.chain != *chain
    }
}

/// Two readings of a site's clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockPair {
    /// Wall clock in microseconds since 1970.
    pub wall_us: u64,
    /// Hybrid logical clock.
    pub hlc_us: u64,
    /// Whether the kernel says that the wall clock is synchronised.
    pub synchronised: bool,
}

/// A run of batches of any streams, in the order of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// The batches, at most [`super::window::FRAME_BYTES_MAX`] encoded together.
    pub batches: Vec<EntryBatch>,
    /// Every entry of the sender with `hlc_us` up to here was sent before on this connection, or is in this frame.
    /// Zero: no promise.
    pub mark_us: u64,
}

/// Receipts of several streams.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipts {
    /// One each.
    pub receipts: Vec<Receipt>,
    /// Highest mark up to which everything was applied. Zero: none.
    pub applied_mark_us: u64,
}

/// How far one stream of an actor got at its receiver. Each position never goes back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The journal that the stream belongs to.
    pub actor: Actor,
    /// 0..=256.
    pub stream: u32,
    /// Last seq in the fsynced received log: the sender may trim its journal to here.
    pub received: u64,
    /// Last seq merged.
    pub merged: u64,
    /// Last seq received with its content there too, parked ones skipped.
    pub durable: u64,
    /// Last seq on the tree, parked ones skipped.
    pub applied: u64,
    /// Seqs that could not be applied, at most [`PARKED_MAX`].
    pub parked: Vec<u64>,
    /// How many are parked in all.
    pub parked_count: u64,
}

/// Most parked seqs that a receipt lists; the rest is only counted.
pub const PARKED_MAX: usize = 64;

/// What a heartbeat carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beat {
    /// The sender's clocks.
    pub clock: ClockPair,
    /// As in [`Frame`]. The session fills it with the last mark that it sent.
    pub mark_us: u64,
    /// Bytes of journal that the receiver has not received yet.
    pub backlog_bytes: u64,
    /// Entries that the receiver has not received yet.
    pub backlog_entries: u64,
    /// Wall clock of the last heartbeat that the sender heard from the receiver. Zero: none. The session fills it.
    pub echo_us: u64,
    /// Microseconds from when the sender heard that until it sent this. The session fills it.
    pub echo_held_us: u64,
    /// Microseconds since the sender began to look at its whole tree, during which it applies nothing. Zero: it does not.
    pub looking_us: u64,
    /// Files that the receiver deleted, for which the sender's brake holds what comes from it. Zero: it holds nothing.
    pub held_removed: u64,
    /// Files of the sender's tree of which these were a part.
    pub held_files: u64,
}

/// A batch was not taken; nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nak {
    /// The journal that the stream belongs to.
    pub actor: Actor,
    /// Which stream.
    pub stream: u32,
    /// Why.
    pub reason: NakReason,
    /// Last seq that the sender of the Nak has; the other side goes on behind it.
    pub received: u64,
    /// `batch_seq` of the batch that was not taken: tells an echo of batches sent before a rewind from news.
    pub batch_seq: u64,
    /// For people: what was expected, what was found.
    pub detail: String,
}

/// Why a batch was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NakReason {
    /// `first` is not the next seq.
    Gap,
    /// `chain_prev` is not the chain that is stored: the journal forked.
    Fork,
    /// The batch breaks a rule.
    Invalid,
    /// The receiver's disk is full.
    NoSpace,
    /// The receiver is a primary and takes no entries.
    Role,
    /// The asked position is no longer kept; the site must be bootstrapped.
    SnapshotRequired,
}

/// Entries are not taken until `until_us`: their stamps lie too far ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Wall clock of the sender at which to try again.
    pub until_us: u64,
    /// For people.
    pub detail: String,
}

/// Why a connection is closed, for the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// Why.
    pub reason: CloseReason,
    /// For people: what was expected, what was found, what to do.
    pub detail: String,
    /// Lowest version that the sender speaks.
    pub protocol_min: u32,
    /// Highest version that the sender speaks.
    pub protocol_max: u32,
}

impl Close {
    /// A close with the versions of this build.
    #[must_use]
    pub fn new(reason: CloseReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
        }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.word(), self.detail)
    }
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// Shutting down; try again later.
    Shutdown,
    /// No common protocol version.
    Version,
    /// Another cluster.
    Cluster,
    /// The site is not known, or its id and name do not belong together.
    UnknownSite,
    /// The certificate, or a batch, is of another site.
    Identity,
    /// The journal is older than what was seen of it, or differs.
    RolledBack,
    /// The site was fenced.
    Fenced,
    /// The same journal is connected already.
    Duplicate,
    /// A rule of the protocol was broken.
    Protocol,
    /// Both sites had files before they met.
    Populated,
    /// What one of the two lacks is no longer kept by the other.
    NotKept,
    /// An operator paused the exchange; it goes on when somebody resumes it there.
    Paused,
}

impl CloseReason {
    /// One word for logs and status.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Version => "version",
            Self::Cluster => "cluster",
            Self::UnknownSite => "unknown_site",
            Self::Identity => "identity",
            Self::RolledBack => "rolled_back",
            Self::Fenced => "fenced",
            Self::Duplicate => "duplicate",
            Self::Protocol => "protocol",
            Self::Populated => "populated",
            Self::NotKept => "not_kept",
            Self::Paused => "paused",
        }
    }

    /// Whether trying again soon is useless until a person did something. Such a peer is tried at the longest delay.
    #[must_use]
    pub const fn needs_a_person(self) -> bool {
        match self {
            Self::Shutdown | Self::Duplicate | Self::Paused => false,
            Self::Version
            | Self::Cluster
            | Self::UnknownSite
            | Self::Identity
            | Self::RolledBack
            | Self::Fenced
            | Self::Protocol
            | Self::Populated
            | Self::NotKept => true,
        }
    }
}
