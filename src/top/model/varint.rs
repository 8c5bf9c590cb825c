//! Pure: numbers in few bytes: small ones in one, and steps between neighbours as small numbers.

/// Writes a number: seven bits in a byte, the lowest first; the eighth says that more follow.
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// Reads a number, and goes on behind it. None: there is none.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The step from one number to another, up or down, as a number that is small when the step is.
pub(super) const fn step(from: u64, to: u64) -> u64 {
    let step = to.wrapping_sub(from).cast_signed();
    ((step << 1) ^ (step >> 63)).cast_unsigned()
}

/// The number to which a step leads.
pub(super) const fn stepped(from: u64, step: u64) -> u64 {
    let by = (step >> 1).cast_signed() ^ -(step & 1).cast_signed();
    from.wrapping_add(by.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_steps_come_back(from in any::<u64>(), to in any::<u64>(), small in 0_u64..100) {
            let mut bytes = Vec::new();
            for number in [from, step(from, to), step(small, small + 1), step(small + 1, small)] {
                put(&mut bytes, number);
            }
            let bytes = &mut bytes.as_slice();
            prop_assert_eq!(take(bytes), Some(from));
            prop_assert_eq!(stepped(from, take(bytes).unwrap()), to);
            prop_assert_eq!(bytes.len(), 2, "a small step takes a byte");
            prop_assert_eq!(stepped(small, take(bytes).unwrap()), small + 1);
            prop_assert_eq!(stepped(small + 1, take(bytes).unwrap()), small);
            prop_assert_eq!(take(bytes), None);
        }
    }

    #[test]
    fn bytes_that_are_no_number_are_none() {
        assert_eq!(take(&mut &[0x80, 0x80][..]), None);
        assert_eq!(take(&mut &[0xff; 11][..]), None);
        assert_eq!(take(&mut &[][..]), None);
    }
}
