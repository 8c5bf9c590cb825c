//! Pure: lags, looks and events, to messages and back.

use super::*;
use crate::admin::delta::{Delta, Judged};
use crate::admin::view::{
    AtRisk, EventFilter, EventView, Level, Overview, RightsView, ShardLag, Stage, StageLag,
};

fn level_to(level: Level) -> i32 {
    let number = match level {
        Level::Info => pb::EventLevel::Info,
        Level::Warn => pb::EventLevel::Warn,
        Level::Error => pb::EventLevel::Error,
    };
    number.into()
}

fn level_from(number: i32) -> Level {
    match pb::EventLevel::try_from(number) {
        Ok(pb::EventLevel::Error) => Level::Error,
        Ok(pb::EventLevel::Warn) => Level::Warn,
        Ok(pb::EventLevel::Info | pb::EventLevel::Unspecified) | Err(_) => Level::Info,
    }
}

/// What a watching reader is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Everything.
    Snapshot(Box<Overview>),
    /// What is different.
    Delta(Box<Delta>),
    /// Nothing is different; time since the daemon started and age of what the engine told.
    Heartbeat {
        /// Time since the daemon started.
        uptime_us: u64,
        /// Age of what the engine told.
        engine_age_us: u64,
    },
    /// The daemon cannot tell now.
    Unreadable {
        /// Why.
        text: String,
        /// What to do about it; may be empty.
        next: String,
    },
}

const STAGES: [(Stage, pb::Stage); 5] = [
    (Stage::Sent, pb::Stage::Sent),
    (Stage::Received, pb::Stage::Received),
    (Stage::Merged, pb::Stage::Merged),
    (Stage::Durable, pb::Stage::Durable),
    (Stage::Applied, pb::Stage::Applied),
];

fn stage_to(stage: StageLag) -> pb::StageLag {
    let number = STAGES.iter().find(|(word, _)| *word == stage.stage);
    pb::StageLag {
        stage: number.map_or(pb::Stage::Unspecified, |(_, n)| *n).into(),
        entries: stage.entries,
        lag: Some(lag_to(stage.lag)),
    }
}

/// A step that this build does not know is left out: the others stand by themselves.
fn stage_from(stage: pb::StageLag) -> Option<StageLag> {
    let number = pb::Stage::try_from(stage.stage).ok()?;
    let (word, _) = STAGES.iter().find(|(_, n)| *n == number)?;
    Some(StageLag {
        stage: *word,
        entries: stage.entries,
        lag: lag_from(stage.lag),
    })
}

fn shard_to(shard: ShardLag) -> pb::ShardLag {
    pb::ShardLag {
        shard: shard.shard,
        head: shard.head,
        sent: shard.sent,
        received: shard.received,
        merged: shard.merged,
        applied: shard.applied,
        behind_entries: shard.behind_entries,
        behind_bytes: shard.behind_bytes,
        lag: Some(lag_to(shard.lag)),
    }
}

fn shard_from(shard: pb::ShardLag) -> ShardLag {
    ShardLag {
        shard: shard.shard,
        head: shard.head,
        sent: shard.sent,
        received: shard.received,
        merged: shard.merged,
        applied: shard.applied,
        behind_entries: shard.behind_entries,
        behind_bytes: shard.behind_bytes,
        lag: lag_from(shard.lag),
    }
}

pub(super) fn at_risk_to(at_risk: AtRisk) -> pb::AtRisk {
    pb::AtRisk {
        age: Some(lag_to(at_risk.lag)),
        entries: at_risk.entries,
        journal_bytes: at_risk.journal_bytes,
    }
}

/// A daemon that does not tell it is an older one: nothing is known.
pub(super) fn at_risk_from(at_risk: Option<pb::AtRisk>) -> AtRisk {
    at_risk.map_or_else(AtRisk::default, |at_risk| AtRisk {
        lag: lag_from(at_risk.age),
        entries: at_risk.entries,
        journal_bytes: at_risk.journal_bytes,
    })
}

fn site_lag_to(site: SiteLag) -> pb::SiteLag {
    pb::SiteLag {
        site: site.site,
        site_id: site.site_id,
        state: state_to(site.state),
        lag: Some(lag_to(site.lag)),
        behind_entries: site.behind_entries,
        behind_bytes: site.behind_bytes,
        oldest_unacked_us: site.oldest_unacked_us,
        clock_skew_us: site.clock_skew_us,
        inbound_lag: Some(lag_to(site.inbound.lag)),
        inbound_waiting_entries: site.inbound.waiting_entries,
        inbound_unnoticed_us: site.inbound.unnoticed_us,
        unnoticed_us: site.unnoticed_us,
        applied_per_s: site.applied_per_s,
        catch_up_eta_us: site.catch_up_eta_us,
        stages: site.stages.into_iter().map(stage_to).collect(),
        shards: site.shards.into_iter().map(shard_to).collect(),
    }
}

