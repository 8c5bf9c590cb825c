//! Which names a site leaves alone: patterns in the grammar of gitignore, relative to the root.
//!
//! An excluded name is never noticed, never applied and never unlinked, here or elsewhere. Patterns belong to one site:
//! adding one deletes nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::{ReplError, Result};
use crate::journal::op::Name;

/// What this site does differently from the others.
#[derive(Debug, Clone)]
pub struct Policy {
    excludes: Gitignore,
    /// Whether set-uid and set-gid bits of other sites are applied. Default: false.
    pub set_id: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            excludes: Gitignore::empty(),
            set_id: false,
        }
    }
}

impl Policy {
    /// A policy that excludes what `patterns` match.
    ///
    /// # Errors
    /// [`ReplError::Serialization`] with the pattern that does not parse.
    pub fn excluding<S: AsRef<str>>(patterns: &[S]) -> Result<Self> {
        let mut builder = GitignoreBuilder::new("/");
        for pattern in patterns {
            let pattern = pattern.as_ref();
            builder
                .add_line(None, pattern)
                .map_err(|e| fault(pattern, &e.to_string()))?;
        }
        let excludes = builder.build().map_err(|e| fault("", &e.to_string()))?;
        Ok(Self {
            excludes,
            ..Self::default()
        })
    }

    /// Whether `name` in `dir` is excluded by itself; a caller that comes from above asked for `dir` before.
    #[must_use]
    pub fn excludes(&self, dir: &[Name], name: &Name, is_dir: bool) -> bool {
        if self.excludes.is_empty() {
            return false;
        }
        let mut path = PathBuf::new();
        path.extend(dir.iter().map(|name| OsStr::from_bytes(name.as_bytes())));
        path.push(OsStr::from_bytes(name.as_bytes()));
        self.excludes.matched(path, is_dir).is_ignore()
    }

    /// Whether `name` in `dir` or one of the directories above it is excluded.
    #[must_use]
    pub fn excludes_path(&self, dir: &[Name], name: &Name, is_dir: bool) -> bool {
        !self.excludes.is_empty()
            && (self.excludes(dir, name, is_dir)
                || (0..dir.len()).any(|i| {
                    let (above, rest) = dir.split_at(i);
                    rest.first()
                        .is_some_and(|name| self.excludes(above, name, true))
                }))
    }

    /// The mode bits that this site shows of `mode`.
    #[must_use]
    pub const fn shown_mode(&self, mode: u32) -> u32 {
        mode & if self.set_id { 0o7777 } else { 0o1777 }
    }
}

fn fault(pattern: &str, reason: &str) -> ReplError {
    ReplError::serialization("exclude pattern", format!("\"{pattern}\": {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn patterns_follow_the_gitignore_grammar() {
        let policy = Policy::excluding(&["*.tmp", "/build/", "!keep.tmp"]).unwrap();
        let deep = [name("a"), name("b")];
        assert!(policy.excludes(&deep, &name("x.tmp"), false));
        assert!(!policy.excludes(&deep, &name("keep.tmp"), false));
        assert!(policy.excludes(&[], &name("build"), true));
        assert!(
            !policy.excludes(&[], &name("build"), false),
            "only as a directory"
        );
        assert!(
            !policy.excludes(&deep, &name("build"), true),
            "only at the root"
        );
        assert!(policy.excludes_path(&[name("build"), name("x")], &name("y"), false));
        assert!(!Policy::default().excludes(&deep, &name("x.tmp"), false));
    }

    #[test]
    fn a_pattern_that_does_not_parse_is_named() {
        let error = Policy::excluding(&["a{"]).unwrap_err().to_string();
        assert!(error.contains("a{"), "{error}");
    }

    #[test]
    fn set_id_bits_are_shown_only_when_allowed() {
        let mut policy = Policy::default();
        assert_eq!(policy.shown_mode(0o6755), 0o755);
        policy.set_id = true;
        assert_eq!(policy.shown_mode(0o6755), 0o6755);
    }
}
