//! Accepts connections over TCP and finishes their handshakes, bounded in number and time, so that strangers cost little.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::client::prepare;
use super::slots::Slots;
use super::tls;
use crate::daemon::tasks::Tasks;

/// Time for a TLS handshake: a few round trips of a bad link.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Handshakes at once. More than sites that come back together, few enough to starve nobody.
pub(super) const HANDSHAKES_MAX: usize = 64;
/// Pause after a failing accept: out of file descriptors is the usual reason, and takes time to mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Has every connection attended to, at most `most` of them at once and a quarter of that from one address, until
/// `tasks` ends. The log knows it as `name`.
pub(crate) fn each<F>(
    tasks: &Tasks,
    listener: TcpListener,
    (name, most): (&'static str, usize),
    attend: impl Fn(TcpStream, SocketAddr) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Slots::new(most);
    let own = tasks.clone();
    tasks.spawn(name, async move {
        loop {
            let accepted = tokio::select! {
                () = own.token().cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(name, %error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(slot) = slots.take(from.ip(), most / 4) else {
                tracing::warn!(name, %from, "too many connections at once, this one is dropped");
                continue;
            };
            let attending = attend(stream, from);
            own.spawn(format!("{name} with {from}"), async move {
                attending.await;
                drop(slot);
            });
        }
    });
}

/// Accepts sockets and hands on those whose handshake succeeds, to where `sort` says; what it returns for none is
/// dropped.
pub(crate) fn accept<S, I, F, H, T>(tasks: &Tasks, listener: TcpListener, handshake: H, sort: T)
where
    S: Send + 'static,
    I: Send + 'static,
    F: Future<Output = std::io::Result<S>> + Send + 'static,
    H: Fn(TcpStream) -> F + Send + 'static,
    T: Fn(S, SocketAddr) -> Option<Sorted<I>> + Clone + Send + Sync + 'static,
{
    each(
        tasks,
        listener,
        ("handshake", HANDSHAKES_MAX),
        move |stream, from| {
            let prepared = prepare(&stream);
            let (handshake, sort) = (handshake(stream), sort.clone());
            async move {
                if let Err(error) = prepared {
                    tracing::debug!(%from, %error, "socket gone before its handshake");
                    return;
                }
                let Some(stream) = finish(handshake, from).await else {
                    return;
                };
                let Some((ready, stream)) = sort(stream, from) else {
                    tracing::warn!(%from, "too many connections, this one is dropped");
                    return;
                };
                if ready.send(Ok(stream)).await.is_err() {
                    tracing::debug!(%from, "server stopped during a handshake");
                }
            }
        },
    );
}

/// Where a connection goes, and the connection.
pub(crate) type Sorted<I> = (mpsc::Sender<std::io::Result<I>>, I);

async fn finish<I>(
    handshake: impl Future<Output = std::io::Result<I>>,
    from: SocketAddr,
) -> Option<I> {
    match tokio::time::timeout(HANDSHAKE_MAX, handshake).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            let reason = tls::explain(&error);
            tracing::warn!(%from, reason, "handshake refused");
            None
        }
        Err(_) => {
            tracing::warn!(%from, "handshake took too long");
            None
        }
    }
}
