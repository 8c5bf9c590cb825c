//! Alerts: events that somebody wants to be told of, given to a program and posted to a web server.
//!
//! Nothing waits for an alert, and an alert that cannot be delivered stops nothing: it is tried some times, then that is
//! an event of its own. More than so many in a minute are held back and told as a number.

use std::collections::VecDeque;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::events::Events;
use super::tasks::Tasks;
use crate::admin::transitions::event;
use crate::admin::view::{EventFilter, EventView, Level};
use crate::config::{AlertsConfig, SiteConfig};

/// Attempts to deliver an alert, and the pause before the second one; it doubles.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// Over what time alerts are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// The event of an alert that was not delivered. No alert is sent for it.
const FAILED: &str = "alert.failed";

/// What is told, as JSON.
#[derive(Debug, Clone, Serialize)]
struct Alert<'a> {
    schema: &'static str,
    site: &'a str,
    cluster: &'a str,
    event: &'a EventView,
    /// Alerts since the one before that were held back.
    held_back: u64,
}

/// Starts the task that sends alerts, when somebody wants any.
pub(super) fn start(tasks: &Tasks, events: &Events, settings: AlertsConfig, site: &SiteConfig) {
    if settings.exec.is_empty() && settings.webhook.is_none() {
        return;
    }
    let filter = EventFilter {
        names: settings.events.clone(),
        ..EventFilter::default()
    };
    // The past was told when it happened.
    let (_, told) = events.since(&filter);
    let alerts = Alerts {
        sender: Arc::new(Sender {
            settings,
            events: events.clone(),
        }),
        site: site.name.clone(),
        cluster: site.cluster.clone(),
        filter,
        sent: VecDeque::new(),
        held_back: 0,
    };
    tasks.spawn("alerts", alerts.run(tasks.clone(), told));
}

/// Chooses what is sent.
struct Alerts {
    sender: Arc<Sender>,
    site: String,
    cluster: String,
    filter: EventFilter,
    /// When alerts of the last minute were sent.
    sent: VecDeque<Instant>,
    held_back: u64,
}

