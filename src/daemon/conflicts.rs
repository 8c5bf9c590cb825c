//! The conflict inbox: what is on record, told to operators, and what they decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::restore::is_winner;
use super::status::{Reporter, join};
use crate::admin::filter::{AckRequest, Matcher};
use crate::admin::transitions::event;
use crate::admin::view::{
    AckView, AckedView, BytesAt, ConflictDetail, ConflictView, Level, ValueView, VersionView,
    order_certain, plural,
};
use crate::admin::{AdminError, Pieces, Result};
use crate::error::ReplError;
use crate::journal::dot::{Dot, LwwKey};
use crate::journal::entry::RegisterId;
use crate::journal::op::{Content, FileTime, NOTE_BYTES_MAX, Name};
use crate::sync::conflict::{Ack, ConflictId, ConflictKind, ConflictRecord, LostValue};
use crate::sync::engine::{Engine, Listed};
use crate::sync::port::{Image, Versioned};
use crate::tree::serve::is_kept;

/// Conflicts that the engine looks up in one go: a few milliseconds, so that nothing else waits long.
const LOOKED_UP: usize = 1_024;
/// Conflicts that are named where the beginning of an id is one of several.
const AMBIGUOUS_SHOWN: usize = 5;
/// Conflicts that are named in the event of an acknowledgement.
const RECORDED_MAX: usize = 100;

