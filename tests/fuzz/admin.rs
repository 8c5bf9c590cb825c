//! What a daemon and the programs of its operators say to each other.

use super::input::Input;

/// A message of the kind that the first byte names.
pub(super) fn admin(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let kind = input.byte();
    claudefs_repl::admin::read_any(kind, input.rest())
}
