//! What an operator steers about a peer: stop the exchange, connect anew, and other addresses and limits.

use std::time::Duration;

use super::{Close, CloseReason, Peer};
use crate::conduit::backoff::{Attempt, Endpoints};
use crate::conduit::session::SessionLimits;

/// Why a connection ends, or is refused, while an operator paused the site.
const PAUSED: &str = "an operator paused the exchange at this site";
/// Why a connection ends that stood for its longest time.
const OLD: &str = "the connection is as old as conduit.max_connection_age; connect anew";
/// Why a connection ends that an operator had made anew.
const ANEW: &str = "an operator has the connection made anew";

/// What holds for a peer from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steering {
    /// Nothing is exchanged: no dialling, and connections are refused.
    pub paused: bool,
    /// Raised to have the connection made anew at once.
    pub anew: u64,
    /// Where it is dialled, in order. Empty: it dials us.
    pub endpoints: Vec<String>,
    /// Limits of new connections.
    pub limits: SessionLimits,
    /// A connection that stands for so long is made anew, so that certificates that were replaced go out of use. None:
    /// never.
    pub age_max: Option<Duration>,
}

impl Peer {
    /// Takes in what changed.
    pub(super) fn steer(&mut self, now: Duration) {
        let wanted = self.steering.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.steered, wanted);
        let is = &self.steered;
        if is.endpoints != before.endpoints {
            self.endpoints = Endpoints::new(is.endpoints.clone());
            self.contact(|contact| contact.steered(&is.endpoints));
        }
        let (is_paused, was_paused) = (is.paused, before.paused);
        let is_anew = is.anew != before.anew;
        let is_elsewhere = is.endpoints != before.endpoints && self.live.is_none();
        if is_paused {
            (self.dialling, self.retry) = (None, None);
            self.contact(|contact| contact.next_us = None);
            self.close_live(CloseReason::Paused, PAUSED);
            self.report(0, Duration::ZERO, None);
        } else if was_paused || is_anew || is_elsewhere {
            self.backoff.succeeded();
            self.dialling = None;
            self.close_live(CloseReason::Shutdown, ANEW);
            // One that is still open is closed by now, and its end plans the next attempt.
            if self
                .live
                .as_ref()
                .is_none_or(|live| live.closed_at.is_some())
            {
                self.dial_at_once(now);
            }
        }
    }

    /// Closes a connection that stood for its longest time.
    pub(super) fn retire(&mut self, now: Duration) {
        if self.retires_at().is_some_and(|at| now >= at) {
            self.close_live(CloseReason::Shutdown, OLD);
        }
    }

    /// When the connection has stood for its longest time.
    pub(super) fn retires_at(&self) -> Option<Duration> {
        let live = self.live.as_ref().filter(|live| live.closed_at.is_none())?;
        self.steered.age_max.map(|age| live.began + age)
    }

    /// Why a connection is refused before anything is said, if it is.
    pub(super) fn refused_by_steering(&self) -> Option<Close> {
        self.steered
            .paused
            .then(|| Close::new(CloseReason::Paused, PAUSED))
    }

    pub(super) fn dial_at_once(&mut self, now: Duration) {
        if self.can_dial() && self.stopping_at.is_none() {
            let (number, delay) = (self.backoff.attempt(), Duration::ZERO);
            self.retry = Some((now, Attempt { number, delay }));
        }
    }

    fn close_live(&mut self, reason: CloseReason, detail: &str) {
        if let Some(live) = &mut self.live {
            live.session.close(Close::new(reason, detail));
        }
    }
}
