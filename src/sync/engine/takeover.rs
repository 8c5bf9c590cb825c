//! Gives out what this site knows as a whole, and takes over what another one knows: how a site comes to entries that
//! nobody sends any more.
//!
//! Pages become durable as they come, with the key of the last item, so that a stop in between costs a page. Until the
//! last one nothing is given to the connector, because half of a tree is none. Only then the received logs are told how
//! far they reach: a range without entries for each stream. Should the site stop between two of them, the replay of
//! the logs finds what the pages brought.

use std::time::Duration;

use bytes::Bytes;

use super::{Engine, EngineConfig, Opened};
use crate::error::{ReplError, Result};
use crate::failpoint;
use crate::journal::EntryBatch;
use crate::journal::dot::{Actor, STREAM_COUNT, shard_of};
use crate::journal::retention::Cursors;
use crate::journal::verdict::{Reached, ReceivedCursor};
use crate::store::Frozen;
use crate::sync::level::{Known, Takeover};
use crate::sync::state::State;

/// A snapshot of which no page came for so long may be given up for that of another site.
const ANOTHER_AFTER: Duration = Duration::from_secs(30);

/// What a site knows at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Its state.
    pub frozen: Frozen,
    /// How far it has merged each journal, its own one included.
    pub reach: Vec<Reached>,
    /// Its hybrid clock.
    pub hlc_us: u64,
}

/// A page of what another site knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownPage {
    /// Key of the last item that was taken when it was asked for. Empty: it is the first page.
    pub after: Bytes,
    /// How far that site had merged each journal. Empty, but for the first page of a connection.
    pub reach: Vec<Reached>,
    /// Its hybrid clock.
    pub hlc_us: u64,
    /// What it knows.
    pub items: Vec<Known>,
    /// Key of the last of them.
    pub last: Bytes,
    /// Nothing comes behind it.
    pub is_last: bool,
}

/// What became of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The next one is wanted, behind this key.
    Next(Bytes),
    /// It was the last one: so many items came.
    All(u64),
    /// It goes on with a snapshot that is not taken over any more, because all of it came another way meanwhile.
    Outdated,
    /// It was not taken, for this reason.
    Refused(String),
}

impl Engine {
    /// What this site knows now.
    ///
    /// # Errors
    /// When the engine failed before and cannot be opened again, or the disk refuses.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        self.with(|opened, config| {
            opened.commit(config)?;
            Ok(Snapshot {
                frozen: opened.core.state().freeze()?,
                reach: opened.reach()?,
                hlc_us: opened.core.clock().last_us(),
            })
        })
    }

    /// Where to go on with the snapshot of the journal `source`, which keeps its streams from `tails` on: the key of
    /// the last item that is taken, empty at the beginning. None: it is not begun, because that of another journal is
    /// being taken over, and two would begin anew in turns.
    ///
    /// # Errors
    /// As [`Engine::snapshot`].
    pub fn takeover_after(&mut self, source: Actor, tails: &Cursors) -> Result<Option<Bytes>> {
        self.with(|opened, config| {
            let Some(begun) = opened.core.state().takeover()? else {
                return Ok(Some(Bytes::new()));
            };
            let paged = opened
                .paged_at
                .map(|at| config.clock.monotonic().saturating_sub(at));
            let is_under_way = !begun.is_taken && paged.is_some_and(|since| since < ANOTHER_AFTER);
            if begun.source != source && is_under_way {
                return Ok(None);
            }
            let is_kept = |begun: &Takeover| {
                let known = begun.reach.iter().find(|reached| reached.actor == source);
                let has = |stream: u32| known.map_or(0, |known| known.seq(stream));
                let mut tails = tails.iter();
                // What came then, and what is sent from here on, have to meet.
                begun.source == source && tails.all(|(stream, tail)| has(*stream) + 1 >= *tail)
            };
            if is_kept(&begun) && !begun.is_taken {
                return Ok(Some(begun.after));
            }
            // From the beginning; what came before stays, and nothing is applied until all of this is here.
            let anew = Takeover {
                source,
                until: begun.until,
                ..Takeover::default()
            };
            opened.core.state_mut().set_takeover(Some(&anew));
            Ok(Some(Bytes::new()))
        })
    }

    /// Takes a page of what the journal `source` knows.
    ///
    /// # Errors
    /// When a log or the store fails; the page will come again.
    pub fn take_page(&mut self, source: Actor, page: KnownPage) -> Result<Taken> {
        let taken = self.write(|opened, config| opened.take_page(config, source, page))?;
        self.wake();
        Ok(taken)
    }

    /// The snapshot that is being taken over.
    ///
    /// # Errors
    /// As [`Engine::snapshot`].
    pub fn takeover(&mut self) -> Result<Option<Takeover>> {
        self.with(|opened, _| opened.core.state().takeover())
    }
}

