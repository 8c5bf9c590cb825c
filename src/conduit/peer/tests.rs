//! The loop of a peer with transports in the test's hand: reconnects, the choice between two connections, and what
//! belongs to a connection that is gone.

use super::super::hello::Opening;
use super::super::hello::tests::{hello, opening};
use super::super::message::{Beat, Hold};
use super::super::pair;
use super::*;
use crate::clock::{Clock, SystemClock};
use crate::journal::dot::Actor;

const PATIENCE: Duration = Duration::from_secs(5);

struct Site(u64, u64);

impl Local for Site {
    fn actor(&self) -> Actor {
        opening(self.0, self.1).hello.actor
    }

    fn opening(&self) -> Option<Opening> {
        Some(Opening {
            certificate_site: None,
            ..opening(self.0, self.1)
        })
    }

    fn beat(&self) -> Beat {
        Beat::default()
    }
}

/// Hands out the given results in turn and counts the dials; nothing more comes after the last.
struct Script(std::sync::Mutex<VecDeque<Result<Transport, String>>>);

impl Dialer for Script {
    fn dial(&self, _endpoint: String) -> Dialling {
        let next = self.0.lock().unwrap().pop_front();
        Box::pin(async move {
            match next {
                Some(result) => result,
                None => std::future::pending().await,
            }
        })
    }
}

fn config(local: u64, remote: u64, script: Vec<Result<Transport, String>>) -> PeerConfig {
    PeerConfig {
        remote_site_id: remote,
        endpoints: vec!["x".to_owned()],
        limits: SessionLimits::default(),
        reconnect: Reconnect {
            min: Duration::from_millis(1),
            max: Duration::from_millis(4),
            seed: 1,
        },
        clock: Arc::new(SystemClock) as Arc<dyn Clock>,
        local: Arc::new(Site(local, remote)),
        dialer: Some(Arc::new(Script(std::sync::Mutex::new(script.into())))),
        age_max: None,
        paused: false,
    }
}

async fn event(link: &Link) -> LinkEvent {
    let event = tokio::time::timeout(PATIENCE, link.next_event()).await;
    event.expect("in time").expect("not over")
}

/// Plays the far end: takes our hello and says its own.
async fn greet(end: &mut Transport, site: u64) {
    let first = end.incoming.recv().await.unwrap().unwrap();
    assert!(
        matches!(first.message, Some(Message::Hello(_))),
        "{first:?}"
    );
    let hello = Message::Hello(Box::new(hello(site)));
    end.outgoing.send(hello).await.unwrap();
}

