//! Pure: the hash chain over a stream, by which a forked, restored or cloned journal is noticed.
//!
//! `chain(n) = blake3(chain(n-1) || seq || raw bytes || seen)` over the uncompacted journal. A receiver checks that the
//! `chain_prev` of a batch is what it stored as `chain_last`; it proves continuity of the sender's history, not the
//! content of a compacted batch.

use super::batch::ChainHash;
use super::dot::Seen;

/// The chain before the first entry.
pub const CHAIN_START: ChainHash = [0; 32];

/// The chain after the entry `seq`, whose encoded bytes are `raw` and whose stream context is `seen`.
#[must_use]
pub fn extend(previous: &ChainHash, seq: u64, raw: &[u8], seen: &Seen) -> ChainHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous);
    hasher.update(&seq.to_le_bytes());
    hasher.update(&(raw.len() as u64).to_le_bytes());
    hasher.update(raw);
    for (actor, seq) in seen.iter() {
        hasher.update(&actor.site_id.to_le_bytes());
        hasher.update(&actor.incarnation.to_le_bytes());
        hasher.update(&seq.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::dot::Actor;
    use super::*;

    #[test]
    fn any_difference_in_history_changes_the_chain() {
        let seen: Seen = [(Actor::new(2, 1), 4)].into_iter().collect();
        let base = extend(&CHAIN_START, 1, b"entry", &seen);
        assert_eq!(base, extend(&CHAIN_START, 1, b"entry", &seen));
        for other in [
            extend(&base, 1, b"entry", &seen),
            extend(&CHAIN_START, 2, b"entry", &seen),
            extend(&CHAIN_START, 1, b"Entry", &seen),
            extend(&CHAIN_START, 1, b"entry", &Seen::new()),
        ] {
            assert_ne!(base, other);
        }
    }
}
