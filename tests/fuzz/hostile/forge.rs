//! Makes batches that pass every check of their form, of whatever the bytes of the fuzzer say.

use std::collections::BTreeMap;

use bytes::Bytes;
use claudefs_repl::conduit::message::Message;
use claudefs_repl::journal::batch::{ChainHash, SeenRun};
use claudefs_repl::journal::codec::{batch_to_proto, encode_change};
use claudefs_repl::journal::dot::{CONTROL_STREAM, ROOT_INODE, Seen, shard_of};
use claudefs_repl::journal::op::{
    Attr, Change, Content, FileTime, Horizon, ManifestRoot, MemberState, Name, OpKind, Owner, Place,
};
use claudefs_repl::journal::{
    Actor, EntryBatch, FoldedStamp, JournalEntry, RegisterDot, RegisterId, Txn,
};
use claudefs_repl::proto::v1;
use prost::Message as _;

use super::HOSTILE;
use crate::fuzz::input::Input;
use crate::fuzz::message::incoming;

/// Names that others choose too, and some that are hard to bear.
const NAMES: [&[u8]; 7] = [
    b"a",
    b"b",
    b"c.txt",
    b"d",
    b"\xFF\n\x1B[2J",
    b"a.cfs-conflict-1-000g000000005",
    &[b'n'; 255],
];

/// The heads of the honest sites, in the order of their ids.
type Heads = [BTreeMap<u32, u64>; 2];

/// What the peer has said so far.
#[derive(Debug, Default)]
pub(super) struct Forger {
    heads: BTreeMap<u32, (u64, ChainHash)>,
    made: Vec<u64>,
    counter: u32,
    batch_seq: u64,
}

impl Forger {
    /// A batch as it is after its way over the wire; none when it is refused there.
    pub(super) fn batch(
        &mut self,
        input: &mut Input<'_>,
        inodes: &[u64],
        heads: &Heads,
        now_us: u64,
    ) -> Option<EntryBatch> {
        let is_control = input.one_in(12);
        let inode = self.inode(input, inodes);
        let stream = if is_control {
            CONTROL_STREAM
        } else {
            shard_of(inode)
        };
        let (head, chain) = self.heads.get(&stream).copied().unwrap_or_default();
        // There is no room for more behind a batch that declared almost all numbers.
        head.checked_add(2_000)?;
        let mut seq = head;
        let mut entries = Vec::new();
        for _ in 0..input.below(4) {
            seq += 1 + if input.one_in(8) {
                u64::from(input.byte())
            } else {
                0
            };
            let change = if is_control {
                control(input)
            } else {
                self.change(input, inode, inodes)
            };
            let inode = if is_control { 0 } else { inode };
            let stamps = (stamp(input, now_us), stamp(input, now_us));
            let mut entry = entry(seq, stream, inode, &change, stamps);
            self.decorate(input, &mut entry, inodes, heads, head);
            entries.push(entry);
        }
        self.batch_seq += 1;
        let mut batch = EntryBatch::new(HOSTILE.site_id, entries, self.batch_seq);
        (batch.incarnation, batch.stream) = (HOSTILE.incarnation, stream);
        batch.first = head + 1;
        batch.last = seq.max(head + 1);
        if input.one_in(16) {
            batch.last = input.number();
        }
        batch.chain_prev = chain;
        batch.chain_last = *blake3::hash(&batch.last.to_le_bytes()).as_bytes();
        batch.seen_runs = vec![SeenRun {
            first_seq: batch.first,
            seen: seen(input, stream, heads),
        }];
        travelled(&batch)
    }

    /// The batch was taken.
    pub(super) fn said(&mut self, batch: &EntryBatch) {
        let head = (batch.last, batch.chain_last);
        self.heads.insert(batch.stream, head);
    }

    fn inode(&mut self, input: &mut Input<'_>, inodes: &[u64]) -> u64 {
        match input.below(8) {
            0..=1 => self.fresh(),
            2..=3 => input.pick(&self.made).copied().unwrap_or(ROOT_INODE),
            4..=5 => input.pick(inodes).copied().unwrap_or(ROOT_INODE),
            6 => ROOT_INODE,
            _ => input.number().max(1),
        }
    }

