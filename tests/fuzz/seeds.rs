//! The inputs that fuzzing began with: what honest sites write and say, in the form that each target takes.
//!
//! `CFS_REPL_REGENERATE=1 cargo test --test sim fuzz::seeds` writes them again after a change of a form.

use std::fs;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use claudefs_repl::conduit::content::{self, Answer, Body, ContentMessage, Want};
use claudefs_repl::conduit::join::Invitation;
use claudefs_repl::conduit::message::{
    Beat, Close, CloseReason, Frame, Hello, Hold, Message, Nak, NakReason, Receipt, Receipts,
    StreamCursor, StreamState,
};
use claudefs_repl::conduit::{pki, wire};
use claudefs_repl::config::{Config, Example, Role};
use claudefs_repl::content::manifest::{BlobHash, Manifest, Part};
use claudefs_repl::disk::FaultyDisk;
use claudefs_repl::journal::batch::SeenRun;
use claudefs_repl::journal::codec::{batch_to_proto, encode_change, encode_entry};
use claudefs_repl::journal::dot::{CONTROL_STREAM, Seen, shard_of};
use claudefs_repl::journal::op::{
    Attr, Content, FileTime, Horizon, ManifestRoot, MemberState, Name, Owner, Place,
};
use claudefs_repl::journal::{
    Actor, AppendGroup, Change, EntryBatch, FoldedStamp, Journal, JournalEntry, OpKind,
    ReceivedLog, RegisterDot, RegisterId, Txn,
};
use claudefs_repl::proto::{admin as pb, join, v1};
use prost::Message as _;

use super::logs::{OWNER, options, plan_of};
use super::records::frame;
use super::session::hello_of;
use super::{TARGETS, replay};
use crate::rng::Rng;

const PEER: Actor = Actor::new(2, 9);

#[test]
fn seeds_are_written_when_they_are_asked_for() {
    if std::env::var_os("CFS_REPL_REGENERATE").is_none() {
        return;
    }
    for (target, _) in TARGETS {
        let folder = replay::corpus(target);
        fs::create_dir_all(&folder).unwrap();
        let all = seeds(target).into_iter().chain(swollen(target));
        for (nth, seed) in all.enumerate() {
            fs::write(folder.join(format!("seed-{nth:02}")), seed).unwrap();
        }
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "batch" => batches()
            .iter()
            .map(|b| batch_to_proto(b).encode_to_vec())
            .collect(),
        "message" => messages().iter().map(encoded).collect(),
        "session" => vec![sessions()],
        "payload" => changes().iter().map(payload).collect(),
        "entry" => entries()
            .iter()
            .map(|entry| encode_entry(entry).to_vec())
            .collect(),
        "journal" => vec![journal()],
        "received" => vec![received()],
        "content" => contents(),
        "manifest" => manifests(),
        "hello" => vec![hellos()],
        "join" => joins(),
        "config" => configs(),
        "names" => names(),
        "admin" => admins(),
        "cursors" => vec![drawn(1, 200)],
        "records" => records(),
        _ => (0..12).map(|seed| drawn(seed, 400)).collect(),
    }
}

/// Small on the wire and large in memory: lists of empty messages, and packed numbers, inside fields with these tags.
fn swollen(target: &str) -> Vec<Vec<u8>> {
    let stretched = |front: &[u8], tags: &[u8], power: u8, piece: &[u8]| {
        let (count, size) = (tags.len() as u8, piece.len() as u8 - 1);
        [front, &[0xFF, count], tags, &[size, power], piece].concat()
    };
    let list = |front: &[u8], tags: &[u8], tag: u8| stretched(front, tags, 22, &[tag << 3 | 2, 0]);
    let numbers = |tags: &[u8]| stretched(&[], tags, 22, &[1]);
    match target {
        "batch" => vec![list(&[], &[], 8), list(&[], &[8], 2), list(&[], &[], 7)],
        "message" => vec![
            list(&[], &[2], 1),
            list(&[], &[3], 1),
            numbers(&[3, 1, 7]),
            numbers(&[1, 8]),
            list(&[], &[1], 12),
        ],
        "payload" => vec![list(&[13], &[], 5)],
        "entry" => vec![
            list(&[], &[], 11),
            list(&[], &[], 13),
            stretched(&[], &[], 17, &[0x82, 1, 0]),
        ],
        "content" => vec![list(&[], &[2], 5)],
        "manifest" => vec![list(&[0], &[], 8)],
        "join" => vec![list(&[1], &[], 3), list(&[2], &[], 5), list(&[3], &[], 4)],
        _ => Vec::new(),
    }
}