fn site_lag_from(site: pb::SiteLag) -> SiteLag {
    SiteLag {
        site: site.site,
        site_id: site.site_id,
        state: state_from(site.state),
        lag: lag_from(site.lag),
        behind_entries: site.behind_entries,
        behind_bytes: site.behind_bytes,
        oldest_unacked_us: site.oldest_unacked_us,
        clock_skew_us: site.clock_skew_us,
        unnoticed_us: site.unnoticed_us,
        inbound: InboundLag {
            lag: lag_from(site.inbound_lag),
            waiting_entries: site.inbound_waiting_entries,
            unnoticed_us: site.inbound_unnoticed_us,
        },
        applied_per_s: site.applied_per_s,
        catch_up_eta_us: site.catch_up_eta_us,
        stages: site.stages.into_iter().filter_map(stage_from).collect(),
        shards: site.shards.into_iter().map(shard_from).collect(),
    }
}

pub(in crate::admin) fn lags_to(view: LagView) -> pb::LagReply {
    pb::LagReply {
        site: view.site,
        sites: view.sites.into_iter().map(site_lag_to).collect(),
        at_risk: Some(at_risk_to(view.at_risk)),
    }
}

pub(in crate::admin) fn lags_from(reply: pb::LagReply) -> LagView {
    LagView {
        site: reply.site,
        sites: reply.sites.into_iter().map(site_lag_from).collect(),
        at_risk: at_risk_from(reply.at_risk),
    }
}

pub(in crate::admin) fn update_to(update: Update) -> pb::watch_update::What {
    use pb::watch_update::What;
    match update {
        Update::Snapshot(overview) => What::Snapshot(pb::Snapshot {
            status: Some(status_to(overview.status)),
            lag: Some(lags_to(overview.lag)),
        }),
        Update::Delta(delta) => What::Delta(delta_to(*delta)),
        Update::Heartbeat {
            uptime_us,
            engine_age_us,
        } => What::Heartbeat(pb::Heartbeat {
            uptime_us,
            engine_age_us,
        }),
        Update::Unreadable { text, next } => What::Unreadable(pb::Unreadable { text, next }),
    }
}

/// None: a kind of update that this build does not know.
pub(in crate::admin) fn update_from(update: pb::WatchUpdate) -> Result<Option<Update>> {
    use pb::watch_update::What;
    let Some(what) = update.what else {
        return Ok(None);
    };
    Ok(Some(match what {
        What::Snapshot(snapshot) => Update::Snapshot(Box::new(Overview {
            status: status_from(snapshot.status.ok_or(Missing("snapshot.status"))?)?,
            lag: lags_from(snapshot.lag.ok_or(Missing("snapshot.lag"))?),
        })),
        What::Delta(delta) => Update::Delta(Box::new(delta_from(delta))),
        What::Heartbeat(beat) => Update::Heartbeat {
            uptime_us: beat.uptime_us,
            engine_age_us: beat.engine_age_us,
        },
        What::Unreadable(unreadable) => Update::Unreadable {
            text: unreadable.text,
            next: unreadable.next,
        },
    }))
}

pub(in crate::admin) fn rights_to(view: RightsView) -> pb::Rights {
    pb::Rights {
        act: view.act,
        caller: view.caller,
        hint: view.hint,
    }
}

pub(in crate::admin) fn rights_from(rights: pb::Rights) -> RightsView {
    RightsView {
        act: rights.act,
        caller: rights.caller,
        hint: rights.hint,
    }
}

fn delta_to(delta: Delta) -> pb::Delta {
    let shards = delta
        .shards
        .into_iter()
        .map(|(site, shards)| pb::ShardsDelta {
            site,
            shards: shards.into_iter().map(shard_to).collect(),
        });
    pb::Delta {
        judgement: delta.judged.map(|judged| pb::Judgement {
            verdict: verdict_to(judged.verdict),
            summary: judged.summary,
            causes: judged.causes.into_iter().map(cause_to).collect(),
        }),
        sites: delta.sites.into_iter().map(site_to).collect(),
        gone: delta.gone,
        journal: delta.journal.map(journal_to),
        conflicts: delta.conflicts.map(|counts| pb::ConflictCounts {
            open: counts.open,
            total: counts.total,
        }),
        tree: delta.tree.map(tree_to),
        lags: delta.lags.into_iter().map(site_lag_to).collect(),
        shards: shards.collect(),
        at_risk: delta.at_risk.map(at_risk_to),
        uptime_us: delta.uptime_us,
        engine_age_us: delta.engine_age_us,
    }
}

