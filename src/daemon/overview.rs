//! What one look at the site shows: a status and a lag, made from what the engine, the links and the tree told.
//!
//! Both come from the same moment, so that they agree with each other; what is old is told with its age.

use std::sync::PoisonError;
use std::time::Duration;

use super::board::{FromPeer, Told};
use super::exchange::reason;
use super::peer::PeerView;
use super::peers::PeerHandle;
use super::status::Reporter;
use super::timeline::{Timeline, older};
use crate::admin::verdict::{Connection, SiteFacts, judge, state_of};
use crate::admin::view::{
    AtRisk, Cause, ConflictCounts, ContactView, EndpointView, InboundLag, JournalView, Lag,
    LagView, Overview, Severity, ShardLag, SiteLag, SiteView, Stage, StageLag, StatusView,
    TrafficView, TreeView, Watch,
};
use crate::clock::{TimestampUs, micros};
use crate::conduit::contact::{Contact, EndpointTries};
use crate::conduit::link::ConduitState;
use crate::conduit::message::Role as WireRole;
use crate::conduit::stats::ConduitStats;
use crate::sync::engine::EngineStatus;

/// An engine that has not answered for so long is told as a cause: a batch of the largest size takes a second or two
/// on a slow disk.
const SILENT: Duration = Duration::from_secs(10);

/// Everything about one peer at one moment.
struct PeerFacts {
    site: SiteView,
    lag: SiteLag,
}

impl Reporter {
    /// Status and lag from what the engine told.
    pub(super) fn overview_of(&self, told: &Told) -> Overview {
        let peers = self.peers.all();
        let mut facts: Vec<PeerFacts> = peers.values().map(|peer| self.peer(peer, told)).collect();
        facts.sort_by(|a, b| a.site.site.cmp(&b.site.site));
        let (sites, lags): (Vec<SiteView>, Vec<SiteLag>) = facts
            .into_iter()
            .map(|facts| (facts.site, facts.lag))
            .unzip();
        let at_risk = self.at_risk(told);
        let status = self.status_of(told, sites, at_risk);
        let lag = LagView {
            site: self.site.1.clone(),
            sites: lags,
            at_risk,
        };
        Overview { status, lag }
    }

    fn status_of(&self, told: &Told, sites: Vec<SiteView>, at_risk: AtRisk) -> StatusView {
        let engine = &told.status;
        let tree = self.tree_view(told);
        let journal = JournalView {
            bytes: engine.journal_bytes,
            budget_bytes: Some(self.budget_bytes),
            pinned_bytes: engine.members.iter().map(|m| m.pinned_bytes).max(),
            head_entries: engine.heads.values().sum(),
            last_failure: engine.last_failure.clone(),
        };
        let conflicts = ConflictCounts {
            open: engine.open_conflicts,
            total: engine.conflicts,
        };
        let mut judgement = judge(&self.site.1, &sites, &tree, &journal, &conflicts);
        judgement.add(self.causes.all());
        let age = self.clock.monotonic().saturating_sub(told.at);
        if age >= SILENT {
            judgement.add(vec![silent(age)]);
        }
        StatusView {
            verdict: judgement.verdict,
            summary: judgement.summary,
            causes: judgement.causes,
            site: self.site.1.clone(),
            site_id: self.site.0,
            sites,
            journal,
            conflicts,
            tree,
            at_risk,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_us: micros(self.clock.monotonic().saturating_sub(self.started)),
            engine_age_us: micros(age),
            certificate_expires_us: self.certificate_expires_us(),
        }
    }

    fn certificate_expires_us(&self) -> Option<TimestampUs> {
        let tls = self.reloader.certificates.tls()?;
        Some(tls.expires_us()).filter(|us| *us < u64::MAX)
    }