/// The next message that is no heartbeat. None: the connection is over.
async fn hear(end: &mut Transport) -> Option<Message> {
    let next = async {
        loop {
            match end.incoming.recv().await?.ok()?.message {
                Some(Message::Heartbeat(_)) => {}
                message => return message,
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("in time")
}

#[tokio::test]
async fn a_connection_that_never_says_hello_resets_no_backoff() {
    let tasks = Tasks::new();
    let mut script = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..4 {
        let (near, far) = pair::transports(&tasks);
        script.push(Ok(near));
        ends.push(far);
    }
    let (link, _accept) = spawn(&tasks, config(1, 2, script));
    // Connected, refused without a word, three times: as a peer does that does not believe our certificate.
    let mut last = ends.pop().unwrap();
    drop(ends);
    for expected in 1..=3 {
        let LinkEvent::Disconnected { next, .. } = event(&link).await else {
            panic!("never connected");
        };
        assert_eq!(next.unwrap().number, expected);
    }
    greet(&mut last, 2).await;
    assert!(matches!(event(&link).await, LinkEvent::Connected { .. }));
    drop(last);
    let LinkEvent::Disconnected { next, .. } = event(&link).await else {
        panic!("no disconnect");
    };
    assert_eq!(
        next.unwrap().number,
        1,
        "the hello started the backoff over"
    );
}

#[tokio::test]
async fn the_connection_that_the_lower_site_dialled_takes_over() {
    let tasks = Tasks::new();
    let (dialled, mut far_dialled) = pair::transports(&tasks);
    // We are site 2: our own connection gives way to the one that site 1 dialled.
    let (link, accept) = spawn(&tasks, config(2, 1, vec![Ok(dialled)]));
    greet(&mut far_dialled, 1).await;
    assert!(matches!(
        event(&link).await,
        LinkEvent::Connected { connection: 1, .. }
    ));
    let (accepted, mut far_accepted) = pair::transports(&tasks);
    accept.send(accepted).await.unwrap();
    greet(&mut far_accepted, 1).await;
    let Some(Message::Close(close)) = hear(&mut far_dialled).await else {
        panic!("not closed");
    };
    assert_eq!(close.reason, CloseReason::Duplicate);
    assert!(matches!(
        event(&link).await,
        LinkEvent::Disconnected { next: None, .. }
    ));
    assert!(matches!(
        event(&link).await,
        LinkEvent::Connected { connection: 2, .. }
    ));
    // The same journal once more: refused, the first stays.
    let (third, mut far_third) = pair::transports(&tasks);
    accept.send(third).await.unwrap();
    assert!(matches!(
        hear(&mut far_third).await,
        Some(Message::Close(_))
    ));
    assert_eq!(link.status().state, ConduitState::Connected);
}

#[tokio::test]
async fn what_belongs_to_a_lost_connection_is_not_sent_on_the_next() {
    let tasks = Tasks::new();
    let (first, mut far_first) = pair::transports(&tasks);
    let (second, mut far_second) = pair::transports(&tasks);
    let (link, _accept) = spawn(&tasks, config(1, 2, vec![Ok(first), Ok(second)]));
    greet(&mut far_first, 2).await;
    assert!(matches!(
        event(&link).await,
        LinkEvent::Connected { connection: 1, .. }
    ));
    drop(far_first);
    assert!(matches!(event(&link).await, LinkEvent::Disconnected { .. }));
    greet(&mut far_second, 2).await;
    assert!(matches!(
        event(&link).await,
        LinkEvent::Connected { connection: 2, .. }
    ));
    let mark = |mark_us| Frame {
        batches: Vec::new(),
        mark_us,
    };
    let hold = Hold {
        until_us: 1,
        detail: String::new(),
    };
    link.send_hold(1, hold).await.unwrap();
    link.send_frame(1, mark(7)).await.unwrap();
    link.send_frame(2, mark(9)).await.unwrap();
    assert_eq!(hear(&mut far_second).await, Some(Message::Frame(mark(9))));
}

#[tokio::test]
async fn a_connection_that_takes_nothing_more_is_over_though_its_other_half_is_open() {
    let tasks = Tasks::new();
    let (first, mut far_first) = pair::transports(&tasks);
    let (second, mut far_second) = pair::transports(&tasks);
    let (link, _accept) = spawn(&tasks, config(1, 2, vec![Ok(first), Ok(second)]));
    greet(&mut far_first, 2).await;
    assert!(matches!(
        event(&link).await,
        LinkEvent::Connected { connection: 1, .. }
    ));
    let Transport {
        incoming, outgoing, ..
    } = far_first;
    drop(incoming);
    let mark = Frame {
        batches: Vec::new(),
        mark_us: 7,
    };
    link.send_frame(1, mark).await.unwrap();
    let LinkEvent::Disconnected { next, .. } = event(&link).await else {
        panic!("no disconnect");
    };
    assert_eq!(next.unwrap().number, 1, "dialled again");
    greet(&mut far_second, 2).await;
    assert!(matches!(
        event(&link).await,
        LinkEvent::Connected { connection: 2, .. }
    ));
    drop(outgoing);
}

#[tokio::test]
async fn stopping_tells_the_peer_and_ends_the_events() {
    let tasks = Tasks::new();
    let (near, mut far) = pair::transports(&tasks);
    let (link, _accept) = spawn(&tasks, config(1, 2, vec![Ok(near)]));
    greet(&mut far, 2).await;
    assert!(matches!(event(&link).await, LinkEvent::Connected { .. }));
    link.send_frame(
        1,
        Frame {
            batches: Vec::new(),
            mark_us: 5,
        },
    )
    .await
    .unwrap();
    link.stop();
    assert!(matches!(hear(&mut far).await, Some(Message::Frame(_))));
    let Some(Message::Close(close)) = hear(&mut far).await else {
        panic!("not closed");
    };
    assert_eq!(close.reason, CloseReason::Shutdown);
    assert!(link.send_frame(1, Frame::default()).await.is_err());
    while link.next_event().await.is_some() {}
    assert_eq!(link.status().state, ConduitState::Shutdown);
    drop(far);
    assert!(tasks.shutdown(PATIENCE).await.is_empty());
}

#[tokio::test]
async fn what_came_of_the_tries_is_told_by_endpoint_until_a_connection_stands() {
    let tasks = Tasks::new();
    let (mut near, mut far) = pair::transports(&tasks);
    let (mut gone, without_a_word) = pair::transports(&tasks);
    drop(without_a_word);
    (near.endpoint, gone.endpoint) = (Some("x".to_owned()), Some("y".to_owned()));
    let script = vec![Err("no route".to_owned()), Ok(gone), Ok(near)];
    let mut config = config(1, 2, script);
    config.endpoints = vec!["x".to_owned(), "y".to_owned()];
    let (link, _accept) = spawn(&tasks, config);
    let LinkEvent::Disconnected { .. } = event(&link).await else {
        panic!("the second one was no connection");
    };
    let both_failed = link.wait_for(|status| {
        let [x, y] = status.contact.endpoints.as_slice() else {
            return false;
        };
        // The error of the first one goes as soon as it is dialled again.
        x.failures == 1 && y.failures == 1 && y.error.is_some()
    });
    let failed = tokio::time::timeout(PATIENCE, both_failed).await;
    let failed = failed.expect("in time");
    assert!(!failed.contact.pauses.is_empty());
    assert_eq!(failed.contact.since_us, None, "it never was connected");
    greet(&mut far, 2).await;
    assert!(matches!(event(&link).await, LinkEvent::Connected { .. }));
    let contact = link.status().contact;
    assert_eq!((contact.attempts, contact.next_us), (0, None));
    assert!(contact.since_us.is_some() && contact.pauses.is_empty());
    let [x, y] = contact.endpoints.as_slice() else {
        panic!("{contact:?}");
    };
    assert_eq!((x.failures, x.error.as_deref()), (0, None));
    assert_eq!(y.failures, 1, "nobody tried it again");
}

#[tokio::test]
async fn a_refusal_is_shown_with_its_reason_and_waits_long() {
    let _expected = crate::daemon::tasks::errors::expects("refused site=");
    let tasks = Tasks::new();
    let (near, mut far) = pair::transports(&tasks);
    let (link, _accept) = spawn(&tasks, config(1, 2, vec![Ok(near)]));
    let hello = far.incoming.recv().await.unwrap().unwrap();
    assert!(hello.message.is_some());
    let close = Close::new(CloseReason::Fenced, "away for 40 days: bootstrap");
    far.outgoing.send(Message::Close(close)).await.unwrap();
    let LinkEvent::Disconnected { reason, .. } = event(&link).await else {
        panic!("no disconnect");
    };
    assert!(reason.needs_a_person());
    let shown = link.status().last_error.unwrap();
    assert!(shown.contains("fenced: away for 40 days"), "{shown}");
}

#[tokio::test]
async fn receipts_during_the_hellos_are_sent_behind_them() {
    let tasks = Tasks::new();
    let (near, mut far) = pair::transports(&tasks);
    let (link, _accept) = spawn(&tasks, config(1, 2, vec![Ok(near)]));
    let first = far.incoming.recv().await.unwrap().unwrap();
    assert!(matches!(first.message, Some(Message::Hello(_))));
    let receipts = super::super::message::Receipts {
        receipts: Vec::new(),
        applied_mark_us: 7,
    };
    link.send_receipts(receipts.clone()).await.unwrap();
    far.outgoing
        .send(Message::Hello(Box::new(hello(2))))
        .await
        .unwrap();
    assert_eq!(hear(&mut far).await, Some(Message::Receipts(receipts)));
}

/// Cannot tell anything the first time.
struct Late(Site, std::sync::atomic::AtomicBool);

impl Local for Late {
    fn actor(&self) -> Actor {
        self.0.actor()
    }

    fn opening(&self) -> Option<Opening> {
        let asked_before = self.1.swap(true, std::sync::atomic::Ordering::SeqCst);
        asked_before.then(|| self.0.opening()).flatten()
    }

    fn beat(&self) -> Beat {
        self.0.beat()
    }
}

#[tokio::test]
async fn a_site_that_cannot_tell_how_far_it_is_says_no_hello_and_tries_again() {
    let tasks = Tasks::new();
    let (first, mut first_far) = pair::transports(&tasks);
    let (second, mut second_far) = pair::transports(&tasks);
    let local = Arc::new(Late(Site(1, 2), false.into()));
    let script = vec![Ok(first), Ok(second)];
    let (link, _accept) = spawn(
        &tasks,
        PeerConfig {
            local,
            ..config(1, 2, script)
        },
    );
    assert!(hear(&mut first_far).await.is_none(), "not a word");
    greet(&mut second_far, 2).await;
    assert!(matches!(event(&link).await, LinkEvent::Connected { .. }));
}

#[tokio::test]
async fn a_paused_peer_neither_dials_nor_takes_a_connection_and_goes_on_when_resumed() {
    let tasks = Tasks::new();
    let (first, mut first_far) = pair::transports(&tasks);
    let config = PeerConfig {
        paused: true,
        ..config(1, 2, vec![Ok(first)])
    };
    let (link, accept) = spawn(&tasks, config);
    assert!(link.is_paused());
    let (offered, mut offered_far) = pair::transports(&tasks);
    accept.send(offered).await.unwrap();
    let heard = hear(&mut offered_far).await;
    assert!(
        matches!(&heard, Some(Message::Close(close)) if close.reason == CloseReason::Paused),
        "{heard:?}"
    );
    // Nothing was dialled so far: the transport is still in the script.
    link.steer(|steering| steering.paused = false);
    greet(&mut first_far, 2).await;
    assert!(matches!(event(&link).await, LinkEvent::Connected { .. }));
}

#[tokio::test]
async fn pausing_ends_a_connection_with_the_reason_and_connecting_anew_makes_another_one() {
    let tasks = Tasks::new();
    let (first, mut first_far) = pair::transports(&tasks);
    let (second, mut second_far) = pair::transports(&tasks);
    let (third, mut third_far) = pair::transports(&tasks);
    let (link, _accept) = spawn(&tasks, config(1, 2, vec![Ok(first), Ok(second), Ok(third)]));
    greet(&mut first_far, 2).await;
    assert!(matches!(event(&link).await, LinkEvent::Connected { .. }));
    link.steer(|steering| steering.anew += 1);
    assert_eq!(last_word(&mut first_far).await, CloseReason::Shutdown);
    assert!(matches!(event(&link).await, LinkEvent::Disconnected { .. }));
    greet(&mut second_far, 2).await;
    assert!(matches!(event(&link).await, LinkEvent::Connected { .. }));
    link.steer(|steering| steering.paused = true);
    assert_eq!(last_word(&mut second_far).await, CloseReason::Paused);
    assert!(matches!(
        event(&link).await,
        LinkEvent::Disconnected { next: None, .. }
    ));
    link.steer(|steering| steering.paused = false);
    greet(&mut third_far, 2).await;
    assert!(matches!(event(&link).await, LinkEvent::Connected { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_the_greatest_age_is_made_anew() {
    let tasks = Tasks::new();
    let (first, mut first_far) = pair::transports(&tasks);
    let (second, mut second_far) = pair::transports(&tasks);
    let clock = crate::clock::ManualClock::at(1_000_000);
    let config = PeerConfig {
        age_max: Some(Duration::from_secs(5)),
        clock: clock.clone(),
        ..config(1, 2, vec![Ok(first), Ok(second)])
    };
    let (link, _accept) = spawn(&tasks, config);
    greet(&mut first_far, 2).await;
    assert!(matches!(event(&link).await, LinkEvent::Connected { .. }));
    clock.advance(Duration::from_secs(6));
    // Anything wakes the loop; its own timer counts by another clock here.
    link.steer(|steering| steering.limits.window.entries += 1);
    assert_eq!(last_word(&mut first_far).await, CloseReason::Shutdown);
    // The next attempt is planned by then.
    clock.advance(Duration::from_secs(1));
    greet(&mut second_far, 2).await;
}

/// Why the far end is told that the connection ends; what else it is told is skipped.
async fn last_word(end: &mut Transport) -> CloseReason {
    loop {
        match hear(end).await {
            Some(Message::Close(close)) => return close.reason,
            Some(_) => {}
            None => panic!("ended without a word"),
        }
    }
}
