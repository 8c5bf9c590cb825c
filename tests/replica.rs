//! A site that only receives: what is changed in its tree is shown, stays until something arrives for it, and then
//! gives way without being lost.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::lab::{Lab, LabOptions, Site, cfs_repl, comes};

const PATIENCE: Duration = Duration::from_secs(30);
/// What differs is counted at a start, and again half a minute after something arrived.
const COUNTED: Duration = Duration::from_secs(90);

fn diverged(site: &Site) -> Option<u64> {
    let status = site.try_status()?;
    status["items"][0]["tree"]["diverged"].as_u64()
}

fn assert_holds(site: &Site, name: &str, bytes: &str) {
    let path = site.tree.join(name);
    let holds = comes(PATIENCE, || {
        fs::read(&path).is_ok_and(|found| found == bytes.as_bytes())
    });
    assert!(holds, "{name} at {}: {}", site.name, site.tail());
}

fn assert_restarted_with(site: &mut Site, count: u64) {
    site.kill();
    site.start(&[]);
    let is_told = comes(COUNTED, || diverged(site) == Some(count));
    assert!(is_told, "{:?} of {count}", diverged(site));
}

#[test]
fn what_was_changed_at_a_replica_gives_way_to_what_arrives_and_can_be_restored() {
    let options = LabOptions {
        is_replica: true,
        ..LabOptions::default()
    };
    let mut lab = Lab::started(&options);
    for dir in ["d", "e"] {
        fs::create_dir(lab.a.tree.join(dir)).unwrap();
        fs::write(lab.a.tree.join(dir).join("f"), "one").unwrap();
        assert_holds(&lab.b, &format!("{dir}/f"), "one");
    }
    fs::write(lab.b.tree.join("d/f"), "edited at the replica").unwrap();
    fs::write(lab.b.tree.join("own"), "own").unwrap();
    fs::remove_dir_all(lab.b.tree.join("e")).unwrap();
    assert!(comes(PATIENCE, || diverged(&lab.b) > Some(0)));
    // A look at everything counts, and a start looks at everything: d/f, own, e and e/f.
    assert_restarted_with(&mut lab.b, 4);
    assert!(!lab.a.tree.join("own").exists());
    fs::write(lab.a.tree.join("d/f"), "two").unwrap();
    fs::write(lab.a.tree.join("e/f"), "two").unwrap();
    for name in ["d/f", "e/f"] {
        assert_holds(&lab.b, name, "two");
    }
    assert_holds(&lab.b, "own", "own");
    assert_restarted_with(&mut lab.b, 1);
    let status = lab.b.ask(&["status"]);
    let tree = &status["items"][0]["tree"];
    assert_eq!((&tree["blocked"], &tree["parked"]), (&0.into(), &0.into()));
    let listed = lab.b.ask(&["conflicts", "list"]);
    let conflicts = listed["items"].as_array().unwrap();
    assert_eq!(conflicts.len(), 1, "{listed:#}");
    let mut restore = cfs_repl();
    restore.args(["conflicts", "restore", conflicts[0]["id"].as_str().unwrap()]);
    restore.args(["--as", "mine", "--server"]);
    restore.arg(format!("unix:{}", lab.b.socket.display()));
    let output = restore.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_holds(&lab.b, "mine", "edited at the replica");
    let mode = lab.b.tree.join("mine").metadata().unwrap().permissions();
    assert_eq!(
        mode.mode() & 0o777,
        0o600,
        "others could not read what lost, perhaps"
    );
    assert!(!lab.a.tree.join("mine").exists());
    let errors = lab.b.errors();
    assert!(errors.is_empty(), "{errors:#?}");
}
