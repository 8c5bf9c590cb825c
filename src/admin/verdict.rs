//! Pure: what the numbers mean: the state of a peer, and one word, its causes and the next step for the whole.
//!
//! Decided in the daemon, so that command line, dashboard and metrics agree. The rule behind all rules: what is not
//! known is never taken for good, and what stands still with work before it is never called idle.

use super::view::{
    Cause, ConflictCounts, JournalView, Severity, SiteState, SiteView, TreeView, Verdict, Watch,
    plural,
};

/// A connected peer that is further behind than this catches up; below it, it streams. Twice the longest time that a
/// change rests before it is read (`tree.settle_max`, 5 s), so that settling alone never looks like a backlog.
pub const STREAMING_LAG_MAX_US: u64 = 10_000_000;
/// Nothing moved for so long although something is outstanding: stalled. Longer than the retry of a hold and than the
/// largest batch takes on a slow disk.
pub const STALL_US: u64 = 30_000_000;
/// A connected peer that said nothing for so long is not known any more: five heartbeats are missing.
pub const SILENT_US: u64 = 5_000_000;
/// Clocks further apart than this let the slower site's changes lose, visibly to people.
pub const SKEW_MAX_US: u64 = 5_000_000;
/// What was changed longer ago than this and is not in the journal is worth a look: twice the time between two looks at
/// a tree that has to be scanned.
pub const UNNOTICED_US: u64 = 60_000_000;
/// The journal is worth a look from this share of its budget on, in percent.
pub const JOURNAL_WARN_PERCENT: u64 = 80;

/// Where the connection to a peer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Connection {
    /// An attempt is under way.
    Connecting,
    /// The next attempt waits, or the peer has to dial.
    Waiting,
    /// Hellos were exchanged.
    Connected,
}

/// What the daemon knows of a peer, from which its state follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteFacts {
    /// The connection.
    pub connection: Connection,
    /// A connection stood at least once since the daemon started.
    pub was_connected: bool,
    /// It stayed away longer than the journal lasts.
    pub fenced: bool,
    /// The brake holds what comes from it.
    pub held: bool,
    /// Its brake holds what comes from this site.
    pub held_there: bool,
    /// An operator stopped the exchange.
    pub paused: bool,
    /// Entries that it has not applied; none: not known.
    pub behind_entries: Option<u64>,
    /// Entries received from it and not applied here; none: not known.
    pub waiting_entries: Option<u64>,
    /// How far it is behind, if that is known, or at least.
    pub lag_us: Option<u64>,
    /// Time since a receipt or an apply last moved anything, or since something came to be outstanding, whichever is
    /// the shorter; none: not known.
    pub quiet_us: Option<u64>,
    /// Time since it said anything; none: not known.
    pub silent_us: Option<u64>,
    /// It is looking at its whole tree.
    pub looks_there: bool,
    /// This site is.
    pub looks_here: bool,
    /// Changes of it that cannot be applied here, and changes from here that it cannot apply.
    pub parked: u64,
}

/// The state of a peer.
#[must_use]
pub fn state_of(facts: &SiteFacts) -> SiteState {
    if facts.fenced {
        return SiteState::Fenced;
    }
    if facts.held {
        return SiteState::Held;
    }
    if facts.paused {
        return SiteState::Paused;
    }
    match facts.connection {
        Connection::Connecting => SiteState::Connecting,
        Connection::Waiting if facts.was_connected => SiteState::Backoff,
        Connection::Waiting => SiteState::NeverConnected,
        Connection::Connected => state_connected(facts),
    }
}

fn state_connected(facts: &SiteFacts) -> SiteState {
    if facts.held_there {
        return SiteState::Held;
    }
    // What it said last may not hold any more: that it is idle, least of all.
    if facts.silent_us.is_some_and(|silent| silent >= SILENT_US) {
        return SiteState::Unknown;
    }
    let (Some(behind), Some(waiting)) = (facts.behind_entries, facts.waiting_entries) else {
        return SiteState::Unknown;
    };
    if behind == 0 && waiting == 0 {
        return if facts.parked > 0 {
            SiteState::Parked
        } else {
            SiteState::Idle
        };
    }
    let is_quiet = facts.quiet_us.is_some_and(|quiet| quiet >= STALL_US);
    // Whoever looks at a whole tree applies nothing meanwhile.
    let is_looking = (behind == 0 || facts.looks_there) && (waiting == 0 || facts.looks_here);
    if is_quiet && is_looking {
        return SiteState::CatchingUp;
    }
    if is_quiet {
        return SiteState::Stalled;
    }
    if facts.lag_us.is_none_or(|lag| lag > STREAMING_LAG_MAX_US) {
        return SiteState::CatchingUp;
    }
    SiteState::Streaming
}

