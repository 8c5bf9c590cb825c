//! A connection whose peer says anything, in any order, while this site sends and takes as it does.

use std::time::Duration;

use claudefs_repl::conduit::hello::Opening;
use claudefs_repl::conduit::message::{Beat, Frame, Hello, Message, PROTOCOL_MAX, PROTOCOL_MIN};
use claudefs_repl::conduit::session::{Event, Session, SessionLimits};
use claudefs_repl::journal::dot::{STREAM_COUNT, shard_of};
use claudefs_repl::journal::{Actor, EntryBatch, JournalEntry, OpKind};

use super::input::Input;
use super::message::incoming;

const OURS: Actor = Actor::new(1, 7);
const THEIRS: Actor = Actor::new(2, 9);
/// Most messages that wait for the transport, by `src/conduit/session.rs`, and one more for each stream of a frame.
const OUTBOX_MAX: usize = 64 + STREAM_COUNT as usize + 1;

pub(super) fn hello_of(actor: Actor) -> Hello {
    Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        actor,
        site_name: format!("site-{}", actor.site_id),
        cluster: "lab".to_owned(),
        shard_function: 1,
        ..Hello::default()
    }
}

/// Steps: a byte for what happens, and for a message its length and bytes.
pub(super) fn session(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let opening = Opening {
        hello: hello_of(OURS),
        remote_site_id: THEIRS.site_id,
        remote_name: "site-2".to_owned(),
        ..Opening::default()
    };
    let mut now = Duration::from_secs(1);
    let mut session = Session::new(opening, SessionLimits::default(), now);
    if !input.one_in(8) {
        session.handle_message(Message::Hello(Box::new(hello_of(THEIRS))), now);
    }
    let mut sent = 0;
    while !input.is_empty() {
        step(&mut session, &mut input, &mut now, &mut sent);
        assert_eq!(session.is_closed(), session.ended().is_some());
        for position in session.positions() {
            let known = position.stream == shard_of(9) && position.received <= sent;
            assert!(known || position.received == 0, "{position:?} of {sent}");
        }
    }
    let was_taken = session.peer().is_some();
    let waiting = std::iter::from_fn(|| session.poll_transmit()).count();
    assert!(waiting <= OUTBOX_MAX, "{waiting} messages wait");
    was_taken
}

fn step(session: &mut Session, input: &mut Input<'_>, now: &mut Duration, sent: &mut u64) {
    match input.below(8) {
        0..=3 if session.wants_input() => {
            let length = usize::from(input.short());
            let Some(taken) = incoming(&input.take(length).to_vec().into()) else {
                session.handle_garbage("no message");
                return;
            };
            session.handle_refused(taken.refused);
            if let Some(message) = taken.message {
                session.handle_message(message, *now);
            }
        }
        4 => drop(session.poll_transmit()),
        5 => {
            let event = session.poll_event(*now);
            if let Some(Event::Frame(frame)) = event {
                let of_peer = |batch: &EntryBatch| batch.actor() == THEIRS;
                assert!(frame.batches.iter().all(of_peer));
            }
        }
        6 => {
            *now += Duration::from_millis(u64::from(input.byte()) * 20);
            session.handle_timeout(*now, Beat::default());
        }
        _ => send(session, sent),
    }
}

/// The next entry of the only stream that this site has.
fn send(session: &mut Session, sent: &mut u64) {
    let seq = *sent + 1;
    let entry = JournalEntry::new(
        seq,
        shard_of(9),
        OURS.site_id,
        seq,
        9,
        OpKind::Write,
        vec![],
    );
    let mut batch = EntryBatch::new(OURS.site_id, vec![entry], 0);
    batch.incarnation = OURS.incarnation;
    let frame = Frame {
        batches: vec![batch],
        mark_us: 0,
    };
    if session.can_send(&frame) {
        session.send_frame(frame);
        *sent = seq;
    }
}
