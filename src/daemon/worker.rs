//! The thread of the tree: runs its connector, opens it again when there was no room, and shows what is in the way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::io::Errno;

use super::causes::{Causes, Topic};
use super::status::{TreeFacts, note};
use crate::admin::view::plural;
use crate::clock::SharedClock;
use crate::error::{ReplError, Result};
use crate::sync::engine::Handle;
use crate::tree::scan::{Disbelief, ScanReport};
use crate::tree::walk::{Note, NoteKind};
use crate::tree::{Connector, ConnectorEvent};

/// How long a tree rests before it is tried again, when there was no room in the state folder or for another open
/// file. Doubled with every try in vain, up to the most: each opens the tree anew, which may end in a look at everything.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(32);

/// Whether the tree goes on by itself once this is over.
fn passes(error: &ReplError) -> bool {
    error.is_disk_full() || is_out_of_files(error)
}

/// Whether the process or the system has no room for another open file: it has as soon as one is closed.
fn is_out_of_files(error: &ReplError) -> bool {
    let ReplError::Io { source, .. } = error else {
        return false;
    };
    let errnos = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    source
        .raw_os_error()
        .is_some_and(|errno| errnos.contains(&errno))
}

/// What there is none of.
fn lacks(error: &ReplError) -> &'static str {
    if error.is_disk_full() {
        "no room for state"
    } else {
        "no room for another open file"
    }
}

/// Runs the connector on its thread, and opens it again when the state folder had no room and has some.
pub(super) struct TreeWorker {
    pub(super) stop: Arc<AtomicBool>,
    pub(super) clock: SharedClock,
    pub(super) facts: Arc<Mutex<TreeFacts>>,
    pub(super) causes: Causes,
    /// Name of this site.
    pub(super) site: String,
    pub(super) engine: Handle,
}

impl TreeWorker {
    pub(super) fn run(
        &self,
        mut connector: Connector,
        open: &dyn Fn() -> Result<Connector>,
    ) -> Result<()> {
        let mut pause = PAUSE;
        loop {
            let mut result = connector.run(&self.stop, &mut |event| self.note(&event));
            while let Err(error) = &result
                && passes(error)
                && !self.is_stopped()
            {
                let known = self.in_the_way(error);
                if known {
                    pause = pause.saturating_mul(2).min(PAUSE_MAX);
                } else {
                    tracing::error!(%error, "{}, the tree rests until there is", lacks(error));
                    pause = PAUSE;
                }
                self.rest(pause);
                // What failed is taken back by opening it again, as after a crash.
                result = open().map(|opened| connector = opened);
            }
            if result.is_ok() {
                self.causes.clear(Topic::OpenFiles);
            }
            if result.is_err() || self.is_stopped() {
                return result.or_else(|error| if passes(&error) { Ok(()) } else { Err(error) });
            }
        }
    }

    /// Shows what the tree rests for; whether that was known.
    fn in_the_way(&self, error: &ReplError) -> bool {
        if error.is_disk_full() {
            return self.no_room(
                Topic::StateRoom,
                "the disk of the state folder is full: nothing is noticed or applied",
            );
        }
        let known = self.causes.has(&Topic::OpenFiles);
        self.causes.set(
            Topic::OpenFiles,
            "there are too many open files: nothing is noticed or applied",
            "see what holds them (lsof -p with the process of cfs-repl), or raise LimitNOFILE; it goes on by itself",
        );
        known
    }

