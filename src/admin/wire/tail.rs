//! Pure: entries of the journal, between views and the wire.

use bytes::Bytes;

use crate::admin::view::journal::{EntryView, TailRequest};
use crate::proto::admin as pb;

pub(in crate::admin) fn request_to(request: TailRequest) -> pb::JournalTailRequest {
    pb::JournalTailRequest {
        stream: request.stream,
        ops: request.ops,
        inode: request.inode,
        name: request.name,
        last: request.last,
        follow: request.follow,
    }
}

pub(in crate::admin) fn request_from(request: pb::JournalTailRequest) -> TailRequest {
    TailRequest {
        stream: request.stream,
        ops: request.ops,
        inode: request.inode,
        name: request.name,
        last: request.last,
        follow: request.follow,
    }
}

pub(in crate::admin) fn entry_to(entry: EntryView) -> pb::JournalEntry {
    pb::JournalEntry {
        site: entry.site,
        site_id: entry.site_id,
        incarnation: entry.incarnation,
        stream: entry.stream,
        seq: entry.seq,
        timestamp_us: entry.timestamp_us,
        op: entry.op,
        inode: entry.inode,
        parent: entry.parent,
        name: entry.name.map(Bytes::from),
        size_bytes: entry.size_bytes,
        entry_bytes: entry.entry_bytes,
    }
}

pub(in crate::admin) fn entry_from(entry: pb::JournalEntry) -> EntryView {
    EntryView {
        site: entry.site,
        site_id: entry.site_id,
        incarnation: entry.incarnation,
        stream: entry.stream,
        seq: entry.seq,
        timestamp_us: entry.timestamp_us,
        op: entry.op,
        inode: entry.inode,
        parent: entry.parent,
        name: entry.name.map(Vec::from),
        size_bytes: entry.size_bytes,
        entry_bytes: entry.entry_bytes,
    }
}
