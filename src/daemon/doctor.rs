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

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Name of the site; none: the configuration does not tell.
    pub site: Option<String>,
    /// In the order in which a site needs them.
    pub findings: Vec<Finding>,
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
