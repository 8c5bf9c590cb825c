//! Gives out what this site knows as a whole, and takes over what another one knows: how a site comes to entries that
//! nobody sends any more.
//!
//! Pages of a snapshot are put aside as they come, durable with the key of the last item, so that a stop in between costs
//! a page; as long as one is missing they change nothing, and can be given up for those of another site. When the last
//! one is here they are merged piece by piece, each piece leaving what was put aside in the same commit, and nothing is
//! given to the connector or to other sites meanwhile, because half of a state is none. Only then the received logs are
//! told how far they reach: a range without entries for each stream. Should the site stop between two of them, the
//! replay of the logs finds what the pages brought.

use std::time::Duration;

use bytes::Bytes;

use super::{Engine, EngineConfig, Opened};
use crate::error::{ReplError, Result};
use crate::failpoint;
use crate::journal::EntryBatch;
use crate::journal::dot::{Actor, CONTROL_STREAM, ROOT_INODE, SITE_ID_MAX, STREAM_COUNT, shard_of};
use crate::journal::verdict::{Reached, ReceivedCursor};
use crate::store::{Frozen, known};
use crate::sync::level::{Known, Takeover};
use crate::sync::port::NodeKind;
use crate::sync::state::State;

/// A snapshot of which no page came for so long may be given up for that of another site.
const ANOTHER_AFTER: Duration = Duration::from_secs(30);
/// A snapshot of which no page came for so long is given up: nobody holds it any more.
const STALE_AFTER: Duration = Duration::from_secs(300);
/// Items that are merged, or cleared away, at one go.
const PIECE: usize = 2_000;
/// Most journals that a snapshot may name: each makes a log.
const JOURNALS_MAX: usize = 4_096;
/// Number of the last snapshot that was given out.
const GIVEN: &str = "snapshots/given";
/// Number under which pages were put aside last.
const STAGED: &str = "snapshots/staged";

/// What a site knows at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Its number among those of this journal, from 1.
    pub no: u64,
    /// Its state.
    pub frozen: Frozen,
    /// How far it has merged each journal, its own one included.
    pub reach: Vec<Reached>,
    /// Its hybrid clock.
    pub hlc_us: u64,
}

/// How far a snapshot is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotPoint {
    /// Its number at its site. Zero: any, from the beginning.
    pub no: u64,
    /// Key of the last item that is taken. Empty: none is.
    pub after: Bytes,
}

/// A page of what another site knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownPage {
    /// Behind what it stands.
    pub from: SnapshotPoint,
    /// How far that site had merged each journal. Empty, but for the first page.
    pub reach: Vec<Reached>,
    /// Its hybrid clock.
    pub hlc_us: u64,
    /// What it knows: keys and values of its store, by key.
    pub items: Vec<(Bytes, Bytes)>,
    /// Nothing comes behind it.
    pub is_last: bool,
}

/// What became of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The next one is wanted, from here on.
    Next(SnapshotPoint),
    /// It was the last one: [`Engine::merge_snapshot`] is to be called until all is merged.
    Whole,
    /// It goes on with a snapshot that is not taken over any more.
    Outdated,
    /// It was not taken, for this reason.
    Refused(String),
}

/// What became of a snapshot of which every page is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merging {
    /// A piece of it was merged.
    More,
    /// All of it is: so many items came.
    All(u64),
}

impl Engine {
    /// What this site knows now. None: it is merging what another one knew.
    ///
    /// # Errors
    /// When the engine failed before and cannot be opened again, or the disk refuses.
    pub fn snapshot(&mut self) -> Result<Option<Snapshot>> {
        self.with(|opened, config| {
            if opened.merging {
                return Ok(None);
            }
            let no = opened.next_number(GIVEN)?;
            opened.commit(config)?;
            Ok(Some(Snapshot {
                no,
                frozen: opened.core.state().freeze()?,
                reach: opened.reach()?,
                hlc_us: opened.core.clock().last_us(),
            }))
        })
    }

    /// Whether the file of the state is still open that `snapshot` reads.
    ///
    /// # Errors
    /// As [`Engine::snapshot`].
    pub fn holds(&mut self, snapshot: &Snapshot) -> Result<bool> {
        self.with(|opened, _| Ok(snapshot.no > opened.given_before))
    }

    /// Where to go on with the snapshot of the journal `source`. None: it is not begun, because that of another journal is
    /// being taken, and two would begin anew in turns, or because one is being merged.
    ///
    /// # Errors
    /// As [`Engine::snapshot`].
    pub fn takeover_from(&mut self, source: Actor) -> Result<Option<SnapshotPoint>> {
        self.with(|opened, config| {
            let Some(begun) = opened.core.state().takeover()? else {
                return Ok(Some(SnapshotPoint::default()));
            };
            if begun.is_whole {
                return Ok(None);
            }
            if begun.source == source {
                return Ok(Some(SnapshotPoint {
                    no: begun.no,
                    after: begun.after,
                }));
            }
            let is_under_way = opened.unpaged(config) < ANOTHER_AFTER;
            Ok((!is_under_way).then(SnapshotPoint::default))
        })
    }

