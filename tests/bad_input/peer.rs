//! A peer with a good certificate that lies, errs or floods: it is told why it is refused, so is the operator, and what
//! was there before is still there and still grows.

use std::fs;

use bytes::{Bytes, BytesMut};
use claudefs_repl::conduit::message::{CloseReason, Frame, Message, NakReason, StreamCursor};
use claudefs_repl::journal::batch::BATCH_ENTRIES_MAX;
use claudefs_repl::journal::codec::{encode_entry, pack_entry};
use claudefs_repl::journal::dot::ROOT_INODE;
use claudefs_repl::journal::{Actor, EntryBatch, JournalEntry, OpKind, SeenRun};
use claudefs_repl::proto::v1;
use prost::Message as _;

use super::hostile::{Hostile, batch, create, entry, hello, hello_at, inode, stream};
use super::site::{Lab, Site};

/// What the daemon logs where the peer needs a person.
const REFUSED: &str = "refused site=2";

/// Site A with a file of its own, running.
fn started(lab: &Lab, expected: &[&'static str]) -> Site {
    let mut site = lab.site_a();
    site.expects(expected);
    fs::write(site.tree.join("own"), "mine").unwrap();
    site.start();
    site
}

/// The site goes on as if nothing had been: a good peer's file arrives beside those that were there.
async fn assert_sound(lab: &Lab, site: &mut Site, before: u64, names: &[&str]) {
    let tls = lab.tls("site-b");
    let mut good = Hostile::connect(&tls, &site.address(), hello_at(before + 1)).await;
    good.send(batch(vec![create(before + 1, "zz-good")])).await;
    good.applied(before + 1).await;
    good.hang_up().await;
    let mut all: Vec<&str> = names.to_vec();
    all.extend(["own", "zz-good"]);
    all.sort_unstable();
    assert_eq!(site.names(), all);
    assert_eq!(fs::read(site.tree.join("own")).unwrap(), b"mine");
    let status = site.status();
    assert_eq!(status["sites"][0]["site"], "site-b", "{status}");
    site.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_that_does_not_fit_is_refused_and_shown_to_both_operators() {
    let lab = Lab::new();
    let mut site = started(&lab, &[REFUSED]);
    let (tls, address) = (lab.tls("site-b"), site.address());
    let change = |change: fn(&mut claudefs_repl::conduit::message::Hello)| {
        let mut hello = hello();
        change(&mut hello);
        hello
    };
    let cases = [
        (
            change(|h| h.cluster = "prod".into()),
            CloseReason::Cluster,
            "of cluster \"prod\"",
        ),
        (
            change(|h| h.site_name = "site-x".into()),
            CloseReason::Identity,
            "certificate is of site",
        ),
        (
            change(|h| h.actor.site_id = 3),
            CloseReason::UnknownSite,
            "you say site 3 (\"site-b\")",
        ),
        (
            change(|h| h.protocol_max = 0),
            CloseReason::Version,
            "upgrade your cfs-repl",
        ),
        (
            change(|h| (h.protocol_min, h.protocol_max) = (7, 9)),
            CloseReason::Version,
            "upgrade our",
        ),
        (
            change(|h| h.shard_function = 2),
            CloseReason::Protocol,
            "shard function 2",
        ),
        (
            change(|h| h.tags = vec![1; 70_000]),
            CloseReason::Protocol,
            "too many tags",
        ),
    ];
    for (hello, reason, words) in cases {
        let mut liar = Hostile::connect(&tls, &address, hello).await;
        let (found, detail) = liar.closed().await;
        assert_eq!(found, reason, "{detail}");
        assert!(detail.contains(words), "{detail}");
        liar.hang_up().await;
        site.wait_for_cause(&words.replace('"', "\\\""));
        site.wait_for_log(words);
    }
    let mut rude = Hostile::dial(&tls, &address).await.unwrap();
    rude.send(batch(vec![create(1, "early")])).await;
    let (reason, detail) = rude.closed().await;
    assert_eq!(reason, CloseReason::Protocol, "{detail}");
    assert!(detail.contains("must be a hello"), "{detail}");
    rude.hang_up().await;
    assert_sound(&lab, &mut site, 0, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_nobody_configured_is_refused_by_the_name_of_its_certificate() {
    let lab = Lab::new();
    let mut site = started(&lab, &[]);
    let stranger = Hostile::dial(&lab.tls("site-x"), &site.address()).await;
    let reason = stranger.err().expect("refused");
    assert!(
        reason.contains("site-x.lab.cfs-repl is no site of this cluster here"),
        "{reason}"
    );
    site.wait_for_log("unknown site refused certificate=site-x.lab.cfs-repl");
    assert_sound(&lab, &mut site, 0, &[]).await;
}

/// An entry that creates `name`, whatever it is, with a crc that is right.
fn create_as(seq: u64, name: &[u8], parent: u64) -> JournalEntry {
    let place = v1::Place {
        parent,
        name: Bytes::copy_from_slice(name),
    };
    let payload = v1::Create {
        place: Some(place),
        attr: None,
    };
    entry(seq, OpKind::Create, payload.encode_to_vec())
}

/// Batches that a sound site never sends, behind an entry 1 that was taken.
fn bad_batches() -> Vec<(EntryBatch, NakReason, &'static str)> {
    let invalid = |batch, words| (batch, NakReason::Invalid, words);
    let one = |entry| batch(vec![entry]);
    let again = |mut entry: JournalEntry| {
        entry.crc32 = entry.compute_crc();
        entry
    };
    let good = || create(2, "two");
    let of = |inode| {
        let mut entry = good();
        entry.inode = inode;
        one(again(entry))
    };
    let mut bad_crc = good();
    bad_crc.crc32 = 1;
    let mut many = Vec::new();
    for seq in 2..2 + BATCH_ENTRIES_MAX as u64 + 1 {
        let mut small = good();
        small.seq = seq;
        small.first_seq = seq;
        many.push(again(small));
    }
    let mut claims = one(good());
    let mut run = SeenRun {
        first_seq: 2,
        ..SeenRun::default()
    };
    run.seen.set(Actor::new(1, 0), 0);
    claims.seen_runs = vec![SeenRun {
        first_seq: 9,
        ..run
    }];
    let mut backwards = batch(vec![create(2, "two"), create(3, "three")]);
    backwards.entries.swap(0, 1);
    let mut forked = one(good());
    forked.chain_prev = [9; 32];
    vec![
        invalid(one(bad_crc), "crc is 00000001"),
        invalid(of(inode(1) + 1), "belongs to shard"),
        invalid(of(0), "inode 0"),
        invalid(batch(many), "does not fit"),
        invalid(claims, "context runs are out of order"),
        invalid(backwards, "out of order"),
        invalid(one(create_as(2, b"..", ROOT_INODE)), ".."),
        invalid(one(create_as(2, b".", ROOT_INODE)), "name"),
        invalid(one(create_as(2, b"a/b", ROOT_INODE)), "name"),
        invalid(one(create_as(2, b"a\0b", ROOT_INODE)), "name"),
        invalid(one(create_as(2, b"", ROOT_INODE)), "name"),
        invalid(one(create_as(2, &[b'x'; 256], ROOT_INODE)), "name"),
        invalid(one(create_as(2, b".cfs-repl", ROOT_INODE)), "name"),
        invalid(one(create_as(2, b"orphan", 0)), "parent inode 0"),
        invalid(one(entry(2, OpKind::Create, vec![0xFF; 9])), ""),
        invalid(
            one(entry(2, OpKind::Create, vec![0; 70_000])),
            "payload of 70000 bytes",
        ),
        (batch(vec![create(3, "three")]), NakReason::Gap, ""),
        (forked, NakReason::Fork, "restored or cloned"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_break_a_rule_are_refused_shown_and_leave_the_connection_in_use() {
    let lab = Lab::new();
    let mut site = started(&lab, &["batch breaks a rule", "journal forked"]);
    let mut peer = Hostile::connect(&lab.tls("site-b"), &site.address(), hello_at(9)).await;
    peer.send(batch(vec![create(1, "one")])).await;
    peer.applied(1).await;
    for (bad, reason, words) in bad_batches() {
        peer.send(bad).await;
        let (found, received, detail) = peer.nak().await;
        assert_eq!(found, reason, "{words}: {detail}");
        assert!(detail.contains(words), "{words:?} is not in {detail:?}");
        assert_eq!(
            received,
            if reason == NakReason::Fork { 0 } else { 1 },
            "{detail}"
        );
        if reason != NakReason::Gap {
            let shown = format!("entries of stream {} are not taken here", stream());
            site.wait_for_cause(&shown);
        }
    }
    // A repetition is no fault: it is receipted again and changes nothing.
    peer.send(batch(vec![create(1, "one")])).await;
    peer.send(batch(vec![create(2, "two")])).await;
    peer.applied(2).await;
    assert!(!site.causes().contains("not taken"), "{}", site.causes());
    peer.hang_up().await;
    assert_sound(&lab, &mut site, 2, &["one", "two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_protocol_closes_the_connection_and_is_shown() {
    let lab = Lab::new();
    let mut site = started(&lab, &[REFUSED]);
    let (tls, address) = (lab.tls("site-b"), site.address());
    let mut of_another = create(1, "theirs");
    (of_another.site_id, of_another.incarnation) = (3, 7);
    of_another.crc32 = of_another.compute_crc();
    let mut of_another = batch(vec![of_another]);
    (of_another.source_site_id, of_another.incarnation) = (3, 7);
    let huge: Vec<JournalEntry> = (1..=45)
        .map(|seq| entry(seq, OpKind::SetXattr, vec![7; 60_000]))
        .collect();
    let cases = [
        (
            Frame {
                batches: vec![of_another],
                mark_us: 0,
            },
            CloseReason::Identity,
            "entries are not relayed",
        ),
        (
            Frame {
                batches: vec![batch(vec![create(1, "x")])],
                mark_us: 0,
            },
            CloseReason::Protocol,
            "numbers must grow",
        ),
        (
            Frame {
                batches: vec![packed(huge)],
                mark_us: 0,
            },
            CloseReason::Protocol,
            "is above",
        ),
    ];
    for (mut frame, reason, words) in cases {
        let mut liar = Hostile::connect(&tls, &address, hello()).await;
        if words != "numbers must grow" {
            frame.batches[0].batch_seq = 1;
        }
        liar.say(Message::Frame(frame)).await;
        let (found, detail) = liar.closed().await;
        assert_eq!(found, reason, "{detail}");
        assert!(detail.contains(words), "{detail}");
        liar.hang_up().await;
        site.wait_for_cause(words);
    }
    assert_sound(&lab, &mut site, 0, &[]).await;
}

/// The entries as a batch that holds their bytes.
fn packed(entries: Vec<JournalEntry>) -> EntryBatch {
    let mut raw = BytesMut::new();
    for entry in &entries {
        pack_entry(&mut raw, &encode_entry(entry));
    }
    let mut batch = batch(entries);
    batch.raw = raw.freeze();
    batch
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_above_the_limit_ends_the_connection_before_it_is_decoded() {
    let lab = Lab::new();
    let mut site = started(&lab, &[]);
    let (tls, address) = (lab.tls("site-b"), site.address());
    let answer = super::certificates::say_raw(&tls, &address, |calls| async move {
        let big = v1::ReplicateMessage {
            body: Some(v1::replicate_message::Body::Close(v1::Close {
                detail: "x".repeat(5 << 20),
                ..v1::Close::default()
            })),
            crc32: 0,
        };
        let (say, said) = tokio::sync::mpsc::channel(4);
        say.send(big).await.unwrap();
        let stream = tokio_stream::wrappers::ReceiverStream::new(said);
        let mut calls = calls.max_encoding_message_size(usize::MAX);
        let mut answers = calls
            .replicate(stream)
            .await
            .map_err(|s| s.to_string())?
            .into_inner();
        let mut ended = Ok(());
        while let Some(answer) = answers.message().await.transpose() {
            ended = answer.map(drop).map_err(|status| status.to_string());
        }
        ended
    });
    drop(answer.await);
    site.wait_for_log("message length too large");
    assert_sound(&lab, &mut site, 0, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stamps_of_a_clock_far_ahead_are_held_shown_and_taken_when_they_are_mended() {
    let lab = Lab::new();
    let mut site = started(&lab, &["entries held"]);
    let mut peer = Hostile::connect(&lab.tls("site-b"), &site.address(), hello()).await;
    let mut ahead = create(1, "ahead");
    ahead.timestamp_us += 86_400_000_000;
    ahead.hlc_us = ahead.timestamp_us;
    ahead.crc32 = ahead.compute_crc();
    peer.send(batch(vec![ahead])).await;
    let Message::Hold(hold) = peer.heard().await.unwrap() else {
        panic!("not held");
    };
    assert!(
        hold.detail.contains("check the clocks of both"),
        "{}",
        hold.detail
    );
    site.wait_for_cause("check the clocks of both");
    site.wait_for_log("entries held site=\"site-b\"");
    assert_eq!(site.names(), ["own"]);
    peer.send(batch(vec![create(1, "now")])).await;
    peer.applied(1).await;
    peer.hang_up().await;
    assert!(!site.causes().contains("not taken"), "{}", site.causes());
    assert_sound(&lab, &mut site, 1, &["now"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_rolled_back_on_either_side_is_refused_until_a_person_looks() {
    let lab = Lab::new();
    let mut site = started(&lab, &[REFUSED, "journal forked"]);
    let (tls, address) = (lab.tls("site-b"), site.address());
    let mut peer = Hostile::connect(&tls, &address, hello_at(2)).await;
    let ours = peer.theirs.actor.incarnation;
    peer.send(batch(vec![create(1, "one"), create(2, "two")]))
        .await;
    peer.applied(2).await;
    peer.hang_up().await;

    let mut changed = hello_at(2);
    changed.streams[0].chain_head = [9; 32];
    let mut beyond = hello_at(2);
    beyond.peer_incarnation = ours;
    beyond.cursors = vec![StreamCursor {
        stream: stream(),
        received: 99,
        ..StreamCursor::default()
    }];
    let cases = [
        (hello_at(1), "up to 2, it ends at 1"),
        (changed, "it differs at 2"),
        (beyond, "up to 99"),
    ];
    for (hello, words) in cases {
        let mut rolled_back = Hostile::connect(&tls, &address, hello).await;
        let (reason, detail) = rolled_back.closed().await;
        assert_eq!(reason, CloseReason::RolledBack, "{detail}");
        assert!(
            detail.contains(words) && detail.contains("cfs-repl help join"),
            "{detail}"
        );
        rolled_back.hang_up().await;
        site.wait_for_cause(words);
    }
    assert_sound(&lab, &mut site, 2, &["one", "two"]).await;
}
