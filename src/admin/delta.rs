//! Pure: what is different between two looks, and how it is taken in: for whoever watches over a thin line.
//!
//! The rule: taking in the difference of two looks into the first one gives the second one, whatever both are.

use std::collections::BTreeMap;

use super::view::{
    AtRisk, Cause, ConflictCounts, JournalView, Overview, ShardLag, SiteLag, SiteView, TreeView,
    Verdict,
};

/// Verdict, summary and causes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// The whole in one word.
    pub verdict: Verdict,
    /// The whole in one line.
    pub summary: String,
    /// Why it is not better, worst first.
    pub causes: Vec<Cause>,
}

/// What is different. What is none, or empty, is as before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// Verdict, summary and causes.
    pub judged: Option<Judged>,
    /// Sites that are new or different.
    pub sites: Vec<SiteView>,
    /// Names of sites that are gone.
    pub gone: Vec<String>,
    /// The journal.
    pub journal: Option<JournalView>,
    /// Conflicts.
    pub conflicts: Option<ConflictCounts>,
    /// The tree.
    pub tree: Option<TreeView>,
    /// Lags that are different, without their shards.
    pub lags: Vec<SiteLag>,
    /// Shards that are new or different, by site.
    pub shards: BTreeMap<String, Vec<ShardLag>>,
    /// What is at risk.
    pub at_risk: Option<AtRisk>,
    /// Time since the daemon started.
    pub uptime_us: u64,
    /// Age of what the engine told.
    pub engine_age_us: u64,
}

impl Delta {
    /// Nothing is different but the times that always are.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let quiet = Self {
            uptime_us: self.uptime_us,
            engine_age_us: self.engine_age_us,
            ..Self::default()
        };
        *self == quiet
    }
}

/// What is different in `after`. None: it is another site's, or another daemon's, and has to be told as a whole.
#[must_use]
pub fn between(before: &Overview, after: &Overview) -> Option<Delta> {
    let (old, new) = (&before.status, &after.status);
    // A certificate is replaced now and then.
    let is_same = (
        &old.site,
        old.site_id,
        &old.version,
        old.certificate_expires_us,
    ) == (
        &new.site,
        new.site_id,
        &new.version,
        new.certificate_expires_us,
    );
    if !is_same || before.lag.site != after.lag.site {
        return None;
    }
    // Order is by name on both sides; where it is not, a delta would lose it.
    if !is_sorted(before) || !is_sorted(after) {
        return None;
    }
    // A shard that is gone is a journal that is gone.
    if lost_shards(before, after) {
        return None;
    }
    let judged = Judged {
        verdict: new.verdict,
        summary: new.summary.clone(),
        causes: new.causes.clone(),
    };
    let is_judged_anew = (old.verdict, &old.summary, &old.causes)
        != (judged.verdict, &judged.summary, &judged.causes);
    let changed = |site: &&SiteView| !old.sites.contains(site);
    let is_gone = |site: &&SiteView| !new.sites.iter().any(|other| other.site == site.site);
    Some(Delta {
        judged: is_judged_anew.then_some(judged),
        sites: new.sites.iter().filter(changed).cloned().collect(),
        gone: (old.sites.iter().filter(is_gone))
            .map(|site| site.site.clone())
            .collect(),
        journal: (old.journal != new.journal).then(|| new.journal.clone()),
        conflicts: (old.conflicts != new.conflicts).then_some(new.conflicts),
        tree: (old.tree != new.tree).then(|| new.tree.clone()),
        lags: lags_between(before, after),
        shards: shards_between(before, after),
        at_risk: (old.at_risk != new.at_risk).then_some(new.at_risk),
        uptime_us: new.uptime_us,
        engine_age_us: new.engine_age_us,
    })
}

/// Makes of a look the one after it.
pub fn take_in(overview: &mut Overview, delta: Delta) {
    let Overview { status, lag } = overview;
    if let Some(judged) = delta.judged {
        status.verdict = judged.verdict;
        status.summary = judged.summary;
        status.causes = judged.causes;
    }
    for name in &delta.gone {
        status.sites.retain(|site| site.site != *name);
        lag.sites.retain(|site| site.site != *name);
    }
    for site in delta.sites {
        match status.sites.iter_mut().find(|old| old.site == site.site) {
            Some(old) => *old = site,
            None => status.sites.push(site),
        }
    }
    status.sites.sort_by(|a, b| a.site.cmp(&b.site));
    if let Some(journal) = delta.journal {
        status.journal = journal;
    }
    if let Some(conflicts) = delta.conflicts {
        status.conflicts = conflicts;
    }
    if let Some(tree) = delta.tree {
        status.tree = tree;
    }
    if let Some(at_risk) = delta.at_risk {
        (status.at_risk, lag.at_risk) = (at_risk, at_risk);
    }
    for mut site in delta.lags {
        match lag.sites.iter_mut().find(|old| old.site == site.site) {
            Some(old) => {
                site.shards = std::mem::take(&mut old.shards);
                *old = site;
            }
            None => lag.sites.push(site),
        }
    }
    lag.sites.sort_by(|a, b| a.site.cmp(&b.site));
    for (name, changed) in delta.shards {
        let Some(site) = lag.sites.iter_mut().find(|site| site.site == name) else {
            continue;
        };
        let mut shards: BTreeMap<u32, ShardLag> =
            site.shards.iter().map(|s| (s.shard, *s)).collect();
        shards.extend(changed.into_iter().map(|s| (s.shard, s)));
        site.shards = shards.into_values().collect();
    }
    (status.uptime_us, status.engine_age_us) = (delta.uptime_us, delta.engine_age_us);
}

