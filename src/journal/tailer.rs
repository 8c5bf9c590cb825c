//! Follows one shard of a journal: entry after entry, waiting at the end for the next one.
//!
//! Over the segment log it sees what is durable and nothing else; over memory, for tests and small tools, what was
//! pushed. Waiting costs nothing: the writer wakes it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::entry::JournalEntry;
use super::log::Durable;
use super::reader::StreamReader;
use super::writer::Journal;
use crate::error::Result;

/// Streams the entries of a shard from a position on.
#[derive(Debug)]
pub struct JournalTailer {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Memory {
        entries: Arc<Mutex<Vec<JournalEntry>>>,
        pushed: watch::Receiver<usize>,
        shard_id: u32,
        from_seq: u64,
        /// Index of the next entry to look at.
        at: usize,
    },
    Log {
        reader: Box<StreamReader>,
        durable: watch::Receiver<Durable>,
    },
}

/// The other end of a tailer over memory. The tailer ends when all feeds are dropped.
#[derive(Debug, Clone)]
pub struct JournalFeed {
    entries: Arc<Mutex<Vec<JournalEntry>>>,
    pushed: watch::Sender<usize>,
}

impl JournalFeed {
    /// Appends an entry.
    pub fn push(&self, entry: JournalEntry) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(entry);
        self.pushed.send_replace(entries.len());
    }
}

impl JournalTailer {
    /// Follows `shard_id` from `from_seq` on over `entries` and what is pushed to the feed.
    #[must_use]
    pub fn in_memory(
        shard_id: u32,
        from_seq: u64,
        entries: Vec<JournalEntry>,
    ) -> (Self, JournalFeed) {
        let (sender, pushed) = watch::channel(entries.len());
        let entries = Arc::new(Mutex::new(entries));
        let source = Source::Memory {
            entries: entries.clone(),
            pushed,
            shard_id,
            from_seq,
            at: 0,
        };
        let feed = JournalFeed {
            entries,
            pushed: sender,
        };
        (Self { source }, feed)
    }

    /// Follows `shard_id` of `journal` from `from_seq` on. It ends when the journal is dropped.
    ///
    /// # Errors
    /// [`crate::ReplError::Journal`] with "no longer kept" when entries from there on were trimmed.
    pub fn over(journal: &Journal, shard_id: u32, from_seq: u64) -> Result<Self> {
        let reader = Box::new(journal.read_stream(shard_id, from_seq)?);
        let durable = journal.watch();
        Ok(Self {
            source: Source::Log { reader, durable },
        })
    }

    /// The next entry, as soon as there is one; none when there can be no more.
    ///
    /// Cancel-safe: an entry is taken only when it is returned.
    ///
    /// # Errors
    /// When the log is damaged or the tailer was overtaken by trimming.
    pub async fn next(&mut self) -> Result<Option<JournalEntry>> {
        loop {
            // Marked as seen before looking: what comes in between wakes the wait below.
            self.source.mark_seen();
            if let Some(entry) = self.source.take()? {
                return Ok(Some(entry));
            }
            if !self.source.changed().await {
                return self.source.take();
            }
        }
    }
}

impl Source {
    fn mark_seen(&mut self) {
        match self {
            Self::Memory { pushed, .. } => {
                pushed.mark_unchanged();
            }
            Self::Log { durable, .. } => {
                durable.mark_unchanged();
            }
        }
    }

    fn take(&mut self) -> Result<Option<JournalEntry>> {
        match self {
            Self::Memory {
                entries,
                shard_id,
                from_seq,
                at,
                ..
            } => {
                let entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
                while let Some(entry) = entries.get(*at) {
                    *at += 1;
                    if entry.shard_id == *shard_id && entry.seq >= *from_seq {
                        return Ok(Some(entry.clone()));
                    }
                }
                Ok(None)
            }
            Self::Log { reader, .. } => reader.next_entry(),
        }
    }

    /// Waits for more; false when there can be none.
    async fn changed(&mut self) -> bool {
        match self {
            Self::Memory { pushed, .. } => pushed.changed().await.is_ok(),
            Self::Log { durable, .. } => durable.changed().await.is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dot::{Actor, Seen, shard_of};
    use super::super::log::LogOptions;
    use super::super::op::OpKind;
    use super::super::writer::AppendGroup;
    use super::*;
    use crate::disk::FaultyDisk;

    const ACTOR: Actor = Actor::new(1, 7);

    fn entry(inode: u64, seq: u64, hlc_us: u64) -> JournalEntry {
        let shard = shard_of(inode);
        let mut entry = JournalEntry::new(seq, shard, 1, hlc_us, inode, OpKind::Write, vec![]);
        entry.incarnation = ACTOR.incarnation;
        entry
    }

    async fn seq(tailer: &mut JournalTailer) -> Option<u64> {
        tailer.next().await.unwrap().map(|entry| entry.seq)
    }

    #[tokio::test]
    async fn a_tailer_over_memory_gives_its_shard_and_ends_with_its_feed() {
        let first = vec![entry(5, 1, 1), entry(6, 1, 2), entry(5, 2, 3)];
        let (mut tailer, feed) = JournalTailer::in_memory(shard_of(5), 2, first);
        assert_eq!(seq(&mut tailer).await, Some(2));
        let waiting = async { seq(&mut tailer).await };
        let pushing = async {
            feed.push(entry(6, 2, 4));
            feed.push(entry(5, 3, 5));
        };
        assert_eq!(tokio::join!(waiting, pushing).0, Some(3));
        drop(feed);
        assert_eq!(seq(&mut tailer).await, None);
    }

    #[tokio::test]
    async fn a_tailer_over_the_log_wakes_on_what_is_durable_and_ends_with_the_journal() {
        let disk = FaultyDisk::new(1).shared();
        let mut journal = Journal::create(disk, "/log", ACTOR, LogOptions::default()).unwrap();
        let group = |entry| AppendGroup::of(entry, Seen::new());
        let mut tailer = JournalTailer::over(&journal, shard_of(5), 1).unwrap();
        let waiting = async { seq(&mut tailer).await };
        let writing = async {
            journal.append(&[group(entry(6, 1, 1))]).unwrap();
            tokio::task::yield_now().await;
            journal
                .append(&[group(entry(5, 1, 2)), group(entry(5, 2, 3))])
                .unwrap();
        };
        assert_eq!(tokio::join!(waiting, writing).0, Some(1));
        drop(journal);
        assert_eq!(seq(&mut tailer).await, Some(2));
        assert_eq!(seq(&mut tailer).await, None);
    }
}
