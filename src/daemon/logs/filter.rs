//! Pure: which entries of a log are meant.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use globset::{GlobBuilder, GlobMatcher};

use crate::admin::filter::PATTERN_BYTES_MAX;
use crate::admin::view::journal::EntryView;
use crate::clock::TimestampUs;
use crate::journal::op::OpKind;

/// The words for operations.
#[must_use]
pub fn op_words() -> Vec<&'static str> {
    OpKind::ALL.iter().map(|op| op.word()).collect()
}

/// Which entries are meant: those for which everything holds that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryFilter {
    /// Shard, or 256 for the control stream.
    pub stream: Option<u32>,
    /// Words of operations, any of which will do; none: all.
    pub ops: Vec<String>,
    /// The inode.
    pub inode: Option<u64>,
    /// Pattern for the name in the entry; an entry that names nothing is not meant.
    pub name: Option<String>,
    /// Stamped at this time or later.
    pub since_us: Option<TimestampUs>,
}

/// A filter that is ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct EntryMatcher {
    filter: EntryFilter,
    name: Option<GlobMatcher>,
}

impl EntryFilter {
    /// Makes it ready.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub fn matcher(self) -> Result<EntryMatcher, String> {
        let compile = |pattern: &String| {
            // A leading slash means the root of the tree, where a name is the whole path.
            let below = pattern.strip_prefix('/').unwrap_or(pattern);
            if pattern.len() > PATTERN_BYTES_MAX {
                return Err(format!("it is longer than {PATTERN_BYTES_MAX} bytes"));
            }
            if below.contains('/') {
                return Err("an entry holds a name and no path".to_owned());
            }
            let glob = GlobBuilder::new(below).literal_separator(true).build();
            glob.map(|glob| glob.compile_matcher())
                .map_err(|error| error.kind().to_string())
        };
        let name = self.name.as_ref().map(compile).transpose()?;
        Ok(EntryMatcher { filter: self, name })
    }
}

impl EntryMatcher {
    /// Whether `entry` is meant.
    #[must_use]
    pub fn lets_through(&self, entry: &EntryView) -> bool {
        let Self { filter, name } = self;
        let is_named = |glob: &GlobMatcher| {
            let name = entry.name.as_deref();
            name.is_some_and(|name| glob.is_match(OsStr::from_bytes(name)))
        };
        filter.stream.is_none_or(|stream| stream == entry.stream)
            && (filter.ops.is_empty() || filter.ops.contains(&entry.op))
            && filter.inode.is_none_or(|inode| entry.inode == Some(inode))
            && filter
                .since_us
                .is_none_or(|since| entry.timestamp_us >= since)
            && name.as_ref().is_none_or(is_named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::journal::tests::entry;

    #[test]
    fn a_pattern_longer_than_any_path_is_refused() {
        let filter = EntryFilter {
            name: Some("?".repeat(2 << 20)),
            ..EntryFilter::default()
        };
        assert!(filter.matcher().is_err());
    }

    /// What is set, and whether it holds for the entry with a name and for the one without.
    type Case<'a> = (&'a dyn Fn(&mut EntryFilter), (bool, bool));

    #[test]
    fn everything_that_is_set_has_to_hold() {
        let named = entry();
        let bare = EntryView {
            name: None,
            op: "write".to_owned(),
            inode: None,
            ..named.clone()
        };
        let at = named.timestamp_us;
        let word = |word: &str| vec![word.to_owned()];
        let cases: [Case<'_>; 11] = [
            (&|_| (), (true, true)),
            (&|f| f.stream = Some(17), (true, true)),
            (&|f| f.stream = Some(16), (false, false)),
            (&|f| f.ops = word("write"), (false, true)),
            (
                &|f| f.ops = [word("write"), word("create")].concat(),
                (true, true),
            ),
            (&|f| f.inode = Some(u64::MAX), (true, false)),
            (&|f| f.since_us = Some(at), (true, true)),
            (&|f| f.since_us = Some(at + 1), (false, false)),
            (&|f| f.name = Some("a*".to_owned()), (true, false)),
            (&|f| f.name = Some("/a*J".to_owned()), (true, false)),
            (&|f| f.name = Some("b*".to_owned()), (false, false)),
        ];
        for (set, expected) in cases {
            let mut filter = EntryFilter::default();
            set(&mut filter);
            let matcher = filter.clone().matcher().unwrap();
            let found = (matcher.lets_through(&named), matcher.lets_through(&bare));
            assert_eq!(found, expected, "{filter:?}");
        }
    }

    #[test]
    fn a_pattern_that_can_match_nothing_is_told() {
        for (pattern, why) in [("a[", "character class"), ("d/*.txt", "no path")] {
            let name = Some(pattern.to_owned());
            let filter = EntryFilter {
                name,
                ..EntryFilter::default()
            };
            let told = filter.matcher().unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        assert!(op_words().contains(&"rename"));
    }
}
