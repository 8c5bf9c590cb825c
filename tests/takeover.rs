//! How a site comes to what nobody sends any more, with daemons as an operator runs them: one that lost its disk, those
//! that are left when a site is gone for good, and a newcomer after that.

use std::fs;
use std::path::Path;
use std::time::Duration;

use claudefs_repl::failpoint;

use crate::lab::{Lab, LabOptions, Site, cfs_repl, comes};

const PATIENCE: Duration = Duration::from_secs(60);

fn three() -> LabOptions {
    LabOptions {
        has_third: true,
        ..LabOptions::default()
    }
}

/// What an operator types at `at` when the site `name` is gone for good.
fn take_out(at: &Site, name: &str) {
    let mut command = cfs_repl();
    command.args(["sites", "remove", name, "--confirm", name, "--server"]);
    command.arg(format!("unix:{}", at.socket.display()));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("[[peer]]"),
        "it stands in the configuration: {said}"
    );
    assert!(said.contains("its journal ended"), "{said}");
}

fn holds(tree: &Path, name: &str, text: &str) -> bool {
    fs::read(tree.join(name)).is_ok_and(|bytes| bytes == text.as_bytes())
}

#[track_caller]
fn assert_arrives(lab: &mut Lab, which: usize, name: &str, text: &str) {
    let tree = lab.site(which).tree.clone();
    if !comes(PATIENCE, || holds(&tree, name, text)) {
        lab.fail(name, "did not arrive");
    }
}

/// A site loses state and tree; whoever has what it wrote gives it back, when a person said that its journal ended.
#[test]
fn a_site_that_lost_its_disk_gets_back_what_others_have_of_it() {
    let mut lab = Lab::started(&LabOptions::default());
    for nth in 0..40 {
        fs::write(lab.b.tree.join(format!("of-b-{nth}")), format!("b {nth}")).unwrap();
    }
    fs::create_dir(lab.a.tree.join("of-a")).unwrap();
    fs::write(lab.a.tree.join("of-a/f"), "a").unwrap();
    lab.assert_settles("before");
    loses_its_disk(&mut lab.b, &[]);
    // Nobody said so yet, and an unmounted disk looks the same.
    assert_refused(&lab.b);
    assert!(!lab.b.tree.join("of-a/f").exists());
    lab.a.forget_log();
    lab.b.forget_log();
    take_out(&lab.a, "site-b");
    assert_arrives(&mut lab, 1, "of-b-39", "b 39");
    assert_arrives(&mut lab, 1, "of-a/f", "a");
    lab.assert_settles("after");
    fs::write(lab.b.tree.join("of-b-0"), "again").unwrap();
    assert_arrives(&mut lab, 0, "of-b-0", "again");
    lab.b.kill();
    lab.b.start(&[]);
    lab.assert_settles("started again");
}

fn loses_its_disk(site: &mut Site, env: &[(&str, &str)]) {
    site.kill();
    fs::remove_dir_all(&site.state).unwrap();
    fs::remove_dir_all(&site.tree).unwrap();
    fs::create_dir(&site.tree).unwrap();
    site.start(env);
}

fn assert_refused(site: &Site) {
    let refused = comes(PATIENCE, || {
        let told = site.ask(&["status"]).to_string();
        told.contains("not_kept")
    });
    assert!(refused, "{}", site.tail());
}

/// Of several pages: what was put aside before a crash counts after it, and half of a merge is finished.
#[test]
fn a_site_that_is_killed_while_it_takes_over_goes_on_with_that() {
    const FILES: usize = 4_500;
    let mut lab = Lab::started(&LabOptions::default());
    fs::create_dir(lab.a.tree.join("many")).unwrap();
    for nth in 0..FILES {
        fs::write(lab.a.tree.join(format!("many/{nth}")), format!("{nth}")).unwrap();
    }
    fs::write(lab.b.tree.join("of-b"), "b").unwrap();
    lab.assert_settles("before");
    let points = failpoint::SNAPSHOT_POINTS.iter();
    for (point, nth) in points.zip([3, 1, 2, 1]) {
        let armed = format!("{point}:{nth}");
        loses_its_disk(&mut lab.b, &[(failpoint::VARIABLE, &armed)]);
        assert_refused(&lab.b);
        take_out(&lab.a, "site-b");
        assert!(lab.b.aborts(PATIENCE), "{armed}: {}", lab.b.tail());
        assert!(!lab.b.tree.join("of-b").exists(), "{armed}");
        lab.a.forget_log();
        lab.b.forget_log();
        lab.b.start(&[]);
        assert_arrives(&mut lab, 1, "of-b", "b");
        lab.assert_settles(&armed);
        let there = fs::read_dir(lab.b.tree.join("many")).unwrap().count();
        assert_eq!(there, FILES, "{armed}");
    }
}

/// Of what a site wrote before it was gone for good, one survivor has more than the other one: both have it in the end.
#[test]
fn survivors_of_a_site_that_is_gone_for_good_become_level() {
    let mut lab = Lab::started(&three());
    fs::write(lab.b.tree.join("all"), "have it").unwrap();
    lab.assert_settles("before");
    lab.site(2).kill();
    for nth in 0..20 {
        fs::write(
            lab.b.tree.join(format!("late-{nth}")),
            format!("late {nth}"),
        )
        .unwrap();
    }
    fs::write(lab.b.tree.join("all"), "changed").unwrap();
    assert_arrives(&mut lab, 0, "late-19", "late 19");
    assert_arrives(&mut lab, 0, "all", "changed");
    lab.b.kill();
    fs::write(lab.c.as_ref().unwrap().tree.join("meanwhile"), "of c").unwrap();
    lab.site(2).start(&[]);
    assert_arrives(&mut lab, 0, "meanwhile", "of c");
    let c = lab.c.as_ref().unwrap().tree.clone();
    assert!(
        !c.join("late-0").exists(),
        "its site sends nothing any more"
    );
    take_out(&lab.a, "site-b");
    assert_arrives(&mut lab, 2, "late-19", "late 19");
    assert_arrives(&mut lab, 2, "all", "changed");
    let equal = comes(PATIENCE, || {
        let found = claudefs_repl::tree::compare::compare(&lab.a.tree, &c, 9);
        found.is_ok_and(|found| found.is_equal())
    });
    if !equal {
        lab.fail("in the end", "the survivors differ");
    }
    for site in [&lab.a, lab.c.as_ref().unwrap()] {
        assert_eq!(site.errors(), Vec::<String>::new(), "{}", site.name);
    }
}
