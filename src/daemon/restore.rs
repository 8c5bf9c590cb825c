//! Puts what lost in a conflict back into the tree: from its record, from this site's trash, or from the site that has
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::content::ask::{Asked, Links, Whole};
use super::status::join;
use crate::admin::filter::RestoreRequest;
use crate::admin::view::{RestoredView, path_text};
use crate::admin::{AdminError, Pieces, Result};
use crate::clock::SharedClock;
use crate::content::ContentVersion;
use crate::error::ReplError;
use crate::journal::dot::{Dot, ROOT_INODE};
use crate::journal::op::{Content, Name};
use crate::sync::conflict::{ConflictKind, ConflictRecord, LostValue};
use crate::sync::engine::{Handle, Listed};
use crate::sync::port::Engine as _;
use crate::topology::SiteId;
use crate::tree::restore::{Draft, Present, Refusal};
use crate::tree::root::Root;
use crate::tree::serve::Server;

/// Bytes in one piece that is read, and pieces that wait for whoever reads them.
const PIECE_BYTES: usize = 256 << 10;
const PIECES_MAX: usize = 2;

/// The name of a site, if it is known.
pub(super) type NameOf = Box<dyn Fn(SiteId) -> Option<String> + Send + Sync>;

/// Puts losers back.
pub(super) struct Restorer {
    pub(super) root: Arc<Root>,
    pub(super) engine: Handle,
    pub(super) links: Links,
    pub(super) clock: SharedClock,
    /// The name of another site.
    pub(super) name_of: NameOf,
    pub(super) count: AtomicU64,
}

impl Restorer {
    /// Puts the loser of a conflict back. The id was looked up for `listed`.
    pub(super) async fn restore(
        &self,
        listed: &Listed,
        request: RestoreRequest<'_>,
    ) -> Result<RestoredView> {
        let record = &listed.record;
        let content = content_of(listed)?;
        let names = match request.as_path {
            Some(path) => split(path)?,
            None => {
                let names = self.place(record).await?;
                // Before many bytes are fetched for nothing, and once more when they are here.
                self.present(record, &names, request).await?;
                names
            }
        };
        let draft = self.draft("restore")?;
        self.fill(&draft, record, content).await?;
        let put = match request.as_path {
            Some(_) => draft.place_new(&names)?,
            None => match self.present(record, &names, request).await? {
                Some(present) => draft.replace(&names, &present, self.clock.now_us())?,
                None => draft.place_new(&names)?,
            },
        };
        put.map_err(|refusal| explain(refusal, &self.root, &names))?;
        Ok(RestoredView {
            id: record.id.to_string(),
            path: join(names),
        })
    }

    /// What stands where the loser is to come back; none: nothing.
    async fn present(
        &self,
        record: &ConflictRecord,
        names: &[Name],
        request: RestoreRequest<'_>,
    ) -> Result<Option<Present>> {
        let (mut engine, inode) = (self.engine.clone(), record.inode);
        let present = tokio::task::spawn_blocking(move || {
            Ok::<_, ReplError>((engine.applied(inode)?, engine.device(inode)?))
        });
        let (image, device) = present.await.map_err(|_| ReplError::Shutdown)??;
        let Some((image, device)) = image.zip(device) else {
            return Ok(None);
        };
        let stands = image.content.as_ref().map(|content| content.dot);
        if !request.over_later && is_winner(record, stands) == Some(false) {
            let path = path_text(&join(names.to_vec()));
            return Err(refused(
                format!(
                    "{path} is later than what won: somebody worked on it since, or it was restored"
                ),
                "look at it; then --as PATH puts the loser beside it, or --over-later in its place",
            ));
        }
        Ok(Some(Present { image, device }))
    }

    /// The bytes that lost, piece by piece.
    pub(super) async fn read(&self, listed: &Listed) -> Result<Pieces> {
        let content = content_of(listed)?;
        let draft = self.draft("read")?;
        self.fill(&draft, &listed.record, content).await?;
        Ok(pieces_of(draft))
    }

