//! The loop of one peer's content: gives numbers to requests, verifies what comes, and starts answers.

use std::task::Poll;

use tokio_util::sync::CancellationToken;

use super::*;

/// A request that the peer has not answered in full.
struct Open {
    /// Hashes not yet received.
    wanted: BTreeSet<ChunkHash>,
    answers: mpsc::Sender<Waiting>,
}

enum Input {
    Stop,
    Connected(ContentTransport),
    Asked(Option<Ask>),
    Slot(Option<mpsc::OwnedPermit<ContentMessage>>),
    Incoming(usize, Option<Result<ContentMessage, TransportError>>),
}

/// One stream with the requests that were made on it: both go together.
struct Stream {
    transport: ContentTransport,
    /// Ends the answers on the stream with it.
    connection: CancellationToken,
    open: BTreeMap<u64, Open>,
}

/// Streams of one peer at once. When both sites dial, each has two for a moment, and does not know which of them the
/// other will keep: so all are answered on, and what is asked goes to the newest.
const STREAMS_MAX: usize = 4;

/// State of the loop.
pub(super) struct Content {
    tasks: Tasks,
    remote_site_id: SiteId,
    server: Arc<dyn ContentServer>,
    asked: mpsc::Receiver<Ask>,
    connected: mpsc::Receiver<ContentTransport>,
    /// Oldest first.
    streams: Vec<Stream>,
    /// The request that waits for the newest stream.
    waiting: Option<Ask>,
    requests: u64,
    answering: Arc<Semaphore>,
    budget: Arc<Semaphore>,
    asking: bool,
}

impl Content {
    pub(super) fn new(
        tasks: &Tasks,
        remote_site_id: SiteId,
        server: Arc<dyn ContentServer>,
        asked: mpsc::Receiver<Ask>,
        connected: mpsc::Receiver<ContentTransport>,
    ) -> Self {
        Self {
            tasks: tasks.clone(),
            remote_site_id,
            server,
            asked,
            connected,
            streams: Vec::new(),
            waiting: None,
            requests: 0,
            answering: Arc::new(Semaphore::new(REQUESTS_MAX)),
            budget: Arc::new(Semaphore::new(WAITING_BYTES_MAX / BUDGET_UNIT)),
            asking: true,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.next().await {
                Input::Stop => return,
                Input::Connected(transport) => self.connect(transport),
                Input::Asked(Some(ask)) => self.waiting = Some(ask),
                Input::Asked(None) => self.asking = false,
                Input::Slot(Some(slot)) => self.ask(slot),
                Input::Slot(None) => {
                    self.disconnect(
                        self.streams.len().saturating_sub(1),
                        "the transport is gone",
                    );
                }
                Input::Incoming(at, Some(Ok(message))) => {
                    if let Err(reason) = self.take(at, message).await {
                        self.disconnect(at, &reason);
                    }
                }
                Input::Incoming(
                    at,
                    Some(Err(TransportError::Garbage(reason) | TransportError::Lost(reason))),
                ) => self.disconnect(at, &reason),
                Input::Incoming(at, None) => self.disconnect(at, "ended by the peer"),
            }
            if self.streams.is_empty() {
                // Without a connection a request fails at once; its owner asks again on the next one.
                self.waiting = None;
            }
        }
    }

    /// Waits for one input; all branches are cancel-safe.
    async fn next(&mut self) -> Input {
        let newest = self.streams.last();
        let outgoing = newest.map(|stream| stream.transport.outgoing.clone());
        let asks = self.asking && self.waiting.is_none();
        let slot = async {
            match outgoing {
                Some(outgoing) => outgoing.reserve_owned().await.ok(),
                None => std::future::pending().await,
            }
        };
        let streams = &mut self.streams;
        let message = std::future::poll_fn(|context| {
            for (at, stream) in streams.iter_mut().enumerate() {
                if let Poll::Ready(message) = stream.transport.incoming.poll_recv(context) {
                    return Poll::Ready((at, message));
                }
            }
            Poll::Pending
        });
        tokio::select! {
            () = self.tasks.token().cancelled() => Input::Stop,
            Some(transport) = self.connected.recv() => Input::Connected(transport),
            ask = self.asked.recv(), if asks => Input::Asked(ask),
            slot = slot, if self.waiting.is_some() => Input::Slot(slot),
            (at, message) = message => Input::Incoming(at, message),
        }
    }

