//! What a hello may say, and how a connection is opened by it.

use super::super::message::StreamCursor;
use super::*;
use crate::journal::dot::Actor;
use crate::journal::verdict::{Reached, ReceivedCursor};

/// A hello of a site named `s<id>` in cluster `lab`.
pub(crate) fn hello(site_id: u64) -> Hello {
    Hello {
        protocol_min: 1,
        protocol_max: 1,
        actor: Actor::new(site_id, site_id + 100),
        site_name: format!("s{site_id}"),
        cluster: "lab".to_owned(),
        shard_function: SHARD_FUNCTION,
        ..Hello::default()
    }
}

pub(crate) fn opening(local: u64, remote: u64) -> Opening {
    Opening {
        hello: hello(local),
        remote_site_id: remote,
        remote_name: format!("s{remote}"),
        certificate_site: Some(format!("s{remote}")),
        ..Opening::default()
    }
}

fn taking_over(local: u64, remote: u64) -> Opening {
    Opening {
        takes_over: true,
        ..opening(local, remote)
    }
}

fn state(stream: u32, head: u64, chain: u8) -> StreamState {
    StreamState {
        stream,
        tail: 1,
        head,
        chain_head: [chain; 32],
    }
}

/// Version 1, and entries.
const AGREED: Agreed = Agreed {
    version: 1,
    filling: Filling {
        ours: false,
        theirs: false,
    },
};

/// Who takes over what the other one knows: us, them.
fn filling(opening: &Opening, theirs: &Hello) -> (bool, bool) {
    let Filling { ours, theirs } = check(opening, theirs).unwrap().filling;
    (ours, theirs)
}

fn reached(actor: Actor, seq: u64) -> Reached {
    let cursor = ReceivedCursor {
        seq,
        chain: [1; 32],
    };
    Reached {
        actor,
        streams: [(3, cursor)].into_iter().collect(),
    }
}