fn drawn(seed: u64, count: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..count).map(|_| rng.below(256) as u8).collect()
}

fn place() -> Place {
    let name = Name::new(b"name.txt".to_vec()).unwrap();
    Place { parent: 1, name }
}

fn attr() -> Attr {
    Attr {
        mode: Some(0o644),
        owner: Some(Owner { uid: 1, gid: 2 }),
        mtime: Some(FileTime {
            seconds: -5,
            nanos: 7,
        }),
        flags: Some(16),
    }
}

fn content_of(size: u64) -> Content {
    Content {
        size,
        manifest_root: ManifestRoot([7; 32]),
        mtime: FileTime::default(),
        inline: (size < 8).then(|| vec![1; size as usize].into()),
    }
}

/// One of every kind.
fn changes() -> Vec<Change> {
    let (place, attr) = (place(), attr());
    let name = Bytes::from_static(b"user.note");
    vec![
        Change::Create {
            place: place.clone(),
            attr,
        },
        Change::Unlink {
            place: place.clone(),
            dir: false,
        },
        Change::Rename {
            place: Some(place.clone()),
            dir: true,
        },
        Change::Write {
            content: content_of(5),
            mode: Some(0o755),
        },
        Change::Truncate {
            content: content_of(5_000),
            mode: None,
        },
        Change::SetAttr { attr },
        Change::Link {
            place: place.clone(),
        },
        Change::Symlink {
            place: place.clone(),
            attr,
            target: Bytes::from_static(b"../target"),
        },
        Change::MkDir { place, attr },
        Change::SetXattr {
            name: name.clone(),
            value: Bytes::from_static(b"value"),
        },
        Change::RemoveXattr { name },
        Change::Noop,
        Change::ConflictAck {
            conflict_id: [3; 32],
            acked: true,
            note: "note".to_owned(),
            by: "somebody".to_owned(),
        },
        Change::Member {
            site_id: 2,
            name: "site-2".to_owned(),
            incarnation: 9,
            state: MemberState::Fenced,
            final_cursors: vec![(3, 4)],
        },
        Change::ResumePoint,
        Change::Horizon(Horizon {
            through_us: 5,
            live: vec![Actor::new(2, 9)],
            ended: vec![(Actor::new(3, 9), 4)],
        }),
    ]
}

fn payload(change: &Change) -> Vec<u8> {
    let at = OpKind::ALL.iter().position(|kind| *kind == change.kind());
    let mut bytes = vec![at.unwrap() as u8];
    bytes.extend(encode_change(change));
    bytes
}

fn entry(seq: u64, change: &Change) -> JournalEntry {
    let kind = change.kind();
    let (inode, stream) = if kind.is_control() {
        (0, CONTROL_STREAM)
    } else {
        (9, shard_of(9))
    };
    let payload = encode_change(change).to_vec();
    let mut entry = JournalEntry::new(seq, stream, PEER.site_id, 50 + seq, inode, kind, payload);
    entry.incarnation = PEER.incarnation;
    entry.hlc_us = 60 + seq;
    entry
}

fn entries() -> Vec<JournalEntry> {
    let mut entries: Vec<_> = changes().iter().map(|change| entry(5, change)).collect();
    let mut full = entry(5, &changes()[3]);
    let version = |register| RegisterDot {
        register,
        actor: Actor::new(1, 7),
        seq: 3,
    };
    full.link = 11;
    full.first_seq = 2;
    full.prev = vec![version(RegisterId::Content), version(RegisterId::Mode)];
    full.overrides = vec![
        version(RegisterId::Xattr(Bytes::from_static(b"user.note"))),
        version(RegisterId::LinkPlace(11)),
    ];
    full.seen_except = vec![(Actor::new(1, 7), 2)];
    full.folded = vec![FoldedStamp {
        register: RegisterId::Mode,
        seq: 3,
        timestamp_us: 5,
    }];
    full.txn = Some(Txn {
        id: 1,
        parts: 2,
        part: 0,
    });
    full.merge_gen = 3;
    entries.push(full);
    entries
}

