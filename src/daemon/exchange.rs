//! What the engine of a site and a session with a peer have to say to each other, without a task and without a network.
//!
//! Every function is one visit to the engine: what was decided in it was decided at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::{Clock, rfc3339};
use crate::conduit::hello::{self, Opening, Remembered};
use crate::conduit::message::{
    ClockPair, Close, CloseReason, Hello, Hold, Nak, NakReason, Receipt, Receipts, Role,
    SnapshotPage, SnapshotRequest, StreamCursor, StreamState,
};
use crate::error::Result;
use crate::journal::EntryBatch;
use crate::journal::dot::Actor;
use crate::sync::compactor::BatchCompactor;
use crate::sync::engine::{
    Engine, Fence, FenceCause, KnownPage, MemberReport, Refusal, Snapshot, SnapshotPoint, Standing,
};
use crate::sync::progress::StreamProgress;
use crate::topology::SiteId;

/// Most items of a page of a snapshot: what each takes in memory beside its bytes counts, too.
pub const PAGE_ITEMS: usize = 2_000;
/// Bytes of items after which a page is full.
const PAGE_BYTES: usize = 512 * 1024;
/// Why a connection ends that began under another membership.
const CHANGED: &str = "the membership changed; connects again";

/// Who this site is, for every hello.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its cluster.
    pub cluster: String,
    /// What it does.
    pub role: Role,
}

/// Who is expected to answer, as far as it is known.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Number of the site.
    pub site_id: SiteId,
    /// Its name.
    pub name: String,
}

/// What this site says first on a connection, and what it expects.
///
/// # Errors
/// When the engine failed before and cannot be opened again.
pub fn opening(
    engine: &mut Engine,
    identity: &Identity,
    expected: &Expected,
    clock: &dyn Clock,
) -> Result<Opening> {
    let standing = engine.standing(expected.site_id)?;
    let fences = standing.fences.iter();
    let fenced = fences.map(|fence| (fence.actor, reason(fence))).collect();
    Ok(Opening {
        hello: hello(&standing, identity, clock),
        remote_site_id: expected.site_id,
        remote_name: expected.name.clone(),
        certificate_site: None,
        remembered: remembered(&standing),
        fenced,
        joined: standing.joined,
        takes_over: true,
    })
}

fn hello(standing: &Standing, identity: &Identity, clock: &dyn Clock) -> Hello {
    let streams = standing.heads.iter().map(|head| StreamState {
        stream: head.stream,
        tail: head.tail,
        head: head.head,
        chain_head: head.chain,
    });
    let cursors = standing
        .cursors
        .iter()
        .map(|(progress, chain)| StreamCursor {
            stream: progress.stream,
            received: progress.received,
            chain: *chain,
            merged: progress.merged,
            durable: progress.applied,
            applied: progress.applied,
        });
    Hello {
        actor: standing.actor,
        site_name: identity.name.clone(),
        cluster: identity.cluster.clone(),
        shard_function: 1,
        tags: vec![u32::from(standing.tag)],
        streams: streams.collect(),
        cursors: cursors.collect(),
        clock: ClockPair {
            wall_us: clock.now_us(),
            hlc_us: standing.hlc_us,
            synchronised: false,
        },
        role: identity.role,
        epoch: standing.epoch,
        founder: standing.founder,
        newcomer: standing.newcomer,
        fills_newcomers: standing.fills_newcomers,
        merging: standing.merging,
        silent: standing.silent.clone(),
        peer_incarnation: standing.peer.map_or(0, |peer| peer.incarnation),
        ..Hello::default()
    }
}

fn remembered(standing: &Standing) -> Remembered {
    let streams = standing.cursors.iter();
    Remembered {
        incarnation: standing.peer.map_or(0, |peer| peer.incarnation),
        streams: streams
            .map(|(p, chain)| (p.stream, (p.received, *chain)))
            .collect(),
    }
}

/// Who fenced a journal, when and why, for people.
#[must_use]
pub fn reason(fence: &Fence) -> String {
    let at = rfc3339(fence.at_us).unwrap_or_else(|| "an unknown time".to_owned());
    if fence.replaced {
        return format!(
            "by site {} at {at}, when its site was taken out or began another one",
            fence.by_site_id
        );
    }
    let why = match fence.cause {
        Some(FenceCause::Budget { pinned_bytes }) => {
            format!(
                " because it held back {} MiB of the journal, more than state.journal_budget",
                pinned_bytes >> 20
            )
        }
        Some(FenceCause::Absence { unheard }) => {
            let days = unheard.as_secs() / 86_400;
            format!(" because it was not heard for {days} days, longer than state.max_absence")
        }
        None => String::new(),
    };
    format!("by site {} at {at}{why}", fence.by_site_id)
}

