//! A disk without room: writing rests, reading goes on.

use std::time::Duration;

use super::Site;
use crate::sync::engine::Refusal;
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
