//! Pure: what a site needs to be believed: a certificate of its cluster that lasts, and a key that nobody else can use.

use std::path::Path;

use super::super::facts::{Facts, Look, Site, Trust};
use super::{unseen, word};
use crate::admin::view::{Finding, Rating};
use crate::clock::{TimestampUs, rfc3339};
use crate::conduit::tls::dns_name;
use crate::text::duration;

/// A certificate that ends within this time is worth a look: two weeks.
const EXPIRES_SOON_US: u64 = 14 * 86_400 * 1_000_000;
/// Within this one it needs a human: two days.
const EXPIRES_NOW_US: u64 = 2 * 86_400 * 1_000_000;

pub(super) fn judge(facts: &Facts, site: &Site) -> Vec<Finding> {
    const CHECK: &str = "certificate";
    let Some(trust) = &site.trust else {
        return vec![Finding::ok(CHECK, "none is needed: there is no peer")];
    };
    let mut findings = key(facts, trust);
    let renew = renew(site, trust);
    findings.push(match &trust.expires_us {
        Look::Seen(at) => lasts(facts.now_us, *at, &trust.cert, renew),
        Look::Absent => {
            let files = [&trust.cert, &trust.key, &trust.ca].map(|file| file.display().to_string());
            let found = format!("one of these files does not exist: {}", files.join(", "));
            Finding::bad(Rating::Critical, CHECK, found, renew)
        }
        Look::Denied => {
            let fix = format!("sudo cfs-repl doctor --config {}", word(&facts.file));
            let found = "certificate and key cannot be read by this user";
            Finding::bad(Rating::Unknown, CHECK, found, fix)
        }
        Look::Failed(why) => Finding::bad(Rating::Critical, CHECK, why, renew),
    });
    findings
}

fn lasts(now_us: TimestampUs, at_us: TimestampUs, cert: &Path, renew: String) -> Finding {
    const CHECK: &str = "certificate";
    let cert = cert.display();
    let left = at_us.saturating_sub(now_us);
    let until = rfc3339(at_us).unwrap_or_else(|| "the end of the calendar".to_owned());
    let found = format!(
        "{cert} is of this site and its authority, and lasts for {} until {until}",
        duration(left)
    );
    if left >= EXPIRES_SOON_US {
        return Finding::ok(CHECK, found);
    }
    let level = if left < EXPIRES_NOW_US {
        Rating::Critical
    } else {
        Rating::Warning
    };
    Finding::bad(level, CHECK, found, renew)
}

/// Who else can use or exchange the key.
fn key(facts: &Facts, trust: &Trust) -> Vec<Finding> {
    const CHECK: &str = "key";
    let key = trust.key.display();
    let Look::Seen(mode) = trust.key_mode else {
        let fix = format!("put the key of the certificate there: {key}");
        return unseen(CHECK, &trust.key, &trust.key_mode, facts, fix)
            .into_iter()
            .collect();
    };
    if mode & 0o077 != 0 {
        return vec![Finding::bad(
            Rating::Critical,
            CHECK,
            format!("{key} has mode {mode:04o}: others than its owner can use it"),
            format!("chmod 600 {}", word(&trust.key)),
        )];
    }
    if let Look::Seen(mode) = trust.folder_mode
        && mode & 0o022 != 0
    {
        let folder = trust.key.parent().unwrap_or(Path::new("/"));
        return vec![Finding::bad(
            Rating::Warning,
            CHECK,
            format!(
                "{} has mode {mode:04o}: others than its owner can exchange the key in it",
                folder.display()
            ),
            format!("chmod go-w {}", word(folder)),
        )];
    }
    vec![Finding::ok(CHECK, format!("{key} is its owner's alone"))]
}

/// How this site gets a new certificate.
fn renew(site: &Site, trust: &Trust) -> String {
    let name = dns_name(&site.name, &site.cluster);
    let (cert, key) = (word(&trust.cert), word(&trust.key));
    let reload = "systemctl reload cfs-repl";
    if !trust.has_authority {
        return format!(
            "at the site that holds the key of the authority in {}: cfs-repl pki issue --site {} --cluster {} --dir \
             DIR, with the folder of its tls.ca_key (another authority: for the DNS name {name}, for server and \
             client); bring certificate and key over a secure channel to {cert} and {key}, then: {reload}",
            trust.ca.display(),
            site.name,
            site.cluster
        );
    }
    let folder = trust.ca.parent().unwrap_or(Path::new("."));
    format!(
        "mv {cert} {cert}.old; mv {key} {key}.old; cfs-repl pki issue --site {} --cluster {} --dir {} && {reload}",
        site.name,
        site.cluster,
        word(folder)
    )
}
