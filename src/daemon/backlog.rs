//! How much of the journal a peer has not received: in entries, and in bytes of the log.

use std::collections::BTreeMap;

use crate::error::{ReplError, Result};
use crate::sync::engine::Handle;

/// What a peer has not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Backlog {
    /// Entries.
    pub(super) entries: u64,
    /// Bytes of the journal from the first of them on, with everything that stands behind it: contexts, local
    /// trailers, and entries that the peer has already. None: what it lacks is no longer kept.
    pub(super) bytes: Option<u64>,
}

/// What stands in the journal, which ends at `heads`, behind what was `received`.
///
/// # Errors
/// When the engine is gone.
pub(super) async fn backlog(
    engine: &Handle,
    heads: &BTreeMap<u32, u64>,
    received: BTreeMap<u32, u64>,
) -> Result<Backlog> {
    let missing = |(stream, head): (&u32, &u64)| {
        let received = received.get(stream).copied().unwrap_or(0);
        head.saturating_sub(received)
    };
    let entries = heads.iter().map(missing).sum();
    if entries == 0 {
        let bytes = Some(0);
        return Ok(Backlog { entries, bytes });
    }
    let Ok((mut reader, durable)) = engine.ask(move |e| e.batches(received)).await else {
        return Ok(Backlog {
            entries,
            bytes: None,
        });
    };
    // It reads the disk; beside the engine, not in its loop.
    let found = tokio::task::spawn_blocking(move || reader.first_missing()).await;
    let found = found.map_err(|_| ReplError::Shutdown)?;
    let end = durable.borrow().position;
    let bytes = found.ok().map(|position| end.saturating_sub(position));
    Ok(Backlog { entries, bytes })
}
