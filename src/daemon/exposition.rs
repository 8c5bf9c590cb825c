//! Numbers for a monitoring system over HTTP: `/metrics`, and `/healthz` and `/readyz` for whoever restarts things.
//!
//! Reads only, and says nothing that names a file. It has no access control: the address is the control, and the
//! default is none.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::tasks::Tasks;
use crate::admin::{Source, metrics};
use crate::conduit::accept::each;

/// Connections at once; a handful of scrapers, and room for their impatience.
const CONNECTIONS_MAX: usize = 32;
/// Time for a request to come whole, and for a connection to take its answer.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// The text format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves `source` on `listener` until `tasks` ends.
pub(super) fn serve(tasks: &Tasks, listener: TcpListener, source: Arc<dyn Source>) {
    if let Ok(address) = listener.local_addr()
        && !address.ip().is_loopback()
    {
        tracing::warn!(%address, "metrics are open to everyone who reaches this address");
    }
    let stop = tasks.token().clone();
    each(
        tasks,
        listener,
        ("metrics", CONNECTIONS_MAX),
        move |stream, from| {
            let (source, stop) = (Arc::clone(&source), stop.clone());
            async move {
                stop.run_until_cancelled(answer_all(stream, from, source))
                    .await;
            }
        },
    );
}

async fn answer_all(stream: TcpStream, from: SocketAddr, source: Arc<dyn Source>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let source = Arc::clone(&source);
        async move {
            Ok::<_, Infallible>(answer(request.method(), request.uri().path(), &*source).await)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = serving.await {
        tracing::debug!(%from, %error, "reader of metrics went away");
    }
}

async fn answer(method: &Method, path: &str, source: &dyn Source) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD\n".to_owned(),
        );
    }
    match path {
        "/metrics" => match source.overview().await {
            Ok(look) => text(StatusCode::OK, metrics::text(&look.status)),
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("# {error}\n")),
        },
        // The process lives and answers.
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        // The journal is open.
        "/readyz" => match source.overview().await {
            Ok(_) => text(StatusCode::OK, "ready\n".to_owned()),
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "/metrics, /healthz, /readyz\n".to_owned(),
        ),
    }
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static(TEXT);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::AdminError;
    use crate::admin::service::tests::Fake;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_and_health_are_told_and_an_engine_that_fails_is_not_ready() {
        let tasks = Tasks::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake = Fake::default();
        for _ in 0..2 {
            let broken = AdminError::NotPossible {
                what: "the disk is full".to_owned(),
                hint: String::new(),
            };
            fake.looks.lock().unwrap().push_back(Err(broken));
        }
        serve(&tasks, listener, Arc::new(fake));
        for path in ["/metrics", "/readyz"] {
            let answer = ask(address, &format!("GET {path}")).await;
            assert!(
                answer.starts_with("HTTP/1.1 503 ") && answer.contains("disk is full"),
                "{answer}"
            );
        }
        let metrics = ask(address, "GET /metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200 "), "{metrics}");
        assert!(
            metrics.contains("version=0.0.4") && metrics.contains("\ncfs_repl_verdict{"),
            "{metrics}"
        );
        assert!(ask(address, "GET /readyz").await.ends_with("ready\n"));
        assert!(ask(address, "GET /healthz").await.ends_with("ok\n"));
        assert!(
            ask(address, "GET /other")
                .await
                .starts_with("HTTP/1.1 404 ")
        );
        assert!(
            ask(address, "POST /metrics")
                .await
                .starts_with("HTTP/1.1 405 ")
        );
        assert!(tasks.shutdown(Duration::from_secs(10)).await.is_empty());
    }
}
