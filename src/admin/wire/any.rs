//! Any bytes as what travels between a daemon and the programs of its operators, for the tests that make them up.
//!
//! The decodings are private to [`crate::admin`]; this one door is less than to open each of them.

use prost::Message;

use super::*;
use crate::admin::delta::take_in;
use crate::admin::view::Overview;

/// Kinds of messages that [`read_any`] knows.
const KINDS: u8 = 15;

/// Reads `bytes` as the kind of message that `kind` names, and what comes of it as far as nobody is asked. Whether they
/// are one.
///
/// # Panics
/// When what was read is not read again as it was after it was written.
#[doc(hidden)]
pub fn read_any(kind: u8, bytes: &[u8]) -> bool {
    match kind % KINDS {
        0 => again(bytes, |m| status_from(m).ok(), status_to),
        1 => again(bytes, |m| Some(lags_from(m)), lags_to),
        2 => again(
            bytes,
            |m| detail_from(m).ok(),
            |(site, view)| detail_to(site, view),
        ),
        3 => again(bytes, |m| conflict_from(m).ok(), conflict_to),
        4 => again(bytes, |m| Some(acked_from(m)), acked_to),
        5 => again(bytes, |m| Some(restored_from(m)), restored_to),
        6 => again(bytes, |m| Some(resumed_from(m)), resumed_to),
        7 => again(bytes, |m| Some(event_from(m)), event_to),
        8 => again(bytes, |m| Some(invite::wish_from(m)), invite::wish_to),
        9 => again(
            bytes,
            |m| Some(invite::invite_from(m)),
            |view| invite::invite_to(String::new(), view),
        ),
        10 => again(bytes, |m| preview::piece_from(m).ok(), preview::piece_to),
        11 => again(bytes, |m| Some(tail::entry_from(m)), tail::entry_to),
        12 => filter(bytes),
        13 => again(
            bytes,
            |m| Some(invite::invitation_from(m)),
            invite::invitation_to,
        ),
        _ => updates(bytes),
    }
}

/// What was read comes back as it was.
fn again<M, V>(bytes: &[u8], from: impl Fn(M) -> Option<V>, to: impl Fn(V) -> M) -> bool
where
    M: Message + Default,
    V: Clone + PartialEq + std::fmt::Debug,
{
    let Some(view) = M::decode(bytes).ok().and_then(&from) else {
        return false;
    };
    assert_eq!(from(to(view.clone())).as_ref(), Some(&view));
    true
}

fn filter(bytes: &[u8]) -> bool {
    let Ok(message) = pb::ConflictFilter::decode(bytes) else {
        return false;
    };
    let Ok(matcher) = filter_from(message).matcher() else {
        return false;
    };
    let paths = [Some(&b"a/b.txt"[..]), Some(b"\xFF")];
    let any = paths.iter().any(|path| matcher.lets_path_through(*path));
    any || !matcher.lets_path_through(None)
}

/// Looks and differences, each behind its length in one byte, as a program takes them in that watches.
fn updates(mut bytes: &[u8]) -> bool {
    let mut overview: Option<Overview> = None;
    while let Some((length, rest)) = bytes.split_first() {
        let (update, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = rest;
        let update = pb::WatchUpdate::decode(update).ok().map(update_from);
        let Some(Ok(Some(update))) = update else {
            continue;
        };
        let written = pb::WatchUpdate {
            what: Some(update_to(update.clone())),
            ..pb::WatchUpdate::default()
        };
        assert_eq!(update_from(written), Ok(Some(update.clone())));
        match (update, &mut overview) {
            (Update::Snapshot(whole), _) => overview = Some(*whole),
            (Update::Delta(delta), Some(overview)) => take_in(overview, *delta),
            (Update::Delta(_) | Update::Heartbeat { .. } | Update::Unreadable { .. }, _) => {}
        }
    }
    overview.is_some()
}
