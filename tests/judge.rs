//! What judges histories of several sites, and knows nothing of the merge: a naive filesystem, what every site wrote
//! having seen what, and the tree that all of it together amounts to. And the users whose operations make the histories.

pub(crate) mod facts;
pub(crate) mod oracle;
pub(crate) mod reference;
pub(crate) mod runs;
pub(crate) mod told;
pub(crate) mod users;

use crate::rng::Rng;

/// What was found wrong.
pub(crate) type Check<T = ()> = Result<T, String>;

/// Puts items into any order.
pub(crate) fn shuffle<T>(rng: &mut Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, rng.index(last + 1));
    }
}