    /// Takes a page of what the journal `source` knows.
    ///
    /// # Errors
    /// When the store fails; the page will come again.
    pub fn take_page(&mut self, source: Actor, page: KnownPage) -> Result<Taken> {
        self.write(|opened, config| opened.take_page(config, source, page))
    }

    /// Merges a piece of the snapshot of which every page is here.
    ///
    /// # Errors
    /// When a log or the store fails; it goes on at the next call, or when the engine is opened again.
    pub fn merge_snapshot(&mut self) -> Result<Merging> {
        let merging = self.write(Opened::merge_snapshot)?;
        self.wake();
        Ok(merging)
    }

    #[cfg(test)]
    pub(super) fn has_pages_aside(&mut self) -> Result<bool> {
        self.with(|opened, _| opened.core.state().has_aside())
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
    /// Goes on where the last stop was.
    pub(super) fn reopen_takeover(&mut self, config: &EngineConfig) -> Result<()> {
        self.given_before = self.core.state().number(GIVEN)?;
        self.paged_at = Some(config.clock.monotonic());
        self.merging = (self.core.state().takeover()?).is_some_and(|begun| begun.is_whole);
        while self.merging {
            match self.merge_snapshot(config) {
                Ok(_) => {}
                Err(error @ ReplError::Io { .. }) => return Err(error),
                // What cannot be merged now never can, and must not keep the site from starting. What was merged of it
                // stays, and is merged again with the next one.
                Err(error) => {
                    tracing::error!(%error, "gives up the snapshot of another site");
                    self.core.state_mut().set_takeover(None);
                    self.merging = false;
                    self.commit(config)?;
                }
            }
        }
        Ok(())
    }

    fn next_number(&mut self, name: &str) -> Result<u64> {
        let number = self.core.state().number(name)? + 1;
        self.core.state_mut().set_number(name, number);
        Ok(number)
    }

    /// For how long no page came.
    fn unpaged(&self, config: &EngineConfig) -> Duration {
        let now = config.clock.monotonic();
        self.paged_at
            .map_or(Duration::MAX, |at| now.saturating_sub(at))
    }

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
        let begun = self.core.state().takeover()?;
        let goes_on = begun.as_ref().is_some_and(|begun| {
            let is_same = begun.source == source && begun.no == page.from.no;
            is_same && begun.after == page.from.after && !begun.after.is_empty()
        });
        let mut takeover = match begun {
            Some(begun) if begun.is_whole => return Ok(Taken::Outdated),
            Some(begun) if goes_on => begun,
            // What stands in front of it would never come.
            Some(_) | None if !page.from.after.is_empty() => return Ok(Taken::Outdated),
            // Another one was begun meanwhile.
            Some(begun) if begun.source != source && self.unpaged(config) < ANOTHER_AFTER => {
                return Ok(Taken::Outdated);
            }
            Some(_) | None if page.reach.is_empty() => {
                return Ok(Taken::Refused("it is not the first page".to_owned()));
            }
            begun @ (Some(_) | None) => {
                self.clears = true;
                Takeover {
                    source,
                    no: page.from.no,
                    reach: page.reach,
                    place: self.next_number(STAGED)?,
                    is_base: begun.is_some_and(|begun| begun.is_base) || self.received.is_empty(),
                    ..Takeover::default()
                }
            }
        };
        failpoint::pass("take page");
        self.forget_promise();
        self.core.clock_mut().observe(page.hlc_us);
        self.paged_at = Some(config.clock.monotonic());
        takeover.items += page.items.len() as u64;
        if let Some((last, _)) = page.items.last() {
            takeover.after = last.clone();
        }
        let store = self.core.state_mut();
        for (key, value) in &page.items {
            store.put_aside(takeover.place, key, value);
        }
        takeover.is_whole = page.is_last;
        store.set_takeover(Some(&takeover));
        if !page.is_last {
            self.commit_if_large()?;
            return Ok(Taken::Next(SnapshotPoint {
                no: takeover.no,
                after: takeover.after,
            }));
        }
        self.commit(config)?;
        failpoint::pass("pages taken");
        self.merging = true;
        Ok(Taken::Whole)
    }

    fn merge_snapshot(&mut self, config: &EngineConfig) -> Result<Merging> {
        let whole = self.core.state().takeover()?;
        let Some(takeover) = whole.filter(|takeover| takeover.is_whole) else {
            self.merging = false;
            return Ok(Merging::All(0));
        };
        let aside = self.core.state().aside(takeover.place, PIECE)?;
        if aside.is_empty() {
            self.commit(config)?;
            failpoint::pass("snapshot merged");
            self.take_reach(config, &takeover.reach)?;
            self.core.state_mut().set_takeover(None);
            self.merging = false;
            self.forget_promise();
            self.note_snapshot()?;
            self.rebuild_waiting()?;
            self.commit(config)?;
            return Ok(Merging::All(takeover.items));
        }
        let now_us = config.clock.now_us();
        for (key, value) in aside {
            self.core.level(known(&key, &value)?, now_us)?;
            self.core.state_mut().clear_aside(takeover.place, &key);
        }
        // To a site that wrote nothing, nothing of it is news; what lost against it elsewhere is.
        let is_empty = !(self.journal.points().keys()).any(|stream| *stream != CONTROL_STREAM);
        if is_empty {
            drop(self.core.state_mut().take_fresh());
        }
        failpoint::pass("merge snapshot");
        self.commit_if_large()?;
        Ok(Merging::More)
    }

