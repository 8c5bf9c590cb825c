//! A pair of sessions with a manual clock: what one says the other hears, and what a broken or hostile peer says is
//! refused. No task, no socket: every order of events is written down here.

use super::super::hello::tests::opening;
use super::*;
use crate::journal::dot::shard_of;
use crate::journal::{JournalEntry, OpKind};

const INODE: u64 = 9;

fn stream() -> u32 {
    shard_of(INODE)
}

fn actor(site_id: u64) -> Actor {
    Actor::new(site_id, site_id + 100)
}

fn batch(site_id: u64, first: u64, last: u64) -> EntryBatch {
    let entry = |seq| {
        let mut entry = JournalEntry::new(
            seq,
            stream(),
            site_id,
            seq,
            INODE,
            OpKind::Write,
            vec![0; 10],
        );
        entry.incarnation = actor(site_id).incarnation;
        entry
    };
    EntryBatch::new(site_id, (first..=last).map(entry).collect(), 0)
}

fn frame(site_id: u64, first: u64, last: u64) -> Frame {
    Frame {
        batches: vec![batch(site_id, first, last)],
        mark_us: last * 1_000,
    }
}

fn receipt(of: u64, received: u64) -> Receipts {
    Receipts {
        receipts: vec![Receipt {
            actor: actor(of),
            stream: stream(),
            received,
            ..Receipt::default()
        }],
        applied_mark_us: 0,
    }
}

fn nak(of: u64, received: u64, batch_seq: u64) -> Nak {
    Nak {
        actor: actor(of),
        stream: stream(),
        reason: NakReason::Gap,
        received,
        batch_seq,
        detail: String::new(),
    }
}

/// Two sessions, site 1 and site 2, on one clock.
struct Pair {
    one: Session,
    two: Session,
    now: Duration,
}

impl Pair {
    fn new(limits: SessionLimits) -> Self {
        let now = Duration::from_secs(100);
        Self {
            one: Session::new(opening(1, 2), limits, now),
            two: Session::new(opening(2, 1), limits, now),
            now,
        }
    }

    fn connected() -> Self {
        let mut pair = Self::new(SessionLimits::default());
        pair.run();
        assert!(pair.one.is_established() && pair.two.is_established());
        pair.events();
        pair
    }

    /// Carries all that is to be sent.
    fn run(&mut self) {
        while self.one.has_transmit() || self.two.has_transmit() {
            while let Some(message) = self.one.poll_transmit() {
                self.two.handle_message(message, self.now);
            }
            while let Some(message) = self.two.poll_transmit() {
                self.one.handle_message(message, self.now);
            }
        }
    }

    fn events(&mut self) -> (Vec<Event>, Vec<Event>) {
        let now = self.now;
        let all = |session: &mut Session| std::iter::from_fn(|| session.poll_event(now)).collect();
        (all(&mut self.one), all(&mut self.two))
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.one.handle_timeout(self.now, Beat::default());
        self.two.handle_timeout(self.now, Beat::default());
    }
}

/// The reason with which `session` closed.
fn closed(session: &mut Session) -> Close {
    let events: Vec<Event> = std::iter::from_fn(|| session.poll_event(Duration::ZERO)).collect();
    match events.last() {
        Some(Event::Closed(Ended::ByUs(close))) => close.clone(),
        other => panic!("not closed by us: {other:?}"),
    }
}

#[test]
fn hellos_connect_and_frames_and_receipts_flow() {
    let mut pair = Pair::new(SessionLimits::default());
    pair.run();
    let (one, two) = pair.events();
    assert!(matches!(&one[..], [Event::Connected(hello)] if hello.site_name == "s2"));
    assert!(matches!(&two[..], [Event::Connected(hello)] if hello.site_name == "s1"));
    pair.one.send_frame(frame(1, 1, 5));
    pair.run();
    let (_, two) = pair.events();
    let [Event::Frame(heard)] = &two[..] else {
        panic!("{two:?}");
    };
    assert_eq!((heard.mark_us, heard.batches[0].batch_seq), (5_000, 1));
    assert_eq!(pair.one.in_flight().0, 5);
    pair.two.send_receipts(receipt(1, 5));
    pair.run();
    assert_eq!(pair.one.in_flight(), (0, 0));
    assert_eq!(pair.events().0, [Event::Receipts(receipt(1, 5))]);
}