fn is_sorted(overview: &Overview) -> bool {
    overview.status.sites.is_sorted_by(|a, b| a.site < b.site)
        && overview.lag.sites.is_sorted_by(|a, b| a.site < b.site)
        && overview
            .lag
            .sites
            .iter()
            .all(|site| site.shards.is_sorted_by(|a, b| a.shard < b.shard))
        // Gone is told once for both.
        && overview.status.sites.iter().map(|s| &s.site).eq(overview.lag.sites.iter().map(|s| &s.site))
        && overview.status.at_risk == overview.lag.at_risk
}

fn lag_of<'a>(overview: &'a Overview, name: &str) -> Option<&'a SiteLag> {
    overview.lag.sites.iter().find(|site| site.site == name)
}

fn lost_shards(before: &Overview, after: &Overview) -> bool {
    before.lag.sites.iter().any(|old| {
        let Some(new) = lag_of(after, &old.site) else {
            return false;
        };
        // They are sorted, and there are hundreds.
        let found = |shard: u32| new.shards.binary_search_by_key(&shard, |other| other.shard);
        let has = |shard: u32| found(shard).is_ok();
        !old.shards.iter().all(|shard| has(shard.shard))
    })
}

fn lags_between(before: &Overview, after: &Overview) -> Vec<SiteLag> {
    let bare = |lag: &SiteLag| SiteLag {
        shards: Vec::new(),
        ..lag.clone()
    };
    let lags = after.lag.sites.iter().map(bare);
    lags.filter(|lag| lag_of(before, &lag.site).map(bare).as_ref() != Some(lag))
        .collect()
}

fn shards_between(before: &Overview, after: &Overview) -> BTreeMap<String, Vec<ShardLag>> {
    let mut all = BTreeMap::new();
    for site in &after.lag.sites {
        let old: BTreeMap<u32, &ShardLag> = lag_of(before, &site.site)
            .map(|site| site.shards.iter().map(|s| (s.shard, s)).collect())
            .unwrap_or_default();
        let is_new = |shard: &&ShardLag| old.get(&shard.shard).is_none_or(|old| *old != *shard);
        let changed: Vec<ShardLag> = site.shards.iter().filter(is_new).copied().collect();
        if !changed.is_empty() {
            all.insert(site.site.clone(), changed);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::{Lag, SiteState, StatusView};
    use proptest::prelude::*;

    fn site(name: String, state: usize, entries: Option<u64>) -> SiteView {
        SiteView {
            site: name,
            state: SiteState::ALL[state % SiteState::ALL.len()],
            behind_entries: entries,
            ..SiteView::default()
        }
    }

    prop_compose! {
        fn overview()(
            sites in proptest::collection::btree_map("[ab]", (0usize..3, proptest::option::of(0u64..3), 0usize..3), 0..3),
            summary in "[xy]?",
            open in 0u64..2,
            entries in 0u64..2,
            uptime in 0u64..3,
            bytes in 0u64..2,
        ) -> Overview {
            let mut overview = Overview::default();
            for (name, (state, behind, shards)) in sites {
                let view = site(name.clone(), state, behind);
                let shards = (0..shards as u32).map(|shard| ShardLag {
                    shard,
                    lag: Lag::Known(behind.unwrap_or(9)),
                    ..ShardLag::default()
                });
                overview.lag.sites.push(SiteLag {
                    site: name,
                    state: view.state,
                    shards: shards.collect(),
                    ..SiteLag::default()
                });
                overview.status.sites.push(view);
            }
            let at_risk = AtRisk { entries, ..AtRisk::default() };
            overview.lag.at_risk = at_risk;
            overview.status = StatusView {
                summary,
                at_risk,
                uptime_us: uptime,
                conflicts: ConflictCounts { open, total: open },
                journal: JournalView { bytes, ..JournalView::default() },
                ..overview.status
            };
            overview
        }
    }

    proptest! {
        #[test]
        fn taking_in_the_difference_of_two_looks_gives_the_second(before in overview(), after in overview()) {
            match between(&before, &after) {
                Some(delta) => {
                    let mut taken = before.clone();
                    take_in(&mut taken, delta);
                    prop_assert_eq!(taken, after);
                }
                None => prop_assert!(lost_shards(&before, &after)),
            }
        }

        #[test]
        fn between_equal_looks_nothing_is_told(before in overview(), uptime in 0u64..9) {
            let mut after = before.clone();
            after.status.uptime_us = uptime;
            let delta = between(&before, &after).unwrap();
            prop_assert!(delta.is_quiet());
        }
    }

    #[test]
    fn another_site_is_told_as_a_whole() {
        let mut other = Overview::default();
        other.status.site = "b".to_owned();
        assert_eq!(between(&Overview::default(), &other), None);
    }
}
