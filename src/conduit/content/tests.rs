//! Two content loops within the process; one end is played by hand where the peer is hostile.

use std::time::Duration;

use super::*;
use crate::proto::v1;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Serves the manifest root and every byte pattern; inode 404 is gone, 503 is busy, 13 never ends.
struct Shelf;

fn chunk(n: u8) -> (ChunkHash, Bytes) {
    let bytes = Bytes::from(vec![n; 10_000]);
    (*blake3::hash(&bytes).as_bytes(), bytes)
}

#[tonic::async_trait]
impl ContentServer for Shelf {
    async fn answer(&self, _peer: SiteId, want: Want, chunks: &ChunkSender) -> Verdict {
        match want.inode {
            404 => {
                return Verdict::Gone {
                    superseded_by: Some((want.actor, 9)),
                };
            }
            503 => return Verdict::Busy { retry_after_ms: 70 },
            13 => std::future::pending().await,
            _ => {}
        }
        for n in 0..=255 {
            let (hash, bytes) = chunk(n);
            if want.hashes.contains(&hash) && chunks.send(hash, bytes).await.is_err() {
                break;
            }
        }
        Verdict::Done
    }
}

fn want(inode: u64, chunks: &[u8]) -> Want {
    Want {
        inode,
        actor: Actor::new(2, 7),
        seq: 1,
        manifest_root: [1; 32],
        hashes: chunks.iter().map(|n| chunk(*n).0).collect(),
    }
}

type Hand = (
    mpsc::Receiver<ContentMessage>,
    mpsc::Sender<Result<ContentMessage, TransportError>>,
);

/// A transport whose far end is in the test's hand.
fn transport() -> (ContentTransport, Hand) {
    let (outgoing, sent) = mpsc::channel(4);
    let (heard, incoming) = mpsc::channel(4);
    (ContentTransport { outgoing, incoming }, (sent, heard))
}

/// Both ends of one stream.
fn stream(tasks: &Tasks) -> (ContentTransport, ContentTransport) {
    let ((end_a, (sent_a, heard_a)), (end_b, (sent_b, heard_b))) = (transport(), transport());
    for (mut sent, heard) in [(sent_a, heard_b), (sent_b, heard_a)] {
        tasks.spawn("carry", async move {
            while let Some(message) = sent.recv().await {
                let message = decode(encode(message));
                let message = message.map_err(|e| TransportError::Garbage(e.to_string()));
                if heard.send(message).await.is_err() {
                    break;
                }
            }
        });
    }
    (end_a, end_b)
}

/// Two connected links.
async fn pair(tasks: &Tasks) -> (ContentLink, ContentLink) {
    let (a, to_a) = spawn(tasks, 2, Arc::new(Shelf));
    let (b, to_b) = spawn(tasks, 1, Arc::new(Shelf));
    let (end_a, end_b) = stream(tasks);
    to_a.send(end_a).await.unwrap();
    to_b.send(end_b).await.unwrap();
    (a, b)
}

async fn all(mut answers: Answers) -> Vec<Answer> {
    let mut found = Vec::new();
    while let Some(answer) = answers.next().await.unwrap() {
        found.push(answer);
    }
    found
}

