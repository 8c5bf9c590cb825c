//! Pure: the state of all streams of a log, as its records make it.
//!
//! Writer, recovery and every reader run the same function over the same records, so that head, chain and context of
//! a stream cannot differ between them. A record that does not follow from the state before it is damage.

use std::collections::BTreeMap;

use super::chain;
use super::dot::Seen;
use super::record::{Record, Snapshot, StoredEntry, StreamPoint};
use super::segment::LogKind;

/// Head, chain and context of every stream at a position of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Streams {
    kind: LogKind,
    points: BTreeMap<u32, StreamPoint>,
    last_hlc_us: u64,
}

impl Streams {
    /// The state of an empty log.
    pub(crate) const fn new(kind: LogKind) -> Self {
        Self {
            kind,
            points: BTreeMap::new(),
            last_hlc_us: 0,
        }
    }

    /// The state that a checkpoint holds.
    pub(crate) fn restore(kind: LogKind, snapshot: Snapshot) -> Self {
        Self {
            kind,
            points: snapshot.streams,
            last_hlc_us: snapshot.last_hlc_us,
        }
    }

    /// The state for a checkpoint.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            streams: self.points.clone(),
            last_hlc_us: self.last_hlc_us,
        }
    }

    /// One stream; an absent one has no entries.
    pub(crate) fn point(&self, stream: u32) -> Option<&StreamPoint> {
        self.points.get(&stream)
    }

    /// Last seq of a stream; 0: no entries.
    pub(crate) fn seq(&self, stream: u32) -> u64 {
        self.point(stream).map_or(0, |point| point.seq)
    }

    /// The context that holds for the next entry of a stream unless it changes.
    pub(crate) fn seen(&self, stream: u32) -> Seen {
        self.point(stream)
            .map_or_else(Seen::new, |point| point.seen.clone())
    }

    /// Last seq of every stream that has entries.
    pub(crate) fn heads(&self) -> BTreeMap<u32, u64> {
        let heads = self
            .points
            .iter()
            .map(|(stream, point)| (*stream, point.seq));
        heads.filter(|(_, seq)| *seq > 0).collect()
    }

    /// All streams.
    pub(crate) fn points(&self) -> &BTreeMap<u32, StreamPoint> {
        &self.points
    }

    /// Highest hybrid clock of any entry.
    pub(crate) const fn last_hlc_us(&self) -> u64 {
        self.last_hlc_us
    }

    /// Takes over a record that follows. On an error the state is as before, except for the entries of a
    /// transaction that went well.
    ///
    /// # Errors
    /// What was expected and what the record says.
    pub(crate) fn apply(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Entry(stored) => self.apply_entry(stored),
            Record::Txn(entries) => entries.iter().try_for_each(|entry| self.apply_entry(entry)),
            Record::Seen { stream, run } => {
                let point = self.points.entry(*stream).or_default();
                if self.kind == LogKind::Journal && run.first_seq != point.seq + 1 {
                    return Err(format!(
                        "context of stream {stream} starts at seq {}, expected {}",
                        run.first_seq,
                        point.seq + 1
                    ));
                }
                point.seen = run.seen.clone();
                Ok(())
            }
            Record::Trailer { .. } => Ok(()),
            Record::Snapshot(snapshot) => {
                if *snapshot == self.snapshot() {
                    Ok(())
                } else {
                    Err("checkpoint does not agree with the records before it".to_owned())
                }
            }
            Record::Range(range) => {
                let point = self.points.entry(range.stream).or_default();
                if range.first > point.seq + 1 || range.last <= point.seq {
                    return Err(format!(
                        "batch {}..={} of stream {} does not follow seq {}",
                        range.first, range.last, range.stream, point.seq
                    ));
                }
                point.seq = range.last;
                point.chain = range.chain_last;
                Ok(())
            }
        }
    }

    /// Takes over one entry: in a journal it is the next one of its stream and extends the chain; in a received log
    /// the range of its batch moves the head.
    pub(crate) fn apply_entry(&mut self, stored: &StoredEntry) -> Result<(), String> {
        let entry = &stored.entry;
        if self.kind == LogKind::Journal {
            let point = self.points.entry(entry.shard_id).or_default();
            if entry.seq != point.seq + 1 {
                return Err(format!(
                    "entry of stream {} has seq {}, expected {}",
                    entry.shard_id,
                    entry.seq,
                    point.seq + 1
                ));
            }
            point.seq = entry.seq;
            point.chain = chain::extend(&point.chain, entry.seq, &stored.raw, &point.seen);
        }
        self.last_hlc_us = self.last_hlc_us.max(entry.hlc_us);
        Ok(())
    }
}
