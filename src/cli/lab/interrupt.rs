//! Ctrl-C and SIGTERM for commands with children: every wait is one that they end.
//!
//! A signal that arrives while no one waits is kept and ends the next wait. SIGHUP, which a closing terminal sends, is
//! heeded like the others.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::{CliError, CliResult, Exit};
use crate::error::ReplError;

/// From its making on, the signals no longer end this process but the next wait.
#[derive(Debug)]
pub(in crate::cli) struct Interrupt {
    runtime: Runtime,
    signals: [Signal; 3],
}

impl Interrupt {
    /// Takes the signals over.
    ///
    /// # Errors
    /// When the system refuses.
    pub(in crate::cli) fn new() -> Result<Self, CliError> {
        let failed = |error| ReplError::io("watch for", "signals", error);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let entered = runtime.enter();
        let watch = |kind| signal(kind).map_err(failed);
        let signals = [
            watch(SignalKind::interrupt())?,
            watch(SignalKind::terminate())?,
            watch(SignalKind::hangup())?,
        ];
        drop(entered);
        Ok(Self { runtime, signals })
    }

    /// Waits for `time`.
    ///
    /// # Errors
    /// [`Exit::Interrupted`] when a signal came, now or since the last wait.
    pub(in crate::cli) fn pause(&mut self, time: Duration) -> CliResult {
        // Inside of the future, because a timer needs the runtime.
        self.during(async { tokio::time::sleep(time).await })
    }

    /// Waits for what `work` becomes, which is dropped when a signal comes.
    ///
    /// # Errors
    /// [`Exit::Interrupted`] when a signal came, now or since the last wait.
    pub(in crate::cli) fn during<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, CliError> {
        let [interrupt, terminate, hangup] = &mut self.signals;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = interrupt.recv() => Err(CliError::Told(Exit::Interrupted)),
                _ = terminate.recv() => Err(CliError::Told(Exit::Interrupted)),
                _ = hangup.recv() => Err(CliError::Told(Exit::Interrupted)),
                done = work => Ok(done),
            }
        })
    }
}
