//! Pure: brings noticed operations into an order in which each makes sense, and finds those that are one.
//!
//! A comparison of two states knows no order. It is restored from what an operation needs: a directory before what
//! is put in it, what leaves a directory before its removal, what leaves a place before what takes it. Operations that
//! need each other (a swap of names, a rename over a victim) are one transaction: strongly connected components
//! (Tarjan, SIAM J. Comput. 1972, without recursion).

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::op::Place;

/// What one operation does to places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The inode that it concerns.
    pub inode: u64,
    /// Whether the inode is a directory.
    pub dir: bool,
    /// Place that it leaves.
    pub vacates: Option<Place>,
    /// Place that it takes. None: a removal.
    pub occupies: Option<Place>,
}

impl Step {
    const fn removes(&self) -> bool {
        self.occupies.is_none()
    }

    /// Removals of files come first in a transaction and those of directories last.
    const fn rank(&self) -> u8 {
        match (self.removes(), self.dir) {
            (true, false) => 0,
            (false, _) => 1,
            (true, true) => 2,
        }
    }
}

/// Groups of indices into `steps`: each group is one transaction, in an order that can be carried out.
#[must_use]
pub fn order(steps: &[Step]) -> Vec<Vec<usize>> {
    let after = edges(steps);
    let mut groups = components(&after);
    // Tarjan finds a component after all that come later than it.
    groups.reverse();
    for group in &mut groups {
        group.sort_by_key(|index| (steps.get(*index).map(Step::rank), *index));
    }
    groups
}

/// For each step, those that come after it.
fn edges(steps: &[Step]) -> Vec<Vec<usize>> {
    let mut takes_dir = BTreeMap::new();
    let mut removes_dir = BTreeMap::new();
    let mut taken: BTreeMap<&Place, Vec<usize>> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        match &step.occupies {
            Some(place) => {
                taken.entry(place).or_default().push(index);
                if step.dir {
                    takes_dir.insert(step.inode, index);
                }
            }
            None if step.dir => {
                removes_dir.insert(step.inode, index);
            }
            None => {}
        }
    }
    let mut after = vec![BTreeSet::new(); steps.len()];
    let mut edge = |from: usize, to: usize| {
        if from != to
            && let Some(after) = after.get_mut(from)
        {
            after.insert(to);
        }
    };
    for (index, step) in steps.iter().enumerate() {
        if let Some(place) = &step.occupies
            && let Some(parent) = takes_dir.get(&place.parent)
        {
            edge(*parent, index);
        }
        let Some(left) = &step.vacates else {
            continue;
        };
        if let Some(parent) = removes_dir.get(&left.parent) {
            edge(index, *parent);
        }
        for taker in taken.get(left).into_iter().flatten() {
            edge(index, *taker);
            if step.removes() {
                edge(*taker, index);
            }
        }
    }
    after
        .into_iter()
        .map(|set| set.into_iter().collect())
        .collect()
}

/// Where the search stands with a node.
#[derive(Clone, Copy, Default)]
struct Mark {
    index: Option<usize>,
    low: usize,
    open: bool,
    next: usize,
}

fn components(after: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut marks = vec![Mark::default(); after.len()];
    let (mut found, mut open, mut count) = (Vec::new(), Vec::new(), 0);
    // From the back, so that independent steps keep their order once the result is reversed.
    for start in (0..after.len()).rev() {
        if marks[start].index.is_some() {
            continue;
        }
        let mut path = vec![start];
        while let Some(&node) = path.last() {
            if marks[node].index.is_none() {
                marks[node] = Mark {
                    index: Some(count),
                    low: count,
                    open: true,
                    next: 0,
                };
                open.push(node);
                count += 1;
            }
            if let Some(&to) = after[node].get(marks[node].next) {
                marks[node].next += 1;
                match marks[to].index {
                    None => path.push(to),
                    Some(index) if marks[to].open => marks[node].low = marks[node].low.min(index),
                    Some(_) => {}
                }
                continue;
            }
            path.pop();
            if let Some(&parent) = path.last() {
                marks[parent].low = marks[parent].low.min(marks[node].low);
            }
            if marks[node].index == Some(marks[node].low) {
                let at = open.iter().rposition(|other| *other == node).unwrap_or(0);
                let group = open.split_off(at);
                for member in &group {
                    marks[*member].open = false;
                }
                found.push(group);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::op::Name;

    #[expect(clippy::unnecessary_wraps, reason = "every caller needs an option")]
    fn place(parent: u64, name: &str) -> Option<Place> {
        Some(Place {
            parent,
            name: Name::new(name.as_bytes().to_vec()).unwrap(),
        })
    }

    fn step(inode: u64, dir: bool, vacates: Option<Place>, occupies: Option<Place>) -> Step {
        Step {
            inode,
            dir,
            vacates,
            occupies,
        }
    }

    #[test]
    fn a_swap_and_a_rename_over_are_one_transaction_and_a_rotation_is_not() {
        let swap = [
            step(2, false, place(1, "a"), place(1, "b")),
            step(3, false, place(1, "b"), place(1, "a")),
            step(4, false, place(1, "x"), place(1, "v")),
            step(5, false, place(1, "v"), None),
            step(6, false, place(1, "l1"), place(1, "l2")),
            step(7, false, place(1, "l0"), place(1, "l1")),
        ];
        assert_eq!(order(&swap), [vec![0, 1], vec![5 - 2, 2], vec![4], vec![5]]);
    }

    #[test]
    fn directories_come_before_and_go_after_what_they_hold() {
        let steps = [
            step(2, true, place(1, "old"), None),
            step(4, false, place(2, "f"), place(3, "f")),
            step(5, false, place(2, "g"), None),
            step(3, true, None, place(6, "new")),
            step(6, true, None, place(1, "top")),
        ];
        let order = order(&steps);
        let at = |index| order.iter().position(|group| group == &[index]).unwrap();
        assert!(at(4) < at(3) && at(3) < at(1) && at(1) < at(0) && at(2) < at(0));
    }

    #[test]
    fn a_child_moves_out_before_its_parent_moves_below_it() {
        // a/b becomes b, then a becomes b/a.
        let steps = [
            step(2, true, place(1, "a"), place(3, "a")),
            step(3, true, place(2, "b"), place(1, "b")),
        ];
        assert_eq!(order(&steps), [vec![1], vec![0]]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let steps: Vec<Step> = (0..100_000_u64)
            .map(|i| step(i + 2, true, None, place(i + 1, "d")))
            .rev()
            .collect();
        let order = order(&steps);
        assert_eq!((order.len(), order[0][0]), (100_000, 99_999));
    }
}
