//! A daemon that is played: 16 sites with 256 shards each, 10 000 conflicts, and in the busy one every shard moves with
//! every look, and events come all the time. It is the real admin service over a source that knows nothing else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use claudefs_repl::admin::access::Access;
use claudefs_repl::admin::filter::{AckRequest, Matcher, RestoreRequest};
use claudefs_repl::admin::service::{Doors, serve};
use claudefs_repl::admin::view::journal::TailRequest;
use claudefs_repl::admin::view::preview::PreviewRequest;
use claudefs_repl::admin::view::{
    AckedView, ConflictDetail, ConflictView, EventFilter, EventView, InvitationView, InviteView,
    InviteWish, Lag, Overview, ReloadedView, RemovedView, RestoredView, ResumedView,
};
use claudefs_repl::admin::{AdminError, Entries, Pieces, Previews, Result, Source};
use claudefs_repl::clock::{Clock as _, SystemClock};
use claudefs_repl::daemon::tasks::Tasks;
use claudefs_repl::sync::conflict::ConflictId;
use tokio::sync::broadcast;

use super::{CONFLICTS, EVENTS_PER_S, conflict, look};

/// How often events are told.
const TELLS: Duration = Duration::from_millis(100);

struct Stage {
    is_busy: bool,
    looks: AtomicU64,
    events: AtomicU64,
    told: broadcast::Sender<Arc<EventView>>,
}

/// Plays it until the process is killed.
pub(crate) fn play(socket: PathBuf, is_busy: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let access = Access {
            own_uid: rustix::process::geteuid().as_raw(),
            ..Access::default()
        };
        let doors = Doors {
            socket,
            access,
            network: None,
        };
        let stage = Arc::new(Stage {
            is_busy,
            looks: AtomicU64::new(0),
            events: AtomicU64::new(1),
            told: broadcast::channel(4_096).0,
        });
        let tasks = Tasks::new();
        serve(&tasks, doors, Arc::clone(&stage) as Arc<_>).unwrap();
        let mut ticks = tokio::time::interval(TELLS);
        loop {
            ticks.tick().await;
            if is_busy {
                stage.tell();
            }
        }
    });
}

impl Stage {
    fn tell(&self) {
        for _ in 0..EVENTS_PER_S / 10 {
            let event = EventView {
                number: self.events.fetch_add(1, Ordering::SeqCst),
                at_us: SystemClock.now_us(),
                name: "conflict.recorded".to_owned(),
                site: Some("site-02".to_owned()),
                text: "a conflict was recorded".to_owned(),
                ..EventView::default()
            };
            // Nobody may be listening.
            drop(self.told.send(Arc::new(event)));
        }
    }
}

fn nothing<T>() -> Result<T> {
    Err(AdminError::NotPossible {
        what: "it is only played".to_owned(),
        hint: "ask a daemon".to_owned(),
    })
}

#[tonic::async_trait]
impl Source for Stage {
    fn site(&self) -> String {
        "site-01".to_owned()
    }

    async fn overview(&self) -> Result<Overview> {
        let mut seen = look();
        if self.is_busy {
            let nth = self.looks.fetch_add(1, Ordering::SeqCst);
            for site in &mut seen.lag.sites {
                site.lag = Lag::Known(nth * 1_000);
                for shard in &mut site.shards {
                    shard.head += nth;
                    shard.behind_entries = nth % 5;
                    shard.lag = Lag::Known(nth * 1_000);
                }
            }
        }
        Ok(seen)
    }

    fn events(&self, _: &EventFilter) -> (Vec<EventView>, broadcast::Receiver<Arc<EventView>>) {
        (Vec::new(), self.told.subscribe())
    }

    async fn find_conflicts(&self, _: &Matcher) -> Result<Vec<ConflictId>> {
        let id = |nth: u64| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&nth.to_be_bytes());
            ConflictId(id)
        };
        Ok((0..CONFLICTS).map(id).collect())
    }

    async fn conflicts(&self, ids: &[ConflictId]) -> Result<Vec<ConflictView>> {
        let nth = |id: &ConflictId| u64::from_be_bytes(id.0[..8].try_into().unwrap());
        Ok(ids.iter().map(|id| conflict(nth(id))).collect())
    }

    async fn show(&self, _: &str) -> Result<ConflictDetail> {
        nothing()
    }

    async fn loser(&self, _: &str) -> Result<Pieces> {
        nothing()
    }

    async fn shown(&self, _: &str, _: Option<u64>) -> Result<Pieces> {
        nothing()
    }

    async fn restore(&self, _: RestoreRequest<'_>, _: &str) -> Result<RestoredView> {
        nothing()
    }

    async fn ack(&self, _: AckRequest<Matcher>, _: &str) -> Result<Vec<AckedView>> {
        nothing()
    }

    async fn resume(&self, _: &str, _: bool, _: &str) -> Result<ResumedView> {
        nothing()
    }

    async fn pause(&self, _: &str, _: &str, _: &str) -> Result<bool> {
        nothing()
    }

    async fn reconnect(&self, _: &str, _: &str) -> Result<()> {
        nothing()
    }

    async fn remove(&self, _: &str, _: &str) -> Result<RemovedView> {
        nothing()
    }

    async fn reload(&self, _: &str) -> Result<ReloadedView> {
        nothing()
    }

    async fn set_log_level(&self, _: &str, _: &str) -> Result<String> {
        nothing()
    }

    async fn invite(&self, _: InviteWish, _: &str) -> Result<InviteView> {
        nothing()
    }

    async fn invitations(&self) -> Result<Vec<InvitationView>> {
        Ok(Vec::new())
    }

    async fn revoke(&self, _: &str, _: &str) -> Result<String> {
        nothing()
    }

    async fn preview(&self, _: PreviewRequest) -> Result<Previews> {
        nothing()
    }

    async fn tail(&self, _: TailRequest) -> Result<Entries> {
        nothing()
    }
}