/// Asks until the connection stands: until then requests fail at once.
async fn ask(link: &ContentLink, want: Want) -> Vec<Answer> {
    loop {
        let mut answers = link.want(want.clone()).await.unwrap();
        if let Ok(Some(first)) = answers.next().await {
            let mut found = vec![first];
            found.extend(all(answers).await);
            return found;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn chunks_come_in_both_directions_and_end_with_done() {
    let tasks = Tasks::new();
    let (a, b) = pair(&tasks).await;
    for link in [&a, &b] {
        let found = ask(link, want(5, &[3, 200])).await;
        let [
            Answer::Chunk { hash, bytes },
            Answer::Chunk { .. },
            Answer::Done,
        ] = &found[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!((hash, bytes.len()), (&chunk(3).0, 10_000));
    }
}

#[tokio::test]
async fn when_both_sites_dial_each_is_answered_on_the_stream_that_it_holds_for_the_newest() {
    let tasks = Tasks::new();
    let (a, to_a) = spawn(&tasks, 2, Arc::new(Shelf));
    let (b, to_b) = spawn(&tasks, 1, Arc::new(Shelf));
    // The streams come up at once, so each end sees them in an order of its own.
    let ((dialled_by_a, accepted_by_b), (accepted_by_a, dialled_by_b)) =
        (stream(&tasks), stream(&tasks));
    for end in [dialled_by_a, accepted_by_a] {
        to_a.send(end).await.unwrap();
    }
    for end in [dialled_by_b, accepted_by_b] {
        to_b.send(end).await.unwrap();
    }
    for link in [&a, &b] {
        let asked = tokio::time::timeout(PATIENCE, ask(link, want(5, &[1, 2])));
        let found = asked.await.expect("an answer");
        assert_eq!(found.last(), Some(&Answer::Done));
    }
}

#[tokio::test]
async fn an_answer_under_way_comes_whole_although_a_newer_stream_takes_over() {
    let tasks = Tasks::new();
    let (a, to_a) = spawn(&tasks, 2, Arc::new(Shelf));
    let (older, (mut sent, heard)) = transport();
    to_a.send(older).await.unwrap();
    // Until the loop has taken the stream, a request fails at once.
    let (mut answers, request) = loop {
        let mut answers = a.want(want(5, &[1, 2])).await.unwrap();
        tokio::select! {
            asked = sent.recv() => break (answers, asked.unwrap().request),
            failed = answers.next() => assert!(failed.is_err()),
        }
    };
    let (newer, (mut sent_newer, _heard_newer)) = transport();
    to_a.send(newer).await.unwrap();
    loop {
        let _second = a.want(want(5, &[3])).await.unwrap();
        tokio::select! {
            _ = sent_newer.recv() => break,
            _ = sent.recv() => {}
        }
    }
    for (hash, bytes) in [1, 2].map(chunk) {
        let body = Body::Answer(Answer::Chunk { hash, bytes });
        let message = ContentMessage { request, body };
        heard.send(Ok(message)).await.unwrap();
    }
    let body = Body::Answer(Answer::Done);
    let message = ContentMessage { request, body };
    heard.send(Ok(message)).await.unwrap();
    let mut count = 0;
    while let Some(answer) = answers.next().await.unwrap() {
        count += usize::from(matches!(answer, Answer::Chunk { .. }));
    }
    assert_eq!(count, 2);
}

#[tokio::test]
async fn gone_and_busy_are_the_last_answers() {
    let tasks = Tasks::new();
    let (a, _b) = pair(&tasks).await;
    let gone = ask(&a, want(404, &[1])).await;
    assert_eq!(
        gone,
        [Answer::Gone {
            superseded_by: Some((Actor::new(2, 7), 9))
        }]
    );
    let busy = ask(&a, want(503, &[1])).await;
    assert_eq!(busy, [Answer::Busy { retry_after_ms: 70 }]);
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let tasks = Tasks::new();
    let (a, _b) = pair(&tasks).await;
    ask(&a, want(5, &[1])).await;
    let asking = (0..3 * REQUESTS_MAX).map(|_| {
        let link = a.clone();
        tokio::task::spawn_local(async move { ask(&link, want(5, &[1, 2])).await.len() })
    });
    let local = tokio::task::LocalSet::new();
    let counts = local
        .run_until(async move {
            let mut counts = Vec::new();
            for task in asking.collect::<Vec<_>>() {
                counts.push(task.await.unwrap());
            }
            counts
        })
        .await;
    assert!(counts.iter().all(|count| *count == 3), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_open_requests_is_bounded_and_dropping_one_makes_room() {
    let tasks = Tasks::new();
    let (a, _b) = pair(&tasks).await;
    ask(&a, want(5, &[1])).await;
    let mut open = Vec::new();
    for _ in 0..REQUESTS_MAX {
        open.push(a.want(want(13, &[1])).await.unwrap());
    }
    let more = tokio::time::timeout(Duration::from_secs(1), a.want(want(5, &[1]))).await;
    assert!(more.is_err());
    open.pop();
    a.want(want(5, &[1])).await.unwrap();
}

#[tokio::test]
async fn what_was_not_wanted_or_does_not_match_ends_the_stream() {
    let (hash, bytes) = chunk(1);
    let (other, _) = chunk(2);
    for (hash, request) in [(other, 1), (hash, 1), (hash, 77)] {
        let tasks = Tasks::new();
        let (link, connect) = spawn(&tasks, 2, Arc::new(Shelf));
        let (end, (mut sent, heard)) = transport();
        connect.send(end).await.unwrap();
        let mut answers = loop {
            let mut answers = link.want(want(5, &[1])).await.unwrap();
            tokio::select! {
                message = sent.recv() => {
                    assert!(message.is_some());
                    break answers;
                }
                failed = answers.next() => assert!(failed.is_err()),
            }
        };
        let bytes = if request == 1 {
            bytes.slice(1..)
        } else {
            bytes.clone()
        };
        let body = Body::Answer(Answer::Chunk { hash, bytes });
        heard
            .send(Ok(ContentMessage { request, body }))
            .await
            .unwrap();
        let error = answers.next().await.unwrap_err().to_string();
        assert!(error.contains("content connection lost"), "{error}");
        assert_eq!(answers.next().await.unwrap(), None);
        assert!(sent.recv().await.is_none());
    }
}

#[tokio::test]
async fn a_peer_with_too_many_requests_is_cut_off() {
    let tasks = Tasks::new();
    let (_link, connect) = spawn(&tasks, 2, Arc::new(Shelf));
    let (end, (mut sent, heard)) = transport();
    connect.send(end).await.unwrap();
    for request in 0..=REQUESTS_MAX as u64 {
        let body = Body::Want(want(13, &[1]));
        heard
            .send(Ok(ContentMessage { request, body }))
            .await
            .unwrap();
    }
    heard.closed().await;
    assert!(sent.recv().await.is_none());
}

#[test]
fn sizes_packing_and_hashes_are_checked_when_decoding() {
    let good = v1::Chunk {
        hash: vec![1; 32].into(),
        data: vec![0; 5].into(),
        packing: 0,
        size: 5,
    };
    let cases: [(v1::Chunk, &str); 4] = [
        (
            v1::Chunk {
                size: 6,
                ..good.clone()
            },
            "were declared",
        ),
        (
            v1::Chunk {
                size: 5 << 20,
                ..good.clone()
            },
            "above",
        ),
        (
            v1::Chunk {
                packing: 1,
                ..good.clone()
            },
            "not agreed",
        ),
        (
            v1::Chunk {
                hash: Bytes::new(),
                ..good.clone()
            },
            "missing",
        ),
    ];
    let message = |chunk| v1::ContentMessage {
        request: 1,
        body: Some(v1::content_message::Body::Chunk(chunk)),
        crc32: 0,
    };
    decode(message(good)).unwrap();
    for (chunk, words) in cases {
        let error = decode(message(chunk)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let unknown = decode(v1::ContentMessage {
        request: 1,
        body: None,
        crc32: 0,
    })
    .unwrap();
    assert_eq!(unknown.body, Body::Unknown);
}
