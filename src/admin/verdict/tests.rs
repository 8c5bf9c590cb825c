//! The rules as a table: facts to state, and states to verdict, cause and next step.

use super::super::view::ParkedView;
use super::*;

/// A peer that is connected and in step.
const IN_STEP: SiteFacts = SiteFacts {
    connection: Connection::Connected,
    was_connected: true,
    fenced: false,
    held: false,
    held_there: false,
    paused: false,
    behind_entries: Some(0),
    waiting_entries: Some(0),
    lag_us: Some(0),
    quiet_us: Some(STALL_US),
    silent_us: Some(SILENT_US - 1),
    looks_there: false,
    looks_here: false,
    parked: 0,
};

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one row a rule")]
fn the_state_follows_from_the_facts() {
    let behind = SiteFacts {
        behind_entries: Some(12),
        lag_us: Some(STREAMING_LAG_MAX_US),
        quiet_us: Some(STALL_US - 1),
        ..IN_STEP
    };
    let away = SiteFacts {
        connection: Connection::Waiting,
        ..IN_STEP
    };
    let cases = [
        ("in step", IN_STEP, SiteState::Idle),
        (
            "something parked",
            SiteFacts {
                parked: 1,
                ..IN_STEP
            },
            SiteState::Parked,
        ),
        (
            "its brake holds what comes from here",
            SiteFacts {
                held_there: true,
                ..behind
            },
            SiteState::Held,
        ),
        ("a little behind", behind, SiteState::Streaming),
        (
            "far behind",
            SiteFacts {
                lag_us: Some(STREAMING_LAG_MAX_US + 1),
                ..behind
            },
            SiteState::CatchingUp,
        ),
        (
            "behind by an unknown time",
            SiteFacts {
                lag_us: None,
                ..behind
            },
            SiteState::CatchingUp,
        ),
        (
            "behind without progress",
            SiteFacts {
                quiet_us: Some(STALL_US),
                ..behind
            },
            SiteState::Stalled,
        ),
        (
            "not applied here, without progress",
            SiteFacts {
                waiting_entries: Some(1),
                ..IN_STEP
            },
            SiteState::Stalled,
        ),
        (
            "progress not known",
            SiteFacts {
                quiet_us: None,
                ..behind
            },
            SiteState::Streaming,
        ),
        (
            "nothing moves while it looks at its tree",
            SiteFacts {
                quiet_us: Some(STALL_US),
                looks_there: true,
                ..behind
            },
            SiteState::CatchingUp,
        ),
        (
            "nothing moves there while this site looks at its tree",
            SiteFacts {
                quiet_us: Some(STALL_US),
                looks_here: true,
                ..behind
            },
            SiteState::Stalled,
        ),
        (
            "backlog not known",
            SiteFacts {
                behind_entries: None,
                ..IN_STEP
            },
            SiteState::Unknown,
        ),
        (
            "waiting not known",
            SiteFacts {
                waiting_entries: None,
                ..IN_STEP
            },
            SiteState::Unknown,
        ),
        ("lost", away, SiteState::Backoff),
        (
            "never there",
            SiteFacts {
                was_connected: false,
                ..away
            },
            SiteState::NeverConnected,
        ),
        (
            "dialling",
            SiteFacts {
                connection: Connection::Connecting,
                ..away
            },
            SiteState::Connecting,
        ),
        (
            "paused while away",
            SiteFacts {
                paused: true,
                ..away
            },
            SiteState::Paused,
        ),
        (
            "held and paused",
            SiteFacts {
                held: true,
                paused: true,
                ..IN_STEP
            },
            SiteState::Held,
        ),
        (
            "fenced and held",
            SiteFacts {
                fenced: true,
                held: true,
                ..away
            },
            SiteState::Fenced,
        ),
    ];
    for (what, facts, state) in cases {
        assert_eq!(state_of(&facts), state, "{what}");
    }
}

fn site(name: &str, state: SiteState) -> SiteView {
    SiteView {
        site: name.to_owned(),
        state,
        endpoint: Some("host:7443".to_owned()),
        ..SiteView::default()
    }
}

fn tree() -> TreeView {
    TreeView {
        watch: Watch::Inotify,
        last_scan_us: Some(1),
        ..TreeView::default()
    }
}

