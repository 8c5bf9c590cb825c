//! The encoding is a contract: every change and every field survives a round trip, golden bytes pin the format, and
//! hostile bytes are refused without a panic.

use proptest::prelude::*;

use super::super::dot::shard_of;
use super::super::op::{
    Attr, Change, Content, FileTime, Horizon, ManifestRoot, MemberState, Name, Owner, Place,
};
use super::*;

fn name(text: &str) -> Name {
    Name::new(text.as_bytes().to_vec()).unwrap()
}

fn every_change() -> Vec<Change> {
    let mut changes = namespace_changes();
    changes.extend(inode_changes());
    changes.extend(control_changes());
    changes
}

fn sample_attr() -> Attr {
    Attr {
        mode: Some(0o4755),
        owner: Some(Owner { uid: 0, gid: 7 }),
        mtime: Some(SAMPLE_TIME),
        flags: Some(0),
    }
}

const SAMPLE_TIME: FileTime = FileTime {
    seconds: -5,
    nanos: 999_999_999,
};

fn namespace_changes() -> Vec<Change> {
    let place = Place {
        parent: 1,
        name: name("caf\u{e9}"),
    };
    let attr = sample_attr();
    vec![
        Change::Create {
            place: place.clone(),
            attr,
        },
        Change::MkDir {
            place: place.clone(),
            attr: Attr::default(),
        },
        Change::Symlink {
            place: place.clone(),
            attr,
            target: Bytes::from_static(b"../x"),
        },
        Change::Link {
            place: place.clone(),
        },
        Change::Unlink {
            place: place.clone(),
            dir: true,
        },
        Change::Rename {
            place: Some(place),
            dir: false,
        },
        Change::Rename {
            place: None,
            dir: true,
        },
    ]
}

fn inode_changes() -> Vec<Change> {
    let content = Content {
        size: 3,
        manifest_root: ManifestRoot([9; 32]),
        mtime: SAMPLE_TIME,
        inline: Some(Bytes::from_static(b"abc")),
    };
    vec![
        Change::Write {
            content,
            mode: Some(0o755),
        },
        Change::Truncate {
            content: Content::default(),
            mode: None,
        },
        Change::SetAttr {
            attr: sample_attr(),
        },
        Change::SetXattr {
            name: Bytes::from_static(b"user.k"),
            value: Bytes::from_static(b"\0\xff"),
        },
        Change::RemoveXattr {
            name: Bytes::from_static(b"user.k"),
        },
    ]
}

fn control_changes() -> Vec<Change> {
    vec![
        Change::Noop,
        Change::ConflictAck {
            conflict_id: [3; 32],
            acked: true,
            note: "looked".to_owned(),
            by: "ana (uid 1001)".to_owned(),
        },
        Change::Member {
            site_id: 2,
            name: "site-b".to_owned(),
            incarnation: 11,
            state: MemberState::Removed,
            final_cursors: vec![(0, 5), (256, 1)],
        },
        Change::ResumePoint,
        Change::Horizon(Horizon {
            through_us: 1_700_000_000_000_000,
            live: vec![Actor::new(2, 11), Actor::new(3, 12)],
            ended: vec![(Actor::new(4, 13), 99)],
        }),
    ]
}

fn entry_of(change: &Change) -> JournalEntry {
    let control = change.kind().is_control();
    let inode = if control { 0 } else { (1 << 48) | 42 };
    let shard = if control { 256 } else { shard_of(inode) };
    let payload = encode_change(change).to_vec();
    JournalEntry::new(
        7,
        shard,
        1,
        1_795_370_208_411_204,
        inode,
        change.kind(),
        payload,
    )
}

fn full_entry() -> JournalEntry {
    let mut entry = entry_of(&every_change()[7]);
    let actor = Actor::new(2, 0xABCD);
    entry.incarnation = 0x1122_3344;
    entry.first_seq = 5;
    entry.hlc_us = entry.timestamp_us + 9;
    entry.link = entry.inode + 1;
    entry.prev = vec![
        RegisterDot {
            register: RegisterId::Content,
            actor,
            seq: 4,
        },
        RegisterDot {
            register: RegisterId::Mode,
            actor,
            seq: 3,
        },
    ];
    entry.overrides = vec![RegisterDot {
        register: RegisterId::Xattr(Bytes::from_static(b"user.k")),
        actor,
        seq: 2,
    }];
    entry.seen_except = vec![(actor, 0)];
    entry.merge_gen = 6;
    entry.txn = Some(Txn {
        id: 8,
        parts: 2,
        part: 1,
    });
    entry
}

/// [`full_entry`] as compaction leaves a SetAttr: two registers keep the place of earlier entries.
fn folded_entry() -> JournalEntry {
    let mut entry = full_entry();
    let stamp = |register, seq| FoldedStamp {
        register,
        seq,
        timestamp_us: entry.timestamp_us - 10 + seq,
    };
    let name = Bytes::from_static(b"user.k");
    entry.folded = vec![
        stamp(RegisterId::Mode, 5),
        stamp(RegisterId::Xattr(name), 6),
    ];
    entry
}

