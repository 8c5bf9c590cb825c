//! Pure: from facts to findings: what each means for a site, and what to type.
//!
//! What could not be seen is unknown, and never well. A fix is a command or a line of the configuration, ready to be
//! typed; where only a person can decide, it says what to look at.

mod disks;
mod machine;
mod reach;
mod trust;

use std::path::Path;

use super::facts::{Facts, Look, Site};
use crate::admin::view::{Finding, Rating};

/// What the facts mean, in the order in which a site needs them.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = config(facts);
    let site = facts.site.as_ref();
    findings.push(machine::kernel(&facts.machine));
    findings.push(machine::clock(&facts.machine, site));
    let Some(site) = site else {
        return findings;
    };
    findings.extend(disks::tree(facts, site));
    findings.push(machine::inotify(&facts.machine, site));
    findings.push(machine::files(site));
    findings.extend(disks::state(facts, site));
    findings.extend(trust::judge(facts, site));
    findings.push(reach::daemon(facts, site));
    findings.extend(reach::listen(facts, site));
    findings.extend(site.peers.iter().map(|peer| reach::peer(facts, peer)));
    findings
}

fn config(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "config";
    let file = facts.file.display();
    let mut findings: Vec<Finding> = facts
        .problems
        .iter()
        .map(|(what, fix)| Finding::bad(Rating::Critical, CHECK, what, fix))
        .collect();
    let Some(site) = &facts.site else {
        return findings;
    };
    findings.extend(site.siblings.iter().map(|sibling| {
        let (other, key, value) = (sibling.file.display(), sibling.key, &sibling.value);
        Finding::bad(
            Rating::Critical,
            CHECK,
            format!("{other} has the same {key}, {value}"),
            format!("give each site a {key} of its own: in {file} or in {other}"),
        )
    }));
    if let Look::Seen(mode) = site.file_mode
        && mode & 0o022 != 0
    {
        findings.push(Finding::bad(
            Rating::Warning,
            CHECK,
            format!("{file} has mode {mode:04o}: others than its owner can change it"),
            format!("chmod go-w {}", word(&facts.file)),
        ));
    }
    if findings.is_empty() {
        let (name, cluster, peers) = (&site.name, &site.cluster, site.peers.len());
        let found = format!("{file}: site {name} of cluster {cluster}, peers: {peers}");
        findings.push(Finding::ok(CHECK, found));
    }
    findings
}

/// What is told of something that could not be looked at; `fix` is what to do when it is not there.
fn unseen<T>(
    check: &str,
    what: &Path,
    look: &Look<T>,
    facts: &Facts,
    fix: String,
) -> Option<Finding> {
    let shown = what.display();
    Some(match look {
        Look::Seen(_) => return None,
        Look::Absent => Finding::bad(
            Rating::Critical,
            check,
            format!("{shown} does not exist"),
            fix,
        ),
        Look::Denied => Finding::bad(
            Rating::Unknown,
            check,
            format!("{shown} cannot be seen by this user"),
            format!("sudo cfs-repl doctor --config {}", word(&facts.file)),
        ),
        Look::Failed(why) => Finding::bad(
            Rating::Critical,
            check,
            format!("{shown} cannot be used: {why}"),
            fix,
        ),
    })
}

/// A path as one word of a shell.
fn word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The site's configuration, as a word.
fn config_word(facts: &Facts) -> String {
    word(&facts.file)
}

/// How the daemon is started again.
fn restart(site: &Site) -> String {
    format!(
        "start the daemon of {} again: systemctl restart cfs-repl",
        site.name
    )
}

#[cfg(test)]
mod tests;
