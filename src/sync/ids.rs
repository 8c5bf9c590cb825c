//! Pure: logical inode and link numbers that no site ever gives out twice.
//!
//! `site: 16 | tag: 16 | counter: 32`. The tag is drawn at random when a journal is created, so a journal that was
//! restored or cloned and goes on under a new incarnation does not repeat numbers of the old one.

use crate::error::{ReplError, Result};

/// Gives out numbers of one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minter {
    site_id: u64,
    tag: u16,
    next: u64,
}

impl Minter {
    /// Numbers of `site_id` under `tag`, from counter `next` on.
    #[must_use]
    pub fn new(site_id: u64, tag: u16, next: u64) -> Self {
        Self {
            site_id,
            tag,
            next: next.max(1),
        }
    }

    /// The next number.
    ///
    /// # Errors
    /// When the 2^32 numbers of the tag are used up.
    pub fn mint(&mut self) -> Result<u64> {
        let counter = u32::try_from(self.next).map_err(|_| {
            let tag = self.tag;
            ReplError::serialization("inode number", format!("tag {tag} is used up"))
        })?;
        self.next += 1;
        Ok(self.site_id << 48 | u64::from(self.tag) << 32 | u64::from(counter))
    }

    /// Takes note of a number found in the journal: it is never given out again.
    pub fn observe(&mut self, number: u64) {
        let of_tag = number >> 32 == self.site_id << 16 | u64::from(self.tag);
        if of_tag {
            self.next = self.next.max((number & 0xFFFF_FFFF) + 1);
        }
    }

    /// Takes note of numbers that were given out and may be in nobody's journal yet: those before `next`.
    pub fn go_on_from(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// The tag.
    #[must_use]
    pub const fn tag(&self) -> u16 {
        self.tag
    }

    /// The counter of the next number.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }
}

/// Site and tag of a number.
#[must_use]
pub const fn site_and_tag(number: u64) -> (u64, u16) {
    (number >> 48, (number >> 32 & 0xFFFF) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_site_and_tag_and_go_on_behind_what_was_seen() {
        let mut minter = Minter::new(3, 9, 0);
        let first = minter.mint().unwrap();
        assert_eq!(
            (first, site_and_tag(first)),
            (3 << 48 | 9 << 32 | 1, (3, 9))
        );
        minter.observe(3 << 48 | 9 << 32 | 41);
        minter.observe(3 << 48 | 8 << 32 | 99);
        minter.observe(4 << 48 | 9 << 32 | 99);
        assert_eq!(minter.mint().unwrap() & 0xFFFF_FFFF, 42);
        minter.go_on_from(50);
        minter.go_on_from(45);
        assert_eq!(minter.mint().unwrap() & 0xFFFF_FFFF, 50);
    }

    #[test]
    fn a_used_up_tag_is_an_error_and_not_a_repetition() {
        let mut minter = Minter::new(1, 0, u64::from(u32::MAX));
        minter.mint().unwrap();
        assert!(minter.mint().unwrap_err().to_string().contains("used up"));
    }
}
