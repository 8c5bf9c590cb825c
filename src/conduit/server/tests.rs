//! Real gRPC over loopback with certificates of a lab authority: what connects, what is refused, and the words that
//! the operator of the refused site reads.

use std::time::Duration;

use super::super::config::{ConduitConfig, ConduitTlsConfig};
use super::super::facade::Conduit;
use super::super::link::{ConduitState, LinkStatus};
use super::super::pki::{init_ca, issue};
use super::super::tls::TlsFiles;
use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::journal::dot::shard_of;
use crate::journal::{EntryBatch, JournalEntry, OpKind};

const PATIENCE: Duration = Duration::from_secs(20);
const DAY_US: u64 = 86_400_000_000;

struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        init_ca(dir.path(), "lab", SystemClock.now_us()).unwrap();
        Self(dir)
    }

    fn issue(&self, site: &str) -> ConduitTlsConfig {
        let files = issue(self.0.path(), site, "lab", 90, SystemClock.now_us()).unwrap();
        files.read().unwrap()
    }
}

fn config(local: u64, remote: u64, tls: Option<ConduitTlsConfig>) -> ConduitConfig {
    ConduitConfig {
        cluster: "lab".to_owned(),
        reconnect_delay_ms: 20,
        max_reconnect_delay_ms: 200,
        tls,
        ..ConduitConfig::new(local, remote)
    }
}