    fn tree_view(&self, told: &Told) -> TreeView {
        let facts = self
            .tree
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let looking_us = facts.looking_us(self.clock.monotonic());
        let engine = &told.status;
        TreeView {
            root: self.root.as_os_str().as_encoded_bytes().to_vec(),
            watch: if facts.standing.blind.is_some() {
                Watch::Scanning
            } else {
                Watch::Inotify
            },
            watch_reason: facts.standing.blind,
            last_scan_us: facts.last_scan_us,
            parked: engine.parked.len() as u64,
            fetching: engine.fetching as u64,
            overtaken: engine.overtaken as u64,
            busy: facts.standing.busy,
            blocked: facts.standing.blocked,
            blocked_reason: facts.standing.blocked_reason,
            brake: facts.standing.brake.map(|why| why.to_string()),
            diverged: facts.diverged,
            left_alone: facts.left_alone,
            left_alone_first: facts.left_alone_first,
            unnoticed_us: self.unnoticed_us(told.mark_us),
            looking_us: Some(looking_us).filter(|us| *us > 0),
        }
    }

    fn looks_here(&self) -> bool {
        let facts = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        facts.looking_since.is_some()
    }

    /// Age of `mark`, up to which all changes of this site's tree are in its journal. None: nothing of it is.
    fn unnoticed_us(&self, mark: u64) -> Option<u64> {
        (mark > 0).then(|| self.clock.now_us().saturating_sub(mark))
    }

    /// What would be lost if this site were gone: what no other site has applied, and what nobody noticed yet.
    fn at_risk(&self, told: &Told) -> AtRisk {
        let timeline = told.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        let heads = &told.status.heads;
        let age = timeline.age(heads, &told.applied_anywhere, self.clock.now_us());
        let unnoticed = self.unnoticed_us(told.mark_us);
        AtRisk {
            lag: older(age, unnoticed.map_or(Lag::Unknown, Lag::Known)),
            entries: told.at_risk.entries,
            journal_bytes: told.at_risk.bytes,
        }
    }

    fn peer(&self, peer: &PeerHandle, told: &Told) -> PeerFacts {
        let view = peer.seen();
        let id = peer.link.remote_site_id();
        let engine = &told.status;
        let link = peer.link.status();
        let connected = link.state == ConduitState::Connected;
        let behind = behind(&view, engine);
        let member = engine.members.iter().find(|m| m.site_id == id);
        let fence = member.and_then(|member| member.fence.as_ref());
        let beat = view.beat.filter(|_| connected);
        let from = told.from.get(&id);
        let waiting = from.map(FromPeer::waiting);
        let parked_here = from.map_or(0, FromPeer::parked_entries);
        let lag = lag(behind, connected, &view, told.mark_us);
        let now = self.clock.monotonic();
        let heard_at = peer.link.heard_at().filter(|_| connected);
        let silent_us = heard_at.map(|at| micros(now.saturating_sub(at)));
        // As it said last; a peer that is not connected may have got further.
        let parked_there = view.hello.as_ref().map(|_| view.parked_there());
        let fetched_at = waiting.filter(|n| *n > 0).and(self.fetcher.moved_at());
        let since = view.moved_at.max(view.clear_at).max(fetched_at);
        let held = engine.held.get(&id);
        let held_there = beat.filter(|beat| beat.held_removed > 0);
        let facts = SiteFacts {
            connection: connection(&link.state),
            was_connected: view.hello.is_some(),
            fenced: fence.is_some(),
            held: held.is_some(),
            held_there: held_there.is_some(),
            paused: peer.link.is_paused(),
            behind_entries: behind,
            waiting_entries: waiting,
            looks_there: view.beat.is_some_and(|beat| beat.looking_us > 0),
            looks_here: self.looks_here(),
            lag_us: lag.us(),
            quiet_us: since.map(|at| micros(now.saturating_sub(at))),
            silent_us,
            parked: parked_here.saturating_add(parked_there.unwrap_or(0)),
        };
        let held = held.map(|held| why_held("it", held.removed, held.files));
        let behind_entries = behind.map(|n| n.saturating_add(parked_there.unwrap_or(0)));
        let site = SiteView {
            site: peer.name.clone(),
            site_id: id,
            state: state_of(&facts),
            endpoint: link.endpoint,
            last_error: fence
                .map(|fence| format!("fenced {}", reason(fence)))
                .or(held)
                .or(link.last_error.filter(|_| !connected)),
            lag,
            behind_entries,
            behind_bytes: told.backlogs.get(&id).and_then(|backlog| backlog.bytes),
            waiting_entries: waiting,
            parked: from.map(|from| from.parked.clone()).unwrap_or_default(),
            parked_there_entries: parked_there,
            unnoticed_us: unnoticed_there(&view, connected, now),
            silent_us,
            looking_us: beat.map(|beat| beat.looking_us).filter(|us| *us > 0),
            clock_skew_us: view.clocks.map(|clocks| clocks.skew_us),
            round_trip_us: view.clocks.map(|clocks| clocks.round_trip_us()),
            held_there: held_there
                .map(|beat| why_held(&self.site.1, beat.held_removed, beat.held_files)),
            contact: Some(contact(link.contact)),
            traffic: Some(traffic(&peer.link.stats())),
        };
        let lag = self.site_lag(&site, &view, told, connected);
        PeerFacts { site, lag }
    }

