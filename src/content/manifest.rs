//! Pure: the manifest, which says how a file's bytes are cut and hashes to one root.
//!
//! Parts of a small file stand in one node; above [`FAN_OUT`] parts the nodes are parts of a node one level up. What
//! arrives from a peer is checked before it is believed: the hash, the version, every size, the depth.

use std::fmt;

use bytes::Bytes;
use prost::Message;

use super::chunk::{CHUNK_AVG, CHUNK_MAX, CHUNK_MIN};
use crate::error::{ReplError, Result};
use crate::journal::codec::{Field, Inside, room, weight};
use crate::proto::v1;

/// Format of the manifests that this build writes.
pub const MANIFEST_VERSION: u32 = 1;
/// Parts of one node: 1024 chunks of 64 KiB make a node of about 40 KiB for 64 MiB of file.
pub const FAN_OUT: usize = 1024;
/// Highest level: 1024^5 chunks are more than any file has.
pub const LEVEL_MAX: u32 = 4;
/// Largest encoded node: 1024 parts of at most 46 bytes and the header, doubled for unknown fields.
pub const NODE_BYTES_MAX: usize = 96 * 1024;
/// Largest chunk that is taken from a peer, whatever its header says (limit of the conduit).
pub const PEER_CHUNK_MAX: u32 = 4 << 20;

/// Lists of a node; each part counts one.
const LISTS: &[Field] = &[(8, Inside::Items(1, &[]))];

/// blake3 of a chunk or of an encoded manifest node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BlobHash(pub [u8; 32]);

impl BlobHash {
    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", blake3::Hash::from(self.0).to_hex())
    }
}

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Length in the file, above zero.
    pub size: u64,
    /// The chunk, or the node of one level less. None: a hole.
    pub hash: Option<BlobHash>,
}

/// One node of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Sum of the parts.
    pub size: u64,
    /// 0: parts are chunks and holes. Above: parts are nodes of one level less.
    pub level: u32,
    /// In the order of the file, without gaps.
    pub parts: Vec<Part>,
}

impl Manifest {
    /// The bytes that the node's hash covers.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let parts = self.parts.iter().map(|part| v1::ManifestPart {
            size: part.size,
            hash: part
                .hash
                .map_or_else(Bytes::new, |hash| Bytes::copy_from_slice(&hash.0)),
        });
        v1::Manifest {
            version: MANIFEST_VERSION,
            chunk_min: CHUNK_MIN,
            chunk_avg: CHUNK_AVG,
            chunk_max: CHUNK_MAX,
            seed: 0,
            size: self.size,
            level: self.level,
            parts: parts.collect(),
        }
        .encode_to_vec()
        .into()
    }

    /// The node in `bytes`, which must hash to `hash` and describe `size` bytes; `level` is known for all but a root.
    ///
    /// # Errors
    /// [`ReplError::VersionMismatch`] for another format, else [`ReplError::Serialization`] with what is wrong.
    pub fn decode(hash: &BlobHash, size: u64, level: Option<u32>, bytes: &Bytes) -> Result<Self> {
        if bytes.len() > NODE_BYTES_MAX {
            return Err(refused(format!(
                "{} bytes are above {NODE_BYTES_MAX}",
                bytes.len()
            )));
        }
        let got = BlobHash::of(bytes);
        if got != *hash {
            return Err(refused(format!("expected hash {hash:?}, got {got:?}")));
        }
        if weight(bytes, LISTS) > room(FAN_OUT) {
            return Err(refused(format!("more than {FAN_OUT} parts")));
        }
        let message = v1::Manifest::decode(bytes.clone()).map_err(|e| refused(e.to_string()))?;
        if message.version != MANIFEST_VERSION {
            return Err(ReplError::VersionMismatch {
                what: "manifest".to_owned(),
                expected: MANIFEST_VERSION.to_string(),
                got: message.version,
            });
        }
        check_header(&message, size, level)?;
        let parts = message
            .parts
            .iter()
            .map(|part| part_from_proto(part, message.level, message.chunk_max))
            .collect::<Result<Vec<_>>>()?;
        let sum = parts
            .iter()
            .try_fold(0_u64, |sum, part| sum.checked_add(part.size));
        if sum != Some(size) {
            return Err(refused(format!(
                "parts sum up to {sum:?}, expected {size} bytes"
            )));
        }
        Ok(Self {
            size,
            level: message.level,
            parts,
        })
    }
}

fn check_header(message: &v1::Manifest, size: u64, level: Option<u32>) -> Result<()> {
    let ordered = message.chunk_min <= message.chunk_avg && message.chunk_avg <= message.chunk_max;
    if message.size != size {
        return Err(refused(format!(
            "declares {} bytes, expected {size}",
            message.size
        )));
    }
    if message.level > LEVEL_MAX || level.is_some_and(|level| level != message.level) {
        return Err(refused(format!(
            "level {} where {level:?} is expected and {LEVEL_MAX} the limit",
            message.level
        )));
    }
    if message.parts.is_empty() || message.parts.len() > FAN_OUT {
        return Err(refused(format!(
            "{} parts, expected 1..={FAN_OUT}",
            message.parts.len()
        )));
    }
    if !ordered || message.chunk_max == 0 || message.chunk_max > PEER_CHUNK_MAX {
        return Err(refused(format!(
            "chunk sizes {}/{}/{} are not ordered or above {PEER_CHUNK_MAX}",
            message.chunk_min, message.chunk_avg, message.chunk_max
        )));
    }
    Ok(())
}

