//! Pure: what the box on top says, and quantities as the dashboard tells them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::message::Player;
use super::super::model::{Data, Model, Screen};
use super::super::theme::{Tone, of_severity, of_state, of_verdict};
use crate::admin::view::{Cause, Lag, SiteLag, SiteState, SiteView, StatusView, Verdict, plural};
use crate::clock::TimestampUs;
use crate::text::{bytes, count, duration};

/// What stands where something is not known.
pub(super) const UNKNOWN: &str = "?";

/// The box on top.
pub(super) struct Told {
    pub(super) tone: Tone,
    /// The whole in one word.
    pub(super) word: String,
    /// The whole in one line.
    pub(super) what: String,
    /// Since when, behind it, in full and in short: what is told is cut before that is.
    pub(super) since: [String; 2],
    /// What stands at the right, where there is room.
    pub(super) right: String,
    /// The same in short.
    pub(super) short: String,
    /// What of it matters most.
    pub(super) least: String,
    pub(super) cause: String,
    pub(super) next: String,
    /// What stands in front of the second and the third line.
    pub(super) heads: [&'static str; 2],
}

impl Default for Told {
    fn default() -> Self {
        Self {
            tone: Tone::Dim,
            word: String::new(),
            what: String::new(),
            since: <[String; 2]>::default(),
            right: String::new(),
            short: String::new(),
            least: String::new(),
            cause: String::new(),
            next: String::new(),
            heads: ["cause", "next"],
        }
    }
}

/// A value, or a question mark.
pub(super) fn known<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), show)
}

/// A lag; of what is old, that it is at least so much, and grows.
pub(super) fn lag(lag: Lag, is_stale: bool, age_us: u64) -> String {
    match (lag, is_stale) {
        (Lag::Unknown, _) => UNKNOWN.to_owned(),
        (Lag::Known(us), false) => duration(us),
        (Lag::AtLeast(us), false) => format!("≥{}", duration(us)),
        // What was outstanding may have arrived since; but nobody can say so.
        (Lag::Known(0), true) => "≥0.0s".to_owned(),
        (Lag::Known(us) | Lag::AtLeast(us), true) => {
            format!("≥{}", duration(us.saturating_add(age_us)))
        }
    }
}

/// A lag as it is told now.
pub(super) fn lag_of(data: &Data, told: Lag) -> String {
    lag(told, data.is_stale(), data.age_us().unwrap_or(0))
}

/// `17:57:03Z`, or the same in a zone.
pub(super) fn time_of_day(us: TimestampUs, zone: Option<&TimeZone>) -> String {
    let at = i64::try_from(us)
        .ok()
        .and_then(|us| Timestamp::from_microsecond(us).ok());
    let Some(at) = at else {
        return UNKNOWN.to_owned();
    };
    match zone {
        Some(zone) => at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string(),
        None => at.to_zoned(TimeZone::UTC).strftime("%H:%M:%SZ").to_string(),
    }
}

/// The same with the day, where it is another one.
pub(super) fn moment(us: TimestampUs, now_us: TimestampUs, zone: Option<&TimeZone>) -> String {
    if now_us.abs_diff(us) < 86_400_000_000 {
        return time_of_day(us, zone);
    }
    let at = i64::try_from(us)
        .ok()
        .and_then(|us| Timestamp::from_microsecond(us).ok());
    let Some(at) = at else {
        return UNKNOWN.to_owned();
    };
    let zone = zone.cloned().unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%m-%d %H:%M").to_string()
}

/// A state in capitals: `CATCHING UP`.
pub(super) fn state(state: SiteState) -> String {
    state.word().replace('_', " ").to_uppercase()
}

/// Many gaps are far below a second.
pub(super) fn gap(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..1_000_000 => format!("{}ms", us / 1_000),
        1_000_000.. => duration(us),
    }
}

/// Where a replay is.
pub(super) fn player(player: &Player) -> String {
    let at = |us: u64| {
        let seconds = us / 1_000_000;
        format!("{:02}:{:02}", seconds / 60, seconds % 60)
    };
    let mark = match (
        player.winding,
        player.at_us >= player.length_us,
        player.paused,
    ) {
        (true, _, _) => "»",
        (false, true, _) => "■",
        (false, false, true) => "‖",
        (false, false, false) => "▶",
    };
    let speed = if player.speed_percent.is_multiple_of(100) {
        format!("{}×", player.speed_percent / 100)
    } else {
        format!(
            "{}.{:02}×",
            player.speed_percent / 100,
            player.speed_percent % 100
        )
    };
    format!(
        "REPLAY {mark} {} of {} {speed}",
        at(player.at_us),
        at(player.length_us)
    )
}