/// What the peer's hello says of this site's journal, as receipts; or why the two cannot go on.
///
/// # Errors
/// When the engine fails.
pub fn connected(
    engine: &mut Engine,
    hello: &Hello,
) -> Result<std::result::Result<BTreeMap<u32, Receipt>, Close>> {
    let own = engine.actor()?;
    let of_ours: Vec<StreamCursor> = hello.cursors_of(own.incarnation).copied().collect();
    let chains = of_ours.iter();
    let chains = chains.map(|c| (c.stream, (c.received, c.chain))).collect();
    if let Some(stream) = engine.first_fork(&chains)? {
        let detail = format!(
            "your copy of our stream {stream} is not our history: one of the two was restored or cloned; give the \
             restored site a new incarnation"
        );
        return Ok(Err(Close::new(CloseReason::RolledBack, detail)));
    }
    engine.succeeds(hello.actor, &hello.site_name)?;
    let has_nothing = hello.streams.iter().all(|state| state.head == 0);
    // A site that compares its tree has one, and waits for that of the cluster.
    if has_nothing && engine.heads()?.is_empty() && !engine.is_matching()? {
        engine.meet_empty()?;
    }
    let known = |cursor: &StreamCursor| Receipt {
        actor: own,
        stream: cursor.stream,
        received: cursor.received,
        merged: cursor.merged,
        durable: cursor.durable,
        applied: cursor.applied,
        ..Receipt::default()
    };
    let receipts = of_ours.iter().map(|c| (c.stream, known(c)));
    Ok(Ok(receipts.collect()))
}

/// Notes what a member says of itself. Some: it, or this site, was fenced, and nothing is exchanged any more.
///
/// # Errors
/// When the engine fails.
pub fn heard(engine: &mut Engine, report: MemberReport) -> Result<Option<Close>> {
    let actor = report.actor;
    let Some(fence) = engine.fence_between(actor)? else {
        engine.heard(report)?;
        return Ok(None);
    };
    let is_theirs = fence.actor == actor;
    let close = hello::fenced(fence.actor, is_theirs, &reason(&fence));
    Ok(Some(close))
}

/// The close of a connection that began under another membership: how far both sides know the journals that are out is
/// compared when they connect.
///
/// # Errors
/// When the engine fails.
pub fn changed(engine: &mut Engine, epoch: u32) -> Result<Option<Close>> {
    let is_other = engine.epoch()? != epoch;
    Ok(is_other.then(|| Close::new(CloseReason::Shutdown, CHANGED)))
}

/// What to ask of the journal `source` first, to take over what its site knows; or why not now.
///
/// # Errors
/// When the engine fails.
pub fn first_request(
    engine: &mut Engine,
    source: Actor,
) -> Result<std::result::Result<SnapshotRequest, Close>> {
    let from = engine.takeover_from(source)?;
    let detail = "what another site knows is taken over here; connect again later";
    Ok(from
        .map(request)
        .ok_or_else(|| Close::new(CloseReason::Shutdown, detail)))
}

/// Asks for what comes behind `from`.
#[must_use]
pub fn request(from: SnapshotPoint) -> SnapshotRequest {
    SnapshotRequest {
        snapshot: from.no,
        after: from.after,
    }
}

/// The snapshot that is asked for, if it is the one that is held; otherwise a new one. None: not now, for this reason.
///
/// # Errors
/// When the engine fails.
pub fn snapshot(
    engine: &mut Engine,
    held: Option<Arc<Snapshot>>,
    request: &SnapshotRequest,
) -> Result<std::result::Result<Arc<Snapshot>, Close>> {
    if let Some(held) = held.filter(|held| held.no == request.snapshot)
        && engine.holds(&held)?
    {
        return Ok(Ok(held));
    }
    let detail = "what a third site knows is merged here; connect again later";
    Ok(engine
        .snapshot()?
        .map(Arc::new)
        .ok_or_else(|| Close::new(CloseReason::Shutdown, detail)))
}

