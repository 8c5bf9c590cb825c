//! What a person has to decide first: a tree that was emptied, on purpose or not, and a site that lost its disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::lab::{Lab, LabOptions, Site, cfs_repl, comes, read_all};

const PATIENCE: Duration = Duration::from_secs(30);
const FILES: usize = 30;

/// What `sites resume` says, and whether it did it.
fn resume(site: &Site, name: &str, confirm: bool) -> (bool, String) {
    let mut command = cfs_repl();
    command.args(["sites", "resume", name, "--server"]);
    command.arg(format!("unix:{}", site.socket.display()));
    command.args(confirm.then_some("--confirm"));
    let output = command.output().unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// Waits until the status of a site names the cause; what it says to do then.
fn told(site: &Site, cause: &str) -> String {
    let mut next = String::new();
    let is_told = comes(PATIENCE, || {
        let status = site.try_status().unwrap_or_default();
        let causes = status["items"][0]["causes"].as_array().cloned();
        let mut causes = causes.into_iter().flatten();
        let found = causes.find(|one| one["text"].as_str().is_some_and(|t| t.contains(cause)));
        next = found.map_or_else(String::new, |one| one["next"].as_str().unwrap().to_owned());
        !next.is_empty()
    });
    assert!(is_told, "{}: no {cause}: {}", site.name, site.tail());
    next
}

fn files(site: &Site) -> usize {
    let inner = site.tree.join(".cfs-repl");
    let all = read_all(&site.tree);
    all.iter()
        .filter(|(path, _)| !path.starts_with(&inner))
        .count()
}

#[test]
fn an_emptied_tree_is_told_of_and_applied_only_when_a_person_confirms_it_at_both_sites() {
    let options = LabOptions {
        settings: vec![("brake_files", "10".to_owned())],
        ..LabOptions::default()
    };
    let mut lab = Lab::started(&options);
    let dir = lab.a.tree.join("d");
    fs::create_dir(&dir).unwrap();
    for nth in 0..FILES {
        fs::write(dir.join(format!("f{nth}")), format!("{nth}")).unwrap();
    }
    lab.assert_settles("planted");
    for (path, _) in read_all(&lab.a.tree) {
        if path.parent() == Some(&lab.a.tree) {
            fs::remove_file(path).unwrap();
        }
    }
    // All at once, for what is seen half removed is believed.
    fs::rename(&dir, lab.folder().join("moved away")).unwrap();
    let next = told(&lab.a, "the root was empty");
    assert!(next.contains("sites resume site-a --confirm"), "{next}");
    let (done, text) = resume(&lab.a, "site-a", false);
    assert!(!done && text.contains("may not be meant"), "{text}");
    assert!(files(&lab.b) >= FILES);
    // What site A holds back is in no number of entries, but site B sees that it is not told what is new there.
    let unnoticed = || lab.b.ask(&["lag"])["items"][0]["inbound"]["unnoticed_us"].as_u64();
    let is_told = comes(PATIENCE, || unnoticed().is_some_and(|us| us > 5_000_000));
    assert!(is_told, "{:?}", unnoticed());
    let (done, text) = resume(&lab.a, "site-a", true);
    assert!(done && text.contains("resumed site-a"), "{text}");
    // What site A means, site B does not believe either.
    let next = told(&lab.b, "the brake holds");
    assert!(next.contains("sites resume site-a --confirm"), "{next}");
    assert!(files(&lab.b) >= FILES);
    let next = told(
        &lab.a,
        "its brake holds what comes from this site: site-a deleted",
    );
    assert!(next.contains("cfs-repl status at site-b"), "{next}");
    let (done, text) = resume(&lab.b, "site-a", false);
    assert!(!done && text.contains("may not be meant"), "{text}");
    assert!(resume(&lab.b, "site-a", true).0);
    assert!(comes(PATIENCE, || files(&lab.b) == 0), "{}", lab.b.tail());
    let (done, text) = resume(&lab.a, "site-a", true);
    assert!(done && text.contains("neither held nor paused"), "{text}");
    // A person was called at each site, once.
    for site in lab.sites() {
        assert_eq!(site.errors().len(), 1, "{:?}", site.errors());
        site.forget_log();
    }
    lab.assert_settles("emptied");
}

#[test]
fn a_site_that_lost_its_disk_is_refused_until_its_state_is_put_back() {
    let mut lab = Lab::started(&LabOptions::default());
    fs::write(lab.a.tree.join("of-a"), "a").unwrap();
    fs::write(lab.b.tree.join("of-b"), "b").unwrap();
    lab.assert_settles("planted");
    lab.a.kill();
    let kept = [lab.a.tree.clone(), lab.a.state.clone()];
    for folder in &kept {
        fs::rename(folder, folder.with_extension("kept")).unwrap();
        fs::create_dir(folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
    lab.a.start(&[]);
    for site in [&lab.a, &lab.b] {
        let is_told = comes(PATIENCE, || {
            let status = site.try_status().unwrap_or_default().to_string();
            status.contains("put the state folder and the tree of that journal back")
        });
        assert!(is_told, "{}", site.tail());
    }
    assert_eq!((files(&lab.a), lab.b.tree.join("of-a").exists()), (0, true));
    lab.a.kill();
    for folder in &kept {
        fs::remove_dir_all(folder).unwrap();
        fs::rename(folder.with_extension("kept"), folder).unwrap();
    }
    for site in lab.sites() {
        let told = site.errors();
        assert!(
            told.iter().all(|line| line.contains("not_kept")),
            "{told:?}"
        );
        site.forget_log();
    }
    lab.a.start(&[]);
    lab.assert_settles("put back");
}

#[test]
fn sites_that_met_with_nothing_may_both_bring_files_later() {
    let mut lab = Lab::started(&LabOptions::default());
    let is_met = comes(PATIENCE, || {
        let status = lab.b.try_status().unwrap_or_default();
        status["items"][0]["sites"][0]["state"] == "idle"
    });
    assert!(is_met, "{}", lab.b.tail());
    for site in lab.sites() {
        site.kill();
        fs::write(site.tree.join(format!("of-{}", site.name)), site.name).unwrap();
    }
    lab.a.start(&[]);
    lab.b.start(&[]);
    lab.assert_settles("both brought something");
    assert!(lab.a.tree.join("of-site-b").exists());
}