    fn fresh(&mut self) -> u64 {
        self.counter += 1;
        let inode = HOSTILE.site_id << 48 | 9 << 32 | u64::from(self.counter);
        self.made.push(inode);
        inode
    }

    fn place(&mut self, input: &mut Input<'_>, inodes: &[u64]) -> Place {
        let parent = if input.one_in(2) {
            ROOT_INODE
        } else {
            self.inode(input, inodes)
        };
        let name = NAMES[input.below(NAMES.len())];
        Place {
            parent,
            name: Name::new(name).expect("the names are valid"),
        }
    }

    fn change(&mut self, input: &mut Input<'_>, inode: u64, inodes: &[u64]) -> Change {
        let kind = input.below(12);
        let place = self.place(input, inodes);
        let dir = input.one_in(2);
        match kind {
            0 => Change::Create {
                place,
                attr: attr(input),
            },
            1 | 2 => Change::MkDir {
                place,
                attr: attr(input),
            },
            3 => Change::Symlink {
                place,
                attr: attr(input),
                target: Bytes::from(format!("../{}", input.byte())),
            },
            4 => Change::Link { place },
            5 => Change::Unlink { place, dir },
            6 | 7 => Change::Rename {
                place: (!dir || !input.one_in(4)).then_some(place),
                dir,
            },
            8 | 9 => Change::Write {
                content: content(input, inode),
                mode: input.one_in(4).then_some(0o4755),
            },
            10 => Change::SetAttr { attr: attr(input) },
            _ if dir => Change::SetXattr {
                name: Bytes::from_static(b"user.note"),
                value: Bytes::from(vec![input.byte()]),
            },
            _ => Change::RemoveXattr {
                name: Bytes::from_static(b"user.note"),
            },
        }
    }

    /// What is said beside the operation: what it replaced, overrode and had not seen.
    fn decorate(
        &mut self,
        input: &mut Input<'_>,
        entry: &mut JournalEntry,
        inodes: &[u64],
        heads: &Heads,
        head: u64,
    ) {
        if entry.op.is_control() {
            return;
        }
        if entry.op == OpKind::Link || input.one_in(16) {
            entry.link = self.inode(input, inodes);
        }
        let stream = entry.shard_id;
        for _ in 0..input.below(3) {
            entry.prev.push(version(input, entry, stream, heads));
        }
        if input.one_in(4) {
            entry.overrides.push(version(input, entry, stream, heads));
        }
        if input.one_in(8) {
            let (actor, known) = honest(input, stream, heads);
            let seq = known.saturating_sub(u64::from(input.byte()));
            entry.seen_except.push((actor, seq));
        }
        if input.one_in(8) {
            entry.first_seq = head + 1;
            entry.folded.push(FoldedStamp {
                register: register(input, entry),
                seq: head + 1,
                timestamp_us: entry.timestamp_us.saturating_sub(u64::from(input.short())),
            });
        }
        if input.one_in(8) {
            entry.txn = Some(Txn {
                id: input.number(),
                parts: u32::from(input.short()) << 16 | 2,
                part: u32::from(input.byte()),
            });
        }
        entry.merge_gen = if input.one_in(8) { u32::MAX } else { 0 };
    }
}

fn entry(
    seq: u64,
    stream: u32,
    inode: u64,
    change: &Change,
    (timestamp_us, hlc_us): (u64, u64),
) -> JournalEntry {
    let payload = encode_change(change).to_vec();
    let (site, op) = (HOSTILE.site_id, change.kind());
    let mut entry = JournalEntry::new(seq, stream, site, timestamp_us, inode, op, payload);
    entry.incarnation = HOSTILE.incarnation;
    entry.hlc_us = hlc_us;
    entry
}

fn control(input: &mut Input<'_>) -> Change {
    match input.below(5) {
        0 => Change::Noop,
        1 => Change::ResumePoint,
        4 => Change::Horizon(Horizon {
            through_us: input.below(1_000) as u64,
            live: vec![Actor::new(
                1 + input.below(5) as u64,
                1 + input.below(9) as u64,
            )],
            ended: vec![(HOSTILE, input.below(9) as u64)],
        }),
        2 => Change::ConflictAck {
            conflict_id: [input.byte(); 32],
            acked: input.one_in(2),
            note: "note".to_owned(),
            by: "somebody".to_owned(),
        },
        _ => Change::Member {
            site_id: 1 + input.below(5) as u64,
            name: "site".to_owned(),
            incarnation: if input.one_in(2) {
                input.number()
            } else {
                (1 + input.below(3) as u64) << 48 | 7
            },
            state: [
                MemberState::Active,
                MemberState::Fenced,
                MemberState::Removed,
            ][input.below(3)],
            final_cursors: vec![(u32::from(input.short()), input.number())],
        },
    }
}