impl Opened {
    /// How far each journal is merged here.
    fn reach(&self) -> Result<Vec<Reached>> {
        let own = self.journal.points().iter();
        let own = own.map(|(stream, point)| {
            let cursor = ReceivedCursor {
                seq: point.seq,
                chain: point.chain,
            };
            (*stream, cursor)
        });
        let mut reach = vec![Reached {
            actor: self.journal.actor(),
            streams: own.collect(),
        }];
        for (actor, log) in &self.received {
            let streams = log.cursors();
            for (stream, cursor) in &streams {
                let merged = self.core.state().cursor(*actor, *stream)?;
                if merged != cursor.seq {
                    let reason = format!("received up to {}, merged up to {merged}", cursor.seq);
                    return Err(refused(*actor, *stream, reason));
                }
            }
            let actor = *actor;
            reach.push(Reached { actor, streams });
        }
        Ok(reach)
    }

    fn take_page(
        &mut self,
        config: &EngineConfig,
        source: Actor,
        page: KnownPage,
    ) -> Result<Taken> {
        if let Some(fault) = self.fault_of(config, &page) {
            return Ok(Taken::Refused(fault));
        }
        let before = self.core.state().takeover()?;
        // What came of an earlier one stays, so all of that has to be here in the end, too.
        let until = before
            .as_ref()
            .map_or_else(Vec::new, |before| before.until.clone());
        let begun = before.filter(|begun| {
            begun.source == source && !begun.reach.is_empty() && begun.after == page.after
        });
        let mut takeover = match begun {
            Some(begun) => begun,
            // What stands in front of it would never come.
            None if !page.after.is_empty() => return Ok(Taken::Outdated),
            None if page.reach.is_empty() => {
                return Ok(Taken::Refused("it is not the first page".to_owned()));
            }
            None => Takeover {
                source,
                reach: page.reach.clone(),
                until,
                ..Takeover::default()
            },
        };
        for reached in page.reach {
            let known = takeover.until.iter_mut();
            match known.into_iter().find(|known| known.actor == reached.actor) {
                Some(known) => known.join(&reached),
                None => takeover.until.push(reached),
            }
        }
        failpoint::pass("take page");
        self.core.clock_mut().observe(page.hlc_us);
        let now_us = config.clock.now_us();
        takeover.items += page.items.len() as u64;
        self.paged_at = Some(config.clock.monotonic());
        for known in page.items {
            self.core.level(known, now_us)?;
        }
        takeover.after = page.last;
        // What was taken over is no news.
        drop(self.core.state_mut().take_fresh());
        self.core.state_mut().set_takeover(Some(&takeover));
        if !page.is_last {
            self.commit_if_large()?;
            return Ok(Taken::Next(takeover.after));
        }
        self.commit(config)?;
        failpoint::pass("pages taken");
        self.take_reach(config, &takeover.reach)?;
        takeover.is_taken = true;
        self.core.state_mut().set_takeover(Some(&takeover));
        self.end_takeover()?;
        self.rebuild_waiting()?;
        self.commit(config)?;
        Ok(Taken::All(takeover.items))
    }

    /// The snapshot that was begun and is not whole. It is when everything is here that was in its pages, in whatever way
    /// it came: where it was interrupted, the later pages know more than the first ones, and the entries between come by
    /// themselves.
    pub(super) fn owed_takeover(&self) -> Result<Option<Takeover>> {
        let Some(takeover) = self.core.state().takeover()? else {
            return Ok(None);
        };
        let own = self.journal.actor();
        for reached in takeover.until.iter().filter(|reached| reached.actor != own) {
            for (stream, until) in &reached.streams {
                if self.core.state().cursor(reached.actor, *stream)? < until.seq {
                    return Ok(Some(takeover));
                }
            }
        }
        Ok(None)
    }

    /// Forgets a snapshot that is whole.
    pub(super) fn end_takeover(&mut self) -> Result<()> {
        let is_begun = self.core.state().takeover()?.is_some();
        if is_begun && self.owed_takeover()?.is_none() {
            self.core.state_mut().set_takeover(None);
        }
        Ok(())
    }

