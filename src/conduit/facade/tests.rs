//! The plain face over the in-process pair: what a user of the library relies on.

use std::time::Duration;

use super::*;
use crate::journal::OpKind;

const PATIENCE: Duration = Duration::from_secs(5);

fn entry(seq: u64, site_id: u64, payload: usize) -> JournalEntry {
    JournalEntry::new(seq, 3, site_id, seq, 9, OpKind::Write, vec![7; payload])
}

fn batch(site_id: u64, first: u64, last: u64) -> EntryBatch {
    let entries = (first..=last).map(|seq| entry(seq, site_id, 8)).collect();
    EntryBatch::new(site_id, entries, 0)
}

fn pair() -> (Conduit, Conduit) {
    Conduit::new_pair(ConduitConfig::new(1, 2), ConduitConfig::new(2, 1))
}

async fn recv(conduit: &Conduit) -> EntryBatch {
    let batch = tokio::time::timeout(PATIENCE, conduit.recv_batch()).await;
    batch.expect("in time").expect("not shut down")
}

#[tokio::test]
async fn a_pair_is_connected_at_once_and_carries_batches_both_ways() {
    let (a, b) = pair();
    assert_eq!(a.state().await, ConduitState::Connected);
    assert_eq!(b.state().await, ConduitState::Connected);
    a.send_batch(batch(1, 1, 3)).await.unwrap();
    b.send_batch(batch(2, 1, 2)).await.unwrap();
    assert_eq!(recv(&b).await.entries, batch(1, 1, 3).entries);
    assert_eq!(recv(&a).await.source_site_id, 2);
}

#[tokio::test]
async fn stats_count_batches_and_entries_of_both_directions() {
    let (a, b) = pair();
    assert_eq!(a.stats(), ConduitStats::default());
    a.send_batch(batch(1, 1, 3)).await.unwrap();
    a.send_batch(batch(1, 4, 4)).await.unwrap();
    recv(&b).await;
    recv(&b).await;
    let (sent, received) = (a.stats(), b.stats());
    assert_eq!(
        (sent.batches_sent, sent.entries_sent, sent.batches_received),
        (2, 4, 0)
    );
    assert_eq!(
        (received.batches_received, received.entries_received),
        (2, 4)
    );
    assert_eq!((sent.reconnects, sent.send_errors), (0, 0));
}

#[tokio::test]
async fn numbers_are_kept_while_they_grow_and_given_where_they_are_missing() {
    let (a, b) = pair();
    for (first, number) in [(1, 0), (2, 9), (3, 0), (4, 2)] {
        let mut numbered = batch(1, first, first);
        numbered.batch_seq = number;
        a.send_batch(numbered).await.unwrap();
    }
    let mut numbers = Vec::new();
    for _ in 0..4 {
        numbers.push(recv(&b).await.batch_seq);
    }
    assert_eq!(numbers, [1, 9, 10, 11]);
}

#[tokio::test]
async fn an_empty_batch_and_repeated_seqs_pass() {
    let (a, b) = pair();
    a.send_batch(EntryBatch::new(1, Vec::new(), 1))
        .await
        .unwrap();
    assert!(recv(&b).await.entries.is_empty());
    for _ in 0..3 {
        a.send_batch(batch(1, 5, 9)).await.unwrap();
        assert_eq!(recv(&b).await.entries.len(), 5);
    }
}

#[tokio::test]
async fn a_large_batch_arrives_whole_in_content_cut_in_size() {
    let (a, b) = pair();
    let entries: Vec<JournalEntry> = (1..=3_000).map(|seq| entry(seq, 1, 1_000)).collect();
    let sender = async {
        a.send_batch(EntryBatch::new(1, entries.clone(), 0))
            .await
            .unwrap();
    };
    let receiver = async {
        let mut received = Vec::new();
        while received.len() < 3_000 {
            let part = recv(&b).await;
            assert!(part.entries.len() <= BATCH_ENTRIES_MAX);
            assert!(batch_bytes(&part) <= FRAME_BYTES_MAX);
            received.extend(part.entries);
        }
        received
    };
    let ((), received) = tokio::join!(sender, receiver);
    assert_eq!(received, entries);
}

