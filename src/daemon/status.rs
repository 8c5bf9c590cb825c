//! What a running site tells operators: facts gathered from the engine, the links and the tree, judged by `admin`.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, fsync, openat, renameat};

use super::assemble::PeerHandle;
use super::causes::Causes;
use super::peer::PeerView;
use crate::admin::verdict::{Connection, SiteFacts, judge, state_of};
use crate::admin::view::{
    AckView, ConflictCounts, ConflictView, InboundLag, JournalView, Lag, LagView, PARKED_SHOWN_MAX,
    ParkedView, RestoredView, ResumedView, SiteLag, SiteView, StatusView, TreeView, VersionView,
    Watch,
};
use crate::admin::{AdminError, Result, Source};
use crate::clock::SharedClock;
use crate::conduit::link::ConduitState;
use crate::error::ReplError;
use crate::journal::dot::LwwKey;
use crate::journal::entry::RegisterId;
use crate::journal::op::Name;
use crate::sync::conflict::{Ack, ConflictRecord, LostValue};
use crate::sync::engine::{Engine, EngineStatus, Handle};
use crate::topology::SiteId;
use crate::tree::root::Root;
use crate::tree::{ConnectorEvent, pin};

/// What the connector told last.
#[derive(Debug, Clone, Default)]
pub(super) struct TreeFacts {
    blind: bool,
    last_scan_us: Option<u64>,
    busy: u64,
    diverged: u64,
}

/// Keeps what the connector tells.
pub(super) fn note(facts: &Mutex<TreeFacts>, event: &ConnectorEvent, now_us: u64) {
    let mut facts = facts.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        ConnectorEvent::Blind(_) => facts.blind = true,
        ConnectorEvent::Scanned(report) => {
            facts.busy = report.busy.len() as u64;
            facts.diverged = report.diverged;
            if report.complete {
                facts.last_scan_us = Some(now_us);
            }
        }
        ConnectorEvent::Applied(_) => {}
    }
}

/// Answers operators.
pub(super) struct Reporter {
    pub(super) site: (SiteId, String),
    pub(super) engine: Handle,
    pub(super) peers: Arc<BTreeMap<SiteId, PeerHandle>>,
    pub(super) tree: Arc<Mutex<TreeFacts>>,
    pub(super) causes: Causes,
    pub(super) root: PathBuf,
    pub(super) tree_state: PathBuf,
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
    async fn engine_status(&self) -> Result<(EngineStatus, u64)> {
        let asked = self.engine.ask(|e| Ok((e.status()?, e.mark()?))).await;
        Ok(asked?)
    }

    async fn peer(&self, peer: &PeerHandle, engine: &EngineStatus, mark: u64) -> Result<PeerFacts> {
        let view = peer
            .view
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let link = peer.link.status();
        let connected = link.state == ConduitState::Connected;
        let behind = behind(&view, engine);
        let (waiting, parked_count, inbound) = self.inbound(&view, engine).await?;
        let lag = match (behind, view.applied_mark_us) {
            (None, _) => Lag::Unknown,
            (Some(0), _) if connected => Lag::Known(0),
            (Some(_), 0) => Lag::Unknown,
            (Some(_), at) if connected => Lag::Known(mark.saturating_sub(at)),
            (Some(_), at) => Lag::AtLeast(mark.saturating_sub(at)),
        };
        let parked = if parked_count > 0 {
            self.parked(engine).await?
        } else {
            Vec::new()
        };
        let since = view.moved_at.max(view.clear_at);
        let facts = SiteFacts {
            connection: match link.state {
                ConduitState::Connected => Connection::Connected,
                ConduitState::Reconnecting { delay_ms: 0, .. } => Connection::Connecting,
                ConduitState::Reconnecting { .. } | ConduitState::Shutdown => Connection::Waiting,
            },
            was_connected: view.hello.is_some(),
            fenced: false,
            held: false,
            paused: false,
            behind_entries: behind,
            waiting_entries: waiting,
            lag_us: lag.us(),
            quiet_us: since.map(|at| micros(self.clock.monotonic().saturating_sub(at))),
            parked: parked_count,
        };
        let site = SiteView {
            site: peer.name.clone(),
            site_id: peer.link.remote_site_id(),
            state: state_of(&facts),
            endpoint: link.endpoint,
            last_error: link.last_error.filter(|_| !connected),
            lag,
            behind_entries: behind,
            behind_bytes: None,
            waiting_entries: waiting,
            parked,
            clock_skew_us: view.skew_us,
        };
        let oldest_us = behind
            .filter(|n| *n > 0)
            .map(|_| view.applied_mark_us)
            .filter(|at| *at > 0);
        Ok(PeerFacts {
            site,
            inbound,
            oldest_us,
        })
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
        let parked = progress.iter().map(|one| one.parked_count).sum();
        let theirs = view.beat.map(|beat| beat.mark_us).filter(|mark| *mark > 0);
        let lag = match (theirs, applied_mark.or(engine.marks.get(&actor).copied())) {
            (Some(theirs), Some(ours)) => Lag::Known(theirs.saturating_sub(ours)),
            (Some(_), None) | (None, _) => Lag::Unknown,
        };
        Ok((
            Some(waiting),
            parked,
            InboundLag {
                lag,
                waiting_entries: Some(waiting),
            },
        ))
    }

