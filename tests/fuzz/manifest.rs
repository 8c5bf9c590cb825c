//! Nodes of manifests, and the walk over several of them, as a hostile peer serves them.

use std::collections::BTreeMap;

use bytes::Bytes;
use claudefs_repl::content::manifest::{
    BlobHash, FAN_OUT, LEVEL_MAX, Manifest, NODE_BYTES_MAX, Part, walk,
};
use claudefs_repl::proto::v1;
use prost::Message as _;

use super::input::{Input, stretched};
use super::within;

/// The first byte says whether any bytes are a node, or numbers make nodes that refer to each other.
pub(super) fn manifest(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    if input.one_in(2) {
        nodes(&mut input)
    } else {
        node(input.rest())
    }
}

fn node(bytes: &[u8]) -> bool {
    let bytes = stretched(bytes, NODE_BYTES_MAX);
    // What is wanted of a node is what its maker declared, so that all of it is looked at.
    let declared = v1::Manifest::decode(bytes.clone()).ok();
    let size = declared.map_or(0, |message| message.size);
    let hash = BlobHash::of(&bytes);
    let decoded = within(NODE_BYTES_MAX, || {
        Manifest::decode(&hash, size, None, &bytes)
    });
    let Ok(manifest) = decoded else {
        return false;
    };
    let sum: u128 = manifest
        .parts
        .iter()
        .map(|part| u128::from(part.size))
        .sum();
    assert_eq!(sum, u128::from(size));
    assert!((1..=FAN_OUT).contains(&manifest.parts.len()) && manifest.level <= LEVEL_MAX);
    let bytes = manifest.encode();
    let hash = BlobHash::of(&bytes);
    let again = Manifest::decode(&hash, size, Some(manifest.level), &bytes);
    assert!(again.is_ok() || has_larger_chunks(&manifest), "{again:?}");
    true
}

/// Chunks of another version that cut files into larger ones than this one does.
fn has_larger_chunks(manifest: &Manifest) -> bool {
    let largest = u64::from(claudefs_repl::content::chunk::CHUNK_MAX);
    let mut parts = manifest.parts.iter();
    manifest.level == 0 && parts.any(|part| part.hash.is_some() && part.size > largest)
}

/// Most nodes.
const NODES_MAX: usize = 12;

fn nodes(input: &mut Input<'_>) -> bool {
    let mut made: Vec<(BlobHash, u64)> = Vec::new();
    let mut known: BTreeMap<BlobHash, Bytes> = BTreeMap::new();
    while made.len() < NODES_MAX && !input.is_empty() {
        let count = 1 + input.below(6);
        let parts: Vec<Part> = (0..count).map(|_| part(input, &made)).collect();
        let sum = parts
            .iter()
            .fold(0, |sum: u64, part| sum.wrapping_add(part.size));
        let size = if input.one_in(16) {
            input.number()
        } else {
            sum
        };
        let level = u32::try_from(input.below(7)).unwrap_or(0);
        let bytes = Manifest { size, level, parts }.encode();
        let hash = BlobHash::of(&bytes);
        made.push((hash, size));
        if !input.one_in(8) {
            known.insert(hash, bytes);
        }
    }
    let Some((root, size)) = made.last().copied() else {
        return false;
    };
    let mut at = 0;
    let walked = walk(
        &root,
        size,
        &mut |hash| Ok(known.get(hash).cloned()),
        &mut |offset, part| {
            assert!(offset >= at, "parts come in the order of the file");
            at = offset
                .checked_add(part.size)
                .expect("parts lie in the file");
            assert!(at <= size, "parts lie in the file");
            Ok(())
        },
    );
    let Ok(missing) = walked else { return false };
    assert!(missing.iter().all(|hash| !known.contains_key(hash)));
    assert!(at == size || !missing.is_empty());
    true
}

fn part(input: &mut Input<'_>, made: &[(BlobHash, u64)]) -> Part {
    let size = if input.one_in(16) {
        input.number()
    } else {
        1 + u64::from(input.short())
    };
    match (input.below(3), input.pick(made)) {
        (0, _) => Part { size, hash: None },
        (1, Some((hash, of_node))) => Part {
            size: if input.one_in(8) { size } else { *of_node },
            hash: Some(*hash),
        },
        _ => Part {
            size,
            hash: Some(BlobHash::of(&size.to_le_bytes())),
        },
    }
}
