//! Directories deep in a tree, made at two sites under the same names.

use super::Site;
use crate::journal::dot::ROOT_INODE;
use crate::journal::op::{Attr, Change, Name, Place};
use crate::sync::port::LocalTxn;

const DEPTH: usize = 12;

/// A chain of directories, each named by its depth.
fn chain(site: &mut Site) -> Vec<u64> {
    let mut made = Vec::new();
    for depth in 0..DEPTH {
        let inode = site.engine.mint().unwrap();
        let place = Place {
            parent: made.last().copied().unwrap_or(ROOT_INODE),
            name: Name::new(format!("d{depth}").into_bytes()).unwrap(),
        };
        let attr = Attr {
            mode: Some(0o755),
            ..Attr::default()
        };
        let op = site.op(inode, Change::MkDir { place, attr });
        site.engine.submit(&[LocalTxn { ops: vec![op] }]).unwrap();
        made.push(inode);
    }
    made
}

#[test]
fn one_walk_finds_the_groups_that_a_walk_for_each_directory_finds() {
    let (mut a, mut b) = (Site::new(1), Site::new(2));
    let (ours, theirs) = (chain(&mut a), chain(&mut b));
    a.send_to(&mut b);
    b.send_to(&mut a);
    for site in [&mut a, &mut b] {
        site.apply_all();
        for chain in [&ours, &theirs] {
            let (chain, deepest) = (chain.clone(), *chain.last().unwrap());
            site.engine
                .with(move |opened, _| {
                    let found = opened.core.groups(deepest)?;
                    assert_eq!(found.len(), DEPTH);
                    for inode in chain {
                        let group = opened.core.group(inode)?.unwrap();
                        assert_eq!(group.len(), 2, "both made it");
                        assert_eq!(found.get(&inode), Some(&group));
                    }
                    Ok(())
                })
                .unwrap();
        }
    }
}