/// The page that is asked for, of at most `items_max` items.
///
/// # Errors
/// When the store cannot be read.
pub fn page(
    snapshot: &Snapshot,
    request: &SnapshotRequest,
    items_max: usize,
) -> Result<SnapshotPage> {
    // What came of another one is no beginning of this one.
    let after = match &request.after {
        after if request.snapshot == snapshot.no => after.clone(),
        _ => Bytes::new(),
    };
    let page = snapshot.frozen.page(&after, PAGE_BYTES, items_max)?;
    Ok(SnapshotPage {
        snapshot: snapshot.no,
        reach: if after.is_empty() {
            snapshot.reach.clone()
        } else {
            Vec::new()
        },
        after,
        hlc_us: snapshot.hlc_us,
        items: page.items,
        is_last: page.is_last,
    })
}

/// A page for the engine.
#[must_use]
pub fn known_page(page: SnapshotPage) -> KnownPage {
    KnownPage {
        from: SnapshotPoint {
            no: page.snapshot,
            after: page.after,
        },
        reach: page.reach,
        hlc_us: page.hlc_us,
        items: page.items,
        is_last: page.is_last,
    }
}

/// What the peer is told when not all of a frame was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This batch was refused.
    Nak(Nak),
    /// Nothing is taken for now.
    Hold(Hold),
    /// The connection ends.
    Close(Close),
}

/// How a refusal is told to the peer that sent the frame.
#[must_use]
pub fn answer(actor: Actor, refusal: Refusal) -> Answer {
    let nak = |stream, batch_seq, received, reason, detail| {
        Answer::Nak(Nak {
            actor,
            stream,
            reason,
            received,
            batch_seq,
            detail,
        })
    };
    match refusal {
        Refusal::Hold { until_us, detail } => Answer::Hold(Hold { until_us, detail }),
        Refusal::Out => Answer::Close(Close::new(CloseReason::Shutdown, CHANGED)),
        Refusal::Gap {
            stream,
            batch_seq,
            received,
        } => nak(stream, batch_seq, received, NakReason::Gap, String::new()),
        Refusal::Fork {
            stream,
            batch_seq,
            detail,
        } => nak(stream, batch_seq, 0, NakReason::Fork, detail),
        Refusal::Invalid {
            stream,
            batch_seq,
            received,
            detail,
        } => nak(stream, batch_seq, received, NakReason::Invalid, detail),
        Refusal::NoSpace {
            stream,
            batch_seq,
            received,
            detail,
        } => nak(stream, batch_seq, received, NakReason::NoSpace, detail),
        Refusal::Role { stream, batch_seq } => {
            let detail = "this site is a primary and takes no entries".to_owned();
            nak(stream, batch_seq, 0, NakReason::Role, detail)
        }
    }
}

/// A batch of the journal as it is sent: without what later entries of it make superfluous.
#[must_use]
pub fn pack(batch: EntryBatch, epoch: u32) -> EntryBatch {
    let mut compacted = BatchCompactor::compact_batch(batch);
    if !compacted.out_of_order.is_empty() {
        let (stream, inodes) = (compacted.batch.stream, &compacted.out_of_order);
        tracing::warn!(
            stream,
            ?inodes,
            "stamps do not grow with the journal; sent as it stands"
        );
    }
    compacted.batch.epoch = epoch;
    compacted.batch
}

/// What a peer was told on one connection of how far its entries got.
#[derive(Debug, Default)]
pub struct Told {
    streams: BTreeMap<u32, StreamProgress>,
    mark_us: u64,
}

impl Told {
    /// What is new in `progress`, and the mark up to which all is applied. None: nothing is.
    pub fn news(&mut self, progress: Vec<StreamProgress>, mark_us: u64) -> Option<Receipts> {
        let mut receipts = Vec::new();
        for one in progress {
            if self.streams.get(&one.stream) != Some(&one) {
                self.streams.insert(one.stream, one.clone());
                receipts.push(receipt(one));
            }
        }
        if receipts.is_empty() && mark_us <= self.mark_us {
            return None;
        }
        self.mark_us = self.mark_us.max(mark_us);
        Some(Receipts {
            receipts,
            applied_mark_us: mark_us,
        })
    }

    /// Whether something was received that is not applied.
    #[must_use]
    pub fn waits(&self) -> bool {
        let mut streams = self.streams.values();
        streams.any(|one| one.applied < one.received)
    }
}

fn receipt(progress: StreamProgress) -> Receipt {
    Receipt {
        actor: progress.actor,
        stream: progress.stream,
        received: progress.received,
        merged: progress.merged,
        // What is on the tree has its bytes here. More may have; nobody looks, so it is not claimed.
        durable: progress.applied,
        applied: progress.applied,
        parked: progress.parked,
        parked_count: progress.parked_count,
    }
}