/// What the box on top says.
pub(super) fn verdict(model: &Model, data: &Data) -> Told {
    if let Some(told) = no_data(data) {
        return told;
    }
    let Some(look) = data.look.as_deref() else {
        return Told {
            tone: Tone::Dim,
            word: "CONNECTING".to_owned(),
            what: if data.address.is_empty() {
                "the record has told nothing yet".to_owned()
            } else {
                format!("asking the daemon at {}", data.address)
            },
            ..Told::default()
        };
    };
    let status = &look.status;
    match model.choice.screen {
        Screen::Overview | Screen::Events => whole(data, status),
        Screen::Site => of_site(model, data).unwrap_or_else(|| whole(data, status)),
        Screen::Shards => shards(model, data).unwrap_or_else(|| whole(data, status)),
        Screen::Conflicts => conflicts(data, status),
        Screen::Journal => journal(data, status),
    }
}

fn no_data(data: &Data) -> Option<Told> {
    let now_us = data.now.mono_us;
    if let Some((lost, since_us, told_us)) = data.loss() {
        let passed = now_us.saturating_sub(told_us);
        let retry = duration(lost.retry_us.saturating_sub(passed));
        let failed = &lost.failed;
        let why = failed
            .causes
            .last()
            .map_or(String::new(), |cause| format!(": {cause}"));
        let hint = failed.hint.clone().unwrap_or_default();
        let age = duration(now_us.saturating_sub(since_us));
        let what = if data.look.is_some() {
            format!("daemon lost {age} ago; replication may go on; all below is old")
        } else if failed.denied {
            "the daemon does not let this user look".to_owned()
        } else {
            "there is no daemon to ask".to_owned()
        };
        return Some(Told {
            tone: Tone::Bad,
            word: "NO DATA".to_owned(),
            what,
            cause: format!("{}{why}", failed.message),
            next: format!("try {} in {retry}, r: now   · {hint}", lost.attempt + 1),
            ..Told::default()
        });
    }
    if let Some((text, next)) = &data.unreadable {
        return Some(Told {
            tone: Tone::Bad,
            word: "NO DATA".to_owned(),
            what: "the daemon answers, but cannot tell how it is".to_owned(),
            cause: text.clone(),
            next: next.clone(),
            ..Told::default()
        });
    }
    if data.is_stale() {
        let age = duration(data.age_us().unwrap_or(0));
        return Some(Told {
            tone: Tone::Bad,
            word: "STALE".to_owned(),
            what: format!("the daemon has said nothing for {age}; nothing below is current"),
            cause: "it is busy, stopped by a debugger or a signal, or its machine hangs".to_owned(),
            next: "systemctl status cfs-repl".to_owned(),
            ..Told::default()
        });
    }
    None
}

/// The worst cause of all, or of one site, and how many more there are.
fn worst<'a>(status: &'a StatusView, site: Option<&str>) -> (Option<&'a Cause>, usize) {
    let mut causes = status
        .causes
        .iter()
        .filter(|cause| site.is_none() || cause.site.as_deref() == site);
    (causes.next(), causes.count())
}

fn cause_line(cause: Option<&Cause>, more: usize) -> String {
    let Some(cause) = cause else {
        return String::new();
    };
    let site = cause.site.as_deref().unwrap_or("here");
    let more = match more {
        0 => String::new(),
        more => format!("   (+{more} more: 5, or cfs-repl status)"),
    };
    format!("{site}: {}{more}", cause.text)
}

/// Time until a site is dialled again.
pub(super) fn next_try(site: &SiteView, now_us: TimestampUs) -> Option<u64> {
    let next_us = site.contact.as_ref()?.next_us?;
    Some(next_us.saturating_sub(now_us))
}

/// When a site went away: as the daemon says, or as far as the events tell.
pub(super) fn down_since(data: &Data, site: &str) -> Option<TimestampUs> {
    let contact = data.site(site).and_then(|site| {
        let is_away = matches!(
            site.state,
            SiteState::Backoff | SiteState::Connecting | SiteState::NeverConnected
        );
        site.contact.as_ref().filter(|_| is_away)?.since_us
    });
    if contact.is_some() {
        return contact;
    }
    let of_site = |name: &str| name.starts_with("site.");
    let mut events = data.events.iter().rev();
    let last = events.find(|event| event.site.as_deref() == Some(site) && of_site(&event.name))?;
    (last.name != "site.up" && last.name != "site.resumed").then_some(last.at_us)
}

