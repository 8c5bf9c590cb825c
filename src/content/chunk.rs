//! Cuts a file's bytes into content-defined chunks and hashes them, one buffer at a time.
//!
//! Every data extent is cut by itself with `FastCDC` (Xia et al., USENIX ATC 2016; the 2020 variant), holes stay holes.
//! A file that is written meanwhile gives a hash that describes nothing: the caller compares the stat before and after.

use std::os::fd::AsFd;
use std::path::Path;

use bytes::Bytes;
use fastcdc::v2020::FastCDC;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::manifest::{BlobHash, Builder, Part};
use crate::error::{ReplError, Result};
use crate::journal::op::{INLINE_BYTES_MAX, ManifestRoot};

/// Smallest chunk in bytes, the last of an extent excepted. Even, as the 2020 variant needs.
pub const CHUNK_MIN: u32 = 16 * 1024;
/// Aim in bytes: 64 KiB keeps a terabyte's manifest below 1 GiB and finds what moved inside a file.
pub const CHUNK_AVG: u32 = 64 * 1024;
/// Largest chunk in bytes.
pub const CHUNK_MAX: u32 = 256 * 1024;
/// Read-ahead: several of the largest chunks, so that little is moved inside the buffer.
const BUFFER_BYTES: usize = 4 * CHUNK_MAX as usize;

/// A file's bytes in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// Length, holes included.
    pub size: u64,
    /// Root of the manifest; all zero for an empty file.
    pub root: ManifestRoot,
    /// The bytes, when they are few and without holes.
    pub inline: Option<Bytes>,
}

/// What a walk over a file's bytes shows.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A chunk.
    Chunk {
        /// Where in the file.
        offset: u64,
        /// Hash of the bytes.
        hash: BlobHash,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A finished node of the manifest.
    Node {
        /// Hash of the bytes.
        hash: BlobHash,
        /// The encoded node.
        bytes: &'a Bytes,
    },
}

/// Hashes the first `size` bytes of `file`. None: the file is shorter than that, so it changed.
///
/// # Errors
/// [`ReplError::Io`] naming `path` when reading fails.
pub fn hash_file(file: impl AsFd, size: u64, path: &Path) -> Result<Option<Hashed>> {
    hash_pieces(file, size, path, &mut |_| ())
}