    /// The bytes that are shown where the loser lost, piece by piece; at most `bytes_max`.
    pub(super) async fn read_shown(
        &self,
        listed: &Listed,
        bytes_max: Option<u64>,
    ) -> Result<Pieces> {
        content_of(listed)?;
        let (id, inode) = (listed.record.id, listed.record.inode);
        let image = self.engine.ask(move |e| e.applied(inode)).await?;
        let shown = image.and_then(|image| image.content);
        let content = shown.filter(|_| !listed.is_gone()).map(|shown| shown.value);
        let content = content.ok_or_else(|| {
            refused(
                format!("the file of {id} is not in the tree any more"),
                "read what lost: cfs-repl conflicts show --save-loser",
            )
        })?;
        if bytes_max.is_some_and(|max| content.size > max) {
            return Err(refused(
                format!(
                    "the file of {id} has {} bytes, more than are wanted",
                    content.size
                ),
                "read it where it stands, in the tree",
            ));
        }
        let draft = self.draft("read")?;
        if !self.copy_here(&draft, inode, &content).await? {
            return Err(refused(
                format!("the file of {id} is being changed"),
                "try again in some seconds",
            ));
        }
        Ok(pieces_of(draft))
    }

    fn draft(&self, purpose: &str) -> Result<Draft, ReplError> {
        let unique = self.count.fetch_add(1, Ordering::Relaxed);
        Draft::new(&self.root, purpose, unique)
    }

    /// Where the file is that the conflict is about.
    async fn place(&self, record: &ConflictRecord) -> Result<Vec<Name>> {
        let inode = record.inode;
        let path = self.engine.ask(move |e| e.path_of(inode)).await?;
        path.filter(|_| inode != ROOT_INODE).ok_or_else(|| {
            refused(
                format!("the file of {} is not in the tree any more", record.id),
                "say where to put the bytes: --as PATH",
            )
        })
    }

    /// Writes the bytes of a version that is here: short ones are on record, others in the tree or its trash. False:
    /// they are not here.
    async fn copy_here(
        &self,
        draft: &Draft,
        inode: u64,
        content: &Content,
    ) -> Result<bool, ReplError> {
        if let Some(bytes) = &content.inline {
            draft.write(0, bytes)?;
            return Ok(true);
        }
        let (size, version) = (content.size, content.manifest_root);
        if size == 0 {
            return Ok(true);
        }
        let (root, mut engine) = (Arc::clone(&self.root), self.engine.clone());
        let here = tokio::task::spawn_blocking(move || {
            Server::new().open_version(&mut engine, &root, inode, version)
        });
        let Some(file) = here.await.map_err(|_| ReplError::Shutdown)?? else {
            return Ok(false);
        };
        tokio::task::block_in_place(|| draft.copy(&file, size, version))
    }

    /// Writes the bytes that lost.
    async fn fill(&self, draft: &Draft, record: &ConflictRecord, content: &Content) -> Result<()> {
        if self.copy_here(draft, record.inode, content).await? {
            return Ok(());
        }
        let (inode, size, version) = (record.inode, content.size, content.manifest_root);
        if record.loser.seq == 0 {
            return Err(refused(
                format!(
                    "the bytes of {} are not in the trash here any more",
                    record.id
                ),
                "no other site has them: they were never journaled",
            ));
        }
        let whole = Whole {
            engine: &self.engine,
            links: &self.links,
            version: ContentVersion {
                inode,
                dot: record.loser.dot(),
                root: version,
            },
            size,
        };
        match whole.fetch(draft).await? {
            Asked::All => Ok(()),
            Asked::Unreached { sites } => Err(refused(
                format!(
                    "the bytes of {} are not here, and {} cannot be asked",
                    record.id,
                    self.named(&sites)
                ),
                "connect it and try again, or run the command there",
            )),
            Asked::Busy { .. } => Err(refused(
                format!("the site that has the bytes of {} is busy", record.id),
                "try again in a minute",
            )),
            Asked::Gone | Asked::Superseded => Err(refused(
                format!("no site has the bytes of {} any more", record.id),
                "conflicts.retention says how long losers stay; look in your backups",
            )),
        }
    }

    fn named(&self, sites: &[SiteId]) -> String {
        let name = |id: &SiteId| {
            let known = (self.name_of)(*id);
            known.unwrap_or_else(|| format!("site {id}"))
        };
        let names: Vec<String> = sites.iter().map(name).collect();
        names.join(", ")
    }
}