    async fn parked(&self, engine: &EngineStatus) -> Result<Vec<ParkedView>> {
        let mut views = Vec::new();
        for (inode, reason) in engine.parked.iter().take(PARKED_SHOWN_MAX) {
            let (inode, reason) = (*inode, reason.clone());
            let path = self.engine.ask(move |e| e.path_of(inode)).await?.map(join);
            views.push(ParkedView {
                inode,
                path,
                reason,
            });
        }
        Ok(views)
    }

    fn site_name(&self, id: SiteId) -> Option<String> {
        if id == self.site.0 {
            return Some(self.site.1.clone());
        }
        self.peers.get(&id).map(|peer| peer.name.clone())
    }

    fn version(&self, key: LwwKey) -> VersionView {
        VersionView {
            site: self.site_name(key.site_id),
            site_id: key.site_id,
            stream: key.shard_id,
            seq: key.seq,
            timestamp_us: key.timestamp_us,
        }
    }

    async fn conflict(&self, record: &ConflictRecord, ack: Option<Ack>) -> Result<ConflictView> {
        let inode = record.inode;
        let path = self.engine.ask(move |e| e.path_of(inode)).await?.map(join);
        let winner = record.winner;
        Ok(ConflictView {
            id: record.id.to_string(),
            kind: record.kind.word().to_owned(),
            path,
            inode,
            register: register_word(&record.register).to_owned(),
            winner: winner.map(|key| self.version(key)),
            loser: self.version(record.loser),
            gap_us: winner.map(|key| key.timestamp_us.abs_diff(record.loser.timestamp_us)),
            detected_us: record.detected_at_us,
            lost_bytes: lost_bytes(&record.lost),
            superseded: record.superseded,
            ack: ack.filter(|ack| ack.acked).map(|ack| AckView {
                by: ack.by,
                note: ack.note,
                at_us: ack.at_us,
            }),
        })
    }

