//! Watches whether a site whose tree was there before has what the others have; until then it journals nothing.
//!
//! The others are those of the configuration: what one of them has and was not received would be journaled here as
//! something new of the same name.

use std::time::Duration;

use super::causes::{Causes, Topic};
use super::peers::{PeerHandle, Peers};
use super::tasks::Tasks;
use crate::error::Result;
use crate::sync::engine::Handle;
use crate::tree::matching::Filled;
use crate::tree::wake::Waker;

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(500);

/// Tells the tree when it may go on.
pub(super) struct Matcher {
    pub(super) engine: Handle,
    pub(super) peers: Peers,
    pub(super) causes: Causes,
    pub(super) filled: Filled,
    pub(super) waker: Waker,
}

impl Matcher {
    pub(super) async fn run(self, tasks: Tasks) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = tasks.token().cancelled() => return,
                _ = ticks.tick() => {}
            }
            if self.filled.is_over() {
                // Should it have been shown once more while that was told.
                self.causes.clear(Topic::Matching);
                return;
            }
            let how_far = match self.lacks().await {
                Ok(Some(lacks)) => {
                    self.filled.set(false);
                    lacks
                }
                Ok(None) => {
                    self.filled.set(true);
                    self.waker.wake();
                    "it is compared".to_owned()
                }
                Err(error) => {
                    tracing::warn!(%error, "the engine does not answer");
                    continue;
                }
            };
            self.show(&how_far);
        }
    }

    fn show(&self, how_far: &str) {
        let told = format!(
            "the tree had files before, and what only this site has is not journaled yet: {how_far}"
        );
        let next = "nothing is to be done once all sites are connected; one that is gone for good is first removed at a \
                    site that has what it wrote (cfs-repl sites remove), and then here";
        self.causes.set(Topic::Matching, told, next);
    }

    /// What is not here yet.
    async fn lacks(&self) -> Result<Option<String>> {
        let asked =
            |e: &mut crate::sync::engine::Engine| Ok((e.knows_a_tree()?, e.takeover()?.is_none()));
        let (knows_a_tree, is_level) = self.engine.ask(asked).await?;
        for peer in self.peers.all().values() {
            if let Some(lacks) = self.lacks_of(peer).await? {
                return Ok(Some(lacks));
            }
        }
        Ok(match (knows_a_tree, is_level) {
            (false, _) => {
                let none = "no other site has a tree yet; the one that begins the cluster has existing = \"bring\"";
                Some(none.to_owned())
            }
            (true, false) => Some("what another site knows is being taken over".to_owned()),
            (true, true) => None,
        })
    }

    /// What is not here yet of what a peer had when it connected.
    async fn lacks_of(&self, peer: &PeerHandle) -> Result<Option<String>> {
        let name = &peer.name;
        let Some(hello) = peer.seen().hello else {
            return Ok(Some(format!("waits for {name} to connect")));
        };
        let actor = hello.actor;
        let progress = self.engine.ask(move |e| e.progress(actor)).await?;
        let received = |stream: u32| {
            let one = progress.iter().find(|one| one.stream == stream);
            one.map_or(0, |one| one.received)
        };
        let missing = hello
            .streams
            .iter()
            .map(|state| state.head.saturating_sub(received(state.stream)));
        let missing = missing.fold(0, u64::saturating_add);
        Ok((missing > 0).then(|| format!("entries of {name} that are not here yet: {missing}")))
    }
}
