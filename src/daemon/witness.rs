//! Looks at the site once a second and tells what happened since: sites that come and go, new conflicts, certificates
//! that end soon.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::causes::Topic;
use super::reload::Reloader;
use super::status::Reporter;
use super::tasks::Tasks;
use crate::admin::Source as _;
use crate::admin::transitions::{Stood, event};
use crate::admin::view::{ConflictView, EventView, Level, path_text};
use crate::clock::rfc3339;
use crate::error::Result;
use crate::store::Fresh;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Looks between two at the certificates.
const CERTIFICATES_EVERY: u32 = 60;
/// A certificate that ends within this time is told: two weeks, so that a holiday does not hide it.
const EXPIRING_US: u64 = 14 * 86_400 * 1_000_000;

/// Tells what happens until `tasks` ends.
pub(super) async fn run(tasks: Tasks, reporter: Arc<Reporter>, reloader: Reloader) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut witness = Witness {
        reporter,
        reloader,
        stood: Stood::default(),
        looks: 0,
    };
    loop {
        tokio::select! {
            () = tasks.token().cancelled() => return,
            _ = every.tick() => {}
        }
        let looking = tasks.token().run_until_cancelled(witness.look()).await;
        match looking {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "nothing seen"),
        }
    }
}

struct Witness {
    reporter: Arc<Reporter>,
    reloader: Reloader,
    stood: Stood,
    looks: u32,
}

impl Witness {
    async fn look(&mut self) -> Result<()> {
        if self.looks.is_multiple_of(CERTIFICATES_EVERY) {
            self.certificates();
        }
        self.looks = self.looks.wrapping_add(1);
        let Ok(overview) = self.reporter.overview().await else {
            return Ok(());
        };
        for event in self.stood.look(&overview.status) {
            self.reporter.events.tell(event);
        }
        self.conflicts().await
    }

    async fn conflicts(&self) -> Result<()> {
        let fresh = self.reporter.engine.ask(|e| e.fresh_conflicts()).await?;
        self.changed(&fresh).await;
        if fresh.ids.is_empty() {
            return Ok(());
        }
        let Ok(views) = self.reporter.conflict_views(&fresh.ids).await else {
            return Ok(());
        };
        for view in &views {
            let told = conflict_event(view);
            if told.level == Level::Warn {
                let (conflict, kind) = (&view.id, &view.kind);
                // Without its path: names stay out of the log.
                tracing::warn!(name = "conflict.lossy", conflict, kind, "conflict recorded");
            }
            self.reporter.events.tell(told);
        }
        if fresh.more > 0 {
            let count = fresh.more;
            let text = format!("{count} more conflicts within one second: cfs-repl conflicts list");
            tracing::warn!(name = "conflict.lossy", count, "more conflicts recorded");
            let mut told = event(Level::Warn, "conflict.lossy", None, text);
            told.fields.insert("count".to_owned(), count.to_string());
            self.reporter.events.tell(told);
        }
        Ok(())
    }

    /// Tells what became of conflicts that were on record, wherever an operator or a newer version did it.
    async fn changed(&self, fresh: &Fresh) {
        let mut seen = BTreeSet::new();
        let mut ids = fresh.changed.clone();
        ids.retain(|id| seen.insert(*id));
        if ids.is_empty() {
            return;
        }
        let Ok(listed) = self.reporter.engine.ask(move |e| e.listed(&ids)).await else {
            return;
        };
        for one in listed {
            // Who took an acknowledgement back is not in the view: there is none any more.
            let undone = one.ack.as_ref().filter(|ack| !ack.acked);
            let undone_by = undone.map(|ack| ack.by.clone());
            let view = self
                .reporter
                .conflict_view(&one.record, one.ack.as_ref(), one.path);
            let told = changed_event(&view, undone_by.as_deref());
            self.reporter.events.tell(told);
        }
        if fresh.more_changed > 0 {
            let count = fresh.more_changed;
            let text = format!("{count} more conflicts changed within one second");
            let mut told = event(Level::Info, "conflict.closed", None, text);
            told.fields.insert("count".to_owned(), count.to_string());
            self.reporter.events.tell(told);
        }
    }

