//! Accepts sites over gRPC: own accept loop, TLS handshake and streams; what is said on them is the session's affair.
//!
//! A certificate of the right authority is not enough: its site must be registered here, or the call is refused by
//! the name that it showed. Handshakes are bounded in number and time, connections in number, in all and from one
//! address, so that strangers cost little.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::{Connected, TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Response, Status, Streaming};

use super::accept::{HANDSHAKE_MAX, HANDSHAKES_MAX, accept};
use super::client::{CONNECTION_WINDOW_BYTES, SITE_HEADER, STREAM_WINDOW_BYTES, read};
use super::content::{self, ContentTransport};
use super::join::Admit;
use super::peer::{TRANSPORT_MESSAGES_MAX, Transport};
use super::slots::{Held, Slots};
use super::tls::{JOIN_PROTOCOL, Tls, names_of, site_of};
use super::wire::{self, MESSAGE_BYTES_MAX};
use crate::daemon::tasks::Tasks;
use crate::proto::v1;
use v1::conduit_server::{Conduit as Service, ConduitServer};

/// Connections of other sites at once: two for each of 64 sites, and as many that are replaced.
const CONNECTIONS_MAX: usize = 256;
/// Connections of new sites at once, which show no certificate; nobody needs more than one.
const JOINING_MAX: usize = 8;

/// Where the connections of one site go.
#[derive(Debug, Clone)]
pub struct Admission {
    /// To the loop of the peer, from [`super::peer::spawn`].
    pub replicate: mpsc::Sender<Transport>,
    /// To its content loop. None: content is not served.
    pub content: Option<mpsc::Sender<ContentTransport>>,
}

/// The sites that may connect, by name. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Admissions(Arc<Mutex<BTreeMap<String, Admission>>>);

impl Admissions {
    /// Nobody may connect.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits a site, or changes where its connections go.
    pub fn admit(&self, site: impl Into<String>, admission: Admission) {
        self.with(|sites| sites.insert(site.into(), admission));
    }

    /// Refuses a site from here on. A standing connection stays.
    pub fn refuse(&self, site: &str) {
        self.with(|sites| sites.remove(site));
    }

    fn find(&self, site: &str) -> Option<Admission> {
        self.with(|sites| sites.get(site).cloned())
    }

    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Admission>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Accepts connections on `listener` until `tasks` ends. Without `tls` in plaintext, for tests only; `join` decides
/// about new sites.
pub fn serve(
    tasks: &Tasks,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    admissions: Admissions,
    join: Option<Arc<dyn Admit>>,
) {
    let service = ConduitService {
        tls: tls.clone(),
        admissions,
        tasks: tasks.clone(),
    };
    match tls {
        None => {
            let (ready, incoming) = mpsc::channel(HANDSHAKES_MAX);
            let sort = move |stream, _| Some((ready.clone(), stream));
            accept(tasks, listener, |stream| async { Ok(stream) }, sort);
            run(tasks, service, incoming);
        }
        Some(tls) => {
            let (ready, incoming) = mpsc::channel(HANDSHAKES_MAX);
            let (new, joining) = mpsc::channel(HANDSHAKES_MAX);
            let takes_new = join.is_some();
            let (sites, strangers) = (Slots::new(CONNECTIONS_MAX), Slots::new(JOINING_MAX));
            let sort = move |stream: TlsStream<TcpStream>, from: SocketAddr| {
                let (to, slots, most_of_one) = if is_joining(&stream) {
                    (&new, &strangers, JOINING_MAX / 2)
                } else {
                    (&ready, &sites, CONNECTIONS_MAX / 4)
                };
                let slot = slots.take(from.ip(), most_of_one)?;
                Some((to.clone(), Held::new(stream, Some(slot))))
            };
            accept(
                tasks,
                listener,
                move |stream| handshake(Arc::clone(&tls), stream, takes_new),
                sort,
            );
            run(tasks, service, incoming);
            if let Some(join) = join {
                run_join(tasks, join, joining);
            }
        }
    }
}

/// Whether a new site is at the other end, which has shown no certificate.
fn is_joining(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(JOIN_PROTOCOL)
}

/// A handshake with a site, or with a new one where such are taken in: what it wants it says first (ALPN).
async fn handshake(
    tls: Arc<Tls>,
    stream: TcpStream,
    takes_new: bool,
) -> std::io::Result<TlsStream<TcpStream>> {
    let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
    let started = acceptor.await?;
    let wants = |protocol: &[u8]| {
        let hello = started.client_hello();
        hello
            .alpn()
            .is_some_and(|mut all| all.any(|one| one == protocol))
    };
    let is_new = takes_new && wants(JOIN_PROTOCOL);
    let config = if is_new { tls.join() } else { tls.server() };
    started.into_stream(config).await
}

type Incoming<I> = mpsc::Receiver<std::io::Result<I>>;

fn run<I>(tasks: &Tasks, service: ConduitService, incoming: Incoming<I>)
where
    I: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let stop = tasks.token().clone();
    let service = ConduitServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    tasks.spawn("conduit server", async move {
        let served = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .add_service(service)
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "conduit server ended");
        }
    });
}