    /// Clears away what was put aside of snapshots that were given up, and gives up one of which nothing comes.
    pub(super) fn tend_takeover(&mut self, config: &EngineConfig) -> Result<()> {
        if !self.clears && self.paged_at.is_none() {
            return Ok(());
        }
        let begun = self.core.state().takeover()?;
        if begun.is_none() {
            self.paged_at = None;
        }
        let is_stale = |begun: &Takeover| !begun.is_whole && self.unpaged(config) > STALE_AFTER;
        let begun = if begun.as_ref().is_some_and(is_stale) {
            tracing::warn!(
                "gives up the snapshot of another site: no page of it came for five minutes"
            );
            self.core.state_mut().set_takeover(None);
            self.clears = true;
            None
        } else {
            begun
        };
        if self.clears {
            let place = begun.map_or(u64::MAX, |begun| begun.place);
            self.clears = self.core.state_mut().clear_before(place, PIECE)?;
        }
        Ok(())
    }

    /// Why a page must not be taken.
    fn fault_of(&self, config: &EngineConfig, page: &KnownPage) -> Option<String> {
        let now_us = config.clock.now_us();
        let clock = self.core.clock();
        if clock.too_far_ahead(page.hlc_us, now_us).is_some() {
            return Some("its clock is more than 5 minutes ahead of ours; check both".to_owned());
        }
        let keys = std::iter::once(&page.from.after).chain(page.items.iter().map(|(key, _)| key));
        if !keys.is_sorted_by(|one, next| one < next) || page.items.is_empty() && !page.is_last {
            return Some("its items are not in the order of their keys".to_owned());
        }
        if page.reach.len() > JOURNALS_MAX {
            let count = page.reach.len();
            return Some(format!(
                "it names {count} journals, more than {JOURNALS_MAX}"
            ));
        }
        if let Some(fault) = page.reach.iter().find_map(fault_in_reach) {
            return Some(fault);
        }
        let own = self.journal.actor();
        let tag = (own.site_id << 16) | u64::from(self.minter.tag());
        let is_new = self.journal.points().is_empty();
        for (key, value) in &page.items {
            let item = match known(key, value) {
                Ok(item) => item,
                Err(error) => return Some(error.to_string()),
            };
            if let Some(fault) = self.fault_in(&item, now_us) {
                return Some(fault);
            }
            if is_new && matches!(item, Known::Node { inode, .. } if inode >> 32 == tag) {
                let fault = "an earlier journal of this site drew the same numbers for its files; remove this site's \
                             state folder and start it again, so that it draws others";
                return Some(fault.to_owned());
            }
        }
        let ours = page.reach.iter().find(|reached| reached.actor == own)?;
        let mut streams = ours.streams.iter();
        let (stream, cursor) =
            streams.find(|(stream, cursor)| cursor.seq > self.journal.head(**stream).0)?;
        let head = self.journal.head(*stream).0;
        Some(format!(
            "it has our own stream {stream} up to {}, and it ends here at {head}: our journal was rolled back",
            cursor.seq
        ))
    }

    /// Why a thing that another site knows cannot be: what is asked of entries, too.
    fn fault_in(&self, known: &Known, now_us: u64) -> Option<String> {
        let is_of_root = match known {
            Known::Node { inode, node } => {
                *inode == ROOT_INODE
                    && (!node.links.is_empty() || !matches!(node.kind, None | Some(NodeKind::Dir)))
            }
            Known::Move { inode, .. } => *inode == ROOT_INODE,
            Known::Conflict(_) | Known::Ack { .. } | Known::Member { .. } => false,
        };
        if is_of_root {
            return Some("the root directory is neither made, moved nor removed".to_owned());
        }
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

    /// Nothing is given to the connector while a snapshot is merged, and before that where there was no state to begin
    /// with.
    pub(super) fn is_taking_over(&self) -> Result<bool> {
        let begun = self.core.state().takeover()?;
        Ok(self.merging || begun.is_some_and(|begun| begun.is_base))
    }
}

/// Why no journal can be known so far.
fn fault_in_reach(reached: &Reached) -> Option<String> {
    let actor = reached.actor;
    let is_no_site = actor.incarnation == 0 || !(1..=SITE_ID_MAX).contains(&actor.site_id);
    let mut streams = reached.streams.iter();
    let is_no_seq = streams.any(|(stream, at)| *stream >= STREAM_COUNT || at.seq == u64::MAX);
    (is_no_site || is_no_seq).then(|| format!("it knows journal {actor} as none can be known"))
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
