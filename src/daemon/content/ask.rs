//! Asks other sites for the bytes of a version: the one that wrote it first, then all others.
//!
//! A site that is not reached, or busy, has said nothing: bytes are only gone when every site said so. A site that
//! names what took the version's place settles it, once that is not merged here yet; what is merged has been judged
//! already, and then such an answer means no more than that the bytes are not there.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::super::peers::Table;
use crate::conduit::content::{Answer, ContentLink, Want};
use crate::content::ContentVersion;
use crate::content::manifest::{BlobHash, Manifest};
use crate::error::{ReplError, Result};
use crate::journal::dot::Dot;
use crate::sync::engine::{Engine, Handle};
use crate::topology::SiteId;
use crate::tree::restore::Draft;

/// Pieces asked for in one message.
pub(in crate::daemon) const PIECES_MAX: usize = 64;
/// Longest pause that a busy site may ask for.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Attempts at a piece that a busy site put off, when somebody waits for the whole.
const ATTEMPTS: u32 = 10;

/// Where requests are answered, by site.
pub(in crate::daemon) type Links = Table<ContentLink>;

/// Takes a piece.
pub(in crate::daemon) type Sink<'a> = dyn FnMut(BlobHash, Bytes) -> Result<()> + Send + 'a;

/// What the sites said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) enum Asked {
    /// Everything came.
    All,
    /// Another version took its place, which is not merged here.
    Superseded,
    /// No site has the bytes.
    Gone,
    /// A site that has them cannot give them now.
    Busy {
        /// When to ask again.
        retry_after: Duration,
    },
    /// These sites were not reached, and no other one has the bytes.
    Unreached {
        /// Their numbers.
        sites: Vec<SiteId>,
    },
}

/// How one site answered.
enum Answered {
    All,
    Gone { by: Option<Dot> },
    Busy { retry_after: Duration },
}

/// Asks for pieces until one site gave them all or each was asked.
pub(in crate::daemon) async fn ask_any(
    engine: &Handle,
    links: &Links,
    version: ContentVersion,
    hashes: &[BlobHash],
    sink: &mut Sink<'_>,
) -> Result<Asked> {
    let origin = version.dot.actor.site_id;
    let links = links.all();
    let others = links.iter().filter(|(site, _)| **site != origin);
    let first = links.get_key_value(&origin);
    let (mut busy, mut unreached) = (None, Vec::new());
    for (site, link) in first.into_iter().chain(others) {
        match ask_one(link, version, hashes, sink).await {
            Ok(Answered::All) => return Ok(Asked::All),
            Ok(Answered::Gone { by: Some(by) })
                if !engine.ask(move |e| Engine::is_merged(e, by)).await? =>
            {
                return Ok(Asked::Superseded);
            }
            Ok(Answered::Gone { .. }) => {}
            Ok(Answered::Busy { retry_after }) => busy = Some(retry_after),
            Err(error @ ReplError::Io { .. }) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, site, "content is asked for again later");
                unreached.push(*site);
            }
        }
    }
    Ok(match busy {
        Some(retry_after) => Asked::Busy { retry_after },
        None if unreached.is_empty() => Asked::Gone,
        None => Asked::Unreached { sites: unreached },
    })
}

async fn ask_one(
    link: &ContentLink,
    version: ContentVersion,
    hashes: &[BlobHash],
    sink: &mut Sink<'_>,
) -> Result<Answered> {
    let want = Want {
        inode: version.inode,
        actor: version.dot.actor,
        seq: version.dot.seq,
        manifest_root: version.root.0,
        hashes: hashes.iter().map(|hash| hash.0).collect(),
    };
    let stream = version.dot.stream;
    let mut answers = link.want(want).await?;
    while let Some(answer) = answers.next().await? {
        match answer {
            Answer::Chunk { hash, bytes } => sink(BlobHash(hash), bytes)?,
            Answer::Done => return Ok(Answered::All),
            Answer::Gone { superseded_by } => {
                let by = superseded_by.map(|(actor, seq)| Dot::new(actor, stream, seq));
                return Ok(Answered::Gone { by });
            }
            Answer::Busy { retry_after_ms } => {
                let retry_after = Duration::from_millis(retry_after_ms.into()).min(RETRY_MAX);
                return Ok(Answered::Busy { retry_after });
            }
        }
    }
    Err(ReplError::network("content", "ended without an answer"))
}

/// Fetches a version as a whole into a draft.
#[derive(Debug)]
pub(in crate::daemon) struct Whole<'a> {
    pub(in crate::daemon) engine: &'a Handle,
    pub(in crate::daemon) links: &'a Links,
    pub(in crate::daemon) version: ContentVersion,
    pub(in crate::daemon) size: u64,
}

impl Whole<'_> {
    /// Fetches it. Every node is checked against its hash and every chunk on arrival; what was written is hashed as a
    /// whole in the end.
    ///
    /// # Errors
    /// When the disk fails, or a site sends what hashes right and is no file of this size.
    pub(in crate::daemon) async fn fetch(&self, draft: &Draft) -> Result<Asked> {
        let mut nodes = vec![(BlobHash(self.version.root.0), self.size, None, 0)];
        let mut chunks: BTreeMap<BlobHash, Vec<u64>> = BTreeMap::new();
        while let Some((hash, size, level, mut offset)) = nodes.pop() {
            let mut node = None;
            let asked = self
                .pieces(&[hash], &mut |_, bytes| {
                    node = Some(bytes);
                    Ok(())
                })
                .await?;
            let Some(bytes) = node.filter(|_| asked == Asked::All) else {
                return Ok(asked);
            };
            let manifest = Manifest::decode(&hash, size, level, &bytes)?;
            for part in &manifest.parts {
                match (part.hash, manifest.level.checked_sub(1)) {
                    (Some(hash), Some(below)) => nodes.push((hash, part.size, Some(below), offset)),
                    (Some(hash), None) => chunks.entry(hash).or_default().push(offset),
                    (None, _) => {}
                }
                offset = offset.saturating_add(part.size);
                if chunks.len() == PIECES_MAX {
                    let asked = self.write(draft, std::mem::take(&mut chunks)).await?;
                    if asked != Asked::All {
                        return Ok(asked);
                    }
                }
            }
        }
        let asked = self.write(draft, chunks).await?;
        if asked != Asked::All {
            return Ok(asked);
        }
        draft.resize(self.size)?;
        if !draft.is_version(self.size, self.version.root)? {
            let reason = "the chunks that were sent are not the file that its hash names";
            return Err(ReplError::serialization("content", reason));
        }
        Ok(Asked::All)
    }

    async fn write(&self, draft: &Draft, chunks: BTreeMap<BlobHash, Vec<u64>>) -> Result<Asked> {
        if chunks.is_empty() {
            return Ok(Asked::All);
        }
        let hashes: Vec<BlobHash> = chunks.keys().copied().collect();
        let mut write = |hash: BlobHash, bytes: Bytes| {
            let places = chunks.get(&hash).into_iter().flatten();
            for offset in places {
                draft.write(*offset, &bytes)?;
            }
            Ok(())
        };
        self.pieces(&hashes, &mut write).await
    }

    async fn pieces(&self, hashes: &[BlobHash], sink: &mut Sink<'_>) -> Result<Asked> {
        let mut asked = Asked::Gone;
        for _ in 0..ATTEMPTS {
            asked = ask_any(self.engine, self.links, self.version, hashes, sink).await?;
            let Asked::Busy { retry_after } = asked else {
                break;
            };
            tokio::time::sleep(retry_after).await;
        }
        Ok(asked)
    }
}