impl Reporter {
    /// The conflicts on record that `filter` lets through, oldest first.
    pub(super) async fn conflict_ids(&self, filter: &Matcher) -> Result<Vec<ConflictId>> {
        if let Some(name) = filter.site().filter(|name| !self.knows(name)) {
            return Err(self.no_site(name));
        }
        // Of each only what is needed to put them in order is kept.
        let mut found: Vec<(u64, ConflictId)> = Vec::new();
        let mut from = Some(ConflictId::default());
        while let Some(at) = from {
            let asked = self.engine.ask(move |e| e.conflicts_from(at, LOOKED_UP));
            let page = asked.await?;
            let last = page.last().map(|(record, _)| record.id);
            from = last
                .filter(|_| page.len() == LOOKED_UP)
                .and_then(ConflictId::successor);
            let mut through = Vec::new();
            for (record, ack) in page {
                let view = self.conflict_view(&record, ack.as_ref(), None);
                if filter.lets_through_apart_from_path(&view) {
                    through.push((record.detected_at_us, record.id));
                }
            }
            if filter.asks_for_path() {
                let ids: Vec<ConflictId> = through.iter().map(|(_, id)| *id).collect();
                let listed = self.engine.ask(move |e| e.listed(&ids)).await?;
                through = listed
                    .into_iter()
                    .filter(|one| {
                        // A name that was lost is the one that people know.
                        let lost = one.lost_path.clone().map(join);
                        let path = one.path.clone().map(|(names, _)| join(names));
                        filter.lets_path_through(path.as_deref())
                            || (lost.is_some() && filter.lets_path_through(lost.as_deref()))
                    })
                    .map(|one| (one.record.detected_at_us, one.record.id))
                    .collect();
            }
            found.append(&mut through);
        }
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    /// These conflicts in this order, apart from those that are not on record.
    pub(super) async fn conflict_views(&self, ids: &[ConflictId]) -> Result<Vec<ConflictView>> {
        let ids = ids.to_vec();
        let listed = self.engine.ask(move |e| e.listed(&ids)).await?;
        let view = |one: Listed| self.conflict_view(&one.record, one.ack.as_ref(), one.path);
        Ok(listed.into_iter().map(view).collect())
    }

    /// The one conflict that `id` means.
    pub(super) async fn conflict_of(&self, id: &str) -> Result<Listed> {
        let unknown = || AdminError::ConflictUnknown { id: id.to_owned() };
        if matches!(id, "" | "c-") {
            return Err(AdminError::Invalid {
                what: format!("\"{id}\" is no id of a conflict"),
                hint: "give an id, or the beginning of one: cfs-repl conflicts list".to_owned(),
            });
        }
        let (low, high) = ConflictId::span(id).ok_or_else(unknown)?;
        let asked = move |e: &mut Engine| e.conflicts_from(low, AMBIGUOUS_SHOWN + 1);
        let found = self.engine.ask(asked).await?;
        let ids: Vec<ConflictId> = found
            .into_iter()
            .map(|(record, _)| record.id)
            .filter(|id| *id <= high)
            .collect();
        if ids.len() > 1 {
            let first = ids.iter().take(AMBIGUOUS_SHOWN);
            return Err(AdminError::ConflictAmbiguous {
                id: id.to_owned(),
                found: first.map(ConflictId::to_string).collect(),
            });
        }
        let listed = self.engine.ask(move |e| e.listed(&ids)).await?;
        listed.into_iter().next().ok_or_else(unknown)
    }

    /// One conflict with both versions.
    pub(super) async fn conflict_detail(&self, id: &str) -> Result<ConflictDetail> {
        let listed = self.conflict_of(id).await?;
        let record = &listed.record;
        let inode = record.inode;
        let image = self.engine.ask(move |e| e.applied(inode)).await?;
        let path = listed.path.clone();
        let shown_path = path.clone().filter(|(_, is_shown)| *is_shown);
        let shown_path = shown_path.map(|(names, _)| join(names));
        let shown = image.and_then(|image| shown(&image, &record.register, shown_path));
        // What went away is shown as that.
        let shown = shown.or_else(|| listed.is_gone().then(|| (removed(), None)));
        let shown_is_winner = is_winner(record, shown.as_ref().and_then(|(_, dot)| *dot));
        let skew_bound_us = self.skew_bound_us(record);
        let conflict = self.conflict_view(record, listed.ack.as_ref(), path);
        Ok(ConflictDetail {
            lost: lost(record, listed.lost_path.clone()),
            shown_is_winner,
            shown: shown.map(|(value, _)| value),
            bytes_at: self.bytes_at(record).await?,
            why: why(record),
            skew_bound_us,
            order_certain: order_certain(conflict.gap_us, skew_bound_us),
            conflict,
            diff: None,
            no_diff: None,
        })
    }

    /// The bytes that lost.
    pub(super) async fn loser_bytes(&self, id: &str) -> Result<Pieces> {
        let listed = self.conflict_of(id).await?;
        self.restorer.read(&listed).await
    }

    /// The bytes that are shown where the loser lost.
    pub(super) async fn shown_bytes(&self, id: &str, bytes_max: Option<u64>) -> Result<Pieces> {
        let listed = self.conflict_of(id).await?;
        self.restorer.read_shown(&listed, bytes_max).await
    }

    /// Acknowledges, or takes that back.
    pub(super) async fn acknowledge(
        &self,
        request: AckRequest<Matcher>,
        by: &str,
    ) -> Result<Vec<AckedView>> {
        let AckRequest { note, undo, .. } = &request;
        let undo = *undo;
        if note.len() > NOTE_BYTES_MAX {
            let bytes = note.len();
            return Err(AdminError::NotPossible {
                what: format!("the note has {bytes} bytes, more than {NOTE_BYTES_MAX}"),
                hint: "say it shorter".to_owned(),
            });
        }
        // All are found before any is changed.
        let mut wanted: Vec<(ConflictId, Option<Ack>)> = Vec::new();
        for id in &request.ids {
            let Listed { record, ack, .. } = self.conflict_of(id).await?;
            wanted.push((record.id, ack));
        }
        if let Some(filter) = &request.filter {
            let ids = self.conflict_ids(filter).await?;
            let found = ids.len() as u64;
            if let Some(expected) = request.expect.filter(|expected| *expected != found) {
                return Err(AdminError::Unexpected { expected, found });
            }
            for page in ids.chunks(LOOKED_UP) {
                let page = page.to_vec();
                let listed = self.engine.ask(move |e| e.listed(&page)).await?;
                wanted.extend(listed.into_iter().map(|one| (one.record.id, one.ack)));
            }
        }
        let mut seen = BTreeSet::new();
        wanted.retain(|(id, _)| seen.insert(*id));
        let is_acked = |ack: &Option<Ack>| ack.as_ref().is_some_and(|ack| ack.acked);
        let fresh = wanted.iter().filter(|(_, ack)| is_acked(ack) == undo);
        let fresh: Vec<ConflictId> = fresh.map(|(id, _)| *id).collect();
        let made = self.acks(&fresh, !undo, note, by, request.dry_run).await?;
        let mut made: BTreeMap<ConflictId, Ack> = fresh.into_iter().zip(made).collect();
        let views = wanted.into_iter().map(|(id, before)| {
            let made = made.remove(&id);
            AckedView {
                id: id.to_string(),
                changed: made.is_some(),
                ack: made.or(before).filter(|ack| ack.acked).map(ack_view),
            }
        });
        let views: Vec<AckedView> = views.collect();
        self.record_acks(&views, &request, by);
        Ok(views)
    }

    fn record_acks(&self, views: &[AckedView], request: &AckRequest<Matcher>, by: &str) {
        let changed = views.iter().filter(|view| view.changed);
        let ids: Vec<&str> = changed.map(|view| view.id.as_str()).collect();
        if request.dry_run || ids.is_empty() {
            return;
        }
        let what = if request.undo { "taken back" } else { "given" };
        let count = ids.len();
        let text = format!(
            "acknowledgement of {} {what} by {by}",
            plural(count as u64, "conflict")
        );
        let mut told = event(Level::Info, "conflict.acknowledged", None, text);
        // A bulk is told by its size.
        let ids = ids
            .into_iter()
            .take(RECORDED_MAX)
            .collect::<Vec<_>>()
            .join(" ");
        let fields = [
            ("by", by.to_owned()),
            ("conflicts", ids),
            ("count", count.to_string()),
            ("note", request.note.clone()),
        ];
        told.fields = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        self.events.tell(told);
    }

    async fn acks(
        &self,
        ids: &[ConflictId],
        acked: bool,
        note: &str,
        by: &str,
        dry_run: bool,
    ) -> Result<Vec<Ack>> {
        if dry_run {
            let ack = Ack {
                at_us: self.clock.now_us(),
                by: by.to_owned(),
                note: note.to_owned(),
                key: LwwKey::default(),
                acked,
            };
            return Ok(vec![ack; ids.len()]);
        }
        let (ids, note, by) = (ids.to_vec(), note.to_owned(), by.to_owned());
        let asked = self
            .engine
            .ask(move |e| e.acknowledge(&ids, acked, &note, &by));
        Ok(asked.await?)
    }

    /// Where the bytes are that lost. What this site keeps is not read for it.
    async fn bytes_at(&self, record: &ConflictRecord) -> Result<BytesAt> {
        let LostValue::Content(content) = &record.lost else {
            return Ok(BytesAt::None);
        };
        if content.inline.is_some() || content.size == 0 {
            return Ok(BytesAt::Here);
        }
        let (root, mut engine) = (Arc::clone(&self.restorer.root), self.engine.clone());
        let (inode, version) = (record.inode, content.manifest_root);
        let kept = tokio::task::spawn_blocking(move || is_kept(&mut engine, &root, inode, version));
        let is_here = kept.await.map_err(|_| ReplError::Shutdown)??;
        Ok(match (is_here, record.kind) {
            (true, _) => BytesAt::Here,
            (false, ConflictKind::ContentLost) => BytesAt::Gone,
            // Nobody but this site ever had them.
            (false, _) if record.loser.seq == 0 => BytesAt::Gone,
            (false, _) => BytesAt::Elsewhere,
        })
    }

    /// By how much the clocks of both authors differ at most, as measured now.
    fn skew_bound_us(&self, record: &ConflictRecord) -> Option<u64> {
        let winner = record.winner?;
        if winner.site_id == record.loser.site_id {
            return Some(0);
        }
        let peers = self.peers.all();
        // Between two other sites: what both are apart from this one.
        [winner.site_id, record.loser.site_id]
            .into_iter()
            .filter(|site| *site != self.site.0)
            .map(|site| {
                let clocks = peers.get(&site)?.seen().clocks?;
                Some(clocks.skew_us.unsigned_abs() + clocks.round_trip_us().div_ceil(2))
            })
            .sum()
    }

    fn version(&self, key: LwwKey) -> VersionView {
        VersionView {
            site: self.site_name(key.site_id),
            site_id: key.site_id,
            stream: key.shard_id,
            seq: key.seq,
            timestamp_us: key.timestamp_us,
        }
    }

    /// A conflict with the path of its inode and whether that is shown there.
    pub(super) fn conflict_view(
        &self,
        record: &ConflictRecord,
        ack: Option<&Ack>,
        path: Option<(Vec<Name>, bool)>,
    ) -> ConflictView {
        let gone = path.as_ref().is_some_and(|(_, is_shown)| !is_shown);
        let winner = record.winner;
        ConflictView {
            id: record.id.to_string(),
            kind: record.kind.word().to_owned(),
            path: path.map(|(names, _)| join(names)),
            gone,
            inode: record.inode,
            register: register_word(&record.register).to_owned(),
            winner: winner.map(|key| self.version(key)),
            loser: self.version(record.loser),
            gap_us: winner.map(|key| key.timestamp_us.abs_diff(record.loser.timestamp_us)),
            detected_us: record.detected_at_us,
            lost_bytes: lost_bytes(&record.lost),
            superseded: record.superseded,
            ack: ack.filter(|ack| ack.acked).cloned().map(ack_view),
        }
    }
}

fn ack_view(ack: Ack) -> AckView {
    AckView {
        by: ack.by,
        note: ack.note,
        at_us: ack.at_us,
    }
}

const fn lost_bytes(lost: &LostValue) -> Option<u64> {
    if let LostValue::Content(content) = lost {
        return Some(content.size);
    }
    None
}

fn register_word(register: &RegisterId) -> &'static str {
    match register {
        RegisterId::Content => "content",
        RegisterId::Mode => "mode",
        RegisterId::Owner => "owner",
        RegisterId::Times => "times",
        RegisterId::Flags => "flags",
        RegisterId::Xattr(_) => "xattr",
        RegisterId::LinkPlace(_) | RegisterId::DirPlace => "place",
    }
}