/// Whether the version that stands where a loser lost is the winner, and not a later one. None: that is not known.
pub(super) fn is_winner(record: &ConflictRecord, stands: Option<Dot>) -> Option<bool> {
    let winner = record
        .winner
        .filter(|_| record.kind == ConflictKind::Register)?;
    Some(stands? == winner.dot())
}

/// The bytes of a staged file, piece by piece; it is removed behind the last one.
fn pieces_of(draft: Draft) -> Pieces {
    let (tell, pieces) = mpsc::channel(PIECES_MAX);
    // Ends with the file, or with whoever reads it.
    tokio::task::spawn_blocking(move || {
        let mut offset = 0;
        loop {
            let piece = draft.read(offset, PIECE_BYTES).map(Bytes::from);
            let length = piece.as_ref().map_or(0, Bytes::len);
            let is_end = piece.is_ok() && length == 0;
            if is_end || tell.blocking_send(piece).is_err() || length == 0 {
                break;
            }
            offset += length as u64;
        }
        // The staged file is gone before the reader learns that this was all.
        drop(draft);
        drop(tell);
    });
    pieces
}

/// The bytes that lost, or what there is to do where something else did.
fn content_of(listed: &Listed) -> Result<&Content> {
    let record = &listed.record;
    if let LostValue::Content(content) = &record.lost {
        return Ok(content);
    }
    if record.kind == ConflictKind::NameClash
        && let Some((names, true)) = &listed.path
    {
        let path = path_text(&join(names.clone()));
        return Err(refused(
            format!(
                "{} lost its name and no bytes: it stands at {path}",
                record.id
            ),
            "rename it as it shall be called; that goes to all sites",
        ));
    }
    Err(refused(
        format!("{} lost no bytes, there is nothing to put back", record.id),
        "cfs-repl conflicts show tells what it lost",
    ))
}

fn explain(refusal: Refusal, root: &Root, names: &[Name]) -> AdminError {
    let path = match names.split_last() {
        Some((name, dir)) => root.shown(dir, Some(name)),
        None => root.path().to_owned(),
    };
    let path = path.display();
    match refusal {
        Refusal::NoDirectory => refused(
            format!("the directory of {path} does not exist"),
            "make it first, or name another path",
        ),
        Refusal::Taken => refused(format!("{path} exists"), "name a path that is free"),
        Refusal::NoFile => refused(
            format!("{path} is no regular file"),
            "say where to put the bytes: --as PATH",
        ),
        Refusal::SeveralNames => refused(
            format!("{path} has several names, which would no longer be one file"),
            "put the bytes elsewhere with --as PATH, and copy them over it",
        ),
        Refusal::JustChanged => refused(
            format!("{path} was changed a moment ago"),
            "look at it, and try again in some seconds",
        ),
    }
}

fn refused(what: String, hint: &str) -> AdminError {
    AdminError::NotPossible {
        what,
        hint: hint.to_owned(),
    }
}

/// The names on a path. One that can be no place in any tree is a mistake of whoever typed it.
fn split(path: &[u8]) -> Result<Vec<Name>> {
    let invalid = |what, hint: &str| AdminError::Invalid {
        what,
        hint: hint.to_owned(),
    };
    if path.is_empty() {
        return Err(invalid(
            "an empty path names no place for it".to_owned(),
            "name a path below the root of the tree, or leave --as away: it goes where it was",
        ));
    }
    if path.starts_with(b"/") {
        return Err(invalid(
            format!("{} begins at the root of the system", path.escape_ascii()),
            "name a path below the root of the tree, without a slash before it",
        ));
    }
    let parts = path
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty());
    let names = parts.map(|part| Name::new(part.to_vec()));
    names
        .collect::<std::result::Result<_, _>>()
        .map_err(|fault| {
            invalid(
                format!("{} is no place for it: {fault}", path.escape_ascii()),
                "name a path below the root of the tree, without `..` and outside .cfs-repl",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_below_the_root_and_nothing_is_none() {
        let told = |path: &[u8]| match split(path) {
            Ok(names) => format!("{} names", names.len()),
            Err(AdminError::Invalid { what, .. }) => what,
            Err(error) => format!("not the one who typed it: {error}"),
        };
        assert_eq!(told(b"d//file"), "2 names");
        assert_eq!(told(b""), "an empty path names no place for it");
        assert!(told(b"/d").contains("begins at the root"));
        assert!(told(b"d/../e").contains("is no place for it"));
    }
}
