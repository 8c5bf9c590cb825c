//! What a record of a conflict goes on saying when the matter is settled.

use super::*;

#[test]
fn who_won_stays_on_record_when_a_version_that_saw_both_settles_the_matter() {
    let file = 1 << 48;
    let [mut a, mut b] = sites_with(file);
    a.does(20, &[write(file, 2)]);
    b.does(30, &[write(file, 3)]);
    let [mut a, b] = exchange([a, b]);
    let won = |site: &Site| {
        let records = site.records();
        assert_eq!(records.len(), 1, "{records:?}");
        let winner = records[0].winner.unwrap();
        (winner.timestamp_us, winner.site_id, records[0].superseded)
    };
    assert_eq!([won(&a), won(&b)], [(30, 2, false); 2]);
    a.applies();
    a.does(40, &[write(file, 2)]);
    let [a, b] = exchange([a, b]);
    assert_eq!([won(&a), won(&b)], [(30, 2, true); 2]);
}

#[test]
fn two_sites_that_remove_the_same_have_nothing_to_look_at() {
    let (file, dir) = (1 << 48, (1 << 48) + 1);
    let [mut a, mut b] = sites();
    a.does(
        10,
        &[
            create(file, ROOT, "f"),
            write(file, 1),
            mkdir(dir, ROOT, "d"),
        ],
    );
    b.takes_all(&a);
    b.applies();
    for (now, site) in [(20, &mut a), (30, &mut b)] {
        let place = at(ROOT, "d");
        site.does(
            now,
            &[
                unlink(file, ROOT, "f"),
                op(dir, Change::Unlink { place, dir: true }),
            ],
        );
    }
    let [mut a, mut b] = exchange([a, b]);
    assert_eq!(a.shows(), BTreeMap::new());
    assert_eq!(
        [a.conflicts(), b.conflicts()],
        [BTreeSet::new(), BTreeSet::new()]
    );
    assert!(a.records().iter().all(|record| !record.is_open(None)));
    assert_eq!(a.records().len(), 2);
}

#[test]
fn a_removal_that_agrees_with_the_winner_counts_at_no_site_whatever_came_first() {
    let file = 1 << 48;
    let [mut a, mut b, mut c] = sites_with(file);
    a.does(20, &[unlink(file, ROOT, "f")]);
    b.does(30, &[rename(file, ROOT, "g")]);
    c.does(40, &[unlink(file, ROOT, "f")]);
    let [mut a, ..] = exchange([a, b, c]);
    let of_b = (ConflictKind::Register, file, 2);
    assert_eq!(a.conflicts(), BTreeSet::from([of_b]));
}

#[test]
fn the_same_mode_from_two_sites_counts_at_no_site_and_another_one_does() {
    let file = 1 << 48;
    let [mut a, mut b, mut c] = sites_with(file);
    a.does(20, &[chmod(file, 0o755)]);
    b.does(30, &[chmod(file, 0o755)]);
    c.does(25, &[chmod(file, 0o600)]);
    let sites = exchange([a, b, c]);
    for mut site in sites {
        let of_c = (ConflictKind::Register, file, 3);
        assert_eq!(site.conflicts(), BTreeSet::from([of_c]));
        assert_eq!(site.records().len(), 2, "both losers are on record");
    }
}
