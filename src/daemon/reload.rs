//! Reads the configuration again while the daemon runs: what can change does, what needs a restart is named, and a
//! file that is not good changes nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::causes::{Causes, Topic};
use super::certificates::Certificates;
use super::events::Events;
use super::logging;
use super::roster::Roster;
use crate::admin::transitions::event;
use crate::admin::view::{Level, ReloadedView};
use crate::admin::{AdminError, Result};
use crate::config::Config;

/// Reads again. Clones share it.
#[derive(Clone, Debug)]
pub struct Reloader {
    pub(super) file: Option<PathBuf>,
    /// As it was read last.
    pub(super) config: Arc<Mutex<Config>>,
    pub(super) certificates: Certificates,
    pub(super) roster: Roster,
    pub(super) causes: Causes,
    pub(super) events: Events,
    /// One at a time.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

impl Reloader {
    /// Reads configuration and certificates again.
    ///
    /// # Errors
    /// [`AdminError::NotPossible`] when a file is not good; nothing was changed by that file.
    pub async fn reload(&self, by: &str) -> Result<ReloadedView> {
        let certificates = self.certificates.reload();
        let view = self.reload_config(by).await?;
        match certificates {
            Ok(()) => Ok(view),
            Err(what) => Err(AdminError::NotPossible {
                what,
                hint: "correct the file, then: cfs-repl reload".to_owned(),
            }),
        }
    }

    /// The same for the configuration alone, which the daemon itself changed: bad certificates beside it say nothing
    /// against that.
    ///
    /// # Errors
    /// As [`Reloader::reload`].
    pub(super) async fn reload_config(&self, by: &str) -> Result<ReloadedView> {
        let _turn = self.turn.lock().await;
        let Some(file) = &self.file else {
            return Ok(ReloadedView::default());
        };
        let wanted = match Config::read(file) {
            Ok(config) => config,
            Err(error) => return Err(self.refused(error.to_string())),
        };
        let before = self.current();
        let mut view = changes(&before, &wanted);
        if let Some(why) = keeps_from_starting(file, &before, &wanted, &view) {
            return Err(self.refused(format!("the daemon would not start with it: {why}")));
        }
        if let Err(error) = self.roster.adopt(&wanted.peers, &wanted.conduit).await {
            return Err(self.refused(error.to_string()));
        }
        if before.log.level != wanted.log.level
            && let Err(why) = logging::set(wanted.log.level.as_str())
        {
            tracing::warn!(why, "log.level was not taken");
            view.applied.retain(|key| key != "log.level");
        }
        self.causes.clear(Topic::Config);
        // What needs a restart is still as it was.
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.peers = wanted.peers;
        config.conduit = crate::config::ConduitSettings {
            listen: config.conduit.listen,
            ..wanted.conduit
        };
        config.log.level = wanted.log.level;
        drop(config);
        let (applied, needs_restart) = (view.applied.join(", "), view.needs_restart.join(", "));
        tracing::info!(by, applied, needs_restart, "configuration was read again");
        let mut told = event(
            Level::Info,
            "config.reloaded",
            None,
            format!(
                "configuration read again by {by}: {}",
                what_is_different(&view)
            ),
        );
        told.fields.insert("by".to_owned(), by.to_owned());
        told.fields.insert("applied".to_owned(), applied);
        told.fields
            .insert("needs_restart".to_owned(), needs_restart);
        self.events.tell(told);
        Ok(view)
    }

    /// The configuration that holds.
    pub(super) fn current(&self) -> Config {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.clone()
    }

    fn refused(&self, why: String) -> AdminError {
        tracing::error!(why, "configuration was not taken, the old one stays in use");
        let what =
            format!("the changed configuration was not taken, the old one stays in use: {why}");
        let next = "correct the file, then: cfs-repl reload".to_owned();
        self.causes.set(Topic::Config, what.clone(), next.clone());
        AdminError::NotPossible { what, hint: next }
    }
}

/// Why a daemon would not start with a configuration of which some of what changed needs a start. What did not change
/// is left alone: a tree that is not mounted for now must not keep a peer from being taken.
fn keeps_from_starting(
    file: &Path,
    before: &Config,
    wanted: &Config,
    changed: &ReloadedView,
) -> Option<String> {
    if changed.needs_restart.is_empty() {
        return None;
    }
    let (is, would_be) = (before.site.id, wanted.site.id);
    if is != would_be {
        return Some(format!(
            "site.id is {is} for good, and {would_be} would be another site"
        ));
    }
    Config::load(file).err().map(|error| error.to_string())
}

/// What a reload found, in words.
fn what_is_different(view: &ReloadedView) -> String {
    let (applied, later) = (view.applied.join(", "), view.needs_restart.join(", "));
    match (applied.as_str(), later.as_str()) {
        ("", "") => "nothing in it is different".to_owned(),
        ("", later) => format!("nothing at once; {later} will hold when it is started again"),
        (applied, "") => applied.to_owned(),
        (applied, later) => format!("{applied}; {later} will hold when it is started again"),
    }
}

/// Pure: which keys are different, and when they hold.
fn changes(before: &Config, after: &Config) -> ReloadedView {
    let mut view = ReloadedView::default();
    let conduit = |config: &Config| {
        let conduit = &config.conduit;
        (conduit.window_entries, conduit.window_bytes)
    };
    let age = |config: &Config| config.conduit.max_connection_age;
    let delays = |config: &Config| {
        let conduit = &config.conduit;
        (conduit.reconnect_delay, conduit.max_reconnect_delay)
    };
    let now = [
        ("peer", before.peers != after.peers),
        ("conduit.window", conduit(before) != conduit(after)),
        ("conduit.max_connection_age", age(before) != age(after)),
        ("log.level", before.log.level != after.log.level),
    ];
    let later = [
        ("site", before.site != after.site),
        ("tree", before.tree != after.tree),
        ("state", before.state != after.state),
        (
            "conduit.listen",
            before.conduit.listen != after.conduit.listen,
        ),
        ("conduit.reconnect_delay", delays(before) != delays(after)),
        ("tls", before.tls != after.tls),
        ("conflicts", before.conflicts != after.conflicts),
        ("trash", before.trash != after.trash),
        ("alerts", before.alerts != after.alerts),
        ("admin", before.admin != after.admin),
        ("metrics", before.metrics != after.metrics),
        ("log.format", before.log.format != after.log.format),
    ];
    let names = |all: &[(&str, bool)]| -> Vec<String> {
        let changed = all.iter().filter(|(_, changed)| *changed);
        changed.map(|(name, _)| (*name).to_owned()).collect()
    };
    view.applied = names(&now);
    view.needs_restart = names(&later);
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_is_told_in_words_whatever_it_found() {
        let told = |applied: &[&str], later: &[&str]| {
            let words = |all: &[&str]| all.iter().map(|key| (*key).to_owned()).collect();
            what_is_different(&ReloadedView {
                applied: words(applied),
                needs_restart: words(later),
            })
        };
        assert_eq!(told(&[], &[]), "nothing in it is different");
        assert_eq!(
            told(&[], &["tree"]),
            "nothing at once; tree will hold when it is started again"
        );
        assert_eq!(told(&["peer", "log.level"], &[]), "peer, log.level");
        assert_eq!(
            told(&["peer"], &["tree", "tls"]),
            "peer; tree, tls will hold when it is started again"
        );
    }
}
