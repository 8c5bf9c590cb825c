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
fn what_is_gone_has_the_path_that_it_had_last() {
    let mut site = Site::new(1);
    let made = chain(&mut site);
    for depth in (DEPTH - 2..DEPTH).rev() {
        let place = Place {
            parent: made[depth - 1],
            name: Name::new(format!("d{depth}").into_bytes()).unwrap(),
        };
        let op = site.op(made[depth], Change::Unlink { place, dir: true });
        site.engine.submit(&[LocalTxn { ops: vec![op] }]).unwrap();
    }
    let mut path = |depth: usize| {
        let (path, is_shown) = site.engine.last_path_of(made[depth]).unwrap().unwrap();
        assert_eq!(path.len(), depth + 1);
        assert_eq!(path[depth].as_bytes(), format!("d{depth}").as_bytes());
        assert_eq!(
            site.engine.path_of(made[depth]).unwrap().is_some(),
            is_shown
        );
        is_shown
    };
    assert_eq!(
        [path(DEPTH - 3), path(DEPTH - 2), path(DEPTH - 1)],
        [true, false, false]
    );
    assert_eq!(site.engine.last_path_of(1 << 60).unwrap(), None);
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
