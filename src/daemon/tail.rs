//! The end of the own journal, for operators who watch it.
//!
//! Promise: it is read from its files, beside the engine and not through it, and nothing piles up here for a reader
//! that is slow.

use std::time::Duration;

use tokio::sync::mpsc;

use super::logs::{EntryFilter, EntryMatcher, Logs};
use super::status::Reporter;
use crate::admin::view::journal::{EntryView, TailRequest};
use crate::admin::{AdminError, Entries, Result};
use crate::error::Result as ReadResult;

/// How often a journal that is followed is looked at: what a person sees as live.
const POLL: Duration = Duration::from_millis(500);
/// Entries in one piece, some 100 bytes each.
const PIECE_ENTRIES: usize = 256;
/// Pieces that wait for whoever asked.
const PIECES_MAX: usize = 4;
/// Most entries that are given of those that are there; for more there is the journal itself.
const LAST_MAX: u64 = 1_000;

impl Reporter {
    /// The end of the own journal, and what comes where that is wanted.
    pub(super) fn journal_tail(&self, request: TailRequest) -> Result<Entries> {
        let last = usize::try_from(request.last.min(LAST_MAX)).unwrap_or_default();
        let follow = request.follow;
        let pattern = request.name.clone().unwrap_or_default();
        let filter = EntryFilter {
            stream: request.stream,
            ops: request.ops,
            inode: request.inode,
            name: request.name,
            since_us: None,
        };
        let filter = filter.matcher().map_err(|why| AdminError::Invalid {
            what: format!("\"{pattern}\" is no pattern for names: {why}"),
            hint: "`*` and `?` stand for what is within a name".to_owned(),
        })?;
        let logs = self.logs.clone();
        let (tell, entries) = mpsc::channel(PIECES_MAX);
        // It ends with whoever asked, who goes at the latest with the daemon.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = run(&logs, &filter, (last, follow), &tell) {
                // Who asked may be gone; then nobody wants to know.
                drop(tell.blocking_send(Err(error)));
            }
        });
        Ok(entries)
    }
}

type Tell = mpsc::Sender<ReadResult<Vec<EntryView>>>;

fn run(
    logs: &Logs,
    filter: &EntryMatcher,
    (last, follow): (usize, bool),
    tell: &Tell,
) -> ReadResult<()> {
    let log = logs.open(&logs.own())?;
    let (entries, damage) = log.tail(last, filter)?;
    for piece in entries.chunks(PIECE_ENTRIES) {
        if tell.blocking_send(Ok(piece.to_vec())).is_err() {
            return Ok(());
        }
    }
    if let Some(damage) = damage {
        return Err(damage);
    }
    if !follow {
        return Ok(());
    }
    let mut follow = log.follow()?;
    while !tell.is_closed() {
        let mut piece = Vec::new();
        follow.poll(|entry| {
            if !filter.lets_through(&entry) {
                return !tell.is_closed();
            }
            piece.push(entry);
            piece.len() < PIECE_ENTRIES
                || tell.blocking_send(Ok(std::mem::take(&mut piece))).is_ok()
        })?;
        if !piece.is_empty() && tell.blocking_send(Ok(piece)).is_err() {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
