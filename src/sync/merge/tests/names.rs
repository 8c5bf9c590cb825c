//! Names that are made for files that gave way, and when they stay.

use super::*;

#[test]
fn a_clash_loser_keeps_its_shown_name_when_the_winner_goes() {
    let [mine, theirs] = [1 << 48, 2 << 48];
    let [mut a, mut b] = sites();
    a.does(10, &[create(mine, ROOT, "f.txt")]);
    b.does(20, &[create(theirs, ROOT, "f.txt")]);
    let [mut a, b] = exchange([a, b]);
    assert_eq!(
        a.conflicts(),
        BTreeSet::from([(ConflictKind::NameClash, mine, 1)])
    );
    let shown = a.shows();
    let ((_, altered), _) = shown.iter().find(|(_, inode)| **inode == mine).unwrap();
    assert!(
        altered.starts_with("f.cfs-conflict-1-") && altered.ends_with(".txt"),
        "{altered}"
    );
    a.does(30, &[unlink(theirs, ROOT, "f.txt")]);
    let [mut a, _] = exchange([a, b]);
    assert_eq!(a.shows(), tree([(ROOT, altered.as_str(), mine)]));
    assert_eq!(a.conflicts(), BTreeSet::new());
}

#[test]
fn a_made_name_stays_when_the_file_goes_that_had_taken_a_better_one() {
    let [mine, theirs, other] = [1 << 48, 2 << 48, (2 << 48) + 1];
    let [mut a, mut b] = sites();
    let name = Name::new(b"f.txt".to_vec()).unwrap();
    let better = crate::sync::view::conflict_name(&name, 1, mine, mine, 1);
    let better = String::from_utf8(better.as_bytes().to_vec()).unwrap();
    a.does(10, &[create(mine, ROOT, "f.txt")]);
    b.does(20, &[create(theirs, ROOT, "f.txt")]);
    b.does(21, &[create(other, ROOT, &better)]);
    let [mut a, b] = exchange([a, b]);
    let mut shown = a.shows();
    assert_eq!(shown.remove(&(ROOT, better.clone())), Some(other));
    a.does(30, &[unlink(other, ROOT, &better)]);
    let [mut a, _] = exchange([a, b]);
    assert_eq!(
        a.shows(),
        shown,
        "who removed one file sees no other one change its name"
    );
}