    /// Tells certificates that end soon, or takes that back.
    fn certificates(&self) {
        let Some(tls) = self.reloader.certificates.tls() else {
            return;
        };
        let expires_us = tls.expires_us();
        let left_us = expires_us.saturating_sub(self.reporter.clock.now_us());
        if left_us > EXPIRING_US {
            self.reporter.causes.clear(Topic::Expiry);
            return;
        }
        let at = rfc3339(expires_us).unwrap_or_default();
        let when = match left_us / 86_400_000_000 {
            0 => format!("within {} hours", left_us / 3_600_000_000 + 1),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        };
        self.reporter.causes.set(
            Topic::Expiry,
            format!("the certificate of this site, or its authority, ends {when}, at {at}"),
            "put a new one in its place, then: cfs-repl reload (how: cfs-repl help security)",
        );
    }
}

/// A conflict that was acknowledged, settled, or opened again by somebody.
fn changed_event(view: &ConflictView, undone_by: Option<&str>) -> EventView {
    let id = &view.id;
    let (name, how, text) = match &view.ack {
        Some(ack) => {
            let text = format!("{id} was acknowledged by {}", ack.by);
            ("conflict.closed", "acknowledged", text)
        }
        None if view.superseded => {
            let text = format!("{id} was settled by a version that had seen it");
            ("conflict.closed", "superseded", text)
        }
        None => {
            let by = undone_by.map_or_else(String::new, |by| format!(" by {by}"));
            let text = format!("the acknowledgement of {id} was taken back{by}");
            ("conflict.reopened", "reopened", text)
        }
    };
    let mut told = event(Level::Info, name, None, text);
    let mut fields = vec![("conflict", id.clone()), ("how", how.to_owned())];
    if let Some(ack) = &view.ack {
        fields.extend([("by", ack.by.clone()), ("note", ack.note.clone())]);
    } else if !view.superseded {
        fields.extend(undone_by.map(|by| ("by", by.to_owned())));
    }
    told.fields = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    told
}

/// A new conflict. What is open is worth a look, everything else is for information.
fn conflict_event(view: &ConflictView) -> EventView {
    let site = |version: Option<&crate::admin::view::VersionView>| {
        version.map_or_else(
            || "nobody".to_owned(),
            |v| {
                v.site
                    .clone()
                    .unwrap_or_else(|| format!("site {}", v.site_id))
            },
        )
    };
    let (won, lost) = (site(view.winner.as_ref()), site(Some(&view.loser)));
    let path = view
        .path
        .as_deref()
        .map_or_else(|| format!("inode {}", view.inode), path_text);
    let (level, name) = if view.is_open() {
        (Level::Warn, "conflict.lossy")
    } else {
        (Level::Info, "conflict.recorded")
    };
    let text = format!(
        "{} {} of {path}: {won} won, {lost} lost; cfs-repl conflicts show {}",
        view.kind, view.register, view.id
    );
    let mut fields = BTreeMap::from([
        ("conflict", view.id.clone()),
        ("kind", view.kind.clone()),
        ("register", view.register.clone()),
        ("path", path),
        ("inode", view.inode.to_string()),
        ("won", won),
        ("lost", lost),
    ]);
    fields.extend(
        view.lost_bytes
            .map(|bytes| ("lost_bytes", bytes.to_string())),
    );
    EventView {
        fields: fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        ..event(level, name, view.loser.site.as_deref(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view::tests::conflict;

    #[test]
    fn who_gave_an_acknowledgement_or_took_it_back_is_on_record() {
        let acked = conflict();
        let by = |told: &EventView| told.fields.get("by").cloned();
        let told = changed_event(&acked, None);
        assert_eq!(told.name, "conflict.closed");
        assert_eq!(by(&told), acked.ack.as_ref().map(|ack| ack.by.clone()));
        let open = ConflictView {
            ack: None,
            superseded: false,
            ..conflict()
        };
        let told = changed_event(&open, Some("bo"));
        assert_eq!(told.name, "conflict.reopened");
        assert_eq!(by(&told).as_deref(), Some("bo"));
        assert!(told.text.ends_with("was taken back by bo"), "{}", told.text);
        let settled = ConflictView {
            superseded: true,
            ..open
        };
        assert_eq!(by(&changed_event(&settled, Some("bo"))), None);
    }
}
