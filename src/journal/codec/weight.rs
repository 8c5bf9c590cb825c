//! Pure: how much memory a message will take, told before it is decoded.
//!
//! An empty message inside a list takes two bytes on the wire and some hundred in memory, and a packed number one and
//! eight: what a limit on bytes lets pass could become a hundred times as much. So whoever decodes what others wrote
//! names the lists of the message and what their items take, and refuses by the sum.

use prost::encoding::decode_varint;

/// A field that makes a message grow: its number, and what is in it.
pub type Field = (u64, Inside);

/// What is inside a field, and how many bytes of memory each item takes.
#[derive(Debug, Clone, Copy)]
pub enum Inside {
    /// Messages, or bytes that are not copied, each with fields that grow. One that is no list is a list of one.
    Items(usize, &'static [Field]),
    /// Text, which is copied.
    Text,
    /// Packed numbers.
    Numbers(usize),
    /// Bytes that hold messages, each behind its length.
    Packed(usize, &'static [Field]),
}

/// Most growing fields of one message.
const FIELDS_MAX: usize = 8;
/// A list of few items has room for so many.
const ROOM_MIN: usize = 4;

/// How many bytes of memory the lists and texts of the message in `bytes` will take. Where the bytes are no message any
/// more the count ends, because the decoder will say so.
#[must_use]
pub fn weight(mut bytes: &[u8], fields: &[Field]) -> usize {
    let mut counts = [0_usize; FIELDS_MAX];
    let mut sum = 0_usize;
    while let Some((number, wire_type, value)) = next_field(&mut bytes) {
        let mut known = fields.iter().zip(&mut counts);
        let Some(((_, inside), count)) = known.find(|((field, _), _)| *field == number) else {
            continue;
        };
        match inside {
            Inside::Items(_, inner) => {
                *count += 1;
                sum = sum.saturating_add(weight(value, inner));
            }
            Inside::Text => sum = sum.saturating_add(value.len()),
            // A number that is not packed has no bytes behind its tag that are looked at here.
            Inside::Numbers(_) if wire_type != LENGTH_DELIMITED => *count += 1,
            Inside::Numbers(_) => *count += value.iter().filter(|byte| **byte < 0x80).count(),
            Inside::Packed(_, inner) => {
                let (items, inside) = packed(value, inner);
                *count += items;
                sum = sum.saturating_add(inside);
            }
        }
    }
    for ((_, inside), count) in fields.iter().zip(counts) {
        let size = match inside {
            Inside::Items(size, _) | Inside::Packed(size, _) | Inside::Numbers(size) => *size,
            Inside::Text => 0,
        };
        sum = sum.saturating_add(room(count).saturating_mul(size));
    }
    sum
}

/// How many items a list has room for that grew to `count`.
#[must_use]
pub const fn room(count: usize) -> usize {
    if count == 0 {
        return 0;
    }
    let room = count.next_power_of_two();
    if room < ROOM_MIN { ROOM_MIN } else { room }
}

/// How many messages there are in a packed run, and what their fields take.
fn packed(mut bytes: &[u8], inner: &[Field]) -> (usize, usize) {
    let (mut items, mut sum) = (0, 0_usize);
    while !bytes.is_empty() {
        let Ok(length) = decode_varint(&mut bytes) else {
            break;
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((item, rest)) = bytes.split_at_checked(length) else {
            break;
        };
        items += 1;
        sum = sum.saturating_add(weight(item, inner));
        bytes = rest;
    }
    (items, sum)
}

const LENGTH_DELIMITED: u64 = 2;

/// Number, wire type and bytes of the next field; none behind the last one, or where there is none.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, u64, &'a [u8])> {
    if bytes.is_empty() {
        return None;
    }
    let key = decode_varint(bytes).ok()?;
    let wire_type = key & 7;
    let length = match wire_type {
        0 => {
            decode_varint(bytes).ok()?;
            0
        }
        1 => 8,
        LENGTH_DELIMITED => usize::try_from(decode_varint(bytes).ok()?).unwrap_or(usize::MAX),
        5 => 4,
        _ => return None,
    };
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((key >> 3, wire_type, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: &[Field] = &[(2, Inside::Items(10, &[])), (3, Inside::Numbers(8))];
    const FIELDS: &[Field] = &[
        (1, Inside::Items(100, INNER)),
        (4, Inside::Text),
        (5, Inside::Packed(50, INNER)),
    ];

    /// A field of bytes.
    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, value.len() as u8], value].concat()
    }

    #[test]
    fn what_lies_in_lists_of_lists_is_counted() {
        assert_eq!(weight(&[], FIELDS), 0);
        assert_eq!(weight(&field(1, &[]), FIELDS), 400);
        assert_eq!(weight(&field(1, &field(2, &[7])), FIELDS), 440);
        assert_eq!(weight(&field(1, &field(3, &[1; 9])), FIELDS), 400 + 16 * 8);
        assert_eq!(weight(&field(4, b"text"), FIELDS), 4);
        let two = [field(1, &[]), field(1, &[])].concat();
        assert_eq!(weight(&two, FIELDS), 400);
        assert_eq!(weight(&two.repeat(3), FIELDS), 800);
        let item = field(2, &[]);
        let run = [&[item.len() as u8][..], &item, &[0]].concat();
        assert_eq!(weight(&field(5, &run), FIELDS), 200 + 40);
        assert_eq!(weight(&field(9, &[0; 100]), FIELDS), 0, "it is not kept");
    }

    #[test]
    fn numbers_count_packed_or_not() {
        let fields = [(3, Inside::Numbers(8))];
        assert_eq!(weight(&[3 << 3, 5, 3 << 3, 6], &fields), 32);
        assert_eq!(weight(&field(3, &[0x80, 1, 2]), &fields), 32);
    }

    proptest::proptest! {
        #[test]
        fn counting_arbitrary_bytes_never_panics(bytes in proptest::collection::vec(0u8.., 0..300)) {
            proptest::prop_assert!(weight(&bytes, FIELDS) <= 400 * bytes.len());
        }
    }
}