impl Alerts {
    async fn run(mut self, tasks: Tasks, mut told: broadcast::Receiver<Arc<EventView>>) {
        loop {
            // Cancel-safe: an event that was not taken is still there.
            let event = tokio::select! {
                () = tasks.token().cancelled() => return,
                event = told.recv() => event,
            };
            match event {
                Ok(event) => self.take(&tasks, &event),
                Err(broadcast::error::RecvError::Lagged(missed)) => self.held_back += missed,
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn take(&mut self, tasks: &Tasks, event: &EventView) {
        if event.name == FAILED || !self.filter.lets_through(event) {
            return;
        }
        if !self.has_room(Instant::now()) {
            self.held_back += 1;
            return;
        }
        let alert = Alert {
            schema: "cfs-repl/alert/v1",
            site: &self.site,
            cluster: &self.cluster,
            event,
            held_back: std::mem::take(&mut self.held_back),
        };
        let body = match serde_json::to_vec(&alert) {
            Ok(body) => Bytes::from(body),
            Err(error) => {
                tracing::warn!(%error, "alert cannot be written as JSON");
                return;
            }
        };
        let (sender, stop, name) = (
            Arc::clone(&self.sender),
            tasks.token().clone(),
            event.name.clone(),
        );
        tasks.spawn("alert", async move {
            stop.run_until_cancelled(sender.send(&name, body)).await;
        });
    }

    /// Whether another one may be sent now; then it counts.
    fn has_room(&mut self, now: Instant) -> bool {
        while self
            .sent
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= MINUTE)
        {
            self.sent.pop_front();
        }
        let room = (self.sent.len() as u64) < self.sender.settings.per_minute;
        if room {
            self.sent.push_back(now);
        }
        room
    }
}

/// Delivers.
struct Sender {
    settings: AlertsConfig,
    events: Events,
}

impl Sender {
    async fn send(&self, name: &str, body: Bytes) {
        let by_hook = async {
            if let Some(url) = &self.settings.webhook {
                let start = || post(url, body.clone());
                self.insist(name, "webhook", start).await;
            }
        };
        let by_program = async {
            if !self.settings.exec.is_empty() {
                let start = || exec(&self.settings.exec, name, body.clone());
                self.insist(name, "exec", start).await;
            }
        };
        tokio::join!(by_hook, by_program);
    }

    /// Tries until it works, or some times.
    async fn insist<F>(&self, name: &str, how: &str, attempt: impl Fn() -> F)
    where
        F: Future<Output = io::Result<()>>,
    {
        let mut pause = PAUSE;
        let mut last = String::new();
        for nth in 1..=ATTEMPTS {
            match tokio::time::timeout(self.settings.timeout, attempt()).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = format!("no end within {} s", self.settings.timeout.as_secs()),
            }
            if nth < ATTEMPTS {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        tracing::warn!(alert = name, how, error = last, "alert was not delivered");
        let text = format!("alert of {name} was not delivered by alerts.{how}: {last}");
        let mut told = event(Level::Warn, FAILED, None, text);
        told.fields.insert("alert".to_owned(), name.to_owned());
        told.fields.insert("how".to_owned(), how.to_owned());
        self.events.tell(told);
    }
}

/// Starts a program with the alert as its input; it has to end well.
async fn exec(words: &[String], name: &str, body: Bytes) -> io::Result<()> {
    let Some((program, arguments)) = words.split_first() else {
        return Ok(());
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env("CFS_REPL_ALERT", name)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Who takes too long is ended.
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take()
        && let Err(error) = input.write_all(&body).await
        // A program that wants no input is fine.
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(error);
    }
    let ended = child.wait().await?;
    if ended.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{program}: {ended}")))
}

/// Posts the alert; the answer has to be one of success.
async fn post(url: &str, body: Bytes) -> io::Result<()> {
    let uri: Uri = url.parse().map_err(io::Error::other)?;
    let host = uri.host().unwrap_or_default().to_owned();
    let bare = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let socket = TcpStream::connect((bare.as_str(), port)).await?;
    if !is_tls {
        return speak(socket, &uri, body).await;
    }
    let name = ServerName::try_from(bare).map_err(io::Error::other)?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(public_tls()?));
    speak(connector.connect(name, socket).await?, &uri, body).await
}

/// TLS as for any public server: the authorities of this machine.
fn public_tls() -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = "this machine has no certificates of authorities (ca-certificates)";
        return Err(io::Error::other(why));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn speak<S>(stream: S, uri: &Uri, body: Bytes) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    // What stands before an @ is no part of the name of the server.
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::post(path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .header(
            header::USER_AGENT,
            concat!("cfs-repl/", env!("CARGO_PKG_VERSION")),
        )
        .body(Full::new(body))
        .map_err(io::Error::other)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let asking = sender.send_request(request);
    // The connection does the work while the answer is awaited.
    let answer = tokio::select! {
        answer = asking => answer.map_err(io::Error::other)?,
        ended = connection => {
            ended.map_err(io::Error::other)?;
            return Err(io::Error::other("the server ended without an answer"));
        }
    };
    if answer.status().is_success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the server answered {}",
        answer.status()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::config::Role;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    struct Place {
        folder: tempfile::TempDir,
        tasks: Tasks,
        events: Events,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let tasks = Tasks::new();
        let events = Events::open(&tasks, folder.path(), ManualClock::at(7)).unwrap();
        Place {
            folder,
            tasks,
            events,
        }
    }

    fn settings() -> AlertsConfig {
        AlertsConfig {
            exec: Vec::new(),
            webhook: None,
            events: vec!["site.down".to_owned(), FAILED.to_owned()],
            timeout: Duration::from_secs(10),
            per_minute: 2,
        }
    }

    fn site() -> SiteConfig {
        SiteConfig {
            id: 1,
            name: "alpha".to_owned(),
            cluster: "lab".to_owned(),
            role: Role::Bidirectional,
            primary_site_id: None,
        }
    }

    fn down() -> EventView {
        event(
            Level::Error,
            "site.down",
            Some("beta"),
            "beta is away \"x\"\n".to_owned(),
        )
    }

    /// Takes one request and gives this answer; returns what was posted.
    async fn serve(listener: &TcpListener, answer: &str) -> (String, serde_json::Value) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        loop {
            let mut some = [0; 4_096];
            let read = stream.read(&mut some).await.unwrap();
            assert_ne!(read, 0, "the client went before its body was whole");
            bytes.extend_from_slice(some.get(..read).unwrap());
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            if let Ok(value) = serde_json::from_str(body) {
                let head = head.to_owned();
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                return (head, value);
            }
        }
    }

    #[tokio::test]
    async fn a_web_server_is_told_and_told_again_when_it_fails() {
        let place = place();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?k=v", listener.local_addr().unwrap());
        let wanted = AlertsConfig {
            webhook: Some(url),
            ..settings()
        };
        start(&place.tasks, &place.events, wanted, &site());
        place
            .events
            .tell(event(Level::Info, "site.up", None, String::new()));
        place.events.tell(down());
        let (head, first) = serve(&listener, "500 no").await;
        assert!(head.starts_with("POST /hook?k=v HTTP/1.1\r\n"), "{head}");
        let (_, second) = serve(&listener, "204 yes").await;
        assert_eq!(first, second);
        assert_eq!(first["schema"], "cfs-repl/alert/v1");
        assert_eq!(
            (&first["site"], &first["cluster"]),
            (&"alpha".into(), &"lab".into())
        );
        assert_eq!(first["event"]["name"], "site.down");
        assert_eq!(first["event"]["text"], "beta is away \"x\"\n");
    }

    #[tokio::test]
    async fn a_program_gets_the_alert_as_its_input() {
        let place = place();
        let file = place.folder.path().join("got");
        let script = format!(
            "cat > {0}.new; echo \" $CFS_REPL_ALERT\" >> {0}.new; mv {0}.new {0}",
            file.display()
        );
        let wanted = AlertsConfig {
            exec: ["sh", "-c", &script].map(str::to_owned).to_vec(),
            ..settings()
        };
        start(&place.tasks, &place.events, wanted, &site());
        place.events.tell(down());
        let text = loop {
            match std::fs::read_to_string(&file) {
                Ok(text) => break text,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert!(text.ends_with(" site.down\n"), "{text}");
        let (json, _) = text.rsplit_once(' ').unwrap();
        let alert: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(alert["event"]["site"], "beta");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_not_delivered_is_an_event_and_no_alert() {
        let place = place();
        let wanted = AlertsConfig {
            exec: vec!["/nonexistent/program".to_owned()],
            ..settings()
        };
        let (_, mut told) = place.events.since(&EventFilter::default());
        start(&place.tasks, &place.events, wanted, &site());
        place.events.tell(down());
        assert_eq!(told.recv().await.unwrap().name, "site.down");
        let failed = told.recv().await.unwrap();
        assert_eq!(failed.name, FAILED);
        assert_eq!(failed.fields["how"], "exec");
        // Had it become an alert of its own, that would have failed as well by then.
        let more = tokio::time::timeout(Duration::from_secs(600), told.recv()).await;
        assert!(more.is_err(), "{more:?}");
    }

    #[tokio::test]
    async fn more_than_so_many_in_a_minute_are_held_back_and_counted() {
        let place = place();
        let mut alerts = Alerts {
            sender: Arc::new(Sender {
                settings: settings(),
                events: place.events.clone(),
            }),
            site: String::new(),
            cluster: String::new(),
            filter: EventFilter::default(),
            sent: VecDeque::new(),
            held_back: 0,
        };
        let now = Instant::now();
        let room: Vec<bool> = (0..4).map(|_| alerts.has_room(now)).collect();
        assert_eq!(room, [true, true, false, false]);
        assert!(!alerts.has_room(now + MINUTE - Duration::from_millis(1)));
        assert!(alerts.has_room(now + MINUTE));
    }
}
