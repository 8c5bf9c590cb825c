//! What the engine is told of each job's object once the round is over: how it looks on the device, and where it is.

use std::collections::BTreeMap;

use super::{Exec, Job, Layout, LinkAt, Policy, Result, Root, Spot, shown_mtime};
use crate::journal::op::FileTime;
use crate::sync::port::{DeviceImage, Image, NodeKind, ShownLink};
use crate::tree::change::attribute_changes;
use crate::tree::exec::Stop;
use crate::tree::observe::Details;
use crate::tree::stat::DevId;
use crate::tree::xattr;

/// An inode, and what it looks like on the device; none: nothing of it is there any more.
pub(super) type Device = (u64, Option<DeviceImage>);

/// What the object looks like on the device at the end; none when that is not known any more.
pub(super) fn settle(
    exec: &Exec<'_>,
    policy: &Policy,
    layout: &Layout,
    job: &mut Job,
) -> Result<Option<Device>> {
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
    let spot = layout.spot(&goal.place);
    let found = match spot.map(|spot| details(exec, &spot, job.image.kind)) {
        Some(Ok(details)) if details.stat.id == DevId::of(&expected) => Some(details),
        Some(Err(Stop::Failed(error))) => return Err(error),
        // It was shown and has been moved or removed since: a local change that the next scan journals.
        Some(Ok(_) | Err(_)) | None => None,
    };
    let shown = found.filter(|found| {
        let size = job.is_dir() || found.stat.size == expected.size;
        let mtime = shown_mtime(&job.image).is_some() || found.stat.mtime == expected.mtime;
        let privileged = exec.root.privileged();
        let changes = attribute_changes(&job.image, found, policy, privileged);
        size && (job.is_dir() || mtime) && changes.is_empty()
    });
    // Whoever changed it in the moment it was applied is not to look as if that had been journaled.
    let unread = DeviceImage {
        ctime: FileTime::default(),
        ..expected
    };
    let device = shown.map_or(unread, |found| found.stat.image());
    Ok(Some((inode, Some(device))))
}

/// What is to be seen of an object without reading its bytes.
fn details(exec: &Exec<'_>, spot: &Spot, kind: NodeKind) -> std::result::Result<Details, Stop> {
    let stat = exec.stat(spot)?;
    let mut details = Details {
        stat,
        content: None,
        target: None,
        xattrs: BTreeMap::new(),
    };
    if kind == NodeKind::Symlink {
        return Ok(details);
    }
    let dir = exec.open(spot)?;
    let xattrs = Root::open_file(&dir, &spot.name).and_then(xattr::read_all);
    let xattrs = xattrs.map_err(|_| Stop::Changed)?;
    details.xattrs = xattrs
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    Ok(details)
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
