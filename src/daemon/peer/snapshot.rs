//! Takes over what a peer knows, page by page, and gives a peer what this site knows.
//!
//! Who takes over asks for one page after the other; whoever gives holds one snapshot, also for a while after the
//! connection was lost. When the last page is merged the connection ends, and the next one begins with entries.

use std::sync::Arc;

use super::*;
use crate::conduit::message::{SnapshotPage, SnapshotRequest};
use crate::daemon::exchange::PAGE_ITEMS;
use crate::error::ReplError;
use crate::sync::engine::{Merging, Taken};

impl Receiver {
    /// Begins to take over what the peer knows, or goes on with it.
    pub(super) async fn ask_page(&self, source: Actor) -> Result<()> {
        let engine = &self.local.engine;
        let request = engine
            .ask(move |e| exchange::first_request(e, source))
            .await?;
        let request = match request {
            Ok(request) => request,
            Err(close) => return self.link.close(self.connection, close).await,
        };
        let site = &self.local.remote.name;
        tracing::info!(
            site,
            again = !request.after.is_empty(),
            "takes over what it knows"
        );
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
        let (held, wanted) = (self.given.clone(), request.clone());
        let engine = &self.local.engine;
        let snapshot = engine
            .ask(move |e| exchange::snapshot(e, held, &wanted))
            .await?;
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(close) => return self.link.close(connection, close).await,
        };
        if request.snapshot != snapshot.no {
            let (site, streams) = (&self.local.remote.name, snapshot.reach.len());
            tracing::info!(site, journals = streams, "gives what is known here");
        }
        self.given = Some(Arc::clone(&snapshot));
        // It reads the disk: beside the engine, not in its loop.
        let read = move || exchange::page(&snapshot, &request, PAGE_ITEMS);
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
        let page = exchange::known_page(page);
        let engine = &self.local.engine;
        match engine.ask(move |e| e.take_page(source, page)).await? {
            Taken::Next(from) => {
                self.pages += 1;
                let items = self.pages * PAGE_ITEMS as u64;
                self.taking_over(&format!("at most {items} items came so far"));
                let request = exchange::request(from);
                self.link.send_request(connection, request).await
            }
            Taken::Whole => self.merge(connection).await,
            Taken::Outdated => {
                let detail = "what you know is taken over anew; connects again";
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

    /// Merges what came, piece by piece, so that others get to the engine in between.
    async fn merge(&self, connection: ConnectionNo) -> Result<()> {
        self.taking_over("all of it came and is merged");
        let items = loop {
            match self.local.engine.ask(Engine::merge_snapshot).await? {
                Merging::More => {}
                Merging::All(items) => break items,
            }
        };
        let site = self.local.remote.name.clone();
        tracing::info!(site, items, "took over what it knows");
        self.local.causes.clear(Topic::Snapshot(site));
        let detail = "took over what you know; connects again";
        let close = Close::new(CloseReason::Shutdown, detail);
        self.link.close(connection, close).await
    }

    /// Ends a connection on which nobody would go on; the next one does.
    pub(super) async fn closing_on_failure(
        &self,
        connection: ConnectionNo,
        done: Result<()>,
    ) -> Result<()> {
        if let Err(error) = &done {
            let detail = format!("cannot go on with a snapshot: {error}");
            let close = Close::new(CloseReason::Shutdown, detail);
            self.link.close(connection, close).await?;
        }
        done
    }

    /// Shows the operator how far it is.
    fn taking_over(&self, how_far: &str) {
        let site = self.local.remote.name.clone();
        let told = format!(
            "takes over what {site} knows, and sends and takes no entries of it meanwhile: {how_far}"
        );
        let next = "nothing is to be done; it goes on after an interruption, or begins anew";
        self.local.causes.set(Topic::Snapshot(site), told, next);
    }
}