/// Serves new sites: one small call each, within the time of a handshake.
fn run_join<I>(tasks: &Tasks, join: Arc<dyn Admit>, incoming: Incoming<I>)
where
    I: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let stop = tasks.token().clone();
    tasks.spawn("join server", async move {
        let served = tonic::transport::Server::builder()
            .timeout(HANDSHAKE_MAX)
            .concurrency_limit_per_connection(1)
            .max_connection_age(2 * HANDSHAKE_MAX)
            .add_service(super::join::service(join))
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "join server ended");
        }
    });
}

/// Routes calls to the loops of their peers.
#[derive(Debug)]
struct ConduitService {
    tls: Option<Arc<Tls>>,
    admissions: Admissions,
    tasks: Tasks,
}

type Out<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

#[tonic::async_trait]
impl Service for ConduitService {
    type ReplicateStream = Out<v1::ReplicateMessage>;
    type ContentStream = Out<v1::ContentMessage>;

    async fn replicate(
        &self,
        request: Request<Streaming<v1::ReplicateMessage>>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        let (site, admission) = self.identify(&request)?;
        let (outgoing, sent) = mpsc::channel(TRANSPORT_MESSAGES_MAX);
        let (heard, incoming) = mpsc::channel(TRANSPORT_MESSAGES_MAX);
        let transport = Transport {
            outgoing,
            incoming,
            certificate_site: self.tls.as_ref().map(|_| site.clone()),
            endpoint: None,
        };
        let taken = admission.replicate.try_send(transport);
        taken.map_err(|_| Status::unavailable("this site is busy or shuts down"))?;
        let name = format!("replicate from {site}");
        self.tasks
            .spawn(name, read(request.into_inner(), heard, wire::decode));
        let messages = ReceiverStream::new(sent).map(|message| Ok(wire::encode(&message)));
        Ok(Response::new(Box::pin(messages)))
    }

    async fn content(
        &self,
        request: Request<Streaming<v1::ContentMessage>>,
    ) -> Result<Response<Self::ContentStream>, Status> {
        let (site, admission) = self.identify(&request)?;
        let Some(content) = admission.content else {
            return Err(Status::unimplemented("content is not served here"));
        };
        let (outgoing, sent) = mpsc::channel(TRANSPORT_MESSAGES_MAX);
        let (heard, incoming) = mpsc::channel(TRANSPORT_MESSAGES_MAX);
        let taken = content.try_send(ContentTransport { outgoing, incoming });
        taken.map_err(|_| Status::unavailable("this site is busy or shuts down"))?;
        let name = format!("content from {site}");
        self.tasks
            .spawn(name, read(request.into_inner(), heard, content::decode));
        let messages = ReceiverStream::new(sent).map(|message| Ok(content::encode(message)));
        Ok(Response::new(Box::pin(messages)))
    }
}

impl ConduitService {
    /// Who calls, by its certificate, and whether it may.
    fn identify<M>(&self, request: &Request<M>) -> Result<(String, Admission), Status> {
        let (site, shown) = match &self.tls {
            Some(tls) => {
                let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
                let certificates = info.and_then(TlsConnectInfo::peer_certs);
                let leaf = certificates.as_ref().and_then(|all| all.first());
                let leaf = leaf.ok_or_else(|| Status::unauthenticated("no certificate"))?;
                (site_of(leaf, tls.cluster()), names_of(leaf).join(", "))
            }
            None => {
                let header = request.metadata().get(SITE_HEADER);
                let site = header
                    .and_then(|name| name.to_str().ok())
                    .map(str::to_owned);
                let shown = site.clone().unwrap_or_default();
                (site, shown)
            }
        };
        let found = site.and_then(|site| {
            self.admissions
                .find(&site)
                .map(|admission| (site, admission))
        });
        found.ok_or_else(|| {
            tracing::warn!(certificate = %shown, "unknown site refused");
            Status::permission_denied(format!(
                "{shown} is no site of this cluster here: the configuration has no [[peer]] of that name"
            ))
        })
    }
}

#[cfg(test)]
mod tests;