#[test]
fn a_refusal_tells_the_peer_why_and_ends_both() {
    let mut wrong = opening(2, 1);
    wrong.hello.cluster = "prod".to_owned();
    let mut pair = Pair::new(SessionLimits::default());
    pair.two = Session::new(wrong, SessionLimits::default(), pair.now);
    let hello = pair.two.poll_transmit().unwrap();
    pair.one.handle_message(hello, pair.now);
    pair.one.poll_transmit().unwrap();
    let close = pair.one.poll_transmit().unwrap();
    pair.two.handle_message(close, pair.now);
    assert_eq!(closed(&mut pair.one).reason, CloseReason::Cluster);
    let (_, two) = pair.events();
    let [Event::Closed(ended @ Ended::ByPeer(_))] = &two[..] else {
        panic!("{two:?}");
    };
    assert!(
        ended.needs_a_person() && ended.to_string().contains("`cluster`"),
        "{ended}"
    );
    assert!(pair.two.poll_timeout().is_none());
}

#[test]
fn the_window_closes_and_receipts_open_it() {
    let mut pair = Pair::connected();
    for first in (1..=4_096).step_by(1_024) {
        let next = frame(1, first, first + 1_023);
        assert!(pair.one.can_send(&next));
        pair.one.send_frame(next);
        pair.run();
    }
    assert!(!pair.one.can_send(&frame(1, 4_097, 4_097)));
    pair.two.send_receipts(receipt(1, 1_024));
    pair.run();
    assert!(pair.one.can_send(&frame(1, 4_097, 4_097)));
    assert!(!pair.one.can_send(&frame(1, 4_097, 6_000)));
}

#[test]
fn batch_numbers_grow_by_themselves_and_never_shrink() {
    let mut pair = Pair::connected();
    let mut numbered = frame(1, 1, 1);
    numbered.batches[0].batch_seq = 40;
    for next in [numbered, frame(1, 2, 2), frame(1, 3, 3)] {
        pair.one.send_frame(next);
    }
    pair.run();
    let numbers: Vec<u64> = pair.events().1.iter().map(number).collect();
    assert_eq!(numbers, [40, 41, 42]);
    let mut again = frame(1, 4, 4);
    again.batches[0].batch_seq = 42;
    pair.two.handle_message(Message::Frame(again), pair.now);
    assert!(closed(&mut pair.two).detail.contains("42 after 42"));
}

fn number(event: &Event) -> u64 {
    let Event::Frame(frame) = event else {
        panic!("{event:?}");
    };
    frame.batches[0].batch_seq
}

#[test]
fn a_nak_rewinds_once_drops_what_is_stale_and_takes_the_mark_back() {
    let mut pair = Pair::connected();
    for (first, last) in [(1, 2), (3, 4), (5, 6)] {
        pair.one.send_frame(frame(1, first, last));
    }
    pair.run();
    pair.events();
    // Batches 2 and 3 are refused: one gap, two naks, one rewind.
    pair.two.send_nak(nak(1, 2, 2));
    pair.two.send_nak(nak(1, 2, 3));
    pair.run();
    let rewind = Event::Rewind {
        stream: stream(),
        from: 3,
    };
    assert_eq!(pair.events().0, [rewind]);
    assert_eq!(pair.one.in_flight(), (0, 0));
    // Handed over before the owner knew: behind the gap, dropped together with its mark.
    pair.one.send_frame(frame(1, 7, 8));
    assert!(!pair.one.has_transmit());
    pair.advance(HEARTBEAT);
    pair.run();
    assert!(matches!(&pair.events().1[..], [Event::Heartbeat(beat, _)] if beat.mark_us == 0));
    pair.one.send_frame(frame(1, 3, 4));
    pair.run();
    assert!(matches!(&pair.events().1[..], [Event::Frame(heard)] if heard.mark_us == 4_000));
    // A gap in what was sent after the rewind is news.
    pair.two.send_nak(nak(1, 2, 4));
    pair.run();
    assert_eq!(pair.events().0.len(), 1);
}

#[test]
fn naks_for_other_reasons_reach_the_owner() {
    let mut pair = Pair::connected();
    pair.one.send_frame(frame(1, 1, 2));
    pair.run();
    let full = Nak {
        reason: NakReason::NoSpace,
        ..nak(1, 0, 1)
    };
    pair.two.send_nak(full.clone());
    pair.run();
    assert_eq!(pair.events().0, [Event::Nak(full)]);
    assert_eq!(pair.one.in_flight(), (0, 0));
}

