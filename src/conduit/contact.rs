//! Pure: what came of the tries to reach a peer, for whoever asks why it is away.

use std::collections::VecDeque;
use std::time::Duration;

use super::backoff::Attempt;
use crate::clock::TimestampUs;

/// Pauses between attempts that are kept: enough to see them grow up to the largest one.
pub const PAUSES_MAX: usize = 10;

/// What is known of the ways to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contact {
    /// Attempts to dial since the last connection.
    pub attempts: u32,
    /// When the next one is. None: none is planned, since it stands, is under way, is paused, or the peer has to dial.
    pub next_us: Option<TimestampUs>,
    /// Pauses before the last attempts, oldest first; they begin anew with each connection.
    pub pauses: VecDeque<Duration>,
    /// Where it is dialled, in order.
    pub endpoints: Vec<EndpointTries>,
    /// Site name in the certificate that the peer showed last. None: it showed none yet, or there is no TLS.
    pub certificate_site: Option<String>,
    /// Since when it is connected, or not any more. None: it never was.
    pub since_us: Option<TimestampUs>,
}

/// What came of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointTries {
    /// Host and port.
    pub endpoint: String,
    /// When it was dialled last. None: never.
    pub tried_us: Option<TimestampUs>,
    /// Why that failed. None: it did not, is under way, or there was none.
    pub error: Option<String>,
    /// Failures in a row.
    pub failures: u64,
}

impl Contact {
    /// Of a peer that is dialled there.
    #[must_use]
    pub fn new(endpoints: &[String]) -> Self {
        let mut contact = Self::default();
        contact.steered(endpoints);
        contact
    }

    /// It is dialled there from here on; what is known of endpoints that stay is kept.
    pub fn steered(&mut self, endpoints: &[String]) {
        let known = std::mem::take(&mut self.endpoints);
        let of = |endpoint: &String| {
            let same = known.iter().find(|one| one.endpoint == *endpoint);
            same.cloned().unwrap_or_else(|| EndpointTries {
                endpoint: endpoint.clone(),
                ..EndpointTries::default()
            })
        };
        self.endpoints = endpoints.iter().map(of).collect();
    }

    /// An attempt is planned, or none.
    pub fn planned(&mut self, attempt: Option<Attempt>, now_us: TimestampUs) {
        self.next_us = attempt.map(|attempt| {
            let delay = u64::try_from(attempt.delay.as_micros()).unwrap_or(u64::MAX);
            now_us.saturating_add(delay)
        });
        let Some(attempt) = attempt else {
            return;
        };
        self.attempts = attempt.number;
        if self.pauses.len() >= PAUSES_MAX {
            self.pauses.pop_front();
        }
        self.pauses.push_back(attempt.delay);
    }

    /// `endpoint` is dialled.
    pub fn dialled(&mut self, endpoint: &str, attempt: u32, now_us: TimestampUs) {
        (self.next_us, self.attempts) = (None, attempt);
        self.at(endpoint, |tries| {
            (tries.tried_us, tries.error) = (Some(now_us), None);
        });
    }

    /// What was begun at `endpoint` did not become a connection.
    pub fn failed(&mut self, endpoint: &str, reason: &str) {
        self.at(endpoint, |tries| {
            tries.error = Some(reason.to_owned());
            tries.failures = tries.failures.saturating_add(1);
        });
    }

    /// It is connected, by this endpoint. None: it dialled.
    pub fn connected(&mut self, endpoint: Option<&str>, now_us: TimestampUs) {
        (self.attempts, self.next_us, self.since_us) = (0, None, Some(now_us));
        self.pauses.clear();
        if let Some(endpoint) = endpoint {
            self.at(endpoint, |tries| (tries.error, tries.failures) = (None, 0));
        }
    }

    /// The connection is over.
    pub const fn ended(&mut self, now_us: TimestampUs) {
        self.since_us = Some(now_us);
    }

    fn at(&mut self, endpoint: &str, change: impl FnOnce(&mut EndpointTries)) {
        let tries = self.endpoints.iter_mut();
        if let Some(tries) = tries.into_iter().find(|one| one.endpoint == endpoint) {
            change(tries);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact() -> Contact {
        Contact::new(&["a:1".to_owned(), "b:2".to_owned()])
    }

    fn attempt(number: u32, ms: u64) -> Attempt {
        let delay = Duration::from_millis(ms);
        Attempt { number, delay }
    }

    #[test]
    fn failures_are_told_by_endpoint_and_end_with_a_connection() {
        let mut contact = contact();
        contact.dialled("a:1", 1, 100);
        contact.failed("a:1", "refused");
        contact.dialled("b:2", 2, 200);
        contact.failed("b:2", "timed out");
        contact.dialled("a:1", 3, 300);
        assert_eq!(contact.endpoints[0].error, None, "it is under way");
        contact.failed("a:1", "refused again");
        let told: Vec<_> = (contact.endpoints.iter())
            .map(|one| (one.tried_us, one.error.as_deref(), one.failures))
            .collect();
        let wanted = [
            (Some(300), Some("refused again"), 2),
            (Some(200), Some("timed out"), 1),
        ];
        assert_eq!(told, wanted);
        contact.connected(Some("a:1"), 400);
        assert_eq!((contact.attempts, contact.since_us), (0, Some(400)));
        assert_eq!(contact.endpoints[0].failures, 0);
        assert_eq!(contact.endpoints[1].failures, 1, "nobody tried it again");
    }

    #[test]
    fn the_next_attempt_is_told_until_it_begins_and_pauses_are_bounded() {
        let mut contact = contact();
        for number in 1..=20 {
            contact.planned(Some(attempt(number, u64::from(number))), 1_000);
        }
        assert_eq!(contact.next_us, Some(21_000));
        assert_eq!(contact.pauses.len(), PAUSES_MAX);
        assert_eq!(contact.pauses.back(), Some(&Duration::from_millis(20)));
        contact.dialled("a:1", 20, 2_000);
        assert_eq!((contact.next_us, contact.attempts), (None, 20));
        contact.connected(None, 3_000);
        assert!(contact.pauses.is_empty());
        contact.planned(None, 4_000);
        assert_eq!(contact.next_us, None);
    }

    #[test]
    fn an_endpoint_that_stays_keeps_what_is_known_of_it() {
        let mut contact = contact();
        contact.dialled("b:2", 1, 100);
        contact.failed("b:2", "refused");
        contact.steered(&["c:3".to_owned(), "b:2".to_owned()]);
        assert_eq!(contact.endpoints[0].endpoint, "c:3");
        assert_eq!(contact.endpoints[1].failures, 1);
        contact.failed("a:1", "of an attempt that was under way");
        assert_eq!(contact.endpoints.len(), 2);
    }
}