    fn connect(&mut self, transport: ContentTransport) {
        if self.streams.len() == STREAMS_MAX {
            self.disconnect(0, "too many streams of one site");
        }
        let connection = self.tasks.token().child_token();
        self.streams.push(Stream {
            transport,
            connection,
            open: BTreeMap::new(),
        });
    }

    fn disconnect(&mut self, at: usize, reason: &str) {
        if at >= self.streams.len() {
            return;
        }
        let stream = self.streams.remove(at);
        let (site, open) = (self.remote_site_id, stream.open.len());
        tracing::debug!(site, open, reason, "content stream ended");
        stream.connection.cancel();
    }

    fn ask(&mut self, slot: mpsc::OwnedPermit<ContentMessage>) {
        let (Some(Ask { want, answers }), Some(stream)) =
            (self.waiting.take(), self.streams.last_mut())
        else {
            return;
        };
        self.requests += 1;
        let wanted = if want.hashes.is_empty() {
            BTreeSet::from([want.manifest_root])
        } else {
            want.hashes.iter().copied().collect()
        };
        stream.open.insert(self.requests, Open { wanted, answers });
        slot.send(ContentMessage {
            request: self.requests,
            body: Body::Want(want),
        });
    }

    async fn take(&mut self, at: usize, message: ContentMessage) -> Result<(), String> {
        match message.body {
            Body::Want(want) => self.answer(at, message.request, want),
            Body::Answer(answer) => self.answered(at, message.request, answer).await,
            Body::Unknown => Ok(()),
        }
    }

    /// Starts a task that answers; it ends with the transport.
    fn answer(&self, at: usize, request: u64, want: Want) -> Result<(), String> {
        let Some(stream) = self.streams.get(at) else {
            return Ok(());
        };
        let Ok(slot) = Arc::clone(&self.answering).try_acquire_owned() else {
            return Err(format!(
                "the peer has more than {REQUESTS_MAX} requests open"
            ));
        };
        let chunks = ChunkSender {
            request,
            outgoing: stream.transport.outgoing.clone(),
        };
        let (server, peer) = (Arc::clone(&self.server), self.remote_site_id);
        let stop = stream.connection.clone();
        self.tasks
            .spawn(format!("answer {request} of site {peer}"), async move {
                let answered = async {
                    let answer = match server.answer(peer, want, &chunks).await {
                        Verdict::Done => Answer::Done,
                        Verdict::Gone { superseded_by } => Answer::Gone { superseded_by },
                        Verdict::Busy { retry_after_ms } => Answer::Busy { retry_after_ms },
                    };
                    // The slot is free before the peer can know that, so that it never meets a full house.
                    drop(slot);
                    let message = ContentMessage {
                        request,
                        body: Body::Answer(answer),
                    };
                    if chunks.outgoing.send(message).await.is_err() {
                        tracing::debug!(peer, request, "nobody waits for this answer any more");
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = chunks.outgoing.closed() => {}
                    () = answered => {}
                }
            });
        Ok(())
    }

    /// Hands an answer to whoever asked. Answers to requests that were given up are dropped.
    async fn answered(&mut self, at: usize, request: u64, answer: Answer) -> Result<(), String> {
        let Some(stream) = self.streams.get_mut(at) else {
            return Ok(());
        };
        let Some(open) = stream.open.get_mut(&request) else {
            return if request > self.requests {
                Err(format!("answer to request {request}, which was never made"))
            } else {
                Ok(())
            };
        };
        let mut budget = None;
        if let Answer::Chunk { hash, bytes } = &answer {
            if !open.wanted.remove(hash) {
                return Err(format!("request {request}: a chunk that was not wanted"));
            }
            if blake3::hash(bytes) != *hash {
                return Err(format!(
                    "request {request}: a chunk that does not match its hash"
                ));
            }
            let units = u32::try_from(bytes.len() / BUDGET_UNIT + 1).unwrap_or(u32::MAX);
            budget = Arc::clone(&self.budget)
                .acquire_many_owned(units)
                .await
                .ok();
        }
        let last = !matches!(answer, Answer::Chunk { .. });
        let gave_up = open
            .answers
            .send(Waiting {
                answer,
                _budget: budget,
            })
            .await
            .is_err();
        if last || gave_up {
            stream.open.remove(&request);
        }
        Ok(())
    }
}
