//! What operators do to a running site besides conflicts: resume, pause, connect anew, change the log.

use std::sync::PoisonError;

use super::logging;
use super::status::Reporter;
use crate::admin::transitions::event;
use crate::admin::view::{Level, RemovedView, ResumedView};
use crate::admin::{AdminError, Result};
use crate::conduit::ConduitState;
use crate::config::peers;
use crate::sync::engine::Engine;
use crate::tree::scan::Disbelief;

impl Reporter {
    /// Lets a site go on that is held or paused.
    pub(super) async fn resume_site(
        &self,
        site: &str,
        confirm: bool,
        by: &str,
    ) -> Result<ResumedView> {
        let Some((id, peer)) = self.peers.named(site) else {
            if site == self.site.1 {
                return self.resume_here(confirm, by);
            }
            return Err(self.no_site(site));
        };
        let held = self.engine.ask(Engine::held).await?;
        if held.contains_key(&id) && !confirm {
            return Err(AdminError::NotPossible {
                what: format!("the brake holds {site}, and what it deleted may not be meant"),
                hint: format!(
                    "look at its tree; when it is meant: cfs-repl sites resume {site} --confirm"
                ),
            });
        }
        let asked = self.engine.ask(move |e| {
            let was_paused = e.set_paused(id, false)?;
            Ok((e.resume(id)?, was_paused))
        });
        let (was_held, was_paused) = asked.await?;
        peer.link.steer(|steering| steering.paused = false);
        let changed = was_held || was_paused;
        if changed {
            self.record(Level::Info, "site.resumed", site, by, "");
        }
        Ok(ResumedView {
            site: site.to_owned(),
            changed,
        })
    }

    /// An operator says that this site's own tree was emptied on purpose.
    fn resume_here(&self, confirm: bool, by: &str) -> Result<ResumedView> {
        let site = self.site.1.clone();
        let facts = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let brake = facts.standing.brake;
        drop(facts);
        let refuse = |what: String, hint: String| Err(AdminError::NotPossible { what, hint });
        match brake {
            None => {}
            Some(why @ (Disbelief::Marker | Disbelief::Moved)) => {
                return refuse(
                    format!("the tree of {site} is not the one that it was: {why}"),
                    "mount the right filesystem, or put .cfs-repl/id back; a copy that shall take \
                     the place of the tree is adopted by: cfs-repl run --adopt-copy"
                        .to_owned(),
                );
            }
            Some(Disbelief::EmptyRoot) if !confirm => {
                return refuse(
                    format!("the tree of {site} is empty, and that may not be meant"),
                    format!(
                        "look at what is mounted there; when all of its files shall go at every \
                         site: cfs-repl sites resume {site} --confirm"
                    ),
                );
            }
            Some(Disbelief::EmptyRoot) => {
                self.looker.mean_empty();
                let text = format!("{site} resumed by {by}: its tree is empty on purpose");
                let mut told = event(Level::Warn, "site.resumed", None, text);
                told.fields.insert("by".to_owned(), by.to_owned());
                self.events.tell(told);
            }
        }
        Ok(ResumedView {
            site,
            changed: brake.is_some(),
        })
    }

    /// Stops the exchange with a site; returns whether that is a change.
    pub(super) async fn pause_site(&self, site: &str, note: &str, by: &str) -> Result<bool> {
        let Some((id, peer)) = self.peers.named(site) else {
            return Err(self.no_site(site));
        };
        // Kept first: what an operator is told holds over a crash.
        let changed = self.engine.ask(move |e| e.set_paused(id, true)).await?;
        peer.link.steer(|steering| steering.paused = true);
        if changed {
            self.record(Level::Warn, "site.paused", site, by, note);
        }
        Ok(changed)
    }

    /// Makes the connection to a site anew.
    pub(super) fn reconnect_site(&self, site: &str, by: &str) -> Result<()> {
        let Some((_, peer)) = self.peers.named(site) else {
            return Err(self.no_site(site));
        };
        if peer.link.is_paused() {
            return Err(AdminError::NotPossible {
                what: format!("{site} is paused, so nothing is connected"),
                hint: format!("cfs-repl sites resume {site}"),
            });
        }
        peer.link
            .steer(|steering| steering.anew = steering.anew.wrapping_add(1));
        self.record(Level::Info, "site.reconnected", site, by, "");
        Ok(())
    }

    /// Takes a site out for good.
    pub(super) async fn remove_site(&self, site: &str, by: &str) -> Result<RemovedView> {
        let Some((id, peer)) = self.peers.named(site) else {
            return Err(self.no_site(site));
        };
        if peer.link.status().state == ConduitState::Connected {
            return Err(AdminError::NotPossible {
                what: format!(
                    "{site} is connected, and what it writes from now on would be lost to all"
                ),
                hint: format!("stop cfs-repl at {site}, then again"),
            });
        }
        let name = site.to_owned();
        let ended = self.engine.ask(move |e| e.ends(id, &name)).await?;
        let state = self.reloader.current().state.dir;
        let removed = peers::remove(&state, site).map_err(|why| AdminError::NotPossible {
            what: format!("cannot take {site} out: {why}"),
            hint: "look at the disk of the state folder".to_owned(),
        })?;
        if removed {
            self.reloader.reload_config(by).await?;
        }
        self.record(Level::Warn, "site.removed", site, by, "");
        Ok(RemovedView {
            configured: !removed,
            journals: ended as u64,
        })
    }

    /// Changes what is logged.
    pub(super) fn log_level(&self, filter: &str, by: &str) -> Result<String> {
        let configured = self.reloader.current().log.level.as_str().to_owned();
        let filter = if filter.is_empty() {
            &configured
        } else {
            filter
        };
        let set = logging::set(filter).map_err(|why| AdminError::Invalid {
            what: format!("\"{filter}\" is no filter of the log: {why}"),
            hint: "error, warn, info, debug or trace, or as in: info,claudefs_repl::conduit=debug"
                .to_owned(),
        })?;
        let text = format!("what is logged was changed to {set} by {by}");
        let mut told = event(Level::Info, "log.changed", None, text);
        told.fields.insert("by".to_owned(), by.to_owned());
        told.fields.insert("filter".to_owned(), set.clone());
        self.events.tell(told);
        Ok(set)
    }

    /// Records what an operator did about a site.
    fn record(&self, level: Level, name: &str, site: &str, by: &str, note: &str) {
        let what = name.rsplit('.').next().unwrap_or(name);
        let because = if note.is_empty() {
            String::new()
        } else {
            format!(": {note}")
        };
        let mut told = event(
            level,
            name,
            Some(site),
            format!("{site} {what} by {by}{because}"),
        );
        told.fields.insert("by".to_owned(), by.to_owned());
        if !note.is_empty() {
            told.fields.insert("note".to_owned(), note.to_owned());
        }
        self.events.tell(told);
    }
}
