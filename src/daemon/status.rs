//! What a running site tells operators: facts gathered from the engine, the links and the tree, judged by `admin`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::assemble::PeerHandle;
use super::backlog::backlog;
use super::causes::Causes;
use super::content::Fetcher;
use super::peer::{PeerView, reason};
use super::restore::Restorer;
use crate::admin::filter::{AckRequest, Matcher};
use crate::admin::verdict::{Connection, SiteFacts, judge, state_of};
use crate::admin::view::preview::PreviewRequest;
use crate::admin::view::{
    AckedView, ConflictCounts, ConflictDetail, ConflictView, InboundLag, JournalView, Lag, LagView,
    PARKED_SHOWN_MAX, ParkedView, RestoredView, ResumedView, SiteLag, SiteView, StatusView,
    TreeView, Watch,
};
use crate::admin::{AdminError, Pieces, Previews, Result, Source};
use crate::clock::{Clock, SharedClock, micros};
use crate::conduit::link::ConduitState;
use crate::conduit::message::Role as WireRole;
use crate::journal::dot::Actor;
use crate::journal::op::Name;
use crate::sync::conflict::ConflictId;
use crate::sync::engine::{Engine, EngineStatus, Handle};
use crate::topology::SiteId;
use crate::tree::ConnectorEvent;
use crate::tree::connector::Standing;
use crate::tree::look::Looker;
use crate::tree::scan::Disbelief;
use crate::tree::walk::Note;

/// What the connector told last.
#[derive(Debug, Clone, Default)]
pub(super) struct TreeFacts {
    standing: Standing,
    last_scan_us: Option<u64>,
    diverged: u64,
    /// Names that the last whole scan left alone.
    left_alone: u64,
    /// Path of the first of them.
    left_alone_first: Option<Vec<u8>>,
    /// When the look at the whole tree began that is under way.
    looking_since: Option<Duration>,
}

impl TreeFacts {
    /// For how long the whole tree is being looked at; zero: it is not.
    pub(super) fn looking_us(&self, now: Duration) -> u64 {
        let since = self.looking_since;
        since.map_or(0, |since| micros(now.saturating_sub(since)).max(1))
    }
}

/// Keeps what the connector tells.
pub(super) fn note(facts: &Mutex<TreeFacts>, event: &ConnectorEvent, clock: &dyn Clock) {
    let mut facts = facts.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        ConnectorEvent::Looking => facts.looking_since = Some(clock.monotonic()),
        ConnectorEvent::Standing(standing) => facts.standing = standing.clone(),
        ConnectorEvent::Scanned(report) => {
            facts.looking_since = None;
            // A look at a part knows only of a part.
            facts.diverged = facts.diverged.max(report.diverged);
            if report.complete {
                facts.diverged = report.diverged;
                facts.last_scan_us = Some(clock.now_us());
                let mut left = report.left_alone();
                facts.left_alone_first = left.next().map(path_bytes);
                facts.left_alone =
                    u64::from(facts.left_alone_first.is_some()) + left.count() as u64;
            }
        }
        ConnectorEvent::Blind(_) | ConnectorEvent::Sighted | ConnectorEvent::Applied(_) => {}
    }
}

/// Answers operators.
pub(super) struct Reporter {
    pub(super) site: (SiteId, String),
    pub(super) engine: Handle,
    pub(super) peers: Arc<BTreeMap<SiteId, PeerHandle>>,
    pub(super) tree: Arc<Mutex<TreeFacts>>,
    pub(super) causes: Causes,
    pub(super) looker: Looker,
    pub(super) root: PathBuf,
    pub(super) restorer: Restorer,
    /// Where bytes of other sites arrive.
    pub(super) fetcher: Fetcher,
    pub(super) budget_bytes: u64,
    pub(super) clock: SharedClock,
    pub(super) started: Duration,
}

/// Everything about one peer at one moment.
struct PeerFacts {
    site: SiteView,
    inbound: InboundLag,
    oldest_us: Option<u64>,
}

impl Reporter {
    fn looks_here(&self) -> bool {
        let facts = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        facts.looking_since.is_some()
    }

    /// Age of `mark`, up to which all changes of this site's tree are in its journal.
    fn unnoticed_us(&self, mark: u64) -> u64 {
        self.clock.now_us().saturating_sub(mark)
    }

