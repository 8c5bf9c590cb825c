//! Connects to a daemon: over its socket, or over TLS with a certificate of each side.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::{Channel, Endpoint};

use super::{Address, ClientError, Network, Result, io_cause};
use crate::conduit::tls;

/// A connection that is ready for requests, or why there is none within `patience`.
pub(super) async fn dial(address: &Address, patience: Duration) -> Result<Channel> {
    let connecting = async {
        match address {
            Address::Socket(path) => socket(path.clone()).await,
            Address::Network(network) => over_tls(network).await,
        }
    };
    match tokio::time::timeout(patience, connecting).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(source)) => Err(ClientError::Unreachable {
            address: address.clone(),
            source,
        }),
        Err(_) => Err(ClientError::TimedOut {
            address: address.clone(),
            after: patience,
        }),
    }
}

/// The connector knows where; the name only fills the header that HTTP/2 wants.
fn endpoint() -> Endpoint {
    Endpoint::from_static("http://admin")
}

async fn socket(path: PathBuf) -> io::Result<Channel> {
    let connector = tower::service_fn(move |_: http::Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let connected = endpoint().connect_with_connector(connector).await;
    connected.map_err(|error| io_cause(&error).unwrap_or_else(|| io::Error::other(error)))
}

async fn over_tls(network: &Network) -> io::Result<Channel> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    let files = network.identity.clone();
    let files = files.ok_or_else(|| invalid("no certificate to show was named".to_owned()))?;
    let material = files.read().map_err(|error| invalid(error.to_string()))?;
    let config = tls::client(&material, &files).map_err(|error| invalid(error.to_string()))?;
    let name = ServerName::try_from(network.name.clone());
    let name = name.map_err(|error| invalid(error.to_string()))?;
    let to = network.endpoint.clone();
    let connector = tower::service_fn(move |_: http::Uri| {
        let (to, config, name) = (to.clone(), config.clone(), name.clone());
        async move {
            let stream = TcpStream::connect((to.host.as_str(), to.port)).await?;
            stream.set_nodelay(true)?;
            let connector = tokio_rustls::TlsConnector::from(config);
            let stream = connector.connect(name, stream).await;
            let refused = |error: io::Error| io::Error::new(error.kind(), tls::explain(&error));
            Ok::<_, io::Error>(TokioIo::new(stream.map_err(refused)?))
        }
    });
    let connected = endpoint().connect_with_connector(connector).await;
    connected.map_err(|error| io_cause(&error).unwrap_or_else(|| io::Error::other(error)))
}