/// A change of their hello, the reason of the refusal, and words of its detail.
type Fault = (fn(&mut Hello), CloseReason, &'static str);

#[test]
fn every_wrong_hello_is_refused_with_what_to_do() {
    let cases: [Fault; 11] = [
        (|h| h.protocol_max = 0, CloseReason::Version, "upgrade your"),
        (
            |h| (h.protocol_min, h.protocol_max) = (2, 9),
            CloseReason::Version,
            "you speak protocol 2..=9, we need 1..=1: upgrade our",
        ),
        (|h| h.protocol_min = 5, CloseReason::Version, "5..=1"),
        (
            |h| h.cluster = "prod".into(),
            CloseReason::Cluster,
            "`cluster`",
        ),
        (
            |h| h.site_name = "s3".into(),
            CloseReason::Identity,
            "certificate is of site \"s2\"",
        ),
        (
            |h| h.actor.site_id = 3,
            CloseReason::UnknownSite,
            "site 3 (\"s2\")",
        ),
        (
            |h| h.shard_function = 2,
            CloseReason::Protocol,
            "shard function 2",
        ),
        (
            |h| h.streams = vec![state(257, 1, 0)],
            CloseReason::Protocol,
            "out of order",
        ),
        (
            |h| h.streams = vec![state(2, 1, 0), state(2, 1, 0)],
            CloseReason::Protocol,
            "out of order",
        ),
        (
            |h| h.tags = vec![0; TAGS_MAX + 1],
            CloseReason::Protocol,
            "tags",
        ),
        (
            |h| {
                h.streams = vec![StreamState {
                    tail: 9,
                    ..state(2, 1, 0)
                }];
            },
            CloseReason::Protocol,
            "streams",
        ),
    ];
    assert_eq!(check(&opening(1, 2), &hello(2)), Ok(AGREED));
    for (change, reason, words) in cases {
        let mut theirs = hello(2);
        change(&mut theirs);
        let close = check(&opening(1, 2), &theirs).unwrap_err();
        assert_eq!(close.reason, reason, "{close}");
        assert!(close.detail.contains(words), "{close}");
    }
}

#[test]
fn a_newer_peer_that_still_speaks_our_version_is_taken() {
    let mut theirs = hello(2);
    theirs.protocol_max = 9;
    assert_eq!(check(&opening(1, 2), &theirs), Ok(AGREED));
}

#[test]
fn a_journal_behind_what_was_seen_of_it_is_refused() {
    let mut opening = opening(1, 2);
    opening.remembered = Remembered {
        incarnation: 102,
        streams: [(7, (50, [1; 32]))].into_iter().collect(),
    };
    let with = |streams: Vec<StreamState>| Hello {
        streams,
        ..hello(2)
    };
    check(&opening, &with(vec![state(7, 50, 1)])).unwrap();
    check(&opening, &with(vec![state(7, 51, 9)])).unwrap();
    for streams in [vec![], vec![state(7, 49, 1)], vec![state(7, 50, 2)]] {
        let close = check(&opening, &with(streams)).unwrap_err();
        assert_eq!(close.reason, CloseReason::RolledBack);
        assert!(close.detail.contains("cfs-repl help join"), "{close}");
    }
}

#[test]
fn a_new_journal_of_a_site_whose_entries_are_known_is_refused_until_the_earlier_one_is_out() {
    let mut opening = taking_over(1, 2);
    let mut anew = hello(2);
    anew.actor.incarnation = 999;
    opening.remembered.incarnation = 102;
    check(&opening, &anew).expect("of the earlier one nothing is known");
    opening.remembered.streams = [(7, (0, [0; 32]))].into_iter().collect();
    check(&opening, &anew).expect("of the earlier one nothing is known");
    opening.remembered.streams = [(7, (1, [1; 32]))].into_iter().collect();
    let close = check(&opening, &anew).unwrap_err();
    assert_eq!(close.reason, CloseReason::NotKept);
    for words in ["earlier one", "put the state folder", "cfs-repl help join"] {
        assert!(close.detail.contains(words), "{close}");
    }
    anew.silent = vec![reached(hello(2).actor, 1)];
    check(&opening, &anew).expect("it knows of the earlier one");
}

#[test]
fn a_new_journal_of_a_known_site_takes_over_what_it_lacks_of_the_earlier_one() {
    let mut opening = taking_over(1, 2);
    opening.hello.silent = vec![reached(hello(2).actor, 4)];
    assert_eq!(filling(&opening, &with_head(hello(2))), (false, false));
    let mut anew = hello(2);
    anew.actor.incarnation = 999;
    assert_eq!(filling(&opening, &anew), (false, true));
    anew.silent = vec![reached(hello(2).actor, 3)];
    assert_eq!(filling(&opening, &anew), (false, true));
    anew.silent = vec![reached(hello(2).actor, 4)];
    assert_eq!(filling(&opening, &anew), (false, false));
}

fn with_head(hello: Hello) -> Hello {
    let streams = vec![state(7, 1, 1)];
    Hello { streams, ..hello }
}

#[test]
fn a_peer_that_has_more_of_our_journal_than_we_do_is_refused() {
    let mut opening = opening(1, 2);
    opening.hello.streams = vec![state(3, 10, 1)];
    let cursor = |received, chain: u8| Hello {
        peer_incarnation: 101,
        cursors: vec![StreamCursor {
            stream: 3,
            received,
            chain: [chain; 32],
            ..StreamCursor::default()
        }],
        ..hello(2)
    };
    for fine in [cursor(10, 1), cursor(9, 8), cursor(10, 0)] {
        check(&opening, &fine).unwrap();
    }
    for bad in [cursor(11, 1), cursor(10, 2)] {
        let close = check(&opening, &bad).unwrap_err();
        assert_eq!(close.reason, CloseReason::RolledBack, "{close}");
    }
    let of_an_older_journal = Hello {
        peer_incarnation: 5,
        ..cursor(11, 1)
    };
    check(&opening, &of_an_older_journal).unwrap();
}

#[test]
fn a_fenced_journal_is_refused_in_both_directions() {
    let why = "by site 1 on 2026-11-25";
    for (actor, whose) in [(hello(2).actor, "your"), (hello(1).actor, "our")] {
        let mut opening = taking_over(1, 2);
        opening.fenced = [(actor, why.to_owned())].into_iter().collect();
        let close = check(&opening, &hello(2)).unwrap_err();
        assert_eq!(close.reason, CloseReason::Fenced);
        for words in [whose, why, "cfs-repl help join"] {
            assert!(close.detail.contains(words), "{close}");
        }
    }
}

#[test]
fn who_has_less_of_a_journal_that_ended_takes_over_what_the_other_one_knows() {
    let ended = Actor::new(3, 5);
    let with = |site, silent: Vec<Reached>| Hello {
        silent,
        ..hello(site)
    };
    let both = |ours: Vec<Reached>, theirs: Vec<Reached>| {
        let mut opening = taking_over(1, 2);
        opening.hello = with(1, ours);
        filling(&opening, &with(2, theirs))
    };
    let at = |seq| vec![reached(ended, seq)];
    assert_eq!(both(at(4), at(4)), (false, false));
    assert_eq!(both(at(3), at(4)), (true, false));
    assert_eq!(both(at(4), at(3)), (false, true));
    // Who does not know yet that it ended will hear of it.
    assert_eq!(both(vec![], at(4)), (false, false));
    let mut other = reached(ended, 9);
    other.streams = [(4, ReceivedCursor::default())].into_iter().collect();
    assert_eq!(both(at(4), vec![other]), (false, true));
}

#[test]
fn a_newcomer_takes_over_what_nobody_sends_any_more_but_not_while_a_snapshot_is_merged() {
    let mut opening = taking_over(1, 2);
    let newcomer = Hello {
        newcomer: true,
        ..hello(2)
    };
    assert_eq!(filling(&opening, &newcomer), (false, false));
    opening.hello.fills_newcomers = true;
    assert_eq!(filling(&opening, &newcomer), (false, true));
    assert_eq!(filling(&opening, &hello(2)), (false, false));
    // Half of a state is neither given nor the place for another one; entries are.
    opening.hello.merging = true;
    assert_eq!(filling(&opening, &hello(2)), (false, false));
    let close = check(&opening, &newcomer).unwrap_err();
    assert_eq!(close.reason, CloseReason::Shutdown, "{close}");
    opening.hello.merging = false;
    let merging = Hello {
        merging: true,
        ..newcomer
    };
    let close = check(&opening, &merging).unwrap_err();
    assert_eq!(close.reason, CloseReason::Shutdown, "{close}");
}

#[test]
fn two_trees_that_were_there_before_the_sites_met_are_refused() {
    let (one, two) = (Actor::new(1, 101), Actor::new(2, 102));
    let ours = |founder, joined| {
        let mut opening = opening(1, 2);
        (opening.hello.founder, opening.joined) = (founder, joined);
        opening
    };
    let theirs = |founder| Hello {
        founder,
        ..hello(2)
    };
    for fine in [
        (ours(None, false), theirs(None)),
        (ours(None, true), theirs(None)),
        (ours(Some(one), false), theirs(None)),
        (ours(Some(one), true), theirs(Some(one))),
        (ours(None, false), theirs(Some(two))),
    ] {
        check(&fine.0, &fine.1).unwrap();
    }
    for (opening, words) in [
        (ours(Some(one), false), "ours from"),
        (ours(Some(one), true), "ours from"),
        (ours(None, true), "history without it"),
    ] {
        let close = check(&opening, &theirs(Some(two))).unwrap_err();
        assert_eq!(close.reason, CloseReason::Populated);
        assert!(close.detail.contains(words), "{close}");
        assert!(close.detail.contains("cfs-repl help join"), "{close}");
    }
    let mut met = theirs(Some(two));
    met.peer_incarnation = 101;
    met.cursors = vec![StreamCursor::default()];
    check(&ours(None, true), &met).unwrap();
}

#[test]
fn who_lacks_what_is_no_longer_kept_takes_over_what_the_other_one_knows() {
    let trimmed = |hello: Hello| Hello {
        streams: vec![StreamState {
            tail: 8,
            ..state(3, 9, 1)
        }],
        ..hello
    };
    let knowing = |hello: Hello, incarnation, received| Hello {
        peer_incarnation: incarnation,
        cursors: vec![StreamCursor {
            stream: 3,
            received,
            ..StreamCursor::default()
        }],
        ..hello
    };
    let mut opening = taking_over(1, 2);
    opening.hello = trimmed(hello(1));
    let has_all = knowing(hello(2), 101, 7);
    assert_eq!(filling(&opening, &has_all), (false, false));
    let mut primary = hello(2);
    primary.role = Role::Primary;
    assert_eq!(filling(&opening, &primary), (false, false));
    for lacking in [hello(2), knowing(hello(2), 101, 6), knowing(hello(2), 5, 9)] {
        assert_eq!(filling(&opening, &lacking), (false, true));
    }
    opening.hello = knowing(hello(1), 102, 6);
    assert_eq!(filling(&opening, &trimmed(hello(2))), (true, false));
    opening.hello = knowing(hello(1), 102, 7);
    assert_eq!(filling(&opening, &trimmed(hello(2))), (false, false));
}

#[test]
fn a_new_journal_of_a_site_whose_entries_are_known_is_refused_for_it_would_never_get_those() {
    let mut opening = opening(1, 2);
    let mut anew = hello(2);
    anew.actor.incarnation = 999;
    opening.remembered.incarnation = 102;
    check(&opening, &anew).expect("of the earlier one nothing is known");
    opening.remembered.streams = [(7, (0, [0; 32]))].into_iter().collect();
    check(&opening, &anew).expect("of the earlier one nothing is known");
    opening.remembered.streams = [(7, (1, [1; 32]))].into_iter().collect();
    let close = check(&opening, &anew).unwrap_err();
    assert_eq!(close.reason, CloseReason::NotKept);
    for words in ["earlier one", "put the state folder", "cfs-repl help join"] {
        assert!(close.detail.contains(words), "{close}");
    }
}

#[test]
fn a_fenced_journal_is_refused_in_both_directions_and_so_is_who_would_lack_it() {
    let why = "by site 1 on 2026-11-25";
    for (actor, whose) in [(hello(2).actor, "your"), (hello(1).actor, "our")] {
        let mut opening = opening(1, 2);
        opening.fenced = [(actor, why.to_owned())].into_iter().collect();
        let close = check(&opening, &hello(2)).unwrap_err();
        assert_eq!(close.reason, CloseReason::Fenced);
        for words in [whose, why, "cfs-repl help join"] {
            assert!(close.detail.contains(words), "{close}");
        }
    }
    let mut opening = opening(1, 2);
    opening.fenced = [(hello(2).actor, why.to_owned())].into_iter().collect();
    let mut newcomer = hello(2);
    newcomer.actor.incarnation += 1;
    let close = check(&opening, &newcomer).unwrap_err();
    assert_eq!(close.reason, CloseReason::NotKept, "{close}");
    newcomer.streams = vec![state(1, 1, 1)];
    check(&opening, &newcomer).expect("a member that has what it wrote");
}

#[test]
fn who_lacks_what_is_no_longer_kept_is_told_so_by_either_side() {
    let trimmed = |hello: Hello| Hello {
        streams: vec![StreamState {
            tail: 8,
            ..state(3, 9, 1)
        }],
        ..hello
    };
    let knowing = |hello: Hello, incarnation, received| Hello {
        peer_incarnation: incarnation,
        cursors: vec![StreamCursor {
            stream: 3,
            received,
            ..StreamCursor::default()
        }],
        ..hello
    };
    let mut opening = opening(1, 2);
    opening.hello = trimmed(hello(1));
    check(&opening, &knowing(hello(2), 101, 7)).unwrap();
    let mut primary = hello(2);
    primary.role = Role::Primary;
    check(&opening, &primary).unwrap();
    for lacking in [hello(2), knowing(hello(2), 101, 6), knowing(hello(2), 5, 9)] {
        let close = check(&opening, &lacking).unwrap_err();
        assert_eq!(close.reason, CloseReason::NotKept);
        assert!(close.detail.starts_with("you lack stream 3"), "{close}");
    }
    opening.hello = knowing(hello(1), 102, 6);
    let close = check(&opening, &trimmed(hello(2))).unwrap_err();
    assert!(close.detail.starts_with("we lack stream 3"), "{close}");
    opening.hello = knowing(hello(1), 102, 7);
    check(&opening, &trimmed(hello(2))).unwrap();
}

#[test]
fn a_copied_state_folder_is_noticed() {
    let mut theirs = hello(1);
    theirs.site_name = "s1".to_owned();
    let close = check(&opening(1, 1), &theirs).unwrap_err();
    assert_eq!(close.reason, CloseReason::Identity, "{close}");
}