/// A verdict with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The whole in one word.
    pub verdict: Verdict,
    /// The whole in one line.
    pub summary: String,
    /// Why it is not better, worst first; equal ones in the order of the sites, this site last.
    pub causes: Vec<Cause>,
}

impl Judgement {
    /// Takes in causes that do not follow from numbers.
    pub fn add(&mut self, causes: Vec<Cause>) {
        if causes.is_empty() {
            return;
        }
        self.causes.extend(causes);
        self.causes
            .sort_by_key(|cause| std::cmp::Reverse(cause.severity));
        if matches!(self.verdict, Verdict::Ok | Verdict::CatchingUp) {
            self.verdict = Verdict::Degraded;
        }
    }
}

/// Judges the whole, at the site with the name `here`. Open conflicts are told in the summary and do not spoil the
/// verdict: they are a normal outcome of concurrent work, and nothing waits for them.
#[must_use]
pub fn judge(
    here: &str,
    sites: &[SiteView],
    tree: &TreeView,
    journal: &JournalView,
    conflicts: &ConflictCounts,
) -> Judgement {
    let mut causes: Vec<Cause> = sites
        .iter()
        .flat_map(|site| causes_of_site(here, site))
        .collect();
    causes.extend(causes_here(sites, tree, journal));
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.severity));
    Judgement {
        verdict: verdict(sites, tree, &causes),
        summary: summary(sites, tree, conflicts),
        causes,
    }
}

fn verdict(sites: &[SiteView], tree: &TreeView, causes: &[Cause]) -> Verdict {
    if !sites.is_empty() && sites.iter().all(|site| is_unreached(site.state)) {
        return Verdict::Down;
    }
    if sites.iter().any(|site| site.state == SiteState::Stalled) {
        return Verdict::Stalled;
    }
    if !causes.is_empty() {
        return Verdict::Degraded;
    }
    let catching_up = sites.iter().any(|site| site.state == SiteState::CatchingUp);
    if catching_up || tree.last_scan_us.is_none() {
        return Verdict::CatchingUp;
    }
    Verdict::Ok
}

/// Nothing goes to the peer or comes from it, for want of a connection.
#[must_use]
pub const fn is_unreached(state: SiteState) -> bool {
    match state {
        SiteState::NeverConnected | SiteState::Connecting | SiteState::Backoff => true,
        SiteState::Unknown
        | SiteState::CatchingUp
        | SiteState::Streaming
        | SiteState::Idle
        | SiteState::Stalled
        | SiteState::Paused
        | SiteState::Held
        | SiteState::Parked
        | SiteState::Fenced => false,
    }
}

fn summary(sites: &[SiteView], tree: &TreeView, conflicts: &ConflictCounts) -> String {
    let all = sites.len();
    let count = |is: &dyn Fn(SiteState) -> bool| sites.iter().filter(|site| is(site.state)).count();
    let unreached = count(&is_unreached);
    let stalled = count(&|state| state == SiteState::Stalled);
    let catching_up = count(&|state| state == SiteState::CatchingUp);
    let stopped = count(&|state| {
        matches!(
            state,
            SiteState::Paused | SiteState::Held | SiteState::Fenced
        )
    });
    let unknown = count(&|state| state == SiteState::Unknown);
    let mut parts = Vec::new();
    let of_all = [
        (unreached, "not reached"),
        (stalled, "stalled"),
        (stopped, "stopped"),
        (catching_up, "catching up"),
        (unknown, "connected and not heard"),
    ];
    for (found, what) in of_all.into_iter().filter(|(found, _)| *found > 0) {
        parts.push(format!("{found} of {} {what}", peers(all)));
    }
    if all == 0 {
        parts.push("no peers are configured".to_owned());
    } else if parts.is_empty() {
        let idle = count(&|state| state == SiteState::Idle);
        let how = if idle == all { "in step" } else { "connected" };
        parts.push(format!("{} {how}", peers(all)));
    }
    if tree.last_scan_us.is_none() {
        parts.push("first scan under way".to_owned());
    }
    if tree.parked > 0 {
        parts.push(format!("{} parked", tree.parked));
    }
    if tree.overtaken > 0 {
        parts.push(format!("{} waiting for a newer version", tree.overtaken));
    }
    if conflicts.open > 0 {
        parts.push(format!("{} unacknowledged", conflicts_text(conflicts.open)));
    }
    parts.join(" · ")
}

fn peers(count: usize) -> String {
    plural(count as u64, "peer")
}

fn conflicts_text(count: u64) -> String {
    plural(count, "conflict")
}

