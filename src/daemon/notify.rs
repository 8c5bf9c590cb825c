//! Tells the service manager how the daemon fares: up, reading again, stopping, and alive as long as the engine answers.
//!
//! Nothing is sent where `NOTIFY_SOCKET` does not ask for it. What the status line says comes over the admin socket,
//! as for every other face: a daemon that no operator can ask says so here, too. The watchdog hears of the engine
//! alone, for a journal that does not move is what a restart may mend.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::admin::client::{Address, Client};
use crate::admin::verdict::is_unreached;
use crate::admin::view::{Lag, SiteState, StatusView, plural};
use crate::sync::engine::Handle;
use crate::text::duration;

/// Where the service manager listens, if it does.
const SOCKET: &str = "NOTIFY_SOCKET";
/// The status line is at most that old.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// How long the daemon may take to answer itself.
const STATUS_MAX: Duration = Duration::from_secs(5);

/// Sends a message.
type Tell = Box<dyn Fn(&[NotifyState<'_>]) -> std::io::Result<()> + Send + Sync>;

/// The service manager that started this process, if one asks to be told.
pub struct ServiceManager {
    /// None: nobody asks.
    send: Option<Tell>,
    /// How often it wants to hear of progress; none: it does not.
    watchdog: Option<Duration>,
    /// That it cannot be told is logged once.
    failed: AtomicBool,
}

impl fmt::Debug for ServiceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceManager")
            .field("asks", &self.send.is_some())
            .field("watchdog", &self.watchdog)
            .finish_non_exhaustive()
    }
}

impl ServiceManager {
    /// The one that the environment names.
    #[must_use]
    pub fn from_environment() -> Self {
        let asks = std::env::var_os(SOCKET).is_some_and(|path| !path.is_empty());
        // A datagram on this machine, which the manager takes at once: not worth a thread of its own.
        let send: Tell = Box::new(sd_notify::notify);
        Self {
            send: asks.then_some(send),
            watchdog: sd_notify::watchdog_enabled().filter(|every| asks && !every.is_zero()),
            failed: AtomicBool::new(false),
        }
    }

    /// The daemon is up.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The daemon goes down; it has heard why.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// Runs `reload` between the words that it begins and that it is done.
    pub async fn reload(&self, reload: impl Future<Output = ()>) {
        if self.send.is_some() {
            // The time tells the manager which of several requests this answers; without it, it waits in vain.
            match NotifyState::monotonic_usec_now() {
                Ok(now) => self.tell(&[NotifyState::Reloading, now]),
                Err(error) => {
                    tracing::warn!(%error, "no monotonic clock, the reload is not announced");
                }
            }
        }
        reload.await;
        self.ready();
    }

    /// Feeds the watchdog and keeps the status line true, for as long as it is awaited.
    pub async fn attend(&self, engine: Handle, daemon: Address) {
        if self.send.is_none() {
            return std::future::pending().await;
        }
        let answers = || {
            let engine = engine.clone();
            async move { engine.ask(|_| Ok(())).await.is_ok() }
        };
        let status = || {
            let daemon = daemon.clone();
            async move {
                let client = Client::connect(daemon, STATUS_MAX).await.ok()?;
                client.status().await.ok()
            }
        };
        tokio::join!(self.feed(answers), self.tell_status(status));
    }

    /// Tells of progress whenever the engine `answers` within half of the time that the manager waits.
    async fn feed<F: Future<Output = bool>>(&self, answers: impl Fn() -> F) {
        let Some(patience) = self.watchdog else {
            return;
        };
        // A quarter from one question to the next and half for the answer: it is fed in time by a quarter.
        let mut every = interval(patience / 4);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if timeout(patience / 2, answers()).await == Ok(true) {
                self.tell(&[NotifyState::Watchdog]);
            } else {
                tracing::error!(
                    "the engine does not answer, the service manager will end this process"
                );
            }
        }
    }

    async fn tell_status<F: Future<Output = Option<StatusView>>>(&self, status: impl Fn() -> F) {
        let mut every = interval(STATUS_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = String::new();
        loop {
            every.tick().await;
            let told = match status().await {
                Some(status) => line(&status),
                None => "does not answer on its admin socket".to_owned(),
            };
            if told != last {
                self.tell(&[NotifyState::Status(&told)]);
                last = told;
            }
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(send) = &self.send else {
            return;
        };
        if let Err(error) = send(states)
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "the service manager cannot be told how the daemon fares");
        }
    }
}

