//! Names that are made for files which gave way to another one of their name.

use claudefs_repl::journal::op::{NAME_BYTES_MAX, Name};
use claudefs_repl::sync::view::{conflict_name, conflict_name_inode};

use super::input::Input;

/// Who gives way: site, inode, link, and how many of its names were taken.
type Loser = (u64, u64, u64, u32);

fn loser(input: &mut Input<'_>) -> Loser {
    let (site, inode) = (1 + u64::from(input.short()), input.number());
    let link = if input.one_in(2) {
        inode
    } else {
        input.number()
    };
    (site, inode, link, 1 + u32::from(input.short()))
}

/// Two losers of one name.
pub(super) fn names(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let (one, mut other) = (loser(&mut input), loser(&mut input));
    if input.one_in(2) {
        other = (one.0, one.1, one.2, other.3);
    }
    let Ok(name) = Name::new(input.rest().to_vec()) else {
        return false;
    };
    let made = check(&name, one);
    let of_other = check(&name, other);
    assert_eq!(made == of_other, one == other, "{one:?} {other:?} {name:?}");
    // What was made may give way again.
    check(&made, other);
    true
}

fn check(name: &Name, (site, inode, link, attempt): Loser) -> Name {
    let made = conflict_name(name, site, inode, link, attempt);
    let bytes = made.as_bytes();
    assert!((1..=NAME_BYTES_MAX).contains(&bytes.len()));
    assert!(!bytes.contains(&b'/') && !bytes.contains(&0));
    assert_ne!(&made, name);
    assert_eq!(conflict_name_inode(&made), Some(inode), "{name:?} {made:?}");
    let was_text = std::str::from_utf8(name.as_bytes()).is_ok();
    assert!(!was_text || std::str::from_utf8(bytes).is_ok(), "{made:?}");
    made
}
