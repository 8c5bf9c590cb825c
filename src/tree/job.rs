//! What one image asks of the tree: what is there, what should be there, and what became of it.

use std::collections::BTreeMap;

use super::intent::Fingerprint;
use super::plan::{LinkAt, Want};
use super::stage::content_differs;
use super::stat::Stat;
use super::stuck::Met;
use crate::error::Result;
use crate::journal::op::{Name, Place};
use crate::sync::port::{DeviceImage, Engine, Image, NodeKind, Outcome, Versioned};

/// One image on its way to the tree.
#[derive(Debug)]
pub struct Job {
    /// What should be shown.
    pub image: Image,
    /// What is shown.
    pub shown: Image,
    /// The object on the device, as it was last journaled or applied.
    pub device: Option<DeviceImage>,
    /// Where it was last journaled or applied.
    pub now: Vec<LinkAt>,
    /// Where it is while the steps are carried out.
    pub present: Vec<LinkAt>,
    /// Where it should be.
    pub goal: Vec<LinkAt>,
    /// A new object in staging.
    pub staged: Option<(Name, Stat)>,
    /// A step moved, placed or removed one of its names.
    pub moved: bool,
    /// The new object has a place in the tree.
    pub is_placed: bool,
    /// What became of it, once that is known.
    pub outcome: Option<Outcome>,
}

impl Job {
    /// The jobs of `images`.
    ///
    /// # Errors
    /// When the engine's store fails.
    pub fn all(engine: &mut dyn Engine, images: Vec<Image>) -> Result<Vec<Self>> {
        let inodes: Vec<u64> = images.iter().map(|image| image.inode).collect();
        let devices = engine.devices(inodes.clone())?;
        let known = engine.applied_of(inodes)?.into_iter().zip(devices);
        let jobs = images.into_iter().zip(known);
        Ok(jobs
            .map(|(image, (shown, device))| Self::new(image, shown, device))
            .collect())
    }

    /// The job of `image`, with every link that it names as its goal.
    fn new(image: Image, shown: Option<Image>, device: Option<DeviceImage>) -> Self {
        let shown = shown.unwrap_or_else(|| Image::absent(image.inode, image.kind));
        let (now, goal) = names(links(&shown), links(&image));
        Self {
            device,
            now,
            present: Vec::new(),
            goal,
            shown,
            image,
            staged: None,
            moved: false,
            is_placed: false,
            outcome: None,
        }
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.image.kind == NodeKind::Dir
    }