fn content_value(content: &Content) -> ValueView {
    ValueView {
        size_bytes: Some(content.size),
        root: Some(content.manifest_root.0),
        mtime_us: mtime_us(content.mtime),
        ..ValueView::default()
    }
}

fn mtime_us(time: FileTime) -> Option<u64> {
    (time.seconds >= 0).then(|| time.clamped_us())
}

/// What lost, with its path where a place did.
fn lost(record: &ConflictRecord, path: Option<Vec<Name>>) -> Option<ValueView> {
    let none = ValueView::default;
    Some(match &record.lost {
        LostValue::Unknown => return None,
        LostValue::Content(content) => content_value(content),
        LostValue::Mode(mode) => ValueView {
            mode: Some(*mode),
            ..none()
        },
        LostValue::Owner(owner) => ValueView {
            uid: Some(owner.uid),
            gid: Some(owner.gid),
            ..none()
        },
        LostValue::Times(time) => ValueView {
            mtime_us: mtime_us(*time),
            ..none()
        },
        LostValue::Flags(flags) => ValueView {
            flags: Some(*flags),
            ..none()
        },
        LostValue::Xattr(value) => ValueView {
            xattr: xattr_name(&record.register),
            xattr_value: value.as_ref().map(|value| value.to_vec()),
            removed: value.is_none(),
            ..none()
        },
        LostValue::Place { live, .. } => ValueView {
            path: path.map(join),
            removed: !live,
            ..none()
        },
    })
}