fn batches() -> Vec<EntryBatch> {
    let data = changes()
        .into_iter()
        .filter(|change| !change.kind().is_control());
    let data = data.zip(1..).map(|(change, seq)| entry(seq, &change));
    let control = [entry(1, &changes()[13]), entry(2, &Change::Noop)];
    let mut all = EntryBatch::new(PEER.site_id, data.collect(), 1);
    all.chain_last = [4; 32];
    all.seen_runs = vec![SeenRun {
        first_seq: 1,
        seen: [(Actor::new(1, 7), 3)].into_iter().collect(),
    }];
    let mut empty = all.clone();
    empty.entries.clear();
    empty.last = 900;
    let mut batches = vec![
        all,
        EntryBatch::new(PEER.site_id, control.to_vec(), 2),
        empty,
    ];
    for batch in &mut batches {
        batch.incarnation = PEER.incarnation;
        batch.stream = batch.entries.first().map_or(batch.stream, |e| e.shard_id);
    }
    batches
}

fn hello() -> Hello {
    Hello {
        tags: vec![5, 600],
        streams: vec![StreamState {
            stream: 1,
            tail: 2,
            head: 9,
            chain_head: [4; 32],
        }],
        cursors: vec![StreamCursor {
            stream: 1,
            received: 9,
            chain: [4; 32],
            merged: 8,
            durable: 7,
            applied: 6,
        }],
        features: vec!["x".to_owned()],
        peer_incarnation: 7,
        founder: Some(PEER),
        ..hello_of(PEER)
    }
}

fn messages() -> Vec<Message> {
    vec![
        Message::Hello(Box::new(hello())),
        Message::Frame(Frame {
            batches: batches(),
            mark_us: 9,
        }),
        Message::Receipts(Receipts {
            receipts: vec![Receipt {
                actor: Actor::new(1, 7),
                stream: shard_of(9),
                received: 1,
                merged: 1,
                durable: 1,
                applied: 1,
                parked: vec![1],
                parked_count: 1,
            }],
            applied_mark_us: 3,
        }),
        Message::Heartbeat(Beat {
            mark_us: 5,
            backlog_bytes: 6,
            ..Beat::default()
        }),
        Message::Nak(Nak {
            actor: Actor::new(1, 7),
            stream: shard_of(9),
            reason: NakReason::Gap,
            received: 0,
            batch_seq: 1,
            detail: "why".to_owned(),
        }),
        Message::Hold(Hold {
            until_us: 7,
            detail: "why".to_owned(),
        }),
        Message::Close(Close::new(CloseReason::Protocol, "why")),
    ]
}

fn encoded(message: &Message) -> Vec<u8> {
    wire::encode(message).encode_to_vec()
}

/// Everything that a peer says, between what this site does.
fn sessions() -> Vec<u8> {
    let mut bytes = vec![0];
    for message in messages().iter().skip(1) {
        let message = encoded(message);
        bytes.push(7);
        bytes.push(0);
        bytes.extend(u16::try_from(message.len()).unwrap().to_le_bytes());
        bytes.extend(message);
        bytes.extend([4, 5, 6, 100]);
    }
    bytes
}

fn journal() -> Vec<u8> {
    let disk = FaultyDisk::new(1);
    let folder = Path::new("/log");
    let mut journal = Journal::create(disk.shared(), folder, OWNER, options()).unwrap();
    for seq in 1..40 {
        let mut one = JournalEntry::new(seq, shard_of(9), 3, seq, 9, OpKind::Write, vec![7; 20]);
        one.incarnation = OWNER.incarnation;
        let seen: Seen = [(PEER, seq / 4)].into_iter().collect();
        journal.append(&[AppendGroup::of(one, seen)]).unwrap();
    }
    plan_of(&disk, folder)
}

