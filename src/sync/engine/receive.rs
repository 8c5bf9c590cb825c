//! Takes in what another site sent: everything is checked before anything is written, and written before merged.

use super::{Engine, EngineConfig, Opened};
use crate::error::Result;
use crate::failpoint;
use crate::journal::codec::decode_change;
use crate::journal::dot::{Actor, Dot, ROOT_INODE, STREAM_COUNT};
use crate::journal::verdict::Verdict;
use crate::journal::{EntryBatch, JournalEntry};
use crate::sync::progress::StreamProgress;
use crate::sync::state::State;

/// Why batches were not taken. Nothing of them was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Something before them is missing.
    Gap {
        /// The stream.
        stream: u32,
        /// Number of the batch on its connection.
        batch_seq: u64,
        /// Last seq that is there.
        received: u64,
    },
    /// Their history is not the one that was received.
    Fork {
        /// The stream.
        stream: u32,
        /// Number of the batch on its connection.
        batch_seq: u64,
        /// For people.
        detail: String,
    },
    /// They break a rule.
    Invalid {
        /// The stream.
        stream: u32,
        /// Number of the batch on its connection.
        batch_seq: u64,
        /// Last seq that is there.
        received: u64,
        /// Which rule, for people.
        detail: String,
    },
    /// The disk is full.
    NoSpace {
        /// The stream.
        stream: u32,
        /// Number of the batch on its connection.
        batch_seq: u64,
        /// Last seq that is there.
        received: u64,
        /// For people.
        detail: String,
    },
    /// This site takes no entries of others.
    Role {
        /// The stream.
        stream: u32,
        /// Number of the batch on its connection.
        batch_seq: u64,
    },
    /// Their journal was shut out, or ended: nothing more of it is taken.
    Out,
    /// Their stamps lie too far in the future.
    Hold {
        /// Wall clock at which to try again.
        until_us: u64,
        /// For people.
        detail: String,
    },
}

/// What became of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// How far the streams got that were in it.
    pub progress: Vec<StreamProgress>,
    /// Why something was not taken; what was taken stands in `progress`.
    pub refusal: Option<Refusal>,
}

impl Engine {
    /// Takes a frame of `actor`: batches, and the mark up to which everything of it was sent (0: no promise).
    ///
    /// # Errors
    /// When a log or the store fails; the frame will come again.
    pub fn receive(
        &mut self,
        actor: Actor,
        batches: &[EntryBatch],
        mark_us: u64,
    ) -> Result<Arrived> {
        let is_full = self.is_full() && !batches.is_empty();
        let mut owed = self.owed.remove(&actor).unwrap_or_default();
        let arrived = self.with(|opened, config| {
            for batch in batches {
                let last = owed.entry(batch.stream).or_default();
                *last = batch.last.max(*last);
            }
            if is_full {
                let detail = "no room in the state folder".to_owned();
                let refusal = Some(no_space(opened, actor, batches, detail));
                let progress = Vec::new();
                return Ok(Arrived { progress, refusal });
            }
            // How far each site has such a journal was compared since, so none may get more of it.
            if opened.out()?.contains(&actor) {
                let (progress, refusal) = (Vec::new(), Some(Refusal::Out));
                return Ok(Arrived { progress, refusal });
            }
            let (taken, refusal) = opened.check(config, actor, batches)?;
            let batches = batches.get(..taken).unwrap_or(batches);
            let refusal = match opened.take(config, actor, batches) {
                Ok(()) => refusal,
                Err(error) if error.is_disk_full() => {
                    Some(no_space(opened, actor, batches, error.to_string()))
                }
                Err(error) => return Err(error),
            };
            let log = opened.received.get(&actor);
            owed.retain(|stream, last| log.is_none_or(|log| log.cursor(*stream).seq < *last));
            if owed.is_empty() && mark_us > 0 {
                opened.pass_mark(config, actor, mark_us)?;
            }
            opened.commit_if_large()?;
            let streams: Vec<u32> = batches.iter().map(|batch| batch.stream).collect();
            let mut progress = opened.progress(actor)?;
            progress.retain(|one| streams.contains(&one.stream));
            Ok(Arrived { progress, refusal })
        });
        if !owed.is_empty() {
            self.owed.insert(actor, owed);
        }
        self.wake();
        arrived
    }