fn removed() -> ValueView {
    ValueView {
        removed: true,
        ..ValueView::default()
    }
}

fn xattr_name(register: &RegisterId) -> Option<Vec<u8>> {
    match register {
        RegisterId::Xattr(name) => Some(name.to_vec()),
        RegisterId::Content
        | RegisterId::Mode
        | RegisterId::Owner
        | RegisterId::Times
        | RegisterId::Flags
        | RegisterId::LinkPlace(_)
        | RegisterId::DirPlace => None,
    }
}

/// What is shown of a register, and which version that is, where it is one.
fn shown(
    image: &Image,
    register: &RegisterId,
    path: Option<Vec<u8>>,
) -> Option<(ValueView, Option<Dot>)> {
    fn view<T>(
        version: Option<&Versioned<T>>,
        view: impl FnOnce(&T) -> ValueView,
    ) -> Option<(ValueView, Option<Dot>)> {
        version.map(|version| (view(&version.value), Some(version.dot)))
    }
    let none = ValueView::default;
    match register {
        RegisterId::Content => view(image.content.as_ref(), content_value),
        RegisterId::Mode => view(image.mode.as_ref(), |mode| ValueView {
            mode: Some(*mode),
            ..none()
        }),
        RegisterId::Owner => view(image.owner.as_ref(), |owner| ValueView {
            uid: Some(owner.uid),
            gid: Some(owner.gid),
            ..none()
        }),
        RegisterId::Times => view(image.mtime.as_ref(), |time| ValueView {
            mtime_us: mtime_us(*time),
            ..none()
        }),
        RegisterId::Flags => view(image.flags.as_ref(), |flags| ValueView {
            flags: Some(*flags),
            ..none()
        }),
        RegisterId::Xattr(name) => view(image.xattrs.get(name), |value| ValueView {
            xattr: Some(name.to_vec()),
            xattr_value: Some(value.to_vec()),
            ..none()
        }),
        RegisterId::LinkPlace(_) | RegisterId::DirPlace => {
            let removed = path.is_none();
            Some((
                ValueView {
                    path,
                    removed,
                    ..none()
                },
                None,
            ))
        }
    }
}

