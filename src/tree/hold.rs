//! Pure: what must wait when something that is shown may not be told of yet.
//!
//! A removal that is not believed leaves its object shown, in its place, although something else may stand there by
//! now. Whatever would take that place, or stand in what cannot be told of, or remove the directory around it, waits
//! with it for the next look: two objects at one place would be a view that no tree ever had.

use std::collections::BTreeSet;

use super::order::Step;
use crate::journal::op::Place;

/// What waits.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Indices into the steps.
    pub steps: BTreeSet<usize>,
    /// Inodes that are not shown and cannot be told of: nothing else of them may be told either.
    pub unborn: BTreeSet<u64>,
}

/// Which of `steps` have to wait when `places` stay taken and `unborn` are not told of. `shown`: inodes that are shown
/// now.
#[must_use]
pub fn hold(
    steps: &[Step],
    places: BTreeSet<Place>,
    unborn: BTreeSet<u64>,
    shown: &BTreeSet<u64>,
) -> Held {
    let mut held = Held {
        steps: BTreeSet::new(),
        unborn,
    };
    if places.is_empty() && held.unborn.is_empty() {
        return held;
    }
    let mut parents: BTreeSet<u64> = places.iter().map(|place| place.parent).collect();
    let mut places = places;
    loop {
        let known = held.steps.len();
        for (index, step) in steps.iter().enumerate() {
            let waits = match &step.occupies {
                Some(place) => places.contains(place) || held.unborn.contains(&place.parent),
                None => step.dir && parents.contains(&step.inode),
            };
            if !waits && !held.unborn.contains(&step.inode) {
                continue;
            }
            if !held.steps.insert(index) {
                continue;
            }
            if let Some(place) = &step.vacates {
                parents.insert(place.parent);
                places.insert(place.clone());
            }
            if !shown.contains(&step.inode) {
                held.unborn.insert(step.inode);
            }
        }
        if held.steps.len() == known {
            return held;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::op::Name;

    fn at(parent: u64, name: &str) -> Place {
        Place {
            parent,
            name: Name::new(name.as_bytes().to_vec()).unwrap(),
        }
    }

    fn step(inode: u64, dir: bool, vacates: Option<Place>, occupies: Option<Place>) -> Step {
        Step {
            inode,
            dir,
            vacates,
            occupies,
        }
    }

    fn held(steps: &[Step], places: &[Place], shown: &[u64]) -> (Vec<usize>, Vec<u64>) {
        let places = places.iter().cloned().collect();
        let shown = shown.iter().copied().collect();
        let held = hold(steps, places, BTreeSet::new(), &shown);
        (
            held.steps.into_iter().collect(),
            held.unborn.into_iter().collect(),
        )
    }

    #[test]
    fn nothing_waits_when_nothing_is_held() {
        let steps = [step(2, true, None, Some(at(1, "a")))];
        assert_eq!(held(&steps, &[], &[]), (vec![], vec![]));
        assert_eq!(held(&steps, &[at(1, "b")], &[]), (vec![], vec![]));
    }

    #[test]
    fn what_stands_in_a_held_place_waits_with_everything_in_it() {
        let steps = [
            step(4, false, None, Some(at(3, "f"))),
            step(3, true, None, Some(at(2, "d"))),
            step(2, true, None, Some(at(1, "a"))),
            step(5, false, None, Some(at(1, "other"))),
            // A further name of what cannot be told of.
            step(4, false, None, Some(at(1, "link"))),
        ];
        assert_eq!(
            held(&steps, &[at(1, "a")], &[]),
            (vec![0, 1, 2, 4], vec![2, 3, 4])
        );
    }

    #[test]
    fn what_stands_in_a_directory_that_is_not_told_of_waits() {
        let steps = [
            step(4, false, None, Some(at(3, "f"))),
            step(5, false, Some(at(1, "g")), Some(at(3, "g"))),
            step(6, false, None, Some(at(1, "g"))),
            step(7, false, None, Some(at(1, "h"))),
        ];
        let held = hold(
            &steps,
            BTreeSet::new(),
            BTreeSet::from([3]),
            &BTreeSet::from([5]),
        );
        assert_eq!(held.steps, BTreeSet::from([0, 1, 2]));
        assert_eq!(held.unborn, BTreeSet::from([3, 4, 6]));
    }

    #[test]
    fn what_may_not_move_keeps_its_place_and_the_directory_around_it() {
        let steps = [
            step(7, false, None, Some(at(5, "f"))),
            step(5, true, Some(at(1, "e")), None),
            step(6, false, Some(at(5, "f")), Some(at(1, "a"))),
        ];
        let shown = [5, 6];
        assert_eq!(
            held(&steps, &[at(1, "a")], &shown),
            (vec![0, 1, 2], vec![7])
        );
    }
}
