//! What happened at a site, in order, for ever: entries, their encoding and the logs that hold them.
//!
//! A site's journal has 257 streams ([`dot::STREAM_COUNT`]) in one shared segment log; what arrives from another
//! site is kept in a log of the same kind, one per origin. The journal does not know where an entry came from.

pub mod batch;
pub mod chain;
pub mod codec;
pub mod dot;
pub mod entry;
pub mod op;

pub use batch::{EntryBatch, SeenRun};
pub use dot::{Actor, Dot, LwwKey, Seen};
pub use entry::{FoldedStamp, JournalEntry, RegisterDot, RegisterId, Txn};
pub use op::{Change, OpKind};