fn part_from_proto(part: &v1::ManifestPart, level: u32, chunk_max: u32) -> Result<Part> {
    let hash = match <[u8; 32]>::try_from(&part.hash[..]) {
        Ok(hash) => Some(BlobHash(hash)),
        Err(_) if part.hash.is_empty() && level == 0 => None,
        Err(_) => return Err(refused(format!("hash of {} bytes", part.hash.len()))),
    };
    let limit = if level == 0 && hash.is_some() {
        u64::from(chunk_max)
    } else {
        u64::MAX
    };
    if part.size == 0 || part.size > limit {
        return Err(refused(format!(
            "part of {} bytes, expected 1..={limit}",
            part.size
        )));
    }
    Ok(Part {
        size: part.size,
        hash,
    })
}

fn refused(reason: String) -> ReplError {
    ReplError::serialization("manifest", reason)
}

/// Makes the nodes of a file's manifest from its parts as they come, holding at most one open node a level.
#[derive(Debug)]
pub struct Builder {
    open: Vec<Vec<Part>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A builder without parts.
    #[must_use]
    pub const fn new() -> Self {
        Self { open: Vec::new() }
    }

    /// Adds the next chunk or hole; finished nodes go to `sink`.
    pub fn push(&mut self, part: Part, sink: &mut dyn FnMut(BlobHash, &Bytes)) {
        self.push_at(0, part, sink);
    }

    /// Closes all nodes. The root's hash, or None when there was no part.
    pub fn finish(mut self, sink: &mut dyn FnMut(BlobHash, &Bytes)) -> Option<BlobHash> {
        let mut level = 0;
        while level < self.open.len() {
            let node = self.close(level, sink)?;
            if level + 1 == self.open.len() {
                return node.hash;
            }
            self.push_at(level + 1, node, sink);
            level += 1;
        }
        None
    }

    fn push_at(&mut self, level: usize, part: Part, sink: &mut dyn FnMut(BlobHash, &Bytes)) {
        if self.open.len() == level {
            self.open.push(Vec::new());
        }
        // A full node is closed only when another part follows: a file of exactly one node has one level.
        if self
            .open
            .get(level)
            .is_some_and(|parts| parts.len() == FAN_OUT)
            && let Some(node) = self.close(level, sink)
        {
            self.push_at(level + 1, node, sink);
        }
        if let Some(parts) = self.open.get_mut(level) {
            parts.push(part);
        }
    }

    fn close(&mut self, level: usize, sink: &mut dyn FnMut(BlobHash, &Bytes)) -> Option<Part> {
        let parts = std::mem::take(self.open.get_mut(level)?);
        let size = parts.iter().map(|part| part.size).sum();
        let manifest = Manifest {
            size,
            level: u32::try_from(level).ok()?,
            parts,
        };
        let bytes = manifest.encode();
        let hash = BlobHash::of(&bytes);
        sink(hash, &bytes);
        Some(Part {
            size,
            hash: Some(hash),
        })
    }
}

/// Where a walk gets nodes from.
pub type NodeSource<'a> = dyn FnMut(&BlobHash) -> Result<Option<Bytes>> + 'a;
/// What a walk shows: the offset in the file and the chunk or hole there.
pub type PartVisitor<'a> = dyn FnMut(u64, &Part) -> Result<()> + 'a;

/// Shows every chunk and hole of the file `root` of `size` bytes in order; returns the nodes that `node` did not give,
/// whose parts were left out.
///
/// # Errors
/// What `node` and `visit` return, and a node that is refused by [`Manifest::decode`].
pub fn walk(
    root: &BlobHash,
    size: u64,
    node: &mut NodeSource<'_>,
    visit: &mut PartVisitor<'_>,
) -> Result<Vec<BlobHash>> {
    let mut missing = Vec::new();
    walk_node(root, size, None, 0, node, visit, &mut missing)?;
    Ok(missing)
}

