//! `cfs-repl wait --for WHAT`: returns when it is so, for scripts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::exit::{CliError, CliResult, Exit, Failure};
use super::reach::{self, Reach};
use super::status::no_site;
use super::ui::Ui;
use super::{Global, human};
use crate::admin::client::Client;
use crate::admin::view::{Lag, LagView, SiteState, SiteView, StatusView};
use crate::clock::{Clock as _, SystemClock, micros};
use crate::config::units::parse_duration;
use crate::text::printable;

/// How often the daemon is asked.
const POLL: Duration = Duration::from_millis(200);
/// What a peer said last is at most so old: it says something every second.
const HEARTBEAT_US: u64 = 1_000_000;
/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Wait until something is so, at most for --timeout
///
/// synced: everything that was changed at this site or at a peer before the command began is applied at both.
///
/// A daemon that is not there yet is waited for. Exits with 7 when time runs out, and with 3 when there was no daemon
/// until then.
#[derive(Debug, clap::Args)]
pub(super) struct WaitArgs {
    /// What to wait for: connected, and not held, paused or fenced; synced; 'lag<5s': peers are less than that behind
    #[arg(long = "for", value_name = "WHAT")]
    goal: Goal,
    /// This peer alone; all, if not given
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Connected,
    Synced,
    LagBelow(Duration),
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "connected" => return Ok(Self::Connected),
            "synced" => return Ok(Self::Synced),
            _ => {}
        }
        match text.strip_prefix("lag<") {
            Some(limit) => parse_duration(limit.trim())
                .map(Self::LagBelow)
                .map_err(|error| error.to_string()),
            None => Err("wait for connected, synced, or a lag such as 'lag<5s'".to_owned()),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Synced => f.write_str("synced"),
            Self::LagBelow(limit) if limit.subsec_millis() == 0 => {
                write!(f, "lag<{}s", limit.as_secs())
            }
            Self::LagBelow(limit) => write!(f, "lag<{}ms", limit.as_millis()),
        }
    }
}

/// What the daemon says at one moment.
struct Answer {
    status: StatusView,
    lag: LagView,
    /// For how long it was waited when it was asked.
    waited_us: u64,
}

impl Answer {
    /// Whether it is so of a peer. What is not known is not so.
    fn holds(&self, goal: Goal, site: &SiteView) -> bool {
        match goal {
            Goal::Connected => match site.state {
                SiteState::CatchingUp
                | SiteState::Streaming
                | SiteState::Idle
                | SiteState::Stalled
                | SiteState::Parked => true,
                SiteState::Unknown
                | SiteState::NeverConnected
                | SiteState::Connecting
                | SiteState::Backoff
                | SiteState::Paused
                | SiteState::Held
                | SiteState::Fenced => false,
            },
            Goal::Synced => {
                let own = self.status.tree.unnoticed_us;
                // Whatever was changed here before is in the journal, so it counts as outstanding until it is applied.
                site.state == SiteState::Idle
                    && own.is_some_and(|age| age <= self.waited_us)
                    && self
                        .theirs_age_us(site)
                        .is_some_and(|age| age <= self.waited_us)
            }
            Goal::LagBelow(limit) => match site.lag {
                Lag::Known(us) => Duration::from_micros(us) < limit,
                Lag::AtLeast(_) | Lag::Unknown => false,
            },
        }
    }

    /// Age of the last moment up to which everything that was changed at a peer is applied here; none: not known.
    fn theirs_age_us(&self, site: &SiteView) -> Option<u64> {
        let row = self
            .lag
            .sites
            .iter()
            .find(|row| row.site_id == site.site_id)?;
        let Lag::Known(behind_us) = row.inbound.lag else {
            return None;
        };
        Some(site.unnoticed_us? + behind_us + HEARTBEAT_US)
    }

    /// The peers for which it is not so.
    fn missing(&self, args: &WaitArgs) -> Result<Vec<&SiteView>, CliError> {
        let sites = &self.status.sites;
        let names: Vec<&str> = sites.iter().map(|one| one.site.as_str()).collect();
        if let Some(site) = &args.site
            && !names.contains(&site.as_str())
        {
            return Err(no_site(site, &names).into());
        }
        let is_meant = |site: &&SiteView| args.site.as_ref().is_none_or(|name| *name == site.site);
        let meant = sites.iter().filter(is_meant);
        Ok(meant.filter(|site| !self.holds(args.goal, site)).collect())
    }
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &WaitArgs) -> CliResult {
    let began = SystemClock.monotonic();
    let until = began + global.timeout;
    loop {
        let waited = SystemClock.monotonic().saturating_sub(began);
        let left = global.timeout.saturating_sub(waited);
        let asking = Global {
            timeout: left.clamp(POLL, ANSWER_MAX),
            ..global.clone()
        };
        let ask =
            |client: Client| async move { Ok((client.status().await?, client.lag(false).await?)) };
        let is_late = left <= POLL;
        match reach::ask(&asking, &args.reach, ask) {
            Ok((status, lag)) => {
                let answer = Answer {
                    status,
                    lag,
                    waited_us: micros(waited),
                };
                let missing = answer.missing(args)?;
                if missing.is_empty() {
                    let took = micros(SystemClock.monotonic().saturating_sub(began));
                    ui.say(&format!("{} after {}", args.goal, human::duration(took)));
                    return Ok(());
                }
                if is_late {
                    return Err(timed_out(args.goal, &answer, &missing).into());
                }
            }
            Err(error) if !may_come(&error) => return Err(error),
            Err(error) if is_late => return Err(no_answer(error, global.timeout)),
            Err(_) => {}
        }
        std::thread::sleep(POLL.min(until.saturating_sub(SystemClock.monotonic())));
    }
}

