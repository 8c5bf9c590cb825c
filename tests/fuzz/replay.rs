//! Runs every input that was kept, and what is a few bits away from it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{TARGETS, run};
use crate::rng::Rng;

/// Changed copies of each input.
const COPIES: u64 = 8;
/// All inputs together.
const CORPUS_BYTES_MAX: u64 = 2 << 20;

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn corpus(target: &str) -> PathBuf {
    project().join("fuzz/corpus").join(target)
}

fn inputs(target: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(corpus(target)).expect("the target has a corpus");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Names the input when the target panics.
struct At<'a>(&'a Path, u64);

impl Drop for At<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "{}, changed copy {} (0: as it is)",
                self.0.display(),
                self.1
            );
        }
    }
}

/// All inputs of a target. At least one has to be taken, or the target looks at nothing.
fn replay(target: &str) {
    let mut any = false;
    for path in inputs(target) {
        let bytes = fs::read(&path).unwrap();
        let at = At(&path, 0);
        any |= run(target, &bytes);
        drop(at);
        for copy in 1..=COPIES {
            let at = At(&path, copy);
            run(target, &changed(&bytes, copy));
            drop(at);
        }
    }
    assert!(
        any,
        "no input of {target} is taken for what it is meant to be"
    );
}

/// Some bits are others, or some bytes are missing.
fn changed(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed ^ (bytes.len() as u64) << 8);
    let mut bytes = bytes.to_vec();
    for _ in 0..=rng.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.index(bytes.len());
        match rng.below(4) {
            0 => bytes.truncate(at),
            1 => drop(bytes.remove(at)),
            _ => bytes[at] ^= 1 << rng.below(8),
        }
    }
    bytes
}

/// One test for each target.
macro_rules! replayed {
    ($($target:ident)+) => {
        mod what_was_found_by_fuzzing_holds {
            $(#[test]
            fn $target() {
                super::replay(stringify!($target));
            })+
        }

        const REPLAYED: &[&str] = &[$(stringify!($target)),+];
    };
}

replayed! {
    batch message session payload entry journal received content manifest hello join config names admin cursors records
    hostile
}

#[test]
fn every_target_is_fuzzed_and_replayed() {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, REPLAYED);
    let package = fs::read_to_string(project().join("fuzz/Cargo.toml")).unwrap();
    for name in names {
        let file = format!("fuzz_targets/{name}.rs");
        assert!(package.contains(&format!("path = \"{file}\"")), "{name}");
        let main = fs::read_to_string(project().join("fuzz").join(file)).unwrap();
        assert!(main.contains(&format!("run(\"{name}\", ")), "{name}");
    }
}

#[test]
fn the_corpus_is_small() {
    let sizes = TARGETS.iter().flat_map(|(target, _)| inputs(target));
    let bytes: u64 = sizes.map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes");
}
