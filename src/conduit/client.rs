//! Dials a site over gRPC: TCP, TLS and the streams; what is said on them is the session's affair.
//!
//! Trap: with TLS 1.3 the connection stands before the peer has looked at our certificate, and its refusal arrives
//! as a failure of the first call. The reason is then at the bottom of the error's sources, and [`tls::explain`]
//! digs it out.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::either::Either;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::content::ContentTransport;
use super::peer::{DRAIN_MAX, Dialer, Dialling, TRANSPORT_MESSAGES_MAX, Transport, TransportError};
use super::tls::{self, Tls, dns_name};
use super::wire::{self, MESSAGE_BYTES_MAX};
use crate::daemon::tasks::Tasks;
use crate::error::Result as ReplResult;
use crate::proto::v1::conduit_client::ConduitClient;

/// HTTP/2 window of one stream. 16 MiB carry 100 MB/s over 160 ms; the 64 KiB of the standard carry 0.3 MB/s.
pub const STREAM_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// HTTP/2 window of a connection: both streams at once.
pub const CONNECTION_WINDOW_BYTES: u32 = 2 * STREAM_WINDOW_BYTES;
/// Time for TCP, TLS and the first answer: three lost SYNs and some.
pub const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Says which site calls where there is no certificate to say it.
pub(super) const SITE_HEADER: &str = "cfs-repl-site";

/// Dials one site.
#[derive(Clone)]
pub struct GrpcDialer {
    /// Name of this site.
    pub local_name: String,
    /// Name of the site to dial.
    pub remote_name: String,
    /// TLS of this site. None: plaintext, for tests only.
    pub tls: Option<Arc<Tls>>,
    /// Runs what moves messages.
    pub tasks: Tasks,
    /// Takes the content stream of each connection. None: none is opened.
    pub content: Option<mpsc::Sender<ContentTransport>>,
}

impl fmt::Debug for GrpcDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcDialer")
            .field("local_name", &self.local_name)
            .field("remote_name", &self.remote_name)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl Dialer for GrpcDialer {
    fn dial(&self, endpoint: String) -> Dialling {
        let dialer = self.clone();
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_MAX, dialer.connect(&endpoint)).await {
                Ok(result) => result.map_err(|reason| format!("{endpoint}: {reason}")),
                Err(_) => Err(format!(
                    "{endpoint}: no answer for {} s",
                    CONNECT_MAX.as_secs()
                )),
            }
        })
    }
}

impl GrpcDialer {
    async fn connect(&self, endpoint: &str) -> Result<Transport, String> {
        let channel = self.channel(endpoint).await?;
        let mut client = ConduitClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (outgoing, sent) = mpsc::channel(TRANSPORT_MESSAGES_MAX);
        let messages = ReceiverStream::new(sent).map(|message| wire::encode(&message));
        let stream = client.replicate(self.request(messages)?).await;
        let stream = stream.map_err(|status| explain(&status))?.into_inner();
        let (heard, incoming) = mpsc::channel(TRANSPORT_MESSAGES_MAX);
        let name = format!("replicate from {}", self.remote_name);
        self.tasks.spawn(name, read(stream, heard, wire::decode));
        if let Some(content) = &self.content {
            let (outgoing, sent) = mpsc::channel(TRANSPORT_MESSAGES_MAX);
            let messages = ReceiverStream::new(sent).map(super::content::encode);
            let stream = client.content(self.request(messages)?).await;
            let stream = stream.map_err(|status| explain(&status))?.into_inner();
            let (heard, incoming) = mpsc::channel(TRANSPORT_MESSAGES_MAX);
            let name = format!("content from {}", self.remote_name);
            self.tasks
                .spawn(name, read(stream, heard, super::content::decode));
            if content
                .try_send(ContentTransport { outgoing, incoming })
                .is_err()
            {
                tracing::warn!(site = self.remote_name, "content stream is not taken");
            }
        }
        Ok(Transport {
            outgoing,
            incoming,
            certificate_site: self.tls.as_ref().map(|_| self.remote_name.clone()),
            endpoint: Some(endpoint.to_owned()),
        })
    }

    fn request<S>(&self, messages: S) -> Result<Request<S>, String> {
        let mut request = Request::new(messages);
        let site = AsciiMetadataValue::try_from(&self.local_name);
        let site = site.map_err(|_| format!("site name {:?} is not one", self.local_name))?;
        request.metadata_mut().insert(SITE_HEADER, site);
        Ok(request)
    }

    async fn channel(&self, endpoint: &str) -> Result<Channel, String> {
        // The scheme is http because the connector below does the TLS.
        let uri = Endpoint::from_shared(format!("http://{endpoint}"));
        let tls = self
            .tls
            .as_ref()
            .map(|tls| (tls.client(), dns_name(&self.remote_name, tls.cluster())));
        let address = endpoint.to_owned();
        let connector = tower::service_fn(move |_: http::Uri| {
            let (tls, address) = (tls.clone(), address.clone());
            async move {
                let stream = TcpStream::connect(address).await?;
                prepare(&stream)?;
                let Some((config, name)) = tls else {
                    return Ok::<_, io::Error>(TokioIo::new(Either::Left(stream)));
                };
                let name =
                    rustls_pki_types::ServerName::try_from(name).map_err(io::Error::other)?;
                let stream = tokio_rustls::TlsConnector::from(config)
                    .connect(name, stream)
                    .await?;
                Ok(TokioIo::new(Either::Right(stream)))
            }
        });
        uri.map_err(|error| format!("not an endpoint: {error}"))?
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .connect_with_connector(connector)
            .await
            .map_err(|error| tls::explain(&error))
    }
}

/// Small messages must not wait for more, and a dead route must be noticed even when nothing is sent. tonic sets
/// neither on sockets that it did not open.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

/// Why a call failed, for an operator.
pub(super) fn explain(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => tls::explain(source),
        None if status.code() == Code::PermissionDenied => {
            format!("the peer does not admit this site: {}", status.message())
        }
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// Moves messages from a stream to the peer's loop until either ends. When the loop is gone it reads on for a
/// moment, so that what the loop said last is not reset on its way.
pub(super) async fn read<M, T>(
    mut stream: Streaming<M>,
    heard: mpsc::Sender<Result<T, TransportError>>,
    decode: fn(M) -> ReplResult<T>,
) {
    loop {
        let message = tokio::select! {
            () = heard.closed() => break,
            message = stream.message() => message,
        };
        let item = match message {
            Ok(None) => return,
            Ok(Some(message)) => {
                decode(message).map_err(|error| TransportError::Garbage(error.to_string()))
            }
            Err(status) => Err(TransportError::Lost(explain(&status))),
        };
        let lost = matches!(item, Err(TransportError::Lost(_)));
        if heard.send(item).await.is_err() || lost {
            break;
        }
    }
    let rest = async { while let Ok(Some(_)) = stream.message().await {} };
    if tokio::time::timeout(DRAIN_MAX, rest).await.is_err() {
        tracing::debug!("the peer keeps a closed stream open");
    }
}
