//! Extended attributes of open files: those in `user.` that replication carries.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::journal::op::XATTR_BYTES_MAX;

/// Namespace that is replicated; the others are the system's.
const NAMESPACE: &[u8] = b"user.";
/// Largest list of names that Linux returns (XATTR_LIST_MAX).
const LIST_BYTES_MAX: usize = 64 * 1024;
/// Largest value that Linux takes (XATTR_SIZE_MAX).
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The attributes by full name. Values above the replicated limit are left out.
///
/// # Errors
/// What the system says; a filesystem without attributes has none.
pub fn read_all(file: impl AsFd) -> rustix::io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut found = BTreeMap::new();
    // Almost no file has any: the query saves the buffer.
    let length = match rustix::fs::flistxattr_query(&file) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(found),
        Ok(length) => length.clamp(1_024, LIST_BYTES_MAX),
        Err(e) => return Err(e),
    };
    let mut list = vec![0; length];
    let length = match rustix::fs::flistxattr(&file, &mut list[..]) {
        Err(Errno::RANGE) => {
            list.resize(LIST_BYTES_MAX, 0);
            rustix::fs::flistxattr(&file, &mut list[..])?
        }
        result => result?,
    };
    let names = list.get(..length).unwrap_or_default();
    for name in names.split(|byte| *byte == 0) {
        if !is_replicated(name) {
            continue;
        }
        let mut value = vec![0; VALUE_BYTES_MAX];
        match rustix::fs::fgetxattr(&file, name, &mut value[..]) {
            Ok(length) if length <= XATTR_BYTES_MAX => {
                value.truncate(length);
                value.shrink_to_fit();
                found.insert(name.to_owned(), value);
            }
            Ok(_) | Err(Errno::NODATA) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// Whether an attribute of this name is carried between sites.
#[must_use]
pub fn is_replicated(name: &[u8]) -> bool {
    name.len() > NAMESPACE.len() && name.starts_with(NAMESPACE)
}

/// Sets or, for None, removes an attribute; removing an absent one is no error.
///
/// # Errors
/// What the system says: E2BIG or ENOSPC when the filesystem has no room for the value.
pub fn set(file: impl AsFd, name: &[u8], value: Option<&[u8]>) -> rustix::io::Result<()> {
    match value {
        Some(value) => rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()),
        None => match rustix::fs::fremovexattr(file, name) {
            Err(Errno::NODATA) => Ok(()),
            result => result,
        },
    }
}
