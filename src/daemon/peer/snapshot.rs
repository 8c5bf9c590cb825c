//! Takes over what a peer knows, page by page, and gives a peer what this site knows.
//!
//! Who takes over asks for one page after the other; whoever gives holds one snapshot for a connection. When the last page
//! is taken the connection ends, and the next one begins with entries.

use std::sync::Arc;

use super::*;
use crate::conduit::message::{SnapshotPage, SnapshotRequest};
use crate::daemon::exchange::PAGE_ITEMS;
use crate::error::ReplError;
use crate::sync::engine::Taken;

impl Receiver {
    /// Begins to take over what the peer knows, or goes on with it.
    pub(super) async fn ask_page(&self, hello: Hello) -> Result<()> {
        let engine = &self.local.engine;
        let after = engine
            .ask(move |e| exchange::takeover_after(e, &hello))
            .await?;
        let after = match after {
            Ok(after) => after,
            Err(close) => return self.link.close(self.connection, close).await,
        };
        let site = &self.local.remote.name;
        tracing::info!(site, again = !after.is_empty(), "takes over what it knows");
        let request = SnapshotRequest { after };
        self.link.send_request(self.connection, request).await
    }

    /// Answers a request of the peer.
    pub(super) async fn give_page(
        &mut self,
        connection: ConnectionNo,
        request: SnapshotRequest,
    ) -> Result<()> {
        if connection != self.connection {
            return Ok(());
        }
        let is_first = self.snapshot.is_none();
        let snapshot = match &self.snapshot {
            Some(snapshot) => Arc::clone(snapshot),
            None => {
                let taken = Arc::new(self.local.engine.ask(Engine::snapshot).await?);
                let (site, streams) = (&self.local.remote.name, taken.reach.len());
                tracing::info!(site, journals = streams, "gives what is known here");
                Arc::clone(self.snapshot.insert(taken))
            }
        };
        // It reads the disk: beside the engine, not in its loop.
        let read = move || exchange::page(&snapshot, &request, is_first);
        let page = tokio::task::spawn_blocking(read).await;
        let page = page.map_err(|_| ReplError::Shutdown)??;
        self.link.send_page(connection, page).await
    }

    /// Takes a page in, and asks for the next one.
    pub(super) async fn take_page(
        &mut self,
        connection: ConnectionNo,
        page: SnapshotPage,
    ) -> Result<()> {
        let Some(source) = self.peer.filter(|_| connection == self.connection) else {
            return Ok(());
        };
        let site = self.local.remote.name.clone();
        let topic = Topic::Snapshot(site.clone());
        let taken = match exchange::known_page(page) {
            Ok(page) => {
                self.local
                    .engine
                    .ask(move |e| e.take_page(source, page))
                    .await?
            }
            Err(error) => Taken::Refused(error.to_string()),
        };
        match taken {
            Taken::Next(after) => {
                self.pages += 1;
                let items = self.pages * PAGE_ITEMS as u64;
                let told = format!(
                    "takes over what {site} knows before anything is applied here: at most {items} items so far"
                );
                let next = "nothing is to be done; it goes on after an interruption";
                self.local.causes.set(topic, told, next);
                let request = SnapshotRequest { after };
                self.link.send_request(connection, request).await
            }
            Taken::All(items) => {
                tracing::info!(site, items, "took over what it knows");
                self.local.causes.clear(topic);
                let detail = "took over what you know; connects again";
                let close = Close::new(CloseReason::Shutdown, detail);
                self.link.close(connection, close).await
            }
            Taken::Outdated => {
                let detail = "what you know came another way; connects again";
                let close = Close::new(CloseReason::Shutdown, detail);
                self.link.close(connection, close).await
            }
            Taken::Refused(detail) => {
                tracing::error!(site, detail, "what it knows is not taken over");
                self.refused(None, &detail);
                let close = Close::new(
                    CloseReason::Protocol,
                    format!("what you know is not taken over: {detail}"),
                );
                self.link.close(connection, close).await
            }
        }
    }
}
