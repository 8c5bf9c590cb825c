//! Pure: which of two connections to the same peer stays.
//!
//! Both sites may dial. When both succeed, both must drop the same connection without talking about it, or they end
//! with none: the one dialled by the lower site id stays.

use crate::topology::SiteId;

/// Who dialled a connection, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This site did.
    Dialled,
    /// The peer did.
    Accepted,
}

/// What becomes of a second connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the place of the first.
    Replace,
    /// It is closed; the first stays.
    Refuse,
}

/// Decides between the connection that `local` has to `remote` and another one.
///
/// Two connections from the same side mean that the same journal runs twice, or that the first is half open: the
/// second is refused, and a half-open one is found dead by its silence.
#[must_use]
pub const fn second_connection(
    local: SiteId,
    remote: SiteId,
    existing: Origin,
    second: Origin,
) -> Verdict {
    match (existing, second) {
        (Origin::Dialled, Origin::Dialled) | (Origin::Accepted, Origin::Accepted) => {
            Verdict::Refuse
        }
        (Origin::Dialled, Origin::Accepted) if remote < local => Verdict::Replace,
        (Origin::Accepted, Origin::Dialled) if local < remote => Verdict::Replace,
        (Origin::Dialled, Origin::Accepted) | (Origin::Accepted, Origin::Dialled) => {
            Verdict::Refuse
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Origin::{Accepted, Dialled};
    use super::*;

    #[test]
    fn both_ends_keep_the_connection_dialled_by_the_lower_site() {
        // Connection L was dialled by site 1, H by site 2; either may be there first at either end.
        for (existing, second) in [(Dialled, Accepted), (Accepted, Dialled)] {
            let at_low = second_connection(1, 2, existing, second);
            let kept_at_low = if at_low == Verdict::Replace {
                second
            } else {
                existing
            };
            assert_eq!(kept_at_low, Dialled);
            let at_high = second_connection(2, 1, existing, second);
            let kept_at_high = if at_high == Verdict::Replace {
                second
            } else {
                existing
            };
            assert_eq!(kept_at_high, Accepted);
        }
    }

    #[test]
    fn a_second_connection_from_the_same_side_is_refused() {
        for origin in [Dialled, Accepted] {
            assert_eq!(second_connection(1, 2, origin, origin), Verdict::Refuse);
        }
    }
}