    /// Why a page must not be taken.
    fn fault_of(&self, config: &EngineConfig, page: &KnownPage) -> Option<String> {
        let now_us = config.clock.now_us();
        if self
            .core
            .clock()
            .too_far_ahead(page.hlc_us, now_us)
            .is_some()
        {
            return Some("its clock is more than 5 minutes ahead of ours; check both".to_owned());
        }
        if let Some(fault) = page
            .items
            .iter()
            .find_map(|known| self.fault_in(known, now_us))
        {
            return Some(fault);
        }
        let own = self.journal.actor();
        let ours = page.reach.iter().find(|reached| reached.actor == own);
        let ahead = ours.and_then(|ours| {
            let mut streams = ours.streams.iter();
            streams.find(|(stream, cursor)| cursor.seq > self.journal.head(**stream).0)
        });
        if let Some((stream, cursor)) = ahead {
            let head = self.journal.head(*stream).0;
            return Some(format!(
                "it has our own stream {stream} up to {}, and it ends here at {head}: our journal was rolled back",
                cursor.seq
            ));
        }
        let tag = (own.site_id << 16) | u64::from(self.minter.tag());
        let is_ours =
            |known: &Known| matches!(known, Known::Node { inode, .. } if *inode >> 32 == tag);
        let is_new = self.journal.points().is_empty();
        (is_new && page.items.iter().any(is_ours)).then(|| {
            "an earlier journal of this site drew the same numbers for its files; remove this site's state folder and \
             start it again, so that it draws others"
                .to_owned()
        })
    }

    /// Why a thing that another site knows cannot be: what is asked of entries, too.
    fn fault_in(&self, known: &Known, now_us: u64) -> Option<String> {
        let newest = match known {
            Known::Node { node, .. } => node.newest_us(),
            Known::Move { key, .. } => key.timestamp_us,
            Known::Member { record, .. } => record.key.timestamp_us,
            Known::Conflict(_) | Known::Ack { .. } => 0,
        };
        if self.core.clock().too_far_ahead(newest, now_us).is_some() {
            return Some(
                "stamps in it are more than 5 minutes ahead of our clock; check both".to_owned(),
            );
        }
        let Known::Node { inode, node } = known else {
            return None;
        };
        let stream = shard_of(*inode);
        let (claimed, head) = (
            node.claimed_of(self.journal.actor()),
            self.journal.head(stream).0,
        );
        (claimed > head).then(|| {
            format!("it claims to have seen our own stream {stream} up to {claimed}, and it ends here at {head}")
        })
    }

    /// Everything that the other site had merged is merged here.
    fn take_reach(&mut self, config: &EngineConfig, reach: &[Reached]) -> Result<()> {
        let own = self.journal.actor();
        let now_us = config.clock.now_us();
        for reached in reach.iter().filter(|reached| reached.actor != own) {
            let log = self.log_of(config, reached.actor)?;
            let mut ranges = Vec::new();
            let streams = reached.streams.iter();
            for (stream, to) in streams.filter(|(stream, _)| **stream < STREAM_COUNT) {
                let at = log.cursor(*stream);
                if to.seq > at.seq {
                    ranges.push(range(reached.actor, *stream, &at, to));
                }
            }
            log.append(&ranges)?;
            for range in &ranges {
                self.core.merge_batch(range, now_us)?;
            }
        }
        Ok(())
    }

    /// Nothing is given to the connector before a snapshot that was begun is whole.
    pub(super) fn is_taking_over(&mut self) -> Result<bool> {
        self.end_takeover()?;
        Ok(self.core.state().takeover()?.is_some())
    }
}

/// A range without entries: what was in it came another way.
fn range(actor: Actor, stream: u32, from: &ReceivedCursor, to: &ReceivedCursor) -> EntryBatch {
    let mut batch = EntryBatch::new(actor.site_id, Vec::new(), 0);
    (batch.incarnation, batch.stream) = (actor.incarnation, stream);
    (batch.first, batch.last) = (from.seq + 1, to.seq);
    (batch.chain_prev, batch.chain_last) = (from.chain, to.chain);
    batch
}

fn refused(actor: Actor, stream: u32, reason: String) -> ReplError {
    ReplError::Journal {
        site_id: actor.site_id,
        shard_id: stream,
        seq: 0,
        reason,
    }
}