#[tokio::test]
async fn an_entry_above_a_frame_is_refused() {
    let (a, _b) = pair();
    let huge = EntryBatch::new(1, vec![entry(1, 1, 2 * FRAME_BYTES_MAX)], 1);
    let error = a.send_batch(huge).await.unwrap_err();
    assert!(error.to_string().contains("above a frame"), "{error}");
    assert_eq!(a.stats().send_errors, 1);
}

#[tokio::test]
async fn a_batch_of_another_site_is_not_sent() {
    let (a, _b) = pair();
    let error = a.send_batch(batch(2, 1, 1)).await.unwrap_err();
    assert!(matches!(error, ReplError::Serialization { .. }), "{error}");
}

#[tokio::test]
async fn after_shutdown_nothing_is_sent_or_received() {
    let (a, b) = pair();
    a.shutdown().await;
    assert_eq!(a.state().await, ConduitState::Shutdown);
    assert!(matches!(
        a.send_batch(batch(1, 1, 1)).await,
        Err(ReplError::Shutdown)
    ));
    assert!(a.recv_batch().await.is_none());
    assert_eq!(
        tokio::time::timeout(PATIENCE, b.recv_batch()).await,
        Ok(None)
    );
    a.shutdown().await;
}

#[tokio::test]
async fn shutdown_drains_what_was_handed_over() {
    let (a, b) = pair();
    for seq in 1..=20 {
        a.send_batch(batch(1, seq, seq)).await.unwrap();
    }
    a.shutdown().await;
    for seq in 1..=20 {
        assert_eq!(recv(&b).await.first, seq);
    }
    assert!(b.recv_batch().await.is_none());
    assert_eq!(b.state().await, ConduitState::Shutdown);
}

#[tokio::test]
async fn concurrent_senders_lose_nothing() {
    let (a, b) = pair();
    let send = async |from: u64| {
        for seq in from..from + 50 {
            a.send_batch(batch(1, seq, seq)).await.unwrap();
        }
    };
    let receive = async {
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < 200 {
            seen.insert(recv(&b).await.first);
        }
    };
    tokio::join!(send(1), send(1_001), send(2_001), send(3_001), receive);
}

#[tokio::test(start_paused = true)]
async fn a_full_window_holds_the_sender_back_until_the_receiver_takes() {
    let mut config = ConduitConfig::new(1, 2);
    config.window_entries = 4;
    let (a, b) = Conduit::new_pair(config, ConduitConfig::new(2, 1));
    let mut sent = 0;
    // Time passes only when no task can run: a timeout means that the sender waits for the receiver.
    while tokio::time::timeout(
        Duration::from_millis(200),
        a.send_batch(batch(1, sent + 1, sent + 1)),
    )
    .await
    .is_ok()
    {
        sent += 1;
    }
    assert!(
        (RECEIVED_MAX as u64..RECEIVED_MAX as u64 + 20).contains(&sent),
        "{sent}"
    );
    recv(&b).await;
    tokio::time::timeout(PATIENCE, a.send_batch(batch(1, sent + 2, sent + 2)))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_pair_that_disagrees_never_connects_and_says_why() {
    let _expected = crate::daemon::tasks::errors::expects("refused site=");
    let mut other = ConduitConfig::new(2, 1);
    other.cluster = "prod".to_owned();
    let (a, b) = Conduit::new_pair(ConduitConfig::new(1, 2), other);
    assert!(b.recv_batch().await.is_none());
    assert!(a.recv_batch().await.is_none());
    assert!(a.send_batch(batch(1, 1, 1)).await.is_err());
    let status = b.link().status();
    assert!(
        status.last_error.unwrap().contains("cluster"),
        "{:?}",
        b.link()
    );
}

#[tokio::test]
async fn unset_site_ids_become_those_of_the_other_end() {
    let (a, b) = Conduit::new_pair(ConduitConfig::default(), ConduitConfig::default());
    a.send_batch(batch(1, 1, 1)).await.unwrap();
    assert_eq!(recv(&b).await.source_site_id, 1);
}