    /// Something of a stream of `actor` was refused before it came here.
    ///
    /// # Errors
    /// When the engine failed before and cannot be opened again.
    pub fn owes(&mut self, actor: Actor, stream: u32) -> Result<()> {
        // What is no stream is owed by nobody.
        if stream >= STREAM_COUNT {
            return Ok(());
        }
        let received = self.with(|opened, _| {
            let log = opened.received.get(&actor);
            Ok(log.map_or(0, |log| log.cursor(stream).seq))
        })?;
        let last = self
            .owed
            .entry(actor)
            .or_default()
            .entry(stream)
            .or_default();
        *last = received.saturating_add(1).max(*last);
        Ok(())
    }
}

impl Opened {
    /// How many of the batches may be taken, and why not the next one.
    fn check(
        &mut self,
        config: &EngineConfig,
        actor: Actor,
        batches: &[EntryBatch],
    ) -> Result<(usize, Option<Refusal>)> {
        for (at, batch) in batches.iter().enumerate() {
            if let Some(refusal) = self.check_one(config, actor, batch)? {
                return Ok((at, Some(refusal)));
            }
        }
        Ok((batches.len(), None))
    }

    fn check_one(
        &mut self,
        config: &EngineConfig,
        actor: Actor,
        batch: &EntryBatch,
    ) -> Result<Option<Refusal>> {
        let (stream, batch_seq) = (batch.stream, batch.batch_seq);
        if !config.applies {
            return Ok(Some(Refusal::Role { stream, batch_seq }));
        }
        let cursor = self.log_of(config, actor)?.cursor(stream);
        let received = cursor.seq;
        let invalid = |detail: String| {
            Some(Refusal::Invalid {
                stream,
                batch_seq,
                received,
                detail,
            })
        };
        if let Err(error) = self.validate(actor, batch) {
            return Ok(invalid(error));
        }
        let newest = batch
            .entries
            .iter()
            .map(|e| e.hlc_us.max(e.timestamp_us))
            .max();
        let held = newest.and_then(|stamp| {
            self.core
                .clock()
                .too_far_ahead(stamp, config.clock.now_us())
        });
        if let Some(until_us) = held {
            let detail = format!(
                "stamps of site {} are more than 5 minutes ahead of this site's clock; \
                 check the clocks of both",
                actor.site_id
            );
            return Ok(Some(Refusal::Hold { until_us, detail }));
        }
        // A frame holds at most one batch of a stream, so the cursor is the one that the log will see.
        Ok(match crate::journal::verdict::check(&cursor, batch) {
            Verdict::Next | Verdict::Duplicate | Verdict::Overlap => None,
            Verdict::Gap { received } => Some(Refusal::Gap {
                stream,
                batch_seq,
                received,
            }),
            Verdict::Fork => {
                let detail = format!(
                    "journal of site {} differs from what was received of it at {received}: \
                     it was restored or cloned; give it a new incarnation",
                    actor.site_id
                );
                Some(Refusal::Fork {
                    stream,
                    batch_seq,
                    detail,
                })
            }
        })
    }

    /// Rules that need the payloads and this site's own journal.
    fn validate(&self, actor: Actor, batch: &EntryBatch) -> std::result::Result<(), String> {
        if batch.actor() != actor {
            return Err(format!("entries of {}, sent by {actor}", batch.actor()));
        }
        batch.validate().map_err(|error| error.to_string())?;
        let own = self.journal.actor();
        let (head, _) = self.journal.head(batch.stream);
        let exceptions = batch
            .entries
            .iter()
            .flat_map(|entry| entry.seen_except.iter().copied());
        let runs = batch.seen_runs.iter().flat_map(|run| run.seen.iter());
        if let Some((_, seq)) = runs
            .chain(exceptions)
            .find(|(a, seq)| *a == own && *seq > head)
        {
            return Err(format!(
                "claims to have seen entry {seq} of ours, the last one is {head}"
            ));
        }
        for entry in &batch.entries {
            let fault = |why: String| format!("entry {}: {why}", entry.seq);
            decode_change(entry).map_err(|error| fault(error.to_string()))?;
            check_maker(entry).map_err(fault)?;
        }
        Ok(())
    }

