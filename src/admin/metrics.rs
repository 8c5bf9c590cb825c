//! Pure: a status as metrics, in the text format of Prometheus (version 0.0.4).
//!
//! Names and labels are a contract, only added to. What is not known has no sample: absent, never zero.

use super::view::{Lag, SiteState, SiteView, StatusView, Verdict};

/// One value with its labels.
type Sample = (Vec<(&'static str, String)>, f64);

/// Name and meaning of those that say more than one number.
const INFO: (&str, &str) = (
    "cfs_repl_info",
    "Version of the daemon and name of its site",
);
const VERDICT: (&str, &str) = (
    "cfs_repl_verdict",
    "The whole in one word: 1 for the verdict that holds",
);
const STATE: (&str, &str) = (
    "cfs_repl_site_state",
    "Where a peer stands: 1 for the state that it is in",
);

/// Every metric that can be told, with what it means, in the order of the text.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let here = HERE.iter().map(|(name, help, _)| (*name, *help));
    let site = SITE.iter().map(|(name, help, _)| (*name, *help));
    [INFO, VERDICT]
        .into_iter()
        .chain(here)
        .chain([STATE])
        .chain(site)
}

/// The metrics of `status`.
#[must_use]
pub fn text(status: &StatusView) -> String {
    let mut text = String::new();
    let mut of = |(name, help), samples| family(&mut text, name, help, samples);
    let labels = vec![
        ("site", status.site.clone()),
        ("version", status.version.clone()),
    ];
    of(INFO, vec![(labels, 1.0)]);
    let verdicts = Verdict::ALL.iter().map(|verdict| {
        let is = *verdict == status.verdict;
        (
            vec![("verdict", verdict.to_string())],
            f64::from(u8::from(is)),
        )
    });
    of(VERDICT, verdicts.collect());
    for (name, help, value) in HERE {
        let sample = value(status).map(|value| (Vec::new(), value));
        of((name, help), sample.into_iter().collect());
    }
    let states = status.sites.iter().flat_map(|site| {
        SiteState::ALL.iter().map(|state| {
            let is = *state == site.state;
            let labels = vec![("site", site.site.clone()), ("state", state.to_string())];
            (labels, f64::from(u8::from(is)))
        })
    });
    of(STATE, states.collect());
    for (name, help, value) in SITE {
        let samples = status.sites.iter().filter_map(|site| {
            let value = value(site)?;
            Some((vec![("site", site.site.clone())], value))
        });
        of((name, help), samples.collect());
    }
    text
}

/// A metric of a peer.
type SiteMetric = (&'static str, &'static str, fn(&SiteView) -> Option<f64>);

const SITE: [SiteMetric; 9] = [
    (
        "cfs_repl_lag_seconds",
        "How far a peer is behind this site, or at least: see cfs_repl_lag_is_lower_bound",
        |site| site.lag.us().map(seconds),
    ),
    (
        "cfs_repl_lag_is_lower_bound",
        "1 when the lag of a peer may be more than is told",
        |site| match site.lag {
            Lag::Unknown => None,
            Lag::Known(_) => Some(0.0),
            Lag::AtLeast(_) => Some(1.0),
        },
    ),
    (
        "cfs_repl_behind_entries",
        "Entries of this site that a peer has not applied",
        |site| site.behind_entries.map(number),
    ),
    (
        "cfs_repl_behind_bytes",
        "Bytes of the journal that a peer has not received",
        |site| site.behind_bytes.map(number),
    ),
    (
        "cfs_repl_waiting_entries",
        "Entries of a peer that were received and are not applied here",
        |site| site.waiting_entries.map(number),
    ),
    (
        "cfs_repl_parked_inodes",
        "Inodes of a peer that cannot be applied here",
        |site| Some(number(site.parked.len() as u64)),
    ),
    (
        "cfs_repl_parked_there_entries",
        "Entries of this site that a peer cannot apply",
        |site| site.parked_there_entries.map(number),
    ),
    (
        "cfs_repl_clock_skew_seconds",
        "Clock of a peer minus the clock here",
        |site| site.clock_skew_us.map(signed_seconds),
    ),
    (
        "cfs_repl_round_trip_seconds",
        "From here to a peer and back",
        |site| site.round_trip_us.map(seconds),
    ),
];

/// A metric of the site itself.
type HereMetric = (&'static str, &'static str, fn(&StatusView) -> Option<f64>);

const HERE: [HereMetric; 13] = [
    (
        "cfs_repl_uptime_seconds",
        "Since the daemon started",
        |status| Some(seconds(status.uptime_us)),
    ),
    (
        "cfs_repl_journal_bytes",
        "Bytes of the journal on disk",
        |status| Some(number(status.journal.bytes)),
    ),
    (
        "cfs_repl_journal_entries_total",
        "Entries written since the journal was created",
        |status| Some(number(status.journal.head_entries)),
    ),
    (
        "cfs_repl_conflicts_open",
        "Conflicts that matter and nobody acknowledged",
        |status| Some(number(status.conflicts.open)),
    ),
    (
        "cfs_repl_conflicts_total",
        "Conflicts on record",
        |status| Some(number(status.conflicts.total)),
    ),
    (
        "cfs_repl_causes",
        "Reasons why the verdict is not better",
        |status| Some(number(status.causes.len() as u64)),
    ),
    (
        "cfs_repl_tree_fetching_inodes",
        "Inodes whose bytes are on their way",
        |status| Some(number(status.tree.fetching)),
    ),
    (
        "cfs_repl_tree_busy_files",
        "Files that programs keep writing",
        |status| Some(number(status.tree.busy)),
    ),
    (
        "cfs_repl_tree_blocked_changes",
        "Changes from elsewhere that cannot be applied yet",
        |status| Some(number(status.tree.blocked)),
    ),
    (
        "cfs_repl_tree_diverged_objects",
        "Files and directories that differ from what was merged and are not sent",
        |status| Some(number(status.tree.diverged)),
    ),
    (
        "cfs_repl_journal_budget_bytes",
        "Bytes that the journal may take",
        |status| status.journal.budget_bytes.map(number),
    ),
    (
        "cfs_repl_tree_last_scan_timestamp_seconds",
        "When the last look at the whole tree ended",
        |status| status.tree.last_scan_us.map(seconds),
    ),
    (
        "cfs_repl_certificate_expiry_timestamp_seconds",
        "When the certificate of this site ends, or an authority above it",
        |status| status.certificate_expires_us.map(seconds),
    ),
];

fn family(text: &mut String, name: &str, help: &str, samples: Vec<Sample>) {
    if samples.is_empty() {
        return;
    }
    let kind = if name.ends_with("_entries_total") {
        "counter"
    } else {
        "gauge"
    };
    text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    for (labels, value) in samples {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", label_text(value)))
            .collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        text.push_str(&format!("{name}{labels} {value}\n"));
    }
}

/// A label's value: backslash, quote and line feed are escaped, as the format wants it.
fn label_text(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn seconds(us: u64) -> f64 {
    number(us) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
fn number(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
fn signed_seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::status;
    use super::*;

    #[test]
    fn every_family_has_its_help_its_type_and_a_name_of_ours() {
        let text = text(&status());
        let mut families = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                families.push(rest.split(' ').next().unwrap());
            } else if !line.starts_with("# HELP ") {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(families.last(), Some(&name), "{line}");
                let value = line.rsplit(' ').next().unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        let mut sorted = families.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), families.len(), "{families:?}");
        assert!(families.iter().all(|name| name.starts_with("cfs_repl_")));
    }

    #[test]
    fn the_table_of_names_is_what_is_told_when_all_is_known() {
        let mut all = status();
        all.sites[0].lag = Lag::Known(1);
        let told = text(&all);
        let told: Vec<&str> = told
            .lines()
            .filter_map(|line| line.strip_prefix("# HELP "))
            .collect();
        let names = names().map(|(name, help)| format!("{name} {help}"));
        assert_eq!(told, names.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_not_known_has_no_sample_and_what_is_told_is_in_base_units() {
        let mut known = status();
        let text_of = |status: &StatusView| text(status);
        assert!(text_of(&known).contains("cfs_repl_lag_seconds{site=\"iad-2\"} 134.20411\n"));
        assert!(
            text_of(&known).contains("cfs_repl_site_state{site=\"iad-2\",state=\"backoff\"} 1\n")
        );
        assert!(text_of(&known).contains("cfs_repl_site_state{site=\"iad-2\",state=\"idle\"} 0\n"));
        for site in &mut known.sites {
            (site.lag, site.behind_entries) = (Lag::Unknown, None);
        }
        let text = text_of(&known);
        assert!(
            !text.contains("cfs_repl_lag_seconds") && !text.contains("cfs_repl_behind_entries")
        );
    }

    #[test]
    fn a_hostile_site_name_stays_within_its_label() {
        let mut hostile = status();
        hostile.sites[0].site = "a\"} 7\ncfs_repl_x{y=\"\\".to_owned();
        let text = text(&hostile);
        assert!(
            text.lines()
                .all(|line| line.starts_with('#') || line.starts_with("cfs_repl_"))
        );
        assert!(
            !text.lines().any(|line| line.starts_with("cfs_repl_x")),
            "{text}"
        );
    }
}