fn judged(sites: &[SiteView], tree: &TreeView) -> Judgement {
    judge(
        "fra-1",
        sites,
        tree,
        &JournalView::default(),
        &ConflictCounts::default(),
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one row a rule")]
fn one_peer_decides_the_verdict_and_names_the_next_step() {
    let failing = |state, error: &str| SiteView {
        last_error: Some(error.to_owned()),
        ..site("iad-2", state)
    };
    let cases: &[(SiteView, Verdict, Option<Severity>, &str, &str)] = &[
        (site("iad-2", SiteState::Idle), Verdict::Ok, None, "", ""),
        (
            site("iad-2", SiteState::Streaming),
            Verdict::Ok,
            None,
            "",
            "",
        ),
        (
            site("iad-2", SiteState::CatchingUp),
            Verdict::CatchingUp,
            None,
            "",
            "",
        ),
        (
            site("iad-2", SiteState::Unknown),
            Verdict::Degraded,
            Some(Severity::Warning),
            "nothing is known",
            "look again",
        ),
        (
            site("iad-2", SiteState::Stalled),
            Verdict::Stalled,
            Some(Severity::Critical),
            "nothing moves",
            "the log of cfs-repl here",
        ),
        (
            SiteView {
                behind_entries: Some(1),
                ..site("iad-2", SiteState::Stalled)
            },
            Verdict::Stalled,
            Some(Severity::Critical),
            "connected, 1 entry not applied there",
            "the log of cfs-repl at iad-2",
        ),
        (
            failing(SiteState::Backoff, "connection refused"),
            Verdict::Down,
            Some(Severity::Critical),
            "not connected: connection refused",
            "check cfs-repl at iad-2",
        ),
        (
            failing(SiteState::Backoff, "peer refused our certificate: expired"),
            Verdict::Down,
            Some(Severity::Critical),
            "certificate",
            "replace the certificate",
        ),
        (
            failing(SiteState::Backoff, "its authority is not in our `tls.ca`"),
            Verdict::Down,
            Some(Severity::Critical),
            "tls.ca",
            "by one authority",
        ),
        (
            failing(SiteState::Backoff, "it is of iad-3, and we dialled iad-2"),
            Verdict::Down,
            Some(Severity::Critical),
            "iad-3",
            "correct the name or the address of iad-2",
        ),
        (
            failing(
                SiteState::Backoff,
                "x: id and name must be equal in both configurations",
            ),
            Verdict::Down,
            Some(Severity::Critical),
            "id and name",
            "here or at iad-2",
        ),
        (
            failing(SiteState::Backoff, "the peer does not admit this site: x"),
            Verdict::Down,
            Some(Severity::Critical),
            "does not admit",
            "add this site as a [[peer]] to the configuration of iad-2",
        ),
        (
            SiteView {
                endpoint: None,
                ..site("iad-2", SiteState::NeverConnected)
            },
            Verdict::Down,
            Some(Severity::Critical),
            "never connected",
            "has an endpoint of this site",
        ),
        (
            site("iad-2", SiteState::Connecting),
            Verdict::Down,
            Some(Severity::Warning),
            "not connected yet",
            "look again",
        ),
        (
            site("iad-2", SiteState::Paused),
            Verdict::Degraded,
            Some(Severity::Warning),
            "paused",
            "cfs-repl sites resume iad-2",
        ),
        (
            failing(SiteState::Held, "61 % of the files deleted"),
            Verdict::Degraded,
            Some(Severity::Critical),
            "61 %",
            "cfs-repl sites resume iad-2",
        ),
        (
            SiteView {
                held_there: Some("fra-1 deleted 6 of 9 files".to_owned()),
                ..site("iad-2", SiteState::Held)
            },
            Verdict::Degraded,
            Some(Severity::Critical),
            "its brake holds what comes from this site: fra-1 deleted 6 of 9 files",
            "cfs-repl status at iad-2",
        ),
        (
            site("iad-2", SiteState::Fenced),
            Verdict::Degraded,
            Some(Severity::Critical),
            "longer than the journal",
            "cfs-repl help join",
        ),
        (
            SiteView {
                parked_there_entries: Some(2),
                ..site("iad-2", SiteState::Parked)
            },
            Verdict::Degraded,
            Some(Severity::Warning),
            "it cannot apply 2 changes",
            "cfs-repl status at iad-2",
        ),
        (
            SiteView {
                parked: vec![ParkedView {
                    reason: "name too long".to_owned(),
                    ..ParkedView::default()
                }],
                ..site("iad-2", SiteState::Parked)
            },
            Verdict::Degraded,
            Some(Severity::Warning),
            "1 inode cannot be applied here, the first because: name too long",
            "tries again",
        ),
        (
            SiteView {
                clock_skew_us: Some(-9_000_000),
                ..site("iad-2", SiteState::Idle)
            },
            Verdict::Degraded,
            Some(Severity::Warning),
            "9 s behind",
            "timedatectl",
        ),
        (
            SiteView {
                clock_skew_us: Some(-9_000_000),
                round_trip_us: Some(18_000_000),
                ..site("iad-2", SiteState::Idle)
            },
            Verdict::Ok,
            None,
            "",
            "",
        ),
    ];
    for (view, verdict, severity, text, next) in cases {
        let judgement = judged(std::slice::from_ref(view), &tree());
        assert_eq!(judgement.verdict, *verdict, "{view:?}");
        let cause = judgement.causes.first();
        assert_eq!(cause.map(|cause| cause.severity), *severity, "{view:?}");
        if let Some(cause) = cause {
            assert_eq!(cause.site.as_deref(), Some("iad-2"));
            assert!(cause.text.contains(text), "{cause:?}");
            assert!(cause.next.contains(next), "{cause:?}");
        }
    }
}

#[test]
fn a_pause_at_the_other_end_is_no_trouble_of_the_network() {
    let paused = SiteView {
        last_error: Some(
            "closed by the peer, paused: an operator paused the exchange at this site".to_owned(),
        ),
        ..site("iad-2", SiteState::Backoff)
    };
    let judgement = judged(&[paused], &tree());
    let cause = &judgement.causes[0];
    assert_eq!(cause.text, "paused at iad-2");
    assert_eq!(
        cause.next,
        "when it shall go on, there: cfs-repl sites resume fra-1"
    );
}

#[test]
fn every_state_has_a_rule_and_bad_ones_have_a_cause() {
    for state in SiteState::ALL {
        let judgement = judged(&[site("a", *state)], &tree());
        let good = matches!(judgement.verdict, Verdict::Ok | Verdict::CatchingUp);
        assert_eq!(good, judgement.causes.is_empty(), "{state}");
        assert_ne!(judgement.verdict, Verdict::Unknown);
    }
}

#[test]
fn who_is_connected_and_silent_is_not_called_idle() {
    let silent = SiteFacts {
        silent_us: Some(SILENT_US),
        ..IN_STEP
    };
    assert_eq!(state_of(&silent), SiteState::Unknown);
    let mut seen = site("a", SiteState::Unknown);
    seen.silent_us = Some(7_900_000);
    let judgement = judged(&[seen], &tree());
    assert_eq!(judgement.verdict, Verdict::Degraded);
    assert_eq!(judgement.causes[0].text, "connected, and silent for 7 s");
}

#[test]
fn the_summary_always_says_something() {
    for state in SiteState::ALL {
        let judgement = judged(&[site("a", *state)], &tree());
        assert!(!judgement.summary.is_empty(), "{state}");
    }
    let judgement = judged(&[site("a", SiteState::Unknown)], &tree());
    assert_eq!(judgement.summary, "1 of 1 peer connected and not heard");
}

#[test]
fn one_lost_peer_of_three_degrades_and_all_lost_are_down() {
    let mixed = [
        site("a", SiteState::Paused),
        site("b", SiteState::Backoff),
        site("c", SiteState::Streaming),
    ];
    let conflicts = ConflictCounts { open: 7, total: 9 };
    let judgement = judge(
        "fra-1",
        &mixed,
        &tree(),
        &JournalView::default(),
        &conflicts,
    );
    assert_eq!(judgement.verdict, Verdict::Degraded);
    assert_eq!(
        judgement.summary,
        "1 of 3 peers not reached · 1 of 3 peers stopped · 7 conflicts unacknowledged"
    );
    let order: Vec<_> = judgement
        .causes
        .iter()
        .map(|cause| cause.site.as_deref())
        .collect();
    assert_eq!(order, [Some("b"), Some("a")], "worst first");

    let lost = [
        site("a", SiteState::NeverConnected),
        site("b", SiteState::Backoff),
    ];
    assert_eq!(judged(&lost, &tree()).verdict, Verdict::Down);
}

#[test]
fn open_conflicts_are_told_and_do_not_spoil_the_verdict() {
    let conflicts = ConflictCounts { open: 1, total: 1 };
    let sites = [site("a", SiteState::Idle)];
    let judgement = judge(
        "fra-1",
        &sites,
        &tree(),
        &JournalView::default(),
        &conflicts,
    );
    assert_eq!(judgement.verdict, Verdict::Ok);
    assert_eq!(
        judgement.summary,
        "1 peer in step · 1 conflict unacknowledged"
    );
}

#[test]
fn a_tree_that_was_never_scanned_is_not_ok() {
    let tree = TreeView {
        last_scan_us: None,
        ..tree()
    };
    let judgement = judged(&[site("a", SiteState::Idle)], &tree);
    assert_eq!(judgement.verdict, Verdict::CatchingUp);
    assert_eq!(judgement.summary, "1 peer in step · first scan under way");
}

#[test]
fn what_waits_for_a_newer_version_is_told_and_is_no_fault() {
    let tree = TreeView {
        overtaken: 2,
        ..tree()
    };
    let judgement = judged(&[site("a", SiteState::Idle)], &tree);
    assert_eq!(judgement.verdict, Verdict::Ok);
    let summary = "1 peer in step · 2 waiting for a newer version";
    assert_eq!(judgement.summary, summary);
}

#[test]
fn a_site_without_peers_is_ok_and_says_so() {
    let judgement = judged(&[], &tree());
    assert_eq!(judgement.verdict, Verdict::Ok);
    assert_eq!(judgement.summary, "no peers are configured");
}

#[test]
fn troubles_of_this_site_are_causes_too() {
    let journal = JournalView {
        bytes: 80,
        budget_bytes: Some(100),
        last_failure: Some("fsync failed".to_owned()),
        ..JournalView::default()
    };
    let tree = TreeView {
        watch: Watch::Scanning,
        watch_reason: Some("only 7 directories are watched".to_owned()),
        parked: 2,
        blocked: 3,
        blocked_reason: Some("no room".to_owned()),
        diverged: 1,
        ..tree()
    };
    let judgement = judge(
        "fra-1",
        &[site("a", SiteState::Idle)],
        &tree,
        &journal,
        &ConflictCounts::default(),
    );
    let told: Vec<&str> = judgement
        .causes
        .iter()
        .map(|cause| cause.text.as_str())
        .collect();
    let expected = [
        "fsync failed",
        "80 %",
        "2 inodes",
        "1 path differs",
        "3 changes cannot be applied here yet, the first because: no room",
        "scanning, later: only 7 directories",
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (text, part) in told.iter().zip(expected) {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(judgement.verdict, Verdict::Degraded);
    let quiet = JournalView {
        bytes: 79,
        budget_bytes: Some(100),
        ..JournalView::default()
    };
    let judgement = judge(
        "fra-1",
        &[],
        &self::tree(),
        &quiet,
        &ConflictCounts::default(),
    );
    assert!(judgement.causes.is_empty());
    let kept_in_vain = JournalView {
        bytes: 99,
        pinned_bytes: Some(5),
        ..quiet
    };
    let judgement = judge(
        "fra-1",
        &[],
        &self::tree(),
        &kept_in_vain,
        &ConflictCounts::default(),
    );
    assert!(judgement.causes.is_empty());
}

#[test]
fn what_was_not_noticed_for_a_minute_is_a_cause_at_both_ends_unless_someone_looks_at_it() {
    let late = Some(UNNOTICED_US + 1);
    let there = SiteView {
        unnoticed_us: late,
        ..site("iad-2", SiteState::Idle)
    };
    let told = judged(std::slice::from_ref(&there), &tree());
    assert_eq!(told.verdict, Verdict::Degraded);
    assert!(told.causes[0].text.contains("in the last 1 minute may"));
    assert!(told.causes[0].next.ends_with("cfs-repl status at iad-2"));
    let looking = SiteView {
        looking_us: Some(1),
        ..there
    };
    assert_eq!(judged(&[looking], &tree()).causes, []);
    let here = TreeView {
        unnoticed_us: late,
        ..tree()
    };
    let told = judged(&[], &here);
    assert!(
        told.causes[0]
            .text
            .contains("changed here in the last 1 minute")
    );
    let looking = TreeView {
        looking_us: Some(1),
        ..here
    };
    assert_eq!(judged(&[], &looking).causes, []);
    let soon = TreeView {
        unnoticed_us: Some(UNNOTICED_US),
        ..tree()
    };
    assert_eq!(judged(&[], &soon).causes, []);
}