    async fn engine_status(&self) -> Result<(EngineStatus, u64)> {
        let asked = self.engine.ask(|e| Ok((e.status()?, e.mark()?))).await;
        asked.map_err(|error| {
            let known = self
                .causes
                .all()
                .into_iter()
                .find(|cause| cause.site.is_none());
            match known {
                // It says more than the failure of the question does.
                Some(cause) => AdminError::NotPossible {
                    what: format!("{}; the state cannot be read: {error}", cause.text),
                    hint: cause.next,
                },
                None => error.into(),
            }
        })
    }

    async fn peer(&self, peer: &PeerHandle, engine: &EngineStatus, mark: u64) -> Result<PeerFacts> {
        let view = peer.seen();
        let link = peer.link.status();
        let connected = link.state == ConduitState::Connected;
        let behind = behind(&view, engine);
        let behind_bytes = self.behind_bytes(&view, engine).await?;
        let member = engine
            .members
            .iter()
            .find(|m| m.site_id == peer.link.remote_site_id());
        let fence = member.and_then(|member| member.fence.as_ref());
        let beat = view.beat.filter(|_| connected);
        let (waiting, parked_count, inbound) = self.inbound(&view, engine).await?;
        let lag = lag(behind, connected, &view, mark);
        // As it said last; a peer that is not connected may have got further.
        let parked_there = view.hello.as_ref().map(|_| view.parked_there());
        let parked = match &view.hello {
            Some(hello) if parked_count > 0 => self.parked(hello.actor).await?,
            Some(_) | None => Vec::new(),
        };
        let fetched_at = waiting.filter(|n| *n > 0).and(self.fetcher.moved_at());
        let since = view.moved_at.max(view.clear_at).max(fetched_at);
        let held = engine.held.get(&peer.link.remote_site_id());
        let held_there = beat.filter(|beat| beat.held_removed > 0);
        let facts = SiteFacts {
            connection: connection(&link.state),
            was_connected: view.hello.is_some(),
            fenced: fence.is_some(),
            held: held.is_some(),
            held_there: held_there.is_some(),
            paused: false,
            behind_entries: behind,
            waiting_entries: waiting,
            looks_there: view.beat.is_some_and(|beat| beat.looking_us > 0),
            looks_here: self.looks_here(),
            lag_us: lag.us(),
            quiet_us: since.map(|at| micros(self.clock.monotonic().saturating_sub(at))),
            parked: parked_count.saturating_add(parked_there.unwrap_or(0)),
        };
        let held = held.map(|held| why_held("it", held.removed, held.files));
        let site = SiteView {
            site: peer.name.clone(),
            site_id: peer.link.remote_site_id(),
            state: state_of(&facts),
            endpoint: link.endpoint,
            last_error: fence
                .map(|fence| format!("fenced {}", reason(fence)))
                .or(held)
                .or(link.last_error.filter(|_| !connected)),
            lag,
            behind_entries: behind.map(|behind| behind.saturating_add(parked_there.unwrap_or(0))),
            behind_bytes,
            waiting_entries: waiting,
            parked,
            parked_there_entries: parked_there,
            unnoticed_us: unnoticed_there(&view, connected),
            looking_us: beat.map(|beat| beat.looking_us).filter(|us| *us > 0),
            clock_skew_us: view.clocks.map(|clocks| clocks.skew_us),
            round_trip_us: view.clocks.map(|clocks| clocks.round_trip_us()),
            held_there: held_there
                .map(|beat| why_held(&self.site.1, beat.held_removed, beat.held_files)),
        };
        let is_behind = behind.is_some_and(|entries| entries > 0);
        let oldest_us = Some(view.applied_mark_us).filter(|at| is_behind && *at > 0);
        Ok(PeerFacts {
            site,
            inbound,
            oldest_us,
        })
    }

    /// Bytes of the journal that the peer has not received; none when it was never heard, or when what it lacks is no
    /// longer kept.
    async fn behind_bytes(&self, view: &PeerView, engine: &EngineStatus) -> Result<Option<u64>> {
        if view.hello.is_none() {
            return Ok(None);
        }
        let backlog = backlog(&self.engine, &engine.heads, view.received()).await?;
        Ok(backlog.bytes)
    }