fn batch(site_id: u64, seq: u64) -> EntryBatch {
    let entry = JournalEntry::new(seq, shard_of(9), site_id, seq, 9, OpKind::Write, vec![1]);
    EntryBatch::new(site_id, vec![entry], 0)
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

async fn recv(conduit: &Conduit) -> EntryBatch {
    let batch = tokio::time::timeout(PATIENCE, conduit.recv_batch()).await;
    batch.expect("in time").expect("not shut down")
}

/// What the operator of `conduit` reads once `attempts` were made.
async fn refusal(conduit: &Conduit, attempts: u32) -> String {
    let tried = |status: &LinkStatus| match status.state {
        ConduitState::Reconnecting { attempt, .. } => {
            attempt >= attempts && status.last_error.is_some()
        }
        ConduitState::Connected | ConduitState::Shutdown => true,
    };
    let status = tokio::time::timeout(PATIENCE, conduit.link().wait_for(tried))
        .await
        .unwrap();
    assert_ne!(status.state, ConduitState::Connected, "{status:?}");
    status.last_error.unwrap()
}

/// A site 2 that listens, and a site 1 that dials it, with these certificates.
async fn dial(ours: ConduitTlsConfig, theirs: ConduitTlsConfig) -> (Conduit, Conduit) {
    let (listener, address) = listener().await;
    let accepts = Conduit::listen(listener, &config(2, 1, Some(theirs))).unwrap();
    let mut dials = config(1, 2, Some(ours));
    dials.remote_addrs = vec![address];
    (Conduit::connect(&dials).unwrap(), accepts)
}

#[tokio::test]
async fn a_good_pair_carries_batches_both_ways_and_shuts_down() {
    let lab = Lab::new();
    let (dials, accepts) = dial(lab.issue("site-1"), lab.issue("site-2")).await;
    for seq in 1..=20 {
        dials.send_batch(batch(1, seq)).await.unwrap();
        accepts.send_batch(batch(2, seq)).await.unwrap();
    }
    for seq in 1..=20 {
        assert_eq!(recv(&accepts).await.entries, batch(1, seq).entries);
        assert_eq!(recv(&dials).await.first, seq);
    }
    assert_eq!(dials.state().await, ConduitState::Connected);
    dials.send_batch(batch(1, 21)).await.unwrap();
    dials.shutdown().await;
    assert_eq!(recv(&accepts).await.first, 21, "shutdown drains");
    accepts.shutdown().await;
}

#[tokio::test]
async fn a_foreign_authority_is_refused_and_resets_no_backoff() {
    let (lab, foreign) = (Lab::new(), Lab::new());
    // It believes our authority, so that its own side of the handshake succeeds.
    let mut ours = foreign.issue("site-1");
    let theirs = lab.issue("site-2");
    ours.ca_pem.extend_from_slice(&theirs.ca_pem);
    let (dials, accepts) = dial(ours, theirs).await;
    let reason = refusal(&dials, 3).await;
    assert!(
        reason.contains("the peer refused our certificate"),
        "{reason}"
    );
    assert!(reason.contains("`tls.ca`"), "{reason}");
    assert_eq!(accepts.stats().reconnects, 0);
}

#[tokio::test]
async fn a_peer_of_a_foreign_authority_is_refused_by_us() {
    let (lab, foreign) = (Lab::new(), Lab::new());
    let (dials, _accepts) = dial(lab.issue("site-1"), foreign.issue("site-2")).await;
    let reason = refusal(&dials, 1).await;
    assert!(
        reason.contains("we refused the peer's certificate"),
        "{reason}"
    );
    assert!(reason.contains("not in our `tls.ca`"), "{reason}");
}

#[tokio::test]
async fn a_wrong_site_at_the_endpoint_is_refused_by_name() {
    let lab = Lab::new();
    let (listener, address) = listener().await;
    let mut other = config(3, 1, Some(lab.issue("site-3")));
    other.local_name = "site-3".to_owned();
    let _accepts = Conduit::listen(listener, &other).unwrap();
    let mut dials = config(1, 2, Some(lab.issue("site-1")));
    dials.remote_addrs = vec![address];
    let dials = Conduit::connect(&dials).unwrap();
    let reason = refusal(&dials, 1).await;
    assert!(
        reason.contains("site-2.lab.cfs-repl") && reason.contains("site-3"),
        "{reason}"
    );
}

#[tokio::test]
async fn an_unknown_site_is_refused_by_the_name_it_shows() {
    let lab = Lab::new();
    let (listener, address) = listener().await;
    let _accepts = Conduit::listen(listener, &config(2, 1, Some(lab.issue("site-2")))).unwrap();
    let mut stranger = config(7, 2, Some(lab.issue("site-7")));
    stranger.remote_addrs = vec![address];
    let stranger = Conduit::connect(&stranger).unwrap();
    let reason = refusal(&stranger, 1).await;
    assert!(
        reason.contains("does not admit this site: site-7.lab.cfs-repl"),
        "{reason}"
    );
    assert!(reason.contains("configuration"), "{reason}");
}

#[tokio::test]
async fn a_certificate_that_expires_under_a_running_site_is_refused_by_the_peer() {
    let dir = tempfile::tempdir().unwrap();
    let past = SystemClock.now_us() - 30 * DAY_US;
    init_ca(dir.path(), "lab", past).unwrap();
    let old = issue(dir.path(), "site-1", "lab", 5, past)
        .unwrap()
        .read()
        .unwrap();
    let new = issue(dir.path(), "site-2", "lab", 90, past)
        .unwrap()
        .read()
        .unwrap();
    let (listener, address) = listener().await;
    let mut accepting = config(2, 1, Some(new));
    accepting.remote_addrs = Vec::new();
    let _accepts = Conduit::listen(listener, &accepting).unwrap();
    // Loaded while it was good: a certificate that is bad from the start does not load at all.
    let files = TlsFiles::in_memory();
    let tls = Tls::new(&old, &files, "site-1", "lab", past).unwrap();
    let dialer = super::super::client::GrpcDialer {
        local_name: "site-1".to_owned(),
        remote_name: "site-2".to_owned(),
        tls: Some(tls),
        tasks: Tasks::new(),
        content: None,
    };
    let reason = super::super::peer::Dialer::dial(&dialer, address)
        .await
        .unwrap_err();
    assert!(
        reason.contains("refused our certificate: it expired"),
        "{reason}"
    );
    let loaded = Conduit::connect(&config(1, 2, Some(old)))
        .unwrap_err()
        .to_string();
    assert!(loaded.contains("expired on"), "{loaded}");
}

#[tokio::test]
async fn a_wrong_cluster_or_version_is_told_to_both_operators() {
    let _expected = crate::daemon::tasks::errors::expects("refused site=");
    let (listener, address) = listener().await;
    let mut accepting = config(2, 1, None);
    accepting.cluster = "prod".to_owned();
    let accepts = Conduit::listen(listener, &accepting).unwrap();
    let mut dials = config(1, 2, None);
    dials.remote_addrs = vec![address];
    let dials = Conduit::connect(&dials).unwrap();
    for conduit in [&dials, &accepts] {
        let reason = refusal(conduit, 0).await;
        assert!(reason.contains("cluster"), "{reason}");
    }
}

#[tokio::test]
async fn endpoints_are_tried_in_turn_and_a_lost_site_comes_back() {
    let (dead, nobody) = listener().await;
    drop(dead);
    let (first, address) = listener().await;
    let accepts = Conduit::listen(first, &config(2, 1, None)).unwrap();
    let mut dials = config(1, 2, None);
    dials.remote_addrs = vec![nobody, address.clone()];
    let dials = Conduit::connect(&dials).unwrap();
    dials.send_batch(batch(1, 1)).await.unwrap();
    assert_eq!(recv(&accepts).await.first, 1);
    assert!(dials.stats().send_errors >= 1, "the first endpoint is dead");
    accepts.shutdown().await;
    let lost = |status: &LinkStatus| status.state != ConduitState::Connected;
    tokio::time::timeout(PATIENCE, dials.link().wait_for(lost))
        .await
        .unwrap();
    dials.send_batch(batch(1, 2)).await.unwrap();
    let second = loop {
        if let Ok(listener) = TcpListener::bind(&address).await {
            break listener;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let accepts = Conduit::listen(second, &config(2, 1, None)).unwrap();
    while recv(&accepts).await.first != 2 {}
    assert_eq!(dials.stats().reconnects, 1);
}

#[tokio::test]
async fn two_sites_that_dial_each_other_end_with_one_connection() {
    let ((listener_a, at_a), (listener_b, at_b)) = (listener().await, listener().await);
    let (mut a, mut b) = (config(1, 2, None), config(2, 1, None));
    (a.remote_addrs, b.remote_addrs) = (vec![at_b], vec![at_a]);
    let a = Conduit::listen(listener_a, &a).unwrap();
    let b = Conduit::listen(listener_b, &b).unwrap();
    for seq in 1..=10 {
        a.send_batch(batch(1, seq)).await.unwrap();
        b.send_batch(batch(2, seq)).await.unwrap();
        while recv(&b).await.first != seq {}
        while recv(&a).await.first != seq {}
    }
    assert_eq!(a.state().await, ConduitState::Connected);
    assert_eq!(b.state().await, ConduitState::Connected);
}

#[tokio::test]
async fn certificates_are_exchanged_live_and_standing_connections_stay() {
    let (lab, next) = (Lab::new(), Lab::new());
    let files = TlsFiles::in_memory();
    let now = SystemClock.now_us();
    let server = Tls::new(&lab.issue("site-2"), &files, "site-2", "lab", now).unwrap();
    let tasks = Tasks::new();
    let (admissions, (listener, address)) = (Admissions::new(), listener().await);
    let (replicate, mut accepted) = mpsc::channel(4);
    admissions.admit(
        "site-1",
        Admission {
            replicate,
            content: None,
        },
    );
    serve(
        &tasks,
        listener,
        Some(server.clone()),
        admissions.clone(),
        None,
    );
    let dialer = |material: &ConduitTlsConfig| super::super::client::GrpcDialer {
        local_name: "site-1".to_owned(),
        remote_name: "site-2".to_owned(),
        tls: Some(Tls::new(material, &files, "site-1", "lab", now).unwrap()),
        tasks: tasks.clone(),
        content: None,
    };
    let (old, new) = (dialer(&lab.issue("site-1")), dialer(&next.issue("site-1")));
    let dial = |dialer: &super::super::client::GrpcDialer| {
        super::super::peer::Dialer::dial(dialer, address.clone())
    };
    let standing = dial(&old).await.unwrap();
    let mut far_end = accepted.recv().await.unwrap();
    assert!(dial(&new).await.is_err());
    server.replace(&next.issue("site-2"), &files, now).unwrap();
    drop(dial(&new).await.unwrap());
    assert!(dial(&old).await.is_err());
    let close = super::super::message::Close::new(
        super::super::message::CloseReason::Shutdown,
        "still here",
    );
    let message = super::super::message::Message::Close(close);
    standing.outgoing.send(message.clone()).await.unwrap();
    let heard = far_end.incoming.recv().await.unwrap().unwrap();
    assert_eq!(heard.message, Some(message));
    admissions.refuse("site-1");
    let reason = dial(&new).await.unwrap_err();
    assert!(reason.contains("does not admit"), "{reason}");
}
