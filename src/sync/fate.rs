//! Pure: what became of a version of a file's bytes: whether it still counts, what took its place, and what is said
//! when no site has its bytes any more.
//!
//! A version that was replaced where it was written, before others fetched it, is owed to nobody: they wait for what
//! took its place. A version that counts and is on no disk is lost; that is recorded, and the inode keeps what it
//! shows.

use std::collections::BTreeMap;

use super::conflict::{ConflictId, ConflictKind, ConflictRecord, LostValue};
use super::core::Core;
use super::node::{LinkPlace, Node};
use super::port::{Image, LocalOp, LocalTxn, NodeKind, Outcome};
use super::register::Version;
use super::state::State;
use crate::clock::TimestampUs;
use crate::content::{CONTENT_GONE, Claim, ContentVersion, WAITS_FOR_CONTENT, WAITS_FOR_NEWER};
use crate::error::Result;
use crate::journal::dot::{Dot, LwwKey, shard_of};
use crate::journal::entry::RegisterId;
use crate::journal::op::{Change, Content, ManifestRoot};

/// What the merged state says of one version of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is shown, or lost against a concurrent version or removal: its bytes are owed.
    Counts,
    /// Its author, or someone who had seen it, replaced it or removed the file: its bytes are owed to nobody.
    Superseded {
        /// The version or the removal that took its place.
        by: Dot,
    },
    /// It is not merged here.
    Unknown,
}

