//! The JSON contract: whole documents with every field set, compared with files that are kept.

use std::path::Path;

use super::*;

/// Set to rewrite the kept documents instead of comparing them.
const REGENERATE: &str = "CFS_REPL_REGENERATE";

const DETECTED_US: TimestampUs = 1_795_370_208_413_000;

/// A status with every field set, and names that are no text.
pub(crate) fn status() -> StatusView {
    StatusView {
        verdict: Verdict::Degraded,
        summary: "1 of 2 peers not reached".to_owned(),
        causes: vec![Cause {
            site: Some("iad-2".to_owned()),
            severity: Severity::Critical,
            text: "not connected: refused".to_owned(),
            next: "check it".to_owned(),
        }],
        site: "fra-1".to_owned(),
        site_id: 1,
        sites: vec![
            SiteView {
                site: "iad-2".to_owned(),
                site_id: 2,
                state: SiteState::Backoff,
                endpoint: Some("iad.example.net:7443".to_owned()),
                last_error: Some("refused".to_owned()),
                lag: Lag::AtLeast(134_204_110),
                behind_entries: Some(41_203),
                behind_bytes: Some(333_447_168),
                waiting_entries: Some(3),
                parked: vec![ParkedView {
                    inode: u64::MAX,
                    path: Some(b"a\xff/b\n".to_vec()),
                    reason: "name too long".to_owned(),
                }],
                clock_skew_us: Some(-14_000),
                round_trip_us: Some(81_000),
                held_there: Some("fra-1 deleted 6 of 9".to_owned()),
                parked_there_entries: Some(2),
                unnoticed_us: Some(400_000),
                looking_us: Some(7_000_000),
                silent_us: Some(900_000),
                contact: Some(contact()),
                traffic: Some(TrafficView {
                    sent_entries: 9_112_404,
                    sent_bytes: 700 << 20,
                    received_entries: 4_410_219,
                    received_bytes: 300 << 20,
                    reconnects: 3,
                }),
            },
            SiteView {
                site: "sin-1".to_owned(),
                site_id: 3,
                ..SiteView::default()
            },
        ],
        journal: JournalView {
            bytes: 122 << 20,
            budget_bytes: Some(20 << 30),
            head_entries: 9_153_607,
            last_failure: Some("disk".to_owned()),
            pinned_bytes: Some(318 << 20),
        },
        conflicts: ConflictCounts { open: 7, total: 9 },
        tree: tree(),
        version: "0.1.0".to_owned(),
        at_risk: AtRisk {
            lag: Lag::Known(2_500_000),
            entries: 41_203,
            journal_bytes: Some(333_447_168),
        },
        uptime_us: 1_000_000,
        engine_age_us: 1_500,
        certificate_expires_us: Some(1_803_146_089_000_000),
    }
}

/// Two endpoints, of which one was tried.
fn contact() -> ContactView {
    ContactView {
        attempts: 9,
        next_us: Some(DETECTED_US + 11_000_000),
        pauses_us: vec![200_000, 9_800_000],
        since_us: Some(DETECTED_US),
        certificate_site: Some("iad-2".to_owned()),
        endpoints: vec![
            EndpointView {
                endpoint: "iad.example.net:7443".to_owned(),
                tried_us: Some(DETECTED_US + 1_000_000),
                error: Some("refused".to_owned()),
                failures: 5,
            },
            EndpointView {
                endpoint: "10.40.0.11:7443".to_owned(),
                ..EndpointView::default()
            },
        ],
    }
}

/// A tree of which everything is known.
fn tree() -> TreeView {
    TreeView {
        root: b"/srv/media".to_vec(),
        watch: Watch::Inotify,
        watch_reason: Some("limit".to_owned()),
        last_scan_us: Some(1_795_370_089_102_113),
        parked: 1,
        fetching: 4,
        overtaken: 5,
        busy: 2,
        blocked: 4,
        blocked_reason: Some("full".to_owned()),
        brake: Some("empty".to_owned()),
        diverged: 3,
        left_alone: 6,
        left_alone_first: Some(b"/srv/media/fifo".to_vec()),
        unnoticed_us: Some(300_000),
        looking_us: Some(9),
    }
}

/// A lag with one peer of which all is known, and one of which nothing is.
pub(crate) fn lag() -> LagView {
    LagView {
        site: "fra-1".to_owned(),
        sites: vec![
            SiteLag {
                site: "iad-2".to_owned(),
                site_id: 2,
                state: SiteState::CatchingUp,
                lag: Lag::Known(8_400_000),
                behind_entries: Some(3_310),
                behind_bytes: Some(27_158_118),
                oldest_unacked_us: Some(1_795_370_089_102_113),
                clock_skew_us: Some(14_000),
                unnoticed_us: Some(300_000),
                inbound: InboundLag {
                    lag: Lag::Known(0),
                    waiting_entries: Some(0),
                    unnoticed_us: Some(400_000),
                },
                applied_per_s: Some(450),
                catch_up_eta_us: Some(7_300_000),
                stages: Stage::ALL
                    .iter()
                    .zip(0..)
                    .map(|(stage, entries)| StageLag {
                        stage: *stage,
                        entries,
                        lag: Lag::Known(entries * 1_000_000),
                    })
                    .collect(),
                shards: vec![ShardLag {
                    shard: 17,
                    head: 37_004,
                    sent: 37_003,
                    received: 37_002,
                    merged: 37_001,
                    applied: 36_998,
                    behind_entries: 6,
                    behind_bytes: Some(1_200),
                    lag: Lag::Known(300_000),
                }],
            },
            SiteLag {
                site: "sin-1".to_owned(),
                site_id: 3,
                ..SiteLag::default()
            },
        ],
        at_risk: status().at_risk,
    }
}

