//! Pure: the name and the header of a segment file.
//!
//! ```text
//! magic "cfsrlog\n" | format u32 | kind u32 | site u64 | incarnation u64 | base u64 | reserved u32 = 0 | crc u32
//! ```
//! All little-endian; the crc is CRC-32 (IEEE) over what stands before it. Every later format keeps this header, so
//! that another version is told from damage. A log is one space of byte positions
//! that counts records only: the record at position `p` stands in the segment with the greatest base `<= p`, at file
//! offset `HEADER_BYTES + p - base`. A segment ends where the next one's base begins, so a sealed one cannot be cut
//! short unnoticed.

use std::ffi::OsStr;

use super::dot::{Actor, SITE_ID_MAX};

/// Length of the header in bytes.
pub(crate) const HEADER_BYTES: usize = 48;
/// The only format so far.
pub(crate) const FORMAT: u32 = 1;
/// Largest segment file: open reads the last one into memory.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Smallest segment size that can be asked for: a header, a checkpoint and some entries.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 4 * 1024;

const MAGIC: &[u8; 8] = b"cfsrlog\n";
const SUFFIX: &str = ".seg";
/// A segment that is being made has this suffix until it is whole and durable.
pub(crate) const NEW_SUFFIX: &str = ".seg.new";

/// What a log is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogKind {
    /// A site's own journal.
    Journal = 1,
    /// What was received of one other journal.
    Received = 2,
}

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub kind: LogKind,
    /// Who wrote the entries.
    pub owner: Actor,
    /// Position of the first record.
    pub base: u64,
}

/// Why a header is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// A format of another version.
    Format(u32),
    /// Offset and reason of damage.
    Damaged(usize, String),
}

/// Name of the segment whose first record stands at `base`; names sort by base.
pub(crate) fn file_name(base: u64) -> String {
    format!("{base:020}{SUFFIX}")
}

/// Base of a segment by its name; none for anything else.
pub(crate) fn base_of(name: &OsStr) -> Option<u64> {
    let digits = name.to_str()?.strip_suffix(SUFFIX)?;
    let base = digits.parse().ok()?;
    (file_name(base) == name.to_str()?).then_some(base)
}

/// The bytes of a header.
pub(crate) fn encode_header(header: &Header) -> [u8; HEADER_BYTES] {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend((header.kind as u32).to_le_bytes());
    bytes.extend(header.owner.site_id.to_le_bytes());
    bytes.extend(header.owner.incarnation.to_le_bytes());
    bytes.extend(header.base.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.try_into().unwrap_or([0; HEADER_BYTES])
}

/// The header at the start of `bytes`.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<Header, HeaderFault> {
    let damaged = |offset, reason: String| Err(HeaderFault::Damaged(offset, reason));
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        let got = bytes.len();
        return damaged(
            got,
            format!("file has {got} bytes, a header needs {HEADER_BYTES}"),
        );
    };
    if !header.starts_with(MAGIC) {
        return damaged(0, "is not a segment: magic is missing".to_owned());
    }
    let (computed, stored) = (
        crc32fast::hash(&header[..HEADER_BYTES - 4]),
        u32_at(header, HEADER_BYTES - 4),
    );
    if stored != computed {
        return damaged(
            0,
            format!("crc of the header is {stored:08x}, its bytes give {computed:08x}"),
        );
    }
    let (format, kind) = (u32_at(header, 8), u32_at(header, 12));
    if format != FORMAT {
        return Err(HeaderFault::Format(format));
    }
    let kind = match kind {
        1 => LogKind::Journal,
        2 => LogKind::Received,
        other => return damaged(12, format!("log kind {other} is not known")),
    };
    let owner = Actor::new(u64_at(header, 16), u64_at(header, 24));
    if owner.site_id == 0 || owner.site_id > SITE_ID_MAX {
        return damaged(16, format!("site {} is not valid", owner.site_id));
    }
    let base = u64_at(header, 32);
    Ok(Header { kind, owner, base })
}

fn u32_at(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    let bytes = header.get(at..).and_then(<[u8]>::first_chunk::<4>);
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(header: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let bytes = header.get(at..).and_then(<[u8]>::first_chunk::<8>);
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: LogKind::Received,
            owner: Actor::new(3, 0x1122_3344_5566_7788),
            base: 0x0102_0304_0506,
        }
    }

    #[test]
    fn the_header_is_pinned() {
        let bytes = encode_header(&header());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "636673726c6f670a0100000002000000030000000000000088776655443322110605040302010000\
             0000000055011d54"
        );
        assert_eq!(decode_header(&bytes), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_of_the_header_is_noticed() {
        let bytes = encode_header(&header());
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_header(&flipped).is_err(), "bit {bit}");
        }
        assert!(decode_header(&bytes[..47]).is_err());
    }

    #[test]
    fn another_format_is_told_from_damage() {
        let mut bytes = encode_header(&header());
        bytes[8] = 2;
        assert!(matches!(
            decode_header(&bytes),
            Err(HeaderFault::Damaged(0, _))
        ));
        let crc = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode_header(&bytes), Err(HeaderFault::Format(2)));
    }

    #[test]
    fn names_sort_by_base_and_nothing_else_is_a_segment() {
        assert_eq!(file_name(77), "00000000000000000077.seg");
        assert!(file_name(9) < file_name(10) && file_name(u64::MAX) > file_name(1 << 60));
        assert_eq!(base_of(OsStr::new(&file_name(u64::MAX))), Some(u64::MAX));
        for other in [
            "77.seg",
            "00000000000000000077.seg.new",
            "x.seg",
            "+0000000000000000077.seg",
        ] {
            assert_eq!(base_of(OsStr::new(other)), None);
        }
    }
}