    fn site_lag(&self, site: &SiteView, view: &PeerView, told: &Told, connected: bool) -> SiteLag {
        let is_behind = behind(view, &told.status).is_some_and(|entries| entries > 0);
        let rates = told.rates.get(&site.site_id);
        let (stages, shards) = match &view.hello {
            Some(_) => {
                let timeline = told.timeline.lock().unwrap_or_else(PoisonError::into_inner);
                let now_us = self.clock.now_us();
                (
                    stages(view, told, site.lag, &timeline, now_us),
                    shards(view, told, &timeline, now_us),
                )
            }
            None => (Vec::new(), Vec::new()),
        };
        SiteLag {
            site: site.site.clone(),
            site_id: site.site_id,
            state: site.state,
            lag: site.lag,
            behind_entries: site.behind_entries,
            behind_bytes: site.behind_bytes,
            oldest_unacked_us: Some(view.applied_mark_us).filter(|at| is_behind && *at > 0),
            clock_skew_us: site.clock_skew_us,
            unnoticed_us: self.unnoticed_us(told.mark_us),
            inbound: InboundLag {
                unnoticed_us: site.unnoticed_us,
                ..inbound(view, told, site.site_id, connected)
            },
            applied_per_s: rates.map(|rates| rates.applied_per_s),
            catch_up_eta_us: rates
                .and_then(|rates| rates.caught_up_in_us)
                .filter(|_| site.behind_entries.is_some()),
            stages,
            shards,
        }
    }
}

fn contact(contact: Contact) -> ContactView {
    let endpoint = |tries: EndpointTries| EndpointView {
        endpoint: tries.endpoint,
        tried_us: tries.tried_us,
        error: tries.error,
        failures: tries.failures,
    };
    ContactView {
        attempts: u64::from(contact.attempts),
        next_us: contact.next_us,
        pauses_us: contact.pauses.into_iter().map(micros).collect(),
        since_us: contact.since_us,
        certificate_site: contact.certificate_site,
        endpoints: contact.endpoints.into_iter().map(endpoint).collect(),
    }
}

const fn traffic(stats: &ConduitStats) -> TrafficView {
    TrafficView {
        sent_entries: stats.entries_sent,
        sent_bytes: stats.bytes_sent,
        received_entries: stats.entries_received,
        received_bytes: stats.bytes_received,
        reconnects: stats.reconnects,
    }
}

fn silent(age: Duration) -> Cause {
    Cause {
        site: None,
        severity: Severity::Critical,
        text: format!(
            "the engine has not answered for {} s; numbers are as old as that",
            age.as_secs()
        ),
        next: "look at the disk of the state folder (iostat, dmesg) and at the log of cfs-repl"
            .to_owned(),
    }
}

