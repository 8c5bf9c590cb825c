//! Pure: the frame of one record in a segment log.
//!
//! ```text
//! length u32 | tag u8 | crc u32 | body        little-endian; length counts the body, zero ends the written part
//! tag = kind (bits 0..=5) | MORE (bit 6): the unit goes on in the next record | OPENS (bit 7): first of its commit
//! crc = CRC-32 (IEEE) over the record's position in the log as u64, the tag and the body
//! ```
//! A *unit* is what recovery keeps or cuts whole: an entry or a transaction with its context before and its trailers
//! behind it. `OPENS` tells recovery that everything before was synced: a commit is written only after the one before
//! is durable. The position is in the crc because entries carry files, and a file may hold a piece of a log: bytes
//! that look like a record are one only where it was written.

use bytes::{BufMut, Bytes, BytesMut};

pub(crate) mod body;

pub(crate) use body::{BatchRange, Record, Snapshot, StoredEntry, StreamPoint};

/// Bytes before the body.
pub(crate) const RECORD_HEADER_BYTES: usize = 9;
/// Largest body. A transaction of 1024 entries with small payloads has 200 KiB; one entry at most 256 KiB.
pub(crate) const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

const OPENS: u8 = 0x80;
const MORE: u8 = 0x40;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RecordKind {
    Entry = 1,
    SeenChange = 2,
    TxnGroup = 3,
    LocalTrailer = 4,
    Checkpoint = 5,
}

impl RecordKind {
    fn of(tag: u8) -> Option<Self> {
        [
            Self::Entry,
            Self::SeenChange,
            Self::TxnGroup,
            Self::LocalTrailer,
            Self::Checkpoint,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == tag & !(OPENS | MORE))
    }
}

/// A record before it has a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawRecord {
    pub kind: RecordKind,
    /// The unit goes on in the next record.
    pub more: bool,
    /// Never empty.
    pub body: Bytes,
}

impl RawRecord {
    /// A record that is a unit by itself.
    pub(crate) fn alone(kind: RecordKind, body: Bytes) -> Self {
        Self {
            kind,
            more: false,
            body,
        }
    }

    /// A record that belongs together with the one that follows.
    pub(crate) fn joined(kind: RecordKind, body: Bytes) -> Self {
        Self {
            kind,
            more: true,
            body,
        }
    }

    /// Bytes that it takes in a log.
    pub(crate) fn size(&self) -> u64 {
        (RECORD_HEADER_BYTES + self.body.len()) as u64
    }
}

/// What stands at a place of a log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A zero length: nothing was written here.
    End,
    /// A record whose crc is right.
    Record {
        kind: RecordKind,
        opens: bool,
        more: bool,
        /// Length of the body behind the header.
        body: usize,
    },
    /// This many bytes are needed to tell.
    Short(usize),
    /// Not a record; what was expected and found.
    Damaged(String),
}

/// Appends `record`, which will stand at `position`.
pub(crate) fn write_record(out: &mut BytesMut, position: u64, opens: bool, record: &RawRecord) {
    let tag =
        record.kind as u8 | if opens { OPENS } else { 0 } | if record.more { MORE } else { 0 };
    let length = u32::try_from(record.body.len()).unwrap_or(u32::MAX);
    out.reserve(RECORD_HEADER_BYTES + record.body.len());
    out.put_u32_le(length);
    out.put_u8(tag);
    out.put_u32_le(crc(position, tag, &record.body));
    out.put_slice(&record.body);
}

