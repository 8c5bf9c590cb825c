//! Who is told of a conflict: a web server that takes alerts, with and without TLS, and a command that follows.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::lab::{Site, cfs_repl};

/// Longest wait for something to be told, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A web server that takes alerts.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) url: String,
    /// File with the authority of its certificate.
    pub(super) authority: Option<String>,
    alerts: Receiver<Value>,
}

impl Hook {
    pub(super) fn plain() -> Self {
        Self::start("http", None, |stream| Box::new(stream))
    }

    /// One with a certificate of its own authority, which is put into `folder`.
    pub(super) fn secure(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let file = folder.join("hook.pem");
        fs::write(&file, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        Self::start("https", Some(file.display().to_string()), move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            Box::new(StreamOwned::new(connection, stream))
        })
    }

    fn start(
        scheme: &str,
        authority: Option<String>,
        open: impl Fn(std::net::TcpStream) -> Box<dyn Stream> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}/hook", listener.local_addr().unwrap());
        let (tell, alerts) = channel();
        // Ends with the process, or with who wants the alerts.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let alert = take(open(stream.unwrap()));
                if tell.send(alert).is_err() {
                    return;
                }
            }
        });
        Self {
            url,
            authority,
            alerts,
        }
    }

    /// The next alert of a conflict.
    pub(super) fn alert(&self) -> Value {
        loop {
            let alert = self.alerts.recv_timeout(PATIENCE).unwrap();
            // The sites were parted, which is told, too.
            if alert["event"]["name"] != "site.down" {
                return alert;
            }
        }
    }
}

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// Takes one request and answers it; the JSON that was posted.
fn take(stream: Box<dyn Stream>) -> Value {
    let mut reader = BufReader::new(stream);
    let (mut length, mut is_json, mut line) = (0, false, String::new());
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "POST /hook HTTP/1.1\r\n");
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().to_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("content-type", value)) => is_json = value == "application/json",
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let answer = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";
    reader.get_mut().write_all(answer).unwrap();
    reader.get_mut().flush().unwrap();
    assert!(is_json, "JSON says so");
    serde_json::from_slice(&body).unwrap()
}

/// A command that follows, line by line.
#[derive(Debug)]
pub(super) struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    pub(super) fn start(site: &Site, words: &[&str]) -> Self {
        let server = format!("unix:{}", site.state.join("admin.sock").display());
        let mut command = cfs_repl();
        command.args(words).args(["--server", &server]);
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let stdout: ChildStdout = child.stdout.take().unwrap();
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if tell.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line.
    pub(super) fn text(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// The next line as JSON.
    pub(super) fn line(&mut self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    /// Ctrl-C ends it, and that is no failure.
    pub(super) fn interrupt(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let (code, told) = self.end();
        assert_eq!(code, Some(130), "{told}");
    }

    /// Waits for its end: its exit code, and what it said.
    pub(super) fn end(&mut self) -> (Option<i32>, String) {
        let mut told = String::new();
        let talk = self.child.stderr.as_mut().unwrap();
        talk.read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), told)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