/// Why the winner won, in one sentence.
fn why(record: &ConflictRecord) -> String {
    let later = |what: &str| match record.winner {
        None => "nothing took its place".to_owned(),
        Some(winner) if winner.timestamp_us > record.loser.timestamp_us => {
            format!("{what} is stamped later")
        }
        Some(winner) if winner.timestamp_us < record.loser.timestamp_us => {
            "what took its place had seen it".to_owned()
        }
        Some(_) => "both stamps are equal, then the larger site number wins".to_owned(),
    };
    let why = match record.kind {
        ConflictKind::Register if record.loser.seq == 0 => {
            "a program wrote it to a file that had been replaced already".to_owned()
        }
        ConflictKind::Register => later("the winner"),
        ConflictKind::WriteUnlink if matches!(record.lost, LostValue::Content(_)) => {
            later("the removal")
        }
        ConflictKind::WriteUnlink => later("the write"),
        ConflictKind::NameClash => {
            "two got one name: one keeps it, the other stands beside it".to_owned()
        }
        ConflictKind::RmdirCreate => {
            "a removed directory stays for what others put into it".to_owned()
        }
        ConflictKind::MoveCycle => "the move would have put a directory into itself".to_owned(),
        ConflictKind::SuidDropped => {
            "set-uid and set-gid bits are not given to bytes of another site".to_owned()
        }
        ConflictKind::ContentLost => "every site says that it has not the bytes".to_owned(),
        ConflictKind::Merged => "different things were changed, and both changes stand".to_owned(),
    };
    if record.superseded {
        format!("{why}; it is settled, by a version that had seen it or because both did the same")
    } else {
        why
    }
}