impl<S: State> Core<S> {
    /// What became of the version `dot` of the bytes of `inode`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn fate(&self, inode: u64, dot: Dot) -> Result<Fate> {
        if self.state.cursor(dot.actor, dot.stream)? < dot.seq {
            return Ok(Fate::Unknown);
        }
        let node = self.load(inode)?;
        let Some(winner) = node.content.winner() else {
            return Ok(Fate::Unknown);
        };
        let versions = node.content.versions();
        let Some(version) = versions.iter().find(|version| version.dot() == dot) else {
            return Ok(Fate::Superseded { by: winner.dot() });
        };
        if node.shown_links().is_empty()
            && let Some(removal) = last_removal(&node)
            && !removal.concurrent_with(version)
        {
            return Ok(Fate::Superseded { by: removal.dot() });
        }
        Ok(Fate::Counts)
    }

    /// Judges anew what the connector could not do for want of bytes: an image that was overtaken meanwhile comes
    /// again, and bytes that count and are gone everywhere are recorded. The second value is that record, if it is
    /// new.
    ///
    /// # Errors
    /// When the store fails.
    pub fn judge_content(
        &mut self,
        image: &Image,
        outcome: Outcome,
        now_us: TimestampUs,
    ) -> Result<(Outcome, Option<ConflictId>)> {
        let (Outcome::Parked { reason }, Some(content)) = (&outcome, &image.content) else {
            return Ok((outcome, None));
        };
        if ![WAITS_FOR_CONTENT, WAITS_FOR_NEWER, CONTENT_GONE].contains(&reason.as_str()) {
            return Ok((outcome, None));
        }
        let wanted = self.image(image.inode)?;
        let same = |one: &Image| one.content.as_ref().map(|content| content.dot);
        if wanted.links.is_empty() || same(&wanted) != same(image) {
            return Ok((Outcome::Changed, None));
        }
        if reason != CONTENT_GONE {
            return Ok((outcome, None));
        }
        let node = self.load(image.inode)?;
        let versions = node.content.versions().iter();
        let Some(lost) = versions.into_iter().find(|v| v.dot() == content.dot) else {
            return Ok((Outcome::Changed, None));
        };
        let (register, kind) = (RegisterId::Content, ConflictKind::ContentLost);
        let id = ConflictId::new(kind, image.inode, &register, content.dot);
        if self.state.conflict(id)?.is_some() {
            return Ok((outcome, None));
        }
        self.state.set_conflict(&ConflictRecord {
            id,
            kind,
            inode: image.inode,
            register,
            loser: lost.key,
            winner: None,
            detected_at_us: now_us,
            lost: LostValue::Content(lost.value.clone()),
            superseded: false,
        })?;
        Ok((outcome, Some(id)))
    }

    /// What to journal when the bytes of the version that counts are on no site: that the file stays as it is shown
    /// here, so that all sites show one thing again. None: it is not shown here, and a site that shows it will say so.
    ///
    /// # Errors
    /// When the store fails.
    pub fn keep_shown(&self, inode: u64) -> Result<Option<LocalTxn>> {
        let Some(shown) = self.state.applied(inode)? else {
            return Ok(None);
        };
        let wanted = self.image(inode)?.content.map(|content| content.dot);
        let is_older = wanted != shown.content.as_ref().map(|content| content.dot);
        if shown.kind != NodeKind::File || shown.links.is_empty() || !is_older {
            return Ok(None);
        }
        let content = shown.content.as_ref();
        let mut content = content.map_or_else(Content::default, |one| one.value.clone());
        let Some(device) = self.state.device(inode)? else {
            return Ok(None);
        };
        if device.size != content.size {
            // Something else is on the disk, which will be noticed.
            return Ok(None);
        }
        content.mtime = shown
            .mtime
            .as_ref()
            .map_or(device.mtime, |mtime| mtime.value);
        let op = LocalOp {
            inode,
            link: inode,
            change: Change::Write {
                content,
                mode: None,
            },
            back_date_us: None,
            device: None,
        };
        Ok(Some(LocalTxn { ops: vec![op] }))
    }

    /// The bytes of `image` are on the disk: if they were taken for lost, they no longer are.
    ///
    /// # Errors
    /// When the store fails.
    pub fn found_content(&mut self, image: &Image) -> Result<()> {
        let Some(content) = &image.content else {
            return Ok(());
        };
        self.end_lost(image.inode, content.dot)
    }

    /// A file is shown nowhere any more: nothing waits for its bytes.
    pub(super) fn end_owed(&mut self, inode: u64, node: &Node) -> Result<()> {
        match node.content.winner() {
            Some(winner) => self.end_lost(inode, winner.dot()),
            None => Ok(()),
        }
    }

    /// Settles the record that says that a version is lost, if there is one.
    pub(super) fn end_lost(&mut self, inode: u64, dot: Dot) -> Result<()> {
        let kind = ConflictKind::ContentLost;
        let id = ConflictId::new(kind, inode, &RegisterId::Content, dot);
        if let Some(mut record) = self.state.conflict(id)?
            && !record.superseded
        {
            record.superseded = true;
            self.state.set_conflict(&record)?;
        }
        Ok(())
    }

    /// Bytes that a program wrote to a file after that was displaced: recorded as the loser that they are, for this
    /// site alone. `before`: what it had written there earlier, which is gone. False: that is known, or no loss.
    ///
    /// # Errors
    /// When the store fails.
    pub fn late_write(
        &mut self,
        inode: u64,
        content: Content,
        before: Option<ManifestRoot>,
        now_us: TimestampUs,
    ) -> Result<bool> {
        if let Some(before) = before
            && let Some(mut earlier) =
                (self.state).conflict(ConflictId::of_late_write(inode, before))?
        {
            earlier.superseded = true;
            self.state.set_conflict(&earlier)?;
        }
        let id = ConflictId::of_late_write(inode, content.manifest_root);
        let node = self.load(inode)?;
        let winner = node.content.winner();
        let is_shown = |version: &Version<Content>| {
            version.value.manifest_root == content.manifest_root && !node.shown_links().is_empty()
        };
        if self.state.conflict(id)?.is_some() || winner.is_some_and(is_shown) {
            return Ok(false);
        }
        let written_us = content.mtime.clamped_us();
        let dot = Dot::new(self.local, shard_of(inode), 0);
        self.state.set_conflict(&ConflictRecord {
            id,
            kind: ConflictKind::Register,
            inode,
            register: RegisterId::Content,
            loser: LwwKey::new(written_us, dot),
            winner: winner.map(|version| version.key),
            detected_at_us: now_us,
            lost: LostValue::Content(content),
            superseded: false,
        })?;
        Ok(true)
    }

    /// Versions of at most `bytes_max` bytes that lost in open conflicts noticed since `since_us`, and whose bytes are
    /// in no record. What the connector shows is not among them.
    ///
    /// # Errors
    /// When the store fails.
    pub fn losers(
        &self,
        bytes_max: u64,
        since_us: TimestampUs,
    ) -> Result<Vec<(ContentVersion, u64)>> {
        let mut losers = Vec::new();
        for record in self.state.conflicts()? {
            let (LostValue::Content(content), dot) = (&record.lost, record.loser.dot()) else {
                continue;
            };
            let is_kept_whole = content.inline.is_some() || content.size == 0;
            if !record.is_open(self.state.ack(record.id)?.as_ref())
                || record.detected_at_us < since_us
                || record.kind == ConflictKind::ContentLost
                || dot.seq == 0
                || is_kept_whole
                || content.size > bytes_max
            {
                continue;
            }
            let shown = self.state.applied(record.inode)?;
            let shown = shown.as_ref().and_then(|image| image.content.as_ref());
            if shown.is_some_and(|shown| shown.value.manifest_root == content.manifest_root) {
                continue;
            }
            let version = ContentVersion {
                inode: record.inode,
                dot,
                root: content.manifest_root,
            };
            losers.push((version, content.size));
        }
        Ok(losers)
    }

    /// What conflicts want with bytes that are kept under these inodes and roots, in their order.
    ///
    /// # Errors
    /// When the store fails.
    pub fn claims(&self, kept: &[(u64, ManifestRoot)]) -> Result<Vec<Claim>> {
        let mut recorded: BTreeMap<(u64, ManifestRoot), Claim> = BTreeMap::new();
        for record in self.state.conflicts()? {
            let LostValue::Content(content) = &record.lost else {
                continue;
            };
            let open = record.is_open(self.state.ack(record.id)?.as_ref());
            let claim = if open { Claim::Open } else { Claim::Settled };
            let known = recorded.entry((record.inode, content.manifest_root));
            let known = known.or_insert(claim);
            *known = claim.max(*known);
        }
        let mut claims = Vec::with_capacity(kept.len());
        for (inode, root) in kept {
            claims.push(match recorded.get(&(*inode, *root)) {
                Some(claim) => *claim,
                None if self.loses_unrecorded(*inode, *root)? => Claim::Open,
                None => Claim::Nothing,
            });
        }
        Ok(claims)
    }

    /// Bytes that lost against a removal are on record only when the marks of all sites have passed; they must not
    /// go before.
    fn loses_unrecorded(&self, inode: u64, root: ManifestRoot) -> Result<bool> {
        let node = self.load(inode)?;
        let Some(winner) = node.content.winner() else {
            return Ok(false);
        };
        let mut losers = node.content.losers();
        if losers.any(|version| version.value.manifest_root == root) {
            return Ok(true);
        }
        let removed = node.shown_links().is_empty();
        let removal = last_removal(&node).filter(|_| removed);
        Ok(winner.value.manifest_root == root
            && removal.is_some_and(|removal| removal.concurrent_with(winner)))
    }
}

/// The latest removal among the links of a file.
fn last_removal(node: &Node) -> Option<&Version<LinkPlace>> {
    let places = node.links.values().filter_map(|places| places.winner());
    let removals = places.filter(|place| !place.value.live);
    removals.max_by_key(|removal| removal.key)
}