    /// Whether an object has to be made.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.now.is_empty() && !self.goal.is_empty()
    }

    /// Whether the bytes under unchanged names are to be exchanged.
    #[must_use]
    pub fn has_new_bytes(&self) -> bool {
        !self.now.is_empty() && !self.goal.is_empty() && content_differs(&self.shown, &self.image)
    }

    /// Whether attributes of the object that is there are to be set.
    #[must_use]
    pub fn has_new_attributes(&self) -> bool {
        fn value<T>(of: &Option<Versioned<T>>) -> Option<&T> {
            of.as_ref().map(|versioned| &versioned.value)
        }
        let (a, b) = (&self.shown, &self.image);
        let xattrs = |image: &Image| -> BTreeMap<_, _> {
            let all = image.xattrs.iter();
            all.map(|(name, value)| (name.clone(), value.value.clone()))
                .collect()
        };
        !self.now.is_empty()
            && !self.goal.is_empty()
            && !self.has_new_bytes()
            && (value(&a.mode) != value(&b.mode)
                || value(&a.owner) != value(&b.owner)
                || value(&a.mtime) != value(&b.mtime)
                || xattrs(a) != xattrs(b))
    }

    /// The link that is to come to `place`.
    #[must_use]
    pub fn goal_at(&self, place: &Place) -> Option<LinkAt> {
        self.goal.iter().find(|goal| goal.place == *place).cloned()
    }

    /// What the planner needs to know.
    #[must_use]
    pub fn want(&self) -> Want {
        Want {
            inode: self.image.inode,
            dir: self.is_dir(),
            now: self.now.clone(),
            goal: self.goal.clone(),
            staged: self
                .staged
                .as_ref()
                .filter(|_| self.is_new())
                .map(|(name, _)| name.clone()),
        }
    }

    /// What the object looks like before the first step.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match (&self.staged, &self.device) {
            (Some((_, stat)), _) if self.is_new() => Some(Fingerprint::of(stat)),
            (_, device) => device
                .as_ref()
                .map(|device| Fingerprint::new(device, self.is_dir())),
        }
    }

    /// Records that something else is there than was last journaled or applied, and what, for the log.
    pub fn changed(&mut self, what: &'static str) {
        if self.outcome.is_none() {
            let inode = self.image.inode;
            tracing::debug!(inode, what, now = ?self.now, goal = ?self.goal, "image met a local change");
        }
        self.stop(Outcome::Changed);
    }

    /// That it met a local change, and the directories in which that may be found.
    #[must_use]
    pub fn met(&self) -> Met {
        let links = self.now.iter().chain(&self.goal);
        let own = self.is_dir().then_some(self.image.inode);
        Met {
            inode: self.image.inode,
            order_us: self.image.order_us,
            dirs: links.map(|link| link.place.parent).chain(own).collect(),
            kind: self.image.kind,
            goal: self.goal.clone(),
            target: self.image.target.clone(),
        }
    }

    /// Records why nothing more is done for it; the first reason stays.
    pub fn stop(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }
}

/// Where an image stands itself.
pub(super) fn links(image: &Image) -> Vec<LinkAt> {
    if image.merged_into.is_some() {
        return Vec::new();
    }
    let links = image.links.iter().map(|link| LinkAt {
        link: link.link,
        place: Place {
            parent: link.parent,
            name: link.name.clone(),
        },
    });
    links.collect()
}

/// Several links of an inode that are shown at one place are one name: of each such place one link is left, the one
/// that stays there, else one that goes on elsewhere.
fn names(now: Vec<LinkAt>, goal: Vec<LinkAt>) -> (Vec<LinkAt>, Vec<LinkAt>) {
    let stays = |link: &LinkAt| u8::from(!(now.contains(link) && goal.contains(link)));
    let goes_on = |link: &LinkAt| u8::from(!goal.iter().any(|other| other.link == link.link));
    let by_place = |links: &[LinkAt]| {
        let mut best: BTreeMap<Place, (u8, u8, u64)> = BTreeMap::new();
        for link in links {
            let rank = (stays(link), goes_on(link), link.link);
            let known = best.entry(link.place.clone()).or_insert(rank);
            *known = rank.min(*known);
        }
        let chosen = |link: &LinkAt| {
            best.get(&link.place)
                .is_some_and(|best| best.2 == link.link)
        };
        links.iter().filter(|link| chosen(link)).cloned().collect()
    };
    (by_place(&now), by_place(&goal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(link: u64, parent: u64) -> LinkAt {
        let name = Name::new(&b"n"[..]).unwrap();
        LinkAt {
            link,
            place: Place { parent, name },
        }
    }

    #[test]
    fn links_at_one_place_are_one_name() {
        // One of two names comes to the other one.
        let (now, goal) = names(vec![at(8, 1), at(9, 2)], vec![at(8, 2), at(9, 2)]);
        assert_eq!((now, goal), (vec![at(8, 1), at(9, 2)], vec![at(9, 2)]));
        // They part again.
        let (now, goal) = names(vec![at(8, 2), at(9, 2)], vec![at(8, 1), at(9, 2)]);
        assert_eq!((now, goal), (vec![at(9, 2)], vec![at(8, 1), at(9, 2)]));
        // One of them is removed, the other one goes on.
        let (now, goal) = names(vec![at(8, 2), at(9, 2)], vec![at(9, 3)]);
        assert_eq!((now, goal), (vec![at(9, 2)], vec![at(9, 3)]));
    }
}
