//! A disk without room, or that fails: writing rests, reading goes on, and what failed is shown for a while.

use std::time::Duration;

use super::Site;
use crate::error::{ReplError, Result};
use crate::sync::engine::{EngineConfig, FAILURE_SHOWN, Opened, Refusal};
use crate::sync::port::LocalTxn;

/// Makes the engine believe what failures show it.
fn fill(site: &mut Site) {
    let took = Duration::from_secs(1);
    site.clock.advance(took);
    let now = site.engine.config.clock.monotonic();
    for _ in 0..2 {
        site.engine.full.failed(now);
        site.engine.full.opened(now.saturating_sub(took), now);
    }
}

#[test]
fn while_a_full_disk_rests_nothing_is_written_and_everything_can_be_read() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let inode = a.create("f", 1);
    fill(&mut a);
    fill(&mut b);
    let write = a.write_op(inode, 2);
    let txns = [LocalTxn { ops: vec![write] }];
    let error = a.engine.submit(&txns).unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    a.engine.tick().unwrap();
    assert_eq!(a.root_of(inode), Some(1));

    let actor = a.engine.actor().unwrap();
    let (batches, mark) = a.frame_for(&mut b).unwrap();
    let arrived = b.engine.receive(actor, &batches, mark).unwrap();
    assert!(matches!(arrived.refusal, Some(Refusal::NoSpace { .. })));
    assert_eq!(b.engine.progress(actor).unwrap(), []);

    a.clock.advance(Duration::from_secs(10));
    b.clock.advance(Duration::from_secs(10));
    a.engine.submit(&txns).unwrap();
    a.send_to(&mut b);
    assert_eq!(b.apply_all(), [inode]);
    assert_eq!(b.root_of(inode), Some(2));
}

#[test]
fn a_mark_counts_only_when_what_was_refused_before_it_has_come() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    a.create("f", 1);
    fill(&mut b);
    let actor = a.engine.actor().unwrap();
    let (batches, mark) = a.frame_for(&mut b).unwrap();
    let refused = b.engine.receive(actor, &batches, mark).unwrap();
    assert!(matches!(refused.refusal, Some(Refusal::NoSpace { .. })));
    let told = |site: &mut Site| site.engine.status().unwrap().marks.get(&actor).copied();
    b.clock.advance(Duration::from_secs(10));
    // It was under way when the refusal was sent.
    b.engine.receive(actor, &[], mark + 1).unwrap();
    assert_eq!(told(&mut b), None, "an entry before it is missing");
    b.engine.receive(actor, &batches, mark).unwrap();
    assert_eq!(told(&mut b), Some(mark));
    b.engine.receive(actor, &[], mark + 1).unwrap();
    assert_eq!(told(&mut b), Some(mark + 1));
    // What breaks a rule on the wire is owed as well, and what came anyway is not.
    let (stream, last) = (batches[0].stream, batches[0].last);
    b.engine.owes(actor, stream).unwrap();
    b.engine.receive(actor, &[], mark + 2).unwrap();
    assert_eq!(told(&mut b), Some(mark + 1), "{stream} stands at {last}");
}

#[test]
fn a_failure_is_shown_for_a_minute_after_it_happened_and_then_forgotten() {
    let mut a = Site::new(1);
    let inode = a.create("f", 1);
    let fail = |_: &mut Opened, _: &EngineConfig| -> Result<()> {
        let error = std::io::Error::other("the disk said no");
        Err(ReplError::io("sync", "journal", error))
    };
    a.engine.with(fail).unwrap_err();
    let shown = |site: &mut Site| site.engine.status().unwrap().last_failure;
    assert!(shown(&mut a).unwrap().contains("the disk said no"));
    assert_eq!(a.root_of(inode), Some(1), "it was opened again");
    a.clock.advance(FAILURE_SHOWN);
    a.engine.tick().unwrap();
    assert!(shown(&mut a).is_some());
    a.clock.advance(Duration::from_millis(1));
    a.engine.tick().unwrap();
    assert_eq!(shown(&mut a), None);
}