    /// Log, then merge.
    fn take(&mut self, config: &EngineConfig, actor: Actor, batches: &[EntryBatch]) -> Result<()> {
        if batches.is_empty() {
            return Ok(());
        }
        failpoint::pass("append received");
        self.log_of(config, actor)?.append(batches)?;
        failpoint::pass("merge");
        let now_us = config.clock.now_us();
        let mut again = 0;
        for batch in batches {
            let cursor = self.core.state().cursor(actor, batch.stream)?;
            again += batch.entries.iter().filter(|e| e.seq <= cursor).count();
            self.core.merge_batch(batch, now_us)?;
            for entry in batch
                .entries
                .iter()
                .filter(|e| e.seq > cursor && !e.op.is_control())
            {
                let (inode, dot) = (entry.inode, Dot::new(actor, batch.stream, entry.first_seq));
                // What kept an older image of it from being shown may not concern the new one.
                self.unpark(inode)?;
                self.waiting.add(inode, dot);
            }
        }
        if again > 0 {
            tracing::info!(site = actor.site_id, entries = again, "entries came again");
        }
        failpoint::pass("received");
        Ok(())
    }

    /// Everything of `actor` up to the mark is here.
    fn pass_mark(&mut self, config: &EngineConfig, actor: Actor, mark_us: u64) -> Result<()> {
        let mark = self.marks.entry(actor).or_insert(0);
        *mark = mark_us.max(*mark);
        self.settle(config)
    }

    /// Records conflicts that follow from the state, as far as everybody's marks have passed.
    pub(super) fn settle(&mut self, config: &EngineConfig) -> Result<()> {
        // What follows from half of a snapshot may not follow from all of it.
        if self.merging {
            return Ok(());
        }
        let out = self.out()?;
        // Nothing comes any more of journals that are out. Those that others wrote, and of which nothing came yet, may be
        // silent for good.
        let known = self.received.keys().chain(self.marks.keys());
        let known = known.filter(|actor| !out.contains(actor));
        let marks = known.map(|actor| self.marks.get(actor).copied().unwrap_or(0));
        let last_us = self.core.clock().last_us();
        let safe_us = marks
            .min()
            .unwrap_or(if out.is_empty() { 0 } else { last_us });
        self.core.settle(safe_us, config.clock.now_us())?;
        Ok(())
    }
}

/// Rules about what an entry may do to its inode. What breaks them cannot be merged, or not everywhere alike, so it must
/// not get into the log, from which it would be merged again at every start.
fn check_maker(entry: &JournalEntry) -> std::result::Result<(), String> {
    let makes = entry.op.makes_inode();
    if !makes && !entry.op.changes_name() {
        return Ok(());
    }
    if entry.inode == ROOT_INODE {
        return Err("the root directory is neither made, moved nor removed".to_owned());
    }
    // Zero is no site: such numbers are of no daemon.
    let site = entry.inode >> 48;
    if makes && site != 0 && site != entry.site_id {
        let inode = entry.inode;
        return Err(format!(
            "inode {inode:x} is made by site {site}, not by another"
        ));
    }
    Ok(())
}

fn no_space(opened: &Opened, actor: Actor, batches: &[EntryBatch], detail: String) -> Refusal {
    let first = batches.first();
    let stream = first.map_or(0, |batch| batch.stream);
    let log = opened.received.get(&actor);
    Refusal::NoSpace {
        stream,
        batch_seq: first.map_or(0, |batch| batch.batch_seq),
        received: log.map_or(0, |log| log.cursor(stream).seq),
        detail,
    }
}
