//! Wakes the connector's loop from other threads and tasks: an eventfd that it waits on beside the tree's events.
//!
//! A call before the loop waits is not lost: the descriptor stays readable until the loop has cleared it, and it does
//! so before it looks for work.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::error::{ReplError, Result};

/// Wakes one loop. Clones share it.
#[derive(Debug, Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// A waker of a loop that sleeps until somebody calls.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| ReplError::io("open eventfd", "", e))?;
        Ok(Self(Arc::new(fd)))
    }

    /// Ends the wait of the loop, or the next one.
    pub fn wake(&self) {
        // The counter is full after 2^64 calls without a wait: the loop is called by then.
        rustix::io::write(&*self.0, &1_u64.to_ne_bytes()).unwrap_or_default();
    }

    /// Waits until somebody calls, `events` has something to read, or `timeout` is over.
    ///
    /// # Errors
    /// When the system refuses to wait.
    pub fn wait(&self, events: Option<BorrowedFd<'_>>, timeout: Duration) -> Result<()> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        fds.extend(events.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(ReplError::io("wait for events", "", e)),
        }
        // Nothing to read when it was not called.
        rustix::io::read(&*self.0, &mut [0_u8; 8]).unwrap_or_default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_call_before_the_wait_is_not_lost_and_counts_once() {
        let waker = Waker::new().unwrap();
        let began = SystemClock.monotonic();
        waker.wake();
        waker.clone().wake();
        waker.wait(None, LONG).unwrap();
        assert!(SystemClock.monotonic() - began < LONG);
        let pause = Duration::from_millis(1);
        let began = SystemClock.monotonic();
        waker.wait(None, pause).unwrap();
        assert!(SystemClock.monotonic() - began >= pause);
    }

    #[test]
    fn a_call_of_another_thread_and_something_to_read_end_the_wait() {
        let (waker, other) = (Waker::new().unwrap(), Waker::new().unwrap());
        let began = SystemClock.monotonic();
        std::thread::scope(|scope| {
            scope.spawn(|| waker.wake());
            waker.wait(None, LONG).unwrap();
        });
        other.wake();
        waker.wait(Some(other.0.as_fd()), LONG).unwrap();
        assert!(SystemClock.monotonic() - began < LONG);
    }
}