#[test]
fn a_hold_rewinds_all_that_was_in_flight() {
    let mut pair = Pair::connected();
    pair.one.send_frame(frame(1, 1, 4));
    pair.run();
    pair.two.send_receipts(receipt(1, 4));
    pair.run();
    pair.one.send_frame(frame(1, 5, 6));
    pair.events();
    let hold = Hold {
        until_us: 77,
        detail: "clock".to_owned(),
    };
    pair.two.send_hold(hold.clone());
    pair.run();
    let from = [(stream(), 5)].into_iter().collect();
    assert_eq!(pair.events().0, [Event::Hold { hold, from }]);
    assert_eq!(pair.one.in_flight(), (0, 0));
}

#[test]
fn heartbeats_keep_the_connection_and_silence_ends_it() {
    let mut pair = Pair::connected();
    for _ in 0..30 {
        pair.advance(HEARTBEAT);
        pair.run();
    }
    assert!(pair.one.is_established() && pair.two.is_established());
    pair.events();
    // The network loses everything from here on.
    let heard_at = pair.one.heard_at();
    assert_eq!(heard_at, Some(pair.now));
    while !pair.one.is_closed() {
        let due = pair.one.poll_timeout().unwrap();
        assert!(due > pair.now);
        pair.now = due;
        pair.one.handle_timeout(due, Beat::default());
        while pair.one.poll_transmit().is_some() {}
    }
    assert_eq!(pair.one.heard_at(), heard_at);
    assert_eq!(pair.events().0, [Event::Closed(Ended::Silent(SILENCE_MAX))]);
}

#[test]
fn a_peer_that_never_says_hello_is_given_up() {
    let mut pair = Pair::new(SessionLimits::default());
    pair.advance(SILENCE_MAX);
    assert!(pair.one.is_closed());
    assert!(!pair.one.has_transmit());
}

#[test]
fn a_slow_owner_stops_reading_and_is_not_taken_for_a_silent_peer() {
    let mut pair = Pair::connected();
    let mut first = 1;
    while pair.two.wants_input() {
        let mut big = frame(1, first, first);
        big.batches[0].raw = vec![0; FRAME_BYTES_MAX - 1_000].into();
        big.batches[0].batch_seq = first;
        pair.two.handle_message(Message::Frame(big), pair.now);
        first += 1;
    }
    assert!(first > 16);
    assert_eq!(pair.two.heard_at(), None, "the silence is its own");
    pair.advance(SILENCE_MAX * 3);
    assert!(pair.two.is_established());
    assert!(matches!(
        pair.two.poll_event(pair.now),
        Some(Event::Frame(_))
    ));
    assert!(pair.two.wants_input());
    assert_eq!(pair.two.heard_at(), Some(pair.now));
    pair.advance(SILENCE_MAX - HEARTBEAT);
    assert!(pair.two.is_established());
}

#[test]
fn what_a_hostile_peer_says_closes_the_connection() {
    let cases: Vec<(Message, CloseReason, &str)> = vec![
        (
            Message::Frame(frame(3, 1, 1)),
            CloseReason::Identity,
            "batch of journal 3/",
        ),
        (
            Message::Receipts(receipt(1, 1)),
            CloseReason::Shutdown,
            "sent up to 0",
        ),
        (
            Message::Receipts(receipt(9, 0)),
            CloseReason::Protocol,
            "we are 1/",
        ),
        (
            Message::Nak(nak(1, u64::MAX, 1)),
            CloseReason::Protocol,
            "nak of journal",
        ),
        (
            Message::Hello(Box::new(opening(2, 1).hello)),
            CloseReason::Protocol,
            "second hello",
        ),
        (
            Message::Frame(Frame {
                batches: vec![EntryBatch {
                    raw: vec![0; 3 * FRAME_BYTES_MAX].into(),
                    ..batch(2, 1, 1)
                }],
                mark_us: 0,
            }),
            CloseReason::Protocol,
            "is above",
        ),
    ];
    for (message, reason, words) in cases {
        let mut pair = Pair::connected();
        pair.one.handle_message(message, pair.now);
        let close = closed(&mut pair.one);
        assert_eq!(close.reason, reason, "{close}");
        assert!(close.detail.contains(words), "{close}");
        assert!(matches!(pair.one.poll_transmit(), Some(Message::Close(_))));
    }
}