fn received() -> Vec<u8> {
    let disk = FaultyDisk::new(1);
    let folder = Path::new("/log");
    let (mut log, _) = ReceivedLog::open(disk.shared(), folder, OWNER, options()).unwrap();
    let mut chain = [0; 32];
    for seq in 1..20 {
        let mut one = JournalEntry::new(seq, shard_of(9), 3, seq, 9, OpKind::Write, vec![7; 20]);
        one.incarnation = OWNER.incarnation;
        let mut batch = EntryBatch::new(OWNER.site_id, vec![one], seq);
        batch.seen_runs = vec![SeenRun {
            first_seq: seq,
            seen: [(PEER, seq / 4 + 1)].into_iter().collect(),
        }];
        (batch.chain_prev, batch.chain_last) = (chain, [seq as u8; 32]);
        chain = batch.chain_last;
        log.append(&[batch]).unwrap();
    }
    plan_of(&disk, folder)
}

fn contents() -> Vec<Vec<u8>> {
    let bodies = [
        Body::Want(Want {
            inode: 9,
            actor: PEER,
            seq: 4,
            manifest_root: [7; 32],
            hashes: vec![[8; 32]],
        }),
        Body::Answer(Answer::Chunk {
            hash: [8; 32],
            bytes: Bytes::from_static(b"bytes"),
        }),
        Body::Answer(Answer::Gone {
            superseded_by: Some((PEER, 5)),
        }),
        Body::Answer(Answer::Busy { retry_after_ms: 5 }),
        Body::Answer(Answer::Done),
    ];
    let encoded = |body| content::encode(ContentMessage { request: 3, body }).encode_to_vec();
    bodies.into_iter().map(encoded).collect()
}

fn manifests() -> Vec<Vec<u8>> {
    let part = |size, hash| Part { size, hash };
    let parts = vec![part(5, Some(BlobHash([1; 32]))), part(9, None)];
    let node = |size, level, parts| {
        let mut bytes = vec![0];
        bytes.extend(Manifest { size, level, parts }.encode());
        bytes
    };
    let mut walked = vec![1];
    walked.extend(drawn(3, 120));
    vec![
        node(14, 0, parts),
        node(7, 1, vec![part(7, Some(BlobHash([2; 32])))]),
        walked,
    ]
}

fn hellos() -> Vec<u8> {
    let ours = Hello {
        peer_incarnation: PEER.incarnation,
        ..Hello {
            actor: Actor::new(1, 7),
            founder: Some(PEER),
            ..hello()
        }
    };
    let body = |hello: Hello| match wire::encode(&Message::Hello(Box::new(hello))).body {
        Some(v1::replicate_message::Body::Hello(hello)) => hello.encode_to_vec(),
        other => panic!("{other:?}"),
    };
    let (ours, theirs) = (body(ours), body(hello()));
    let mut bytes = vec![3];
    bytes.extend(u16::try_from(ours.len()).unwrap().to_le_bytes());
    bytes.extend(ours);
    bytes.extend(theirs);
    bytes
}

fn kinded(kind: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [&[kind], bytes.as_ref()].concat()
}

fn joins() -> Vec<Vec<u8>> {
    let invitation = Invitation {
        cluster: "lab".to_owned(),
        site: "a".to_owned(),
        endpoints: vec!["127.0.0.1:7000".to_owned()],
        authority: [5; 32],
        secret: [6; 16],
        expires_us: 7,
        name: Some("new".to_owned()),
    };
    let message = join::Invitation {
        cluster: "lab".to_owned(),
        authority: vec![5; 32].into(),
        secret: vec![6; 16].into(),
        ..join::Invitation::default()
    };
    let request = join::JoinRequest {
        cluster: "lab".to_owned(),
        endpoints: vec!["127.0.0.1:7000".to_owned()],
        ..join::JoinRequest::default()
    };
    let reply = join::JoinReply {
        site_id: 3,
        sites: vec![join::Site::default()],
        ..join::JoinReply::default()
    };
    let (_, signing) = pki::request("new", "lab", 1_767_225_600_000_000).unwrap();
    vec![
        kinded(0, invitation.token()),
        kinded(1, message.encode_to_vec()),
        kinded(2, request.encode_to_vec()),
        kinded(3, reply.encode_to_vec()),
        kinded(4, signing),
    ]
}

