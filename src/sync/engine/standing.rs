//! Where a site's logs stand towards one other site: what the first message of a connection says.

use std::collections::{BTreeMap, BTreeSet};

use super::{Engine, Fence, Opened};
use crate::error::Result;
use crate::journal::ReceivedLog;
use crate::journal::batch::ChainHash;
use crate::journal::dot::Actor;
use crate::journal::verdict::Reached;
use crate::sync::progress::StreamProgress;

/// One stream of this site's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// Which.
    pub stream: u32,
    /// Lowest seq that is kept.
    pub tail: u64,
    /// Highest durable seq.
    pub head: u64,
    /// Chain hash there.
    pub chain: ChainHash,
}

/// Where this site stands towards another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// This site's journal.
    pub actor: Actor,
    /// Its streams that hold entries.
    pub heads: Vec<StreamHead>,
    /// The journal of the other site that was received last. None: none so far.
    pub peer: Option<Actor>,
    /// How far each stream of it got, with the chain hash at `received`.
    pub cursors: Vec<(StreamProgress, ChainHash)>,
    /// This site's hybrid clock.
    pub hlc_us: u64,
    /// The tag of the inodes that this site creates.
    pub tag: u16,
    /// Membership epoch: how many journals were shut out.
    pub epoch: u32,
    /// The journal of the site that brought the tree. None: no tree was brought, or it is not known.
    pub founder: Option<Actor>,
    /// Every journal that is fenced.
    pub fences: Vec<Fence>,
    /// Entries were exchanged with some site.
    pub joined: bool,
    /// Nothing was received of any site, or the snapshot that was to bring it is not merged.
    pub newcomer: bool,
    /// There are entries that nobody sends to a newcomer any more.
    pub fills_newcomers: bool,
    /// A snapshot is being merged.
    pub merging: bool,
    /// Journals from which nothing comes any more, and how far they were received.
    pub silent: Vec<Reached>,
}

impl Engine {
    /// Where this site stands towards the site `peer_site_id`.
    ///
    /// # Errors
    /// When the engine failed before and cannot be opened again.
    pub fn standing(&mut self, peer_site_id: u64) -> Result<Standing> {
        self.with(|opened, _| opened.standing(peer_site_id))
    }

    /// The first stream in which a peer's cursor is not on this journal's history, if any: then the peer's copy, or
    /// this journal, was restored or cloned.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn first_fork(&mut self, cursors: &BTreeMap<u32, (u64, ChainHash)>) -> Result<Option<u32>> {
        self.with(|opened, _| {
            let told = cursors
                .iter()
                .filter(|(_, (_, chain))| *chain != ChainHash::default());
            let at = told.map(|(stream, (seq, _))| (*stream, *seq)).collect();
            let ours = opened.journal.chains_at(&at)?;
            let mut forks = ours.iter().filter(|(stream, ours)| {
                cursors.get(stream).is_some_and(|(_, chain)| chain != *ours)
            });
            Ok(forks.next().map(|(stream, _)| *stream))
        })
    }
}

impl Opened {
    fn standing(&self, peer_site_id: u64) -> Result<Standing> {
        let points = self.journal.points();
        let heads = points.iter().map(|(stream, point)| StreamHead {
            stream: *stream,
            tail: self.journal.tail(*stream),
            head: point.seq,
            chain: point.chain,
        });
        let out = self.out()?;
        let takeover = self.core.state().takeover()?;
        let lacks_base = takeover.is_some_and(|takeover| takeover.is_base);
        let knows_peer = self
            .received
            .keys()
            .any(|actor| actor.site_id == peer_site_id);
        // Of the peer's own journals it knows itself which one is the last.
        let of_its_site = self.received.keys();
        let of_its_site = of_its_site.filter(|actor| actor.site_id == peer_site_id);
        let own = self.journal.actor();
        let silent: BTreeSet<Actor> = out.iter().chain(of_its_site).copied().collect();
        let silent = silent.into_iter().filter(|actor| *actor != own);
        let silent = silent.map(|actor| Reached {
            streams: (self.received.get(&actor)).map_or_else(BTreeMap::new, ReceivedLog::cursors),
            actor,
        });
        let of_peer = self
            .received
            .iter()
            .filter(|(actor, _)| actor.site_id == peer_site_id && !out.contains(actor));
        let latest = of_peer.max_by_key(|(_, log)| log.last_hlc_us());
        let mut cursors = Vec::new();
        if let Some((actor, log)) = latest {
            for progress in self.progress(*actor)? {
                let chain = log.cursor(progress.stream).chain;
                cursors.push((progress, chain));
            }
        }
        Ok(Standing {
            actor: self.journal.actor(),
            heads: heads.collect(),
            peer: latest.map(|(actor, _)| *actor),
            cursors,
            hlc_us: self.core.clock().last_us(),
            tag: self.minter.tag(),
            epoch: self.epoch()?,
            founder: self.founder()?,
            fences: self.fences()?,
            joined: self.joined(),
            newcomer: self.received.is_empty() || lacks_base,
            // What its own earlier journal brought is sent by nobody either.
            fills_newcomers: knows_peer || !out.is_empty() || self.may_lack_removals()?,
            merging: self.merging,
            silent: silent.collect(),
        })
    }
}
