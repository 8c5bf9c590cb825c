//! Pure: images that meet local changes again and again: when each is tried next, and what an operator sees of them.
//!
//! An image that meets a change has the directories concerned scanned and comes again at once. When that did not help
//! it waits, longer each time; a newer image of the inode, or something journaled in those directories, lets it come
//! at once again. Others are not held up, but for what stands in a directory that waits.
//!
//! Some images can be applied only together: a directory that goes, and the one that takes its place with what is in
//! it. So whoever comes again brings along who waits in the same directories.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::plan::LinkAt;
use crate::journal::op::Name;
use crate::sync::port::{Image, NodeKind};

/// First wait after a scan that did not help; below it a wait is not worth the scan.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest wait: that of parked images too.
pub const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Attempts after which an operator is told: the first two are the normal way of a local change.
const TOLD_FROM: u32 = 4;

/// Why an image meets a change, as far as it can be told.
pub const LOCAL_CHANGE: &str =
    "what is on the disk differs from what was last seen there, and scanning does not settle it";
/// Why nothing is staged.
pub const NO_SPACE: &str = "the filesystem of the tree is full";

/// An image that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// Logical inode.
    pub inode: u64,
    /// Of the image: tells a newer one.
    pub order_us: u64,
    /// Logical inodes of the directories that it is, stands in, or is to stand in.
    pub dirs: BTreeSet<u64>,
    /// What it is.
    pub kind: NodeKind,
    /// Where it is to be.
    pub goal: Vec<LinkAt>,
    /// Text of a symbolic link.
    pub target: Option<Bytes>,
}

#[derive(Debug, Clone)]
struct Wait {
    order_us: u64,
    tries: u32,
    due: Duration,
    dirs: BTreeSet<Vec<Name>>,
    reason: &'static str,
}

/// Images that wait after they met a change. The connector's loop owns it.
#[derive(Debug, Default)]
pub struct Stuck {
    waits: BTreeMap<u64, Wait>,
}

impl Stuck {
    /// An image met a change in `dirs`; they are to be scanned when the image comes again, whose time is returned.
    pub fn met(
        &mut self,
        met: &Met,
        dirs: BTreeSet<Vec<Name>>,
        reason: &'static str,
        now: Duration,
    ) -> Duration {
        let tries = match self.waits.get(&met.inode) {
            Some(wait) if wait.order_us == met.order_us => wait.tries.saturating_add(1),
            Some(_) | None => 1,
        };
        let due = now + pause(tries);
        let wait = Wait {
            order_us: met.order_us,
            tries,
            due,
            dirs,
            reason,
        };
        self.waits.insert(met.inode, wait);
        due
    }

    /// An image was applied or parked.
    pub fn settled(&mut self, inode: u64) {
        self.waits.remove(&inode);
    }

    /// The engine has no other images than these to give: whoever is not among them is settled.
    pub fn only(&mut self, images: &[Image]) {
        if !self.waits.is_empty() {
            let given: BTreeSet<u64> = images.iter().map(|image| image.inode).collect();
            self.waits.retain(|inode, _| given.contains(inode));
        }
    }

    /// A scan of `dirs`, or of everything, journaled something: what waits for them comes again.
    pub fn journaled(&mut self, dirs: Option<&BTreeSet<Vec<Name>>>, now: Duration) {
        for wait in self.waits.values_mut() {
            if dirs.is_none_or(|dirs| !dirs.is_disjoint(&wait.dirs)) {
                wait.due = wait.due.min(now);
            }
        }
    }

    /// Takes out of `images`, which name directories before what is in them, what has to wait.
    pub fn hold_back(&self, images: &mut Vec<Image>, now: Duration) {
        if self.waits.is_empty() {
            return;
        }
        let waiting = self.waiting(images, now);
        let mut held = BTreeSet::new();
        images.retain(|image| {
            let waits = waiting.contains(&image.inode);
            let above = image.links.iter().map(|link| link.parent);
            let waits = waits
                || above
                    .chain(image.merged_into)
                    .any(|dir| held.contains(&dir));
            if waits {
                held.insert(image.inode);
            }
            !waits
        });
    }

    /// Those of `images` that are not due, and that nobody who is due brings along.
    fn waiting(&self, images: &[Image], now: Duration) -> BTreeSet<u64> {
        let known = images
            .iter()
            .filter_map(|image| Some((image, self.waits.get(&image.inode)?)));
        let (mut waiting, due): (Vec<_>, Vec<_>) =
            known.partition(|(image, wait)| wait.due > now && wait.order_us == image.order_us);
        let mut dirs: BTreeSet<&Vec<Name>> = due.iter().flat_map(|(_, wait)| &wait.dirs).collect();
        loop {
            let before = waiting.len();
            waiting.retain(|(_, wait)| {
                let comes_along = wait.dirs.iter().any(|dir| dirs.contains(dir));
                dirs.extend(wait.dirs.iter().filter(|_| comes_along));
                !comes_along
            });
            if waiting.len() == before {
                return waiting.iter().map(|(image, _)| image.inode).collect();
            }
        }
    }

    /// How many wait, however shortly: so many more images have to be asked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waits.len()
    }

    /// None waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    /// When one comes again next.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.waits.values().map(|wait| wait.due).min()
    }

    /// How many an operator should know of, and why the first of them waits.
    #[must_use]
    pub fn told(&self) -> (u64, Option<&'static str>) {
        let told = self.waits.values().filter(|wait| wait.tries >= TOLD_FROM);
        let (mut count, mut reason) = (0, None);
        for wait in told {
            count += 1;
            reason.get_or_insert(wait.reason);
        }
        (count, reason)
    }
}

