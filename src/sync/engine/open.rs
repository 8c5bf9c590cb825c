//! Opens a site from disk: the logs first, then the state, then what the state lags behind is replayed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use super::upkeep::Synced;
use super::{EngineConfig, Opened, members, time};
use crate::error::{ReplError, Result};
use crate::failpoint;
use crate::journal::dot::{Actor, Dot};
use crate::journal::{Journal, JournalEntry, LogOptions, OpKind, ReceivedLog};
use crate::store::Store;
use crate::sync::core::Core;
use crate::sync::ids::Minter;
use crate::sync::progress::Waiting;
use crate::sync::state::State;
use crate::sync::wall::WallClock;

/// Position of the journal up to which the state was made.
pub(super) const JOURNAL_KEY: &str = "journal";
/// Counter of the next inode.
pub(super) const MINTED_KEY: &str = "minted";
/// High water of the hybrid clock.
pub(super) const HLC_KEY: &str = "hlc";

/// Where the position of a received log is kept.
pub(super) fn received_key(actor: Actor) -> String {
    format!("received/{}/{:016x}", actor.site_id, actor.incarnation)
}

/// Name of the folder of an origin's received log.
fn received_dir(actor: Actor) -> String {
    format!("{}-{:016x}", actor.site_id, actor.incarnation)
}

pub(super) fn open(config: &EngineConfig, wall: Option<WallClock>) -> Result<Opened> {
    // The state is read first: what it was made from was durable, and damage there is no torn tail.
    let store = Store::open(&config.disk, &config.dir.join("state.redb"))?;
    let journal = open_journal(config, store.number(JOURNAL_KEY)?)?;
    let actor = journal.actor();
    let received = open_received(config, &store)?;
    let logs = received
        .values()
        .map(ReceivedLog::last_hlc_us)
        .max()
        .unwrap_or(0);
    let last_hlc_us = store
        .number(HLC_KEY)?
        .max(journal.durable().hlc_us)
        .max(logs);
    // The tag follows from the incarnation, so it needs no place of its own on disk.
    let tag = (actor.incarnation >> 48) as u16;
    let minted = if failpoint::holds("ids go on behind those given out") {
        store.number(MINTED_KEY)?
    } else {
        0
    };
    let minter = Minter::new(actor.site_id, tag, minted);
    check_kept(config, &store, &journal, &received)?;
    let members = members::load(&store)?;
    let wall = wall.map_or_else(|| time::begin(config, &store, last_hlc_us), Ok)?;
    let promised_us = time::promised_us(config, &wall, store.number(HLC_KEY)?);
    let clock_us = if failpoint::holds("clock goes on behind the logs") {
        last_hlc_us.max(promised_us)
    } else {
        0
    };
    let mut opened = Opened {
        core: Core::new(actor, store, clock_us),
        journal,
        received,
        minter,
        waiting: Waiting::default(),
        marks: BTreeMap::new(),
        wall,
        ended_us: last_hlc_us,
        observed_us: 0,
        committed_at: config.clock.monotonic(),
        synced: Synced::default(),
        members,
        pins: Vec::new(),
        paged_at: None,
        merging: false,
        given_before: 0,
        clears: true,
        upkept_at: config.clock.monotonic(),
        reclaiming: super::reclaim::Reclaiming::default(),
    };
    opened.replay_journal(config)?;
    if failpoint::holds("received logs are replayed") {
        opened.replay_received(config)?;
    }
    opened.rebuild_waiting()?;
    opened.begin_reclaiming(config)?;
    opened.commit(config)?;
    opened.reopen_takeover(config)?;
    Ok(opened)
}

/// What was trimmed cannot be replayed: a state that is older was taken away or put back from a copy.
fn check_kept(
    config: &EngineConfig,
    store: &Store,
    journal: &Journal,
    received: &BTreeMap<Actor, ReceivedLog>,
) -> Result<()> {
    let logs = received
        .iter()
        .map(|(actor, log)| (received_key(*actor), log.start()));
    for (key, start) in logs.chain([(JOURNAL_KEY.to_owned(), journal.start())]) {
        let replayed = store.number(&key)?;
        if replayed < start {
            return Err(ReplError::WalCorrupted {
                file: config.dir.join("state.redb"),
                offset: 0,
                reason: format!(
                    "it was made from the log {key} up to {replayed}, and that log is kept from \
                     {start} on: the file was removed or put back from a copy; put the right one \
                     back, or join anew: cfs-repl help join"
                ),
            });
        }
    }
    Ok(())
}

fn open_journal(config: &EngineConfig, known_durable: u64) -> Result<Journal> {
    let dir = config.dir.join("journal");
    if Journal::exists(&config.disk, &dir)? {
        let options = with_known(config, known_durable);
        let (journal, recovery) = Journal::open(config.disk.clone(), dir, options)?;
        tracing::info!(?recovery, "opened journal");
        let site_id = journal.actor().site_id;
        if site_id != config.site_id {
            let wanted = config.site_id;
            let why =
                format!("it is that of site {site_id}, and the configuration says site {wanted}");
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
            return Err(ReplError::io("use state folder", &config.dir, source));
        }
        return Ok(journal);
    }
    let actor = Actor::new(config.site_id, config.incarnation.max(1));
    Journal::create(config.disk.clone(), dir, actor, config.log)
}

