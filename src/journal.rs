//! What happened at a site, in order, for ever: entries, their encoding and the logs that hold them.
//!
//! A site's journal has 257 streams ([`dot::STREAM_COUNT`]) in one shared segment log; what arrives from another
//! site is kept in a log of the same kind, one per origin. The journal does not know where an entry came from.

pub mod batch;
pub mod chain;
pub mod codec;
pub mod device;
pub mod dot;
pub mod entry;
mod log;
mod look;
pub mod op;
mod reader;
mod received;
mod record;
mod recovery;
pub mod retention;
mod scan;
mod segment;
mod streams;
mod tailer;
#[cfg(test)]
mod tests;
pub mod verdict;
mod writer;

pub use batch::{EntryBatch, SeenRun};
pub use device::DeviceImage;
pub use dot::{Actor, Dot, LwwKey, Seen};
pub use entry::{FoldedStamp, JournalEntry, RegisterDot, RegisterId, Txn};
pub use log::{APPEND_BYTES_MAX, Durable, LogOptions};
pub use look::{LogLook, Looked, LookedEntries};
pub use op::{Change, OpKind};
pub use reader::{BatchReader, LoggedUnit, LoggedUnits, StreamReader};
pub use received::{Received, ReceivedBatches, ReceivedLog};
pub use record::body::{StoredEntry, StreamPoint};
pub use recovery::{Recovery, Verified};
pub(crate) use segment::FORMAT;
pub use tailer::{JournalFeed, JournalTailer};
pub use writer::{AppendGroup, Appended, Journal, NotKept};
