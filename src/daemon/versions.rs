//! Pure: the versions of what this build speaks to other sites and keeps on disk.

use crate::conduit::message::{PROTOCOL_MAX, PROTOCOL_MIN};
use crate::{journal, store};

/// What has a version of its own, with the one that this build writes.
#[must_use]
pub fn formats() -> Vec<(&'static str, String)> {
    let protocol = if PROTOCOL_MIN == PROTOCOL_MAX {
        PROTOCOL_MAX.to_string()
    } else {
        format!("{PROTOCOL_MIN} to {PROTOCOL_MAX}")
    };
    vec![
        ("protocol", protocol),
        ("journal format", journal::FORMAT.to_string()),
        ("state format", store::FORMAT.to_string()),
    ]
}
