//! What a peer says of itself, held against what is known of it.

use std::collections::BTreeMap;

use claudefs_repl::conduit::hello::{self, Opening, Remembered};
use claudefs_repl::conduit::message::{Hello, Message, PROTOCOL_MAX, PROTOCOL_MIN};
use claudefs_repl::conduit::wire;
use claudefs_repl::journal::Actor;
use claudefs_repl::journal::dot::STREAM_COUNT;
use claudefs_repl::proto::v1;
use prost::Message as _;
use v1::replicate_message::Body;

use super::input::Input;

/// What differs, then our hello behind its length, then theirs.
pub(super) fn hello(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let (flags, length) = (input.byte(), usize::from(input.short()));
    let (Some(mut ours), Some(mut theirs)) = (read(input.take(length)), read(input.rest())) else {
        return false;
    };
    if flags & 1 != 0 {
        // Else hardly any two would agree in so much.
        agree(&mut ours, &mut theirs);
    }
    let opening = opening(ours, &theirs, flags);
    let Ok(agreed) = hello::check(&opening, &theirs) else {
        return false;
    };
    let version = agreed.version;
    assert!(opening.takes_over || !agreed.filling.is_any());
    assert!((PROTOCOL_MIN..=PROTOCOL_MAX).contains(&version));
    assert!((theirs.protocol_min..=theirs.protocol_max).contains(&version));
    let streams = theirs.streams.iter().map(|state| state.stream);
    assert!(streams.is_sorted_by(|a, b| a < b) && theirs.streams.len() <= STREAM_COUNT as usize);
    assert!(!opening.fenced.contains_key(&theirs.actor));
    for cursor in theirs.cursors_of(opening.hello.actor.incarnation) {
        let mut ours = opening.hello.streams.iter();
        let head = ours.find(|state| state.stream == cursor.stream);
        let head = head.map_or(0, |state| state.head);
        assert!(
            cursor.received <= head || opening.hello.actor.incarnation == 0,
            "a peer that has more of ours than there is was believed"
        );
    }
    true
}

pub(super) fn read(bytes: &[u8]) -> Option<Hello> {
    let body = Some(Body::Hello(v1::Hello::decode(bytes).ok()?));
    match wire::decode(v1::ReplicateMessage { body, crc32: 0 })
        .ok()?
        .message?
    {
        Message::Hello(hello) => Some(*hello),
        Message::Frame(_)
        | Message::Receipts(_)
        | Message::Heartbeat(_)
        | Message::Nak(_)
        | Message::Hold(_)
        | Message::Close(_)
        | Message::SnapshotRequest(_)
        | Message::SnapshotPage(_) => None,
    }
}

fn agree(ours: &mut Hello, theirs: &mut Hello) {
    (theirs.protocol_min, theirs.protocol_max) = (PROTOCOL_MIN, PROTOCOL_MAX);
    theirs.cluster.clone_from(&ours.cluster);
    theirs.shard_function = 1;
    if theirs.actor.site_id == ours.actor.site_id {
        theirs.actor.site_id = 1 + ours.actor.site_id % 65_535;
    }
    for hello in [ours, theirs] {
        hello.streams.sort_by_key(|state| state.stream);
        hello.streams.dedup_by_key(|state| state.stream);
        hello.cursors.sort_by_key(|cursor| cursor.stream);
        hello.cursors.dedup_by_key(|cursor| cursor.stream);
    }
}

fn opening(ours: Hello, theirs: &Hello, flags: u8) -> Opening {
    let mut remembered = Remembered::default();
    if flags & 2 != 0 {
        remembered.incarnation = theirs.actor.incarnation;
        let states = ours.cursors.iter();
        remembered.streams = states
            .map(|one| (one.stream, (one.received, one.chain)))
            .collect();
    }
    let fenced = match flags >> 2 & 3 {
        0 => None,
        1 => Some(theirs.actor),
        2 => Some(ours.actor),
        _ => Some(Actor::new(9, 9)),
    };
    let fenced: BTreeMap<_, _> = fenced.into_iter().map(|a| (a, "why".to_owned())).collect();
    Opening {
        remote_site_id: theirs.actor.site_id,
        remote_name: theirs.site_name.clone(),
        certificate_site: (flags & 16 != 0).then(|| theirs.site_name.clone()),
        joined: flags & 32 != 0,
        takes_over: flags & 64 != 0,
        hello: ours,
        remembered,
        fenced,
    }
}
