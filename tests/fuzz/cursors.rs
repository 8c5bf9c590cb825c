//! Cursors and their history, against a map that knows the rule: never back.

use std::collections::BTreeMap;

use claudefs_repl::journal::Actor;
use claudefs_repl::journal::dot::{SITE_ID_MAX, STREAM_COUNT};
use claudefs_repl::wal::{HISTORY_MAX, ReplicationCursor, ReplicationWal};

use super::input::Input;

/// Steps, each of 5 or 18 bytes.
pub(super) fn cursors(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let mut wal = ReplicationWal::new();
    let mut model: BTreeMap<(Actor, u32), Vec<u64>> = BTreeMap::new();
    while !input.is_empty() {
        let is_wild = input.one_in(8);
        let (site, stream, seq) = if is_wild {
            (input.number(), u32::from(input.short()), input.number())
        } else {
            let site = 1 + input.below(3) as u64;
            (site, input.below(3) as u32, u64::from(input.short()))
        };
        let actor = Actor::new(site, u64::from(input.byte() & 1));
        let steps = model.entry((actor, stream)).or_default();
        let at = steps.last().copied().unwrap_or(0);
        let is_valid = (1..=SITE_ID_MAX).contains(&site) && stream < STREAM_COUNT && seq > 0;
        let moved = wal.advance(ReplicationCursor::of(actor, stream, seq), seq, 1);
        match moved {
            Ok(moved) => {
                assert!(is_valid && seq >= at);
                assert_eq!(moved, seq > at);
                if moved {
                    steps.push(seq);
                }
            }
            Err(_) => assert!(!is_valid || seq < at),
        }
        let now = wal.cursor(actor, stream).expect("memory does not fail");
        assert_eq!(now.last_seq, steps.last().copied().unwrap_or(0));
    }
    model.retain(|_, steps| !steps.is_empty());
    let all = wal.all_cursors().expect("memory does not fail");
    assert_eq!(all.len(), model.len());
    for ((actor, stream), steps) in &model {
        let history = wal.history(*actor, *stream).expect("memory does not fail");
        let seqs: Vec<u64> = history.iter().map(|step| step.cursor.last_seq).collect();
        assert_eq!(seqs, steps[steps.len().saturating_sub(HISTORY_MAX)..]);
    }
    !model.is_empty()
}
