//! What compaction makes of what is to be sent to a peer: by a running daemon, or from a state folder.
//!
//! Promise: nothing is changed, and nothing of the work is done in the engine's loop, which gives out a reader and no
//! more. A batch is cut as the sender cuts it, because an entry can go only where another one of its own batch stands
//! for it; the sender may cut at other places, where it goes on while the journal grows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tokio::sync::mpsc;

use super::peer::{FRAME_BYTES, FRAME_ENTRIES};
use super::peers::PeerHandle;
use super::status::Reporter;
use crate::admin::view::preview::{PreviewPiece, PreviewRequest};
use crate::admin::{Previews, Result as AdminResult};
use crate::disk::ReadOnlyDisk;
use crate::error::{ReplError, Result};
use crate::journal::retention::Cursors;
use crate::journal::{BatchReader, LogLook};
use crate::sync::engine::remembered;
use crate::topology::SiteId;
use tally::Tally;

mod tally;

/// Pieces that wait for whoever asked. One piece is at most a frame's entries.
const PIECES_MAX: usize = 4;

/// What is to be sent to one peer.
struct Backlog {
    site: Option<String>,
    site_id: Option<u64>,
    /// None: nothing can be sent.
    reader: Option<BatchReader>,
    /// Nothing behind it counts: the journal goes on while it is read.
    end: u64,
    notes: Vec<String>,
}

impl Backlog {
    /// Hands what was found to `give`, piece by piece, until it returns false, or whoever asked `is_gone`.
    fn run(
        mut self,
        request: &PreviewRequest,
        is_gone: &dyn Fn() -> bool,
        give: &mut dyn FnMut(PreviewPiece) -> bool,
    ) -> Result<bool> {
        let mut tally = Tally::default();
        while let Some(reader) = self.reader.as_mut().filter(|it| it.position() < self.end) {
            if is_gone() {
                return Ok(false);
            }
            let frame = reader.next_frame(FRAME_BYTES, FRAME_ENTRIES)?;
            let Some((batches, _)) = frame else { break };
            let mut fates = Vec::new();
            let wanted = |stream| request.stream.is_none_or(|only| only == stream);
            for batch in batches.iter().filter(|batch| wanted(batch.stream)) {
                let found = tally.take(batch).into_iter();
                fates.extend(found.filter(|fate| request.show == Some(fate.outcome)));
            }
            for fate in &mut fates {
                fate.site.clone_from(&self.site);
            }
            if !fates.is_empty() && !give(PreviewPiece::Fates(fates)) {
                return Ok(false);
            }
        }
        let mut preview = tally.into_preview();
        (preview.site, preview.site_id) = (self.site, self.site_id);
        preview.notes = self.notes;
        Ok(give(PreviewPiece::Site(preview)))
    }
}

impl Reporter {
    /// What compaction makes of what is to be sent.
    pub(super) async fn compact_preview(&self, request: PreviewRequest) -> AdminResult<Previews> {
        let wanted = |name: &String| request.site.as_ref().is_none_or(|site| site == name);
        let peers = self.peers.all();
        let peers = peers.iter();
        let mut peers: Vec<_> = peers.filter(|(_, peer)| wanted(&peer.name)).collect();
        if let Some(site) = request.site.as_ref().filter(|_| peers.is_empty()) {
            return Err(self.no_site(site));
        }
        peers.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        let mut backlogs = Vec::new();
        for (id, peer) in peers {
            backlogs.push(self.backlog(*id, peer).await?);
        }
        let (tell, previews) = mpsc::channel(PIECES_MAX);
        // It reads the disk; beside the engine, not in its loop. It ends with the journal, or with whoever asked.
        tokio::task::spawn_blocking(move || {
            let mut give = |piece| tell.blocking_send(Ok(piece)).is_ok();
            for backlog in backlogs {
                match backlog.run(&request, &|| tell.is_closed(), &mut give) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        // Who asked may be gone; then nobody wants to know.
                        drop(tell.blocking_send(Err(error)));
                        return;
                    }
                }
            }
        });
        Ok(previews)
    }

    /// What is to be sent to a peer.
    async fn backlog(&self, id: SiteId, peer: &PeerHandle) -> AdminResult<Backlog> {
        let seen = peer.seen();
        let mut notes = Vec::new();
        let received = if seen.hello.is_some() {
            seen.received()
        } else {
            let known = self.engine.ask(move |e| e.received_by(id)).await?;
            notes.push(match known {
                Some(_) => "not heard since the daemon started: as far as it was known before",
                None => "never heard: everything in the journal",
            });
            known.unwrap_or_default()
        };
        let mut notes: Vec<String> = notes.into_iter().map(str::to_owned).collect();
        let (reader, end) = match self.engine.ask(move |e| e.batches(received)).await {
            Ok((reader, durable)) => (Some(reader), durable.borrow().position),
            Err(error @ ReplError::Journal { .. }) => {
                notes.push(format!("nothing can be sent: {error}"));
                (None, 0)
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Backlog {
            site: Some(peer.name.clone()),
            site_id: Some(id),
            reader,
            end,
            notes,
        })
    }
}

