//! Pure: which conflicts an operator means.

use globset::{GlobBuilder, GlobMatcher};

use super::view::ConflictView;
use crate::clock::TimestampUs;

/// Longest pattern for paths, in bytes: as long as a path. What a pattern becomes is larger, and one that becomes too
/// large is a panic of its maker.
pub const PATTERN_BYTES_MAX: usize = 4_096;

/// Which conflicts are meant: those for which everything holds that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConflictFilter {
    /// They still matter, and nobody acknowledged them.
    pub open: bool,
    /// Somebody acknowledged them.
    pub acked: bool,
    /// Bytes lost.
    pub lossy: bool,
    /// Name of a site that wrote one of the two versions.
    pub site: Option<String>,
    /// Pattern for the path below the root: `*` and `?` within a name, `**` for any directories, `[a-z]`, `{a,b}`.
    pub path: Option<String>,
    /// The inode.
    pub inode: Option<u64>,
    /// The answering site noticed them at this time or later.
    pub since_us: Option<TimestampUs>,
}

/// A filter that is ready to be asked.
#[derive(Debug, Clone)]
pub struct Matcher {
    filter: ConflictFilter,
    path: Option<GlobMatcher>,
}

/// Which conflicts are to be acknowledged, and how. The filter is as it was given, or ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AckRequest<F> {
    /// Shown ids, or beginnings of ids.
    pub ids: Vec<String>,
    /// Besides, all that this lets through.
    pub filter: Option<F>,
    /// How many the filter has to let through; none: any number.
    pub expect: Option<u64>,
    /// Why; may be empty.
    pub note: String,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Take acknowledgements back.
    pub undo: bool,
}

/// Which loser is to come back, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestoreRequest<'a> {
    /// A shown id, or the beginning of one.
    pub id: &'a str,
    /// A path below the root; none: where it was.
    pub as_path: Option<&'a [u8]>,
    /// It may also take the place of a version that is later than the winner.
    pub over_later: bool,
}

impl ConflictFilter {
    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Makes it ready.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub fn matcher(self) -> Result<Matcher, String> {
        if self
            .path
            .as_ref()
            .is_some_and(|pattern| pattern.len() > PATTERN_BYTES_MAX)
        {
            return Err(format!("it is longer than {PATTERN_BYTES_MAX} bytes"));
        }
        let path = match &self.path {
            Some(pattern) => {
                // A leading slash means the root of the tree.
                let below = pattern.strip_prefix('/').unwrap_or(pattern);
                let glob = GlobBuilder::new(below).literal_separator(true).build();
                let glob = glob.map_err(|error| error.kind().to_string())?;
                Some(glob.compile_matcher())
            }
            None => None,
        };
        Ok(Matcher { filter: self, path })
    }
}

impl Matcher {
    /// Whether paths matter, which cost more to find than the rest.
    #[must_use]
    pub const fn asks_for_path(&self) -> bool {
        self.path.is_some()
    }

    /// The site that has to have written one of the versions.
    #[must_use]
    pub fn site(&self) -> Option<&str> {
        self.filter.site.as_deref()
    }

    /// Whether `conflict` is meant, apart from its path.
    #[must_use]
    pub fn lets_through_apart_from_path(&self, conflict: &ConflictView) -> bool {
        let Self { filter, .. } = self;
        let wrote = |name: &String| {
            let sites = [Some(&conflict.loser), conflict.winner.as_ref()];
            sites
                .into_iter()
                .flatten()
                .any(|version| version.site.as_ref() == Some(name))
        };
        (!filter.open || conflict.is_open())
            && (!filter.acked || conflict.ack.is_some())
            && (!filter.lossy || conflict.lost_bytes.is_some_and(|bytes| bytes > 0))
            && filter.site.as_ref().is_none_or(wrote)
            && filter.inode.is_none_or(|inode| inode == conflict.inode)
            && filter
                .since_us
                .is_none_or(|since| conflict.detected_us >= since)
    }

    /// Whether a conflict with this path below the root is meant, apart from everything else; none: it has no path.
    #[must_use]
    pub fn lets_path_through(&self, path: Option<&[u8]>) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        self.path.as_ref().is_none_or(|glob| {
            path.is_some_and(|path| glob.is_match(std::ffi::OsStr::from_bytes(path)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::conflict;
    use super::*;

    #[test]
    fn a_pattern_longer_than_any_path_is_refused() {
        let filter = |length| ConflictFilter {
            path: Some("?".repeat(length)),
            ..ConflictFilter::default()
        };
        assert!(filter(4_096).matcher().is_ok());
        assert!(filter(2 << 20).matcher().is_err());
    }

    fn lets(filter: ConflictFilter, conflict: &ConflictView) -> bool {
        let matcher = filter.matcher().unwrap();
        matcher.lets_through_apart_from_path(conflict)
            && matcher.lets_path_through(conflict.path.as_deref())
    }

    /// What is set, and whether it holds for the acknowledged and for the open conflict.
    type Case<'a> = (&'a dyn Fn(&mut ConflictFilter), (bool, bool));

    #[test]
    fn everything_that_is_set_has_to_hold() {
        let acked = conflict();
        let open = ConflictView {
            ack: None,
            lost_bytes: Some(0),
            ..acked.clone()
        };
        let at = acked.detected_us;
        let cases: [Case<'_>; 11] = [
            (&|_| (), (true, true)),
            (&|f| f.open = true, (false, true)),
            (&|f| f.acked = true, (true, false)),
            (&|f| f.lossy = true, (true, false)),
            (&|f| f.site = Some("sin-1".to_owned()), (true, true)),
            (&|f| f.site = Some("iad-2".to_owned()), (false, false)),
            (&|f| f.inode = Some(14_993), (true, true)),
            (&|f| f.inode = Some(1), (false, false)),
            (&|f| f.since_us = Some(at), (true, true)),
            (&|f| f.since_us = Some(at + 1), (false, false)),
            (&|f| (f.open, f.inode) = (true, Some(1)), (false, false)),
        ];
        for (set, expected) in cases {
            let mut filter = ConflictFilter::default();
            set(&mut filter);
            let found = (lets(filter.clone(), &acked), lets(filter.clone(), &open));
            assert_eq!(found, expected, "{filter:?}");
        }
    }

    #[test]
    fn a_star_stays_within_a_name_and_two_do_not() {
        let path = |pattern: &str, path: &[u8]| {
            let pattern = Some(pattern.to_owned());
            let filter = ConflictFilter {
                path: pattern,
                ..ConflictFilter::default()
            };
            filter.matcher().unwrap().lets_path_through(Some(path))
        };
        for (pattern, at, expected) in [
            ("*.txt", &b"a.txt"[..], true),
            ("*.txt", b"d/a.txt", false),
            ("**/*.txt", b"d/e/a.txt", true),
            ("**/*.txt", b"a.txt", true),
            ("/d/*", b"d/a", true),
            ("d/**", b"d/e/f", true),
            ("{a,b}?", b"b1", true),
            ("*", b"not text \xff", true),
        ] {
            assert_eq!(path(pattern, at), expected, "{pattern} {at:?}");
        }
        let pattern = Some("*".to_owned());
        let filter = ConflictFilter {
            path: pattern,
            ..ConflictFilter::default()
        };
        assert!(!filter.matcher().unwrap().lets_path_through(None));
    }

    #[test]
    fn a_pattern_that_is_none_is_told() {
        let pattern = Some("a[".to_owned());
        let filter = ConflictFilter {
            path: pattern,
            ..ConflictFilter::default()
        };
        assert!(filter.matcher().unwrap_err().contains("character class"));
    }
}