    async fn find(&self, id: &str) -> Result<ConflictRecord> {
        let records = self.engine.ask(Engine::conflicts).await?;
        let mut found = records
            .into_iter()
            .map(|(record, _)| record)
            .filter(|r| r.id.matches(id));
        match (found.next(), found.next()) {
            (Some(record), None) => Ok(record),
            (Some(_), Some(_)) => Err(AdminError::ConflictAmbiguous { id: id.to_owned() }),
            (None, _) => Err(AdminError::ConflictUnknown { id: id.to_owned() }),
        }
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
        let tree = TreeView {
            root: self.root.as_os_str().as_encoded_bytes().to_vec(),
            watch: if facts.blind {
                Watch::Scanning
            } else {
                Watch::Inotify
            },
            last_scan_us: facts.last_scan_us,
            parked: engine.parked.len() as u64,
            busy: facts.busy,
            diverged: facts.diverged,
        };
        let journal = JournalView {
            bytes: engine.journal_bytes,
            budget_bytes: Some(self.budget_bytes),
            head_entries: engine.heads.values().sum(),
            last_failure: engine.last_failure.clone(),
        };
        let conflicts = ConflictCounts {
            open: engine.open_conflicts as u64,
            total: engine.conflicts as u64,
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
                inbound,
            });
        }
        sites.sort_by(|a, b| a.site.cmp(&b.site));
        Ok(LagView {
            site: self.site.1.clone(),
            sites,
        })
    }

    async fn conflicts(&self) -> Result<Vec<ConflictView>> {
        let mut views = Vec::new();
        for (record, ack) in self.engine.ask(Engine::conflicts).await? {
            views.push(self.conflict(&record, ack).await?);
        }
        views.sort_by_key(|view| view.detected_us);
        Ok(views)
    }

    async fn restore(&self, id: &str, as_path: Option<&[u8]>) -> Result<RestoredView> {
        let record = self.find(id).await?;
        let LostValue::Content(content) = &record.lost else {
            return Err(AdminError::NotPossible {
                what: format!("{} lost no bytes, there is nothing to put back", record.id),
                hint: "cfs-repl conflicts list shows what it lost".to_owned(),
            });
        };
        let bytes = match &content.inline {
            Some(bytes) => bytes.clone(),
            None if content.size == 0 => bytes::Bytes::new(),
            None => {
                return Err(AdminError::NotPossible {
                    what: format!(
                        "the {} bytes that lost are not kept in the record, only up to 16 KiB are",
                        content.size
                    ),
                    hint: "look in .cfs-repl/trash of the site where it lost".to_owned(),
                });
            }
        };
        let inode = record.inode;
        let names = match as_path {
            Some(path) => split(path)?,
            None => self
                .engine
                .ask(move |e| e.path_of(inode))
                .await?
                .ok_or_else(|| AdminError::NotPossible {
                    what: format!("the file of {} is not in the tree any more", record.id),
                    hint: "say where to put the bytes: --as PATH".to_owned(),
                })?,
        };
        let path = join(names.clone());
        let root = pin::open(&self.root, &self.tree_state)?;
        let fresh = as_path.is_some();
        let put = move || put_back(&root, &names, &bytes, fresh);
        tokio::task::spawn_blocking(put)
            .await
            .map_err(|_| ReplError::Shutdown)??;
        Ok(RestoredView {
            id: record.id.to_string(),
            path,
        })
    }

    async fn resume(&self, site: &str) -> Result<ResumedView> {
        if self.peers.values().any(|peer| peer.name == site) {
            return Ok(ResumedView {
                site: site.to_owned(),
                changed: false,
            });
        }
        let known = self.peers.values().map(|peer| peer.name.clone()).collect();
        Err(AdminError::SiteUnknown {
            name: site.to_owned(),
            known,
        })
    }
}

/// Puts bytes into the tree as a user would who saves a file: the connector notices them like any other change.
fn put_back(root: &Root, names: &[Name], bytes: &[u8], fresh: bool) -> Result<()> {
    let Some((name, dir)) = names.split_last() else {
        return Err(AdminError::NotPossible {
            what: "the root is a directory".to_owned(),
            hint: "name a file below it".to_owned(),
        });
    };
    let shown = root.shown(dir, Some(name));
    let failed = |e: rustix::io::Errno| ReplError::io("put back", &shown, e);
    let parent = root.open_dir(dir).map_err(failed)?;
    let there = openat(
        &parent,
        name.as_bytes(),
        OFlags::PATH | OFlags::NOFOLLOW,
        Mode::empty(),
    );
    if fresh && there.is_ok() {
        return Err(AdminError::NotPossible {
            what: format!("{} exists", shown.display()),
            hint: "name a path that is free".to_owned(),
        });
    }
    let staged = format!("restore-{}", std::process::id());
    let flags =
        OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        openat(root.staging(), &staged, flags, Mode::from_raw_mode(0o644)).map_err(failed)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest).map_err(failed)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    fsync(&file).map_err(failed)?;
    renameat(root.staging(), &staged, parent.as_fd(), name.as_bytes()).map_err(failed)?;
    Ok(())
}

fn split(path: &[u8]) -> Result<Vec<Name>> {
    let parts = path
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty());
    Ok(parts
        .map(|part| Name::new(part.to_vec()))
        .collect::<std::result::Result<_, _>>()?)
}

fn join(names: Vec<Name>) -> Vec<u8> {
    let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    names.join(&b'/')
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

fn lost_bytes(lost: &LostValue) -> Option<u64> {
    if let LostValue::Content(content) = lost {
        return Some(content.size);
    }
    None
}

fn register_word(register: &RegisterId) -> &'static str {
    match register {
        RegisterId::Content => "content",
        RegisterId::Mode => "mode",
        RegisterId::Owner => "owner",
        RegisterId::Times => "times",
        RegisterId::Flags => "flags",
        RegisterId::Xattr(_) => "xattr",
        RegisterId::LinkPlace(_) | RegisterId::DirPlace => "place",
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
