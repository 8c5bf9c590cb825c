//! Pure: what `doctor` found: one thing that a site needs, whether it is there, and what to type where it is not.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

words! {
    /// What a finding means, from good to bad.
    Rating {
        /// It is as it should be.
        Ok = "ok",
        /// It could not be found out.
        #[default]
        Unknown = "unknown",
        /// Worth a look.
        Warning = "warning",
        /// A site cannot work so, or not for long.
        Critical = "critical",
    }
}

/// One thing that a site needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Finding {
    /// What was looked at, as a word.
    pub check: String,
    /// The peer that it concerns; null: this site.
    pub site: Option<String>,
    /// What it means.
    pub level: Rating,
    /// What was found.
    pub found: String,
    /// What to type or to write; null: nothing.
    pub fix: Option<String>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(check: &str, found: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            level: Rating::Ok,
            found: found.into(),
            ..Self::default()
        }
    }

    /// Something is to be done.
    #[must_use]
    pub fn bad(
        level: Rating,
        check: &str,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            level,
            fix: Some(fix.into()),
            ..Self::ok(check, found)
        }
    }

    /// The same of a peer.
    #[must_use]
    pub fn of(mut self, site: &str) -> Self {
        self.site = Some(site.to_owned());
        self
    }
}
