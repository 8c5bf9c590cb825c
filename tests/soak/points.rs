//! A daemon is run into every fail point, one after the other, and everything comes to rest after each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use claudefs_repl::failpoint;

use crate::lab::{Lab, LabOptions, comes};

/// How long a daemon may take to get to a point, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn every_fail_point_is_reached_and_survived() {
    if !failpoint::COMPILED {
        println!("skipped: this build has no fail points (--features failpoints)");
        return;
    }
    let mut lab = Lab::started(&LabOptions::default());
    prepare(&lab.a.tree);
    lab.assert_settles("start");
    for (round, point) in failpoint::POINTS.iter().enumerate() {
        if point.starts_with("recover") {
            // Recovery has something to do only after a stop within a batch.
            abort_at(&mut lab, "sync renamed", round);
            lab.b.spawn(&[(failpoint::VARIABLE, point)]);
            if !lab.b.aborts(PATIENCE) {
                lab.fail(point, "was not reached");
            }
        } else {
            abort_at(&mut lab, point, round);
        }
        lab.b.start(&[]);
        lab.assert_settles(point);
    }
}

/// Starts site-b with the point armed, and works at both sides until it aborts.
fn abort_at(lab: &mut Lab, point: &str, round: usize) {
    lab.b.kill();
    lab.b.spawn(&[(failpoint::VARIABLE, &format!("{point}:2"))]);
    let mut burst = 0;
    let aborted = comes(PATIENCE, || {
        burst += 1;
        change(&lab.a.tree, "from-a", round, burst);
        change(&lab.b.tree, "from-b", round, burst);
        lab.b.aborted()
    });
    if !aborted {
        lab.fail(point, "was not reached");
    }
}

fn prepare(tree: &Path) {
    for folder in ["from-a", "from-b"] {
        fs::create_dir_all(tree.join(folder).join("d")).unwrap();
        for n in 0..4 {
            fs::write(
                tree.join(folder).join(format!("f{n}")),
                format!("{folder} {n}"),
            )
            .unwrap();
        }
    }
}

/// A bit of everything that makes an applier do each kind of step.
fn change(tree: &Path, folder: &str, round: usize, burst: u32) {
    let at = tree.join(folder);
    let text = format!("{folder} {round} {burst}");
    fs::write(at.join("f0"), &text).unwrap();
    fs::write(at.join("tmp"), &text).unwrap();
    fs::rename(at.join("tmp"), at.join("f1")).unwrap();
    let mode = if burst.is_multiple_of(2) {
        0o600
    } else {
        0o644
    };
    fs::set_permissions(at.join("f2"), fs::Permissions::from_mode(mode)).unwrap();
    let (there, back) = (at.join("d"), at.join("e"));
    if there.exists() {
        fs::rename(there, back).unwrap();
    } else {
        fs::rename(back, there).unwrap();
    }
    let fresh = at.join(format!("new-{round}-{burst}"));
    fs::write(&fresh, &text).unwrap();
    fs::remove_file(at.join(format!("new-{round}-{}", burst.saturating_sub(1)))).ok();
}
