//! Entries and their payloads.

use bytes::Bytes;
use claudefs_repl::journal::codec::{
    ENTRY_BYTES_MAX, decode_change, decode_entry, encode_change, encode_entry,
};
use claudefs_repl::journal::dot::{CONTROL_STREAM, shard_of};
use claudefs_repl::journal::entry::PAYLOAD_BYTES_MAX;
use claudefs_repl::journal::op::NAME_BYTES_MAX;
use claudefs_repl::journal::{Actor, Change, JournalEntry, OpKind};

use super::input::{Input, stretched};
use super::within;

/// A payload of the operation that the first byte names.
pub(super) fn payload(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let op = OpKind::ALL[input.below(OpKind::ALL.len())];
    let payload = stretched(input.rest(), PAYLOAD_BYTES_MAX);
    let (inode, stream) = if op.is_control() {
        (0, CONTROL_STREAM)
    } else {
        (9, shard_of(9))
    };
    let mut entry = JournalEntry::new(1, stream, 2, 5, inode, op, Vec::new());
    entry.payload = payload;
    entry.crc32 = entry.compute_crc();
    if entry.validate().is_err() {
        return false;
    }
    let Ok(change) = within(PAYLOAD_BYTES_MAX, || decode_change(&entry)) else {
        return false;
    };
    if let Some(name) = name_of(&change) {
        assert!((1..=NAME_BYTES_MAX).contains(&name.len()));
        assert!(!name.contains(&b'/') && !name.contains(&0) && name != b".." && name != b".");
    }
    entry.payload = encode_change(&change);
    let again = decode_change(&entry).expect("what was taken is taken again");
    assert_eq!(again, change);
    true
}

fn name_of(change: &Change) -> Option<&[u8]> {
    match change {
        Change::Create { place, .. }
        | Change::MkDir { place, .. }
        | Change::Symlink { place, .. }
        | Change::Link { place }
        | Change::Unlink { place, .. }
        | Change::Rename {
            place: Some(place), ..
        } => Some(place.name.as_bytes()),
        Change::Write { .. }
        | Change::Truncate { .. }
        | Change::SetAttr { .. }
        | Change::SetXattr { .. }
        | Change::RemoveXattr { .. }
        | Change::Noop
        | Change::ConflictAck { .. }
        | Change::Member { .. }
        | Change::ResumePoint
        | Change::Horizon(_) => None,
        // Without a place, or what is added one day.
        Change::Rename { .. } | _ => None,
    }
}

/// An entry as it stands in a log.
pub(super) fn entry(bytes: &[u8]) -> bool {
    let bytes: Bytes = stretched(bytes, ENTRY_BYTES_MAX);
    if bytes.len() > ENTRY_BYTES_MAX {
        return false;
    }
    let actor = Actor::new(2, 7);
    let Ok(entry) = within(ENTRY_BYTES_MAX, || decode_entry(actor, bytes)) else {
        return false;
    };
    let is_valid = entry.validate().is_ok();
    // Zero means "as the seq", so it does not come back.
    if entry.first_seq == 0 || entry.hlc_us == 0 || entry.link == 0 {
        return is_valid;
    }
    let again = decode_entry(actor, encode_entry(&entry)).expect("what was taken is taken again");
    assert_eq!(again, entry);
    is_valid
}
