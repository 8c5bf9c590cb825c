//! What a site cannot apply is no secret of that site: the one that it comes from does not say that all is well.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use serde_json::Value;

use crate::lab::{Lab, LabOptions, Site, comes};

const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that nobody may change, until this goes.
struct Immutable(PathBuf);

impl Immutable {
    fn new(dir: &Path) -> rustix::io::Result<Self> {
        set(dir, true)?;
        Ok(Self(dir.to_owned()))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        set(&self.0, false).unwrap();
    }
}

fn set(dir: &Path, immutable: bool) -> rustix::io::Result<()> {
    let dir = File::open(dir).unwrap();
    let mut flags = ioctl_getflags(&dir)?;
    flags.set(IFlags::IMMUTABLE, immutable);
    ioctl_setflags(&dir, flags)
}

/// Verdict, state of the peer, how many entries it lacks and cannot apply, and all causes.
fn told(site: &Site) -> Option<(String, String, u64, u64, String)> {
    let status = site.try_status()?;
    let item = &status["items"][0];
    let peer = &item["sites"][0];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some((
        text(&item["verdict"])?,
        text(&peer["state"])?,
        peer["behind_entries"].as_u64()?,
        peer["parked_there_entries"].as_u64()?,
        item["causes"].to_string(),
    ))
}

#[test]
fn what_a_peer_cannot_apply_is_told_at_the_site_that_it_comes_from() {
    let mut lab = Lab::started(&LabOptions::default());
    fs::create_dir(lab.a.tree.join("d")).unwrap();
    let there = lab.b.tree.join("d");
    assert!(comes(PATIENCE, || there.exists()), "{}", lab.b.tail());
    lab.assert_settles("before");
    let immutable = match Immutable::new(&there) {
        Ok(immutable) => immutable,
        Err(error) => {
            eprintln!(
                "skipped: making a directory immutable needs root and ext4 or the like: {error}"
            );
            return;
        }
    };
    fs::write(lab.a.tree.join("d/new"), "bytes").unwrap();
    let is_told = comes(PATIENCE, || {
        told(&lab.a).is_some_and(|(verdict, state, behind, parked, causes)| {
            (verdict.as_str(), state.as_str()) == ("degraded", "parked")
                && behind > 0
                && parked > 0
                && causes.contains("it cannot apply")
        })
    });
    assert!(is_told, "{:?}: {}", told(&lab.a), lab.b.tail());
    drop(immutable);
    let is_over = comes(PATIENCE, || {
        told(&lab.a).is_some_and(|(verdict, _, behind, parked, _)| {
            verdict == "ok" && behind == 0 && parked == 0
        })
    });
    assert!(is_over, "{:?}: {}", told(&lab.a), lab.b.tail());
    assert!(there.join("new").exists());
}