    /// Waits; a stop ends it.
    fn rest(&self, pause: Duration) {
        let mut left = pause;
        while !left.is_zero() && !self.is_stopped() {
            let step = left.min(PAUSE);
            std::thread::sleep(step);
            left -= step;
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Shows that room is missing; whether that was known.
    fn no_room(&self, topic: Topic, text: &str) -> bool {
        let known = self.causes.has(&topic);
        let next = "make room on that disk; it goes on by itself, and nothing is lost";
        self.causes.set(topic, text, next);
        known
    }

    /// Shows what could not be read; only a look at everything takes that back.
    fn unreadable(&self, scanned: &ScanReport) {
        let reason = |note: &Note| match &note.kind {
            NoteKind::Unreadable { reason } => Some(reason.clone()),
            NoteKind::Special | NoteKind::Mount | NoteKind::Reserved => None,
        };
        let mut found = scanned
            .notes
            .iter()
            .filter_map(|note| Some((note, reason(note)?)));
        let Some((first, reason)) = found.next() else {
            if scanned.complete {
                self.causes.clear(Topic::Unreadable);
            }
            return;
        };
        let others = found.count();
        let path = first.path.as_os_str().as_encoded_bytes().escape_ascii();
        if !self.causes.has(&Topic::Unreadable) {
            tracing::warn!(
                count = others + 1,
                reason,
                "something in the tree cannot be read"
            );
        }
        self.causes.set(
            Topic::Unreadable,
            match others as u64 {
                0 => format!("{path} cannot be read and is not sent: {reason}"),
                n => format!(
                    "{path} and {} cannot be read and are not sent: {reason}",
                    plural(n, "other")
                ),
            },
            "let the user of cfs-repl read it, or exclude it; the rest goes on",
        );
    }

    /// Shows that removals are not believed, and what an operator can do.
    fn disbelieve(&self, why: Option<Disbelief>) {
        let Some(why) = why else {
            if self.causes.clear(Topic::Disbelief) {
                tracing::info!("what goes away in the tree is believed again");
            }
            return;
        };
        let next = match why {
            Disbelief::Moved => {
                "move the tree back to its path, or unmount what is mounted over it; a tree that is to stay elsewhere \
                 needs its new path as tree.root, and a restart"
                    .to_owned()
            }
            Disbelief::Marker => {
                "look whether the right filesystem is mounted at the root of the tree".to_owned()
            }
            Disbelief::EmptyRoot => format!(
                "look whether the right filesystem is mounted there; if its files were meant to go: \
                 cfs-repl sites resume {} --confirm",
                self.site
            ),
        };
        if !self.causes.has(&Topic::Disbelief) {
            tracing::error!(reason = %why, "what goes away in the tree is not believed");
        }
        let text = format!("what goes away in the tree here is not believed: {why}");
        self.causes.set(Topic::Disbelief, text, next);
    }

    /// The tree is part of the cluster's. Should that not be noted, the next start finds nothing left to compare.
    fn matched(&self) {
        if let Err(error) = self.engine.call(|e| e.set_matching(false)) {
            tracing::warn!(%error, "cannot note that the tree was compared");
        }
        self.causes.clear(Topic::Matching);
    }

    fn note(&self, event: &ConnectorEvent) {
        note(&self.facts, event, &*self.clock);
        match event {
            ConnectorEvent::Applied(report) if report.no_space => {
                let text = "the disk of the tree is full: what others changed is not applied";
                if !self.no_room(Topic::TreeRoom, text) {
                    tracing::error!("no room for the tree, applying rests until there is");
                }
            }
            ConnectorEvent::Applied(report) if report.applied > 0 => {
                if self.causes.clear(Topic::TreeRoom) {
                    tracing::info!("there is room for the tree again");
                }
            }
            ConnectorEvent::Scanned(scanned) => {
                if self.causes.clear(Topic::StateRoom) {
                    tracing::info!("there is room for state again");
                }
                self.unreadable(scanned);
            }
            ConnectorEvent::Standing(standing) => self.disbelieve(standing.brake),
            ConnectorEvent::Matched(_) => self.matched(),
            ConnectorEvent::Applied(_)
            | ConnectorEvent::Looking
            | ConnectorEvent::Blind(_)
            | ConnectorEvent::Sighted => {}
        }
        report(event);
    }
}

fn report(event: &ConnectorEvent) {
    match event {
        ConnectorEvent::Blind(reason) => {
            tracing::warn!(
                reason,
                "the tree is not watched as a whole, scanning instead"
            );
        }
        ConnectorEvent::Looking => tracing::debug!("looking at the whole tree"),
        ConnectorEvent::Sighted => tracing::info!("the whole tree is watched again"),
        ConnectorEvent::Standing(standing) => tracing::debug!(?standing, "tree"),
        ConnectorEvent::Matched(matched) => tracing::info!(
            taken = matched.taken,
            differed = matched.differed,
            renamed = matched.renamed,
            "the tree is part of the cluster's"
        ),
        ConnectorEvent::Scanned(report) => tracing::debug!(?report, "scanned"),
        ConnectorEvent::Applied(report) => tracing::debug!(?report, "applied"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_rests_for_lack_of_room_or_files_and_ends_for_everything_else() {
        let failed = |errno: Errno| ReplError::io("open", "x", errno);
        for errno in [Errno::NOSPC, Errno::MFILE, Errno::NFILE] {
            assert!(passes(&failed(errno)), "{errno}");
        }
        assert_eq!(lacks(&failed(Errno::NOSPC)), "no room for state");
        assert_eq!(
            lacks(&failed(Errno::MFILE)),
            "no room for another open file"
        );
        assert!(!passes(&failed(Errno::IO)) && !passes(&ReplError::Shutdown));
    }
}