/// A status in one line: `2 peers: 1 down, lag 2m14s`.
fn line(status: &StatusView) -> String {
    let sites = &status.sites;
    let peers = plural(sites.len() as u64, "peer");
    if sites.is_empty() {
        return peers;
    }
    let mut parts = Vec::new();
    for (word, is) in [
        ("down", is_unreached as fn(SiteState) -> bool),
        ("stalled", |state| state == SiteState::Stalled),
        ("stopped", is_stopped),
    ] {
        let count = sites.iter().filter(|site| is(site.state)).count();
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.push(lag(sites.iter().map(|site| site.lag)));
    if status.conflicts.open > 0 {
        parts.push(plural(status.conflicts.open, "open conflict"));
    }
    format!("{peers}: {}", parts.join(", "))
}

/// The longest lag. One that is not known may be longer than all others.
fn lag(lags: impl Iterator<Item = Lag>) -> String {
    let (mut longest, mut is_known) = (0, true);
    for lag in lags {
        longest = longest.max(lag.us().unwrap_or(0));
        is_known &= matches!(lag, Lag::Known(_));
    }
    match (longest, is_known) {
        (longest, true) => format!("lag {}", duration(longest)),
        (0, false) => "lag not known".to_owned(),
        (longest, false) => format!("lag at least {}", duration(longest)),
    }
}

const fn is_stopped(state: SiteState) -> bool {
    matches!(
        state,
        SiteState::Paused | SiteState::Held | SiteState::Fenced
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::admin::view::tests::status;

    /// A manager that writes down what it is told.
    fn manager(watchdog: Option<Duration>) -> (ServiceManager, Arc<Mutex<Vec<String>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        let send: Tell = Box::new(move |states| {
            let words = states.iter().map(ToString::to_string);
            kept.lock()
                .unwrap()
                .push(words.collect::<Vec<_>>().join(" "));
            Ok(())
        });
        let manager = ServiceManager {
            send: Some(send),
            watchdog,
            failed: AtomicBool::new(false),
        };
        (manager, told)
    }

    const WATCHDOG: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_answers_feeds_the_watchdog_well_in_time() {
        let (manager, told) = manager(Some(WATCHDOG));
        let slow = || async {
            tokio::time::sleep(WATCHDOG / 3).await;
            true
        };
        let fed = timeout(WATCHDOG * 10, manager.feed(slow)).await;
        assert!(fed.is_err(), "it goes on");
        let count = told.lock().unwrap().len();
        assert!(count >= 20, "{count} in ten times of the limit");
        assert!(told.lock().unwrap().iter().all(|word| word == "WATCHDOG=1"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_hangs_or_is_gone_feeds_nothing() {
        let _expected = crate::daemon::tasks::errors::expects("the engine does not answer");
        let (manager, told) = manager(Some(WATCHDOG));
        let hangs = || std::future::pending::<bool>();
        drop(timeout(WATCHDOG * 10, manager.feed(hangs)).await);
        drop(timeout(WATCHDOG * 10, manager.feed(|| async { false })).await);
        assert_eq!(*told.lock().unwrap(), Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_line_is_sent_when_it_changes_and_not_more_often_than_allowed() {
        let (manager, told) = manager(None);
        let asked = AtomicBool::new(false);
        let answer = || {
            let first = !asked.swap(true, Ordering::Relaxed);
            async move { first.then(status) }
        };
        drop(timeout(STATUS_EVERY * 10, manager.tell_status(answer)).await);
        assert_eq!(
            *told.lock().unwrap(),
            [
                "STATUS=2 peers: 1 down, lag at least 2m14s, 7 open conflicts",
                "STATUS=does not answer on its admin socket"
            ]
        );
    }

    #[tokio::test]
    async fn a_reload_is_announced_with_its_time_and_ends_with_ready() {
        let (manager, told) = manager(None);
        let reloading = async { told.lock().unwrap().push("reloads".to_owned()) };
        manager.reload(reloading).await;
        let told = told.lock().unwrap();
        let [begins, reloads, ready] = &told[..] else {
            panic!("{told:?}");
        };
        assert!(
            begins.starts_with("RELOADING=1 MONOTONIC_USEC="),
            "{begins}"
        );
        assert_eq!((reloads.as_str(), ready.as_str()), ("reloads", "READY=1"));
    }

    #[test]
    fn a_line_tells_how_many_are_down_and_the_longest_lag_and_no_lag_that_is_not_known() {
        let mut all = status();
        all.conflicts.open = 0;
        for site in &mut all.sites {
            (site.state, site.lag) = (SiteState::Idle, Lag::Known(400_000));
        }
        assert_eq!(line(&all), "2 peers: lag 0.4s");
        all.sites[0].state = SiteState::Backoff;
        all.sites[0].lag = Lag::Known(134_000_000);
        all.sites[1].state = SiteState::Held;
        assert_eq!(line(&all), "2 peers: 1 down, 1 stopped, lag 2m14s");
        for site in &mut all.sites {
            site.lag = Lag::Unknown;
        }
        assert_eq!(line(&all), "2 peers: 1 down, 1 stopped, lag not known");
        all.sites.clear();
        assert_eq!(line(&all), "0 peers");
    }
}
