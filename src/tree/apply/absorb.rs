//! Pure: a directory on the disk passes from one inode to another, without a rename and without a look at its content.

use std::collections::BTreeMap;

use crate::journal::op::Place;
use crate::sync::port::{DeviceImage, Outcome};
use crate::tree::job::Job;
use crate::tree::plan::LinkAt;

/// A directory that goes while a new one comes to its place, as when two are shown as one from here on, or no longer:
/// the one on the disk becomes the new one's, with all that is in it. Returns (absorbed, by).
pub(super) fn absorb(jobs: &mut [Job]) -> Vec<(u64, u64)> {
    let mut absorbed: BTreeMap<u64, u64> = BTreeMap::new();
    let new_dirs = |job: &&mut Job| job.is_dir() && job.is_new() && job.device.is_none();
    let mut new_at: BTreeMap<Place, u64> = BTreeMap::new();
    for job in jobs.iter_mut().filter(new_dirs) {
        if let Some(goal) = job.goal.first() {
            new_at.insert(goal.place.clone(), job.image.inode);
        }
    }
    let mut taken_over: BTreeMap<u64, (Place, DeviceImage)> = BTreeMap::new();
    for job in jobs
        .iter_mut()
        .filter(|job| job.is_dir() && job.goal.is_empty())
    {
        let (Some(now), Some(device)) = (job.now.first().cloned(), job.device) else {
            continue;
        };
        let by = job
            .image
            .merged_into
            .filter(|into| new_at.values().any(|new| new == into));
        let by = by.or_else(|| new_at.get(&now.place).copied());
        if let Some(by) = by.filter(|by| !taken_over.contains_key(by)) {
            taken_over.insert(by, (now.place, device));
            absorbed.insert(job.image.inode, by);
            job.now.clear();
            job.stop(Outcome::Applied);
        }
    }
    for job in jobs.iter_mut() {
        if let Some((place, device)) = taken_over.remove(&job.image.inode) {
            let link = job.image.inode;
            job.now = vec![LinkAt { link, place }];
            job.device = Some(device);
            // Whatever attributes it has: they are set.
            job.shown.mode = None;
        }
        for link in &mut job.now {
            if let Some(by) = absorbed.get(&link.place.parent) {
                link.place.parent = *by;
            }
        }
    }
    absorbed.into_iter().collect()
}