/// How far the answering site is behind a peer.
fn inbound(view: &PeerView, told: &Told, site_id: u64, connected: bool) -> InboundLag {
    let (Some(hello), Some(from)) = (&view.hello, told.from.get(&site_id)) else {
        return InboundLag::default();
    };
    let theirs = view.beat.map(|beat| beat.mark_us).filter(|mark| *mark > 0);
    let ours = from.applied_mark_us;
    let ours = ours.or(told.status.marks.get(&hello.actor).copied());
    let lag = if hello.role == WireRole::Replica {
        // It has nothing to send.
        Lag::Known(0)
    } else {
        let waiting = from.waiting().saturating_add(from.parked_entries());
        inbound_lag(theirs, ours, waiting)
    };
    InboundLag {
        // What it noticed since it was heard last is not known.
        lag: match lag {
            Lag::Known(us) if !connected && hello.role != WireRole::Replica => Lag::AtLeast(us),
            Lag::Known(_) | Lag::AtLeast(_) | Lag::Unknown => lag,
        },
        waiting_entries: Some(from.waiting()),
        unnoticed_us: None,
    }
}

/// How far a peer is at each step of the way.
fn stages(
    view: &PeerView,
    told: &Told,
    applied: Lag,
    timeline: &Timeline,
    now_us: u64,
) -> Vec<StageLag> {
    let heads = &told.status.heads;
    let stage = |stage: Stage| {
        let position = view.position(stage);
        let missing = |(stream, head): (&u32, &u64)| {
            head.saturating_sub(position.get(stream).copied().unwrap_or(0))
        };
        let lag = match stage {
            // By marks, which are exact.
            Stage::Applied => applied,
            Stage::Sent | Stage::Received | Stage::Merged | Stage::Durable => {
                timeline.age(heads, &position, now_us)
            }
        };
        StageLag {
            stage,
            entries: heads.iter().map(missing).sum(),
            lag,
        }
    };
    Stage::ALL.iter().copied().map(stage).collect()
}

/// Every stream of the journal, and how far the peer is in it.
fn shards(view: &PeerView, told: &Told, timeline: &Timeline, now_us: u64) -> Vec<ShardLag> {
    let shard = |(stream, head): (&u32, &u64)| {
        let receipt = view.receipts.get(stream);
        let at =
            |position: fn(&crate::conduit::message::Receipt) -> u64| receipt.map_or(0, position);
        let applied = at(|receipt| receipt.applied);
        ShardLag {
            shard: *stream,
            head: *head,
            sent: view
                .sent
                .get(stream)
                .copied()
                .unwrap_or(0)
                .max(at(|r| r.received)),
            received: at(|receipt| receipt.received),
            merged: at(|receipt| receipt.merged),
            applied,
            behind_entries: head.saturating_sub(applied),
            lag: timeline.age_in(*stream, *head, applied, now_us),
            behind_bytes: timeline.bytes_in(*stream, *head, applied),
        }
    };
    told.status.heads.iter().map(shard).collect()
}

const fn connection(state: &ConduitState) -> Connection {
    match state {
        ConduitState::Connected => Connection::Connected,
        ConduitState::Reconnecting { delay_ms: 0, .. } => Connection::Connecting,
        ConduitState::Reconnecting { .. } | ConduitState::Shutdown => Connection::Waiting,
    }
}

/// Age of the mark of a peer: at its last heartbeat, by its own clock, and since then by ours.
fn unnoticed_there(view: &PeerView, connected: bool, now: Duration) -> Option<u64> {
    let hello = view.hello.as_ref().filter(|_| connected)?;
    if hello.role == WireRole::Replica {
        // It has nothing to tell.
        return Some(0);
    }
    let beat = view.beat.filter(|beat| beat.mark_us > 0)?;
    let then = beat.clock.wall_us.saturating_sub(beat.mark_us);
    Some(then.saturating_add(micros(now.saturating_sub(view.beat_at))))
}