/// The same from the state folder `dir`, without a daemon; `names` of the peers by their numbers. Where the state
/// cannot be looked at, everything that is kept counts as to be sent, and a note says so.
///
/// # Errors
/// [`ReplError::SiteUnknown`]; when there is no journal, or at damage.
pub fn offline(
    dir: &Path,
    names: &BTreeMap<u64, String>,
    request: &PreviewRequest,
    mut give: impl FnMut(PreviewPiece) -> bool,
) -> Result<()> {
    let look = LogLook::journal(&ReadOnlyDisk::shared(), dir.join("journal"))?;
    let own = look.owner().site_id;
    let known = remembered(&dir.join("state.redb"));
    let (known, lacks) = match known {
        Ok(known) => (known, None),
        Err(error) => (BTreeMap::new(), Some(error)),
    };
    let peers = match &request.site {
        Some(name) => vec![Some(number_of(name, own, names, &known)?)],
        None => everyone(own, names, &known, lacks.is_none()),
    };
    for id in peers {
        let cursors = id.and_then(|id| known.get(&id)).cloned();
        let note = match (&lacks, &cursors) {
            (Some(error), _) => format!(
                "everything in the journal, for the state does not tell how far peers are: {error}"
            ),
            (None, None) => "never heard: everything in the journal".to_owned(),
            (None, Some(_)) => "as far as it was known when the state was written".to_owned(),
        };
        let backlog = Backlog {
            site: id.map(|id| {
                names
                    .get(&id)
                    .cloned()
                    .unwrap_or_else(|| format!("site {id}"))
            }),
            site_id: id,
            reader: Some(look.batches(cursors.unwrap_or_default())?),
            end: look.end(),
            notes: vec![note],
        };
        if !backlog.run(request, &|| false, &mut give)? {
            return Ok(());
        }
    }
    look.into_damage().map_or(Ok(()), Err)
}

/// The number of the peer of this name or number.
fn number_of(
    name: &str,
    own: u64,
    names: &BTreeMap<u64, String>,
    known: &BTreeMap<u64, Cursors>,
) -> Result<u64> {
    let named = names.iter().find(|(_, known)| *known == name);
    let number = named.map(|(id, _)| *id).or_else(|| name.parse().ok());
    let is_peer = |id: &u64| *id != own && (names.contains_key(id) || known.contains_key(id));
    number
        .filter(is_peer)
        .ok_or_else(|| ReplError::SiteUnknown {
            site_id: name.to_owned(),
        })
}

/// Every peer there is, by number; nobody in particular where there is none, or where it makes no difference.
fn everyone(
    own: u64,
    names: &BTreeMap<u64, String>,
    known: &BTreeMap<u64, Cursors>,
    differ: bool,
) -> Vec<Option<u64>> {
    let ids = names.keys().chain(known.keys()).filter(|id| **id != own);
    let ids: BTreeSet<u64> = ids.copied().collect();
    if ids.is_empty() || !differ {
        return vec![None];
    }
    ids.into_iter().map(Some).collect()
}

#[cfg(test)]
mod tests {
    use super::super::logs::tests::state;
    use super::*;
    use crate::admin::view::preview::{Outcome, SitePreview};
    use crate::disk::RealDisk;
    use crate::store::Store;

    fn names() -> BTreeMap<u64, String> {
        BTreeMap::from([(1, "fra-1".to_owned()), (2, "iad-2".to_owned())])
    }

    fn previews(dir: &Path, request: &PreviewRequest) -> (Vec<SitePreview>, usize) {
        let (mut sites, mut fates) = (Vec::new(), 0);
        offline(dir, &names(), request, |piece| {
            match piece {
                PreviewPiece::Fates(some) => fates += some.len(),
                PreviewPiece::Site(site) => sites.push(site),
            }
            true
        })
        .unwrap();
        (sites, fates)
    }

    #[test]
    fn a_state_folder_tells_what_is_to_be_sent_from_where_the_peer_is_known_to_be() {
        let (folder, journal) = state(300);
        let any = PreviewRequest::default();
        let (sites, _) = previews(folder.path(), &any);
        assert_eq!((sites.len(), sites[0].total.in_entries), (1, 300));
        assert!(
            sites[0].notes[0].contains("does not tell how far"),
            "{:?}",
            sites[0].notes
        );
        let file = folder.path().join("state.redb");
        let mut store = Store::open(&RealDisk::shared(), &file).unwrap();
        let (stream, point) = journal.points().iter().next().unwrap();
        store.set_number("member/2/incarnation", 9);
        store.set_number(&format!("member/2/received/{stream}"), point.seq);
        store.commit().unwrap();
        let (while_open, _) = previews(folder.path(), &any);
        assert_eq!(while_open[0].total.in_entries, 300, "the file is in use");
        drop(store);
        let before = std::fs::read(&file).unwrap();
        let (sites, fates) = previews(folder.path(), &any);
        assert_eq!(sites[0].site.as_deref(), Some("iad-2"));
        assert_eq!(sites[0].total.in_entries, 300 - point.seq);
        assert!(sites[0].notes[0].contains("when the state was written"));
        assert_eq!(fates, 0, "single entries only when asked");
        assert!(std::fs::read(&file).unwrap() == before);
        let kept = PreviewRequest {
            show: Some(Outcome::Kept),
            stream: Some(*journal.points().keys().last().unwrap()),
            ..any
        };
        let (sites, fates) = previews(folder.path(), &kept);
        assert_eq!(sites[0].total.out_entries, fates as u64);
    }

    #[test]
    fn a_site_that_is_not_known_is_told_and_whoever_goes_away_ends_it() {
        let (folder, _journal) = state(30);
        for name in ["sin-1", "fra-1", "1", "7"] {
            let request = PreviewRequest {
                site: Some(name.to_owned()),
                ..PreviewRequest::default()
            };
            let error = offline(folder.path(), &names(), &request, |_| true).unwrap_err();
            assert!(matches!(error, ReplError::SiteUnknown { .. }), "{name}");
        }
        let request = PreviewRequest {
            show: Some(Outcome::Kept),
            ..PreviewRequest::default()
        };
        let mut given = 0;
        let ended = offline(folder.path(), &names(), &request, |_| {
            given += 1;
            false
        });
        ended.unwrap();
        assert_eq!(given, 1);
    }
}
