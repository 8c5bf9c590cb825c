//! The small files of the tree in the state folder: intents, the record of the last boot, and the bond with the tree.

use std::fs;
use std::path::Path;

use claudefs_repl::tree::boot::Boot;
use claudefs_repl::tree::intent::IntentLog;
use claudefs_repl::tree::pin;

use super::input::Input;
use super::within;

/// Largest record in `src/tree/intent.rs`.
const RECORD_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static FOLDER: tempfile::TempDir = {
        // In memory, where it can be: a run writes two files.
        let memory = Path::new("/dev/shm");
        let at = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        tempfile::tempdir_in(at).expect("a folder")
    };
}

/// The first byte says of which file the others are, and whether they are framed as they should be.
pub(super) fn records(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let (which, framed) = (input.below(3), input.one_in(2));
    let mut bytes = Vec::new();
    if framed {
        while !input.is_empty() {
            let size = usize::from(input.short());
            frame(&mut bytes, input.take(size));
        }
    } else {
        bytes.extend(input.rest());
    }
    let limit = RECORD_BYTES_MAX + bytes.len();
    FOLDER.with(|folder| match which {
        0 => within(limit, || intents(folder.path(), &bytes)),
        1 => within(limit, || boot(folder.path(), &bytes)),
        _ => within(limit, || bond(folder.path(), &bytes)),
    })
}

/// As `src/tree/intent.rs` frames a record.
pub(super) fn frame(bytes: &mut Vec<u8>, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("it is short");
    bytes.extend(length.to_le_bytes());
    bytes.extend(crc32fast::hash(body).to_le_bytes());
    bytes.extend(body);
}

fn intents(folder: &Path, bytes: &[u8]) -> bool {
    fs::write(folder.join("tree-intents"), bytes).expect("a file");
    let mut log = IntentLog::open(folder).expect("the file is there");
    let Ok(pending) = log.pending() else {
        return false;
    };
    if pending.is_empty() {
        return false;
    }
    log.begin(&pending).expect("it can be written");
    assert_eq!(log.pending().expect("it was just written"), pending);
    log.finish().expect("it can be written");
    assert_eq!(log.pending().expect("it was just written"), []);
    true
}

fn boot(folder: &Path, bytes: &[u8]) -> bool {
    fs::write(folder.join("tree-boot"), bytes).expect("a file");
    let Ok(mut boot) = Boot::begin(folder, "another".to_owned(), None) else {
        return false;
    };
    boot.settled().expect("it can be written");
    boot.end().expect("it can be written");
    let again = Boot::begin(folder, "a third".to_owned(), None).expect("it was just written");
    assert!(!again.is_suspect());
    true
}

fn bond(folder: &Path, bytes: &[u8]) -> bool {
    fs::write(folder.join("tree-pin"), bytes).expect("a file");
    let tree = folder.join("tree");
    if !tree.exists() {
        fs::create_dir(&tree).expect("a folder");
    }
    pin::look(&tree, folder).is_ok()
}