/// Like [`hash_file`], and shows every chunk and manifest node on the way.
///
/// # Errors
/// [`ReplError::Io`] naming `path` when reading fails.
pub fn hash_pieces(
    file: impl AsFd,
    size: u64,
    path: &Path,
    visit: &mut dyn FnMut(Piece<'_>),
) -> Result<Option<Hashed>> {
    let mut hashing = Hashing {
        builder: Builder::new(),
        inline: Vec::new(),
        holes: false,
        keep: size <= INLINE_BYTES_MAX as u64,
    };
    let mut buffer = vec![0; BUFFER_BYTES.min(usize::try_from(size).unwrap_or(usize::MAX))];
    let mut offset = 0;
    while offset < size {
        let data =
            data_extent(&file, offset, size).map_err(|e| ReplError::io("find data of", path, e))?;
        hashing.hole(data.0 - offset, visit);
        if !hashing.extent(&file, data, &mut buffer, path, visit)? {
            return Ok(None);
        }
        offset = data.1;
    }
    let end = rustix::fs::fstat(&file).map_err(|e| ReplError::io("stat", path, e))?;
    let short = u64::try_from(end.st_size).unwrap_or(0) < size;
    Ok((!short).then(|| hashing.finish(size, visit)))
}

/// The hash of bytes that are in memory and have no holes.
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> Hashed {
    let mut hashing = Hashing {
        builder: Builder::new(),
        inline: Vec::new(),
        holes: false,
        keep: bytes.len() <= INLINE_BYTES_MAX,
    };
    let mut offset = 0;
    while let Some(rest) = bytes.get(offset..)
        && !rest.is_empty()
    {
        let length = cut(rest);
        hashing.chunk(
            offset as u64,
            rest.get(..length).unwrap_or(rest),
            &mut |_| (),
        );
        offset += length;
    }
    hashing.finish(bytes.len() as u64, &mut |_| ())
}

/// Length of the first chunk of `bytes`, at most all of them.
#[must_use]
pub fn cut(bytes: &[u8]) -> usize {
    let (min, avg, max) = (CHUNK_MIN as usize, CHUNK_AVG as usize, CHUNK_MAX as usize);
    let (_, end) = FastCDC::new(bytes, min, avg, max).cut(0, bytes.len());
    end.clamp(1, bytes.len().max(1))
}

/// The next stretch of data at or behind `offset`, cut to `size`; empty at `size` when only a hole is left.
pub(crate) fn data_extent(
    file: impl AsFd,
    offset: u64,
    size: u64,
) -> rustix::io::Result<(u64, u64)> {
    let start = match rustix::fs::seek(&file, SeekFrom::Data(offset)) {
        Ok(start) => start.min(size),
        Err(Errno::NXIO) => return Ok((size, size)),
        // The filesystem knows no holes: everything is data.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok((offset, size)),
        Err(e) => return Err(e),
    };
    let end = match rustix::fs::seek(&file, SeekFrom::Hole(start)) {
        Ok(end) => end.min(size),
        Err(Errno::NXIO) => size,
        Err(e) => return Err(e),
    };
    Ok((start, end.max(start)))
}

struct Hashing {
    builder: Builder,
    inline: Vec<u8>,
    holes: bool,
    keep: bool,
}

impl Hashing {
    fn hole(&mut self, size: u64, visit: &mut dyn FnMut(Piece<'_>)) {
        if size > 0 {
            self.holes = true;
            self.push(Part { size, hash: None }, visit);
        }
    }

    fn chunk(&mut self, offset: u64, bytes: &[u8], visit: &mut dyn FnMut(Piece<'_>)) {
        let hash = BlobHash::of(bytes);
        if self.keep {
            self.inline.extend_from_slice(bytes);
        }
        visit(Piece::Chunk {
            offset,
            hash,
            bytes,
        });
        let part = Part {
            size: bytes.len() as u64,
            hash: Some(hash),
        };
        self.push(part, visit);
    }

    fn push(&mut self, part: Part, visit: &mut dyn FnMut(Piece<'_>)) {
        self.builder
            .push(part, &mut |hash, bytes| visit(Piece::Node { hash, bytes }));
    }

    /// False: the file ended early.
    fn extent(
        &mut self,
        file: impl AsFd,
        (start, end): (u64, u64),
        buffer: &mut [u8],
        path: &Path,
        visit: &mut dyn FnMut(Piece<'_>),
    ) -> Result<bool> {
        let (mut offset, mut filled) = (start, 0);
        loop {
            while filled < buffer.len() && offset + (filled as u64) < end {
                let room = usize::try_from(end - offset).unwrap_or(usize::MAX);
                let room = room.min(buffer.len());
                let Some(free) = buffer.get_mut(filled..room) else {
                    break;
                };
                let got = rustix::io::retry_on_intr(|| {
                    rustix::io::pread(&file, &mut *free, offset + filled as u64)
                })
                .map_err(|e| ReplError::io("read", path, e))?;
                if got == 0 {
                    return Ok(false);
                }
                filled += got;
            }
            if filled == 0 {
                return Ok(true);
            }
            let last = offset + filled as u64 == end;
            let mut used = 0;
            while let Some(rest) = buffer.get(used..filled)
                && !rest.is_empty()
                && (last || rest.len() >= CHUNK_MAX as usize)
            {
                let length = cut(rest);
                self.chunk(
                    offset + used as u64,
                    rest.get(..length).unwrap_or(rest),
                    visit,
                );
                used += length;
            }
            buffer.copy_within(used..filled, 0);
            filled -= used;
            offset += used as u64;
        }
    }

    fn finish(self, size: u64, visit: &mut dyn FnMut(Piece<'_>)) -> Hashed {
        let root = self
            .builder
            .finish(&mut |hash, bytes| visit(Piece::Node { hash, bytes }));
        Hashed {
            size,
            root: root.map_or_else(ManifestRoot::default, |hash| ManifestRoot(hash.0)),
            inline: (self.keep && !self.holes).then(|| Bytes::from(self.inline)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    /// Bytes without any pattern that the chunker could like (splitmix64).
    fn noise(length: usize, mut seed: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bytes.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn hashed(bytes: &[u8]) -> Hashed {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        hash_file(&file, bytes.len() as u64, Path::new("t"))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn cut_points_and_roots_are_pinned() {
        let bytes = noise(1_000_000, 7);
        let mut cuts = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            at += cut(&bytes[at..]);
            cuts.push(at);
        }
        assert_eq!(
            cuts,
            [
                31171, 69978, 198478, 277996, 437005, 482872, 561066, 590547, 614333, 679044,
                792243, 911791, 987738, 1000000
            ]
        );
        let root = |length| format!("{:?}", hash_bytes(&bytes[..length]).root);
        assert_eq!(
            root(1_000_000),
            "19a9fee9700870d75e82b38e3ad487eaed3cd5d57a29e8748dc481158433d0f6"
        );
        assert_eq!(
            root(5),
            "cb48b60739fcb0dd2e1d3ee564dc616aa6ecfe7ed587b5ff1bf7f8e937920e5d"
        );
        assert_eq!(hash_bytes(&[]).root, ManifestRoot::default());
    }

    #[test]
    fn reading_in_pieces_cuts_as_reading_at_once() {
        let bytes = noise(3 * BUFFER_BYTES + 12_345, 1);
        for length in [
            1,
            CHUNK_MIN as usize,
            BUFFER_BYTES,
            BUFFER_BYTES + 1,
            bytes.len(),
        ] {
            assert_eq!(hashed(&bytes[..length]), hash_bytes(&bytes[..length]));
        }
    }

    #[test]
    fn only_small_files_without_holes_are_inline() {
        assert_eq!(hashed(b"abc").inline.unwrap(), "abc");
        let limit = noise(INLINE_BYTES_MAX, 2);
        assert!(hashed(&limit).inline.is_some());
        assert!(hashed(&noise(INLINE_BYTES_MAX + 1, 2)).inline.is_none());
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let hole = hash_file(&file, 8192, Path::new("t")).unwrap().unwrap();
        assert!(hole.inline.is_none());
        file.seek(std::io::SeekFrom::Start(0)).unwrap();
        file.write_all(&[0; 8192]).unwrap();
        let zeros = hash_file(&file, 8192, Path::new("t")).unwrap().unwrap();
        assert_ne!(hole.root, zeros.root, "a hole is not zeros");
    }

    #[test]
    fn an_insertion_keeps_most_chunks() {
        let bytes = noise(4 << 20, 3);
        let mut longer = bytes[..1000].to_vec();
        longer.extend_from_slice(b"inserted");
        longer.extend_from_slice(&bytes[1000..]);
        let chunks = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            let mut chunks = std::collections::BTreeSet::new();
            hash_pieces(&file, bytes.len() as u64, Path::new("t"), &mut |piece| {
                if let Piece::Chunk { hash, .. } = piece {
                    chunks.insert(hash);
                }
            })
            .unwrap();
            chunks
        };
        let (before, after) = (chunks(&bytes), chunks(&longer));
        assert!(after.difference(&before).count() <= 2);
    }

    #[test]
    fn a_file_that_shrank_is_not_hashed() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"short").unwrap();
        assert_eq!(hash_file(&file, 100, Path::new("t")).unwrap(), None);
    }
}
