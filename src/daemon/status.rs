//! What a running site tells operators: facts gathered from the engine, the links and the tree, judged by `admin`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;

use super::board::Board;
use super::causes::Causes;
use super::content::Fetcher;
use super::events::Events;
use super::invite::Inviter;
use super::logs::Logs;
use super::peers::Peers;
use super::reload::Reloader;
use super::restore::Restorer;
use crate::admin::filter::{AckRequest, Matcher, RestoreRequest};
use crate::admin::transitions::event;
use crate::admin::view::journal::TailRequest;
use crate::admin::view::preview::PreviewRequest;
use crate::admin::view::{
    AckedView, ConflictDetail, ConflictView, EventFilter, EventView, InvitationView, InviteView,
    InviteWish, Level, Overview, ReloadedView, RemovedView, RestoredView, ResumedView, path_text,
};
use crate::admin::{AdminError, Entries, Pieces, Previews, Result, Source};
use crate::clock::{Clock, SharedClock, micros};
use crate::journal::op::Name;
use crate::sync::conflict::ConflictId;
use crate::sync::engine::Handle;
use crate::topology::SiteId;
use crate::tree::ConnectorEvent;
use crate::tree::connector::Standing;
use crate::tree::look::Looker;
use crate::tree::walk::Note;

/// What the connector told last.
#[derive(Debug, Clone, Default)]
pub(super) struct TreeFacts {
    pub(super) standing: Standing,
    pub(super) last_scan_us: Option<u64>,
    pub(super) diverged: u64,
    /// Names that the last whole scan left alone.
    pub(super) left_alone: u64,
    /// Path of the first of them.
    pub(super) left_alone_first: Option<Vec<u8>>,
    /// When the look at the whole tree began that is under way.
    pub(super) looking_since: Option<Duration>,
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
        ConnectorEvent::Blind(_)
        | ConnectorEvent::Sighted
        | ConnectorEvent::Applied(_)
        | ConnectorEvent::Matched(_) => {}
    }
}

/// Answers operators.
pub(super) struct Reporter {
    pub(super) site: (SiteId, String),
    pub(super) engine: Handle,
    pub(super) board: Board,
    pub(super) peers: Peers,
    pub(super) tree: Arc<Mutex<TreeFacts>>,
    pub(super) causes: Causes,
    pub(super) looker: Looker,
    pub(super) root: PathBuf,
    pub(super) restorer: Restorer,
    pub(super) logs: Logs,
    pub(super) events: Events,
    pub(super) reloader: Reloader,
    pub(super) inviter: Inviter,
    /// Where bytes of other sites arrive.
    pub(super) fetcher: Fetcher,
    pub(super) budget_bytes: u64,
    pub(super) clock: SharedClock,
    pub(super) started: Duration,
}

impl Reporter {
    /// Whether this is the name of this site or of a peer.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.site.1 == name || self.peers.named(name).is_some()
    }

    pub(super) fn no_site(&self, name: &str) -> AdminError {
        AdminError::SiteUnknown {
            name: name.to_owned(),
            known: self
                .peers
                .all()
                .values()
                .map(|peer| peer.name.clone())
                .collect(),
        }
    }

    pub(super) fn site_name(&self, id: SiteId) -> Option<String> {
        if id == self.site.0 {
            return Some(self.site.1.clone());
        }
        self.peers.name_of(id)
    }

    /// A failure of the engine, with what is known of it.
    fn explained(&self, error: AdminError) -> AdminError {
        let all = self.causes.all();
        match all.into_iter().find(|cause| cause.site.is_none()) {
            // It says more than the failure of the question does.
            Some(cause) => AdminError::NotPossible {
                what: format!("{}; the state cannot be read: {error}", cause.text),
                hint: cause.next,
            },
            None => error,
        }
    }
}

#[tonic::async_trait]
impl Source for Reporter {
    fn site(&self) -> String {
        self.site.1.clone()
    }