/// None after the first time, then twice as long each time.
fn pause(tries: u32) -> Duration {
    match tries {
        0 | 1 => Duration::ZERO,
        _ => PAUSE_MIN
            .saturating_mul(1 << (tries - 2).min(16))
            .min(PAUSE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::dot::{Actor, Dot};
    use crate::sync::port::ShownLink;

    fn met(inode: u64, order_us: u64) -> Met {
        let dirs = BTreeSet::new();
        Met {
            inode,
            order_us,
            dirs,
            kind: NodeKind::Dir,
            goal: Vec::new(),
            target: None,
        }
    }

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes().to_vec()).unwrap()
    }

    fn image(inode: u64, parent: u64, order_us: u64) -> Image {
        let mut image = Image::absent(inode, NodeKind::Dir);
        image.order_us = order_us;
        image.links.push(ShownLink {
            link: inode,
            parent,
            name: name("x"),
            dot: Dot::new(Actor::new(1, 1), 0, 1),
            explicit: true,
        });
        image
    }

    fn given(stuck: &Stuck, images: &[Image], now: Duration) -> Vec<u64> {
        let mut images = images.to_vec();
        stuck.hold_back(&mut images, now);
        images.iter().map(|image| image.inode).collect()
    }

    #[test]
    fn an_image_comes_again_at_once_and_then_ever_later() {
        let mut stuck = Stuck::default();
        let mut now = Duration::ZERO;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let due = stuck.met(&met(7, 1), BTreeSet::new(), LOCAL_CHANGE, now);
            pauses.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(
            pauses,
            [
                0, 50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000
            ]
        );
    }

    #[test]
    fn a_newer_image_and_journaled_changes_end_the_wait() {
        let mut stuck = Stuck::default();
        let dirs: BTreeSet<_> = [vec![name("d")]].into();
        for _ in 0..5 {
            stuck.met(&met(7, 1), dirs.clone(), LOCAL_CHANGE, Duration::ZERO);
        }
        let now = Duration::from_millis(1);
        assert_eq!(given(&stuck, &[image(7, 1, 1)], now), [0_u64; 0]);
        assert_eq!(given(&stuck, &[image(7, 1, 2)], now), [7]);
        stuck.journaled(Some(&[vec![name("e")]].into()), now);
        assert_eq!(given(&stuck, &[image(7, 1, 1)], now), [0_u64; 0]);
        stuck.journaled(Some(&dirs), now);
        assert_eq!(given(&stuck, &[image(7, 1, 1)], now), [7]);
    }

    #[test]
    fn what_stands_in_a_waiting_directory_waits_with_it_and_others_do_not() {
        let mut stuck = Stuck::default();
        for _ in 0..2 {
            stuck.met(&met(7, 1), BTreeSet::new(), LOCAL_CHANGE, Duration::ZERO);
        }
        let images = [
            image(7, 1, 1),
            image(8, 7, 1),
            image(9, 8, 1),
            image(10, 1, 1),
        ];
        assert_eq!(given(&stuck, &images, Duration::ZERO), [10]);
        let later = Duration::from_millis(50);
        assert_eq!(given(&stuck, &images, later), [7, 8, 9, 10]);
    }

    #[test]
    fn who_comes_again_brings_along_who_waits_in_the_same_directories() {
        let mut stuck = Stuck::default();
        let dirs = |of: &[&str]| -> BTreeSet<_> { of.iter().map(|dir| vec![name(dir)]).collect() };
        let waits = [
            (7, 1, dirs(&["d"])),
            (8, 5, dirs(&["d", "e"])),
            (9, 5, dirs(&["e"])),
            (10, 5, dirs(&["f"])),
        ];
        for (inode, tries, dirs) in waits {
            for _ in 0..tries {
                stuck.met(&met(inode, 1), dirs.clone(), LOCAL_CHANGE, Duration::ZERO);
            }
        }
        let images = [7, 8, 9, 10].map(|inode| image(inode, 1, 1));
        assert_eq!(given(&stuck, &images, Duration::ZERO), [7, 8, 9]);
        // Nobody is due any more.
        for _ in 0..2 {
            stuck.met(&met(7, 1), dirs(&["d"]), LOCAL_CHANGE, Duration::ZERO);
        }
        assert_eq!(given(&stuck, &images, Duration::ZERO), [0_u64; 0]);
        // A newer image is due at once.
        let images = [image(7, 1, 2), image(8, 1, 1), image(10, 1, 1)];
        assert_eq!(given(&stuck, &images, Duration::ZERO), [7, 8]);
    }

    #[test]
    fn an_operator_hears_of_what_scanning_did_not_settle() {
        let mut stuck = Stuck::default();
        for tries in 1..=4 {
            assert_eq!(stuck.told(), (0, None), "before attempt {tries}");
            stuck.met(&met(7, 1), BTreeSet::new(), NO_SPACE, Duration::ZERO);
        }
        assert_eq!(stuck.told(), (1, Some(NO_SPACE)));
        stuck.only(&[image(8, 1, 1)]);
        assert_eq!((stuck.told(), stuck.len()), ((0, None), 0));
    }
}