fn attr(input: &mut Input<'_>) -> Attr {
    let bits = input.byte();
    let id = u32::from(bits);
    let time = FileTime {
        seconds: if bits & 32 != 0 {
            i64::MIN
        } else {
            i64::from(bits)
        },
        nanos: 999_999_999,
    };
    Attr {
        mode: (bits & 1 != 0).then_some(0o6755),
        owner: (bits & 2 != 0).then_some(Owner {
            uid: id,
            gid: u32::MAX,
        }),
        mtime: (bits & 4 != 0).then_some(time),
        flags: (bits & 8 != 0).then_some(id),
    }
}

fn content(input: &mut Input<'_>, inode: u64) -> Content {
    let value = input.byte();
    let size = match value & 3 {
        0 => 0,
        1 => i64::MAX.unsigned_abs(),
        _ => u64::from(value),
    };
    let root = if size == 0 {
        [0; 32]
    } else {
        *blake3::hash(&[value, inode as u8]).as_bytes()
    };
    Content {
        size,
        manifest_root: ManifestRoot(root),
        mtime: FileTime {
            seconds: i64::from(value),
            nanos: 0,
        },
        inline: None,
    }
}

fn stamp(input: &mut Input<'_>, now_us: u64) -> u64 {
    match input.below(16) {
        0 => 0,
        1 => u64::MAX,
        2 => input.number(),
        3 => now_us + 290_000_000,
        4..=7 => now_us - u64::from(input.byte()) * 1_000_000,
        _ => now_us + u64::from(input.short()) * 100,
    }
}

fn honest(input: &mut Input<'_>, stream: u32, heads: &Heads) -> (Actor, u64) {
    let at = input.below(2);
    let id = 1 + at as u64;
    let head = heads[at].get(&stream).copied().unwrap_or(0);
    (Actor::new(id, id << 48 | 7), head)
}

fn seen(input: &mut Input<'_>, stream: u32, heads: &Heads) -> Seen {
    let mut seen = Seen::new();
    for _ in 0..2 {
        let (actor, head) = honest(input, stream, heads);
        // Now and then all of it, and never more than there is.
        let known = head.min(u64::from(input.byte() / 16));
        seen.set(actor, if input.one_in(2) { head } else { known });
    }
    seen
}

fn register(input: &mut Input<'_>, entry: &JournalEntry) -> RegisterId {
    match input.below(8) {
        0 => RegisterId::Mode,
        1 => RegisterId::Owner,
        2 => RegisterId::Times,
        3 => RegisterId::Flags,
        4 => RegisterId::Xattr(Bytes::from_static(b"user.note")),
        5 => RegisterId::LinkPlace(entry.link),
        6 => RegisterId::DirPlace,
        _ => RegisterId::Content,
    }
}

fn version(input: &mut Input<'_>, entry: &JournalEntry, stream: u32, heads: &Heads) -> RegisterDot {
    let (actor, head) = honest(input, stream, heads);
    let (actor, seq) = match input.below(4) {
        0 => (HOSTILE, u64::from(input.byte())),
        1 => (actor, input.number()),
        _ => (actor, head.saturating_sub(u64::from(input.byte() / 64))),
    };
    RegisterDot {
        register: register(input, entry),
        actor,
        seq,
    }
}

/// The batch as a receiver decodes it; none when it refuses it.
fn travelled(batch: &EntryBatch) -> Option<EntryBatch> {
    let frame = v1::Frame {
        batches: vec![batch_to_proto(batch)],
        mark_us: 0,
    };
    let body = Some(v1::replicate_message::Body::Frame(frame));
    let bytes = v1::ReplicateMessage { body, crc32: 0 }.encode_to_vec();
    let taken = incoming(&bytes.into())?;
    let Some(Message::Frame(frame)) = taken.message else {
        return None;
    };
    frame.batches.into_iter().next()
}