/// Reads the record at the start of `bytes`, which stand at `position`.
pub(crate) fn read_record(bytes: &[u8], position: u64) -> Frame {
    let Some(length) = bytes.first_chunk::<4>() else {
        return Frame::Short(RECORD_HEADER_BYTES);
    };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length == 0 {
        return Frame::End;
    }
    if length > RECORD_BYTES_MAX {
        return Frame::Damaged(format!(
            "record of {length} bytes is above {RECORD_BYTES_MAX}"
        ));
    }
    let Some((header, rest)) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>() else {
        return Frame::Short(RECORD_HEADER_BYTES);
    };
    let [_, _, _, _, tag, a, b, c, d] = *header;
    let Some(kind) = RecordKind::of(tag) else {
        return Frame::Damaged(format!(
            "record kind {} is not known",
            tag & !(OPENS | MORE)
        ));
    };
    let Some(body) = rest.get(..length) else {
        return Frame::Short(RECORD_HEADER_BYTES + length);
    };
    let (stored, computed) = (u32::from_le_bytes([a, b, c, d]), crc(position, tag, body));
    if stored != computed {
        return Frame::Damaged(format!(
            "crc of the record is {stored:08x}, its bytes give {computed:08x}"
        ));
    }
    Frame::Record {
        kind,
        opens: tag & OPENS != 0,
        more: tag & MORE != 0,
        body: length,
    }
}

/// Whether a commit starts anywhere in `bytes`, which stand at `position`; where, if so.
///
/// Looks at every byte: behind damage the bounds of records are not known. The crc is computed only where tag and
/// length are plausible, so that random bytes cost little.
pub(crate) fn find_commit(bytes: &[u8], position: u64) -> Option<u64> {
    bytes
        .windows(RECORD_HEADER_BYTES)
        .enumerate()
        .filter(|(_, header)| header.get(4).is_some_and(|tag| tag & OPENS != 0))
        .map(|(offset, _)| offset)
        .find(|offset| {
            let rest = bytes.get(*offset..).unwrap_or_default();
            matches!(
                read_record(rest, position + *offset as u64),
                Frame::Record { opens: true, .. }
            )
        })
        .map(|offset| position + offset as u64)
}

fn crc(position: u64, tag: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.to_le_bytes());
    hasher.update(&[tag]);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(position: u64, opens: bool, record: &RawRecord) -> Vec<u8> {
        let mut out = BytesMut::new();
        write_record(&mut out, position, opens, record);
        out.to_vec()
    }

    #[test]
    fn the_frame_is_pinned() {
        let record = RawRecord::joined(RecordKind::TxnGroup, Bytes::from_static(b"body"));
        let bytes = written(0x0102_0304, true, &record);
        assert_eq!(
            bytes,
            [
                4, 0, 0, 0, 0xC3, 0xBE, 0x6A, 0xA4, 0x5B, b'b', b'o', b'd', b'y'
            ]
        );
        assert_eq!(record.size(), 13);
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_every_prefix_is_short() {
        let record = RawRecord::alone(RecordKind::Entry, Bytes::from_static(b"some body"));
        let bytes = written(77, false, &record);
        let whole = Frame::Record {
            kind: RecordKind::Entry,
            opens: false,
            more: false,
            body: 9,
        };
        assert_eq!(read_record(&bytes, 77), whole);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = read_record(&flipped, 77);
            assert!(
                !matches!(found, Frame::Record { .. }),
                "bit {bit}: {found:?}"
            );
        }
        for cut in 0..bytes.len() {
            assert!(matches!(read_record(&bytes[..cut], 77), Frame::Short(_)));
        }
    }

    #[test]
    fn a_copy_of_a_record_elsewhere_is_not_a_record() {
        let record = RawRecord::alone(RecordKind::Entry, Bytes::from_static(b"some body"));
        let bytes = written(1_077, true, &record);
        assert!(matches!(read_record(&bytes, 1_078), Frame::Damaged(_)));
        let mut around = vec![0xFF; 100];
        around.extend(&bytes);
        assert_eq!(find_commit(&around, 0), None);
        assert_eq!(find_commit(&around, 977), Some(1_077));
    }

    #[test]
    fn hostile_lengths_are_refused_without_reading_them() {
        let bytes = [0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 0];
        assert!(matches!(read_record(&bytes, 0), Frame::Damaged(_)));
        assert_eq!(read_record(&[0; 4], 0), Frame::End);
    }
}
