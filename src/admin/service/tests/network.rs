//! Asking over the network: certificates on both sides, and a list of those that may.

use super::*;
use crate::admin::client::Network;
use crate::clock::{Clock as _, SystemClock};
use crate::conduit::pki::{init_ca, issue};
use crate::conduit::tls::TlsFiles;

/// A daemon that only `ops.lab.cfs-repl` may ask over the network.
struct Reached {
    tasks: Tasks,
    folder: tempfile::TempDir,
    port: u16,
}

impl Reached {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now_us = SystemClock.now_us();
        let ca = folder.path().join("tls");
        init_ca(&ca, "lab", now_us).unwrap();
        let files = issue(&ca, "fra-1", "lab", 1, now_us).unwrap();
        let tls = Tls::new(&files.read().unwrap(), &files, "fra-1", "lab", now_us).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut doors = doors(folder.path().join("admin.sock"));
        doors.access.certificates = vec!["ops.lab.cfs-repl".to_owned()];
        doors.network = Some((listener, tls));
        let tasks = Tasks::new();
        serve(&tasks, doors, Arc::new(Fake::default())).unwrap();
        Self {
            tasks,
            folder,
            port,
        }
    }

    fn issue(&self, name: &str) -> TlsFiles {
        let ca = self.folder.path().join("tls");
        issue(&ca, name, "lab", 1, SystemClock.now_us()).unwrap()
    }

    async fn connect(&self, name: &str, identity: Option<TlsFiles>) -> Result<Client, ClientError> {
        let address = format!("tls:127.0.0.1:{}/{name}", self.port);
        let Address::Network(network) = address.parse().unwrap() else {
            panic!("{address}");
        };
        let network = Network {
            identity,
            ..*network
        };
        Client::connect(Address::Network(Box::new(network)), PATIENCE).await
    }
}

/// Why nobody was reached.
fn unreached(result: Result<Client, ClientError>) -> String {
    match result {
        Err(ClientError::Unreachable { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    }
}

const NAME: &str = "fra-1.lab.cfs-repl";

#[tokio::test]
async fn who_shows_a_listed_certificate_may_ask_and_act_and_is_told_by_its_name() {
    let daemon = Reached::start().await;
    let ops = daemon.connect(NAME, Some(daemon.issue("ops"))).await;
    let ops = ops.unwrap();
    assert_eq!(ops.status().await.unwrap().site, "fra-1");
    // The sample takes a pause only of somebody who is known.
    assert!(ops.pause("iad-2", "why").await.unwrap());
    assert!(daemon.tasks.shutdown(PATIENCE).await.is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_not_listed_is_refused_with_its_name_and_what_to_do() {
    let daemon = Reached::start().await;
    let other = daemon.connect(NAME, Some(daemon.issue("iad-2"))).await;
    let refused = other.unwrap().status().await.unwrap_err();
    let ClientError::Refused {
        code,
        message,
        hint,
        ..
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(code, Code::PermissionDenied);
    assert!(message.contains("iad-2.lab.cfs-repl"), "{message}");
    assert!(hint.unwrap_or_default().contains("admin.allow"));
}

#[tokio::test]
async fn a_daemon_of_another_name_or_authority_is_not_believed() {
    let daemon = Reached::start().await;
    let ops = daemon.issue("ops");
    let wrong = daemon.connect("iad-2.lab.cfs-repl", Some(ops)).await;
    let why = unreached(wrong);
    assert!(why.contains("we dialled iad-2.lab.cfs-repl"), "{why}");
    let elsewhere = Reached::start().await;
    let stranger = daemon.connect(NAME, Some(elsewhere.issue("ops"))).await;
    let why = unreached(stranger);
    assert!(why.contains("authority"), "{why}");
}

#[tokio::test]
async fn without_a_certificate_nothing_is_sent() {
    let daemon = Reached::start().await;
    let why = unreached(daemon.connect(NAME, None).await);
    assert!(why.contains("no certificate"), "{why}");
    let mut missing = daemon.issue("ops");
    missing.key = daemon.folder.path().join("missing.key");
    let why = unreached(daemon.connect(NAME, Some(missing)).await);
    assert!(why.contains("missing.key"), "{why}");
}