    async fn overview(&self) -> Result<Overview> {
        let told = self
            .board
            .look()
            .await
            .map_err(|error| self.explained(error))?;
        Ok(self.overview_of(&told))
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

    async fn shown(&self, id: &str, bytes_max: Option<u64>) -> Result<Pieces> {
        self.shown_bytes(id, bytes_max).await
    }

    async fn restore(&self, request: RestoreRequest<'_>, by: &str) -> Result<RestoredView> {
        let listed = self.conflict_of(request.id).await?;
        let restored = self.restorer.restore(&listed, request).await?;
        let told = restored_event(&restored, request.as_path, by);
        self.events.tell(told);
        Ok(restored)
    }

    async fn ack(&self, request: AckRequest<Matcher>, by: &str) -> Result<Vec<AckedView>> {
        self.acknowledge(request, by).await
    }

    fn events(
        &self,
        filter: &EventFilter,
    ) -> (Vec<EventView>, broadcast::Receiver<Arc<EventView>>) {
        self.events.since(filter)
    }

    async fn preview(&self, request: PreviewRequest) -> Result<Previews> {
        self.compact_preview(request).await
    }

    async fn tail(&self, request: TailRequest) -> Result<Entries> {
        self.journal_tail(request)
    }

    async fn resume(&self, site: &str, confirm: bool, by: &str) -> Result<ResumedView> {
        self.resume_site(site, confirm, by).await
    }

    async fn pause(&self, site: &str, note: &str, by: &str) -> Result<bool> {
        self.pause_site(site, note, by).await
    }

    async fn reconnect(&self, site: &str, by: &str) -> Result<()> {
        self.reconnect_site(site, by)
    }

    async fn remove(&self, site: &str, by: &str) -> Result<RemovedView> {
        self.remove_site(site, by).await
    }

    async fn reload(&self, by: &str) -> Result<ReloadedView> {
        self.reloader.reload(by).await
    }

    async fn set_log_level(&self, filter: &str, by: &str) -> Result<String> {
        self.log_level(filter, by)
    }

    async fn invite(&self, wish: InviteWish, by: &str) -> Result<InviteView> {
        self.inviter.invite(wish, by).await
    }

    async fn invitations(&self) -> Result<Vec<InvitationView>> {
        self.inviter.list().await
    }

    async fn revoke(&self, id: &str, by: &str) -> Result<String> {
        self.inviter.revoke(id, by).await
    }
}

/// Who put a loser back, and where; at a place that an operator chose if there is an `as_path`.
fn restored_event(restored: &RestoredView, as_path: Option<&[u8]>, by: &str) -> EventView {
    let (id, path) = (&restored.id, path_text(&restored.path));
    let text = format!("loser of {id} put back as {path} by {by}");
    let mut told = event(Level::Info, "conflict.restored", None, text);
    let mut fields = vec![
        ("conflict", id.clone()),
        ("by", by.to_owned()),
        ("path", path),
    ];
    fields.extend(as_path.map(|chosen| ("as", path_text(chosen))));
    told.fields = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    told
}

fn path_bytes(note: &Note) -> Vec<u8> {
    note.path.as_os_str().as_encoded_bytes().to_vec()
}

pub(super) fn join(names: Vec<Name>) -> Vec<u8> {
    let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    names.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_put_a_loser_back_and_where_is_on_record() {
        let restored = RestoredView {
            id: "c-bygtc5qnmf".to_owned(),
            path: b"d/old\xff".to_vec(),
        };
        let told = restored_event(&restored, None, "ana");
        assert_eq!(
            told.text,
            "loser of c-bygtc5qnmf put back as d/old\\xff by ana"
        );
        let field = |told: &EventView, name: &str| told.fields.get(name).cloned();
        assert_eq!(field(&told, "by").as_deref(), Some("ana"));
        assert_eq!(field(&told, "path").as_deref(), Some("d/old\\xff"));
        assert_eq!(field(&told, "as"), None);
        let told = restored_event(&restored, Some(b"d//old\xff"), "ana");
        assert_eq!(field(&told, "as").as_deref(), Some("d//old\\xff"));
    }
}
