//! What each fact means: one site where all is well, and what is found when one thing is not.

use super::super::facts::{
    Call, Daemon, Filesystem, Listen, Machine, Peer, Running, Sibling, State, Tree, Trust,
};
use super::*;
use crate::tree::pin::Bond;

const DAY_US: u64 = 86_400 * 1_000_000;
const NOW_US: u64 = 1_795_370_089_000_000;

fn filesystem() -> Filesystem {
    Filesystem {
        kind: 0xEF53,
        mount: "/srv".into(),
        total_bytes: 1 << 40,
        free_bytes: 1 << 39,
        free_inodes: Some(7),
        ..Filesystem::default()
    }
}

/// A site that lacks nothing.
fn well() -> Facts {
    Facts {
        now_us: NOW_US,
        file: "/etc/cfs-repl/config.toml".into(),
        problems: Vec::new(),
        machine: Machine {
            release: "6.8.0-49-generic".to_owned(),
            is_synchronised: Some(true),
            watches_max: Some(65_536),
            instances_max: Some(128),
        },
        site: Some(Site {
            name: "fra-1".to_owned(),
            id: 1,
            cluster: "prod".to_owned(),
            file_mode: Look::Seen(0o644),
            siblings: Vec::new(),
            root: "/srv/media".into(),
            tree: Look::Seen(Tree {
                filesystem: filesystem(),
                openat2: None,
                births: None,
                writable: true,
                dirs: 1_000,
                dirs_complete: true,
                bond: Look::Seen(Bond::Bound),
            }),
            keep_percent: 10,
            state_dir: "/var/lib/cfs-repl".into(),
            state: Look::Seen(State {
                is_dir: true,
                mode: 0o700,
                filesystem: filesystem(),
                used_bytes: Some(1 << 30),
            }),
            journal_of: Look::Seen(1),
            holder: None,
            state_has_parent: true,
            budget_bytes: 20 << 30,
            trust: Some(Trust {
                cert: "/etc/cfs-repl/tls/fra-1.pem".into(),
                key: "/etc/cfs-repl/tls/fra-1.key".into(),
                ca: "/etc/cfs-repl/tls/ca.pem".into(),
                key_mode: Look::Seen(0o600),
                folder_mode: Look::Seen(0o755),
                expires_us: Look::Seen(NOW_US + 90 * DAY_US),
                has_authority: false,
            }),
            files_max: Some(1_024),
            daemon: Daemon::Runs(Running {
                site: "fra-1".to_owned(),
                root: b"/srv/media".to_vec(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                blind: None,
                skews: vec![("iad-2".to_owned(), -14_000)],
            }),
            listen: Some(("0.0.0.0:7443".parse().unwrap(), Listen::Own)),
            peers: vec![Peer {
                name: "iad-2".to_owned(),
                calls: vec![("iad.example.net:7443".to_owned(), Call::Answered)],
            }],
        }),
    }
}

/// What is not well when one thing is otherwise: level, check, what was found, what to do.
fn found(change: impl FnOnce(&mut Facts)) -> Vec<(Rating, String, String, String)> {
    let mut facts = well();
    change(&mut facts);
    judge(&facts)
        .into_iter()
        .filter(|finding| finding.level != Rating::Ok)
        .map(|finding| {
            let fix = finding.fix.expect("what is not well has a fix");
            assert!(!fix.is_empty(), "{}", finding.check);
            (finding.level, finding.check, finding.found, fix)
        })
        .collect()
}

/// The same of a change to the site; exactly one thing is to be found.
fn one(change: impl FnOnce(&mut Site)) -> (Rating, String, String, String) {
    let mut all = found(|facts| change(facts.site.as_mut().unwrap()));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Whether all is well all the same.
fn found_none(change: impl FnOnce(&mut Site)) -> bool {
    found(|facts| change(facts.site.as_mut().unwrap())).is_empty()
}

fn tree(site: &mut Site) -> &mut Tree {
    let Look::Seen(tree) = &mut site.tree else {
        panic!();
    };
    tree
}

fn running(site: &mut Site) -> &mut Running {
    let Daemon::Runs(running) = &mut site.daemon else {
        panic!();
    };
    running
}

fn state(site: &mut Site) -> &mut State {
    let Look::Seen(state) = &mut site.state else {
        panic!();
    };
    state
}

#[test]
fn a_site_that_lacks_nothing_is_told_so_in_every_check() {
    let findings = judge(&well());
    let bad: Vec<_> = findings.iter().filter(|f| f.level != Rating::Ok).collect();
    assert!(bad.is_empty(), "{bad:?}");
    let checks: Vec<&str> = findings.iter().map(|f| f.check.as_str()).collect();
    assert_eq!(
        checks,
        [
            "config",
            "kernel",
            "clock",
            "openat2",
            "birth_times",
            "filesystem",
            "mount",
            "root",
            "tree_space",
            "inotify",
            "open_files",
            "state",
            "journal",
            "state_filesystem",
            "state_space",
            "key",
            "certificate",
            "daemon",
            "listen",
            "peer"
        ]
    );
}

#[test]
fn a_configuration_that_does_not_hold_is_told_with_all_that_is_wrong_and_the_machine_still_looked_at()
 {
    let all = found(|facts| {
        facts.site = None;
        facts.problems = vec![
            ("c.toml:3:1: no key".to_owned(), "remove it".to_owned()),
            ("c.toml: no root".to_owned(), "add it".to_owned()),
        ];
        facts.machine.release = "5.4.0".to_owned();
    });
    let told: Vec<_> = all
        .iter()
        .map(|f| (f.0, f.1.as_str(), f.3.as_str()))
        .collect();
    assert_eq!(
        told[..2],
        [
            (Rating::Critical, "config", "remove it"),
            (Rating::Critical, "config", "add it")
        ]
    );
    assert_eq!((told[2].0, told[2].1), (Rating::Critical, "kernel"));
}

#[test]
fn two_configurations_that_share_a_tree_and_one_that_others_can_change_are_found() {
    let (level, check, what, fix) = one(|site| {
        site.siblings.push(Sibling {
            file: "/etc/cfs-repl/b.toml".into(),
            key: "tree.root",
            value: "/srv".to_owned(),
        });
    });
    assert_eq!((level, check.as_str()), (Rating::Critical, "config"));
    assert!(what.contains("b.toml has the same tree.root, /srv") && fix.contains("of its own"));
    let (level, _, _, fix) = one(|site| site.file_mode = Look::Seen(0o666));
    assert_eq!(
        (level, fix.as_str()),
        (Rating::Warning, "chmod go-w /etc/cfs-repl/config.toml")
    );
}

#[test]
fn a_clock_that_nobody_keeps_is_worth_a_look_and_one_of_which_nobody_tells_is_unknown() {
    let clock = |is_synchronised, skews: Vec<(String, i64)>| {
        let mut all = found(|facts| {
            facts.machine.is_synchronised = is_synchronised;
            let site = facts.site.as_mut().unwrap();
            if let Daemon::Runs(running) = &mut site.daemon {
                running.skews = skews;
            }
        });
        all.pop().map(|(level, _, what, _)| (level, what))
    };
    assert_eq!(clock(Some(false), Vec::new()).unwrap().0, Rating::Warning);
    assert_eq!(clock(None, Vec::new()).unwrap().0, Rating::Unknown);
    assert_eq!(
        clock(None, vec![("b".to_owned(), 14_000)]),
        None,
        "peers agree"
    );
    let (level, what) = clock(Some(true), vec![("b".to_owned(), -7_000_000)]).unwrap();
    assert_eq!(level, Rating::Warning);
    assert!(what.contains("b is 7.0s behind"), "{what}");
}

#[test]
fn a_tree_with_more_directories_than_can_be_watched_is_told_the_sysctl_that_is_enough() {
    let (level, _, _, fix) = one(|site| tree(site).dirs = 70_000);
    assert_eq!(level, Rating::Warning);
    assert!(
        fix.starts_with("sysctl -w fs.inotify.max_user_watches=262144,"),
        "{fix}"
    );
    assert!(fix.contains("> /etc/sysctl.d/60-cfs-repl.conf"), "{fix}");
    let (level, _, what, _) = one(|site| tree(site).dirs = 60_000);
    assert_eq!(level, Rating::Warning, "others need some, too: {what}");
    let (level, ..) = one(|site| tree(site).dirs_complete = false);
    assert_eq!(level, Rating::Unknown);
    let (level, _, what, _) = one(|site| running(site).blind = Some("no space left".to_owned()));
    assert!(
        level == Rating::Warning && what.contains("by scanning"),
        "{what}"
    );
    let all = found(|facts| facts.machine.watches_max = None);
    assert_eq!(all[0].0, Rating::Unknown);
}

#[test]
fn a_tree_that_cannot_be_kept_is_told_why() {
    for (change, check, level) in [
        (
            (|site| tree(site).openat2 = Some("no openat2".to_owned())) as fn(&mut Site),
            "openat2",
            Rating::Critical,
        ),
        (
            |site| tree(site).births = Some("none".to_owned()),
            "birth_times",
            Rating::Critical,
        ),
        (
            |site| tree(site).filesystem.kind = 0x6969,
            "filesystem",
            Rating::Critical,
        ),
        (
            |site| tree(site).filesystem.kind = 0x0102_1994,
            "filesystem",
            Rating::Warning,
        ),
        (
            |site| tree(site).filesystem.kind = 1,
            "filesystem",
            Rating::Warning,
        ),
        (
            |site| tree(site).filesystem.read_only = true,
            "mount",
            Rating::Critical,
        ),
        (
            |site| tree(site).filesystem.free_bytes = 1 << 20,
            "tree_space",
            Rating::Critical,
        ),
        (
            |site| tree(site).filesystem.free_inodes = Some(0),
            "tree_space",
            Rating::Critical,
        ),
        (
            |site| tree(site).filesystem.free_bytes = 1 << 36,
            "tree_space",
            Rating::Warning,
        ),
        (
            |site| tree(site).bond = Look::Denied,
            "root",
            Rating::Unknown,
        ),
        (
            |site| state(site).filesystem.read_only = true,
            "state_mount",
            Rating::Critical,
        ),
    ] {
        let (found, name, what, _) = one(change);
        assert_eq!((found, name.as_str()), (level, check), "{what}");
    }
    let noexec = |facts: &mut Facts| tree(facts.site.as_mut().unwrap()).filesystem.noexec = true;
    assert!(found(noexec).is_empty(), "files are carried all the same");
    let mut facts = well();
    noexec(&mut facts);
    assert!(
        judge(&facts)
            .iter()
            .any(|f| f.found.contains("noexec: programs"))
    );
}

#[test]
fn another_tree_than_the_one_of_the_state_folder_is_told_with_what_to_do() {
    for (bond, words, fix) in [
        (
            Bond::Foreign,
            "another state folder",
            "two sites never share a tree",
        ),
        (
            Bond::Copy,
            "is a copy",
            "cfs-repl run --adopt-copy --config",
        ),
        (Bond::Other, "another directory", "findmnt /srv/media"),
        (Bond::Unmarked, "is gone", "from a backup"),
    ] {
        let (level, _, what, told) = one(|site| tree(site).bond = Look::Seen(bond));
        assert_eq!(level, Rating::Critical);
        assert!(what.contains(words) && told.contains(fix), "{what}: {told}");
    }
}

#[test]
fn a_state_folder_is_to_be_its_owners_alone_and_to_have_room_for_its_budget() {
    let (level, _, _, fix) = one(|site| state(site).mode = 0o755);
    assert_eq!(
        (level, fix.as_str()),
        (Rating::Warning, "chmod 700 /var/lib/cfs-repl")
    );
    let (level, _, _, fix) = one(|site| state(site).filesystem.free_bytes = 11 << 30);
    assert_eq!(level, Rating::Warning);
    assert!(fix.ends_with("journal_budget = \"6GiB\""), "{fix}");
    let (level, ..) = one(|site| state(site).used_bytes = None);
    assert_eq!(level, Rating::Unknown);
    assert!(found(|facts| facts.site.as_mut().unwrap().state = Look::Absent).is_empty());
    let (level, _, _, fix) = one(|site| {
        site.state = Look::Absent;
        site.state_has_parent = false;
    });
    assert_eq!(
        (level, fix.as_str()),
        (Rating::Critical, "mkdir -p -m 0700 /var/lib/cfs-repl")
    );
}

#[test]
fn a_key_that_others_can_use_and_a_certificate_that_ends_are_told_in_time() {
    let trust = |site: &mut Site, change: fn(&mut Trust)| change(site.trust.as_mut().unwrap());
    let (level, check, _, fix) = one(|site| trust(site, |t| t.key_mode = Look::Seen(0o640)));
    assert_eq!((level, check.as_str()), (Rating::Critical, "key"));
    assert_eq!(fix, "chmod 600 /etc/cfs-repl/tls/fra-1.key");
    let (level, ..) = one(|site| trust(site, |t| t.folder_mode = Look::Seen(0o777)));
    assert_eq!(level, Rating::Warning);
    for (left, expected) in [(13, Rating::Warning), (1, Rating::Critical)] {
        let (level, _, what, fix) = one(|site| {
            let trust = site.trust.as_mut().unwrap();
            trust.expires_us = Look::Seen(NOW_US + left * DAY_US);
        });
        assert_eq!(level, expected, "{what}");
        assert!(fix.contains("fra-1.prod.cfs-repl"), "{fix}");
        let issue = "at the site that holds the key of the authority";
        assert!(
            fix.contains(issue) && fix.contains("pki issue --site fra-1 --cluster prod"),
            "{fix}"
        );
    }
    let (_, _, what, fix) = one(|site| {
        trust(site, |t| {
            t.has_authority = true;
            t.expires_us = Look::Failed("is for iad-2".to_owned());
        });
    });
    assert_eq!(what, "is for iad-2");
    assert!(
        fix.contains("pki issue --site fra-1 --cluster prod --dir /etc/cfs-repl/tls"),
        "{fix}"
    );
    let (level, ..) = one(|site| trust(site, |t| t.expires_us = Look::Denied));
    assert_eq!(level, Rating::Unknown);
}

#[test]
fn a_daemon_that_does_not_run_or_answer_or_is_another_one_is_told_apart() {
    let runs = |change: fn(&mut Running)| one(|site| change(running(site)));
    assert_eq!(
        runs(|running| running.root = b"/srv/old".to_vec()).0,
        Rating::Critical
    );
    assert_eq!(
        runs(|running| running.site = "iad-2".to_owned()).0,
        Rating::Critical
    );
    assert_eq!(
        runs(|running| running.version = "0.0.1".to_owned()).0,
        Rating::Warning
    );
    for (daemon, expected) in [
        (Daemon::Stopped, Rating::Warning),
        (Daemon::Denied, Rating::Unknown),
        (Daemon::Silent("no answer".to_owned()), Rating::Critical),
    ] {
        let (level, check, ..) = one(|site| {
            site.daemon = daemon;
            site.listen = None;
        });
        assert_eq!((level, check.as_str()), (expected, "daemon"));
    }
}

#[test]
fn a_state_folder_of_another_site_and_a_tree_that_may_not_be_written_are_told() {
    let (level, check, found, fix) = one(|site| site.journal_of = Look::Seen(3));
    assert_eq!((level, check.as_str()), (Rating::Critical, "journal"));
    assert!(
        found.contains("that of site 3, and the configuration says site 1"),
        "{found}"
    );
    assert!(fix.contains("site.id = 3"), "{fix}");
    assert!(
        found_none(|site| site.journal_of = Look::Absent),
        "before the first start"
    );
    let (level, _, found, _) = one(|site| tree(site).writable = false);
    assert_eq!(level, Rating::Warning);
    assert!(found.contains("may not write into /srv/media"), "{found}");
}

#[test]
fn a_daemon_that_holds_the_state_folder_and_does_not_answer_is_told_with_its_process() {
    for (daemon, words) in [
        (Daemon::Stopped, "nobody answers on the admin socket"),
        (
            Daemon::Silent("timed out".to_owned()),
            "does not answer: timed out",
        ),
    ] {
        let (level, check, found, fix) = one(|site| {
            site.daemon = daemon;
            site.holder = Some(4711);
            // It cannot be asked whose the address is.
            site.listen = None;
        });
        assert_eq!((level, check.as_str()), (Rating::Critical, "daemon"));
        assert!(
            found.contains("process 4711") && found.contains(words),
            "{found}"
        );
        assert!(fix.contains("4711"), "{fix}");
    }
}

#[test]
fn an_address_that_somebody_else_has_is_told_and_a_free_one_only_while_no_daemon_runs() {
    let listen = |daemon: Option<Daemon>, listen: Listen| {
        let mut all = found(|facts| {
            let site = facts.site.as_mut().unwrap();
            site.daemon = daemon.unwrap_or(site.daemon.clone());
            site.listen = site.listen.take().map(|(address, _)| (address, listen));
        });
        all.retain(|(_, check, ..)| check == "listen");
        all.pop().map(|(level, ..)| level)
    };
    assert_eq!(listen(Some(Daemon::Stopped), Listen::Free), None);
    assert_eq!(listen(None, Listen::Free), Some(Rating::Critical));
    assert_eq!(listen(None, Listen::Held), Some(Rating::Unknown));
    assert_eq!(
        listen(None, Listen::Taken("it hung up".to_owned())),
        Some(Rating::Critical)
    );
    assert_eq!(
        listen(None, Listen::Refused("no such address".to_owned())),
        Some(Rating::Critical)
    );
}

#[test]
fn a_peer_is_told_how_far_a_call_comes_and_one_good_endpoint_is_enough_to_go_on() {
    for (call, words, fix) in [
        (
            Call::NoName("unknown".to_owned()),
            "not found",
            "getent hosts iad.example.net",
        ),
        (
            Call::Refused("refused".to_owned()),
            "no connection",
            "ss -ltn 'sport = :7443'",
        ),
        (
            Call::Silent,
            "does not answer",
            "nc -vz iad.example.net 7443",
        ),
        (
            Call::Distrusted("its authority".to_owned()),
            "but: its authority",
            "one authority",
        ),
    ] {
        let (level, _, what, told) = one(|site| site.peers[0].calls[0].1 = call.clone());
        assert_eq!(level, Rating::Critical);
        assert!(what.contains(words) && told.contains(fix), "{what}: {told}");
        let (level, ..) = one(|site| {
            let other = ("10.0.0.2:7443".to_owned(), call.clone());
            site.peers[0].calls.push(other);
        });
        assert_eq!(level, Rating::Warning, "the other endpoint is good");
    }
    assert!(found(|facts| facts.site.as_mut().unwrap().peers[0].calls.clear()).is_empty());
}

#[test]
fn a_path_is_one_word_of_a_shell() {
    assert_eq!(word(Path::new("/srv/a-b_c.d")), "/srv/a-b_c.d");
    assert_eq!(word(Path::new("/srv/a b'c; rm")), "'/srv/a b'\\''c; rm'");
}
