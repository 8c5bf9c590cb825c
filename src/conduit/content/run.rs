//! The loop of one peer's content: gives numbers to requests, verifies what comes, and starts answers.

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
    Incoming(Option<Result<ContentMessage, TransportError>>),
}

/// State of the loop. `open` belongs to `transport`: both go together.
pub(super) struct Content {
    tasks: Tasks,
    remote_site_id: SiteId,
    server: Arc<dyn ContentServer>,
    asked: mpsc::Receiver<Ask>,
    connected: mpsc::Receiver<ContentTransport>,
    transport: Option<ContentTransport>,
    /// Ends the answers of the transport with it.
    connection: CancellationToken,
    /// The request that waits for the transport.
    waiting: Option<Ask>,
    open: BTreeMap<u64, Open>,
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
            transport: None,
            connection: CancellationToken::new(),
            waiting: None,
            open: BTreeMap::new(),
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
                Input::Connected(transport) => {
                    self.disconnect("replaced by another connection");
                    self.transport = Some(transport);
                    self.connection = self.tasks.token().child_token();
                }
                Input::Asked(Some(ask)) => self.waiting = Some(ask),
                Input::Asked(None) => self.asking = false,
                Input::Slot(Some(slot)) => self.ask(slot),
                Input::Slot(None) => self.disconnect("the transport is gone"),
                Input::Incoming(Some(Ok(message))) => {
                    if let Err(reason) = self.take(message).await {
                        self.disconnect(&reason);
                    }
                }
                Input::Incoming(Some(Err(
                    TransportError::Garbage(reason) | TransportError::Lost(reason),
                ))) => self.disconnect(&reason),
                Input::Incoming(None) => self.disconnect("ended by the peer"),
            }
            if self.transport.is_none() {
                // Without a connection a request fails at once; its owner asks again on the next one.
                self.waiting = None;
            }
        }
    }

    /// Waits for one input; all branches are cancel-safe.
    async fn next(&mut self) -> Input {
        let (outgoing, incoming) = match &mut self.transport {
            Some(transport) => (
                Some(transport.outgoing.clone()),
                Some(&mut transport.incoming),
            ),
            None => (None, None),
        };
        let asks = self.asking && self.waiting.is_none();
        let slot = async {
            match outgoing {
                Some(outgoing) => outgoing.reserve_owned().await.ok(),
                None => std::future::pending().await,
            }
        };
        let message = async {
            match incoming {
                Some(incoming) => incoming.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.tasks.token().cancelled() => Input::Stop,
            Some(transport) = self.connected.recv() => Input::Connected(transport),
            ask = self.asked.recv(), if asks => Input::Asked(ask),
            slot = slot, if self.waiting.is_some() => Input::Slot(slot),
            message = message => Input::Incoming(message),
        }
    }

    fn disconnect(&mut self, reason: &str) {
        if self.transport.take().is_some() {
            let open = self.open.len();
            tracing::debug!(
                site = self.remote_site_id,
                open,
                reason,
                "content stream ended"
            );
        }
        self.connection.cancel();
        self.open.clear();
    }

    fn ask(&mut self, slot: mpsc::OwnedPermit<ContentMessage>) {
        let Some(Ask { want, answers }) = self.waiting.take() else {
            return;
        };
        self.requests += 1;
        let wanted = if want.hashes.is_empty() {
            BTreeSet::from([want.manifest_root])
        } else {
            want.hashes.iter().copied().collect()
        };
        self.open.insert(self.requests, Open { wanted, answers });
        slot.send(ContentMessage {
            request: self.requests,
            body: Body::Want(want),
        });
    }

    async fn take(&mut self, message: ContentMessage) -> Result<(), String> {
        match message.body {
            Body::Want(want) => self.answer(message.request, want),
            Body::Answer(answer) => self.answered(message.request, answer).await,
            Body::Unknown => Ok(()),
        }
    }

    /// Starts a task that answers; it ends with the transport.
    fn answer(&self, request: u64, want: Want) -> Result<(), String> {
        let Some(transport) = &self.transport else {
            return Ok(());
        };
        let Ok(slot) = Arc::clone(&self.answering).try_acquire_owned() else {
            return Err(format!(
                "the peer has more than {REQUESTS_MAX} requests open"
            ));
        };
        let chunks = ChunkSender {
            request,
            outgoing: transport.outgoing.clone(),
        };
        let (server, peer) = (Arc::clone(&self.server), self.remote_site_id);
        let stop = self.connection.clone();
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
    async fn answered(&mut self, request: u64, answer: Answer) -> Result<(), String> {
        let Some(open) = self.open.get_mut(&request) else {
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
            self.open.remove(&request);
        }
        Ok(())
    }
}
