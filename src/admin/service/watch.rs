//! The streams of the service: looks as they change, and events as they happen.
//!
//! A reader that does not take what it is sent makes nothing pile up here: the next look is taken when the one before
//! was handed over, and events that it was too slow for are counted and told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Replies, refusal};
use crate::admin::view::{EventFilter, EventView, Overview, RightsView};
use crate::admin::wire::{self, Update};
use crate::admin::{AdminError, Source, delta};
use crate::clock::{Clock as _, SystemClock};
use crate::daemon::tasks::Tasks;
use crate::proto::admin as pb;

/// Time between two looks unless the reader wants another one: what a person sees as live.
const INTERVAL: Duration = Duration::from_millis(500);
/// The shortest and the longest that a reader may want. The engine tells nothing more often, and a heartbeat comes
/// every second.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Updates that wait for the reader. More would only be older.
const WAITING_MAX: usize = 2;

/// Looks as they change.
pub(super) fn watch(
    tasks: &Tasks,
    source: Arc<dyn Source>,
    request: &pb::WatchRequest,
    rights: Option<RightsView>,
) -> Replies<pb::WatchUpdate> {
    let interval = request.interval_us.map_or(INTERVAL, Duration::from_micros);
    let (updates, taken) = mpsc::channel(WAITING_MAX);
    let watcher = Watcher {
        source,
        interval: interval.clamp(INTERVAL_MIN, HEARTBEAT),
        shards: request.shards,
        rights,
        updates,
        number: 0,
        shown: None,
        told_at: Instant::now(),
    };
    let stop = tasks.token().clone();
    tasks.spawn("watch", async move {
        stop.run_until_cancelled(watcher.run()).await;
    });
    Box::pin(ReceiverStream::new(taken).map(Ok))
}

/// Looks, and tells one reader.
struct Watcher {
    source: Arc<dyn Source>,
    interval: Duration,
    shards: bool,
    /// What the reader may do, until it is told.
    rights: Option<RightsView>,
    updates: mpsc::Sender<pb::WatchUpdate>,
    number: u64,
    shown: Option<Overview>,
    told_at: Instant,
}

impl Watcher {
    async fn run(mut self) {
        let mut every = tokio::time::interval(self.interval);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.updates.closed() => return,
                _ = every.tick() => {}
            }
            let look = self.source.overview().await;
            let Some(update) = self.update(look) else {
                continue;
            };
            self.number += 1;
            self.told_at = Instant::now();
            let update = pb::WatchUpdate {
                number: self.number,
                at_us: SystemClock.now_us(),
                what: Some(wire::update_to(update)),
                rights: self.rights.take().map(wire::rights_to),
            };
            if self.updates.send(update).await.is_err() {
                return;
            }
        }
    }

    /// What there is to tell of a look. None: nothing yet.
    fn update(&mut self, look: Result<Overview, AdminError>) -> Option<Update> {
        let mut look = match look {
            Ok(look) => look,
            Err(error) => {
                self.shown = None;
                let next = if let AdminError::NotPossible { hint, .. } = &error {
                    hint.clone()
                } else {
                    String::new()
                };
                let text = error.to_string();
                return Some(Update::Unreadable { text, next });
            }
        };
        if !self.shards {
            for site in &mut look.lag.sites {
                site.shards.clear();
            }
        }
        let delta = self
            .shown
            .as_ref()
            .map(|shown| delta::between(shown, &look));
        let status = &look.status;
        let heartbeat = Update::Heartbeat {
            uptime_us: status.uptime_us,
            engine_age_us: status.engine_age_us,
        };
        match delta {
            Some(Some(delta)) if delta.is_quiet() => {
                (self.told_at.elapsed() + self.interval / 2 >= HEARTBEAT).then_some(heartbeat)
            }
            Some(Some(delta)) => {
                self.shown = Some(look);
                Some(Update::Delta(Box::new(delta)))
            }
            Some(None) | None => {
                self.shown = Some(look.clone());
                Some(Update::Snapshot(Box::new(look)))
            }
        }
    }
}

/// The past that `filter` lets through, and, when it is followed, what happens.
pub(super) fn events(
    tasks: &Tasks,
    source: &Arc<dyn Source>,
    request: pb::EventsRequest,
) -> Replies<pb::Event> {
    let (follow, limit) = (request.follow, request.limit);
    let filter = wire::events_from(request);
    let (mut past, told) = source.events(&filter);
    let limit = limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    past.drain(..past.len().saturating_sub(limit));
    let past = tokio_stream::iter(past).map(|event| Ok(wire::event_to(event)));
    if !follow {
        return Box::pin(past);
    }
    let (events, taken) = mpsc::channel(WAITING_MAX);
    let stop = tasks.token().clone();
    tasks.spawn("follow events", async move {
        stop.run_until_cancelled(hand_on(told, filter, events))
            .await;
    });
    Box::pin(past.chain(ReceiverStream::new(taken)))
}

async fn hand_on(
    mut told: broadcast::Receiver<Arc<EventView>>,
    filter: EventFilter,
    events: mpsc::Sender<Result<pb::Event, Status>>,
) {
    loop {
        let event = tokio::select! {
            () = events.closed() => return,
            event = told.recv() => event,
        };
        let sent = match event {
            Ok(event) if filter.lets_through(&event) => {
                events
                    .send(Ok(wire::event_to(EventView::clone(&event))))
                    .await
            }
            Ok(_) => Ok(()),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                let hint = format!("ask again with --since; {missed} events were missed");
                let what = AdminError::NotPossible {
                    what: "events came faster than they were read".to_owned(),
                    hint,
                };
                drop(events.send(Err(refusal(what))).await);
                return;
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        if sent.is_err() {
            return;
        }
    }
}
