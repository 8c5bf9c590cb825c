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
use crate::admin::view::{Lag, SiteState, SiteView, StatusView};
use crate::clock::{Clock as _, SystemClock};
use crate::config::units::parse_duration;
use crate::text::printable;

/// How often the daemon is asked.
const POLL: Duration = Duration::from_millis(200);
/// Changes that were made longer ago than this are noticed, or there is nothing to be said of "synced".
const UNNOTICED_MAX_US: u64 = 10_000_000;
/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Wait until something is so, at most for --timeout
///
/// A daemon that is not there yet is waited for. What was changed in a tree within the last seconds may not have been
/// noticed yet.
///
/// Exits with 7 when time runs out, and with 3 when no daemon answered until then.
#[derive(Debug, clap::Args)]
pub(super) struct WaitArgs {
    /// What to wait for: connected, and not held, paused or fenced; synced: nothing is outstanding in either direction; 'lag<5s': peers are less than
    /// that behind
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

impl Goal {
    /// Whether it is so. What is not known is not so.
    fn holds(self, site: &SiteView) -> bool {
        match self {
            Self::Connected => match site.state {
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
            Self::Synced => {
                site.state == SiteState::Idle
                    && site.unnoticed_us.is_some_and(|us| us <= UNNOTICED_MAX_US)
            }
            Self::LagBelow(limit) => match site.lag {
                Lag::Known(us) => Duration::from_micros(us) < limit,
                Lag::AtLeast(_) | Lag::Unknown => false,
            },
        }
    }
}

pub(super) fn run(ui: &mut Ui, global: &Global, args: &WaitArgs) -> CliResult {
    let began = SystemClock.monotonic();
    let until = began + global.timeout;
    loop {
        let left = until.saturating_sub(SystemClock.monotonic());
        let asking = Global {
            timeout: left.clamp(POLL, ANSWER_MAX),
            ..global.clone()
        };
        let ask = |client: Client| async move { client.status().await };
        let asked = reach::ask(&asking, &args.reach, ask);
        let is_late = left <= POLL;
        match asked {
            Ok(status) => {
                let missing = missing(&status, args)?;
                if missing.is_empty() {
                    let took = SystemClock.monotonic().saturating_sub(began);
                    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                    ui.say(&format!("{} after {}", args.goal, human::duration(us)));
                    return Ok(());
                }
                if is_late {
                    return Err(timed_out(args.goal, &missing).into());
                }
            }
            Err(error) if is_late || !may_come(&error) => return Err(error),
            Err(_) => {}
        }
        std::thread::sleep(POLL.min(left));
    }
}

/// The peers for which it is not so.
fn missing<'a>(status: &'a StatusView, args: &WaitArgs) -> Result<Vec<&'a SiteView>, CliError> {
    let names: Vec<&str> = status.sites.iter().map(|one| one.site.as_str()).collect();
    if let Some(site) = &args.site
        && !names.contains(&site.as_str())
    {
        return Err(no_site(site, &names).into());
    }
    let is_meant = |site: &&SiteView| args.site.as_ref().is_none_or(|name| *name == site.site);
    let meant = status.sites.iter().filter(is_meant);
    let noticed = status
        .tree
        .unnoticed_us
        .is_some_and(|us| us <= UNNOTICED_MAX_US);
    let is_late = args.goal == Goal::Synced && !noticed;
    Ok(meant
        .filter(|site| is_late || !args.goal.holds(site))
        .collect())
}

/// A daemon that does not answer yet may do so later.
fn may_come(error: &CliError) -> bool {
    match error {
        CliError::Failed(failure) => matches!(failure.exit, Exit::Unreachable | Exit::TimedOut),
        CliError::Told(_) | CliError::OutputClosed => false,
    }
}

fn timed_out(goal: Goal, missing: &[&SiteView]) -> Failure {
    let failure = Failure::new(Exit::TimedOut, format!("not {goal} in time"));
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

    #[test]
    fn synced_is_idle_alone_and_what_is_not_known_is_not_so() {
        for state in SiteState::ALL {
            let mut site = site(*state, Lag::Known(0));
            assert!(
                !Goal::Synced.holds(&site),
                "what was noticed there is not known"
            );
            site.unnoticed_us = Some(UNNOTICED_MAX_US);
            assert_eq!(
                Goal::Synced.holds(&site),
                *state == SiteState::Idle,
                "{state}"
            );
            site.unnoticed_us = Some(UNNOTICED_MAX_US + 1);
            assert!(!Goal::Synced.holds(&site), "{state}");
        }
        let below = Goal::LagBelow(Duration::from_micros(5));
        let holds = |lag| below.holds(&site(SiteState::Streaming, lag));
        assert!(holds(Lag::Known(4)));
        assert!(!holds(Lag::Known(5)) && !holds(Lag::AtLeast(0)) && !holds(Lag::Unknown));
        assert!(Goal::Connected.holds(&site(SiteState::Parked, Lag::Unknown)));
        assert!(!Goal::Connected.holds(&site(SiteState::Backoff, Lag::Known(0))));
    }
}