/// How logs are laid out, and up to where the state proves that one was durable.
fn with_known(config: &EngineConfig, known_durable: u64) -> LogOptions {
    LogOptions {
        known_durable: known_durable.max(config.log.known_durable),
        ..config.log
    }
}

fn open_received(config: &EngineConfig, store: &Store) -> Result<BTreeMap<Actor, ReceivedLog>> {
    let parent = config.dir.join("received");
    config.disk.create_dir(&parent)?;
    config.disk.sync_dir(&config.dir)?;
    let mut logs = BTreeMap::new();
    for name in config.disk.list(&parent)? {
        let actor = name
            .to_str()
            .and_then(parse_dir)
            .ok_or_else(|| ReplError::WalCorrupted {
                file: parent.join(&name),
                offset: 0,
                reason: "not a received log of ours; move it away".to_owned(),
            })?;
        let known_durable = store.number(&received_key(actor))?;
        logs.insert(actor, open_log(config, &parent, actor, known_durable)?);
    }
    Ok(logs)
}

fn parse_dir(name: &str) -> Option<Actor> {
    let (site, incarnation) = name.split_once('-')?;
    Some(Actor::new(
        site.parse().ok()?,
        u64::from_str_radix(incarnation, 16).ok()?,
    ))
}

fn open_log(
    config: &EngineConfig,
    parent: &Path,
    actor: Actor,
    known_durable: u64,
) -> Result<ReceivedLog> {
    let dir = parent.join(received_dir(actor));
    let options = with_known(config, known_durable);
    let (log, recovery) = ReceivedLog::open(config.disk.clone(), dir, actor, options)?;
    tracing::info!(origin = %actor, ?recovery, "opened received log");
    Ok(log)
}

/// The number that an entry of this site gave out. What it only touched may have been made up by another site.
fn made_by(entry: &JournalEntry) -> Option<u64> {
    if entry.op == OpKind::Link {
        return Some(entry.link);
    }
    entry.op.makes_inode().then_some(entry.inode)
}

impl Opened {
    /// The received log of an origin, made when it is first heard of.
    pub(super) fn log_of(
        &mut self,
        config: &EngineConfig,
        actor: Actor,
    ) -> Result<&mut ReceivedLog> {
        Ok(match self.received.entry(actor) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                // The state knows nothing of a log that was not there when it was opened.
                new.insert(open_log(config, &config.dir.join("received"), actor, 0)?)
            }
        })
    }

    fn replay_journal(&mut self, config: &EngineConfig) -> Result<()> {
        let now_us = config.clock.now_us();
        let from = self
            .core
            .state()
            .number(JOURNAL_KEY)?
            .max(self.journal.start());
        let mut units = self.journal.replay(from)?;
        while let Some(unit) = units.next_unit()? {
            for at in 0..unit.entries.len() {
                let context = unit.context(at);
                let Some((stored, _)) = unit.entries.get(at) else {
                    continue;
                };
                self.core.replay_own(&stored.entry, &context, now_us)?;
                if let Some(number) = made_by(&stored.entry) {
                    self.minter.observe(number);
                }
            }
            for (stream, seq, device) in &unit.trailers {
                let of = |e: &JournalEntry| e.shard_id == *stream && e.seq == *seq;
                let entry = unit.entries.iter().find(|(stored, _)| of(&stored.entry));
                if let Some((stored, _)) = entry {
                    self.core
                        .state_mut()
                        .set_device(stored.entry.inode, Some(*device))?;
                }
            }
        }
        Ok(())
    }

    fn replay_received(&mut self, config: &EngineConfig) -> Result<()> {
        let now_us = config.clock.now_us();
        for (actor, log) in &self.received {
            let from = self
                .core
                .state()
                .number(&received_key(*actor))?
                .max(log.start());
            let mut batches = log.replay(from)?;
            while let Some((_, batch)) = batches.next_batch()? {
                self.core.merge_batch(&batch, now_us)?;
            }
        }
        Ok(())
    }

    /// What is merged and not applied stands in the nodes that are marked.
    pub(super) fn rebuild_waiting(&mut self) -> Result<()> {
        let mut waiting = Waiting::default();
        self.each_marked(&mut |state, inode| {
            let node = state.node(inode)?.unwrap_or_default();
            let stream = crate::journal::dot::shard_of(inode);
            for unapplied in &node.unapplied {
                waiting.add(inode, Dot::new(unapplied.actor, stream, unapplied.seq));
            }
            Ok(())
        })?;
        self.waiting = waiting;
        for (inode, reason) in self.core.state().all_parked()? {
            self.set_aside(inode, &reason);
        }
        Ok(())
    }

    /// Visits every inode that is merged and may not be applied, parked ones included.
    pub(super) fn each_marked(
        &self,
        visit: &mut dyn FnMut(&Store, u64) -> Result<()>,
    ) -> Result<()> {
        let state = self.core.state();
        let mut after = None;
        loop {
            let marked = state.dirty_after(after, 1_024)?;
            let Some(last) = marked.last() else { break };
            after = Some(*last);
            for (_, inode) in marked {
                visit(state, inode)?;
            }
        }
        for (inode, _) in state.all_parked()? {
            if state.is_dirty(inode)? {
                visit(state, inode)?;
            }
        }
        Ok(())
    }
}