/// What would be lost, and what nobody has looked at: in full, in short, and what matters most.
fn at_risk(status: &StatusView) -> [String; 3] {
    let (risk, open) = (&status.at_risk, count(status.conflicts.open));
    if risk.entries == 0 {
        let right = format!("nothing at risk   open conflicts {open}");
        return [right, format!("conflicts {open}"), String::new()];
    }
    let least = format!("at risk {}", lag(risk.lag, false, 0));
    let right = format!(
        "{least} · {} entries · {}   open conflicts {open}",
        count(risk.entries),
        known(risk.journal_bytes, bytes)
    );
    [right, format!("{least}   conflicts {open}"), least]
}

fn whole(data: &Data, status: &StatusView) -> Told {
    let (cause, more) = worst(status, None);
    let open = status.conflicts.open;
    let [right, short, least] = at_risk(status);
    let since = cause
        .and_then(|cause| cause.site.as_deref())
        .and_then(|site| down_since(data, site));
    let since = since.map_or_else(<[String; 2]>::default, |us| {
        let age = duration(data.now.wall_us.saturating_sub(us));
        let full = format!("   since {} ({age})", time_of_day(us, None));
        [full, format!("   for {age}")]
    });
    let mut tone = of_verdict(status.verdict);
    if let Some(cause) = cause
        && of_severity(cause.severity) == Tone::Bad
    {
        tone = Tone::Bad;
    }
    if tone == Tone::Good && open > 0 {
        tone = Tone::Attention;
    }
    let next = match (cause, status.sites.is_empty(), status.verdict) {
        (Some(cause), _, _) => cause.next.clone(),
        (None, true, _) => {
            "cfs-repl peer invite   makes an invitation for a second machine".to_owned()
        }
        (None, false, Verdict::Ok) if open > 0 => {
            "4: look at the conflicts, or cfs-repl conflicts list".to_owned()
        }
        (None, false, Verdict::Ok) => "nothing to do".to_owned(),
        (None, false, Verdict::CatchingUp) => {
            "nothing to do but to wait: cfs-repl wait --for synced".to_owned()
        }
        (None, false, Verdict::Unknown | Verdict::Degraded | Verdict::Stalled | Verdict::Down) => {
            String::new()
        }
    };
    let cause = match (cause, status.sites.is_empty()) {
        (None, true) => "no other site is known: nothing is replicated yet".to_owned(),
        (cause, _) => cause_line(cause, more),
    };
    Told {
        tone,
        word: status.verdict.word().replace('_', " ").to_uppercase(),
        what: status.summary.clone(),
        since,
        right,
        short,
        least,
        cause,
        next,
        ..Told::default()
    }
}

fn of_site(model: &Model, data: &Data) -> Option<Told> {
    let site = model.selected_site()?;
    let look = data.look.as_deref()?;
    let (cause, more) = worst(&look.status, Some(&site.site));
    let since = down_since(data, &site.site).map_or_else(String::new, |us| {
        format!("   for {}", duration(data.now.wall_us.saturating_sub(us)))
    });
    let behind = format!(
        "behind {} / {} / {}",
        known(site.behind_entries, count),
        known(site.behind_bytes, bytes),
        lag(site.lag, false, 0)
    );
    Some(Told {
        tone: match cause {
            Some(cause) => of_severity(cause.severity),
            None => of_state(site.state),
        },
        word: site.site.clone(),
        what: format!("{}{since}", state(site.state)),
        right: behind,
        cause: match (cause, &site.last_error) {
            (Some(_), _) => cause_line(cause, more),
            (None, Some(error)) => format!("last error: {error}"),
            (None, None) => String::new(),
        },
        next: cause.map_or_else(String::new, |cause| cause.next.clone()),
        short: format!("behind {}", lag(site.lag, false, 0)),
        ..Told::default()
    })
}

