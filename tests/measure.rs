//! Measures two daemons on this machine, as an operator would run them: how long a change takes, how long a first copy
//! takes beside rsync, what memory and processor the daemons need.
//!
//!     cargo bench --bench sites -- latency
//!     cargo bench --bench sites -- first-copy
//!     cargo bench --bench sites -- footprint
//!     cargo bench --bench sites -- status
//!     cargo bench --bench sites -- viewers
//!
//! Stands with the tests because it runs the same lab. Each prints a table for `docs/benchmarks.md`. Sizes come from
//! the environment, see each file; `CFS_BENCH_FILE_BYTES` (4096) is that of a small file in all of them. Nothing is
//! asserted but that the trees are equal in the end: a machine that is shared says little about absolute times.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

#[path = "../benches/sites/first_copy.rs"]
mod first_copy;
#[path = "../benches/sites/footprint.rs"]
mod footprint;
#[expect(
    dead_code,
    unused_imports,
    reason = "shared with the tests, which use more of it"
)]
mod lab;
#[path = "../benches/sites/latency.rs"]
mod latency;
#[expect(dead_code, reason = "shared with the tests, which use more of it")]
mod many;
#[expect(dead_code, reason = "shared with the tests, which use more of it")]
mod rng;
#[path = "../benches/sites/status.rs"]
mod status;
#[path = "../benches/sites/viewers.rs"]
mod viewers;

use std::path::Path;
use std::time::Duration;

fn main() {
    // `cargo bench` adds words of its own, and `cargo test` runs every bench once: without a name nothing is measured.
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    for name in names {
        match name.as_str() {
            "latency" => latency::measure(),
            "first-copy" => first_copy::measure(),
            "footprint" => footprint::measure(),
            "status" => status::measure(),
            "viewers" => viewers::measure(),
            other => println!("{other}: no such measurement"),
        }
    }
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Directories that the files of a tree are spread over.
const DIRECTORIES: u64 = 200;
/// Bytes of a small file unless told otherwise.
const SMALL: u64 = 4_096;

/// The name of a small file below the root.
fn name(file: u64) -> String {
    format!("d{:03}/f{file:06}", file % DIRECTORIES)
}

/// Bytes that no compression and no chunk of another file helps with.
fn noise(rng: &mut rng::Rng, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&rng.below(u64::MAX).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Bytes of a small file.
fn small() -> usize {
    usize::try_from(number("CFS_BENCH_FILE_BYTES", SMALL)).unwrap()
}

/// Fills a tree with small files.
fn fill(tree: &Path, files: u64, rng: &mut rng::Rng) {
    let bytes = small();
    for dir in 0..DIRECTORIES {
        std::fs::create_dir_all(tree.join(format!("d{dir:03}"))).unwrap();
    }
    for file in 0..files {
        std::fs::write(tree.join(name(file)), noise(rng, bytes)).unwrap();
    }
}

/// The value below which `share` percent of `sorted` lie.
fn percentile(sorted: &[Duration], share: usize) -> Duration {
    let at = (sorted.len() * share).div_ceil(100).max(1) - 1;
    sorted.get(at).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}
