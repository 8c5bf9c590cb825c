//! Pure: views to messages and back.
//!
//! A word that this build does not know, because the daemon is newer, becomes the unknown one; a part that every
//! daemon sends and that is missing is an error, because a default would be a lie.

use bytes::Bytes;

use super::filter::ConflictFilter;
use super::view::{
    AckView, AckedView, BytesAt, Cause, ConflictCounts, ConflictDetail, ConflictView, InboundLag,
    JournalView, Lag, LagView, ParkedView, RestoredView, ResumedView, Severity, SiteLag, SiteState,
    SiteView, StatusView, TreeView, ValueView, Verdict, VersionView, Watch, order_certain,
};
use crate::proto::admin as pb;

mod any;
mod contact;
pub(super) mod preview;
pub(super) mod tail;

pub use any::read_any;
use contact::{contact_from, contact_to, traffic_from, traffic_to};
pub use watch::Update;
pub(super) use watch::{
    event_from, event_to, events_from, events_to, lags_from, lags_to, rights_from, rights_to,
    update_from, update_to,
};

/// An answer that lacks a part; names the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing(pub(super) &'static str);

type Result<T> = std::result::Result<T, Missing>;

/// Pairs of a word of ours and its number on the wire, both ways in one place.
macro_rules! numbers {
    ($to:ident, $from:ident, $word:ident, $number:ident { $($a:ident = $b:ident,)+ } else $unknown:ident = $zero:ident) => {
        fn $to(word: $word) -> i32 {
            let number = match word {
                $($word::$a => pb::$number::$b,)+
                $word::$unknown => pb::$number::$zero,
            };
            number.into()
        }

        fn $from(number: i32) -> $word {
            match pb::$number::try_from(number) {
                $(Ok(pb::$number::$b) => $word::$a,)+
                Ok(pb::$number::$zero) | Err(_) => $word::$unknown,
            }
        }
    };
}

numbers! {
    verdict_to, verdict_from, Verdict, Verdict {
        Ok = Ok,
        CatchingUp = CatchingUp,
        Degraded = Degraded,
        Stalled = Stalled,
        Down = Down,
    } else Unknown = Unspecified
}

numbers! {
    state_to, state_from, SiteState, SiteState {
        NeverConnected = NeverConnected,
        Connecting = Connecting,
        CatchingUp = CatchingUp,
        Streaming = Streaming,
        Idle = Idle,
        Stalled = Stalled,
        Backoff = Backoff,
        Paused = Paused,
        Held = Held,
        Parked = Parked,
        Fenced = Fenced,
    } else Unknown = Unspecified
}

numbers! {
    watch_to, watch_from, Watch, Watch {
        Inotify = Inotify,
        Scanning = Scanning,
    } else Unknown = Unspecified
}

numbers! {
    bytes_at_to, bytes_at_from, BytesAt, BytesAt {
        None = None,
        Here = Here,
        Elsewhere = Elsewhere,
        Gone = Gone,
    } else Unknown = Unspecified
}

fn severity_to(severity: Severity) -> i32 {
    let number = match severity {
        Severity::Warning => pb::Severity::Warning,
        Severity::Critical => pb::Severity::Critical,
    };
    number.into()
}

fn severity_from(number: i32) -> Severity {
    match pb::Severity::try_from(number) {
        Ok(pb::Severity::Critical) => Severity::Critical,
        Ok(pb::Severity::Warning | pb::Severity::Unspecified) | Err(_) => Severity::Warning,
    }
}

fn lag_to(lag: Lag) -> pb::Lag {
    let state = match lag {
        Lag::Unknown => pb::LagState::Unspecified,
        Lag::Known(_) => pb::LagState::Known,
        Lag::AtLeast(_) => pb::LagState::LowerBound,
    };
    pb::Lag {
        state: state.into(),
        us: lag.us(),
    }
}

fn lag_from(lag: Option<pb::Lag>) -> Lag {
    let Some(pb::Lag {
        state,
        us: Some(us),
    }) = lag
    else {
        return Lag::Unknown;
    };
    match pb::LagState::try_from(state) {
        Ok(pb::LagState::Known) => Lag::Known(us),
        Ok(pb::LagState::LowerBound) => Lag::AtLeast(us),
        Ok(pb::LagState::Unspecified) | Err(_) => Lag::Unknown,
    }
}