fn shards(model: &Model, data: &Data) -> Option<Told> {
    let look = data.look.as_deref()?;
    let many = |site: &SiteLag| super::shards::behind(site).count();
    let mut behind: Vec<(usize, &str)> = (look.lag.sites.iter())
        .map(|site| (many(site), site.site.as_str()))
        .filter(|(many, _)| *many > 0)
        .collect();
    behind.sort_unstable_by(|a, b| b.cmp(a));
    let mut behind: Vec<String> = (behind.iter())
        .map(|(many, site)| format!("{site} {many}"))
        .collect();
    let control = look
        .lag
        .sites
        .iter()
        .filter(|site| super::shards::control(site));
    behind.extend(control.map(|site| format!("{} ctrl", site.site)));
    Some(Told {
        tone: if behind.is_empty() {
            Tone::Good
        } else {
            Tone::Attention
        },
        word: format!(
            "256 shards × {}",
            plural(look.lag.sites.len() as u64, "peer")
        ),
        what: if behind.is_empty() {
            "none is behind".to_owned()
        } else {
            format!("shards behind: {}", behind.join(", "))
        },
        cause: format!(
            "a cell is a shard (row: high digit, column: low): {}",
            model.choice.metric.title()
        ),
        next: super::shards::legend(model.choice.metric),
        heads: ["read", "legend"],
        ..Told::default()
    })
}

fn conflicts(data: &Data, status: &StatusView) -> Told {
    let tally = &data.inbox.tally;
    let counts = status.conflicts;
    let what = if counts.open == 0 {
        format!("{} on record, none open", count(counts.total))
    } else if data.inbox.list.is_some() {
        format!(
            "{} lost content, {} attributes or names   of {} on record",
            count(tally.lossy),
            count(tally.open - tally.lossy),
            count(counts.total)
        )
    } else {
        "the list is on its way".to_owned()
    };
    Told {
        tone: if counts.open == 0 {
            Tone::Good
        } else {
            Tone::Attention
        },
        word: format!("{} open", count(counts.open)),
        what,
        cause: "the later stamp wins, equal ones by site; what lost is kept and can come back"
            .to_owned(),
        next: if counts.open == 0 {
            "nothing to do".to_owned()
        } else {
            "open each ✱ row; R puts the loser back if it was the wanted one; then a acknowledges"
                .to_owned()
        },
        heads: ["rule", "next"],
        ..Told::default()
    }
}

fn journal(data: &Data, status: &StatusView) -> Told {
    let journal = &status.journal;
    let share = journal
        .budget_bytes
        .map(|budget| percent(journal.bytes, budget));
    let tone = match (share, &journal.last_failure) {
        (_, Some(_)) => Tone::Bad,
        (Some(share), None) if share >= 90 => Tone::Bad,
        (Some(share), None) if share >= 70 => Tone::Attention,
        (Some(_) | None, None) => Tone::Good,
    };
    let of = journal
        .budget_bytes
        .map_or_else(String::new, |budget| format!(" of {}", bytes(budget)));
    let full = super::journal::full_in(data).map_or_else(String::new, |us| {
        format!("   full in {} at this rate", duration(us))
    });
    let pins = super::journal::pinned_by(data);
    let cause = match (&journal.last_failure, pins) {
        (Some(failure), _) => failure.clone(),
        (None, Some((site, size))) => format!("for {site}: {}", known(size, bytes)),
        (None, None) => "nothing for a site that lacks it".to_owned(),
    };
    Told {
        tone,
        word: "JOURNAL".to_owned(),
        what: format!("{}{of}{full}", bytes(journal.bytes)),
        right: format!("{} entries written", count(journal.head_entries)),
        cause,
        next: match share {
            Some(share) if share >= 70 => {
                "when it is full, the site for which most is kept is fenced: bring it back, or raise state.journal_budget".to_owned()
            }
            Some(_) | None => String::new(),
        },
        heads: ["kept", "next"],
        ..Told::default()
    }
}

/// What it means that so much of a budget is used.
pub(super) fn fullness((part, whole): (u64, u64)) -> Tone {
    match percent(part, whole) {
        0..70 => Tone::Good,
        70..90 => Tone::Attention,
        90.. => Tone::Bad,
    }
}

/// A part of a whole, in percent.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_a_lower_bound_that_grows_and_what_is_unknown_stays_so() {
        assert_eq!(lag(Lag::Known(2_000_000), false, 9), "2.0s");
        assert_eq!(lag(Lag::Known(2_000_000), true, 14_000_000), "≥16.0s");
        assert_eq!(lag(Lag::Unknown, true, 14_000_000), "?");
    }
}