#[test]
fn every_change_survives_the_round_trip_in_a_valid_entry() {
    for change in every_change() {
        let entry = entry_of(&change);
        let back = decode_entry(entry.actor(), encode_entry(&entry)).unwrap();
        assert_eq!(back, entry);
        back.validate().unwrap();
        assert_eq!(decode_change(&back).unwrap(), change);
    }
}

#[test]
fn every_causal_field_survives_the_round_trip() {
    for entry in [full_entry(), folded_entry()] {
        let raw = encode_entry(&entry);
        assert_eq!(decode_entry(entry.actor(), raw).unwrap(), entry);
    }
}

#[test]
fn a_folded_place_is_refused() {
    let mut entry = folded_entry();
    entry.folded[0].register = RegisterId::DirPlace;
    let error = decode_entry(entry.actor(), encode_entry(&entry)).unwrap_err();
    assert!(
        error.to_string().contains("a place is never folded"),
        "{error}"
    );
}

#[test]
fn a_batch_survives_the_round_trip_and_keeps_the_bytes_of_the_entries() {
    let mut entry = full_entry();
    entry.seq = 9;
    entry.crc32 = entry.compute_crc();
    let mut batch = EntryBatch::new(1, vec![entry.clone()], 3);
    (batch.first, batch.last) = (5, 12);
    (batch.chain_prev, batch.chain_last) = ([1; 32], [2; 32]);
    let seen = [(Actor::new(2, 0xABCD), 77)].into_iter().collect();
    batch.seen_runs = vec![SeenRun { first_seq: 5, seen }];
    batch.epoch = 4;
    let back = batch_from_proto(batch_to_proto(&batch)).unwrap();
    let mut packed = BytesMut::new();
    pack_entry(&mut packed, &encode_entry(&entry));
    assert_eq!(back.raw, packed.freeze());
    batch.raw = back.raw.clone();
    assert_eq!(back, batch);
}

#[test]
fn golden_bytes_pin_the_format() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let golden = include_str!("golden.txt");
    let mut lines = vec![format!("entry {}", hex(&encode_entry(&full_entry())))];
    for change in every_change() {
        lines.push(format!(
            "{} {}",
            change.kind().word(),
            hex(&encode_change(&change))
        ));
    }
    lines.push(format!(
        "folded_entry {}",
        hex(&encode_entry(&folded_entry()))
    ));
    assert_eq!(
        lines.join("\n") + "\n",
        golden,
        "a changed format breaks every existing journal"
    );
}

#[test]
fn a_newer_entry_with_unknown_fields_is_still_read() {
    let entry = full_entry();
    let mut raw = BytesMut::from(&encode_entry(&entry)[..]);
    raw.put_slice(&[0xFA, 0x3E, 0x01, 0x7F]); // field 1007, one byte
    assert_eq!(decode_entry(entry.actor(), raw.freeze()).unwrap(), entry);
}

#[test]
fn limits_are_enforced_on_decoding() {
    let cases: Vec<(Change, &str)> = vec![
        (
            Change::Symlink {
                place: Place {
                    parent: 1,
                    name: name("l"),
                },
                attr: Attr::default(),
                target: Bytes::new(),
            },
            "symlink target",
        ),
        (
            Change::Rename {
                place: None,
                dir: false,
            },
            "needs a place",
        ),
        (
            Change::Link {
                place: Place {
                    parent: 0,
                    name: name("l"),
                },
            },
            "parent inode 0",
        ),
        (
            Change::SetAttr {
                attr: Attr {
                    mode: Some(0o10_000),
                    ..Attr::default()
                },
            },
            "above 7777",
        ),
        (
            Change::Write {
                content: Content {
                    size: 9,
                    ..Content::default()
                },
                mode: None,
            },
            "needs a manifest root",
        ),
        (
            Change::Write {
                content: Content {
                    size: 9,
                    inline: Some(Bytes::from_static(b"x")),
                    ..Content::default()
                },
                mode: None,
            },
            "1 bytes for a size of 9",
        ),
        (Change::RemoveXattr { name: Bytes::new() }, "xattr name"),
    ];
    for (change, why) in cases {
        let error = decode_change(&entry_of(&change)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), op in 1u32..=15) {
        let bytes = Bytes::from(bytes);
        if let Ok(entry) = decode_entry(Actor::new(1, 1), bytes.clone()) {
            let _verdict = entry.validate();
        }
        let mut entry = full_entry();
        entry.op = OpKind::from_code(op).unwrap();
        entry.payload = bytes.clone();
        let _change = decode_change(&entry);
        let _run = decode_seen_run(bytes.clone());
        let _entries = unpack_entries(bytes.clone());
        if let Ok(message) = v1::Batch::decode(bytes) {
            let _batch = batch_from_proto(message);
        }
    }

    #[test]
    fn a_flipped_bit_is_never_taken_for_the_same_entry(bit in 0usize..2000) {
        let entry = full_entry();
        let mut raw = encode_entry(&entry).to_vec();
        let bit = bit % (raw.len() * 8);
        raw[bit / 8] ^= 1 << (bit % 8);
        if let Ok(back) = decode_entry(entry.actor(), raw.into()) {
            prop_assert!(back != entry);
        }
    }
}
