//! Pure: which content is under way, what cannot be had, and when whose inodes ask again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::content::manifest::BlobHash;
use crate::content::{ContentVersion, Fetch};

/// How long requests rest that no site answered.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Inodes whose requests found no room that may ask again for each answer: more than the one that made the room, so
/// that the queue stays full.
const AGAIN: usize = 2;
/// How long pieces of a version are kept after the last look at them.
pub(super) const KEEP: Duration = Duration::from_secs(60);

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The pieces are here, or may be had now.
    News,
    /// The version cannot be had, and why.
    Never(Fetch),
    /// No site could be asked.
    Nobody,
}

/// What is fetched and what is under way.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    looked_at: BTreeMap<ContentVersion, Duration>,
    under_way: BTreeSet<(ContentVersion, BlobHash)>,
    /// Versions that cannot be had, since when, and why.
    gone: BTreeMap<ContentVersion, (Duration, Fetch)>,
    /// Inodes of which something arrived that the connector has not heard of.
    news: BTreeSet<u64>,
    /// Inodes whose requests found no room.
    refused: BTreeSet<u64>,
    /// Inodes whose requests nobody answered, and when they may ask again.
    later: BTreeSet<(Duration, u64)>,
    /// When a piece last arrived.
    moved_at: Option<Duration>,
}

impl Shelf {
    /// Takes note that somebody looks at a version; why it cannot be had, if so.
    pub(super) fn look_at(&mut self, version: &ContentVersion, now: Duration) -> Option<Fetch> {
        self.looked_at.insert(*version, now);
        self.gone.get(version).map(|(_, why)| why.clone())
    }

    /// Those of `hashes` that are not under way yet; they are from here on.
    pub(super) fn begin(&mut self, version: &ContentVersion, hashes: &[BlobHash]) -> Vec<BlobHash> {
        let new = hashes
            .iter()
            .filter(|hash| self.under_way.insert((*version, **hash)));
        new.copied().collect()
    }

    /// The queue has taken the request.
    pub(super) fn took(&mut self, version: &ContentVersion) {
        self.refused.remove(&version.inode);
    }

    /// The queue was full: the image is tried again, and asks again then.
    pub(super) fn refuse(&mut self, version: &ContentVersion, hashes: &[BlobHash]) {
        self.end(version, hashes);
        self.refused.insert(version.inode);
    }

    /// A piece came.
    pub(super) fn moved(&mut self, version: &ContentVersion, now: Duration) {
        self.moved_at = Some(now);
        // It may come after the last look at its version, and is to be swept all the same.
        self.looked_at.entry(*version).or_insert(now);
    }

    /// When a piece of anything last arrived.
    pub(super) const fn moved_at(&self) -> Option<Duration> {
        self.moved_at
    }

    /// A request came to its end.
    pub(super) fn answered(
        &mut self,
        version: &ContentVersion,
        hashes: &[BlobHash],
        answer: Answer,
        now: Duration,
    ) {
        self.end(version, hashes);
        let is_news = answer != Answer::Nobody;
        if let Answer::Never(why) = answer {
            self.gone.insert(*version, (now, why));
        }
        self.may_ask(version.inode, is_news, now);
        for _ in 0..AGAIN {
            let Some(again) = self.refused.pop_first() else {
                break;
            };
            // Where one found nobody, the others would find nobody either.
            self.may_ask(again, is_news, now);
        }
    }

    fn may_ask(&mut self, inode: u64, at_once: bool, now: Duration) {
        if at_once {
            self.news.insert(inode);
        } else {
            self.later.insert((now + ASK_AGAIN, inode));
        }
    }

    fn end(&mut self, version: &ContentVersion, hashes: &[BlobHash]) {
        for hash in hashes {
            self.under_way.remove(&(*version, *hash));
        }
    }

