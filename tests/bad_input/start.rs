//! A daemon that cannot start says what is wrong, why, and what to do, ends with the code for it, and touches nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use claudefs_repl::clock::{Clock as _, SystemClock};
use claudefs_repl::conduit::pki::{init_ca, issue};

use super::site::{CLUSTER, Lab, Site, make_private};

const DAY_US: u64 = 86_400_000_000;
/// The exit code for a configuration that is not valid.
const CONFIG: Option<i32> = Some(6);

/// Runs the daemon, which must refuse: three lines, with these words.
fn refuses(site: &Site, code: Option<i32>, words: &[&str]) {
    let (found, told) = site.run();
    assert_eq!(found, code, "{told}");
    for line in ["error: ", "cause: ", "hint:  "] {
        assert!(
            told.contains(&format!("\n{line}")) || told.starts_with(line),
            "{line}: {told}"
        );
    }
    for word in words {
        assert!(told.contains(word), "{word:?} is not in:\n{told}");
    }
    assert!(!told.contains("panicked"), "{told}");
}

fn edit(site: &Site, from: &str, to: &str) {
    let text = fs::read_to_string(&site.config).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(&site.config, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_configuration_that_does_not_hold_is_refused_before_anything_is_touched() {
    let lab = Lab::new();
    let site = lab.site_a();
    let good = fs::read_to_string(&site.config).unwrap();
    let inside = site.tree.join("state");
    let inside = format!("dir = {inside:?}\n#");
    let cases: [(&str, &str, &[&str]); 3] = [
        ("[tree]\n", "[tree]\nrot = 1\n", &["rot", "root"]),
        (
            "/site-a/tree\"",
            "/no-such\"",
            &["no-such", "create the directory"],
        ),
        (
            "dir = ",
            &inside,
            &["lies inside the tree", "outside the tree"],
        ),
    ];
    for (from, to, words) in cases {
        edit(&site, from, to);
        refuses(&site, CONFIG, words);
        fs::write(&site.config, &good).unwrap();
    }
    fs::remove_file(&site.config).unwrap();
    refuses(&site, CONFIG, &["config.toml", "cfs-repl init"]);
    assert_eq!(fs::read_dir(&site.tree).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&site.state).unwrap().count(), 0);
}

#[test]
fn a_site_that_was_given_another_number_is_refused_and_keeps_its_journal() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    site.start();
    site.stop();
    let good = fs::read_to_string(&site.config).unwrap();
    edit(&site, "id = 1\n", "id = 7\n");
    let words = [
        "that of site 1, and the configuration says site 7",
        "put site.id back",
    ];
    refuses(&site, CONFIG, &words);
    fs::write(&site.config, good).unwrap();
    site.start();
    site.stop();
}

#[test]
fn certificates_that_no_peer_would_take_are_refused_at_the_start() {
    let lab = Lab::new();
    let site = lab.site_a();
    let (past, now) = (SystemClock.now_us() - 30 * DAY_US, SystemClock.now_us());
    let folder = |name: &str, made_us| {
        let folder = lab.path().join(name);
        init_ca(&folder, CLUSTER, made_us).unwrap();
        folder
    };
    let old = issue(&folder("old", past), "site-a", CLUSTER, 5, past).unwrap();
    let foreign = issue(&folder("foreign", now), "site-a", CLUSTER, 90, now).unwrap();
    let other = lab.issue("site-x");
    let ours = &site.tls;
    let cases = [
        (
            (&old.cert, &old.key, &old.ca),
            "site-a.pem: expired on 2",
            "issue a new certificate",
        ),
        (
            (&ours.cert, &ours.key, &foreign.ca),
            "not issued by the authority",
            "the same cluster",
        ),
        (
            (&other.cert, &other.key, &other.ca),
            "site-x.lab.cfs-repl",
            "`site.name`",
        ),
        (
            (&ours.cert, &other.key, &ours.ca),
            "site-x.key: is not the key of",
            "the same issue",
        ),
        (
            (&ours.cert, &ours.key, &lab.path().join("none")),
            "none",
            "No such file",
        ),
    ];
    let good = fs::read_to_string(&site.config).unwrap();
    for ((cert, key, ca), what, advice) in cases {
        let head = good.split("[tls]").next().unwrap();
        let text = format!("{head}[tls]\ncert = {cert:?}\nkey = {key:?}\nca = {ca:?}\n");
        fs::write(&site.config, text).unwrap();
        refuses(&site, CONFIG, &[what, advice, "[tls] in "]);
    }
    fs::write(&site.config, good).unwrap();
    fs::set_permissions(&ours.key, fs::Permissions::from_mode(0o644)).unwrap();
    refuses(&site, CONFIG, &["mode 0644", "chmod 600 "]);
    assert_eq!(fs::read_dir(&site.tree).unwrap().count(), 0);
}

#[test]
fn a_tree_without_its_marker_or_with_another_one_is_refused_and_stays_whole() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    fs::write(site.tree.join("precious"), "x").unwrap();
    site.start();
    site.stop();
    let marker = site.tree.join(".cfs-repl/id");
    let ours = fs::read(&marker).unwrap();
    for theirs in [
        None,
        Some("00112233445566778899aabbccddeeff"),
        Some("no id"),
    ] {
        match theirs {
            None => fs::remove_file(&marker).unwrap(),
            Some(text) => fs::write(&marker, text).unwrap(),
        }
        refuses(
            &site,
            CONFIG,
            &["site-a/tree", "nothing was deleted", "tree.root", "mounted"],
        );
        assert_eq!(site.names(), ["precious"]);
    }
    // Another directory at the same path, such as an empty mount point.
    let aside = lab.path().join("aside");
    fs::rename(&site.tree, &aside).unwrap();
    fs::create_dir(&site.tree).unwrap();
    refuses(&site, CONFIG, &["another directory than before", "mounted"]);
    assert_eq!(fs::read_dir(&site.tree).unwrap().count(), 0);
    fs::remove_dir(&site.tree).unwrap();
    fs::rename(&aside, &site.tree).unwrap();
    fs::write(&marker, ours).unwrap();
    site.start();
    site.stop();
}

#[test]
fn a_tree_of_another_state_folder_is_refused() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    site.start();
    site.stop();
    fs::rename(&site.state, lab.path().join("former")).unwrap();
    make_private(&site.state);
    refuses(
        &site,
        CONFIG,
        &["belongs to another state folder", "new state folder"],
    );
}

#[test]
fn a_second_daemon_on_a_state_folder_names_the_first_and_leaves_it_alone() {
    let lab = Lab::new();
    let mut site = lab.site_a();
    site.start();
    let first = fs::read_to_string(site.state.join("lock")).unwrap();
    let holder = format!("another daemon (process {}) holds it", first.trim());
    refuses(&site, Some(1), &["site-a/state", &holder, "stop that one"]);
    assert_eq!(site.status()["site"], "site-a");
    site.stop();
}

#[test]
fn an_address_that_is_taken_is_named() {
    let lab = Lab::new();
    let site = lab.site_a();
    let address = site.address();
    let _taken = std::net::TcpListener::bind(&address).unwrap();
    refuses(
        &site,
        Some(1),
        &[&address, "another process has the address"],
    );
}