fn causes_of_site(here: &str, site: &SiteView) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut push = |severity, text: String, next: String| {
        causes.push(Cause {
            site: Some(site.site.clone()),
            severity,
            text,
            next,
        });
    };
    if let Some((severity, text, next)) = cause_of_state(here, site) {
        push(severity, text, next);
    }
    if let Some(why) = &site.held_there {
        push(
            Severity::Critical,
            format!("its brake holds what comes from this site: {why}"),
            format!(
                "make sure that it is meant; what to type then is told by cfs-repl status at {}",
                site.site
            ),
        );
    }
    if let Some(entries) = site.parked_there_entries.filter(|entries| *entries > 0) {
        push(
            Severity::Warning,
            format!("it cannot apply {}", plural(entries, "change")),
            format!("which and why is told by cfs-repl status at {}", site.site),
        );
    }
    // Whoever looks at a whole tree for the first time, or again, is at work.
    if let Some(us) = site
        .unnoticed_us
        .filter(|us| *us > UNNOTICED_US && site.looking_us.is_none())
    {
        push(
            Severity::Warning,
            format!(
                "what was changed there in the last {} may not be known yet",
                minutes(us)
            ),
            format!("why is told by cfs-repl status at {}", site.site),
        );
    }
    if let Some(first) = site.parked.first() {
        let count = site.parked.len();
        let inodes = plural(count as u64, "inode");
        push(
            Severity::Warning,
            format!(
                "{inodes} cannot be applied here, the first because: {}",
                first.reason
            ),
            "correct what the reason says; cfs-repl tries again".to_owned(),
        );
    }
    if let Some(skew) = site
        .clock_skew_us
        .filter(|skew| skew.unsigned_abs() > SKEW_MAX_US + site.round_trip_us.unwrap_or(0) / 2)
    {
        let direction = if skew > 0 { "ahead of" } else { "behind" };
        let seconds = skew.unsigned_abs() / 1_000_000;
        push(
            Severity::Warning,
            format!("its clock is {seconds} s {direction} the clock here"),
            "check the time service of both sites: timedatectl status".to_owned(),
        );
    }
    causes
}

/// What is wrong about a state, if anything is, and what to do about it.
fn cause_of_state(here: &str, site: &SiteView) -> Option<(Severity, String, String)> {
    let name = &site.site;
    if is_unreached(site.state) && is_paused_there(site) {
        return Some((
            Severity::Critical,
            format!("paused at {name}"),
            format!("when it shall go on, there: cfs-repl sites resume {here}"),
        ));
    }
    let reason = site.last_error.as_ref();
    let because = |text: &str| match reason {
        Some(reason) => format!("{text}: {reason}"),
        None => text.to_owned(),
    };
    Some(match site.state {
        SiteState::CatchingUp | SiteState::Streaming | SiteState::Idle | SiteState::Parked => {
            return None;
        }
        SiteState::Unknown => match site.silent_us.filter(|us| *us >= SILENT_US) {
            Some(us) => (
                Severity::Warning,
                format!("connected, and silent for {} s", us / 1_000_000),
                format!("look at cfs-repl and at the machine at {}", site.site),
            ),
            None => (
                Severity::Warning,
                "nothing is known of it yet".to_owned(),
                "look again; if it stays so, look at the log of cfs-repl here".to_owned(),
            ),
        },
        SiteState::Connecting => (
            Severity::Warning,
            because("not connected yet"),
            "look again in some seconds".to_owned(),
        ),
        SiteState::NeverConnected => (
            Severity::Critical,
            because("never connected since cfs-repl started here"),
            next_connection(site),
        ),
        SiteState::Backoff => (
            Severity::Critical,
            because("not connected"),
            next_connection(site),
        ),
        SiteState::Stalled => stalled(site),
        SiteState::Paused => (
            Severity::Warning,
            "paused by an operator".to_owned(),
            format!("when it shall go on: cfs-repl sites resume {name}"),
        ),
        SiteState::Held if reason.is_none() && site.held_there.is_some() => return None,
        SiteState::Held => (
            Severity::Critical,
            because("the brake holds what comes from it"),
            format!("make sure that it is meant, then: cfs-repl sites resume {name} --confirm"),
        ),
        SiteState::Fenced => (
            Severity::Critical,
            because("it stayed away longer than the journal is kept for it"),
            format!("{name} takes part again only anew: cfs-repl help join"),
        ),
    })
}

/// An operator of the other site stopped the exchange: nothing is wrong with it or with the network.
fn is_paused_there(site: &SiteView) -> bool {
    let error = site.last_error.as_deref().unwrap_or_default();
    error.contains("closed by the peer, paused")
}

