//! Attributes that are written at one site and bytes, or other attributes, at another.

use std::collections::BTreeSet;

use super::*;

#[test]
fn a_mode_with_set_uid_and_bytes_from_different_sites_drop_the_bits() {
    let file = 1 << 48;
    let [mut a, mut b] = sites();
    a.does(
        10,
        &[create(file, ROOT, "f"), chmod(file, 0o755), write(file, 1)],
    );
    b.takes_all(&a);
    b.applies();
    a.does(20, &[write(file, 2)]);
    b.does(30, &[chmod(file, 0o6755)]);
    let [mut a, _] = exchange([a, b]);
    assert_eq!((a.mode(file), a.bytes(file)), (Some(0o755), Some(2)));
    assert_eq!(
        a.conflicts(),
        BTreeSet::from([(ConflictKind::SuidDropped, file, 2)])
    );
}

#[test]
fn different_registers_written_concurrently_are_both_shown_and_noted_until_someone_who_saw_both_writes()
 {
    let file = 1 << 48;
    let [mut a, mut b] = sites_with(file);
    a.does(20, &[write(file, 2)]);
    b.does(30, &[chmod(file, 0o600)]);
    let [mut a, mut b] = exchange([a, b]);
    assert_eq!((a.mode(file), a.bytes(file)), (Some(0o600), Some(2)));
    let noted = BTreeSet::from([(ConflictKind::Merged, file, 1)]);
    assert_eq!((a.conflicts(), b.conflicts()), (noted.clone(), noted));
    assert!(
        a.core
            .state()
            .conflicts()
            .unwrap()
            .iter()
            .all(|one| !one.is_open(None))
    );
    b.applies();
    b.does(40, &[write(file, 3)]);
    let [mut a, _] = exchange([a, b]);
    assert_eq!(a.conflicts(), BTreeSet::new());
}