fn delta_from(delta: pb::Delta) -> Delta {
    let shards = delta.shards.into_iter().map(|of| {
        let shards = of.shards.into_iter().map(shard_from).collect();
        (of.site, shards)
    });
    Delta {
        judged: delta.judgement.map(|judgement| Judged {
            verdict: verdict_from(judgement.verdict),
            summary: judgement.summary,
            causes: judgement.causes.into_iter().map(cause_from).collect(),
        }),
        sites: delta.sites.into_iter().map(site_from).collect(),
        gone: delta.gone,
        journal: delta.journal.map(journal_from),
        conflicts: delta.conflicts.map(|counts| ConflictCounts {
            open: counts.open,
            total: counts.total,
        }),
        tree: delta.tree.map(tree_from),
        lags: delta.lags.into_iter().map(site_lag_from).collect(),
        shards: shards.collect(),
        at_risk: delta.at_risk.map(|at_risk| at_risk_from(Some(at_risk))),
        uptime_us: delta.uptime_us,
        engine_age_us: delta.engine_age_us,
    }
}

pub(in crate::admin) fn event_to(event: EventView) -> pb::Event {
    pb::Event {
        number: event.number,
        at_us: event.at_us,
        level: level_to(event.level),
        name: event.name,
        site: event.site,
        text: event.text,
        fields: event.fields.into_iter().collect(),
    }
}

pub(in crate::admin) fn event_from(event: pb::Event) -> EventView {
    EventView {
        number: event.number,
        at_us: event.at_us,
        level: level_from(event.level),
        name: event.name,
        site: event.site,
        text: event.text,
        fields: event.fields.into_iter().collect(),
    }
}

pub(in crate::admin) fn events_to(
    filter: EventFilter,
    follow: bool,
    limit: Option<u64>,
) -> pb::EventsRequest {
    pb::EventsRequest {
        since_us: filter.since_us,
        level: level_to(filter.level),
        site: filter.site,
        names: filter.names,
        follow,
        limit,
    }
}

pub(in crate::admin) fn events_from(request: pb::EventsRequest) -> EventFilter {
    EventFilter {
        since_us: request.since_us,
        level: level_from(request.level),
        site: request.site,
        names: request.names,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::tests;

    #[test]
    fn an_update_comes_back_as_it_was() {
        let status = tests::status();
        let lag = tests::lag();
        let snapshot = Overview { status, lag };
        let mut other = snapshot.clone();
        other.status.summary = "other".to_owned();
        other.status.journal.bytes += 1;
        other.lag.sites[0].shards.push(ShardLag {
            shard: 300,
            ..ShardLag::default()
        });
        let before = Overview::default();
        let delta = Delta {
            judged: Some(Judged::default()),
            gone: vec!["x".to_owned()],
            sites: other.status.sites.clone(),
            lags: other.lag.sites.clone(),
            shards: std::collections::BTreeMap::from([(
                "b".to_owned(),
                other.lag.sites[0].shards.clone(),
            )]),
            at_risk: Some(AtRisk::default()),
            tree: Some(before.status.tree),
            journal: Some(before.status.journal),
            conflicts: Some(ConflictCounts { open: 1, total: 2 }),
            uptime_us: 3,
            engine_age_us: 4,
        };
        let updates = [
            Update::Snapshot(Box::new(other)),
            Update::Delta(Box::new(delta)),
            Update::Heartbeat {
                uptime_us: 1,
                engine_age_us: 2,
            },
            Update::Unreadable {
                text: "a".to_owned(),
                next: "b".to_owned(),
            },
        ];
        for update in updates {
            let sent = pb::WatchUpdate {
                number: 1,
                at_us: 2,
                what: Some(update_to(update.clone())),
                rights: None,
            };
            assert_eq!(update_from(sent), Ok(Some(update)));
        }
        let rights = RightsView {
            act: true,
            caller: "a".to_owned(),
            hint: "b".to_owned(),
        };
        assert_eq!(rights_from(rights_to(rights.clone())), rights);
        assert_eq!(update_from(pb::WatchUpdate::default()), Ok(None));
    }

    #[test]
    fn an_event_and_what_is_asked_of_events_come_back_as_they_were() {
        let event = EventView {
            number: 1,
            at_us: 2,
            level: Level::Error,
            name: "site.state".to_owned(),
            site: Some("b".to_owned()),
            text: "t".to_owned(),
            fields: [("to".to_owned(), "idle".to_owned())].into(),
        };
        assert_eq!(event_from(event_to(event.clone())), event);
        let filter = EventFilter {
            since_us: Some(4),
            level: Level::Warn,
            site: Some("b".to_owned()),
            names: vec!["x".to_owned()],
        };
        assert_eq!(
            events_from(events_to(filter.clone(), true, Some(3))),
            filter
        );
    }
}