fn next_connection(site: &SiteView) -> String {
    let name = &site.site;
    let error = site.last_error.as_deref().unwrap_or_default();
    if error.contains("cfs-repl help join") {
        return "this does not pass by itself: cfs-repl help join".to_owned();
    }
    if error.contains("id and name must be equal") {
        return format!(
            "correct `id` and `name` of the peer here or at {name}, and start cfs-repl there again"
        );
    }
    if error.contains("does not admit this site") {
        return format!(
            "add this site as a [[peer]] to the configuration of {name}, or correct its name there"
        );
    }
    if error.contains("and we dialled") {
        return format!(
            "correct the name or the address of {name} in the configuration here, unless that site has a wrong \
             certificate"
        );
    }
    if error.contains("`tls.ca`") {
        return format!(
            "issue the certificates of both sites by one authority, and let `tls.ca` be the same file here and at \
             {name}; after new certificates: send SIGHUP to cfs-repl"
        );
    }
    if error.contains("certificate") {
        return format!(
            "replace the certificate that the error names, here or at {name}, and send SIGHUP to cfs-repl there"
        );
    }
    if site.endpoint.is_none() {
        return format!(
            "start cfs-repl at {name}, and check that its configuration has an endpoint of this site"
        );
    }
    format!("check cfs-repl at {name} and the network in between; this site keeps trying")
}

fn stalled(site: &SiteView) -> (Severity, String, String) {
    let behind = site.behind_entries.unwrap_or_default();
    let waiting = site.waiting_entries.unwrap_or_default();
    let (text, place) = if behind > 0 {
        let entries = entries(behind);
        (
            format!("connected, {entries} not applied there, and nothing moves"),
            format!("at {}", site.site),
        )
    } else {
        let entries = entries(waiting);
        (
            format!("{entries} from it not applied here, and nothing moves"),
            "here".to_owned(),
        )
    };
    (
        Severity::Critical,
        text,
        format!("look at the log of cfs-repl {place}: disk full, or the tree cannot be written?"),
    )
}

/// A time that is worth a look, rounded down.
fn minutes(us: u64) -> String {
    plural(us / 60_000_000, "minute")
}

fn entries(count: u64) -> String {
    if count == 1 {
        "1 entry".to_owned()
    } else {
        format!("{count} entries")
    }
}

/// What is wrong about the journal, told to `warn` with what to do.
fn causes_of_journal(journal: &JournalView, warn: &mut dyn FnMut(String, &str)) {
    if let Some(reason) = &journal.last_failure {
        warn(
            format!("the engine failed and was opened again from disk: {reason}"),
            "look at the disk of the state folder and at the log of cfs-repl",
        );
    }
    if let Some(budget) = journal.budget_bytes.filter(|budget| *budget > 0) {
        // What is kept although no peer needs it does not count: it goes before anyone is fenced.
        let bytes = journal.pinned_bytes.unwrap_or(journal.bytes);
        let percent = bytes.saturating_mul(100) / budget;
        if percent >= JOURNAL_WARN_PERCENT {
            warn(
                format!("the journal takes {percent} % of its budget for a peer that is behind"),
                "bring that peer back before it is fenced, or raise state.journal_budget",
            );
        }
    }
}

fn causes_here(sites: &[SiteView], tree: &TreeView, journal: &JournalView) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut warn = |text: String, next: &str| {
        causes.push(Cause {
            site: None,
            severity: Severity::Warning,
            text,
            next: next.to_owned(),
        });
    };
    causes_of_journal(journal, &mut warn);
    if let Some(us) = tree
        .unnoticed_us
        .filter(|us| *us > UNNOTICED_US && tree.looking_us.is_none())
    {
        warn(
            format!(
                "what was changed here in the last {} may not be in the journal yet",
                minutes(us)
            ),
            "see the other causes, files that programs keep writing, and the log of cfs-repl",
        );
    }
    let listed: usize = sites.iter().map(|site| site.parked.len()).sum();
    if tree.parked > listed as u64 {
        warn(
            format!("{} cannot be applied here", plural(tree.parked, "inode")),
            "correct what the log of cfs-repl names; it tries again",
        );
    }
    if tree.diverged > 0 {
        warn(
            format!(
                "{} here from what was replicated, and this site sends nothing",
                if tree.diverged == 1 {
                    "1 path differs".to_owned()
                } else {
                    format!("{} paths differ", tree.diverged)
                }
            ),
            "make such changes at the primary site",
        );
    }
    if tree.blocked > 0 {
        let reason = tree.blocked_reason.as_deref().unwrap_or("not told");
        warn(
            format!(
                "{} cannot be applied here yet, the first because: {reason}",
                plural(tree.blocked, "change")
            ),
            "make room, or look for a program that keeps changing the files; cfs-repl tries again",
        );
    }
    if tree.watch == Watch::Scanning {
        let why = tree.watch_reason.as_deref().unwrap_or("not told");
        warn(
            format!("changes are found by scanning, later: {why}"),
            "raise the limit, it is noticed by itself: sysctl fs.inotify.max_user_watches",
        );
    }
    causes
}

#[cfg(test)]
mod tests;