pub(super) fn status_to(view: StatusView) -> pb::StatusReply {
    pb::StatusReply {
        verdict: verdict_to(view.verdict),
        summary: view.summary,
        causes: view.causes.into_iter().map(cause_to).collect(),
        site: view.site,
        site_id: view.site_id,
        sites: view.sites.into_iter().map(site_to).collect(),
        journal: Some(journal_to(view.journal)),
        conflicts: Some(pb::ConflictCounts {
            open: view.conflicts.open,
            total: view.conflicts.total,
        }),
        tree: Some(tree_to(view.tree)),
        version: view.version,
        at_risk: Some(watch::at_risk_to(view.at_risk)),
        uptime_us: view.uptime_us,
        engine_age_us: view.engine_age_us,
        certificate_expires_us: view.certificate_expires_us,
    }
}

pub(super) fn status_from(reply: pb::StatusReply) -> Result<StatusView> {
    let conflicts = reply.conflicts.ok_or(Missing("conflicts"))?;
    Ok(StatusView {
        verdict: verdict_from(reply.verdict),
        summary: reply.summary,
        causes: reply.causes.into_iter().map(cause_from).collect(),
        site: reply.site,
        site_id: reply.site_id,
        sites: reply.sites.into_iter().map(site_from).collect(),
        journal: journal_from(reply.journal.ok_or(Missing("journal"))?),
        conflicts: ConflictCounts {
            open: conflicts.open,
            total: conflicts.total,
        },
        tree: tree_from(reply.tree.ok_or(Missing("tree"))?),
        at_risk: watch::at_risk_from(reply.at_risk),
        engine_age_us: reply.engine_age_us,
        version: reply.version,
        uptime_us: reply.uptime_us,
        certificate_expires_us: reply.certificate_expires_us,
    })
}

fn cause_to(cause: Cause) -> pb::Cause {
    pb::Cause {
        site: cause.site,
        severity: severity_to(cause.severity),
        text: cause.text,
        next: cause.next,
    }
}

fn cause_from(cause: pb::Cause) -> Cause {
    Cause {
        site: cause.site,
        severity: severity_from(cause.severity),
        text: cause.text,
        next: cause.next,
    }
}

fn site_to(site: SiteView) -> pb::SiteStatus {
    pb::SiteStatus {
        site: site.site,
        site_id: site.site_id,
        state: state_to(site.state),
        endpoint: site.endpoint,
        last_error: site.last_error,
        lag: Some(lag_to(site.lag)),
        behind_entries: site.behind_entries,
        behind_bytes: site.behind_bytes,
        waiting_entries: site.waiting_entries,
        parked: site.parked.into_iter().map(parked_to).collect(),
        clock_skew_us: site.clock_skew_us,
        round_trip_us: site.round_trip_us,
        held_there: site.held_there,
        parked_there_entries: site.parked_there_entries,
        unnoticed_us: site.unnoticed_us,
        looking_us: site.looking_us,
        silent_us: site.silent_us,
        contact: site.contact.map(contact_to),
        traffic: site.traffic.map(traffic_to),
    }
}

fn site_from(site: pb::SiteStatus) -> SiteView {
    SiteView {
        site: site.site,
        site_id: site.site_id,
        state: state_from(site.state),
        endpoint: site.endpoint,
        last_error: site.last_error,
        lag: lag_from(site.lag),
        behind_entries: site.behind_entries,
        behind_bytes: site.behind_bytes,
        waiting_entries: site.waiting_entries,
        parked: site.parked.into_iter().map(parked_from).collect(),
        clock_skew_us: site.clock_skew_us,
        round_trip_us: site.round_trip_us,
        held_there: site.held_there,
        parked_there_entries: site.parked_there_entries,
        unnoticed_us: site.unnoticed_us,
        looking_us: site.looking_us,
        silent_us: site.silent_us,
        contact: site.contact.map(contact_from),
        traffic: site.traffic.map(traffic_from),
    }
}

fn parked_to(parked: ParkedView) -> pb::Parked {
    pb::Parked {
        inode: parked.inode,
        path: parked.path.map(Bytes::from),
        reason: parked.reason,
    }
}

