//! Bytes that a fuzzer makes up, read as decisions; behind their end all decisions are zero.

use bytes::{BufMut as _, Bytes, BytesMut};

/// What is left of the bytes.
#[derive(Debug, Clone)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// At most `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    pub(super) fn byte(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    pub(super) fn short(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(super) fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// Below `bound`, which is 1..=256.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub(super) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == bound - 1
    }

    pub(super) fn pick<'b, T>(&mut self, items: &'b [T]) -> Option<&'b T> {
        if items.is_empty() {
            return None;
        }
        let at = usize::from(self.short()) % items.len();
        items.get(at)
    }
}

/// The bytes themselves, or, behind a byte 0xFF, what a few of them stand for: a piece again and again, inside fields of
/// messages. So a fuzzer gets at what is small on the wire and large in memory: `0xFF, count of tags, tags, size of the
/// piece in bytes, how often as a power of two, piece, rest`.
pub(super) fn stretched(bytes: &[u8], max: usize) -> Bytes {
    let Some((0xFF, rest)) = bytes.split_first() else {
        return Bytes::copy_from_slice(bytes);
    };
    let mut input = Input::new(rest);
    let tags = input.below(5);
    let tags = input.take(tags);
    let (size, power) = (1 + input.below(32), input.below(23));
    let piece = input.take(size);
    let mut body = BytesMut::new();
    for _ in 0..1_usize << power {
        if body.len() + piece.len() > max || piece.is_empty() {
            break;
        }
        body.put_slice(piece);
    }
    body.put_slice(input.rest());
    for tag in tags.iter().rev() {
        let inner = body;
        body = BytesMut::with_capacity(inner.len() + 8);
        prost::encoding::encode_varint(u64::from(*tag) << 3 | 2, &mut body);
        prost::encoding::encode_varint(inner.len() as u64, &mut body);
        body.put_slice(&inner);
    }
    body.freeze()
}