fn configs() -> Vec<Vec<u8>> {
    let example = Config::example(&Example {
        site_id: 1,
        name: "a",
        cluster: "lab",
        role: Role::Bidirectional,
        primary_site_id: None,
        existing: claudefs_repl::config::Existing::Bring,
        root: Path::new("/srv/tree"),
        state: Path::new("/var/lib/cfs-repl"),
        listen: None,
        tls: None,
        ca_key: false,
        peers: &[],
    });
    let bare = example.lines().filter(|line| !line.starts_with('#'));
    let bare: String = bare.map(|line| format!("{line}\n")).collect();
    let mut seeds = vec![kinded(0, &bare)];
    for value in [
        "1h 30m",
        "20 GiB",
        "75%",
        "0.0.0.0:7000",
        "-1",
        "99999999999999999999d",
    ] {
        seeds.push(kinded(7, value));
    }
    seeds
}

fn names() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for name in [
        &b"plan.xlsx"[..],
        b".profile",
        "\u{e9}".repeat(127).as_bytes(),
        &[0xFF; 255],
        b"x.cfs-conflict-2-000g000000005.txt",
    ] {
        for fill in [1, 0x55] {
            seeds.push([&[fill; 28], name].concat());
        }
    }
    seeds
}

fn admins() -> Vec<Vec<u8>> {
    let status = pb::StatusReply {
        site: "a".to_owned(),
        sites: vec![pb::SiteStatus::default()],
        journal: Some(pb::JournalStatus::default()),
        conflicts: Some(pb::ConflictCounts::default()),
        tree: Some(pb::TreeStatus::default()),
        ..pb::StatusReply::default()
    };
    let lag = pb::LagReply {
        site: "a".to_owned(),
        sites: vec![pb::SiteLag::default()],
        ..pb::LagReply::default()
    };
    let filter = pb::ConflictFilter {
        path: Some("/a/**/*.{txt,md}".to_owned()),
        ..pb::ConflictFilter::default()
    };
    let conflict = pb::Conflict {
        loser: Some(pb::Version::default()),
        ..pb::Conflict::default()
    };
    let event = pb::Event {
        site: Some("a".to_owned()),
        ..pb::Event::default()
    };
    let whats = [
        pb::watch_update::What::Snapshot(pb::Snapshot {
            status: Some(status.clone()),
            lag: Some(lag.clone()),
        }),
        pb::watch_update::What::Delta(pb::Delta {
            gone: vec!["a".to_owned()],
            ..pb::Delta::default()
        }),
    ];
    let mut updates = BytesMut::new();
    for what in whats {
        let what = Some(what);
        let update = pb::WatchUpdate {
            what,
            ..pb::WatchUpdate::default()
        };
        updates.extend_from_slice(&update.encode_length_delimited_to_vec());
    }
    vec![
        kinded(0, status.encode_to_vec()),
        kinded(1, lag.encode_to_vec()),
        kinded(3, conflict.encode_to_vec()),
        kinded(7, event.encode_to_vec()),
        kinded(12, filter.encode_to_vec()),
        kinded(13, updates),
    ]
}

/// As the tree writes them.
fn records() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    drop(claudefs_repl::tree::boot::Boot::begin(state, "one".to_owned(), None).unwrap());
    let boot = fs::read(state.join("tree-boot")).unwrap();
    // A head that says one step, and the step: inode, action, from and to, each a base and a name, and what moves.
    let spot = [8, 1, 18, 1, b'x'];
    let mut step = vec![9, 5, 0, 0, 0, 0, 0, 0, 0, 16, 1];
    for tag in [34, 42] {
        step.push(tag);
        step.push(spot.len() as u8);
        step.extend(spot);
    }
    step.extend([50, 2, 8, 7]);
    let mut intents = Vec::new();
    frame(&mut intents, &[8, 1, 16, 1]);
    frame(&mut intents, &step);
    let mut framed = vec![0, 1];
    for body in [&[8_u8, 1, 16, 1][..], &step] {
        framed.extend(u16::try_from(body.len()).unwrap().to_le_bytes());
        framed.extend(body);
    }
    vec![
        kinded(0, kinded(0, intents)),
        framed,
        kinded(1, kinded(0, boot)),
    ]
}