fn parked_from(parked: pb::Parked) -> ParkedView {
    ParkedView {
        inode: parked.inode,
        path: parked.path.map(Vec::from),
        reason: parked.reason,
    }
}

fn journal_to(journal: JournalView) -> pb::JournalStatus {
    pb::JournalStatus {
        bytes: journal.bytes,
        head_entries: journal.head_entries,
        budget_bytes: journal.budget_bytes,
        last_failure: journal.last_failure,
        pinned_bytes: journal.pinned_bytes,
    }
}

fn journal_from(journal: pb::JournalStatus) -> JournalView {
    JournalView {
        bytes: journal.bytes,
        budget_bytes: journal.budget_bytes,
        head_entries: journal.head_entries,
        last_failure: journal.last_failure,
        pinned_bytes: journal.pinned_bytes,
    }
}

fn tree_to(tree: TreeView) -> pb::TreeStatus {
    pb::TreeStatus {
        root: tree.root.into(),
        watch: watch_to(tree.watch),
        last_scan_us: tree.last_scan_us,
        parked: tree.parked,
        fetching: tree.fetching,
        overtaken: tree.overtaken,
        busy: tree.busy,
        blocked: tree.blocked,
        blocked_reason: tree.blocked_reason,
        watch_reason: tree.watch_reason,
        brake: tree.brake,
        diverged: tree.diverged,
        left_alone: tree.left_alone,
        left_alone_first: tree.left_alone_first.map(Bytes::from),
        unnoticed_us: tree.unnoticed_us,
        looking_us: tree.looking_us,
    }
}

fn tree_from(tree: pb::TreeStatus) -> TreeView {
    TreeView {
        root: tree.root.into(),
        watch: watch_from(tree.watch),
        last_scan_us: tree.last_scan_us,
        parked: tree.parked,
        fetching: tree.fetching,
        overtaken: tree.overtaken,
        busy: tree.busy,
        blocked: tree.blocked,
        blocked_reason: tree.blocked_reason,
        watch_reason: tree.watch_reason,
        brake: tree.brake,
        diverged: tree.diverged,
        left_alone: tree.left_alone,
        left_alone_first: tree.left_alone_first.map(Vec::from),
        unnoticed_us: tree.unnoticed_us,
        looking_us: tree.looking_us,
    }
}

pub(super) fn conflict_to(view: ConflictView) -> pb::Conflict {
    pb::Conflict {
        id: view.id,
        kind: view.kind,
        path: view.path.map(Bytes::from),
        inode: view.inode,
        register: view.register,
        winner: view.winner.map(version_to),
        loser: Some(version_to(view.loser)),
        gap_us: view.gap_us,
        detected_us: view.detected_us,
        lost_bytes: view.lost_bytes,
        superseded: view.superseded,
        gone: view.gone,
        ack: view.ack.map(ack_to),
    }
}

fn ack_to(ack: AckView) -> pb::Ack {
    pb::Ack {
        by: ack.by,
        note: ack.note,
        at_us: ack.at_us,
    }
}

fn ack_from(ack: pb::Ack) -> AckView {
    AckView {
        by: ack.by,
        note: ack.note,
        at_us: ack.at_us,
    }
}

pub(super) fn acked_to(views: Vec<AckedView>) -> pb::AckConflictsReply {
    let acked = views.into_iter().map(|view| pb::AckedConflict {
        id: view.id,
        changed: view.changed,
        ack: view.ack.map(ack_to),
    });
    pb::AckConflictsReply {
        acked: acked.collect(),
    }
}

pub(super) fn acked_from(reply: pb::AckConflictsReply) -> Vec<AckedView> {
    let acked = reply.acked.into_iter().map(|acked| AckedView {
        id: acked.id,
        changed: acked.changed,
        ack: acked.ack.map(ack_from),
    });
    acked.collect()
}

pub(super) fn filter_to(filter: ConflictFilter) -> pb::ConflictFilter {
    pb::ConflictFilter {
        open: filter.open,
        acked: filter.acked,
        lossy: filter.lossy,
        site: filter.site,
        path: filter.path,
        inode: filter.inode,
        since_us: filter.since_us,
    }
}

