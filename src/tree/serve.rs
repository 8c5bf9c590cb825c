//! Gives other sites the bytes of a version that is on this tree, hashed again while they are read.
//!
//! The tree and its trash are the store: there is no copy of contents. A version whose file changed since it was
//! journaled, and that is not in the trash either, is gone, and the answer says so; what is given always has the hash
//! that was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use bytes::Bytes;

use super::apply::path_of;
use super::root::Root;
use super::stat::{DevId, stat_fd};
use super::trash;
use crate::content::chunk::{Piece, hash_pieces};
use crate::content::manifest::BlobHash;
use crate::error::{ReplError, Result};
use crate::journal::op::{ManifestRoot, Name};
use crate::sync::port::{DeviceImage, Engine};

/// Files whose chunk positions are remembered between requests.
const INDEXES_MAX: usize = 16;
/// Files that are remembered as another version than the one asked for.
const MISSES_MAX: usize = 256;
/// Chunks of one file that are remembered, 64 GiB of file: beyond it, every request reads the file.
const CHUNKS_MAX: usize = 1 << 20;

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// The chunks and nodes, in the order asked for.
    Found(Vec<Bytes>),
    /// The version is not here.
    Gone,
    /// The tree should show it and does not: a scan journals what took its place.
    Changed,
}

#[derive(Debug, Default)]
struct Index {
    device: DeviceImage,
    chunks: BTreeMap<BlobHash, (u64, usize)>,
    nodes: BTreeMap<BlobHash, Bytes>,
}

/// Serves content of one tree.
#[derive(Debug, Default)]
pub struct Server {
    indexes: BTreeMap<(u64, ManifestRoot), Index>,
    /// Where in the trash a version was found.
    kept: BTreeMap<(u64, ManifestRoot), Name>,
    /// Files that were read and are not the version that was asked for.
    misses: BTreeSet<(u64, ManifestRoot, DeviceImage)>,
}

impl Server {
    /// A server that remembers nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The blobs `hashes` of the version `version` of `inode`; none asked for means the root node.
    ///
    /// # Errors
    /// When the engine's store fails or the disk cannot be read.
    pub fn serve(
        &mut self,
        engine: &mut dyn Engine,
        root: &Root,
        inode: u64,
        version: ManifestRoot,
        hashes: &[BlobHash],
    ) -> Result<Served> {
        let root_hash = [BlobHash(version.0)];
        let hashes = if hashes.is_empty() {
            &root_hash[..]
        } else {
            hashes
        };
        let shown = shows(engine, inode, version)?;
        if let Some(file) = self.open_version(engine, root, inode, version)?
            && let Some(found) = self.blobs(root, &file, (inode, version), hashes)?
        {
            return Ok(Served::Found(found));
        }
        Ok(if shown { Served::Changed } else { Served::Gone })
    }

    /// A file, of the tree or its trash, that holds the version `version` of `inode`.
    ///
    /// # Errors
    /// When the engine's store fails or the disk cannot be read.
    pub fn open_version(
        &mut self,
        engine: &mut dyn Engine,
        root: &Root,
        inode: u64,
        version: ManifestRoot,
    ) -> Result<Option<OwnedFd>> {
        if shows(engine, inode, version)?
            && let Some(file) = open(engine, root, inode)?
            && self.is_version(root, &file, inode, version)?
        {
            return Ok(Some(file));
        }
        // Where it was found last, else all that are called so.
        let known: Vec<Name> = self
            .kept
            .get(&(inode, version))
            .cloned()
            .into_iter()
            .collect();
        if let Some(file) = self.first_version(root, inode, version, known)? {
            return Ok(Some(file));
        }
        let kept = trash::list(root)?.into_iter().rev();
        let labelled = kept.filter(|file| {
            file.inode == inode && file.label.is_some_and(|label| label.root == version)
        });
        let names = labelled.map(|file| file.name).collect();
        self.first_version(root, inode, version, names)
    }

