//! What an operation costs deep in a tree: one walk of its path, at the site that does it and at the one that takes it.

use super::*;
use crate::sync::state::READS;

/// Reads of the state while `site` does something.
fn reads(site: &mut Site, what: impl FnOnce(&mut Site)) -> u64 {
    let before = READS.get();
    what(site);
    READS.get() - before
}

/// Reads that a new file, new bytes in it, its removal, and taking and applying each at another site make, at the end
/// of a chain of `depth` directories.
fn cost_at(depth: u64) -> [u64; 9] {
    let [mut a, mut b] = sites();
    let dir = |at: u64| (1 << 48) | (at << 8);
    for at in 1..=depth {
        let parent = if at == 1 { ROOT } else { dir(at - 1) };
        a.does(at, &[mkdir(dir(at), parent, "d")]);
    }
    b.takes_all(&a);
    a.applies();
    b.applies();
    let file = (1 << 48) | (1 << 40);
    let ops = [
        create(file, dir(depth), "f"),
        write(file, 1),
        unlink(file, dir(depth), "f"),
    ];
    let mut costs = Vec::new();
    for (step, op) in ops.into_iter().enumerate() {
        let mut made = Vec::new();
        let now = 1_000_000 + step as u64;
        costs.push(reads(&mut a, |a| made = a.does(now, &[op])));
        a.applies();
        costs.push(reads(&mut b, |b| b.takes(&a, &made)));
        costs.push(reads(&mut b, Site::applies));
    }
    costs.try_into().unwrap()
}

#[test]
fn an_operation_twice_as_deep_reads_at_most_twice_as_much() {
    let (near, far) = (cost_at(100), cost_at(200));
    assert!(
        near[0] >= 100,
        "every directory above is looked at: {near:?}"
    );
    for (step, (near, far)) in near.into_iter().zip(far).enumerate() {
        assert!(
            far <= 2 * near + 10,
            "step {step}: {near} reads, then {far}"
        );
        assert!(far <= 12 * 200, "step {step}: {far} reads for 200 levels");
    }
}