/// A conflict with every field set.
pub(crate) fn conflict() -> ConflictView {
    ConflictView {
        id: "c-bygtc5qnmf".to_owned(),
        kind: "register".to_owned(),
        path: Some("plän.xlsx".into()),
        inode: 14_993,
        register: "content".to_owned(),
        winner: Some(VersionView {
            site: Some("sin-1".to_owned()),
            site_id: 3,
            stream: 17,
            seq: 36_990,
            timestamp_us: 1_795_370_208_411_204,
        }),
        loser: VersionView {
            site: None,
            site_id: 1,
            stream: 17,
            seq: 36_988,
            timestamp_us: 1_795_370_208_370_011,
        },
        gap_us: Some(41_193),
        detected_us: DETECTED_US,
        lost_bytes: Some(18_201),
        superseded: false,
        gone: true,
        ack: Some(AckView {
            by: "ana".to_owned(),
            note: "sin-1 is right".to_owned(),
            at_us: DETECTED_US,
        }),
    }
}

/// One conflict with both versions.
pub(crate) fn detail() -> ConflictDetail {
    ConflictDetail {
        conflict: conflict(),
        lost: Some(ValueView {
            size_bytes: Some(18_201),
            root: Some([0x77; 32]),
            ..ValueView::default()
        }),
        shown: Some(ValueView {
            size_bytes: Some(18_944),
            root: Some([0x5c; 32]),
            mtime_us: Some(DETECTED_US),
            ..ValueView::default()
        }),
        shown_is_winner: Some(true),
        bytes_at: BytesAt::Here,
        why: "the winner is stamped later".to_owned(),
        skew_bound_us: Some(62_000),
        order_certain: Some(false),
        diff: None,
        no_diff: None,
    }
}

/// The kept document `name` is what `view` becomes.
pub(crate) fn assert_kept(name: &str, view: &impl Serialize) {
    // Through a value, so that the order of keys is that of the command line.
    let value = serde_json::to_value(view).unwrap();
    let text = format!("{}\n", serde_json::to_string_pretty(&value).unwrap());
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/admin/view")
        .join(name);
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == text,
        "the JSON differs from {}; keys are only added to. Run: {REGENERATE}=1 cargo test the_json\n{text}",
        file.display()
    );
}

#[test]
fn the_json_is_the_one_that_is_kept() {
    assert_kept("status.json", &status());
    assert_kept("lag.json", &lag());
    assert_kept("conflict.json", &conflict());
    assert_kept("detail.json", &detail());
}

#[test]
fn unknown_is_null_and_never_zero() {
    let value = serde_json::to_value(lag()).unwrap();
    let site = &value["sites"][1];
    for key in [
        "lag_us",
        "behind_entries",
        "behind_bytes",
        "oldest_unacked_at",
        "oldest_unacked_us",
        "clock_skew_us",
    ] {
        assert!(
            site.get(key).is_some_and(serde_json::Value::is_null),
            "{key}"
        );
    }
    assert_eq!(site["lag_state"], "unknown");
    assert!(site["inbound"]["lag_us"].is_null() && site["inbound"]["waiting_entries"].is_null());
    assert_eq!(value["sites"][0]["inbound"]["lag_us"], 0);
}

#[test]
fn a_path_that_is_no_text_is_shown_and_kept_whole() {
    let value = serde_json::to_value(&status().sites[0].parked[0]).unwrap();
    assert_eq!(value["path"], "a\\xff/b\n");
    assert_eq!(value["path_hex"], "61ff2f620a");
    assert_eq!(value["inode"], "18446744073709551615");
    let value = serde_json::to_value(conflict()).unwrap();
    assert_eq!(value["path"], "plän.xlsx");
    assert!(value["path_hex"].is_null());
}

#[test]
fn no_word_is_given_twice() {
    let words = [
        SiteState::ALL
            .iter()
            .map(|word| word.word())
            .collect::<Vec<_>>(),
        Verdict::ALL.iter().map(|word| word.word()).collect(),
        Watch::ALL.iter().map(|word| word.word()).collect(),
    ];
    for words in words {
        let unique: std::collections::BTreeSet<_> = words.iter().collect();
        assert_eq!(unique.len(), words.len(), "{words:?}");
        let plain = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(words.iter().all(plain), "{words:?}");
    }
}

#[test]
fn a_conflict_is_open_until_it_is_acknowledged_or_superseded() {
    let mut view = conflict();
    assert!(!view.is_open());
    view.ack = None;
    assert!(view.is_open());
    view.superseded = true;
    assert!(!view.is_open());
}
