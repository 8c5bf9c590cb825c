//! Files that applying displaced: kept on the same filesystem for a while, then removed, the oldest first.
//!
//! A name starts with the logical inode and the time, both in hexadecimal; names of another form were rescued from
//! staging after a stop and are never removed here.

use rustix::fs::{AtFlags, Dir};
use rustix::io::Errno;

use super::root::Root;
use super::stat::stat_at;
use crate::error::{ReplError, Result};

/// How much of the trash is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrashLimits {
    /// Nothing younger is removed, whatever its size.
    pub keep_at_least_us: u64,
    /// Everything older is removed.
    pub keep_at_most_us: u64,
    /// Bytes on disk above which the oldest go first.
    pub bytes_max: u64,
}

impl Default for TrashLimits {
    /// A minute for late writers, 30 days as for conflicts (CORRECTNESS 1.9), 10 GiB.
    fn default() -> Self {
        Self {
            keep_at_least_us: 60_000_000,
            keep_at_most_us: 30 * 86_400 * 1_000_000,
            bytes_max: 10 << 30,
        }
    }
}

/// What the trash holds and lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrashReport {
    /// Files left.
    pub files: u64,
    /// Their bytes on disk.
    pub bytes: u64,
    /// Files removed.
    pub removed: u64,
}

/// Removes what the limits no longer keep.
///
/// # Errors
/// When the trash cannot be listed or a file in it not be removed.
pub fn purge(root: &Root, now_us: u64, limits: &TrashLimits) -> Result<TrashReport> {
    let fail = |e: Errno| ReplError::io("clear trash in", root.path(), e);
    let mut report = TrashReport::default();
    let mut found = Vec::new();
    for entry in Dir::read_from(root.trash()).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let Some(displaced_us) = displaced_us(entry.file_name().to_bytes()) else {
            continue;
        };
        let stat = stat_at(root.trash(), entry.file_name()).map_err(fail)?;
        report.files += 1;
        report.bytes += stat.blocks * 512;
        found.push((
            displaced_us,
            entry.file_name().to_owned(),
            stat.blocks * 512,
        ));
    }
    found.sort();
    for (displaced_us, name, bytes) in found {
        let age = now_us.saturating_sub(displaced_us);
        let too_many = report.bytes > limits.bytes_max;
        if age < limits.keep_at_least_us || (age <= limits.keep_at_most_us && !too_many) {
            continue;
        }
        rustix::fs::unlinkat(root.trash(), &name, AtFlags::empty()).map_err(fail)?;
        report.files -= 1;
        report.bytes = report.bytes.saturating_sub(bytes);
        report.removed += 1;
    }
    Ok(report)
}

fn displaced_us(name: &[u8]) -> Option<u64> {
    let name = std::str::from_utf8(name).ok()?;
    let mut parts = name.split('-');
    u64::from_str_radix(parts.next()?, 16).ok()?;
    let time = u64::from_str_radix(parts.next()?, 16).ok()?;
    parts.next().map(|_| time)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_oldest_go_first_and_the_youngest_stay_whatever_their_size() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::adopt(dir.path(), [1; 16]).unwrap();
        let trash = dir.path().join(".cfs-repl/trash");
        for (time, size) in [(10_u64, 4096), (50, 40_960), (60, 4096), (95, 40_960)] {
            let name = format!("{:016x}-{time:016x}-1", 7);
            fs::write(trash.join(name), vec![1; size]).unwrap();
        }
        fs::write(trash.join("rescued-s-1"), b"never").unwrap();
        root.sync().unwrap();
        let limits = TrashLimits {
            keep_at_least_us: 10,
            keep_at_most_us: 80,
            bytes_max: 30_000,
        };
        let report = purge(&root, 100, &limits).unwrap();
        let left: Vec<_> = fs::read_dir(&trash)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(
            (report.removed, report.files, left.len()),
            (3, 1, 2),
            "{left:?}"
        );
        assert!(trash.join(format!("{:016x}-{:016x}-1", 7, 95)).exists());
    }
}