    /// Entries of the peer that wait here, how many are parked, and how far this site is behind it.
    async fn inbound(
        &self,
        view: &PeerView,
        engine: &EngineStatus,
    ) -> Result<(Option<u64>, u64, InboundLag)> {
        let Some(hello) = &view.hello else {
            return Ok((None, 0, InboundLag::default()));
        };
        let actor = hello.actor;
        let asked = self
            .engine
            .ask(move |e| Ok((e.progress(actor)?, e.applied_mark(actor)?)))
            .await;
        let (progress, applied_mark) = asked?;
        let waiting = progress
            .iter()
            .map(|one| one.received.saturating_sub(one.applied))
            .sum();
        let parked: u64 = progress.iter().map(|one| one.parked_count).sum();
        let theirs = view.beat.map(|beat| beat.mark_us).filter(|mark| *mark > 0);
        let ours = applied_mark.or(engine.marks.get(&actor).copied());
        let lag = if hello.role == WireRole::Replica {
            // It has nothing to send.
            Lag::Known(0)
        } else {
            inbound_lag(theirs, ours, u64::saturating_add(waiting, parked))
        };
        Ok((
            Some(waiting),
            parked,
            InboundLag {
                lag,
                waiting_entries: Some(waiting),
                unnoticed_us: None,
            },
        ))
    }

    /// What of a peer's journal could not be applied.
    async fn parked(&self, actor: Actor) -> Result<Vec<ParkedView>> {
        let mut views = Vec::new();
        let parked = self.engine.ask(move |e| e.parked_of(actor)).await?;
        for (inode, reason) in parked.into_iter().take(PARKED_SHOWN_MAX) {
            // What cannot be applied may not be shown yet: the place that it is to get tells more than its number.
            let last = self.engine.ask(move |e| e.last_path_of(inode)).await?;
            let path = last.map(|(path, _)| join(path));
            views.push(ParkedView {
                inode,
                path,
                reason,
            });
        }
        Ok(views)
    }

    /// Whether this is the name of this site or of a peer.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.site.1 == name || self.peers.values().any(|peer| peer.name == name)
    }

    pub(super) fn no_site(&self, name: &str) -> AdminError {
        AdminError::SiteUnknown {
            name: name.to_owned(),
            known: self.peers.values().map(|peer| peer.name.clone()).collect(),
        }
    }

    pub(super) fn site_name(&self, id: SiteId) -> Option<String> {
        if id == self.site.0 {
            return Some(self.site.1.clone());
        }
        self.peers.get(&id).map(|peer| peer.name.clone())
    }
}

#[tonic::async_trait]
impl Source for Reporter {
    fn site(&self) -> String {
        self.site.1.clone()
    }

    async fn status(&self) -> Result<StatusView> {
        let (engine, mark) = self.engine_status().await?;
        let mut sites = Vec::new();
        for peer in self.peers.values() {
            sites.push(self.peer(peer, &engine, mark).await?.site);
        }
        sites.sort_by(|a, b| a.site.cmp(&b.site));
        let facts = self
            .tree
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let looking_us = facts.looking_us(self.clock.monotonic());
        let tree = TreeView {
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
            unnoticed_us: Some(self.unnoticed_us(mark)),
            looking_us: Some(looking_us).filter(|us| *us > 0),
        };
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
        let mut judgement = judge(&sites, &tree, &journal, &conflicts);
        judgement.add(self.causes.all());
        Ok(StatusView {
            verdict: judgement.verdict,
            summary: judgement.summary,
            causes: judgement.causes,
            site: self.site.1.clone(),
            site_id: self.site.0,
            sites,
            journal,
            conflicts,
            tree,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_us: micros(self.clock.monotonic().saturating_sub(self.started)),
        })
    }

    async fn lag(&self) -> Result<LagView> {
        let (engine, mark) = self.engine_status().await?;
        let mut sites = Vec::new();
        for peer in self.peers.values() {
            let PeerFacts {
                site,
                inbound,
                oldest_us,
            } = self.peer(peer, &engine, mark).await?;
            sites.push(SiteLag {
                site: site.site,
                site_id: site.site_id,
                state: site.state,
                lag: site.lag,
                behind_entries: site.behind_entries,
                behind_bytes: site.behind_bytes,
                oldest_unacked_us: oldest_us,
                clock_skew_us: site.clock_skew_us,
                unnoticed_us: Some(self.unnoticed_us(mark)),
                inbound: InboundLag {
                    unnoticed_us: site.unnoticed_us,
                    ..inbound
                },
            });
        }
        sites.sort_by(|a, b| a.site.cmp(&b.site));
        Ok(LagView {
            site: self.site.1.clone(),
            sites,
        })
    }

