//! Looks at everything that a site needs, with or without a daemon, and says what is not there and what to type.
//!
//! It changes nothing and needs no powers: what this user may not see is said to be unknown. Looking (`gather`) and
//! judging (`judge`) are apart, so that what a fact means is tested without the fact.

mod facts;
mod gather;
mod judge;

use std::path::Path;
use std::time::Duration;

use crate::admin::view::Finding;
use crate::error::Result;
use crate::tree::pin::{self, Bond};

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Name of the site; none: the configuration does not tell.
    pub site: Option<String>,
    /// In the order in which a site needs them.
    pub findings: Vec<Finding>,
}

/// Whether the tree at `root` is that of some site already, be it that of the state folder `state` or of another one.
///
/// # Errors
/// When one of them cannot be read, or what it says is damaged.
pub fn is_tree_of_a_site(root: &Path, state: &Path) -> Result<bool> {
    Ok(pin::look(root, &state.join(gather::TREE_STATE))? != Bond::None)
}

/// Looks at the site that `file` configures. Whatever is asked over a network gets `patience` to answer.
///
/// # Errors
/// When the system gives no runtime to wait with; everything else is a finding.
pub fn examine(file: &Path, patience: Duration) -> Result<Report> {
    let facts = gather::facts(file, patience)?;
    Ok(Report {
        site: facts.site.as_ref().map(|site| site.name.clone()),
        findings: judge::judge(&facts),
    })
}