    fn first_version(
        &mut self,
        root: &Root,
        inode: u64,
        version: ManifestRoot,
        names: Vec<Name>,
    ) -> Result<Option<OwnedFd>> {
        for name in names {
            if let Some(file) = trash::open(root, &name)?
                && self.is_version(root, &file, inode, version)?
            {
                while self.kept.len() >= INDEXES_MAX {
                    self.kept.pop_first();
                }
                self.kept.insert((inode, version), name);
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Reads the file, once, to know where its chunks are, if it is the version.
    fn is_version(
        &mut self,
        root: &Root,
        file: &OwnedFd,
        inode: u64,
        version: ManifestRoot,
    ) -> Result<bool> {
        let stat = stat_fd(file).map_err(|e| ReplError::io("stat", root.path(), e))?;
        let device = stat.image();
        let known = self.indexes.get(&(inode, version));
        if known.is_some_and(|index| index.device == device) {
            return Ok(true);
        }
        if self.misses.contains(&(inode, version, device)) {
            return Ok(false);
        }
        let Some(index) = index(file, root, version)? else {
            self.indexes.remove(&(inode, version));
            while self.misses.len() >= MISSES_MAX {
                self.misses.pop_first();
            }
            self.misses.insert((inode, version, device));
            return Ok(false);
        };
        while self.indexes.len() >= INDEXES_MAX {
            self.indexes.pop_first();
        }
        self.indexes.insert((inode, version), index);
        Ok(true)
    }

    fn blobs(
        &mut self,
        root: &Root,
        file: &OwnedFd,
        version: (u64, ManifestRoot),
        hashes: &[BlobHash],
    ) -> Result<Option<Vec<Bytes>>> {
        let Some(index) = self.indexes.get(&version) else {
            return Ok(None);
        };
        let mut found = Vec::new();
        for hash in hashes {
            let blob = match (index.nodes.get(hash), index.chunks.get(hash)) {
                (Some(node), _) => Some(node.clone()),
                (None, Some(at)) => read(file, root, *at)?,
                (None, None) => None,
            };
            let Some(blob) = blob.filter(|blob| BlobHash::of(blob) == *hash) else {
                self.indexes.remove(&version);
                return Ok(None);
            };
            found.push(blob);
        }
        Ok(Some(found))
    }
}

/// Whether a version is here as far as is on record, shown in the tree or kept in its trash. Nothing is read.
///
/// # Errors
/// When the engine's store fails or the trash cannot be listed.
pub fn is_kept(
    engine: &mut dyn Engine,
    root: &Root,
    inode: u64,
    version: ManifestRoot,
) -> Result<bool> {
    if shows(engine, inode, version)? {
        return Ok(true);
    }
    let kept = trash::list(root)?;
    Ok(kept
        .iter()
        .any(|file| file.inode == inode && file.label.is_some_and(|label| label.root == version)))
}

/// Whether the tree should show the version.
fn shows(engine: &mut dyn Engine, inode: u64, version: ManifestRoot) -> Result<bool> {
    let content = engine.applied(inode)?.and_then(|image| image.content);
    Ok(content.is_some_and(|content| content.value.manifest_root == version))
}

/// The file behind `inode`, if it is still the one that the engine knows.
fn open(engine: &mut dyn Engine, root: &Root, inode: u64) -> Result<Option<OwnedFd>> {
    let (Some(image), Some(device)) = (engine.applied(inode)?, engine.device(inode)?) else {
        return Ok(None);
    };
    for link in &image.links {
        let Some(path) = path_of(engine, link.parent)? else {
            continue;
        };
        let file = root
            .open_dir(&path)
            .and_then(|dir| Root::open_file(&dir, &link.name));
        if let Ok(file) = file
            && stat_fd(&file).is_ok_and(|stat| stat.id == DevId::of(&device))
        {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Reads the whole file; None when it is not the version that is asked for.
fn index(file: &OwnedFd, root: &Root, version: ManifestRoot) -> Result<Option<Index>> {
    let fail = |e| ReplError::io("stat", root.path(), e);
    let before = stat_fd(file).map_err(fail)?;
    let mut index = Index {
        device: before.image(),
        ..Index::default()
    };
    let hashed = hash_pieces(file, before.size, root.path(), &mut |piece| match piece {
        Piece::Chunk {
            offset,
            hash,
            bytes,
        } => {
            if index.chunks.len() < CHUNKS_MAX {
                index.chunks.insert(hash, (offset, bytes.len()));
            }
        }
        Piece::Node { hash, bytes } => {
            index.nodes.insert(hash, bytes.clone());
        }
    })?;
    let same = stat_fd(file).map_err(fail)?.image() == before.image();
    let is_version = hashed.is_some_and(|hashed| hashed.root == version);
    Ok((same && is_version).then_some(index))
}

fn read(file: &OwnedFd, root: &Root, (offset, length): (u64, usize)) -> Result<Option<Bytes>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(free) = bytes.get_mut(filled..)
        && !free.is_empty()
    {
        let at = offset + filled as u64;
        let got = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *free, at))
            .map_err(|e| ReplError::io("read", root.path(), e))?;
        if got == 0 {
            return Ok(None);
        }
        filled += got;
    }
    Ok(Some(bytes.into()))
}