/// How far a peer is behind in time, given what it has not applied and the mark of this site.
fn lag(behind: Option<u64>, connected: bool, view: &PeerView, mark: u64) -> Lag {
    // How old the oldest entry is that it cannot apply is not told.
    let is_whole = connected && view.parked_there() == 0;
    match (behind, view.applied_mark_us) {
        (None, _) => Lag::Unknown,
        (Some(0), _) if is_whole => Lag::Known(0),
        (Some(0), _) if connected => Lag::AtLeast(0),
        (Some(_), 0) => Lag::Unknown,
        (Some(_), at) if is_whole => Lag::Known(mark.saturating_sub(at)),
        (Some(_), at) => Lag::AtLeast(mark.saturating_sub(at)),
    }
}

/// How far this site is behind a peer in time, given the mark of the peer, the last one that came here, and how many
/// entries wait or cannot be applied.
const fn inbound_lag(theirs: Option<u64>, ours: Option<u64>, waiting: u64) -> Lag {
    match (theirs, ours) {
        (Some(theirs), Some(ours)) if waiting == 0 => Lag::Known(theirs.saturating_sub(ours)),
        // The last mark of which everything is applied is not known; what waits is at least as old as this.
        (Some(theirs), Some(ours)) => Lag::AtLeast(theirs.saturating_sub(ours)),
        (Some(_), None) | (None, _) => Lag::Unknown,
    }
}

/// Entries of this site that the peer has not applied; none when it was never heard.
fn behind(view: &PeerView, engine: &EngineStatus) -> Option<u64> {
    view.hello.as_ref()?;
    let behind = engine.heads.iter().map(|(stream, head)| {
        let applied = view
            .receipts
            .get(stream)
            .map_or(0, |receipt| receipt.applied);
        head.saturating_sub(applied)
    });
    Some(behind.sum())
}

/// What the brake says of a site that it holds.
fn why_held(site: &str, removed: u64, files: u64) -> String {
    format!("{site} deleted {removed} of {files} files within a short time")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conduit::message::Receipt;

    #[test]
    fn what_waits_makes_the_inbound_lag_a_lower_bound_and_what_is_not_known_is_no_zero() {
        assert_eq!(inbound_lag(Some(9), Some(4), 0), Lag::Known(5));
        assert_eq!(inbound_lag(Some(9), Some(4), 1), Lag::AtLeast(5));
        assert_eq!(
            inbound_lag(Some(4), Some(9), 0),
            Lag::Known(0),
            "an older heartbeat"
        );
        assert_eq!(inbound_lag(Some(9), None, 0), Lag::Unknown);
        assert_eq!(inbound_lag(None, Some(4), 0), Lag::Unknown);
    }

    #[test]
    fn the_lag_of_a_peer_that_is_away_is_a_lower_bound_and_of_one_never_heard_unknown() {
        let view = |applied_mark_us| {
            let mut view = PeerView::default();
            view.applied_mark_us = applied_mark_us;
            view
        };
        assert_eq!(lag(None, true, &view(4), 9), Lag::Unknown);
        assert_eq!(lag(Some(0), true, &view(4), 9), Lag::Known(0));
        assert_eq!(lag(Some(2), true, &view(4), 9), Lag::Known(5));
        assert_eq!(lag(Some(2), false, &view(4), 9), Lag::AtLeast(5));
        assert_eq!(lag(Some(0), false, &view(4), 9), Lag::AtLeast(5));
        assert_eq!(lag(Some(2), true, &view(0), 9), Lag::Unknown);
        let mut parked = view(4);
        let receipt = Receipt {
            parked_count: 1,
            ..Receipt::default()
        };
        parked.receipts.insert(0, receipt);
        assert_eq!(lag(Some(0), true, &parked, 9), Lag::AtLeast(0));
        assert_eq!(lag(Some(2), true, &parked, 9), Lag::AtLeast(5));
    }
}