#[test]
fn a_receipt_that_contradicts_itself_closes_the_connection() {
    let mut pair = Pair::connected();
    pair.one.send_frame(frame(1, 1, 9));
    let mut bad = receipt(1, 5);
    bad.receipts[0].applied = 6;
    pair.one.handle_message(Message::Receipts(bad), pair.now);
    assert!(
        closed(&mut pair.one)
            .detail
            .contains("6 is beyond received 5")
    );
}

#[test]
fn entries_before_the_hello_are_refused() {
    let mut pair = Pair::new(SessionLimits::default());
    pair.one
        .handle_message(Message::Frame(frame(2, 1, 1)), pair.now);
    assert!(closed(&mut pair.one).detail.contains("must be a hello"));
}

#[test]
fn a_batch_that_did_not_decode_is_answered_with_a_nak_from_the_last_receipt() {
    let mut pair = Pair::connected();
    pair.one.send_frame(frame(1, 1, 9));
    pair.run();
    pair.two.send_receipts(receipt(1, 4));
    let refused = RefusedBatch {
        actor: actor(1),
        stream: stream(),
        batch_seq: 1,
        detail: "crc".to_owned(),
    };
    pair.two.handle_refused(vec![refused.clone(); 1_000]);
    pair.run();
    let (one, _) = pair.events();
    let naks: Vec<&Event> = one.iter().filter(|e| matches!(e, Event::Nak(_))).collect();
    let [Event::Nak(nak)] = naks[..] else {
        panic!("{one:?}");
    };
    assert_eq!(
        (nak.received, nak.reason, nak.batch_seq),
        (4, NakReason::Invalid, 1)
    );
    let foreign = RefusedBatch {
        actor: actor(7),
        ..refused
    };
    pair.two.handle_refused(vec![foreign]);
    assert_eq!(closed(&mut pair.two).reason, CloseReason::Identity);
}

#[test]
fn receipts_are_merged_until_the_owner_takes_them_and_never_go_back() {
    let mut pair = Pair::connected();
    pair.one.send_frame(frame(1, 1, 9));
    pair.run();
    for received in [3, 9, 5] {
        pair.two.send_receipts(receipt(1, received));
    }
    pair.run();
    assert_eq!(pair.events().0, [Event::Receipts(receipt(1, 9))]);
    assert_eq!(pair.one.positions().next().unwrap().received, 9);
}

#[test]
fn the_peers_cursors_are_its_first_positions() {
    let mut theirs = opening(2, 1);
    theirs.hello.peer_incarnation = actor(1).incarnation;
    theirs.hello.cursors = vec![super::super::message::StreamCursor {
        stream: stream(),
        received: 9,
        ..Default::default()
    }];
    let mut ours = opening(1, 2);
    ours.hello.streams = vec![super::super::message::StreamState {
        stream: stream(),
        head: 12,
        ..Default::default()
    }];
    let mut pair = Pair::new(SessionLimits::default());
    pair.one = Session::new(ours, SessionLimits::default(), pair.now);
    pair.two = Session::new(theirs, SessionLimits::default(), pair.now);
    pair.run();
    assert_eq!(pair.one.positions().next().unwrap().received, 9);
    assert!(matches!(&pair.events().0[..], [Event::Connected(_)]));
    // Received over an earlier connection, receipted over this one.
    pair.two.send_receipts(receipt(1, 12));
    pair.run();
    assert_eq!(pair.one.positions().next().unwrap().received, 12);
    pair.two.send_receipts(receipt(1, 13));
    pair.run();
    assert!(pair.one.is_closed());
}

#[test]
fn close_is_the_last_thing_sent_and_frames_before_it_still_go() {
    let mut pair = Pair::connected();
    pair.one.send_frame(frame(1, 1, 2));
    pair.one.close(Close::new(CloseReason::Shutdown, "bye"));
    pair.one.send_frame(frame(1, 3, 4));
    pair.run();
    let (_, two) = pair.events();
    assert!(
        matches!(&two[..], [Event::Frame(_), Event::Closed(Ended::ByPeer(close))] if close.reason == CloseReason::Shutdown),
        "{two:?}"
    );
}

#[test]
fn only_own_frames_of_proper_size_pass_the_check() {
    check_frame(actor(1), &frame(1, 1, 9)).unwrap();
    assert!(
        check_frame(actor(2), &frame(1, 1, 9))
            .unwrap_err()
            .contains("cannot be sent")
    );
    let mut big = frame(1, 1, 1);
    big.batches[0].raw = vec![0; FRAME_BYTES_MAX].into();
    assert!(
        check_frame(actor(1), &big)
            .unwrap_err()
            .contains("is above")
    );
}