    async fn find_conflicts(&self, filter: &Matcher) -> Result<Vec<ConflictId>> {
        self.conflict_ids(filter).await
    }

    async fn conflicts(&self, ids: &[ConflictId]) -> Result<Vec<ConflictView>> {
        self.conflict_views(ids).await
    }

    async fn show(&self, id: &str) -> Result<ConflictDetail> {
        self.conflict_detail(id).await
    }

    async fn loser(&self, id: &str) -> Result<Pieces> {
        self.loser_bytes(id).await
    }

    async fn restore(&self, id: &str, as_path: Option<&[u8]>) -> Result<RestoredView> {
        let listed = self.conflict_of(id).await?;
        self.restorer.restore(&listed, as_path).await
    }

    async fn ack(&self, request: AckRequest<Matcher>, by: &str) -> Result<Vec<AckedView>> {
        self.acknowledge(request, by).await
    }

    async fn resume(&self, site: &str, confirm: bool) -> Result<ResumedView> {
        let found = self.peers.iter().find(|(_, peer)| peer.name == site);
        if let Some((id, _)) = found {
            let id = *id;
            let held = self.engine.ask(Engine::held).await?;
            if held.contains_key(&id) && !confirm {
                return Err(AdminError::NotPossible {
                    what: format!("the brake holds {site}, and what it deleted may not be meant"),
                    hint: format!(
                        "look at its tree; when it is meant: cfs-repl sites resume {site} --confirm"
                    ),
                });
            }
            let changed = self.engine.ask(move |e| e.resume(id)).await?;
            return Ok(ResumedView {
                site: site.to_owned(),
                changed,
            });
        }
        if site == self.site.1 {
            return self.resume_here(confirm);
        }
        Err(self.no_site(site))
    }

    async fn preview(&self, request: PreviewRequest) -> Result<Previews> {
        self.compact_preview(request).await
    }
}

impl Reporter {
    /// An operator says that this site's own tree was emptied on purpose.
    fn resume_here(&self, confirm: bool) -> Result<ResumedView> {
        let site = self.site.1.clone();
        let facts = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let brake = facts.standing.brake;
        drop(facts);
        let refuse = |what: String, hint: String| Err(AdminError::NotPossible { what, hint });
        match brake {
            None => {}
            Some(why @ (Disbelief::Marker | Disbelief::Moved)) => {
                return refuse(
                    format!("the tree of {site} is not the one that it was: {why}"),
                    "mount the right filesystem, or put .cfs-repl/id back; a copy that shall take \
                     the place of the tree is adopted by: cfs-repl run --adopt-copy"
                        .to_owned(),
                );
            }
            Some(Disbelief::EmptyRoot) if !confirm => {
                return refuse(
                    format!("the tree of {site} is empty, and that may not be meant"),
                    format!(
                        "look at what is mounted there; when all of its files shall go at every \
                         site: cfs-repl sites resume {site} --confirm"
                    ),
                );
            }
            Some(Disbelief::EmptyRoot) => self.looker.mean_empty(),
        }
        Ok(ResumedView {
            site,
            changed: brake.is_some(),
        })
    }
}

fn path_bytes(note: &Note) -> Vec<u8> {
    note.path.as_os_str().as_encoded_bytes().to_vec()
}

pub(super) fn join(names: Vec<Name>) -> Vec<u8> {
    let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    names.join(&b'/')
}

const fn connection(state: &ConduitState) -> Connection {
    match state {
        ConduitState::Connected => Connection::Connected,
        ConduitState::Reconnecting { delay_ms: 0, .. } => Connection::Connecting,
        ConduitState::Reconnecting { .. } | ConduitState::Shutdown => Connection::Waiting,
    }
}

/// Age of the mark of a peer at its last heartbeat, by its own clock.
fn unnoticed_there(view: &PeerView, connected: bool) -> Option<u64> {
    let hello = view.hello.as_ref().filter(|_| connected)?;
    if hello.role == WireRole::Replica {
        // It has nothing to tell.
        return Some(0);
    }
    let beat = view.beat.filter(|beat| beat.mark_us > 0)?;
    Some(beat.clock.wall_us.saturating_sub(beat.mark_us))
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
