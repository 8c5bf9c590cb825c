//! What the engine is told of each job's object once the round is over: how it looks on the device, and where it is.

use super::{Exec, Job, Layout, LinkAt, Result, shown_mtime};
use crate::journal::op::FileTime;
use crate::sync::port::{DeviceImage, Image, ShownLink};
use crate::tree::exec::Stop;
use crate::tree::stat::DevId;

/// An inode, and what it looks like on the device; none: nothing of it is there any more.
pub(super) type Device = (u64, Option<DeviceImage>);

/// What the object looks like on the device at the end; none when that is not known any more.
pub(super) fn settle(exec: &Exec<'_>, layout: &Layout, job: &mut Job) -> Result<Option<Device>> {
    let inode = job.image.inode;
    let Some(goal) = job.goal.first() else {
        return Ok(Some((inode, None)));
    };
    let expected = match (&job.staged, &job.device) {
        (Some((_, staged)), _) => Some(staged.image()),
        (None, device) => *device,
    };
    let Some(expected) = expected else {
        job.changed("it has no object");
        return Ok(None);
    };
    let stat = match layout.spot(&goal.place).map(|spot| exec.stat(&spot)) {
        Some(Ok(stat)) if stat.id == DevId::of(&expected) => stat,
        Some(Err(Stop::Failed(error))) => return Err(error),
        // It was shown and has been moved or removed since: a local change that the next scan journals.
        Some(Ok(_) | Err(_)) | None => {
            let mut device = expected;
            device.ctime = FileTime::default();
            return Ok(Some((inode, Some(device))));
        }
    };
    let mut device = stat.image();
    let mtime = match shown_mtime(&job.image) {
        Some(mtime) if job.has_new_attributes() => mtime,
        _ => expected.mtime,
    };
    if !job.is_dir() && (stat.size, stat.mtime) != (expected.size, mtime) {
        // Written to in the moment it was applied: it must not look as if that had been journaled.
        device.ctime = FileTime::default();
    }
    Ok(Some((inode, Some(device))))
}

/// What the tree shows of a job that came to a stop after some of its steps: neither the old image nor the new one.
/// None: nothing was moved.
pub(super) fn halfway(job: &Job) -> Option<(Image, Device)> {
    if !job.moved {
        return None;
    }
    let (image, device) = match &job.staged {
        Some((_, staged)) if job.is_placed => (&job.image, Some(staged.image())),
        Some(_) | None => (&job.shown, job.device),
    };
    let known = |link: u64| {
        let mut links = job.image.links.iter().chain(&job.shown.links);
        links.find(|known| known.link == link)
    };
    let present = |link: &LinkAt| {
        Some(ShownLink {
            parent: link.place.parent,
            name: link.place.name.clone(),
            ..known(link.link)?.clone()
        })
    };
    let mut links: Vec<ShownLink> = job.present.iter().filter_map(present).collect();
    // Further links at one of these places are the same name.
    for twin in job.image.links.iter().chain(&job.shown.links) {
        let is_there = |link: &ShownLink| (link.parent, &link.name) == (twin.parent, &twin.name);
        if links.iter().any(is_there) && links.iter().all(|link| link.link != twin.link) {
            links.push(twin.clone());
        }
    }
    let mut halfway = image.clone();
    halfway.links = links;
    halfway.merged_into = None;
    // Nothing is claimed to be applied for good by it.
    halfway.merge_gen = 0;
    let device = device.filter(|_| !halfway.links.is_empty());
    // Its names changed, and who knows what else: it is to be read again.
    let device = device.map(|device| DeviceImage {
        ctime: FileTime::default(),
        ..device
    });
    Some((halfway, (job.image.inode, device)))
}