/// The last attempt had less time than all of them together.
fn no_answer(error: CliError, waited: Duration) -> CliError {
    match error {
        CliError::Failed(mut failure) if failure.exit == Exit::TimedOut => {
            failure.causes = vec![format!("no answer for {} ms", waited.as_millis())];
            CliError::Failed(failure)
        }
        error @ (CliError::Failed(_) | CliError::Told(_) | CliError::OutputClosed) => error,
    }
}

/// A daemon that does not answer yet may do so later.
fn may_come(error: &CliError) -> bool {
    match error {
        CliError::Failed(failure) => matches!(failure.exit, Exit::Unreachable | Exit::TimedOut),
        CliError::Told(_) | CliError::OutputClosed => false,
    }
}

fn timed_out(goal: Goal, answer: &Answer, missing: &[&SiteView]) -> Failure {
    let failure = Failure::new(Exit::TimedOut, format!("not {goal} in time"));
    let own = answer.status.tree.unnoticed_us;
    let failure = match own.filter(|age| goal == Goal::Synced && *age > answer.waited_us) {
        Some(age) => failure.cause(format!(
            "changes that were made here in the last {} are not noticed yet",
            human::duration(age)
        )),
        None => failure,
    };
    let told = missing.iter().map(|site| {
        let behind = human::known(site.behind_entries, human::count);
        format!(
            "{} is {}, lag {}, {behind} entries behind",
            printable(&site.site),
            site.state,
            human::lag(site.lag)
        )
    });
    let failure = told.fold(failure, Failure::cause);
    failure.hint("cfs-repl status says why; --timeout waits longer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::{InboundLag, SiteLag};

    fn site(state: SiteState, lag: Lag) -> SiteView {
        SiteView {
            state,
            lag,
            ..SiteView::default()
        }
    }

    #[test]
    fn what_is_waited_for_is_read_and_told_alike() {
        for text in ["connected", "synced", "lag<5s", "lag<1500ms"] {
            assert_eq!(text.parse::<Goal>().unwrap().to_string(), text);
        }
        assert_eq!(
            "lag< 500ms".parse(),
            Ok(Goal::LagBelow(Duration::from_millis(500)))
        );
        for text in ["", "lag", "lag<", "lag<5", "lag>5s", "Synced"] {
            assert!(text.parse::<Goal>().is_err(), "{text}");
        }
    }

    /// The answer after `waited_us` of a daemon with one peer.
    fn answer(peer: SiteView, inbound: Lag, waited_us: u64) -> Answer {
        let row = SiteLag {
            inbound: InboundLag {
                lag: inbound,
                ..InboundLag::default()
            },
            ..SiteLag::default()
        };
        let mut status = StatusView {
            sites: vec![peer],
            ..StatusView::default()
        };
        status.tree.unnoticed_us = Some(700_000);
        Answer {
            status,
            lag: LagView {
                sites: vec![row],
                ..LagView::default()
            },
            waited_us,
        }
    }

    fn holds(goal: Goal, answer: &Answer) -> bool {
        answer.holds(goal, &answer.status.sites[0])
    }

    #[test]
    fn synced_means_that_what_was_changed_at_either_end_before_is_applied_at_both() {
        let peer = |state| SiteView {
            unnoticed_us: Some(400_000),
            ..site(state, Lag::Known(0))
        };
        for state in SiteState::ALL {
            let answer = answer(peer(*state), Lag::Known(0), 5_000_000);
            assert_eq!(
                holds(Goal::Synced, &answer),
                *state == SiteState::Idle,
                "{state}"
            );
        }
        let after = |inbound, waited_us| {
            holds(
                Goal::Synced,
                &answer(peer(SiteState::Idle), inbound, waited_us),
            )
        };
        assert!(!after(Lag::Known(0), 1_399_999) && after(Lag::Known(0), 1_400_000));
        assert!(!after(Lag::Known(1), 1_400_000) && !after(Lag::Unknown, 9_000_000));
        assert!(!after(Lag::AtLeast(0), 9_000_000));
        let mut late = answer(peer(SiteState::Idle), Lag::Known(0), 5_000_000);
        late.status.tree.unnoticed_us = Some(5_000_001);
        assert!(!holds(Goal::Synced, &late), "made here and not noticed");
        late.status.tree.unnoticed_us = None;
        assert!(!holds(Goal::Synced, &late));
    }

    #[test]
    fn a_lag_that_is_not_known_is_not_below_anything() {
        let below = Goal::LagBelow(Duration::from_micros(5));
        let is = |goal, state, lag| holds(goal, &answer(site(state, lag), Lag::Unknown, 0));
        assert!(is(below, SiteState::Streaming, Lag::Known(4)));
        for lag in [Lag::Known(5), Lag::AtLeast(0), Lag::Unknown] {
            assert!(!is(below, SiteState::Streaming, lag), "{lag:?}");
        }
        assert!(is(Goal::Connected, SiteState::Parked, Lag::Unknown));
        assert!(!is(Goal::Connected, SiteState::Backoff, Lag::Known(0)));
    }
}