pub(super) fn filter_from(filter: pb::ConflictFilter) -> ConflictFilter {
    ConflictFilter {
        open: filter.open,
        acked: filter.acked,
        lossy: filter.lossy,
        site: filter.site,
        path: filter.path,
        inode: filter.inode,
        since_us: filter.since_us,
    }
}

/// The site that answers stands beside it.
pub(super) fn detail_to(site: String, view: ConflictDetail) -> pb::ShowConflictReply {
    pb::ShowConflictReply {
        site,
        conflict: Some(conflict_to(view.conflict)),
        lost: view.lost.map(value_to),
        shown: view.shown.map(value_to),
        shown_is_winner: view.shown_is_winner,
        bytes_at: bytes_at_to(view.bytes_at),
        why: view.why,
        skew_bound_us: view.skew_bound_us,
    }
}

pub(super) fn detail_from(reply: pb::ShowConflictReply) -> Result<(String, ConflictDetail)> {
    let conflict = conflict_from(reply.conflict.ok_or(Missing("conflict"))?)?;
    let detail = ConflictDetail {
        lost: reply.lost.map(value_from).transpose()?,
        shown: reply.shown.map(value_from).transpose()?,
        shown_is_winner: reply.shown_is_winner,
        bytes_at: bytes_at_from(reply.bytes_at),
        why: reply.why,
        skew_bound_us: reply.skew_bound_us,
        order_certain: order_certain(conflict.gap_us, reply.skew_bound_us),
        conflict,
        // Who asks for it makes it of the bytes of both.
        diff: None,
        no_diff: None,
    };
    Ok((reply.site, detail))
}

fn value_to(value: ValueView) -> pb::Value {
    pb::Value {
        size_bytes: value.size_bytes,
        root: value.root.map(|root| Bytes::copy_from_slice(&root)),
        mode: value.mode,
        uid: value.uid,
        gid: value.gid,
        mtime_us: value.mtime_us,
        flags: value.flags,
        xattr: value.xattr.map(Bytes::from),
        xattr_value: value.xattr_value.map(Bytes::from),
        path: value.path.map(Bytes::from),
        removed: value.removed,
    }
}

fn value_from(value: pb::Value) -> Result<ValueView> {
    let root = value.root.map(|root| root[..].try_into());
    Ok(ValueView {
        size_bytes: value.size_bytes,
        root: root.transpose().map_err(|_| Missing("root"))?,
        mode: value.mode,
        uid: value.uid,
        gid: value.gid,
        mtime_us: value.mtime_us,
        flags: value.flags,
        xattr: value.xattr.map(Vec::from),
        xattr_value: value.xattr_value.map(Vec::from),
        path: value.path.map(Vec::from),
        removed: value.removed,
    })
}

pub(super) fn conflict_from(conflict: pb::Conflict) -> Result<ConflictView> {
    Ok(ConflictView {
        id: conflict.id,
        kind: conflict.kind,
        path: conflict.path.map(Vec::from),
        inode: conflict.inode,
        register: conflict.register,
        winner: conflict.winner.map(version_from),
        loser: version_from(conflict.loser.ok_or(Missing("loser"))?),
        gap_us: conflict.gap_us,
        detected_us: conflict.detected_us,
        lost_bytes: conflict.lost_bytes,
        superseded: conflict.superseded,
        gone: conflict.gone,
        ack: conflict.ack.map(ack_from),
    })
}

fn version_to(version: VersionView) -> pb::Version {
    pb::Version {
        site: version.site,
        site_id: version.site_id,
        stream: version.stream,
        seq: version.seq,
        timestamp_us: version.timestamp_us,
    }
}

fn version_from(version: pb::Version) -> VersionView {
    VersionView {
        site: version.site,
        site_id: version.site_id,
        stream: version.stream,
        seq: version.seq,
        timestamp_us: version.timestamp_us,
    }
}

pub(super) fn restored_to(view: RestoredView) -> pb::RestoreConflictReply {
    pb::RestoreConflictReply {
        id: view.id,
        path: view.path.into(),
    }
}

pub(super) fn restored_from(reply: pb::RestoreConflictReply) -> RestoredView {
    RestoredView {
        id: reply.id,
        path: reply.path.into(),
    }
}

