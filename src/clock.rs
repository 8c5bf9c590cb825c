//! Time as a parameter: the one place that asks the system what time it is.
//!
//! Everything that decides takes `now` as an argument; the shells around it hold a [`Clock`]. Tests use
//! [`ManualClock`], so no test depends on how long anything takes.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{ReplError, Result};

/// Where the kernel tells which start of the machine this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Microseconds since 1970-01-01 UTC.
pub type TimestampUs = u64;

/// A time span in microseconds; the longest that there is for longer ones.
#[must_use]
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// The time in UTC as RFC 3339 with microseconds. None when it lies outside what a calendar knows.
#[must_use]
pub fn rfc3339(us: TimestampUs) -> Option<String> {
    let us = i64::try_from(us).ok()?;
    let at = jiff::Timestamp::from_microsecond(us).ok()?;
    Some(format!("{at:.6}"))
}

/// The time in UTC to the second, in the form that names of files bear: `20251127T165959Z`.
#[must_use]
pub fn compact(us: TimestampUs) -> Option<String> {
    let at = jiff::Timestamp::from_microsecond(i64::try_from(us).ok()?).ok()?;
    Some(at.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// The kernel's id of this start of the machine, as it writes it.
///
/// # Errors
/// When the kernel does not tell.
pub fn boot_id() -> Result<String> {
    let id = std::fs::read_to_string(BOOT_ID).map_err(|e| ReplError::io("read", BOOT_ID, e))?;
    Ok(id.trim().to_owned())
}

/// Tells the time. Cheap to call.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock. It may step in either direction.
    fn now_us(&self) -> TimestampUs;
    /// Time since the machine was started, suspended time included; it never goes back.
    fn monotonic(&self) -> Duration;
    /// Which start of the machine that was; none if the system does not tell. It does not change while a process runs.
    fn boot_id(&self) -> Option<u128>;
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

/// The clocks of the system.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now_us(&self) -> TimestampUs {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        micros(since)
    }

    fn monotonic(&self) -> Duration {
        let at = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(at.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(at.tv_nsec).unwrap_or(0))
    }

    fn boot_id(&self) -> Option<u128> {
        let id = boot_id().ok()?.replace('-', "");
        u128::from_str_radix(&id, 16).ok()
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_us: AtomicU64,
    monotonic_us: AtomicU64,
    boots: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `now_us`.
    #[must_use]
    pub fn at(now_us: TimestampUs) -> Arc<Self> {
        Arc::new(Self {
            now_us: AtomicU64::new(now_us),
            monotonic_us: AtomicU64::new(0),
            boots: AtomicU64::new(1),
        })
    }

    /// Lets `by` pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let us = micros(by);
        self.now_us.fetch_add(us, Ordering::SeqCst);
        self.monotonic_us.fetch_add(us, Ordering::SeqCst);
    }

    /// Steps the wall clock alone, as an administrator or a time server would.
    pub fn step_to(&self, now_us: TimestampUs) {
        self.now_us.store(now_us, Ordering::SeqCst);
    }

    /// The machine was off for `off` and starts again.
    pub fn reboot(&self, off: Duration) {
        self.advance(off);
        self.monotonic_us.store(0, Ordering::SeqCst);
        self.boots.fetch_add(1, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> TimestampUs {
        self.now_us.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic_us.load(Ordering::SeqCst))
    }

    fn boot_id(&self) -> Option<u128> {
        Some(self.boots.load(Ordering::SeqCst).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_steps_only_the_wall() {
        let clock = ManualClock::at(1_000);
        assert_eq!((clock.now_us(), clock.monotonic()), (1_000, Duration::ZERO));
        clock.advance(Duration::from_micros(5));
        clock.step_to(10);
        assert_eq!(
            (clock.now_us(), clock.monotonic()),
            (10, Duration::from_micros(5))
        );
    }

    #[test]
    fn a_time_outside_the_calendar_has_no_text() {
        assert_eq!(
            rfc3339(1_795_370_089_102_113).as_deref(),
            Some("2026-11-22T17:54:49.102113Z")
        );
        assert_eq!((rfc3339(u64::MAX), rfc3339(i64::MAX as u64)), (None, None));
    }

    #[test]
    fn the_kernel_tells_which_boot_this_is() {
        assert_eq!(boot_id().unwrap().len(), 36);
        assert_eq!(SystemClock.boot_id(), SystemClock.boot_id());
        assert!(SystemClock.boot_id().is_some());
    }

    #[test]
    fn a_start_of_the_machine_begins_another_time_under_another_name() {
        let clock = ManualClock::at(1_000);
        let before = clock.boot_id();
        clock.advance(Duration::from_micros(5));
        clock.reboot(Duration::from_micros(5));
        assert_eq!((clock.now_us(), clock.monotonic()), (1_010, Duration::ZERO));
        assert_ne!(clock.boot_id(), before);
    }

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let first = SystemClock.monotonic();
        assert!(SystemClock.monotonic() >= first);
    }
}