fn walk_node(
    hash: &BlobHash,
    size: u64,
    level: Option<u32>,
    mut offset: u64,
    node: &mut NodeSource<'_>,
    visit: &mut PartVisitor<'_>,
    missing: &mut Vec<BlobHash>,
) -> Result<()> {
    let Some(bytes) = node(hash)? else {
        missing.push(*hash);
        return Ok(());
    };
    let manifest = Manifest::decode(hash, size, level, &bytes)?;
    for part in &manifest.parts {
        match (manifest.level.checked_sub(1), &part.hash) {
            (Some(below), Some(hash)) => {
                walk_node(hash, part.size, Some(below), offset, node, visit, missing)?;
            }
            (Some(_) | None, _) => visit(offset, part)?,
        }
        offset = offset.saturating_add(part.size);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn chunk(size: u64, byte: u8) -> Part {
        Part {
            size,
            hash: Some(BlobHash::of(&[byte])),
        }
    }

    fn build(count: usize) -> (Option<BlobHash>, BTreeMap<BlobHash, Bytes>) {
        let mut nodes = BTreeMap::new();
        let mut builder = Builder::new();
        let mut sink = |hash: BlobHash, bytes: &Bytes| {
            nodes.insert(hash, bytes.clone());
        };
        for i in 0..count {
            builder.push(chunk(10, (i % 251) as u8), &mut sink);
        }
        let root = builder.finish(&mut sink);
        (root, nodes)
    }

    #[test]
    fn roots_are_pinned() {
        let one = Manifest {
            size: 12,
            level: 0,
            parts: vec![
                chunk(2, 1),
                Part {
                    size: 10,
                    hash: None,
                },
            ],
        };
        let hash = BlobHash::of(&one.encode());
        assert_eq!(
            format!("{hash:?}"),
            "d6952cb06bc1e9b74091835f6c925272b54878c98aeb12615773f417cddd477f"
        );
        let (root, _) = build(3_000);
        assert_eq!(
            format!("{:?}", root.unwrap()),
            "5e7573b7d164c1b1b39a30468c0accba67e6e6e245efe9cdc67f98a7e12b8649"
        );
    }

    #[test]
    fn a_full_node_is_still_one_level_and_one_more_part_makes_two() {
        for (count, nodes_expected) in [(1, 1), (FAN_OUT, 1), (FAN_OUT + 1, 3), (FAN_OUT * 3, 4)] {
            let (root, nodes) = build(count);
            assert_eq!(nodes.len(), nodes_expected, "{count} parts");
            let mut seen = 0;
            let missing = walk(
                &root.unwrap(),
                count as u64 * 10,
                &mut |hash| Ok(nodes.get(hash).cloned()),
                &mut |offset, part| {
                    assert_eq!((offset, part.size), (seen * 10, 10));
                    seen += 1;
                    Ok(())
                },
            );
            assert_eq!((missing.unwrap(), seen), (Vec::new(), count as u64));
        }
        assert_eq!(build(0).0, None);
    }

    #[test]
    fn missing_nodes_are_named() {
        let (root, mut nodes) = build(FAN_OUT + 1);
        let root = root.unwrap();
        nodes.retain(|hash, _| *hash == root);
        let missing = walk(
            &root,
            (FAN_OUT as u64 + 1) * 10,
            &mut |hash| Ok(nodes.get(hash).cloned()),
            &mut |_, _| Ok(()),
        );
        assert_eq!(missing.unwrap().len(), 2);
    }

    #[test]
    fn hostile_manifests_are_refused_and_say_why() {
        let good = v1::Manifest {
            version: 1,
            chunk_min: CHUNK_MIN,
            chunk_avg: CHUNK_AVG,
            chunk_max: CHUNK_MAX,
            seed: 0,
            size: 10,
            level: 0,
            parts: vec![v1::ManifestPart {
                size: 10,
                hash: Bytes::new(),
            }],
        };
        let check = |edit: &dyn Fn(&mut v1::Manifest), level, why: &str| {
            let mut message = good.clone();
            edit(&mut message);
            let bytes = Bytes::from(message.encode_to_vec());
            let error = Manifest::decode(&BlobHash::of(&bytes), 10, level, &bytes);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        };
        check(&|m| m.version = 2, None, "version 2 is not supported");
        check(&|m| m.size = 11, None, "declares 11 bytes");
        check(&|m| m.parts[0].size = 9, None, "sum up to");
        check(&|m| m.parts[0].size = 0, None, "part of 0 bytes");
        check(&|m| m.parts.clear(), None, "0 parts");
        check(&|m| m.level = 9, None, "level 9");
        check(&|_| (), Some(1), "level 0 where");
        check(&|m| m.chunk_max = u32::MAX, None, "chunk sizes");
        check(
            &|m| m.parts[0].hash = Bytes::from_static(b"x"),
            None,
            "hash of 1",
        );
        check(&|m| m.level = 1, None, "hash of 0");
        check(
            &|m| m.parts = vec![m.parts[0].clone(); FAN_OUT + 1],
            None,
            "more than 1024 parts",
        );
        let big = |m: &mut v1::Manifest| {
            m.parts = vec![m.parts[0].clone(); 2];
            m.parts[0].size = u64::MAX;
        };
        check(&big, None, "sum up to None");
        let bytes = Bytes::from(good.encode_to_vec());
        let error = Manifest::decode(&BlobHash::of(b"other"), 10, None, &bytes);
        assert!(error.unwrap_err().to_string().contains("expected hash"));
    }
}