    /// Inodes that may be tried again; each is told once.
    pub(super) fn news(&mut self, now: Duration) -> BTreeSet<u64> {
        let waiting = self.later.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.later, waiting);
        self.news.extend(due.into_iter().map(|(_, inode)| inode));
        std::mem::take(&mut self.news)
    }

    /// Versions that nobody has looked at for a while; they are forgotten.
    pub(super) fn sweep(&mut self, now: Duration) -> Vec<ContentVersion> {
        let is_young = |at: &Duration| now.saturating_sub(*at) < KEEP;
        self.gone.retain(|_, (at, _)| is_young(at));
        let mut old = Vec::new();
        self.looked_at.retain(|version, at| {
            let keep = is_young(at);
            if !keep {
                old.push(*version);
            }
            keep
        });
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::dot::{Actor, Dot};
    use crate::journal::op::ManifestRoot;

    const SECOND: Duration = Duration::from_secs(1);
    const PIECE: [BlobHash; 1] = [BlobHash([7; 32])];

    fn version(inode: u64) -> ContentVersion {
        ContentVersion {
            inode,
            dot: Dot::new(Actor::new(1, 1), 0, inode),
            root: ManifestRoot([1; 32]),
        }
    }

    fn told(shelf: &mut Shelf, now: Duration) -> Vec<u64> {
        shelf.news(now).into_iter().collect()
    }

    #[test]
    fn a_request_that_finds_nobody_rests_and_so_do_those_that_found_no_room() {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.begin(&version(1), &PIECE), PIECE);
        assert_eq!(shelf.begin(&version(1), &PIECE), [], "it is under way");
        for inode in [2, 3, 4] {
            assert_eq!(shelf.begin(&version(inode), &PIECE), PIECE);
            shelf.refuse(&version(inode), &PIECE);
        }
        shelf.answered(&version(1), &PIECE, Answer::Nobody, SECOND);
        assert_eq!(told(&mut shelf, SECOND), [0_u64; 0]);
        let almost = SECOND + ASK_AGAIN - Duration::from_millis(1);
        assert_eq!(told(&mut shelf, almost), [0_u64; 0]);
        assert_eq!(told(&mut shelf, SECOND + ASK_AGAIN), [1, 2, 3]);
        assert_eq!(told(&mut shelf, SECOND + ASK_AGAIN), [0_u64; 0], "once");
        assert_eq!(shelf.begin(&version(1), &PIECE), PIECE, "it may ask again");
        shelf.answered(&version(1), &PIECE, Answer::News, 20 * SECOND);
        assert_eq!(told(&mut shelf, 20 * SECOND), [1, 4]);
    }

    #[test]
    fn an_answer_lets_two_that_found_no_room_ask_at_once() {
        let mut shelf = Shelf::default();
        for inode in [2, 3, 4] {
            shelf.refuse(&version(inode), &PIECE);
        }
        // Room was found meanwhile.
        shelf.took(&version(3));
        shelf.refuse(&version(5), &PIECE);
        shelf.answered(&version(1), &PIECE, Answer::News, SECOND);
        assert_eq!(told(&mut shelf, SECOND), [1, 2, 4]);
        shelf.answered(&version(2), &PIECE, Answer::News, SECOND);
        assert_eq!(told(&mut shelf, SECOND), [2, 5]);
    }

    #[test]
    fn what_cannot_be_had_is_said_for_a_minute_and_asked_for_anew_then() {
        let mut shelf = Shelf::default();
        let answer = Answer::Never(Fetch::Gone);
        shelf.answered(&version(1), &PIECE, answer, SECOND);
        assert_eq!(shelf.look_at(&version(1), SECOND), Some(Fetch::Gone));
        assert_eq!(told(&mut shelf, SECOND), [1], "the connector is to know");
        assert_eq!(shelf.sweep(SECOND + KEEP), [version(1)]);
        assert_eq!(shelf.look_at(&version(1), SECOND + KEEP), None);
    }

    #[test]
    fn pieces_stay_for_a_minute_after_the_last_look_and_late_ones_go_as_well() {
        let mut shelf = Shelf::default();
        shelf.look_at(&version(1), SECOND);
        shelf.moved(&version(2), 2 * SECOND);
        assert_eq!(shelf.moved_at(), Some(2 * SECOND));
        shelf.look_at(&version(1), 30 * SECOND);
        assert_eq!(shelf.sweep(SECOND + KEEP), []);
        assert_eq!(shelf.sweep(2 * SECOND + KEEP), [version(2)]);
        assert_eq!(shelf.sweep(30 * SECOND + KEEP), [version(1)]);
    }
}