pub(super) fn resumed_to(view: ResumedView) -> pb::ResumeSiteReply {
    pb::ResumeSiteReply {
        site: view.site,
        changed: view.changed,
    }
}

pub(super) fn resumed_from(reply: pb::ResumeSiteReply) -> ResumedView {
    ResumedView {
        site: reply.site,
        changed: reply.changed,
    }
}

// Behind the macro that they use.
pub(super) mod invite;
mod watch;

#[cfg(test)]
mod previous;

#[cfg(test)]
mod tests {
    use super::super::view::tests::{conflict, detail, lag, status};
    use super::*;

    #[test]
    fn every_view_comes_back_as_it_was() {
        assert_eq!(status_from(status_to(status())), Ok(status()));
        assert_eq!(lags_from(lags_to(lag())), lag());
        assert_eq!(conflict_from(conflict_to(conflict())), Ok(conflict()));
        let site = "fra-1".to_owned();
        let there = detail_to(site.clone(), detail());
        assert_eq!(detail_from(there), Ok((site, detail())));
        let every = ValueView {
            size_bytes: Some(1),
            root: Some([2; 32]),
            mode: Some(3),
            uid: Some(4),
            gid: Some(5),
            mtime_us: Some(6),
            flags: Some(7),
            xattr: Some(vec![8]),
            xattr_value: Some(vec![9]),
            path: Some(vec![10]),
            removed: true,
        };
        assert_eq!(value_from(value_to(every.clone())), Ok(every));
        let filter = ConflictFilter {
            open: true,
            acked: true,
            lossy: true,
            site: Some("a".to_owned()),
            path: Some("b".to_owned()),
            inode: Some(1),
            since_us: Some(2),
        };
        assert_eq!(filter_from(filter_to(filter.clone())), filter);
    }

    #[test]
    fn every_word_comes_back_as_it_was() {
        for word in Verdict::ALL {
            assert_eq!(verdict_from(verdict_to(*word)), *word);
        }
        for word in SiteState::ALL {
            assert_eq!(state_from(state_to(*word)), *word);
        }
        for word in Watch::ALL {
            assert_eq!(watch_from(watch_to(*word)), *word);
        }
        for word in Severity::ALL {
            assert_eq!(severity_from(severity_to(*word)), *word);
        }
        for word in BytesAt::ALL {
            assert_eq!(bytes_at_from(bytes_at_to(*word)), *word);
        }
        for lag in [Lag::Unknown, Lag::Known(0), Lag::AtLeast(7)] {
            assert_eq!(lag_from(Some(lag_to(lag))), lag);
        }
    }

    #[test]
    fn a_word_on_the_wire_is_the_word_in_json() {
        for word in SiteState::ALL.iter().skip(1) {
            let number = pb::SiteState::try_from(state_to(*word)).unwrap();
            let name = number.as_str_name().to_lowercase();
            assert_eq!(name, format!("site_state_{word}"));
        }
        for word in Verdict::ALL.iter().skip(1) {
            let number = pb::Verdict::try_from(verdict_to(*word)).unwrap();
            assert_eq!(
                number.as_str_name().to_lowercase(),
                format!("verdict_{word}")
            );
        }
    }

    #[test]
    fn what_a_newer_daemon_says_is_unknown_and_what_lacks_is_an_error() {
        assert_eq!(verdict_from(99), Verdict::Unknown);
        assert_eq!(state_from(99), SiteState::Unknown);
        assert_eq!(severity_from(99), Severity::Warning);
        let newer = pb::Lag {
            state: 99,
            us: Some(1),
        };
        assert_eq!(lag_from(Some(newer)), Lag::Unknown);
        let mut reply = status_to(status());
        reply.tree = None;
        assert_eq!(status_from(reply), Err(Missing("tree")));
        let mut reply = conflict_to(conflict());
        reply.loser = None;
        assert_eq!(conflict_from(reply), Err(Missing("loser")));
        let short = pb::Value {
            root: Some(Bytes::from_static(b"short")),
            ..pb::Value::default()
        };
        assert_eq!(value_from(short), Err(Missing("root")));
    }
}
